"""The captioning experiment from end to end: on a small sample, on made-up and on real data."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from real_data import needs

from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.data.flickr8k import load_flickr8k, split_by_name
from rnnreport.experiments.captioning import by_heart
from rnnreport.experiments.captioning.by_heart import ByHeartConfig, images, run
from rnnreport.experiments.captioning.figures import learned_gallery
from rnnreport.names import CellType
from rnnreport.samples.scenes import draw, generate

CELLS: tuple[CellType, ...] = ("rnn", "lstm", "attention")
TINY = ByHeartConfig(
    profile="sample",
    n_train=5,
    n_val=3,
    wordvec_dim=32,
    hidden_dim=64,
    batch_size=3,
    learning_rate=0.01,
)


pytestmark = pytest.mark.usefixtures("one_thread", "store")


@pytest.mark.parametrize("cell", CELLS)
def test_a_small_sample_is_learned_by_heart(cell: CellType) -> None:
    config = replace(TINY, cell_type=cell)
    result = run(config)
    assert result.config == asdict(config)
    assert result.data["profile"] == "sample"
    assert result.data["name"] == "generated scenes"
    assert result.data["amount"].startswith("5 images for training, 3 for validation, of 8. ")
    assert result.seeds == {"data": 0, "model": 0}
    metrics, history = result.metrics, result.history
    assert metrics["exact"] == metrics["n_train"] == 5
    assert len(history["loss"]) == metrics["iterations"] == 2 * metrics["epochs"]
    assert history["loss"][-1] == metrics["last_loss"] < history["loss"][0] / 8
    assert history["exact"][-4:] == [5] * 4
    assert history["exact_epoch"] == list(range(5, int(metrics["epochs"]) + 1, 5))
    scenes = generate(8, generator=torch.Generator().manual_seed(0))
    truths = {
        name: [" ".join(words) for words in captions]
        for name, captions in zip(scenes.names, scenes.captions, strict=True)
    }
    train, val = result.details["train"], result.details["val"]
    assert {record["image"] for record in train} == set(scenes.names[:5])
    assert {record["image"] for record in val} == set(scenes.names[5:])
    for record in train:
        (truth,) = record["truth"]
        assert truth in truths[record["image"]]
        assert record["caption"] == truth
        assert record["exact"] is True
    for record in val:
        assert record["truth"] == truths[record["image"]]
        assert record["exact"] is (record["caption"] in record["truth"])


def test_training_is_repeatable_and_seeds_count(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(TINY, epochs=5)
    before = torch.random.get_rng_state()
    first = run(short)
    assert torch.equal(before, torch.random.get_rng_state())
    monkeypatch.setenv("RNNREPORT_STORE", str(store / "other"))
    again = run(short)
    assert again.history == first.history
    assert again.details == first.details
    other_model, other_data = run(replace(short, seed=1)), run(replace(short, data_seed=1))
    assert other_model.history["loss"] != first.history["loss"]
    assert other_model.details["train"][0]["image"] == first.details["train"][0]["image"]
    assert other_model.data["fingerprint"] == first.data["fingerprint"]
    assert other_data.data["fingerprint"] != first.data["fingerprint"]


def test_a_stored_result_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(TINY, epochs=1)
    first = run(short)

    def refuse(*_args: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(by_heart, "_learn_and_caption", refuse)
    assert run(short) == first
    with pytest.raises(AssertionError, match="computed again"):
        run(replace(short, learning_rate=1e-4))


def test_images_of_a_sample_are_drawn_again() -> None:
    result = run(replace(TINY, epochs=1))
    scenes = generate(8, generator=torch.Generator().manual_seed(0))
    names = [record["image"] for record in result.details["val"]]
    for size, side in ((None, 96), (200, 200)):
        for name, image in zip(names, images(result, names, size=size), strict=True):
            expected = draw(scenes.scenes[scenes.names.index(name)], side)
            assert np.array_equal(np.asarray(image), np.asarray(expected))
    with pytest.raises(KeyError, match="scene-99999"):
        images(result, ["scene-99999"])


def test_photographs(photographs: Path) -> None:
    config = replace(TINY, profile="full", n_val=2)
    result = run(config)
    assert result.config["profile"] == result.data["profile"] == "full"
    assert result.data["name"] == "photographs of Flickr8k"
    assert (result.data["n_images"], result.data["folder"]) == (18, "flickr8k")
    assert result.metrics["input_dim"] == 384
    assert result.metrics["exact"] == 5
    data = load_flickr8k(photographs / "flickr8k")
    train, val, _ = split_by_name(data.captions, (1 / 9, 1 / 9))
    for part, pool in (("train", train), ("val", val)):
        for record in result.details[part]:
            assert record["image"] in pool
            for truth in record["truth"]:
                assert tuple(truth.split()) in data.captions[record["image"]]
    (image,) = images(result, [result.details["val"][0]["image"]], size=240)
    assert image.size == (50, 40)
    with pytest.raises(KeyError, match=r"99\.jpg"):
        images(result, ["99.jpg"])


def test_the_fingerprint_of_photographs_follows_what_is_used(photographs: Path) -> None:
    def fingerprint() -> str:
        return str(run(replace(TINY, profile="full", n_val=1, epochs=1)).data["fingerprint"])

    first = fingerprint()
    assert fingerprint() == first
    used = run(replace(TINY, profile="full", n_val=1, epochs=1)).details["train"][0]["image"]
    path = photographs / "flickr8k" / "Images" / used
    content = path.read_bytes()
    Image.new("RGB", (50, 40)).save(path)
    assert fingerprint() != first
    path.write_bytes(content)
    assert fingerprint() == first
    captions = photographs / "flickr8k" / "captions.txt"
    captions.write_text(captions.read_text("utf-8").replace("number 3", "number 9"), "utf-8")
    assert fingerprint() != first


def test_what_is_there_is_taken(photographs: Path) -> None:
    assert photographs.is_dir()
    result = run(replace(TINY, profile="full", n_train=99, n_val=99))
    assert (len(result.details["train"]), len(result.details["val"])) == (14, 2)
    assert result.metrics["n_train"] == 14
    assert result.data["amount"].startswith("14 images for training, 2 for validation, of 18.")


def test_too_few_photographs_are_refused(photographs: Path) -> None:
    folder = photographs / "flickr8k"
    (folder / "Images" / "3.jpg").unlink()
    lines = (folder / "captions.txt").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("3.jpg")]
    (folder / "captions.txt").write_text("\n".join(kept))
    with pytest.raises(DataFormatError, match=r"holds 17 photographs .* need at least 18"):
        run(replace(TINY, profile="full"))


def test_missing_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_DATA", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    with pytest.raises(MissingDataError, match="'flickr8k' is missing"):
        run(replace(TINY, profile="full"))


def test_a_diverging_loss_stops_the_training() -> None:
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) in epoch"):
        run(replace(TINY, learning_rate=1e30))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_train": 0}, "n_train must be at least 1, got 0"),
        ({"n_val": -1}, "n_val must be at least 1, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0"),
        ({"learning_rate_decay": float("nan")}, "learning_rate_decay must be positive, got nan"),
    ],
)
def test_refuses_bad_configurations(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", CELLS)
def test_the_whole_sample_is_learned_by_heart(cell: CellType) -> None:
    result = run(by_heart.configs("sample")[cell])
    assert (result.metrics["exact"], result.metrics["n_train"]) == (50, 50)
    assert len({record["image"] for record in result.details["train"]}) == 50


@needs("flickr8k")
@pytest.mark.usefixtures("small_set")
@pytest.mark.parametrize("cell", CELLS)
def test_the_real_photographs_are_learned_by_heart(cell: CellType) -> None:
    result = run(by_heart.configs("full")[cell])
    assert (result.metrics["exact"], result.metrics["n_train"]) == (50, 50)
    assert len({record["image"] for record in result.details["train"]}) == 50
    assert not {record["image"] for record in result.details["train"]} & {
        record["image"] for record in result.details["val"]
    }


def test_gallery_shows_what_each_network_says_of_the_first_images() -> None:
    result = run(TINY)
    html = learned_gallery({"rnn": result, "attention": result}, "val", 2)._repr_html_()
    assert html.count("<figure>") == 2
    for record in result.details["val"][:2]:
        assert f'alt="A drawn scene: {record["truth"][0]}"' in html
    assert html.count("<dt>RNN</dt>") == html.count("<dt>Attention</dt>") == 2
