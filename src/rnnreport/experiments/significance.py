"""Which differences between shares of right answers are more than chance."""

from __future__ import annotations

from scipy.stats import binomtest, fisher_exact
from torch import Tensor

__all__ = ["fisher", "mcnemar", "wilson"]


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson interval of a share.

    Parameters
    ----------
    successes, trials
        How many of how many.
    confidence
        Of the interval.

    Returns
    -------
    low, high : float
        The interval.
    """
    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(right: Tensor, other: Tensor) -> float:
    """Test whether two classifiers differ on the same questions: McNemar's test, exact.

    Only the questions count that one of them gets right and the other wrong. If neither were
    better, each such question would be a fair coin.

    Parameters
    ----------
    right, other : Tensor, shape (N,), bool
        Which questions each gets right.

    Returns
    -------
    float
        The two-sided p-value; 1 where they do not differ on any question.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if right.shape != other.shape:
        raise ValueError(
            f"other must have the shape of right, {tuple(right.shape)}, got {tuple(other.shape)}"
        )
    only_right, only_other = int((right & ~other).sum()), int((other & ~right).sum())
    if only_right + only_other == 0:
        return 1.0
    return float(binomtest(only_right, only_right + only_other).pvalue)


def fisher(first: int, second: int, trials: int) -> float:
    """Test whether two shares of the same number of trials differ: Fisher's exact test.

    Parameters
    ----------
    first, second
        How many successes each has.
    trials
        Out of how many.

    Returns
    -------
    float
        The two-sided p-value.
    """
    table = [[first, trials - first], [second, trials - second]]
    return float(fisher_exact(table).pvalue)
