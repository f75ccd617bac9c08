"""The ledger as a table: plain rows, and their forms in HTML and in text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

import torch

from rnnreport.equations._entry import BAR, Equation, Page, Verdict, worst
from rnnreport.equations._exact import Exact, check_exactly
from rnnreport.equations._ledger import LEDGER, SOURCE_NUMBERS, check, equation, mistakes

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class LedgerRow(NamedTuple):
    """One equation of a `LedgerTable`; plain data.

    Attributes
    ----------
    number, title, page, statement, layer, verdict, remark
        As in `Equation`.
    equation, code, printed, assumed
        As in `Residual`, the largest over all draws.
    mistakes : int or None
        How many deliberate mistakes were made; None where none were asked for.
    caught : int or None
        How many of them the measurement found, by a residual above 1e-3.
    exact : Exact or None
        What the exact check finds; None where it was not asked for.
    """

    number: str
    title: str
    page: Page
    statement: str
    layer: str
    verdict: Verdict
    remark: str | None
    equation: float
    code: float
    printed: float | None
    assumed: float | None
    mistakes: int | None
    caught: int | None
    exact: Exact | None = None

    @property
    def ok(self) -> bool:
        """Whether formula and code are proven and every mistake made was found, both ways."""
        measured = self.equation <= BAR and self.code <= BAR and self.mistakes == self.caught
        return measured and (self.exact is None or self.exact.ok)


@dataclass(frozen=True)
class LedgerTable:
    """Residuals of some equations; shows itself as HTML in a page and as text elsewhere.

    Attributes
    ----------
    rows : tuple of LedgerRow
        In the order asked for.
    draws : int
        Random problems behind each residual.
    bar : float
        The largest residual that a measurement may leave.
    """

    rows: tuple[LedgerRow, ...]
    draws: int
    bar: float = BAR

    @property
    def worst(self) -> float:
        """The largest residual of any formula or layer in the table."""
        return worst([residual for row in self.rows for residual in (row.equation, row.code)])

    @property
    def doubt(self) -> float | None:
        """The largest doubt of an exact check; None where a row has none."""
        exact = [row.exact for row in self.rows if row.exact is not None]
        return max(each.doubt for each in exact) if len(exact) == len(self.rows) else None

    @property
    def ok(self) -> bool:
        """Whether every row holds."""
        return all(row.ok for row in self.rows)

    @property
    def remarks(self) -> tuple[tuple[str, str], ...]:
        """Numbers and text of each remark, one entry for neighbours that share it."""
        remarked = [row for row in self.rows if row.remark is not None]
        return tuple(
            (_numbers([row.number for row in rows]), str(remark))
            for remark, rows in ((r, list(g)) for r, g in groupby(remarked, lambda x: x.remark))
        )

    def _columns(self) -> list[_Column]:
        equation_column, *others = _COLUMNS
        columns = [equation_column, _CHECK, *others]  # a phone shows the first ones
        if any(row.exact is not None for row in self.rows):
            columns.insert(2, _EXACT)
        if any(row.printed is not None for row in self.rows):
            columns.append(_PRINTED)
        measured = any(row.mistakes is not None for row in self.rows)
        exact = any(row.exact is not None for row in self.rows)
        if measured or exact:
            columns.append(_FOUND if measured and exact else _MISTAKES if measured else _REFUTED)
        return columns

    def _summary(self) -> str:
        failed = [row.number for row in self.rows if not row.ok]
        problems = "1 random problem" if self.draws == 1 else f"{self.draws} random problems"
        largest = f"Largest residual of {problems} each"
        exact = (
            ""
            if self.doubt is None
            else f"Proven exactly, each with a doubt below {bound_text(self.doubt)}. "
        )
        if failed:
            return (
                f"FAIL: {_numbers(failed)} not proven. {largest}: {number_text(self.worst)}; "
                f"the bar is {number_text(self.bar)}."
            )
        return (
            f"{exact}{largest}: {number_text(self.worst)}, within the bar of "
            f"{number_text(self.bar)}."
        )

    def __str__(self) -> str:
        columns = self._columns()
        lines = [[column.head for column in columns]]
        lines += [[column.text(row) for column in columns] for row in self.rows]
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        text.insert(1, "  ".join("-" * width for width in widths))
        remarks = [f"{numbers} {remark}" for numbers, remark in self.remarks]
        return "\n".join([*text, self._summary(), *remarks])

    def _repr_html_(self) -> str:
        columns = self._columns()
        head = "".join(f'<th scope="col">{escape(column.head)}</th>' for column in columns)
        body = "".join(_html_row(row, columns) for row in self.rows)
        state = "ledger-ok" if self.ok else "ledger-fail"
        remarks = "".join(
            f"<dt>{numbers}</dt><dd>{_html(remark)}</dd>" for numbers, remark in self.remarks
        )
        return (
            f'<div class="ledger {state}">'
            f'<div class="ledger-scroll"><table class="ledger-table">'
            f'<caption class="ledger-summary">{escape(self._summary())}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            + (f'<dl class="ledger-remarks">{remarks}</dl>' if remarks else "")
            + "</div>"
        )


def table(
    *numbers: int | str | Iterable[int | str],
    draws: int = 10,
    seed: int = 0,
    with_mistakes: bool = False,
    exact: bool = True,
) -> LedgerTable:
    """Check equations and set them in a table.

    Parameters
    ----------
    *numbers : int, str or iterable of these
        Which equations, as in ``table(1, 2)``, ``table(range(50, 56))`` or ``table("N2")``; the
        source's 49 if none is given.
    draws : int, default 10
        Random problems for each.
    seed : int, default 0
        Seed of the problems. An equation's row is the same whatever else is in the table.
    with_mistakes : bool, default False
        Whether to make every deliberate mistake too and count those that the check finds.
    exact : bool, default True
        Whether to prove each exactly too, and refute every deliberate mistake.

    Returns
    -------
    LedgerTable

    Raises
    ------
    ValueError
        If there is no such equation or no draw.
    """
    chosen = [n for item in numbers for n in ([item] if isinstance(item, int | str) else item)]
    return LedgerTable(
        tuple(
            _row(number, draws, seed, with_mistakes, exact) for number in chosen or SOURCE_NUMBERS
        ),
        draws,
    )


@dataclass(frozen=True)
class Corrections:
    """The source's faulty lines beside the right ones; shows itself as HTML in a page.

    Attributes
    ----------
    entries : tuple of Equation
        Those with a line of the source that is sloppy, wrong or bound to a condition.
    """

    entries: tuple[Equation[Any, Any], ...]

    def _repr_html_(self) -> str:
        items = "".join(
            f"<details><summary>({entry.number}), {entry.verdict}: {_html(entry.title)}</summary>"
            f"<p>The source prints:</p>{_display(str(entry.printed))}"
            f"<p>What holds:</p>{_display(entry.statement)}</details>"
            for entry in self.entries
        )
        return f'<div class="ledger-corrections">{items}</div>'


def corrections() -> Corrections:
    """Collect the source's faulty lines.

    Returns
    -------
    Corrections
        In the order of the source.
    """
    return Corrections(tuple(entry for entry in LEDGER.values() if entry.printed is not None))


def number_text(value: float) -> str:
    """Write a residual for a reader: ``2.1 × 10⁻¹⁶`` without a break, ``0.87``, ``0`` or ``∞``."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "∞"
    if 1e-2 <= value < 1e3:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    if value == float(f"1e{exponent}"):
        return power
    return f"{mantissa} × {power}".replace(" ", "\N{NO-BREAK SPACE}")  # not torn apart on a phone


