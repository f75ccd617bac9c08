"""Pooling over time and the binary loss: against other means, and what they must not see."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import seeds, sizes
from torch import Tensor
from torch.nn import functional

from rnnreport import nn
from rnnreport.layers import (
    average_pool_backward,
    average_pool_forward,
    max_pool_backward,
    max_pool_forward,
    sigmoid_loss,
)
from rnnreport.proof import central_difference, complex_step_gradient, relative_residual

shapes = st.tuples(sizes, sizes, sizes)

NAMES = ("average", "max")
FORWARD: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Any]]] = {
    "average": average_pool_forward,
    "max": max_pool_forward,
}
BACKWARD: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "average": average_pool_backward,
    "max": max_pool_backward,
}
FUNCTION = {"average": nn.average_pool, "max": nn.max_pool}


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw_apart(seed: int, *shape: int) -> Tensor:
    """Values of which no two are nearer than 0.1."""
    size = torch.Size(shape).numel()
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    return (order.double() / 10 - size / 20).reshape(shape)


def draw_lengths(seed: int, T: int, N: int) -> Tensor:
    return torch.randint(1, T + 1, (N,), generator=torch.Generator().manual_seed(seed))


def inside(x: Tensor, lengths: Tensor) -> Tensor:
    """Return (T, N): whether a step is within its sequence."""
    return torch.tensor([[t < length for length in lengths.tolist()] for t in range(len(x))])


def plain(name: str, x: Tensor, lengths: Tensor) -> Tensor:
    """Pool one sequence after the other, cut to its length."""
    cut = [x[:length, n] for n, length in enumerate(lengths.tolist())]
    return torch.stack([s.sum(0) / len(s) if name == "average" else s.amax(0) for s in cut])


# Pooling


@given(shapes, seeds)
def test_average_pool_and_its_gradient_are_exact(shape: tuple[int, int, int], seed: int) -> None:
    T, N, D = shape
    x, lengths, dout = draw(seed, T, N, D), draw_lengths(seed, T, N), draw(seed + 1, N, D)
    out, cache = average_pool_forward(x, lengths)
    torch.testing.assert_close(out, plain("average", x, lengths), rtol=1e-13, atol=1e-14)
    dx = average_pool_backward(dout, cache)
    by_step = complex_step_gradient(lambda z: (dout * average_pool_forward(z, lengths)[0]).sum(), x)
    assert relative_residual(dx, by_step) <= 1e-13


@given(shapes, seeds)
def test_max_pool_and_its_gradient_are_exact(shape: tuple[int, int, int], seed: int) -> None:
    T, N, D = shape
    x, lengths, dout = draw_apart(seed, T, N, D), draw_lengths(seed, T, N), draw(seed + 1, N, D)
    out, cache = max_pool_forward(x, lengths)
    assert torch.equal(out, plain("max", x, lengths))
    dx = max_pool_backward(dout, cache)
    by_difference = torch.empty_like(x)
    for index in range(x.numel()):
        one = torch.zeros(x.numel(), dtype=x.dtype)
        one[index] = 1
        # Between two changes of the largest step the function is linear: a long step is exact.
        by_difference.view(-1)[index] = central_difference(
            lambda z: (dout * max_pool_forward(z, lengths)[0]).sum(), x, one.view_as(x), step=0.01
        )
    assert relative_residual(dx, by_difference) <= 1e-11


@pytest.mark.parametrize("name", NAMES)
@given(shapes, seeds)
def test_pooling_gradient_is_that_of_autograd(
    name: str, shape: tuple[int, int, int], seed: int
) -> None:
    T, N, D = shape
    x, lengths, dout = draw_apart(seed, T, N, D), draw_lengths(seed, T, N), draw(seed + 1, N, D)
    leaf, twin = x.clone().requires_grad_(), x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(plain(name, leaf, lengths), leaf, dout)
    (by_module,) = torch.autograd.grad(FUNCTION[name](twin, lengths), twin, dout)
    torch.testing.assert_close(by_module, expected, rtol=1e-14, atol=0)
    assert torch.equal(by_module, BACKWARD[name](dout, FORWARD[name](x, lengths)[1]))


@pytest.mark.parametrize("name", NAMES)
@given(shapes, seeds, st.sampled_from([float("nan"), float("inf"), float("-inf"), 1e300]))
def test_what_stands_behind_the_end_changes_nothing(
    name: str, shape: tuple[int, int, int], seed: int, spoil: float
) -> None:
    T, N, D = shape
    x, lengths, dout = draw(seed, T, N, D), draw_lengths(seed, T, N), draw(seed + 1, N, D)
    within = inside(x, lengths)
    spoiled = torch.where(within[:, :, None], x, spoil)
    out, cache = FORWARD[name](x, lengths)
    spoiled_out, spoiled_cache = FORWARD[name](spoiled, lengths)
    assert torch.equal(out, spoiled_out)
    dx, spoiled_dx = (BACKWARD[name](dout, c) for c in (cache, spoiled_cache))
    assert torch.equal(dx, spoiled_dx)
    assert torch.count_nonzero(dx[~within]) == 0


@pytest.mark.parametrize("name", NAMES)
@given(shapes, sizes, seeds)
def test_more_padding_changes_nothing(
    name: str, shape: tuple[int, int, int], more: int, seed: int
) -> None:
    T, N, D = shape
    x, lengths, dout = draw(seed, T, N, D), draw_lengths(seed, T, N), draw(seed + 1, N, D)
    longer = torch.cat([x, draw(seed + 2, more, N, D)])
    out, cache = FORWARD[name](x, lengths)
    longer_out, longer_cache = FORWARD[name](longer, lengths)
    torch.testing.assert_close(longer_out, out, rtol=1e-13, atol=1e-14)
    dx = BACKWARD[name](dout, longer_cache)
    assert torch.equal(dx[:T], BACKWARD[name](dout, cache))
    assert not dx[T:].any()


@given(shapes, seeds, st.integers(1, 3))
def test_the_gradient_of_a_shared_maximum_goes_to_one_step(
    shape: tuple[int, int, int], seed: int, values: int
) -> None:
    T, N, D = shape
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(values, (T, N, D), generator=generator).double()
    lengths, dout = draw_lengths(seed, T, N), draw(seed + 1, N, D)
    out, cache = max_pool_forward(x, lengths)
    dx = max_pool_backward(dout, cache)
    assert torch.equal(dx.sum(0), dout)
    assert torch.equal((dx != 0).sum(0), torch.ones(N, D, dtype=torch.int64))
    largest = (x == out) & inside(x, lengths)[:, :, None]
    assert largest[dx != 0].all()
    assert torch.equal(dx, max_pool_backward(dout, max_pool_forward(x, lengths)[1]))


def test_a_maximum_of_minus_infinity_stays_within_its_sequence() -> None:
    x = torch.full((4, 2, 3), float("-inf"))
    out, cache = max_pool_forward(x, torch.tensor([1, 3]))
    assert torch.equal(out, x[0])
    dx = max_pool_backward(torch.ones(2, 3), cache)
    assert torch.equal(dx.sum(0), torch.ones(2, 3))
    assert not dx[1:, 0].any()
    assert not dx[3:, 1].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_nan_within_a_sequence_is_not_hidden(name: str) -> None:
    x = torch.zeros(3, 2, 1)
    x[1, 0] = float("nan")
    assert FORWARD[name](x, torch.tensor([2, 2]))[0].isnan().tolist() == [[True], [False]]


@pytest.mark.parametrize("name", NAMES)
def test_pooling_by_hand(name: str) -> None:
    x = torch.tensor([[[1.0, -4.0], [5.0, 6.0]], [[3.0, -2.0], [99.0, 99.0]]])
    out, cache = FORWARD[name](x, torch.tensor([2, 1]))
    dx = BACKWARD[name](torch.tensor([[2.0, 4.0], [6.0, 8.0]]), cache)
    if name == "average":
        assert out.tolist() == [[2, -3], [5, 6]]
        assert dx.tolist() == [[[1, 2], [6, 8]], [[1, 2], [0, 0]]]
    else:
        assert out.tolist() == [[3, -2], [5, 6]]
        assert dx.tolist() == [[[0, 0], [6, 8]], [[2, 4], [0, 0]]]


@pytest.mark.parametrize("name", NAMES)
def test_pooling_takes_int32_lengths(name: str) -> None:
    x, lengths, dout = draw(0, 4, 3, 2), torch.tensor([4, 1, 2]), draw(1, 3, 2)
    out, cache = FORWARD[name](x, lengths)
    short_out, short_cache = FORWARD[name](x, lengths.int())
    assert torch.equal(out, short_out)
    assert torch.equal(BACKWARD[name](dout, cache), BACKWARD[name](dout, short_cache))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_pooling_keeps_dtype_and_arguments(name: str, dtype: torch.dtype) -> None:
    x, lengths, dout = draw(0, 4, 3, 2).to(dtype), torch.tensor([4, 1, 2]), draw(1, 3, 2).to(dtype)
    before = [tensor.clone() for tensor in (x, lengths, dout)]
    out, cache = FORWARD[name](x, lengths)
    dx = BACKWARD[name](dout, cache)
    assert out.dtype == dx.dtype == dtype
    assert out.shape == (3, 2)
    assert dx.shape == x.shape
    for tensor, old in zip((x, lengths, dout), before, strict=True):
        assert torch.equal(tensor, old)


@pytest.mark.parametrize("name", NAMES)
def test_pooling_backward_is_linear_and_repeats_bit_for_bit(name: str) -> None:
    x, lengths, dout = draw(0, 5, 4, 3), torch.tensor([5, 1, 3, 2]), draw(1, 4, 3)
    cache = FORWARD[name](x, lengths)[1]
    first = BACKWARD[name](dout, cache)
    assert torch.equal(BACKWARD[name](dout, cache), first)
    assert torch.equal(BACKWARD[name](2 * dout, cache), 2 * first)
    assert not BACKWARD[name](torch.zeros_like(dout), cache).any()


@pytest.mark.parametrize("name", NAMES)
def test_pooling_records_no_graph_of_its_own(name: str) -> None:
    x, dout = draw(0, 2, 1, 1).requires_grad_(), draw(1, 1, 1).requires_grad_()
    out, cache = FORWARD[name](x, torch.tensor([2]))
    assert not out.requires_grad
    assert not BACKWARD[name](dout, cache).requires_grad


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("x", torch.zeros(2, 3), r"x must have shape \(T, N, D\)"),
        ("x", torch.zeros(0, 3, 4), "x must have at least one element along every axis"),
        ("x", torch.zeros(2, 3, 0), "x must have at least one element along every axis"),
        ("x", torch.zeros(2, 3, 4).half(), "x must have one of the dtypes"),
        ("x", torch.zeros(2, 3, 4).long(), "x must have one of the dtypes"),
        ("lengths", torch.ones(2).long(), r"lengths must have shape \(N\) = \(3\), got \(2,\)"),
        ("lengths", torch.ones(3, 1).long(), r"lengths must have shape \(N\) = \(3\)"),
        ("lengths", torch.ones(3), "lengths must have dtype torch.int64 or torch.int32, got"),
        ("lengths", torch.ones(3).bool(), "lengths must have dtype torch.int64 or torch.int32"),
        ("lengths", torch.ones(3, device="meta").long(), "lengths must be on cpu as x is"),
        ("lengths", torch.tensor([2, 0, 1]), "between 1 and T = 2, got 0 to 2"),
        ("lengths", torch.tensor([-1, 1, 1]), "between 1 and T = 2, got -1 to 1"),
        ("lengths", torch.tensor([1, 2, 3]), "between 1 and T = 2, got 1 to 3"),
        ("dout", torch.zeros(3, 5), r"dout must have shape \(N, D\) = \(3, 4\)"),
        ("dout", torch.zeros(2, 4), r"dout must have shape \(N, D\) = \(3, 4\)"),
        ("dout", torch.zeros(2, 3, 4), r"dout must have shape \(N, D\)"),
        ("dout", torch.zeros(3, 4, device="meta"), "dout must be on cpu as"),
    ],
)
def test_pooling_names_bad_input(name: str, argument: str, value: Tensor, message: str) -> None:
    arguments = {
        "x": torch.zeros(2, 3, 4),
        "lengths": torch.tensor([1, 2, 2]),
        "dout": torch.zeros(3, 4),
    } | {argument: value}
    with pytest.raises(ValueError, match=message):
        BACKWARD[name](arguments["dout"], FORWARD[name](arguments["x"], arguments["lengths"])[1])


def test_max_pool_refuses_complex_numbers() -> None:
    x = torch.zeros(2, 1, 1, dtype=torch.complex128)
    with pytest.raises(ValueError, match=r"x must have dtype torch\.float32 or torch\.float64"):
        max_pool_forward(x, torch.tensor([1]))


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_is_asked_for(name: str) -> None:
    with pytest.raises(TypeError, match=r"lengths must be a torch\.Tensor, got list"):
        FORWARD[name](torch.zeros(2, 1, 1), [1])  # type: ignore[arg-type]


# Sigmoid loss


@given(st.integers(1, 8), st.floats(0, 12), st.booleans(), seeds)
def test_sigmoid_loss_and_gradient_are_exact(N: int, scale: float, hard: bool, seed: int) -> None:
    """To rounding, beside the largest gradient that a score can have, 1/N."""
    s = scale * draw(seed, N)
    y = torch.rand(N, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    y = y.round() if hard else y
    loss, ds = sigmoid_loss(s, y)
    by_step = complex_step_gradient(lambda z: sigmoid_loss(z, y.to(z.dtype))[0], s)
    torch.testing.assert_close(ds, by_step, rtol=0, atol=1e-13 / N)
    leaf = s.clone().requires_grad_()
    plain_loss = -(y * leaf.sigmoid().log() + (1 - y) * (-leaf).sigmoid().log()).sum() / N
    torch.testing.assert_close(loss, plain_loss.detach(), rtol=1e-12, atol=1e-13)
    (by_autograd,) = torch.autograd.grad(plain_loss, leaf)
    torch.testing.assert_close(ds, by_autograd, rtol=0, atol=1e-13 / N)
    torch.testing.assert_close(
        loss, functional.binary_cross_entropy_with_logits(s, y), rtol=1e-13, atol=1e-14
    )


def test_sigmoid_loss_residual_where_no_score_is_sure() -> None:
    s, y = draw(0, 6).clamp(-2, 2), torch.tensor([0, 1, 1, 0, 1, 0], dtype=torch.float64)
    by_step = complex_step_gradient(lambda z: sigmoid_loss(z, y.to(z.dtype))[0], s)
    assert relative_residual(sigmoid_loss(s, y)[1], by_step) <= 1e-13


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, -0.0, 1e-30, -1e-30, 1.0, -20.0, 90.0, -90.0, 800.0, -800.0])
            | st.floats(-1e4, 1e4)
            | st.sampled_from([1e4, -1e4, 1e30, -1e30]),
            st.sampled_from([0.0, 1.0]) | st.floats(0, 1),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_sigmoid_loss_is_that_of_torch_for_any_score(
    dtype: torch.dtype, pairs: list[tuple[float, float]]
) -> None:
    s, y = torch.tensor(pairs, dtype=dtype).T
    loss, ds = sigmoid_loss(s, y)
    assert loss.isfinite()
    assert ds.isfinite().all()
    leaf = s.clone().requires_grad_()
    expected = functional.binary_cross_entropy_with_logits(leaf, y)
    (expected_ds,) = torch.autograd.grad(expected, leaf)
    eps = torch.finfo(dtype).eps
    biggest = float(s.abs().max()) + 1
    torch.testing.assert_close(loss, expected.detach(), rtol=8 * eps, atol=4 * eps * biggest)
    torch.testing.assert_close(ds, expected_ds, rtol=8 * eps, atol=4 * eps / len(s))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sure_scores_cost_nothing_or_their_size(dtype: torch.dtype) -> None:
    for score in (1e4, -1e4):
        s = torch.full((1,), score, dtype=dtype)
        right, wrong = torch.full_like(s, float(score > 0)), torch.full_like(s, float(score < 0))
        loss, ds = sigmoid_loss(s, right)
        assert (loss.item(), ds.item()) == (0, 0)
        loss, ds = sigmoid_loss(s, wrong)
        assert loss.item() == 1e4
        assert ds.item() == (1 if score > 0 else -1)


def test_a_small_loss_is_not_rounded_away() -> None:
    s, one = torch.tensor([40.0], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    small = pytest.approx(math.exp(-40), rel=1e-14, abs=0)
    assert sigmoid_loss(s, one)[0].item() == small
    loss, ds = sigmoid_loss(-s, 0 * one)
    assert loss.item() == small
    assert ds.item() == small


def test_the_loss_is_averaged() -> None:
    """A score of zero costs log 2, whatever the label and however many there are."""
    for N in (1, 7):
        loss, ds = sigmoid_loss(torch.zeros(N), torch.arange(N).remainder(2).float())
        assert loss.item() == pytest.approx(torch.tensor(2.0).log().item())
        assert ds.abs().tolist() == pytest.approx([0.5 / N] * N)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sigmoid_loss_keeps_dtype_and_arguments(dtype: torch.dtype) -> None:
    s, y = draw(0, 5).to(dtype), torch.tensor([0, 1, 1, 0, 0.5], dtype=dtype)
    before = s.clone(), y.clone()
    loss, ds = sigmoid_loss(s, y)
    assert loss.dtype == ds.dtype == dtype
    assert loss.shape == ()
    assert ds.shape == s.shape
    assert torch.equal(s, before[0])
    assert torch.equal(y, before[1])
    again = sigmoid_loss(s, y)
    assert torch.equal(loss, again[0])
    assert torch.equal(ds, again[1])
    watched = sigmoid_loss(s.clone().requires_grad_(), y)
    assert not watched[0].requires_grad
    assert not watched[1].requires_grad


@pytest.mark.parametrize(
    ("s", "y", "message"),
    [
        (torch.zeros(2, 1), torch.zeros(2), r"s must have shape \(N\)"),
        (torch.zeros(2), torch.zeros(3), r"y must have shape \(N\) = \(2\), got \(3,\)"),
        (torch.zeros(2), torch.zeros(2, 1), r"y must have shape \(N\) = \(2\), got \(2, 1\)"),
        (torch.zeros(0), torch.zeros(0), "s must have at least one element"),
        (torch.zeros(2).half(), torch.zeros(2).half(), "s must have one of the dtypes"),
        (torch.zeros(2), torch.zeros(2).double(), "y must have dtype torch.float32 as s has"),
        (torch.zeros(2), torch.zeros(2).long(), "y must have dtype torch.float32 as s has"),
        (torch.zeros(2), torch.zeros(2, device="meta"), "y must be on cpu as s is"),
    ],
)
def test_sigmoid_loss_names_bad_input(s: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sigmoid_loss(s, y)
    with pytest.raises(ValueError, match=message):
        nn.sigmoid_loss(s, y)


# The functions that autograd knows

LENGTHS = torch.tensor([3, 1])
LABELS = torch.tensor([1.0, 0.0, 0.25], dtype=torch.float64)
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "average": (lambda x: nn.average_pool(x, LENGTHS), draw_apart(0, 4, 2, 2)),
    "max": (lambda x: nn.max_pool(x, LENGTHS), draw_apart(0, 4, 2, 2)),
    "sigmoid loss": (lambda s: nn.sigmoid_loss(s, LABELS), draw(2, 3)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck(name: str) -> None:
    function, x = FUNCTIONS[name]
    assert torch.autograd.gradcheck(function, (x.clone().requires_grad_(),))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_upstream_gradient_passes_through(name: str) -> None:
    function, x = FUNCTIONS[name]
    gradients = []
    for factor in (1.0, -3.0, 0.0):
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((factor * function(leaf)).sum(), leaf)
        gradients.append(gradient)
    once, three_times, none = gradients
    assert once.any()
    torch.testing.assert_close(three_times, -3 * once, rtol=1e-14, atol=0)
    assert not none.any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_two_backward_passes_agree_bit_for_bit(name: str) -> None:
    function, x = FUNCTIONS[name]
    leaf = x.clone().requires_grad_()
    loss = function(leaf).sin().sum()
    (first,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    (second,) = torch.autograd.grad(loss, leaf)
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_second_derivative_is_claimed(name: str) -> None:
    function, x = FUNCTIONS[name]
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf).square().sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]


def test_labels_get_no_gradient() -> None:
    s, y = torch.zeros(2, requires_grad=True), torch.ones(2, requires_grad=True)
    nn.sigmoid_loss(s, y).backward()  # type: ignore[no-untyped-call]
    assert y.grad is None
    assert s.grad is not None
    assert s.grad.tolist() == [-0.25, -0.25]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_agrees_with_the_cpu(dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    x, lengths, dout = draw(0, 7, 5, 4).to(dtype), draw_lengths(1, 7, 5), draw(2, 5, 4).to(dtype)
    for name in NAMES:
        out, cache = FORWARD[name](x, lengths)
        out_there, cache_there = FORWARD[name](x.cuda(), lengths.cuda())
        torch.testing.assert_close(out_there.cpu(), out, rtol=16 * eps, atol=16 * eps)
        dx_there = BACKWARD[name](dout.cuda(), cache_there).cpu()
        torch.testing.assert_close(dx_there, BACKWARD[name](dout, cache), rtol=4 * eps, atol=0)
    s, y = 5 * draw(3, 9).to(dtype), draw_lengths(4, 2, 9).to(dtype) - 1
    for here, there in zip(sigmoid_loss(s, y), sigmoid_loss(s.cuda(), y.cuda()), strict=True):
        torch.testing.assert_close(there.cpu(), here, rtol=16 * eps, atol=16 * eps)
