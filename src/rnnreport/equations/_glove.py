"""Equations (G5)-(G9): the loss of word vectors from counts.

The pairs that were seen, their counts, the weights f(X) of these and their logarithms are data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnreport import layers, proof
from rnnreport.equations._entry import Equation, Family, unknowns
from rnnreport.equations._forms import d
from rnnreport.equations._temporal import (
    EXACT_WORD_SIZES,
    WordSizes,
    draw_normal,
    draw_word_sizes,
)


@dataclass(frozen=True)
class CountsProblem:
    """Pairs of words that were seen, and the vectors and biases of both kinds."""

    W: Tensor  # (V, D), row i is w_i
    W_context: Tensor  # (V, D), row j is w̃_j
    b: Tensor  # (V,)
    b_context: Tensor  # (V,)
    rows: Tensor  # (P,), i of each pair
    columns: Tensor  # (P,), j
    X: Tensor  # (P,)
    x_max: float
    alpha: float

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: WordSizes) -> CountsProblem:
        """Draw every number of the problem; one count is rare, and one of several is capped."""
        T, N, D, V = sizes
        normal = draw_normal(generator)
        pairs = torch.randperm(V * V, generator=generator)[: T * N]
        x_max = 2.0
        X = x_max * normal(len(pairs)).exp()
        X[-1], X[0] = 3 * x_max, x_max / 3
        return cls(
            W=normal(V, D),
            W_context=normal(V, D),
            b=normal(V),
            b_context=normal(V),
            rows=pairs // V,
            columns=pairs % V,
            X=X,
            x_max=x_max,
            alpha=0.75,
        )

    def exactly(self, field: proof.Field) -> CountsProblem:
        """Return the problem with unknowns for the parameters; the counts are kept."""
        return replace(unknowns(self, field), X=self.X)

    @property
    def V(self) -> int:
        """Number of words."""
        return self.b.shape[0]

    @property
    def power(self) -> Tensor:
        """(X/x_max)^α, of each pair."""
        return (self.X / self.x_max) ** self.alpha

    @property
    def f(self) -> Tensor:
        """(G4), of each pair."""
        return torch.where(self.X.lt(self.x_max), self.power, 1.0)

    def matrix(self, pairs: Tensor) -> Tensor:
        """Set what belongs to the pairs at i, j of a matrix that is 0 elsewhere."""
        matrix = torch.zeros(self.V, self.V, dtype=torch.float64)
        matrix[self.rows, self.columns] = pairs
        return matrix

    def errors(self, **moved: Tensor) -> Tensor:
        """e_ij of all i, j, from its definition; with other parameters where these are given."""
        w, context = moved.get("W", self.W), moved.get("W_context", self.W_context)
        b, b_context = moved.get("b", self.b), moved.get("b_context", self.b_context)
        products = (w[:, None] * context[None]).sum(2)
        return products + b[:, None] + b_context[None] - self.matrix(self.X.log())

    def loss(self, **moved: Tensor) -> Tensor:
        """(G3): pairs that were not seen have the weight 0."""
        e = self.errors(**moved)
        return (self.matrix(self.f) * e * e).sum()

    def derivative(self, name: str) -> Tensor:
        """Differentiate the loss by one of the parameters."""
        return proof.gradient(lambda value: self.loss(**{name: value}), getattr(self, name))

    @property
    def e(self) -> Tensor:
        """e_ij of each pair."""
        products = (self.W[self.rows] * self.W_context[self.columns]).sum(1)
        return products + self.b[self.rows] + self.b_context[self.columns] - self.X.log()


Quantity = Callable[[CountsProblem], Tensor]
Of = Callable[[Quantity], Quantity]

# The formulas, as the page has them: of δ, a value of each pair.


def delta(p: CountsProblem) -> Tensor:
    """(G5)."""
    return 2 * p.f * p.e


def word_vectors(by: Quantity) -> Quantity:
    """(G6)."""
    return lambda p: p.matrix(by(p)) @ p.W_context


def context_vectors(by: Quantity) -> Quantity:
    """(G7)."""
    return lambda p: p.matrix(by(p)).T @ p.W


def word_biases(by: Quantity) -> Quantity:
    """(G8)."""
    return lambda p: p.matrix(by(p)).sum(1)


def context_biases(by: Quantity) -> Quantity:
    """(G9)."""
    return lambda p: p.matrix(by(p)).sum(0)


# The code.


def code(p: CountsProblem) -> tuple[Tensor, ...]:
    """Gradients of W, W̃, b and b̃ by `layers.glove_loss`."""
    return layers.glove_loss(
        p.W,
        p.W_context,
        p.b,
        p.b_context,
        p.rows,
        p.columns,
        p.X,
        x_max=p.x_max,
        alpha=p.alpha,
    )[1]


def code_delta(p: CountsProblem) -> Tensor:
    """δ of each pair: the gradient of its own bias, where no two pairs share a word."""
    i, j = p.rows, p.columns
    own = torch.arange(len(i))
    apart = replace(
        p,
        W=p.W[i],
        W_context=p.W_context[j],
        b=p.b[i],
        b_context=p.b_context[j],
        rows=own,
        columns=own,
    )
    return code(apart)[2]


# Deliberate mistakes.

_DELTAS: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -delta(p),
    "factor 2 dropped": lambda p: p.f * p.e,
    "weight f dropped": lambda p: 2 * p.e,
    "weight f not capped": lambda p: 2 * p.power * p.e,
    "logarithm of X dropped": lambda p: delta(p) + 2 * p.f * p.X.log(),
    "biases dropped": lambda p: 2 * p.f * (p.e - p.b[p.rows] - p.b_context[p.columns]),
}


def _wrong(of: Of, more: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Return mistakes in δ, and others."""
    return {**{name: of(by) for name, by in _DELTAS.items()}, **more}


