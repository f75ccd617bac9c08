"""Text classification: the source's five models and two more, each trained from several seeds.

All that is chosen (the epoch, and the settings) is chosen on the dev sentences. The test sentences
are scored once, at the end of a run.
"""

from __future__ import annotations

import functools
import hashlib
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from rnnreport.data.assets import require
from rnnreport.data.glove import load_glove
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.text import word_vectors
from rnnreport.experiments.text.data import text_data
from rnnreport.experiments.text.fitting import Labelled, accuracy, fit, score
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.experiments.text.trained import build_model, pack_words
from rnnreport.experiments.text.word_vectors import WordVectorsConfig
from rnnreport.names import ResolvedProfile
from rnnreport.runs.store import (
    Outcome,
    Request,
    Result,
    describe_device,
    get_or_compute,
    load_tensors,
    store_folder,
)

__all__ = ["own_vectors", "request", "run"]


def request(config: TextConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there, or a file of vectors is asked for and
        not there.
    DataFormatError
        If a file cannot be read.
    """
    data = dict(text_data(config.profile, config.data_seed).about)
    if config.vectors == "own":
        vectors = own_vectors(config)
        data["vectors"] = "GloVe vectors trained on the training sentences"
        data["vectors_dim"] = vectors.dim
        data["vectors_fingerprint"] = word_vectors.request(vectors).key
    elif config.vectors == "file":
        glove = _file_vectors(config.profile, config.data_seed)
        content = glove.vectors.numpy().tobytes()
        data["vectors"] = require("glove").name
        data["vectors_dim"] = glove.vectors.shape[1]
        data["vectors_fingerprint"] = hashlib.sha256(content).hexdigest()
    return Request(
        "text",
        __name__,
        config,
        data=data,
        seeds={"data": config.data_seed, "model": config.seed},
        device=describe_device(config.device),
    )


def run(config: TextConfig) -> Result:
    """Train a classifier and test it, or return the stored result.

    Parameters
    ----------
    config
        What to do.

    Returns
    -------
    Result
        ``history`` holds for each epoch the mean ``train_loss``, ``dev_loss`` and ``dev_accuracy``;
        ``metrics`` the ``dev_accuracy`` of the ``best_epoch`` and the ``test_accuracy`` of the
        weights that it left. The tensors ``dev_probability`` and ``test_probability``, (N,), hold
        these of each sentence; :class:`~rnnreport.experiments.text.trained.TrainedClassifier` takes
        the weights.

    Raises
    ------
    FloatingPointError
        If the loss stops being finite.
    Exception
        What :func:`request` raises.
    """
    return get_or_compute(request(config), lambda: _train_and_test(config))


class _GloVe(NamedTuple):
    """GloVe vectors of a vocabulary, (V, D), and which of its words have one, (V,)."""

    vectors: Tensor
    has_vector: Tensor


def _glove(config: TextConfig) -> _GloVe | None:
    if config.vectors == "none":
        return None
    if config.vectors == "file":
        return _file_vectors(config.profile, config.data_seed)
    vectors = load_tensors(word_vectors.run(own_vectors(config)))["vectors"]
    return _GloVe(vectors, vectors.any(1))


def own_vectors(config: TextConfig) -> WordVectorsConfig:
    """Return how the vectors of a classifier with ``vectors="own"`` are trained."""
    dim = 50 if config.profile == "sample" else 100
    return WordVectorsConfig(config.profile, dim=dim, data_seed=config.data_seed)


@functools.cache  # the same for all models and seeds
def _file_vectors(profile: ResolvedProfile, data_seed: int) -> _GloVe:
    words = text_data(profile, data_seed).vocabulary.words
    loaded = load_glove(require("glove"), words, cache=store_folder())
    return _GloVe(loaded.vectors, loaded.has_vector)


def _train_and_test(config: TextConfig) -> Outcome:
    data, glove = text_data(config.profile, config.data_seed), _glove(config)
    generator = Generator().manual_seed(config.seed)
    vectors = _first_vectors(config, len(data.vocabulary), glove, generator)
    model = build_model(config, vectors, generator, first_rare=data.first_rare)
    model.to(config.device)
    train, dev, test = (
        Labelled(
            model.prepare(sentences.to(config.device)),
            torch.tensor(part.labels, dtype=torch.float32, device=config.device),
        )
        for sentences, part in zip((data.train, data.dev, data.test), data.splits, strict=True)
    )
    fitted = fit(
        model,
        train,
        dev,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        generator=generator,
        label=f"text, {config.model}, seed {config.seed}",
    )
    scores = score(model, test.sentences)  # the one look at the test sentences
    return Outcome(
        history=fitted.history,
        metrics={
            "dev_accuracy": fitted.dev_accuracy,
            "best_epoch": fitted.best_epoch,
            "test_accuracy": accuracy(scores, test.labels),
            "num_parameters": model.num_parameters,
        }
        | ({} if glove is None else {"words_with_vector": int(glove.has_vector.sum())}),
        details={},
        tensors={
            "dev_probability": fitted.dev_scores.sigmoid().cpu(),
            "test_probability": scores.sigmoid().cpu(),
            "words": pack_words(data.vocabulary),
            **{f"model.{name}": value.cpu() for name, value in fitted.weights.items()},
        },
    )


def _first_vectors(
    config: TextConfig, n_words: int, glove: _GloVe | None, generator: Generator
) -> Tensor:
    """Return the first word vectors, (V, D): small noise, and GloVe vectors where there are any."""
    if config.model == "bag":
        return torch.empty(n_words, 0)
    size = 0 if glove is None else glove.vectors.shape[1]
    vectors = 0.1 * torch.randn(n_words, max(config.wordvec_dim, size), generator=generator)
    if glove is not None:
        if config.model == "glove-fixed":
            vectors.zero_()  # fixed vectors of unknown words are zero, not noise
        vectors[glove.has_vector, :size] = (
            0.5 * (glove.vectors / glove.vectors[glove.has_vector].std())[glove.has_vector]
        )
    vectors[: len(Vocabulary.SPECIAL)] = 0
    return vectors
