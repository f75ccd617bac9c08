"""The photographs of Flickr8k, with features of a network trained on ImageNet."""

from __future__ import annotations

import functools
import itertools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from PIL import Image
from torch import Generator, Tensor, nn

from rnnreport._files import write_whole
from rnnreport.data.assets import DataFormatError, fingerprint, require, stamp
from rnnreport.data.features import (
    Projection,
    Statistics,
    feature_maps,
    principal_components,
    project,
    statistics,
)
from rnnreport.data.flickr8k import (
    Flickr8k,
    Parts,
    load_flickr8k,
    official_parts,
    split_by_name,
)
from rnnreport.data.views import encoded_again, random_part
from rnnreport.experiments.captioning.splits import ImageData, Pools
from rnnreport.models.efficientnet import SIDES, load_efficientnet_lite
from rnnreport.progress import track
from rnnreport.runs.definitions import code_fingerprint, hash_of
from rnnreport.runs.store import locked, store_folder

__all__ = ["LEAST_PHOTOGRAPHS", "Photographs", "photograph_maps", "photographs"]

LEAST_PHOTOGRAPHS = 18
"""So many photographs leave 14 for training, and 2 each for validation and for the test."""

_SIDE = SIDES[1]
_COMPONENTS = 384  # numbers that are kept of the 1,280 of a place
_SAMPLE = 1000  # training images that decide which
_LEAST_AREA = 0.5  # of a part, as a share of the picture


class Photographs(ImageData):
    """Flickr8k with features of EfficientNet-Lite1.

    Parameters
    ----------
    max_words
        The most words of a caption; no bound where not given.

    Raises
    ------
    MissingDataError
        If the photographs or the network's weights are not there.
    DataFormatError
        If a file cannot be read, a caption is too long, or there are too few photographs.
    """

    def __init__(self, max_words: int | None) -> None:
        folder, self._weights = require("flickr8k"), require("efficientnet_lite1")
        self._data: Flickr8k = load_flickr8k(folder, max_words=max_words)
        count = len(self._data.captions)
        if count < LEAST_PHOTOGRAPHS:
            raise DataFormatError(
                f"{folder} holds {count} photographs with captions, and the experiments need at "
                f"least {LEAST_PHOTOGRAPHS}: enough to learn from, to choose by and to measure on"
            )

    @property
    def about(self) -> dict[str, Any]:
        """The description of the images that a result keeps."""
        official = official_parts(self._data) is not None
        return {
            "name": "photographs of Flickr8k",
            "features": "EfficientNet-Lite1 trained on ImageNet",
            "folder": self._data.root.name,
            "parts": "the official ones" if official else "by a hash of the file's name",
            "n_images": sum(map(len, self.parts)),
        }

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of what stands among the images and is none."""
        return tuple(path.name for path in self._data.left_out)

    @cached_property
    def parts(self) -> Parts:
        """Which photographs are of which part: by the official lists, else by their names."""
        official = official_parts(self._data)
        return official or Parts(*split_by_name(self._data.captions, (1 / 9, 1 / 9)))

    def pools(self) -> Pools:
        """Return the captions of all images, part by part."""
        captions = self._data.captions
        return Pools(*({name: captions[name] for name in part} for part in self.parts))

    @cached_property
    def _images_mark(self) -> str:
        """A hash of the images and their parts, and of the network's weights."""
        names = itertools.chain(*self.parts)
        return hash_of([fingerprint([self._weights, *map(self._data.path, names)]), self.parts])

    def fingerprint(self) -> str:
        """Return a hash of all that decides the images, the captions and the features."""
        return hash_of([self._images_mark, fingerprint([self._data.captions_path])])

    def projection(self, *, places: bool) -> Projection:
        """Return the map from the network's features to those that a captioning network takes.

        They are principal components of the features of single places. The mean of an image's
        places varies less than they do, and each of its components is brought to a variance of 1.
        """
        components, spread = self._components
        return components if places else components._replace(basis=components.basis / spread)

    def features(self, names: Sequence[str], *, places: bool) -> Tensor:
        """Return the features of these images: (N, P, F) with `places`, else (N, F)."""
        return self._features("whole", tuple(itertools.chain(*self.parts)), names, places)

    def variants(self, names: Sequence[str], *, places: bool) -> tuple[Tensor, ...]:
        """Return features of a random part of each training image, stored with losses."""
        return (self._features("part", self.parts.train, names, places),)

    def altered(self, names: Sequence[str], *, places: bool) -> Tensor:
        """Return features of test images that were stored at three quarters of their size."""
        return self._features("altered", self.parts.test, names, places)

    def image(self, name: str, size: int | None = None) -> Image.Image:  # noqa: ARG002
        """Return an image to look at."""
        if name not in self._data.captions:
            raise KeyError(name)
        return self._data.image(name)

    @cached_property
    def _mark(self) -> str:
        """A hash of all that decides the features: weights, images, their parts and the code."""
        return hash_of([self._images_mark, code_fingerprint(__name__)])

    @cached_property
    def _components(self) -> tuple[Projection, Tensor]:
        """The projection of a place, and the spread of its output's mean over the places."""
        train = self.parts.train
        chosen = train[:: math.ceil(len(train) / _SAMPLE)]

        def compute() -> dict[str, Tensor]:
            maps = torch.cat(list(photograph_maps(map(self._data.image, chosen))))
            components = principal_components(maps.flatten(0, 1), _COMPONENTS)
            whole = project(maps, components).mean(1)
            return {
                "mean": components.moments.mean,
                "basis": components.basis,
                "spread": statistics(whole).std,
            }

        stored = _stored("components", self._mark, compute)
        moments = Statistics(stored["mean"], torch.ones_like(stored["mean"]))
        return Projection(moments, stored["basis"]), stored["spread"]

    def _features(
        self, view: str, stored_names: Sequence[str], names: Sequence[str], places: bool
    ) -> Tensor:
        """Return features of images in a view, which are computed once for all `stored_names`."""
        components, spread = self._components

        def compute() -> dict[str, Tensor]:
            generator = Generator().manual_seed(zlib.crc32(view.encode()))
            pictures = (
                _VIEWS[view](self._data.image(name), generator)
                for name in track(stored_names, f"image features, {view}")
            )
            maps = [project(maps, components).half() for maps in photograph_maps(pictures)]
            return {"places": torch.cat(maps)}  # all of them in full precision would be large

        maps = _stored(view, self._mark, compute)["places"]
        row = {name: number for number, name in enumerate(stored_names)}
        rows = maps[[row[name] for name in names]]
        if places:
            return rows
        whole = [part.float().mean(1) for part in torch.split(rows, 500)]
        return torch.cat(whole) / spread


