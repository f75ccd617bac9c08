"""The ants and bees of the transfer experiments: photographs, or the drawn sample."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from rnnreport.data.assets import DataFormatError, fingerprint, require
from rnnreport.data.hymenoptera import CLASSES, Hymenoptera, load_hymenoptera
from rnnreport.data.pictures import read_picture
from rnnreport.models.embedded import load_embedded
from rnnreport.models.transfer import Backbone, load_backbone
from rnnreport.names import BackboneName, ResolvedProfile
from rnnreport.runs.definitions import code_fingerprint, hash_of
from rnnreport.samples.insects import COUNTS, generate_insects

__all__ = ["CLASSES", "LEAST_OF_A_CLASS", "TransferData", "about", "backbone", "transfer_data"]

LEAST_OF_A_CLASS = 5
"""So many photographs of a class must there be for training: one for each fold."""

_NAMES: dict[ResolvedProfile, str] = {
    "full": "photographs of ants and bees",
    "sample": "drawn ants and bees",
}
_NETWORKS: dict[BackboneName, str] = {
    "resnet18": "ResNet-18, trained on ImageNet",
    "mobilenet_v2": "MobileNetV2, trained on ImageNet",
    "efficientnet_lite1": "EfficientNet-Lite1, trained on ImageNet",
    "embedded": "the small network that the package brings along",
}


@dataclass(frozen=True)
class TransferData:
    """Pictures of ants and bees.

    Attributes
    ----------
    profile
        ``"full"`` or ``"sample"``.
    name
        What the pictures are, in words.
    train, val
        The pictures, in RGB.
    train_labels, val_labels : Tensor, int64, (N,) and (M,)
        For each its place in :data:`CLASSES`.
    left_out
        Names of files that stand among the images and are none.
    """

    profile: ResolvedProfile
    name: str
    train: tuple[Image.Image, ...]
    val: tuple[Image.Image, ...]
    train_labels: Tensor
    val_labels: Tensor
    left_out: tuple[str, ...]


@functools.lru_cache(maxsize=1)  # the same for all runs; the photographs fill 250 MB
def transfer_data(profile: ResolvedProfile, data_seed: int = 0) -> TransferData:
    """Read or draw the pictures of a profile.

    Parameters
    ----------
    profile
        ``"full"``: the source's photographs; ``"sample"``: drawn insects.
    data_seed
        Of the drawn ones.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there.
    DataFormatError
        If a file cannot be read, or a class has too few images.
    """
    if profile == "full":
        files = _files(require("hymenoptera"))
        return TransferData(
            profile,
            _NAMES[profile],
            tuple(map(read_picture, files.train)),
            tuple(map(read_picture, files.val)),
            torch.tensor(files.train_labels),
            torch.tensor(files.val_labels),
            tuple(path.name for path in files.left_out),
        )
    drawn = generate_insects(generator=torch.Generator().manual_seed(data_seed))
    return TransferData(
        profile,
        _NAMES[profile],
        drawn.train,
        drawn.val,
        torch.tensor(drawn.train_labels),
        torch.tensor(drawn.val_labels),
        (),
    )


def backbone(name: BackboneName) -> Backbone:
    """Load a network from its asset.

    Parameters
    ----------
    name
        One of :data:`~rnnreport.names.BACKBONES`.

    Raises
    ------
    MissingDataError
        If its weights are not there.
    DataFormatError
        If they cannot be read.
    """
    return load_backbone(name, None if name == "embedded" else require(name))


def about(profile: ResolvedProfile, data_seed: int, name: BackboneName) -> dict[str, Any]:
    """Describe the data that a result rests on.

    Parameters
    ----------
    profile, data_seed
        Of the pictures.
    name
        The network.

    Raises
    ------
    MissingDataError
        If the profile is ``full`` and its data is not there, or the network's weights are not.
    DataFormatError
        If a file cannot be read, or a class has too few images.
    """
    root = require("hymenoptera") if profile == "full" else None
    path = None if name == "embedded" else require(name)
    if root is not None:
        files = _files(root)
        parts = files.train_labels, files.val_labels
        train, val = ((part.count(0), part.count(1)) for part in parts)
        pictures = fingerprint(files.train + files.val)
    else:  # the code decides what is drawn; to draw it takes seconds
        train, val = COUNTS["train"], COUNTS["val"]
        pictures = hash_of([code_fingerprint("rnnreport.samples.insects"), data_seed])
    network = _hash_of_embedded() if path is None else fingerprint([path])
    return {
        "profile": profile,
        "name": _NAMES[profile],
        "amount": (
            f"{sum(train)} for training ({train[0]} ants, {train[1]} bees), {sum(val)} for "
            f"validation ({val[0]} ants, {val[1]} bees). The network: {_NETWORKS[name]}"
            + (f" ({path.name})" if path else "")
        ),
        "fingerprint": hashlib.sha256(f"{pictures} {network}".encode()).hexdigest(),
    }


def _files(root: Path) -> Hymenoptera:
    """List the photographs, and see that there are enough of each class."""
    files = load_hymenoptera(root)
    for label, name in enumerate(CLASSES):
        count = files.train_labels.count(label)
        if count < LEAST_OF_A_CLASS:
            raise DataFormatError(
                f"{files.root / 'train' / name}: too few images for cross-validation: at least "
                f"{LEAST_OF_A_CLASS} are needed, got {count}"
            )
    return files


@functools.cache  # the same for all runs
def _hash_of_embedded() -> str:
    total = hashlib.sha256()
    for name, value in load_embedded().state_dict().items():
        total.update(name.encode() + value.numpy().tobytes())
    return total.hexdigest()
