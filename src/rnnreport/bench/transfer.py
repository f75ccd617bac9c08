"""Training on frozen features, computed once, against computing them in every epoch.

Both sides train the same new layer on the same views in the same order, and validate it after every
epoch, as the source does; so they must reach the same accuracy. The whole training is timed. One
side first computes the features of each training image and its mirror image; the other passes each
image through the network whenever it is needed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from rnnreport.data.assets import NEEDS, resolve
from rnnreport.data.views import centre_view
from rnnreport.experiments.transfer.choice import fixed_views, pass_through
from rnnreport.experiments.transfer.data import TransferData, backbone, transfer_data
from rnnreport.models.transfer import Head, train_head
from rnnreport.names import BackboneName

_BATCH, _RATE, _DECAY = 16, 0.02, 1e-3


@dataclass(frozen=True)
class Row:
    """Seconds and accuracies of both sides."""

    once: float
    always: float
    accuracy_once: float
    accuracy_always: float


def measure(data: TransferData, name: BackboneName, *, size: int, epochs: int) -> Row:
    """Train both ways, one after the other."""
    network = backbone(name)
    antialias = network.antialias
    pooled = nn.Sequential(network.blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()

    start = time.perf_counter()
    features = pass_through(pooled, fixed_views(data.train, size, antialias=antialias), "features")
    val = pass_through(pooled, fixed_views(data.val, size, antialias=antialias)[:1], "features")
    head = Head(features.flatten(0, 1))
    for _ in train_head(head, features, data.train_labels, **_settings(epochs)):
        accuracy_once = _accuracy(head, val, data.val_labels)
    once = time.perf_counter() - start

    start = time.perf_counter()
    fresh = Head(features.flatten(0, 1))  # standardised alike: its statistics cost nothing here
    views = _LazyViews(pooled, data, size, antialias=antialias)
    for _ in train_head(fresh, views, data.train_labels, **_settings(epochs)):  # type: ignore[arg-type]
        val = pass_through(
            pooled, fixed_views(data.val, size, antialias=antialias)[:1], "validation"
        )
        accuracy_always = _accuracy(fresh, val, data.val_labels)
    always = time.perf_counter() - start
    return Row(once, always, accuracy_once, accuracy_always)


def _settings(epochs: int) -> dict[str, Any]:
    return {
        "epochs": epochs,
        "batch_size": _BATCH,
        "learning_rate": _RATE,
        "decay": _DECAY,
        "generator": Generator().manual_seed(0),
    }


class _LazyViews:
    """Looks like a tensor of features (2, N, F), and computes those that are asked for."""

    def __init__(
        self, network: nn.Module, data: TransferData, size: int, *, antialias: bool
    ) -> None:
        self._network, self._data = network, data
        self._size, self._antialias = size, antialias
        self.shape = (2, len(data.train))

    @torch.no_grad()
    def __getitem__(self, index: Sequence[Tensor]) -> Tensor:
        views = []
        for mirrored, row in zip(*(part.tolist() for part in index), strict=True):
            view = centre_view(self._data.train[row], self._size, antialias=self._antialias)
            views.append(view.flip(2) if mirrored else view)
        batch = torch.stack(views).contiguous(memory_format=torch.channels_last)
        features: Tensor = self._network(batch)
        return features


@torch.no_grad()
def _accuracy(head: Head, features: Tensor, labels: Tensor) -> float:
    scores: Tensor = head(features)
    return (scores.softmax(-1).mean(0).argmax(1) == labels).double().mean().item()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`run` to a parser."""
    parser.add_argument("--epochs", type=int, default=25, help="of training (default: 25)")
    parser.add_argument(
        "--size", type=int, help="side of the views (default: 240, drawn insects 128)"
    )


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    if options.epochs < 1:
        raise SystemExit("--epochs must be at least 1")
    profile = resolve("auto", *NEEDS["transfer"])
    name: BackboneName = "efficientnet_lite1"
    size = options.size or (240 if profile == "full" else 128)
    data = transfer_data(profile)
    print(
        f"Frozen training on {data.name}, {name} at {size} px, {options.epochs} epochs of "
        f"{len(data.train)} images"
    )
    row = measure(data, name, size=size, epochs=options.epochs)
    print(f"{'':<26}{'seconds':>10}{'accuracy':>10}")
    print(f"{'features once a view':<26}{row.once:10.1f}{row.accuracy_once:10.4f}")
    print(f"{'all images in every epoch':<26}{row.always:10.1f}{row.accuracy_always:10.4f}")
    print(f"{'ratio':<26}{row.always / row.once:10.1f}\n")
