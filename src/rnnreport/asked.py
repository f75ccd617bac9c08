"""What the source, the course report of 2019, gives and leaves open, its equations apart.

No other module and no page holds a number of the source: studies compare with these, and pages
print them. Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rnnreport.names import Mode, ModelName, PartName

__all__ = ["ASKED", "TEXT_ACCURACY", "VAL_HITS", "VAL_IMAGES", "VECTORS_DIM", "Asked"]

TEXT_ACCURACY: Mapping[ModelName, float] = {
    "bag": 0.953,
    "average": 0.950,
    "glove-fixed": 0.932,
    "rnn": 0.922,
    "lstm": 0.937,
}
"""Test accuracies of text classification, one run each."""

VECTORS_DIM = 300
"""How many numbers each of its GloVe vectors has."""

VAL_IMAGES = 153
"""How many validation images it has of ants and bees."""

VAL_HITS: Mapping[Mode, int] = {"frozen": 146, "finetuned": 143}
"""How many of them its ResNet-18 gets right, one run each, at its best epoch."""


class Asked(NamedTuple):
    """A figure of the source, or a question that it leaves open.

    Attributes
    ----------
    part : str
        Which part answers it.
    finding : str
        The name of the answer.
    name : str
        What it is about.
    source : str
        What the source gives; nothing where it leaves the question open.
    """

    part: PartName
    finding: str
    name: str
    source: str = ""


def _transfer(mode: Mode, name: str) -> Asked:
    return Asked("transfer", mode, name, f"{VAL_HITS[mode] / VAL_IMAGES:.6f}")


def _text(model: ModelName, name: str, more: str = "") -> Asked:
    accuracy = TEXT_ACCURACY.get(model)
    return Asked("text", model, name, "" if accuracy is None else f"{accuracy:.3f}{more}")


_PICTURE, _CAPTIONS = "a picture and a curve", "captions and a curve"

ASKED: tuple[Asked, ...] = (
    _transfer("finetuned", "Fine-tuned"),
    _transfer("frozen", "Frozen, with a new last layer"),
    Asked("style", "painting-1", "Composition VII", _PICTURE),
    Asked("style", "painting-2", "The Scream", _PICTURE),
    Asked("style", "painting-3", "The Starry Night", _PICTURE),
    Asked("captioning", "heart-rnn", "RNN, learned by heart", _CAPTIONS),
    Asked("captioning", "heart-lstm", "LSTM, learned by heart", _CAPTIONS),
    Asked("captioning", "heart-attention", "LSTM with attention, learned by heart"),
    Asked("captioning", "unseen-rnn", "RNN, unseen images"),
    Asked("captioning", "unseen-lstm", "LSTM, unseen images"),
    Asked("captioning", "unseen-attention", "LSTM with attention, unseen images"),
    _text("bag", "Bag of words"),
    _text("average", "Learned vectors, averaged"),
    _text("glove-fixed", "Fixed GloVe, averaged", f", {VECTORS_DIM} numbers per word"),
    _text("glove", "Fine-tuned GloVe, averaged"),
    _text("rnn", "RNN"),
    _text("lstm", "LSTM"),
    _text("bilstm", "Bidirectional LSTM"),
    _text("pretrained", "Bidirectional LSTM, pretrained"),
)
"""All figures of the source but its equations, in its order, and what it leaves open."""
