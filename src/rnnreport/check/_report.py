"""What a check found: for each function, each gradient that it returns, and the causes."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Cause", "Finding", "Output", "Report"]

Status = Literal["right", "wrong", "unfinished", "failed", "unknown"]
Explain = Literal["full", "less"]
ROUNDING = 1e-7
"""A gate's error up to this is one of rounding."""
_WIDTH = 88


@dataclass(frozen=True)
class Cause:
    """A mistake that was found.

    Attributes
    ----------
    key : str
        Its short name, for programs.
    name : str
        What is wrong, in a few words.
    place : str
        The gate or the state that it concerns; empty if it concerns all.
    symptom : str
        What it does to the numbers.
    change : str
        What to change.
    case : str
        The smallest case that shows it.
    equations : tuple of str
        The numbers of the equations that it offends.
    line : int or None
        The line of the code that it stands in, as far as that is known.
    where : str
        That line in words, such as ``"line 41"`` or ``"cell 3, line 4"``.
    code : str
        The text of that line.
    """

    key: str
    name: str
    place: str
    symptom: str
    change: str
    case: str
    equations: tuple[str, ...]
    line: int | None = None
    where: str = ""
    code: str = ""


@dataclass(frozen=True)
class Output:
    """A gradient that a function returns.

    Attributes
    ----------
    name : str
        What the code calls it.
    of : str
        What it is the gradient of, as in the equations.
    error : float
        The largest error, relative to the largest right element; NaN where it has no value.
    gates : mapping of str to float
        The same of each gate's block, by the gate's name; empty where there are none.
    problem : str
        Why it cannot be compared, such as a wrong shape; else empty.
    right : bool
        Whether the error is one of rounding.
    follows : bool
        Whether it is wrong only because other gradients of the function are.
    """

    name: str
    of: str
    error: float
    right: bool
    gates: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    follows: bool = False


