"""Derivatives of a function as it is defined: measured, or exact where the numbers are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rnnreport.proof._dual import Dual
from rnnreport.proof._field import POINTS, Residues
from rnnreport.proof._measured import complex_step, complex_step_gradient
from rnnreport.proof._tensor import ExactTensor

__all__ = ["gradient", "jacobian"]


def gradient(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Differentiate a scalar function by each element: by complex step, or exactly.

    Parameters
    ----------
    f
        As :func:`complex_step_gradient` takes it; of exact numbers, any function with rules.
    x : Tensor
        The point: of float64, or exact.

    Returns
    -------
    Tensor
        The gradient, of the shape of `x`. It takes one evaluation of ``f`` an element, or a single
        one, if it is exact.

    Raises
    ------
    ValueError
        If ``f`` does not return a scalar, and what :func:`complex_step_gradient` raises.
    """
    if not isinstance(x, ExactTensor):
        return complex_step_gradient(f, x)
    slopes = _exact(f, x)
    if slopes.numel() != x.numel():
        shape = tuple(slopes.shape[: slopes.ndim - x.ndim])
        raise ValueError(f"f must return a scalar, got shape {shape}")
    return slopes.reshape(x.shape)


def jacobian(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Differentiate each element of a function by each of its argument, as :func:`gradient` does.

    Parameters
    ----------
    f
        As :func:`complex_step` takes it; of exact numbers, any function with rules.
    x : Tensor
        The point: of float64, or exact.

    Returns
    -------
    Tensor
        The derivatives, of the shape of ``f(x)`` and then that of `x`.

    Raises
    ------
    ValueError
        What :func:`complex_step` raises.
    """
    if isinstance(x, ExactTensor):
        return _exact(f, x)
    units = torch.eye(x.numel(), dtype=x.dtype, device=x.device).view(-1, *x.shape)
    slopes = torch.stack([complex_step(f, x, unit) for unit in units], dim=-1)
    return slopes.view(slopes.shape[:-1] + x.shape)


def _exact(f: Callable[[Tensor], Tensor], x: ExactTensor) -> Tensor:
    """Push tangents along every axis through a function at once."""
    field, count = x.field, x.numel()
    assert not field.directions, "a derivative of a derivative"  # noqa: S101
    field.directions = count
    try:
        moved = f(ExactTensor(Dual(x.dual.value, _units(x)).pack(), field))
        if not isinstance(moved, ExactTensor):  # it does not depend on x
            return torch.zeros(*moved.shape, *x.shape, dtype=x.dtype)
        tangent = moved.dual.moves()
    finally:
        field.directions = 0
    slopes = tangent.values.permute(1, *range(2, tangent.values.ndim), 0)
    bounds = tangent.bounds.unsqueeze(-1).expand(4, *slopes.shape[1:])
    rows = torch.cat([slopes, bounds]).view(POINTS + 4, *moved.shape, *x.shape)
    return ExactTensor(rows, field)


def _units(x: ExactTensor) -> Residues:
    """Return a direction for each element of a tensor."""
    units = torch.eye(x.numel(), dtype=torch.int64)[:, None].expand(-1, POINTS, -1)
    bounds = torch.tensor([0, 0, 0, 1])[:, None].expand(4, x.numel())
    return Residues(x.field, torch.cat([units.flatten(0, 1), bounds]).view(-1, *x.shape))
