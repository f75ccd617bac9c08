"""A report that proves itself: recurrent networks with hand-derived gradients."""

from importlib.metadata import version

__version__ = version("rnnreport")

__all__ = ["__version__"]
