"""The study of text classification: accuracies, and which differences mean something."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from rnnreport.asked import TEXT_ACCURACY
from rnnreport.data.assets import NEEDS, find_all, resolve
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments import study as study_of_runs
from rnnreport.experiments.significance import fisher, mcnemar, wilson
from rnnreport.experiments.study import results_by
from rnnreport.experiments.text import language, live, training, word_vectors
from rnnreport.experiments.text.data import TextData, text_data
from rnnreport.experiments.text.settings import SEEDS, TextConfig, default_config
from rnnreport.names import MODELS, ModelName, Profile, ResolvedProfile
from rnnreport.runs.engine import results
from rnnreport.runs.store import Result

__all__ = [
    "NAMES",
    "ORDER_MODELS",
    "OWN",
    "SOURCE_CORPUS",
    "Row",
    "SizeRow",
    "Sizes",
    "Study",
    "configs",
    "language_model",
    "order_configs",
    "order_study",
    "origin",
    "own_vectors",
    "size_configs",
    "size_study",
    "small_lstm",
    "source_fixed",
    "study",
]

NAMES: Mapping[ModelName, str] = {
    "bag": "Bag of words",
    "average": "Learned vectors, averaged",
    "glove-fixed": "Fixed GloVe, averaged",
    "glove": "Fine-tuned GloVe, averaged",
    "rnn": "RNN",
    "lstm": "LSTM",
    "bilstm": "Bidirectional LSTM",
    "pretrained": "Bidirectional LSTM, pretrained",
}
"""Names of the models on the pages."""

ORDER_MODELS: tuple[ModelName, ...] = ("bag", "rnn", "lstm")
"""The models that are compared where the order of words decides."""

SOURCE_CORPUS = "GloVe 6B"
"""The corpus of the source's vectors."""

OWN = "GloVe, trained here"
"""Word vectors trained on the training sentences."""

OWN_SIZES: Mapping[ResolvedProfile, tuple[int, ...]] = {
    "full": (25, 50, 100, 300),
    "sample": (12, 25, 50),
}
"""How many numbers GloVe vectors of the training sentences have where their size is compared."""


@dataclass(frozen=True)
class Row:
    """The accuracy of a model on the test sentences.

    Attributes
    ----------
    model : str
        One of :data:`~rnnreport.names.MODELS`.
    name : str
        On the pages.
    accuracies : tuple of float
        One for each seed.
    mean, deviation : float
        Their mean and standard deviation.
    interval : tuple of two floats
        95 % Wilson interval of the mean: what another set of as many test sentences may give.
    p_bag : float or None
        McNemar's test against bag of words, seed by seed: the largest of the p-values. None for bag
        of words itself.
    source : float or None
        The source's accuracy.
    source_interval : tuple of two floats or None
        Its Wilson interval.
    p_source : float or None
        Fisher's exact test of the mean against the source's number. The source's answers are not
        known one by one, so this counts the two sets of answers as independent, which hides
        differences rather than making them up.
    """

    model: ModelName
    name: str
    accuracies: tuple[float, ...]
    mean: float
    deviation: float
    interval: tuple[float, float]
    p_bag: float | None
    source: float | None
    source_interval: tuple[float, float] | None
    p_source: float | None


@dataclass(frozen=True)
class Study(study_of_runs.Study[TextData, ModelName]):
    """The runs of each model."""

    @cached_property
    def labels(self) -> Tensor:
        """Labels of the test sentences, shape (N,), bool."""
        return torch.tensor(self.data.splits.test.labels).bool()

    @cached_property
    def probabilities(self) -> dict[ModelName, Tensor]:
        """The probabilities of label 1 for the test sentences, (S, N), of each model."""
        return self.tensors("test_probability")

    def right(self, model: ModelName) -> Tensor:
        """Return which test sentences a model's runs get right, shape (S, N), bool."""
        return (self.probabilities[model] > 0.5) == self.labels

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The accuracy of each model."""
        return tuple(self._row(model) for model in self.results)

    def committee(self, *models: ModelName) -> Tensor:
        """Return the probability of label 1, (N,), that all runs of some models give on average."""
        return torch.cat([self.probabilities[model] for model in models]).mean(0)

    def committee_row(self, *models: ModelName) -> tuple[float, tuple[float, float], float]:
        """Return the test accuracy of a committee, its 95 % Wilson interval, and McNemar's p-value.

        The p-value is against the committee of all runs of bag of words.
        """
        right = (self.committee(*models) > 0.5) == self.labels
        bag = (self.committee("bag") > 0.5) == self.labels
        count = int(right.sum())
        return count / len(right), wilson(count, len(right)), mcnemar(right, bag)

    def _row(self, model: ModelName) -> Row:
        n = len(self.labels)
        accuracies = tuple(r.metrics["test_accuracy"] for r in self.results[model])
        mean = statistics.fmean(accuracies)
        count = round(mean * n)
        p_bag = None
        if model != "bag" and "bag" in self.results:
            pairs = zip(self.right(model), self.right("bag"), strict=True)
            p_bag = max(mcnemar(ours, bag) for ours, bag in pairs)
        source = TEXT_ACCURACY.get(model) if self.profile == "full" else None
        return Row(
            model=model,
            name=NAMES[model],
            accuracies=accuracies,
            mean=mean,
            deviation=statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
            interval=wilson(count, n),
            p_bag=p_bag,
            source=source,
            source_interval=None if source is None else wilson(round(source * n), n),
            p_source=None if source is None else fisher(count, round(source * n), n),
        )


@dataclass(frozen=True)
class SizeRow:
    """The accuracy of fixed word vectors of one origin and size, averaged.

    Attributes
    ----------
    corpus : str
        What the vectors were trained on.
    size : int
        How many numbers a word has.
    accuracies : tuple of float
        On the test sentences, one for each seed.
    mean : float
        Their mean.
    interval : tuple of two floats
        95 % Wilson interval of the mean.
    words, tokens : float
        The share of the training sentences' words that have a vector: each counted once, and as
        often as it stands there.
    """

    corpus: str
    size: int
    accuracies: tuple[float, ...]
    mean: float
    interval: tuple[float, float]
    words: float
    tokens: float


@dataclass(frozen=True)
class Sizes(study_of_runs.Study[TextData, str]):
    """Runs with fixed word vectors, by what they are."""

    @cached_property
    def rows(self) -> tuple[SizeRow, ...]:
        """The accuracy of each, smaller ones of an origin first."""
        rows = [self._row(runs) for runs in self.results.values()]
        return tuple(sorted(rows, key=lambda row: (row.corpus, row.size)))

    def _row(self, runs: tuple[Result, ...]) -> SizeRow:
        n = len(self.data.test)
        first = runs[0]
        corpus, _ = origin(first.config["file"]) or (OWN, 0)
        accuracies = tuple(run.metrics["test_accuracy"] for run in runs)
        mean = statistics.fmean(accuracies)
        return SizeRow(
            corpus=corpus,
            size=int(first.data["vectors_dim"]),
            accuracies=accuracies,
            mean=mean,
            interval=wilson(round(mean * n), n),
            words=first.metrics["words_with_vector"]
            / (len(self.data.vocabulary) - len(Vocabulary.SPECIAL)),
            tokens=first.metrics["share_with_vector"],
        )


def source_fixed(n: int) -> tuple[float, tuple[float, float]]:
    """Return the source's accuracy with fixed vectors, and its 95 % interval on n sentences."""
    accuracy = TEXT_ACCURACY["glove-fixed"]
    return accuracy, wilson(round(accuracy * n), n)


