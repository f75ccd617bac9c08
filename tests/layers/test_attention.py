"""Attention and the LSTM that attends: every gradient against independent oracles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    ROUNDING,
    AnyProblem,
    assert_all_close,
    assert_close,
    draw,
    loss_of,
    seeds,
    sizes,
)
from torch import Tensor

from rnnreport import layers
from rnnreport.layers import (
    AttentionLSTMCache,
    attention_backward,
    attention_forward,
    attention_lstm_backward,
    attention_lstm_forward,
    attention_lstm_step_backward,
    attention_lstm_step_forward,
    lstm_backward,
    lstm_forward,
)
from rnnreport.proof import complex_step, complex_step_gradient, relative_residual

ARGUMENTS = ("x", "A", "h0", "c0", "Wx", "Wh", "Wa", "b")
WEIGHTS = ("Wx", "Wh", "Wa", "b")


@dataclass(frozen=True)
class Problem(AnyProblem):
    """A sequence, a map, and the upstream gradients of all that the layer puts out."""

    x: Tensor
    A: Tensor
    h0: Tensor
    c0: Tensor
    Wx: Tensor
    Wh: Tensor
    Wa: Tensor
    b: Tensor
    dh: Tensor
    dc_T: Tensor

    @property
    def arguments(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in ARGUMENTS}

    def forward(self) -> tuple[Tensor, AttentionLSTMCache]:
        return attention_lstm_forward(*self.arguments.values())

    def backward(self, cache: AttentionLSTMCache) -> dict[str, Tensor]:
        gradients = attention_lstm_backward(self.dh, cache, dc_T=self.dc_T)
        return dict(zip(ARGUMENTS, gradients, strict=True))

    def gradients(self) -> dict[str, Tensor]:
        return self.backward(self.forward()[1])

    def loss(self) -> Tensor:
        h, cache = self.forward()
        return (self.dh * h).sum() + (self.dc_T * cache.c[-1]).sum()

    def plain_loss(self) -> Tensor:
        h, c = self.h0, self.c0
        H = h.shape[1]
        loss = torch.zeros((), dtype=self.x.dtype, device=self.x.device)
        for x_t, dh_t in zip(self.x, self.dh, strict=True):
            score = torch.exp(torch.einsum("nph,nh->np", self.A, h) / H**0.5)
            weights = score / score.sum(1, keepdim=True)
            context = torch.einsum("np,nph->nh", weights, self.A)
            z = torch.einsum("nd,dk->nk", x_t, self.Wx) + torch.einsum("nh,hk->nk", h, self.Wh)
            z = z + torch.einsum("nh,hk->nk", context, self.Wa) + self.b
            forget = 1 / (1 + torch.exp(-z[:, :H]))
            entry = 1 / (1 + torch.exp(-z[:, H : 2 * H]))
            candidate = z[:, 2 * H : 3 * H].tanh()
            out = 1 / (1 + torch.exp(-z[:, 3 * H :]))
            c = forget * c + entry * candidate
            h = out * c.tanh()
            loss = loss + (dh_t * h).sum()
        return loss + (self.dc_T * c).sum()


def make_problem(T: int, N: int, D: int, H: int, P: int, seed: int, scale: float = 1.0) -> Problem:
    """Draw a problem in float64; `scale` stretches weights and scores, towards saturation."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Problem(
        x=draw(T, N, D),
        A=draw(N, P, H) * scale,
        h0=draw(N, H),
        c0=draw(N, H),
        Wx=draw(D, 4 * H) * scale / D**0.5,
        Wh=draw(H, 4 * H) * scale / H**0.5,
        Wa=draw(H, 4 * H) * scale / H**0.5,
        b=draw(4 * H),
        dh=draw(T, N, H),
        dc_T=draw(N, H),
    )


small = st.integers(1, 4)  # one evaluation an element, of eight arguments
problems = st.builds(
    make_problem,
    T=small,
    N=small,
    D=small,
    H=small,
    P=sizes,
    seed=seeds,
    scale=st.sampled_from([0.1, 1.0, 3.0]),
)


# Attention by itself


