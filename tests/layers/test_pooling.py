"""Bags of word vectors, the maximum over time and the binary loss: against other means."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import draw, seeds, sizes
from torch import Tensor
from torch.nn import functional

from rnnreport import nn
from rnnreport.layers import (
    embedding_bag_backward,
    embedding_bag_forward,
    max_pool_backward,
    max_pool_forward,
    sigmoid_loss,
)
from rnnreport.proof import central_difference, complex_step_gradient, relative_residual

shapes = st.tuples(sizes, sizes, sizes)


def draw_apart(seed: int, *shape: int) -> Tensor:
    """Values of which no two are nearer than 0.1."""
    size = torch.Size(shape).numel()
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    return (order.double() / 10 - size / 20).reshape(shape)


def draw_lengths(seed: int, T: int, N: int) -> Tensor:
    return torch.randint(1, T + 1, (N,), generator=torch.Generator().manual_seed(seed))


# Bags of word vectors


class Bag(NamedTuple):
    """Sentences, a table of word vectors and an upstream gradient."""

    words: Tensor
    lengths: Tensor
    W: Tensor
    dout: Tensor

    def rows(self) -> list[list[int]]:
        return [part.tolist() for part in torch.split(self.words, self.lengths.tolist())]

    def to(self, target: torch.dtype | str) -> Bag:
        """Convert the vectors to a dtype, or move everything to a device."""
        if isinstance(target, str):
            return Bag(*(tensor.to(target) for tensor in self))
        return self._replace(W=self.W.to(target), dout=self.dout.to(target))

    def forward(self, *, average: bool) -> Tensor:
        return embedding_bag_forward(self.words, self.lengths, self.W, average=average)[0]

    def backward(self, *, average: bool) -> Tensor:
        cache = embedding_bag_forward(self.words, self.lengths, self.W, average=average)[1]
        return embedding_bag_backward(self.dout, cache)


def make_bag(lengths: list[int], V: int, D: int, seed: int) -> Bag:
    """Draw words with repetition.

    The upstream gradient has one sign in each feature, so that no sum of it cancels.
    """
    generator = torch.Generator().manual_seed(seed)
    size = 0.5 + torch.rand(len(lengths), D, generator=generator, dtype=torch.float64)
    return Bag(
        words=torch.randint(V, (sum(lengths),), generator=generator),
        lengths=torch.tensor(lengths),
        W=torch.randn(V, D, generator=generator, dtype=torch.float64),
        dout=size * (2 * torch.randint(2, (D,), generator=generator) - 1),
    )


bags = st.builds(
    make_bag,
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    V=sizes,
    D=sizes,
    seed=seeds,
)
BAG = make_bag([4, 1, 2, 6], V=5, D=3, seed=0)
either = pytest.mark.parametrize("average", [False, True], ids=["sum", "average"])


def plain_bag(bag: Bag, W: Tensor, *, average: bool) -> Tensor:
    """Add up the vectors of one sentence after the other, word by word."""
    sums = [torch.stack([W[word] for word in row]).sum(0) for row in bag.rows()]
    if average:
        sums = [total / len(row) for total, row in zip(sums, bag.rows(), strict=True)]
    return torch.stack(sums)


@either
@given(bag=bags)
def test_embedding_bag_and_its_gradient_are_exact(average: bool, bag: Bag) -> None:
    plain = plain_bag(bag, bag.W, average=average)
    torch.testing.assert_close(bag.forward(average=average), plain, rtol=1e-13, atol=1e-14)
    by_step = complex_step_gradient(
        lambda z: (bag.dout * bag._replace(W=z).forward(average=average)).sum(), bag.W
    )
    assert relative_residual(bag.backward(average=average), by_step) <= 1e-13


@either
@given(bag=bags)
def test_embedding_bag_gradient_is_that_of_autograd(average: bool, bag: Bag) -> None:
    leaf, twin = bag.W.clone().requires_grad_(), bag.W.clone().requires_grad_()
    (expected,) = torch.autograd.grad(plain_bag(bag, leaf, average=average), leaf, bag.dout)
    out = nn.embedding_bag(bag.words, bag.lengths, twin, average=average)
    assert torch.equal(out, bag.forward(average=average))
    (by_module,) = torch.autograd.grad(out, twin, bag.dout)
    torch.testing.assert_close(by_module, expected, rtol=1e-14, atol=0)
    assert torch.equal(by_module, bag.backward(average=average))


@either
@given(bag=bags)
def test_embedding_bag_is_that_of_torch(average: bool, bag: Bag) -> None:
    leaf = bag.W.clone().requires_grad_()
    expected = functional.embedding_bag(
        bag.words,
        leaf,
        offsets=bag.lengths.cumsum(0) - bag.lengths,
        mode="mean" if average else "sum",
    )
    torch.testing.assert_close(
        bag.forward(average=average), expected.detach(), rtol=1e-13, atol=1e-14
    )
    (by_torch,) = torch.autograd.grad(expected, leaf, bag.dout)
    torch.testing.assert_close(bag.backward(average=average), by_torch, rtol=1e-14, atol=0)


@either
@given(bag=bags)
def test_only_words_that_occur_have_a_gradient(average: bool, bag: Bag) -> None:
    occurs = torch.zeros(len(bag.W), dtype=torch.bool)
    occurs[bag.words] = True
    dW = bag.backward(average=average)
    assert not dW[~occurs].any()
    assert dW[occurs].all()


@either
@given(bag=bags, spoil=st.sampled_from([float("nan"), float("inf"), 1e300]))
def test_words_that_do_not_occur_change_nothing(average: bool, bag: Bag, spoil: float) -> None:
    more = bag._replace(W=torch.cat([bag.W, torch.full_like(bag.W, spoil)]))
    assert torch.equal(more.forward(average=average), bag.forward(average=average))
    dW = more.backward(average=average)
    assert torch.equal(dW[: len(bag.W)], bag.backward(average=average))
    assert not dW[len(bag.W) :].any()


@either
@given(bag=bags, random=st.randoms(use_true_random=False))
def test_the_order_of_words_does_not_matter(average: bool, bag: Bag, random: Random) -> None:
    mixed = [word for row in bag.rows() for word in random.sample(row, len(row))]
    other = bag._replace(words=torch.tensor(mixed))
    torch.testing.assert_close(
        other.forward(average=average), bag.forward(average=average), rtol=1e-13, atol=1e-14
    )
    torch.testing.assert_close(
        other.backward(average=average), bag.backward(average=average), rtol=1e-14, atol=0
    )


@either
@given(bag=bags)
def test_a_sentence_alone_gives_the_same(average: bool, bag: Bag) -> None:
    out, dW = bag.forward(average=average), torch.zeros_like(bag.W)
    for n, row in enumerate(bag.rows()):
        alone = Bag(torch.tensor(row), torch.tensor([len(row)]), bag.W, bag.dout[n : n + 1])
        assert torch.equal(alone.forward(average=average), out[n : n + 1])
        dW += alone.backward(average=average)
    torch.testing.assert_close(bag.backward(average=average), dW, rtol=1e-14, atol=0)


@either
@given(bag=bags)
def test_a_sentence_said_twice(average: bool, bag: Bag) -> None:
    """Twice the sum, the same average; each word has twice the gradient, or the same."""
    words = [word for row in bag.rows() for word in row + row]
    twice = bag._replace(words=torch.tensor(words), lengths=2 * bag.lengths)
    factor = 1 if average else 2
    torch.testing.assert_close(
        twice.forward(average=average),
        factor * bag.forward(average=average),
        rtol=1e-13,
        atol=1e-14,
    )
    torch.testing.assert_close(
        twice.backward(average=average), factor * bag.backward(average=average), rtol=1e-14, atol=0
    )


@either
def test_embedding_bag_by_hand(average: bool) -> None:
    words, lengths = torch.tensor([2, 0, 2, 0, 1]), torch.tensor([4, 1])
    W = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, -6.0], [99.0, 99.0]])
    bag = Bag(words, lengths, W, torch.tensor([[4.0, 8.0], [6.0, -2.0]]))
    out, dW = bag.forward(average=average), bag.backward(average=average)
    if average:
        assert out.tolist() == [[3, -2], [3, 4]]
        assert dW.tolist() == [[2, 4], [6, -2], [2, 4], [0, 0]]
    else:
        assert out.tolist() == [[12, -8], [3, 4]]
        assert dW.tolist() == [[8, 16], [6, -2], [8, 16], [0, 0]]


@either
def test_a_nan_of_a_word_is_not_hidden(average: bool) -> None:
    W = torch.zeros(3, 1)
    W[1] = float("nan")
    bag = Bag(torch.tensor([0, 1, 2, 0]), torch.tensor([2, 2]), W, torch.ones(2, 1))
    assert bag.forward(average=average).isnan().tolist() == [[True], [False]]


@either
@pytest.mark.parametrize("name", ["words", "lengths"])
def test_embedding_bag_takes_int32(name: str, average: bool) -> None:
    short = BAG._replace(**{name: getattr(BAG, name).int()})
    assert torch.equal(short.forward(average=average), BAG.forward(average=average))
    assert torch.equal(short.backward(average=average), BAG.backward(average=average))


@either
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_embedding_bag_keeps_dtype_and_arguments(dtype: torch.dtype, average: bool) -> None:
    bag = BAG.to(dtype)
    before = [tensor.clone() for tensor in bag]
    out, dW = bag.forward(average=average), bag.backward(average=average)
    assert out.dtype == dW.dtype == dtype
    assert out.shape == bag.dout.shape
    assert dW.shape == bag.W.shape
    for tensor, old in zip(bag, before, strict=True):
        assert torch.equal(tensor, old)


@either
def test_embedding_bag_takes_what_is_not_contiguous(average: bool) -> None:
    spread = Bag(
        torch.stack([BAG.words, BAG.words], dim=1)[:, 0],
        torch.stack([BAG.lengths, BAG.lengths], dim=1)[:, 0],
        BAG.W.T.contiguous().T,
        BAG.dout.T.contiguous().T,
    )
    assert not any(tensor.is_contiguous() for tensor in spread)
    assert torch.equal(spread.forward(average=average), BAG.forward(average=average))
    assert torch.equal(spread.backward(average=average), BAG.backward(average=average))


@either
def test_embedding_bag_backward_is_linear_and_repeats_bit_for_bit(average: bool) -> None:
    cache = embedding_bag_forward(BAG.words, BAG.lengths, BAG.W, average=average)[1]
    first = embedding_bag_backward(BAG.dout, cache)
    assert torch.equal(embedding_bag_backward(BAG.dout, cache), first)
    assert torch.equal(embedding_bag_backward(2 * BAG.dout, cache), 2 * first)
    assert not embedding_bag_backward(torch.zeros_like(BAG.dout), cache).any()


@either
def test_embedding_bag_records_no_graph_of_its_own(average: bool) -> None:
    watched = BAG._replace(W=BAG.W.clone().requires_grad_(), dout=BAG.dout.clone().requires_grad_())
    assert not watched.forward(average=average).requires_grad
    assert not watched.backward(average=average).requires_grad


@either
@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("words", torch.zeros(2, 2).long(), r"words must have shape \(K\)"),
        ("words", torch.tensor(1), r"words must have shape \(K\)"),
        ("words", torch.zeros(0).long(), "words must have at least one element"),
        ("words", torch.zeros(4), "words must have dtype torch.int64 or torch.int32, got"),
        ("words", torch.zeros(4).bool(), "words must have dtype torch.int64 or torch.int32, got"),
        ("words", torch.zeros(4, device="meta").long(), "words must be on cpu as W is, got meta"),
        (
            "words",
            torch.tensor([0, 1, 5, 2]),
            r"words must hold word indices in \[0, 5\), got 5 at",
        ),
        ("words", torch.tensor([0, 1, 2, -1]), r"indices in \[0, 5\), got -1 at index \(3,\)"),
        ("words", torch.zeros(3).long(), "lengths must add up to the K = 3 words, got 4"),
        ("lengths", torch.ones(2, 1).long(), r"lengths must have shape \(N\)"),
        ("lengths", torch.zeros(0).long(), "lengths must have at least one element"),
        ("lengths", torch.tensor([1.0, 3.0]), "lengths must have dtype torch.int64 or torch.int32"),
        (
            "lengths",
            torch.ones(2).bool(),
            "lengths must have dtype torch.int64 or torch.int32, got",
        ),
        ("lengths", torch.ones(2, device="meta").long(), "lengths must be on cpu as W is"),
        ("lengths", torch.tensor([4, 0]), "lengths must be between 1 and 4, got 0 to 4"),
        ("lengths", torch.tensor([5, -1]), "lengths must be between 1 and 4, got -1 to 5"),
        ("lengths", torch.tensor([1, 5]), "lengths must be between 1 and 4, got 1 to 5"),
        ("lengths", torch.tensor([1, 2]), "lengths must add up to the K = 4 words, got 3"),
        ("lengths", torch.tensor([3, 3]).int(), "lengths must add up to the K = 4 words, got 6"),
        ("W", torch.zeros(5), r"W must have shape \(V, D\)"),
        ("W", torch.zeros(5, 3, 1), r"W must have shape \(V, D\)"),
        ("W", torch.zeros(0, 3), "W must have at least one element along every axis"),
        ("W", torch.zeros(5, 0), "W must have at least one element along every axis"),
        ("W", torch.zeros(5, 3).half(), "W must have one of the dtypes"),
        ("W", torch.zeros(5, 3).long(), "W must have one of the dtypes"),
        ("dout", torch.zeros(2, 4), r"dout must have shape \(N, D\) = \(2, 3\), got \(2, 4\)"),
        ("dout", torch.zeros(1, 3), r"dout must have shape \(N, D\) = \(2, 3\), got \(1, 3\)"),
        ("dout", torch.zeros(3), r"dout must have shape \(N, D\) = \(2, 3\), got \(3,\)"),
        ("dout", torch.zeros(2, 3).double(), "dout must have dtype torch.float32 as W has"),
        ("dout", torch.zeros(2, 3).long(), "dout must have dtype torch.float32 as W has"),
        ("dout", torch.zeros(2, 3, device="meta"), "dout must be on cpu as W is, got meta"),
    ],
)
def test_embedding_bag_names_bad_input(
    argument: str, value: Tensor, message: str, average: bool
) -> None:
    good = Bag(
        torch.tensor([0, 4, 4, 2]), torch.tensor([1, 3]), torch.zeros(5, 3), torch.zeros(2, 3)
    )
    bad = good._replace(**{argument: value})
    with pytest.raises(ValueError, match=message):
        bad.backward(average=average)
    if argument != "dout":
        with pytest.raises(ValueError, match=message):
            nn.embedding_bag(bad.words, bad.lengths, bad.W, average=average)


@pytest.mark.parametrize("argument", ["words", "lengths", "W"])
def test_embedding_bag_asks_for_a_tensor(argument: str) -> None:
    bag = BAG._replace(**{argument: getattr(BAG, argument).tolist()})
    with pytest.raises(TypeError, match=rf"{argument} must be a torch\.Tensor, got list"):
        bag.forward(average=True)


# The maximum over time


def inside(x: Tensor, lengths: Tensor) -> Tensor:
    """Return (T, N): whether a step is within its sequence."""
    return torch.tensor([[t < length for length in lengths.tolist()] for t in range(len(x))])


def plain_max(x: Tensor, lengths: Tensor) -> Tensor:
    """Pool one sequence after the other, cut to its length."""
    return torch.stack([x[:length, n].amax(0) for n, length in enumerate(lengths.tolist())])


@given(shapes, seeds)
def test_max_pool_and_its_gradient_are_exact(shape: tuple[int, int, int], seed: int) -> None:
    T, N, D = shape
    x, lengths, dout = draw_apart(seed, T, N, D), draw_lengths(seed, T, N), draw(seed + 1, N, D)
    out, cache = max_pool_forward(x, lengths)
    assert torch.equal(out, plain_max(x, lengths))
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


@given(shapes, seeds)
def test_max_pool_gradient_is_that_of_autograd(shape: tuple[int, int, int], seed: int) -> None:
    T, N, D = shape
    x, lengths, dout = draw_apart(seed, T, N, D), draw_lengths(seed, T, N), draw(seed + 1, N, D)
    leaf, twin = x.clone().requires_grad_(), x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(plain_max(leaf, lengths), leaf, dout)
    (by_module,) = torch.autograd.grad(nn.max_pool(twin, lengths), twin, dout)
    torch.testing.assert_close(by_module, expected, rtol=1e-14, atol=0)
    assert torch.equal(by_module, max_pool_backward(dout, max_pool_forward(x, lengths)[1]))


@given(shapes, seeds, st.sampled_from([float("nan"), float("inf"), float("-inf"), 1e300]))
def test_what_stands_behind_the_end_changes_nothing(
    shape: tuple[int, int, int], seed: int, spoil: float
) -> None:
    T, N, D = shape
    x, lengths, dout = draw(seed, T, N, D), draw_lengths(seed, T, N), draw(seed + 1, N, D)
    within = inside(x, lengths)
    spoiled = torch.where(within[:, :, None], x, spoil)
    out, cache = max_pool_forward(x, lengths)
    spoiled_out, spoiled_cache = max_pool_forward(spoiled, lengths)
    assert torch.equal(out, spoiled_out)
    dx, spoiled_dx = (max_pool_backward(dout, c) for c in (cache, spoiled_cache))
    assert torch.equal(dx, spoiled_dx)
    assert torch.count_nonzero(dx[~within]) == 0


@given(shapes, sizes, seeds)
def test_more_padding_changes_nothing(shape: tuple[int, int, int], more: int, seed: int) -> None:
    T, N, D = shape
    x, lengths, dout = draw(seed, T, N, D), draw_lengths(seed, T, N), draw(seed + 1, N, D)
    longer = torch.cat([x, draw(seed + 2, more, N, D)])
    out, cache = max_pool_forward(x, lengths)
    longer_out, longer_cache = max_pool_forward(longer, lengths)
    torch.testing.assert_close(longer_out, out, rtol=1e-13, atol=1e-14)
    dx = max_pool_backward(dout, longer_cache)
    assert torch.equal(dx[:T], max_pool_backward(dout, cache))
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


def test_a_nan_within_a_sequence_is_not_hidden() -> None:
    x = torch.zeros(3, 2, 1)
    x[1, 0] = float("nan")
    assert max_pool_forward(x, torch.tensor([2, 2]))[0].isnan().tolist() == [[True], [False]]


def test_max_pool_by_hand() -> None:
    x = torch.tensor([[[1.0, -4.0], [5.0, 6.0]], [[3.0, -2.0], [99.0, 99.0]]])
    out, cache = max_pool_forward(x, torch.tensor([2, 1]))
    dx = max_pool_backward(torch.tensor([[2.0, 4.0], [6.0, 8.0]]), cache)
    assert out.tolist() == [[3, -2], [5, 6]]
    assert dx.tolist() == [[[0, 0], [6, 8]], [[2, 4], [0, 0]]]


def test_max_pool_takes_int32_lengths() -> None:
    x, lengths, dout = draw(0, 4, 3, 2), torch.tensor([4, 1, 2]), draw(1, 3, 2)
    out, cache = max_pool_forward(x, lengths)
    short_out, short_cache = max_pool_forward(x, lengths.int())
    assert torch.equal(out, short_out)
    assert torch.equal(max_pool_backward(dout, cache), max_pool_backward(dout, short_cache))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_max_pool_keeps_dtype_and_arguments(dtype: torch.dtype) -> None:
    x, lengths, dout = draw(0, 4, 3, 2).to(dtype), torch.tensor([4, 1, 2]), draw(1, 3, 2).to(dtype)
    before = [tensor.clone() for tensor in (x, lengths, dout)]
    out, cache = max_pool_forward(x, lengths)
    dx = max_pool_backward(dout, cache)
    assert out.dtype == dx.dtype == dtype
    assert out.shape == (3, 2)
    assert dx.shape == x.shape
    for tensor, old in zip((x, lengths, dout), before, strict=True):
        assert torch.equal(tensor, old)


def test_max_pool_backward_is_linear_and_repeats_bit_for_bit() -> None:
    x, lengths, dout = draw(0, 5, 4, 3), torch.tensor([5, 1, 3, 2]), draw(1, 4, 3)
    cache = max_pool_forward(x, lengths)[1]
    first = max_pool_backward(dout, cache)
    assert torch.equal(max_pool_backward(dout, cache), first)
    assert torch.equal(max_pool_backward(2 * dout, cache), 2 * first)
    assert not max_pool_backward(torch.zeros_like(dout), cache).any()


def test_max_pool_records_no_graph_of_its_own() -> None:
    x, dout = draw(0, 2, 1, 1).requires_grad_(), draw(1, 1, 1).requires_grad_()
    out, cache = max_pool_forward(x, torch.tensor([2]))
    assert not out.requires_grad
    assert not max_pool_backward(dout, cache).requires_grad


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
        ("lengths", torch.tensor([2, 0, 1]), "between 1 and 2, got 0 to 2"),
        ("lengths", torch.tensor([-1, 1, 1]), "between 1 and 2, got -1 to 1"),
        ("lengths", torch.tensor([1, 2, 3]), "between 1 and 2, got 1 to 3"),
        ("dout", torch.zeros(3, 5), r"dout must have shape \(N, D\) = \(3, 4\)"),
        ("dout", torch.zeros(2, 4), r"dout must have shape \(N, D\) = \(3, 4\)"),
        ("dout", torch.zeros(2, 3, 4), r"dout must have shape \(N, D\)"),
        ("dout", torch.zeros(3, 4, device="meta"), "dout must be on cpu as"),
    ],
)
def test_max_pool_names_bad_input(argument: str, value: Tensor, message: str) -> None:
    arguments = {
        "x": torch.zeros(2, 3, 4),
        "lengths": torch.tensor([1, 2, 2]),
        "dout": torch.zeros(3, 4),
    } | {argument: value}
    with pytest.raises(ValueError, match=message):
        max_pool_backward(
            arguments["dout"], max_pool_forward(arguments["x"], arguments["lengths"])[1]
        )


def test_max_pool_refuses_complex_numbers() -> None:
    x = torch.zeros(2, 1, 1, dtype=torch.complex128)
    with pytest.raises(ValueError, match=r"x must have dtype torch\.float32 or torch\.float64"):
        max_pool_forward(x, torch.tensor([1]))


def test_max_pool_asks_for_a_tensor() -> None:
    with pytest.raises(TypeError, match=r"lengths must be a torch\.Tensor, got list"):
        max_pool_forward(torch.zeros(2, 1, 1), [1])  # type: ignore[arg-type]


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
    "sum": (lambda W: nn.embedding_bag(BAG.words, BAG.lengths, W, average=False), BAG.W),
    "average": (lambda W: nn.embedding_bag(BAG.words, BAG.lengths, W, average=True), BAG.W),
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
    for average in (False, True):
        bag = make_bag([9, 1, 40, 2], V=3, D=4, seed=0).to(dtype)
        moved = bag.to("cuda")
        out_there, dW_there = moved.forward(average=average), moved.backward(average=average)
        out, dW = bag.forward(average=average), bag.backward(average=average)
        torch.testing.assert_close(out_there.cpu(), out, rtol=64 * eps, atol=64 * eps)
        torch.testing.assert_close(dW_there.cpu(), dW, rtol=64 * eps, atol=0)
        assert torch.equal(moved.forward(average=average), out_there)
        assert torch.equal(moved.backward(average=average), dW_there)
    x, lengths, dout = draw(0, 7, 5, 4).to(dtype), draw_lengths(1, 7, 5), draw(2, 5, 4).to(dtype)
    largest, cache = max_pool_forward(x, lengths)
    largest_there, cache_there = max_pool_forward(x.cuda(), lengths.cuda())
    assert torch.equal(largest_there.cpu(), largest)
    dx_there = max_pool_backward(dout.cuda(), cache_there).cpu()
    assert torch.equal(dx_there, max_pool_backward(dout, cache))
    s, y = 5 * draw(3, 9).to(dtype), draw_lengths(4, 2, 9).to(dtype) - 1
    for here, there in zip(sigmoid_loss(s, y), sigmoid_loss(s.cuda(), y.cuda()), strict=True):
        torch.testing.assert_close(there.cpu(), here, rtol=16 * eps, atol=16 * eps)
