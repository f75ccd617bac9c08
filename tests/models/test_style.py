"""Networks give the maps that they are asked for, and images come to have content and style."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from real_data import needs
from torch import Generator, Tensor, nn

from rnnreport._torchvision import torchvision
from rnnreport.data.assets import DataFormatError, MissingDataError, require
from rnnreport.models import style
from rnnreport.models.embedded import load_embedded
from rnnreport.models.style import (
    LAYERS,
    SETTINGS,
    FeatureNetwork,
    Level,
    Objective,
    StyleSettings,
    coarse_to_fine,
    judge,
    load_network,
    peak_memory,
    size_at,
    stylise,
    to_image,
    to_pixels,
)
from rnnreport.names import NETWORKS, NetworkName

CUT = 7  # convolutions up to conv3_3


pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def draw(seed: int, height: int = 40, width: int = 48) -> Tensor:
    """Return an image with patches and grain."""
    coarse = torch.rand(1, 3, 5, 6, generator=seeded(seed))
    fine = torch.rand(1, 3, height, width, generator=seeded(seed + 1))
    return 0.7 * nn.functional.interpolate(coarse, (height, width)) + 0.3 * fine


def picture(seed: int, height: int = 40, width: int = 48) -> Image.Image:
    return Image.fromarray(to_pixels(draw(seed, height, width)).numpy())


def vgg_features(count: int) -> nn.Sequential:
    """Return the first convolutions of torchvision's VGG-19, with what lies between them."""
    configuration = torchvision.models.vgg.cfgs["E"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = torchvision.models.vgg.make_layers(configuration, batch_norm=False)
    places = [k for k, module in enumerate(features) if isinstance(module, nn.Conv2d)]
    cut: nn.Sequential = features[: places[count - 1] + 2]
    return cut.eval()


def vgg_state(count: int) -> dict[str, Tensor]:
    state = vgg_features(count).state_dict()
    return {f"features.{name}": value for name, value in state.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with random weights of VGG-19, cut and whole, and of SqueezeNet."""
    path = tmp_path_factory.mktemp("weights")
    torch.save(vgg_state(CUT), path / "vgg19.pth")
    torch.save(
        {**vgg_state(16), "classifier.0.weight": torch.zeros(2, 2)}, path / "vgg19_whole.pth"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(torchvision.models.squeezenet1_1().state_dict(), path / "squeezenet1_1.pth")
    return path


def load(name: NetworkName, folder: Path) -> FeatureNetwork:
    return load_network(name, None if name == "embedded" else folder / f"{name}.pth")


def normalised(image: Tensor) -> Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (image - mean[:, None, None]) / std[:, None, None]


# Networks


@torch.no_grad()
def test_the_maps_of_vgg_are_torchvisions(folder: Path) -> None:
    network = load("vgg19", folder)
    assert network.layers == (
        "relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3",
    )  # fmt: skip
    image = draw(0)
    maps = network.maps(image, network.layers)
    x, expected = normalised(image), []
    for module in vgg_features(CUT):
        x = module(x).clone()
        if isinstance(module, nn.ReLU):
            expected.append(x.clone())
    assert len(expected) == len(maps)
    for name, value in zip(network.layers, expected, strict=True):
        torch.testing.assert_close(maps[name], value, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_whole_vgg_has_all_maps(folder: Path) -> None:
    network = load_network("vgg19", folder / "vgg19_whole.pth")
    assert len(network.layers) == 16
    assert network.layers[-1] == "relu5_4"
    deepest = network.maps(draw(0), ["relu5_4"])["relu5_4"]
    torch.testing.assert_close(deepest, vgg_features(16)(normalised(draw(0))), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_maps_of_squeezenet_are_torchvisions(folder: Path) -> None:
    network = load("squeezenet1_1", folder)
    assert network.layers == ("relu1", *(f"fire{k}" for k in range(2, 10)))
    whole = torchvision.models.squeezenet1_1()
    whole.load_state_dict(torch.load(folder / "squeezenet1_1.pth", weights_only=True))
    features, x = whole.eval().features, normalised(draw(0))
    for name, place in (("relu1", 2), ("fire3", 5), ("fire9", 13)):
        maps = network.maps(draw(0), [name])[name]
        torch.testing.assert_close(maps, features[:place](x.clone()), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_maps_of_the_embedded_network_are_its_own() -> None:
    network = load_network("embedded")
    names = LAYERS["embedded"].style
    expected = load_embedded().maps(normalised(draw(0)), names)
    for name, value in network.maps(draw(0), names).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_nothing_and_goes_no_deeper_than_asked(
    name: NetworkName, folder: Path
) -> None:
    network = load(name, folder)
    assert set(LAYERS[name].style) | {LAYERS[name].content} <= set(network.layers)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(module.training for module in network.modules())
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    ran: list[nn.Module] = []
    for convolution in convolutions:
        convolution.register_forward_hook(lambda module, *_: ran.append(module))
    first = network.layers[0]
    image = draw(0).requires_grad_()
    maps = network.maps(image, [first])
    assert list(maps) == [first]
    assert len(ran) == 1
    assert maps[first].is_contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(maps[first].sum(), image)
    assert float(gradient.abs().sum()) > 0


def test_networks_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name must be one of vgg19, squeezenet1_1, embedded"):
        load_network("alexnet")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weights must be a file for vgg19"):
        load_network("vgg19")
    with pytest.raises(ValueError, match="weights must be None for embedded"):
        load_network("embedded", folder / "vgg19.pth")
    with pytest.raises(MissingDataError, match=r"none\.pth"):
        load_network("vgg19", tmp_path / "none.pth")


def test_files_of_another_network_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=r"squeezenet1_1\.pth: not the weights of vgg19"):
        load_network("vgg19", folder / "squeezenet1_1.pth")
    with pytest.raises(DataFormatError, match=r"vgg19\.pth: not the weights of squeezenet1_1"):
        load_network("squeezenet1_1", folder / "vgg19.pth")
    torch.save(vgg_state(4), tmp_path / "short.pth")
    with pytest.raises(DataFormatError, match="at least conv1_1 to conv3_1, got 4 convolutions"):
        load_network("vgg19", tmp_path / "short.pth")
    state = vgg_state(CUT)
    del state["features.2.weight"]  # a hole
    torch.save(state, tmp_path / "hole.pth")
    with pytest.raises(DataFormatError, match=r"hole\.pth: not the weights of vgg19"):
        load_network("vgg19", tmp_path / "hole.pth")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(3, 40, 40), r"got torch.float32 of shape \(3, 40, 40\)"),
        (torch.zeros(2, 3, 40, 40), r"\(2, 3, 40, 40\)"),
        (torch.zeros(1, 1, 40, 40), r"\(1, 1, 40, 40\)"),
        (torch.zeros(1, 3, 31, 40), r"at least 32, got torch.float32 of shape \(1, 3, 31, 40\)"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), "got torch.uint8"),
    ],
)
def test_images_that_do_not_fit(image: Tensor, message: str) -> None:
    network = load_network("embedded")
    with pytest.raises(ValueError, match=f"image must be .*{message}"):
        network.maps(image, ["relu1_1"])
    with pytest.raises(ValueError, match="content must be"):
        judge(draw(0), image, draw(1), network)
    with pytest.raises(ValueError, match="painting must be"):
        judge(draw(0), draw(0), image, network)


@pytest.mark.parametrize("names", [["relu1_2"], []])
def test_maps_that_are_not_there(names: list[str]) -> None:
    with pytest.raises(ValueError, match="names must be among relu1_1, relu2_1, relu3_1, got"):
        load_network("embedded").maps(draw(0), names)


# Pictures and images


def test_pictures_become_images_and_back() -> None:
    here = picture(3)
    image = to_image(here, 40)
    assert image.shape == (1, 3, 40, 48)
    assert image.dtype == torch.float32
    assert Image.fromarray(to_pixels(image).numpy()).tobytes() == here.tobytes()
    assert to_image(here, 80).shape == (1, 3, 80, 96)
    assert to_image(picture(3, 90, 33), 32).shape == (1, 3, 87, 32)
    assert to_image(Image.new("RGB", (1, 1), "white"), 32).eq(1).all()
    assert to_pixels(torch.tensor([-1.0, 0.5, 2.0])[None, :, None, None]).tolist() == [
        [[0, 128, 255]]
    ]


def test_pictures_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="picture must be in RGB, got L"):
        to_image(Image.new("L", (40, 40)), 40)
    with pytest.raises(ValueError, match="short_side must be at least 32, got 31"):
        to_image(picture(0), 31)


# The objective


@torch.no_grad()
def test_the_parts_are_those_of_the_page(folder: Path) -> None:
    network = load("vgg19", folder)
    settings = StyleSettings(content=0.3, variation=0.7, style=(1.0, 0.5, 2.0))
    content, painting, image = draw(0), draw(2, 36, 60), draw(4)
    parts = Objective(network, settings, content, painting).parts(image)

    names = LAYERS["vgg19"].style
    seen, aim = network.maps(image, names), network.maps(painting, names)
    F, P = seen["relu3_1"], network.maps(content, ["relu3_1"])["relu3_1"]
    torch.testing.assert_close(parts.content, 0.3 * (F - P).norm() ** 2 / P.norm() ** 2)

    def gram(maps: Tensor) -> Tensor:
        return torch.einsum("nkij,nlij->kl", maps, maps) / maps[0, 0].numel()

    expected = torch.zeros(())
    for name, weight in zip(names, settings.style, strict=True):
        A = gram(aim[name])
        expected += weight * (gram(seen[name]) - A).norm() ** 2 / A.norm() ** 2
    torch.testing.assert_close(parts.style, expected, rtol=1e-4, atol=0)
    steps = sum(image.diff(dim=axis).square().sum() for axis in (2, 3))
    torch.testing.assert_close(parts.variation, 0.7 * steps / (40 * 48))


@torch.no_grad()
def test_weights_do_not_depend_on_the_scale_of_the_maps(folder: Path) -> None:
    """Networks of different origin differ by a factor on all maps."""
    settings = StyleSettings(content=1.0, variation=1.0)
    before = Objective(load("vgg19", folder), settings, draw(0), draw(2)).parts(draw(4))
    network = load("vgg19", folder)
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    for convolution in (module for module in network.modules() if isinstance(module, nn.Conv2d)):
        convolution.bias.mul_(100.0)  # type: ignore[union-attr]
    first.weight.mul_(100.0)
    after = Objective(network, settings, draw(0), draw(2)).parts(draw(4))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=0)


def test_settings_that_do_not_fit() -> None:
    for bad in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="content must be finite and not negative"):
            StyleSettings(content=bad, variation=0.0)
        with pytest.raises(ValueError, match="variation must be finite"):
            StyleSettings(content=0.0, variation=bad)
        with pytest.raises(ValueError, match="style must be finite"):
            StyleSettings(content=0.0, variation=0.0, style=(1.0, bad))
    short = StyleSettings(content=0.0, variation=0.0, style=(1.0,))
    with pytest.raises(ValueError, match="must have 3 weights, one for each of relu1_1, relu2_1"):
        Objective(load_network("embedded"), short, draw(0), draw(1))


@torch.no_grad()
def test_the_judge_knows_the_beginning_and_the_end() -> None:
    network = load_network("embedded")
    content, painting = draw(0), draw(2)
    assert judge(content, content, painting, network) == pytest.approx(1.0)
    assert judge(painting, content, painting, network) == pytest.approx(0.0, abs=1e-9)
    mirrored = painting.flip(3).roll(8, 3)  # the place does not matter, edges apart
    assert judge(mirrored, content, painting, network) < 0.5


# Painting

LEVELS = (Level(32, 4), Level(40, 3))
WEIGHTS = SETTINGS["the_scream"]


def paint(**options: object) -> style.Stylised:
    arguments: dict[str, object] = {"levels": LEVELS} | options
    network = load_network("embedded")
    return stylise(picture(0), picture(2), network, WEIGHTS, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
def test_what_painting_gives(optimiser: str) -> None:
    rate = 0.2 if optimiser == "lbfgs" else 0.05
    stylised = paint(
        optimiser=optimiser, learning_rate=rate, levels=(Level(32, 12), Level(40, 12)),
        snapshots=(1, 12, 24, 99),
    )  # fmt: skip
    assert stylised.peak_memory == peak_memory()
    assert stylised.image.shape == (1, 3, 40, 48)
    assert not stylised.image.requires_grad
    assert 0 <= float(stylised.image.min()) < float(stylised.image.max()) <= 1
    assert set(stylised.history) == {"content", "style", "variation", "short_side"}
    assert all(len(series) == 25 for series in (*stylised.history.values(), stylised.seconds))
    assert stylised.history["short_side"] == [32] * 12 + [40] * 13
    assert stylised.seconds == sorted(stylised.seconds)
    assert stylised.history["content"][0] == pytest.approx(0.0)
    assert {step: image.shape[2] for step, image in stylised.snapshots.items()} == {
        1: 32, 12: 32, 24: 40,
    }  # fmt: skip
    assert torch.equal(stylised.snapshots[24], stylised.image)
    assert stylised.style_left < 0.2
    content, painting = (to_image(picture(seed), 40) for seed in (0, 2))
    judged = judge(stylised.image, content, painting, load_network("embedded"))
    assert judged == pytest.approx(stylised.style_left, rel=1e-3)


def test_painting_twice_gives_the_same() -> None:
    first, second = paint(), paint()
    assert torch.equal(first.image, second.image)
    assert first.history == second.history


def test_painting_begins_with_the_content() -> None:
    begun = paint(levels=[Level(40, 1)], optimiser="adam", learning_rate=1e-9)
    torch.testing.assert_close(begun.image, to_image(picture(0), 40))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return the images whose losses are computed, as they come."""
    images: list[Tensor] = []
    usual = Objective.parts

    def watch(self: Objective, image: Tensor) -> style.Parts:
        images.append(image.detach().clone())
        return usual(self, image)

    monkeypatch.setattr(Objective, "parts", watch)
    return images


def test_the_image_is_clamped_after_a_step_and_not_within_it(seen: list[Tensor]) -> None:
    """Each loss is that of the image after the step before."""
    stylised = paint(
        levels=[Level(32, 5), Level(40, 3)],
        optimiser="adam",
        learning_rate=0.5,
        snapshots=range(1, 9),
    )
    assert len(seen) == 10  # eight steps, the end, and the content for comparison
    for image in seen:  # enlarging overshoots at edges, and must not
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
    for step in (1, 2, 3, 4, 6, 7, 8):
        assert torch.equal(seen[step], stylised.snapshots[step])
    assert float((stylised.image == 0).float().mean()) > 0.01  # the rate is far too large


STILL = {"optimiser": "adam", "learning_rate": 1e-9}


def test_a_margin_mirrors_the_picture_and_is_cropped(seen: list[Tensor]) -> None:
    begun = paint(levels=[Level(32, 2), Level(40, 1)], margin=6, snapshots=[1], **STILL)
    small = to_image(picture(0), 32)
    torch.testing.assert_close(begun.snapshots[1], small)
    mirrored = np.pad(small[0].numpy(), ((0, 0), (6, 6), (6, 6)), mode="reflect")
    torch.testing.assert_close(seen[0][0], torch.from_numpy(mirrored))
    assert [tuple(image.shape[2:]) for image in seen[2:4]] == [(52, 60)] * 2
    enlarged = nn.functional.interpolate(small, (40, 48), mode="bicubic", antialias=True)
    torch.testing.assert_close(begun.image, enlarged.clamp(0, 1))
    assert begun.history["short_side"] == [32, 32, 40, 40]


def test_a_margin_is_no_wider_than_a_picture_has_pixels(seen: list[Tensor]) -> None:
    painted = paint(levels=[Level(32, 1)], margin=500)
    assert painted.image.shape == (1, 3, 32, 38)
    assert seen[0].shape == (1, 3, 32 + 2 * 31, 38 + 2 * 31)


@pytest.mark.parametrize("seed", [2, 6])
def test_a_margin_leaves_no_frame(seed: int) -> None:
    """Of a picture of one colour, the edges are painted as bright as the inner part."""

    def brighter(margin: int) -> float:
        painted = stylise(
            Image.new("RGB", (48, 48), (60, 60, 60)), picture(seed), load_network("embedded"),
            WEIGHTS, levels=[Level(48, 20)], margin=margin,
        )  # fmt: skip
        grey = painted.image[0].mean(0)
        inner = grey[6:-6, 6:-6].mean()
        frame = (grey.sum() - grey[2:-2, 2:-2].sum()) / (48**2 - 44**2)
        return float(frame - inner)

    assert brighter(0) > 0.03
    assert abs(brighter(8)) < 0.02


@pytest.mark.parametrize("margin", [0, 5])
def test_the_bar_counts_pixels(
    monkeypatch: pytest.MonkeyPatch, seen: list[Tensor], margin: int
) -> None:
    weighed: list[float] = []
    at: list[int] = []

    def watch(items: range, _: str, *, weights: list[float]) -> Iterator[int]:
        weighed.extend(weights)
        for item in items:
            at.append(len(seen))
            yield item
        at.append(len(seen))

    monkeypatch.setattr(style, "track", watch)
    paint(margin=margin)
    assert weighed == [image[0, 0].numel() for image in seen[:7]]
    assert at == list(range(8)), "a step is counted when it is done"


@pytest.mark.parametrize("margin", [0, 8])
def test_a_picture_in_its_own_style(margin: int) -> None:
    """There is no way to go, and no share of it."""
    network = load_network("embedded")
    for same in (picture(0), Image.new("RGB", (40, 40)), Image.new("RGB", (40, 40), (9, 200, 30))):
        painted = stylise(same, same, network, WEIGHTS, levels=[Level(32, 2)], margin=margin)
        assert painted.style_before < 1e-9
        assert torch.isfinite(painted.image).all()
    assert style.Stylised(painted.image, {"style": [0.0]}, [], {}, 1.0, None).style_left == 0
    none = style.Stylised(painted.image, {"style": [0.1]}, [], {}, 0.0, None)
    assert math.isnan(none.style_left)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    network = load_network("embedded")
    first = next(iter(network.parameters()))
    first.fill_(1e30)
    with pytest.raises(FloatingPointError, match="the loss is not finite"):
        stylise(picture(0), picture(2), network, WEIGHTS, levels=LEVELS)


def test_arguments_that_do_not_fit() -> None:
    for levels in ([], [Level(40, 0)]):
        with pytest.raises(ValueError, match="levels must be at least one"):
            paint(levels=levels)
    with pytest.raises(ValueError, match="optimiser must be one of lbfgs, adam, got 'sgd'"):
        paint(optimiser="sgd")
    with pytest.raises(ValueError, match="short_side must be at least 32, got 8"):
        paint(levels=[Level(8, 1)])
    with pytest.raises(ValueError, match="margin must be at least 0, got -1"):
        paint(margin=-1)


def test_size_at_a_short_side() -> None:
    assert size_at((640, 480), 96) == (128, 96)
    assert size_at((30, 99), 64) == (64, 211)
    assert size_at((33, 32), 32) == (33, 32)
    assert to_image(picture(0), 64).shape[:1:-1] == size_at((48, 40), 64)


def test_from_coarse_to_fine() -> None:
    assert coarse_to_fine(256, (40, 60, 50)) == ((64, 40), (128, 60), (256, 50))
    assert coarse_to_fine(64, (40, 60, 50)) == ((32, 60), (64, 50))
    assert coarse_to_fine(33, (40, 60, 50)) == ((33, 50),)
    with pytest.raises(ValueError, match="short_side must be at least 32, got 31"):
        coarse_to_fine(31, (1,))


@pytest.mark.parametrize(
    ("platform", "expected"), [("linux", 7 * 1024), ("darwin", 7), ("win32", None)]
)
def test_memory_is_in_bytes_on_each_system(
    monkeypatch: pytest.MonkeyPatch, platform: str, expected: int | None
) -> None:
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=7))
    monkeypatch.setattr(sys, "platform", platform)
    assert peak_memory() == expected


@needs("styles", "vgg19")
def test_the_real_network_sees_style() -> None:
    from rnnreport.data.pictures import read_picture

    network = load_network("vgg19", require("vgg19"))
    content, painting = (
        read_picture(require("styles") / f"{name}.jpg") for name in ("tubingen", "starry_night")
    )
    stylised = stylise(
        content, painting, network, SETTINGS["starry_night"],
        levels=[Level(64, 40)], optimiser="adam", learning_rate=0.05,
    )  # fmt: skip
    assert stylised.style_left < 0.05
    assert stylised.history["content"][-1] < 0.05  # the content is there
