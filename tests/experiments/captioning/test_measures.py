"""Captions are scored as the reference implementation scores them; intervals are over images."""

from __future__ import annotations

import csv
import math
import shutil
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from real_data import needs
from torch import Generator, Tensor

from rnnreport.data.assets import require
from rnnreport.data.flickr8k import load_flickr8k, official_parts
from rnnreport.data.vocabulary import tokenise
from rnnreport.experiments.captioning import measures as captioning_measures
from rnnreport.experiments.captioning.measures import (
    MEASURES,
    Scores,
    bootstrap,
    exact_matches,
    measure,
    paired_difference,
    share_in_training,
    unsupported,
)

Captions = list[list[str]]
References = list[list[list[str]]]


def words(*sentences: str) -> Captions:
    return [sentence.split() for sentence in sentences]


REFERENCES: References = [
    words("a dog runs on the grass", "the brown dog is running over grass"),
    words("two girls sit on a red bench", "girls on a bench", "two children rest on a bench"),
    words("a man climbs a steep wall", "a climber on a wall in the sun"),
    words("people wait at the bus stop in the rain"),
]
GOOD = words(
    "a dog runs over the grass", "two girls on a bench", "a man on a wall", "people at a bus stop"
)
POOR = words("a cat", "a man on a wall", "the the the the", "a dog runs on the grass")


def packaged(captions: Captions, references: References) -> list[float]:
    """Score with the package alone."""
    written = {row: [" ".join(caption)] for row, caption in enumerate(captions)}
    right = {row: [" ".join(one) for one in of_image] for row, of_image in enumerate(references)}
    bleu, _ = Bleu(4).compute_score(right, written, verbose=0)
    rouge, _ = Rouge().compute_score(right, written)
    cider, _ = Cider().compute_score(right, written)
    return [*bleu, rouge, cider]


def values(scores: Scores) -> list[float]:
    return [getattr(scores, name) for name in MEASURES]


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


# Single values

sentences = st.lists(st.sampled_from("abcd"), max_size=6)
references = st.lists(sentences.filter(bool), min_size=1, max_size=3)
problems = st.lists(st.tuples(sentences, references), min_size=1, max_size=5)


@given(problem=problems)
def test_measures_are_the_package_s(problem: list[tuple[list[str], Captions]]) -> None:
    captions, right = [caption for caption, _ in problem], [each for _, each in problem]
    expected = packaged(captions, right)
    assert values(measure(captions, right)) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_bleu_by_hand() -> None:
    # "the" stands twice in the reference: 2 of 3 count. No pair and no triple does.
    scores = measure(words("the the the"), [words("the cat on the mat")])
    short = math.exp(1 - 5 / 3)  # three words where the reference has five
    assert scores.bleu_1 == pytest.approx(2 / 3 * short, rel=1e-8)
    assert scores.bleu_2 < 1e-6
    # Five words each; of four pairs "a b" and "d e" stand in the reference.
    scores = measure(words("a b x d e"), [words("a b c d e")])
    assert scores.bleu_1 == pytest.approx(4 / 5, rel=1e-8)
    assert scores.bleu_2 == pytest.approx(math.sqrt(4 / 5 * 2 / 4), rel=1e-8)


def test_bleu_sums_counts_over_images() -> None:
    scores = measure(words("a b", "x y z w"), [words("a b"), words("x p q r")])
    assert scores.bleu_1 == pytest.approx((2 + 1) / (2 + 4), rel=1e-8)  # not (1 + 1/4) / 2


def test_rouge_by_hand() -> None:
    # The longest common subsequence is "a c d": 3 of 4 written words, 3 of 5 right ones.
    precision, recall = 3 / 4, 3 / 5
    expected = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
    scores = measure(words("a x c d"), [words("a b c d e")])
    assert scores.rouge_l == pytest.approx(expected)


def test_cider_weighs_rare_words_and_knows_none_in_a_single_image() -> None:
    right = [words("a dog"), words("a cat")]
    # "a" stands with both images and weighs nothing; "dog" and "a dog" agree: two of four orders.
    assert measure(words("a dog", "a cat"), right).cider == pytest.approx(10 * 2 / 4)
    assert measure(words("a x", "a y"), right).cider == 0
    assert measure(words("a dog"), right[:1]).cider == 0


def test_perfect_captions_and_worse_ones() -> None:
    perfect = measure([each[0] for each in REFERENCES], REFERENCES)
    good, poor = measure(GOOD, REFERENCES), measure(POOR, REFERENCES)
    assert values(perfect)[:5] == pytest.approx([1.0] * 5)
    for name in MEASURES:
        assert getattr(perfect, name) > getattr(good, name) > getattr(poor, name)


