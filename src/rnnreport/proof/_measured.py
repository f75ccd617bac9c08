"""Derivatives by other means, against which a hand-derived gradient is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

COMPLEX_STEP = 1e-30
"""Step along the imaginary axis; its square vanishes beside any value of order one."""


def relative_residual(actual: Tensor, expected: Tensor) -> float:
    r"""Measure how far two tensors are apart, relative to the second.

    Parameters
    ----------
    actual, expected : Tensor
        Of equal shape.

    Returns
    -------
    float
        :math:`\|a - e\| / \|e\|` in the Euclidean norm over all elements; 0 where both are zero,
        and infinite where only `expected` is zero or anything is not finite.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if actual.shape != expected.shape:
        raise ValueError(
            f"actual must have the shape of expected, {tuple(expected.shape)}, "
            f"got {tuple(actual.shape)}"
        )
    with torch.no_grad():
        error = torch.linalg.vector_norm(actual - expected).item()
        scale = torch.linalg.vector_norm(expected).item()
    if error == 0 and scale < float("inf"):
        return 0.0
    ratio = error / scale if scale else float("inf")
    return ratio if ratio == ratio else float("inf")


def complex_step(f: Callable[[Tensor], Tensor], x: Tensor, direction: Tensor) -> Tensor:
    r"""Differentiate an analytic function along a direction, without cancellation.

    :math:`\operatorname{Im} f(x + i\,\varepsilon\,v) / \varepsilon` with :math:`\varepsilon =
    10^{-30}` (Squire and Trapp, 1998). There is no difference of nearly equal numbers, so the
    result is right to rounding.

    Parameters
    ----------
    f
        Takes complex128, of the shape of `x`; analytic: no conjugate, modulus, maximum or
        comparison.
    x, direction : Tensor, float64
        The point and the direction, of equal shape.

    Returns
    -------
    Tensor, float64
        The derivative of ``f`` at `x` along `direction`, of the shape of ``f(x)``.

    Raises
    ------
    ValueError
        If a dtype is not float64 or the shapes differ.
    """
    for name, tensor in (("x", x), ("direction", direction)):
        if tensor.dtype != torch.float64:
            raise ValueError(f"{name} must have dtype torch.float64, got {tensor.dtype}")
    if x.shape != direction.shape:
        raise ValueError(
            f"direction must have the shape of x, {tuple(x.shape)}, got {tuple(direction.shape)}"
        )
    with torch.no_grad():
        return f(torch.complex(x, COMPLEX_STEP * direction)).imag / COMPLEX_STEP


def complex_step_gradient(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Differentiate a scalar analytic function with respect to every element of its argument.

    Parameters
    ----------
    f
        Takes complex128 of the shape of `x` and returns a complex128 scalar.
    x : Tensor, float64
        The point.

    Returns
    -------
    Tensor, float64
        The gradient, of the shape of `x`; one evaluation of ``f`` an element.

    Raises
    ------
    ValueError
        If `x` is not of dtype float64 or ``f`` does not return a scalar.
    """
    gradient, unit = x.new_empty(x.numel()), x.new_zeros(x.numel())
    for index in range(x.numel()):
        unit[index] = 1
        slope = complex_step(f, x, unit.view(x.shape))
        if slope.numel() != 1:
            raise ValueError(f"f must return a scalar, got shape {tuple(slope.shape)}")
        gradient[index] = slope.reshape(())
        unit[index] = 0
    return gradient.view(x.shape)


def gradient_residuals(
    loss: Callable[..., Tensor], values: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
) -> dict[str, float]:
    """Hold gradients against the complex step, one argument of a loss after the other.

    Parameters
    ----------
    loss
        Takes `values` by name, as complex128, and returns a complex128 scalar; analytic.
    values : mapping of str to Tensor, float64
        The point.
    gradients : mapping of str to Tensor, float64
        The gradient of each value, under the same names.

    Returns
    -------
    dict of str to float
        The relative residual of each gradient.

    Raises
    ------
    ValueError
        If the names differ, or a gradient has not the shape of its value.
    """
    if values.keys() != gradients.keys():
        raise ValueError(
            f"gradients must have the names of values, {list(values)}, got {list(gradients)}"
        )
    point = {name: value.to(torch.complex128) for name, value in values.items()}

    def along(name: str) -> Callable[[Tensor], Tensor]:
        return lambda z: loss(**point | {name: z})

    return {
        name: relative_residual(gradients[name], complex_step_gradient(along(name), value))
        for name, value in values.items()
    }


def central_difference(
    f: Callable[[Tensor], Tensor], x: Tensor, direction: Tensor, step: float = 1e-5
) -> Tensor:
    """Differentiate any smooth function along a direction, to about 1e-9.

    Parameters
    ----------
    f
        Takes a tensor of the shape and dtype of `x`.
    x, direction : Tensor
        The point and the direction, of equal shape.
    step : float
        Half the distance of the two evaluations. 1e-5 balances truncation and rounding in float64.

    Returns
    -------
    Tensor
        ``(f(x + step v) - f(x - step v)) / (2 step)``.
    """
    with torch.no_grad():
        return (f(x + step * direction) - f(x - step * direction)) / (2 * step)
