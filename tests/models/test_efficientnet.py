"""EfficientNet-Lite: the published sizes, TensorFlow's padding, and what is on photographs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from real_data import needs
from torch import Tensor

from rnnreport._torchvision import torchvision
from rnnreport.data.assets import DataFormatError, require
from rnnreport.data.hymenoptera import CLASSES, load_hymenoptera
from rnnreport.data.photographs import load_photograph
from rnnreport.data.pictures import read_picture
from rnnreport.data.views import centre_view
from rnnreport.models.efficientnet import (
    SIDES,
    EfficientNetLite,
    _Convolution,
    load_efficientnet_lite,
)

CATEGORIES: list[str] = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]


@pytest.fixture(scope="module")
def network() -> EfficientNetLite:
    return load_efficientnet_lite(require("efficientnet_lite1"), 1)


@pytest.mark.parametrize(("variant", "millions"), [(0, 4.7), (1, 5.4), (2, 6.1)])
def test_parameters_are_as_many_as_published(variant: int, millions: float) -> None:
    with torch.device("meta"):
        network = EfficientNetLite(variant)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6, 1) == millions


@pytest.mark.parametrize("size", [(64, 64), (33, 70)])
def test_maps_and_scores(network: EfficientNetLite, size: tuple[int, int]) -> None:
    images = torch.zeros(2, 3, *size)
    height, width = (-(-side // 32) for side in size)
    assert network.features(images).shape == (2, 1280, height, width)
    assert network(images).shape == (2, 1000)


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "before", "after"),
    [(6, 3, 2, 0, 1), (7, 3, 2, 1, 1), (6, 5, 2, 1, 2), (7, 5, 2, 2, 2), (6, 3, 1, 1, 1)],
)
def test_the_odd_pixel_is_padded_at_the_end(
    side: int, kernel: int, stride: int, before: int, after: int
) -> None:
    """As written out by hand: a kernel of ones sums what it covers."""
    layer = _Convolution(1, 1, kernel, stride=stride, bend=False).eval()
    with torch.no_grad():
        layer.conv.weight.fill_(1)
    row = torch.arange(1.0, side + 1)
    padded = [0.0] * before + row.tolist() + [0.0] * after
    places = range(0, side + before + after - kernel + 1, stride)
    sums = torch.tensor([sum(padded[place : place + kernel]) for place in places])
    expected = sums[:, None] * sums / (1 + 1e-3) ** 0.5  # rows and columns alike
    with torch.no_grad():
        out = layer((row[:, None] * row)[None, None])
    assert len(sums) == -(-side // stride)
    torch.testing.assert_close(out[0, 0], expected)


def test_pixels_become_what_the_network_was_trained_on(network: EfficientNetLite) -> None:
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).repeat(3, 1, 1)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    rescaled = network.features[0]((pixels / 255 - mean) / std)
    torch.testing.assert_close(rescaled, (pixels.float() - 127) / 128)


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def named(network: EfficientNetLite, images: Tensor) -> list[str]:
    with torch.inference_mode():
        return [CATEGORIES[k] for k in network(images).argmax(1).tolist()]


def test_it_names_what_is_on_photographs(network: EfficientNetLite) -> None:
    names = ("palace", "coffee", "cat")
    views = [centre_view(load_photograph(name), SIDES[1]) for name in names]
    palace, coffee, cat = named(network, torch.stack(views))
    assert palace == "palace"
    assert coffee == "espresso"
    assert cat in {"tabby", "tiger cat", "Egyptian cat"}


@needs("hymenoptera")
def test_it_knows_ants_and_bees_among_a_thousand_classes(network: EfficientNetLite) -> None:
    images = load_hymenoptera(require("hymenoptera"))
    right = 0
    for path, label in zip(images.val, images.val_labels, strict=True):
        view = centre_view(read_picture(path), SIDES[1])
        right += named(network, view[None]) == [CLASSES[label].removesuffix("s")]
    assert right / len(images.val) >= 0.88


def test_another_variant_is_refused() -> None:
    with pytest.raises(DataFormatError, match="not the weights of EfficientNet-Lite0"):
        load_efficientnet_lite(require("efficientnet_lite1"), 0)
    with pytest.raises(ValueError, match="variant must be one of 0, 1, 2, got 4"):
        load_efficientnet_lite(Path("any.pth"), 4)


def test_folded_convolutions_give_the_same_maps() -> None:
    network = EfficientNetLite(0).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):  # as if it had seen images
                part.running_mean = torch.randn(part.num_features, generator=generator) / 10
                part.running_var = torch.rand(part.num_features, generator=generator) + 0.5
                part.bias.copy_(torch.randn(part.num_features, generator=generator) / 10)
        images = torch.randn(2, 3, 64, 64, generator=generator)
        maps, folded = network.features(images), network.folded().features(images)
    assert maps.std() > 0
    torch.testing.assert_close(folded, maps, rtol=1e-3, atol=1e-4)
