"""The text experiment from end to end: on small samples, on made-up files and on real data."""

from __future__ import annotations

import math
import runpy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from modules import modules_of
from real_data import needs
from torch import Tensor

from rnnreport.bench.text import measure
from rnnreport.data.assets import MissingDataError
from rnnreport.data.sentences import Sentences
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.text import data as text_data
from rnnreport.experiments.text import first_vectors, fitting, word_vectors
from rnnreport.experiments.text import settings as text_settings
from rnnreport.experiments.text import trained as text_trained
from rnnreport.experiments.text import training as text_training
from rnnreport.experiments.text.settings import TextConfig, default_config
from rnnreport.experiments.text.trained import TrainedClassifier, latest
from rnnreport.experiments.text.training import run
from rnnreport.experiments.text.word_vectors import WordVectorsConfig
from rnnreport.names import MODELS, RECURRENT, ModelName
from rnnreport.report.provenance import provenance
from rnnreport.runs import engine
from rnnreport.runs.definitions import definitions
from rnnreport.runs.store import (
    Result,
    all_results,
    load_tensors,
    store_folder,
)

N_TRAIN, N_DEV, N_TEST = SIZES = (300, 80, 101)
OWN = "GloVe vectors trained on the training sentences"
FILE = "glove.6B.50d.txt"


def clear_caches() -> None:
    text_data.text_data.cache_clear()
    first_vectors._file_vectors.cache_clear()


pytestmark = pytest.mark.usefixtures("one_thread", "store")


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    """Remember no data of another test."""
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the sample small."""
    monkeypatch.setattr(text_data, "SAMPLE_SIZES", SIZES)


def tiny(model: ModelName, **changes: Any) -> TextConfig:
    settings: dict[str, Any] = {"epochs": 2, "hidden_dim": 8}
    return replace(default_config(model, profile="sample"), **(settings | changes))


class Trainings:
    """Counts how often something is trained, and can forbid it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.allowed = 0, True
        original = text_training._train_and_test

        def counted(*arguments: Any) -> Any:
            assert self.allowed, "computed again"
            self.count += 1
            return original(*arguments)

        monkeypatch.setattr(text_training, "_train_and_test", counted)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    return Trainings(monkeypatch)


def accuracy(probabilities: Tensor, labels: Sequence[int]) -> float:
    pairs = zip(probabilities.tolist(), labels, strict=True)
    right = [bool(p > 0.5) == bool(label) for p, label in pairs]
    return sum(right) / len(right)


# One run


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("model", MODELS)
def test_a_run_and_what_it_keeps(model: ModelName) -> None:
    config = tiny(model)
    result = run(config)
    vectors = "none" if model in ("bag", "average") else "own"
    assert config.vectors == vectors
    assert result.config == asdict(config)
    assert result.experiment == "text"
    assert result.seeds == {"data": 0, "model": 0}
    assert result.data["profile"] == "sample"
    assert result.data["amount"].startswith(f"{N_TRAIN} for training with ")
    assert result.data["amount"].endswith(f"{N_DEV} to choose by, {N_TEST} to test")
    assert result.data.get("vectors") == (OWN if vectors == "own" else None)

    history, metrics, tensors = result.history, result.metrics, load_tensors(result)
    assert set(history) == {"train_loss", "dev_loss", "dev_accuracy"}
    for series in history.values():
        assert len(series) == config.epochs
        assert all(math.isfinite(value) for value in series)
    assert metrics["dev_accuracy"] == max(history["dev_accuracy"])
    best = history["dev_accuracy"].index(metrics["dev_accuracy"])
    assert metrics["best_epoch"] == best + 1

    splits = text_data.text_data("sample").splits
    for part, sentences in (("dev", splits.dev), ("test", splits.test)):
        p = tensors[f"{part}_probability"]
        assert p.shape == (len(sentences),)
        assert metrics[f"{part}_accuracy"] == pytest.approx(accuracy(p, sentences.labels))
    truth = torch.tensor(splits.dev.labels).float()
    loss = torch.nn.functional.binary_cross_entropy(tensors["dev_probability"], truth)
    assert history["dev_loss"][best] == pytest.approx(float(loss), rel=1e-5)

    classifier = TrainedClassifier(result)
    assert classifier.vocabulary.words == text_data.text_data("sample").vocabulary.words
    assert classifier.model.num_parameters == metrics["num_parameters"]
    for part, sentences in (("dev", splits.dev), ("test", splits.test)):
        again = classifier.probabilities(sentences.sentences)
        assert torch.allclose(again, tensors[f"{part}_probability"], rtol=0, atol=1e-6)


