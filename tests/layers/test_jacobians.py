"""Jacobians of one step against the complex step, autograd, and the backward passes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given
from problems import Problem, problems
from torch import Tensor

from rnnreport import layers
from rnnreport.layers import (
    gru_forward,
    gru_step_backward,
    gru_step_forward,
    gru_step_jacobian,
    lstm_forward,
    lstm_step_backward,
    lstm_step_forward,
    lstm_step_jacobian,
    rnn_forward,
    rnn_step_backward,
    rnn_step_forward,
    rnn_step_jacobian,
)
from rnnreport.proof import complex_step

ROUNDING = 1e-13


def by_complex_step(f: Callable[[Tensor], Tensor], state: Tensor) -> Tensor:
    """[n, i, j] = ∂f(state)[n, i] / ∂state[n, j]; rows of the batch do not touch each other."""
    columns = []
    for j in range(state.shape[1]):
        direction = torch.zeros_like(state)
        direction[:, j] = 1
        columns.append(complex_step(f, state, direction))
    return torch.stack(columns, 2)


def close(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    torch.testing.assert_close(actual, expected, rtol=ROUNDING, atol=ROUNDING)


def lstm_states(problem: Problem, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    p = problem.to(h.dtype) if h.is_complex() else problem
    return lstm_step_forward(p.x[0], h, c, p.Wx, p.Wh, p.b)[:2]


@given(problems("rnn"))
def test_rnn_jacobian_is_the_complex_step(problem: Problem) -> None:
    p = problem.to(torch.complex128)
    _, cache = rnn_step_forward(problem.x[0], problem.h0, problem.Wx, problem.Wh, problem.b)
    expected = by_complex_step(
        lambda h: rnn_step_forward(p.x[0], h, p.Wx, p.Wh, p.b)[0], problem.h0
    )
    close(rnn_step_jacobian(cache), expected)


@given(problems("relu"))
def test_jacobian_of_a_relu_is_the_complex_step(problem: Problem) -> None:
    def step(p: Problem, h: Tensor) -> tuple[Tensor, layers.RNNStepCache]:
        return rnn_step_forward(p.x[0], h, p.Wx, p.Wh, p.b, nonlinearity="relu")

    p = problem.to(torch.complex128)
    expected = by_complex_step(lambda h: step(p, h)[0], problem.h0)
    close(rnn_step_jacobian(step(problem, problem.h0)[1]), expected)


@given(problems("gru"))
def test_gru_jacobian_is_the_complex_step_and_the_backward_pass(problem: Problem) -> None:
    def step(p: Problem, h: Tensor) -> tuple[Tensor, layers.GRUStepCache]:
        return gru_step_forward(p.x[0], h, p.Wx, p.Wh, p.b, p.bh)

    p = problem.to(torch.complex128)
    _, cache = step(problem, problem.h0)
    jacobian = gru_step_jacobian(cache)
    close(jacobian, by_complex_step(lambda h: step(p, h)[0], problem.h0))
    dprev_h = gru_step_backward(problem.dh[0], cache)[1]
    back = torch.einsum("ni,nij->nj", problem.dh[0], jacobian)
    torch.testing.assert_close(back, dprev_h, rtol=1e-12, atol=1e-12)


@given(problems("gru"))
def test_product_of_gru_jacobians_is_that_of_the_sequence(problem: Problem) -> None:
    p = problem.to(torch.complex128)
    product, h = torch.eye(problem.h0.shape[1], dtype=torch.float64), problem.h0
    for x_t in problem.x:
        h, cache = gru_step_forward(x_t, h, problem.Wx, problem.Wh, problem.b, problem.bh)
        product = gru_step_jacobian(cache) @ product
    expected = by_complex_step(
        lambda h: gru_forward(p.x, h, p.Wx, p.Wh, p.b, p.bh)[0][-1], problem.h0
    )
    scale = max(1.0, float(expected.abs().max()))
    assert float((product - expected).abs().max()) <= 1e-12 * scale


@given(problems("lstm"))
def test_lstm_jacobian_is_the_complex_step(problem: Problem) -> None:
    *_, cache = lstm_step_forward(
        problem.x[0], problem.h0, problem.c0, problem.Wx, problem.Wh, problem.b
    )
    h0, c0 = (state.to(torch.complex128) for state in (problem.h0, problem.c0))
    expected = (
        by_complex_step(lambda h: lstm_states(problem, h, c0)[0], problem.h0),
        by_complex_step(lambda c: lstm_states(problem, h0, c)[0], problem.c0),
        by_complex_step(lambda h: lstm_states(problem, h, c0)[1], problem.h0),
        by_complex_step(lambda c: lstm_states(problem, h0, c)[1], problem.c0),
    )
    for mine, other in zip(lstm_step_jacobian(cache), expected, strict=True):
        close(mine, other)


@given(problems("lstm"))
def test_lstm_jacobian_is_autograd(problem: Problem) -> None:
    *_, cache = lstm_step_forward(
        problem.x[0], problem.h0, problem.c0, problem.Wx, problem.Wh, problem.b
    )
    expected = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
        lambda h, c: lstm_states(problem, h, c), (problem.h0, problem.c0)
    )
    n = torch.arange(len(problem.h0))
    blocks = [block[n, :, n] for row in expected for block in row]
    for mine, other in zip(lstm_step_jacobian(cache), blocks, strict=True):
        close(mine, other)


@given(problems("rnn", "lstm"))
def test_backward_pass_is_the_transposed_jacobian(problem: Problem) -> None:
    dh, dc = problem.dh[0], problem.dc_T
    if problem.cell == "rnn":
        _, cache = rnn_step_forward(problem.x[0], problem.h0, problem.Wx, problem.Wh, problem.b)
        dprev_h = rnn_step_backward(dh, cache)[1]
        close(torch.einsum("ni,nij->nj", dh, rnn_step_jacobian(cache)), dprev_h)
        return
    *_, lstm_cache = lstm_step_forward(
        problem.x[0], problem.h0, problem.c0, problem.Wx, problem.Wh, problem.b
    )
    _, dprev_h, dprev_c, *_ = lstm_step_backward(dh, dc, lstm_cache)
    dh_dh, dh_dc, dc_dh, dc_dc = lstm_step_jacobian(lstm_cache)
    back_h = torch.einsum("ni,nij->nj", dh, dh_dh) + torch.einsum("ni,nij->nj", dc, dc_dh)
    back_c = torch.einsum("ni,nij->nj", dh, dh_dc) + torch.einsum("ni,nij->nj", dc, dc_dc)
    torch.testing.assert_close(back_h, dprev_h, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(back_c, dprev_c, rtol=1e-12, atol=1e-12)


@given(problems("rnn", "lstm"))
def test_product_of_jacobians_is_that_of_the_sequence(problem: Problem) -> None:
    """∂(state T)/∂(state 0) as a product of steps, against the complex step through them all."""
    p = problem.to(torch.complex128)
    N, H = problem.h0.shape
    if problem.cell == "rnn":
        product = torch.eye(H, dtype=torch.float64).expand(N, H, H)
        h = problem.h0
        for x_t in problem.x:
            h, cache = rnn_step_forward(x_t, h, problem.Wx, problem.Wh, problem.b)
            product = rnn_step_jacobian(cache) @ product
        expected = by_complex_step(
            lambda h: rnn_forward(p.x, h, p.Wx, p.Wh, p.b)[0][-1], problem.h0
        )
    else:
        product = torch.eye(2 * H, dtype=torch.float64).expand(N, 2 * H, 2 * H)
        h, c = problem.h0, problem.c0
        for x_t in problem.x:
            h, c, lstm_cache = lstm_step_forward(x_t, h, c, problem.Wx, problem.Wh, problem.b)
            dh_dh, dh_dc, dc_dh, dc_dc = lstm_step_jacobian(lstm_cache)
            above, below = torch.cat([dh_dh, dh_dc], 2), torch.cat([dc_dh, dc_dc], 2)
            product = torch.cat([above, below], 1) @ product

        def last(state: Tensor) -> Tensor:
            h, cache = lstm_forward(p.x, state[:, :H], p.Wx, p.Wh, p.b, c0=state[:, H:])
            return torch.cat([h[-1], cache.c[-1]], 1)

        expected = by_complex_step(last, torch.cat([problem.h0, problem.c0], 1))
    scale = max(1.0, float(expected.abs().max()))
    assert float((product - expected).abs().max()) <= 1e-12 * scale


@given(problems("rnn", "lstm"))
def test_no_graph_is_recorded_and_dtype_is_kept(problem: Problem) -> None:
    single = problem.to(torch.float32)
    watched = single.Wh.clone().requires_grad_()
    if problem.cell == "rnn":
        _, cache = rnn_step_forward(single.x[0], single.h0, single.Wx, watched, single.b)
        computed: tuple[Tensor, ...] = (rnn_step_jacobian(cache),)
    else:
        *_, lstm_cache = lstm_step_forward(
            single.x[0], single.h0, single.c0, single.Wx, watched, single.b
        )
        computed = lstm_step_jacobian(lstm_cache)
    for jacobian in computed:
        assert jacobian.dtype == torch.float32
        assert not jacobian.requires_grad
