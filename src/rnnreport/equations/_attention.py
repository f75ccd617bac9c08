r"""Equations (50)-(58): the LSTM that attends to a map, one step and the whole sequence.

The source has no attention. As on the page, the columns of :math:`A \in R^{m \times P}` are the
places of the map, and the weights of the four gates stand one below the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.equations._entry import Equation, Sizes
from rnnreport.equations._forms import (
    NOT_NEW,
    Formula,
    Gradients,
    Recurrence,
    d,
    each_step,
    each_step_direct,
    joined_wrongly,
    mistakes_in,
    new,
    summed,
    with_direct,
)
from rnnreport.equations._lstm import ALL_GATES
from rnnreport.equations._recurrences import AttentionProblem
from rnnreport.equations._steps import GATES, AttentionStep, Changes, Gates

Mistakes = Mapping[str, Changes]


def stacked(gates: Gates) -> Tensor:
    """Set what belongs to the four gates one below the other."""
    return torch.cat([gates[gate] for gate in GATES])


# The formulas, as the page has them. In a sequence s.dh and s.dc are [∂L/∂h_t]new and [∂L/∂c_t]new.


def before(s: AttentionStep) -> Tensor:
    """∂L/∂z_t: (25)-(28), one below the other."""
    return torch.cat([gate.before(s) for gate in ALL_GATES])


def context(s: AttentionStep) -> Tensor:
    """(50)."""
    return stacked(s.W_a).T @ before(s)


def context_weights(s: AttentionStep) -> Tensor:
    """(51), and the summands of (58)."""
    return torch.outer(before(s), s.r)


def places(s: AttentionStep) -> Tensor:
    """(52): ∂L/∂α_t."""
    return s.A.T @ context(s)


def scores(s: AttentionStep) -> Tensor:
    """(53): ∂L/∂s_t."""
    return s.alpha * (places(s) - s.alpha @ places(s))


def scale(s: AttentionStep) -> float:
    """1/√m, of the scores."""
    return 1 / math.sqrt(s.h_prev.shape[0])


def through_gates(s: AttentionStep) -> Tensor:
    """Differentiate by h_{t−1} as in (31): the first term of (54)."""
    return stacked(s.W_h).T @ before(s)


def as_query(s: AttentionStep) -> Tensor:
    """Differentiate by h_{t−1} through the scores: the second term of (54)."""
    return scale(s) * s.A @ scores(s)


def previous_state(s: AttentionStep) -> Tensor:
    """(54), and (56) without its first term."""
    return through_gates(s) + as_query(s)


def as_read(s: AttentionStep) -> Tensor:
    """Differentiate by A as what is read: the first term of (55)."""
    return torch.outer(context(s), s.alpha)


def as_asked(s: AttentionStep) -> Tensor:
    """Differentiate by A as what the scores compare: the second term of (55)."""
    return scale(s) * torch.outer(s.h_prev, scores(s))


def feature_map(s: AttentionStep) -> Tensor:
    """(55), and the summands of (57)."""
    return as_read(s) + as_asked(s)


# The code: row convention, transposed and packed weights, a batch of one, a place a row.


def arguments(p: AttentionProblem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights and biases as the layer takes them."""
    return stacked(p.W_x).T, stacked(p.W_h).T, stacked(p.W_a).T, stacked(p.b)


def step_code(p: AttentionProblem) -> Gradients:
    """Gradients of a problem of one step by `layers.attention_lstm_step_backward`."""
    *_, cache = layers.attention_lstm_step_forward(
        p.x, p.h_0[None], p.c_0[None], p.A.T[None], *arguments(p)
    )
    _, dprev_h, _, dA, _, _, dWa, _ = layers.attention_lstm_step_backward(
        p.dh[1][None], p.dc[1][None], cache
    )
    return {"h_0": dprev_h[0], "A": dA[0].T, "W_a": dWa.T}


def code_context(p: AttentionProblem) -> Tensor:
    """∂L/∂r_t, read off (55): the weights of the places add up to 1, ∂L/∂s_t adds up to 0."""
    return step_code(p)["A"].sum(1)


def code_scores(p: AttentionProblem) -> Tensor:
    """∂L/∂s_t, solved for in (55)."""
    s = p.steps[0]
    rest = step_code(p)["A"] - torch.outer(code_context(p), s.alpha)
    return s.h_prev @ rest / (s.h_prev @ s.h_prev) / scale(s)


def code_places(p: AttentionProblem) -> Tensor:
    """∂L/∂α_t, solved for in (53), where α_t·∂L/∂α_t is r_t·∂L/∂r_t."""
    s = p.steps[0]
    return code_scores(p) / s.alpha + s.r @ code_context(p)


