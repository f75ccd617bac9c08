"""Single steps as modules of torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rnnreport.nn._arguments import (
    carried_dtype,
    check_features,
    check_real,
    check_state,
    pair,
    working_dtypes,
)
from rnnreport.nn._autograd import run
from rnnreport.nn._graphs import Unscriptable, leaf


class _Cell(torch.nn.RNNCellBase, Unscriptable):
    """What the cells share."""

    def _step(self, recurrence: str, input: Tensor, hx: list[tuple[str, Any]]) -> list[Tensor]:
        if not isinstance(input, Tensor):
            raise TypeError(f"input must be a tensor, got {type(input).__name__}")
        if input.dim() not in (1, 2):
            raise ValueError(
                f"{type(self).__name__}: input must be 1D, (input_size,), or 2D with a batch, got "
                f"shape {tuple(input.shape)}"
            )
        # Each is read once: a parametrization computes it, and may change at every reading.
        weights = [self.weight_ih, self.weight_hh]
        biases = [self.bias_ih, self.bias_hh] if self.bias else []
        check_real(type(self).__name__, input, weights[0], error=RuntimeError)
        check_features(input, self.input_size)
        batched = input.dim() == 2
        x = input if batched else input[None]
        expected = (*input.shape[:-1], self.hidden_size)
        compute, results = working_dtypes(x)
        states = []
        for name, state in hx:
            if state is None:
                states.append(x.new_zeros(x.shape[0], self.hidden_size, dtype=compute))
            else:
                if isinstance(state, Tensor) and state.dim() not in (1, 2):
                    raise ValueError(
                        f"{type(self).__name__}: {name} must have shape {expected}, got "
                        f"{tuple(state.shape)}"
                    )
                check_state(name, state, expected, input)
                states.append((state if batched else state[None]).to(compute))
        if recurrence in ("GRUCell", "LSTMCell"):
            results = carried_dtype(results, x, hx[-1][1])
        if not self.input_size:  # nothing comes in, and the layers want one feature: a zero
            x, weights[0] = (torch.nn.functional.pad(each, (0, 1)) for each in (x, weights[0]))
        arguments = [x, *states, *weights, *biases]
        found = run(recurrence, [each.to(compute) for each in arguments])
        return [(each if batched else each[0]).to(results) for each in found]


class RNNCell(torch.nn.RNNCell, _Cell):
    r"""One step of a vanilla RNN, on :func:`rnnreport.layers.rnn_step_forward`.

    Called as :class:`torch.nn.RNNCell` is, with the same parameters. The gradient is the
    hand-derived one, of equations (1)-(5), and (80) for ``nonlinearity="relu"``. The notes of
    :class:`RNN` hold here too.
    """

    @leaf
    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Advance by one step.

        Parameters
        ----------
        input : Tensor, shape (N, D) or (D,)
            Input of this step.
        hx : Tensor, shape (N, H) or (H,), optional
            Hidden state before the step; zero if not given.

        Returns
        -------
        Tensor, shape (N, H) or (H,)
            Hidden state after the step.

        Raises
        ------
        ValueError
            If `input` or `hx` has not 1 or 2 axes.
        RuntimeError
            If another shape, a dtype or device does not fit, or the nonlinearity is unknown.
        TypeError
            If an argument is no tensor.
        """
        name = {"tanh": "RNNCell", "relu": "RNNCell with relu"}.get(self.nonlinearity)
        if name is None:
            raise RuntimeError(f"nonlinearity must be 'tanh' or 'relu', got {self.nonlinearity!r}")
        (h,) = self._step(name, input, [("hx", hx)])
        return h


class GRUCell(torch.nn.GRUCell, _Cell):
    r"""One step of a GRU, on :func:`rnnreport.layers.gru_step_forward`.

    Called as :class:`torch.nn.GRUCell` is, with the same parameters. The gradient is the
    hand-derived one, of equations (65)-(73). The notes of :class:`RNN` hold here too.
    """

    @leaf
    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Advance by one step, as :meth:`RNNCell.forward` does."""
        (h,) = self._step("GRUCell", input, [("hx", hx)])
        return h


class LSTMCell(torch.nn.LSTMCell, _Cell):
    r"""One step of an LSTM, on :func:`rnnreport.layers.lstm_step_forward`.

    Called as :class:`torch.nn.LSTMCell` is, with the same parameters. The gradient is the
    hand-derived one, of equations (13)-(31). The notes of :class:`RNN` hold here too.
    """

    @leaf
    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Advance by one step.

        Parameters
        ----------
        input : Tensor, shape (N, D) or (D,)
            Input of this step.
        hx : tuple of two Tensors, shape (N, H) or (H,), optional
            Hidden and cell state before the step; zero if not given.

        Returns
        -------
        tuple of two Tensors, shape (N, H) or (H,)
            Hidden and cell state after the step.

        Raises
        ------
        Exception
            What :meth:`RNNCell.forward` raises.
        """
        h_0, c_0 = pair(hx)
        h, c = self._step("LSTMCell", input, [("hx[0]", h_0), ("hx[1]", c_0)])
        return h, c