def test_a_caption_without_a_word_scores_nothing() -> None:
    right = REFERENCES[:2]
    empty, one = measure([[], []], right), measure([[], GOOD[1]], right)
    assert values(empty) == pytest.approx([0.0] * 6, abs=1e-12)
    assert 2 * one.rouge_l == pytest.approx(measure([GOOD[1]], right[1:]).rouge_l)


# Intervals


def test_intervals_hold_the_value_and_follow_the_seed() -> None:
    point = [sum(pair) / 2 for pair in zip(*map(values, map(_scores, (GOOD, POOR))), strict=True)]
    intervals = bootstrap([GOOD, POOR], REFERENCES, draws=300, generator=seeded())
    assert tuple(intervals) == MEASURES
    for value, (low, high) in zip(point, intervals.values(), strict=True):
        assert low < value < high
    assert intervals == bootstrap([GOOD, POOR], REFERENCES, draws=300, generator=seeded())
    assert intervals != bootstrap([GOOD, POOR], REFERENCES, draws=300, generator=seeded(1))


def _scores(captions: Captions) -> Scores:
    return measure(captions, REFERENCES)


@settings(max_examples=25)
@given(
    problem=problems,
    other=st.lists(sentences, min_size=5, max_size=5),
    data=st.data(),
)
def test_a_draw_is_scored_as_the_package_scores_the_drawn_images(
    problem: list[tuple[list[str], Captions]], other: Captions, data: st.DataObject
) -> None:
    """Images may be drawn several times or never; each image once is the identity draw."""
    captions, right = [caption for caption, _ in problem], [each for _, each in problem]
    seeds, count = [captions, other[: len(captions)]], len(captions)
    rows = data.draw(st.lists(st.integers(0, count - 1), min_size=count, max_size=count))
    for chosen in (list(range(count)), rows):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(captioning_measures, "_draws", lambda *_, rows=chosen: [_counts(rows)])
            intervals = bootstrap(seeds, right, generator=seeded())
        drawn = [
            packaged([each[row] for row in chosen], [right[row] for row in chosen])[:5]
            for each in seeds
        ]
        assert all(low == high for low, high in intervals.values())
        expected = [sum(pair) / 2 for pair in zip(*drawn, strict=True)]
        means = [low for low, _ in intervals.values()]
        assert means[:5] == pytest.approx(expected, rel=1e-10, abs=1e-12)
        assert means[5] == pytest.approx(_mean_cider(seeds, right, chosen), abs=1e-12)


def _counts(rows: list[int]) -> Tensor:
    return torch.tensor(rows).bincount(minlength=len(rows)).double()


def _mean_cider(seeds: list[Captions], right: References, rows: list[int]) -> float:
    """Average the CIDEr of drawn images; the references of all images give the weights."""
    total = 0.0
    for captions in seeds:
        written = {row: [" ".join(caption)] for row, caption in enumerate(captions)}
        each = {row: [" ".join(one) for one in of_image] for row, of_image in enumerate(right)}
        scores = Cider().compute_score(each, written)[1]
        total += sum(float(scores[row]) for row in rows) / len(rows)
    return total / len(seeds)


def test_draws_are_with_replacement_and_of_all_images() -> None:
    drawn = torch.stack(list(captioning_measures._draws(40, 500, seeded())))
    assert (drawn.sum(1) == 40).all()
    assert drawn.mean().item() == 1
    assert drawn.var().item() == pytest.approx(1 - 1 / 40, rel=0.05)  # of a binomial count
    assert drawn.mean(0).sub(1).abs().max().item() < 0.2  # no image is preferred


def test_intervals_grow_narrower_with_more_images() -> None:
    def width(times: int) -> float:
        intervals = bootstrap([GOOD * times], REFERENCES * times, draws=300, generator=seeded())
        return intervals["rouge_l"][1] - intervals["rouge_l"][0]

    assert width(16) == pytest.approx(width(1) / 4, rel=0.25)


def test_a_paired_difference_is_that_of_the_values() -> None:
    better, worse = measure(GOOD, REFERENCES).cider, measure(POOR, REFERENCES).cider
    difference, (low, high) = paired_difference([GOOD], [POOR], REFERENCES, generator=seeded())
    assert difference == pytest.approx(better - worse)
    assert 0 < low < difference < high
    back, (negative_high, negative_low) = paired_difference(
        [POOR], [GOOD], REFERENCES, generator=seeded()
    )
    assert (back, negative_high, negative_low) == pytest.approx((-difference, -high, -low))
    assert paired_difference([GOOD], [GOOD, GOOD], REFERENCES, generator=seeded())[0] == 0


def test_paired_images_are_drawn_together() -> None:
    """The same captions differ by exactly zero, whatever images are drawn."""
    right = [words(f"a {name} b c d", f"{name} b") for name in "pqrstuvw"]
    a = [each[0] for each in right]
    b = [["x"] if row % 2 else each[0] for row, each in enumerate(right)]
    zero, interval = paired_difference([a], [a], right, generator=seeded())
    assert (zero, interval) == (0, (0, 0))
    mixed, interval = paired_difference([a, b], [b, a], right, generator=seeded())
    assert (mixed, interval) == (0, (0, 0))
    low, high = bootstrap([a], right, generator=seeded())["cider"]
    assert high - low < 1e-9 < paired_difference([a], [b], right, generator=seeded())[0]


