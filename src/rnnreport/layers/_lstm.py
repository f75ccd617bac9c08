r"""The LSTM and its derivatives; gates packed in the order :math:`f, i, \tilde c, o`."""

from __future__ import annotations

from typing import Literal, NamedTuple, overload

import torch
from torch import Tensor

from rnnreport.layers import _fast
from rnnreport.layers._checks import check_alike, check_shapes
from rnnreport.layers._products import (
    bias_gradient,
    input_gradient,
    input_weights_gradient,
    state_weights_gradient,
)

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
GradientsWithCell = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class LSTMStepCache(NamedTuple):
    """What :func:`lstm_step_backward` needs; references, so leave them unchanged until then."""

    x: Tensor
    prev_h: Tensor
    prev_c: Tensor
    Wx: Tensor
    Wh: Tensor
    f: Tensor
    i: Tensor
    c_tilde: Tensor
    o: Tensor
    tanh_c: Tensor


class LSTMCache(NamedTuple):
    r"""What :func:`lstm_backward` needs; references, so leave them unchanged until then.

    ``gates`` has shape (T, N, 4, H) and holds :math:`f, i, \tilde c, o`; ``c`` has shape
    (T + 1, N, H) and begins with :math:`c_0`, so ``c[-1]`` is the last cell state; ``tanh_c`` has
    shape (T, N, H).
    """

    x: Tensor
    h0: Tensor
    Wx: Tensor
    Wh: Tensor
    gates: Tensor
    c: Tensor
    tanh_c: Tensor
    h: Tensor


class LSTMStatesCache(NamedTuple):
    """What :func:`lstm_backward` needs after ``keep="states"``; leave it unchanged until then.

    ``c`` has shape (T + 1, N, H) as in :class:`LSTMCache`. The gates are formed again.
    """

    x: Tensor
    h0: Tensor
    Wx: Tensor
    Wh: Tensor
    b: Tensor
    c: Tensor
    h: Tensor


ROWS_AT_ONCE = 1024
"""Rows of x whose gates are held at a time, where only states are kept."""


def lstm_step_forward(
    x: Tensor, prev_h: Tensor, prev_c: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor
) -> tuple[Tensor, Tensor, LSTMStepCache]:
    r"""Advance an LSTM by one time step, equation (S1).

    .. math::

       f_t, i_t, o_t &= \sigma(x_t W_x^g + h_{t-1} W_h^g + b^g), \quad g = f, i, o \\
       \tilde c_t &= \tanh(x_t W_x^c + h_{t-1} W_h^c + b^c) \\
       c_t &= f_t \odot c_{t-1} + i_t \odot \tilde c_t \\
       h_t &= o_t \odot \tanh(c_t)

    Parameters
    ----------
    x : Tensor, shape (N, D)
        Input of this step. float32, float64 or complex128; the other arguments have its dtype and
        device.
    prev_h, prev_c : Tensor, shape (N, H)
        Hidden and cell state before the step.
    Wx : Tensor, shape (D, 4H)
        Input weights of the four gates, in the order f, i, c̃, o.
    Wh : Tensor, shape (H, 4H)
        Recurrent weights, in the same order.
    b : Tensor, shape (4H,)
        Biases, in the same order.

    Returns
    -------
    next_h, next_c : Tensor, shape (N, H)
        Hidden and cell state after the step.
    cache : LSTMStepCache
        Values for :func:`lstm_step_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis is empty.
    """
    check_shapes(
        {
            "x": (x, "N D"),
            "prev_h": (prev_h, "N H"),
            "prev_c": (prev_c, "N H"),
            "Wx": (Wx, "D 4H"),
            "Wh": (Wh, "H 4H"),
            "b": (b, "4H"),
        }
    )
    check_alike(("x", x), prev_h=prev_h, prev_c=prev_c, Wx=Wx, Wh=Wh, b=b)
    zf, zi, zc, zo = (x @ Wx + prev_h @ Wh + b).chunk(4, dim=1)  # each (N, H)
    f, i, c_tilde, o = torch.sigmoid(zf), torch.sigmoid(zi), torch.tanh(zc), torch.sigmoid(zo)
    next_c = f * prev_c + i * c_tilde
    tanh_c = torch.tanh(next_c)
    next_h = o * tanh_c
    return next_h, next_c, LSTMStepCache(x, prev_h, prev_c, Wx, Wh, f, i, c_tilde, o, tanh_c)


