"""The text page's statistics, tables and figures, of made-up answers."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest
import torch
from drawing import axes_of
from stored import store_result
from tags import Tags
from torch import Tensor

from rnnreport.asked import TEXT_ACCURACY, VECTORS_DIM
from rnnreport.data.sentences import Sentences
from rnnreport.data.sentiment import LabelledSentences, SentimentSplits
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.significance import fisher, mcnemar, wilson
from rnnreport.experiments.text import figures
from rnnreport.experiments.text import study as text_study
from rnnreport.experiments.text.data import TextData
from rnnreport.experiments.text.figures import (
    accuracy_by_kind,
    accuracy_by_length,
    accuracy_figure,
    disagreements,
    facts,
    kinds_table,
    learning_curves,
    mistakes,
    negations_table,
    neighbour_facts,
    neighbours_table,
    results_table,
    sizes_figure,
    sizes_table,
    sizes_verdict,
    strips,
    verdict,
    word_weights,
    words_figure,
)
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.experiments.text.study import NAMES, Row, Sizes, Study
from rnnreport.experiments.text.trained import TrainedClassifier
from rnnreport.experiments.text.word_vectors import WordVectorsConfig
from rnnreport.names import BIDIRECTIONAL, MODELS, ModelName, ResolvedProfile
from rnnreport.runs.store import Outcome, Result
from rnnreport.show.tables import p_text, table

pytestmark = pytest.mark.usefixtures("store")


Answers = Mapping[ModelName, Sequence[Sequence[float]]]


def make_data(
    labels: Sequence[int],
    sentences: Sequence[str] = (),
    *,
    profile: ResolvedProfile = "sample",
    kinds: Sequence[str] = (),
    train: Sequence[str] = ("good one", "bad one"),
) -> TextData:
    """Return made-up sentences; those that are not given are all the same."""
    test = LabelledSentences(
        tuple(tuple(s.split()) for s in sentences) or (("good",),) * len(labels),
        tuple(labels),
        tuple(kinds),
    )
    learned = LabelledSentences(tuple(tuple(s.split()) for s in train), (1,) * len(train))
    splits = SentimentSplits(learned, learned, test)
    vocabulary = Vocabulary.build(learned.sentences)
    encoded, scored = (Sentences.encode(vocabulary, part.sentences) for part in (learned, test))
    return TextData(profile, "made up", splits, vocabulary, encoded, encoded, scored, "f")


def make_study(
    data: TextData,
    answers: Answers,
    *,
    histories: Mapping[ModelName, Sequence[Sequence[float]]] | None = None,
    weights: Sequence[Sequence[float]] = (),
    metrics: Mapping[str, float] = MappingProxyType({}),
    about: Mapping[str, object] = MappingProxyType({}),
) -> Study:
    """Store runs with given answers: a probability per sentence for each model and seed."""
    labels = torch.tensor(data.splits.test.labels).bool()

    def result(model: ModelName, seed: int) -> Result:
        probabilities = torch.tensor(answers[model][seed])
        tensors = {"test_probability": probabilities}
        if model == "bag" and weights:
            tensors["model.weight"] = torch.tensor(weights[seed])[:, None]
        accuracy = ((probabilities > 0.5) == labels).double().mean().item()
        history = list(histories[model][seed]) if histories else []
        return store_result(
            "rnnreport.experiments.text.training",
            TextConfig(model=model, profile=data.profile, seed=seed),
            data={**data.about, **about},
            seeds={"model": seed},
            device="CPU",
            compute=lambda: Outcome(
                {"dev_accuracy": history}, {"test_accuracy": accuracy, **metrics}, {}, tensors
            ),
        )

    return Study(
        lambda: data,
        {
            model: tuple(result(model, seed) for seed in range(len(runs)))
            for model, runs in answers.items()
        },
    )


def answering(labels: Sequence[int], wrong: Sequence[int], p: float = 0.9) -> list[float]:
    """Return probabilities that are right everywhere but at the given places."""
    return [p if label ^ (k in wrong) else 1 - p for k, label in enumerate(labels)]


# Statistics


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
    ],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5.1e-5)
    mirrored = wilson(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5.1e-5)


def test_wilson_by_its_formula() -> None:
    n, k, z = 10_000, 9530, 2.5758293  # 99 %
    p, share = k / n, 1 + z**2 / n
    middle = (p + z**2 / (2 * n)) / share
    half = z / share * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert wilson(k, n, 0.99) == pytest.approx((middle - half, middle + half), rel=1e-7)


def rights(both: int, first: int, second: int, none: int = 3) -> tuple[Tensor, Tensor]:
    """Return which sentences two classifiers get right, from the number of each kind."""
    right = [True] * (both + first) + [False] * (second + none)
    other = [True] * both + [False] * first + [True] * second + [False] * none
    return torch.tensor(right), torch.tensor(other)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        (8, 2, 2 * (1 + 10 + 45) / 2**10),
        (10, 2, 2 * (1 + 12 + 66) / 2**12),
        (5, 0, 2 / 2**5),
        (0, 12, 2 / 2**12),
        (1, 0, 1.0),
        (3, 3, 1.0),
        (3, 2, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar(first: int, second: int, p: float) -> None:
    for both in (0, 7):
        right, other = rights(both, first, second)
        assert mcnemar(right, other) == pytest.approx(p, rel=1e-9)
        assert mcnemar(other, right) == pytest.approx(p, rel=1e-9)
        order = torch.randperm(len(right), generator=torch.Generator().manual_seed(0))
        assert mcnemar(right[order], other[order]) == pytest.approx(p, rel=1e-9)


def test_mcnemar_wants_the_same_sentences() -> None:
    with pytest.raises(ValueError, match=r"shape of right, \(3,\), got \(1,\)"):
        mcnemar(torch.ones(3).bool(), torch.ones(1).bool())


# A study

LABELS = (1, 0) * 20
BAG = [answering(LABELS, range(12)), answering(LABELS, range(10), 0.8)]


def test_rows() -> None:
    lstm = [answering(LABELS, range(2)), answering(LABELS, range(5))]
    rows = make_study(make_data(LABELS), {"bag": BAG, "lstm": lstm, "bilstm": [BAG[0]] * 2}).rows
    assert [(row.model, row.name) for row in rows] == [
        ("bag", "Bag of words"),
        ("lstm", "LSTM"),
        ("bilstm", "Bidirectional LSTM"),
    ]
    bag, better, same = rows
    assert bag.accuracies == (0.7, 0.75)
    assert (bag.mean, bag.deviation) == pytest.approx((0.725, 0.05 / math.sqrt(2)))
    assert bag.interval == wilson(29, 40)
    assert bag.p_bag is None
    assert better.accuracies == (0.95, 0.875)
    # 10 of 10 and 5 of 5 differ: the larger p-value counts.
    assert better.p_bag == pytest.approx(2 / 2**5)
    assert same.p_bag == 1  # none differs for the first seed, two of two for the second
    for row in rows:
        assert (row.source, row.source_interval, row.p_source) == (None, None, None)


def test_rows_are_compared_with_the_source_on_its_own_data() -> None:
    labels = (1, 0) * 500
    bag = answering(labels, range(47))
    data = make_data(labels, profile="full")
    models: Answers = {
        "bag": [bag],
        "lstm": [answering(labels, range(10))],
        "glove": [answering(labels, range(500))],
    }
    rows = make_study(data, models).rows
    same, better, unknown = rows
    assert (same.source, better.source, unknown.source) == (0.953, 0.937, None)
    assert same.source_interval == wilson(953, 1000)
    assert same.p_source == pytest.approx(1.0)
    assert better.p_source is not None
    assert better.p_source < 1e-8
    assert (unknown.p_source, unknown.source_interval) == (None, None)
    assert same.deviation == 0
    assert set(TEXT_ACCURACY) == set(MODELS) - {"glove", *BIDIRECTIONAL}
    sampled = make_study(replace(data, profile="sample"), models).rows
    assert [row.source for row in sampled] == [None] * 3


@pytest.mark.parametrize(
    ("first", "second", "trials", "p"),
    [(3, 0, 3, 2 / 20), (0, 3, 3, 2 / 20), (2, 2, 3, 1.0), (4, 0, 4, 2 / 70), (3, 1, 4, 34 / 70)],
)
def test_fishers_test(first: int, second: int, trials: int, p: float) -> None:
    assert fisher(first, second, trials) == pytest.approx(p)


def test_committee() -> None:
    labels = (1, 0, 1, 1)
    study = make_study(
        make_data(labels),
        {
            "bag": [[0.9, 0.9, 0.4, 0.4], [0.7, 0.9, 0.4, 0.4]],
            "rnn": [[0.9, 0.2, 0.4, 0.4], [0.5, 0.4, 0.8, 0.2]],
            "lstm": [[0.1, 0.0, 0.9, 0.9], [0.1, 0.2, 0.9, 0.7]],
        },
    )
    assert study.labels.tolist() == [True, False, True, True]
    assert study.probabilities["rnn"].shape == (2, 4)
    assert study.right("rnn").tolist() == [[True, True, False, False], [False, True, True, False]]
    assert study.committee("rnn").tolist() == pytest.approx([0.7, 0.3, 0.6, 0.3])
    assert study.committee("rnn", "lstm").tolist() == pytest.approx([0.4, 0.2, 0.75, 0.55])
    accuracy, interval, p = study.committee_row("rnn")
    assert (accuracy, interval) == (0.75, wilson(3, 4))
    assert p == pytest.approx(2 / 2**2)  # bag of words has the first only
    assert study.committee_row("rnn", "lstm")[0] == 0.75
    assert study.committee_row("bag") == (0.25, wilson(1, 4), 1.0)


def test_a_study_groups_the_runs_by_model(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data((1, 0))
    asked: list[TextConfig] = []

    def pretend(_: object, configs: Sequence[TextConfig], *, label: str) -> list[Result]:
        assert label == "text"
        asked.extend(configs)
        runs = make_study(data, {m: [[0.9, 0.1]] * 4 for m in ("lstm", "bag")}).results
        return [runs[config.model][config.seed] for config in configs]

    monkeypatch.setattr("rnnreport.experiments.study.results", pretend)
    monkeypatch.setattr(text_study, "text_data", lambda profile, seed: (data, profile, seed))
    study = text_study.study(models=("lstm", "bag"), profile="sample", seeds=(3, 1, 2))
    assert {config.profile for config in asked} == {"sample"}
    assert list(study.results) == ["lstm", "bag"]
    for model, results in study.results.items():
        assert [(r.config["model"], r.config["seed"]) for r in results] == [
            (model, 3),
            (model, 1),
            (model, 2),
        ]
    assert cast("Any", study.data) == (data, "sample", 0)


# Word vectors of several sizes


def make_sizes(
    accuracies: Mapping[tuple[str, int], Sequence[float]], profile: ResolvedProfile = "full"
) -> Sizes:
    """Store runs with fixed vectors of a file, or trained here where its name is empty."""
    data = make_data((1, 0) * 50, profile=profile)

    def result(file: str, size: int, seed: int, accuracy: float) -> Result:
        own: dict[str, Any] = {"vectors": "own", "own_dim": size}
        return store_result(
            "rnnreport.experiments.text.training",
            TextConfig(
                model="glove-fixed",
                profile=profile,
                seed=seed,
                **({"vectors": "file", "file": file} if file else own),
            ),
            data=data.about | {"vectors_dim": size},
            seeds={"model": seed},
            device="CPU",
            compute=lambda: Outcome(
                {},
                {"test_accuracy": accuracy, "words_with_vector": 2, "share_with_vector": 0.75},
                {},
            ),
        )

    return Sizes(
        lambda: data,
        {
            f"{file}{size}": tuple(result(file, size, *pair) for pair in enumerate(values))
            for (file, size), values in accuracies.items()
        },
    )


SIZED = {
    ("glove.6B.100d.part.txt", 100): (0.88, 0.9),
    ("glove.6B.50d.txt", 50): (0.85,),
    ("glove.twitter.27B.25d.txt", 25): (0.83,),
    ("", 50): (0.8,),
    ("", 200): (0.7,),
}


def test_rows_of_sizes() -> None:
    rows = make_sizes(SIZED).rows
    assert [(row.corpus, row.size, row.accuracies) for row in rows] == [
        ("GloVe 6B", 50, (0.85,)),
        ("GloVe 6B", 100, (0.88, 0.9)),
        ("GloVe Twitter 27B", 25, (0.83,)),
        ("GloVe, trained here", 50, (0.8,)),
        ("GloVe, trained here", 200, (0.7,)),
    ]
    assert rows[1].mean == pytest.approx(0.89)
    assert rows[1].interval == wilson(89, 100)
    assert rows[0].words == pytest.approx(2 / 3)  # good, one and bad
    assert rows[0].tokens == 0.75


def test_the_figure_of_sizes_has_the_source_where_the_data_is_its_own() -> None:
    figure = sizes_figure(make_sizes(SIZED))
    (panel,) = figure.curves.panels
    assert figure.curves.doublings
    assert {name: (list(x), [round(v, 9) for v in y]) for name, (x, y) in panel.lines.items()} == {
        "GloVe 6B": ([50, 100], [85.0, 89.0]),
        "GloVe Twitter 27B": ([25], [83.0]),
        "GloVe, trained here": ([50, 200], [80.0, 70.0]),
        "The source": ([VECTORS_DIM], [100 * TEXT_ACCURACY["glove-fixed"]]),
    }
    low, high = panel.bars["GloVe 6B"]
    ends = [wilson(85, 100), wilson(89, 100)]
    assert list(zip(low, high, strict=True)) == [(100 * a, 100 * b) for a, b in ends]
    assert "GloVe 6B: 85.0 with 50, 89.0 with 100; " in figure.alt
    assert [text.get_text() for text in axes_of(figure).texts] == list(panel.lines)
    sampled = sizes_figure(make_sizes({("", 12): (0.6,)}, "sample"))
    assert list(sampled.curves.panels[0].lines) == ["GloVe, trained here"]
    assert "ource" not in sampled.alt


def test_the_table_of_sizes() -> None:
    rows = Tags(sizes_table(make_sizes(SIZED)).html).rows
    low, high = wilson(85, 100)
    interval = f"{low:.4f} – {high:.4f}"
    assert rows[1] == [
        "GloVe 6B",
        "50",
        "0.8500",
        interval,
        "66.7 %",
        "75.0 %",
    ]
    assert rows[-1][:3] == ["The source", str(VECTORS_DIM), "0.932"]
    assert len(Tags(sizes_table(make_sizes(SIZED, "sample")).html).rows) == len(rows) - 1


def test_sizes_in_words() -> None:
    text = str(sizes_verdict(make_sizes(SIZED)))
    assert "GloVe 6B: going from 50 to 100 numbers per word adds 4.0 points of accuracy." in text
    assert "GloVe, trained here: going from 50 to 200 numbers per word adds −10.0 points" in text
    assert "Twitter" not in text  # of one size nothing follows
    ahead = 0.89 + 0.04 * math.log2(VECTORS_DIM / 100)
    guess = f"GloVe 6B vectors would reach {ahead:.3f} with 300 numbers if every doubling brought"
    assert f"{guess} as much as the last one. The source reports 0.932." in text
    longer = str(sizes_verdict(make_sizes({**SIZED, ("", 100): (0.7,), ("", 300): (0.75,)})))
    assert "−10.0 points of accuracy, from 100 to 200 adds 0.0 and from 200 to 300 adds 5" in longer
    assert "last one, and 0.940 if they gained as much as the vectors trained here. The" in longer
    assert "ource" not in str(sizes_verdict(make_sizes(SIZED, "sample")))


def test_what_is_compared_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_DATA", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    (tmp_path / "glove").mkdir()
    for name in ("6B.50d.part", "6B.50d", "6B.100d.part", "twitter.27B.25d"):
        (tmp_path / "glove" / f"glove.{name}.txt").touch()
    configs = text_study.size_configs("full", seeds=(0, 7))
    assert {config.model for config in configs} == {"glove-fixed"}
    assert [config.seed for config in configs] == [0, 7] * (len(configs) // 2)
    files = ["glove.6B.100d.part.txt", "glove.6B.50d.txt", "glove.twitter.27B.25d.txt"]
    assert [config.file for config in configs[::2] if config.vectors == "file"] == files
    own = [config.own_dim for config in configs[::2] if config.vectors == "own"]
    assert tuple(own) == text_study.OWN_SIZES["full"]
    best = text_study.configs("full", models=("glove-fixed",), seeds=(0, 7))
    assert configs[:2] == best  # the table's run is one of them
    assert {config.vectors for config in text_study.size_configs("sample")} == {"own"}


def test_runs_of_sizes_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = make_sizes({("", 12): (0.6, 0.7), ("", 25): (0.8, 0.9)}, "sample")
    configs = [TextConfig(**result.config) for result in runs.all_results]
    monkeypatch.setattr(text_study, "size_configs", lambda *_, **__: configs)
    monkeypatch.setattr(text_study, "results", lambda *_, **__: runs.all_results)
    monkeypatch.setattr(text_study, "text_data", lambda *_: runs.data)
    study = text_study.size_study("sample")
    assert list(study.results) == ["GloVe, trained here, 12", "GloVe, trained here, 25"]
    assert [row.accuracies for row in study.rows] == [(0.6, 0.7), (0.8, 0.9)]


# Tables


@pytest.mark.parametrize(("profile", "columns"), [("sample", 5), ("full", 7)])
def test_results_table(profile: ResolvedProfile, columns: int) -> None:
    answers: Answers = {
        "bag": BAG,
        "bilstm": [answering(LABELS, wrong) for wrong in ([0, 1, 2], [2, 3])],
        "pretrained": [answering(LABELS, [2, 3]), answering(LABELS, [3, 4], 0.8)],
    }
    element = results_table(make_study(make_data(LABELS, profile=profile), answers))
    page = Tags(element.html)
    head, bag, two, _, committee = page.rows
    assert {len(cells) for cells in page.rows} == {columns}
    assert head[1:5] == [
        "Test accuracy",
        "± over seeds",
        "95 % interval",
        "p against bag of words",
    ]
    low, high = wilson(29, 40)
    assert bag[:5] == ["Bag of words", "0.7250", "0.0354", f"{low:.4f} – {high:.4f}", "–"]
    assert two[:3] == ["Bidirectional LSTM", "0.9375", "0.0177"]
    assert two[4] == "0.0078"  # of 9 against 0 and of 8 against 0 the larger
    # Wrong are the third, on which the surer one is wrong, and the fourth, on which both are.
    low, high = wilson(38, 40)
    assert committee[:2] == ["All 2 pretrained models, averaged", "0.9500"]
    assert committee[3:5] == [f"{low:.4f} – {high:.4f}", "0.0020"]  # 10 against 0
    assert element.label == "Test accuracy of each model"
    (region,) = page.classed("table-scroll")
    assert region["aria-label"] == element.label
    if profile == "full":
        assert head[5:] == ["The source", "p against the source"]
        assert bag[5] == "0.953"
        assert two[5:] == committee[5:] == ["–", "–"]
    else:
        assert "ource" not in page.text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.0, "1.00"),
        (0.012, "0.01"),
        (0.0099, "0.0099"),
        (1e-4, "0.0001"),
        (9.9e-5, "< 10⁻⁴"),
        (1e-6, "< 10⁻⁴"),
        (9e-7, "< 10⁻⁶"),
    ],
)
def test_p_values_in_words(p: float, text: str) -> None:
    assert p_text(p) == text


KINDS = ("plain", "a <b>", "plain", "plain", "a <b>", "plain")


def test_accuracy_by_kind() -> None:
    labels = (1, 0, 1, 0, 1, 0)
    study = make_study(
        make_data(labels, ["a b", "c <b>", "a b c", "d", "e", "f"], kinds=KINDS),
        {
            "bag": [answering(labels, [0, 1]), answering(labels, [0, 2, 4])],
            "rnn": [answering(labels, [])] * 2,
        },
    )
    table = accuracy_by_kind(study, ("rnn", "bag"))
    assert list(table) == ["plain", "a <b>"]
    assert table["plain"] == {"sentences": 4, "RNN": 1.0, "Bag of words": 5 / 8}
    assert table["a <b>"] == {"sentences": 2, "RNN": 1.0, "Bag of words": 0.5}
    element = kinds_table(study, ("bag", "rnn"))
    page = Tags(element.html)
    assert page.rows == [
        ["Construction", "Sentences", "Bag of words", "RNN", "Example"],
        ["plain", "4", "0.62", "1.00", "d"],
        ["a <b>", "2", "0.50", "1.00", "e"],
    ]
    assert "<b>" not in element.html
    assert element.label == "Test accuracy by construction"


def test_mistakes() -> None:
    sentences = ["soup", 'the <b> & "x"', "good", "bad", "fine", "meh"]
    labels = (1, 0, 1, 0, 1, 0)
    study = make_study(
        make_data(labels, sentences),
        {
            "bag": [[0.125, 0.25, 0.5, 0.5, 0.5, 0.75]],
            # The most certain answer of all is right; the second seed does not matter.
            "lstm": [[0.3, 0.95, 1.0, 0.1, 0.01, 0.6], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]],
        },
    )
    element = mistakes(study, "lstm", 3)
    page = Tags(element.html)
    assert page.rows == [
        ["Sentence", "Label", "LSTM", "Bag of words"],
        ["fine", "positive", "0.010", "0.500"],
        ['the <b> & "x"', "negative", "0.950", "0.250"],
        ["soup", "positive", "0.300", "0.125"],
    ]
    assert "<b>" not in element.html
    assert element.label == "The 3 most certain mistakes of LSTM"
    everything = mistakes(study, "lstm", 99)
    assert [row[0] for row in Tags(everything.html).rows[1:]] == [
        "fine",
        'the <b> & "x"',
        "soup",
        "meh",
    ]
    assert everything.label.startswith("The 4 most")


def test_what_can_be_scrolled_has_a_name() -> None:
    study = make_study(make_data((1, 0), kinds=("plain",) * 2), {"bag": [[0.1, 0.2]]})
    for element in (kinds_table(study, ("bag",)), mistakes(study, "bag", 1)):
        (region,) = Tags(element.html).classed("table-scroll")
        assert (region.get("role"), region.get("aria-label")) == ("region", element.label)


def row(model: ModelName, mean: float, **fields: Any) -> Row:
    usual: dict[str, Any] = {
        "accuracies": (mean, mean),
        "deviation": 0.0,
        "interval": (mean - 0.01, mean + 0.01),
        "p_bag": None,
        "source": None,
        "source_interval": None,
        "p_source": None,
    }
    return Row(model=model, name=NAMES[model], mean=mean, **(usual | fields))


ROWS = (
    row("bag", 0.953, source=0.953, source_interval=(0.949, 0.957), p_source=1.0),
    row("average", 0.96, p_bag=0.01, source=0.95, source_interval=(0.945, 0.954), p_source=0.0099),
    row("glove", 0.945, p_bag=0.2),
    row("rnn", 0.9, p_bag=1e-9, source=0.922, source_interval=(0.916, 0.927), p_source=1e-5),
    row("lstm", 0.97, p_bag=0.0099, source=0.937, source_interval=(0.93, 0.94), p_source=0.0),
    row("bilstm", 0.99, p_bag=1e-7),
)


def study_of(n_sentences: int, *rows: Row) -> Study:
    """Return a study whose rows are made up."""
    made_up = Study(lambda: make_data((1,) * n_sentences), {})
    vars(made_up)["rows"] = rows  # where the property keeps them
    return made_up


def test_verdict() -> None:
    element = verdict(study_of(1234, *ROWS))
    first = (
        "Compared with bag of words on the same 1,234 test sentences, “LSTM” and “Bidirectional "
        "LSTM” are better; “RNN” is worse; “Learned vectors, averaged” and “Fine-tuned GloVe, "
        "averaged” cannot be told apart. A difference counts where p < 0.01 with every seed."
    )
    second = (
        "Compared with the source's accuracies, “Learned vectors, averaged” and “LSTM” are better; "
        "“RNN” is worse; “Bag of words” cannot be told apart. A difference counts where p < 0.01."
    )
    assert element.label == f"{first} {second}"
    page = Tags(element.html)
    assert [tag for tag, _ in page.tags] == ["p", "p"]
    assert page.text == first + second


def test_verdict_leaves_out_what_does_not_occur() -> None:
    element = verdict(study_of(1, row("bag", 0.6), row("lstm", 0.9, p_bag=1e-9)))
    assert element.label == (
        "Compared with bag of words on the same 1 test sentences, “LSTM” is better. A difference "
        "counts where p < 0.01 with every seed."
    )
    assert repr(element) == f"Html({element.label!r})"


# Numbers for sentences

SAID = ["not bad", "not good", "good but dear", "n't", "good", "good"]
SAID_LABELS = (1, 0, 0, 0, 1, 1)


def test_negations_table() -> None:
    study = make_study(
        make_data(SAID_LABELS, SAID),
        {
            "bag": [answering(SAID_LABELS, [0, 1, 2])],
            "pretrained": [answering(SAID_LABELS, wrong) for wrong in ([0], [0, 2], [0])],
        },
    )
    element = negations_table(study)
    assert element.head[3:5] == ("Bag of words", "3 pretrained")
    assert element.lines == (
        ("With “not” or “n't”", ("3", "33 %", "0.3333", "0.6667", "1.00")),
        ("With “but”", ("1", "0 %", "0.0000", "1.0000", "1.00")),
        ("With none of them", ("2", "100 %", "1.0000", "1.0000", "1.00")),
    )


def made_facts(vectors: str) -> dict[str, str]:
    """Return the facts of a study of all models that begins with such vectors."""
    train = ["good one", "not bad", "was n't bad", "not good", "bad not"]
    labels = [1] * 30 + [0] * 30
    sentences = ["good one"] * 30 + ["the long bad one"] * 30  # of two words, and of four
    data = make_data(labels, sentences, profile="full", train=train)
    answers: dict[ModelName, list[list[float]]] = {
        model: [answering(labels, [0, 1, 59])] * 2 for model in MODELS
    }
    answers["bag"] = [answering(labels, [0, 1, 2])] * 2
    answers["bilstm"] = [answering(labels, [59, 58], 0.99)] * 2
    answers["pretrained"] = [answering(labels, [0, 1, 59]), answers["bilstm"][0]]
    begun = {"vectors": vectors, "vectors_dim": 150}
    metrics = {"num_parameters": 1234, "words_with_vector": 1}
    study = make_study(
        data,
        answers,
        histories={model: [[0.5, 0.75]] * 2 for model in MODELS},
        metrics=metrics,
        about=begun,
    )
    return facts(study)


def test_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("good", "terrible", "fantastic", "horrible", "rare")
    data = make_data((1,), train=["good terrible fantastic horrible"] * 20 + ["rare good"])
    index = data.vocabulary.word_to_idx
    vectors = torch.zeros(len(index), 2)
    angles = (1.5, 0.0, 1.0, 0.5, 0.1)  # from that of "terrible"
    for k, (word, angle) in enumerate(zip(words, angles, strict=True)):
        vectors[index[word]] = (k + 1) * torch.tensor([math.cos(angle), math.sin(angle)])
    result = store_result(
        "rnnreport.experiments.text.word_vectors",
        WordVectorsConfig("sample", dim=2, window=1),
        data=data.about,
        seeds={},
        device="CPU",
        compute=lambda: Outcome({}, {}, {}, {"vectors": vectors}),
    )
    monkeypatch.setattr(figures, "text_data", lambda *_: data)
    element = neighbours_table(result, ("terrible", "soup", "rare"), 2)
    assert element.lines == (
        ("terrible", ("horrible 0.88, fantastic 0.54",)),
        ("rare", ("terrible 1.00, horrible 0.92",)),  # rare words are asked, and never answer
    )
    found = neighbour_facts(result)
    assert (found["own-terrible-horrible"], found["own-terrible-fantastic"]) == ("0.88", "0.54")
    assert (found["own-sentences"], found["own-words"], found["own-tokens"]) == ("21", "5", "82")
    # Of words side by side there are four pairs, in both orders, of 25.
    assert (found["own-pairs"], found["own-pairs-share"]) == ("8", "32 %")
    assert (found["own-window"], found["own-dim"]) == ("1", "2")


def test_facts() -> None:
    found = made_facts("glove.6B.100d.part.txt beside glove.twitter.27B.50d.txt")
    assert all(name.startswith("text-") for name in found)
    said = {name.removeprefix("text-"): value for name, value in found.items()}
    assert said["accuracy-lstm"] == f"{57 / 60:.4f}"
    assert (said["parameters-rnn"], said["seconds-rnn"]) == ("1,234", "0 s")
    assert (said["first-bag"], said["last-bag"]) == ("50.0 %", "75.0 %")
    assert (said["shortest-bag"], said["longest-bag"]) == ("90.0 %", "100.0 %")
    assert (said["shortest-bilstm"], said["longest-bilstm"]) == ("100.0 %", "93.3 %")
    assert (said["n-train"], said["n-test"], said["n-words"]) == ("5", "60", "6")
    assert said["vectors"] == "100 numbers of GloVe 6B and 50 numbers of GloVe Twitter 27B"
    assert (said["vectors-dim"], said["vectors-known"]) == ("150", "1")
    # Half of the test sentences are "good one", as a training sentence is.
    assert (said["again"], said["again-length"]) == ("30", "2.0")
    assert said["fresh-lstm"] == f"{29 / 30:.4f}"
    # The labels of make_data's training sentences are all 1.
    assert (said["negated"], said["negated-praise"]) == ("4", "100 %")
    assert (said["not-bad"], said["not-bad-praise"]) == ("2", "2")
    # On average the pretrained models are wrong on the last sentence, and on the one before, where
    # the one that is wrong is surer.
    assert (said["n-all"], said["wrong"], said["accuracy-all"]) == ("2", "2", f"{58 / 60:.4f}")
    assert (said["wrong-always"], said["wrong-always-bag"], said["wrong-certain"]) == (
        "1",
        "0",
        "0",
    )
    assert (said["bag-alone"], said["best-alone"]) == ("2", "3")


def test_vectors_without_a_known_origin_are_named_as_they_are() -> None:
    assert made_facts("mine.txt")["text-vectors"] == "mine.txt"


@pytest.mark.parametrize(("wrong", "said"), [(12, "tell"), (2, "cannot tell")])
def test_language_facts(wrong: int, said: str) -> None:
    answers: Answers = {
        "bag": BAG,
        "bilstm": [answering(LABELS, range(wrong))] * 2,
        "pretrained": [answering(LABELS, [])] * 2,
    }
    study = make_study(make_data(LABELS), answers, metrics={"dev_accuracy": 0.9})
    language = dataclasses.replace(
        study.results["bilstm"][0],
        config={"epochs": 5},
        metrics={"dev_loss": math.log(50)},
        wall_time=985.0,
    )
    found = figures.language_facts(study, language)
    assert found["text-language-verdict"] == f"So the test sentences {said} the two apart."
    assert found["text-language-p"] == ("0.0005" if wrong == 12 else "0.50")
    assert (found["text-language-epochs"], found["text-language-perplexity"]) == ("5", "50")
    assert found["text-language-time"] == "16 minutes"
    assert found["text-language-dev-before"] == found["text-language-dev-after"] == "0.9000"


# Sentences


class Reader:
    """Stands in for a classifier: gives the next of its numbers for each word."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = numbers

    def probabilities_by_word(self, sentence: Sequence[str]) -> list[float]:
        return list(self.numbers[: len(sentence)])


