"""A stranger's program, read without being executed: what it defines, and what can be executed."""

from __future__ import annotations

import ast
import builtins
import contextlib
import inspect
import io
import itertools
import json
import math
import re
import symtable
import sys
import textwrap
import tokenize
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

PACKAGE = "here.and.here.and.here"
"""The package that a program believes to be in: relative imports need one."""

_MOST_BYTES = 5_000_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SUPPLIED = _words("np numpy math sigmoid softmax tanh relu xrange unicode long raw_input")
_PYTHON_2 = {"xrange": "range", "unicode": "str", "long": "int", "raw_input": "input"}

# Modules that are executed as they are; of the standard library not those that show something.
_REAL = sys.stdlib_module_names - {"antigravity", "this", "tkinter", "turtle", "turtledemo"} | {
    "numpy",
    "torch",
    "scipy",
}
_HELPERS = {
    **dict.fromkeys(("rnn_utils", "lstm_utils", "rnn_utils_v2"), "columns"),
    **dict.fromkeys(("activation", "activations", "functions", "layers", "np"), "helpers"),
    **dict.fromkeys(("utils", "util", "config", "tqdm", "common"), "helpers"),
}
"""Modules that have a stand-in, by the last part of their names; softmax of columns or of rows."""
_LIKE_NUMPY = {"cupy", "autograd.numpy", "minpy.numpy"}

# Calls that make a constant from constants.
_HARMLESS_NAMES = _words(
    "int float bool complex str len range tuple list dict set frozenset slice min max abs "
    "round sum sorted zip enumerate reversed namedtuple TypeVar partial object super property "
    "staticmethod classmethod"
)
_HARMLESS_ATTRIBUTES = _words(
    "float16 float32 float64 int32 int64 dtype finfo iinfo sqrt exp log log2 log10 tanh pow floor "
    "ceil device namedtuple partial"
)
# Those that are harmless besides, where they belong to a definition.
_MAKING = _words(
    "zeros ones empty full eye identity array asarray arange linspace zeros_like ones_like tensor "
    "deque defaultdict OrderedDict Counter field"
)
_DECORATORS = _words(
    "staticmethod classmethod property dataclass dataclasses.dataclass abstractmethod "
    "abc.abstractmethod contextmanager contextlib.contextmanager functools.wraps wraps "
    "functools.lru_cache lru_cache functools.cache cache cached_property "
    "functools.cached_property total_ordering functools.total_ordering torch.no_grad "
    "torch.jit.script np.vectorize numpy.vectorize typing.overload override"
)


@dataclass(frozen=True)
class Function:
    """A function or a method, as it is written."""

    name: str
    line: int
    end_line: int
    arguments: tuple[str, ...]
    """Names of the positional ones, without `self`."""
    required: int
    """How many of them have no default."""
    returned: tuple[str, ...]
    """What the last `return` gives, each element as it is written."""
    reads: frozenset[str]
    """Global names that are no built-in ones."""
    is_empty: bool
    """Whether it is a template not written yet."""


@dataclass(frozen=True)
class Class:
    """A class, as it is written."""

    name: str
    line: int
    bases: tuple[str, ...]
    methods: Mapping[str, Function]


@dataclass(frozen=True)
class Program:
    """A program that was read: nothing of it has been executed."""

    name: str
    text: str
    """The source after repairs, which all line numbers refer to."""
    code: str
    """What is to be executed: the text with everything else blanked out."""
    deferred: tuple[str, ...]
    """Assignments among the dropped statements, whose values are no constants."""
    repairs: tuple[str, ...]
    functions: Mapping[str, Function]
    classes: Mapping[str, Class]
    uses_torch: bool
    cells: tuple[int, ...] = ()
    """Where each code cell of a notebook begins."""
    modules: tuple[str, ...] = ()
    """What it imports that is there: NumPy, torch and SciPy."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """What it imports that is not there, and the kind of what stands in for it."""
    supplied: tuple[str, ...] = ()
    """Names that it reads without having them, and that are put in."""
    unread: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """What it defines and cannot be read: the line and what is wrong there."""
    starts: Mapping[str, int] = field(default_factory=dict)
    """How many lines stand before those of each file, where objects come from several."""

    def line_name(self, line: int) -> str:
        """Return a line's name for a reader; empty for 0, which no line has."""
        if not line:
            return ""
        if self.starts:  # a reader counts in the file
            return f"line {line - max(start for start in self.starts.values() if start < line)}"
        return _line_name(self.cells, line)


