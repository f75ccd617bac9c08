"""Derivatives by other means: measured, and proven."""

from rnnreport.proof import _functions, _moves  # noqa: F401  # they register the rules
from rnnreport.proof._derivative import derivative, gradient
from rnnreport.proof._field import Field
from rnnreport.proof._measured import (
    COMPLEX_STEP,
    central_difference,
    complex_step,
    complex_step_gradient,
    gradient_residuals,
    relative_residual,
)
from rnnreport.proof._proven import DOUBT, Verdict, prove, prove_loss
from rnnreport.proof._tensor import ExactTensor, exact_arithmetic, rule, view

__all__ = [
    "COMPLEX_STEP",
    "DOUBT",
    "ExactTensor",
    "Field",
    "Verdict",
    "central_difference",
    "complex_step",
    "complex_step_gradient",
    "derivative",
    "exact_arithmetic",
    "gradient",
    "gradient_residuals",
    "prove",
    "prove_loss",
    "relative_residual",
    "rule",
    "view",
]
