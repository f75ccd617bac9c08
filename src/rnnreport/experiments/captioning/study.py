"""The study of captioning: the score of each network, and which differences mean something."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Generator

from rnnreport.data.assets import NEEDS, resolve
from rnnreport.experiments import study as study_of_runs
from rnnreport.experiments.captioning import by_heart as learning
from rnnreport.experiments.captioning import gradients as measuring
from rnnreport.experiments.captioning import together as writing
from rnnreport.experiments.captioning import training
from rnnreport.experiments.captioning.measures import (
    MEASURES,
    Scores,
    bootstrap,
    ciders,
    exact_matches,
    measure,
    paired_difference,
    share_in_training,
    unsupported,
)
from rnnreport.experiments.captioning.settings import (
    SEEDS,
    WAYS,
    CaptionConfig,
    coco_configs,
    default_config,
)
from rnnreport.experiments.captioning.splits import ImageData, Words
from rnnreport.experiments.captioning.together import TogetherConfig
from rnnreport.experiments.captioning.training import images_of
from rnnreport.experiments.study import results_by
from rnnreport.names import CELLS, CellType, Profile, ResolvedProfile
from rnnreport.runs.engine import Workers, results
from rnnreport.runs.store import Result

__all__ = [
    "NAMES",
    "WAY_NAMES",
    "Difference",
    "Row",
    "Study",
    "by_heart",
    "coco",
    "configs",
    "gradients",
    "study",
    "together",
    "together_config",
]

NAMES: Mapping[CellType, str] = {
    "rnn": "RNN",
    "lstm": "LSTM",
    "attention": "LSTM with attention",
}
"""Names of the networks on the pages."""

WAY_NAMES: Mapping[str, str] = {"greedy": "Greedy", "beam": "Beam", "together": "Together"}
"""Names of the ways of writing a caption; the last is that of all seeds, with one beam."""

_PAIRS: tuple[tuple[CellType, CellType], ...] = (("lstm", "rnn"), ("attention", "lstm"))


@dataclass(frozen=True)
class Row:
    """The scores of a network on the test images in one way of writing.

    Attributes
    ----------
    cell : str
        One of :data:`~rnnreport.names.CELLS`.
    way : str
        One of :data:`~rnnreport.experiments.captioning.settings.WAYS`.
    name : str
        Of the network, on the pages.
    scores : Scores
        The means of the seeds.
    intervals : mapping of str to (float, float)
        95 % intervals of these means over images, for each measure.
    ciders : tuple of float
        CIDEr of each seed.
    in_training : float
        The share of captions that stand word for word among the training captions, the mean of
        the seeds.
    exact : float
        How many captions are one of their image's true ones, the mean of the seeds.
    unsupported : float
        The share of content words that no reference caption of the image has, the mean of the
        seeds.
    unchanged : float or None
        The share of photographs whose caption is the same after they were stored smaller, the
        mean of the seeds; None of drawn scenes, and for greedy captions.
    """

    cell: CellType
    way: str
    name: str
    scores: Scores
    intervals: Mapping[str, tuple[float, float]]
    ciders: tuple[float, ...]
    in_training: float
    exact: float
    unsupported: float
    unchanged: float | None


@dataclass(frozen=True)
class Difference:
    """How much better one network is than another, on the same images.

    Attributes
    ----------
    better, other : str
        The networks.
    way : str
        How both write.
    difference : float
        CIDEr of the one minus CIDEr of the other, means of the seeds.
    interval : tuple of two floats
        Its 95 % interval over images.
    ratio : float
        CIDEr of the one divided by that of the other; NaN where the latter is 0.
    """

    better: CellType
    other: CellType
    way: str
    difference: float
    interval: tuple[float, float]
    ratio: float


@dataclass(frozen=True)
class Study(study_of_runs.Study[ImageData, CellType]):
    """The runs of each network, all on the same images."""

    def names(self, split: str) -> list[str]:
        """Return the images of a split that are captioned: ``"test"``, ``"val"`` or ``"train"``."""
        return [record["image"] for record in self.first.details[split]]

    def references(self, split: str) -> list[tuple[Words, ...]]:
        """Return the reference captions of a split, in the order of :meth:`names`."""
        return [
            tuple(tuple(words) for words in record["truth"]) for record in self.first.details[split]
        ]

    def captions(self, cell: CellType, way: str, split: str = "test") -> list[list[Words]]:
        """Return the captions of a network: for each seed one per image, as in :meth:`names`."""
        return [
            [tuple(record[way]) for record in result.details[split]]
            for result in self.results[cell]
        ]

    def ciders(self, cell: CellType, way: str, split: str = "test") -> list[float]:
        """Return the CIDEr of each image for the first run of a network.

        How rare an n-gram is, is counted in the references of the split.
        """
        return ciders(self.captions(cell, way, split)[0], self.references(split))

    def order(self, cell: CellType, way: str) -> list[int]:
        """Return places in :meth:`names` by the CIDEr of a network's first run, best first."""
        values = self.ciders(cell, way)
        return sorted(range(len(values)), key=lambda k: -values[k])

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The scores of each network in each way, network by network."""
        return tuple(self.row(cell, way) for cell in self.results for way in WAYS)

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """LSTM minus RNN and attention minus LSTM, where the study has both, in each way."""
        return tuple(
            self._difference(better, other, way)
            for better, other in _PAIRS
            if better in self.results and other in self.results
            for way in WAYS
        )

    @cached_property
    def row(self) -> Callable[[CellType, str], Row]:
        """The scores of a network in one way; computed once, on demand."""
        return functools.cache(self._row)

    @cached_property
    def _training(self) -> list[Words]:
        """All captions that were trained on."""
        return [words for captions in self.data.pools().train.values() for words in captions]

    def _row(self, cell: CellType, way: str) -> Row:
        unchanged = self._unchanged(cell) if way == "beam" else None
        return self.scored(cell, way, self.captions(cell, way), unchanged)

    def scored(
        self,
        cell: CellType,
        way: str,
        captions: Sequence[Sequence[Words]],
        unchanged: float | None = None,
    ) -> Row:
        """Score captions of the test images, for each seed one per image."""
        references = self.references("test")
        scores = [measure(of_seed, references) for of_seed in captions]
        return Row(
            cell=cell,
            way=way,
            name=NAMES[cell],
            scores=_mean(scores),
            intervals=bootstrap(captions, references, generator=Generator().manual_seed(0)),
            ciders=tuple(score.cider for score in scores),
            in_training=statistics.fmean(
                share_in_training(each, self._training) for each in captions
            ),
            exact=statistics.fmean(exact_matches(each, references) for each in captions),
            unsupported=statistics.fmean(unsupported(each, references).share for each in captions),
            unchanged=unchanged,
        )

    def _unchanged(self, cell: CellType) -> float | None:
        shares = [
            statistics.fmean(
                words == record["beam"]
                for words, record in zip(
                    result.details["altered"], result.details["test"], strict=True
                )
            )
            for result in self.results[cell]
            if "altered" in result.details
        ]
        return statistics.fmean(shares) if shares else None

    def _difference(self, better: CellType, other: CellType, way: str) -> Difference:
        difference, interval = paired_difference(
            self.captions(better, way),
            self.captions(other, way),
            self.references("test"),
            generator=Generator().manual_seed(0),
        )
        above, below = (self.row(cell, way).scores.cider for cell in (better, other))
        ratio = above / below if below else float("nan")
        return Difference(better, other, way, difference, interval, ratio)


def configs(profile: ResolvedProfile) -> list[CaptionConfig]:
    """Return the runs of the study, network by network."""
    return [default_config(cell, profile=profile, seed=seed) for cell in CELLS for seed in SEEDS]


def study(profile: Profile = "auto", *, chosen: Sequence[CaptionConfig] | None = None) -> Study:
    """Train networks from several seeds and let them caption, or return the stored results.

    Parameters
    ----------
    profile
        On which data.
    chosen
        Other configurations to run instead, on the same images and with as many seeds for each
        network. The first one of each network is the run that figures show.

    Raises
    ------
    ValueError
        If a configuration's images are not at hand as pictures.
    """
    if chosen is None:
        chosen = configs(resolve(profile, *NEEDS["captioning"]))
    dataset = chosen[0].dataset
    if dataset == "coco" and chosen[0].profile == "full":
        raise ValueError(f"chosen must be on images that are at hand, got dataset={dataset!r}")

    def load() -> ImageData:
        images = images_of(chosen[0])
        assert isinstance(images, ImageData)  # noqa: S101
        return images

    return Study(load, results_by("cell_type", training, chosen, label="captions"))


def together_config(profile: ResolvedProfile) -> TogetherConfig:
    """Return the run in which the networks with attention of all seeds write together."""
    return TogetherConfig(tuple(c for c in configs(profile) if c.cell_type == "attention"))


def together(summary: Study) -> Row:
    """Let the networks with attention write together, or take the stored captions; score them."""
    planned = [together_config(summary.profile)]
    (result,) = results(writing, planned, label="captions written together")
    captions = [tuple(words) for words in result.details["captions"]]
    return summary.scored("attention", "together", [captions])


def coco(workers: Workers = None) -> Iterator[tuple[Result, dict[str, Scores]]]:
    """Train RNN and LSTM on COCO's features, about an hour on two cores, and score what they write.

    Yields each result with its scores in each way of writing.
    """
    for result in results(training, coco_configs(), label="captions", workers=workers):
        records = result.details["test"]
        references = [record["truth"] for record in records]
        yield result, {way: measure([r[way] for r in records], references) for way in WAYS}


def by_heart(profile: Profile = "auto") -> dict[CellType, Result]:
    """Let each network learn a few captions by heart, or return the stored results."""
    planned = learning.configs(resolve(profile, *NEEDS["captioning"]))
    runs = results(learning, list(planned.values()), label="learning captions by heart")
    return dict(zip(planned, runs, strict=True))


def gradients(study: Study) -> dict[CellType, Result]:
    """Measure how much of an early state is left in a late one, or return the stored results."""
    configs = [
        measuring.GradientsConfig(CaptionConfig(**study.results[cell][0].config))
        for cell in measuring.CELLS
    ]
    runs = results(measuring, configs, label="the gradient over time")
    return dict(zip(measuring.CELLS, runs, strict=True))


def _mean(scores: Sequence[Scores]) -> Scores:
    rows = [dataclasses.asdict(score) for score in scores]
    return Scores(**{name: statistics.fmean(row[name] for row in rows) for name in MEASURES})