def _line_name(cells: Sequence[int], line: int) -> str:
    cell = bisect_right(cells, line)
    return f"cell {cell}, line {line - cells[cell - 1] + 1}" if cell else f"line {line}"


def read(path: Path) -> Program:
    """Read a program from a Python file, a notebook, or the code in a page of Markdown.

    What cannot be read is a ``ValueError`` that says why.
    """
    name = path.name or str(path)
    if "\0" in str(path):
        raise ValueError("a file's name has no null character")
    try:
        if path.is_dir():
            raise ValueError(f"{name} is a folder, not a file")
        size = path.stat().st_size
        if not path.is_file():
            raise ValueError(f"{name} is not a regular file")
        if size > _MOST_BYTES:
            raise ValueError(f"{name} is too large: {size / 1e6:.1f} MB, at most 5 MB are read")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from None
    text, repairs = _decoded(content, name)
    if not text.strip():
        raise ValueError(f"{name} is empty")
    if path.suffix.lower() == ".ipynb":
        return _notebook(text, name, repairs)
    if path.suffix.lower() in (".md", ".markdown", ".txt", ".rst") and _FENCE.search(text):
        text = _fenced(text)
    return _parse(text, name, repairs=repairs)


def parse(text: str, name: str) -> Program:
    """Read a program from its text; `name` is what a reader knows it by."""
    if not text.strip():
        raise ValueError(f"{name} is empty")
    return _parse(text, name)


def _parse(
    text: str, name: str, *, repairs: Sequence[str] = (), cells: tuple[int, ...] = ()
) -> Program:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strange escapes in strings
        try:
            return _Reader(text, name, [*repairs], cells).program()
        except (RecursionError, MemoryError):
            raise ValueError(f"{name} cannot be read: it is nested too deeply") from None


# Text --------------------------------------------------------------------------------------------


def _decoded(content: bytes, name: str) -> tuple[str, list[str]]:
    """Return a file's text, and what had to be assumed for it."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16"), []
        except UnicodeDecodeError:
            raise ValueError(f"{name} is no text") from None
    if b"\0" in content:
        raise ValueError(f"{name} is no text")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding), []
    except (SyntaxError, UnicodeDecodeError, LookupError):
        text = content.decode("latin-1")
    if sum(not each.isprintable() and not each.isspace() for each in text) > len(text) / 20:
        raise ValueError(f"{name} is no text")
    return text, ["The file is not in UTF-8: it is read as Latin-1."]


_FENCE = re.compile(
    r"^( {0,3})(```+|~~~+)[ \t]*\{?\.?(?:python|py|python3|ipython3|code-cell)\b", re.M
)


def _fenced(text: str) -> str:
    """Return the Python blocks of a page at their places, and blank lines around them."""
    lines, end = [], ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if end:
            if line.strip().startswith(end) and not line.strip(" `~\t"):
                end = ""
                line = ""
            lines.append(line)
        else:
            match = _FENCE.match(line)
            end = match[2] if match else ""
            lines.append("")
    return "\n".join(lines)


def _notebook(text: str, name: str, repairs: list[str]) -> Program:
    try:
        notebook = json.loads(text.removeprefix("\ufeff"))
        if "worksheets" in notebook:
            found = [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
        else:
            found = notebook["cells"]
        sources = [
            cell.get("source", cell.get("input", ""))
            for cell in found
            if cell["cell_type"] == "code"
        ]
        codes = [source if isinstance(source, str) else "".join(source) for source in sources]
    except (ValueError, RecursionError):
        raise ValueError(f"{name} is no notebook: it is not in JSON") from None
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"{name} is no notebook: it has no cells") from None
    lines: list[str] = []
    cells = []
    for code in codes:
        cells.append(len(lines) + 1)
        lines += _without_magics(code.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    if not "".join(lines).strip():
        raise ValueError(f"{name} has no code")
    return _parse("\n".join(lines), name, repairs=repairs, cells=tuple(cells))


_MAGIC = re.compile(r"\s*(?:%{1,2}[A-Za-z]|[!?]|[\w, ]+=\s*[%!]|[\w.]+\?{1,2}\s*$)")
_KEPT_MAGIC = re.compile(r"\s*%%(?:time|timeit|capture|prun|writefile|file|python3?)\b")


def _without_magics(code: str) -> str:
    """Return a cell with what is IPython's alone blanked out."""
    first = next((line for line in code.split("\n") if line.strip()), "")
    if first.lstrip().startswith("%%") and not _KEPT_MAGIC.match(first):
        return re.sub(r"[^\n]+", "", code)
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        lines = ["" if _MAGIC.match(line) else line for line in code.split("\n")]
        return "\n".join(lines)
    return code


