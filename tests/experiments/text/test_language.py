"""The language model of the pretrained classifiers, on small samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from rnnreport.experiments.text import data as text_data
from rnnreport.experiments.text import fitting, language, training
from rnnreport.experiments.text.language import LanguageConfig, language_config
from rnnreport.experiments.text.settings import TextConfig, default_config
from rnnreport.runs.store import load_tensors

pytestmark = pytest.mark.usefixtures("one_thread", "store")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the sample small, and remember no data of another test."""
    monkeypatch.setattr(text_data, "SAMPLE_SIZES", (300, 80, 101))
    text_data.text_data.cache_clear()
    yield
    text_data.text_data.cache_clear()


def tiny(**changes: Any) -> TextConfig:
    settings: dict[str, Any] = {"epochs": 1, "hidden_dim": 8}
    return replace(default_config("pretrained", profile="sample"), **(settings | changes))


def test_the_loss_falls_below_that_of_a_guess_at_random() -> None:
    config = replace(language_config(tiny()), epochs=10)
    result = language.run(config)
    train, dev = result.history["train_loss"], result.history["dev_loss"]
    assert len(train) == len(dev) == config.epochs
    n_words = len(text_data.text_data("sample").vocabulary)
    assert train[-1] < math.log(n_words) < train[0]
    assert result.metrics["dev_loss"] == dev[-1] < dev[0]
    assert language.run(config) == result
    tensors = load_tensors(result)
    assert tensors["vectors"].shape[0] == n_words
    assert not [name for name in tensors if name.startswith("output")]  # it has seen no label


def test_training_is_repeatable(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    config = language_config(tiny())
    state = torch.random.get_rng_state()
    first = language.run(config)
    assert torch.equal(state, torch.random.get_rng_state())
    tensors = load_tensors(first)
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "other"))
    again = language.run(config)
    assert again.history == first.history
    assert all(torch.equal(tensors[name], value) for name, value in load_tensors(again).items())


def test_a_pretrained_classifier_begins_where_the_language_model_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[dict[str, torch.Tensor]] = []
    fit = fitting.fit

    def watch(model: Any, *arguments: Any, **keywords: Any) -> Any:
        begun.append({name: value.clone() for name, value in model.state_dict().items()})
        return fit(model, *arguments, **keywords)

    monkeypatch.setattr(training, "fit", watch)
    for seed in (0, 1):
        training.run(tiny(seed=seed))
    learned = load_tensors(language.run(language_config(tiny())))
    assert {f"output.{name}" for name in ("weight", "bias")} == begun[0].keys() - learned.keys()
    for first in begun:
        assert all(torch.equal(first[name], value) for name, value in learned.items())
    assert not torch.equal(begun[0]["output.weight"], begun[1]["output.weight"])


def test_all_seeds_share_a_language_model_and_other_layers_have_another() -> None:
    configs = [tiny(), tiny(seed=1), tiny(hidden_dim=9)]
    keys = [training.request(config).data["language_model"] for config in configs]
    assert keys[0] == keys[1] != keys[2]
    assert "language_model" not in training.request(replace(tiny(), model="bilstm")).data


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1\.0"),
        ({"clip_norm": 0.0}, r"clip_norm must be positive, got 0\.0"),
        (
            {"classifier": TextConfig(model="bag", profile="sample")},
            r"classifier\.model must be one of rnn, lstm, bilstm, pretrained, got 'bag'",
        ),
    ],
)
def test_refuses_bad_configurations(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LanguageConfig(**({"classifier": tiny()} | changes))


def test_a_diverging_loss_stops_the_training() -> None:
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf)"):
        language.run(replace(language_config(tiny()), learning_rate=1e30, clip_norm=1e30))
