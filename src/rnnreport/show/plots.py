"""Plots of lines and of intervals.

A plot keeps what it shows as data: a record stores the very object that a page shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rnnreport.show.figures import PALETTES, WIDTH, Figure, type_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MplFigure

__all__ = [
    "Curves",
    "Interval",
    "IntervalPlot",
    "Intervals",
    "Line",
    "LinePlot",
    "Panel",
    "line_plot",
    "loss_curves",
]

Line: TypeAlias = Sequence[Sequence[float]]
"""Places along the x-axis, and as many values."""

# Where two stand too close together, the earlier one stays.
_TICKS = (0.5, 0.9, 0.99, 0.95, 0.98, 0.8, 0.97, 0.7, 0.96, 0.6, 0.93, 0.85, 0.995, 0.999)


@dataclass(frozen=True)
class Panel:
    """Lines over one pair of axes.

    Attributes
    ----------
    lines
        By name.
    title
        What stands above them.
    bars
        How far the values of lines may be off: the lower ends and the upper ones, by line.
    rings
        Single points, by what they are.
    marks
        Places along the x-axis where a dotted line stands.
    limits
        The ends of the y-axis; None for those that follow from the lines.
    """

    lines: Mapping[str, Line]
    title: str = ""
    bars: Mapping[str, Line] = field(default_factory=dict)
    rings: Mapping[str, Line] = field(default_factory=dict)
    marks: Sequence[float] = ()
    limits: Sequence[float | None] = (None, None)


@dataclass(frozen=True)
class Curves:
    """The data of a plot of lines.

    Attributes
    ----------
    xlabel, ylabel
        Names of the axes.
    alt
        What the lines show, in words; never empty.
    panels
        One, whose lines are named at their ends, or several above each other with one legend. All
        have lines of the same names.
    log
        Whether the y-axis is logarithmic.
    markers
        Whether each point is marked.
    doublings
        Whether each doubling along the x-axis is as wide as any other; its ticks are the places of
        the points.
    """

    xlabel: str
    ylabel: str
    alt: str
    panels: Sequence[Panel]
    log: bool = False
    markers: bool = False
    doublings: bool = False

    def plot(self) -> LinePlot:
        """Return the plot of the lines."""
        count = len(self.panels)
        if count == 1:
            return LinePlot(self._draw_named, self.alt, curves=self)
        size = (WIDTH, 2.1 * count + 0.7)
        return LinePlot(
            self._draw_panels, self.alt, size, {"nrows": count, "sharex": True}, curves=self
        )

    def _draw_named(self, fig: MplFigure, ax: Axes) -> None:
        """Plot lines with their names at their ends; a value may be missing, all of a line not."""
        ends = {}
        for i, (name, line) in enumerate(self.panels[0].lines.items()):
            places, values = (np.asarray(numbers, dtype=np.float64) for numbers in line)
            finite = np.flatnonzero(np.isfinite(values))
            marker = "o" if self.markers or len(finite) == 1 else ""
            ax.plot(places, values, color=f"C{i}", marker=marker, ms=5)
            if name in self.panels[0].bars:
                lower, upper = self.panels[0].bars[name]
                ax.vlines(places, lower, upper, color=f"C{i}", lw=1.5)
            ends[name] = (float(places[finite[-1]]), float(values[finite[-1]]), f"C{i}")
        if self.log:
            ax.set_yscale("log")
        if self.doublings:
            ticks = sorted({place for line in self.panels[0].lines.values() for place in line[0]})
            ax.set_xscale("log", base=2)
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            ax.set_xticks([], minor=True)
        ax.set_xlabel(self.xlabel)
        ax.set_ylabel(self.ylabel)
        ax.margins(x=0.02)
        to, back = (math.log, math.exp) if self.log else (float, float)
        low, high = (to(v) for v in ax.get_ylim())
        # One label a line of text: closer ends are pushed apart.
        width, height = fig.get_size_inches()
        gap = 1.5 * type_size(width) / 72 / height * (high - low)
        spots = _spread([to(y) for _, y, _ in ends.values()], gap, low, high)
        for (name, (x, y, colour)), spot in zip(ends.items(), spots, strict=True):
            ax.annotate(
                name,
                (x, y),
                xytext=(1.02, back(spot)),
                textcoords=("axes fraction", "data"),
                color=colour,
                fontweight="bold",
                va="center",
                annotation_clip=False,
            )

    def _draw_panels(self, fig: MplFigure, axes: Any) -> None:
        for ax, panel in zip(axes, self.panels, strict=True):
            for k, (name, (places, values)) in enumerate(panel.lines.items()):
                ax.plot(places, values, color=f"C{k}", label=name)
            for name, (places, values) in panel.rings.items():
                ax.plot(places, values, "o", color="C1", ms=6, mfc="none", label=name)
            for place in panel.marks:
                ax.axvline(place, color="0.5", lw=0.8, linestyle=":")
            if self.log:
                ax.set_yscale("log", nonpositive="mask")
            ax.set_ylim(*panel.limits)
            ax.set_title(panel.title, loc="left")
            ax.set_ylabel(self.ylabel)
            ax.margins(x=0.02)
        axes[-1].set_xlabel(self.xlabel)
        handles, names = axes[0].get_legend_handles_labels()
        columns = len(names) if sum(map(len, names)) < 30 else 2
        fig.legend(handles, names, loc="outside upper center", ncols=columns)


@dataclass(frozen=True)
class LinePlot(Figure):
    """A plot of lines.

    Attributes
    ----------
    curves
        What it shows.
    """

    curves: Curves = field(kw_only=True)


def loss_curves(
    histories: Mapping[str, Sequence[float]],
    *,
    alt: str,
    xlabel: str = "step",
    ylabel: str = "loss",
) -> LinePlot:
    """Plot losses on a logarithmic axis, each line named at its end.

    Parameters
    ----------
    histories
        One to four lines by name, each a sequence of numbers, one a step.
    alt
        What the curves show, in words; never empty.
    xlabel, ylabel
        Names of the axes.

    Raises
    ------
    ValueError
        If ``alt`` is empty, there is no line or there are more than four, or a line has no positive
        finite value. Other values that are not positive and finite leave a gap.
    """
    lines = {}
    _check_count("histories", histories)
    for name, series in histories.items():
        values = np.asarray(series, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(f"histories[{name!r}] must be one row of numbers, got {values.shape}")
        good = np.isfinite(values) & (values > 0)
        if not good.any():
            raise ValueError(f"histories[{name!r}] has no positive finite value")
        lines[name] = (range(1, len(values) + 1), np.where(good, values, np.nan).tolist())
    return Curves(xlabel, ylabel, alt, [Panel(lines)], log=True).plot()


def line_plot(
    curves: Mapping[str, Line],
    *,
    alt: str,
    xlabel: str,
    ylabel: str,
    markers: bool = False,
) -> LinePlot:
    """Plot lines on linear axes, each named at its end.

    Parameters
    ----------
    curves
        One to four lines by name, each as its places along the x-axis and its values.
    alt
        What the curves show, in words; never empty.
    xlabel, ylabel
        Names of the axes.
    markers
        Whether to mark each point.

    Raises
    ------
    ValueError
        If ``alt`` is empty, there is no line or there are more than four, or a line is empty, has
        not as many places as values or holds a number that is not finite.
    """
    _check_count("curves", curves)
    for name, line in curves.items():
        x, y = (np.asarray(numbers, dtype=np.float64) for numbers in line)
        if x.shape != y.shape or x.ndim != 1 or not len(x):
            raise ValueError(
                f"curves[{name!r}] must be two rows of equal length, got {x.shape} and {y.shape}"
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError(f"curves[{name!r}] must be finite, got other numbers")
    return Curves(xlabel, ylabel, alt, [Panel(curves)], markers=markers).plot()


def _check_count(name: str, lines: Mapping[str, object]) -> None:
    limit = len(PALETTES["light"])
    if not 1 <= len(lines) <= limit:
        raise ValueError(f"{name} must hold 1 to {limit} lines, got {len(lines)}")


def _spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart to at least ``gap``, in order, between ``low`` and ``high``."""
    order = sorted(range(len(values)), key=lambda i: (values[i], -i))
    spots = [values[i] for i in order]
    for i in range(1, len(spots)):
        spots[i] = max(spots[i], spots[i - 1] + gap)
    if spots[-1] > high:
        spots[-1] = max(high, values[order[-1]])
    for i in range(len(spots) - 1, 0, -1):
        spots[i - 1] = min(spots[i - 1], spots[i] - gap)
    if spots[0] < low:
        spots = [s + low - spots[0] for s in spots]
    result = [0.0] * len(spots)
    for i, spot in zip(order, spots, strict=True):
        result[i] = spot
    return result


