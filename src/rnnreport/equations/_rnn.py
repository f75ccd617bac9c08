"""Equations (1)-(12): the RNN, one step and the whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.equations._backward import Backward, Parameter
from rnnreport.equations._deliberate import in_sequence, in_step, in_sum, of
from rnnreport.equations._entry import Equation, Sizes
from rnnreport.equations._forms import (
    Formula,
    Gradients,
    Quantity,
    Recurrence,
    d,
    each_step,
    each_step_direct,
    first_step,
    new,
    with_direct,
)
from rnnreport.equations._recurrences import RNNProblem
from rnnreport.equations._steps import RNNStep

# The formulas, as the page has them. In a sequence s.dh is [∂L/∂h_t]new.


def bias(s: RNNStep) -> Tensor:
    """(3), the summand of (10): δ = ∂L/∂h_t ⊙ (1 − h_t ⊙ h_t), which (1)-(5) have in common."""
    return s.bias("h")


def input_weights(s: RNNStep) -> Tensor:
    """(1), the summand of (8): δ x_tᵀ."""
    return s.input_weights("h")


def recurrent_weights(s: RNNStep) -> Tensor:
    """(2), the summand of (9): δ h_{t−1}ᵀ."""
    return s.recurrent_weights("h")


def step_input(s: RNNStep) -> Tensor:
    """(4) and (11): W_xᵀ δ."""
    return s.step_input()


def previous_state(s: RNNStep) -> Tensor:
    """(5), (12) and the second term of (6): W_hᵀ δ."""
    return s.previous_state()


# The code: row convention, transposed weights, a batch of one.


def step_code(p: RNNProblem) -> Gradients:
    """Gradients of a problem of one step by `layers.rnn_step_backward`."""
    _, cache = layers.rnn_step_forward(p.x, p.h_0[None], p.W_x.T, p.W_h.T, p.b)
    dx, dprev_h, dWx, dWh, db = layers.rnn_step_backward(p.dh[1][None], cache)
    return {"x": dx, "h_0": dprev_h[0], "W_x": dWx.T, "W_h": dWh.T, "b": db}


def code(p: RNNProblem) -> Gradients:
    """Gradients of a sequence by `layers.rnn_backward`."""
    _, cache = layers.rnn_forward(p.x[:, None], p.h_0[None], p.W_x.T, p.W_h.T, p.b)
    dx, dh0, dWx, dWh, db = layers.rnn_backward(torch.stack(p.dh[1:])[:, None], cache)
    return {"x": dx[:, 0], "h_0": dh0[0], "W_x": dWx.T, "W_h": dWh.T, "b": db}


def code_new_h_T(p: RNNProblem) -> Tensor:
    """[∂L/∂h_T]new, solved for in the bias gradient of the last step alone."""
    return code(p.tail(p.T - 1))["b"] / (1 - p.h[p.T] * p.h[p.T])


# Deliberate mistakes: the quantities of a step whose change changes an entry.

_DELTA = of("h", "value", "slope", "delta", "packed")
_QUANTITIES: Mapping[Formula[RNNStep], frozenset[str]] = {
    input_weights: _DELTA,
    recurrent_weights: _DELTA | of("h", "recurrent_input"),
    bias: _DELTA,
    step_input: _DELTA | of("h", "input_delta"),
    previous_state: _DELTA | of("h", "state_delta") | {"W_h"},
}
CARRIED = frozenset({"carries_h", "own", "forward"})


def _in_step(formula: Formula[RNNStep]) -> dict[str, Quantity[RNNProblem]]:
    return in_step("rnn", formula, _QUANTITIES[formula])


def _in_sequence(
    formula: Formula[RNNStep], result: Callable[[Backward], Tensor], *joining: str
) -> dict[str, Quantity[RNNProblem]]:
    return in_sequence("rnn", result, _QUANTITIES[formula] | CARRIED | {*joining})


def _in_sum(formula: Formula[RNNStep], variable: Parameter) -> dict[str, Quantity[RNNProblem]]:
    first = {"first_h"} if variable == "W_h" else set()
    return in_sum("rnn", formula, variable, _QUANTITIES[formula] | CARRIED | first)


RECURRENCE = Recurrence(
    page="rnn",
    prefix="RNN",
    layer="rnn",
    problem=RNNProblem,
    code=code,
)

# The entries.

_G = rf"\left[ {d('h_t')} \odot (1 - h_t \odot h_t) \right]"
_G_NEW = rf"\left[ {new('h_t')} \odot (1 - h_t \odot h_t) \right]"
_G_NEW_1 = rf"\left[ {new('h_1')} \odot (1 - h_1 \odot h_1) \right]"
_SUM = r"\sum_{t=1}^{T}"


def _parameter(
    number: int, title: str, statement: str, formula: Formula[RNNStep], variable: str
) -> Equation[RNNProblem, Sizes]:
    return RECURRENCE.step(
        number,
        title,
        statement,
        left=lambda p: p.derivative(variable),
        formula=formula,
        code=lambda p: step_code(p)[variable],
        wrong=_in_step(formula),
    )


def _sum(
    number: int, title: str, statement: str, formula: Formula[RNNStep], variable: Parameter
) -> Equation[RNNProblem, Sizes]:
    return RECURRENCE.total(
        number,
        title,
        statement,
        left=lambda p: p.derivative(variable),
        formula=formula,
        variable=variable,
        wrong=_in_sum(formula, variable),
    )


RNN: tuple[Equation[RNNProblem, Sizes], ...] = (
    _parameter(1, "input weights", rf"{d('W_x')} = {_G} x_t^{{\top}}", input_weights, "W_x"),
    _parameter(
        2, "recurrent weights", rf"{d('W_h')} = {_G} h_{{t-1}}^{{\top}}", recurrent_weights, "W_h"
    ),
    _parameter(3, "bias", rf"{d('b')} = {d('h_t')} \odot (1 - h_t \odot h_t)", bias, "b"),
    RECURRENCE.step(
        4,
        "input",
        rf"{d('x_t')} = W_x^{{\top}} {_G}",
        left=lambda p: p.derivative("x")[0],
        formula=step_input,
        code=lambda p: step_code(p)["x"][0],
        wrong=_in_step(step_input),
    ),
    _parameter(5, "previous state", rf"{d('h_{t-1}')} = W_h^{{\top}} {_G}", previous_state, "h_0"),
    RECURRENCE.previous_state(
        6,
        rf"{new('h_{t-1}')} = {d('h_{t-1}')} + W_h^{{\top}} {_G_NEW}",
        previous_state,
        wrong={
            **_in_sequence(previous_state, Backward.previous_states),
            "∂L/∂h_{t−1} read as in (5)": lambda p: (
                with_direct(each_step_direct(previous_state))(p) + each_step(previous_state)(p)
            ),
        },
        remark=(
            "∂L/∂h_{t−1} on the right is what the loss reads of h_{t−1} itself, while in (5) the "
            "same symbol is what arrives through step t. The line is right only in the first "
            "sense; with (5) put in, step t would count twice."
        ),
    ),
    RECURRENCE.sequence(
        7,
        "last state",
        rf"{new('h_T')} = {d('h_T')}",
        left=lambda p: p.new_dh[p.T],
        right=lambda p: p.dh[p.T],
        code=code_new_h_T,
        wrong={
            "∂L/∂h_T with the wrong sign": lambda p: -p.dh[p.T],
            "(6) applied once more after step T": lambda p: p.dh[p.T] + previous_state(p.steps[-1]),
        },
        remark=(
            "The words before the line, “when t − 1 = T”, point at a step T + 1 that does not "
            "exist. The recursion (6) starts from this line at t = T."
        ),
    ),
    _sum(
        8,
        "input weights",
        rf"{d('W_x')} = {_SUM} {_G_NEW} x_t^{{\top}}",
        input_weights,
        "W_x",
    ),
    _sum(
        9,
        "recurrent weights",
        rf"{d('W_h')} = {_SUM} {_G_NEW} h_{{t-1}}^{{\top}}",
        recurrent_weights,
        "W_h",
    ),
    _sum(
        10,
        "bias",
        rf"{d('b')} = {_SUM} {new('h_t')} \odot (1 - h_t \odot h_t)",
        bias,
        "b",
    ),
    RECURRENCE.sequence(
        11,
        "input",
        rf"{d('x_t')} = W_x^{{\top}} {_G_NEW}",
        left=lambda p: p.derivative("x"),
        right=each_step(step_input),
        code=lambda p: code(p)["x"],
        wrong=_in_sequence(step_input, Backward.inputs, "own_input"),
    ),
    RECURRENCE.sequence(
        12,
        "first state",
        rf"{d('h_0')} = W_h^{{\top}} {_G_NEW_1}",
        left=lambda p: p.derivative("h_0"),
        right=first_step(previous_state),
        code=lambda p: code(p)["h_0"],
        wrong=_in_sequence(previous_state, lambda b: b.h_0, "early"),
    ),
)
