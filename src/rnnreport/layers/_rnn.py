"""The vanilla RNN, ``h_t = φ(x_t Wx + h_{t-1} Wh + b)`` with tanh or ReLU, and its derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import check_alike, check_shapes
from rnnreport.layers._products import (
    bias_gradient,
    input_gradient,
    input_weights_gradient,
    state_weights_gradient,
)


class RNNStepCache(NamedTuple):
    """What :func:`rnn_step_backward` needs; references, so leave them unchanged until then."""

    x: Tensor
    prev_h: Tensor
    Wx: Tensor
    Wh: Tensor
    next_h: Tensor
    nonlinearity: str = "tanh"


class RNNCache(NamedTuple):
    """What :func:`rnn_backward` needs; references, so leave them unchanged until then."""

    x: Tensor
    h0: Tensor
    Wx: Tensor
    Wh: Tensor
    h: Tensor
    nonlinearity: str = "tanh"


def rnn_step_forward(
    x: Tensor, prev_h: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor, *, nonlinearity: str = "tanh"
) -> tuple[Tensor, RNNStepCache]:
    r"""Advance a vanilla RNN by one time step, equation (R1), or equation (U4) with a ReLU.

    .. math:: h_t = \tanh(x_t W_x + h_{t-1} W_h + b)

    Parameters
    ----------
    x : Tensor, shape (N, D)
        Input of this step. float32, float64 or complex128; the other arguments have its dtype and
        device.
    prev_h : Tensor, shape (N, H)
        Hidden state before the step.
    Wx : Tensor, shape (D, H)
        Input-to-hidden weights.
    Wh : Tensor, shape (H, H)
        Hidden-to-hidden weights.
    b : Tensor, shape (H,)
        Biases.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        What stands in the place of tanh. At 0 the derivative of the ReLU is 0.

    Returns
    -------
    next_h : Tensor, shape (N, H)
        Hidden state after the step.
    cache : RNNStepCache
        Values for :func:`rnn_step_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an axis is empty, or the nonlinearity is unknown.
    """
    phi_ = in_place(nonlinearity)
    check_shapes(
        {
            "x": (x, "N D"),
            "prev_h": (prev_h, "N H"),
            "Wx": (Wx, "D H"),
            "Wh": (Wh, "H H"),
            "b": (b, "H"),
        }
    )
    check_alike(("x", x), prev_h=prev_h, Wx=Wx, Wh=Wh, b=b)
    if nonlinearity == "relu":
        next_h = phi_(x @ Wx + prev_h @ Wh + b)
        return next_h, RNNStepCache(x, prev_h, Wx, Wh, next_h, nonlinearity)
    next_h = torch.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, RNNStepCache(x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(
    dnext_h: Tensor, cache: RNNStepCache
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""Differentiate :func:`rnn_step_forward`; equations (1)-(5).

    With a ReLU the gradient before it is equation (80).

    Parameters
    ----------
    dnext_h : Tensor, shape (N, H)
        Upstream gradient :math:`\partial L / \partial h_t`.
    cache : RNNStepCache
        From the forward step.

    Returns
    -------
    dx : Tensor, shape (N, D)
        Equation (4).
    dprev_h : Tensor, shape (N, H)
        Equation (5).
    dWx : Tensor, shape (D, H)
        Equation (1), summed over the batch.
    dWh : Tensor, shape (H, H)
        Equation (2), summed over the batch.
    db : Tensor, shape (H,)
        Equation (3), summed over the batch.

    Raises
    ------
    ValueError
        If the shape, dtype or device of `dnext_h` is not the hidden state's.
    """
    x, prev_h, Wx, Wh, next_h, nonlinearity = cache
    check_shapes({"next_h": (next_h, "N H"), "dnext_h": (dnext_h, "N H")})
    check_alike(("next_h", next_h), dnext_h=dnext_h)
    slope = next_h.real > 0 if nonlinearity == "relu" else 1 - next_h * next_h
    dz = dnext_h * slope  # (N, H), through the nonlinearity  (80)
    dWx = x.T @ dz  # (D, H)  (1)
    dWh = prev_h.T @ dz  # (H, H)  (2)
    db = dz.sum(0)  # (H,)    (3)
    dx = dz @ Wx.T  # (N, D)  (4)
    dprev_h = dz @ Wh.T  # (N, H)  (5)
    return dx, dprev_h, dWx, dWh, db


@torch.no_grad()
def rnn_forward(
    x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor, *, nonlinearity: str = "tanh"
) -> tuple[Tensor, RNNCache]:
    r"""Run a vanilla RNN over a sequence, time first.

    The inputs of all steps pass through `Wx` in one matrix product before the loop; what remains
    inside is the recurrence alone. No autograd graph is recorded: :class:`rnnreport.nn.RNN` is the
    module that autograd knows.

    Parameters
    ----------
    x : Tensor, shape (T, N, D)
        Inputs. float32, float64 or complex128; the other arguments have its dtype and device.
    h0 : Tensor, shape (N, H)
        Hidden state before the first step.
    Wx : Tensor, shape (D, H)
        Input-to-hidden weights.
    Wh : Tensor, shape (H, H)
        Hidden-to-hidden weights.
    b : Tensor, shape (H,)
        Biases.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        What stands in the place of tanh. At 0 the derivative of the ReLU is 0.

    Returns
    -------
    h : Tensor, shape (T, N, H)
        Hidden state after every step.
    cache : RNNCache
        Values for :func:`rnn_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an axis (time included) is empty, or the
        nonlinearity is unknown.
    """
    phi_ = in_place(nonlinearity)
    sizes = check_shapes(
        {"x": (x, "T N D"), "h0": (h0, "N H"), "Wx": (Wx, "D H"), "Wh": (Wh, "H H"), "b": (b, "H")}
    )
    check_alike(("x", x), h0=h0, Wx=Wx, Wh=Wh, b=b)
    T, N, D, H = (sizes[axis] for axis in "TNDH")
    h = x.new_empty(T, N, H)
    torch.addmm(b, x.reshape(T * N, D), Wx, out=h.view(T * N, H))
    prev_h = h0
    for h_t in h.unbind(0):
        phi_(h_t.addmm_(prev_h, Wh))
        prev_h = h_t
    return h, RNNCache(x, h0, Wx, Wh, h, nonlinearity)


@torch.no_grad()
def rnn_backward(dh: Tensor, cache: RNNCache) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""Differentiate :func:`rnn_forward`, through time; equations (6)-(12).

    With a ReLU the recursion is equation (81).

    Parameters
    ----------
    dh : Tensor, shape (T, N, H)
        Upstream gradient of every hidden state: the part of :math:`\partial L / \partial h_t` that
        does not pass through later states.
    cache : RNNCache
        From the forward pass.

    Returns
    -------
    dx : Tensor, shape (T, N, D)
        Equation (11).
    dh0 : Tensor, shape (N, H)
        Equation (12).
    dWx : Tensor, shape (D, H)
        Equation (8), summed over the batch.
    dWh : Tensor, shape (H, H)
        Equation (9), summed over the batch.
    db : Tensor, shape (H,)
        Equation (10), summed over the batch.

    Raises
    ------
    ValueError
        If the shape, dtype or device of `dh` is not the hidden states'.
    """
    x, h0, Wx, _, h, _ = cache
    check_shapes({"h": (h, "T N H"), "dh": (dh, "T N H")})
    check_alike(("h", h), dh=dh)
    dz, dh0 = rnn_through_time(dh, cache)
    dWx = input_weights_gradient(dz, x)  # (8)
    dWh = state_weights_gradient(dz, h0, h)  # (9)
    db = bias_gradient(dz)  # (10)
    dx = input_gradient(dz, Wx)  # (11)
    return dx, dh0, dWx, dWh, db


