"""The ledger proves all equations, and finds what is broken: formula, layer or printed line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tags import Tags
from torch import Tensor

from rnnreport import layers
from rnnreport.equations import (
    BAR,
    CATALOGUE,
    LEDGER,
    OWN_NUMBERS,
    SOURCE_NUMBERS,
    LedgerTable,
    MapSizes,
    Residual,
    Sizes,
    WordSizes,
    _ledger,
    bound_text,
    check,
    check_exactly,
    corrections,
    equation,
    mistakes,
    number_text,
    table,
)
from rnnreport.equations._dropout import DropoutProblem
from rnnreport.equations._glove import CountsProblem
from rnnreport.equations._lstm import cell
from rnnreport.equations._pooling import SentenceProblem
from rnnreport.equations._recurrences import (
    AttentionProblem,
    GRUProblem,
    LSTMProblem,
    ProjectedProblem,
    ReLUProblem,
    RNNProblem,
)
from rnnreport.equations._style import StyleProblem
from rnnreport.equations._temporal import TemporalProblem
from rnnreport.proof import ExactTensor, Field

VISIBLE = 1e-3
DOCS = Path(__file__).parents[2] / "docs"

seeds = st.integers(0, 2**31)
small = st.integers(1, 5)
sizes = st.builds(Sizes, T=small, d=small, m=small)
map_sizes = st.builds(MapSizes, C=small, H=small, W=small)
word_sizes = st.builds(WordSizes, T=small, N=small, D=small, V=st.integers(2, 5))
LETTERED = {  # in order
    "rnn": ["R2", "R3", "R4", "R5", "R6"],
    "lstm": ["S3", "S4", "S5", "S6", "S7"],
    "temporal": ["T2", "T4", "T5", "T6", "T8"],
    "attention": ["A5", "A6", "A7", "A8"],
    "glove": ["G5", "G6", "G7", "G8", "G9"],
    "text": ["P2", "P4", "P6", "P8"],
    "style": ["N1", "N2", "N3", "N4"],
}


def strings(*numbers: int | range) -> set[str]:
    """The numbers of the source's equations as the ledger writes them."""
    return {str(k) for n in numbers for k in ([n] if isinstance(n, int) else n)}


def sizes_of(number: str) -> st.SearchStrategy[Any]:
    """Sizes of the problems of an equation."""
    kinds = {"T": word_sizes, "G": word_sizes, "P": word_sizes, "N": map_sizes}
    return kinds.get(number[0], sizes)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# What the ledger holds.


def test_every_equation_has_one_entry_in_order() -> None:
    assert list(SOURCE_NUMBERS) == [str(number) for number in range(1, 50)]
    added = [str(number) for number in range(50, 87)]
    assert list(OWN_NUMBERS) == [*added, *chain.from_iterable(LETTERED.values())]
    assert tuple(LEDGER) == SOURCE_NUMBERS + OWN_NUMBERS
    assert all(entry.number == number for number, entry in LEDGER.items())


@pytest.mark.parametrize("entry", LEDGER.values(), ids=str)
def test_entries_are_complete(entry: Any) -> None:
    numbered = {
        "rnn": strings(range(1, 13)),
        "lstm": strings(range(13, 50)),
        "attention": strings(range(50, 65)),
        "gru": strings(range(65, 87)),
    }
    assert entry.number in {*numbered.get(entry.page, ()), *LETTERED.get(entry.page, ())}
    page = (DOCS / f"{entry.page}.md").read_text(encoding="utf-8")
    labels = re.findall(r"^\$\$ \(eq-([A-Z]?)(\d+)(?:-(\d+))?\)$", page, re.MULTILINE)
    spans = [(letter, range(int(k), int(last or k) + 1)) for letter, k, last in labels]
    assert entry.number in {f"{letter}{number}" for letter, span in spans for number in span}
    assert callable(getattr(layers, entry.layer))
    for latex in (entry.statement, entry.printed or ""):
        assert "\n" not in latex
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")
    assert len(entry.wrong) >= 2
    assert (entry.verdict == "right") == (entry.printed is None) == (entry.as_printed is None)
    assert entry.verdict == "right" or entry.remark is not None
    assert (entry.verdict == "conditional") == (entry.assumption is not None)


