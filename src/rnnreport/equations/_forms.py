r"""From the formula of one step to an equation, and the LaTeX that the statements share.

A formula maps a step to a tensor. A lift makes it one side of an equation: applied to the only
step, to the first one, to each, or summed over all. A deliberate mistake replaces quantities that
the formula is given, or the lift.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from rnnreport.equations._entry import EXACT_SIZES, Equation, Page, Sizes, draw_sizes
from rnnreport.equations._recurrences import Problem
from rnnreport.equations._steps import Changes, Step

S = TypeVar("S", bound=Step)
P = TypeVar("P", bound=Problem[Any])

Formula = Callable[[S], Tensor]
Side = Callable[[Problem[S]], Tensor]
Lift = Callable[[Formula[S]], Side[S]]
Quantity = Callable[[P], Tensor]
NOT_NEW = "∂L/∂h_t and ∂L/∂c_t in place of [·]_{new}"  # a mistake

Gradients = Mapping[str, Tensor]  # by variable, and by gate where each has its own: "W_x^f"


def one_step(formula: Formula[S]) -> Side[S]:
    """Apply the formula to a problem of one step, with the direct derivatives."""
    return lambda p: formula(p.steps[0])


def first_step(formula: Formula[S]) -> Side[S]:
    """Apply the formula to step 1 of a sequence."""
    return lambda p: formula(p.new_steps[0])


def each_step(formula: Formula[S]) -> Side[S]:
    """Apply the formula to every step of a sequence; row t − 1 is step t."""
    return lambda p: torch.stack([formula(s) for s in p.new_steps])


def summed(formula: Formula[S]) -> Side[S]:
    """Σ_t of the formula over a sequence."""
    return lambda p: each_step(formula)(p).sum(0)


def each_step_direct(formula: Formula[S]) -> Side[S]:
    """Apply `each_step` with ∂L/∂h_t in place of [∂L/∂h_t]new, a mistake."""
    return lambda p: torch.stack([formula(s) for s in p.steps])


def changed(formula: Formula[S], changes: Changes) -> Formula[S]:
    """Give the formula other values for some quantities of the step: a mistake."""
    return lambda s: formula(s.changed(changes))


def joined_wrongly(formula: Formula[Any]) -> dict[str, Quantity[Any]]:
    """Return the mistakes that a sum over all steps of a sequence can hold, whatever is added."""
    return {
        "sum over t dropped, step T alone": lambda p: formula(p.new_steps[-1]),
        NOT_NEW: lambda p: each_step_direct(formula)(p).sum(0),
    }


def mistakes_in(
    formula: Formula[Any],
    changes: Mapping[str, Changes],
    forms: Mapping[str, Formula[Any]] | None = None,
    lift: Lift[Any] = one_step,
) -> dict[str, Quantity[Any]]:
    """Make each mistake in what the formula is given, and put other formulas in its place."""
    return {
        **{name: lift(changed(formula, change)) for name, change in changes.items()},
        **{name: lift(form) for name, form in (forms or {}).items()},
    }


def with_direct(term: Quantity[P]) -> Quantity[P]:
    """Add rows ∂L/∂h_{t−1} for t = 1, …, T: what the loss reads of the state itself."""
    return lambda p: torch.stack(p.dh[:-1]) + term(p)


def d(variable: str) -> str:
    """LaTeX of the derivative of L with respect to a variable."""
    return rf"\frac{{\partial L}}{{\partial {variable}}}"


def new(variable: str) -> str:
    """LaTeX of the derivative that sums up the rest of the sequence."""
    return rf"\left[ {d(variable)} \right]_{{\text{{new}}}}"


@dataclass(frozen=True)
class Recurrence(Generic[P]):
    """Makes the entries of a recurrence; `code` gives a sequence's gradients by the layer."""

    page: Page
    prefix: str  # of the titles
    layer: str
    problem: type[P]
    code: Callable[[P], Gradients]
    exact_sizes: Sizes = EXACT_SIZES

    def step(
        self,
        number: int,
        title: str,
        statement: str,
        left: Quantity[P],
        formula: Formula[Any],
        code: Quantity[P],
        wrong: Mapping[str, Quantity[P]],
    ) -> Equation[P, Sizes]:
        """Make the entry of one step."""
        return Equation(
            number=str(number),
            title=f"{self.prefix} {title}, one step",
            page=self.page,
            statement=statement,
            layer=f"{self.layer}_step_backward",
            sizes=draw_sizes,
            exact_sizes=self.exact_sizes,
            problem=self.problem.draw_step,
            left=left,
            right=one_step(formula),
            code=code,
            wrong=wrong,
        )

    def sequence(
        self,
        number: int,
        title: str,
        statement: str,
        left: Quantity[P],
        right: Quantity[P],
        code: Quantity[P],
        wrong: Mapping[str, Quantity[P]],
        remark: str | None = None,
    ) -> Equation[P, Sizes]:
        """Make the entry of a whole sequence."""
        return Equation(
            number=str(number),
            title=f"{self.prefix} {title}, whole sequence",
            page=self.page,
            statement=statement,
            layer=f"{self.layer}_backward",
            sizes=draw_sizes,
            exact_sizes=self.exact_sizes,
            problem=self.problem.draw,
            left=left,
            right=right,
            code=code,
            wrong=wrong,
            remark=remark,
        )

    def total(
        self,
        number: int,
        title: str,
        statement: str,
        left: Quantity[P],
        formula: Formula[Any],
        variable: str,
        wrong: Mapping[str, Quantity[P]],
    ) -> Equation[P, Sizes]:
        """Make the entry of a sum over all steps: the gradient of a variable that they share."""
        return self.sequence(
            number,
            title,
            statement,
            left,
            summed(formula),
            lambda p: self.code(p)[variable],
            wrong,
        )

    def previous_state(
        self,
        number: int,
        statement: str,
        formula: Formula[Any],
        wrong: Mapping[str, Quantity[P]],
        remark: str | None = None,
    ) -> Equation[P, Sizes]:
        """Make the entry of [∂L/∂h_{t−1}]new: dh0 of the steps from t on, and the direct term."""
        return self.sequence(
            number,
            "previous state",
            statement,
            lambda p: torch.stack(p.new_dh[:-1]),
            with_direct(each_step(formula)),
            with_direct(lambda p: torch.stack([self.code(p.tail(t))["h_0"] for t in range(p.T)])),
            wrong,
            remark,
        )
