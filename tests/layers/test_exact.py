"""Every backward pass is proven: the shipped code, modulo random primes, at all small sizes."""

from __future__ import annotations

import inspect
import itertools
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from problems import draw
from torch import Tensor

from rnnreport import layers
from rnnreport.proof import Verdict, prove, prove_loss

MOST = 4  # sizes are 1 to this
DRAWN = 4  # so many of them in ordinary runs

PROOFS: dict[str, Callable[..., Verdict]] = {}


def proof(function: Callable[..., Verdict]) -> Callable[..., Verdict]:
    PROOFS[function.__name__] = function
    return function


def values(*shape: int) -> Tensor:
    return draw(0, *shape)


def indices(high: int, *shape: int) -> Tensor:
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(sum(shape) + high))


def all_sizes(proof: Callable[..., Verdict]) -> Iterator[dict[str, int]]:
    letters = list(inspect.signature(proof).parameters)
    for sizes in itertools.product(range(1, MOST + 1), repeat=len(letters)):
        yield dict(zip(letters, sizes, strict=True))


def some_sizes(proof: Callable[..., Verdict]) -> list[dict[str, int]]:
    every = list(all_sizes(proof))
    if os.environ.get("HYPOTHESIS_PROFILE") == "thorough":
        return every
    seed = 0 if os.environ.get("CI") else None
    return random.Random(seed).sample(every, min(DRAWN, len(every)))  # noqa: S311


# Recurrences


def rnn_weights(D: int, H: int) -> dict[str, Tensor]:
    return {"Wx": values(D, H), "Wh": values(H, H), "b": values(H)}


def gru_weights(D: int, H: int) -> dict[str, Tensor]:
    return {"Wx": values(D, 3 * H), "Wh": values(H, 3 * H), "b": values(3 * H), "bh": values(H)}


def lstm_weights(D: int, H: int) -> dict[str, Tensor]:
    return {"Wx": values(D, 4 * H), "Wh": values(H, 4 * H), "b": values(4 * H)}


@proof
def rnn_step(N: int, D: int, H: int) -> Verdict:
    inputs = {"x": values(N, D), "prev_h": values(N, H)} | rnn_weights(D, H)
    return prove(layers.rnn_step_forward, layers.rnn_step_backward, inputs)


@proof
def rnn(T: int, N: int, D: int, H: int) -> Verdict:
    inputs = {"x": values(T, N, D), "h0": values(N, H)} | rnn_weights(D, H)
    return prove(layers.rnn_forward, layers.rnn_backward, inputs)


@proof
def lstm_step(N: int, D: int, H: int) -> Verdict:
    states = {"prev_h": values(N, H), "prev_c": values(N, H)}
    inputs = {"x": values(N, D)} | states | lstm_weights(D, H)
    return prove(layers.lstm_step_forward, layers.lstm_step_backward, inputs)


@proof
def lstm(T: int, N: int, D: int, H: int) -> Verdict:
    inputs = {"x": values(T, N, D), "h0": values(N, H)} | lstm_weights(D, H)
    return prove(layers.lstm_forward, layers.lstm_backward, inputs)


@proof
def lstm_with_cell_state(T: int, N: int, D: int, H: int) -> Verdict:
    inputs = {"x": values(T, N, D), "h0": values(N, H)} | lstm_weights(D, H)

    def forward(*arguments: Tensor) -> tuple[Any, ...]:
        h, cache = layers.lstm_forward(*arguments)
        return h, cache.c[-1], cache

    def backward(dh: Tensor, dc_T: Tensor, cache: layers.LSTMCache) -> tuple[Tensor, ...]:
        return layers.lstm_backward(dh, cache, dc_T=dc_T, return_dc0=True)

    return prove(forward, backward, inputs | {"c0": values(N, H)})


