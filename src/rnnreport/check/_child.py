"""The process in which a stranger's program runs; it imports nothing of this package.

It is told what to do over the pipe that was its standard input, in messages of a JSON header and
the bytes of plain arrays, and answers over the one that was its standard output.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import importlib
import inspect
import io
import itertools
import linecache
import math
import os
import random
import select
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from json import dumps, loads
from struct import pack, unpack
from typing import Any, BinaryIO, cast

if __name__ == "__main__":
    sys.path.extend(sys.argv[1:])  # where the parent has NumPy and torch from

import numpy as np

resource: Any
try:
    import resource
except ImportError:  # Windows
    resource = None

FILE = "<program>"
"""What the program's code objects name as their file."""

# The program may put other functions in place of NumPy's.
_array, _frombuffer, _shares_memory = np.array, np.frombuffer, np.shares_memory
_may_share_memory, _seed = np.may_share_memory, np.random.seed
_Array, _Scalar, _Number = np.ndarray, np.generic, np.number


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DTYPES = _words(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 "
    "complex128"
)
_MOST_BYTES = 1 << 28  # of all arrays in a message
_MOST_HEADER = 1 << 24
_MOST_NODES = 20_000
_MOST_DEPTH = 12
_MOST_TRACED = 2000
_MOST_TRACED_BYTES = 1 << 26

Node = Any
"""A value as JSON has it: a scalar, or a list that begins with a letter for its kind."""

Path = tuple[int | str, ...]


class Late(BaseException):
    """The time for a call is over."""


class Refused(BaseException):
    """The program tried what it may not."""


class Malformed(Exception):
    """A message that no honest side sends."""


# Messages ----------------------------------------------------------------------------------------


class Writer:
    """Turns values into JSON and a list of arrays; `opaque` gives the node of all other objects."""

    def __init__(self, opaque: Callable[[object, Path], Node]) -> None:
        self.arrays: list[np.ndarray] = []
        self._opaque = opaque
        self._bytes = 0
        self._nodes = 0

    def node(self, value: Any, path: Path = (), depth: int = 0) -> Node:
        """Return the node of a value, which stands at `path` in the object that is written."""
        kind = type(value)
        self._nodes += 1
        if self._nodes > _MOST_NODES or depth > _MOST_DEPTH:
            return self._opaque(value, path)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**63 else self._opaque(value, path)
        if kind is str:
            return value if len(value) <= 10_000 else self._opaque(value, path)
        array = plain_array(value)
        if array is not None:
            if issubclass(kind, _Scalar) and array.dtype.name in ("bool", "int64", "float64"):
                return array.item()
            if self._bytes + array.nbytes > _MOST_BYTES:
                return self._opaque(value, path)
            self._bytes += array.nbytes
            self.arrays.append(array)
            return ["a", len(self.arrays) - 1]
        items = _items(value)
        if items is None:
            return self._opaque(value, path)
        nodes = [self.node(item, (*path, key), depth + 1) for key, item in items]
        if issubclass(kind, dict):
            return ["d", [[key, node] for (key, _), node in zip(items, nodes, strict=True)]]
        return ["t" if issubclass(kind, tuple) else "l", nodes]


def _items(value: Any) -> list[tuple[int | str, object]] | None:
    """Return keys and elements of a tuple, a list or a dictionary of names or numbers."""
    kind = type(value)
    for base in (tuple, list, dict):
        if issubclass(kind, base) and base.__len__(value) > _MOST_NODES:
            return None
    if issubclass(kind, dict):
        items = list(dict.items(value))
        return items if all(type(key) in (int, str) for key, _ in items) else None
    for base in (tuple, list):
        if issubclass(kind, base):
            return list(enumerate(base.__iter__(value)))
    return None


def _view(value: Any) -> np.ndarray | None:
    """Return an array or a tensor as an array on the same memory where that can be."""
    kind = type(value)
    if issubclass(kind, _Array):
        return cast("np.ndarray", _Array.view(value, _Array))
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(kind, torch.Tensor):
        tensor = value.detach().cpu()
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        if tensor.dtype is torch.bfloat16:
            tensor = tensor.float()
        return cast("np.ndarray", tensor.resolve_conj().resolve_neg().numpy())
    return None