@pytest.mark.usefixtures("few")
def test_the_weights_of_the_first_best_epoch_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = iter([0.5, 0.7, 0.6, 0.7, 0.65, 0.25])  # five times of dev, once of test
    after: list[dict[str, Tensor]] = []
    train = fitting.train_epoch

    def watched(model: torch.nn.Module, *arguments: Any, **keywords: Any) -> Any:
        losses = train(model, *arguments, **keywords)  # type: ignore[arg-type]
        after.append({name: value.clone() for name, value in model.state_dict().items()})
        return losses

    monkeypatch.setattr(fitting, "train_epoch", watched)
    for module in (text_training, fitting):
        monkeypatch.setattr(module, "accuracy", lambda *_: next(accuracies))
    result = run(tiny("lstm", epochs=5))
    assert result.history["dev_accuracy"] == [0.5, 0.7, 0.6, 0.7, 0.65]
    assert result.metrics["best_epoch"] == 2
    assert result.metrics["dev_accuracy"] == 0.7
    assert result.metrics["test_accuracy"] == 0.25
    tensors = load_tensors(result)
    assert {name for name in tensors if name.startswith("model.")} == {
        f"model.{n}" for n in after[1]
    }
    for name, value in after[1].items():
        assert torch.equal(tensors[f"model.{name}"], value)
        assert not torch.equal(value, after[-1][name])
    splits = text_data.text_data("sample").splits
    classifier = TrainedClassifier(result)
    for part, sentences in (("dev", splits.dev), ("test", splits.test)):
        again = classifier.probabilities(sentences.sentences)
        assert torch.allclose(again, tensors[f"{part}_probability"], rtol=0, atol=1e-6)


@pytest.mark.usefixtures("few")
def test_the_learning_rate_falls_to_zero_in_a_straight_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[float] = []
    train = fitting.train_epoch

    def watched(
        model: Any, sentences: Any, labels: Any, optimiser: Any, *rest: Any, **k: Any
    ) -> Any:
        rates.append(optimiser.param_groups[0]["lr"])
        losses = train(model, sentences, labels, optimiser, *rest, **k)
        rates.append(optimiser.param_groups[0]["lr"])
        return losses

    monkeypatch.setattr(fitting, "train_epoch", watched)
    run(tiny("bag", epochs=4, learning_rate=0.04))
    assert rates == pytest.approx([0.04, 0.03, 0.03, 0.02, 0.02, 0.01, 0.01, 0.0])


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("model", ["bag", "bilstm"])
def test_the_test_sentences_are_scored_once_and_last(
    model: ModelName, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bool]] = []  # for each call how many sentences, and whether in training
    build = text_trained.build_model

    def watched(*arguments: Any, **keywords: Any) -> Any:
        built = build(*arguments, **keywords)
        loss = built.loss

        def learn(sentences: Sentences, *rest: Any) -> float:
            seen.append((len(sentences), True))
            return loss(sentences, *rest)

        def note_evaluation(_: Any, given: tuple[Any, ...]) -> None:
            if len(given) == 1 or given[1] is None:  # without dropout
                seen.append((len(given[0]), False))

        monkeypatch.setattr(built, "loss", learn)
        built.register_forward_pre_hook(note_evaluation)
        return built

    monkeypatch.setattr(text_training, "build_model", watched)
    config = tiny(model, epochs=3)
    run(config)
    batches, rest = divmod(N_TRAIN, config.batch_size)
    assert rest > 0
    epoch = [(config.batch_size, True)] * batches + [(rest, True), (N_DEV, False)]
    assert seen == [*3 * epoch, (N_TEST, False)]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("model", ["average", "rnn", "bilstm"])