def bound_text(value: float) -> str:
    """Write a chance that is an upper bound: rounded up, so that it is one still."""
    return number_text(float(_CEILING.create_decimal(value)))


_CEILING = Context(prec=2, rounding=ROUND_CEILING)


def _row(number: int | str, draws: int, seed: int, with_mistakes: bool, exact: bool) -> LedgerRow:
    entry = equation(number)
    place = 1 + list(LEDGER).index(entry.number)
    generator = torch.Generator().manual_seed(100 * seed + place)
    residual = check(number, generator=generator, draws=draws)
    made = mistakes(number, generator=generator) if with_mistakes else None
    return LedgerRow(
        number=entry.number,
        title=entry.title,
        page=entry.page,
        statement=entry.statement,
        layer=entry.layer,
        verdict=entry.verdict,
        remark=entry.remark,
        equation=residual.equation,
        code=residual.code,
        printed=residual.printed,
        assumed=residual.assumed,
        mistakes=None if made is None else len(made),
        caught=None if made is None else sum(value > 1e-3 for value in made.values()),
        exact=check_exactly(entry, seed=seed) if exact else None,
    )


class _Column(NamedTuple):
    head: str
    css: str
    text: Callable[[LedgerRow], str]


def _printed_text(row: LedgerRow) -> str:
    if row.printed is None:
        return row.verdict
    exact = row.exact
    text = number_text(row.printed) + _sign(None if exact is None else exact.printed)
    if row.assumed is None:
        return f"{text} ({row.verdict})"
    assumed = number_text(row.assumed) + _sign(None if exact is None else exact.assumed)
    return f"{text} ({row.verdict}; {assumed} under its condition)"


