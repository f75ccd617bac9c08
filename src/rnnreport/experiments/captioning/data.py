"""The captioned images of the experiments: photographs, drawn scenes, or COCO's features.

A network without attention gets one row of features an image, one with attention a row for each
of the image's places.
"""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from rnnreport._files import write_whole
from rnnreport.data.assets import DataFormatError, fingerprint, require, stamp
from rnnreport.data.coco import Coco, CocoPart, load_coco
from rnnreport.data.features import (
    mobilenet_v2_maps,
    pixel_features,
    pixel_patches,
)
from rnnreport.data.flickr8k import (
    Flickr8k,
    Parts,
    load_flickr8k,
    official_parts,
    split_by_name,
)
from rnnreport.data.vocabulary import CaptionVocabulary
from rnnreport.data.weights import load_torchvision
from rnnreport.names import ResolvedProfile
from rnnreport.progress import track
from rnnreport.runs.definitions import code_fingerprint, hash_of
from rnnreport.runs.store import locked, store_folder
from rnnreport.samples.scenes import Scenes, draw, generate

__all__ = [
    "LEAST_PHOTOGRAPHS",
    "CaptionData",
    "Captions",
    "ImageData",
    "Pools",
    "Split",
    "Splits",
    "Words",
    "coco_data",
    "features_of",
    "image_data",
]

Words = tuple[str, ...]
Captions = Mapping[str, tuple[Words, ...]]
"""The captions of each image, by its name."""

LEAST_PHOTOGRAPHS = 18
"""So many photographs leave 14 for training, and 2 each for validation and for the test."""

_SIDE, _GRID, _PLACES = 96, 12, 6  # of the drawn scenes: pixels, cells and places along a side


@dataclass(frozen=True)
class Split:
    """Images with their features, and their captions as word indices.

    Attributes
    ----------
    names : tuple of str
        The N images.
    features : Tensor, float32, shape (N, F) or (N, P, F)
        Their features.
    captions : Tensor, int64, shape (M, L)
        All captions, as :meth:`~rnnreport.data.vocabulary.CaptionVocabulary.encode` writes them.
    owners : Tensor, int64, shape (M,)
        Which image each caption is of.
    references : tuple
        The captions of each image as words, also words that the vocabulary does not have.
    """

    names: tuple[str, ...]
    features: Tensor
    captions: Tensor
    owners: Tensor
    references: tuple[tuple[Words, ...], ...]

    @cached_property
    def lengths(self) -> Tensor:
        """How many words each caption has, with ``<START>`` and ``<END>``, shape (M,)."""
        return (self.captions != 0).sum(1)  # <NULL> is the first of the special words

    def between(self, start: int, stop: int | None = None) -> Split:
        """Return some of the images, with all their captions."""
        rows = range(len(self.names))[start:stop]
        chosen = (self.owners >= rows.start) & (self.owners < rows.stop)
        return Split(
            self.names[start:stop],
            self.features[start:stop],
            self.captions[chosen],
            self.owners[chosen] - rows.start,
            self.references[start:stop],
        )


class Pools(NamedTuple):
    """The captions of the images of each part: to learn from, to choose by, to measure on."""

    train: Captions
    val: Captions
    test: Captions


class Splits(NamedTuple):
    """The three parts as a network takes them."""

    train: Split
    val: Split
    test: Split


