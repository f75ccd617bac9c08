"""Transfer learning: a network that has learned one task is put to another.

Two ways. *Frozen*: the network stays as it is, and only a new linear layer learns on its features;
these do not change, so each is computed once. *Fine-tuned*: the network itself is trained on, with
small steps, from a given block up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from rnnreport._checks import check_choice, check_loss
from rnnreport.data.features import statistics
from rnnreport.data.weights import load_torchvision
from rnnreport.models.efficientnet import load_efficientnet_lite
from rnnreport.models.embedded import load_embedded
from rnnreport.names import BACKBONES, BackboneName

__all__ = [
    "Backbone",
    "Head",
    "finetune",
    "grad_cam",
    "load_backbone",
    "train_head",
]


@dataclass(frozen=True)
class Backbone:
    """A network without its last layer.

    Attributes
    ----------
    name
        One of :data:`BACKBONES`.
    blocks
        The network as a chain of blocks, from images (N, 3, H, W), normalised with ImageNet's mean
        and standard deviation, to maps (N, F, h, w). In evaluation mode, and to be kept there: its
        batch normalisation uses what it knows from ImageNet and learns nothing from small batches.
    feature_dim
        F, the number of features.
    antialias
        How the pictures were scaled that it has learned from, as
        :func:`~rnnreport.data.views.centre_square` has it.
    """

    name: BackboneName
    blocks: nn.Sequential
    feature_dim: int
    antialias: bool = True

    def split(self, cut: int) -> tuple[nn.Sequential, nn.Sequential]:
        """Cut the chain into blocks that stay as they are and blocks that may learn.

        Parameters
        ----------
        cut
            How many blocks stand below the cut; of none, the chain passes images on.

        Returns
        -------
        lower, upper : torch.nn.Sequential
            The blocks, shared with this chain.

        Raises
        ------
        ValueError
            If there are not as many blocks.
        """
        blocks = list(self.blocks)
        if not 0 <= cut <= len(blocks):
            raise ValueError(f"cut must be from 0 to {len(blocks)}, got {cut}")
        return nn.Sequential(*blocks[:cut]).eval(), nn.Sequential(*blocks[cut:]).eval()


def load_backbone(name: BackboneName, weights: Path | None = None) -> Backbone:
    """Load a network by name.

    Parameters
    ----------
    name
        One of :data:`BACKBONES`.
    weights
        For ``resnet18`` and ``mobilenet_v2`` the file of their weights under torchvision's names,
        last layer included, for ``efficientnet_lite1`` that of its package; as
        :func:`~rnnreport.data.weights.read_weights` reads it. The embedded network brings its own.

    Returns
    -------
    Backbone
        On the CPU, float32, without gradients.

    Raises
    ------
    ValueError
        If there is no such network, or weights are given or missing where they must not be.
    MissingDataError
        If there is no such file.
    DataFormatError
        If the file does not hold exactly the network's parameters.
    """
    check_choice("name", name, BACKBONES)
    if (weights is None) != (name == "embedded"):
        raise ValueError(f"weights must be {'None' if weights else 'a file'} for {name}")
    if weights is None:
        return _embedded()
    if name == "efficientnet_lite1":
        return Backbone(name, load_efficientnet_lite(weights, 1).features, 1280, antialias=False)
    network = load_torchvision(name, weights)
    if name == "mobilenet_v2":
        blocks, feature_dim = list(network.get_submodule("features").children()), 1280
    else:
        blocks, feature_dim = list(network.children())[:-2], 512  # the last ones average, classify
    return Backbone(name, nn.Sequential(*blocks).eval(), feature_dim)


def _embedded() -> Backbone:
    network = load_embedded()
    blocks: list[list[nn.Module]] = []
    for stage in network.stages.values():
        for part in stage.children():
            if isinstance(part, nn.Conv2d):
                blocks.append([])
            blocks[-1].append(part)  # a convolution, its ReLU, and the pooling that follows
    chain = nn.Sequential(*(nn.Sequential(*block) for block in blocks))
    return Backbone("embedded", chain.eval(), network.feature_dim)


class Head(nn.Module):
    """The new last layer: features are standardised, then mapped linearly to scores.

    It begins with zeros, so all classes are equally likely at first.

    Parameters
    ----------
    features : Tensor, float32, (N, F)
        Of the training images; their mean and spread are what the layer standardises by. A
        standardised vector of features is then scaled to a length of about `length`.
    n_classes
        How many classes there are.
    length
        The larger, the faster the layer learns at a given learning rate.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: Tensor, n_classes: int = 2, *, length: float = 4.0) -> None:
        super().__init__()
        moments = statistics(features)
        # A feature that hardly ever answers must not be blown up where it does.
        spread = moments.std.clamp_min(0.01 * float(moments.std.mean()))
        self.register_buffer("mean", moments.mean)
        self.register_buffer("scale", length / math.sqrt(features.shape[1]) / spread)
        self.weight = nn.Parameter(torch.zeros(n_classes, features.shape[1]))
        self.bias = nn.Parameter(torch.zeros(n_classes))

    def forward(self, features: Tensor) -> Tensor:
        """Score features.

        Parameters
        ----------
        features : Tensor, float32, (N, F)
            Features of images.

        Returns
        -------
        Tensor, float32, (N, C)
            The scores of each class; softmax makes probabilities of them.
        """
        return functional.linear((features - self.mean) * self.scale, self.weight, self.bias)


