"""The labelled sentences of the text experiments: real ones, or the generated sample."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import torch

from rnnreport.data.assets import fingerprint, require
from rnnreport.data.sentences import Sentences
from rnnreport.data.sentiment import SentimentSplits, load_sentiment
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.names import ResolvedProfile
from rnnreport.samples.reviews import generate_splits

__all__ = ["SAMPLE_SIZES", "TextData", "text_data"]

SAMPLE_SIZES = (4000, 1000, 2000)
"""How many sentences of the sample are for training, dev and test."""


@dataclass(frozen=True)
class TextData:
    """Labelled sentences and the words of those for training.

    Attributes
    ----------
    profile
        ``"full"`` or ``"sample"``.
    name
        What the sentences are, in words.
    splits
        The sentences and their labels.
    vocabulary
        All words of the training sentences.
    train, dev, test : Sentences
        The sentences as word indices.
    fingerprint
        A hash of the sentences and labels.
    """

    profile: ResolvedProfile
    name: str
    splits: SentimentSplits
    vocabulary: Vocabulary
    train: Sentences
    dev: Sentences
    test: Sentences
    fingerprint: str

    @property
    def first_rare(self) -> int:
        """The index of the first word that stands only once among the training sentences."""
        counts = torch.bincount(self.train.words, minlength=len(self.vocabulary))
        return len(Vocabulary.SPECIAL) + int((counts > 1).sum())  # sorted by frequency

    @property
    def about(self) -> dict[str, Any]:
        """The description of the data that a result keeps."""
        types = len(self.vocabulary) - len(Vocabulary.SPECIAL)
        return {
            "profile": self.profile,
            "name": self.name,
            "amount": (
                f"{len(self.train):,} for training with {types:,} different words, "
                f"{len(self.dev):,} to choose by, {len(self.test):,} to test"
            ),
            "fingerprint": self.fingerprint,
        }


@functools.cache  # the same for all models and seeds
def text_data(profile: ResolvedProfile, data_seed: int = 0) -> TextData:
    """Load or generate the sentences of a profile.

    Parameters
    ----------
    profile
        ``"full"``: the source's sentences; ``"sample"``: generated ones, as many as
        :data:`SAMPLE_SIZES` says.
    data_seed
        Of the generated ones.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a file cannot be read.
    """
    if profile == "full":
        root = require("sentiment")
        splits = load_sentiment(root)
        name = "sentences of Yelp reviews"
        mark = fingerprint(root / f"{part}.txt" for part in SentimentSplits._fields)
    else:
        generator = torch.Generator().manual_seed(data_seed)
        splits = generate_splits(*SAMPLE_SIZES, generator=generator)
        name = "generated review sentences"
        mark = hashlib.sha256(repr(splits).encode()).hexdigest()
    vocabulary = Vocabulary.build(splits.train.sentences)
    train, dev, test = (Sentences.encode(vocabulary, part.sentences) for part in splits)
    return TextData(profile, name, splits, vocabulary, train, dev, test, mark)
