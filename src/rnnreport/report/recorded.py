"""What pages show of the recorded run on real data beside its exhibits."""

from __future__ import annotations

from rnnreport.data.assets import DataFormatError
from rnnreport.experiments.text.live_figure import LiveLSTM
from rnnreport.report.parts import code_of
from rnnreport.report.record import Record, load_record, record_folder
from rnnreport.runs.store import Result
from rnnreport.show.tables import duration_text

__all__ = ["description", "readers"]


def readers(result: Result) -> dict[str, LiveLSTM]:
    """Return the networks of the live figure, by the data that they were trained on.

    That is the network of a result of :mod:`rnnreport.experiments.text.live`. Where it was trained
    on a sample, that of the recorded run comes before it.
    """
    networks = {f"{result.data['name']}, in this build": LiveLSTM.of(result)}
    if result.config["profile"] == "full":
        return networks
    record = load_record("text")
    path = record_folder() / record.weights
    try:
        recorded = LiveLSTM.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataFormatError(f"{path}: {error}") from error
    name = f"{record.data['name']}, in the recorded run of {record.date[:10]}"
    return {name: recorded} | networks


def description(record: Record) -> str:
    """Say which data a record rests on, and when and where it was computed."""
    versions = ", ".join(
        f"{name} {record.versions[name]}" for name in ("python", "torch", "torchvision", "numpy")
    )
    runs = f"{len(record.runs)} runs, {duration_text(record.seconds)} of computing"
    amount = record.data["amount"].rstrip(".")
    vectors = ""
    if "vectors" in record.data:
        vectors = (
            f" Word vectors: {record.data['vectors_dim']} numbers each, {record.data['vectors']}."
        )
    text = (
        f"{amount[:1].upper()}{amount[1:]}.{vectors} {runs} on {record.machine}; last run "
        f"{record.date[:16].replace('T', ' ')} UTC; {versions}."
    )
    if code_of(record.part) != record.code:
        text += " The code that computes it has changed since then; its settings have not."
    return text
