"""The sentence that others agree with: by hand, and against the definition written out."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnreport.models.consensus import NgramWeights, consensus

CAPTIONS = [
    [["a", "dog", "runs"], ["the", "dog", "runs", "fast"]],
    [["a", "cat", "sleeps"]],
    [["a", "dog", "sleeps", "on", "a", "mat"]],
]


def test_weights_count_images_and_not_captions() -> None:
    weights = NgramWeights(CAPTIONS)
    assert weights[("a",)] == 0  # of every image
    assert weights[("dog",)] == math.log(3 / 2)
    assert weights[("dog", "runs")] == math.log(3)
    assert weights[("unheard", "of")] == math.log(3)
    with pytest.raises(ValueError, match="at least one image"):
        NgramWeights([])


def test_the_sentence_in_the_middle_wins() -> None:
    weights = NgramWeights(CAPTIONS)
    sentences = [
        ["a", "cat", "sleeps"],
        ["the", "dog", "runs", "fast"],
        ["a", "dog", "runs", "fast"],
        ["a", "dog", "runs"],
    ]
    assert consensus(sentences, weights) == 2
    assert consensus(sentences[::-1], weights) == 1
    assert consensus([*sentences, *3 * [["a", "cat", "sleeps"]]], weights) == 0
    assert consensus([["a"], []], weights) == 0
    with pytest.raises(ValueError, match="at least one"):
        consensus([], weights)


def _likeness(one: list[str], other: list[str], weights: NgramWeights) -> float:
    total = 0.0
    for n in range(1, 5):
        vectors = []
        for words in (one, other):
            counts = Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))
            vectors.append({ngram: count * weights[ngram] for ngram, count in counts.items()})
        a, b = vectors
        norms = [math.sqrt(sum(value * value for value in v.values())) for v in vectors]
        if all(norms):
            total += sum(value * b.get(ngram, 0) for ngram, value in a.items()) / math.prod(norms)
    return total


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "dog", "cat", "runs", "on"]), max_size=7),
        min_size=1,
        max_size=6,
    )
)
def test_against_the_definition(sentences: list[list[str]]) -> None:
    weights = NgramWeights(CAPTIONS)
    means = [sum(_likeness(one, other, weights) for other in sentences) for one in sentences]
    assert means[consensus(sentences, weights)] == pytest.approx(max(means), abs=1e-7)
