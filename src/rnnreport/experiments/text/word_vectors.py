"""GloVe vectors trained on the training sentences, for where no file of vectors is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from rnnreport.data.assets import NEEDS, Profile, resolve
from rnnreport.experiments.text.data import TextData, text_data
from rnnreport.models.glove import train_glove
from rnnreport.runs.store import Outcome, Result, describe_device, stored_or_computed

__all__ = ["WordVectorsConfig", "run"]


@dataclass(frozen=True)
class WordVectorsConfig:
    """How word vectors are trained.

    Attributes
    ----------
    profile
        ``"full"``: on the source's training sentences; ``"sample"``: on generated ones; ``"auto"``:
        the first where they are there.
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

    profile: Profile = "auto"
    dim: int = 100
    window: int = 10
    x_max: float = 10.0
    epochs: int = 30
    data_seed: int = 0
    seed: int = 0


def run(config: WordVectorsConfig | None = None) -> Result:
    """Train GloVe vectors on the training sentences, or give back those that were trained.

    Parameters
    ----------
    config
        What to do; the defaults where it is not given.

    Returns
    -------
    Result
        ``history["loss"]`` holds the loss a pair after each epoch. The tensor ``vectors``, (V, D),
        holds a row for each word of the training sentences' vocabulary.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    """
    config = config or WordVectorsConfig()
    profile = resolve(config.profile, *NEEDS["text"])
    config = replace(config, profile=profile)
    data = text_data(profile, config.data_seed)
    return stored_or_computed(
        __name__,
        config,
        data=data.about,
        seeds={"data": config.data_seed, "model": config.seed},
        device=describe_device("cpu"),
        compute=lambda: _train(config, data),
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
