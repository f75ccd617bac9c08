"""Equations (60)-(64): how a state moves with the state before it, in the RNN and in the LSTM.

The source has gradients of a loss alone. As on the page, row i and column j of a Jacobian hold the
derivative of element i after the step by element j before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.equations._attention import stacked
from rnnreport.equations._entry import EXACT_SIZES, Equation, Sizes, draw_sizes
from rnnreport.equations._forms import Formula, mistakes_in, one_step
from rnnreport.equations._recurrences import LSTMProblem, RNNProblem
from rnnreport.equations._steps import Changes, LSTMStep, RNNStep
from rnnreport.proof import jacobian

LSTMQuantity = Callable[[LSTMProblem], Tensor]


def rows(factor: Tensor, W: Tensor) -> Tensor:
    """diag(factor) W."""
    return torch.diag(factor) @ W


# The formulas, as the page has them.


def rnn_state(s: RNNStep) -> Tensor:
    """(60)."""
    return rows(1 - s.h * s.h, s.W_h)


def cell_by_cell(s: LSTMStep) -> Tensor:
    """(61)."""
    return torch.diag(s.f)


def cell_by_state(s: LSTMStep) -> Tensor:
    """(62)."""
    return (
        rows(s.c_prev * s.f * (1 - s.f), s.W_h["f"])
        + rows(s.c_tilde * s.i * (1 - s.i), s.W_h["i"])
        + rows(s.i * (1 - s.c_tilde * s.c_tilde), s.W_h["c"])
    )


def state_slope(s: LSTMStep) -> Tensor:
    """o_t ⊙ (1 − tanh(c_t) ⊙ tanh(c_t)): the slope of h_t in c_t."""
    return s.o * s.cell_slope()


def state_by_cell(s: LSTMStep) -> Tensor:
    """(63)."""
    return torch.diag(state_slope(s) * s.f)


def through_output(s: LSTMStep) -> Tensor:
    """Differentiate by h_{t−1} through the output gate: the first term of (64)."""
    return rows(s.tanh_c * s.o * (1 - s.o), s.W_h["o"])


def state_by_state(s: LSTMStep) -> Tensor:
    """(64)."""
    return through_output(s) + rows(state_slope(s), cell_by_state(s))


# The code: row convention and packed weights, a batch of one; the Jacobians are the page's.


def rnn_code(p: RNNProblem) -> Tensor:
    """∂h_1/∂h_0 by `layers.rnn_step_jacobian`."""
    _, cache = layers.rnn_step_forward(p.x, p.h_0[None], p.W_x.T, p.W_h.T, p.b)
    return layers.rnn_step_jacobian(cache)[0]


def lstm_code(p: LSTMProblem) -> tuple[Tensor, ...]:
    """∂h_1/∂h_0, ∂h_1/∂c_0, ∂c_1/∂h_0 and ∂c_1/∂c_0 by `layers.lstm_step_jacobian`."""
    *_, cache = layers.lstm_step_forward(
        p.x, p.h_0[None], p.c_0[None], stacked(p.W_x).T, stacked(p.W_h).T, stacked(p.b)
    )
    return tuple(block[0] for block in layers.lstm_step_jacobian(cache))


# Deliberate mistakes in what a formula is given.


def _no_gate(gate: str) -> Changes:
    return {"W_h": lambda s: {**s.W_h, gate: torch.zeros_like(s.W_h[gate])}}


_CELL_BY_STATE: Mapping[str, Changes] = {
    "forget gate's term dropped": _no_gate("f"),
    "input gate's term dropped": _no_gate("i"),
    "candidate's term dropped": _no_gate("c"),
    "W_h transposed": {"W_h": lambda s: {gate: W.T for gate, W in s.W_h.items()}},
    "c_t in place of c_{t−1}": {"c_prev": lambda s: s.c},
}
_SLOPE: Mapping[str, Changes] = {
    "factor o_t dropped": {"o": lambda s: torch.ones_like(s.o)},
    "factor 1 − tanh(c_t) ⊙ tanh(c_t) dropped": {"tanh_c": lambda s: torch.zeros_like(s.c)},
}


# The entries.


def by(of: str, variable: str) -> str:
    """LaTeX of a Jacobian."""
    return rf"\frac{{\partial {of}}}{{\partial {variable}}}"


def _block(
    number: int,
    names: tuple[str, str],
    symbols: tuple[str, str],
    statement: str,
    moved: str,
    formula: Formula[LSTMStep],
    wrong: Mapping[str, LSTMQuantity],
) -> Equation[LSTMProblem, Sizes]:
    """(61)-(64); `moved` is the field of the problem that holds the state before."""
    after = "hc".index(symbols[0][0])
    place = 2 * after + "hc".index(symbols[1][0])

    def left(p: LSTMProblem) -> Tensor:
        def state(value: Tensor) -> Tensor:
            changes: dict[str, Any] = {moved: value}
            return replace(p.complex, **changes).states()[after][-1]

        return jacobian(state, getattr(p, moved))

    return Equation(
        number=str(number),
        title=f"LSTM {names[0]} by the previous {names[1]}, Jacobian",
        page="attention",
        statement=f"{by(*symbols)} = {statement}",
        layer="lstm_step_jacobian",
        sizes=draw_sizes,
        exact_sizes=EXACT_SIZES,
        problem=LSTMProblem.draw_step,
        left=left,
        right=one_step(formula),
        code=lambda p: lstm_code(p)[place],
        wrong=wrong,
    )


_SLOPE_LATEX = r"o_t \odot (1 - \tanh(c_t) \odot \tanh(c_t))"

JACOBIANS: tuple[Equation[Any, Sizes], ...] = (
    Equation(
        number="60",
        title="RNN state by the previous state, Jacobian",
        page="attention",
        statement=rf"{by('h_t', 'h_{t-1}')} = \operatorname{{diag}}(1 - h_t \odot h_t)\, W_h",
        layer="rnn_step_jacobian",
        sizes=draw_sizes,
        exact_sizes=EXACT_SIZES,
        problem=RNNProblem.draw_step,
        left=lambda p: jacobian(lambda h: replace(p.complex, h_0=h).states()[-1], p.h_0),
        right=one_step(rnn_state),
        code=rnn_code,
        wrong={
            "wrong sign": one_step(lambda s: -rnn_state(s)),
            "W_h transposed": one_step(lambda s: rows(1 - s.h * s.h, s.W_h.T)),
            "factors on the columns of W_h": one_step(lambda s: s.W_h @ torch.diag(1 - s.h * s.h)),
            "slope of tanh dropped": one_step(lambda s: s.W_h),
            "h_{t−1} in place of h_t": one_step(lambda s: rows(1 - s.h_prev * s.h_prev, s.W_h)),
        },
    ),
    _block(
        61,
        ("cell state", "cell state"),
        ("c_t", "c_{t-1}"),
        r"\operatorname{diag}(f_t)",
        "c_0",
        cell_by_cell,
        mistakes_in(
            cell_by_cell,
            {"i_t in place of f_t": {"f": lambda s: s.i}},
            {
                "slope of the forget gate in place of its value": lambda s: torch.diag(
                    s.f * (1 - s.f)
                ),
                "factor c_{t−1} too much": lambda s: torch.diag(s.f * s.c_prev),
            },
        ),
    ),
    _block(
        62,
        ("cell state", "state"),
        ("c_t", "h_{t-1}"),
        r"\operatorname{diag}(c_{t-1} \odot f_t \odot (1 - f_t))\, W_h^f"
        r" + \operatorname{diag}(\tilde{c}_t \odot i_t \odot (1 - i_t))\, W_h^i"
        r" + \operatorname{diag}(i_t \odot (1 - \tilde{c}_t \odot \tilde{c}_t))\, W_h^c",
        "h_0",
        cell_by_state,
        mistakes_in(cell_by_state, _CELL_BY_STATE, {}),
    ),
    _block(
        63,
        ("state", "cell state"),
        ("h_t", "c_{t-1}"),
        rf"\operatorname{{diag}}({_SLOPE_LATEX} \odot f_t)",
        "c_0",
        state_by_cell,
        mistakes_in(
            state_by_cell, _SLOPE, {"factor f_t dropped": lambda s: torch.diag(state_slope(s))}
        ),
    ),
    _block(
        64,
        ("state", "state"),
        ("h_t", "h_{t-1}"),
        r"\operatorname{diag}(\tanh(c_t) \odot o_t \odot (1 - o_t))\, W_h^o"
        rf" + \operatorname{{diag}}({_SLOPE_LATEX})\, {by('c_t', 'h_{t-1}')}",
        "h_0",
        state_by_state,
        mistakes_in(
            state_by_state,
            {**_CELL_BY_STATE, **_SLOPE},
            {
                "way through the output gate dropped": lambda s: rows(
                    state_slope(s), cell_by_state(s)
                ),
                "way through the cell dropped": through_output,
            },
        ),
    ),
)
