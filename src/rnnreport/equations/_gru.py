"""Equations (65)-(86): the GRU, the RNN with ReLU and the LSTM with a projection.

The source has none of them. As on the page, δ^r_t, δ^z_t and δ^n_t are the gradients of what enters
the gates' nonlinearities, and δ^q_t that of what the reset gate multiplies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.equations._attention import before as gates_before
from rnnreport.equations._attention import stacked
from rnnreport.equations._backward import Backward, Parameter
from rnnreport.equations._deliberate import in_sequence, in_step, in_sum, of
from rnnreport.equations._entry import Equation, Sizes, draw_sizes
from rnnreport.equations._forms import (
    NOT_NEW,
    Formula,
    Gradients,
    Quantity,
    Recurrence,
    changed,
    d,
    each_step,
    each_step_direct,
    joined_wrongly,
    mistakes_in,
    new,
    one_step,
    summed,
    with_direct,
)
from rnnreport.equations._jacobians import by, rows
from rnnreport.equations._recurrences import GRUProblem, ProjectedProblem, ReLUProblem
from rnnreport.equations._steps import GRU_GATES, Changes, GRUStep, ProjectedStep, RNNStep
from rnnreport.proof import jacobian

_TWO_STEPS = Sizes(T=2, d=2, m=2)  # of the problems that are computed exactly

# The GRU. The formulas, as the page has them. In a sequence s.dh is [∂L/∂h_t]new.


def candidate(s: GRUStep) -> Tensor:
    """(65): δ^n_t = ∂L/∂h_t ⊙ (1 − z_t) ⊙ (1 − n_t ⊙ n_t)."""
    return s.bias("n")


def update(s: GRUStep) -> Tensor:
    """(66): δ^z_t = ∂L/∂h_t ⊙ (h_{t−1} − n_t) ⊙ z_t ⊙ (1 − z_t)."""
    return s.bias("z")


def inside(s: GRUStep) -> Tensor:
    """(67): δ^q_t = δ^n_t ⊙ r_t."""
    return s.inner_bias()


def reset(s: GRUStep) -> Tensor:
    """(68): δ^r_t = δ^n_t ⊙ q_t ⊙ r_t ⊙ (1 − r_t)."""
    return s.bias("r")


def input_weights(s: GRUStep) -> Tensor:
    """(69), and the summands of (75): δ x_tᵀ of r, z and n, one behind the other."""
    return torch.stack([s.input_weights(gate) for gate in GRU_GATES])


def recurrent_weights(s: GRUStep) -> Tensor:
    """(70), and the summands of (76): δ h_{t−1}ᵀ of r, z and q, one behind the other."""
    return torch.stack([s.recurrent_weights(gate) for gate in GRU_GATES])


def biases(s: GRUStep) -> Tensor:
    """(71), and the summands of (77): those of r, z and n, and b_h."""
    return torch.stack([reset(s), update(s), candidate(s), inside(s)])


def step_input(s: GRUStep) -> Tensor:
    """(72) and (78): Σ (W_x)ᵀ δ of r, z and n."""
    return s.step_input()


def previous_state(s: GRUStep) -> Tensor:
    """(73), and (74) without its first term: z_t ⊙ ∂L/∂h_t and Σ (W_h)ᵀ δ of r, z and q."""
    return s.previous_state()


def state_by_state(s: GRUStep) -> Tensor:
    """(79)."""
    slope = (1 - s.z) * (1 - s.n * s.n)
    return (
        torch.diag(s.z)
        + rows(slope * s.r, s.W_h["n"])
        + rows(slope * s.q * s.r * (1 - s.r), s.W_h["r"])
        + rows((s.h_prev - s.n) * s.z * (1 - s.z), s.W_h["z"])
    )


# The code: row convention, transposed and packed weights, a batch of one.


def _packed(p: GRUProblem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    W_x, W_h, b = (torch.cat([part[g] for g in GRU_GATES]) for part in (p.W_x, p.W_h, p.b))
    return W_x.T, W_h.T, b, p.b_h


def _gradients(
    dx: Tensor, dh0: Tensor, dWx: Tensor, dWh: Tensor, db: Tensor, dbh: Tensor
) -> Gradients:
    m = len(dbh)
    return {
        "x": dx,
        "h_0": dh0[0],
        "W_x": dWx.T.reshape(3, m, -1),
        "W_h": dWh.T.reshape(3, m, m),
        "b": torch.cat([db, dbh]).view(4, m),
    }


def step_code(p: GRUProblem) -> Gradients:
    """Gradients of a problem of one step by `layers.gru_step_backward`."""
    _, cache = layers.gru_step_forward(p.x, p.h_0[None], *_packed(p))
    return _gradients(*layers.gru_step_backward(p.dh[1][None], cache))


def code(p: GRUProblem) -> Gradients:
    """Gradients of a sequence by `layers.gru_backward`."""
    _, cache = layers.gru_forward(p.x[:, None], p.h_0[None], *_packed(p))
    dx, *others = layers.gru_backward(torch.stack(p.dh[1:])[:, None], cache)
    return _gradients(dx[:, 0], *others)


def jacobian_code(p: GRUProblem) -> Tensor:
    """∂h_1/∂h_0 by `layers.gru_step_jacobian`."""
    _, cache = layers.gru_step_forward(p.x, p.h_0[None], *_packed(p))
    return layers.gru_step_jacobian(cache)[0]


# Deliberate mistakes: the quantities of a step whose change changes an entry.


def _of_delta(gate: str) -> frozenset[str]:
    return of(gate, "value", "slope", "delta", "packed")


_INSIDE = frozenset({"recurrent_delta_n", "inner_bias"})
_DELTAS = of(GRU_GATES, "delta", "packed")
_QUANTITIES: Mapping[Formula[GRUStep], frozenset[str]] = {
    candidate: _of_delta("n"),
    update: _of_delta("z"),
    inside: _of_delta("n") | _INSIDE,
    reset: _of_delta("r") | {"reset_delta"},
    input_weights: _DELTAS | of(GRU_GATES, "input_weights"),
    recurrent_weights: _DELTAS | of(GRU_GATES, "recurrent_input", "recurrent_delta"),
    biases: _DELTAS | of(GRU_GATES, "value", "slope", "bias") | _INSIDE,
    step_input: of(GRU_GATES, "input_delta"),
    previous_state: of(GRU_GATES, "state_delta")
    | {"recurrent_delta_n", "W_h", "through_gates", "previous_state"},
}
_CARRIED = frozenset({"carries_h", "own", "forward"})


def _in_step(formula: Formula[GRUStep]) -> dict[str, Quantity[GRUProblem]]:
    return in_step("gru", formula, _QUANTITIES[formula])


def _in_sequence(
    formula: Formula[GRUStep], result: Callable[[Backward], Tensor], *joining: str
) -> dict[str, Quantity[GRUProblem]]:
    return in_sequence("gru", result, _QUANTITIES[formula] | _CARRIED | {*joining})


def _in_sum(formula: Formula[GRUStep], name: Parameter) -> dict[str, Quantity[GRUProblem]]:
    first = {"first_h"} if name == "W_h" else set()
    return in_sum("gru", formula, name, _QUANTITIES[formula] | _CARRIED | first)


# The entries.

GRU_RECURRENCE = Recurrence(
    page="gru",
    prefix="GRU",
    layer="gru",
    problem=GRUProblem,
    code=code,
    exact_sizes=_TWO_STEPS,
)


def _delta(name: str) -> str:
    """LaTeX of δ."""
    return rf"\delta^{name}_t"


def _new_delta(name: str) -> str:
    """LaTeX of δ in a sequence."""
    return rf"\left[ {_delta(name)} \right]_{{\text{{new}}}}"


_AND = r" ,\quad "
_SUM = r"\sum_{t=1}^{T} "


def _input_weights_latex(of: Callable[[str], str], total: str) -> str:
    return rf"{d('W_x^g')} = {total}{of('g')} x_t^{{\top}} , \quad g = r, z, n"


def _recurrent_weights_latex(of: Callable[[str], str], total: str) -> str:
    gates = rf"{d('W_h^g')} = {total}{of('g')} h_{{t-1}}^{{\top}} , \quad g = r, z"
    return rf"{gates}{_AND}{d('W_h^n')} = {total}{of('q')} h_{{t-1}}^{{\top}}"


def _biases_latex(of: Callable[[str], str], total: str) -> str:
    gates = rf"{d('b^g')} = {total}{of('g')} , \quad g = r, z, n"
    return rf"{gates}{_AND}{d('b_h')} = {total}{of('q')}"


def _input_latex(of: Callable[[str], str]) -> str:
    terms = [rf"(W_x^{g})^{{\top}} {of(g)}" for g in GRU_GATES]
    return rf"{d('x_t')} = {' + '.join(terms)}"


def _through_latex(of: Callable[[str], str]) -> str:
    terms = (rf"(W_h^{g})^{{\top}} {of('q' if g == 'n' else g)}" for g in GRU_GATES)
    return " + ".join(terms)


def _before(
    number: int,
    title: str,
    name: str,
    statement: str,
    formula: Formula[GRUStep],
    gradient: int,
    wrong: Mapping[str, Quantity[GRUProblem]],
) -> Equation[GRUProblem, Sizes]:
    """(65)-(68); the code's are the gradients of the biases, the one in row `gradient`."""
    return GRU_RECURRENCE.step(
        number,
        title,
        f"{_delta(name)} = {statement}",
        left=lambda p: p.derivative_before(name),
        formula=formula,
        code=lambda p: step_code(p)["b"][gradient],
        wrong=wrong,
    )


