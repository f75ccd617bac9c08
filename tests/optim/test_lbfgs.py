"""L-BFGS finds minima, goes no further than it may, and takes note of where it has been moved."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from problems import draw
from torch import Tensor

from rnnreport.optim.lbfgs import LBFGS


def bowl(condition: float) -> tuple[Tensor, Tensor]:
    """Return a positive definite matrix, 12 × 12, and the minimum of its bowl."""
    directions, _ = torch.linalg.qr(draw(1, 12, 12))
    values = torch.logspace(0, 1, 12, base=condition, dtype=torch.float64)
    return directions @ values.diag() @ directions.T, 0.1 * draw(2, 12)


def descend(A: Tensor, to: Tensor, steps: int, **options: float) -> list[Tensor]:
    """Return the places of a descent that begins at zero."""
    x = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    optimiser = LBFGS(x, **{"reach": 1.0, **options})  # type: ignore[arg-type]
    places = [x.detach().clone()]
    for _ in range(steps):
        optimiser.zero_grad()
        away = x.flatten() - to
        (away @ A @ away / 2).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        places.append(x.detach().clone())
    return places


@pytest.mark.parametrize("condition", [1.0, 30.0, 1000.0])
def test_finds_the_minimum_of_a_bowl(condition: float) -> None:
    A, to = bowl(condition)
    last = descend(A, to, 80)[-1]
    assert float((last.flatten() - to).abs().max()) < 1e-6


def test_memory_pays() -> None:
    A, to = bowl(1000.0)
    left = [
        float((descend(A, to, 40, memory=memory)[-1].flatten() - to).norm()) for memory in (1, 20)
    ]
    assert left[1] < 0.01 * left[0]


def test_no_step_goes_beyond_its_reach() -> None:
    A, to = bowl(30.0)
    places = descend(A, 20 * to, 30, reach=0.25)
    steps = [float((b - a).abs().max()) for a, b in pairwise(places)]
    assert steps[0] == pytest.approx(0.05)
    assert max(steps) == pytest.approx(0.25)


def test_takes_note_of_where_it_has_been_moved() -> None:
    """Moved at random after each step, it still learns the bowl: only the way counts."""
    A, to = bowl(4.0)
    x = torch.zeros(12, dtype=torch.float64, requires_grad=True)
    optimiser = LBFGS(x, reach=50.0)
    left = []
    for step in range(60):
        optimiser.zero_grad()
        away = x - to
        (away @ A @ away / 2).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            left.append(float((x - to).norm() / away.norm()))
            x += draw(step + 5, 12)
    assert sum(left[-20:]) / 20 < 0.3  # it is 0.9 where it believes that nobody has moved it


def test_a_minimum_is_not_left() -> None:
    A, _ = bowl(30.0)
    places = descend(A, torch.zeros(12, dtype=torch.float64), 3)
    assert all(torch.equal(place, places[0]) for place in places)


def test_what_does_not_fit() -> None:
    x = torch.zeros(3, requires_grad=True)
    for options in ({"reach": 0.0}, {"reach": float("nan")}, {"reach": 1.0, "memory": 0}):
        with pytest.raises(ValueError, match="reach and memory must be positive"):
            LBFGS(x, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x must have a gradient"):
        LBFGS(x, reach=1.0).step()