def test_titles_and_statements_tell_equations_apart() -> None:
    assert len({entry.title for entry in LEDGER.values()}) == len(LEDGER)
    assert len({(entry.page, entry.statement) for entry in LEDGER.values()}) == len(LEDGER)


def test_verdicts_on_the_source() -> None:
    faulty = {n: entry.verdict for n, entry in LEDGER.items() if entry.verdict != "right"}
    sloppy = dict.fromkeys(strings(17, 30, 31), "sloppy")
    conditional = dict.fromkeys(strings(33, 35), "conditional")
    assert faulty == {**sloppy, **conditional, **dict.fromkeys(strings(range(36, 48)), "wrong")}


# The proof, and that it can fail.


@pytest.mark.parametrize("number", LEDGER)
@settings(max_examples=5)
@given(seed=seeds, data=st.data())
def test_equation_and_code_hold(number: str, seed: int, data: st.DataObject) -> None:
    drawn = data.draw(sizes_of(number))
    residual = check(number, generator=generator(seed), draws=1, sizes=drawn)
    assert residual.equation <= BAR
    assert residual.code <= BAR
    assert residual.ok


@pytest.mark.parametrize("number", LEDGER)
@settings(max_examples=3)
@given(seed=seeds)
def test_every_deliberate_mistake_is_caught(number: str, seed: int) -> None:
    residuals = mistakes(number, generator=generator(seed))
    assert list(residuals) == list(LEDGER[number].wrong)
    assert {name: value for name, value in residuals.items() if not value > VISIBLE} == {}


@pytest.mark.parametrize("number", list(chain.from_iterable(LETTERED.values())))
def test_equation_with_a_letter_is_proven_exactly(number: str) -> None:
    exact = check_exactly(LEDGER[number])
    assert exact.ok
    assert exact.mistakes == len(LEDGER[number].wrong) + 1


def test_data_stays_in_an_exact_problem() -> None:
    entry = LEDGER["T8"]
    problem = entry.problem(generator(0), entry.exact_sizes)
    exact = problem.exactly(Field(0))
    assert isinstance(exact.scores, ExactTensor)
    assert exact.y is problem.y
    assert exact.mask is problem.mask


@pytest.mark.parametrize("number", [n for n, e in LEDGER.items() if e.printed is not None])
@settings(max_examples=3)
@given(seed=seeds)
def test_faulty_line_fails_where_the_right_one_holds(number: str, seed: int) -> None:
    residual = check(number, generator=generator(seed), draws=3)
    assert residual.printed is not None
    assert residual.printed > VISIBLE
    assert residual.equation <= BAR


@pytest.mark.parametrize("number", [33, 35])
@settings(max_examples=10)
@given(seed=seeds, sizes=sizes)
def test_conditional_line_is_exact_where_the_loss_reads_no_cell_state(
    number: int, seed: int, sizes: Sizes
) -> None:
    residual = check(number, generator=generator(seed), draws=1, sizes=sizes)
    assert residual.assumed is not None
    assert residual.assumed <= BAR


@pytest.mark.parametrize("number", range(36, 48))
def test_lost_sum_does_not_show_in_a_sequence_of_one_step(number: int) -> None:
    residual = check(number, generator=generator(0), draws=2, sizes=Sizes(T=1, d=2, m=3))
    assert residual.printed is not None
    assert residual.printed <= BAR


def test_nan_is_no_proof() -> None:
    assert not Residual(equation=float("nan"), code=0.0).ok
    assert not Residual(equation=0.0, code=float("nan")).ok


# The layers, broken on purpose.

Layer = Callable[..., Any]


def negated(layer: Layer) -> Layer:
    return lambda *args, **options: tuple(-gradient for gradient in layer(*args, **options))


