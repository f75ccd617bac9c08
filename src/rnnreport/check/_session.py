"""Calls of a stranger's functions, in a process of their own (`Session`) or in this one (`Local`).

A session protects against mistakes, its own process against those of what runs in it: a loop
without end, memory without end, deep recursion, prints, an end of the process, and the attempt to
write or remove files, to start or end processes, or to open a connection. It does **not** protect
against an attacker: native code, and Python that sets out to, gets around the process's limits, and
files can be read. What is not trusted at all belongs into a container.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any, Literal, Self, cast

import numpy as np

from rnnreport.check import _child
from rnnreport.check._program import PACKAGE, Program

Kind = Literal["error", "time", "memory", "ended", "refused", "missing"]

_RESTARTS = 5
_IMPORT_SECONDS = 120.0  # NumPy and torch from a slow disk


@dataclass(frozen=True)
class Ref:
    """An object that stays where it was made, such as a cache, or an element of one."""

    id: int
    path: tuple[int | str, ...] = ()

    def __getitem__(self, key: int | str) -> Ref:
        return Ref(self.id, (*self.path, key))


Value = (
    np.ndarray
    | float
    | int
    | bool
    | str
    | None
    | tuple[Any, ...]
    | list[Any]
    | dict[Any, Any]
    | Ref
)
"""What is handed over and comes back; keys of dictionaries are names or numbers."""


@dataclass(frozen=True)
class Failure:
    """Why something could not be done, with a sentence that lacks its subject."""

    kind: Kind
    sentence: str
    line: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a call returned and did."""

    value: Value = None
    ref: Ref = Ref(0)
    """The returned object itself."""
    changed: Mapping[int, Value] = field(default_factory=dict)
    """Arguments, by position, whose arrays it changed in place, as they are afterwards."""
    shared: frozenset[tuple[int, int]] = frozenset()
    """Places of a returned array and of an argument array that share memory."""
    variables: Mapping[str, tuple[tuple[int, np.ndarray], ...]] = field(default_factory=dict)
    """What statements assigned, as lines and copies, by what is assigned to as it is written."""
    printed: bool = False
    failure: Failure | None = None


_Answer = tuple[dict[str, Any], Sequence[np.ndarray]]


