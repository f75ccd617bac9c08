"""Arithmetic modulo random primes, with a bound for the polynomial behind each number.

A number is the value of a polynomial at a random point, once for each of several primes: its
*column*. The unknowns are the inputs, the values of functions such as tanh, and reciprocals. Bounds
say how large the polynomial is: its degree, its degree in the reciprocals alone, and how many bits
its coefficients have. With them the chance that something wrong looks right is computed, not
guessed.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from rnnreport.proof._bounds import LESS, MORE, NEITHER, UNKNOWN, Bounds, Column
from rnnreport.proof._oracle import Oracle

__all__ = ["POINTS", "Field", "Point", "Residues", "widened"]

POINTS = 8
"""At how many points, each modulo a prime of its own, all is computed side by side."""

_LEAST, _MOST = 2**30, 2**31
_PRIMES = 50_697_537  # so many lie between the two
_WITNESSES = (2, 3, 5, 7)  # with them, Miller's test is right below 3,215,031,751
_DEGREE, _POLES, _HALVINGS, _BITS = range(4)
_TOO_LARGE = 2**60  # of a bound; the sum of two such is still an integer of 64 bits


class Point(ArithmeticError):
    """A division by zero: a point where nothing can be said. Another one is to be drawn."""


class Field:
    """Random primes, a random point, and what has been looked up there.

    Parameters
    ----------
    seed
        Decides primes and points.
    choice
        Decides which of two numbers is larger.
    """

    def __init__(self, seed: object, choice: object = 0) -> None:
        self.directions = 1  # along so many, tangents are computed
        self.refusal: TypeError | None = None  # the last one
        self.infinite = False  # whether there is something that is no number
        self.random = random.Random(f"point {seed}")  # noqa: S311
        self._choice = random.Random(f"choice {choice}")  # noqa: S311
        self.primes = [self._prime() for _ in range(POINTS)]
        self._p = torch.tensor(self.primes)
        self._constants: dict[str, Residues] = {}
        self._ranks: dict[Column, float] = {}
        self._poles: dict[Column, Bounds] = {}
        self._looked_up, self._largest = 0, UNKNOWN
        self._oracle = Oracle(self)

    @property
    def chose(self) -> bool:
        """Whether anything hung on which of two numbers is larger."""
        return bool(self._ranks)

    def modulus(self, ndim: int) -> Tensor:
        """Return the primes, to be broadcast against values with so many axes."""
        return self._p.view(POINTS, *(1,) * (ndim - 1))

    def unknown(self, shape: Sequence[int]) -> Residues:
        """Return unknowns of the polynomials: random numbers of degree 1."""
        count, below = math.prod(shape), self.random.randrange
        return self.residues(
            [[below(p) for p in self.primes] for _ in range(count)], UNKNOWN, shape
        )

    def residues(
        self,
        columns: Sequence[Sequence[int]],
        bounds: Bounds | Sequence[Bounds],
        shape: Sequence[int] = (),
    ) -> Residues:
        """Lay columns and their bounds, all the same or one for each, in a tensor."""
        if isinstance(bounds, Bounds):
            bounds = [bounds] * len(columns)
        numbers = [[*column, *size] for column, size in zip(columns, bounds, strict=True)]
        rows = torch.tensor(numbers, dtype=torch.int64).view(*shape, POINTS + 4)
        return Residues(self, rows.movedim(-1, 0).contiguous())

    def constant(self, value: float | Tensor) -> Residues:
        """Return numbers as they are: a float is a whole number of some power of two, exactly."""
        if isinstance(value, Tensor):
            return self._constant(value)
        key = repr(value)  # 1 and 1.0 have the same value and may differ in kind
        if key not in self._constants:
            kind = None if isinstance(value, int) else torch.float64  # whatever the default is
            self._constants[key] = self._constant(torch.as_tensor(value, dtype=kind))
        return self._constants[key]

    def _constant(self, numbers: Tensor) -> Residues:
        if numbers.dtype.is_floating_point:
            return self._fractions(numbers.double())
        whole = numbers.long()
        bounds = torch.zeros(4, *whole.shape, dtype=torch.int64)
        bounds[_BITS] = torch.frexp(whole.double()).exponent
        return Residues(self, torch.cat([whole % self.modulus(1 + whole.ndim), bounds]))

    def _fractions(self, numbers: Tensor) -> Residues:
        finite = numbers.isfinite()
        mantissa, exponent = torch.frexp(torch.where(finite, numbers, 0.0))
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
        if not bool(finite.all()):
            self.infinite = True
            kind = torch.where(numbers < 0, LESS, torch.where(numbers > 0, MORE, NEITHER))
            bounds[_DEGREE] = torch.where(finite, 0, kind)
        return Residues(self, torch.cat([values, bounds]))

    def function(self, name: str, argument: Residues) -> Residues:
        """Return the values of a function of which nothing is known but its derivative."""
        return self._oracle(name, argument)

    def order(self, numbers: Residues) -> Tensor:
        """Return a rank for each number: of the same number always the same.

        Constants have the order that they have. Where an unknown stands among them is a choice, and
        any will do.
        """
        ranks = [self._rank(column, bounds) for column, bounds in numbers.columns()]
        return torch.tensor(ranks, dtype=torch.float64).view(numbers.shape)

    def _rank(self, column: Column, bounds: Bounds) -> float:
        if bounds.degree < 0:
            return {LESS: -math.inf, MORE: math.inf}.get(bounds.degree, math.nan)
        if not any(column):
            self.look_up(bounds, new=False)
            return 0.0
        if bounds.degree == bounds.poles == 0 and bounds.bits < math.log2(_LEAST) * POINTS // 2:
            return float(self._whole(column, bounds.halvings) / 2**bounds.halvings)
        new = column not in self._ranks
        self.look_up(bounds, new=new)
        if new:
            size, sign = 2.0 ** self._choice.gauss(0, 4), self._choice.choice((-1, 1))
            minus = tuple(-value % p for value, p in zip(column, self.primes, strict=True))
            self._ranks[column], self._ranks[minus] = sign * size, -sign * size
        return self._ranks[column]

    def _whole(self, column: Column, halvings: int) -> int:
        """Return a constant, times a power of two, from its residues (Chinese remainders)."""
        whole, product = 0, 1
        for p, residue in zip(self.primes, column, strict=True):
            if product % p:
                wanted = residue * pow(2, halvings, p) - whole
                whole += product * (wanted * pow(product, -1, p) % p)
                product *= p
        return whole if 2 * whole < product else whole - product

    def look_up(self, *numbers: Bounds, new: bool = True) -> None:
        """Note that a number is told from others by its column alone.

        Parameters
        ----------
        numbers
            Bounds of it, and of what is kept with it.
        new
            Whether its column was not known.
        """
        self._looked_up += new
        for bounds in numbers:
            self._largest = self._largest.or_(bounds)

    def doubt(self, difference: Residues) -> float:
        """Bound the chance that a function that is not zero is zero at all points.

        Parameters
        ----------
        difference
            The function, or several of which one at least is not zero.

        Returns
        -------
        float
            The sum of two chances: that the polynomial, which is not zero, is zero at every point;
            and that two different numbers which are looked up, as arguments of functions are, have
            the same column. The points are independent, so that either is a power of the chance at
            one of them.

        Raises
        ------
        ArithmeticError
            If the polynomial may be so large that the points say nothing.
        """
        size = _bounds_of(difference)
        # z ± log q against an argument a: no difference that is looked up has more terms.
        largest = self._largest.plus(self._largest).plus(self._largest)
        chance, mistaken = self._chance(size), self._chance(largest)
        if max(chance, mistaken) > 0.5:
            raise ArithmeticError(
                f"the degree may be {self.cleared(difference).degree:.0e}, too large for primes "
                f"near {_MOST:,}: try a smaller problem"
            )
        # Each is compared with all others, shifted by plus or minus each of them, and in no more
        # than six other ways.
        pairs = self._looked_up**2 * (2 * self._looked_up + 6)
        return chance**POINTS + pairs * mistaken**POINTS

    def cleared(self, difference: Residues) -> Bounds:
        """Return the largest bounds of numbers that are multiplied by all their denominators."""
        return self._cleared(_bounds_of(difference))

    def _chance(self, size: Bounds) -> float:
        """Bound the chance that a polynomial which is not zero is zero at a point.

        It is zero modulo the prime, if this divides every coefficient, or has a zero there
        (Schwartz, 1980; Zippel, 1979). No random number has any value with a larger chance than
        one in the least prime minus 1.
        """
        whole = self._cleared(size)
        if max(whole) >= _LEAST:
            return 1.0
        return whole.degree / _LEAST + whole.bits / math.log2(_LEAST) / _PRIMES

    def _cleared(self, size: Bounds) -> Bounds:
        """Multiply by the powers of all denominators; the last one may hold all earlier ones."""
        degree, poles, _, bits = size
        for pole in reversed(self._poles.values()):
            degree += poles * pole.degree
            # Terms without the pole get its coefficients, terms with it its power of two.
            bits += poles * max(pole.bits, pole.halvings)
            poles += poles * pole.poles
        return Bounds(degree, 0, 0, bits)

    def note_pole(self, column: Column, bounds: Bounds) -> None:
        """Keep the bounds of what is divided by."""
        new = column not in self._poles
        self.look_up(bounds, new=new)
        if new:
            self._poles[column] = bounds

    def _prime(self) -> int:
        while not _is_prime(number := self.random.randrange(_LEAST + 1, _MOST, 2)):
            pass
        return number


class Residues:
    """Numbers modulo each prime, and the bounds of the functions behind them.

    Tangents are such numbers for each of several directions, whose bounds they share.

    Parameters
    ----------
    field
        Theirs.
    rows : Tensor, int64, shape (directions * points + 4, ...)
        Values, then the four bounds.
    """

    __slots__ = ("field", "rows")

    def __init__(self, field: Field, rows: Tensor) -> None:
        self.field, self.rows = field, rows

    @property
    def values(self) -> Tensor:
        """The numbers, (directions, points, ...)."""
        directions = (len(self.rows) - 4) // POINTS
        return self.rows[:-4].view(directions, POINTS, *self.shape)

    @property
    def bounds(self) -> Tensor:
        """The bounds, (4, ...)."""
        return self.rows[-4:]

    @property
    def shape(self) -> torch.Size:
        """The shape of the numbers at one point."""
        return self.rows.shape[1:]

    def columns(self) -> Iterator[tuple[Column, Bounds]]:
        """Yield each number and its bounds, of a single direction."""
        for number in self.rows.reshape(POINTS + 4, -1).T.tolist():
            yield tuple(number[:POINTS]), Bounds(*number[POINTS:])

    def __add__(self, other: Residues) -> Residues:
        one, other = _aligned(self, other)
        values = (one.values + other.values) % self.field.modulus(one.rows.ndim)
        a, b = one.bounds, other.bounds
        most = torch.maximum(a[:-1], b[:-1])
        halvings = most[_HALVINGS]  # of both, once they stand on one denominator
        bits = torch.maximum(a[-1] - a[-2], b[-1] - b[-2]) + halvings + 1
        if self.field.infinite:
            most[_DEGREE] = _infinite_sum(a[_DEGREE], b[_DEGREE])
        return _joined(self.field, values, most, bits[None])

    def __neg__(self) -> Residues:
        values = -self.values % self.field.modulus(self.rows.ndim)
        bounds = self.bounds
        if self.field.infinite:
            bounds = bounds.clone()
            less, more = bounds[_DEGREE] == LESS, bounds[_DEGREE] == MORE
            bounds[_DEGREE].masked_fill_(less, MORE).masked_fill_(more, LESS)
        return _joined(self.field, values, bounds)

    def __sub__(self, other: Residues) -> Residues:
        return self + -other

    def __mul__(self, other: Residues) -> Residues:
        one, other = _aligned(self, other)
        values = one.values * other.values % self.field.modulus(one.rows.ndim)
        a, b = one.bounds, other.bounds
        bounds = (a + b).clamp_(max=_TOO_LARGE)
        if self.field.infinite:
            bounds[_DEGREE].masked_fill_((a[_DEGREE] < 0) | (b[_DEGREE] < 0), NEITHER)
        return _joined(self.field, values, bounds)

    def inverse(self) -> Residues:
        """Return 1 over each number: unknowns of their own, which the bounds know as poles.

        Raises
        ------
        Point
            If a number is zero at one of the points.
        """
        inverted, sizes = [], []
        for column, bounds in self.columns():
            if bounds.degree < 0:
                inverted.append(column)
                sizes.append(Bounds(NEITHER, 0, 0, 0))
                continue
            if 0 in column:
                raise Point("division by zero")
            inverted.append(
                tuple(pow(value, -1, p) for value, p in zip(column, self.field.primes, strict=True))
            )
            sizes.append(Bounds(0, 1, 0, 0))
            self.field.note_pole(column, bounds)
        return self.field.residues(inverted, sizes, self.shape)

    def sum(self, dims: Sequence[int], keepdim: bool = False) -> Residues:
        """Add up along axes, which are counted from 0 without that of the points."""
        axes = [dim % max(1, len(self.shape)) + 1 for dim in dims]
        if not axes:
            return self
        count = math.prod(self.rows.shape[axis] for axis in axes)
        if not count:
            shape = self.rows.sum(axes, keepdim).shape
            return Residues(self.field, torch.zeros(shape, dtype=torch.int64))
        values = self.values.sum([axis + 1 for axis in axes], keepdim)
        values %= self.field.modulus(values.ndim - 1)
        most = self.bounds[:-1].amax(axes, keepdim)
        bits = (self.bounds[-1:] - self.bounds[-2:-1]).amax(axes, keepdim) + most[-1:]
        if self.field.infinite:
            apart = self.bounds[_DEGREE].movedim([axis - 1 for axis in axes], [*range(len(axes))])
            apart = apart.reshape(count, *apart.shape[len(axes) :])
            most[_DEGREE] = _infinite_total(apart).view(most[_DEGREE].shape)
        return _joined(self.field, values, most, bits + (count - 1).bit_length())


def _bounds_of(numbers: Residues) -> Bounds:
    """Return bounds that hold for each of some numbers."""
    return functools.reduce(Bounds.or_, (bounds for _, bounds in numbers.columns()))


def _infinite_sum(a: Tensor, b: Tensor) -> Tensor:
    """Return the degrees of sums of which some are of no numbers."""
    one = torch.where(a < 0, a, b)  # what is no number, if there is one
    both = (a < 0) & (b < 0) & (a != b)  # infinities of both signs, or neither, have no sum
    return torch.where(torch.minimum(a, b) >= 0, torch.maximum(a, b), one).masked_fill(
        both, NEITHER
    )


def _infinite_total(degrees: Tensor) -> Tensor:
    """Return the degrees of sums along the first axis."""
    total = degrees[0]
    for each in degrees[1:]:
        total = _infinite_sum(total, each)
    return total


def _joined(field: Field, values: Tensor, *bounds: Tensor) -> Residues:
    """Lay numbers, (directions, points, ...), and their bounds in one tensor."""
    return Residues(field, torch.cat([values.flatten(0, 1), *bounds]))


def _aligned(*numbers: Residues) -> list[Residues]:
    """Give all as many axes: they are matched from the last one on."""
    ndim = max(each.rows.ndim for each in numbers)
    return [Residues(each.field, widened(each.rows, ndim - 1)) for each in numbers]


def widened(rows: Tensor, ndim: int) -> Tensor:
    """Give numbers so many axes, beside that of the rows: new ones of size 1 come first."""
    return rows[(slice(None), *(None,) * (ndim + 1 - rows.ndim))]


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
