"""A backward pass through a sequence, with the mistakes that can be made in it.

The steps are those of `_steps`; how they are joined is written down here, as a loop in code would
have it. Without a mistake this is what the equations of a whole sequence say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import methodcaller
from typing import Any, Literal, cast

import torch
from torch import Tensor

from rnnreport.equations._recurrences import GatedProblem, StateProblem
from rnnreport.equations._steps import Changes, GRUStep, LSTMStep, Step

__all__ = ["RIGHT", "Backward", "Joining", "Slip", "Times", "backward"]

Start = Literal["kept", "zero", "next", "unused"]
Sum = Literal["all", "first", "last", "none", "mean"]
Parameter = Literal["W_x", "W_h", "b"]


@dataclass(frozen=True)
class Joining:
    """How the steps of a backward pass are joined; the defaults are right.

    Attributes
    ----------
    carries_h, carries_c : bool
        Whether a step is given what the later one sends back.
    own : bool
        Whether a step is given what the loss reads of its own state.
    own_input : bool
        Whether ∂L/∂x_t is made of that alone.
    first_h, first_c : {"kept", "zero", "next", "unused"}
        What the first step takes for h_0 and c_0: these, zero or the states after it. With
        ``"unused"`` its share of ∂L/∂W_h alone is left out.
    sums : {"all", "first", "last", "none", "mean"}
        The steps whose gradients of the weights count; ``"mean"`` divides by the batch.
    only : {"", "W_x", "W_h", "b"}
        The gradients for which that holds; those of all parameters if empty.
    forward : bool
        Whether the loop runs from the first step to the last.
    early : bool
        Whether ∂L/∂h_0 is what reaches h_1.
    """

    carries_h: bool = True
    carries_c: bool = True
    own: bool = True
    own_input: bool = False
    first_h: Start = "kept"
    first_c: Start = "kept"
    sums: Sum = "all"
    only: Parameter | Literal[""] = ""
    forward: bool = False
    early: bool = False


@dataclass(frozen=True)
class Times:
    """A change that multiplies a quantity, whatever else changes it."""

    factor: Callable[[Any], Any]
    name: str
    gate: str
    inner: Callable[[Any], Tensor] | None = None

    def __call__(self, s: Any) -> Tensor:
        """Return the quantity of a step."""
        value = self.inner(s) if self.inner else s.unchanged(self.name, self.gate)
        product: Tensor = self.factor(s) * value
        return product


@dataclass(frozen=True)
class Slip:
    """One place where a backward pass is changed: quantities of each step, or their joining."""

    changes: Changes = field(default_factory=dict)
    joining: Mapping[str, Any] = field(default_factory=dict)

    def __or__(self, other: Slip) -> Slip:
        changes = {**self.changes, **other.changes}
        for key in self.changes.keys() & other.changes.keys():
            pair = (self.changes[key], other.changes[key])
            factor, inner = pair if isinstance(pair[0], Times) else pair[::-1]
            changes[key] = replace(cast(Times, factor), inner=inner)
        return Slip(changes, {**self.joining, **other.joining})

    def fits(self, other: Slip) -> bool:
        """Whether both can be made at once: none of them overwrites the other."""
        if self.joining.keys() & other.joining.keys():
            return False
        shared = self.changes.keys() & other.changes.keys()
        pairs = ((self.changes[key], other.changes[key]) for key in shared)
        return all(isinstance(a, Times) != isinstance(b, Times) for a, b in pairs)


RIGHT = Slip()
_FORMULAS: Mapping[Parameter, str] = {
    "W_x": "input_weights",
    "W_h": "recurrent_weights",
    "b": "bias",
}


@dataclass(frozen=True)
class Backward:
    """What a backward pass computes.

    Attributes
    ----------
    steps : tuple of Step
        Steps 1 to T, with what reached them.
    last : Step
        The step that the loop came to last.
    joining : Joining
        How the steps were joined.
    """

    steps: tuple[Step, ...]
    last: Step
    joining: Joining

    @property
    def h_0(self) -> Tensor:
        """∂L/∂h_0."""
        return self.last.dh if self.joining.early else self.last.previous_state()

    @property
    def c_0(self) -> Tensor | None:
        """∂L/∂c_0; None of an RNN or a GRU."""
        return self.last.previous_cell() if isinstance(self.last, LSTMStep) else None

    def summed(self, formula: Callable[[Any], Tensor], parameter: Parameter) -> Tensor:
        """Sum a gradient of weights or biases over the steps that count."""
        sums = self.joining.sums if self.joining.only in ("", parameter) else "all"
        counted = {"first": self.steps[:1], "last": self.steps[-1:], "none": ()}
        terms = [formula(step) for step in counted.get(sums, self.steps)]
        if not terms:
            return torch.zeros_like(formula(self.steps[0]))
        value: Tensor = reduce(torch.add, terms)
        mean = sums == "mean" and self.steps[0].x.ndim == 2
        return value / self.steps[0].x.shape[1] if mean else value

    def previous_states(self) -> Tensor:
        """[∂L/∂h_{t−1}]new of each step."""
        return torch.stack([self.h_0, *(step.dh for step in self.steps[:-1])])

    def previous_cells(self) -> Tensor:
        """[∂L/∂c_{t−1}]new of each step of an LSTM."""
        steps: Any = self.steps
        return torch.stack([steps[0].previous_cell(), *(step.dc for step in steps[:-1])])

    def inputs(self) -> Tensor:
        """∂L/∂x_t of each step."""
        return torch.stack([step.step_input() for step in self.steps])

    def gradient(self, name: str) -> Tensor:
        """Return one gradient: ``"x"``, ``"h_0"``, ``"c_0"``, ``"b_h"`` or ``"W_x^f"``."""
        kind, _, gate = name.partition("^")
        if gate:
            parameter = cast(Parameter, kind)
            return self.summed(methodcaller(_FORMULAS[parameter], gate), parameter)
        if kind == "b_h":
            return self.summed(methodcaller("inner_bias"), "b")
        if kind == "x":
            return self.inputs()
        value: Tensor = self.h_0 if kind == "h_0" else self.c_0  # type: ignore[assignment]
        return value

    def names(self) -> tuple[str, ...]:
        """Return the names of all gradients: of the inputs, the first states, the parameters."""
        step = self.steps[0]
        parameters = [f"{kind}^{gate}" for gate in step.gates for kind in _FORMULAS]
        states = ["h_0", "c_0"] if isinstance(step, LSTMStep) else ["h_0"]
        inner = ["b_h"] if isinstance(step, GRUStep) else []
        return ("x", *states, *parameters, *inner)

    def gradients(self) -> dict[str, Tensor]:
        """Return all gradients by their names."""
        return {name: self.gradient(name) for name in self.names()}


def backward(problem: StateProblem[Any] | GatedProblem[Any], slip: Slip = RIGHT) -> Backward:
    """Go back through a sequence, from the last step to the first.

    Parameters
    ----------
    problem
        The recurrence, with what the loss reads of each state.
    slip
        A mistake, made at every step.
    """
    joining = replace(Joining(), **slip.joining)
    steps: list[Any] = list(problem.steps)
    order = range(problem.T) if joining.forward else range(problem.T - 1, -1, -1)
    later: Any = None
    for k in order:
        read = {name: getattr(steps[k], name) for name in _states(steps[k])}
        reaches = read if joining.own else {name: torch.zeros_like(d) for name, d in read.items()}
        sent = {} if later is None else _sent(later, joining)
        step = replace(steps[k], **reaches | {name: reaches[name] + d for name, d in sent.items()})
        if k == 0:
            step = step.changed(_start(step, joining))
        step = step.changed(slip.changes)
        if joining.own_input:
            dx = replace(step, **read).step_input()
            step = step.changed({"step_input": lambda s, dx=dx: dx})
        steps[k] = later = step
    return Backward(tuple(steps), later, joining)


def _states(step: Step) -> tuple[str, ...]:
    """Return the names of what reaches the states of a step."""
    return ("dh", "dc") if isinstance(step, LSTMStep) else ("dh",)


def _sent(step: Any, joining: Joining) -> dict[str, Tensor]:
    """Return what a step sends back to the states before it, as far as it is carried."""
    sent = {}
    if joining.carries_h:
        sent["dh"] = step.previous_state()
    if joining.carries_c and isinstance(step, LSTMStep):
        sent["dc"] = step.previous_cell()
    return sent


def _start(step: Step, joining: Joining) -> Changes:
    """Return what the first step takes for the states before it."""
    changes: dict[str, Any] = {}
    if joining.first_h != "kept":
        taken = step.h if joining.first_h == "next" else torch.zeros_like(step.h_prev)
        if isinstance(step, GRUStep) and joining.first_h != "unused":
            changes["h_prev"] = lambda s: taken
            if step.inside:
                changes["q"] = lambda s: taken
        else:
            changes |= {f"recurrent_input_{gate}": lambda s: taken for gate in step.gates}
    if joining.first_c != "kept" and isinstance(step, LSTMStep):
        cell = torch.zeros_like(step.c_prev) if joining.first_c == "zero" else step.c
        changes["c_prev"] = lambda s: cell
    return changes
