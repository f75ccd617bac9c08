"""One step of a recurrence and its backward pass, each quantity by the name that a page gives it.

A mistake is a change of some of these quantities: what is made of them follows. Everything is in
the source's convention of columns. A step of a batch has a column for each sequence, and its
gradients of weights and biases are the sums over them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import wraps
from typing import Any, ClassVar, Concatenate, Literal, ParamSpec, Self, TypeVar

import torch
from torch import Tensor

GATES = ("f", "i", "c", "o")
GRU_GATES = ("r", "z", "n")

Gates = Mapping[str, Tensor]
Squash = Literal["sigmoid", "tanh", "relu", "identity"]
Changes = Mapping[str, Callable[[Any], Any]]
"""New values of quantities or of fields; a quantity of a gate is called as in ``"slope_f"``."""

SLOPES: Mapping[Squash, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
    "relu": lambda y: (y > 0).to(y.dtype),
    "identity": torch.ones_like,
}
"""The slope of a nonlinearity by its value."""

S = TypeVar("S", bound="Step")
A = ParamSpec("A")


def quantity(
    formula: Callable[Concatenate[S, A], Tensor],
) -> Callable[Concatenate[S, A], Tensor]:
    """Make a method a quantity of the step: computed once, and replaced where a change says so."""
    name = formula.__name__

    @wraps(formula)
    def value(self: S, /, *gate: A.args, **none: A.kwargs) -> Tensor:
        key = "_".join((name, *map(str, gate)))
        cache: dict[str, Tensor] = vars(self).setdefault(" values", {})
        if key not in cache:
            change = self.changes.get(key)
            cache[key] = formula(self, *gate, **none) if change is None else change(self)
        return cache[key]

    return value


@dataclass(frozen=True)
class Step(ABC):
    """The quantities of one step, by the names that the equations give them.

    `dh` is ∂L/∂h_t, and in the equations of a sequence [∂L/∂h_t]new.
    """

    x: Tensor
    h_prev: Tensor
    h: Tensor
    dh: Tensor
    changes: Changes = field(default_factory=dict, kw_only=True, repr=False)

    gates: ClassVar[tuple[str, ...]]

    def changed(self, changes: Changes) -> Self:
        """Return the step with other values of some fields and quantities: a mistake."""
        names = {each.name for each in fields(self)}
        values: dict[str, Any] = {k: change(self) for k, change in changes.items() if k in names}
        quantities = {k: change for k, change in changes.items() if k not in names}
        return replace(self, **values, changes={**self.changes, **quantities})

    def unchanged(self, name: str, *gate: str) -> Tensor:
        """Return a quantity by its right formula, made of what else is changed."""
        formula = getattr(type(self), name).__wrapped__
        value: Tensor = formula(self, *gate)
        return value

    @abstractmethod
    def squash(self, gate: str) -> Squash:
        """Return which nonlinearity a gate has."""

    @abstractmethod
    def activation(self, gate: str) -> Tensor:
        """Return what a gate's nonlinearity returns."""

    def weights(self, name: Literal["W_x", "W_h"], gate: str) -> Tensor:
        """Return the matrix of a gate."""
        W: Tensor = getattr(self, name)[gate]
        return W

    @abstractmethod
    def value(self, gate: str) -> Tensor:
        """∂L/∂(activation of the gate)."""

    @quantity
    def slope(self, gate: str) -> Tensor:
        """Slope of the gate's nonlinearity."""
        return SLOPES[self.squash(gate)](self.activation(gate))

    @quantity
    def delta(self, gate: str) -> Tensor:
        """∂L/∂z_t of the gate: the gradient of what enters its nonlinearity."""
        return self.value(gate) * self.slope(gate)

    @quantity
    def packed(self, gate: str) -> Tensor:
        """δ of the gate, at its place among the others."""
        return self.delta(gate)

    @quantity
    def input_delta(self, gate: str) -> Tensor:
        """δ of the gate as the input's gradient takes it."""
        return self.packed(gate)

    @quantity
    def state_delta(self, gate: str) -> Tensor:
        """δ of the gate as the previous state's gradient takes it."""
        return self.packed(gate)

    @quantity
    def recurrent_input(self, gate: str) -> Tensor:
        """Return what the gate's W_h multiplies."""
        return self.h_prev

    @quantity
    def recurrent_delta(self, gate: str) -> Tensor:
        """∂L/∂(what the gate's W_h returns)."""
        return self.packed(gate)

    @quantity
    def input_weights(self, gate: str) -> Tensor:
        """∂L/∂W_x of the gate."""
        return outer(self.packed(gate), self.x)

    @quantity
    def recurrent_weights(self, gate: str) -> Tensor:
        """∂L/∂W_h of the gate."""
        return outer(self.recurrent_delta(gate), self.recurrent_input(gate))

    @quantity
    def bias(self, gate: str) -> Tensor:
        """∂L/∂b of the gate."""
        return over_batch(self.packed(gate))

    @quantity
    def step_input(self) -> Tensor:
        """∂L/∂x_t."""
        terms = [self.weights("W_x", gate).T @ self.input_delta(gate) for gate in self.gates]
        return torch.stack(terms).sum(0)

    @quantity
    def previous_state(self) -> Tensor:
        """∂L/∂h_{t−1}, as far as it comes through this step."""
        terms = [self.weights("W_h", gate).T @ self.state_delta(gate) for gate in self.gates]
        return torch.stack(terms).sum(0)


