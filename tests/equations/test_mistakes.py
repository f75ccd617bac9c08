"""The backward pass that mistakes are made in, and the catalogue of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnnreport import layers
from rnnreport.equations import CATALOGUE, LEDGER, Mistake, Sizes
from rnnreport.equations._backward import backward
from rnnreport.equations._mistakes import CellName, planted
from rnnreport.equations._recurrences import GRUProblem, LSTMProblem, ReLUProblem, RNNProblem

Problem = RNNProblem | LSTMProblem | GRUProblem
Gradients = Mapping[str, Tensor]

PROBLEMS: Mapping[CellName, type[Problem]] = {
    "rnn": RNNProblem,
    "lstm": LSTMProblem,
    "gru": GRUProblem,
}
CELLS: tuple[CellName, ...] = ("rnn", "lstm", "gru")
WITH_SLIPS = {key for key, each in CATALOGUE.items() if any(map(each.slips, CELLS))}

seeds = st.integers(0, 2**31)
small = st.integers(1, 4)
sizes = st.builds(Sizes, T=small, d=small, m=small)


def drawn(kind: type[Any], seed: int, sizes: Sizes, N: int) -> Any:
    """Draw a problem with a column for each of N sequences; an LSTM's loss reads c_T alone."""
    generator = torch.Generator().manual_seed(seed)
    sequences = [kind.draw(generator, sizes) for _ in range(N)]
    first, names = sequences[0], ("x", "h_0", "u", "s", "c_0", "u_c", "s_c")
    columns = {
        name: torch.stack([getattr(each, name) for each in sequences], -1)
        for name in names
        if hasattr(first, name)
    }
    if "u_c" in columns:
        columns["u_c"][:-1] = 0
        columns["s_c"] = torch.zeros_like(columns["s_c"])
    biases = {name: _column(getattr(first, name)) for name in ("b", "b_h") if hasattr(first, name)}
    return replace(first, **columns, **biases)


def _column(b: Any) -> Any:
    return {gate: each[:, None] for gate, each in b.items()} if isinstance(b, dict) else b[:, None]


def of_layers(p: Any) -> Gradients:
    """Gradients by the layers, which have rows and packed gates."""
    gates = list(p.W_x) if isinstance(p.W_x, dict) else ["h"]
    W_x, W_h, b = (_packed(getattr(p, name)) for name in ("W_x", "W_h", "b"))
    x, h0, dh = p.x.mT, p.h_0.T, torch.stack(p.dh[1:]).mT
    weights = W_x.T, W_h.T, b[:, 0]
    if isinstance(p, LSTMProblem):
        _, cache = layers.lstm_forward(x, h0, *weights, c0=p.c_0.T)
        dx, dh0, *packed, dc0 = layers.lstm_backward(dh, cache, dc_T=p.dc[p.T].T, return_dc0=True)
        values = {"x": dx.mT, "h_0": dh0.T, "c_0": dc0.T}
    elif isinstance(p, GRUProblem):
        _, gru_cache = layers.gru_forward(x, h0, *weights, p.b_h[:, 0])
        dx, dh0, *packed, dbh = layers.gru_backward(dh, gru_cache)
        values = {"x": dx.mT, "h_0": dh0.T, "b_h": dbh}
    else:
        kind: Any = "relu" if isinstance(p, ReLUProblem) else "tanh"
        _, rnn_cache = layers.rnn_forward(x, h0, *weights, nonlinearity=kind)
        dx, dh0, *packed = layers.rnn_backward(dh, rnn_cache)
        values = {"x": dx.mT, "h_0": dh0.T}
    for name, gradient in zip(("W_x", "W_h", "b"), packed, strict=True):
        parts = gradient.movedim(-1, 0).chunk(len(gates))
        values |= {f"{name}^{gate}": part for gate, part in zip(gates, parts, strict=True)}
    return values


def _packed(weights: Any) -> Tensor:
    return torch.cat(list(weights.values())) if isinstance(weights, dict) else weights


