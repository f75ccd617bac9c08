r"""Random problems, and the recurrences from their definition.

Everything here is in the source's convention: x_t ∈ R^d and h_t ∈ R^m are columns without a batch,
matrices act from the left, the four gates have their own weights. Nothing is shared with `layers`.

A problem is a recurrence with a loss L = Σ_t ℓ_t that reads every state. With
ℓ_t = u_t·h_t + ½ s_t·h_t² (and the same of c_t) the direct partial derivative is u_t + s_t ⊙ h_t,
known exactly, and L is analytic: its derivatives can be taken by complex step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, cast

import torch
from torch import Tensor

from rnnreport import proof
from rnnreport.equations._entry import Sizes, unknowns
from rnnreport.equations._steps import (
    GATES,
    GRU_GATES,
    AttentionStep,
    Gates,
    GRUStep,
    LSTMStep,
    ProjectedStep,
    RNNStep,
    Squash,
    Step,
)

S = TypeVar("S", bound=Step)
L = TypeVar("L", bound=LSTMStep)


@dataclass(frozen=True)
class Problem(ABC, Generic[S]):
    """A recurrence, its inputs and a loss that reads its states.

    Index t of a state runs from 0 to T; x_t, u_t, … are rows t − 1 of their tensors.
    """

    x: Tensor  # (T, d)
    h_0: Tensor  # (m,)
    u: Tensor  # (T, m)
    s: Tensor  # (T, m)

    @classmethod
    @abstractmethod
    def draw(cls, generator: torch.Generator, sizes: Sizes) -> Self:
        """Draw every tensor of the problem."""

    @classmethod
    def draw_step(cls, generator: torch.Generator, sizes: Sizes) -> Self:
        """Draw a problem of a single step."""
        return cls.draw(generator, sizes._replace(T=1))

    def exactly(self, field: proof.Field) -> Self:
        """Return the problem with unknowns in place of all numbers."""
        return unknowns(self, field)

    @property
    def T(self) -> int:
        """Number of steps."""
        return self.x.shape[0]

    @abstractmethod
    def loss(self) -> Tensor:
        """Run the recurrence and return the scalar L."""

    @abstractmethod
    def tail(self, t: int) -> Self:
        """Return steps t + 1 to T alone, started in the states of step t."""

    @property
    @abstractmethod
    def h(self) -> list[Tensor]:
        """h_0, …, h_T."""

    @cached_property
    def dh(self) -> list[Tensor]:
        """Direct ∂L/∂h_t for t = 0, …, T; the loss does not read h_0."""
        return _direct(self.h, self.u, self.s)

    @property
    @abstractmethod
    def new_dh(self) -> list[Tensor]:
        """[∂L/∂h_t]new for t = 0, …, T, by complex step."""

    @cached_property
    @abstractmethod
    def steps(self) -> Sequence[S]:
        """Steps 1 to T with the direct partial derivatives of the loss."""

    @cached_property
    @abstractmethod
    def new_steps(self) -> Sequence[S]:
        """Steps 1 to T with the derivatives of the rest of the sequence, by complex step."""

    @cached_property
    def complex(self) -> Self:
        """The same problem in complex128, as the complex step needs; an exact one as it is."""
        cast: dict[str, Any] = {f.name: _complex(getattr(self, f.name)) for f in fields(self)}
        return replace(self, **cast)

    def derivative(self, name: str, gate: str | None = None) -> Tensor:
        """∂L/∂(field `name`), or of one gate's entry in it, by complex step from the definition."""

        def loss(value: Tensor) -> Tensor:
            moved: Any = value if gate is None else {**getattr(self.complex, name), gate: value}
            return replace(self.complex, **{name: moved}).loss()

        value = getattr(self, name)
        return proof.gradient(loss, value if gate is None else value[gate])


