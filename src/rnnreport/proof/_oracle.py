"""Functions of which only their derivative and a few identities are known.

The value of a function is an unknown of its own: random, and of the same argument always the same.
Where a right backward pass may lean on more than that, as on ``exp(a - log(q)) = exp(a) / q``, the
value follows from others that are known already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rnnreport.proof._bounds import LESS, MORE, NEITHER, UNKNOWN, Bounds, Column

if TYPE_CHECKING:
    from rnnreport.proof._field import Field, Residues

__all__ = ["Oracle"]

_ZERO, _ONE = Bounds(0, 0, 0, 0), Bounds(0, 0, 0, 1)
_LIMITS = {
    ("exp", LESS): 0,
    ("sigmoid", LESS): 0,
    ("sigmoid", MORE): 1,
    ("tanh", LESS): -1,
    ("tanh", MORE): 1,
}


class _Known(NamedTuple):
    """A function's argument and value."""

    argument: tuple[Column, Bounds]
    value: tuple[Column, Bounds]


class Oracle:
    """Values of functions at one field's points.

    Parameters
    ----------
    field
        The field.
    """

    def __init__(self, field: Field) -> None:
        self._field = field
        self._known: dict[str, dict[Column, _Known]] = {}
        self._exponents: dict[Column, _Known] = {}  # by value
        zero, one = self._constant(0), self._constant(1)
        self._keep("exp", _Known((zero, _ZERO), (one, _ONE)))

    def __call__(self, name: str, argument: Residues) -> Residues:
        """Return the values of a function."""
        values = [self._value(name, column, bounds) for column, bounds in argument.columns()]
        columns, bounds = [value for value, _ in values], [size for _, size in values]
        return self._field.residues(columns, bounds, argument.shape)

    def _value(self, name: str, z: Column, bounds: Bounds) -> tuple[Column, Bounds]:
        if bounds.degree < 0:
            limit = _LIMITS.get((name, bounds.degree))
            return (z, Bounds(NEITHER, 0, 0, 0)) if limit is None else (self._constant(limit), _ONE)
        if (known := self._at(name, z)) is None:
            if (found := self._related(name, z)) is None:
                # Not 0, as it may be divided by: exp never is.
                value = tuple(self._field.random.randrange(1, p) for p in self._field.primes)
                known = _Known((z, bounds), (value, UNKNOWN))
            else:
                ((value, size),) = found.columns()
                known = _Known((z, bounds), (value, size))
            self._keep(name, known)
        else:
            self._field.look_up(bounds, new=False)
        return known.value

    def _keep(self, name: str, known: _Known) -> None:
        self._field.look_up(known.argument[1], known.value[1])
        self._known.setdefault(name, {})[known.argument[0]] = known
        if name == "exp":
            self._exponents[known.value[0]] = known

    def _related(self, name: str, z: Column) -> Residues | None:
        """Return a value that follows from known ones."""
        if name == "exp":
            return self._exp(z)
        if name == "log" and z in self._exponents:
            return self._residues(self._exponents[z].argument)
        if name == "tanh" and (y := self._of("tanh", self._minus(z))):
            return -y
        if name == "sigmoid":
            return self._sigmoid(z)
        return None

    def _exp(self, z: Column) -> Residues | None:
        minus = self._minus(z)
        if y := self._of("exp", minus):
            return y.inverse()
        if y := self._of("sigmoid", z) or self._of("sigmoid", minus):
            one = self._field.constant(1)
            raised = y * (one - y).inverse()
            return raised if self._at("sigmoid", z) else raised.inverse()
        for each in self._known.get("log", {}).values():
            log = each.value[0]
            if y := self._of("exp", self._plus(z, log)):
                return y * self._residues(each.argument).inverse()
            if y := self._of("exp", self._plus(z, self._minus(log))):
                return y * self._residues(each.argument)
        return None

    def _sigmoid(self, z: Column) -> Residues | None:
        minus, one = self._minus(z), self._field.constant(1)
        if y := self._of("sigmoid", minus):
            return one - y
        if y := self._of("exp", minus):
            return (one + y).inverse()
        if y := self._of("exp", z):
            return y * (one + y).inverse()
        return None

    def _at(self, name: str, z: Column) -> _Known | None:
        return self._known.get(name, {}).get(z)

    def _of(self, name: str, z: Column) -> Residues | None:
        known = self._at(name, z)
        return None if known is None else self._residues(known.value)

    def _residues(self, number: tuple[Column, Bounds]) -> Residues:
        return self._field.residues([number[0]], number[1])

    def _constant(self, number: int) -> Column:
        return tuple(number % p for p in self._field.primes)

    def _minus(self, z: Column) -> Column:
        return tuple(-value % p for value, p in zip(z, self._field.primes, strict=True))

    def _plus(self, z: Column, other: Column) -> Column:
        both = zip(z, other, self._field.primes, strict=True)
        return tuple((a + b) % p for a, b, p in both)
