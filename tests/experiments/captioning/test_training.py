"""Captioning in full: data, training, checkpoints and what is written, on small data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from real_data import needs
from tiny import CAPTIONS as TINY

from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.data.flickr8k import split_by_name
from rnnreport.experiments.captioning import photographs as captioning_photographs
from rnnreport.experiments.captioning import training as captioning_training
from rnnreport.experiments.captioning.data import image_data
from rnnreport.experiments.captioning.settings import WAYS, default_config
from rnnreport.experiments.captioning.trained import TrainedCaptioner, latest
from rnnreport.experiments.captioning.training import images_of, run
from rnnreport.names import CELLS, CellType
from rnnreport.runs.store import load_tensors

pytestmark = pytest.mark.usefixtures("one_thread", "store")


@pytest.mark.parametrize("cell", CELLS)
def test_a_small_sample(cell: CellType, store: Path) -> None:
    config = replace(TINY, cell_type=cell)
    state = torch.random.get_rng_state()
    result = run(config)
    assert torch.equal(state, torch.random.get_rng_state())
    assert result.config == asdict(config)
    history, metrics = result.history, result.metrics
    assert len(history["loss"]) == 3 * 4  # 60 captions in batches of 16
    assert len(history["train_loss"]) == len(history["val_loss"]) == metrics["epochs"] == 3
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert metrics["val_loss"] == min(history["val_loss"])
    assert history["val_loss"][int(metrics["best_epoch"]) - 1] == metrics["val_loss"]
    pools = image_data("sample", n_train=12, n_val=4, n_test=5).pools()._asdict()
    assert len({name for pool in pools.values() for name in pool}) == 12 + 4 + 5
    for part, count in (("test", 5), ("val", 4), ("train", 12)):
        records = result.details[part]
        assert len(records) == count
        for record in records:
            truth = [list(words) for words in pools[part][record["image"]]]
            assert record["truth"] == truth
            for way in WAYS:
                assert not {"<NULL>", "<START>", "<END>", "<UNK>"} & set(record[way])
    assert not list(store.glob("*.part"))


@pytest.mark.parametrize("cell", CELLS)
def test_the_trained_captioner_writes_what_the_run_wrote(cell: CellType) -> None:
    config = replace(TINY, cell_type=cell)
    result = run(config)
    captioner = TrainedCaptioner(result)
    pictures = images_of(config)
    records = result.details["test"]
    features = captioner.features([pictures.image(record["image"]) for record in records])
    assert [list(words) for words in captioner.captions(features)] == [r["beam"] for r in records]
    vocabulary = captioner.vocabulary
    splits = pictures.splits(vocabulary, places=cell == "attention", max_words=40)
    torch.testing.assert_close(splits.test.features, features)
    assert latest(cell, "sample").result == result
    with pytest.raises(ValueError, match="do not fit its configuration"):
        TrainedCaptioner(replace(result, config=result.config | {"hidden_dim": 9}))


def test_training_is_repeatable_and_seeds_count(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = run(TINY), run(replace(TINY, seed=1))
    assert other.history["loss"] != first.history["loss"]
    tensors = load_tensors(first)
    monkeypatch.setenv("RNNREPORT_STORE", str(store / "other"))
    again = run(TINY)
    assert (again.history, again.details) == (first.history, first.details)
    assert all(torch.equal(tensors[name], value) for name, value in load_tensors(again).items())
    monkeypatch.setattr(captioning_training, "learn_and_write", None)  # stored: not called again
    assert run(TINY) == again


def test_training_ends_when_the_validation_loss_falls_no_more() -> None:
    result = run(replace(TINY, epochs=60, patience=2, learning_rate=0.05, dropout=0.0))
    losses = result.history["val_loss"]
    assert len(losses) == result.metrics["best_epoch"] + 2 < 60
    assert min(losses) == losses[int(result.metrics["best_epoch"]) - 1]


def test_gradients_are_clipped_by_their_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []
    clip = torch.nn.utils.clip_grad_norm_

    def watch(given: Iterable[torch.Tensor], most: float) -> torch.Tensor:
        params = list(given)
        before = clip(params, most)
        gradients = [param.grad for param in params if param.grad is not None]
        after = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        norms.append((float(before), float(after)))
        return before

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watch)
    run(replace(TINY, epochs=1, clip_norm=0.5))
    assert all(before > 0.5 for before, _ in norms)
    assert all(after == pytest.approx(0.5, rel=1e-3) for _, after in norms)


_KILLED = """
import sys
from rnnreport.experiments.captioning.settings import CaptionConfig
from rnnreport.experiments.captioning.training import run
import json
config = CaptionConfig(**json.loads(sys.argv[1]))
run(config)
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY, cell_type="attention", n_train=40, epochs=6)
    other = tmp_path / "whole"
    monkeypatch.setenv("RNNREPORT_STORE", str(other))
    whole = run(config)
    tensors = load_tensors(whole)
    monkeypatch.setenv("RNNREPORT_STORE", str(store))
    store.mkdir()
    environment = os.environ | {"RNNREPORT_STORE": str(store), "OMP_NUM_THREADS": "1"}
    kills = 0
    for _ in range(3):
        before = {path: path.stat().st_mtime_ns for path in store.glob("*.part")}
        command = [sys.executable, "-c", _KILLED, json.dumps(asdict(config))]
        process = subprocess.Popen(command, env=environment)
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end:
            now = {path: path.stat().st_mtime_ns for path in store.glob("*.part")}
            if now != before:  # it has written one more epoch, and is in the middle of the next
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
    assert kills >= 2
    assert list(store.glob("*.part"))
    assert not list(store.glob("*.json"))
    result = run(config)
    assert result.history == whole.history
    assert result.details == whole.details
    assert all(torch.equal(tensors[name], value) for name, value in load_tensors(result).items())
    assert not list(store.glob("*.part"))


