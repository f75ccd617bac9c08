"""The pen of scenes and insects: it draws a thing in the thing's own coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from PIL import ImageDraw

RGB = tuple[int, int, int]
Point = tuple[float, float]

WHITE: RGB = (255, 255, 255)
CIRCLE = tuple((math.cos(k * math.pi / 16), math.sin(k * math.pi / 16)) for k in range(32))


class Pen:
    """Draws on a canvas: `place` maps the thing's coordinates to pixels, `unit` is its length."""

    def __init__(
        self, canvas: ImageDraw.ImageDraw, place: Callable[[float, float], Point], unit: float
    ) -> None:
        self._canvas, self._place, self._unit = canvas, place, unit

    @classmethod
    def in_box(
        cls, canvas: ImageDraw.ImageDraw, left: float, top: float, width: float, height: float
    ) -> Pen:
        """Return a pen for a box: (0, 0) is its upper left corner and (1, 1) its lower right."""
        return cls(canvas, lambda x, y: (left + x * width, top + y * height), width)

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """Fill the ellipse in the box between two corners."""
        self._canvas.ellipse([self._place(x0, y0), self._place(x1, y1)], fill=fill)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """Fill the box between two corners."""
        self._canvas.rectangle([self._place(x0, y0), self._place(x1, y1)], fill=fill)

    def pie(
        self, box: tuple[float, float, float, float], start: float, end: float, fill: RGB
    ) -> None:
        """Fill the slice of an ellipse between two angles in degrees."""
        x0, y0, x1, y1 = box
        self._canvas.pieslice([self._place(x0, y0), self._place(x1, y1)], start, end, fill=fill)

    def polygon(self, points: Sequence[Point], fill: tuple[int, ...]) -> None:
        """Fill a polygon."""
        self._canvas.polygon([self._place(x, y) for x, y in points], fill=fill)

    def line(self, points: Sequence[Point], width: float, fill: tuple[int, ...]) -> None:
        """Draw a line of straight pieces, at least a pixel wide."""
        self._canvas.line(
            [self._place(x, y) for x, y in points],
            fill=fill,
            width=max(1, round(width * self._unit)),
            joint="curve",
        )

    def oval(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: tuple[int, ...],
        turn: float = 0.0,
        outline: Sequence[Point] = CIRCLE,
    ) -> None:
        """Fill an ellipse that is turned around its middle, or the part of it in an outline."""
        cos, sin = math.cos(turn), math.sin(turn)
        self.polygon(
            [
                (x + cos * rx * p - sin * ry * q, y + sin * rx * p + cos * ry * q)
                for p, q in outline
            ],
            fill,
        )

    def ball(self, x: float, y: float, rx: float, ry: float, fill: RGB, turn: float = 0.0) -> None:
        """Fill a turned ellipse and light it from above."""
        self.oval(x, y, rx, ry, shade(fill, 0.72), turn)
        self.oval(x, y - 0.1 * ry, 0.86 * rx, 0.82 * ry, fill, turn)
        self.oval(x + 0.12 * rx, y - 0.3 * ry, 0.48 * rx, 0.36 * ry, mix(fill, WHITE, 0.22), turn)


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Mix two colours: a `share` of 0 gives the first and 1 the second."""
    red, green, blue = (round(p + share * (q - p)) for p, q in zip(a, b, strict=True))
    return red, green, blue


def shade(colour: RGB, factor: float) -> RGB:
    """Make a colour darker, or lighter by a factor above 1."""
    red, green, blue = (min(255, round(part * factor)) for part in colour)
    return red, green, blue
