"""Sentences as word indices: against plain lists, and the order that keeps batches even."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rnnreport.data.sentences import Sentences, order_by_length
from rnnreport.data.vocabulary import Vocabulary

Rows = list[list[int]]

VOCABULARY = Vocabulary(("<NULL>", "<UNK>", "a", "red", "ball"))

some_rows = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), max_size=8)
seeds = st.integers(0, 2**32 - 1)


def pack(rows: Rows) -> Sentences:
    words = [word for row in rows for word in row]
    return Sentences(
        torch.tensor(words, dtype=torch.int64),
        torch.tensor([len(row) for row in rows], dtype=torch.int64),
    )


def unpack(sentences: Sentences) -> Rows:
    """Return lists of words, and check the two tensors against the promises of their class."""
    words, lengths = sentences.words, sentences.lengths
    assert words.dtype == lengths.dtype == torch.int64
    rows, rest = [], words.tolist()
    for length in lengths.tolist():
        rows.append(rest[:length])
        rest = rest[length:]
    assert rest == []
    return rows


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def waste(lengths: Tensor, batch_size: int) -> float:
    """Return the share of padding in the padded batches."""
    batches = torch.split(lengths, batch_size)
    places = sum(int(batch.max()) * len(batch) for batch in batches)
    return 1 - int(lengths.sum()) / places


# Sentences


@given(st.lists(st.lists(st.sampled_from(["a", "red", "ball", "sky"]), min_size=1), max_size=5))
def test_encode_looks_words_up(sentences: list[list[str]]) -> None:
    index = {"a": 2, "red": 3, "ball": 4, "sky": 1}  # the last one is unknown
    encoded = Sentences.encode(VOCABULARY, sentences)
    assert unpack(encoded) == [[index[word] for word in sentence] for sentence in sentences]
    assert len(encoded) == len(sentences)


def test_encode_takes_tuples() -> None:
    assert unpack(Sentences.encode(VOCABULARY, (("a",), ("red", "ball")))) == [[2], [3, 4]]


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([["a"], []], r"sentences\[1\] must have at least one word, got none"),
        ([["a"], "red ball"], r"sentences\[1\] must be a list of words, got the string 'red ball'"),
        (["", ["a"]], r"sentences\[0\] must have at least one word, got none"),
    ],
)
def test_encode_names_a_bad_sentence(sentences: list[list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sentences.encode(VOCABULARY, sentences)


def test_no_sentence_at_all() -> None:
    none = Sentences.encode(VOCABULARY, [])
    assert len(none) == 0
    assert unpack(none) == []
    assert none.padded().shape == (0, 0)
    assert len(none.starts) == len(none.distinct()) == 0


@pytest.mark.parametrize(
    ("words", "lengths", "message"),
    [
        (torch.ones(2), torch.tensor([2]), r"words must be a row of torch\.int64, got torch\.fl"),
        (torch.ones(2, 1).long(), torch.tensor([2]), r"words must be a row .* of shape \(2, 1\)"),
        (torch.ones(2).long(), torch.tensor([2]).int(), r"lengths must be a row .*torch\.int32"),
        (torch.ones(2).long(), torch.tensor(2), r"lengths must be a row .* of shape \(\)"),
        (torch.ones(2).long(), torch.tensor([2, 0]), "lengths must be at least 1, got 0"),
        (torch.ones(2).long(), torch.tensor([3, -1]), "lengths must be at least 1, got -1"),
        (torch.ones(2).long(), torch.tensor([1]), "add up to the 2 words, got 1"),
        (torch.ones(2).long(), torch.tensor([1, 2]), "add up to the 2 words, got 3"),
        (torch.ones(2).long(), torch.ones(0).long(), "add up to the 2 words, got 0"),
    ],
)
def test_what_does_not_fit_is_named(words: Tensor, lengths: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sentences(words, lengths)


@given(some_rows)
def test_starts(rows: Rows) -> None:
    starts = [sum(len(row) for row in rows[:n]) for n in range(len(rows))]
    assert pack(rows).starts.tolist() == starts


@given(some_rows, st.data())
def test_take_picks_rows(rows: Rows, data: st.DataObject) -> None:
    """In any order, some of them twice or not at all."""
    places = st.lists(st.integers(0, len(rows) - 1), max_size=10) if rows else st.just([])
    picked: list[int] = data.draw(places)
    taken = pack(rows).take(torch.tensor(picked, dtype=torch.int64))
    assert unpack(taken) == [rows[n] for n in picked]


@given(some_rows, seeds)
def test_take_is_undone_by_the_inverse_order(rows: Rows, seed: int) -> None:
    order = torch.randperm(len(rows), generator=generator(seed))
    assert unpack(pack(rows).take(order).take(order.argsort())) == rows


@given(some_rows.filter(len), st.integers(1, 10))
def test_batches_are_consecutive(rows: Rows, size: int) -> None:
    batches = [unpack(batch) for batch in pack(rows).batches(size)]
    assert batches == [rows[first : first + size] for first in range(0, len(rows), size)]


@given(some_rows)
def test_distinct_is_the_sorted_set(rows: Rows) -> None:
    once = pack(rows).distinct()
    assert unpack(once) == [sorted(set(row)) for row in rows]
    assert unpack(once.distinct()) == unpack(once)


@given(some_rows)
def test_padded_has_a_column_for_each_sentence(rows: Rows) -> None:
    T = max(map(len, rows), default=0)
    padded = pack(rows).padded()
    assert padded.dtype == torch.int64
    assert padded.shape == (T, len(rows))
    assert padded.T.tolist() == [row + [0] * (T - len(row)) for row in rows]


@given(some_rows.filter(len))
def test_nothing_is_changed_in_place(rows: Rows) -> None:
    sentences = pack(rows)
    sentences.take(torch.arange(len(rows)).flip(0)).padded().fill_(7)
    sentences.distinct().words.fill_(7)
    sentences.padded().fill_(7)
    assert unpack(sentences) == rows


def test_to_a_device() -> None:
    rows = [[3, 1], [2]]
    for device in ("cpu", torch.device("cpu")):
        assert unpack(pack(rows).to(device)) == rows


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_all_is_as_on_the_cpu() -> None:
    rows = [[3, 1, 3], [2], [5, 4]]
    here, there = pack(rows), pack(rows).to("cuda")
    order = order_by_length(here.lengths, 2, generator(0))
    order_there = order_by_length(there.lengths, 2, generator(0))
    assert order_there.device.type == "cuda"
    assert torch.equal(order_there.cpu(), order)
    assert unpack(there.take(order_there).to("cpu")) == unpack(here.take(order))
    assert unpack(there.distinct().to("cpu")) == unpack(here.distinct())
    assert torch.equal(there.padded().cpu(), here.padded())


# The order of a pass

some_lengths = st.lists(st.integers(1, 20), max_size=40).map(
    lambda lengths: torch.tensor(lengths, dtype=torch.int64)
)


@given(some_lengths, st.integers(1, 12), seeds)
def test_every_sentence_comes_once(lengths: Tensor, batch_size: int, seed: int) -> None:
    order = order_by_length(lengths, batch_size, generator(seed))
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(len(lengths)))


@given(some_lengths, st.integers(1, 12), seeds)
def test_the_order_is_the_generators(lengths: Tensor, batch_size: int, seed: int) -> None:
    before, state = lengths.clone(), torch.random.get_rng_state()
    order = order_by_length(lengths, batch_size, generator(seed))
    assert torch.equal(order, order_by_length(lengths, batch_size, generator(seed)))
    assert torch.equal(lengths, before)
    assert torch.equal(torch.random.get_rng_state(), state)


@given(some_lengths.filter(len), st.integers(1, 12), seeds)
def test_batches_are_as_even_as_sorting_makes_them(
    lengths: Tensor, batch_size: int, seed: int
) -> None:
    """Without the short batch, the batches are the sorted sentences, cut into pieces."""
    order = order_by_length(lengths, batch_size, generator(seed))
    whole = len(order) // batch_size * batch_size
    pieces = [sorted(piece) for piece in lengths[order[:whole]].view(-1, batch_size).tolist()]
    ascending = lengths[order[:whole]].sort().values.view(-1, batch_size).tolist()
    assert sorted(pieces) == ascending
    # The short batch is a run of the sorted lengths too.
    last = sorted(lengths[order[whole:]].tolist())
    everything = sorted(lengths.tolist())
    runs = [everything[first : first + len(last)] for first in range(whole + 1)]
    assert last in runs


def test_little_is_padded() -> None:
    lengths = torch.randint(1, 53, (3000,), generator=generator(0))
    order = order_by_length(lengths, 64, generator(1))
    assert waste(lengths, 64) > 0.4  # in any order
    assert waste(lengths[order], 64) < 0.03


def test_batches_and_equal_lengths_come_in_random_order() -> None:
    lengths = torch.arange(12).div(3, rounding_mode="floor") + 1  # three of each length
    rng = generator(0)
    orders = [order_by_length(lengths, 3, rng) for _ in range(200)]
    first = {int(lengths[order[0]]) for order in orders}
    assert first == {1, 2, 3, 4}
    shortest = {tuple(n for n in order.tolist() if n < 3) for order in orders}
    assert len(shortest) == 6  # all orders of the three


def test_company_in_a_batch_changes() -> None:
    lengths = torch.ones(6, dtype=torch.int64)
    rng = generator(0)
    pairs = {
        frozenset(pair)
        for _ in range(200)
        for pair in order_by_length(lengths, 2, rng).view(-1, 2).tolist()
    }
    assert len(pairs) == 15


def test_the_short_batch_is_last_and_any_sentence_may_be_in_it() -> None:
    lengths = torch.arange(1, 12)  # 11 sentences, each of its own length
    rng = generator(0)
    counts = torch.zeros(len(lengths), dtype=torch.int64)
    for _ in range(400):
        short = order_by_length(lengths, 4, rng)[8:]
        assert short.tolist() == list(range(int(short[0]), int(short[0]) + 3))
        counts[short] += 1
    # The rest begins at one of 9 places; the lengths at the ends are met by one of them alone.
    expected = 400 / 9 * torch.tensor([1, 2, 3, 3, 3, 3, 3, 3, 3, 2, 1])
    assert ((counts - expected).abs() < 5 * expected.sqrt()).all()


@given(some_lengths, st.integers(0, 5), seeds)
def test_fewer_sentences_than_a_batch(lengths: Tensor, more: int, seed: int) -> None:
    order = order_by_length(lengths, len(lengths) + 1 + more, generator(seed))
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert lengths[order].tolist() == sorted(lengths.tolist())


@given(some_lengths.filter(len), seeds)
def test_batches_of_one_and_of_all(lengths: Tensor, seed: int) -> None:
    assert sorted(order_by_length(lengths, 1, generator(seed)).tolist()) == list(
        range(len(lengths))
    )
    whole = order_by_length(lengths, len(lengths), generator(seed))
    assert lengths[whole].tolist() == sorted(lengths.tolist())


def test_no_sentences_and_no_batch_size() -> None:
    none = Sentences(torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.int64))
    assert list(none.batches(3)) == []
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        next(none.batches(0))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        order_by_length(torch.ones(3, dtype=torch.int64), 0, torch.Generator())
    with pytest.raises(ValueError, match="words must be at least 1, got 0"):
        Sentences(torch.tensor([0]), torch.tensor([1]))
