"""Word evidence: what the features of an image say about the words of its captions.

Eight hundred photographs are too few to learn from their captions, word by word, which of a
thousand features matter. Ridge regression (Hoerl and Kennard, 1970) has an answer in closed form:
the linear map from features to the shares of an image's captions that hold each word. Its output
tells a network more than as many principal components, which know nothing of captions. It is close
to the attributes of You et al. (2016).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from rnnreport.data.features import Projection, project, standardise, statistics

__all__ = ["WordEvidence", "fit_word_evidence", "word_shares"]

Caption = Sequence[str]


@dataclass(frozen=True)
class WordEvidence:
    """Linear maps from features to evidence of words.

    A regression knows the images that it was fitted on too well. A network that learned from its
    output there would trust it too much elsewhere. So the training images are cut into folds, and
    each fold is described by a regression that was fitted on the others.

    Attributes
    ----------
    whole : Projection
        Fitted on all training images: for images that are not among them.
    folds : tuple of Projection
        Fitted on the images outside each fold.
    fold : Tensor, int64, shape (N,)
        The fold of each training image.
    """

    whole: Projection
    folds: tuple[Projection, ...]
    fold: Tensor

    def training(self, features: Tensor) -> Tensor:
        """Describe the training images, each by the regression that has not seen it.

        Parameters
        ----------
        features : Tensor, shape (N, F) or (N, P, F)
            Features of the training images in their order, or of P places of each.

        Returns
        -------
        Tensor, shape (N, K) or (N, P, K)
            The evidence.
        """
        out = features.new_empty(*features.shape[:-1], self.whole.basis.shape[1])
        for number, projection in enumerate(self.folds):
            out[self.fold == number] = project(features[self.fold == number], projection)
        return out


def fit_word_evidence(
    features: Tensor,
    shares: Tensor,
    size: int,
    *,
    ridge: float = 5.0,
    folds: int = 10,
    generator: Generator,
) -> WordEvidence:
    r"""Fit ridge regressions from features to words.

    With the standardised features X and the shares Y less their means, the weights are

    .. math:: W = X^\top (X X^\top + \lambda I)^{-1} Y .

    The evidence of all words is reduced to the K directions along which it varies most over the
    training images.

    Parameters
    ----------
    features : Tensor, float32, shape (N, F)
        Features of the training images.
    shares : Tensor, float32, shape (N, W)
        From :func:`word_shares`.
    size
        K, at least 1 and at most W.
    ridge
        :math:`\lambda / F`, positive: the larger, the less single images count.
    folds
        At least 2 and at most N.
    generator
        Deals the images to the folds.

    Returns
    -------
    WordEvidence
        All maps in the same K directions, in shares of captions.

    Raises
    ------
    ValueError
        If a size is out of its range or the numbers of rows differ.
    """
    count, width = features.shape
    if len(shares) != count:
        raise ValueError(f"shares must have {count} rows as features has, got {len(shares)}")
    for name, value, least, most in (
        ("size", size, 1, shares.shape[1]),
        ("folds", folds, 2, count),
    ):
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most}, got {value}")
    if not ridge > 0:
        raise ValueError(f"ridge must be positive, got {ridge}")
    moments = statistics(features)
    x, y = standardise(features, moments).double(), shares.double()
    gram = x @ x.T

    def weights(rows: Tensor) -> Tensor:
        centred = y[rows] - y[rows].mean(0)
        penalty = ridge * width * torch.eye(len(rows), dtype=x.dtype)
        solved: Tensor = torch.linalg.solve(gram[rows][:, rows] + penalty, centred)
        return x[rows].T @ solved

    images = torch.arange(count)
    of_all = weights(images)
    _, _, directions = torch.linalg.svd(x @ of_all, full_matrices=False)  # rows, largest first
    leading = directions[:size].T
    fold = torch.randperm(count, generator=generator) % folds
    bases = [
        of_all @ leading,
        *(weights(images[fold != number]) @ leading for number in range(folds)),
    ]
    one = torch.ones((), dtype=features.dtype)
    whole, *others = (Projection(moments, basis.to(one.dtype), one) for basis in bases)
    return WordEvidence(whole, tuple(others), fold)


def word_shares(captions: Sequence[Sequence[Caption]], min_images: int = 8) -> Tensor:
    """Count for each image the share of its captions that hold each word.

    Parameters
    ----------
    captions
        The captions of each of N images.
    min_images
        In the captions of how many images a word must stand to count.

    Returns
    -------
    Tensor, float32, shape (N, W)
        The shares, frequent words first.

    Raises
    ------
    ValueError
        If no word stands in the captions of so many images.
    """
    counts = Counter(word for of_one in captions for word in {w for c in of_one for w in c})
    words = [word for word, count in counts.most_common() if count >= min_images]
    if not words:
        raise ValueError(f"captions must hold a word of at least {min_images} images, got none")
    column = {word: number for number, word in enumerate(words)}
    shares = torch.zeros(len(captions), len(words))
    for row, of_one in enumerate(captions):
        for caption in of_one:
            for word in set(caption) & column.keys():
                shares[row, column[word]] += 1 / len(of_one)
    return shares
