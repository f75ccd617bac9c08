"""A study of captioning: means, intervals and differences of made-up captions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
from stored import store_result
from torch import Generator, Tensor

from rnnreport.data.features import Projection
from rnnreport.experiments.captioning import study as captioning_study
from rnnreport.experiments.captioning.data import image_data
from rnnreport.experiments.captioning.measures import bootstrap, measure, paired_difference
from rnnreport.experiments.captioning.settings import SEEDS, WAYS, CaptionConfig
from rnnreport.experiments.captioning.splits import Captions, ImageData, Pools, Words
from rnnreport.experiments.captioning.study import NAMES, WAY_NAMES, Study
from rnnreport.names import CELLS, CellType
from rnnreport.runs.store import Outcome, Result

pytestmark = pytest.mark.usefixtures("store")


def words(text: str) -> Words:
    return tuple(text.split())


TRAIN: Captions = {
    "t0": (words("a dog runs"), words("a cat sleeps")),
    "t1": (words("two boats on the sea"),),
}
TEST: Captions = {
    "v0": (words("a brown dog runs fast"), words("the dog runs")),
    "v1": (words("a cat sleeps here"), words("the quetzal sleeps")),
    "v2": (words("two boats sail on the sea"),),
}
SAID: Mapping[CellType, Sequence[Sequence[str]]] = {  # a row a seed
    "rnn": [["a dog runs", "a dog runs", "a dog runs"], ["the dog runs", "a man", "boats"]],
    "lstm": [
        ["a dog runs", "a cat sleeps", "two boats on the sea"],
        ["the dog runs", "a cat sleeps here", "two boats"],
    ],
}


class _Scenes(ImageData):
    """Captions without pictures."""

    about = {"name": "made up", "features": "none", "n_images": 5}  # noqa: RUF012

    def pools(self) -> Pools:
        return Pools(TRAIN, {}, TEST)

    def fingerprint(self, names: Sequence[str] | None = None) -> str:  # noqa: ARG002
        return "f"

    def features(self, names: Sequence[str], *, places: bool) -> Tensor:
        raise NotImplementedError

    def projection(self, *, places: bool) -> Projection:
        raise NotImplementedError

    def image(self, name: str, size: int | None = None) -> None:  # type: ignore[override]
        raise KeyError(name, size)


def make_result(cell: CellType, seed: int) -> Result:
    """Store a run with the captions of its seed; the beam writes those of the next seed."""
    captions = SAID[cell]

    def records(pool: Captions, shift: int) -> list[dict[str, object]]:
        return [
            {
                "image": name,
                "truth": [list(one) for one in truth],
                "greedy": captions[seed][k].split(),
                "beam": captions[(seed + shift) % 2][k].split(),
            }
            for k, (name, truth) in enumerate(pool.items())
        ]

    details = {"test": records(TEST, 1), "train": records(TRAIN, 1)}
    return store_result(
        "rnnreport.experiments.captioning.training",
        CaptionConfig(cell_type=cell, profile="sample", seed=seed),
        data={"profile": "sample", "fingerprint": "f"},
        seeds={"model": seed},
        device="CPU",
        compute=lambda: Outcome({}, {}, dict(details)),
    )


def make_study(*cells: CellType) -> Study:
    return Study(
        _Scenes, {cell: tuple(make_result(cell, seed) for seed in (0, 1)) for cell in cells}
    )


def test_names_are_those_of_all_networks_and_ways() -> None:
    assert set(NAMES) == set(CELLS)
    assert set(WAY_NAMES) == {*WAYS, "together"}


def test_references() -> None:
    study = make_study("rnn")
    assert study.names("test") == ["v0", "v1", "v2"]
    assert study.references("test") == list(TEST.values())
    assert study.references("train") == list(TRAIN.values())
    assert study.profile == "sample"


def test_captions_are_those_of_each_seed() -> None:
    study = make_study("rnn", "lstm")
    greedy = study.captions("lstm", "greedy")
    assert greedy == [[words(text) for text in row] for row in SAID["lstm"]]
    assert study.captions("lstm", "beam") == greedy[::-1]
    assert study.captions("rnn", "greedy", "train")[1] == [words("the dog runs"), words("a man")]


def test_rows() -> None:
    study = make_study("rnn", "lstm")
    rows = study.rows
    assert [(row.cell, row.way) for row in rows] == [
        (cell, way) for cell in ("rnn", "lstm") for way in WAYS
    ]
    assert [row.name for row in rows[:: len(WAYS)]] == ["RNN", "LSTM"]
    references = list(TEST.values())
    captions = study.captions("lstm", "greedy")
    first, second = (measure(of_seed, references) for of_seed in captions)
    row = study.row("lstm", "greedy")
    assert row.ciders == (first.cider, second.cider)
    assert row.scores.cider == pytest.approx((first.cider + second.cider) / 2)
    assert row.scores.bleu_1 == pytest.approx((first.bleu_1 + second.bleu_1) / 2)
    assert row.intervals == bootstrap(captions, references, generator=Generator().manual_seed(0))
    assert row.intervals["cider"][0] < row.scores.cider < row.intervals["cider"][1]
    assert row.in_training == pytest.approx((3 / 3 + 0 / 3) / 2)
    assert row.exact == pytest.approx((0 + 2) / 2)
    assert study.row("rnn", "greedy").in_training == pytest.approx((3 / 3 + 0) / 2)
    assert study.rows is rows  # computed once


def test_differences() -> None:
    study = make_study("rnn", "lstm")
    assert [(d.better, d.other, d.way) for d in study.differences] == [
        ("lstm", "rnn", way) for way in WAYS
    ]
    greedy = study.differences[0]
    difference, interval = paired_difference(
        study.captions("lstm", "greedy"),
        study.captions("rnn", "greedy"),
        list(TEST.values()),
        generator=Generator().manual_seed(0),
    )
    assert (greedy.difference, greedy.interval) == (difference, interval)
    above, below = (study.row(cell, "greedy").scores.cider for cell in ("lstm", "rnn"))
    assert greedy.difference == pytest.approx(above - below)
    assert greedy.ratio == pytest.approx(above / below)
    assert make_study("lstm").differences == ()


def test_a_ratio_to_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAID, "rnn", [["who", "who", "who"]] * 2)
    assert math.isnan(make_study("rnn", "lstm").differences[0].ratio)


def test_images_are_ordered_by_the_first_seed() -> None:
    study = make_study("rnn", "lstm")
    values = study.ciders("lstm", "greedy")
    references = list(TEST.values())
    assert sum(values) / 3 == pytest.approx(
        measure(study.captions("lstm", "greedy")[0], references).cider
    )
    order = study.order("lstm", "greedy")
    assert sorted(order) == [0, 1, 2]
    assert [values[k] for k in order] == sorted(values, reverse=True)
    assert study.order("rnn", "greedy")[1:] == [1, 2]  # both score nothing
    assert len(study.ciders("lstm", "beam", "train")) == 2


def test_a_study_groups_the_runs_by_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[CaptionConfig] = []

    def pretend(_: object, configs: Sequence[CaptionConfig], *, label: str) -> list[Result]:
        assert label == "captions"
        asked.extend(configs)
        return [make_result("lstm", config.seed % 2) for config in configs]

    monkeypatch.setattr("rnnreport.experiments.study.results", pretend)
    study = captioning_study.study("sample")
    assert [(config.cell_type, config.seed) for config in asked] == [
        (cell, seed) for cell in CELLS for seed in SEEDS
    ]
    assert {config.profile for config in asked} == {"sample"}
    assert list(study.results) == list(CELLS)
    for results in study.results.values():
        assert [result.seeds["model"] for result in results] == [seed % 2 for seed in SEEDS]
    assert study.data is image_data("sample", n_train=900, n_val=100, n_test=100)


def test_a_study_wants_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captioning_study, "images_of", lambda config: config)
    with pytest.raises(ValueError, match="images that are at hand, got dataset='coco'"):
        captioning_study.study(chosen=[CaptionConfig(dataset="coco", profile="full")])