@dataclass(frozen=True)
class StateProblem(Problem[S]):
    """A recurrence whose only state is h_t."""

    @abstractmethod
    def next(self, x: Tensor, h_prev: Tensor) -> Tensor:
        """h_t."""

    @abstractmethod
    def step(self, t: int, dh: Tensor) -> S:
        """Step t, with what reaches h_t."""

    def states(self) -> list[Tensor]:
        """h_0, …, h_T."""
        h = [self.h_0]
        for x in self.x:
            h.append(self.next(x, h[-1]))
        return h

    def loss(self) -> Tensor:
        """L = Σ_t ℓ_t(h_t)."""
        return _read(self.states()[1:], self.u, self.s)

    def tail(self, t: int) -> Self:
        """Return steps t + 1 to T alone, started in h_t."""
        return replace(self, x=self.x[t:], h_0=self.h[t], u=self.u[t:], s=self.s[t:])

    @cached_property
    def h(self) -> list[Tensor]:
        """h_0, …, h_T, computed once."""
        return self.states()

    @cached_property
    def new_dh(self) -> list[Tensor]:
        """[∂L/∂h_t]new for t = 0, …, T: the recurrence restarted in h_t, which is then varied."""

        def gradient(t: int) -> Tensor:
            tail = self.complex.tail(t)

            def rest(h: Tensor) -> Tensor:
                loss = replace(tail, h_0=h).loss()
                return loss if t == 0 else loss + _read([h], self.u[t - 1 : t], self.s[t - 1 : t])

            return proof.gradient(rest, self.h[t])

        return [gradient(t) for t in range(self.T + 1)]

    @cached_property
    def steps(self) -> Sequence[S]:
        """Steps 1 to T with the direct ∂L/∂h_t."""
        return [self.step(t, self.dh[t]) for t in range(1, self.T + 1)]

    @cached_property
    def new_steps(self) -> Sequence[S]:
        """Steps 1 to T with [∂L/∂h_t]new."""
        return [self.step(t, self.new_dh[t]) for t in range(1, self.T + 1)]


@dataclass(frozen=True)
class RNNProblem(StateProblem[RNNStep]):
    """h_t = tanh(W_x x_t + W_h h_{t−1} + b)."""

    W_x: Tensor  # (m, d)
    W_h: Tensor  # (m, m)
    b: Tensor  # (m,)

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: Sizes) -> Self:
        """Draw every tensor of the problem."""
        T, d, m = sizes
        uniform = _uniform(generator)
        return cls(
            x=uniform(T, d, bound=2),
            h_0=uniform(m, bound=2),
            u=uniform(T, m, bound=2),
            s=uniform(T, m, bound=2),
            W_x=uniform(m, d, bound=d**-0.5),
            W_h=uniform(m, m, bound=m**-0.5),
            b=uniform(m, bound=1),
        )

    squash: ClassVar[Squash] = "tanh"

    @staticmethod
    def nonlinearity(z: Tensor) -> Tensor:
        """Return tanh(z)."""
        return torch.tanh(z)

    def next(self, x: Tensor, h_prev: Tensor) -> Tensor:
        """h_t."""
        return self.nonlinearity(self.W_x @ x + self.W_h @ h_prev + self.b)

    def step(self, t: int, dh: Tensor) -> RNNStep:
        """Step t, with what reaches h_t."""
        x, h_prev = self.x[t - 1], self.h[t - 1]
        return RNNStep(x, h_prev, self.h[t], dh, self.W_x, self.W_h, nonlinearity=self.squash)

    def before(self) -> Tensor:
        """z_t of a problem of one step."""
        return self.W_x @ self.x[0] + self.W_h @ self.h_0 + self.b

    def derivative_before(self) -> Tensor:
        """∂L/∂z_t in a problem of one step."""
        one = self.complex
        return proof.gradient(lambda z: _read([self.nonlinearity(z)], one.u, one.s), self.before())


@dataclass(frozen=True)
class ReLUProblem(RNNProblem):
    """The RNN with h_t = max(0, z_t), whose derivative at z_t depends on the sign of z_t alone.

    That sign is drawn, and no z_t is near 0: the first element of x_t is large and changes its sign
    from step to step, and it moves neighbouring elements of z_t in opposite directions. So at each
    step others are above 0, and before the first one h_0 is where h_1 is not.
    """

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: Sizes) -> Self:
        """Draw every tensor of the problem."""
        T, d, m = sizes
        uniform = _uniform(generator)
        sides, turns = 1.0 - 2 * (torch.arange(m) % 2), 1.0 - 2 * (torch.arange(T) % 2)
        x, W_x = uniform(T, d, bound=0.5), uniform(m, d, bound=0.5 / d)
        x[:, 0] = turns * (2.25 + uniform(T, bound=0.25))
        W_x[:, 0] = sides * (2.75 + uniform(m, bound=0.25))
        return cls(
            x=x,
            h_0=-sides * (1.5 + uniform(m, bound=0.5)),
            u=uniform(T, m, bound=2),
            s=uniform(T, m, bound=2),
            W_x=W_x,
            W_h=uniform(m, m, bound=0.4 / m),
            b=uniform(m, bound=0.25),
        )

    squash: ClassVar[Squash] = "relu"

    @staticmethod
    def nonlinearity(z: Tensor) -> Tensor:
        """max(0, z); of complex numbers, by the sign of the real part."""
        return z * (z.real > 0)


