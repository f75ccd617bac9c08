"""The result store: what is valid is given back, anything else is computed again."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.runs import definitions, store
from rnnreport.runs.store import (
    Outcome,
    Request,
    Result,
    get,
    get_or_compute,
    latest,
    load_tensors,
    weights_of,
)


@dataclass(frozen=True)
class Config:
    size: int = 3
    shape: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Profiled:
    size: int = 3
    profile: str = "sample"


class Computer:
    """Counts how often it computes."""

    def __init__(self, loss: float = 0.1, tensors: dict[str, Tensor] | None = None) -> None:
        self.count = 0
        self.loss = loss
        self.tensors = tensors or {}

    def __call__(self) -> Outcome:
        self.count += 1
        history = {"loss": [self.loss, 1 / 3]}
        return Outcome(history, {"n": 2}, {"pairs": [("ä", 1)]}, self.tensors)


Run = Callable[..., Result]


def asked(config: object = None, fingerprint: str = "f", experiment: str = "toy") -> Request:
    module = "rnnreport.experiments.toy"
    data = {"fingerprint": fingerprint}
    return Request(experiment, module, config or Config(), data, {"model": 0}, "CPU")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a toy experiment of a package made up for the purpose."""
    package = tmp_path / "rnnreport"
    for path, text in {
        "__init__.py": "",
        "experiments/__init__.py": "",
        "experiments/toy.py": "def run():\n    from rnnreport.data import used\n    return used\n",
        "data/__init__.py": "",
        "data/used.py": "x = 1\n",
        "data/unused.py": "x = 1\n",
    }.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(text, encoding="utf-8")
    monkeypatch.setattr(definitions, "_ROOT", package)
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "store"))

    def toy(compute: Computer, config: object = None, fingerprint: str = "f") -> Result:
        return get_or_compute(asked(config, fingerprint), compute)

    return toy


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "store").iterdir() if path.is_file()]


def test_stored_result_is_given_back(run: Run, tmp_path: Path) -> None:
    compute = Computer()
    first, second = run(compute), run(compute)
    assert compute.count == 1
    assert first == second
    assert first.experiment == "toy"
    assert first.config == {"size": 3, "shape": [1, 2]}
    assert first.history == {"loss": [0.1, 1 / 3]}
    assert first.details == {"pairs": [["ä", 1]]}
    assert first.versions.keys() >= {"python", "torch", "torchvision", "numpy", "rnnreport"}
    assert first.wall_time >= 0
    assert first.date.endswith("+00:00")
    (stored,) = files(tmp_path)
    assert stored.suffix == ".json"
    assert Result.from_json(stored.read_text(encoding="utf-8")) == first


def test_config_and_data_count(run: Run) -> None:
    compute = Computer()
    run(compute)
    run(compute, Config(size=4))
    run(compute, Config(shape=(2, 1)))
    run(compute, fingerprint="g")  # all that is said of the data counts, its hash too
    assert compute.count == 4
    run(compute)
    run(compute, Config(size=4))
    assert compute.count == 4


@pytest.mark.parametrize(
    ("path", "text", "reruns"),
    [
        ("data/used.py", "x = 2\n", True),
        ("data/used.py", '"""Say."""\nx = 1  # why\n', False),
        ("data/unused.py", "x = 2\n", False),
    ],
)
def test_source_counts(run: Run, tmp_path: Path, path: str, text: str, reruns: bool) -> None:
    compute = Computer()
    run(compute)
    (tmp_path / "rnnreport" / path).write_text(text, encoding="utf-8")
    run(compute)
    assert compute.count == 1 + reruns


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_half_an_entry_is_computed_again(run: Run, tmp_path: Path, share: float) -> None:
    compute = Computer()
    first = run(compute)
    (stored,) = files(tmp_path)
    text = stored.read_text(encoding="utf-8")
    stored.write_text(text[: int(share * len(text))], encoding="utf-8")
    again = run(compute)
    assert compute.count == 2
    assert again.history == first.history
    assert run(compute) == again
    assert compute.count == 2


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"{}", b"[]", b"null", b"\x00" * 500])
def test_another_files_content_is_computed_again(run: Run, tmp_path: Path, content: bytes) -> None:
    compute = Computer()
    run(compute)
    (stored,) = files(tmp_path)
    stored.write_bytes(content)
    run(compute)
    assert compute.count == 2


def test_an_entry_with_a_wrong_field_is_computed_again(run: Run, tmp_path: Path) -> None:
    compute = Computer()
    run(compute)
    (stored,) = files(tmp_path)
    fields = json.loads(stored.read_text(encoding="utf-8"))
    stored.write_text(json.dumps(fields | {"history": None}), encoding="utf-8")
    run(compute)
    assert compute.count == 2


def test_killed_while_writing_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_handle: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            run(Computer())
    assert not files(tmp_path)
    compute = Computer()
    run(compute)
    assert compute.count == 1


def test_a_leftover_of_a_killed_writer_does_not_matter(run: Run, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "toy-0123.json.4567.tmp").write_text('{"experiment": "to')
    compute = Computer()
    assert run(compute) == run(compute)
    assert compute.count == 1


def test_a_result_may_be_read_by_whoever_may_read_other_files(run: Run, tmp_path: Path) -> None:
    run(Computer(tensors={"w": torch.ones(2)}))
    (tmp_path / "usual").touch()
    written = list((tmp_path / "store").glob("toy-*"))
    assert len(written) == 2
    usual = (tmp_path / "usual").stat().st_mode
    assert {path.stat().st_mode for path in written} == {usual}


