"""Which mistakes explain wrong gradients: those of the catalogue, one or several at once.

A mistake is looked for where it acts alone. In one step the gradients of a gate's weights depend
on that gate's δ only, so each wrong gate is explained by itself; what is found is joined, and then
held against the gradients that all gates share. A sequence is first taken with one step, then with
more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations, islice, product

from torch import Tensor

from rnnreport.check._problems import Gradients, Problem, mistaken, steps
from rnnreport.equations._backward import RIGHT, Backward, Slip, backward
from rnnreport.equations._mistakes import CellName, Planted, planted

__all__ = ["Diagnosis", "Errors", "diagnose_sequence", "diagnose_step", "errors"]

Errors = Mapping[str, float]
"""The largest error of each gradient, relative to the largest right element."""

_SETS = 4000  # of mistakes that are tried for one gate
_ALTERNATIVES = 4  # explanations of one step that more steps choose from
_JOINED = 60  # ways to join what explains each gate


@dataclass(frozen=True)
class Diagnosis:
    """Mistakes that were found.

    Attributes
    ----------
    mistakes : tuple of Planted
        The mistakes; none if nothing was found.
    explained : bool
        Whether they give the numbers of the code to rounding.
    left : tuple of str
        The gradients that they do not explain.
    """

    mistakes: tuple[Planted, ...] = ()
    explained: bool = False
    left: tuple[str, ...] = ()


def errors(found: Gradients, right: Gradients) -> dict[str, float]:
    """Hold gradients against the right ones; infinity where one is not a number."""
    return {name: _error(found[name], right[name]) for name in found if name in right}


def _error(found: Tensor, right: Tensor) -> float:
    scale = float(right.abs().max()) or 1.0
    error = float((found - right).abs().max()) / scale
    return error if error == error else float("inf")


@dataclass
class Budget:
    """How many backward passes a search may still try."""

    left: int = 3000

    @property
    def is_spent(self) -> bool:
        """Whether the search has to end."""
        return self.left <= 0


@dataclass
class _Search:
    """The mistakes of a cell, tried on one problem against what the code returned."""

    problem: Problem
    found: Gradients
    choices: Sequence[Planted]
    tolerance: float
    base: tuple[Planted, ...]
    budget: Budget
    _passes: dict[tuple[int, ...], Backward] = field(default_factory=dict)
    _values: dict[tuple[tuple[int, ...], str], Tensor] = field(default_factory=dict)

    def value(self, mistakes: Iterable[Planted], name: str) -> Tensor:
        """Return a gradient with some mistakes, besides those of the base."""
        together = (*self.base, *mistakes)
        key = tuple(sorted(map(id, together)))
        if (key, name) not in self._values:
            if key not in self._passes:
                self.budget.left -= 1
                slip = reduce(Slip.__or__, (each.slip for each in together), RIGHT)
                self._passes[key] = backward(self.problem, slip)
            self._values[key, name] = self._passes[key].gradient(name)
        return self._values[key, name]

    def explains(self, mistakes: Iterable[Planted], name: str) -> bool:
        """Whether mistakes give the gradient that the code returned."""
        return _error(self.found[name], self.value(mistakes, name)) <= self.tolerance

    def matched(self, mistakes: Iterable[Planted]) -> frozenset[str]:
        """Return the gradients that mistakes explain."""
        return frozenset(name for name in self.names if self.explains(mistakes, name))

    @property
    def names(self) -> frozenset[str]:
        """The gradients that are known."""
        return frozenset(self.found)

    def fits(self, planted: Planted) -> bool:
        """Whether a mistake can be made with those of the base."""
        return all(planted.slip.fits(other.slip) for other in self.base)

    def singles(self) -> list[Planted]:
        """Return the mistakes that change anything here and can be made with the base."""
        return self.touching([each for each in self.choices if self.fits(each)], self.names)

    def touching(self, singles: Iterable[Planted], names: Iterable[str]) -> list[Planted]:
        """Return the mistakes that change one of some gradients."""
        names = sorted(names)
        return [
            each
            for each in singles
            if any(
                _error(self.value((each,), name), self.value((), name)) > self.tolerance
                for name in names
            )
        ]

    def explaining(
        self,
        singles: Sequence[Planted],
        names: frozenset[str],
        most: int,
        known: tuple[Planted, ...] = (),
    ) -> list[tuple[Planted, ...]]:
        """Return the smallest sets of mistakes that, with those known, explain some gradients."""
        order = sorted(names, key=_cost)
        singles = [each for each in singles if all(each.slip.fits(k.slip) for k in known)]
        singles.sort(key=lambda each: -each.mistake.seen)  # the likely ones first
        for size in range(1, most + 1):
            fits = []
            for each in islice(_fitting(singles, size), _SETS):
                together = (*known, *each)
                if all(self.explains(together, name) for name in order):
                    fits.append(together)
                if self.budget.is_spent:
                    break
            if fits:
                return sorted(fits, key=_rank)
        return []


def _cost(name: str) -> int:
    """Rank a gradient by what it costs to compute."""
    return ("b", "W_x", "W_h", "c_0", "h_0", "b_h", "x").index(name.partition("^")[0])


def _fitting(singles: Sequence[Planted], size: int) -> Iterator[tuple[Planted, ...]]:
    for chosen in combinations(singles, size):
        if all(a.slip.fits(b.slip) for a, b in combinations(chosen, 2)):
            yield chosen


def _rank(mistakes: Sequence[Planted]) -> tuple[int, int, int]:
    """Prefer few mistakes, those of all gates at once, and those that people make."""
    places = sum(bool(each.place) for each in mistakes)
    return len(mistakes), -sum(each.mistake.seen for each in mistakes), places


def diagnose_step(
    cell: CellName,
    problem: Problem,
    found: Gradients,
    tolerance: float,
    *,
    sequence: bool = False,
    base: tuple[Planted, ...] = (),
    budget: Budget | None = None,
) -> list[Diagnosis]:
    """Explain the gradients of one step.

    Parameters
    ----------
    cell
        The recurrence.
    problem
        A problem of one step.
    found
        What the code returned for it.
    tolerance
        The relative error up to which two gradients are equal.
    sequence
        Whether the code is that of a sequence, which joins steps as well.
    base
        Mistakes that are known.
    budget
        How much may be tried.

    Returns
    -------
    list of Diagnosis
        The explanations, the likeliest first; or the best attempt alone.
    """
    choices = [each for each in planted(cell) if sequence or _in_a_step(each.slip)]
    search = _Search(problem, found, choices, tolerance, base, budget or Budget())
    wrong = search.names - search.matched(())
    if not wrong:
        return [Diagnosis(base, True)]
    singles = search.singles()
    whole = search.explaining(singles, search.names, 1)
    if whole:
        return [Diagnosis((*base, *each), True) for each in whole[:_ALTERNATIVES]]
    gates = _wrong_gates(wrong)
    own: frozenset[str] = frozenset[str]().union(*gates.values())
    options = _options(search, singles, gates)
    best: tuple[Planted, ...] = ()
    best_score = len(search.matched(()))
    explained: list[tuple[Planted, ...]] = []
    candidates: list[tuple[Planted, ...]] = []
    for joined in _unions(options):
        matched = search.matched(joined)
        if len(matched) > best_score:
            best, best_score = joined, len(matched)
        if search.names <= matched:
            explained.append(joined)
        elif own <= matched:
            candidates.append(joined)
    if explained:
        return [Diagnosis((*base, *joined), True) for joined in explained[:_ALTERNATIVES]]
    parameters = {name for name in search.names if "^" in name or name == "b_h"}
    changing = {id(each) for each in search.touching(singles, parameters)}
    shared = [each for each in singles if id(each) not in changing]
    order = sorted(search.names, key=lambda name: name in parameters)  # these fit already
    for size in (1, 2):
        for joined in candidates:
            for more in islice(_fitting(shared, size), _SETS):
                together = (*joined, *more)
                if not all(a.slip.fits(b.slip) for a, b in product(joined, more)):
                    continue
                if all(search.explains(together, name) for name in order):
                    explained.append(together)
                if search.budget.is_spent:
                    break
        if explained:
            return [Diagnosis((*base, *each), True) for each in explained[:_ALTERNATIVES]]
    left = tuple(sorted(search.names - search.matched(best)))
    return [Diagnosis((*base, *best), not left, left)]


def _options(
    search: _Search, singles: Sequence[Planted], gates: Mapping[str, frozenset[str]]
) -> list[list[tuple[Planted, ...]]]:
    """Return the sets of mistakes that explain each wrong gate.

    A gate that no two mistakes explain is tried with those of the other gates: some act on all.
    """
    touching = {gate: search.touching(singles, names) for gate, names in gates.items()}
    found = {gate: search.explaining(touching[gate], names, 2) for gate, names in gates.items()}
    every = [each for sets in found.values() for each in sets[:4]]
    known = {tuple(map(id, each)): each for each in every}.values()
    for gate, names in gates.items():
        for mistakes in () if found[gate] else known:
            found[gate] += search.explaining(touching[gate], names, 2, mistakes)
        found[gate] = found[gate] or search.explaining(touching[gate], names, 3)
    return [sets or [()] for sets in found.values()]


def _in_a_step(slip: Slip) -> bool:
    """Whether a single step can hold a mistake."""
    return not slip.joining or slip.joining.get("sums") == "mean"


def _wrong_gates(wrong: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the wrong gradients of parameters, by gate."""
    gates: dict[str, set[str]] = {}
    for name in wrong:
        kind, _, gate = name.partition("^")
        if gate or kind == "b_h":
            gates.setdefault(gate or "n", set()).add(name)
    return {gate: frozenset(names) for gate, names in gates.items()}


