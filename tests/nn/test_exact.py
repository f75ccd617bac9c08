"""What autograd makes of the modules and functions is proven."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from problems import draw
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnreport import layers, nn
from rnnreport.layers._products import state_weights_gradient
from rnnreport.proof import prove_autograd

LENGTHS = torch.tensor([2, 1])
WORDS = torch.tensor([0, 2, 2])
T, N, D, H = 3, 2, 2, 3


def module(kind: type[torch.nn.Module], **options: Any) -> torch.nn.Module:
    return kind(D, H, dtype=torch.float64, **options)


MODULES: list[tuple[torch.nn.Module, tuple[Any, ...]]] = [
    (module(nn.RNN), (draw(0, T, N, D), draw(1, 1, N, H))),
    (module(nn.RNN, batch_first=True), (draw(0, N, T, D),)),
    (module(nn.RNN, bias=False), (draw(0, T, D), draw(1, 1, H))),
    (module(nn.LSTM), (draw(0, T, N, D),)),
    (module(nn.LSTM, batch_first=True), (draw(0, N, T, D),)),
    (module(nn.LSTM, bias=False), (draw(0, T, D),)),
    (module(nn.LSTM, proj_size=2), (draw(0, 2, N, D),)),
    (module(nn.LSTM, proj_size=2, bias=False), (draw(0, 2, N, D),)),
    (module(nn.LSTM, num_layers=2, bidirectional=True), (draw(0, 2, N, D),)),
    (module(nn.GRU), (draw(0, T, N, D), draw(1, 1, N, H))),
    (module(nn.GRU, bias=False, bidirectional=True), (draw(0, 2, N, D),)),
    (module(nn.RNN, nonlinearity="relu"), (draw(0, T, N, D),)),
    (module(nn.RNNCell), (draw(0, N, D), draw(1, N, H))),
    (module(nn.RNNCell, nonlinearity="relu"), (draw(0, N, D),)),
    (module(nn.GRUCell), (draw(0, N, D), draw(1, N, H))),
    (module(nn.LSTMCell), (draw(0, N, D),)),
]


@pytest.mark.parametrize(("layer", "inputs"), MODULES)
def test_module_is_proven(layer: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
    assert prove_autograd(layer, inputs)


def test_states_of_lstm_are_differentiated_by() -> None:
    lstm = module(nn.LSTM)
    weights = {name: value.detach() for name, value in lstm.named_parameters()}

    def function(x: Tensor, h: Tensor, c: Tensor, *parameters: Tensor) -> Any:
        replaced = dict(zip(weights, parameters, strict=True))
        return torch.func.functional_call(lstm, replaced, (x, (h, c)))

    inputs = {"x": draw(0, T, N, D), "h": draw(1, 1, N, H), "c": draw(2, 1, N, H)}
    assert prove_autograd(function, inputs | weights)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_packed_sequences_are_proven(kind: type[torch.nn.Module]) -> None:
    layer = module(kind, bidirectional=True)
    sizes = torch.tensor([3, 2, 1])
    for parameter in layer.parameters():
        parameter.requires_grad_(False)

    def function(x: Tensor) -> Any:
        output, state = layer(PackedSequence(x, sizes))
        return output.data, state

    assert prove_autograd(function, {"x": draw(0, 6, D)})


def test_attention_lstm_is_proven() -> None:
    inputs = {"x": draw(0, 2, N, D), "A": draw(1, N, 2, H)}
    assert prove_autograd(module(nn.AttentionLSTM), inputs)


FUNCTIONS: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "dropout": (
        lambda x: nn.dropout(x, 0.3, torch.Generator().manual_seed(0)),
        {"x": draw(0, 3, 4)},
    ),
    "embedding_bag": (
        lambda W: nn.embedding_bag(WORDS, LENGTHS, W, average=True),
        {"W": draw(0, 3, 2)},
    ),
    "max_pool": (lambda x: nn.max_pool(x, LENGTHS), {"x": draw(0, 3, 2, 2)}),
    "sigmoid_loss": (lambda s: nn.sigmoid_loss(s, LENGTHS.double() - 1), {"s": draw(0, 2)}),
    "softmax_loss": (lambda s: nn.softmax_loss(s, LENGTHS), {"s": draw(0, 2, 4)}),
    "content_loss": (lambda F: nn.content_loss(F, draw(1, 2, 3), 0.3), {"F": draw(0, 2, 3)}),
    "style_loss": (
        lambda F: nn.style_loss(F, torch.eye(2, dtype=torch.float64), 0.3),
        {"F": draw(0, 2, 3)},
    ),
    "total_variation_loss": (
        lambda x: nn.total_variation_loss(x, 0.3),
        {"x": draw(0, 2, 3, 2)},
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_proven(name: str) -> None:
    function, inputs = FUNCTIONS[name]
    assert prove_autograd(function, inputs)


def test_a_chain_is_proven() -> None:
    rnn = module(nn.RNN)

    def function(x: Tensor) -> Tensor:
        pooled = nn.max_pool(rnn(x)[0] ** 2, LENGTHS)
        return nn.sigmoid_loss(pooled.sum(1), torch.tensor([0.0, 1.0], dtype=torch.float64))

    for parameter in rnn.parameters():
        parameter.requires_grad_(False)
    assert prove_autograd(function, {"x": draw(0, 2, 2, 2)})


def test_rounding_in_a_function_refutes(monkeypatch: pytest.MonkeyPatch) -> None:
    right = layers.max_pool_backward
    monkeypatch.setattr(layers, "max_pool_backward", lambda *given: right(*given) * (1 + 1e-15))
    function, inputs = FUNCTIONS["max_pool"]
    assert prove_autograd(function, inputs).wrong == ("x",)


def test_swapped_gates_refute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "rnnreport.nn._recurrences.state_weights_gradient",
        lambda *given: state_weights_gradient(*given).flip(1),
    )
    assert prove_autograd(*MODULES[3]).wrong == ("weight_hh_l0",)


def test_an_input_without_a_gradient_is_named() -> None:
    inputs = {"F": draw(0, 2, 3), "P": draw(1, 2, 3)}
    with pytest.raises(ValueError, match="gradient of P must be a tensor, got NoneType"):
        prove_autograd(lambda F, P: nn.content_loss(F, P, 0.3), inputs)
