"""The engine: runs side by side, each in a process of its own on one core.

joblib starts the processes, hands out the runs and ends them all at the first failure or at
Ctrl-C; what was stored by then is kept. Other machines do the same where they are given in place
of a number of processes: :class:`rnnreport.runs.cluster.Cluster`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import joblib

from rnnreport.progress import track
from rnnreport.runs import store
from rnnreport.runs.store import Request, Result, one_thread

__all__ = ["Chain", "Experiment", "Job", "Machines", "Workers", "count", "results", "run_chains"]


class Experiment(Protocol):
    """The interface of an experiment's module."""

    __name__: str

    @property
    def request(self) -> Callable[[Any], Request]:
        """Return the request for a configuration's result."""

    @property
    def run(self) -> Callable[[Any], Result]:
        """Compute that result, or return the stored one."""


class Job(NamedTuple):
    """A run that is to be done.

    Attributes
    ----------
    run : callable
        A function at the top level of a module, which other processes can call.
    config : object
        Its configuration.
    """

    run: Callable[[Any], Any]
    config: Any


Chain = Sequence[Job]
"""Runs that follow each other in one process, which remembers what they share."""


class Machines(Protocol):
    """Other machines that do runs."""

    @property
    def count(self) -> int:
        """How many runs they do at a time."""

    def check(self, jobs: Sequence[Job]) -> None:
        """Raise an ``OSError`` unless they would give the same results as this machine."""

    def run(self, chains: Sequence[Chain], *, label: str) -> None:
        """Do runs and store their results here."""


Workers: TypeAlias = int | Machines | None
"""Who does runs: so many processes of this machine, as many as it has cores, or other machines."""


def count(workers: Workers) -> int:
    """Return how many runs are done at a time."""
    if workers is None:
        return int(joblib.cpu_count())
    return workers if isinstance(workers, int) else workers.count


def results(
    experiment: Experiment, configs: Sequence[Any], *, label: str, workers: Workers = None
) -> list[Result]:
    """Do the runs that have no result yet, and return all results.

    Parameters
    ----------
    experiment
        The module of the experiment.
    configs
        What to do.
    label
        What stands before the progress bar.
    workers
        Who does them.

    Returns
    -------
    list of Result
        In the order of `configs`.

    Raises
    ------
    Exception
        What the first run raises that fails.
    """
    stored = [store.get(experiment.request(config)) for config in configs]
    missing = [c for c, result in zip(configs, stored, strict=True) if result is None]
    run_chains([[Job(experiment.run, config)] for config in missing], label=label, workers=workers)
    return [
        result or experiment.run(config) for config, result in zip(configs, stored, strict=True)
    ]


def run_chains(chains: Sequence[Chain], *, label: str, workers: Workers = None) -> None:
    """Do runs side by side. Each computes in one thread, so that their number changes no bit.

    Parameters
    ----------
    chains
        What to do, in the order in which it is begun; what needs a GPU goes one by one.
    label
        What stands before the progress bar.
    workers
        Who does them.

    Raises
    ------
    Exception
        What the first run raises that fails; the others end then.
    """
    jobs = [job for chain in chains for job in chain]
    if not isinstance(workers, int | None):
        workers.run(chains, label=label)
        return
    on_cpu = all(getattr(job.config, "device", "cpu") == "cpu" for job in jobs)
    workers = min(count(workers), len(chains)) if on_cpu else 1
    if workers <= 1:
        with one_thread():
            for job in jobs:
                job.run(job.config)
        return
    settings = {name: value for name, value in os.environ.items() if name.startswith("RNNREPORT_")}
    settings["RNNREPORT_PROGRESS"] = os.devnull  # this process alone draws a bar
    tasks = (joblib.delayed(_work)(chain, settings, os.getpid()) for chain in chains)
    with _pool(workers) as pool:
        finished = (None for length in pool(tasks) for _ in range(length))
        for _ in track(finished, f"{label}, {len(jobs)} runs", total=len(jobs)):
            pass


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[joblib.Parallel]:
    """Open processes on this machine."""
    threads = {"inner_max_num_threads": 1} if _BACKEND == "loky" else {}
    with warnings.catch_warnings(), joblib.parallel_config(_BACKEND, **threads):
        # A process that holds much memory after a run is replaced by a fresh one: no harm in that.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        yield joblib.Parallel(
            workers, return_as="generator_unordered", batch_size=1, pre_dispatch="all"
        )


_BACKEND = "loky"


def _work(chain: Chain, settings: Mapping[str, str], parent: int) -> int:
    """Do runs in a worker, which may have been started under other settings; count them."""
    for name in [name for name in os.environ if name.startswith("RNNREPORT_")]:
        if name not in settings:
            del os.environ[name]
    os.environ.update(settings)
    _end_with(parent)
    with one_thread():
        for job in chain:
            job.run(job.config)
    return len(chain)


_WATCHED: set[int] = set()


def _end_with(parent: int) -> None:
    """End this process when the one that started it ends, however it does."""
    if os.getppid() != parent or parent in _WATCHED:
        return
    _WATCHED.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
