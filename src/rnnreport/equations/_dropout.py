"""Equation (59): dropout, which the source does not have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnreport import layers, proof
from rnnreport.equations._entry import EXACT_SIZES, Equation, Sizes, draw_sizes, unknowns
from rnnreport.equations._forms import d


@dataclass(frozen=True)
class DropoutProblem:
    """y = k ⊙ x / (1 − p) of a mask k, and a loss L = Σ u ⊙ y + ½ s ⊙ y ⊙ y that reads y.

    Only the layer can say which elements it keeps: k is read off what it makes of ones. The seed
    makes it the same in every call.
    """

    x: Tensor  # (T, m)
    u: Tensor  # (T, m)
    s: Tensor  # (T, m)
    p: float
    seed: int

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: Sizes) -> DropoutProblem:
        """Draw every tensor of the problem."""

        def normal() -> Tensor:
            return torch.randn(sizes.T, sizes.m, generator=generator, dtype=torch.float64)

        return cls(
            x=normal(),
            u=normal(),
            s=normal(),
            p=0.1 + 0.6 * torch.rand((), generator=generator, dtype=torch.float64).item(),
            seed=int(torch.randint(2**31, (), generator=generator)),
        )

    def exactly(self, field: proof.Field) -> DropoutProblem:
        """Return the problem with unknowns for numbers, and p = 3/4: 1/(1 − p) is not rounded."""
        return replace(unknowns(self, field), p=0.75)

    def forward(self, x: Tensor) -> tuple[Tensor, layers.DropoutCache]:
        """Call the layer, always with the same mask."""
        return layers.dropout_forward(x, self.p, torch.Generator().manual_seed(self.seed))

    @property
    def mask(self) -> Tensor:
        """The mask k of zeros and ones."""
        return (self.forward(torch.ones_like(self.x))[0] != 0).double()

    def out(self, x: Tensor) -> Tensor:
        """Drop by the mask: y."""
        return self.mask * x / (1 - self.p)

    def read(self, y: Tensor) -> Tensor:
        """Form L of y."""
        return (self.u * y + self.s * y * y / 2).sum()

    def dy(self, y: Tensor) -> Tensor:
        """Differentiate L by y."""
        return self.u + self.s * y


Quantity = Callable[[DropoutProblem], Tensor]


def gradient(p: DropoutProblem) -> Tensor:
    """(59)."""
    return p.mask * p.dy(p.out(p.x)) / (1 - p.p)


def code(p: DropoutProblem) -> Tensor:
    """∂L/∂x by `layers.dropout_backward`, with the mask that its forward pass drew."""
    y, cache = p.forward(p.x)
    return layers.dropout_backward(p.dy(y), cache)


DROPOUT: tuple[Equation[DropoutProblem, Sizes], ...] = (
    Equation(
        number="59",
        title="dropout, input",
        page="attention",
        statement=rf"{d('x')} = \frac{{1}}{{1 - p}}\, k \odot {d('y')}",
        layer="dropout_backward",
        sizes=draw_sizes,
        exact_sizes=EXACT_SIZES,
        problem=DropoutProblem.draw,
        left=lambda p: proof.gradient(lambda x: p.read(p.out(x)), p.x),
        right=gradient,
        code=code,
        wrong={
            "wrong sign": lambda p: -gradient(p),
            "mask dropped": lambda p: p.dy(p.out(p.x)) / (1 - p.p),
            "what was dropped in place of what was kept": lambda p: (
                (1 - p.mask) * p.dy(p.out(p.x)) / (1 - p.p)
            ),
            "division by 1 − p dropped": lambda p: (1 - p.p) * gradient(p),
            "division by p": lambda p: (1 - p.p) / p.p * gradient(p),
            "∂L/∂y taken without dropout": lambda p: p.mask * p.dy(p.x) / (1 - p.p),
        },
    ),
)