def test_strips() -> None:
    readers = {"a & b": Reader(0.5, 0.25, 0.0), "LSTM": Reader(0.51, 0.75, 1.0)}
    sentences = [["so", "<b>", '"'], ["good"]]
    element = strips(cast("Mapping[str, TrainedClassifier]", readers), sentences)
    page = Tags(element.html)
    assert [attrs["aria-label"] for attrs in page.classed("strip")] == ['so <b> "', "good"]
    assert {attrs["role"] for attrs in page.classed("strip")} == {"group"}
    assert len(page.classed("strip-line")) == 4
    assert page.text == 'a & bso0.50<b>0.25"0.00LSTMso0.51<b>0.75"1.00a & bgood0.50LSTMgood0.51'
    assert "<b>" not in element.html
    steps = page.classed("step")
    assert [(attrs["class"] or "").split()[1] for attrs in steps] == [
        *("against", "against", "against"),
        *("for", "for", "for"),
        *("against", "for"),
    ]
    assert [attrs["style"] for attrs in steps[:6]] == [
        f"--strength:{strength}" for strength in ("0.00", "0.50", "1.00", "0.02", "0.50", "1.00")
    ]
    assert element.label == "Probability after each word of 2 sentences"
    alone = strips(cast("Mapping[str, TrainedClassifier]", {"LSTM": Reader(0.25)}), [["good"]])
    assert Tags(alone.html).text == "good0.25"


