"""Bounds for polynomials, and what stands where there is no polynomial."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LESS", "MORE", "NEITHER", "UNKNOWN", "Bounds", "Column"]

Column = tuple[int, ...]
"""A number modulo each prime."""

LESS, MORE, NEITHER = -1, -2, -3
"""Degrees of what is no number: minus infinity, infinity, and what neither of them is."""


class Bounds(NamedTuple):
    """How large a polynomial may be.

    Attributes
    ----------
    degree
        In the inputs and the values of functions.
    poles
        In the reciprocals.
    halvings
        Its coefficients are whole numbers over this power of two.
    bits
        The logarithm to base 2 of the sum of their absolute values, times that power.
    """

    degree: int
    poles: int
    halvings: int
    bits: int

    def plus(self, other: Bounds) -> Bounds:
        """Bound the sum of two polynomials."""
        halvings = max(self.halvings, other.halvings)
        bits = max(self.bits - self.halvings, other.bits - other.halvings) + halvings + 1
        return Bounds(max(self.degree, other.degree), max(self.poles, other.poles), halvings, bits)

    def or_(self, other: Bounds) -> Bounds:
        """Bound each of two polynomials."""
        both = self.plus(other)
        return both._replace(bits=both.bits - 1)


UNKNOWN = Bounds(1, 0, 0, 0)
"""Those of an unknown."""
