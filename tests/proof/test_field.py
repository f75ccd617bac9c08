"""Bounds of degrees and coefficients against polynomials that are written out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import pytest
import sympy  # type: ignore[import-untyped]
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import draw
from torch import Tensor

from rnnreport.proof import _field, prove
from rnnreport.proof._bounds import Bounds
from rnnreport.proof._dual import Dual
from rnnreport.proof._field import POINTS, Field, Residues

X = draw(0, 2, 2)
P = 2**31 - 1


class Polynomial:
    """Coefficients by monomials; a monomial is a sorted tuple of names."""

    def __init__(self, terms: dict[tuple[str, ...], Fraction]) -> None:
        self.terms = {names: number for names, number in terms.items() if number}

    @classmethod
    def of(cls, number: float | Fraction) -> Polynomial:
        return cls({(): Fraction(number)})

    @classmethod
    def unknown(cls, name: str) -> Polynomial:
        return cls({(name,): Fraction(1)})

    def __add__(self, other: Polynomial) -> Polynomial:
        names = self.terms.keys() | other.terms.keys()
        return Polynomial(
            {each: self.terms.get(each, Fraction(0)) + other.terms.get(each, 0) for each in names}
        )

    def __neg__(self) -> Polynomial:
        return self * Polynomial.of(-1)

    def __mul__(self, other: Polynomial) -> Polynomial:
        total: dict[tuple[str, ...], Fraction] = {}
        for one, a in self.terms.items():
            for two, b in other.terms.items():
                names = tuple(sorted(one + two))
                total[names] = total.get(names, Fraction(0)) + a * b
        return Polynomial(total)

    @property
    def degree(self) -> int:
        return max((len(names) for names in self.terms), default=0)

    def modulo(self, p: int, values: dict[str, int]) -> int:
        total = 0
        for names, number in self.terms.items():
            term = number.numerator * pow(number.denominator, -1, p)
            for name in names:
                term = term * values[name] % p
            total += term
        return total % p

    def assert_within(self, bounds: Bounds) -> None:
        assert self.degree <= bounds.degree
        whole = [number * 2**bounds.halvings for number in self.terms.values()]
        assert all(number.denominator == 1 for number in whole)
        assert sum(map(abs, whole)) <= 2**bounds.bits


class Twins:
    """The same numbers twice: as dual numbers modulo primes, and written out with derivatives."""

    def __init__(self, seed: int) -> None:
        self.field = Field(seed)
        self.values: list[dict[str, int]] = [{} for _ in range(POINTS)]
        self.functions: list[tuple[Polynomial, Polynomial]] = []

    def _note(self, name: str, number: Residues) -> None:
        for values, value in zip(self.values, number.rows[:-4].tolist(), strict=True):
            values[name] = value

    def unknown(self, name: str) -> tuple[Dual, Polynomial, Polynomial]:
        value, tangent = self.field.unknown(()), self.field.unknown(())
        self._note(name, value)
        self._note(f"d{name}", tangent)
        return Dual(value, tangent), Polynomial.unknown(name), Polynomial.unknown(f"d{name}")

    def tanh(self, x: Dual, plain: Polynomial, moves: Polynomial) -> tuple[Any, ...]:
        y = x.function("tanh", lambda _, y: 1 - y * y)
        for argument, value in self.functions:
            if argument.terms == plain.terms:
                break
            if (argument + plain).terms == {}:
                value = -value
                break
        else:
            value = Polynomial.unknown(f"tanh {len(self.functions)}")
            self.functions.append((plain, value))
            self._note(f"tanh {len(self.functions) - 1}", y.value)
        return y, value, moves * (Polynomial.of(1) + -(value * value))

    def check(self, number: Dual, plain: Polynomial, moves: Polynomial) -> None:
        tangent = self.field.constant(0) if number.tangent is None else number.tangent
        for part, polynomial in ((number.value, plain), (tangent, moves)):
            for k, p in enumerate(self.field.primes):
                assert int(part.rows[k]) == polynomial.modulo(p, self.values[k])
            polynomial.assert_within(Bounds(*part.bounds.tolist()))


numbers = st.sampled_from([0, 1, -1, 3, -7, 2**40, 0.5, -0.75, 0.1, 1e-300, 1e300, 3 * 2.0**-60])
leaves = st.sampled_from(["x", "y", "z"]) | numbers
expressions = st.recursive(
    leaves,
    lambda inner: (
        st.tuples(st.sampled_from(["+", "-", "*"]), inner, inner)
        | st.tuples(st.sampled_from(["tanh", "square"]), inner)
        | st.tuples(st.just("sum"), inner, inner, inner)
    ),
    max_leaves=8,
)


def computed(twins: Twins, names: dict[str, Any], expression: Any) -> tuple[Any, ...]:
    if isinstance(expression, str):
        return names[expression]  # type: ignore[no-any-return]
    if isinstance(expression, int | float):
        zero = Polynomial({})
        number = Dual(twins.field.constant(expression))
        return number, Polynomial.of(expression), zero
    kind, *parts = expression
    inner = [computed(twins, names, part) for part in parts]
    (a, p, dp), *others = inner
    if kind == "tanh":
        return twins.tanh(a, p, dp)
    if kind == "square":
        return a**2, p * p, p * dp + p * dp
    if kind == "sum":
        rows = torch.stack([each[0].pack() for each in inner], 1)
        total = Dual.unpack(rows, twins.field).sum([0])
        return total, p + others[0][1] + others[1][1], dp + others[0][2] + others[1][2]
    ((b, q, dq),) = others
    if kind == "*":
        return a * b, p * q, p * dq + dp * q
    if kind == "-":
        return a - b, p + -q, dp + -dq
    return a + b, p + q, dp + dq


@given(expressions, st.integers(0, 2**32))
def test_values_tangents_and_bounds(expression: Any, seed: int) -> None:
    twins = Twins(seed)
    names = {name: twins.unknown(name) for name in "xyz"}
    twins.check(*computed(twins, names, expression))


def bounds_of(number: Residues) -> Bounds:
    ((_, bounds),) = number.columns()
    return bounds


def test_bounds_of_products_are_tight() -> None:
    field = Field(0)
    x, y = field.unknown(()), field.unknown(())
    assert bounds_of(x * y * x) == Bounds(3, 0, 0, 0)
    assert bounds_of(x * field.constant(0.375)) == Bounds(1, 0, 3, 2)
    assert bounds_of(x * field.constant(6)) == Bounds(1, 0, 0, 3)
    assert bounds_of(x + y) == Bounds(1, 0, 0, 1)
    assert bounds_of(field.unknown((8,)).sum([0])) == Bounds(1, 0, 0, 3)


@pytest.mark.parametrize(
    ("f", "degree"),
    [
        (lambda x, y: x * y.inverse(), 1),  # times y
        (lambda x, y: (x + y * y).inverse(), 0),
        (lambda x, y: x + (x + y).inverse(), 2),
        (lambda x, y: x + (x + y).inverse() * (x + y).inverse(), 3),
        (lambda x, y: x + (x + y.inverse() * y.inverse() * y.inverse()).inverse(), 5),
        (lambda x, y: x + x.inverse() * y.inverse(), 3),
        (lambda x, y: (x + y.inverse()).inverse() + x, 3),
        (lambda x, y: ((x + y.inverse()).inverse() + y).inverse() * x * x, 4),
    ],
)
def test_degree_without_denominators(f: Callable[..., Residues], degree: int) -> None:
    x, y = sympy.symbols("x y")

    class Symbol:
        def __init__(self, value: Any) -> None:
            self.value = value

        def __add__(self, other: Symbol) -> Symbol:
            return Symbol(self.value + other.value)

        def __mul__(self, other: Symbol) -> Symbol:
            return Symbol(self.value * other.value)

        def inverse(self) -> Symbol:
            return Symbol(1 / self.value)

    written: Any = f(Symbol(x), Symbol(y))
    numerator, _ = sympy.fraction(sympy.cancel(sympy.together(written.value)))
    assert sympy.Poly(numerator, x, y).total_degree() == degree
    field = Field(0)
    assert field.cleared(f(field.unknown(()), field.unknown(()))).degree >= degree


def test_coefficients_without_denominators() -> None:
    field = Field(0)
    x = field.unknown(())
    tiny = x * field.constant(2.0**-100)
    # 1 / (2^-100 x) + 1 is zero where 2^100 + x is.
    assert field.cleared(tiny.inverse() + field.constant(1)).bits >= 100
    # 1 / (7 x) + 1 is zero where 1 + 7 x is.
    field = Field(0)
    seven = field.unknown(()) * field.constant(7)
    assert field.cleared(seven.inverse() + field.constant(1)).bits >= 3


def test_bounds_of_either_hold_for_each_and_for_their_difference() -> None:
    one, other = Bounds(2, 1, 0, 5), Bounds(3, 0, 100, 4)
    assert one.or_(other) == other.or_(one) == Bounds(3, 1, 100, 105)
    assert one.plus(other) == Bounds(3, 1, 100, 106)


def test_a_number_that_is_looked_up_counts() -> None:
    field = Field(0)
    x = field.unknown((3,))
    one, two = field.unknown(()), field.unknown(())
    before = field.doubt(one)
    field.function("tanh", x * x * x)
    after = field.doubt(two)
    assert after > before
    field.function("tanh", x * x * x)
    assert field.doubt(two) == after  # the same numbers again


def test_what_is_found_again_by_its_column_counts() -> None:
    field = Field(0)
    x, y = field.unknown(()), field.unknown(())
    power = Residues(field, x.rows.clone())  # as if a large polynomial had the column of x
    power.bounds[0] = 1000
    for known in (
        lambda number: field.function("tanh", number),
        Residues.inverse,
        field.order,
        lambda number: field.order(number * field.constant(0)),
    ):
        known(x)
        before = field.doubt(y)
        known(power)
        assert field.doubt(y) > before
        power.bounds[0] *= 10


def test_bounds_do_not_overflow() -> None:
    def square(x: Tensor) -> Tensor:
        return functools.reduce(lambda y, _: y * y, range(64), x)

    for f in (square, lambda x: x * square(torch.full((), 3.0)), lambda x: x * square(1 / x)):
        with pytest.raises(ArithmeticError, match="the degree may be"):
            prove(lambda x, f=f: (f(x) - f(x) + x, None), lambda dy, _: dy, {"x": X})


def test_numbers_have_the_order_of_their_negatives() -> None:
    field = Field(0)
    x = field.unknown((20,))
    assert torch.equal(field.order(x), -field.order(-x))


# Primes


def test_number_of_primes() -> None:
    assert sympy.primepi(2**31) - sympy.primepi(2**30) == _field._PRIMES


def test_primes_are_prime_and_all_over() -> None:
    primes = [p for seed in range(60) for p in Field(seed).primes]
    assert all(sympy.isprime(p) and 2**30 < p < 2**31 for p in primes)
    assert len(set(primes)) == len(primes)
    thirds = [(p - 2**30) * 3 // 2**30 for p in primes]
    assert all(110 < thirds.count(third) < 210 for third in range(3))  # 160 are expected


def test_small_primes_are_told() -> None:
    odd = range(3, 5000, 2)
    assert [each for each in odd if _field._is_prime(each)] == list(sympy.primerange(3, 5000))


def test_pseudoprimes_are_told() -> None:
    # Composites that pass the test to the bases 2; 2 and 3; 2, 3 and 5 (Pomerance et al., 1980).
    for number in (2047, 1373653, 25326001, 1194649, 561, 2**31 - 3):
        assert _field._is_prime(number) == sympy.isprime(number)


# The chance


def forced(monkeypatch: pytest.MonkeyPatch, primes: Iterable[int]) -> None:
    drawn = list(primes)
    turn = iter(drawn * 1000)
    monkeypatch.setattr(Field, "_prime", lambda _: next(turn))


def test_a_prime_that_divides_a_coefficient(monkeypatch: pytest.MonkeyPatch) -> None:
    def judged() -> bool:
        return bool(prove(lambda x: (P * x, None), lambda dy, _: 0 * dy, {"x": X}))

    assert not judged()
    forced(monkeypatch, [P] * 8)
    assert judged()  # no point sees it, if all primes are bad
    forced(monkeypatch, [P] * 7 + [2**31 - 19])
    assert not judged()


def test_arguments_that_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(x: Tensor) -> Any:
        return torch.tanh((P + 1) * x), x

    def backward(dy: Tensor, x: Tensor) -> Tensor:
        return (P + 1) * dy * (1 - torch.tanh(x) ** 2)

    assert not prove(forward, backward, {"x": X})
    forced(monkeypatch, [P] * 8)
    assert prove(forward, backward, {"x": X})
    forced(monkeypatch, [P] * 7 + [2**31 - 19])
    assert not prove(forward, backward, {"x": X})  # one of eight is enough to tell them apart


def test_the_chance_is_an_upper_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_field, "_LEAST", 2**6)
    monkeypatch.setattr(_field, "_MOST", 2**7)
    monkeypatch.setattr(_field, "_PRIMES", 13)
    for count in (1, 2, 3, 4):
        zeros, fields = 0, 250
        for seed in range(fields):
            field = Field(seed)
            x, y = field.unknown(()), field.unknown(())
            product = field.constant(1)
            for factor in (x, y, x - y, x + y)[:count]:
                product = product * factor
            zeros += int((product.values == 0).sum())
            bound = field._chance(bounds_of(product))
        assert 0.3 * bound < zeros / (fields * POINTS) < bound
