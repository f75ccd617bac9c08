"""The parts of the report that rest on runs, and their pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

__all__ = ["PAGES", "PARTS", "PartName", "parts_of"]

PartName = Literal["captioning", "text", "transfer", "style"]
PARTS: tuple[PartName, ...] = get_args(PartName)
"""The parts, in the order of the pages."""

PAGES: Mapping[PartName, tuple[str, ...]] = MappingProxyType(
    {
        "captioning": ("captioning", "index"),
        "text": ("glove", "text", "index"),
        "transfer": ("transfer", "index"),
        "style": ("style", "index"),
    }
)
"""The pages that show results of each part."""


def parts_of(pages: Iterable[str]) -> tuple[PartName, ...]:
    """Return the parts that some pages show results of.

    Parameters
    ----------
    pages
        Names of pages; most rest on no run at all.

    Returns
    -------
    tuple of str
        In the order of :data:`PARTS`.
    """
    wanted = set(pages)
    return tuple(part for part in PARTS if wanted & set(PAGES[part]))
