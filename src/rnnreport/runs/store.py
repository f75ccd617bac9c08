"""Results and where they are kept.

A :class:`Request` says which result is wanted, and under which key it stands: a hash of everything
that decides it, the configuration, the data, and the definitions of this package that compute it
(:mod:`rnnreport.runs.definitions`). Whatever of these changes, the experiment runs again;
otherwise the stored result is given back. Several processes may use a store at once: what one of
them computes, the others wait for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import safetensors.torch
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from rnnreport._files import check_writable, store_folder, write_whole
from rnnreport.data.assets import NEEDS, MissingDataError, find
from rnnreport.data.weights import check_finite
from rnnreport.names import TRAINING_TIMES
from rnnreport.progress import say
from rnnreport.runs.definitions import definitions, hash_of

__all__ = [
    "Outcome",
    "Packed",
    "Request",
    "Result",
    "all_results",
    "basis",
    "describe_device",
    "get",
    "get_or_compute",
    "keep",
    "latest",
    "load_tensors",
    "locked",
    "mean_history",
    "one_thread",
    "pack",
    "store_folder",
    "versions",
    "weights_of",
]

Json = Any  # what json.loads returns

_REMEDY = "results are kept there; RNNREPORT_STORE names another folder"

_LIBRARIES = ("h5py", "numpy", "pillow", "pycocoevalcap", "rnnreport", "torch", "torchvision")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of an experiment itself; the store adds the rest of a :class:`Result`.

    Attributes
    ----------
    history
        Series of numbers, such as the loss of each iteration.
    metrics
        Single numbers.
    details
        Anything else that JSON can hold, such as captions.
    tensors
        What a trained model consists of, by name; kept in a file of its own.
    """

    history: dict[str, list[float]]
    metrics: dict[str, float]
    details: dict[str, Json]
    tensors: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Request:
    """All that decides a result. Neither making one nor its key runs an experiment.

    Attributes
    ----------
    experiment
        The experiment's name.
    module
        The full name of the module whose ``run`` computes the result; what that rests on counts.
    config
        The configuration, an instance of a dataclass.
    data
        What the experiment runs on, in words, numbers and hashes; all of it counts. ``name`` and
        ``amount`` say what it is and how much, ``fingerprint`` is a hash of it. What rests on
        another result holds the key of its request.
    seeds
        All seeds, by their use.
    device
        From :func:`describe_device`.
    """

    experiment: str
    module: str
    config: object
    data: Mapping[str, Json]
    seeds: Mapping[str, int]
    device: str

    @cached_property
    def key(self) -> str:
        """The key of the result: a SHA-256 in hexadecimal digits."""
        code = definitions(self.module, "run")
        return hash_of({"config": _as_dict(self.config), "data": dict(self.data), "code": code})

    @property
    def path(self) -> Path:
        """The file of the result, which need not exist."""
        return _path(self.experiment, self.key)


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of an experiment: plain data, the same whether just computed or stored.

    Attributes
    ----------
    experiment
        The experiment's name.
    key
        What it is stored under; a hash of all that decides it.
    config
        The configuration that it ran with; ``profile`` is ``full`` or ``sample``.
    data
        What it ran on, in words and numbers; ``fingerprint`` is a hash of it.
    versions
        Of Python and the libraries.
    device
        What it ran on.
    seeds
        All seeds, by their use.
    history
        Series of numbers, such as the loss of each iteration.
    metrics
        Single numbers.
    details
        Anything else, such as captions.
    tensors
        The SHA-256 of the file of its tensors, which :func:`load_tensors` reads; empty where it
        has none.
    wall_time
        Seconds that it took.
    date
        When it ended, in UTC, as ISO 8601.
    """

    experiment: str
    key: str
    config: dict[str, Json]
    data: dict[str, Json]
    versions: dict[str, str]
    device: str
    seeds: dict[str, int]
    history: dict[str, list[float]]
    metrics: dict[str, float]
    details: dict[str, Json]
    tensors: str
    wall_time: float
    date: str

    def to_json(self) -> str:
        """Return the result as JSON text.

        Raises
        ------
        ValueError
            If a number is not finite.
        """
        return json.dumps(dataclasses.asdict(self), allow_nan=False, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read a result back.

        Parameters
        ----------
        text
            From :meth:`to_json`.

        Raises
        ------
        ValueError
            If the text is not JSON or does not hold a result.
        """
        values = json.loads(text)
        kinds = get_type_hints(cls)
        if not isinstance(values, dict) or values.keys() != kinds.keys():
            raise ValueError("not a result: other fields than a result's")
        for name, kind in kinds.items():
            if not isinstance(values[name], getattr(kind, "__origin__", kind)):
                raise ValueError(f"not a result: {name} is a {type(values[name]).__name__}")
        return cls(**values)


class Packed(NamedTuple):
    """A stored result as it travels to another store: the bytes of its files."""

    text: bytes
    tensors: bytes


