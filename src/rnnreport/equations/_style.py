r"""Equations (N1)-(N4): the losses of style transfer.

The source prints no equation of its style transfer; these are the gradients of the losses that it
minimises. As on the page, a map of features is a matrix :math:`F \in R^{C \times M}`, a channel a
row and a place a column, and an image is :math:`x \in R^{C \times H \times W}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport import layers, proof
from rnnreport.equations._entry import Equation, Family, unknowns
from rnnreport.equations._forms import d


class MapSizes(NamedTuple):
    """Sizes of a random problem of style transfer.

    Attributes
    ----------
    C : int
        Number of channels.
    H, W : int
        Height and width of the map or image; it has M = H W places.
    """

    C: int
    H: int
    W: int


def draw_map_sizes(generator: torch.Generator, ones: bool) -> MapSizes:
    """Draw small sizes: 2 or 3 channels of 3 to 5 rows and columns; with `ones`, about half 1."""
    sizes = torch.cat(
        [2 + torch.randint(2, (1,), generator=generator)]
        + [3 + torch.randint(3, (1,), generator=generator) for _ in range(2)]
    )
    if ones:
        sizes = torch.where(torch.rand(3, generator=generator) < 0.5, 1, sizes)
    return MapSizes(*sizes.tolist())


@dataclass(frozen=True)
class StyleProblem:
    """A map or image, what it is compared with, and a weight."""

    F: Tensor  # (C, M)
    P: Tensor  # (C, M), the map aimed at
    A: Tensor  # (C, C), the Gram matrix aimed at, of another map
    U: Tensor  # (C, C), what some loss makes of each element of the Gram matrix
    x: Tensor  # (C, H, W)
    w: float

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: MapSizes) -> StyleProblem:
        """Draw every tensor of the problem."""
        C, H, W = sizes

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        other = normal(C, 7)
        return cls(
            F=normal(C, H * W),
            P=normal(C, H * W),
            A=other @ other.T / 7,
            U=normal(C, C),
            x=normal(C, H, W),
            w=0.5 + torch.rand((), generator=generator, dtype=torch.float64).item(),
        )

    def exactly(self, field: proof.Field) -> StyleProblem:
        """Return the problem with unknowns for numbers; A stays symmetric, as a Gram matrix is."""
        exact = unknowns(self, field)
        return replace(exact, A=exact.A + exact.A.T)


Quantity = Callable[[StyleProblem], Tensor]

# The losses from their definition: sums over elements, no matrix product.


def content(F: Tensor, P: Tensor, w: float) -> Tensor:
    """L = w Σ_{kj} (F_kj − P_kj)²."""
    return w * ((F - P) * (F - P)).sum()


def gram(F: Tensor) -> Tensor:
    """G_kl = (1/M) Σ_j F_kj F_lj, element by element."""
    return (F[:, None, :] * F[None, :, :]).sum(2) / F.shape[1]


def style(F: Tensor, A: Tensor, w: float) -> Tensor:
    """L = w Σ_{kl} (G_kl − A_kl)²."""
    error = gram(F) - A
    return w * (error * error).sum()


def neighbours(H: int, W: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield each pair of pixels that touch below or beside each other, once."""
    for i in range(H):
        for j in range(W):
            if i + 1 < H:
                yield (i, j), (i + 1, j)
            if j + 1 < W:
                yield (i, j), (i, j + 1)


def total_variation(x: Tensor, w: float) -> Tensor:
    """L = w Σ_c Σ (x_ca − x_cb)² over all pairs a, b of neighbours."""
    loss = x.new_zeros(())
    for (i, j), (k, n) in neighbours(*x.shape[1:]):
        step = x[:, k, n] - x[:, i, j]
        loss = loss + w * (step * step).sum()
    return loss


# The formulas, as the page has them.


def content_gradient(p: StyleProblem) -> Tensor:
    """(N1)."""
    return 2 * p.w * (p.F - p.P)


def gram_gradient(p: StyleProblem) -> Tensor:
    """(N2)."""
    return (p.U + p.U.T) @ p.F / p.F.shape[1]


def style_gradient(p: StyleProblem) -> Tensor:
    """(N3)."""
    M = p.F.shape[1]
    G = p.F @ p.F.T / M
    return 4 * p.w / M * (G - p.A) @ p.F


def total_variation_gradient(p: StyleProblem) -> Tensor:
    """(N4): each pixel times the number of its neighbours, less these."""
    gradient = torch.zeros_like(p.x)
    for a, b in neighbours(*p.x.shape[1:]):
        for (i, j), (k, n) in ((a, b), (b, a)):
            gradient[:, i, j] += 2 * p.w * (p.x[:, i, j] - p.x[:, k, n])
    return gradient


# The code, as far as it does not give the gradient by itself.


