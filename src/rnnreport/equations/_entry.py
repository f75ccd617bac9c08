"""An entry of the ledger: two sides of an equation, the code, and how far they are apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from rnnreport.proof import ExactTensor, Field, relative_residual

BAR = 1e-12
"""The largest relative residual with which an equation counts as proven in float64."""

Page = Literal["rnn", "lstm", "gru", "temporal", "attention", "glove", "text", "style"]
Verdict = Literal["right", "sloppy", "wrong", "conditional"]

P = TypeVar("P")
Z = TypeVar("Z")

# Where the exact value nearly cancels, a relative residual measures rounding and not the formula.
_SMALLEST_LEFT_SIDE = 1e-2
_REDRAWS = 50


class Sizes(NamedTuple):
    """Sizes of a random recurrent problem.

    Attributes
    ----------
    T : int
        Number of time steps; equations of a single step take one step whatever stands here.
    d : int
        Size of an input ``x_t``.
    m : int
        Size of a state ``h_t`` or ``c_t``.
    """

    T: int
    d: int
    m: int


EXACT_SIZES = Sizes(T=3, d=2, m=2)
"""Of a recurrent problem that is computed exactly."""


def draw_sizes(generator: torch.Generator, ones: bool) -> Sizes:
    """Draw small sizes: 2 to 4 steps of sizes 2 or 3, or, with `ones`, about half of them 1."""
    T = 2 + torch.randint(3, (1,), generator=generator)
    sizes = torch.cat([T, 2 + torch.randint(2, (2,), generator=generator)])
    if ones:
        sizes = torch.where(torch.rand(3, generator=generator) < 0.5, 1, sizes)
    return Sizes(*sizes.tolist())


@dataclass(frozen=True)
class Residual:
    """Relative residuals of one equation against the derivative that it claims to give.

    Attributes
    ----------
    equation : float
        The formula in its right form.
    code : float
        The layer function.
    printed : float or None
        The line as the source prints it; None where that line is right.
    assumed : float or None
        The line as printed where the assumption that it makes holds; None where it makes none.
    """

    equation: float
    code: float
    printed: float | None = None
    assumed: float | None = None

    @property
    def ok(self) -> bool:
        """Whether formula and code both stay within the bar; NaN does not."""
        return self.equation <= BAR and self.code <= BAR


@dataclass(frozen=True)
class Equation(Generic[P, Z]):
    r"""One numbered equation, with everything needed to prove or refute it.

    A check draws a problem and computes one quantity on independent ways: `left` differentiates
    the definition, `right` is the formula, `code` asks the layer function.

    Attributes
    ----------
    number : str
        The source's number, ``"1"`` to ``"49"``, or one of this report's own: ``"50"`` and up, or
        a letter and a number.
    title : str
        What the equation gives, in plain words.
    page : {"rnn", "lstm", "gru", "temporal", "attention", "glove", "text", "style"}
        The page that derives it.
    statement : str
        The right form, in LaTeX, on one line.
    layer : str
        Name of the function in `rnnreport.layers` that computes it.
    verdict : {"right", "sloppy", "wrong", "conditional"}
        Of the source's own lines: ``"sloppy"`` has a slip in a step of the derivation and the right
        result, ``"wrong"`` a wrong result, ``"conditional"`` a result that needs an assumption.
    sizes : callable
        Draws small sizes of a problem from a `torch.Generator`; if the second argument is true,
        about half of them 1.
    problem : callable
        Draws a random problem from a `torch.Generator` and sizes.
    left, right, code : callable
        The quantity of a problem by the derivative's definition, the formula and the layer.
    wrong : mapping of str to callable
        Deliberate mistakes in `right`, by what is wrong with them.
    exact_sizes : Sizes, WordSizes or MapSizes
        Of the problem that is computed exactly: no constant of the formula is rounded there.
    printed : str or None
        The source's faulty line, in LaTeX; None where all its lines are right.
    as_printed : callable or None
        Every reading of that line; the one closest to the truth is held against it.
    assumption : callable or None
        Turns a problem into one where the assumption of a conditional line holds.
    remark : str or None
        What is wrong and what is right, or how a line must be read.
    """

    number: str
    title: str
    page: Page
    statement: str
    layer: str
    sizes: Callable[[torch.Generator, bool], Z] = field(repr=False)
    problem: Callable[[torch.Generator, Z], P] = field(repr=False)
    left: Callable[[P], Tensor] = field(repr=False)
    right: Callable[[P], Tensor] = field(repr=False)
    code: Callable[[P], Tensor] = field(repr=False)
    wrong: Mapping[str, Callable[[P], Tensor]] = field(repr=False)
    exact_sizes: Z = field(repr=False)
    verdict: Verdict = "right"
    printed: str | None = None
    as_printed: Callable[[P], Sequence[Tensor]] | None = field(default=None, repr=False)
    assumption: Callable[[P], P] | None = field(default=None, repr=False)
    remark: str | None = None

    def draw(self, generator: torch.Generator, sizes: Z) -> tuple[P, Tensor]:
        """Draw a problem and its left side, which does not nearly cancel to zero."""
        for _ in range(_REDRAWS):
            problem = self.problem(generator, sizes)
            left = self.left(problem)
            if left.abs().max() >= _SMALLEST_LEFT_SIDE:
                break
        return problem, left

    def residual(self, problem: P, left: Tensor) -> Residual:
        """Hold formula, code and printed line of one problem against its left side."""
        assumed = None
        if self.assumption is not None:
            under = self.assumption(problem)
            assumed = self._printed(under, self.left(under))
        return Residual(
            equation=relative_residual(self.right(problem), left),
            code=relative_residual(self.code(problem), left),
            printed=self._printed(problem, left),
            assumed=assumed,
        )

    def mistakes(self, problem: P, left: Tensor) -> dict[str, float]:
        """Hold each deliberate mistake against the left side: name to relative residual.

        It is infinite where the shape is wrong.
        """

        def apart(value: Tensor) -> float:
            return relative_residual(value, left) if value.shape == left.shape else math.inf

        return {name: apart(mistake(problem)) for name, mistake in self.wrong.items()}

    def _printed(self, problem: P, left: Tensor) -> float | None:
        if self.as_printed is None:
            return None
        return min(relative_residual(reading, left) for reading in self.as_printed(problem))


def unknowns(problem: P, field: Field) -> P:
    """Return a problem whose tensors are unknowns of a field, of the same shapes.

    Whole numbers and truth values stay: they are data, and not differentiated by.
    """

    def unknown(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: unknown(each) for name, each in value.items()}
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        return ExactTensor.unknown(value.shape, field)

    values = {each.name: unknown(getattr(problem, each.name)) for each in fields(problem)}  # type: ignore[arg-type]
    return replace(problem, **values)  # type: ignore[type-var]


@dataclass(frozen=True)
class Family(Generic[P, Z]):
    """Makes the entries of a page whose problems are of one kind."""

    page: Page
    sizes: Callable[[torch.Generator, bool], Z]
    problem: Callable[[torch.Generator, Z], P]
    exact_sizes: Z

    def entry(
        self,
        number: str,
        title: str,
        statement: str,
        layer: str,
        left: Callable[[P], Tensor],
        right: Callable[[P], Tensor],
        code: Callable[[P], Tensor],
        wrong: Mapping[str, Callable[[P], Tensor]],
    ) -> Equation[P, Z]:
        """Make an entry."""
        return Equation(
            number=number,
            title=title,
            page=self.page,
            statement=statement,
            layer=layer,
            sizes=self.sizes,
            problem=self.problem,
            left=left,
            right=right,
            code=code,
            wrong=wrong,
            exact_sizes=self.exact_sizes,
        )


def worst(residuals: Sequence[float]) -> float:
    """Largest of some residuals, where NaN is worse than any number."""
    return max((math.inf if math.isnan(r) else r for r in residuals), default=0.0)