# Repairs -----------------------------------------------------------------------------------------


def _modern(text: str, says: Callable[[int, str], None]) -> str:
    """Return a text with the statements of Python 2 in today's form."""
    lines = text.split("\n")
    for line, start, end in sorted(_old_prints(text), reverse=True):
        old = lines[line - 1][start:end].rstrip()
        given = old[len("print") :].strip().rstrip(",")
        given = re.sub(r"^>>\s*[\w.]+\s*,?\s*", "", given)
        lines[line - 1] = (
            f"{lines[line - 1][:start]}print({given}){lines[line - 1][start + len(old) :]}"
        )
        shown = old if len(old) <= 40 else "print …"
        says(line, f"`{shown}` of Python 2 reads `print({given if shown == old else '…'})`.")
    for place, line_text in enumerate(lines):
        new = re.sub(
            r"^(\s*except\s+[\w.]+|\s*except\s*\([\w., ]+\))\s*,\s*(\w+)\s*:",
            r"\1 as \2:",
            line_text,
        )
        new = re.sub(r"^(\s*raise\s+[\w.]+)\s*,\s*(['\"].*)$", r"\1(\2)", new)
        if new != line_text:
            lines[place] = new
            says(place + 1, f"`{line_text.strip()}` of Python 2 reads `{new.strip()}`.")
    return "\n".join(lines)


def _old_prints(text: str) -> Iterator[tuple[int, int, int]]:
    """Give line, start and end of the print statements of Python 2; those on one line only."""
    statement: list[tokenize.TokenInfo] = []
    depth = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
                continue
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(token.string, 0)
            ends = token.type in (tokenize.NEWLINE, tokenize.ENDMARKER)
            if ends or (depth == 0 and token.string in (";", ":")):
                if _is_old_print(statement) and statement[0].start[0] == statement[-1].end[0]:
                    yield statement[0].start[0], statement[0].start[1], statement[-1].end[1]
                statement, depth = [], 0
            else:
                statement.append(token)
    except (tokenize.TokenError, SyntaxError):
        return


def _is_old_print(statement: Sequence[tokenize.TokenInfo]) -> bool:
    """Return whether tokens are a print that is no call, or a call that `%` follows."""
    if not statement or statement[0].string != "print":
        return False
    if len(statement) == 1 or statement[1].string in ("=", ".", ",", "[", "+=", ")"):
        return False
    if statement[1].string != "(":
        return True
    depth = 0
    for place, token in enumerate(statement[1:], 1):
        depth += {"(": 1, ")": -1}.get(token.string, 0)
        if depth == 0:
            return statement[place + 1 : place + 2] != [] and statement[place + 1].string in "%,+"
    return False


class _Lines:
    """A text whose parts can be blanked or put in other words, while lines keep their numbers."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0]
        for line in text.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._edits: list[tuple[int, int, str]] = []

    def _place(self, line: int, column: int) -> int:
        """Return where a column of a syntax tree is, which counts bytes."""
        start = self._starts[line - 1]
        content = self._text[start : self._starts[line] - 1]
        if content.isascii():
            return start + column
        return start + len(content.encode()[:column].decode(errors="ignore"))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return where a node is, decorators included."""
        first: ast.expr | ast.stmt = node
        start = self._place(first.lineno, first.col_offset)
        for decorator in getattr(node, "decorator_list", []):
            start = min(
                start,
                self._text.rindex("@", 0, self._place(decorator.lineno, decorator.col_offset)),
            )
        return start, self._place(node.end_lineno or 0, node.end_col_offset or 0)

    def source(self, node: ast.expr | ast.stmt) -> str:
        """Return a node as it is written."""
        start, end = self.span(node)
        return self._text[start:end]

    def put(self, node: ast.expr | ast.stmt, words: str) -> None:
        """Put other words in place of a node."""
        start, end = self.span(node)
        self._edits.append((start, end, words + "\n" * self._text.count("\n", start, end)))

    def drop(self, node: ast.stmt) -> None:
        """Blank a statement out; `0` is there in its place, as a block must not be empty."""
        start, end = self.span(node)
        self._edits.append((start, end, "0" + _blank(self._text[start + 1 : end])))

    def drop_decorator(self, node: ast.expr) -> None:
        """Blank a decorator out."""
        start, end = self.span(node)
        start = self._text.rindex("@", 0, start)
        self._edits.append((start, end, _blank(self._text[start:end])))

    def result(self) -> str:
        """Return the text with all edits; what is inside a dropped part is dropped with it."""
        pieces, place = [], 0
        for start, end, words in sorted(self._edits, key=lambda edit: (edit[0], -edit[1])):
            if start >= place:
                pieces += [self._text[place:start], words]
                place = end
        return "".join([*pieces, self._text[place:]])


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


