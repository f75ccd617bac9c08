"""Equations (T2), (T4)-(T6) and (T8): word embedding, temporal affine map and masked softmax loss.

As on the page, an array has the axes time, batch and feature, and the index pair tn names step t of
sequence n. Words, labels and the mask are data; the loss of what a layer returns is
L = Σ u ⊙ y + ½ s ⊙ y ⊙ y, so that ∂L/∂y = u + s ⊙ y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport import layers, proof
from rnnreport.equations._entry import Equation, Family, unknowns
from rnnreport.equations._forms import d
from rnnreport.equations._mistakes import CATALOGUE


class WordSizes(NamedTuple):
    """Sizes of a random problem of words: steps, sequences, features of a vector, and words.

    The word vectors from counts see up to T N pairs. There are at least 2 words, as the softmax of
    a single score is constant.
    """

    T: int
    N: int
    D: int
    V: int


EXACT_WORD_SIZES = WordSizes(T=4, N=2, D=4, V=4)
"""Of a problem of words that is computed exactly."""


def draw_word_sizes(generator: torch.Generator, ones: bool) -> WordSizes:
    """Draw small sizes: 2 to 4 steps, 2 or 3 sequences and features; with `ones`, about half 1."""
    T = 2 + torch.randint(3, (1,), generator=generator)
    sizes = torch.cat([T, 2 + torch.randint(2, (2,), generator=generator)])
    if ones:
        sizes = torch.where(torch.rand(3, generator=generator) < 0.5, 1, sizes)
    V = 3 + torch.randint(2, (1,), generator=generator)
    return WordSizes(*sizes.tolist(), *V.tolist())


def draw_lengths(generator: torch.Generator, T: int, N: int) -> Tensor:
    """Draw how long each sequence is: the first has one step, the last all of them."""
    lengths = 1 + torch.randint(T, (N,), generator=generator)
    lengths[0], lengths[-1] = 1, T
    return lengths


def draw_normal(generator: torch.Generator) -> Callable[..., Tensor]:
    """Return what draws normal numbers of a shape."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return normal


def one_hot(index: Tensor, size: int) -> Tensor:
    """𝟙 of index = k for k = 0, …, size − 1, along a new last axis."""
    return (index[..., None] == torch.arange(size)).double()


@dataclass(frozen=True)
class TemporalProblem:
    """Words, features and scores of some sequences, and what a loss reads of each."""

    w: Tensor  # (T, N), words
    E: Tensor  # (V, D)
    x: Tensor  # (T, N, D)
    A: Tensor  # (D, V)
    a: Tensor  # (V,)
    scores: Tensor  # (T, N, V)
    y: Tensor  # (T, N), labels
    mask: Tensor  # (T, N)
    u_x: Tensor  # (T, N, D), of the embedding
    s_x: Tensor  # (T, N, D)
    u: Tensor  # (T, N, V), of the affine map
    s: Tensor  # (T, N, V)

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: WordSizes) -> TemporalProblem:
        """Draw every tensor of the problem; a word that the first step has stands there again."""
        T, N, D, V = sizes
        normal = draw_normal(generator)
        w = torch.randint(V, (T, N), generator=generator)
        w[-1, -1] = w[0, 0]
        lengths = draw_lengths(generator, T, N)
        return cls(
            w=w,
            E=normal(V, D),
            x=normal(T, N, D),
            A=normal(D, V),
            a=normal(V),
            scores=normal(T, N, V),
            y=torch.randint(V, (T, N), generator=generator),
            mask=torch.arange(T)[:, None] < lengths,
            u_x=normal(T, N, D),
            s_x=normal(T, N, D),
            u=normal(T, N, V),
            s=normal(T, N, V),
        )

    def exactly(self, field: proof.Field) -> TemporalProblem:
        """Return the problem with unknowns for numbers; words, labels and the mask are kept."""
        return unknowns(self, field)

    @property
    def N(self) -> int:
        """Number of sequences."""
        return self.w.shape[1]

    @property
    def V(self) -> int:
        """Number of words."""
        return self.E.shape[0]

    @property
    def m(self) -> Tensor:
        """The mask as numbers, with an axis for the scores."""
        return self.mask.double()[:, :, None]

    @property
    def right(self) -> Tensor:
        """𝟙 of v = y_tn."""
        return one_hot(self.y, self.V)

    @property
    def dx(self) -> Tensor:
        """∂L/∂x_tn, of the embedding."""
        return self.u_x + self.s_x * embedded(self, self.E)

    @property
    def delta(self) -> Tensor:
        """δ_tn = ∂L/∂u_tn, of the affine map."""
        return self.u + self.s * affine(self.x, self.A, self.a)


