"""The list of mistakes that a reader sees."""

from __future__ import annotations

import re

import pytest
from fresh_python import output_of

from rnnreport.check import FAULTY, SURVEYED, mistakes
from rnnreport.equations._mistakes import CATALOGUE


def test_every_mistake_stands_in_the_list_once_by_frequency() -> None:
    lines = mistakes().lines
    names = {name.lower() for name, _ in lines}
    assert names == {entry.name.lower() for entry in CATALOGUE.values()}
    counts = [int(cells[0]) for _, cells in lines]
    assert counts == sorted((entry.seen for entry in CATALOGUE.values()), reverse=True)
    assert counts[0] < FAULTY < SURVEYED


@pytest.mark.parametrize("seen", [True, False])
def test_the_list_can_be_split(seen: bool) -> None:
    lines = mistakes(seen=seen).lines
    assert len(lines) == sum(bool(entry.seen) == seen for entry in CATALOGUE.values())
    assert {int(cells[0]) > 0 for _, cells in lines} == {seen}


def test_what_it_says_is_whole() -> None:
    for name, (_, symptom, case) in mistakes().lines:
        assert re.match(r"[A-Z∂δ]|[hc]_", name), name
        assert not re.search(r"`|\{(?!t)", symptom + case), name
    [text] = [cells[1] for name, cells in mistakes().lines if name.startswith("Slope of a value")]
    assert text.startswith("The slope at the candidate is wrong. c̃_t is already tanh")


def test_the_package_is_imported_without_torch() -> None:
    assert output_of("import sys, rnnreport.check; print('torch' in sys.modules)") == "False\n"
