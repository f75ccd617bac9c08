"""Recurrent problems with a batch, in the variants that people write, and their right gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.equations._backward import RIGHT, Slip, backward
from rnnreport.equations._recurrences import GRUProblem, LSTMProblem, RNNProblem
from rnnreport.equations._steps import GATES, GRU_GATES, Gates, GRUStep, LSTMStep, RNNStep, Squash

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Gradients",
    "Problem",
    "Sizes",
    "draw",
    "mistaken",
    "steps",
    "truncated",
    "truth",
]

Gradients = Mapping[str, Tensor]

_SQUASH: Mapping[Squash, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "identity": lambda z: z,
}


@dataclass(frozen=True)
class RNN(RNNProblem):
    """The RNN with one of several nonlinearities; a column for each sequence."""

    squashed: Squash = "tanh"

    def next(self, x: Tensor, h_prev: Tensor) -> Tensor:
        """h_t."""
        return _SQUASH[self.squashed](self.W_x @ x + self.W_h @ h_prev + self.b)

    def step(self, t: int, dh: Tensor) -> RNNStep:
        """Step t, with what reaches h_t."""
        return replace(super().step(t, dh), nonlinearity=self.squashed)


@dataclass(frozen=True)
class LSTM(LSTMProblem):
    """The LSTM, whose candidate and whose way out of the cell may have other nonlinearities."""

    candidate: Squash = "tanh"
    outward: Squash = "tanh"

    def before(self, x: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
        """z_t of each gate."""
        return {g: self.W_x[g] @ x + self.W_h[g] @ h_prev + self.b[g] for g in GATES}

    def gates(self, x: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
        """f_t, i_t, c̃_t and o_t."""
        squash: dict[str, Squash] = dict.fromkeys(GATES, "sigmoid")
        squash["c"] = self.candidate
        return {gate: _SQUASH[squash[gate]](z) for gate, z in self.before(x, h_prev).items()}

    def state(self, gates: Gates, c_prev: Tensor) -> tuple[Tensor, Tensor]:
        """h_t and c_t of the gates' values."""
        c = gates["f"] * c_prev + gates["i"] * gates["c"]
        return gates["o"] * _SQUASH[self.outward](c), c

    def step(self, t: int, dh: Tensor, dc: Tensor) -> LSTMStep:
        """Step t, with what reaches h_t and c_t."""
        return replace(
            super().step(t, dh, dc),
            tanh_c=_SQUASH[self.outward](self.c[t]),
            candidate=self.candidate,
            outward=self.outward,
        )


@dataclass(frozen=True)
class GRU(GRUProblem):
    """The GRU, whose reset gate may stand inside the product and whose update gate may be turned.

    With `inside`, n_t = tanh(W_x x_t + b + W_h (r_t ⊙ h_{t−1})); b_h does not count then.
    """

    inside: bool = False
    keeps: bool = True

    def next(self, x: Tensor, h_prev: Tensor) -> Tensor:
        """h_t."""
        return self._values(x, h_prev)[-1]

    def _values(self, x: Tensor, h_prev: Tensor) -> tuple[Tensor, ...]:
        z = {gate: self.W_x[gate] @ x + self.b[gate] for gate in GRU_GATES}
        r = torch.sigmoid(z["r"] + self.W_h["r"] @ h_prev)
        update = torch.sigmoid(z["z"] + self.W_h["z"] @ h_prev)
        if self.inside:
            q = h_prev
            n = torch.tanh(z["n"] + self.W_h["n"] @ (r * h_prev))
        else:
            q = self.W_h["n"] @ h_prev + self.b_h
            n = torch.tanh(z["n"] + r * q)
        kept = update if self.keeps else 1 - update
        return q, r, update, n, (1 - kept) * n + kept * h_prev

    def step(self, t: int, dh: Tensor) -> GRUStep:
        """Step t, with what reaches h_t."""
        x, h_prev = self.x[t - 1], self.h[t - 1]
        *values, h = self._values(x, h_prev)
        step = GRUStep(x, h_prev, h, dh, self.W_x, self.W_h, *values)
        return replace(step, inside=self.inside, keeps=self.keeps)


Problem = RNN | LSTM | GRU


@dataclass(frozen=True)
class Sizes:
    """Sizes of a problem: steps, sequences, features of an input and of a state, all different."""

    T: int = 3
    N: int = 2
    D: int = 4
    H: int = 5

    one: ClassVar[Sizes]


def draw(cell: str, generator: torch.Generator, sizes: Sizes, **variant: Any) -> Problem:
    """Draw a problem in which nothing is 0, with gradients that reach the states of under 0.1.

    Of an LSTM the loss reads all hidden states and the last cell state.
    """

    def normal(*shape: int, size: float = 1.0) -> Tensor:
        return size * torch.randn(*shape, generator=generator, dtype=torch.float64)

    T, N, D, H = sizes.T, sizes.N, sizes.D, sizes.H
    gates = {"rnn": (), "lstm": GATES, "gru": GRU_GATES}[cell]
    shared: dict[str, Any] = {
        "x": normal(T, D, N),
        "h_0": normal(H, N, size=0.7),
        "u": _upstream(generator, T, H, N),
        "s": torch.zeros(T, H, N, dtype=torch.float64),
    }
    if cell == "rnn":
        W: dict[str, Any] = {
            "W_x": normal(H, D, size=0.6),
            "W_h": normal(H, H, size=0.6),
            "b": normal(H, 1, size=0.5),
        }
        return RNN(**shared, **W, **variant)
    shared |= {
        "W_x": {gate: normal(H, D, size=0.6) for gate in gates},
        "W_h": {gate: normal(H, H, size=0.6) for gate in gates},
        "b": {gate: normal(H, 1, size=0.5) for gate in gates},
    }
    if cell == "gru":
        return GRU(**shared, b_h=normal(H, 1, size=0.5), **variant)
    read = torch.zeros(T, H, N, dtype=torch.float64)
    read[-1] = _upstream(generator, H, N)
    return LSTM(
        **shared,
        c_0=normal(H, N),
        u_c=read,
        s_c=torch.zeros_like(read),
        **variant,
    )