def lstm_step_backward(dnext_h: Tensor, dnext_c: Tensor, cache: LSTMStepCache) -> GradientsWithCell:
    r"""Differentiate :func:`lstm_step_forward`; equations (13)-(31).

    Parameters
    ----------
    dnext_h : Tensor, shape (N, H)
        Upstream gradient :math:`\partial L / \partial h_t`.
    dnext_c : Tensor, shape (N, H)
        Upstream gradient :math:`\partial L / \partial c_t`: the part that does not pass through
        :math:`h_t`.
    cache : LSTMStepCache
        From the forward step.

    Returns
    -------
    dx : Tensor, shape (N, D)
        Equation (30).
    dprev_h : Tensor, shape (N, H)
        Equation (31).
    dprev_c : Tensor, shape (N, H)
        Equation (29).
    dWx : Tensor, shape (D, 4H)
        Equations (17), (19), (21), (23), summed over the batch.
    dWh : Tensor, shape (H, 4H)
        Equations (18), (20), (22), (24), summed over the batch.
    db : Tensor, shape (4H,)
        Equations (25)-(28), summed over the batch.

    Raises
    ------
    ValueError
        If the shape, dtype or device of an upstream gradient is not the states'.
    """
    x, prev_h, prev_c, Wx, Wh, f, i, c_tilde, o, tanh_c = cache
    check_shapes(
        {"next_h": (tanh_c, "N H"), "dnext_h": (dnext_h, "N H"), "dnext_c": (dnext_c, "N H")}
    )
    check_alike(("next_h", tanh_c), dnext_h=dnext_h, dnext_c=dnext_c)
    dc = dnext_c + dnext_h * o * (1 - tanh_c * tanh_c)  # all that reaches c_t
    df = dc * prev_c  # (13)
    di = dc * c_tilde  # (14)
    dc_tilde = dc * i  # (15)
    do = dnext_h * tanh_c  # (16)
    dz = torch.cat(  # (N, 4H), before the four nonlinearities
        [df * f * (1 - f), di * i * (1 - i), dc_tilde * (1 - c_tilde * c_tilde), do * o * (1 - o)],
        dim=1,
    )
    dWx = x.T @ dz  # (D, 4H)  (17), (19), (21), (23)
    dWh = prev_h.T @ dz  # (H, 4H)  (18), (20), (22), (24)
    db = dz.sum(0)  # (4H,)    (25)-(28)
    dprev_c = dc * f  # (N, H)   (29)
    dx = dz @ Wx.T  # (N, D)   (30)
    dprev_h = dz @ Wh.T  # (N, H)   (31)
    return dx, dprev_h, dprev_c, dWx, dWh, db


