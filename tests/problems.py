"""Random recurrent problems, and the recurrences once more, written independently of the layers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

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

GATES = {"rnn": 1, "lstm": 4}
ARGUMENTS = {
    "rnn": ("x", "h0", "Wx", "Wh", "b"),
    "lstm": ("x", "h0", "Wx", "Wh", "b", "c0"),
}


@dataclass(frozen=True)
class Problem:
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
    def tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if name != "cell"}

    @property
    def arguments(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in ARGUMENTS[self.cell]}

    def to(self, *target: torch.dtype | torch.device) -> Problem:
        moved = {name: tensor.to(*target) for name, tensor in self.tensors.items()}  # type: ignore[call-overload]
        return dataclasses.replace(self, **moved)

    def replace(self, **changes: Tensor) -> Problem:
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

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
        """A scalar whose upstream gradients are `dh` and `dc_T`, through the layer."""
        h, cache = self.forward()
        loss = (self.dh * h).sum()
        return loss if isinstance(cache, RNNCache) else loss + (self.dc_T * cache.c[-1]).sum()

    def plain_loss(self) -> Tensor:
        """The same scalar, from the recurrence as the definition writes it."""
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
