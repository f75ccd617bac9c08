"""The parts of the report and the runs that their pages rest on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rnnreport.data.assets import NEEDS, Profile, resolve
from rnnreport.experiments import (
    caption_gradients,
    caption_summary,
    caption_training,
    captioning,
    live_lstm,
    style,
    style_summary,
    text,
    text_summary,
    transfer,
    transfer_choice,
    transfer_rate,
    transfer_summary,
    word_vectors,
)
from rnnreport.experiments.part_names import PARTS, PartName
from rnnreport.experiments.store import NotStoredError, Result, only_stored

__all__ = ["Planned", "Runs", "plan", "runs_of"]


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
    """

    label: str
    configs: tuple[Any, ...]
    run: Callable[[Any], Result]
    run_all: Callable[[Sequence[Any]], list[Result]] | None = None

    def results(self) -> list[Result]:
        """Do what is missing, and return all results in the order of the configurations."""
        return self.run_all(self.configs) if self.run_all else list(map(self.run, self.configs))


class Planned(NamedTuple):
    """What is there of a part, and what is to be done.

    Attributes
    ----------
    part : str
        One of :data:`~rnnreport.experiments.part_names.PARTS`.
    needs : tuple of str
        The assets that real data consists of.
    profile : {"full", "sample"}
        On which data.
    stored, missing : int
        How many runs have a result, and how many do not.
    """

    part: PartName
    needs: tuple[str, ...]
    profile: str
    stored: int
    missing: int


def runs_of(part: PartName, profile: Profile = "auto") -> tuple[Runs, ...]:
    """Return the runs of a part, in the order in which they are done.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.experiments.part_names.PARTS`.
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
        Some of :data:`~rnnreport.experiments.part_names.PARTS`.
    profile
        On which data.

    Returns
    -------
    list of Planned
        One for each part.
    """
    return [_plan(part, profile) for part in parts]


def _plan(part: PartName, profile: Profile) -> Planned:
    stored = missing = 0
    with only_stored():
        for runs in runs_of(part, profile):
            for config in runs.configs:
                try:
                    runs.run(config)
                    stored += 1
                except NotStoredError:
                    missing += 1
    return Planned(part, NEEDS[part], resolve(profile, *NEEDS[part]), stored, missing)


def _captioning(profile: Profile) -> tuple[Runs, ...]:
    resolved = resolve(profile, *NEEDS["captioning"])
    by_heart = (
        captioning.CaptioningConfig(cell_type=cell, profile=resolved)
        for cell in caption_training.CELLS
    )
    training = tuple(caption_summary.study_configs(profile))
    gradients = (
        caption_gradients.GradientsConfig(caption_training.default_config(cell, profile=profile))
        for cell in ("rnn", "lstm")
    )
    return (
        Runs("learning captions by heart", tuple(by_heart), captioning.run),
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
        Runs("text classifiers", study, text.run, text.run_all),
        Runs("the LSTM inside the page", (live_lstm.default_config(profile),), live_lstm.run),
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
        Runs("paintings", paintings, style.run),
        Runs("content against style", trade_off, style.run),
    )


_RUNS: Mapping[PartName, Callable[[Profile], tuple[Runs, ...]]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}