def _unions(options: Sequence[Sequence[tuple[Planted, ...]]]) -> list[tuple[Planted, ...]]:
    """Join one explanation of each gate, the smallest unions first."""
    found: dict[tuple[int, ...], tuple[Planted, ...]] = {}
    for chosen in islice(product(*(sets[:8] for sets in options)), 4096):
        union = tuple({id(each): each for each in (m for sets in chosen for m in sets)}.values())
        if all(a.slip.fits(b.slip) for a, b in combinations(union, 2)):
            found.setdefault(tuple(sorted(map(id, union))), union)
    return sorted(found.values(), key=_rank)[:_JOINED]


def diagnose_sequence(
    cell: CellName,
    problem: Problem,
    returned: Mapping[int, Gradients],
    tolerance: float,
    base: tuple[Planted, ...] = (),
) -> Diagnosis:
    """Explain the gradients of a sequence.

    Parameters
    ----------
    cell
        The recurrence.
    problem
        The problem; its first steps are shorter ones.
    returned
        What the code returned, by the number of steps; among them that of all.
    tolerance
        The relative error up to which two gradients are equal.
    base
        The mistakes of the code's own step, where it has one.
    """
    budget = Budget()
    attempts: list[Diagnosis] = []
    for start in (base, ()) if base else ((),):
        firsts = [Diagnosis(start, True)]
        if 1 in returned:
            one = steps(problem, 1, 1)
            firsts = diagnose_step(
                cell, one, returned[1], tolerance, sequence=True, base=start, budget=budget
            )
        for first in firsts:
            found = first
            for T in sorted(set(returned) - {1}) if first.explained else ():
                known = found.mistakes
                found = _further(cell, steps(problem, 1, T), returned[T], tolerance, known, budget)
                if not found.explained:
                    break
            attempts.append(found)
        if any(each.explained for each in attempts):
            break
    return min(
        attempts, key=lambda each: (not each.explained, len(each.left), _rank(each.mistakes))
    )


