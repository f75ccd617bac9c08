"""A brush: strokes of thick paint along given paths, rasterised all at once.

Lengths are in *units*: the short side of the picture is 1, x runs to the right and y downwards. A
stroke is a ribbon around its path. It carries bristles, each with its own shade, that run dry
towards the end, and its paint has a thickness. A stroke covers what was painted before it. In the
end light from the upper left falls on the thickness, which gives every stroke a light and a dark
edge, and the fine pixels are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from rnnreport.samples.pen import RGB

Array = NDArray[np.float64]
Field = Callable[[Array, Array], Array]
"""A quantity at the points (x, y); a flow is the angle of the strokes in radians."""

_FINE = 2  # fine pixels along one pixel
_DENSE = 1.3  # samples of a stroke along one fine pixel: no pixel of a bent stroke is missed
_SAMPLES = 400_000  # how many samples are in memory at a time


class Brush(NamedTuple):
    """How the strokes of one layer look.

    Attributes
    ----------
    width, length
        The size of a stroke, in units.
    spacing
        The distance between neighbouring strokes of a layer, in units.
    jitter
        How far the colour of a stroke strays, as a standard deviation; colours are from 0 to 1.
    streak
        How far the shades of the bristles of one stroke stray.
    dry
        Which share of the bristles ends before the stroke does.
    relief
        How thick the paint is; sets how strong its edges show.
    """

    width: float
    length: float
    spacing: float
    jitter: float = 0.04
    streak: float = 0.05
    dry: float = 0.4
    relief: float = 1.0


def trace(flow: Field, starts: Array, lengths: Array, steps: int = 5) -> Array:
    """Follow a flow from points (N, 2), half of each length backwards and half of it forwards.

    Lengths are in units; each half has `steps` straight pieces. Returns the corners of the paths,
    (N, 2 steps + 1, 2).
    """
    halves = []
    for sign in (-1, 1):
        at, last, half = starts, np.zeros_like(starts), list[Array]()
        for _ in range(steps):
            angle = flow(at[:, 0], at[:, 1])
            move = sign * np.stack([np.cos(angle), np.sin(angle)], -1)
            # An angle and its opposite are the same flow: never turn back.
            move *= np.where((move * last).sum(-1, keepdims=True) < 0, -1, 1)
            last = move
            at = at + (lengths / (2 * steps))[:, None] * move
            half.append(at)
        halves.append(half)
    return np.stack([*reversed(halves[0]), starts, *halves[1]], axis=1)


def clouds(
    rng: np.random.Generator, shape: tuple[int, int], size: float | tuple[float, float]
) -> Array:
    """Make smooth noise of mean 0 and standard deviation 1; its blots are `size` cells large."""
    noise = gaussian_filter(rng.standard_normal(shape), size, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std())


class Canvas:
    """A picture that is being painted: `size` is in pixels, `ground` the colour under the paint."""

    def __init__(
        self, size: tuple[int, int], ground: tuple[float, float, float], rng: np.random.Generator
    ) -> None:
        self.size, self.rng = size, rng
        self.scale = _FINE * min(size)
        self.width, self.height = size[0] / min(size), size[1] / min(size)
        shape = (size[1] * _FINE, size[0] * _FINE)
        self.colour = np.empty((*shape, 3), dtype=np.float32)
        self.colour[:] = ground
        self.thickness = np.zeros(shape, dtype=np.float32)

    def cover(self, brush: Brush, flow: Field, picture: Field, where: Field | None = None) -> None:
        """Cover the canvas with strokes that follow a flow and take the colours of a picture.

        If `where` is given, only strokes are painted in whose middle it is above 0.
        """
        columns, rows = (int(np.ceil(side / brush.spacing)) for side in (self.width, self.height))
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        starts = np.stack([x.ravel(), y.ravel()], -1) + self.rng.random((columns * rows, 2))
        starts = self.rng.permutation(starts * brush.spacing)
        if where is not None:
            starts = starts[where(starts[:, 0], starts[:, 1]) > 0]
        lengths = brush.length * self.rng.uniform(0.6, 1.3, len(starts))
        colours = picture(starts[:, 0], starts[:, 1])
        # A stroke strays most in lightness, less in hue.
        colours = colours + brush.jitter * self.rng.standard_normal((len(starts), 1))
        colours = colours + 0.3 * brush.jitter * self.rng.standard_normal((len(starts), 3))
        widths = brush.width * self.rng.uniform(0.7, 1.3, len(starts))
        self.stroke(trace(flow, starts, lengths), colours, widths, brush)

    def stroke(self, paths: Array, colours: Array, widths: Array, brush: Brush) -> None:
        """Paint strokes along paths (N, K, 2), one over the other in the order given.

        Paths and `widths` (N,) are in units, `colours` (N, 3) from 0 to 1. The brush gives the
        rest: `streak`, `dry` and `relief`.
        """
        if not len(paths):
            return
        reach = np.linalg.norm(np.diff(paths, axis=1), axis=2).sum(1).max()
        along = max(3, int(_DENSE * self.scale * reach))
        across = max(3, int(_DENSE * self.scale * widths.max()))
        step = max(1, _SAMPLES // (along * across))
        for first in range(0, len(paths), step):
            part = slice(first, first + step)
            self._stroke(paths[part], colours[part], widths[part], brush, along, across)

    def line(
        self, path: ArrayLike, colour: Array, width: float, streak: float = 0.05, dry: float = 0.4
    ) -> None:
        """Paint one stroke along a path (K, 2), in units."""
        brush = Brush(width, 0, 0, streak=streak, dry=dry)
        self.stroke(np.asarray(path)[None], colour[None], np.array([width]), brush)

    def _stroke(
        self, paths: Array, colours: Array, widths: Array, brush: Brush, along: int, across: int
    ) -> None:
        count, corners, _ = paths.shape
        place = np.linspace(0, corners - 1, along)
        left = np.minimum(place.astype(int), corners - 2)
        share = (place - left)[:, None]
        line = paths[:, left] * (1 - share) + paths[:, left + 1] * share  # (N, U, 2)
        ahead = np.gradient(line, axis=1)
        ahead /= np.linalg.norm(ahead, axis=2, keepdims=True) + 1e-12
        normal = np.stack([-ahead[..., 1], ahead[..., 0]], -1)

        u = np.linspace(0, 1, along, dtype=np.float32)[:, None]
        v = np.linspace(-1, 1, across, dtype=np.float32)
        ridge = 0.5 * v**4
        taper = np.minimum(1, 5 * np.minimum(u, 1.05 - u)) ** 0.5 * (1.05 - 0.35 * u)  # (U, 1)
        side = (0.5 * self.scale * widths).astype(np.float32)[:, None, None] * (taper * v)
        line, normal = (self.scale * line).astype(np.float32), normal.astype(np.float32)
        column = (line[..., :1] + normal[..., :1] * side).astype(np.int32)  # (N, U, V)
        row = (line[..., 1:] + normal[..., 1:] * side).astype(np.int32)

        bristle = self.rng.standard_normal((count, across))
        bristle = (bristle + np.roll(bristle, 1, axis=1)) / np.sqrt(2)  # neighbours stick together
        ends = 1 - brush.dry * self.rng.random((count, 1, across), dtype=np.float32) ** 2
        rows, columns = self.thickness.shape
        visible = (u < ends) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        # Of the samples that fall into a pixel the last one stays, as paint does.
        owner = np.full(rows * columns + 1, -1, dtype=np.int32)
        sample = np.arange(visible.size, dtype=np.int32).reshape(visible.shape)
        owner[np.where(visible, row * columns + column, -1)] = sample
        painted = np.flatnonzero(owner[:-1] >= 0)
        stroke, _, hair = np.unravel_index(owner[painted], visible.shape)
        shade = bristle[stroke, hair]
        self.colour.reshape(-1, 3)[painted] = colours[stroke] + brush.streak * shade[:, None]
        # Paint is pushed to the sides, and furrowed by the bristles.
        body = self.rng.uniform(0.6, 1.4, (count,))[stroke] + np.take(ridge, hair) + 0.35 * shade
        self.thickness.ravel()[painted] = brush.relief * body

    def finish(self, light: float, weave: float = 0.0) -> Image.Image:
        """Light the paint and average the fine pixels.

        `light` says how strong the edges of the paint show, `weave` the threads of the canvas.
        """
        smooth = gaussian_filter(self.thickness, 0.6)
        slope = np.sum(np.gradient(smooth), axis=0)
        threads = self.rng.standard_normal(self.thickness.shape)
        threads = gaussian_filter(threads, (3, 0.6)) + gaussian_filter(threads, (0.6, 3))
        shade = light * np.tanh(slope) + weave * threads
        pixels = np.clip(self.colour + shade[..., None], 0, 1)
        image = Image.fromarray((255 * pixels).round().astype(np.uint8))
        return image.resize(self.size, Image.Resampling.BOX)


def look(values: Array, width: float, height: float) -> Field:
    """Make a field of a grid of values (R, C) or (R, C, 3) that spans width × height units."""
    rows, columns = values.shape[:2]

    def field(x: Array, y: Array) -> Array:
        at = np.stack([y / height * rows - 0.5, x / width * columns - 0.5])
        if values.ndim == 2:
            return np.asarray(map_coordinates(values, at, order=1, mode="nearest"))
        parts = np.moveaxis(values, -1, 0)
        return np.stack([map_coordinates(part, at, order=1, mode="nearest") for part in parts], -1)

    return field


def ramp(place: Array, colours: Sequence[RGB]) -> Array:
    """Mix neighbouring colours of a row: 0 is the first and 1 the last of them."""
    knots = np.linspace(0, 1, len(colours))
    parts = np.array(colours).T / 255
    return np.stack([np.interp(place, knots, part) for part in parts], -1)


def mixed(rng: np.random.Generator, colours: Sequence[RGB], count: int) -> Array:
    """Draw mixtures of two colours each, most of them near one of the two."""
    two = np.array(colours)[rng.integers(len(colours), size=(2, count))] / 255
    share = rng.beta(0.5, 0.5, (count, 1))
    return np.asarray(share * two[0] + (1 - share) * two[1])


def colour_of(rng: np.random.Generator, colours: Sequence[RGB]) -> Array:
    """Choose one of some colours, as numbers from 0 to 1."""
    return np.array(colours[int(rng.integers(len(colours)))]) / 255