def test_a_damaged_checkpoint_is_not_used(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(TINY)

    def damage(path: Path, *_others: object) -> None:
        path.write_bytes(b"half a checkpoint")

    monkeypatch.setenv("RNNREPORT_STORE", str(store / "other"))
    (store / "other").mkdir()
    key = whole.key[:20]
    damage(store / "other" / f"captions-{key}.part")
    assert run(TINY).history == whole.history


def test_a_diverging_loss_stops_the_training() -> None:
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) in epoch"):
        run(replace(TINY, learning_rate=1e30, clip_norm=1e30))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell_type": "gru"}, "cell_type must be one of rnn, lstm, attention, got 'gru'"),
        ({"dataset": "mnist"}, "dataset must be one of flickr8k, coco, got 'mnist'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"beam": 0}, "beam must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1\.0"),
        ({"clip_norm": 0.0}, r"clip_norm must be positive, got 0\.0"),
        ({"n_test": 0}, "n_test must be at least 1, got 0"),
    ],
)
def test_refuses_bad_configurations(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)  # type: ignore[arg-type]


# Made-up photographs


@pytest.mark.usefixtures("photographs")
def test_features_of_photographs_are_computed_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY, profile="full", epochs=1)
    result = run(config)
    counts = [result.metrics[name] for name in ("n_train", "n_val", "n_test", "n_views")]
    assert counts == [14, 2, 2, 2]
    parts = split_by_name((f"{number}.jpg" for number in range(18)), (1 / 9, 1 / 9))
    for part, names in zip(("train", "val", "test"), parts, strict=True):
        assert [record["image"] for record in result.details[part]] == list(names)
    assert len(result.details["altered"]) == 2
    views = ["altered", "components", "part", "whole"]
    stored = sorted(store.glob("efficientnet_lite1-*.safetensors"))
    assert [path.name.removeprefix("efficientnet_lite1-")[:-33] for path in stored] == views
    with monkeypatch.context() as patched:
        patched.setattr(captioning_photographs, "photograph_maps", None)  # not called again
        attention = run(replace(config, cell_type="attention"))
        assert attention.metrics["input_dim"] == result.metrics["input_dim"]
        captioning_photographs._read.cache_clear()
        run(replace(config, seed=1))
    stored[-1].write_bytes(stored[-1].read_bytes()[:1000])
    captioning_photographs._read.cache_clear()
    run(replace(config, seed=2))
    assert stored[-1].stat().st_size > 1000


