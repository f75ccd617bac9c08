"""The front page's table: every figure of the source, this build's answer, and the recorded one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from rnnreport.asked import ASKED, Asked
from rnnreport.equations import SOURCE_NUMBERS, LedgerTable, number_text
from rnnreport.names import PartName
from rnnreport.report.findings import Findings, findings
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
    """Lay out every figure of the source beside this build's and the recorded run's.

    Answers on generated samples look different from those on real data.
    """
    rows = [_equations(ledger)]
    for part, asked in groupby(ASKED, lambda each: each.part):
        ours, record = findings(part), load_record(part)
        rows.append(_group(part, ours, record))
        rows += [_row(each, ours, record) for each in asked]
    titles = ("", "The source", "This build", "Recorded run, real data")
    head = tag("thead", tag("tr", *(tag("th", title, scope="col") for title in titles)))
    label = "Every figure of the source, this build and the recorded run"
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


def _equations(ledger: LedgerTable) -> Markup:
    proven = sum(row.ok for row in ledger.rows)
    count = len(SOURCE_NUMBERS)
    faulty = sum(row.verdict != "right" for row in ledger.rows)
    answer = joined(
        tag("b", f"{proven} proven"),
        f", {faulty} of them corrected or bound to a condition",
        tag("small", f"relative residual of at most {number_text(ledger.worst)}"),
    )
    row = tag(
        "tr",
        tag("th", f"Equations (1) to ({count})", scope="row"),
        _cell(f"{count} printed", "source"),
        _cell(answer, "full"),
        _cell("as in this build", "none"),
    )
    heading = _heading("ledger", "The derivation", "needs no data", "needs no data")
    return tag("tbody", heading, row)


def _group(part: PartName, ours: Findings, record: Record) -> Markup:
    real = ours.profile == "full"
    here = f"{'real data' if real else 'sample, not real data'}: {ours.data}"
    date = tag("span", record.date[:10], class_="overview-date")
    return _heading(
        part, _TITLES[part], here, joined(record.data["name"], ", ", date), ours.profile
    )


def _heading(page: str, title: str, here: str, there: str, profile: str = "full") -> Markup:
    link = tag("a", title, href=f"{page}.html")
    return tag(
        "tr",
        tag("th", link, scope="rowgroup", colspan=2),
        tag("td", tag("small", here), class_=f"overview-{profile}"),
        tag("td", tag("small", there)),
        class_="overview-group",
    )


def _row(asked: Asked, ours: Findings, record: Record) -> Markup:
    return tag(
        "tr",
        tag("th", asked.name, scope="row"),
        _cell(asked.source or "–", "source"),
        _cell(_answer(ours.by_name.get(asked.finding)), ours.profile),
        _cell(_answer(record.findings.get(asked.finding)), "full"),
    )


def _answer(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    runs = f"{finding.runs}\u00a0seeds" if finding.runs > 1 else "one run"
    notes = ", ".join(filter(None, (finding.note, runs)))
    return joined(tag("b", finding.value), tag("small", notes))


def _cell(content: str, kind: str) -> Markup:
    mark = tag("span", "sample", class_="overview-mark") if kind == "sample" else ""
    return tag("td", mark, content, class_=f"overview-{kind}")
