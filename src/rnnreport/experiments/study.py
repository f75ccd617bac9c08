"""A study: the runs of a subject, and the data that they rest on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from rnnreport.names import ResolvedProfile
from rnnreport.runs.engine import Experiment, results
from rnnreport.runs.store import Result, load_tensors, mean_history
from rnnreport.show.plots import Line

__all__ = ["Study", "results_by"]

Data = TypeVar("Data")
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class Study(Generic[Data, Name]):
    """All runs of one profile.

    Attributes
    ----------
    load : callable
        Reads or draws what they rest on, which :attr:`data` does when it is first asked.
    results : mapping of str to tuple of Result
        The runs of each network, one for each seed.
    """

    load: Callable[[], Data]
    results: Mapping[Name, tuple[Result, ...]]

    @cached_property
    def data(self) -> Data:
        """What the runs rest on."""
        return self.load()

    @property
    def first(self) -> Result:
        """The first run of the first network."""
        return next(iter(self.results.values()))[0]

    @property
    def profile(self) -> ResolvedProfile:
        """``"full"`` or ``"sample"``."""
        profile: ResolvedProfile = self.first.data["profile"]
        return profile

    @property
    def data_name(self) -> str:
        """What the runs rest on, in words."""
        return str(self.first.data["name"])

    @property
    def all_results(self) -> tuple[Result, ...]:
        """All results."""
        return tuple(result for runs in self.results.values() for result in runs)

    def tensors(self, tensor: str) -> dict[Name, Tensor]:
        """Read a tensor of every run, and stack those of each network, (S, …)."""
        return {
            name: torch.stack([load_tensors(result)[tensor] for result in runs])
            for name, runs in self.results.items()
        }

    def mean_curve(self, name: Name, series: str, *, factor: float = 1.0) -> Line:
        """Return a series by epoch: the mean of a network's seeds, as long as all are trained."""
        values = [factor * value for value in mean_history(self.results[name], series)]
        return range(1, len(values) + 1), values


def results_by(
    field: str, experiment: Experiment, configs: Sequence[Any], *, label: str
) -> dict[Any, tuple[Result, ...]]:
    """Run what has no result yet, and return all results by a field of the configurations."""
    groups: dict[Any, tuple[Result, ...]] = {}
    for config, result in zip(configs, results(experiment, configs, label=label), strict=True):
        name = getattr(config, field)
        groups[name] = (*groups.get(name, ()), result)
    return groups
