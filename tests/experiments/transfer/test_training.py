"""Transfer learning from end to end: on a few drawn insects, on made-up files, on real data."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from modules import modules_of
from PIL import Image
from real_data import needs
from torch import Generator, Tensor

from rnnreport.bench.transfer import measure
from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.experiments.transfer import choice as transfer_choice
from rnnreport.experiments.transfer import data as transfer_data
from rnnreport.experiments.transfer import rate as transfer_rate
from rnnreport.experiments.transfer import training as transfer_training
from rnnreport.experiments.transfer.trained import TrainedImageClassifier, latest
from rnnreport.experiments.transfer.training import (
    TransferConfig,
    default_config,
    rate_config,
    run,
    seeds_of,
)
from rnnreport.models.embedded import load_embedded
from rnnreport.models.transfer import finetune
from rnnreport.names import MODES, Mode
from rnnreport.report.provenance import provenance
from rnnreport.runs.definitions import definitions
from rnnreport.runs.store import all_results, load_tensors
from rnnreport.samples.insects import generate_insects

N_TRAIN, N_VAL = 24, 11


def clear_caches() -> None:
    transfer_data._hash_of_embedded.cache_clear()
    transfer_data.transfer_data.cache_clear()
    transfer_rate.lower_maps.cache_clear()
    transfer_rate.validation_maps.cache_clear()
    transfer_training._last_maps.cache_clear()


pytestmark = pytest.mark.usefixtures("one_thread", "store")


@pytest.fixture(autouse=True)
def few_insects(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw few insects."""
    few = functools.partial(generate_insects, size=48, train=(13, 11), val=(5, 6))
    monkeypatch.setattr(transfer_data, "generate_insects", few)
    monkeypatch.setattr(transfer_data, "COUNTS", {"train": (13, 11), "val": (5, 6)})
    clear_caches()
    yield
    clear_caches()


def tiny(mode: Mode, **changes: Any) -> TransferConfig:
    settings: dict[str, Any] = {
        "profile": "sample",
        "backbone": "embedded",
        "sizes": (32,),
        "decays": (1e-2,),
        "epochs": 3,
        "view_size": 32,
        "views": 2,
        "finetune_epochs": 2,
        "cut": 5,
        "rates": (1e-3,),
    }
    return TransferConfig(mode=mode, **(settings | changes))


@pytest.mark.parametrize("mode", MODES)
def test_a_run_and_what_it_keeps(mode: Mode) -> None:
    config = tiny(mode)
    result = run(config)
    assert result.experiment == "transfer"
    assert result.config["backbone"] == "embedded"
    expected = asdict(config)
    for name, value in expected.items():
        assert result.config[name] == (list(value) if isinstance(value, tuple) else value)
    assert result.data["name"] == "drawn ants and bees"
    assert result.data["amount"].startswith(
        "24 for training (13 ants, 11 bees), 11 for validation (5 ants, 6 bees). The network: "
    )
    epochs = 3 if mode == "frozen" else 2
    history, metrics, tensors = result.history, result.metrics, load_tensors(result)
    assert set(history) == {"train_loss", "val_loss", "val_accuracy"}
    for series in history.values():
        assert len(series) == epochs
        assert all(math.isfinite(value) for value in series)
    assert metrics["size"] == 32
    assert metrics["last_accuracy"] == history["val_accuracy"][-1]
    assert metrics["best_accuracy"] == max(history["val_accuracy"])
    best = history["val_accuracy"].index(metrics["best_accuracy"])
    assert metrics["best_epoch"] == best + 1
    layer = 2 * 112 + 2
    assert (metrics["num_parameters"] == layer) == (mode == "frozen")

    data = transfer_data.transfer_data("sample")
    p = tensors["val_probability"]
    torch.testing.assert_close(p.sum(1), torch.ones(N_VAL))
    hits = (p.argmax(1) == data.val_labels).double().mean().item()
    assert metrics["last_accuracy"] == pytest.approx(hits)
    loss = torch.nn.functional.nll_loss(p.log(), data.val_labels).item()
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert tensors["grad_cam"].shape == (N_VAL, 2, 2)
    assert (tensors["grad_cam"] >= 0).all()


