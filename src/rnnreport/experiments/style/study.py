"""All runs of style transfer that the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnnreport.data.assets import NEEDS, Profile, ResolvedProfile, resolve
from rnnreport.experiments.style import painting
from rnnreport.experiments.style.data import (
    StyleData,
    painting_names,
    style_data,
)
from rnnreport.experiments.style.painting import StyleConfig, default_config, trade_off_configs
from rnnreport.runs.engine import results
from rnnreport.runs.store import Result

__all__ = ["Study", "configs", "study"]


@dataclass(frozen=True)
class Study:
    """All runs of one profile.

    Attributes
    ----------
    data : StyleData
        The pictures.
    results : mapping of str to Result
        The run of each painting.
    trade_off : tuple of Result
        Runs with the last painting that differ in the weight of the content alone.
    """

    data: StyleData
    results: Mapping[str, Result]
    trade_off: tuple[Result, ...]

    @property
    def every(self) -> tuple[Result, ...]:
        """All results."""
        return (*self.results.values(), *self.trade_off)


def configs(
    profile: ResolvedProfile,
) -> tuple[tuple[StyleConfig, ...], tuple[StyleConfig, ...]]:
    """Return the runs of each painting, and those that differ in the weight of the content."""
    names = painting_names(profile)
    paintings = tuple(default_config(name, profile=profile) for name in names)
    return paintings, trade_off_configs(names[-1], profile=profile)


def study(profile: Profile = "auto") -> Study:
    """Paint one picture in the style of each painting, or give back how that went."""
    resolved = resolve(profile, *NEEDS["style"])
    paintings, trade_off = configs(resolved)
    runs = results(painting, [*paintings, *trade_off], label="paintings")
    return Study(
        style_data(resolved, paintings[0].data_seed),
        {config.painting: result for config, result in zip(paintings, runs, strict=False)},
        tuple(runs[len(paintings) :]),
    )