def gram_code(p: StyleProblem) -> Tensor:
    """Σ U_kl G_kl, differentiated: G is quadratic, so the central difference is exact."""

    def read(F: Tensor) -> Tensor:
        return (p.U * layers.gram_matrix(F)).sum()

    gradient = torch.empty_like(p.F)
    unit = torch.zeros_like(p.F)
    for index in range(p.F.numel()):
        unit.view(-1)[index] = 1
        gradient.view(-1)[index] = (read(p.F + unit) - read(p.F - unit)) / 2
        unit.view(-1)[index] = 0
    return gradient


# Deliberate mistakes.


def _padded(p: StyleProblem) -> Tensor:
    """(N4) with pixels of value 0 around the image."""
    around = torch.nn.functional.pad(p.x, (1, 1, 1, 1))
    inner = 4 * p.x - around[:, 2:, 1:-1] - around[:, :-2, 1:-1]
    return 2 * p.w * (inner - around[:, 1:-1, 2:] - around[:, 1:-1, :-2])


def _wrapped(p: StyleProblem) -> Tensor:
    """(N4) with the last row beside the first, and the last column beside the first."""
    others = [p.x.roll(step, axis) for step in (1, -1) for axis in (1, 2)]
    return 2 * p.w * (4 * p.x - torch.stack(others).sum(0))


def _forward_only(p: StyleProblem) -> Tensor:
    """(N4) with the neighbours above and to the left alone."""
    gradient = torch.zeros_like(p.x)
    for (i, j), (k, n) in neighbours(*p.x.shape[1:]):
        gradient[:, k, n] += 2 * p.w * (p.x[:, k, n] - p.x[:, i, j])
    return gradient


_CONTENT_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -content_gradient(p),
    "factor 2 dropped": lambda p: content_gradient(p) / 2,
    "mean over the places in place of the sum": lambda p: content_gradient(p) / p.F.shape[1],
    "P dropped": lambda p: 2 * p.w * p.F,
}
_GRAM_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -gram_gradient(p),
    "second place of F in G dropped": lambda p: p.U @ p.F / p.F.shape[1],
    "∂L/∂G taken for symmetric": lambda p: 2 * p.U @ p.F / p.F.shape[1],
    "factor 1/M dropped": lambda p: (p.U + p.U.T) @ p.F,
}
_STYLE_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -style_gradient(p),
    "factor 2 in place of 4": lambda p: style_gradient(p) / 2,
    "factor 1/M dropped": lambda p: style_gradient(p) * p.F.shape[1],
    "factor 1/M dropped in G": lambda p: 4 * p.w / p.F.shape[1] * (p.F @ p.F.T - p.A) @ p.F,
    "A dropped": lambda p: 4 * p.w / p.F.shape[1] ** 2 * (p.F @ p.F.T) @ p.F,
}
_VARIATION_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -total_variation_gradient(p),
    "factor 2 dropped": lambda p: total_variation_gradient(p) / 2,
    "neighbours above and to the left alone": _forward_only,
    "pixels of value 0 around the image": _padded,
    "last row beside the first one": _wrapped,
}


_entry = Family("style", draw_map_sizes, StyleProblem.draw, MapSizes(C=2, H=2, W=4)).entry


STYLE: tuple[Equation[StyleProblem, MapSizes], ...] = (
    _entry(
        "N1",
        "features, content loss",
        rf"{d('F')} = 2 w (F - P)",
        "content_loss",
        left=lambda p: proof.gradient(lambda F: content(F, p.P, p.w), p.F),
        right=content_gradient,
        code=lambda p: layers.content_loss(p.F, p.P, p.w)[1],
        wrong=_CONTENT_MISTAKES,
    ),
    _entry(
        "N2",
        "features, through the Gram matrix",
        rf"{d('F')} = \frac{{1}}{{M}} \left( {d('G')} + {d('G')}^{{\top}} \right) F",
        "gram_matrix",
        left=lambda p: proof.gradient(lambda F: (p.U * gram(F)).sum(), p.F),
        right=gram_gradient,
        code=gram_code,
        wrong=_GRAM_MISTAKES,
    ),
    _entry(
        "N3",
        "features, style loss",
        rf"{d('F')} = \frac{{4 w}}{{M}} (G - A) F",
        "style_loss",
        left=lambda p: proof.gradient(lambda F: style(F, p.A, p.w), p.F),
        right=style_gradient,
        code=lambda p: layers.style_loss(p.F, p.A, p.w)[1],
        wrong=_STYLE_MISTAKES,
    ),
    _entry(
        "N4",
        "pixels, total variation",
        rf"{d('x_{cij}')} = 2 w \sum_{{(k, l) \sim (i, j)}} (x_{{cij}} - x_{{ckl}})",
        "total_variation_loss",
        left=lambda p: proof.gradient(lambda x: total_variation(x, p.w), p.x),
        right=total_variation_gradient,
        code=lambda p: layers.total_variation_loss(p.x, p.w)[1],
        wrong=_VARIATION_MISTAKES,
    ),
)
