"""The small LSTM of the live figure: its training, what the page carries, what it shows first."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from live_networks import ENOUGH, random_lstm
from modules import modules_of
from real_data import needs
from tags import Tags
from torch import Tensor

from rnnreport import nn
from rnnreport.data.sentences import Sentences
from rnnreport.data.sentiment import tokenise_review
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.text import data as text_data
from rnnreport.experiments.text import fitting, live
from rnnreport.experiments.text.figures import live_facts
from rnnreport.experiments.text.live import LiveConfig, default_config, run
from rnnreport.experiments.text.live_figure import EXAMPLES, LiveLSTM, live_figure
from rnnreport.models.text import RecurrentClassifier
from rnnreport.report.record import load_record, record_folder
from rnnreport.report.recorded import readers
from rnnreport.runs.definitions import definitions
from rnnreport.runs.store import Result, load_tensors

LIMIT = 500_000  # bytes that the weights may take in the page


pytestmark = pytest.mark.usefixtures("one_thread", "store")


@pytest.fixture(autouse=True)
def small_sample(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the sample small."""
    monkeypatch.setattr(text_data, "SAMPLE_SIZES", (400, 80, 101))
    text_data.text_data.cache_clear()
    yield
    text_data.text_data.cache_clear()


def tiny(**changes: Any) -> LiveConfig:
    settings: dict[str, Any] = {"epochs": 2, "wordvec_dim": 5, "hidden_dim": 7}
    return replace(default_config("sample"), **(settings | changes))


# -- Training -------------------------------------------------------------------------------------


def test_training_is_stored_and_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tiny())
    assert run(tiny()) == first
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "another"))
    again = run(tiny())
    assert (again.metrics, again.tensors) == (first.metrics, first.tensors)
    assert len(first.history["dev_accuracy"]) == 2
    assert first.metrics["dev_accuracy"] == max(first.history["dev_accuracy"])


def test_it_learns() -> None:
    losses = run(tiny(epochs=20, learning_rate=2e-2)).history["train_loss"]
    assert losses[-1] < 0.2 < losses[0]