def test_disagreements() -> None:
    sentences = ["one", "two", "three .", "four"]
    study = make_study(
        make_data((1, 0, 1, 0), sentences),
        {
            "bag": [[0.5, 0.9, 0.2, 0.5], [0.5, 0.7, 0.0, 0.5]],
            "lstm": [[0.5, 0.2, 1.0, 0.25], [0.5, 0.0, 1.0, 0.25]],
        },
    )
    expected = [["three", "."], ["two"], ["four"], ["one"]]  # they differ by 0.9, 0.7, 0.25, 0
    assert disagreements(study, "lstm", "bag", 9) == expected
    assert disagreements(study, "bag", "lstm", 2) == expected[:2]


def test_word_weights() -> None:
    train = ["bad good so"] * 5 + ["so rare"] * 4
    data = make_data((1,), train=train)
    numbers = {"so": 0.5, "bad": -1.0, "good": 3.0, "rare": -9.0}
    words = data.vocabulary.words
    weights = [[0.0, 7.0, *(numbers[word] + shift for word in words[2:])] for shift in (-0.5, 0.5)]
    study = make_study(data, {"bag": [[0.9], [0.9]]}, weights=weights)
    assert word_weights(study) == [("bad", -1.0), ("so", 0.5), ("good", 3.0)]
    longer = make_data((1,), train=train * 1200)  # 10,800 sentences
    assert {word for word, _ in word_weights(replace(study, load=lambda: longer))} == set(numbers)
    rare = make_data((1,), train=[*train, *["so"] * 12_000])  # five do not suffice any more
    assert [word for word, _ in word_weights(replace(study, load=lambda: rare))] == ["so"]


