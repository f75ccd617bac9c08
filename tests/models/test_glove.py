"""GloVe: what is learned from the counts; counts and loss are tested with the layers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnreport.layers import cooccurrences, glove_loss
from rnnreport.models.glove import GloVe, train_glove


def joined(corpus: list[list[int]]) -> tuple[Tensor, Tensor]:
    words = torch.tensor([word for sentence in corpus for word in sentence])
    return words, torch.tensor([len(sentence) for sentence in corpus])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Words 0 and 1 stand more often beside 4 and 5, words 2 and 3 beside 6 and 7; 8 stands alone, 9
# nowhere. What never stands together is no pair and teaches nothing, so all of them meet once.
CORPUS = [
    [a, c] for a in range(4) for c in range(4, 8) for _ in range(8 if c // 2 - 2 == a // 2 else 1)
]
CORPUS += [[8]]


def train(seed: int = 0, **settings: Any) -> GloVe:
    given: dict[str, Any] = {"dim": 4, "epochs": 60, "batch_size": 8} | settings
    return train_glove(*joined(CORPUS), 10, generator=seeded(seed), **given)


def test_training_lowers_the_loss() -> None:
    vectors, losses = train()
    assert vectors.shape == (10, 4)
    assert vectors.dtype == torch.float32
    assert len(losses) == 60
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("seed", range(3))
def test_words_of_like_contexts_end_up_alike(seed: int) -> None:
    vectors = torch.nn.functional.normalize(train(seed).vectors[:4], dim=1)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > likeness[0, 2:].max() + 0.2
    assert likeness[2, 3] > likeness[2, :2].max() + 0.2


def test_training_is_the_same_for_the_same_generator() -> None:
    one, two, other = train(1), train(1), train(2)
    assert torch.equal(one.vectors, two.vectors)
    assert one.losses == two.losses
    assert not torch.equal(one.vectors, other.vectors)


def test_words_without_a_neighbour_have_a_vector_of_zeros() -> None:
    assert (train(epochs=1).vectors != 0).any(1).tolist() == [True] * 8 + [False] * 2


@pytest.mark.parametrize("batch_size", [5, 1000])
def test_training_is_adagrad_on_the_gradients(batch_size: int) -> None:
    """Do the same with torch's optimiser, and add the two vectors of each word."""
    generator = seeded(3)
    start = [torch.rand(*shape, generator=generator) for shape in [(10, 4)] * 2 + [(10,)] * 2]
    params = [((values - 0.5) / 4).requires_grad_() for values in start]
    optimiser = torch.optim.Adagrad(params, lr=0.1)
    pairs = cooccurrences(*joined(CORPUS), 10, window=2)
    losses = []
    for _ in range(3):
        order, total = torch.randperm(len(pairs.rows), generator=generator), 0.0
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            loss, gradients = glove_loss(*params, *(values[batch] for values in pairs), x_max=2)
            for param, gradient in zip(params, gradients, strict=True):
                param.grad = gradient
            optimiser.step()
            total += loss.item()
        losses.append(total / len(order))
    trained = train(
        3, epochs=3, batch_size=batch_size, learning_rate=0.1, window=2, x_max=2.0, alpha=0.75
    )
    assert trained.losses == pytest.approx(losses, rel=1e-4)
    expected = (params[0] + params[1]).detach()
    torch.testing.assert_close(trained.vectors[:8], expected[:8], rtol=1e-3, atol=1e-5)


def test_training_shows_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path / "bar"))
    train(epochs=2)
    assert "2/2" in (tmp_path / "bar").read_text()


def test_training_stops_when_the_loss_is_not_finite() -> None:
    with pytest.raises(
        FloatingPointError,
        match=r"the loss is nan in epoch \d: .* smaller learning_rate than 1e\+30",
    ):
        train(learning_rate=1e30)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, got 0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0 and finite, got nan"),
        ({"x_max": -1.0}, "x_max must be above 0 and finite, got -1"),
        ({"alpha": math.inf}, "alpha must be at least 0 and finite, got inf"),
    ],
)
def test_training_names_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(**settings)


def test_training_needs_a_pair() -> None:
    for corpus in ([[0]], [[0], [], [1]]):
        with pytest.raises(ValueError, match="two words in one sentence, got no pair"):
            train_glove(*joined(corpus), 2, dim=2, generator=seeded(0))