def photograph_maps(images: Iterable[Image.Image]) -> Iterator[Tensor]:
    """Compute the features of pictures, whole, at each of 8 × 8 places.

    Parameters
    ----------
    images
        In RGB, of any size.

    Yields
    ------
    Tensor, float32, (n, 64, 1280)
        Of a few pictures at once.

    Raises
    ------
    MissingDataError
        If the network's weights are not there.
    """
    yield from feature_maps(images, _network(tuple(stamp("efficientnet_lite1"))), _SIDE)


@functools.lru_cache(maxsize=1)  # as long as the file does not change
def _network(_files: object) -> nn.Module:
    return load_efficientnet_lite(require("efficientnet_lite1"), 1).folded().features


def photographs(max_words: int | None) -> Photographs:
    """Load the photographs, or return them as they were loaded where no file has changed.

    Parameters
    ----------
    max_words
        The most words of a caption; no bound where not given.

    Raises
    ------
    Exception
        What :class:`Photographs` raises.
    """
    return _photographs((tuple(stamp("flickr8k")), tuple(stamp("efficientnet_lite1"))), max_words)


@functools.lru_cache(maxsize=2)
def _photographs(_files: object, max_words: int | None) -> Photographs:
    return Photographs(max_words)


def _part(picture: Image.Image, generator: Generator) -> Image.Image:
    side = int(torch.randint(_SIDE * 5 // 8, _SIDE + 1, (), generator=generator))
    quality = int(torch.randint(40, 91, (), generator=generator))
    part = random_part(picture, side, generator, least_area=_LEAST_AREA)
    return encoded_again(part, part.size, quality)


def _altered(picture: Image.Image, generator: Generator) -> Image.Image:  # noqa: ARG001
    width, height = (max(round(3 / 4 * side), 1) for side in picture.size)
    return encoded_again(picture, (width, height), quality=75)


def _whole(picture: Image.Image, generator: Generator) -> Image.Image:  # noqa: ARG001
    return picture


_VIEWS: Mapping[str, Callable[[Image.Image, Generator], Image.Image]] = {
    "whole": _whole,
    "part": _part,
    "altered": _altered,
}


def _stored(name: str, mark: str, compute: Callable[[], dict[str, Tensor]]) -> Mapping[str, Tensor]:
    """Read tensors of the store, or compute and store them."""
    path = store_folder() / f"efficientnet_lite1-{name}-{mark[:20]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):  # the networks that are trained side by side all need them
        tensors = _read(path, mark)
        if tensors is None:
            tensors = {part: tensor.contiguous() for part, tensor in compute().items()}
            write_whole(path, safetensors.torch.save(tensors, {"fingerprint": mark}))
            _read.cache_clear()
            tensors = _read(path, mark)
    assert tensors is not None  # noqa: S101
    return tensors


@functools.lru_cache(maxsize=8)  # up to 400 MB for each view of 8,000 images
def _read(path: Path, mark: str) -> dict[str, Tensor] | None:
    """Read stored tensors; None where there are none that fit."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("fingerprint") != mark:
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError):
        return None