@given(N=sizes, P=sizes, H=sizes, seed=seeds, scale=st.sampled_from([0.1, 1.0, 3.0]))
def test_attention_is_that_of_torch(N: int, P: int, H: int, seed: int, scale: float) -> None:
    h, A, upstream = draw(seed, N, H), scale * draw(seed + 1, N, P, H), draw(seed + 2, N, H)
    context, cache = attention_forward(h, A)
    leaves = [h.clone().requires_grad_(), A.clone().requires_grad_()]
    query, places = leaves[0][:, None], leaves[1]
    expected = torch.nn.functional.scaled_dot_product_attention(query, places, places)[:, 0]
    assert_close(context, expected.detach())
    for mine, other in zip(
        attention_backward(upstream, cache),
        torch.autograd.grad((upstream * expected).sum(), leaves),
        strict=True,
    ):
        assert_close(mine, other)


@given(N=sizes, P=sizes, H=sizes, seed=seeds)
def test_attention_is_differentiated_as_the_complex_step_has_it(
    N: int, P: int, H: int, seed: int
) -> None:
    h, A, upstream = draw(seed, N, H), draw(seed + 1, N, P, H), draw(seed + 2, N, H)
    dh, dA = attention_backward(upstream, attention_forward(h, A)[1])
    by_h = complex_step_gradient(
        lambda z: (upstream * attention_forward(z, A.to(z.dtype))[0]).sum(), h
    )
    by_A = complex_step_gradient(
        lambda z: (upstream * attention_forward(h.to(z.dtype), z)[0]).sum(), A
    )
    assert_close(dh, by_h)
    assert_close(dA, by_A)


@given(N=sizes, P=sizes, H=sizes, seed=seeds)
def test_weights_are_a_distribution_over_the_places(N: int, P: int, H: int, seed: int) -> None:
    h, A = draw(seed, N, H), draw(seed + 1, N, P, H)
    context, cache = attention_forward(h, A)
    assert (cache.weights > 0).all()
    assert_close(cache.weights.sum(1), torch.ones(N, dtype=torch.float64))
    assert (context <= A.amax(1) + 1e-12).all()
    assert (context >= A.amin(1) - 1e-12).all()
    order = torch.randperm(P, generator=torch.Generator().manual_seed(seed))
    shuffled, other = attention_forward(h, A[:, order])
    assert_close(shuffled, context)
    assert_close(other.weights, cache.weights[:, order])


def test_one_place_is_read_whole_and_tells_the_query_nothing() -> None:
    h, A, upstream = draw(0, 3, 4), draw(1, 3, 1, 4), draw(2, 3, 4)
    context, cache = attention_forward(h, A)
    dh, dA = attention_backward(upstream, cache)
    assert torch.equal(context, A[:, 0])
    assert torch.equal(dA[:, 0], upstream)
    assert torch.count_nonzero(dh) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_scores_do_not_overflow(dtype: torch.dtype) -> None:
    h, A = (1e3 * draw(seed, *shape).to(dtype) for seed, shape in ((0, (2, 4)), (1, (2, 5, 4))))
    context, cache = attention_forward(h, A)
    best = (A @ h[:, :, None])[:, :, 0].argmax(1)
    torch.testing.assert_close(context, A[torch.arange(2), best])
    assert all(g.isfinite().all() for g in attention_backward(context, cache))


def test_large_scores_do_not_overflow_in_a_sequence() -> None:
    problem = make_problem(T=4, N=3, D=2, H=4, P=5, seed=1).to(torch.float32)
    h, cache = problem.replace(A=1e4 * problem.A).forward()
    assert h.isfinite().all()
    torch.testing.assert_close(cache.weights.sum(2), torch.ones(4, 3))
    gradients = attention_lstm_backward(problem.dh, cache)
    assert all(gradient.isfinite().all() for gradient in gradients)


# One step


@given(problems)
def test_step_gradients_are_the_complex_step_of_the_step(problem: Problem) -> None:
    arguments = problem.arguments | {"x": problem.x[0]}
    order = ("x", "h0", "c0", "A", "Wx", "Wh", "Wa", "b")
    point = [arguments[name] for name in order]
    *_, cache = attention_lstm_step_forward(*point)
    gradients = attention_lstm_step_backward(problem.dh[0], problem.dc_T, cache)

    def loss_of_step(k: int) -> Callable[[Tensor], Tensor]:
        def f(value: Tensor) -> Tensor:
            moved = [value if n == k else t.to(value.dtype) for n, t in enumerate(point)]
            h, c, _ = attention_lstm_step_forward(*moved)
            return (problem.dh[0] * h).sum() + (problem.dc_T * c).sum()

        return f

    for k, gradient in enumerate(gradients):
        assert_close(gradient, complex_step_gradient(loss_of_step(k), point[k]))


