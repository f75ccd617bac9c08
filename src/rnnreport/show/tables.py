"""Tables of results for the pages, and how numbers stand in them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnnreport.show.figures import Html

__all__ = ["Table", "framed", "interval_text", "p_text", "share_text", "table"]

_SENTENCE = 30  # a longer cell is broken into lines


@dataclass(frozen=True, repr=False)
class Table(Html):
    """A table that can be read as data too; made by :func:`table`.

    Attributes
    ----------
    head : tuple of str
        Titles of the columns, that of the names included.
    lines : tuple of (str, tuple of str)
        Names and cells, in plain text.
    """

    head: tuple[str, ...]
    lines: tuple[tuple[str, tuple[str, ...]], ...]


def table(head: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]], label: str) -> Table:
    """Lay out lines of text, each with a name and its cells.

    Parameters
    ----------
    head
        Titles of the columns, that of the names included.
    lines
        Names and cells, in plain text.
    label
        What the table shows.

    Returns
    -------
    Table
        The table.
    """
    rows = (
        f'<th scope="row">{html.escape(name)}</th>' + "".join(map(_cell, cells))
        for name, cells in lines
    )
    framed_rows = framed(head, rows, label)
    kept = tuple((name, tuple(cells)) for name, cells in lines)
    return Table(framed_rows.html, label, tuple(head), kept)


def _cell(text: str) -> str:
    kind = ' class="sentence"' if len(text) > _SENTENCE else ""
    return f"<td{kind}>{html.escape(text)}</td>"


def framed(head: Sequence[str], rows: Iterable[str], label: str) -> Html:
    """Put rows of cells under a head and into a frame that scrolls.

    Parameters
    ----------
    head
        Titles of the columns.
    rows
        The cells of each row, in HTML.
    label
        What the table shows.

    Returns
    -------
    Html
        The table.
    """
    top = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return Html(
        f'<div class="table-scroll" tabindex="0" role="region" aria-label="{html.escape(label)}">'
        f'<table class="table numbers"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
        "</div>",
        label,
    )


def interval_text(interval: tuple[float, float], digits: int = 4) -> str:
    """Write an interval of shares or scores with so many digits."""
    return f"{interval[0]:.{digits}f} – {interval[1]:.{digits}f}"


def p_text(p: float) -> str:
    """Write a p-value with as many digits as say something."""
    if p < 1e-4:
        return "< 10⁻⁶" if p < 1e-6 else "< 10⁻⁴"
    return f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def share_text(share: float) -> str:
    """Write a share in per cent, with two digits that count where it is small."""
    return f"{100 * share:.2g} %" if share < 0.095 else f"{100 * share:.0f} %"
