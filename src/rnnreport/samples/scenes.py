"""Scenes: small drawn pictures with captions.

The sample that stands in for captioned photographs if there are none. A :class:`Scene` is a
description (a place, a time of day and up to three things); :func:`draw` makes the picture of it
and :func:`describe` a caption. A caption mentions only part of the scene, as people do, and nothing
that is not there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Generator, Tensor

from rnnreport._checks import check_at_least
from rnnreport.draws import chance, pick, uniform
from rnnreport.samples._words import with_article
from rnnreport.samples.pen import RGB, WHITE, Pen, mix, shade

__all__ = [
    "KINDS",
    "PALETTE",
    "PLACES",
    "TIMES",
    "Kind",
    "Scene",
    "Scenes",
    "Thing",
    "describe",
    "draw",
    "generate",
    "random_scene",
]

Drawer = Callable[[Pen, RGB], None]

PALETTE: dict[str, RGB] = {
    "red": (214, 48, 49),
    "orange": (240, 140, 36),
    "yellow": (250, 206, 52),
    "green": (56, 142, 60),
    "blue": (41, 98, 214),
    "purple": (136, 66, 176),
    "pink": (244, 132, 178),
    "brown": (131, 84, 52),
    "black": (38, 38, 44),
    "white": (248, 248, 248),
}

TIMES = ("day", "sunset", "night")

# Top and bottom of the sky for each time of day.
_SKY: dict[str, tuple[RGB, RGB]] = {
    "day": ((96, 170, 232), (206, 232, 248)),
    "sunset": ((108, 92, 160), (252, 178, 110)),
    "night": ((14, 18, 48), (50, 58, 108)),
}
_HORIZON = 0.6
# What the light does to the ground (the things keep their colours): a tint and its share.
_TINT: dict[str, tuple[RGB, float]] = {
    "day": (WHITE, 0.0),
    "sunset": ((150, 70, 90), 0.3),
    "night": ((24, 30, 74), 0.58),
}


class Place(NamedTuple):
    """Where a scene is: the colour of its ground and the words of captions."""

    ground: RGB
    phrases: tuple[str, ...]
    over: str
    kinds: tuple[str, ...]


class Kind(NamedTuple):
    """A kind of thing: its looks and its words in captions."""

    noun: str
    colours: tuple[str, ...]
    width: float  # of the picture, when big
    height: float
    verb: str
    sky: bool
    draw: Drawer


@dataclass(frozen=True)
class Thing:
    """One thing of a scene.

    Attributes
    ----------
    kind, colour
        Keys of :data:`KINDS` and :data:`PALETTE`.
    big
        Whether it is drawn at its full size, or at two thirds of it.
    x, y
        The middle of its lower edge, as a share of the picture from the left and from the top.
    """

    kind: str
    colour: str
    big: bool
    x: float
    y: float

    @property
    def in_sky(self) -> bool:
        """Whether it flies."""
        return KINDS[self.kind].sky

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as a share of the picture."""
        scale = 1.0 if self.big else 2 / 3
        return KINDS[self.kind].width * scale, KINDS[self.kind].height * scale


@dataclass(frozen=True)
class Scene:
    """A description of a picture.

    Attributes
    ----------
    place, time
        A key of :data:`PLACES` and one of :data:`TIMES`.
    things
        One to three things, from left to right, no two of which overlap.
    light
        Whether the sun, or at night the moon, is visible.
    light_x
        Its place, as a share of the picture from the left.
    """

    place: str
    time: str
    things: tuple[Thing, ...]
    light: bool
    light_x: float


@dataclass(frozen=True)
class Scenes:
    """Scenes, their pictures and their captions.

    Attributes
    ----------
    names
        ``scene-00000``, ``scene-00001``, …
    scenes
        The N descriptions.
    images : Tensor, float32, (N, 3, S, S)
        The pictures, values from 0 to 1.
    captions
        The captions of each scene, as lists of words.
    """

    names: tuple[str, ...]
    scenes: tuple[Scene, ...]
    images: Tensor
    captions: tuple[tuple[tuple[str, ...], ...], ...]


