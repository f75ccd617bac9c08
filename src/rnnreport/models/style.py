"""Style transfer: an image that has the content of one picture and the style of another.

The image itself is what is optimised (Gatys et al., 2016). A network that has seen photographs
gives maps of features. Content is what the maps say place by place, style is how often two channels
answer together, whatever the place. The losses and their gradients with respect to the maps are
derived by hand in :mod:`rnnreport.layers`; between pixels and maps stands torch's network.

All weights here are relative: a style loss is divided by the squared norm of the painting's Gram
matrix, the content loss by that of the content's map, and the total variation by the number of
pixels. So the same weights serve networks whose maps differ in scale by factors of hundreds.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from rnnreport._checks import check_at_least, check_choice
from rnnreport.data.assets import DataFormatError
from rnnreport.data.views import IMAGENET_MEAN, IMAGENET_STD
from rnnreport.data.weights import load_torchvision, read_weights
from rnnreport.layers import gram_matrix
from rnnreport.models.embedded import MAPS, EmbeddedNetwork, load_embedded
from rnnreport.names import NETWORKS, NetworkName
from rnnreport.nn import content_loss, style_loss, total_variation_loss
from rnnreport.optim.lbfgs import LBFGS
from rnnreport.progress import track

__all__ = [
    "LAYERS",
    "MARGIN",
    "SETTINGS",
    "FeatureNetwork",
    "Layers",
    "Level",
    "Objective",
    "Optimiser",
    "Parts",
    "StyleSettings",
    "Stylised",
    "coarse_to_fine",
    "judge",
    "load_network",
    "peak_memory",
    "size_at",
    "stylise",
    "to_image",
    "to_pixels",
]


class Layers(NamedTuple):
    """Which maps of a network are compared.

    Attributes
    ----------
    content : str
        The map whose places count.
    style : tuple of str
        The maps whose Gram matrices count.
    """

    content: str
    style: tuple[str, ...]


LAYERS: Mapping[NetworkName, Layers] = {
    "vgg19": Layers("relu3_1", ("relu1_1", "relu2_1", "relu3_1")),
    "squeezenet1_1": Layers("fire3", ("relu1", "fire3", "fire5")),
    "embedded": Layers("relu3_1", ("relu1_1", "relu2_1", "relu3_1")),
}
"""The maps that are compared, for each network; of VGG-19 those that its shortened file has too."""


@dataclass(frozen=True)
class StyleSettings:
    """How much each loss weighs.

    Attributes
    ----------
    content
        Weight of the content loss, as a share of the squared norm of the content's map.
    variation
        Weight of the total variation for each pixel, pixels being from 0 to 1.
    style
        Weight of the style loss of each layer, as a share of the squared norm of the painting's
        Gram matrix.
    """

    content: float
    variation: float
    style: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for name, weight in (
            ("content", self.content),
            ("variation", self.variation),
            *(("style", weight) for weight in self.style),
        ):
            if not (weight >= 0 and math.isfinite(weight)):
                raise ValueError(f"{name} must be finite and not negative, got {weight}")


SETTINGS: Mapping[str, StyleSettings] = {
    "composition_vii": StyleSettings(content=0.05, variation=0.05),
    "the_scream": StyleSettings(content=0.05, variation=0.05),
    "starry_night": StyleSettings(content=0.02, variation=0.05),
    "colliding_forms": StyleSettings(content=0.05, variation=0.05),
    "waving_sky": StyleSettings(content=0.05, variation=0.05),
    "swirling_night": StyleSettings(content=0.02, variation=0.05),
}
"""The weights for each painting, whatever the network: the source's three, and the drawn ones."""

MARGIN = 8
"""The margin that leaves no frame, in pixels.

Of a photograph in the style of The Scream, without a margin the outer two pixels are 0.05 brighter
than those within, and the next are darker, by VGG-19 and by the embedded network. With 8 pixels the
edges differ by 0.015, and 12 or 16 change nothing of that.
"""

_SMALLEST_SIDE = 32  # below it the deepest maps have no place left