def negated_gradients(layer: Layer) -> Layer:
    def broken(*args: Any, **options: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        loss, gradients = layer(*args, **options)
        return loss, tuple(-gradient for gradient in gradients)

    return broken


PACKED = {  # where the gradients of packed parameters begin, and how many there are
    "lstm_step_backward": (3, 3),
    "lstm_backward": (2, 3),
    "attention_lstm_step_backward": (4, 4),
    "attention_lstm_backward": (4, 4),
    "projected_lstm_step_backward": (3, 3),
    "gru_step_backward": (2, 3),
    "gru_backward": (2, 3),
}


def gates_swapped(layer: Layer, gates: int = 4) -> Layer:
    """Exchange the first two gates in the gradients of the packed parameters."""

    def swap(packed: Tensor) -> Tensor:
        one, other, *rest = packed.chunk(gates, dim=-1)
        return torch.cat([other, one, *rest], dim=-1)

    first, count = PACKED[layer.__name__]

    def broken(*args: Any, **options: Any) -> tuple[Tensor, ...]:
        gradients = layer(*args, **options)
        packed = (swap(gradient) for gradient in gradients[first : first + count])
        return (*gradients[:first], *packed, *gradients[first + count :])

    return broken


def reset_and_update_swapped(layer: Layer) -> Layer:
    return gates_swapped(layer, gates=3)


def unscaled(layer: Layer) -> Layer:
    return lambda F: F.shape[1] * layer(F)


def doubled(layer: Layer) -> Layer:
    return lambda *args: 2 * layer(*args)


def transposed(layer: Layer) -> Layer:
    return lambda cache: layer(cache).mT


def blocks_reversed(layer: Layer) -> Layer:
    return lambda cache: layer(cache)[::-1]


def without_dc_T(layer: Layer) -> Layer:
    return lambda dh, cache, **options: layer(dh, cache, **options | {"dc_T": None})


@cache
def random_problems() -> dict[str, tuple[Any, Tensor]]:
    """Return a problem of each equation and its left side, which no broken layer changes."""
    return {
        number: entry.draw(generator(0), entry.sizes(generator(0), False))
        for number, entry in LEDGER.items()
    }


def failing() -> set[str]:
    """Return the numbers whose code fails; every formula must hold all the same."""
    residuals = {
        number: LEDGER[number].residual(*problem) for number, problem in random_problems().items()
    }
    assert max(residual.equation for residual in residuals.values()) <= BAR
    return {number for number, residual in residuals.items() if residual.code > VISIBLE}


@pytest.mark.parametrize(
    ("name", "broken", "expected"),
    [
        ("rnn_step_backward", negated, strings(range(1, 6), 80) | {"R2", "R3", "R4", "R5"}),
        ("rnn_backward", negated, strings(range(6, 13), 81) | {"R6"}),
        ("gru_step_backward", negated, strings(range(65, 74))),
        ("gru_step_backward", reset_and_update_swapped, strings(66, 68, range(69, 72))),
        ("gru_backward", negated, strings(range(74, 79))),
        ("gru_backward", reset_and_update_swapped, strings(range(75, 78))),
        ("gru_step_jacobian", transposed, {"79"}),
        ("projected_lstm_step_backward", negated, strings(range(82, 85))),
        ("projected_lstm_step_backward", gates_swapped, {"84"}),
        ("projected_lstm_backward", negated, strings(85, 86)),
        ("projected_lstm_backward", without_dc_T, strings(85, 86)),
        ("lstm_step_backward", negated, strings(range(13, 32)) | {"S4", "S5", "S6"}),
        ("lstm_backward", negated, strings(range(32, 50)) | {"S7"}),
        (
            "lstm_step_backward",
            gates_swapped,
            strings(13, 14, range(17, 21), 25, 26) | {"S5", "S6"},
        ),
        ("lstm_backward", gates_swapped, strings(range(36, 40), 44, 45)),
        ("lstm_backward", without_dc_T, strings(range(32, 50)) - {"34"} | {"S7"}),
        ("attention_lstm_step_backward", negated, strings(range(50, 56)) | {"A5", "A7"}),
        ("attention_lstm_backward", negated, strings(range(56, 59)) | {"A8"}),
        ("attention_lstm_step_backward", gates_swapped, {"51", "A5"}),
        ("attention_lstm_backward", gates_swapped, {"58"}),
        ("attention_lstm_backward", without_dc_T, strings(range(56, 59)) | {"A8"}),
        ("attention_backward", negated, {"A6"}),
        ("dropout_backward", doubled, {"59"}),
        ("rnn_step_jacobian", transposed, {"60"}),
        ("lstm_step_jacobian", blocks_reversed, strings(range(61, 65)) | {"S3"}),
        ("word_embedding_backward", doubled, {"T2"}),
        ("temporal_fc_backward", negated, {"T4", "T5", "T6"}),
        ("temporal_softmax_loss", negated, {"T8"}),
        ("glove_loss", negated_gradients, {"G5", "G6", "G7", "G8", "G9"}),
        ("embedding_bag_backward", doubled, {"P2", "P4"}),
        ("max_pool_backward", doubled, {"P6"}),
        ("sigmoid_loss", negated, {"P8"}),
        ("content_loss", negated, {"N1"}),
        ("gram_matrix", unscaled, {"N2"}),
        ("style_loss", negated, {"N3"}),
        ("total_variation_loss", negated, {"N4"}),
    ],
)
def test_broken_layer_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, broken: Callable[[Layer], Layer], expected: set[str]
) -> None:
    working = getattr(layers, name)
    replacement = broken(working)
    monkeypatch.setattr(layers, name, replacement)
    assert failing() == expected