@pytest.mark.parametrize("kind", [RNNProblem, ReLUProblem, LSTMProblem, GRUProblem])
@settings(max_examples=10)
@given(seed=seeds, sizes=sizes, N=st.integers(1, 3))
def test_backward_without_a_mistake_is_that_of_the_layers(
    kind: type[Problem], seed: int, sizes: Sizes, N: int
) -> None:
    problem = drawn(kind, seed, sizes, N)
    actual, expected = backward(problem).gradients(), of_layers(problem)
    assert actual.keys() == expected.keys()
    for name, gradient in actual.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [RNNProblem, LSTMProblem, GRUProblem])
def test_columns_of_a_batch_add_up(kind: type[Problem]) -> None:
    together = drawn(kind, 0, Sizes(T=3, d=2, m=4), 2)
    alone = []
    for n in range(2):
        names = ("x", "h_0", "u", "s", "c_0", "u_c", "s_c", "b_h")
        columns = {
            name: getattr(together, name)[..., 0 if name == "b_h" else n]
            for name in names
            if hasattr(together, name)
        }
        b = together.b
        flat = {g: v[:, 0] for g, v in b.items()} if isinstance(b, dict) else b[:, 0]
        alone.append(backward(replace(together, **columns, b=flat)).gradients())
    for name, gradient in backward(together).gradients().items():
        one, other = alone[0][name], alone[1][name]
        parts = torch.stack([one, other], -1) if name in ("x", "h_0", "c_0") else one + other
        torch.testing.assert_close(gradient, parts, rtol=1e-12, atol=1e-13)


# The same mistakes in loops that are written out.


def loop(p: RNNProblem, key: str, form: int) -> Gradients:
    """Go back through an RNN as code would, with a mistake."""
    carried, dh_0 = torch.zeros_like(p.h_0), p.h_0
    dW_x, dW_h, db = torch.zeros_like(p.W_x), torch.zeros_like(p.W_h), torch.zeros_like(p.b)
    dx: list[Tensor] = []
    order = range(p.T) if key == "loop-forward" else reversed(range(p.T))
    for t in order:
        h_prev, h = p.h[t], p.h[t + 1]
        reaches = carried if key == "own-gradient-unused" else p.dh[t + 1] + carried
        slope = 1 - h**2
        if key == "slope-twice":
            slope = 1 - torch.tanh(h) ** 2
        if key == "slope-squared":
            slope = (1 - h**2) ** 2
        if key == "candidate-factor":
            slope = h * (1 - h**2)
        if key == "next-state":
            h_prev = h
            if form == 2:
                slope = 1 - torch.tanh(p.W_x @ p.x[t] + p.W_h @ h + p.b) ** 2
        if key == "first-state-zero" and t == 0:
            h_prev = torch.zeros_like(h)
        if key == "view-overwritten" and t == 0:
            h_prev = h
        delta = 1 - reaches**2 if key == "slope-of-gradient" else reaches * slope
        if key != "added-to-itself":
            dW_x, dW_h, db = (
                dW_x + delta @ p.x[t].T,
                dW_h + delta @ h_prev.T,
                db + delta.sum(1, keepdim=True),
            )
        read = p.dh[t + 1] * slope if key == "input-from-own-loss" else delta
        dx.append(p.W_x.T @ read)
        W = p.W_h if key == "not-transposed" else p.W_h.T
        sent = W @ (reaches if key == "slope-missing-on-way-back" else delta)
        dh_0 = reaches if key == "first-gradient-early" else sent
        carried = torch.zeros_like(sent) if key == "not-carried" else sent
    if key != "loop-forward":
        dx.reverse()
    return {"x": torch.stack(dx), "h_0": dh_0, "W_x^h": dW_x, "W_h^h": dW_h, "b^h": db}


@pytest.mark.parametrize(
    ("key", "place", "form"),
    [
        ("not-carried", "h", 1),
        ("own-gradient-unused", "", 1),
        ("input-from-own-loss", "", 1),
        ("not-transposed", "", 1),
        ("next-state", "", 1),
        ("next-state", "", 2),
        ("first-state-zero", "h", 1),
        ("view-overwritten", "h", 1),
        ("loop-forward", "", 1),
        ("slope-of-gradient", "h", 1),
        ("added-to-itself", "", 1),
        ("first-gradient-early", "", 1),
        ("slope-twice", "h", 1),
        ("slope-squared", "h", 1),
        ("candidate-factor", "h", 1),
        ("slope-missing-on-way-back", "h", 1),
    ],
)
def test_a_mistake_goes_on_through_the_steps_before(key: str, place: str, form: int) -> None:
    problem = drawn(RNNProblem, 3, Sizes(T=4, d=3, m=2), 2)
    made = {(each.mistake.key, each.place, each.form): each.slip for each in planted("rnn")}
    expected = loop(problem, key, form)
    for name, gradient in backward(problem, made[key, place, form]).gradients().items():
        torch.testing.assert_close(
            gradient.squeeze(), expected[name].squeeze(), rtol=1e-11, atol=1e-12
        )


