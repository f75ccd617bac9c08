"""The modules against the ones that they stand in for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import seeds, sizes
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils._pytree import tree_leaves

from rnnreport import nn

MODULES = ("RNN", "GRU", "LSTM")
CELLS = ("RNNCell", "GRUCell", "LSTMCell")
Module = torch.nn.RNNBase


def twins(name: str, seed: int, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Ours and torch's module, built from the same seed."""
    modules = []
    for package in (nn, torch.nn):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            modules.append(getattr(package, name)(*args, **({"dtype": torch.float64} | options)))
    return modules[0], modules[1]


def flat(state: Tensor | tuple[Tensor, Tensor]) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else list(state)


def close(actual: Tensor | None, expected: Tensor | None) -> None:
    assert (actual is None) == (expected is None)
    if actual is not None:
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


def results(module: Any, *arguments: Any, seed: int = 0) -> list[Tensor | None]:
    """Outputs, and gradients of all tensors and parameters, from fresh leaves."""
    leaves: list[Tensor] = []

    def fresh(value: Any) -> Any:
        if isinstance(value, tuple) and not isinstance(value, PackedSequence):
            return tuple(map(fresh, value))
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        leaves.append(value.detach().clone().requires_grad_())
        return leaves[-1]

    def given(value: Any) -> Any:
        if isinstance(value, PackedSequence):
            return PackedSequence(fresh(value.data), *value[1:])
        return fresh(value)

    module.zero_grad()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of dropout
        returned = module(*map(given, arguments))
        outputs = [each for each in tree_leaves(returned) if isinstance(each, Tensor)]
        outputs = [each for each in outputs if each.requires_grad]
        generator = torch.Generator().manual_seed(seed)
        weights = [torch.randn(o.shape, generator=generator, dtype=o.dtype) for o in outputs]
    loss = sum((w * o.sin()).sum() for w, o in zip(weights, outputs, strict=True))
    assert isinstance(loss, Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [each.grad for each in (*leaves, *module.parameters())]
    return [*(each.detach() for each in outputs), *gradients]


def same(pair: tuple[Any, Any], *arguments: Any) -> None:
    ours, theirs = (results(module, *arguments) for module in pair)
    for mine, other in zip(ours, theirs, strict=True):
        close(mine, other)


def draws(seed: int) -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", MODULES)
@given(
    T=sizes,
    N=st.one_of(st.none(), sizes),
    D=sizes,
    H=sizes,
    layers=st.integers(1, 3),
    projection=st.booleans(),
    relu=st.booleans(),
    dropout=st.sampled_from([0.0, 0.4, 1.0]),
    flags=st.tuples(*[st.booleans()] * 4),
    seed=seeds,
)
def test_outputs_and_gradients_are_those_of_torch(
    name: str,
    T: int,
    N: int | None,
    D: int,
    H: int,
    layers: int,
    projection: bool,
    relu: bool,
    dropout: float,
    flags: tuple[bool, bool, bool, bool],
    seed: int,
) -> None:
    batch_first, bias, bidirectional, with_state = flags
    options: dict[str, Any] = {"num_layers": layers, "bias": bias, "batch_first": batch_first}
    options |= {"bidirectional": bidirectional, "dropout": dropout if layers > 1 else 0.0}
    P = H
    if name == "RNN" and relu:
        options["nonlinearity"] = "relu"
    if name == "LSTM" and projection and H > 1:
        options["proj_size"] = P = H - 1
    draw = draws(seed)
    batch = () if N is None else (N,)
    x = draw(*((N, T, D) if N is not None and batch_first else (T, *batch, D)))
    count = layers * (1 + bidirectional)
    states = (draw(count, *batch, P), draw(count, *batch, H))
    hx = states if name == "LSTM" else states[0]
    same(twins(name, seed, D, H, **options), *((x, hx) if with_state else (x,)))


@pytest.mark.parametrize("name", MODULES)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    layers=st.integers(1, 2),
    flags=st.tuples(*[st.booleans()] * 4),
    seed=seeds,
)
def test_packed_sequences_are_those_of_torch(
    name: str, lengths: list[int], layers: int, flags: tuple[bool, ...], seed: int
) -> None:
    bidirectional, with_state, sorted_, projection = flags
    N, D, H, draw = len(lengths), 2, 3, draws(seed)
    options: dict[str, Any] = {"num_layers": layers, "bidirectional": bidirectional}
    P = H
    if name == "LSTM" and projection:
        options["proj_size"] = P = 2
    lengths = sorted(lengths, reverse=True) if sorted_ else lengths
    x = pack_sequence([draw(n, D) for n in lengths], enforce_sorted=sorted_)
    count = layers * (1 + bidirectional)
    states = (draw(count, N, P), draw(count, N, H))
    hx = states if name == "LSTM" else states[0]
    pair = twins(name, seed, D, H, **options)
    same(pair, *((x, hx) if with_state else (x,)))
    output, _ = pair[0](x)
    assert isinstance(output, PackedSequence)
    for mine, other in zip(output[1:], x[1:], strict=True):
        assert mine is other


