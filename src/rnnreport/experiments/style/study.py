"""All runs of style transfer that the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnnreport.data.assets import Profile, resolve
from rnnreport.experiments.style.data import (
    StyleData,
    network_needs,
    painting_names,
    style_data,
)
from rnnreport.experiments.style.painting import StyleConfig, default_config, run, trade_off_configs
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


def configs(profile: Profile = "auto") -> tuple[tuple[StyleConfig, ...], tuple[StyleConfig, ...]]:
    """Return the runs of the study.

    Parameters
    ----------
    profile
        As :class:`~rnnreport.experiments.style.painting.StyleConfig` has it.

    Returns
    -------
    paintings : tuple of StyleConfig
        One for each painting.
    trade_off : tuple of StyleConfig
        With the last painting, differing in the weight of the content alone.
    """
    resolved = resolve(profile, *network_needs(None))
    names = painting_names(resolved)
    paintings = tuple(default_config(name, profile=resolved) for name in names)
    return paintings, trade_off_configs(names[-1], profile=resolved)


def study(*, profile: Profile = "auto") -> Study:
    """Paint one picture in the style of each painting, or give back how that went.

    Parameters
    ----------
    profile
        As :class:`~rnnreport.experiments.style.painting.StyleConfig` has it.

    Returns
    -------
    Study
        All results, and the pictures that they rest on.
    """
    paintings, trade_off = configs(profile)
    return Study(
        style_data(resolve(paintings[0].profile), paintings[0].data_seed),
        {config.painting: run(config) for config in paintings},
        tuple(map(run, trade_off)),
    )
