"""Equations (P2), (P4), (P6) and (P8): bag of words, average, maximum over time, binary loss.

Words, lengths and labels are data. The loss of what a layer returns is L = Σ u ⊙ y + ½ s ⊙ y ⊙ y,
so that ∂L/∂y = u + s ⊙ y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rnnreport import layers, proof
from rnnreport.equations._entry import Equation, Family, unknowns
from rnnreport.equations._forms import d
from rnnreport.equations._temporal import (
    EXACT_WORD_SIZES,
    WordSizes,
    draw_lengths,
    draw_normal,
    draw_word_sizes,
    one_hot,
    read,
)


@dataclass(frozen=True)
class SentenceProblem:
    """Sentences of different lengths, states along them, scores, and what a loss reads of each."""

    words: tuple[tuple[int, ...], ...]  # of each sentence, (ℓ_n,); they may repeat
    sets: tuple[tuple[int, ...], ...]  # of each sentence, words that do not repeat
    E: Tensor  # (V, D)
    a: Tensor  # (V,)
    b: Tensor  # ()
    h: Tensor  # (T, N, D)
    scores: Tensor  # (N,)
    y: Tensor  # (N,), labels
    u: Tensor  # (N, D), of the average and of the maxima
    s: Tensor  # (N, D)
    u_s: Tensor  # (N,), of the score
    s_s: Tensor  # (N,)

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: WordSizes) -> SentenceProblem:
        """Draw every number of the problem; what stands behind a sentence's end is large."""
        T, N, D, V = sizes
        normal = draw_normal(generator)
        lengths = draw_lengths(generator, T, N)

        def words(length: int) -> tuple[int, ...]:
            return tuple(torch.randint(V, (length,), generator=generator).tolist())

        def different(length: int) -> tuple[int, ...]:
            return tuple(torch.randperm(V, generator=generator)[:length].tolist())

        beyond = torch.arange(T)[:, None, None] >= lengths[:, None]
        return cls(
            words=tuple(words(length) for length in lengths.tolist()),
            sets=tuple(different(length) for length in lengths.tolist()),
            E=normal(V, D),
            a=normal(V),
            b=normal(()),
            h=normal(T, N, D) + 9 * beyond,
            scores=normal(N),
            y=torch.randint(2, (N,), generator=generator),
            u=normal(N, D),
            s=normal(N, D),
            u_s=normal(N),
            s_s=normal(N),
        )

    def exactly(self, field: proof.Field) -> SentenceProblem:
        """Return the problem with unknowns for numbers; words and labels are kept."""
        return unknowns(self, field)

    @property
    def N(self) -> int:
        """Number of sentences."""
        return len(self.words)

    @property
    def lengths(self) -> Tensor:
        """ℓ_n."""
        return torch.tensor([len(sentence) for sentence in self.words])

    @cached_property
    def members(self) -> Tensor:
        """𝟙 of v ∈ sentence n, (N, V), of sentences whose words do not repeat."""
        V = self.E.shape[0]
        return torch.stack([one_hot(torch.tensor(words), V).sum(0) for words in self.sets])

    @property
    def ds(self) -> Tensor:
        """∂L/∂s_n."""
        return self.u_s + self.s_s * score(self, self.a)

    @property
    def dx(self) -> Tensor:
        """∂L/∂x̄_n."""
        return self.u + self.s * average(self, self.E)

    @cached_property
    def tau(self) -> Tensor:
        """τ = argmax_t (h_tn)_d, (N, D), over the steps of each sentence."""
        return torch.stack(
            [self.h[: len(words), n].argmax(0) for n, words in enumerate(self.words)]
        )

    @property
    def chosen(self) -> Tensor:
        """𝟙 of t = τ, (T, N, D)."""
        return one_hot(self.tau, len(self.h)).permute(2, 0, 1)

    @property
    def dm(self) -> Tensor:
        """∂L/∂m_n."""
        return self.u + self.s * maximum(self, self.h)


Quantity = Callable[[SentenceProblem], Tensor]

# The layers and losses from their definition: sums over elements.


