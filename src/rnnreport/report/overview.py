"""The front page's table: every figure of the source, this build's answer, and the recorded one."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rnnreport.equations import SOURCE_NUMBERS, LedgerTable, number_text
from rnnreport.names import PARTS, PartName
from rnnreport.report.findings import Found, findings
from rnnreport.report.record import Finding, Record, load_record
from rnnreport.show.figures import Html

__all__ = ["ASKED", "Asked", "overview"]


@dataclass(frozen=True)
class Asked:
    """A figure of the source, or a question that it leaves open.

    Attributes
    ----------
    part : str
        Which part answers it.
    finding : str
        The name of the answer.
    name : str
        What it is about.
    source : str
        What the source gives; nothing where it leaves the question open.
    """

    part: PartName
    finding: str
    name: str
    source: str


ASKED: tuple[Asked, ...] = (
    Asked("transfer", "finetuned", "All weights trained on", "0.934641"),
    Asked("transfer", "frozen", "A new last layer alone", "0.954248"),
    Asked("style", "painting-1", "Composition VII", "a picture and a curve"),
    Asked("style", "painting-2", "The Scream", "a picture and a curve"),
    Asked("style", "painting-3", "The Starry Night", "a picture and a curve"),
    Asked("captioning", "heart-rnn", "RNN, learned by heart", "captions and a curve"),
    Asked("captioning", "heart-lstm", "LSTM, learned by heart", "captions and a curve"),
    Asked("captioning", "heart-attention", "LSTM with attention, learned by heart", ""),
    Asked("captioning", "unseen-rnn", "RNN, unseen images", ""),
    Asked("captioning", "unseen-lstm", "LSTM, unseen images", ""),
    Asked("captioning", "unseen-attention", "LSTM with attention, unseen images", ""),
    Asked("text", "bag", "Bag of words", "0.953"),
    Asked("text", "average", "Embedding, average", "0.950"),
    Asked("text", "glove-fixed", "GloVe fixed, average", "0.932, 300 numbers a word"),
    Asked("text", "glove", "GloVe trained on, average", ""),
    Asked("text", "rnn", "GloVe, RNN", "0.922"),
    Asked("text", "lstm", "GloVe, LSTM", "0.937"),
    Asked("text", "bilstm", "LSTM in two directions", ""),
)
"""All figures of the source but its equations, in its order, and what it leaves open."""

_TITLES: Mapping[PartName, str] = {
    "transfer": "Ants from bees: validation accuracy",
    "style": "One picture in the style of",
    "captioning": "Captions",
    "text": "Praise or complaint: test accuracy",
}


def overview(ledger: LedgerTable) -> Html:
    """Lay out every figure of the source beside this build's and the recorded run's.

    Parameters
    ----------
    ledger
        Of the equations.

    Returns
    -------
    Html
        A table in which answers on generated samples look different from those on real data.

    Raises
    ------
    MissingDataError
        If a part has no record.
    """
    found = {part: findings(part) for part in PARTS}
    records = {part: load_record(part) for part in PARTS}
    rows = [_equations(ledger)]
    order = dict.fromkeys(asked.part for asked in ASKED)
    for part in order:
        rows.append(_group(part, found[part], records[part]))
        rows += [_row(asked, found[part], records[part]) for asked in ASKED if asked.part == part]
    label = "Every figure of the source, this build and the recorded run"
    head = "".join(
        f'<th scope="col">{title}</th>'
        for title in ("", "The source", "This build", "Recorded run, real data")
    )
    return Html(
        f'<div class="table-scroll overview" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="table"><thead><tr>{head}</tr></thead>{"".join(rows)}</table></div>',
        label,
    )


def _equations(ledger: LedgerTable) -> str:
    proven = sum(row.ok for row in ledger.rows)
    count = len(SOURCE_NUMBERS)
    faulty = sum(row.verdict != "right" for row in ledger.rows)
    answer = (
        f"<b>{proven} proven</b>, {faulty} of them corrected or bound to a condition"
        f"<small>relative residual of at most {number_text(ledger.worst)}</small>"
    )
    return (
        "<tbody>"
        f"{_heading('ledger', 'The derivation', 'needs no data', 'needs no data')}"
        f'<tr><th scope="row">Equations (1) to ({count})</th>{_cell(f"{count} printed", "source")}'
        f"{_cell(answer, 'full')}{_cell('as in this build', 'none')}</tr></tbody>"
    )


def _group(part: PartName, found: Found, record: Record) -> str:
    real = found.profile == "full"
    here = f"{'real data' if real else 'sample, not real data'}: {found.data}"
    there = (
        f"{html.escape(record.data['name'])}, "
        f'<span class="overview-date">{html.escape(record.date[:10])}</span>'
    )
    return _heading(part, _TITLES[part], html.escape(here), there, found.profile)


def _heading(page: str, title: str, here: str, there: str, profile: str = "full") -> str:
    return (
        f'<tr class="overview-group"><th scope="rowgroup" colspan="2"><a href="{page}.html">{title}'
        f'</a></th><td class="overview-{profile}"><small>{here}</small></td>'
        f"<td><small>{there}</small></td></tr>"
    )


def _row(asked: Asked, found: Found, record: Record) -> str:
    return (
        f'<tr><th scope="row">{asked.name}</th>{_cell(asked.source or "–", "source")}'
        f"{_cell(_answer(found.findings.get(asked.finding)), found.profile)}"
        f"{_cell(_answer(record.findings.get(asked.finding)), 'full')}</tr>"
    )


def _answer(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    more: Iterable[str] = filter(
        None, (finding.note, f"{finding.runs}\u00a0seeds" if finding.runs > 1 else "one run")
    )
    return f"<b>{html.escape(finding.value)}</b><small>{html.escape(', '.join(more))}</small>"


def _cell(content: str, kind: str) -> str:
    mark = '<span class="overview-mark">sample</span>' if kind == "sample" else ""
    return f'<td class="overview-{kind}">{mark}{content}</td>'
