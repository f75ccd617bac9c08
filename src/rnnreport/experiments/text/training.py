"""Text classification: the source's five models and three more, each trained from several seeds.

All that is chosen (the epoch, and the settings) is chosen on the dev sentences. The test sentences
are scored once, at the end of a run.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from rnnreport.data.glove import WordVectors
from rnnreport.experiments.text import language
from rnnreport.experiments.text.data import text_data
from rnnreport.experiments.text.first_vectors import description, first_vectors, glove_vectors
from rnnreport.experiments.text.fitting import Labelled, accuracy, fit, score
from rnnreport.experiments.text.language import language_config
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.experiments.text.trained import build_model, pack_words
from rnnreport.runs.store import (
    Outcome,
    Request,
    Result,
    describe_device,
    get_or_compute,
    load_tensors,
)

__all__ = ["request", "run"]


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
    data = text_data(config.profile, config.data_seed).about | description(config)
    if config.model == "pretrained":
        data["language_model"] = language.request(language_config(config)).key
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


def _train_and_test(config: TextConfig) -> Outcome:
    data, glove = text_data(config.profile, config.data_seed), glove_vectors(config)
    generator = Generator().manual_seed(config.seed)
    vectors = first_vectors(config, len(data.vocabulary), glove, generator)
    model = build_model(config, vectors, generator, first_rare=data.first_rare)
    if config.model == "pretrained":
        # All but the last layer, which has never seen a label.
        learned = load_tensors(language.run(language_config(config)))
        model.load_state_dict(model.state_dict() | learned)
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
