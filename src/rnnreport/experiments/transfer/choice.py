"""The features of a frozen network, and what cross-validation chooses for the layer on top of them.

Chosen are the size in which the network sees the images, and the weight decay of the new layer. The
training images alone decide: they are split into folds, and each fold is scored by layers that have
not seen it. The loss decides and not the accuracy, which on so few images has many ties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Generator, Tensor, nn
from torch.nn import functional

from rnnreport._checks import check_at_least, check_choice, check_numbers
from rnnreport.data.views import centre_view
from rnnreport.experiments.transfer.data import about, backbone, transfer_data
from rnnreport.models.transfer import Head, train_head
from rnnreport.names import BACKBONES, RESOLVED_PROFILES, BackboneName, ResolvedProfile
from rnnreport.progress import track
from rnnreport.runs.store import Outcome, Request, Result, describe_device, get_or_compute

__all__ = [
    "ChoiceConfig",
    "cross_validate",
    "fixed_views",
    "held_out",
    "log_probability",
    "pass_through",
    "request",
    "run",
]

_BATCH = 16  # images that pass through a network at once


@dataclass(frozen=True)
class ChoiceConfig:
    """The settings to choose from.

    Attributes
    ----------
    profile
        ``"full"`` or ``"sample"``.
    backbone
        The network.
    sizes
        Sides of the square views, in pixels.
    decays
        Weight decays of the new layer.
    epochs, batch_size, learning_rate
        Of its training, as :func:`~rnnreport.models.transfer.train_head` has them.
    folds, repeats
        How many folds, and how often the images are split anew.
    data_seed, seed
        Of the drawn pictures; of folds and training.
    device
        Where to compute, as torch names it.
    """

    profile: ResolvedProfile
    backbone: BackboneName
    sizes: tuple[int, ...]
    decays: tuple[float, ...]
    epochs: int = 25
    batch_size: int = 16
    learning_rate: float = 0.02
    folds: int = 5
    repeats: int = 2
    data_seed: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_choice("profile", self.profile, RESOLVED_PROFILES)
        check_choice("backbone", self.backbone, BACKBONES)
        check_numbers(
            self,
            at_least_1="epochs batch_size repeats",
            positive="learning_rate",
            filled="sizes decays",
        )
        check_at_least(2, folds=self.folds)


def request(config: ChoiceConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    MissingDataError
        If data or weights are not there.
    DataFormatError
        If a file cannot be read.
    """
    return Request(
        "transfer-choice",
        __name__,
        config,
        data=about(config.profile, config.data_seed, config.backbone),
        seeds={"data": config.data_seed, "folds": config.seed},
        device=describe_device(config.device),
    )


def run(config: ChoiceConfig) -> Result:
    """Compute features and choose, or return the stored choice.

    Parameters
    ----------
    config
        What to choose from.

    Returns
    -------
    Result
        ``metrics`` holds the chosen ``size`` and ``decay``; ``details["table"]`` the mean ``loss``
        and ``accuracy`` of all folds for each ``size`` and ``decay``. The tensors ``train`` and
        ``val``, (2, N, F) and (2, M, F), are the features at the chosen size, of each image and of
        its mirror image.

    Raises
    ------
    MissingDataError
        If data or weights are not there.
    DataFormatError
        If a file cannot be read.
    """
    return get_or_compute(request(config), lambda: _compute(config))


def _compute(config: ChoiceConfig) -> Outcome:
    data = transfer_data(config.profile, config.data_seed)
    network = backbone(config.backbone)
    chain, antialias = network.blocks.to(config.device), network.antialias
    labels = data.train_labels.to(config.device)
    rows: list[dict[str, float]] = []
    best, chosen_size, chosen_decay, tensors = float("inf"), 0, 0.0, {}
    for size in config.sizes:
        views = fixed_views(data.train, size, antialias=antialias)
        train = _features(chain, views, f"features, {size} px")
        for decay in config.decays:
            loss, accuracy = _cross_validate(train, labels, decay, config)
            rows.append({"size": size, "decay": decay, "loss": loss, "accuracy": accuracy})
            if loss < best:
                best, chosen_size, chosen_decay = loss, size, decay
                tensors = {"train": train.cpu()}
    views = fixed_views(data.val, chosen_size, antialias=antialias)
    val = _features(chain, views, "features to validate")
    return Outcome(
        history={},
        metrics={"size": chosen_size, "decay": chosen_decay},
        details={"table": rows},
        tensors={**tensors, "val": val.cpu()},
    )


