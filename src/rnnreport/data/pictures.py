"""Pictures: the one way in which image files enter the project."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rnnreport.data.assets import DataFormatError, check_file

__all__ = ["MOST_PIXELS", "read_picture"]

MOST_PIXELS = 50_000_000
"""The largest picture that is decoded. A small file may claim to be far larger and fill memory."""

# Pillow's other readers start programs (EPS) or read formats that no data set here has.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


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
        white; grey of 16 or 32 bits is scaled to 8 bits, and CMYK converted.

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
                    return _in_rgb(ImageOps.exif_transpose(image))
            problem = f"it has {width} × {height} pixels, and at most {MOST_PIXELS:,} are read"
        except Image.DecompressionBombError:
            problem = f"it claims far more than the {MOST_PIXELS:,} pixels that are read"
        except UnidentifiedImageError as error:
            names = f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}"
            raise DataFormatError(f"{path}: not a readable image (expected {names})") from error
        except Exception as error:  # a broken file may raise anything in a decoder
            raise DataFormatError(f"{path}: not a readable image ({error})") from error
    raise DataFormatError(f"{path}: too large an image: {problem}")


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):  # Pillow would clip them at 255
        return Image.fromarray(_grey(image)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    picture = image.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _grey(image: Image.Image) -> np.ndarray:
    """Scale numbers to 8 bits by the smallest of the usual ranges that holds all of them."""
    values = np.asarray(image, dtype=np.float64)
    ranges = {"F": (1, 255, 65535), "I": (255, 65535)}.get(image.mode, (65535,))
    least, most = float(values.min()), float(values.max())
    white = next((white for white in ranges if least >= 0 and most <= white), None)
    if white is None:  # so it is with NaN, too
        usual = " or ".join(f"0 to {white}" for white in ranges)
        raise ValueError(f"its numbers go from {least:g} to {most:g}, expected {usual}")
    return np.floor(values * (255 / white) + 1e-9).astype(np.uint8)
