"""The catalogue of mistakes that are made in a backward pass: what each changes, and its words.

The ledger makes them on purpose in its equations; `rnnreport.check` looks for them in a reader's
code. They come from 68 hand-written passes, of which 28 are wrong, and from the ledger itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, permutations
from operator import attrgetter, methodcaller
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from rnnreport.equations._backward import Slip, Times
from rnnreport.equations._steps import GATES, GRU_GATES, SLOPES, Squash, outer, over_batch

__all__ = ["CATALOGUE", "CellName", "Mistake", "Planted", "planted"]

CellName = Literal["rnn", "lstm", "gru"]
Change = Callable[[Any], Tensor]
Slips = Mapping[str, tuple[Slip, ...]]
"""The forms of a mistake by place: a gate, ``"h"`` or ``"c"`` for what is carried, or ``""``."""

GATES_OF: Mapping[str, tuple[str, ...]] = {"rnn": ("h",), "lstm": GATES, "gru": GRU_GATES}
SQUASH_OF: Mapping[str, Squash] = {
    "h": "tanh",
    **dict.fromkeys(("f", "i", "o", "r", "z"), "sigmoid"),
    "c": "tanh",
    "n": "tanh",
}
GATE_NAMES: Mapping[str, str] = {
    "h": "state",
    "f": "forget gate",
    "i": "input gate",
    "c": "candidate",
    "o": "output gate",
    "r": "reset gate",
    "z": "update gate",
    "n": "candidate",
}
SYMBOLS: Mapping[str, str] = {
    "h": "h_t",
    "f": "f_t",
    "i": "i_t",
    "c": "c̃_t",
    "o": "o_t",
    "r": "r_t",
    "z": "z_t",
    "n": "n_t",
    "cell": "tanh(c_t)",
}

_PLACES: Mapping[str, str] = {
    "cell": "way from h_t to c_t",
    "carried": "what is copied to the state before",
    "gates": "gates alone",
    "q": "what the reset gate multiplies",
    "x": "input",
    "W_x": "input weights",
    "W_h": "recurrent weights",
    "b": "biases",
    "both": "both states",
    "first": "first step",
    "last": "last step",
}
TAKEN: Mapping[str, str] = {
    "c": "c_t",
    "c_tilde": "c̃_t",
    "c_prev": "c_{t−1}",
    "tanh_c": "tanh(c_t)",
    "twice": "tanh(tanh(c_t))",
    "f": "f_t",
    "i": "i_t",
    "o": "o_t",
}
_STATES: Mapping[str, str] = {"h": "state", "c": "cell state"}

# Numbers of the equations that a mistake offends, by cell.
_BEFORE: Mapping[str, tuple[str, ...]] = {  # δ of a gate
    "h": ("3",),
    "f": ("25",),
    "i": ("26",),
    "c": ("27",),
    "o": ("28",),
    "r": ("68",),
    "z": ("66",),
    "n": ("65",),
}
_VALUE: Mapping[str, tuple[str, ...]] = {
    **_BEFORE,
    "f": ("13",),
    "i": ("14",),
    "c": ("15",),
    "o": ("16",),
}
_BACK: Mapping[CellName, tuple[str, ...]] = {"rnn": ("5",), "lstm": ("31",), "gru": ("73",)}
_CARRY: Mapping[CellName, tuple[str, ...]] = {"rnn": ("6",), "lstm": ("32",), "gru": ("74",)}
_INPUT: Mapping[CellName, tuple[str, ...]] = {"rnn": ("11",), "lstm": ("48",), "gru": ("78",)}
_SUMS: Mapping[CellName, tuple[str, ...]] = {
    "rnn": ("8", "9", "10"),
    "lstm": tuple(str(number) for number in range(36, 48)),
    "gru": ("75", "76", "77"),
}
_FIRST: Mapping[CellName, tuple[str, ...]] = {"rnn": ("12",), "lstm": ("49",), "gru": ("74",)}
_RECURRENT: Mapping[CellName, tuple[str, ...]] = {
    "rnn": ("2", "9"),
    "lstm": ("18", "20", "22", "24"),
    "gru": ("70", "76"),
}


@dataclass(frozen=True)
class Mistake:
    """A kind of mistake.

    Attributes
    ----------
    key : str
        Its short name.
    name : str
        What is wrong, as a list has it.
    symptom : str
        What it does to the numbers. ``{gate}``, ``{symbol}`` and others are filled in.
    remedy : str
        What to change.
    shown_by : str
        The smallest case that shows it, and why a gradient check may miss it.
    seen : int
        In how many of the 28 wrong or unfinished files of the survey it stands.
    slips : callable
        Its forms, by place, in a cell.
    equations : callable
        The numbers of the equations that it offends, of a cell and a place.
    """

    key: str
    name: str
    symptom: str
    remedy: str
    shown_by: str
    seen: int
    slips: Callable[[CellName], Slips]
    equations: Callable[[CellName, str], tuple[str, ...]]


@dataclass(frozen=True)
class Planted:
    """A mistake at one place, in one form."""

    mistake: Mistake
    place: str
    slip: Slip
    form: int = field(default=1, kw_only=True)

    @property
    def name(self) -> str:
        """What is wrong, where, and in which form."""
        taken = self.place.partition(":")[2]
        place = f", {self.where}" if self.where else ""
        more = f": {TAKEN[taken]}" if taken else ""
        form = f" ({self.form})" if self.form > 1 else ""
        return f"{self.mistake.name}{place}{more}{form}"

    @property
    def where(self) -> str:
        """The place in words."""
        where = self.place.partition(":")[0]
        words = {**GATE_NAMES, **_PLACES, **(_STATES if self.slip.joining else {})}
        return " and ".join(words[gate] for gate in where.split("-")) if where else ""


def _none(cell: CellName) -> Slips:
    return {}


def _of_gates(form: Callable[[str, Squash], tuple[Mapping[str, Change], ...]]) -> Any:
    """Make a mistake of each gate."""

    def slips(cell: CellName) -> Slips:
        forms = {gate: form(gate, SQUASH_OF[gate]) for gate in GATES_OF[cell]}
        return {gate: tuple(map(Slip, each)) for gate, each in forms.items() if each}

    return slips


def _of_cell(**forms: Mapping[str, Slip | tuple[Slip, ...]]) -> Any:
    """Make a mistake of some cells, by place."""

    def slips(cell: CellName) -> Slips:
        return {
            place: each if isinstance(each, tuple) else (each,)
            for place, each in forms.get(cell, {}).items()
        }

    return slips


def _every_cell(forms: Mapping[str, Slip | tuple[Slip, ...]], *, lstm: Any = None) -> Any:
    return _of_cell(rnn=forms, gru=forms, lstm=forms if lstm is None else {**forms, **lstm})


def _own(kind: str, gate: str) -> str:
    return f"{kind}_{gate}"


# The slope of a gate's nonlinearity, and of tanh(c_t).


def _sign(gate: str, squash: Squash) -> tuple[Mapping[str, Change], ...]:
    whole: Mapping[str, Change] = {_own("delta", gate): Times(lambda s: -1, "delta", gate)}
    if squash != "tanh":
        return (whole,)
    return (whole, {_own("slope", gate): lambda s: 1 + s.activation(gate) ** 2})


def _slope_dropped(gate: str, squash: Squash) -> tuple[Mapping[str, Change], ...]:
    return ({_own("slope", gate): lambda s: torch.ones_like(s.activation(gate))},)


def _squashed(squash: Squash, y: Tensor) -> Tensor:
    return torch.tanh(y) if squash == "tanh" else torch.sigmoid(y)


def _slope_twice(gate: str, squash: Squash) -> tuple[Mapping[str, Change], ...]:
    return ({_own("slope", gate): lambda s: SLOPES[squash](_squashed(squash, s.activation(gate)))},)


def _slope_squared(gate: str, squash: Squash) -> tuple[Mapping[str, Change], ...]:
    return ({_own("slope", gate): lambda s: SLOPES[squash](s.activation(gate)) ** 2},)


def _value_for_slope(gate: str, squash: Squash) -> tuple[Mapping[str, Change], ...]:
    return (
        {_own("slope", gate): lambda s: s.activation(gate)},
        {_own("slope", gate): lambda s: _squashed(squash, s.activation(gate))},
    )


def _square_missing(gate: str, squash: Squash) -> tuple[Mapping[str, Change], ...]:
    if squash != "tanh":
        return ({_own("slope", gate): lambda s: 1 - s.activation(gate)},)
    return (
        {_own("slope", gate): lambda s: 1 - s.activation(gate)},
        {_own("slope", gate): lambda s: 1 - torch.tanh(s.activation(gate))},
    )


def _other_slope(gate: str, squash: Squash) -> tuple[Mapping[str, Change], ...]:
    other: Squash = "sigmoid" if squash == "tanh" else "tanh"
    return ({_own("slope", gate): lambda s: SLOPES[other](s.activation(gate))},)


def _slope_of_gradient(gate: str, squash: Squash) -> tuple[Mapping[str, Change], ...]:
    return (
        {_own("delta", gate): lambda s: SLOPES[squash](s.value(gate))},
        {_own("delta", gate): lambda s: SLOPES[squash](_squashed(squash, s.value(gate)))},
    )


def _term_dropped(gate: str, squash: Squash) -> tuple[Mapping[str, Change], ...]:
    state = {_own("state_delta", gate): lambda s: torch.zeros_like(s.activation(gate))}
    read = {_own("input_delta", gate): lambda s: torch.zeros_like(s.activation(gate))}
    return ({**state, **read}, state, read)


def _cell_slope(change: Change) -> Slip:
    return Slip({"cell_slope": change})


def _tanh_gates(slips: Callable[[CellName], Slips], **places: Any) -> Any:
    """Add places of the LSTM to those of the gates."""

    def both(cell: CellName) -> Slips:
        more = places if cell == "lstm" else {}
        return {**slips(cell), **{k: v if isinstance(v, tuple) else (v,) for k, v in more.items()}}

    return both


def _state_slope_again(s: Any) -> Tensor:
    """Slope of tanh at a state that is computed again from h_t in place of h_{t−1}."""
    moved = torch.tanh(s.W_h @ (s.h - s.h_prev))
    again: Tensor = (s.h + moved) / (1 + s.h * moved)  # tanh of a sum
    return 1 - again * again


# The cell of the LSTM.

_IN_CELL = ("f", "i", "c")  # the gates that c_t is made of


def _value_of_cell(reaches: Change) -> Slip:
    """Make the gates of something else than what reaches c_t."""

    def value(gate: str) -> Change:
        return lambda s: reaches(s) * s.partner(gate)

    return Slip({_own("value", gate): value(gate) for gate in _IN_CELL})


def _binds_one_term(gate: str) -> Change:
    return lambda s: s.dc * s.partner(gate) + s.through_state() * s.partner(gate) * s.slope(gate)


def _partner_of_one_term(gate: str) -> Change:
    return lambda s: s.dc + s.through_state() * s.partner(gate)


def _slope_on_one_term(cell: CellName) -> Slips:
    if cell != "lstm":
        return {}
    delta = {_own("delta", gate): _binds_one_term(gate) for gate in _IN_CELL}
    value = {_own("value", gate): _partner_of_one_term(gate) for gate in _IN_CELL}
    return {
        "": (Slip(delta), Slip(value)),
        **{gate: (Slip({_own("delta", gate): delta[_own("delta", gate)]}),) for gate in _IN_CELL},
        "carried": (Slip({"previous_cell": lambda s: s.dc + s.through_state() * s.f}),),
    }


_PARTNERS: Mapping[str, tuple[str, ...]] = {
    "f": ("c", "c_tilde", "f", "i", "tanh_c"),
    "i": ("c", "c_prev", "i", "f", "tanh_c"),
    "c": ("f", "o", "c_tilde", "c_prev"),
    "o": ("c_tilde", "c_prev", "o"),
}


def _wrong_partner(cell: CellName) -> Slips:
    if cell == "gru":
        return {
            "z": (
                Slip({"value_z": lambda s: s.dh * (s.h_prev - s.h)}),
                Slip({"value_z": lambda s: s.dh * s.h_prev}),
                Slip({"value_z": lambda s: s.dh * (s.h - s.n)}),
            ),
            "n": (Slip({"value_n": lambda s: s.dh * s.kept()}),),
            "r": (Slip({"value_r": lambda s: s.reset_delta() * s.h_prev}),),
        }
    if cell != "lstm":
        return {}
    places: dict[str, tuple[Slip, ...]] = {
        f"{gate}:{other}": (Slip({_own("partner", gate): attrgetter(other)}),)
        for gate, others in _PARTNERS.items()
        for other in others
    }
    places["carried:i"] = (Slip({"previous_cell": lambda s: s.reaches_c() * s.i}),)
    places["carried:o"] = (Slip({"previous_cell": lambda s: s.reaches_c() * s.o}),)
    return places


def _reset_side(cell: CellName) -> Slips:
    """Take the candidate's δ of the side of the state on that of the input."""
    if cell != "gru":
        return {}
    beside: dict[str, Change] = {
        "input_weights_n": lambda s: outer(s.recurrent_delta("n"), s.x),
        "input_delta_n": lambda s: s.recurrent_delta("n"),
        "bias_n": lambda s: over_batch(s.recurrent_delta("n")),
    }
    exchanged = {"bias_n": beside["bias_n"], "inner_bias": lambda s: over_batch(s.packed("n"))}
    return {"x": (Slip(beside),), "b": (Slip(exchanged),)}