def _of_each_gate(field: str) -> Quantity[GRUProblem]:
    return lambda p: torch.stack([p.derivative(field, gate) for gate in GRU_GATES])


def _left_biases(p: GRUProblem) -> Tensor:
    return torch.cat([_of_each_gate("b")(p), p.derivative("b_h")[None]])


_PARAMETERS: tuple[
    tuple[str, Parameter, Quantity[GRUProblem], Formula[GRUStep], Callable[..., str]], ...
] = (
    ("input weights", "W_x", _of_each_gate("W_x"), input_weights, _input_weights_latex),
    (
        "recurrent weights",
        "W_h",
        _of_each_gate("W_h"),
        recurrent_weights,
        _recurrent_weights_latex,
    ),
    ("biases", "b", _left_biases, biases, _biases_latex),
)


def _parameter_code(name: str) -> Quantity[GRUProblem]:
    return lambda p: step_code(p)[name]


_JACOBIAN: Mapping[str, Changes] = {
    "r_t and z_t swapped": {"r": lambda s: s.z, "z": lambda s: s.r},
    "h_{t−1} in place of q_t": {"q": lambda s: s.h_prev},
    "factor r_t dropped": {"r": lambda s: torch.ones_like(s.r)},
    "weights of r_t and z_t swapped": {
        "W_h": lambda s: {**s.W_h, "r": s.W_h["z"], "z": s.W_h["r"]}
    },
    "W_h transposed": {"W_h": lambda s: {gate: W.T for gate, W in s.W_h.items()}},
}

