"""How good captions are: BLEU, ROUGE-L and CIDEr, with intervals.

The package ``pycocoevalcap``, the reference implementation, counts n-grams and forms ROUGE-L and
CIDEr (its variant CIDEr-D). Captions are lists of words of this project's own tokeniser,
:func:`rnnreport.data.vocabulary.tokenise`: lower case, without punctuation. The literature splits
them with a Java program that the reference implementation starts; of the 5,000 reference captions
of Flickr8k's test part it splits three in another way ("can not", "&", "#"). METEOR, which the
literature also states, is a Java program itself and is left out.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from pycocoevalcap.bleu.bleu_scorer import cook_refs, cook_test
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from torch import Generator, Tensor

from rnnreport._checks import check_at_least

__all__ = [
    "MEASURES",
    "Caption",
    "Scores",
    "Unsupported",
    "bootstrap",
    "ciders",
    "exact_matches",
    "measure",
    "paired_difference",
    "share_in_training",
    "unsupported",
]

Caption = Sequence[str]
"""A caption as a sequence of words."""

_ORDER = 4  # the longest n-grams that are counted


@dataclasses.dataclass(frozen=True)
class Scores:
    """How near captions are to what people wrote.

    Attributes
    ----------
    bleu_1, bleu_2, bleu_3, bleu_4
        BLEU with n-grams up to 1, 2, 3 and 4 words, 0 to 1: the share of the captions' n-grams
        that stand in a reference, over all images, with a penalty for captions that are too short
        (Papineni et al. 2002).
    rouge_l
        ROUGE-L, 0 to 1: the longest common subsequence with a reference, averaged over images
        (Lin 2004).
    cider
        CIDEr-D, 0 to 10: the likeness of n-grams, rare ones weighted higher, averaged over images
        (Vedantam et al. 2015). How rare an n-gram is, is counted in the references of all images.
    """

    bleu_1: float
    bleu_2: float
    bleu_3: float
    bleu_4: float
    rouge_l: float
    cider: float

    @property
    def bleu(self) -> tuple[float, float, float, float]:
        """BLEU-1 to BLEU-4."""
        return self.bleu_1, self.bleu_2, self.bleu_3, self.bleu_4


MEASURES: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Scores))
"""The names of the measures, in the order of :class:`Scores`."""


def measure(captions: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> Scores:
    """Score captions against references.

    Parameters
    ----------
    captions
        One caption for each of N images. A caption without a word scores nothing.
    references
        For each image at least one reference.

    Returns
    -------
    Scores
        Of all images. With a single image every n-gram is as common as any other, and CIDEr is 0.

    Raises
    ------
    ValueError
        If there is no image, or as many captions as references are not given; if an image has no
        reference, or a reference no word; if a caption or reference is a string instead of a
        sequence of words, or one of its words is empty or holds white space.
    """
    _check_references(references)
    parts = _parts("captions", captions, references)
    return Scores(*_combine(parts.sum(0), len(parts)).tolist())


def ciders(captions: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> list[float]:
    """Return the CIDEr of each image; how rare an n-gram is, is counted in the references.

    Parameters
    ----------
    captions, references
        As :func:`measure` takes them.

    Returns
    -------
    list of float
        In the order of the captions; their mean is the CIDEr of all.

    Raises
    ------
    ValueError
        As :func:`measure` has it.
    """
    _check_references(references)
    values: list[float] = _parts("captions", captions, references)[:, -1].tolist()
    return values


def bootstrap(
    captions_of_seeds: Sequence[Sequence[Caption]],
    references: Sequence[Sequence[Caption]],
    *,
    draws: int = 1000,
    generator: Generator,
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of the measures over images.

    As many images as there are are drawn with replacement, again and again. On each draw every
    measure is averaged over the seeds; the interval reaches from the 2.5th to the 97.5th percentile
    of these averages. BLEU is formed anew from the counts of the drawn images. CIDEr keeps the
    weights of the n-grams from the references of all images.

    Parameters
    ----------
    captions_of_seeds
        The captions of one model trained with one or several seeds, each as :func:`measure` takes
        them.
    references
        As :func:`measure` takes them.
    draws
        How often images are drawn; at least 1.
    generator
        Draws the images, on the CPU.

    Returns
    -------
    dict of str to (float, float)
        The low and the high end for each of :data:`MEASURES`.

    Raises
    ------
    ValueError
        As :func:`measure` does; also if there are no captions of a seed, or `draws` is below 1.
    """
    _check_references(references)
    parts = _parts_of_seeds("captions_of_seeds", captions_of_seeds, references)
    drawn = torch.stack(
        [
            _combine(counts @ parts, len(references)).mean(0)
            for counts in _draws(len(references), draws, generator)
        ]
    )
    return dict(zip(MEASURES, map(_interval, drawn.T), strict=True))


