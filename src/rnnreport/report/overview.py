"""The front page's table: every result of the source, and what was found on real data."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from rnnreport.asked import ASKED, Asked
from rnnreport.equations import SOURCE_NUMBERS, LedgerTable
from rnnreport.names import PartName
from rnnreport.report.findings import Findings, findings, ran_here
from rnnreport.report.record import Finding, Record, load_record
from rnnreport.show.html import Html, Markup, joined, tag

__all__ = ["overview"]

_TITLES: Mapping[PartName, str] = {
    "transfer": "Ants from bees: validation accuracy",
    "style": "One picture in the style of",
    "captioning": "Captions",
    "text": "Praise or complaint: test accuracy",
}


def overview(ledger: LedgerTable) -> Html:
    """Lay out every result of the source beside what was found on real data.

    That is what this build found, where the real data is; elsewhere the recorded run has it, and a
    line for each part says what this build ran on a generated sample.
    """
    rows = [_equations(ledger)]
    for part, asked in groupby(ASKED, lambda each: each.part):
        ours, record = findings(part), load_record(part)
        real = ours.profile == "full"
        by_name = ours.by_name if real else record.findings
        body = [_row(each, by_name) for each in asked]
        rows.append(tag("tbody", _group(part, ours, record), *body))
    head = tag("thead", tag("tr", *(tag("th", title, scope="col") for title in _COLUMNS)))
    label = "Every result of the source beside what was found on real data"
    table = tag("table", head, *rows, class_="table")
    frame = tag(
        "div",
        table,
        class_="table-scroll overview",
        tabindex=0,
        role="region",
        aria_label=label,
    )
    return Html(frame, label)


_COLUMNS = ("", "The source", "Found on real data")


def _equations(ledger: LedgerTable) -> Markup:
    proven = sum(row.ok for row in ledger.rows)
    count = len(SOURCE_NUMBERS)
    faulty = sum(row.verdict != "right" for row in ledger.rows)
    answer = joined(
        tag("b", f"{proven} proven"),
        tag("small", f"{faulty} of them corrected or bound to a condition"),
    )
    row = tag(
        "tr",
        tag("th", f"Equations (1) to ({count})", scope="row"),
        _cell(f"{count} printed"),
        _cell(answer),
    )
    return tag(
        "tbody", _heading("ledger", "The derivation", "Proven while this page was built"), row
    )


def _group(part: PartName, ours: Findings, record: Record) -> Markup:
    if ours.profile == "full":
        return _heading(part, _TITLES[part], f"This build, on {ours.data}")
    return _heading(
        part,
        _TITLES[part],
        f"Recorded on {record.date[:10]}, on {record.data['name']}. "
        + ran_here(ours.data, ours.seconds, ours.headline),
    )


def _heading(page: str, title: str, note: str) -> Markup:
    link = tag("a", title, href=f"{page}.html")
    return tag(
        "tr",
        tag("th", link, tag("small", note), scope="rowgroup", colspan=3),
        class_="overview-group",
    )


def _row(asked: Asked, by_name: Mapping[str, Finding]) -> Markup:
    return tag(
        "tr",
        tag("th", asked.name, scope="row"),
        _cell(asked.source or "–"),
        _cell(_answer(by_name.get(asked.finding))),
    )


def _answer(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    runs = f"{finding.runs}\u00a0seeds" if finding.runs > 1 else "one run"
    notes = ", ".join(filter(None, (finding.note, runs)))
    return joined(tag("b", finding.value), tag("small", notes))


def _cell(content: str) -> Markup:
    return tag("td", content)