def test_fine_tuning_begins_where_the_frozen_one_ended() -> None:
    frozen = run(tiny("frozen", epochs=4))
    still = tiny("finetuned", epochs=4, rates=(1e-12,), head_learning_rate=1e-12)
    begun = load_tensors(run(still))
    ended = load_tensors(frozen)
    for name in ("val_probability", "grad_cam"):  # stored maps have half precision
        torch.testing.assert_close(begun[name], ended[name], rtol=1e-2, atol=1e-3)
    moved = load_tensors(run(replace(still, rates=(1e-2,))))
    assert not torch.allclose(moved["val_probability"], ended["val_probability"], atol=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_training_is_repeatable_and_seeds_count(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = torch.random.get_rng_state()
    first = run(tiny(mode))
    tensors = load_tensors(first)
    assert torch.equal(torch.random.get_rng_state(), state)
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "other"))
    clear_caches()
    torch.rand(3)  # another state of torch's own generator
    again = run(tiny(mode))
    assert (again.key, again.history) == (first.key, first.history)
    assert all(torch.equal(load_tensors(again)[name], tensors[name]) for name in tensors)
    other = run(tiny(mode, seed=1))
    assert other.history["train_loss"] != first.history["train_loss"]
    assert other.data == first.data
    assert len(all_results("transfer-choice")) == 1
    assert run(tiny(mode, data_seed=1)).data["fingerprint"] != first.data["fingerprint"]


@pytest.mark.parametrize("mode", MODES)
def test_a_stored_result_is_not_computed_again(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tiny(mode))
    for name in ("pass_through", "train_head", "finetune"):
        monkeypatch.setattr(transfer_training, name, None)
    assert run(tiny(mode)) == first
    with pytest.raises(TypeError):
        run(tiny(mode, seed=1))


def test_what_the_network_is_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tiny("frozen"))
    network = load_embedded()
    next(network.parameters()).data += 1
    monkeypatch.setattr(transfer_data, "load_embedded", lambda: network)
    transfer_data._hash_of_embedded.cache_clear()
    assert run(tiny("frozen")).data["fingerprint"] != first.data["fingerprint"]


@pytest.mark.parametrize("mode", MODES)
def test_validation_images_choose_and_teach_nothing(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(mode, decays=(1e-3, 1.0), sizes=(32, 48), rates=(1e-3, 1e-2))
    first = run(config)
    tensors, table = load_tensors(first), all_results("transfer-choice")[0].details
    original = transfer_data.transfer_data("sample")
    turned = replace(original, val_labels=1 - original.val_labels)
    for module in (transfer_training, transfer_choice, transfer_rate):
        monkeypatch.setattr(module, "transfer_data", lambda *_: turned)
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "other"))
    other = run(config)
    assert all_results("transfer-choice")[0].details == table
    assert torch.equal(load_tensors(other)["val_probability"], tensors["val_probability"])
    assert other.metrics["last_accuracy"] == pytest.approx(1 - first.metrics["last_accuracy"])


def test_the_pages_are_no_part_of_a_result() -> None:
    modules = modules_of(definitions("rnnreport.experiments.transfer.training", "run"))
    assert modules >= {
        "rnnreport.samples.insects",
        "rnnreport.data.pictures",
        "rnnreport.data.views",
        "rnnreport.experiments.transfer.choice",
        "rnnreport.experiments.transfer.rate",
        "rnnreport.models.embedded",
        "rnnreport.models.transfer",
    }
    assert not modules & {
        "rnnreport.__main__",
        "rnnreport.experiments.significance",
        "rnnreport.experiments.transfer.figures",
        "rnnreport.experiments.transfer.study",
        "rnnreport.show.figures",
    }


# Choosing


def test_the_smallest_loss_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {(32, 0.1): 0.5, (32, 0.2): 0.3, (48, 0.1): 0.4, (48, 0.2): 0.6}
    sizes = iter([32, 32, 48, 48])

    def pretend(features: Tensor, _labels: Tensor, decay: float, _config: Any) -> Any:
        assert features.shape == (2, N_TRAIN, 112)
        return losses[(next(sizes), decay)], 0.5

    monkeypatch.setattr(transfer_choice, "_cross_validate", pretend)
    choice = rate_config(tiny("frozen", sizes=(32, 48), decays=(0.1, 0.2))).choice
    result = transfer_choice.run(choice)
    assert result.metrics == {"size": 32, "decay": 0.2}
    assert [row["loss"] for row in result.details["table"]] == list(losses.values())
    tensors = load_tensors(result)
    chain = transfer_data.backbone("embedded").blocks
    views = transfer_choice.fixed_views(
        transfer_data.transfer_data("sample").val, 32, antialias=True
    )
    expected = transfer_choice.pass_through(chain, views, "").mean((3, 4))
    assert expected.shape == (2, N_VAL, 112)
    torch.testing.assert_close(tensors["val"], expected, rtol=1e-4, atol=1e-6)
    assert tensors["train"].shape == (2, N_TRAIN, 112)