def _exchanged(cell: CellName) -> Slips:
    """δ of two gates stacked the wrong way round, or of more."""
    return {
        f"{a}-{b}": (
            Slip(
                {
                    _own("packed", a): methodcaller("delta", b),
                    _own("packed", b): methodcaller("delta", a),
                }
            ),
        )
        for a, b in combinations(GATES_OF[cell], 2)
    }


def _copied(cell: CellName) -> Slips:
    """Make the gradient of a gate's bias, or of its weights, of another gate's δ."""
    places: dict[str, tuple[Slip, ...]] = {}
    for a, b in permutations(GATES_OF[cell], 2):
        made = {
            kind: {_own(kind, a): methodcaller("unchanged", kind, b)}
            for kind in ("bias", "input_weights", "recurrent_weights")
        }
        bias, weights = made["bias"], made["input_weights"] | made["recurrent_weights"]
        places[f"{a}-{b}"] = (Slip(bias), Slip(weights))
    return places


def _weights_exchanged(cell: CellName) -> Slips:
    ways = {"input_delta": "packed", "state_delta": "recurrent_delta"}

    def swap(a: str, b: str) -> Mapping[str, Change]:
        return {
            _own(way, gate): methodcaller(delta, other)
            for way, delta in ways.items()
            for gate, other in ((a, b), (b, a))
        }

    pairs = combinations(GATES_OF[cell], 2)
    return {f"{a}-{b}": (Slip(swap(a, b)),) for a, b in pairs}


