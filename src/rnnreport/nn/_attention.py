"""The LSTM with attention as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from rnnreport._checks import check_at_least
from rnnreport.nn._arguments import check_real, check_state, pair, working_dtypes
from rnnreport.nn._autograd import run


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
            If `input` or `A` has not 3 axes, or `input` another dtype than the parameters.
        RuntimeError
            If another shape, dtype or device does not fit.
        TypeError
            If `hx` is not a pair of tensors.
        """
        for name, tensor, axes in (("input", input, "(T, N, D)"), ("A", A, "(N, P, H)")):
            if tensor.dim() != 3:
                raise ValueError(
                    f"{name} must have 3 axes, {axes}, got shape {tuple(tensor.shape)}"
                )
        check_real("AttentionLSTM", input, self.Wx)
        N, H = input.shape[1], self.hidden_size
        for name, tensor, expected in (
            ("input", input, (*input.shape[:2], self.input_size)),
            ("A", A, (N, A.shape[1], H)),
        ):
            check_state(name, tensor, tuple(expected), input)
        states = []
        for name, state in zip(("hx[0]", "hx[1]"), pair(hx), strict=True):
            if state is not None:
                check_state(name, state, (1, N, H), input)
            states.append(A.mean(1) if state is None else state[0])
        compute, results = working_dtypes(input)
        arguments = [input, A, *states, self.Wx, self.Wh, self.Wa, self.b]
        h, h_n, c_n = run("AttentionLSTM", [each.to(compute) for each in arguments])
        return h.to(results), (h_n[None].to(results), c_n[None].to(results))