def test_broken_forward_pass_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    working = layers.lstm_step_forward

    def broken(*args: Tensor) -> Any:
        next_h, next_c, cache = working(*args)
        return next_h, next_c, cache._replace(f=cache.i, i=cache.f)

    monkeypatch.setattr(layers, "lstm_step_forward", broken)
    # The output gate's equations read neither f_t nor i_t but through c_t, which is right.
    # (S3) is solved for by the layer's own f_t.
    sides = {"S4", "S5", "S6"}
    assert failing() == strings(range(13, 32), range(61, 65)) - strings(16, 23, 24, 28) | sides


def test_broken_formula_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = LEDGER["12"]
    mistaken = replace(entry, right=entry.wrong[CATALOGUE["not-transposed"].name])
    monkeypatch.setattr(_ledger, "LEDGER", {**LEDGER, "12": mistaken})
    checked = table(12, draws=2)
    assert not checked.ok
    assert checked.rows[0].equation > VISIBLE
    assert checked.rows[0].code <= BAR
    assert "✗ FAIL" in str(checked)


# The problems that the ledger draws, against an oracle of their own.


@pytest.mark.parametrize("recurrence", [RNNProblem, ReLUProblem])
@settings(max_examples=10)
@given(seed=seeds, sizes=sizes)
def test_rnn_problem_agrees_with_autograd(
    recurrence: type[RNNProblem], seed: int, sizes: Sizes
) -> None:
    problem = recurrence.draw(generator(seed), sizes)
    names = ("x", "h_0", "W_x", "W_h", "b")
    leaves = {name: getattr(problem, name).clone().requires_grad_() for name in names}
    traced = replace(problem, **leaves)
    states = traced.h
    loss = (traced.u * torch.stack(states[1:])).sum() + (
        traced.s * torch.stack(states[1:]) ** 2 / 2
    ).sum()
    expected = torch.autograd.grad(loss, (*leaves.values(), *states))
    actual = [*(problem.derivative(name) for name in names), *problem.new_dh]
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-12, atol=1e-13)


@settings(max_examples=10)
@given(seed=seeds, sizes=sizes)
def test_lstm_problem_agrees_with_autograd(seed: int, sizes: Sizes) -> None:
    problem = LSTMProblem.draw(generator(seed), sizes)
    names = ("x", "h_0", "c_0")
    leaves = {name: getattr(problem, name).clone().requires_grad_() for name in names}
    W_h = {gate: W.clone().requires_grad_() for gate, W in problem.W_h.items()}
    traced = replace(problem, W_h=W_h, **leaves)
    h, c = torch.stack(traced.h[1:]), torch.stack(traced.c[1:])
    loss = (traced.u * h + traced.s * h**2 / 2 + traced.u_c * c + traced.s_c * c**2 / 2).sum()
    wanted = (*leaves.values(), *W_h.values(), *traced.h, *traced.c)
    expected = torch.autograd.grad(loss, wanted)
    # What autograd gives of c_t (t > 0) includes its way through h_t, which [∂L/∂c_t]new leaves
    # out; cell() adds it.
    through_h = [problem.new_dc[0], *(cell(step) for step in problem.new_steps)]
    actual = [
        *(problem.derivative(name) for name in names),
        *(problem.derivative("W_h", gate) for gate in W_h),
        *problem.new_dh,
        *through_h,
    ]
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-12, atol=1e-13)