@pytest.mark.parametrize("name", CELLS)
@given(
    N=st.one_of(st.none(), sizes),
    D=sizes,
    H=sizes,
    bias=st.booleans(),
    relu=st.booleans(),
    with_state=st.booleans(),
    seed=seeds,
)
def test_cells_are_those_of_torch(
    name: str, N: int | None, D: int, H: int, bias: bool, relu: bool, with_state: bool, seed: int
) -> None:
    draw, batch = draws(seed), () if N is None else (N,)
    options: dict[str, Any] = {"nonlinearity": "relu"} if name == "RNNCell" and relu else {}
    states = (draw(*batch, H), draw(*batch, H))
    hx = states if name == "LSTMCell" else states[0]
    pair = twins(name, seed, D, H, bias=bias, **options)
    same(pair, *((draw(*batch, D), hx) if with_state else (draw(*batch, D),)))


@pytest.mark.parametrize("name", MODULES)
def test_training_keeps_step_with_torch(name: str) -> None:
    """Both bias vectors move, so that an optimiser sees the same problem."""
    x = draws(0)(6, 3, 2)
    losses: list[list[float]] = [[], []]
    for module, history in zip(twins(name, 3, 2, 4), losses, strict=True):
        optimiser = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
        for _ in range(20):
            optimiser.zero_grad()
            loss = (module(x)[0] - 0.5).square().mean()
            loss.backward()
            optimiser.step()
            history.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in MODULES]
    + [
        ("RNN", {"batch_first": True, "num_layers": 2}),
        ("LSTM", {"bidirectional": True}),
        ("LSTM", {"proj_size": 2}),
    ],
)
def test_gradcheck(name: str, options: dict[str, Any]) -> None:
    module, _ = twins(name, 0, 2, 3, **options)
    x = draws(0)(3, 2, 2).requires_grad_()
    names = [each for each, _ in module.named_parameters()]

    def f(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        values = dict(zip(names, rest, strict=True))
        output, state = torch.func.functional_call(module, values, (x,))
        return (output, *flat(state))

    assert torch.autograd.gradcheck(f, (x, *module.parameters()))


LOST = torch.zeros(5, 2, 3)


def packed(*sizes: int) -> PackedSequence:
    return PackedSequence(torch.zeros(5, 3), torch.tensor(sizes, dtype=torch.int64))


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("RNN", (torch.zeros(4),), ValueError, r"RNN: input must be 2D.*got shape \(4,\)"),
        ("LSTM", (torch.zeros(5, 2, 7),), RuntimeError, "input must have input_size = 3 features"),
        ("GRU", (LOST.double(),), ValueError, "input must have the dtype of the parameters"),
        ("GRU", (LOST.long(),), ValueError, "input must have the dtype of the parameters"),
        ("RNN", (torch.zeros(0, 2, 3),), RuntimeError, "input must have at least one step"),
        ("RNN", (None,), TypeError, "input must be a tensor or a PackedSequence, got NoneType"),
        ("RNN", (LOST, torch.zeros(1, 3, 4)), RuntimeError, r"hx must have shape \(1, 2, 4\)"),
        ("GRU", (LOST, torch.zeros(2, 4)), RuntimeError, r"\(1, 2, 4\), got \(2, 4\)"),
        ("GRU", (LOST, (torch.zeros(1, 2, 4),)), TypeError, "hx must be a tensor, got tuple"),
        ("RNN", (LOST, torch.zeros(1, 2, 4).double()), RuntimeError, "hx must have the dtype"),
        ("LSTM", (LOST, torch.zeros(1, 2, 4)), TypeError, "hx must be a pair.*single Tensor"),
        ("LSTM", (LOST, (torch.zeros(1, 2, 4),) * 3), TypeError, "hx must be a pair.*got 3"),
        (
            "LSTM",
            (torch.zeros(5, 3), (torch.zeros(1, 4), torch.zeros(1, 1, 4))),
            RuntimeError,
            r"hx\[1\] must have shape \(1, 4\), got \(1, 1, 4\)",
        ),
        ("RNN", (pack_sequence([torch.zeros(2)]),), RuntimeError, r"input\.data must have 2 axes"),
        ("GRU", (packed(2, 3),), RuntimeError, r"input\.batch_sizes must hold .* got \[2, 3\]"),
        ("GRU", (packed(5, 0),), RuntimeError, r"input\.batch_sizes must hold .* got \[5, 0\]"),
        ("GRU", (packed(),), RuntimeError, r"input\.batch_sizes must hold .* got \[\]"),
        ("LSTM", (packed(2, 2),), RuntimeError, r"input\.batch_sizes must have the sum 5.* got 4"),
    ],
)
def test_bad_input_is_named(
    name: str, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        getattr(nn, name)(3, 4)(*arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("RNNCell", (torch.zeros(2, 2, 3),), ValueError, "RNNCell: input must be 1D"),
        ("LSTMCell", (torch.zeros(2, 7),), RuntimeError, "input must have input_size = 3 features"),
        ("GRUCell", (torch.zeros(2, 3).double(),), RuntimeError, "input must have the dtype"),
        (
            "LSTMCell",
            (torch.zeros(2, 3), (torch.zeros(1, 2, 4),) * 2),
            ValueError,
            r"LSTMCell: hx\[0\] must have shape \(2, 4\), got \(1, 2, 4\)",
        ),
        ("GRUCell", (None,), TypeError, "input must be a tensor, got NoneType"),
        (
            "RNNCell",
            (torch.zeros(2, 3), torch.zeros(4)),
            RuntimeError,
            r"hx must have shape \(2, 4",
        ),
        ("LSTMCell", (torch.zeros(2, 3), torch.zeros(2, 4)), TypeError, "hx must be a pair"),
    ],
)
def test_bad_input_of_cells_is_named(
    name: str, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        getattr(nn, name)(3, 4)(*arguments)


def test_a_cell_knows_no_other_nonlinearity() -> None:
    cell = nn.RNNCell(3, 4, nonlinearity="gelu")  # torch does not look before the first step
    with pytest.raises(RuntimeError, match="nonlinearity must be 'tanh' or 'relu', got 'gelu'"):
        cell(torch.zeros(2, 3))


def test_a_lost_parameter_is_named() -> None:
    module = nn.GRU(3, 4)
    del module.weight_hh_l0
    with pytest.raises(AttributeError, match="weight_hh_l0"):
        module(LOST)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_layers": 0}, ValueError),
        ({"hidden_size": 0}, ValueError),
        ({"dropout": 1.5}, ValueError),
        ({"bias": 1}, TypeError),
    ],
)
def test_bad_options_are_refused_as_torch_does(
    options: dict[str, Any], error: type[Exception]
) -> None:
    for name in MODULES:
        for package in (nn, torch.nn):
            with pytest.raises(error):
                getattr(package, name)(**({"input_size": 3, "hidden_size": 4} | options))


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


