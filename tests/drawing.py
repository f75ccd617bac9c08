"""For tests of figures: what they draw on."""

from __future__ import annotations

from typing import Any

from rnnreport.show.figures import Figure


def axes_of(figure: Figure) -> Any:
    """Draw a figure, and return its axes."""
    drawn: list[Any] = []

    def draw(fig: Any, axes: Any) -> None:
        figure.draw(fig, axes)
        drawn.append(axes)

    Figure(draw, figure.alt, figure.figsize, figure.subplots).svg("light")
    (axes,) = drawn
    return axes