@settings(max_examples=10)
@given(seed=seeds, sizes=sizes)
def test_no_argument_of_a_relu_is_near_zero(seed: int, sizes: Sizes) -> None:
    problem = ReLUProblem.draw(generator(seed), sizes)
    before = [problem.W_x @ s.x + problem.W_h @ s.h_prev + problem.b for s in problem.steps]
    signs = torch.stack(before).sign()
    assert float(torch.stack(before).abs().min()) > 0.5
    assert torch.equal(signs[1:], -signs[:-1])
    assert torch.equal(signs[0], -problem.h_0.sign())


@settings(max_examples=10)
@given(seed=seeds, sizes=sizes)
def test_gru_problem_agrees_with_autograd(seed: int, sizes: Sizes) -> None:
    problem = GRUProblem.draw(generator(seed), sizes)
    leaves = {name: getattr(problem, name).clone().requires_grad_() for name in ("x", "h_0", "b_h")}
    W_h = {gate: W.clone().requires_grad_() for gate, W in problem.W_h.items()}
    traced = replace(problem, W_h=W_h, **leaves)
    h = torch.stack(traced.h[1:])
    loss = (traced.u * h + traced.s * h**2 / 2).sum()
    expected = torch.autograd.grad(loss, (*leaves.values(), *W_h.values(), *traced.h))
    actual = [
        *(problem.derivative(name) for name in leaves),
        *(problem.derivative("W_h", gate) for gate in W_h),
        *problem.new_dh,
    ]
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-12, atol=1e-13)


@settings(max_examples=10)
@given(seed=seeds, sizes=sizes)
def test_projected_problem_agrees_with_autograd(seed: int, sizes: Sizes) -> None:
    problem = ProjectedProblem.draw(generator(seed), sizes)
    names = ("x", "h_0", "c_0", "W_p")
    leaves = {name: getattr(problem, name).clone().requires_grad_() for name in names}
    traced = replace(problem, **leaves)
    h, c = torch.stack(traced.h[1:]), torch.stack(traced.c[1:])
    loss = (traced.u * h + traced.s * h**2 / 2).sum()
    loss = loss + (traced.u_c * c + traced.s_c * c**2 / 2).sum()
    expected = torch.autograd.grad(loss, (*leaves.values(), *traced.h))
    actual = [*(problem.derivative(name) for name in names), *problem.new_dh]
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-12, atol=1e-13)


@settings(max_examples=10)
@given(seed=seeds, sizes=sizes)
def test_attention_problem_agrees_with_autograd(seed: int, sizes: Sizes) -> None:
    problem = AttentionProblem.draw(generator(seed), sizes)
    names = ("x", "h_0", "c_0", "A")
    leaves = {name: getattr(problem, name).clone().requires_grad_() for name in names}
    W_a = {gate: W.clone().requires_grad_() for gate, W in problem.W_a.items()}
    traced = replace(problem, W_a=W_a, **leaves)
    h, c = torch.stack(traced.h[1:]), torch.stack(traced.c[1:])
    loss = (traced.u * h + traced.s * h**2 / 2 + traced.u_c * c + traced.s_c * c**2 / 2).sum()
    expected = torch.autograd.grad(loss, (*leaves.values(), *W_a.values(), *traced.h))
    actual = [
        *(problem.derivative(name) for name in names),
        *(problem.derivative("W_a", gate) for gate in W_a),
        *problem.new_dh,
    ]
    for a, e in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, e, rtol=1e-12, atol=1e-13)


