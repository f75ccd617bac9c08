"""Archives: the wanted files of a zip file, and nothing outside of its folder.

A zip file may name places outside of the folder that it is unpacked into, hold links to such
places, or grow without bounds. Each of these is an error before anything is written.
"""

from __future__ import annotations

import re
import shutil
import stat
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from zipfile import BadZipFile, LargeZipFile, ZipFile, ZipInfo

from rnnreport.data.assets import DataFormatError
from rnnreport.data.foreign import content_of
from rnnreport.progress import track

__all__ = ["unpack"]

_RATIO_COUNTS_FROM = 10 * 2**20  # a small file may be all zeros


def unpack(
    archive: Path,
    folder: Path,
    wanted: Callable[[str], str | None],
    *,
    max_files: int = 50_000,
    max_bytes: int = 8 * 2**30,
    max_ratio: float = 200,
) -> list[Path]:
    """Unpack the wanted files of a zip file.

    Parameters
    ----------
    archive
        The zip file.
    folder
        Where the files go; made if it is missing.
    wanted
        Takes the name of a file in the archive and returns its path in the folder, with ``/``
        between its parts, or None if it is not wanted.
    max_files
        The most entries that the archive may have.
    max_bytes
        The most bytes that the wanted files may have together.
    max_ratio
        The largest factor by which they may grow; checked from 10 MiB on.

    Returns
    -------
    list of Path
        The files, in the order of the archive.

    Raises
    ------
    DataFormatError
        If the archive cannot be read, has a name that leads out of the folder, wants a link or two
        files of the same name to be made, or is above one of the limits. The message names the
        archive.
    OSError
        If the files cannot be written.
    """
    try:
        with ZipFile(archive) as content:
            entries = content.infolist()
            if len(entries) > max_files:
                raise DataFormatError(
                    f"{archive}: {len(entries):,} entries, at most {max_files:,} are taken"
                )
            chosen = _choose(archive, entries, wanted)
            _check_size(archive, chosen.values(), max_bytes, max_ratio)
            _check_space(archive, folder, chosen.values())
            for name, entry in track(chosen.items(), archive.name, total=len(chosen)):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with content.open(entry) as member, path.open("xb") as target:
                    shutil.copyfileobj(member, target, 2**20)
    # A password is a RuntimeError, an unknown method a NotImplementedError, a cut an EOFError.
    except (BadZipFile, LargeZipFile, RuntimeError, EOFError, zlib.error) as error:
        cause = content_of(archive) if isinstance(error, BadZipFile) else ""
        raise DataFormatError(
            f"{archive}: not a zip file that can be read ({cause or error})"
        ) from error
    return [folder / name for name in chosen]


def _choose(
    archive: Path, entries: list[ZipInfo], wanted: Callable[[str], str | None]
) -> dict[str, ZipInfo]:
    """Return the wanted entries by their place in the folder."""
    chosen: dict[str, ZipInfo] = {}
    for entry in entries:
        _check_name(archive, entry.filename.removesuffix("/"))
        place = None if entry.is_dir() else wanted(entry.filename)
        if place is None:
            continue
        _check_name(archive, place)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):  # 0: made where files have no kind
            raise DataFormatError(f"{archive}: {entry.filename!r} is no ordinary file")
        if place in chosen:
            raise DataFormatError(f"{archive}: two files for {place!r}")
        chosen[place] = entry
    return chosen


def _check_name(archive: Path, name: str) -> None:
    # A backslash or a colon would part names, or name a drive, on another system.
    if re.search(r"[\\:\0]", name) or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise DataFormatError(f"{archive}: the name {name!r} leads out of the folder")


def _check_size(
    archive: Path, entries: Iterable[ZipInfo], max_bytes: int, max_ratio: float
) -> None:
    sizes = [(entry.file_size, entry.compress_size) for entry in entries]
    large, small = (sum(column) for column in zip((0, 0), *sizes, strict=True))
    if large > max_bytes:
        raise DataFormatError(f"{archive}: unpacks to {large:,} bytes, at most {max_bytes:,}")
    if large > max(_RATIO_COUNTS_FROM, max_ratio * small):
        raise DataFormatError(
            f"{archive}: {small:,} bytes unpack to {large:,}, more than {max_ratio:g} times as many"
        )


def _check_space(archive: Path, folder: Path, entries: Iterable[ZipInfo]) -> None:
    needed = sum(entry.file_size for entry in entries)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"{archive}: {needed:,} bytes are needed to unpack it, {free:,} are free")
