"""Sums at given rows, as the gradients of look-ups need them."""

from __future__ import annotations

from torch import Tensor


def add_rows(out: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """Add rows, or numbers, to those of `out` at given places, in place, and return `out`.

    A place that is given several times collects all of its rows, always in the same order, so that
    a second run agrees bit for bit whatever the number of threads.
    """
    # Each of the two keeps the order on one device only and adds by chance on the other.
    if out.is_cuda:
        return out.index_put_((index,), rows, accumulate=True)
    return out.index_add_(0, index, rows)
