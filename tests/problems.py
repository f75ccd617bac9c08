"""Random recurrent problems, and the recurrences once more, written independently of the layers."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from hypothesis import strategies as st
from torch import Tensor

from rnnreport import layers
from rnnreport.layers import LSTMCache, ProjectedLSTMCache

ROUNDING = 1e-12
GATES = {"rnn": 1, "relu": 1, "gru": 3, "lstm": 4, "projected": 4}
CELLS = tuple(GATES)
ARGUMENTS = {
    "rnn": ("x", "h0", "Wx", "Wh", "b"),
    "relu": ("x", "h0", "Wx", "Wh", "b"),
    "gru": ("x", "h0", "Wx", "Wh", "b", "bh"),
    "lstm": ("x", "h0", "Wx", "Wh", "b", "c0"),
    "projected": ("x", "h0", "Wx", "Wh", "b", "Wp", "c0"),
}
CELL_STATE = ("lstm", "projected")
WEIGHTS = ("Wx", "Wh", "b", "bh", "Wp")


class AnyProblem(ABC):
    """The arguments of a layer and its upstream gradients, the fields of a dataclass."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def to(self, *target: torch.dtype | torch.device) -> Self:
        moved = {name: tensor.to(*target) for name, tensor in self.tensors.items()}  # type: ignore[call-overload]
        return self.replace(**moved)

    def replace(self, **changes: Tensor) -> Self:
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    @abstractmethod
    def loss(self) -> Tensor:
        """A scalar with the upstream gradients of the problem, through the layer."""

    @abstractmethod
    def plain_loss(self) -> Tensor:
        """The same scalar, from the recurrence as the definition writes it."""


def loss_of(problem: AnyProblem, name: str, plain: bool = False) -> Callable[[Tensor], Tensor]:
    """The loss as a function of one argument, for complex and for real values."""

    def f(value: Tensor) -> Tensor:
        changed = problem.to(value.dtype).replace(**{name: value})
        return changed.plain_loss() if plain else changed.loss()

    return f


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = ROUNDING) -> None:
    # Where terms cancel, the residual is relative to what was summed and not to what is left.
    error = float((actual - expected).abs().max())
    assert error <= tolerance * max(1.0, float(expected.abs().max())), error


def assert_all_close(
    actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = ROUNDING
) -> None:
    assert actual.keys() == expected.keys()
    for name in expected:
        assert_close(actual[name], expected[name], tolerance)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclass(frozen=True)
