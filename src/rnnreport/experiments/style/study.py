"""All runs of style transfer that the page shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from rnnreport.data.assets import NEEDS, resolve
from rnnreport.experiments import study as study_of_runs
from rnnreport.experiments.paintings import StyleData, painting_names, style_data
from rnnreport.experiments.study import results_by
from rnnreport.experiments.style import painting
from rnnreport.experiments.style.painting import StyleConfig, default_config, trade_off_configs
from rnnreport.names import Profile, ResolvedProfile
from rnnreport.runs.engine import results
from rnnreport.runs.store import Result

__all__ = ["Study", "configs", "study", "weight_configs"]


@dataclass(frozen=True)
class Study(study_of_runs.Study[StyleData, str]):
    """The run of each painting.

    Attributes
    ----------
    trade_off : tuple of Result
        Runs with the last painting that differ in the weight of the content alone.
    """

    trade_off: tuple[Result, ...]

    @property
    def all_results(self) -> tuple[Result, ...]:
        """All results, those with other weights included."""
        return (*super().all_results, *self.trade_off)


def configs(profile: ResolvedProfile) -> list[StyleConfig]:
    """Return the run of each painting."""
    return [default_config(name, profile=profile) for name in painting_names(profile)]


def weight_configs(profile: ResolvedProfile) -> tuple[StyleConfig, ...]:
    """Return the runs with the last painting that differ in the weight of the content alone."""
    return trade_off_configs(painting_names(profile)[-1], profile=profile)


def study(profile: Profile = "auto") -> Study:
    """Paint one picture in the style of each painting, or return the stored results."""
    resolved = resolve(profile, *NEEDS["style"])
    planned = configs(resolved)
    return Study(
        partial(style_data, resolved, planned[0].data_seed),
        results_by("painting", painting, planned, label="paintings"),
        tuple(results(painting, weight_configs(resolved), label="content against style")),
    )
