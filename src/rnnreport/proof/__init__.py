"""Derivatives by other means, against which a hand-derived gradient is checked."""

from rnnreport.proof._measured import (
    COMPLEX_STEP,
    central_difference,
    complex_step,
    complex_step_gradient,
    gradient_residuals,
    relative_residual,
)

__all__ = [
    "COMPLEX_STEP",
    "central_difference",
    "complex_step",
    "complex_step_gradient",
    "gradient_residuals",
    "relative_residual",
]
