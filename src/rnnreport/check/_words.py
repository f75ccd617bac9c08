"""A mistake in a reader's own words: the names of the code, its line, the change to make."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from torch import Tensor

from rnnreport.check._program import Function, Program
from rnnreport.check._report import Cause
from rnnreport.equations._mistakes import (
    GATE_NAMES,
    SQUASH_OF,
    SYMBOLS,
    TAKEN,
    CellName,
    Mistake,
    Planted,
)
from rnnreport.equations._steps import LSTMStep, Step

__all__ = ["Words"]

_NONLINEARITY = {"sigmoid": "σ", "tanh": "tanh", "relu": "ReLU", "identity": "the identity"}
_FACTORS = {
    "cell": "o_t, in the way from h_t to c_t",
    "carried": "f_t, in the gradient of the previous cell state",
    "f": "c_{t−1}, which the forget gate multiplies",
    "i": "c̃_t, which the input gate multiplies",
    "c": "i_t, which the candidate is multiplied by",
    "o": "tanh(c_t), which the output gate multiplies",
    "n": "the share of the candidate in h_t",
    "r": "what the reset gate multiplies",
    "z": "h_{t−1} − n_t, which the update gate weighs",
    "q": "r_t, in what the reset gate multiplies",
}
_PARTNERS = {
    "f": "c_{t−1}",
    "i": "c̃_t",
    "c": "i_t",
    "o": "tanh(c_t)",
    "carried": "f_t",
    "z": "h_{t−1} − n_t",
    "n": "1 − z_t",
    "r": "what the reset gate multiplies",
}
_AT = {
    "cell": "on the way from h_t to c_t",
    "carried": "in what goes back to the previous cell state",
}
_RULE = " The RNN's rule 1 − h² holds for h, which is a tanh; c is not."
_ATTRIBUTES = {"f": "f", "i": "i", "c": "c_tilde", "o": "o", "r": "r", "z": "z", "n": "n", "h": "h"}

# The line of a mistake that leaves no value of its own: what it looks like in the code.
_LINES = {
    "loop-forward": r"^\s*for\b",
    "not-carried": r"backward\w*\(|{dh}\s*\[",
    "own-gradient-unused": r"backward\w*\(|^\s*for\b",
    "one-step-alone": r"^\s*(?:{dW})\s*(?:,|=)|backward\w*\(",
    "added-to-itself": r"^\s*({dW})\s*(?:\+=.*\1\b|=.*\1\s*\+\s*\1\b)",
    "first-gradient-early": r"^\s*(?:{dh0})\s*=",
    "input-from-own-loss": r"^\s*(?:{dx})\b.*=",
    "not-transposed": r"^\s*(?:{back})\b.*=",
    "slope-missing-on-way-back": r"^\s*(?:{back})\b.*=",
    "term-dropped": r"^\s*(?:{back})\b.*=",
    "weights-exchanged": r"^\s*(?:{back})\b.*=",
    "next-state": r"^\s*(?:{dWh})\b.*=",
    "batch-not-summed": r"^\s*(?:{db})\b.*=",
}


_START = re.compile(r"=\s*(?:\(|\[)?\s*(?:\w+\.)?(?:new_)?(?:zeros|empty|None\b|0\b|0\.)|=\s*map\(")
"""What a line has that gives a gradient its first value."""


@dataclass
class Words:
    """What is known of a function of the code when its mistakes are put into words.

    Attributes
    ----------
    program : Program
        The code.
    function : Function or None
        The function that is wrong.
    cell : str
        The recurrence.
    names : mapping of str to str
        What the code calls its gradients, by the problem's names.
    variables : mapping
        What was assigned while it ran, by name: lines and values.
    step : Step or None
        The step with its mistakes, to know those values by.
    """

    program: Program
    function: Function | None
    cell: CellName
    names: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, tuple[tuple[int, Any], ...]] = field(default_factory=dict)
    step: Step | None = None

    def cause(self, planted: Planted) -> Cause:
        """Put a mistake into words."""
        place = "" if self.cell == "rnn" and planted.place == "h" else planted.where
        names = self._names(planted)
        line = self._line(planted, names)
        return self._cause(planted.mistake, names, line, place, planted.place)

    def general(self, mistake: Mistake, line: int | None = None) -> Cause:
        """Put a mistake into words that is no change of a step."""
        names = self._names(None)
        if line is None:
            line = self._search(mistake.key, names)
        return self._cause(mistake, names, line)

    def _cause(
        self,
        mistake: Mistake,
        names: Mapping[str, str],
        line: int | None,
        where: str = "",
        place: str = "",
    ) -> Cause:
        return Cause(
            key=mistake.key,
            name=mistake.name,
            place=where,
            symptom=mistake.symptom.format_map(names),
            change=mistake.remedy.format_map(names),
            case=mistake.shown_by.format_map(names),
            equations=mistake.equations(self.cell, place),
            line=line,
            where=self.program.line_name(line) if line else "",
            code=self._text(line),
        )

    def _names(self, planted: Planted | None) -> dict[str, str]:
        place = planted.place if planted else ""
        key = planted.mistake.key if planted else ""
        gate, _, other = place.partition(":")
        arguments = self.function.arguments if self.function else ()
        upstream = [name for name in arguments if re.match(r"d|grad", name)]
        names = {
            "dh": _code(upstream[0] if upstream else "∂L/∂h_t"),
            "dc": _code(upstream[1] if len(upstream) > 1 else "∂L/∂c_t"),
            "back": _code(self._back("h_0")),
            "dx": _code(self.names.get("x", "∂L/∂x_t")),
            "dW": _code(self._parameters(place)),
            "db": _code(self._name(("b",)) or "∂L/∂b"),
            "Wh": "W_h",
            "h0": "h_0" if place != "c" else "c_0",
            "cell": ", and the same of the cell state" if place == "both" else "",
            "one": "the first" if place == "first" else "the last",
            "way": {"h": "the previous state", "x": "the input"}.get(
                place, "the input and the previous state"
            ),
            "factor": _FACTORS.get(gate, "one"),
            "partner": _PARTNERS.get(gate, "another value"),
            "taken": TAKEN.get(other, "c_t" if key == "cell-for-tanh" else "another value"),
            "gate": GATE_NAMES.get(gate, "way from h_t to c_t" if gate == "cell" else "cell"),
            "at": _AT.get(gate) or f"at the {GATE_NAMES.get(gate, 'cell')}",
            "rule": _RULE if gate == "cell" else "",
            "state": {"c": "cell state", "both": "states"}.get(place, "state") + " before it",
            "gates": " and ".join(f"the {GATE_NAMES[each]}" for each in gate.split("-"))
            if "-" in gate
            else "the gates",
        }
        names["own"] = f"{names['dh']} of this step plus "
        if key == "not-carried" and place == "c":
            names |= {"back": _code(self._back("c_0")), "own": ""}
        names |= self._slope(gate)
        names["At"] = names["at"][0].upper() + names["at"][1:]
        return names

    def _parameters(self, place: str) -> str:
        """Return what the code calls the gradients of parameters, or those of one kind."""
        kinds = (place,) if place in ("W_x", "W_h", "b") else ("W_x", "W_h", "W")
        return self._name(kinds) or "∂L/∂W"

    def _name(self, kinds: Sequence[str]) -> str:
        """Return what the code calls the first of some gradients that it has, of any gate."""
        found = (said for kind in kinds for n, said in self.names.items() if _kind(n) == kind)
        return next(found, "")

    def _back(self, state: Literal["h_0", "c_0"]) -> str:
        """Return what the code calls that which a step sends back to a state before it."""
        own = ""
        if self.step is not None and (state == "h_0" or isinstance(self.step, LSTMStep)):
            step: Any = self.step
            own = self._variable(step.previous_state() if state == "h_0" else step.previous_cell())
        return own or self.names.get(state, f"∂L/∂{state[0]}_{{t−1}}")

    def _slope(self, gate: str) -> dict[str, str]:
        """Return the value, the nonlinearity and its slope at a gate or at the cell."""
        if gate not in SQUASH_OF and gate != "cell":
            return {"symbol": "it", "nonlinearity": "tanh", "slope": "1 − tanh²(c_t)"}
        if gate == "cell" or (gate == "o" and self.step is None):
            own = self._variable(self.step.tanh_c) if isinstance(self.step, LSTMStep) else ""
            symbol = _code(own) if own else "tanh(c_t)"
            slope = _code(f"1 - {own}**2") if own else "1 − tanh²(c_t)"
            return {"symbol": symbol, "nonlinearity": "tanh", "slope": slope}
        squash = self.step.squash(gate) if self.step else SQUASH_OF[gate]
        own = ""
        if self.step is not None:
            own = self._variable(getattr(self.step, _ATTRIBUTES[gate]))
        symbol = _code(own) if own else SYMBOLS[gate]
        if squash == "sigmoid":
            slope = _code(f"{own} * (1 - {own})") if own else f"{symbol} ⊙ (1 − {symbol})"
        elif squash == "relu":
            slope = _code(f"{own} > 0") if own else "1 where the state is positive, else 0"
        else:
            slope = _code(f"1 - {own}**2") if own else f"1 − {symbol} ⊙ {symbol}"
        return {"symbol": symbol, "nonlinearity": _NONLINEARITY[squash], "slope": slope}

    def _variable(self, value: Tensor) -> str:
        """Return the name of what holds a value; empty if nothing does."""
        found = self._assigned(value)
        return found[0] if found else ""

    def _assigned(self, value: Tensor) -> tuple[str, int] | None:
        """Return the name and line of the first assignment of a value."""
        hits = self._hits(value.numpy(), _equal)
        if not hits:
            return None
        plain = [hit for hit in hits if hit[2].isidentifier()] or hits
        line, _, name = min(plain)
        return name, line

    def _hits(self, wanted: Any, same: Callable[[Any, Any], bool]) -> list[tuple[int, int, str]]:
        """Return the first line of each name that a value is given to, and the name's length."""
        hits = []
        for name, assignments in self.variables.items():
            lines = (line for line, array in assignments if same(np.asarray(array), wanted))
            line = next(lines, 0)
            if line:
                hits.append((line, len(name), name))
        return hits

    def _line(self, planted: Planted, names: Mapping[str, str]) -> int | None:
        """Return the line of a mistake: where its value is made, or what it looks like."""
        if self.step is not None:
            changed = list(planted.slip.changes)
            wanted: list[tuple[str, ...]] = []
            for key in changed:
                kind, _, gate = key.rpartition("_")
                if gate in self.step.gates and kind in (
                    "slope",
                    "value",
                    "delta",
                    "partner",
                    "packed",
                    "state_delta",
                    "input_delta",
                ):
                    wanted += [(each, gate) for each in ("slope", "value", "delta", "packed")]
                elif key in ("reaches_c", "cell_slope", "through_state"):
                    wanted += [("cell_slope",), ("through_state",), ("reaches_c",)]
                elif key in ("previous_cell", "previous_state"):
                    wanted.append((key,))
            right = replace(self.step, changes={})
            alone = right.changed(planted.slip.changes)
            packed = []
            for name, *gates in wanted:
                value = getattr(self.step, name)(*gates)
                if _same(getattr(alone, name)(*gates), getattr(right, name)(*gates)):
                    continue
                found = self._assigned(value) if name != "packed" else None
                if found:
                    return found[1]
                packed += self._hits(value.numpy(), _holds) if name == "packed" else []
            if packed:
                return min(packed)[0]
        return self._search(planted.mistake.key, names)

    def _search(self, key: str, names: Mapping[str, str]) -> int | None:
        """Return the line that looks like a mistake."""
        if key not in _LINES or self.function is None:
            return None
        kinds = ("W_x", "W_h", "W", "b")
        weights = [said for name, said in self.names.items() if _kind(name) in kinds]
        parts = {
            "dh": _bare(names["dh"]),
            "dx": _bare(names["dx"]),
            "db": _bare(names["db"]),
            "back": _bare(names["back"]),
            "dh0": _bare(self.names.get("h_0", "dh0")),
            "dWh": _bare(self._name(("W_h", "W")) or "dWh"),
            "dW": "|".join(map(_bare, weights)) or "dW\\w*",
        }
        pattern = re.compile(_LINES[key].format_map(parts))
        lines = self.program.text.split("\n")
        for number in range(self.function.line + 1, self.function.end_line + 1):
            line = lines[number - 1]
            if pattern.search(line) and not _START.search(line):
                return number
        return None

    def _text(self, line: int | None) -> str:
        if not line:
            return ""
        text = self.program.text.split("\n")[line - 1].strip()
        return text if len(text) <= 100 else text[:97] + "…"


