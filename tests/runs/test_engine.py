"""Runs side by side; what they compute is tested with the experiments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pytest
import torch

from rnnreport.runs import engine
from rnnreport.runs.engine import Job, run_chains


@dataclass(frozen=True)
class Mark:
    path: Path
    device: str = "cpu"


def leave_a_mark(config: Mark) -> Any:
    """Stands for a run: notes the process that it ran in, and what it finds there."""
    progress = os.environ.get("RNNREPORT_PROGRESS")
    mark = f"{os.getpid()} {torch.get_num_threads()} {progress} {os.environ['RNNREPORT_STORE']}"
    config.path.write_text(mark, encoding="utf-8")


def fail(config: Mark) -> Any:
    raise FloatingPointError(f"the loss of {config.path.name} is not finite")


def sleep(config: Mark) -> Any:
    leave_a_mark(config)
    time.sleep(60)


def test_runs_have_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path / "progress"))
    for store in ("one", "two"):  # the processes live on; the settings are those of the call
        monkeypatch.setenv("RNNREPORT_STORE", store)
        paths = [tmp_path / name for name in "abcd"]
        run_chains([[Job(leave_a_mark, Mark(path))] for path in paths], label="marks", workers=2)
        marks = [path.read_text(encoding="utf-8").split(" ") for path in paths]
        assert str(os.getpid()) not in {process for process, *_ in marks}
        assert len({process for process, *_ in marks}) <= 2
        assert {tuple(rest) for _, *rest in marks} == {("1", os.devnull, store)}
    assert "marks, 4 runs" in (tmp_path / "progress").read_text(encoding="utf-8")


@pytest.mark.parametrize(("device", "workers"), [("cpu", 1), ("cuda", 4)])
def test_one_worker_is_this_process(
    device: str, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that share a GPU stay in this process too, whatever the number of workers."""
    monkeypatch.setenv("RNNREPORT_STORE", "here")
    monkeypatch.setenv("RNNREPORT_PROGRESS", os.devnull)
    threads = torch.get_num_threads()
    marks = [Mark(tmp_path / name, device) for name in "ab"]
    run_chains([[Job(leave_a_mark, mark)] for mark in marks], label="marks", workers=workers)
    assert torch.get_num_threads() == threads
    for mark in marks:
        expected = f"{os.getpid()} 1 {os.devnull} here"
        assert mark.path.read_text(encoding="utf-8") == expected
    run_chains([], label="nothing", workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_run_ends_the_others(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNREPORT_STORE", "here")
    begin = time.monotonic()
    jobs = [Job(leave_a_mark, Mark(tmp_path / "a")), Job(fail, Mark(tmp_path / "b"))]
    jobs += [Job(sleep, Mark(tmp_path / f"c{number}")) for number in range(4)]
    with pytest.raises(FloatingPointError, match="the loss of b"):
        run_chains([[job] for job in jobs], label="marks", workers=workers)
    assert (tmp_path / "a").is_file()
    assert len(list(tmp_path.glob("c*"))) <= 2
    assert time.monotonic() - begin < 30


def note_what_is_there(config: Mark) -> Any:
    before = sorted(file.name for file in config.path.parent.iterdir())
    config.path.write_text(f"{os.getpid()} {' '.join(before)}", encoding="utf-8")


def test_a_chain_keeps_its_order_and_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path.with_suffix(".txt")))
    chain = [Job(note_what_is_there, Mark(tmp_path / name)) for name in ("zero", "one", "two")]
    alone = [Job(note_what_is_there, Mark(tmp_path / "alone"))]
    run_chains([chain, alone], label="marks", workers=2)
    marks = [job.config.path.read_text(encoding="utf-8").split(" ") for job in chain]
    assert len({process for process, *_ in marks}) == 1
    for number, (_, *before) in enumerate(marks):
        assert {"zero", "one", "two"} & set(before) == set(("zero", "one", "two")[:number])
    assert "marks, 4 runs: 100%" in tmp_path.with_suffix(".txt").read_text(encoding="utf-8")


_PARENT = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run where it is ignored
sys.path.insert(0, sys.argv[1])
from test_engine import Job, Mark, run_chains, sleep
if __name__ == "__main__":
    folder = Path(sys.argv[2])
    run_chains([[Job(sleep, Mark(folder / name))] for name in "ab"], label="sleep", workers=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGKILL])
def test_all_processes_end_with_the_first(ended_by: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C reaches all of them; of a kill they have to find out."""
    script = [sys.executable, "-c", _PARENT, str(Path(__file__).parent), str(tmp_path)]
    environment = os.environ | {
        "RNNREPORT_STORE": "here",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    process = subprocess.Popen(
        script, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )
    marks = [tmp_path / name for name in "ab"]
    _wait(lambda: all(mark.is_file() and mark.read_text() for mark in marks), 60)
    workers = [int(mark.read_text().split(" ")[0]) for mark in marks]
    if ended_by == signal.SIGINT:
        os.killpg(process.pid, ended_by)
    else:
        process.send_signal(ended_by)
    assert process.wait(timeout=30) != 0
    _wait(lambda: not any(_is_alive(worker) for worker in workers), 30)


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except OSError:
        return False
    return state.split()[0] != "Z"


def _wait(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.05)


def test_the_number_of_workers_is_that_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(engine, "_BACKEND", "threading")
    pool = engine._pool

    def watched(workers: int) -> Any:
        asked.append(workers)
        return pool(workers)

    monkeypatch.setattr(engine, "_pool", watched)
    ran: list[int] = []
    for count in (2, 50):
        run_chains([[Job(ran.append, number)] for number in range(count)], label="numbers")
    assert sorted(ran) == sorted([*range(2), *range(50)])
    cores = joblib.cpu_count()
    assert asked == [workers for workers in (min(2, cores), min(50, cores)) if workers > 1]
