"""Tables of results for the pages, and how numbers stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnnreport.show.html import Html, Markup, joined, tag

__all__ = [
    "Table",
    "duration_text",
    "framed",
    "interval_text",
    "p_text",
    "share_text",
    "span_text",
    "table",
]

_SENTENCE = 30  # a longer cell is broken into lines


@dataclass(frozen=True, repr=False)
class Table(Html):
    """A table that is data too, as a record keeps it; made by :func:`table`.

    Attributes
    ----------
    head : tuple of str
        Titles of the columns, that of the names included.
    lines : tuple of (str, tuple of str)
        Names and cells, in plain text.
    """

    head: tuple[str, ...]
    lines: tuple[tuple[str, tuple[str, ...]], ...]


def table(head: Sequence[str], lines: Iterable[tuple[str, Sequence[str]]], label: str) -> Table:
    """Lay out lines of text, each with a name and its cells.

    Parameters
    ----------
    head
        Titles of the columns, that of the names included.
    lines
        Names and cells, in plain text.
    label
        What the table shows.
    """
    data = tuple((name, tuple(cells)) for name, cells in lines)
    rows = (joined(tag("th", name, scope="row"), *map(_cell, cells)) for name, cells in data)
    return Table(framed(head, rows, label).html, label, tuple(head), data)


def _cell(text: str) -> Markup:
    return tag("td", text, class_="sentence" if len(text) > _SENTENCE else None)


def framed(head: Sequence[str], rows: Iterable[Markup], label: str) -> Html:
    """Put rows of cells under a head and into a frame that scrolls.

    Parameters
    ----------
    head
        Titles of the columns.
    rows
        The cells of each row.
    label
        What the table shows.
    """
    titles = (title.replace("-", "\u2011") for title in head)  # BLEU-4 is one word
    top = tag("thead", tag("tr", *(tag("th", title, scope="col") for title in titles)))
    body = tag("tbody", *(tag("tr", row) for row in rows))
    content = tag("table", top, body, class_="table numbers")
    frame = tag("div", content, class_="table-scroll", tabindex=0, role="region", aria_label=label)
    return Html(frame, label)


def interval_text(interval: tuple[float, float], digits: int = 4) -> str:
    """Write an interval of shares or scores with so many digits."""
    return f"{interval[0]:.{digits}f} – {interval[1]:.{digits}f}"


def span_text(numbers: Sequence[int], dash: str = "–") -> str:
    """Write the smallest and the largest of some numbers, or the one that all of them are."""
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low}{dash}{high}"


def p_text(p: float) -> str:
    """Write a p-value with as many digits as say something."""
    if p < 1e-4:
        return "< 10⁻⁶" if p < 1e-6 else "< 10⁻⁴"
    return f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def duration_text(seconds: float) -> str:
    """Write how long something took, in minutes from two on."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"


def share_text(share: float) -> str:
    """Write a share in per cent, with two digits that count where it is small."""
    if 0 < share < 1e-5:
        return "below 0.001 %"
    return f"{100 * share:.2g} %" if share < 0.095 else f"{100 * share:.0f} %"
