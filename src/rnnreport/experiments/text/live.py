"""A small LSTM that classifies sentences: so small that a page can carry its weights.

Its settings were chosen on the dev sentences. The test sentences are scored once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from rnnreport import nn
from rnnreport._checks import check_choice, check_numbers
from rnnreport.data.sentences import Sentences
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.text.data import text_data
from rnnreport.experiments.text.fitting import Labelled, accuracy, fit, score
from rnnreport.models.text import RecurrentClassifier
from rnnreport.names import RESOLVED_PROFILES, ResolvedProfile
from rnnreport.runs.store import Outcome, Request, Result, describe_device, get_or_compute

__all__ = ["LiveConfig", "default_config", "request", "run"]

_FIRST_WORD = len(Vocabulary.SPECIAL)


@dataclass(frozen=True)
class LiveConfig:
    """How the small LSTM is trained.

    Attributes
    ----------
    profile
        ``"full"``: the source's sentences; ``"sample"``: generated ones.
    min_count
        How often a word must stand in the training sentences to have a vector of its own; the
        others share that of ``<UNK>``.
    wordvec_dim, hidden_dim
        Sizes of a word vector and of the state.
    embedding_dropout, dropout, word_dropout
        Shares that are dropped in training, as :class:`~rnnreport.models.text.RecurrentClassifier`
        has them; any word may become ``<UNK>``.
    epochs
        Passes over the training sentences. The weights of the best one on dev are kept.
    batch_size
        Sentences in a mini-batch.
    learning_rate
        Of Adam; it falls to zero in a straight line.
    data_seed, seed
        Of the generated sentences; of the first weights, the order of the mini-batches and dropout.
    """

    profile: ResolvedProfile = "full"
    min_count: int = 3
    wordvec_dim: int = 14
    hidden_dim: int = 16
    embedding_dropout: float = 0.2
    dropout: float = 0.2
    word_dropout: float = 0.02
    epochs: int = 5
    batch_size: int = 128
    learning_rate: float = 1e-2
    data_seed: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("profile", self.profile, RESOLVED_PROFILES)
        check_numbers(
            self,
            at_least_1="min_count wordvec_dim hidden_dim epochs batch_size",
            share="embedding_dropout dropout word_dropout",
            positive="learning_rate",
        )


def default_config(profile: ResolvedProfile) -> LiveConfig:
    """Return the configuration that the report uses."""
    if profile == "full":
        return LiveConfig(profile)
    return LiveConfig(
        profile,
        min_count=1,
        wordvec_dim=16,
        embedding_dropout=0.1,
        dropout=0.1,
        epochs=8,
        batch_size=32,
    )


def request(config: LiveConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a file cannot be read.
    """
    return Request(
        "live-lstm",
        __name__,
        config,
        data=text_data(config.profile, config.data_seed).about,
        seeds={"data": config.data_seed, "model": config.seed},
        device=describe_device("cpu"),
    )


def run(config: LiveConfig) -> Result:
    """Train the small LSTM and test it, or return the stored result.

    Parameters
    ----------
    config
        What to do.

    Returns
    -------
    Result
        ``history`` and ``metrics`` as :func:`rnnreport.experiments.text.training.run` has them.
        ``details["words"]`` holds the words, ``<NULL>`` and ``<UNK>`` first. Of the tensors, in
        the layout of :func:`rnnreport.layers.lstm_forward`, ``vectors`` is (V, D), ``Wx`` (D, 4H),
        ``Wh`` (H, 4H), ``b`` (4H,), ``w`` (H,) and ``bias`` (1,). The units of the state are such
        that every output weight in ``w`` is at least 0 and the largest comes first.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a file cannot be read.
    FloatingPointError
        If the loss stops being finite.
    """
    return get_or_compute(request(config), lambda: _train_and_test(config))


def _train_and_test(config: LiveConfig) -> Outcome:
    data = text_data(config.profile, config.data_seed)
    vocabulary = Vocabulary.build(data.splits.train.sentences, config.min_count)
    train, dev, test = (
        Labelled(
            Sentences.encode(vocabulary, part.sentences),
            torch.tensor(part.labels, dtype=torch.float32),
        )
        for part in data.splits
    )
    generator = Generator().manual_seed(config.seed)
    model = _build(config, len(vocabulary), generator)
    fitted = fit(
        model,
        train,
        dev,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        generator=generator,
        label="text, the small LSTM of the live figure",
    )
    return Outcome(
        history=fitted.history,
        metrics={
            "dev_accuracy": fitted.dev_accuracy,
            "best_epoch": fitted.best_epoch,
            "test_accuracy": accuracy(score(model, test.sentences), test.labels),
            "num_parameters": model.num_parameters,
        },
        details={"words": list(vocabulary.words)},
        tensors=_in_order(fitted.weights),
    )


def _build(config: LiveConfig, n_words: int, generator: Generator) -> RecurrentClassifier:
    with torch.random.fork_rng(devices=[]):  # torch's layers draw first weights of their own
        return RecurrentClassifier(
            0.1 * torch.randn(n_words, config.wordvec_dim, generator=generator),
            cell=nn.LSTM,
            hidden_dim=config.hidden_dim,
            directions=1,
            pooling="last",
            embedding_dropout=config.embedding_dropout,
            dropout=config.dropout,
            word_dropout=config.word_dropout,
            first_rare=_FIRST_WORD,
            generator=generator,
        )


def _in_order(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring weights into the layout of the pages, and the units of the state into order.

    Nothing says which unit is the first, nor which of its signs is the positive one. Units may be
    exchanged, and the state and the cell of a unit may change their signs together: where the
    weights follow, the scores stay the same. Here a positive state always speaks for praise.
    """
    w = weights["output.weight"][0]
    order, sign = w.abs().argsort(descending=True, stable=True), torch.where(w < 0, -1.0, 1.0)

    def gates(packed: Tensor) -> Tensor:
        """Put columns of torch's order i, f, c̃, o into that of the pages, and turn signs of c̃."""
        i, f, c_tilde, o = (gate[..., order] for gate in packed.chunk(4, dim=-1))
        return torch.cat([f, i, c_tilde * sign[order], o], dim=-1)

    layer = {name.removeprefix("recurrent."): value for name, value in weights.items()}
    return {
        "vectors": weights["vectors"],
        "Wx": gates(layer["weight_ih_l0"].T),
        "Wh": (sign[:, None] * gates(layer["weight_hh_l0"].T))[order],
        "b": gates(layer["bias_ih_l0"] + layer["bias_hh_l0"]),
        "w": w.abs()[order],
        "bias": weights["output.bias"],
    }
