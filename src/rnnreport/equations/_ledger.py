"""The registry of all 49 equations, and its checks over several random problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from rnnreport.equations._entry import Equation, Residual, Sizes, draw_sizes, worst
from rnnreport.equations._lstm import LSTM
from rnnreport.equations._rnn import RNN

_ENTRIES: tuple[Equation[Any], ...] = (*RNN, *LSTM)

LEDGER: Mapping[int, Equation[Any]] = MappingProxyType({entry.number: entry for entry in _ENTRIES})
"""Every numbered equation of the source by its number, in order."""


def equation(number: int) -> Equation[Any]:
    """Look up an equation.

    Parameters
    ----------
    number : int
        The source's number.

    Returns
    -------
    Equation

    Raises
    ------
    ValueError
        If the source has no equation of that number.
    """
    if number not in LEDGER:
        raise ValueError(
            f"number must be that of an equation, {min(LEDGER)} to {max(LEDGER)}, got {number!r}"
        )
    return LEDGER[number]


def _problems(
    entry: Equation[Any], generator: torch.Generator, draws: int, sizes: Sizes | None
) -> Iterator[tuple[Any, Tensor]]:
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    for k in range(draws):
        # Sizes of 1 hide some mistakes (no sum over t, a 1 × 1 matrix needs no transpose), so the
        # first draw has none; later ones do.
        yield entry.draw(generator, sizes or draw_sizes(generator, ones=k % 2 == 1))


def check(
    number: int, *, generator: torch.Generator, draws: int = 10, sizes: Sizes | None = None
) -> Residual:
    """Check one equation on random problems.

    Parameters
    ----------
    number : int
        The source's number.
    generator : torch.Generator
        Source of all randomness, on the CPU.
    draws : int, default 10
        How many problems to draw.
    sizes : Sizes, optional
        Sizes of every problem; by default drawn anew for each, every other time with ones.

    Returns
    -------
    Residual
        The largest residuals over all draws.

    Raises
    ------
    ValueError
        If there is no such equation or no draw.
    """
    entry = equation(number)
    residuals = [
        entry.residual(problem, left) for problem, left in _problems(entry, generator, draws, sizes)
    ]

    def largest(values: list[float | None]) -> float | None:
        numbers = [value for value in values if value is not None]
        return worst(numbers) if numbers else None

    return Residual(
        equation=worst([r.equation for r in residuals]),
        code=worst([r.code for r in residuals]),
        printed=largest([r.printed for r in residuals]),
        assumed=largest([r.assumed for r in residuals]),
    )


def mistakes(
    number: int, *, generator: torch.Generator, draws: int = 5, sizes: Sizes | None = None
) -> dict[str, float]:
    """Make every deliberate mistake in one equation, to see that its check can fail.

    Parameters
    ----------
    number, generator, draws, sizes
        As in `check`.

    Returns
    -------
    dict of str to float
        What is wrong, and the largest residual that it leaves over all draws.

    Raises
    ------
    ValueError
        If there is no such equation or no draw.
    """
    entry = equation(number)
    found = [
        entry.mistakes(problem, left) for problem, left in _problems(entry, generator, draws, sizes)
    ]
    return {name: worst([residuals[name] for residuals in found]) for name in entry.wrong}
