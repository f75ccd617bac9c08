r"""The recurrent layers over sequences of different lengths, without a row for padding.

The sequences stand longest first. Their steps are packed: the rows of all that have a first step,
then of those that have a second one, and so on, S rows in all. So the sequences that run on are
always the first rows of a step, and every product is over rows that count.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import check_alike, check_device, check_indices, check_shapes
from rnnreport.layers._gru import candidate_first, candidate_last, slots
from rnnreport.layers._gru import check_arguments as check_gru
from rnnreport.layers._gru import gradient_slots as gru_gradient_slots
from rnnreport.layers._lstm import GradientsWithCell, gradient_slots
from rnnreport.layers._products import bias_gradient, input_gradient, input_weights_gradient
from rnnreport.layers._projected import check_arguments as check_projected
from rnnreport.layers._rnn import in_place, slopes
from rnnreport.layers._rows import add_rows


class PackedRNNCache(NamedTuple):
    """What :func:`packed_rnn_backward` needs; references, so leave them unchanged until then."""

    x: Tensor
    rows: Tensor | None
    sizes: tuple[int, ...]
    h0: Tensor
    Wx: Tensor
    Wh: Tensor
    h: Tensor
    nonlinearity: str = "tanh"


class PackedGRUCache(NamedTuple):
    """What :func:`packed_gru_backward` needs; references, so leave them unchanged until then.

    ``gates`` has shape (S, 4, H) and holds q, which the reset gate multiplies, and r, z, n.
    """

    x: Tensor
    rows: Tensor | None
    sizes: tuple[int, ...]
    h0: Tensor
    Wx: Tensor
    Wh: Tensor
    gates: Tensor
    h: Tensor


class PackedLSTMCache(NamedTuple):
    r"""What :func:`packed_lstm_backward` needs; references, so leave them unchanged until then.

    ``gates`` has shape (S, 4, H) and holds :math:`f, i, \tilde c, o`; ``c`` and ``tanh_c`` have
    shape (S, H).
    """

    x: Tensor
    rows: Tensor | None
    sizes: tuple[int, ...]
    h0: Tensor
    c0: Tensor
    Wx: Tensor
    Wh: Tensor
    gates: Tensor
    c: Tensor
    tanh_c: Tensor
    h: Tensor


class PackedProjectedLSTMCache(NamedTuple):
    r"""What :func:`packed_projected_lstm_backward` needs; leave it unchanged until then.

    ``gates`` has shape (S, 4, H) and holds :math:`f, i, \tilde c, o`; ``c``, ``tanh_c`` and ``y``,
    which is projected, have shape (S, H), and ``h`` has (S, P).
    """

    x: Tensor
    rows: Tensor | None
    sizes: tuple[int, ...]
    h0: Tensor
    c0: Tensor
    Wx: Tensor
    Wh: Tensor
    Wp: Tensor
    gates: Tensor
    c: Tensor
    tanh_c: Tensor
    y: Tensor
    h: Tensor


@torch.no_grad()
def packed_rnn_forward(
    x: Tensor,
    h0: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    b: Tensor,
    sizes: Sequence[int],
    *,
    rows: Tensor | None = None,
    nonlinearity: str = "tanh",
) -> tuple[Tensor, PackedRNNCache]:
    """Run a vanilla RNN over packed sequences: :func:`rnn_forward` on the rows that count.

    Parameters
    ----------
    x : Tensor, shape (S, D), or (U, D) with `rows`
        Inputs, packed. float32, float64 or complex128; the other arguments have its dtype and
        device.
    h0 : Tensor, shape (N, H)
        Hidden state before the first step, of the longest sequence first.
    Wx : Tensor, shape (D, H)
        Input-to-hidden weights.
    Wh : Tensor, shape (H, H)
        Hidden-to-hidden weights.
    b : Tensor, shape (H,)
        Biases.
    sizes : sequence of int
        How many sequences have each step: N at the first, never more than at the step before, at
        least 1. Their sum is S.
    rows : Tensor, shape (S,), int64 or int32, optional
        Which row of `x` is the input of each packed row. An input that occurs often is then
        multiplied with `Wx` once. Without it each row has its own.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        As :func:`rnn_forward` takes it.

    Returns
    -------
    h : Tensor, shape (S, H)
        Hidden state after every step, packed.
    cache : PackedRNNCache
        Values for :func:`packed_rnn_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an axis is empty, `sizes` or `rows` is not as
        above, or the nonlinearity is unknown.
    """
    phi_ = in_place(nonlinearity)
    check_shapes(
        {"x": (x, "S D"), "h0": (h0, "N H"), "Wx": (Wx, "D H"), "Wh": (Wh, "H H"), "b": (b, "H")}
    )
    check_alike(("x", x), h0=h0, Wx=Wx, Wh=Wh, b=b)
    _check_packing(x, h0, sizes, rows)
    h = _input_share(x, rows, Wx, b)
    prev_h = h0
    for h_t, n in zip(h.split_with_sizes(sizes), sizes, strict=True):
        phi_(h_t.addmm_(prev_h[:n], Wh))
        prev_h = h_t
    return h, PackedRNNCache(x, rows, tuple(sizes), h0, Wx, Wh, h, nonlinearity)


@torch.no_grad()
def packed_rnn_backward(
    dh: Tensor, cache: PackedRNNCache
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""Differentiate :func:`packed_rnn_forward`, through time; equations (6)-(12).

    Equation (7) holds for each sequence at its own last step.

    Parameters
    ----------
    dh : Tensor, shape (S, H)
        Upstream gradient of every hidden state, packed: the part of
        :math:`\partial L / \partial h_t` that does not pass through later states.
    cache : PackedRNNCache
        From the forward pass.

    Returns
    -------
    dx : Tensor, of the shape of `x`
        Equation (11), summed over the packed rows that share an input.
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
    x, rows, sizes, h0, Wx, _, h, _ = cache
    check_shapes({"h": (h, "S H"), "dh": (dh, "S H")})
    check_alike(("h", h), dh=dh)
    dz, dh0 = packed_rnn_through_time(dh, cache)
    dWh = previous_states(h0, h, sizes).T @ dz  # (9)
    dz = sum_shared(dz, x, rows)
    dWx = input_weights_gradient(dz, x)  # (8)
    db = bias_gradient(dz)  # (10)
    dx = input_gradient(dz, Wx)  # (11)
    return dx, dh0, dWx, dWh, db


def packed_rnn_through_time(dh: Tensor, cache: PackedRNNCache) -> tuple[Tensor, Tensor]:
    """Go back through time, as :func:`rnn_through_time` does.

    Returns the gradient before the nonlinearity, shape (S, H), and that of the first state.
    """
    h0, sizes = cache.h0, cache.sizes
    WhT = cache.Wh.T.contiguous()
    dz = slopes(cache.h, cache.nonlinearity)  # becomes the gradient before the nonlinearity
    dprev_h, *dnew_h = torch.cat([torch.zeros_like(h0), dh]).split_with_sizes([len(h0), *sizes])
    dprev = (dprev_h, *dnew_h[:-1])  # of h_0, ..., h_{T-1}
    for dz_t, dnew_t, dprev_t, n in zip(
        reversed(dz.split_with_sizes(sizes)),
        reversed(dnew_h),
        reversed(dprev),
        reversed(sizes),
        strict=True,
    ):
        dz_t.mul_(dnew_t)
        dprev_t[:n].addmm_(dz_t, WhT)  # (6), (81); (12) at the last turn
    return dz, dprev_h.clone()


@torch.no_grad()
def packed_gru_forward(
    x: Tensor,
    h0: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    b: Tensor,
    bh: Tensor,
    sizes: Sequence[int],
    *,
    rows: Tensor | None = None,
) -> tuple[Tensor, PackedGRUCache]:
    """Run a GRU over packed sequences: :func:`gru_forward` on the rows that count.

    Parameters
    ----------
    x : Tensor, shape (S, D), or (U, D) with `rows`
        Inputs, packed. float32, float64 or complex128; the other arguments have its dtype and
        device.
    h0 : Tensor, shape (N, H)
        State before the first step, of the longest sequence first.
    Wx, Wh, b, bh
        As :func:`gru_step_forward` takes them.
    sizes, rows
        As :func:`packed_rnn_forward` takes them.

    Returns
    -------
    h : Tensor, shape (S, H)
        State after every step, packed.
    cache : PackedGRUCache
        Values for :func:`packed_gru_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an axis is empty, or `sizes` or `rows` is not as
        described.
    """
    check_gru(x, "S D", ("h0", h0), Wx=Wx, Wh=Wh, b=b, bh=bh)
    _check_packing(x, h0, sizes, rows)
    S, H = sum(sizes), h0.shape[1]
    packed, gates = slots(x, (S,), bh)
    packed[:, H:] = _input_share(x, rows, Wx, b)
    Wh_q = candidate_first(Wh)
    h = x.new_empty(S, H)
    prev_h = h0
    for n_t, packed_t, gates_t, h_t in zip(
        sizes, *(values.split_with_sizes(sizes) for values in (packed, gates, h)), strict=True
    ):
        packed_t[:, : 3 * H].addmm_(prev_h[:n_t], Wh_q)
        q, r, z, n = gates_t.unbind(1)
        gates_t[:, 1:3].sigmoid_()  # r and z side by side: one call serves both
        n.addcmul_(r, q).tanh_()
        torch.lerp(n, prev_h[:n_t], z, out=h_t)  # n + z (h_{t-1} - n)
        prev_h = h_t
    return h, PackedGRUCache(x, rows, tuple(sizes), h0, Wx, Wh, gates, h)


@torch.no_grad()
def packed_gru_backward(
    dh: Tensor, cache: PackedGRUCache
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""Differentiate :func:`packed_gru_forward`, through time; equations (74)-(78).

    Parameters
    ----------
    dh : Tensor, shape (S, H)
        Upstream gradient of every state, packed: the part of :math:`\partial L / \partial h_t`
        that does not pass through later states.
    cache : PackedGRUCache
        From the forward pass.

    Returns
    -------
    dx : Tensor, of the shape of `x`
        Equation (78), summed over the packed rows that share an input.
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
    x, rows, sizes, h0, Wx, _, _, h = cache
    check_shapes({"h": (h, "S H"), "dh": (dh, "S H")})
    check_alike(("h", h), dh=dh)
    dz, dzh, dh0 = packed_gru_through_time(dh, cache)
    dWh = candidate_last(previous_states(h0, h, sizes).T @ dzh)  # (76)
    dbh = bias_gradient(dzh[:, : h.shape[1]])  # (77)
    dz = sum_shared(dz, x, rows)
    dWx = input_weights_gradient(dz, x)  # (75)
    db = bias_gradient(dz)  # (77)
    dx = input_gradient(dz, Wx)  # (78)
    return dx, dh0, dWx, dWh, db, dbh


def packed_gru_through_time(dh: Tensor, cache: PackedGRUCache) -> tuple[Tensor, Tensor, Tensor]:
    """Go back through time, as :func:`gru_through_time` does.

    Returns what meets the inputs, r, z, n, and what meets the states before, q, r, z, both of shape
    (S, 3H), and the gradient of the first state.
    """
    _, _, sizes, h0, _, Wh, gates, h = cache
    H = h.shape[1]
    WhT = candidate_first(Wh).T.contiguous()
    grads = gru_gradient_slots(gates, previous_states(h0, h, sizes))
    dz, dzh = grads.flatten(1)[:, H:], grads.flatten(1)[:, : 3 * H]
    dprev_h, *dnew_h = torch.cat([torch.zeros_like(h0), dh]).split_with_sizes([len(h0), *sizes])
    dprev = (dprev_h, *dnew_h[:-1])  # of h_0, ..., h_{T-1}
    for n, grads_t, dzh_t, z, dnew_t, dprev_t in zip(
        reversed(sizes),
        *(reversed(values.split_with_sizes(sizes)) for values in (grads, dzh, gates[:, 2])),
        reversed(dnew_h),
        reversed(dprev),
        strict=True,
    ):
        grads_t.mul_(dnew_t.unsqueeze(1))
        dprev_t[:n].addcmul_(dnew_t, z).addmm_(dzh_t, WhT)  # (74)
    return dz, dzh, dprev_h.clone()


@torch.no_grad()
def packed_lstm_forward(
    x: Tensor,
    h0: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    b: Tensor,
    c0: Tensor,
    sizes: Sequence[int],
    *,
    rows: Tensor | None = None,
) -> tuple[Tensor, PackedLSTMCache]:
    """Run an LSTM over packed sequences: :func:`lstm_forward` on the rows that count.

    Parameters
    ----------
    x : Tensor, shape (S, D), or (U, D) with `rows`
        Inputs, packed. float32, float64 or complex128; the other arguments have its dtype and
        device.
    h0 : Tensor, shape (N, H)
        Hidden state before the first step, of the longest sequence first.
    Wx : Tensor, shape (D, 4H)
        Input weights of the four gates, in the order f, i, c̃, o.
    Wh : Tensor, shape (H, 4H)
        Recurrent weights, in the same order.
    b : Tensor, shape (4H,)
        Biases, in the same order.
    c0 : Tensor, shape (N, H)
        Cell state before the first step.
    sizes, rows
        As :func:`packed_rnn_forward` takes them.

    Returns
    -------
    h : Tensor, shape (S, H)
        Hidden state after every step, packed.
    cache : PackedLSTMCache
        Values for :func:`packed_lstm_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an axis is empty, or `sizes` or `rows` is not as
        described.
    """
    check_shapes(
        {
            "x": (x, "S D"),
            "h0": (h0, "N H"),
            "Wx": (Wx, "D 4H"),
            "Wh": (Wh, "H 4H"),
            "b": (b, "4H"),
            "c0": (c0, "N H"),
        }
    )
    check_alike(("x", x), h0=h0, Wx=Wx, Wh=Wh, b=b, c0=c0)
    _check_packing(x, h0, sizes, rows)
    z = _input_share(x, rows, Wx, b)
    S, H = sum(sizes), h0.shape[1]
    gates = z.view(S, 4, H)
    h, c, tanh_c = (x.new_empty(S, H) for _ in range(3))
    prev_h, prev_c = h0, c0
    for n, z_t, gates_t, c_t, tanh_c_t, h_t in zip(
        sizes, *(values.split_with_sizes(sizes) for values in (z, gates, c, tanh_c, h)), strict=True
    ):
        z_t.addmm_(prev_h[:n], Wh)
        _out_of_cell(gates_t, prev_c[:n], c_t, tanh_c_t, h_t)
        prev_h, prev_c = h_t, c_t
    return h, PackedLSTMCache(x, rows, tuple(sizes), h0, c0, Wx, Wh, gates, c, tanh_c, h)


@torch.no_grad()
def packed_lstm_backward(
    dh: Tensor, cache: PackedLSTMCache, *, dc_T: Tensor | None = None
) -> GradientsWithCell:
    r"""Differentiate :func:`packed_lstm_forward`, through time; equations (32)-(49).

    Equations (34) and (35) hold for each sequence at its own last step.

    Parameters
    ----------
    dh : Tensor, shape (S, H)
        Upstream gradient of every hidden state, packed: the part of
        :math:`\partial L / \partial h_t` that does not pass through later states.
    cache : PackedLSTMCache
        From the forward pass.
    dc_T : Tensor, shape (N, H), optional
        Upstream gradient of each sequence's last cell state; zero if not given.

    Returns
    -------
    dx : Tensor, of the shape of `x`
        Equation (48), summed over the packed rows that share an input.
    dh0 : Tensor, shape (N, H)
        Equation (49).
    dWx : Tensor, shape (D, 4H)
        Equations (36), (38), (40), (42), summed over the batch.
    dWh : Tensor, shape (H, 4H)
        Equations (37), (39), (41), (43), summed over the batch.
    db : Tensor, shape (4H,)
        Equations (44)-(47), summed over the batch.
    dc0 : Tensor, shape (N, H)
        Equation (33) at :math:`t = 1`.

    Raises
    ------
    ValueError
        If the shape, dtype or device of an upstream gradient is not the states'.
    """
    x, rows, sizes, h0, _, Wx, *_, h = cache
    if dc_T is None:
        dc_T = torch.zeros_like(h0)
    check_shapes({"h": (h, "S H"), "dh": (dh, "S H"), "h0": (h0, "N H"), "dc_T": (dc_T, "N H")})
    check_alike(("h", h), dh=dh, dc_T=dc_T)
    dz, dh0, dc0 = packed_lstm_through_time(dh, dc_T, cache)
    dWh = previous_states(h0, h, sizes).T @ dz  # (37), (39), (41), (43)
    dz = sum_shared(dz, x, rows)
    dWx = input_weights_gradient(dz, x)  # (36), (38), (40), (42)
    db = bias_gradient(dz)  # (44)-(47)
    dx = input_gradient(dz, Wx)  # (48)
    return dx, dh0, dWx, dWh, db, dc0


def packed_lstm_through_time(
    dh: Tensor, dc_T: Tensor, cache: PackedLSTMCache
) -> tuple[Tensor, Tensor, Tensor]:
    """Go back through time; what remains to be done are products over all steps.

    Returns the gradient before the nonlinearities, shape (S, 4H), and those of the first states.
    """
    _, _, sizes, h0, c0, _, Wh, gates, c, tanh_c, h = cache
    WhT = Wh.T.contiguous()
    grads, dc = gradient_slots(gates, previous_states(c0, c, sizes), tanh_c, h)
    dz = grads.flatten(1)[:, h.shape[1] :]
    dprev_h, *dnew_h = torch.cat([torch.zeros_like(h0), dh]).split_with_sizes([len(h0), *sizes])
    dprev = (dprev_h, *dnew_h[:-1])  # of h_0, ..., h_{T-1}
    dnew_c = dc_T[:0]  # no sequence runs on after the last step
    for n, dc_t, grads_t, dz_t, dnew_t, dprev_t in zip(
        reversed(sizes),
        *(reversed(values.split_with_sizes(sizes)) for values in (dc, grads, dz)),
        reversed(dnew_h),
        reversed(dprev),
        strict=True,
    ):
        dnew_c = _into_cell(dc_t, grads_t, dnew_t, dnew_c, dc_T[:n])  # (33)
        dprev_t[:n].addmm_(dz_t, WhT)  # (32); (49) at the last turn
    return dz, dprev_h.clone(), dnew_c.clone()


@torch.no_grad()
def packed_projected_lstm_forward(
    x: Tensor,
    h0: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    b: Tensor,
    Wp: Tensor,
    c0: Tensor,
    sizes: Sequence[int],
    *,
    rows: Tensor | None = None,
) -> tuple[Tensor, PackedProjectedLSTMCache]:
    """Run a projected LSTM over packed sequences: :func:`projected_lstm_forward` on what counts.

    Parameters
    ----------
    x : Tensor, shape (S, D), or (U, D) with `rows`
        Inputs, packed. float32, float64 or complex128; the other arguments have its dtype and
        device.
    h0 : Tensor, shape (N, P)
        Hidden state before the first step, of the longest sequence first.
    Wx, Wh, b, Wp
        As :func:`projected_lstm_step_forward` takes them.
    c0 : Tensor, shape (N, H)
        Cell state before the first step.
    sizes, rows
        As :func:`packed_rnn_forward` takes them.

    Returns
    -------
    h : Tensor, shape (S, P)
        Hidden state after every step, packed.
    cache : PackedProjectedLSTMCache
        Values for :func:`packed_projected_lstm_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an axis is empty, or `sizes` or `rows` is not as
        described.
    """
    check_projected(x, "S D", {"h0": h0, "c0": c0}, Wx=Wx, Wh=Wh, b=b, Wp=Wp)
    _check_packing(x, h0, sizes, rows)
    z = _input_share(x, rows, Wx, b)
    S, (H, P) = sum(sizes), Wp.shape
    gates = z.view(S, 4, H)
    (c, tanh_c, y), h = (x.new_empty(S, H) for _ in range(3)), x.new_empty(S, P)
    prev_h, prev_c = h0, c0
    by_step = (z, gates, c, tanh_c, y, h)
    for n, z_t, gates_t, c_t, tanh_c_t, y_t, h_t in zip(
        sizes, *(values.split_with_sizes(sizes) for values in by_step), strict=True
    ):
        z_t.addmm_(prev_h[:n], Wh)
        _out_of_cell(gates_t, prev_c[:n], c_t, tanh_c_t, y_t)
        torch.mm(y_t, Wp, out=h_t)
        prev_h, prev_c = h_t, c_t
    cache = PackedProjectedLSTMCache(
        x, rows, tuple(sizes), h0, c0, Wx, Wh, Wp, gates, c, tanh_c, y, h
    )
    return h, cache


@torch.no_grad()
def packed_projected_lstm_backward(
    dh: Tensor, cache: PackedProjectedLSTMCache, *, dc_T: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    r"""Differentiate :func:`packed_projected_lstm_forward`, through time; equations (85), (86).

    Parameters
    ----------
    dh : Tensor, shape (S, P)
        Upstream gradient of every hidden state, packed: the part of
        :math:`\partial L / \partial h_t` that does not pass through later states.
    cache : PackedProjectedLSTMCache
        From the forward pass.
    dc_T : Tensor, shape (N, H), optional
        Upstream gradient of each sequence's last cell state; zero if not given.

    Returns
    -------
    dx : Tensor, of the shape of `x`
        Summed over the packed rows that share an input.
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
    x, rows, sizes, h0, c0, Wx, *_, y, h = cache
    if dc_T is None:
        dc_T = torch.zeros_like(c0)
    check_shapes({"h": (h, "S P"), "dh": (dh, "S P"), "c0": (c0, "N H"), "dc_T": (dc_T, "N H")})
    check_alike(("h", h), dh=dh, dc_T=dc_T)
    dz, dnew_h, dh0, dc0 = packed_projected_lstm_through_time(dh, dc_T, cache)
    dWp = y.T @ dnew_h  # (86)
    dWh = previous_states(h0, h, sizes).T @ dz
    dz = sum_shared(dz, x, rows)
    dWx = input_weights_gradient(dz, x)
    db = bias_gradient(dz)
    dx = input_gradient(dz, Wx)
    return dx, dh0, dWx, dWh, db, dWp, dc0


