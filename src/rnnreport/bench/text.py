"""The text classifiers in training, against the same models as a plain PyTorch script has them.

The script keeps bag-of-words rows dense, pads all sentences to the longest one, and uses
``torch.nn`` and autograd throughout. Both sides train for an epoch in turn, in one thread, as the
report's parallel runs do. The sentences are random: as many, as long and of as many words as the
source's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from rnnreport.data.sentences import Sentences
from rnnreport.experiments.text.fitting import train_epoch
from rnnreport.experiments.text.settings import SETTINGS, TextConfig
from rnnreport.experiments.text.trained import build_model
from rnnreport.names import BIDIRECTIONAL, MODELS, RECURRENT, ModelName

_TYPES, _SHORTEST, _LONGEST = 7641, 5, 15
_GLOVE_DIM = 100


@dataclass(frozen=True)
class Row:
    """Sentences a second in training."""

    model: ModelName
    ours: float
    script: float
    rounds: int


def measure(model: ModelName, *, count: int, rounds: int, seed: int = 0) -> Row:
    """Time epochs of this package and of a plain script, in turn."""
    generator = Generator().manual_seed(seed)
    lengths = torch.randint(_SHORTEST, _LONGEST + 1, (count,), generator=generator)
    # A word's frequency falls with its rank (Zipf's law); index 0 is the padding.
    frequencies = 1 / torch.arange(1.0, _TYPES)
    words = 1 + frequencies.multinomial(int(lengths.sum()), replacement=True, generator=generator)
    labels = torch.randint(2, (count,), generator=generator).float()
    sentences = Sentences(words, lengths)
    config = TextConfig(model=model, profile="full", **SETTINGS[model])
    epochs = {
        "ours": _ours(config, sentences, labels, generator),
        "script": _script(config, sentences, labels),
    }
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for run in range(rounds + 1):
        for name, epoch in epochs.items():
            start = time.perf_counter()
            epoch()
            if run:  # the first warms up
                times[name].append(time.perf_counter() - start)
    rates = {name: count / statistics.median(values) for name, values in times.items()}
    return Row(model, rates["ours"], rates["script"], rounds)


def _ours(
    config: TextConfig, sentences: Sentences, labels: Tensor, generator: Generator
) -> Callable[[], object]:
    dim = config.wordvec_dim or _GLOVE_DIM
    model = build_model(config, torch.randn(_TYPES, dim, generator=generator), generator)
    prepared = model.prepare(sentences)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=config.learning_rate, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda _: 1.0)

    def epoch() -> object:
        return train_epoch(
            model,
            prepared,
            labels,
            optimiser,
            scheduler,
            batch_size=config.batch_size,
            generator=generator,
        )

    return epoch


def _script(config: TextConfig, sentences: Sentences, labels: Tensor) -> Callable[[], object]:
    words, lengths = sentences.padded().T.contiguous(), sentences.lengths
    if config.model == "bag":
        inputs = torch.zeros(len(lengths), _TYPES)
        inputs.scatter_(1, words, 1.0)
        inputs[:, 0] = 0
        model: torch.nn.Module = torch.nn.Linear(_TYPES, 1)
    else:
        inputs, model = words, _PlainClassifier(config)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=config.learning_rate)
    criterion = torch.nn.BCEWithLogitsLoss()

    def epoch() -> object:
        total = 0.0
        for rows in torch.split(torch.randperm(len(labels)), config.batch_size):
            batch = (inputs[rows],) if config.model == "bag" else (inputs[rows], lengths[rows])
            optimiser.zero_grad()
            loss = criterion(model(*batch).squeeze(1), labels[rows])
            loss.backward()
            optimiser.step()
            total += loss.item()
        return total

    return epoch


class _PlainClassifier(torch.nn.Module):
    """The embedding models as many would write them: batch first, padded, masked."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        dim = config.wordvec_dim or _GLOVE_DIM
        self.embedding = torch.nn.Embedding(_TYPES, dim, padding_idx=0)
        self.embedding.weight.requires_grad_(config.model != "glove-fixed")
        self.recurrent: torch.nn.RNNBase | None = None
        size = dim
        if config.model in RECURRENT:
            kind = torch.nn.RNN if config.model == "rnn" else torch.nn.LSTM
            both = config.model in BIDIRECTIONAL
            self.recurrent = kind(dim, config.hidden_dim, batch_first=True, bidirectional=both)
            size = config.hidden_dim * (2 if both else 1)
        self.pooling = "max" if config.model in BIDIRECTIONAL else "last"
        self.embedding_dropout = torch.nn.Dropout(config.embedding_dropout)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.linear = torch.nn.Linear(size, 1)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        x = self.embedding(words)
        mask = (words != 0).unsqueeze(2)
        if self.recurrent is None:
            pooled = (x * mask).sum(1) / lengths.unsqueeze(1)
        else:
            states, _ = self.recurrent(self.embedding_dropout(x))
            if self.pooling == "max":
                pooled = states.masked_fill(~mask, float("-inf")).max(1).values
            else:
                pooled = states[torch.arange(len(words)), lengths - 1]
        scores: Tensor = self.linear(self.dropout(pooled))
        return scores


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`run` to a parser."""
    parser.add_argument("--model", choices=MODELS, action="append", help="default: all")
    parser.add_argument(
        "--sentences", type=int, default=40_000, help="in an epoch (default: 40000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="epochs to time (default: 3)")


def run(options: argparse.Namespace) -> None:
    """Measure and print the table."""
    if options.sentences < 1 or options.rounds < 1:
        raise SystemExit("--sentences and --rounds must be at least 1")
    torch.set_num_threads(1)
    print(f"Text classifiers in one thread, {options.sentences:,} sentences an epoch")
    print(f"{'model':<14}{'ours, 1/s':>12}{'script, 1/s':>13}{'ours/script':>13}")
    for model in options.model or MODELS:
        row = measure(model, count=options.sentences, rounds=options.rounds)
        print(
            f"{row.model:<14}{row.ours:12,.0f}{row.script:13,.0f}{row.ours / row.script:13.2f}",
            flush=True,
        )
    print()