def test_cross_validation_sees_no_image_that_it_judges() -> None:
    """With more features than images and random labels, a layer knows each image it has seen."""
    generator = Generator().manual_seed(0)
    features = torch.randn(1, 80, 400, generator=generator).expand(2, -1, -1)
    labels = torch.randint(2, (80,), generator=generator)
    config = rate_config(tiny("frozen", epochs=20)).choice
    loss, accuracy = transfer_choice._cross_validate(features, labels, 0.0, config)
    assert 0.3 < accuracy < 0.7
    assert loss > 0.6
    features = features + 3.0 * (2 * labels[:, None] - 1)
    loss, accuracy = transfer_choice._cross_validate(features, labels, 0.0, config)
    assert accuracy > 0.95
    assert loss < 0.3


def test_the_learning_rate_is_chosen_on_images_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, int]] = []

    def watched(*arguments: Any, **settings: Any) -> Any:
        maps, labels = arguments[2:4]
        assert maps.shape[:2] == (2, len(labels))
        seen.append((settings["upper_learning_rate"], len(labels)))
        return finetune(*arguments, **settings)

    monkeypatch.setattr(transfer_rate, "finetune", watched)
    result = transfer_rate.run(rate_config(tiny("finetuned", rates=(1e-3, 1e-4))))
    assert seen == [(rate, 16) for rate in (1e-3, 1e-4) for _ in range(3)]
    table = result.details["table"]
    assert [row["rate"] for row in table] == [1e-3, 1e-4]
    assert result.metrics["rate"] == min(table, key=lambda row: float(row["loss"]))["rate"]
    alone = transfer_rate.run(rate_config(tiny("finetuned", rates=(5e-4,))))
    assert (alone.metrics, alone.details) == ({"rate": 5e-4}, {"table": []})
    assert len(seen) == 6


def test_lower_maps_are_those_of_other_views_each_time() -> None:
    maps = transfer_rate.lower_maps(rate_config(tiny("finetuned", views=3)))
    assert maps.dtype == torch.half
    assert maps.shape[:2] == (3, N_TRAIN)
    assert not torch.equal(maps[0], maps[1])
    assert transfer_rate.lower_maps(rate_config(tiny("finetuned", views=3, seed=4))) is maps


# Settings


