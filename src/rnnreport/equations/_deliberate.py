"""The deliberate mistakes of an entry: those of the catalogue that change what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from rnnreport.equations._backward import Backward, Parameter, Slip, backward
from rnnreport.equations._forms import Formula, Quantity, changed, one_step
from rnnreport.equations._mistakes import CellName, planted

__all__ = ["in_sequence", "in_step", "in_sum", "of"]


def of(gates: Iterable[str], *kinds: str) -> frozenset[str]:
    """Return the names of quantities of some gates."""
    return frozenset(f"{kind}_{gate}" for gate in gates for kind in kinds)


def in_step(
    cell: CellName, formula: Formula[Any], quantities: frozenset[str]
) -> dict[str, Quantity[Any]]:
    """Make each mistake that changes one of the quantities, in a problem of one step.

    Those that differ elsewhere alone are one mistake here.
    """
    wrong: dict[str, Quantity[Any]] = {}
    made = set()
    for each in planted(cell):
        changes = {k: change for k, change in each.slip.changes.items() if k in quantities}
        same = frozenset((k, id(change)) for k, change in changes.items())
        if changes and same not in made:
            made.add(same)
            wrong[each.name] = one_step(changed(formula, changes))
    return wrong


def in_sequence(
    cell: CellName, result: Callable[[Backward], Tensor], names: frozenset[str]
) -> dict[str, Quantity[Any]]:
    """Make each mistake that changes one of the quantities or joins the steps otherwise.

    It is made at every step, and goes on through the steps before.
    """

    def mistaken(slip: Slip) -> Quantity[Any]:
        return lambda p: result(backward(p, slip))

    return {
        each.name: mistaken(each.slip)
        for each in planted(cell)
        if names & (each.slip.changes.keys() | each.slip.joining.keys())
    }


def in_sum(
    cell: CellName, formula: Formula[Any], parameter: Parameter, names: frozenset[str]
) -> dict[str, Quantity[Any]]:
    """Make the mistakes of a sequence in a sum over its steps, and those of that sum itself."""
    wrong = in_sequence(cell, lambda b: b.summed(formula, parameter), names | {"sums"})
    for each in planted(cell):
        joining = each.slip.joining
        other = joining.get("only", parameter) != parameter
        if other or joining.get("sums") == "mean":  # there is no batch
            wrong.pop(each.name, None)
    return wrong
