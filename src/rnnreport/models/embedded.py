"""The embedded network: a small convolutional network whose weights the package brings along.

Style transfer and transfer learning begin with a network that has seen photographs. The usual ones
are downloads of 5 to 550 MB. This one has half a million parameters. Its first five convolutions
follow those of VGG-19 (Simonyan and Zisserman, 2015) with fewer hidden channels, and its maps
speak VGG's language: channel ``k`` of ``relu2_1`` stands for channel ``k`` of VGG's. Three more
convolutions lead to features of a whole image.
:mod:`rnnreport.experiments.distillation.training` trains it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

__all__ = ["MAPS", "EmbeddedNetwork", "load_embedded", "training_record"]

MAPS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256}
"""The maps that follow VGG-19's, with their channels; at 1, 1/2 and 1/4 of the image's size."""

_SMALLEST_SIDE = 16  # four poolings
_POOL = None
# Channels in and out and side of the kernel of each convolution; a pooling halves the size.
_STAGES: dict[str, tuple[tuple[int, int, int] | None, ...]] = {
    "relu1_1": ((3, 64, 3),),
    "relu2_1": ((64, 40, 3), _POOL, (40, 128, 3)),
    "relu3_1": ((128, 80, 3), _POOL, (80, 256, 3)),
    "features": (_POOL, (256, 64, 1), (64, 80, 3), _POOL, (80, 112, 3)),
}


class EmbeddedNetwork(nn.Module):
    """Eight convolutions with ReLU, four poolings, half a million parameters.

    Parameters
    ----------
    generator : torch.Generator, optional
        Draws the first weights; without it they are left as they come and are to be loaded.

    Attributes
    ----------
    stages : torch.nn.ModuleDict
        The network as a chain: each stage begins where the one before it ends. The first three are
        called by the map that they end with, the last one ``features``.
    """

    feature_dim = 112
    """Channels of the last map, the length of an image's features."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.stages = nn.ModuleDict()
        for name, layers in _STAGES.items():
            parts: list[nn.Module] = []
            for layer in layers:
                if layer is None:
                    parts.append(nn.MaxPool2d(2))
                else:
                    parts += [_convolution(*layer, generator), nn.ReLU()]
            self.stages[name] = nn.Sequential(*parts)

    def maps(self, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Compute maps that follow VGG-19's, and nothing beyond the deepest.

        Parameters
        ----------
        x : Tensor, float32, shape (N, 3, H, W)
            Images, normalised with ImageNet's mean and standard deviation.
        names
            Among those of :data:`MAPS`.

        Returns
        -------
        dict of str to Tensor
            The maps by name, (N, C, H, W), (N, C, H/2, W/2) or (N, C, H/4, W/4), after the ReLU;
            in units of the root mean square of VGG's map over photographs.

        Raises
        ------
        ValueError
            If there is no such map, or the images have another shape or are too small.
        """
        wanted = set(names)
        if not wanted or not wanted <= MAPS.keys():
            raise ValueError(f"names must be among {', '.join(MAPS)}, got {sorted(wanted)}")
        _check(x)
        maps: dict[str, Tensor] = {}
        for name in MAPS:
            x = self.stages[name](x)
            if name in wanted:
                maps[name] = x
            if len(maps) == len(wanted):
                break
        return maps

    def features(self, x: Tensor) -> Tensor:
        """Compute the last map.

        Parameters
        ----------
        x : Tensor, float32, shape (N, 3, H, W)
            Images, normalised with ImageNet's mean and standard deviation.

        Returns
        -------
        Tensor, float32, shape (N, 112, H/16, W/16)
            The map after the ReLU; its mean over the places describes the image.

        Raises
        ------
        ValueError
            If the images have another shape or are too small.
        """
        _check(x)
        for stage in self.stages.values():
            x = stage(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return :meth:`features` averaged over all places, shape (N, 112)."""
        return self.features(x).mean((2, 3))


def _convolution(
    channels_in: int, channels_out: int, size: int, generator: torch.Generator | None
) -> nn.Conv2d:
    # Made without values first: torch would draw them from its global generator.
    convolution = nn.Conv2d(channels_in, channels_out, size, padding=size // 2, device="meta")
    convolution = convolution.to_empty(device="cpu")
    if generator is not None:
        # He et al. (2015): keeps the spread of what follows a ReLU.
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu", generator=generator)
        convolution.get_parameter("bias").data.zero_()
    return convolution


def _check(x: Tensor) -> None:
    if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < _SMALLEST_SIDE:
        raise ValueError(
            f"x must have shape (N, 3, H, W) with H and W at least {_SMALLEST_SIDE}, "
            f"got {tuple(x.shape)}"
        )


def load_embedded() -> EmbeddedNetwork:
    """Load the network with the weights that the package brings along.

    Returns
    -------
    EmbeddedNetwork
        On the CPU, float32, in evaluation mode and without gradients.
    """
    with _weights() as file:
        state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    network = EmbeddedNetwork()
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def training_record() -> dict[str, Any]:
    """Return the record of the training of these weights.

    Returns
    -------
    dict
        The record of a :class:`~rnnreport.experiments.distillation.training.Distillation`.
    """
    with _weights() as file:
        record: dict[str, Any] = json.loads(file.metadata()["record"])
    return record


@contextmanager
def _weights() -> Iterator[Any]:
    file = resources.files("rnnreport") / "models" / "embedded.safetensors"
    with resources.as_file(file) as path, safetensors.safe_open(path, framework="pt") as opened:
        yield opened
