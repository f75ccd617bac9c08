"""Random choices, each from the generator that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Generator

_T = TypeVar("_T")


def pick(items: Sequence[_T], generator: Generator) -> _T:
    """Choose one of some items, each as likely as the others."""
    return items[int(torch.randint(len(items), (), generator=generator))]


def chance(probability: float, generator: Generator) -> bool:
    """Return True with some probability."""
    return uniform(0.0, 1.0, generator) < probability


def uniform(low: float, high: float, generator: Generator) -> float:
    """Draw a number between two others."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