# The entries.


_entry = Family("glove", draw_word_sizes, CountsProblem.draw, EXACT_WORD_SIZES).entry


def _gradient(
    number: str,
    title: str,
    statement: str,
    name: str,
    of: Of,
    more: Mapping[str, Quantity],
) -> Equation[CountsProblem, WordSizes]:
    """(G6)-(G9)."""
    place = ("W", "W_context", "b", "b_context").index(name)
    return _entry(
        number,
        title,
        statement,
        "glove_loss",
        left=lambda p: p.derivative(name),
        right=of(delta),
        code=lambda p: code(p)[place],
        wrong=_wrong(of, more),
    )


def _by(variable: str) -> str:
    return d(variable).replace("L", "J", 1)


_CONTEXT, _CONTEXT_BIAS = r"\tilde w_j", r"\tilde b_j"

GLOVE: tuple[Equation[CountsProblem, WordSizes], ...] = (
    _entry(
        "G5",
        "word vectors from counts, error",
        rf"\delta_{{ij}} = {_by('e_{ij}')} = 2\, f(X_{{ij}})\, e_{{ij}}",
        "glove_loss",
        left=lambda p: proof.gradient(lambda e: (p.f * e * e).sum(), p.e),
        right=delta,
        code=code_delta,
        wrong=_DELTAS,
    ),
    _gradient(
        "G6",
        "word vectors from counts, vectors",
        rf"{_by('w_i')} = \sum_j \delta_{{ij}}\, \tilde w_j",
        "W",
        word_vectors,
        {
            "δ transposed": lambda p: p.matrix(delta(p)).T @ p.W_context,
            "w_j in place of w̃_j": lambda p: p.matrix(delta(p)) @ p.W,
        },
    ),
    _gradient(
        "G7",
        "word vectors from counts, context vectors",
        rf"{_by(_CONTEXT)} = \sum_i \delta_{{ij}}\, w_i",
        "W_context",
        context_vectors,
        {
            "δ transposed": lambda p: p.matrix(delta(p)) @ p.W,
            "w̃_i in place of w_i": lambda p: p.matrix(delta(p)).T @ p.W_context,
        },
    ),
    _gradient(
        "G8",
        "word vectors from counts, biases",
        rf"{_by('b_i')} = \sum_j \delta_{{ij}}",
        "b",
        word_biases,
        {"sum over i in place of j": context_biases(delta)},
    ),
    _gradient(
        "G9",
        "word vectors from counts, context biases",
        rf"{_by(_CONTEXT_BIAS)} = \sum_i \delta_{{ij}}",
        "b_context",
        context_biases,
        {"sum over j in place of i": word_biases(delta)},
    ),
)