def test_attention_lstm_allows_a_change_in_place_and_claims_no_second_derivative() -> None:
    module = nn.AttentionLSTM(2, 3)
    x, A = torch.randn(3, 2, 2, requires_grad=True), torch.randn(2, 4, 3)
    output, _ = module(x, A)
    output.mul_(2)
    output.sum().backward()
    (gradient,) = torch.autograd.grad(module(x, A)[0].sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"AttentionLSTM is derived by hand"):
        gradient.sum().backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.zeros(5, 2), torch.zeros(2, 6, 4)), ValueError, "input must have 3 axes"),
        ((torch.zeros(5, 2, 3), torch.zeros(6, 4)), ValueError, "A must have 3 axes"),
        ((torch.zeros(5, 2, 7), torch.zeros(2, 6, 4)), RuntimeError, r"input must have shape"),
        (
            (torch.zeros(5, 2, 3), torch.zeros(1, 6, 4)),
            RuntimeError,
            r"A must have shape \(2, 6, 4\), got \(1, 6, 4\)",
        ),
        (
            (torch.zeros(5, 2, 3), torch.zeros(2, 6, 4), (torch.zeros(2, 4), torch.zeros(1, 2, 4))),
            RuntimeError,
            r"hx\[0\] must have shape \(1, 2, 4\), got \(2, 4\)",
        ),
        (
            (torch.zeros(5, 2, 3), torch.zeros(2, 6, 4), (torch.zeros(1, 2, 4),)),
            TypeError,
            "hx must be a pair",
        ),
    ],
)
def test_attention_lstm_names_bad_input(
    arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        nn.AttentionLSTM(3, 4)(*arguments)


def test_attention_lstm_refuses_an_empty_state() -> None:
    with pytest.raises(ValueError, match="hidden_size must be at least 1, got 0"):
        nn.AttentionLSTM(3, 0)
