"""COCO's files are read and checked; errors name the file, the dataset and the row.

The tests write small files of the real layout, and break each rule of it once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.data.coco import CocoPart, load_coco
from rnnreport.data.vocabulary import CaptionVocabulary

WORDS = ["<NULL>", "<START>", "<END>", "<UNK>", "a", "dog", "runs"]
TRAIN = [[1, 4, 5, 2, 0, 0], [1, 4, 3, 6, 2, 0], [1, 5, 6, 5, 6, 2]]
VAL = [[1, 5, 2, 0, 0, 0]]
CAPTIONS = "coco2014_captions.h5"
VOCABULARY = "coco2014_vocab.json"
TRAIN_FEATURES, VAL_FEATURES = "train2014_vgg16_fc7_pca.h5", "val2014_vgg16_fc7_pca.h5"


def features(count: int, width: int, first: float = 0.0) -> np.ndarray[Any, Any]:
    return np.arange(first, first + count * width, dtype=np.float32).reshape(count, width)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write three captions of two images for training, and one of one for validation."""
    with h5py.File(tmp_path / CAPTIONS, "w") as file:
        file["train_captions"] = np.array(TRAIN, dtype=np.int32)
        file["train_image_idxs"] = np.array([1, 0, 1], dtype=np.int32)
        file["val_captions"] = np.array(VAL, dtype=np.int32)
        file["val_image_idxs"] = np.array([0], dtype=np.int32)
    for name, count in ((TRAIN_FEATURES, 2), (VAL_FEATURES, 1)):
        with h5py.File(tmp_path / name, "w") as file:
            file["features"] = features(count, 3, first=100.0 * count)
    index = {word: idx for idx, word in enumerate(WORDS)}
    write_json(tmp_path, {"idx_to_word": WORDS, "word_to_idx": index})
    return tmp_path


def write_json(root: Path, content: object) -> None:
    (root / VOCABULARY).write_text(json.dumps(content))


def change(path: Path, name: str, content: object) -> None:
    """Replace a dataset, or delete it."""
    with h5py.File(path, "r+") as file:
        del file[name]
        if content is not None:
            file[name] = content


def test_reads_what_the_files_hold(root: Path) -> None:
    data = load_coco(root)
    assert data.vocabulary == CaptionVocabulary(tuple(WORDS))
    assert data.train.captions.tolist() == TRAIN
    assert data.val.captions.tolist() == VAL
    assert data.train.image_idxs.tolist() == [1, 0, 1]
    assert data.val.image_idxs.tolist() == [0]
    assert torch.equal(data.train.features, torch.from_numpy(features(2, 3, first=200.0)))
    assert torch.equal(data.val.features, torch.from_numpy(features(1, 3, first=100.0)))
    assert data.vocabulary.decode(data.train.captions)[1] == ["a", "<UNK>", "runs"]
    assert [path.name for path in data.paths] == [
        CAPTIONS, VOCABULARY, TRAIN_FEATURES, VAL_FEATURES
    ]  # fmt: skip


@pytest.mark.parametrize("part", ["train", "val"])
def test_dtypes(root: Path, part: str) -> None:
    for width in (np.int64, np.uint8, ">i4"):
        change(root / CAPTIONS, "val_captions", np.array(VAL, dtype=width))
        change(root / VAL_FEATURES, "features", features(1, 3).astype(np.float64))
        of_part: CocoPart = getattr(load_coco(root), part)
        assert of_part.captions.dtype == of_part.image_idxs.dtype == torch.int64
        assert of_part.features.dtype == torch.float32


