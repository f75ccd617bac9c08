"""Runs on other machines: those of a Dask cluster that is there already.

Dask hands out the runs, and does those of a worker that dies again elsewhere. Each worker has data
and a store of its own; before anything is sent, every one is asked whether it would compute the
same results: by the same code and versions, on the same data. What a run needs of earlier runs goes
with it, and its result comes back to the store of this machine. Features of photographs do not
travel: they are gigabytes, and a worker computes them once for its store.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import textwrap
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, NamedTuple, Self

import dask
from distributed import Client, Future, KilledWorker, Security, as_completed
from distributed.comm.core import connect

from rnnreport.progress import track
from rnnreport.runs import remote, store
from rnnreport.runs.engine import Chain, Job
from rnnreport.runs.store import Packed, Request

__all__ = ["Cluster", "ClusterError"]

_SECONDS = 5
"""How long the scheduler, and its first worker, may be waited for."""
_GPU = "GPU"
"""What workers that have one name it among their resources, after Dask's own example."""
_TRIES = 3
"""How often a run is begun whose process is ended from outside."""


class ClusterError(OSError):
    """A cluster does not do what it was asked for; the message says why."""


class _Known(NamedTuple):
    """A job, and what is sent of it."""

    request: Request
    words: Mapping[str, Any]


