"""Equations (1)-(12): the RNN, one step and the whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.equations._entry import Equation, Sizes, draw_sizes
from rnnreport.equations._forms import (
    Changes,
    Formula,
    Lift,
    changed,
    d,
    each_step,
    each_step_direct,
    first_step,
    first_step_direct,
    last_step,
    new,
    one_step,
    summed,
    summed_direct,
)
from rnnreport.equations._recurrences import RNNProblem, RNNStep

Quantity = Callable[[RNNProblem], Tensor]

# The formulas, as the page has them. In a sequence s.dh is [∂L/∂h_t]new.


def bias(s: RNNStep) -> Tensor:
    """(3), the summand of (10), and what (1)-(5) have in common."""
    return s.dh * (1 - s.h * s.h)


def input_weights(s: RNNStep) -> Tensor:
    """(1), the summand of (8)."""
    return torch.outer(bias(s), s.x)


def recurrent_weights(s: RNNStep) -> Tensor:
    """(2), the summand of (9)."""
    return torch.outer(bias(s), s.h_prev)


def step_input(s: RNNStep) -> Tensor:
    """(4) and (11)."""
    return s.W_x.T @ bias(s)


def previous_state(s: RNNStep) -> Tensor:
    """(5), (12) and the second term of (6)."""
    return s.W_h.T @ bias(s)


def direct_h(p: RNNProblem) -> Tensor:
    """Rows ∂L/∂h_{t−1} for t = 1, …, T: what the loss reads of the state itself."""
    return torch.stack(p.dh[:-1])


# The code: row convention, transposed weights, a batch of one.


class _Gradients(NamedTuple):
    x: Tensor  # (T, d)
    h_0: Tensor  # (m,)
    W_x: Tensor  # (m, d)
    W_h: Tensor  # (m, m)
    b: Tensor  # (m,)


def step_code(p: RNNProblem) -> _Gradients:
    """Gradients of a problem of one step by `layers.rnn_step_backward`."""
    _, cache = layers.rnn_step_forward(p.x, p.h_0[None], p.W_x.T, p.W_h.T, p.b)
    dx, dprev_h, dWx, dWh, db = layers.rnn_step_backward(p.dh[1][None], cache)
    return _Gradients(dx, dprev_h[0], dWx.T, dWh.T, db)


def code(p: RNNProblem) -> _Gradients:
    """Gradients of a sequence by `layers.rnn_backward`."""
    _, cache = layers.rnn_forward(p.x[:, None], p.h_0[None], p.W_x.T, p.W_h.T, p.b)
    dx, dh0, dWx, dWh, db = layers.rnn_backward(torch.stack(p.dh[1:])[:, None], cache)
    return _Gradients(dx[:, 0], dh0[0], dWx.T, dWh.T, db)


def code_new_h(p: RNNProblem) -> Tensor:
    """Rows [∂L/∂h_{t−1}]new: dh0 of the steps from t on, and what the loss reads of h_{t−1}."""
    return direct_h(p) + torch.stack([code(p.tail(t)).h_0 for t in range(p.T)])


def code_new_h_T(p: RNNProblem) -> Tensor:
    """[∂L/∂h_T]new, solved for in the bias gradient of the last step alone."""
    return code(p.tail(p.T - 1)).b / (1 - p.h[p.T] * p.h[p.T])


# Deliberate mistakes: what they are, and the quantities of a step that they replace.

_MISTAKES: Mapping[str, Changes[RNNStep]] = {
    "∂L/∂h_t with the wrong sign": {"dh": lambda s: -s.dh},
    "factor 1 − h_t ⊙ h_t dropped": {"h": lambda s: torch.zeros_like(s.h)},
    "slope of tanh taken at h_{t−1}": {"h": lambda s: s.h_prev},
}
_MISTAKES_OF: Mapping[Formula[RNNStep], Mapping[str, Changes[RNNStep]]] = {
    recurrent_weights: {"h_t in place of h_{t−1}": {"h_prev": lambda s: s.h}},
    previous_state: {"W_h not transposed": {"W_h": lambda s: s.W_h.T}},
}


def _wrong(formula: Formula[RNNStep], lift: Lift[RNNStep]) -> dict[str, Quantity]:
    mistakes = {**_MISTAKES, **_MISTAKES_OF.get(formula, {})}
    return {name: lift(changed(formula, changes)) for name, changes in mistakes.items()}


_NOT_NEW = "∂L/∂h_t in place of [∂L/∂h_t]_{new}"
_NO_SUM = "sum over t dropped, step T alone"

# The entries.

_G = rf"\left[ {d('h_t')} \odot (1 - h_t \odot h_t) \right]"
_G_NEW = rf"\left[ {new('h_t')} \odot (1 - h_t \odot h_t) \right]"
_G_NEW_1 = rf"\left[ {new('h_1')} \odot (1 - h_1 \odot h_1) \right]"
_SUM = r"\sum_{t=1}^{T}"


def _step(
    number: int,
    title: str,
    statement: str,
    formula: Formula[RNNStep],
    left: Quantity,
    by_code: Quantity,
) -> Equation[RNNProblem, Sizes]:
    return Equation(
        number=str(number),
        title=f"RNN {title}, one step",
        page="rnn",
        statement=statement,
        layer="rnn_step_backward",
        sizes=draw_sizes,
        problem=RNNProblem.draw_step,
        left=left,
        right=one_step(formula),
        code=by_code,
        wrong=_wrong(formula, one_step),
    )


def _sequence(
    number: int,
    title: str,
    statement: str,
    left: Quantity,
    right: Quantity,
    by_code: Quantity,
    wrong: Mapping[str, Quantity],
    remark: str | None = None,
) -> Equation[RNNProblem, Sizes]:
    return Equation(
        number=str(number),
        title=f"RNN {title}, whole sequence",
        page="rnn",
        statement=statement,
        layer="rnn_backward",
        sizes=draw_sizes,
        problem=RNNProblem.draw,
        left=left,
        right=right,
        code=by_code,
        wrong=wrong,
        remark=remark,
    )


def _sum(
    number: int, title: str, statement: str, formula: Formula[RNNStep], field: str
) -> Equation[RNNProblem, Sizes]:
    def by_code(p: RNNProblem) -> Tensor:
        gradient: Tensor = getattr(code(p), field)
        return gradient

    return _sequence(
        number,
        title,
        statement,
        left=lambda p: p.derivative(field),
        right=summed(formula),
        by_code=by_code,
        wrong={
            **_wrong(formula, summed),
            _NO_SUM: last_step(formula),
            _NOT_NEW: summed_direct(formula),
        },
    )


RNN: tuple[Equation[RNNProblem, Sizes], ...] = (
    _step(
        1,
        "input weights",
        rf"{d('W_x')} = {_G} x_t^{{\top}}",
        input_weights,
        lambda p: p.derivative("W_x"),
        lambda p: step_code(p).W_x,
    ),
    _step(
        2,
        "recurrent weights",
        rf"{d('W_h')} = {_G} h_{{t-1}}^{{\top}}",
        recurrent_weights,
        lambda p: p.derivative("W_h"),
        lambda p: step_code(p).W_h,
    ),
    _step(
        3,
        "bias",
        rf"{d('b')} = {d('h_t')} \odot (1 - h_t \odot h_t)",
        bias,
        lambda p: p.derivative("b"),
        lambda p: step_code(p).b,
    ),
    _step(
        4,
        "input",
        rf"{d('x_t')} = W_x^{{\top}} {_G}",
        step_input,
        lambda p: p.derivative("x")[0],
        lambda p: step_code(p).x[0],
    ),
    _step(
        5,
        "previous state",
        rf"{d('h_{t-1}')} = W_h^{{\top}} {_G}",
        previous_state,
        lambda p: p.derivative("h_0"),
        lambda p: step_code(p).h_0,
    ),
    _sequence(
        6,
        "previous state",
        rf"{new('h_{t-1}')} = {d('h_{t-1}')} + W_h^{{\top}} {_G_NEW}",
        left=lambda p: torch.stack(p.new_dh[:-1]),
        right=lambda p: direct_h(p) + each_step(previous_state)(p),
        by_code=code_new_h,
        wrong={
            "∂L/∂h_{t−1} dropped": each_step(previous_state),
            "∂L/∂h_{t−1} read as in (5)": lambda p: (
                direct_h(p) + each_step_direct(previous_state)(p) + each_step(previous_state)(p)
            ),
            _NOT_NEW: lambda p: direct_h(p) + each_step_direct(previous_state)(p),
            "W_h not transposed": lambda p: (
                direct_h(p)
                + each_step(
                    changed(previous_state, _MISTAKES_OF[previous_state]["W_h not transposed"])
                )(p)
            ),
        },
        remark=(
            "∂L/∂h_{t−1} on the right is what the loss reads of h_{t−1} itself, while in (5) the "
            "same symbol is what arrives through step t. The line is right only in the first "
            "sense; with (5) put in, step t would count twice."
        ),
    ),
    _sequence(
        7,
        "last state",
        rf"{new('h_T')} = {d('h_T')}",
        left=lambda p: p.new_dh[p.T],
        right=lambda p: p.dh[p.T],
        by_code=code_new_h_T,
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
    _sequence(
        11,
        "input",
        rf"{d('x_t')} = W_x^{{\top}} {_G_NEW}",
        left=lambda p: p.derivative("x"),
        right=each_step(step_input),
        by_code=lambda p: code(p).x,
        wrong={
            **_wrong(step_input, each_step),
            _NOT_NEW: each_step_direct(step_input),
        },
    ),
    _sequence(
        12,
        "first state",
        rf"{d('h_0')} = W_h^{{\top}} {_G_NEW_1}",
        left=lambda p: p.derivative("h_0"),
        right=first_step(previous_state),
        by_code=lambda p: code(p).h_0,
        wrong={
            **_wrong(previous_state, first_step),
            _NOT_NEW: first_step_direct(previous_state),
        },
    ),
)
