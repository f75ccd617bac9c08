r"""The GRU and its derivatives; gates packed in the order :math:`r, z, n`."""

from __future__ import annotations

from typing import NamedTuple

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

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

SHAPES = {"Wx": "D 3H", "Wh": "H 3H", "b": "3H", "bh": "H"}


class GRUStepCache(NamedTuple):
    """What :func:`gru_step_backward` needs; references, so leave them unchanged until then.

    ``q`` is what the reset gate multiplies.
    """

    x: Tensor
    prev_h: Tensor
    Wx: Tensor
    Wh: Tensor
    q: Tensor
    r: Tensor
    z: Tensor
    n: Tensor


class GRUCache(NamedTuple):
    """What :func:`gru_backward` needs; references, so leave them unchanged until then.

    ``gates`` has shape (T, N, 4, H) and holds q, which the reset gate multiplies, and r, z, n.
    """

    x: Tensor
    h0: Tensor
    Wx: Tensor
    Wh: Tensor
    gates: Tensor
    h: Tensor


def gru_step_forward(
    x: Tensor, prev_h: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor, bh: Tensor
) -> tuple[Tensor, GRUStepCache]:
    r"""Advance a GRU by one time step, equation (U1).

    .. math::

       r_t, z_t &= \sigma(x_t W_x^g + h_{t-1} W_h^g + b^g), \quad g = r, z \\
       q_t &= h_{t-1} W_h^n + b_h \\
       n_t &= \tanh(x_t W_x^n + b^n + r_t \odot q_t) \\
       h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    This is the form of ``torch.nn.GRU``: the reset gate multiplies after the product with the
    weights, and the bias of that product stands inside. Of the other biases PyTorch has two, which
    are summed here.

    Parameters
    ----------
    x : Tensor, shape (N, D)
        Input of this step. float32, float64 or complex128; the other arguments have its dtype and
        device.
    prev_h : Tensor, shape (N, H)
        State before the step.
    Wx : Tensor, shape (D, 3H)
        Input weights of the reset gate r, the update gate z and the candidate n, in this order.
    Wh : Tensor, shape (H, 3H)
        Recurrent weights, in the same order.
    b : Tensor, shape (3H,)
        Biases, in the same order.
    bh : Tensor, shape (H,)
        The candidate's bias inside the reset gate.

    Returns
    -------
    next_h : Tensor, shape (N, H)
        State after the step.
    cache : GRUStepCache
        Values for :func:`gru_step_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis is empty.
    """
    check_arguments(x, "N D", ("prev_h", prev_h), Wx=Wx, Wh=Wh, b=b, bh=bh)
    xr, xz, xn = (x @ Wx + b).chunk(3, dim=1)  # each (N, H)
    hr, hz, hn = (prev_h @ Wh).chunk(3, dim=1)
    r, z, q = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz), hn + bh
    n = torch.tanh(xn + r * q)
    next_h = (1 - z) * n + z * prev_h
    return next_h, GRUStepCache(x, prev_h, Wx, Wh, q, r, z, n)


def gru_step_backward(dnext_h: Tensor, cache: GRUStepCache) -> Gradients:
    r"""Differentiate :func:`gru_step_forward`; equations (65)-(73).

    Parameters
    ----------
    dnext_h : Tensor, shape (N, H)
        Upstream gradient :math:`\partial L / \partial h_t`.
    cache : GRUStepCache
        From the forward step.

    Returns
    -------
    dx : Tensor, shape (N, D)
        Equation (72).
    dprev_h : Tensor, shape (N, H)
        Equation (73).
    dWx : Tensor, shape (D, 3H)
        Equation (69), summed over the batch.
    dWh : Tensor, shape (H, 3H)
        Equation (70), summed over the batch.
    db : Tensor, shape (3H,)
        Equation (71), summed over the batch.
    dbh : Tensor, shape (H,)
        Equation (71), summed over the batch.

    Raises
    ------
    ValueError
        If the shape, dtype or device of `dnext_h` is not the state's.
    """
    x, prev_h, Wx, Wh, q, r, z, n = cache
    check_shapes({"next_h": (n, "N H"), "dnext_h": (dnext_h, "N H")})
    check_alike(("next_h", n), dnext_h=dnext_h)
    dzn = dnext_h * (1 - z) * (1 - n * n)  # (65)
    dzz = dnext_h * (prev_h - n) * z * (1 - z)  # (66)
    dq = dzn * r  # (67)
    dzr = dzn * q * r * (1 - r)  # (68)
    dz = torch.cat([dzr, dzz, dzn], dim=1)  # (N, 3H), what meets x
    dzh = torch.cat([dzr, dzz, dq], dim=1)  # (N, 3H), what meets h_{t-1}
    dWx = x.T @ dz  # (D, 3H)  (69)
    dWh = prev_h.T @ dzh  # (H, 3H)  (70)
    db, dbh = dz.sum(0), dq.sum(0)  # (3H,), (H,)  (71)
    dx = dz @ Wx.T  # (N, D)   (72)
    dprev_h = dnext_h * z + dzh @ Wh.T  # (N, H)   (73)
    return dx, dprev_h, dWx, dWh, db, dbh