def _kind(name: str) -> str:
    """Return of which parameter or state a gradient is, without the gate."""
    return name.partition("^")[0]


def _same(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) <= 1e-12 * (1 + float(b.abs().max()))


def _equal(array: Any, wanted: Any) -> bool:
    if array.dtype.kind not in "fiub" or array.size != wanted.size or array.size < 2:
        return False
    scale = np.abs(wanted).max() or 1.0
    shapes = (wanted, wanted.T)
    return any(
        array.shape == form.shape
        and float(np.abs(array.astype(float) - form).max()) <= 1e-6 * scale
        for form in shapes
    )


def _holds(array: Any, wanted: Any) -> bool:
    """Whether one of the blocks of an array, a block for each gate, is a value."""
    if array.ndim != 2:
        return False
    for axis, form in ((1, wanted.T), (0, wanted)):
        parts, rest = divmod(array.shape[axis], form.shape[axis])
        blocks = np.split(array, parts, axis) if parts > 1 and not rest else []
        if any(_equal(block, form) for block in blocks):
            return True
    return False


def _code(name: str) -> str:
    """Set a name of the code in backticks; a symbol stays."""
    return f"`{name}`" if re.search(r"^[\w.\[\]() *+\-/<>]+$", name) and name.isascii() else name


def _bare(name: str) -> str:
    return re.escape(name.strip("`"))
