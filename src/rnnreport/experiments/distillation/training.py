"""How the embedded network was trained: by following two large networks on photographs.

The shallow maps follow VGG-19's, the features of a whole image MobileNetV2's
:cite:p:`hinton2015`. ``rnnreport distil`` runs this; it needs both teachers and the photographs,
and takes an hour on two cores. The file that it writes tells how it was made.

The maps are trained in two parts. First each stage gets the *teacher's* map as input, so all
three learn at once. Then each gets what the stage before it gives, Gram matrices count beside
features, and some of the images are such as style transfer comes upon: they are being changed, a
step at a time, to have the Gram matrices of another image *under the network as it is*. Whatever
the network takes for painted and its teacher does not, turns up there and is unlearned.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from PIL import Image
from torch import Generator, Tensor, nn
from torch.nn import functional

from rnnreport._files import write_whole
from rnnreport.data.assets import ResolvedProfile, fingerprint, require
from rnnreport.data.flickr8k import load_flickr8k, split_by_name
from rnnreport.data.hymenoptera import load_hymenoptera
from rnnreport.data.pictures import read_picture
from rnnreport.data.views import centre_view, random_view, to_tensor
from rnnreport.data.weights import load_torchvision
from rnnreport.draws import chance, pick, uniform
from rnnreport.experiments.style.data import style_data
from rnnreport.models.embedded import MAPS, EmbeddedNetwork
from rnnreport.models.style import (
    SETTINGS,
    FeatureNetwork,
    coarse_to_fine,
    judge,
    load_network,
    stylise,
    to_image,
)
from rnnreport.optim.whitening import WhitenedAdam
from rnnreport.progress import track
from rnnreport.runs.store import describe_device
from rnnreport.samples.textures import generate_textures

__all__ = ["Distillation", "DistillationConfig", "Photographs", "distil", "photographs"]


@dataclass(frozen=True)
class DistillationConfig:
    """What the network is trained with.

    Attributes
    ----------
    forced_steps, chained_steps
        Steps of the two parts of the training of the maps.
    side
        Of the images in these steps, in pixels.
    photographs, textures, pursued
        How many images of each kind a step has: crops of photographs, generated textures, and
        images that are on their way to another one's style.
    learning_rate
        Of the maps, see :class:`~rnnreport.optim.whitening.WhitenedAdam`. In each part it falls to
        zero along a cosine; the second part begins with half of it.
    gram_weight
        How much the error of the Gram matrices counts against that of the features.
    views
        How many views of photographs the features of a whole image are trained on.
    view_side
        The side of these views, in pixels, for the student; the teacher sees twice that.
    epochs
        How often each view is seen.
    judged_side, judged_steps
        Size of the pictures that are painted with the network at the end, for VGG-19 to judge, and
        steps at a quarter and half of that size and at the full one.
    seed
        Of everything random.
    """

    forced_steps: int = 400
    chained_steps: int = 800
    side: int = 64
    photographs: int = 8
    textures: int = 4
    pursued: int = 4
    learning_rate: float = 0.12
    gram_weight: float = 0.5
    views: int = 4000
    view_side: int = 112
    epochs: int = 20
    judged_side: int = 160
    judged_steps: tuple[int, ...] = (30, 40, 30)
    seed: int = 0


@dataclass(frozen=True)
class Photographs:
    """Photographs to learn from, and others.

    Attributes
    ----------
    train, unseen
        In RGB.
    fingerprint
        A hash of the files of `train`.
    """

    train: tuple[Image.Image, ...]
    unseen: tuple[Image.Image, ...]
    fingerprint: str


@dataclass(frozen=True)
class Distillation:
    """A trained network and what is to be known of its training.

    Attributes
    ----------
    network
        Its weights are rounded to half precision.
    record
        Plain data: settings, data, errors on unseen photographs in the course of the training and
        at its end, time, device, versions, date.
    """

    network: EmbeddedNetwork
    record: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the weights, in half precision, and the record into one safetensors file.

        Parameters
        ----------
        path
            The file; its folder exists.
        """
        state = {name: value.half() for name, value in self.network.state_dict().items()}
        write_whole(path, safetensors.torch.save(state, {"record": json.dumps(self.record)}))


