"""What modules accept, and in which numbers they compute."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_LOW = (torch.float16, torch.bfloat16)


def _casts(x: Tensor) -> bool:
    """Tell whether autocast is on where the tensor is; "meta" has none, and torch raises there."""
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def check_real(
    module: str, x: Tensor, weight: Tensor, *, error: type[Exception] = ValueError
) -> None:
    """Refuse an input of another dtype or device than the parameters, and complex numbers.

    Autocast may bring a lower dtype: there torch converts, and so do the modules. Of another dtype
    torch's cells raise another `error` than its modules.
    """
    if x.is_complex() and weight.is_complex():
        raise ValueError(
            f"{module} computes with real numbers, got {x.dtype}: the layers continue the formulas "
            "without conjugation, which is not what optimisers expect; use torch.nn for these"
        )
    cast = _casts(x) and x.is_floating_point()
    if x.dtype != weight.dtype and not cast:
        raise error(f"input must have the dtype of the parameters, {weight.dtype}, got {x.dtype}")
    if x.device != weight.device:
        raise RuntimeError(
            f"input must be on the device of the parameters, {weight.device}, got {x.device}"
        )


def check_features(x: Tensor, input_size: int) -> None:
    """Refuse an input with another number of features than the module takes."""
    if x.shape[-1] != input_size:
        raise RuntimeError(
            f"input must have input_size = {input_size} features along its last axis, got "
            f"{x.shape[-1]}"
        )


def check_state(name: str, state: Any, expected: tuple[int, ...], x: Tensor) -> None:
    """Refuse a state that does not fit the input."""
    if not isinstance(state, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(state).__name__}")
    if tuple(state.shape) != expected:
        raise RuntimeError(f"{name} must have shape {expected}, got {tuple(state.shape)}")
    cast = _casts(x) and state.is_floating_point()
    if state.dtype != x.dtype and not cast:
        raise RuntimeError(f"{name} must have the dtype of input, {x.dtype}, got {state.dtype}")
    if state.device != x.device:
        raise RuntimeError(f"{name} must be on the device of input, {x.device}, got {state.device}")


def working_dtypes(x: Tensor) -> tuple[torch.dtype, torch.dtype]:
    """Return the dtype to compute in and that of the results.

    Under autocast the results have the lower dtype, but see :func:`carried_dtype`.
    """
    compute = torch.float32 if x.dtype in _LOW else x.dtype
    if not _casts(x) or x.dtype == torch.float64:
        return compute, x.dtype
    return compute, torch.get_autocast_dtype(x.device.type)


def carried_dtype(results: torch.dtype, x: Tensor, state: Tensor | None) -> torch.dtype:
    """Return the dtype of a result that torch computes as a sum with a state.

    Autocast on the CPU lowers products only, so that the sum keeps the dtype of the state, which is
    that of the input if none is given.
    """
    if x.device.type != "cpu":
        return results
    return torch.promote_types(results, x.dtype if state is None else state.dtype)


def pair(hx: Any) -> tuple[Any, Any]:
    """Take the two states of an LSTM apart; none are given if there are none."""
    if hx is None:
        return None, None
    if not isinstance(hx, tuple | list):
        raise TypeError(
            f"hx must be a pair of tensors (h_0, c_0), got a single {type(hx).__name__}"
        )
    if len(hx) != 2:
        raise TypeError(f"hx must be a pair of tensors (h_0, c_0), got {len(hx)} of them")
    return hx[0], hx[1]
