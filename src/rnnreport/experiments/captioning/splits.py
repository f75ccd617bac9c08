"""What captioned images are to an experiment: their parts, features and captions.

A network without attention gets one row of features an image, one with attention a row for each
of the image's places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from rnnreport.data.features import Projection
from rnnreport.data.vocabulary import CaptionVocabulary

__all__ = ["CaptionData", "Captions", "ImageData", "Pools", "Split", "Splits", "Words"]

Words = tuple[str, ...]
Captions = Mapping[str, tuple[Words, ...]]
"""The captions of each image, by its name."""


@dataclass(frozen=True)
class Split:
    """Images with their features, and their captions as word indices.

    Attributes
    ----------
    names : tuple of str
        The N images.
    features : Tensor, float32 or float16, shape (N, F) or (N, P, F)
        Their features.
    captions : Tensor, int64, shape (M, L)
        All captions, as :meth:`~rnnreport.data.vocabulary.CaptionVocabulary.encode` writes them.
    owners : Tensor, int64, shape (M,)
        Which image each caption is of.
    references : tuple
        The captions of each image as words, also words that the vocabulary does not have.
    variants : tuple of Tensor
        Features of other views of the images, in the same shape, to learn from.
    """

    names: tuple[str, ...]
    features: Tensor
    captions: Tensor
    owners: Tensor
    references: tuple[tuple[Words, ...], ...]
    variants: tuple[Tensor, ...] = ()

    @cached_property
    def lengths(self) -> Tensor:
        """How many words each caption has, with ``<START>`` and ``<END>``, shape (M,)."""
        return (self.captions != 0).sum(1)  # <NULL> is the first of the special words

    def between(self, start: int, stop: int | None = None) -> Split:
        """Return some of the images, with all their captions."""
        rows = range(len(self.names))[start:stop]
        chosen = (self.owners >= rows.start) & (self.owners < rows.stop)
        return Split(
            self.names[start:stop],
            self.features[start:stop],
            self.captions[chosen],
            self.owners[chosen] - rows.start,
            self.references[start:stop],
            tuple(variant[start:stop] for variant in self.variants),
        )


class Pools(NamedTuple):
    """The captions of the images of each part: to learn from, to choose by, to measure on."""

    train: Captions
    val: Captions
    test: Captions


class Splits(NamedTuple):
    """The three parts as a network takes them."""

    train: Split
    val: Split
    test: Split


class CaptionData(ABC):
    """Captions of images and features of these."""

    @property
    @abstractmethod
    def about(self) -> dict[str, Any]:
        """The description of the images that a result keeps."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of what stands among the images and is none."""
        return ()

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of all that decides the images, the captions and the features."""

    @abstractmethod
    def vocabulary(self, min_count: int) -> CaptionVocabulary:
        """Return the words that stand in the training captions at least so many times."""

    @abstractmethod
    def projection(self, *, places: bool) -> Projection:
        """Return the map from an image's features as they are to those that a network takes."""

    @abstractmethod
    def splits(self, vocabulary: CaptionVocabulary, *, places: bool, max_words: int) -> Splits:
        """Return all images of each part, as a network takes them.

        Raises
        ------
        ValueError
            If a caption has more than `max_words` words, or there are no features of places.
        """

    def altered(self, names: Sequence[str], *, places: bool) -> Tensor | None:  # noqa: ARG002
        """Return features of test images that were stored smaller, or None for images drawn."""
        return None

    @abstractmethod
    def image(self, name: str, size: int | None = None) -> Image.Image:
        """Return an image to look at.

        Raises
        ------
        KeyError
            If there is no such image, or no picture of it.
        """


class ImageData(CaptionData):
    """Captions and features of images that are at hand, each with a name."""

    @abstractmethod
    def pools(self) -> Pools:
        """Return the captions of all images, part by part."""

    @abstractmethod
    def features(self, names: Sequence[str], *, places: bool) -> Tensor:
        """Return the features of these images: (N, P, F) with `places`, else (N, F)."""

    def variants(self, names: Sequence[str], *, places: bool) -> tuple[Tensor, ...]:  # noqa: ARG002
        """Return features of other views of training images, for networks to learn from."""
        return ()

    def vocabulary(self, min_count: int) -> CaptionVocabulary:
        """Return the words that stand in the training captions at least so many times."""
        captions = (words for of_one in self.pools().train.values() for words in of_one)
        return CaptionVocabulary.build(captions, min_count)

    def splits(self, vocabulary: CaptionVocabulary, *, places: bool, max_words: int) -> Splits:
        """Return all images of each part, as a network takes them."""

        def split(pool: Captions) -> Split:
            names = tuple(pool)
            return Split(
                names,
                self.features(names, places=places),
                vocabulary.encode([words for name in names for words in pool[name]], max_words + 2),
                torch.tensor([row for row, name in enumerate(names) for _ in pool[name]]),
                tuple(pool.values()),
            )

        train, val, test = map(split, self.pools())
        return Splits(replace(train, variants=self.variants(train.names, places=places)), val, test)
