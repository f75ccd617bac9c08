"""Rules of choices: which of two numbers is larger is drawn; what follows from it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from rnnreport.proof._bounds import LESS, MORE, NEITHER
from rnnreport.proof._dual import Dual
from rnnreport.proof._moves import axis_of, gather, where
from rnnreport.proof._tensor import Rule, rule

__all__ = ["absolute"]


@rule("gt")
def _gt(self: Dual, other: Dual) -> Tensor:
    return self.order() > other.order()


@rule("ge")
def _ge(self: Dual, other: Dual) -> Tensor:
    return self.order() >= other.order()


@rule("lt")
def _lt(self: Dual, other: Dual) -> Tensor:
    return self.order() < other.order()


@rule("le")
def _le(self: Dual, other: Dual) -> Tensor:
    return self.order() <= other.order()


@rule("eq")
def _eq(self: Dual, other: Dual) -> Tensor:
    return self.order() == other.order()


@rule("ne")
def _ne(self: Dual, other: Dual) -> Tensor:
    return self.order() != other.order()


@rule("isfinite")
def _isfinite(self: Dual) -> Tensor:
    return self.value.bounds[0] >= 0


@rule("isinf")
def _isinf(self: Dual) -> Tensor:
    return (self.value.bounds[0] == LESS) | (self.value.bounds[0] == MORE)


@rule("isnan")
def _isnan(self: Dual) -> Tensor:
    return self.value.bounds[0] == NEITHER


@rule("sign")
@rule("sgn")
def _sign(self: Dual) -> Tensor:
    return self.order().sign()


@rule("argmax")
def _argmax(self: Dual, dim: int | None = None, keepdim: bool = False) -> Tensor:
    return self.order().argmax(dim, keepdim)


@rule("argmin")
def _argmin(self: Dual, dim: int | None = None, keepdim: bool = False) -> Tensor:
    return self.order().argmin(dim, keepdim)


@rule("sort")
def _sort(
    self: Dual,
    dim: int = -1,
    descending: bool = False,
    *,
    stable: bool | None = None,  # noqa: ARG001
) -> tuple[Dual, Tensor]:
    place = self.order().argsort(stable=True, dim=dim, descending=descending)
    return gather(self, dim, place), place


@rule("topk")
def _topk(
    self: Dual,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002
) -> tuple[Dual, Tensor]:
    place = self.order().topk(k, dim, largest, sorted).indices
    return gather(self, dim, place), place


@rule("max")
def _max(
    self: Dual, dim: int | None = None, keepdim: bool = False, other: Dual | None = None
) -> Any:
    if other is not None:
        return _maximum(self, other)
    if dim is None:
        return _amax(self, range(len(self.shape)))
    return _chosen(self, dim, keepdim, self.order().argmax(dim, keepdim=True))


@rule("min")
def _min(
    self: Dual, dim: int | None = None, keepdim: bool = False, other: Dual | None = None
) -> Any:
    if other is not None:
        return _minimum(self, other)
    if dim is None:
        return _amin(self, range(len(self.shape)))
    return _chosen(self, dim, keepdim, self.order().argmin(dim, keepdim=True))


def _chosen(self: Dual, dim: int, keepdim: bool, place: Tensor) -> tuple[Dual, Tensor]:
    """Return the numbers at places along an axis, and these places."""
    most = gather(self, dim, place)
    if keepdim:
        return most, place
    axis = axis_of(dim, len(self.shape))
    return most.rearranged(lambda rows: rows.squeeze(axis)), place.squeeze(dim)


@rule("amax")
def _amax(self: Dual, dim: Sequence[int] = (), keepdim: bool = False) -> Dual:
    return _extreme(_max, self, dim, keepdim)


@rule("amin")
def _amin(self: Dual, dim: Sequence[int] = (), keepdim: bool = False) -> Dual:
    return _extreme(_min, self, dim, keepdim)


def _extreme(along: Rule, self: Dual, dim: Sequence[int], keepdim: bool) -> Dual:
    """Choose along several axes, one after the other."""
    if not self.shape:
        return self
    axes = [each % len(self.shape) for each in dim or range(len(self.shape))]
    for axis in axes:
        self, _ = along(self, axis, True)
    if keepdim:
        return self
    return self.rearranged(lambda rows: rows.squeeze(tuple(axis + 1 for axis in axes)))


@rule("maximum")
def _maximum(self: Dual, other: Dual) -> Dual:
    return where(_ge(self, other), self, other)


@rule("minimum")
def _minimum(self: Dual, other: Dual) -> Dual:
    return where(_le(self, other), self, other)


@rule("relu")
def _relu(self: Dual) -> Dual:
    zero = self.lift(0.0)
    return where(_gt(self, zero), self, zero)


@rule("clamp")
@rule("clamp_min")
@rule("clamp_max")
def _clamp(self: Dual, min: Dual | None = None, max: Dual | None = None) -> Dual:  # noqa: A002
    if min is not None:
        self = _maximum(self, min)
    return self if max is None else _minimum(self, max)


@rule("abs")
def absolute(self: Dual) -> Dual:
    """Return absolute values."""
    return where(_ge(self, self.lift(0.0)), self, -self)
