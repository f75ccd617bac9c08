"""Reviews: made-up sentences about restaurants, hotels and shops, with the label each deserves.

The sample that stands in for labelled sentences where there are none. Each sentence follows a
template of one of the :data:`KINDS` of construction. In most of them the order of the words
decides: "the room was dirty but the food was excellent" is praise, and the same words with the two
adjectives exchanged are a complaint. Which words occur does not settle the label there.

A template says the label by its slots. ``pro`` slots speak for the label, ``con`` slots against it,
and the template is such that the ``pro`` side prevails: the clause after "but", the main clause
beside "although", what was got and not what was expected, the negation of a ``con`` word.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Generator

from rnnreport.data.sentiment import LabelledSentences, SentimentSplits

__all__ = ["KINDS", "generate", "generate_splits"]

_T = TypeVar("_T")
Sentence = tuple[str, ...]

_SHORTEST, _LONGEST = 5, 15  # tokens


def generate(count: int, *, generator: Generator) -> LabelledSentences:
    """Make up reviews.

    Parameters
    ----------
    count
        How many. Half of them are positive; of an odd number, one more is negative.
    generator
        The source of all randomness: the same state gives the same sentences.

    Returns
    -------
    LabelledSentences
        Sentences of 5 to 15 tokens in random order, with their kinds. A short one may occur twice.

    Raises
    ------
    ValueError
        If `count` is below 1.
    """
    _check(count=count)
    return _generate(count, generator, frozenset())


def generate_splits(
    n_train: int, n_dev: int, n_test: int, *, generator: Generator
) -> SentimentSplits:
    """Make up reviews to learn from, to choose by and to report on.

    Parameters
    ----------
    n_train, n_dev, n_test
        How many of each, balanced as by :func:`generate`.
    generator
        The source of all randomness.

    Returns
    -------
    SentimentSplits
        The three parts. No sentence stands in two of them.

    Raises
    ------
    ValueError
        If a number is below 1.
    """
    _check(n_train=n_train, n_dev=n_dev, n_test=n_test)
    train = _generate(n_train, generator, frozenset())
    dev = _generate(n_dev, generator, frozenset(train.sentences))
    test = _generate(n_test, generator, frozenset(train.sentences + dev.sentences))
    return SentimentSplits(train, dev, test)


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")


def _generate(count: int, generator: Generator, taken: frozenset[Sentence]) -> LabelledSentences:
    labels = [place % 2 for place in torch.randperm(count, generator=generator).tolist()]
    sentences, kinds = [], []
    for label in labels:
        kind, sentence = _review(label, generator)
        while sentence in taken:
            kind, sentence = _review(label, generator)
        sentences.append(sentence)
        kinds.append(kind)
    return LabelledSentences(tuple(sentences), tuple(labels), tuple(kinds))


def _review(label: int, generator: Generator) -> tuple[str, Sentence]:
    kind = _pick(_KIND_LOTS, generator)
    either, *sided = _TEMPLATES[kind]
    templates = (*either, *sided[label])
    while True:
        template = _pick(templates, generator)
        # A noun that "one" stands for is one that can be counted.
        slots = _Slots(label, generator, countable="{one}" in template)
        sentence = tuple(template.format_map(slots).split())
        if _SHORTEST <= len(sentence) <= _LONGEST:
            return kind, sentence


# Words. Pairs are indexed by the label: what is bad, what is good.


class _Noun(NamedTuple):
    """Something that a review judges, and how the sentence speaks of it."""

    word: str
    aspect: str
    number: str  # one, many or mass


def _nouns(aspect: str, words: str) -> tuple[_Noun, ...]:
    """Read "singular words | plural words | words without an article"."""
    groups = zip(("one", "many", "mass"), words.split("|"), strict=True)
    return tuple(
        _Noun(word.replace("_", " "), aspect, number)
        for number, group in groups
        for word in group.split()
    )


_ROOMS = "room lobby bathroom lounge balcony hallway courtyard | bedrooms corridors | "

_VENUES: dict[str, tuple[_Noun, ...]] = {
    venue: tuple(noun for aspect, words in nouns.items() for noun in _nouns(aspect, words))
    for venues, nouns in (
        (
            "restaurant diner bistro steakhouse tavern canteen",
            {
                "dish": "soup pizza steak burger curry stew omelette risotto lasagna casserole "
                "| noodles dumplings fries meatballs ribs | pasta chicken fish rice lamb food",
                "drink": "cocktail smoothie milkshake | drinks | coffee wine tea beer lemonade",
                "person": "waiter waitress owner bartender host cook | servers | staff",
                "space": "dining_room patio bathroom terrace | booths restrooms | ",
                "service": " | | service",
            },
        ),
        (
            "bakery cafe",
            {
                "cake": "cake croissant muffin pie scone brownie tart bagel "
                "| cookies pancakes waffles doughnuts | bread toast",
                "drink": "latte espresso cappuccino milkshake | drinks | coffee tea cocoa",
                "person": "baker owner cashier barista | | staff",
                "service": " | | service",
            },
        ),
        (
            "hotel hostel inn motel guesthouse",
            {
                "space": _ROOMS,
                "person": "receptionist porter manager concierge | cleaners | staff",
                "service": "check-in | | service housekeeping",
            },
        ),
        (
            "garage workshop dealership",
            {
                "job": "repair oil_change paint_job tune-up inspection | repairs | work",
                "person": "mechanic manager owner salesman | mechanics | staff",
                "service": "pick-up | | service",
            },
        ),
        (
            "salon spa barbershop",
            {
                "job": "haircut massage manicure pedicure facial trim | highlights | styling",
                "person": "stylist barber owner masseuse | stylists | staff",
                "space": "lounge changing_room sauna | | ",
            },
        ),
        (
            "shop store boutique outlet",
            {
                "article": "jacket lamp kettle blender sofa backpack keyboard tent watch suitcase "
                "toaster bicycle | shoes boots headphones sandals chairs | luggage furniture",
                "person": "cashier clerk manager assistant | clerks | staff",
                "service": "delivery | | service",
            },
        ),
    )
    for venue in venues.split()
}

# Words of a middling strength, which "not" turns into their opposite.
_MILD: dict[str, tuple[str, str]] = {
    "dish": (
        "bland cold greasy tasteless salty overcooked overpriced",
        "tasty fresh delicious flavourful tender hearty",
    ),
    "drink": ("weak bitter watery lukewarm sour", "fresh tasty refreshing smooth drinkable"),
    "cake": ("stale dry soggy burnt overpriced", "fresh tasty fluffy delicious moist"),
    "person": (
        "rude unfriendly careless impatient arrogant grumpy lazy unhelpful",
        "friendly polite helpful patient attentive kind honest professional",
    ),
    "space": (
        "dirty noisy cramped dusty smelly shabby gloomy",
        "clean quiet cosy bright spacious tidy comfortable",
    ),
    "service": ("slow sloppy unreliable chaotic", "quick prompt reliable efficient"),
    "job": ("sloppy careless rushed overpriced clumsy", "neat thorough careful affordable gentle"),
    "article": ("flimsy faulty scratched defective shoddy", "sturdy reliable durable solid pretty"),
}
_ANY_MILD = ("bad disappointing", "good nice")
# Strong words, which sound odd after "not" or "very".
_STRONG = (
    "terrible awful horrible dreadful atrocious abysmal lousy",
    "great excellent wonderful amazing perfect fantastic superb outstanding marvellous",
)
_VERBS = ("hated disliked regretted detested", "loved enjoyed liked adored")
_MOODS = (
    "disappointed unhappy annoyed frustrated dissatisfied",
    "happy impressed satisfied pleased delighted",
)
_COMPARED = ("worse", "better")
_PLACE_COMPARED = ("worse dirtier shabbier ruder", "better cleaner nicer friendlier")

_TIMES = (
    "", "", "", "that day", "last week", "on saturday", "this time", "in the evening", "on monday",
    "at lunch", "on our first visit", "yesterday", "last month", "on sunday", "at night",
    "on friday", "last summer", "in july", "this morning", "on tuesday", "in december",
    "last winter", "on wednesday", "in april", "on thursday", "last spring", "in august",
    "on our anniversary", "in october", "over christmas", "after midnight",
)  # fmt: skip
_PLACES = (
    "", "", "in town", "near the station", "on main street", "near the harbour", "by the river",
    "downtown", "near the airport", "on the corner", "near the museum", "by the beach",
    "near the stadium", "in the village", "near the church", "on oak street", "near the library",
    "by the lake", "near the castle", "in lisbon", "near the theatre", "in vienna", "in chicago",
    "near the bridge", "in dublin", "by the cathedral", "near the zoo", "in toronto",
)  # fmt: skip
_PEOPLE = (
    "my friends", "everyone", "my wife", "my husband", "my sister", "my neighbours", "the critics",
    "my parents", "my brother", "my boss", "my cousin", "my colleagues", "the locals", "my uncle",
    "my roommate", "the guidebook", "my grandmother", "the tourists",
)  # fmt: skip
# What says nothing of the place; {0} is "not" or nothing.
_FACTS = (
    "i had {0} booked", "it was {0} my first visit", "my wife was {0} with me",
    "we had {0} been there before", "i was {0} in a hurry", "it was {0} very late",
    "i had {0} read the reviews", "it was {0} raining", "i was {0} alone", "we had {0} called ahead",
    "it was {0} a holiday", "my parents were {0} with us", "we were {0} the only guests",
)  # fmt: skip


class _Slots(dict[str, str]):
    """Fills the slots of one template, each when it is first asked for."""

    def __init__(self, label: int, generator: Generator, *, countable: bool) -> None:
        super().__init__()
        self._label, self._generator = label, generator
        self._countable = countable
        self["venue"] = self._rare(tuple(_VENUES))
        self._nouns: dict[str, _Noun] = {}
        self._adjectives: set[str] = set()
        self._he = self._chance(0.5)

    def __missing__(self, slot: str) -> str:
        """Fill a slot: a name, and for the second noun of a sentence a 2 after it."""
        name, which = slot.rstrip("2"), slot[len(slot.rstrip("2")) :]
        self[slot] = value = _FILL[name](self, which)
        return value

    def noun(self, which: str) -> _Noun:
        """Return the first or the second noun."""
        if which not in self._nouns:
            nouns = [
                noun
                for noun in _VENUES[self["venue"]]
                if noun not in self._nouns.values()
                and not (self._countable and noun.number == "mass")
            ]
            self._nouns[which] = self._rare(tuple(nouns))
        return self._nouns[which]
