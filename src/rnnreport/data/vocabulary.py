"""Words and their indices."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import regex
import torch

from rnnreport._checks import check_at_least

__all__ = ["END", "NULL", "START", "UNK", "CaptionVocabulary", "Vocabulary", "tokenise"]

NULL, START, END, UNK = "<NULL>", "<START>", "<END>", "<UNK>"

# A word may hold hyphens and apostrophes inside; a possessive 's is a word of its own, whether it
# was already split off ("dog 's") or not ("dog's").
# A letter keeps its marks, and what joins or parts letters within a word: vowel signs are marks.
_PART = r"[\p{L}\p{N}][\p{L}\p{N}\p{M}\u200c\u200d]*"
_WORD = regex.compile(rf"'s\b|{_PART}(?:(?!['’]s\b)['’-]{_PART})*")


def tokenise(sentence: str) -> list[str]:
    """Split a sentence into lower-case words; punctuation is dropped.

    Parameters
    ----------
    sentence
        Any text.

    Returns
    -------
    list of str
        The words; empty if there are none.

    Examples
    --------
    >>> tokenise("A tri-colored dog 's ball , on the grass .")
    ['a', 'tri-colored', 'dog', "'s", 'ball', 'on', 'the', 'grass']
    """
    # Composed, so that one word is not two for being typed in two ways.
    plain = unicodedata.normalize("NFC", sentence.lower())
    words: list[str] = _WORD.findall(plain.replace("’", "'"))
    return words


@dataclass(frozen=True)
class Vocabulary:
    """Words in a fixed order; the index of a word is its place.

    Attributes
    ----------
    words
        All words, the special ones first: ``<NULL>``, which pads, and ``<UNK>``, which stands for
        any other word.

    Raises
    ------
    ValueError
        If the special words are not the first, or a word stands twice.
    """

    words: tuple[str, ...]

    SPECIAL: ClassVar[tuple[str, ...]] = (NULL, UNK)

    def __post_init__(self) -> None:
        first = self.words[: len(self.SPECIAL)]
        if first != self.SPECIAL:
            raise ValueError(f"words must begin with {self.SPECIAL}, got {first}")
        twice = [word for word, count in Counter(self.words).items() if count > 1]
        if twice:
            raise ValueError(f"words must hold every word once, got {twice[0]!r} twice")

    @classmethod
    def build(cls, sentences: Iterable[Sequence[str]], min_count: int = 1) -> Self:
        """Collect the words of sentences.

        Parameters
        ----------
        sentences
            Sentences as lists of words. Special words among them stand for no word and are passed
            over.
        min_count
            How often a word must stand in the sentences to be taken; at least 1.

        Returns
        -------
        Vocabulary
            The words, frequent ones first, equally frequent ones in alphabetical order.

        Raises
        ------
        ValueError
            If `min_count` is below 1, or a sentence is a string instead of a list of words.
        """
        check_at_least(1, min_count=min_count)
        counts: Counter[str] = Counter()
        for row, sentence in enumerate(sentences):
            cls._check(sentence, f"sentences[{row}]")
            counts.update(sentence)
        frequent = [
            word for word, count in counts.items() if count >= min_count and word not in cls.SPECIAL
        ]
        return cls(cls.SPECIAL + tuple(sorted(frequent, key=lambda word: (-counts[word], word))))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def word_to_idx(self) -> dict[str, int]:
        """The index of each word."""
        return {word: idx for idx, word in enumerate(self.words)}

    def indices(self, sentence: Sequence[str], name: str = "sentence") -> list[int]:
        """Return the index of each word of a sentence, that of ``<UNK>`` for an unknown word.

        Parameters
        ----------
        sentence
            A sentence as a list of words. A special word is an unknown one: a text may hold it,
            and must not end or pad a sentence with it.
        name
            What errors call it.

        Raises
        ------
        ValueError
            If the sentence is a string instead of a list of words.
        """
        self._check(sentence, name)
        unknown, first = self.word_to_idx[UNK], len(self.SPECIAL)
        indices = (self.word_to_idx.get(word, unknown) for word in sentence)
        return [idx if idx >= first else unknown for idx in indices]

    @staticmethod
    def _check(sentence: Sequence[str], name: str) -> None:
        if isinstance(sentence, str):
            raise ValueError(f"{name} must be a list of words, got the string {sentence!r}")


class CaptionVocabulary(Vocabulary):
    """A vocabulary that also marks where a caption begins and ends.

    Attributes
    ----------
    words
        All words, ``<NULL>``, ``<START>``, ``<END>`` and ``<UNK>`` first.
    """

    SPECIAL: ClassVar[tuple[str, ...]] = (NULL, START, END, UNK)

    def encode(self, captions: Sequence[Sequence[str]], length: int) -> torch.Tensor:
        """Turn captions into rows of word indices.

        Parameters
        ----------
        captions
            N captions as lists of words.
        length
            Length of a row: at least the number of words of the longest caption plus 2.

        Returns
        -------
        Tensor, int64, (N, length)
            Each row is ``<START>``, the caption, ``<END>``, then ``<NULL>`` to the end; words
            that the vocabulary does not have are ``<UNK>``.

        Raises
        ------
        ValueError
            If a caption has no word, is too long, or is a string instead of a list of words.
        """
        index = self.word_to_idx
        rows = torch.full((len(captions), length), index[NULL], dtype=torch.int64)
        for row, caption in enumerate(captions):
            indices = self.indices(caption, f"captions[{row}]")
            if not caption:
                raise ValueError(f"captions[{row}] must have at least one word, got none")
            if len(caption) + 2 > length:
                raise ValueError(
                    f"captions[{row}] must have at most {length - 2} words to fit with <START> and "
                    f"<END> into length {length}, got {len(caption)}: {' '.join(caption)!r}"
                )
            rows[row, : len(caption) + 2] = torch.tensor([index[START], *indices, index[END]])
        return rows

    def decode(self, indices: torch.Tensor) -> list[list[str]]:
        """Turn rows of word indices back into captions.

        Parameters
        ----------
        indices : Tensor, int64, (N, L)
            Word indices, with or without ``<START>``, ``<END>`` and ``<NULL>``.

        Returns
        -------
        list of list of str
            For each row its words up to ``<END>``, without ``<START>`` and ``<NULL>``. ``<UNK>``
            stays.

        Raises
        ------
        ValueError
            If `indices` is not a matrix of integers, or an index is out of range.
        """
        if indices.ndim != 2 or indices.dtype != torch.int64:
            raise ValueError(
                "indices must have shape (N, L) and dtype torch.int64, got "
                f"{tuple(indices.shape)} and {indices.dtype}"
            )
        captions = []
        for number, row in enumerate(indices.tolist()):
            words: list[str] = []
            for idx in row:
                if not 0 <= idx < len(self.words):
                    raise ValueError(
                        f"indices[{number}] must hold 0 to {len(self.words) - 1}, got {idx}"
                    )
                word = self.words[idx]
                if word == END:
                    break
                if word not in (START, NULL):
                    words.append(word)
            captions.append(words)
        return captions
