"""Figures and tables of the training of the embedded network.

They show :func:`~rnnreport.models.embedded.training_record`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnreport.show.plots import LinePlot, loss_curves
from rnnreport.show.tables import Table, share_text, table

__all__ = ["errors_table", "judged_table", "training_figure"]


def errors_table(record: Mapping[str, Any]) -> Table:
    """Lay out how well the network follows VGG-19 on photographs that it has not seen."""
    lines = [
        (name, [share_text(errors["features"]), share_text(errors["gram"])])
        for name, errors in record["maps"].items()
    ]
    return table(
        ["Map", "Error of the features", "Error of the Gram matrix"],
        lines,
        "Errors on unseen photographs",
    )


def judged_table(record: Mapping[str, Any]) -> Table:
    """Lay out how VGG-19 judges pictures that three networks have made."""
    lines = [
        (
            row["painting"],
            [
                row["content"],
                *(share_text(row[name]) for name in ("untrained", "embedded", "vgg19")),
            ],
        )
        for row in record["judged"]
    ]
    return table(
        ["Painting", "Content", "The same network, untrained", "Embedded", "VGG-19 itself"],
        lines,
        "Style left as VGG-19 sees it, by the network that made the picture",
    )


def training_figure(record: Mapping[str, Any]) -> LinePlot:
    """Plot how the errors fall, of the maps that are not followed exactly."""
    history, forced = record["history"], record["config"]["forced_steps"]
    curves = {
        name: [entry[name]["features"] for entry in history]
        for name, last in record["maps"].items()
        if last["features"] > 1e-6
    }
    numbers = "; ".join(
        f"{name} from {share_text(curve[0])} to {share_text(curve[-1])}"
        for name, curve in curves.items()
    )
    apart = history[0]["step"]
    return loss_curves(
        curves,
        alt=f"The errors on unseen photographs, every {apart} steps: {numbers}. They fall steeply "
        f"once the stages are chained, after step {forced}.",
        xlabel=f"steps / {apart}",
        ylabel="error of the features",
    )