class Caller(ABC):
    """What is called, wherever it runs."""

    @property
    @abstractmethod
    def failure(self) -> Failure | None:
        """Why the program cannot be loaded."""

    @abstractmethod
    def _ask(self, request: Mapping[str, Any], writer: _RefWriter) -> _Answer | Failure: ...

    @abstractmethod
    def _line_name(self, line: int) -> str: ...

    def call(
        self,
        target: str | Ref,
        *arguments: Value,
        method: str | None = None,
        trace: bool = False,
        **keywords: Value,
    ) -> Outcome:
        """Call a function or a class by its name, an object, or an object's method."""
        writer = _RefWriter()
        request = {
            "do": "call",
            "target": writer.node(target),
            "method": method,
            "arguments": [writer.node(argument) for argument in arguments],
            "keywords": {name: writer.node(value) for name, value in keywords.items()},
            "trace": trace,
        }
        return self._outcome(self._ask(request, writer))

    def get(self, target: Ref | None, name: str) -> Outcome:
        """Return an object's attribute, or a global variable."""
        writer = _RefWriter()
        request = {"do": "get", "target": writer.node(target), "name": name}
        return self._outcome(self._ask(request, writer))

    def set(self, target: Ref | None, name: str, value: Value) -> Failure | None:
        """Set an object's attribute, or a global variable."""
        writer = _RefWriter()
        request = {
            "do": "set",
            "target": writer.node(target),
            "name": name,
            "value": writer.node(value),
        }
        return self._outcome(self._ask(request, writer)).failure

    def run(self, statement: str) -> Failure | None:
        """Execute a statement among the globals."""
        return self._outcome(self._ask({"do": "run", "statement": statement}, _RefWriter())).failure

    def forget(self) -> None:
        """Drop all objects that stayed on the other side."""
        self._ask({"do": "forget"}, _RefWriter())

    def _outcome(self, answer: _Answer | Failure) -> Outcome:
        if isinstance(answer, Failure):
            return Outcome(failure=answer)
        header, arrays = answer
        try:
            return self._read(header, arrays)
        except (
            *(_child.Malformed, LookupError, TypeError, ValueError, AttributeError),
            *(ArithmeticError, RecursionError),
        ):
            return Outcome(failure=_BROKEN)

    def _read(self, header: dict[str, Any], arrays: Sequence[np.ndarray]) -> Outcome:
        def value(node: object) -> Any:
            return _child.read_node(node, arrays, Ref)

        if (told := header["failure"]) is not None:
            return Outcome(
                printed=bool(header.get("printed", False)), failure=self._failure_of(told)
            )
        return Outcome(
            value=value(header.get("value")),
            ref=Ref(int(header.get("ref", 0))),
            changed={int(place): value(node) for place, node in header.get("changed", {}).items()},
            shared=frozenset((int(i), int(j)) for i, j in header.get("shared", [])),
            variables={
                str(name): tuple((int(line), np.asarray(value(node))) for line, node in pairs)
                for name, pairs in header.get("variables", {}).items()
            },
            printed=bool(header.get("printed", False)),
        )

    def _failure_of(self, told: Mapping[str, Any]) -> Failure:
        kind, message, name = (str(told[key])[:300] for key in ("kind", "message", "name"))
        line = told["line"]
        if not isinstance(line, int | None):
            raise TypeError
        place = "" if line is None else self._line_name(line)
        match kind:
            case "error":
                sentence = (
                    f"raises {name}" + (place and f" in {place}") + (message and f": {message}")
                )
            case "time":
                sentence = self._late
            case "memory":
                sentence = self._too_much
            case "ended":
                sentence = f"ends the process ({message})"
            case _:
                sentence = message
        if kind in ("ended", "refused", "memory") and place:
            sentence += f" ({place})"
        if kind not in ("error", "time", "memory", "ended", "refused", "missing"):
            raise ValueError
        return Failure(cast("Kind", kind), sentence, line)

    _late = "did not return in time"
    _too_much = "asks for more memory than there is"


class _RefWriter(_child.Writer):
    """Writes what is handed over, and knows which objects of the other side are among it."""

    def __init__(self) -> None:
        super().__init__(self._node_of)
        self.refs: list[int] = []

    def _node_of(self, value: object, _: object) -> list[Any]:
        if not isinstance(value, Ref):
            raise TypeError(f"cannot be handed over: {type(value).__name__}")
        self.refs.append(value.id)
        return ["r", value.id, list(value.path)]


_BROKEN = Failure("ended", "breaks the connection to its process")


