"""Equations (13)-(49): the LSTM, one step and the whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.equations._entry import Equation, Sizes
from rnnreport.equations._forms import (
    Changes,
    Formula,
    Gradients,
    Lift,
    Quantity,
    Recurrence,
    changed,
    d,
    each_step,
    each_step_direct,
    first_step,
    first_step_direct,
    new,
    one_step,
    summed,
    with_direct,
)
from rnnreport.equations._recurrences import LSTMProblem
from rnnreport.equations._steps import GATES, LSTMStep

Mistakes = Mapping[str, Changes[LSTMStep]]

# The formulas, as the page has them. In a sequence s.dh and s.dc are [∂L/∂h_t]new and [∂L/∂c_t]new.


def cell(s: LSTMStep) -> Tensor:
    """∂L/∂c_t + ∂L/∂h_t ⊙ o_t ⊙ (1 − tanh(c_t) ⊙ tanh(c_t)): all that reaches c_t."""
    return s.dc + s.dh * s.o * (1 - s.tanh_c * s.tanh_c)


def previous_cell(s: LSTMStep) -> Tensor:
    """(29) and (33) without its first term."""
    return cell(s) * s.f


@dataclass(frozen=True)
class Gate:
    """A gate's own derivative, (13)-(16), and the slope of its nonlinearity.

    `other_slope` is what the slope would be of the other nonlinearity, tanh for σ and σ for tanh;
    `partner` is what the gate meets in the cell and `slope_latex` the slope, both in LaTeX;
    `mistakes` are those that make sense for this gate.
    """

    key: str
    name: str
    symbol: str
    value: Formula[LSTMStep]
    slope: Formula[LSTMStep]
    other_slope: Formula[LSTMStep]
    partner: str
    slope_latex: str
    mistakes: Mistakes

    def before(self, s: LSTMStep) -> Tensor:
        """(25)-(28): the derivative with respect to what enters the nonlinearity."""
        return self.value(s) * self.slope(s)

    def input_weights(self, s: LSTMStep) -> Tensor:
        """(17), (19), (21), (23) and the summands of (36), (38), (40), (42)."""
        return torch.outer(self.before(s), s.x)

    def recurrent_weights(self, s: LSTMStep) -> Tensor:
        """(18), (20), (22), (24) and the summands of (37), (39), (41), (43)."""
        return torch.outer(self.before(s), s.h_prev)


_SIGN: Mistakes = {"∂L/∂h_t with the wrong sign": {"dh": lambda s: -s.dh}}
CELL_MISTAKES: Mistakes = {
    **_SIGN,
    "∂L/∂c_t dropped": {"dc": lambda s: torch.zeros_like(s.dc)},
    "factor o_t dropped": {"o": lambda s: torch.ones_like(s.o)},
    "factor 1 − tanh(c_t) ⊙ tanh(c_t) dropped": {"tanh_c": lambda s: torch.zeros_like(s.c)},
}

FORGET = Gate(
    key="f",
    name="forget gate",
    symbol="f_t",
    value=lambda s: cell(s) * s.c_prev,
    slope=lambda s: s.f * (1 - s.f),
    other_slope=lambda s: 1 - s.f * s.f,
    partner="c_{t-1}",
    slope_latex=r"f_t \odot (1 - f_t)",
    mistakes={**CELL_MISTAKES, "c_t in place of c_{t−1}": {"c_prev": lambda s: s.c}},
)
INPUT = Gate(
    key="i",
    name="input gate",
    symbol="i_t",
    value=lambda s: cell(s) * s.c_tilde,
    slope=lambda s: s.i * (1 - s.i),
    other_slope=lambda s: 1 - s.i * s.i,
    partner=r"\tilde{c}_t",
    slope_latex=r"i_t \odot (1 - i_t)",
    mistakes={**CELL_MISTAKES, "c_t in place of c̃_t": {"c_tilde": lambda s: s.c}},
)
CANDIDATE = Gate(
    key="c",
    name="candidate",
    symbol=r"\tilde{c}_t",
    value=lambda s: cell(s) * s.i,
    slope=lambda s: 1 - s.c_tilde * s.c_tilde,
    other_slope=lambda s: s.c_tilde * (1 - s.c_tilde),
    partner="i_t",
    slope_latex=r"(1 - \tilde{c}_t \odot \tilde{c}_t)",
    mistakes={**CELL_MISTAKES, "f_t in place of i_t": {"i": lambda s: s.f}},
)
OUTPUT = Gate(
    key="o",
    name="output gate",
    symbol="o_t",
    value=lambda s: s.dh * s.tanh_c,
    slope=lambda s: s.o * (1 - s.o),
    other_slope=lambda s: 1 - s.o * s.o,
    partner=r"\tanh(c_t)",
    slope_latex=r"o_t \odot (1 - o_t)",
    mistakes={**_SIGN, "c_t in place of tanh(c_t)": {"tanh_c": lambda s: s.c}},
)
ALL_GATES = (FORGET, INPUT, CANDIDATE, OUTPUT)
_SWAPPED = {"f": INPUT, "i": FORGET, "c": OUTPUT, "o": CANDIDATE}


def step_input(s: LSTMStep) -> Tensor:
    """(30) and (48)."""
    return torch.stack([s.W_x[gate.key].T @ gate.before(s) for gate in ALL_GATES]).sum(0)


def previous_state(s: LSTMStep) -> Tensor:
    """(31), (49) and (32) without its first term."""
    return torch.stack([s.W_h[gate.key].T @ gate.before(s) for gate in ALL_GATES]).sum(0)


def direct_c(p: LSTMProblem) -> Tensor:
    """Rows ∂L/∂c_{t−1} for t = 1, …, T: what the loss reads of the state itself."""
    return torch.stack(p.dc[:-1])


# The code: row convention, transposed and packed weights, a batch of one.


def _packed(p: LSTMProblem) -> tuple[Tensor, Tensor, Tensor]:
    Wx = torch.cat([p.W_x[gate].T for gate in GATES], dim=1)  # (d, 4m)
    Wh = torch.cat([p.W_h[gate].T for gate in GATES], dim=1)  # (m, 4m)
    return Wx, Wh, torch.cat([p.b[gate] for gate in GATES])


def _gradients(dx: Tensor, dh0: Tensor, dc0: Tensor, **packed: Tensor) -> Gradients:
    gradients = {"x": dx, "h_0": dh0, "c_0": dc0}
    for name, values in packed.items():
        rows = values.T if values.ndim == 2 else values
        gradients |= {
            f"{name}^{gate}": part for gate, part in zip(GATES, rows.chunk(len(GATES)), strict=True)
        }
    return gradients


def step_code(p: LSTMProblem) -> Gradients:
    """Gradients of a problem of one step by `layers.lstm_step_backward`."""
    _, _, cache = layers.lstm_step_forward(p.x, p.h_0[None], p.c_0[None], *_packed(p))
    dx, dprev_h, dprev_c, dWx, dWh, db = layers.lstm_step_backward(
        p.dh[1][None], p.dc[1][None], cache
    )
    return _gradients(dx, dprev_h[0], dprev_c[0], W_x=dWx, W_h=dWh, b=db)


def code(p: LSTMProblem) -> Gradients:
    """Gradients of a sequence by `layers.lstm_backward`.

    The layer takes a gradient of the last cell state alone, the loss here reads all of them. As
    gradients add, the sequence is also cut after every earlier step, and what the loss reads of
    the cell there enters as the last state of the piece.
    """
    Wx, Wh, b = _packed(p)

    def piece(T: int, dh: Tensor) -> tuple[Tensor, ...]:
        _, cache = layers.lstm_forward(p.x[:T, None], p.h_0[None], Wx, Wh, b, c0=p.c_0[None])
        return layers.lstm_backward(dh[:, None], cache, dc_T=p.dc[T][None], return_dc0=True)

    dx, dh0, dWx, dWh, db, dc0 = piece(p.T, torch.stack(p.dh[1:]))
    dx = dx.clone()
    for T in range(1, p.T):
        part = piece(T, torch.zeros_like(p.s[:T]))
        dx[:T] += part[0]
        dh0, dWx, dWh, db, dc0 = (
            total + more for total, more in zip((dh0, dWx, dWh, db, dc0), part[1:], strict=True)
        )
    return _gradients(dx[:, 0], dh0[0], dc0[0], W_x=dWx, W_h=dWh, b=db)


def code_new_c(p: LSTMProblem) -> Tensor:
    """Rows [∂L/∂c_{t−1}]new: dc0 of the steps from t on, and what the loss reads of c_{t−1}."""
    return direct_c(p) + torch.stack([code(p.tail(t))["c_0"] for t in range(p.T)])


def code_new_h_T(p: LSTMProblem) -> Tensor:
    """[∂L/∂h_T]new, solved for in the output gate's bias gradient of the last step alone."""
    last = p.tail(p.T - 1)
    _, cache = layers.lstm_forward(last.x[:, None], last.h_0[None], *_packed(p), c0=last.c_0[None])
    # The layer's own tanh(c_T): where it is near zero, its rounding is the quotient's.
    return code(last)["b^o"] / OUTPUT.slope(p.steps[-1]) / torch.tanh(cache.c[-1, 0])


