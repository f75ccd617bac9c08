"""What modules do where torch makes graphs of them without running them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, cast

import torch

Forward = TypeVar("Forward", bound=Callable[..., Any])


class Unscriptable(torch.nn.Module):
    """A module that says what to do instead of ``torch.jit.script``."""

    def __prepare_scriptable__(self) -> NoReturn:
        name = type(self).__name__
        raise NotImplementedError(
            f"rnnreport.nn.{name} cannot be scripted: use torch.jit.trace or torch.export, or load "
            f"its state_dict into torch.nn.{name}"
        )


def leaf(forward: Forward) -> Forward:
    """Make a module a leaf for ``torch.fx``, as those of ``torch.nn`` are.

    A subclass with a `forward` of its own is none: its graph would call it within itself.
    """

    @functools.wraps(forward)
    def wrapped(self: torch.nn.Module, input: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(input, torch.fx.Proxy) and type(self).forward is wrapped:
            tracer: Any = input.tracer
            path = tracer.path_of_module(self)
            return tracer.create_proxy("call_module", path, (input, *args), kwargs)
        return forward(self, input, *args, **kwargs)

    return cast(Forward, wrapped)
