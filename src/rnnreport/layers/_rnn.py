"""The vanilla RNN, ``h_t = tanh(x_t Wx + h_{t-1} Wh + b)``, and its derivatives."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import check_alike, check_shapes


class RNNStepCache(NamedTuple):
    """What :func:`rnn_step_backward` needs; references, so leave them unchanged until then."""

    x: Tensor
    prev_h: Tensor
    Wx: Tensor
    Wh: Tensor
    next_h: Tensor


class RNNCache(NamedTuple):
    """What :func:`rnn_backward` needs; references, so leave them unchanged until then."""

    x: Tensor
    h0: Tensor
    Wx: Tensor
    Wh: Tensor
    h: Tensor


def rnn_step_forward(
    x: Tensor, prev_h: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor
) -> tuple[Tensor, RNNStepCache]:
    r"""Advance a vanilla RNN by one time step, equation (R1).

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

    Returns
    -------
    next_h : Tensor, shape (N, H)
        Hidden state after the step.
    cache : RNNStepCache
        Values for :func:`rnn_step_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis is empty.
    """
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
    next_h = torch.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, RNNStepCache(x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(
    dnext_h: Tensor, cache: RNNStepCache
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""Differentiate :func:`rnn_step_forward`; equations (1)-(5).

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
    x, prev_h, Wx, Wh, next_h = cache
    check_shapes({"next_h": (next_h, "N H"), "dnext_h": (dnext_h, "N H")})
    check_alike(("next_h", next_h), dnext_h=dnext_h)
    dz = dnext_h * (1 - next_h * next_h)  # (N, H), through tanh
    dWx = x.T @ dz  # (D, H)  (1)
    dWh = prev_h.T @ dz  # (H, H)  (2)
    db = dz.sum(0)  # (H,)    (3)
    dx = dz @ Wx.T  # (N, D)  (4)
    dprev_h = dz @ Wh.T  # (N, H)  (5)
    return dx, dprev_h, dWx, dWh, db


@torch.no_grad()
def rnn_forward(
    x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor
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

    Returns
    -------
    h : Tensor, shape (T, N, H)
        Hidden state after every step.
    cache : RNNCache
        Values for :func:`rnn_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis (time included) is empty.
    """
    sizes = check_shapes(
        {"x": (x, "T N D"), "h0": (h0, "N H"), "Wx": (Wx, "D H"), "Wh": (Wh, "H H"), "b": (b, "H")}
    )
    check_alike(("x", x), h0=h0, Wx=Wx, Wh=Wh, b=b)
    T, N, D, H = (sizes[axis] for axis in "TNDH")
    h = x.new_empty(T, N, H)
    torch.addmm(b, x.reshape(T * N, D), Wx, out=h.view(T * N, H))
    prev_h = h0
    for h_t in h.unbind(0):
        h_t.addmm_(prev_h, Wh).tanh_()
        prev_h = h_t
    return h, RNNCache(x, h0, Wx, Wh, h)


@torch.no_grad()
def rnn_backward(dh: Tensor, cache: RNNCache) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""Differentiate :func:`rnn_forward`, through time; equations (6)-(12).

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
    x, h0, Wx, Wh, h = cache
    T, N, H = check_shapes({"h": (h, "T N H"), "dh": (dh, "T N H")}).values()
    check_alike(("h", h), dh=dh)
    WhT = Wh.T.contiguous()
    dz = h.square().neg_().add_(1)  # 1 - h_t * h_t, becomes the gradient before tanh
    direct = (torch.zeros_like(h0), *dh[:-1].unbind(0))  # of h_0, ..., h_{T-1}
    dnew = dh[-1]  # (7)
    for dz_t, dh_t in zip(reversed(dz.unbind(0)), reversed(direct), strict=True):
        dz_t.mul_(dnew)
        dnew = torch.addmm(dh_t, dz_t, WhT)  # (6); (12) at the last turn
    flat_dz = dz.view(T * N, H)
    flat_x = x.reshape(T * N, -1)
    dWx = flat_x.T @ flat_dz  # (8)
    dWh = torch.addmm(h0.T @ dz[0], h[:-1].reshape(-1, H).T, dz[1:].reshape(-1, H))  # (9)
    db = flat_dz.sum(0)  # (10)
    dx = (flat_dz @ Wx.T).view(T, N, -1)  # (11)
    return dx, dnew, dWx, dWh, db
