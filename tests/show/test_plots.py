"""Plots of lines and intervals: what they draw, and the data that they keep."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from drawing import axes_of
from hypothesis import given
from hypothesis import strategies as st

from rnnreport.show import plots
from rnnreport.show.plots import Curves, Interval, Intervals, Panel, line_plot, loss_curves


def test_loss_curves_are_logarithmic_labelled_and_named() -> None:
    figure = loss_curves(
        {"RNN": [10, 1, 0.1], "LSTM": [8, 2, 0.11]}, alt="both fall", ylabel="nats"
    )
    ax = axes_of(figure)
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "nats")
    assert [t.get_text() for t in ax.texts] == ["RNN", "LSTM"]
    colours = [line.get_color() for line in ax.lines]
    assert len(set(colours)) == 2
    assert [t.get_color() for t in ax.texts] == colours
    assert len({line.get_linestyle() for line in ax.lines}) == 2
    # The ends are close, their names are not.
    heights = sorted(np.log(t.xyann[1]) for t in ax.texts)
    assert heights[1] - heights[0] > 0.3


@pytest.mark.parametrize("values", [[3.0], [1.0, 0.0, 2.0], [2.0, float("nan")], [5.0, 5.0]])
def test_loss_curves_with_odd_values(values: list[float]) -> None:
    assert "<svg" in loss_curves({"a": values}, alt="odd").svg("light")


@pytest.mark.parametrize(
    ("histories", "message"),
    [
        ({}, "1 to 4"),
        ({str(i): [1.0] for i in range(5)}, "1 to 4"),
        ({"a": []}, "no positive"),
        ({"a": [0.0, -1.0]}, "no positive"),
        ({"a": [[1.0]]}, "one row"),
    ],
)
def test_bad_histories(histories: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss_curves(histories, alt="nothing")


@pytest.mark.parametrize("markers", [False, True])
def test_line_plots_are_linear_labelled_and_named(markers: bool) -> None:
    curves = {"RNN": ([1, 2, 4], [-10.0, 0.0, 5.0]), "LSTM": ([1, 3], [-20.0, 5.1])}
    figure = line_plot(curves, alt="both rise", xlabel="epoch", ylabel="%", markers=markers)
    assert figure.alt == "both rise"
    ax = axes_of(figure)
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "%")
    for line, (places, values) in zip(ax.lines, curves.values(), strict=True):
        assert line.get_xdata().tolist() == places
        assert line.get_ydata().tolist() == values
        assert line.get_marker() == ("o" if markers else "")
    assert [t.get_text() for t in ax.texts] == ["RNN", "LSTM"]
    assert [t.xy for t in ax.texts] == [(4, 5.0), (3, 5.1)]
    colours = [line.get_color() for line in ax.lines]
    assert len(set(colours)) == 2
    assert [t.get_color() for t in ax.texts] == colours
    assert len({line.get_linestyle() for line in ax.lines}) == 2
    # The ends are close, their names are not; the higher end has the higher name.
    low, high = (t.xyann[1] for t in ax.texts)
    assert high - low > 1
    assert figure.svg("light") == line_plot(
        curves, alt="both rise", xlabel="epoch", ylabel="%", markers=markers
    ).svg("light")


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [5.0, -5.0, 5.0]])
def test_line_plots_with_odd_values(values: list[float]) -> None:
    figure = line_plot({"a": (range(len(values)), values)}, alt="odd", xlabel="x", ylabel="y")
    (line,) = axes_of(figure).lines
    assert line.get_marker() == ("o" if len(values) == 1 else "")


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({}, "1 to 4 lines, got 0"),
        ({str(i): ([1.0], [1.0]) for i in range(5)}, "1 to 4 lines, got 5"),
        ({"a": ([], [])}, r"curves\['a'\] must be two rows of equal length"),
        ({"a": ([1.0], [1.0]), "b": ([1.0, 2.0], [1.0])}, r"curves\['b'\] .*got \(2,\) and \(1,\)"),
        ({"a": ([[1.0]], [[1.0]])}, "two rows"),
        ({"a": ([1.0, 2.0], [1.0, float("nan")])}, r"curves\['a'\] must be finite"),
        ({"a": ([1.0, float("inf")], [1.0, 2.0])}, "must be finite"),
    ],
)
def test_bad_curves(curves: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        line_plot(curves, alt="nothing", xlabel="x", ylabel="y")


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=4), st.floats(0.01, 2))
def test_spread_keeps_order_and_distance(values: list[float], gap: float) -> None:
    spots = plots._spread(values, gap, -5, 5)
    for i, j in combinations(range(len(values)), 2):
        assert abs(spots[i] - spots[j]) >= gap * (1 - 1e-9)
        if values[i] != values[j]:
            assert (spots[i] < spots[j]) == (values[i] < values[j])
    assert min(spots) >= -5 - 1e-9
    assert max(spots) <= 5 + 1e-9


def test_a_plot_of_lines_keeps_them() -> None:
    lines = {"RNN": ([1, 2], [3.0, 4.0])}
    figure = line_plot(lines, alt="it rises", xlabel="epoch", ylabel="%", markers=True)
    assert figure.curves == Curves("epoch", "%", "it rises", [Panel(lines)], markers=True)
    assert figure.curves.plot().svg("dark") == figure.svg("dark")
    assert loss_curves({"a": [3.0, 1.0]}, alt="falls").curves.log


def test_bars_and_doublings() -> None:
    lines = {"6B": ([50, 100], [0.8, 0.9]), "own": ([100, 300], [0.85, 0.95])}
    bars = {"6B": ([0.7, 0.8], [0.9, 0.95])}
    curves = Curves("size", "%", "it rises", [Panel(lines, bars=bars)], doublings=True)
    ax = axes_of(curves.plot())
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["50", "100", "300"]
    (drawn,) = ax.collections
    assert [path.vertices.tolist() for path in drawn.get_paths()] == [
        [[50, 0.7], [50, 0.9]],
        [[100, 0.8], [100, 0.95]],
    ]


def test_panels_share_an_axis_and_a_legend() -> None:
    panels = [
        Panel(
            {"style": (range(3), [0.0, 2.0, 1.0]), "content": (range(3), [3.0, 2.0, 1.0])},
            title,
            rings={"best": ([2], [1.0])},
            marks=[1],
            limits=(0.5, None),
        )
        for title in ("one", "two")
    ]
    figure = Curves("step", "loss", "they fall", panels, log=True).plot()
    axes = axes_of(figure)
    assert [ax.get_title(loc="left") for ax in axes] == ["one", "two"]
    for ax in axes:
        style, content, best, mark = ax.lines
        assert list(style.get_ydata()) == [0.0, 2.0, 1.0]
        assert (best.get_marker(), list(best.get_ydata())) == ("o", [1.0])
        assert list(mark.get_xdata()) == [1, 1]
        assert ax.get_ylim()[0] == 0.5
        assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "loss")
        assert style.get_color() != content.get_color()
    assert [ax.get_xlabel() for ax in axes] == ["", "step"]
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["style", "content", "best"]


def test_intervals_are_read_from_the_top() -> None:
    rows = [
        Interval("greedy", 0.3, (0.2, 0.4), (0.25, 0.35), group="RNN"),
        Interval("beam", 0.4, (0.3, 0.5), group="RNN"),
        Interval("greedy", 0.6, (0.5, 0.7), group="LSTM", colour="C1", marker="s"),
    ]
    ax = axes_of(Intervals(rows, "CIDEr", "the LSTM is better").plot())
    assert [text.get_text() for text in ax.texts] == ["RNN", "LSTM"]
    ends = [line for line in ax.lines if line.get_linestyle() == "-"]
    assert [(tuple(line.get_xdata()), list(line.get_ydata())) for line in ends] == [
        ((0.2, 0.4), [3, 3]),
        ((0.3, 0.5), [2, 2]),
        ((0.5, 0.7), [0, 0]),  # a free line parts the groups
    ]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["greedy", "beam", "greedy"]
    seeds = next(line for line in ax.lines if line.get_marker() == "|")
    assert list(seeds.get_xdata()) == [0.25, 0.35]
    assert [line.get_color() for line in ax.lines if line.get_marker() == "s"] == ["C1"]


def test_a_reference_stands_below_its_row() -> None:
    row = Interval("bag", 0.95, (0.94, 0.96), reference=(0.9, (0.89, 0.91)))
    ax = axes_of(Intervals([row], "accuracy, %", "above", logit=True).plot())
    (reference,) = (line for line in ax.lines if line.get_marker() == "D")
    assert list(reference.get_xdata()) == [0.9]
    assert reference.get_ydata()[0] < 0
    low, high = ax.get_xlim()
    assert low < 0.89
    assert 0.96 < high < 1
