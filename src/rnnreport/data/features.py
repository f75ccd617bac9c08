"""Image features: one vector of numbers for each image.

Real photographs get the features of a network trained on ImageNet. A generated scene is described
by the colours of a coarse grid laid over it: features that no network has learned, and that are
called pixel features wherever they are used.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from rnnreport.data.views import to_tensor

__all__ = [
    "Projection",
    "Statistics",
    "feature_maps",
    "pixel_features",
    "pixel_patches",
    "principal_components",
    "project",
    "standard",
    "standardise",
    "statistics",
]


class Statistics(NamedTuple):
    """Mean and spread of each feature over some images.

    Attributes
    ----------
    mean : Tensor, (F,)
        Mean of each feature.
    std : Tensor, (F,)
        Its standard deviation; 1 where the feature is the same for all images.
    """

    mean: Tensor
    std: Tensor


def feature_maps(
    images: Iterable[Image.Image], network: nn.Module, side: int, *, batch_size: int = 4
) -> Iterator[Tensor]:
    """Compute the last feature map of a network trained on ImageNet.

    The whole image is scaled to a square, whatever its shape, and normalised by ImageNet's mean and
    standard deviation. A caption may speak of anything in it, so nothing is cut off.

    Parameters
    ----------
    images
        Images in RGB, of any size; read one batch at a time.
    network
        From images (N, 3, side, side) to maps (N, F, h, w), on any device.
    side
        Of the square, in pixels.
    batch_size
        How many images pass through the network at once; few stay in a processor's cache.

    Yields
    ------
    Tensor, float32, (at most `batch_size`, h · w, F)
        The features of each place, row by row, on the network's device: one tensor a batch. Their
        mean over the places describes the image as a whole.
    """
    device = next(network.parameters()).device
    for batch in _batches(images, batch_size):
        squares = [image.resize((side, side), Image.Resampling.BILINEAR) for image in batch]
        pixels = torch.stack(list(map(to_tensor, squares))).to(device)
        with torch.no_grad():
            maps: Tensor = network(pixels)
        yield maps.flatten(2).transpose(1, 2)


def pixel_features(images: Tensor, *, grid: int = 12) -> Tensor:
    """Describe images by the mean colour of each cell of a grid.

    Parameters
    ----------
    images : Tensor, (N, 3, S, S)
        Images; S is a multiple of `grid`.
    grid
        Cells along a side.

    Returns
    -------
    Tensor, (N, 3 · grid²)
        The mean colours, channel by channel, row by row.

    Raises
    ------
    ValueError
        If the images have another shape, or S is not a multiple of `grid`.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images must have shape (N, 3, S, S), got {tuple(images.shape)}")
    side = images.shape[2]
    if grid < 1 or side % grid:
        raise ValueError(f"grid must be a divisor of the images' side {side}, got {grid}")
    return nn.functional.avg_pool2d(images, side // grid).flatten(1)


def pixel_patches(images: Tensor, *, grid: int = 6, cells: int = 4) -> Tensor:
    """Describe the places of images by the mean colours in each.

    Parameters
    ----------
    images : Tensor, (N, 3, S, S)
        Images; S is a multiple of `grid` · `cells`.
    grid
        Places along a side.
    cells
        Cells along the side of a place.

    Returns
    -------
    Tensor, (N, grid², 3 · cells²)
        For each place, row by row, the mean colours of its cells, channel by channel.

    Raises
    ------
    ValueError
        If the images have another shape, or S is not such a multiple.
    """
    fine = pixel_features(images, grid=grid * cells)
    squares = fine.view(len(fine), 3, grid, cells, grid, cells)
    return squares.permute(0, 2, 4, 1, 3, 5).reshape(len(fine), grid**2, 3 * cells**2)


def statistics(features: Tensor) -> Statistics:
    """Return the mean and the standard deviation of each feature.

    Parameters
    ----------
    features : Tensor, (N, F)
        Features of N images, at least one.

    Returns
    -------
    Statistics
        Two tensors of shape (F,).

    Raises
    ------
    ValueError
        If `features` is not a matrix with at least one row.
    """
    _check_matrix(features)
    std, mean = torch.std_mean(features, dim=0, correction=0)
    # Rounding leaves a constant feature a tiny spread, and dividing by that would blow it up.
    constant = std <= 1e-6 * features.abs().amax(dim=0)
    return Statistics(mean, torch.where(constant, torch.ones_like(std), std))


def standardise(features: Tensor, moments: Statistics) -> Tensor:
    """Shift and scale features by the statistics of (usually) the training images.

    Parameters
    ----------
    features : Tensor, (N, F)
        Features of any images.
    moments
        From :func:`statistics`.

    Returns
    -------
    Tensor, (N, F)
        ``(features - mean) / std``.

    Raises
    ------
    ValueError
        If `features` is not a matrix of as many columns as the statistics have entries.
    """
    _check_matrix(features)
    if features.shape[1:] != moments.mean.shape:
        raise ValueError(
            f"features must have {moments.mean.numel()} columns as the statistics have entries, "
            f"got {features.shape[1]}"
        )
    return (features - moments.mean) / moments.std


class Projection(NamedTuple):
    """A linear map of standardised features.

    Attributes
    ----------
    moments : Statistics
        Mean and spread of each of the F features.
    basis : Tensor, (F, K)
        The map.
    """

    moments: Statistics
    basis: Tensor


def standard(features: Tensor) -> Projection:
    """Return the projection that standardises features and does no more.

    Parameters
    ----------
    features : Tensor, (N, F)
        Features of N images or places, at least one.

    Raises
    ------
    ValueError
        If `features` is not a matrix with at least one row.
    """
    return Projection(statistics(features), torch.eye(features.shape[1], dtype=features.dtype))


def principal_components(features: Tensor, size: int) -> Projection:
    r"""Return the projection to the directions along which features vary most.

    With the eigenvectors U of their covariance and its trace :math:`\sigma^2`, features become
    :math:`(\phi - \mu)\, U \sqrt{K} / \sigma`: of K numbers, each has a variance of about 1.

    Parameters
    ----------
    features : Tensor, (N, F)
        Features of N images or places, at least one.
    size
        K, at least 1; at most F directions are taken.

    Returns
    -------
    Projection
        The largest variance first.

    Raises
    ------
    ValueError
        If `features` is not a matrix with at least one row, or `size` is below 1.
    """
    _check_matrix(features)
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    mean = features.mean(0)
    centred = features - mean
    covariance = (centred.T @ centred).double() / len(features)
    values, vectors = torch.linalg.eigh(covariance)  # the smallest first
    basis = vectors[:, -size:].flip(1)
    spread = values.clamp(min=0).sum().sqrt()
    scale = math.sqrt(basis.shape[1]) / spread if spread > 0 else 1.0
    return Projection(Statistics(mean, torch.ones_like(mean)), (basis * scale).to(features.dtype))


def project(features: Tensor, projection: Projection) -> Tensor:
    """Standardise features and map them.

    Parameters
    ----------
    features : Tensor, (N, F) or (N, P, F)
        Features of images, or of P places of each.
    projection
        Of as many features.

    Returns
    -------
    Tensor, (N, K) or (N, P, K)
        The output of the map.

    Raises
    ------
    ValueError
        If the features are not as many as the projection has.
    """
    flat = standardise(features.reshape(-1, features.shape[-1]), projection.moments)
    return (flat @ projection.basis).view(*features.shape[:-1], -1)


def _check_matrix(features: Tensor) -> None:
    if features.ndim != 2 or not features.shape[0]:
        raise ValueError(f"features must have shape (N, F), N > 0, got {tuple(features.shape)}")


def _batches(images: Iterable[Image.Image], size: int) -> Iterator[list[Image.Image]]:
    rest = iter(images)
    while batch := list(islice(rest, size)):
        yield batch