def test_what_json_cannot_hold_is_not_stored(run: Run, tmp_path: Path) -> None:
    for loss in (float("nan"), float("inf")):
        with pytest.raises(FloatingPointError, match=rf"toy is not kept: .* is {loss}\."):
            run(Computer(loss=loss))
    assert not files(tmp_path)


def test_an_unwritable_store_is_found_out_first(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "file" / "store"))
    compute = Computer()
    with pytest.raises(OSError, match="file"):
        run(compute)
    assert compute.count == 0


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RNNREPORT_STORE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    assert store.store_folder() == tmp_path / "rnnreport" / "results"


def test_config_must_be_a_dataclass(run: Run) -> None:
    for config in ({"size": 3}, Config):
        with pytest.raises(TypeError, match="config must be an instance of a dataclass"):
            run(Computer(), config)


def test_tensors_come_back(run: Run, tmp_path: Path) -> None:
    weights = {"W": torch.arange(6.0).view(2, 3).T, "b": torch.tensor([True])}
    compute = Computer(tensors=weights)
    result = run(compute)
    assert run(compute) == result
    assert compute.count == 1
    loaded = load_tensors(result)
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)
    assert sorted(path.suffix for path in files(tmp_path)) == [
        ".json",
        ".safetensors",
    ]
    assert load_tensors(run(Computer(), Config(size=9))) == {}


def test_tensors_that_are_not_finite_are_refused(run: Run) -> None:
    weights = {"model.W": torch.ones(1), "model.model.b": torch.ones(2), "c": torch.ones(2)}
    assert weights_of(load_tensors(run(Computer(tensors=weights))), "model").keys() == {
        "W",
        "model.b",
    }
    weights["model.W"] = torch.tensor([1.0, torch.nan])
    result = run(Computer(tensors=weights), Config(size=9))
    with pytest.raises(DataFormatError, match=r"toy-.*\.safetensors: model.W holds NaN"):
        load_tensors(result)


def test_a_result_without_its_tensors_is_computed_again(run: Run, tmp_path: Path) -> None:
    compute = Computer(tensors={"W": torch.ones(3)})
    result = run(compute)
    (stored,) = (tmp_path / "store").glob("*.safetensors")
    stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"\.safetensors has changed since"):
        load_tensors(result)
    run(compute)
    stored.unlink()
    with pytest.raises(OSError, match="safetensors"):
        load_tensors(result)
    run(compute)
    assert compute.count == 3
    assert torch.equal(load_tensors(result)["W"], torch.ones(3))


class Slow(Computer):
    """Lets another thread come in while it computes."""

    def __init__(self, begun: threading.Event, go: threading.Event) -> None:
        super().__init__()
        self.begun, self.go = begun, go

    def __call__(self) -> Outcome:
        self.begun.set()
        assert self.go.wait(20)
        return super().__call__()


def test_two_at_once_compute_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path / "progress"))
    begun, go = threading.Event(), threading.Event()
    slow, other = Slow(begun, go), Computer(loss=9.0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run, slow)
        assert begun.wait(20)
        second = pool.submit(run, other)
        while not (tmp_path / "progress").exists():  # the second waits, and says so
            assert not second.done()
            time.sleep(0.01)
        go.set()
        assert first.result(20) == second.result(20)
    assert (slow.count, other.count) == (1, 0)
    message = (tmp_path / "progress").read_text(encoding="utf-8")
    assert message.startswith("waiting for another process, which computes toy-")


def test_one_that_failed_keeps_nobody_waiting(run: Run) -> None:
    with pytest.raises(FloatingPointError, match="is inf"):
        run(Computer(loss=float("inf")))
    compute = Computer()
    run(compute)
    assert compute.count == 1


def test_asking_computes_nothing(run: Run) -> None:
    assert get(asked()) is None
    compute = Computer()
    result = run(compute)
    assert get(asked()) == result
    assert get(asked(Config(size=4))) is None
    assert asked().path.is_file()
    assert asked().key == result.key
    assert compute.count == 1


def test_names_of_experiments_are_kept_apart(run: Run) -> None:
    """Two experiments with the same settings, and one whose name begins like another's."""
    run(Computer())
    other = asked(experiment="toy-train")
    assert get(other) is None
    assert get_or_compute(other, Computer()).experiment == "toy-train"
    assert [result.experiment for result in store.all_results("toy")] == ["toy"]


def test_the_latest_of_some_settings(run: Run) -> None:
    toy = functools.partial(latest, "toy", Profiled, part="text", option="size")
    with pytest.raises(
        MissingDataError, match=r"3 is stored in .*`rnnreport train text --size 3` tr"
    ):
        toy(size=3)
    with pytest.raises(MissingDataError, match=r"`rnnreport train text --size 3 --profile full`"):
        toy(profile="full", size=3)
    run(Computer(), Config())  # of another version: it has other fields
    sample = run(Computer(), Profiled())
    assert toy(size=3) == sample
    full = run(Computer(), Profiled(profile="full"))
    assert toy(size=3) == full
    assert toy(profile="sample", size=3) == sample
    with pytest.raises(MissingDataError, match="model 4 is stored"):
        toy(size=4)
