"""Embedding, temporal fully connected layer and masked softmax loss."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import draw, seeds, sizes
from torch import Tensor
from torch.nn import functional

from rnnreport.layers import (
    temporal_fc_backward,
    temporal_fc_forward,
    temporal_softmax_loss,
    word_embedding_backward,
    word_embedding_forward,
)
from rnnreport.proof import complex_step_gradient

shapes = st.tuples(sizes, sizes, sizes, sizes)


def indices(seed: int, high: int, *shape: int) -> Tensor:
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


# Word embedding


@given(shapes, seeds)
def test_embedding_looks_up_and_its_gradient_is_exact(shape: tuple[int, ...], seed: int) -> None:
    T, N, V, D = shape
    x, W, dout = indices(seed, V, T, N), draw(seed, V, D), draw(seed + 1, T, N, D)
    out, cache = word_embedding_forward(x, W)
    assert torch.equal(out, functional.embedding(x, W))
    dW = word_embedding_backward(dout, cache)
    expected = complex_step_gradient(lambda W: (dout * word_embedding_forward(x, W)[0]).sum(), W)
    torch.testing.assert_close(dW, expected, rtol=0, atol=1e-13 * T * N)
    leaf = W.clone().requires_grad_()
    (by_autograd,) = torch.autograd.grad(functional.embedding(x, leaf), leaf, dout)
    torch.testing.assert_close(dW, by_autograd, rtol=0, atol=1e-13 * T * N)
    assert torch.equal(dW, word_embedding_backward(dout, cache))


def test_embedding_sums_a_repeated_word_and_leaves_the_others_zero() -> None:
    x = torch.tensor([[2], [2], [0]])
    _, cache = word_embedding_forward(x, torch.zeros(4, 2))
    dW = word_embedding_backward(torch.ones(3, 1, 2), cache)
    assert dW.tolist() == [[1, 1], [0, 0], [2, 2], [0, 0]]


def test_embedding_takes_int32() -> None:
    x, W = torch.tensor([[1]], dtype=torch.int32), torch.randn(2, 3)
    out, cache = word_embedding_forward(x, W)
    assert torch.equal(out[0, 0], W[1])
    assert word_embedding_backward(torch.ones(1, 1, 3), cache)[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.tensor([[0, 5]]), r"word indices in \[0, 5\), got 5 at index \(0, 1\)"),
        (torch.tensor([[0], [-1]]), r"word indices in \[0, 5\), got -1 at index \(1, 0\)"),
        (torch.tensor([[0.0]]), "x must have dtype torch.int64 or torch.int32"),
        (torch.tensor([0]), r"x must have shape \(T, N\)"),
        (torch.zeros(0, 1, dtype=torch.long), "x must have at least one element"),
        (torch.zeros(1, 1, dtype=torch.long, device="meta"), "x must be on cpu as W is"),
    ],
)
def test_embedding_names_bad_indices(x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        word_embedding_forward(x, torch.zeros(5, 2))


def test_embedding_backward_names_a_bad_gradient() -> None:
    _, cache = word_embedding_forward(torch.tensor([[0]]), torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"dout must have shape \(T, N, D\) = \(1, 1, 2\)"):
        word_embedding_backward(torch.zeros(1, 1, 3), cache)
    with pytest.raises(ValueError, match=r"dout must have dtype torch\.float32"):
        word_embedding_backward(torch.zeros(1, 1, 2).double(), cache)


# Temporal fully connected layer


@given(shapes, seeds)
def test_fc_gradients_are_exact(shape: tuple[int, ...], seed: int) -> None:
    T, N, D, M = shape
    arguments = {"x": draw(seed, T, N, D), "w": draw(seed + 1, D, M), "b": draw(seed + 2, M)}
    dout = draw(seed + 3, T, N, M)
    out, cache = temporal_fc_forward(**arguments)
    torch.testing.assert_close(
        out, functional.linear(arguments["x"], arguments["w"].T, arguments["b"])
    )
    gradients = dict(zip(arguments, temporal_fc_backward(dout, cache), strict=True))
    for name, value in arguments.items():

        def loss(z: Tensor, name: str = name) -> Tensor:
            changed = {key: tensor.to(torch.complex128) for key, tensor in arguments.items()}
            return (dout * temporal_fc_forward(**changed | {name: z})[0]).sum()

        expected = complex_step_gradient(loss, value)
        torch.testing.assert_close(gradients[name], expected, rtol=1e-12, atol=1e-12)
    leaves = [value.clone().requires_grad_() for value in arguments.values()]
    by_autograd = torch.autograd.grad(leaves[0] @ leaves[1] + leaves[2], leaves, dout)
    for gradient, expected in zip(gradients.values(), by_autograd, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x", torch.zeros(2, 3), r"x must have shape \(T, N, D\)"),
        ("w", torch.zeros(4, 5), r"w must have shape \(D, M\) = \(3, 5\), got \(4, 5\)"),
        ("b", torch.zeros(4), r"b must have shape \(M\) = \(5\), got \(4,\)"),
        ("b", torch.zeros(5).double(), "b must have dtype torch.float32 as x has"),
        ("w", torch.zeros(3, 5, device="meta"), "w must be on cpu as x is"),
        ("dout", torch.zeros(2, 2, 4), r"dout must have shape \(T, N, M\) = \(2, 2, 5\)"),
    ],
)
def test_fc_names_bad_input(name: str, value: Tensor, message: str) -> None:
    arguments = {
        "x": torch.zeros(2, 2, 3),
        "w": torch.zeros(3, 5),
        "b": torch.zeros(5),
        "dout": torch.zeros(2, 2, 5),
    } | {name: value}
    dout = arguments.pop("dout")
    with pytest.raises(ValueError, match=message):
        temporal_fc_backward(dout, temporal_fc_forward(**arguments)[1])


# Temporal softmax loss


@given(shapes, seeds)
def test_softmax_loss_and_gradient_are_exact(shape: tuple[int, ...], seed: int) -> None:
    T, N, V, _ = shape
    x, y = 3 * draw(seed, T, N, V), indices(seed, V, T, N)
    mask = indices(seed + 1, 2, T, N).bool()
    loss, dx = temporal_softmax_loss(x, y, mask)
    leaf = x.clone().requires_grad_()
    each = functional.cross_entropy(leaf.reshape(-1, V), y.reshape(-1), reduction="none")
    expected = (each * mask.reshape(-1)).sum() / N
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    (by_autograd,) = torch.autograd.grad(expected, leaf)
    torch.testing.assert_close(dx, by_autograd, rtol=1e-12, atol=1e-13)
    by_step = complex_step_gradient(lambda z: temporal_softmax_loss(z, y, mask)[0], x)
    torch.testing.assert_close(dx, by_step, rtol=1e-12, atol=1e-13)


@given(shapes, seeds)
def test_the_gradient_can_be_differentiated_too(shape: tuple[int, ...], seed: int) -> None:
    T, N, V, _ = shape
    x, v, y = draw(seed, T, N, V), draw(seed + 1, T, N, V), indices(seed, V, T, N)
    mask = indices(seed + 1, 2, T, N).bool()
    by_step = temporal_softmax_loss(torch.complex(x, 1e-30 * v), y, mask)[1].imag / 1e-30
    p = x.softmax(2)
    expected = p * (v - (p * v).sum(2, keepdim=True)) * mask[:, :, None] / N
    torch.testing.assert_close(by_step, expected, rtol=1e-12, atol=1e-13)


@given(shapes, seeds)
def test_masked_steps_change_nothing(shape: tuple[int, ...], seed: int) -> None:
    T, N, V, _ = shape
    x, y = draw(seed, T, N, V), indices(seed, V, T, N)
    mask = indices(seed + 1, 2, T, N).bool()
    loss, dx = temporal_softmax_loss(x, y, mask)
    spoiled_x = torch.where(mask[:, :, None], x, float("nan"))
    spoiled_y = torch.where(mask, y, -100)
    spoiled_loss, spoiled_dx = temporal_softmax_loss(spoiled_x, spoiled_y, mask)
    assert torch.equal(loss, spoiled_loss)
    assert torch.equal(dx, spoiled_dx)
    assert torch.count_nonzero(dx[~mask]) == 0


def test_an_all_false_mask_gives_zero() -> None:
    loss, dx = temporal_softmax_loss(
        torch.randn(2, 3, 4), torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3).bool()
    )
    assert loss.item() == 0
    assert torch.count_nonzero(dx) == 0


def test_loss_is_summed_over_time_and_averaged_over_the_batch() -> None:
    """With equal scores each of the T steps costs log V, whatever N is."""
    for N in (1, 7):
        loss, _ = temporal_softmax_loss(
            torch.zeros(5, N, 10), torch.zeros(5, N, dtype=torch.long), torch.ones(5, N).bool()
        )
        assert loss.item() == pytest.approx(5 * torch.tensor(10.0).log().item())


def test_scores_of_any_size_stay_finite() -> None:
    x = torch.tensor([[[1e4, -1e4, 0.0]]])
    for label in range(3):
        loss, dx = temporal_softmax_loss(x, torch.tensor([[label]]), torch.ones(1, 1).bool())
        assert loss.isfinite()
        assert dx.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.uint8])
def test_a_mask_of_zeros_and_ones_is_taken(dtype: torch.dtype) -> None:
    x, y, mask = draw(0, 2, 2, 3), indices(0, 3, 2, 2), torch.tensor([[1, 0], [1, 1]])
    assert torch.equal(
        temporal_softmax_loss(x, y, mask.to(dtype))[1], temporal_softmax_loss(x, y, mask.bool())[1]
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x", torch.zeros(2, 4), r"x must have shape \(T, N, V\)"),
        ("x", torch.zeros(0, 3, 4), "x must have at least one element"),
        ("x", torch.zeros(2, 3, 4).half(), "x must have one of the dtypes"),
        ("y", torch.zeros(2, 2).long(), r"y must have shape \(T, N\) = \(2, 3\), got \(2, 2\)"),
        ("y", torch.full((2, 3), 4), r"y must hold labels in \[0, 4\), got 4 at index \(0, 0\)"),
        ("y", torch.full((2, 3), -1), r"y must hold labels in \[0, 4\), got -1"),
        ("y", torch.zeros(2, 3), "y must have dtype torch.int64 or torch.int32"),
        ("y", torch.zeros(2, 3, device="meta").long(), "y must be on cpu as x is"),
        ("mask", torch.ones(3, 2).bool(), r"mask must have shape \(T, N\) = \(2, 3\)"),
        ("mask", torch.full((2, 3), 0.5), "mask must hold booleans, or numbers that are 0 or 1"),
        ("mask", torch.ones(2, 3, device="meta"), "mask must be on cpu as x is"),
    ],
)
def test_softmax_loss_names_bad_input(name: str, value: Tensor, message: str) -> None:
    arguments = {
        "x": torch.zeros(2, 3, 4),
        "y": torch.zeros(2, 3, dtype=torch.long),
        "mask": torch.ones(2, 3, dtype=torch.bool),
    } | {name: value}
    with pytest.raises(ValueError, match=message):
        temporal_softmax_loss(**arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    x = torch.zeros(1, 1, 2, dtype=dtype)
    loss, dx = temporal_softmax_loss(x, torch.zeros(1, 1).long(), torch.ones(1, 1).bool())
    assert loss.dtype == dx.dtype == dtype
    assert loss.shape == ()


def test_the_embedding_adds_in_the_same_order_whatever_the_threads() -> None:
    generator = torch.Generator().manual_seed(2)
    words = torch.randint(20, (200, 300), generator=generator)
    upstream = torch.randn(200, 300, 8, generator=generator)
    _, cache = word_embedding_forward(words, torch.zeros(20, 8))
    first = word_embedding_backward(upstream, cache)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            for _ in range(5):
                assert torch.equal(word_embedding_backward(upstream, cache), first)
    finally:
        torch.set_num_threads(threads)
