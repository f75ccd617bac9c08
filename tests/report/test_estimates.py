"""Estimates: the arithmetic of work, speed and stages; no clock decides a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from real_data import needs

from rnnreport.experiments.captioning.by_heart import ByHeartConfig
from rnnreport.experiments.captioning.settings import coco_configs, default_config
from rnnreport.experiments.style.study import configs as style_configs
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.experiments.text.word_vectors import WordVectorsConfig
from rnnreport.names import PARTS, RESOLVED_PROFILES, PartName, ResolvedProfile
from rnnreport.report import estimates
from rnnreport.report.estimates import Outlook, makespan, usual_seconds
from rnnreport.report.parts import Plan, Runs, runs_of
from rnnreport.report.prepare import _about
from rnnreport.report.record import load_record
from rnnreport.runs.store import Outcome, Request, Result, get_or_compute


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under a minute"),
        (44, "under a minute"),
        (50, "about 1 min"),
        (569, "about 9 min"),
        (571, "about 10 min"),
        (1480, "about 25 min"),
        (3400, "about 55 min"),
        (3460, "about 1 h 00 min"),
        (6100, "about 1 h 45 min"),
        (7000, "about 2 h 00 min"),
    ],
)
def test_words(seconds: float, words: str) -> None:
    assert _about(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [([], 2, 0), ([3], 2, 3), ([3, 4], 2, 4), ([3, 4, 5], 2, 6), ([1, 1, 9], 2, 9), ([3, 4], 1, 7)],
)
def test_side_by_side(seconds: list[float], workers: int, expected: float) -> None:
    assert makespan(seconds, workers) == expected


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """Stand in for the data: captions and words by profile."""
    counts = {"full": (4000, 1610)}
    monkeypatch.setattr(estimates, "_amount_of_captions", lambda config: counts[config.profile])
    monkeypatch.setattr(
        estimates, "_sentences", lambda profile, _: {"full": 40_000, "sample": 4000}[profile]
    )
    monkeypatch.setattr(
        estimates, "_photographs", lambda profile: {"full": 397, "sample": 400}[profile]
    )
    monkeypatch.setattr(estimates, "_numbers_of_files", lambda _: 175)
    return counts


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize("profile", RESOLVED_PROFILES)
@pytest.mark.parametrize("part", PARTS)
def test_every_run_of_the_pages_has_an_estimate(part: PartName, profile: ResolvedProfile) -> None:
    for runs in runs_of(part, profile):
        for config in runs.configs:
            assert (usual_seconds(config) or 0) > 0
    assert usual_seconds(part) is None
    assert usual_seconds(coco_configs()[0]) is None


@pytest.mark.usefixtures("counts")
@pytest.mark.parametrize("part", PARTS)
def test_the_estimates_are_those_of_the_recorded_run(part: PartName) -> None:
    record = load_record(part)
    expected = sum(
        usual_seconds(config) or 0 for runs in runs_of(part, "full") for config in runs.configs
    )
    features = 90.0 if part == "captioning" else 0.0  # of 900 photographs
    # Not above: what was recorded may have shared its machine, and taken longer for it.
    assert 0 < expected + features < 1.2 * record.seconds


def test_more_work_takes_longer(counts: dict[str, tuple[int, int]]) -> None:
    config = default_config("lstm", profile="full")
    one = usual_seconds(config)
    assert one is not None
    assert usual_seconds(replace(config, epochs=2 * config.epochs)) == pytest.approx(2 * one)
    counts["full"] = 8000, 1610
    assert usual_seconds(config) == pytest.approx(2 * one)
    counts["full"] = 4000, 3220
    assert usual_seconds(config) == pytest.approx(one + 4_000 * config.epochs * 1.61 * 26e-5)
    text = TextConfig(model="lstm", profile="full", vectors="files")
    shorter = replace(text, epochs=1)
    assert usual_seconds(text) == pytest.approx((usual_seconds(shorter) or 0) * text.epochs)
    first, *_ = style_configs("full")
    assert usual_seconds(replace(first, levels=first.levels[:-1])) == pytest.approx(
        (64**2 * 40 + 128**2 * 60) * 11e-6
    )


def test_wider_vectors_take_longer(
    counts: dict[str, tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    del counts
    text = TextConfig(model="lstm", profile="full", vectors="files")
    narrow = usual_seconds(text) or 0
    monkeypatch.setattr(estimates, "_numbers_of_files", lambda _: 300)
    assert usual_seconds(text) == pytest.approx(narrow * 600 / 475)
    own = TextConfig(model="lstm", profile="full", vectors="own", own_dim=25)
    assert usual_seconds(own) == pytest.approx(narrow * 325 / 475)
    assert usual_seconds(replace(own, wordvec_dim=100)) == pytest.approx(narrow * 400 / 475)
    trained = [WordVectorsConfig("full", dim=dim) for dim in (100, 300)]
    assert usual_seconds(trained[1]) == pytest.approx(3 * (usual_seconds(trained[0]) or 0))


@dataclass(frozen=True)
class Config:
    seconds: float
    code: int = 0


class Experiment:
    """Stands for an experiment; another code gives another key."""

    __name__ = "rnnreport.experiments.captioning.by_heart"

    def __init__(self) -> None:
        self.code = 0

    def request(self, config: Config) -> Request:
        data = {"fingerprint": "f", "profile": "sample", "code": self.code}
        return Request("timed", self.__name__, config, data, {}, "CPU")

    def run(self, config: Config) -> Result:
        return get_or_compute(self.request(config), lambda: Outcome({}, {}, {}))


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    rules = {Config: lambda config: config.seconds or None}
    monkeypatch.setattr(estimates, "_RULES", rules)
    monkeypatch.setattr(estimates, "_calibration", lambda: 2.0)
    monkeypatch.setattr(estimates, "_START", 1.0)
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path))
    return Experiment()


Planner = Callable[..., Plan]


@pytest.fixture
def planned(experiment: Experiment) -> Planner:
    def plan(*runs: tuple[int, bool, list[float]], part: PartName = "text") -> Plan:
        of_all = tuple(
            Runs(str(number), experiment, tuple(map(Config, seconds)), stage, chained)
            for number, (stage, chained, seconds) in enumerate(runs)
        )
        return Plan(part, "sample", of_all, of_all)

    return plan


def test_stages_follow_each_other(planned: Planner) -> None:
    plan = planned((0, False, [10.0, 20.0, 30.0]), (0, True, [5.0, 6.0]), (1, False, [8.0, 9.0]))
    outlook = Outlook(2)
    outlook.add(plan)
    first, second = 1 + 2 * 71 / 2, 1 + 2 * 9.0
    assert outlook.seconds([plan]) == first + second
    assert outlook.seconds([plan], after=0) == second
    assert outlook.seconds([plan], after=1) == 0
    many = Outlook(9)
    many.add(plan)
    assert many.seconds([plan], after=None) == 1 + 2 * 30 + second
    chain = planned((0, True, [20.0, 30.0]), (0, True, [1.0]))
    many.add(chain)
    assert many.seconds([chain]) == 1 + 2 * 51  # one after the other


def test_parts_share_the_workers(planned: Planner) -> None:
    plans = [planned((0, False, [10.0]), part=part) for part in ("text", "style")]
    outlook = Outlook(2)
    for plan in plans:
        outlook.add(plan)
    assert outlook.seconds(plans) == outlook.seconds(plans[:1]) == 1 + 2 * 10


def test_what_is_not_known_is_not_said(planned: Planner) -> None:
    plan = planned((0, False, [10.0]), (1, False, [0.0, 3.0]))
    outlook = Outlook(2)
    outlook.add(plan)
    assert outlook.seconds([plan]) is None
    assert outlook.seconds([plan], after=1) == 0


def test_earlier_results_say_more(experiment: Experiment, planned: Planner, tmp_path: Path) -> None:
    for seconds in (10.0, 20.0, 30.0, 0.0):
        experiment.run(Config(seconds))
    for path in tmp_path.glob("timed-*.json"):
        fields = json.loads(path.read_text())
        fields["wall_time"] = 3 * fields["config"]["seconds"] or 7.0
        path.write_text(json.dumps(fields))
    experiment.code = 1
    plan = planned((0, False, [10.0, 20.0, 30.0, 0.0]), (1, False, [40.0]))
    outlook = Outlook(1)
    outlook.add(plan)
    # Of the last run nothing but its work is known, and of this machine that it is slow.
    assert outlook.seconds([plan]) == pytest.approx(1 + 3 * 60 + 7 + 1 + 3 * 40)


def test_photographs_need_features_once(
    planned: Planner, experiment: Experiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def request(config: Config) -> Request:
        return Request("timed", experiment.__name__, config, {"n_images": 30}, {}, "CPU")

    monkeypatch.setattr(experiment, "request", request)
    plan = planned((0, False, [10.0]), part="captioning")._replace(profile="full")
    outlook = Outlook(1)
    outlook.add(plan)
    assert outlook.seconds([plan]) == pytest.approx(1 + 2 * (10 + 30 * 0.1))
    for count, expected in ((29, 27.0), (30, 21.0)):
        file = tmp_path / f"efficientnet_lite1-whole-{count}.safetensors"
        safetensors.torch.save_file({"places": torch.zeros(count, 1)}, file)
        outlook.add(plan)
        assert outlook.seconds([plan]) == pytest.approx(expected)


def test_samples_are_not_drawn_to_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "image_data", None)
    config = default_config("rnn", profile="sample")
    one = usual_seconds(config)
    assert one
    assert usual_seconds(replace(config, n_train=2 * config.n_train)) == pytest.approx(2 * one)
    assert usual_seconds(ByHeartConfig("lstm", "sample"))


@needs("flickr8k", "hymenoptera", "sentiment", "glove")
def test_amounts_of_real_data() -> None:
    captions, words = estimates._amount_of_captions(default_config("rnn", profile="full"))
    assert captions >= 4000
    assert words >= 1000
    assert estimates._photographs("full") == 397
    text = TextConfig(model="lstm", profile="full", vectors="files")
    assert estimates._numbers_of_files(text) >= 25
