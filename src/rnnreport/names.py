"""Names that the command line and the models share; nothing here loads torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

__all__ = [
    "ALL_PAGES",
    "BACKBONES",
    "BIDIRECTIONAL",
    "CELLS",
    "MODELS",
    "MODES",
    "NETWORKS",
    "PAGES",
    "PARTS",
    "PROFILES",
    "RECURRENT",
    "RESOLVED_PROFILES",
    "TRAINING_TIMES",
    "BackboneName",
    "CellType",
    "Dataset",
    "Mode",
    "ModelName",
    "NetworkName",
    "PartName",
    "Profile",
    "ResolvedProfile",
    "parts_of",
]

ResolvedProfile = Literal["full", "sample"]
RESOLVED_PROFILES: tuple[ResolvedProfile, ...] = get_args(ResolvedProfile)
"""Real data, and the generated sample."""

Profile = Literal["full", "sample", "auto"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
"""Real data, the generated sample, and real data where it is there."""

CellType = Literal["rnn", "lstm", "attention"]
CELLS: tuple[CellType, ...] = get_args(CellType)
"""The networks of captioning."""

Dataset = Literal["flickr8k", "coco"]

ModelName = Literal["bag", "average", "glove-fixed", "glove", "rnn", "lstm", "bilstm", "pretrained"]
MODELS: tuple[ModelName, ...] = get_args(ModelName)
"""The text classifiers, in the source's order; it has no ``glove`` and none of the last two."""

RECURRENT: tuple[ModelName, ...] = ("rnn", "lstm", "bilstm", "pretrained")
"""Those that read a sentence word by word."""

BIDIRECTIONAL: tuple[ModelName, ...] = ("bilstm", "pretrained")
"""Those that read it in both directions."""

Mode = Literal["frozen", "finetuned"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""The two ways of transfer learning."""

BackboneName = Literal["resnet18", "mobilenet_v2", "efficientnet_lite1", "embedded"]
BACKBONES: tuple[BackboneName, ...] = get_args(BackboneName)
"""The networks of transfer learning."""

NetworkName = Literal["vgg19", "squeezenet1_1", "embedded"]
NETWORKS: tuple[NetworkName, ...] = get_args(NetworkName)
"""The networks of style transfer."""

PartName = Literal["captioning", "text", "transfer", "style"]
PARTS: tuple[PartName, ...] = get_args(PartName)
"""The parts of the report that rest on runs, in the order of the pages."""

TRAINING_TIMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "captioning": ("half a minute", "2 minutes for 900 photographs"),
        "text": ("half a minute", "a minute, or a quarter of an hour if pretrained"),
        "transfer": ("half a minute", "one minute frozen, 8 minutes fine-tuned"),
    }
)
"""How long one network takes that can be asked: on the sample, and on real data as recorded."""

PAGES: Mapping[PartName, tuple[str, ...]] = MappingProxyType(
    {
        "captioning": ("captioning", "index"),
        "text": ("glove", "text", "index"),
        "transfer": ("transfer", "index"),
        "style": ("style", "index"),
    }
)
"""The pages that show results of each part."""

ALL_PAGES = (
    *("index", "rnn", "temporal", "lstm", "gru", "attention", "captioning", "glove", "text"),
    *("transfer", "style", "proof", "ledger", "check", "speed", "symbols", "contributing"),
    *("references", "api"),
)
"""All pages of the report; those of the reference count as one."""


def parts_of(pages: Iterable[str]) -> tuple[PartName, ...]:
    """Return the parts that some pages show results of, in the order of :data:`PARTS`.

    Parameters
    ----------
    pages
        Names of pages; most rest on no run at all.
    """
    wanted = set(pages)
    return tuple(part for part in PARTS if wanted & set(PAGES[part]))