def score(p: SentenceProblem, a: Tensor) -> Tensor:
    """(P1)."""
    return p.b + (p.members * a).sum(1)


def average(p: SentenceProblem, E: Tensor) -> Tensor:
    """(P3)."""
    V = E.shape[0]
    means = []
    for words in p.words:
        places = one_hot(torch.tensor(words), V)  # (ℓ_n, V)
        means.append((places[:, :, None] * E).sum((0, 1)) / len(words))
    return torch.stack(means)


def maximum(p: SentenceProblem, h: Tensor) -> Tensor:
    """(P5); τ is that of the problem, as a small change of h leaves it."""
    return (p.chosen * h).sum(0)


def sigmoid_loss(p: SentenceProblem, scores: Tensor) -> Tensor:
    """(P7)."""
    y = p.y.double()
    share = 1 / (1 + torch.exp(-scores))
    return -(y * torch.log(share) + (1 - y) * torch.log(1 - share)).sum() / p.N


# The formulas, as the page has them.


def bag_gradient(p: SentenceProblem) -> Tensor:
    """(P2): a weight collects the gradients of the sentences that hold its word."""
    weights = []
    for v in range(p.E.shape[0]):
        found = [p.ds[n] for n, words in enumerate(p.sets) if v in words]
        weights.append(sum(found, torch.zeros_like(p.b)))
    return torch.stack(weights)


def _collected(p: SentenceProblem, share: Callable[[int], float]) -> Tensor:
    """Collect a share of ∂L/∂x̄_n at each place of a word in sentence n."""
    rows = [torch.zeros_like(p.E[0]) for _ in range(p.E.shape[0])]
    for n, words in enumerate(p.words):
        for v in words:
            rows[v] = rows[v] + p.dx[n] / share(n)
    return torch.stack(rows)


def average_gradient(p: SentenceProblem) -> Tensor:
    """(P4)."""
    return _collected(p, lambda n: len(p.words[n]))


def maximum_gradient(p: SentenceProblem) -> Tensor:
    """(P6)."""
    return p.chosen * p.dm


def scores_gradient(p: SentenceProblem) -> Tensor:
    """(P8)."""
    return (torch.sigmoid(p.scores) - p.y) / p.N


# The code.


def _bag(words: tuple[tuple[int, ...], ...]) -> tuple[Tensor, Tensor]:
    """Return the words of all sentences, one after the other, and the lengths."""
    return (
        torch.tensor([v for sentence in words for v in sentence]),
        torch.tensor([len(sentence) for sentence in words]),
    )


def bag_code(p: SentenceProblem) -> Tensor:
    """∂L/∂a by `layers.embedding_bag_backward`, of vectors of one feature."""
    out, cache = layers.embedding_bag_forward(*_bag(p.sets), p.a[:, None], average=False)
    ds = p.u_s + p.s_s * (p.b + out[:, 0])
    return layers.embedding_bag_backward(ds[:, None], cache)[:, 0]


def average_code(p: SentenceProblem) -> Tensor:
    """∂L/∂E by `layers.embedding_bag_backward`."""
    out, cache = layers.embedding_bag_forward(*_bag(p.words), p.E, average=True)
    return layers.embedding_bag_backward(p.u + p.s * out, cache)


def maximum_code(p: SentenceProblem) -> Tensor:
    """∂L/∂h by `layers.max_pool_backward`."""
    out, cache = layers.max_pool_forward(p.h, p.lengths)
    return layers.max_pool_backward(p.u + p.s * out, cache)


# Deliberate mistakes.


def _last_step(p: SentenceProblem) -> Tensor:
    """𝟙 of t = ℓ_n, (T, N, 1)."""
    return one_hot(p.lengths - 1, len(p.h)).T[:, :, None]


def _beyond_the_end(p: SentenceProblem) -> Tensor:
    """𝟙 of t = τ of a τ over all T steps."""
    return one_hot(p.h.argmax(0), len(p.h)).permute(2, 0, 1)


