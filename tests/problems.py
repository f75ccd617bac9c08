"""Random recurrent problems, and the recurrences once more, written independently of the layers."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from hypothesis import strategies as st
from torch import Tensor

from rnnreport.layers import (
    LSTMCache,
    RNNCache,
    lstm_backward,
    lstm_forward,
    rnn_backward,
    rnn_forward,
)

ROUNDING = 1e-12
GATES = {"rnn": 1, "lstm": 4}
ARGUMENTS = {
    "rnn": ("x", "h0", "Wx", "Wh", "b"),
    "lstm": ("x", "h0", "Wx", "Wh", "b", "c0"),
}


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
    """A sequence, a cell, and the upstream gradients of all that the cell puts out."""

    cell: str
    x: Tensor
    h0: Tensor
    c0: Tensor
    Wx: Tensor
    Wh: Tensor
    b: Tensor
    dh: Tensor
    dc_T: Tensor

    @property
    def arguments(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in ARGUMENTS[self.cell]}

    def forward(self) -> tuple[Tensor, RNNCache | LSTMCache]:
        if self.cell == "rnn":
            return rnn_forward(self.x, self.h0, self.Wx, self.Wh, self.b)
        return lstm_forward(self.x, self.h0, self.Wx, self.Wh, self.b, self.c0)

    def backward(self, cache: RNNCache | LSTMCache) -> dict[str, Tensor]:
        if isinstance(cache, RNNCache):
            gradients: tuple[Tensor, ...] = rnn_backward(self.dh, cache)
        else:
            gradients = lstm_backward(self.dh, cache, dc_T=self.dc_T, return_dc0=True)
        return dict(zip(ARGUMENTS[self.cell], gradients, strict=True))

    def gradients(self) -> dict[str, Tensor]:
        return self.backward(self.forward()[1])

    def loss(self) -> Tensor:
        h, cache = self.forward()
        loss = (self.dh * h).sum()
        return loss if isinstance(cache, RNNCache) else loss + (self.dc_T * cache.c[-1]).sum()

    def plain_loss(self) -> Tensor:
        h, c = self.h0, self.c0
        loss = torch.zeros((), dtype=self.x.dtype, device=self.x.device)
        for x_t, dh_t in zip(self.x, self.dh, strict=True):
            z = torch.einsum("nd,dk->nk", x_t, self.Wx) + torch.einsum("nh,hk->nk", h, self.Wh)
            z = z + self.b
            if self.cell == "rnn":
                h = z.tanh()
            else:
                H = h.shape[1]
                forget = 1 / (1 + torch.exp(-z[:, :H]))
                entry = 1 / (1 + torch.exp(-z[:, H : 2 * H]))
                candidate = z[:, 2 * H : 3 * H].tanh()
                out = 1 / (1 + torch.exp(-z[:, 3 * H :]))
                c = forget * c + entry * candidate
                h = out * c.tanh()
            loss = loss + (dh_t * h).sum()
        return loss if self.cell == "rnn" else loss + (self.dc_T * c).sum()


def make_problem(
    cell: str, T: int, N: int, D: int, H: int, seed: int, scale: float = 1.0
) -> Problem:
    """Draw a problem in float64; `scale` stretches the weights, towards saturation."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    width = GATES[cell] * H
    return Problem(
        cell=cell,
        x=draw(T, N, D),
        h0=draw(N, H),
        c0=draw(N, H),
        Wx=draw(D, width) * scale / D**0.5,
        Wh=draw(H, width) * scale / H**0.5,
        b=draw(width),
        dh=draw(T, N, H),
        dc_T=draw(N, H),
    )


sizes = st.integers(1, 5)
seeds = st.integers(0, 2**32 - 1)


def problems(*cells: str) -> st.SearchStrategy[Problem]:
    """Problems of all shapes with axes of 1 to 5, over small and saturating weights."""
    return st.builds(
        make_problem,
        cell=st.sampled_from(cells or ("rnn", "lstm")),
        T=sizes,
        N=sizes,
        D=sizes,
        H=sizes,
        seed=seeds,
        scale=st.sampled_from([0.1, 1.0, 3.0]),
    )
