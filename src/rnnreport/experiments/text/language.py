"""A language model of the training sentences, from which the pretrained classifiers begin.

It learns from the words alone and never sees a label. All seeds of a classifier share it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Generator

from rnnreport._checks import check_choice, check_loss, check_numbers
from rnnreport.data.sentences import Sentences, order_by_length
from rnnreport.experiments.text.data import text_data
from rnnreport.experiments.text.first_vectors import description, first_vectors, glove_vectors
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.experiments.text.trained import build_model
from rnnreport.models.language import LanguageModel
from rnnreport.models.text import RecurrentClassifier
from rnnreport.names import RECURRENT
from rnnreport.progress import track
from rnnreport.runs.store import Outcome, Request, Result, describe_device, get_or_compute

__all__ = ["LanguageConfig", "language_config", "request", "run"]

_SCORED = 100  # sentences at once: each word has a logit for all words


@dataclass(frozen=True)
class LanguageConfig:
    """How a language model is trained.

    Attributes
    ----------
    classifier
        Whose layers learn: their sizes, their first vectors and the dropout of word vectors. Its
        seed draws the first weights, the order of the mini-batches and dropout.
    dropout
        The share of a state's elements that are dropped in training.
    epochs
        Passes over the training sentences.
    batch_size
        Sentences in a mini-batch.
    learning_rate
        Of Adam; it falls to zero in a straight line.
    clip_norm
        The largest norm of all gradients together; a larger one is scaled down to it.
    """

    classifier: TextConfig
    dropout: float = 0.3
    epochs: int = 5
    batch_size: int = 64
    learning_rate: float = 2e-3
    clip_norm: float = 5.0

    def __post_init__(self) -> None:
        check_choice("classifier.model", self.classifier.model, RECURRENT)
        check_numbers(
            self,
            at_least_1="epochs batch_size",
            share="dropout",
            positive="learning_rate clip_norm",
        )


def language_config(config: TextConfig) -> LanguageConfig:
    """Return how the language model of a pretrained classifier is trained, whatever its seed."""
    return LanguageConfig(replace(config, embedding_dropout=0.3, seed=0))


def request(config: LanguageConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    Exception
        What :func:`rnnreport.experiments.text.training.request` raises.
    """
    text = config.classifier
    return Request(
        "language-model",
        __name__,
        config,
        data=text_data(text.profile, text.data_seed).about | description(text),
        seeds={"data": text.data_seed, "model": text.seed},
        device=describe_device(text.device),
    )


def run(config: LanguageConfig) -> Result:
    """Train a language model on the training sentences, or return the stored one.

    Parameters
    ----------
    config
        What to do.

    Returns
    -------
    Result
        ``history`` holds for each epoch the ``train_loss`` and the ``dev_loss`` in nats a word;
        ``metrics`` the last ``dev_loss``. The tensors are the word vectors and the weights of the
        recurrent layer, by their names in :class:`~rnnreport.models.text.RecurrentClassifier`.

    Raises
    ------
    FloatingPointError
        If the loss stops being finite.
    Exception
        What :func:`request` raises.
    """
    return get_or_compute(request(config), lambda: _train(config))


def _train(config: LanguageConfig) -> Outcome:
    text = config.classifier
    data, generator = (
        text_data(text.profile, text.data_seed),
        Generator().manual_seed(text.seed),
    )
    vectors = first_vectors(text, len(data.vocabulary), glove_vectors(text), generator)
    classifier = cast("RecurrentClassifier", build_model(text, vectors, generator))
    model = LanguageModel(classifier, dropout=config.dropout, generator=generator)
    model.to(text.device)
    train, dev = data.train.to(text.device), data.dev.to(text.device)
    learned = [
        p for name, p in model.named_parameters() if not name.startswith("classifier.output")
    ]
    optimiser = torch.optim.Adam(learned, lr=config.learning_rate, fused=True)
    steps = config.epochs * math.ceil(len(train) / config.batch_size)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    history: dict[str, list[float]] = {"train_loss": [], "dev_loss": []}
    for _ in track(range(config.epochs), f"language model, {text.profile}"):
        total = count = 0.0
        order = order_by_length(train.lengths, config.batch_size, generator)
        for batch in train.take(order).batches(config.batch_size):
            loss, words = model.loss(batch, generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learned, config.clip_norm)
            optimiser.step()
            scheduler.step()
            total, count = total + words * check_loss(loss.item()), count + words
        history["train_loss"].append(total / count)
        history["dev_loss"].append(_mean_loss(model, dev))
    layers = (name for name in classifier.state_dict() if not name.startswith("output."))
    return Outcome(
        history=history,
        metrics={"dev_loss": history["dev_loss"][-1], "num_words": len(data.train.words)},
        details={},
        tensors={name: classifier.state_dict()[name].cpu() for name in layers},
    )


@torch.no_grad()
def _mean_loss(model: LanguageModel, sentences: Sentences) -> float:
    """Return the mean loss of a word, without dropout."""
    total = count = 0.0
    for batch in sentences.take(sentences.lengths.argsort(stable=True)).batches(_SCORED):
        loss, words = model.loss(batch)
        total, count = total + words * loss.item(), count + words
    return total / count