@dataclass(frozen=True)
class Interval:
    """A row of an interval plot.

    Attributes
    ----------
    name
        What stands beside it.
    value, interval
        A number and how far it may be off.
    points
        The numbers that it is the mean of.
    colour, marker
        As matplotlib names them.
    group
        The heading above it and its neighbours of the same group.
    reference
        A number to compare with, and its interval; drawn below.
    """

    name: str
    value: float
    interval: Sequence[float]
    points: Sequence[float] = ()
    colour: str = "C0"
    marker: str = "o"
    group: str = ""
    reference: tuple[float, Sequence[float]] | None = None


@dataclass(frozen=True)
class Intervals:
    """The data of a plot of numbers with their intervals, one below the other.

    Attributes
    ----------
    rows
        From the top.
    xlabel
        Name of the axis.
    alt
        What the plot shows, in words; never empty.
    row_height
        In inches.
    logit
        Whether the numbers are shares on a logit axis: the step from 95 to 97 % is as wide as that
        from 5 to 3 %. Its ticks are in per cent.
    """

    rows: Sequence[Interval]
    xlabel: str
    alt: str
    row_height: float = 0.45
    logit: bool = False

    def plot(self) -> IntervalPlot:
        """Return the plot of the intervals."""
        height = self.row_height * (self._heights[0] + 1) + (1.25 if self._grouped else 0.9)
        return IntervalPlot(self._draw, self.alt, figsize=(WIDTH, height), intervals=self)

    @property
    def _heights(self) -> list[int]:
        heights = [0]
        for above, below in reversed(list(pairwise(self.rows))):
            heights.insert(0, heights[0] + (1 if above.group == below.group else 2))
        return heights

    @property
    def _grouped(self) -> bool:
        return any(row.group for row in self.rows)

    def _draw(self, _: MplFigure, ax: Axes) -> None:
        heights = self._heights
        headings: dict[str, tuple[int, str]] = {}
        for y, row in zip(heights, self.rows, strict=True):
            ax.plot(row.interval, [y, y], color=row.colour, linestyle="-", lw=2)
            ax.plot(row.points, [y] * len(row.points), "|", color=row.colour, ms=9)
            ax.plot([row.value], [y], row.marker, color=row.colour, ms=6)
            if row.reference is not None:
                value, interval = row.reference
                ax.plot(interval, [y - 0.28] * 2, color="C1", linestyle="-", lw=1.2)
                ax.plot([value], [y - 0.28], "D", color="C1", ms=5, mfc="none")
            headings.setdefault(row.group, (y, row.colour))
        for group, (y, colour) in headings.items():
            ax.text(
                0.0,
                y + 0.45,
                group,
                color=colour,
                fontweight="bold",
                transform=ax.get_yaxis_transform(),
                va="bottom",
            )
        if self.logit:
            _set_logit(ax, [end for row in self.rows for end in _ends(row)])
        ax.set_yticks(heights[::-1], [row.name for row in reversed(self.rows)])
        bottom = -0.7 if any(row.reference for row in self.rows) else -0.6
        ax.set_ylim(bottom, heights[0] + (1.2 if self._grouped else 0.6))
        ax.grid(visible=False, axis="y")
        ax.set_xlabel(self.xlabel)


@dataclass(frozen=True)
class IntervalPlot(Figure):
    """A plot of numbers with their intervals.

    Attributes
    ----------
    intervals
        What it shows.
    """

    intervals: Intervals = field(kw_only=True)


def _ends(row: Interval) -> Sequence[float]:
    reference = row.reference[1] if row.reference else ()
    return (*row.interval, *row.points, *reference)


def _set_logit(ax: Axes, ends: Sequence[float]) -> None:
    ax.set_xscale("logit")
    low, high = max(min(ends), 0.0001), min(max(ends), 0.9999)
    ticks = _ticks(low, high)
    ax.set_xticks(ticks, [f"{100 * t:.3g}" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(1 / (1 + (1 / low - 1) * 1.15), 1 / (1 + (1 / high - 1) / 1.15))


def _ticks(low: float, high: float) -> list[float]:
    """Choose ticks of a logit axis whose labels do not touch."""
    start, span = _logit(low), _logit(high) - _logit(low) or 1.0
    places: dict[float, float] = {}
    for tick in _TICKS:
        place = (_logit(tick) - start) / span
        if 0 <= place <= 1 and all(abs(place - other) > 0.08 for other in places.values()):
            places[tick] = place
    return sorted(places) or [low, high]


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