class Session(Caller):
    """A program in a process of its own, which is started at once and waited for when it is needed.

    Parameters
    ----------
    program
        What to load.
    seconds
        Limit of each call.
    memory
        Limit of what the program may ask for, in bytes.
    tensors
        Whether arrays arrive as float64 tensors; by default if the program uses torch.
    seed
        Of the random numbers, from when the program is loaded.
    """

    def __init__(
        self,
        program: Program,
        *,
        seconds: float = 10.0,
        memory: int = 2 << 30,
        tensors: bool | None = None,
        seed: int = 0,
    ) -> None:
        self._program = program
        self._seconds = seconds
        tensors = program.uses_torch if tensors is None else tensors
        self._setup = {
            "code": program.code,
            "modules": sorted({*program.modules, *(["torch"] if tensors else [])}),
            "stand_ins": dict(program.stand_ins),
            "supplied": list(program.supplied),
            "package": PACKAGE,
            "tensors": tensors,
            "memory": memory,
            "seconds": seconds,
            "seed": seed,
        }
        self._late = f"did not return within {seconds:g} s"
        self._too_much = f"asks for more than {memory / 2**30:g} GB of memory"
        self._starts = 0
        self._requests = 0
        self._loading: Failure | None = None
        self._loaded = False
        self._globals: list[tuple[Mapping[str, Any], Sequence[np.ndarray]]] = []
        self._closed = False
        self._process: _Process | None = None
        self._start()

    @property
    def failure(self) -> Failure | None:
        """Why the program cannot be loaded."""
        self._load()
        return self._loading

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and remove its folder."""
        self._closed = True
        self._end()

    def _line_name(self, line: int) -> str:
        return self._program.line_name(line)

    def _start(self) -> None:
        self._starts += 1
        self._loaded = False
        self._process = _Process({**self._setup, "first": self._starts << 32})

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def _load(self) -> bool:
        """Wait for the process; return whether it can be asked."""
        if self._closed:
            raise ValueError("the session is closed")
        if self._loading is not None:
            return False
        if self._process is None:
            if self._starts > _RESTARTS:
                return False
            self._start()
        if not self._loaded:
            for seconds in (_IMPORT_SECONDS, self._seconds):
                answer = self._answer(seconds)
                if isinstance(answer, Failure):
                    self._loading = Failure(answer.kind, f"when it is loaded, {answer.sentence}")
                    return False
            self._loaded = True
            for request, arrays in self._globals:
                if isinstance(self._exchange(request, arrays), Failure):
                    return False
        return True

    def _ask(self, request: Mapping[str, Any], writer: _RefWriter) -> _Answer | Failure:
        if not self._load():
            return self._loading or Failure(
                "ended", f"ended its process or ran out of time {_RESTARTS + 1} times"
            )
        if any(ref < self._starts << 32 for ref in writer.refs):
            return Failure("missing", "the object is gone with its process")
        answer = self._exchange(request, writer.arrays)
        if (
            not isinstance(answer, Failure)
            and answer[0].get("failure") is None
            and (request["do"] == "run" or (request["do"] == "set" and request["target"] is None))
            and not writer.refs
        ):
            self._globals = [
                (old, given) for old, given in self._globals if not _overwrites(request, old)
            ]
            self._globals.append((request, writer.arrays))
        return answer

    def _exchange(
        self, request: Mapping[str, Any], arrays: Sequence[np.ndarray]
    ) -> _Answer | Failure:
        assert self._process is not None  # noqa: S101 (for mypy)
        self._requests += 1
        number = self._requests
        self._process.requests.put(({**request, "number": number}, arrays))
        answer = self._answer(self._seconds)
        if not isinstance(answer, Failure) and answer[0].get("number") != number:
            self._end()
            return _BROKEN
        return answer

    def _answer(self, seconds: float) -> _Answer | Failure:
        assert self._process is not None  # noqa: S101 (for mypy)
        try:
            answer = self._process.answers.get(timeout=seconds)
        except queue.Empty:
            self._end()
            return Failure("time", self._late)
        except BaseException:  # Ctrl-C: the answer would be taken for the next call's
            self._end()
            raise
        if answer is None:
            code = self._process.code()
            self._end()
            return _death(code)
        if isinstance(answer, Failure):
            self._end()
        return answer


def _death(code: int | None) -> Failure:
    if code is None:
        return _BROKEN
    if code >= 0:
        return Failure("ended", "ends the process (exit)")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return Failure("ended", f"crashes the process ({name})")


def _overwrites(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return bool(new["do"] == old["do"] == "set" and new["name"] == old["name"])


class _Process:
    """A process and the thread that talks to it; whoever waits for an answer waits for a queue."""

    def __init__(self, setup: Mapping[str, Any]) -> None:
        folder = tempfile.mkdtemp(prefix="rnnreport-check-")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", *_bytecode(), _child.__file__, *_places()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
            bufsize=0,
        )
        self.requests: queue.SimpleQueue[_Answer | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[_Answer | Failure | None] = queue.SimpleQueue()
        self.requests.put(({**setup}, []))
        self._thread = threading.Thread(
            target=_talk,
            args=(self._process.stdin, self._process.stdout, self.requests, self.answers),
            daemon=True,
        )
        self._thread.start()
        self.end = weakref.finalize(self, _end, self._process, folder, self.requests, self._thread)

    def code(self) -> int | None:
        """Return how the process ended; None if it did not."""
        try:
            return self._process.wait(1)
        except subprocess.TimeoutExpired:
            return None


def _bytecode() -> list[str]:
    """Return where compiled modules are, if not beside their sources."""
    return ["-X", f"pycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else []


def _places() -> list[str]:
    """Return where NumPy and torch are: a process apart from the environment may not know."""
    specs = [importlib.util.find_spec(name) for name in ("numpy", "torch")]
    return list(
        dict.fromkeys(str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin)
    )


def _environment(folder: str) -> dict[str, str]:
    kept = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH")
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    own = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), folder)
    return {name: os.environ[name] for name in kept if name in os.environ} | one | own


def _talk(
    given: IO[bytes],
    taken: IO[bytes],
    requests: queue.SimpleQueue[_Answer | None],
    answers: queue.SimpleQueue[_Answer | Failure | None],
) -> None:
    """Hand requests to a process and its answers back, until there are no more of either."""
    writing = io.BufferedWriter(cast("io.RawIOBase", given), 1 << 16)
    reading = io.BufferedReader(cast("io.RawIOBase", taken), 1 << 16)
    first = True
    try:
        while (request := requests.get()) is not None:
            _child.send(writing, *request)
            for _ in range(2 if first else 1):  # when its imports are done, and when it is loaded
                answer = _child.receive(reading)
                if answer is None:
                    break
                answers.put(answer)
            if answer is None:
                break
            first = False
    except (_child.Malformed, MemoryError):
        answers.put(_BROKEN)
    except (OSError, ValueError):
        pass
    answers.put(None)
    for pipe in (writing, reading):
        with contextlib.suppress(OSError, ValueError):
            pipe.close()


def _end(
    process: subprocess.Popen[bytes],
    folder: str,
    requests: queue.SimpleQueue[_Answer | None],
    thread: threading.Thread,
) -> None:
    """End a process and all that it started, and remove its folder."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    requests.put(None)
    thread.join(5)
    shutil.rmtree(folder, ignore_errors=True)


