"""The captioned images of the experiments: photographs, drawn scenes, or COCO's features."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rnnreport.data.assets import fingerprint, require, stamp
from rnnreport.data.coco import Coco, CocoPart, load_coco
from rnnreport.data.features import Projection, pixel_features, pixel_patches, project, standard
from rnnreport.data.vocabulary import CaptionVocabulary
from rnnreport.experiments.captioning.photographs import photograph_maps, photographs
from rnnreport.experiments.captioning.splits import (
    CaptionData,
    ImageData,
    Pools,
    Split,
    Splits,
    Words,
)
from rnnreport.names import ResolvedProfile
from rnnreport.runs.definitions import code_fingerprint, hash_of
from rnnreport.samples.scenes import Scenes, draw, generate

__all__ = ["coco_data", "features_of", "image_data"]

_SIDE, _GRID, _PLACES = 96, 12, 6  # of the drawn scenes: pixels, cells and places along a side


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

    def projection(self, *, places: bool) -> Projection:
        return self._projections[places]

    def features(self, names: Sequence[str], *, places: bool) -> Tensor:
        row = {name: number for number, name in enumerate(self._scenes.names)}
        pixels = self._scenes.images[[row[name] for name in names]]
        return project(_describe(pixels, places), self._projections[places])

    @cached_property
    def _projections(self) -> tuple[Projection, Projection]:
        """Of whole images, and of their places: standardised over those for training."""
        train = self._scenes.images[: self._sizes[0]]
        whole, places = (_describe(train, places).flatten(0, -2) for places in (False, True))
        return standard(whole), standard(places)

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

    def projection(self, *, places: bool) -> Projection:  # noqa: ARG002
        return standard(self._data.train.features)

    def splits(self, vocabulary: CaptionVocabulary, *, places: bool, max_words: int) -> Splits:
        if places:
            raise ValueError(
                "cell_type must be 'rnn' or 'lstm' with COCO: its files have no places"
            )
        if vocabulary != self._data.vocabulary:
            raise ValueError("vocabulary must be COCO's own")
        projection = self.projection(places=False)
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
                project(part.features, projection),
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
    n_test: int = 0,
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
    return photographs(max_words)


@functools.lru_cache(maxsize=4)  # the same for all cells and seeds
def _drawn_scenes(n_train: int, n_val: int, n_test: int, seed: int) -> _DrawnScenes:
    return _DrawnScenes(n_train, n_val, n_test, seed)


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
        ``"full"``: features of EfficientNet-Lite1; ``"sample"``: pixel features.
    places
        Whether of each place.

    Returns
    -------
    Tensor, float32, shape (N, P, F) with `places`, else (N, F)
        The features.

    Raises
    ------
    MissingDataError
        If the weights of EfficientNet-Lite1 are needed and not there.
    """
    if profile == "full":
        maps = torch.cat(list(photograph_maps(images)))
        return maps if places else maps.mean(1)
    pixels = [
        np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)) for image in images
    ]
    stack = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
    return _describe(stack, places)