# The catalogue.


@pytest.mark.parametrize("cell", CELLS)
def test_every_mistake_has_gradients_of_its_own(cell: CellName) -> None:
    problem = drawn(PROBLEMS[cell], 1, Sizes(T=3, d=4, m=5), 2)

    def gradients(*slip: Any) -> Tensor:
        values = backward(problem, *slip).gradients().values()
        return torch.cat([value.flatten() for value in values])

    right = gradients()
    made = {each.name: gradients(each.slip) for each in planted(cell)}
    assert len(made) == len(planted(cell))
    names, values = list(made), torch.stack([right, *made.values()])
    distances = torch.cdist(values, values, p=float("inf")) + torch.eye(len(values))
    near = (distances < 1e-6).nonzero().tolist()
    assert [(["right", *names][a], ["right", *names][b]) for a, b in near] == []


def test_every_mistake_of_a_step_stands_in_the_ledger() -> None:
    made = [name for entry in LEDGER.values() for name in entry.wrong]
    missing = {
        key for key in WITH_SLIPS if not any(n.startswith(CATALOGUE[key].name) for n in made)
    }
    assert missing == set()


@pytest.mark.parametrize("key", ["repeated-words", "batch-not-summed"])
def test_mistakes_of_words_and_batches_stand_in_the_ledger(key: str) -> None:
    assert any(CATALOGUE[key].name in entry.wrong for entry in LEDGER.values())


@pytest.mark.parametrize("cell", CELLS)
def test_a_mistake_offends_equations_of_the_ledger_or_definitions(cell: CellName) -> None:
    definitions = {"R1", "S2", "U1"}
    for key, mistake in CATALOGUE.items():
        for place in mistake.slips(cell) if key in WITH_SLIPS else [""]:
            assert set(mistake.equations(cell, place)) <= LEDGER.keys() | definitions


def test_keys_are_those_of_the_entries() -> None:
    assert all(isinstance(each, Mistake) for each in CATALOGUE.values())
    assert [each.key for each in CATALOGUE.values()] == list(CATALOGUE)
    assert len({each.name for each in CATALOGUE.values()}) == len(CATALOGUE)


# Which mistakes an entry takes.


@pytest.mark.parametrize(
    ("number", "key", "stands"),
    [
        ("25", "slope-twice", True),
        ("29", "slope-twice", True),
        ("31", "slope-missing-on-way-back", True),
        ("16", "cell-path-dropped", False),
        ("33", "cell-path-dropped", True),
        ("8", "batch-mean", False),
        ("37", "first-state-zero", True),
        ("36", "next-state", False),
        ("12", "first-gradient-early", True),
        ("48", "input-from-own-loss", True),
        ("67", "gate-for-gate", True),
        ("S5", "slope-on-one-term", True),
    ],
)
def test_an_entry_takes_what_changes_its_own_quantity(number: str, key: str, stands: bool) -> None:
    made = LEDGER[number].wrong
    assert any(name.startswith(CATALOGUE[key].name) for name in made) is stands


def test_a_mistake_of_a_sequence_is_made_at_every_step() -> None:
    """Step 1 is given what the later steps send back with the mistake in them."""
    problem = LSTMProblem.draw(torch.Generator().manual_seed(2), Sizes(T=3, d=2, m=3))
    name = "slope of the nonlinearity dropped, forget gate"
    made: Callable[[Any], Tensor] = LEDGER["44"].wrong[name]
    at_right_steps = sum(step.value("f") for step in problem.new_steps)
    (slip,) = [each.slip for each in planted("lstm") if each.name == name]
    expected = sum(step.value("f") for step in backward(problem, slip).steps)
    torch.testing.assert_close(made(problem), expected, rtol=1e-13, atol=0)
    assert float((made(problem) - at_right_steps).abs().max()) > 1e-3
