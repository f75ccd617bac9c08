"""Recurrent layers as modules of torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence

from rnnreport._checks import check_at_least
from rnnreport.layers import (
    AttentionLSTMCache,
    LSTMCache,
    RNNCache,
    attention_lstm_backward,
    attention_lstm_forward,
    lstm_backward,
    lstm_forward,
    rnn_backward,
    rnn_forward,
)
from rnnreport.nn._functions import Function

# torch.nn packs the gates i, f, g, o; the layers pack them f, i, c̃, o. The swap is its own
# inverse.
_GATE_ORDER = (1, 0, 2, 3)


class _RNNFunction(Function[Tensor]):
    @staticmethod
    def forward(ctx: Any, x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
        h, cache = rnn_forward(x, h0, Wx, Wh, b)
        ctx.save_for_backward(*cache)  # saved here, a later change in place is noticed
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh: Tensor) -> tuple[Tensor, ...]:
        return rnn_backward(dh, RNNCache(*ctx.saved_tensors))


class _LSTMFunction(Function[tuple[Tensor, Tensor]]):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor, c0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor
    ) -> tuple[Tensor, Tensor]:
        h, cache = lstm_forward(x, h0, Wx, Wh, b, c0)
        ctx.save_for_backward(*cache)
        return h, cache.c[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh: Tensor, dc_T: Tensor) -> tuple[Tensor, ...]:
        cache = LSTMCache(*ctx.saved_tensors)
        dx, dh0, dWx, dWh, db, dc0 = lstm_backward(dh, cache, dc_T=dc_T, return_dc0=True)
        return dx, dh0, dc0, dWx, dWh, db


class _AttentionLSTMFunction(Function[tuple[Tensor, Tensor]]):
    @staticmethod
    def forward(ctx: Any, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        h, cache = attention_lstm_forward(*arguments)
        ctx.save_for_backward(*cache)
        return h, cache.c[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh: Tensor, dc_T: Tensor) -> tuple[Tensor, ...]:
        return attention_lstm_backward(dh, AttentionLSTMCache(*ctx.saved_tensors), dc_T=dc_T)


class RNN(torch.nn.RNN):
    r"""One layer of a vanilla RNN in one direction, on :func:`rnnreport.layers.rnn_forward`.

    Called as :class:`torch.nn.RNN` is, with the same outputs, parameters, initial values and
    ``state_dict``. The gradient is the hand-derived one, of equations (6)-(12); it cannot be
    differentiated again.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    num_layers, nonlinearity, dropout, bidirectional
        Taken for the sake of the signature; one layer, ``"tanh"``, no dropout and one direction
        only.
    bias : bool
        Whether there are biases; the two vectors of torch add up to the b of the derivation.
    batch_first : bool
        Whether input and output are (N, T, ·) and not (T, N, ·).
    device, dtype
        Of the parameters. float32 or float64.

    Raises
    ------
    ValueError
        If an option asks for what is not derived here.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        _refuse(
            num_layers=(num_layers, 1),
            nonlinearity=(nonlinearity, "tanh"),
            dropout=(dropout, 0.0),
            bidirectional=(bidirectional, False),
        )
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            batch_first=batch_first,
            device=device,
            dtype=dtype,
        )

    def forward(  # type: ignore[override]
        self, input: Tensor, hx: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run the layer.

        Parameters
        ----------
        input : Tensor, shape (T, N, D), (N, T, D) if `batch_first`, or (T, D) without a batch
            The sequence.
        hx : Tensor, shape (1, N, H) or (1, H), optional
            Hidden state before the first step; zero if not given.

        Returns
        -------
        output : Tensor, shape (T, N, H), (N, T, H) or (T, H)
            Hidden state after every step.
        h_n : Tensor, shape (1, N, H) or (1, H)
            Hidden state after the last step.

        Raises
        ------
        ValueError
            If a shape, dtype or device does not fit.
        TypeError
            If `input` is a packed sequence.
        """
        x, batched = _time_first(self, input)
        h0 = _state(self, "hx", hx, x, batched)
        Wx, Wh, b = _parameters(self, x)
        h = _RNNFunction.of(x, h0, Wx.T, Wh.T, b)
        return _output(self, h, batched), _final(h[-1], batched)


class LSTM(torch.nn.LSTM):
    r"""One layer of an LSTM in one direction, on :func:`rnnreport.layers.lstm_forward`.

    Called as :class:`torch.nn.LSTM` is, with the same outputs, parameters, initial values and
    ``state_dict``: parameters keep torch's gate order and are mapped on every call. The gradient is
    the hand-derived one, of equations (32)-(49); it cannot be differentiated again.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    num_layers, dropout, bidirectional, proj_size
        Taken for the sake of the signature; one layer, no dropout, one direction and no projection
        only.
    bias : bool
        Whether there are biases; the two vectors of torch add up to the b of the derivation.
    batch_first : bool
        Whether input and output are (N, T, ·) and not (T, N, ·).
    device, dtype
        Of the parameters. float32 or float64.

    Raises
    ------
    ValueError
        If an option asks for what is not derived here.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        _refuse(
            num_layers=(num_layers, 1),
            dropout=(dropout, 0.0),
            bidirectional=(bidirectional, False),
            proj_size=(proj_size, 0),
        )
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            batch_first=batch_first,
            device=device,
            dtype=dtype,
        )

    def forward(  # type: ignore[override]
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run the layer.

        Parameters
        ----------
        input : Tensor, shape (T, N, D), (N, T, D) if `batch_first`, or (T, D) without a batch
            The sequence.
        hx : tuple of two Tensors, shape (1, N, H) or (1, H), optional
            Hidden and cell state before the first step; zero if not given.

        Returns
        -------
        output : Tensor, shape (T, N, H), (N, T, H) or (T, H)
            Hidden state after every step.
        (h_n, c_n) : tuple of two Tensors, shape (1, N, H) or (1, H)
            Hidden and cell state after the last step.

        Raises
        ------
        ValueError
            If a shape, dtype or device does not fit, or `hx` is not a pair.
        TypeError
            If `input` is a packed sequence.
        """
        x, batched = _time_first(self, input)
        if hx is None:
            hx_h = hx_c = None
        elif len(hx) == 2:
            hx_h, hx_c = hx
        else:
            raise ValueError(f"hx must be a pair of tensors (h_0, c_0), got {len(hx)} of them")
        h0 = _state(self, "hx[0]", hx_h, x, batched)
        c0 = _state(self, "hx[1]", hx_c, x, batched)
        Wx, Wh, b = map(_swap_gates, _parameters(self, x))
        h, c_T = _LSTMFunction.of(x, h0, c0, Wx.T, Wh.T, b)
        return _output(self, h, batched), (_final(h[-1], batched), _final(c_T, batched))


class AttentionLSTM(torch.nn.Module):
    r"""An LSTM that looks at a map at every step; :func:`rnnreport.layers.attention_lstm_forward`.

    The gradient is the hand-derived one, of equations (50)-(58); it cannot be differentiated again.
    Weights and biases begin uniform between :math:`\pm 1 / \sqrt{H}`, as those of :class:`LSTM` do.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H; a place of the map has H features too.
    device, dtype
        Of the parameters. float32 or float64.

    Attributes
    ----------
    Wx : torch.nn.Parameter, shape (D, 4H)
        Input weights of the four gates, in the layers' order f, i, c̃, o.
    Wh, Wa : torch.nn.Parameter, shape (H, 4H)
        Recurrent weights and weights of the context, in the same order.
    b : torch.nn.Parameter, shape (4H,)
        Biases, in the same order.

    Raises
    ------
    ValueError
        If a size is below 1.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_at_least(1, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size

        def parameter(*shape: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

        self.Wx = parameter(input_size, 4 * hidden_size)
        self.Wh = parameter(hidden_size, 4 * hidden_size)
        self.Wa = parameter(hidden_size, 4 * hidden_size)
        self.b = parameter(4 * hidden_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        bound = self.hidden_size**-0.5
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """Name the sizes."""
        return f"{self.input_size}, {self.hidden_size}"

    def forward(
        self, input: Tensor, A: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run the layer.

        Parameters
        ----------
        input : Tensor, shape (T, N, D)
            The sequence.
        A : Tensor, shape (N, P, H)
            A map of P places for each row of the batch.
        hx : tuple of two Tensors, shape (1, N, H), optional
            Hidden and cell state before the first step; the mean over the places of `A` if not
            given.

        Returns
        -------
        output : Tensor, shape (T, N, H)
            Hidden state after every step.
        (h_n, c_n) : tuple of two Tensors, shape (1, N, H)
            Hidden and cell state after the last step.

        Raises
        ------
        ValueError
            If a shape, dtype or device does not fit, or `hx` is not a pair.
        """
        for name, tensor in (("input", input), ("A", A)):
            if tensor.dim() != 3:
                raise ValueError(f"{name} must have 3 axes, got shape {tuple(tensor.shape)}")
        if hx is None:
            h0 = c0 = A.mean(1)
        elif len(hx) == 2:
            h0 = _state(self, "hx[0]", hx[0], input, True)
            c0 = _state(self, "hx[1]", hx[1], input, True)
        else:
            raise ValueError(f"hx must be a pair of tensors (h_0, c_0), got {len(hx)} of them")
        h, c_T = _AttentionLSTMFunction.of(input, A, h0, c0, self.Wx, self.Wh, self.Wa, self.b)
        return h, (_final(h[-1], True), _final(c_T, True))


def _refuse(**options: tuple[object, object]) -> None:
    for name, (value, only) in options.items():
        if value != only:
            raise ValueError(
                f"{name} must be {only!r}: nothing else is derived here, got {value!r}"
            )


def _swap_gates(packed: Tensor) -> Tensor:
    """Bring gates from torch's order to the layers', along the first axis."""
    gates = packed.chunk(4)
    return torch.cat([gates[k] for k in _GATE_ORDER])


def _parameters(module: torch.nn.RNNBase, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Input weights, recurrent weights and the sum of the biases, in torch's layout."""
    Wx, Wh, *biases = module.all_weights[0]
    return Wx, Wh, biases[0] + biases[1] if biases else x.new_zeros(len(Wx))


def _time_first(module: torch.nn.RNNBase, input: Tensor) -> tuple[Tensor, bool]:
    """Bring the input to (T, N, D); also say whether it had a batch axis."""
    if isinstance(input, PackedSequence):
        raise TypeError(
            "input must be a tensor, got a PackedSequence: pad it with "
            "torch.nn.utils.rnn.pad_packed_sequence and read the output at each sequence's length"
        )
    if input.dim() not in (2, 3):
        raise ValueError(f"input must have 2 or 3 axes, got shape {tuple(input.shape)}")
    if input.shape[-1] != module.input_size:
        raise ValueError(
            f"input must have input_size = {module.input_size} features along its last axis, "
            f"got shape {tuple(input.shape)}"
        )
    if input.dim() == 2:
        return input.unsqueeze(1), False
    return (input.transpose(0, 1) if module.batch_first else input), True


def _state(
    module: torch.nn.RNNBase | AttentionLSTM,
    name: str,
    state: Tensor | None,
    x: Tensor,
    batched: bool,
) -> Tensor:
    """Bring an initial state to (N, H)."""
    N, H = x.shape[1], module.hidden_size
    if state is None:
        return x.new_zeros(N, H)
    expected = (1, N, H) if batched else (1, H)
    if tuple(state.shape) != expected:
        raise ValueError(f"{name} must have shape {expected}, got {tuple(state.shape)}")
    return state.reshape(N, H)


def _output(module: torch.nn.RNNBase, h: Tensor, batched: bool) -> Tensor:
    if not batched:
        return h.squeeze(1)
    return h.transpose(0, 1) if module.batch_first else h


def _final(state: Tensor, batched: bool) -> Tensor:
    return state.unsqueeze(0) if batched else state
