"""Paths that the environment names, and files that are there as a whole or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path


def path_setting(variable: str) -> Path | None:
    """Return the path that an environment variable names, absolute; None if it names none.

    A ``~`` at its beginning is the user's home; the home of nobody is an ``OSError``.
    """
    named = os.environ.get(variable, "")
    if not named:
        return None
    try:
        return Path(named).expanduser().absolute()
    except RuntimeError as error:
        raise OSError(f"{variable} is set to {named!r}: there is no such home") from error


def store_folder() -> Path:
    """Return the folder of stored results, which need not exist.

    It is what ``RNNREPORT_STORE`` names, otherwise a folder in the user's cache.
    """
    import platformdirs  # here: not every command needs a folder

    return path_setting("RNNREPORT_STORE") or platformdirs.user_cache_path("rnnreport") / "results"


def check_writable(folder: Path, remedy: str) -> None:
    """Make a folder that is missing, and raise an ``OSError`` unless files can be written into it.

    The error says so in words and ends with the `remedy`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"{folder} cannot be written to ({error.strerror}): {remedy}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file as a whole, in a folder that exists: no reader ever sees half of it.

    If several processes write it at once, the last one wins.
    """
    # Not a file of tempfile's: those are for their owner's eyes alone, and stay so when renamed.
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