def _not_transposed(cell: CellName) -> Slips:
    def turned(s: Any) -> Any:
        W = s.W_h
        return W.T if isinstance(W, Tensor) else {gate: each.T for gate, each in W.items()}

    def gates_turned(s: Any) -> Any:
        return {**s.W_h, "r": s.W_h["r"].T, "z": s.W_h["z"].T}

    forms = (Slip({"W_h": turned}),)
    return {"": (*forms, Slip({"W_h": gates_turned})) if cell == "gru" else forms}


def _back_without_slope(cell: CellName) -> Slips:
    gates = GATES_OF[cell]
    state = {_own("state_delta", gate): methodcaller("value", gate) for gate in gates}
    read = {_own("input_delta", gate): methodcaller("value", gate) for gate in gates}
    if cell == "gru":  # what the candidate sends back is made before that of the reset gate
        state.pop(_own("state_delta", "n"))
    return {"h": (Slip(state),), "x": (Slip(read),), "": (Slip({**state, **read}),)}


def _next_state(cell: CellName) -> Slips:
    taken: dict[str, Change] = {
        _own("recurrent_input", gate): lambda s: s.h for gate in GATES_OF[cell]
    }
    forms = [Slip(taken)]
    if cell == "rnn":
        forms.append(Slip({**taken, "slope_h": _state_slope_again}))
    return {"": tuple(forms)}