@dataclass(frozen=True)
class RNNStep(Step):
    """One RNN step."""

    W_x: Tensor
    W_h: Tensor
    nonlinearity: Squash = field(default="tanh", kw_only=True)

    gates: ClassVar[tuple[str, ...]] = ("h",)

    def squash(self, gate: str) -> Squash:
        """Return which nonlinearity the state has."""
        return self.nonlinearity

    def activation(self, gate: str) -> Tensor:
        """h_t."""
        return self.h

    def weights(self, name: Literal["W_x", "W_h"], gate: str) -> Tensor:
        """Return one of the matrices."""
        return self.W_x if name == "W_x" else self.W_h

    @quantity
    def value(self, gate: str) -> Tensor:
        """∂L/∂h_t."""
        return self.dh


@dataclass(frozen=True)
class GRUStep(Step):
    """One GRU step; `q` is what the reset gate multiplies.

    It is W_h h_{t−1} + b_h, or h_{t−1} itself if the gate stands inside, W_h (r_t ⊙ h_{t−1}). With
    `keeps`, z_t is how much of h_{t−1} stays; without, how much of the candidate comes in.
    """

    W_x: Gates
    W_h: Gates
    q: Tensor
    r: Tensor
    z: Tensor
    n: Tensor
    inside: bool = field(default=False, kw_only=True)
    keeps: bool = field(default=True, kw_only=True)

    gates: ClassVar[tuple[str, ...]] = GRU_GATES

    def squash(self, gate: str) -> Squash:
        """Return which nonlinearity a gate has."""
        return "tanh" if gate == "n" else "sigmoid"

    def activation(self, gate: str) -> Tensor:
        """r_t, z_t or n_t."""
        value: Tensor = getattr(self, gate)
        return value

    @quantity
    def kept(self) -> Tensor:
        """Return the share of h_{t−1} in h_t."""
        return self.z if self.keeps else 1 - self.z

    @quantity
    def value(self, gate: str) -> Tensor:
        """∂L/∂r_t, ∂L/∂z_t or ∂L/∂n_t."""
        if gate == "n":
            return self.dh * (1 - self.kept())
        if gate == "z":
            return self.dh * (self.h_prev - self.n if self.keeps else self.n - self.h_prev)
        return self.reset_delta() * self.q

    @quantity
    def reset_delta(self) -> Tensor:
        """∂L/∂(r_t ⊙ q)."""
        return self.W_h["n"].T @ self.delta("n") if self.inside else self.delta("n")

    @quantity
    def recurrent_input(self, gate: str) -> Tensor:
        """Return what the gate's W_h multiplies."""
        return self.r * self.h_prev if self.inside and gate == "n" else self.h_prev

    @quantity
    def recurrent_delta(self, gate: str) -> Tensor:
        """δ of the gate; of the candidate δ^q_t, which has the factor r_t."""
        if gate != "n" or self.inside:
            return self.packed(gate)
        return self.packed("n") * self.r

    @quantity
    def inner_bias(self) -> Tensor:
        """∂L/∂b_h."""
        return over_batch(self.recurrent_delta("n"))

    @quantity
    def previous_state(self) -> Tensor:
        """∂L/∂h_{t−1}, as far as it comes through this step."""
        return self.kept() * self.dh + self.through_gates()

    @quantity
    def through_gates(self) -> Tensor:
        """∂L/∂h_{t−1} in what the gates are made of."""
        candidate = self.W_h["n"].T @ self.state_delta("n")
        gates = [self.W_h[gate].T @ self.state_delta(gate) for gate in ("r", "z")]
        return torch.stack([*gates, candidate * self.r if self.inside else candidate]).sum(0)

    @quantity
    def state_delta(self, gate: str) -> Tensor:
        """δ of the gate as the previous state's gradient takes it."""
        return self.recurrent_delta(gate)


