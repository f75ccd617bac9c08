"""Results and where they are kept.

A result is stored under a key made of everything that decides it: the configuration, the data, and
the source of the modules that compute it. Whatever of these changes, the experiment runs again;
otherwise the stored result is given back. Comments, formatting and docstrings do not count.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import platformdirs
import safetensors.torch
import torch
from torch import Tensor

from rnnreport._files import write_whole

__all__ = [
    "Outcome",
    "Result",
    "all_stored",
    "code_fingerprint",
    "describe_device",
    "key_of",
    "load_tensors",
    "source_modules",
    "store_folder",
    "stored",
    "stored_or_computed",
]

Json = Any  # what json.loads returns

_PACKAGE = "rnnreport"
_SOURCE = Path(__file__).parents[1]
_LIBRARIES = ("h5py", "numpy", "pillow", "pycocoevalcap", "rnnreport", "torch", "torchvision")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an experiment itself finds out; the rest of a :class:`Result` is added around it.

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

    _TYPES: ClassVar[dict[str, type]] = {
        "experiment": str,
        "key": str,
        "config": dict,
        "data": dict,
        "versions": dict,
        "device": str,
        "seeds": dict,
        "history": dict,
        "metrics": dict,
        "details": dict,
        "tensors": str,
        "wall_time": float,
        "date": str,
    }

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
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.keys() != cls._TYPES.keys():
            raise ValueError("not a result: other fields than a result's")
        for name, kind in cls._TYPES.items():
            if not isinstance(fields[name], kind):
                raise ValueError(f"not a result: {name} is a {type(fields[name]).__name__}")
        return cls(**fields)


def store_folder() -> Path:
    """Return the folder of stored results.

    Returns
    -------
    Path
        What ``RNNREPORT_STORE`` names, else a folder in the user's cache; it need not exist.
    """
    named = os.environ.get("RNNREPORT_STORE", "")
    return Path(named) if named else platformdirs.user_cache_path("rnnreport") / "results"


def source_modules(module: str) -> dict[str, Path]:
    """Find the modules of this package that a module imports, itself included.

    The source is read, not executed: every import statement counts, wherever it stands, and the
    packages above a module count too.

    Parameters
    ----------
    module
        The full name of a module of this package.

    Returns
    -------
    dict of str to Path
        The file of each module, by its name, sorted.

    Raises
    ------
    ValueError
        If there is no such module.
    """
    found: dict[str, Path] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        path = _path_of(name)
        if path is None or name in found:
            continue
        found[name] = path
        pending += _imports(name, path)
    if module not in found:
        raise ValueError(f"module must be a module of {_PACKAGE}, got {module!r}")
    return dict(sorted(found.items()))


def key_of(module: str, config: object, data: Mapping[str, Json]) -> str:
    """Return the key that a result is stored under.

    Parameters
    ----------
    module
        The full name of the experiment's module.
    config
        The configuration, an instance of a dataclass.
    data
        What the experiment runs on, in words, numbers and hashes; all of it counts.

    Returns
    -------
    str
        A SHA-256 in hexadecimal digits.
    """
    parts = {"config": _as_dict(config), "data": dict(data), "source": _sources(module)}
    return _hash(parts)


def code_fingerprint(module: str) -> str:
    """Return a hash of what a module of this package does, with all that it imports.

    Parameters
    ----------
    module
        The full name of the module.

    Raises
    ------
    ValueError
        If there is no such module.
    """
    return _hash(_sources(module))


def stored(module: str, config: object, data: Mapping[str, Json]) -> Result | None:
    """Return the stored result of an experiment; None where there is none that is still valid.

    Parameters
    ----------
    module, config, data
        As :func:`key_of` takes them.
    """
    path = _path(module.rpartition(".")[2], key_of(module, config, data))
    known = _read(path)
    return known if known is not None and _has_tensors(known, path) else None


def all_stored(experiment: str) -> list[Result]:
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
    paths = store_folder().glob(f"{experiment}-*.json")
    found = [(path, result) for path in paths if (result := _read(path)) is not None]
    whole = [result for path, result in found if _has_tensors(result, path)]
    return sorted(whole, key=lambda result: result.date, reverse=True)


def stored_or_computed(
    module: str,
    config: object,
    *,
    data: dict[str, Json],
    seeds: dict[str, int],
    device: str,
    compute: Callable[[], Outcome],
) -> Result:
    """Give back the stored result of an experiment, or compute and store it.

    Parameters
    ----------
    module
        The full name of the experiment's module; its last part names the experiment.
    config
        The configuration, an instance of a dataclass.
    data
        What the experiment runs on; ``fingerprint`` is a hash of it, ``name`` and ``amount`` say
        in words what it is and how much.
    seeds
        All seeds, by their use.
    device
        From :func:`describe_device`.
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
    known = stored(module, config, data)
    if known is not None:
        return known
    experiment = module.rpartition(".")[2]
    key = key_of(module, config, data)
    path = _path(experiment, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass
    start = time.perf_counter()
    outcome = compute()
    tensors = {name: tensor.contiguous() for name, tensor in outcome.tensors.items()}
    packed = safetensors.torch.save(tensors) if tensors else b""
    result = Result(
        experiment=experiment,
        key=key,
        config=_as_dict(config),
        data=data,
        versions={"python": platform.python_version()}
        | {library: metadata.version(library) for library in _LIBRARIES},
        device=device,
        seeds=seeds,
        history=outcome.history,
        metrics=outcome.metrics,
        details=outcome.details,
        tensors=hashlib.sha256(packed).hexdigest() if packed else "",
        wall_time=round(time.perf_counter() - start, 3),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    text = result.to_json()
    if packed:
        write_whole(_tensors(path), packed)
    write_whole(path, text.encode())  # last: a result without its tensors is none
    return Result.from_json(text)  # tuples are lists now, as they are when the result is read


def load_tensors(result: Result) -> dict[str, Tensor]:
    """Read the tensors of a result, such as the weights of a trained model.

    Parameters
    ----------
    result
        From :func:`stored_or_computed`.

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
    """
    if not result.tensors:
        return {}
    path = _tensors(_path(result.experiment, result.key))
    packed = path.read_bytes()
    if hashlib.sha256(packed).hexdigest() != result.tensors:
        raise ValueError(f"{path} has changed since its result was stored: delete it and run again")
    return safetensors.torch.load(packed)


def describe_device(device: torch.device | str) -> str:
    """Say in words what an experiment runs on.

    Parameters
    ----------
    device
        Where its tensors live.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU ({platform.machine()}), {threads} thread{'s' if threads > 1 else ''}"


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
        return hashlib.sha256(_tensors(path).read_bytes()).hexdigest() == result.tensors
    except OSError:
        return False


def _read(path: Path) -> Result | None:
    """Return the result in a file; None where there is none that can be used."""
    try:
        return Result.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _path_of(module: str) -> Path | None:
    """Return the file of a module of this package, None for anything else."""
    first, *rest = module.split(".")
    if first != _PACKAGE:
        return None
    base = _SOURCE.joinpath(*rest)
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _imports(module: str, path: Path) -> Iterator[str]:
    """Yield the names that a module imports, and the packages above each of them."""
    yield from _and_above(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    _, imports = _parse(path.read_text(encoding="utf-8"))
    for node in imports:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _and_above(alias.name)
        else:
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            origin = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            yield from _and_above(origin)
            for alias in node.names:  # may be a module or anything in it: _path_of decides
                yield f"{origin}.{alias.name}"


def _and_above(module: str) -> Iterator[str]:
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])


def _sources(module: str) -> dict[str, str]:
    return {name: _meaning(path) for name, path in source_modules(module).items()}


def _hash(parts: Json) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _meaning(path: Path) -> str:
    """Hash what a source file does."""
    return _parse(path.read_text(encoding="utf-8"))[0]


@functools.cache  # a page asks for dozens of results of the same modules
def _parse(source: str) -> tuple[str, tuple[ast.Import | ast.ImportFrom, ...]]:
    """Return a hash of the syntax tree without docstrings, and the import statements."""
    tree = ast.parse(source)
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        elif isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(imports)
