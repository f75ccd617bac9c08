"""The forms in which people write a recurrence: what each is given and what it returns."""

from __future__ import annotations

import ast
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnreport.check._convention import Convention, Mismatch
from rnnreport.check._names import gate_names, role, roles
from rnnreport.check._problems import LSTM, Problem
from rnnreport.check._program import Function, Program
from rnnreport.check._session import Caller, Failure, Outcome, Ref
from rnnreport.equations._mistakes import GATES_OF

__all__ = ["Forward", "Recurrence", "Run", "subjects"]

_LONG_NAME = 16
"""An expression of so many letters has the usual name instead."""
_STATES = {"rnn": ("h",), "gru": ("h",), "lstm": ("h", "c")}


@dataclass
class Forward:
    """What a forward pass returned: arrays that fit a state, and what the way back needs."""

    outcome: Outcome
    states: list[Tensor] = field(default_factory=list)
    cache: Any = None
    handle: Ref | None = None
    mismatch: str = ""


@dataclass
class Run:
    """What a backward pass returned, in the problem's form.

    Attributes
    ----------
    gradients : dict of str to Tensor
        By the problem's names: ``"x"``, ``"h_0"``, ``"W_x^f"``.
    names : dict of str to str
        What the code calls them, without the gate: ``"W_x"`` to ``"dWx"``.
    mismatch : dict of str to str
        What has the wrong shape or is no array, by the problem's name.
    failure : Failure or None
        What kept it from returning.
    forward, backward : Outcome or None
        Of the two calls.
    """

    gradients: dict[str, Tensor] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    mismatch: dict[str, str] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    failed: str = ""
    forward: Outcome | None = None
    backward: Outcome | None = None


