"""The modules against the ones that they stand in for."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import seeds, sizes
from torch import Tensor

from rnnreport import nn

PAIRS = [(nn.RNN, torch.nn.RNN), (nn.LSTM, torch.nn.LSTM)]
Module = torch.nn.RNNBase


def twins(pair: tuple[Any, Any], seed: int, *args: Any, **options: Any) -> tuple[Module, Module]:
    """Both modules, built from the same seed."""
    modules = []
    for make in pair:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            modules.append(make(*args, dtype=torch.float64, **options))
    return modules[0], modules[1]


def flat(state: Tensor | tuple[Tensor, Tensor]) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else list(state)


def close(actual: Tensor | None, expected: Tensor | None) -> None:
    assert actual is not None
    assert expected is not None
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pair", PAIRS)
@given(
    T=sizes,
    N=st.one_of(st.none(), sizes),
    D=sizes,
    H=sizes,
    seed=seeds,
    batch_first=st.booleans(),
    bias=st.booleans(),
    with_state=st.booleans(),
)
def test_outputs_and_gradients_are_those_of_torch(
    pair: tuple[Any, Any],
    T: int,
    N: int | None,
    D: int,
    H: int,
    seed: int,
    batch_first: bool,
    bias: bool,
    with_state: bool,
) -> None:
    ours, theirs = twins(pair, seed, D, H, bias=bias, batch_first=batch_first)
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    batch = () if N is None else (N,)
    x = draw(*((N, T, D) if N is not None and batch_first else (T, *batch, D)))
    states = [draw(1, *batch, H) for _ in range(1 if pair[0] is nn.RNN else 2)]
    inputs: list[list[Tensor]] = []
    results: list[list[Tensor]] = []
    for module in (ours, theirs):
        leaves = [tensor.clone().requires_grad_() for tensor in (x, *states)]
        hx = leaves[1] if len(leaves) == 2 else tuple(leaves[1:])
        output, state = module(leaves[0], hx) if with_state else module(leaves[0])
        results.append([output, *flat(state)])
        inputs.append(leaves)
    weights = [draw(*result.shape) for result in results[0]]
    for outputs in results:
        torch.stack(
            [(w * o.sin()).sum() for w, o in zip(weights, outputs, strict=True)]
        ).sum().backward()  # type: ignore[no-untyped-call]

    for mine, other in zip(*results, strict=True):
        assert mine.shape == other.shape
        close(mine, other)
    for mine, other in zip(*inputs, strict=True):
        if with_state or mine is inputs[0][0]:
            close(mine.grad, other.grad)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(mine.grad, other.grad)


@pytest.mark.parametrize("pair", PAIRS)
def test_state_dicts_are_exchanged_both_ways(pair: tuple[Any, Any]) -> None:
    ours, _ = twins(pair, 1, 3, 4)
    _, theirs = twins(pair, 2, 3, 4)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    fresh = copy.deepcopy(ours)
    fresh.load_state_dict(theirs.state_dict())
    close(fresh(x)[0], theirs(x)[0])
    theirs.load_state_dict(ours.state_dict())
    close(ours(x)[0], theirs(x)[0])


@pytest.mark.parametrize("pair", PAIRS)
def test_training_keeps_step_with_torch(pair: tuple[Any, Any]) -> None:
    """Both bias vectors move, so that an optimiser sees the same problem."""
    x = torch.randn(6, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    losses: list[list[float]] = [[], []]
    for module, history in zip(twins(pair, 3, 2, 4), losses, strict=True):
        optimiser = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
        for _ in range(20):
            optimiser.zero_grad()
            loss = (module(x)[0] - 0.5).square().mean()
            loss.backward()
            optimiser.step()
            history.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM])
def test_gradcheck(make: Any, batch_first: bool) -> None:
    module = make(2, 3, batch_first=batch_first, dtype=torch.float64)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    N = x.shape[0] if batch_first else x.shape[1]
    states = [
        torch.randn(1, N, 3, dtype=torch.float64, requires_grad=True)
        for _ in range(1 if make is nn.RNN else 2)
    ]
    names = [name for name, _ in module.named_parameters()]

    def f(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        hx = rest[: len(states)]
        values = dict(zip(names, rest[len(states) :], strict=True))
        arguments = (x, hx if len(hx) == 2 else hx[0])
        output, state = torch.func.functional_call(module, values, arguments)
        return (output, *flat(state))

    assert torch.autograd.gradcheck(f, (x, *states, *module.parameters()))


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM])
def test_a_change_in_place_before_backward_is_noticed(make: Any) -> None:
    module = make(2, 3)
    output, _ = module(torch.randn(3, 2, 2))
    output.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM])
def test_no_second_derivative_is_claimed(make: Any) -> None:
    module = make(1, 1)
    x = torch.randn(2, 1, 1, requires_grad=True)
    weights = torch.randn(2, 1, 1, requires_grad=True)
    loss = (weights * module(x)[0]).sum()
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (nn.RNN, {"num_layers": 2}),
        (nn.RNN, {"nonlinearity": "relu"}),
        (nn.RNN, {"bidirectional": True}),
        (nn.LSTM, {"num_layers": 2}),
        (nn.LSTM, {"dropout": 0.5}),
        (nn.LSTM, {"bidirectional": True}),
        (nn.LSTM, {"proj_size": 2}),
    ],
)
def test_what_is_not_derived_is_refused(make: Any, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} must be"):
        make(3, 4, **options)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (nn.RNN, (torch.zeros(4),), "input must have 2 or 3 axes"),
        (nn.LSTM, (torch.zeros(5, 2, 7),), "input must have input_size = 3 features"),
        (nn.RNN, (torch.zeros(5, 2, 3).double(),), "h0|Wx"),
        (nn.RNN, (torch.zeros(0, 2, 3),), "at least one element"),
        (nn.RNN, (torch.zeros(5, 2, 3), torch.zeros(1, 3, 4)), r"hx must have shape \(1, 2, 4\)"),
        (nn.LSTM, (torch.zeros(5, 2, 3), torch.zeros(1, 2, 4)), "hx must be a pair"),
        (
            nn.LSTM,
            (torch.zeros(5, 3), (torch.zeros(1, 4), torch.zeros(1, 1, 4))),
            r"hx\[1\] must have shape \(1, 4\), got \(1, 1, 4\)",
        ),
    ],
)
def test_bad_input_is_named(make: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(3, 4)(*arguments)


def test_a_packed_sequence_is_refused_with_a_way_out() -> None:
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(3, 2), torch.zeros(1, 2)])
    with pytest.raises(TypeError, match="pad_packed_sequence"):
        nn.LSTM(2, 3)(packed)


def attention_states(
    module: nn.AttentionLSTM, x: Tensor, A: Tensor, hx: tuple[Tensor, Tensor]
) -> list[Tensor]:
    """The module's outputs from its definition, for autograd."""
    h, c = (state[0] for state in hx)
    states = []
    for x_t in x:
        query = h[:, None]
        context = torch.nn.functional.scaled_dot_product_attention(query, A, A)[:, 0]
        z = x_t @ module.Wx + h @ module.Wh + context @ module.Wa + module.b
        f, i, candidate, o = z.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * candidate.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return [torch.stack(states), h[None], c[None]]