# Figures


def test_words_figure() -> None:
    weights = [("awful", -3.0), ("<b>", -2.0), ("so", 0.0), ("good", 1.0), ("best", 4.0)]
    figure = words_figure(weights, 2)
    assert figure.alt == (
        "The words with the largest weights. Negative: awful, <b>. Positive: best, good."
    )
    left, right = axes_of(figure)
    assert (left.get_title(), right.get_title()) == ("negative", "positive")
    for ax, words, lengths in (
        (left, ["<b>", "awful"], [2, 3]),  # from the bottom to the top
        (right, ["good", "best"], [1, 4]),
    ):
        assert [label.get_text() for label in ax.get_yticklabels()] == words
        assert [bar.get_width() for bar in ax.patches] == lengths
        assert ax.get_xlabel() == "size of the weight"
    (against,), (praise,) = ({bar.get_facecolor() for bar in ax.patches} for ax in (left, right))
    assert against[0] > against[2]  # more red than blue, as the coloured words are
    assert praise[0] < praise[2]
    assert "&lt;b&gt;" in figure._repr_html_()


def test_accuracy_figure() -> None:
    figure = accuracy_figure(ROWS)
    assert figure.alt.startswith("Test accuracy in per cent with 95 % intervals, best first: ")
    lines = [
        "Bidirectional LSTM 99.0",
        "LSTM 97.0 (the source: 93.7)",
        "Learned vectors, averaged 96.0 (the source: 95.0)",
        "Bag of words 95.3 (the source: 95.3)",
        "Fine-tuned GloVe, averaged 94.5",
        "RNN 90.0 (the source: 92.2)",
    ]
    assert f"best first: {'; '.join(lines)}." in figure.alt
    assert figure.alt.endswith(
        "Below a line stands the source's accuracy, with an interval of its own."
    )
    ax = axes_of(figure)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [line.split(" 9")[0] for line in reversed(lines)]
    assert "%" in ax.get_xlabel()
    assert ax.get_xscale() == "logit"
    low, high = ax.get_xlim()
    assert low < 0.89
    assert 0.999 < high < 1
    shares = [float(label.get_text()) / 100 for label in ax.get_xticklabels()]
    assert shares == pytest.approx(ax.get_xticks())
    assert shares[0] >= 0.9
    assert 0.95 in shares
    ours = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in ours] == [0.99, 0.97, 0.96, 0.953, 0.945, 0.9]
    sources = [line for line in ax.lines if line.get_marker() == "D"]
    assert [line.get_xdata()[0] for line in sources] == [0.937, 0.95, 0.953, 0.922]
    assert {line.get_color() for line in ours} == {"C0"}
    assert {line.get_color() for line in sources} == {"C1"}


