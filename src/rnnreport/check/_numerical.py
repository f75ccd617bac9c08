"""Gradients of a forward pass that is none of the known ones: by central differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from rnnreport.check._convention import Convention
from rnnreport.check._problems import LSTM, Problem
from rnnreport.check._subjects import Recurrence

__all__ = ["numerical_gradients"]

_STEP = 1e-5
_NAMES = ("x", "h_0", "c_0", "W_x", "W_h", "b", "b_h")


def numerical_gradients(
    subject: Recurrence, form: Convention, problem: Problem
) -> dict[str, Tensor]:
    """Differentiate the code's own forward pass; nothing if it fails on the way.

    The loss is what the gradients that arrive say: the first state that is returned times those of
    h, of an LSTM's step the second one times that of c.
    """
    known = {each.name for each in fields(problem)}
    gradients: dict[str, Tensor] = {}
    for name in _NAMES:
        if name not in known or (name == "c_0" and subject.whole and not subject.takes_c0):
            continue
        value = getattr(problem, name)
        parts = value if isinstance(value, Mapping) else {"": value}
        for gate, part in parts.items():
            slopes = _differences(subject, form, problem, name, gate, part)
            if slopes is None:
                return {}
            own = f"{name}^{gate}" if gate else name
            if subject.cell == "rnn" and name in ("W_x", "W_h", "b"):
                own = f"{name}^h"
            gradients[own] = slopes[:, 0] if name in ("b", "b_h") else slopes
    return gradients


def _differences(
    subject: Recurrence, form: Convention, problem: Problem, name: str, gate: str, value: Tensor
) -> Tensor | None:
    slopes = torch.zeros_like(value)
    for place in range(value.numel()):
        ends = []
        for sign in (1, -1):
            moved = value.clone()
            moved.view(-1)[place] += sign * _STEP
            whole: Any = {**getattr(problem, name), gate: moved} if gate else moved
            loss = _loss(subject, form, replace(problem, **{name: whole}))
            if loss is None:
                return None
            ends.append(loss)
        slopes.view(-1)[place] = (ends[0] - ends[1]) / (2 * _STEP)
    return slopes


def _loss(subject: Recurrence, form: Convention, problem: Problem) -> float | None:
    forward = subject.run_forward(form, problem)
    subject.session.forget()
    if forward.outcome.failure or not forward.states:
        return None
    loss = (forward.states[0] * problem.u).sum()
    if isinstance(problem, LSTM) and not subject.whole and len(forward.states) > 1:
        loss = loss + (forward.states[1][-1] * problem.u_c[-1]).sum()
    return float(loss)
