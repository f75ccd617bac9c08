"""Dropout: the mask, its statistics, and the gradient through that very mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from problems import seeds
from torch import Tensor

from rnnreport.layers import DropoutCache, dropout_backward, dropout_forward
from rnnreport.proof import complex_step_gradient

shapes = array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=5)
rates = st.floats(0, 0.95)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


@given(shapes, rates, seeds)
def test_elements_are_zero_or_scaled(shape: tuple[int, ...], p: float, seed: int) -> None:
    x = draw(seed, *shape)
    out, _ = dropout_forward(x, p, generator(seed))
    nonzero = out != 0
    torch.testing.assert_close(out, torch.where(nonzero, x / (1 - p), 0), rtol=1e-15, atol=0)
    if p == 0:
        assert torch.equal(out, x)


@given(shapes, rates, seeds)
def test_gradient_is_the_complex_step_through_the_same_mask(
    shape: tuple[int, ...], p: float, seed: int
) -> None:
    x, upstream = draw(seed, *shape), draw(seed + 1, *shape)
    out, cache = dropout_forward(x, p, generator(seed))
    dx = dropout_backward(upstream, cache)
    expected = complex_step_gradient(
        lambda z: (upstream * dropout_forward(z, p, generator(seed))[0]).sum(), x
    )
    torch.testing.assert_close(dx, expected, rtol=1e-14, atol=0)
    assert torch.equal(dx != 0, out != 0)


@given(shapes, st.floats(0.05, 0.95), seeds)
def test_mask_is_decided_by_the_seed_alone(shape: tuple[int, ...], p: float, seed: int) -> None:
    x = draw(seed, *shape)
    first, _ = dropout_forward(x, p, generator(seed))
    state = torch.get_rng_state()
    again, _ = dropout_forward(x, p, generator(seed))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    single, _ = dropout_forward(x.float(), p, generator(seed))
    assert single.dtype == torch.float32
    assert torch.equal(single != 0, first != 0)
    complex_out, _ = dropout_forward(x.to(torch.complex128), p, generator(seed))
    assert torch.equal(complex_out.real, first)


def test_two_calls_draw_two_masks() -> None:
    rng, x = generator(0), torch.ones(100)
    assert not torch.equal(dropout_forward(x, 0.5, rng)[0], dropout_forward(x, 0.5, rng)[0])


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.8])
def test_share_kept_and_expectation(p: float) -> None:
    n = 200_000
    out, _ = dropout_forward(torch.ones(n, dtype=torch.float64), p, generator(7))
    deviation = (p * (1 - p) / n) ** 0.5  # of the share, binomial
    assert abs((out != 0).double().mean() - (1 - p)) < 4 * deviation
    assert abs(out.mean() - 1) < 4 * deviation / (1 - p)
    pairs = (out.view(-1, 2) != 0).double().mean(0)
    both = (out.view(-1, 2) != 0).all(1).double().mean()
    assert abs(both - pairs.prod()) < 4 * deviation  # neighbours are dropped independently


def test_nothing_is_drawn_where_nothing_is_dropped() -> None:
    rng, x = generator(3), draw(0, 4, 5)
    state = rng.get_state()
    out, cache = dropout_forward(x, 0.0, rng)
    assert out is x
    assert cache == DropoutCache(None)
    assert torch.equal(rng.get_state(), state)
    assert dropout_backward(x, cache) is x


def test_no_argument_is_changed_and_backward_can_be_repeated() -> None:
    x, upstream = draw(0, 4, 5), draw(1, 4, 5)
    before = x.clone(), upstream.clone()
    _, cache = dropout_forward(x, 0.5, generator(0))
    first, second = dropout_backward(upstream, cache), dropout_backward(upstream, cache)
    assert torch.equal(first, second)
    assert torch.equal(x, before[0])
    assert torch.equal(upstream, before[1])


def test_no_graph_is_recorded() -> None:
    out, _ = dropout_forward(torch.ones(3, requires_grad=True), 0.5, generator(0))
    assert not out.requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_mask_of_a_cpu_generator_moves_to_the_device() -> None:
    x = draw(0, 6, 7)
    out, cache = dropout_forward(x.cuda(), 0.5, generator(1))
    expected, _ = dropout_forward(x, 0.5, generator(1))
    assert torch.equal(out.cpu(), expected)
    assert dropout_backward(out, cache).is_cuda
    on_device, _ = dropout_forward(x.cuda(), 0.5, torch.Generator("cuda").manual_seed(1))
    assert on_device.is_cuda


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_impossible_rate_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="p must be at least 0 and below 1, got"):
        dropout_forward(torch.ones(2), p, generator(0))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="x must have one of the dtypes"):
        dropout_forward(torch.ones(2, dtype=torch.int64), 0.5, generator(0))
    _, cache = dropout_forward(torch.ones(2, 3), 0.5, generator(0))
    with pytest.raises(ValueError, match=r"dout must have shape \(2, 3\), got \(3,\)"):
        dropout_backward(torch.ones(3), cache)
    with pytest.raises(ValueError, match="dout must be on cpu as the mask is, got meta"):
        dropout_backward(torch.ones(2, 3, device="meta"), cache)