@torch.no_grad()
def gru_forward(
    x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor, bh: Tensor
) -> tuple[Tensor, GRUCache]:
    """Run a GRU over a sequence, time first.

    The inputs of all steps pass through `Wx` in one matrix product before the steps; the gates are
    formed in place, after one product a step. No autograd graph is recorded.

    Parameters
    ----------
    x : Tensor, shape (T, N, D)
        Inputs. float32, float64 or complex128; the other arguments have its dtype and device.
    h0 : Tensor, shape (N, H)
        State before the first step.
    Wx, Wh, b, bh
        As :func:`gru_step_forward` takes them.

    Returns
    -------
    h : Tensor, shape (T, N, H)
        State after every step.
    cache : GRUCache
        Values for :func:`gru_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis (time included) is empty.
    """
    sizes = check_arguments(x, "T N D", ("h0", h0), Wx=Wx, Wh=Wh, b=b, bh=bh)
    T, N, H = (sizes[axis] for axis in "TNH")
    packed, gates = slots(x, (T, N), bh)
    torch.addmm(b, x.flatten(0, 1), Wx, out=packed.view(T * N, 4 * H)[:, H:])
    h = x.new_empty(T, N, H)
    steps = _fast.gru_steps_forward if _fast.serves(gates, h0, Wh) else _steps_forward
    steps(h0, candidate_first(Wh), gates, h)
    return h, GRUCache(x, h0, Wx, Wh, gates, h)


def _steps_forward(h0: Tensor, Wh_q: Tensor, gates: Tensor, h: Tensor) -> None:
    """Run all steps, equation (U1): ``gates`` begins as bh and x Wx + b; fill it and h."""
    packed = gates.flatten(2)
    prev_h = h0
    by_step = (packed[:, :, : Wh_q.shape[1]], gates[:, :, 1:3], *gates.unbind(2), h)
    for qrz_t, rz_t, q, r, z, n, h_t in zip(*(values.unbind(0) for values in by_step), strict=True):
        qrz_t.addmm_(prev_h, Wh_q)
        rz_t.sigmoid_()
        n.addcmul_(r, q).tanh_()
        torch.lerp(n, prev_h, z, out=h_t)  # n + z (h_{t-1} - n)
        prev_h = h_t


@torch.no_grad()
def gru_backward(dh: Tensor, cache: GRUCache) -> Gradients:
    r"""Differentiate :func:`gru_forward`, through time; equations (74)-(78).

    Parameters
    ----------
    dh : Tensor, shape (T, N, H)
        Upstream gradient of every state: the part of :math:`\partial L / \partial h_t` that does
        not pass through later states.
    cache : GRUCache
        From the forward pass.

    Returns
    -------
    dx : Tensor, shape (T, N, D)
        Equation (78).
    dh0 : Tensor, shape (N, H)
        Equation (74) at :math:`t = 1`.
    dWx : Tensor, shape (D, 3H)
        Equation (75), summed over the batch.
    dWh : Tensor, shape (H, 3H)
        Equation (76), summed over the batch.
    db : Tensor, shape (3H,)
        Equation (77), summed over the batch.
    dbh : Tensor, shape (H,)
        Equation (77), summed over the batch.

    Raises
    ------
    ValueError
        If the shape, dtype or device of `dh` is not the states'.
    """
    x, h0, Wx, _, _, h = cache
    check_shapes({"h": (h, "T N H"), "dh": (dh, "T N H")})
    check_alike(("h", h), dh=dh)
    dz, dzh, dh0 = gru_through_time(dh, cache)
    dWx = input_weights_gradient(dz, x)  # (75)
    dWh = candidate_last(state_weights_gradient(dzh, h0, h))  # (76)
    db, dbh = bias_gradient(dz), bias_gradient(dzh[..., : h.shape[-1]])  # (77)
    dx = input_gradient(dz, Wx)  # (78)
    return dx, dh0, dWx, dWh, db, dbh


