"""Recurrent layers as modules of torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnreport.nn._arguments import (
    carried_dtype,
    check_features,
    check_real,
    check_state,
    pair,
    working_dtypes,
)
from rnnreport.nn._autograd import run
from rnnreport.nn._functions import torch_dropout
from rnnreport.nn._graphs import Unscriptable, leaf


class _Sequence:
    """A sequence as the layers take it: time first, or packed; and how it goes back."""

    def __init__(self, module: torch.nn.RNNBase, input: Tensor | PackedSequence) -> None:
        self.batch_first, self.batched = module.batch_first, True
        self.sizes: Tensor | None = None
        self.sorted: Tensor | None = None
        self.unsorted: Tensor | None = None
        if isinstance(input, PackedSequence):
            self.x, self.sizes, self.sorted, self.unsorted = input
            if self.x.dim() != 2:
                raise RuntimeError(
                    f"input.data must have 2 axes, (steps, input_size), got {tuple(self.x.shape)}"
                )
            _check_sizes(self.sizes, len(self.x))
            self.N = int(self.sizes[0])
        elif isinstance(input, Tensor):
            if input.dim() not in (2, 3):
                raise ValueError(
                    f"{type(module).__name__}: input must be 2D, (T, input_size), or 3D with a "
                    f"batch, got shape {tuple(input.shape)}"
                )
            self.batched = input.dim() == 3
            x = input if self.batched else input.unsqueeze(1)
            self.x = x.transpose(0, 1) if self.batched and self.batch_first else x
            self.N = self.x.shape[1]
            if not self.x.shape[0]:
                raise RuntimeError(
                    f"input must have at least one step, got shape {tuple(input.shape)}"
                )
        else:
            raise TypeError(
                f"input must be a tensor or a PackedSequence, got {type(input).__name__}"
            )

    def output(self, h: Tensor) -> Tensor | PackedSequence:
        """Bring the states of all steps to the shape of the input."""
        if self.sizes is not None:
            return PackedSequence(h, self.sizes, self.sorted, self.unsorted)
        if not self.batched:
            return h.squeeze(1)
        return h.transpose(0, 1) if self.batch_first else h

    def state_in(self, state: Tensor) -> Tensor:
        """Bring a state of the caller to (layers, N, H), in the order of the sequences."""
        if not self.batched:
            return state.unsqueeze(1)
        return state if self.sorted is None else state.index_select(1, self.sorted)

    def state_out(self, state: Tensor) -> Tensor:
        """Bring (layers, N, H) to the caller's shape and order."""
        if not self.batched:
            return state.squeeze(1)
        return state if self.unsorted is None else state.index_select(1, self.unsorted)

    def reversed(self, values: Tensor) -> Tensor:
        """Turn each sequence around."""
        if self.sizes is None:
            return values.flip(0)
        return values.index_select(0, self._turned.to(values.device))

    @cached_property
    def _turned(self) -> Tensor:
        """Where each packed row of the sequences turned around comes from."""
        assert self.sizes is not None  # noqa: S101
        sizes = self.sizes
        starts = sizes.cumsum(0) - sizes
        step = torch.arange(len(sizes)).repeat_interleave(sizes)
        sequence = torch.arange(len(step)) - starts[step]
        lengths = (sizes[:, None] > torch.arange(self.N)).sum(0)
        return starts[lengths[sequence] - 1 - step] + sequence


def _check_sizes(sizes: Tensor, rows: int) -> None:
    """Refuse what no packing gives: a step with more sequences than the one before it, or none."""
    found = sizes.tolist()
    if not found or found != sorted(found, reverse=True) or found[-1] < 1:
        raise RuntimeError(
            f"input.batch_sizes must hold numbers of at least 1 that never increase, got {found}"
        )
    if sum(found) != rows:
        raise RuntimeError(
            f"input.batch_sizes must have the sum {rows}, the rows of input.data, got {sum(found)}"
        )


class _Module(torch.nn.RNNBase, Unscriptable):
    """What the modules share: layers one upon the other, in one direction or two."""

    def _states(self) -> tuple[tuple[str, int], ...]:
        """Return the name and the size of each state."""
        return (("hx", self.hidden_size),)

    def _recurrence(self) -> str:
        return {"RNN_TANH": "RNN", "RNN_RELU": "RNN with relu"}.get(self.mode, self.mode)

    def _run(
        self, input: Tensor | PackedSequence, hx: Sequence[Tensor | None]
    ) -> tuple[Tensor | PackedSequence, list[Tensor]]:
        sequence = _Sequence(self, input)
        given = {
            name: state
            for (name, _), state in zip(self._states(), hx, strict=True)
            if state is not None
        }
        # Each is read once: a parametrization computes it, and may change at every reading.
        weights = [[getattr(self, name) for name in names] for names in self._all_weights]
        x = sequence.x
        self._check(x, given, sequence, weights[0][0])
        compute, lowered = working_dtypes(x)
        results = self._results(lowered, x, hx, packed=sequence.sizes is not None)
        directions = 2 if self.bidirectional else 1
        states = [
            sequence.state_in(given[name]).to(compute)
            if name in given
            else x.new_zeros(1, sequence.N, size, dtype=compute).expand(
                self.num_layers * directions, -1, -1
            )
            for name, size in self._states()
        ]
        x, last = x.to(compute), []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                k = layer * directions + direction
                forward = sequence.reversed(x) if direction else x
                parameters = [each.to(compute) for each in weights[k]]
                arguments = [forward, *(state[k] for state in states), *parameters]
                h, *final = run(self._recurrence(), arguments, sequence.sizes)
                outputs.append(sequence.reversed(h) if direction else h)
                last.append(final)
            x = outputs[0] if directions == 1 else torch.cat(outputs, -1)
            if self.training and self.dropout and layer < self.num_layers - 1:
                x = torch_dropout(x, self.dropout)
        finals = [
            sequence.state_out(torch.stack(each).to(dtype))
            for each, dtype in zip(zip(*last, strict=True), results, strict=True)
        ]
        return sequence.output(x.to(results[0])), finals

    def _results(
        self,
        lowered: torch.dtype,
        x: Tensor,
        hx: Sequence[Tensor | None],
        *,
        packed: bool,  # noqa: ARG002
    ) -> list[torch.dtype]:
        """Return the dtype of each state after the last step; the output has that of the first."""
        if self.mode == "GRU":
            return [carried_dtype(lowered, x, hx[0])]
        return [lowered] * len(hx)

    def _check(
        self, x: Tensor, given: dict[str, Tensor], sequence: _Sequence, weight: Tensor
    ) -> None:
        """Refuse what does not fit, in the caller's words."""
        check_real(type(self).__name__, x, weight)
        check_features(x, self.input_size)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        for name, size in self._states():
            if name in given:
                batch = (sequence.N,) if sequence.batched else ()
                check_state(name, given[name], (layers, *batch, size), x)


