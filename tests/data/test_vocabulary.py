"""Words, their indices, and back."""

import pytest
import regex
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnreport.data.vocabulary import (
    END,
    NULL,
    START,
    UNK,
    CaptionVocabulary,
    Vocabulary,
    tokenise,
)

SPECIAL = CaptionVocabulary.SPECIAL

WORDS = st.lists(st.sampled_from(["a", "red", "ball", "on", "the", "grass"]), min_size=1)


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("A dog , running .", ["a", "dog", "running"]),
        ("the dog 's ball", ["the", "dog", "'s", "ball"]),
        ("the dog's ball", ["the", "dog", "'s", "ball"]),
        ("the dog’s t-shirt", ["the", "dog", "'s", "t-shirt"]),
        ("they don't 'quote' -- 5 men", ["they", "don't", "quote", "5", "men"]),
        ("Été à Zürich", ["été", "à", "zürich"]),
        ("läuft U\u0308ber", ["läuft", "über"]),  # a letter and its mark by itself
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs are marks
        ("می\u200cخواهم", ["می\u200cخواهم"]),  # joined by a non-joiner
        ("x\u0323\u0301y", ["x\u0323\u0301y"]),
        ("slip n 'slide", ["slip", "n", "slide"]),
        (" .,!?-'\"_ ", []),
        ("", []),
    ],
)
def test_tokenise(sentence: str, words: list[str]) -> None:
    assert tokenise(sentence) == words


@given(st.text())
def test_tokenise_gives_lower_case_words(text: str) -> None:
    for word in tokenise(text):
        assert regex.search(r"[\p{L}\p{N}]", word)  # it knows letters that Python learns later
        assert not any(map(str.isspace, word))
        assert tokenise(word) == [word]


def test_build_orders_by_count_then_alphabet() -> None:
    vocabulary = CaptionVocabulary.build([["b", "a"], ["c", "b"], ["a", "b"]])
    assert vocabulary.words == (*SPECIAL, "b", "a", "c")
    assert CaptionVocabulary.build([["b", "a"], ["c", "b"], ["a", "b"]], min_count=2).words[4:] == (
        "b",
        "a",
    )
    assert len(vocabulary) == 7
    assert vocabulary.word_to_idx["b"] == 4


def test_encode() -> None:
    vocabulary = CaptionVocabulary.build([["a", "b"]])
    rows = vocabulary.encode([["b", "a"], ["z"]], length=5)
    null, start, end, unk, a, b = range(6)
    assert rows.dtype == torch.int64
    assert rows.tolist() == [[start, b, a, end, null], [start, unk, end, null, null]]
    assert vocabulary.decode(rows) == [["b", "a"], [UNK]]


def test_a_special_word_in_a_text_is_an_unknown_word() -> None:
    sentences = [["a", UNK, "b", NULL], [START, "a", END]]
    vocabulary = CaptionVocabulary.build(sentences)
    assert vocabulary.words == (*SPECIAL, "a", "b")
    unknown = vocabulary.word_to_idx[UNK]
    assert vocabulary.indices([*SPECIAL, "b"]) == [*4 * [unknown], 5]
    rows = vocabulary.encode(sentences, length=6)
    assert vocabulary.decode(rows) == [["a", UNK, "b", UNK], [UNK, "a", UNK]]


@given(captions=st.lists(WORDS, min_size=1, max_size=5), extra=st.integers(0, 4))
def test_decode_undoes_encode(captions: list[list[str]], extra: int) -> None:
    vocabulary = CaptionVocabulary.build(captions)
    length = max(map(len, captions)) + 2 + extra
    rows = vocabulary.encode(captions, length)
    assert rows.shape == (len(captions), length)
    assert vocabulary.decode(rows) == captions
    assert vocabulary.decode(rows[:, 1:]) == captions  # as a network writes them


def test_decode_stops_at_the_end() -> None:
    vocabulary = CaptionVocabulary.build([["a", "b"]])
    index = vocabulary.word_to_idx
    row = [index[word] for word in (START, "a", NULL, "b", END, "a")]
    assert vocabulary.decode(torch.tensor([row])) == [["a", "b"]]
    assert vocabulary.decode(torch.empty(0, 3, dtype=torch.int64)) == []


@pytest.mark.parametrize(
    ("captions", "length", "message"),
    [
        ([["a"], []], 5, r"captions\[1\] must have at least one word"),
        ([["a", "b", "a"]], 4, r"captions\[0\] must have at most 2 words .* got 3: 'a b a'"),
        (["a b"], 9, r"captions\[0\] must be a list of words, got the string 'a b'"),
    ],
)
def test_encode_refuses(captions: list[list[str]], length: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CaptionVocabulary.build([["a", "b"]]).encode(captions, length)


def test_build_refuses() -> None:
    with pytest.raises(ValueError, match="min_count must be at least 1, got 0"):
        CaptionVocabulary.build([["a"]], min_count=0)
    with pytest.raises(ValueError, match=r"sentences\[1\] must be a list of words"):
        CaptionVocabulary.build([["a"], "a b"])
    with pytest.raises(ValueError, match="words must begin with"):
        CaptionVocabulary(("a", "b"))
    with pytest.raises(ValueError, match="words must hold every word once, got 'a' twice"):
        CaptionVocabulary((*SPECIAL, "a", "a"))


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (torch.zeros(3, dtype=torch.int64), r"shape \(N, L\)"),
        (torch.zeros(1, 3), r"dtype torch\.int64, got .*float32"),
        (torch.tensor([[0], [5]]), r"indices\[1\] must hold 0 to 4, got 5"),
        (torch.tensor([[-1]]), r"indices\[0\] must hold 0 to 4, got -1"),
    ],
)
def test_decode_refuses(indices: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CaptionVocabulary.build([["a"]]).decode(indices)


def test_a_vocabulary_without_marks() -> None:
    vocabulary = Vocabulary.build([["b", "a"], ["c", "b"], ["a", "b"]], min_count=2)
    assert vocabulary.words == (NULL, UNK, "b", "a")
    assert vocabulary.indices(["a", "c", "b", START]) == [3, 1, 2, 1]
    assert vocabulary.indices([]) == []
    with pytest.raises(ValueError, match="sentence must be a list of words, got the string 'a'"):
        vocabulary.indices("a")
    with pytest.raises(ValueError, match="words must begin with"):
        Vocabulary(("<NULL>", "a"))