def test_training_is_repeatable_and_seeds_count(
    model: ModelName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tiny(model))
    tensors = load_tensors(first)
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "other"))
    clear_caches()
    torch.rand(3)  # another state of torch's own generator
    again = run(tiny(model))
    assert again.history == first.history
    assert again.metrics == first.metrics
    assert again.data == first.data
    assert all(torch.equal(load_tensors(again)[name], tensors[name]) for name in tensors)
    other = run(tiny(model, seed=1))
    assert other.history["train_loss"] != first.history["train_loss"]
    assert not torch.equal(load_tensors(other)["test_probability"], tensors["test_probability"])
    assert other.data == first.data
    assert run(tiny(model, data_seed=1)).data["fingerprint"] != first.data["fingerprint"]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("model", ["bag", "glove", "rnn", "bilstm"])
def test_the_global_generator_is_left_alone(model: ModelName) -> None:
    state = torch.random.get_rng_state()
    result = run(tiny(model, epochs=1))
    assert torch.equal(state, torch.random.get_rng_state())
    TrainedClassifier(result)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.usefixtures("few")
def test_a_stored_result_is_not_computed_again(trainings: Trainings) -> None:
    first = run(tiny("bag"))
    assert run(tiny("bag")) == first
    assert trainings.count == 1
    run(tiny("bag", learning_rate=0.02))
    run(tiny("bag", seed=1))
    assert trainings.count == 3


def test_the_pages_are_no_part_of_a_result() -> None:
    modules = modules_of(definitions("rnnreport.experiments.text.training", "run"))
    assert modules >= {
        "rnnreport.samples.reviews",
        "rnnreport.data.sentences",
        "rnnreport.experiments.text.data",
        "rnnreport.experiments.text.word_vectors",
        "rnnreport.layers._lstm",
        "rnnreport.layers._pooling",
        "rnnreport.models.glove",
        "rnnreport.models.text",
        "rnnreport.nn._recurrent",
    }
    assert not modules & {
        "rnnreport.__main__",
        "rnnreport.experiments.text.figures",
        "rnnreport.experiments.text.study",
        "rnnreport.show.figures",
    }
    assert not any(name.startswith("rnnreport.bench") for name in modules)


@pytest.mark.usefixtures("few")
def test_a_diverging_loss_stops_the_training() -> None:
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf).*smaller learning_rate"):
        run(tiny("bag", learning_rate=1e38))


# A trained classifier


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("model", ["rnn", "lstm"])
def test_probabilities_by_word_are_those_of_the_beginnings(model: ModelName) -> None:
    classifier = TrainedClassifier(run(tiny(model)))
    sentence = ["the", "waiter", "was", "not", "rude", "xyzzy", "."]
    steps = classifier.probabilities_by_word(sentence)
    beginnings = [sentence[: k + 1] for k in range(len(sentence))]
    assert steps == pytest.approx(classifier.probabilities(beginnings).tolist(), abs=1e-6)
    assert len(set(steps)) > 1


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("model", ["bag", "glove-fixed", "bilstm"])
def test_other_models_do_not_read_word_by_word(model: ModelName) -> None:
    classifier = TrainedClassifier(run(tiny(model, epochs=1)))
    with pytest.raises(TypeError, match=f"'{model}' does not read word by word"):
        classifier.probabilities_by_word(["good"])


@pytest.mark.usefixtures("few")
def test_unknown_words() -> None:
    classifier = TrainedClassifier(run(tiny("lstm")))
    assert classifier.unknown(["the", "xyzzy", "was", "plugh"]) == ["xyzzy", "plugh"]
    assert classifier.unknown([]) == []
    one, other = classifier.probabilities([["the", "xyzzy", "."], ["the", "plugh", "."]]).tolist()
    assert one == other
    assert one != float(classifier.probabilities([["the", "waiter", "."]])[0])
    with pytest.raises(ValueError, match=r"sentences\[1\] must have at least one word"):
        classifier.probabilities([["good"], []])
    with pytest.raises(ValueError, match="must have at least one word"):
        classifier.probabilities_by_word([])


