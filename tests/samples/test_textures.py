"""Generated textures: their shape and variety, and that they follow their generator."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnreport.samples.textures import generate_textures


def draw(n: int = 6, size: int = 32, seed: int = 0) -> torch.Tensor:
    return generate_textures(n, size, torch.Generator().manual_seed(seed))


@given(n=st.integers(1, 3), size=st.integers(1, 40), seed=st.integers(0, 2**31))
@settings(deadline=None)
def test_of_any_size_the_values_are_colours(n: int, size: int, seed: int) -> None:
    images = draw(n, size, seed)
    assert images.shape == (n, 3, size, size)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1


def test_the_generator_decides_and_nothing_else() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = draw()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, draw())
    assert not torch.equal(first, draw(seed=1))


def test_no_two_are_alike_and_each_has_contrast_and_colour() -> None:
    images = draw(24)
    flat = images.flatten(1)
    assert torch.pdist(flat).min() > 1
    assert (flat.std(1) > 0.03).all()
    saturation = images.amax(1) - images.amin(1)
    assert saturation.mean() > 0.25


def test_some_are_fine_and_some_are_coarse() -> None:
    images = draw(40, size=64).mean(1)
    roughness = (images[:, :, 1:] - images[:, :, :-1]).square().mean((1, 2)) / images.var((1, 2))
    assert roughness.max() > 5 * roughness.min()


@pytest.mark.parametrize(("n", "size"), [(0, 8), (2, 0), (-1, 8)])
def test_a_size_that_is_none_is_refused(n: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"must be at least 1, got {n} and {size}"):
        generate_textures(n, size, torch.Generator())
