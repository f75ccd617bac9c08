"""Packed sequences: each against the same sequence alone, and all against independent oracles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from problems import ARGUMENTS as NAMES
from problems import CELL_STATE, CELLS, Problem, make_problem
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from rnnreport import layers
from rnnreport.proof import complex_step_gradient

PACKED: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "rnn": (layers.packed_rnn_forward, layers.packed_rnn_backward),
    "relu": (partial(layers.packed_rnn_forward, nonlinearity="relu"), layers.packed_rnn_backward),
    "gru": (layers.packed_gru_forward, layers.packed_gru_backward),
    "lstm": (layers.packed_lstm_forward, layers.packed_lstm_backward),
    "projected": (layers.packed_projected_lstm_forward, layers.packed_projected_lstm_backward),
}


@dataclass(frozen=True)
class Packing:
    """Sequences of different lengths, longest first, in a padded problem.

    `words` says which row of `table` is the input at each step; None where each step has its own.
    """

    problem: Problem
    lengths: tuple[int, ...]
    words: Tensor | None  # (T, N)
    table: Tensor  # (U, D)

    @property
    def runs(self) -> Tensor:
        T = len(self.problem.x)
        return torch.arange(T)[:, None] < torch.tensor(self.lengths)  # (T, N)

    @property
    def sizes(self) -> list[int]:
        return [sum(length > t for length in self.lengths) for t in range(max(self.lengths))]

    @property
    def arguments(self) -> dict[str, Tensor]:
        """What the layer takes: `x` packed, or the table."""
        values = {name: getattr(self.problem, name) for name in NAMES[self.problem.cell]}
        return values | {"x": self.problem.x[self.runs] if self.words is None else self.table}

    @property
    def dh(self) -> Tensor:
        return self.problem.dh[self.runs]

    def to(self, dtype: torch.dtype) -> Packing:
        return dataclasses.replace(self, problem=self.problem.to(dtype), table=self.table.to(dtype))

    def forward(self, **changed: Tensor) -> tuple[Tensor, Any]:
        rows = None if self.words is None else self.words[self.runs]
        forward, _ = PACKED[self.problem.cell]
        h, cache = forward(**(self.arguments | changed), sizes=self.sizes, rows=rows)
        return h, cache

    def backward(self, cache: Any) -> dict[str, Tensor]:
        _, backward = PACKED[self.problem.cell]
        more = {"dc_T": self.problem.dc_T} if self.problem.cell in CELL_STATE else {}
        return dict(zip(NAMES[self.problem.cell], backward(self.dh, cache, **more), strict=True))

    def gradients(self) -> dict[str, Tensor]:
        return self.backward(self.forward()[1])

    def loss(self, **changed: Tensor) -> Tensor:
        """A scalar whose upstream gradients are `dh` and `dc_T`, through the layer."""
        h, cache = self.forward(**changed)
        loss = (self.dh * h).sum()
        if self.problem.cell not in CELL_STATE:
            return loss
        last = torch.zeros_like(self.problem.c0)
        for c_t in cache.c.split_with_sizes(self.sizes):
            last = torch.cat([c_t, last[len(c_t) :]])
        return loss + (self.problem.dc_T * last).sum()

    def plain_loss(self, leaves: dict[str, Tensor]) -> Tensor:
        """The same scalar: one sequence after the other, by the definition."""
        shared = {name: leaves[name] for name in self.problem.weights}
        padded = self.problem.x.clone()
        if self.words is None:
            padded[self.runs] = leaves["x"]
        else:
            padded[self.runs] = leaves["x"][self.words[self.runs]]
        total = torch.zeros((), dtype=torch.float64)
        for n, length in enumerate(self.lengths):
            own = slice(n, n + 1)
            one = self.problem.replace(
                x=padded[:length, own],
                dh=self.problem.dh[:length, own],
                h0=leaves["h0"][own],
                c0=leaves.get("c0", self.problem.c0)[own],
                dc_T=self.problem.dc_T[own],
                **shared,
            )
            total = total + one.plain_loss()
        return total


def _packing(
    cell: str, lengths: list[int], D: int, H: int, seed: int, scale: float = 1.0, U: int = 0
) -> Packing:
    lengths = sorted(lengths, reverse=True)
    problem = make_problem(cell, lengths[0], len(lengths), D, H, seed, scale)
    generator = torch.Generator().manual_seed(seed ^ 1)
    words = torch.randint(0, U, problem.x.shape[:2], generator=generator) if U else None
    table = torch.randn(max(U, 1), D, generator=generator, dtype=torch.float64)
    return Packing(problem, tuple(lengths), words, table)


packings = st.builds(
    _packing,
    cell=st.sampled_from(CELLS),
    lengths=st.one_of(
        st.lists(st.integers(1, 5), min_size=1, max_size=5),
        st.builds(lambda length, N: [length] * N, st.integers(1, 4), st.integers(1, 4)),
    ),
    D=st.integers(1, 4),
    H=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.1, 1.0, 3.0]),
    U=st.integers(0, 4),
)


def _assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    assert actual.shape == expected.shape
    error = float((actual - expected).abs().max())
    assert error <= tolerance * max(1.0, float(expected.abs().max())), error


def _assert_all_close(
    actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-12
) -> None:
    assert actual.keys() == expected.keys()
    for name in expected:
        _assert_close(actual[name], expected[name], tolerance)


# Against oracles


@given(packings)
def test_each_sequence_is_as_if_alone(packing: Packing) -> None:
    """The oracle is the layer for sequences of one length."""
    problem, runs = packing.problem, packing.runs
    inputs = problem.x if packing.words is None else packing.table[packing.words]
    h, dx = torch.zeros_like(problem.dh), torch.zeros_like(problem.x)
    expected = {
        name: torch.zeros_like(value) for name, value in packing.arguments.items() if name != "x"
    }
    for n, length in enumerate(packing.lengths):
        own = slice(n, n + 1)
        one = problem.replace(
            x=inputs[:length, own],
            dh=problem.dh[:length, own],
            **{name: getattr(problem, name)[own] for name in ("h0", "c0", "dc_T")},
        )
        h[:length, own] = one.forward()[0]
        gradients = one.gradients()
        dx[:length, own] = gradients.pop("x")
        for name, gradient in gradients.items():
            (expected[name][own] if name in ("h0", "c0") else expected[name]).add_(gradient)
    expected["x"] = dx[runs]
    if packing.words is not None:
        expected["x"] = torch.zeros_like(packing.table)
        for word, gradient in zip(packing.words[runs].tolist(), dx[runs], strict=True):
            expected["x"][word] += gradient
    _assert_close(packing.forward()[0], h[runs])
    gradients = packing.gradients()
    _assert_all_close({name: gradients[name] for name in expected}, expected)


@given(packings)
def test_gradient_is_the_complex_step(packing: Packing) -> None:
    gradients, continued = packing.gradients(), packing.to(torch.complex128)
    for name, value in packing.arguments.items():

        def loss(moved: Tensor, name: str = name) -> Tensor:
            return continued.loss(**{name: moved.to(torch.complex128)})

        _assert_close(gradients[name], complex_step_gradient(loss, value))


@given(packings)
def test_gradient_is_autograd_of_the_definition(packing: Packing) -> None:
    leaves = {name: value.clone().requires_grad_() for name, value in packing.arguments.items()}
    expected = torch.autograd.grad(packing.plain_loss(leaves), list(leaves.values()))
    gradients = packing.gradients()
    _assert_close(packing.loss(), packing.plain_loss(leaves).detach())
    _assert_all_close(gradients, dict(zip(leaves, expected, strict=True)))


@given(packings)
def test_gradient_is_torch_nn_on_a_packed_sequence(packing: Packing) -> None:
    problem = packing.problem
    assume(problem.in_torch)
    leaves = {name: value.clone().requires_grad_() for name, value in packing.arguments.items()}
    module, weights = problem.torch_module(), problem.torch_weights(leaves)
    padded = torch.zeros_like(problem.x)
    padded[packing.runs] = (
        leaves["x"] if packing.words is None else leaves["x"][packing.words[packing.runs]]
    )
    state = leaves["h0"][None]
    states = (state, leaves["c0"][None]) if problem.cell in CELL_STATE else state
    sequences = pack_padded_sequence(padded, torch.tensor(packing.lengths))
    assert sequences.batch_sizes.tolist() == packing.sizes
    out, last = torch.func.functional_call(module, weights, (sequences, states))
    loss = (packing.dh * out.data).sum()
    if problem.cell in CELL_STATE:
        loss = loss + (problem.dc_T * last[1][0]).sum()
    expected = torch.autograd.grad(loss, list(leaves.values()))
    _assert_close(packing.forward()[0], out.data.detach())
    _assert_all_close(packing.gradients(), dict(zip(leaves, expected, strict=True)))


# Properties


@given(packings)
def test_backward_twice_agrees_and_changes_nothing(packing: Packing) -> None:
    before = {name: value.clone() for name, value in packing.arguments.items()}
    h, cache = packing.forward()
    h_before = h.clone()
    first, second = packing.backward(cache), packing.backward(cache)
    for name in first:
        assert torch.equal(first[name], second[name])
        assert torch.equal(packing.arguments[name], before[name])
    assert torch.equal(h, h_before)


@given(packings)
def test_float32_stays_float32_and_close(packing: Packing) -> None:
    single, exact = packing.to(torch.float32), packing.gradients()
    assert single.forward()[0].dtype == torch.float32
    for name, gradient in single.gradients().items():
        assert gradient.dtype == torch.float32
        _assert_close(gradient.double(), exact[name], tolerance=1e-4)


@pytest.mark.parametrize("cell", CELL_STATE)
def test_without_a_gradient_of_the_last_cell_it_is_zero(cell: str) -> None:
    packing = _packing(cell, [3, 1], D=2, H=3, seed=0)
    _, cache = packing.forward()
    _, backward = PACKED[cell]
    zero = torch.zeros_like(cache.c0)
    short, long = (
        backward(packing.dh, cache),
        backward(packing.dh, cache, dc_T=zero),
    )
    assert all(torch.equal(a, b) for a, b in zip(short, long, strict=True))


@pytest.mark.parametrize("cell", CELLS)
def test_no_graph_is_recorded_and_no_memory_shared(cell: str) -> None:
    packing = _packing(cell, [3, 2, 1], D=2, H=3, seed=0)
    packing.problem.Wh.requires_grad_()
    h, cache = packing.forward()
    gradients = packing.backward(cache)
    tensors = [*packing.arguments.values(), *(part for part in cache if isinstance(part, Tensor))]
    owned = {tensor.untyped_storage().data_ptr() for tensor in tensors}
    assert not h.requires_grad
    for gradient in gradients.values():
        assert not gradient.requires_grad
        assert gradient.untyped_storage().data_ptr() not in owned


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("U", [0, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_cuda_agrees_with_the_cpu(cell: str, U: int) -> None:
    packing = _packing(cell, [5, 3, 3, 1], D=3, H=4, seed=0, U=U)
    rows = None if packing.words is None else packing.words[packing.runs].cuda()
    values = {name: value.cuda() for name, value in packing.arguments.items()}
    forward, backward = PACKED[cell]
    h, cache = forward(**values, sizes=packing.sizes, rows=rows)
    more = {"dc_T": packing.problem.dc_T.cuda()} if cell in CELL_STATE else {}
    gradients = backward(packing.dh.cuda(), cache, **more)
    _assert_close(h.cpu(), packing.forward()[0])
    on_cpu = (gradient.cpu() for gradient in gradients)
    _assert_all_close(dict(zip(NAMES[cell], on_cpu, strict=True)), packing.gradients())


# Bad input


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": []}, r"sizes must hold integers of at least 1 .* got \[\]"),
        ({"sizes": [3, 2, 1, 0]}, r"never increase, got \[3, 2, 1, 0\]"),
        ({"sizes": [3, 1, 2]}, r"never increase, got \[3, 1, 2\]"),
        ({"sizes": [2, 2, 2]}, "sizes must begin with N = 3, got 2"),
        ({"sizes": [3, 2]}, "sizes must have the sum S = 6, got 5"),
        ({"rows": torch.zeros(5, dtype=torch.int64)}, r"rows must have shape \(S\) = \(6\),.*\(5,"),
        ({"rows": torch.full((6,), 6)}, r"rows must hold rows of x in \[0, 6\), got 6"),
        ({"rows": torch.zeros(6)}, r"rows must have dtype torch\.int64 or torch\.int32"),
        ({"rows": torch.zeros(6, device="meta").long()}, "rows must be on cpu as x is, got meta"),
        ({"x": torch.zeros(6)}, r"x must have shape \(S, D\)"),
        ({"h0": torch.zeros(3, 5).double()}, r"(W[hx]|h0) must have shape"),
        ({"h0": torch.zeros(3, 4)}, r"h0 must have dtype torch\.float64 as x has"),
    ],
)
def test_bad_input_is_named(cell: str, change: dict[str, object], message: str) -> None:
    packing = _packing(cell, [3, 2, 1], D=2, H=4, seed=1)
    forward, _ = PACKED[cell]
    arguments: dict[str, object] = {**packing.arguments, "sizes": packing.sizes}
    with pytest.raises(ValueError, match=message):
        forward(**(arguments | change))


@pytest.mark.parametrize("cell", CELLS)
def test_bad_upstream_gradients_are_named(cell: str) -> None:
    packing = _packing(cell, [3, 2, 1], D=2, H=4, seed=1)
    _, cache = packing.forward()
    _, backward = PACKED[cell]
    S = "S, P" if cell == "projected" else "S, H"
    with pytest.raises(ValueError, match=rf"dh must have shape \({S}\) = \(6, 4\), got \(5, 4\)"):
        backward(packing.dh[:5], cache)
    with pytest.raises(ValueError, match=r"dh must have dtype torch\.float64"):
        backward(packing.dh.float(), cache)
    if cell not in CELL_STATE:
        return
    dc_T = packing.problem.dc_T
    with pytest.raises(ValueError, match=r"dc_T must have shape \(N, H\) = \(3, 4\), got \(2, 4\)"):
        backward(packing.dh, cache, dc_T=dc_T[:2])
    with pytest.raises(ValueError, match=r"dc_T must have dtype torch\.float64"):
        backward(packing.dh, cache, dc_T=dc_T.float())
