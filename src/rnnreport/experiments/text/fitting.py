"""Training a text classifier: an epoch, and all of them with the weights of the best on dev."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from rnnreport import nn
from rnnreport._checks import check_loss
from rnnreport.data.sentences import Sentences, order_by_length
from rnnreport.models.text import TextClassifier
from rnnreport.progress import track

__all__ = ["Fitted", "Labelled", "accuracy", "fit", "score", "train_epoch"]


class Labelled(NamedTuple):
    """Sentences with labels.

    Attributes
    ----------
    sentences : Sentences
        N sentences, as the model's ``prepare`` gives them.
    labels : Tensor, shape (N,), float32
        0 or 1.
    """

    sentences: Sentences
    labels: Tensor


class Fitted(NamedTuple):
    """The outcome of training.

    Attributes
    ----------
    history : dict of str to list of float
        For each epoch the mean ``train_loss``, ``dev_loss`` and ``dev_accuracy``.
    best_epoch : int
        The first epoch that is best on dev, from 1 on.
    dev_scores : Tensor, shape (N,)
        What that epoch's weights say of the dev sentences.
    weights : mapping of str to Tensor
        These weights, by name.
    """

    history: dict[str, list[float]]
    best_epoch: int
    dev_scores: Tensor
    weights: Mapping[str, Tensor]

    @property
    def dev_accuracy(self) -> float:
        """The accuracy of the best epoch on dev."""
        return self.history["dev_accuracy"][self.best_epoch - 1]


def fit(
    model: TextClassifier,
    train: Labelled,
    dev: Labelled,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    generator: Generator,
    label: str,
) -> Fitted:
    """Train with Adam, whose learning rate falls to zero in a straight line.

    Parameters
    ----------
    model
        What learns. It is left with the weights of the best epoch on dev.
    train, dev
        To learn from, and to choose the epoch by.
    epochs
        Passes over the training sentences.
    batch_size
        Sentences in a mini-batch.
    learning_rate
        The first one.
    generator
        Draws the order of the mini-batches and the masks of dropout.
    label
        What stands before the progress bar.

    Returns
    -------
    Fitted
        How it went.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(learned, lr=learning_rate, fused=True)
    steps = epochs * math.ceil(len(train.sentences) / batch_size)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)

    history: dict[str, list[float]] = {"train_loss": [], "dev_loss": [], "dev_accuracy": []}
    best, best_epoch, best_scores, weights = -1.0, 0, torch.empty(0), {}
    for epoch in track(range(1, epochs + 1), label):
        losses = train_epoch(
            model,
            train.sentences,
            train.labels,
            optimiser,
            scheduler,
            batch_size=batch_size,
            generator=generator,
        )
        scores = score(model, dev.sentences)
        history["train_loss"].append(sum(losses) / len(losses))
        history["dev_loss"].append(float(nn.sigmoid_loss(scores, dev.labels)))
        history["dev_accuracy"].append(accuracy(scores, dev.labels))
        if history["dev_accuracy"][-1] > best:
            best, best_epoch, best_scores = history["dev_accuracy"][-1], epoch, scores
            weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    return Fitted(history, best_epoch, best_scores, weights)


def train_epoch(
    model: TextClassifier,
    sentences: Sentences,
    labels: Tensor,
    optimiser: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    *,
    batch_size: int,
    generator: Generator,
) -> list[float]:
    """Pass over the training sentences once, in mini-batches of nearly equal lengths.

    Parameters
    ----------
    model
        What learns.
    sentences
        N sentences, as its ``prepare`` gives them.
    labels : Tensor, shape (N,), float32
        0 or 1.
    optimiser, scheduler
        Take a step after each mini-batch.
    batch_size
        Sentences in a mini-batch.
    generator
        Draws the order and the masks of dropout.

    Returns
    -------
    list of float
        The mean loss of each mini-batch.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    order = order_by_length(sentences.lengths, batch_size, generator)
    losses = []
    truths = torch.split(labels[order], batch_size)
    for batch, truth in zip(sentences.take(order).batches(batch_size), truths, strict=True):
        losses.append(check_loss(model.loss(batch, truth, generator)))
        optimiser.step()
        scheduler.step()
    return losses


@torch.no_grad()
def score(model: TextClassifier, sentences: Sentences) -> Tensor:
    """Score sentences without dropout, in batches of nearly equal lengths.

    Parameters
    ----------
    model
        Scores them.
    sentences
        N sentences, as its ``prepare`` gives them.

    Returns
    -------
    Tensor, shape (N,)
        The scores, in the order of the sentences.
    """
    order = sentences.lengths.argsort(stable=True)
    scores = torch.cat([model(batch) for batch in sentences.take(order).batches(1000)])
    return torch.empty_like(scores).scatter_(0, order, scores)


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Return the share of scores, (N,), that are positive where the label is 1 and only there."""
    return ((scores > 0) == labels.bool()).double().mean().item()
