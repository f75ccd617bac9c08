"""The parts of the report and the runs that their pages rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, NamedTuple

from rnnreport.data.assets import NEEDS, Profile, resolve
from rnnreport.experiments.captioning import by_heart as captioning
from rnnreport.experiments.captioning import gradients as caption_gradients
from rnnreport.experiments.captioning import study as caption_summary
from rnnreport.experiments.captioning import training as caption_training
from rnnreport.experiments.style import painting as style
from rnnreport.experiments.style import study as style_summary
from rnnreport.experiments.text import live as live_lstm
from rnnreport.experiments.text import study as text_summary
from rnnreport.experiments.text import training as text
from rnnreport.experiments.text import word_vectors
from rnnreport.experiments.transfer import choice as transfer_choice
from rnnreport.experiments.transfer import rate as transfer_rate
from rnnreport.experiments.transfer import study as transfer_summary
from rnnreport.experiments.transfer import training as transfer
from rnnreport.names import PARTS, PartName
from rnnreport.runs.engine import Chain, run_chains
from rnnreport.runs.store import NotStoredError, Result, only_stored

__all__ = ["Planned", "Runs", "do", "plan", "runs_of"]


@dataclass(frozen=True)
class Runs:
    """Runs of one experiment.

    Attributes
    ----------
    label : str
        What they are, in words.
    configs : tuple
        The configuration of each.
    run : callable
        Does one, or gives back its stored result.
    run_all : callable or None
        Does all of them side by side, where the experiment can.
    apart : bool
        Whether they have nothing in common that is worth staying in one process for.
    """

    label: str
    configs: tuple[Any, ...]
    run: Callable[[Any], Result]
    run_all: Callable[[Sequence[Any]], list[Result]] | None = None
    apart: bool = False

    def results(self) -> list[Result]:
        """Do what is missing, and return all results in the order of the configurations."""
        return self.run_all(self.configs) if self.run_all else list(map(self.run, self.configs))

    @property
    def jobs(self) -> Chain:
        """What does each run, and its configuration."""
        return [(self.run, config) for config in self.configs]

    def missing(self) -> Runs:
        """Return those of the runs that have no result yet."""
        return replace(self, configs=tuple(c for c in self.configs if not self._is_stored(c)))

    def _is_stored(self, config: Any) -> bool:
        with only_stored():
            try:
                self.run(config)
            except NotStoredError:
                return False
        return True


class Planned(NamedTuple):
    """What is there of a part, and what is to be done.

    Attributes
    ----------
    part : str
        One of :data:`~rnnreport.names.PARTS`.
    needs : tuple of str
        The assets that real data consists of.
    profile : {"full", "sample"}
        On which data.
    stored : int
        How many runs have a result.
    todo : tuple of Runs
        Those that have none, in the order in which they are done.
    """

    part: PartName
    needs: tuple[str, ...]
    profile: str
    stored: int
    todo: tuple[Runs, ...]

    @property
    def missing(self) -> int:
        """How many runs have no result."""
        return sum(len(runs.configs) for runs in self.todo)


def runs_of(part: PartName, profile: Profile = "auto") -> tuple[Runs, ...]:
    """Return the runs of a part, in the order in which they are done.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`.
    profile
        On which data.

    Raises
    ------
    ValueError
        If there is no such part.
    MissingDataError
        If the profile is ``full`` and its data is not there.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    return _RUNS[part](profile)


def plan(parts: Sequence[PartName] = PARTS, profile: Profile = "auto") -> list[Planned]:
    """Find out what is there and what is to be done; nothing is computed.

    Parameters
    ----------
    parts
        Some of :data:`~rnnreport.names.PARTS`.
    profile
        On which data.

    Returns
    -------
    list of Planned
        One for each part.
    """
    return [_plan(part, profile) for part in parts]


def _plan(part: PartName, profile: Profile) -> Planned:
    every = runs_of(part, profile)
    todo = tuple(missing for runs in every if (missing := runs.missing()).configs)
    planned = Planned(part, NEEDS[part], resolve(profile, *NEEDS[part]), 0, todo)
    return planned._replace(stored=sum(len(runs.configs) for runs in every) - planned.missing)


def do(planned: Sequence[Planned]) -> Iterator[str]:
    """Do what is to be done: first, side by side, what each part begins with, then the rest.

    Parameters
    ----------
    planned
        From :func:`plan`.

    Yields
    ------
    str
        What has just been done, in words.

    Raises
    ------
    Exception
        What a run raises. All that was stored before is kept.
    """
    chains: list[Chain] = []
    first: list[Runs] = []
    rest: list[Runs] = []
    for each in planned:
        begin = list(takewhile(lambda runs: runs.run_all is None, each.todo))
        first += begin
        rest += each.todo[len(begin) :]
        chains.append([job for runs in begin if not runs.apart for job in runs.jobs])
        chains += [[job] for runs in begin if runs.apart for job in runs.jobs]
    if first:
        # The longest chain comes first: what is still going in the end had better be short.
        chains = sorted(filter(None, chains), key=len, reverse=True)
        run_chains(chains, label="side by side")
        yield ", ".join(runs.label for runs in first)
    for runs in rest:
        runs.results()
        yield runs.label


def _captioning(profile: Profile) -> tuple[Runs, ...]:
    by_heart = tuple(captioning.configs(profile).values())
    training = tuple(caption_summary.study_configs(profile))
    gradients = (
        caption_gradients.GradientsConfig(caption_training.default_config(cell, profile=profile))
        for cell in ("rnn", "lstm")
    )
    return (
        # Not apart: they share the features of their images.
        Runs("learning captions by heart", by_heart, captioning.run),
        Runs("captions", training, caption_training.run, caption_training.run_all),
        Runs("the gradient over time", tuple(gradients), caption_gradients.run),
    )


def _text(profile: Profile) -> tuple[Runs, ...]:
    study = tuple(text_summary.configs(profile=profile))
    order = text_summary.configs(models=text_summary.ORDER_MODELS, profile="sample")
    vectors = word_vectors.WordVectorsConfig(profile=study[0].profile)
    more = tuple(config for config in order if config not in study)
    return (
        Runs("word vectors", (vectors,), word_vectors.run),
        Runs("the LSTM inside the page", (live_lstm.default_config(profile),), live_lstm.run),
        Runs("text classifiers", study, text.run, text.run_all),
        *((Runs("the order of words", more, text.run, text.run_all),) if more else ()),
    )


def _transfer(profile: Profile) -> tuple[Runs, ...]:
    rates = transfer.rate_config(transfer.default_config("finetuned", profile=profile))
    return (
        Runs("settings of the new layer", (rates.choice,), transfer_choice.run),
        Runs("settings of fine-tuning", (rates,), transfer_rate.run),
        Runs("ants and bees", tuple(transfer_summary.configs(profile)), transfer.run),
    )


def _style(profile: Profile) -> tuple[Runs, ...]:
    paintings, trade_off = style_summary.configs(profile)
    return (
        Runs("paintings", paintings, style.run, apart=True),
        Runs("content against style", trade_off, style.run, apart=True),
    )


_RUNS: Mapping[PartName, Callable[[Profile], tuple[Runs, ...]]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}