@settings(max_examples=10)
@given(seed=seeds, sizes=sizes)
def test_attention_problem_looks_where_torch_looks(seed: int, sizes: Sizes) -> None:
    problem = AttentionProblem.draw(generator(seed), sizes)
    for step in problem.steps:
        places = step.A.T[None]
        r = torch.nn.functional.scaled_dot_product_attention(
            step.h_prev[None, None], places, places
        )
        torch.testing.assert_close(step.r, r[0, 0], rtol=1e-13, atol=1e-14)


@settings(max_examples=10)
@given(seed=seeds, sizes=sizes)
def test_dropout_problem_agrees_with_autograd(seed: int, sizes: Sizes) -> None:
    problem = DropoutProblem.draw(generator(seed), sizes)
    x = problem.x.clone().requires_grad_()
    y, _ = problem.forward(problem.x)
    torch.testing.assert_close(problem.out(problem.x), y, rtol=1e-15, atol=0)
    (expected,) = torch.autograd.grad(problem.read(problem.mask * x / (1 - problem.p)), x)
    actual = LEDGER["59"].left(problem)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-13)


@settings(max_examples=10)
@given(seed=seeds, sizes=map_sizes)
def test_style_problem_agrees_with_autograd(seed: int, sizes: MapSizes) -> None:
    problem = StyleProblem.draw(generator(seed), sizes)
    F, x = (tensor.clone().requires_grad_() for tensor in (problem.F, problem.x))
    G = F @ F.T / F.shape[1]
    steps = (x.diff(dim=1) ** 2).sum() + (x.diff(dim=2) ** 2).sum()
    losses = {
        "N1": (F, problem.w * ((F - problem.P) ** 2).sum()),
        "N2": (F, (problem.U * G).sum()),
        "N3": (F, problem.w * ((G - problem.A) ** 2).sum()),
        "N4": (x, problem.w * steps),
    }
    for number, (leaf, loss) in losses.items():
        (expected,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        actual = LEDGER[number].left(problem)
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-12)


@settings(max_examples=10)
@given(seed=seeds, sizes=word_sizes)
def test_temporal_problem_agrees_with_autograd(seed: int, sizes: WordSizes) -> None:
    p = TemporalProblem.draw(generator(seed), sizes)
    names = ("E", "x", "A", "a", "scores")
    leaf = {name: getattr(p, name).clone().requires_grad_() for name in names}
    embedded = torch.nn.functional.embedding(p.w, leaf["E"])
    u = leaf["x"] @ leaf["A"] + leaf["a"]
    cross_entropy = torch.nn.functional.cross_entropy
    losses = {
        "T2": ("E", (p.u_x * embedded + p.s_x * embedded**2 / 2).sum()),
        "T4": ("x", (p.u * u + p.s * u**2 / 2).sum()),
        "T5": ("A", (p.u * u + p.s * u**2 / 2).sum()),
        "T6": ("a", (p.u * u + p.s * u**2 / 2).sum()),
        "T8": (
            "scores",
            cross_entropy(leaf["scores"][p.mask], p.y[p.mask], reduction="sum") / sizes.N,
        ),
    }
    for number, (name, loss) in losses.items():
        (expected,) = torch.autograd.grad(loss, leaf[name], retain_graph=True)
        torch.testing.assert_close(LEDGER[number].left(p), expected, rtol=1e-11, atol=1e-12)


@settings(max_examples=10)
@given(seed=seeds, sizes=word_sizes)
def test_sentence_problem_agrees_with_autograd(seed: int, sizes: WordSizes) -> None:
    p = SentenceProblem.draw(generator(seed), sizes)
    names = ("a", "E", "h", "scores")
    leaf = {name: getattr(p, name).clone().requires_grad_() for name in names}
    sums = torch.stack([p.b + leaf["a"][list(words)].sum() for words in p.sets])
    means = torch.stack([leaf["E"][list(words)].mean(0) for words in p.words])
    most = torch.stack([leaf["h"][: len(words), n].amax(0) for n, words in enumerate(p.words)])
    labels = p.y.double()
    losses = {
        "P2": ("a", (p.u_s * sums + p.s_s * sums**2 / 2).sum()),
        "P4": ("E", (p.u * means + p.s * means**2 / 2).sum()),
        "P6": ("h", (p.u * most + p.s * most**2 / 2).sum()),
        "P8": (
            "scores",
            torch.nn.functional.binary_cross_entropy_with_logits(leaf["scores"], labels),
        ),
    }
    for number, (name, loss) in losses.items():
        (expected,) = torch.autograd.grad(loss, leaf[name])
        torch.testing.assert_close(LEDGER[number].left(p), expected, rtol=1e-11, atol=1e-12)