def _sign(holds: bool | None) -> str:
    return "" if holds is None else ", =" if holds else ", ≠"


_COLUMNS = (
    _Column("Equation", "ledger-equation", lambda row: f"({row.number})"),
    _Column("Derivative for", "ledger-title", lambda row: row.title),
    _Column("Residual of the equation", "ledger-number", lambda row: number_text(row.equation)),
    _Column("Residual of the code", "ledger-number", lambda row: number_text(row.code)),
)
_PRINTED = _Column("Residual as printed", "ledger-printed", _printed_text)
_MISTAKES = _Column(
    "Mistakes caught",
    "ledger-number",
    lambda row: "" if row.mistakes is None else f"{row.caught} of {row.mistakes}",
)


def _exact_text(row: LedgerRow) -> str:
    if row.exact is None:
        return ""
    sides = {"equation": row.exact.equation, "code": row.exact.code}
    wrong = [name for name, holds in sides.items() if not holds]
    return f"≠ {' and '.join(wrong)}" if wrong else "="


def _refuted_text(row: LedgerRow) -> str:
    return "" if row.exact is None else f"{row.exact.refuted} of {row.exact.mistakes}"


_EXACT = _Column("Exact", "ledger-exact", _exact_text)
_REFUTED = _Column("Mistakes refuted", "ledger-number", _refuted_text)
_FOUND = _Column(
    "Mistakes caught, refuted",
    "ledger-number",
    lambda row: f"{_MISTAKES.text(row)}, {_refuted_text(row)}".replace(" of ", "/"),
)
_CHECK = _Column("Check", "ledger-mark", lambda row: "✓ ok" if row.ok else "✗ FAIL")


def _html_row(row: LedgerRow, columns: Sequence[_Column]) -> str:
    anchor = f"{row.page}.html#equation-eq-{row.number.lower()}"
    link = f'<a href="{anchor}">({row.number})</a>'
    cells = "".join(
        f'<td class="{column.css}">{_html(column.text(row))}</td>' for column in columns[1:]
    )
    state = "ledger-ok" if row.ok else "ledger-fail"
    return f'<tr class="{state}"><th scope="row" class="{columns[0].css}">{link}</th>{cells}</tr>'


def _numbers(numbers: list[str]) -> str:
    """Write (1), (3)–(5), (N1) for 1, 3, 4, 5, N1."""

    def run(pair: tuple[int, str]) -> tuple[str, int]:
        place, number = pair
        letter = number.rstrip("0123456789")
        return letter, int(number.removeprefix(letter)) - place

    runs = groupby(enumerate(numbers), run)
    ends = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"({e[0]})" if len(e) == 1 else f"({e[0]})–({e[-1]})" for e in ends)


def _display(latex: str) -> str:
    # One term a line, where there is one for each gate.
    lines = escape(latex.replace(" + (W", r" \\ {} + (W"))
    gathered = rf"\begin{{gathered}}{lines}\end{{gathered}}"
    return f'<div class="math notranslate nohighlight">\\[{gathered}\\]</div>'


def _html(text: str) -> str:
    """Escape prose and set its h_{t−1} and h_t as subscripts."""
    return re.sub(
        r"_(?:\{([^{}]+)\}|(\w))",
        lambda match: f"<sub>{match[1] or match[2]}</sub>",
        escape(text),
    )
