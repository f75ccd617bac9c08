"""How the text classifiers are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rnnreport._checks import check_at_least, check_choice, check_numbers
from rnnreport.data.assets import find
from rnnreport.names import MODELS, RESOLVED_PROFILES, ModelName, ResolvedProfile

__all__ = ["SEEDS", "SETTINGS", "TextConfig", "default_config"]

SEEDS = (0, 1, 2, 3, 4)
"""The seeds that each model is trained from."""


@dataclass(frozen=True)
class TextConfig:
    """How a classifier is trained.

    Attributes
    ----------
    model
        ``"bag"``: bag of words. ``"average"``: the average of word vectors that begin at random.
        ``"glove-fixed"`` and ``"glove"``: the average of GloVe vectors that stay, and of ones that
        are trained further. ``"rnn"`` and ``"lstm"``: a recurrent layer over GloVe vectors, its
        last state. ``"bilstm"``: an LSTM in each direction, for each feature its largest value.
        ``"pretrained"``: the same, whose vectors and LSTMs have learned to guess words before
        (:mod:`rnnreport.experiments.text.language`).
    profile
        ``"full"``: the source's sentences; ``"sample"``: generated ones.
    vectors
        What the word vectors begin with. ``"file"``: one file of GloVe vectors; ``"files"``: all
        files at hand (:func:`~rnnreport.data.glove.side_by_side`); ``"own"``: GloVe vectors trained
        on the training sentences; ``"none"``: small random numbers.
    file
        With ``"file"``, the name of the file.
    own_dim
        With ``"own"``, the size of the vectors that are trained.
    wordvec_dim
        Least size of a word vector. Where the GloVe vectors are smaller, the rest begins at random;
        where they are larger, their size counts.
    hidden_dim
        Size of a recurrent layer's state.
    embedding_dropout, dropout, word_dropout
        Shares that are dropped in training, as :class:`~rnnreport.models.text.RecurrentClassifier`
        has them; rare are the words that stand only once among the training sentences.
    epochs
        Passes over the training sentences. The weights of the best one on dev are kept.
    batch_size
        Sentences in a mini-batch.
    learning_rate
        Of Adam; it falls to zero in a straight line.
    data_seed, seed
        Of the generated sentences; of the first weights, the order of the mini-batches and dropout.
    device
        Where to compute, as torch names it.
    """

    model: ModelName = "lstm"
    profile: ResolvedProfile = "full"
    vectors: Literal["file", "files", "own", "none"] = "own"
    file: str = ""
    own_dim: int = 100
    wordvec_dim: int = 0
    hidden_dim: int = 128
    embedding_dropout: float = 0.3
    dropout: float = 0.3
    word_dropout: float = 0.5
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 2e-3
    data_seed: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_choice("model", self.model, MODELS)
        check_choice("profile", self.profile, RESOLVED_PROFILES)
        check_choice("vectors", self.vectors, ("file", "files", "own", "none"))
        if (self.vectors == "file") != bool(self.file):
            raise ValueError(
                "file must name a file of vectors where vectors is 'file', and be empty elsewhere, "
                f"got {self.file!r} with {self.vectors!r}"
            )
        check_numbers(
            self,
            at_least_1="own_dim hidden_dim epochs batch_size",
            share="embedding_dropout dropout word_dropout",
            positive="learning_rate",
        )
        check_at_least(1 if self.vectors == "none" else 0, wordvec_dim=self.wordvec_dim)


_BILSTM: Mapping[str, Any] = {"wordvec_dim": 100, "embedding_dropout": 0.5, "epochs": 6}

SETTINGS: Mapping[ModelName, Mapping[str, Any]] = {
    "bag": {
        "vectors": "none",
        "wordvec_dim": 1,
        "batch_size": 256,
        "learning_rate": 0.03,
        "epochs": 10,
    },
    "average": {
        "vectors": "none",
        "wordvec_dim": 100,
        "dropout": 0.5,
        "learning_rate": 3e-3,
        "epochs": 6,
    },
    "glove-fixed": {"dropout": 0.0, "batch_size": 256, "learning_rate": 0.1, "epochs": 10},
    "glove": {"dropout": 0.5, "learning_rate": 3e-3, "epochs": 8},
    "rnn": {"wordvec_dim": 100, "embedding_dropout": 0.5},
    "lstm": {"wordvec_dim": 100, "embedding_dropout": 0.5, "epochs": 6},
    "bilstm": _BILSTM,
    "pretrained": _BILSTM,
}
"""The settings of each model that differ from the defaults of :class:`TextConfig`."""

_SAMPLE_LSTM: Mapping[str, Any] = {
    "batch_size": 32,
    "wordvec_dim": 50,
    "hidden_dim": 64,
    "embedding_dropout": 0.3,
    "learning_rate": 1e-2,
}

_SAMPLE: Mapping[ModelName, Mapping[str, Any]] = {
    "bag": {"batch_size": 32, "learning_rate": 1e-2},
    "average": {"batch_size": 32, "wordvec_dim": 50},
    "glove-fixed": {"batch_size": 32, "learning_rate": 1e-2},
    "glove": {"batch_size": 32},
    "rnn": {
        "batch_size": 32,
        "wordvec_dim": 50,
        "hidden_dim": 64,
        "embedding_dropout": 0.3,
        "learning_rate": 3e-3,
        "epochs": 16,
    },
    "lstm": _SAMPLE_LSTM,
    "bilstm": _SAMPLE_LSTM,
    "pretrained": _SAMPLE_LSTM,
}
"""What else is different for the sample, a tenth of the sentences."""


def default_config(
    model: ModelName, *, profile: ResolvedProfile, seed: int = 0, device: str = "cpu"
) -> TextConfig:
    """Return the configuration that the report uses for a model.

    GloVe vectors come from files where real data and a file are there, and the fixed ones from the
    best file alone; they are trained on the training sentences elsewhere.
    """
    settings: dict[str, Any] = {"vectors": "own"} | dict(SETTINGS.get(model, {}))
    best = find("glove")
    if profile == "sample":
        settings |= {"own_dim": 50} | dict(_SAMPLE.get(model, {}))
    elif settings["vectors"] == "own" and best is not None:
        fixed = model == "glove-fixed"
        settings |= {"vectors": "file", "file": best.name} if fixed else {"vectors": "files"}
    return TextConfig(model=model, profile=profile, seed=seed, device=device, **settings)
