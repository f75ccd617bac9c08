"""The progress of runs side by side; the runs themselves are tested with the experiments."""

from __future__ import annotations

import queue
from concurrent.futures import Future

import pytest

from rnnreport.experiments import side_by_side
from rnnreport.experiments.store import Result


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