@pytest.mark.usefixtures("few")
def test_weights_that_do_not_fit_are_refused() -> None:
    result = run(tiny("rnn", epochs=1))
    with pytest.raises(ValueError, match=r"the weights of text \w{20} do not fit"):
        TrainedClassifier(replace(result, config=result.config | {"hidden_dim": 9}))
    with pytest.raises(ValueError, match="do not fit"):
        TrainedClassifier(replace(result, config=result.config | {"model": "bag"}))


# Several runs


@pytest.mark.usefixtures("few")
def test_runs_side_by_side_give_what_they_give_alone(
    trainings: Trainings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_BACKEND", "threading")  # processes know of no small sample
    configs = [tiny(model, seed=seed) for model in ("lstm", "bag", "glove") for seed in (1, 0)]
    results = engine.results(text_training, configs, label="text", workers=3)
    assert trainings.count == 6
    assert [(r.config["model"], r.config["seed"]) for r in results] == [
        (config.model, config.seed) for config in configs
    ]
    tensors = [load_tensors(result) for result in results]
    assert engine.results(text_training, configs[::-1], label="text", workers=3) == results[::-1]
    assert trainings.count == 6
    wanted = [configs[1], tiny("bag", seed=2), configs[0]]
    more = engine.results(text_training, wanted, label="text", workers=3)
    assert trainings.count == 7
    assert [more[0], more[2]] == [results[1], results[0]]

    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "other"))
    clear_caches()
    for config, result, before in zip(configs, results, tensors, strict=True):
        assert_same(run(config), result, before)


def test_an_error_in_a_process_of_its_own_reaches_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On the sample as it is: the processes know of no change that a test makes.
    config = replace(default_config("bag", profile="sample"), epochs=1)
    configs = [config, replace(config, seed=1), replace(config, learning_rate=1e38)]
    state = torch.random.get_rng_state()
    with pytest.raises(FloatingPointError, match="smaller learning_rate"):
        engine.results(text_training, configs, label="text", workers=2)
    assert torch.equal(state, torch.random.get_rng_state())
    stored = all_results("text")  # one of two was done when the third began
    assert {result.config["learning_rate"] for result in stored} == {config.learning_rate}
    tensors = [load_tensors(result) for result in stored]
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "other"))
    for result, before in zip(stored, tensors, strict=True):
        assert_same(run(TextConfig(**result.config)), result, before)


def assert_same(result: Result, other: Result, tensors: dict[str, Tensor]) -> None:
    for name in ("config", "data", "history", "metrics", "key"):
        assert getattr(result, name) == getattr(other, name)
    loaded = load_tensors(result)
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


@pytest.mark.usefixtures("few")
def test_vectors_are_trained_once_and_only_when_needed(trainings: Trainings) -> None:
    configs = [tiny("glove", epochs=1), tiny("bag", epochs=1), tiny("rnn", epochs=1)]
    keys = [text_training.request(config).key for config in configs]
    assert not all_results("word-vectors")  # asking trains nothing
    results = engine.results(text_training, configs, label="text", workers=1)
    assert [result.key for result in results] == keys
    assert trainings.count == 3
    assert len(all_results("word-vectors")) == 1


@pytest.mark.usefixtures("few")
def test_provenance_of_several_models_whose_vectors_differ() -> None:
    results = [run(tiny(model, epochs=1)) for model in ("bag", "average", "glove")]
    assert results[0].data != results[2].data
    assert f"{N_TRAIN} for training" in str(provenance(*results))
    assert "Generated sample" in str(provenance(*results))
    other = run(tiny("bag", epochs=1, data_seed=1))
    with pytest.raises(ValueError, match="the same data"):
        provenance(*results, other)


@pytest.mark.usefixtures("few")
def test_word_vectors_of_the_training_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    config = WordVectorsConfig("sample", dim=6, epochs=3)
    result = word_vectors.run(config)
    data = text_data.text_data("sample")
    vectors = load_tensors(result)["vectors"]
    assert vectors.shape == (len(data.vocabulary), 6)
    assert not vectors[: len(Vocabulary.SPECIAL)].any()
    assert vectors[len(Vocabulary.SPECIAL) :].any(1).all()
    loss = result.history["loss"]
    assert len(loss) == 3
    assert loss[-1] == result.metrics["last_loss"] < loss[0]
    assert result.data == data.about
    monkeypatch.setattr(word_vectors, "_train", None)
    assert word_vectors.run(config) == result