# Word for word


def test_share_in_training_and_exact_matches() -> None:
    training = [caption for of_image in REFERENCES for caption in of_image]
    assert share_in_training(POOR, training) == 1 / 4
    assert share_in_training([tuple(POOR[3]), POOR[0]], (each for each in training)) == 1 / 2
    assert share_in_training(GOOD, []) == 0
    assert exact_matches(POOR, REFERENCES) == 0  # the last one is right for another image
    assert exact_matches([POOR[3], *POOR[1:]], REFERENCES) == 1
    assert exact_matches([each[-1] for each in REFERENCES], REFERENCES) == 4


# Bad input

ONE = [words("a dog")]


@pytest.mark.parametrize(
    ("captions", "references", "message"),
    [
        ([], [], "references must hold those of at least one image, got none"),
        (words("a", "b"), ONE, r"captions must hold one caption for each of the 1 images .* got 2"),
        ([], ONE, r"captions must hold one caption .* got 0"),
        (words("a"), [[]], r"references\[0\] must hold at least one reference, got none"),
        (words("a", "b"), [ONE[0], [["a"], []]], r"references\[1\]\[1\] must have at least one"),
        (words("a", "b"), [ONE[0], "a dog"], r"references\[1\] must be .* the string 'a dog'"),
        (words("a"), [["a", "dog"]], r"references\[0\]\[0\] must be .* words, got the string 'a'"),
        (["a dog"], ONE, r"captions\[0\] must be a sequence of words, got the string 'a dog'"),
        ([["a dog"]], ONE, r"captions\[0\] must hold words without white space, got 'a dog'"),
        ([["a", ""]], ONE, r"captions\[0\] must hold words without white space, got ''"),
    ],
)
@pytest.mark.parametrize("function", [measure, exact_matches])
def test_bad_input_is_named(function: Any, captions: Any, references: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(captions, references)


def test_bad_seeds_and_draws_are_named() -> None:
    one = words("a")
    with pytest.raises(ValueError, match=r"captions_of_seeds\[1\] must hold .* got 2"):
        bootstrap([one, one * 2], ONE, generator=seeded())
    with pytest.raises(ValueError, match=r"captions_of_seeds must hold .* at least one seed"):
        bootstrap([], ONE, generator=seeded())
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        bootstrap([one], ONE, draws=0, generator=seeded())
    with pytest.raises(ValueError, match=r"b\[0\]\[0\] must be a sequence of words"):
        paired_difference([one], [["a"]], ONE, generator=seeded())
    with pytest.raises(ValueError, match=r"references\[0\] must hold at least one"):
        paired_difference([one], [one], [[]], generator=seeded())
    with pytest.raises(ValueError, match="captions must hold at least one caption"):
        share_in_training([], one)
    with pytest.raises(ValueError, match=r"training_captions\[1\] must be a sequence of words"):
        share_in_training(one, [["a"], "a"])
    with pytest.raises(ValueError, match=r"captions\[0\] must be a sequence of words"):
        share_in_training(["a"], one)


def test_unsupported_words_are_content_words_that_no_reference_has() -> None:
    references = [
        [["a", "dog", "runs"]],
        [["the", "boy", "swims"], ["a", "child", "in", "a", "pool"]],
    ]
    captions = words("a dog on grass", "a boy near a fountain")
    found = unsupported(captions, references)
    # dog and boy are supported; grass and fountain are not; the others are words of grammar.
    assert found.share == 1 / 2
    assert found.words == [("fountain", 1, 0), ("grass", 1, 0)]
    again = unsupported(words("a dog", "a dog"), references)
    assert again == (1 / 2, [("dog", 2, 1)])
    assert unsupported(words("a the", "of"), references) == (0.0, [])


def _java() -> bool:
    return shutil.which("java") is not None


@needs("flickr8k")
@pytest.mark.skipif(not _java(), reason="the literature's tokeniser is a Java program")
def test_test_captions_are_split_as_the_literature_splits_them() -> None:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    root = require("flickr8k")
    parts = official_parts(load_flickr8k(root))
    if parts is None:
        pytest.skip("the folder has no official parts")
    with (root / "captions.txt").open(encoding="utf-8", newline="") as file:
        sentences = [text for name, text in csv.reader(file) if name in set(parts.test)]
    theirs = PTBTokenizer().tokenize({k: [{"caption": text}] for k, text in enumerate(sentences)})
    others = [text for k, text in enumerate(sentences) if theirs[k][0] != " ".join(tokenise(text))]
    assert len(sentences) == 5000
    assert len(others) == 3
