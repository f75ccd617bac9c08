"""Where results are kept, and files that are there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs


def store_folder() -> Path:
    """Return the folder of stored results.

    Returns
    -------
    Path
        What ``RNNREPORT_STORE`` names, else a folder in the user's cache; it need not exist.
    """
    named = os.environ.get("RNNREPORT_STORE", "")
    return Path(named) if named else platformdirs.user_cache_path("rnnreport") / "results"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever reads half of it.

    Parameters
    ----------
    path
        The file; its folder exists. Of several processes that write it at once, the last one wins.
    content
        All of it.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