@dataclass(frozen=True)
class Finding:
    """What was found of one function.

    Attributes
    ----------
    function : str
        Its name.
    where : str
        Its line in words; empty where there is no source.
    status : {"right", "wrong", "unfinished", "failed", "unknown"}
        ``"failed"`` where it does not return, ``"unknown"`` where it is none of the known passes.
    summary : str
        The result in a sentence.
    causes : tuple of Cause
        The mistakes that explain what is wrong.
    explained : bool
        Whether they do so to rounding.
    outputs : tuple of Output
        The gradients that it returns.
    follows : str
        The function because of which alone this one is wrong; else empty.
    notes : tuple of str
        What else is worth knowing.
    """

    function: str
    where: str
    status: Status
    summary: str
    causes: tuple[Cause, ...] = ()
    explained: bool = True
    outputs: tuple[Output, ...] = ()
    follows: str = ""
    notes: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        """The largest error of all that it returns; 0 where it returns nothing to compare."""
        return max((each.error for each in self.outputs if each.error == each.error), default=0.0)


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes
    ----------
    name : str
        The file, or what else was checked.
    findings : tuple of Finding
        Those of each function, in the order of the file.
    conventions : tuple of str
        How the code arranges its arrays, a sentence each.
    repairs : tuple of str
        What was changed so that the code could run, a sentence each.
    problem : str
        Why nothing could be checked; else empty.
    """

    name: str
    findings: tuple[Finding, ...] = ()
    conventions: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    problem: str = ""

    def _repr_html_(self) -> str:
        from rnnreport.check._html import fragment

        return fragment(self)

    def __str__(self) -> str:
        return self.text()

    @property
    def ok(self) -> bool:
        """Whether all that was found is right."""
        return self.exit_status == 0

    @property
    def exit_status(self) -> int:
        """0 where all is right, 1 where something is wrong, 2 where nothing can be said or less."""
        kinds = {finding.status for finding in self.findings}
        if kinds & {"wrong", "failed"}:
            return 1
        return 0 if kinds == {"right"} else 2

    def assert_ok(self) -> None:
        """Raise an AssertionError that says what is wrong.

        Raises
        ------
        AssertionError
            If anything is wrong, unfinished or not recognised; its text is the report.
        """
        if not self.ok:
            raise AssertionError(f"\n{self}")

    def to_json(self) -> str:
        """Return the report as JSON; an error that has no value is null."""
        values = {"ok": self.ok, "exit_status": self.exit_status, **asdict(self)}
        return json.dumps(_plain(values), ensure_ascii=False, indent=2)

    def to_html(self, *, explain: Explain = "full") -> str:
        """Return the report as one page that needs nothing else."""
        from rnnreport.check._html import page

        return page(self, explain=explain)

    def text(self, *, explain: Explain = "full") -> str:
        """Return the report as plain text.

        Parameters
        ----------
        explain : {"full", "less"}
            With ``"less"`` it gives symptoms and equations, and not the changes to make.
        """
        lines = [self.headline, ""]
        if self.problem:
            return "\n".join([*lines, *_wrapped(self.problem)])
        for finding in self.findings:
            if finding.status != "right" or finding.notes:
                lines += [*_finding(finding, explain), ""]
        right = [each.function for each in self.findings if each.status == "right"]
        if right:
            lines += [*_wrapped("Right: " + ", ".join(right) + "."), ""]
        if self.conventions:
            lines += [*_listed("How it is arranged", self.conventions), ""]
        if self.repairs:
            lines += [*_listed("Changed so that it could run", self.repairs), ""]
        return "\n".join(lines).rstrip()

    @property
    def headline(self) -> str:
        """The result in one line."""
        if self.problem or not self.findings:
            return f"{self.name}: not checked"
        count, total = (sum(f.status == "right" for f in self.findings), len(self.findings))
        said = {
            "wrong": "wrong",
            "failed": "not running",
            "unfinished": "unfinished",
            "unknown": "not recognised",
        }
        others = [
            f"{number} {word}"
            for status, word in said.items()
            if (number := sum(finding.status == status for finding in self.findings))
        ]
        if not others:
            worst = max(finding.error for finding in self.findings)
            every = "the function is" if total == 1 else f"all {total} functions are"
            return f"{self.name}: {every} right (largest error {worst:.0e})"
        return f"{self.name}: {count} of {total} functions right, {', '.join(others)}"


def _finding(finding: Finding, explain: Explain) -> list[str]:
    said = {"failed": "not running", "unknown": "not recognised"}
    status = said.get(finding.status, finding.status)
    where = f" ({finding.where})" if finding.where else ""
    lines = [f"{finding.function}{where}: {status}"]
    lines += _wrapped(finding.summary, 2) if finding.status != "right" else []
    for number, cause in enumerate(finding.causes, 1):
        count = f"{number}. " if len(finding.causes) > 1 else ""
        place = f" ({cause.place})" if cause.place else ""
        lines += ["", f"  {count}{capital(cause.name)}{place}"]
        lines += _wrapped(cause.symptom, 5)
        if cause.code:
            lines += [f"     {cause.where}:  {cause.code}"]
        if explain == "full":
            lines += _wrapped(f"Change: {cause.change}", 5)
            lines += _wrapped(f"Shown by: {cause.case}", 5)
        if cause.equations:
            lines += _wrapped(f"See {_numbers(cause.equations)}.", 5)
    wrong = [each for each in finding.outputs if not each.right]
    if wrong and not finding.follows:
        lines += ["", "  What is off, relative to the largest right element:"]
        width = max(12, *(len(each.name) for each in wrong))
        lines += [f"     {each.name:<{width}} {_amount(each)}" for each in wrong]
        lines += _wrapped(following(wrong), 5)
        fine = [each.name for each in finding.outputs if each.right]
        if fine:
            lines += _wrapped("Right: " + ", ".join(fine) + ".", 5)
    for note in finding.notes:
        lines += _wrapped(f"Note: {note}", 2)
    return lines


def following(outputs: Sequence[Output]) -> str:
    """Say which gradients are wrong because of the others alone; nothing where there are none."""
    names = [each.name for each in outputs if each.follows]
    verb = "is" if len(names) == 1 else "are"
    return f"{_joined(names)} {verb} wrong only because of the others." if names else ""


def _numbers(equations: Sequence[str]) -> str:
    """Write numbers of equations, those of three or more in a row as a range."""
    runs: list[list[str]] = []
    for each in equations:
        last = runs[-1][-1] if runs else ""
        if last.isdecimal() and each.isdecimal() and int(each) == int(last) + 1:
            runs[-1].append(each)
        else:
            runs.append([each])
    said = [
        [f"({run[0]})–({run[-1]})"] if len(run) > 2 else map("({})".format, run) for run in runs
    ]
    return ", ".join(number for run in said for number in run)


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _amount(output: Output) -> str:
    if output.problem:
        return output.problem
    gates = {name: error for name, error in output.gates.items() if error > ROUNDING}
    if gates and len(gates) < len(output.gates):
        parts = ", ".join(f"{name} {percent(error)}" for name, error in gates.items())
        return f"{parts}; the other gates are right"
    return percent(output.error)


def percent(error: float) -> str:
    """Return an error in words."""
    if error != error or error == float("inf"):
        return "not a number"
    if error >= 10:
        return f"{error:.0f} times"
    return f"{100 * error:.0f} %" if error >= 0.01 else f"{error:.1e}"


def capital(text: str) -> str:
    """Begin with a capital letter, unless a symbol such as h_t or δ stands there."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z](?!_)", text) else text


def _wrapped(text: str, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _listed(title: str, items: Sequence[str]) -> list[str]:
    lines = [f"{title}:"]
    for item in items:
        first, *rest = _wrapped(item, 4)
        lines += [f"  - {first.strip()}", *rest]
    return lines


def _plain(value: Any) -> Any:
    """Replace what JSON has no word for."""
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
