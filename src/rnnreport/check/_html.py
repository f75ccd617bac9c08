"""A report as HTML: a piece for a notebook, and a page that needs nothing else."""

from __future__ import annotations

import html
import re
from functools import cache

from latex2mathml.converter import convert

from rnnreport.check._report import (
    ROUNDING,
    Cause,
    Explain,
    Finding,
    Output,
    Report,
    capital,
    following,
    percent,
)
from rnnreport.equations import LEDGER
from rnnreport.show.html import Markup, joined, tag

__all__ = ["fragment", "page"]

_ROOT = "rnnreport-check"
_WORDS = {
    "right": ("✓", "right"),
    "wrong": ("✗", "wrong"),
    "failed": ("✗", "not running"),
    "unfinished": ("…", "unfinished"),
    "unknown": ("?", "not recognised"),
}
_OPEN = 2
"""So many equations of a cause are shown at once, the others folded."""
_LONG = 250
"""An equation with more letters of LaTeX is broken into lines at its plus signs."""

# The scheme is that of the reader's system, unless a page around it has chosen one.
_STYLE = """
.rnnreport-check {
  color-scheme: light dark;
  --ink: light-dark(#222832, #d5dbe2); --paper: light-dark(#ffffff, #14181e);
  --pale: light-dark(#48566b, #a3acb8); --rule: light-dark(#d1d5da, #3b4655);
  --code: light-dark(#f3f4f5, #222832); --good: light-dark(#00652f, #7fcaa3);
  --bad: light-dark(#a3182d, #f4a7b1); --open: light-dark(#8a4205, #f0a860);
  background: var(--paper); color: var(--ink); line-height: 1.5; overflow-wrap: anywhere;
  padding-top: .4rem;
}
html[data-theme] .rnnreport-check { background: none; }
html[data-theme="light"] .rnnreport-check, body[data-jp-theme-light="true"] .rnnreport-check,
body.vscode-light .rnnreport-check { color-scheme: light; }
html[data-theme="dark"] .rnnreport-check, body[data-jp-theme-light="false"] .rnnreport-check,
body.vscode-dark .rnnreport-check { color-scheme: dark; }
.rnnreport-check :is(h1, h2, p, ul, ol, pre, table, details) { margin: 0 0 .6rem; }
.rnnreport-check :is(h1, .headline) { font-size: 1.2rem; font-weight: 600; line-height: 1.3; }
.rnnreport-check :is(h2, .function) { font-size: 1.05rem; font-weight: 600; }
.rnnreport-check .right { color: var(--good); }
.rnnreport-check :is(.wrong, .failed) { color: var(--bad); }
.rnnreport-check :is(.unfinished, .unknown) { color: var(--open); }
.rnnreport-check :is(small, .pale) { color: var(--pale); font-weight: 400; }
.rnnreport-check code { background: var(--code); border: 0; border-radius: .2rem; color: inherit;
  font-family: ui-monospace, monospace; font-size: .9em; padding: .05rem .25rem; }
.rnnreport-check .functions { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none;
  padding: 0; }
.rnnreport-check .functions li { margin: 0; }
.rnnreport-check .finding { border-top: 1px solid var(--rule); margin-top: 1rem;
  padding-top: .8rem; }
.rnnreport-check .cause { border-left: 3px solid var(--bad); margin: .8rem 0;
  padding-left: .8rem; }
.rnnreport-check pre { background: var(--code); border: 0; border-radius: .3rem; color: inherit;
  font-size: .9rem; padding: .4rem .6rem; white-space: pre-wrap; }
.rnnreport-check .cause pre { margin-bottom: .6rem; }
.rnnreport-check pre code { background: none; padding: 0; }
.rnnreport-check dl.words { display: grid; gap: .3rem .8rem; grid-template-columns: auto 1fr;
  margin: 0 0 .6rem; }
.rnnreport-check .words dt { color: var(--pale); font-weight: 400; }
.rnnreport-check .words dd { margin: 0; }
.rnnreport-check .equation { align-items: center; display: flex; gap: .8rem; margin: .3rem 0; }
.rnnreport-check .equation > div { flex: 1; overflow: auto hidden; padding: .2rem 0; }
.rnnreport-check math { font-size: 1rem; margin: 0; width: max-content; }
.rnnreport-check mtd { padding: .25rem 0; text-align: left; }
.rnnreport-check summary { cursor: pointer; }
.rnnreport-check .scroll { overflow-x: auto; }
.rnnreport-check table { border-collapse: collapse; color: inherit; font-size: .9rem;
  font-variant-numeric: tabular-nums; width: auto; }
.rnnreport-check caption { caption-side: top; color: var(--ink); padding: 0 0 .3rem;
  text-align: left; white-space: nowrap; }
.rnnreport-check :is(th, td) { background: none; border: 0; border-bottom: 1px solid var(--rule);
  font-weight: 400; padding: .2rem .8rem .2rem 0; text-align: right; white-space: nowrap; }
.rnnreport-check :is(th:first-child, td.said) { text-align: left; }
.rnnreport-check td.said { white-space: normal; }
.rnnreport-check thead th { color: var(--pale); }
@media (max-width: 30rem) {
  .rnnreport-check dl.words { grid-template-columns: 1fr; gap: 0; }
  .rnnreport-check .words dd { margin-bottom: .4rem; }
  .rnnreport-check :is(th, td) { padding-right: .5rem; }
}
"""