class CaptionData(ABC):
    """Captions of images and features of these."""

    @property
    @abstractmethod
    def about(self) -> dict[str, Any]:
        """The description of the images that a result keeps."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of what stands among the images and is none."""
        return ()

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of all that decides the images, the captions and the features."""

    @abstractmethod
    def vocabulary(self, min_count: int) -> CaptionVocabulary:
        """Return the words that stand in the training captions at least so many times."""

    @abstractmethod
    def splits(
        self, vocabulary: CaptionVocabulary, *, places: bool, max_words: int
    ) -> Splits:
        """Return all images of each part, as a network takes them.

        Raises
        ------
        ValueError
            If a caption has more than `max_words` words, or there are no features of places.
        """

    @abstractmethod
    def image(self, name: str, size: int | None = None) -> Image.Image:
        """Return an image to look at.

        Raises
        ------
        KeyError
            If there is no such image, or no picture of it.
        """


class ImageData(CaptionData):
    """Captions and features of images that are at hand, each with a name."""

    @abstractmethod
    def pools(self) -> Pools:
        """Return the captions of all images, part by part."""

    @abstractmethod
    def features(self, names: Sequence[str], *, places: bool) -> Tensor:
        """Return the features of these images: (N, P, F) with `places`, else (N, F)."""

    def vocabulary(self, min_count: int) -> CaptionVocabulary:
        """Return the words that stand in the training captions at least so many times."""
        captions = (words for of_one in self.pools().train.values() for words in of_one)
        return CaptionVocabulary.build(captions, min_count)

    def splits(
        self, vocabulary: CaptionVocabulary, *, places: bool, max_words: int
    ) -> Splits:
        """Return all images of each part, as a network takes them."""

        def split(pool: Captions) -> Split:
            names = tuple(pool)
            return Split(
                names,
                self.features(names, places=places),
                vocabulary.encode([words for name in names for words in pool[name]], max_words + 2),
                torch.tensor([row for row, name in enumerate(names) for _ in pool[name]]),
                tuple(pool.values()),
            )

        return Splits(*map(split, self.pools()))


class _Photographs(ImageData):
    """Flickr8k with features of MobileNetV2."""

    def __init__(self, max_words: int | None) -> None:
        folder, self._weights = require("flickr8k"), require("mobilenet_v2")
        self._data: Flickr8k = load_flickr8k(folder, max_words=max_words)
        count = len(self._data.captions)
        if count < LEAST_PHOTOGRAPHS:
            raise DataFormatError(
                f"{folder} holds {count} photographs with captions, and the experiments need at "
                f"least {LEAST_PHOTOGRAPHS}: enough to learn from, and some to validate"
            )

    @property
    def about(self) -> dict[str, Any]:
        return {
            "name": "photographs of Flickr8k",
            "features": f"MobileNetV2 trained on ImageNet ({self._weights.name})",
            "folder": self._data.root.name,
            "n_images": len(self._data.captions),
        }

    @property
    def left_out(self) -> tuple[str, ...]:
        return tuple(path.name for path in self._data.left_out)

    @cached_property
    def parts(self) -> Parts:
        """Which photographs are of which part: by the official lists, else by their names."""
        by_list = official_parts(self._data)
        return by_list or Parts(*split_by_name(self._data.captions, (1 / 9, 1 / 9)))

    def pools(self) -> Pools:
        captions = self._data.captions
        return Pools(*({name: captions[name] for name in part} for part in self.parts))

    def fingerprint(self) -> str:
        paths = map(self._data.path, self._data.captions)
        mark = fingerprint([self._data.captions_path, self._weights, *paths])
        return hash_of([mark, self.parts])

    @cached_property
    def _features_mark(self) -> str:
        """A hash of all that decides the features: the weights, the images and the code."""
        mark = fingerprint([self._weights, *map(self._data.path, self._data.captions)])
        code = code_fingerprint("rnnreport.data.features")
        return hashlib.sha256(f"{mark} {code}".encode()).hexdigest()

    def features(self, names: Sequence[str], *, places: bool) -> Tensor:
        all_names = list(self._data.captions)
        mark = self._features_mark
        path = store_folder() / f"mobilenet_v2_maps-{mark[:20]}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):  # the networks that are trained side by side all need them
            stored = _read_features(path, mark)
            if stored is None:
                images = map(self._data.image, track(all_names, "image features"))
                stored = _compute_features(images, self._weights)
                write_whole(path, safetensors.torch.save(stored, {"fingerprint": mark}))
                _read_features.cache_clear()
        row = {name: number for number, name in enumerate(all_names)}
        rows = [row[name] for name in names]
        return stored["places"][rows].float() if places else stored["whole"][rows]

    def image(self, name: str, size: int | None = None) -> Image.Image:  # noqa: ARG002
        if name not in self._data.captions:
            raise KeyError(name)
        return self._data.image(name)


def _compute_features(images: Iterable[Image.Image], weights: Path) -> dict[str, Tensor]:
    whole, places = [], []
    for maps in mobilenet_v2_maps(images, load_torchvision("mobilenet_v2", weights)):
        whole.append(maps.mean(1))
        places.append(maps.half())  # all of them in full precision would be large
    return {"whole": torch.cat(whole), "places": torch.cat(places)}


@functools.lru_cache(maxsize=1)  # 120 MB for 900 images
def _read_features(path: Path, mark: str) -> dict[str, Tensor] | None:
    """Read stored features; None where there are none that fit."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("fingerprint") != mark:
                return None
            return {name: file.get_tensor(name) for name in ("whole", "places")}
    except (OSError, safetensors.SafetensorError):
        return None


