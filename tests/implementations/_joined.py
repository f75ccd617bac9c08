"""An LSTM whose weights act on h and x joined."""

from __future__ import annotations

from typing import Any

from implementations._cells import CELL_STATE, Mistake, Slots, Writing


class Joined(Writing):
    """An LSTM whose weights act on h and x joined: columns, weights (out, in)."""

    h_size, x_size = "n_a", "n_x"

    def part(self, weights: str, part: str) -> str:
        """Return the columns of weights that belong to x or h."""
        end = self.h_size if self.convention["concat"] == "hx" else self.x_size
        return (
            f"{weights}[:, :{end}]"
            if self.convention["concat"][0] == part
            else f"{weights}[:, {end}:]"
        )

    def joined(self, h: str) -> str:
        both = [h, "<x>"] if self.convention["concat"] == "hx" else ["<x>", h]
        return f"np.concatenate(({', '.join(both)}))"


class Separate(Joined):
    """The same with one matrix for each gate."""

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.letters = {"f": "f", "i": convention.get("input", "i"), "c": "c", "o": "o"}

    def way(self, part: str, deltas: Slots, *, transposed: bool = True) -> str:
        blocks = {gate: self.part(f"W{self.letters[gate]}", part) for gate in deltas}
        return " + ".join(
            self.m.back(deltas[gate], blocks[gate], transposed=transposed or part == "x")
            for gate in deltas
        )

    def _lstm(self) -> Slots:
        slots = {"joined": self.joined("<h_in_weights>"), **CELL_STATE}
        for gate, letter in self.letters.items():
            slots[f"W_{gate}"], slots[f"b_{gate}"] = f"W{letter}", f"b{letter}"
            slots[f"dW_{gate}"] = f"np.dot({self.delta(gate)}, <inputs>.T)<per_sample>"
            slots[f"db_{gate}"] = self.m.bias(self.delta(gate))
        return slots

    def mistakes(self) -> dict[Mistake, Slots]:
        changes = super().mistakes()
        names = self.deltas()
        changes["batch-not-summed", ""] = {f"db_{k}": name for k, name in names.items()}
        changes["batch-mean", ""] = {"per_sample": f" / {self.m.size('<x>', 'N')}"} | {
            f"db_{k}": self.m.bias(name, "mean") for k, name in names.items()
        }
        return changes

    def _exchanged(self, a: str, b: str, _other: Slots) -> Slots:
        return {f"delta_{x}": f"<grad_{y}> * <slope_{y}>" for x, y in ((a, b), (b, a))}

    @property
    def square(self) -> bool:
        return True
