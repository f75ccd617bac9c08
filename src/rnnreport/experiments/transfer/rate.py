"""The basis of fine-tuning: the maps below the cut, and the learning rate above it.

The learning rate of the network's blocks is chosen as :mod:`~rnnreport.experiments.transfer.choice`
chooses: by the loss on training images that a trained network has not seen.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from rnnreport._checks import check_at_least, check_numbers
from rnnreport.data.views import random_view
from rnnreport.experiments.transfer import choice as transfer_choice
from rnnreport.experiments.transfer.choice import (
    ChoiceConfig,
    cross_validate,
    fixed_views,
    held_out,
    pass_through,
)
from rnnreport.experiments.transfer.data import backbone, transfer_data
from rnnreport.models.transfer import Head, finetune, train_head
from rnnreport.progress import track
from rnnreport.runs.store import (
    Outcome,
    Request,
    Result,
    get_or_compute,
    load_tensors,
)

__all__ = [
    "RateConfig",
    "Start",
    "in_parts",
    "lower_maps",
    "request",
    "run",
    "start",
    "validation_maps",
]


@dataclass(frozen=True)
class RateConfig:
    """The settings of fine-tuning, and the learning rates to choose from.

    Attributes
    ----------
    choice
        Of the new layer that fine-tuning begins with.
    rates
        Learning rates of the blocks above the cut.
    cut
        How many blocks stay as they are.
    views, view_size
        How many random views of each training image there are, and their side.
    epochs, batch_size, head_learning_rate
        Of fine-tuning.
    folds
        How many parts the training images are split into.
    """

    choice: ChoiceConfig
    rates: tuple[float, ...]
    cut: int
    views: int
    view_size: int
    epochs: int
    batch_size: int
    head_learning_rate: float
    folds: int = 3

    def __post_init__(self) -> None:
        check_numbers(
            self,
            at_least_1="cut views view_size epochs batch_size",
            positive="head_learning_rate",
            filled="rates",
        )
        check_at_least(2, folds=self.folds)


@dataclass(frozen=True)
class Start:
    """Where fine-tuning begins.

    Attributes
    ----------
    upper : torch.nn.Sequential
        The blocks above the cut, as they come.
    head : Head
        The new layer, trained on frozen features.
    """

    upper: nn.Sequential
    head: Head


def request(config: RateConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    MissingDataError
        If data or weights are not there.
    DataFormatError
        If a file cannot be read.
    """
    choice = transfer_choice.request(config.choice)
    return Request(
        "transfer-rate",
        __name__,
        config,
        data={**choice.data, "choice": choice.key},
        seeds=choice.seeds,
        device=choice.device,
    )


def run(config: RateConfig) -> Result:
    """Choose the learning rate, or return the stored choice.

    Parameters
    ----------
    config
        What to choose from.

    Returns
    -------
    Result
        ``metrics["rate"]`` is chosen; ``details["table"]`` holds the mean ``loss`` and ``accuracy``
        of all folds for each ``rate``, and is empty where there is only one.

    Raises
    ------
    MissingDataError
        If data or weights are not there.
    DataFormatError
        If a file cannot be read.
    FloatingPointError
        If the loss stops being finite.
    """
    return get_or_compute(request(config), lambda: _choose(config))


def _choose(config: RateConfig) -> Outcome:
    rows: list[dict[str, float]] = []
    if len(config.rates) > 1:
        for rate in config.rates:
            loss, accuracy = _cross_validate(config, rate)
            rows.append({"rate": rate, "loss": loss, "accuracy": accuracy})
    best = min(rows, key=lambda row: row["loss"])["rate"] if rows else config.rates[0]
    return Outcome(history={}, metrics={"rate": best}, details={"table": rows})


