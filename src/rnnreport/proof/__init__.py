"""Derivatives by other means: measured, and proven."""

from rnnreport.proof import _functions, _moves  # noqa: F401  # they register the rules
from rnnreport.proof._autograd import prove_autograd
from rnnreport.proof._derivative import gradient, jacobian
from rnnreport.proof._field import Field
from rnnreport.proof._measured import (
    COMPLEX_STEP,
    central_difference,
    complex_step,
    complex_step_gradient,
    gradient_residuals,
    relative_residual,
)
from rnnreport.proof._proven import CHOICES, DOUBT, Verdict, prove, prove_loss
from rnnreport.proof._tensor import ExactTensor, Refusal, exact_arithmetic, rule, view

__all__ = [
    "CHOICES",
    "COMPLEX_STEP",
    "DOUBT",
    "ExactTensor",
    "Field",
    "Refusal",
    "Verdict",
    "central_difference",
    "complex_step",
    "complex_step_gradient",
    "exact_arithmetic",
    "gradient",
    "gradient_residuals",
    "jacobian",
    "prove",
    "prove_autograd",
    "prove_loss",
    "relative_residual",
    "rule",
    "view",
]