class Local(Caller):
    """Functions and classes of this very process, called like those of a session.

    Nothing keeps them apart from this process but fresh copies of the arguments, swallowed output,
    failures in place of exceptions and, in the main thread of a POSIX system, a limit of time.

    Parameters
    ----------
    namespace
        Functions and classes by their names; a dictionary is what `set` and `run` write into.
    tensors
        Whether arrays arrive as float64 tensors.
    seconds
        Limit of each call.
    program
        Their description; lines are named as it does.
    """

    def __init__(
        self,
        namespace: Mapping[str, Any],
        *,
        tensors: bool = False,
        seconds: float = 10.0,
        program: Program | None = None,
    ) -> None:
        held = namespace if isinstance(namespace, dict) else dict(namespace)
        self._program = program
        starts = program.starts if program is not None else None
        self._host = _child.Host(held, tensors=tensors, starts=starts)
        self._out = self._host.sink.text()
        self._seconds = seconds
        self._late = f"did not return within {seconds:g} s"

    @property
    def failure(self) -> Failure | None:
        """Nothing: what is here is loaded."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop all objects that were kept."""
        self.forget()

    def _line_name(self, line: int) -> str:
        return f"line {line}" if self._program is None else self._program.line_name(line)

    def _ask(self, request: Mapping[str, Any], writer: _RefWriter) -> _Answer | Failure:
        try:
            with (
                contextlib.redirect_stdout(self._out),
                contextlib.redirect_stderr(io.StringIO()),
                warnings.catch_warnings(),
                _alarm(self._seconds),
            ):
                warnings.simplefilter("ignore")
                answer, arrays = self._host.serve(request, writer.arrays)
        except _child.Late:
            return Failure("time", self._late)
        if answer["failure"] is not None and answer["failure"]["name"] == "KeyboardInterrupt":
            raise KeyboardInterrupt
        return answer, arrays


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise `Late` after some time, again and again should it be caught, where that can be."""
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_: int, frame: FrameType | None) -> None:
        if frame is None or frame.f_code.co_filename in (__file__, _child.__file__):
            return  # it rings again
        while frame is not None:
            if frame.f_code is _child.Host.serve.__code__:
                raise _child.Late
            frame = frame.f_back

    before: Any = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)
        signal.signal(signal.SIGALRM, before)