def test_accuracy_figure_without_the_source() -> None:
    figure = accuracy_figure([row("bag", 0.8), row("lstm", 0.9, accuracies=(0.88, 0.92))])
    assert "ource" not in figure.alt
    ax = axes_of(figure)
    assert {line.get_color() for line in ax.lines} == {"C0"}
    (seeds,) = (line for line in ax.lines if line.get_marker() == "|" and line.get_ydata()[0])
    assert seeds.get_xdata() == pytest.approx([0.88, 0.92])


@pytest.mark.parametrize(
    ("mean", "interval"),
    [
        (1.0, (0.9, 1.0)),
        (0.5, (0.4, 0.6)),
        (0.965, (0.962, 0.968)),
    ],
)
def test_accuracy_figure_has_a_scale_for_any_accuracy(
    mean: float, interval: tuple[float, float]
) -> None:
    ax = axes_of(accuracy_figure([row("bag", mean, interval=interval)]))
    assert len(ax.get_xticks()) > 0
    low, high = ax.get_xlim()
    assert 0 < low < interval[0]
    assert min(interval[1], 0.9999) < high < 1


def test_labels_of_the_accuracy_figure_do_not_touch() -> None:
    """They touch neither on a wide scale nor on a narrow one, and the roundest numbers stay."""
    rows = [row("bag", 0.55, interval=(0.53, 0.57)), row("lstm", 0.99, interval=(0.98, 0.995))]
    figure = axes_of(accuracy_figure(rows)).figure
    assert figure is not None
    figure.canvas.draw()
    (ax,) = figure.axes
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert len(boxes) > 5
    assert {0.9, 0.99} < set(ax.get_xticks())
    for left, right in itertools.pairwise(boxes):
        assert left.x1 < right.x0


