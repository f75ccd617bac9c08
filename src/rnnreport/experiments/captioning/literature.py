"""What others have published on the official test part of Flickr8k."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PUBLISHED", "Published"]


class Published(NamedTuple):
    """The scores of a network, as Xu et al. (2015) report them in their table 1.

    Attributes
    ----------
    name : str
        Of the network.
    bleu : tuple of float or None
        BLEU-1 to BLEU-4, 0 to 1; None where none is given.
    """

    name: str
    bleu: tuple[float | None, ...]


PUBLISHED: tuple[Published, ...] = (
    Published("Google NIC", (0.63, 0.41, 0.27, None)),
    Published("Log-bilinear", (0.656, 0.424, 0.277, 0.177)),
    Published("Soft attention", (0.67, 0.448, 0.299, 0.195)),
    Published("Hard attention", (0.67, 0.457, 0.314, 0.213)),
)
"""Networks of 2014 and 2015, the lower BLEU-3 first."""