def origin(file: str) -> tuple[str, str] | None:
    """Read the corpus and the size of vectors off the name of a file, as the official ones are."""
    match = re.fullmatch(r"glove\.(.+?)\.(\d+)d.*", file)
    return None if match is None else (f"GloVe {match[1].replace('.', ' ').title()}", match[2])


def configs(
    profile: ResolvedProfile,
    *,
    models: Sequence[ModelName] = MODELS,
    seeds: Sequence[int] = SEEDS,
) -> list[TextConfig]:
    """Return the runs of a study, model by model."""
    return [default_config(model, profile=profile, seed=s) for model in models for s in seeds]


def order_configs() -> list[TextConfig]:
    """Return the runs on generated sentences in which the order of words decides."""
    return configs("sample", models=ORDER_MODELS)


def size_configs(profile: ResolvedProfile, *, seeds: Sequence[int] = SEEDS) -> list[TextConfig]:
    """Return the runs with fixed vectors: of each file at hand, and of ones trained here.

    Of several files of one corpus and size, the first counts, which is a whole one if there is one.
    """
    fixed = default_config("glove-fixed", profile=profile)
    kinds: dict[object, TextConfig] = {}
    if profile == "full":
        for path in find_all("glove"):
            kinds.setdefault(origin(path.name), replace(fixed, vectors="file", file=path.name))
    for size in OWN_SIZES[profile]:
        kinds[size] = replace(fixed, vectors="own", file="", own_dim=size)
    return [replace(config, seed=seed) for config in kinds.values() for seed in seeds]


def size_study(profile: Profile = "auto", *, seeds: Sequence[int] = SEEDS) -> Sizes:
    """Train and test on fixed vectors of several sizes, or return the stored results."""
    resolved = resolve(profile, *NEEDS["text"])
    groups: dict[str, tuple[Result, ...]] = {}
    planned = size_configs(resolved, seeds=seeds)
    for config, result in zip(planned, results(training, planned, label="text"), strict=True):
        name = config.file or f"{OWN}, {config.own_dim}"
        groups[name] = (*groups.get(name, ()), result)
    return Sizes(partial(text_data, resolved, planned[0].data_seed), groups)


def study(
    profile: Profile = "auto",
    *,
    models: Sequence[ModelName] = MODELS,
    seeds: Sequence[int] = SEEDS,
) -> Study:
    """Train and test models from several seeds, or return the stored results."""
    resolved = resolve(profile, *NEEDS["text"])
    planned = configs(resolved, models=models, seeds=seeds)
    return Study(
        partial(text_data, resolved, planned[0].data_seed),
        results_by("model", training, planned, label="text"),
    )


def order_study() -> Study:
    """Train and test three models on the generated sentences, where the order of words decides."""
    return study("sample", models=ORDER_MODELS)


def own_vectors(profile: Profile = "auto") -> Result:
    """Train word vectors on the training sentences, or return the stored results."""
    resolved = resolve(profile, *NEEDS["text"])
    return word_vectors.run(word_vectors.WordVectorsConfig(resolved))


def language_model(profile: Profile = "auto") -> Result:
    """Train the language model of the pretrained classifiers, or return the stored results."""
    pretrained = default_config("pretrained", profile=resolve(profile, *NEEDS["text"]))
    return language.run(language.language_config(pretrained))


def small_lstm(profile: Profile = "auto") -> Result:
    """Train the LSTM of the live figure, or return the stored results."""
    return live.run(live.default_config(resolve(profile, *NEEDS["text"])))
