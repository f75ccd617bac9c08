"""What a reader's code may arrange in its own way, and how a problem is written in that way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations, product
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnreport.check._problems import GRU, LSTM, RNN, Problem
from rnnreport.equations._mistakes import GATES_OF
from rnnreport.equations._steps import GATES, GRU_GATES, Squash

__all__ = ["Convention", "Mismatch", "hypotheses", "one_sequence", "states"]

Array = NDArray[Any]
Start = Literal["argument", "zero", "h0"]

_FORWARD_PASS = (
    "order",
    "nonlinearity",
    "candidate",
    "outward",
    "inside",
    "keeps",
    "uses_h0",
    "carries",
    "uses_bias",
)
_AXES = {"T": 0, "D": 1, "N": 2}  # of a sequence in the problem


class Mismatch(ValueError):
    """An array that does not have the shape that a convention asks for."""


@dataclass(frozen=True)
class Convention:
    """How code arranges a recurrence.

    Attributes
    ----------
    cell : {"rnn", "lstm", "gru"}
        The recurrence.
    columns : bool
        Whether the features of a step run along the first axis.
    turned : bool
        Whether a matrix is (out, in).
    time : str
        Axes of a sequence, as ``"NTD"``; without ``"N"`` there is no batch.
    order : tuple of str
        The gates, in the order of their blocks or of their names.
    separate : bool
        Whether each gate has its own matrix.
    joined : {"", "hx", "xh"}
        Whether a matrix acts on the state and the input at once, and which comes first.
    bias : {"row", "column", "flat"}
        The shape of a bias; flat where it has one axis.
    biases : int
        How many biases there are: 0, 1, or 2 where the state has its own.
    nonlinearity, candidate, outward : str
        The nonlinearity of an RNN's state, an LSTM's candidate, and of the cell on its way out.
    inside, keeps : bool
        Of a GRU, as in `GRU`.
    uses_h0, carries : bool
        Whether the forward pass starts from h_0, and hands each state to the next step.
    c0 : {"argument", "zero", "h0"}
        Where the first cell state comes from.
    """

    cell: str
    columns: bool = False
    turned: bool = False
    time: str = "NTD"
    order: tuple[str, ...] = ()
    separate: bool = False
    joined: str = ""
    bias: str = "flat"
    biases: int = 1
    nonlinearity: Squash = "tanh"
    candidate: Squash = "tanh"
    outward: Squash = "tanh"
    inside: bool = False
    keeps: bool = True
    uses_h0: bool = True
    carries: bool = True
    uses_bias: bool = True
    c0: Start = "argument"

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates, in the order of the code."""
        return self.order or GATES_OF[self.cell]

    @property
    def batched(self) -> bool:
        """Whether the code knows a batch."""
        return "N" in self.time

    def computing(self, hypothesis: Convention, c0: Start) -> Convention:
        """Return this arrangement with the forward pass of a hypothesis."""
        known = {name: getattr(hypothesis, name) for name in _FORWARD_PASS}
        return replace(self, **known, c0=c0)

    # From the problem to the code.

    def step(self, values: Tensor) -> Array:
        """Write what belongs to one step: an input, a state, or a gradient of one."""
        columns: Array = values.numpy()
        if not self.batched:
            columns = columns[:, 0] if self.bias == "flat" else columns
            return np.ascontiguousarray(columns if self.columns or columns.ndim == 1 else columns.T)
        return np.ascontiguousarray(columns if self.columns else columns.T)

    def sequence(self, values: Tensor) -> Array:
        """Write what belongs to a sequence."""
        array: Array = values.numpy()
        if not self.batched:
            array = array[:, :, :1]
        kept = [_AXES[axis] for axis in self.time]
        array = array.transpose([*kept, *(set(_AXES.values()) - set(kept))])
        return np.ascontiguousarray(array if self.batched else array[..., 0])

    def matrix(self, values: Tensor) -> Array:
        """Write a matrix, which acts from the left in the problem."""
        return np.ascontiguousarray(values.numpy() if self.turned else values.numpy().T)

    def vector(self, values: Tensor) -> Array:
        """Write a bias."""
        flat: Array = values.numpy().reshape(-1)
        shape = {"row": (1, -1), "column": (-1, 1), "flat": (-1,)}[self.bias]
        return flat.reshape(shape).copy()

    def weights(self, problem: Problem) -> dict[str, Array]:
        """Write the parameters, under the problem's names: packed, or with ``^`` and a gate."""
        values: dict[str, Array] = {}
        if isinstance(problem, RNN):
            values = {"W_x": self.matrix(problem.W_x), "W_h": self.matrix(problem.W_h)}
            values["b"] = self.vector(problem.b)
            return values | self._joined(values)
        gates = self.gates
        if self.separate:
            for gate in gates:
                own = {
                    "W_x": self.matrix(problem.W_x[gate]),
                    "W_h": self.matrix(problem.W_h[gate]),
                }
                own |= self._joined(own) | {"b": self.vector(problem.b[gate])}
                values |= {f"{name}^{gate}": array for name, array in own.items()}
            return values
        values = {
            "W_x": self.matrix(torch.cat([problem.W_x[gate] for gate in gates])),
            "W_h": self.matrix(torch.cat([problem.W_h[gate] for gate in gates])),
            "b": self.vector(torch.cat([problem.b[gate] for gate in gates])),
        }
        if isinstance(problem, GRU):
            zeros = torch.zeros_like(problem.b_h)
            values["b_h"] = self.vector(
                torch.cat([problem.b_h if gate == "n" else zeros for gate in gates])
            )
        return values | self._joined(values)

    def _joined(self, values: Mapping[str, Array]) -> dict[str, Array]:
        first, second = ("W_x", "W_h") if self.joined == "xh" else ("W_h", "W_x")
        parts = (values[first], values[second])
        return {"W": np.concatenate(parts, axis=1 if self.turned else 0)}

    # From the code to the problem.

    def read_step(self, array: Any, size: int, N: int, name: str = "it") -> Tensor:
        """Read what belongs to one step: `size` features of `N` sequences."""
        values = _floats(array, name)
        N = N if self.batched else 1
        shape = (size, N) if self.columns else (N, size)
        if not self.batched and values.size == size:
            values = values.reshape(shape)
        if values.shape != shape:
            raise Mismatch(f"{name} has shape {_shape(values)}, expected {_shape(shape)}")
        return torch.from_numpy(values if self.columns else values.T.copy())

    def read_sequence(self, array: Any, T: int, size: int, N: int, name: str = "it") -> Tensor:
        """Read what belongs to a sequence."""
        values = _floats(array, name)
        sizes = {"T": T, "D": size, "N": N}
        shape = tuple(sizes[axis] for axis in self.time)
        if values.shape != shape:
            raise Mismatch(f"{name} has shape {_shape(values)}, expected {_shape(shape)}")
        time = self.time if self.batched else self.time + "N"
        values = values if self.batched else values[..., None]
        return torch.from_numpy(
            np.ascontiguousarray(values.transpose([time.index(a) for a in "TDN"]))
        )

    def read_weights(self, array: Any, rows: int, columns: int, said: str) -> Tensor:
        """Read a matrix of the problem's shape, or with no columns a bias."""
        values = _floats(array, said)
        if not values.ndim and not values:  # a sum that began at 0 and to which nothing was added
            return torch.zeros((rows, columns) if columns else rows, dtype=torch.float64)
        if not columns:
            if values.size != rows:
                raise Mismatch(f"{said} has shape {_shape(values)}, expected {rows} numbers")
            return torch.from_numpy(values.reshape(-1).copy())
        shape = (rows, columns) if self.turned else (columns, rows)
        if values.shape != shape:
            raise Mismatch(f"{said} has shape {_shape(values)}, expected {_shape(shape)}")
        return torch.from_numpy(np.ascontiguousarray(values if self.turned else values.T))

    def read_parameter(
        self, name: str, gate: str, array: Any, D: int, H: int, said: str
    ) -> dict[str, Tensor]:
        """Read the gradient of a parameter: `name` is W_x, W_h, W, b or b_h; no gate if packed."""
        blocks = (gate,) if gate else self.gates
        rows = H * len(blocks)
        width = {"W_x": D, "W_h": H, "W": D + H}.get(name, 0)
        values = self.read_weights(array, rows, width, said)
        if name == "b_h":
            return {
                "b_h": values.chunk(len(blocks))[blocks.index("n")] if len(blocks) > 1 else values
            }
        parts = dict(zip(blocks, values.chunk(len(blocks)), strict=True))
        if name != "W":
            return {f"{name}^{each}": part for each, part in parts.items()}
        split = D if self.joined == "xh" else H
        read: dict[str, Tensor] = {}
        for each, part in parts.items():
            first, second = part[:, :split], part[:, split:]
            x, h = (first, second) if self.joined == "xh" else (second, first)
            read |= {f"W_x^{each}": x, f"W_h^{each}": h}
        return read

    # What the code computes, as a problem.

    def problem(self, problem: Problem) -> Problem:
        """Return the problem as the code's own forward pass takes it."""
        if isinstance(problem, RNN):
            changed: Any = replace(problem, squashed=self.nonlinearity)
        elif isinstance(problem, LSTM):
            changed = replace(problem, candidate=self.candidate, outward=self.outward)
            if self.c0 == "zero":
                changed = replace(changed, c_0=torch.zeros_like(problem.c_0))
            elif self.c0 == "h0":
                changed = replace(changed, c_0=problem.h_0)
        else:
            changed = replace(problem, inside=self.inside, keeps=self.keeps)
            if self.biases < 2:
                changed = replace(changed, b_h=torch.zeros_like(problem.b_h))
        if not self.uses_h0:
            changed = replace(changed, h_0=torch.zeros_like(problem.h_0))
        if not self.uses_bias or not self.biases:
            b = changed.b
            none = (
                torch.zeros_like(b)
                if isinstance(b, Tensor)
                else {g: torch.zeros_like(v) for g, v in b.items()}
            )
            changed = replace(changed, b=none)
        if not self.batched:
            changed = one_sequence(changed)
        return changed  # type: ignore[no-any-return]

    @property
    def usual(self) -> bool:
        """Whether the forward pass is what its name says."""
        plain = self.candidate == self.outward == "tanh" and self.nonlinearity in ("tanh", "relu")
        return plain and self.uses_h0 and self.carries and self.uses_bias


