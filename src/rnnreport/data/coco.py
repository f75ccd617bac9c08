"""COCO captions with image features, as the course CS231n hands them out.

The layout is that of its folder ``coco_captioning``. Rows count from 0 here, in the files and in
messages.

``coco2014_captions.h5``
    ``train_captions`` and ``val_captions``, integers of shape (M, L): each row is ``<START>``, the
    words of a caption, ``<END>``, then ``<NULL>`` to the end. ``train_image_idxs`` and
    ``val_image_idxs``, integers of shape (M,): the row of each caption's image in the features.
``coco2014_vocab.json``
    ``idx_to_word``, a list of the words, and ``word_to_idx``, the index of each. ``<NULL>``,
    ``<START>``, ``<END>`` and ``<UNK>`` come first.
``train2014_vgg16_fc7_pca.h5`` and ``val2014_vgg16_fc7_pca.h5``
    ``features``, floats of shape (N, F): the outputs of VGG-16's last hidden layer for each image,
    reduced to 512 numbers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import torch
from torch import Tensor

from rnnreport.data.assets import DataFormatError
from rnnreport.data.foreign import check_content
from rnnreport.data.vocabulary import END, NULL, START, CaptionVocabulary

__all__ = ["Coco", "CocoPart", "load_coco"]


@dataclass(frozen=True)
class CocoPart:
    """M captions of N images.

    Attributes
    ----------
    captions : Tensor, int64, (M, L)
        Word indices, as :meth:`~rnnreport.data.vocabulary.CaptionVocabulary.encode` writes them.
    image_idxs : Tensor, int64, (M,)
        The row of each caption's image in `features`. Every image has a caption.
    features : Tensor, float32, (N, F)
        The features of the images.
    """

    captions: Tensor
    image_idxs: Tensor
    features: Tensor


@dataclass(frozen=True)
class Coco:
    """Captions and features for training and validation.

    Attributes
    ----------
    vocabulary
        The words.
    train, val
        The two parts. They share no image: each has features of its own.
    paths
        The files of captions, vocabulary and features, for a fingerprint.
    """

    vocabulary: CaptionVocabulary
    train: CocoPart
    val: CocoPart
    paths: tuple[Path, ...]


def load_coco(root: Path) -> Coco:
    """Read and check the files of a folder in the layout above.

    Parameters
    ----------
    root
        The folder.

    Returns
    -------
    Coco
        All of it, on the CPU.

    Raises
    ------
    MissingDataError
        If a file is not there.
    DataFormatError
        If a file is not HDF5 or JSON, or is cut short; if a dataset is missing, empty or of
        another dtype or rank; if the two tables of the vocabulary disagree; if a caption holds an
        index that is no word's, does not begin with ``<START>``, has no ``<END>``, no word before
        it or something behind it; if a caption has no image or an image no caption; if a feature is
        not finite in float32; or if training and validation images have different numbers of
        features. The message names the file, the dataset and the row.
    """
    captions_path, vocabulary_path = root / "coco2014_captions.h5", root / "coco2014_vocab.json"
    train_path, val_path = (root / f"{part}2014_vgg16_fc7_pca.h5" for part in ("train", "val"))
    paths = (captions_path, vocabulary_path, train_path, val_path)
    for path, content in zip(
        paths, ("the captions", "the vocabulary", *["image features"] * 2), strict=True
    ):
        check_content(path, f"{content} of COCO")

    vocabulary = _vocabulary(vocabulary_path)
    train, val = (
        _part(part, captions_path, features_path, vocabulary)
        for part, features_path in (("train", train_path), ("val", val_path))
    )
    if train.features.shape[1] != val.features.shape[1]:
        raise DataFormatError(
            f"{val_path}, features: expected {train.features.shape[1]} columns, as in "
            f"{train_path.name}, got {val.features.shape[1]}"
        )
    return Coco(vocabulary, train, val, paths)


def _part(part: str, path: Path, features_path: Path, vocabulary: CaptionVocabulary) -> CocoPart:
    captions = _read(path, f"{part}_captions", "integers", 2)
    _check_captions(f"{path}, {part}_captions", captions, vocabulary)
    features = _read(features_path, "features", "floats", 2)
    _check_finite(f"{features_path}, features", features)
    count = len(features)

    image_idxs = _read(path, f"{part}_image_idxs", "integers", 1)
    place = f"{path}, {part}_image_idxs"
    if len(image_idxs) != len(captions):
        raise DataFormatError(
            f"{place}: expected one index for each of the {len(captions)} captions, got "
            f"{len(image_idxs)}"
        )
    row = _first((image_idxs < 0) | (image_idxs >= count))
    if row is not None:
        raise DataFormatError(
            f"{place}, row {row}: the caption is of image {image_idxs[row]}, and {features_path} "
            f"holds images 0 to {count - 1}"
        )
    uncaptioned = image_idxs.bincount(minlength=count) == 0
    row = _first(uncaptioned)
    if row is not None:
        raise DataFormatError(
            f"{features_path}, features, row {row}: the image has no caption in {path}; there are "
            f"{int(uncaptioned.sum())} such images"
        )
    return CocoPart(captions, image_idxs, features)


def _check_captions(place: str, captions: Tensor, vocabulary: CaptionVocabulary) -> None:
    """Refuse rows that are not <START>, words, <END> and <NULL> to the end."""
    null, start, end = (vocabulary.word_to_idx[word] for word in (NULL, START, END))
    outside = ((captions < 0) | (captions >= len(vocabulary))).any(1)
    row = _first(outside)
    if row is not None:
        raise DataFormatError(
            f"{place}, row {row}: expected word indices from 0 to {len(vocabulary) - 1}, got "
            f"{captions[row].tolist()}"
        )
    column = torch.arange(captions.shape[1])
    ends = captions == end
    length = ends.long().argmax(1, keepdim=True)  # the column of the first <END>
    no_word = (captions == null) | (captions == start)
    for wrong, expected in (
        (captions[:, 0] != start, f"expected {START} first"),
        (~ends.any(1), f"expected {END} after the words"),
        (length[:, 0] < 2, f"expected a word between {START} and {END}"),
        (
            (no_word & (column > 0) & (column < length)).any(1),
            f"expected words alone between {START} and {END}",
        ),
        (
            ((captions != null) & (column > length)).any(1),
            f"expected nothing but {NULL} after {END}",
        ),
    ):
        row = _first(wrong)
        if row is not None:
            caption = " ".join(vocabulary.words[idx] for idx in captions[row].tolist())
            raise DataFormatError(f"{place}, row {row}: {expected}, got {caption!r}")


def _check_finite(place: str, features: Tensor) -> None:
    if not all(torch.isfinite(end) for end in features.aminmax()):  # NaN is passed on to both ends
        row = _first(~features.isfinite().all(1))
        raise DataFormatError(f"{place}, row {row}: a feature is NaN or infinite in float32")


def _first(wrong: Tensor) -> int | None:
    """Return the number of the first row that is wrong, or None if no row is."""
    return int(wrong.int().argmax()) if wrong.any() else None


def _read(path: Path, name: str, kind: Literal["integers", "floats"], rank: int) -> Tensor:
    """Read a dataset as int64 or float32."""
    kinds, dtype = {"integers": ("iu", np.int64), "floats": ("f", np.float32)}[kind]
    try:
        with h5py.File(path, "r") as file:
            dataset = file.get(name)
            if not isinstance(dataset, h5py.Dataset):
                raise DataFormatError(
                    f"{path}: expected a dataset {name}, got {', '.join(map(str, file)) or 'none'}"
                )
            if dataset.dtype.kind not in kinds:
                raise DataFormatError(f"{path}, {name}: expected {kind}, got {dataset.dtype}")
            if dataset.ndim != rank or 0 in dataset.shape:
                raise DataFormatError(
                    f"{path}, {name}: expected rank {rank} and no empty axis, got shape "
                    f"{dataset.shape}"
                )
            return torch.from_numpy(dataset.astype(dtype)[...])
    except (OSError, RuntimeError, KeyError) as error:
        raise DataFormatError(f"{path}, {name}: not readable as HDF5 ({error})") from error


def _vocabulary(path: Path) -> CaptionVocabulary:
    try:
        tables = json.loads(path.read_bytes())
    except ValueError as error:  # of the encoding or of the syntax
        raise DataFormatError(f"{path}: not JSON ({error})") from error
    if not isinstance(tables, dict):
        tables = {}
    words, index = tables.get("idx_to_word"), tables.get("word_to_idx")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataFormatError(f"{path}: expected a list of words under idx_to_word")
    if not isinstance(index, dict):
        raise DataFormatError(f"{path}: expected the index of each word under word_to_idx")
    for idx, word in enumerate(words):
        if index.get(word) != idx:
            raise DataFormatError(
                f"{path}: idx_to_word has {word!r} at {idx}, and word_to_idx gives it "
                f"{index.get(word)}"
            )
    if len(index) > len(words):
        more = next(word for word in index if word not in words)
        raise DataFormatError(f"{path}: word_to_idx holds {more!r}, and idx_to_word does not")
    try:
        return CaptionVocabulary(tuple(words))
    except ValueError as error:
        raise DataFormatError(f"{path}, idx_to_word: {error}") from error