def test_the_stored_weights_are_those_of_the_best_epoch_and_were_tested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The accuracies are made up: the first of two epochs is the best."""
    accuracies, scores = iter((0.9, 0.1, 0.5)), []

    def accuracy(s: Tensor, _: Tensor) -> float:
        scores.append(s)
        return next(accuracies)

    for module in (live, fitting):
        monkeypatch.setattr(module, "accuracy", accuracy)
    result = run(tiny())
    assert result.metrics["best_epoch"] == 1
    assert (result.metrics["dev_accuracy"], result.metrics["test_accuracy"]) == (0.9, 0.5)
    model = LiveLSTM.of(result)
    splits = text_data.text_data("sample", 0).splits
    for part, tested in ((splits.dev, scores[0]), (splits.test, scores[2])):
        read = [model.read(sentence).probability[-1] for sentence in part.sentences]
        torch.testing.assert_close(torch.stack(read).float(), tested.sigmoid())


def test_the_test_accuracy() -> None:
    result = run(tiny())
    model = LiveLSTM.of(result)
    test = text_data.text_data("sample", 0).splits.test
    right = [
        bool(model.read(sentence).probability[-1] > 0.5) == bool(label)
        for sentence, label in zip(test.sentences, test.labels, strict=True)
    ]
    assert sum(right) / len(right) == result.metrics["test_accuracy"]


def test_order_and_signs_of_the_units_change_no_score() -> None:
    vocabulary = Vocabulary((*Vocabulary.SPECIAL, "a", "b", "c"))
    generator = torch.Generator().manual_seed(3)
    config = LiveConfig("sample", wordvec_dim=5, hidden_dim=6)
    model = live._build(config, len(vocabulary), generator)
    assert bool((model.output.weight < 0).any())
    tensors = live._in_order(model.state_dict())
    w = tensors["w"]
    assert bool((w >= 0).all())
    assert w.tolist() == sorted(w.tolist(), reverse=True)
    sentence = ["a", "b", "c", "c", "unheard-of", "a", "b"]
    expected = model.double().scores_by_step(Sentences.encode(vocabulary, [sentence]))[:, 0]
    reading = LiveLSTM(vocabulary, tensors).read(sentence)
    torch.testing.assert_close(reading.probability, expected.detach().sigmoid(), rtol=0, atol=1e-7)


def test_words_that_are_rare_are_unknown() -> None:
    few, many = (len(run(tiny(min_count=n, epochs=1)).details["words"]) for n in (5, 1))
    assert few < many


def test_the_figure_does_not_decide_about_the_training() -> None:
    modules = modules_of(definitions("rnnreport.experiments.text.live"))
    assert "rnnreport.experiments.text.data" in modules
    assert not [name for name in modules if name.endswith(("_figure", "_figures", ".figures"))]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_count": 0}, "min_count must be at least 1, got 0"),
        ({"wordvec_dim": 0}, "wordvec_dim must be at least 1, got 0"),
        ({"hidden_dim": 0}, "hidden_dim must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"word_dropout": -0.1}, r"word_dropout must be in \[0, 1\), got -0.1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0.0"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LiveConfig(**changes)


# -- Reading --------------------------------------------------------------------------------------


def test_reading_is_equation_s1() -> None:
    model = random_lstm()
    sentence = ["the", "soup", "was", "zork", "the"]
    reading = model.read(sentence)
    t = {name: tensor.double() for name, tensor in model.tensors.items()}
    h = c = torch.zeros(4, dtype=torch.float64)
    for step, word in enumerate(sentence):
        x = t["vectors"][model.vocabulary.word_to_idx.get(word, 1)]
        # One gate at a time, from columns of the packed weights: f, i, c̃, o.
        z = [
            x @ t["Wx"][:, 4 * k : 4 * k + 4] + h @ t["Wh"][:, 4 * k : 4 * k + 4]
            + t["b"][4 * k : 4 * k + 4]
            for k in range(4)
        ]  # fmt: skip
        f, i, c_tilde, o = z[0].sigmoid(), z[1].sigmoid(), z[2].tanh(), z[3].sigmoid()
        c = f * c + i * c_tilde
        h = o * c.tanh()
        p = (h @ t["w"] + t["bias"][0]).sigmoid()
        for actual, expected in zip(reading, (p, f, i, c_tilde, o, c), strict=True):
            torch.testing.assert_close(actual[step], expected, rtol=0, atol=1e-12)
    assert {part.dtype for part in reading} == {torch.float64}


def test_reading_agrees_with_the_classifier() -> None:
    model = random_lstm(D=4, H=3)
    classifier = RecurrentClassifier(
        model.tensors["vectors"],
        cell=nn.LSTM,
        hidden_dim=3,
        directions=1,
        pooling="last",
        embedding_dropout=0.0,
        dropout=0.0,
        word_dropout=0.0,
        generator=torch.Generator().manual_seed(0),
    )

    def torch_order(packed: Tensor) -> Tensor:
        f, i, c_tilde, o = packed.chunk(4, dim=-1)
        return torch.cat([i, f, c_tilde, o], dim=-1).T if packed.ndim == 2 else torch.cat(
            [i, f, c_tilde, o]
        )  # fmt: skip

    classifier.load_state_dict(
        {
            "vectors": model.tensors["vectors"],
            "recurrent.weight_ih_l0": torch_order(model.tensors["Wx"]),
            "recurrent.weight_hh_l0": torch_order(model.tensors["Wh"]),
            "recurrent.bias_ih_l0": torch_order(model.tensors["b"]),
            "recurrent.bias_hh_l0": torch.zeros(12),
            "output.weight": model.tensors["w"][None],
            "output.bias": model.tensors["bias"],
        }
    )
    sentence = ["soup", "was", "zork", "good"]
    encoded = Sentences.encode(model.vocabulary, [sentence])
    expected = classifier.double().scores_by_step(encoded)[:, 0].sigmoid().detach()
    torch.testing.assert_close(model.read(sentence).probability, expected, rtol=0, atol=1e-12)


def test_nothing_to_read() -> None:
    model = random_lstm()
    with pytest.raises(ValueError, match="sentence must have at least one token"):
        model.read([])
    with pytest.raises(ValueError, match="must be a list of words"):
        model.read("the soup")


def test_tensors_must_fit() -> None:
    model = random_lstm()
    good = dict(model.tensors)
    for changes, message in (
        ({"Wx": good["Wx"][:, 1:]}, r"Wx must be torch.float32 of shape \(3, 16\)"),
        ({"vectors": good["vectors"][1:]}, r"vectors must be .* of shape \(14, 3\)"),
        ({"b": good["b"].double()}, "b must be torch.float32 .* got torch.float64"),
        ({"more": good["b"]}, "tensors must be vectors, Wx, Wh, b, w, bias, got"),
    ):
        with pytest.raises(ValueError, match=message):
            LiveLSTM(model.vocabulary, good | changes)
    for name in good:
        with pytest.raises(ValueError, match="tensors must be"):
            LiveLSTM(model.vocabulary, {k: v for k, v in good.items() if k != name})


# -- What the page carries ------------------------------------------------------------------------


def decoded(text: str) -> tuple[list[str], dict[str, np.ndarray[Any, Any]]]:
    carried = json.loads(text)
    tensors = {
        name: np.frombuffer(base64.b64decode(part["data"], validate=True), "<f4").reshape(
            part["shape"]
        )
        for name, part in carried["tensors"].items()
    }
    return carried["words"].split("\n"), tensors


def test_the_page_carries_the_weights_bit_for_bit() -> None:
    result = run(tiny())
    stored = load_tensors(result)
    words, tensors = decoded(LiveLSTM.of(result).to_json())
    assert words == result.details["words"]
    assert tensors.keys() == stored.keys()
    for name, tensor in stored.items():
        assert tensors[name].shape == tuple(tensor.shape)
        assert tensors[name].tobytes() == tensor.contiguous().numpy().tobytes()


def test_a_tensor_that_is_a_view_is_carried_in_its_order() -> None:
    model = random_lstm()
    turned = dict(model.tensors) | {"Wx": model.tensors["Wx"].T.contiguous().T}
    assert not turned["Wx"].is_contiguous()
    assert LiveLSTM(model.vocabulary, turned).to_json() == model.to_json()


def test_no_word_ends_the_script_element() -> None:
    odd = random_lstm(["</script><b>", "<!--", "ça\xa0va"])
    assert "<" not in odd.to_json()
    assert decoded(odd.to_json())[0] == list(odd.vocabulary.words)


def test_the_largest_model_fits_into_the_page() -> None:
    """As many words as stand three times in the real sentences, of as many letters."""
    config = LiveConfig()
    words = [f"{k:07d}" for k in range(5060)]
    model = random_lstm(words, config.wordvec_dim, config.hidden_dim)
    assert len(model.to_json().encode()) <= LIMIT


def test_weights_come_back_from_the_text() -> None:
    model = random_lstm(["</script><b>", "ça\xa0va"])
    back = LiveLSTM.from_json(model.to_json())
    assert back.vocabulary == model.vocabulary
    assert back.tensors.keys() == model.tensors.keys()
    for name, tensor in model.tensors.items():
        assert torch.equal(back.tensors[name], tensor)


@pytest.mark.parametrize(
    "text",
    ["", "null", "{}", '{"words": "a", "tensors": {"b": {}}}', '{"words": 1, "tensors": {}}'],
)
def test_a_text_that_is_none_of_weights(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        LiveLSTM.from_json(text)


def test_beside_a_sample_the_recorded_network_can_be_asked() -> None:
    record = load_record("text")
    result = run(tiny())
    (theirs, recorded), (ours, mine) = readers(result).items()  # real data first
    assert ours == "generated review sentences, in this build"
    assert theirs == f"{record.data['name']}, in the recorded run of {record.date[:10]}"
    assert mine.to_json() == LiveLSTM.of(result).to_json()
    text = (record_folder() / record.weights).read_text(encoding="utf-8")
    assert recorded.to_json() == text
    # What the run recorded of its size is the size of what is carried.
    (run_of_it,) = (run for run in record.runs if run.label == "the LSTM inside the page")
    assert run_of_it.config == asdict(LiveConfig("full"))
    numbers = sum(tensor.numel() for tensor in recorded.tensors.values())
    assert numbers + 4 * 16 == run_of_it.metrics["num_parameters"]  # torch's layers have two biases
    good, bad = (
        float(recorded.read(tokenise_review(s)).probability[-1])
        for s in ("The food was delicious!", "The food was terrible.")
    )
    assert good > 0.9
    assert bad < 0.1
    on_real = replace(result, config={**result.config, "profile": "full"})
    assert len(readers(on_real)) == 1


def test_facts_about_the_network_in_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_lstm(["the", "soup", "was", "good", "not"])
    monkeypatch.setattr(LiveLSTM, "of", lambda _: model)
    result = run(tiny())
    found = live_facts(result)
    reading = model.read(["the", "soup", "was", "not", "good"])
    assert found["text-live-units"] == str(len(model.tensors["w"]))
    assert found["text-live-parameters"] == f"{result.metrics['num_parameters']:,}"
    assert found["text-live-test"] == f"{result.metrics['test_accuracy']:.4f}"
    assert found["text-live-not-good"] == f"{float(reading.probability[-1]):.2f}"
    cell = f"{float(reading.c[-1].mean()):+.2f}".replace("-", "−")
    assert found["text-live-cell-not-good"] == cell
    assert found["text-live-cell-good"] != cell


def test_both_networks_fit_into_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the sample of the pages, not the small one
    text_data.text_data.cache_clear()
    config = default_config("sample")
    words = text_data.text_data("sample", 0).vocabulary.words[len(Vocabulary.SPECIAL) :]
    largest = random_lstm(words, config.wordvec_dim, config.hidden_dim)  # no word is left out
    recorded = (record_folder() / load_record("text").weights).stat().st_size
    assert len(largest.to_json().encode()) + recorded <= LIMIT


# -- What the page shows --------------------------------------------------------------------------


def tags_of_table(page: str) -> Tags:
    table = re.search("<table.*?</table>", page, re.DOTALL)
    assert table is not None
    return Tags(table[0])


def figure_of(result: Result) -> tuple[LiveLSTM, str]:
    model = LiveLSTM.of(result)
    return model, live_figure({"these": model}).html


def test_the_example_shows_the_numbers_of_the_model() -> None:
    model = random_lstm()
    page = live_figure({"these": model}).html
    tokens = tokenise_review(EXAMPLES[0])
    reading = model.read(tokens)
    table = tags_of_table(page)
    assert table.rows[0] == ["word", *tokens]
    assert table.rows[1][1:] == [f"{p:.2f}" for p in reading.probability.tolist()]
    assert f'<b id="live-lstm-probability">{reading.probability[-1]:.2f}</b>' in page
    named = {
        "forget gate": reading.f,
        "input gate": reading.i,
        "candidate": reading.c_tilde,
        "output gate": reading.o,
        "cell": reading.c,
    }
    expected = [
        f"{name}: mean {row.mean():.2f}, from {row.min():.2f} to {row.max():.2f}"
        for name, rows in named.items()
        for row in rows
    ]
    pictures = [svg for svg in table.named("svg") if svg.get("role") == "img"]
    assert [picture["aria-label"] for picture in pictures] == expected
    strips = torch.cat([gate.flatten() for gate in (reading.f, reading.i, reading.o)])
    rects = [rect for rect in table.named("rect") if "fill-opacity" in rect]
    opacity = [float(str(rect["fill-opacity"])) for rect in rects]
    np.testing.assert_allclose(opacity, strips.numpy(), atol=0.0051)


def test_bars_lie_on_the_side_of_their_sign() -> None:
    model = random_lstm()
    page = live_figure({"these": model}).html
    cell = model.read(tokenise_review(EXAMPLES[0])).c
    paths = re.findall(r'<path class="(for|against)" d="([^"]*)"', page)[-2 * len(cell) :]
    for values, ((right, ahead), (left, behind)) in zip(
        cell, zip(paths[::2], paths[1::2], strict=True), strict=True
    ):
        assert (right, left) == ("for", "against")
        drawn = [float(h) for h in re.findall(r"h(-?[\d.]+)v", ahead + behind)]
        expected = [*values[values > 0].tanh().tolist(), *values[values < 0].tanh().tolist()]
        np.testing.assert_allclose(drawn, [50 * length for length in expected], atol=0.051)


def test_only_examples_of_known_words_are_offered() -> None:
    page = live_figure({"these": random_lstm(tokenise_review(EXAMPLES[1]))}).html
    assert re.findall(r"<button[^>]*>([^<]*)<", page) == [EXAMPLES[1]]
    assert f">{EXAMPLES[1]}</textarea>" in page
    with pytest.raises(ValueError, match="models must know the words of one of EXAMPLES"):
        live_figure({"these": random_lstm(["soup", "good"])})


def test_a_choice_is_offered_between_several() -> None:
    one, other = random_lstm(), random_lstm([*ENOUGH, "more"], seed=1)
    alone = live_figure({"these": one}).html
    assert "radio" not in alone
    both = live_figure({"these": one, "<those>": other}).html
    assert re.findall(r'value="(\d)"( checked)? disabled> ([^<]*)<', both) == [
        ("0", " checked", "these"),
        ("1", "", "&lt;those&gt;"),
    ]
    first, second = (tags_of_table(page).rows for page in (alone, both))
    assert first == second  # the first of both reads
    carried = re.findall(r'class="live-model">(.*?)</script>', both)
    assert carried == [one.to_json(), other.to_json()]
    reader = random_lstm(tokenise_review(EXAMPLES[1]), seed=1)
    few = live_figure({"these": one, "those": reader}).html
    assert re.findall(r"<button[^>]*>([^<]*)<", few) == [EXAMPLES[1]]
    for wrong in ({}, {"these": one, "those": random_lstm(H=5)}):
        with pytest.raises(ValueError, match="models must be at least one, and all of as many"):
            live_figure(wrong)


def test_all_examples_are_made_of_words_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the sample of the pages, not the small one
    text_data.text_data.cache_clear()
    vocabulary = text_data.text_data("sample", 0).vocabulary.word_to_idx
    for sentence in EXAMPLES:
        assert set(tokenise_review(sentence)) <= vocabulary.keys(), sentence


@needs("sentiment")
def test_on_real_sentences() -> None:
    """One epoch is enough to know the size, and to be better than chance."""
    model, page = figure_of(run(replace(default_config("full"), epochs=1, batch_size=512)))
    assert len(model.to_json().encode()) <= LIMIT
    assert len(re.findall(r"<button", page)) == len(EXAMPLES)
    good, bad = (
        float(model.read(tokenise_review(s)).probability[-1])
        for s in ("The food was delicious!", "The food was terrible.")
    )
    assert good > 0.9
    assert bad < 0.1
