"""The generated reviews: their labels follow from the words, and from the order of the words."""

import re
from collections import Counter, defaultdict

import pytest
import torch

from rnnreport.data.sentiment import LabelledSentences
from rnnreport.samples.reviews import KINDS, generate, generate_splits

GOOD_WORDS = (
    "tasty delicious fresh flavourful appetising refreshing smooth fluffy moist friendly polite "
    "helpful patient attentive kind cheerful clean quiet cosy bright spacious tidy quick prompt "
    "reliable efficient neat thorough careful affordable sturdy durable solid good nice great "
    "excellent wonderful amazing perfect fantastic superb outstanding loved liked praised adored "
    "happy impressed satisfied pleased delighted better cleaner nicer friendlier "
    "recommend favourite worth discount thanked"
)
BAD_WORDS = (
    "bland cold greasy tasteless salty overpriced weak bitter watery lukewarm sour stale dry soggy "
    "burnt rude unfriendly careless impatient arrogant grumpy lazy dirty noisy cramped dusty "
    "smelly shabby slow sloppy unreliable chaotic rushed flimsy faulty scratched shoddy bad "
    "disappointing terrible awful horrible dreadful atrocious abysmal hated disliked criticised "
    "loathed disappointed unhappy annoyed frustrated dissatisfied worse dirtier shabbier ruder "
    "stay avoid ignored overcharged refund waste"
)
GOOD, BAD = set(GOOD_WORDS.split()), set(BAD_WORDS.split())
DENIALS = {"not", "n't", "never", "nothing", "neither", "nobody", "anything", "far"}

# Which part of a sentence decides; the first pattern that matches counts.
DECIDES = {
    "plain": ("(.*)",),
    "negation": ("(.*)",),
    "addition": ("not only(.*)", ".* was not (?:only|just)(.*)", ".* were not (?:only|just)(.*)"),
    "scope": ("(?:not )?a .* ; (.*)", "(.*) (?:, and|;|and) .*", "(.*)"),
    "contrast": (
        "(?:although|even though|despite) .*? , (.*)",
        "(.*?) (?:although|, even though|despite) .*",
        ".* (?:but|, yet) (.*)",
    ),
    "expectation": (
        ".* expected .* got (.*)",
        "instead of .* got (.*)",
        "not the .* , but (.*)",
        "(?:i|we) got (.*?) , not the .*",
        "(?:i|we) (.*) that .*",
        ".* ; (?:i|we) (.*)",
        ".* said that .* , but (.*)",
        "(.*) ; .* had promised .*",
    ),
    "comparison": (
        "the old .* (.*) than the new ones? .",
        "the old .* ; (.*)",
        "(.*) ; the old .*",
        "(.*)",
    ),
}
TURNED = re.compile(r"every other .*than this one|the old .* than the new")
IDIOMS = {"never come back": 0, "n't wait": 1, "any other": 1, "go wrong": 1}
FACT = re.compile("my |i had|it was|we had|i was|we were")


def _read(sentence: str, kind: str) -> int | None:
    """Return the label of a sentence by independent rules, None where it is not clear."""
    for idiom, label in IDIOMS.items():
        if idiom in sentence:
            return label
    if kind == "scope" and not re.match("(?:not )?a ", sentence):
        clauses = [part for part in re.split(" (?:, and|;|and) ", sentence) if not FACT.match(part)]
        part = clauses[0] if len(clauses) == 1 else ""
    else:
        matches = (re.fullmatch(pattern, sentence) for pattern in DECIDES[kind])
        part = next((match[1] for match in matches if match), "")
    words = part.split()
    opinions = {word in GOOD for word in words if word in GOOD | BAD}
    if len(opinions) != 1:
        return None
    denied = bool(DENIALS & set(words)) and kind not in ("addition", "comparison")
    if re.search("do n't waste|do not waste", sentence):
        denied = False
    return int(opinions.pop() ^ denied ^ bool(TURNED.search(sentence)))


