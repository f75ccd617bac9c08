"""A tensor that says it is of float64 and computes modulo primes: code runs with it as it stands.

PyTorch hands every operation on it to :func:`dispatch`, which looks up the operation's rule. In
place and ``out=`` forms have none of their own: the result of the rule is written over the tensor.
Views share their numbers, as those of other tensors do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from rnnreport.proof._dual import Dual
from rnnreport.proof._field import Field, Residues, widened

__all__ = [
    "ExactTensor",
    "Refusal",
    "Rule",
    "exact_arithmetic",
    "leaves",
    "rule",
    "untouched",
    "view",
]

Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)

RULES: dict[str, tuple[Rule, frozenset[str]]] = {}
VIEWS: dict[str, Rule] = {}


READ = (
    "numbers are read out of a tensor (numpy, tolist or torch.tensor): what follows depends on a "
    "single point, and nothing can be proven of all; compute with the tensor itself"
)


class Refusal(TypeError):
    """Code does something that nothing can be proven about."""


class _NoRule(Refusal):
    def __init__(self, func: Any) -> None:
        name = func._schema.name
        super().__init__(
            f"{name} has no rule: write one with @rnnreport.proof.rule({_key(name)!r}), if its "
            "value is a rational function of its arguments, or its derivative one of its value"
        )


def _key(name: str) -> str:
    """Return the name that rules know an operation by."""
    return name.removeprefix("aten::").removesuffix("_")


def rule(name: str, *, raw: tuple[str, ...] = ()) -> Callable[[R], R]:
    """Register the rule of an operation of PyTorch, in all its forms.

    The rule is called with the operation's arguments, by the names that they have in ATen. Its
    tensors and numbers are :class:`~rnnreport.proof._dual.Dual`, and it returns one or several of
    them: a rational function of them, or one whose derivative is known.

    Parameters
    ----------
    name
        The name of the operation in ATen without ``aten::``, such as ``"addmm"``; its forms in
        place and with ``out=`` have the same rule.
    raw
        Arguments that come as they are: indices and masks.

    Examples
    --------
    The arc tangent has the derivative 1 / (1 + x²):

    >>> import torch
    >>> from rnnreport.proof import prove, rule
    >>> @rule("atan")
    ... def atan(self):
    ...     return self.function("atan", lambda x, y: 1 / (1 + x * x))
    >>> def forward(x):
    ...     return torch.atan(x), x
    >>> def backward(dy, x):
    ...     return dy / (1 + x**2)
    >>> bool(prove(forward, backward, [torch.ones(3, dtype=torch.float64)]))
    True
    """

    def register(function: R) -> R:
        RULES[name] = function, frozenset(raw)
        return function

    return register


def view(name: str) -> Callable[[R], R]:
    """Register an operation that returns a view.

    It is called with the rows, whose first axis is not the caller's, and the operation's arguments,
    and returns a view of them.
    """

    def register(function: R) -> R:
        VIEWS[name] = function
        return function

    return register


class ExactTensor(Tensor):
    """A tensor of dual numbers."""

    rows: Tensor
    field: Field
    __slots__: ClassVar[tuple[str, ...]] = ("field", "rows")
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, rows: Tensor, field: Field) -> ExactTensor:
        """Wrap rows of integers, (rows, ...)."""
        tensor: ExactTensor = Tensor._make_wrapper_subclass(
            cls, rows.shape[1:], strides=rows.stride()[1:], dtype=torch.float64
        )
        tensor.rows, tensor.field = rows, field
        return tensor

    @classmethod
    def unknown(cls, shape: Sequence[int], field: Field) -> ExactTensor:
        """Return unknowns of a field, which do not move."""
        return cls(Dual(field.unknown(shape)).pack(), field)

    @property
    def dual(self) -> Dual:
        """The numbers."""
        return Dual.unpack(self.rows, self.field)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute an operation by its rule."""
        field = next(each.field for each in leaves((args, kwargs)) if isinstance(each, cls))
        return dispatch(func, args, kwargs or {}, field)

    def _read(self, *_: Any, **__: Any) -> Any:
        raise Refusal(READ)

    numpy = tolist = __array__ = _read

    def _replace(self, _: Any) -> None:
        raise Refusal("the data of a tensor are replaced: write over them, as with copy_")

    data = property(lambda self: self.detach(), _replace)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        """Say its shape: the numbers at a random point tell nobody anything."""
        return f"ExactTensor(shape={tuple(self.shape)})"


def dispatch(func: Any, args: Any, kwargs: dict[str, Any], field: Field) -> Any:
    """Compute an operation of PyTorch by its rule."""
    try:
        return _computed(func, args, kwargs, field)
    except Refusal as refusal:
        field.refusal = refusal
        raise


def _computed(func: Any, args: Any, kwargs: dict[str, Any], field: Field) -> Any:
    name, kinds, writes, outs = _signature(func)
    if name in VIEWS:
        viewed = VIEWS[name](args[0].rows, *args[1:], **kwargs)
        if isinstance(viewed, Tensor):
            return ExactTensor(viewed, field)
        return [ExactTensor(rows, field) for rows in viewed]
    if writes and name.endswith("_"):
        name = name[:-1]
        if name in VIEWS:  # such as squeeze_, after which the tensor itself has another shape
            args[0].rows = VIEWS[name](args[0].rows, *args[1:], **kwargs)
            with no_dispatch():
                func(*args, **kwargs)
            return args[0]
    if name not in RULES:
        return _taken_apart(func, args, kwargs, field)
    function, raw = RULES[name]
    named = dict(zip(kinds, args, strict=False)) | kwargs
    targets = [named.pop(each) for each in outs]
    _check_kind(name, named.get("dtype"))
    for argument, value in named.items():
        if argument not in raw:
            named[argument] = _lifted(value, kinds[argument], field)
        elif argument in _PLACES and any(isinstance(each, ExactTensor) for each in leaves([value])):
            raise Refusal(f"{name} takes a mask or whole numbers as {argument}, got float64")
    result = function(**named)
    if not writes:
        return _wrapped(result, field)
    if not targets:
        _write(args[0], result, field)
        return args[0]
    results = result if isinstance(result, tuple) else (result,)
    for target, each in zip(targets, results, strict=True):
        if target.shape != each.shape:
            raise Refusal(
                f"out has shape {tuple(target.shape)}, and {name} returns {tuple(each.shape)}: "
                "nothing is resized here"
            )
        _write(target, each, field)
    return targets[0] if len(targets) == 1 else tuple(targets)