# The program -------------------------------------------------------------------------------------

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _Reader:
    """Reads one program: `text` is mended until it parses, then what is harmless is kept."""

    def __init__(self, text: str, name: str, repairs: list[str], cells: tuple[int, ...]) -> None:
        self._name = name
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self._general = repairs
        self._repairs: list[tuple[int, str]] = []
        self._cells = cells
        self._known: set[str] = set()
        self._calls = _HARMLESS_ATTRIBUTES
        self._deferred: list[str] = []
        self._unread: dict[str, tuple[int, str]] = {}

    def program(self) -> Program:
        """Return the program."""
        lines, tree = self._parsed()
        self._lines = _Lines(lines)
        for statement in tree.body:
            self._keep(statement, inside=False)
        code = self._compiled(self._lines.result())
        tree = ast.parse(code)
        functions, classes = _definitions(code, tree)
        if not functions and not classes and self._unread:
            line, wrong = next(iter(self._unread.values()))
            where = _line_name(self._cells, line)
            raise ValueError(f"{self._name} cannot be read: {wrong}, in {where}")
        if not functions and not classes:
            raise ValueError(f"{self._name} defines no function and no class")
        modules, stand_ins = self._imports(tree)
        supplied = self._supplied(tree, functions, classes)
        return Program(
            name=self._name,
            text=self._text,
            code=code,
            deferred=tuple(self._deferred),
            repairs=(*self._general, *(sentence for _, sentence in sorted(self._repairs))),
            functions=MappingProxyType(functions),
            classes=MappingProxyType(classes),
            uses_torch="torch" in {module.partition(".")[0] for module in modules},
            cells=self._cells,
            modules=modules,
            stand_ins=MappingProxyType(stand_ins),
            supplied=supplied,
            unread=MappingProxyType(self._unread),
        )

    def _says(self, line: int, sentence: str) -> None:
        place = _line_name(self._cells, line)
        self._repairs.append((line, f"{place[0].upper()}{place[1:]}: {sentence}"))

    def _leaves_out(self, name: str, line: int, wrong: str) -> None:
        self._unread[name] = (line, wrong)
        self._says(line, f"`{name}` cannot be read ({wrong}) and is left out.")

    # Until it parses

    def _parsed(self) -> tuple[str, ast.Module]:
        """Return the text, with what does not parse blanked out, and its tree."""
        tree = self._tree()
        for mend in (self._without_tabs, self._without_python_2, self._without_tabs):
            if tree is None:
                mend()
                tree = self._tree()
        if tree is not None:
            return self._text, tree
        text = "\n".join(self._readable(self._text.split("\n"), 1))
        return text, ast.parse(text)

    def _tree(self) -> ast.Module | None:
        try:
            return ast.parse(self._text)
        except SyntaxError:
            return None
        except ValueError:  # a null character
            raise ValueError(f"{self._name} is no text") from None

    def _without_tabs(self) -> None:
        """Put spaces for tabs: as many as let the text parse, or go furthest."""
        if "\t" not in self._text:
            return

        def reached(size: int) -> float:
            error = _error(self._text.expandtabs(size).split("\n"), "")
            return math.inf if error is None else error.lineno or 0

        size = max((8, 4, 2), key=reached)
        if reached(size) > reached(1):
            self._text = self._text.expandtabs(size)
            self._general.append(f"Tabs and spaces are mixed: a tab is taken for {size} spaces.")

    def _without_python_2(self) -> None:
        self._text = _modern(self._text, self._says)

    def _readable(self, lines: list[str], first: int, margin: str = "") -> list[str]:
        """Return lines with those blanked out that do not parse, cut at definitions."""
        error = _error(lines, margin)
        if error is None:
            return lines
        head = re.compile(rf"{margin}(?:@|(?:async\s+)?def\b|class\b)")
        starts = [i for i, line in enumerate(lines) if head.match(line)]
        starts = [i for i in starts if i == 0 or not lines[i - 1].startswith(f"{margin}@")]
        if not margin:
            starts = sorted({*starts, *(cell - first for cell in self._cells if cell >= first)})
        cuts = sorted({0, *starts, len(lines)})
        result: list[str] = []
        for start, end in itertools.pairwise(cuts):
            if end > start:
                result += self._piece(lines[start:end], first + start, margin)
        return result

    def _piece(self, lines: list[str], first: int, margin: str) -> list[str]:
        """Return a definition and what follows it, without what does not parse."""
        error = _error(lines, margin)
        if error is None:
            return lines
        # A definition ends where a line is back at its margin.
        defined = next(
            (i for i, line in enumerate(lines) if re.match(rf"{margin}(async|def|class)\b", line)),
            None,
        )
        begins = 0 if defined is None else defined + 1
        for end in range(begins, len(lines)):
            line = lines[end]
            if line.startswith(margin) and re.match(r"[^\s#)\]}]", line[len(margin) :]) and end:
                return [
                    *self._piece(lines[:end], first, margin),
                    *self._piece(lines[end:], first + end, margin),
                ]
        if defined is None:
            return [""] * len(lines)
        if lines[defined].startswith(f"{margin}class"):
            inner = re.compile(rf"({margin}\s+)(?:def|@)")
            matches = [(i, m[1]) for i, line in enumerate(lines) if (m := inner.match(line))]
            if matches:
                start, inner_margin = matches[0]
                body = self._readable(lines[start:], first + start, inner_margin)
                mended = [*lines[:start], *body]
                if _error(mended, margin) is None:
                    return mended
        match = re.match(r"\s*(?:async\s+)?(?:def|class)\s+(\w+)", lines[defined])
        name = match[1] if match else "it"
        self._leaves_out(name, first + defined, error.msg)
        return [""] * len(lines)

    # What is kept

    def _keep(self, statement: ast.stmt, *, inside: bool) -> None:
        """Keep a statement, or blank it out; `inside` of a block it is never executed later."""
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._define(statement)
                return
            case ast.ImportFrom(module="__future__"):
                pass  # in force anyway, and an error after what is dropped before it
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                real = all(_is_real(module) for module in _imported(statement))
                for alias in names if real else ():
                    self._known.add(alias.asname or alias.name.partition(".")[0])
                return
            case ast.Assign(targets=targets, value=value) if all(
                map(self._storable, targets)
            ) and self._harmless(value):
                self._known |= {name for target in targets for name in _names(target)}
                return
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if (
                value is None or self._harmless(value)
            ):
                self._known |= set() if value is None else {name}
                return
            case ast.AugAssign(target=ast.Name(id=name), value=value) if (
                name in self._known and self._harmless(value)
            ):
                return
            case ast.Try() | ast.If() if self._keep_block(statement):
                return
            case ast.Pass():
                return
        self._lines.drop(statement)
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and not inside:
            self._deferred.append(self._lines.source(statement))

    def _keep_block(self, statement: ast.Try | ast.If) -> bool:
        """Keep what a `try` or an `if` defines; return whether there is anything."""
        blocks = [statement.body, statement.orelse]
        if isinstance(statement, ast.If):
            if "__name__" in _names(statement.test):
                return False
            if not self._harmless(statement.test):
                if not any(isinstance(each, _Definition) for each in statement.body):
                    return False
                self._lines.put(statement.test, "True")
        else:
            blocks += [statement.finalbody, *(handler.body for handler in statement.handlers)]
            for handler in statement.handlers:
                if handler.type is not None and not self._harmless(handler.type):
                    self._lines.put(handler.type, "Exception")
        if not any(
            isinstance(
                each, _Definition | ast.Import | ast.ImportFrom | ast.Assign | ast.Try | ast.If
            )
            for block in blocks
            for each in block
        ):
            return False
        for block in blocks:
            for each in block:
                self._keep(each, inside=True)
        return True

    def _define(self, node: _Definition) -> None:
        """Keep a definition, without what would be executed with it and is not there."""
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = ast.unparse(called)
            if name not in _DECORATORS and not name.endswith((".setter", ".getter", ".deleter")):
                self._lines.drop_decorator(decorator)
                self._says(
                    decorator.lineno, f"the decorator `@{name}` of `{node.name}` is left out."
                )
        if isinstance(node, ast.ClassDef):
            for base in [*node.bases, *(keyword.value for keyword in node.keywords)]:
                if not self._harmless(base):
                    written = ast.unparse(base)
                    if base in node.bases:
                        self._lines.put(base, "*()")
                    else:
                        self._lines.put(base, "type")
                    self._says(
                        node.lineno,
                        f"class `{node.name}` stands without `{written}`, which is not here.",
                    )
            outside, outside_calls = set(self._known), self._calls
            self._calls |= _MAKING
            for each in node.body:
                self._keep(each, inside=True)
            self._known, self._calls = outside, outside_calls
        else:
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            outside_calls, self._calls = self._calls, self._calls | _MAKING
            for default in defaults:
                if not self._harmless(default):
                    self._lines.put(default, "None")
                    written = ast.unparse(default)
                    self._says(
                        default.lineno,
                        f"a default value of `{node.name}`, `{written}`, is left out.",
                    )
            self._calls = outside_calls
        self._known.add(node.name)

    def _storable(self, target: ast.expr) -> bool:
        match target:
            case ast.Name():
                return True
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return all(map(self._storable, elements))
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                return name in self._known and self._harmless(index)
        return False

    def _harmless(self, node: ast.expr) -> bool:
        """Return whether an expression is one of constants, without effects."""
        match node:
            case ast.Constant() | ast.Lambda():
                return True
            case ast.Name(id=name):
                return name in self._known or (name in _BUILTINS and name not in _EFFECTS)
            case ast.Attribute(value=value):
                return self._harmless(value)
            case ast.Call(func=function, args=arguments, keywords=keywords):
                if isinstance(function, ast.Attribute):
                    calls = function.attr in self._calls
                else:
                    calls = ast.unparse(function) in _HARMLESS_NAMES | self._calls
                if not calls or not self._harmless(function):
                    return False
                return all(map(self._harmless, arguments)) and all(
                    self._harmless(keyword.value) for keyword in keywords
                )
            case ast.Compare() | ast.BinOp() | ast.UnaryOp() | ast.BoolOp() | ast.IfExp():
                pass
            case ast.Tuple() | ast.List() | ast.Set() | ast.Dict() | ast.Subscript() | ast.Slice():
                pass
            case ast.JoinedStr() | ast.FormattedValue() | ast.Starred():
                pass
            case _:
                return False
        return all(
            self._harmless(child)
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.expr)
        )

    def _compiled(self, code: str) -> str:
        """Return code without the definitions that parse and do not compile."""
        lines = code.split("\n")
        for statement in ast.parse(code).body:
            try:
                compile(ast.Module([statement], []), self._name, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                first = min(
                    [
                        statement.lineno,
                        *(each.lineno for each in getattr(statement, "decorator_list", [])),
                    ]
                )
                name = getattr(statement, "name", "")
                if name:
                    self._leaves_out(name, statement.lineno, getattr(error, "msg", str(error)))
                for line in range(first - 1, statement.end_lineno or first):
                    lines[line] = ""
        return "\n".join(lines)

    # What it needs

    def _imports(self, tree: ast.Module) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the modules that are there, and what stands in for the others."""
        modules: set[str] = set()
        stand_ins: dict[str, str] = {}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            for module in _imported(node):
                if _is_real(module):
                    if module.partition(".")[0] in ("numpy", "torch", "scipy"):
                        modules.add(module)
                    continue
                shown = module.removeprefix("here.").rpartition("here.")[2]
                if module in _LIKE_NUMPY:
                    kind, says = "numpy", "NumPy stands in for it."
                else:
                    last = module.rpartition(".")[2]
                    kind = _HELPERS.get(last, "absent")
                    says = (
                        "what uses it fails."
                        if kind == "absent"
                        else "its usual functions are put in."
                    )
                if module not in stand_ins:
                    self._says(node.lineno, f"`{shown}` is not here: {says}")
                parts = module.split(".")
                for count in range(1, len(parts)):
                    stand_ins.setdefault(".".join(parts[:count]), "package")
                stand_ins[module] = kind
        for name in list(stand_ins):
            if f"{PACKAGE}.".startswith(f"{name}."):
                del stand_ins[name]
        return tuple(sorted(modules)), stand_ins

    def _supplied(
        self,
        tree: ast.Module,
        functions: Mapping[str, Function],
        classes: Mapping[str, Class],
    ) -> tuple[str, ...]:
        """Return the names to put in: read by a function or a class, and nowhere defined."""
        bound = {name for statement in tree.body for name in _bound(statement)}
        everything = [*functions.values()]
        everything += [method for each in classes.values() for method in each.methods.values()]
        found: dict[str, int] = {}
        for function in everything:
            for name in function.reads & _SUPPLIED - bound:
                found[name] = min(found.get(name, function.line), function.line)
        for statement in tree.body:
            for name in () if isinstance(statement, _Definition) else _names(statement):
                if name in _SUPPLIED - bound:
                    found.setdefault(name, statement.lineno)
        for name, line in found.items():
            if name in _PYTHON_2:
                self._says(line, f"`{name}` of Python 2 reads `{_PYTHON_2[name]}`.")
            else:
                self._says(line, f"`{name}` is not defined: the usual one is put in.")
        return tuple(sorted(found))


_BUILTINS = frozenset(dir(builtins))
_EFFECTS = _words("exec eval compile open input print exit quit breakpoint help __import__")


def _error(lines: list[str], margin: str) -> SyntaxError | None:
    """Return why lines do not parse; with a margin they are the body of a class."""
    text = "\n".join(lines)
    try:
        ast.parse(f"class _:\n{text}\n{margin}pass" if margin else text)
    except SyntaxError as error:
        return error
    return None


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the modules that a statement imports, by their full names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not node.level:
        return [node.module or ""]
    package = (
        PACKAGE.rsplit(".", node.level - 1)[0] if node.level <= PACKAGE.count(".") + 1 else PACKAGE
    )
    if node.module:
        return [f"{package}.{node.module}"]
    return [f"{package}.{alias.name}" for alias in node.names]


def _is_real(module: str) -> bool:
    return module.partition(".")[0] in _REAL


def _names(node: ast.expr | ast.stmt) -> Iterator[str]:
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Give the names that a statement at top level binds."""
    if isinstance(statement, _Definition):
        yield statement.name
        return
    for node in ast.walk(statement):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names):
                yield from (each.asname or each.name.partition(".")[0] for each in names)
            case ast.ImportFrom(module=module, names=names):
                for each in names:
                    if each.name != "*":
                        yield each.asname or each.name
                    elif _HELPERS.get((module or "").rpartition(".")[2]):
                        yield from ("np", "sigmoid", "softmax", "tanh", "relu")
                    elif module == "numpy":
                        yield from ("tanh",)


