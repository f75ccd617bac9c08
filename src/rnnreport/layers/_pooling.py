"""From a sequence of features to one number a sequence: pooling over time, and the binary loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import INDEX_DTYPES, check_alike, check_device, check_shapes


class AveragePoolCache(NamedTuple):
    """What :func:`average_pool_backward` needs: which steps count, and how many."""

    mask: Tensor
    lengths: Tensor


class MaxPoolCache(NamedTuple):
    """What :func:`max_pool_backward` needs: the step of each maximum, and the number of steps."""

    where: Tensor
    steps: int


@torch.no_grad()
def average_pool_forward(x: Tensor, lengths: Tensor) -> tuple[Tensor, AveragePoolCache]:
    """Average each sequence over its own steps; equation (P3).

    Parameters
    ----------
    x : Tensor, shape (T, N, D), float32, float64 or complex128
        Features; what stands behind a sequence's end is never read.
    lengths : Tensor, shape (N,), int64 or int32
        How many steps each sequence has, 1 to T.

    Returns
    -------
    out : Tensor, shape (N, D)
        The averages.
    cache : AveragePoolCache
        Values for :func:`average_pool_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, a length is not within 1 and T, or an axis is
        empty.
    """
    mask = _mask(x, lengths)
    out = torch.where(mask, x, 0).sum(0) / lengths[:, None]
    return out, AveragePoolCache(mask.expand_as(x), lengths)


@torch.no_grad()
def average_pool_backward(dout: Tensor, cache: AveragePoolCache) -> Tensor:
    """Differentiate :func:`average_pool_forward`; equation (P4).

    Parameters
    ----------
    dout : Tensor, shape (N, D)
        Upstream gradient.
    cache : AveragePoolCache
        From the forward pass.

    Returns
    -------
    dx : Tensor, shape (T, N, D)
        Zero behind a sequence's end.

    Raises
    ------
    ValueError
        If the shape or device of `dout` does not fit.
    """
    mask, lengths = cache
    check_shapes({"mask": (mask, "T N D"), "dout": (dout, "N D")})
    check_device("dout", dout, ("lengths", lengths))
    return torch.where(mask, dout / lengths[:, None], 0)


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
    r"""Cross-entropy of scores whose sigmoid is the probability of label 1, averaged.

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
        :math:`-\frac1N\sum_n y_n \log\sigma(s_n) + (1 - y_n)\log(1 - \sigma(s_n))`.
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
    if lengths.dtype not in INDEX_DTYPES:
        raise ValueError(f"lengths must have dtype torch.int64 or torch.int32, got {lengths.dtype}")
    if lengths.min() < 1 or lengths.max() > sizes["T"]:
        raise ValueError(
            f"lengths must be between 1 and T = {sizes['T']}, got {int(lengths.min())} to "
            f"{int(lengths.max())}"
        )
    return (torch.arange(sizes["T"], device=x.device)[:, None] < lengths)[:, :, None]