@settings(max_examples=10)
@given(seed=seeds, sizes=word_sizes)
def test_counts_problem_agrees_with_autograd(seed: int, sizes: WordSizes) -> None:
    p = CountsProblem.draw(generator(seed), sizes)
    names = {"G6": "W", "G7": "W_context", "G8": "b", "G9": "b_context"}
    leaf = {name: getattr(p, name).clone().requires_grad_() for name in names.values()}
    e = (leaf["W"][p.rows] * leaf["W_context"][p.columns]).sum(1) - p.X.log()
    e = e + leaf["b"][p.rows] + leaf["b_context"][p.columns]
    weight = ((p.X / p.x_max) ** p.alpha).clamp(max=1)
    expected = torch.autograd.grad((weight * e**2).sum(), (e, *leaf.values()))
    for number, gradient in zip(("G5", *names), expected, strict=True):
        torch.testing.assert_close(LEDGER[number].left(p), gradient, rtol=1e-11, atol=1e-12)


def test_draw_depends_on_the_generator_alone() -> None:
    first = check(36, generator=generator(3), draws=2)
    torch.manual_seed(12345)
    state = torch.get_rng_state()
    assert check(36, generator=generator(3), draws=2) == first
    assert torch.equal(torch.get_rng_state(), state)


# The table.


@pytest.fixture(scope="module")
def whole() -> LedgerTable:
    return table(draws=2, with_mistakes=True)


@pytest.fixture(scope="module")
def own() -> LedgerTable:
    return table(OWN_NUMBERS, draws=2, with_mistakes=True)


def test_whole_ledger_holds(whole: LedgerTable, own: LedgerTable) -> None:
    for checked, numbers in ((whole, SOURCE_NUMBERS), (own, OWN_NUMBERS)):
        assert checked.ok
        assert 0 < checked.worst <= BAR
        assert tuple(row.number for row in checked.rows) == numbers
        assert all(r.mistakes == r.caught == len(LEDGER[r.number].wrong) for r in checked.rows)


def test_html_links_every_equation_to_its_page(whole: LedgerTable) -> None:
    tags = Tags(whole._repr_html_())
    links = [attributes["href"] for attributes in tags.named("a")]
    assert links == [f"{row.page}.html#equation-eq-{row.number}" for row in whole.rows]
    scopes = [attributes["scope"] for attributes in tags.named("th")]
    assert scopes == ["col"] * 8 + ["row"] * 49
    assert all("style" not in attributes for _, attributes in tags.tags)
    assert tags.text.count("✓ ok") == 49
    assert "(36)–(47)" in tags.text
    assert "h_" not in tags.text


def test_own_equations_are_linked_to_their_pages(own: LedgerTable) -> None:
    tags = Tags(own._repr_html_())
    links = [attributes["href"] for attributes in tags.named("a")]
    added = [f"attention.html#equation-eq-{k}" for k in range(50, 65)]
    added += [f"gru.html#equation-eq-{k}" for k in range(65, 87)]
    assert links == added + [
        f"{page}.html#equation-eq-{number.lower()}"
        for page, numbers in LETTERED.items()
        for number in numbers
    ]
    assert "Residual as printed" not in tags.text


def test_neighbouring_numbers_are_told_as_a_run(whole: LedgerTable, own: LedgerTable) -> None:
    rows = [whole.rows[k] for k in (0, 2, 3, 4, 48)] + [own.rows[k] for k in (0, 1, -4, -3, -2)]
    failed = LedgerTable(tuple(row._replace(code=1.0) for row in rows), draws=2)
    assert "FAIL: (1), (3)–(5), (49)–(51), (N1)–(N3) not proven" in str(failed)


