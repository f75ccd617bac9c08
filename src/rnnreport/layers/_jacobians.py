"""How each element of a state moves with each element of the state before, for one step."""

from __future__ import annotations

import torch
from torch import Tensor

from rnnreport.layers._gru import GRUStepCache
from rnnreport.layers._lstm import LSTMStepCache
from rnnreport.layers._rnn import RNNStepCache, slopes


@torch.no_grad()
def rnn_step_jacobian(cache: RNNStepCache) -> Tensor:
    r"""Differentiate every element of an RNN's state by every element of the one before.

    .. math:: \frac{\partial h_t}{\partial h_{t-1}} = \operatorname{diag}(1 - h_t \odot h_t)\, W_h

    Here as on the page, with columns: `Wh` is the transpose of this :math:`W_h`. Equation (60); for
    a ReLU the diagonal holds 1 where it lets through, and else 0.

    Parameters
    ----------
    cache : RNNStepCache
        From :func:`rnn_step_forward`.

    Returns
    -------
    Tensor, shape (N, H, H)
        At ``[n, i, j]`` the derivative of ``next_h[n, i]`` by ``prev_h[n, j]``.
    """
    slope = slopes(cache.next_h, cache.nonlinearity)  # of tanh 1 - h_t * h_t
    return _rows(slope, cache.Wh)  # (60)


@torch.no_grad()
def lstm_step_jacobian(cache: LSTMStepCache) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Differentiate every element of an LSTM's two states by every element of the two before.

    The four blocks of the Jacobian of the pair (h, c); equations (61)-(64).

    Parameters
    ----------
    cache : LSTMStepCache
        From :func:`lstm_step_forward`.

    Returns
    -------
    dh_dh, dh_dc : Tensor, shape (N, H, H)
        At ``[n, i, j]`` the derivatives of ``next_h[n, i]`` by ``prev_h[n, j]`` and
        ``prev_c[n, j]``; equations (64) and (63).
    dc_dh, dc_dc : Tensor, shape (N, H, H)
        The same of ``next_c[n, i]``; equations (62) and (61).
    """
    _, _, prev_c, _, Wh, f, i, c_tilde, o, tanh_c = cache
    Wf, Wi, Wc, Wo = Wh.chunk(4, dim=1)  # each (H, H)
    slope = o * (1 - tanh_c * tanh_c)  # of h_t in c_t
    dc_dc = torch.diag_embed(f)  # (61)
    dc_dh = (  # (62)
        _rows(prev_c * f * (1 - f), Wf)
        + _rows(c_tilde * i * (1 - i), Wi)
        + _rows(i * (1 - c_tilde * c_tilde), Wc)
    )
    dh_dc = torch.diag_embed(slope * f)  # (63)
    dh_dh = _rows(tanh_c * o * (1 - o), Wo) + slope[:, :, None] * dc_dh  # (64)
    return dh_dh, dh_dc, dc_dh, dc_dc


@torch.no_grad()
def gru_step_jacobian(cache: GRUStepCache) -> Tensor:
    """Differentiate every element of a GRU's state by every element of the one before.

    Equation (79).

    Parameters
    ----------
    cache : GRUStepCache
        From :func:`gru_step_forward`.

    Returns
    -------
    Tensor, shape (N, H, H)
        At ``[n, i, j]`` the derivative of ``next_h[n, i]`` by ``prev_h[n, j]``.
    """
    _, prev_h, _, Wh, q, r, z, n = cache
    Wr, Wz, Wn = Wh.chunk(3, dim=1)  # each (H, H)
    slope = (1 - z) * (1 - n * n)  # of h_t in the argument of the candidate's tanh
    return (  # (79)
        torch.diag_embed(z)
        + _rows(slope * r, Wn)
        + _rows(slope * q * r * (1 - r), Wr)
        + _rows((prev_h - n) * z * (1 - z), Wz)
    )


def _rows(factor: Tensor, W: Tensor) -> Tensor:
    """Scale the rows of W transposed, (H, H), by each row of (N, H)."""
    return factor[:, :, None] * W.T