class Cluster:
    """A Dask cluster; a context manager, which leaves none of its runs behind.

    Parameters
    ----------
    address
        Of the scheduler, such as ``"tcp://10.0.0.1:8786"``.

    Raises
    ------
    ClusterError
        If no scheduler answers there within seconds, or it has no worker.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._jobs: dict[Job, _Known] = {}
        self._checked: set[tuple[str, Job]] = set()
        try:
            asyncio.run(_greet(address))
            self._client = Client(address, timeout=_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:  # the last of tls without keys
            reason = str(error).partition("\n")[0] or f"nothing in {_SECONDS} s"
            raise ClusterError(
                f"no Dask scheduler answers at {address!r} ({reason}): expected an "
                "address such as tcp://10.0.0.1:8786, which `dask scheduler` prints"
            ) from error
        try:
            self._client.wait_for_workers(1, timeout=_SECONDS)
        except TimeoutError as error:
            self._client.close()
            raise ClusterError(
                f"the Dask scheduler at {address} has no worker: `dask worker {address}` starts one"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    @property
    def count(self) -> int:
        """How many runs are done at a time: as many as the workers have threads."""
        return max(1, int(sum(self._client.nthreads().values())))

    def check(self, jobs: Sequence[Job]) -> None:
        """Ask every worker whether it would compute the same results; nothing is computed.

        Parameters
        ----------
        jobs
            The runs that are to be done.

        Raises
        ------
        ClusterError
            If one would not; the message says which one and why.
        """
        if any(map(_needs_gpu, jobs)):
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            if not any(worker["resources"].get(_GPU) for worker in workers):
                raise ClusterError(
                    f"no worker offers a GPU, which runs need: `dask worker {self._address} "
                    f"--resources {_GPU}=1` starts one that does"
                )
        asked: dict[Future[Any], list[Job]] = {}
        for worker in self._client.nthreads():
            new = [job for job in jobs if (worker, job) not in self._checked]
            if new:
                # Another one may answer: else this would wait forever for a worker that is gone.
                only: dict[str, Any] = {
                    "workers": [worker],
                    "allow_other_workers": True,
                    "priority": 10,
                }
                asked[self._submit("check", new, compute=False, **only)] = new
        errors = []
        for future, report in self._reports(asked):
            if report.error and not report.trace:
                errors.append(_sentence(report))
                continue
            _raise_error(report)
            self._checked |= {(report.worker, job) for job in asked[future]}
        if errors:
            raise ClusterError("\n".join(sorted(set(errors))))

    def run(self, chains: Sequence[Chain], *, label: str) -> None:
        """Do runs on the cluster and store their results here.

        Parameters
        ----------
        chains
            What to do, in the order in which it is begun.
        label
            What stands before the progress bar.

        Raises
        ------
        ClusterError
            If a run fails, with its worker and why; or what :meth:`check` raises. The others end
            then, and what was stored is kept.
        """
        jobs = [job for chain in chains for job in chain]
        self.check(jobs)
        carried: dict[str, Future[Any]] = {}
        sent: dict[Future[Any], Chain] = {}
        # A result may have some megabytes, of which Dask would warn.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            for chain in chains:
                needed = [result for job in chain for result in store.basis(self._of(job).request)]
                for result in needed:
                    if result.key not in carried:
                        name = f"{result.experiment}-carried-{uuid.uuid4().hex}"
                        files = tuple(store.pack(result))
                        carried[result.key] = self._client.submit(tuple, files, key=name)
                files_of = [carried[key] for key in dict.fromkeys(each.key for each in needed)]
                name = self._of(chain[0]).request.experiment
                sent[self._submit(name, chain, files_of, compute=True)] = chain
        for _ in track(self._done(sent), f"{label}, {len(jobs)} runs", total=len(jobs)):
            pass

    def _done(self, sent: Mapping[Future[Any], Chain]) -> Iterator[None]:
        """Store results as they come in, and yield for each."""
        for _, report in self._reports(sent):
            _raise_error(report)
            for files in report.results:
                store.keep(Packed(*files))
                yield

    def _submit(
        self,
        name: str,
        jobs: Sequence[Job],
        carried: Sequence[Future[Any]] = (),
        *,
        compute: bool,
        **options: Any,
    ) -> Future[Any]:
        if compute and any(map(_needs_gpu, jobs)):
            options["resources"] = {_GPU: 1}  # what needs a GPU has it for itself
        task = {
            "compute": compute,
            "versions": remote.versions(),
            "jobs": [self._of(job).words for job in jobs],
        }
        return self._client.submit(
            remote.work,
            json.dumps(task),
            list(carried),
            key=f"{name}-{uuid.uuid4().hex}",
            retries=_TRIES - 1,
            **options,
        )

    def _reports(
        self, sent: Mapping[Future[Any], Sequence[Job]]
    ) -> Iterator[tuple[Future[Any], remote.Report]]:
        """Yield what the workers send back; whatever happens, nothing goes on there after that."""
        try:
            for future in as_completed(list(sent), loop=self._client.loop):
                name = self._of(sent[future][0]).words["name"]
                try:
                    report = future.result()
                except KilledWorker as error:
                    raise ClusterError(
                        f"{name}: {error.allowed_failures + 1} workers died of it in turn, the "
                        f"last one {error.last_worker.address}, most often for lack of memory"
                    ) from error
                except remote.Ended as error:
                    raise ClusterError(f"{name}: {error}") from error
                except CancelledError as error:
                    raise ClusterError(
                        f"the Dask scheduler at {self._address} is gone, or has dropped the runs"
                    ) from error
                yield future, report
        finally:
            for future in sent:
                future.release()

    def _of(self, job: Job) -> _Known:
        """Return what is known of a job: its request looks at all files of its data."""
        if job not in self._jobs:
            experiment = job.run.__module__
            request = importlib.import_module(experiment).request(job.config)
            name = textwrap.shorten(f"{request.experiment}, {job.config!r}", 160, placeholder=" …")
            words = {
                "experiment": experiment,
                "config": remote.plain(job.config),
                "request": remote.describe(request),
                "name": name,
            }
            self._jobs[job] = _Known(request, words)
        return self._jobs[job]


def _needs_gpu(job: Job) -> bool:
    return bool(getattr(job.config, "device", "cpu") != "cpu")


def _sentence(report: remote.Report) -> str:
    return f"on the worker {report.worker}: {report.error}"


def _raise_error(report: remote.Report) -> None:
    if report.trace:  # a mistake of ours, which is shown as where runs are done here
        error = RuntimeError(_sentence(report))
        error.add_note(report.trace)
        raise error
    if report.error:
        raise ClusterError(_sentence(report))


async def _greet(address: str) -> None:
    """Connect to Dask, since a client would wait forever for another server's greeting."""
    options = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, timeout=_SECONDS, **options), _SECONDS + 1)
    await comm.close()
