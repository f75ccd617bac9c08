"""How autograd runs a recurrence: eagerly, under ``torch.func``, compiled or traced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor

from rnnreport.nn._recurrences import RECURRENCES, Sizes, Tensors

_AGAIN = (
    "the gradient of rnnreport.nn.{name} is derived by hand and cannot be differentiated again: "
    "for second derivatives use torch.nn"
)
_FORWARD = (
    "rnnreport.nn.{name} has no forward-mode derivative: use reverse mode (backward, "
    "torch.func.grad or jacrev), or torch.nn"
)
_BATCHED = (
    "rnnreport.nn.{name} takes no batch of gradients from is_grads_batched or vectorize=True: use "
    "torch.func.vmap or jacrev"
)


def run(name: str, arguments: Sequence[Tensor], sizes: Tensor | None = None) -> Tensors:
    """Run a recurrence, with its hand-derived gradient.

    Parameters
    ----------
    name
        A key of :data:`RECURRENCES`.
    arguments : sequence of Tensor
        Input, states and parameters.
    sizes : Tensor, int64, shape (T,), optional
        How many sequences have each step, of packed sequences.

    Returns
    -------
    tuple of Tensor
        What the recurrence returns.
    """
    count = RECURRENCES[name].outputs
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if torch.compiler.is_compiling() or tracing:
        return tuple(_operator(name, list(arguments), sizes)[:count])
    steps = None if sizes is None else tuple(sizes.tolist())
    results: Tensors = _Recurrence.apply(name, steps, *arguments)  # type: ignore[no-untyped-call]
    return results[:count]


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Compute as the layers do, whatever stands around: autocast would round inside of them."""
    with torch.autocast(device.type, enabled=False), torch.no_grad():
        yield


def _forward(name: str, sizes: Sizes, arguments: Tensors) -> Tensors:
    if _has_no_values(name, arguments):
        return tuple(arguments[0].new_zeros(each) for each in RECURRENCES[name].shapes(arguments))
    with _full_precision(arguments[0].device):
        outputs, kept = RECURRENCES[name].forward(arguments, sizes)
    return (*outputs, *kept)


def _backward(
    name: str,
    sizes: Sizes,
    wanted: Sequence[bool],
    upstream: Sequence[Tensor | None],
    known: Tensors,
) -> Tensors:
    """Differentiate by the arguments that are wanted; known are these, and what was kept."""
    arguments, kept = known[: len(wanted)], known[len(wanted) :]
    if _has_no_values(name, arguments):
        differentiated = zip(arguments, wanted, strict=True)
        return tuple(torch.zeros_like(each) for each, needed in differentiated if needed)
    with _full_precision(arguments[0].device):
        found = RECURRENCES[name].gradients(upstream, arguments, kept, sizes)
        computed = zip(found, wanted, strict=False)
        # As torch's are: callers flatten gradients, and compilers know no other layout.
        return tuple(find().contiguous() for find, needed in computed if needed)


def _has_no_values(name: str, arguments: Tensors) -> bool:
    """Tell an empty batch, and shapes on the device "meta": the layers have no word for them."""
    return arguments[0].is_meta or 0 in RECURRENCES[name].shapes(arguments)[0]


class _Recurrence(torch.autograd.Function):
    """A recurrence; beside its outputs it returns what is kept, as ``torch.func`` demands."""

    @staticmethod
    def forward(name: str, sizes: Sizes, *arguments: Tensor) -> Tensors:
        return _forward(name, sizes, arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        ctx.name, ctx.sizes, *arguments = inputs
        ctx.set_materialize_grads(False)
        kept = output[RECURRENCES[ctx.name].outputs :]
        ctx.mark_non_differentiable(*kept)
        ctx.save_for_backward(*arguments, *kept)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        upstream = gradients[: RECURRENCES[ctx.name].outputs]
        wanted = ctx.needs_input_grad[2:]
        try:
            found = iter(
                _Gradient.apply(  # type: ignore[no-untyped-call]
                    ctx.name, ctx.sizes, wanted, *upstream, *ctx.saved_tensors
                )
            )
        except RuntimeError as error:
            batched = "vmap" in str(error) or "Batching rule" in str(error)
            if batched and not torch._C._are_functorch_transforms_active():
                raise RuntimeError(_BATCHED.format(name=ctx.name.split()[0])) from error
            raise
        return None, None, *(next(found) if each else None for each in wanted)

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> NoReturn:
        raise NotImplementedError(_FORWARD.format(name=ctx.name.split()[0]))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *given: Any) -> tuple[Tensors, Any]:
        return _one_by_one(_Recurrence, info, in_dims, given)


