r"""The RNN and the LSTM over sequences of different lengths, without a row for padding.

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
from rnnreport.layers._lstm import GradientsWithCell, gradient_slots
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

    Returns
    -------
    h : Tensor, shape (S, H)
        Hidden state after every step, packed.
    cache : PackedRNNCache
        Values for :func:`packed_rnn_backward`.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, an axis is empty, or `sizes` or `rows` is not as
        above.
    """
    check_shapes(
        {"x": (x, "S D"), "h0": (h0, "N H"), "Wx": (Wx, "D H"), "Wh": (Wh, "H H"), "b": (b, "H")}
    )
    check_alike(("x", x), h0=h0, Wx=Wx, Wh=Wh, b=b)
    _check_packing(x, h0, sizes, rows)
    h = torch.addmm(b, x, Wx)
    if rows is not None:
        h = h[rows]
    prev_h = h0
    for h_t, n in zip(h.split_with_sizes(sizes), sizes, strict=True):
        h_t.addmm_(prev_h[:n], Wh).tanh_()
        prev_h = h_t
    return h, PackedRNNCache(x, rows, tuple(sizes), h0, Wx, Wh, h)


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
    x, rows, sizes, h0, Wx, Wh, h = cache
    check_shapes({"h": (h, "S H"), "dh": (dh, "S H")})
    check_alike(("h", h), dh=dh)
    WhT = Wh.T.contiguous()
    dz = h.square().neg_().add_(1)  # 1 - h_t * h_t, becomes the gradient before tanh
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
        dprev_t[:n].addmm_(dz_t, WhT)  # (6); (12) at the last turn
    dWh = _previous(h0, h, sizes).T @ dz  # (9)
    dx, dWx, db = _input_gradients(dz, x, rows, Wx)
    return dx, dprev_h.clone(), dWx, dWh, db


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
    z = torch.addmm(b, x, Wx)
    if rows is not None:
        z = z[rows]
    S, H = sum(sizes), h0.shape[1]
    gates = z.view(S, 4, H)
    h, c, tanh_c = (x.new_empty(S, H) for _ in range(3))
    prev_h, prev_c = h0, c0
    for n, z_t, gates_t, c_t, tanh_c_t, h_t in zip(
        sizes, *(values.split_with_sizes(sizes) for values in (z, gates, c, tanh_c, h)), strict=True
    ):
        z_t.addmm_(prev_h[:n], Wh)
        f, i, c_tilde, o = gates_t.unbind(1)
        gates_t[:, :2].sigmoid_()  # f and i side by side: one call serves both
        c_tilde.tanh_()
        o.sigmoid_()
        torch.mul(f, prev_c[:n], out=c_t).addcmul_(i, c_tilde)
        torch.tanh(c_t, out=tanh_c_t)
        torch.mul(o, tanh_c_t, out=h_t)
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
    x, rows, sizes, h0, c0, Wx, Wh, gates, c, tanh_c, h = cache
    if dc_T is None:
        dc_T = torch.zeros_like(h0)
    check_shapes({"h": (h, "S H"), "dh": (dh, "S H"), "h0": (h0, "N H"), "dc_T": (dc_T, "N H")})
    check_alike(("h", h), dh=dh, dc_T=dc_T)
    WhT = Wh.T.contiguous()
    grads, dc = gradient_slots(gates, _previous(c0, c, sizes), tanh_c, h)
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
        dc_t.mul_(dnew_t)
        dc_t[: len(dnew_c)].add_(dnew_c)  # sequences that run on
        dc_t[len(dnew_c) :].add_(dc_T[len(dnew_c) : n])  # sequences that end here
        grads_t[:, :4].mul_(dc_t.unsqueeze(1))  # all that c_t feeds back
        grads_t[:, 4].mul_(dnew_t)
        dprev_t[:n].addmm_(dz_t, WhT)  # (32); (49) at the last turn
        dnew_c = grads_t[:, 0]  # (33)
    dWh = _previous(h0, h, sizes).T @ dz  # (37), (39), (41), (43)
    dx, dWx, db = _input_gradients(dz, x, rows, Wx)
    return dx, dprev_h.clone(), dWx, dWh, db, dnew_c.clone()


def _previous(first: Tensor, states: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Line up the state before each packed row: `first` (N, H), then those of `states` (S, H)."""
    runs_on = (
        state[:n] for state, n in zip(states.split_with_sizes(sizes), sizes[1:], strict=False)
    )
    return torch.cat([first, *runs_on])


def _input_gradients(
    dz: Tensor, x: Tensor, rows: Tensor | None, Wx: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Take gradients before the nonlinearities to the inputs, their weights and the biases."""
    if rows is not None:
        # Rows that lie apart in memory would be added several times slower.
        dz = add_rows(dz.new_zeros(len(x), dz.shape[1]), rows, dz.contiguous())
    return dz @ Wx.T, x.T @ dz, dz.sum(0)


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