def fixed_views(
    pictures: Sequence[Image.Image], size: int, *, antialias: bool
) -> list[Iterator[Tensor]]:
    """Return the two views of each picture that it is judged by: its centre, and that mirrored.

    Parameters
    ----------
    pictures
        N pictures in RGB.
    size
        Side of the views.
    antialias
        As the network's :class:`~rnnreport.models.transfer.Backbone` has it.

    Returns
    -------
    list of iterators of Tensor, float32, (3, size, size)
        Two iterators over N views.
    """

    def views(picture: Image.Image) -> Tensor:
        return centre_view(picture, size, antialias=antialias)

    return [map(views, pictures), (views(picture).flip(2) for picture in pictures)]


@torch.no_grad()
def pass_through(
    network: nn.Module,
    views: Sequence[Iterator[Tensor]],
    label: str,
    *,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Compute a network's outputs for views, a few images at a time.

    Parameters
    ----------
    network
        In evaluation mode, on any device; its layout in memory becomes the faster one.
    views
        V iterators over N views each.
    label
        What the progress bar says.
    dtype
        Of the answer.

    Returns
    -------
    Tensor, (V, N, …)
        What the network gives, on its device.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    answers = []
    for view in track(views, label):
        images = list(view)
        parts = [
            network(
                torch.stack(images[k : k + _BATCH])
                .contiguous(memory_format=torch.channels_last)
                .to(device)
            )
            for k in range(0, len(images), _BATCH)
        ]
        answers.append(torch.cat(parts).to(dtype).contiguous())
    return torch.stack(answers)


def _features(chain: nn.Module, views: Sequence[Iterator[Tensor]], label: str) -> Tensor:
    pooled = nn.Sequential(chain, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return pass_through(pooled, views, label)


def _cross_validate(
    features: Tensor, labels: Tensor, decay: float, config: ChoiceConfig
) -> tuple[float, float]:
    """Return the mean loss and accuracy on images that a layer has not seen."""
    generator = Generator().manual_seed(config.seed)

    def predict(held: Tensor) -> Tensor:
        head = Head(features[:, ~held].flatten(0, 1)).to(labels.device)
        for _ in train_head(
            head,
            features[:, ~held],
            labels[~held],
            epochs=config.epochs,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            decay=decay,
            generator=generator,
        ):
            pass
        with torch.no_grad():
            scores: Tensor = head(features[:, held])
        return scores.softmax(-1).mean(0)

    masks = (
        mask
        for _ in range(config.repeats)
        for mask in held_out(len(labels), config.folds, generator)
    )
    return cross_validate(labels, masks, predict)


def held_out(count: int, folds: int, generator: Generator) -> Iterator[Tensor]:
    """Split images at random, and yield for each fold which of them it holds out, (N,), bool."""
    order = torch.randperm(count, generator=generator)
    for fold in range(folds):
        mask = torch.zeros(count, dtype=torch.bool)
        mask[order[fold::folds]] = True
        yield mask


def log_probability(probability: Tensor) -> Tensor:
    """Return the logarithm of probabilities, of a 0 that of the smallest number.

    A network may give a class that it has hardly seen the probability 0; its loss stays a number.
    """
    return probability.clamp_min(torch.finfo(probability.dtype).tiny).log()


def cross_validate(
    labels: Tensor, masks: Iterable[Tensor], predict: Callable[[Tensor], Tensor]
) -> tuple[float, float]:
    """Return the mean loss and accuracy on images that are held out.

    Parameters
    ----------
    labels : Tensor, int64, (N,)
        Classes.
    masks : iterable of Tensor, bool, (N,)
        Which images each fold holds out.
    predict
        Trains on the others, and returns the probabilities (M, C) of the M that are held out.
    """
    losses, hits = [], []
    for held in masks:
        probability = predict(held)
        losses.append(
            functional.nll_loss(log_probability(probability), labels[held], reduction="none")
        )
        hits.append((probability.argmax(1) == labels[held]).double())
    return torch.cat(losses).mean().item(), torch.cat(hits).mean().item()
