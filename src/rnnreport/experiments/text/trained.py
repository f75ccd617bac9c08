"""The models of the text classifiers, and trained ones read back from a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from rnnreport import nn
from rnnreport.data.assets import DataFormatError
from rnnreport.data.sentences import Sentences
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.text.fitting import score
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.models.text import (
    BagOfWords,
    EmbeddingAverage,
    RecurrentClassifier,
    TextClassifier,
)
from rnnreport.names import BIDIRECTIONAL, ModelName, Profile
from rnnreport.runs import store
from rnnreport.runs.shipped import load_shipped
from rnnreport.runs.store import Result, load_tensors, weights_of

__all__ = ["TrainedClassifier", "build_model", "latest", "pack_words", "shipped"]


class TrainedClassifier:
    """A classifier with the weights of a result.

    Parameters
    ----------
    result
        From :func:`rnnreport.experiments.text.training.run`.
    tensors
        What the model consists of, by name; without it, as it is stored with the result.

    Attributes
    ----------
    result : Result
        The same.
    vocabulary : Vocabulary
        The words that it knows.
    model : TextClassifier
        The model, without dropout.

    Raises
    ------
    OSError
        If the file of weights is gone.
    DataFormatError
        If the weights are not finite, or do not fit the model that the configuration describes.
    """

    def __init__(self, result: Result, tensors: Mapping[str, Tensor] | None = None) -> None:
        tensors = load_tensors(result) if tensors is None else tensors
        self.result = result
        self.vocabulary = _unpack_words(tensors["words"])
        weights = weights_of(tensors, "model")
        vectors = weights.get("vectors", torch.zeros(len(self.vocabulary), 1))
        self.model = build_model(TextConfig(**result.config), vectors, Generator().manual_seed(0))
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise DataFormatError(
                f"the weights of {result.experiment} {result.key[:20]} do not fit: {error}"
            ) from error

    @torch.no_grad()
    def probabilities(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Return the probability that each sentence is positive.

        Parameters
        ----------
        sentences
            N sentences as lists of tokens, at least one each. An unknown token counts as ``<UNK>``.

        Returns
        -------
        Tensor, shape (N,)
            Probabilities.

        Raises
        ------
        ValueError
            If a sentence has no token.
        """
        encoded = Sentences.encode(self.vocabulary, sentences)
        return score(self.model, self.model.prepare(encoded)).sigmoid()

    @torch.no_grad()
    def probabilities_by_word(self, sentence: Sequence[str]) -> list[float]:
        """Return the probability after each word of a sentence, as if it ended there.

        Parameters
        ----------
        sentence
            A sentence as a list of tokens, at least one.

        Returns
        -------
        list of float
            One probability for each token; the last is that of the sentence.

        Raises
        ------
        ValueError
            If the sentence has no token.
        TypeError
            If the model does not read word by word in one direction.
        """
        if not isinstance(self.model, RecurrentClassifier) or self.model.recurrent.bidirectional:
            raise TypeError(f"the model {self.result.config['model']!r} does not read word by word")
        encoded = Sentences.encode(self.vocabulary, [sentence])
        steps: list[float] = self.model.scores_by_step(encoded)[:, 0].sigmoid().tolist()
        return steps

    def unknown(self, sentence: Sequence[str]) -> list[str]:
        """Return the tokens of a sentence that the classifier does not know."""
        return [word for word in sentence if word not in self.vocabulary.word_to_idx]


def latest(model: ModelName, profile: Profile = "auto") -> TrainedClassifier:
    """Return the latest stored classifier, whatever its seed and settings.

    Parameters
    ----------
    model
        One of :data:`~rnnreport.names.MODELS`.
    profile
        On which data it was trained; with ``"auto"`` on real data if there is such a classifier.

    Raises
    ------
    MissingDataError
        If none is stored.
    DataFormatError
        If its weights do not fit.
    """
    return TrainedClassifier(
        store.latest("text", TextConfig, part="text", option="model", profile=profile, model=model)
    )


def shipped() -> TrainedClassifier:
    """Return the LSTM that the package brings along.

    Raises
    ------
    DataFormatError
        If its files are damaged.
    """
    return TrainedClassifier(*load_shipped("classifier"))


def build_model(
    config: TextConfig,
    vectors: Tensor,
    generator: Generator,
    *,
    first_rare: int = 0,
    cells: Any = nn,
) -> TextClassifier:
    """Build the model of a configuration.

    Parameters
    ----------
    config
        Which model, of which sizes.
    vectors : Tensor, shape (V, D)
        The first word vectors; for bag of words, D may be 0.
    generator
        Draws the first weights.
    first_rare
        The index of the first rare word.
    cells
        Holds the classes ``RNN`` and ``LSTM``: :mod:`rnnreport.nn` or :mod:`torch.nn`.

    Returns
    -------
    TextClassifier
        The model, untrained.
    """
    with torch.random.fork_rng(devices=[]):  # torch's layers draw first weights of their own
        return _build_model(config, vectors, generator, first_rare, cells)


def _build_model(
    config: TextConfig, vectors: Tensor, generator: Generator, first_rare: int, cells: Any
) -> TextClassifier:
    if config.model == "bag":
        return BagOfWords(len(vectors))
    if config.model in ("average", "glove-fixed", "glove"):
        return EmbeddingAverage(
            vectors,
            fixed=config.model == "glove-fixed",
            dropout=config.dropout,
            generator=generator,
        )
    both = config.model in BIDIRECTIONAL
    return RecurrentClassifier(
        vectors,
        cell=cells.RNN if config.model == "rnn" else cells.LSTM,
        hidden_dim=config.hidden_dim,
        directions=2 if both else 1,
        pooling="max" if both else "last",
        embedding_dropout=config.embedding_dropout,
        dropout=config.dropout,
        word_dropout=config.word_dropout,
        first_rare=first_rare,
        generator=generator,
    )


def pack_words(vocabulary: Vocabulary) -> Tensor:
    """Write a vocabulary as bytes, to be kept beside the weights."""
    return torch.frombuffer(bytearray("\n".join(vocabulary.words).encode()), dtype=torch.uint8)


def _unpack_words(packed: Tensor) -> Vocabulary:
    return Vocabulary(tuple(packed.numpy().tobytes().decode().split("\n")))
