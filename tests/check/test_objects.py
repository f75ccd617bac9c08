"""Functions of this process, such as those of a notebook's cells, and their lines."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from typing import Any

import pytest
from implementations import implementation

from rnnreport.check import Cause, Report, check
from rnnreport.check._program import described

TEXT = implementation("functions", "lstm", (("slope-twice", "c"),)).text
FORWARD, BACKWARD = (
    re.search(rf"def lstm_step_{way}.*?(?=\ndef )", TEXT, re.DOTALL)
    for way in ("forward", "backward")
)
HEAD = TEXT[: TEXT.index("def lstm")]  # NumPy and the sigmoid
RIGHT = re.sub(r"1 - np.tanh\(g\) \*\* 2", "1 - g ** 2", TEXT)


@pytest.fixture
def cells() -> Iterator[Any]:
    """Return what runs a text as a cell of its own, which Python knows the source of."""
    names: list[str] = []
    namespace: dict[str, Any] = {}

    def run(text: str) -> dict[str, Any]:
        names.append(f"<cell {len(names)}>")
        linecache.cache[names[-1]] = (len(text), None, text.splitlines(keepends=True), names[-1])
        exec(compile(text, names[-1], "exec"), namespace)  # noqa: S102
        return namespace

    yield run
    for name in names:
        del linecache.cache[name]


def cause_of(report: Report) -> Cause:
    """Return the only cause of a report."""
    [cause] = [cause for finding in report.findings for cause in finding.causes]
    return cause


def of_step(namespace: dict[str, Any]) -> list[Any]:
    return [namespace["lstm_step_forward"], namespace["lstm_step_backward"]]


def test_lines_are_those_of_the_cell(cells: Any) -> None:
    assert FORWARD is not None
    assert BACKWARD is not None
    cells(HEAD + FORWARD[0])
    report = check(of_step(cells(f"# of mine\n\n{BACKWARD[0]}")))
    assert [finding.where for finding in report.findings] == ["line 8", "line 3"]
    cause = cause_of(report)
    assert (cause.where, cause.code) == ("line 10", "dzg = dc * i * (1 - np.tanh(g) ** 2)")


@pytest.mark.parametrize(("earlier", "later"), [(RIGHT, TEXT), (TEXT, RIGHT)])
def test_a_function_that_is_written_again_counts_as_it_is_now(
    cells: Any, earlier: str, later: str
) -> None:
    first = dict(cells(earlier))
    now = cells("\n" + later)
    assert check([first["lstm_step_forward"], now["lstm_step_backward"]]).ok == (later == RIGHT)


def test_all_functions_in_one_cell(cells: Any) -> None:
    cause = cause_of(check(of_step(cells(f"# of mine\n{TEXT}"))))
    assert (cause.where, cause.code) == ("line 29", "dzg = dc * i * (1 - np.tanh(g) ** 2)")


def test_a_failure_is_named_by_the_line_of_its_cell(cells: Any) -> None:
    assert FORWARD is not None
    cells(HEAD + FORWARD[0])
    broken = "def lstm_step_backward(dnext_h, dnext_c, cache):\n    a = 1\n    return a / 0\n"
    [finding] = [
        finding
        for finding in check(of_step(cells("\n" * 200 + broken))).findings
        if finding.function == "lstm_step_backward"
    ]
    assert finding.status == "failed"
    assert "line 203" in finding.summary


def test_a_file_is_read_as_a_whole(cells: Any) -> None:
    namespace = cells(TEXT)
    program = described({"f": namespace["lstm_step_forward"]}, "")
    assert program.text == TEXT


def test_a_function_with_two_names_stands_once(cells: Any) -> None:
    functions = cells(TEXT)
    named = {
        "again": functions["lstm_step_forward"],
        **functions,
        "other": cells("def f(): 1")["f"],
    }
    cause = cause_of(check(named))
    assert (cause.where, cause.code) == ("line 28", "dzg = dc * i * (1 - np.tanh(g) ** 2)")


def test_functions_without_a_source_are_checked_all_the_same() -> None:
    namespace: dict[str, Any] = {}
    exec(TEXT, namespace)  # noqa: S102
    report = check(of_step(namespace))
    assert report.exit_status == 1
    assert {finding.where for finding in report.findings} == {""}
    assert "lstm_step_backward: wrong" in report.text()
