r"""Labelled sentences: reviews, and whether they praise.

A text file holds one sentence a line: its label, 0 for negative or 1 for positive, and its tokens.
The tokens are taken as they stand. In the data set that the report uses they are in lower case,
punctuation marks are tokens, and ``_num_`` stands for any number.

Only ASCII white space parts tokens, and only ``\n`` or ``\r\n`` ends a line. Other white space,
such as a no-break space or U+2028, belongs to the token in which it stands: :meth:`str.split` and
:meth:`str.splitlines` would part there, and shift all line numbers after it.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rnnreport.data.assets import DataFormatError
from rnnreport.data.foreign import check_content

__all__ = [
    "LabelledSentences",
    "SentimentSplits",
    "load_sentiment",
    "read_labelled",
    "tokenise_review",
]

_LABELS = {b"0": 0, b"1": 1}
_CLOSED = re.compile(r"(?<!\S)''(?!\S)")
_PLAIN = str.maketrans("‘’“”", "''\"\"")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class LabelledSentences:
    """Sentences, each with a label.

    Attributes
    ----------
    sentences
        The N sentences as tokens, at least one each.
    labels
        For each sentence 0 (negative) or 1 (positive).
    kinds
        For each generated sentence (:mod:`rnnreport.samples.reviews`) its construction; empty for
        others.

    Raises
    ------
    ValueError
        If the parts differ in length, a sentence is empty or a label is neither 0 nor 1.
    """

    sentences: tuple[tuple[str, ...], ...]
    labels: tuple[int, ...]
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, part in (("labels", self.labels), ("kinds", self.kinds)):
            if len(part) != len(self.sentences) and not (name == "kinds" and not part):
                raise ValueError(
                    f"{name} must be as many as the {len(self.sentences)} sentences, "
                    f"got {len(part)}"
                )
        for number, (sentence, label) in enumerate(zip(self.sentences, self.labels, strict=True)):
            if not sentence:
                raise ValueError(f"sentence {number} has no token")
            if label not in (0, 1):
                raise ValueError(f"labels must be 0 or 1, got {label!r} for sentence {number}")

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self.sentences)


class SentimentSplits(NamedTuple):
    """Sentences for training, for choosing settings and for the reported numbers."""

    train: LabelledSentences
    dev: LabelledSentences
    test: LabelledSentences


def load_sentiment(root: Path) -> SentimentSplits:
    """Read the three files of a folder.

    Parameters
    ----------
    root
        The folder with ``train.txt``, ``dev.txt`` and ``test.txt``.

    Returns
    -------
    SentimentSplits
        The sentences of the files, in their order.

    Raises
    ------
    MissingDataError
        If one of the files is not there.
    DataFormatError
        As from :func:`read_labelled`.
    """
    return SentimentSplits(
        *(read_labelled(root / f"{part}.txt") for part in SentimentSplits._fields)
    )


def read_labelled(path: Path) -> LabelledSentences:
    """Read and check a file of labelled sentences.

    Blank lines are skipped, wherever they stand; a byte order mark is too.

    Parameters
    ----------
    path
        A UTF-8 file with lines ``LABEL token token …``.

    Returns
    -------
    LabelledSentences
        The sentences in the order of the file.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataFormatError
        If it is no text file; if a line is not UTF-8, begins with something else than 0 or 1, has
        no token after the label or holds a carriage return that does not end it; or if the file
        holds no sentence. The message names the file and the line.
    """
    check_content(path, "lines of a label and a sentence")
    sentences, labels = [], []
    for place, (label, *tokens) in _lines(path):
        if label not in _LABELS:
            raise DataFormatError(f"{place}: expected the label 0 or 1, got {label.decode()!r}")
        if not tokens:
            raise DataFormatError(f"{place}: no token after the label")
        sentences.append(tuple(token.decode() for token in tokens))
        labels.append(_LABELS[label])
    if not sentences:
        raise DataFormatError(f"{path}: no sentence in the file")
    return LabelledSentences(tuple(sentences), tuple(labels))


def tokenise_review(sentence: str) -> list[str]:
    """Split a sentence into tokens as those of the data set are.

    They follow the conventions of the Penn Treebank: punctuation marks are tokens of their own,
    ``wasn't`` becomes ``was n't``. Besides, words are in lower case and a number is ``_num_``. A
    sentence that is tokenised already stays as it is.

    Parameters
    ----------
    sentence
        Any text; meant as one sentence.

    Returns
    -------
    list of str
        The tokens; empty if there are none.

    Examples
    --------
    >>> tokenise_review("The 2 soups weren't bad!")
    ['the', '_num_', 'soups', 'were', "n't", 'bad', '!']
    """
    # Imported here: it takes as long as torch, and only a user's own sentences need it.
    from nltk.tokenize.treebank import TreebankWordTokenizer

    split = TreebankWordTokenizer().tokenize
    plain = unicodedata.normalize("NFC", sentence.lower()).translate(_PLAIN)
    first, *rest = _CLOSED.split(plain)
    tokens = split(first)
    for part in rest:  # the tokeniser takes a closing mark that stands alone for an opening one
        tokens += ["''", *split(part)]
    return ["_num_" if _NUMBER.fullmatch(token) else token for token in tokens]


def _lines(path: Path) -> Iterable[tuple[str, list[bytes]]]:
    """Yield file and line number, and the fields, of each line that is not blank."""
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    for number, line in enumerate(content.split(b"\n"), 1):
        place = f"{path}, line {number}"
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise DataFormatError(f"{place}: not UTF-8 ({error.reason})") from error
        if b"\r" in line.rstrip(b"\r"):  # else a file with \r as line end would be one sentence
            raise DataFormatError(
                f"{place}: a carriage return in the line, lines end in \\n or \\r\\n"
            )
        fields = line.split()  # of bytes: at ASCII white space only
        if fields:
            yield place, fields
