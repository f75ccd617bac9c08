"""Problems in every variant: right gradients, gradients cut off, and ways to write them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnreport.check._convention import Convention, Mismatch, hypotheses, states
from rnnreport.check._diagnosis import diagnose_sequence, diagnose_step, errors
from rnnreport.check._problems import LSTM, Sizes, draw, mistaken, steps, truncated, truth
from rnnreport.equations._backward import RIGHT
from rnnreport.equations._mistakes import planted

SQUASHES = ("tanh", "sigmoid", "relu", "identity")
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *(("rnn", {"squashed": kind}) for kind in SQUASHES),
    *(("lstm", {"candidate": a, "outward": b}) for a, b in product(SQUASHES, SQUASHES)),
    *(("gru", {"inside": a, "keeps": b}) for a, b in product((False, True), (False, True))),
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_autograd(problem: Any) -> dict[str, Tensor]:
    """Differentiate the loss by every tensor."""
    leaves: dict[str, Tensor] = {}
    changed: dict[str, Any] = {}
    for name in ("x", "h_0", "c_0", "W_x", "W_h", "b", "b_h"):
        value = getattr(problem, name, None)
        if isinstance(value, Tensor):
            leaf = value.clone().requires_grad_()
            gate = "^h" if type(problem).__name__ == "RNN" and name in ("W_x", "W_h", "b") else ""
            leaves[name + gate] = changed[name] = leaf
        elif value is not None:
            own = {gate: each.clone().requires_grad_() for gate, each in value.items()}
            leaves |= {f"{name}^{gate}": each for gate, each in own.items()}
            changed[name] = own
    replace(problem, **changed).loss().backward()
    grads = {n: leaf.grad for n, leaf in leaves.items() if leaf.grad is not None}
    return {name: g[:, 0] if name[0] == "b" else g for name, g in grads.items()}


@pytest.mark.parametrize(("cell", "variant"), VARIANTS)
def test_truth_is_what_autograd_gives(cell: str, variant: dict[str, Any]) -> None:
    problem = draw(cell, generator(), Sizes(), **variant)
    right = by_autograd(problem)
    for own in (truth(problem), mistaken(problem, RIGHT)):
        off = errors(own, right)
        assert set(off) >= set(right)
        assert max(off.values()) < 1e-12


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_gradients_that_are_cut_off(cell: str) -> None:
    problem = draw(cell, generator(), Sizes(T=4))
    right = truth(problem)
    assert max(errors(truncated(problem, 3), right).values()) < 1e-12
    cut = truncated(problem, 1)
    assert max(errors(cut, right).values()) > 1e-2
    short = steps(problem, 1, 2)
    assert max(errors(truncated(short, 1), truth(short)).values()) < 1e-12
    # The last step's own loss reaches the last two inputs and no other.
    alone: Any = replace(problem, u=torch.cat([0 * problem.u[:-1], problem.u[-1:]]))
    reached = truncated(alone, 1)["x"].abs().amax((1, 2)) > 0
    assert reached.tolist() == [False, False, True, True]


CONVENTIONS = [
    Convention("lstm", columns=columns, turned=turned, time=time, bias=bias, joined=joined)
    for columns, turned in product((False, True), (False, True))
    for time in ("NTD", "TND", "DNT", "TDN", "DTN", "TD")
    for bias, joined in (("flat", ""), ("column", "hx"), ("row", "xh"))
]


@pytest.mark.parametrize("how", CONVENTIONS, ids=str)
def test_what_is_written_can_be_read(how: Convention) -> None:
    how = replace(how, order=("o", "f", "c", "i"))
    problem = draw("lstm", generator(), Sizes(N=2 if how.batched else 1))
    assert isinstance(problem, LSTM)
    T, D, N = problem.x.shape
    H = problem.h_0.shape[0]
    assert torch.equal(how.read_sequence(how.sequence(problem.x), T, D, N), problem.x)
    assert torch.equal(how.read_step(how.step(problem.h_0), H, N), problem.h_0)
    written = how.weights(problem)
    for name in ("W_x", "W_h", "b", "W"):
        read = how.read_parameter(name, "", written[name], D, H, name)
        for key, value in read.items():
            kind, _, gate = key.partition("^")
            assert torch.equal(value, getattr(problem, kind)[gate].squeeze(-1))


def test_a_wrong_shape_is_said() -> None:
    with pytest.raises(Mismatch, match="dx has shape 3 × 2, expected 2 × 4"):
        Convention("rnn").read_step(torch.zeros(3, 2).numpy(), 4, 2, "dx")
    with pytest.raises(Mismatch, match="dWx is None, expected an array"):
        Convention("rnn").read_parameter("W_x", "", None, 4, 5, "dWx")


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_each_hypothesis_is_another_forward_pass(cell: str) -> None:
    problem = draw(cell, generator(), Sizes())
    found: list[Tensor] = []
    same = []
    for how in hypotheses(cell):
        h, _ = states(how, problem, (how.gates and sorted(how.gates)) or None)
        same += [how for other in found if float((h - other).abs().max()) < 1e-9]
        found.append(h)
    # With σ for the candidate, σ(z) σ(z') commutes: input gate and candidate cannot be told apart.
    assert all(cell == "lstm" and how.candidate == "sigmoid" for how in same)
    assert len(found) > len(same)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_each_mistake_of_the_catalogue_is_found_again(cell: Any) -> None:
    problem = draw(cell, generator(), Sizes())
    one = steps(problem, 2, 2)
    for each in planted(cell):
        returned = {T: mistaken(steps(problem, 1, T), each.slip) for T in (1, 2, 3)}
        found = [diagnose_sequence(cell, problem, returned, 1e-9)]
        if not each.slip.joining:
            found += diagnose_step(cell, one, mistaken(one, each.slip), 1e-9)[:1]
        for diagnosis in found:
            assert diagnosis.explained
            (mistake,) = diagnosis.mistakes
            assert (mistake.mistake.key, mistake.place) == (each.mistake.key, each.place)