def test_other_code_and_other_pictures_have_other_features(
    photographs: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stored() -> int:
        return len(list(store.glob("efficientnet_lite1-whole-*.safetensors")))

    config = replace(TINY, profile="full", epochs=1)
    result = run(config)
    assert stored() == 1
    captioning_photographs._photographs.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(captioning_photographs, "code_fingerprint", lambda _: "changed")
        image_data("full", n_train=1, n_val=1).features(["0.jpg"], places=False)
        assert stored() == 2
    Image.new("RGB", (50, 40)).save(photographs / "flickr8k" / "Images" / "0.jpg")
    images = image_data("full", n_train=1, n_val=1)
    black = images.features(["0.jpg"], places=False)
    assert stored() == 3
    picture = images.image("0.jpg")
    shutil.rmtree(photographs / "flickr8k")  # a picture of one's own needs the network alone
    own = TrainedCaptioner(result).features([picture])
    assert own.shape == black.shape == (1, result.metrics["input_dim"])
    assert torch.isfinite(black).all()


@pytest.mark.usefixtures("photographs")
def test_a_photograph_has_the_same_features_in_its_data_set_and_alone() -> None:
    for cell in ("lstm", "attention"):
        config = replace(TINY, profile="full", cell_type=cell, epochs=1)
        captioner = TrainedCaptioner(run(config))
        images = image_data("full", n_train=1, n_val=1)
        name = next(iter(images.pools().test))
        together = images.features([name], places=cell == "attention").float()
        alone = captioner.features([images.image(name)])
        torch.testing.assert_close(alone, together, rtol=2e-2, atol=2e-2)  # kept in half precision


@pytest.mark.usefixtures("photographs")
def test_a_variant_is_another_view_of_the_same_photograph() -> None:
    images = image_data("full", n_train=1, n_val=1)
    names = list(images.pools().train)
    whole = images.features(names, places=False)
    (variant,) = images.variants(names, places=False)
    assert variant.shape == whole.shape
    assert (variant - whole).norm(dim=1).min() > 0.1  # no view is the picture itself


def test_a_caption_that_is_too_long_is_named(photographs: Path) -> None:
    with pytest.raises(DataFormatError, match=r"captions\.txt, line 2: .*4 words.* 3"):
        run(replace(TINY, profile="full", max_words=3))
    assert photographs.is_dir()


def test_missing_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_DATA", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    with pytest.raises(MissingDataError, match="'flickr8k' is missing"):
        run(default_config("lstm", profile="full"))
    with pytest.raises(MissingDataError, match="'coco' is missing"):
        run(replace(TINY, profile="full", dataset="coco"))
    with pytest.raises(MissingDataError, match="no trained model 'rnn' is stored"):
        latest("rnn")


# COCO's layout


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "data" / "coco_captioning"
    root.mkdir(parents=True)
    words = ["<NULL>", "<START>", "<END>", "<UNK>", "a", "dog", "cat", "runs", "sleeps"]
    table = {"idx_to_word": words, "word_to_idx": {word: k for k, word in enumerate(words)}}
    (root / "coco2014_vocab.json").write_text(json.dumps(table))
    random = np.random.default_rng(0)
    with h5py.File(root / "coco2014_captions.h5", "w") as file:
        for part, count in (("train", 10), ("val", 4)):
            captions = np.zeros((2 * count, 7), dtype=np.int32)
            captions[:, 0], captions[:, 1], captions[:, 4] = 1, 4, 2
            captions[:, 2:4] = random.integers(3, 9, (2 * count, 2))
            file[f"{part}_captions"] = captions
            file[f"{part}_image_idxs"] = np.arange(2 * count, dtype=np.int32) // 2
    for part, count in (("train", 10), ("val", 4)):
        with h5py.File(root / f"{part}2014_vgg16_fc7_pca.h5", "w") as file:
            file["features"] = random.normal(size=(count, 6)).astype(np.float32)
    monkeypatch.setenv("RNNREPORT_DATA", str(root.parent))
    return root


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_files_of_coco(coco: Path, cell: CellType) -> None:
    config = replace(
        TINY, profile="full", dataset="coco", cell_type=cell, n_train=8, n_val=3, epochs=2
    )
    result = run(config)
    assert result.data["name"] == "captions of COCO"
    assert (result.metrics["n_train"], result.metrics["n_val"]) == (8, 2)
    assert result.metrics["vocabulary_size"] == 9
    assert [record["image"] for record in result.details["val"]] == ["val-0", "val-1"]
    assert [record["image"] for record in result.details["test"]] == ["val-2", "val-3"]
    assert all(len(record["truth"]) == 2 for record in result.details["test"])
    assert coco.is_dir()


def test_coco_has_no_places(coco: Path) -> None:
    config = replace(TINY, profile="full", dataset="coco", cell_type="attention")
    with pytest.raises(ValueError, match="cell_type must be 'rnn' or 'lstm' with COCO"):
        run(config)
    with pytest.raises(ValueError, match="max_words must be at least 5 with COCO, got 4"):
        run(replace(config, cell_type="lstm", max_words=4))
    (coco / "val2014_vgg16_fc7_pca.h5").write_bytes(b"\x89HDF")
    with pytest.raises(DataFormatError, match=r"val2014_vgg16_fc7_pca\.h5"):
        run(replace(config, cell_type="lstm"))


@needs("flickr8k")
def test_the_real_photographs_have_their_official_parts() -> None:
    images = image_data("full", n_train=1, n_val=1, max_words=40)
    train, val, test = images.pools()
    assert not (train.keys() & val.keys() | val.keys() & test.keys() | train.keys() & test.keys())
    if images.about["parts"] == "the official ones":
        assert 5900 < len(train) <= 6000
        assert 990 < len(val) <= 1000
        assert len(test) == 1000