def _definitions(code: str, tree: ast.Module) -> tuple[dict[str, Function], dict[str, Class]]:
    """Return functions and classes at top level, also those inside a `try` or an `if`."""
    tables: dict[tuple[str, int], symtable.SymbolTable] = {}

    def gather(table: symtable.SymbolTable) -> None:
        for child in table.get_children():
            tables[child.get_name(), child.get_lineno()] = child
            gather(child)

    gather(symtable.symtable(code, "<program>", "exec"))
    functions: dict[str, Function] = {}
    classes: dict[str, Class] = {}

    def look(statements: Sequence[ast.stmt]) -> None:
        for node in statements:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    functions[node.name] = _function(node, tables, method=False)
                    classes.pop(node.name, None)
                case ast.ClassDef():
                    methods = {
                        each.name: _function(each, tables, method=True)
                        for each in node.body
                        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
                    }
                    bases = tuple(ast.unparse(base) for base in node.bases)
                    bases = tuple(base for base in bases if base != "*()")
                    classes[node.name] = Class(
                        node.name, node.lineno, bases, MappingProxyType(methods)
                    )
                    functions.pop(node.name, None)
                case ast.If():
                    look([*node.orelse, *node.body])
                case ast.Try():
                    look([each for handler in node.handlers for each in handler.body])
                    look([*node.body, *node.orelse, *node.finalbody])

    look(tree.body)
    return functions, classes