@overload
def lstm_forward(
    x: Tensor,
    h0: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    b: Tensor,
    c0: Tensor | None = None,
    *,
    keep: Literal["gates"] = "gates",
) -> tuple[Tensor, LSTMCache]: ...
@overload
def lstm_forward(
    x: Tensor,
    h0: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    b: Tensor,
    c0: Tensor | None = None,
    *,
    keep: Literal["states"],
) -> tuple[Tensor, LSTMStatesCache]: ...
@torch.no_grad()
def lstm_forward(
    x: Tensor,
    h0: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    b: Tensor,
    c0: Tensor | None = None,
    *,
    keep: Literal["gates", "states"] = "gates",
) -> tuple[Tensor, LSTMCache | LSTMStatesCache]:
    r"""Run an LSTM over a sequence, time first.

    The inputs of all steps pass through `Wx` in one matrix product before the steps; the gates are
    formed in place. No autograd graph is recorded: :class:`rnnreport.nn.LSTM` is the
    module that autograd knows.

    Parameters
    ----------
    x : Tensor, shape (T, N, D)
        Inputs. float32, float64 or complex128; the other arguments have its dtype and device.
    h0 : Tensor, shape (N, H)
        Hidden state before the first step.
    Wx : Tensor, shape (D, 4H)
        Input weights of the four gates, in the order f, i, c̃, o.
    Wh : Tensor, shape (H, 4H)
        Recurrent weights, in the same order.
    b : Tensor, shape (4H,)
        Biases, in the same order.
    c0 : Tensor, shape (N, H), optional
        Cell state before the first step; zero if not given.
    keep : {"gates", "states"}
        What the cache holds besides the arguments: gates and states, 7 T N H numbers, or the states
        alone, 2 T N H. Then the gates are formed some steps at a time, and in the backward pass
        once more.

    Returns
    -------
    h : Tensor, shape (T, N, H)
        Hidden state after every step.
    cache : LSTMCache or LSTMStatesCache
        Values for :func:`lstm_backward`. ``cache.c[-1]`` is the cell state after the last step.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis (time included) is empty.
    """
    if c0 is None:
        c0 = torch.zeros_like(h0)
    sizes = check_shapes(
        {
            "x": (x, "T N D"),
            "h0": (h0, "N H"),
            "Wx": (Wx, "D 4H"),
            "Wh": (Wh, "H 4H"),
            "b": (b, "4H"),
            "c0": (c0, "N H"),
        }
    )
    check_alike(("x", x), h0=h0, Wx=Wx, Wh=Wh, b=b, c0=c0)
    T, N, H = (sizes[axis] for axis in "TNH")
    h, c = x.new_empty(T, N, H), x.new_empty(T + 1, N, H)
    c[0].copy_(c0)
    if keep == "gates":
        gates, tanh_c = _forward(x, h0, Wx, Wh, b, c, h)
        return h, LSTMCache(x, h0, Wx, Wh, gates, c, tanh_c, h)
    for first, last in _stretches(T, N):
        prev_h = h[first - 1] if first else h0
        _forward(x[first:last], prev_h, Wx, Wh, b, c[first : last + 1], h[first:last])
    return h, LSTMStatesCache(x, h0, Wx, Wh, b, c, h)


def _forward(
    x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor, c: Tensor, h: Tensor
) -> tuple[Tensor, Tensor]:
    """Fill c[1:] and h, and return the gates and tanh c."""
    T, N, H = h.shape
    gates = torch.addmm(b, x.reshape(T * N, -1), Wx).view(T, N, 4, H)  # all of z but h Wh
    tanh_c = torch.empty_like(h)
    steps = _fast.lstm_steps_forward if _fast.serves(gates, h0, Wh) else _steps_forward
    steps(h0, Wh, gates, c, tanh_c, h)
    return gates, tanh_c


