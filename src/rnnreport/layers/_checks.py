"""Checks of arguments: an error names the argument, what it is and what it must be."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.float64, torch.complex128)
INDEX_DTYPES = (torch.int64, torch.int32)


def check_shapes(arguments: Mapping[str, tuple[Tensor, str]]) -> dict[str, int]:
    """Bind axis letters to sizes and refuse what does not fit.

    Parameters
    ----------
    arguments
        For each argument's name, the tensor and its axes, as in ``"T N D"``. The first argument
        that uses a letter decides its size; ``4H`` is four times the size of ``H``.

    Returns
    -------
    dict
        The size of every letter.

    Raises
    ------
    TypeError
        If an argument is not a tensor.
    ValueError
        If an argument has the wrong number of axes, an axis of the wrong size, or an empty axis.
    """
    sizes: dict[str, int] = {}
    for name, (tensor, axes) in arguments.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")
        letters = axes.split()
        shape = tuple(tensor.shape)
        if len(shape) == len(letters):
            for letter, size in zip(letters, shape, strict=True):
                if not letter[0].isdigit():
                    sizes.setdefault(letter, size)
        wanted = [_expected(letter, sizes) for letter in letters]
        if len(shape) != len(letters) or any(
            want is not None and want != size for want, size in zip(wanted, shape, strict=True)
        ):
            numbers = ", ".join("any" if want is None else str(want) for want in wanted)
            raise ValueError(
                f"{name} must have shape ({', '.join(letters)}) = ({numbers}), got {shape}"
            )
        if 0 in shape:
            raise ValueError(
                f"{name} must have at least one element along every axis of "
                f"({', '.join(letters)}), got shape {shape}"
            )
    return sizes


def _expected(letter: str, sizes: Mapping[str, int]) -> int | None:
    """Size of an axis such as ``H`` or ``4H``; None while nothing has bound the letter."""
    digits = len(letter) - len(letter.lstrip("0123456789"))
    size = sizes.get(letter[digits:])
    return size if size is None or not digits else int(letter[:digits]) * size


def check_alike(reference: tuple[str, Tensor], **tensors: Tensor) -> None:
    """Refuse tensors whose dtype or device is not the reference's, and dtypes without support.

    Raises
    ------
    ValueError
        If the reference's dtype is not float32, float64 or complex128, or another argument's dtype
        or device differs from it.
    """
    name, like = reference
    if like.dtype not in DTYPES:
        allowed = ", ".join(str(dtype) for dtype in DTYPES)
        raise ValueError(f"{name} must have one of the dtypes {allowed}, got {like.dtype}")
    for other, tensor in tensors.items():
        if tensor.dtype != like.dtype:
            raise ValueError(
                f"{other} must have dtype {like.dtype} as {name} has, got {tensor.dtype}"
            )
        check_device(other, tensor, reference)


def check_device(name: str, tensor: Tensor, reference: tuple[str, Tensor]) -> None:
    """Refuse a tensor on another device than the reference's.

    Raises
    ------
    ValueError
        If the devices differ.
    """
    other, like = reference
    if tensor.device != like.device:
        raise ValueError(f"{name} must be on {like.device} as {other} is, got {tensor.device}")


def check_indices(name: str, indices: Tensor, limit: int, meaning: str) -> None:
    """Refuse indices of the wrong dtype or outside ``[0, limit)``; waits for a CUDA device.

    Raises
    ------
    ValueError
        If the dtype is neither int64 nor int32, or an index is out of range.
    """
    if indices.dtype not in INDEX_DTYPES:
        raise ValueError(f"{name} must have dtype torch.int64 or torch.int32, got {indices.dtype}")
    outside = (indices < 0) | (indices >= limit)
    if outside.any():
        where = tuple(outside.nonzero()[0].tolist())
        raise ValueError(
            f"{name} must hold {meaning} in [0, {limit}), "
            f"got {int(indices[where])} at index {where}"
        )