_PAGE_STYLE = """
html { color-scheme: light dark; background: light-dark(#ffffff, #14181e); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem;
  padding: 1.5rem 1rem 4rem; }
.rnnreport-check + .rnnreport-check { margin-top: 4rem; }
"""


def fragment(report: Report) -> str:
    """Return the report as a notebook shows it."""
    return tag("div", tag("style", Markup(_STYLE)), *_body(report, "full", "p", "p"), class_=_ROOT)


def page(*reports: Report, explain: Explain = "full") -> str:
    """Return reports as one page, which asks for no other file and runs no script.

    Parameters
    ----------
    *reports
        One for each file.
    explain : {"full", "less"}
        With ``"less"`` it gives symptoms and equations, and not the changes to make.
    """
    names = ", ".join(report.name for report in reports)
    main = (tag("section", *_body(each, explain, "h1", "h2"), class_=_ROOT) for each in reports)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{html.escape(names)}: rnnreport check</title>"
        f"<style>{_STYLE}{_PAGE_STYLE}</style></head>\n<body>{tag('main', *main)}</body></html>\n"
    )


def _body(report: Report, explain: Explain, first: str, second: str) -> list[Markup]:
    state = "right" if report.ok else "wrong" if report.exit_status == 1 else "unfinished"
    pieces = [tag(first, report.headline, class_=f"headline {state}")]
    if report.problem:
        return [*pieces, tag("p", _prose(report.problem))]
    pieces.append(tag("ul", *map(_item, report.findings), class_="functions"))
    pieces += [
        _finding(each, explain, second)
        for each in report.findings
        if each.status != "right" or each.notes
    ]
    about = [
        *_listed("How it is arranged", report.conventions),
        *_listed("Changed so that it could run", report.repairs),
    ]
    return [*pieces, *([tag("div", *about, class_="finding")] if about else [])]


def _item(finding: Finding) -> Markup:
    mark, word = _WORDS[finding.status]
    said = "" if finding.status == "right" else f" {word}"
    return tag(
        "li", tag("span", mark, aria_label=word, role="img", class_=finding.status), " ",
        tag("code", finding.function), tag("span", said, class_=finding.status),
    )  # fmt: skip


def _finding(finding: Finding, explain: Explain, heading: str) -> Markup:
    _, word = _WORDS[finding.status]
    pieces = [
        tag(
            heading,
            tag("code", finding.function),
            " ",
            tag("span", word, class_=finding.status),
            " ",
            tag("small", finding.where),
            class_="function",
        )
    ]
    if finding.status != "right":
        pieces.append(tag("p", _prose(finding.summary)))
    count = len(finding.causes)
    pieces += [
        _cause(each, f"{number}. " if count > 1 else "", explain)
        for number, each in enumerate(finding.causes, 1)
    ]
    if not finding.follows:
        pieces += _off(finding.outputs)
    pieces += [tag("p", tag("strong", "Note: "), _prose(note)) for note in finding.notes]
    return tag("div", *pieces, class_="finding")