def gru_through_time(dh: Tensor, cache: GRUCache) -> tuple[Tensor, Tensor, Tensor]:
    """Go back through time; what remains to be done are products over all steps.

    Parameters
    ----------
    dh : Tensor, shape (T, N, H)
        As :func:`gru_backward` takes it.
    cache : GRUCache
        From the forward pass.

    Returns
    -------
    dz : Tensor, shape (T, N, 3H)
        Gradients before the nonlinearities, in the order r, z, n: what meets the inputs.
    dzh : Tensor, shape (T, N, 3H)
        What meets the states before, in the order q, r, z; it shares its memory with `dz`.
    dh0 : Tensor, shape (N, H)
        Gradient of the first state.
    """
    _, h0, _, Wh, gates, h = cache
    H = h.shape[-1]
    steps = _fast.gru_steps_backward if _fast.serves(dh, h0, Wh, gates, h) else _steps_backward
    grads, dh0 = steps(dh, h0, candidate_first(Wh), gates, h)
    return grads.flatten(2)[:, :, H:], grads.flatten(2)[:, :, : 3 * H], dh0


def _steps_backward(
    dh: Tensor, h0: Tensor, Wh_q: Tensor, gates: Tensor, h: Tensor
) -> tuple[Tensor, Tensor]:
    """Go back through all steps: one product of matrices and two with the upstream gradient each.

    What depends on the forward values alone is formed before the loop.
    """
    WhT = Wh_q.T.contiguous()
    grads = gradient_slots(gates, torch.cat([h0[None], h[:-1]]))
    dzh = grads.flatten(2)[:, :, : Wh_q.shape[1]]
    direct = (torch.zeros_like(h0), *dh[:-1].unbind(0))  # of h_0, ..., h_{T-1}
    dnew = dh[-1]
    by_step = (grads, dzh, gates[:, :, 2])
    for grads_t, dzh_t, z, dh_t in zip(
        *(reversed(values.unbind(0)) for values in by_step), reversed(direct), strict=True
    ):
        grads_t.mul_(dnew.unsqueeze(1))
        dnew = torch.addcmul(dh_t, dnew, z).addmm_(dzh_t, WhT)  # (74)
    return grads, dnew


def check_arguments(
    x: Tensor, axes: str, state: tuple[str, Tensor], **weights: Tensor
) -> dict[str, int]:
    """Check what a GRU takes, and return the sizes of the axes."""
    name, h = state
    shapes = {each: (weight, SHAPES[each]) for each, weight in weights.items()}
    sizes = check_shapes({"x": (x, axes), name: (h, "N H"), **shapes})
    check_alike(("x", x), **{name: h}, **weights)
    return sizes


def slots(x: Tensor, rows: tuple[int, ...], bh: Tensor) -> tuple[Tensor, Tensor]:
    """Make room for q, r, z and n, of shape (*rows, 4H) and (*rows, 4, H); q begins as its bias.

    In this order the first three meet the state and the last three the input: either share is one
    product, into its place.
    """
    packed = x.new_empty(*rows, 4 * len(bh))
    gates = packed.view(*rows, 4, len(bh))
    gates[..., 0, :] = bh
    return packed, gates


def gradient_slots(gates: Tensor, prev_h: Tensor) -> Tensor:
    """Form all that multiplies an upstream gradient, for every step of a sequence at once.

    Parameters
    ----------
    gates : Tensor, shape (..., 4, H)
        q, r, z and n; the axes before are steps and sequences.
    prev_h : Tensor, shape (..., H)
        States before the steps.

    Returns
    -------
    Tensor, shape (..., 4, H)
        One slot for each of them: the derivative of the state by q and by the arguments of the
        three nonlinearities.
    """
    q, r, z, n = gates.unbind(-2)
    grads = torch.empty_like(gates)
    dq, dzr, dzz, dzn = grads.unbind(-2)
    kept = 1 - z
    torch.addcmul(kept, kept * n, n, value=-1, out=dzn)  # (1 - z) (1 - n²)
    torch.mul(dzn, r, out=dq)
    torch.mul(dq, q, out=dzr).mul_(1 - r)
    torch.sub(prev_h, n, out=dzz).mul_(z).mul_(kept)
    return grads


def candidate_first(W: Tensor) -> Tensor:
    """Order the columns n, r, z."""
    return W.roll(len(W), dims=1)


def candidate_last(W: Tensor) -> Tensor:
    """Order the columns r, z, n again."""
    return W.roll(-len(W), dims=1)
