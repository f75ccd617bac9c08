"""The pictures of style transfer: a photograph and famous paintings, or the drawn sample."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from rnnreport.data.assets import require
from rnnreport.data.pictures import read_picture
from rnnreport.models.style import FeatureNetwork, load_network
from rnnreport.names import NetworkName, ResolvedProfile
from rnnreport.samples.paintings import PAINTINGS, landscape

__all__ = [
    "StyleData",
    "StylePainting",
    "about",
    "feature_network",
    "painting_names",
    "painting_title",
    "style_data",
]

_REAL = {
    "composition_vii": ("Composition VII", "Wassily Kandinsky, 1913"),
    "the_scream": ("The Scream", "Edvard Munch, 1893"),
    "starry_night": ("The Starry Night", "Vincent van Gogh, 1889"),
}
_DRAWN = ("colliding_forms", "waving_sky", "swirling_night")  # each after its sister above
_DRAWN_SIDE = 192  # in pixels; as large as the sample's runs end

_NETWORKS: Mapping[NetworkName, str] = {
    "vgg19": "VGG-19, trained on ImageNet",
    "squeezenet1_1": "SqueezeNet 1.1, trained on ImageNet",
    "embedded": "the small network that the package brings along",
}


@dataclass(frozen=True)
class StylePainting:
    """A painting whose style is taken.

    Attributes
    ----------
    title
        Its name.
    origin
        Painter and year, or what it is drawn after.
    picture
        In RGB.
    """

    title: str
    origin: str
    picture: Image.Image


@dataclass(frozen=True)
class StyleData:
    """A picture to be painted, and paintings.

    Attributes
    ----------
    profile
        ``"full"`` or ``"sample"``.
    name
        What they are, in words.
    content
        The picture to be painted, in RGB.
    content_title
        What it shows.
    paintings
        By name.
    fingerprint
        A hash of the pictures.
    """

    profile: ResolvedProfile
    name: str
    content: Image.Image
    content_title: str
    paintings: Mapping[str, StylePainting]
    fingerprint: str


def painting_names(profile: ResolvedProfile) -> tuple[str, ...]:
    """Return the names of a profile's paintings.

    Parameters
    ----------
    profile
        ``"full"``: the source's three; ``"sample"``: those that the package draws after them.
    """
    return tuple(_REAL) if profile == "full" else _DRAWN


def painting_title(profile: ResolvedProfile, name: str) -> str:
    """Return the title of a profile's painting, which need not be read or drawn for it."""
    return _REAL[name][0] if profile == "full" else PAINTINGS[name].title


@functools.lru_cache(maxsize=2)  # the same for all runs
def style_data(profile: ResolvedProfile, data_seed: int = 0) -> StyleData:
    """Read or draw the pictures of a profile.

    Parameters
    ----------
    profile
        ``"full"``: the source's photograph and paintings; ``"sample"``: drawn ones.
    data_seed
        Of the drawn ones.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a file cannot be read.
    """
    if profile == "full":
        folder = require("styles")
        content, content_title = read_picture(folder / "tubingen.jpg"), "Tübingen, a photograph"
        paintings = {
            name: StylePainting(title, origin, read_picture(folder / f"{name}.jpg"))
            for name, (title, origin) in _REAL.items()
        }
        name = "a photograph of Tübingen and three famous paintings"
    else:
        generator = torch.Generator().manual_seed(data_seed)
        content, content_title = landscape(generator, _DRAWN_SIDE), "A river town, drawn"
        paintings = {
            name: StylePainting(
                PAINTINGS[name].title,
                f"drawn after {PAINTINGS[name].after}",
                PAINTINGS[name].draw(generator, _DRAWN_SIDE),
            )
            for name in _DRAWN
        }
        name = "a drawn landscape and three drawn paintings"
    total = hashlib.sha256()
    for picture in (content, *(painting.picture for painting in paintings.values())):
        total.update(f"{picture.size} ".encode() + picture.tobytes())
    return StyleData(profile, name, content, content_title, paintings, total.hexdigest())


@functools.lru_cache(maxsize=2)
def feature_network(name: NetworkName) -> FeatureNetwork:
    """Load a network from its asset.

    Parameters
    ----------
    name
        One of :data:`~rnnreport.names.NETWORKS`.

    Raises
    ------
    MissingDataError
        If its weights are not there.
    DataFormatError
        If they cannot be read.
    """
    return load_network(name, None if name == "embedded" else require(name))


def about(data: StyleData, name: NetworkName) -> dict[str, Any]:
    """Describe the data that a result rests on.

    Parameters
    ----------
    data
        The pictures.
    name
        The network.

    Raises
    ------
    MissingDataError
        If the network's weights are not there.
    """
    mark = f"{data.fingerprint} {_hash_of_network(name)}"
    return {
        "profile": data.profile,
        "name": data.name,
        "amount": f"the network is {_NETWORKS[name]}",
        "fingerprint": hashlib.sha256(mark.encode()).hexdigest(),
    }


@functools.cache  # the same for all runs
def _hash_of_network(name: NetworkName) -> str:
    total = hashlib.sha256()
    for key, value in feature_network(name).state_dict().items():
        total.update(key.encode() + value.cpu().numpy().tobytes())
    return total.hexdigest()
