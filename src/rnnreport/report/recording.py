"""Recording: from the results of a full run to a record that travels with the pages."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from rnnreport.experiments.captioning import by_heart as captioning
from rnnreport.experiments.captioning import figures as caption_figures
from rnnreport.experiments.captioning import study as caption_summary
from rnnreport.experiments.style import figures as style_figures
from rnnreport.experiments.style import study as style_summary
from rnnreport.experiments.text import figures as text_figures
from rnnreport.experiments.text import live as live_lstm
from rnnreport.experiments.text import study as text_summary
from rnnreport.experiments.text import word_vectors
from rnnreport.experiments.text.live_figure import LiveLSTM
from rnnreport.experiments.transfer import figures as transfer_figures
from rnnreport.experiments.transfer import study as transfer_summary
from rnnreport.names import PartName
from rnnreport.report.findings import findings
from rnnreport.report.parts import code_of, runs_of
from rnnreport.report.record import Curves, Painted, Record, Run, TableData, lines_of
from rnnreport.runs import engine
from rnnreport.runs.store import load_tensors, mean_history
from rnnreport.show.tables import Table, share_text, table

__all__ = ["configs_of", "record"]

_DATA = ("name", "amount", "fingerprint", "vectors", "vectors_dim")
_WEIGHTS = "text-live-lstm.json"
_NEIGHBOURS_OF = ("terrible", "delicious", "pizza", "waiter", "monday", "not")


def record(part: PartName) -> tuple[Record, dict[str, bytes]]:
    """Run a part on real data, or take what is stored, and make its record.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`.

    Returns
    -------
    record : Record
        What to keep.
    files : dict of str to bytes
        The files that belong to it, by name.

    Raises
    ------
    MissingDataError
        If the real data is not there.
    Exception
        What a run raises.
    """
    results = [
        (runs.label, config, result)
        for runs in runs_of(part, "full")
        for config, result in zip(
            runs.configs,
            engine.results(runs.experiment, runs.configs, label=runs.label),
            strict=True,
        )
    ]
    real = [result for _, _, result in results if result.data["profile"] == "full"]
    shown = _SHOWN[part]()
    return (
        Record(
            part=part,
            command=f"nox -s record -- {part}",
            date=max(result.date for result in real),
            machine=_machine(),
            versions=real[-1].versions,
            data={name: str(real[-1].data[name]) for name in _DATA if name in real[-1].data},
            code=code_of(part),
            runs=[
                Run(label, _plain(config), _plain(result.metrics), round(result.wall_time, 1))
                for label, config, result in results
            ],
            findings=dict(findings(part, "full").findings),
            tables=[_data_of(each) for each in shown.tables],
            curves=shown.curves,
            paintings=shown.paintings,
            weights=shown.weights,
        ),
        shown.files,
    )


def configs_of(part: PartName) -> list[dict[str, Any]]:
    """Return the configurations that a record of a part must have, as JSON has them.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`.

    Raises
    ------
    MissingDataError
        If the real data is not there; what it holds does not matter.
    """
    return [_plain(config) for runs in runs_of(part, "full") for config in runs.configs]


@dataclasses.dataclass
class _Shown:
    """What the page of a part shows of its runs."""

    tables: Sequence[Table]
    curves: list[Curves] = dataclasses.field(default_factory=list)
    paintings: list[Painted] = dataclasses.field(default_factory=list)
    weights: str = ""
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)


def _captioning() -> _Shown:
    study = caption_summary.study("full")
    heart = {
        caption_summary.NAMES[cell]: captioning.run(config)
        for cell, config in captioning.configs("full").items()
    }
    by_heart = table(
        ["", "Repeated exactly", "Passes", "Last loss"],
        [
            (
                name,
                [
                    f"{result.metrics['exact']:.0f} of {result.metrics['n_train']:.0f}",
                    f"{result.metrics['epochs']:.0f}",
                    f"{result.metrics['last_loss']:.2g}",
                ],
            )
            for name, result in heart.items()
        ],
        "Captions learned by heart",
    )
    order = study.order("attention", "beam")
    middle = len(order) // 2
    rows = [*order[:2], *order[middle - 1 : middle + 1], *order[-2:]]
    written = {cell: study.captions(cell, "beam")[0] for cell in study.results}
    captions = table(
        ["Image", *(caption_summary.NAMES[cell] for cell in written)],
        [
            (study.names("val")[row], [" ".join(each[row]) for each in written.values()])
            for row in rows
        ],
        "What the networks say of six validation images: two of the best, two around the median, "
        "two of the worst by the CIDEr of attention",
    )
    losses = {
        caption_summary.NAMES[cell]: mean_history(results, "val_loss")
        for cell, results in study.results.items()
    }
    curves = _curves(losses, "passes over the training captions", "validation loss of a caption")
    tables = (caption_figures.results_table(study), caption_figures.differences_table(study))
    return _Shown((*tables, by_heart, captions), [curves])


def _text() -> _Shown:
    study = text_summary.study(profile="full")
    accuracy = {
        text_summary.NAMES[model]: _percent(mean_history(study.results[model], "dev_accuracy"))
        for model in ("bag", "average", "rnn", "lstm")
    }
    curves = _curves(accuracy, "passes over the training sentences", "accuracy on dev, %")
    vectors = word_vectors.run(word_vectors.WordVectorsConfig(profile="full"))
    neighbours = text_figures.neighbours_table(vectors, _NEIGHBOURS_OF)
    weights = LiveLSTM.of(live_lstm.run(live_lstm.default_config("full"))).to_json().encode()
    tables = (text_figures.results_table(study), neighbours)
    return _Shown(tables, [curves], weights=_WEIGHTS, files={_WEIGHTS: weights})


def _transfer() -> _Shown:
    study = transfer_summary.study(profile="full")
    accuracy = {
        transfer_summary.NAMES[mode]: _percent(mean_history(results, "val_accuracy"))
        for mode, results in study.results.items()
    }
    curves = _curves(accuracy, "epoch", "validation accuracy, %")
    return _Shown((transfer_figures.results_table(study),), [curves])


def _style() -> _Shown:
    study = style_summary.study(profile="full")
    losses, paintings, files = {}, [], {}
    for name, result in study.results.items():
        painting = study.data.paintings[name]
        losses[painting.title] = result.history["style"]
        left = share_text(result.metrics["style_left"])
        file = f"style-{name.replace('_', '-')}.jpg"
        buffer = io.BytesIO()
        picture = Image.fromarray(load_tensors(result)["image"].numpy())
        picture.save(buffer, "JPEG", quality=85, optimize=True)
        files[file] = buffer.getvalue()
        paintings.append(
            Painted(
                file,
                f"After {painting.title} ({painting.origin}): {left} of the style loss left",
                f"{study.data.content_title} painted after {painting.title} by {painting.origin}.",
            )
        )
    curves = _curves(losses, "steps", "weighted style loss", first=0)
    return _Shown((style_figures.results_table(study),), [curves], paintings, files=files)


_SHOWN: Mapping[PartName, Callable[[], _Shown]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}


def _curves(
    lines: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, first: int = 1
) -> Curves:
    told = "; ".join(
        f"{name} from {values[0]:.3g} to {values[-1]:.3g}" for name, values in lines.items()
    )
    kept = {name: lines_of(values, first) for name, values in lines.items()}
    return Curves(xlabel, ylabel, f"{ylabel.capitalize()} over {xlabel}: {told}.", kept)


def _percent(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]


def _data_of(shown: Table) -> TableData:
    lines = [(name, list(cells)) for name, cells in shown.lines]
    return TableData(shown.label, list(shown.head), lines)


def _plain(value: Any) -> Any:
    """Return what JSON makes of a value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return json.loads(json.dumps(value))


def _machine() -> str:
    """Say in words what this is running on."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        info = ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line]
    cores = os.cpu_count() or 1
    return f"{names[0] if names else platform.machine()}, {cores} core{'s' if cores > 1 else ''}"