def _cross_validate(config: RateConfig, rate: float) -> tuple[float, float]:
    """Return the mean loss and accuracy on images that fine-tuning has not seen."""
    choice = config.choice
    labels = transfer_data(choice.profile, choice.data_seed).train_labels.to(choice.device)
    features = load_tensors(transfer_choice.run(choice))["train"].to(choice.device)
    maps = lower_maps(config)
    generator = Generator().manual_seed(choice.seed)

    def predict(held: Tensor) -> Tensor:
        begun = start(config, features[:, ~held], labels[~held], generator)
        for _ in finetune(
            begun.upper,
            begun.head,
            maps[:, ~held],
            labels[~held],
            epochs=config.epochs,
            batch_size=config.batch_size,
            learning_rate=config.head_learning_rate,
            upper_learning_rate=rate,
            generator=generator,
        ):
            pass
        with torch.no_grad():
            views = [in_parts(begun.upper, view).mean((2, 3)) for view in maps[:, held]]
            scores: Tensor = begun.head(torch.stack(views))
        return scores.softmax(-1).mean(0)

    masks = held_out(len(labels), config.folds, generator)
    return cross_validate(
        labels, track(masks, f"learning rate {rate:g}", total=config.folds), predict
    )


def start(config: RateConfig, features: Tensor, labels: Tensor, generator: Generator) -> Start:
    """Train the new layer on frozen features, and load the blocks above the cut.

    Parameters
    ----------
    config
        How.
    features : Tensor, float32, (2, N, F)
        At the chosen size, from :mod:`~rnnreport.experiments.transfer.choice`.
    labels : Tensor, int64, (N,)
        Classes.
    generator
        Draws the order of the mini-batches.
    """
    choice = config.choice
    head = Head(features.flatten(0, 1)).to(labels.device)
    for _ in train_head(
        head,
        features,
        labels,
        epochs=choice.epochs,
        batch_size=choice.batch_size,
        learning_rate=choice.learning_rate,
        decay=transfer_choice.run(choice).metrics["decay"],
        generator=generator,
    ):
        pass
    _, upper = backbone(choice.backbone).split(config.cut)
    # The layout in memory that convolutions of few channels are fastest in.
    upper.to(labels.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Start(upper, head)


@functools.lru_cache(maxsize=1)  # the same for all seeds
def lower_maps(config: RateConfig) -> Tensor:
    """Compute the outputs of the blocks below the cut for random views of the training images.

    Parameters
    ----------
    config
        Which views and blocks.

    Returns
    -------
    Tensor, float16, (V, N, C, H, W)
        The maps.
    """
    choice = config.choice
    generator = Generator().manual_seed(choice.data_seed)

    def views() -> Iterator[Tensor]:
        for picture in transfer_data(choice.profile, choice.data_seed).train:
            yield random_view(picture, config.view_size, generator)

    iterators = [views() for _ in range(config.views)]
    return pass_through(_lower(config), iterators, "random views", dtype=torch.half)


@functools.lru_cache(maxsize=1)
def validation_maps(config: RateConfig) -> Tensor:
    """Compute the outputs of the blocks below the cut for both views of the validation images.

    Parameters
    ----------
    config
        Which blocks.

    Returns
    -------
    Tensor, float16, (2, M, C, H, W)
        The maps, at the size that the frozen network sees too.
    """
    choice = config.choice
    size = int(transfer_choice.run(choice).metrics["size"])
    antialias = backbone(choice.backbone).antialias
    pictures = transfer_data(choice.profile, choice.data_seed).val
    views = fixed_views(pictures, size, antialias=antialias)
    return pass_through(_lower(config), views, "views to validate", dtype=torch.half)


def _lower(config: RateConfig) -> nn.Module:
    lower, _ = backbone(config.choice.backbone).split(config.cut)
    return lower.to(config.choice.device)


@torch.no_grad()
def in_parts(upper: nn.Module, maps: Tensor, count: int = 32) -> Tensor:
    """Compute the last maps from lower ones, a few images at a time.

    Parameters
    ----------
    upper
        The blocks above the cut.
    maps : Tensor, (N, C, H, W)
        Lower maps.
    count
        How many images at once.

    Returns
    -------
    Tensor, float32, (N, F, h, w)
        The last maps.
    """
    return torch.cat([upper(part.float()) for part in torch.split(maps, count)])
