"""Ants and bees: the photographs of PyTorch's transfer-learning tutorial.

The layout is ``{train,val}/{ants,bees}`` with image files of many sizes in each folder.
"""

from dataclasses import dataclass
from pathlib import Path

from rnnreport.data.assets import DataFormatError, what_is
from rnnreport.data.pictures import SUFFIXES, list_pictures

__all__ = ["CLASSES", "Hymenoptera", "load_hymenoptera"]

CLASSES = ("ants", "bees")
"""The classes; their places are the labels."""


@dataclass(frozen=True)
class Hymenoptera:
    """The image files of a folder.

    Attributes
    ----------
    root
        The folder.
    train, val
        The image files of the two parts, ants first, each class in the order of the names.
    train_labels, val_labels
        For each of them 0 for ants and 1 for bees.
    left_out
        What stands in the folders of the classes and is no image, such as the placeholder that the
        original archive holds among the ants, or a link that leads nowhere.
    """

    root: Path
    train: tuple[Path, ...]
    val: tuple[Path, ...]
    train_labels: tuple[int, ...]
    val_labels: tuple[int, ...]
    left_out: tuple[Path, ...]


def load_hymenoptera(root: Path) -> Hymenoptera:
    """List the images of a folder of ants and bees.

    Parameters
    ----------
    root
        The folder with ``train`` and ``val``.

    Returns
    -------
    Hymenoptera
        The files; :func:`~rnnreport.data.pictures.read_picture` reads one.

    Raises
    ------
    DataFormatError
        If the folder of a class is not there or holds no image.
    """
    files: dict[str, tuple[Path, ...]] = {}
    labels: dict[str, tuple[int, ...]] = {}
    left_out: list[Path] = []
    for split in ("train", "val"):
        parts = [_images(root / split / name, left_out) for name in CLASSES]
        files[split] = tuple(path for part in parts for path in part)
        labels[split] = tuple(label for label, part in enumerate(parts) for _ in part)
    return Hymenoptera(
        root, files["train"], files["val"], labels["train"], labels["val"], tuple(left_out)
    )


def _images(folder: Path, left_out: list[Path]) -> tuple[Path, ...]:
    """Return the images of a class, and note what is no image."""
    if not folder.is_dir():
        raise DataFormatError(f"{folder} {what_is(folder)}: expected a folder of images")
    listing = list_pictures(folder)
    if not listing.pictures:
        raise DataFormatError(
            f"{folder}: no image among {len(listing.left_out)} files (expected files that end in "
            f"{', '.join(SUFFIXES)})"
        )
    left_out += listing.left_out
    return listing.pictures