def _upstream(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw gradients between 0.02 and 0.1, of either sign: no clipping at 1 cuts what they give."""
    size = 0.02 + 0.08 * torch.rand(*shape, generator=generator, dtype=torch.float64)
    return size * (2 * torch.randint(2, shape, generator=generator) - 1)


def steps(problem: Problem, first: int, last: int) -> Problem:
    """Return the steps from `first` to `last` alone, started in the states before them.

    The loss reads each hidden state there, and of an LSTM the last cell state.
    """
    cut: dict[str, Any] = {
        "x": problem.x[first - 1 : last],
        "h_0": problem.h[first - 1],
        "u": problem.u[first - 1 : last],
        "s": problem.s[first - 1 : last],
    }
    if isinstance(problem, LSTM):
        read = torch.zeros_like(problem.u_c[first - 1 : last])
        read[-1] = problem.u_c[-1]
        cut |= {"c_0": problem.c[first - 1], "u_c": read, "s_c": torch.zeros_like(read)}
    return replace(problem, **cut)


def truth(problem: Problem) -> dict[str, Tensor]:
    """Return the right gradients: of the layers, or of the variant's own backward pass."""
    if isinstance(problem, LSTM) and problem.candidate == problem.outward == "tanh":
        return _lstm_layer(problem)
    if isinstance(problem, GRU) and problem.keeps and not problem.inside:
        return _gru_layer(problem)
    if isinstance(problem, RNN) and problem.squashed in ("tanh", "relu"):
        return _rnn_layer(problem)
    return mistaken(problem, RIGHT)


def mistaken(problem: Problem, slip: Slip) -> dict[str, Tensor]:
    """Return the gradients of a backward pass that has a mistake."""
    return backward(problem, slip).gradients()


# The layers have rows, time first, and packed gates.


def _of_gates(values: Tensor, name: str, gates: tuple[str, ...]) -> dict[str, Tensor]:
    rows = values.T if values.ndim == 2 else values
    parts = rows.chunk(len(gates))
    return {f"{name}^{gate}": part for gate, part in zip(gates, parts, strict=True)}


def _rnn_layer(p: RNN) -> dict[str, Tensor]:
    name: Any = p.squashed
    _, cache = layers.rnn_forward(p.x.mT, p.h_0.T, p.W_x.T, p.W_h.T, p.b[:, 0], nonlinearity=name)
    dx, dh0, dWx, dWh, db = layers.rnn_backward(p.u.mT, cache)
    return {"x": dx.mT, "h_0": dh0.T, "W_x^h": dWx.T, "W_h^h": dWh.T, "b^h": db}


def _packed(p: LSTM | GRU) -> tuple[Tensor, Tensor, Tensor]:
    gates = list(p.W_x)
    Wx = torch.cat([p.W_x[gate].T for gate in gates], dim=1)
    Wh = torch.cat([p.W_h[gate].T for gate in gates], dim=1)
    return Wx, Wh, torch.cat([p.b[gate][:, 0] for gate in gates])


def _lstm_layer(p: LSTM) -> dict[str, Tensor]:
    _, cache = layers.lstm_forward(p.x.mT, p.h_0.T, *_packed(p), c0=p.c_0.T)
    dx, dh0, dWx, dWh, db, dc0 = layers.lstm_backward(
        p.u.mT, cache, dc_T=p.u_c[-1].T, return_dc0=True
    )
    gradients = {"x": dx.mT, "h_0": dh0.T, "c_0": dc0.T}
    for name, values in (("W_x", dWx), ("W_h", dWh), ("b", db)):
        gradients |= _of_gates(values, name, GATES)
    return gradients


def _gru_layer(p: GRU) -> dict[str, Tensor]:
    _, cache = layers.gru_forward(p.x.mT, p.h_0.T, *_packed(p), p.b_h[:, 0])
    dx, dh0, dWx, dWh, db, dbh = layers.gru_backward(p.u.mT, cache)
    gradients = {"x": dx.mT, "h_0": dh0.T, "b_h": dbh}
    for name, values in (("W_x", dWx), ("W_h", dWh), ("b", db)):
        gradients |= _of_gates(values, name, GRU_GATES)
    return gradients


def truncated(problem: Problem, reach: int) -> dict[str, Tensor]:
    """Return gradients that go back `reach` steps from each loss, and no further."""
    total: dict[str, Tensor] = {}
    for t in range(1, problem.T + 1):
        first = max(1, t - reach)
        piece: Any = steps(problem, first, t)
        own = torch.zeros_like(piece.u)
        own[-1] = problem.u[t - 1]
        piece = replace(piece, u=own)
        if isinstance(problem, LSTM):
            read = torch.zeros_like(piece.u_c)
            read[-1] = problem.u_c[t - 1]
            piece = replace(piece, u_c=read)
        gradients = truth(piece)
        whole = torch.zeros_like(problem.x)
        whole[first - 1 : t] = gradients["x"]
        gradients["x"] = whole
        if first > 1:
            for name in ("h_0", "c_0"):
                if name in gradients:
                    gradients[name] = torch.zeros_like(gradients[name])
        for name, value in gradients.items():
            total[name] = total[name] + value if name in total else value
    return total
