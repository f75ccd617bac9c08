"""Photographs that two packages hold, free to be used: real ones where no data set is at hand."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from rnnreport._checks import check_choice
from rnnreport.data.assets import MissingDataError
from rnnreport.data.packages import packaged_file, pip_command
from rnnreport.data.pictures import read_picture

__all__ = ["PHOTOGRAPHS", "Photograph", "load_photograph"]

_REQUIREMENTS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


class Photograph(NamedTuple):
    """A photograph that an installed package holds.

    Attributes
    ----------
    title : str
        What it shows.
    author : str
        Who took it.
    licence : str
        The terms under which it may be used.
    module, path : str
        The package that holds it, as an import names it, and the file's path in it.
    """

    title: str
    author: str
    licence: str
    module: str
    path: str


PHOTOGRAPHS: dict[str, Photograph] = {
    "astronaut": Photograph(
        "The astronaut Eileen Collins", "NASA", "public domain", "skimage", "data/astronaut.png"
    ),
    "cat": Photograph(
        "Chelsea the cat", "Stéfan van der Walt", "CC0", "skimage", "data/chelsea.png"
    ),
    "coffee": Photograph("A cup of coffee", "Rachel Michetti", "CC0", "skimage", "data/coffee.png"),
    "flower": Photograph(
        "A dahlia", "vultilion", "CC BY 2.0", "sklearn", "datasets/images/flower.jpg"
    ),
    "palace": Photograph(
        "The Summer Palace in Beijing",
        "Daniel Büchele",
        "CC BY 2.0",
        "sklearn",
        "datasets/images/china.jpg",
    ),
    "rocket": Photograph(
        "A rocket is launched", "SpaceX", "public domain", "skimage", "data/rocket.jpg"
    ),
}
"""The photographs, by name."""


def load_photograph(name: str) -> Image.Image:
    """Return a photograph.

    Parameters
    ----------
    name
        A key of :data:`PHOTOGRAPHS`.

    Returns
    -------
    PIL.Image.Image
        In RGB.

    Raises
    ------
    ValueError
        If none is called so.
    MissingDataError
        If the package that holds it is not installed; the message names the command for that.
    DataFormatError
        If the file is no picture.
    """
    check_choice("name", name, PHOTOGRAPHS)
    photograph = PHOTOGRAPHS[name]
    path = packaged_file(photograph.module, photograph.path)
    if path is None:
        requirement = _REQUIREMENTS[photograph.module]
        raise MissingDataError(
            f"the photograph {name!r} is missing: the package {requirement} holds it, and "
            f"`{pip_command(requirement)}` installs that"
        )
    return read_picture(path)