def generate(
    count: int, *, generator: Generator, size: int = 96, captions_per_scene: int = 5
) -> Scenes:
    """Generate scenes with pictures and captions, which may repeat.

    The generator's state decides everything; a larger `count` begins with the scenes of a smaller
    one. `size` is the side of the pictures in pixels. A number below 1 is a ``ValueError``.
    """
    check_at_least(1, count=count, size=size, captions_per_scene=captions_per_scene)
    scenes, captions = [], []
    for _ in range(count):
        scene = random_scene(generator)
        scenes.append(scene)
        captions.append(
            tuple(tuple(describe(scene, generator).split()) for _ in range(captions_per_scene))
        )
    pixels = torch.from_numpy(np.stack([np.asarray(draw(scene, size)) for scene in scenes]))
    return Scenes(
        names=tuple(f"scene-{number:05d}" for number in range(count)),
        scenes=tuple(scenes),
        images=pixels.permute(0, 3, 1, 2).contiguous().float() / 255,
        captions=tuple(captions),
    )


def random_scene(generator: Generator) -> Scene:
    """Make up a scene with at least one thing on the ground or on the water."""
    place = pick(tuple(PLACES), generator)
    time = pick(TIMES, generator)
    slots = (1 / 6, 1 / 2, 5 / 6)  # the middle of each third: things stay within theirs
    count = pick((1, 2, 2, 3), generator)
    taken = sorted(torch.randperm(3, generator=generator)[:count].tolist())
    grounded = pick(taken, generator)
    things: list[Thing] = []
    for slot in taken:
        on_ground = slot == grounded or chance(0.6, generator)
        neighbour = things[-1] if things else None
        if on_ground and neighbour and not neighbour.in_sky and chance(0.25, generator):
            # A pair of the same kind and colour, so that captions have something to count.
            kind, colour = neighbour.kind, neighbour.colour
        else:
            kind = pick(PLACES[place].kinds if on_ground else _SKY_KINDS, generator)
            colour = pick(KINDS[kind].colours, generator)
        y = uniform(0.76, 0.94, generator) if on_ground else uniform(0.32, 0.5, generator)
        big = chance(0.5, generator)
        x = slots[slot] + uniform(-0.015, 0.015, generator)
        things.append(Thing(kind, colour, big, round(x, 3), round(y, 3)))
    return Scene(
        place,
        time,
        tuple(things),
        light=chance(0.6, generator),
        light_x=round(uniform(0.12, 0.88, generator), 3),
    )


# Captions


def describe(scene: Scene, generator: Generator) -> str:
    """Return a true caption of a scene, in lower case and without punctuation."""
    ground = [thing for thing in scene.things if not thing.in_sky]
    sky = [thing for thing in scene.things if thing.in_sky]
    ways: list[Callable[[Scene, list[Thing], list[Thing], Generator], str]] = [_one]
    if len(ground) >= 2:
        ways += [_pair] * 4
    if len(ground) == 3:
        ways += [_between] * 4
    if sky:
        ways += [_above] * 3
    return pick(ways, generator)(scene, ground, sky, generator)


def _one(scene: Scene, ground: list[Thing], _sky: list[Thing], generator: Generator) -> str:
    thing = pick(ground, generator)
    name, where = _name(thing, generator), _where(scene, generator)
    verb = KINDS[thing.kind].verb
    when = _when(scene, generator)
    return pick(
        (
            f"{name} {verb} {where} {when}",
            f"{name} {where} {when}",
            f"there is {name} {where} {when}",
            f"{name} {verb} {when}",
            f"{when} {name} {verb} {where}",
        ),
        generator,
    )


def _pair(scene: Scene, ground: list[Thing], _sky: list[Thing], generator: Generator) -> str:
    first = int(torch.randint(len(ground) - 1, (), generator=generator))
    left, right = ground[first], ground[first + 1]
    where, when = _where(scene, generator), _when(scene, generator)
    rest = pick((where, when, f"{where} {when}"), generator)
    same = [t for t in ground if (t.kind, t.colour) == (left.kind, left.colour)]
    if len(same) > 1:
        number = {2: "two", 3: "three"}[len(same)]
        many = f"{number} {_colour(left)}{_plural(KINDS[left.kind].noun)}"
        return pick((f"{many} {rest}", f"there are {many} {where}"), generator)
    a, b = _name(left, generator), _name(right, generator)
    near = "beside" if right.x - left.x < 0.5 else "far from"
    return pick(
        (
            f"{a} left of {b} {rest}",
            f"{b} right of {a} {rest}",
            f"{a} and {b} {rest}",
            f"{a} {KINDS[left.kind].verb} to the left of {b}",
            f"{b} {KINDS[right.kind].verb} to the right of {a}",
            f"{when} {a} {KINDS[left.kind].verb} {near} {b}",
        ),
        generator,
    )


