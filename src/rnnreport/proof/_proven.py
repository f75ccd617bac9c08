"""The proof that a backward pass is the transposed Jacobian of a forward pass, exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from typing import Any

import torch
from torch import Tensor

from rnnreport.proof._dual import Dual
from rnnreport.proof._field import POINTS, Field, Point, Residues
from rnnreport.proof._tensor import READ, ExactTensor, Refusal, exact_arithmetic

__all__ = ["CHOICES", "DOUBT", "Inputs", "Verdict", "named_inputs", "prove", "prove_loss"]

DOUBT = 1e-30
"""The largest chance that something wrong has passed with which it counts as proven."""

CHOICES = 8
"""In how many ways the comparisons of code turn out, where it compares."""

_CEILING = Context(prec=1, rounding=ROUND_CEILING)  # what is shown is a bound still

_DRAWS = 20  # so many points may divide by zero before the function itself is suspected

Inputs = Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What a proof has found.

    Attributes
    ----------
    proven : bool
        Whether the backward pass is the derivative of the forward pass.
    doubt : float
        The chance, at most, that a wrong one would have passed; 0 where it is refuted, as a single
        point refutes.
    degree : int
        A bound for the degree of the polynomial that must be zero, multiplied by all denominators.
    points : int
        At how many points, each modulo a prime of its own, the sides agreed.
    choices : int
        In how many ways the code's comparisons have turned out; 0 where it compares nothing. The
        doubt is that of each of these ways, and nothing is said of others.
    wrong : tuple of str
        The inputs whose gradient is wrong.
    """

    proven: bool
    doubt: float
    degree: int
    points: int
    choices: int = 0
    wrong: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.proven

    def __str__(self) -> str:
        if not self.proven:
            return f"refuted: wrong is the gradient of {', '.join(self.wrong)}"
        ways = f" in each of {self.choices} ways to compare" if self.choices else ""
        return (
            f"proven at {self.points} random points{ways}: degree {self.degree} at most, doubt "
            f"below {_CEILING.create_decimal(self.doubt):.0e}"
        )


