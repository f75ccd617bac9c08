"""Flickr8k: photographs with five captions each.

The layout is the one in which the data set is usually passed on: a folder with ``Images/*.jpg``, or
pictures of another kind, and ``captions.txt``, a CSV file with the header ``image,caption`` and one
line for each caption. A part of the data set in this layout will do.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from rnnreport._checks import check_at_least
from rnnreport.data.assets import DataFormatError, check_folder
from rnnreport.data.foreign import check_content
from rnnreport.data.pictures import SUFFIXES, list_pictures, read_picture
from rnnreport.data.vocabulary import tokenise

__all__ = ["Flickr8k", "Parts", "load_flickr8k", "official_parts", "part_lists", "split_by_name"]

_HEADER = ["image", "caption"]


@dataclass(frozen=True)
class Flickr8k:
    """The photographs and captions of a folder.

    Attributes
    ----------
    root
        The folder.
    captions
        The captions of each image, as lists of words (:func:`~rnnreport.data.vocabulary.tokenise`),
        by the name of the image file; both in the order of ``captions.txt``.
    left_out
        What stands in the folder of the images and is none; the captions of a link that leads
        nowhere are left out with it.
    """

    root: Path
    captions: dict[str, tuple[tuple[str, ...], ...]]
    left_out: tuple[Path, ...] = ()

    @property
    def captions_path(self) -> Path:
        """The file of the captions."""
        return self.root / "captions.txt"

    def path(self, name: str) -> Path:
        """Return the file of an image.

        Parameters
        ----------
        name
            A key of :attr:`captions`.
        """
        return self.root / "Images" / name

    def image(self, name: str) -> Image.Image:
        """Read an image.

        Parameters
        ----------
        name
            A key of :attr:`captions`.

        Returns
        -------
        PIL.Image.Image
            As :func:`~rnnreport.data.pictures.read_picture` gives it.

        Raises
        ------
        MissingDataError
            If the file is gone.
        DataFormatError
            If the file is not an image that can be read.
        """
        return read_picture(self.path(name))


def load_flickr8k(root: Path, *, max_words: int | None = None) -> Flickr8k:
    """Read and check the captions of a folder in Flickr8k's layout.

    The name of an image must stand in the file as in the folder, upper and lower case included. A
    caption that an image has twice is kept twice: two people may have written the same.

    Parameters
    ----------
    root
        The folder with ``Images`` and ``captions.txt``.
    max_words
        The most words that a caption may have, at least 1; without it, any number.

    Returns
    -------
    Flickr8k
        The captions; images are read on demand.

    Raises
    ------
    MissingDataError
        If ``Images`` or ``captions.txt`` is not there.
    DataFormatError
        If either is something else, such as an archive; if the file is not UTF-8, has another
        header, or a line of it has not two fields, names no image file of the folder or has a
        caption without a word or with more than `max_words`; or if an image has no caption. The
        message names the file and the line.
    ValueError
        If `max_words` is below 1.
    """
    if max_words is not None:
        check_at_least(1, max_words=max_words)
    path, folder = root / "captions.txt", root / "Images"
    check_content(path, "the captions as CSV image,caption")
    check_folder(folder, "a folder of JPEG images")
    listing = list_pictures(folder)
    images = {image.name for image in listing.pictures}
    gone = {path.name for path in listing.left_out if path.suffix.lower() in SUFFIXES}
    by_lower = {name.lower(): name for name in images}

    captions: dict[str, list[tuple[str, ...]]] = {}
    for line, row in _rows(path):
        if len(row) != len(_HEADER):
            raise DataFormatError(
                f"{path}, line {line}: expected 2 fields, image and caption, got {len(row)} (a "
                "caption that holds a comma stands in double quotes)"
            )
        name, sentence = row
        if name in gone:
            continue
        if name not in images:
            actual = by_lower.get(name.lower())
            hint = f"; its name there is {actual!r}" if actual else ""
            raise DataFormatError(f"{path}, line {line}: {folder} has no image {name!r}{hint}")
        words = tuple(tokenise(sentence))
        if not words:
            raise DataFormatError(f"{path}, line {line}: the caption {sentence!r} has no word")
        if max_words is not None and len(words) > max_words:
            raise DataFormatError(
                f"{path}, line {line}: the caption has {len(words)} words, at most {max_words} are "
                f"taken: {sentence!r}"
            )
        captions.setdefault(name, []).append(words)

    uncaptioned = sorted(images - captions.keys())
    if uncaptioned:
        raise DataFormatError(
            f"{path}: no caption for {len(uncaptioned)} of {len(images)} images of {folder}, the "
            f"first is {uncaptioned[0]}"
        )
    if not captions:
        raise DataFormatError(f"{path}: no caption after the header")
    of_each = {name: tuple(sentences) for name, sentences in captions.items()}
    return Flickr8k(root, of_each, listing.left_out)


class Parts(NamedTuple):
    """The names of the images of each part, in a fixed order; no name stands in two.

    Attributes
    ----------
    train
        To learn from.
    val
        To choose by: settings, and when to stop.
    test
        To measure on, once.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def part_lists(folder: Path) -> list[Path]:
    """Return where a folder has the lists of its parts: to train, validate and test."""
    return [folder / f"Flickr_8k.{name}Images.txt" for name in ("train", "dev", "test")]


