"""L-BFGS (Liu and Nocedal, 1989) with steps of bounded reach, one gradient a step."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

__all__ = ["LBFGS"]


class LBFGS:
    """Minimise a function of one tensor, as the optimisers of :mod:`torch.optim` do.

    From the last steps, and from how the gradient has changed along each, it estimates the inverse
    of the matrix of second derivatives. Where the tensor has gone is read off the tensor itself: it
    may be moved between two steps, for instance back into bounds.

    There is no line search. Instead no step changes an element by more than `reach`, and the first
    one, of which nothing is known, by a fifth of that.

    Parameters
    ----------
    x : Tensor
        What is changed, in place; a leaf that collects a gradient.
    reach
        The most that a step changes an element.
    memory
        How many steps are remembered.

    Raises
    ------
    ValueError
        If `reach` or `memory` is not positive.
    """

    def __init__(self, x: Tensor, *, reach: float, memory: int = 20) -> None:
        if not reach > 0 or memory < 1:
            raise ValueError(f"reach and memory must be positive, got {reach} and {memory}")
        self._x, self._reach = x, reach
        self._pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=memory)
        self._before: tuple[Tensor, Tensor] | None = None

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._x.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Go on, by the gradient that has been collected at this place.

        Raises
        ------
        ValueError
            If there is no gradient.
        """
        if self._x.grad is None:
            raise ValueError("x must have a gradient: call backward first")
        here, gradient = self._x.flatten().clone(), self._x.grad.flatten().clone()
        if self._before is not None:
            s, y = here - self._before[0], gradient - self._before[1]
            product = float(s @ y)
            # Where the slope has fallen along a step, there is no minimum to be estimated.
            if product > 1e-10 * float(s.norm() * y.norm()):
                self._pairs.append((s, y, product))
        self._before = here, gradient
        direction = self._times_inverse(gradient)
        largest = float(direction.abs().max())
        if largest == 0:
            return
        scale = min(1.0, self._reach / largest) if self._pairs else self._reach / (5 * largest)
        self._x -= scale * direction.view_as(self._x)

    def _times_inverse(self, gradient: Tensor) -> Tensor:
        """Multiply by the estimated inverse: the recursion with two loops."""
        q = gradient.clone()
        shares = []
        for s, y, product in reversed(self._pairs):
            shares.append(float(s @ q) / product)
            q -= shares[-1] * y
        if self._pairs:
            _, y, product = self._pairs[-1]
            q *= product / float(y @ y)
        for (s, y, product), share in zip(self._pairs, reversed(shares), strict=True):
            q += (share - float(y @ q) / product) * s
        return q