def prove(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inputs: Inputs,
    *,
    seed: int = 0,
    doubt: float = DOUBT,
) -> Verdict:
    r"""Prove or refute that a backward pass is the transposed Jacobian of a forward pass.

    Both run as they stand, modulo random primes. The forward pass carries tangents :math:`v`
    through it by the rules of differentiation, and with random :math:`u` the equation
    :math:`\langle u, J v \rangle = \langle J^\top u, v \rangle` must hold to the last digit. It is
    one between polynomials, and a polynomial that is not zero is zero at a random point with a
    small chance, which is computed.

    Parameters
    ----------
    forward
        Takes `inputs` and returns ``(out, cache)``, or several outputs and the cache.
    backward
        Takes the gradient of each output and the cache; returns the gradient of each input of
        float64, in their order.
    inputs : sequence, or mapping of str
        Arguments of `forward`. Tensors of float64 are what is differentiated by: their shapes
        count, their values do not. Whatever else there is (indices, masks, sizes) is passed on. The
        names of a mapping are those of the verdict.
    seed
        Draws primes, points and directions.
    doubt
        More points are drawn until the doubt is below it: a number between 0 and 1.

    Returns
    -------
    Verdict
        True where it is proven.

    Raises
    ------
    ValueError
        If no input is differentiated by, one is empty or of float32, `doubt` is not between 0 and
        1, or the backward pass returns another number of gradients or one of another shape.
    TypeError
        If the code does something that has no rule; the message says how to add one. Nothing is
        proven then, and nothing refuted.
    ArithmeticError
        If each point that is tried divides by zero, an infinity takes part in sums or products that
        the result rests on, or the degree is too large for the primes.

    Notes
    -----
    What is proven holds for the shapes at hand, and where code compares numbers, for the branches
    that were drawn, :data:`CHOICES` times: nothing is said of other branches. Rounding is no part
    of it. What is refuted is no identity of polynomials in the inputs and the values of tanh, exp
    and the like. Known are beside their derivatives only that exp and log undo each other, that
    exp(-x) is 1 / exp(x), that a sigmoid is made of exp, and that tanh is odd. Right code that
    relies on more, as on the square of a square root or on exp(x) > 0, is refuted too. So is code
    that compares other numbers in the backward pass than in the forward pass: whether x > y and
    whether x - y > 0 are two choices, as are x > 0 and 2 x > 0.

    Examples
    --------
    >>> import torch
    >>> from rnnreport.proof import prove
    >>> def forward(x, w):
    ...     y = torch.tanh(x @ w)
    ...     return y, (x, w, y)
    >>> def backward(dy, cache):
    ...     x, w, y = cache
    ...     dz = dy * (1 - y * y)
    ...     return dz @ w.T, x.T @ dz
    >>> x, w = torch.randn(3, 2, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    >>> bool(prove(forward, backward, (x, w)))
    True
    >>> def careless(dy, cache):
    ...     dx, dw = backward(dy, cache)
    ...     return dx, dw * (1 + 1e-15)
    >>> prove(forward, careless, {"x": x, "w": w}).wrong
    ('w',)
    """
    if not 0 < doubt < 1:
        raise ValueError(f"doubt must be between 0 and 1, got {doubt}")
    named = named_inputs(inputs)
    variables = _variables(named)
    most, points, degree, choice, choices = 0.0, 0, 0, 0, 1
    while choice < choices:
        chance, turn = 1.0, 0
        while chance > doubt:
            place = seed, choice, turn
            field, difference = _sides(forward, backward, named, variables, None, place)
            degree = max(degree, field.cleared(difference).degree)
            if bool(difference.values.any()):
                wrong = tuple(
                    name
                    for name in variables
                    if bool(
                        _sides(forward, backward, named, variables, name, place)[1].values.any()
                    )
                )
                return Verdict(False, 0.0, degree, POINTS, choice + field.chose, wrong)
            # A point that divides by zero was drawn again, up to so often.
            chance *= min(1.0, _DRAWS * field.doubt(difference))
            turn += 1
            choices = CHOICES if field.chose else 1
        most, points, choice = max(most, chance), points + turn * POINTS, choice + 1
    return Verdict(True, most, degree, points, choices if choices > 1 else 0)


def prove_loss(
    loss: Callable[..., Any], inputs: Inputs, *, seed: int = 0, doubt: float = DOUBT
) -> Verdict:
    """Prove or refute the gradients that a loss returns beside its value.

    Parameters
    ----------
    loss
        Takes `inputs` and returns its value, without axes, and the gradient of each input of
        float64: ``(loss, dx)``, or a tuple or list of them in place of ``dx``.
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
    """

    def forward(*arguments: Any) -> tuple[Any, Any]:
        returned = loss(*arguments)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ValueError(
                "loss must return its value and its gradients, as in (loss, dx) or (loss, (dx, "
                f"dw)), got {_kind(returned)}"
            )
        value, gradients = returned
        if isinstance(value, Tensor) and value.ndim:
            raise ValueError(f"the loss must have no axes, got shape {tuple(value.shape)}")
        return value, gradients

    def backward(dloss: Tensor, gradients: Any) -> tuple[Any, ...]:
        every = gradients if isinstance(gradients, tuple | list) else (gradients,)
        return tuple(dloss * each if isinstance(each, Tensor) else each for each in every)

    return prove(forward, backward, inputs, seed=seed, doubt=doubt)


def named_inputs(inputs: Inputs) -> dict[str, Any]:
    """Give each input a name."""
    if isinstance(inputs, Mapping):
        return {str(name): value for name, value in inputs.items()}
    if not isinstance(inputs, Sequence):
        raise ValueError(
            f"inputs must be a sequence, or a mapping of names, got {type(inputs).__name__}"
        )
    return {f"input {place}": value for place, value in enumerate(inputs, 1)}


def _variables(named: Mapping[str, Any]) -> list[str]:
    """Return the names of the inputs that are differentiated by."""
    variables = [
        name
        for name, value in named.items()
        if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())
    ]
    if not variables:
        raise ValueError("inputs must hold a tensor of float64 to differentiate by, got none")
    for name in variables:
        tensor = named[name]
        if str(tensor.dtype) != "torch.float64":
            raise ValueError(f"{name} must have dtype torch.float64, got {tensor.dtype}")
        if not tensor.numel():
            raise ValueError(f"{name} must not be empty, got shape {tuple(tensor.shape)}")
    return variables


