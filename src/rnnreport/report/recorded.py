"""What a page shows of the recorded run on real data, beside the run of the build."""

from __future__ import annotations

import html

from PIL import Image

from rnnreport.names import PartName
from rnnreport.report.parts import code_of
from rnnreport.report.record import Curves, Record, TableData, load_record, record_folder
from rnnreport.show.figures import Figure, Html, gallery, line_plot
from rnnreport.show.tables import table

__all__ = ["recorded_paintings", "recorded_run"]


def recorded_run(part: PartName, profile: str, *, only: str | None = None) -> Html:
    """Lay out the recorded run of a part: what it ran on, where and when, and what it gave.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`.
    profile
        On which data this build ran: beside generated samples the recorded run is unfolded, beside
        real data it is folded up.
    only
        The label of the one table to show; everything if not given.

    Returns
    -------
    Html
        A box that can be folded.

    Raises
    ------
    MissingDataError
        If there is no record.
    DataFormatError
        If it cannot be read.
    """
    record = load_record(part)
    pieces = [f"<p>{html.escape(_told(record, code_of(part)))}</p>"]
    pieces += [_table(each) for each in record.tables if only in (None, each.label)]
    if only is None:
        pieces += [_curves(each)._repr_html_() for each in record.curves]
    if only is None and record.paintings:
        pieces.append(recorded_paintings(record).html)
    title = f"Recorded run on real data: {record.data['name']}, {record.date[:10]}"
    return Html(
        f'<details class="recorded" {"open" if profile == "sample" else ""}>'
        f"<summary>{html.escape(title)}</summary>{''.join(pieces)}</details>",
        title,
    )


def recorded_paintings(record: Record | None = None) -> Html:
    """Show the pictures that were painted in the recorded run.

    Parameters
    ----------
    record
        Of style transfer; the one in the folder of records if not given.

    Returns
    -------
    Html
        Pictures with captions.
    """
    record = record or load_record("style")
    images = [Image.open(record_folder() / painted.file) for painted in record.paintings]
    pictures = gallery(
        images,
        [painted.caption for painted in record.paintings],
        [painted.alt for painted in record.paintings],
        label="Paintings of the recorded run",
        encoding="jpeg",
        max_side=None,
    )
    return Html(f'<div class="gallery-three">{pictures.html}</div>', pictures.label)


def _told(record: Record, code: str) -> str:
    versions = ", ".join(
        f"{name} {record.versions[name]}" for name in ("python", "torch", "torchvision", "numpy")
    )
    runs = f"{len(record.runs)} runs, {_duration(record.seconds)} of computing"
    amount = record.data["amount"].rstrip(".")
    vectors = ""
    if "vectors" in record.data:
        vectors = (
            f" Word vectors: {record.data['vectors_dim']} numbers each, {record.data['vectors']}."
        )
    told = (
        f"{amount[:1].upper()}{amount[1:]}.{vectors} {runs} on {record.machine}; last run "
        f"{record.date[:16].replace('T', ' ')} UTC; {versions}. Command: {record.command}."
    )
    if code != record.code:
        told += " The code that computes it has changed since then; its settings have not."
    return told


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"


def _table(data: TableData) -> str:
    shown = table(data.head, data.lines, data.label)
    return f'<p class="recorded-title">{html.escape(data.label)}</p>{shown.html}'


def _curves(curves: Curves) -> Figure:
    return line_plot(
        {name: (places, values) for name, (places, values) in curves.lines.items()},
        xlabel=curves.xlabel,
        ylabel=curves.ylabel,
        alt=curves.alt,
    )
