"""GloVe: word vectors learned from the counts of words that stand near each other.

Pennington, Socher and Manning (2014). Equations (G10) and (G11) are those of the page on
word vectors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from rnnreport._checks import check_at_least, check_loss
from rnnreport.layers import cooccurrences, glove_loss
from rnnreport.progress import track

__all__ = ["GloVe", "train_glove"]


class GloVe(NamedTuple):
    """Trained word vectors.

    Attributes
    ----------
    vectors : Tensor, shape (V, D), float32
        One vector for each word; equation (G11). Zeros for a word without a neighbour.
    losses : tuple of float
        For each epoch the loss (G3) over the number of pairs; each pair counts as it stood before
        its batch was learned from.
    """

    vectors: Tensor
    losses: tuple[float, ...]


@torch.no_grad()
def train_glove(
    words: Tensor,
    lengths: Tensor,
    n_words: int,
    *,
    dim: int,
    window: int = 10,
    x_max: float = 10.0,
    alpha: float = 0.75,
    epochs: int = 30,
    batch_size: int = 8192,
    learning_rate: float = 0.05,
    generator: Generator,
) -> GloVe:
    r"""Learn word vectors from sentences.

    In each epoch all pairs pass in a new random order, in batches. Each batch makes one step of
    Adagrad with the gradients of :func:`rnnreport.layers.glove_loss`; equation (G10). The defaults
    suit a corpus of some hundred thousand words. Counts grow with the corpus, and `x_max` should
    grow with them: the paper has 100, for billions of words.

    Parameters
    ----------
    words, lengths, n_words, window
        The corpus, as for :func:`rnnreport.layers.cooccurrences`. On a CPU, a given `generator`
        gives the same vectors again as long as the number of threads is the same.
    dim
        D, the size of a vector; at least 1.
    x_max, alpha
        As for :func:`rnnreport.layers.glove_loss`.
    epochs
        How often to go over all pairs; at least 1.
    batch_size
        Pairs per step; at least 1.
    learning_rate
        The factor :math:`\eta` of (G10); above 0.
    generator
        On the CPU; draws the first values, uniform within ±1/(2D), and the order of the pairs.

    Returns
    -------
    GloVe
        Vectors and losses, on the device of `words`.

    Raises
    ------
    ValueError
        If an argument is out of range, or no two words of the corpus share a sentence.
    FloatingPointError
        If the loss of an epoch is not finite: a smaller `learning_rate` helps.
    """
    check_at_least(1, dim=dim, epochs=epochs, batch_size=batch_size)
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be above 0 and finite, got {learning_rate}")
    rows, columns, counts = cooccurrences(words, lengths, n_words, window=window)
    if not len(rows):
        raise ValueError("words must hold two words in one sentence, got no pair")
    counts = counts.float()

    def uniform(*shape: int) -> Tensor:
        return ((torch.rand(*shape, generator=generator) - 0.5) / dim).to(words.device)

    params = (uniform(n_words, dim), uniform(n_words, dim), uniform(n_words), uniform(n_words))
    squares = [torch.zeros_like(param) for param in params]
    losses = []
    for epoch in track(range(1, epochs + 1), "GloVe"):
        total = 0.0
        order = torch.randperm(len(rows), generator=generator)
        for batch in torch.split(order, batch_size):
            at = batch.to(words.device)
            loss, gradients = glove_loss(
                *params, rows[at], columns[at], counts[at], x_max=x_max, alpha=alpha
            )
            for param, square, gradient in zip(params, squares, gradients, strict=True):
                square.addcmul_(gradient, gradient)
                # The small term is for the numbers that no pair has moved yet: 0 / 0.
                param.addcdiv_(gradient, square.sqrt().add_(1e-10), value=-learning_rate)  # (G10)
            total += loss.item()
        check_loss(total, f" in epoch {epoch}", f"learning_rate than {learning_rate}")
        losses.append(total / len(rows))

    lonely = torch.ones(n_words, dtype=torch.bool, device=words.device)
    lonely[rows] = False  # with (i, j) stands (j, i), so that no column is missed
    vectors = (params[0] + params[1]).masked_fill(lonely[:, None], 0)  # (G11)
    return GloVe(vectors, tuple(losses))