def test_default_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RNNREPORT_DATA", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    sample = default_config("finetuned", profile="sample", seed=3)
    assert (sample.profile, sample.seed, sample.backbone) == ("sample", 3, "efficientnet_lite1")
    assert seeds_of(sample) == (0, 1, 2)
    assert seeds_of(default_config("frozen", profile="sample")) == (0, 1, 2, 3, 4)
    with pytest.raises(MissingDataError, match="'hymenoptera' is missing"):
        run(default_config("frozen", profile="full"))
    (tmp_path / "hymenoptera_data").mkdir()
    with pytest.raises(MissingDataError, match="'resnet18' is missing"):
        run(TransferConfig(profile="full", backbone="resnet18"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "thawed"}, "mode must be one of frozen, finetuned, got 'thawed'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"views": 0}, "views must be at least 1, got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"learning_rate": 0.0}, r"learning_rate must be positive, got 0\.0"),
        ({"head_learning_rate": -1.0}, r"head_learning_rate must be positive, got -1\.0"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransferConfig(**changes)


def test_nothing_to_choose_from() -> None:
    config = rate_config(tiny("finetuned"))
    with pytest.raises(ValueError, match="rates must have at least one entry"):
        replace(config, rates=())
    with pytest.raises(ValueError, match="sizes must have at least one entry"):
        replace(config.choice, sizes=())
    for part in (config, config.choice):
        with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
            replace(part, folds=1)


# On files


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder with a few pictures and random weights."""
    from rnnreport._torchvision import torchvision

    root = tmp_path / "data"
    generator = Generator().manual_seed(0)
    drawn = generate_insects(generator=generator, size=40, train=(6, 6), val=(3, 3))
    for part, pictures, labels in (
        ("train", drawn.train, drawn.train_labels),
        ("val", drawn.val, drawn.val_labels),
    ):
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            path = root / "hymenoptera_data" / part / ("ants", "bees")[label] / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    (root / "hymenoptera_data" / "train" / "ants" / "imageNotFound.gif").touch()
    (root / "weights").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, file in (
            ("mobilenet_v2", "mobilenet_v2-b0353104.pth"),
            ("resnet18", "resnet18-f37072fd.pth"),
        ):
            network = getattr(torchvision.models, name)()
            torch.save(network.state_dict(), root / "weights" / file)
    monkeypatch.setenv("RNNREPORT_DATA", str(root))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    return root


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("backbone", ["efficientnet_lite1", "mobilenet_v2", "resnet18", "embedded"])
def test_photographs_and_other_networks(backbone: Any) -> None:
    config = tiny("finetuned", profile="full", backbone=backbone, finetune_epochs=1)
    result = run(config)
    assert result.config["profile"] == "full"
    assert result.config["backbone"] == backbone
    assert result.data["name"] == "photographs of ants and bees"
    networks = {
        "efficientnet_lite1": (
            "EfficientNet-Lite1, trained on ImageNet (efficientnet-lite1-77cc7160.pth)"
        ),
        "mobilenet_v2": "MobileNetV2, trained on ImageNet (mobilenet_v2-b0353104.pth)",
        "resnet18": "ResNet-18, trained on ImageNet (resnet18-f37072fd.pth)",
        "embedded": "the small network that the package brings along",
    }
    assert result.data["amount"].endswith(f"The network: {networks[backbone]}")
    assert "Real data" in str(provenance(result))
    assert transfer_data.transfer_data("full").left_out == ("imageNotFound.gif",)


def test_broken_pictures_and_weights_are_named(files: Path) -> None:
    path = files / "hymenoptera_data" / "val" / "bees" / "4.jpg"
    content = path.read_bytes()
    path.write_bytes(content[:200])
    with pytest.raises(DataFormatError, match=r"bees/4\.jpg: not a readable image"):
        run(tiny("frozen", profile="full", backbone="mobilenet_v2"))
    path.write_bytes(content)
    (files / "weights" / "mobilenet_v2-b0353104.pth").write_text("no weights")
    with pytest.raises(DataFormatError, match="not a file of weights"):
        run(tiny("frozen", profile="full", backbone="mobilenet_v2"))


def test_a_changed_picture_counts(files: Path) -> None:
    first = run(tiny("frozen", profile="full", backbone="mobilenet_v2")).data["fingerprint"]
    path = files / "hymenoptera_data" / "train" / "ants" / "1.jpg"
    Image.new("RGB", (30, 30)).save(path)
    clear_caches()
    assert run(tiny("frozen", profile="full", backbone="mobilenet_v2")).data["fingerprint"] != first


def test_the_benchmark_gives_the_same_accuracy_both_ways() -> None:
    data = transfer_data.transfer_data("sample")
    row = measure(data, "embedded", size=32, epochs=3)
    assert row.accuracy_once == pytest.approx(row.accuracy_always)
    assert min(asdict(row).values()) > 0


@pytest.mark.parametrize("mode", MODES)
def test_the_trained_network_says_what_the_run_said(mode: Mode) -> None:
    result = run(tiny(mode, sizes=(40,)))
    data = transfer_data.transfer_data("sample")
    network = latest(mode)
    assert network.result == result
    expected = load_tensors(result)["val_probability"]
    torch.testing.assert_close(network.probabilities(data.val), expected, rtol=1e-3, atol=1e-4)


def test_weights_of_another_network_are_refused() -> None:
    result = run(tiny("frozen"))
    other = replace(result, config=result.config | {"mode": "finetuned"})
    with pytest.raises(DataFormatError, match=r"the weights of transfer \w+ do not fit"):
        TrainedImageClassifier(other)


def test_too_few_photographs_of_a_class_are_refused(files: Path) -> None:
    folder = files / "hymenoptera_data" / "train" / "bees"
    for path in sorted(folder.iterdir())[:2]:
        path.unlink()
    message = r"train/bees: too few images for cross-validation: at least 5 are needed, got 4"
    with pytest.raises(DataFormatError, match=message):
        run(tiny("frozen", profile="full"))


def test_a_class_of_which_folds_hold_out_all_has_a_finite_loss(files: Path) -> None:
    ants, bees = (files / "hymenoptera_data" / "train" / name for name in ("ants", "bees"))
    (ants / "0.jpg").unlink(missing_ok=True)  # five ants, and bees that look all the same
    for number in range(40):
        Image.new("RGB", (40, 40), (250, 200, number)).save(bees / f"more-{number}.jpg")
    result = run(tiny("frozen", profile="full", epochs=40))
    table = transfer_choice.run(rate_config(tiny("frozen", profile="full", epochs=40)).choice)
    assert all(math.isfinite(row["loss"]) for row in table.details["table"])
    assert all(math.isfinite(value) for value in result.history["val_loss"])


def test_the_logarithm_of_probability_0_is_finite() -> None:
    p = torch.tensor([[0.0, 1.0], [0.25, 0.75]])
    log = transfer_choice.log_probability(p)
    assert log.isfinite().all()
    torch.testing.assert_close(log[1], p[1].log())


@needs("hymenoptera", "mobilenet_v2")
def test_the_real_photographs_are_told_apart() -> None:
    config = TransferConfig(profile="full", backbone="mobilenet_v2", sizes=(192,), decays=(1e-3,))
    assert run(config).metrics["last_accuracy"] > 0.88


@needs("hymenoptera")
def test_the_network_that_pip_installs_tells_the_photographs_apart() -> None:
    config = TransferConfig(profile="full", sizes=(240,), decays=(1e-3,))
    assert run(config).metrics["last_accuracy"] >= 0.96