@dataclass
class Recurrence(ABC):
    """A step or a sequence in a reader's code, forward and backward.

    Attributes
    ----------
    session : Caller
        Runs the code.
    program : Program
        What is known of it without running it.
    cell : str
        The recurrence.
    whole : bool
        Whether it runs a sequence.
    forward_name, backward_name : str
        The functions or methods, as a reader calls them; no backward pass if empty.
    """

    session: Caller
    program: Program
    cell: str
    whole: bool
    forward_name: str
    backward_name: str

    takes_c0 = True
    takes_dc = True
    biases = 1
    integers = False
    """Whether the input is handed over as whole numbers."""

    @property
    def unlike(self) -> str:
        """What makes it none of the known forms, as a sentence; empty if nothing does."""
        return ""

    @property
    def forward_function(self) -> Function | None:
        """The function of the forward pass."""
        return self._function(self.forward_name)

    @property
    def backward_function(self) -> Function | None:
        """The function of the backward pass."""
        return self._function(self.backward_name)

    def calls(self, step: Recurrence) -> bool:
        """Whether a step of the same file is called, as far as its names tell."""
        known: set[str] = set()
        left = {name.partition(".")[0] for name in (self.forward_name, self.backward_name)}
        while left:
            name = left.pop()
            known.add(name)
            owner, own = self.program.classes.get(name), self.program.functions.get(name)
            bodies = [*(owner.methods.values() if owner else ()), *([own] if own else ())]
            left |= {each for body in bodies for each in body.reads} - known
        return bool(known & {step.backward_name.partition(".")[0], step.backward_name})

    def _function(self, name: str) -> Function | None:
        owner, _, method = name.partition(".")
        if method:
            known = self.program.classes.get(owner)
            return known.methods.get(method) if known else None
        return self.program.functions.get(name)

    @abstractmethod
    def forms(self) -> Iterator[Convention]:
        """Yield the arrangements to try, without the roles of the gates."""

    @abstractmethod
    def run_forward(self, form: Convention, problem: Problem, *, trace: bool = False) -> Forward:
        """Run the forward pass on a problem written in a form."""

    @abstractmethod
    def run_backward(
        self, form: Convention, problem: Problem, forward: Forward, *, trace: bool = False
    ) -> Run:
        """Run the backward pass after a forward pass."""

    def run(self, form: Convention, problem: Problem, *, trace: bool = False) -> Run:
        """Run both passes."""
        forward = self.run_forward(form, problem, trace=trace)
        if forward.outcome.failure:
            return Run(
                failure=forward.outcome.failure, failed=self.forward_name, forward=forward.outcome
            )
        run = self.run_backward(form, problem, forward, trace=trace)
        run.forward = forward.outcome
        self.session.forget()
        return run

    # What the forms share.

    def taken(self, problem: Problem) -> Problem:
        """Return a problem without the gradient of c_T where the code cannot be given one."""
        if not isinstance(problem, LSTM) or self.takes_dc:
            return problem
        return replace(problem, u_c=torch.zeros_like(problem.u_c))

    def _read_forward(self, form: Convention, problem: Problem, outcome: Outcome) -> Forward:
        """Read what a forward function returned: states, and a cache behind them."""
        forward = Forward(outcome)
        if outcome.failure:
            return forward
        values = _elements(outcome.value)
        forward.states = self._states(form, problem, values)
        if isinstance(outcome.value, tuple | list) and len(values) > 1:
            forward.cache = outcome.ref[len(values) - 1]
        return forward

    def _state(self, form: Convention, problem: Problem, array: Any) -> Tensor:
        """Read what a forward pass returned as states."""
        H, N = problem.h_0.shape
        if self.whole:
            return form.read_sequence(array, problem.T, H, N)
        return form.read_step(array, H, N)[None]

    def _states(self, form: Convention, problem: Problem, values: Sequence[Any]) -> list[Tensor]:
        found = []
        for value in values:
            try:
                found.append(self._state(form, problem, value))
            except Mismatch:
                continue
        return found

    def _input(self, form: Convention, problem: Problem) -> Any:
        x = form.sequence(problem.x) if self.whole else form.step(problem.x[0])
        return x.astype(np.int64) if self.integers else x

    def _upstream(self, form: Convention, problem: Problem) -> tuple[Any, Any]:
        """Write the gradients of the states: all of h, and that of the last c."""
        dh = form.sequence(problem.u) if self.whole else form.step(problem.u[0])
        dc = form.step(problem.u_c[-1]) if isinstance(problem, LSTM) else None
        return dh, dc

    def _expected(self) -> list[str]:
        return ["x", *_STATES[self.cell], "W_x", "W_h", "b"]

    def _read(
        self, run: Run, form: Convention, problem: Problem, named: Mapping[str, tuple[str, Any]]
    ) -> None:
        """Read gradients: by role, which may hold a gate, what the code calls it and its value."""
        (D, N), H = problem.x.shape[1:], problem.h_0.shape[0]
        for key, (said, value) in named.items():
            name, _, gate = key.partition("^")
            own = {"h": "h_0", "c": "c_0"}.get(name, name)
            run.names[key if gate else own] = said
            run.raw[key if gate else own] = value
            try:
                if own == "x" and self.whole:
                    run.gradients["x"] = form.read_sequence(value, problem.T, D, N, said)
                elif own == "x":
                    run.gradients["x"] = form.read_step(value, D, N, said)[None]
                elif own in ("h_0", "c_0"):
                    run.gradients[own] = form.read_step(value, H, N, said)
                elif name in ("W_x", "W_h", "W", "b", "b_h"):
                    run.gradients |= form.read_parameter(name, gate, value, D, H, said)
            except Mismatch as mismatch:
                run.mismatch[key if gate else own] = str(mismatch)


def _elements(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple | list) else [value]


# Functions of a course: `lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b)`.


