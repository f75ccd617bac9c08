"""GloVe vectors trained on the training sentences, for where no file of vectors is."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rnnreport._checks import check_choice, check_numbers
from rnnreport.experiments.text.data import TextData, text_data
from rnnreport.models.glove import train_glove
from rnnreport.names import RESOLVED_PROFILES, ResolvedProfile
from rnnreport.runs.store import Outcome, Request, Result, describe_device, get_or_compute

__all__ = ["WordVectorsConfig", "request", "run"]


@dataclass(frozen=True)
class WordVectorsConfig:
    """How word vectors are trained.

    Attributes
    ----------
    profile
        ``"full"``: on the source's training sentences; ``"sample"``: on generated ones.
    dim
        Size of a vector.
    window
        The largest distance of two words that counts.
    x_max
        The count from which on all counts weigh the same.
    epochs
        Passes over all pairs of words.
    data_seed, seed
        Of the generated sentences, and of the first vectors and the order of the pairs.
    """

    profile: ResolvedProfile = "full"
    dim: int = 100
    window: int = 10
    x_max: float = 10.0
    epochs: int = 30
    data_seed: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("profile", self.profile, RESOLVED_PROFILES)
        check_numbers(self, at_least_1="dim window epochs", positive="x_max")


def request(config: WordVectorsConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    """
    return Request(
        "word-vectors",
        __name__,
        config,
        data=text_data(config.profile, config.data_seed).about,
        seeds={"data": config.data_seed, "model": config.seed},
        device=describe_device("cpu"),
    )


def run(config: WordVectorsConfig) -> Result:
    """Train GloVe vectors on the training sentences, or return the stored ones.

    Parameters
    ----------
    config
        What to do.

    Returns
    -------
    Result
        ``history["loss"]`` holds the loss per pair after each epoch. The tensor ``vectors``,
        (V, D), holds a row for each word of the training sentences' vocabulary.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    """
    return get_or_compute(
        request(config), lambda: _train(config, text_data(config.profile, config.data_seed))
    )


def _train(config: WordVectorsConfig, data: TextData) -> Outcome:
    trained = train_glove(
        data.train.words,
        data.train.lengths,
        len(data.vocabulary),
        dim=config.dim,
        window=config.window,
        x_max=config.x_max,
        epochs=config.epochs,
        generator=torch.Generator().manual_seed(config.seed),
    )
    return Outcome(
        history={"loss": list(trained.losses)},
        metrics={"last_loss": trained.losses[-1], "n_words": len(data.vocabulary)},
        details={},
        tensors={"vectors": trained.vectors},
    )
