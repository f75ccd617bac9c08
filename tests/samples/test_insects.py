"""Drawn insects: as many as asked, repeatable, varied, and not to be told apart by colour alone."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator, Tensor

from rnnreport.data.hymenoptera import CLASSES
from rnnreport.samples.insects import COUNTS, draw_insects, generate_insects


def pixels(pictures: tuple[Image.Image, ...]) -> Tensor:
    return torch.stack([torch.from_numpy(np.array(picture)) for picture in pictures])


def test_counts_and_labels() -> None:
    drawn = generate_insects(
        generator=Generator().manual_seed(0), size=32, train=(3, 2), val=(1, 2)
    )
    assert drawn.train_labels == (0, 0, 0, 1, 1)
    assert drawn.val_labels == (0, 1, 1)
    assert (len(drawn.train), len(drawn.val)) == (5, 3)
    assert all((p.mode, p.size) == ("RGB", (32, 32)) for p in drawn.train + drawn.val)


def test_as_many_as_the_photographs() -> None:
    assert COUNTS == {"train": (123, 121), "val": (70, 83)}


def test_the_generator_decides_everything() -> None:
    def draw(seed: int) -> Tensor:
        generator = Generator().manual_seed(seed)
        drawn = generate_insects(generator=generator, size=32, train=(3, 3), val=(2, 2))
        return pixels(drawn.train + drawn.val)

    state = torch.random.get_rng_state()
    first = draw(0)
    torch.rand(3)
    assert torch.equal(draw(0), first)
    assert not torch.equal(draw(1), first)
    assert len({picture.numpy().tobytes() for picture in first}) == len(first)
    torch.random.set_rng_state(state)
    draw(2)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("size", [1, 17, 64, 200])
def test_any_size(name: str, size: int) -> None:
    picture = draw_insects(name, Generator().manual_seed(3), size)
    assert (picture.mode, picture.size) == ("RGB", (size, size))


def test_pictures_show_something() -> None:
    drawn = generate_insects(
        generator=Generator().manual_seed(1), size=64, train=(20, 20), val=(1, 1)
    )
    assert pixels(drawn.train).double().std((1, 2)).min() > 3
    assert pixels(drawn.train).double().mean((1, 2, 3)).std() > 10  # light and ground vary


def test_colours_of_a_picture_do_not_tell_the_class() -> None:
    """A linear layer on histograms of colours is not much better than a coin."""
    drawn = generate_insects(
        generator=Generator().manual_seed(2), size=48, train=(100, 100), val=(60, 60)
    )

    def histograms(pictures: tuple[Image.Image, ...]) -> Tensor:
        bins = (pixels(pictures) // 64).long().flatten(1, 2)  # (N, P, 3), 4 steps a channel
        index = bins[..., 0] * 16 + bins[..., 1] * 4 + bins[..., 2]
        return torch.nn.functional.one_hot(index, 64).double().mean(1).sqrt()

    train, val = histograms(drawn.train), histograms(drawn.val)
    labels, truth = torch.tensor(drawn.train_labels), torch.tensor(drawn.val_labels)
    weight = torch.linalg.solve(
        train.T @ train + 0.5 * torch.eye(64, dtype=torch.double),
        train.T @ (2 * labels - 1).double(),
    )
    accuracy = ((val @ weight > 0) == truth.bool()).double().mean()
    assert accuracy < 0.72


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"train": (0, 3)}, "train must be at least 1, got 0"),
        ({"val": (3, -1)}, "val must be at least 1, got -1"),
    ],
)
def test_refuses(arguments: dict[str, tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate_insects(generator=Generator(), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name must be one of ants, bees, got 'wasps'"):
        draw_insects("wasps", Generator())
