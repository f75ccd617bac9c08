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
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from rnnreport._files import write_whole
from rnnreport.data.assets import require
from rnnreport.data.views import centre_view, random_view
from rnnreport.data.weights import load_torchvision
from rnnreport.draws import pick
from rnnreport.experiments.distillation.images import Images, Photographs, Pursuit, photographs
from rnnreport.experiments.distillation.judging import judge_paintings
from rnnreport.experiments.distillation.teacher import (
    Teacher,
    channels_last,
    feature_error,
    gram_error,
)
from rnnreport.models.embedded import MAPS, EmbeddedNetwork
from rnnreport.optim.whitening import WhitenedAdam
from rnnreport.progress import track
from rnnreport.runs.store import describe_device

__all__ = ["Distillation", "DistillationConfig", "distil"]


@dataclass(frozen=True)
class DistillationConfig:
    """The settings of the training.

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
class Distillation:
    """A trained network and the record of its training.

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
    images = Images(seen.train, config.side, generator)
    teacher = Teacher(images.crops(64))
    network = EmbeddedNetwork(generator)
    history = _learn_maps(network, teacher, images, seen, config, generator)
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
        "judged": judge_paintings(
            network, side=config.judged_side, steps=config.judged_steps, seed=config.seed
        ),
        "wall_time": time.perf_counter() - began,
        "device": describe_device("cpu"),
        "torch": torch.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Distillation(network.eval().requires_grad_(False), record)


_REPORT_EVERY = 100  # steps


def _forced(stages: Sequence[nn.Module], inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    return {name: stage(x) for name, stage, x in zip(MAPS, stages, inputs, strict=False)}


def _chained(stages: Sequence[nn.Module], x: Tensor) -> dict[str, Tensor]:
    """Train each stage on the output of the stage before it."""
    maps = {}
    for name, stage in zip(MAPS, stages, strict=True):
        x = maps[name] = stage(x.detach())
    return maps


def _learn_maps(
    network: EmbeddedNetwork,
    teacher: Teacher,
    images: Images,
    seen: Photographs,
    config: DistillationConfig,
    generator: Generator,
) -> list[dict[str, Any]]:
    """Train the first three stages; return the errors on unseen photographs by step."""
    pursuit = Pursuit(images, config.pursued, generator)
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
            batch = channels_last(
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
            errors = [feature_error(ours[name], theirs[name]) for name in MAPS]
            if not forced:
                grams = [gram_error(ours[name], theirs[name]) for name in MAPS]
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
    """The input of the last stage for some views of photographs, and MobileNetV2's features."""

    maps: Tensor  # (N, 256, h, w), float16: the deepest map that follows VGG-19's, pooled
    features: Tensor  # (N, 1280, h/2, w/2), float16: its last map


class _Viewer:
    """Passes views through both networks."""

    def __init__(self, network: EmbeddedNetwork, side: int) -> None:
        self._network = network
        self._teacher = load_torchvision("mobilenet_v2", require("mobilenet_v2")).get_submodule(
            "features"
        )
        self._side = side

    @torch.no_grad()
    def __call__(self, views: Iterable[Tensor], total: int) -> _Views:
        maps, features = [], []
        for view in track(views, "views", total=total):
            image = channels_last(view[None])
            features.append(self._teacher(image).half())
            small = functional.interpolate(
                image, size=(self._side, self._side), mode="bilinear", antialias=True
            )
            deepest = self._network.maps(small, ["relu3_1"])["relu3_1"]
            maps.append(functional.max_pool2d(deepest, 2).half())
        return _Views(torch.cat(maps), torch.cat(features))


_BATCH = 32
_WEIGHT_DECAY = 1e-3
_POOLED_WEIGHT = 5.0  # the means vary that much less than the places


def _learn_features(
    network: EmbeddedNetwork, seen: Photographs, config: DistillationConfig, generator: Generator
) -> dict[str, float]:
    """Train the last stage; return the squared errors of the pooled features that it leaves.

    An affine map, which is then dropped, leads from its 112 channels to MobileNetV2's 1280. It is
    applied at each place, for there is more to learn from 49 places than from their mean; and
    since it is affine, the means follow where the places do.
    """
    view, side = _Viewer(network, config.view_side), 2 * config.view_side
    train = view(
        (random_view(pick(seen.train, generator), side, generator) for _ in range(config.views)),
        config.views,
    )
    unseen = view((centre_view(picture, side) for picture in seen.unseen), len(seen.unseen))
    some = train.features[:500].float()
    spread, centre = (x[:, None, None] for x in torch.std_mean(some, (0, 2, 3)))
    spread = spread.clamp_min(0.1 * float(spread.mean()))  # some channels hardly ever answer

    _, *rest = network.stages["features"].children()  # the pooling is done already
    stage = nn.Sequential(*rest)
    weight = torch.randn(some.shape[1], network.feature_dim, 1, 1, generator=generator) * 0.01
    adapter = nn.ParameterList([weight, torch.zeros(some.shape[1])])

    def difference(views: _Views, which: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return what is left to explain, and what there was, (n, 1280, h, w)."""
        wanted = (views.features[which].float() - centre) / spread
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