# On files


SENTENCES = {
    "train": (
        "1 the soup was good .\n0 the soup was bad .\n1 the waiter was very good .\n"
        "0 the waiter was very bad .\n1 i liked it .\n0 i hated it .\n1 i liked the waiter .\n"
        "0 i hated the waiter .\n1 the soup was not bad .\n0 the soup was not good .\n"
    ),
    "dev": "1 the waiter was good .\n0 the waiter was bad .\n",
    "test": "0 i hated the soup .\n1 i liked the soup .\n1 very good xyzzy .\n",
}
WORDS = sorted({word for line in SENTENCES["train"].splitlines() for word in line.split()[1:]})
UNKNOWN_TO_THE_FILE = ("hated", "waiter")


def write_vectors(
    path: Path, seed: int = 0, dim: int = 50, gaps: Sequence[str] = UNKNOWN_TO_THE_FILE
) -> dict[str, list[float]]:
    """Write vectors of some words, one of them in no sentence, and return them."""
    path.parent.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    words = [word for word in WORDS if word not in gaps] + ["elsewhere"]
    rows = {
        word: [round(v, 4) for v in torch.randn(dim, generator=generator).tolist()]
        for word in words
    }
    lines = (" ".join([word, *map(str, row)]) + "\n" for word, row in rows.items())
    path.write_text("".join(lines), encoding="utf-8")
    return rows


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder with a few sentences and no vectors."""
    root = tmp_path / "data"
    (root / "sentiment").mkdir(parents=True)
    for part, content in SENTENCES.items():
        (root / "sentiment" / f"{part}.txt").write_text(content, encoding="utf-8")
    monkeypatch.setenv("RNNREPORT_DATA", str(root))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    return root


def full(model: ModelName, **changes: Any) -> TextConfig:
    settings: dict[str, Any] = {"epochs": 2, "hidden_dim": 8}
    return replace(default_config(model, profile="full"), **(settings | changes))


def test_vectors_from_a_file(files: Path) -> None:
    rows = write_vectors(files / "glove" / FILE)
    config = full("glove-fixed")
    assert (config.profile, config.vectors, config.file) == ("full", "file", FILE)
    result = run(config)
    assert result.config["vectors"] == "file"
    assert result.data["name"] == "sentences of Yelp reviews"
    assert result.data["amount"] == (
        "10 for training with 13 different words, 2 to choose by, 3 to test"
    )
    assert result.data["vectors"] == FILE
    assert result.data["vectors_dim"] == 50
    assert result.metrics["words_with_vector"] == len(WORDS) - len(UNKNOWN_TO_THE_FILE)
    tokens = [word for line in SENTENCES["train"].splitlines() for word in line.split()[1:]]
    known_tokens = [word for word in tokens if word in rows]
    assert result.metrics["share_with_vector"] == pytest.approx(len(known_tokens) / len(tokens))

    classifier = TrainedClassifier(result)
    words = classifier.vocabulary.words
    assert set(words) == {*Vocabulary.SPECIAL, *WORDS}
    file_vectors = torch.tensor([rows[word] for word in words if word in rows])
    expected = torch.zeros(len(words), 50)
    expected[[word in rows for word in words]] = 0.5 * file_vectors / file_vectors.std()
    fixed = load_tensors(result)["model.vectors"]
    assert torch.allclose(fixed, expected, rtol=1e-5)
    assert result.metrics["num_parameters"] == 51

    # The others train them, and their unknown words begin at random.
    trained = load_tensors(run(full("glove")))["model.vectors"]
    assert not torch.equal(trained[2:], fixed[2:])
    assert (trained[list(map(words.index, UNKNOWN_TO_THE_FILE))] != 0).all()
    assert torch.allclose(trained, expected, atol=0.6)
    assert load_tensors(run(full("rnn")))["model.vectors"].shape == (len(words), 100)


@pytest.mark.parametrize("model", ["glove-fixed", "rnn"])
def test_vectors_are_trained_where_no_file_is(model: ModelName, files: Path) -> None:
    result = run(full(model))
    assert result.config["vectors"] == "own"
    assert result.data["vectors"] == OWN
    assert result.data["vectors_dim"] == 100
    assert result.metrics["words_with_vector"] == len(WORDS)
    (trained,) = all_results("word-vectors")
    assert result.data["vectors_fingerprint"] == trained.key
    if model == "glove-fixed":
        vectors = load_tensors(trained)["vectors"]
        expected = 0.5 * vectors / vectors[2:].std()
        assert torch.allclose(load_tensors(result)["model.vectors"], expected, rtol=1e-5)
    write_vectors(files / "glove" / FILE)
    clear_caches()
    assert run(full(model)).data["vectors"] == FILE
    assert run(full(model, vectors="own", file="")) == result


def test_a_file_that_is_asked_for_must_be_there(files: Path) -> None:
    for config in (full("lstm", vectors="files"), full("lstm", vectors="file", file=FILE)):
        with pytest.raises(MissingDataError, match="'glove' is missing"):
            run(config)
    write_vectors(files / "glove" / FILE)
    assert run(full("lstm", vectors="file", file=FILE)).data["vectors"] == FILE
    with pytest.raises(MissingDataError, match=f"glove.a is missing: there are {FILE}"):
        run(full("lstm", vectors="file", file="glove.a"))


def test_files_stand_side_by_side_up_to_the_width_of_the_source(files: Path) -> None:
    folder = files / "glove"
    names = [f"glove.{part}.txt" for part in ("6B.200d", "6B.100d", "6B.50d", "twitter.27B.50d")]
    rows = {
        name: write_vectors(folder / name, seed, int(name.split(".")[-2][:-1]), gaps)
        for seed, (name, gaps) in enumerate(
            zip(names, (("hated", "waiter"), ("soup", "waiter"), ("hated",), ()), strict=True)
        )
    }
    result = run(full("lstm", epochs=1, learning_rate=1e-9))
    # The third knows the waiter; the fourth, nothing that the others do not.
    assert result.data["vectors"] == f"{names[0]} beside {names[1]}, what they lack from {names[2]}"
    assert result.data["vectors_dim"] == 300
    assert result.metrics["words_with_vector"] == len(WORDS)
    assert result.metrics["share_with_vector"] == 1
    words = TrainedClassifier(result).vocabulary.words
    vectors = load_tensors(result)["model.vectors"]
    start = 0
    for name in names[:2]:
        known = [word in rows[name] for word in words]
        values = torch.tensor([rows[name][word] for word in words if word in rows[name]])
        here = vectors[known, start : start + values.shape[1]]
        torch.testing.assert_close(here / here.std(), values / values.std(), rtol=1e-4, atol=1e-5)
        start += values.shape[1]
    assert vectors.shape[1] == start
    (folder / names[3]).unlink()
    clear_caches()
    assert text_training.request(full("lstm", epochs=1, learning_rate=1e-9)).key == result.key
    write_vectors(folder / names[2], seed=9, gaps=("hated",))
    clear_caches()
    assert text_training.request(full("lstm", epochs=1, learning_rate=1e-9)).key != result.key


def test_vectors_are_at_least_as_long_as_those_of_the_file(files: Path) -> None:
    rows = write_vectors(files / "glove" / FILE)
    for dim, length in ((0, 50), (49, 50), (50, 50), (53, 53)):
        result = run(full("lstm", wordvec_dim=dim, epochs=1, learning_rate=1e-9))
        vectors = load_tensors(result)["model.vectors"]
        assert vectors.shape[1] == length
        words = TrainedClassifier(result).vocabulary.words
        has_vector = torch.tensor([word in rows for word in words])
        values = torch.tensor([rows[word] for word in words if word in rows])
        expected = 0.5 * values / values.std()
        torch.testing.assert_close(vectors[has_vector, :50], expected, rtol=1e-5, atol=1e-6)
        assert vectors[2:, 50:].all()  # the rest begins at random, and so do unknown words
        assert vectors[2:][~has_vector[2:]].all()
        assert vectors[:2].abs().max() < 1e-6


def test_what_a_result_rests_on_counts(files: Path, trainings: Trainings) -> None:
    def runs(model: ModelName) -> int:
        clear_caches()
        before = trainings.count
        run(full(model))
        return trainings.count - before

    path = files / "glove" / FILE
    write_vectors(path)
    assert [runs("glove"), runs("glove"), runs("bag"), runs("bag")] == [1, 0, 1, 0]
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + "another" + lines[-1][len("elsewhere") :], "utf-8")
    assert [runs("glove"), runs("bag")] == [0, 0]  # of a word that no sentence has
    write_vectors(path, seed=1)
    assert [runs("glove"), runs("bag")] == [1, 0]
    write_vectors(path)
    assert runs("glove") == 0
    for part, content in SENTENCES.items():
        sentences = files / "sentiment" / f"{part}.txt"
        sentences.write_text(content.replace("1 i liked", "0 i liked", 1) + "1 good .\n", "utf-8")
        assert [runs("glove"), runs("bag")] == [1, 1]
        sentences.write_text(content, "utf-8")
        assert [runs("glove"), runs("bag")] == [0, 0]


def test_missing_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_DATA", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    for action in (
        lambda: run(TextConfig(model="bag", vectors="none", wordvec_dim=1)),
        lambda: engine.results(
            text_training, [TextConfig(model="bag", vectors="none", wordvec_dim=1)], label=""
        ),
        lambda: word_vectors.run(WordVectorsConfig("full")),
    ):
        with pytest.raises(MissingDataError, match="'sentiment' is missing"):
            action()


def test_sentences_in_which_no_word_stands_twice(files: Path) -> None:
    (files / "sentiment" / "train.txt").write_text("1 so good\n0 very bad\n", "utf-8")
    data = text_data.text_data("full")
    assert data.first_rare == len(Vocabulary.SPECIAL)


def test_rare_words_stand_once(files: Path) -> None:
    assert files.is_dir()
    data = text_data.text_data("full")
    tokens = [word for sentence in data.splits.train.sentences for word in sentence]
    assert all(tokens.count(word) > 1 for word in data.vocabulary.words[2 : data.first_rare])
    assert all(tokens.count(word) == 1 for word in data.vocabulary.words[data.first_rare :])
    train = files / "sentiment" / "train.txt"
    train.write_text(SENTENCES["train"] + "1 wow yum\n", "utf-8")
    clear_caches()
    data = text_data.text_data("full")
    assert data.vocabulary.words[data.first_rare :] == ("wow", "yum")


# Configurations


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "perceptron"}, r"model must be one of bag, average, .*got 'perceptron'"),
        ({"vectors": "word2vec"}, r"vectors must be one of file, files, own, none, got"),
        ({"vectors": "file"}, "file must name a file of vectors where vectors is 'file'"),
        ({"file": "a.txt"}, "be empty elsewhere, got 'a.txt' with 'own'"),
        ({"own_dim": 0}, "own_dim must be at least 1, got 0"),
        ({"hidden_dim": 0}, "hidden_dim must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"embedding_dropout": 1.0}, r"embedding_dropout must be in \[0, 1\), got 1"),
        ({"dropout": -0.1}, r"dropout must be in \[0, 1\), got -0.1"),
        ({"word_dropout": float("nan")}, r"word_dropout must be in \[0, 1\), got nan"),
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive, got nan"),
        ({"wordvec_dim": -1}, "wordvec_dim must be at least"),
        ({"vectors": "none", "wordvec_dim": 0}, "wordvec_dim must be at least 1, got 0"),
    ],
)
def test_refuses_bad_configurations(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TextConfig(), **change)


def test_default_configurations_on_real_data(files: Path) -> None:
    for model in MODELS:
        expected = TextConfig(model=model, profile="full", seed=2, **text_settings.SETTINGS[model])
        assert default_config(model, profile="full", seed=2) == expected
    for name in ("glove.twitter.27B.25d.part.txt", FILE):
        write_vectors(files / "glove" / name)
    of = {model: default_config(model, profile="full") for model in MODELS}
    assert {model: (config.vectors, config.file) for model, config in of.items()} == {
        "bag": ("none", ""),
        "average": ("none", ""),
        "glove-fixed": ("file", FILE),
        **dict.fromkeys(("glove", *RECURRENT), ("files", "")),
    }


def test_default_configurations() -> None:
    for model in MODELS:
        config = default_config(model, profile="sample", seed=3)
        assert (config.model, config.profile, config.seed) == (model, "sample", 3)
        expected = {**text_settings.SETTINGS[model], **text_settings._SAMPLE.get(model, {})}
        assert {name: getattr(config, name) for name in expected} == expected
    with pytest.raises(ValueError, match=r"model must be one of bag, .* got 'perceptron'"):
        default_config("perceptron", profile="sample")  # type: ignore[arg-type]


# Stored models


def keep(result: Result, date: str, **config: Any) -> Result:
    """Store a result as if it were of another date and configuration."""
    changed = replace(result, date=date, config=result.config | config, key=f"{date}+{config}")
    old, new = (store_folder() / f"text-{r.key[:20]}" for r in (result, changed))
    new.with_suffix(".json").write_text(changed.to_json(), encoding="utf-8")
    new.with_suffix(".safetensors").write_bytes(old.with_suffix(".safetensors").read_bytes())
    return changed


@pytest.mark.usefixtures("few")
def test_latest() -> None:
    command = "rnnreport train text --model bag"
    with pytest.raises(MissingDataError, match=rf"'bag' is stored in .*`{command}` trains it"):
        latest("bag")
    base = run(tiny("bag", epochs=1))
    assert latest("bag").result == base
    with pytest.raises(MissingDataError, match=r"'lstm' is stored"):
        latest("lstm")
    with pytest.raises(MissingDataError, match=f"`{command} --profile full`"):
        latest("bag", "full")
    newer = keep(base, "2100-01-02T00:00:00+00:00")
    keep(base, "2000-01-02T00:00:00+00:00", seed=1)
    keep(base, "2100-01-03T00:00:00+00:00", model="lstm")
    assert latest("bag").result == latest("bag", "sample").result == newer
    full_one = keep(base, "2000-01-01T00:00:00+00:00", profile="full")
    keep(base, "1999-01-01T00:00:00+00:00", profile="full")
    assert latest("bag").result == latest("bag", "full").result == full_one
    assert latest("bag", "sample").result == newer


@pytest.mark.usefixtures("few")
def test_latest_passes_over_results_of_another_version() -> None:
    base = run(tiny("bag", epochs=1))
    keep(base, "2100-01-01T00:00:00+00:00", momentum=0.9)
    assert latest("bag").result == base


# The benchmark


def test_the_benchmark_prints_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", "bag", "--sentences", "300", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["rnnreport.bench", "text", *options])
    monkeypatch.delitem(sys.modules, "rnnreport.bench.__main__", raising=False)
    runpy.run_module("rnnreport.bench", run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert "Text classifiers in one thread, 300 sentences an epoch" in lines
    (row,) = (line.split() for line in lines if line.startswith("bag"))
    assert len(row) == 4
    assert all(float(value.replace(",", "")) > 0 for value in row[1:])


@pytest.mark.parametrize("model", MODELS)
def test_the_plain_script_trains_as_many_numbers(
    model: ModelName, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    adam = torch.optim.Adam

    def watched(parameters: Any, **keywords: Any) -> Any:
        trained = list(parameters)
        counts.append(sum(parameter.numel() for parameter in trained))
        return adam(trained, **keywords)

    monkeypatch.setattr(torch.optim, "Adam", watched)
    row = measure(model, count=20, rounds=1)
    assert (row.model, row.rounds) == (model, 1)
    ours, script = counts
    assert ours == script > 0


# On real data


@needs("sentiment")
def test_bag_of_words_on_the_real_sentences() -> None:
    result = run(default_config("bag", profile="full"))
    assert result.metrics["dev_accuracy"] >= 0.957
    assert result.data["name"] == "sentences of Yelp reviews"
    assert len(load_tensors(result)["test_probability"]) == 10_000