def test_full_jacobian_of_a_tiny_step() -> None:
    """Each element of both states is differentiated by each element of each argument."""
    problem = make_problem(T=1, N=2, D=2, H=2, P=3, seed=4)
    point = [problem.x[0], problem.h0, problem.c0, problem.A]
    point += [getattr(problem, name) for name in WEIGHTS]
    *_, cache = attention_lstm_step_forward(*point)
    for row in range(8):
        units = torch.eye(8, dtype=torch.float64)[row].view(2, 2, 2)
        gradients = attention_lstm_step_backward(units[0], units[1], cache)
        for k, gradient in enumerate(gradients):
            for column in range(point[k].numel()):
                direction = torch.zeros_like(point[k])
                direction.view(-1)[column] = 1

                def states(z: Tensor, k: int = k) -> Tensor:
                    moved = [z if n == k else t.to(z.dtype) for n, t in enumerate(point)]
                    return torch.stack(attention_lstm_step_forward(*moved)[:2])

                entry = complex_step(states, point[k], direction).view(-1)[row]
                assert abs(gradient.reshape(-1)[column] - entry) < 1e-14


# The sequence against oracles


@given(problems)
def test_gradient_is_the_complex_step_of_the_layer(problem: Problem) -> None:
    gradients = problem.gradients()
    for name, value in problem.arguments.items():
        assert_close(gradients[name], complex_step_gradient(loss_of(problem, name), value))


@given(problems)
def test_gradient_is_the_complex_step_of_the_definition(problem: Problem) -> None:
    gradients = problem.gradients()
    for name, value in problem.arguments.items():
        expected = complex_step_gradient(loss_of(problem, name, plain=True), value)
        assert_close(gradients[name], expected)


@given(problems)
def test_gradient_is_autograd_of_the_definition(problem: Problem) -> None:
    leaves = {name: value.clone().requires_grad_() for name, value in problem.arguments.items()}
    expected = torch.autograd.grad(problem.replace(**leaves).plain_loss(), list(leaves.values()))
    assert_all_close(problem.gradients(), dict(zip(leaves, expected, strict=True)))


@given(problems)
def test_a_long_sequence_along_a_random_direction(problem: Problem) -> None:
    T, N, D = problem.x.shape
    H, P = problem.h0.shape[1], problem.A.shape[1]
    long = make_problem(20 + T, N, D, H, P, seed=T + 7 * N)
    gradients = long.gradients()
    for name, value in long.arguments.items():
        direction = draw(3, *value.shape)
        slope = complex_step(loss_of(long, name), value, direction)
        terms = (gradients[name] * direction).abs().sum()
        assert abs((gradients[name] * direction).sum() - slope) <= ROUNDING * max(1.0, float(terms))


@given(problems)
def test_without_weights_for_the_context_it_is_the_lstm(problem: Problem) -> None:
    blind = problem.replace(Wa=torch.zeros_like(problem.Wa))
    h, cache = blind.forward()
    expected, lstm_cache = lstm_forward(
        problem.x, problem.h0, problem.Wx, problem.Wh, problem.b, problem.c0
    )
    assert_close(h, expected)
    dx, dh0, dWx, dWh, db, dc0 = lstm_backward(
        problem.dh, lstm_cache, dc_T=problem.dc_T, return_dc0=True
    )
    gradients = blind.backward(cache)
    lstm = {"x": dx, "h0": dh0, "c0": dc0, "Wx": dWx, "Wh": dWh, "b": db}
    assert_all_close({name: gradients[name] for name in lstm}, lstm)
    assert torch.count_nonzero(gradients["A"]) == 0


