"""Where results are kept, and files that are there as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import platformdirs


def store_folder() -> Path:
    """Return the folder of stored results, which need not exist.

    It is what ``RNNREPORT_STORE`` names, otherwise a folder in the user's cache.
    """
    named = os.environ.get("RNNREPORT_STORE", "")
    return Path(named) if named else platformdirs.user_cache_path("rnnreport") / "results"


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
