"""Runs side by side and their progress; the runs themselves are tested with the experiments."""

from __future__ import annotations

import os
import queue
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from rnnreport.runs import engine as side_by_side
from rnnreport.runs.store import Result


@pytest.mark.parametrize("failed", [0, 1])
def test_a_failed_run_ends_the_waiting_for_the_others(failed: int) -> None:
    """Although they still tell of their epochs, and would for long."""
    ticks: queue.Queue[None] = queue.Queue()
    futures: list[Future[Result]] = [Future(), Future()]
    arriving = side_by_side._arriving(ticks, futures)
    for _ in range(50):
        ticks.put(None)
    assert next(arriving, "end") is None
    futures[failed].set_exception(FloatingPointError())
    assert next(arriving, "end") == "end"


def test_every_epoch_of_runs_that_are_over_is_told() -> None:
    ticks: queue.Queue[None] = queue.Queue()
    futures: list[Future[Result]] = [Future(), Future()]
    arriving = side_by_side._arriving(ticks, futures)
    for future in futures:
        for _ in range(3):
            ticks.put(None)
        assert next(arriving, "end") is None
        future.set_result(None)  # type: ignore[arg-type]
    assert list(arriving) == 4 * [None]


def leave_a_mark(path: Path) -> Any:
    """Stands for a run: leaves the process that it ran in, and what it would be told there."""
    before = sorted(file.name for file in path.parent.iterdir())
    path.write_text(f"{os.getpid()} {os.environ['RNNREPORT_PROGRESS']} {before}", encoding="utf-8")


def fail(path: Path) -> Any:
    raise FloatingPointError(f"the loss of {path.name} is not finite")


def test_chains_keep_their_order_and_their_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path / "progress"))
    folder = tmp_path / "runs"
    folder.mkdir()
    chain = [(leave_a_mark, folder / name) for name in ("first", "second", "third")]
    side_by_side.run_chains([chain, [(leave_a_mark, folder / "alone")]], label="marks", workers=2)
    marks = [(folder / name).read_text().split(" ", 2) for name in ("first", "second", "third")]
    assert len({process for process, _, _ in marks}) == 1
    assert marks[0][0] != str(os.getpid())
    assert "first" not in marks[0][2]
    assert "first" in marks[1][2]
    assert "second" in marks[2][2]
    assert {progress for _, progress, _ in marks} == {os.devnull}  # the parent draws the bar
    assert "marks, 4 runs" in (tmp_path / "progress").read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_in_a_chain_ends_it(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = [(leave_a_mark, tmp_path / "a"), (fail, tmp_path / "b"), (leave_a_mark, tmp_path / "c")]
    monkeypatch.setenv("RNNREPORT_PROGRESS", os.devnull)
    with pytest.raises(FloatingPointError, match="the loss of b"):
        side_by_side.run_chains([chain] * workers, label="marks", workers=workers)
    assert (tmp_path / "a").is_file()
    assert not (tmp_path / "c").exists()
