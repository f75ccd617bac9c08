"""The recorded benchmarks of the layers, as a page shows them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rnnreport.bench.layers import GATES, LARGE, Cell, Row
from rnnreport.bench.scaling import Point
from rnnreport.report.record import record_folder
from rnnreport.show.html import Html, joined, tag
from rnnreport.show.plots import Curves, LinePlot, Panel
from rnnreport.show.tables import Table, table

__all__ = ["Speed", "load"]

_NAMES = {"layers": "layers", "states": "states kept alone", "torch_nn": "torch.nn"}
_LIMIT = "arithmetic limit"
_AXES = {"T": "steps T", "N": "sequences N", "H": "hidden units H"}


@dataclass(frozen=True)
class Speed:
    """Benchmarks that were recorded in one go.

    Attributes
    ----------
    date
        When, in UTC.
    machine
        On what: ``torch``, ``numba``, ``threads``, ``processor``.
    rows
        The layers against their peers.
    points
        What an LSTM costs as a size grows.
    """

    date: str
    machine: Mapping[str, Any]
    rows: tuple[Row, ...]
    points: tuple[Point, ...]

    @property
    def note(self) -> Html:
        """Where the numbers come from."""
        m = self.machine
        text = (
            f"Recorded on {self.date[:10]} with torch {m['torch']} and numba {m['numba']}, in "
            f"{m['threads']} threads of a processor of kind {m['processor']}."
        )
        return Html(tag("p", text), text)

    @property
    def peak(self) -> float:
        """Operations per second of a large product: the median over all shapes."""
        return statistics.median(2 * LARGE**3 / row.product for row in self.rows)

    def ratio(self, cell: Cell) -> float:
        """How many times as fast as ``torch.nn`` a layer is, in the geometric mean."""
        rows = [row for row in self.rows if row.cell == cell]
        return statistics.geometric_mean(row.torch_nn / row.layers for row in rows)

    def layers_table(self, cell: Cell) -> Table:
        """Lay out a layer's times beside those of its peer."""
        heads = ("T, N, D, H", "layers", "torch.nn", "ratio", "of limit", "torch.nn of limit")
        lines = [
            (
                ",\N{NO-BREAK SPACE}".join(map(str, row.shape)),
                [
                    f"{1e3 * row.layers:.1f}",
                    f"{1e3 * row.torch_nn:.1f}",
                    f"{row.torch_nn / row.layers:.2f}",
                    f"{row.arithmetic / row.layers:.0%}",
                    f"{row.arithmetic / row.torch_nn:.0%}",
                ],
            )
            for row in self.rows
            if row.cell == cell
        ]
        return table(heads, lines, cell.upper())

    @property
    def tables(self) -> Html:
        """The tables of all layers, each under its name."""
        tables = [self.layers_table(cell) for cell in GATES]
        titled = [
            joined(tag("p", each.label, class_="recorded-title"), each) for each in reversed(tables)
        ]
        return Html(joined(*titled), "The layers against torch.nn")

    def growth(self, of: Literal["time", "memory"]) -> LinePlot:
        """Plot what a pass takes while one size is doubled."""
        value: Callable[[Point], float] = _milliseconds if of == "time" else _megabytes
        panels = []
        for axis, title in _AXES.items():
            points = [point for point in self.points if point.axis == axis]
            lines = {
                name: _line([value(p) for p in points if p.contender == contender])
                for contender, name in _NAMES.items()
            }
            if of == "time":
                limits = [1e3 * p.arithmetic for p in points if p.contender == "layers"]
                lines[_LIMIT] = _line(limits)
            sizes = [getattr(p, axis) for p in points if p.contender == "layers"]
            panels.append(Panel(lines, f"{title} from {sizes[0]} to {sizes[-1]}"))
        what = "Milliseconds" if of == "time" else "Megabytes"
        return Curves(
            "doublings",
            what.lower(),
            f"{what} of a forward and backward pass of an LSTM, over five doublings of the steps, "
            f"of the sequences and of the hidden units: {', '.join(panels[0].lines)}.",
            panels,
            log=True,
        ).plot()

    def longest(self, contender: str) -> Point:
        """Return what the most steps cost."""
        return next(
            point
            for point in reversed(self.points)
            if (point.axis, point.contender) == ("T", contender)
        )


def load() -> Speed:
    """Read the recorded benchmarks."""
    layers, scaling = (
        json.loads((record_folder() / f"speed-{name}.json").read_text("utf-8"))
        for name in ("layers", "scaling")
    )
    rows = tuple(Row(**row | {"shape": tuple(row["shape"])}) for row in layers["rows"])
    points = tuple(Point(**point) for point in scaling["points"])
    return Speed(layers["date"], layers["machine"], rows, points)


def _line(values: list[float]) -> tuple[list[float], list[float]]:
    return [float(k) for k in range(len(values))], values


def _milliseconds(point: Point) -> float:
    return 1e3 * point.seconds


def _megabytes(point: Point) -> float:
    assert point.memory is not None  # noqa: S101
    return point.memory / 2**20