def test_group_without_faulty_line_has_no_column_for_it() -> None:
    group = table(1, "2", range(3, 6), ["N2", 12], draws=1)
    tags = Tags(group._repr_html_())
    assert "Residual as printed" not in str(group)
    assert "Residual as printed" not in tags.text
    assert tags.named("dl") == []
    assert [row.number for row in group.rows] == ["1", "2", "3", "4", "5", "N2", "12"]


def test_row_is_the_same_in_any_table(whole: LedgerTable) -> None:
    row = table(33, draws=2, with_mistakes=True).rows[0]
    assert row == whole.rows[32]
    assert row.number == "33"


def test_seed_of_a_row_is_its_number() -> None:
    for number, seed in ((36, 36), (58, 58), ("R2", 87), ("N1", 115)):
        residual = check(number, generator=generator(seed), draws=2)
        row = table(number, draws=2).rows[0]
        assert (row.equation, row.code) == (residual.equation, residual.code)


def test_text_shows_residuals_and_remarks() -> None:
    text = str(table(29, 35, draws=1))
    assert "Residual as printed" in text
    assert "1, ≠ (conditional; 0, = under its condition)" in text
    assert "(35) The line and the sentence after it" in text
    assert "1 random problem each" in text
    assert "✓ ok" in text


def test_failure_is_said_in_words(whole: LedgerTable) -> None:
    rows = (whole.rows[0]._replace(code=0.5), *whole.rows[1:5])
    failed = LedgerTable(rows, draws=2)
    assert not failed.ok
    assert failed.worst == 0.5
    for text in (str(failed), failed._repr_html_()):
        assert "FAIL: (1) not proven" in text
        assert "✗ FAIL" in text
    classes = [attributes.get("class") for _, attributes in Tags(failed._repr_html_()).tags]
    assert "ledger ledger-fail" in classes
    assert classes.count("ledger-fail") == 1


def test_mistake_that_escapes_fails_its_row(whole: LedgerTable) -> None:
    row = whole.rows[0]
    assert row.mistakes is not None
    assert not row._replace(caught=row.mistakes - 1).ok
    assert not row._replace(equation=float("nan")).ok


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (2.06e-16, "2.1 × 10⁻¹⁶"),
        (1e-12, "10⁻¹²"),
        (0.0096, "9.6 × 10⁻³"),
        (0.874, "0.87"),
        (1.0, "1"),
        (16.4, "16"),
        (123.4, "123"),
        (4.5e12, "4.5 × 10¹²"),
        (float("inf"), "∞"),
        (float("nan"), "∞"),
    ],
)
def test_number_text(value: float, text: str) -> None:
    assert number_text(value) == text.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("value", "text"),
    [(8.61e-51, "8.7 × 10⁻⁵¹"), (1.01e-60, "1.1 × 10⁻⁶⁰"), (9.91e-60, "10⁻⁵⁹"), (0.0, "0")],
)
def test_a_bound_is_rounded_up(value: float, text: str) -> None:
    assert bound_text(value) == text.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize("number", [0, 87, -1, "N0", "N", "n1", "T1", ""])
def test_unknown_number_is_refused(number: int | str) -> None:
    lettered = ", ".join(chain.from_iterable(LETTERED.values()))
    message = f"number must be that of an equation, 1 to 86 or one of {lettered}, got {number!r}"
    for call in (
        lambda: equation(number),
        lambda: check(number, generator=generator(0)),
        lambda: mistakes(number, generator=generator(0)),
        lambda: table(number),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_no_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        check(1, generator=generator(0), draws=0)


def test_corrections_hold_every_faulty_line_beside_the_right_one() -> None:
    faulty = [entry.number for entry in LEDGER.values() if entry.verdict != "right"]
    listing = corrections()
    assert [entry.number for entry in listing.entries] == faulty
    html = listing._repr_html_()
    assert html.count("<details>") == len(faulty)
    for entry in listing.entries:
        assert entry.printed is not None
        assert escape(entry.printed) in html
        assert escape(entry.statement.split(" + (W")[0]) in html