_GRU: tuple[Equation[Any, Sizes], ...] = (
    _before(
        65,
        "pre-activation of the candidate",
        "n",
        rf"{d('h_t')} \odot (1 - z_t) \odot (1 - n_t \odot n_t)",
        candidate,
        2,
        _in_step(candidate),
    ),
    _before(
        66,
        "pre-activation of the update gate",
        "z",
        rf"{d('h_t')} \odot (h_{{t-1}} - n_t) \odot z_t \odot (1 - z_t)",
        update,
        1,
        _in_step(update),
    ),
    _before(
        67,
        "what the reset gate multiplies",
        "q",
        rf"{_delta('n')} \odot r_t",
        inside,
        3,
        _in_step(inside),
    ),
    _before(
        68,
        "pre-activation of the reset gate",
        "r",
        rf"{_delta('n')} \odot q_t \odot r_t \odot (1 - r_t)",
        reset,
        0,
        _in_step(reset),
    ),
    *(
        GRU_RECURRENCE.step(
            69 + k,
            title,
            latex(_delta, ""),
            left=left,
            formula=formula,
            code=_parameter_code(name),
            wrong=_in_step(formula),
        )
        for k, (title, name, left, formula, latex) in enumerate(_PARAMETERS)
    ),
    GRU_RECURRENCE.step(
        72,
        "input",
        _input_latex(_delta),
        left=lambda p: p.derivative("x")[0],
        formula=step_input,
        code=lambda p: step_code(p)["x"][0],
        wrong=_in_step(step_input),
    ),
    GRU_RECURRENCE.step(
        73,
        "previous state",
        rf"{d('h_{t-1}')} = z_t \odot {d('h_t')} + {_through_latex(_delta)}",
        left=lambda p: p.derivative("h_0"),
        formula=previous_state,
        code=lambda p: step_code(p)["h_0"],
        wrong=_in_step(previous_state),
    ),
    GRU_RECURRENCE.previous_state(
        74,
        rf"{new('h_{t-1}')} = {d('h_{t-1}')} + z_t \odot {new('h_t')} + "
        + _through_latex(_new_delta),
        previous_state,
        wrong=_in_sequence(previous_state, Backward.previous_states, "early"),
    ),
    *(
        GRU_RECURRENCE.total(
            75 + k,
            title,
            latex(_new_delta, _SUM),
            left=left,
            formula=formula,
            variable=name,
            wrong=_in_sum(formula, name),
        )
        for k, (title, name, left, formula, latex) in enumerate(_PARAMETERS)
    ),
    GRU_RECURRENCE.sequence(
        78,
        "input",
        _input_latex(_new_delta),
        left=lambda p: p.derivative("x"),
        right=each_step(step_input),
        code=lambda p: code(p)["x"],
        wrong=_in_sequence(step_input, Backward.inputs, "own_input"),
    ),
    Equation(
        number="79",
        title="GRU state by the previous state, Jacobian",
        page="gru",
        statement=(
            rf"{by('h_t', 'h_{t-1}')} = \operatorname{{diag}}(z_t) "
            r"+ \operatorname{diag}((1 - z_t) \odot (1 - n_t \odot n_t) \odot r_t)\, W_h^n "
            r"+ \operatorname{diag}((1 - z_t) \odot (1 - n_t \odot n_t) \odot q_t \odot r_t "
            r"\odot (1 - r_t))\, W_h^r "
            r"+ \operatorname{diag}((h_{t-1} - n_t) \odot z_t \odot (1 - z_t))\, W_h^z"
        ),
        layer="gru_step_jacobian",
        sizes=draw_sizes,
        exact_sizes=_TWO_STEPS,
        problem=GRUProblem.draw_step,
        left=lambda p: jacobian(lambda h: replace(p.complex, h_0=h).states()[-1], p.h_0),
        right=one_step(state_by_state),
        code=jacobian_code,
        wrong=mistakes_in(
            state_by_state,
            _JACOBIAN,
            {
                "diagonal dropped": lambda s: state_by_state(s) - torch.diag(s.z),
                "1 − z_t on the diagonal": lambda s: state_by_state(s) + torch.diag(1 - 2 * s.z),
            },
        ),
    ),
)

