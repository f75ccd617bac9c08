"""Dual numbers: a value, and how it moves with the inputs by the rules of differentiation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, Union

import torch
from torch import Tensor

from rnnreport.proof._field import POINTS, Field, Residues, widened

__all__ = ["Dual", "Number"]

_ROWS = POINTS + 4

Number: TypeAlias = Union["Dual", Tensor, float]


class Dual:
    """Numbers with their tangents: how fast each moves when the inputs move in a direction.

    Parameters
    ----------
    value
        The numbers.
    tangent
        Their tangents, of the same shape, along each of the field's directions; of constants there
        are none.
    """

    __slots__ = ("tangent", "value")

    def __init__(self, value: Residues, tangent: Residues | None = None) -> None:
        self.value, self.tangent = value, tangent

    @classmethod
    def unpack(cls, rows: Tensor, field: Field) -> Dual:
        """Take apart what :meth:`pack` has put together."""
        value = Residues(field, rows[:_ROWS])
        moves = bool(field.directions) and len(rows) > _ROWS
        return cls(value, Residues(field, rows[_ROWS:]) if moves else None)

    def pack(self) -> Tensor:
        """Lay numbers, and tangents where anything moves, in one tensor of integers, (rows, ...).

        It is memory of its own: what is written there changes no other number.
        """
        if not self.field.directions:
            return self.value.rows.clone(memory_format=torch.contiguous_format)
        return torch.cat([self.value.rows, self.moves().rows])

    def moves(self) -> Residues:
        """Return the tangents: zeros, where there are none."""
        if self.tangent is not None:
            return self.tangent
        count = self.field.directions * POINTS + 4
        return Residues(self.field, torch.zeros(count, *self.shape, dtype=torch.int64))

    @property
    def field(self) -> Field:
        """The field that computes."""
        return self.value.field

    @property
    def shape(self) -> torch.Size:
        """The shape of the numbers."""
        return self.value.shape

    def lift(self, other: Number) -> Dual:
        """Return a number of Python, or a tensor of constants, as dual numbers."""
        return other if isinstance(other, Dual) else Dual(self.field.constant(other))

    def __neg__(self) -> Dual:
        return Dual(-self.value, None if self.tangent is None else -self.tangent)

    def __add__(self, other: Number) -> Dual:
        other = self.lift(other)
        value = self.value + other.value
        return Dual(value, _spread(_sum(self.tangent, other.tangent), value))

    def __radd__(self, other: Number) -> Dual:
        return self + other

    def __sub__(self, other: Number) -> Dual:
        return self + -self.lift(other)

    def __rsub__(self, other: Number) -> Dual:
        return self.lift(other) - self

    def __mul__(self, other: Number) -> Dual:
        other = self.lift(other)
        left = None if self.tangent is None else self.tangent * other.value
        right = None if other.tangent is None else self.value * other.tangent
        value = self.value * other.value
        return Dual(value, _spread(_sum(left, right), value))

    def __rmul__(self, other: Number) -> Dual:
        return self * other

    def __truediv__(self, other: Number) -> Dual:
        return self * self.lift(other).reciprocal()

    def __rtruediv__(self, other: Number) -> Dual:
        return self.lift(other) / self

    def __pow__(self, exponent: int) -> Dual:
        if exponent < 0:
            return self.reciprocal() ** -exponent
        power, square = self.lift(1.0), self
        while exponent:
            power = power * square if exponent % 2 else power
            exponent //= 2
            square = square * square if exponent else square
        return power

    def reciprocal(self) -> Dual:
        """Return 1 over each number."""
        inverse = self.value.inverse()
        if self.tangent is None:
            return Dual(inverse)
        return Dual(inverse, -(self.tangent * inverse * inverse))

    def function(self, name: str, slope: Callable[[Dual, Dual], Number]) -> Dual:
        """Apply a function of which nothing is known but its derivative.

        Parameters
        ----------
        name
            Functions of the same name are the same function.
        slope
            Its derivative, of the argument and of the function's value there.
        """
        value = self.field.function(name, self.value)
        if self.tangent is None:
            return Dual(value)
        here = self.lift(slope(Dual(self.value), Dual(value)))
        return Dual(value, self.tangent * here.value)

    def sum(self, dims: Sequence[int], keepdim: bool = False) -> Dual:
        """Add up along axes."""
        tangent = None if self.tangent is None else self.tangent.sum(dims, keepdim)
        return Dual(self.value.sum(dims, keepdim), tangent)

    def at(self, *place: Any) -> Dual:
        """Return the numbers at a place: an index or a slice for each axis."""
        return self.rearranged(lambda rows: rows[(slice(None), *place)])

    def broadcast(self, *shape: int) -> Dual:
        """Repeat the numbers along new axes and axes of size 1."""
        return self.rearranged(lambda rows: widened(rows, len(shape)).expand(len(rows), *shape))

    def rearranged(self, f: Callable[[Tensor], Tensor]) -> Dual:
        """Apply something that moves, copies or drops numbers, to (rows, ...)."""
        tangent = None if self.tangent is None else Residues(self.field, f(self.tangent.rows))
        return Dual(Residues(self.field, f(self.value.rows)), tangent)

    def __matmul__(self, other: Dual) -> Dual:
        """Multiply stacks of matrices, (..., I, K) and (..., K, J)."""
        left, right = (
            self.at(..., slice(None), slice(None), None),
            other.at(..., None, slice(None), slice(None)),
        )
        product = left * right
        return product.sum([len(product.shape) - 2])

    def is_constant(self) -> bool:
        """Return whether no number depends on anything unknown, or is divided by."""
        return not bool(self.value.bounds[:2].any())

    def order(self) -> Tensor:
        """Return a rank for each number; see :meth:`Field.order`."""
        return self.field.order(self.value)


def _sum(one: Residues | None, other: Residues | None) -> Residues | None:
    if one is None:
        return other
    return one if other is None else one + other


def _spread(tangent: Residues | None, value: Residues) -> Residues | None:
    """Give tangents the shape of the numbers, where constants have more axes."""
    if tangent is None or tangent.shape == value.shape:
        return tangent
    rows = widened(tangent.rows, len(value.shape))
    return Residues(tangent.field, rows.expand(len(rows), *value.shape))
