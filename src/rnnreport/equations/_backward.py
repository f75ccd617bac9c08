"""A backward pass through a sequence, with the mistakes that can be made in it.

The steps are those of `_steps`; how they are joined is written down here, as a loop in code would
have it. Without a mistake this is what the equations of a whole sequence say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor

from rnnreport.equations._recurrences import GatedProblem, StateProblem
from rnnreport.equations._steps import Changes, GRUStep, LSTMStep, Step

__all__ = ["RIGHT", "Backward", "Joining", "Slip", "backward"]

Start = Literal["kept", "zero", "next"]
Sum = Literal["all", "first", "last", "none", "mean"]


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
    first_h, first_c : {"kept", "zero", "next"}
        What the first step takes for h_0 and c_0: these, zero or the states after it.
    sums : {"all", "first", "last", "none", "mean"}
        The steps whose gradients of the weights count; ``"mean"`` divides by the batch.
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
    forward: bool = False
    early: bool = False


@dataclass(frozen=True)
class Slip:
    """One place where a backward pass is changed: quantities of each step, or their joining."""

    changes: Changes = field(default_factory=dict)
    joining: Mapping[str, Any] = field(default_factory=dict)

    def __or__(self, other: Slip) -> Slip:
        return Slip({**self.changes, **other.changes}, {**self.joining, **other.joining})

    def fits(self, other: Slip) -> bool:
        """Whether both can be made at once: none of them overwrites the other."""
        keys = self.changes.keys() | self.joining.keys()
        return keys.isdisjoint(other.changes.keys() | other.joining.keys())


RIGHT = Slip()


@dataclass(frozen=True)
class Backward:
    """What a backward pass computes.

    Attributes
    ----------
    steps : sequence of Step
        Steps 1 to T, with what reached them.
    h_0, c_0 : Tensor
        Gradients of the first states; of an RNN or a GRU, `c_0` is None.
    joining : Joining
        How the steps were joined.
    """

    steps: tuple[Step, ...]
    h_0: Tensor
    c_0: Tensor | None
    joining: Joining

    @property
    def counted(self) -> tuple[Step, ...]:
        """The steps whose gradients of the weights count."""
        steps = {"first": self.steps[:1], "last": self.steps[-1:], "none": ()}
        return steps.get(self.joining.sums, self.steps)

    def total(self, name: str, *gate: str) -> Tensor:
        """Sum a gradient of weights or biases over the steps that count."""
        terms = [getattr(step, name)(*gate) for step in self.counted]
        if not terms:
            return torch.zeros_like(getattr(self.steps[0], name)(*gate))
        value: Tensor = reduce(torch.add, terms)
        mean = self.joining.sums == "mean" and self.steps[0].x.ndim == 2
        return value / self.steps[0].x.shape[1] if mean else value

    def gradients(self) -> dict[str, Tensor]:
        """Return all gradients: of the inputs, the first states, and each gate's parameters."""
        values = {"x": torch.stack([step.step_input() for step in self.steps]), "h_0": self.h_0}
        if self.c_0 is not None:
            values["c_0"] = self.c_0
        for gate in self.steps[0].gates:
            values[f"W_x^{gate}"] = self.total("input_weights", gate)
            values[f"W_h^{gate}"] = self.total("recurrent_weights", gate)
            values[f"b^{gate}"] = self.total("bias", gate)
        if isinstance(self.steps[0], GRUStep):
            values["b_h"] = self.total("inner_bias")
        return values


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
    gated = isinstance(problem, GatedProblem)
    T, own = problem.T, 1 if joining.own else 0
    back_h = torch.zeros_like(problem.h[0])
    back_c = torch.zeros_like(back_h) if not gated else torch.zeros_like(problem.c[0])
    steps: dict[int, Step] = {}
    reaches_h = back_h
    for t in range(1, T + 1) if joining.forward else range(T, 0, -1):
        reaches_h = own * problem.dh[t] + back_h
        if isinstance(problem, GatedProblem):
            step: Any = problem.step(t, reaches_h, own * problem.dc[t] + back_c)
        else:
            step = problem.step(t, reaches_h)
        if t == 1:
            step = step.changed(_start(step, joining))
        step = step.changed(slip.changes)
        if joining.own_input:
            read = {"dh": problem.dh[t]}
            if isinstance(problem, GatedProblem):
                read["dc"] = problem.dc[t]
            dx = replace(step, **read).step_input()
            step = step.changed({"step_input": lambda s, dx=dx: dx})
        steps[t] = step
        sent_h = step.previous_state()
        back_h = sent_h if joining.carries_h else torch.zeros_like(sent_h)
        if gated:
            sent_c = step.previous_cell()
            back_c = sent_c if joining.carries_c else torch.zeros_like(sent_c)
    return Backward(
        steps=tuple(steps[t] for t in range(1, T + 1)),
        h_0=reaches_h if joining.early else sent_h,
        c_0=sent_c if gated else None,
        joining=joining,
    )


def _start(step: Step, joining: Joining) -> Changes:
    """Return what the first step takes for the states before it."""
    changes: dict[str, Any] = {}
    if joining.first_h != "kept":
        taken = torch.zeros_like(step.h_prev) if joining.first_h == "zero" else step.h
        changes |= {f"recurrent_input_{gate}": lambda s: taken for gate in step.gates}
        if isinstance(step, GRUStep):
            changes["h_prev"] = lambda s: taken
    if joining.first_c != "kept" and isinstance(step, LSTMStep):
        cell = torch.zeros_like(step.c_prev) if joining.first_c == "zero" else step.c
        changes["c_prev"] = lambda s: cell
    return changes
