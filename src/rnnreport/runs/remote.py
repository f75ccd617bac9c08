"""Runs on a worker of a Dask cluster, as :mod:`rnnreport.runs.cluster` sends them.

The worker itself computes nothing and loads no PyTorch: each chain of runs has a process of its
own. So runs of a worker with several threads do not meet, all of them know the code as it is now,
and a run ends at once when nobody waits for it any more, which a thread could not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from distributed import Worker

    from rnnreport.runs.store import Packed, Request

__all__ = ["Ended", "Report", "plain", "work"]

_KIND = "kind"
_POLL = 0.2
"""Seconds between two looks at whether anybody still waits for a run."""
_TASK, _ERROR = "task.json", "error.json"
_SAME_CODE = "install there the rnnreport that is installed here"


class Ended(Exception):
    """A process that did runs was ended from outside."""


class Report(NamedTuple):
    """What a worker sends back.

    Attributes
    ----------
    worker
        Its address.
    results
        The text and the tensors of each result.
    error
        What went wrong, in words; empty where nothing did.
    trace
        Where that is a mistake of the code, its traceback.
    """

    worker: str
    results: tuple[tuple[bytes, bytes], ...] = ()
    error: str = ""
    trace: str = ""


def plain(value: Any) -> Any:
    """Return a configuration as something that JSON can hold.

    Raises
    ------
    TypeError
        If there is anything in it but numbers, texts, tuples, named or not, and dataclasses.
    """
    kind, names = type(value), getattr(value, "_fields", None)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
    if names is not None:
        fields = {name: plain(getattr(value, name)) for name in names}
        return {_KIND: [kind.__module__, kind.__qualname__], "fields": fields}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(
        "a configuration for a cluster must consist of numbers, texts, tuples and dataclasses, "
        f"got {value!r}"
    )


def _built(value: Any) -> Any:
    """Return the configuration that :func:`plain` was given."""
    if isinstance(value, dict):
        module, name = value[_KIND]
        kind = getattr(importlib.import_module(module), name)
        return kind(**{name: _built(each) for name, each in value["fields"].items()})
    return tuple(map(_built, value)) if isinstance(value, list) else value


def work(task: str, carried: Sequence[tuple[bytes, bytes]]) -> Report:
    """Do a task in a process of its own, which ends with this one or when nobody waits for it.

    Parameters
    ----------
    task
        What to do, from :class:`rnnreport.runs.cluster.Cluster`, as JSON.
    carried
        The text and the tensors of each result that it needs.

    Returns
    -------
    Report
        What came of it, also where that is an error of its own.

    Raises
    ------
    Ended
        If the process is ended from outside: whoever asked may have it done again.
    """
    from distributed import get_worker

    worker = get_worker()
    # Bars would be drawn into the worker's log. More threads than one would only wait for others.
    environment = os.environ | {"RNNREPORT_PROGRESS": os.devnull, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="rnnreport-", dir=worker.local_directory) as name:
        folder = Path(name)
        (folder / _TASK).write_text(task, encoding="utf-8")
        _write(folder / "carried", carried)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, name], stdin=subprocess.PIPE, env=environment
        )
        with process:  # closes its standard input, too
            try:
                _wait(process, worker)
            finally:
                process.kill()
        if process.returncode == 0:
            return Report(worker.address, tuple(_read(folder / "results")))
        try:
            text = (folder / _ERROR).read_text(encoding="utf-8")
        except OSError:
            raise Ended(
                f"a process that did runs on {worker.address} was ended from outside "
                f"(status {process.returncode}), most often for lack of memory"
            ) from None
        return Report(worker.address, **json.loads(text))


def _wait(process: subprocess.Popen[bytes], worker: Worker) -> None:
    """Wait for the end of a process, as long as the scheduler wants this thread's task."""
    key = worker.get_current_task()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL)
            return
        task = worker.state.tasks.get(key)
        wanted = task is not None and task.state in ("executing", "long-running")
        if not wanted or worker.status.name in ("closing", "closed", "failed"):
            return


def _write(folder: Path, results: Sequence[tuple[bytes, bytes]]) -> None:
    folder.mkdir()
    for number, (text, tensors) in enumerate(results):
        (folder / f"{number}.json").write_bytes(text)
        (folder / f"{number}.safetensors").write_bytes(tensors)


def _read(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    for number in range(len(list(folder.glob("*.json")))):
        yield (
            (folder / f"{number}.json").read_bytes(),
            (folder / f"{number}.safetensors").read_bytes(),
        )


class _Difference(Exception):
    """What is here would compute something else than what was asked for."""


def _main(folder: Path) -> int:
    """Do the task of a folder, in the process that was made for it; return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    from rnnreport.data.assets import DataFormatError, SettingError

    try:
        _do(folder)
    except Exception as error:
        expected = OSError, MemoryError, FloatingPointError, DataFormatError, SettingError
        is_mistake = not isinstance(error, (_Difference, *expected))
        words = {
            "error": str(error) or type(error).__name__,
            "trace": traceback.format_exc() if is_mistake else "",
        }
        (folder / _ERROR).write_text(json.dumps(words), encoding="utf-8")
        return 1
    return 0


def _end_with_the_worker() -> None:
    """End this process when the worker closes its standard input or dies."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(2)


def _do(folder: Path) -> None:
    from rnnreport.runs import store

    task = json.loads((folder / _TASK).read_text(encoding="utf-8"))
    here = versions()
    others = [
        f"{name} is {here.get(name, 'missing')} and not {version}"
        for name, version in task["versions"].items()
        if here.get(name) != version
    ]
    if others:
        raise _Difference(f"{', '.join(others)}: install there what is installed here")
    jobs = [_asked(job) for job in task["jobs"]]
    results: list[Packed] = []
    if task["compute"]:
        for files in _read(folder / "carried"):
            store.keep(store.Packed(*files))
        results = [store.pack(experiment.run(config)) for experiment, config in jobs]
    _write(folder / "results", results)


def versions() -> dict[str, str]:
    """Return the versions that may decide the last bit of a result."""
    from importlib import metadata

    from rnnreport.runs import store

    compiled = "none"
    with contextlib.suppress(metadata.PackageNotFoundError):
        compiled = metadata.version("numba")
    return {**store.versions(), "numba": compiled}


def describe(request: Request) -> dict[str, Any]:
    """Return what decides the key of a request, to be compared where it would be computed."""
    from rnnreport.runs.definitions import code_fingerprint

    data = json.loads(json.dumps(dict(request.data)))
    return {
        "key": request.key,
        "code": code_fingerprint(request.module, "run"),
        "data": data,
    }


def _asked(job: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the experiment and the configuration of a job, if it would be the same run here."""
    try:
        experiment = importlib.import_module(job["experiment"])
        config = _built(job["config"])
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise _Difference(f"rnnreport is another one ({error}): {_SAME_CODE}") from error
    here, wanted = describe(experiment.request(config)), job["request"]
    if here["code"] != wanted["code"]:
        raise _Difference(f"other code would compute {job['name']}: {_SAME_CODE}")
    if here["key"] != wanted["key"]:
        of_it = here["data"], wanted["data"]
        others = [
            f"{name} is {of_it[0].get(name)!r} and not {of_it[1].get(name)!r}"
            for name in sorted({*of_it[0], *of_it[1]})
            if of_it[0].get(name) != of_it[1].get(name)
        ]
        raise _Difference(
            f"the data for {job['name']} is other data ({'; '.join(others)}): put there what is "
            "here. RNNREPORT_DATA names its folder, set where the worker is started"
        )
    return experiment, config


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