class _Gradient(torch.autograd.Function):
    """The gradient of a recurrence, which has none itself."""

    @staticmethod
    def forward(name: str, sizes: Sizes, wanted: tuple[bool, ...], *tensors: Tensor) -> Tensors:
        outputs = RECURRENCES[name].outputs
        return _backward(name, sizes, wanted, tensors[:outputs], tensors[outputs:])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:  # noqa: ARG004
        ctx.name = inputs[0]

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> NoReturn:
        raise RuntimeError(_AGAIN.format(name=ctx.name.split()[0]))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *given: Any) -> tuple[Tensors, Any]:
        return _one_by_one(_Gradient, info, in_dims, given)


def _one_by_one(
    function: type[torch.autograd.Function], info: Any, in_dims: tuple[Any, ...], given: Any
) -> tuple[Tensors, Any]:
    """Compute the elements of a batch of ``torch.vmap`` in turn: the layers have no axis for it."""
    results = []
    for k in range(info.batch_size):
        one = [
            value.select(dim, k) if isinstance(dim, int) else value
            for value, dim in zip(given, in_dims, strict=True)
        ]
        results.append(function.apply(*one))  # type: ignore[no-untyped-call]
    stacked = tuple(torch.stack(each) for each in zip(*results, strict=True))
    return stacked, (0,) * len(stacked)


# The same for compilers and tracers: one opaque operator, and one for its gradient.


@torch.library.custom_op("rnnreport::recurrence", mutates_args=())
def _operator(name: str, arguments: list[Tensor], sizes: Tensor | None) -> list[Tensor]:
    return list(_forward(name, _listed(sizes), tuple(arguments)))


@_operator.register_fake
def _(name: str, arguments: list[Tensor], sizes: Tensor | None) -> list[Tensor]:  # noqa: ARG001
    shapes = RECURRENCES[name].shapes(tuple(arguments))
    return [arguments[0].new_empty(shape) for shape in shapes]


@torch.library.custom_op("rnnreport::recurrence_gradient", mutates_args=())
def _gradient_operator(
    name: str,
    upstream: list[Tensor],
    known: list[Tensor],
    wanted: list[bool],
    sizes: Tensor | None,
) -> list[Tensor]:
    return list(_backward(name, _listed(sizes), wanted, upstream, tuple(known)))


@_gradient_operator.register_fake
def _(
    name: str,  # noqa: ARG001
    upstream: list[Tensor],  # noqa: ARG001
    known: list[Tensor],
    wanted: list[bool],
    sizes: Tensor | None,  # noqa: ARG001
) -> list[Tensor]:
    chosen = zip(known, wanted, strict=False)
    return [each.new_empty(each.shape) for each, needed in chosen if needed]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.name, arguments, ctx.sizes = inputs
    ctx.save_for_backward(*arguments, *output[RECURRENCES[ctx.name].outputs :])
    ctx.wanted = [each.requires_grad for each in arguments]


def _differentiate(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    upstream = gradients[: RECURRENCES[ctx.name].outputs]
    known = list(ctx.saved_tensors)
    found = iter(_gradient_operator(ctx.name, upstream, known, ctx.wanted, ctx.sizes))
    return None, [next(found) if each else None for each in ctx.wanted], None


_operator.register_autograd(_differentiate, setup_context=_setup)


def _listed(sizes: Tensor | None) -> Sizes:
    return None if sizes is None else tuple(sizes.tolist())
