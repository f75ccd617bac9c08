"""The images that the embedded network learns from: photographs, textures, and images under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Generator, Tensor

from rnnreport.data.assets import fingerprint, require
from rnnreport.data.flickr8k import load_flickr8k, split_by_name
from rnnreport.data.hymenoptera import load_hymenoptera
from rnnreport.data.pictures import read_picture
from rnnreport.data.views import to_tensor
from rnnreport.draws import chance, pick, uniform
from rnnreport.experiments.distillation.teacher import channels_last, gram_error
from rnnreport.models.embedded import MAPS, EmbeddedNetwork
from rnnreport.samples.textures import generate_textures

__all__ = ["EDGES", "Images", "Photographs", "Pursuit", "photographs"]


@dataclass(frozen=True)
class Photographs:
    """Photographs to learn from, and others.

    Attributes
    ----------
    train, unseen
        In RGB.
    fingerprint
        A hash of the files of `train`.
    """

    train: tuple[Image.Image, ...]
    unseen: tuple[Image.Image, ...]
    fingerprint: str


def photographs() -> Photographs:
    """Read the photographs: those for training of Flickr8k and of the ants and bees, and the rest.

    Raises
    ------
    MissingDataError
        If they are not there.
    DataFormatError
        If a file cannot be read.
    """
    flickr = load_flickr8k(require("flickr8k"))
    insects = load_hymenoptera(require("hymenoptera"))
    parts = [
        [*map(flickr.path, names), *files]
        for names, files in zip(
            split_by_name(flickr.captions), (insects.train, insects.val), strict=True
        )
    ]
    train, unseen = (tuple(map(read_picture, part)) for part in parts)
    return Photographs(train, unseen, fingerprint(parts[0]))


class Images:
    """Draws the images that a step learns from, normalised, (n, 3, S, S)."""

    def __init__(self, pictures: Sequence[Image.Image], side: int, generator: Generator) -> None:
        self._pictures = pictures
        self._side = side
        self._generator = generator

    def crops(self, n: int) -> Tensor:
        """Draw crops of photographs as they are."""
        return torch.stack(
            [
                _crop(pick(self._pictures, self._generator), self._side, self._generator)
                for _ in range(n)
            ]
        )

    def photographs(self, n: int) -> Tensor:
        """Draw crops of photographs, every second one recoloured."""
        return _recolour(self.crops(n), self._generator)

    def textures(self, n: int) -> Tensor:
        """Draw textures."""
        black, white = EDGES
        images = generate_textures(n, self._side, self._generator)
        return black + images * (white - black)

    def either(self) -> Tensor:
        """Draw a crop or a texture."""
        return self.photographs(1) if chance(0.5, self._generator) else self.textures(1)


class Pursuit:
    """Images that take on the style of others, a step at a time, under a network that learns."""

    _STEP = 0.025  # of a normalised pixel, root mean square
    _MOMENTUM = 0.8
    _FRESH = 1 / 60  # how often an image starts anew

    def __init__(self, images: Images, n: int, generator: Generator) -> None:
        self._drawn = images
        self._generator = generator
        self.images = images.photographs(n)
        self._targets = torch.cat([images.either() for _ in range(n)])
        self._momentum = torch.zeros_like(self.images)

    def step(self, network: EmbeddedNetwork) -> None:
        """Move the images along the gradient of the style loss."""
        images = channels_last(self.images).requires_grad_()
        with torch.no_grad():
            wanted = network.maps(channels_last(self._targets), MAPS)
        maps = network.maps(images, MAPS)
        loss = torch.stack([gram_error(maps[name], wanted[name]).sum() for name in MAPS]).sum()
        (gradient,) = torch.autograd.grad(loss, images)
        size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-8)
        self._momentum = self._MOMENTUM * self._momentum + gradient / size
        self.images = within(images.detach() - self._STEP * self._momentum)
        for i in range(len(self.images)):
            if chance(self._FRESH, self._generator):
                self._restart(i)

    def _restart(self, i: int) -> None:
        if chance(0.7, self._generator):
            self.images[i] = self._drawn.photographs(1)[0]
        else:
            noise = torch.randn(self.images[i].shape, generator=self._generator)
            self.images[i] = within(noise)[0]
        self._targets[i] = self._drawn.either()[0]
        self._momentum[i] = 0


def _crop(picture: Image.Image, side: int, generator: Generator) -> Tensor:
    """Return a square part of a picture, normalised, at 0.45 to 1.25 of its size."""
    span = min(*picture.size, side * uniform(0.8, 2.2, generator))
    left, top = (uniform(0, whole - span, generator) for whole in picture.size)
    part = picture.resize(
        (side, side), Image.Resampling.BILINEAR, box=(left, top, left + span, top + span)
    )
    image = to_tensor(part)
    return image.flip(2) if chance(0.5, generator) else image


def _recolour(images: Tensor, generator: Generator) -> Tensor:
    """Mix and shift the colours of every second image."""
    n = len(images)
    mixing = torch.eye(3) + 0.35 * torch.randn(n, 3, 3, generator=generator)
    middle = images.mean((2, 3), keepdim=True)
    mixed = torch.einsum("nij,njhw->nihw", mixing, images - middle)
    shifted = mixed + middle + 0.65 * torch.randn(n, 3, 1, 1, generator=generator)
    keep = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
    return torch.where(keep, images, within(shifted))


def within(images: Tensor) -> Tensor:
    """Clamp normalised images to what pixels from 0 to 1 become."""
    black, white = EDGES
    return images.clamp(black, white)


EDGES = tuple(
    to_tensor(Image.new("RGB", (1, 1), colour))[None] for colour in ("black", "white")
)  # (1, 3, 1, 1)