def plain_array(value: Any) -> np.ndarray | None:
    """Return a fresh array of a plain type for an array, a tensor or a number; or None."""
    kind = type(value)
    array = _array(value) if kind is complex or issubclass(kind, _Scalar) else _view(value)
    if array is None:
        return None
    dtype = {"float128": "float64", "longdouble": "float64", "complex256": "complex128"}.get(
        array.dtype.name, array.dtype.name
    )
    return _array(array, dtype=dtype, order="C") if dtype in _DTYPES else None


def read_node(
    node: Node, arrays: Sequence[Any], ref: Callable[[int, Path], object], depth: int = 0
) -> Any:
    """Return the value of a node; `ref` gives what stands for an object of the other side."""
    if node is None or isinstance(node, bool | int | float | str):
        return node
    if not isinstance(node, list) or depth > _MOST_DEPTH + 2:
        raise Malformed

    def inner(node: Node) -> Any:
        return read_node(node, arrays, ref, depth + 1)

    match node:
        case ["a", int(index)] if 0 <= index < len(arrays):
            return arrays[index]
        case ["t", list(nodes)]:
            return tuple(map(inner, nodes))
        case ["l", list(nodes)]:
            return list(map(inner, nodes))
        case ["d", list(pairs)] if all(
            isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], int | str)
            for pair in pairs
        ):
            return {key: inner(item) for key, item in pairs}
        case ["r", int(number), list(path)] if all(isinstance(key, int | str) for key in path):
            return ref(number, tuple(path))
    raise Malformed


