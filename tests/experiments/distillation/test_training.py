"""The training of the embedded network, on small stand-ins for its teachers and photographs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import torch
from PIL import Image
from safetensors.torch import load_file
from tags import Tags
from torch import nn

from rnnreport.data.assets import MissingDataError
from rnnreport.data.views import centre_view
from rnnreport.experiments.distillation import figures as distillation_figures
from rnnreport.experiments.distillation import judging, teacher, training
from rnnreport.experiments.distillation.images import (
    EDGES,
    Images,
    Photographs,
    Pursuit,
    photographs,
)
from rnnreport.experiments.distillation.teacher import Teacher, feature_error, gram_error
from rnnreport.experiments.distillation.training import DistillationConfig, distil
from rnnreport.experiments.paintings import StyleData, StylePainting
from rnnreport.models.embedded import MAPS, EmbeddedNetwork
from rnnreport.models.style import FeatureNetwork
from rnnreport.samples.textures import generate_textures

SMALL = DistillationConfig(
    forced_steps=12,
    chained_steps=6,
    side=32,
    photographs=2,
    textures=1,
    pursued=2,
    views=6,
    view_side=64,
    epochs=8,
    judged_side=32,
    judged_steps=(3,),
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, seed: int) -> tuple[Image.Image, ...]:
    images = generate_textures(n, 96, seeded(seed))
    pixels = (255 * images).byte().permute(0, 2, 3, 1).numpy()
    return tuple(map(Image.fromarray, pixels))


def made_up_photographs() -> Photographs:
    return Photographs(pictures(5, 1), pictures(4, 2), "fingerprint")


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train with teachers of random weights, and with textures instead of photographs."""
    features = nn.Conv2d(3, 1280, 32, stride=32, device="meta").to_empty(device="cpu")
    for parameter in features.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=seeded(4))
    mobilenet = nn.ModuleDict({"features": nn.Sequential(features, nn.ReLU())})
    mobilenet.requires_grad_(False)
    vgg = FeatureNetwork("vgg19", tuple(MAPS), EmbeddedNetwork(seeded(5)))
    for module in (judging, teacher, training):
        monkeypatch.setattr(module, "require", Path)
    for module in (judging, teacher):
        monkeypatch.setattr(module, "load_network", lambda _name, _path: vgg)
    monkeypatch.setattr(training, "load_torchvision", lambda _name, _path: mobilenet)
    monkeypatch.setattr(training, "photographs", made_up_photographs)
    content, painting = pictures(2, 3)
    paintings = {"starry_night": StylePainting("Night", "made up", painting)}
    style = StyleData("sample", "textures", content, "Town", paintings, "")
    monkeypatch.setattr(judging, "style_data", lambda _profile: style)
    monkeypatch.setattr(training, "_REPORT_EVERY", 6)


def test_the_record_says_what_was_done_and_the_file_holds_both(tmp_path: Path) -> None:
    distillation = distil(SMALL)
    record = distillation.record
    assert record["config"]["forced_steps"] == 12
    assert record["photographs"] == {"train": 5, "unseen": 4}
    assert [entry["step"] for entry in record["history"]] == [6, 12, 18]
    assert set(record["maps"]) == set(MAPS)
    for row in record["judged"]:
        assert (row.pop("painting"), row.pop("content")) == ("Night", "Town")
        assert set(row) == {"vgg19", "embedded", "untrained"}
        assert all(0 < left < 2 for left in row.values())

    path = tmp_path / "network.safetensors"
    distillation.save(path)
    with safetensors.safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["record"])["judged"] == record["judged"]
    state = load_file(path)
    for name, value in distillation.network.state_dict().items():
        assert state[name].dtype == torch.float16
        assert torch.equal(state[name].float(), value), "weights are rounded before they are judged"


