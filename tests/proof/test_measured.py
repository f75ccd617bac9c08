"""The instruments themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from problems import draw
from torch import Tensor

from rnnreport.proof import (
    ExactTensor,
    Field,
    central_difference,
    complex_step,
    complex_step_gradient,
    exact_arithmetic,
    gradient,
    gradient_residuals,
    jacobian,
    prove,
    prove_autograd,
    prove_loss,
    relative_residual,
)

LAYOUTS = {
    "transposed": draw(0, 4, 3).T,
    "permuted": draw(1, 2, 3, 4).permute(2, 0, 1),
    "channels last": draw(2, 2, 3, 2, 2).to(memory_format=torch.channels_last),
    "expanded": draw(3, 3, 1).expand(3, 4),
    "strided": draw(4, 6, 8)[::2, 1::2],
    "overlapping": draw(5, 6).unfold(0, 3, 1),
    "a diagonal": draw(6, 3, 3).diagonal(),
    "negated by a flag": torch.complex(draw(7, 3), draw(8, 3)).conj().imag,
    "without axes": draw(9, 1)[0],
    "with a gradient": draw(10, 4, 3).T.requires_grad_(),
}
"""Tensors that lie in memory in every way but one after the other."""


def test_complex_step_is_right_to_rounding_where_differences_are_not() -> None:
    x = torch.tensor([0.3, -2.0, 5.0], dtype=torch.float64)
    ones = torch.ones_like(x)

    def f(z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z) * torch.exp(z)

    exact = torch.exp(x) * (torch.tanh(x) + 1 - torch.tanh(x) ** 2)
    assert relative_residual(complex_step(f, x, ones), exact) < 1e-15
    difference = relative_residual(central_difference(f, x, ones), exact)
    assert 1e-13 < difference < 1e-8


def test_gradient_has_the_shape_of_its_variable() -> None:
    A = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    gradient = complex_step_gradient(lambda z: (A * z * z).sum() / 2, torch.ones_like(A))
    assert torch.equal(gradient, A)


def test_relative_residual() -> None:
    one = torch.ones(4)
    assert relative_residual(one, one) == 0
    assert relative_residual(one * 0, one * 0) == 0
    assert relative_residual(one * 1.5, one) == pytest.approx(0.5)
    assert relative_residual(one, one * 0) == float("inf")
    assert relative_residual(one * float("nan"), one) == float("inf")
    assert relative_residual(one * float("inf"), one * float("inf")) == float("inf")


def test_bad_input_is_named() -> None:
    double = torch.ones(2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"x must have dtype torch\.float64"):
        complex_step(torch.tanh, torch.ones(2), double)
    with pytest.raises(ValueError, match=r"direction must have the shape of x, \(2,\), got \(1,\)"):
        complex_step(torch.tanh, double, double[:1])
    with pytest.raises(ValueError, match="f must return a scalar"):
        complex_step_gradient(torch.tanh, double)
    with pytest.raises(ValueError, match="actual must have the shape of expected"):
        relative_residual(double, double[:1])


def test_gradient_residuals_tell_a_right_gradient_from_a_wrong_one() -> None:
    values = {
        "a": torch.tensor([0.5, -1.5], dtype=torch.float64),
        "b": torch.tensor([2.0, 3.0], dtype=torch.float64),
    }
    right = {"a": values["b"] * (1 - torch.tanh(values["a"]) ** 2), "b": torch.tanh(values["a"])}

    def loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(a) * b).sum()

    assert max(gradient_residuals(loss, values, right).values()) < 1e-15
    wrong = gradient_residuals(loss, values, right | {"b": -right["b"]})
    assert wrong["a"] < 1e-15
    assert wrong["b"] == pytest.approx(2)
    with pytest.raises(ValueError, match="gradients must have the names of values"):
        gradient_residuals(loss, values, {"a": right["a"]})
    with pytest.raises(ValueError, match="actual must have the shape of expected"):
        gradient_residuals(loss, values, right | {"a": right["a"][:1]})


def analytic(z: Tensor) -> Tensor:
    return torch.tanh(z) * torch.exp(z)


@pytest.mark.parametrize("x", LAYOUTS.values(), ids=LAYOUTS)
def test_any_layout_is_measured(x: Tensor) -> None:
    at = x.detach().clone(memory_format=torch.contiguous_format)
    right = torch.exp(at) * (torch.tanh(at) + 1 - torch.tanh(at) ** 2)
    for differentiate in (complex_step_gradient, gradient):
        slopes = differentiate(lambda z: analytic(z).sum(), x)
        assert relative_residual(slopes, right) < 1e-14
    assert relative_residual(complex_step(analytic, x, x), right * at) < 1e-14
    assert relative_residual(central_difference(analytic, x, x), right * at) < 1e-8
    square = jacobian(analytic, x).reshape(at.numel(), at.numel())
    assert relative_residual(square, right.flatten().diag()) < 1e-14
    values, gradients = {"a": x, "b": right}, {"a": right, "b": x}
    residuals = gradient_residuals(lambda a, b: (a * b).sum(), values, gradients)
    assert max(residuals.values()) < 1e-14


@pytest.mark.parametrize("x", LAYOUTS.values(), ids=LAYOUTS)
def test_any_layout_is_proven(x: Tensor) -> None:
    factor = x.detach()

    def forward(z: Tensor) -> Any:
        y = torch.tanh(z * factor)
        return y, y

    assert prove(forward, lambda dy, y: dy * (1 - y * y) * factor, [x])
    assert not prove(forward, lambda dy, y: dy * (1 - y * y), [x])
    assert prove_loss(lambda z: ((z * z * factor).sum(), 2 * z * factor), [x])
    assert not prove_loss(lambda z: ((z * z * factor).sum(), 2 * z), [x])
    assert prove_autograd(lambda z: torch.tanh(z * factor), [x])


@pytest.mark.parametrize("shape", [(3, 2), ()])
def test_exact_derivatives_of_any_layout(shape: tuple[int, ...]) -> None:
    field = Field(0)
    field.directions = 0
    x = ExactTensor.unknown(shape, field)
    for laid in (x, x.mT, x[:1].expand(3, 2)) if shape else (x,):
        with exact_arithmetic(field):
            cubed = gradient(lambda z: (z * z * z).sum(), laid)
            squared = jacobian(lambda z: z * z, laid).reshape(laid.numel(), laid.numel())
        assert cubed.shape == laid.shape
        assert _equal(cubed, 3 * laid * laid)
        assert _equal(squared.diagonal(), (2 * laid).reshape(-1))
        assert _equal(squared.sum(0), (2 * laid).reshape(-1))


def _equal(one: Tensor, other: Tensor) -> bool:
    assert isinstance(one, ExactTensor)
    assert isinstance(other, ExactTensor)
    return torch.equal(one.dual.value.values, other.dual.value.values)
