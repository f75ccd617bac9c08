"""The parts of the report and the runs that their pages rest on: the one list of these runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from rnnreport._checks import check_choice
from rnnreport.data.assets import NEEDS, resolve
from rnnreport.experiments.captioning import by_heart, gradients, together
from rnnreport.experiments.captioning import settings as captioning_settings
from rnnreport.experiments.captioning import study as captioning_study
from rnnreport.experiments.captioning import training as captioning_training
from rnnreport.experiments.style import painting
from rnnreport.experiments.style import study as style_study
from rnnreport.experiments.text import language, live, word_vectors
from rnnreport.experiments.text import study as text_study
from rnnreport.experiments.text import training as text_training
from rnnreport.experiments.text.first_vectors import own_vectors
from rnnreport.experiments.transfer import choice, rate
from rnnreport.experiments.transfer import study as transfer_study
from rnnreport.experiments.transfer import training as transfer_training
from rnnreport.names import PARTS, PartName, Profile, ResolvedProfile
from rnnreport.runs import store
from rnnreport.runs.definitions import code_fingerprint, hash_of
from rnnreport.runs.engine import Chain, Experiment, Job, Workers, run_chains
from rnnreport.runs.store import Request

__all__ = ["Plan", "Runs", "code_of", "do", "plan", "runs_of"]


@dataclass(frozen=True)
class Runs:
    """Runs of one experiment.

    Attributes
    ----------
    label : str
        What they are, in words.
    experiment : module
        Has ``request`` and ``run``.
    configs : tuple
        The configuration of each.
    stage : int
        They begin when the runs of all lower stages have ended, whose results they may need.
    chained : bool
        Whether they and other chained runs of their part and stage follow each other in one
        process, which remembers what they share.
    """

    label: str
    experiment: Experiment
    configs: tuple[Any, ...]
    stage: int = 0
    chained: bool = False

    @cached_property  # of thousands of photographs, each one looks at every file
    def requests(self) -> list[Request]:
        """The request of each run."""
        return [self.experiment.request(config) for config in self.configs]

    @property
    def jobs(self) -> list[Job]:
        """What is to be done for each run."""
        return [Job(self.experiment.run, config) for config in self.configs]

    def missing(self) -> Runs:
        """Return those of the runs that have no result yet."""
        configs = (
            config
            for config, request in zip(self.configs, self.requests, strict=True)
            if store.get(request) is None
        )
        return replace(self, configs=tuple(configs))


class Plan(NamedTuple):
    """The runs of a part, and those of them that are missing.

    Attributes
    ----------
    part : str
        One of :data:`~rnnreport.names.PARTS`.
    profile : {"full", "sample"}
        On which data.
    runs : tuple of Runs
        All runs of the part.
    missing : tuple of Runs
        Those that have no result.
    """

    part: PartName
    profile: ResolvedProfile
    runs: tuple[Runs, ...]
    missing: tuple[Runs, ...]

    @property
    def n_missing(self) -> int:
        """How many runs have no result."""
        return sum(len(runs.configs) for runs in self.missing)

    @property
    def n_stored(self) -> int:
        """How many runs have a result."""
        return sum(len(runs.configs) for runs in self.runs) - self.n_missing


def runs_of(part: PartName, profile: ResolvedProfile) -> tuple[Runs, ...]:
    """Return the runs of a part.

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
    """
    check_choice("part", part, PARTS)
    return _RUNS[part](profile)


def plan(part: PartName, profile: Profile = "auto") -> Plan:
    """List the runs of a part and those that are missing; nothing is computed.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`.
    profile
        On which data.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    """
    resolved = resolve(profile, *NEEDS[part])
    runs = runs_of(part, resolved)
    missing = tuple(each for each in (each.missing() for each in runs) if each.configs)
    return Plan(part, resolved, runs, missing)


def do(plans: Sequence[Plan], *, workers: Workers = None) -> Iterator[str]:
    """Do the missing runs, stage by stage; the runs of a stage go side by side.

    Parameters
    ----------
    plans
        From :func:`plan`.
    workers
        Who does them; other machines are checked before the first run.

    Yields
    ------
    str
        What has been done, in words.

    Raises
    ------
    Exception
        What a run raises. All that was stored before is kept.
    """
    if not isinstance(workers, int | None):
        workers.check([job for each in plans for runs in each.missing for job in runs.jobs])
    for stage in sorted({runs.stage for each in plans for runs in each.missing}):
        chains: list[list[Job]] = []
        kinds: list[list[Chain]] = []
        labels: list[str] = []
        for each in plans:
            chain: list[Job] = []
            for runs in each.missing:
                if runs.stage != stage:
                    continue
                labels.append(runs.label)
                if runs.chained:
                    chain += runs.jobs
                else:
                    kinds.append([[job] for job in runs.jobs])
            chains.append(chain)
        # The longest first. Runs of one kind wait for the same data: begin with one of each.
        mixed = filter(None, itertools.chain.from_iterable(itertools.zip_longest(*kinds)))
        longest = sorted(filter(None, chains), key=len, reverse=True)
        label = ", ".join(labels)
        run_chains([*longest, *mixed], label=label, workers=workers)
        yield label


def code_of(part: PartName) -> str:
    """Return a hash of the code that computes the results of a part."""
    modules = {runs.experiment.__name__: None for runs in runs_of(part, "sample")}
    return hash_of([code_fingerprint(module, "run") for module in modules])


def _captioning(profile: ResolvedProfile) -> tuple[Runs, ...]:
    measured = tuple(
        gradients.GradientsConfig(captioning_settings.default_config(cell, profile=profile))
        for cell in gradients.CELLS
    )
    shared = captioning_study.together_config(profile)
    return (
        Runs("learning captions by heart", by_heart, tuple(by_heart.configs(profile).values())),
        Runs("captions", captioning_training, tuple(captioning_study.configs(profile)), stage=1),
        Runs("the gradient over time", gradients, measured, stage=2),
        Runs("captions written together", together, (shared,), stage=2),
    )


def _text(profile: ResolvedProfile) -> tuple[Runs, ...]:
    classifiers = tuple(text_study.configs(profile))
    order = text_study.order_configs()
    sizes = [each for each in text_study.size_configs(profile) if each not in classifiers]
    vectors = [word_vectors.WordVectorsConfig(profile=profile)]
    vectors += [
        own_vectors(config) for config in (*classifiers, *sizes, *order) if config.vectors == "own"
    ]
    pretrained = tuple(config for config in classifiers if config.model == "pretrained")
    others = tuple(config for config in classifiers if config.model != "pretrained")
    models = tuple(dict.fromkeys(map(language.language_config, pretrained)))
    more = tuple(config for config in order if config not in classifiers)
    return (
        Runs("word vectors", word_vectors, tuple(dict.fromkeys(vectors))),
        Runs("the LSTM inside the page", live, (live.default_config(profile),)),
        Runs("word vectors of several sizes", text_training, tuple(sizes), stage=1),
        Runs("a language model", language, models, stage=1),
        Runs("text classifiers", text_training, others, stage=1),
        *((Runs("the order of words", text_training, more, stage=1),) if more else ()),
        Runs("pretrained text classifiers", text_training, pretrained, stage=2),
    )


def _transfer(profile: ResolvedProfile) -> tuple[Runs, ...]:
    runs: list[Runs] = []
    for backbone in transfer_training.backbones_of(profile):
        planned = tuple(transfer_study.configs(profile, backbone))
        rates = transfer_training.rate_config(planned[0])
        name = transfer_study.NETWORKS[backbone]
        runs += [
            Runs(f"settings of the new layer, {name}", choice, (rates.choice,), chained=True),
            Runs(f"settings of fine-tuning, {name}", rate, (rates,), chained=True),
            Runs(f"ants and bees, {name}", transfer_training, planned, chained=True),
        ]
    return tuple(runs)


def _style(profile: ResolvedProfile) -> tuple[Runs, ...]:
    squeezenet = style_study.squeezenet_configs(profile)
    return (
        Runs("paintings", painting, tuple(style_study.configs(profile))),
        Runs("content against style", painting, style_study.weight_configs(profile)),
        *((Runs("paintings, SqueezeNet", painting, squeezenet),) if squeezenet else ()),
    )


_RUNS: Mapping[PartName, Callable[[ResolvedProfile], tuple[Runs, ...]]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}