def test_each_stage_comes_to_follow_the_teacher() -> None:
    config = replace(SMALL, forced_steps=80, chained_steps=0, learning_rate=0.06)
    generator = seeded(0)
    seen = made_up_photographs()
    drawn = Images(seen.train, config.side, generator)
    maps = Teacher(drawn.crops(64))
    network = EmbeddedNetwork(generator)
    images = torch.stack([centre_view(picture, 64) for picture in seen.unseen])

    def errors() -> list[float]:
        theirs = maps(images)
        with torch.no_grad():
            stages = [network.stages[name] for name in MAPS]
            ours = training._forced(stages, [images, *theirs.values()])
        return [float(feature_error(ours[name], theirs[name]).mean()) for name in MAPS]

    before = errors()
    training._learn_maps(network, maps, drawn, seen, config, generator)
    assert all(after < 0.75 * error for after, error in zip(errors(), before, strict=True))


def test_the_features_come_to_follow_the_other_teacher() -> None:
    record = distil(replace(SMALL, forced_steps=2, chained_steps=1, epochs=100)).record
    assert record["features"]["train"] < 0.7 < record["features"]["constant"]


def test_same_seed_same_network() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, same, other = (
        distil(replace(SMALL, forced_steps=3, chained_steps=3, epochs=1, seed=seed)).network
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    weights = [torch.cat([p.flatten() for p in n.parameters()]) for n in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_images_under_way_come_closer_to_their_style() -> None:
    network = EmbeddedNetwork(seeded(5))
    generator = seeded(6)
    images = Images(pictures(3, 1), 32, generator)
    pursuit = Pursuit(images, 3, generator)
    wanted = network.maps(pursuit._targets, MAPS)

    def left() -> float:
        with torch.no_grad():
            maps = network.maps(pursuit.images, MAPS)
            errors = [gram_error(maps[name], wanted[name]).sum() for name in MAPS]
        return float(sum(errors))

    before = left()
    pursuit._FRESH = 0.0  # none starts anew
    for _ in range(15):
        pursuit.step(network)
    assert left() < 0.5 * before
    black, white = EDGES
    assert (pursuit.images >= black).all()
    assert (pursuit.images <= white).all()


@pytest.mark.parametrize("missing", ["vgg19", "mobilenet_v2", "styles"])
def test_what_is_missing_is_said_before_anything_is_done(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def require(name: str) -> Path:
        if name == missing:
            raise MissingDataError(f"no {name}")
        return Path(name)

    def begin() -> Photographs:
        raise AssertionError("begun")

    monkeypatch.setattr(training, "require", require)
    monkeypatch.setattr(training, "photographs", begin)
    with pytest.raises(MissingDataError, match=f"no {missing}"):
        distil(SMALL)


def test_without_photographs_the_error_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.delenv("RNNREPORT_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _name: Path("nowhere"))
    with pytest.raises(MissingDataError, match="'flickr8k' is missing"):
        photographs()


RECORD = {
    "config": {"forced_steps": 200},
    "maps": {
        "relu1_1": {"features": 1e-9, "gram": 2e-9},
        "relu2_1": {"features": 0.02, "gram": 0.004},
    },
    "history": [
        {"step": step, "relu1_1": {"features": 1e-9}, "relu2_1": {"features": error}}
        for step, error in ((100, 0.75), (200, 0.25), (300, 0.02))
    ],
    "judged": [
        {
            "painting": "Night",
            "content": "Town",
            "vgg19": 0.004,
            "embedded": 0.012,
            "untrained": 0.31,
        }
    ],
}


def test_what_the_page_shows_of_a_record() -> None:
    errors = Tags(distillation_figures.errors_table(RECORD).html)
    assert ["relu2_1", "2 %", "0.4 %"] in errors.rows
    judged = Tags(distillation_figures.judged_table(RECORD).html).text
    assert judged.index("31 %") < judged.index("1.2 %") < judged.index("0.4 %")
    assert judged.index("untrained") < judged.index("Embedded") < judged.index("VGG-19 itself")
    figure = distillation_figures.training_figure(RECORD)
    assert "every 100 steps: relu2_1 from 75 % to 2 %." in figure.alt
    assert "relu1_1" not in figure.alt
    assert "after step 200" in figure.alt
    assert "steps / 100" in figure.svg("light")
