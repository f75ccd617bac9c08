"""Equations (13)-(49): the LSTM, one step and the whole sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.equations._backward import Backward, Parameter
from rnnreport.equations._deliberate import in_sequence, in_step, in_sum, of
from rnnreport.equations._entry import Equation, Sizes
from rnnreport.equations._forms import (
    Formula,
    Gradients,
    Recurrence,
    changed,
    d,
    each_step,
    each_step_direct,
    first_step,
    new,
    one_step,
    with_direct,
)
from rnnreport.equations._recurrences import LSTMProblem
from rnnreport.equations._steps import GATES, SLOPES, Changes, LSTMStep

# The formulas, as the page has them. In a sequence s.dh and s.dc are [∂L/∂h_t]new and [∂L/∂c_t]new.


def cell(s: LSTMStep) -> Tensor:
    """∂L/∂c_t + ∂L/∂h_t ⊙ o_t ⊙ (1 − tanh(c_t) ⊙ tanh(c_t)): all that reaches c_t."""
    return s.reaches_c()


def previous_cell(s: LSTMStep) -> Tensor:
    """(29) and (33) without its first term: all that reaches c_t, times f_t."""
    return s.previous_cell()


@dataclass(frozen=True)
class Gate:
    """A gate's own derivative, (13)-(16), and the slope of its nonlinearity.

    `partner` is what the gate meets in the cell and `slope_latex` the slope, both in LaTeX.
    """

    key: str
    name: str
    symbol: str
    partner: str
    slope_latex: str

    def value(self, s: LSTMStep) -> Tensor:
        """(13)-(16): what reaches c_t, or of the output gate ∂L/∂h_t, times the partner."""
        return s.value(self.key)

    def slope(self, s: LSTMStep) -> Tensor:
        """Slope of the nonlinearity: y ⊙ (1 − y) of σ, 1 − y ⊙ y of tanh."""
        return s.slope(self.key)

    def before(self, s: LSTMStep) -> Tensor:
        """(25)-(28), the summands of (44)-(47): δ, the gate's own derivative times the slope."""
        return s.bias(self.key)

    def input_weights(self, s: LSTMStep) -> Tensor:
        """(17), (19), (21), (23) and the summands of (36), (38), (40), (42): δ x_tᵀ."""
        return s.input_weights(self.key)

    def recurrent_weights(self, s: LSTMStep) -> Tensor:
        """(18), (20), (22), (24) and the summands of (37), (39), (41), (43): δ h_{t−1}ᵀ."""
        return s.recurrent_weights(self.key)


FORGET = Gate("f", "forget gate", "f_t", "c_{t-1}", r"f_t \odot (1 - f_t)")
INPUT = Gate("i", "input gate", "i_t", r"\tilde{c}_t", r"i_t \odot (1 - i_t)")
CANDIDATE = Gate("c", "candidate", r"\tilde{c}_t", "i_t", r"(1 - \tilde{c}_t \odot \tilde{c}_t)")
OUTPUT = Gate("o", "output gate", "o_t", r"\tanh(c_t)", r"o_t \odot (1 - o_t)")
ALL_GATES = (FORGET, INPUT, CANDIDATE, OUTPUT)


def step_input(s: LSTMStep) -> Tensor:
    """(30) and (48): Σ (W_x)ᵀ δ over the gates."""
    return s.step_input()


def previous_state(s: LSTMStep) -> Tensor:
    """(31), (49) and (32) without its first term: Σ (W_h)ᵀ δ over the gates."""
    return s.previous_state()


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
    return all_that_reaches_c_T - s.through_state()


# Deliberate mistakes: the quantities of a step whose change changes an entry.

CELL = frozenset({"reaches_c", "through_state", "cell_slope"})
_INPUT = of(GATES, "input_delta")
_STATE = of(GATES, "state_delta") | {"W_h"}
CARRIED = frozenset({"carries_h", "carries_c", "own", "forward"})


def of_value(gate: Gate) -> frozenset[str]:
    """Return what a gate's own derivative is made of."""
    own = of(gate.key, "value", "partner")
    return own if gate is OUTPUT else own | CELL


def _without_candidate(formula: Formula[LSTMStep]) -> Formula[LSTMStep]:
    """Return (30) or (31) without the candidate's term."""

    def none(s: LSTMStep) -> Tensor:
        return torch.zeros_like(s.c_tilde)

    return changed(formula, {"input_delta_c": none, "state_delta_c": none})


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
        wrong=in_step("lstm", gate.value, of_value(gate)),
    )


