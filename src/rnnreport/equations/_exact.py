"""The exact check of an entry: its sides are computed modulo random primes and compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnreport.equations._entry import Equation
from rnnreport.proof import ExactTensor, Field, exact_arithmetic

__all__ = ["Exact", "check_exactly"]

_SLIGHT = 1 + 1e-15  # a factor that no measurement sees


class Exact(NamedTuple):
    """What an exact check of an entry finds.

    Attributes
    ----------
    equation, code : bool
        Whether the formula, and the code, are equal to the left side.
    printed : bool or None
        Whether the line as the source prints it is; None where that line is right.
    assumed : bool or None
        Whether it is where the assumption that it makes holds; None where it makes none.
    mistakes, refuted : int
        How many deliberate mistakes were made, and how many of them are refuted. One more than the
        measurement is asked to find: the formula times 1 + 10⁻¹⁵.
    doubt : float
        The chance, at most, that a side that differs was taken for equal.
    degree : int
        A bound for the degree of the polynomials that were compared.
    """

    equation: bool
    code: bool
    printed: bool | None
    assumed: bool | None
    mistakes: int
    refuted: int
    doubt: float
    degree: int

    @property
    def ok(self) -> bool:
        """Whether formula and code are proven and each mistake is refuted."""
        return self.equation and self.code and self.mistakes == self.refuted


def check_exactly(entry: Equation[Any, Any], *, seed: int = 0) -> Exact:
    """Prove or refute formula, code, printed line and mistakes of an entry, exactly.

    Parameters
    ----------
    entry
        From `equation`.
    seed
        Draws primes and points.
    """
    comparison = _Comparison(entry, seed)
    equation, code = comparison.equal(entry.right), comparison.equal(entry.code)
    mistakes = [*entry.wrong.values(), lambda p: _SLIGHT * entry.right(p)]
    refuted = sum(not comparison.equal(mistake) for mistake in mistakes)
    printed = assumed = None
    if entry.as_printed is not None:
        printed = comparison.any_equal(entry.as_printed)
    if entry.as_printed is not None and entry.assumption is not None:
        assumed = comparison.any_equal(entry.as_printed, entry.assumption)
    return Exact(
        equation,
        code,
        printed,
        assumed,
        len(mistakes),
        refuted,
        comparison.doubt,
        comparison.degree,
    )


class _Comparison:
    """An exact problem of an entry with its left side, and what is held against it."""

    def __init__(self, entry: Equation[Any, Any], seed: int) -> None:
        self._entry = entry
        self._field, self._problem = _problem(entry.problem, entry.exact_sizes, seed)
        self.doubt, self.degree = 0.0, 0
        with exact_arithmetic(self._field):
            self._left = entry.left(self._problem)

    def equal(self, side: Callable[[Any], Tensor]) -> bool:
        with exact_arithmetic(self._field):
            value = side(self._problem)
        return self._same(value, self._left)

    def any_equal(
        self, sides: Callable[[Any], Any], assumption: Callable[[Any], Any] | None = None
    ) -> bool:
        problem, left = self._problem, self._left
        with exact_arithmetic(self._field):
            if assumption is not None:
                problem = assumption(problem)
                left = self._entry.left(problem)
            values = list(sides(problem))
        return any(self._same(value, left) for value in values)

    def _same(self, side: Tensor, left: Tensor) -> bool:
        assert isinstance(left, ExactTensor)  # noqa: S101
        if not isinstance(side, ExactTensor) or side.shape != left.shape:
            return False
        difference = side.dual.value - left.dual.value
        if bool(difference.values.any()):
            return False
        self.doubt = max(self.doubt, self._field.doubt(difference))
        self.degree = max(self.degree, self._field.cleared(difference).degree)
        return True


def _problem(draw: Callable[..., Any], sizes: Any, seed: int) -> tuple[Field, Any]:
    field = Field(seed)
    field.directions = 0
    problem = draw(torch.Generator().manual_seed(seed), sizes)
    with exact_arithmetic(field):
        return field, problem.exactly(field)
