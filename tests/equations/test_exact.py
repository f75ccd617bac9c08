"""Both sides of an equation are equal to the last digit; less than rounding is enough to fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tags import Tags
from torch import Tensor

from rnnreport import layers
from rnnreport.equations import (
    BAR,
    LEDGER,
    PAIRS,
    PairSizes,
    PairTable,
    Sizes,
    check,
    check_exactly,
    pairs,
    table,
)
from rnnreport.equations._exact import _problem
from rnnreport.equations._recurrences import LSTMProblem
from rnnreport.proof import DOUBT, ExactTensor, exact_arithmetic

_SLIGHTLY = 1 + 1e-15


@pytest.mark.parametrize("number", LEDGER)
def test_every_entry_is_proven_and_every_mistake_refuted(number: str) -> None:
    entry = LEDGER[number]
    exact = check_exactly(entry, seed=1)
    assert exact.ok
    assert exact.mistakes == len(entry.wrong) + 1
    assert 0 < exact.doubt < DOUBT
    assert exact.degree > 0
    assert exact.printed is (None if entry.as_printed is None else False)
    assert exact.assumed is (None if entry.assumption is None else True)


def slightly(place: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make one gradient of a layer too large by one part in 10¹⁵."""

    def broken(layer: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            gradients = list(layer(*arguments, **keywords))
            gradients[place] = gradients[place] * _SLIGHTLY
            return tuple(gradients)

        return call

    return broken


@pytest.mark.parametrize(
    ("number", "layer", "place"),
    [
        ("8", "rnn_backward", 2),
        ("17", "lstm_step_backward", 3),
        ("37", "lstm_backward", 3),
        ("55", "attention_lstm_step_backward", 3),
        ("N1", "content_loss", 1),
    ],
)
def test_a_layer_wrong_by_less_than_rounding_is_refuted(
    monkeypatch: pytest.MonkeyPatch, number: str, layer: str, place: int
) -> None:
    broken = slightly(place)(getattr(layers, layer))
    monkeypatch.setattr(layers, layer, broken)
    measured = check(number, generator=torch.Generator().manual_seed(0), draws=2)
    assert measured.code <= BAR  # nobody would notice
    exact = check_exactly(LEDGER[number])
    assert exact.equation
    assert not exact.code
    assert not exact.ok


def test_a_formula_wrong_by_less_than_rounding_is_refuted() -> None:
    entry = LEDGER["12"]
    right = entry.right
    mistaken = replace(entry, right=lambda p: _SLIGHTLY * right(p))
    exact = check_exactly(mistaken)
    assert (exact.equation, exact.code) == (False, True)


def test_a_mistake_that_is_none_is_not_refuted() -> None:
    entry = LEDGER["12"]
    exact = check_exactly(replace(entry, wrong={"not wrong at all": entry.right}))
    assert (exact.mistakes, exact.refuted) == (2, 1)
    assert not exact.ok


def test_a_side_of_another_shape_is_refuted() -> None:
    entry = LEDGER["12"]
    right = entry.right
    exact = check_exactly(replace(entry, right=lambda p: right(p)[None]))
    assert not exact.equation


def test_the_exact_derivatives_of_a_problem_are_those_of_its_layer() -> None:
    """The left sides are independent of the layers, so hold them against each other."""
    field, problem = _problem(LSTMProblem.draw, Sizes(T=2, d=1, m=2), 3)
    with exact_arithmetic(field):
        left = problem.derivative("h_0")
        right = LEDGER["49"].code(problem)
    assert isinstance(left, ExactTensor)
    assert isinstance(right, ExactTensor)
    assert torch.equal(left.dual.value.values, right.dual.value.values)


# The table


def test_the_table_says_what_is_exact() -> None:
    checked = table(1, 33, 36, draws=1, with_mistakes=True)
    assert checked.ok
    assert checked.doubt is not None
    assert checked.doubt < DOUBT
    text = str(checked)
    head = text.splitlines()[0].split("  ")
    assert [part.strip() for part in head if part.strip()][:3] == ["Equation", "Check", "Exact"]
    assert "Proven exactly, each with a doubt below" in text
    assert "Mistakes caught, refuted" in text
    made = len(LEDGER["1"].wrong)
    assert f"{made}/{made}, {made + 1}/{made + 1}" in text
    assert ", ≠ (wrong)" in text
    assert ", = under its condition" in text
    assert "Exact" in Tags(checked._repr_html_()).text


def test_the_table_says_what_is_refuted() -> None:
    checked = table(1, draws=1)
    [row] = checked.rows
    assert row.exact is not None
    failed = replace(checked, rows=(row._replace(exact=row.exact._replace(code=False)),))
    assert not failed.ok
    assert "≠ code" in str(failed)
    assert "FAIL: (1) not proven" in str(failed)
    escaped = replace(checked, rows=(row._replace(exact=row.exact._replace(refuted=0)),))
    assert not escaped.ok


# The pairs


@pytest.fixture(scope="module")
def every() -> PairTable:
    return pairs()


def test_every_pair_is_proven(every: PairTable) -> None:
    assert every.ok
    assert [row.name for row in every.rows] == list(PAIRS)
    assert all(row.verdict.doubt < DOUBT for row in every.rows)
    tags = Tags(every._repr_html_())
    assert tags.text.count("proven") == len(PAIRS)


def test_the_pairs_show_themselves_as_text(every: PairTable) -> None:
    head, first, *_ = str(every).splitlines()
    assert head.split() == ["Layer", "Gradients", "Verdict", "Degree", "Doubt"]
    assert first.split()[:5] == ["RNN,", "one", "step", "5", "proven"]


def test_every_public_layer_is_among_the_pairs() -> None:
    """Whatever has a backward pass or is a loss is called by a pair."""
    called: set[str] = set()

    def watched(name: str, layer: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            called.add(name)
            return layer(*arguments, **keywords)

        return call

    wanted = {name for name in layers.__all__ if name.endswith(("_backward", "_loss"))}
    with pytest.MonkeyPatch.context() as patch:
        for name in wanted:
            patch.setattr(layers, name, watched(name, getattr(layers, name)))
        pairs(PairSizes(1, 1, 1, 1))
    assert called == wanted


def test_a_broken_layer_fails_its_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "rnn_backward", slightly(3)(layers.rnn_backward))
    checked = pairs(PairSizes(2, 2, 2, 2))
    assert not checked.ok
    wrong = {row.name: row.verdict.wrong for row in checked.rows if not row.verdict}
    assert wrong == {"RNN, sequence": ("Wh",), "RNN with ReLU, sequence": ("Wh",)}
    assert "refuted: Wh" in Tags(checked._repr_html_()).text


def test_a_verdict_on_nothing_is_none() -> None:
    zero: Callable[[Tensor], Tensor] = torch.zeros_like
    entry = LEDGER["12"]
    assert not check_exactly(replace(entry, right=lambda p: zero(p.h_0))).equation