def packed_projected_lstm_through_time(
    dh: Tensor, dc_T: Tensor, cache: PackedProjectedLSTMCache
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Go back through time, as :func:`projected_lstm_through_time` does.

    Returns the gradient before the nonlinearities, shape (S, 4H), the whole gradient of the hidden
    states, shape (S, P), and those of the first states.
    """
    _, _, sizes, h0, c0, _, Wh, Wp, gates, c, tanh_c, y, _ = cache
    WhT, WpT = Wh.T.contiguous(), Wp.T.contiguous()
    grads, dc = gradient_slots(gates, previous_states(c0, c, sizes), tanh_c, y)
    dz = grads.flatten(1)[:, y.shape[1] :]
    whole = torch.cat([torch.zeros_like(h0), dh])
    dprev_h, *dnew_h = whole.split_with_sizes([len(h0), *sizes])
    dprev = (dprev_h, *dnew_h[:-1])  # of h_0, ..., h_{T-1}
    dnew_c = dc_T[:0]  # no sequence runs on after the last step
    for n, dc_t, grads_t, dz_t, dnew_t, dprev_t in zip(
        reversed(sizes),
        *(reversed(values.split_with_sizes(sizes)) for values in (dc, grads, dz)),
        reversed(dnew_h),
        reversed(dprev),
        strict=True,
    ):
        dy = dnew_t @ WpT  # (82)
        dnew_c = _into_cell(dc_t, grads_t, dy, dnew_c, dc_T[:n])
        dprev_t[:n].addmm_(dz_t, WhT)  # (85)
    return dz, whole[len(h0) :], dprev_h.clone(), dnew_c.clone()


def _out_of_cell(gates: Tensor, prev_c: Tensor, c: Tensor, tanh_c: Tensor, out: Tensor) -> None:
    """Advance the cell of an LSTM by a step; `gates`, (n, 4, H), begins as pre-activations."""
    f, i, c_tilde, o = gates.unbind(1)
    gates[:, :2].sigmoid_()  # f and i side by side: one call serves both
    c_tilde.tanh_()
    o.sigmoid_()
    torch.mul(f, prev_c, out=c).addcmul_(i, c_tilde)
    torch.tanh(c, out=tanh_c)
    torch.mul(o, tanh_c, out=out)


def _into_cell(dc: Tensor, grads: Tensor, dout: Tensor, dnew_c: Tensor, dc_T: Tensor) -> Tensor:
    """Take a step's gradients of the cell's output and of the cell state into the slots, in place.

    `dc` and `grads` are what :func:`gradient_slots` forms. `dnew_c` is the gradient of the cell
    states that run on, `dc_T` that of all that have this step, for the others. Returns the gradient
    of the cell state before.
    """
    runs_on = len(dnew_c)
    dc.mul_(dout)
    dc[:runs_on].add_(dnew_c)
    dc[runs_on:].add_(dc_T[runs_on:])  # sequences that end here
    grads[:, :4].mul_(dc.unsqueeze(1))  # all that c_t feeds back
    grads[:, 4].mul_(dout)
    return grads[:, 0]


def _input_share(x: Tensor, rows: Tensor | None, Wx: Tensor, b: Tensor) -> Tensor:
    """Return what the inputs add to the pre-activations of every packed row."""
    share = torch.addmm(b, x, Wx)
    return share if rows is None else share[rows]


def previous_states(first: Tensor, states: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Line up the state before each packed row: `first` (N, H), then those of `states` (S, H)."""
    runs_on = (
        state[:n] for state, n in zip(states.split_with_sizes(sizes), sizes[1:], strict=False)
    )
    return torch.cat([first, *runs_on])


def sum_shared(dz: Tensor, x: Tensor, rows: Tensor | None) -> Tensor:
    """Sum gradients before the nonlinearities, of packed rows, over those that share an input."""
    if rows is None:
        return dz
    # Rows that lie apart in memory would be added several times slower.
    return add_rows(dz.new_zeros(len(x), dz.shape[1]), rows, dz.contiguous())


def _check_packing(x: Tensor, h0: Tensor, sizes: Sequence[int], rows: Tensor | None) -> None:
    """Refuse sizes that pack no sequences, or not those at hand, and rows that `x` has not."""
    if not sizes or min(sizes) < 1 or any(after > before for before, after in pairwise(sizes)):
        raise ValueError(
            f"sizes must hold integers of at least 1 that never increase, got {list(sizes)}"
        )
    if sizes[0] != len(h0):
        raise ValueError(f"sizes must begin with N = {len(h0)}, got {sizes[0]}")
    if rows is None:
        if sum(sizes) != len(x):
            raise ValueError(f"sizes must have the sum S = {len(x)}, got {sum(sizes)}")
        return
    if rows.shape != (sum(sizes),):
        raise ValueError(
            f"rows must have shape (S) = ({sum(sizes)}), the sum of sizes, got {tuple(rows.shape)}"
        )
    check_device("rows", rows, ("x", x))
    check_indices("rows", rows, len(x), "rows of x")