def relu(forward: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **more: forward(*arguments, **more, nonlinearity="relu")


@proof
def rnn_step_relu(N: int, D: int, H: int) -> Verdict:
    inputs = {"x": values(N, D), "prev_h": values(N, H)} | rnn_weights(D, H)
    return prove(relu(layers.rnn_step_forward), layers.rnn_step_backward, inputs)


@proof
def rnn_relu(T: int, N: int, D: int, H: int) -> Verdict:
    inputs = {"x": values(T, N, D), "h0": values(N, H)} | rnn_weights(D, H)
    return prove(relu(layers.rnn_forward), layers.rnn_backward, inputs)


@proof
def gru_step(N: int, D: int, H: int) -> Verdict:
    inputs = {"x": values(N, D), "prev_h": values(N, H)} | gru_weights(D, H)
    return prove(layers.gru_step_forward, layers.gru_step_backward, inputs)


@proof
def gru(T: int, N: int, D: int, H: int) -> Verdict:
    inputs = {"x": values(T, N, D), "h0": values(N, H)} | gru_weights(D, H)
    return prove(layers.gru_forward, layers.gru_backward, inputs)


def projected_weights(D: int, H: int, P: int) -> dict[str, Tensor]:
    weights = lstm_weights(D, H) | {"Wh": values(P, 4 * H)}
    return weights | {"Wp": values(H, P)}


@proof
def projected_lstm_step(N: int, D: int, H: int, P: int) -> Verdict:
    states = {"prev_h": values(N, P), "prev_c": values(N, H)}
    inputs = {"x": values(N, D)} | states | projected_weights(D, H, P)
    return prove(layers.projected_lstm_step_forward, layers.projected_lstm_step_backward, inputs)


@proof
def projected_lstm(T: int, N: int, D: int, H: int, P: int) -> Verdict:
    inputs = {"x": values(T, N, D), "h0": values(N, P)} | projected_weights(D, H, P)

    def forward(*arguments: Tensor) -> tuple[Any, ...]:
        h, cache = layers.projected_lstm_forward(*arguments)
        return h, cache.c[-1], cache

    return prove(
        forward,
        lambda dh, dc_T, cache: layers.projected_lstm_backward(dh, cache, dc_T=dc_T),
        inputs | {"c0": values(N, H)},
    )


def packing(T: int, N: int) -> tuple[tuple[int, ...], Tensor]:
    """Batch sizes that never grow, and the place of each of their rows in a shorter table."""
    chosen = random.Random(10 * T + N)  # noqa: S311
    sizes = [N]
    for _ in range(T - 1):
        sizes.append(chosen.randint(1, sizes[-1]))
    return tuple(sizes), indices(3, sum(sizes))


@proof
def packed_rnn(T: int, N: int, D: int, H: int) -> Verdict:
    sizes, _ = packing(T, N)
    inputs = {"x": values(sum(sizes), D), "h0": values(N, H)} | rnn_weights(D, H)
    return prove(
        lambda x, h0, Wx, Wh, b: layers.packed_rnn_forward(x, h0, Wx, Wh, b, sizes),
        layers.packed_rnn_backward,
        inputs,
    )


@proof
def packed_rnn_rows(T: int, N: int, D: int, H: int) -> Verdict:
    sizes, rows = packing(T, N)
    inputs = {"x": values(3, D), "h0": values(N, H)} | rnn_weights(D, H)
    return prove(
        lambda x, h0, Wx, Wh, b: layers.packed_rnn_forward(x, h0, Wx, Wh, b, sizes, rows=rows),
        layers.packed_rnn_backward,
        inputs,
    )


@proof
def packed_rnn_relu(T: int, N: int, D: int, H: int) -> Verdict:
    sizes, rows = packing(T, N)
    inputs = {"x": values(3, D), "h0": values(N, H)} | rnn_weights(D, H)
    return prove(
        lambda *arguments: relu(layers.packed_rnn_forward)(*arguments, sizes, rows=rows),
        layers.packed_rnn_backward,
        inputs,
    )


@proof
def packed_gru(T: int, N: int, D: int, H: int) -> Verdict:
    sizes, _ = packing(T, N)
    inputs = {"x": values(sum(sizes), D), "h0": values(N, H)} | gru_weights(D, H)
    return prove(
        lambda x, h0, Wx, Wh, b, bh: layers.packed_gru_forward(x, h0, Wx, Wh, b, bh, sizes),
        layers.packed_gru_backward,
        inputs,
    )


@proof
def packed_gru_rows(T: int, N: int, D: int, H: int) -> Verdict:
    sizes, rows = packing(T, N)
    inputs = {"x": values(3, D), "h0": values(N, H)} | gru_weights(D, H)
    return prove(
        lambda x, h0, Wx, Wh, b, bh: layers.packed_gru_forward(
            x, h0, Wx, Wh, b, bh, sizes, rows=rows
        ),
        layers.packed_gru_backward,
        inputs,
    )


@proof
def packed_projected_lstm(T: int, N: int, D: int, H: int, P: int) -> Verdict:
    sizes, _ = packing(T, N)
    inputs = {"x": values(sum(sizes), D), "h0": values(N, P)} | projected_weights(D, H, P)
    return prove(
        lambda x, h0, Wx, Wh, b, Wp, c0: layers.packed_projected_lstm_forward(
            x, h0, Wx, Wh, b, Wp, c0, sizes
        ),
        layers.packed_projected_lstm_backward,
        inputs | {"c0": values(N, H)},
    )


@proof
def packed_lstm(T: int, N: int, D: int, H: int) -> Verdict:
    sizes, _ = packing(T, N)
    inputs = {"x": values(sum(sizes), D), "h0": values(N, H)} | lstm_weights(D, H)
    return prove(
        lambda x, h0, Wx, Wh, b, c0: layers.packed_lstm_forward(x, h0, Wx, Wh, b, c0, sizes),
        layers.packed_lstm_backward,
        inputs | {"c0": values(N, H)},
    )


@proof
def packed_lstm_rows(T: int, N: int, D: int, H: int) -> Verdict:
    sizes, rows = packing(T, N)
    inputs = {"x": values(3, D), "h0": values(N, H)} | lstm_weights(D, H)
    return prove(
        lambda x, h0, Wx, Wh, b, c0: layers.packed_lstm_forward(
            x, h0, Wx, Wh, b, c0, sizes, rows=rows
        ),
        layers.packed_lstm_backward,
        inputs | {"c0": values(N, H)},
    )


@proof
def rnn_step_jacobian(N: int, D: int, H: int) -> Verdict:
    x, weights = values(N, D), rnn_weights(D, H).values()

    def backward(dh: Tensor, cache: layers.RNNStepCache) -> Tensor:
        return torch.einsum("ni,nij->nj", dh, layers.rnn_step_jacobian(cache))

    return prove(
        lambda h: layers.rnn_step_forward(x, h, *weights), backward, {"prev_h": values(N, H)}
    )


@proof
def rnn_step_jacobian_relu(N: int, D: int, H: int) -> Verdict:
    x, weights = values(N, D), rnn_weights(D, H).values()

    def backward(dh: Tensor, cache: layers.RNNStepCache) -> Tensor:
        return torch.einsum("ni,nij->nj", dh, layers.rnn_step_jacobian(cache))

    return prove(
        lambda h: relu(layers.rnn_step_forward)(x, h, *weights), backward, {"prev_h": values(N, H)}
    )


@proof
def gru_step_jacobian(N: int, D: int, H: int) -> Verdict:
    x, weights = values(N, D), gru_weights(D, H).values()

    def backward(dh: Tensor, cache: layers.GRUStepCache) -> Tensor:
        return torch.einsum("ni,nij->nj", dh, layers.gru_step_jacobian(cache))

    return prove(
        lambda h: layers.gru_step_forward(x, h, *weights), backward, {"prev_h": values(N, H)}
    )


@proof
def lstm_step_jacobian(N: int, D: int, H: int) -> Verdict:
    x, weights = values(N, D), lstm_weights(D, H).values()

    def backward(dh: Tensor, dc: Tensor, cache: layers.LSTMStepCache) -> tuple[Tensor, ...]:
        dh_dh, dh_dc, dc_dh, dc_dc = layers.lstm_step_jacobian(cache)
        dprev_h = torch.einsum("ni,nij->nj", dh, dh_dh) + torch.einsum("ni,nij->nj", dc, dc_dh)
        dprev_c = torch.einsum("ni,nij->nj", dh, dh_dc) + torch.einsum("ni,nij->nj", dc, dc_dc)
        return dprev_h, dprev_c

    return prove(
        lambda h, c: layers.lstm_step_forward(x, h, c, *weights),
        backward,
        {"prev_h": values(N, H), "prev_c": values(N, H)},
    )


# Attention


@proof
def attention(N: int, P: int, H: int) -> Verdict:
    inputs = {"h": values(N, H), "A": values(N, P, H)}
    return prove(layers.attention_forward, layers.attention_backward, inputs)


@proof
def attention_lstm_step(N: int, P: int, D: int, H: int) -> Verdict:
    states = {"prev_h": values(N, H), "prev_c": values(N, H), "A": values(N, P, H)}
    weights = lstm_weights(D, H)
    weights = {"Wx": weights["Wx"], "Wh": weights["Wh"], "Wattn": values(H, 4 * H)} | weights
    inputs = {"x": values(N, D)} | states | weights
    return prove(layers.attention_lstm_step_forward, layers.attention_lstm_step_backward, inputs)


@proof
def attention_lstm(T: int, N: int, P: int, D: int, H: int) -> Verdict:
    states = {"A": values(N, P, H), "h0": values(N, H), "c0": values(N, H)}
    weights = lstm_weights(D, H)
    weights = {"Wx": weights["Wx"], "Wh": weights["Wh"], "Wattn": values(H, 4 * H)} | weights
    inputs = {"x": values(T, N, D)} | states | weights

    def forward(*arguments: Tensor) -> tuple[Any, ...]:
        h, cache = layers.attention_lstm_forward(*arguments)
        return h, cache.c[-1], cache

    return prove(
        forward,
        lambda dh, dc_T, cache: layers.attention_lstm_backward(dh, cache, dc_T=dc_T),
        inputs,
    )


# Layers that treat all steps alike


@proof
def word_embedding(T: int, N: int, V: int, D: int) -> Verdict:
    inputs = {"x": indices(V, T, N), "W": values(V, D)}
    return prove(layers.word_embedding_forward, layers.word_embedding_backward, inputs)


@proof
def temporal_fc(T: int, N: int, D: int, M: int) -> Verdict:
    inputs = {"x": values(T, N, D), "w": values(D, M), "b": values(M)}
    return prove(layers.temporal_fc_forward, layers.temporal_fc_backward, inputs)


@proof
def temporal_softmax_loss(T: int, N: int, V: int) -> Verdict:
    mask = indices(2, T, N).bool()
    mask[0, 0] = True
    inputs = {"x": values(T, N, V), "y": indices(V, T, N), "mask": mask}
    return prove_loss(layers.temporal_softmax_loss, inputs)


@proof
def temporal_softmax_loss_with_numbers(T: int, N: int, V: int) -> Verdict:
    y, mask = indices(V, T, N), indices(2, T, N).double()
    return prove_loss(lambda x: layers.temporal_softmax_loss(x, y, mask), {"x": values(T, N, V)})


# Sentences


@proof
def embedding_bag_sum(N: int, V: int, D: int) -> Verdict:
    lengths = 1 + indices(4, N)
    words = indices(V, int(lengths.sum()))
    return prove(
        lambda W: layers.embedding_bag_forward(words, lengths, W, average=False),
        layers.embedding_bag_backward,
        {"W": values(V, D)},
    )


@proof
def embedding_bag_average(N: int, V: int, D: int) -> Verdict:
    lengths = 1 + indices(4, N)
    words = indices(V, int(lengths.sum()))
    return prove(
        lambda W: layers.embedding_bag_forward(words, lengths, W, average=True),
        layers.embedding_bag_backward,
        {"W": values(V, D)},
    )


@proof
def max_pool(T: int, N: int, D: int) -> Verdict:
    inputs = {"x": values(T, N, D), "lengths": 1 + indices(T, N)}
    return prove(layers.max_pool_forward, layers.max_pool_backward, inputs)


@proof
def sigmoid_loss(N: int) -> Verdict:
    labels = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)[:N]
    return prove_loss(lambda s: layers.sigmoid_loss(s, labels), {"s": values(N)})


