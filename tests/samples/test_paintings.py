"""The drawn pictures: one for a seed, painted everywhere, along their flow, in their colours."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from real_data import needs
from safetensors.torch import load_file
from scipy.ndimage import gaussian_filter, grey_closing
from torch.nn.functional import conv2d, max_pool2d

from rnnreport.data.assets import require
from rnnreport.samples.brush import Brush, Canvas, trace
from rnnreport.samples.paintings import PAINTINGS, Size, landscape

Array = NDArray[np.float64]
Draw = Callable[[torch.Generator, Size], Image.Image]

DRAWN: dict[str, Draw] = {"landscape": landscape} | {
    name: painting.draw for name, painting in PAINTINGS.items()
}


def _draw(name: str, size: Size, seed: int = 0) -> Array:
    image = DRAWN[name](torch.Generator().manual_seed(seed), size)
    return np.array(image, dtype=np.float64) / 255


@pytest.fixture(scope="module")
def pictures() -> dict[str, Array]:
    return {name: _draw(name, 160) for name in DRAWN}


def _tiles(picture: Array, side: int = 16) -> Array:
    """Cut the lightness into tiles: (number of tiles, side * side)."""
    light = picture.mean(2)
    rows, columns = (length // side for length in light.shape)
    light = light[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(light.swapaxes(1, 2).reshape(rows * columns, side * side))


@pytest.mark.parametrize("name", DRAWN)
def test_a_seed_gives_one_picture(name: str) -> None:
    before = torch.get_rng_state(), np.random.get_state(legacy=False)  # noqa: NPY002
    first, again, other = (_draw(name, 64, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02
    assert torch.equal(before[0], torch.get_rng_state())
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert str(before[1]) == str(after)


@pytest.mark.parametrize("name", DRAWN)
def test_the_generator_moves_on(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (np.asarray(DRAWN[name](generator, 48)) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", DRAWN)
def test_size_and_mode(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    image = DRAWN[name](generator, 48)
    assert min(image.size) == 48
    assert image.mode == "RGB"
    assert (image.width < image.height) == (name == "waving_sky")
    for size in ((44, 32), (32, 44)):
        assert DRAWN[name](generator, size).size == size


@pytest.mark.parametrize("size", [0, -64, 31, (64, 0), (31, 64), (-64, -64)])
@pytest.mark.parametrize("name", DRAWN)
def test_too_small(name: str, size: Size) -> None:
    with pytest.raises(ValueError, match=r"size must be at least 32 pixels each way, got"):
        _draw(name, size)


@pytest.mark.parametrize("name", PAINTINGS)
def test_no_place_of_a_painting_is_flat(name: str, pictures: dict[str, Array]) -> None:
    assert _tiles(pictures[name]).std(1).min() > 0.015


def test_the_landscape_has_smooth_and_textured_regions(pictures: dict[str, Array]) -> None:
    picture = pictures["landscape"]
    detail = _tiles(picture - gaussian_filter(picture, (2, 2, 0))).std(1)
    smooth, textured = np.quantile(detail, [0.05, 0.9])
    assert smooth < 0.01, "the sky"
    assert textured > 0.04, "houses and leaves"
    height = len(picture)
    sky, river = picture[: height // 5], picture[-height // 5 :]
    assert sky.mean() > river.mean() + 0.1
    assert sky[..., 2].mean() > sky[..., 0].mean() + 0.1


def test_houses_stand_on_the_river_which_mirrors_them(pictures: dict[str, Array]) -> None:
    picture = pictures["landscape"]
    height, width, _ = picture.shape
    warm = picture[int(0.4 * height) : int(0.65 * height), width // 2 :]
    assert (warm[..., 0] - warm[..., 2]).mean() > 0.03, "walls and roofs"
    # The shore is a slanted line; what lies below it is what lies as far above it.
    y, x = np.mgrid[0:height, 0:width]
    shore = height * (0.635 + 0.35 * (x / width - 0.06))
    deep = (y - shore) / height
    wet = (deep > 0.03) & (deep < 0.25) & (x > 0.25 * width) & (x < 0.7 * width)
    light = gaussian_filter(picture.mean(2), 1.5)
    mirrored = light[np.clip(2 * shore - y, 0, height - 1).astype(int), x]
    assert np.corrcoef(light[wet], mirrored[wet])[0, 1] > 0.4


def _grain(picture: Array) -> tuple[Array, Array]:
    """Return the angle of the strokes at each pixel and how clear it is, from 0 to 1."""
    down, right = np.gradient(picture.mean(2))
    xx, yy, xy = (gaussian_filter(part, 3) for part in (right**2, down**2, right * down))
    clear = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-9)
    return np.asarray(0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2), np.asarray(clear)


@pytest.mark.parametrize(
    ("x", "y", "inner", "outer"), [(0.5, 0.33, 0.06, 0.18), (0.9, 0.16, 0.04, 0.12)]
)
def test_strokes_run_around_vortices_and_stars(
    pictures: dict[str, Array], x: float, y: float, inner: float, outer: float
) -> None:
    picture = pictures["swirling_night"]
    height, width, _ = picture.shape
    angle, clear = _grain(picture)
    rows, columns = np.mgrid[0:height, 0:width]
    across, down = (columns - x * width) / height, (rows - y * height) / height
    ring = (np.hypot(across, down) > inner) & (np.hypot(across, down) < outer)
    tangent = np.arctan2(down, across) + np.pi / 2
    # 1 is along the circles, 0 is any way, -1 is across them.
    along = np.average(np.cos(2 * (angle - tangent))[ring], weights=clear[ring])
    assert along > 0.5


def test_the_sky_waves_from_side_to_side(pictures: dict[str, Array]) -> None:
    picture = pictures["waving_sky"]
    angle, clear = _grain(picture)
    sky = slice(0, len(picture) // 4), slice(0, int(0.9 * picture.shape[1]))
    assert np.average(np.cos(2 * angle[sky]), weights=clear[sky]) > 0.7


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("name", "mean", "spread"),
    [
        # What the three originals have, from 0 to 1.
        ("swirling_night", (0.30, 0.36, 0.44), (0.17, 0.18, 0.19)),
        ("waving_sky", (0.44, 0.33, 0.21), (0.27, 0.15, 0.11)),
        ("colliding_forms", (0.55, 0.43, 0.36), (0.22, 0.22, 0.23)),
    ],
)
def test_palettes(name: str, mean: tuple[float, ...], spread: tuple[float, ...], seed: int) -> None:
    pixels = _draw(name, 128, seed).reshape(-1, 3)
    np.testing.assert_allclose(pixels.mean(0), mean, atol=0.06)
    np.testing.assert_allclose(pixels.std(0), spread, atol=0.06)


def test_what_the_paintings_show(pictures: dict[str, Array]) -> None:
    night, fire, forms = (pictures[name] for name in PAINTINGS)
    warm = night[..., 0] - night[..., 2]
    assert np.mean(warm[: len(night) // 2] < -0.1) > 0.4, "the sky is blue"
    assert np.mean(warm > 0.2) > 0.02, "the stars are yellow"
    warm = fire[..., 0] - fire[..., 2]
    assert warm[: len(fire) // 4].mean() > 0.4, "the sky burns"
    assert warm[len(fire) // 3 : len(fire) // 2, : fire.shape[1] // 2].mean() < 0.15
    hue = np.asarray(Image.fromarray((255 * forms).astype(np.uint8)).convert("HSV"))
    strong = hue[..., 0][(hue[..., 1] > 90) & (hue[..., 2] > 60)]
    reds, yellows, blues = (
        np.mean((strong > low) & (strong < high)) for low, high in ((0, 18), (22, 45), (140, 185))
    )
    assert min(reds, yellows, blues) > 0.03
    dark = forms.max(2)
    thin = grey_closing(dark, (5, 5)) - dark
    assert np.mean((dark < 0.25) & (thin > 0.25)) > 0.07, "the lines are black and thin"


def test_paintings_say_what_they_are_after() -> None:
    assert [painting.after.rpartition(", ")[2] for painting in PAINTINGS.values()] == [
        "1889",
        "1893",
        "1913",
    ]


@needs("styles", "vgg19")
@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("swirling_night", "starry_night"),
        ("waving_sky", "the_scream"),
        ("colliding_forms", "composition_vii"),
    ],
)
def test_style_is_nearer_to_the_original_than_a_photograph_is(name: str, after: str) -> None:
    def read(picture: str) -> Image.Image:
        image = Image.open(require("styles") / f"{picture}.jpg").convert("RGB")
        share = 256 / min(image.size)
        return image.resize((round(share * image.width), round(share * image.height)))

    drawn = DRAWN[name](torch.Generator().manual_seed(0), 256)
    original, ours, photograph = (_grams(i) for i in (read(after), drawn, read("tubingen")))
    for gram, mine, other in zip(original, ours, photograph, strict=True):
        distances = [float((g - gram).square().sum() / gram.square().sum()) for g in (mine, other)]
        assert distances[0] < 0.25
        assert distances[0] < 0.6 * distances[1]


def _grams(image: Image.Image) -> list[torch.Tensor]:
    """Return the Gram matrices of VGG-19 at relu1_1, relu2_1 and relu3_1."""
    weights = load_file(require("vgg19"))
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    x = (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)
    grams = []
    for layer in (0, 2, 5, 7, 10):
        weight, bias = (weights[f"features.{layer}.{part}"] for part in ("weight", "bias"))
        x = torch.relu(conv2d(x, weight, bias, padding=1))
        if layer in (0, 5, 10):
            grams.append(x[0].flatten(1) @ x[0].flatten(1).T / x[0, 0].numel())
        else:
            x = max_pool2d(x, 2)
    return grams


# The brush


def _canvas(ground: float = 0.5) -> Canvas:
    return Canvas((64, 64), (ground, ground, ground), np.random.default_rng(0))


def _light(canvas: Canvas, light: float = 0.0) -> Array:
    return np.asarray(np.asarray(canvas.finish(light), dtype=np.float64).mean(2) / 255)


def test_a_stroke_covers_its_path() -> None:
    canvas = _canvas()
    canvas.line([(0.25, 0.5), (0.75, 0.5)], np.ones(3), 0.25, streak=0, dry=0)
    light = _light(canvas)
    assert np.all(light[28:36, 22:42] == 1), "no hole in it"
    outside = np.ones((64, 64), dtype=bool)
    outside[23:41, 15:49] = False
    np.testing.assert_allclose(light[outside], 0.5, atol=0.01)


def test_a_later_stroke_covers_an_earlier_one() -> None:
    canvas = _canvas()
    paths = np.array([[(0.1, 0.5), (0.9, 0.5)], [(0.5, 0.1), (0.5, 0.9)]])
    colours = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    brush = Brush(0.2, 0, 0, streak=0, dry=0)
    canvas.stroke(paths, colours, np.full(2, 0.2), brush)
    light = _light(canvas)
    assert light[32, 32] == 1
    assert light[32, 16] == 0


def test_a_dry_brush_leaves_gaps() -> None:
    gaps = []
    for dry in (0.0, 1.0):
        canvas = _canvas(0.0)
        canvas.line([(0.1, 0.5), (0.9, 0.5)], np.ones(3), 0.3, streak=0, dry=dry)
        gaps.append(np.mean(_light(canvas)[28:36, 40:50] < 1))
    assert gaps[0] == 0
    assert gaps[1] > 0.2


def test_light_falls_from_the_upper_left() -> None:
    canvas = _canvas()
    canvas.line([(0.5, 0.1), (0.5, 0.9)], np.full(3, 0.5), 0.3, streak=0, dry=0)
    light = _light(canvas, 0.3)[16:40]
    assert light[:, 22:26].mean() > 0.53
    assert light[:, 38:42].mean() < 0.47


def test_a_trace_stays_on_its_flow() -> None:
    def around(x: Array, y: Array) -> Array:
        # Angles between -90° and 90° only: the trace must not turn back where they jump.
        return np.arctan(np.tan(np.arctan2(y, x) + np.pi / 2))

    paths = trace(around, np.array([[1.0, 0.0], [0.0, -1.0]]), np.array([3.0, 3.0]), steps=400)
    assert paths.shape == (2, 801, 2)
    np.testing.assert_allclose(np.hypot(paths[..., 0], paths[..., 1]), 1, atol=0.02)
    pieces = np.linalg.norm(np.diff(paths, axis=1), axis=2)
    np.testing.assert_allclose(pieces.sum(1), 3)
    np.testing.assert_allclose(paths[:, 400], [[1, 0], [0, -1]])
    # Half the length lies on either side: 1.5 radians from the middle.
    ends = np.arctan2(paths[0, [0, -1], 1], paths[0, [0, -1], 0])
    np.testing.assert_allclose(np.sort(ends), [-1.5, 1.5], atol=0.01)