# The RNN with ReLU.


def rectified(s: RNNStep) -> Tensor:
    """(80): δ = ∂L/∂h_t where h_t, and so z_t, is above 0."""
    return s.bias("h")


def rectified_previous_state(s: RNNStep) -> Tensor:
    """(81) without its first term: W_hᵀ δ."""
    return s.previous_state()


def _relu_step_code(p: ReLUProblem) -> Tensor:
    """∂L/∂z_t, the gradient of the bias, by `layers.rnn_step_backward`."""
    weights = p.W_x.T, p.W_h.T, p.b
    _, cache = layers.rnn_step_forward(p.x, p.h_0[None], *weights, nonlinearity="relu")
    return layers.rnn_step_backward(p.dh[1][None], cache)[-1]


def _relu_code(p: ReLUProblem) -> Gradients:
    """∂L/∂h_0 by `layers.rnn_backward`."""
    weights = p.W_x.T, p.W_h.T, p.b
    _, cache = layers.rnn_forward(p.x[:, None], p.h_0[None], *weights, nonlinearity="relu")
    return {"h_0": layers.rnn_backward(torch.stack(p.dh[1:])[:, None], cache)[1][0]}


RELU_RECURRENCE = Recurrence(
    page="gru",
    prefix="RNN with ReLU",
    layer="rnn",
    problem=ReLUProblem,
    code=_relu_code,
    exact_sizes=Sizes(T=3, d=2, m=4),  # so that some of the z_t that are drawn are above 0
)
_RELU_FORMS: Mapping[str, Formula[RNNStep]] = {
    "𝟙 dropped": lambda s: s.dh,
    "𝟙 of h_{t−1} > 0": lambda s: s.dh * (s.h_prev > 0),
    "𝟙 of z_t ≤ 0": lambda s: s.dh * (s.h <= 0),
    "value in place of the slope": lambda s: s.dh * s.h,
    "slope of tanh": lambda s: s.dh * (1 - s.h * s.h),
}
_ONE = r"\odot \mathbb{1}_{z_t > 0}"

