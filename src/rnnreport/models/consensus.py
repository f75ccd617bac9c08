"""Consensus: of many sentences that a model draws, the one that the others agree with most.

The most probable sentence of a model is often a bland one. The one that is closest on average to
what the model says when it draws its words is a better guess at what people say: this is minimum
Bayes risk decoding (Kumar and Byrne, 2004), with the likeness of sentences for a risk.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy import sparse

__all__ = ["NgramWeights", "consensus"]

Sentence = Sequence[str]

_LONGEST = 4  # words of an n-gram, as CIDEr has it


class NgramWeights:
    r"""How much each n-gram of 1 to 4 words says about what it was said of.

    An n-gram that stands in the captions of ``d`` of ``D`` images has the weight
    :math:`\log (D / \max(d, 1))`: little if it fits every image, much if it fits few. It is the
    weight that CIDEr has (Vedantam et al., 2015), taken from the training captions.

    Parameters
    ----------
    captions
        The captions of each of the images, as lists of words.

    Raises
    ------
    ValueError
        If there is no image.
    """

    def __init__(self, captions: Iterable[Sequence[Sentence]]) -> None:
        self._images = 0
        self._counts: Counter[Sentence] = Counter()
        for of_one in captions:
            self._images += 1
            self._counts.update({ngram for words in of_one for ngram in _ngrams(words)})
        if not self._images:
            raise ValueError("captions must hold those of at least one image, got none")

    def __getitem__(self, ngram: Sentence) -> float:
        """Return the weight of an n-gram, a tuple of words."""
        return math.log(self._images / max(self._counts[ngram], 1))


def consensus(sentences: Sequence[Sentence], weights: NgramWeights) -> int:
    """Find the sentence that is most like all of them.

    Likeness is the cosine between the weighted counts of n-grams, averaged over n = 1 to 4.

    Parameters
    ----------
    sentences
        At least one, as lists of words. One that stands there often counts as often.
    weights
        Of the n-grams.

    Returns
    -------
    int
        The place of that sentence; the first of them where several are equal.

    Raises
    ------
    ValueError
        If there is no sentence.
    """
    if not sentences:
        raise ValueError("sentences must hold at least one, got none")
    likeness = np.zeros(len(sentences))
    for n in range(1, _LONGEST + 1):
        # The mean of the cosines with all rows is the cosine with the sum of the unit rows.
        rows = _unit_rows(sentences, n, weights)
        likeness += rows @ np.asarray(rows.sum(axis=0)).ravel()
    return int(likeness.round(9).argmax())


def _unit_rows(sentences: Sequence[Sentence], n: int, weights: NgramWeights) -> sparse.csr_array:
    """Weighted counts of n-grams, a row a sentence, each of length 1 or, where it has none, 0."""
    columns: dict[Sentence, int] = {}
    values, where, ends = [], [], [0]
    for words in sentences:
        counts = Counter(_ngrams(words, n, n))
        row = np.array([count * weights[ngram] for ngram, count in counts.items()])
        length = float(np.linalg.norm(row))
        values.append(row / length if length else row)
        where += [columns.setdefault(ngram, len(columns)) for ngram in counts]
        ends.append(len(where))
    shape = (len(sentences), max(len(columns), 1))
    return sparse.csr_array((np.concatenate(values), where, ends), shape=shape)


def _ngrams(words: Sentence, least: int = 1, most: int = _LONGEST) -> Iterator[Sentence]:
    for n in range(least, most + 1):
        for start in range(len(words) - n + 1):
            yield tuple(words[start : start + n])