class _Chain(nn.Module):
    """Modules one after the other; some of them give maps that have a name."""

    def __init__(self, modules: Sequence[nn.Module], names: Mapping[int, str]) -> None:
        super().__init__()
        self.chain = nn.ModuleList(modules)
        self._names = names

    def maps(self, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        missing = set(names)
        maps: dict[str, Tensor] = {}
        for place, module in enumerate(self.chain):
            if not missing:
                break
            x = module(x)
            name = self._names.get(place)
            if name in missing:
                missing.remove(name)
                maps[name] = x
        return maps


class FeatureNetwork(nn.Module):
    """A network that gives maps of features of an image; made by :func:`load_network`.

    Parameters
    ----------
    name
        One of :data:`NETWORKS`.
    layers
        The names of its maps, the first first.
    inner
        Computes the maps of normalised images.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: NetworkName, layers: Sequence[str], inner: _Chain | EmbeddedNetwork
    ) -> None:
        super().__init__()
        self.name = name
        self.layers = tuple(layers)
        self.inner = inner
        inner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None])
        self.eval().requires_grad_(False)

    def maps(self, image: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Compute maps of an image, and nothing beyond the deepest.

        Parameters
        ----------
        image : Tensor, float32, shape (1, 3, H, W)
            Red, green and blue from 0 to 1; both sides at least 32 pixels.
        names
            Among `layers`.

        Returns
        -------
        dict of str to Tensor
            The maps by name, each (1, C, h, w), after the ReLU.

        Raises
        ------
        ValueError
            If the image has another shape or dtype or is too small, or there is no such map.
        """
        _check_image("image", image)
        wanted = list(names)
        unknown = [name for name in wanted if name not in self.layers]
        if unknown or not wanted:
            raise ValueError(
                f"names must be among {', '.join(self.layers)}, got {', '.join(unknown) or 'none'}"
            )
        x = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.inner.maps(x, wanted)


def load_network(name: NetworkName, weights: Path | None = None) -> FeatureNetwork:
    """Load a network by name.

    Parameters
    ----------
    name
        One of :data:`NETWORKS`.
    weights
        For ``vgg19`` and ``squeezenet1_1`` the file of their weights under torchvision's names, as
        :func:`~rnnreport.data.weights.read_weights` reads it; of VGG-19 the first convolutions are
        enough. The embedded network brings its own.

    Returns
    -------
    FeatureNetwork
        On the CPU, float32, without gradients.

    Raises
    ------
    ValueError
        If there is no such network, or weights are given or missing where they must not be.
    MissingDataError
        If there is no such file.
    DataFormatError
        If the file does not hold the network's parameters.
    """
    check_choice("name", name, NETWORKS)
    if (weights is None) != (name == "embedded"):
        raise ValueError(f"weights must be {'None' if weights else 'a file'} for {name}")
    if weights is None:
        return FeatureNetwork(name, tuple(MAPS), load_embedded())
    return _vgg19(weights) if name == "vgg19" else _squeezenet(weights)


_VGG19_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels, convolutions


def _vgg19(path: Path) -> FeatureNetwork:
    """Build as many convolutions as the file has weights for."""
    state = {key: value for key, value in read_weights(path).items() if key.startswith("features.")}
    modules: list[nn.Module] = []
    names: dict[int, str] = {}
    channels_in = 3
    for block, (channels, count) in enumerate(_VGG19_BLOCKS, 1):
        for k in range(1, count + 1):
            if f"features.{len(modules)}.weight" not in state:
                break
            names[len(modules) + 1] = f"relu{block}_{k}"
            modules += [
                nn.utils.skip_init(  # type: ignore[no-untyped-call]
                    nn.Conv2d, channels_in, channels, 3, padding=1
                ),
                nn.ReLU(inplace=True),
            ]
            channels_in = channels
        modules.append(nn.MaxPool2d(2))
    chain = _Chain(modules, names)
    try:
        chain.load_state_dict({key.replace("features", "chain"): v for key, v in state.items()})
    except RuntimeError as error:
        raise DataFormatError(f"{path}: not the weights of vgg19 ({error})") from error
    if not set(LAYERS["vgg19"].style) <= set(names.values()):
        raise DataFormatError(
            f"{path}: not the weights of vgg19 (expected at least conv1_1 to conv3_1, "
            f"got {len(names)} convolutions)"
        )
    return FeatureNetwork("vgg19", tuple(names.values()), chain)


def _squeezenet(path: Path) -> FeatureNetwork:
    network = load_torchvision("squeezenet1_1", path)
    modules = list(network.get_submodule("features").children())
    names = {1: "relu1"}
    for place, module in enumerate(modules):
        if type(module).__name__ == "Fire":
            names[place] = f"fire{len(names) + 1}"
    return FeatureNetwork("squeezenet1_1", tuple(names.values()), _Chain(modules, names))


def to_image(picture: Image.Image, short_side: int) -> Tensor:
    """Shrink or enlarge a picture and return its pixels.

    Parameters
    ----------
    picture
        In RGB, such as :func:`~rnnreport.data.pictures.read_picture` gives it.
    short_side
        The shorter side that the image is to have, in pixels; its shape stays.

    Returns
    -------
    Tensor, float32, (1, 3, H, W)
        From 0 to 1.

    Raises
    ------
    ValueError
        If the picture is not in RGB, or the side is below 32 pixels.
    """
    if picture.mode != "RGB":
        raise ValueError(f"picture must be in RGB, got {picture.mode}")
    check_at_least(_SMALLEST_SIDE, short_side=short_side)
    resized = picture.resize(size_at(picture.size, short_side), Image.Resampling.LANCZOS)
    pixels = np.asarray(resized, dtype=np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def size_at(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return the width and height of a picture that is brought to a short side.

    Parameters
    ----------
    size
        Width and height now.
    short_side
        What the smaller of both becomes; the shape stays.

    Returns
    -------
    tuple of int
        Width and height, none below `short_side`.
    """
    ratio = short_side / min(size)
    width, height = (max(short_side, round(ratio * side)) for side in size)
    return width, height


def to_pixels(image: Tensor) -> Tensor:
    """Round an image to 8 bits a channel.

    Parameters
    ----------
    image : Tensor, float32, (1, 3, H, W)
        From 0 to 1; what lies beyond is cut off.

    Returns
    -------
    Tensor, uint8, (H, W, 3)
        On the CPU.
    """
    pixels = (image[0].detach().permute(1, 2, 0) * 255).round().clamp(0, 255)
    return pixels.to("cpu", torch.uint8).contiguous()


class Parts(NamedTuple):
    """The three losses of an image, weighted; each a tensor of shape ()."""

    content: Tensor
    style: Tensor
    variation: Tensor


class Objective:
    """The weighted sum of three losses of an image, which style transfer minimises.

    Parameters
    ----------
    network
        Gives the maps.
    settings
        The weights.
    content, painting : Tensor, float32, (1, 3, H, W)
        Whose map at the content layer, and whose Gram matrices at the style layers, the image is to
        have. They may differ in size.

    Raises
    ------
    ValueError
        If an image does not fit, or there is not one weight for each style layer.
    """

    def __init__(
        self, network: FeatureNetwork, settings: StyleSettings, content: Tensor, painting: Tensor
    ) -> None:
        layers = LAYERS[network.name]
        if len(settings.style) != len(layers.style):
            raise ValueError(
                f"settings.style must have {len(layers.style)} weights, one for each of "
                f"{', '.join(layers.style)}, got {len(settings.style)}"
            )
        _check_image("content", content)
        _check_image("painting", painting)
        self._network, self._layers = network, layers
        self._names = tuple({layers.content, *layers.style})
        with torch.no_grad():
            self._P = network.maps(content, [layers.content])[layers.content][0]
            maps = network.maps(painting, layers.style)
            self._A = {name: gram_matrix(maps[name][0]) for name in layers.style}
        self._content_weight = settings.content / _square(self._P)
        self._style_weights = {
            name: weight / _square(self._A[name])
            for name, weight in zip(layers.style, settings.style, strict=True)
        }
        self._variation = settings.variation

    def parts(self, image: Tensor) -> Parts:
        """Compute the three losses of an image, (1, 3, H, W), with the size of the content."""
        maps = self._network.maps(image, self._names)
        style = [
            style_loss(maps[name][0], self._A[name], weight)
            for name, weight in self._style_weights.items()
        ]
        pixels = image[0, 0].numel()
        return Parts(
            content_loss(maps[self._layers.content][0], self._P, self._content_weight),
            torch.stack(style).sum(),
            total_variation_loss(image[0], self._variation / pixels),
        )


def judge(image: Tensor, content: Tensor, painting: Tensor, network: FeatureNetwork) -> float:
    """Measure how much of the way to a painting's style is left, as a network sees it.

    Parameters
    ----------
    image, content : Tensor, float32, (1, 3, H, W)
        A stylised image, and the picture that it began as.
    painting : Tensor, float32, (1, 3, H, W)
        The painting, at the size at which its style is meant.
    network
        The judge; it need not be the network that the image was made with.

    Returns
    -------
    float
        The style loss of `image` as a share of that of `content`: 1 if nothing has changed, 0 if
        all Gram matrices are the painting's; NaN if those of `content` are. Every style layer
        counts alike.

    Raises
    ------
    ValueError
        If an image does not fit.
    """
    even = StyleSettings(content=0.0, variation=0.0, style=(1.0,) * len(LAYERS[network.name].style))
    objective = Objective(network, even, content, painting)
    with torch.no_grad():
        left, whole = (objective.parts(each).style.item() for each in (image, content))
    return _share(left, whole)


class Level(NamedTuple):
    """A part of the way from coarse to fine.

    Attributes
    ----------
    short_side : int
        Of the image, in pixels.
    steps : int
        Of the optimiser, at this size.
    """

    short_side: int
    steps: int


def coarse_to_fine(short_side: int, steps: Sequence[int]) -> tuple[Level, ...]:
    """Return levels that double in size.

    Parameters
    ----------
    short_side
        That of the last level, in pixels.
    steps
        Of each level, the last last. Levels below 32 pixels are left out.

    Returns
    -------
    tuple of Level
        The coarsest first.

    Raises
    ------
    ValueError
        If the side is below 32 pixels.
    """
    check_at_least(_SMALLEST_SIDE, short_side=short_side)
    sides = (short_side // 2**halvings for halvings in reversed(range(len(steps))))
    levels = map(Level, sides, steps)
    return tuple(level for level in levels if level.short_side >= _SMALLEST_SIDE)


@dataclass(frozen=True)
class Stylised:
    """What :func:`stylise` gives.

    Attributes
    ----------
    image : Tensor, float32, (1, 3, H, W)
        The image, at the size of the last level.
    history : dict of str to list of float
        The weighted losses ``content``, ``style`` and ``variation`` of the image, with its margin,
        before each step and, at the end, of the image itself; and its ``short_side``.
    seconds : list of float
        The time since the beginning at each of these evaluations.
    snapshots : dict of int to Tensor
        The image after chosen steps, (1, 3, h, w).
    style_before : float
        The style loss of the content picture itself, with its margin, at the last level.
    peak_memory : int or None
        From :func:`peak_memory`, at the end.
    """

    image: Tensor
    history: dict[str, list[float]]
    seconds: list[float]
    snapshots: dict[int, Tensor]
    style_before: float
    peak_memory: int | None

    @property
    def style_left(self) -> float:
        """The style loss at the end as a share of the content picture's own; NaN if it has none."""
        return _share(self.history["style"][-1], self.style_before)


Optimiser = Literal["lbfgs", "adam"]


def stylise(
    content: Image.Image,
    painting: Image.Image,
    network: FeatureNetwork,
    settings: StyleSettings,
    *,
    levels: Sequence[Level],
    optimiser: Optimiser = "lbfgs",
    learning_rate: float = 0.2,
    margin: int = 0,
    snapshots: Iterable[int] = (),
    label: str = "stylising",
) -> Stylised:
    """Paint the content of one picture in the style of another.

    The image begins small and grows from level to level. What is large in the picture is settled
    first, where a step is cheap and the same layer sees more of the picture.

    Parameters
    ----------
    content, painting
        Pictures in RGB, of any shape; at each level both are brought to its short side.
    network
        From :func:`load_network`; it decides the device.
    settings
        The weights.
    levels
        The sizes and how many steps each gets, the coarsest first.
    optimiser
        ``"lbfgs"`` (Liu and Nocedal, 1989) or ``"adam"``.
    learning_rate
        Adam's; with L-BFGS the most that a step changes a pixel value.
    margin
        How many pixels the picture is continued by on each side while it is painted, as in a
        mirror, and cropped by afterwards; the same at each level, at most its short side less one.
        The networks pad with zeros, and without a margin a frame of some pixels shows it. The
        painting is continued likewise.
    snapshots
        After which steps to keep the image, counted through all levels.
    label
        What stands before the progress bar.

    Returns
    -------
    Stylised
        The image and how it came about.

    Raises
    ------
    ValueError
        If an argument does not fit.
    FloatingPointError
        If the loss stops being finite.
    """
    if not levels or any(level.steps < 1 for level in levels):
        raise ValueError(f"levels must be at least one, each of one step or more, got {levels}")
    check_at_least(0, margin=margin)
    wanted = set(snapshots)
    images: dict[int, Tensor] = {}
    record = _Record()
    device = network.mean.device
    x = to_image(content, levels[0].short_side).to(device)
    work = [
        _canvas_pixels(content, level.short_side, margin)
        for level in levels
        for _ in range(level.steps)
    ]
    bar = iter(track(range(1, 1 + len(work)), label, weights=work))
    for side, steps in levels:
        content_image, painting_image = (
            to_image(picture, side).to(device) for picture in (content, painting)
        )
        size = content_image.shape[2:]
        if x.shape != content_image.shape:
            x = functional.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1)
        edge = _edge(margin, side)
        canvas, content_canvas, painting_canvas = (
            _mirrored(image, edge) for image in (x, content_image, painting_image)
        )
        objective = Objective(network, settings, content_canvas, painting_canvas)
        canvas.requires_grad_()
        stepper = _optimiser(optimiser, canvas, learning_rate)
        for _ in range(steps):
            step = next(bar)
            _step(canvas, objective, stepper, record, side)
            if step in wanted:
                images[step] = _cropped(canvas, edge)
        x = _cropped(canvas, edge)
    next(bar, None)  # closes it
    with torch.no_grad():
        record.note(objective.parts(canvas), side)
        before = objective.parts(content_canvas).style.item()
    return Stylised(x, record.history, record.seconds, images, before, peak_memory())


def _edge(margin: int, short_side: int) -> int:
    """Return the margin at a level; how far zeros reach is as many pixels at each."""
    return min(margin, short_side - 1)  # a mirror shows no more


def _canvas_pixels(picture: Image.Image, short_side: int, margin: int) -> int:
    """Return how many pixels are painted at a level: the work of a step grows with them."""
    edge = _edge(margin, short_side)
    return math.prod(side + 2 * edge for side in size_at(picture.size, short_side))


def _mirrored(image: Tensor, edge: int) -> Tensor:
    """Continue an image by some pixels on each side."""
    return functional.pad(image, (edge,) * 4, mode="reflect")


def _cropped(canvas: Tensor, edge: int) -> Tensor:
    """Copy what lies within the edges."""
    height, width = canvas.shape[2:]
    return canvas.detach()[:, :, edge : height - edge, edge : width - edge].clone()


class _Record:
    """What :class:`Stylised` keeps of each evaluation."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {name: [] for name in (*Parts._fields, "short_side")}
        self.seconds: list[float] = []
        self._start = time.perf_counter()

    def note(self, parts: Parts, short_side: int) -> None:
        values = {name: part.item() for name, part in parts._asdict().items()}
        if not all(map(math.isfinite, values.values())):
            losses = ", ".join(f"{name} {value:g}" for name, value in values.items())
            raise FloatingPointError(
                f"the loss is not finite ({losses}): smaller weights of the losses may help, or a "
                "smaller learning_rate"
            )
        for name, value in values.items():
            self.history[name].append(value)
        self.history["short_side"].append(short_side)
        self.seconds.append(time.perf_counter() - self._start)


def _step(
    x: Tensor,
    objective: Objective,
    stepper: LBFGS | torch.optim.Adam,
    record: _Record,
    short_side: int,
) -> None:
    stepper.zero_grad()
    parts = objective.parts(x)
    record.note(parts, short_side)
    torch.stack(parts).sum().backward()  # type: ignore[no-untyped-call]
    stepper.step()
    with torch.no_grad():
        x.clamp_(0, 1)


def _optimiser(name: Optimiser, x: Tensor, learning_rate: float) -> LBFGS | torch.optim.Adam:
    check_choice("optimiser", name, get_args(Optimiser))
    if name == "adam":
        return torch.optim.Adam([x], lr=learning_rate)
    return LBFGS(x, reach=learning_rate)


def peak_memory() -> int | None:
    """Return the most memory that this process has held at once, in bytes.

    Returns
    -------
    int or None
        Its largest resident set so far, of whatever it has done; None where the system does not
        say.
    """
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _square(x: Tensor) -> float:
    return float((x * x).sum())


def _check_image(name: str, image: Tensor) -> None:
    fits = image.ndim == 4 and image.shape[:2] == (1, 3)
    if not (fits and min(image.shape[2:]) >= _SMALLEST_SIDE and image.dtype == torch.float32):
        raise ValueError(
            f"{name} must be float32 of shape (1, 3, H, W) with H and W at least "
            f"{_SMALLEST_SIDE}, got {image.dtype} of shape {tuple(image.shape)}"
        )