def get(request: Request) -> Result | None:
    """Return the stored result that is asked for; None where there is none that is still valid.

    Parameters
    ----------
    request
        What is asked for.
    """
    result = _read(request.path)
    return result if result is not None and _has_tensors(result, request.path) else None


def get_or_compute(request: Request, compute: Callable[[], Outcome]) -> Result:
    """Give back the stored result that is asked for, or compute and store it.

    On a CPU it is computed in one thread, so that its bits depend on nothing else.

    Parameters
    ----------
    request
        What is asked for.
    compute
        Runs the experiment.

    Returns
    -------
    Result
        The result, stored.

    Raises
    ------
    OSError
        If the result cannot be written; this is found out before anything is computed.
    """
    result = get(request)
    if result is not None:
        return result
    check_writable(store_folder(), _REMEDY)
    with locked(request.path):
        # While this process waited, another one may have computed it.
        return get(request) or _computed(request, compute)


def all_results(experiment: str) -> list[Result]:
    """Return all results of an experiment that are stored, of whatever code and data.

    Parameters
    ----------
    experiment
        Its name.

    Returns
    -------
    list of Result
        The latest first.
    """
    stored = {path: _read(path) for path in store_folder().glob(f"{experiment}-*.json")}
    whole = [
        result
        for path, result in stored.items()
        if result is not None and result.experiment == experiment and _has_tensors(result, path)
    ]
    return sorted(whole, key=lambda result: result.date, reverse=True)


def latest(
    experiment: str,
    config: type,
    *,
    part: str,
    option: str,
    profile: str = "auto",
    **settings: Json,
) -> Result:
    """Return the latest stored result of an experiment with some settings, whatever the others.

    Parameters
    ----------
    experiment
        Its name.
    config
        The dataclass of its configurations; results of another version of it are passed over.
    part, option
        What ``rnnreport train`` takes to train such a model: the part, and the option that names
        the model.
    profile
        On which data; with ``"auto"`` on real data if there is such a result.
    **settings
        Values that the configuration must have; the first one names the model.

    Raises
    ------
    MissingDataError
        If none is stored.
    """
    names = {field.name for field in dataclasses.fields(config)}
    fitting = [
        result
        for result in all_results(experiment)
        if result.config.keys() == names
        and all(result.config[name] == value for name, value in settings.items())
        and profile in ("auto", result.config["profile"])
    ]
    if not fitting:
        model = next(iter(settings.values()))
        on = "" if profile == "auto" else f" --profile {profile}"
        raise MissingDataError(
            f"no trained model {model!r} is stored in {store_folder()}: `rnnreport train {part} "
            f"--{option} {model}{on}` trains it{_outlook(part, profile)}"
        )
    return min(fitting, key=lambda result: result.config["profile"] != "full")


def _outlook(part: str, profile: str) -> str:
    """Say how long the training takes, on which data, and what a real answer needs."""
    on_sample, on_real = TRAINING_TIMES[part]
    missing = [name for name in NEEDS[part] if find(name) is None]
    if profile != "sample" and not missing:
        return f", on real data, in about {on_real}"
    fetch = f"get the real data first: `rnnreport data fetch {' '.join(missing)}`"
    if profile == "full":
        return f"; {fetch}"
    real = fetch if missing else f"add --profile full (about {on_real})"
    return (
        f", in about {on_sample}, on generated samples: what it then says of real "
        f"data means little. For a real answer {real}"
    )


def basis(request: Request) -> list[Result]:
    """Return the stored results that a request rests on, and those that they rest on.

    Parameters
    ----------
    request
        What is asked for; its data holds the keys of such results.
    """
    found: dict[str, Result] = {}
    pending = list(request.data.values())
    while pending:
        key = pending.pop()
        if not isinstance(key, str) or key in found or not re.fullmatch("[0-9a-f]{64}", key):
            continue
        for path in store_folder().glob(f"*-{key[:20]}.json"):
            result = _read(path)
            if result is not None and result.key == key and _has_tensors(result, path):
                found[key] = result
                pending += result.data.values()
    return list(found.values())


def pack(result: Result) -> Packed:
    """Read the files of a result that is stored.

    Raises
    ------
    OSError
        If a file is gone.
    """
    path = _path(result.experiment, result.key)
    return Packed(path.read_bytes(), _tensors(path).read_bytes() if result.tensors else b"")


def keep(packed: Packed) -> Result:
    """Write a result of another store into this one, unless it is there; return it.

    Raises
    ------
    ValueError
        If it is not a result, or the tensors are not its own.
    OSError
        If it cannot be written.
    """
    result = Result.from_json(packed.text.decode())
    if _mark(packed.tensors) != result.tensors:
        raise ValueError(f"the tensors of {result.experiment} are not those of its result")
    path = _path(result.experiment, result.key)
    check_writable(store_folder(), _REMEDY)
    with locked(path):
        stored = _read(path)
        if stored is not None and _has_tensors(stored, path):
            return stored
        _write(path, packed)
    return result


