"""All runs of style transfer that the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from rnnreport.data.assets import NEEDS, find, resolve
from rnnreport.experiments import study as study_of_runs
from rnnreport.experiments.paintings import (
    StyleData,
    feature_network,
    painting_names,
    style_data,
)
from rnnreport.experiments.study import results_by
from rnnreport.experiments.style import painting
from rnnreport.experiments.style.painting import StyleConfig, default_config, trade_off_configs
from rnnreport.models.style import judge, to_image
from rnnreport.names import Profile, ResolvedProfile
from rnnreport.runs.engine import results
from rnnreport.runs.store import Result, load_tensors

__all__ = ["Study", "configs", "squeezenet_configs", "study", "weight_configs"]


@dataclass(frozen=True)
class Study(study_of_runs.Study[StyleData, str]):
    """The run of each painting.

    Attributes
    ----------
    trade_off : tuple of Result
        Runs with the last painting that differ in the weight of the content alone.
    squeezenet : mapping of str to Result
        The run of each painting with SqueezeNet; empty where its weights are not there.
    """

    trade_off: tuple[Result, ...]
    squeezenet: Mapping[str, Result] = field(default_factory=dict)

    @property
    def all_results(self) -> tuple[Result, ...]:
        """All results, those with other weights or another network included."""
        return (*super().all_results, *self.trade_off, *self.squeezenet.values())

    def judged(self, result: Result) -> float:
        """Return what VGG-19 says is left of the style loss, whatever network has painted."""
        side = int(result.history["short_side"][-1])
        pixels = load_tensors(result)["image"].permute(2, 0, 1)[None].to(torch.float32) / 255
        painting = self.data.paintings[result.config["painting"]].picture
        content = to_image(self.data.content, side)
        return judge(pixels, content, to_image(painting, side), feature_network("vgg19"))


def configs(profile: ResolvedProfile) -> list[StyleConfig]:
    """Return the run of each painting."""
    return [default_config(name, profile=profile) for name in painting_names(profile)]


def weight_configs(profile: ResolvedProfile) -> tuple[StyleConfig, ...]:
    """Return the runs with the last painting that differ in the weight of the content alone."""
    return trade_off_configs(painting_names(profile)[-1], profile=profile)


def squeezenet_configs(profile: ResolvedProfile) -> tuple[StyleConfig, ...]:
    """Return the run of each real painting with SqueezeNet, if its weights are there.

    The course that set the source's tasks paints with that network.
    """
    if profile == "sample" or find("squeezenet1_1") is None:
        return ()
    usual = (
        default_config(name, profile=profile, network="squeezenet1_1")
        for name in painting_names(profile)
    )
    return tuple(replace(config, snapshots=()) for config in usual)


def study(profile: Profile = "auto") -> Study:
    """Paint one picture in the style of each painting, or return the stored results."""
    resolved = resolve(profile, *NEEDS["style"])
    planned = configs(resolved)
    return Study(
        partial(style_data, resolved, planned[0].data_seed),
        results_by("painting", painting, planned, label="paintings"),
        tuple(results(painting, weight_configs(resolved), label="content against style")),
        {
            result.config["painting"]: result
            for result in results(painting, squeezenet_configs(resolved), label="SqueezeNet")
        },
    )