Quantity = Callable[[TemporalProblem], Tensor]

# The layers and losses from their definition: sums over elements, no matrix product.


def embedded(p: TemporalProblem, E: Tensor) -> Tensor:
    """(T1), second form: (x_tn)_d = Σ_v 𝟙 of v = w_tn times E_vd."""
    return (one_hot(p.w, p.V)[..., None] * E).sum(2)


def affine(x: Tensor, A: Tensor, a: Tensor) -> Tensor:
    """(T3): (u_tn)_k = Σ_d (x_tn)_d A_dk + a_k."""
    return (x[..., None] * A).sum(2) + a


def softmax(scores: Tensor) -> Tensor:
    """p_tn of its scores; the shift cancels, and is the layer's."""
    raised = torch.exp(scores - scores.real.amax(2, keepdim=True))
    share: Tensor = raised / raised.sum(2, keepdim=True)
    return share


def softmax_loss(p: TemporalProblem, scores: Tensor) -> Tensor:
    """(T7)."""
    chosen = (softmax(scores) * p.right).sum(2)
    return -(p.mask.double() * torch.log(chosen)).sum() / p.N


def read(y: Tensor, u: Tensor, s: Tensor) -> Tensor:
    """L of what a layer returns."""
    return (u * y + s * y * y / 2).sum()


# The formulas, as the page has them.


def embedding_gradient(p: TemporalProblem) -> Tensor:
    """(T2): a word collects what comes from its places."""
    rows = [torch.zeros_like(p.E[0]) for _ in range(p.V)]
    for t, words in enumerate(p.w.tolist()):
        for n, v in enumerate(words):
            rows[v] = rows[v] + p.dx[t, n]
    return torch.stack(rows)


def features_gradient(p: TemporalProblem) -> Tensor:
    """(T4)."""
    return p.delta @ p.A.T


def weights_gradient(p: TemporalProblem) -> Tensor:
    """(T5): the outer products of all steps, one after the other."""
    return torch.stack([torch.outer(x, delta) for x, delta in _pairs(p)]).sum(0)


def bias_gradient(p: TemporalProblem) -> Tensor:
    """(T6)."""
    return p.delta.sum((0, 1))


def scores_gradient(p: TemporalProblem) -> Tensor:
    """(T8)."""
    return p.m / p.N * (softmax(p.scores) - p.right)


def _pairs(p: TemporalProblem) -> list[tuple[Tensor, Tensor]]:
    T, N = p.w.shape
    return [(p.x[t, n], p.delta[t, n]) for t in range(T) for n in range(N)]


# The code.


def embedding_code(p: TemporalProblem) -> Tensor:
    """∂L/∂E by `layers.word_embedding_backward`."""
    out, cache = layers.word_embedding_forward(p.w, p.E)
    return layers.word_embedding_backward(p.u_x + p.s_x * out, cache)


def affine_code(p: TemporalProblem) -> tuple[Tensor, Tensor, Tensor]:
    """∂L/∂x, ∂L/∂A and ∂L/∂a by `layers.temporal_fc_backward`."""
    out, cache = layers.temporal_fc_forward(p.x, p.A, p.a)
    return layers.temporal_fc_backward(p.u + p.s * out, cache)


# Deliberate mistakes.


def _overwritten(p: TemporalProblem) -> Tensor:
    """(T2) with the last place of each word alone."""
    rows = [torch.zeros_like(p.E[0]) for _ in range(p.V)]
    for t, words in enumerate(p.w.tolist()):
        for n, v in enumerate(words):
            rows[v] = p.dx[t, n]
    return torch.stack(rows)


def _shifted(p: TemporalProblem) -> Tensor:
    """(T2) with each word's row at the next word."""
    return embedding_gradient(p).roll(1, 0)