def official_parts(data: Flickr8k) -> Parts | None:
    """Return the parts of the lists that come with Flickr8k, if the folder has them.

    They are those of Hodosh et al. (2013), which the literature measures on: 6,000, 1,000 and
    1,000 images. What a list names and the folder lacks is left out, and so is what no list names.

    Parameters
    ----------
    data
        From :func:`load_flickr8k`.

    Returns
    -------
    Parts or None
        In the order of the lists; None where the folder has none of them.

    Raises
    ------
    DataFormatError
        If the folder has some of the lists and not all, one of them is not text, names none of the
        folder's images, or two of them name the same image.
    """
    paths = part_lists(data.root)
    missing = [path.name for path in paths if not path.exists()]
    if len(missing) == len(paths):
        return None
    if missing:
        raise DataFormatError(
            f"{data.root} has lists of Flickr8k's parts and lacks {', '.join(missing)}"
        )
    parts, place = [], dict[str, str]()
    for path in paths:
        check_content(path, "a list of images, one name a line")
        try:
            names = path.read_text(encoding="utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise DataFormatError(f"{path}: not UTF-8 ({error.reason})") from error
        part = tuple(dict.fromkeys(name for name in names if name in data.captions))
        if not part:
            raise DataFormatError(f"{path}: names no image of {data.root / 'Images'}")
        twice = [name for name in part if name in place]
        if twice:
            raise DataFormatError(f"{path}: {twice[0]} stands in {place[twice[0]]} too")
        place |= dict.fromkeys(part, path.name)
        parts.append(part)
    return Parts(*parts)


def split_by_name(
    names: Iterable[str], shares: Sequence[float] = (1 / 9,)
) -> tuple[tuple[str, ...], ...]:
    """Split images into parts by a hash of the file name.

    The split depends on nothing but the names: not on their order, on captions or on a seed.

    Parameters
    ----------
    names
        Distinct names of images.
    shares
        The share of each part but the first, which gets the rest; each is rounded to a whole
        number of images.

    Returns
    -------
    tuple of tuple of str
        The rest, then a part a share; the names of each sorted.

    Raises
    ------
    ValueError
        If a name stands twice, a share is below 0, or all of them together are above 1.
    """
    images = list(names)
    if len(set(images)) < len(images):
        raise ValueError("names must hold every name once")
    if min(shares, default=0) < 0 or sum(shares) > 1:
        raise ValueError(f"shares must be at least 0 and at most 1 together, got {shares}")
    rest = sorted(images, key=lambda name: (hashlib.sha256(name.encode()).digest(), name))
    parts = []
    for share in shares:
        count = round(share * len(images))
        parts.append(tuple(sorted(rest[:count])))
        rest = rest[count:]
    return tuple(sorted(rest)), *parts


def _rows(path: Path) -> Iterable[tuple[int, list[str]]]:
    """Yield the line number and the fields of each row after the header."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataFormatError(f"{path}, line {line}: not UTF-8 ({error.reason})") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if header != _HEADER:
            raise DataFormatError(
                f"{path}, line 1: expected the header 'image,caption', got {','.join(header)!r}"
            )
        for row in reader:
            if row:  # a blank line is an empty row
                yield reader.line_num, row
    except csv.Error as error:
        raise DataFormatError(f"{path}, line {reader.line_num}: not CSV ({error})") from error
