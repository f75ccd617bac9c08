"""Layers that treat all time steps alike: embedding, affine map, masked softmax loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import check_alike, check_device, check_indices, check_shapes
from rnnreport.layers._rows import add_rows


class WordEmbeddingCache(NamedTuple):
    """What :func:`word_embedding_backward` needs: the words and the size of the table."""

    x: Tensor
    W: Tensor


class TemporalFCCache(NamedTuple):
    """What :func:`temporal_fc_backward` needs; references, so leave them unchanged until then."""

    x: Tensor
    w: Tensor


@torch.no_grad()
def word_embedding_forward(x: Tensor, W: Tensor) -> tuple[Tensor, WordEmbeddingCache]:
    """Look up the vector of every word; equation (T1).

    Parameters
    ----------
    x : Tensor, shape (T, N), int64 or int32
        Word indices in [0, V).
    W : Tensor, shape (V, D), float32, float64 or complex128
        One vector a word.

    Returns
    -------
    out : Tensor, shape (T, N, D)
        The words' vectors, in the dtype of `W`.
    cache : WordEmbeddingCache
        Values for :func:`word_embedding_backward`.

    Raises
    ------
    ValueError
        If an index is out of range, `x` is not of an integer dtype or on another device than `W`,
        or an axis is empty.
    """
    sizes = check_shapes({"x": (x, "T N"), "W": (W, "V D")})
    check_alike(("W", W))
    check_device("x", x, ("W", W))
    check_indices("x", x, sizes["V"], "word indices")
    return W[x], WordEmbeddingCache(x, W)


@torch.no_grad()
def word_embedding_backward(dout: Tensor, cache: WordEmbeddingCache) -> Tensor:
    """Differentiate :func:`word_embedding_forward`; equation (T2).

    A word that occurs several times collects the gradients of all its places.

    Parameters
    ----------
    dout : Tensor, shape (T, N, D)
        Upstream gradient.
    cache : WordEmbeddingCache
        From the forward pass.

    Returns
    -------
    dW : Tensor, shape (V, D)
        Gradient of the table; zero for words that do not occur. The indices have no gradient.

    Raises
    ------
    ValueError
        If the shape, dtype or device of `dout` does not fit.
    """
    x, W = cache
    check_shapes({"x": (x, "T N"), "W": (W, "V D"), "dout": (dout, "T N D")})
    check_alike(("W", W), dout=dout)
    return add_rows(torch.zeros_like(W), x.reshape(-1), dout.reshape(x.numel(), -1))


@torch.no_grad()
def temporal_fc_forward(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, TemporalFCCache]:
    """Apply one affine map to the features of every time step; equation (T3).

    Parameters
    ----------
    x : Tensor, shape (T, N, D)
        Features. float32, float64 or complex128; the other arguments have its dtype and device.
    w : Tensor, shape (D, M)
        Weights.
    b : Tensor, shape (M,)
        Biases.

    Returns
    -------
    out : Tensor, shape (T, N, M)
        ``x @ w + b``.
    cache : TemporalFCCache
        Values for :func:`temporal_fc_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis is empty.
    """
    sizes = check_shapes({"x": (x, "T N D"), "w": (w, "D M"), "b": (b, "M")})
    check_alike(("x", x), w=w, b=b)
    T, N, D, M = (sizes[axis] for axis in "TNDM")
    return torch.addmm(b, x.reshape(T * N, D), w).view(T, N, M), TemporalFCCache(x, w)


@torch.no_grad()
def temporal_fc_backward(dout: Tensor, cache: TemporalFCCache) -> tuple[Tensor, Tensor, Tensor]:
    """Differentiate :func:`temporal_fc_forward`; equations (T4)-(T6).

    Parameters
    ----------
    dout : Tensor, shape (T, N, M)
        Upstream gradient.
    cache : TemporalFCCache
        From the forward pass.

    Returns
    -------
    dx : Tensor, shape (T, N, D)
        Equation (T4).
    dw : Tensor, shape (D, M)
        Equation (T5).
    db : Tensor, shape (M,)
        Equation (T6).

    Raises
    ------
    ValueError
        If the shape, dtype or device of `dout` does not fit.
    """
    x, w = cache
    sizes = check_shapes({"x": (x, "T N D"), "w": (w, "D M"), "dout": (dout, "T N M")})
    check_alike(("x", x), dout=dout)
    T, N, D, M = (sizes[axis] for axis in "TNDM")
    flat_dout = dout.reshape(T * N, M)
    dx = (flat_dout @ w.T).view(T, N, D)  # (T4)
    dw = x.reshape(T * N, D).T @ flat_dout  # (T5)
    db = flat_dout.sum(0)  # (T6)
    return dx, dw, db


@torch.no_grad()
def temporal_softmax_loss(x: Tensor, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    r"""Cross-entropy of a sequence of scores, summed over time and averaged over the batch.

    Equations (T7) and (T8). Steps where `mask` is false add nothing to the loss and have a gradient
    of zero, whatever their scores and labels hold. If every step is masked, both results are zero.

    Parameters
    ----------
    x : Tensor, shape (T, N, V), float32, float64 or complex128
        Scores of the V words at every step.
    y : Tensor, shape (T, N), int64 or int32
        Index of the right word, in [0, V) wherever `mask` is true.
    mask : Tensor, shape (T, N)
        True where a step counts. Numbers are taken too, if all are 0 or 1.

    Returns
    -------
    loss : Tensor, shape ()
        :math:`-\frac1N \sum_{t,n} m_{tn} \log p_{tn y_{tn}}`, with p the softmax of the scores.
    dx : Tensor, shape (T, N, V)
        Its gradient.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, a label that counts is out of range, a number in
        `mask` is neither 0 nor 1, or an axis is empty.
    """
    sizes = check_shapes({"x": (x, "T N V"), "y": (y, "T N"), "mask": (mask, "T N")})
    check_alike(("x", x))
    check_device("y", y, ("x", x))
    check_device("mask", mask, ("x", x))
    if mask.dtype != torch.bool:
        if not ((mask == 0) | (mask == 1)).all():
            raise ValueError(
                "mask must hold booleans, or numbers that are 0 or 1; got other numbers"
            )
        mask = mask.bool()
    label = torch.where(mask, y, 0)  # a masked label is never read
    check_indices("y", label, sizes["V"], "labels")
    label = label.long().unsqueeze(2)  # (T, N, 1)

    z = x - x.real.amax(dim=2, keepdim=True)  # the shift cancels, and keeps exp finite
    right = z.gather(2, label)  # (T, N, 1)
    dx = z.exp_()  # from here on in place: (T, N, V) is large
    total = dx.sum(2, keepdim=True)  # (T, N, 1)
    log_p = torch.where(mask, (right - total.log()).squeeze(2), 0)
    # The same rounded 1/N in both: so the gradient is exactly that of the loss.
    share = mask.unsqueeze(2).to(x.dtype) / sizes["N"]  # (T, N, 1)
    loss = -(log_p * share.squeeze(2)).sum()  # (T7)
    dx.mul_(share / total).scatter_add_(2, label, -share)  # (T8)
    dx[~mask] = 0  # zero, even where the scores are not finite
    return loss, dx
