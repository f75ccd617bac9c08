"""Networks for tests of the live figure."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from rnnreport.data.sentiment import tokenise_review
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.text.live_figure import EXAMPLES, LiveLSTM

ENOUGH = [token for sentence in EXAMPLES for token in tokenise_review(sentence)]
"""The words of the examples."""


def random_lstm(words: Iterable[str] = ENOUGH, D: int = 3, H: int = 4, seed: int = 0) -> LiveLSTM:
    """Weights of no meaning."""
    vocabulary = Vocabulary((*Vocabulary.SPECIAL, *dict.fromkeys(words)))
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "vectors": (len(vocabulary), D),
        "Wx": (D, 4 * H),
        "Wh": (H, 4 * H),
        "b": (4 * H,),
        "w": (H,),
        "bias": (1,),
    }
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return LiveLSTM(vocabulary, tensors)