def code_new_c_T(p: LSTMProblem) -> Tensor:
    """[∂L/∂c_T]new, solved for in the candidate's bias gradient of the last step alone."""
    s = p.steps[-1]
    all_that_reaches_c_T = code(p.tail(p.T - 1))["b^c"] / CANDIDATE.slope(s) / s.i
    return all_that_reaches_c_T - s.dh * s.o * (1 - s.tanh_c * s.tanh_c)


# Deliberate mistakes: the formula, or the quantities of a step, that they replace.


def _gate_wrong(
    gate: Gate, form: Callable[[Gate], Formula[LSTMStep]], lift: Lift[LSTMStep]
) -> dict[str, Quantity[LSTMProblem]]:
    """Mistakes in a gate's own derivative; `form` picks what is made of the gate."""
    other = _SWAPPED[gate.key]
    return {
        **{name: lift(changed(form(gate), changes)) for name, changes in gate.mistakes.items()},
        f"{other.name} in place of {gate.name}": lift(form(other)),
    }


def _weight_wrong(
    gate: Gate, form: Callable[[Gate], Formula[LSTMStep]], lift: Lift[LSTMStep]
) -> dict[str, Quantity[LSTMProblem]]:
    """Mistakes in the derivative of a gate's weights or bias: those and the slope's."""
    no_slope = replace(gate, slope=lambda s: torch.ones_like(s.h))
    return {
        **_gate_wrong(gate, form, lift),
        "slope of the nonlinearity dropped": lift(form(no_slope)),
        "slope of the other nonlinearity": lift(form(replace(gate, slope=gate.other_slope))),
    }


