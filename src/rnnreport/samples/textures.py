"""Textures: generated images of warped waves in random colours.

A network that shall judge paintings must know more than photographs. These images have strong,
saturated colours and stripes, eddies and grains of any scale, and no two of them are alike.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from rnnreport.draws import chance, uniform

__all__ = ["generate_textures"]

_GRID = 5  # points along a side, at which the warp is drawn
_COLOURS = 4
_LONGEST = 6.0  # wave, in octaves of a pixel
_SHORTEST = 1.2


def generate_textures(n: int, size: int, generator: Generator) -> Tensor:
    """Draw `n` textures as a float32 tensor (n, 3, size, size) with values from 0 to 1.

    A number below 1 is a ``ValueError``.
    """
    if n < 1 or size < 1:
        raise ValueError(f"n and size must be at least 1, got {n} and {size}")
    return torch.stack([_texture(size, generator) for _ in range(n)])


def _texture(size: int, generator: Generator) -> Tensor:
    """Add up a few waves, bend them, and colour their heights."""
    places = torch.arange(size, dtype=torch.float32)
    y, x = torch.meshgrid(places, places, indexing="ij")
    bend = torch.randn(1, 2, _GRID, _GRID, generator=generator) * uniform(0, size / 5, generator)
    bend = functional.interpolate(bend, size=(size, size), mode="bicubic", align_corners=True)
    x, y = x + bend[0, 0], y + bend[0, 1]

    height = torch.zeros(size, size)
    for _ in range(int(torch.randint(1, 5, (), generator=generator))):
        frequency = 2 * math.pi / 2 ** uniform(_SHORTEST, _LONGEST, generator)
        direction = uniform(0, math.pi, generator)
        phase = uniform(0, 2 * math.pi, generator)
        along = x * math.cos(direction) + y * math.sin(direction)
        height += torch.sin(frequency * along + phase) * uniform(0.2, 1.0, generator)
    if chance(0.5, generator):  # grains
        height += torch.randn(size, size, generator=generator) * uniform(0, 0.8, generator)

    height = (height - height.min()) / (height.max() - height.min() + 1e-6) * (_COLOURS - 1) * 0.999
    colours = torch.rand(_COLOURS, 3, generator=generator)
    below = height.long()
    share = (height - below)[:, :, None]
    if chance(0.3, generator):  # flat colours with sharp edges
        share = share.round()
    image = torch.lerp(colours[below], colours[below + 1], share).permute(2, 0, 1)
    noise = torch.randn(3, size, size, generator=generator) * uniform(0, 0.1, generator)
    return (image + noise).clamp(0, 1)