@given(problems)
def test_sequence_is_the_step_repeated(problem: Problem) -> None:
    h, c, caches, states = problem.h0, problem.c0, [], []
    weights = [getattr(problem, name) for name in WEIGHTS]
    for x_t in problem.x:
        h, c, cache = attention_lstm_step_forward(x_t, h, c, problem.A, *weights)
        caches.append(cache)
        states.append(h)
    actual, sequence = problem.forward()
    assert_close(actual, torch.stack(states))
    assert_close(sequence.c[-1], c)
    assert_close(sequence.weights, torch.stack([cache.attention.weights for cache in caches]))

    expected = {name: torch.zeros_like(value) for name, value in problem.arguments.items()}
    dh, dc = torch.zeros_like(problem.h0), problem.dc_T
    for t in reversed(range(len(caches))):
        dx, dh, dc, dA, *dweights = attention_lstm_step_backward(problem.dh[t] + dh, dc, caches[t])
        expected["x"][t] = dx
        for name, gradient in zip(("A", *WEIGHTS), (dA, *dweights), strict=True):
            expected[name] += gradient
    assert_all_close(problem.gradients(), expected | {"h0": dh, "c0": dc})


# Properties


@given(problems, st.data())
def test_a_sequence_cut_in_two_and_carried_over_is_the_whole(
    problem: Problem, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, problem.x.shape[0]))
    if cut in (0, problem.x.shape[0]):
        return
    first = problem.replace(x=problem.x[:cut])
    h_first, cache_first = first.forward()
    second = problem.replace(
        x=problem.x[cut:], dh=problem.dh[cut:], h0=h_first[-1], c0=cache_first.c[-1]
    )
    h_second, cache_second = second.forward()
    assert_close(torch.cat([h_first, h_second]), problem.forward()[0])

    back_second = second.backward(cache_second)
    dh_first = problem.dh[:cut].clone()
    dh_first[-1] += back_second["h0"]
    back_first = first.replace(dh=dh_first, dc_T=back_second["c0"]).backward(cache_first)
    joined = {name: back_first[name] + back_second[name] for name in ("A", *WEIGHTS)}
    joined["x"] = torch.cat([back_first["x"], back_second["x"]])
    joined |= {name: back_first[name] for name in ("h0", "c0")}
    assert_all_close(joined, problem.gradients())


@given(problems)
def test_rows_of_a_batch_are_independent(problem: Problem) -> None:
    whole_h, whole = problem.forward()[0], problem.gradients()
    summed = {name: torch.zeros_like(whole[name]) for name in WEIGHTS}
    for n in range(problem.x.shape[1]):
        row = problem.replace(
            x=problem.x[:, n : n + 1],
            dh=problem.dh[:, n : n + 1],
            **{name: getattr(problem, name)[n : n + 1] for name in ("A", "h0", "c0", "dc_T")},
        )
        assert_close(row.forward()[0][:, 0], whole_h[:, n])
        gradients = row.gradients()
        assert_close(gradients["x"][:, 0], whole["x"][:, n])
        for name in ("A", "h0", "c0"):
            assert_close(gradients[name][0], whole[name][n])
        for name in summed:
            summed[name] += gradients[name]
    assert_all_close(summed, {name: whole[name] for name in summed})


@given(problems)
def test_the_order_of_the_places_does_not_matter(problem: Problem) -> None:
    turned = problem.replace(A=problem.A.flip(1))
    h, cache = turned.forward()
    expected, gradients = problem.forward(), problem.gradients()
    assert_close(h, expected[0])
    assert_close(cache.weights.flip(2), expected[1].weights)
    assert_all_close(turned.gradients(), gradients | {"A": gradients["A"].flip(1)})


@given(problems, st.floats(-3, 3), st.floats(-3, 3), seeds)
def test_backward_is_linear_in_the_upstream_gradient(
    problem: Problem, alpha: float, beta: float, seed: int
) -> None:
    _, cache = problem.forward()
    other = problem.replace(
        dh=draw(seed, *problem.dh.shape), dc_T=draw(seed + 1, *problem.dc_T.shape)
    )
    combined = problem.replace(
        dh=alpha * problem.dh + beta * other.dh, dc_T=alpha * problem.dc_T + beta * other.dc_T
    )
    first, second = problem.backward(cache), other.backward(cache)
    expected = {name: alpha * first[name] + beta * second[name] for name in first}
    assert_all_close(combined.backward(cache), expected, tolerance=1e-11)