_EMBEDDING_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -embedding_gradient(p),
    CATALOGUE["repeated-words"].name: _overwritten,
    "row of the next word": _shifted,
    "mean over the places in place of the sum": lambda p: embedding_gradient(p) / p.w.numel(),
}
_FEATURES_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -features_gradient(p),
    "∂L/∂u taken without the bias": lambda p: (p.delta - p.s * p.a) @ p.A.T,
    "δ of the first step at each step": lambda p: (p.delta[:1] @ p.A.T).expand_as(p.x),
    "second term of ∂L/∂u dropped": lambda p: p.u @ p.A.T,
}
_WEIGHTS_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -weights_gradient(p),
    "last step alone": lambda p: p.x[-1].T @ p.delta[-1],
    "first sequence alone": lambda p: p.x[:, 0].T @ p.delta[:, 0],
    CATALOGUE["batch-mean"].name: lambda p: weights_gradient(p) / p.N,
    "sums over the steps multiplied": lambda p: torch.outer(p.x.sum((0, 1)), p.delta.sum((0, 1))),
}
_BIAS_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -bias_gradient(p),
    "last step alone": lambda p: p.delta[-1].sum(0),
    "first sequence alone": lambda p: p.delta[:, 0].sum(0),
    CATALOGUE["batch-not-summed"].name: lambda p: p.delta.sum(0),
    CATALOGUE["batch-mean"].name: lambda p: bias_gradient(p) / p.N,
}
_SCORES_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -scores_gradient(p),
    "mask dropped": lambda p: (softmax(p.scores) - p.right) / p.N,
    "factor 1/N dropped": lambda p: p.m * (softmax(p.scores) - p.right),
    "mean over the steps in place of the sum": lambda p: scores_gradient(p) / p.w.shape[0],
    "right word dropped": lambda p: p.m / p.N * softmax(p.scores),
    "slope of σ in place of that of the softmax": lambda p: (
        p.m / p.N * (torch.sigmoid(p.scores) - p.right)
    ),
}


# The entries.


_entry = Family("temporal", draw_word_sizes, TemporalProblem.draw, EXACT_WORD_SIZES).entry


_TN = r"\sum_{t,n}"

TEMPORAL: tuple[Equation[TemporalProblem, WordSizes], ...] = (
    _entry(
        "T2",
        "word embedding, table",
        rf"{d('E_{vd}')} = \sum_{{t,n\,:\,w_{{tn}}=v}} {d('(x_{tn})_d')}",
        "word_embedding_backward",
        left=lambda p: proof.gradient(lambda E: read(embedded(p, E), p.u_x, p.s_x), p.E),
        right=embedding_gradient,
        code=embedding_code,
        wrong=_EMBEDDING_MISTAKES,
    ),
    _entry(
        "T4",
        "temporal affine map, features",
        rf"{d('x_{tn}')} = \delta_{{tn}} A^{{\top}}",
        "temporal_fc_backward",
        left=lambda p: proof.gradient(lambda x: read(affine(x, p.A, p.a), p.u, p.s), p.x),
        right=features_gradient,
        code=lambda p: affine_code(p)[0],
        wrong=_FEATURES_MISTAKES,
    ),
    _entry(
        "T5",
        "temporal affine map, weights",
        rf"{d('A')} = {_TN} x_{{tn}}^{{\top}} \delta_{{tn}}",
        "temporal_fc_backward",
        left=lambda p: proof.gradient(lambda A: read(affine(p.x, A, p.a), p.u, p.s), p.A),
        right=weights_gradient,
        code=lambda p: affine_code(p)[1],
        wrong=_WEIGHTS_MISTAKES,
    ),
    _entry(
        "T6",
        "temporal affine map, bias",
        rf"{d('a')} = {_TN} \delta_{{tn}}",
        "temporal_fc_backward",
        left=lambda p: proof.gradient(lambda a: read(affine(p.x, p.A, a), p.u, p.s), p.a),
        right=bias_gradient,
        code=lambda p: affine_code(p)[2],
        wrong=_BIAS_MISTAKES,
    ),
    _entry(
        "T8",
        "logits, masked softmax loss",
        rf"{d('(s_{tn})_v')} = \frac{{m_{{tn}}}}{{N}} "
        r"\left( (p_{tn})_v - \mathbb{1}_{v=y_{tn}} \right)",
        "temporal_softmax_loss",
        left=lambda p: proof.gradient(lambda s: softmax_loss(p, s), p.scores),
        right=scores_gradient,
        code=lambda p: layers.temporal_softmax_loss(p.scores, p.y, p.mask)[1],
        wrong=_SCORES_MISTAKES,
    ),
)
