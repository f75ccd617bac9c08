"""The registry of all equations, and its checks over several random problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from rnnreport._checks import check_at_least
from rnnreport.equations._attention import ATTENTION
from rnnreport.equations._dropout import DROPOUT
from rnnreport.equations._elements import ATTENTION_ELEMENTS, LSTM_ELEMENTS, RNN_ELEMENTS
from rnnreport.equations._entry import Equation, Residual, Sizes, worst
from rnnreport.equations._glove import GLOVE
from rnnreport.equations._gru import GRU
from rnnreport.equations._jacobians import JACOBIANS
from rnnreport.equations._lstm import LSTM
from rnnreport.equations._pooling import POOLING
from rnnreport.equations._rnn import RNN
from rnnreport.equations._style import STYLE, MapSizes
from rnnreport.equations._temporal import TEMPORAL, WordSizes

_SOURCE: tuple[Equation[Any, Any], ...] = (*RNN, *LSTM)
_LETTERED: tuple[Equation[Any, Any], ...] = (
    *RNN_ELEMENTS,
    *LSTM_ELEMENTS,
    *TEMPORAL,
    *ATTENTION_ELEMENTS,
    *GLOVE,
    *POOLING,
    *STYLE,
)
_OWN: tuple[Equation[Any, Any], ...] = (*ATTENTION, *DROPOUT, *JACOBIANS, *GRU, *_LETTERED)

SOURCE_NUMBERS = tuple(entry.number for entry in _SOURCE)
"""The numbers of the source's equations, in order."""

OWN_NUMBERS = tuple(entry.number for entry in _OWN)
"""The numbers of the equations that the source does not have, in order."""

LEDGER: Mapping[str, Equation[Any, Any]] = MappingProxyType(
    {entry.number: entry for entry in (*_SOURCE, *_OWN)}
)
"""Every equation by its number, those of the source first."""


def equation(number: int | str) -> Equation[Any, Any]:
    """Look up an equation.

    Parameters
    ----------
    number : int or str
        The source's number, such as ``17``, or one of this report's own, such as ``53`` or
        ``"N2"``.

    Returns
    -------
    Equation

    Raises
    ------
    ValueError
        If there is no equation of that number.
    """
    if str(number) not in LEDGER:
        raise ValueError(
            f"number must be that of an equation, {SOURCE_NUMBERS[0]} to {GRU[-1].number} "
            f"or one of {', '.join(entry.number for entry in _LETTERED)}, got {number!r}"
        )
    return LEDGER[str(number)]


def _problems(
    entry: Equation[Any, Any],
    generator: torch.Generator,
    draws: int,
    sizes: Sizes | WordSizes | MapSizes | None,
) -> Iterator[tuple[Any, Tensor]]:
    check_at_least(1, draws=draws)
    for k in range(draws):
        # Sizes of 1 hide some mistakes (no sum over t, a 1 × 1 matrix needs no transpose), so the
        # first draw has none; later ones do.
        yield entry.draw(generator, sizes or entry.sizes(generator, k % 2 == 1))


def check(
    number: int | str,
    *,
    generator: torch.Generator,
    draws: int = 10,
    sizes: Sizes | WordSizes | MapSizes | None = None,
) -> Residual:
    """Check one equation on random problems.

    Parameters
    ----------
    number : int or str
        As in `equation`.
    generator : torch.Generator
        Draws the problems, on the CPU.
    draws : int, default 10
        How many problems to draw.
    sizes : Sizes, WordSizes or MapSizes, optional
        Sizes of every problem, of a recurrence, of words or of style transfer; by default drawn
        anew for each, every other time with ones.

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
    number: int | str,
    *,
    generator: torch.Generator,
    draws: int = 5,
    sizes: Sizes | WordSizes | MapSizes | None = None,
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
    checks = [
        entry.mistakes(problem, left) for problem, left in _problems(entry, generator, draws, sizes)
    ]
    return {name: worst([residuals[name] for residuals in checks]) for name in entry.wrong}
