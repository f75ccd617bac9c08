r"""The LSTM whose state is a projection, and its derivatives; gates :math:`f, i, \tilde c, o`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import check_alike, check_shapes
from rnnreport.layers._lstm import gradient_slots
from rnnreport.layers._products import (
    bias_gradient,
    input_gradient,
    input_weights_gradient,
    state_weights_gradient,
)

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

SHAPES = {"Wp": "H P", "Wx": "D 4H", "Wh": "P 4H", "b": "4H"}
STATES = {"prev_h": "N P", "prev_c": "N H", "h0": "N P", "c0": "N H"}


class ProjectedLSTMStepCache(NamedTuple):
    """What :func:`projected_lstm_step_backward` needs; leave it unchanged until then.

    ``y`` is what is projected.
    """

    x: Tensor
    prev_h: Tensor
    prev_c: Tensor
    Wx: Tensor
    Wh: Tensor
    Wp: Tensor
    f: Tensor
    i: Tensor
    c_tilde: Tensor
    o: Tensor
    tanh_c: Tensor
    y: Tensor


class ProjectedLSTMCache(NamedTuple):
    r"""What :func:`projected_lstm_backward` needs; leave it unchanged until then.

    ``gates`` has shape (T, N, 4, H) and holds :math:`f, i, \tilde c, o`; ``c`` has shape
    (T + 1, N, H) and begins with :math:`c_0`, so ``c[-1]`` is the last cell state; ``tanh_c`` and
    ``y``, which is projected, have shape (T, N, H), and ``h`` has (T, N, P).
    """

    x: Tensor
    h0: Tensor
    Wx: Tensor
    Wh: Tensor
    Wp: Tensor
    gates: Tensor
    c: Tensor
    tanh_c: Tensor
    y: Tensor
    h: Tensor


def projected_lstm_step_forward(
    x: Tensor, prev_h: Tensor, prev_c: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor, Wp: Tensor
) -> tuple[Tensor, Tensor, ProjectedLSTMStepCache]:
    r"""Advance a projected LSTM by one time step: the LSTM, and equation (U5).

    .. math::

       y_t &= o_t \odot \tanh(c_t) \\
       h_t &= y_t W_p

    Parameters
    ----------
    x : Tensor, shape (N, D)
        Input of this step. float32, float64 or complex128; the other arguments have its dtype and
        device.
    prev_h : Tensor, shape (N, P)
        Hidden state before the step.
    prev_c : Tensor, shape (N, H)
        Cell state before the step.
    Wx : Tensor, shape (D, 4H)
        Input weights of the four gates, in the order f, i, c̃, o.
    Wh : Tensor, shape (P, 4H)
        Recurrent weights, in the same order.
    b : Tensor, shape (4H,)
        Biases, in the same order.
    Wp : Tensor, shape (H, P)
        Weights of the projection.

    Returns
    -------
    next_h : Tensor, shape (N, P)
        Hidden state after the step.
    next_c : Tensor, shape (N, H)
        Cell state after the step.
    cache : ProjectedLSTMStepCache
        Values for :func:`projected_lstm_step_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis is empty.
    """
    check_arguments(x, "N D", {"prev_h": prev_h, "prev_c": prev_c}, Wx=Wx, Wh=Wh, b=b, Wp=Wp)
    zf, zi, zc, zo = (x @ Wx + prev_h @ Wh + b).chunk(4, dim=1)  # each (N, H)
    f, i, c_tilde, o = torch.sigmoid(zf), torch.sigmoid(zi), torch.tanh(zc), torch.sigmoid(zo)
    next_c = f * prev_c + i * c_tilde
    tanh_c = torch.tanh(next_c)
    y = o * tanh_c
    next_h = y @ Wp
    cache = ProjectedLSTMStepCache(x, prev_h, prev_c, Wx, Wh, Wp, f, i, c_tilde, o, tanh_c, y)
    return next_h, next_c, cache


def projected_lstm_step_backward(
    dnext_h: Tensor, dnext_c: Tensor, cache: ProjectedLSTMStepCache
) -> Gradients:
    r"""Differentiate :func:`projected_lstm_step_forward`; equations (82)-(84).

    Parameters
    ----------
    dnext_h : Tensor, shape (N, P)
        Upstream gradient :math:`\partial L / \partial h_t`.
    dnext_c : Tensor, shape (N, H)
        Upstream gradient :math:`\partial L / \partial c_t`: the part that does not pass through
        :math:`h_t`.
    cache : ProjectedLSTMStepCache
        From the forward step.

    Returns
    -------
    dx : Tensor, shape (N, D)
        As :func:`lstm_step_backward` has it, like all but `dWp`: made of equation (84).
    dprev_h : Tensor, shape (N, P)
    dprev_c : Tensor, shape (N, H)
    dWx : Tensor, shape (D, 4H)
    dWh : Tensor, shape (P, 4H)
    db : Tensor, shape (4H,)
        Summed over the batch.
    dWp : Tensor, shape (H, P)
        Equation (83), summed over the batch.

    Raises
    ------
    ValueError
        If the shape, dtype or device of an upstream gradient is not the states'.
    """
    x, prev_h, prev_c, Wx, Wh, Wp, f, i, c_tilde, o, tanh_c, y = cache
    states = {"next_c": (tanh_c, "N H"), "prev_h": (prev_h, "N P")}
    check_shapes({**states, "dnext_h": (dnext_h, "N P"), "dnext_c": (dnext_c, "N H")})
    check_alike(("next_c", tanh_c), dnext_h=dnext_h, dnext_c=dnext_c)
    dWp = y.T @ dnext_h  # (H, P)  (83)
    dy = dnext_h @ Wp.T  # (N, H)  (82)
    dc = dnext_c + dy * o * (1 - tanh_c * tanh_c)  # all that reaches c_t
    dz = torch.cat(  # (N, 4H), before the four nonlinearities  (84)
        [
            dc * prev_c * f * (1 - f),
            dc * c_tilde * i * (1 - i),
            dc * i * (1 - c_tilde * c_tilde),
            dy * tanh_c * o * (1 - o),
        ],
        dim=1,
    )
    dWx, dWh, db = x.T @ dz, prev_h.T @ dz, dz.sum(0)
    dprev_c, dx, dprev_h = dc * f, dz @ Wx.T, dz @ Wh.T
    return dx, dprev_h, dprev_c, dWx, dWh, db, dWp


@torch.no_grad()
def projected_lstm_forward(
    x: Tensor,
    h0: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    b: Tensor,
    Wp: Tensor,
    c0: Tensor | None = None,
) -> tuple[Tensor, ProjectedLSTMCache]:
    """Run a projected LSTM over a sequence, time first.

    No autograd graph is recorded.

    Parameters
    ----------
    x : Tensor, shape (T, N, D)
        Inputs. float32, float64 or complex128; the other arguments have its dtype and device.
    h0 : Tensor, shape (N, P)
        Hidden state before the first step.
    Wx, Wh, b, Wp
        As :func:`projected_lstm_step_forward` takes them.
    c0 : Tensor, shape (N, H), optional
        Cell state before the first step; zero if not given.

    Returns
    -------
    h : Tensor, shape (T, N, P)
        Hidden state after every step.
    cache : ProjectedLSTMCache
        Values for :func:`projected_lstm_backward`. ``cache.c[-1]`` is the cell state after the last
        step.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis (time included) is empty.
    """
    states = {"h0": h0} if c0 is None else {"h0": h0, "c0": c0}
    sizes = check_arguments(x, "T N D", states, Wx=Wx, Wh=Wh, b=b, Wp=Wp)
    T, N, H, P = (sizes[axis] for axis in "TNHP")
    if c0 is None:
        c0 = h0.new_zeros(N, H)
    packed = torch.addmm(b, x.flatten(0, 1), Wx).view(T, N, 4 * H)
    gates = packed.view(T, N, 4, H)
    h, (y, tanh_c) = x.new_empty(T, N, P), (x.new_empty(T, N, H) for _ in range(2))
    c = torch.cat([c0[None], x.new_empty(T, N, H)])
    prev_h, prev_c = h0, c0
    fi = gates[:, :, :2]  # f and i side by side: one call serves both
    by_step = (packed, fi, *gates.unbind(2), c[1:], tanh_c, y, h)
    for z_t, fi_t, f, i, c_tilde, o, c_t, tanh_c_t, y_t, h_t in zip(
        *(values.unbind(0) for values in by_step), strict=True
    ):
        z_t.addmm_(prev_h, Wh)
        fi_t.sigmoid_()
        c_tilde.tanh_()
        o.sigmoid_()
        torch.mul(f, prev_c, out=c_t).addcmul_(i, c_tilde)
        torch.tanh(c_t, out=tanh_c_t)
        torch.mul(o, tanh_c_t, out=y_t)
        torch.mm(y_t, Wp, out=h_t)
        prev_h, prev_c = h_t, c_t
    return h, ProjectedLSTMCache(x, h0, Wx, Wh, Wp, gates, c, tanh_c, y, h)


@torch.no_grad()
def projected_lstm_backward(
    dh: Tensor, cache: ProjectedLSTMCache, *, dc_T: Tensor | None = None
) -> Gradients:
    r"""Differentiate :func:`projected_lstm_forward`, through time; equations (85), (86).

    Parameters
    ----------
    dh : Tensor, shape (T, N, P)
        Upstream gradient of every hidden state: the part of :math:`\partial L / \partial h_t` that
        does not pass through later states.
    cache : ProjectedLSTMCache
        From the forward pass.
    dc_T : Tensor, shape (N, H), optional
        Upstream gradient of the last cell state; zero if not given.

    Returns
    -------
    dx : Tensor, shape (T, N, D)
        As :func:`lstm_backward` has it, like `dWx`, `dWh` and `db`: made of equation (84) with whole
        gradients.
    dh0 : Tensor, shape (N, P)
        Equation (85) at :math:`t = 1`.
    dWx : Tensor, shape (D, 4H)
    dWh : Tensor, shape (P, 4H)
    db : Tensor, shape (4H,)
        Summed over the batch.
    dWp : Tensor, shape (H, P)
        Equation (86), summed over the batch.
    dc0 : Tensor, shape (N, H)
        Gradient of the first cell state.

    Raises
    ------
    ValueError
        If the shape, dtype or device of an upstream gradient is not the states'.
    """
    x, h0, Wx, _, _, _, c, _, y, h = cache
    if dc_T is None:
        dc_T = torch.zeros_like(c[0])
    states = {"h": (h, "T N P"), "c_T": (c[-1], "N H")}
    check_shapes({**states, "dh": (dh, "T N P"), "dc_T": (dc_T, "N H")})
    check_alike(("h", h), dh=dh, dc_T=dc_T)
    dz, dnew_h, dh0, dc0 = projected_lstm_through_time(dh, dc_T, cache)
    dWx = input_weights_gradient(dz, x)
    dWh = state_weights_gradient(dz, h0, h)
    db = bias_gradient(dz)
    dWp = input_weights_gradient(dnew_h, y)  # (86)
    dx = input_gradient(dz, Wx)
    return dx, dh0, dWx, dWh, db, dWp, dc0


def projected_lstm_through_time(
    dh: Tensor, dc_T: Tensor, cache: ProjectedLSTMCache
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Go back through time; what remains to be done are products over all steps.

    Parameters
    ----------
    dh : Tensor, shape (T, N, P)
        As :func:`projected_lstm_backward` takes it.
    dc_T : Tensor, shape (N, H)
        Upstream gradient of the last cell state.
    cache : ProjectedLSTMCache
        From the forward pass.

    Returns
    -------
    dz : Tensor, shape (T, N, 4H)
        Gradients before the nonlinearities.
    dnew_h : Tensor, shape (T, N, P)
        Whole gradient of the hidden states, direct and through all later steps.
    dh0 : Tensor, shape (N, P)
        Gradient of the first hidden state.
    dc0 : Tensor, shape (N, H)
        Gradient of the first cell state.
    """
    _, h0, _, Wh, Wp, gates, c, tanh_c, y, _ = cache
    WhT, WpT = Wh.T.contiguous(), Wp.T.contiguous()
    grads, dc = gradient_slots(gates, c[:-1], tanh_c, y)
    dprev_c, _, _, _, dzo = grads.unbind(2)
    dz = grads.flatten(2)[:, :, y.shape[2] :]
    whole = torch.cat([torch.zeros_like(h0)[None], dh])  # of h_0, ..., h_T
    dnew_c = dc_T
    dcell = grads[:, :, :4]  # all that c_t feeds back
    by_step = (dc, dcell, dprev_c, dzo, dz, whole[1:], whole[:-1])
    for dc_t, dcell_t, dprev_c_t, dzo_t, dz_t, dnew_t, dprev_t in zip(
        *(reversed(values.unbind(0)) for values in by_step), strict=True
    ):
        dy = dnew_t @ WpT  # (82)
        dc_t.mul_(dy).add_(dnew_c)
        dcell_t.mul_(dc_t.unsqueeze(1))
        dzo_t.mul_(dy)
        dprev_t.addmm_(dz_t, WhT)  # (85)
        dnew_c = dprev_c_t
    return dz, whole[1:], whole[0].clone(), dnew_c.clone()


def check_arguments(
    x: Tensor, axes: str, states: Mapping[str, Tensor], **weights: Tensor
) -> dict[str, int]:
    """Check what a projected LSTM takes, and return the sizes of the axes."""
    shapes = {name: (weights[name], axes) for name, axes in SHAPES.items()}
    shapes |= {name: (state, STATES[name]) for name, state in states.items()}
    sizes = check_shapes({"x": (x, axes), **shapes})
    check_alike(("x", x), **states, **weights)
    return sizes
