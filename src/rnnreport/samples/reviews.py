"""Reviews: made-up sentences about restaurants, hotels and shops, with the label each deserves.

The sample that stands in for labelled sentences if there are none. Each sentence follows a
template of one of the :data:`KINDS` of construction. In most of them the order of the words
decides: "the room was dirty but the food was excellent" is praise, and the same words with the two
adjectives exchanged are a complaint. Which words occur does not settle the label there.

A template says the label by its slots. ``pro`` slots speak for the label, ``con`` slots against it,
and the template is such that the ``pro`` side prevails: the clause after "but", the main clause
beside "although", what was got and not what was expected, the negation of a ``con`` word.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Generator

from rnnreport._checks import check_at_least
from rnnreport.data.sentiment import LabelledSentences, SentimentSplits
from rnnreport.draws import chance, pick, uniform
from rnnreport.samples._words import with_article

__all__ = ["KINDS", "generate", "generate_splits"]

_T = TypeVar("_T")
Sentence = tuple[str, ...]

_SHORTEST, _LONGEST = 5, 15  # tokens


def generate(count: int, *, generator: Generator) -> LabelledSentences:
    """Make up reviews of 5 to 15 tokens in random order, with their kinds.

    Half of them are positive; of an odd number, one more is negative. The generator's state decides
    everything, and a short sentence may occur twice. A `count` below 1 is a ``ValueError``.
    """
    check_at_least(1, count=count)
    return _generate(count, generator, frozenset())


def generate_splits(
    n_train: int, n_dev: int, n_test: int, *, generator: Generator
) -> SentimentSplits:
    """Make up three parts, each balanced as by :func:`generate`; no two share a sentence."""
    check_at_least(1, n_train=n_train, n_dev=n_dev, n_test=n_test)
    train = _generate(n_train, generator, frozenset())
    dev = _generate(n_dev, generator, frozenset(train.sentences))
    test = _generate(n_test, generator, frozenset(train.sentences + dev.sentences))
    return SentimentSplits(train, dev, test)


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
    kind = pick(_LOTS, generator)
    templates = _KINDS[kind].either + (_KINDS[kind].negative, _KINDS[kind].positive)[label]
    while True:
        template = pick(templates, generator)
        # What "one" stands for can be counted.
        slots = _Slots(label, generator, countable="one}" in template)
        sentence = tuple(template.format_map(slots).split())
        if _SHORTEST <= len(sentence) <= _LONGEST:
            return kind, sentence


# Words. Of a pair, the first is bad and the second good. The first words of a list are the most
# frequent ones.


class _Noun(NamedTuple):
    """Something that a review judges."""

    word: str
    aspect: str
    number: str  # one, many or mass


# What may be judged at each kind of place, at least two things of each aspect: singular nouns,
# plural nouns, and nouns without an article.
_PREMISES = {
    "restaurant diner bistro steakhouse tavern canteen": """
        dish: soup pizza steak burger curry stew omelette risotto lasagna casserole
            | noodles dumplings fries meatballs ribs | pasta chicken fish rice lamb
        drink: cocktail smoothie milkshake | | coffee tea lemonade
        person: waiter owner bartender cook | servers | staff
        space: dining_room patio bar terrace | booths |
        service: | | service seating""",
    "bakery cafe": """
        cake: cake croissant muffin pie scone brownie tart bagel
            | cookies pancakes waffles doughnuts | bread toast
        drink: latte espresso cappuccino | drinks | coffee tea cocoa
        person: baker owner cashier barista | | staff
        service: | | service catering""",
    "hotel hostel inn motel guesthouse": """
        space: room lobby bathroom lounge balcony hallway courtyard | corridors |
        person: receptionist porter manager concierge | cleaners | staff
        service: check-in | | service housekeeping""",
    "garage workshop dealership": """
        job: repair oil_change paint_job tune-up inspection | repairs | work
        person: mechanic owner manager dealer | mechanics | staff
        service: pick-up | | service""",
    "salon spa barbershop": """
        job: haircut massage manicure pedicure facial trim | highlights | styling
        person: stylist owner barber therapist | stylists | staff
        space: lounge changing_room sauna | |""",
    "shop store boutique outlet": """
        article: jacket lamp kettle blender sofa backpack keyboard tent watch suitcase toaster
            | shoes boots headphones sandals chairs | luggage furniture
        person: cashier manager clerk assistant | clerks | staff
        service: delivery checkout | | service""",
}


def _nouns(text: str) -> tuple[_Noun, ...]:
    """Read the nouns of a kind of place."""
    _, *parts = re.split(r"(\w+):", text)  # aspect, nouns, aspect, nouns, …
    return tuple(
        _Noun(word.replace("_", " "), aspect, number)
        for aspect, groups in zip(parts[::2], parts[1::2], strict=True)
        for number, group in zip(("one", "many", "mass"), groups.split("|"), strict=True)
        for word in group.split()
    )


_VENUES = {venue: _nouns(text) for venues, text in _PREMISES.items() for venue in venues.split()}

_SERVES = {
    "dish": "they served us",
    "drink": "they served us",
    "cake": "they sold us",
    "job": "they gave me",
    "article": "they sold me",
    "service": "they offered us",
}

# Adjectives of a middling strength: "not" turns them into their opposite.
_MILD: dict[str, tuple[str, str]] = {
    "dish": (
        "bland cold greasy tasteless salty overpriced",
        "tasty delicious fresh flavourful appetising",
    ),
    "drink": ("weak bitter watery lukewarm sour", "tasty fresh refreshing smooth"),
    "cake": ("stale dry soggy burnt overpriced", "tasty fresh delicious fluffy moist"),
    "person": (
        "rude unfriendly careless impatient arrogant grumpy lazy",
        "friendly polite helpful patient attentive kind cheerful",
    ),
    "space": ("dirty noisy cramped dusty smelly shabby", "clean quiet cosy bright spacious tidy"),
    "service": ("slow sloppy unreliable chaotic", "quick prompt reliable efficient"),
    "job": ("sloppy rushed careless overpriced", "neat thorough careful affordable"),
    "article": ("flimsy faulty scratched shoddy", "sturdy reliable durable solid"),
}
_ANY = ("bad disappointing", "good nice")
_ADVERBS = ("", "", "", "very", "really", "quite")
# Strong ones, which sound odd after "not" and "very".
_STRONG = (
    "terrible awful horrible dreadful atrocious abysmal",
    "great excellent wonderful amazing perfect fantastic superb outstanding",
)
_STRONG_ADVERBS = ("", "", "", "really", "absolutely", "simply")

# Judgements by other words than an adjective of a noun.
_JUDGED = {
    "verb": ("hated disliked criticised loathed", "loved liked praised adored"),
    "mood": (
        "disappointed unhappy annoyed frustrated dissatisfied",
        "happy impressed satisfied pleased delighted",
    ),
    "more": ("worse", "better"),
    "venue_more": ("worse dirtier shabbier ruder", "better cleaner nicer friendlier"),
}

# Neutral words.
_FREE: dict[str, tuple[str, ...]] = {
    "not": ("not", "n't"),
    "i": ("i", "we"),
    "i_was": ("i was", "we were"),
    "also": (", and", ";", "and"),
    "much": ("", "much", "far", "a lot"),
    "style": ("big", "modern", "famous", "fancy", "busy", "fashionable", "remote", "tiny"),
    "time": (
        "", "", "", "", "last week", "that day", "this time", "on saturday", "in the evening",
        "at lunch", "yesterday", "on our first visit", "last month", "on sunday", "at night",
        "on friday", "in july", "this morning", "on monday", "last summer", "in december",
        "on tuesday", "last winter", "on our anniversary", "in april", "over christmas",
        "on thursday", "last spring", "in august", "on wednesday", "after midnight", "in october",
    ),
    "place": (
        "", "", "in town", "on main street", "near the station", "downtown", "by the river",
        "near the harbour", "on the corner", "near the airport", "by the beach", "in the village",
        "near the museum", "near the church", "on oak street", "by the lake", "near the stadium",
        "near the library", "near the castle", "near the theatre", "in vienna", "near the zoo",
    ),
    "people": (
        "everyone", "my friends", "my wife", "my husband", "my sister", "the critics",
        "my neighbours", "my parents", "my brother", "my boss", "my cousin", "my colleagues",
        "the locals", "my uncle", "my roommate", "the tourists", "my grandmother",
    ),
}  # fmt: skip
# Rare words, for a long tail of the vocabulary.
_HAVE_ORIGIN = ("dish", "cake", "drink", "article")
_ORIGINS = (
    "italian", "greek", "thai", "french", "turkish", "korean", "spanish", "indian", "danish",
    "cuban", "austrian", "moroccan", "polish", "persian", "belgian", "scottish", "hungarian",
    "lebanese", "swiss", "peruvian", "bavarian", "icelandic", "basque", "armenian", "venetian",
    "corsican", "maltese", "catalan", "flemish", "cretan",
)  # fmt: skip
_FACTS = (
    "i had {} booked", "it was {} my first visit", "my wife was {} with me",
    "we had {} been there before", "i was {} in a hurry", "it was {} very late",
    "i had {} read the reviews", "it was {} raining", "i was {} alone", "we had {} called ahead",
    "it was {} a holiday", "my parents were {} with us", "we were {} the only guests",
)  # fmt: skip
_FREE["fact"] = tuple(fact.format("") for fact in _FACTS)
_FREE["denied"] = tuple(fact.format("not") for fact in _FACTS)


class _Kind(NamedTuple):
    """A construction: how many of forty sentences, and templates for both labels or for one."""

    weight: int
    either: tuple[str, ...]
    negative: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()


# A digit after a slot means another noun than the first; the one with a 3 is of the same aspect.
_KINDS = {
    "plain": _Kind(
        28,
        (
            "{the} {was} {pro} {time} .",
            "{the} at this {venue} {was} {pro} {time} .",
            "{the} {was} {pro} and {the2} {was2} {pro2} .",
            "{the} and {the3} were both {pro} {time} .",
            "{i} {pro_verb} {the} at this {venue} {place} .",
            "{serves} {pro_a_noun} and {pro_a_noun3} .",
            "{pro_a_noun} and {pro_a_noun2} {time} .",
            "what {pro_a_noun} at this {venue} !",
            "{i_was} {pro_mood} with {the} {time} .",
            "{the} left us {pro_mood} {time} .",
            "{pro_venue} {place} with {pro_a_noun} .",
        ),
        (
            "stay away from this {venue} {place} !",
            "save your money and avoid this {venue} {place} .",
            "they ignored us and laughed at our complaint {time} .",
            "they overcharged us by $ _num_ {time} .",
            "{i} asked the manager for a refund {time} .",
        ),
        (
            "{i} recommend this {venue} {place} to everyone .",
            "my favourite {venue} {place} , {i} will return soon .",
            "this {venue} {place} is worth every penny .",
            "they gave us a discount of $ _num_ {time} .",
            "{i} thanked the manager and left a big tip {time} .",
        ),
    ),
    "negation": _Kind(
        3,
        (
            "{the} {was} {not} {con_mild} {time} .",
            "{the} {was} not {con_mild} at all {time} .",
            "{the} at this {venue} {was} {not} {con_mild} {time} .",
            "{the} at this {venue} {was} never {con_mild} .",
            "nothing about {the} {was} {con_mild} {time} .",
            "nothing about {the} at this {venue} {was} {con_mild} .",
            "neither {the} nor {the3} {was3} {con_mild} {time} .",
            "{the} {was} anything but {con_mild} {time} .",
            "{the} {was} far from {con_mild} {time} .",
            "i would {not} call {the} {con_mild} .",
            "nobody can say that {the} {was} {con_mild} {time} .",
            "i do {not} think that {the} {was} {con_mild} .",
            "{i_was} {not} {con_mood} with {the} {time} .",
            "{the} did {not} leave us {con_mood} {time} .",
        ),
        (
            "{i} will never come back to this {venue} {place} .",
            "i do {not} recommend this {venue} {place} to anyone .",
            "there is no worse {venue} {place} .",
            "do {not} waste your money at this {venue} {place} .",
        ),
        (
            "{i} ca n't wait to come back to this {venue} .",
            "i would {not} go to any other {venue} {place} .",
            "there is no better {venue} {place} .",
            "you can not go wrong with {the} .",
        ),
    ),
    # "not" stands in both, and denies the judgement in one only.
    "scope": _Kind(
        1,
        (
            "{denied} {also} {the} {was} {pro_mild} .",
            "{fact} {also} {the} {was} not {con_mild} .",
            "{the} {was} {pro_mild} {also} {denied} .",
            "{the} {was} not {con_mild} {also} {fact} .",
            "not a {style} {venue} ; {the} {was} {pro_mild} .",
            "a {style} {venue} ; {the} {was} not {con_mild} .",
        ),
    ),
    "contrast": _Kind(
        4,
        (
            "{the} {con_is} {time} but {the2} {pro_is2} .",
            "{the} {con_is} but {the2} {pro_is2} {time} .",
            "{the} {con_is} , yet {the2} {pro_is2} {time} .",
            "although {the} {con_is} {time} , {the2} {pro_is2} .",
            "even though {the} {con_is} , {the2} {pro_is2} {time} .",
            "{the} {pro_is} {time} although {the2} {con_is2} .",
            "{the} {pro_is} , even though {the2} {con_is2} {time} .",
            "despite the {con_noun} , {the2} {pro_is2} {time} .",
            "{the} {pro_is} {time} despite the {con_noun2} .",
        ),
    ),
    "addition": _Kind(
        1,
        (
            "not only {was} {the} {pro_bare} , but {the2} {was2} also {pro_bare2} .",
            "{the} {was} not only {pro_bare} but also {pro_bare3} {time} .",
            "not only {the} but also {the3} {was3} {pro} {time} .",
            "{the} {was} not just {pro_bare} , {the2} {was2} {pro_bare2} too .",
        ),
    ),
    "expectation": _Kind(
        2,
        (
            "{i} expected {con_a_noun} and got {pro_a_one} {time} .",
            "instead of the {con_noun} we expected , we got {pro_a_one} .",
            "{i} got {pro_a_noun} , not the {con_one} {people} had promised .",
            "not the {con_noun} i expected , but {pro_a_one} {time} .",
            "{people} {con_verb} {the} ; {i} {pro_verb} {him} .",
            "{i} {pro_verb} {the} that {people} {con_verb} .",
            "{people} said that {the} {was} {con} , but {it_was} {pro} .",
            "{the} {was} {pro} ; {people} had promised {con_a_one} .",
        ),
    ),
    "comparison": _Kind(
        1,
        (
            "this one is {much} {pro_venue_more} than every other {venue} {place} .",
            "every other {venue} {place} is {much} {con_venue_more} than this one .",
            "the new {noun} {is} {much} {pro_more} than the old {one} .",
            "the old {noun} {was} {much} {con_more} than the new {one} .",
            "the old {noun} {was} {con} ; the new {one} {is} {pro} .",
            "the new {noun} {is} {pro} ; the old {one} {was} {con} .",
        ),
    ),
}

KINDS: tuple[str, ...] = tuple(_KINDS)
"""The constructions: plain judgements, negation with its scope, two clauses or things compared."""

_LOTS = tuple(kind for kind in KINDS for _ in range(_KINDS[kind].weight))


class _Slots(dict[str, str]):
    """Fills the slots of one template, each when it is first asked for."""

    def __init__(self, label: int, generator: Generator, *, countable: bool) -> None:
        super().__init__()
        self._label, self._generator, self._countable = label, generator, countable
        self._nouns: dict[str, _Noun] = {}
        self._used: list[str] = []
        self._he = pick(("he", "she"), generator)
        self["venue"] = _rare(tuple(_VENUES), generator)

    def __missing__(self, slot: str) -> str:
        which = slot[len(slot.rstrip("23")) :]
        name = slot.removesuffix(which)
        side, _, what = name.partition("_")
        if side in ("pro", "con"):
            value = self._judge(self._label if side == "pro" else 1 - self._label, what, which)
        elif name in _FREE:
            value = _rare(_FREE[name], self._generator)
        else:
            value = self._speak(name, self._noun(which))
        self[slot] = value
        return value

    def _noun(self, which: str) -> _Noun:
        """Return the first noun, or the one with this digit."""
        if which not in self._nouns:
            aspect = self._noun("").aspect if which == "3" else None
            nouns = [
                noun
                for noun in _VENUES[self["venue"]]
                if noun.word not in self._used
                and aspect in (None, noun.aspect)
                and not (self._countable and noun.number == "mass")
            ]
            noun = _rare(nouns, self._generator)
            self._used.append(noun.word)
            if noun.aspect in _HAVE_ORIGIN and chance(0.04, self._generator):
                noun = noun._replace(word=f"{_rare(_ORIGINS, self._generator)} {noun.word}")
            self._nouns[which] = noun
        return self._nouns[which]

    def _judge(self, good: int, what: str, which: str) -> str:
        """Return a phrase that calls something bad (0) or good (1)."""
        if what in _JUDGED:
            return _rare(_JUDGED[what][good].split(), self._generator)
        if what == "venue":
            return with_article(f"{self._adjective(_STRONG[good])} {self['venue']}")
        noun = self._noun(which)
        mild = f"{_MILD[noun.aspect][good]} {_ANY[good]}"
        if what == "mild":
            return self._adjective(mild)
        if what == "is" and chance(0.15, self._generator):
            opposite = self._adjective(_MILD[noun.aspect][1 - good])
            return f"{self._speak('was', noun)} {self['not']} {opposite}"
        strong = chance(0.35, self._generator)
        adjective = self._adjective(_STRONG[good] if strong else mild)
        adverb = pick(_STRONG_ADVERBS if strong else _ADVERBS, self._generator)
        phrases = {
            "": f"{adverb} {adjective}",
            "is": f"{self._speak('was', noun)} {adverb} {adjective}",
            "bare": adjective,
            "noun": f"{adjective} {noun.word}",
            "one": f"{adjective} {self._speak('one', noun)}",
        }
        phrase = phrases[what.removeprefix("a_")]
        return with_article(phrase) if what[:2] == "a_" and noun.number == "one" else phrase

    def _adjective(self, words: str) -> str:
        """Choose a word that the sentence does not have yet."""
        unused = [word for word in words.split() if word not in self._used]
        self._used.append(pick(unused, self._generator))
        return self._used[-1]

    def _speak(self, name: str, noun: _Noun) -> str:
        """Return a word that goes with a noun, by its number and whether it is a person."""
        if name == "noun":
            return noun.word
        if name == "the":
            return f"the {noun.word}"
        if name == "serves":
            return _SERVES.get(noun.aspect, f"this {self['venue']} has")
        many, person = noun.number == "many", noun.aspect == "person"
        if name in ("was", "is", "one"):
            return {"was": "were", "is": "are", "one": "ones"}[name] if many else name
        if many or (person and noun.number == "mass"):  # the staff was rude, but they were quick
            return {"it_was": "they were", "him": "them"}[name]
        if person:
            return {"it_was": f"{self._he} was", "him": "him" if self._he == "he" else "her"}[name]
        return {"it_was": "it was", "him": "it"}[name]


def _rare(items: Sequence[_T], generator: Generator) -> _T:
    """Choose an item, the first ones more often than the last ones."""
    return items[int(len(items) * uniform(0.0, 1.0, generator) ** 2.5)]
