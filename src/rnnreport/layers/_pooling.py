"""From the words or states of a sentence to one vector, and from scores to the binary loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import (
    INDEX_DTYPES,
    check_alike,
    check_device,
    check_indices,
    check_shapes,
)
from rnnreport.layers._rows import add_rows


class EmbeddingBagCache(NamedTuple):
    """What :func:`embedding_bag_backward` needs: the words, whose they are, and the table."""

    words: Tensor
    owners: Tensor
    counts: Tensor
    W: Tensor


class MaxPoolCache(NamedTuple):
    """What :func:`max_pool_backward` needs: the step of each maximum, and the number of steps."""

    where: Tensor
    steps: int


@torch.no_grad()
def embedding_bag_forward(
    words: Tensor, lengths: Tensor, W: Tensor, *, average: bool
) -> tuple[Tensor, EmbeddingBagCache]:
    """Add up or average the vectors of the words of each sentence; equations (P1) and (P3).

    The sentences stand one after the other, so nothing is padded, and no order is kept.

    Parameters
    ----------
    words : Tensor, shape (K,), int64 or int32
        Word indices in [0, V) of all sentences.
    lengths : Tensor, shape (N,), int64 or int32
        How many words each sentence has: at least one, K in all.
    W : Tensor, shape (V, D), float32, float64 or complex128
        One vector a word.
    average : bool
        Whether to divide each sum by the number of words.

    Returns
    -------
    out : Tensor, shape (N, D)
        The sums or averages.
    cache : EmbeddingBagCache
        Values for :func:`embedding_bag_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an index is out of range, or the lengths are not
        at least 1 and K in all.
    """
    sizes = check_shapes({"words": (words, "K"), "lengths": (lengths, "N"), "W": (W, "V D")})
    check_alike(("W", W))
    for name, indices in (("words", words), ("lengths", lengths)):
        check_device(name, indices, ("W", W))
    check_indices("words", words, sizes["V"], "word indices")
    _check_lengths(lengths, sizes["K"])
    if lengths.sum() != sizes["K"]:
        raise ValueError(
            f"lengths must add up to the K = {sizes['K']} words, got {int(lengths.sum())}"
        )
    owners = torch.arange(sizes["N"], device=W.device).repeat_interleave(lengths)  # (K,)
    out = add_rows(W.new_zeros(sizes["N"], sizes["D"]), owners, W.index_select(0, words))
    counts = lengths if average else torch.ones_like(lengths)
    if average:
        out /= counts[:, None]
    return out, EmbeddingBagCache(words, owners, counts, W)


@torch.no_grad()
def embedding_bag_backward(dout: Tensor, cache: EmbeddingBagCache) -> Tensor:
    """Differentiate :func:`embedding_bag_forward`; equations (P2) and (P4).

    Parameters
    ----------
    dout : Tensor, shape (N, D)
        Upstream gradient.
    cache : EmbeddingBagCache
        From the forward pass.

    Returns
    -------
    dW : Tensor, shape (V, D)
        Gradient of the table; zero for words that do not occur.

    Raises
    ------
    ValueError
        If the shape, dtype or device of `dout` does not fit.
    """
    words, owners, counts, W = cache
    check_shapes({"counts": (counts, "N"), "W": (W, "V D"), "dout": (dout, "N D")})
    check_alike(("W", W), dout=dout)
    share = dout / counts[:, None]  # of each word of a sentence
    return add_rows(torch.zeros_like(W), words, share.index_select(0, owners))


@torch.no_grad()
def max_pool_forward(x: Tensor, lengths: Tensor) -> tuple[Tensor, MaxPoolCache]:
    """Take the largest value of each feature over a sequence's own steps; equation (P5).

    Parameters
    ----------
    x : Tensor, shape (T, N, D), float32 or float64
        Features; what stands behind a sequence's end is never read.
    lengths : Tensor, shape (N,), int64 or int32
        How many steps each sequence has, 1 to T.

    Returns
    -------
    out : Tensor, shape (N, D)
        The maxima.
    cache : MaxPoolCache
        Values for :func:`max_pool_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, a length is not within 1 and T, or an axis is
        empty.
    """
    mask = _mask(x, lengths)
    if x.is_complex():
        raise ValueError(f"x must have dtype torch.float32 or torch.float64, got {x.dtype}")
    out, where = torch.where(mask, x, -torch.inf).max(0)
    return out, MaxPoolCache(where, len(x))


@torch.no_grad()
def max_pool_backward(dout: Tensor, cache: MaxPoolCache) -> Tensor:
    """Differentiate :func:`max_pool_forward`; equation (P6).

    Where several steps share the maximum, one of them gets the gradient, the same one each time.

    Parameters
    ----------
    dout : Tensor, shape (N, D)
        Upstream gradient.
    cache : MaxPoolCache
        From the forward pass.

    Returns
    -------
    dx : Tensor, shape (T, N, D)
        The gradient at the step of each maximum, zero elsewhere.

    Raises
    ------
    ValueError
        If the shape or device of `dout` does not fit.
    """
    where, steps = cache
    check_shapes({"where": (where, "N D"), "dout": (dout, "N D")})
    check_device("dout", dout, ("where", where))
    return dout.new_zeros(steps, *dout.shape).scatter_(0, where[None], dout[None])


@torch.no_grad()
def sigmoid_loss(s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of scores whose sigmoid is the probability of label 1, averaged.

    Equations (P7) and (P8), in a form that overflows for no score.

    Parameters
    ----------
    s : Tensor, shape (N,), float32, float64 or complex128
        Scores.
    y : Tensor, shape (N,), of the dtype of `s`
        Labels, 0 or 1; a probability between them is taken too.

    Returns
    -------
    loss : Tensor, shape ()
        The mean cross-entropy, equation (P7).
    ds : Tensor, shape (N,)
        Its gradient.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or there is no score.
    """
    N = check_shapes({"s": (s, "N"), "y": (y, "N")})["N"]
    check_alike(("s", s), y=y)
    positive = s.real > 0
    small = torch.exp(torch.where(positive, -s, s))  # never above 1
    loss = (torch.where(positive, s, 0) - s * y + torch.log1p(small)).sum() / N  # (P7)
    p = torch.where(positive, 1 / (1 + small), small / (1 + small))  # the sigmoid
    return loss, (p - y) / N  # (P8)


def _mask(x: Tensor, lengths: Tensor) -> Tensor:
    """Return (T, N, 1): true within each sequence."""
    sizes = check_shapes({"x": (x, "T N D"), "lengths": (lengths, "N")})
    check_alike(("x", x))
    check_device("lengths", lengths, ("x", x))
    _check_lengths(lengths, sizes["T"])
    return (torch.arange(sizes["T"], device=x.device)[:, None] < lengths)[:, :, None]


def _check_lengths(lengths: Tensor, most: int) -> None:
    if lengths.dtype not in INDEX_DTYPES:
        raise ValueError(f"lengths must have dtype torch.int64 or torch.int32, got {lengths.dtype}")
    low, high = (int(end) for end in lengths.aminmax())
    if low < 1 or high > most:
        raise ValueError(f"lengths must be between 1 and {most}, got {low} to {high}")
