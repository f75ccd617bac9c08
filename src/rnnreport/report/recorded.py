"""The recorded run on real data, as pages show it beside the run of the build."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from rnnreport.data.assets import DataFormatError
from rnnreport.experiments.text.live_figure import LiveLSTM
from rnnreport.names import PartName
from rnnreport.report.parts import code_of
from rnnreport.report.record import Painted, Record, load_record, record_folder
from rnnreport.runs.store import Result
from rnnreport.show.figures import gallery
from rnnreport.show.html import Html, Markup, joined, tag

__all__ = ["readers", "recorded_paintings", "recorded_run"]


def recorded_run(part: PartName, profile: str, *, only: str | None = None) -> Html:
    """Lay out the recorded run of a part: its data, place and date, and its results.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`.
    profile
        On which data this build ran: beside generated samples the recorded run is unfolded, beside
        real data it is folded up.
    only
        The label of the one table to show; everything if not given.
    """
    record = load_record(part)
    pieces = [tag("p", _description(record, code_of(part)))]
    pieces += [
        joined(tag("p", table.label, class_="recorded-title"), table)
        for table in record.tables
        if only in (None, table.label)
    ]
    if only is None:
        pieces += [Markup(curves.plot()._repr_html_()) for curves in record.curves]
        if record.paintings:
            pieces.append(joined(_gallery(record.paintings)))
    title = f"Recorded run on real data: {record.data['name']}, {record.date[:10]}"
    box = tag(
        "details", tag("summary", title), *pieces, class_="recorded", open=profile == "sample"
    )
    return Html(box, title)


def recorded_paintings(record: Record | None = None) -> Html:
    """Show the pictures of the recorded run of style transfer that stand on the front page."""
    record = record or load_record("style")
    return _gallery([painted for painted in record.paintings if painted.front])


def _gallery(paintings: Sequence[Painted]) -> Html:
    pictures = gallery(
        [Image.open(record_folder() / painted.file) for painted in paintings],
        [painted.caption for painted in paintings],
        [painted.alt for painted in paintings],
        label="Paintings of the recorded run",
        encoding="jpeg",
        max_side=None,
    )
    return Html(tag("div", pictures, class_="gallery-three"), pictures.label)


def readers(result: Result) -> dict[str, LiveLSTM]:
    """Return the networks of the live figure, by the data that they were trained on.

    That is the network of a result of :mod:`rnnreport.experiments.text.live`, and after one that
    was trained on a sample, that of the recorded run.
    """
    networks = {f"{result.data['name']}, in this build": LiveLSTM.of(result)}
    if result.config["profile"] == "sample":
        record = load_record("text")
        path = record_folder() / record.weights
        try:
            recorded = LiveLSTM.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataFormatError(f"{path}: {error}") from error
        networks[f"{record.data['name']}, in the recorded run of {record.date[:10]}"] = recorded
    return networks


def _description(record: Record, code: str) -> str:
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
    text = (
        f"{amount[:1].upper()}{amount[1:]}.{vectors} {runs} on {record.machine}; last run "
        f"{record.date[:16].replace('T', ' ')} UTC; {versions}. Command: {record.command}."
    )
    if code != record.code:
        text += " The code that computes it has changed since then; its settings have not."
    return text


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
