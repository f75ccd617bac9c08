"""How VGG-19 judges pictures that the embedded network has painted, beside two others."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch

from rnnreport.data.assets import require
from rnnreport.experiments.paintings import style_data
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
from rnnreport.names import ResolvedProfile

__all__ = ["judge_paintings"]


def judge_paintings(
    network: EmbeddedNetwork, *, side: int, steps: Sequence[int], seed: int
) -> list[dict[str, Any]]:
    """Let VGG-19 judge how much of the style loss is left in pictures that three networks made."""
    vgg = load_network("vgg19", require("vgg19"))
    untrained = EmbeddedNetwork(torch.Generator().manual_seed(seed))
    painters = {"vgg19": vgg}
    for name, inner in (("untrained", untrained), ("embedded", deepcopy(network))):
        painters[name] = FeatureNetwork("embedded", tuple(MAPS), inner)
    levels = coarse_to_fine(side, steps)
    rows: list[dict[str, Any]] = []
    profiles: tuple[ResolvedProfile, ...] = ("full", "sample")
    for data in map(style_data, profiles):
        content = to_image(data.content, side)
        for key, painting in data.paintings.items():
            row: dict[str, Any] = {"painting": painting.title, "content": data.content_title}
            style = to_image(painting.picture, side)
            for name, painter in painters.items():
                label = f"{painting.title}, {name}"
                stylised = stylise(
                    data.content,
                    painting.picture,
                    painter,
                    SETTINGS[key],
                    levels=levels,
                    label=label,
                )
                row[name] = judge(stylised.image, content, style, vgg)
            rows.append(row)
    return rows
