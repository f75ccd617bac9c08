"""Sentences of different lengths as word indices, one after the other.

Nothing is padded in memory. A batch is padded when it is formed, to its own longest sentence; a
batch of nearly equal lengths hardly is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from rnnreport._checks import check_at_least
from rnnreport.data.vocabulary import Vocabulary

__all__ = ["Sentences", "order_by_length"]


@dataclass(frozen=True, eq=False)
class Sentences:
    """N sentences as word indices.

    Attributes
    ----------
    words : Tensor, shape (K,), int64
        The words of all sentences, one sentence after the other; index 0 is the padding and does
        not occur.
    lengths : Tensor, shape (N,), int64
        How many words each sentence has, at least one.

    Raises
    ------
    ValueError
        If a shape or dtype is another, a word or a length is below 1 or the lengths do not add up
        to K.
    """

    words: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        for name in ("words", "lengths"):
            tensor: Tensor = getattr(self, name)
            if tensor.dtype != torch.int64 or tensor.ndim != 1:
                raise ValueError(
                    f"{name} must be a row of torch.int64, got {tensor.dtype} of shape "
                    f"{tuple(tensor.shape)}"
                )
            if len(tensor) and int(tensor.min()) < 1:
                raise ValueError(f"{name} must be at least 1, got {int(tensor.min())}")
        if int(self.lengths.sum()) != len(self.words):
            raise ValueError(
                f"lengths must add up to the {len(self.words)} words, got {int(self.lengths.sum())}"
            )

    @classmethod
    def encode(cls, vocabulary: Vocabulary, sentences: Sequence[Sequence[str]]) -> Sentences:
        """Turn words into indices; a word that the vocabulary does not have becomes ``<UNK>``.

        Parameters
        ----------
        vocabulary
            Its first word is ``<NULL>``.
        sentences
            Sentences as lists of words, none of them empty.

        Raises
        ------
        ValueError
            If a sentence has no word, is a string or holds a special word.
        """
        rows = []
        for number, sentence in enumerate(sentences):
            if not len(sentence):
                raise ValueError(f"sentences[{number}] must have at least one word, got none")
            rows.append(vocabulary.indices(sentence, f"sentences[{number}]"))
        return cls(
            torch.tensor([index for row in rows for index in row], dtype=torch.int64),
            torch.tensor([len(row) for row in rows], dtype=torch.int64),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def starts(self) -> Tensor:
        """Where each sentence begins in :attr:`words`, shape (N,)."""
        return self.lengths.cumsum(0) - self.lengths

    def to(self, device: torch.device | str) -> Sentences:
        """Return the same sentences on a device."""
        return Sentences(self.words.to(device), self.lengths.to(device))

    def take(self, rows: Tensor) -> Sentences:
        """Return some of the sentences, in a given order.

        Parameters
        ----------
        rows : Tensor, shape (M,), int64
            Which.
        """
        lengths = self.lengths[rows]
        shift = self.starts[rows] - (lengths.cumsum(0) - lengths)
        places = torch.arange(int(lengths.sum()), device=rows.device)
        return _unchecked(self.words[places + shift.repeat_interleave(lengths)], lengths)

    def batches(self, size: int) -> Iterator[Sentences]:
        """Yield the sentences in their order, `size` at a time; the last batch may be smaller.

        Parameters
        ----------
        size
            At least 1.

        Raises
        ------
        ValueError
            If `size` is below 1.
        """
        check_at_least(1, size=size)
        if not len(self):
            return
        lengths = torch.split(self.lengths, size)
        words = torch.split(self.words, [int(part.sum()) for part in lengths])
        for pair in zip(words, lengths, strict=True):
            yield _unchecked(*pair)

    def distinct(self) -> Sentences:
        """Return each sentence as the set of its words: every word once, in ascending order."""
        n_words = int(self.words.max()) + 1 if len(self.words) else 1
        sentence = torch.arange(len(self), device=self.words.device)
        pairs = torch.unique(sentence.repeat_interleave(self.lengths) * n_words + self.words)
        return Sentences(pairs % n_words, torch.bincount(pairs // n_words, minlength=len(self)))

    def padded(self) -> Tensor:
        """Return the words as columns, padded below to the longest sentence.

        Returns
        -------
        Tensor, shape (T, N), int64
            Time first; the index of ``<NULL>``, 0, where a sentence has ended.
        """
        if not len(self):
            return self.words.new_zeros(0, 0)
        step = torch.arange(int(self.lengths.max()), device=self.words.device)[:, None]
        place = (self.starts + step).clamp_(max=len(self.words) - 1)
        return torch.where(step < self.lengths, self.words[place], 0)


def _unchecked(words: Tensor, lengths: Tensor) -> Sentences:
    """Make sentences without checks: a batch is made thousands of times."""
    sentences = object.__new__(Sentences)
    object.__setattr__(sentences, "words", words)
    object.__setattr__(sentences, "lengths", lengths)
    return sentences


def order_by_length(lengths: Tensor, batch_size: int, generator: Generator) -> Tensor:
    """Shuffle sentences so that those of a batch have nearly the same length.

    Sentences of equal length come in random order, and so do the batches; the last batch, which
    may be smaller, stays last.

    Parameters
    ----------
    lengths : Tensor, shape (N,), int64
        The sentences' lengths.
    batch_size
        Sentences in a batch.
    generator
        Draws all that is random.

    Returns
    -------
    Tensor, shape (N,), int64
        The order; to be cut into pieces of `batch_size`.

    Raises
    ------
    ValueError
        If `batch_size` is below 1.
    """
    check_at_least(1, batch_size=batch_size)
    shuffled = torch.randperm(len(lengths), generator=generator).to(lengths.device)
    order = shuffled[lengths[shuffled].argsort(stable=True)]
    whole = len(order) // batch_size * batch_size
    # A fixed rest would always be the longest sentences: cut it out at a random place.
    cut = int(torch.randint(whole + 1, (), generator=generator))
    rest = len(order) - whole
    full = torch.cat([order[:cut], order[cut + rest :]]).view(-1, batch_size)
    mixed = torch.randperm(len(full), generator=generator).to(lengths.device)
    return torch.cat([full[mixed].reshape(-1), order[cut : cut + rest]])
