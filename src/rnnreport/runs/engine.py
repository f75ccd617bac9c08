"""Runs side by side, each in a process of its own on one core."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Protocol, TypeVar

import torch

from rnnreport.progress import track
from rnnreport.runs.store import Result

__all__ = ["Chain", "Epochs", "run_chains", "run_missing"]


class _Run(Protocol):
    """The configuration of a run."""

    @property
    def epochs(self) -> int: ...

    @property
    def device(self) -> str: ...


Config = TypeVar("Config", bound=_Run)
Epochs = Callable[[Config], Iterable[int]]
"""Gives a run its epochs, from 1 on, and tells somebody how far it is."""
Chain = Sequence[tuple[Callable[[Any], Result], Any]]
"""Runs that follow each other in one process: what does each, and its configuration."""


def run_missing(
    run: Callable[[Config, Epochs[Config]], Result],
    configs: Sequence[Config],
    known: Sequence[Result | None],
    *,
    label: str,
    bar: Epochs[Config],
    workers: int | None = None,
) -> list[Result]:
    """Do the runs that have no result yet.

    Parameters
    ----------
    run
        Does one run and stores its result, or gives back the stored one; a function at the top
        level of a module, which processes can be told to call.
    configs
        What to do.
    known
        For each the result that is already there, or None.
    label
        What stands before the progress bar of all runs.
    bar
        The epochs of a run that is alone.
    workers
        How many processes; as many as there are cores if not given.

    Returns
    -------
    list of Result
        In the order of `configs`.

    Raises
    ------
    Exception
        What `run` raises in the first run that fails; the others end then.
    """
    missing = [c for c, result in zip(configs, known, strict=True) if result is None]
    workers = min(workers or _cores(), len(missing))
    if workers > 1 and all(config.device == "cpu" for config in missing):
        jobs = [(run, config, _tell) for config in missing]
        total = sum(config.epochs for config in missing)
        _side_by_side(jobs, f"{label}, {len(jobs)} runs", total, workers)
    return [
        run(config, bar) if result is None else result
        for config, result in zip(configs, known, strict=True)
    ]


def run_chains(chains: Sequence[Chain], *, label: str, workers: int | None = None) -> None:
    """Do chains of runs side by side; their results are stored.

    Parameters
    ----------
    chains
        What to do. What does a run is a function at the top level of a module.
    label
        What stands before the progress bar of all runs.
    workers
        How many processes; as many as there are cores if not given.

    Raises
    ------
    Exception
        What a run raises; the others end then.
    """
    workers = min(workers or _cores(), len(chains))
    if workers > 1:
        total = sum(map(len, chains))
        _side_by_side(
            [(_do, chain, _tick) for chain in chains], f"{label}, {total} runs", total, workers
        )
        return
    for chain in chains:
        _do(chain, lambda: None)


def _do(chain: Chain, tell: Callable[[], None]) -> None:
    for run, config in chain:
        run(config)
        tell()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_TICKS: Any = None  # in a worker: where it tells how far it is


def _side_by_side(
    jobs: Sequence[tuple[Callable[[Any, Any], Any], Any, Any]],
    label: str,
    total: int,
    workers: int,
) -> None:
    """Call functions with what each is given, in processes that tell of `total` steps in all."""
    # Spawned and not forked: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    ticks = context.Queue()
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, _start_worker, (ticks,)) as pool:
        try:
            futures = [pool.submit(do, given, tell) for do, given, tell in jobs]
            told = track(_arriving(ticks, futures), label, total=total)
            for _ in told:
                pass
            for future in futures:
                future.result()
        except BaseException:
            # An error or Ctrl-C ends all of it now: what is stored by then is not lost.
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
                child.join()
            raise


def _start_worker(ticks: Any) -> None:
    global _TICKS
    _TICKS = ticks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(1)  # the workers share the cores
    os.environ["RNNREPORT_PROGRESS"] = os.devnull  # the parent alone draws a bar
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it ends, however it does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _tell(config: _Run) -> Iterator[int]:
    for epoch in range(1, config.epochs + 1):
        yield epoch
        _tick()


def _tick() -> None:
    _TICKS.put(None)


def _arriving(ticks: Any, futures: Sequence[Future[Any]]) -> Iterator[None]:
    """Yield for every tick, until all runs are over or one has failed."""
    while not all(future.done() for future in futures):
        if any(future.done() and future.exception() for future in futures):
            return
        with contextlib.suppress(queue.Empty):
            yield ticks.get(timeout=0.5)
    while not ticks.empty():
        yield ticks.get()
