"""Arithmetic modulo random primes, with a bound for the polynomial behind each number.

A number is the value of a polynomial at a random point, once for each of several primes. The
unknowns are the inputs, the values of functions such as tanh, and reciprocals. Bounds say how large
the polynomial is: its degree, its degree in the reciprocals alone, and how many bits its
coefficients have. With them the chance that something wrong looks right is computed, not guessed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["NO_NUMBER", "POINTS", "Field", "Point", "Residues"]

POINTS = 8
"""At how many points, each modulo a prime of its own, all is computed side by side."""

NO_NUMBER = -1
"""The degree of a place that holds no number, such as the infinity behind a sequence's end."""

_LEAST, _MOST = 2**30, 2**31
_PRIMES = 50_697_537  # so many lie between the two
_WITNESSES = (2, 3, 5, 7)  # with them, Miller's test is right below 3,215,031,751
_DEGREE, _POLES, _HALVINGS, _BITS = range(4)


class Point(ArithmeticError):
    """A division by zero: a point where nothing can be said. Another one is to be drawn."""


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


class Field:
    """Random primes, a random point, and a random function for each name.

    Parameters
    ----------
    seed
        Decides all of them.
    """

    def __init__(self, seed: int) -> None:
        self.moving = True  # whether tangents are computed
        self._random = random.Random(seed)  # noqa: S311
        self.primes = [self._prime() for _ in range(POINTS)]
        self._p = torch.tensor(self.primes)
        self._functions: dict[tuple[str, int, int], int] = {}
        self._order: dict[int, float] = {}
        self._arguments: dict[str, Bounds] = {}
        self._queries: dict[str, int] = {}
        self._poles: dict[tuple[int, ...], Bounds] = {}

    def modulus(self, ndim: int) -> Tensor:
        """Return the primes, to be broadcast against values with so many axes."""
        return self._p.view(POINTS, *(1,) * (ndim - 1))

    def unknown(self, shape: Sequence[int]) -> Residues:
        """Return unknowns of the polynomials: random numbers of degree 1."""
        generator = torch.Generator().manual_seed(self._random.getrandbits(63))
        values = [torch.randint(p, tuple(shape), generator=generator) for p in self.primes]
        bounds = torch.zeros(4, *shape, dtype=torch.int64)
        bounds[_DEGREE] = 1
        return Residues(self, torch.cat([torch.stack(values), bounds]))

    def constant(self, value: float | Tensor) -> Residues:
        """Return numbers as they are: a float is a whole number of some power of two, exactly."""
        numbers = torch.as_tensor(value)
        if numbers.dtype.is_floating_point:
            return self._fractions(numbers.double())
        whole = numbers.long()
        bounds = torch.zeros(4, *whole.shape, dtype=torch.int64)
        bounds[_BITS] = torch.frexp(whole.double()).exponent
        return Residues(self, torch.cat([whole % self.modulus(1 + whole.ndim), bounds]))

    def _fractions(self, numbers: Tensor) -> Residues:
        mantissa, exponent = torch.frexp(torch.where(numbers.isfinite(), numbers, 1.0))
        whole, exponent = (mantissa * 2**53).long(), exponent.long() - 53
        shift = torch.where(whole == 0, 0, exponent)
        while bool((halved := (whole != 0) & (whole % 2 == 0)).any()):
            whole, shift = torch.where(halved, whole // 2, whole), shift + halved
        powers = [
            torch.tensor([pow(2, int(e), p) for e in shift.flatten()]).view(numbers.shape)
            for p in self.primes
        ]
        p = self.modulus(1 + numbers.ndim)
        values = (whole % p) * torch.stack(powers).long() % p
        bounds = torch.zeros(4, *numbers.shape, dtype=torch.int64)
        bounds[_BITS] = torch.frexp(whole.double()).exponent + shift.clamp(min=0)
        bounds[_HALVINGS] = (-shift).clamp(min=0)
        bounds[_DEGREE] = torch.where(numbers.isfinite(), 0, NO_NUMBER)
        return Residues(self, torch.cat([values, bounds]))

    def function(self, name: str, argument: Residues) -> Residues:
        """Return the values of a random function: of the same argument always the same.

        The function of a polynomial is an unknown of its own, of degree 1.
        """
        table, draw = self._functions, self._random.randrange
        drawn = []
        for point, (p, row) in enumerate(
            zip(self.primes, argument.values.reshape(POINTS, -1).tolist(), strict=True)
        ):
            keys = [(name, point, value) for value in row]
            for key in keys:
                if key not in table:
                    table[key] = draw(p)
                    self._queries[name] = self._queries.get(name, 0) + (point == 0)
            drawn.append([table[key] for key in keys])
        self._note(name, argument)
        bounds = torch.zeros(4, *argument.shape, dtype=torch.int64)
        bounds[_DEGREE] = 1
        values = torch.tensor(drawn, dtype=torch.int64).view(POINTS, *argument.shape)
        return Residues(self, torch.cat([values, bounds]))

    def order(self, numbers: Residues) -> Tensor:
        """Return a random rank for each number: of the same number always the same.

        Which of two numbers is larger is a choice, and any choice will do. What is no number comes
        first.
        """
        ranks = [
            -1.0 if degree == NO_NUMBER else self._order.setdefault(value, self._random.random())
            for value, degree in zip(
                numbers.values[0].flatten().tolist(),
                numbers.bounds[_DEGREE].flatten().tolist(),
                strict=True,
            )
        ]
        return torch.tensor(ranks, dtype=torch.float64).view(numbers.shape)

    def doubt(self, difference: Residues) -> float:
        """Bound the chance that a function that is not zero is zero at all points.

        Parameters
        ----------
        difference
            The function, or several of which one at least is not zero.

        Returns
        -------
        float
            For each point the sum of three chances: that the polynomial, which is not zero, is
            zero there (Schwartz, 1980; Zippel, 1979); that two different arguments of a random
            function are the same number there, which makes one unknown of two; and that the prime
            divides a coefficient that is not zero. All of it to the power of the number of points.

        Raises
        ------
        ArithmeticError
            If the polynomial may be so large that the points say nothing.
        """
        chance = self._chance(_largest(difference))
        for name, count in self._queries.items():
            degree, poles, halvings, bits = self._arguments[name]
            two = Bounds(degree, poles, halvings, bits + 1)  # the difference of two arguments
            chance += math.comb(count, 2) * self._chance(two)
        if chance >= 1:
            raise ArithmeticError(
                f"the degree may be {self.cleared(difference).degree:,}, too large for primes near "
                f"{_MOST:,}: try a smaller problem"
            )
        return chance**POINTS

    def cleared(self, difference: Residues) -> Bounds:
        """Return the largest bounds of numbers that are multiplied by all their denominators."""
        return self._cleared(_largest(difference))

    def _chance(self, size: Bounds) -> float:
        """Bound the chance that a polynomial which is not zero is zero at a point."""
        whole = self._cleared(size)
        return whole.degree / _LEAST + whole.bits / math.log2(_LEAST) / _PRIMES

    def _cleared(self, size: Bounds) -> Bounds:
        """Multiply by the powers of all denominators; the last one may hold all earlier ones."""
        degree, poles, _, bits = size
        for pole in reversed(self._poles.values()):
            degree += poles * pole.degree
            bits += poles * pole.bits
            poles += poles * pole.poles
        return Bounds(degree, 0, 0, bits)

    def _note(self, name: str, argument: Residues) -> None:
        """Keep the largest bounds of the arguments that a function is asked for."""
        if argument.bounds[0].numel():
            seen = self._arguments.get(name, Bounds(0, 0, 0, 0))
            self._arguments[name] = Bounds(*map(max, _largest(argument), seen))

    def note_poles(self, numbers: Residues) -> None:
        """Keep the bounds of what is divided by."""
        columns = zip(*numbers.values.reshape(POINTS, -1).tolist(), strict=True)
        for column, bounds in zip(columns, numbers.bounds.reshape(4, -1).T.tolist(), strict=True):
            seen = self._poles.get(column, Bounds(0, 0, 0, 0))
            self._poles[column] = Bounds(*map(max, bounds, seen))

    def _prime(self) -> int:
        while not _is_prime(number := self._random.randrange(_LEAST + 1, _MOST, 2)):
            pass
        return number


class Residues:
    """Numbers modulo each prime, (points, ...), and the bounds of the functions behind them.

    Parameters
    ----------
    field
        Theirs.
    rows : Tensor, int64, shape (points + 4, ...)
        Values, then the four bounds.
    """

    __slots__ = ("field", "rows")

    def __init__(self, field: Field, rows: Tensor) -> None:
        self.field, self.rows = field, rows

    @property
    def values(self) -> Tensor:
        """The numbers, (points, ...)."""
        return self.rows[:POINTS]

    @property
    def bounds(self) -> Tensor:
        """The bounds, (4, ...)."""
        return self.rows[POINTS:]

    @property
    def shape(self) -> torch.Size:
        """The shape of the numbers at one point."""
        return self.rows.shape[1:]

    def __add__(self, other: Residues) -> Residues:
        a, b = _aligned(self, other)
        values = (a[:POINTS] + b[:POINTS]) % self.field.modulus(a.ndim)
        most = torch.maximum(a[POINTS:-1], b[POINTS:-1])
        halvings = most[_HALVINGS]  # of both, once they stand on one denominator
        bits = torch.maximum(a[-1] - a[-2], b[-1] - b[-2]) + halvings + 1
        return Residues(self.field, torch.cat([values, most, bits[None]]))

    def __neg__(self) -> Residues:
        values = -self.values % self.field.modulus(self.rows.ndim)
        return Residues(self.field, torch.cat([values, self.bounds]))

    def __sub__(self, other: Residues) -> Residues:
        return self + -other

    def __mul__(self, other: Residues) -> Residues:
        a, b = _aligned(self, other)
        values = a[:POINTS] * b[:POINTS] % self.field.modulus(a.ndim)
        return Residues(self.field, torch.cat([values, a[POINTS:] + b[POINTS:]]))

    def inverse(self) -> Residues:
        """Return 1 over each number: unknowns of their own, which the bounds know as poles.

        Raises
        ------
        Point
            If a number is zero at one of the points.
        """
        flat = self.values.reshape(POINTS, -1).tolist()
        try:
            inverted = [
                [pow(value, -1, p) for value in row]
                for p, row in zip(self.field.primes, flat, strict=True)
            ]
        except ValueError as error:
            raise Point("division by zero") from error
        self.field.note_poles(self)
        values = torch.tensor(inverted, dtype=torch.int64).view(self.values.shape)
        bounds = torch.zeros(4, *self.shape, dtype=torch.int64)
        bounds[_POLES] = 1
        return Residues(self.field, torch.cat([values, bounds]))

    def sum(self, dims: Sequence[int], keepdim: bool = False) -> Residues:
        """Add up along axes, which are counted from 0 without that of the points."""
        axes = [dim % max(1, len(self.shape)) + 1 for dim in dims]
        if not axes:
            return self
        count = math.prod(self.rows.shape[axis] for axis in axes)
        if not count:
            shape = self.rows.sum(axes, keepdim).shape
            return Residues(self.field, torch.zeros(shape, dtype=torch.int64))
        values = self.values.sum(axes, keepdim)
        values %= self.field.modulus(values.ndim)
        most = self.bounds[:-1].amax(axes, keepdim)
        bits = (self.bounds[-1:] - self.bounds[-2:-1]).amax(axes, keepdim) + most[-1:]
        return Residues(self.field, torch.cat([values, most, bits + (count - 1).bit_length()]))


def _largest(numbers: Residues) -> Bounds:
    return Bounds(*numbers.bounds.reshape(4, -1).amax(1).tolist())


def _aligned(*numbers: Residues) -> list[Tensor]:
    """Give all rows as many axes: those of the numbers are matched from the last one on."""
    ndim = max(each.rows.ndim for each in numbers)
    return [each.rows[(slice(None), *(None,) * (ndim - each.rows.ndim))] for each in numbers]


def _is_prime(number: int) -> bool:
    """Decide whether an odd number below 3,215,031,751 is prime (Miller, 1976)."""
    if any(number % small == 0 for small in _WITNESSES):
        return number in _WITNESSES
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_passes(number, witness, odd, twos) for witness in _WITNESSES)


def _passes(number: int, witness: int, odd: int, twos: int) -> bool:
    power = pow(witness, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False
