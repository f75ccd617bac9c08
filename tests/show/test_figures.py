import base64
import io
import re
from itertools import pairwise
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pytest
from fresh_python import output_of
from PIL import Image
from tags import Tags

from rnnreport.show import figures
from rnnreport.show.figures import PALETTES, Figure, gallery
from rnnreport.show.plots import line_plot, loss_curves

PAGE = {"light": "#ffffff", "dark": "#14181e"}


def _payload(attrs: dict[str, str | None]) -> bytes:
    src = attrs["src"]
    assert src is not None
    return base64.b64decode(src.partition(",")[2])


def _line(_: Any, ax: Any) -> None:
    ax.plot([1, 2, 3], [1, 4, 9])
    ax.set_xlabel("x")


def _luminance(colour: str) -> float:
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("style", ["light", "dark"])
def test_colours_can_be_read_and_told_apart_in_grey(style: figures.Style) -> None:
    page = _luminance(PAGE[style])
    levels = [_luminance(c) for c in PALETTES[style]]
    for level in levels:
        low, high = sorted((page, level))
        assert (high + 0.05) / (low + 0.05) >= 4.5
    lightness = sorted(116 * level ** (1 / 3) - 16 for level in levels)
    assert all(b - a >= 8 for a, b in pairwise(lightness))


def test_both_styles_are_embedded_with_the_same_text() -> None:
    html = Figure(_line, 'squares of "1" to 3 < 10')._repr_html_()
    images = Tags(html).named("img")
    assert [i["class"] for i in images] == ["only-light", "only-dark"]
    assert ["hidden" in i for i in images] == [False, True]
    assert {i["alt"] for i in images} == {'squares of "1" to 3 < 10'}
    documents = [_payload(i) for i in images]
    assert documents[0] != documents[1]
    for document in documents:
        assert ElementTree.fromstring(document).tag.endswith("svg")  # noqa: S314


def test_same_figure_has_same_bytes() -> None:
    first = Figure(_line, "a curve")
    again = Figure(_line, "a curve")
    assert first.svg("light") == first.svg("light") == again.svg("light")
    assert not re.search("dc:date|matplotlib v", first.svg("light").lower())


def test_readers_settings_neither_matter_nor_change() -> None:
    import matplotlib as mpl

    expected = Figure(_line, "a curve").svg("dark")
    with mpl.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "font.size": 40}):
        before = dict(mpl.rcParams)
        assert Figure(_line, "a curve").svg("dark") == expected
        assert dict(mpl.rcParams) == before


def test_matplotlib_is_imported_late_and_pyplot_never() -> None:
    code = (
        "import sys, rnnreport.show.figures as f\n"
        "assert 'matplotlib' not in sys.modules\n"
        "f.Figure(lambda fig, ax: ax.plot([3.0, 1.0]), 'falls').svg('light')\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    output_of(code)


def test_several_axes_and_size() -> None:
    seen = []

    def draw(_: Any, axes: Any) -> None:
        seen.append(axes.shape)

    svg = Figure(draw, "two empty panels", (8, 2), {"ncols": 2}).svg("light")
    assert seen == [(2,)]
    assert 'width="576pt" height="144pt"' in svg


def test_wide_figures_have_larger_type() -> None:
    sizes = []

    def draw(_: Any, ax: Any) -> None:
        sizes.append(ax.xaxis.label.get_size())

    for width in (4.0, 5.4, 10.8):
        Figure(draw, "nothing", (width, 3)).svg("light")
    assert sizes == pytest.approx([12, 12, 24])


@pytest.mark.parametrize("alt", ["", "  \n", None])
def test_figure_without_words_is_refused(alt: Any) -> None:
    with pytest.raises(ValueError, match="alt"):
        Figure(_line, alt)
    with pytest.raises(ValueError, match="alt"):
        loss_curves({"a": [1.0]}, alt=alt)
    with pytest.raises(ValueError, match="alt"):
        line_plot({"a": ([1.0], [1.0])}, alt=alt, xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match=r"alt\[0\]"):
        gallery([np.zeros((2, 2))], ["black"], [alt])


def test_bad_figure_arguments() -> None:
    with pytest.raises(ValueError, match="figsize"):
        Figure(_line, "a curve", (0, 3))
    with pytest.raises(ValueError, match="style"):
        Figure(_line, "a curve").svg("sepia")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (4, 6, 4)])
