"""The teacher of the shallow maps, and how far a network is from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from rnnreport.data.assets import require
from rnnreport.data.views import centre_view
from rnnreport.models.embedded import MAPS, EmbeddedNetwork
from rnnreport.models.style import load_network

__all__ = ["Teacher", "channels_last", "feature_error", "gram_error"]


class Teacher:
    """VGG-19's maps in units of their root mean square over crops of photographs, (N, 3, S, S)."""

    def __init__(self, crops: Tensor) -> None:
        self._network = load_network("vgg19", require("vgg19"))
        self._units = dict.fromkeys(MAPS, 1.0)
        self._units = {
            name: float(value.square().mean().sqrt()) for name, value in self(crops).items()
        }

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps of normalised images."""
        maps = self._network.inner.maps(channels_last(images), MAPS)
        return {name: maps[name] / self._units[name] for name in MAPS}

    @torch.no_grad()
    def errors(
        self, network: EmbeddedNetwork, pictures: Sequence[Image.Image]
    ) -> dict[str, dict[str, float]]:
        """Compare the network's maps of the middle of pictures with these.

        For each map the squared error of features and of Gram matrices, as a share of the squares.
        """
        total = {name: [0.0, 0.0] for name in MAPS}
        for picture in pictures:
            image = centre_view(picture, 96)[None]
            theirs, ours = self(image), network.maps(channels_last(image), MAPS)
            for name in MAPS:
                total[name][0] += float(feature_error(ours[name], theirs[name]))
                total[name][1] += float(gram_error(ours[name], theirs[name]))
        return {
            name: {"features": feature / len(pictures), "gram": gram / len(pictures)}
            for name, (feature, gram) in total.items()
        }


def feature_error(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return for each image the squared error of the features as a share of their squares."""
    return _share((ours - theirs).flatten(1), theirs.flatten(1))


def gram_error(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return for each image the squared error of the Gram matrix as a share of its squares."""
    G, A = _gram(ours), _gram(theirs)
    return _share((G - A).flatten(1), A.flatten(1))


def _share(difference: Tensor, whole: Tensor) -> Tensor:
    size = whole.square().sum(1)
    # An image of one flat colour has hardly any squares: it must not count most.
    return difference.square().sum(1) / size.clamp_min(0.1 * float(size.mean()))


def _gram(maps: Tensor) -> Tensor:
    rows = maps.flatten(2)
    return rows @ rows.transpose(1, 2) / rows.shape[2]


def channels_last(images: Tensor) -> Tensor:
    """Return images in the layout in memory that convolutions of few channels are fastest in."""
    return images.contiguous(memory_format=torch.channels_last)
