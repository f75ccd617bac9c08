"""Recurrences as functions of tensors, in torch's layout, on :mod:`rnnreport.layers`.

Each takes its arguments in one order: input, states, parameters. It returns what the module
returns, and beside it what its derivative needs and what is no argument.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.layers._gru import candidate_last, gru_through_time
from rnnreport.layers._lstm import lstm_through_time
from rnnreport.layers._packed import (
    packed_gru_through_time,
    packed_lstm_through_time,
    packed_projected_lstm_through_time,
    packed_rnn_through_time,
    previous_states,
)
from rnnreport.layers._products import (
    bias_gradient,
    input_gradient,
    input_weights_gradient,
    state_weights_gradient,
)
from rnnreport.layers._projected import projected_lstm_through_time
from rnnreport.layers._rnn import rnn_through_time

__all__ = ["RECURRENCES", "Gradient", "Recurrence", "Sizes", "Tensors"]

Sizes = tuple[int, ...] | None
"""How many sequences have each step, of packed sequences; None where each has all."""

Tensors = tuple[Tensor, ...]

Gradient = Callable[[], Tensor]
"""Computes the gradient of an argument; called only where one is wanted."""

Upstream = Sequence[Tensor | None]
"""The gradients of the outputs; None where nothing depends on one."""

# torch.nn packs the gates i, f, g, o; the layers pack them f, i, c̃, o. The swap is its own
# inverse.
_GATE_ORDER = (1, 0, 2, 3)


class Recurrence(ABC):
    """A recurrence with its derivative."""

    outputs: int
    """How many tensors it returns beside those that are kept."""

    @abstractmethod
    def forward(self, arguments: Tensors, sizes: Sizes) -> tuple[Tensors, Tensors]:
        """Return outputs, and what is kept for :meth:`gradients`."""

    @abstractmethod
    def gradients(
        self, upstream: Upstream, arguments: Tensors, kept: Tensors, sizes: Sizes
    ) -> Sequence[Gradient]:
        """Go back through time; what is left for each argument is at most a product."""

    @abstractmethod
    def shapes(self, arguments: Tensors) -> list[tuple[int, ...]]:
        """Return the shapes of outputs and of what is kept."""


class _RNN(Recurrence):
    """Arguments: x, h0, weight_ih, weight_hh and, if there are any, bias_ih, bias_hh."""

    outputs = 2

    def __init__(self, nonlinearity: str) -> None:
        self._nonlinearity = nonlinearity

    def forward(self, arguments: Tensors, sizes: Sizes) -> tuple[Tensors, Tensors]:
        x, h0, *parameters = arguments
        Wx, Wh, b = _weights(*parameters)
        if sizes is None:
            h, _ = layers.rnn_forward(x, h0, Wx, Wh, b, nonlinearity=self._nonlinearity)
        else:
            h, _ = layers.packed_rnn_forward(
                x, h0, Wx, Wh, b, sizes, nonlinearity=self._nonlinearity
            )
        # The caller may write over the output, and the derivative needs the states.
        return (h.clone(), _last(h, sizes)), (h,)

    def gradients(
        self, upstream: Upstream, arguments: Tensors, kept: Tensors, sizes: Sizes
    ) -> Sequence[Gradient]:
        x, h0, *parameters = arguments
        (h,) = kept
        Wx, Wh, _ = _weights(*parameters)
        dh = _of_states(h, upstream, sizes)
        if sizes is None:
            cache = layers.RNNCache(x, h0, Wx, Wh, h, self._nonlinearity)
            dz, dh0 = rnn_through_time(dh, cache)
        else:
            packed = layers.PackedRNNCache(x, None, sizes, h0, Wx, Wh, h, self._nonlinearity)
            dz, dh0 = packed_rnn_through_time(dh, packed)
        db = functools.cache(lambda: bias_gradient(dz))
        return (
            lambda: input_gradient(dz, Wx),
            lambda: dh0,
            lambda: input_weights_gradient(dz, x).T,
            lambda: _of_state_weights(dz, h0, h, sizes).T,
            db,
            lambda: db().clone(),
        )

    def shapes(self, arguments: Tensors) -> list[tuple[int, ...]]:
        x, h0, *_ = arguments
        h = (*x.shape[:-1], h0.shape[1])
        return [h, tuple(h0.shape), h]


class _GRU(Recurrence):
    """Arguments: x, h0, weight_ih, weight_hh and, if there are any, bias_ih, bias_hh."""

    outputs = 2

    def forward(self, arguments: Tensors, sizes: Sizes) -> tuple[Tensors, Tensors]:
        x, h0, *parameters = arguments
        Wx, Wh, b, bh = _gru_weights(*parameters)
        if sizes is None:
            h, cache = layers.gru_forward(x, h0, Wx, Wh, b, bh)
            return (h.clone(), _last(h, sizes)), (cache.gates, h)
        h, packed = layers.packed_gru_forward(x, h0, Wx, Wh, b, bh, sizes)
        return (h.clone(), _last(h, sizes)), (packed.gates, h)

    def gradients(
        self, upstream: Upstream, arguments: Tensors, kept: Tensors, sizes: Sizes
    ) -> Sequence[Gradient]:
        x, h0, *parameters = arguments
        gates, h = kept
        Wx, Wh, _, _ = _gru_weights(*parameters)
        H, dh = h.shape[-1], _of_states(h, upstream, sizes)
        if sizes is None:
            dz, dzh, dh0 = gru_through_time(dh, layers.GRUCache(x, h0, Wx, Wh, gates, h))
        else:
            packed = layers.PackedGRUCache(x, None, sizes, h0, Wx, Wh, gates, h)
            dz, dzh, dh0 = packed_gru_through_time(dh, packed)
        return (
            lambda: input_gradient(dz, Wx),
            lambda: dh0,
            lambda: input_weights_gradient(dz, x).T,
            lambda: candidate_last(_of_state_weights(dzh, h0, h, sizes)).T,
            lambda: bias_gradient(dz),
            lambda: bias_gradient(dzh).roll(-H),
        )

    def shapes(self, arguments: Tensors) -> list[tuple[int, ...]]:
        x, h0, *_ = arguments
        *axes, _ = x.shape
        H = h0.shape[1]
        h = (*axes, H)
        return [h, tuple(h0.shape), (*axes, 4, H), h]


class _LSTM(Recurrence):
    """Arguments: x, h0, c0, weight_ih, weight_hh and, if there are any, bias_ih, bias_hh."""

    outputs = 3

    def forward(self, arguments: Tensors, sizes: Sizes) -> tuple[Tensors, Tensors]:
        x, h0, c0, *parameters = arguments
        Wx, Wh, b = _lstm_weights(*parameters)
        cache: layers.LSTMCache | layers.PackedLSTMCache
        if sizes is None:
            h, cache = layers.lstm_forward(x, h0, Wx, Wh, b, c0)
        else:
            h, cache = layers.packed_lstm_forward(x, h0, Wx, Wh, b, c0, sizes)
        states = _last(h, sizes), _last(cache.c, sizes)
        return (h, *states), (cache.gates, cache.c, cache.tanh_c)

    def gradients(
        self, upstream: Upstream, arguments: Tensors, kept: Tensors, sizes: Sizes
    ) -> Sequence[Gradient]:
        x, h0, c0, *parameters = arguments
        gates, c, tanh_c = kept
        Wx, Wh, _ = _lstm_weights(*parameters)
        h = gates[..., 3, :] * tanh_c  # as it was, even if the caller has written over it
        dh, dc_T = _of_states(h, upstream[:2], sizes), _or_zeros(upstream[2], c0)
        if sizes is None:
            cache = layers.LSTMCache(x, h0, Wx, Wh, gates, c, tanh_c, h)
            dz, dh0, dc0 = lstm_through_time(dh, dc_T, cache)
        else:
            packed = layers.PackedLSTMCache(x, None, sizes, h0, c0, Wx, Wh, gates, c, tanh_c, h)
            dz, dh0, dc0 = packed_lstm_through_time(dh, dc_T, packed)
        db = functools.cache(lambda: _swap_gates(bias_gradient(dz)))
        return (
            lambda: input_gradient(dz, Wx),
            lambda: dh0,
            lambda: dc0,
            lambda: _swap_gates(input_weights_gradient(dz, x).T),
            lambda: _swap_gates(_of_state_weights(dz, h0, h, sizes).T),
            db,
            lambda: db().clone(),
        )

    def shapes(self, arguments: Tensors) -> list[tuple[int, ...]]:
        x, h0, c0, *_ = arguments
        *axes, _ = x.shape
        H = c0.shape[1]
        h, c = (*axes, H), (*axes, H) if len(axes) == 1 else (axes[0] + 1, axes[1], H)
        return [h, tuple(h0.shape), tuple(c0.shape), (*axes, 4, H), c, h]


class _ProjectedLSTM(Recurrence):
    """Arguments: x, h0, c0, weight_ih, weight_hh, maybe bias_ih, bias_hh, and weight_hr."""

    outputs = 3

    def forward(self, arguments: Tensors, sizes: Sizes) -> tuple[Tensors, Tensors]:
        x, h0, c0, *parameters, weight_hr = arguments
        Wx, Wh, b = _lstm_weights(*parameters)
        cache: layers.ProjectedLSTMCache | layers.PackedProjectedLSTMCache
        if sizes is None:
            h, cache = layers.projected_lstm_forward(x, h0, Wx, Wh, b, weight_hr.T, c0)
        else:
            h, cache = layers.packed_projected_lstm_forward(
                x, h0, Wx, Wh, b, weight_hr.T, c0, sizes
            )
        states = _last(h, sizes), _last(cache.c, sizes)
        return (h.clone(), *states), (cache.gates, cache.c, cache.tanh_c, cache.y, h)

    def gradients(
        self, upstream: Upstream, arguments: Tensors, kept: Tensors, sizes: Sizes
    ) -> Sequence[Gradient]:
        x, h0, c0, *parameters, weight_hr = arguments
        Wx, Wh, _ = _lstm_weights(*parameters)
        Wp, h = weight_hr.T, kept[-1]
        dh, dc_T = _of_states(h, upstream[:2], sizes), _or_zeros(upstream[2], c0)
        if sizes is None:
            cache = layers.ProjectedLSTMCache(x, h0, Wx, Wh, Wp, *kept)
            dz, dnew, dh0, dc0 = projected_lstm_through_time(dh, dc_T, cache)
        else:
            packed = layers.PackedProjectedLSTMCache(x, None, sizes, h0, c0, Wx, Wh, Wp, *kept)
            dz, dnew, dh0, dc0 = packed_projected_lstm_through_time(dh, dc_T, packed)
        db = functools.cache(lambda: _swap_gates(bias_gradient(dz)))
        biases = (db, lambda: db().clone()) if len(parameters) == 4 else ()
        return (
            lambda: input_gradient(dz, Wx),
            lambda: dh0,
            lambda: dc0,
            lambda: _swap_gates(input_weights_gradient(dz, x).T),
            lambda: _swap_gates(_of_state_weights(dz, h0, h, sizes).T),
            *biases,
            lambda: input_weights_gradient(dnew, kept[3]).T,
        )

    def shapes(self, arguments: Tensors) -> list[tuple[int, ...]]:
        x, h0, c0, *_ = arguments
        *axes, _ = x.shape
        H, h = c0.shape[1], (*axes, h0.shape[1])
        y, c = (*axes, H), (*axes, H) if len(axes) == 1 else (axes[0] + 1, axes[1], H)
        return [h, tuple(h0.shape), tuple(c0.shape), (*axes, 4, H), c, y, y, h]


class _AttentionLSTM(Recurrence):
    """Arguments: x, A, h0, c0, Wx, Wh, Wa, b."""

    outputs = 3

    def forward(self, arguments: Tensors, sizes: Sizes) -> tuple[Tensors, Tensors]:
        assert sizes is None  # noqa: S101
        h, cache = layers.attention_lstm_forward(*arguments)
        kept = cache.gates, cache.c, cache.tanh_c, cache.weights, cache.entering
        return (h, _last(h, sizes), _last(cache.c, sizes)), kept

    def gradients(
        self, upstream: Upstream, arguments: Tensors, kept: Tensors, sizes: Sizes
    ) -> Sequence[Gradient]:
        x, A, _, c0, Wx, Wh, Wa, _ = arguments
        gates, c, tanh_c, weights, entering = kept
        h = gates[..., 3, :] * tanh_c
        dh, dc_T = _of_states(h, upstream[:2], sizes), _or_zeros(upstream[2], c0)
        cache = layers.AttentionLSTMCache(x, A, Wx, Wh, Wa, gates, c, tanh_c, weights, entering, h)
        *others, dWa, db = layers.attention_lstm_backward(dh, cache, dc_T=dc_T)
        return _computed(*others, dWa.clone(), db)  # dWa shares its memory with dWh

    def shapes(self, arguments: Tensors) -> list[tuple[int, ...]]:
        x, A, h0, c0, *_ = arguments
        (T, N, _), (_, P, H) = x.shape, A.shape
        states, h = [tuple(h0.shape), tuple(c0.shape)], (T, N, H)
        return [h, *states, (T, N, 4, H), (T + 1, N, H), h, (T, N, P), (T, N, 2 * H)]


class _RNNStep(Recurrence):
    """Arguments: x, h, weight_ih, weight_hh and, if there are any, bias_ih, bias_hh."""

    outputs = 1

    def __init__(self, nonlinearity: str) -> None:
        self._nonlinearity = nonlinearity

    def forward(self, arguments: Tensors, sizes: Sizes) -> tuple[Tensors, Tensors]:  # noqa: ARG002
        x, h, *parameters = arguments
        next_h, _ = layers.rnn_step_forward(
            x, h, *_weights(*parameters), nonlinearity=self._nonlinearity
        )
        return (next_h.clone(),), (next_h,)

    def gradients(
        self,
        upstream: Upstream,
        arguments: Tensors,
        kept: Tensors,
        sizes: Sizes,  # noqa: ARG002
    ) -> Sequence[Gradient]:
        x, h, *parameters = arguments
        Wx, Wh, _ = _weights(*parameters)
        (next_h,) = kept
        cache = layers.RNNStepCache(x, h, Wx, Wh, next_h, self._nonlinearity)
        dx, dh, dWx, dWh, db = layers.rnn_step_backward(_or_zeros(upstream[0], next_h), cache)
        return _computed(dx, dh, dWx.T, dWh.T, db, db.clone())

    def shapes(self, arguments: Tensors) -> list[tuple[int, ...]]:
        return [tuple(arguments[1].shape)] * 2


class _GRUStep(Recurrence):
    """Arguments: x, h, weight_ih, weight_hh and, if there are any, bias_ih, bias_hh."""

    outputs = 1

    def forward(self, arguments: Tensors, sizes: Sizes) -> tuple[Tensors, Tensors]:  # noqa: ARG002
        x, h, *parameters = arguments
        next_h, cache = layers.gru_step_forward(x, h, *_gru_weights(*parameters))
        return (next_h,), (cache.q, cache.r, cache.z, cache.n)

    def gradients(
        self,
        upstream: Upstream,
        arguments: Tensors,
        kept: Tensors,
        sizes: Sizes,  # noqa: ARG002
    ) -> Sequence[Gradient]:
        x, h, *parameters = arguments
        Wx, Wh, _, _ = _gru_weights(*parameters)
        cache = layers.GRUStepCache(x, h, Wx, Wh, *kept)
        dx, dh, dWx, dWh, db, dbh = layers.gru_step_backward(_or_zeros(upstream[0], h), cache)
        return _computed(dx, dh, dWx.T, dWh.T, db, torch.cat([db[: 2 * h.shape[1]], dbh]))

    def shapes(self, arguments: Tensors) -> list[tuple[int, ...]]:
        return [tuple(arguments[1].shape)] * 5


class _LSTMStep(Recurrence):
    """Arguments: x, h, c, weight_ih, weight_hh and, if there are any, bias_ih, bias_hh."""

    outputs = 2

    def forward(self, arguments: Tensors, sizes: Sizes) -> tuple[Tensors, Tensors]:  # noqa: ARG002
        x, h, c, *parameters = arguments
        next_h, next_c, cache = layers.lstm_step_forward(x, h, c, *_lstm_weights(*parameters))
        return (next_h, next_c), (cache.f, cache.i, cache.c_tilde, cache.o, cache.tanh_c)

    def gradients(
        self,
        upstream: Upstream,
        arguments: Tensors,
        kept: Tensors,
        sizes: Sizes,  # noqa: ARG002
    ) -> Sequence[Gradient]:
        x, h, c, *parameters = arguments
        Wx, Wh, _ = _lstm_weights(*parameters)
        dnext_h, dnext_c = (_or_zeros(each, c) for each in upstream)
        cache = layers.LSTMStepCache(x, h, c, Wx, Wh, *kept)
        dx, dh, dc, dWx, dWh, db = layers.lstm_step_backward(dnext_h, dnext_c, cache)
        return _computed(dx, dh, dc, *map(_swap_gates, (dWx.T, dWh.T, db, db)))

    def shapes(self, arguments: Tensors) -> list[tuple[int, ...]]:
        return [tuple(arguments[1].shape)] * 7


def _computed(*gradients: Tensor) -> Sequence[Gradient]:
    """Hand on gradients that are there, as functions."""
    return [functools.partial(lambda gradient: gradient, each) for each in gradients]


RECURRENCES: Mapping[str, Recurrence] = {
    "RNN": _RNN("tanh"),
    "RNN with relu": _RNN("relu"),
    "GRU": _GRU(),
    "LSTM": _LSTM(),
    "LSTM with proj_size": _ProjectedLSTM(),
    "AttentionLSTM": _AttentionLSTM(),
    "RNNCell": _RNNStep("tanh"),
    "RNNCell with relu": _RNNStep("relu"),
    "GRUCell": _GRUStep(),
    "LSTMCell": _LSTMStep(),
}
"""Each recurrence; the first word of its name is the module that runs it."""


# Parameters.


def _weights(
    weight_ih: Tensor, weight_hh: Tensor, *biases: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Bring parameters of torch to the layers' shapes: (D, K), (H, K) and (K,)."""
    b = biases[0] + biases[1] if biases else weight_ih.new_zeros(len(weight_ih))
    return weight_ih.T, weight_hh.T, b


