"""Image files of all kinds become upright RGB pictures, or an error that names the file."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rnnreport.data import pictures
from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.data.pictures import list_pictures, read_picture


def colours(path: Path) -> list[tuple[int, ...]]:
    """Return the pixels row by row."""
    picture = read_picture(path)
    assert picture.mode == "RGB"
    return [tuple(pixel) for row in np.asarray(picture).tolist() for pixel in row]


def test_rgb_stays_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert np.array_equal(np.asarray(picture), pixels)
    (tmp_path / "a.png").unlink()  # nothing is left to be read from the file
    assert picture.resize((2, 2)).size == (2, 2)


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    pixels = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 0, 51]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert colours(tmp_path / "a.png") == [(200, 0, 0), (255, 255, 255), (244, 204, 204)]
    grey = Image.merge("LA", [Image.new("L", (1, 1), 10), Image.new("L", (1, 1), 0)])
    grey.save(tmp_path / "grey.png")
    assert colours(tmp_path / "grey.png") == [(255, 255, 255)]


def test_palettes(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png")
    assert colours(tmp_path / "a.png") == [(10, 20, 30), (40, 50, 60)]
    image.save(tmp_path / "clear.png", transparency=1)
    assert colours(tmp_path / "clear.png") == [(10, 20, 30), (255, 255, 255)]
    image.save(tmp_path / "clear.gif", transparency=0)
    assert colours(tmp_path / "clear.gif") == [(255, 255, 255), (40, 50, 60)]


def test_one_colour_can_be_marked_as_transparent(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (4, 5, 6))
    image.save(tmp_path / "a.png", transparency=(4, 5, 6))
    assert colours(tmp_path / "a.png") == [(1, 2, 3), (255, 255, 255)]


def test_grey(tmp_path: Path) -> None:
    Image.new("L", (1, 1), 77).save(tmp_path / "grey.jpg")
    assert colours(tmp_path / "grey.jpg") == [(77, 77, 77)]
    Image.new("1", (1, 1), 1).save(tmp_path / "bit.png")
    assert colours(tmp_path / "bit.png") == [(255, 255, 255)]


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 30000, 65535]], dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(values).save(path)
    assert colours(path) == [(v, v, v) for v in (0, 1, 116, 255)]


def test_cmyk(tmp_path: Path) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    image.save(tmp_path / "a.jpg", quality=100)
    image.save(tmp_path / "a.tiff")
    for name in ("a.jpg", "a.tiff"):
        red, green, blue = colours(tmp_path / name)[100]
        assert red > 230
        assert max(green, blue) < 40


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_pictures_are_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = Image.new("RGB", (32, 16), (0, 0, 0))
    upright.paste((255, 255, 255), (0, 0, 16, 8))  # a light corner at the upper left
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for step in undo.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    stored.save(path, exif=exif)
    picture = np.asarray(read_picture(path), dtype=float)
    assert picture.shape == (16, 32, 3)
    assert np.abs(picture - np.asarray(upright, dtype=float)).max() < 40


@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    suffix=st.sampled_from(["png", "tiff", "jpg", "webp", "bmp", "gif"]),
)
def test_every_mode_and_size_becomes_rgb(
    tmp_path_factory: pytest.TempPathFactory, mode: str, size: tuple[int, int], suffix: str
) -> None:
    path = tmp_path_factory.mktemp("modes") / f"a.{suffix}"
    try:
        Image.new(mode, size).save(path)
    except (OSError, ValueError, KeyError):
        return  # there is no such file
    picture = read_picture(path)
    assert (picture.mode, picture.size) == ("RGB", size)


_DEEP = [  # the mode, and what is white
    ("I;16", 65535),
    ("I;16B", 65535),
    ("I", 65535),
    ("I", 255),
    ("F", 1),
    ("F", 255),
    ("F", 65535),
]


@pytest.mark.parametrize(("mode", "white"), _DEEP)
def test_deep_grey_is_scaled(tmp_path: Path, mode: str, white: int) -> None:
    values = np.array([[0, white / 3, white]])
    kinds = {"I": "<i4", "F": "<f4", "I;16": "<u2", "I;16B": ">u2"}
    Image.fromarray(values.astype(kinds[mode])).save(tmp_path / "a.tiff")
    with Image.open(tmp_path / "a.tiff") as stored:
        assert stored.mode == mode
    pixels = np.asarray(read_picture(tmp_path / "a.tiff"))
    assert pixels[0, :, 0].tolist() == [0, 85, 255]


def test_a_dark_picture_stays_dark(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + bytes([0, 0, 0, 200]))
    assert np.asarray(read_picture(tmp_path / "a.pgm")).max() == 0
    Image.fromarray(np.array([[0, 200]], np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(read_picture(tmp_path / "a.png")).max() == 0


def test_one_rule_lists_the_pictures_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "._a.png", ".DS_Store", "notes.txt", "c.webp"):
        (tmp_path / name).touch()
    (tmp_path / "d.jpg").symlink_to(tmp_path / "a.png")
    (tmp_path / "e.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "f.jpg").mkdir()
    listing = list_pictures(tmp_path)
    assert [path.name for path in listing.pictures] == ["a.png", "b.JPG", "c.webp", "d.jpg"]
    assert [path.name for path in listing.left_out] == ["e.jpg", "f.jpg", "notes.txt"]


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0.0, np.nan]], np.float32),
        np.array([[-1.0, 1.0]], np.float32),
        np.array([[0.0, 1e6]], np.float32),
        np.array([[0, 70_000]], np.int32),
        np.array([[-1, 3]], np.int32),
    ],
)
def test_numbers_that_are_no_shades_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(tmp_path / "a.tiff")
    with pytest.raises(DataFormatError, match=r"a\.tiff: .*its numbers go from .*, expected 0 to "):
        read_picture(tmp_path / "a.tiff")


MODES = sorted({*Image.MODES, "I;16L", "I;16B", "I;16N", "PA"})


@pytest.mark.parametrize("mode", MODES)
def test_white_in_any_mode_is_white_or_refused(mode: str) -> None:
    white = Image.new("RGB", (2, 2), "white")
    try:
        image = white.convert(mode)
    except ValueError:  # what Pillow cannot make of RGB
        image = Image.new(mode, (2, 2), 65535 if mode.startswith("I") else 255)
    if mode.startswith("I;"):
        image = Image.new(mode, (2, 2), 65535)
    try:
        picture = pictures._in_rgb(image, "TIFF")
    except ValueError as error:
        assert str(error).startswith(f"conversion from {mode} to ")  # noqa: PT017
        return
    assert picture.mode == "RGB"
    assert np.asarray(picture).min() >= 254


def test_one_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png")
    assert colours(tmp_path / "a.png") == [(1, 2, 3)]


def claiming(width: int, height: int) -> bytes:
    """Return a PNG file whose head claims a size, with next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [7072, 9500, 12_000, 60_000])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    # Pillow itself says nothing of the first, warns of the second and refuses the others.
    path = tmp_path / "a.png"
    path.write_bytes(claiming(side, side))
    with pytest.raises(DataFormatError, match=r"a\.png: too large an image: .* 50,000,000"):
        read_picture(path)