class RNN(torch.nn.RNN, _Module):
    r"""A vanilla RNN, on :func:`rnnreport.layers.rnn_forward`.

    Called as :class:`torch.nn.RNN` is, with all its options and the same outputs, parameters,
    initial values and ``state_dict``. The gradient is the hand-derived one, of equations (6)-(12),
    and (80), (81) for ``nonlinearity="relu"``.

    Notes
    -----
    float16 and bfloat16 are computed in float32, under autocast too, and the result has the dtype
    that torch's has. ``torch.func.grad``, ``jacrev`` and ``vmap`` work, one element of the batch
    after the other. So do ``torch.compile``, ``torch.export`` and ``torch.jit.trace``: the layer is
    a single operator there. The gradient cannot be differentiated again, there is no forward-mode
    derivative, no batch of gradients (``is_grads_batched``) and no ``torch.jit.script``, and
    complex numbers are refused: each says so.
    """

    @leaf
    def forward(  # type: ignore[override]
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run the layers.

        Parameters
        ----------
        input : Tensor or PackedSequence
            The sequence, of shape (T, N, D), (N, T, D) if `batch_first`, or (T, D) without a batch.
        hx : Tensor, shape (layers, N, H) or (layers, H), optional
            Hidden states before the first step, of all layers and directions; zero if not given.

        Returns
        -------
        output : Tensor or PackedSequence
            Hidden states of the last layer after every step, in the shape of the input.
        h_n : Tensor, shape (layers, N, H) or (layers, H)
            Hidden states after the last step, in memory of their own.

        Raises
        ------
        ValueError
            If `input` has not 2 or 3 axes, or another dtype than the parameters.
        RuntimeError
            If another shape, dtype or device does not fit.
        TypeError
            If an argument is no tensor.
        """
        output, (h_n,) = self._run(input, [hx])
        return output, h_n


class GRU(torch.nn.GRU, _Module):
    r"""A GRU, on :func:`rnnreport.layers.gru_forward`.

    Called as :class:`torch.nn.GRU` is, with all its options and the same outputs, parameters,
    initial values and ``state_dict``. The gradient is the hand-derived one, of equations (74)-(78).

    Notes
    -----
    Those of :class:`RNN` hold here too.
    """

    @leaf
    def forward(  # type: ignore[override]
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run the layers, as :meth:`RNN.forward` does."""
        output, (h_n,) = self._run(input, [hx])
        return output, h_n


class LSTM(torch.nn.LSTM, _Module):
    r"""An LSTM, on :func:`rnnreport.layers.lstm_forward`.

    Called as :class:`torch.nn.LSTM` is, with all its options and the same outputs, parameters,
    initial values and ``state_dict``: parameters keep torch's order of gates and are mapped on
    every call. The gradient is the hand-derived one, of equations (32)-(49), and (82)-(86) for the
    projection that `proj_size` asks for.

    Notes
    -----
    Those of :class:`RNN` hold here too.
    """

    def _states(self) -> tuple[tuple[str, int], ...]:
        return (("hx[0]", self.proj_size or self.hidden_size), ("hx[1]", self.hidden_size))

    def _recurrence(self) -> str:
        return "LSTM with proj_size" if self.proj_size else "LSTM"

    def _results(
        self, lowered: torch.dtype, x: Tensor, hx: Sequence[Tensor | None], *, packed: bool
    ) -> list[torch.dtype]:
        if not packed and not self.proj_size:  # there torch runs oneDNN, which lowers everything
            return [lowered, lowered]
        carried = carried_dtype(lowered, x, hx[1])
        return [lowered if self.proj_size else carried, carried]

    @leaf
    def forward(  # type: ignore[override]
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """Run the layers.

        Parameters
        ----------
        input : Tensor or PackedSequence
            The sequence, of shape (T, N, D), (N, T, D) if `batch_first`, or (T, D) without a batch.
        hx : tuple of two Tensors, shape (layers, N, ·) or (layers, ·), optional
            Hidden and cell states before the first step, of all layers and directions; zero if not
            given. A hidden state has `proj_size` elements where there is a projection.

        Returns
        -------
        output : Tensor or PackedSequence
            Hidden states of the last layer after every step, in the shape of the input.
        (h_n, c_n) : tuple of two Tensors, shape (layers, N, ·) or (layers, ·)
            Hidden and cell states after the last step, in memory of their own.

        Raises
        ------
        Exception
            What :meth:`RNN.forward` raises.
        """
        output, (h_n, c_n) = self._run(input, pair(hx))
        return output, (h_n, c_n)