def load_tensors(result: Result) -> dict[str, Tensor]:
    """Read the tensors of a result, such as the weights of a trained model.

    Parameters
    ----------
    result
        From :func:`get_or_compute`.

    Returns
    -------
    dict of str to Tensor
        By name, on the CPU; empty where the result has none.

    Raises
    ------
    OSError
        If their file is gone.
    ValueError
        If the file is not the one that was written with the result.
    DataFormatError
        If a tensor holds NaN or infinity; the message names the file and the tensor.
    """
    if not result.tensors:
        return {}
    path = _tensors(_path(result.experiment, result.key))
    packed = path.read_bytes()
    if _mark(packed) != result.tensors:
        raise ValueError(f"{path} has changed since its result was stored: delete it and run again")
    tensors = safetensors.torch.load(packed)
    check_finite(tensors, str(path))
    return tensors


def weights_of(tensors: Mapping[str, Tensor], module: str) -> dict[str, Tensor]:
    """Return the weights of a module by their names in it.

    Parameters
    ----------
    tensors
        From :func:`load_tensors`; those of the module have its name and a dot before their own.
    module
        The name of the module, such as ``"model"``.
    """
    prefix = f"{module}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _computed(request: Request, compute: Callable[[], Outcome]) -> Result:
    """Compute a result and write it to a file."""
    path = request.path
    start = time.perf_counter()
    with one_thread():
        outcome = compute()
    tensors = {name: tensor.contiguous() for name, tensor in outcome.tensors.items()}
    packed = safetensors.torch.save(tensors) if tensors else b""
    result = Result(
        experiment=request.experiment,
        key=request.key,
        config=_as_dict(request.config),
        data=dict(request.data),
        versions=versions(),
        device=request.device,
        seeds=dict(request.seeds),
        history=outcome.history,
        metrics=outcome.metrics,
        details=outcome.details,
        tensors=_mark(packed),
        wall_time=round(time.perf_counter() - start, 3),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _check_finite(outcome, request.experiment)
    text = result.to_json()
    _write(path, Packed(text.encode(), packed))
    return Result.from_json(text)  # tuples are lists now, as they are when the result is read


def _write(path: Path, packed: Packed) -> None:
    if packed.tensors:
        write_whole(_tensors(path), packed.tensors)
    write_whole(path, packed.text)  # last: a result without its tensors is none


def _mark(tensors: bytes) -> str:
    """Return what a result says of the file of its tensors; empty where there is none."""
    return hashlib.sha256(tensors).hexdigest() if tensors else ""


def _check_finite(outcome: Outcome, experiment: str) -> None:
    """Raise a ``FloatingPointError`` where an outcome holds a number that JSON has no word for."""

    def look(value: Json, place: str) -> None:
        if isinstance(value, Mapping):
            for name, each in value.items():
                look(each, f"{place}[{name!r}]")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for number, each in enumerate(value):
                look(each, f"{place}[{number}]")
        elif isinstance(value, float) and not math.isfinite(value):
            raise FloatingPointError(
                f"the result of {experiment} is not kept: {place} is {value}. Too little data, or "
                "data with extreme values, can be the reason"
            )

    for name in ("history", "metrics", "details"):
        look(getattr(outcome, name), name)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from computing the same file of the store meanwhile.

    Parameters
    ----------
    path
        The file, which need not exist; its folder does.
    """
    locks = path.parent / "locks"
    locks.mkdir(exist_ok=True)
    lock = FileLock(locks / f"{path.stem}.lock")  # released by the system if this process dies
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"waiting for another process, which computes {path.stem}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a result names."""
    return {"python": platform.python_version()} | {
        library: metadata.version(library) for library in _LIBRARIES
    }


def describe_device(device: torch.device | str) -> str:
    """Describe in words the device that an experiment runs on.

    Parameters
    ----------
    device
        Where its tensors live.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}), 1 thread"


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: how many there are changes the rounding of sums."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _as_dict(config: object) -> dict[str, Json]:
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return dataclasses.asdict(config)
    raise TypeError(f"config must be an instance of a dataclass, got {config!r}")


def _path(experiment: str, key: str) -> Path:
    return store_folder() / f"{experiment}-{key[:20]}.json"


def _tensors(path: Path) -> Path:
    """Return the file of the tensors beside that of a result."""
    return path.with_suffix(".safetensors")


def _has_tensors(result: Result, path: Path) -> bool:
    """Say whether the tensors of a result are there as they were written."""
    if not result.tensors:
        return True
    try:
        return _mark(_tensors(path).read_bytes()) == result.tensors
    except OSError:
        return False


def _read(path: Path) -> Result | None:
    """Return the result in a file; None where there is none that can be used."""
    try:
        return Result.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def mean_history(results: Sequence[Result], name: str) -> list[float]:
    """Average a series over runs, entry by entry, as long as all of them have one.

    Parameters
    ----------
    results
        At least one.
    name
        Of a series in their ``history``.
    """
    series = [result.history[name] for result in results]
    return [statistics.fmean(values) for values in zip(*series, strict=False)]