def paired_difference(
    a: Sequence[Sequence[Caption]],
    b: Sequence[Sequence[Caption]],
    references: Sequence[Sequence[Caption]],
    *,
    draws: int = 1000,
    generator: Generator,
) -> tuple[float, tuple[float, float]]:
    """Compare the CIDEr of two models on the same images.

    Both are scored on the same drawn images, so that what makes an image hard for both cancels.

    Parameters
    ----------
    a, b
        The captions of two models, each of one or several seeds, as :func:`bootstrap` takes them.
    references
        As :func:`measure` takes them.
    draws
        How often images are drawn; at least 1.
    generator
        Draws the images, on the CPU.

    Returns
    -------
    difference : float
        CIDEr of `a` minus CIDEr of `b`, both averaged over their seeds.
    (low, high) : tuple of float
        Its 95 % interval over images, as in :func:`bootstrap`.

    Raises
    ------
    ValueError
        As :func:`bootstrap` does.
    """
    _check_references(references)
    of_a, of_b = (
        _parts_of_seeds(name, captions, references)[:, :, -1].mean(0)
        for name, captions in (("a", a), ("b", b))
    )
    lead = of_a - of_b  # (N,)
    drawn = [counts @ lead / len(lead) for counts in _draws(len(lead), draws, generator)]
    return lead.mean().item(), _interval(torch.stack(drawn))


def share_in_training(captions: Sequence[Caption], training_captions: Iterable[Caption]) -> float:
    """Return the share of captions that stand word for word among the training captions.

    Parameters
    ----------
    captions
        At least one caption.
    training_captions
        All captions that were trained on.

    Raises
    ------
    ValueError
        If there is no caption, or one is a string instead of a sequence of words.
    """
    if not captions:
        raise ValueError("captions must hold at least one caption, got none")
    distinct = set()
    for row, caption in enumerate(training_captions):
        _check_words(f"training_captions[{row}]", caption)
        distinct.add(tuple(caption))
    for row, caption in enumerate(captions):
        _check_words(f"captions[{row}]", caption)
    return sum(tuple(caption) in distinct for caption in captions) / len(captions)


class Unsupported(NamedTuple):
    """The content words of captions that no reference caption of their image has.

    Attributes
    ----------
    share : float
        Of all content words of the captions.
    words : list of (str, int, int)
        Each word that a caption has without support: in how many captions it stands, and in how
        many of these a reference has it too. Those come first that stand most often without.
    """

    share: float
    words: list[tuple[str, int, int]]


# Words of grammar, and those that count: they say little of what an image shows.
_GRAMMAR = """
a an the this that these those his her hers him he she it its their them they there who which what
while where when as and or but of in on at to with by without from into onto over under up down off
out through across around along behind beside between near next for against above below toward
towards past during is are was were be been being has have having do does doing can some something
someone another other others each both all very 's one two three four five six several many few
group
"""
_FUNCTION_WORDS = frozenset(_GRAMMAR.split())


def unsupported(
    captions: Sequence[Caption], references: Sequence[Sequence[Caption]]
) -> Unsupported:
    """Find the content words of captions that no reference of the image has.

    Such a word may be true, where nobody thought of it; the share of people's own captions, each
    held against the others, says how often.

    Parameters
    ----------
    captions, references
        As :func:`measure` takes them.

    Returns
    -------
    Unsupported
        Their share, which is 0 where the captions have no content word, and the words.

    Raises
    ------
    ValueError
        As :func:`measure` does.
    """
    _check_references(references)
    _check_captions("captions", captions, references)
    said, supported = Counter[str](), Counter[str]()
    for caption, of_image in zip(captions, references, strict=True):
        words = set(caption) - _FUNCTION_WORDS
        said.update(words)
        supported.update(words & {word for reference in of_image for word in reference})
    total = said.total()
    rows = [(word, count, supported[word]) for word, count in said.items()]
    rows = [row for row in rows if row[1] > row[2]]
    return Unsupported(
        (total - supported.total()) / total if total else 0.0,
        sorted(rows, key=lambda row: (row[2] - row[1], row[0])),
    )