def rnn_through_time(dh: Tensor, cache: RNNCache) -> tuple[Tensor, Tensor]:
    """Go back through time; what remains to be done are products over all steps.

    Parameters
    ----------
    dh : Tensor, shape (T, N, H)
        As :func:`rnn_backward` takes it.
    cache : RNNCache
        From the forward pass.

    Returns
    -------
    dz : Tensor, shape (T, N, H)
        Gradient before the nonlinearity.
    dh0 : Tensor, shape (N, H)
        Gradient of the first state.
    """
    WhT = cache.Wh.T.contiguous()
    dz = slopes(cache.h, cache.nonlinearity)  # becomes the gradient before the nonlinearity
    direct = (torch.zeros_like(cache.h0), *dh[:-1].unbind(0))  # of h_0, ..., h_{T-1}
    dnew = dh[-1]  # (7)
    for dz_t, dh_t in zip(reversed(dz.unbind(0)), reversed(direct), strict=True):
        dz_t.mul_(dnew)
        dnew = torch.addmm(dh_t, dz_t, WhT)  # (6), (81); (12) at the last turn
    return dz, dnew


def in_place(nonlinearity: str) -> Callable[[Tensor], Tensor]:
    """Return the function of that name, which works in place; refuse other names."""
    if nonlinearity == "tanh":
        return torch.tanh_
    if nonlinearity == "relu":
        return _relu_
    raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")


def _relu_(z: Tensor) -> Tensor:
    """Apply the ReLU; to a complex number by the sign of its real part."""
    return z.mul_(z.real > 0) if z.is_complex() else z.relu_()


def slopes(h: Tensor, nonlinearity: str) -> Tensor:
    """Return the derivative of the nonlinearity, in terms of its own values `h`."""
    if nonlinearity == "relu":
        return torch.zeros_like(h).masked_fill_(h.real > 0, 1)
    return h.square().neg_().add_(1)  # 1 - h_t * h_t
