"""Checks of the values in configurations and arguments; an error names the value."""

from __future__ import annotations

import math
from collections.abc import Iterable


def check_numbers(
    config: object,
    *,
    at_least_1: str = "",
    at_least_0: str = "",
    positive: str = "",
    share: str = "",
    filled: str = "",
) -> None:
    """Check attributes of a configuration, each kind of range with the names it applies to.

    `share` is a number in [0, 1), `filled` a sequence with entries.
    """

    def values(names: str) -> dict[str, float]:
        return {name: getattr(config, name) for name in names.split()}

    check_at_least(1, **values(at_least_1))
    check_at_least(0, **values(at_least_0))
    for name, number in values(share).items():
        if not 0 <= number < 1:
            raise ValueError(f"{name} must be in [0, 1), got {number}")
    for name, number in values(positive).items():
        if not number > 0:
            raise ValueError(f"{name} must be positive, got {number}")
    for name in filled.split():
        if not getattr(config, name):
            raise ValueError(f"{name} must have at least one entry, got none")


def check_at_least(least: int, **numbers: float) -> None:
    """Check numbers, given by the names that the error says, against their smallest value."""
    for name, number in numbers.items():
        if not number >= least:
            raise ValueError(f"{name} must be at least {least}, got {number}")


def check_loss(loss: float, when: str = "", setting: str = "learning_rate") -> float:
    """Return a loss, and raise a ``FloatingPointError`` unless it is finite.

    `when` says in the message when it was met, and `setting` names what a caller may lower: the
    command line has no such option, and who uses it can look at the data alone.
    """
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss}{when}: look for extreme values in the data; a configuration with "
            f"a smaller {setting} may help"
        )
    return loss


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Check that a value, by the name that the error says, is one of some choices."""
    if value not in (choices := tuple(choices)):
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
