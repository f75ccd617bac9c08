"""GloVe: counts against a double loop, gradients against the complex step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import seeds, sizes
from torch import Tensor

from rnnreport.layers import cooccurrences, glove_loss
from rnnreport.proof import gradient_residuals

PARAMETERS = ("W", "W_context", "b", "b_context")
Arguments = dict[str, Any]  # tensors, by the name of the argument

sentences = st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=5).filter(any)


def joined(corpus: list[list[int]]) -> tuple[Tensor, Tensor]:
    words = torch.tensor([word for sentence in corpus for word in sentence])
    return words, torch.tensor([len(sentence) for sentence in corpus])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Counts


@given(sentences, st.integers(1, 12))
def test_counts_are_those_of_a_double_loop(corpus: list[list[int]], window: int) -> None:
    expected: dict[tuple[int, int], float] = {}
    for sentence in corpus:
        for place, word in enumerate(sentence):
            for other_place, other in enumerate(sentence):
                distance = abs(place - other_place)
                if 1 <= distance <= window:
                    expected[word, other] = expected.get((word, other), 0) + 1 / distance
    rows, columns, counts = cooccurrences(*joined(corpus), 7, window=window)
    pairs = list(zip(rows.tolist(), columns.tolist(), strict=True))
    assert pairs == sorted(expected)
    assert (rows.dtype, columns.dtype, counts.dtype) == (torch.int64, torch.int64, torch.float64)
    assert counts.tolist() == pytest.approx([expected[pair] for pair in pairs], rel=1e-14)


@given(sentences)
def test_counts_are_symmetric_and_the_same_again(corpus: list[list[int]]) -> None:
    pairs = cooccurrences(*joined(corpus), 7)
    table = torch.zeros(7, 7, dtype=torch.float64)
    table[pairs.rows, pairs.columns] = pairs.counts
    torch.testing.assert_close(table, table.T, rtol=1e-14, atol=0)
    for one, two in zip(pairs, cooccurrences(*joined(corpus), 7), strict=True):
        assert torch.equal(one, two)


def test_int32_words_and_lengths_are_taken() -> None:
    words, lengths = joined([[5, 6], [6]])
    pairs = cooccurrences(words.int(), lengths.int(), 2**20)
    assert (pairs.rows.tolist(), pairs.columns.tolist()) == ([5, 6], [6, 5])
    assert pairs.counts.tolist() == [1, 1]
    words = words * 2**17  # the square of the vocabulary is past int32
    assert cooccurrences(words.int(), lengths.int(), 2**20).rows.tolist() == [5 * 2**17, 6 * 2**17]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("words", torch.tensor([[0, 1, 2]]), r"words must have shape \(total\)"),
        ("words", torch.zeros(0).long(), "words must have at least one element"),
        ("words", torch.tensor([0, 3, 1]), r"words must hold word indices in \[0, 3\), got 3 at"),
        ("words", torch.zeros(3), "words must have dtype torch.int64 or torch.int32"),
        ("lengths", torch.zeros(0).long(), "lengths must have at least one element"),
        ("lengths", torch.tensor([1, 1]), "number of words, 3, got 2"),
        ("lengths", torch.tensor([4, -1]), r"lengths must hold lengths in \[0, 4\), got 4"),
        ("lengths", torch.tensor([3, -1, 1]), r"lengths in \[0, 4\), got -1"),
        ("lengths", torch.tensor([3.0]), "lengths must have dtype torch.int64 or torch.int32"),
        ("lengths", torch.tensor([3], device="meta"), "lengths must be on cpu as words is"),
        ("n_words", 0, "n_words must be at least 1, got 0"),
        ("window", 0, "window must be at least 1, got 0"),
    ],
)
def test_counting_names_bad_input(name: str, value: object, message: str) -> None:
    arguments: dict[str, Any] = {
        "words": torch.tensor([0, 1, 2]),
        "lengths": torch.tensor([3]),
        "n_words": 3,
        "window": 2,
    } | {name: value}
    with pytest.raises(ValueError, match=message):
        cooccurrences(**arguments)


# Loss and gradients


def make(V: int, D: int, P: int, seed: int) -> tuple[Arguments, Arguments]:
    """Draw parameters and P pairs, some of them often the same, with counts on both sides of 5."""
    generator = seeded(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def indices() -> Tensor:
        return torch.randint(V, (P,), generator=generator)

    parameters = {"W": draw(V, D), "W_context": draw(V, D), "b": draw(V), "b_context": draw(V)}
    pairs = {"rows": indices(), "columns": indices(), "counts": (2 * draw(P)).exp()}
    return parameters, pairs


def plain_loss(
    W: Tensor, W_context: Tensor, b: Tensor, b_context: Tensor, pairs: Arguments, x_max: float
) -> Tensor:
    """Compute the loss as the definition writes it, pair by pair."""
    loss = torch.zeros((), dtype=W.dtype)
    for i, j, count in zip(*(pairs[name].tolist() for name in pairs), strict=True):
        weight = (count / x_max) ** 0.75 if count < x_max else 1.0
        loss = loss + weight * (W[i] @ W_context[j] + b[i] + b_context[j] - math.log(count)) ** 2
    return loss


@given(sizes, sizes, st.integers(1, 12), seeds)
def test_loss_and_gradients_are_exact(V: int, D: int, P: int, seed: int) -> None:
    parameters, pairs = make(V, D, P, seed)
    loss, gradients_in_order = glove_loss(**parameters, **pairs, x_max=5)
    gradients = dict(zip(PARAMETERS, gradients_in_order, strict=True))
    residuals = gradient_residuals(
        lambda **values: glove_loss(**values, **pairs, x_max=5)[0], parameters, gradients
    )
    assert max(residuals.values()) <= 1e-12

    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    expected = plain_loss(**leaves, pairs=pairs, x_max=5)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=0)
    by_autograd = torch.autograd.grad(expected, list(leaves.values()))
    for gradient, other in zip(gradients_in_order, by_autograd, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-12, atol=1e-12)


def test_words_without_a_pair_have_no_gradient() -> None:
    parameters, pairs = make(5, 3, 4, 0)
    pairs |= {"rows": torch.tensor([1, 1, 1, 2]), "columns": torch.tensor([0, 0, 4, 4])}
    _, (dW, dW_context, db, db_context) = glove_loss(**parameters, **pairs)
    for gradient in (dW, db[:, None]):
        assert (gradient != 0).any(1).tolist() == [False, True, True, False, False]
    for gradient in (dW_context, db_context[:, None]):
        assert (gradient != 0).any(1).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("alpha", [0.75, 1.0, 0.0])
def test_weight_grows_up_to_x_max_and_stays(alpha: float) -> None:
    """With all parameters 0 a pair costs its weight times the squared logarithm of its count."""
    nothing = torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    W, b = nothing
    pair = torch.zeros(1, dtype=torch.int64)
    for count, base in ((0.5, 0.05), (5.0, 0.5), (10.0, 1.0), (11.0, 1.0), (1e6, 1.0)):
        counts = torch.tensor([count], dtype=torch.float64)
        loss, _ = glove_loss(W, W, b, b, pair, pair, counts, x_max=10, alpha=alpha)
        assert loss.item() == pytest.approx(base**alpha * math.log(count) ** 2, rel=1e-14)


@pytest.mark.parametrize("counts_dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128])
def test_dtype_is_that_of_the_vectors(dtype: torch.dtype, counts_dtype: torch.dtype) -> None:
    parameters, pairs = make(3, 2, 5, 0)
    reference = glove_loss(**parameters, **pairs)[0]
    pairs |= {"rows": pairs["rows"].int(), "counts": pairs["counts"].to(counts_dtype)}
    loss, gradients = glove_loss(**{k: v.to(dtype) for k, v in parameters.items()}, **pairs)
    assert {tensor.dtype for tensor in (loss, *gradients)} == {dtype}
    assert loss.shape == ()
    torch.testing.assert_close(loss.real.double(), reference, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("W", torch.zeros(3), r"W must have shape \(V, D\)"),
        ("W", torch.zeros(3, 2).half(), "W must have one of the dtypes"),
        ("W_context", torch.zeros(4, 2), r"W_context must have shape \(V, D\) = \(3, 2\)"),
        ("W_context", torch.zeros(3, 2).double(), "W_context must have dtype torch.float32"),
        ("b", torch.zeros(2), r"b must have shape \(V\) = \(3\)"),
        ("b_context", torch.zeros(3, device="meta"), "b_context must be on cpu as W is"),
        ("rows", torch.tensor([0, 3]), r"rows must hold word indices in \[0, 3\), got 3"),
        ("rows", torch.zeros(2), "rows must have dtype torch.int64 or torch.int32"),
        ("rows", torch.zeros(2, device="meta").long(), "rows must be on cpu as W is"),
        ("columns", torch.tensor([-1, 0]), r"columns must hold word indices in \[0, 3\), got -1"),
        ("columns", torch.tensor([0]), r"columns must have shape \(P\) = \(2\)"),
        ("counts", torch.ones(3), r"counts must have shape \(P\) = \(2\)"),
        ("counts", torch.tensor([1, 2]), "counts must have dtype torch.float32 or torch.float64"),
        ("counts", torch.tensor([1.0, 0.0]), "counts must be above 0 and finite"),
        ("counts", torch.tensor([1.0, math.inf]), "counts must be above 0 and finite"),
        ("counts", torch.tensor([1.0, math.nan]), "counts must be above 0 and finite"),
        ("counts", torch.ones(2, device="meta"), "counts must be on cpu as W is"),
        ("x_max", 0.0, "x_max must be above 0 and finite, got 0"),
        ("x_max", math.inf, "x_max must be above 0 and finite, got inf"),
        ("alpha", -0.5, r"alpha must be at least 0 and finite, got -0\.5"),
    ],
)
def test_loss_names_bad_input(name: str, value: object, message: str) -> None:
    arguments: dict[str, Any] = {
        "W": torch.zeros(3, 2),
        "W_context": torch.zeros(3, 2),
        "b": torch.zeros(3),
        "b_context": torch.zeros(3),
        "rows": torch.tensor([0, 1]),
        "columns": torch.tensor([1, 2]),
        "counts": torch.ones(2),
    } | {name: value}
    with pytest.raises(ValueError, match=message):
        glove_loss(**arguments)
