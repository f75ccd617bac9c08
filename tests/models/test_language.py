"""The language model: its guesses, its loss and its gradients, against torch's layers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnnreport import nn
from rnnreport.data.sentences import Sentences
from rnnreport.models.language import LanguageModel
from rnnreport.models.text import RecurrentClassifier

V, D, H = 9, 3, 4
KINDS = [(cell, directions) for cell in ("RNN", "LSTM") for directions in (1, 2)]

some_rows = st.lists(
    st.lists(st.integers(1, V - 1), min_size=1, max_size=6), min_size=1, max_size=5
)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pack(rows: list[list[int]]) -> Sentences:
    words = [word for row in rows for word in row]
    return Sentences(torch.tensor(words), torch.tensor([len(row) for row in rows]))


def make(cell: str, directions: int, *, dropout: float = 0.0, embedding: float = 0.0) -> Any:
    rng = generator(3)
    classifier = RecurrentClassifier(
        torch.randn(V, D, generator=rng),
        cell=getattr(nn, cell),
        hidden_dim=H,
        directions=directions,
        pooling="last",
        embedding_dropout=embedding,
        dropout=0.5,
        word_dropout=0.5,
        generator=rng,
    )
    model = LanguageModel(classifier, dropout=dropout, generator=rng)
    torch.nn.init.normal_(model.bias, generator=rng)
    return model.double()


def sentence_by_sentence(model: Any, rows: list[list[int]], cell: str) -> tuple[Tensor, int]:
    """Compute the loss as its definition has it, with torch's layer and one sentence at a time."""
    layer = model.classifier.recurrent
    theirs = getattr(torch.nn, cell)(D, H, bidirectional=layer.bidirectional).double()
    losses = []
    weights = dict(layer.named_parameters())
    for row in rows:
        words = torch.tensor(row)
        x = model.classifier.vectors[words][:, None]
        states = torch.func.functional_call(theirs, weights, (x,))[0][:, 0]
        for t, word in enumerate(row):
            if t > 0:
                losses.append((states[t - 1, :H], word))
            if layer.bidirectional and t < len(row) - 1:
                losses.append((states[t + 1, H:], word))
    total = torch.zeros((), dtype=torch.float64)
    for state, word in losses:
        logits = model.classifier.vectors @ (model.output(state)) + model.bias
        total = total - logits.log_softmax(0)[word]
    return total / max(len(losses), 1), len(losses)


@settings(max_examples=settings().max_examples // 3)
@given(some_rows, st.sampled_from(KINDS))
def test_loss_and_gradients_are_those_of_the_definition(
    rows: list[list[int]], kind: tuple[str, int]
) -> None:
    model = make(*kind)
    loss, count = model.loss(pack(rows))
    expected, guesses = sentence_by_sentence(model, rows, kind[0])
    assert count == guesses
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    if not count:
        return
    learned = [p for name, p in model.named_parameters() if "classifier.output" not in name]
    ours = torch.autograd.grad(loss, learned)
    for found, right in zip(ours, torch.autograd.grad(expected, learned), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-12)


def test_a_word_is_not_read_where_it_is_guessed() -> None:
    model = make("LSTM", 2)
    first, _ = model(pack([[2, 5, 3]]))
    other, right = model(pack([[2, 7, 3]]))
    assert right.tolist() == [7, 3, 2, 7]
    assert torch.equal(first[0], other[0])  # of the second word, from the first
    assert torch.equal(first[3], other[3])  # of the second word, from the third
    assert not torch.equal(first[1], other[1])


def test_sentences_of_one_word_have_nothing_to_guess() -> None:
    model = make("LSTM", 2)
    loss, count = model.loss(pack([[4], [2]]))
    assert (loss.item(), count) == (0.0, 0)
    loss.backward()
    assert not model.classifier.vectors.grad.any()


def test_dropout_needs_a_generator() -> None:
    model, rows = make("LSTM", 2, dropout=0.5, embedding=0.5), pack([[1, 2, 3, 4]] * 5)
    plain = model.loss(rows)[0].item()
    assert model.loss(rows)[0].item() == plain
    dropped = model.loss(rows, generator(1))[0].item()
    assert dropped != plain
    assert model.loss(rows, generator(1))[0].item() == dropped


def test_a_model_learns_what_follows_what() -> None:
    model = make("LSTM", 2)
    rows = pack([[1, 2, 3, 4], [5, 6, 7, 8]] * 4)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        loss, _ = model.loss(rows)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05 < math.log(V)
