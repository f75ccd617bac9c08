"""Image features: pixel features by hand, networks with random and with real weights."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from real_data import needs
from torch import nn

from rnnreport._torchvision import torchvision
from rnnreport.data.assets import require
from rnnreport.data.features import (
    feature_maps,
    pixel_features,
    pixel_patches,
    principal_components,
    project,
    standard,
    standardise,
    statistics,
)
from rnnreport.data.flickr8k import load_flickr8k
from rnnreport.models.efficientnet import SIDES, load_efficientnet_lite


def test_pixel_features_are_mean_colours() -> None:
    images = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    features = pixel_features(images, grid=3)
    assert features.shape == (2, 27)
    cell = images[1, 2, 4:6, 2:4].mean()  # channel 2, row 2, column 1
    torch.testing.assert_close(features[1, 2 * 9 + 2 * 3 + 1], cell)


@pytest.mark.parametrize(
    ("shape", "grid", "message"),
    [
        ((3, 6, 6), 3, r"shape \(N, 3, S, S\), got \(3, 6, 6\)"),
        ((1, 1, 6, 6), 3, r"got \(1, 1, 6, 6\)"),
        ((1, 3, 6, 8), 2, r"got \(1, 3, 6, 8\)"),
        ((1, 3, 6, 6), 4, "grid must be a divisor of the images' side 6, got 4"),
        ((1, 3, 6, 6), 0, "got 0"),
    ],
)
def test_pixel_features_refuse(shape: tuple[int, ...], grid: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pixel_features(torch.zeros(shape), grid=grid)


def test_standardise() -> None:
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) * 5 + 2
    features[:, 1] = 0.1  # the same for all: only shifted
    moments = statistics(features)
    scaled = standardise(features, moments)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.tensor([1.0, 0.0, 1.0]))
    other = torch.full((1, 3), 7.0)
    torch.testing.assert_close(standardise(other, moments), (other - moments.mean) / moments.std)


def test_standardise_refuses() -> None:
    moments = statistics(torch.rand(4, 3))
    with pytest.raises(ValueError, match="features must have 3 columns"):
        standardise(torch.rand(4, 2), moments)
    for bad in (torch.rand(3), torch.rand(0, 3)):
        with pytest.raises(ValueError, match=r"features must have shape \(N, F\)"):
            statistics(bad)


def _pictures(count: int) -> Iterator[Image.Image]:
    random = np.random.default_rng(0)
    for _ in range(count):
        yield Image.fromarray(random.integers(0, 256, (240, 300, 3), dtype=np.uint8))


def test_maps_are_those_of_the_whole_image(mobilenet: nn.Module) -> None:
    trunk = mobilenet.get_submodule("features")
    batches = list(feature_maps(_pictures(3), trunk, 224, batch_size=2))
    assert [batch.shape for batch in batches] == [(2, 49, 1280), (1, 49, 1280)]
    assert not batches[0].requires_grad
    normalise = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for image, maps in zip(_pictures(3), torch.cat(batches), strict=True):
        square = image.resize((224, 224), Image.Resampling.BILINEAR)
        pixels = normalise(torchvision.transforms.functional.to_tensor(square))
        with torch.no_grad():
            (whole,) = trunk(pixels[None])
        # Row by row: place 7 · i + j stands for row i and column j.
        torch.testing.assert_close(maps[7 * 2 + 5], whole[:, 2, 5], rtol=1e-4, atol=1e-5)


def test_pixel_patches() -> None:
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    patches = pixel_patches(images, grid=3, cells=2)
    assert patches.shape == (2, 9, 12)
    place = images[1, :, 4:8, 8:12]  # row 1, column 2 of the places
    expected = torch.stack(
        [place[:, a : a + 2, b : b + 2].mean((1, 2)) for a in (0, 2) for b in (0, 2)]
    )
    torch.testing.assert_close(patches[1, 3 * 1 + 2], expected.T.flatten())
    with pytest.raises(ValueError, match="divisor of the images' side 12, got 10"):
        pixel_patches(images, grid=5, cells=2)


def test_projections() -> None:
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) * 5 + 2
    plain = standard(features)
    torch.testing.assert_close(project(features, plain), standardise(features, plain.moments))
    basis = torch.tensor([[1.0], [2.0], [0.0]])
    one = plain._replace(basis=basis)
    expected = standardise(features, plain.moments) @ basis
    torch.testing.assert_close(project(features, one), expected)
    torch.testing.assert_close(project(features.view(8, 5, 3), one), expected.view(8, 5, 1))
    with pytest.raises(ValueError, match="features must have 3 columns"):
        project(torch.ones(2, 4), one)


def test_principal_components_keep_most_of_the_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([0.1, 5.0, 1.0, 0.2])
    turn, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
    features = (torch.randn(2000, 4, generator=generator) * spread) @ turn + 3
    components = project(features, principal_components(features, 2))
    torch.testing.assert_close(components.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    covariance = components.T @ components / len(features)
    assert abs(float(covariance[0, 1])) < 1e-4  # they do not vary together
    total = float(spread.square().sum())
    expected = 2 / total * torch.tensor([25.0, 1.0])
    torch.testing.assert_close(covariance.diag(), expected, rtol=0.1, atol=0)
    # Nothing is lost with all of them: distances stay as they are but for the scale.
    whole = project(features, principal_components(features, 9))
    assert whole.shape == (2000, 4)
    scale = torch.cdist(features[:5], features[:5]) / torch.cdist(whole[:5], whole[:5])
    off_diagonal = scale[~torch.eye(5, dtype=torch.bool)]
    torch.testing.assert_close(off_diagonal, off_diagonal[:1].expand(20), rtol=1e-3, atol=0)


def test_principal_components_refuse() -> None:
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        principal_components(torch.ones(3, 2), 0)
    with pytest.raises(ValueError, match=r"features must have shape \(N, F\)"):
        principal_components(torch.ones(0, 2), 1)
    alike = principal_components(torch.ones(3, 2), 1)  # nothing varies
    assert project(torch.ones(3, 2), alike).abs().max() == 0


@needs("efficientnet_lite1", "flickr8k")
def test_the_real_network_tells_dogs_from_the_rest() -> None:
    data = load_flickr8k(require("flickr8k"))

    def mentions(name: str) -> int:
        return sum("dog" in caption or "dogs" in caption for caption in data.captions[name])

    dogs = [name for name in data.captions if mentions(name) == 5][:20]
    rest = [name for name in data.captions if mentions(name) == 0][:20]
    network = load_efficientnet_lite(require("efficientnet_lite1"), 1)
    maps = torch.cat(list(feature_maps(map(data.image, dogs + rest), network.features, SIDES[1])))
    features = maps.mean(1)
    assert features.shape == (40, 1280)
    assert features.min() >= 0  # after ReLU6
    assert (features.std(0) > 0).float().mean() > 0.9
    with torch.no_grad():
        best = network.classifier(features).argmax(1)
    is_dog = (best >= 151) & (best <= 268)  # ImageNet's breeds of dog
    assert is_dog[:20].float().mean() >= 0.7
    assert is_dog[20:].float().mean() <= 0.1