@pytest.mark.parametrize("name", [CAPTIONS, VOCABULARY, TRAIN_FEATURES, VAL_FEATURES])
def test_missing_files(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(MissingDataError, match=f"{name} is missing: expected"):
        load_coco(root)


@pytest.mark.parametrize("name", [CAPTIONS, TRAIN_FEATURES, VAL_FEATURES])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_truncated_files(root: Path, name: str, share: float) -> None:
    content = (root / name).read_bytes()
    (root / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataFormatError, match=f"{name}, .*: not readable as HDF5"):
        load_coco(root)


def test_other_files(root: Path) -> None:
    (root / CAPTIONS).write_text("a page that says that the file has moved")
    with pytest.raises(DataFormatError, match=r"h5, train_captions: not readable as HDF5 \(.*sign"):
        load_coco(root)


ROW = np.array(VAL * 3, dtype=np.int32)


@pytest.mark.parametrize(
    ("name", "dataset", "content", "message"),
    [
        (CAPTIONS, "train_captions", None, r"expected a dataset train_captions, got train_image_i"),
        (CAPTIONS, "val_image_idxs", None, r"expected a dataset val_image_idxs, got .*val_captio"),
        (VAL_FEATURES, "features", None, r"expected a dataset features, got none"),
        (CAPTIONS, "train_captions", ROW * 1.0, "train_captions: expected integers, got float64"),
        (CAPTIONS, "train_captions", ROW[0], r"train_captions: expected rank 2 .* shape \(6,\)"),
        (CAPTIONS, "train_captions", ROW[:0], r"train_captions: expected rank 2 .* \(0, 6\)"),
        (CAPTIONS, "train_image_idxs", ROW, r"train_image_idxs: expected rank 1 .* \(3, 6\)"),
        (CAPTIONS, "train_image_idxs", [0.0, 1.0, 1.0], "image_idxs: expected integers, got float"),
        (CAPTIONS, "train_image_idxs", [0, 1], r"train_image_idxs: expected .* 3 captions, got 2"),
        (CAPTIONS, "train_image_idxs", [0, 2, 1], r"image_idxs, row 1: .* image 2, .*ages 0 to 1"),
        (CAPTIONS, "train_image_idxs", [0, 1, -1], r"train_image_idxs, row 2: .* of image -1"),
        (CAPTIONS, "train_image_idxs", [1, 1, 1], r"fc7_pca.h5, features, row 0: .* no caption in"),
        (TRAIN_FEATURES, "features", features(2, 3) > 0, "features: expected floats, got bool"),
        (TRAIN_FEATURES, "features", features(2, 3)[0], r"features: expected rank 2 .* \(3,\)"),
        (TRAIN_FEATURES, "features", features(4, 3), r"row 2: .* no caption in .* are 2 such"),
        (TRAIN_FEATURES, "features", features(1, 3), r"train_image_idxs, row 0: .* images 0 to 0"),
        (VAL_FEATURES, "features", features(1, 4), r"val2014.*features: expected 3 .*got 4"),
        (VAL_FEATURES, "features", [[0.0, np.inf, 1]], r"val2014.*, features, row 0: a feature is"),
        (VAL_FEATURES, "features", [[0.0, -1e39, 1]], r"val2014.*, features, row 0: a feature is"),
        (TRAIN_FEATURES, "features", [[0.0], [np.nan]], r"train2014.*, features, row 1: a feature"),
    ],
)
def test_broken_datasets(
    root: Path, name: str, dataset: str, content: object, message: str
) -> None:
    change(root / name, dataset, content)
    with pytest.raises(DataFormatError, match=message) as raised:
        load_coco(root)
    assert str(root) in str(raised.value)


def test_a_group_is_no_dataset(root: Path) -> None:
    change(root / VAL_FEATURES, "features", None)
    with h5py.File(root / VAL_FEATURES, "r+") as file:
        file.create_group("features")
        file.create_group(b"\xe9")  # a name that is not UTF-8
    with pytest.raises(DataFormatError, match=r"expected a dataset features, got features, b"):
        load_coco(root)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, 4, 7, 2, 0, 0], r"expected word indices from 0 to 6, got \[1, 4, 7, 2, 0, 0\]"),
        ([1, 4, -1, 2, 0, 0], r"expected word indices from 0 to 6, got \[1, 4, -1, 2, 0, 0\]"),
        ([4, 5, 2, 0, 0, 0], r"expected <START> first, got 'a dog <END> <NULL> <NULL> <NULL>'"),
        ([0, 0, 0, 0, 0, 0], r"expected <START> first"),
        ([1, 4, 5, 6, 4, 5], r"expected <END> after the words, got '<START> a dog runs a dog'"),
        ([1, 2, 0, 0, 0, 0], r"expected a word between <START> and <END>"),
        ([1, 4, 0, 5, 2, 0], r"expected words alone between <START> and <END>"),
        ([1, 1, 4, 2, 0, 0], r"expected words alone between <START> and <END>"),
        ([1, 4, 2, 0, 5, 0], r"expected nothing but <NULL> after <END>"),
        ([1, 4, 2, 2, 0, 0], r"expected nothing but <NULL> after <END>"),
        ([1, 4, 2, 0, 0, 1], r"expected nothing but <NULL> after <END>"),
    ],
)
@pytest.mark.parametrize("part", ["train", "val"])
def test_broken_captions(root: Path, part: str, row: list[int], message: str) -> None:
    captions = {"train": [*TRAIN[:2], row], "val": [row]}[part]
    change(root / CAPTIONS, f"{part}_captions", captions)
    place = rf"{CAPTIONS}, {part}_captions, row {len(captions) - 1}: "
    with pytest.raises(DataFormatError, match=place + message):
        load_coco(root)


INDEX = {word: idx for idx, word in enumerate(WORDS)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a list of words under idx_to_word"),
        ({"word_to_idx": INDEX}, "expected a list of words under idx_to_word"),
        ({"idx_to_word": [*WORDS, 7]}, "expected a list of words under idx_to_word"),
        ({"idx_to_word": WORDS}, "expected the index of each word under word_to_idx"),
        ({"idx_to_word": WORDS, "word_to_idx": INDEX | {"dog": 4}}, r"'dog' at 5, .* gives it 4"),
        ({"idx_to_word": [*WORDS, "cat"], "word_to_idx": INDEX}, r"'cat' at 7, .* gives it None"),
        ({"idx_to_word": [*WORDS, "dog"], "word_to_idx": INDEX}, r"'dog' at 7, .* gives it 5"),
        ({"idx_to_word": WORDS, "word_to_idx": INDEX | {"cat": 7}}, r"word_to_idx holds 'cat'"),
        (
            {"idx_to_word": WORDS[1:], "word_to_idx": {w: i for i, w in enumerate(WORDS[1:])}},
            r"idx_to_word: words must begin with \('<NULL>', '<START>'",
        ),
    ],
)
def test_broken_vocabularies(root: Path, content: object, message: str) -> None:
    write_json(root, content)
    with pytest.raises(DataFormatError, match=message) as raised:
        load_coco(root)
    assert str(root / VOCABULARY) in str(raised.value)


@pytest.mark.parametrize("cut", [lambda text: text[:-3], lambda text: b"\xff" + text])
def test_vocabulary_that_is_no_json(root: Path, cut: Callable[[bytes], bytes]) -> None:
    (root / VOCABULARY).write_bytes(cut((root / VOCABULARY).read_bytes()))
    with pytest.raises(DataFormatError, match=f"{VOCABULARY}: not JSON"):
        load_coco(root)
