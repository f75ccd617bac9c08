"""The study of transfer learning: accuracies, and which differences are more than chance."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from rnnreport.asked import VAL_HITS, VAL_IMAGES
from rnnreport.data.assets import NEEDS, resolve
from rnnreport.experiments import study as study_of_runs
from rnnreport.experiments.significance import fisher, mcnemar, wilson
from rnnreport.experiments.study import results_by
from rnnreport.experiments.transfer import choice as transfer_choice
from rnnreport.experiments.transfer import rate as transfer_rate
from rnnreport.experiments.transfer import training
from rnnreport.experiments.transfer.data import TransferData, transfer_data
from rnnreport.experiments.transfer.training import (
    TransferConfig,
    backbones_of,
    default_config,
    rate_config,
    seeds_of,
)
from rnnreport.names import MODES, BackboneName, Mode, Profile, ResolvedProfile
from rnnreport.runs.store import Result

__all__ = [
    "NAMES",
    "NETWORKS",
    "Row",
    "Study",
    "configs",
    "least_difference",
    "studies",
    "study",
]

NAMES: Mapping[Mode, str] = {"frozen": "Frozen", "finetuned": "Fine-tuned"}
"""Names of the two ways on the pages."""

NETWORKS: Mapping[BackboneName, str] = {
    "efficientnet_lite1": "EfficientNet-Lite1",
    "mobilenet_v2": "MobileNetV2",
    "resnet18": "ResNet-18",
    "embedded": "Embedded network",
}
"""Names of the networks on the pages."""


@dataclass(frozen=True)
class Row:
    """The accuracy of one of the two ways on the validation images.

    Attributes
    ----------
    backbone : str
        The network.
    mode : str
        One of :data:`~rnnreport.names.MODES`.
    last, best : tuple of float
        For each seed the accuracy after the last epoch, fixed beforehand, and that of the epoch
        that is best on the validation images, as the source has it.
    last_mean, best_mean : float
        Their means.
    last_interval, best_interval : tuple of two floats
        95 % Wilson intervals of the means.
    source : float or None
        The source's accuracy, where the images are the source's.
    source_interval : tuple of two floats or None
        Its Wilson interval.
    p_source : float or None
        Fisher's exact test of `best_mean` against it: numbers of the same kind.
    """

    backbone: BackboneName
    mode: Mode
    last: tuple[float, ...]
    best: tuple[float, ...]
    last_mean: float
    best_mean: float
    last_interval: tuple[float, float]
    best_interval: tuple[float, float]
    source: float | None
    source_interval: tuple[float, float] | None
    p_source: float | None


@dataclass(frozen=True)
class Study(study_of_runs.Study[TransferData, Mode]):
    """The runs of each way, with one network.

    Attributes
    ----------
    choice, rate : Result
        The settings that cross-validation chose, for the new layer and for fine-tuning.
    """

    choice: Result
    rate: Result

    @property
    def backbone(self) -> BackboneName:
        """The network."""
        backbone: BackboneName = self.first.config["backbone"]
        return backbone

    @property
    def labels(self) -> Tensor:
        """Labels of the validation images, (M,)."""
        return self.data.val_labels

    @property
    def all_results(self) -> tuple[Result, ...]:
        """All results, those of the choices included."""
        return (self.choice, self.rate, *super().all_results)

    @cached_property
    def probabilities(self) -> dict[Mode, Tensor]:
        """The probabilities of the classes for the validation images, (S, M, 2), of each way."""
        return self.tensors("val_probability")

    @cached_property
    def grad_cam(self) -> dict[Mode, Tensor]:
        """The places that speak for the class that the runs name, (S, M, h, w), of each way."""
        return self.tensors("grad_cam")

    def right(self, mode: Mode) -> Tensor:
        """Return which validation images each run gets right, (S, M), bool."""
        return self.probabilities[mode].argmax(2) == self.labels

    def wrong_counts(self, mode: Mode) -> Tensor:
        """Return how many runs get each validation image wrong, (M,)."""
        return (~self.right(mode)).sum(0)

    def confusion(self, mode: Mode) -> Tensor:
        """Return the confusion matrix, a row for each true class, the mean of the seeds, (2, 2)."""
        answers = self.probabilities[mode].argmax(2)
        pairs = 2 * self.labels.expand_as(answers) + answers
        return torch.bincount(pairs.flatten(), minlength=4).reshape(2, 2).double() / len(answers)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The accuracy of each way."""
        return tuple(self._row(mode) for mode in self.results)

    def p_of_ways(self) -> tuple[float, ...]:
        """Return McNemar's p-value of the two ways, seed by seed as far as both have runs."""
        pairs = zip(self.right("frozen"), self.right("finetuned"), strict=False)
        return tuple(mcnemar(frozen, finetuned) for frozen, finetuned in pairs)

    def _row(self, mode: Mode) -> Row:
        n = self.probabilities[mode].shape[1]  # known without the pictures
        last = tuple(result.metrics["last_accuracy"] for result in self.results[mode])
        best = tuple(result.metrics["best_accuracy"] for result in self.results[mode])
        last_mean, best_mean = statistics.fmean(last), statistics.fmean(best)
        comparable = self.profile == "full" and n == VAL_IMAGES
        source = VAL_HITS[mode] if comparable else None
        return Row(
            backbone=self.backbone,
            mode=mode,
            last=last,
            best=best,
            last_mean=last_mean,
            best_mean=best_mean,
            last_interval=wilson(round(last_mean * n), n),
            best_interval=wilson(round(best_mean * n), n),
            source=None if source is None else source / n,
            source_interval=None if source is None else wilson(source, n),
            p_source=None if source is None else fisher(round(best_mean * n), source, n),
        )


def configs(
    profile: ResolvedProfile, backbone: BackboneName = "efficientnet_lite1"
) -> list[TransferConfig]:
    """Return the runs of the study of a network, way by way."""
    return [
        default_config(mode, profile=profile, seed=seed, backbone=backbone)
        for mode in MODES
        for seed in seeds_of(default_config(mode, profile=profile))
    ]


def studies(profile: Profile = "auto") -> tuple[Study, ...]:
    """Return the study of each network, beginning with the one of the pages."""
    resolved = resolve(profile, *NEEDS["transfer"])
    return tuple(study(resolved, backbone) for backbone in backbones_of(resolved))


def study(profile: Profile = "auto", backbone: BackboneName = "efficientnet_lite1") -> Study:
    """Train and validate both ways from several seeds, or return the stored results."""
    resolved = resolve(profile, *NEEDS["transfer"])
    planned = configs(resolved, backbone)
    rates = rate_config(planned[0])
    choice, rate = transfer_choice.run(rates.choice), transfer_rate.run(rates)
    return Study(
        partial(transfer_data, resolved, planned[0].data_seed),
        results_by("mode", training, planned, label="ants and bees"),
        choice,
        rate,
    )


def least_difference(successes: int, trials: int, p: float = 0.05) -> int:
    """Return how many fewer successes another experiment must have for Fisher's test to say `p`.

    Raises
    ------
    ValueError
        If not even no success at all would differ.
    """
    for fewer in range(1, successes + 1):
        if fisher(successes, successes - fewer, trials) < p:
            return fewer
    raise ValueError(f"{successes} of {trials} is too few to differ from less")
