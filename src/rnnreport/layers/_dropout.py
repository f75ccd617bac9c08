"""Inverted dropout: elements are dropped by chance, and those that stay are scaled up."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import check_alike, check_device


class DropoutCache(NamedTuple):
    """What :func:`dropout_backward` needs: 0 or 1 / (1 - p) for each element.

    None where p = 0, as nothing was drawn.
    """

    scale: Tensor | None


@torch.no_grad()
def dropout_forward(x: Tensor, p: float, generator: torch.Generator) -> tuple[Tensor, DropoutCache]:
    r"""Keep each element with probability 1 - p, and divide what stays by 1 - p.

    .. math:: y = \frac{m \odot x}{1 - p}, \quad m_k \in \{0, 1\}, \quad P(m_k = 1) = 1 - p

    Each element keeps its expectation, so that nothing has to be changed when nothing is dropped
    any more (Srivastava et al., 2014, with the division moved from use to training). No autograd
    graph is recorded: :func:`rnnreport.nn.dropout` is the function that autograd knows.

    Parameters
    ----------
    x : Tensor, any shape, float32, float64 or complex128
        What is thinned out.
    p : float
        Probability of being dropped, 0 <= p < 1.
    generator : torch.Generator
        Draws the mask, on its own device. The same state gives the same mask for every dtype.

    Returns
    -------
    out : Tensor, of the shape of `x`
        The elements that stay, scaled, and zeros. With p = 0 it is `x` itself, and nothing is drawn
        from the generator.
    cache : DropoutCache
        Values for :func:`dropout_backward`.

    Raises
    ------
    ValueError
        If the dtype of `x` is not among those, or p is not at least 0 and below 1.
    """
    check_alike(("x", x))
    if not 0 <= p < 1:
        raise ValueError(f"p must be at least 0 and below 1, got {p}")
    if p == 0:
        return x, DropoutCache(None)
    # bernoulli_ takes three times as long as uniform numbers and a comparison.
    draws = torch.rand(x.shape, generator=generator, dtype=torch.float32, device=generator.device)
    scale = draws.lt_(1 - p).to(x.device, x.real.dtype).div_(1 - p)
    return x * scale, DropoutCache(scale)


@torch.no_grad()
def dropout_backward(dout: Tensor, cache: DropoutCache) -> Tensor:
    """Differentiate :func:`dropout_forward`, with the mask of that pass; equation (59).

    Parameters
    ----------
    dout : Tensor, of the shape of the output
        Upstream gradient.
    cache : DropoutCache
        From the forward pass.

    Returns
    -------
    dx : Tensor, of the shape of `dout`
        The gradient, zero where an element was dropped. With p = 0 it is `dout` itself.

    Raises
    ------
    ValueError
        If the shape or device of `dout` is not the output's.
    """
    (scale,) = cache
    check_alike(("dout", dout))
    if scale is None:
        return dout
    if dout.shape != scale.shape:
        raise ValueError(f"dout must have shape {tuple(scale.shape)}, got {tuple(dout.shape)}")
    check_device("dout", dout, ("the mask", scale))
    return dout * scale  # (59)
