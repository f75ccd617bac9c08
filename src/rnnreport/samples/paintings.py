"""Paintings: the pictures of the sample of style transfer, drawn from scratch.

A landscape as content, and three paintings, each after a famous one in palette and stroke. No file
is read: every form and colour below is a formula or a short table, and a generator varies them.

Each drawing function takes a generator, whose state decides the picture, and a size: the short side
in pixels for the picture's own shape, or width and height. It returns an RGB picture, and raises a
``ValueError`` if a side is below 32 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter
from torch import Generator

from rnnreport.samples.brush import (
    Array,
    Brush,
    Canvas,
    Field,
    clouds,
    colour_of,
    look,
    mixed,
    ramp,
)
from rnnreport.samples.landscape import river_town
from rnnreport.samples.pen import RGB

__all__ = ["PAINTINGS", "Painting", "colliding_forms", "landscape", "swirling_night", "waving_sky"]

Size = int | tuple[int, int]

_SMALLEST = 32


class Painting(NamedTuple):
    """A painting that the package draws.

    Attributes
    ----------
    title
        Its name.
    after
        The painting that it follows in palette and stroke, with painter and year.
    draw
        The function that draws it, from a generator and a size.
    """

    title: str
    after: str
    draw: Callable[[Generator, Size], Image.Image]


def landscape(generator: Generator, size: Size) -> Image.Image:
    """Draw a river town in soft light: houses, trees and hills, a boat, and their mirror image."""
    return river_town(_begin(generator, size, 4 / 3, (0.5, 0.5, 0.5)))


def swirling_night(generator: Generator, size: Size) -> Image.Image:
    """Paint a night sky of vortices and stars: short, thick, curved strokes of blue and yellow."""
    canvas = _begin(generator, size, 1.26, (0.24, 0.32, 0.45))
    rng, w, h = canvas.rng, canvas.width, canvas.height
    near = 0.02 * rng.standard_normal((14, 2))
    spot = np.array([w, h]) * (np.array(_STARS)[:, :2] + near[: len(_STARS)])
    halo = np.array(_STARS)[:, 2]
    eyes = np.array([[0.5, 0.33], [0.7, 0.47]]) * [w, h] + near[-2:]
    eye_sizes = np.array([0.24, 0.14])
    phase = rng.uniform(0, 2 * np.pi)

    def polar(x: Array, y: Array, middle: Array) -> tuple[Array, Array]:
        return np.hypot(x - middle[0], y - middle[1]), np.arctan2(y - middle[1], x - middle[0])

    def ridge(x: Array) -> Array:
        rise = 0.16 * np.clip((x / w - 0.3) / 0.7, 0, 1) ** 1.5
        return h * (0.72 - rise - 0.02 * np.sin(15 * x / w + phase) - 0.008 * np.sin(41 * x / w))

    def sky_flow(x: Array, y: Array) -> Array:
        angles = [0.45 * np.sin(4.5 * x / w + 5 * y / h + phase)]
        weights = [np.ones_like(x)]
        for middle, radius in zip(eyes, eye_sizes, strict=True):
            r, turn = polar(x, y, middle)
            angles.append(turn + np.pi / 2 - 0.25)
            weights.append(20 * np.exp(-((r / radius) ** 4)))
        for middle, radius in zip(spot, halo, strict=True):
            r, turn = polar(x, y, middle)
            angles.append(turn + np.pi / 2)
            weights.append(40 * np.exp(-((r / radius) ** 4)))
        return _blend(angles, weights)

    blot = look(clouds(rng, (60, 80), (1.2, 6)), w, h)

    def sky(x: Array, y: Array) -> Array:
        wave = np.sin(30 * (y - 0.08 * np.sin(5 * x + phase)))
        tone = 0.2 + 0.22 * y / h + 0.08 * blot(x, y) + 0.08 * wave
        for middle, radius in zip(eyes, eye_sizes, strict=True):
            r, turn = polar(x, y, middle)
            arms = np.sin(2 * turn - 16 * np.log(r / radius + 0.4) + phase)
            tone = tone + (0.26 + 0.17 * arms) * np.exp(-((r / radius) ** 4))
        # A pale stream flows into the vortices, and mist lies on the hills.
        for middle, wide, share in (
            (0.3 + 0.07 * np.sin(9 * x / w - 1.2) - 0.1 * x / w, 0.04, 0.3 * (x < 0.55 * w)),
            (ridge(x) - 0.075, 0.055, 0.55),
        ):
            tone = tone + share * np.exp(-(((y - middle) / wide) ** 2))
        colour = ramp(tone, _NIGHT)
        for middle, radius in zip(spot, halo, strict=True):
            r, _ = polar(x, y, middle)
            glow = ramp(0.9 * r / radius + 0.1 * rng.standard_normal(len(x)), _GLOW)
            share = np.clip(1.3 - r / radius, 0, 1) ** 0.6 * (rng.random(len(x)) < 0.92)
            colour = colour + share[:, None] * (glow - colour)
        return colour

    def hill_flow(x: Array, y: Array) -> Array:
        slope = (ridge(x + 0.01) - ridge(x - 0.01)) / 0.02
        deep = np.clip((y - ridge(x)) / 0.14, 0, 1)
        return (1 - deep) * (np.arctan(slope) + 0.4 * np.sin(19 * x)) + deep * np.pi * blot(x, y)

    def hill(x: Array, y: Array) -> Array:
        deep = (y - ridge(x)) / h
        slope = ramp(0.5 + 0.25 * np.sin(30 * deep + 11 * x + phase) + 0.2 * blot(x, y), _HILLS)
        trees = ramp(0.5 + 0.5 * np.sin(70 * deep + 3 * np.sin(34 * x + 9 * deep)), _TREES)
        colour = np.where((deep + 0.02 * blot(x, y) > 0.13)[:, None], trees, slope)
        return np.where((deep < 0.012)[:, None], np.array(_HILLS[0]) / 255, colour)

    def cypress(x: Array, y: Array) -> Array:
        inside = np.full(x.shape, -1.0)
        for foot, tip, top, half in _FLAMES:
            up = np.clip((1.02 - y / h) / (1.02 - top), 0, 1)
            middle = w * (foot + (tip - foot) * up) + 0.012 * np.sin(14 * y + 30 * foot)
            wide = half * (1 - up) ** 0.7 * (1 + 0.2 * np.sin(25 * y + 40 * foot))
            inside = np.maximum(inside, wide - np.abs(x - middle))
        return inside

    def flame(x: Array, y: Array) -> Array:
        tone = 0.35 + 0.4 * np.sin(70 * x + 6 * np.sin(9 * y)) + 0.2 * blot(x, y)
        return ramp(tone, _CYPRESS)

    def flicker(x: Array, y: Array) -> Array:
        return np.pi / 2 + 0.45 * np.sin(17 * y + 12 * x)

    def above(x: Array, y: Array) -> Array:
        return np.minimum(ridge(x) - y, -0.01 - cypress(x, y))

    def below(x: Array, y: Array) -> Array:
        return np.minimum(y - ridge(x), -0.01 - cypress(x, y))

    for brush in (
        Brush(0.035, 0.16, 0.032),
        Brush(0.013, 0.07, 0.011, jitter=0.04, streak=0.04),
        Brush(0.008, 0.05, 0.012, jitter=0.07, streak=0.04),
    ):
        canvas.cover(brush, sky_flow, sky, above)
        canvas.cover(brush._replace(length=0.6 * brush.length), hill_flow, hill, below)
    _village(canvas)
    for brush in (Brush(0.02, 0.12, 0.014), Brush(0.008, 0.07, 0.009, 0.05, 0.05)):
        canvas.cover(brush, flicker, flame, cypress)
    return canvas.finish(0.1, 0.04)


def _village(canvas: Canvas) -> None:
    """Paint a few houses and a steeple at the foot of the hills, with lit windows."""
    rng, w, h = canvas.rng, canvas.width, canvas.height
    dark, lamp = np.array([0.08, 0.1, 0.14]), np.array([0.85, 0.7, 0.25])
    for place in np.linspace(0.42, 0.95, 9):
        x, y = w * (place + 0.02 * rng.uniform(-1, 1)), h * rng.uniform(0.83, 0.95)
        side = rng.uniform(0.03, 0.06)
        wall, roof = mixed(rng, ((70, 90, 120), (130, 140, 130), (50, 60, 80)), 2)
        for row in np.linspace(0.1, 0.9, 6) * side:
            canvas.line([(x, y + row), (x + 1.6 * side, y + row)], wall, 0.01)
        for row in np.linspace(0, 1, 5) * side:
            ends = x + 0.8 * row, x + 1.7 * side - 0.3 * row
            canvas.line([(end, y - 0.64 * row) for end in ends], 0.6 * roof, 0.01)
        canvas.line([(x, y + side), (x, y), (x + 0.8 * side, y - 0.64 * side)], dark, 0.006)
        canvas.line([(x, y), (x + 1.7 * side, y)], dark, 0.006)
        if rng.random() < 0.7:
            pane = x + 0.7 * side
            canvas.line([(pane, y + 0.3 * side), (pane, y + 0.7 * side)], lamp, 0.012)
    for lean, tone in ((-0.012, 0.3), (0.008, 0.5), (0, 0.6)):
        steeple = [(w * 0.57 + lean, h * 0.86), (w * 0.57, h * 0.63)]
        canvas.line(steeple, np.array([0.8, 0.95, 1.1]) * tone, 0.01)


# Place of each star as shares of width and height, and the radius of its halo in units.
_STARS = (
    (0.1, 0.04, 0.065), (0.23, 0.17, 0.05), (0.35, 0.04, 0.05), (0.41, 0.06, 0.03),
    (0.61, 0.08, 0.06), (0.71, 0.23, 0.065), (0.9, 0.16, 0.15), (0.33, 0.33, 0.04),
    (0.36, 0.53, 0.095), (0.13, 0.48, 0.045), (0.05, 0.45, 0.035), (0.22, 0.03, 0.03),
)  # fmt: skip
# Of each flame of the cypress: foot and tip as shares of the width, top, half width in units.
_FLAMES = (
    (0.22, 0.19, 0.04, 0.065), (0.18, 0.15, 0.3, 0.06), (0.25, 0.23, 0.4, 0.05),
    (0.3, 0.27, 0.58, 0.07), (0.35, 0.29, 0.58, 0.07), (0.38, 0.43, 0.78, 0.05),
    (0.14, 0.13, 0.62, 0.04),
)  # fmt: skip

_NIGHT: tuple[RGB, ...] = (
    (20, 26, 50), (34, 48, 108), (48, 72, 150), (72, 104, 164), (104, 136, 172),
    (136, 156, 160), (176, 184, 152),
)  # fmt: skip
_GLOW: tuple[RGB, ...] = (
    (214, 160, 50), (222, 190, 80), (200, 200, 140), (176, 184, 100), (168, 182, 150),
    (110, 140, 160),
)  # fmt: skip
_HILLS: tuple[RGB, ...] = ((16, 22, 44), (40, 54, 104), (66, 86, 136), (96, 120, 160))
_TREES: tuple[RGB, ...] = (
    (24, 30, 40),
    (32, 48, 58),
    (44, 68, 84),
    (74, 100, 110),
    (124, 140, 120),
)
_CYPRESS: tuple[RGB, ...] = ((14, 16, 16), (24, 28, 24), (38, 46, 34), (70, 52, 34), (36, 56, 54))


def waving_sky(generator: Generator, size: Size) -> Image.Image:
    """Paint a burning sky over a fjord: long, dry, waving bands, cut by the rail of a bridge."""
    canvas = _begin(generator, size, 0.785, (0.5, 0.4, 0.27))
    rng, w, h = canvas.rng, canvas.width, canvas.height
    phase = rng.uniform(0, 2 * np.pi, 4)
    blot = look(clouds(rng, (90, 70), (2.5, 6)), w, h)
    speck = look(clouds(rng, (90, 70), 2), w, h)

    # Each part of the picture has a height function; the strokes follow its level lines.
    def sky(x: Array, y: Array) -> Array:
        roll = 0.028 * np.sin(6.5 * x / w + phase[0]) + 0.012 * np.sin(15 * x / w + phase[1])
        fold = 0.008 * np.sin(6 * x / w + 26 * y / h + phase[2])
        return np.asarray(y / h + fold + roll * (0.6 + 1.3 * y / h))

    def shore(x: Array) -> Array:
        hump = 0.045 * np.exp(-(((x / w - 0.8) / 0.16) ** 2))
        return np.asarray(h * (0.315 - hump + 0.008 * np.sin(11 * x / w + phase[2])))

    def water(x: Array, y: Array) -> Array:
        # The bay lies in a bend: its lines run around a point on the far shore and then away.
        r = np.hypot((x / w - 0.42) / 3.2, y / h - 0.335)
        fold = 0.012 * np.sin(8 * x / w + 14 * y / h + phase[3])
        return np.asarray(r + fold)

    def bank(x: Array, y: Array) -> Array:
        fold = 0.012 * np.sin(20 * y / h + phase[1])
        return np.asarray(np.hypot(x / w - 1.25, 0.85 * (y / h - 0.7)) + fold)

    def rail(x: Array) -> Array:
        return np.asarray(h * (0.42 + 0.53 * x / w))

    def planks(x: Array, y: Array) -> Array:
        return np.arctan2(y / h - 0.34, x / w + 0.12)

    def hill(x: Array, y: Array) -> Array:
        return np.asarray((y - shore(x)) / h + 0.01 * np.sin(7 * x / w))

    def in_sky(x: Array, y: Array) -> Array:
        return np.asarray(shore(x) - y)

    def on_hill(x: Array, y: Array) -> Array:
        return np.minimum(y - shore(x), h * 0.345 - y)

    def in_water(x: Array, y: Array) -> Array:
        return np.minimum(np.minimum(y - h * 0.34, rail(x) - y), bank(x, y) - 0.61)

    def on_bank(x: Array, y: Array) -> Array:
        return np.minimum(np.minimum(y - h * 0.34, rail(x) - y), 0.62 - bank(x, y))

    def on_bridge(x: Array, y: Array) -> Array:
        return np.asarray(y - rail(x))

    def bands(
        level: Field, low: float, high: float, colours: Sequence[RGB], x: Array, y: Array
    ) -> Array:
        place = (level(x, y) - low) / (high - low) + 0.03 * blot(x, y)
        return np.asarray(ramp(place, colours) * (1 + 0.08 * speck(x, y))[:, None])

    for brush in (
        Brush(0.05, 0.26, 0.038, streak=0.02, dry=0.6),
        Brush(0.024, 0.22, 0.021, jitter=0.03, streak=0.02, dry=0.8),
        Brush(0.01, 0.15, 0.026, jitter=0.05, streak=0.02, dry=0.9),
    ):
        for where, level, low, high, colours in (
            (in_water, water, 0.0, 0.3, _FJORD),
            (on_bank, bank, 0.2, 0.63, _BANK),
            (on_bridge, planks, 0.3, 1.45, _PLANKS),
            (in_sky, sky, 0.0, 0.33, _FIRE),
            (on_hill, hill, 0.0, 0.06, _SHORE),
        ):
            picture = partial(bands, level, low, high, colours)
            canvas.cover(brush, _levels(level), picture, where)
    _railing(canvas, rail)
    return canvas.finish(0.04, 0.04)


def _railing(canvas: Canvas, rail: Callable[[Array], Array]) -> None:
    """Paint the bars of the bridge, dark with orange light on them, and a red plank at the edge."""
    rng, w, h = canvas.rng, canvas.width, canvas.height
    x = np.linspace(0.06, 1.02, 13) * w
    near = 0.35 + 0.9 * x / w  # the bars part towards the viewer
    for drop, wide, colour in (
        (0.03, 0.06, (40, 44, 36)), (0.1, 0.05, (66, 58, 42)), (0.16, 0.05, (36, 42, 34)),
        (-0.006, 0.026, (186, 92, 42)), (0.012, 0.016, (150, 104, 62)),
        (0.07, 0.02, (170, 84, 42)), (0.13, 0.02, (160, 88, 46)),
    ):  # fmt: skip
        for shift in wide * rng.uniform(-0.3, 0.3, 6):
            tone = np.array(colour) / 255 + 0.03 * rng.standard_normal()
            bend = 0.004 * np.sin(rng.uniform(3, 9) * x + 30 * shift)
            path = np.stack([x, rail(x) + h * (drop + shift + bend) * near], -1)
            first = rng.integers(len(x) - 4)
            for part in (slice(None), slice(first, first + 4)):
                canvas.line(path[part], tone, 0.5 * wide, streak=0.04, dry=0.9)
    black = np.array([0.13, 0.15, 0.12])
    for place in np.array([0.22, 0.44, 0.78]):
        top = float(rail(w * place))
        for shift in w * place + np.array([-0.008, 0, 0.008]):
            post = [(shift, top), (shift, top + 0.06 + 0.16 * place)]
            canvas.line(post, black, 0.01 + 0.02 * place)
    for shift in np.linspace(0.955, 1, 7) * w:
        tone = mixed(rng, ((196, 62, 14), (150, 60, 26), (206, 104, 48)), 1)[0]
        canvas.line([(shift, -0.02), (shift, 0.75 * h)], tone, 0.014, dry=0.7)
    canvas.line([(0.948 * w, 0), (0.945 * w, 0.8 * h)], black, 0.008)


_FIRE: tuple[RGB, ...] = (
    (150, 120, 80), (196, 66, 14), (204, 80, 24), (190, 140, 84), (96, 120, 100), (202, 100, 40),
    (198, 62, 10), (170, 120, 70), (210, 160, 90), (204, 90, 30), (200, 130, 66), (196, 58, 6),
    (206, 100, 36), (208, 158, 92), (200, 110, 46), (120, 70, 40),
)  # fmt: skip
_FJORD: tuple[RGB, ...] = (
    (60, 60, 44), (186, 140, 80), (160, 120, 72), (196, 150, 92), (70, 78, 62), (30, 42, 50),
    (60, 82, 96), (22, 32, 36), (44, 62, 74), (20, 28, 26), (70, 84, 80), (24, 32, 28),
)  # fmt: skip
_BANK: tuple[RGB, ...] = (
    (60, 56, 40), (130, 100, 62), (80, 86, 62), (150, 112, 70), (66, 70, 52), (120, 104, 70),
    (46, 60, 52), (90, 90, 64), (28, 40, 40), (20, 28, 30),
)  # fmt: skip
_PLANKS: tuple[RGB, ...] = (
    (40, 44, 34), (96, 84, 56), (56, 58, 44), (120, 98, 62), (40, 48, 38), (104, 92, 62),
    (30, 38, 30), (134, 108, 72), (60, 62, 46), (110, 96, 64), (40, 46, 36), (140, 112, 76),
)  # fmt: skip
_SHORE: tuple[RGB, ...] = ((24, 32, 32), (34, 46, 52), (18, 26, 24), (50, 60, 54))


def colliding_forms(generator: Generator, size: Size) -> Image.Image:
    """Paint forms that collide: wedges, arcs, rings and blots in many colours, and black lines."""
    canvas = _begin(generator, size, 1.504, (0.7, 0.6, 0.5))
    rng, w, h = canvas.rng, canvas.width, canvas.height
    fine = canvas.colour.shape[1::-1]
    fields = [look(clouds(rng, (30, 45), (5, 6)), w, h) for _ in range(3)]
    x, y = np.meshgrid(np.linspace(0, w, 180), np.linspace(0, h, 120))
    warm = 0.45 + 0.22 * fields[0](x, y) + 0.05 * fields[1](5 * x % w, 5 * y % h)
    ground = Image.fromarray((255 * ramp(warm, _GROUND)).clip(0, 255).astype(np.uint8))
    canvas.colour[:] = np.asarray(ground.resize(fine, Image.Resampling.BICUBIC)) / np.float32(255)
    outlines = []
    # Strokes go over the forms of each size, so that some edges bleed, and smaller forms over them.
    for spans, brush in (
        (np.geomspace(0.34, 0.16, 40), Brush(0.03, 0.1, 0.03, 0.02, streak=0.02, dry=0.8)),
        (np.geomspace(0.16, 0.07, 120), Brush(0.013, 0.05, 0.021, 0.03, streak=0.02, dry=0.8)),
        (np.geomspace(0.07, 0.015, 340), Brush(0.006, 0.025, 0.018, 0.05, streak=0.03, dry=0.8)),
    ):
        sheet = Image.fromarray((255 * canvas.colour.clip(0, 1)).astype(np.uint8))
        for span in spans:
            # The forms crowd around the middle, but leave no place empty.
            middle = np.array([w, h]) * _toward(rng, 0.7)
            form = middle + span * _form(rng)
            _place(sheet, form * canvas.scale, span * canvas.scale, rng)
            if rng.random() < 0.12:
                outlines.append(np.concatenate([form, form[:1]]))
        canvas.colour[:] = np.asarray(sheet, dtype=np.float32) / 255
        picture = look(canvas.colour.astype(np.float64), w, h)
        flow = _edges(gaussian_filter(canvas.colour.mean(2), 3).astype(np.float64), w, h)
        canvas.cover(brush, flow, picture)
    for path in outlines:
        canvas.line(path, colour_of(rng, _INKS), rng.uniform(0.003, 0.008), dry=0.3)
    for _ in range(30):
        middle = np.array([w, h]) * _toward(rng, 0.6)
        ink = colour_of(rng, _INKS)
        for path in _scratches(rng):
            canvas.line(middle + path, ink, rng.uniform(0.003, 0.007), streak=0.03, dry=0.3)
    return canvas.finish(0.04, 0.04)


def _toward(rng: np.random.Generator, share: float) -> Array:
    """Draw a place as shares of width and height: near the middle with some chance, or anywhere."""
    if rng.random() < share:
        return np.asarray(0.5 + 0.2 * rng.standard_normal(2))
    return rng.uniform(-0.05, 1.05, 2)


def _form(rng: np.random.Generator) -> Array:
    """Draw the corners of a wedge, a band, an arc, or a blot that may have teeth; size about 1."""
    kind = rng.integers(5)
    turn = rng.uniform(0, 2 * np.pi)
    if kind == 0:  # a wedge
        corners = np.array(
            [[-1.3, 0], [0.9, rng.uniform(0.15, 0.6)], [0.7, -rng.uniform(0.1, 0.5)]]
        )
    elif kind == 1:  # a bent band
        along = np.linspace(-1.5, 1.5, 20)
        bend, wide = rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.3)
        upper = np.stack([along, bend * along**2 + wide], -1)
        lower = np.stack([along, bend * along**2 - wide * rng.uniform(0.2, 1)], -1)
        corners = np.concatenate([upper, lower[::-1]])
    elif kind == 2:  # an arc
        angle = np.linspace(0, rng.uniform(1.5, 4.5), 30)
        rim = np.stack([np.cos(angle), np.sin(angle)], -1)
        corners = np.concatenate([rim, rng.uniform(0.45, 0.8) * rim[::-1]])
    else:  # a blot
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        waves, deep = (12, 0.1) if rng.random() < 0.2 else (rng.integers(2, 5), 0.25)
        radius = 0.8 + deep * np.sin(waves * angle) + 0.1 * np.sin(2 * angle + turn)
        corners = radius[:, None] * np.stack(
            [np.cos(angle), rng.uniform(0.4, 1) * np.sin(angle)], -1
        )
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(corners @ spin)


def _place(sheet: Image.Image, form: Array, span: float, rng: np.random.Generator) -> None:
    """Fill a form, given in pixels, with a gradient of two colours; its edge is hard or bleeds."""
    edge = float(rng.choice([0.01, 0.02, 0.12]) * span)
    rim = int(3 * edge) + 2
    left, top = np.floor(form.min(0)).astype(int) - rim
    right, bottom = np.ceil(form.max(0)).astype(int) + rim
    mask = Image.new("L", (int(right - left), int(bottom - top)))
    cover = int(255 * rng.uniform(0.8, 1))
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in form], fill=cover)
    two = np.array([colour_of(rng, _COLOURS) for _ in range(2)])
    x, y = np.meshgrid(np.linspace(-1, 1, mask.width), np.linspace(-1, 1, mask.height))
    turn = rng.uniform(0, 2 * np.pi)
    share = np.clip(0.5 + 0.9 * (np.cos(turn) * x + np.sin(turn) * y), 0, 1)[..., None]
    colour = Image.fromarray((255 * (two[0] + share * (two[1] - two[0]))).astype(np.uint8))
    sheet.paste(colour, (int(left), int(top)), mask.filter(ImageFilter.GaussianBlur(edge)))


def _scratches(rng: np.random.Generator) -> list[Array]:
    """Draw the paths of a grid, a fan, a whip, or a bow, around 0."""
    turn, size = rng.uniform(0, np.pi), rng.uniform(0.025, 0.1)
    ahead, across = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * size
    lean = rng.uniform(-0.4, 0.4)
    t = np.linspace(-1, 1, 17)[:, None]
    kind = rng.integers(4)
    if kind == 0:  # a grid
        steps = np.linspace(-0.6, 0.6, rng.integers(3, 7))
        first = [0.8 * t * ahead + (step + lean * t) * across for step in steps]
        return first + [0.8 * t * across + step * ahead for step in steps]
    if kind == 1:  # a fan
        ends = np.linspace(-0.7, 0.7, rng.integers(4, 8))
        return [(t + 1) * ahead + end * (t + 1.2) * across for end in ends]
    if kind == 2:  # a whip
        return [1.8 * t * ahead + 0.3 * np.sin(rng.uniform(3, 12) * t + lean) * across]
    return [1.6 * t * ahead + (lean * 2 * t**2 + step) * across for step in (0, 0.12)]


def _edges(light: Array, width: float, height: float) -> Field:
    """Make the flow along the edges of a picture, from its smoothed structure tensor."""
    down, right = np.gradient(light)
    xx, yy, xy = (gaussian_filter(part, 5) for part in (right * right, down * down, right * down))
    double = look(np.stack([yy - xx, -2 * xy], -1), width, height)

    def flow(x: Array, y: Array) -> Array:
        cosine, sine = double(x, y).T
        return np.asarray(0.5 * np.arctan2(sine, cosine))

    return flow


_GROUND: tuple[RGB, ...] = (
    (120, 104, 92), (150, 150, 160), (206, 202, 196), (190, 180, 150), (200, 160, 90),
    (186, 104, 44), (170, 70, 30),
)  # fmt: skip
_COLOURS: tuple[RGB, ...] = (
    (222, 218, 208), (214, 208, 190), (196, 190, 196), (160, 156, 170), (214, 176, 60),
    (226, 196, 90), (210, 118, 32), (204, 56, 22), (168, 32, 30), (124, 30, 44), (200, 110, 110),
    (42, 48, 108), (80, 100, 160), (134, 150, 190), (64, 100, 78), (120, 132, 62), (34, 26, 34),
    (22, 18, 26), (84, 66, 56), (136, 96, 60),
)  # fmt: skip
_INKS: tuple[RGB, ...] = (
    (22, 18, 22), (26, 20, 26), (20, 20, 30), (30, 22, 24), (24, 20, 20), (150, 40, 30),
    (220, 214, 200),
)  # fmt: skip


def _begin(
    generator: Generator, size: Size, aspect: float, ground: tuple[float, float, float]
) -> Canvas:
    """Check the size, draw the one number that all randomness comes from, stretch the canvas."""
    if isinstance(size, int):
        width, height = (round(size * max(1.0, side)) for side in (aspect, 1 / aspect))
    else:
        width, height = size
    if min(width, height) < _SMALLEST:
        raise ValueError(f"size must be at least {_SMALLEST} pixels each way, got {size}")
    seed = int(torch.randint(2**62, (), generator=generator))
    return Canvas((width, height), ground, np.random.default_rng(seed))


def _blend(angles: Sequence[Array], weights: Sequence[Array]) -> Array:
    """Mix angles of flows; twice the angle is mixed, since a flow is the same as its opposite."""
    pairs = list(zip(angles, weights, strict=True))
    sine = sum((weight * np.sin(2 * angle) for angle, weight in pairs), np.zeros(()))
    cosine = sum((weight * np.cos(2 * angle) for angle, weight in pairs), np.zeros(()))
    return 0.5 * np.arctan2(sine, cosine)


def _levels(height: Field) -> Field:
    """Make the flow along the lines of equal height of a function."""

    def flow(x: Array, y: Array) -> Array:
        small = 1e-3
        across = height(x + small, y) - height(x - small, y)
        down = height(x, y + small) - height(x, y - small)
        return np.arctan2(-across, down)

    return flow


PAINTINGS: dict[str, Painting] = {
    "swirling_night": Painting(
        "Swirling night", "The Starry Night, Vincent van Gogh, 1889", swirling_night
    ),
    "waving_sky": Painting("Waving sky", "The Scream, Edvard Munch, 1893", waving_sky),
    "colliding_forms": Painting(
        "Colliding forms", "Composition VII, Wassily Kandinsky, 1913", colliding_forms
    ),
}