def one_sequence(problem: Problem) -> Problem:
    """Return a problem with its first sequence alone."""
    names = [n for n in ("x", "h_0", "u", "s", "c_0", "u_c", "s_c") if hasattr(problem, n)]
    return replace(problem, **{name: getattr(problem, name)[..., :1] for name in names})


@cache
def hypotheses(cell: str) -> list[Convention]:
    """Return the forward passes that are tried, the usual ones first."""
    kinds: tuple[Squash, ...] = ("tanh", "sigmoid", "relu", "identity")
    uses = [(True, True, True), (False, True, True), (True, False, True), (True, True, False)]
    plain = Convention(cell)
    if cell == "rnn":
        found = [
            replace(plain, nonlinearity=kind) for kind in ("tanh", "relu", "sigmoid", "identity")
        ]
    elif cell == "lstm":
        squashes = sorted(product(kinds, kinds), key=lambda pair: sum(map(kinds.index, pair)))
        found = [
            replace(plain, order=order, candidate=candidate, outward=outward)
            for candidate, outward in squashes
            for order in permutations(GATES)
        ]
    else:
        found = [
            replace(plain, order=order, inside=inside, keeps=keeps)
            for inside, keeps in product((False, True), (True, False))
            for order in permutations(GRU_GATES)
        ]
    return [
        replace(each, uses_h0=h0, carries=carries, uses_bias=bias)
        for h0, carries, bias in uses
        for each in found
    ]