def _further(
    cell: CellName,
    problem: Problem,
    found: Gradients,
    tolerance: float,
    base: tuple[Planted, ...],
    budget: Budget,
) -> Diagnosis:
    """Explain more steps by mistakes that fewer steps do not show."""
    search = _Search(problem, found, planted(cell), tolerance, base, budget)
    matched = search.matched(())
    if search.names <= matched:
        return Diagnosis(base, True)
    joined = [each for each in search.choices if each.slip.joining and search.fits(each)]
    sets = search.explaining(joined, search.names, 1)
    if not sets:
        singles = search.singles()
        sets = search.explaining(singles, search.names, 1)
    if not sets:
        hidden = _hidden(problem, singles, base, tolerance)
        sets = search.explaining(hidden, search.names, 3)
    if sets:
        return Diagnosis((*base, *sets[0]), True)
    return Diagnosis(base, False, tuple(sorted(search.names - matched)))


def _hidden(
    problem: Problem, singles: Sequence[Planted], base: tuple[Planted, ...], tolerance: float
) -> list[Planted]:
    """Return the mistakes that one step does not show."""
    first = steps(problem, 1, 1)
    found = mistaken(first, reduce(Slip.__or__, (each.slip for each in base), RIGHT))
    search = _Search(first, found, (), tolerance, base, Budget())
    shown = {id(each) for each in search.touching(singles, found)}
    return [each for each in singles if id(each) not in shown]