def _without_reset(s: Any) -> Tensor:
    """Return what the gates of a GRU send back, without r_t at the candidate's share."""
    terms = [s.W_h[gate].T @ s.state_delta(gate) for gate in ("r", "z")]
    return torch.stack([*terms, s.W_h["n"].T @ s.packed("n")]).sum(0)


def _gate(cell: CellName, place: str) -> tuple[str, ...]:
    return _BEFORE.get(place, ("29",))


def _gate_value(cell: CellName, place: str) -> tuple[str, ...]:
    if cell == "gru" and place == "q":
        return ("67",)
    return _VALUE.get(place.partition(":")[0], ("29",))


def _cell_value(cell: CellName, place: str) -> tuple[str, ...]:
    return _VALUE.get(place, ("13", "14", "15", "29"))


def _of(numbers: Mapping[CellName, tuple[str, ...]]) -> Callable[[CellName, str], tuple[str, ...]]:
    return lambda cell, place: numbers[cell]


def _carried(cell: CellName, place: str) -> tuple[str, ...]:
    if cell != "lstm":
        return _CARRY[cell]
    return {"h": ("32",), "c": ("33",)}.get(place, ("32", "33"))


def _first(cell: CellName, place: str) -> tuple[str, ...]:
    return ("36", "37") if place == "c" else _RECURRENT[cell]


def _joining(**joining: Any) -> Slip:
    return Slip(joining=joining)


_BOTH = {"c": _joining(carries_c=False), "both": _joining(carries_h=False, carries_c=False)}

