"""The folders of ants and bees are listed and checked; errors name the folder."""

import os
from pathlib import Path

import pytest
from PIL import Image
from real_data import needs

from rnnreport.data.assets import DataFormatError, require
from rnnreport.data.hymenoptera import CLASSES, load_hymenoptera
from rnnreport.data.pictures import read_picture

NAMES = {
    "train/ants": ("b.jpg", "a.JPG", "imageNotFound.gif"),
    "train/bees": ("d.png", "c.jpeg", "e.webp", "notes.txt"),
    "val/ants": ("f.bmp",),
    "val/bees": ("g.tiff", ".DS_Store"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, names in NAMES.items():
        (tmp_path / folder).mkdir(parents=True)
        for name in names:
            path = tmp_path / folder / name
            if path.suffix.lower() in (".txt", ".gif", ""):
                path.write_bytes(b"")
            else:
                Image.new("RGB", (3, 2)).save(path)
    return tmp_path


def test_lists_images_by_class_and_name(root: Path) -> None:
    data = load_hymenoptera(root)
    assert CLASSES == ("ants", "bees")
    assert [str(path.relative_to(root / "train")) for path in data.train] == [
        "ants/a.JPG", "ants/b.jpg", "bees/c.jpeg", "bees/d.png", "bees/e.webp",
    ]  # fmt: skip
    assert data.train_labels == (0, 0, 1, 1, 1)
    assert [path.name for path in data.val] == ["f.bmp", "g.tiff"]
    assert data.val_labels == (0, 1)
    assert data.root == root


def test_what_is_no_image_is_left_out_and_named(root: Path) -> None:
    (root / "train" / "ants" / "more").mkdir()
    (root / "train" / "bees" / "._d.png").write_bytes(b"what a file manager leaves")
    (root / "val" / "ants" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    os.mkfifo(root / "val" / "bees" / "pipe.jpg")
    data = load_hymenoptera(root)
    assert [path.name for path in data.left_out] == [
        "imageNotFound.gif", "more", "notes.txt", "gone.jpg", "pipe.jpg",
    ]  # fmt: skip
    assert all(read_picture(path).size == (3, 2) for path in data.train + data.val)


def test_a_broken_image_is_named_when_it_is_read(root: Path) -> None:
    (root / "val" / "bees" / "a.jpg").write_text("no image")
    with pytest.raises(DataFormatError, match=r"val/bees/a\.jpg: not a readable image"):
        read_picture(load_hymenoptera(root).val[1])


@pytest.mark.parametrize("folder", NAMES)
def test_missing_and_empty_folders(root: Path, folder: str) -> None:
    for path in (root / folder).iterdir():
        path.unlink()
    with pytest.raises(DataFormatError, match=f"{folder}: no image among 0 files .*jpeg"):
        load_hymenoptera(root)
    (root / folder / "notes.txt").touch()
    with pytest.raises(DataFormatError, match=f"{folder}: no image among 1 files"):
        load_hymenoptera(root)
    (root / folder / "notes.txt").unlink()
    (root / folder).rmdir()
    with pytest.raises(DataFormatError, match=f"{folder} is missing"):
        load_hymenoptera(root)


@needs("hymenoptera")
def test_the_real_photographs() -> None:
    data = load_hymenoptera(require("hymenoptera"))
    assert (len(data.train), len(data.val)) == (244, 153)
    assert [data.train_labels.count(label) for label in (0, 1)] == [123, 121]
    assert [data.val_labels.count(label) for label in (0, 1)] == [70, 83]
    assert [path.name for path in data.left_out] == ["imageNotFound.gif"]
    assert min(read_picture(data.val[0]).size) > 100