class _DrawnScenes(ImageData):
    """Generated scenes with pixel features, part after part."""

    def __init__(self, n_train: int, n_val: int, n_test: int, seed: int) -> None:
        self._sizes = n_train, n_val, n_test
        self._seed = seed

    @cached_property
    def _scenes(self) -> Scenes:
        generator = torch.Generator().manual_seed(self._seed)
        return generate(sum(self._sizes), generator=generator, size=_SIDE)

    @property
    def about(self) -> dict[str, Any]:
        return {
            "name": "generated scenes",
            "features": (
                f"pixel features: mean colours on a {_GRID} × {_GRID} grid, or for attention in "
                f"{_PLACES} × {_PLACES} places"
            ),
            "n_images": sum(self._sizes),
        }

    def pools(self) -> Pools:
        captions = iter(zip(self._scenes.names, self._scenes.captions, strict=True))
        return Pools(*(dict(islice(captions, size)) for size in self._sizes))

    def fingerprint(self) -> str:
        # The code decides what is drawn; to draw it takes seconds.
        return hash_of([code_fingerprint("rnnreport.samples.scenes"), self._sizes, self._seed])

    def features(self, names: Sequence[str], *, places: bool) -> Tensor:
        row = {name: number for number, name in enumerate(self._scenes.names)}
        return _describe(self._scenes.images[[row[name] for name in names]], places)

    def image(self, name: str, size: int | None = None) -> Image.Image:
        if name not in self._scenes.names:
            raise KeyError(name)
        scene = self._scenes.scenes[self._scenes.names.index(name)]
        return draw(scene, size or _SIDE)


def _describe(images: Tensor, places: bool) -> Tensor:
    """Pixel features of pictures of the scenes' size."""
    if places:
        return pixel_patches(images, grid=_PLACES)
    return pixel_features(images, grid=_GRID)


