"""The recorded benchmarks, as the page about speed shows them."""

from __future__ import annotations

import math

import pytest
from tags import Tags

from rnnreport.bench.layers import GATES, SHAPES
from rnnreport.bench.scaling import CONTENDERS, SIZES, sizes_of
from rnnreport.bench.speed import Speed, load


@pytest.fixture(scope="module")
def record() -> Speed:
    return load()


def test_everything_is_recorded(record: Speed) -> None:
    assert [(row.cell, row.shape) for row in record.rows] == [
        (cell, shape) for cell in ("lstm", "gru", "rnn") for shape in SHAPES
    ]
    sizes = [(p.axis, (p.T, p.N, p.D, p.H), p.contender) for p in record.points]
    assert sizes == [
        (axis, size, name) for axis in SIZES for size in sizes_of(axis) for name in CONTENDERS
    ]
    assert all(point.memory for point in record.points)
    assert record.machine["numba"]
    assert record.machine["torch"] in record.note.html


def test_nothing_is_faster_than_the_arithmetic(record: Speed) -> None:
    """By a tenth at most, since two speeds of one machine are compared."""
    for row in record.rows:
        assert row.arithmetic < 1.1 * min(row.layers, row.torch_nn)
    for point in record.points:
        assert point.arithmetic < 1.1 * point.seconds


@pytest.mark.parametrize("cell", GATES)
def test_table_of_a_layer(record: Speed, cell: str) -> None:
    rows = [row for row in record.rows if row.cell == cell]
    head, *lines = Tags(record.layers_table(rows[0].cell).html).rows
    assert head[0] == "T, N, D, H"
    assert len(lines) == len(SHAPES)
    ratios = [float(line[3]) for line in lines]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    assert record.ratio(rows[0].cell) == pytest.approx(mean, rel=0.01)


def test_the_tables_stand_under_their_names(record: Speed) -> None:
    html = record.tables.html
    assert html.index("LSTM") < html.index("GRU") < html.index("RNN")
    assert html.count("<table") == 3


def test_growth_has_a_panel_for_each_axis(record: Speed) -> None:
    time, memory = record.growth("time").curves, record.growth("memory").curves
    assert [len(curves.panels) for curves in (time, memory)] == [3, 3]
    assert list(time.panels[0].lines)[-1] == "arithmetic limit"
    assert list(memory.panels[0].lines) == ["layers", "states kept alone", "torch.nn"]
    places, values = memory.panels[0].lines["torch.nn"]
    assert list(places) == [0, 1, 2, 3, 4, 5]
    assert values == sorted(values)


def test_the_states_alone_halve_the_memory_of_many_steps(record: Speed) -> None:
    layers, states = record.longest("layers"), record.longest("states")
    assert layers.T == states.T == max(point.T for point in record.points)
    assert layers.memory
    assert states.memory
    assert states.memory < 0.5 * layers.memory
    assert states.seconds == states.forward + states.backward > layers.seconds
