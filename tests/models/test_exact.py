"""The captioning loss is proven as a whole: from features and words to the gradient of all."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from problems import draw
from torch import Tensor

from rnnreport.layers import word_embedding_backward
from rnnreport.models.captioning import CaptioningRNN
from rnnreport.proof import Verdict, prove_loss

WORDS = {"<NULL>": 0, "<START>": 1, "<END>": 2, "<UNK>": 3, "a": 4, "b": 5}
CAPTIONS = torch.tensor([[1, 4, 5, 2], [1, 5, 2, 0], [1, 4, 4, 2]])
CELLS = ("rnn", "lstm", "attention")


def verdict_of(cell: Any, p: float) -> Verdict:
    model = CaptioningRNN(
        WORDS,
        input_dim=2,
        wordvec_dim=2,
        hidden_dim=2,
        cell_type=cell,
        dropout=p,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
    )
    features = draw(0, 3, 2, 2) if cell == "attention" else draw(0, 3, 2)
    parameters = dict(model.params)

    def loss(*values: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        model.params = dict(zip(parameters, values, strict=True))
        masks = torch.Generator().manual_seed(1) if p else None
        value, gradients = model.loss(features, CAPTIONS, masks)
        return value, tuple(gradients[name] for name in parameters)

    return prove_loss(loss, parameters)


@pytest.mark.parametrize("p", [0.0, 0.4])
@pytest.mark.parametrize("cell", CELLS)
def test_loss_is_proven(cell: Any, p: float) -> None:
    assert verdict_of(cell, p)


@pytest.mark.parametrize("cell", CELLS)
def test_rounding_in_the_words_refutes(cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "rnnreport.models.captioning.word_embedding_backward",
        lambda *given: word_embedding_backward(*given) * (1 + 1e-15),
    )
    assert verdict_of(cell, 0.0).wrong == ("W_embed",)
