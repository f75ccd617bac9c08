"""The embedded network: its maps, its file, and the record of its training."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
import torch
from real_data import needs
from safetensors.torch import load

from rnnreport.data.assets import require
from rnnreport.data.views import to_tensor
from rnnreport.experiments.paintings import style_data
from rnnreport.models.embedded import MAPS, EmbeddedNetwork, load_embedded, training_record
from rnnreport.models.style import (
    SETTINGS,
    FeatureNetwork,
    coarse_to_fine,
    judge,
    load_network,
    stylise,
    to_image,
)
from rnnreport.samples.paintings import landscape


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 2, height: int = 48, width: int = 64) -> torch.Tensor:
    return torch.randn(n, 3, height, width, generator=seeded())


def test_each_map_has_its_channels_and_its_size() -> None:
    maps = load_embedded().maps(images(), MAPS)
    shapes = {name: tuple(value.shape) for name, value in maps.items()}
    assert shapes == {
        "relu1_1": (2, 64, 48, 64),
        "relu2_1": (2, 128, 24, 32),
        "relu3_1": (2, 256, 12, 16),
    }
    assert all(value.min() == 0 for value in maps.values())


def test_features_are_the_mean_of_the_last_map() -> None:
    network = load_embedded()
    last = network.features(images())
    assert last.shape == (2, network.feature_dim, 3, 4)
    assert torch.equal(network(images()), last.mean((2, 3)))


def test_nothing_beyond_the_deepest_map_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_embedded()

    def fail(_x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("too deep")

    for name in ("relu3_1", "features"):
        monkeypatch.setattr(network.stages[name], "forward", fail)
    assert list(network.maps(images(), ["relu2_1"])) == ["relu2_1"]
    with pytest.raises(AssertionError, match="too deep"):
        network.maps(images(), ["relu3_1"])


@pytest.mark.parametrize("names", [[], ["relu4_1"], ["relu1_1", "features"]])
def test_an_unknown_map_is_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="names must be among relu1_1, relu2_1, relu3_1"):
        load_embedded().maps(images(), names)


@pytest.mark.parametrize("shape", [(3, 48, 64), (1, 1, 48, 64), (1, 3, 15, 64), (1, 3, 64, 15)])
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    for call in (load_embedded(), lambda x: load_embedded().maps(x, MAPS)):
        with pytest.raises(ValueError, match=r"x must have shape \(N, 3, H, W\)"):
            call(torch.zeros(shape))


def test_first_weights_follow_the_generator_and_nothing_else() -> None:
    before = torch.get_rng_state()
    first, same, other = (EmbeddedNetwork(seeded(seed)) for seed in (0, 0, 1))
    load_embedded()
    assert torch.equal(torch.get_rng_state(), before)
    for a, b, c in zip(first.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.ndim == 1 or not torch.equal(a, c)


def test_the_file_is_small_and_in_half_precision() -> None:
    content = (resources.files("rnnreport") / "models" / "embedded.safetensors").read_bytes()
    assert len(content) <= 1_000_000
    state = load(content)
    assert {value.dtype for value in state.values()} == {torch.float16}
    for name, value in load_embedded().state_dict().items():
        assert torch.equal(value, state[name].float())


def test_what_is_loaded_does_not_learn_by_itself() -> None:
    network = load_embedded()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_the_record_tells_the_settings_the_data_and_the_errors() -> None:
    record = training_record()
    assert record["photographs"]["train"] > record["photographs"]["unseen"] > 200
    assert list(record["maps"]) == list(MAPS)
    for errors in record["maps"].values():
        assert 0 < errors["features"] < 0.1
        assert 0 < errors["gram"] < 0.05
    features = record["features"]
    assert features["train"] < features["unseen"] < features["constant"]
    steps = [entry["step"] for entry in record["history"]]
    config = record["config"]
    assert steps == sorted(steps)
    assert steps[-1] == config["forced_steps"] + config["chained_steps"]


@needs("vgg19")
def test_it_follows_vgg_on_a_picture_that_no_one_has_seen() -> None:
    vgg, network = load_network("vgg19", require("vgg19")), load_embedded()
    image = to_tensor(landscape(seeded(3), (160, 120)))[None]
    theirs, ours = vgg.inner.maps(image, MAPS), network.maps(image, MAPS)
    for name in MAPS:
        a, b = theirs[name].flatten(), ours[name].flatten()
        assert torch.cosine_similarity(a, b, 0) > 0.95, name


def test_the_file_lies_in_the_package() -> None:
    import rnnreport.models

    assert Path(rnnreport.models.__file__).with_name("embedded.safetensors").is_file()


@needs("styles", "vgg19")
def test_vgg_sees_its_strokes_in_a_picture_that_it_has_painted() -> None:
    """At a small size and in a few steps; an untrained network matches colours only."""
    vgg, data = load_network("vgg19", require("vgg19")), style_data("full")
    painting = data.paintings["starry_night"].picture
    left = {}
    for name, inner in (("trained", load_embedded()), ("untrained", EmbeddedNetwork(seeded()))):
        painter = FeatureNetwork("embedded", tuple(MAPS), inner)
        levels = coarse_to_fine(96, (20, 20))
        image = stylise(
            data.content, painting, painter, SETTINGS["starry_night"], levels=levels
        ).image
        left[name] = judge(image, to_image(data.content, 96), to_image(painting, 96), vgg)
    assert left["trained"] < 0.05
    assert left["trained"] < 0.25 * left["untrained"]