def _function(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    tables: Mapping[tuple[str, int], symtable.SymbolTable],
    *,
    method: bool,
) -> Function:
    arguments = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
    decorators = {ast.unparse(each) for each in node.decorator_list}
    if method and "staticmethod" not in decorators:
        arguments = arguments[1:]
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    table = tables.get((node.name, node.lineno)) or tables.get((node.name, first))
    return Function(
        name=node.name,
        line=node.lineno,
        end_line=node.end_lineno or node.lineno,
        arguments=tuple(arguments),
        required=max(0, len(arguments) - len(node.args.defaults)),
        returned=_returned(node),
        reads=frozenset(_globals_in(table) - _BUILTINS) if table else frozenset(),
        is_empty=_is_empty(node),
    )


def _globals_in(table: symtable.SymbolTable) -> set[str]:
    names = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_global() and symbol.is_referenced()
    }
    return names.union(*map(_globals_in, table.get_children()))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Give what is inside a function, in order, without what is inside functions in it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _Definition | ast.Lambda):
            yield from _own(child)


def _returned(node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    last: ast.expr | None = None
    for each in _own(node):
        if isinstance(each, ast.Return):
            last = each.value
    if last is None or (isinstance(last, ast.Constant) and last.value is None):
        return ()
    elements = last.elts if isinstance(last, ast.Tuple) else [last]
    return tuple(map(ast.unparse, elements))


def _is_empty(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether nothing is computed: placeholders, and names that stand for nothing yet."""
    nothing: set[str] = set()

    def is_nothing(value: ast.expr | None) -> bool:
        match value:
            case None | ast.Constant(value=None):
                return True
            case ast.Name(id=name):
                return name in nothing
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return bool(elements) and any(map(is_nothing, elements))
            case ast.Dict(values=values):
                return any(map(is_nothing, values))
        return False

    for _place, statement in enumerate(node.body):
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant(value=builtins.Ellipsis)):
                continue
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case ast.Raise(exc=error):
                if error is None or "NotImplemented" not in ast.unparse(error):
                    return False
            case ast.Return(value=value):
                return is_nothing(value)
            case ast.Assign(targets=targets, value=value):
                names = [name for target in targets for name in _names(target)]
                stored = all(
                    isinstance(each, ast.Name | ast.Tuple | ast.expr_context)
                    for target in targets
                    for each in ast.walk(target)
                )
                if not stored:
                    return False
                if is_nothing(value):
                    nothing |= set(names)
                elif not isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.Tuple):
                    return False
            case _:
                return False
    return True


def described(namespace: Mapping[str, Any], name: str) -> Program:
    """Describe functions and classes of this process, by their source where there is one."""
    objects = {
        key: each
        for key, each in namespace.items()
        if inspect.isfunction(each) or inspect.isclass(each)
    }
    text, starts = _sources(objects)
    try:
        program = parse(text, name)
    except ValueError:
        program = Program(name, "", "", (), (), {}, {}, uses_torch=False)
    functions = {key: known for key, known in program.functions.items() if key in objects}
    for key, each in objects.items():
        if inspect.isfunction(each) and key not in functions:
            functions[key] = _by_signature(key, each)
    classes = {key: known for key, known in program.classes.items() if key in objects}
    return replace(program, repairs=(), functions=functions, classes=classes, starts=starts)


def _sources(objects: Mapping[str, Any]) -> tuple[str, dict[str, int]]:
    """Return the file that objects stand in, or of several their own lines, each in its place."""
    found: dict[str, list[tuple[int, list[str]]]] = {}
    whole: list[str] = []
    for each in objects.values():
        with contextlib.suppress(OSError, TypeError):
            lines, first = inspect.getsourcelines(each)
            whole, _ = inspect.findsource(each)
            found.setdefault(inspect.getfile(inspect.unwrap(each)), []).append((first, lines))
    if len(found) < 2:
        return "".join(whole), {}
    text: list[str] = []
    starts = {}
    for file, blocks in found.items():
        starts[file] = len(text)
        for first, lines in sorted(blocks):
            if (missing := starts[file] + first - 1 - len(text)) >= 0:
                text += [""] * missing + textwrap.dedent("".join(lines)).splitlines()
    return "\n".join(text), starts


def _by_signature(name: str, function: Any) -> Function:
    """Describe a function that has no source."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    return Function(
        name=name,
        line=0,
        end_line=0,
        arguments=tuple(parameter.name for parameter in parameters),
        required=sum(parameter.default is inspect.Parameter.empty for parameter in parameters),
        returned=(),
        reads=frozenset(),
        is_empty=False,
    )