def test_the_limit_itself_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", 12)
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").size == (4, 3)
    Image.new("RGB", (13, 1)).save(tmp_path / "a.png")
    with pytest.raises(DataFormatError, match=r"it has 13 × 1 pixels, and at most 12 are read"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"no image at all\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_other_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(DataFormatError, match=r"a\.jpg: not a readable image \(expected BMP, "):
        read_picture(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tiff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataFormatError, match=rf"a\.{suffix}: not a readable image"):
        read_picture(path)


@given(data=st.data())
def test_a_damaged_file_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    suffix = data.draw(st.sampled_from(["jpeg", "png", "gif", "tiff", "webp"]))
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), (200, 30, 90)).save(buffer, suffix)
    content = bytearray(buffer.getvalue())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a"
    path.write_bytes(content)
    try:
        assert read_picture(path).mode == "RGB"
    except DataFormatError as error:
        assert str(path) in str(error)  # noqa: PT017 - either is right


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="is missing: expected an image file"):
        read_picture(tmp_path / "a.jpg")
    with pytest.raises(DataFormatError, match="is a folder: expected an image file"):
        read_picture(tmp_path)


def test_no_warning_of_pillow_comes_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg", exif=exif)
    content = (tmp_path / "a.jpg").read_bytes()
    at = content.index(b"Exif\0\0")
    broken = (
        content[: at + 14] + b"\xff\xff" + content[at + 16 :]
    )  # far more entries than there are
    (tmp_path / "a.jpg").write_bytes(broken)
    with pytest.warns(UserWarning), Image.open(tmp_path / "a.jpg") as image:  # noqa: PT030
        image.getexif().get(0x0112)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(tmp_path / "a.jpg").size == (4, 4)