@given(T=sizes, N=sizes, D=sizes, H=sizes, P=sizes, seed=seeds, with_state=st.booleans())
def test_attention_lstm_is_its_definition(
    T: int, N: int, D: int, H: int, P: int, seed: int, with_state: bool
) -> None:
    module = nn.AttentionLSTM(D, H, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    leaves = [t.requires_grad_() for t in (draw(T, N, D), draw(N, P, H))]
    states = (draw(1, N, H).requires_grad_(), draw(1, N, H).requires_grad_())
    x, A = leaves
    mean = A.mean(1)[None]
    output, final = module(x, A, states if with_state else None)
    expected = attention_states(module, x, A, states if with_state else (mean, mean))
    results = [output, *final]
    weights = [draw(*result.shape) for result in results]
    leaves += [*states] if with_state else []
    gradients = []
    for outputs in (results, expected):
        terms = [(w * o.sin()).sum() for w, o in zip(weights, outputs, strict=True)]
        wanted = [*leaves, *module.parameters()]
        gradients.append(torch.autograd.grad(torch.stack(terms).sum(), wanted, retain_graph=True))
    for mine, other in zip(results, expected, strict=True):
        assert mine.shape == other.shape
        close(mine, other)
    for mine, other in zip(*gradients, strict=True):
        close(mine, other)


def test_attention_lstm_gradcheck() -> None:
    module = nn.AttentionLSTM(2, 3, dtype=torch.float64)
    shapes = [(3, 2, 2), (2, 4, 3), (1, 2, 3), (1, 2, 3)]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    names = [name for name, _ in module.named_parameters()]

    def f(x: Tensor, A: Tensor, h: Tensor, c: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        values = dict(zip(names, rest, strict=True))
        output, state = torch.func.functional_call(module, values, (x, A, (h, c)))
        return (output, *state)

    assert torch.autograd.gradcheck(f, (*inputs, *module.parameters()))


def test_attention_lstm_begins_as_an_lstm_does() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.AttentionLSTM(30, 16)
    shapes = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    assert shapes == {"Wx": (30, 64), "Wh": (16, 64), "Wa": (16, 64), "b": (64,)}
    for parameter in module.parameters():
        assert 0.2 < parameter.detach().abs().max() <= 0.25
    assert repr(module) == "AttentionLSTM(30, 16)"
    fresh = nn.AttentionLSTM(30, 16)
    fresh.load_state_dict(module.state_dict())
    x, A = torch.randn(3, 2, 30), torch.randn(2, 5, 16)
    assert torch.equal(fresh(x, A)[0], module(x, A)[0])


def test_attention_lstm_notices_a_change_in_place_and_claims_no_second_derivative() -> None:
    module = nn.AttentionLSTM(2, 3)
    x, A = torch.randn(3, 2, 2, requires_grad=True), torch.randn(2, 4, 3)
    output, _ = module(x, A)
    output.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()
    (gradient,) = torch.autograd.grad(module(x, A)[0].sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(5, 2), torch.zeros(2, 6, 4)), "input must have 3 axes"),
        ((torch.zeros(5, 2, 3), torch.zeros(6, 4)), "A must have 3 axes"),
        ((torch.zeros(5, 2, 7), torch.zeros(2, 6, 4)), r"Wx must have shape \(D, 4H\) = \(7, 16\)"),
        ((torch.zeros(5, 2, 3), torch.zeros(1, 6, 4)), r"h0 must have shape \(N, H\) = \(2, 4\)"),
        (
            (torch.zeros(5, 2, 3), torch.zeros(2, 6, 4), (torch.zeros(2, 4), torch.zeros(1, 2, 4))),
            r"hx\[0\] must have shape \(1, 2, 4\), got \(2, 4\)",
        ),
        (
            (torch.zeros(5, 2, 3), torch.zeros(2, 6, 4), (torch.zeros(1, 2, 4),)),
            "hx must be a pair",
        ),
    ],
)
def test_attention_lstm_names_bad_input(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nn.AttentionLSTM(3, 4)(*arguments)


def test_attention_lstm_refuses_an_empty_state() -> None:
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        nn.AttentionLSTM(3, 0)
