"""Files that are something else than their name says, recognised by how they begin."""

import re
from pathlib import Path

from rnnreport.data.assets import DataFormatError, check_file

__all__ = ["check_content", "content_of"]

_LONGEST = 512
_MARK = rb"(?:\xef\xbb\xbf)?\s*"
_UNPACK = "unpack it first"
_KINDS = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (rb"\x1f\x8b\x08", f"a gzip archive: {_UNPACK}"),
        (rb"PK(\x03\x04|\x05\x06)", f"a zip archive: {_UNPACK}"),
        (rb"\xfd7zXZ\x00", f"an xz archive: {_UNPACK}"),
        (rb"BZh[1-9]1AY&SY", f"a bzip2 archive: {_UNPACK}"),
        (rb"\x28\xb5\x2f\xfd", f"a Zstandard archive: {_UNPACK}"),
        (rb"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive: {_UNPACK}"),
        (rb"\xff\xfe|\xfe\xff", "text in UTF-16: write it as UTF-8"),
        # Not every "<html": that may be the first word of a list.
        (
            _MARK + rb"<(!doctype\s+html|html(\s*>\s*<|\s+[a-z:]+\s*=))",
            "a web page, as a host sends it in place of a file: download the file itself",
        ),
        (
            _MARK + rb"version https://git-lfs\.",
            "a pointer of Git LFS in place of the file: `git lfs pull` gets the file",
        ),
    )
)


def content_of(path: Path) -> str:
    """Say in words what a file is, and what is to be done about it.

    Parameters
    ----------
    path
        A file.

    Returns
    -------
    str
        Such as "it is a gzip archive: unpack it first"; empty if the file begins like none of the
        kinds that are known here.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_LONGEST)
    return next((f"it is {words}" for pattern, words in _KINDS if pattern.match(head)), "")


def check_content(path: Path, expected: str) -> None:
    """Check that a file is at a path, and no archive or web page in place of it.

    Parameters
    ----------
    path
        Where it should be.
    expected
        What it should be, in the words of the message.

    Raises
    ------
    MissingDataError
        If nothing is there.
    DataFormatError
        If something else than a file is there, or a file of another kind; the message says which.
    """
    check_file(path, expected)
    content = content_of(path)
    if content:
        raise DataFormatError(f"{path}: {content} (expected {expected})")