def _check_kind(name: str, dtype: torch.dtype | None) -> None:
    """Refuse to turn numbers into what rounds; masks and whole numbers may be made."""
    if dtype not in (None, torch.float64) and (
        dtype.is_floating_point or dtype.is_complex or name not in _MAKERS
    ):
        raise Refusal(f"a number is turned into {dtype}, which rounds: stay with float64")


_PLACES = {"condition", "index", "indices", "mask"}
_MAKERS = {
    "_to_copy",
    "empty_like",
    "full_like",
    "new_empty",
    "new_empty_strided",
    "new_full",
    "new_ones",
    "new_zeros",
    "ones_like",
    "zeros_like",
}


@functools.cache
def _signature(func: Any) -> tuple[str, Mapping[str, str], bool, tuple[str, ...]]:
    """Return the name of an operation, the kind of each argument, whether and to which it writes.

    The last are those of ``out=``: it has several names, where several tensors are returned.
    """
    schema = func._schema
    kinds = {each.name: str(each.type) for each in schema.arguments}
    writes = any(each.alias_info and each.alias_info.is_write for each in schema.arguments)
    outs = tuple(each.name for each in schema.arguments if each.is_out)
    return schema.name.removeprefix("aten::"), kinds, writes, outs


def _taken_apart(func: Any, args: Any, kwargs: dict[str, Any], field: Field) -> Any:
    """Compute an operation without a rule as PyTorch itself writes it with simpler ones."""
    from torch._decomp import decomposition_table  # takes a second, and few operations need it

    parts = decomposition_table.get(func, func.decompose)
    try:
        with _Factories(field):
            result = parts(*args, **kwargs)
    except _NoRule as error:
        raise _NoRule(func) from error
    if result is NotImplemented:
        raise _NoRule(func)
    return result


def _lifted(value: Any, kind: str, field: Field) -> Any:
    """Turn what an operation computes with into dual numbers; sizes and axes stay."""
    if isinstance(value, ExactTensor):
        return value.dual
    if isinstance(value, complex) or (isinstance(value, Tensor) and value.is_complex()):
        raise Refusal("a number is multiplied or added to a complex one: stay with float64")
    if isinstance(value, Tensor):
        return Dual(field.constant(value))
    if isinstance(value, list | tuple) and "Tensor" in kind:
        return [_lifted(each, kind, field) for each in value]
    if kind in ("number", "Optional[number]") and isinstance(value, int | float):
        return Dual(field.constant(value))
    return value


def _wrapped(result: Any, field: Field) -> Any:
    if isinstance(result, Dual):
        return ExactTensor(result.pack(), field)
    if isinstance(result, tuple | list):
        return type(result)(_wrapped(each, field) for each in result)
    return result


def _write(target: Any, result: Dual | Tensor, field: Field) -> None:
    if isinstance(result, Tensor):  # signs, places or masks
        if not isinstance(target, ExactTensor):
            target.copy_(result)
            return
        result = Dual(field.constant(result))
    if not isinstance(target, ExactTensor):
        raise Refusal(
            "a tensor of constants is written over with what depends on the inputs: make it with "
            "new_empty or zeros_like of an input, or inside of the function"
        )
    rows = widened(result.pack(), target.ndim)
    if len(rows) > len(target.rows):
        raise Refusal("a tensor from outside of what is differentiated is written over within it")
    target.rows[: len(rows)].copy_(rows.expand(len(rows), *target.shape))


def untouched(field: Field, size: Sequence[int]) -> Dual:
    """Give memory that nobody has written to: what it holds is unknown, and moves as it likes."""
    tangents = [field.unknown(size).rows for _ in range(field.directions)]
    if not tangents:
        return Dual(field.unknown(size))
    *others, last = tangents  # the bounds of one are those of all
    rows = torch.cat([*(each[:-4] for each in others), last])
    return Dual(field.unknown(size), Residues(field, rows))


def leaves(value: Any) -> Iterator[Any]:
    """Yield all tensors in nested arguments."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from leaves(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)


class _Factories(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Makes what code creates a tensor that can be written over."""

    def __init__(self, field: Field) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._field = field

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and to load the compiler takes seconds

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if ExactTensor in types:
            return dispatch(func, args, kwargs, self._field)
        name = func._schema.name.removeprefix("aten::")
        if name in _FACTORIES and kwargs.get("dtype") in (None, torch.float64):
            made = func(*args, **kwargs)
            if made.dtype == torch.float64:
                if name.startswith("empty"):
                    return _wrapped(untouched(self._field, made.shape), self._field)
                return _wrapped(Dual(self._field.constant(made)), self._field)
            return made
        return func(*args, **kwargs)


_FACTORIES = {"empty", "zeros", "ones", "full", "eye", "empty_strided"}


@contextmanager
def exact_arithmetic(field: Field) -> Iterator[None]:
    """Let code that runs inside create tensors that compute exactly."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), _Factories(field):
            yield
    finally:
        torch.set_default_dtype(usual)