_BAG_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -bag_gradient(p),
    "all sentences in place of those with the word": lambda p: p.ds.sum().expand_as(p.a),
    "share of the length in place of the whole": lambda p: (
        p.members * (p.ds / p.members.sum(1))[:, None]
    ).sum(0),
    "bias left out of ∂L/∂s_n": lambda p: (p.members * (p.ds - p.s_s * p.b)[:, None]).sum(0),
}
_AVERAGE_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -average_gradient(p),
    "factor 1/ℓ_n dropped": lambda p: _collected(p, lambda _: 1),
    "factor 1/T in place of 1/ℓ_n": lambda p: _collected(p, lambda _: len(p.h)),
    "factor 1/N too much": lambda p: average_gradient(p) / p.N,
    "first word of each sentence alone": lambda p: torch.stack(
        [
            sum(
                (p.dx[n] for n, words in enumerate(p.words) if words[0] == v),
                torch.zeros_like(p.E[0]),
            )
            for v in range(p.E.shape[0])
        ]
    ),
}
_MAXIMUM_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -maximum_gradient(p),
    "last step of each sentence in place of τ": lambda p: _last_step(p) * p.dm,
    "τ sought behind the end": lambda p: _beyond_the_end(p) * p.dm,
    "every step in place of τ": lambda p: p.dm.expand_as(p.h),
    "∂L/∂m_n taken at the last state": lambda p: (
        p.chosen * (p.u + p.s * (_last_step(p) * p.h).sum(0))
    ),
}
_SCORES_MISTAKES: Mapping[str, Quantity] = {
    "wrong sign": lambda p: -scores_gradient(p),
    "factor 1/N dropped": lambda p: p.N * scores_gradient(p),
    "labels exchanged": lambda p: (torch.sigmoid(p.scores) - (1 - p.y)) / p.N,
    "tanh in place of σ": lambda p: (torch.tanh(p.scores) - p.y) / p.N,
    "slope of σ too much": lambda p: (
        scores_gradient(p) * torch.sigmoid(p.scores) * (1 - torch.sigmoid(p.scores))
    ),
}


# The entries.


_entry = Family("text", draw_word_sizes, SentenceProblem.draw, EXACT_WORD_SIZES).entry


_MEAN = r"\bar x_n"

POOLING: tuple[Equation[SentenceProblem, WordSizes], ...] = (
    _entry(
        "P2",
        "bag of words, weights",
        rf"{d('a_v')} = \sum_{{n\,:\,v \in \text{{sentence }} n}} {d('s_n')}",
        "embedding_bag_backward",
        left=lambda p: proof.gradient(lambda a: read(score(p, a), p.u_s, p.s_s), p.a),
        right=bag_gradient,
        code=bag_code,
        wrong=_BAG_MISTAKES,
    ),
    _entry(
        "P4",
        "average of words, table",
        rf"{d('E_v')} = \sum_{{n,t\,:\,w_{{tn}} = v}} \frac{{1}}{{\ell_n}} {d(_MEAN)}",
        "embedding_bag_backward",
        left=lambda p: proof.gradient(lambda E: read(average(p, E), p.u, p.s), p.E),
        right=average_gradient,
        code=average_code,
        wrong=_AVERAGE_MISTAKES,
    ),
    _entry(
        "P6",
        "maximum over time, states",
        rf"{d('(h_{tn})_d')} = \mathbb{{1}}_{{t = \tau}} {d('(m_n)_d')}",
        "max_pool_backward",
        left=lambda p: proof.gradient(lambda h: read(maximum(p, h), p.u, p.s), p.h),
        right=maximum_gradient,
        code=maximum_code,
        wrong=_MAXIMUM_MISTAKES,
    ),
    _entry(
        "P8",
        "logits, binary loss",
        rf"{d('s_n')} = \frac{{p_n - y_n}}{{N}}",
        "sigmoid_loss",
        left=lambda p: proof.gradient(lambda s: sigmoid_loss(p, s), p.scores),
        right=scores_gradient,
        code=lambda p: layers.sigmoid_loss(p.scores, p.y.double())[1],
        wrong=_SCORES_MISTAKES,
    ),
)