def _between(scene: Scene, ground: list[Thing], _sky: list[Thing], generator: Generator) -> str:
    left, middle, right = (_name(thing, generator) for thing in ground)
    where, when = _where(scene, generator), _when(scene, generator)
    verb = KINDS[ground[1].kind].verb
    return pick(
        (
            f"{middle} between {left} and {right}",
            f"{middle} {verb} between {left} and {right} {where}",
            f"{when} {middle} {verb} between {right} and {left}",
        ),
        generator,
    )


def _above(scene: Scene, ground: list[Thing], sky: list[Thing], generator: Generator) -> str:
    thing, other = pick(sky, generator), pick(ground, generator)
    name, verb = _name(thing, generator), KINDS[thing.kind].verb
    below, below_verb = _name(other, generator), KINDS[other.kind].verb
    where, when = _where(scene, generator), _when(scene, generator)
    over = PLACES[scene.place].over
    return pick(
        (
            f"{name} {verb} over {over} {when}",
            f"{name} in the sky and {below} {where}",
            f"{below} {below_verb} {where} while {name} {verb} in the sky",
            f"{when} {name} {verb} over {over}",
            f"{below} {below_verb} {where} and {name} {verb} above {over}",
        ),
        generator,
    )


def _name(thing: Thing, generator: Generator) -> str:
    """Return a noun phrase, such as "a small red ball"."""
    size = ("big " if thing.big else "small ") if chance(0.35, generator) else ""
    return with_article(size + _colour(thing) + KINDS[thing.kind].noun)


def _plural(noun: str) -> str:
    return noun.removesuffix("man") + "men" if noun.endswith("man") else noun + "s"


def _colour(thing: Thing) -> str:
    # A kind that comes in one colour only, such as the snowman, needs no adjective.
    return f"{thing.colour} " if len(KINDS[thing.kind].colours) > 1 else ""


def _where(scene: Scene, generator: Generator) -> str:
    return pick(PLACES[scene.place].phrases, generator)


def _when(scene: Scene, generator: Generator) -> str:
    phrases: tuple[str, ...] = {
        "day": ("on a clear day", "under a blue sky"),
        "sunset": ("at sunset", "in the evening"),
        "night": ("at night", "under the stars"),
    }[scene.time]
    if scene.light:
        light_phrases = {"day": "in the sunshine", "sunset": "at sunset", "night": "under the moon"}
        phrases += (light_phrases[scene.time],)
    return pick(phrases, generator)


# Pictures


def draw(scene: Scene, size: int = 96) -> Image.Image:
    """Draw a scene in RGB with smooth edges; `size` is the side of the picture in pixels."""
    fine = size * _OVERSAMPLING
    image = Image.fromarray(_background(scene, fine))
    canvas = ImageDraw.Draw(image)
    whole = Pen.in_box(canvas, 0.0, 0.0, fine, fine)
    _draw_light(scene, whole)
    _draw_ground(scene, whole)
    for thing in sorted(scene.things, key=lambda thing: thing.y):  # the nearest one last
        width, height = (share * fine for share in thing.size)
        pen = Pen.in_box(canvas, thing.x * fine - width / 2, thing.y * fine - height, width, height)
        KINDS[thing.kind].draw(pen, PALETTE[thing.colour])
    return image.resize((size, size), Image.Resampling.BOX)


_OVERSAMPLING = 4


