"""Attention over the places of a map, and an LSTM that attends; gates in the order f, i, c̃, o."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rnnreport.layers._checks import check_alike, check_shapes
from rnnreport.layers._lstm import gradient_slots

StepGradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class AttentionCache(NamedTuple):
    """What :func:`attention_backward` needs; references, so leave them unchanged until then.

    ``weights`` has shape (N, P): how much of each place the context takes.
    """

    h: Tensor
    A: Tensor
    weights: Tensor


class AttentionLSTMStepCache(NamedTuple):
    """What :func:`attention_lstm_step_backward` needs; leave it unchanged until then.

    ``attention`` is the cache of the attention, with its ``weights`` of shape (N, P); ``context``
    has shape (N, H).
    """

    x: Tensor
    prev_c: Tensor
    Wx: Tensor
    Wh: Tensor
    Wa: Tensor
    attention: AttentionCache
    context: Tensor
    f: Tensor
    i: Tensor
    c_tilde: Tensor
    o: Tensor
    tanh_c: Tensor


class AttentionLSTMCache(NamedTuple):
    r"""What :func:`attention_lstm_backward` needs; leave it unchanged until then.

    ``gates`` has shape (T, N, 4, H) and holds :math:`f, i, \tilde c, o`; ``c`` has shape
    (T + 1, N, H) and begins with :math:`c_0`, so ``c[-1]`` is the last cell state; ``tanh_c`` and
    ``h`` have shape (T, N, H). ``weights`` has shape (T, N, P): how much of each place every step
    takes. ``entering`` has shape (T, N, 2H) and holds :math:`h_{t-1}` and the context beside it.
    """

    x: Tensor
    A: Tensor
    Wx: Tensor
    Wh: Tensor
    Wa: Tensor
    gates: Tensor
    c: Tensor
    tanh_c: Tensor
    weights: Tensor
    entering: Tensor
    h: Tensor


def attention_forward(h: Tensor, A: Tensor) -> tuple[Tensor, AttentionCache]:
    r"""Read a map of features at the places that a state asks for; equations (A1)-(A3).

    Scaled dot-product attention (Vaswani et al., 2017) of one query, with the places as keys and as
    values:

    .. math::

       s_p &= a_p^\top h / \sqrt{H} \\
       \alpha_p &= e^{s_p} / \textstyle\sum_q e^{s_q} \\
       r &= \textstyle\sum_p \alpha_p a_p

    Parameters
    ----------
    h : Tensor, shape (N, H)
        The query. float32, float64 or complex128; the map has its dtype and device.
    A : Tensor, shape (N, P, H)
        A map of P places with H features each.

    Returns
    -------
    context : Tensor, shape (N, H)
        What is read, a weighted mean of the places.
    cache : AttentionCache
        Values for :func:`attention_backward`, the weights of the places among them.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis is empty.
    """
    H = check_shapes({"h": (h, "N H"), "A": (A, "N P H")})["H"]
    check_alike(("h", h), A=A)
    scores = (h[:, None] @ A.mT)[:, 0] / H**0.5  # (N, P)  (A1)
    raised = torch.exp(scores - scores.real.amax(1, keepdim=True))  # the shift cancels
    weights = raised / raised.sum(1, keepdim=True)  # (N, P)  (A2)
    context = (weights[:, None] @ A)[:, 0]  # (N, H)  (A3)
    return context, AttentionCache(h, A, weights)


def attention_backward(dcontext: Tensor, cache: AttentionCache) -> tuple[Tensor, Tensor]:
    """Differentiate :func:`attention_forward`; equations (52)-(55).

    Parameters
    ----------
    dcontext : Tensor, shape (N, H)
        Upstream gradient.
    cache : AttentionCache
        From the forward pass.

    Returns
    -------
    dh : Tensor, shape (N, H)
        Gradient of the query: what equation (54) adds to that of an LSTM.
    dA : Tensor, shape (N, P, H)
        Equation (55): a place is weighed by its score, and it is what is read.

    Raises
    ------
    ValueError
        If the shape, dtype or device of `dcontext` is not the query's.
    """
    h, A, weights = cache
    H = check_shapes({"h": (h, "N H"), "dcontext": (dcontext, "N H")})["H"]
    check_alike(("h", h), dcontext=dcontext)
    dweights = (dcontext[:, None] @ A.mT)[:, 0]  # (N, P)  (52)
    mean = (weights * dweights).sum(1, keepdim=True)  # (N, 1)
    dscores = weights * (dweights - mean)  # (N, P)  (53)
    scaled = dscores / H**0.5
    dh = (scaled[:, None] @ A)[:, 0]  # (N, H)
    dA = weights[:, :, None] * dcontext[:, None] + scaled[:, :, None] * h[:, None]  # (55)
    return dh, dA


def attention_lstm_step_forward(
    x: Tensor,
    prev_h: Tensor,
    prev_c: Tensor,
    A: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    Wa: Tensor,
    b: Tensor,
) -> tuple[Tensor, Tensor, AttentionLSTMStepCache]:
    r"""Advance an LSTM by one time step, with a look at a map of features.

    The context :math:`r_t` that :func:`attention_forward` reads with :math:`h_{t-1}` enters all
    gates beside the input, equation (A4):

    .. math::

       f_t, i_t, o_t &= \sigma(x_t W_x^g + h_{t-1} W_h^g + r_t W_a^g + b^g), \quad g = f, i, o \\
       \tilde c_t &= \tanh(x_t W_x^c + h_{t-1} W_h^c + r_t W_a^c + b^c) \\
       c_t &= f_t \odot c_{t-1} + i_t \odot \tilde c_t \\
       h_t &= o_t \odot \tanh(c_t)

    Parameters
    ----------
    x : Tensor, shape (N, D)
        Input of this step. float32, float64 or complex128; the other arguments have its dtype and
        device.
    prev_h, prev_c : Tensor, shape (N, H)
        Hidden and cell state before the step.
    A : Tensor, shape (N, P, H)
        A map of P places with H features each, for each row of the batch.
    Wx : Tensor, shape (D, 4H)
        Input weights of the four gates, in the order f, i, c̃, o.
    Wh, Wa : Tensor, shape (H, 4H)
        Recurrent weights and weights of the context, in the same order.
    b : Tensor, shape (4H,)
        Biases, in the same order.

    Returns
    -------
    next_h, next_c : Tensor, shape (N, H)
        Hidden and cell state after the step.
    cache : AttentionLSTMStepCache
        Values for :func:`attention_lstm_step_backward`. ``cache.attention.weights``, of shape
        (N, P), says where the step looked.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis is empty.
    """
    check_shapes(
        {
            "x": (x, "N D"),
            "prev_h": (prev_h, "N H"),
            "prev_c": (prev_c, "N H"),
            "A": (A, "N P H"),
            "Wx": (Wx, "D 4H"),
            "Wh": (Wh, "H 4H"),
            "Wa": (Wa, "H 4H"),
            "b": (b, "4H"),
        }
    )
    check_alike(("x", x), prev_h=prev_h, prev_c=prev_c, A=A, Wx=Wx, Wh=Wh, Wa=Wa, b=b)
    context, attention = attention_forward(prev_h, A)
    zf, zi, zc, zo = (x @ Wx + prev_h @ Wh + context @ Wa + b).chunk(4, dim=1)  # (A4)
    f, i, c_tilde, o = torch.sigmoid(zf), torch.sigmoid(zi), torch.tanh(zc), torch.sigmoid(zo)
    next_c = f * prev_c + i * c_tilde
    tanh_c = torch.tanh(next_c)
    next_h = o * tanh_c
    values = (f, i, c_tilde, o, tanh_c)
    return (
        next_h,
        next_c,
        AttentionLSTMStepCache(x, prev_c, Wx, Wh, Wa, attention, context, *values),
    )


def attention_lstm_step_backward(
    dnext_h: Tensor, dnext_c: Tensor, cache: AttentionLSTMStepCache
) -> StepGradients:
    r"""Differentiate :func:`attention_lstm_step_forward`; equations (50)-(55).

    What does not touch the map is as in :func:`lstm_step_backward`.

    Parameters
    ----------
    dnext_h : Tensor, shape (N, H)
        Upstream gradient :math:`\partial L / \partial h_t`.
    dnext_c : Tensor, shape (N, H)
        Upstream gradient :math:`\partial L / \partial c_t`: the part that does not pass through
        :math:`h_t`.
    cache : AttentionLSTMStepCache
        From the forward step.

    Returns
    -------
    dx : Tensor, shape (N, D)
        Equation (30).
    dprev_h : Tensor, shape (N, H)
        Equation (54): through the gates, and as the query.
    dprev_c : Tensor, shape (N, H)
        Equation (29).
    dA : Tensor, shape (N, P, H)
        Equation (55).
    dWx : Tensor, shape (D, 4H)
        Equations (17), (19), (21), (23), summed over the batch.
    dWh : Tensor, shape (H, 4H)
        Equations (18), (20), (22), (24), summed over the batch.
    dWa : Tensor, shape (H, 4H)
        Equation (51), summed over the batch.
    db : Tensor, shape (4H,)
        Equations (25)-(28), summed over the batch.

    Raises
    ------
    ValueError
        If the shape, dtype or device of an upstream gradient is not the states'.
    """
    x, prev_c, Wx, Wh, Wa, attention, context, f, i, c_tilde, o, tanh_c = cache
    check_shapes(
        {"next_h": (tanh_c, "N H"), "dnext_h": (dnext_h, "N H"), "dnext_c": (dnext_c, "N H")}
    )
    check_alike(("next_h", tanh_c), dnext_h=dnext_h, dnext_c=dnext_c)
    dc = dnext_c + dnext_h * o * (1 - tanh_c * tanh_c)  # all that reaches c_t
    df, di, dc_tilde, do = dc * prev_c, dc * c_tilde, dc * i, dnext_h * tanh_c  # (13)-(16)
    dz = torch.cat(  # (N, 4H), before the four nonlinearities  (25)-(28)
        [df * f * (1 - f), di * i * (1 - i), dc_tilde * (1 - c_tilde * c_tilde), do * o * (1 - o)],
        dim=1,
    )
    dcontext = dz @ Wa.T  # (N, H)  (50)
    dquery, dA = attention_backward(dcontext, attention)  # (52), (53), (55)
    dWx = x.T @ dz  # (D, 4H)
    dWh = attention.h.T @ dz  # (H, 4H)
    dWa = context.T @ dz  # (H, 4H)  (51)
    db = dz.sum(0)  # (4H,)
    dprev_c = dc * f  # (N, H)
    dx = dz @ Wx.T  # (N, D)
    dprev_h = dz @ Wh.T + dquery  # (N, H)  (54)
    return dx, dprev_h, dprev_c, dA, dWx, dWh, dWa, db


@torch.no_grad()
def attention_lstm_forward(
    x: Tensor,
    A: Tensor,
    h0: Tensor,
    c0: Tensor,
    Wx: Tensor,
    Wh: Tensor,
    Wa: Tensor,
    b: Tensor,
) -> tuple[Tensor, AttentionLSTMCache]:
    r"""Run an LSTM that looks at a map of features before every step, time first.

    The inputs of all steps pass through `Wx` in one matrix product before the loop. Inside it,
    state and context stand side by side, so that one product forms the pre-activations. No autograd
    graph is recorded: :class:`rnnreport.nn.AttentionLSTM` is the module that autograd knows.

    Parameters
    ----------
    x : Tensor, shape (T, N, D)
        Inputs. float32, float64 or complex128; the other arguments have its dtype and device.
    A : Tensor, shape (N, P, H)
        A map of P places with H features each, the same for all steps.
    h0, c0 : Tensor, shape (N, H)
        Hidden and cell state before the first step.
    Wx : Tensor, shape (D, 4H)
        Input weights of the four gates, in the order f, i, c̃, o.
    Wh, Wa : Tensor, shape (H, 4H)
        Recurrent weights and weights of the context, in the same order.
    b : Tensor, shape (4H,)
        Biases, in the same order.

    Returns
    -------
    h : Tensor, shape (T, N, H)
        Hidden state after every step.
    cache : AttentionLSTMCache
        Values for :func:`attention_lstm_backward`. ``cache.weights`` says where each step looked,
        and ``cache.c[-1]`` is the cell state after the last step.

    Raises
    ------
    ValueError
        If a shape, dtype or device does not fit, or an axis (time included) is empty.
    """
    sizes = check_shapes(
        {
            "x": (x, "T N D"),
            "h0": (h0, "N H"),
            "c0": (c0, "N H"),
            "A": (A, "N P H"),
            "Wx": (Wx, "D 4H"),
            "Wh": (Wh, "H 4H"),
            "Wa": (Wa, "H 4H"),
            "b": (b, "4H"),
        }
    )
    check_alike(("x", x), A=A, h0=h0, c0=c0, Wx=Wx, Wh=Wh, Wa=Wa, b=b)
    T, N, D, H, P = (sizes[axis] for axis in "TNDHP")
    A, W = A.contiguous(), torch.cat([Wh, Wa])
    AT = A.mT
    packed = torch.addmm(b, x.reshape(T * N, D), Wx).view(T, N, 4 * H)
    gates = packed.view(T, N, 4, H)
    h, tanh_c = x.new_empty(T, N, H), x.new_empty(T, N, H)
    c = torch.cat([c0[None], x.new_empty(T, N, H)])
    weights, entering = x.new_empty(T, N, P), x.new_empty(T, N, 2 * H)

    prev_h, prev_c = h0, c0
    fi = gates[:, :, :2]  # f and i side by side: one call serves both
    by_step = (packed, fi, *gates.unbind(2), c[1:], tanh_c, h, weights, entering)
    for z_t, fi_t, f, i, c_tilde, o, c_t, tanh_c_t, h_t, weights_t, entering_t in zip(
        *(values.unbind(0) for values in by_step), strict=True
    ):
        # As a row: ten times as fast as the map times a column.
        torch.bmm(prev_h.unsqueeze(1), AT, out=weights_t.unsqueeze(1)).mul_(H**-0.5)  # (A1)
        weights_t.sub_(weights_t.real.amax(1, keepdim=True)).exp_()
        weights_t.div_(weights_t.sum(1, keepdim=True))  # (A2)
        entering_t[:, :H] = prev_h
        entering_t[:, H:] = torch.bmm(weights_t.unsqueeze(1), A).squeeze(1)  # (A3)
        z_t.addmm_(entering_t, W)  # (A4)
        fi_t.sigmoid_()
        c_tilde.tanh_()
        o.sigmoid_()
        torch.mul(f, prev_c, out=c_t).addcmul_(i, c_tilde)
        torch.tanh(c_t, out=tanh_c_t)
        torch.mul(o, tanh_c_t, out=h_t)
        prev_h, prev_c = h_t, c_t
    return h, AttentionLSTMCache(x, A, Wx, Wh, Wa, gates, c, tanh_c, weights, entering, h)


@torch.no_grad()
def attention_lstm_backward(
    dh: Tensor, cache: AttentionLSTMCache, *, dc_T: Tensor | None = None
) -> StepGradients:
    r"""Differentiate :func:`attention_lstm_forward`, through time; equations (56)-(58).

    The loop is that of :func:`lstm_backward` and the way through the attention. Gradients of the
    map and of all weights are formed after it, for all steps at once.

    Parameters
    ----------
    dh : Tensor, shape (T, N, H)
        Upstream gradient of every hidden state: the part of :math:`\partial L / \partial h_t` that
        does not pass through later states.
    cache : AttentionLSTMCache
        From the forward pass.
    dc_T : Tensor, shape (N, H), optional
        Upstream gradient of the last cell state, for a loss that reads it; zero if not given.

    Returns
    -------
    dx : Tensor, shape (T, N, D)
        Equation (48).
    dA : Tensor, shape (N, P, H)
        Equation (57).
    dh0 : Tensor, shape (N, H)
        Equation (56) at :math:`t = 1`.
    dc0 : Tensor, shape (N, H)
        Equation (33) at :math:`t = 1`.
    dWx : Tensor, shape (D, 4H)
        Equations (36), (38), (40), (42), summed over the batch.
    dWh : Tensor, shape (H, 4H)
        Equations (37), (39), (41), (43), summed over the batch.
    dWa : Tensor, shape (H, 4H)
        Equation (58), summed over the batch.
    db : Tensor, shape (4H,)
        Equations (44)-(47), summed over the batch.

    Raises
    ------
    ValueError
        If the shape, dtype or device of an upstream gradient is not the states'.
    """
    x, A, Wx, Wh, Wa, gates, c, tanh_c, weights, entering, h = cache
    if dc_T is None:
        dc_T = torch.zeros_like(c[0])
    T, N, H = check_shapes({"h": (h, "T N H"), "dh": (dh, "T N H"), "dc_T": (dc_T, "N H")}).values()
    check_alike(("h", h), dh=dh, dc_T=dc_T)
    AT, WT = A.mT, torch.cat([Wh, Wa]).T.contiguous()
    grads, dc = gradient_slots(gates, c[:-1], tanh_c, h)
    dprev_c, _, _, _, dzo = grads.unbind(2)
    dz = grads.view(T, N, 5 * H)[:, :, H:]
    dentering, dscores = torch.empty_like(entering), torch.empty_like(weights)

    direct = (torch.zeros_like(dc_T), *dh[:-1].unbind(0))  # of h_0, ..., h_{T-1}
    dnew_h, dnew_c = dh[-1], dc_T  # (34), (35)
    dcell = grads[:, :, :4]  # all that c_t feeds back
    by_step = (dc, dcell, dprev_c, dzo, dz, dentering, weights, dscores)
    for dc_t, dcell_t, dprev_c_t, dzo_t, dz_t, dentering_t, weights_t, dscores_t, dh_t in zip(
        *(reversed(values.unbind(0)) for values in by_step), reversed(direct), strict=True
    ):
        dc_t.mul_(dnew_h).add_(dnew_c)
        dcell_t.mul_(dc_t.unsqueeze(1))
        dzo_t.mul_(dnew_h)
        dprev_h, dcontext = torch.mm(dz_t, WT, out=dentering_t).chunk(2, dim=1)
        torch.bmm(dcontext.unsqueeze(1), AT, out=dscores_t.unsqueeze(1))
        dscores_t.sub_((weights_t * dscores_t).sum(1, keepdim=True))
        dscores_t.mul_(weights_t).mul_(H**-0.5)  # with the scale of the scores
        dquery = torch.bmm(dscores_t.unsqueeze(1), A).squeeze(1)
        dnew_h = dquery.add_(dprev_h).add_(dh_t)  # (56)
        dnew_c = dprev_c_t  # (33)

    # (57), the sum over t as one matrix product, of [α, ∂L/∂s] with [∂L/∂r, h]: (A8).
    places = torch.cat([weights, dscores]).permute(1, 2, 0)  # (N, P, 2T)
    reads = torch.cat([dentering[:, :, H:], entering[:, :, :H]]).transpose(0, 1)  # (N, 2T, H)
    dA = torch.bmm(places, reads)
    flat_dz = grads.view(T * N, 5 * H)[:, H:]
    dWh, dWa = (entering.view(T * N, 2 * H).T @ flat_dz).chunk(2)  # (37) ... (43), (58)
    dWx = x.reshape(T * N, -1).T @ flat_dz  # (36), (38), (40), (42)
    db = flat_dz.sum(0)  # (44)-(47)
    dx = (flat_dz @ Wx.T).view(T, N, -1)  # (48)
    return dx, dA, dnew_h, dnew_c.clone(), dWx, dWh, dWa, db
