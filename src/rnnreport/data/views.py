"""Views: what a network is shown of a picture, as a square or as a normalised tensor."""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from rnnreport.draws import chance, uniform

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "centre_square",
    "centre_view",
    "encoded_again",
    "random_part",
    "random_view",
    "to_tensor",
]

# In red, green and blue: what all networks here were trained with.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MARGIN = 8 / 7  # short side over crop: 256 over 224, as torchvision has it
_LEAST_AREA = 0.35  # of a random view, as a share of the picture
_ASPECT = 4 / 3  # how far from a square the part may be that becomes one


def centre_square(picture: Image.Image, size: int, *, antialias: bool = True) -> Image.Image:
    """Cut the square in the middle of a picture.

    Parameters
    ----------
    picture
        In RGB, of any size.
    size
        Side of the square; the short side of the picture is brought to 8/7 of it before.
    antialias
        Whether a pixel of the square is a mean of all that it covers, as PIL scales a picture. Else
        it is bicubic between the nearest ones, as TensorFlow does it.

    Returns
    -------
    PIL.Image.Image
        The square.
    """
    side = min(picture.size) / _MARGIN
    left, top = ((whole - side) / 2 for whole in picture.size)
    box = (left, top, left + side, top + side)
    if antialias:
        return picture.resize((size, size), Image.Resampling.BILINEAR, box=box)
    extent, bicubic = Image.Transform.EXTENT, Image.Resampling.BICUBIC
    return picture.transform((size, size), extent, box, bicubic)


def centre_view(picture: Image.Image, size: int, *, antialias: bool = True) -> Tensor:
    """Return the square in the middle of a picture as a network takes it.

    Parameters
    ----------
    picture, size, antialias
        As :func:`centre_square` takes them.

    Returns
    -------
    Tensor, float32, (3, size, size)
        Normalised; see :func:`to_tensor`.
    """
    return to_tensor(centre_square(picture, size, antialias=antialias))


def random_part(
    picture: Image.Image, size: int, generator: Generator, *, least_area: float = _LEAST_AREA
) -> Image.Image:
    """Cut a random part of a picture, every second time mirrored.

    It has sides of at most 4 : 3 and is stretched to a square :cite:p:`szegedy2015`.

    Parameters
    ----------
    picture
        In RGB, of any size.
    size
        Side of the square.
    generator
        Draws the part and whether it is mirrored.
    least_area
        How large a share of the picture's area it has at least.

    Returns
    -------
    PIL.Image.Image
        The square.
    """
    whole_width, whole_height = picture.size
    area = whole_width * whole_height * uniform(least_area, 1.0, generator)
    aspect = math.exp(uniform(-math.log(_ASPECT), math.log(_ASPECT), generator))
    width = min(math.sqrt(area * aspect), whole_width)
    height = min(math.sqrt(area / aspect), whole_height)
    left = uniform(0.0, whole_width - width, generator)
    top = uniform(0.0, whole_height - height, generator)
    part = picture.resize(
        (size, size), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)
    )
    mirrored = chance(0.5, generator)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else part


def random_view(picture: Image.Image, size: int, generator: Generator) -> Tensor:
    """Return a random part of a picture as a network takes it.

    Parameters
    ----------
    picture, size, generator
        As :func:`random_part` takes them; the part has at least 35 % of the picture's area.

    Returns
    -------
    Tensor, float32, (3, size, size)
        Normalised; see :func:`to_tensor`.
    """
    return to_tensor(random_part(picture, size, generator))


def encoded_again(picture: Image.Image, size: tuple[int, int], quality: int) -> Image.Image:
    """Return a picture as it comes back from a JPEG file of another size.

    Parameters
    ----------
    picture
        In RGB.
    size
        Width and height of the file's picture, in pixels.
    quality
        Of JPEG, 1 to 95.

    Returns
    -------
    PIL.Image.Image
        The file's picture.
    """
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.BILINEAR).save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def to_tensor(picture: Image.Image) -> Tensor:
    """Return the pixels of a picture, normalised with ImageNet's mean and standard deviation.

    Parameters
    ----------
    picture
        In RGB.

    Returns
    -------
    Tensor, float32, (3, H, W)
        A pixel of value p from 0 to 1 becomes (p - mean) / std.
    """
    pixels = torch.from_numpy(np.array(picture)).float() / 255  # (H, W, 3)
    normalised = (pixels - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    return normalised.permute(2, 0, 1).contiguous()
