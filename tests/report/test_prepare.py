"""Preparing: first a summary, then what is missing, and nothing where all of it is there."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rnnreport.cli.main import main
from rnnreport.data.assets import MissingDataError
from rnnreport.names import ALL_PAGES, PAGES, PARTS, PartName, parts_of
from rnnreport.report import estimates, parts
from rnnreport.report import prepare as _prepare
from rnnreport.report.parts import Plan, Runs, plan, runs_of
from rnnreport.report.prepare import prepare
from rnnreport.runs.engine import Chain
from rnnreport.runs.store import Outcome, Request, Result, get_or_compute

Runner = Callable[..., list[str]]


@dataclass(frozen=True)
class Config:
    part: str
    number: int


class Counter:
    """Stands for the experiments, and counts how often they compute."""

    def __init__(self) -> None:
        self.computed: list[str] = []
        self.asked = 0
        self.fails = False

    __name__ = "rnnreport.experiments.captioning.by_heart"

    def request(self, config: Config) -> Request:
        self.asked += 1
        data = {"fingerprint": "f", "profile": "sample"}
        return Request("counted", self.__name__, config, data, {}, "CPU")

    def run(self, config: Config) -> Result:
        def compute() -> Outcome:
            if self.fails and config.number == 1:
                raise FloatingPointError("the loss is not finite")
            self.computed.append(f"{config.part}-{config.number}")
            return Outcome({}, {"n": 1}, {})

        return get_or_compute(self.request(config), compute)


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()

    def runs(part: PartName, _profile: str = "auto") -> tuple[Runs, ...]:
        configs = tuple(Config(part, number) for number in (0, 1))
        return (
            Runs(f"first {part}", counter, configs[:1]),
            Runs(f"then {part}", counter, configs[1:], stage=1),
        )

    monkeypatch.setattr(parts, "runs_of", runs)
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)  # what other processes count is lost
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    for name in ("RNNREPORT_DATA", "RNNREPORT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "store"))
    return counter


def test_a_summary_comes_first(counter: Counter) -> None:
    lines = prepare(["text", "style"])
    assert next(lines) == "What the pages rest on:"
    assert next(lines) == "  text        generated sample: 0 runs stored, 2 to run"
    assert next(lines) == "  style       generated sample: 0 runs stored, 2 to run"
    assert counter.computed == []
    assert re.fullmatch(r"  done in \d+ s: first text, first style", next(lines))
    assert counter.computed == ["text-0", "style-0"]
    assert re.fullmatch(r"  done in \d+ s: then text, then style", next(lines))
    assert counter.computed[2:] == ["text-1", "style-1"]
    assert next(lines).startswith("Ran 4 in ")


@pytest.mark.usefixtures("counter")
def test_a_summary_says_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {("text", 0): 120, ("text", 1): 240, ("style", 0): 60, ("style", 1): 600}
    rules = {Config: lambda config: seconds[config.part, config.number]}
    monkeypatch.setattr(estimates, "_RULES", rules)
    monkeypatch.setattr(estimates, "_calibration", lambda: 1.0)
    lines = list(prepare(["text", "style"], workers=1))
    assert lines[1].endswith("2 to run, about 6 min by themselves")
    assert lines[2].endswith("2 to run, about 10 min by themselves")
    assert lines[3] == "  By an estimate, all of it takes about 15 min."
    # The first stage was far shorter than it should have been, and so will the second be.
    assert re.fullmatch(r"  done in \d+ s: first text, first style; under a minute left", lines[4])
    assert re.fullmatch(r"  done in \d+ s: then text, then style", lines[5])
    again = list(prepare(["text", "style"]))
    assert again[1].endswith("2 runs stored, nothing to run")


def test_all_there_is_known_without_asking(counter: Counter) -> None:
    list(prepare(["text"]))
    asked = counter.asked
    assert list(prepare(["text"])) == [
        "What the pages rest on is all there:",
        "  text        generated sample: 2 runs stored, nothing to run",
    ]
    assert counter.asked == asked


def test_what_is_broken_off_goes_on(counter: Counter) -> None:
    counter.fails = True
    with pytest.raises(FloatingPointError):
        list(prepare(["text"]))
    counter.fails = False
    lines = list(prepare(["text"]))
    assert lines[1] == "  text        generated sample: 1 runs stored, 1 to run"
    assert counter.computed == ["text-0", "text-1"]


def test_a_lost_result_is_computed_again(counter: Counter, tmp_path: Path) -> None:
    list(prepare(["text"]))
    next((tmp_path / "store").glob("counted-*.json")).unlink()
    assert "1 runs stored, 1 to run" in list(prepare(["text"]))[1]
    assert len(counter.computed) == 3


def test_what_changes_is_asked_again(
    counter: Counter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(prepare(["text"]))
    asked = [counter.asked]

    def again() -> bool:
        list(prepare(["text"]))
        asked.append(counter.asked)
        return asked[-1] > asked[-2]

    assert not again()
    (tmp_path / "data" / "sentiment").mkdir(parents=True)
    monkeypatch.setenv("RNNREPORT_DATA", str(tmp_path / "data"))
    assert again()
    assert not again()
    (tmp_path / "data" / "sentiment" / "train.txt").write_text("0 bad", encoding="utf-8")
    assert again()  # a file deep in a folder
    monkeypatch.setenv("RNNREPORT_PROFILE", "sample")
    assert again()
    monkeypatch.setattr(_prepare, "definitions_of_code", lambda _: {"changed": "code"})
    assert again()
    assert len(counter.computed) == 2  # asked, found, and not computed


def test_a_broken_note_is_no_note(counter: Counter, tmp_path: Path) -> None:
    list(prepare(["text"]))
    (note,) = (tmp_path / "store" / "ready").iterdir()
    note.write_text("{", encoding="utf-8")
    asked = counter.asked
    list(prepare(["text"]))
    assert counter.asked > asked


def test_the_command(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--pages", "glove"]) == 0
    assert "text " in capsys.readouterr().out
    assert counter.computed == ["text-0", "text-1"]
    assert main(["prepare", "--workers", "1"]) == 0
    assert {name.partition("-")[0] for name in counter.computed} == set(PARTS)


def test_the_command_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("RNNREPORT_DATA", raising=False)
    assert main(["prepare", "--profile", "full", "--pages", "text"]) == 1
    assert "the asset 'sentiment' is missing" in capsys.readouterr().err


# The real parts


def test_every_part_has_pages_and_runs() -> None:
    assert PAGES.keys() == set(PARTS)
    docs = Path(__file__).parents[2] / "docs"
    assert sorted(ALL_PAGES) == sorted(["api", *(path.stem for path in docs.glob("*.md"))])
    for part in PARTS:
        assert all((docs / f"{page}.md").is_file() for page in PAGES[part])
        for runs in runs_of(part, "sample"):
            assert runs.configs
            assert len(set(map(repr, runs.configs))) == len(runs.configs)
    with pytest.raises(ValueError, match=r"part must be one of captioning, .* got 'songs'"):
        runs_of("songs", "sample")  # type: ignore[arg-type]


def test_pages_need_parts() -> None:
    assert parts_of(["text"]) == parts_of(["glove"]) == ("text",)
    assert parts_of(["style", "captioning", "rnn"]) == ("captioning", "style")
    assert parts_of(["index"]) == PARTS
    assert parts_of(["rnn", "ledger"]) == ()


def test_planning_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "store"))
    for part in PARTS:
        planned = plan(part, "sample")
        runs = runs_of(part, "sample")
        assert planned == Plan(part, "sample", runs, runs)
        assert planned.n_missing == sum(len(each.configs) for each in runs)
        assert planned.n_stored == 0
    assert not list(tmp_path.rglob("*.json"))


def test_stages_follow_each_other_and_kinds_are_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[list[list[object]], str, int | None]] = []

    def note(chains: Sequence[Chain], *, label: str, workers: int | None) -> None:
        begun.append(([[job.config for job in chain] for chain in chains], label, workers))

    monkeypatch.setattr(parts, "run_chains", note)
    some = functools.partial(Runs, experiment=Counter())
    one = (some("a", configs=(1, 2)), some("b", configs=(3,), stage=1))
    two = (some("c", configs=(4, 5, 6)), some("d", configs=(7,), stage=2))
    three = (some("e", configs=(8,), chained=True), some("f", configs=(9,), chained=True))
    plans = [
        Plan("captioning", "sample", one, one),
        Plan("text", "sample", two, two),
        Plan("style", "sample", three, three),
    ]
    assert list(parts.do(plans, workers=3)) == ["a, c, e, f", "b", "d"]
    first = [[8, 9], [1], [4], [2], [5], [6]]
    assert begun == [(first, "a, c, e, f", 3), ([[3]], "b", 3), ([[7]], "d", 3)]
    assert list(parts.do([])) == []


def test_full_needs_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    monkeypatch.delenv("RNNREPORT_DATA", raising=False)
    for part in PARTS:
        with pytest.raises(MissingDataError):
            plan(part, "full")