@proof
def dropout(N: int, D: int) -> Verdict:
    return prove(
        lambda x: layers.dropout_forward(x, 0.3, torch.Generator().manual_seed(0)),
        layers.dropout_backward,
        {"x": values(N, D)},
    )


@proof
def glove_loss(V: int, D: int) -> Verdict:
    rows, columns = indices(V, 6), indices(V, 6).flip(0)
    counts = torch.tensor([1, 0.1, 99, 100, 3, 250], dtype=torch.float64)
    inputs = {"W": values(V, D), "U": values(V, D), "b": values(V), "c": values(V)}
    return prove_loss(
        lambda W, U, b, c: layers.glove_loss(W, U, b, c, rows, columns, counts), inputs
    )


# Style


@proof
def content_loss(C: int, M: int) -> Verdict:
    def both(F: Tensor, P: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        loss, dF = layers.content_loss(F, P, 0.3)
        return loss, (dF, -dF)

    return prove_loss(both, {"F": values(C, M), "P": values(C, M)})


@proof
def gram_matrix(C: int, H: int, W: int) -> Verdict:
    return prove(
        lambda F: (layers.gram_matrix(F), F),
        lambda dG, F: (dG + dG.T).matmul(F.flatten(1)).view_as(F) / (H * W),
        {"F": values(C, H, W)},
    )


@proof
def style_loss(C: int, M: int) -> Verdict:
    A = values(C, C)
    A = A + A.T
    return prove_loss(lambda F: layers.style_loss(F, A, 0.3), {"F": values(C, M)})


@proof
def total_variation_loss(C: int, H: int, W: int) -> Verdict:
    return prove_loss(lambda x: layers.total_variation_loss(x, 0.3), {"x": values(C, H, W)})


@pytest.mark.parametrize("name", PROOFS)
def test_layer_is_proven(name: str) -> None:
    for sizes in some_sizes(PROOFS[name]):
        verdict = PROOFS[name](**sizes)
        assert verdict, (sizes, str(verdict))
        assert verdict.doubt < 1e-30


@pytest.mark.parametrize("name", PROOFS)
def test_rounding_in_one_gradient_refutes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled: list[str] = []
    right = prove

    def careless(forward: Any, backward: Any, inputs: dict[str, Any]) -> Verdict:
        variables = [name for name, value in inputs.items() if value.is_floating_point()]
        place = len(name) % len(variables)
        spoiled.append(variables[place])

        def spoil(*arguments: Any) -> list[Tensor]:
            returned = backward(*arguments)
            gradients = list(returned) if isinstance(returned, tuple) else [returned]
            gradients[place] = gradients[place] * (1 + 1e-15)
            return gradients

        return right(forward, spoil, inputs)

    def careless_loss(loss: Any, inputs: dict[str, Any]) -> Verdict:
        def backward(dloss: Tensor, gradients: Any) -> tuple[Tensor, ...]:
            every = gradients if isinstance(gradients, tuple) else (gradients,)
            return tuple(dloss * gradient for gradient in every)

        return careless(loss, backward, inputs)

    monkeypatch.setitem(globals(), "prove", careless)
    monkeypatch.setitem(globals(), "prove_loss", careless_loss)
    verdict = PROOFS[name](**dict.fromkeys(inspect.signature(PROOFS[name]).parameters, 2))
    assert not verdict
    assert verdict.wrong == tuple(spoiled)


def test_every_layer_is_proven() -> None:
    backward = {
        name.removesuffix("_backward").removesuffix("_forward")
        for name in layers.__all__
        if name.endswith(("_forward", "_backward", "_loss", "_jacobian", "_matrix"))
    }
    assert {name for name in backward if not any(each.startswith(name) for each in PROOFS)} == set()
