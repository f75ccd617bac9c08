"""The losses of style transfer: content, style and total variation.

A map of features has C channels and M = H W places. It comes as the network gives it, (C, H, W), or
with its places in one row, (C, M). A map in the memory format channels last is not copied.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rnnreport.layers._checks import check_alike, check_shapes


@torch.no_grad()
def gram_matrix(F: Tensor) -> Tensor:
    r"""Average the products of each two channels over all places; equation (L2).

    Parameters
    ----------
    F : Tensor, shape (C, H, W) or (C, M), float32, float64 or complex128
        A map of features.

    Returns
    -------
    G : Tensor, shape (C, C)
        :math:`F F^\mathsf{T} / M`, symmetric. Not conjugated where `F` is complex.

    Raises
    ------
    ValueError
        If the shape or dtype does not fit, or an axis is empty.
    """
    rows = _rows(F)
    return rows @ rows.T / rows.shape[1]


@torch.no_grad()
def content_loss(F: Tensor, P: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Compare two maps place by place; equations (L1) and (N1).

    Parameters
    ----------
    F : Tensor, shape (C, H, W) or (C, M), float32, float64 or complex128
        The map of an image.
    P : Tensor, of the shape, dtype and device of `F`
        The map that it is to have.
    weight : float
        What the loss is multiplied by.

    Returns
    -------
    loss : Tensor, shape ()
        `weight` times the sum of the squared differences.
    dF : Tensor, of the shape of `F`
        Its gradient.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis is empty.
    """
    axes = _axes(F)
    check_shapes({"F": (F, axes), "P": (P, axes)})
    check_alike(("F", F), P=P)
    dF = F - P
    loss = weight * (dF * dF).sum()  # (L1)
    dF *= 2 * weight  # (N1)
    return loss, dF


@torch.no_grad()
def style_loss(F: Tensor, A: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Compare the Gram matrix of a map with another one; equations (L3) and (N3).

    Parameters
    ----------
    F : Tensor, shape (C, H, W) or (C, M), float32, float64 or complex128
        The map of an image.
    A : Tensor, shape (C, C), of the dtype and device of `F`
        The Gram matrix that it is to have, symmetric: :func:`gram_matrix` of a map of any size.
    weight : float
        What the loss is multiplied by.

    Returns
    -------
    loss : Tensor, shape ()
        `weight` times the sum of the squared differences of the two matrices.
    dF : Tensor, of the shape of `F`
        Its gradient.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis is empty.
    """
    rows = _rows(F)
    check_shapes({"F": (F, _axes(F)), "A": (A, "C C")})
    check_alike(("F", F), A=A)
    share = 1 / rows.shape[1]  # the same rounded 1/M in loss and gradient
    error = torch.addmm(A, rows, rows.T, beta=-1, alpha=share)  # G − A
    loss = weight * (error * error).sum()  # (L3)
    dF = torch.mm(error.mul_(4 * weight).mul_(share), rows, out=torch.empty_like(rows))  # (N3)
    return loss, dF.view_as(F)


@torch.no_grad()
def total_variation_loss(x: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Sum the squared differences of neighbouring pixels; equations (L4) and (N4).

    Parameters
    ----------
    x : Tensor, shape (C, H, W), float32, float64 or complex128
        An image.
    weight : float
        What the loss is multiplied by.

    Returns
    -------
    loss : Tensor, shape ()
        `weight` times the sum of the squared differences of pixels that lie below or beside each
        other; 0 of a single pixel.
    dx : Tensor, shape (C, H, W)
        Its gradient.

    Raises
    ------
    ValueError
        If the shape or dtype does not fit, or an axis is empty.
    """
    check_shapes({"x": (x, "C H W")})
    check_alike(("x", x))
    down = x[:, 1:] - x[:, :-1]  # (C, H - 1, W)
    right = x[:, :, 1:] - x[:, :, :-1]  # (C, H, W - 1)
    loss = weight * ((down * down).sum() + (right * right).sum())  # (L4)
    dx = torch.zeros_like(x)
    for step, later, earlier in (
        (down, dx[:, 1:], dx[:, :-1]),
        (right, dx[:, :, 1:], dx[:, :, :-1]),
    ):
        later += step  # each difference pulls its two pixels together
        earlier -= step
    dx *= 2 * weight  # (N4)
    return loss, dx


def _axes(F: Tensor) -> str:
    return "C M" if F.ndim == 2 else "C H W"


def _rows(F: Tensor) -> Tensor:
    """Lay the places of a map in one row, (C, M)."""
    check_shapes({"F": (F, _axes(F))})
    check_alike(("F", F))
    return F.flatten(1)
