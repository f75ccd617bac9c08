"""Reports on the texts of the corpus, without a process for each."""

from __future__ import annotations

from typing import Any

from implementations import Implementation

from rnnreport.check import Report
from rnnreport.check._check import check_program
from rnnreport.check._program import parse
from rnnreport.check._session import Local

__all__ = ["causes", "report_on", "report_on_text"]


def report_on_text(text: str, *, seed: int = 0) -> Report:
    """Check a text of our own in this process."""
    program = parse(text, "file.py")
    namespace: dict[str, Any] = {}
    exec(compile(program.code, "file.py", "exec"), namespace)  # noqa: S102
    with Local(namespace, tensors=program.uses_torch) as session:
        return check_program(session, program, only=None, seed=seed, nothing="nothing")


def report_on(given: Implementation) -> Report:
    """Check a text of the corpus in this process."""
    return report_on_text(given.text)


def causes(report: Report) -> list[tuple[str, str]]:
    """Return key and place of what a report names."""
    return [(each.key, each.place) for finding in report.findings for each in finding.causes]
