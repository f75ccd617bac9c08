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

from rnnreport.asked import VECTORS_DIM
from rnnreport.data.assets import MissingDataError, find_all, require
from rnnreport.data.glove import WordVectors, load_glove, side_by_side
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
    elif config.vectors != "none":
        files, others = _files(config)
        data["vectors"] = " beside ".join(files)
        if others:
            data["vectors"] += f", what they lack from {' and '.join(others)}"
        data["vectors_dim"] = sum(read.vectors.shape[1] for read in files.values())
        # Of what was read: what fills gaps is computed, and its last digits may differ.
        content = hashlib.sha256()
        for read in (*files.values(), *others.values()):
            content.update(read.vectors.numpy().tobytes())
        data["vectors_fingerprint"] = content.hexdigest()
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


def _glove(config: TextConfig) -> WordVectors | None:
    if config.vectors == "none":
        return None
    if config.vectors == "own":
        vectors = load_tensors(word_vectors.run(own_vectors(config)))["vectors"]
        return WordVectors(vectors, vectors.any(1))
    files, others = _files(config)
    return side_by_side(list(files.values()), list(others.values()))


def own_vectors(config: TextConfig) -> WordVectorsConfig:
    """Return how the vectors of a classifier with ``vectors="own"`` are trained."""
    return WordVectorsConfig(config.profile, dim=config.own_dim, data_seed=config.data_seed)


class _Files(NamedTuple):
    """Vectors of the vocabulary by file: of those that stand side by side, and that fill gaps."""

    joined: dict[str, WordVectors]
    others: dict[str, WordVectors]


def _files(config: TextConfig) -> _Files:
    require("glove")
    if config.vectors == "file":
        return _Files(
            {config.file: _file_vectors(config.file, config.profile, config.data_seed)}, {}
        )
    files, width = _Files({}, {}), 0
    left = {}
    for path in find_all("glove"):
        read = _file_vectors(path.name, config.profile, config.data_seed)
        size = read.vectors.shape[1]
        if files.joined and width + size > VECTORS_DIM:  # no wider than the source's
            left[path.name] = read
        else:
            files.joined[path.name] = read
            width += size
    known = torch.stack([read.has_vector for read in files.joined.values()]).any(0)
    for name, read in left.items():
        if (read.has_vector & ~known).any():
            files.others[name] = read
            known = known | read.has_vector
    return files


@functools.cache  # the same for all models and seeds
def _file_vectors(file: str, profile: ResolvedProfile, data_seed: int) -> WordVectors:
    paths = {path.name: path for path in find_all("glove")}
    if file not in paths:
        raise MissingDataError(f"{file} is missing: there are {', '.join(paths)}")
    words = text_data(profile, data_seed).vocabulary.words
    return load_glove(paths[file], words, cache=store_folder())


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
        | ({} if glove is None else _coverage(glove, data.train.words)),
        details={},
        tensors={
            "dev_probability": fitted.dev_scores.sigmoid().cpu(),
            "test_probability": scores.sigmoid().cpu(),
            "words": pack_words(data.vocabulary),
            **{f"model.{name}": value.cpu() for name, value in fitted.weights.items()},
        },
    )


def _coverage(glove: WordVectors, words: Tensor) -> dict[str, float]:
    """Count the words that have a vector, and what share of the training sentences they are."""
    share = glove.has_vector[words].double().mean().item()
    return {"words_with_vector": int(glove.has_vector.sum()), "share_with_vector": share}


def _first_vectors(
    config: TextConfig, n_words: int, glove: WordVectors | None, generator: Generator
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