def code(p: AttentionProblem) -> Gradients:
    """Gradients of a sequence by `layers.attention_lstm_backward`.

    The layer takes a gradient of the last cell state alone, the loss here reads all of them. As
    gradients add, the sequence is also cut after every earlier step, and what the loss reads of
    the cell there enters as the last state of the piece.
    """

    def piece(T: int, dh: Tensor) -> Gradients:
        _, cache = layers.attention_lstm_forward(
            p.x[:T, None], p.A.T[None], p.h_0[None], p.c_0[None], *arguments(p)
        )
        _, dA, dh0, _, _, _, dWa, _ = layers.attention_lstm_backward(
            dh[:, None], cache, dc_T=p.dc[T][None]
        )
        return {"h_0": dh0[0], "A": dA[0].T, "W_a": dWa.T}

    pieces = [piece(T, torch.zeros_like(p.s[:T])) for T in range(1, p.T)]
    pieces.append(piece(p.T, torch.stack(p.dh[1:])))
    return {name: torch.stack([part[name] for part in pieces]).sum(0) for name in pieces[0]}


# Deliberate mistakes: what they replace in the formula, or the formula itself.


def _swap(W: Gates) -> dict[str, Tensor]:
    return {**W, "f": W["i"], "i": W["f"]}


REACHED: Mistakes = {
    "∂L/∂h_t with the wrong sign": {"dh": lambda s: -s.dh},
    "∂L/∂c_t dropped": {"dc": lambda s: torch.zeros_like(s.dc)},
}
_CONTEXT: Mistakes = {
    **REACHED,
    "weights of f_t and i_t swapped": {"W_a": lambda s: _swap(s.W_a)},
    "W_a not transposed": {"W_a": lambda s: {gate: W.T for gate, W in s.W_a.items()}},
    "W_h in place of W_a": {"W_a": lambda s: s.W_h},
}
_WEIGHTS: Mistakes = {
    **REACHED,
    "h_{t−1} in place of r_t": {"r": lambda s: s.h_prev},
    "mean of the places in place of r_t": {"r": lambda s: s.A.mean(1)},
}
PLAIN_WEIGHTS: Mistakes = {
    "equal weights in place of α_t": {"alpha": lambda s: torch.full_like(s.alpha, 1 / len(s.alpha))}
}
_STATE: Mistakes = {
    **REACHED,
    **PLAIN_WEIGHTS,
    "W_h not transposed": {"W_h": lambda s: {gate: W.T for gate, W in s.W_h.items()}},
}
_MAP: Mistakes = {
    **REACHED,
    **PLAIN_WEIGHTS,
    "h_t in place of h_{t−1}": {"h_prev": lambda s: s.h},
}

_STATE_FORMS: Mapping[str, Formula[AttentionStep]] = {
    "way through the gates dropped": as_query,
    "way as the query dropped": through_gates,
    "query's term with the wrong sign": lambda s: through_gates(s) - as_query(s),
    "factor 1/√m dropped": lambda s: through_gates(s) + s.A @ scores(s),
    "factor 1/m in place of 1/√m": lambda s: through_gates(s) + scale(s) * as_query(s),
    "∂L/∂α_t in place of ∂L/∂s_t": lambda s: through_gates(s) + scale(s) * s.A @ places(s),
}
_MAP_FORMS: Mapping[str, Formula[AttentionStep]] = {
    "way through the scores dropped": as_read,
    "way through the context dropped": as_asked,
    "factor 1/√m dropped": lambda s: as_read(s) + as_asked(s) / scale(s),
    "∂L/∂α_t in place of ∂L/∂s_t": lambda s: (
        as_read(s) + scale(s) * torch.outer(s.h_prev, places(s))
    ),
}


# LaTeX. (54), (55), (51) and their counterparts with [·]new differ in these derivatives alone.

_D_ALPHA = d(r"\alpha_t")
_OF = r"\frac{1}{\sqrt{m}}"


def _state_latex(by: Callable[[str], str]) -> str:
    return rf"W_h^{{\top}} {by('z_t')} + {_OF} A {by('s_t')}"


def _map_latex(by: Callable[[str], str]) -> str:
    return rf"{by('r_t')} \alpha_t^{{\top}} + {_OF} h_{{t-1}} {by('s_t')}^{{\top}}"


def _weights_latex(by: Callable[[str], str]) -> str:
    return rf"{by('z_t')} r_t^{{\top}}"


# The entries.

RECURRENCE = Recurrence(
    page="attention",
    prefix="attention,",
    layer="attention_lstm",
    problem=AttentionProblem,
    code=code,
    exact_sizes=Sizes(T=2, d=1, m=4),  # √m is a whole number
)