def test_long_cells_are_broken_into_lines() -> None:
    made = table(
        ["", "Said"], [("RNN", ["a dog"]), ("LSTM", ["a dog runs & runs over the grass"])], ""
    )
    assert "<td>a dog</td>" in made.html
    assert '<td class="sentence">a dog runs &amp; runs over the grass</td>' in made.html


def test_learning_curves() -> None:
    study = make_study(
        make_data((1, 0)),
        {"bag": [[0.9, 0.1]] * 2, "lstm": [[0.9, 0.1]]},
        histories={"bag": [[0.5, 0.7, 0.9], [0.6, 0.8, 0.9]], "lstm": [[0.5, 0.6]]},
    )
    figure = learning_curves(study, ("lstm", "bag"))
    assert figure.alt == (
        "Validation accuracy by epoch, in per cent: LSTM from 50.0 to 60.0, "
        "Bag of words from 55.0 to 90.0."
    )
    ax = axes_of(figure)
    lstm, bag = ax.lines
    assert lstm.get_xdata().tolist() == [1, 2]
    assert bag.get_xdata().tolist() == [1, 2, 3]
    assert bag.get_ydata() == pytest.approx([55, 75, 90])
    assert [label.get_text() for label in ax.texts] == ["LSTM", "Bag of words"]
    assert "%" in ax.get_ylabel()


