"""The losses of style transfer: against the complex step, autograd and plain sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from problems import draw, seeds, sizes
from torch import Tensor

from rnnreport import nn
from rnnreport.layers import content_loss, gram_matrix, style_loss, total_variation_loss
from rnnreport.proof import complex_step_gradient, relative_residual

Loss = Callable[..., tuple[Tensor, Tensor]]


def problems(seed: int, C: int, H: int, W: int) -> dict[str, tuple[Loss, Any, tuple[Tensor, ...]]]:
    F, other, x = draw(seed, C, H, W), draw(seed + 1, C, H, W), draw(seed + 2, C, H, W)
    A = gram_matrix(draw(seed + 3, C, 6))
    return {
        "content": (content_loss, nn.content_loss, (F, other)),
        "style": (style_loss, nn.style_loss, (F, A)),
        "variation": (total_variation_loss, nn.total_variation_loss, (x,)),
    }


@pytest.mark.parametrize("name", ["content", "style", "variation"])
@given(seed=seeds, C=sizes, H=sizes, W=sizes)
def test_gradients(name: str, seed: int, C: int, H: int, W: int) -> None:
    layer, module, (first, *rest) = problems(seed, C, H, W)[name]
    before = first.clone()
    _, gradient = layer(first, *rest, 0.7)
    by_step = complex_step_gradient(
        lambda z: layer(z, *(r.to(z.dtype) for r in rest), 0.7)[0], first
    )
    # Where the exact gradient is zero, so is the computed one, but for rounding.
    assert torch.allclose(gradient, by_step, rtol=1e-12, atol=1e-13)
    leaf = first.clone().requires_grad_()
    (chained,) = torch.autograd.grad(3 * module(leaf, *rest, 0.7), leaf)
    assert torch.allclose(chained, 3 * gradient, rtol=1e-14, atol=0)
    assert torch.equal(first, before)


@given(seed=seeds, C=sizes, H=sizes, W=sizes)
def test_losses_are_those_of_plain_sums(seed: int, C: int, H: int, W: int) -> None:
    by_name = problems(seed, C, H, W)
    F, P = by_name["content"][2]
    _, A = by_name["style"][2]
    (x,) = by_name["variation"][2]
    G = torch.einsum("kij,lij->kl", F, F) / (H * W)
    steps = x.diff(dim=1).square().sum() + x.diff(dim=2).square().sum()
    torch.testing.assert_close(gram_matrix(F), G)
    torch.testing.assert_close(content_loss(F, P, 2.0)[0], 2 * (F - P).square().sum())
    torch.testing.assert_close(style_loss(F, A, 2.0)[0], 2 * (G - A).square().sum())
    torch.testing.assert_close(total_variation_loss(x, 2.0)[0], 2 * steps)


def test_channels_last_is_kept_and_changes_nothing() -> None:
    F = draw(0, 1, 5, 6, 7).to(memory_format=torch.channels_last)[0]
    A = gram_matrix(draw(1, 5, 9))
    loss, dF = style_loss(F, A, 1.0)
    expected = style_loss(F.contiguous(), A, 1.0)
    assert dF.stride() == F.stride()
    torch.testing.assert_close((loss, dF.contiguous()), expected)
    assert relative_residual(gram_matrix(F), gram_matrix(F.flatten(1).contiguous())) < 1e-15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    for layer, _, arguments in problems(0, 3, 4, 5).values():
        loss, gradient = layer(*(a.to(dtype) for a in arguments), 1.0)
        assert loss.dtype == gradient.dtype == dtype


def test_wrong_arguments_are_refused() -> None:
    F, x = draw(0, 3, 4, 5), draw(1, 3, 4)
    with pytest.raises(ValueError, match="P must have shape"):
        content_loss(F, F[:, :2], 1.0)
    with pytest.raises(ValueError, match="A must have shape"):
        style_loss(F, draw(0, 2, 2), 1.0)
    with pytest.raises(ValueError, match="x must have shape"):
        total_variation_loss(x, 1.0)
    with pytest.raises(ValueError, match="F must have shape"):
        gram_matrix(F[None])
    with pytest.raises(ValueError, match="A must have dtype"):
        style_loss(F, torch.ones(3, 3), 1.0)
    with pytest.raises(ValueError, match="F must have one of the dtypes"):
        gram_matrix(F.half())