_RELU: tuple[Equation[Any, Sizes], ...] = (
    RELU_RECURRENCE.step(
        80,
        "pre-activation",
        rf"{d('z_t')} = {d('h_t')} {_ONE}",
        left=lambda p: p.derivative_before(),
        formula=rectified,
        code=_relu_step_code,
        wrong={
            "wrong sign": one_step(lambda s: -rectified(s)),
            **{name: one_step(form) for name, form in _RELU_FORMS.items()},
        },
    ),
    RELU_RECURRENCE.previous_state(
        81,
        rf"{new('h_{t-1}')} = {d('h_{t-1}')} + W_h^{{\top}} \left[ {new('h_t')} {_ONE} \right]",
        rectified_previous_state,
        wrong={
            "∂L/∂h_{t−1} dropped": each_step(rectified_previous_state),
            "W_h not transposed": with_direct(each_step(lambda s: s.W_h @ rectified(s))),
            "∂L/∂h_t in place of [∂L/∂h_t]_{new}": with_direct(
                each_step_direct(rectified_previous_state)
            ),
            "𝟙 dropped": with_direct(each_step(lambda s: s.W_h.T @ s.dh)),
            "slope of tanh": with_direct(each_step(lambda s: s.W_h.T @ (s.dh * (1 - s.h * s.h)))),
        },
    ),
)

# The LSTM with a projection. Its gates' formulas are the LSTM's, with ∂L/∂y_t for ∂L/∂h_t.


def projected(s: ProjectedStep) -> Tensor:
    """(82): ∂L/∂y_t."""
    return s.W_p.T @ s.dh


def projection(s: ProjectedStep) -> Tensor:
    """(83), and the summands of (86)."""
    return torch.outer(s.dh, s.y)


def within(s: ProjectedStep) -> ProjectedStep:
    """Return the step as one of an LSTM whose state is y_t."""
    return replace(s, dh=projected(s))


def gates(s: ProjectedStep) -> Tensor:
    """(84): ∂L/∂z_t of the four gates, one below the other."""
    return gates_before(within(s))  # type: ignore[arg-type]


def projected_previous_state(s: ProjectedStep) -> Tensor:
    """(85) without its first term."""
    return stacked(s.W_h).T @ gates(s)