def send(pipe: BinaryIO, header: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> None:
    """Write a message."""
    kinds = [[array.dtype.name, list(array.shape)] for array in arrays]
    text = dumps({**header, "arrays": kinds}).encode()
    pipe.write(pack("<Q", len(text)) + text)
    for array in arrays:
        pipe.write(array.tobytes())
    pipe.flush()


def receive(pipe: BinaryIO) -> tuple[dict[str, Any], list[np.ndarray]] | None:
    """Read a message; None where the other side is gone."""

    def exactly(count: int) -> bytearray | None:
        content = bytearray(count)
        view, place = memoryview(content), 0
        while place < count:
            got = pipe.readinto(view[place:])  # type: ignore[attr-defined]
            if not got:
                return None
            place += got
        return content

    start = exactly(8)
    if start is None:
        return None
    (length,) = unpack("<Q", start)
    if length > _MOST_HEADER:
        raise Malformed
    text = exactly(length)
    if text is None:
        return None
    try:
        header = loads(bytes(text))
    except (ValueError, RecursionError) as error:
        raise Malformed from error
    if not isinstance(header, dict) or not isinstance(header.get("arrays"), list):
        raise Malformed
    arrays, left = [], _MOST_BYTES
    for kind in header["arrays"]:
        match kind:
            case [str(dtype), list(shape)] if (
                dtype in _DTYPES
                and len(shape) <= 32
                and all(type(size) is int and 0 <= size <= left for size in shape)
            ):
                left -= (count := math.prod(shape) * np.dtype(dtype).itemsize)
            case _:
                raise Malformed
        if left < 0:
            raise Malformed
        content = exactly(count)
        if content is None:
            return None
        arrays.append(_frombuffer(content, dtype).reshape(shape))
    return header, arrays


# What a call does --------------------------------------------------------------------------------


class Host:
    """Calls what a namespace holds, keeps what it returns, and tells what happened."""

    def __init__(
        self,
        namespace: dict[str, Any],
        *,
        tensors: bool,
        file: str | None = None,
        first: int = 1,
        starts: Mapping[str, int] | None = None,
    ) -> None:
        self.namespace = namespace
        self._starts = starts or {}
        self.lost: dict[str, dict[str, Any]] = {}
        """Names whose definition failed, and how."""
        self.refusal: tuple[str, int | None] | None = None
        self.sink = Sink()
        self.after: Callable[[], None] = lambda: None
        """What is to happen when foreign code has run, before anything is written."""
        self._tensors = tensors
        self._file = file
        self._objects: dict[int, object] = {}
        self._ids = itertools.count(first)
        self._stores: dict[str, dict[int, _Statement]] = {}

    def serve(
        self, request: Mapping[str, Any], arrays: Sequence[np.ndarray]
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Do what a request says; the answer holds a failure in place of any exception."""
        self.refusal = None
        try:
            given = self._given(arrays)
            answer, written = getattr(self, f"_{request['do']}")(request, given)
        except _Missing as error:
            answer, written = {"failure": failure("missing", str(error))}, []
        except BaseException as error:
            self.after()
            answer, written = {"failure": self._failure(error)}, []
        if (refusal := self.refused()) is not None:
            sentence, line = refusal
            answer, written = {"failure": failure("refused", sentence, line=line)}, []
        return answer, written

    def refused(self) -> tuple[str, int | None] | None:
        """Return what the program tried and may not, and the line, even if it went on."""
        return self.refusal

    def _call(
        self, request: Mapping[str, Any], arrays: Sequence[Any]
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        target, method = request["target"], request["method"]
        function: Any = self._named(target) if isinstance(target, str) else self._value(target, [])
        if method is not None:
            try:
                function = getattr(function, method)
            except AttributeError:
                raise _Missing(f"there is no method {method}") from None
        if not callable(function):
            name = method or (target if isinstance(target, str) else "the object")
            raise _Missing(f"{name} cannot be called")
        arguments = [self._value(node, arrays) for node in request["arguments"]]
        keywords = {key: self._value(node, arrays) for key, node in request["keywords"].items()}
        before = [_snapshot(argument) for argument in arguments]
        file = self._file or _file(function)
        start = self._starts.get(file, 0)
        trace = _Trace(self._statements(file), file) if request["trace"] else None
        self.sink.used = False
        watched = sys.gettrace()
        told: dict[str, Any] | None = None
        try:
            try:
                if trace is not None:
                    sys.settrace(trace.enter)
                result = function(*arguments, **keywords)
            finally:
                sys.settrace(watched)
                self.after()
        except BaseException as error:
            told = self._failure(error, file)
            if told["line"] is not None:
                told = {**told, "line": told["line"] + start}
            result, before = None, []
        number = self._keep(result)
        writer = Writer(lambda _, path: ["r", number, list(path)])
        answer = {
            "failure": told,
            "value": writer.node(result),
            "ref": number,
            "changed": {},
            "shared": _shared(result, arguments),
            "printed": self.sink.used,
        }
        for place, shot in enumerate(before):
            if _snapshot(arguments[place]) != shot:
                number = self._keep(arguments[place])
                answer["changed"][place] = writer.node(arguments[place])
        traced: list[tuple[str, int, np.ndarray]] = trace.record if trace is not None else []
        variables: dict[str, list[Node]] = {}
        for name, line, array in traced:
            writer.arrays.append(array)
            variables.setdefault(name, []).append([line + start, ["a", len(writer.arrays) - 1]])
        return {**answer, "variables": variables}, writer.arrays

    def _get(
        self, request: Mapping[str, Any], arrays: Sequence[np.ndarray]
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        name = request["name"]
        if request["target"] is None:
            value = self._named(name)
        else:
            holder = self._value(request["target"], arrays)
            try:
                value = getattr(holder, name)
            except AttributeError:
                raise _Missing(f"there is no attribute {name}") from None
            finally:
                self.after()
        number = self._keep(value)
        writer = Writer(lambda _, path: ["r", number, list(path)])
        return {"failure": None, "value": writer.node(value), "ref": number}, writer.arrays

    def _set(
        self, request: Mapping[str, Any], arrays: Sequence[np.ndarray]
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        value = self._value(request["value"], arrays)
        if request["target"] is None:
            self.namespace[request["name"]] = value
        else:
            setattr(self._value(request["target"], arrays), request["name"], value)
            self.after()
        return {"failure": None}, []

    def _run(
        self, request: Mapping[str, Any], _: Sequence[np.ndarray]
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        code = compile(request["statement"], "<statement>", "exec", dont_inherit=True)
        try:
            exec(code, self.namespace)  # noqa: S102
        finally:
            self.after()
        return {"failure": None}, []

    def _forget(
        self, _: Mapping[str, Any], __: Sequence[np.ndarray]
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        self._objects.clear()
        self.after()
        return {"failure": None}, []

    def _keep(self, value: object) -> int:
        number = next(self._ids)
        self._objects[number] = value
        return number

    def _named(self, name: str) -> Any:
        if name in self.namespace:
            return self.namespace[name]
        if name in self.lost:
            raise _Lost(self.lost[name])
        raise _Missing(f"there is no {name}")

    def _given(self, arrays: Sequence[np.ndarray]) -> Sequence[Any]:
        if not self._tensors or not arrays:
            return arrays
        torch: Any = importlib.import_module("torch")
        return [
            torch.from_numpy(array.astype("float64") if array.dtype.kind == "f" else array)
            for array in arrays
        ]

    def _value(self, node: Node, arrays: Sequence[Any]) -> Any:
        return read_node(node, arrays, self._object)

    def _object(self, number: int, path: Path) -> object:
        if number not in self._objects:
            raise _Missing("the object is gone")
        value: Any = self._objects[number]
        for key in path:
            value = value[key]
        return value

    def _failure(self, error: BaseException, file: str = FILE) -> dict[str, Any]:
        return error.told if isinstance(error, _Lost) else told_failure(error, file)

    def _statements(self, file: str) -> dict[int, _Statement]:
        if file not in self._stores:
            self._stores[file] = _statements("".join(linecache.getlines(file)))
        return self._stores[file]


class _Missing(Exception):
    """What is asked for is not there."""


class _Lost(Exception):
    """What is asked for is not there since its definition failed."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told


class Sink(io.BufferedIOBase):
    """Swallows what is printed, and knows whether anything was."""

    used = False

    def text(self) -> io.TextIOWrapper:
        """Return a file to print into."""
        return io.TextIOWrapper(self, "utf-8", "replace", write_through=True)  # type: ignore[arg-type]

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        size = len(content)
        self.used |= size > 0
        return size


def failure(kind: str, message: str, *, name: str = "", line: int | None = None) -> dict[str, Any]:
    """Return a failure as a message has it."""
    return {"kind": kind, "name": name, "message": message, "line": line}


def told_failure(error: BaseException, file: str = FILE) -> dict[str, Any]:
    """Return what is told of an exception; `file` is the program's, whose last line is named."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    kind = type(error)
    if kind is SyntaxError and line is None:
        line = error.lineno  # type: ignore[attr-defined]
    try:
        message = " ".join(str(error)[:1000].split())[:200].rstrip()
        name = str(type.__getattribute__(kind, "__name__"))[:80]
    except BaseException:
        message, name = "", "an exception"
    if issubclass(kind, Late):
        return failure("time", "", line=line)
    if issubclass(kind, SystemExit):
        return failure("ended", "exit", line=line)
    if issubclass(kind, MemoryError) or "can't allocate memory" in message:
        return failure("memory", "", line=line)
    return failure("error", message, name=name, line=line)


def _file(function: Any) -> str:
    """Return the file of a function, of a method, or of a class's first method that has one."""
    function = inspect.unwrap(function)
    candidates = [function, getattr(function, "__func__", None), type(function)]
    for kind in list(candidates):
        if isinstance(kind, type):
            candidates += [each for base in kind.__mro__ for each in vars(base).values()]
    for each in candidates:
        code = getattr(each, "__code__", None)
        if isinstance(code, types.CodeType):
            return code.co_filename
    return FILE


def _arrays_in(value: object, path: Path = (), depth: int = 0) -> Iterator[tuple[Path, np.ndarray]]:
    """Give the arrays in tuples, lists and dictionaries, on their own memory."""
    array = _view(value)
    if array is not None:
        yield path, array
    elif depth <= _MOST_DEPTH:
        for key, item in _items(value) or ():
            yield from _arrays_in(item, (*path, key), depth + 1)


def _snapshot(value: object) -> list[tuple[Path, str, tuple[int, ...], bytes]]:
    """Return what the arrays of an argument hold, as far as that is not huge."""
    shots, left = [], _MOST_BYTES
    for path, array in itertools.islice(_arrays_in(value), _MOST_NODES):
        left -= array.nbytes
        if left < 0:
            break
        if not array.dtype.hasobject:
            shots.append((path, array.dtype.str, array.shape, array.tobytes()))
    return shots


def _shared(result: object, arguments: Sequence[object]) -> list[list[int]]:
    """Return the places of returned arrays and of argument arrays that share memory."""
    returned = [value for _, value in _items(result) or ()] if _view(result) is None else [result]
    given = [(j, array) for j, value in enumerate(arguments) if (array := _view(value)) is not None]
    pairs = []
    for i, value in enumerate(returned[:100]):
        array = _view(value)
        if array is None:
            continue
        for j, other in given:
            try:
                together = _shares_memory(array, other, 10_000)  # type: ignore[arg-type]
            except Exception:  # too hard to tell
                together = _may_share_memory(array, other)
            if together:
                pairs.append([i, j])
    return pairs


# The trace ---------------------------------------------------------------------------------------


class _Statement:
    """A statement that assigns: its lines, what it stores, and the lines after a loop's head."""

    def __init__(
        self, first: int, last: int, targets: dict[str, _Target], body: range | None = None
    ) -> None:
        self.first, self.last, self.targets, self.body = first, last, targets, body


_Target = tuple[str, list[tuple[str, Any]]]
"""How to reach what is stored: a local name, and the attributes, keys and indices from there."""


def _statements(source: str) -> dict[int, _Statement]:
    """Return the statements that assign, by each of their lines."""
    statements: dict[int, _Statement] = {}
    for node in ast.walk(ast.parse(source)):
        body = None
        match node:
            case ast.Assign(targets=targets, end_lineno=int(last)):
                pass
            case (
                ast.AugAssign(target=target, end_lineno=int(last))
                | ast.AnnAssign(target=target, end_lineno=int(last))
            ):
                targets = [target]
            case ast.For(target=target, iter=ast.expr(end_lineno=int(last)), body=[inner, *_]):
                targets = [target]
                body = range(inner.lineno, (node.end_lineno or 0) + 1)
            case _:
                continue
        stored = dict(pair for target in targets for pair in _stored(target))
        old = statements.get(node.lineno)
        if old is not None:  # several on one line
            stored, last, body = {**old.targets, **stored}, max(last, old.last), None
        statement = _Statement(node.lineno, last, stored, body)
        statements |= dict.fromkeys(range(node.lineno, last + 1), statement)
    return statements


def _stored(target: ast.expr) -> Iterator[tuple[str, _Target]]:
    """Give what an assignment stores, by how it is written: `z`, `self.z`, `grads['z']`, `h[t]`.

    An array that is stored into is looked at as a whole: `dx` for `dx[:, t]`.
    """
    if isinstance(target, ast.Tuple | ast.List):
        for each in target.elts:
            yield from _stored(each)
        return
    part = target.value if isinstance(target, ast.Starred) else target
    steps: list[tuple[str, Any]] = []
    while not isinstance(part, ast.Name):
        match part:
            case ast.Attribute():
                steps.insert(0, ("attribute", part.attr))
            case ast.Subscript():
                steps.insert(0, (ast.unparse(part.value), _index(part.slice)))
            case _:
                return
        part = part.value
    yield ast.unparse(target), (part.id, steps)


def _index(index: ast.expr) -> types.CodeType | None:
    """Return an index as code; None where looking at it might do something."""
    plain = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    if all(isinstance(node, (plain, ast.expr_context)) for node in ast.walk(index)):
        return compile(ast.Expression(index), FILE, "eval")
    return None


class _Trace:
    """Records arrays and numbers as the statements of the program assign them."""

    def __init__(self, statements: dict[int, _Statement], file: str) -> None:
        self.record: list[tuple[str, int, np.ndarray]] = []
        self._statements, self._file = statements, file
        self._bytes = 0

    def enter(self, frame: types.FrameType, _: str, __: object) -> Any:
        """Watch a function of the program."""
        code = frame.f_code
        if code.co_filename != self._file or code.co_name.startswith("<"):
            return None
        running: _Statement | None = None

        def step(frame: types.FrameType, event: str, _: object) -> Any:
            nonlocal running
            line = frame.f_lineno
            if event == "exception":
                running = None
                return step
            if running is not None:
                lines = range(running.first, running.last + 1)
                if event == "line" and len(lines) > 1 and line in lines:
                    return step
                if running.body is None or line in running.body:
                    self._take(running, frame)
            running = self._statements.get(line) if event == "line" else None
            return step

        return step

    def _take(self, statement: _Statement, frame: types.FrameType) -> None:
        for name, (root, steps) in statement.targets.items():
            try:
                shown, value = self._reach(name, frame.f_locals[root], steps, frame)
            except Exception:  # noqa: S112 (it was a global, or never there)
                continue
            array = _array(value) if type(value) in (int, float) else plain_array(value)
            if array is None or array.dtype.name not in _DTYPES:
                continue
            self._bytes += array.nbytes
            if len(self.record) < _MOST_TRACED and self._bytes <= _MOST_TRACED_BYTES:
                self.record.append((shown, statement.first, array))

    def _reach(
        self, name: str, value: Any, steps: list[tuple[str, Any]], frame: types.FrameType
    ) -> tuple[str, Any]:
        for kind, key in steps:
            if kind == "attribute":
                value = getattr(value, key)
            elif _view(value) is not None:
                return kind, value
            else:
                value = value[eval(key, frame.f_globals, frame.f_locals)]  # noqa: S307
        return name, value


# What stands in for what is not there ------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    """Return σ(x) of an array or a tensor."""
    return x.sigmoid() if hasattr(x, "sigmoid") else 1 / (1 + np.exp(-x))


def softmax(x: Any, axis: int | None = None) -> Any:
    """Return the softmax along the last axis, or along the first one of a single column."""
    if axis is None:
        axis = 0 if x.ndim == 2 and x.shape[1] == 1 else -1
    if hasattr(x, "softmax"):
        return x.softmax(axis)
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _softmax_of_columns(x: Any) -> Any:
    return softmax(x, 0)


def tanh(x: Any) -> Any:
    """Return tanh x of an array or a tensor."""
    return x.tanh() if hasattr(x, "tanh") else np.tanh(x)


def relu(x: Any) -> Any:
    """Return max(x, 0) of an array or a tensor."""
    return x.relu() if hasattr(x, "relu") else np.maximum(x, 0)


def cross_entropy_error(y: Any, t: Any) -> Any:
    """Return the mean cross entropy of probabilities `y`; `t` holds classes or one-hot rows."""
    y, t = np.atleast_2d(y), np.asarray(t)
    t = t.argmax(axis=1) if t.size == y.size else t.reshape(-1)
    return -np.log(y[np.arange(len(y)), t] + 1e-7).mean()


class _Activation:
    """A nonlinearity as a layer that remembers its value."""

    def forward(self, x: Any) -> Any:
        self.A = self.state = self._value(x)
        return self.A

    __call__ = forward

    def derivative(self, state: Any = None) -> Any:
        return self._slope(self.A if state is None else state)

    def backward(self, gradient: Any = 1, state: Any = None) -> Any:
        return gradient * self.derivative(state)

    def _value(self, x: Any) -> Any:
        return x

    def _slope(self, value: Any) -> Any:
        return 1 + 0 * value


class _Identity(_Activation):
    pass


class _Sigmoid(_Activation):
    def _value(self, x: Any) -> Any:
        return sigmoid(x)

    def _slope(self, value: Any) -> Any:
        return value * (1 - value)


class _Tanh(_Activation):
    def _value(self, x: Any) -> Any:
        return tanh(x)

    def _slope(self, value: Any) -> Any:
        return 1 - value**2


class _ReLU(_Activation):
    def _value(self, x: Any) -> Any:
        return relu(x)

    def _slope(self, value: Any) -> Any:
        return 1.0 * (value > 0)


class _MatMul:
    """A product with a matrix, as a layer."""

    def __init__(self, W: Any) -> None:
        self.params, self.grads = [W], [np.zeros_like(W)]

    def forward(self, x: Any) -> Any:
        self.x = x
        return x @ self.params[0]

    def backward(self, dout: Any) -> Any:
        self.grads[0][...] = self.x.T @ dout
        return dout @ self.params[0].T


class _Affine(_MatMul):
    """A product with a matrix and a bias, as a layer."""

    def __init__(self, W: Any, b: Any) -> None:
        super().__init__(W)
        self.params.append(b)
        self.grads.append(np.zeros_like(b))

    def forward(self, x: Any) -> Any:
        return super().forward(x) + self.params[1]

    def backward(self, dout: Any) -> Any:
        self.grads[1][...] = dout.sum(axis=0)
        return super().backward(dout)


class _Embedding:
    """Rows of a matrix, as a layer."""

    def __init__(self, W: Any) -> None:
        self.params, self.grads = [W], [np.zeros_like(W)]

    def forward(self, idx: Any) -> Any:
        self.idx = idx
        return self.params[0][idx]

    def backward(self, dout: Any) -> None:
        self.grads[0][...] = 0
        np.add.at(self.grads[0], self.idx, dout)


SUPPLIED: dict[str, Any] = {
    "np": np,
    "numpy": np,
    "math": math,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "tanh": tanh,
    "relu": relu,
    "xrange": range,
    "unicode": str,
    "long": int,
    "raw_input": input,
}
"""Names that a program may read without having them."""

_HELPERS = {
    "np": np,
    "GPU": False,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "tanh": tanh,
    "relu": relu,
    "cross_entropy_error": cross_entropy_error,
    "Identity": _Identity,
    "Sigmoid": _Sigmoid,
    "Tanh": _Tanh,
    "ReLU": _ReLU,
    "MatMul": _MatMul,
    "Affine": _Affine,
    "Embedding": _Embedding,
    "tqdm": lambda items=(), *_, **__: items,
    "trange": lambda *sizes, **_: range(*sizes),
}


class _Absent:
    """A name of a module that is not here: it says so when it is used."""

    def __init__(self, name: str, module: str) -> None:
        self._says = f"{name} comes from {module}, which is not here"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(self._says)

    def __call__(self, *_: object, **__: object) -> Any:
        raise ImportError(self._says)

    __getitem__ = __iter__ = __enter__ = __call__


class _Finder:
    """Finds stand-ins for the modules that a program imports and that are not here."""

    def __init__(self, stand_ins: Mapping[str, str], package: str) -> None:
        self._stand_ins, self._package = stand_ins, package

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name in self._stand_ins or f"{self._package}.".startswith(f"{name}."):
            return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        kind = self._stand_ins.get(spec.name, "package")
        return np if kind == "numpy" else None

    def exec_module(self, module: types.ModuleType) -> None:
        name = module.__name__
        kind = self._stand_ins.get(name, "package")
        if kind in ("package", "numpy"):
            return
        contents: dict[str, Any] = dict(_HELPERS) if kind != "absent" else {}
        if kind == "columns":
            contents["softmax"] = _softmax_of_columns
        shown = name.rpartition("here.")[2]
        vars(module).update(
            contents,
            __all__=list(contents),
            __getattr__=lambda attribute: _attribute(attribute, shown),
        )


def _attribute(name: str, module: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Absent(name, module)


# The process -------------------------------------------------------------------------------------


def _refusal(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what the program tries by an event of Python's audit that it may not."""
    if event == "resource.setrlimit" and arguments[0] == resource.RLIMIT_CPU:
        return None  # each call sets it
    if event == "open":
        path, _, flags = arguments
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        if not flags & writing or type(path) is int or path == os.devnull:
            return None
        return f"tries to write the file {str(path)[:200]}"
    for starts, sentence in _REFUSED:
        if event.startswith(starts):
            return sentence
    return None


_REFUSED = (
    (
        ("os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.", "tempfile."),
        "tries to make, change or remove a file",
    ),
    (("os.mkdir", "os.link", "os.symlink"), "tries to make a folder or a link"),
    (
        ("os.chmod", "os.chown", "os.chflags", "os.utime", "os.setxattr", "os.removexattr"),
        "tries to change whose a file is, or its date",
    ),
    (("sqlite3.",), "tries to open a database"),
    (
        ("socket.", "urllib.", "ftplib.", "http.", "smtplib.", "imaplib.", "poplib.", "nntplib."),
        "tries to open a connection",
    ),
    (("telnetlib.", "webbrowser."), "tries to open a connection"),
    (
        (
            *("subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn"),
            *("os.startfile", "pty.", "_winapi.CreateProcess"),
        ),
        "tries to start a process",
    ),
    (("os.kill", "signal.pthread_kill", "_winapi.TerminateProcess"), "tries to end a process"),
    (("ctypes.",), "tries to run native code"),
    (("resource.", "winreg."), "tries to change the system's settings"),
)


def _watch(host: Host) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that refuses what reaches beyond the process, and remembers it."""
    frame_of = sys._getframe

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        sentence = _refusal(event, arguments)
        if sentence is None:
            return
        frame: types.FrameType | None = frame_of(1)
        while frame is not None and frame.f_code.co_filename != FILE:
            frame = frame.f_back
        host.refusal = sentence, frame and frame.f_lineno
        raise Refused(sentence)

    return hook


def _end_with_parent(pipe: int) -> None:
    """End this process as soon as nobody writes to the pipe any more."""
    if hasattr(select, "poll"):
        watch = select.poll()
        watch.register(pipe, 0)  # hanging up is always told
        end = os._exit

        def wait() -> None:
            watch.poll()
            end(0)

        threading.Thread(target=wait, daemon=True).start()


def _limit(memory: int, *, threads: bool) -> None:
    """Limit memory, files and processes from here on, as far as the system does."""
    if resource is None:
        return
    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123
            limits[resource.RLIMIT_AS] = int(file.read().split()[0]) * resource.getpagesize()
            limits[resource.RLIMIT_AS] += memory
    except OSError:  # no Linux
        pass
    if not threads:
        limits[resource.RLIMIT_NPROC] = 0
    for limit, most in limits.items():
        try:
            resource.setrlimit(limit, (most, most))
        except (ValueError, OSError):
            continue


def _limit_time(seconds: float) -> None:
    """End this process should it compute for much longer than it may and nobody stop it."""
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        most = math.ceil(used.ru_utime + used.ru_stime + seconds) + 5
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


def _silence(sink: Sink) -> None:
    """Let nothing that is printed leave the process."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    sys.stdin = sys.__stdin__ = open(os.devnull)  # type: ignore[misc]  # noqa: SIM115, PTH123
    sys.stdout = sys.__stdout__ = sink.text()  # type: ignore[misc]


def _load(host: Host, code: str) -> None:
    """Execute a program, each statement for itself: what fails is lost, and the rest is there."""
    linecache.cache[FILE] = len(code), None, code.splitlines(keepends=True), FILE
    flags = __future__.annotations.compiler_flag  # names in annotations need not be there
    for statement in ast.parse(code).body:
        names = [getattr(statement, "name", "")]
        names += [
            node.id
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
        host.refusal = None
        try:
            tree = ast.Module([statement], [])
            exec(compile(tree, FILE, "exec", flags, dont_inherit=True), host.namespace)  # noqa: S102
        except BaseException as error:
            told = told_failure(error)
            if (refusal := host.refused()) is not None:
                told = failure("refused", refusal[0], line=refusal[1])
            host.lost |= dict.fromkeys(filter(None, names), told)
    host.refusal = None


def main() -> None:
    """Serve until the pipe closes."""
    taken, given = os.dup(0), os.dup(1)
    requests, answers = os.fdopen(taken, "rb"), os.fdopen(given, "wb")
    # The program may put other functions in place of Python's own.
    own = dict(vars(builtins))
    globals().update((name, value) for name, value in own.items() if not name.startswith("__"))
    first = receive(requests)
    if first is None:
        return
    setup, _ = first
    for module in setup["modules"]:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: S112 (the program says so itself when it is executed)
            continue
    program = types.ModuleType("program")
    namespace = vars(program)
    namespace.update(
        __builtins__={**{n: SUPPLIED[n] for n in setup["supplied"]}, **vars(builtins)},
        __package__=setup["package"],
    )
    host = Host(namespace, tensors=setup["tensors"], file=FILE, first=setup["first"])
    main_module = sys.modules["__main__"]  # kept: its end would be that of what it holds
    sys.modules |= {"program": program, "__main__": program}
    sys.meta_path.insert(0, _Finder(setup["stand_ins"], setup["package"]))
    torch = sys.modules.get("torch")
    random.seed(setup["seed"])
    _seed(setup["seed"])
    if torch is not None:
        torch.manual_seed(setup["seed"])
        torch.set_num_threads(1)
    _silence(host.sink)
    _end_with_parent(taken)
    _limit(setup["memory"], threads=torch is not None)
    sys.addaudithook(_watch(host))
    out, everything = sys.stdout, vars(builtins)

    def restore() -> None:
        sys.settrace(None)
        sys.setprofile(None)
        sys.stdout = out
        for name, value in own.items():
            if everything.get(name) is not value:
                everything[name] = value

    host.after = restore
    send(answers, {"ready": True}, [])
    _limit_time(setup["seconds"])
    _load(host, setup["code"])
    restore()
    send(answers, {"loaded": True}, [])
    while (request := receive(requests)) is not None:
        _limit_time(setup["seconds"])
        header, arrays = host.serve(*request)
        send(answers, {**header, "number": request[0]["number"]}, arrays)
    del main_module


if __name__ == "__main__":
    main()
    os._exit(0)