@dataclass(frozen=True)
class LSTMStep(Step):
    """One LSTM step; `dc` is ∂L/∂c_t or [∂L/∂c_t]new, as `dh` is for h_t."""

    W_x: Gates
    W_h: Gates
    c_prev: Tensor
    f: Tensor
    i: Tensor
    c_tilde: Tensor
    o: Tensor
    c: Tensor
    tanh_c: Tensor
    dc: Tensor
    candidate: Squash = field(default="tanh", kw_only=True)
    outward: Squash = field(default="tanh", kw_only=True)  # of c_t on its way to h_t

    gates: ClassVar[tuple[str, ...]] = GATES

    def squash(self, gate: str) -> Squash:
        """Return which nonlinearity a gate has."""
        return self.candidate if gate == "c" else "sigmoid"

    def activation(self, gate: str) -> Tensor:
        """f_t, i_t, c̃_t or o_t."""
        value: Tensor = self.c_tilde if gate == "c" else getattr(self, gate)
        return value

    @quantity
    def cell_slope(self) -> Tensor:
        """1 − tanh(c_t) ⊙ tanh(c_t)."""
        return SLOPES[self.outward](self.tanh_c)

    @quantity
    def through_state(self) -> Tensor:
        """Return what reaches c_t through h_t."""
        return self.dh * self.o * self.cell_slope()

    @quantity
    def reaches_c(self) -> Tensor:
        """∂L/∂c_t + ∂L/∂h_t ⊙ o_t ⊙ (1 − tanh(c_t) ⊙ tanh(c_t)): all that reaches c_t."""
        return self.dc + self.through_state()

    @quantity
    def partner(self, gate: str) -> Tensor:
        """Return what a gate meets: c_{t−1}, c̃_t, i_t or tanh(c_t)."""
        return {"f": self.c_prev, "i": self.c_tilde, "c": self.i, "o": self.tanh_c}[gate]

    @quantity
    def value(self, gate: str) -> Tensor:
        """∂L/∂(activation of the gate), (13)-(16)."""
        return (self.dh if gate == "o" else self.reaches_c()) * self.partner(gate)

    @quantity
    def previous_cell(self) -> Tensor:
        """(29), and (33) without its first term."""
        return self.reaches_c() * self.f


@dataclass(frozen=True)
class ProjectedStep(LSTMStep):
    """One LSTM step whose state is W_p y_t."""

    W_p: Tensor
    y: Tensor


@dataclass(frozen=True)
class AttentionStep(LSTMStep):
    """One LSTM step that looks at a map: its weights, the places' weights and what was read."""

    A: Tensor
    W_a: Gates
    alpha: Tensor
    r: Tensor


def outer(a: Tensor, b: Tensor) -> Tensor:
    """Return a bᵀ; of columns of a batch, the sum over them."""
    return torch.outer(a, b) if a.ndim == 1 else a @ b.mT


def over_batch(a: Tensor) -> Tensor:
    """Return a column; of columns of a batch, their sum."""
    return a if a.ndim == 1 else a.sum(1)