def _lstm_weights(*parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Bring those of an LSTM to the layers' shapes and order of gates."""
    return _weights(*map(_swap_gates, parameters))


def _gru_weights(
    weight_ih: Tensor, weight_hh: Tensor, *biases: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bring those of a GRU to the layers' shapes; the bias inside the reset gate stands alone."""
    H = weight_hh.shape[1]
    b_ih, b_hh = biases if biases else (weight_ih.new_zeros(3 * H),) * 2
    b = torch.cat([b_ih[: 2 * H] + b_hh[: 2 * H], b_ih[2 * H :]])
    return weight_ih.T, weight_hh.T, b, b_hh[2 * H :]


def _swap_gates(packed: Tensor) -> Tensor:
    """Bring gates from torch's order to the layers' and back, along the first axis."""
    gates = packed.chunk(4)
    return torch.cat([gates[k] for k in _GATE_ORDER])


# States.


def _last(states: Tensor, sizes: Sizes) -> Tensor:
    """Return each sequence's last state, (N, H), in memory of its own."""
    return states[-1].clone() if sizes is None else states[_last_rows(sizes, states.device)]


def _last_rows(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Return where each sequence's last step stands among packed rows."""
    rows, end = [0] * sizes[0], sum(sizes)
    for size, after in zip(reversed(sizes), (0, *reversed(sizes[1:])), strict=True):
        end -= size
        rows[after:size] = range(end + after, end + size)
    return torch.tensor(rows, device=device)


def _of_states(h: Tensor, upstream: Upstream, sizes: Sizes) -> Tensor:
    """Return the gradient of all states: of the output, and of the last states."""
    doutput, dlast = upstream
    dh = _or_zeros(doutput, h)
    if dlast is None:
        return dh
    if sizes is None:
        return torch.cat([dh[:-1], dh[-1:] + dlast])
    return dh.index_add(0, _last_rows(sizes, h.device), dlast)


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


def _of_state_weights(dz: Tensor, h0: Tensor, h: Tensor, sizes: Sizes) -> Tensor:
    if sizes is None:
        return state_weights_gradient(dz, h0, h)
    return previous_states(h0, h, sizes).T @ dz