def _left_places(p: AttentionProblem) -> Tensor:
    return p.derivative_within(p.steps[0].alpha, lambda alpha: p.complex.A @ alpha)


def left_scores(p: AttentionProblem) -> Tensor:
    """∂L/∂s_t, by complex step."""
    return p.derivative_within(p.scores(p.h_0), lambda s: p.complex.A @ p.softmax(s))


def _left_context_weights(p: AttentionProblem) -> Tensor:
    return torch.cat([p.derivative("W_a", gate) for gate in GATES])


ATTENTION: tuple[Equation[AttentionProblem, Sizes], ...] = (
    RECURRENCE.step(
        50,
        "context",
        rf"{d('r_t')} = W_a^{{\top}} {d('z_t')}",
        left=lambda p: p.derivative_within(p.steps[0].r, lambda r: r),
        formula=context,
        code=code_context,
        wrong=mistakes_in(context, _CONTEXT),
    ),
    RECURRENCE.step(
        51,
        "weights of the context",
        rf"{d('W_a')} = {_weights_latex(d)}",
        left=_left_context_weights,
        formula=context_weights,
        code=lambda p: step_code(p)["W_a"],
        wrong=mistakes_in(context_weights, _WEIGHTS),
    ),
    RECURRENCE.step(
        52,
        "weights of the places",
        rf"{_D_ALPHA} = A^{{\top}} {d('r_t')}",
        left=_left_places,
        formula=places,
        code=code_places,
        wrong=mistakes_in(
            places,
            _CONTEXT,
            {
                "factor 1/√m too much": lambda s: scale(s) * places(s),
                "factor α_t too much": lambda s: s.alpha * places(s),
            },
        ),
    ),
    RECURRENCE.step(
        53,
        "scores",
        rf"{d('s_t')} = \alpha_t \odot \left( {_D_ALPHA} - "
        rf"\alpha_t^{{\top}} {_D_ALPHA} \right)",
        left=left_scores,
        formula=scores,
        code=code_scores,
        wrong=mistakes_in(
            scores,
            {**REACHED, **PLAIN_WEIGHTS},
            {
                "mean dropped": lambda s: s.alpha * places(s),
                "plain mean in place of the weighted one": lambda s: (
                    s.alpha * (places(s) - places(s).mean())
                ),
                "slope of σ in place of that of the softmax": lambda s: (
                    s.alpha * (1 - s.alpha) * places(s)
                ),
                "factor α_t dropped": lambda s: places(s) - s.alpha @ places(s),
            },
        ),
    ),
    RECURRENCE.step(
        54,
        "previous state",
        rf"{d('h_{t-1}')} = {_state_latex(d)}",
        left=lambda p: p.derivative("h_0"),
        formula=previous_state,
        code=lambda p: step_code(p)["h_0"],
        wrong=mistakes_in(previous_state, _STATE, _STATE_FORMS),
    ),
    RECURRENCE.step(
        55,
        "map",
        rf"{d('A')} = {_map_latex(d)}",
        left=lambda p: p.derivative("A"),
        formula=feature_map,
        code=lambda p: step_code(p)["A"],
        wrong=mistakes_in(feature_map, _MAP, _MAP_FORMS),
    ),
    RECURRENCE.previous_state(
        56,
        rf"{new('h_{t-1}')} = {d('h_{t-1}')} + {_state_latex(new)}",
        previous_state,
        wrong={
            **{
                name: with_direct(term)
                for name, term in mistakes_in(
                    previous_state, _STATE, _STATE_FORMS, each_step
                ).items()
            },
            "∂L/∂h_{t−1} dropped": each_step(previous_state),
            NOT_NEW: with_direct(each_step_direct(previous_state)),
        },
    ),
    RECURRENCE.total(
        57,
        "map",
        rf"{d('A')} = \sum_{{t=1}}^{{T}} \left( {_map_latex(new)} \right)",
        left=lambda p: p.derivative("A"),
        formula=feature_map,
        variable="A",
        wrong={
            **mistakes_in(feature_map, _MAP, _MAP_FORMS, summed),
            **joined_wrongly(feature_map),
        },
    ),
    RECURRENCE.total(
        58,
        "weights of the context",
        rf"{d('W_a')} = \sum_{{t=1}}^{{T}} {_weights_latex(new)}",
        left=_left_context_weights,
        formula=context_weights,
        variable="W_a",
        wrong={
            **mistakes_in(context_weights, _WEIGHTS, lift=summed),
            **joined_wrongly(context_weights),
        },
    ),
)
