"""The instruments themselves."""

from __future__ import annotations

import pytest
import torch

from rnnreport.proof import (
    central_difference,
    complex_step,
    complex_step_gradient,
    gradient_residuals,
    relative_residual,
)


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
