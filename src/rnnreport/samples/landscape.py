"""A river town, drawn as a photograph shows one: a row of houses that recedes along the water."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates

from rnnreport.samples.brush import Array, Brush, Canvas, clouds, colour_of, look, ramp
from rnnreport.samples.pen import RGB

Points = Sequence[tuple[float, float]]

# Where the row of houses vanishes, and its near end: shares of width and height. A point of the
# row is given by its nearness, 1 at the near end and 0 at the vanishing point.
_FAR_X, _NEAR_X = 0.06, 1.06
_EYE, _FOOT, _WATER = 0.635, 0.85, 0.985

_SKY: tuple[RGB, ...] = (
    (64, 104, 162),
    (96, 138, 186),
    (142, 172, 200),
    (186, 200, 208),
    (204, 208, 204),
)
_PLASTER: tuple[RGB, ...] = (
    (216, 206, 176), (224, 218, 204), (210, 176, 96), (202, 150, 138), (190, 130, 84),
    (206, 196, 150), (176, 180, 170), (222, 190, 130),
)  # fmt: skip
_TILES: tuple[RGB, ...] = ((150, 70, 48), (128, 62, 50), (166, 84, 56), (110, 66, 56), (98, 74, 66))
_SHUTTERS: tuple[RGB, ...] = ((84, 104, 84), (110, 56, 50), (96, 90, 74), (70, 86, 104))
_LEAVES: tuple[RGB, ...] = (
    (30, 34, 22),
    (52, 60, 32),
    (78, 86, 44),
    (112, 114, 62),
    (150, 146, 90),
)
_HILL: tuple[RGB, ...] = ((66, 78, 74), (88, 100, 84), (112, 118, 94), (138, 140, 116))


def river_town(canvas: Canvas) -> Image.Image:
    """Draw the town on a canvas."""
    rng, w, h = canvas.rng, canvas.width, canvas.height
    town = _Town(canvas)
    town.sky()
    puff = look(clouds(rng, (90, 120), 2.5), w, h)
    crest = 0.05 * puff(np.linspace(0, w, 50), np.zeros(50)) * h

    def hill(x: Array, y: Array) -> Array:
        top = 0.52 + 0.05 * np.cos(3 * x / w) + np.interp(x, np.linspace(0, w, 50), crest) * 0.3
        return np.minimum(y / h - top, 0.66 - y / h)

    def slope(x: Array, y: Array) -> Array:
        return ramp(0.45 + 0.25 * puff(x, y) + 1.5 * (y / h - 0.55), _HILL)

    def any_way(x: Array, y: Array) -> Array:
        return np.pi * puff(y * w / h, x * h / w)

    for leaf in (Brush(0.02, 0.02, 0.01, 0.03), Brush(0.006, 0.008, 0.005, 0.05)):
        canvas.cover(leaf, any_way, slope, hill)
    town.tower()
    # A second row looks over the first one; both are drawn from far to near.
    for lift, edges in ((0.17, rng.uniform(0.9, 1.1, 7)), (0.0, rng.uniform(0.75, 1.25, 9))):
        ends = 0.13 * (1.07 / 0.13) ** (np.cumsum([0, *edges]) / np.sum(edges))
        for far, near in pairwise(ends.tolist()):
            town.house(far, near, lift)
    town.quay()

    def shrubs(x: Array, y: Array) -> Array:
        near = (x / w - _FAR_X) / (_NEAR_X - _FAR_X)
        foot = _EYE + (_FOOT - _EYE) * near
        tall = 0.03 + 0.05 * np.clip(puff(x, 0 * y), 0, 2) * (near < 0.75)
        left = np.minimum(0.2 - x / w - 0.03 * puff(x, y), y / h - 0.56 - 0.03 * puff(x, 0 * y))
        row = np.minimum(y / h - foot + tall, foot + 0.015 - y / h)
        return np.maximum(np.minimum(left, 0.665 - y / h), row)

    def leaves(x: Array, y: Array) -> Array:
        return ramp(0.35 + 0.22 * puff(1.7 * x % w, 1.7 * y % h), _LEAVES)

    for leaf in (Brush(0.016, 0.02, 0.009, 0.03), Brush(0.005, 0.008, 0.004, 0.06)):
        canvas.cover(leaf, any_way, leaves, shrubs)
    town.river()
    town.boat()
    twigs = town.tree(np.array([0.03 * w, 1.03 * h]), -1.4, 0.3, 0.036)

    def crown(x: Array, y: Array) -> Array:
        apart = np.hypot(x[:, None] - twigs[:, 0], y[:, None] - twigs[:, 1]).min(1)
        return np.asarray(0.032 + 0.012 * puff(x, y) - apart)

    def bank(x: Array, y: Array) -> Array:
        return np.asarray(y / h - 0.9 - 0.03 * puff(x, 0 * y) - 0.7 * np.clip(x / w - 0.06, 0, 1))

    def shade(x: Array, y: Array) -> Array:
        return 0.7 * leaves(x, y)

    canvas.cover(Brush(0.006, 0.009, 0.008, 0.05), any_way, leaves, crown)
    for leaf in (Brush(0.02, 0.03, 0.011, 0.03), Brush(0.006, 0.014, 0.006, 0.06)):
        canvas.cover(leaf, any_way, shade, bank)
    canvas.colour += 0.012 * rng.standard_normal(canvas.colour.shape, dtype=np.float32)
    return canvas.finish(0.0)


class _Town:
    """The parts of the town, drawn onto a canvas one after the other."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas, self.rng = canvas, canvas.rng
        self.w, self.h, self.scale = canvas.width, canvas.height, canvas.scale
        shape = canvas.thickness.shape
        grain = 0.6 * clouds(self.rng, shape, 1.0) + 0.8 * clouds(self.rng, shape, (12, 7))
        self.plaster = 1 + 0.045 * grain
        rows = np.arange(shape[0])[:, None] * (60 * np.pi / self.scale)
        self.tiles = 1 + 0.09 * np.sin(3 * rows) + 0.09 * clouds(self.rng, shape, (1.2, 2.5))
        self.tiles += 0.08 * clouds(self.rng, shape, 9)
        joint = np.sin(rows + 0.5 * clouds(self.rng, shape, (3, 9)))
        self.stone = 1 - 0.12 * (joint > 0.8) + 0.1 * clouds(self.rng, shape, (3, 5)) * 0.8
        self.stone += 0.07 * clouds(self.rng, shape, (14, 20))

    def at(self, near: float, up: float) -> tuple[float, float]:
        """Find the point of the row at some nearness and height over its foot, in units."""
        x = _FAR_X + (_NEAR_X - _FAR_X) * near
        y = _EYE + (_FOOT - _EYE - up) * near
        return x * self.w, y * self.h

    def fill(self, points: Points, colour: Array, texture: Array | None = None) -> None:
        """Fill a polygon, given in units, with a colour times a texture."""
        corners = np.array(points) * self.scale
        rows, columns = self.canvas.thickness.shape
        left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, [columns, rows])
        right, bottom = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, [columns, rows])
        if right <= left or bottom <= top:
            return
        mask = Image.new("1", (int(right - left), int(bottom - top)))
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in corners.tolist()], fill=1)
        inside, part = np.asarray(mask), (slice(top, bottom), slice(left, right))
        paint = np.broadcast_to(colour, (*inside.shape, 3))
        if texture is not None:
            paint = paint * texture[part][..., None]
        self.canvas.colour[part][inside] = paint[inside]

    def sky(self) -> None:
        """Fill the picture with a sky: darker above, with soft clouds."""
        rows, columns = self.canvas.thickness.shape
        down = np.linspace(0, 1 / _EYE, rows)[:, None]
        bank = clouds(self.rng, (72, 96), (5, 12)) + 0.45 * clouds(self.rng, (72, 96), (1.5, 3.5))
        bank += 0.2 * clouds(self.rng, (72, 96), (0.7, 1.5))
        y, x = np.mgrid[0 : 71 : rows * 1j, 0 : 95 : columns * 1j]
        bank = map_coordinates(bank, [y, x], order=3)
        share = 0.8 * np.clip(bank - 0.5 + 0.3 * down, 0, 1.8)[..., None] / 1.8
        shade = (
            np.array([0.93, 0.93, 0.92])
            - 0.06 * np.clip(np.gradient(bank, axis=0) * 30, -1, 1)[..., None]
        )
        blue = ramp(np.broadcast_to(0.9 * down, bank.shape), _SKY)
        self.canvas.colour[:] = blue + share * (shade - blue)

    def tower(self) -> None:
        """Draw the tower of a church, which rises over the roofs."""
        x, y = 0.63 * self.w, 0.26 * self.h
        stone, slate = np.array([0.62, 0.55, 0.46]), np.array([0.26, 0.29, 0.33])
        self.fill(
            [(x - 0.034, y), (x + 0.034, y), (x + 0.036, 0.6), (x - 0.036, 0.6)], stone, self.stone
        )
        self.fill(
            [(x + 0.012, y), (x + 0.034, y), (x + 0.036, 0.6), (x + 0.014, 0.6)],
            0.72 * stone,
            self.stone,
        )
        for side in (-0.012, 0.014):
            arch = ((-1, 0.1), (-1, 0.04), (0, 0.03), (1, 0.04), (1, 0.1))
            self.fill([(x + side + 0.005 * right, y + down) for right, down in arch], 0.3 * stone)
        ledge = [(x - 0.04, y), (x - 0.04, y - 0.012), (x + 0.04, y - 0.012), (x + 0.04, y)]
        self.fill(ledge, 0.8 * stone)
        spire = ((-0.034, 0.01), (-0.012, 0.06), (0, 0.19), (0.012, 0.06), (0.034, 0.01))
        self.fill([(x + right, y - up) for right, up in spire], slate, self.tiles)

    def house(self, far: float, near: float, lift: float) -> None:
        """Draw a house between two points of the row: its gable or its eaves face the river."""
        rng = self.rng
        tall = rng.uniform(0.38, 0.5)
        foot, roof = lift, rng.uniform(0.12, 0.18)
        eaves, peak, middle = foot + tall, foot + tall + roof, (far + near) / 2
        wall, tile = colour_of(rng, _PLASTER), colour_of(rng, _TILES) * rng.uniform(0.85, 1.1)
        wall = wall * rng.uniform(0.9, 1.04) * (0.92 if lift else 1)
        gable = rng.random() < 0.65
        left, right = self.at(far, eaves), self.at(near, eaves)
        corner = [self.at(far, foot - 0.02), self.at(near, foot - 0.02), right]
        over = 0.012 * near  # how far the roof stands out
        if gable:
            top = self.at(middle, peak)
            back = (top[0] + 0.16 * middle, top[1] + 0.02 * middle)
            self.fill([right, top, back, (right[0] + 0.16 * middle, right[1])], tile, self.tiles)
            self.fill([*corner, top, left], wall, self.plaster)
            for end, sun in ((left, 1.0), (right, 0.8)):
                edge = (end[0] + (over if end is right else -over), end[1] + over)
                self.fill(
                    [edge, (top[0], top[1] - over), (top[0], top[1] + over / 2), end],
                    sun * 0.8 * tile,
                )
        else:
            self.fill([*corner, left], wall, self.plaster)
            ridge = [self.at(near * 0.985, peak), self.at(far * 1.015, peak)]
            self.fill(
                [(left[0] - over, left[1] + over / 2), (right[0] + over, right[1] + over), *ridge],
                tile,
                self.tiles,
            )
            self.fill(
                [left, right, (right[0], right[1] + 2 * over), (left[0], left[1] + 2 * over)],
                0.62 * wall,
            )
            for share in (0.3, 0.7):
                self.window(
                    far + share * (near - far), 0.07 * (near - far), eaves + 0.03, 0.04, None
                )
        floors, columns = int(rng.integers(4, 6)), int(rng.integers(3, 5))
        shutter = colour_of(rng, _SHUTTERS) if rng.random() < 0.6 else None
        width = 0.28 * (near - far) / columns
        for floor in range(floors + gable):
            inset = 0.3 if floor == floors else 0.12  # the last row is in the gable
            for place in np.linspace(inset, 1 - inset, columns if floor < floors else 2):
                up = foot + tall * (floor + 0.3) / floors
                self.window(far + place * (near - far), width, up, 0.45 * tall / floors, shutter)

    def window(
        self, near: float, wide: float, up: float, tall: float, shutter: Array | None
    ) -> None:
        """Draw a window with a frame, dark panes that mirror the sky, and shutters."""

        def box(left: float, right: float, low: float, high: float) -> Points:
            corners = ((left, low), (right, low), (right, high), (left, high))
            return [self.at(near + along * wide, up + share * tall) for along, share in corners]

        if shutter is not None:
            self.fill(box(-1.5, 1.5, 0, 1), shutter * self.rng.uniform(0.85, 1.15))
        self.fill(box(-1, 1, -0.06, 1.06), np.array([0.84, 0.82, 0.77]))
        glass = np.array([0.2, 0.23, 0.27]) * self.rng.uniform(0.7, 1.5)
        for left, right in ((-0.8, -0.1), (0.1, 0.8)):
            self.fill(box(left, right, 0.05, 0.55), glass)
            self.fill(box(left, right, 0.62, 0.95), 1.3 * glass)

    def quay(self) -> None:
        """Draw the wall between the houses and the river."""
        ends = (0.0, 1.1)
        upper = [self.at(near, 0.0) for near in ends]
        lower = [
            (x, (_EYE + (_WATER - _EYE) * near) * self.h + 0.01)
            for (x, _), near in zip(upper, ends, strict=True)
        ]
        stone = np.array([0.56, 0.51, 0.43])
        self.fill([*upper, *lower[::-1]], stone, self.stone)
        rim = [self.at(near, 0.012) for near in ends]
        self.fill([*upper, *rim[::-1]], 1.15 * stone, self.stone)

    def river(self) -> None:
        """Lay the river: the town upside down, broken by ripples, darker and greener."""
        colour = self.canvas.colour
        rows, columns = colour.shape[:2]
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
        near = np.clip((x / columns - _FAR_X) / (_NEAR_X - _FAR_X), 0.05, None)
        shore = rows * (_EYE + (_WATER - _EYE) * near)
        deep = (y - shore) / rows
        wave = clouds(self.rng, (rows, columns), (1.2, 8)) + 0.8 * clouds(
            self.rng, (rows, columns), (4, 22)
        )
        shake = np.clip(deep, 0, 0.2) * wave * self.scale
        places = [2 * shore - y + 0.12 * shake - 0.004 * self.scale, x + 0.04 * shake]
        mirror = np.empty_like(colour)
        for part in range(3):
            soft = gaussian_filter(colour[..., part], (2.5, 1))
            mirror[..., part] = map_coordinates(soft, places, order=1, mode="nearest")
        share = np.clip(0.72 - 1.2 * deep + 0.05 * wave, 0.35, 0.8)[..., None]
        water = share * mirror + (1 - share) * np.array([0.14, 0.17, 0.14])
        water *= np.clip(deep / 0.012, 0.6, 1)[..., None]
        wet = deep > 0
        colour[wet] = water[wet]

    def boat(self) -> None:
        """Draw a boat on the river, with its dark mirror image."""
        x, y = 0.36 * self.w, 0.87 * self.h
        wood = np.array([0.36, 0.24, 0.16])
        for tone, corners in (
            (0.35, ((-0.1, 0.02), (0.1, 0.018), (0.07, 0.045), (-0.07, 0.045))),
            (1.0, ((-0.12, -0.012), (0.12, -0.016), (0.08, 0.024), (-0.09, 0.024))),
            (1.9, ((-0.12, -0.012), (0.12, -0.016), (0.1, -0.004), (-0.1, 0.0))),
            (0.5, ((-0.095, -0.008), (0.095, -0.011), (0.085, -0.004), (-0.085, -0.002))),
        ):
            self.fill([(x + right, y + down) for right, down in corners], tone * wood, self.tiles)

    def tree(self, foot: Array, angle: float, length: float, width: float) -> Array:
        """Draw a tree of bent branches from its foot, and return the ends of its twigs."""
        rng = self.rng
        if width < 0.0018:
            return np.array([foot])
        bend = rng.uniform(-0.25, 0.25)
        turn = angle + bend * np.linspace(0, 1, 6)[:, None]
        step = length / 6 * np.concatenate([np.cos(turn), np.sin(turn)], 1)
        path = foot + np.concatenate([np.zeros((1, 2)), np.cumsum(step, 0)])
        bark = np.array([0.2, 0.17, 0.14]) * rng.uniform(0.8, 1.3)
        self.canvas.line(path, bark, width, dry=0.0)
        twigs = []
        for side in (-0.9, 0.1, 0.9) if width < 0.016 else (-0.7, 0.7):
            lean = 0.8 * (angle + bend + side * rng.uniform(0.4, 1)) - 0.2 * 1.6  # up again
            shorter, thinner = rng.uniform(0.6, 0.8), rng.uniform(0.5, 0.66)
            twigs.append(self.tree(path[-1], lean, shorter * length, thinner * width))
        return np.concatenate(twigs)