def exact_matches(captions: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> int:
    """Count the captions that equal one of their image's references word for word.

    Parameters
    ----------
    captions, references
        As :func:`measure` takes them.

    Raises
    ------
    ValueError
        As :func:`measure` does.
    """
    _check_references(references)
    _check_captions("captions", captions, references)
    return sum(
        tuple(caption) in map(tuple, of_image)
        for caption, of_image in zip(captions, references, strict=True)
    )


def _parts_of_seeds(
    name: str,
    captions_of_seeds: Sequence[Sequence[Caption]],
    references: Sequence[Sequence[Caption]],
) -> Tensor:
    """Return :func:`_parts` of each seed, (S, N, 12)."""
    if not captions_of_seeds:
        raise ValueError(f"{name} must hold the captions of at least one seed, got none")
    return torch.stack(
        [
            _parts(f"{name}[{seed}]", captions, references)
            for seed, captions in enumerate(captions_of_seeds)
        ]
    )


def _parts(
    name: str, captions: Sequence[Caption], references: Sequence[Sequence[Caption]]
) -> Tensor:
    """Return what each image adds to the measures, float64, (N, 12).

    The columns: n-grams of the caption that stand in a reference, for n = 1 to 4; all n-grams of
    the caption; its length; the reference length that is nearest; ROUGE-L; CIDEr.
    """
    _check_captions(name, captions, references)
    return _parts_of_texts(
        tuple(" ".join(caption) for caption in captions),
        tuple(tuple(" ".join(one) for one in of_image) for of_image in references),
    )


@functools.lru_cache(maxsize=64)  # values, intervals and differences ask for the same again
def _parts_of_texts(captions: tuple[str, ...], references: tuple[tuple[str, ...], ...]) -> Tensor:
    written = {row: [caption] for row, caption in enumerate(captions)}
    right = {row: list(of_image) for row, of_image in enumerate(references)}
    counts = []
    for row in written:
        cooked = cook_test(written[row][0], cook_refs(right[row], n=_ORDER), "closest", _ORDER)
        counts.append([*cooked["correct"], *cooked["guess"], cooked["testlen"], cooked["reflen"]])
    means = [scorer.compute_score(right, written)[1] for scorer in (Rouge(), Cider(n=_ORDER))]
    return torch.cat(
        [
            torch.tensor(counts, dtype=torch.float64),
            torch.stack([torch.from_numpy(each) for each in means], dim=1),
        ],
        dim=1,
    )


def _combine(sums: Tensor, count: int) -> Tensor:
    """Turn sums of :func:`_parts` over `count` images, (..., 12), into the measures, (..., 6)."""
    correct, guess, length, nearest, means = torch.split(sums, [_ORDER, _ORDER, 1, 1, 2], dim=-1)
    # The small numbers are the package's: with them nothing is divided by zero.
    precision = ((correct + 1e-15) / (guess + 1e-9)).cumprod(-1)
    order = torch.arange(1, _ORDER + 1, dtype=sums.dtype)
    ratio = (length + 1e-15) / (nearest + 1e-9)
    bleu = precision ** (1 / order) * (1 - 1 / ratio).clamp(max=0).exp()
    return torch.cat([bleu, means / count], dim=-1)


def _draws(count: int, draws: int, generator: Generator) -> Iterable[Tensor]:
    """Yield how often each image is drawn, float64, (N,)."""
    check_at_least(1, draws=draws)
    for _ in range(draws):
        rows = torch.randint(count, (count,), generator=generator)
        yield rows.bincount(minlength=count).double()


def _interval(values: Tensor) -> tuple[float, float]:
    low, high = values.quantile(values.new_tensor([0.025, 0.975])).tolist()
    return low, high


def _check_references(references: Sequence[Sequence[Caption]]) -> None:
    if not references:
        raise ValueError("references must hold those of at least one image, got none")
    for row, of_image in enumerate(references):
        if isinstance(of_image, str):
            raise ValueError(
                f"references[{row}] must be a sequence of references, got the string {of_image!r}"
            )
        if not of_image:
            raise ValueError(f"references[{row}] must hold at least one reference, got none")
        for number, reference in enumerate(of_image):
            name = f"references[{row}][{number}]"
            _check_words(name, reference)
            if not reference:
                raise ValueError(f"{name} must have at least one word, got none")


def _check_captions(
    name: str, captions: Sequence[Caption], references: Sequence[Sequence[Caption]]
) -> None:
    if len(captions) != len(references):
        raise ValueError(
            f"{name} must hold one caption for each of the {len(references)} images of "
            f"references, got {len(captions)}"
        )
    for row, caption in enumerate(captions):
        _check_words(f"{name}[{row}]", caption)


def _check_words(name: str, caption: Caption) -> None:
    if isinstance(caption, str):
        raise ValueError(f"{name} must be a sequence of words, got the string {caption!r}")
    # The package joins words by spaces and splits them again.
    split = [word for word in caption if word.split() != [word]]
    if split:
        raise ValueError(f"{name} must hold words without white space, got {split[0]!r}")
