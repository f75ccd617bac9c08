"""Derivatives of a function as it is defined: measured, or exact where the numbers are."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from rnnreport.proof._dual import Dual
from rnnreport.proof._field import Residues
from rnnreport.proof._measured import complex_step, complex_step_gradient
from rnnreport.proof._tensor import ExactTensor

__all__ = ["derivative", "gradient"]


def derivative(f: Callable[[Tensor], Tensor], x: Tensor, direction: Tensor) -> Tensor:
    """Differentiate a function along a direction: by complex step, or exactly.

    Parameters
    ----------
    f
        As :func:`complex_step` takes it; of exact numbers, any function with rules.
    x, direction : Tensor
        The point and the direction, of equal shape: of float64, or both exact.

    Returns
    -------
    Tensor
        The derivative of ``f`` at `x` along `direction`, of the shape of ``f(x)``.

    Raises
    ------
    ValueError
        What :func:`complex_step` raises.
    """
    if not isinstance(x, ExactTensor):
        return complex_step(f, x, direction)
    assert isinstance(direction, ExactTensor)  # noqa: S101
    return _exact(f, x, direction.dual.value)


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
        The gradient, of the shape of `x`; one evaluation of ``f`` an element.

    Raises
    ------
    ValueError
        What :func:`complex_step_gradient` raises.
    """
    if not isinstance(x, ExactTensor):
        return complex_step_gradient(f, x)
    slopes = []
    for place in itertools.product(*map(range, x.shape)):
        unit = torch.zeros(x.shape, dtype=torch.int64)
        unit[place] = 1
        slopes.append(_exact(f, x, x.field.constant(unit)))
    return torch.stack(slopes).view(x.shape)


def _exact(f: Callable[[Tensor], Tensor], x: ExactTensor, direction: Residues) -> Tensor:
    """Push tangents through a function, which has none itself."""
    field = x.field
    field.moving = True
    try:
        moved = f(ExactTensor(Dual(x.dual.value, direction).pack(), field))
    finally:
        field.moving = False
    if not isinstance(moved, ExactTensor):  # it does not depend on x
        return torch.zeros_like(moved)
    tangent = Residues(field, moved.rows[len(moved.rows) // 2 :])
    return ExactTensor(Dual(tangent).pack(), field)