def _projected_weights(p: ProjectedProblem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return stacked(p.W_x).T, stacked(p.W_h).T, stacked(p.b), p.W_p.T


def _projected_step(p: ProjectedProblem) -> tuple[layers.ProjectedLSTMStepCache, Gradients]:
    """Gradients of a problem of one step by `layers.projected_lstm_step_backward`."""
    *_, cache = layers.projected_lstm_step_forward(
        p.x, p.h_0[None], p.c_0[None], *_projected_weights(p)
    )
    *_, db, dWp = layers.projected_lstm_step_backward(p.dh[1][None], p.dc[1][None], cache)
    return cache, {"z": db, "W_p": dWp.T}


def _projected_y_code(p: ProjectedProblem) -> Tensor:
    """∂L/∂y_t, solved for in the output gate's bias gradient by the layer's own values."""
    cache, gradients = _projected_step(p)
    slope = cache.o * (1 - cache.o) * cache.tanh_c
    return gradients["z"].chunk(4)[3] / slope[0]


def _projected_code(p: ProjectedProblem) -> Gradients:
    """Gradients of a sequence by `layers.projected_lstm_backward`.

    As of the LSTM: the sequence is also cut after every earlier step, and what the loss reads of
    the cell there enters as the last state of the piece.
    """

    def piece(T: int, dh: Tensor) -> tuple[Tensor, Tensor]:
        _, cache = layers.projected_lstm_forward(
            p.x[:T, None], p.h_0[None], *_projected_weights(p), p.c_0[None]
        )
        _, dh0, *_, dWp, _ = layers.projected_lstm_backward(dh[:, None], cache, dc_T=p.dc[T][None])
        return dh0[0], dWp.T

    dh0, dWp = piece(p.T, torch.stack(p.dh[1:]))
    for T in range(1, p.T):
        more_h0, more_Wp = piece(T, torch.zeros_like(p.s[:T]))
        dh0, dWp = dh0 + more_h0, dWp + more_Wp
    return {"h_0": dh0, "W_p": dWp}


PROJECTED_RECURRENCE = Recurrence(
    page="gru",
    prefix="projected LSTM",
    layer="projected_lstm",
    problem=ProjectedProblem,
    code=_projected_code,
    exact_sizes=_TWO_STEPS,
)

_PROJECTED_SIGN: Mapping[str, Changes] = {"∂L/∂h_t with the wrong sign": {"dh": lambda s: -s.dh}}
_PROJECTION: Mapping[str, Changes] = {
    **_PROJECTED_SIGN,
    "c_t in place of y_t": {"y": lambda s: s.c},
    "tanh(c_t) in place of y_t": {"y": lambda s: s.tanh_c},
}
_WITHIN: Mapping[str, Changes] = {
    **_PROJECTED_SIGN,
    "W_p with the wrong sign": {"W_p": lambda s: -s.W_p},
    "∂L/∂c_t dropped": {"dc": lambda s: torch.zeros_like(s.dc)},
    "f_t and i_t swapped": {"f": lambda s: s.i, "i": lambda s: s.f},
    "c_t in place of c_{t−1}": {"c_prev": lambda s: s.c},
    "way from y_t to c_t dropped": {"tanh_c": lambda s: torch.ones_like(s.c)},
}
_Y = d("y_t")
_BEFORE = (
    r"\begin{pmatrix} e_t \odot c_{t-1} \odot f_t \odot (1 - f_t) \\ "
    r"e_t \odot \tilde c_t \odot i_t \odot (1 - i_t) \\ "
    r"e_t \odot i_t \odot (1 - \tilde c_t \odot \tilde c_t) \\ "
    rf"{_Y} \odot \tanh(c_t) \odot o_t \odot (1 - o_t) \end{{pmatrix}} , \quad "
    rf"e_t = {d('c_t')} + {_Y} \odot o_t \odot (1 - \tanh(c_t) \odot \tanh(c_t))"
)

_PROJECTED: tuple[Equation[Any, Sizes], ...] = (
    PROJECTED_RECURRENCE.step(
        82,
        "output of the cell",
        rf"{_Y} = W_p^{{\top}} {d('h_t')}",
        left=lambda p: p.derivative_projected(),
        formula=projected,
        code=_projected_y_code,
        wrong=mistakes_in(
            projected,
            _PROJECTED_SIGN,
            {
                "factor o_t too much": lambda s: projected(s) * s.o,
                "slope of tanh too much": lambda s: projected(s) * (1 - s.tanh_c * s.tanh_c),
                "W_p with its columns in reverse": lambda s: s.W_p.flip(1).T @ s.dh,
            },
        ),
    ),
    PROJECTED_RECURRENCE.step(
        83,
        "projection",
        rf"{d('W_p')} = {d('h_t')}\, y_t^{{\top}}",
        left=lambda p: p.derivative("W_p"),
        formula=projection,
        code=lambda p: _projected_step(p)[1]["W_p"],
        wrong=mistakes_in(projection, _PROJECTION, {}),
    ),
    PROJECTED_RECURRENCE.step(
        84,
        "pre-activations of the gates",
        f"{d('z_t')} = {_BEFORE}",
        left=lambda p: torch.cat([p.derivative_before(gate) for gate in ("f", "i", "c", "o")]),
        formula=gates,
        code=lambda p: _projected_step(p)[1]["z"],
        wrong=mistakes_in(gates, _WITHIN, {}),
    ),
    PROJECTED_RECURRENCE.previous_state(
        85,
        rf"{new('h_{t-1}')} = {d('h_{t-1}')} + W_h^{{\top}} {new('z_t')}",
        projected_previous_state,
        wrong={
            "∂L/∂h_{t−1} dropped": each_step(projected_previous_state),
            NOT_NEW: with_direct(each_step_direct(projected_previous_state)),
            **{
                name: with_direct(each_step(changed(projected_previous_state, change)))
                for name, change in _WITHIN.items()
            },
        },
    ),
    PROJECTED_RECURRENCE.total(
        86,
        "projection",
        rf"{d('W_p')} = {_SUM}{new('h_t')}\, y_t^{{\top}}",
        left=lambda p: p.derivative("W_p"),
        formula=projection,
        variable="W_p",
        wrong=mistakes_in(projection, _PROJECTION, {}, summed) | joined_wrongly(projection),
    ),
)

GRU: tuple[Equation[Any, Sizes], ...] = (*_GRU, *_RELU, *_PROJECTED)