@dataclass
class CourseFunctions(Recurrence):
    """Functions that take arrays and return arrays and a cache."""

    def __post_init__(self) -> None:
        function = self.forward_function
        assert function is not None  # noqa: S101
        self.joined = _is_joined(function.arguments)
        expected = self._expected()
        if self.whole and self.cell == "lstm" and function.required == len(expected) - 1:
            expected.remove("c")
        if self.cell == "gru" and len(function.arguments) > len(expected):
            expected.append("b_h")
        known = function.arguments[: max(function.required, self._known(function))]
        self.arguments = roles(known, expected)
        self.takes_c0 = "c" in self.arguments
        self.biases = 2 if "b_h" in self.arguments else 1 if "b" in self.arguments else 0

    @property
    def unlike(self) -> str:
        """What makes it none of the known forms."""
        function = self.forward_function
        count, most = function.required if function else 0, len(self.arguments)
        return f"It takes {count} arguments, a known form {most}." if count > most else ""

    def _expected(self) -> list[str]:
        names = super()._expected()
        return [*names[: names.index("W_x")], "W", "b"] if self.joined else names

    def _known(self, function: Function) -> int:
        """Count the arguments up to the last optional one that is a state or a bias."""
        count = function.required
        for place in range(function.required, len(function.arguments)):
            if role(function.arguments[place]) not in ("c", "b_h", "b"):
                break
            count = place + 1
        return count

    def forms(self) -> Iterator[Convention]:
        """Rows first, with the axes that are usual, then columns; of one matrix either order."""
        for joined in ("hx", "xh") if self.joined else ("",):
            yield from (replace(form, joined=joined) for form in self._arrangements())

    def _arrangements(self) -> Iterator[Convention]:
        plain = Convention(self.cell, biases=self.biases)
        for turned in (False, True):
            yield from (replace(plain, time=time, turned=turned) for time in ("NTD", "TND"))
        columns = replace(plain, columns=True, bias="column")
        for time in ("DNT", "TDN", "DTN"):
            for turned in (True, False):
                yield replace(columns, time=time, turned=turned)
                yield replace(columns, time=time, turned=turned, bias="flat")
        for turned in (False, True):
            yield replace(plain, time="TD", turned=turned)
            yield replace(columns, time="TD", turned=turned)

    def run_forward(self, form: Convention, problem: Problem, *, trace: bool = False) -> Forward:
        """Call the forward function."""
        given = form.weights(problem)
        given |= {"x": self._input(form, problem), "h": form.step(problem.h_0)}
        if isinstance(problem, LSTM):
            given["c"] = form.step(problem.c_0)
        arguments = [given[name] for name in self.arguments]
        outcome = self.session.call(self.forward_name, *arguments, trace=trace)
        return self._read_forward(form, problem, outcome)

    def run_backward(
        self, form: Convention, problem: Problem, forward: Forward, *, trace: bool = False
    ) -> Run:
        """Call the backward function with the gradients and the cache."""
        dh, dc = self._upstream(form, problem)
        function = self.backward_function
        names = function.arguments if function else ()
        given: list[Any] = []
        keywords: dict[str, Any] = {}
        upstream = [dh, dc] if self.cell == "lstm" and not self.whole else [dh]
        required = function.required if function else 0
        for place, name in enumerate(names):
            if re.search(r"cache|store|saved|ctx|memory", name, re.I) and forward.cache is not None:
                given.append(forward.cache)
                forward = replace(forward, cache=None)
            elif upstream:
                given.append(upstream.pop(0))
            elif place < required and forward.cache is not None:
                given.append(forward.cache)
                forward = replace(forward, cache=None)
            elif place < required:
                given.append(None)
            elif role(name) == "c" or re.fullmatch(r"d_?(?:next_?)?c\w*", name):
                keywords[name] = dc
        self.takes_dc = self.cell == "lstm" and (not self.whole or bool(keywords))
        outcome = self.session.call(self.backward_name, *given, trace=trace, **keywords)
        run = Run(backward=outcome, failure=outcome.failure, failed=self.backward_name)
        if outcome.failure:
            return run
        self._read(run, form, problem, self._named(outcome.value, function))
        return run

    def _named(self, value: Any, function: Function | None) -> dict[str, tuple[str, Any]]:
        """Return the gradients by what they belong to."""
        if isinstance(value, dict):
            return _by_key(value, ())
        values = _elements(value)
        expected = self._expected()
        if self.whole and self.cell == "lstm" and len(values) == len(expected) - 1:
            expected.remove("c")
        if self.cell == "gru" and len(values) > len(expected):
            expected.append("b_h")
        returned = function.returned if function else ()
        usual = [self._usual(name) for name in expected]
        if len(returned) != len(values):
            returned = tuple(usual[: len(values)])
        names = roles(returned, expected)
        return {
            name: (said if len(said) < _LONG_NAME else self._usual(name), each)
            for name, said, each in zip(names, returned, values, strict=False)
        }

    def _usual(self, name: str) -> str:
        """Return what a gradient is usually called, by what it belongs to."""
        states = ("dh0", "dc0") if self.whole else ("dprev_h", "dprev_c")
        return dict(zip("hc", states, strict=True)).get(name, "d" + name.replace("_", ""))


def _is_joined(arguments: Sequence[str]) -> bool:
    """Whether one matrix stands in place of W_x and W_h, by the names."""
    matrices = [name for name in arguments if re.match(r"[wur](?![a-z]*state)", name, re.I)]
    return len(matrices) == 1 and not role(matrices[0])