def _stretches(T: int, N: int) -> list[tuple[int, int]]:
    """Part the steps where only so many rows are held at a time."""
    steps = max(1, ROWS_AT_ONCE // N)
    return [(first, min(T, first + steps)) for first in range(0, T, steps)]


def _steps_forward(
    h0: Tensor, Wh: Tensor, gates: Tensor, c: Tensor, tanh_c: Tensor, h: Tensor
) -> None:
    """Run all steps, equation (S1): ``gates`` begins as x Wx + b; fill it, c[1:], tanh_c and h."""
    packed = gates.flatten(2)
    fi = gates[:, :, :2]  # f and i side by side: one call serves both
    by_step = (packed, fi, *gates.unbind(2), c[1:], tanh_c, h)  # taken apart once, not in the loop
    prev_h, prev_c = h0, c[0]
    for z_t, fi_t, f, i, c_tilde, o, c_t, tanh_c_t, h_t in zip(
        *(values.unbind(0) for values in by_step), strict=True
    ):
        z_t.addmm_(prev_h, Wh)
        fi_t.sigmoid_()
        c_tilde.tanh_()
        o.sigmoid_()
        torch.mul(f, prev_c, out=c_t).addcmul_(i, c_tilde)
        torch.tanh(c_t, out=tanh_c_t)
        torch.mul(o, tanh_c_t, out=h_t)
        prev_h, prev_c = h_t, c_t


@overload
def lstm_backward(
    dh: Tensor,
    cache: LSTMCache | LSTMStatesCache,
    *,
    dc_T: Tensor | None = None,
    return_dc0: Literal[False] = False,
) -> Gradients: ...
@overload
def lstm_backward(
    dh: Tensor,
    cache: LSTMCache | LSTMStatesCache,
    *,
    dc_T: Tensor | None = None,
    return_dc0: Literal[True],
) -> GradientsWithCell: ...
@torch.no_grad()
def lstm_backward(
    dh: Tensor,
    cache: LSTMCache | LSTMStatesCache,
    *,
    dc_T: Tensor | None = None,
    return_dc0: bool = False,
) -> Gradients | GradientsWithCell:
    r"""Differentiate :func:`lstm_forward`, through time; equations (32)-(49).

    Parameters
    ----------
    dh : Tensor, shape (T, N, H)
        Upstream gradient of every hidden state: the part of :math:`\partial L / \partial h_t` that
        does not pass through later states.
    cache : LSTMCache or LSTMStatesCache
        From the forward pass.
    dc_T : Tensor, shape (N, H), optional
        Upstream gradient of the last cell state, for a loss that reads it; zero if not given, as in
        equation (35).
    return_dc0 : bool, default False
        Whether to return the gradient of the first cell state too.

    Returns
    -------
    dx : Tensor, shape (T, N, D)
        Equation (48).
    dh0 : Tensor, shape (N, H)
        Equation (49).
    dWx : Tensor, shape (D, 4H)
        Equations (36), (38), (40), (42), summed over the batch.
    dWh : Tensor, shape (H, 4H)
        Equations (37), (39), (41), (43), summed over the batch.
    db : Tensor, shape (4H,)
        Equations (44)-(47), summed over the batch.
    dc0 : Tensor, shape (N, H)
        Only with `return_dc0`: equation (33) at :math:`t = 1`.

    Raises
    ------
    ValueError
        If the shape, dtype or device of an upstream gradient is not the states'.
    """
    x, h0, Wx, h = cache.x, cache.h0, cache.Wx, cache.h
    if dc_T is None:
        dc_T = torch.zeros_like(h0)
    check_shapes({"h": (h, "T N H"), "dh": (dh, "T N H"), "dc_T": (dc_T, "N H")})
    check_alike(("h", h), dh=dh, dc_T=dc_T)
    if isinstance(cache, LSTMStatesCache):
        dx, dh0, dWx, dWh, db, dc0 = _backward_from_states(dh, dc_T, cache)
    else:
        dz, dh0, dc0 = lstm_through_time(dh, dc_T, cache)
        dWx = input_weights_gradient(dz, x)  # (36), (38), (40), (42)
        dWh = state_weights_gradient(dz, h0, h)  # (37), (39), (41), (43)
        db = bias_gradient(dz)  # (44)-(47)
        dx = input_gradient(dz, Wx)  # (48)
    if return_dc0:
        return dx, dh0, dWx, dWh, db, dc0
    return dx, dh0, dWx, dWh, db


def _backward_from_states(dh: Tensor, dc: Tensor, cache: LSTMStatesCache) -> GradientsWithCell:
    """Form the gates again, some steps at a time, and go back through those."""
    x, h0, Wx, Wh, b, c, h = cache
    dx, dprev_h = torch.empty_like(x), torch.zeros_like(h0)
    dWx, dWh, db = torch.zeros_like(Wx), torch.zeros_like(Wh), torch.zeros_like(b)
    for first, last in reversed(_stretches(len(h), len(h0))):
        part = slice(first, last)
        x_, h_, prev_h = x[part], h[part], h[first - 1] if first else h0
        z = torch.addmm(b, x_.flatten(0, 1), Wx).view(*h_.shape[:2], -1)
        z[0].addmm_(prev_h, Wh)
        z[1:].flatten(0, 1).addmm_(h_[:-1].flatten(0, 1), Wh)
        gates = z.view(*h_.shape[:2], 4, -1)
        for gate, nonlinearity in zip(gates.unbind(2), NONLINEARITIES, strict=True):
            nonlinearity(gate, out=gate)
        c_ = c[first : last + 1]
        part_cache = LSTMCache(x_, prev_h, Wx, Wh, gates, c_, c_[1:].tanh(), h_)
        dh_ = dh[part].clone()
        dh_[-1] += dprev_h  # (32)
        dz, dprev_h, dc = lstm_through_time(dh_, dc, part_cache)
        dx[part] = input_gradient(dz, Wx)
        dWx += input_weights_gradient(dz, x_)
        dWh += state_weights_gradient(dz, prev_h, h_)
        db += bias_gradient(dz)
    return dx, dprev_h, dWx, dWh, db, dc


NONLINEARITIES = (torch.sigmoid, torch.sigmoid, torch.tanh, torch.sigmoid)


def lstm_through_time(dh: Tensor, dc_T: Tensor, cache: LSTMCache) -> tuple[Tensor, Tensor, Tensor]:
    """Go back through all steps, equations (32)-(35) and (49), without the products over all steps.

    Parameters
    ----------
    dh : Tensor, shape (T, N, H)
        Upstream gradient of every hidden state.
    dc_T : Tensor, shape (N, H)
        Upstream gradient of the last cell state.
    cache : LSTMCache
        From the forward pass.

    Returns
    -------
    dz : Tensor, shape (T, N, 4H)
        Gradient of the gates before their nonlinearities, in the order f, i, c̃, o.
    dh0, dc0 : Tensor, shape (N, H)
        Gradients of the first states.
    """
    _, _, _, Wh, gates, c, tanh_c, h = cache
    if _fast.serves(dh, dc_T, Wh, gates, c, tanh_c):
        return _fast.lstm_steps_backward(dh, dc_T, Wh, gates, c, tanh_c)
    return _steps_backward(dh, dc_T, Wh, gates, c, tanh_c, h)


def _steps_backward(
    dh: Tensor, dc_T: Tensor, Wh: Tensor, gates: Tensor, c: Tensor, tanh_c: Tensor, h: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Go back through all steps: a product of matrices and three with the upstream gradient each.

    What depends on the forward values alone is formed for all steps before the loop.
    """
    WhT = Wh.T.contiguous()
    grads, dc = gradient_slots(gates, c[:-1], tanh_c, h)
    dprev_c, _, _, _, dzo = grads.unbind(2)
    T, N, _, H = grads.shape
    dz = grads.view(T, N, 5 * H)[:, :, H:]
    direct = (torch.zeros_like(dc_T), *dh[:-1].unbind(0))  # of h_0, ..., h_{T-1}
    dnew_h, dnew_c = dh[-1], dc_T  # (34), (35)
    dcell = grads[:, :, :4]  # all that c_t feeds back
    by_step = (dc, dcell, dprev_c, dzo, dz)
    for dc_t, dcell_t, dprev_c_t, dzo_t, dz_t, dh_t in zip(
        *(reversed(values.unbind(0)) for values in by_step), reversed(direct), strict=True
    ):
        dc_t.mul_(dnew_h).add_(dnew_c)
        dcell_t.mul_(dc_t.unsqueeze(1))
        dzo_t.mul_(dnew_h)
        dnew_h = torch.addmm(dh_t, dz_t, WhT)  # (32); (49) at the last turn
        dnew_c = dprev_c_t  # (33)
    return dz, dnew_h, dnew_c.clone()


def gradient_slots(
    gates: Tensor, prev_c: Tensor, tanh_c: Tensor, h: Tensor
) -> tuple[Tensor, Tensor]:
    """Form all that multiplies an upstream gradient, for every step of a sequence at once.

    Parameters
    ----------
    gates : Tensor, shape (..., 4, H)
        Values of the gates, in the order f, i, c̃, o; the axes before are steps and sequences.
    prev_c : Tensor, shape (..., H)
        Cell states before the steps.
    tanh_c, h : Tensor, shape (..., H)
        Hyperbolic tangents of the cell states after the steps, and the hidden states.

    Returns
    -------
    grads : Tensor, shape (..., 5, H)
        One slot for the gradient of c_{t-1} and one for each pre-activation, in the order of the
        gates: the derivative of the nonlinearity times its partner in the cell.
    dc : Tensor, shape (..., H)
        What multiplies the gradient of h_t on its way to c_t.
    """
    *axes, _, H = gates.shape
    f, i, c_tilde, o = gates.unbind(-2)
    grads = gates.new_empty(*axes, 5, H)
    dprev_c, dzf, dzi, dzc, dzo = grads.unbind(-2)
    dprev_c.copy_(f)
    torch.addcmul(gates, gates, gates, value=-1, out=grads[..., 1:, :])  # s (1 - s) for f, i, o
    dzf.mul_(prev_c)
    dzi.mul_(c_tilde)
    dzo.mul_(tanh_c)
    torch.addcmul(i, i * c_tilde, c_tilde, value=-1, out=dzc)  # i (1 - c̃²)
    dc = torch.addcmul(o, h, tanh_c, value=-1)  # o (1 - tanh² c), since h = o tanh c
    return grads, dc
