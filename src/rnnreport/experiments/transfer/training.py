"""Transfer learning on ants and bees: frozen and fine-tuned, each from several seeds.

One run gives two accuracies. The source takes the epoch that is best on the validation images, and
reports that accuracy: too good a number, since the images that judge have also chosen. Here the
number of epochs is fixed beforehand, and the last one counts; the other number is kept beside it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from rnnreport._checks import check_choice, check_numbers
from rnnreport.data.assets import find
from rnnreport.experiments.transfer import choice as transfer_choice
from rnnreport.experiments.transfer import rate as transfer_rate
from rnnreport.experiments.transfer.choice import (
    ChoiceConfig,
    fixed_views,
    log_probability,
    pass_through,
)
from rnnreport.experiments.transfer.data import backbone, transfer_data
from rnnreport.experiments.transfer.rate import (
    RateConfig,
    in_parts,
    lower_maps,
    start,
    validation_maps,
)
from rnnreport.models.transfer import Head, finetune, grad_cam, train_head
from rnnreport.names import BACKBONES, MODES, RESOLVED_PROFILES, BackboneName, Mode, ResolvedProfile
from rnnreport.progress import track
from rnnreport.runs.store import (
    Outcome,
    Request,
    Result,
    describe_device,
    get_or_compute,
    load_tensors,
)

__all__ = [
    "TransferConfig",
    "backbones_of",
    "default_config",
    "rate_config",
    "request",
    "run",
    "seeds_of",
]


@dataclass(frozen=True)
class TransferConfig:
    """How a network is trained to tell ants from bees.

    Attributes
    ----------
    mode
        ``"frozen"``: only a new last layer learns. ``"finetuned"``: after that the network is
        trained on together with it.
    profile
        ``"full"``: photographs; ``"sample"``: drawn insects.
    backbone
        The network.
    sizes, decays
        Sides of the views and weight decays that cross-validation chooses from.
    epochs, learning_rate
        Of the new layer alone.
    cut
        Fine-tuning leaves so many blocks of the network as they are.
    views, view_size
        Fine-tuning sees so many random views of each training image, of this side.
    rates
        Learning rates of the network that cross-validation chooses from.
    finetune_epochs, head_learning_rate
        Of fine-tuning; the learning rate is that of the last layer.
    batch_size
        Images in a mini-batch.
    data_seed, seed
        Of the drawn insects and the random views; of the order of the mini-batches and choice of
        views.
    device
        Where to compute, as torch names it.
    """

    mode: Mode = "frozen"
    profile: ResolvedProfile = "full"
    backbone: BackboneName = "efficientnet_lite1"
    sizes: tuple[int, ...] = (240, 272)
    decays: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    epochs: int = 25
    learning_rate: float = 0.02
    cut: int = 17
    views: int = 8
    view_size: int = 240
    finetune_epochs: int = 8
    head_learning_rate: float = 5e-3
    rates: tuple[float, ...] = (1e-3, 3e-4, 1e-4)
    batch_size: int = 16
    data_seed: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, MODES)
        check_choice("profile", self.profile, RESOLVED_PROFILES)
        check_choice("backbone", self.backbone, BACKBONES)
        check_numbers(
            self,
            at_least_1="epochs views view_size finetune_epochs batch_size",
            positive="learning_rate head_learning_rate",
        )


_SETTINGS: dict[tuple[ResolvedProfile, BackboneName], dict[str, Any]] = {
    ("full", "mobilenet_v2"): {"sizes": (224, 256, 288), "cut": 7, "view_size": 224},
    ("sample", "efficientnet_lite1"): {
        "sizes": (96,),
        "cut": 17,
        "view_size": 96,
        "rates": (1e-3,),
    },
}


def default_config(
    mode: Mode,
    *,
    profile: ResolvedProfile,
    seed: int = 0,
    backbone: BackboneName = "efficientnet_lite1",
) -> TransferConfig:
    """Return the configuration that the report uses."""
    settings = _SETTINGS.get((profile, backbone), {})
    return TransferConfig(mode=mode, profile=profile, backbone=backbone, seed=seed, **settings)


def backbones_of(profile: ResolvedProfile) -> tuple[BackboneName, ...]:
    """Return the networks that the report trains, beginning with the one of its pages.

    That one pip installs everywhere. Beside photographs, a second is compared with it where its
    weights are there; no result of the first depends on that.
    """
    second = profile == "full" and find("mobilenet_v2") is not None
    return ("efficientnet_lite1", "mobilenet_v2") if second else ("efficientnet_lite1",)


def seeds_of(config: TransferConfig) -> tuple[int, ...]:
    """Return the seeds that the report trains from: five, and three for a long sample."""
    few = config.profile == "sample" and config.mode == "finetuned"
    return tuple(range(3 if few else 5))


def rate_config(config: TransferConfig) -> RateConfig:
    """Return what cross-validation in the training images chooses from, whatever mode and seed.

    Parameters
    ----------
    config
        Of a run.

    Returns
    -------
    RateConfig
        For :func:`rnnreport.experiments.transfer.rate.run`; its ``choice`` is for
        :func:`rnnreport.experiments.transfer.choice.run`.
    """
    choice = ChoiceConfig(
        config.profile,
        config.backbone,
        config.sizes,
        config.decays,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        data_seed=config.data_seed,
        device=config.device,
    )
    return RateConfig(
        choice,
        config.rates,
        cut=config.cut,
        views=config.views,
        view_size=config.view_size,
        epochs=config.finetune_epochs,
        batch_size=config.batch_size,
        head_learning_rate=config.head_learning_rate,
    )


def request(config: TransferConfig) -> Request:
    """Return the request for a configuration's result.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a file cannot be read.
    """
    rates = rate_config(config)
    basis = (
        transfer_choice.request(rates.choice)
        if config.mode == "frozen"
        else transfer_rate.request(rates)
    )
    return Request(
        "transfer",
        __name__,
        config,
        data={**basis.data, "settings": basis.key},
        seeds={"data": config.data_seed, "model": config.seed},
        device=describe_device(config.device),
    )


def run(config: TransferConfig) -> Result:
    """Train and validate, or return the stored result.

    Parameters
    ----------
    config
        What to do.

    Returns
    -------
    Result
        ``history`` holds for each epoch the ``train_loss``, ``val_loss`` and ``val_accuracy``.
        ``metrics`` has the ``last_accuracy``, the ``best_accuracy`` of the ``best_epoch``, and the
        ``size`` of the views. The tensors are ``val_probability`` (M, 2), what the last epoch says
        of each validation image, and ``grad_cam`` (M, h, w), the places that speak for the class
        that it names. :class:`~rnnreport.experiments.transfer.trained.TrainedImageClassifier` takes
        the weights.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a file cannot be read.
    FloatingPointError
        If the loss stops being finite.
    """
    return get_or_compute(request(config), lambda: _learn(config))


def _learn(config: TransferConfig) -> Outcome:
    val_labels = transfer_data(config.profile, config.data_seed).val_labels.to(config.device)
    history: dict[str, list[float]] = {"train_loss": [], "val_loss": [], "val_accuracy": []}
    train = _train_new_layer if config.mode == "frozen" else _finetune
    for epoch in train(config):
        probability = epoch.scores.softmax(-1).mean(0)  # over a picture and its mirror image
        history["train_loss"].append(epoch.loss)
        loss = functional.nll_loss(log_probability(probability), val_labels)
        history["val_loss"].append(loss.item())
        hits = probability.argmax(1) == val_labels
        history["val_accuracy"].append(hits.double().mean().item())
    best = max(history["val_accuracy"])
    return Outcome(
        history=history,
        metrics={
            "last_accuracy": history["val_accuracy"][-1],
            "best_accuracy": best,
            "best_epoch": 1 + history["val_accuracy"].index(best),
            "num_parameters": epoch.num_parameters,
            "size": int(transfer_choice.run(rate_config(config).choice).metrics["size"]),
        },
        details={},
        tensors={
            "val_probability": probability.cpu(),
            "grad_cam": grad_cam(epoch.maps, epoch.head, probability.argmax(1)).cpu(),
        }
        | {f"head.{name}": tensor.cpu() for name, tensor in epoch.head.state_dict().items()}
        | {f"upper.{name}": tensor.cpu() for name, tensor in epoch.upper.state_dict().items()},
    )


class _Epoch(NamedTuple):
    """A network after an epoch: its loss, and its scores (2, M, C) of the validation images."""

    loss: float
    scores: Tensor
    maps: Tensor
    """The last maps of the validation images, (M, F, h, w)."""
    head: Head
    upper: nn.Module
    """The blocks that have learned: none of a frozen network."""
    num_parameters: int


def _train_new_layer(config: TransferConfig) -> Iterator[_Epoch]:
    """Train a new last layer; the network stays as it is."""
    choice_config = rate_config(config).choice
    choice = transfer_choice.run(choice_config)
    features, val_features, labels = _features(config, choice)
    head = Head(features.flatten(0, 1)).to(config.device)
    num_parameters = sum(parameter.numel() for parameter in head.parameters())
    maps = _last_maps(choice_config, int(choice.metrics["size"]))
    for loss in train_head(
        head,
        features,
        labels,
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        decay=choice.metrics["decay"],
        generator=Generator().manual_seed(config.seed),
    ):
        with torch.no_grad():
            yield _Epoch(loss, head(val_features), maps, head, nn.Sequential(), num_parameters)


def _finetune(config: TransferConfig) -> Iterator[_Epoch]:
    """Train a new last layer, then the blocks above the cut together with it."""
    rates = rate_config(config)
    features, _, labels = _features(config, transfer_choice.run(rates.choice))
    generator = Generator().manual_seed(config.seed)
    begun = start(rates, features, labels, generator)
    parameters = [*begun.head.parameters(), *begun.upper.parameters()]
    num_parameters = sum(parameter.numel() for parameter in parameters)
    losses = finetune(
        begun.upper,
        begun.head,
        lower_maps(rates),
        labels,
        epochs=config.finetune_epochs,
        batch_size=config.batch_size,
        learning_rate=config.head_learning_rate,
        upper_learning_rate=transfer_rate.run(rates).metrics["rate"],
        generator=generator,
    )
    for loss in track(losses, f"fine-tuning, seed {config.seed}", total=config.finetune_epochs):
        maps = torch.stack([in_parts(begun.upper, view) for view in validation_maps(rates)])
        with torch.no_grad():
            scores = begun.head(maps.mean((3, 4)))
            yield _Epoch(loss, scores, maps[0], begun.head, begun.upper, num_parameters)


def _features(config: TransferConfig, choice: Result) -> tuple[Tensor, Tensor, Tensor]:
    """Return the features of the training and the validation images, and the training labels."""
    tensors = load_tensors(choice)
    labels = transfer_data(config.profile, config.data_seed).train_labels
    features, val_features, labels = (
        tensor.to(config.device) for tensor in (tensors["train"], tensors["val"], labels)
    )
    return features, val_features, labels


@functools.lru_cache(maxsize=1)
def _last_maps(config: ChoiceConfig, size: int) -> Tensor:
    """Return the last maps of the validation images, (M, F, h, w): the same for all seeds."""
    network = backbone(config.backbone)
    pictures = transfer_data(config.profile, config.data_seed).val
    views = fixed_views(pictures, size, antialias=network.antialias)
    return pass_through(network.blocks.to(config.device), views[:1], "maps to validate")[0]