def _by_key(value: Mapping[str, Any], letters: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Return the gradients of a dictionary by what they belong to; `letters` name the gates."""
    named: dict[str, tuple[str, Any]] = {}
    for key, each in value.items():
        found = role(key)
        match = re.fullmatch(r"d?([WbU])_?(\w+)", key)
        if match and match[2] in letters:
            kind = "W" if match[1] in "WU" else "b"
            named[f"{kind}^{match[2]}"] = (key, each)
        elif found and found not in ("W_y", "b_y"):
            named["b" if found == "b_h" and "b" not in named else found] = (key, each)
    return named


# Dictionaries of parameters: `lstm_cell_forward(xt, a_prev, c_prev, parameters)`.


@dataclass
class Dictionaries(Recurrence):
    """Functions that take a dictionary of parameters and return one of gradients."""

    def __post_init__(self) -> None:
        function = self.forward_function
        assert function is not None  # noqa: S101
        keys = keys_of(self.program, function.name)
        if self.whole:  # a sequence may leave the parameters to its step
            for other in self.program.functions:
                if re.search(rf"{self.cell}\w*forward", other, re.I):
                    keys += [key for key in keys_of(self.program, other) if key not in keys]
        self.keys = keys
        self.letters = gate_names(keys) if self.cell != "rnn" else ()
        self.takes_c0 = not self.whole
        self.takes_dc = not self.whole

    def forms(self) -> Iterator[Convention]:
        """Columns, the state before the input and the other way round."""
        plain = Convention(self.cell, columns=True, turned=True, time="DNT", bias="column")
        if self.cell == "rnn":
            yield plain
            yield replace(plain, bias="flat")
            return
        for joined in ("hx", "xh"):
            yield replace(plain, separate=True, joined=joined)

    @property
    def unlike(self) -> str:
        """What makes it none of the known forms."""
        count, needed = len(self.letters), len(GATES_OF[self.cell])
        if self.cell == "rnn" or count == needed:
            return ""
        return f"It reads {count} matrices of gates by their names, this recurrence has {needed}."

    def parameters(self, form: Convention, problem: Problem) -> dict[str, Any]:
        """Write the dictionary, with an output layer that plays no part."""
        H = problem.h_0.shape[0]
        given: dict[str, Any] = {}
        weights = form.weights(problem)
        for key in self.keys:
            name = role(key)
            if name == "W_y":
                given[key] = np.full((2, H), 0.1)
            elif name == "b_y":
                given[key] = np.zeros((2, 1))
            elif name in weights:
                given[key] = weights[name]
        for letter, gate in zip(self.letters, form.gates, strict=False):
            for kind, name in (("W", "W"), ("b", "b")):
                key = next(
                    (k for k in self.keys if k in (f"{kind}{letter}", f"{kind}_{letter}")), ""
                )
                given[key or f"{kind}{letter}"] = weights[f"{name}^{gate}"]
        if "b" not in given and self.cell == "rnn":
            given |= {key: weights["b"] for key in self.keys if role(key) == "b_h"}
        return given

    def run_forward(self, form: Convention, problem: Problem, *, trace: bool = False) -> Forward:
        """Call the forward function."""
        arguments = [self._input(form, problem), form.step(problem.h_0)]
        if isinstance(problem, LSTM) and not self.whole:
            arguments.append(form.step(problem.c_0))
        outcome = self.session.call(
            self.forward_name, *arguments, self.parameters(form, problem), trace=trace
        )
        return self._read_forward(form, problem, outcome)

    def run_backward(
        self, form: Convention, problem: Problem, forward: Forward, *, trace: bool = False
    ) -> Run:
        """Call the backward function with the gradients and the cache."""
        dh, dc = self._upstream(form, problem)
        given = [dh, dc] if self.cell == "lstm" and not self.whole else [dh]
        outcome = self.session.call(self.backward_name, *given, forward.cache, trace=trace)
        run = Run(backward=outcome, failure=outcome.failure, failed=self.backward_name)
        if outcome.failure:
            return run
        if not isinstance(outcome.value, dict):
            kind = "None" if outcome.value is None else type(outcome.value).__name__
            run.mismatch["all"] = f"it returns {kind}, expected a dictionary of gradients"
            return run
        named = _by_key(outcome.value, self.letters)
        gates = dict(zip(self.letters, form.gates, strict=False))
        roles_of = {
            f"{key.partition('^')[0]}^{gates[key.partition('^')[2]]}" if "^" in key else key: value
            for key, value in named.items()
        }
        self._read(run, form, problem, roles_of)
        return run


def keys_of(program: Program, name: str) -> list[str]:
    """Return the keys that a function reads from dictionaries, in order."""
    function = program.functions[name]
    lines = program.text.split("\n")[function.line - 1 : function.end_line]
    found = re.findall(r"""["']([WUb]_?\w{1,4})["']""", "\n".join(lines))
    return list(dict.fromkeys(found))


# Classes: `LSTM(Wx, Wh, b)` with `forward`, `backward` and `grads`.


@dataclass
class Classes(Recurrence):
    """Classes that hold parameters and gradients, of a step or of a sequence."""

    @property
    def class_name(self) -> str:
        """The class."""
        return self.forward_name.partition(".")[0]

    def __post_init__(self) -> None:
        self.takes_dc = not self.whole
        self.methods = self.program.classes[self.class_name].methods

    def forms(self) -> Iterator[Convention]:
        """Rows, batch first, then time first."""
        for time in ("NTD", "TND") if self.whole else ("NTD",):
            yield Convention(self.cell, time=time)

    def run_forward(self, form: Convention, problem: Problem, *, trace: bool = False) -> Forward:
        """Make an object, give it its states and call its forward pass."""
        weights = form.weights(problem)
        given = [weights[name] for name in ("W_x", "W_h", "b")]
        states = [form.step(problem.h_0)]
        if isinstance(problem, LSTM):
            states.append(form.step(problem.c_0))
        if not self.whole:
            made = self.session.call(self.class_name, *given)
            if made.failure:
                return Forward(made)
            x = self._input(form, problem)
            outcome = self.session.call(made.ref, x, *states, method="forward", trace=trace)
        else:
            constructor = self.methods.get("__init__")
            stateful = [True] if constructor and "stateful" in constructor.arguments else []
            made = self.session.call(self.class_name, *given, *stateful)
            if made.failure:
                return Forward(made)
            if "set_state" in self.methods:
                done = self.session.call(made.ref, *states, method="set_state")
                if done.failure:
                    return Forward(done)
            else:
                for name, value in zip(("h", "c"), states, strict=False):
                    self.session.set(made.ref, name, value)
            x = self._input(form, problem)
            outcome = self.session.call(made.ref, x, method="forward", trace=trace)
        forward = Forward(outcome, handle=made.ref)
        if not outcome.failure:
            forward.states = self._states(form, problem, _elements(outcome.value))
        return forward

    def run_backward(
        self, form: Convention, problem: Problem, forward: Forward, *, trace: bool = False
    ) -> Run:
        """Call the object's backward pass and read its gradients."""
        dh, dc = self._upstream(form, problem)
        given = [dh] if self.whole or self.cell != "lstm" else [dh, dc]
        assert forward.handle is not None  # noqa: S101
        outcome = self.session.call(forward.handle, *given, method="backward", trace=trace)
        run = Run(backward=outcome, failure=outcome.failure, failed=self.backward_name)
        if outcome.failure:
            return run
        values = _elements(outcome.value)
        function = self.backward_function
        returned = function.returned if function else ()
        expected = ["x"] if self.whole else ["x", *_STATES[self.cell]]
        if len(returned) != len(values):
            returned = tuple(f"d{name}" for name in expected)
        named = {
            name: (said, value)
            for name, said, value in zip(expected, returned, values, strict=False)
        }
        if self.whole:
            state = self.session.get(forward.handle, "dh")
            if not state.failure and state.value is not None:
                named["h"] = ("self.dh", state.value)
        grads = self.session.get(forward.handle, "grads")
        if not grads.failure and isinstance(grads.value, list | tuple):
            for place, (name, value) in enumerate(
                zip(("W_x", "W_h", "b"), grads.value, strict=False)
            ):
                named[name] = (f"self.grads[{place}]", value)
        self._read(run, form, problem, named)
        return run


# One function that does all: `lossFun(inputs, targets, hprev)`, with weights as globals.


@dataclass
class LossFunction(Recurrence):
    """A character model: forward pass, loss and backward pass in one function of global weights."""

    vocabulary: int = 4

    def __post_init__(self) -> None:
        self.takes_dc = False
        self.takes_c0 = self.cell == "lstm"

    def forms(self) -> Iterator[Convention]:
        """Columns without a batch; the shapes of the globals tell the rest."""
        plain = Convention(self.cell, columns=True, turned=True, time="TD", bias="column")
        if self.cell == "rnn":
            yield plain
            yield replace(plain, bias="flat")
            return
        shapes = self.shapes()
        D, H = self.vocabulary, _HIDDEN
        sizes = list(shapes.values())
        separate = sizes.count((4 * H, D + H)) + sizes.count((4 * H, H)) == 0
        joined = (H, D + H) in sizes or (4 * H, D + H) in sizes
        for order in ("hx", "xh") if joined else ("",):
            yield replace(plain, separate=separate, joined=order)

    @property
    def unlike(self) -> str:
        """What makes it none of the known forms."""
        found = [self.places(form) for form in self.forms()]
        if any({"W_x^f", "W^f", "W_x", "W"} & set(places) for places in found):
            return ""
        return "Its weights are no global arrays of the usual shapes, with a state as a column."

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the global weights, as the file makes them for sizes of ours."""
        if hasattr(self, "_shapes"):
            return self._shapes
        function = self.forward_function
        assert function is not None  # noqa: S101
        made = self._assignments()
        self._set_sizes()
        for statement in made:
            if not re.search(r"\bopen\(|input\(", statement):
                self.session.run(statement)
                self._set_sizes()
        self._shapes: dict[str, tuple[int, ...]] = {}
        targets = {name for each in made for name in re.findall(r"\w+", each.partition("=")[0])}
        for name in sorted(function.reads | targets):
            got = self.session.get(None, name)
            if not got.failure and isinstance(got.value, np.ndarray) and got.value.ndim >= 1:
                self._shapes[name] = got.value.shape
        return self._shapes

    def _assignments(self) -> list[str]:
        """Return what the file assigns outside of functions."""
        try:
            body = ast.parse(self.program.text).body
        except SyntaxError:
            return list(self.program.deferred)
        return [ast.unparse(node) for node in body if isinstance(node, ast.Assign)]

    def _set_sizes(self) -> None:
        sizes = {"D": self.vocabulary, "H": _HIDDEN, "T": 3}
        for name in self._sizes():
            self.session.set(None, name, sizes[_size_of(name)])

    def _sizes(self) -> list[str]:
        names = set(re.findall(r"\b[A-Za-z_]\w*\b", self.program.text))
        return [name for name in names if _size_of(name) and name not in self.program.functions]

    def places(self, form: Convention) -> dict[str, str]:
        """Return the global of each parameter: by shape, and of equal shapes by name."""
        shapes = self.shapes()
        D, H = self.vocabulary, _HIDDEN
        wanted: dict[str, tuple[int, ...]] = {}
        if self.cell == "rnn":
            wanted = {"W_x": (H, D), "W_h": (H, H), "b": (H, 1)}
        elif form.separate:
            pass
        elif form.joined:
            wanted = {"W": (4 * H, D + H), "b": (4 * H, 1)}
        else:
            wanted = {"W_x": (4 * H, D), "W_h": (4 * H, H), "b": (4 * H, 1)}
        wanted |= {"W_y": (D, H), "b_y": (D, 1)}
        found: dict[str, str] = {}
        for name, shape in wanted.items():
            fitting = [
                n for n, s in shapes.items() if s == shape or s == shape[:1] * (shape[1:] == (1,))
            ]
            fitting.sort(key=lambda n: (role(n) != name, n))
            if fitting:
                found[name] = fitting[0]
        if form.separate and self.cell == "lstm":
            found |= self._separate(form, shapes)
        return found

    def extras(self) -> list[str]:
        """Return the globals that are no parameters of the recurrence, such as peepholes."""
        function = self.forward_function
        assert function is not None  # noqa: S101
        known = set(self._places.values())
        sizes = {self.vocabulary, _HIDDEN, 1}
        return [
            name
            for name, shape in self.shapes().items()
            if name in function.reads and name not in known and set(shape) <= sizes
        ]

    def _separate(self, form: Convention, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
        D, H = self.vocabulary, _HIDDEN
        kinds = {"W": (H, D + H)} if form.joined else {"W_x": (H, D), "W_h": (H, H)}
        found: dict[str, str] = {}
        for kind, shape in {**kinds, "b": (H, 1)}.items():
            names = [n for n, s in shapes.items() if s == shape or (kind == "b" and s == (H,))]
            own = [n for n in names if n[0].lower() in ("b" if kind == "b" else "wu")]
            names = own if len(own) >= 4 else names  # peepholes have the shape of a bias
            names = sorted(names, key=lambda n: (_letter_rank(n), n))[:4]
            for gate, name in zip(form.gates, names, strict=False):
                found[f"{kind}^{gate}"] = name
        return found

    def run_forward(self, form: Convention, problem: Problem, *, trace: bool = False) -> Forward:
        """Set the globals and call the function; its last states are what it returns of them."""
        self._places = self.places(form)
        weights = form.weights(problem)
        for name, place in self._places.items():
            if name in weights:
                shape = self.shapes()[place]
                self.session.set(None, place, weights[name].reshape(shape))
        for extra in self.extras():
            self.session.set(None, extra, np.zeros(self.shapes()[extra]))
        D, H = self.vocabulary, _HIDDEN
        self.W_y = _output_weights(D, H)
        if "W_y" in self._places:
            self.session.set(None, self._places["W_y"], self.W_y)
        if "b_y" in self._places:
            place = self._places["b_y"]
            self.session.set(None, place, np.zeros(self.shapes()[place]))
        T = problem.T
        self.inputs = problem.x[:, :, 0].argmax(1).tolist()
        self.targets = [(each + 1) % D for each in range(T)]
        function = self.forward_function
        assert function is not None  # noqa: S101
        states = [form.step(problem.h_0)]
        if isinstance(problem, LSTM):
            states.append(form.step(problem.c_0))
            if role(function.arguments[2]) == "c":
                states.reverse()
        outcome = self.session.call(
            self.forward_name, self.inputs, self.targets, *states, trace=trace
        )
        forward = Forward(outcome)
        if not outcome.failure:
            for value in _elements(outcome.value):
                try:
                    last = form.read_step(value, H, 1)[None]
                except Mismatch:
                    continue
                forward.states.append(last)
        return forward

    def run_backward(
        self, form: Convention, problem: Problem, forward: Forward, *, trace: bool = False
    ) -> Run:
        """Read the gradients of the weights from what the function returned."""
        run = Run(backward=forward.outcome)
        named: dict[str, tuple[str, Any]] = {}
        places = {place: name for name, place in self._places.items()}
        for said, value in self._returned(forward.outcome.value):
            plain = said.strip().rpartition(".")[2]
            bare = re.sub(r"^(?:grad_?|d_?)", "", plain)
            for own in (bare, plain):
                if own in places and places[own] not in ("W_y", "b_y"):
                    named[places[own]] = (said, value)
        self._read(run, form, problem, named)
        return run

    def _returned(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield what was returned by its names, also out of a tuple or a dictionary."""
        function, values = self.forward_function, _elements(value)
        returned = function.returned if function and len(function.returned) == len(values) else ()
        for said, each in zip(returned, values, strict=False):
            if isinstance(each, dict):
                yield from each.items()
            elif isinstance(each, tuple | list):
                parts = getattr(ast.parse(said, mode="eval").body, "elts", ())
                yield from zip(map(ast.unparse, parts), each, strict=False)
            else:
                yield said, each

    def problem(self, problem: Problem) -> Problem:
        """Return the problem with one-hot inputs and the loss of this function."""
        D, T = self.vocabulary, problem.T
        inputs = [(2 * t + 1) % D for t in range(T)]
        x = torch.zeros_like(problem.x[:, :, :1])
        for t, word in enumerate(inputs):
            x[t, word] = 1
        one: dict[str, Any] = {n: getattr(problem, n)[..., :1] for n in ("h_0", "u", "s")}
        if isinstance(problem, LSTM):
            one |= {"c_0": problem.c_0[..., :1]}
            one |= dict.fromkeys(("u_c", "s_c"), torch.zeros_like(problem.u_c[..., :1]))
        return replace(problem, x=x, **one)

    def with_loss(self, problem: Problem) -> Problem:
        """Return the problem with what the loss of the scores sends into each state."""
        W = torch.from_numpy(_output_weights(self.vocabulary, _HIDDEN))
        targets = [(each + 1) % self.vocabulary for each in range(problem.T)]
        own = []
        for t in range(problem.T):
            share = torch.softmax(W @ problem.h[t + 1], dim=0)
            share[targets[t]] -= 1
            own.append(W.T @ share)
        return replace(problem, u=torch.stack(own))


_HIDDEN = 5


def _output_weights(D: int, H: int) -> Any:
    values = 0.3 * np.cos(1 + np.arange(D * H, dtype=np.float64))
    return values.reshape(D, H)


def _letter_rank(name: str) -> int:
    """Rank a name by its gate's letter: f, i or u, c, g or a, o."""
    letters = re.sub(r"^[WUVb]_?", "", name).lower()
    for rank, known in enumerate(("f", "iu", "cgaz", "o")):
        if any(letter in letters.replace("x", "").replace("h", "") for letter in known):
            return rank
    return 9


def _size_of(name: str) -> str:
    """Return which size a global's name tells: D, H, T or none."""
    plain = name.lower()
    if re.fullmatch(
        r"(?:vocab|data|input|x|char|word)s?_?(?:size|len|dim|length)|vocab|v|d|n_?x|input_?dim|output_?size|n_?chars",
        plain,
    ):
        return "D" if plain not in ("data_length",) else ""
    if re.fullmatch(
        r"(?:hidden|state|h|n)_?(?:size|len|dim|units?|layer_?size)|h|hidden|n_?h|n_?a", plain
    ):
        return "H"
    if re.fullmatch(r"(?:seq|sequence|time)_?(?:length|len|size|steps)|t_?steps", plain):
        return "T"
    return ""


# What a file holds.

_CELLS = {"rnn", "lstm", "gru"}
_ONE_STEP = {"step", "cell", "unit"}
_FORWARD = {"forward", "fwd", "fprop"}
_BACKWARD = {"backward", "bwd", "back", "backprop", "bprop", "grad"}
_OTHERS = {"pass", "propagation", "time", "sequence", "seq", "layer", "vanilla", "my", "numpy"}
_CLASS = re.compile(r"(Time)?(RNN|LSTM|GRU)(?:Cell|Layer)?", re.I)
_LOSS = re.compile(r"loss_?fun\w*|loss_?function|forward_?backward|compute_?loss", re.I)


def is_recognised(name: str) -> bool:
    """Whether a function or a class of this name would be checked."""
    known = _LOSS.fullmatch(name) or _CLASS.fullmatch(name) or _recognised(name)
    return bool(known)


def _recognised(name: str) -> tuple[str, bool, str] | None:
    """Return cell, whether of a sequence, and way of a function of a course, by its name."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    cells, step = words & _CELLS, words & _ONE_STEP
    forward, backward = words & _FORWARD, words & _BACKWARD
    if len(cells) != 1 or words - _CELLS - _ONE_STEP - _FORWARD - _BACKWARD - _OTHERS:
        return None
    if (forward and backward) or not (forward or backward or step):
        return None
    return cells.pop(), not step, "backward" if backward else "forward"


def subjects(session: Caller, program: Program) -> list[Recurrence]:
    """Return the recurrences of a file, steps before sequences."""
    found: list[Recurrence] = []
    functions: dict[tuple[str, bool, str], Function] = {}
    for name, function in program.functions.items():
        key = _recognised(name)
        if key is not None:
            functions.setdefault(key, function)
    for cell in GATES_OF:
        for whole in (False, True):
            forward = functions.get((cell, whole, "forward"))
            if forward is None or forward.required < 2:
                continue
            backward = functions.get((cell, whole, "backward"))
            last = forward.arguments[forward.required - 1] if forward.required else ""
            form: type[Recurrence] = CourseFunctions
            if re.search(r"param|weights?$|theta", last, re.I) and forward.required <= 4:
                form = Dictionaries
            name = backward.name if backward else ""
            found.append(form(session, program, cell, whole, forward.name, name))
    for name, known in program.classes.items():
        match = _CLASS.fullmatch(name)
        constructor = known.methods.get("__init__")
        if not match or "forward" not in known.methods or constructor is None:
            continue
        if len(constructor.arguments) < 3 or not all(
            re.match(r"w|u|weight", given, re.I) for given in constructor.arguments[:2]
        ):
            continue
        whole = bool(match[1])
        way = f"{name}.backward" if "backward" in known.methods else ""
        found.append(Classes(session, program, match[2].lower(), whole, f"{name}.forward", way))
    if not found:
        for name, function in program.functions.items():
            if _LOSS.fullmatch(name) and 3 <= function.required <= 5:
                cell = "lstm" if function.required > 3 else "rnn"
                found.append(LossFunction(session, program, cell, True, name, name))
    forward, backward = (program.functions.get(name) for name in ("forward", "backward"))
    if not found and forward is not None:
        cell = "lstm" if any(role(name) == "c" for name in forward.arguments) else "rnn"
        name = "backward" if backward else ""
        found.append(CourseFunctions(session, program, cell, True, "forward", name))
    return sorted(found, key=lambda each: each.whole)
