"""Layers and losses through autograd, against what autograd makes of their definitions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import seeds
from torch import Tensor

from rnnreport import nn


def close(actual: Tensor | None, expected: Tensor | None) -> None:
    assert actual is not None
    assert expected is not None
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@given(seed=seeds)
def test_losses_of_style_through_a_network(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    kernel, image = draw(4, 3, 3, 3), draw(1, 3, 6, 5).requires_grad_()
    P, A = draw(4, 6, 5).requires_grad_(), draw(4, 4)
    A = (A @ A.T).requires_grad_()

    F = torch.nn.functional.conv2d(image, kernel, padding=1).tanh()[0]  # serves two losses
    parts = [
        nn.content_loss(F, P, 0.3),
        nn.style_loss(F, A, 0.2),
        nn.total_variation_loss(image[0], 0.1),
    ]
    loss = torch.stack(parts).sum()
    gradients = torch.autograd.grad(loss, (image, P, A), allow_unused=True, retain_graph=True)
    assert [gradient is None for gradient in gradients] == [False, True, True]

    G = torch.einsum("khw,lhw->kl", F, F) / 30
    printed = 0.3 * (F - P).square().sum() + 0.2 * (G - A).square().sum()
    for axis in (1, 2):
        printed = printed + 0.1 * image[0].diff(dim=axis).square().sum()
    (expected,) = torch.autograd.grad(printed, image)
    close(loss, printed)
    close(gradients[0], expected)


@pytest.mark.parametrize("loss", [nn.content_loss, nn.style_loss])
def test_losses_of_style_are_differentiated_once(loss: Any) -> None:
    F = torch.ones(3, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(F, torch.zeros(3, 3), 1.0), F, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        torch.autograd.grad(gradient.sum(), F)


@given(seed=seeds, p=st.floats(0, 0.9))
def test_dropout_drops_gradient_and_value_alike(seed: int, p: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6, 5, generator=generator, dtype=torch.float64).requires_grad_()
    out = nn.dropout(x, p, generator)
    (gradient,) = torch.autograd.grad(out.sin().sum(), x)
    expected = torch.where(out == 0, 0, out.cos() / (1 - p))
    close(gradient, expected.detach())


def test_dropout_of_a_network_in_evaluation_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, requires_grad=True)
    state = generator.get_state()
    out = nn.dropout(x, 0.0, generator)
    assert torch.equal(out, x)
    (gradient,) = torch.autograd.grad((2 * out).sum(), x)
    assert torch.equal(gradient, torch.full_like(x, 2))
    assert torch.equal(generator.get_state(), state)
