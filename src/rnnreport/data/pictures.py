"""Pictures: the one way in which image files enter the project."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rnnreport.data.assets import DataFormatError, check_file

__all__ = ["MOST_PIXELS", "SUFFIXES", "Listing", "list_pictures", "read_picture"]

MOST_PIXELS = 50_000_000
"""The largest picture that is decoded. A small file may claim to be far larger and fill memory."""

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""The suffixes by which a file in a folder is taken for a picture: those of torchvision."""

# Pillow's other readers start programs (EPS) or read formats that no data set here has.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


class Listing(NamedTuple):
    """What a folder of pictures holds.

    Attributes
    ----------
    pictures : tuple of Path
        Files with one of the :data:`SUFFIXES`, in the order of their names.
    left_out : tuple of Path
        What else is there, in the same order: other files, folders, links that lead nowhere,
        sockets. Names that begin with a dot are no part of it: file managers leave them anywhere.
    """

    pictures: tuple[Path, ...]
    left_out: tuple[Path, ...]


def list_pictures(folder: Path) -> Listing:
    """List the pictures of a folder; every folder of pictures is read by this one rule.

    Parameters
    ----------
    folder
        A folder; those inside it are not entered.

    Raises
    ------
    OSError
        If the folder is not there or cannot be read.
    """
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    pictures = tuple(path for path in visible if path.suffix.lower() in SUFFIXES and path.is_file())
    return Listing(pictures, tuple(path for path in visible if path not in set(pictures)))


def read_picture(path: Path) -> Image.Image:
    """Read an image file as it is meant to be seen.

    Parameters
    ----------
    path
        A BMP, GIF, JPEG, PNG, PPM, TIFF or WebP file, whatever its suffix; of several frames, the
        first is read.

    Returns
    -------
    PIL.Image.Image
        In RGB, 8 bits a channel, upright as the file's EXIF note says. What is transparent lies on
        white, and CMYK is converted. Grey of 16 bits is scaled to 8 bits. Grey of 32 bits does not
        say what white is: the smallest of 1 (fractions alone), 255 and 65535 that no number
        exceeds.

    Raises
    ------
    MissingDataError
        If there is no such file.
    DataFormatError
        If it is no file, not an image that can be read, has more than :data:`MOST_PIXELS` pixels,
        or numbers that are no shades of grey; the message names the file.
    """
    check_file(path, "an image file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, on large or careless files
        try:
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
                if width * height <= MOST_PIXELS:
                    return _in_rgb(ImageOps.exif_transpose(image), image.format)
            problem = f"it has {width} × {height} pixels, and at most {MOST_PIXELS:,} are read"
        except Image.DecompressionBombError:
            problem = f"it claims far more than the {MOST_PIXELS:,} pixels that are read"
        except UnidentifiedImageError as error:
            names = f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}"
            raise DataFormatError(f"{path}: not a readable image (expected {names})") from error
        except Exception as error:  # a broken file may raise anything in a decoder
            raise DataFormatError(f"{path}: not a readable image ({error})") from error
    raise DataFormatError(f"{path}: too large an image: {problem}")


def _in_rgb(image: Image.Image, kind: str | None) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):  # Pillow would clip them at 255
        if image.mode == "F":
            whites: tuple[int, ...] = (1, 255, 65535)
        else:  # PPM has 16 bits where Pillow says 32
            whites = (255, 65535) if image.mode == "I" and kind != "PPM" else (65535,)
        return Image.fromarray(_grey(image, whites)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _grey(image: Image.Image, whites: tuple[int, ...]) -> np.ndarray:
    """Scale numbers to 8 bits; white is the first of `whites` that none of them exceeds."""
    values = np.asarray(image, dtype=np.float64)
    least, most = float(values.min()), float(values.max())
    white = next((white for white in whites if least >= 0 and most <= white), None)
    if white is None:  # so it is with NaN, too
        usual = " or ".join(f"0 to {white}" for white in whites)
        raise ValueError(f"its numbers go from {least:g} to {most:g}, expected {usual}")
    return np.floor(values * (255 / white) + 1e-9).astype(np.uint8)