class Problem(AnyProblem):
    """A sequence, a cell, and the upstream gradients of all that the cell puts out.

    `bh` is the GRU's, `Wp` that of the projected LSTM, whose state has one element more or less
    than its cell state, or as many.
    """

    cell: str
    x: Tensor
    h0: Tensor
    c0: Tensor
    Wx: Tensor
    Wh: Tensor
    b: Tensor
    bh: Tensor
    Wp: Tensor
    dh: Tensor
    dc_T: Tensor

    @property
    def arguments(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in ARGUMENTS[self.cell]}

    @property
    def weights(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.arguments.items() if name in WEIGHTS}

    @property
    def states(self) -> dict[str, Tensor]:
        names = ("h0", "c0") if self.cell in CELL_STATE else ("h0",)
        return {name: getattr(self, name) for name in names}

    def forward(self) -> tuple[Tensor, Any]:
        if self.cell in ("rnn", "relu"):
            nonlinearity = "relu" if self.cell == "relu" else "tanh"
            return layers.rnn_forward(*self.arguments.values(), nonlinearity=nonlinearity)
        if self.cell == "gru":
            return layers.gru_forward(*self.arguments.values())
        if self.cell == "lstm":
            return layers.lstm_forward(*self.arguments.values())
        return layers.projected_lstm_forward(*self.arguments.values())

    def backward(self, cache: Any) -> dict[str, Tensor]:
        gradients: tuple[Tensor, ...]
        if isinstance(cache, LSTMCache):
            gradients = layers.lstm_backward(self.dh, cache, dc_T=self.dc_T, return_dc0=True)
        elif isinstance(cache, ProjectedLSTMCache):
            gradients = layers.projected_lstm_backward(self.dh, cache, dc_T=self.dc_T)
        elif isinstance(cache, layers.GRUCache):
            gradients = layers.gru_backward(self.dh, cache)
        else:
            gradients = layers.rnn_backward(self.dh, cache)
        return dict(zip(ARGUMENTS[self.cell], gradients, strict=True))

    def gradients(self) -> dict[str, Tensor]:
        return self.backward(self.forward()[1])

    def loss(self) -> Tensor:
        h, cache = self.forward()
        loss = (self.dh * h).sum()
        return loss + (self.dc_T * cache.c[-1]).sum() if self.cell in CELL_STATE else loss

    def plain_step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step as the definition writes it."""
        entering = torch.einsum("nd,dk->nk", x, self.Wx) + self.b
        recurrent = torch.einsum("nh,hk->nk", h, self.Wh)
        z = entering + recurrent
        if self.cell == "rnn":
            return z.tanh(), c
        if self.cell == "relu":
            return torch.where(z.real > 0, z, 0), c
        H = self.Wx.shape[1] // GATES[self.cell]
        first, second = _sigmoid(z[:, :H]), _sigmoid(z[:, H : 2 * H])
        if self.cell == "gru":
            inside = recurrent[:, 2 * H :] + self.bh
            candidate = (entering[:, 2 * H :] + first * inside).tanh()
            return (1 - second) * candidate + second * h, c
        c = first * c + second * z[:, 2 * H : 3 * H].tanh()
        y = _sigmoid(z[:, 3 * H :]) * c.tanh()
        return y if self.cell == "lstm" else torch.einsum("nh,hp->np", y, self.Wp), c

    def plain_loss(self) -> Tensor:
        h, c = self.h0, self.c0
        loss = torch.zeros((), dtype=self.x.dtype, device=self.x.device)
        for x_t, dh_t in zip(self.x, self.dh, strict=True):
            h, c = self.plain_step(x_t, h, c)
            loss = loss + (dh_t * h).sum()
        return loss + (self.dc_T * c).sum() if self.cell in CELL_STATE else loss

    def to_torch(self, packed: Tensor) -> Tensor:
        """(*, gates * H) as PyTorch has it: (gates * H, *), with its order of the gates."""
        order = [1, 0, 2, 3] if self.cell in CELL_STATE else range(GATES[self.cell])
        return torch.cat([packed.chunk(len(order), -1)[k] for k in order], -1).mT

    @property
    def in_torch(self) -> bool:
        """Whether PyTorch has the layer: there a projection must make the state smaller."""
        return self.cell != "projected" or self.Wp.shape[1] < self.Wp.shape[0]

    def torch_module(self) -> torch.nn.RNNBase:
        """The layer of PyTorch, with weights of its own."""
        D, H = self.Wx.shape[0], self.Wx.shape[1] // GATES[self.cell]
        if self.cell == "gru":
            return torch.nn.GRU(D, H, dtype=torch.float64)
        if self.cell in CELL_STATE:
            P = self.Wp.shape[1] if self.cell == "projected" else 0
            return torch.nn.LSTM(D, H, proj_size=P, dtype=torch.float64)
        nonlinearity = "relu" if self.cell == "relu" else "tanh"
        return torch.nn.RNN(D, H, nonlinearity=nonlinearity, dtype=torch.float64)

    def torch_weights(self, arguments: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights of that layer, made of the problem's."""
        hidden = torch.zeros_like(self.b)
        if self.cell == "gru":
            H = len(self.bh)
            hidden = torch.cat([hidden[: 2 * H], arguments["bh"]])
        weights = {
            "weight_ih_l0": self.to_torch(arguments["Wx"]),
            "weight_hh_l0": self.to_torch(arguments["Wh"]),
            "bias_ih_l0": self.to_torch(arguments["b"][None])[:, 0],
            "bias_hh_l0": hidden,
        }
        return weights | ({"weight_hr_l0": arguments["Wp"].mT} if self.cell == "projected" else {})


def _sigmoid(z: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-z))


def make_problem(
    cell: str, T: int, N: int, D: int, H: int, seed: int, scale: float = 1.0
) -> Problem:
    """Draw a problem in float64; `scale` stretches the weights, towards saturation."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    width = GATES[cell] * H
    S = max(1, H + seed % 3 - 1) if cell == "projected" else H  # size of the state
    return Problem(
        cell=cell,
        x=draw(T, N, D),
        h0=draw(N, S),
        c0=draw(N, H),
        Wx=draw(D, width) * scale / D**0.5,
        Wh=draw(S, width) * scale / S**0.5,
        b=draw(width),
        dh=draw(T, N, S),
        dc_T=draw(N, H),
        bh=draw(H),
        Wp=draw(H, S) * scale / H**0.5,
    )


sizes = st.integers(1, 5)
seeds = st.integers(0, 2**32 - 1)


def problems(*cells: str) -> st.SearchStrategy[Problem]:
    """Problems of all shapes with axes of 1 to 5, over small and saturating weights."""
    return st.builds(
        make_problem,
        cell=st.sampled_from(cells or CELLS),
        T=sizes,
        N=sizes,
        D=sizes,
        H=sizes,
        seed=seeds,
        scale=st.sampled_from([0.1, 1.0, 3.0]),
    )
