"""Views are the right part of a picture, at the right size, normalised."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Generator

from rnnreport._torchvision import torchvision
from rnnreport.data.views import (
    centre_square,
    centre_view,
    encoded_again,
    random_part,
    random_view,
    to_tensor,
)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a smooth picture, which resizing hardly changes."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def test_pixels_are_normalised() -> None:
    red = to_tensor(Image.new("RGB", (3, 2), (255, 0, 0)))
    assert red.shape == (3, 2, 3)
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    torch.testing.assert_close(red[:, 1, 2], torch.tensor(expected))


@pytest.mark.parametrize("shape", [(500, 375), (375, 500), (256, 256), (199, 400)])
def test_the_centre_is_that_of_torchvision(shape: tuple[int, int]) -> None:
    image = picture(*shape)
    reference = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()(image)
    difference = (centre_view(image, 224) - reference).abs()
    assert difference.mean() < 0.02  # it resizes once what torchvision resizes and cuts
    assert difference.max() < 0.3


def test_the_centre_of_stripes() -> None:
    stripes = Image.new("RGB", (320, 160), (0, 0, 0))
    stripes.paste((255, 255, 255), (90, 0, 230, 160))  # the 140 columns in the middle
    square = np.asarray(centre_square(stripes, 70))
    assert square[:, 1:-1].min() == 255
    assert square.min() > 200  # the edge mixes with its neighbours a little


def test_without_antialiasing_only_the_nearest_pixels_count() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    spread = {
        antialias: np.asarray(centre_square(Image.fromarray(noise), 49, antialias=antialias)).std()
        for antialias in (True, False)
    }
    assert spread[True] < 20  # each pixel is a mean of sixteen
    assert spread[False] > 50
    assert centre_view(Image.fromarray(noise), 49, antialias=False).std() > 0.7


@given(
    width=st.integers(1, 90), height=st.integers(1, 90), size=st.integers(1, 40),
    seed=st.integers(0, 2**31),
)  # fmt: skip
def test_any_picture_gives_a_view(width: int, height: int, size: int, seed: int) -> None:
    image = Image.new("RGB", (width, height), (10, 200, 90))
    expected = to_tensor(Image.new("RGB", (size, size), (10, 200, 90)))
    assert torch.equal(centre_view(image, size), expected)
    assert torch.equal(random_view(image, size, Generator().manual_seed(seed)), expected)


def test_random_views_are_parts_of_the_picture_and_half_of_them_mirrored() -> None:
    across = np.tile(np.linspace(0, 255, 200, dtype=np.uint8)[None, :, None], (150, 1, 3))
    down = np.tile(np.linspace(0, 255, 150, dtype=np.uint8)[:, None, None], (1, 200, 3))
    generator = Generator().manual_seed(0)
    mirrored, areas = 0, []
    for _ in range(200):
        state = generator.get_state()
        x = random_view(Image.fromarray(across), 20, generator)[0] * 0.229 + 0.485
        generator.set_state(state)
        y = random_view(Image.fromarray(down), 20, generator)[0] * 0.224 + 0.456
        mirrored += bool(x[0, 0] > x[0, -1])
        width, height = ((v.max() - v.min()).item() * 20 / 19 for v in (x, y))
        areas.append(width * height)
        assert y[0, 0] < y[-1, 0]  # never upside down
    assert 70 < mirrored < 130
    assert 0.25 < min(areas) < 0.45
    assert 0.8 < max(areas) < 1.1


def test_random_views_follow_the_generator() -> None:
    image = picture(80, 60)
    first, again, other = (
        random_view(image, 16, Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_part_is_of_the_asked_size_and_as_large_as_asked() -> None:
    across = np.tile(np.linspace(0, 255, 200, dtype=np.uint8)[None, :, None], (150, 1, 3))
    generator = Generator().manual_seed(0)
    for least in (0.2, 0.9):
        spans = []
        for _ in range(50):
            part = random_part(Image.fromarray(across), 30, generator, least_area=least)
            assert part.size == (30, 30)
            row = np.asarray(part)[0, :, 0].astype(float)
            spans.append((row.max() - row.min()) / 255)
        # A part has at most the whole width, and sides of at most 4 : 3.
        assert min(spans) > np.sqrt(least * 3 / 4) * 150 / 200 - 0.05
        assert max(spans) > 0.75


def test_a_picture_encoded_again_looks_alike_and_is_another() -> None:
    image = picture(90, 60)
    again = encoded_again(image, (68, 45), 75)
    assert (again.size, again.mode) == ((68, 45), "RGB")
    back = np.asarray(again.resize(image.size, Image.Resampling.BILINEAR), float)
    difference = np.abs(back - np.asarray(image, float))
    assert 0 < difference.mean() < 8
    worse = encoded_again(image, (68, 45), 5)
    assert np.abs(np.asarray(worse, float) - np.asarray(again, float)).mean() > 2
