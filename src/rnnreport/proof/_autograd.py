"""The proof of what ``torch.autograd`` makes of modules and functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rnnreport.proof._proven import DOUBT, Inputs, Verdict, named_inputs, prove
from rnnreport.proof._tensor import leaves

__all__ = ["prove_autograd"]


def prove_autograd(
    function: Callable[..., Any], inputs: Inputs, *, seed: int = 0, doubt: float = DOUBT
) -> Verdict:
    """Prove or refute the gradients that ``torch.autograd`` computes for a function or a module.

    It is the code of each :class:`torch.autograd.Function` that is proven, with all that stands
    around it.

    Parameters
    ----------
    function
        Takes `inputs` and returns tensors, nested in tuples or not. A module is differentiated by
        its parameters as well.
    inputs, seed, doubt
        As in :func:`prove`.

    Returns
    -------
    Verdict
        True where they are proven.

    Raises
    ------
    Exception
        What :func:`prove` raises.

    Examples
    --------
    >>> import torch
    >>> from rnnreport.proof import prove_autograd
    >>> layer = torch.nn.Linear(3, 2, dtype=torch.float64)
    >>> bool(prove_autograd(layer, {"x": torch.ones(4, 3, dtype=torch.float64)}))
    True
    """
    arguments = named_inputs(inputs)
    parameters: dict[str, Tensor] = {}
    if isinstance(function, torch.nn.Module):
        parameters = {name: value.detach() for name, value in function.named_parameters()}

    def forward(*values: Any) -> tuple[Any, ...]:
        with torch.enable_grad():
            watched = [_watched(value) for value in values]
            given, weights = watched[: len(arguments)], watched[len(arguments) :]
            if isinstance(function, torch.nn.Module):
                replaced = dict(zip(parameters, weights, strict=True))
                returned = torch.func.functional_call(function, replaced, tuple(given))
            else:
                returned = function(*given)
        outs = [each for each in leaves(returned) if each.requires_grad]
        into = [each for each in leaves(watched) if each.requires_grad]
        return (*(each.detach() for each in outs), (outs, into))

    def backward(*upstream: Any) -> tuple[Tensor | None, ...]:
        *gradients, (outs, into) = upstream
        found: tuple[Tensor | None, ...] = torch.autograd.grad(
            outs, into, gradients, allow_unused=True
        )
        return found

    return prove(forward, backward, arguments | parameters, seed=seed, doubt=doubt)


def _watched(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().requires_grad_()
    return value