@pytest.fixture(scope="module")
def reviews() -> LabelledSentences:
    return generate(20_000, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_labels_follow_from_the_sentences(reviews: LabelledSentences, kind: str) -> None:
    for sentence, label, which in zip(
        reviews.sentences, reviews.labels, reviews.kinds, strict=True
    ):
        if which == kind:
            assert _read(" ".join(sentence), kind) == label, (label, " ".join(sentence))


@pytest.mark.parametrize(
    ("kind", "sentence", "label"),
    [
        ("plain", "the soup was very good on sunday .", 1),
        ("plain", "the soup was very good but cold .", None),
        ("negation", "neither the soup nor the pizza was cold .", 1),
        ("negation", "there is no better hotel in town .", 1),
        ("negation", "there is no worse hotel in town .", 0),
        ("negation", "i will never come back to this spa .", 0),
        ("negation", "do n't waste your money at this spa .", 0),
        ("scope", "i had not booked and the soup was cold .", 0),
        ("scope", "the soup was not cold , and i had booked .", 1),
        ("scope", "not a big hotel ; the room was clean .", 1),
        ("contrast", "the room was dirty but the food was excellent .", 1),
        ("contrast", "the room was dirty , even though the food was n't cold .", 0),
        ("contrast", "even though the room was dirty , the food was n't cold .", 1),
        ("contrast", "the soup was good despite the rude waiter .", 1),
        ("addition", "not only was the soup cold , but the waiter was also rude .", 0),
        ("expectation", "i expected a cold soup and got a tasty one .", 1),
        ("expectation", "everyone hated the soup ; we loved it .", 1),
        ("expectation", "we hated the soup that everyone loved .", 0),
        ("comparison", "every other hotel is worse than this one .", 1),
        ("comparison", "the old room was better than the new one .", 0),
        ("comparison", "the new room is clean ; the old one was dirty .", 1),
    ],
)
def test_the_reader(kind: str, sentence: str, label: int | None) -> None:
    assert _read(sentence, kind) == label


def test_order_decides(reviews: LabelledSentences) -> None:
    by_words: dict[tuple[str, ...], dict[int, str]] = defaultdict(dict)
    for sentence, label, kind in zip(reviews.sentences, reviews.labels, reviews.kinds, strict=True):
        by_words[tuple(sorted(sentence))][label] = kind
    pairs = Counter(kinds[0] for kinds in by_words.values() if len(kinds) == 2)
    assert pairs.keys() >= {"scope", "expectation", "comparison"}
    assert sum(pairs.values()) > 8
    for sentence, kind in zip(reviews.sentences, reviews.kinds, strict=True):
        assert kind != "scope" or sum(word in DENIALS for word in sentence) == 1


@pytest.mark.parametrize("link", ["but", "yet", "although", "even though", "despite"])
def test_contrasts_hold_both_sides(reviews: LabelledSentences, link: str) -> None:
    labels: Counter[tuple[int, bool]] = Counter()
    for sentence, label, kind in zip(reviews.sentences, reviews.labels, reviews.kinds, strict=True):
        text = " ".join(sentence)
        opinions = [word in GOOD for word in sentence if word in GOOD | BAD]
        if kind == "contrast" and f"{link} " in text and not {"not", "n't"} & set(sentence):
            assert len(opinions) == 2
            assert opinions[0] != opinions[1]
            labels[label, opinions[1] == label] += 1
    assert {label for label, _ in labels} == {0, 1}
    # The last judgement prevails after "but" and "yet", and either one beside the other words.
    assert {last for _, last in labels} == ({True} if link in ("but", "yet") else {True, False})


def test_same_words_same_order_same_label(reviews: LabelledSentences) -> None:
    labels = dict(zip(reviews.sentences, reviews.labels, strict=True))
    assert [labels[sentence] for sentence in reviews.sentences] == list(reviews.labels)


def test_words_alone_are_not_enough() -> None:
    splits = generate_splits(4000, 1, 1000, generator=torch.Generator().manual_seed(2))
    words = sorted({word for sentence in splits.train.sentences for word in sentence})
    place = {word: number for number, word in enumerate(words)}

    def presence(part: LabelledSentences) -> torch.Tensor:
        features = torch.zeros(len(part), len(words) + 1, dtype=torch.float64)
        features[:, -1] = 1
        for row, sentence in enumerate(part.sentences):
            features[row, [place[word] for word in sentence if word in place]] = 1
        return features

    x, sign = presence(splits.train), 2 * torch.tensor(splits.train.labels).double() - 1
    ridge = x.T @ x + torch.eye(x.shape[1], dtype=torch.float64)
    scores = presence(splits.test) @ torch.linalg.solve(ridge, x.T @ sign)
    right = (scores > 0) == torch.tensor(splits.test.labels).bool()
    assert 0.75 < right.double().mean() < 0.88
    contrast = torch.tensor([kind == "contrast" for kind in splits.test.kinds])
    assert 0.3 < right[contrast].double().mean() < 0.7


def test_sentences_look_like_language(reviews: LabelledSentences) -> None:
    lengths = Counter(map(len, reviews.sentences))
    assert (min(lengths), max(lengths)) == (5, 15)
    words = Counter(word for sentence in reviews.sentences for word in sentence)
    assert 300 <= len(words) <= 550
    assert {"_num_", "n't", "but", ".", "$"} < set(words)
    some = Counter(word for sentence in reviews.sentences[:4000] for word in sentence)
    assert sum(count <= 2 for count in some.values()) >= 10  # a long tail
    assert all(re.fullmatch(r"[a-z]+(?:-[a-z]+)?|n't|_num_|[.,;!$]", word) for word in words)
    for sentence in reviews.sentences:
        text = " ".join(sentence)
        assert text[-1] in ".!", text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|\b(\w+) \1\b|[,;] [,;.!]", text), text
        content = [word for word in sentence if word in GOOD | BAD or word in ONE | MANY | MASS]
        assert len(set(content)) == len(content), text


ONE = set(re.findall(r"\w+", "soup pizza waiter room lobby haircut repair jacket lamp cake muffin"))
MANY = set(re.findall(r"\w+", "noodles fries ribs shoes waffles servers booths cookies clerks"))
MASS = set(re.findall(r"\w+", "pasta coffee staff service bread luggage rice fish work"))


def test_words_agree_in_number(reviews: LabelledSentences) -> None:
    one, many, mass = ("|".join(sorted(words)) for words in (ONE, MANY, MASS))
    faults = re.compile(
        rf"\b(?:{many}) (?:was|is)\b|^the (?:{one}|{mass}) (?:were|are)\b"
        rf"|\ban? (?:\w+ )?(?:{many}|{mass})\b|\b(?:{many}) .*\bone\b|\b(?:{one}) .*\bones\b"
        rf"|\b(?:{mass}) .*\bones?\b|that the (?:{many}|staff) .* but (?:it|he|she)\b"
        rf"|that the (?:soup|cake|room) .* but (?:they|he|she)\b"
        rf"|that the (?:waiter|owner) .* but (?:it|they)\b"
    )
    for sentence in reviews.sentences:
        assert not faults.search(" ".join(sentence)), " ".join(sentence)


def test_balance_and_kinds(reviews: LabelledSentences) -> None:
    assert len(reviews) == len(reviews.kinds) == 20_000
    assert sum(reviews.labels) == 10_000
    assert 1800 < sum(reviews.labels[:4000]) < 2200
    counts = Counter(zip(reviews.kinds, reviews.labels, strict=True))
    assert set(counts) == {(kind, label) for kind in KINDS for label in (0, 1)}
    assert min(counts.values()) > 50
    for count, positive in ((1, 0), (2, 1), (7, 3), (100, 50)):
        some = generate(count, generator=torch.Generator().manual_seed(3))
        assert (len(some), sum(some.labels)) == (count, positive)


def test_generation_is_repeatable() -> None:
    first, again, other = (
        generate(50, generator=torch.Generator().manual_seed(seed)) for seed in (4, 4, 5)
    )
    assert first == again
    assert first.sentences != other.sentences
    generator = torch.Generator().manual_seed(4)
    generate(50, generator=generator)
    assert generate(50, generator=generator).sentences != first.sentences


def test_splits_share_no_sentence() -> None:
    splits = generate_splits(3000, 500, 701, generator=torch.Generator().manual_seed(6))
    assert [len(part) for part in splits] == [3000, 500, 701]
    assert [sum(part.labels) for part in splits] == [1500, 250, 350]
    train, dev, test = (set(part.sentences) for part in splits)
    assert not train & dev
    assert not train & test
    assert not dev & test
    assert all(set(part.kinds) == set(KINDS) for part in splits)
    assert splits == generate_splits(3000, 500, 701, generator=torch.Generator().manual_seed(6))


def test_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    generate_splits(5, 5, 5, generator=torch.Generator())
    assert torch.equal(before, torch.random.get_rng_state())


def test_refuses_numbers_below_one() -> None:
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        generate(0, generator=torch.Generator())
    for name in ("n_train", "n_dev", "n_test"):
        numbers = {"n_train": 1, "n_dev": 1, "n_test": 1, name: -1}
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got -1"):
            generate_splits(generator=torch.Generator(), **numbers)