def _background(scene: Scene, fine: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    top, bottom = (np.array(colour, dtype=np.float64) for colour in _SKY[scene.time])
    share = np.clip(np.linspace(0, 1 / _HORIZON, fine), 0, 1)[:, None, None]
    sky = top + share * (bottom - top)  # (S, 1, 3)
    return np.broadcast_to(sky, (fine, fine, 3)).round().astype(np.uint8)


_STARS: tuple[tuple[float, float], ...] = (
    (0.08, 0.1),
    (0.3, 0.06),
    (0.22, 0.3),
    (0.52, 0.14),
    (0.7, 0.05),
    (0.94, 0.12),
)
_STARS += ((0.44, 0.36), (0.66, 0.32), (0.86, 0.34), (0.06, 0.42))


def _draw_light(scene: Scene, pen: Pen) -> None:
    if scene.time == "night":
        for x, y in _STARS:
            pen.ellipse(x - 0.009, y - 0.009, x + 0.009, y + 0.009, (240, 240, 220))
    if not scene.light:
        return
    x, r = scene.light_x, 0.08
    if scene.time == "day":
        y = 0.14
        pen.ellipse(x - 1.4 * r, y - 1.4 * r, x + 1.4 * r, y + 1.4 * r, (240, 232, 170))
        pen.ellipse(x - r, y - r, x + r, y + r, (255, 221, 64))
    elif scene.time == "sunset":
        y, r = _HORIZON, 0.12
        pen.ellipse(x - r, y - r, x + r, y + r, (255, 112, 67))
    else:
        y = 0.14
        pen.ellipse(x - r, y - r, x + r, y + r, (250, 244, 210))
        for dx, dy, crater in ((-0.35, -0.2, 0.22), (0.3, 0.3, 0.28), (0.25, -0.45, 0.14)):
            cx, cy, cr = x + dx * r, y + dy * r, crater * r
            pen.ellipse(cx - cr, cy - cr, cx + cr, cy + cr, (226, 218, 180))


def _draw_ground(scene: Scene, pen: Pen) -> None:
    ground = _dusk(PLACES[scene.place].ground, scene.time)
    if scene.place == "beach":
        pen.rectangle(0, _HORIZON, 1, 0.8, _dusk(PLACES["sea"].ground, scene.time))
        pen.ellipse(-0.3, 0.66, 1.3, 1.5, ground)
        return
    pen.rectangle(0, _HORIZON, 1, 1, ground)
    if scene.place == "sea":
        for row, y in enumerate((0.66, 0.74, 0.83, 0.93)):
            for x in np.arange(0.05 + 0.12 * (row % 2), 1, 0.25).tolist():
                pen.line([(x, y), (x + 0.05, y - 0.012), (x + 0.1, y)], 0.01, shade(ground, 1.25))
    elif scene.place == "snow":
        pen.ellipse(-0.3, _HORIZON - 0.06, 0.6, 0.9, shade(ground, 0.96))
    else:
        pen.ellipse(0.3, _HORIZON - 0.07, 1.4, 0.9, shade(ground, 0.92))


def _draw_ball(pen: Pen, colour: RGB) -> None:
    pen.ellipse(0, 0, 1, 1, colour)
    pen.pie((0, 0, 1, 1), 60, 120, shade(colour, 0.75))
    pen.ellipse(0.22, 0.14, 0.46, 0.38, mix(colour, WHITE, 0.6))


def _draw_tree(pen: Pen, colour: RGB) -> None:
    pen.rectangle(0.43, 0.6, 0.57, 1, (109, 76, 50))
    dark, light = shade(colour, 0.85), mix(colour, WHITE, 0.12)
    pen.ellipse(0, 0.25, 0.6, 0.75, dark)
    pen.ellipse(0.4, 0.25, 1, 0.75, dark)
    pen.ellipse(0.15, 0, 0.85, 0.62, colour)
    pen.ellipse(0.28, 0.06, 0.6, 0.34, light)


def _draw_fir(pen: Pen, colour: RGB) -> None:
    pen.rectangle(0.42, 0.8, 0.58, 1, (109, 76, 50))
    for top, bottom, half in ((0.4, 0.88, 0.5), (0.2, 0.62, 0.4), (0.0, 0.38, 0.28)):
        pen.polygon([(0.5, top), (0.5 - half, bottom), (0.5 + half, bottom)], colour)


def _draw_house(pen: Pen, colour: RGB) -> None:
    pen.rectangle(0.72, 0.06, 0.84, 0.4, (120, 80, 70))
    pen.rectangle(0.08, 0.4, 0.92, 1, colour)
    pen.polygon([(0, 0.42), (0.5, 0), (1, 0.42)], (96, 58, 48))
    pen.rectangle(0.18, 0.58, 0.42, 0.8, (255, 241, 170))
    pen.rectangle(0.56, 0.58, 0.78, 1, shade(colour, 0.55))


def _draw_cat(pen: Pen, colour: RGB) -> None:
    pen.line([(0.8, 0.92), (0.97, 0.7), (0.88, 0.45)], 0.1, colour)
    pen.ellipse(0.22, 0.4, 0.84, 1.04, colour)
    pen.polygon([(0.1, 0.34), (0.14, 0), (0.36, 0.14)], colour)
    pen.polygon([(0.64, 0.34), (0.6, 0), (0.38, 0.14)], colour)
    pen.ellipse(0.06, 0.08, 0.68, 0.6, colour)
    for x in (0.2, 0.44):
        pen.ellipse(x, 0.24, x + 0.12, 0.38, (180, 222, 90))
        pen.ellipse(x + 0.04, 0.26, x + 0.08, 0.38, (10, 10, 10))
    pen.polygon([(0.33, 0.42), (0.43, 0.42), (0.38, 0.48)], (244, 150, 160))


def _draw_car(pen: Pen, colour: RGB) -> None:
    pen.polygon([(0.18, 0.45), (0.32, 0), (0.7, 0), (0.86, 0.45)], colour)
    pen.polygon([(0.29, 0.42), (0.38, 0.1), (0.5, 0.1), (0.5, 0.42)], (205, 230, 245))
    pen.polygon([(0.55, 0.42), (0.55, 0.1), (0.66, 0.1), (0.75, 0.42)], (205, 230, 245))
    pen.rectangle(0, 0.42, 1, 0.82, colour)
    for x in (0.12, 0.64):
        pen.ellipse(x, 0.6, x + 0.24, 1, (40, 40, 46))
        pen.ellipse(x + 0.08, 0.73, x + 0.16, 0.87, (190, 190, 195))


def _draw_flower(pen: Pen, colour: RGB) -> None:
    pen.line([(0.5, 0.4), (0.5, 1)], 0.08, (46, 100, 50))
    pen.ellipse(0.5, 0.66, 0.9, 0.84, (46, 100, 50))
    for x, y in ((0.5, 0.14), (0.22, 0.26), (0.78, 0.26), (0.32, 0.48), (0.68, 0.48)):
        pen.ellipse(x - 0.22, y - 0.14, x + 0.22, y + 0.16, colour)
    pen.ellipse(0.34, 0.22, 0.66, 0.44, (255, 236, 120))


def _draw_umbrella(pen: Pen, colour: RGB) -> None:
    pen.line([(0.5, 0.1), (0.5, 1)], 0.05, (110, 80, 60))
    pen.pie((0, 0, 1, 1), 180, 360, colour)
    pen.pie((0.3, 0, 0.7, 1), 180, 360, (248, 248, 248))


def _draw_snowman(pen: Pen, colour: RGB) -> None:
    grey = shade(colour, 0.86)
    for x0, y0, x1, y1 in ((0, 0.52, 1, 1), (0.14, 0.28, 0.86, 0.68), (0.24, 0.08, 0.76, 0.4)):
        pen.ellipse(x0, y0, x1, y1, grey)
        pen.ellipse(x0 + 0.03, y0 + 0.01, x1 - 0.06, y1 - 0.02, colour)
    pen.rectangle(0.22, 0.09, 0.78, 0.13, (30, 30, 34))
    pen.rectangle(0.34, 0, 0.66, 0.1, (30, 30, 34))
    for x, y in ((0.4, 0.19), (0.56, 0.19), (0.48, 0.42), (0.48, 0.52)):
        pen.ellipse(x, y, x + 0.07, y + 0.04, (30, 30, 34))
    pen.polygon([(0.5, 0.24), (0.5, 0.29), (0.74, 0.28)], (240, 130, 40))


def _draw_boat(pen: Pen, colour: RGB) -> None:
    pen.line([(0.5, 0), (0.5, 0.75)], 0.04, (110, 80, 60))
    pen.polygon([(0.54, 0.04), (0.54, 0.64), (0.92, 0.64)], (250, 247, 238))
    pen.polygon([(0.46, 0.14), (0.46, 0.64), (0.16, 0.64)], (232, 228, 216))
    pen.polygon([(0, 0.7), (1, 0.7), (0.82, 1), (0.18, 1)], colour)


def _draw_duck(pen: Pen, colour: RGB) -> None:
    pen.ellipse(0.1, 0.42, 0.9, 1, colour)
    pen.polygon([(0.8, 0.6), (1, 0.36), (0.9, 0.8)], colour)
    pen.ellipse(0.08, 0, 0.5, 0.52, colour)
    pen.polygon([(0.12, 0.2), (0.12, 0.38), (-0.06, 0.32)], (240, 130, 30))
    pen.ellipse(0.18, 0.14, 0.26, 0.24, (20, 20, 24))
    pen.ellipse(0.4, 0.52, 0.78, 0.82, shade(colour, 0.8))


def _draw_balloon(pen: Pen, colour: RGB) -> None:
    pen.line([(0.3, 0.6), (0.4, 0.86)], 0.03, (110, 80, 60))
    pen.line([(0.7, 0.6), (0.6, 0.86)], 0.03, (110, 80, 60))
    pen.ellipse(0.04, 0, 0.96, 0.72, colour)
    pen.ellipse(0.34, 0, 0.66, 0.72, mix(colour, WHITE, 0.45))
    pen.rectangle(0.36, 0.84, 0.64, 1, (122, 84, 56))


def _draw_kite(pen: Pen, colour: RGB) -> None:
    pen.line([(0.5, 0.62), (0.36, 0.76), (0.58, 0.86), (0.44, 1)], 0.05, (90, 90, 100))
    pen.polygon([(0.5, 0), (0.95, 0.28), (0.5, 0.7), (0.05, 0.28)], colour)
    pen.polygon([(0.5, 0), (0.95, 0.28), (0.5, 0.28)], shade(colour, 0.78))
    pen.polygon([(0.5, 0.28), (0.05, 0.28), (0.5, 0.7)], shade(colour, 0.78))


def _draw_bird(pen: Pen, colour: RGB) -> None:
    pen.polygon([(0.7, 0.6), (1, 0.4), (0.96, 0.78)], colour)
    pen.ellipse(0.16, 0.4, 0.82, 0.92, colour)
    pen.ellipse(0.06, 0.26, 0.4, 0.66, colour)
    pen.polygon([(0.4, 0.55), (0.56, 0), (0.74, 0.6)], shade(colour, 0.75))
    pen.polygon([(0.1, 0.38), (0.1, 0.54), (-0.1, 0.48)], (245, 170, 40))
    pen.ellipse(0.14, 0.36, 0.22, 0.46, (20, 20, 24))


_BRIGHT = ("red", "orange", "yellow", "blue", "purple", "pink")

KINDS: dict[str, Kind] = {
    "ball": Kind("ball", _BRIGHT, 0.2, 0.2, "lies", False, _draw_ball),
    "tree": Kind("tree", ("green", "orange", "pink"), 0.28, 0.42, "stands", False, _draw_tree),
    "fir": Kind("fir tree", ("green",), 0.28, 0.46, "stands", False, _draw_fir),
    "house": Kind(
        "house", ("red", "yellow", "blue", "white"), 0.3, 0.36, "stands", False, _draw_house
    ),
    "cat": Kind("cat", ("black", "orange", "brown"), 0.22, 0.24, "sits", False, _draw_cat),
    "car": Kind("car", ("red", "yellow", "blue", "purple"), 0.3, 0.17, "waits", False, _draw_car),
    "flower": Kind(
        "flower", ("red", "yellow", "pink", "purple"), 0.18, 0.3, "blooms", False, _draw_flower
    ),
    "umbrella": Kind(
        "umbrella", ("red", "blue", "green", "purple"), 0.3, 0.34, "stands", False, _draw_umbrella
    ),
    "snowman": Kind("snowman", ("white",), 0.24, 0.4, "stands", False, _draw_snowman),
    "boat": Kind(
        "boat", ("red", "brown", "white", "yellow"), 0.3, 0.36, "sails", False, _draw_boat
    ),
    "duck": Kind("duck", ("yellow", "white", "brown"), 0.22, 0.2, "swims", False, _draw_duck),
    "balloon": Kind("balloon", _BRIGHT, 0.2, 0.28, "floats", True, _draw_balloon),
    "kite": Kind("kite", _BRIGHT, 0.2, 0.3, "flies", True, _draw_kite),
    "bird": Kind("bird", ("black", "white", "red"), 0.2, 0.16, "flies", True, _draw_bird),
}
_SKY_KINDS = tuple(name for name, kind in KINDS.items() if kind.sky)

PLACES: dict[str, Place] = {
    "meadow": Place(
        (124, 179, 66),
        ("on the grass", "on a green meadow"),
        "the meadow",
        ("ball", "tree", "house", "cat", "car", "flower"),
    ),
    "beach": Place(
        (236, 205, 142),
        ("on the beach", "on the sand"),
        "the beach",
        ("ball", "umbrella", "cat"),
    ),
    "snow": Place(
        (236, 242, 248),
        ("in the snow", "on a snowy field"),
        "the snow",
        ("ball", "fir", "house", "cat", "car", "snowman"),
    ),
    "sea": Place(
        (43, 122, 176),
        ("on the water", "on the sea"),
        "the sea",
        ("boat", "duck"),
    ),
}


def _dusk(colour: RGB, time: str) -> RGB:
    tint, share = _TINT[time]
    return mix(colour, tint, share)