class _CocoFeatures(CaptionData):
    """COCO's captions with the features of VGG-16 that come with them; there are no pictures."""

    def __init__(self) -> None:
        self._root = require("coco")
        self._data: Coco = load_coco(self._root)

    @property
    def about(self) -> dict[str, Any]:
        return {
            "name": "captions of COCO",
            "features": "VGG-16 trained on ImageNet, reduced to principal components",
            "folder": self._root.name,
            "n_images": len(self._data.train.features) + len(self._data.val.features),
        }

    def fingerprint(self) -> str:
        return fingerprint(self._data.paths)

    def image(self, name: str, size: int | None = None) -> Image.Image:  # noqa: ARG002
        raise KeyError(name)

    def vocabulary(self, min_count: int) -> CaptionVocabulary:  # noqa: ARG002
        return self._data.vocabulary

    def splits(
        self, vocabulary: CaptionVocabulary, *, places: bool, max_words: int
    ) -> Splits:
        if places:
            raise ValueError(
                "cell_type must be 'rnn' or 'lstm' with COCO: its files have no places"
            )
        if vocabulary != self._data.vocabulary:
            raise ValueError("vocabulary must be COCO's own")
        longest = self._data.train.captions.shape[1] - 2
        if longest > max_words:
            raise ValueError(f"max_words must be at least {longest} with COCO, got {max_words}")

        def split(part: CocoPart, name: str) -> Split:
            names = tuple(f"{name}-{row}" for row in range(len(part.features)))
            references: list[list[Words]] = [[] for _ in names]
            for owner, words in zip(
                part.image_idxs.tolist(), vocabulary.decode(part.captions), strict=True
            ):
                references[owner].append(tuple(words))
            return Split(
                names,
                part.features,
                part.captions,
                part.image_idxs,
                tuple(map(tuple, references)),
            )

        val = split(self._data.val, "val")
        half = len(val.names) // 2  # COCO's own test images have no captions that are public
        return Splits(split(self._data.train, "train"), val.between(0, half), val.between(half))


def image_data(
    profile: ResolvedProfile,
    *,
    n_train: int,
    n_val: int,
    n_test: int = 100,
    data_seed: int = 0,
    max_words: int | None = None,
) -> ImageData:
    """Load photographs with captions, or draw scenes.

    Parameters
    ----------
    profile
        ``"full"``: the photographs of Flickr8k; ``"sample"``: drawn scenes.
    n_train, n_val, n_test, data_seed
        Of the drawn scenes.
    max_words
        The most words of a photograph's caption; no bound where not given.

    Raises
    ------
    MissingDataError
        If real data is asked for and not there.
    DataFormatError
        If a file cannot be read, a caption is too long, or there are fewer photographs than
        :data:`LEAST_PHOTOGRAPHS`.
    """
    if profile == "sample":
        return _drawn_scenes(n_train, n_val, n_test, data_seed)
    files = tuple(stamp("flickr8k")), tuple(stamp("mobilenet_v2"))
    return _photographs(files, max_words)


@functools.lru_cache(maxsize=4)  # the same for all cells and seeds
def _drawn_scenes(n_train: int, n_val: int, n_test: int, seed: int) -> _DrawnScenes:
    return _DrawnScenes(n_train, n_val, n_test, seed)


@functools.lru_cache(maxsize=2)  # as long as no file changes
def _photographs(_files: object, max_words: int | None) -> _Photographs:
    return _Photographs(max_words)


def coco_data() -> CaptionData:
    """Load the captions and features of COCO.

    Raises
    ------
    MissingDataError
        If they are not there.
    DataFormatError
        If a file cannot be read.
    """
    return _coco_features(tuple(stamp("coco")))


@functools.lru_cache(maxsize=1)  # as long as no file changes
def _coco_features(_files: object) -> _CocoFeatures:
    return _CocoFeatures()


def features_of(images: Iterable[Image.Image], profile: ResolvedProfile, *, places: bool) -> Tensor:
    """Compute the features of pictures that belong to no data set.

    Parameters
    ----------
    images
        At least one, in RGB, of any size.
    profile
        ``"full"``: features of MobileNetV2; ``"sample"``: pixel features.
    places
        Whether of each place.

    Returns
    -------
    Tensor, float32, shape (N, P, F) with `places`, else (N, F)
        The features.

    Raises
    ------
    MissingDataError
        If the weights of MobileNetV2 are needed and not there.
    """
    if profile == "full":
        network = load_torchvision("mobilenet_v2", require("mobilenet_v2"))
        maps = torch.cat(list(mobilenet_v2_maps(images, network)))
        return maps if places else maps.mean(1)
    pixels = [
        np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)) for image in images
    ]
    stack = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
    return _describe(stack, places)