def train_head(
    head: Head,
    features: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    decay: float,
    generator: Generator,
) -> Iterator[float]:
    """Train a new last layer on features that stay.

    Every epoch takes each image once, in one of its views. Steps are those of SGD with momentum;
    the learning rate falls to zero in a straight line.

    Parameters
    ----------
    head
        What learns; changed in place.
    features : Tensor, float32, (V, N, F)
        Features of V views of N images, computed once.
    labels : Tensor, int64, (N,)
        Classes.
    epochs
        Passes over the images.
    batch_size
        Images in a mini-batch.
    learning_rate
        The first one.
    decay
        Weight decay.
    generator
        Draws the order and the views.

    Yields
    ------
    float
        The mean loss of each epoch; between two of them the caller may look at `head`.

    Raises
    ------
    FloatingPointError
        If the loss stops being finite.
    """
    groups = [{"params": list(head.parameters()), "lr": learning_rate, "weight_decay": decay}]
    yield from _train(head, features, labels, groups, epochs, batch_size, generator)


def finetune(
    upper: nn.Module,
    head: Head,
    maps: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    upper_learning_rate: float,
    generator: Generator,
) -> Iterator[float]:
    """Train a network on from a block up, together with its new last layer.

    As :func:`train_head`, but for what passes through the network in every epoch.

    Parameters
    ----------
    upper
        The blocks that learn, in evaluation mode; changed in place.
    head
        The last layer; changed in place.
    maps : Tensor, (V, N, C, H, W)
        What the blocks below give for V views of N images; the images themselves where there are no
        blocks below. May be stored in half precision.
    labels : Tensor, int64, (N,)
        Classes.
    epochs, batch_size, generator
        As :func:`train_head` has them.
    learning_rate, upper_learning_rate
        The first ones of the last layer and of the blocks.

    Yields
    ------
    float
        The mean loss of each epoch.

    Raises
    ------
    ValueError
        If `upper` is in training mode.
    FloatingPointError
        If the loss stops being finite.
    """
    if any(module.training for module in upper.modules()):
        raise ValueError("upper must be in evaluation mode, got one that is training")
    upper.requires_grad_(True)
    groups = [
        {"params": list(upper.parameters()), "lr": upper_learning_rate},
        {"params": list(head.parameters()), "lr": learning_rate},
    ]

    def forward(part: Tensor) -> Tensor:
        scores: Tensor = head(upper(part.float()).mean((2, 3)))
        return scores

    try:
        yield from _train(forward, maps, labels, groups, epochs, batch_size, generator)
    finally:
        upper.requires_grad_(False)


def _train(
    forward: Callable[[Tensor], Tensor],
    views: Tensor,
    labels: Tensor,
    groups: list[dict[str, object]],
    epochs: int,
    batch_size: int,
    generator: Generator,
) -> Iterator[float]:
    n_views, count = views.shape[:2]
    optimiser = torch.optim.SGD(groups, lr=0.0, momentum=0.9)
    steps = epochs * math.ceil(count / batch_size)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    for _ in range(epochs):
        order = torch.randperm(count, generator=generator)
        which = torch.randint(n_views, (count,), generator=generator)
        total = 0.0
        for batch in torch.split(order, batch_size):
            optimiser.zero_grad()
            scores = forward(views[which[batch], batch].to(labels.device))
            loss = functional.cross_entropy(scores, labels[batch.to(labels.device)])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            scheduler.step()
            total += loss.item() * len(batch)
        yield check_loss(total / count)


@torch.no_grad()
def grad_cam(maps: Tensor, head: Head, labels: Tensor) -> Tensor:
    """Grad-CAM: the places of an image that speak for a class; equations (W1) and (W2).

    The class is weighed against the mean of all classes, so that of two classes one map shows what
    speaks for the one and not for the other.

    Parameters
    ----------
    maps : Tensor, float32, (N, F, h, w)
        The last maps of N images.
    head
        The layer that scores their means.
    labels : Tensor, int64, (N,)
        For each image the class to look for.

    Returns
    -------
    Tensor, float32, (N, h, w)
        At least 0 everywhere; the larger, the more it speaks for the class.
    """
    against = head.weight - head.weight.mean(0)
    alpha = (against * head.scale)[labels] / maps[0, 0].numel()  # (N, F), equation (W1)
    return torch.einsum("nf,nfhw->nhw", alpha, maps).relu()  # equation (W2)