_ENTRIES = (
    Mistake(
        key="not-carried",
        name="the later step's gradient not carried to the step before",
        symptom=(
            "In the sequence everything before the last step is wrong: what the later step sends "
            "back to the {state} is computed and not used."
        ),
        remedy="Use it: the step at t takes {own}{back} of the later one{cell}.",
        shown_by="With T = 1 there is no difference. T = 2 shows it, even with h_0 = 0.",
        seen=5,
        slips=_of_cell(
            rnn={"h": _joining(carries_h=False)},
            gru={"h": _joining(carries_h=False)},
            lstm={"h": _joining(carries_h=False), **_BOTH},
        ),
        equations=_carried,
    ),
    Mistake(
        key="own-gradient-unused",
        name="each step's own gradient never added",
        symptom=(
            "The gradients are 0, or hold only what the last cell state sends: the loop starts "
            "with 0 and never adds the part that comes from a step's own loss."
        ),
        remedy=(
            "Two gradients reach a state: {dh} from the loss of this step, and {back} from the "
            "later step. Add them."
        ),
        shown_by="T = 1 shows it: all is 0.",
        seen=1,
        slips=_every_cell({"": _joining(own=False)}),
        equations=_of(_CARRY),
    ),
    Mistake(
        key="input-from-own-loss",
        name="gradient of the input from each step's own loss alone",
        symptom=(
            "The gradients of the weights are right, that of the input is not: it uses the "
            "gradient of the step's own loss where the sum with the later steps' belongs."
        ),
        remedy="Use the same δ for {dx} as for the weights.",
        shown_by="T = 1 hides it. T = 2 shows it.",
        seen=1,
        slips=_every_cell({"": _joining(own_input=True)}),
        equations=_of(_INPUT),
    ),
    Mistake(
        key="not-transposed",
        name="W_h not transposed on the way back",
        symptom=(
            "The last step is right and those before it are not: the gradient goes back through "
            "W_h where its transpose belongs. W_h is square, so nothing complains."
        ),
        remedy=(
            "Transpose {Wh} where the gradient of the previous state is made. With rows the "
            "forward pass has `h @ Wh` and the way back `δ @ Wh.T`; with columns `Wh @ h` and "
            "`Wh.T @ δ`."
        ),
        shown_by=(
            "One step shows it, in the gradient of the previous state. With weights near 0 a "
            "gradient check with one number for all gradients does not notice."
        ),
        seen=1,
        slips=_not_transposed,
        equations=_of(_BACK),
    ),
    Mistake(
        key="next-state",
        name="h_t in place of h_{t−1}",
        symptom=(
            "The step at t is handed h_t where h_{{t−1}} belongs: the forward step used "
            "h_{{t−1}}, and the gradient of W_h multiplies what W_h multiplied."
        ),
        remedy="Shift the index by one. At the first step it is {h0}.",
        shown_by="One step shows it.",
        seen=1,
        slips=_next_state,
        equations=_of(_RECURRENT),
    ),
    Mistake(
        key="first-state-zero",
        name="the first state taken for 0",
        symptom=(
            "All is right with h_0 = 0 (c_0 = 0) and wrong otherwise: the first step's term uses 0 "
            "in place of the first state."
        ),
        remedy="Give the first step {h0} as its previous state, as the forward pass does.",
        shown_by="T = 1 with h_0 ≠ 0 (c_0 ≠ 0). Every check with zero first states misses it.",
        seen=2,
        slips=_of_cell(
            rnn={"h": _joining(first_h="zero")},
            lstm={"h": _joining(first_h="zero"), "c": _joining(first_c="zero")},
            gru={"h": (_joining(first_h="zero"), _joining(first_h="unused"))},
        ),
        equations=_first,
    ),
    Mistake(
        key="loop-forward",
        name="the loop of the backward pass runs forward in time",
        symptom="The loop runs from the first step to the last. Gradients come from the last step.",
        remedy="Loop over `reversed(range(T))`.",
        shown_by="T = 1 hides it. T = 2 shows it.",
        seen=1,
        slips=_every_cell({"": _joining(forward=True)}),
        equations=_of(_CARRY),
    ),
    Mistake(
        key="slope-of-gradient",
        name="slope of the gradient in place of the gradient times the slope",
        symptom=(
            "Doubling the upstream gradient does not double yours: {at} the gradient itself was "
            "put through the slope of {nonlinearity}."
        ),
        remedy=(
            "Multiply the gradient by the slope at {symbol}, the value of the forward pass: "
            "gradient times {slope}."
        ),
        shown_by="One step shows it: twice the gradient that arrives must give twice the result.",
        seen=2,
        slips=_of_gates(_slope_of_gradient),
        equations=_gate,
    ),
    Mistake(
        key="batch-mean",
        name="mean over the batch in the gradients of the weights, not in that of the input",
        symptom=(
            "The gradients of the weights are the true ones times 1/N, that of the input is not "
            "divided: the two do not fit together."
        ),
        remedy=(
            "Divide the loss by N, once, and not its gradients; then {dh} arrives divided and all "
            "that follows is a sum."
        ),
        shown_by="Any step with N > 1.",
        seen=0,
        slips=_every_cell({"": _joining(sums="mean")}),
        equations=_of(_SUMS),
    ),
    Mistake(
        key="one-step-alone",
        name="gradients of the weights from one step alone",
        symptom=(
            "All is right with T = 1. With more steps the gradients of the weights hold {one} "
            "step alone: they are assigned in the loop, or summed after it."
        ),
        remedy="Start {dW} at 0 before the loop, and add to it, `+=`, inside.",
        shown_by="T = 1 hides it. T = 2 shows it.",
        seen=3,
        slips=_every_cell({"first": _joining(sums="first"), "last": _joining(sums="last")}),
        equations=_of(_SUMS),
    ),
    Mistake(
        key="added-to-itself",
        name="the sum added to itself, 0 for ever",
        symptom=(
            "The gradients of the weights are always 0: the line adds the sum to itself, and the "
            "step's gradient is not used."
        ),
        remedy="Add the gradient that the step has just returned to {dW}.",
        shown_by="T = 1 shows it.",
        seen=2,
        slips=_every_cell(
            {
                "": _joining(sums="none"),
                **{kind: _joining(sums="none", only=kind) for kind in ("W_x", "W_h", "b")},
            }
        ),
        equations=_of(_SUMS),
    ),
    Mistake(
        key="view-overwritten",
        name="the first state kept as a view that is overwritten",
        symptom=(
            "The forward pass is right. In the backward pass the first step is wrong: its cache "
            "holds the state after it where the state before it stood."
        ),
        remedy=(
            "`a = b[0]` is a window on b, not a copy, and the loop then writes into b[0]. Keep a "
            "copy: `.copy()` (in torch `.clone()`)."
        ),
        shown_by="T = 1 with a first state ≠ 0.",
        seen=1,
        slips=_every_cell({"h": _joining(first_h="next")}, lstm={"c": _joining(first_c="next")}),
        equations=_first,
    ),
    Mistake(
        key="first-gradient-early",
        name="the gradient of h_0 one step short",
        symptom=(
            "Only the gradient of h_0 is wrong: it is what reaches h_1. It has to go back through "
            "the first step."
        ),
        remedy="Return what the first step sends back, {back}, once the loop is done.",
        shown_by="T = 1 shows it.",
        seen=1,
        slips=_every_cell({"": _joining(early=True)}),
        equations=_of(_FIRST),
    ),
    Mistake(
        key="cell-path-dropped",
        name="∂L/∂c_t dropped",
        symptom=(
            "c_t reaches the loss twice: through h_t, and through c_{{t+1}}. The second way, the "
            "gradient that comes in as {dc}, is missing."
        ),
        remedy="Add {dc} to what comes through h_t, before the gates are made of it.",
        shown_by=(
            "A step with dc ≠ 0, or T = 2. A step with dc = 0 hides it, and the loss falls all "
            "the same."
        ),
        seen=2,
        slips=_of_cell(
            lstm={
                "": Slip({"reaches_c": lambda s: s.through_state()}),
                "carried": Slip({"previous_cell": lambda s: s.through_state() * s.f}),
                "gates": _value_of_cell(lambda s: s.through_state()),
            }
        ),
        equations=_cell_value,
    ),
    Mistake(
        key="state-path-dropped",
        name="way from h_t to c_t dropped",
        symptom=(
            "The output gate is right; forget gate, input gate and candidate use {dc} alone. But "
            "h_t = o ⊙ tanh(c_t) sends a gradient into c_t as well."
        ),
        remedy="Add {dh} ⊙ o ⊙ (1 − tanh²(c_t)) to {dc}.",
        shown_by="One step shows it, best with dc = 0: then all but the output gate is 0.",
        seen=2,
        slips=_of_cell(
            lstm={
                "": Slip({"reaches_c": lambda s: s.dc}),
                "carried": Slip({"previous_cell": lambda s: s.dc * s.f}),
                "gates": _value_of_cell(lambda s: s.dc),
            }
        ),
        equations=_cell_value,
    ),
    Mistake(
        key="cell-in-bracket",
        name="∂L/∂c_t inside the bracket of the slope",
        symptom=(
            "All is right while dc = 0, and not linear otherwise: {dc} stands inside the bracket "
            "and is multiplied by {dh}."
        ),
        remedy="It is added outside: {dh} ⊙ o ⊙ (1 − tanh²(c_t)) + {dc}.",
        shown_by="A step with dc ≠ 0. With dc = 0 nothing shows.",
        seen=1,
        slips=_of_cell(
            lstm={
                "": (
                    Slip({"reaches_c": lambda s: s.dh * s.o * (s.cell_slope() + s.dc)}),
                    Slip({"reaches_c": lambda s: s.dh * (s.o * s.cell_slope() + s.dc)}),
                )
            }
        ),
        equations=_cell_value,
    ),
    Mistake(
        key="slope-on-one-term",
        name="a factor that binds one of two terms alone",
        symptom=(
            "All is right while dc = 0. In `dc * p + … * p * slope` the slope multiplies the "
            "second term alone; both terms have it. Published solutions have this line."
        ),
        remedy=("Set the sum of {dc} and what comes through {dh} in brackets, before the factors."),
        shown_by="A step with dc ≠ 0. With dc = 0 nothing shows.",
        seen=3,
        slips=_slope_on_one_term,
        equations=_cell_value,
    ),
    Mistake(
        key="slope-twice",
        name="slope of a value that is already squashed",
        symptom=(
            "The slope {at} is wrong. {symbol} is already {nonlinearity} of something, and the "
            "slope takes {nonlinearity} of it once more."
        ),
        remedy="The slope is {slope}, made of {symbol} itself.",
        shown_by=(
            "One step shows it, in this gate's block. In the whole matrix the error can be 2 %: "
            "compare gate by gate."
        ),
        seen=8,
        slips=_tanh_gates(
            _of_gates(_slope_twice),
            cell=_cell_slope(lambda s: 1 - torch.tanh(s.tanh_c) ** 2),
        ),
        equations=_gate,
    ),
    Mistake(
        key="slope-squared",
        name="slope multiplied twice",
        symptom="{At} the slope of {nonlinearity} is multiplied in twice.",
        remedy="Multiply by {slope} once.",
        shown_by="One step shows it.",
        seen=0,
        slips=_tanh_gates(
            _of_gates(_slope_squared), cell=_cell_slope(lambda s: (1 - s.tanh_c**2) ** 2)
        ),
        equations=_gate,
    ),
    Mistake(
        key="value-for-slope",
        name="value of the nonlinearity in place of its slope",
        symptom="{At} stands the value of {nonlinearity} where its slope belongs.",
        remedy="The slope is {slope}.",
        shown_by="One step shows it.",
        seen=1,
        slips=_of_gates(_value_for_slope),
        equations=_gate,
    ),
    Mistake(
        key="square-missing",
        name="square missing in the slope",
        symptom="{At} the slope is 1 − {nonlinearity} where {slope} belongs.",
        remedy="Put in the square, and at σ the factor σ: the slope is {slope}.",
        shown_by="One step shows it.",
        seen=1,
        slips=_tanh_gates(_of_gates(_square_missing), cell=_cell_slope(lambda s: 1 - s.tanh_c)),
        equations=_gate,
    ),
    Mistake(
        key="cell-for-tanh",
        name="c_t in place of tanh(c_t)",
        symptom=(
            "{At} stands {taken} where tanh(c_t) belongs.{rule} The error is small, some per cent."
        ),
        remedy="Put tanh(c_t) there, once: h_t = o_t ⊙ tanh(c_t), and its slope is 1 − tanh²(c_t).",
        shown_by="One step shows it. It is small, so a loose tolerance hides it.",
        seen=3,
        slips=_of_cell(
            lstm={
                "cell": _cell_slope(lambda s: 1 - s.c * s.c),
                "o": Slip({"partner_o": lambda s: s.c}),
                "o:twice": Slip({"partner_o": lambda s: torch.tanh(s.tanh_c)}),
            }
        ),
        equations=_gate_value,
    ),
    Mistake(
        key="candidate-factor",
        name="the candidate as a factor too much",
        symptom=(
            "The candidate's slope has {symbol} as a factor too much. A sigmoid's slope holds its "
            "value, s(1 − s); that of tanh is 1 − {symbol}² alone."
        ),
        remedy="Drop the factor: the slope is {slope}.",
        shown_by="One step shows it, in the candidate's block.",
        seen=3,
        slips=_of_cell(
            lstm={"c": Slip({"slope_c": Times(lambda s: s.c_tilde, "slope", "c")})},
            gru={"n": Slip({"slope_n": Times(lambda s: s.n, "slope", "n")})},
            rnn={"h": Slip({"slope_h": Times(lambda s: s.h, "slope", "h")})},
        ),
        equations=_gate,
    ),
    Mistake(
        key="gates-exchanged",
        name="two gates stacked the wrong way round",
        symptom=(
            "The forward pass splits the gates in one order, and the backward pass stacks {gates} "
            "the other way round: two blocks of the weights' gradients are exchanged, and the "
            "gradients of input and state follow."
        ),
        remedy="Stack the gates' gradients in the order of the forward pass.",
        shown_by="One step shows it.",
        seen=3,
        slips=_exchanged,
        equations=lambda cell, place: tuple(
            number for gate in place.split("-") for number in _BEFORE[gate]
        ),
    ),
    Mistake(
        key="gate-copied",
        name="gradients of one gate made of another gate's δ",
        symptom=(
            "Of {gates}, the first has a gradient that is made of the δ of the second: a line was "
            "copied, and a name in it was not changed."
        ),
        remedy="Make each gate's gradients of its own δ.",
        shown_by="One step shows it, in this gate's block.",
        seen=0,
        slips=_copied,
        equations=lambda cell, place: _BEFORE[place.partition("-")[0]],
    ),
    Mistake(
        key="slope-missing-on-way-back",
        name="slope missing on the way back alone",
        symptom=(
            "The gradients of the weights are right. On the way back to {way} the gates' gradients "
            "are used before their slope."
        ),
        remedy="Use the same δ, with its slope, for the weights and for the way back.",
        shown_by="One step shows it, in the gradients of input and previous state.",
        seen=1,
        slips=_back_without_slope,
        equations=_of(_BACK),
    ),
    Mistake(
        key="slope-dropped",
        name="slope of the nonlinearity dropped",
        symptom="The slope of {nonlinearity} {at} is missing.",
        remedy="Multiply by {slope}.",
        shown_by="One step shows it.",
        seen=0,
        slips=_tanh_gates(
            _of_gates(_slope_dropped), cell=_cell_slope(lambda s: torch.ones_like(s.c))
        ),
        equations=_gate,
    ),
    Mistake(
        key="other-slope",
        name="slope of the other nonlinearity",
        symptom="{At} stands the slope of another nonlinearity than {nonlinearity}.",
        remedy="The slope is {slope}.",
        shown_by="One step shows it.",
        seen=0,
        slips=_tanh_gates(
            _of_gates(_other_slope), cell=_cell_slope(lambda s: s.tanh_c * (1 - s.tanh_c))
        ),
        equations=_gate,
    ),
    Mistake(
        key="wrong-sign",
        name="wrong sign",
        symptom="{At} the sign is wrong.",
        remedy="The slope is {slope}, and the gradient is multiplied by it as it is.",
        shown_by="One step shows it.",
        seen=0,
        slips=_tanh_gates(
            _of_gates(_sign),
            cell=(
                Slip({"through_state": lambda s: -s.unchanged("through_state")}),
                _cell_slope(lambda s: 1 + s.tanh_c**2),
            ),
        ),
        equations=_gate,
    ),
    Mistake(
        key="factor-dropped",
        name="a factor dropped",
        symptom="A factor is missing: {factor}.",
        remedy="Multiply by it.",
        shown_by="One step shows it.",
        seen=0,
        slips=_of_cell(
            lstm={
                "cell": Slip({"through_state": lambda s: s.dh * s.cell_slope()}),
                "carried": Slip({"previous_cell": lambda s: s.reaches_c()}),
                **{
                    gate: Slip({_own("partner", gate): lambda s: torch.ones_like(s.c)})
                    for gate in GATES
                },
            },
            gru={
                "n": Slip({"value_n": lambda s: s.dh}),
                "r": Slip({"value_r": lambda s: s.reset_delta()}),
                "z": Slip({"value_z": lambda s: s.dh}),
                "q": (
                    Slip({"recurrent_delta_n": lambda s: s.delta("n")}),
                    Slip({"through_gates": _without_reset}),
                ),
            },
        ),
        equations=_gate_value,
    ),
    Mistake(
        key="wrong-partner",
        name="a gate multiplied by the wrong value",
        symptom="{At} stands {taken} where {partner} belongs.",
        remedy="Put {partner} there: it is what the gate multiplies in the forward pass.",
        shown_by="One step shows it.",
        seen=0,
        slips=_wrong_partner,
        equations=_gate_value,
    ),
    Mistake(
        key="weights-exchanged",
        name="weights of two gates exchanged on the way back",
        symptom="The gradients of the weights are right. On the way back {gates} are exchanged.",
        remedy="Multiply each gate's δ by its own weights.",
        shown_by="One step shows it.",
        seen=0,
        slips=_weights_exchanged,
        equations=_of(_BACK),
    ),
    Mistake(
        key="term-dropped",
        name="a gate's term dropped on the way back",
        symptom="The gradients of the weights are right. On the way back the {gate} is missing.",
        remedy="Add its term: each gate is made of the input and the state, and sends one back.",
        shown_by="One step shows it.",
        seen=0,
        slips=_of_gates(_term_dropped),
        equations=_of(_BACK),
    ),
    Mistake(
        key="past-the-gates-dropped",
        name="way past the gates dropped",
        symptom="The state is also copied, past the gates, and that way back is missing.",
        remedy="Add the share of {dh} that the state keeps to the gradient of the previous state.",
        shown_by="One step shows it, in the gradient of the previous state.",
        seen=0,
        slips=_of_cell(gru={"": Slip({"previous_state": lambda s: s.through_gates()})}),
        equations=_of(_BACK),
    ),
    Mistake(
        key="through-the-gates-dropped",
        name="way through the gates dropped",
        symptom="The gates are made of the previous state too, and that way back is missing.",
        remedy="Add what each gate's δ sends back through its W_h to the share that is kept.",
        shown_by="One step shows it, in the gradient of the previous state.",
        seen=0,
        slips=_of_cell(gru={"": Slip({"previous_state": lambda s: s.kept() * s.dh})}),
        equations=_of(_BACK),
    ),
    Mistake(
        key="slope-elsewhere",
        name="slope taken at another value",
        symptom="The slope {at} is taken at a value that is not what {nonlinearity} returned.",
        remedy="The slope is {slope}, made of the value that this step's nonlinearity returned.",
        shown_by="One step shows it.",
        seen=0,
        slips=_of_cell(
            rnn={"h": Slip({"slope_h": lambda s: 1 - s.h_prev**2})},
            lstm={"cell": _cell_slope(lambda s: 1 - torch.tanh(s.c_prev) ** 2)},
            gru={"n": Slip({"slope_n": lambda s: 1 - s.h**2})},
        ),
        equations=_gate,
    ),
    Mistake(
        key="reset-gate-side",
        name="δ of the wrong side of the reset gate",
        symptom=(
            "The candidate has two δ: that of the sum, and r_t times it for what the reset gate "
            "multiplies. One stands where the other belongs."
        ),
        remedy="W_x, b and the input take the first; W_h, b_h and the previous state the second.",
        shown_by="One step shows it.",
        seen=0,
        slips=_reset_side,
        equations=lambda cell, place: ("71",) if place == "b" else ("69", "71", "72"),
    ),
    Mistake(
        key="gate-for-gate",
        name="value of the wrong gate",
        symptom=(
            "On the way back stands the value of a wrong gate: z_t for r_t in what the reset gate "
            "multiplies, or 1 − z_t for z_t in what is copied from state to state."
        ),
        remedy="Take the gate that stands at this place in the forward pass.",
        shown_by="One step shows it.",
        seen=0,
        slips=_of_cell(
            gru={
                "q": Slip({"recurrent_delta_n": lambda s: s.packed("n") * s.z}),
                "carried": Slip(
                    {"previous_state": lambda s: (1 - s.kept()) * s.dh + s.through_gates()}
                ),
            }
        ),
        equations=lambda cell, place: ("67",) if place == "q" else ("73",),
    ),
    # Of the shape, of words, of the caller and of the forward pass: no changes of a step.
    Mistake(
        key="batch-not-summed",
        name="gradient of the bias not summed over the batch",
        symptom="{db} has one row for each sample. Its sum over them is right.",
        remedy="Sum over the batch, as the bias is added to every row.",
        shown_by="N = 1 hides it. N = 2 shows it.",
        seen=2,
        slips=_none,
        equations=lambda cell, place: {"rnn": ("3",), "lstm": ("25",), "gru": ("71",)}[cell],
    ),
    Mistake(
        key="repeated-words",
        name="repeated words overwrite each other",
        symptom=(
            "Rows of words that occur twice are too small: an assignment with a list of words, "
            "and `+=` too, writes each row once. Words that occur once are right."
        ),
        remedy="Add at each word: `np.add.at(dW, words, dout)`; in torch `index_add_`.",
        shown_by="Two equal words in the batch.",
        seen=0,
        slips=_none,
        equations=lambda cell, place: ("T2",),
    ),
    Mistake(
        key="argument-changed",
        name="the caller's array changed",
        symptom=(
            "The values are right, and the call changes an array that it is given. The next call "
            "with the same array then fails for no fault of the formula."
        ),
        remedy="Write `a = a + …` in place of `a += …`.",
        shown_by="Two calls with the same arrays.",
        seen=0,
        slips=_none,
        equations=lambda cell, place: (),
    ),
    Mistake(
        key="first-state-lost",
        name="h_0 lost in the forward pass",
        symptom=(
            "The forward pass starts from 0 in place of h_0. `h[:, t - 1]` at t = 0 is the last "
            "column, which is still 0."
        ),
        remedy="Start the loop from h_0.",
        shown_by="T = 1 with h_0 ≠ 0.",
        seen=0,
        slips=_none,
        equations=lambda cell, place: {"rnn": ("R1",), "lstm": ("S2",), "gru": ("U1",)}[cell],
    ),
    Mistake(
        key="truncated",
        name="backpropagation cut off after some steps",
        symptom="Exact for short sequences, then cut off: truncated backpropagation.",
        remedy="If that is meant, check with sequences that are not longer.",
        shown_by="A sequence longer than the cut.",
        seen=2,
        slips=_none,
        equations=_of(_CARRY),
    ),
    Mistake(
        key="mean",
        name="mean in place of a sum",
        symptom="All gradients are the true ones times one factor, such as 1/N or 1/T.",
        remedy="This is a convention, as long as the loss is divided in the same way.",
        shown_by="Any case.",
        seen=0,
        slips=_none,
        equations=lambda cell, place: (),
    ),
)

CATALOGUE: Mapping[str, Mistake] = MappingProxyType({entry.key: entry for entry in _ENTRIES})
"""Every kind of mistake, by its key."""


def planted(cell: CellName) -> tuple[Planted, ...]:
    """Return every mistake that can be made in a cell's backward pass, at each place and form."""
    return tuple(
        Planted(mistake, place, slip, form=form)
        for mistake in _ENTRIES
        for place, forms in mistake.slips(cell).items()
        for form, slip in enumerate(forms, 1)
    )
