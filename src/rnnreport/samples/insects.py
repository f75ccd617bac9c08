"""Drawn ants and bees: the sample that stands in for photographs of them if there are none.

An ant has a narrow waist, elbowed feelers and long thin legs; a bee is stout and furry, with bands
and wings. Everything else is drawn by lot for both alike: colours, pose, size, background, light,
and what grows in front. So it takes shapes to tell them apart, and now and then that is hard.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Generator, Tensor

from rnnreport._checks import check_at_least, check_choice
from rnnreport.data.hymenoptera import CLASSES
from rnnreport.draws import chance, pick, uniform
from rnnreport.samples.pen import CIRCLE, RGB, WHITE, Pen, Point, mix, shade

__all__ = ["COUNTS", "Insects", "draw_insects", "generate_insects"]

COUNTS = {"train": (123, 121), "val": (70, 83)}
"""How many ants and bees each part has: as many as the photographs."""

# How hard it is to tell the two apart.
_LENGTH = (0.34, 0.74)  # of a body, as a share of the picture
_COVERED = 0.45  # how often something grows in front
_SECOND = 0.3  # how often there are several
_WINGS_HIDDEN = 0.25  # how often a bee's wings are folded and clear
_FAINT_BANDS = 0.45  # how often a bee's bands hardly show
_BANDED_ANT = 0.25  # how often an ant's abdomen has bands

_OVERSAMPLING = 2

# Body colours, dark to light; each class draws from all of them, with other odds.
_BODIES: tuple[RGB, ...] = (
    (24, 20, 20),
    (44, 32, 28),
    (74, 44, 28),
    (112, 52, 30),
    (150, 82, 34),
    (186, 128, 46),
    (206, 160, 64),
)
_ODDS = {"ants": (6, 5, 4, 4, 3, 1, 1), "bees": (3, 3, 3, 3, 4, 3, 2)}


@dataclass(frozen=True)
class Insects:
    """Drawn pictures and their labels.

    Attributes
    ----------
    train, val : tuple of PIL.Image.Image
        Pictures in RGB, ants first.
    train_labels, val_labels : tuple of int
        For each of them 0 for ants and 1 for bees.
    """

    train: tuple[Image.Image, ...]
    val: tuple[Image.Image, ...]
    train_labels: tuple[int, ...]
    val_labels: tuple[int, ...]


def generate_insects(
    *,
    generator: Generator,
    size: int = 128,
    train: tuple[int, int] = COUNTS["train"],
    val: tuple[int, int] = COUNTS["val"],
) -> Insects:
    """Draw pictures of ants and bees.

    The generator's state decides everything. `size` is the side of the pictures in pixels; `train`
    and `val` say how many ants and how many bees each part has. A number below 1 is a
    ``ValueError``.
    """
    check_at_least(1, size=size, train=min(train), val=min(val))
    parts = []
    for counts in (train, val):
        labels = tuple(label for label, count in enumerate(counts) for _ in range(count))
        pictures = tuple(draw_insects(CLASSES[label], generator, size) for label in labels)
        parts.append((pictures, labels))
    (train_pictures, train_labels), (val_pictures, val_labels) = parts
    return Insects(train_pictures, val_pictures, train_labels, val_labels)


def draw_insects(name: str, generator: Generator, size: int = 128) -> Image.Image:
    """Draw one insect, or several of a kind, in RGB with smooth edges.

    `name` is ``"ants"`` or ``"bees"``, anything else is a ``ValueError``; `size` is the side in
    pixels.
    """
    check_choice("name", name, CLASSES)
    fine = size * _OVERSAMPLING
    ground, plants = pick(_GROUNDS, generator)(fine, generator)
    picture = ground.convert("RGBA")
    several = chance(_SECOND, generator)
    body = _BODIES[_weighted(_ODDS[name], generator)]
    length = uniform(*_LENGTH, generator)
    places = [(uniform(0.34, 0.66, generator), uniform(0.34, 0.66, generator))]
    if several:
        length = min(length, 0.46)
        turn = uniform(0, 2 * math.pi, generator)
        places = [
            (0.5 + 0.26 * math.cos(turn + k * math.pi), 0.5 + 0.26 * math.sin(turn + k * math.pi))
            for k in range(2)
        ]
    drawer = _ant if name == "ants" else _bee
    for x, y in places:
        insect = drawer(
            fine,
            _Pose(
                x * fine,
                y * fine,
                length * fine * uniform(0.9, 1.1, generator),
                uniform(0, 2 * math.pi, generator),
                chance(0.5, generator),
            ),
            _vary(body, 14, generator),
            generator,
        )
        picture = _cast_shadow(picture, insect, fine)
        picture.alpha_composite(insect)
    if chance(_COVERED, generator):
        front = Image.new("RGBA", (fine, fine))
        canvas = ImageDraw.Draw(front)
        for _ in range(pick((1, 2, 2, 3), generator)):
            _blade(canvas, fine, _vary(plants, 30, generator), generator, width=(0.02, 0.07))
        picture = _cast_shadow(picture, front, fine)
        picture.alpha_composite(front)
    small = picture.convert("RGB").resize((size, size), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(uniform(0, 0.011, generator) * size * 0.5))
    return _light(small, generator)


# Bodies


@dataclass(frozen=True)
class _Pose:
    """Where an insect is, how long, which way it looks, and whether it is seen from the side."""

    x: float
    y: float
    length: float
    angle: float
    from_side: bool

    def pen(self, layer: Image.Image) -> Pen:
        """Return a pen for the body: its head towards +x, its length 1, its middle at (0, 0)."""
        flip, angle = 1.0, self.angle
        if self.from_side:  # feet down: the head looks left or right, a little up or down
            flip = -1.0 if math.cos(angle) < 0 else 1.0
            angle = 0.5 * math.sin(angle)
        cos, sin = math.cos(angle), math.sin(angle)

        def place(x: float, y: float) -> Point:
            u, v = cos * x - sin * y, sin * x + cos * y
            return self.x + flip * u * self.length, self.y + v * self.length

        return Pen(ImageDraw.Draw(layer), place, self.length)


def _ant(fine: int, pose: _Pose, body: RGB, generator: Generator) -> Image.Image:
    layer = Image.new("RGBA", (fine, fine))
    pen = pose.pen(layer)
    stout = uniform(0.85, 1.3, generator)
    dark = shade(body, 0.6)
    _legs(pen, pose, dark, (0.13, 0.06, -0.01), 0.26, 0.024, generator)
    _feelers(pen, pose, dark, 0.44, 0.17, 0.022, generator)
    droop = uniform(-0.25, 0.25, generator)
    x, y = -0.1 - 0.22 * math.cos(droop), 0.22 * math.sin(droop)
    pen.ball(x, y, 0.2, 0.125 * stout, body, -droop)
    if chance(_BANDED_ANT, generator):
        _bands(pen, x, y, 0.2, 0.125 * stout, mix(body, WHITE, 0.25), 3, -droop)
    pen.ball(-0.085, 0.0, 0.04, 0.04, dark)
    pen.ball(0.06, 0.0, 0.14, 0.065 * stout, body)
    pen.ball(0.32, 0.0, 0.125, 0.1 * stout, _vary(body, 10, generator))
    for side in (-1, 1):
        pen.line([(0.42, 0.03 * side), (0.5, 0.015 * side)], 0.022, dark)
    for side in (-1,) if pose.from_side else (-1, 1):
        pen.oval(0.35, 0.07 * side * stout, 0.025, 0.022, (16, 14, 14))
    return layer


def _bee(fine: int, pose: _Pose, body: RGB, generator: Generator) -> Image.Image:
    layer = Image.new("RGBA", (fine, fine))
    pen = pose.pen(layer)
    slim = uniform(0.66, 1.05, generator)
    dark = shade(body, 0.5)
    light = mix(body, pick(((226, 170, 60), (196, 120, 50), (214, 196, 150)), generator), 0.65)
    if chance(_FAINT_BANDS, generator):
        light = mix(body, light, 0.25)
    _legs(pen, pose, dark, (0.2, 0.12, 0.02), 0.19, 0.034, generator)
    _feelers(pen, pose, dark, 0.44, 0.1, 0.024, generator)
    droop = uniform(-0.2, 0.2, generator)
    x, y = -0.02 - 0.22 * math.cos(droop), 0.22 * math.sin(droop)
    pen.ball(x, y, 0.27, 0.17 * slim, body, -droop)
    _bands(pen, x, y, 0.27, 0.17 * slim, light, pick((3, 4, 5), generator), -droop)
    fur = mix(body, light, 0.5)
    pen.ball(0.13, 0.0, 0.15, 0.155 * slim, fur)
    for _ in range(70):
        turn = uniform(0, 2 * math.pi, generator)
        reach = uniform(0.8, 1.2, generator)
        cos, sin = math.cos(turn), math.sin(turn)
        pen.line(
            [
                (0.13 + 0.1 * cos, 0.1 * slim * sin),
                (0.13 + 0.16 * reach * cos, 0.16 * reach * slim * sin),
            ],
            0.012,
            _vary(fur, 36, generator),
        )
    pen.ball(0.35, 0.0, 0.095, 0.125 * slim, _vary(mix(body, dark, 0.5), 10, generator))
    for side in (-1,) if pose.from_side else (-1, 1):
        pen.oval(0.37, 0.08 * side * slim, 0.05, 0.035, (20, 16, 18))
    wings = Image.new("RGBA", (fine, fine))
    hidden = chance(_WINGS_HIDDEN, generator)
    alpha = round(uniform(18, 40, generator) if hidden else uniform(60, 140, generator))
    spread = uniform(0.05, 0.2, generator) if hidden else uniform(0.2, 1.3, generator)
    tint = (*pick(((232, 236, 240), (226, 214, 186), (196, 206, 216)), generator), alpha)
    vein = (*shade(body, 0.8), min(255, alpha + 30))
    wing_pen = pose.pen(wings)
    for side in (-1,) if pose.from_side else (-1, 1):
        for reach, wide, more in ((0.5, 0.085, 0.0), (0.36, 0.07, -0.28)):
            turn = side * (math.pi - spread - more)
            cos, sin = math.cos(turn), math.sin(turn)
            at = (0.12 + 0.5 * reach * cos, 0.08 * side * slim + 0.5 * reach * sin)
            wing_pen.oval(*at, 0.5 * reach, wide, tint, turn)
            start = (0.12, 0.08 * side * slim)
            for bend in (-0.05, 0.05):
                tip = (
                    at[0] + 0.4 * reach * cos - bend * sin,
                    at[1] + 0.4 * reach * sin + bend * cos,
                )
                wing_pen.line([start, tip], 0.008, vein)
    layer.alpha_composite(wings)
    return layer


def _legs(
    pen: Pen,
    pose: _Pose,
    fill: RGB,
    roots: Sequence[float],
    reach: float,
    width: float,
    generator: Generator,
) -> None:
    for root, way in zip(roots, (0.9, 1.6, 2.3), strict=True):
        for side in (-1, 1):
            down = 1 if pose.from_side else side
            turn = way + uniform(-0.3, 0.3, generator)
            knee = (root + reach * math.cos(turn), down * reach * math.sin(turn))
            bend = turn + uniform(-0.1, 0.5, generator) * (1 if way > 1.5 else -1)
            foot = (knee[0] + reach * math.cos(bend), knee[1] + down * reach * math.sin(bend))
            pen.line([(root, 0.0), knee], width, fill)
            pen.line([knee, foot], 0.7 * width, fill)


def _feelers(
    pen: Pen, pose: _Pose, fill: RGB, root: float, reach: float, width: float, generator: Generator
) -> None:
    for side in (-1, 1):
        up = -1 if pose.from_side else side
        turn = up * uniform(0.5, 1.1, generator)
        elbow = (root + reach * math.cos(turn), reach * math.sin(turn))
        bend = turn * uniform(-0.3, 0.5, generator)
        tip = (elbow[0] + reach * math.cos(bend), elbow[1] + reach * math.sin(bend))
        pen.line([(root - 0.03, 0.02 * up), elbow, tip], width, fill)


def _bands(
    pen: Pen, x: float, y: float, rx: float, ry: float, fill: RGB, count: int, turn: float
) -> None:
    """Draw bands across an ellipse."""
    for k in range(count):
        middle = -0.75 + 1.4 * (k + 0.5) / count
        half = 0.32 / count
        edge = []
        for p in (middle - half, middle + half):
            q = math.sqrt(1 - p * p) * 0.98
            edge.append([(p, q), (p, -q)])
        corners = [edge[0][0], edge[1][0], edge[1][1], edge[0][1]]
        pen.oval(x, y, rx, ry, fill, turn, corners)


# Backgrounds: each returns a picture and the colour of what grows there


def _leaf(fine: int, generator: Generator) -> tuple[Image.Image, RGB]:
    green = pick(((88, 136, 58), (60, 110, 62), (128, 156, 70), (150, 150, 84)), generator)
    image = _textured(fine, green, 0.12, 6, generator)
    canvas = ImageDraw.Draw(image)
    turn, light = uniform(0, math.pi, generator), mix(green, WHITE, 0.3)
    cos, sin = math.cos(turn), math.sin(turn)
    centre = uniform(0.3, 0.7, generator) * fine
    canvas.line(
        [
            (centre - fine * cos, centre - fine * sin),
            (centre + fine * cos, centre + fine * sin),
        ],
        fill=light,
        width=round(0.018 * fine),
    )
    for k in range(-7, 8):
        x, y = centre + k * 0.16 * fine * cos, centre + k * 0.16 * fine * sin
        for side in (-0.9, 0.9):
            end = (x + fine * math.cos(turn + side), y + fine * math.sin(turn + side))
            canvas.line([(x, y), end], fill=mix(green, light, 0.6), width=round(0.008 * fine))
    return image.filter(ImageFilter.GaussianBlur(0.004 * fine)), green


def _sand(fine: int, generator: Generator) -> tuple[Image.Image, RGB]:
    sand = pick(((206, 178, 132), (176, 150, 116), (150, 118, 88), (196, 190, 176)), generator)
    image = _textured(fine, sand, 0.22, 90, generator)
    canvas = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = uniform(0, fine, generator), uniform(0, fine, generator)
        r = uniform(0.004, 0.025, generator) * fine
        canvas.ellipse([x - r, y - 0.8 * r, x + r, y + 0.8 * r], fill=_vary(sand, 60, generator))
    return image, (120, 140, 70)


def _petals(fine: int, generator: Generator) -> tuple[Image.Image, RGB]:
    colours = ((236, 210, 70), (226, 130, 160), (240, 238, 230), (170, 120, 200), (230, 120, 60))
    petal = pick(colours, generator)
    image = _textured(fine, (66, 104, 52), 0.25, 7, generator).filter(
        ImageFilter.GaussianBlur(0.02 * fine)
    )
    canvas = ImageDraw.Draw(image)
    x, y = (uniform(0.25, 0.75, generator) * fine for _ in range(2))
    count, reach = pick((6, 8, 12, 18), generator), uniform(0.45, 0.8, generator) * fine
    start = uniform(0, math.pi, generator)
    for k in range(count):
        turn = start + 2 * math.pi * k / count
        cos, sin = math.cos(turn), math.sin(turn)
        wide = 2.4 / count * reach * 0.62
        points = [
            (
                x + cos * reach * 0.5 * (1 + p) - sin * wide * q,
                y + sin * reach * 0.5 * (1 + p) + cos * wide * q,
            )
            for p, q in CIRCLE
        ]
        canvas.polygon(points, fill=_vary(shade(petal, uniform(0.82, 1, generator)), 8, generator))
        ends = [(x, y), (x + cos * reach * 0.8, y + sin * reach * 0.8)]
        canvas.line(ends, fill=shade(petal, 0.8), width=round(0.006 * fine))
    r = 0.14 * reach
    canvas.ellipse(
        [x - r, y - r, x + r, y + r], fill=pick(((150, 96, 30), (222, 176, 50)), generator)
    )
    return image, petal


def _bark(fine: int, generator: Generator) -> tuple[Image.Image, RGB]:
    bark = pick(((96, 76, 60), (124, 108, 92), (78, 58, 46), (140, 120, 96)), generator)
    image = _textured(fine, bark, 0.3, (40, 5), generator)
    return image, (96, 124, 70)


def _wood(fine: int, generator: Generator) -> tuple[Image.Image, RGB]:
    wood = pick(((186, 140, 92), (150, 104, 66), (206, 170, 124)), generator)
    image = _textured(fine, wood, 0.14, (3, 60), generator)
    return image, (90, 70, 50)


def _sky(fine: int, generator: Generator) -> tuple[Image.Image, RGB]:
    top = pick(((126, 172, 220), (196, 212, 226), (150, 180, 150), (214, 206, 190)), generator)
    return _textured(fine, top, 0.16, 3, generator), (84, 120, 60)


def _grass(fine: int, generator: Generator) -> tuple[Image.Image, RGB]:
    green = pick(((78, 116, 50), (120, 132, 66), (140, 124, 70)), generator)
    image = _textured(fine, shade(green, 0.6), 0.2, 6, generator)
    canvas = ImageDraw.Draw(image)
    for _ in range(34):
        _blade(canvas, fine, _vary(green, 60, generator), generator, width=(0.012, 0.05))
    return image.filter(ImageFilter.GaussianBlur(uniform(0.004, 0.014, generator) * fine)), green


_GROUNDS: tuple[Callable[[int, Generator], tuple[Image.Image, RGB]], ...] = (
    _leaf,
    _sand,
    _petals,
    _petals,
    _bark,
    _wood,
    _sky,
    _grass,
)


def _textured(
    fine: int,
    colour: RGB,
    strength: float,
    cells: int | tuple[int, int],
    generator: Generator,
) -> Image.Image:
    """Return a picture of one colour with blots of light and shade, so many across and down."""
    side = fine // _OVERSAMPLING  # nothing in it is finer than a pixel of the picture
    across, down = (cells, cells) if isinstance(cells, int) else cells
    shade = _noise(side, across, down, generator) + 0.5 * _noise(side, 2, 2, generator)
    shade += 0.2 * torch.randn(side, side, generator=generator)
    pixels = torch.tensor(colour) * (1 + strength * shade[:, :, None])
    image = Image.fromarray(pixels.clamp(0, 255).byte().numpy())
    return image.resize((fine, fine), Image.Resampling.BILINEAR)


def _noise(side: int, across: int, down: int, generator: Generator) -> Tensor:
    coarse = torch.randn(1, 1, down + 2, across + 2, generator=generator)
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")[0, 0]


def _blade(
    canvas: ImageDraw.ImageDraw,
    fine: int,
    fill: RGB,
    generator: Generator,
    width: tuple[float, float],
) -> None:
    """Draw a blade of grass or a stalk from one edge inwards."""
    wide = uniform(*width, generator) * fine
    x, way = uniform(-0.1, 1.1, generator) * fine, uniform(-0.5, 0.5, generator)
    tall = uniform(0.5, 1.2, generator) * fine
    if chance(0.5, generator):
        start, sign = float(fine), -1.0
    else:
        start, sign = 0.0, 1.0
    lean = way * tall
    canvas.polygon(
        [
            (x - wide / 2, start),
            (x - wide / 2 + 0.4 * lean, start + sign * 0.6 * tall),
            (x + lean, start + sign * tall),
            (x + wide / 2 + 0.4 * lean, start + sign * 0.6 * tall),
            (x + wide / 2, start),
        ],
        fill=fill,
    )


# Light


def _cast_shadow(picture: Image.Image, layer: Image.Image, fine: int) -> Image.Image:
    """Darken what lies under a layer, a little to the lower right."""
    small = (max(1, fine // 4), max(1, fine // 4))  # a shadow is soft: a coarse one will do
    mask = layer.getchannel("A").resize(small, Image.Resampling.BOX)
    mask = mask.filter(ImageFilter.GaussianBlur(0.012 * fine / 4)).resize((fine, fine))
    shift = round(0.018 * fine)
    moved = Image.new("L", (fine, fine))
    moved.paste(mask, (shift, shift))
    shadow = Image.new("RGBA", (fine, fine), (20, 16, 12, 0))
    shadow.putalpha(moved.point(lambda value: 0.45 * value))
    return Image.alpha_composite(picture, shadow)


def _light(picture: Image.Image, generator: Generator) -> Image.Image:
    """Change brightness, contrast and tint as another day and another camera would."""
    pixels = torch.from_numpy(np.array(picture)).float()
    gain = torch.tensor([uniform(0.9, 1.1, generator) for _ in range(3)])
    contrast, shift = uniform(0.7, 1.15, generator), uniform(-30, 30, generator)
    noise = torch.randn(pixels.shape, generator=generator) * uniform(1, 7, generator)
    pixels = ((pixels - 120) * contrast + 120 + shift) * gain + noise
    return Image.fromarray(pixels.clamp(0, 255).round().byte().numpy())


def _weighted(odds: Sequence[int], generator: Generator) -> int:
    return int(torch.multinomial(torch.tensor(odds).double(), 1, generator=generator))


def _vary(colour: RGB, by: float, generator: Generator) -> RGB:
    step = uniform(-by, by, generator)
    red, green, blue = (
        min(255, max(0, round(part + step + uniform(-0.25 * by, 0.25 * by, generator))))
        for part in colour
    )
    return red, green, blue
