"""A reader's own backward pass, held against the truth, and the mistake in it by its name.

>>> from rnnreport.check import check
>>> report = check("rnn_layers.py")  # or a module, or functions  # doctest: +SKIP
>>> report.assert_ok()  # doctest: +SKIP

What a file holds is read off its names; how it arranges its arrays, off its forward pass. A file
runs in a process of its own. See `check`.
"""

from rnnreport.check._api import check
from rnnreport.check._known import FAULTY, SURVEYED, mistakes
from rnnreport.check._report import Cause, Finding, Output, Report

__all__ = [
    "FAULTY",
    "SURVEYED",
    "Cause",
    "Finding",
    "Output",
    "Report",
    "check",
    "mistakes",
]