@pytest.mark.parametrize("kind", ["uint8", "float", "pil"])
def test_gallery_keeps_pixels(shape: tuple[int, ...], kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = {"uint8": pixels, "float": pixels / 255, "pil": Image.fromarray(pixels)}[kind]
    tags = Tags(gallery([image], ["noise"], ["random dots"])._repr_html_())
    (attrs,) = tags.named("img")
    assert (attrs["alt"], attrs["width"], attrs["height"]) == ("random dots", "6", "4")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(_payload(attrs)))), pixels)


def test_gallery_structure_and_escaping() -> None:
    black, wide = np.zeros((2, 3)), np.zeros((2, 5))
    tags = Tags(
        gallery(
            [black, wide],
            ["<b>", {"truth": "a & b", "model": "c"}],
            ['"x"', "y"],
            label="two & more",
        )._repr_html_()
    )
    expected = "div figure img figcaption figure img figcaption dl dt dd dt dd"
    assert [t for t, _ in tags.tags] == expected.split()
    assert tags.named("div") == [{"class": "gallery", "role": "group", "aria-label": "two & more"}]
    assert [i["alt"] for i in tags.named("img")] == ['"x"', "y"]
    assert tags.text == "<b>trutha & bmodelc"


def test_gallery_of_one_shape_is_marked() -> None:
    black, wide = np.zeros((2, 3)), np.zeros((2, 5))
    for images, kind in (([black, black], "gallery gallery-uniform"), ([black, wide], "gallery")):
        (attrs,) = Tags(gallery(images, ["a", "b"], ["x", "y"]).html).named("div")
        assert attrs["class"] == kind


@pytest.mark.parametrize("layout", ["", "wide"])
def test_three_pictures_reach_into_the_margin(layout: Literal["", "wide"]) -> None:
    black = np.zeros((2, 3))
    for count in (2, 3):
        shown = gallery([black] * count, ["a"] * count, ["x"] * count, layout=layout)
        assert ("full-width" in shown.html) == (count == 3)


def test_gallery_shrinks_and_leaves_the_original() -> None:
    image = Image.new("RGB", (40, 20), "red")
    element = gallery([image], ["red"], ["a red field"], max_side=10, encoding="jpeg")
    (attrs,) = Tags(element.html).named("img")
    assert (attrs["width"], attrs["height"]) == ("10", "5")
    assert Image.open(io.BytesIO(_payload(attrs))).format == "JPEG"
    assert image.size == (40, 20)
    (attrs,) = Tags(gallery([image], ["red"], ["red"], max_side=None).html).named("img")
    assert attrs["width"] == "40"


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "I;16"])
def test_gallery_takes_any_pil_mode(mode: str) -> None:
    element = gallery([Image.new(mode, (4, 4))], ["plain"], ["one colour"])
    assert len(Tags(element.html).named("img")) == 1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(3),
        np.zeros((2, 2, 2)),
        np.zeros((0, 2)),
        np.full((2, 2), 1.5),
        np.full((2, 2), np.nan),
        np.zeros((2, 2), dtype=np.int64),
    ],
)
def test_arrays_that_are_no_pictures(image: Any) -> None:
    with pytest.raises(ValueError, match=r"images\[0\]"):
        gallery([image], ["bad"], ["bad"])


def test_bad_gallery_arguments() -> None:
    black = np.zeros((2, 2))
    with pytest.raises(ValueError, match="equally many"):
        gallery([black], ["a", "b"], ["x"])
    with pytest.raises(ValueError, match="at least one"):
        gallery([], [], [])
    with pytest.raises(ValueError, match="alt"):
        gallery([black], ["a"], "x")
    with pytest.raises(ValueError, match="label"):
        gallery([black], ["a"], ["x"], label=" ")
    with pytest.raises(ValueError, match="encoding"):
        gallery([black], ["a"], ["x"], encoding="gif")  # type: ignore[arg-type]


def test_representations_are_words() -> None:
    assert repr(Figure(_line, "a\n  curve")) == "Figure('a curve')"
    assert repr(gallery([np.zeros((2, 2))], ["a"], ["x"], label="all")) == "Gallery('all')"
