"""Rules of arithmetic, functions and choices: what is computed, and how the result moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from rnnreport.proof._bounds import LESS, MORE, NEITHER
from rnnreport.proof._dual import Dual
from rnnreport.proof._moves import axis_of, cat, gather, where
from rnnreport.proof._tensor import Refusal, rule

# Arithmetic.


@rule("add")
def _add(self: Dual, other: Dual, alpha: Dual | float = 1) -> Dual:
    return self + _scaled(other, alpha)


@rule("sub")
def _sub(self: Dual, other: Dual, alpha: Dual | float = 1) -> Dual:
    return self - _scaled(other, alpha)


@rule("rsub")
def _rsub(self: Dual, other: Dual, alpha: Dual | float = 1) -> Dual:
    return other - _scaled(self, alpha)


def _scaled(number: Dual, factor: Dual | float) -> Dual:
    """Multiply, but by the usual factor of 1."""
    return number if isinstance(factor, int) else number * factor


@rule("mul")
def _mul(self: Dual, other: Dual) -> Dual:
    return self * other


@rule("div")
def _div(self: Dual, other: Dual, *, rounding_mode: str | None = None) -> Dual:
    if rounding_mode is not None:
        raise Refusal(f"a division is rounded ({rounding_mode}), which has no derivative")
    return self / other


@rule("neg")
def _neg(self: Dual) -> Dual:
    return -self


@rule("reciprocal")
def _reciprocal(self: Dual) -> Dual:
    return self.reciprocal()


@rule("square")
def _square(self: Dual) -> Dual:
    return self * self


@rule("pow", raw=("exponent",))
def _pow(self: Dual, exponent: float) -> Dual:
    if exponent == int(exponent):
        return self ** int(exponent)
    if exponent == 0.5:
        return _sqrt(self)
    if exponent == -0.5:
        return _sqrt(self).reciprocal()
    raise Refusal(f"the power {exponent} has no rule: whole numbers, 0.5 and -0.5 have one")


@rule("addcmul")
def _addcmul(self: Dual, tensor1: Dual, tensor2: Dual, *, value: Dual | float = 1) -> Dual:
    return self + _scaled(tensor1 * tensor2, value)


@rule("addcdiv")
def _addcdiv(self: Dual, tensor1: Dual, tensor2: Dual, *, value: Dual | float = 1) -> Dual:
    return self + _scaled(tensor1 / tensor2, value)


@rule("lerp")
def _lerp(self: Dual, end: Dual, weight: Dual) -> Dual:
    return self + weight * (end - self)


@rule("sum")
def _total(self: Dual, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Dual:  # noqa: ARG001
    if dim is None or (not isinstance(dim, int) and not dim):
        dims: Sequence[int] = range(len(self.shape))
    else:
        dims = [dim] if isinstance(dim, int) else dim
    return self.sum(dims, keepdim) if self.shape else self


@rule("mean")
def _mean(self: Dual, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Dual:
    total = _total(self, dim, keepdim, dtype=dtype)
    return total / (math.prod(self.shape) // max(1, math.prod(total.shape)))


@rule("cumsum")
def _cumsum(self: Dual, dim: int, *, dtype: Any = None) -> Dual:  # noqa: ARG001
    axis = axis_of(dim, len(self.shape))
    ahead = (slice(None),) * (axis - 1)
    parts = [
        self.at(*ahead, slice(k + 1)).sum([axis - 1], True) for k in range(self.shape[axis - 1])
    ]
    return cat(parts, dim)


@rule("prod")
def _prod(self: Dual, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Dual:  # noqa: ARG001
    if dim is None:
        self, dim = self.rearranged(lambda rows: rows.reshape(len(rows), -1)), 0
    axis = axis_of(dim, len(self.shape))
    ahead = (slice(None),) * (axis - 1)
    product = self.at(*ahead, slice(1))
    for k in range(1, self.shape[axis - 1]):
        product = product * self.at(*ahead, slice(k, k + 1))
    return product if keepdim else product.rearranged(lambda rows: rows.squeeze(axis))


@rule("mm")
@rule("bmm")
def _mm(self: Dual, mat2: Dual) -> Dual:
    return self @ mat2


@rule("mv")
def _mv(self: Dual, vec: Dual) -> Dual:
    return (self * vec).sum([1])


@rule("dot")
@rule("vdot")
def _dot(self: Dual, **more: Dual) -> Dual:
    (other,) = more.values()
    return (self * other).sum([0])


@rule("addmm")
@rule("baddbmm")
def _addmm(self: Dual, *, beta: Dual | float = 1, alpha: Dual | float = 1, **more: Dual) -> Dual:
    one, other = more.values()
    return _scaled(self, beta) + _scaled(one @ other, alpha)


@rule("addmv")
def _addmv(
    self: Dual, mat: Dual, vec: Dual, *, beta: Dual | float = 1, alpha: Dual | float = 1
) -> Dual:
    return _scaled(self, beta) + _scaled(_mv(mat, vec), alpha)


# Functions. Of each only its derivative is known.


@rule("tanh")
def _tanh(self: Dual) -> Dual:
    return self.function("tanh", lambda _, y: 1 - y * y)


@rule("sigmoid")
def _sigmoid(self: Dual) -> Dual:
    return self.function("sigmoid", lambda _, y: y * (1 - y))


@rule("exp")
def _exp(self: Dual) -> Dual:
    return self.function("exp", lambda _, y: y)


@rule("expm1")
def _expm1(self: Dual) -> Dual:
    return _exp(self) - 1


@rule("log")
def _log(self: Dual) -> Dual:
    return self.function("log", lambda x, _: x.reciprocal())


@rule("log1p")
def _log1p(self: Dual) -> Dual:
    return _log(1 + self)


@rule("sqrt")
def _sqrt(self: Dual) -> Dual:
    return self.function("sqrt", lambda _, y: (2 * y).reciprocal())


@rule("rsqrt")
def _rsqrt(self: Dual) -> Dual:
    return _sqrt(self).reciprocal()


@rule("sin")
def _sin(self: Dual) -> Dual:
    return self.function("sin", lambda x, _: x.function("cos", lambda *_: 0))


@rule("cos")
def _cos(self: Dual) -> Dual:
    return self.function("cos", lambda x, _: -x.function("sin", lambda *_: 0))


@rule("silu")
def _silu(self: Dual) -> Dual:
    return self * _sigmoid(self)


@rule("_softmax")
def _softmax(self: Dual, dim: int, half_to_float: bool) -> Dual:  # noqa: ARG001
    raised = _exp(self)  # no number is too large here: nothing is to be subtracted
    return raised / raised.sum([dim], True)


@rule("_log_softmax")
def _log_softmax(self: Dual, dim: int, half_to_float: bool) -> Dual:  # noqa: ARG001
    return self - _log(_exp(self).sum([dim], True))


# Choices. Which number is larger is drawn; what follows from it is computed.


@rule("gt")
def _gt(self: Dual, other: Dual) -> Tensor:
    return self.order() > other.order()


@rule("ge")
def _ge(self: Dual, other: Dual) -> Tensor:
    return self.order() >= other.order()


@rule("lt")
def _lt(self: Dual, other: Dual) -> Tensor:
    return self.order() < other.order()


@rule("le")
def _le(self: Dual, other: Dual) -> Tensor:
    return self.order() <= other.order()


@rule("eq")
def _eq(self: Dual, other: Dual) -> Tensor:
    return self.order() == other.order()


@rule("ne")
def _ne(self: Dual, other: Dual) -> Tensor:
    return self.order() != other.order()


@rule("isfinite")
def _isfinite(self: Dual) -> Tensor:
    return self.value.bounds[0] >= 0


@rule("isinf")
def _isinf(self: Dual) -> Tensor:
    return (self.value.bounds[0] == LESS) | (self.value.bounds[0] == MORE)


@rule("isnan")
def _isnan(self: Dual) -> Tensor:
    return self.value.bounds[0] == NEITHER


@rule("argmax")
def _argmax(self: Dual, dim: int | None = None, keepdim: bool = False) -> Tensor:
    return self.order().argmax(dim, keepdim)


@rule("max")
def _max(
    self: Dual, dim: int | None = None, keepdim: bool = False, other: Dual | None = None
) -> Any:
    if other is not None:
        return _maximum(self, other)
    if dim is None:
        return _amax(self, range(len(self.shape)))
    place = self.order().argmax(dim, keepdim=True)
    most = gather(self, dim, place)
    if keepdim:
        return most, place
    axis = axis_of(dim, len(self.shape))
    return most.rearranged(lambda rows: rows.squeeze(axis)), place.squeeze(dim)


@rule("amax")
def _amax(self: Dual, dim: Sequence[int] = (), keepdim: bool = False) -> Dual:
    most = self
    for each in dim or range(len(self.shape)):
        most, _ = _max(most, each % len(self.shape), True)
    if keepdim:
        return most
    axes = tuple(axis_of(each, len(self.shape)) for each in dim or range(len(self.shape)))
    return most.rearranged(lambda rows: rows.squeeze(axes))


@rule("maximum")
def _maximum(self: Dual, other: Dual) -> Dual:
    return where(_ge(self, other), self, other)


@rule("minimum")
def _minimum(self: Dual, other: Dual) -> Dual:
    return where(_le(self, other), self, other)


@rule("relu")
def _relu(self: Dual) -> Dual:
    zero = self.lift(0.0)
    return where(_gt(self, zero), self, zero)


@rule("clamp")
@rule("clamp_min")
@rule("clamp_max")
def _clamp(self: Dual, min: Dual | None = None, max: Dual | None = None) -> Dual:  # noqa: A002
    if min is not None:
        self = _maximum(self, min)
    return self if max is None else _minimum(self, max)


@rule("abs")
def _abs(self: Dual) -> Dual:
    return where(_ge(self, self.lift(0.0)), self, -self)


@rule("_local_scalar_dense")
def _local_scalar_dense(self: Dual) -> Dual:  # noqa: ARG001
    raise Refusal(
        "a number is read out of a tensor (item, float or int of it, or `if`): what follows "
        "depends on a single point, and nothing can be proven of all"
    )