def test_accuracy_by_length() -> None:
    lengths = [3] * 20 + [4] * 20 + [5] * 40 + [7] * 29 + [9] * 30
    labels = [1] * len(lengths)
    sentences = [" ".join(["w"] * length) for length in lengths]
    study = make_study(
        make_data(labels, sentences),
        {
            "bag": [answering(labels, range(10)), answering(labels, range(40, 60))],
            "lstm": [answering(labels, range(109, 139))],
        },
    )
    figure = accuracy_by_length(study, ("bag", "lstm"))
    ax = axes_of(figure)
    bag, lstm = ax.lines
    # Those of seven words are too few to tell.
    assert bag.get_ydata() == pytest.approx([100 * 70 / 80, 100 * 60 / 80, 100])
    assert lstm.get_ydata() == pytest.approx([100, 100, 0])
    assert bag.get_xdata().tolist() == lstm.get_xdata().tolist()
    assert bag.get_xdata().tolist()[0] == 3.5
    assert bag.get_marker() == "o"
    assert figure.alt == (
        "Test accuracy by length of the sentence, in per cent: Bag of words 87.5 for the shortest "
        "and 100.0 for the longest; LSTM 100.0 for the shortest and 0.0 for the longest."
    )


def test_a_point_stands_at_the_lengths_that_it_is_of() -> None:
    lengths = [3] * 30 + [4] * 30 + [5] * 30
    labels = [1] * len(lengths)
    data = make_data(labels, [" ".join(["w"] * length) for length in lengths])
    figure = accuracy_by_length(make_study(data, {"bag": [answering(labels, [])]}), ("bag",))
    (line,) = axes_of(figure).lines
    assert line.get_xdata().tolist() == [3.5, 5.0]