def _cause(cause: Cause, number: str, explain: Explain) -> Markup:
    name = f"{number}{capital(cause.name)}"
    place = tag("span", f" ({cause.place})", class_="pale") if cause.place else ""
    pieces = [tag("p", tag("strong", name), place), tag("p", _prose(cause.symptom))]
    if cause.code:
        pieces += [tag("small", cause.where), tag("pre", tag("code", cause.code))]
    if explain == "full":
        said = (("Change", cause.change), ("Smallest case", cause.case))
        rows = (tag("dt", name) + tag("dd", _prose(text)) for name, text in said if text)
        pieces.append(tag("dl", *map(Markup, rows), class_="words"))
    shown = [each for each in cause.equations if each in LEDGER]
    others = [f"({each})" for each in cause.equations if each not in LEDGER]
    pieces += map(_equation, shown[:_OPEN])
    if rest := shown[_OPEN:]:
        numbers = ", ".join(f"({each})" for each in rest)
        summary = tag("summary", f"{len(rest)} more: {numbers}")
        pieces.append(tag("details", summary, *map(_equation, rest)))
    if others:
        pieces.append(tag("p", f"See {', '.join(others)}.", class_="pale"))
    return tag("div", *pieces, class_="cause")


def _off(outputs: tuple[Output, ...]) -> list[Markup]:
    """Set the errors of the wrong gradients in a table, by gate where there are gates."""
    wrong = [each for each in outputs if not each.right]
    if not wrong:
        return []
    gates = list(dict.fromkeys(gate for each in wrong for gate in each.gates))
    head = [tag("th", name, scope="col") for name in ("gradient", "error", *gates)]
    rows = []
    for each in wrong:
        cells = [tag("th", tag("code", each.name), scope="row")]
        if each.problem:
            cells.append(tag("td", _prose(each.problem), class_="said", colspan=1 + len(gates)))
        else:
            cells.append(tag("td", percent(each.error)))
            cells += [_gate(each.gates.get(gate)) for gate in gates]
        rows.append(tag("tr", *cells))
    title = "What is off, relative to the largest right element"
    caption = tag("caption", title)
    table = tag("table", caption, tag("thead", tag("tr", *head)), tag("tbody", *rows))
    pieces = [tag("div", table, class_="scroll", tabindex=0, role="group", aria_label=title)]
    if follows := following(wrong):
        pieces.append(tag("p", follows))
    if fine := [each.name for each in outputs if each.right]:
        pieces.append(tag("p", tag("span", "Right: ", class_="right"), *_codes(fine)))
    return pieces


def _gate(error: float | None) -> Markup:
    if error is None:
        return tag("td", "")
    right = error <= ROUNDING
    return tag("td", "right" if right else percent(error), class_="right" if right else None)


def _listed(title: str, items: tuple[str, ...]) -> list[Markup]:
    if not items:
        return []
    return [
        tag("p", tag("strong", title)),
        tag("ul", *(tag("li", _prose(item)) for item in items)),
    ]


def _codes(names: list[str]) -> list[Markup | str]:
    pieces: list[Markup | str] = []
    for name in names:
        pieces += [", "] * bool(pieces) + [tag("code", name)]
    return pieces


def _prose(text: str) -> Markup:
    """Escape a sentence, and set as code what stands between backticks."""
    parts = re.split(r"`([^`]+)`", text)
    return joined(*(tag("code", part) if place % 2 else part for place, part in enumerate(parts)))


@cache
def _equation(number: str) -> Markup:
    """Set an equation of the ledger as MathML, which browsers draw by themselves."""
    math = convert(_broken(LEDGER[number].statement), display="block")
    label = f"Equation ({number})"
    return tag(
        "div",
        tag("div", Markup(math), tabindex=0, role="group", aria_label=label),
        tag("span", f"({number})"),
        class_="equation",
    )


def _broken(statement: str) -> str:
    """Break a long equation into lines at the plus signs that no bracket holds."""
    if len(statement) <= _LONG:
        return statement
    depth, text = 0, ""
    for piece in re.split(r"(\\left.|\\right.|[{}()]| \+ )", statement):
        depth += piece in ("{", "(") or piece.startswith("\\left")
        depth -= piece in ("}", ")") or piece.startswith("\\right")
        text += r" \\ &\quad + " if piece == " + " and not depth else piece
    return rf"\begin{{align*}} {text.replace(' = ', ' &= ', 1)} \end{{align*}}"
