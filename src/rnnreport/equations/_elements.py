"""(R2)-(R6), (S3)-(S7) and (A5)-(A8): the steps between the numbered equations of a recurrence.

Most are written for one element at a time. So are the formulas here: a sum over all indices, where
an indicator 𝟙 of k = i is an element of a unit matrix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.equations import _attention, _lstm, _rnn
from rnnreport.equations._backward import Backward
from rnnreport.equations._deliberate import in_sequence, in_step, of
from rnnreport.equations._entry import Equation, Page, Sizes, draw_sizes
from rnnreport.equations._forms import (
    NOT_NEW,
    Quantity,
    Recurrence,
    d,
    each_step,
    each_step_direct,
    mistakes_in,
    new,
    one_step,
    with_direct,
)
from rnnreport.equations._jacobians import by, lstm_code, state_slope
from rnnreport.equations._lstm import FORGET
from rnnreport.equations._recurrences import AttentionProblem, LSTMProblem, RNNProblem
from rnnreport.equations._steps import GATES, AttentionStep, Changes, LSTMStep, RNNStep
from rnnreport.proof import jacobian


def unit(size: int) -> Tensor:
    """𝟙 of k = l."""
    return torch.eye(size, dtype=torch.float64)


def weights_by_elements(g: Tensor, x: Tensor) -> Tensor:
    """Σ_kn g_k x_n times 𝟙 of k = i times 𝟙 of n = j, at i, j."""
    terms = g[:, None] * x  # at k, n
    chosen = unit(len(g))[:, None, :, None] * unit(len(x))[None, :, None, :]
    return (terms[:, :, None, None] * chosen).sum((0, 1))


@dataclass(frozen=True)
class _Side:
    """Makes the entries of a page."""

    page: Page
    recurrence: Recurrence[Any]

    def __call__(
        self,
        number: str,
        title: str,
        statement: str,
        layer: str,
        left: Quantity[Any],
        right: Quantity[Any],
        code: Quantity[Any],
        wrong: Mapping[str, Quantity[Any]],
        *,
        sequence: bool = False,
    ) -> Equation[Any, Sizes]:
        problem = self.recurrence.problem
        return Equation(
            number=number,
            title=title,
            page=self.page,
            statement=statement,
            layer=layer,
            sizes=draw_sizes,
            exact_sizes=self.recurrence.exact_sizes,
            problem=problem.draw if sequence else problem.draw_step,
            left=left,
            right=right,
            code=code,
            wrong=wrong,
        )


# The RNN.


def state_by_before(s: RNNStep) -> Tensor:
    """(R2)."""
    return s.slope("h")[:, None] * unit(len(s.h))


def before(s: RNNStep) -> Tensor:
    """(R3), first line: Σ_l ∂L/∂(h_t)_l times ∂(h_t)_l/∂(z_t)_k, where one term is left."""
    return (s.value("h")[:, None] * state_by_before(s)).sum(0)


def input_weights(s: RNNStep) -> Tensor:
    """(R4)."""
    return weights_by_elements(before(s), s.x)


def step_input(s: RNNStep) -> Tensor:
    """(R5): Σ_k g_k (W_x)_ki."""
    return (before(s)[:, None] * s.W_x).sum(0)


def _back_by_jacobian(p: RNNProblem, *, transposed: bool) -> Tensor:
    """Rows of the second term of (R6), with ∂h_t/∂h_{t−1} as it is measured."""

    def row(t: int) -> Tensor:
        one = replace(p, x=p.x[t - 1 : t], h_0=p.h[t - 1]).complex
        J = jacobian(lambda h: replace(one, h_0=h).states()[1], p.h[t - 1])
        return (J.T if transposed else J) @ p.new_dh[t]

    return torch.stack([row(t) for t in range(1, p.T + 1)])


def _state_by_before_code(p: RNNProblem) -> Tensor:
    """Row k: the bias gradient for ∂L/∂h_t = 𝟙 of k."""
    _, cache = layers.rnn_step_forward(p.x, p.h_0[None], p.W_x.T, p.W_h.T, p.b)
    rows = [layers.rnn_step_backward(k[None], cache)[-1] for k in unit(len(p.h_0))]
    return torch.stack(rows)


_SIGN: Mapping[str, Changes] = {"∂L/∂h_t with the wrong sign": {"dh": lambda s: -s.dh}}
_SLOPE_OF_H = of("h", "slope")
_G = rf"{d('(h_t)_k')} \left( 1 - (h_t)_k^2 \right)"
_rnn_entry = _Side("rnn", _rnn.RECURRENCE)

RNN_ELEMENTS: tuple[Equation[Any, Sizes], ...] = (
    _rnn_entry(
        "R2",
        "RNN state by its pre-activation, elements",
        rf"{by('(h_t)_k', '(z_t)_l')} = \left( 1 - (h_t)_k^2 \right) \mathbb{{1}}_{{k=l}}",
        "rnn_step_backward",
        left=lambda p: jacobian(torch.tanh, p.before()),
        right=one_step(state_by_before),
        code=_state_by_before_code,
        wrong=in_step("rnn", state_by_before, _SLOPE_OF_H)
        | mistakes_in(
            state_by_before,
            {},
            {
                "wrong sign": lambda s: -state_by_before(s),
                "𝟙 dropped": lambda s: s.slope("h")[:, None].expand(len(s.h), len(s.h)),
            },
        ),
    ),
    _rnn_entry(
        "R3",
        "RNN pre-activation, elements",
        rf"{d('(z_t)_k')} = {_G}",
        "rnn_step_backward",
        left=lambda p: p.derivative_before(),
        right=one_step(before),
        code=lambda p: _rnn.step_code(p)["b"],
        wrong=in_step("rnn", before, _SLOPE_OF_H) | mistakes_in(before, _SIGN),
    ),
    _rnn_entry(
        "R4",
        "RNN input weights, elements",
        rf"\left[ {d('W_x')} \right]_{{ij}} = \sum_{{k,n}} g_k (x_t)_n \mathbb{{1}}_{{k=i}} "
        r"\mathbb{1}_{n=j} = g_i (x_t)_j",
        "rnn_step_backward",
        left=lambda p: p.derivative("W_x"),
        right=one_step(input_weights),
        code=lambda p: _rnn.step_code(p)["W_x"],
        wrong=in_step("rnn", input_weights, _SLOPE_OF_H)
        | mistakes_in(
            input_weights,
            _SIGN,
            {
                "𝟙 of n = j dropped": lambda s: (
                    input_weights(s).sum(1, keepdim=True).expand_as(s.W_x)
                ),
            },
        ),
    ),
    _rnn_entry(
        "R5",
        "RNN input, elements",
        rf"\left[ {d('x_t')} \right]_i = \sum_k g_k (W_x)_{{ki}}",
        "rnn_step_backward",
        left=lambda p: p.derivative("x")[0],
        right=one_step(step_input),
        code=lambda p: _rnn.step_code(p)["x"][0],
        wrong=in_step("rnn", step_input, _SLOPE_OF_H)
        | mistakes_in(
            step_input,
            _SIGN,
            {"sum over k dropped, k = 1 alone": lambda s: before(s)[0] * s.W_x[0]},
        ),
    ),
    _rnn_entry(
        "R6",
        "RNN previous state by the Jacobian of a step",
        rf"{new('h_{t-1}')} = {d('h_{t-1}')} + "
        rf"\left( {by('h_t', 'h_{t-1}')} \right)^{{\top}} {new('h_t')}",
        "rnn_backward",
        left=lambda p: torch.stack(p.new_dh[:-1]),
        right=with_direct(lambda p: _back_by_jacobian(p, transposed=True)),
        code=with_direct(lambda p: torch.stack([_rnn.code(p.tail(t))["h_0"] for t in range(p.T)])),
        wrong={
            **in_sequence("rnn", Backward.previous_states, _SLOPE_OF_H | _rnn.CARRIED),
            "∂L/∂h_{t−1} dropped": lambda p: _back_by_jacobian(p, transposed=True),
            "Jacobian not transposed": with_direct(
                lambda p: _back_by_jacobian(p, transposed=False)
            ),
            "way through later steps dropped": lambda p: torch.stack(p.dh[:-1]),
            "wrong sign of the second term": with_direct(
                lambda p: -_back_by_jacobian(p, transposed=True)
            ),
        },
        sequence=True,
    ),
)

# The LSTM.


def state_by_cell(s: LSTMStep) -> Tensor:
    """(S3)."""
    return state_slope(s)[:, None] * unit(len(s.o))


def forget_before(s: LSTMStep) -> Tensor:
    """(S5)."""
    return FORGET.value(s) * FORGET.slope(s)


def forget_weights(s: LSTMStep) -> Tensor:
    """(S6)."""
    return weights_by_elements(forget_before(s), s.x)


def _state_by_cell_code(p: LSTMProblem) -> Tensor:
    """∂h_t/∂c_t, solved for in ∂h_t/∂c_{t−1} = ∂h_t/∂c_t ∂c_t/∂c_{t−1}."""
    _, dh_dc, _, dc_dc = lstm_code(p)
    return dh_dc / torch.diagonal(dc_dc)


def _through_cell_code(p: LSTMProblem) -> Tensor:
    """Rows [e_t]new, solved for in the gradient of c_{t−1}, of the steps from t on."""
    rows = [_lstm.code(p.tail(s))["c_0"] / p.new_steps[s].f for s in range(p.T)]
    return torch.stack(rows)


def _reaching_cells(b: Backward) -> Tensor:
    steps: Any = b.steps
    return torch.stack([step.reaches_c() for step in steps])


_FORGET = _lstm.of_value(FORGET) | of("f", "slope")
_OF_CELL = r"\odot o_t \odot \left( 1 - \tanh(c_t) \odot \tanh(c_t) \right)"
_lstm_entry = _Side("lstm", _lstm.RECURRENCE)

LSTM_ELEMENTS: tuple[Equation[Any, Sizes], ...] = (
    _lstm_entry(
        "S3",
        "LSTM state by its cell state, elements",
        rf"{by('(h_t)_k', '(c_t)_l')} = (o_t)_k \left( 1 - \tanh^2 (c_t)_k \right) "
        r"\mathbb{1}_{k=l}",
        "lstm_step_jacobian",
        left=lambda p: jacobian(lambda c: p.steps[0].o * torch.tanh(c), p.c[1]),
        right=one_step(state_by_cell),
        code=_state_by_cell_code,
        wrong=in_step("lstm", state_by_cell, frozenset({"cell_slope"}))
        | mistakes_in(
            state_by_cell,
            {"factor o_t dropped": {"o": lambda s: torch.ones_like(s.o)}},
            {
                "wrong sign": lambda s: -state_by_cell(s),
                "𝟙 dropped": lambda s: state_slope(s)[:, None].expand(len(s.o), len(s.o)),
            },
        ),
    ),
    _lstm_entry(
        "S4",
        "LSTM cell state, both ways, one step",
        rf"e_t = {d('c_t')} + {d('h_t')} {_OF_CELL}",
        "lstm_step_backward",
        left=lambda p: p.through_cell(1),
        right=one_step(_lstm.cell),
        code=lambda p: _lstm.step_code(p)["c_0"] / p.steps[0].f,
        wrong=in_step("lstm", _lstm.cell, _lstm.CELL),
    ),
    _lstm_entry(
        "S5",
        "LSTM pre-activation of the forget gate, elements",
        rf"{d('(z^f_t)_k')} = {d('(f_t)_k')} (f_t)_k \left( 1 - (f_t)_k \right)",
        "lstm_step_backward",
        left=lambda p: p.derivative_before("f"),
        right=one_step(forget_before),
        code=lambda p: _lstm.step_code(p)["b^f"],
        wrong=in_step("lstm", forget_before, _FORGET),
    ),
    _lstm_entry(
        "S6",
        "LSTM input weights of the forget gate, elements",
        rf"\left[ {d('W_x^f')} \right]_{{ij}} = \sum_{{k,n}} {d('(z^f_t)_k')} (x_t)_n "
        rf"\mathbb{{1}}_{{k=i}} \mathbb{{1}}_{{n=j}} = {d('(z^f_t)_i')} (x_t)_j",
        "lstm_step_backward",
        left=lambda p: p.derivative("W_x", "f"),
        right=one_step(forget_weights),
        code=lambda p: _lstm.step_code(p)["W_x^f"],
        wrong=in_step("lstm", forget_weights, _FORGET)
        | mistakes_in(
            forget_weights,
            {},
            {
                "𝟙 of n = j dropped": lambda s: (
                    forget_weights(s).sum(1, keepdim=True).expand_as(s.W_x["f"])
                ),
            },
        ),
    ),
    _lstm_entry(
        "S7",
        "LSTM cell state, both ways, whole sequence",
        rf"\left[ e_t \right]_{{\text{{new}}}} = {new('c_t')} + {new('h_t')} {_OF_CELL}",
        "lstm_backward",
        left=lambda p: torch.stack([p.through_cell(t) for t in range(1, p.T + 1)]),
        right=each_step(_lstm.cell),
        code=_through_cell_code,
        wrong={
            **in_sequence("lstm", _reaching_cells, _lstm.CELL | _lstm.CARRIED),
            "way through h_t counted twice": each_step(
                lambda s: _lstm.cell(s) + s.dh * state_slope(s)
            ),
        },
        sequence=True,
    ),
)

# Attention.


def softmax_slope(s: AttentionStep) -> Tensor:
    """(A6), second line; weights in rows, scores in columns."""
    return s.alpha[:, None] * (unit(len(s.alpha)) - s.alpha)


def scores(s: AttentionStep) -> Tensor:
    """(A7), first line."""
    return (_attention.places(s)[:, None] * softmax_slope(s)).sum(0)


def _columns(p: AttentionProblem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """R, 𝒜, Q and S."""
    steps = p.new_steps
    read = [_attention.context(s) for s in steps]
    asked = [_attention.scale(s) * _attention.scores(s) for s in steps]
    columns = (read, [s.alpha for s in steps], [s.h_prev for s in steps], asked)
    R, weights, Q, S = (torch.stack(each, 1) for each in columns)
    return R, weights, Q, S


def feature_map(p: AttentionProblem) -> Tensor:
    """(A8), second line."""
    R, weights, Q, S = _columns(p)
    return torch.cat([R, Q], 1) @ torch.cat([weights, S], 1).T


def _softmax_slope_code(p: AttentionProblem) -> Tensor:
    """Row p: the gradient of the query, where the scores are the query and the context is α_t.

    The map of `layers.attention_forward` is a unit matrix here, and the query s_t √P.
    """
    s = p.scores(p.h_0)
    P = len(s)
    root = math.sqrt(P)
    places = unit(P).expand(P, P, P)
    _, cache = layers.attention_forward((s * root).expand(P, P), places)
    return root * layers.attention_backward(unit(P), cache)[0]


def _code_before(p: AttentionProblem) -> Tensor:
    """∂L/∂z_t: the gradient of the biases."""
    *_, cache = layers.attention_lstm_step_forward(
        p.x, p.h_0[None], p.c_0[None], p.A.T[None], *_attention.arguments(p)
    )
    return layers.attention_lstm_step_backward(p.dh[1][None], p.dc[1][None], cache)[-1]


def _crossed(p: AttentionProblem) -> Tensor:
    R, weights, Q, S = _columns(p)
    return torch.cat([R, Q], 1) @ torch.cat([S, weights], 1).T


def _without_root(p: AttentionProblem) -> Tensor:
    R, weights, Q, S = _columns(p)
    return R @ weights.T + math.sqrt(len(p.h_0)) * Q @ S.T


_BEFORE = (
    r"\begin{pmatrix} e_t \odot c_{t-1} \odot f_t \odot (1 - f_t) \\ "
    r"e_t \odot \tilde c_t \odot i_t \odot (1 - i_t) \\ "
    r"e_t \odot i_t \odot (1 - \tilde c_t \odot \tilde c_t) \\ "
    rf"{d('h_t')} \odot \tanh(c_t) \odot o_t \odot (1 - o_t) \end{{pmatrix}}"
)
_D_ALPHA_P = d(r"(\alpha_t)_p")
_SLOPE = r"(\alpha_t)_p \left( \mathbb{1}_{p=q} - (\alpha_t)_q \right)"
_A6 = by(r"(\alpha_t)_p", "(s_t)_q")
_attention_entry = _Side("attention", _attention.RECURRENCE)

ATTENTION_ELEMENTS: tuple[Equation[Any, Sizes], ...] = (
    _attention_entry(
        "A5",
        "attention, pre-activations of the gates",
        f"{d('z_t')} = {_BEFORE}",
        "attention_lstm_step_backward",
        left=lambda p: torch.cat([p.derivative_before(gate) for gate in GATES]),
        right=one_step(_attention.before),
        code=_code_before,
        wrong=mistakes_in(
            _attention.before,
            {
                **_attention.REACHED,
                "f_t and i_t swapped": {"f": lambda s: s.i, "i": lambda s: s.f},
                "c_t in place of c_{t−1}": {"c_prev": lambda s: s.c},
                "way from h_t to c_t dropped": {"tanh_c": lambda s: torch.ones_like(s.c)},
            },
            {},
        ),
    ),
    _attention_entry(
        "A6",
        "attention, weights of the places by the scores, elements",
        rf"{_A6} = {_SLOPE}",
        "attention_backward",
        left=lambda p: jacobian(p.softmax, p.scores(p.h_0)),
        right=one_step(softmax_slope),
        code=_softmax_slope_code,
        wrong=mistakes_in(
            softmax_slope,
            _attention.PLAIN_WEIGHTS,
            {
                "wrong sign": lambda s: -softmax_slope(s),
                "second term of the quotient rule dropped": lambda s: torch.diag(s.alpha),
                "slope of σ in place of that of the softmax": lambda s: torch.diag(
                    s.alpha * (1 - s.alpha)
                ),
                "factor (α_t)_p dropped": lambda s: unit(len(s.alpha)) - s.alpha,
            },
        ),
    ),
    _attention_entry(
        "A7",
        "attention, scores, elements",
        rf"\left[ {d('s_t')} \right]_q = \sum_p {_D_ALPHA_P} {_SLOPE}",
        "attention_lstm_step_backward",
        left=_attention.left_scores,
        right=one_step(scores),
        code=_attention.code_scores,
        wrong=mistakes_in(
            scores,
            {**_attention.REACHED, **_attention.PLAIN_WEIGHTS},
            {
                "sum over p dropped, p = q alone": lambda s: (
                    s.alpha * (1 - s.alpha) * _attention.places(s)
                ),
                "second term dropped": lambda s: s.alpha * _attention.places(s),
            },
        ),
    ),
    _attention_entry(
        "A8",
        "attention, map, as one product",
        rf"{d('A')} = \begin{{pmatrix}} R & Q \end{{pmatrix}} "
        r"\begin{pmatrix} \mathcal{A} & S \end{pmatrix}^{\top}",
        "attention_lstm_backward",
        left=lambda p: p.derivative("A"),
        right=feature_map,
        code=lambda p: _attention.code(p)["A"],
        wrong={
            "wrong sign": lambda p: -feature_map(p),
            "blocks in crossed order": _crossed,
            "factor 1/√m dropped": _without_root,
            "first step dropped": lambda p: feature_map(p) - _attention.feature_map(p.new_steps[0]),
            NOT_NEW: lambda p: each_step_direct(_attention.feature_map)(p).sum(0),
        },
        sequence=True,
    ),
)