@dataclass(frozen=True)
class GRUProblem(StateProblem[GRUStep]):
    """r, z = σ(z_t) of each gate, q = W_h h_{t−1} + b_h, n = tanh(W_x x_t + b + r ⊙ q).

    Then h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}.
    """

    W_x: Gates  # of each gate (m, d)
    W_h: Gates  # of each gate (m, m)
    b: Gates  # of each gate (m,)
    b_h: Tensor  # (m,)

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: Sizes) -> Self:
        """Draw every tensor of the problem."""
        T, d, m = sizes
        uniform = _uniform(generator)
        return cls(
            x=uniform(T, d, bound=2),
            h_0=uniform(m, bound=2),
            u=uniform(T, m, bound=2),
            s=uniform(T, m, bound=2),
            W_x={gate: uniform(m, d, bound=d**-0.5) for gate in GRU_GATES},
            W_h={gate: uniform(m, m, bound=m**-0.5) for gate in GRU_GATES},
            b={gate: uniform(m, bound=1) for gate in GRU_GATES},
            b_h=uniform(m, bound=1),
        )

    def before(self, x: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
        """z^r_t, z^z_t, q_t, and what the input adds to z^n_t (key ``"n"``)."""
        z = {gate: self.W_x[gate] @ x + self.b[gate] for gate in GRU_GATES}
        z |= {gate: z[gate] + self.W_h[gate] @ h_prev for gate in ("r", "z")}
        return z | {"q": self.W_h["n"] @ h_prev + self.b_h}

    @staticmethod
    def values(z: Gates) -> dict[str, Tensor]:
        """q_t, r_t, z_t and n_t."""
        r = _sigma(z["r"])
        return {"q": z["q"], "r": r, "z": _sigma(z["z"]), "n": torch.tanh(z["n"] + r * z["q"])}

    @staticmethod
    def state(values: Gates, h_prev: Tensor) -> Tensor:
        """h_t of these values."""
        return (1 - values["z"]) * values["n"] + values["z"] * h_prev

    def next(self, x: Tensor, h_prev: Tensor) -> Tensor:
        """h_t."""
        return self.state(self.values(self.before(x, h_prev)), h_prev)

    def derivative_before(self, name: str) -> Tensor:
        """∂L/∂z_t of a gate, or ∂L/∂q_t, in a problem of one step: that alone is varied."""
        one = self.complex
        z = one.before(one.x[0], one.h_0)

        def loss(value: Tensor) -> Tensor:
            return _read([self.state(self.values({**z, name: value}), one.h_0)], one.u, one.s)

        return proof.gradient(loss, z[name].real.contiguous())

    def step(self, t: int, dh: Tensor) -> GRUStep:
        """Step t, with what reaches h_t."""
        x, h_prev = self.x[t - 1], self.h[t - 1]
        v = self.values(self.before(x, h_prev))
        gates = v["q"], v["r"], v["z"], v["n"]
        return GRUStep(x, h_prev, self.h[t], dh, self.W_x, self.W_h, *gates)


@dataclass(frozen=True)
class GatedProblem(Problem[L]):
    """f, i, o = σ(z_t) of each gate and c̃ = tanh(z_t), with z_t = W_x x_t + W_h h_{t−1} + b.

    Then c_t = f ⊙ c_{t−1} + i ⊙ c̃ and h_t = o ⊙ tanh(c_t).
    """

    W_x: Gates  # of each gate (m, d)
    W_h: Gates  # of each gate (m, m)
    b: Gates  # of each gate (m,)
    c_0: Tensor  # (m,)
    u_c: Tensor  # (T, m)
    s_c: Tensor  # (T, m)

    def without_c(self) -> Self:
        """Return the same problem with a loss that reads h_t only."""
        return replace(self, u_c=torch.zeros_like(self.u_c), s_c=torch.zeros_like(self.s_c))

    def before(self, x: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
        """z_t of each gate: what enters its nonlinearity."""
        return {g: self.W_x[g] @ x + self.W_h[g] @ h_prev + self.b[g] for g in GATES}

    @staticmethod
    def values(z: Gates) -> dict[str, Tensor]:
        """f_t, i_t, c̃_t (key ``"c"``) and o_t of what enters their nonlinearities."""
        return {"f": _sigma(z["f"]), "i": _sigma(z["i"]), "c": z["c"].tanh(), "o": _sigma(z["o"])}

    def gates(self, x: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
        """f_t, i_t, c̃_t (key ``"c"``) and o_t."""
        return self.values(self.before(x, h_prev))

    def state(self, gates: Gates, c_prev: Tensor) -> tuple[Tensor, Tensor]:
        """h_t and c_t of the gates' values."""
        c = gates["f"] * c_prev + gates["i"] * gates["c"]
        return gates["o"] * torch.tanh(c), c

    def states(self) -> tuple[list[Tensor], list[Tensor]]:
        """h_0, …, h_T and c_0, …, c_T."""
        h, c = [self.h_0], [self.c_0]
        for x in self.x:
            next_h, next_c = self.state(self.gates(x, h[-1]), c[-1])
            h.append(next_h)
            c.append(next_c)
        return h, c

    def loss(self) -> Tensor:
        """L = Σ_t ℓ_t(h_t, c_t)."""
        h, c = self.states()
        return _read(h[1:], self.u, self.s) + _read(c[1:], self.u_c, self.s_c)

    def tail(self, t: int) -> Self:
        """Return steps t + 1 to T alone, started in h_t and c_t."""
        return replace(
            self,
            x=self.x[t:],
            h_0=self.h[t],
            u=self.u[t:],
            s=self.s[t:],
            c_0=self.c[t],
            u_c=self.u_c[t:],
            s_c=self.s_c[t:],
        )

    @cached_property
    def _states(self) -> tuple[list[Tensor], list[Tensor]]:
        return self.states()

    @property
    def h(self) -> list[Tensor]:
        """h_0, …, h_T, computed once."""
        return self._states[0]

    @property
    def c(self) -> list[Tensor]:
        """c_0, …, c_T, computed once."""
        return self._states[1]

    @cached_property
    def dc(self) -> list[Tensor]:
        """Direct ∂L/∂c_t for t = 0, …, T; the loss does not read c_0."""
        return _direct(self.c, self.u_c, self.s_c)

    @cached_property
    def new_dh(self) -> list[Tensor]:
        """[∂L/∂h_t]new for t = 0, …, T, with c_t held fixed."""
        return [self._new(t, "h_0", self.h[t], self.u, self.s) for t in range(self.T + 1)]

    @cached_property
    def new_dc(self) -> list[Tensor]:
        """[∂L/∂c_t]new for t = 0, …, T, with h_t held fixed."""
        return [self._new(t, "c_0", self.c[t], self.u_c, self.s_c) for t in range(self.T + 1)]

    def _new(
        self, t: int, start: Literal["h_0", "c_0"], value: Tensor, u: Tensor, s: Tensor
    ) -> Tensor:
        # The recurrence is restarted in (h_t, c_t), free inputs of which one is varied. What ℓ_t
        # reads of the other is constant.
        tail = self.complex.tail(t)

        def rest(state: Tensor) -> Tensor:
            moved = replace(tail, h_0=state) if start == "h_0" else replace(tail, c_0=state)
            loss = moved.loss()
            return loss if t == 0 else loss + _read([state], u[t - 1 : t], s[t - 1 : t])

        return proof.gradient(rest, value)

    def gate_derivative(self, gate: str) -> Tensor:
        """∂L/∂(value of a gate) in a problem of one step: that value is varied, no weight is."""
        one = self.complex
        gates = one.gates(one.x[0], one.h_0)

        def loss(value: Tensor) -> Tensor:
            h, c = one.state({**gates, gate: value}, one.c_0)
            return _read([h], one.u, one.s) + _read([c], one.u_c, one.s_c)

        return proof.gradient(loss, gates[gate].real.contiguous())

    def through_cell(self, t: int) -> Tensor:
        """All that reaches c_t: h_t = o_t ⊙ tanh(c_t) follows it, and o_t is held fixed."""
        tail = self.complex.tail(t)
        o = self.gates(self.x[t - 1], self.h[t - 1])["o"]

        def rest(c: Tensor) -> Tensor:
            h = o * torch.tanh(c)
            read = _read([h], self.u[t - 1 : t], self.s[t - 1 : t])
            read = read + _read([c], self.u_c[t - 1 : t], self.s_c[t - 1 : t])
            return replace(tail, h_0=h, c_0=c).loss() + read

        return proof.gradient(rest, self.c[t])

    def derivative_before(self, gate: str) -> Tensor:
        """∂L/∂z_t of a gate in a problem of one step: what enters its nonlinearity is varied."""
        one = self.complex
        z = one.before(one.x[0], one.h_0)

        def loss(value: Tensor) -> Tensor:
            h, c = one.state(one.values({**z, gate: value}), one.c_0)
            return _read([h], one.u, one.s) + _read([c], one.u_c, one.s_c)

        return proof.gradient(loss, z[gate].real.contiguous())

    @abstractmethod
    def step(self, t: int, dh: Tensor, dc: Tensor) -> L:
        """Step t, with what reaches h_t and c_t."""

    def _lstm(self, t: int, dh: Tensor, dc: Tensor) -> dict[str, Any]:
        """Collect what a step of every gated recurrence holds."""
        gates = self.gates(self.x[t - 1], self.h[t - 1])
        return {
            "x": self.x[t - 1],
            "h_prev": self.h[t - 1],
            "h": self.h[t],
            "dh": dh,
            "W_x": self.W_x,
            "W_h": self.W_h,
            "c_prev": self.c[t - 1],
            "f": gates["f"],
            "i": gates["i"],
            "c_tilde": gates["c"],
            "o": gates["o"],
            "c": self.c[t],
            "tanh_c": torch.tanh(self.c[t]),
            "dc": dc,
        }

    @cached_property
    def steps(self) -> Sequence[L]:
        """Steps 1 to T with the direct ∂L/∂h_t and ∂L/∂c_t."""
        return [self.step(t, self.dh[t], self.dc[t]) for t in range(1, self.T + 1)]

    @cached_property
    def new_steps(self) -> Sequence[L]:
        """Steps 1 to T with [∂L/∂h_t]new and [∂L/∂c_t]new."""
        return [self.step(t, self.new_dh[t], self.new_dc[t]) for t in range(1, self.T + 1)]


@dataclass(frozen=True)
class LSTMProblem(GatedProblem[LSTMStep]):
    """The LSTM."""

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: Sizes) -> Self:
        """Draw every tensor of the problem."""
        return cls(**_gated(generator, sizes))

    def step(self, t: int, dh: Tensor, dc: Tensor) -> LSTMStep:
        """Step t, with what reaches h_t and c_t."""
        return LSTMStep(**self._lstm(t, dh, dc))


@dataclass(frozen=True)
class ProjectedProblem(GatedProblem[ProjectedStep]):
    """An LSTM whose state is h_t = W_p y_t with y_t = o ⊙ tanh(c_t)."""

    W_p: Tensor  # (p, m)

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: Sizes) -> Self:
        """Draw every tensor of the problem; the state has 1 to 3 elements."""
        T, _, m = sizes
        p = int(1 + torch.randint(3, (), generator=generator))
        uniform = _uniform(generator)
        return cls(
            **_gated(generator, sizes)
            | {
                "h_0": uniform(p, bound=2),
                "u": uniform(T, p, bound=2),
                "s": uniform(T, p, bound=2),
                "W_h": {gate: uniform(m, p, bound=p**-0.5) for gate in GATES},
                "W_p": uniform(p, m, bound=m**-0.5),
            }
        )

    def state(self, gates: Gates, c_prev: Tensor) -> tuple[Tensor, Tensor]:
        """h_t and c_t of the gates' values."""
        y, c = super().state(gates, c_prev)
        return self.W_p @ y, c

    def derivative_projected(self) -> Tensor:
        """∂L/∂y_t in a problem of one step: y_t is varied, c_t is not."""
        one = self.complex
        return proof.gradient(lambda y: _read([one.W_p @ y], one.u, one.s), self.steps[0].y)

    def step(self, t: int, dh: Tensor, dc: Tensor) -> ProjectedStep:
        """Step t, with what reaches h_t and c_t."""
        values = self._lstm(t, dh, dc)
        return ProjectedStep(**values, W_p=self.W_p, y=values["o"] * values["tanh_c"])


@dataclass(frozen=True)
class AttentionProblem(GatedProblem[AttentionStep]):
    """An LSTM whose gates take W_a r_t besides, with r_t read from a map.

    The columns of A are its places: s = Aᵀ h_{t−1} / √m, α = softmax(s), r = A α.
    """

    W_a: Gates  # of each gate (m, m)
    A: Tensor  # (m, P)

    @classmethod
    def draw(cls, generator: torch.Generator, sizes: Sizes) -> Self:
        """Draw every tensor of the problem; the map has 2 to 4 places."""
        m = sizes.m
        P = int(2 + torch.randint(3, (), generator=generator))
        uniform = _uniform(generator)
        # The code's ∂L/∂s is divided by |h_0|², which must not be small.
        sign = 1 - 2 * torch.randint(2, (m,), generator=generator)
        return cls(
            **_gated(generator, sizes)
            | {
                "h_0": sign * (1.25 + uniform(m, bound=0.75)),
                "W_a": {gate: uniform(m, m, bound=m**-0.5) for gate in GATES},
                "A": uniform(m, P, bound=2),
            }
        )

    def scores(self, h_prev: Tensor) -> Tensor:
        """s_t, of each place."""
        return self.A.T @ h_prev / math.sqrt(h_prev.shape[0])

    @staticmethod
    def softmax(scores: Tensor) -> Tensor:
        """α_t, of each place; the shift cancels, and is the layer's."""
        raised = torch.exp(scores - scores.real.amax())
        share: Tensor = raised / raised.sum()
        return share

    def before(self, x: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
        """z_t of each gate, which sees the map."""
        return self.looking(self.A @ self.softmax(self.scores(h_prev)), x, h_prev)

    def looking(self, r: Tensor, x: Tensor, h_prev: Tensor) -> dict[str, Tensor]:
        """z_t of each gate, where r was read."""
        z = super().before(x, h_prev)
        return {gate: z[gate] + self.W_a[gate] @ r for gate in GATES}

    def derivative_within(self, value: Tensor, context: Callable[[Tensor], Tensor]) -> Tensor:
        """Differentiate a problem of one step by a quantity on the way from the map to r_t.

        `context` forms r_t of that quantity; h_0 and A are held fixed elsewhere.
        """
        one = self.complex

        def loss(moved: Tensor) -> Tensor:
            h, c = one.state(one.values(one.looking(context(moved), one.x[0], one.h_0)), one.c_0)
            return _read([h], one.u, one.s) + _read([c], one.u_c, one.s_c)

        return proof.gradient(loss, value)

    def step(self, t: int, dh: Tensor, dc: Tensor) -> AttentionStep:
        """Step t, with what reaches h_t and c_t."""
        alpha = self.softmax(self.scores(self.h[t - 1]))
        return AttentionStep(
            **self._lstm(t, dh, dc), A=self.A, W_a=self.W_a, alpha=alpha, r=self.A @ alpha
        )


def _gated(generator: torch.Generator, sizes: Sizes) -> dict[str, Any]:
    """Draw what every gated recurrence and its loss have."""
    T, d, m = sizes
    uniform = _uniform(generator)
    return {
        "x": uniform(T, d, bound=2),
        "h_0": uniform(m, bound=2),
        "u": uniform(T, m, bound=2),
        "s": uniform(T, m, bound=2),
        "W_x": {gate: uniform(m, d, bound=d**-0.5) for gate in GATES},
        "W_h": {gate: uniform(m, m, bound=m**-0.5) for gate in GATES},
        "b": {gate: uniform(m, bound=1) for gate in GATES},
        "c_0": uniform(m, bound=2),
        "u_c": uniform(T, m, bound=2),
        "s_c": uniform(T, m, bound=2),
    }


def _sigma(z: Tensor) -> Tensor:
    return torch.sigmoid(z)


def _read(states: Sequence[Tensor], u: Tensor, s: Tensor) -> Tensor:
    """Σ_t u_t·h_t + ½ s_t·h_t² over some states; 0 of none."""
    h = torch.stack(list(states)) if states else torch.zeros_like(u)
    return (h * (u + s * h / 2)).sum()


def _direct(states: Sequence[Tensor], u: Tensor, s: Tensor) -> list[Tensor]:
    read = [u_t + s_t * state for state, u_t, s_t in zip(states[1:], u, s, strict=True)]
    return [torch.zeros_like(states[0]), *read]


def _complex(value: Tensor | Gates) -> Tensor | Gates:
    if isinstance(value, proof.ExactTensor):
        return value
    if isinstance(value, Tensor):
        return value.to(torch.complex128)
    return {gate: cast(Tensor, _complex(tensor)) for gate, tensor in value.items()}


def _uniform(generator: torch.Generator) -> Callable[..., Tensor]:
    # Bounded, so that no tanh saturates: a 1 − h² that is mere rounding cannot be divided by.
    def uniform(*shape: int, bound: float) -> Tensor:
        return bound * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)

    return uniform