@given(problems)
def test_backward_twice_agrees_bit_for_bit(problem: Problem) -> None:
    _, cache = problem.forward()
    first, second = problem.backward(cache), problem.backward(cache)
    for name in first:
        assert torch.equal(first[name], second[name])


@given(problems)
def test_zero_upstream_gradient_gives_zero(problem: Problem) -> None:
    zero = problem.replace(dh=torch.zeros_like(problem.dh), dc_T=torch.zeros_like(problem.dc_T))
    for gradient in zero.gradients().values():
        assert torch.count_nonzero(gradient) == 0


@given(problems)
def test_no_argument_is_changed(problem: Problem) -> None:
    before = {name: tensor.clone() for name, tensor in problem.tensors.items()}
    h, cache = problem.forward()
    cache_before = [tensor.clone() for tensor in cache]
    gradients = problem.backward(cache)
    for name, tensor in problem.tensors.items():
        assert torch.equal(tensor, before[name]), name
    for tensor, copy in zip(cache, cache_before, strict=True):
        assert torch.equal(tensor, copy)
    owned = {
        tensor.untyped_storage().data_ptr() for tensor in (*problem.arguments.values(), *cache)
    }
    for gradient in gradients.values():
        assert gradient.untyped_storage().data_ptr() not in owned
        assert gradient.is_contiguous()  # no window on a work space
    assert torch.equal(h, cache.h)


@given(problems)
def test_strides_do_not_matter(problem: Problem) -> None:
    strided = problem.replace(
        **{
            name: tensor.mT.contiguous().mT if tensor.dim() > 1 else tensor.repeat(2)[: len(tensor)]
            for name, tensor in problem.tensors.items()
        }
    )
    assert_close(strided.forward()[0], problem.forward()[0])
    assert_all_close(strided.gradients(), problem.gradients())


def test_an_expanded_map_is_taken() -> None:
    """Beam search reads one map for several rows."""
    problem = make_problem(T=3, N=4, D=2, H=3, P=5, seed=1)
    expanded = problem.replace(A=problem.A[:1].expand_as(problem.A))
    dense = problem.replace(A=expanded.A.clone())
    assert_all_close(expanded.gradients(), dense.gradients())


@given(problems)
def test_float32_stays_float32_and_close(problem: Problem) -> None:
    single = problem.to(torch.float32)
    exact, (h, cache) = problem.gradients(), single.forward()
    assert h.dtype == cache.weights.dtype == torch.float32
    assert relative_residual(h.double(), problem.forward()[0]) < 1e-4
    for name, gradient in single.gradients().items():
        assert gradient.dtype == torch.float32
        assert_close(gradient.double(), exact[name], tolerance=1e-4)