def states(
    convention: Convention, problem: Problem, blocks: Sequence[str] | None = None
) -> tuple[Tensor, Tensor | None]:
    """Run a hypothesis: h_1 to h_T and the cell states, where `blocks` names the given gates.

    The problem's gate at place k of `blocks` plays the role of gate k in the convention's order.
    """
    given = blocks or convention.gates
    roles = dict(zip(convention.gates, given, strict=True))
    taken = problem
    if not isinstance(problem, RNN):
        moved: dict[str, Any] = {
            name: {role: getattr(problem, name)[gate] for role, gate in roles.items()}
            for name in ("W_x", "W_h", "b")
        }
        taken = replace(problem, **moved)
    own = convention.problem(taken)
    if convention.carries:
        cells = torch.stack(own.c[1:]) if isinstance(own, LSTM) else None
        return torch.stack(own.h[1:]), cells
    h: list[Tensor] = []
    c: list[Tensor] = []
    for t in range(own.T):
        alone: Any = replace(own, x=own.x[t : t + 1])
        if t:
            alone = replace(alone, h_0=torch.zeros_like(own.h_0))
        h.append(alone.h[1])
        if isinstance(own, LSTM):
            c.append(alone.c[1])
    return torch.stack(h), torch.stack(c) if c else None


def _floats(array: Any, name: str) -> Array:
    if isinstance(array, list | tuple) and array:  # a step each
        shapes = {each.shape if isinstance(each, np.ndarray) else None for each in array}
        array = np.stack(array) if len(shapes) == 1 and None not in shapes else array
    if not isinstance(array, np.ndarray | float | int) or isinstance(array, bool):
        kind = "None" if array is None else type(array).__name__
        raise Mismatch(f"{name} is {kind}, expected an array")
    values = np.asarray(array)
    if values.ndim and values.dtype.kind in "iu":
        raise Mismatch(f"{name} is rounded to whole numbers")
    if values.dtype.kind == "c":
        raise Mismatch(f"{name} is complex")
    return values.astype(np.float64)


def _shape(shape: Any) -> str:
    sizes = shape.shape if isinstance(shape, np.ndarray) else shape
    return " × ".join(map(str, sizes)) if len(sizes) else "of a single number"