@dataclass(frozen=True)
class _Parameter:
    """W_x, W_h or b of a gate: how it is called, and how its derivative is made of the gate."""

    field: Parameter
    title: str
    form: Callable[[Gate], Formula[LSTMStep]]
    factor: str  # LaTeX of the column that the derivative meets

    def quantities(self, gate: Gate) -> frozenset[str]:
        """Return what the derivative is made of in a step; what δ is made of stands at its bias."""
        more = {"W_x": (), "W_h": ("recurrent_input",), "b": ("value", "partner", "slope")}
        return of(gate.key, "delta", "packed", *more[self.field])

    def joined(self, gate: Gate) -> frozenset[str]:
        """Return how the steps are joined in its sum."""
        joined = {"carries_h"}
        if gate is not OUTPUT:  # of two steps, what is sent back to c_t does not reach it
            joined.add("carries_c")
        if gate is FORGET:
            joined.add("first_c")
        return frozenset(joined | {"first_h"} if self.field == "W_h" else joined)

    def latex(self, gate: Gate, derivatives: tuple[str, str]) -> str:
        before = _before_latex(gate, derivatives)
        return rf"\left[ {before} \right] {self.factor}" if self.factor else before


_W_X = _Parameter("W_x", "input weights", lambda gate: gate.input_weights, r"x_t^{\top}")
_W_H = _Parameter(
    "W_h", "recurrent weights", lambda gate: gate.recurrent_weights, r"h_{t-1}^{\top}"
)
_B = _Parameter("b", "bias", lambda gate: gate.before, "")


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
        wrong=in_step(
            "lstm", parameter.form(gate), parameter.quantities(gate) | of(gate.key, "slope")
        ),
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
        wrong=in_sum(
            "lstm",
            formula,
            parameter.field,
            parameter.quantities(gate) | parameter.joined(gate),
        ),
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
    slope: Changes = {"slope_f": lambda s: SLOPES["tanh"](s.f)}
    return [one_step(changed(FORGET.input_weights, slope))(p)]


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
        wrong=in_step("lstm", previous_cell, CELL | {"previous_cell"}),
    ),
    replace(
        RECURRENCE.step(
            30,
            "input",
            rf"{d('x_t')} = {_gate_sum_latex('W_x', _DIRECT)}",
            left=lambda p: p.derivative("x")[0],
            formula=step_input,
            code=lambda p: step_code(p)["x"][0],
            wrong=in_step("lstm", step_input, _INPUT),
        ),
        verdict="sloppy",
        printed=_d_tilde_latex("x_t"),
        as_printed=lambda p: [one_step(_without_candidate(step_input))(p)],
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
            wrong=in_step("lstm", previous_state, _STATE),
        ),
        verdict="sloppy",
        printed=_d_tilde_latex("h_{t-1}"),
        as_printed=lambda p: [one_step(_without_candidate(previous_state))(p)],
        remark=_D_TILDE,
    ),
)


_SEQUENCE: tuple[Equation[LSTMProblem, Sizes], ...] = (
    RECURRENCE.previous_state(
        32,
        rf"{new('h_{t-1}')} = {d('h_{t-1}')} + {_gate_sum_latex('W_h', _NEW)}",
        previous_state,
        wrong={
            **in_sequence("lstm", Backward.previous_states, _STATE | CARRIED),
            "∂L/∂h_{t−1} read as in (31)": lambda p: (
                with_direct(each_step_direct(previous_state))(p) + each_step(previous_state)(p)
            ),
        },
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
            wrong={
                **in_sequence("lstm", Backward.previous_cells, CELL | {"previous_cell"} | CARRIED),
                "∂L/∂c_{t−1} dropped": each_step(previous_cell),
            },
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
        wrong=in_sequence("lstm", Backward.inputs, _INPUT | CARRIED | {"own_input"}),
    ),
    RECURRENCE.sequence(
        49,
        "first state",
        rf"{d('h_0')} = {_at_first_step(_gate_sum_latex('W_h', _NEW))}",
        left=lambda p: p.derivative("h_0"),
        right=first_step(previous_state),
        code=lambda p: code(p)["h_0"],
        wrong=in_sequence("lstm", lambda b: b.h_0, _STATE | CARRIED | {"early"}),
    ),
)

LSTM: tuple[Equation[LSTMProblem, Sizes], ...] = (*_STEP, *_SEQUENCE)
