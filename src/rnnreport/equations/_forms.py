r"""From the formula of one step to an equation, and the LaTeX that the statements share.

A formula maps a step to a tensor. A lift makes it one side of an equation: applied to the only
step, to the first one, to each, or summed over all. A deliberate mistake replaces quantities that
the formula is given, or the lift.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from rnnreport.equations._recurrences import Problem, Step

S = TypeVar("S", bound=Step)

Formula = Callable[[S], Tensor]
Side = Callable[[Problem[S]], Tensor]
Lift = Callable[[Formula[S]], Side[S]]
Changes = Mapping[str, Callable[[S], Any]]


def one_step(formula: Formula[S]) -> Side[S]:
    """Apply the formula to a problem of one step, with the direct derivatives."""
    return lambda p: formula(p.steps[0])


def first_step(formula: Formula[S]) -> Side[S]:
    """Apply the formula to step 1 of a sequence."""
    return lambda p: formula(p.new_steps[0])


def last_step(formula: Formula[S]) -> Side[S]:
    """Apply the formula to step T of a sequence; in place of a sum, a mistake."""
    return lambda p: formula(p.new_steps[-1])


def each_step(formula: Formula[S]) -> Side[S]:
    """Apply the formula to every step of a sequence; row t − 1 is step t."""
    return lambda p: torch.stack([formula(s) for s in p.new_steps])


def summed(formula: Formula[S]) -> Side[S]:
    """Σ_t of the formula over a sequence."""
    return lambda p: each_step(formula)(p).sum(0)


def first_step_direct(formula: Formula[S]) -> Side[S]:
    """Apply `first_step` with ∂L/∂h_t in place of [∂L/∂h_t]new, a mistake."""
    return lambda p: formula(p.steps[0])


def each_step_direct(formula: Formula[S]) -> Side[S]:
    """Apply `each_step` with ∂L/∂h_t in place of [∂L/∂h_t]new, a mistake."""
    return lambda p: torch.stack([formula(s) for s in p.steps])


def summed_direct(formula: Formula[S]) -> Side[S]:
    """Apply `summed` with ∂L/∂h_t in place of [∂L/∂h_t]new, a mistake."""
    return lambda p: each_step_direct(formula)(p).sum(0)


def changed(formula: Formula[S], changes: Changes[S]) -> Formula[S]:
    """Give the formula other values for some quantities of the step: a mistake."""

    def mistaken(s: S) -> Tensor:
        values: dict[str, Any] = {name: change(s) for name, change in changes.items()}
        return formula(replace(s, **values))

    return mistaken


def d(variable: str) -> str:
    """LaTeX of the derivative of L with respect to a variable."""
    return rf"\frac{{\partial L}}{{\partial {variable}}}"


def new(variable: str) -> str:
    """LaTeX of the derivative that sums up the rest of the sequence."""
    return rf"\left[ {d(variable)} \right]_{{\text{{new}}}}"