def photographs() -> Photographs:
    """Read the photographs: those for training of Flickr8k and of the ants and bees, and the rest.

    Raises
    ------
    MissingDataError
        If they are not there.
    DataFormatError
        If a file cannot be read.
    """
    flickr = load_flickr8k(require("flickr8k"))
    insects = load_hymenoptera(require("hymenoptera"))
    parts = [
        [*map(flickr.path, names), *files]
        for names, files in zip(
            split_by_name(flickr.captions), (insects.train, insects.val), strict=True
        )
    ]
    train, unseen = (tuple(map(read_picture, part)) for part in parts)
    return Photographs(train, unseen, fingerprint(parts[0]))


_NEEDS = ("flickr8k", "hymenoptera", "vgg19", "mobilenet_v2", "styles")


def distil(config: DistillationConfig) -> Distillation:
    """Train the embedded network.

    Parameters
    ----------
    config
        What to train with.

    Returns
    -------
    Distillation
        The network and its record.

    Raises
    ------
    MissingDataError
        If a teacher or photographs are not there.
    DataFormatError
        If a file cannot be read.
    FloatingPointError
        If the loss stops being finite.
    """
    for name in _NEEDS:  # what is missing must not be noticed after an hour
        require(name)
    began = time.perf_counter()
    generator = torch.Generator().manual_seed(config.seed)
    seen = photographs()
    teacher = _Maps(seen.train, config.side, generator)
    network = EmbeddedNetwork(generator)
    history = _learn_maps(network, teacher, seen, config, generator)
    share = _learn_features(network, seen, config, generator)
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()
    record = {
        "config": asdict(config),
        "photographs": {"train": len(seen.train), "unseen": len(seen.unseen)},
        "fingerprint": seen.fingerprint,
        "history": history,
        "maps": teacher.errors(network, seen.unseen),
        "features": share,
        "judged": _judged(network, config),
        "wall_time": time.perf_counter() - began,
        "device": describe_device("cpu"),
        "torch": torch.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Distillation(network.eval().requires_grad_(False), record)


class _Maps:
    """VGG-19's maps in units of their root mean square over photographs."""

    def __init__(self, pictures: Sequence[Image.Image], side: int, generator: Generator) -> None:
        self._network = load_network("vgg19", require("vgg19"))
        self._units = dict.fromkeys(MAPS, 1.0)
        crops = torch.stack([_crop(pick(pictures, generator), side, generator) for _ in range(64)])
        self._units = {
            name: float(value.square().mean().sqrt()) for name, value in self(crops).items()
        }

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps of normalised images."""
        maps = self._network.inner.maps(_channels_last(images), MAPS)
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
            theirs, ours = self(image), network.maps(_channels_last(image), MAPS)
            for name in MAPS:
                total[name][0] += float(_error(ours[name], theirs[name]))
                total[name][1] += float(_gram_error(ours[name], theirs[name]))
        return {
            name: {"features": feature / len(pictures), "gram": gram / len(pictures)}
            for name, (feature, gram) in total.items()
        }


def _error(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return for each image the squared error of the features as a share of their squares."""
    return _share((ours - theirs).flatten(1), theirs.flatten(1))


def _gram_error(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return for each image the squared error of the Gram matrix as a share of its squares."""
    G, A = _gram(ours), _gram(theirs)
    return _share((G - A).flatten(1), A.flatten(1))


def _share(difference: Tensor, whole: Tensor) -> Tensor:
    size = whole.square().sum(1)
    # Of an image of one flat colour hardly anything is to be known: it must not count most.
    return difference.square().sum(1) / size.clamp_min(0.1 * float(size.mean()))


def _gram(maps: Tensor) -> Tensor:
    rows = maps.flatten(2)
    return rows @ rows.transpose(1, 2) / rows.shape[2]


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _crop(picture: Image.Image, side: int, generator: Generator) -> Tensor:
    """Return a square part of a picture, normalised, at 0.45 to 1.25 of its size."""
    span = min(*picture.size, side * uniform(0.8, 2.2, generator))
    left, top = (uniform(0, whole - span, generator) for whole in picture.size)
    part = picture.resize(
        (side, side), Image.Resampling.BILINEAR, box=(left, top, left + span, top + span)
    )
    image = to_tensor(part)
    return image.flip(2) if chance(0.5, generator) else image


def _recolour(images: Tensor, generator: Generator) -> Tensor:
    """Mix and shift the colours of every second image."""
    n = len(images)
    mixing = torch.eye(3) + 0.35 * torch.randn(n, 3, 3, generator=generator)
    middle = images.mean((2, 3), keepdim=True)
    mixed = torch.einsum("nij,njhw->nihw", mixing, images - middle)
    shifted = mixed + middle + 0.65 * torch.randn(n, 3, 1, 1, generator=generator)
    keep = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
    return torch.where(keep, images, _within(shifted))


def _within(images: Tensor) -> Tensor:
    """Clamp normalised images to what pixels from 0 to 1 become."""
    black, white = _EDGES
    return images.clamp(black, white)


_EDGES = tuple(
    to_tensor(Image.new("RGB", (1, 1), colour))[None] for colour in ("black", "white")
)  # (1, 3, 1, 1)


class _Images:
    """Draws the images that a step learns from."""

    def __init__(
        self, pictures: Sequence[Image.Image], config: DistillationConfig, generator: Generator
    ) -> None:
        self._pictures = pictures
        self._config = config
        self._generator = generator

    def photographs(self, n: int) -> Tensor:
        crops = [
            _crop(pick(self._pictures, self._generator), self._config.side, self._generator)
            for _ in range(n)
        ]
        return _recolour(torch.stack(crops), self._generator)

    def textures(self, n: int) -> Tensor:
        black, white = _EDGES
        images = generate_textures(n, self._config.side, self._generator)
        return black + images * (white - black)

    def either(self) -> Tensor:
        return self.photographs(1) if chance(0.5, self._generator) else self.textures(1)


class _Pursuit:
    """Images that take on the style of others, a step at a time, under a network that learns."""

    _STEP = 0.025  # of a normalised pixel, root mean square
    _MOMENTUM = 0.8
    _FRESH = 1 / 60  # how often an image starts anew

    def __init__(self, images: _Images, n: int, generator: Generator) -> None:
        self._source = images
        self._generator = generator
        self.images = images.photographs(n)
        self._targets = torch.cat([images.either() for _ in range(n)])
        self._momentum = torch.zeros_like(self.images)

    def step(self, network: EmbeddedNetwork) -> None:
        """Move the images along the gradient of the style loss."""
        images = _channels_last(self.images).requires_grad_()
        with torch.no_grad():
            wanted = network.maps(_channels_last(self._targets), MAPS)
        maps = network.maps(images, MAPS)
        loss = torch.stack([_gram_error(maps[name], wanted[name]).sum() for name in MAPS]).sum()
        (gradient,) = torch.autograd.grad(loss, images)
        size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-8)
        self._momentum = self._MOMENTUM * self._momentum + gradient / size
        self.images = _within(images.detach() - self._STEP * self._momentum)
        for i in range(len(self.images)):
            if chance(self._FRESH, self._generator):
                self._restart(i)

    def _restart(self, i: int) -> None:
        if chance(0.7, self._generator):
            self.images[i] = self._source.photographs(1)[0]
        else:
            noise = torch.randn(self.images[i].shape, generator=self._generator)
            self.images[i] = _within(noise)[0]
        self._targets[i] = self._source.either()[0]
        self._momentum[i] = 0


_REPORT_EVERY = 100  # steps


def _forced(stages: Sequence[nn.Module], inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    return {name: stage(x) for name, stage, x in zip(MAPS, stages, inputs, strict=False)}


def _chained(stages: Sequence[nn.Module], x: Tensor) -> dict[str, Tensor]:
    """Let each stage learn to do its best with what the one before it gives."""
    maps = {}
    for name, stage in zip(MAPS, stages, strict=True):
        x = maps[name] = stage(x.detach())
    return maps


def _learn_maps(
    network: EmbeddedNetwork,
    teacher: _Maps,
    seen: Photographs,
    config: DistillationConfig,
    generator: Generator,
) -> list[dict[str, Any]]:
    """Train the first three stages; return the errors on unseen photographs by step."""
    images = _Images(seen.train, config, generator)
    pursuit = _Pursuit(images, config.pursued, generator)
    stages = [network.stages[name] for name in MAPS]
    convolutions = [m for stage in stages for m in stage.children() if isinstance(m, nn.Conv2d)]
    history: list[dict[str, Any]] = []

    for first, steps, rate, forced in (
        (0, config.forced_steps, config.learning_rate, True),
        (config.forced_steps, config.chained_steps, 0.5 * config.learning_rate, False),
    ):
        optimiser = WhitenedAdam(convolutions)
        for step in track(range(steps), "maps, forced" if forced else "maps, chained"):
            if not forced:
                pursuit.step(network)
            batch = _channels_last(
                torch.cat(
                    [
                        images.photographs(config.photographs),
                        images.textures(config.textures),
                        images.photographs(config.pursued) if forced else pursuit.images,
                    ]
                )
            )
            theirs = teacher(batch)
            inputs = [batch, *theirs.values()]
            run = partial(_forced, stages, inputs) if forced else partial(_chained, stages, batch)
            if step in (0, 10, 20, 40, 80) or step % 100 == 0:
                optimiser.rewhiten(run, generator)

            ours = run()
            errors = [_error(ours[name], theirs[name]) for name in MAPS]
            if not forced:
                grams = [_gram_error(ours[name], theirs[name]) for name in MAPS]
                errors += [config.gram_weight * gram for gram in grams]
            # The logarithm keeps one image that the network gets very wrong from leading all.
            loss = torch.stack(errors).log1p().mean(1).sum()
            if not loss.isfinite():
                raise FloatingPointError(f"the loss is {loss.item():g} at step {first + step + 1}")
            loss.backward()  # type: ignore[no-untyped-call]
            warm = min(1.0, (step + 1) / 20)
            optimiser.step(rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps)))

            if (step + 1) % _REPORT_EVERY == 0 or step + 1 == steps:
                entry = {"step": first + step + 1, **teacher.errors(network, seen.unseen[::4])}
                history.append(entry)
    return history


@dataclass(frozen=True)
class _Views:
    """What the last stage gets for some views of photographs, and what MobileNetV2 says of them."""

    maps: Tensor  # (N, 256, h, w), float16: the deepest map that follows VGG-19's, pooled
    said: Tensor  # (N, 1280, h/2, w/2), float16: its last map


class _Looker:
    """Passes views through both networks."""

    def __init__(self, network: EmbeddedNetwork, side: int) -> None:
        self._network = network
        self._teacher = load_torchvision("mobilenet_v2", require("mobilenet_v2")).get_submodule(
            "features"
        )
        self._side = side

    @torch.no_grad()
    def __call__(self, views: Iterable[Tensor], total: int) -> _Views:
        maps, said = [], []
        for view in track(views, "views", total=total):
            image = _channels_last(view[None])
            said.append(self._teacher(image).half())
            small = functional.interpolate(
                image, size=(self._side, self._side), mode="bilinear", antialias=True
            )
            deepest = self._network.maps(small, ["relu3_1"])["relu3_1"]
            maps.append(functional.max_pool2d(deepest, 2).half())
        return _Views(torch.cat(maps), torch.cat(said))


_BATCH = 32
_WEIGHT_DECAY = 1e-3
_POOLED_WEIGHT = 5.0  # the means vary that much less than the places


def _learn_features(
    network: EmbeddedNetwork, seen: Photographs, config: DistillationConfig, generator: Generator
) -> dict[str, float]:
    """Train the last stage; return the squared errors of the pooled features that it leaves.

    An affine map, which is not kept, leads from its 112 channels to MobileNetV2's 1280. It is
    applied at each place, for there is more to learn from 49 places than from their mean; and
    since it is affine, the means follow where the places do.
    """
    look, side = _Looker(network, config.view_side), 2 * config.view_side
    train = look(
        (random_view(pick(seen.train, generator), side, generator) for _ in range(config.views)),
        config.views,
    )
    unseen = look((centre_view(picture, side) for picture in seen.unseen), len(seen.unseen))
    some = train.said[:500].float()
    spread, centre = (x[:, None, None] for x in torch.std_mean(some, (0, 2, 3)))
    spread = spread.clamp_min(0.1 * float(spread.mean()))  # some channels hardly ever answer

    _, *rest = network.stages["features"].children()  # the pooling is done already
    stage = nn.Sequential(*rest)
    weight = torch.randn(some.shape[1], network.feature_dim, 1, 1, generator=generator) * 0.01
    adapter = nn.ParameterList([weight, torch.zeros(some.shape[1])])

    def difference(views: _Views, which: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return what is left to explain, and what there was, (n, 1280, h, w)."""
        wanted = (views.said[which].float() - centre) / spread
        return functional.conv2d(stage(views.maps[which].float()), *adapter) - wanted, wanted

    steps = math.ceil(config.epochs * config.views / _BATCH)
    optimiser = torch.optim.AdamW(
        [*stage.parameters(), *adapter.parameters()], lr=2e-3, weight_decay=_WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps)
    for _ in track(range(steps), "features"):
        left, _ = difference(train, torch.randint(config.views, (_BATCH,), generator=generator))
        pooled = left.mean((2, 3)).square().mean()
        loss = left.square().mean() + _POOLED_WEIGHT * pooled
        if not loss.isfinite():
            raise FloatingPointError(f"the loss of the features is {loss.item():g}")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        left, wanted = difference(unseen, slice(None))
        seen_left, _ = difference(train, slice(500))
    parts = {"train": seen_left, "unseen": left, "constant": wanted}
    return {name: float(part.mean((2, 3)).square().mean()) for name, part in parts.items()}


def _judged(network: EmbeddedNetwork, config: DistillationConfig) -> list[dict[str, Any]]:
    """Let VGG-19 say how much of the style is left to do in pictures that three networks made."""
    vgg = load_network("vgg19", require("vgg19"))
    untrained = EmbeddedNetwork(torch.Generator().manual_seed(config.seed))
    painters = {"vgg19": vgg}
    for name, inner in (("untrained", untrained), ("embedded", deepcopy(network))):
        painters[name] = FeatureNetwork("embedded", tuple(MAPS), inner)
    levels = coarse_to_fine(config.judged_side, config.judged_steps)
    rows: list[dict[str, Any]] = []
    profiles: tuple[ResolvedProfile, ...] = ("full", "sample")
    for data in map(style_data, profiles):
        content = to_image(data.content, config.judged_side)
        for key, painting in data.paintings.items():
            row: dict[str, Any] = {"painting": painting.title, "content": data.content_title}
            style = to_image(painting.picture, config.judged_side)
            for name, painter in painters.items():
                label = f"{painting.title}, {name}"
                done = stylise(
                    data.content,
                    painting.picture,
                    painter,
                    SETTINGS[key],
                    levels=levels,
                    label=label,
                )
                row[name] = judge(done.image, content, style, vgg)
            rows.append(row)
    return rows
