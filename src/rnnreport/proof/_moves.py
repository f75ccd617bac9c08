"""Rules of operations that move numbers: views, copies, look-ups, and sums at given places."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rnnreport.proof._dual import Dual
from rnnreport.proof._field import Residues, widened
from rnnreport.proof._tensor import Refusal, rule, untouched, view

__all__ = ["axis_of", "cat", "gather", "joined", "ones_like", "where"]

# Views. The first axis of the rows is not the caller's.


def axis_of(dim: int, ndim: int) -> int:
    """Return the place among the rows' axes of one of `ndim` axes of the caller's."""
    return dim % max(1, ndim) + 1


@view("view")
@view("_unsafe_view")
@view("_reshape_alias")
def _view(rows: Tensor, size: Sequence[int], _stride: Any = None) -> Tensor:
    return rows.view(len(rows), *size)


@view("t")
def _t(rows: Tensor) -> Tensor:
    return rows.transpose(1, 2) if rows.ndim == 3 else rows.view_as(rows)


@view("transpose")
def _transpose(rows: Tensor, dim0: int, dim1: int) -> Tensor:
    return rows.transpose(axis_of(dim0, rows.ndim - 1), axis_of(dim1, rows.ndim - 1))


@view("permute")
def _permute(rows: Tensor, dims: Sequence[int]) -> Tensor:
    return rows.permute(0, *(axis_of(dim, rows.ndim - 1) for dim in dims))


@view("unsqueeze")
def _unsqueeze(rows: Tensor, dim: int) -> Tensor:
    return rows.unsqueeze(axis_of(dim, rows.ndim))


@view("squeeze")
def _squeeze(rows: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    if dim is None:
        dim = range(rows.ndim - 1)
    dims = [dim] if isinstance(dim, int) else dim
    axes = tuple(axis_of(each, rows.ndim - 1) for each in dims)
    return rows.squeeze(tuple(axis for axis in axes if rows.shape[axis] == 1))


@view("select")
def _select(rows: Tensor, dim: int, index: int) -> Tensor:
    return rows.select(axis_of(dim, rows.ndim - 1), index)


@view("slice")
def _slice(
    rows: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    place: list[slice] = [slice(None)] * rows.ndim
    place[axis_of(dim, rows.ndim - 1)] = slice(start, end, step)
    return rows[tuple(place)]


@view("expand")
def _expand(rows: Tensor, size: Sequence[int], *, implicit: bool = False) -> Tensor:  # noqa: ARG001
    return widened(rows, len(size)).expand(len(rows), *size)


@view("split")
def _split(rows: Tensor, split_size: int, dim: int = 0) -> list[Tensor]:
    return list(torch.split(rows, split_size, axis_of(dim, rows.ndim - 1)))


@view("split_with_sizes")
def _split_with_sizes(rows: Tensor, split_sizes: Sequence[int], dim: int = 0) -> list[Tensor]:
    return list(rows.split_with_sizes(split_sizes, axis_of(dim, rows.ndim - 1)))


@view("unbind")
def _unbind(rows: Tensor, dim: int = 0) -> list[Tensor]:
    return list(rows.unbind(axis_of(dim, rows.ndim - 1)))


@view("diagonal")
def _diagonal(rows: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    ndim = rows.ndim - 1
    return rows.diagonal(offset, axis_of(dim1, ndim), axis_of(dim2, ndim))


@view("unfold")
def _unfold(rows: Tensor, dimension: int, size: int, step: int) -> Tensor:
    return rows.unfold(axis_of(dimension, rows.ndim - 1), size, step)


@view("alias")
@view("detach")
@view("real")
@view("lift_fresh")
def _alias(rows: Tensor) -> Tensor:
    return rows.view_as(rows)


# Copies.


@rule("clone")
@rule("_to_copy")
def _clone(self: Dual, *, memory_format: Any = None, dtype: Any = None, **_kept: Any) -> Any:
    if dtype not in (None, torch.float64):
        if dtype.is_floating_point or dtype.is_complex or not self.is_constant():
            raise Refusal(f"a number is turned into {dtype}, which rounds: stay with float64")
        return self.order().to(dtype)
    keep = memory_format is None or memory_format == torch.preserve_format
    return self.rearranged(torch.clone if keep else _contiguous)


def _contiguous(rows: Tensor) -> Tensor:
    return rows.clone(memory_format=torch.contiguous_format)


@rule("copy")
def _copy(self: Dual, src: Dual, non_blocking: bool = False) -> Dual:  # noqa: ARG001
    return src


@rule("cat")
def cat(tensors: list[Dual], dim: int = 0) -> Dual:
    """Join along an axis."""
    ndim = max(len(each.shape) for each in tensors)
    # PyTorch leaves out what is empty and has another number of axes.
    kept = [each for each in tensors if len(each.shape) == ndim or 0 not in each.shape]
    return joined(kept, lambda rows: torch.cat(rows, axis_of(dim, ndim)))


@rule("stack")
def _stack(tensors: list[Dual], dim: int = 0) -> Dual:
    ndim = len(tensors[0].shape) + 1
    return joined(tensors, lambda rows: torch.stack(rows, axis_of(dim, ndim)))


def joined(tensors: list[Dual], join: Callable[[list[Tensor]], Tensor]) -> Dual:
    """Apply something that makes one tensor of several, to (rows, ...) of each."""
    field = tensors[0].field
    value = Residues(field, join([each.value.rows for each in tensors]))
    if all(each.tangent is None for each in tensors):
        return Dual(value)
    return Dual(value, Residues(field, join([each.moves().rows for each in tensors])))


@rule("flip")
def _flip(self: Dual, dims: Sequence[int]) -> Dual:
    axes = [axis_of(dim, len(self.shape)) for dim in dims]
    return self.rearranged(lambda rows: rows.flip(axes))


@rule("roll")
def _roll(self: Dual, shifts: Sequence[int], dims: Sequence[int] = ()) -> Dual:
    if not dims:
        flat = self.rearranged(lambda rows: rows.reshape(len(rows), -1).roll(shifts[0], 1))
        return flat.rearranged(lambda rows: rows.view(len(rows), *self.shape))
    axes = [axis_of(dim, len(self.shape)) for dim in dims]
    return self.rearranged(lambda rows: rows.roll(list(shifts), axes))


@rule("constant_pad_nd")
def _pad(self: Dual, pad: Sequence[int], value: Dual | None = None) -> Dual:
    if value is not None and bool(value.value.values.any()):
        raise Refusal("padding with another number than 0 has no rule")
    return self.rearranged(lambda rows: torch.nn.functional.pad(rows, list(pad)))


@rule("index", raw=("indices",))
def _index(self: Dual, indices: Sequence[Tensor | None]) -> Dual:
    places = _places(self, indices)
    return self.rearranged(lambda rows: rows.reshape(len(rows), -1)[:, places])


def _places(self: Dual, indices: Sequence[Tensor | None]) -> Tensor:
    """Return where the numbers that an index takes stand, counted along all axes."""
    # PyTorch itself is asked: with an axis ahead, several indices would move the axes.
    numbers = torch.arange(math.prod(self.shape)).view(self.shape)
    return numbers[tuple(slice(None) if each is None else each for each in indices)]


@rule("embedding", raw=("indices",))
def _embedding(weight: Dual, indices: Tensor, *_kept: Any, **_more: Any) -> Dual:
    return weight.rearranged(lambda rows: rows[:, indices])


@rule("index_select", raw=("index",))
def _index_select(self: Dual, dim: int, index: Tensor) -> Dual:
    axis = axis_of(dim, len(self.shape))
    return self.rearranged(lambda rows: rows.index_select(axis, index))


@rule("gather", raw=("index",))
def gather(self: Dual, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Dual:  # noqa: ARG001
    """Take numbers along an axis."""
    axis = axis_of(dim, len(self.shape))
    return self.rearranged(lambda rows: rows.gather(axis, index.expand(len(rows), *index.shape)))


@rule("masked_select", raw=("mask",))
def _masked_select(self: Dual, mask: Tensor) -> Dual:
    wide, _ = torch.broadcast_tensors(mask, torch.empty(self.shape))  # type: ignore[no-untyped-call]
    return self.broadcast(*wide.shape).rearranged(lambda rows: rows[:, wide])


@rule("repeat")
def _repeat(self: Dual, repeats: Sequence[int]) -> Dual:
    return self.rearranged(lambda rows: widened(rows, len(repeats)).repeat(1, *repeats))


@rule("tril")
def _tril(self: Dual, diagonal: int = 0) -> Dual:
    return self.rearranged(lambda rows: rows.tril(diagonal))


@rule("triu")
def _triu(self: Dual, diagonal: int = 0) -> Dual:
    return self.rearranged(lambda rows: rows.triu(diagonal))


@rule("diag_embed")
def _diag_embed(self: Dual, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Dual:
    ndim = len(self.shape) + 1
    axes = offset, axis_of(dim1, ndim), axis_of(dim2, ndim)
    return self.rearranged(lambda rows: torch.diag_embed(rows, *axes))


@rule("where", raw=("condition",))
def where(condition: Tensor, self: Dual, other: Dual) -> Dual:
    """Choose by a mask."""
    shapes = [condition.shape, self.shape, other.shape]
    ndim = max(map(len, shapes))
    padded = [(1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes]
    shape = tuple(0 if 0 in sizes else max(sizes) for sizes in zip(*padded, strict=True))
    return joined(
        [self.broadcast(*shape), other.broadcast(*shape)],
        lambda pair: torch.where(condition, pair[0], pair[1]),
    )


@rule("masked_fill", raw=("mask",))
def _masked_fill(self: Dual, mask: Tensor, value: Dual) -> Dual:
    return where(mask, value, self)


@rule("fill")
def _fill(self: Dual, value: Dual) -> Dual:
    return value.broadcast(*self.shape)


@rule("zero")
@rule("zeros_like")
def _zeros_like(self: Dual, **how: Any) -> Dual | Tensor:
    return _new_full(self, self.shape, 0, **how)


@rule("ones_like")
def ones_like(self: Dual, **how: Any) -> Any:
    """Return ones."""
    return _new_full(self, self.shape, 1, **how)


@rule("new_full", raw=("fill_value",))
def _new_full(
    self: Dual, size: Sequence[int], fill_value: float, *, dtype: Any = None, **_kept: Any
) -> Dual | Tensor:
    made = torch.full(tuple(size), fill_value, dtype=dtype or torch.float64)
    return self.lift(made) if made.dtype == torch.float64 else made


@rule("full_like", raw=("fill_value",))
def _full_like(self: Dual, fill_value: float, **how: Any) -> Dual | Tensor:
    return _new_full(self, self.shape, fill_value, **how)


@rule("new_zeros")
def _new_zeros(self: Dual, size: Sequence[int], **how: Any) -> Dual | Tensor:
    return _new_full(self, size, 0, **how)


@rule("new_ones")
def _new_ones(self: Dual, size: Sequence[int], **how: Any) -> Dual | Tensor:
    return _new_full(self, size, 1, **how)


@rule("empty_like")
def _empty_like(self: Dual, **how: Any) -> Dual | Tensor:
    return _new_empty(self, self.shape, **how)


@rule("new_empty")
@rule("new_empty_strided")
def _new_empty(
    self: Dual, size: Sequence[int], *_strides: Any, dtype: Any = None, **_kept: Any
) -> Dual | Tensor:
    if dtype in (None, torch.float64):
        return untouched(self.field, size)
    return torch.empty(tuple(size), dtype=dtype)


# Chance. What is drawn is data: it does not depend on the inputs.


@rule("rand_like")
def _rand_like(self: Dual, **_kept: Any) -> Dual:
    return self.lift(torch.rand(self.shape, dtype=torch.float64))


@rule("randn_like")
def _randn_like(self: Dual, **_kept: Any) -> Dual:
    return self.lift(torch.randn(self.shape, dtype=torch.float64))


@rule("bernoulli")
def _bernoulli(self: Dual, p: float = 0.5, *, generator: Any = None) -> Dual:
    # Odds that depend on the inputs decide which branch is drawn, and any may be.
    return self.lift(torch.full(self.shape, p, dtype=torch.float64).bernoulli(generator=generator))


# Sums at places.


@rule("index_add", raw=("index",))
def _index_add(self: Dual, dim: int, index: Tensor, source: Dual, alpha: Dual | float = 1) -> Dual:
    ahead = (slice(None),) * (axis_of(dim, len(self.shape)) - 1)
    total = self
    for k, place in enumerate(index.tolist()):
        here = (*ahead, place)
        total = _replaced(total, here, total.at(*here) + source.at(*ahead, k) * alpha)
    return total


@rule("index_put", raw=("indices", "accumulate"))
def _index_put(
    self: Dual, indices: Sequence[Tensor | None], values: Dual, accumulate: bool = False
) -> Dual:
    places = _places(self, indices)
    wide = values.broadcast(*places.shape).rearranged(lambda rows: rows.reshape(len(rows), -1))
    total = self.rearranged(lambda rows: rows.reshape(len(rows), -1))
    for k, number in enumerate(places.flatten().tolist()):
        here = (number,)
        new = wide.at(k)
        total = _replaced(total, here, new + total.at(*here) if accumulate else new)
    return total.rearranged(lambda rows: rows.view(len(rows), *self.shape))


@rule("scatter", raw=("index",))
def _scatter(
    self: Dual,
    dim: int,
    index: Tensor,
    src: Dual | None = None,
    value: Dual | None = None,
    *,
    reduce: str = "",
) -> Dual:
    new = value if src is None else src
    assert new is not None  # noqa: S101
    total = self
    for place in itertools.product(*map(range, index.shape)):
        here = list(place)
        here[dim] = int(index[place])
        one, there = new.at(*place) if new.shape else new, total.at(*here)
        if reduce:
            one = there + one if reduce == "add" else there * one
        total = _replaced(total, tuple(here), one)
    return total


@rule("scatter_add", raw=("index",))
def _scatter_add(self: Dual, dim: int, index: Tensor, src: Dual) -> Dual:
    return _scatter(self, dim, index, src, reduce="add")


def _replaced(total: Dual, here: tuple[Any, ...], new: Dual) -> Dual:
    """Return numbers with others at a place."""

    def replaced(pair: list[Tensor]) -> Tensor:
        rows = pair[0].clone()
        rows[(slice(None), *here)] = pair[1]
        return rows

    return joined([total, new], replaced)
