"""Rules of arithmetic and functions: what is computed, and how the result moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rnnreport.proof._choices import absolute
from rnnreport.proof._dual import Dual
from rnnreport.proof._moves import axis_of, cat, ones_like
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
def _pow(self: Dual, exponent: Any) -> Dual:
    if isinstance(exponent, int | float):
        if float(exponent).is_integer():
            return self ** int(exponent) if exponent else ones_like(self)
        if float(2 * exponent).is_integer():
            return _sqrt(self) ** int(2 * exponent)
    raise Refusal("a power has a rule where the exponent is a whole number, or half of one")


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
    if not self.shape:
        return self
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


@rule("cumprod")
def _cumprod(self: Dual, dim: int, *, dtype: Any = None) -> Dual:  # noqa: ARG001
    ahead = (slice(None),) * (axis_of(dim, len(self.shape)) - 1)
    parts = [self.at(*ahead, slice(1))]
    for k in range(1, self.shape[dim]):
        parts.append(parts[-1] * self.at(*ahead, slice(k, k + 1)))
    return cat(parts, dim)


@rule("prims::var")
def _prims_var(inp: Dual, dims: Any, correction: float = 1, **_kept: Any) -> Dual:
    return _var(inp, dims, correction=correction)


@rule("var", raw=("correction",))
def _var(
    self: Dual,
    dim: Any = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    **more: bool,
) -> Dual:
    if correction is None:
        correction = 1 if more.get("unbiased", True) else 0
    apart = self - _mean(self, dim, True)
    total = _total(apart * apart, dim, keepdim)
    return total / (math.prod(self.shape) // math.prod(total.shape) - correction)


@rule("var_mean", raw=("correction",))
def _var_mean(self: Dual, dim: Any = None, keepdim: bool = False, **more: Any) -> tuple[Dual, Dual]:
    return _var(self, dim, keepdim, **more), _mean(self, dim, keepdim)


@rule("prims::sum")
def _prims_sum(inp: Dual, dims: Any, **_kept: Any) -> Dual:
    return _total(inp, dims)


@rule("std", raw=("correction",))
def _std(self: Dual, *how: Any, **more: Any) -> Dual:
    return _sqrt(_var(self, *how, **more))


@rule("linalg_vector_norm", raw=("ord",))
def _vector_norm(
    self: Dual,
    ord: float = 2,  # noqa: A002
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,  # noqa: ARG001
) -> Dual:
    if ord == 1:
        return _total(absolute(self), dim, keepdim)
    if ord == 2:
        return _sqrt(_total(self * self, dim, keepdim))
    raise Refusal(f"the norm of order {ord} has no rule: orders 1 and 2 have one")


@rule("mm")
@rule("bmm")
def _mm(self: Dual, mat2: Dual) -> Dual:
    _fit(self.shape[-1], mat2.shape[-2])
    return self @ mat2


def _fit(one: int, other: int) -> None:
    """Refuse a product that PyTorch refuses: nothing is repeated in it."""
    if one != other:
        raise ValueError(f"a product of matrices needs as many columns as rows, got {one}, {other}")


@rule("mv")
def _mv(self: Dual, vec: Dual) -> Dual:
    _fit(self.shape[1], vec.shape[0])
    return (self * vec).sum([1])


@rule("dot")
@rule("vdot")
def _dot(self: Dual, **more: Dual) -> Dual:
    (other,) = more.values()
    _fit(self.shape[0], other.shape[0])
    return (self * other).sum([0])


@rule("addmm")
@rule("baddbmm")
def _addmm(self: Dual, *, beta: Dual | float = 1, alpha: Dual | float = 1, **more: Dual) -> Dual:
    one, other = more.values()
    return _scaled(self, beta) + _scaled(_mm(one, other), alpha)


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


@rule("softplus")
def _softplus(self: Dual, beta: Dual | float = 1, threshold: Dual | float = 20) -> Dual:  # noqa: ARG001
    # The threshold is there because numbers overflow, and here none does.
    scaled = _log1p(_exp(_scaled(self, beta)))
    return scaled if isinstance(beta, int) else scaled / beta


@rule("log_sigmoid_forward")
def _log_sigmoid_forward(self: Dual) -> tuple[Dual, Dual]:
    return -_softplus(-self), self


@rule("logsumexp")
def _logsumexp(self: Dual, dim: Any, keepdim: bool = False) -> Dual:
    return _log(_total(_exp(self), dim, keepdim))


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


# Reading.


@rule("_local_scalar_dense")
def _local_scalar_dense(self: Dual) -> Dual:  # noqa: ARG001
    raise Refusal(
        "a number is read out of a tensor (item, float or int of it, or `if`): what follows "
        "depends on a single point, and nothing can be proven of all"
    )