def test_no_graph_is_recorded() -> None:
    problem = make_problem(T=2, N=1, D=1, H=1, P=2, seed=0)
    watched = problem.replace(A=problem.A.clone().requires_grad_())
    h, cache = watched.forward()
    assert not h.requires_grad
    assert not any(gradient.requires_grad for gradient in watched.backward(cache).values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_agrees_with_the_cpu(dtype: torch.dtype) -> None:
    problem = make_problem(T=7, N=5, D=4, H=6, P=9, seed=2).to(dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-11
    device = problem.to(torch.device("cuda"))
    assert_close(device.forward()[0].cpu(), problem.forward()[0], tolerance)
    on_device = {name: gradient.cpu() for name, gradient in device.gradients().items()}
    assert_all_close(on_device, problem.gradients(), tolerance)


def test_dc_T_defaults_to_zero() -> None:
    problem = make_problem(T=3, N=2, D=2, H=3, P=4, seed=3)
    _, cache = problem.forward()
    zero = attention_lstm_backward(problem.dh, cache, dc_T=torch.zeros_like(problem.dc_T))
    for mine, other in zip(attention_lstm_backward(problem.dh, cache), zero, strict=True):
        assert torch.equal(mine, other)


# Bad input

ERRORS = [
    # argument, change, what the message must say
    ("x", lambda t: t[0], r"x must have shape \(T, N, D\)"),
    ("x", lambda t: t[:0], "x must have at least one element along every axis"),
    ("x", lambda t: t.half(), "x must have one of the dtypes .* got torch.float16"),
    ("A", lambda t: t[0], r"A must have shape \(N, P, H\) = \(2, any, 4\), got \(5, 4\)"),
    ("A", lambda t: t[:1], r"A must have shape \(N, P, H\) = \(2, 5, 4\), got \(1, 5, 4\)"),
    ("A", lambda t: t[:, :, 1:], r"A must have shape \(N, P, H\) = \(2, 5, 4\), got \(2, 5, 3\)"),
    ("A", lambda t: t[:, :0], "A must have at least one element along every axis"),
    ("A", lambda t: t.float(), "A must have dtype torch.float64 as x has"),
    ("A", lambda t: t.to("meta"), "A must be on cpu as x is, got meta"),
    ("h0", lambda t: t[:1], r"h0 must have shape \(N, H\) = \(2, 4\), got \(1, 4\)"),
    ("c0", lambda t: t[:, :1], r"c0 must have shape \(N, H\) = \(2, 4\), got \(2, 1\)"),
    ("Wx", lambda t: t[:, :-1], r"Wx must have shape \(D, 4H\) = \(3, 16\)"),
    ("Wh", lambda t: t.mT, r"Wh must have shape \(H, 4H\) = \(4, 16\), got \(16, 4\)"),
    ("Wa", lambda t: t[:1], r"Wa must have shape \(H, 4H\) = \(4, 16\), got \(1, 16\)"),
    ("Wa", lambda t: t.float(), "Wa must have dtype torch.float64 as x has"),
    ("b", lambda t: t[:4], r"b must have shape \(4H\) = \(16\), got \(4,\)"),
    ("dh", lambda t: t[:-1], r"dh must have shape \(T, N, H\) = \(3, 2, 4\)"),
    ("dh", lambda t: t.float(), "dh must have dtype torch.float64"),
    ("dc_T", lambda t: t[0], r"dc_T must have shape \(N, H\) = \(2, 4\)"),
]


@pytest.mark.parametrize(("name", "change", "message"), ERRORS)
def test_bad_input_is_named(name: str, change: object, message: str) -> None:
    problem = make_problem(T=3, N=2, D=3, H=4, P=5, seed=0)
    assert callable(change)
    with pytest.raises(ValueError, match=message):
        problem.replace(**{name: change(getattr(problem, name))}).gradients()


def test_step_and_attention_name_bad_input() -> None:
    p = make_problem(T=1, N=2, D=3, H=4, P=5, seed=0)
    weights = [getattr(p, name) for name in WEIGHTS]
    with pytest.raises(ValueError, match=r"prev_c must have shape \(N, H\) = \(2, 4\)"):
        attention_lstm_step_forward(p.x[0], p.h0, p.c0[:1], p.A, *weights)
    with pytest.raises(ValueError, match=r"A must have shape \(N, P, H\) = \(2, any, 4\)"):
        attention_lstm_step_forward(p.x[0], p.h0, p.c0, p.A[0], *weights)
    *_, cache = attention_lstm_step_forward(p.x[0], p.h0, p.c0, p.A, *weights)
    with pytest.raises(ValueError, match=r"dnext_c must have dtype torch\.float64"):
        attention_lstm_step_backward(p.dh[0], p.dc_T.float(), cache)
    with pytest.raises(ValueError, match=r"A must have dtype torch\.float64 as h has"):
        attention_forward(p.h0, p.A.float())
    _, attention = attention_forward(p.h0, p.A)
    with pytest.raises(ValueError, match=r"dcontext must have shape \(N, H\) = \(2, 4\)"):
        attention_backward(p.h0[:, :1], attention)
    with pytest.raises(TypeError, match=r"h must be a torch\.Tensor, got ndarray"):
        attention_forward(p.h0.numpy(), p.A)  # type: ignore[arg-type]


def test_layers_export_what_the_step_returns() -> None:
    p = make_problem(T=1, N=2, D=3, H=4, P=5, seed=0)
    *_, cache = attention_lstm_step_forward(
        p.x[0], p.h0, p.c0, p.A, *(getattr(p, name) for name in WEIGHTS)
    )
    assert isinstance(cache, layers.AttentionLSTMStepCache)
    assert isinstance(cache.attention, layers.AttentionCache)
    assert cache.attention.weights.shape == (2, 5)
    assert cache.context.shape == (2, 4)
