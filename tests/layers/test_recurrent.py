"""Recurrent layers: every gradient against independent oracles, and what binds the gradients."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from problems import (
    ARGUMENTS,
    CELL_STATE,
    CELLS,
    ROUNDING,
    Problem,
    assert_all_close,
    assert_close,
    draw,
    loss_of,
    make_problem,
    problems,
    seeds,
)
from torch import Tensor

from rnnreport import layers
from rnnreport.layers import lstm_backward, lstm_forward, rnn_backward, rnn_forward
from rnnreport.proof import (
    central_difference,
    complex_step,
    complex_step_gradient,
    relative_residual,
)

# Gradients against oracles


@given(problems())
def test_gradient_is_the_complex_step_of_the_layer(problem: Problem) -> None:
    gradients = problem.gradients()
    for name, value in problem.arguments.items():
        expected = complex_step_gradient(loss_of(problem, name), value)
        assert_close(gradients[name], expected)


@given(problems())
def test_gradient_is_the_complex_step_of_the_definition(problem: Problem) -> None:
    gradients = problem.gradients()
    for name, value in problem.arguments.items():
        expected = complex_step_gradient(loss_of(problem, name, plain=True), value)
        assert_close(gradients[name], expected)


@given(problems())
def test_gradient_is_autograd_of_the_definition(problem: Problem) -> None:
    leaves = {name: value.clone().requires_grad_() for name, value in problem.arguments.items()}
    expected = torch.autograd.grad(problem.replace(**leaves).plain_loss(), list(leaves.values()))
    assert_all_close(problem.gradients(), dict(zip(leaves, expected, strict=True)))


@given(problems())
def test_gradient_is_torch_nn(problem: Problem) -> None:
    """The third oracle: a library of its own, with its own gate order."""
    assume(problem.in_torch)
    leaves = {name: value.clone().requires_grad_() for name, value in problem.arguments.items()}
    states: Tensor | tuple[Tensor, ...] = leaves["h0"][None]
    if problem.cell in CELL_STATE:
        states = (leaves["h0"][None], leaves["c0"][None])
    h, last = torch.func.functional_call(
        problem.torch_module(), problem.torch_weights(leaves), (leaves["x"], states)
    )
    loss = (problem.dh * h).sum()
    if problem.cell in CELL_STATE:
        loss = loss + (problem.dc_T * last[1][0]).sum()
    expected = torch.autograd.grad(loss, list(leaves.values()))
    assert_close(problem.forward()[0], h.detach())
    assert_all_close(problem.gradients(), dict(zip(leaves, expected, strict=True)))


@pytest.mark.parametrize("cell", CELLS)
def test_full_jacobian(cell: str) -> None:
    """One upstream unit vector at a time: every entry of the Jacobian, not a sum of them."""
    problem = make_problem(cell, T=3, N=1, D=2, H=2, seed=11)
    for k in range(problem.dh.numel()):
        dh = torch.zeros_like(problem.dh)
        dh.view(-1)[k] = 1
        row = problem.replace(dh=dh, dc_T=torch.zeros_like(problem.dc_T))
        gradients = row.gradients()
        for name, value in row.arguments.items():
            expected = complex_step_gradient(loss_of(row, name), value)
            assert_close(gradients[name], expected)


@pytest.mark.parametrize("cell", CELLS)
@given(seed=seeds)
def test_long_sequence_along_random_directions(cell: str, seed: int) -> None:
    problem = make_problem(cell, T=60, N=3, D=4, H=6, seed=seed)
    generator = torch.Generator().manual_seed(seed ^ 1)
    gradients = problem.gradients()
    for name, value in problem.arguments.items():
        direction = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        slope = complex_step(loss_of(problem, name), value, direction)
        # A sum of many terms: the bound is relative to their size.
        terms = (gradients[name] * direction).abs().sum()
        assert abs((gradients[name] * direction).sum() - slope) <= ROUNDING * max(1.0, float(terms))


@pytest.mark.parametrize("cell", CELLS)
def test_central_difference_agrees_within_its_own_error(cell: str) -> None:
    problem = make_problem(cell, T=4, N=2, D=3, H=3, seed=5)
    gradients = problem.gradients()
    for name, value in problem.arguments.items():
        direction = torch.ones_like(value)
        slope = central_difference(loss_of(problem, name), value, direction)
        assert abs(float(gradients[name].sum() - slope)) < 1e-7


# Sequence against step


def step_forward(problem: Problem, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Any]:
    p = problem
    if p.cell in ("rnn", "relu"):
        nonlinearity = "relu" if p.cell == "relu" else "tanh"
        h, cache = layers.rnn_step_forward(x, h, p.Wx, p.Wh, p.b, nonlinearity=nonlinearity)
        return h, c, cache
    if p.cell == "gru":
        h, gru_cache = layers.gru_step_forward(x, h, p.Wx, p.Wh, p.b, p.bh)
        return h, c, gru_cache
    if p.cell == "lstm":
        return layers.lstm_step_forward(x, h, c, p.Wx, p.Wh, p.b)
    return layers.projected_lstm_step_forward(x, h, c, p.Wx, p.Wh, p.b, p.Wp)


def step_backward(problem: Problem, dh: Tensor, dc: Tensor, cache: Any) -> dict[str, Tensor]:
    gradients: tuple[Tensor, ...]
    if problem.cell in ("rnn", "relu"):
        gradients = layers.rnn_step_backward(dh, cache)
    elif problem.cell == "gru":
        gradients = layers.gru_step_backward(dh, cache)
    elif problem.cell == "lstm":
        gradients = layers.lstm_step_backward(dh, dc, cache)
    else:
        gradients = layers.projected_lstm_step_backward(dh, dc, cache)
    return dict(zip(("x", *problem.states, *problem.weights), gradients, strict=True))


@given(problems())
def test_sequence_is_the_step_repeated(problem: Problem) -> None:
    h, c, caches, states = problem.h0, problem.c0, [], []
    for x_t in problem.x:
        h, c, cache = step_forward(problem, x_t, h, c)
        caches.append(cache)
        states.append(h)
    actual_h, sequence_cache = problem.forward()
    assert_close(actual_h, torch.stack(states))
    if problem.cell in CELL_STATE:
        assert_close(sequence_cache.c[-1], c)

    expected = {name: torch.zeros_like(value) for name, value in problem.arguments.items()}
    dh, dc = torch.zeros_like(problem.h0), problem.dc_T
    for t in reversed(range(len(caches))):
        back = step_backward(problem, problem.dh[t] + dh, dc, caches[t])
        dh, dc = back["h0"], back.get("c0", dc)
        expected["x"][t] = back["x"]
        for name in problem.weights:
            expected[name] += back[name]
    carried = {"h0": dh, "c0": dc} if problem.cell in CELL_STATE else {"h0": dh}
    assert_all_close(problem.gradients(), expected | carried)


@given(problems())
def test_a_single_step_is_a_sequence_of_one(problem: Problem) -> None:
    one = problem.replace(x=problem.x[:1], dh=problem.dh[:1])
    gradients = one.gradients()
    h, _, cache = step_forward(one, one.x[0], one.h0, one.c0)
    step = step_backward(one, one.dh[0], one.dc_T, cache)
    assert_close(one.forward()[0][0], h)
    assert_close(gradients.pop("x")[0], step.pop("x"))
    assert_all_close(gradients, step)


# Properties


@given(problems(), st.data())
def test_a_sequence_cut_in_two_and_carried_over_is_the_whole(
    problem: Problem, data: st.DataObject
) -> None:
    T = problem.x.shape[0]
    if T == 1:
        return
    cut = data.draw(st.integers(1, T - 1))
    first = problem.replace(x=problem.x[:cut])
    h_first, cache_first = first.forward()
    c_cut = cache_first.c[-1] if problem.cell in CELL_STATE else problem.c0
    second = problem.replace(x=problem.x[cut:], dh=problem.dh[cut:], h0=h_first[-1], c0=c_cut)
    h_second, cache_second = second.forward()
    assert_close(torch.cat([h_first, h_second]), problem.forward()[0])

    back_second = second.backward(cache_second)
    dh_first = problem.dh[:cut].clone()
    dh_first[-1] += back_second["h0"]
    dc_cut = back_second.get("c0", problem.dc_T)
    back_first = first.replace(dh=dh_first, dc_T=dc_cut).backward(cache_first)
    joined = {name: back_first[name] + back_second[name] for name in problem.weights}
    joined["x"] = torch.cat([back_first["x"], back_second["x"]])
    joined |= {name: back_first[name] for name in problem.states}
    assert_all_close(joined, problem.gradients())


@given(problems())
def test_rows_of_a_batch_are_independent(problem: Problem) -> None:
    whole_h, whole = problem.forward()[0], problem.gradients()
    summed = {name: torch.zeros_like(whole[name]) for name in problem.weights}
    for n in range(problem.x.shape[1]):
        row = problem.replace(
            x=problem.x[:, n : n + 1],
            dh=problem.dh[:, n : n + 1],
            **{name: getattr(problem, name)[n : n + 1] for name in ("h0", "c0", "dc_T")},
        )
        assert_close(row.forward()[0][:, 0], whole_h[:, n])
        gradients = row.gradients()
        assert_close(gradients["x"][:, 0], whole["x"][:, n])
        for name in problem.states:
            assert_close(gradients[name][0], whole[name][n])
        for name in summed:
            summed[name] += gradients[name]
    assert_all_close(summed, {name: whole[name] for name in summed})


@given(problems(), st.floats(-3, 3), st.floats(-3, 3), seeds)
def test_backward_is_linear_in_the_upstream_gradient(
    problem: Problem, alpha: float, beta: float, seed: int
) -> None:
    dh, dc_T = draw(seed, *problem.dh.shape), draw(seed ^ 1, *problem.dc_T.shape)
    _, cache = problem.forward()
    combined = problem.replace(
        dh=alpha * problem.dh + beta * dh, dc_T=alpha * problem.dc_T + beta * dc_T
    )
    first = problem.backward(cache)
    second = problem.replace(dh=dh, dc_T=dc_T).backward(cache)
    expected = {name: alpha * first[name] + beta * second[name] for name in first}
    assert_all_close(combined.backward(cache), expected, tolerance=1e-11)


@given(problems())
def test_backward_twice_agrees_bit_for_bit(problem: Problem) -> None:
    _, cache = problem.forward()
    first, second = problem.backward(cache), problem.backward(cache)
    for name in first:
        assert torch.equal(first[name], second[name])


@given(problems())
def test_zero_upstream_gradient_gives_zero(problem: Problem) -> None:
    zero = problem.replace(dh=torch.zeros_like(problem.dh), dc_T=torch.zeros_like(problem.dc_T))
    for gradient in zero.gradients().values():
        assert torch.count_nonzero(gradient) == 0


@given(problems())
def test_no_argument_is_changed(problem: Problem) -> None:
    before = {name: tensor.clone() for name, tensor in problem.tensors.items()}
    h, cache = problem.forward()
    kept = [value for value in cache if isinstance(value, Tensor)]
    cache_before = [tensor.clone() for tensor in kept]
    h_before = h.clone()
    problem.backward(cache)
    for name, tensor in problem.tensors.items():
        assert torch.equal(tensor, before[name]), name
    assert torch.equal(h, h_before)
    for tensor, copy in zip(kept, cache_before, strict=True):
        assert torch.equal(tensor, copy)


@given(problems())
def test_strides_do_not_matter(problem: Problem) -> None:
    strided = problem.replace(
        **{
            name: tensor.mT.contiguous().mT if tensor.dim() > 1 else tensor.repeat(2)[: len(tensor)]
            for name, tensor in problem.tensors.items()
        }
    )
    assert_close(strided.forward()[0], problem.forward()[0])
    assert_all_close(strided.gradients(), problem.gradients())


@pytest.mark.parametrize("cell", CELLS)
def test_an_expanded_upstream_gradient_is_taken(cell: str) -> None:
    problem = make_problem(cell, T=3, N=2, D=3, H=4, seed=1)
    expanded = problem.replace(dh=torch.ones((), dtype=torch.float64).expand_as(problem.dh))
    dense = problem.replace(dh=torch.ones_like(problem.dh))
    assert_all_close(expanded.gradients(), dense.gradients())


@given(problems())
def test_float32_stays_float32_and_close(problem: Problem) -> None:
    single = problem.to(torch.float32)
    exact, (h, _) = problem.gradients(), single.forward()
    assert h.dtype == torch.float32
    assert relative_residual(h.double(), problem.forward()[0]) < 1e-4
    for name, gradient in single.gradients().items():
        assert gradient.dtype == torch.float32
        assert_close(gradient.double(), exact[name], tolerance=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_no_graph_is_recorded(cell: str) -> None:
    problem = make_problem(cell, T=2, N=1, D=1, H=1, seed=0)
    watched = problem.replace(Wh=problem.Wh.clone().requires_grad_())
    h, cache = watched.forward()
    assert not h.requires_grad
    assert not any(gradient.requires_grad for gradient in watched.backward(cache).values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_cuda_agrees_with_the_cpu(cell: str, dtype: torch.dtype) -> None:
    problem = make_problem(cell, T=7, N=5, D=4, H=6, seed=2).to(dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-11
    device = problem.to(torch.device("cuda"))
    assert_close(device.forward()[0].cpu(), problem.forward()[0], tolerance)
    on_device = {name: gradient.cpu() for name, gradient in device.gradients().items()}
    assert_all_close(on_device, problem.gradients(), tolerance)


# The optional arguments of the LSTM


def test_c0_defaults_to_zero_and_dc_T_too() -> None:
    problem = make_problem("lstm", T=3, N=2, D=2, H=3, seed=3)
    x, h0, Wx, Wh, b = (problem.arguments[name] for name in ARGUMENTS["rnn"])
    zero = torch.zeros_like(problem.c0)
    h, cache = lstm_forward(x, h0, Wx, Wh, b)
    explicit_h, explicit_cache = lstm_forward(x, h0, Wx, Wh, b, zero)
    assert torch.equal(h, explicit_h)
    short = lstm_backward(problem.dh, cache)
    long = lstm_backward(problem.dh, explicit_cache, dc_T=zero, return_dc0=True)
    assert len(short) == 5
    assert len(long) == 6
    for a, b_ in zip(short, long, strict=False):
        assert torch.equal(a, b_)


@given(problems("lstm"), st.integers(1, 6))
def test_gates_that_were_not_kept_are_formed_again(problem: Problem, rows: int) -> None:
    with mock.patch("rnnreport.layers._lstm.ROWS_AT_ONCE", rows):
        h, cache = layers.lstm_forward(*problem.arguments.values(), keep="states")
        gradients = layers.lstm_backward(problem.dh, cache, dc_T=problem.dc_T, return_dc0=True)
    assert_close(h, problem.forward()[0])
    assert_all_close(dict(zip(problem.arguments, gradients, strict=True)), problem.gradients())


# Bad input

ERRORS = [
    # cell, argument, change, what the message must say
    ("rnn", "x", lambda t: t[0], r"x must have shape \(T, N, D\)"),
    ("rnn", "h0", lambda t: t[:1], r"h0 must have shape \(N, H\) = \(2, 4\), got \(1, 4\)"),
    ("rnn", "Wx", lambda t: t[:, :-1], r"Wx must have shape \(D, H\) = \(3, 4\), got \(3, 3\)"),
    ("rnn", "Wh", lambda t: t[:1], r"Wh must have shape \(H, H\) = \(4, 4\), got \(1, 4\)"),
    ("rnn", "b", lambda t: t[None], r"b must have shape \(H\) = \(4\), got \(1, 4\)"),
    ("lstm", "Wx", lambda t: t[:, :-1], r"Wx must have shape \(D, 4H\) = \(3, 16\)"),
    ("lstm", "Wh", lambda t: t.mT, r"Wh must have shape \(H, 4H\) = \(4, 16\), got \(16, 4\)"),
    ("lstm", "b", lambda t: t[:4], r"b must have shape \(4H\) = \(16\), got \(4,\)"),
    ("lstm", "c0", lambda t: t[:, :1], r"c0 must have shape \(N, H\) = \(2, 4\), got \(2, 1\)"),
    ("rnn", "x", lambda t: t[:0], "x must have at least one element along every axis"),
    ("lstm", "x", lambda t: t[:0], "x must have at least one element along every axis"),
    ("rnn", "x", lambda t: t.half(), "x must have one of the dtypes .* got torch.float16"),
    ("rnn", "x", lambda t: t.long(), "x must have one of the dtypes .* got torch.int64"),
    ("rnn", "h0", lambda t: t.float(), "h0 must have dtype torch.float64 as x has"),
    ("lstm", "c0", lambda t: t.float(), "c0 must have dtype torch.float64 as x has"),
    ("lstm", "Wh", lambda t: t.to("meta"), "Wh must be on cpu as x is, got meta"),
    ("rnn", "b", lambda t: t.to("meta"), "b must be on cpu as x is, got meta"),
    ("rnn", "dh", lambda t: t[:-1], r"dh must have shape \(T, N, H\) = \(3, 2, 4\)"),
    ("rnn", "dh", lambda t: t.float(), "dh must have dtype torch.float64"),
    ("lstm", "dh", lambda t: t[0], r"dh must have shape \(T, N, H\)"),
    ("lstm", "dc_T", lambda t: t[0], r"dc_T must have shape \(N, H\) = \(2, 4\)"),
    ("lstm", "dc_T", lambda t: t.to("meta"), "dc_T must be on cpu"),
    ("relu", "Wh", lambda t: t[:1], r"Wh must have shape \(H, H\) = \(4, 4\), got \(1, 4\)"),
    ("gru", "x", lambda t: t[0], r"x must have shape \(T, N, D\)"),
    ("gru", "h0", lambda t: t[:1], r"h0 must have shape \(N, H\) = \(2, 4\), got \(1, 4\)"),
    ("gru", "Wx", lambda t: t[:, :-1], r"Wx must have shape \(D, 3H\) = \(3, 12\)"),
    ("gru", "Wh", lambda t: t.mT, r"Wh must have shape \(H, 3H\) = \(4, 12\), got \(12, 4\)"),
    ("gru", "b", lambda t: t[:4], r"b must have shape \(3H\) = \(12\), got \(4,\)"),
    ("gru", "bh", lambda t: t.repeat(3), r"bh must have shape \(H\) = \(4\), got \(12,\)"),
    ("gru", "bh", lambda t: t.float(), "bh must have dtype torch.float64 as x has"),
    ("gru", "Wh", lambda t: t.to("meta"), "Wh must be on cpu as x is, got meta"),
    ("gru", "x", lambda t: t[:0], "x must have at least one element along every axis"),
    ("gru", "dh", lambda t: t[:-1], r"dh must have shape \(T, N, H\) = \(3, 2, 4\)"),
    ("gru", "dh", lambda t: t.float(), "dh must have dtype torch.float64"),
    ("projected", "h0", lambda t: t[:1], r"h0 must have shape \(N, P\) = \(2, 3\), got \(1, 3\)"),
    ("projected", "c0", lambda t: t[:, :1], r"c0 must have shape \(N, H\) = \(2, 4\)"),
    ("projected", "Wx", lambda t: t[:, 1:], r"Wx must have shape \(D, 4H\) = \(3, 16\)"),
    (
        "projected",
        "Wh",
        lambda t: t[1:],
        r"Wh must have shape \(P, 4H\) = \(3, 16\), got \(2, 16\)",
    ),
    ("projected", "Wp", lambda t: t[0], r"Wp must have shape \(H, P\)"),
    ("projected", "Wp", lambda t: t.float(), "Wp must have dtype torch.float64 as x has"),
    ("projected", "dh", lambda t: t[..., 1:], r"dh must have shape \(T, N, P\) = \(3, 2, 3\)"),
    ("projected", "dc_T", lambda t: t[0], r"dc_T must have shape \(N, H\) = \(2, 4\)"),
    ("projected", "dc_T", lambda t: t.float(), "dc_T must have dtype torch.float64"),
]


@pytest.mark.parametrize(("cell", "name", "change", "message"), ERRORS)
def test_bad_input_is_named(cell: str, name: str, change: object, message: str) -> None:
    problem = make_problem(cell, T=3, N=2, D=3, H=4, seed=0)
    assert callable(change)
    bad = problem.replace(**{name: change(getattr(problem, name))})
    with pytest.raises(ValueError, match=message):
        bad.gradients()


@pytest.mark.parametrize("axis", range(3))
def test_every_empty_axis_is_refused(axis: int) -> None:
    shape = [3, 2, 4]
    shape[axis] = 0
    problem = make_problem("rnn", T=3, N=2, D=4, H=4, seed=0)
    with pytest.raises(ValueError, match="at least one element"):
        rnn_forward(torch.zeros(shape).double(), *list(problem.arguments.values())[1:])


@pytest.mark.parametrize("cell", CELLS)
def test_step_functions_name_bad_input(cell: str) -> None:
    p = make_problem(cell, T=1, N=2, D=3, H=4, seed=1)
    P = "P" if cell == "projected" else "H"
    with pytest.raises(ValueError, match=rf"prev_h must have shape \(N, {P}\) = \(2, 4\)"):
        step_forward(p, p.x[0], p.h0[:1], p.c0)
    *_, cache = step_forward(p, p.x[0], p.h0, p.c0)
    with pytest.raises(ValueError, match=rf"dnext_h must have shape \(N, {P}\) = \(2, 4\)"):
        step_backward(p, p.dh[0][:, :1], p.dc_T, cache)
    if cell not in CELL_STATE:
        return
    with pytest.raises(ValueError, match=r"prev_c must have shape \(N, H\) = \(2, 4\)"):
        step_forward(p, p.x[0], p.h0, p.c0[:1])
    with pytest.raises(ValueError, match=r"dnext_c must have dtype torch\.float64"):
        step_backward(p, p.dh[0], p.dc_T.float(), cache)


def test_an_unknown_nonlinearity_is_refused() -> None:
    p = make_problem("rnn", T=1, N=2, D=3, H=4, seed=0)
    message = "nonlinearity must be 'tanh' or 'relu', got 'sigmoid'"
    weights = (p.h0, p.Wx, p.Wh, p.b)
    with pytest.raises(ValueError, match=message):
        rnn_forward(p.x, *weights, nonlinearity="sigmoid")
    with pytest.raises(ValueError, match=message):
        layers.rnn_step_forward(p.x[0], *weights, nonlinearity="sigmoid")
    with pytest.raises(ValueError, match=message):
        layers.packed_rnn_forward(p.x[0], *weights, [2], nonlinearity="sigmoid")


def test_a_relu_has_the_derivative_zero_at_zero() -> None:
    """As PyTorch has it; a state of zeros meets no bias here."""
    p = make_problem("relu", T=2, N=2, D=3, H=4, seed=0)
    still = p.replace(x=torch.zeros_like(p.x), h0=torch.zeros_like(p.h0), b=torch.zeros_like(p.b))
    for gradient in still.gradients().values():
        assert torch.count_nonzero(gradient) == 0
    one, _, cache = step_forward(still, still.x[0], still.h0, still.c0)
    assert torch.count_nonzero(one) == 0
    for gradient in step_backward(still, p.dh[0], p.dc_T, cache).values():
        assert torch.count_nonzero(gradient) == 0


def test_what_is_no_tensor_is_a_type_error() -> None:
    problem = make_problem("rnn", T=1, N=1, D=1, H=1, seed=0)
    with pytest.raises(TypeError, match=r"x must be a torch\.Tensor, got ndarray"):
        rnn_forward(problem.x.numpy(), problem.h0, problem.Wx, problem.Wh, problem.b)  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", CELLS)
def test_results_share_no_memory_with_arguments(cell: str) -> None:
    problem = make_problem(cell, T=2, N=2, D=2, H=2, seed=0)
    h, cache = problem.forward()
    gradients = problem.backward(cache)
    kept = [value for value in cache if isinstance(value, Tensor)]
    owned = {tensor.untyped_storage().data_ptr() for tensor in (*problem.arguments.values(), *kept)}
    for gradient in gradients.values():
        assert gradient.untyped_storage().data_ptr() not in owned
    assert h.untyped_storage().data_ptr() not in {
        tensor.untyped_storage().data_ptr() for tensor in problem.arguments.values()
    }


def test_rnn_backward_is_exported_with_its_cache() -> None:
    problem = make_problem("rnn", T=2, N=1, D=1, H=1, seed=0)
    _, cache = rnn_forward(problem.x, problem.h0, problem.Wx, problem.Wh, problem.b)
    assert [gradient.shape for gradient in rnn_backward(problem.dh, cache)] == [
        tensor.shape for tensor in problem.arguments.values()
    ]
