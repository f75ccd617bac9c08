"""Captioned images of several networks side by side, for a page."""

from __future__ import annotations

from collections.abc import Mapping

from rnnreport.experiments.captioning import images
from rnnreport.experiments.store import Result
from rnnreport.figures import Gallery, gallery

__all__ = ["caption_gallery"]


def caption_gallery(results: Mapping[str, Result], split: str, count: int) -> Gallery:
    """Show the first images of a split with a true caption and what each network says.

    Parameters
    ----------
    results : mapping of str to Result
        By the name of the network; at least one, all on the same images.
    split : {"train", "val"}
        Which images.
    count : int
        How many, from the first one on.

    Returns
    -------
    Gallery
        Shows itself in a page.
    """
    first = next(iter(results.values()))
    records = {name: result.details[split][:count] for name, result in results.items()}
    shown = first.details[split][:count]
    real = first.data["profile"] == "full"
    return gallery(
        images(first, [record["image"] for record in shown], size=240),
        [
            {"truth": record["truth"][0]}
            | {name: records[name][k]["caption"] or "(nothing)" for name in records}
            for k, record in enumerate(shown)
        ],
        [("A photograph: " if real else "A drawn scene: ") + r["truth"][0] for r in shown],
        label=f"Images ({split}) with a true caption and those of {', '.join(results)}",
        encoding="jpeg" if real else "png",
    )