def _without_candidate(weights: str) -> Formula[LSTMStep]:
    """Return (30) or (31) without the candidate's term."""

    def formula(s: LSTMStep) -> Tensor:
        W: Mapping[str, Tensor] = getattr(s, weights)
        gates = (FORGET, INPUT, OUTPUT)
        return torch.stack([W[gate.key].T @ gate.before(s) for gate in gates]).sum(0)

    return formula


def _swap(W: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {**W, "f": W["i"], "i": W["f"]}


_STATE_MISTAKES: Mapping[str, Mistakes] = {
    "W_x": {
        "∂L/∂c_t dropped": CELL_MISTAKES["∂L/∂c_t dropped"],
        "weights of f_t and i_t swapped": {"W_x": lambda s: _swap(s.W_x)},
    },
    "W_h": {
        "∂L/∂c_t dropped": CELL_MISTAKES["∂L/∂c_t dropped"],
        "weights of f_t and i_t swapped": {"W_h": lambda s: _swap(s.W_h)},
        "W_h not transposed": {"W_h": lambda s: {gate: W.T for gate, W in s.W_h.items()}},
    },
}


def _state_wrong(
    formula: Formula[LSTMStep], weights: str, lift: Lift[LSTMStep]
) -> dict[str, Quantity[LSTMProblem]]:
    return {
        **{name: lift(changed(formula, ch)) for name, ch in _STATE_MISTAKES[weights].items()},
        "candidate's term dropped": lift(_without_candidate(weights)),
    }


# LaTeX. (13)-(31) and their counterparts with [·]new differ in these two derivatives alone.

_DIRECT = (d("h_t"), d("c_t"))
_NEW = (new("h_t"), new("c_t"))
_SLOPE_OF_H = r"\odot o_t \odot (1 - \tanh(c_t) \odot \tanh(c_t))"


def _cell_latex(derivatives: tuple[str, str]) -> str:
    dh, dc = derivatives
    return rf"\left( {dc} + {dh} {_SLOPE_OF_H} \right)"


def _value_latex(gate: Gate, derivatives: tuple[str, str]) -> str:
    reaches = derivatives[0] if gate is OUTPUT else _cell_latex(derivatives)
    return rf"{reaches} \odot {gate.partner}"


def _before_latex(gate: Gate, derivatives: tuple[str, str]) -> str:
    return rf"{_value_latex(gate, derivatives)} \odot {gate.slope_latex}"


def _gate_sum_latex(W: str, derivatives: tuple[str, str]) -> str:
    return " + ".join(
        rf"({W}^{gate.key})^{{\top}} \left[ {_before_latex(gate, derivatives)} \right]"
        for gate in ALL_GATES
    )


def _at_first_step(latex: str) -> str:
    return latex.replace("_{t-1}", "_0").replace("_t", "_1")


# The entries.

RECURRENCE = Recurrence(
    page="lstm",
    prefix="LSTM",
    layer="lstm",
    problem=LSTMProblem,
    code=code,
    not_new="∂L/∂h_t and ∂L/∂c_t in place of [·]_{new}",
)
_D_TILDE = (
    "The first line writes d̃_t, which is defined nowhere, for the candidate c̃_t. Taken at its word "
    "the candidate's term is lost; the result below it has the term."
)
_LOST_SUM = (
    "The line begins with a sum over t and ends without it, in what a single step "
    "contributes. The residual as printed is that of the step that comes closest."
)


def _gate_value(number: int, gate: Gate) -> Equation[LSTMProblem, Sizes]:
    """(13)-(16)."""
    return RECURRENCE.step(
        number,
        gate.name,
        f"{d(gate.symbol)} = {_value_latex(gate, _DIRECT)}",
        left=lambda p: p.gate_derivative(gate.key),
        formula=gate.value,
        code=lambda p: step_code(p)[f"b^{gate.key}"] / gate.slope(p.steps[0]),
        wrong=_gate_wrong(gate, lambda g: g.value, one_step),
    )


@dataclass(frozen=True)
class _Parameter:
    """W_x, W_h or b of a gate: how it is called, and how its derivative is made of the gate."""

    field: str
    title: str
    form: Callable[[Gate], Formula[LSTMStep]]
    factor: str  # LaTeX of the column that the derivative meets
    mistakes: Mistakes

    def wrong(self, gate: Gate, lift: Lift[LSTMStep]) -> dict[str, Quantity[LSTMProblem]]:
        own = {name: lift(changed(self.form(gate), ch)) for name, ch in self.mistakes.items()}
        return {**_weight_wrong(gate, self.form, lift), **own}

    def latex(self, gate: Gate, derivatives: tuple[str, str]) -> str:
        before = _before_latex(gate, derivatives)
        return rf"\left[ {before} \right] {self.factor}" if self.factor else before


_W_X = _Parameter(
    field="W_x",
    title="input weights",
    form=lambda gate: gate.input_weights,
    factor=r"x_t^{\top}",
    mistakes={},
)
_W_H = _Parameter(
    field="W_h",
    title="recurrent weights",
    form=lambda gate: gate.recurrent_weights,
    factor=r"h_{t-1}^{\top}",
    mistakes={"h_t in place of h_{t−1}": {"h_prev": lambda s: s.h}},
)
_B = _Parameter(field="b", title="bias", form=lambda gate: gate.before, factor="", mistakes={})


def _gate_parameter(number: int, parameter: _Parameter, gate: Gate) -> Equation[LSTMProblem, Sizes]:
    """(17)-(28)."""
    symbol = f"{parameter.field}^{gate.key}"
    return RECURRENCE.step(
        number,
        f"{parameter.title} of the {gate.name}",
        rf"{d(symbol)} = {parameter.latex(gate, _DIRECT)}",
        left=lambda p: p.derivative(parameter.field, gate.key),
        formula=parameter.form(gate),
        code=lambda p: step_code(p)[symbol],
        wrong=parameter.wrong(gate, one_step),
    )


def _gate_parameter_sum(
    number: int, parameter: _Parameter, gate: Gate
) -> Equation[LSTMProblem, Sizes]:
    """(36)-(47)."""
    formula = parameter.form(gate)
    symbol = f"{parameter.field}^{gate.key}"
    right = RECURRENCE.total(
        number,
        f"{parameter.title} of the {gate.name}",
        rf"{d(symbol)} = \sum_{{t=1}}^{{T}} {parameter.latex(gate, _NEW)}",
        left=lambda p: p.derivative(parameter.field, gate.key),
        formula=formula,
        variable=symbol,
        wrong=parameter.wrong(gate, summed),
    )
    return replace(
        right,
        verdict="wrong",
        printed=rf"{d(symbol)} = {parameter.latex(gate, _NEW)}",
        as_printed=lambda p: [formula(s) for s in p.new_steps],
        remark=_LOST_SUM,
    )


def _slopes_of_tanh(p: LSTMProblem) -> list[Tensor]:
    """(17) with the derivative of tanh, as its second line has it."""
    return [one_step(replace(FORGET, slope=FORGET.other_slope).input_weights)(p)]


def _d_tilde_latex(variable: str) -> str:
    gates = ("f_t", "i_t", r"\tilde{d}_t", "o_t")
    return rf"{d(variable)} = " + " + ".join(
        rf"{d(gate)} \frac{{\partial {gate}}}{{\partial {variable}}}" for gate in gates
    )


_PARAMETERS = tuple(
    _gate_parameter(17 + 2 * k + n, parameter, gate)
    for k, gate in enumerate(ALL_GATES)
    for n, parameter in enumerate((_W_X, _W_H))
)
_BIASES = tuple(_gate_parameter(25 + k, _B, gate) for k, gate in enumerate(ALL_GATES))

_STEP: tuple[Equation[LSTMProblem, Sizes], ...] = (
    *(_gate_value(13 + k, gate) for k, gate in enumerate(ALL_GATES)),
    replace(
        _PARAMETERS[0],
        verdict="sloppy",
        printed=(
            rf"\left[ {d('W_x^f')} \right]_{{i,j}} = \sum_k {d('(f_t)_k')} "
            r"\frac{\partial (f_t)_k}{\partial \tanh^{-1}(f_t)_k} "
            r"\frac{\partial \tanh^{-1}(f_t)_k}{\partial (W_x^f)_{i,j}}"
        ),
        as_printed=_slopes_of_tanh,
        remark=(
            "The second line writes tanh⁻¹(f_t) where σ⁻¹(f_t) is meant: f_t is a sigmoid, and its "
            "slope is f_t ⊙ (1 − f_t), as the next line has it. Taken at its word the slope would "
            "be 1 − f_t ⊙ f_t. The last line but one also lacks the brackets around the "
            "element-wise product before x_tᵀ. The result is right."
        ),
    ),
    *_PARAMETERS[1:],
    *_BIASES[:3],
    replace(
        _BIASES[3],
        remark="The middle part writes σ⁻¹ o_t for σ⁻¹(o_t); the result is right.",
    ),
    RECURRENCE.step(
        29,
        "previous cell state",
        rf"{d('c_{t-1}')} = {_cell_latex(_DIRECT)} \odot f_t",
        left=lambda p: p.derivative("c_0"),
        formula=previous_cell,
        code=lambda p: step_code(p)["c_0"],
        wrong={
            **{name: one_step(changed(previous_cell, ch)) for name, ch in CELL_MISTAKES.items()},
            "i_t in place of f_t": one_step(changed(previous_cell, {"f": lambda s: s.i})),
        },
    ),
    replace(
        RECURRENCE.step(
            30,
            "input",
            rf"{d('x_t')} = {_gate_sum_latex('W_x', _DIRECT)}",
            left=lambda p: p.derivative("x")[0],
            formula=step_input,
            code=lambda p: step_code(p)["x"][0],
            wrong=_state_wrong(step_input, "W_x", one_step),
        ),
        verdict="sloppy",
        printed=_d_tilde_latex("x_t"),
        as_printed=lambda p: [one_step(_without_candidate("W_x"))(p)],
        remark=_D_TILDE,
    ),
    replace(
        RECURRENCE.step(
            31,
            "previous state",
            rf"{d('h_{t-1}')} = {_gate_sum_latex('W_h', _DIRECT)}",
            left=lambda p: p.derivative("h_0"),
            formula=previous_state,
            code=lambda p: step_code(p)["h_0"],
            wrong=_state_wrong(previous_state, "W_h", one_step),
        ),
        verdict="sloppy",
        printed=_d_tilde_latex("h_{t-1}"),
        as_printed=lambda p: [one_step(_without_candidate("W_h"))(p)],
        remark=_D_TILDE,
    ),
)


def _new_h_wrong() -> dict[str, Quantity[LSTMProblem]]:
    terms = _state_wrong(previous_state, "W_h", each_step)
    not_new = with_direct(each_step_direct(previous_state))
    return {
        **{name: with_direct(term) for name, term in terms.items()},
        "∂L/∂h_{t−1} dropped": each_step(previous_state),
        "∂L/∂h_{t−1} read as in (31)": lambda p: not_new(p) + each_step(previous_state)(p),
        RECURRENCE.not_new: not_new,
    }


def _new_c_wrong() -> dict[str, Quantity[LSTMProblem]]:
    def with_direct(formula: Formula[LSTMStep]) -> Quantity[LSTMProblem]:
        return lambda p: direct_c(p) + each_step(formula)(p)

    return {
        **{name: with_direct(changed(previous_cell, ch)) for name, ch in CELL_MISTAKES.items()},
        "i_t in place of f_t": with_direct(changed(previous_cell, {"f": lambda s: s.i})),
        "∂L/∂c_{t−1} dropped": each_step(previous_cell),
        RECURRENCE.not_new: lambda p: direct_c(p) + each_step_direct(previous_cell)(p),
    }


_SEQUENCE: tuple[Equation[LSTMProblem, Sizes], ...] = (
    RECURRENCE.previous_state(
        32,
        rf"{new('h_{t-1}')} = {d('h_{t-1}')} + {_gate_sum_latex('W_h', _NEW)}",
        previous_state,
        wrong=_new_h_wrong(),
        remark=(
            "∂L/∂h_{t−1} on the right is what the loss reads of h_{t−1} itself, while in (31) the "
            "same symbol is what arrives through step t. The line is right only in the first sense."
        ),
    ),
    replace(
        RECURRENCE.sequence(
            33,
            "previous cell state",
            rf"{new('c_{t-1}')} = {d('c_{t-1}')} + {_cell_latex(_NEW)} \odot f_t",
            left=lambda p: torch.stack(p.new_dc[:-1]),
            right=lambda p: direct_c(p) + each_step(previous_cell)(p),
            code=code_new_c,
            wrong=_new_c_wrong(),
        ),
        verdict="conditional",
        printed=rf"{new('c_{t-1}')} = {_cell_latex(_NEW)} \odot f_t",
        as_printed=lambda p: [each_step(previous_cell)(p)],
        assumption=LSTMProblem.without_c,
        remark=(
            "The line drops what the loss reads of c_{t−1} itself, though the text before it "
            "counts every ∂L/∂c_{t′} and (32) keeps the same term of h_{t−1}. In general "
            "∂L/∂c_{t−1} has to be added; the line is exact where the loss reads no cell state."
        ),
    ),
    RECURRENCE.sequence(
        34,
        "last state",
        rf"{new('h_T')} = {d('h_T')}",
        left=lambda p: p.new_dh[p.T],
        right=lambda p: p.dh[p.T],
        code=code_new_h_T,
        wrong={
            "∂L/∂h_T with the wrong sign": lambda p: -p.dh[p.T],
            "(32) applied once more after step T": lambda p: (
                p.dh[p.T] + previous_state(p.steps[-1])
            ),
        },
        remark=(
            "The words before the line, “when t − 1 = T”, point at a step T + 1 that does not "
            "exist. The recursions (32) and (33) start from (34) and (35) at t = T."
        ),
    ),
    replace(
        RECURRENCE.sequence(
            35,
            "last cell state",
            rf"{new('c_T')} = {d('c_T')}",
            left=lambda p: p.new_dc[p.T],
            right=lambda p: p.dc[p.T],
            code=code_new_c_T,
            wrong={
                "∂L/∂c_T with the wrong sign": lambda p: -p.dc[p.T],
                "what reaches c_T through h_T counted in": lambda p: cell(p.steps[-1]),
            },
        ),
        verdict="conditional",
        printed=rf"{new('c_T')} = 0",
        as_printed=lambda p: [torch.zeros_like(p.dc[p.T])],
        assumption=LSTMProblem.without_c,
        remark=(
            "The line and the sentence after it take for granted that the loss reads no cell "
            "state. In general the right side is ∂L/∂c_T, the counterpart of (34); the line is "
            "exact where the loss does not read c_T."
        ),
    ),
    *(
        _gate_parameter_sum(36 + 2 * k + n, parameter, gate)
        for k, gate in enumerate(ALL_GATES)
        for n, parameter in enumerate((_W_X, _W_H))
    ),
    *(_gate_parameter_sum(44 + k, _B, gate) for k, gate in enumerate(ALL_GATES)),
    RECURRENCE.sequence(
        48,
        "input",
        rf"{d('x_t')} = {_gate_sum_latex('W_x', _NEW)}",
        left=lambda p: p.derivative("x"),
        right=each_step(step_input),
        code=lambda p: code(p)["x"],
        wrong={
            **_state_wrong(step_input, "W_x", each_step),
            RECURRENCE.not_new: each_step_direct(step_input),
        },
    ),
    RECURRENCE.sequence(
        49,
        "first state",
        rf"{d('h_0')} = {_at_first_step(_gate_sum_latex('W_h', _NEW))}",
        left=lambda p: p.derivative("h_0"),
        right=first_step(previous_state),
        code=lambda p: code(p)["h_0"],
        wrong={
            **_state_wrong(previous_state, "W_h", first_step),
            RECURRENCE.not_new: first_step_direct(previous_state),
        },
    ),
)

LSTM: tuple[Equation[LSTMProblem, Sizes], ...] = (*_STEP, *_SEQUENCE)