def _sides(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    named: Mapping[str, Any],
    variables: Sequence[str],
    moved: str | None,
    place: tuple[int, int, int],
) -> tuple[Field, Residues]:
    """Return ⟨u, Jv⟩ − ⟨Jᵀu, v⟩ at fresh points; with `moved`, v is zero but for this input."""
    for draw in range(_DRAWS):
        field = Field((*place, draw), choice=place[:2])
        try:
            return field, _difference(field, forward, backward, named, variables, moved)
        except Point:
            continue
        except RuntimeError as error:
            if "not allocated" not in str(error):
                raise
            raise Refusal(READ) from error  # PyTorch looked for numbers of float64
        except TypeError as error:
            # Operators such as ** turn a refusal into an error that says nothing of it.
            if field.refusal in (None, error):
                raise
            raise field.refusal from error
    raise ArithmeticError(f"the function divides by zero at each of {_DRAWS} random points")


def _difference(
    field: Field,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    named: Mapping[str, Any],
    variables: Sequence[str],
    moved: str | None,
) -> Residues:
    arguments, directions = dict(named), {}
    for name in variables:
        shape = named[name].shape
        value, direction = field.unknown(shape), field.unknown(shape)
        if moved not in (None, name):
            direction = field.constant(torch.zeros(shape))
        directions[name] = direction
        arguments[name] = ExactTensor(Dual(value, direction).pack(), field)
    with exact_arithmetic(field):
        *outs, cache = _outputs(forward(*arguments.values()))
        upstream, left = [], field.constant(0)
        for out in outs:
            u = field.unknown(out.shape)
            upstream.append(ExactTensor(Dual(u).pack(), field))
            if isinstance(out, ExactTensor):
                moves = out.dual.tangent
                assert moves is not None  # noqa: S101
                left = left + (u * moves).sum(range(len(u.shape)))
        field.directions = 0
        gradients = _gradients(backward(*upstream, cache), variables, named)
    right = field.constant(0)
    for name, gradient in gradients.items():
        value = (
            gradient.dual.value if isinstance(gradient, ExactTensor) else field.constant(gradient)
        )
        right = right + (value * directions[name]).sum(range(len(value.shape)))
    difference = left - right
    if bool((difference.bounds[0] < 0).any()):
        raise ArithmeticError("an infinity takes part in sums or products: there it is no number")
    return difference


def _outputs(returned: Any) -> tuple[Any, ...]:
    if not isinstance(returned, tuple) or len(returned) < 2:
        raise ValueError(
            "forward must return its outputs and a cache, as in (out, cache), got "
            f"{_kind(returned)}"
        )
    for out in returned[:-1]:
        if not isinstance(out, Tensor):
            raise ValueError(f"each output must be a tensor, got {type(out).__name__}")
    return returned


def _kind(returned: Any) -> str:
    """Say what was returned."""
    kind = type(returned).__name__
    return f"a {kind} of {len(returned)}" if isinstance(returned, tuple | list) else kind


def _gradients(
    returned: Any, variables: Sequence[str], named: Mapping[str, Any]
) -> dict[str, Tensor]:
    gradients = returned if isinstance(returned, tuple | list) else (returned,)
    if len(gradients) != len(variables):
        raise ValueError(
            f"backward must return {len(variables)} gradients, of {', '.join(variables)}, got "
            f"{len(gradients) if gradients is returned else type(returned).__name__}"
        )
    for name, gradient in zip(variables, gradients, strict=True):
        if not isinstance(gradient, Tensor):
            raise ValueError(
                f"the gradient of {name} must be a tensor, got {type(gradient).__name__}"
            )
        if gradient.shape != named[name].shape:
            raise ValueError(
                f"the gradient of {name} must have its shape {tuple(named[name].shape)}, got "
                f"{tuple(gradient.shape)}"
            )
    return dict(zip(variables, gradients, strict=True))
