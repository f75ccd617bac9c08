"""Recording: from the results of a full run to a record that travels with the pages."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from rnnreport.experiments.captioning import figures as captioning_figures
from rnnreport.experiments.captioning import study as captioning
from rnnreport.experiments.captioning.measures import measure
from rnnreport.experiments.style import figures as style_figures
from rnnreport.experiments.style import study as style
from rnnreport.experiments.text import figures as text_figures
from rnnreport.experiments.text import study as text
from rnnreport.experiments.text.live_figure import LiveLSTM
from rnnreport.experiments.transfer import figures as transfer_figures
from rnnreport.experiments.transfer import study as transfer
from rnnreport.names import PartName
from rnnreport.report.findings import findings
from rnnreport.report.parts import code_of, runs_of
from rnnreport.report.record import Painted, Record, Run
from rnnreport.runs import engine
from rnnreport.runs.shipped import write_shipped
from rnnreport.runs.store import Result, load_tensors
from rnnreport.show.plots import Curves, Line, LinePlot
from rnnreport.show.tables import Table, share_text, table

__all__ = ["record", "ship"]

_DATA = ("name", "amount", "fingerprint", "vectors", "vectors_dim")
_WEIGHTS = "text-live-lstm.json"


def record(part: PartName) -> tuple[Record, dict[str, bytes]]:
    """Run a part on real data, or take its stored results, and make its record.

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
    page = _PAGES[part]()
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
            findings=dict(findings(part, "full").by_name),
            tables=page.tables,
            curves=[_rounded(plot.curves) for plot in page.plots],
            paintings=page.paintings,
            weights=page.weights,
        ),
        page.files,
    )


def ship(part: PartName) -> list[Path]:
    """Put the network of a part that answers from the command line into the package.

    Of the seeds it is the one that does best on the validation images or the dev sentences: the
    test decides nothing.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`, recorded before.

    Returns
    -------
    list of Path
        The files that describe what was written; none where a part ships nothing.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    if part == "captioning":
        captioners = captioning.study("full").results["attention"]
        best = max(captioners, key=_validation_cider)
        tensors = load_tensors(best)
        return [
            write_shipped("captioner", best, tensors, terms=_TERMS["flickr8k"], details=("words",))
        ]
    if part == "text":
        classifiers = text.study("full").results["lstm"]
        best = max(classifiers, key=lambda result: result.metrics["dev_accuracy"])
        tensors = {
            name: tensor
            for name, tensor in load_tensors(best).items()
            if name == "words" or name.startswith("model.")
        }
        return [write_shipped("classifier", best, tensors, terms=_TERMS["sentiment"])]
    return []


_TERMS: Mapping[str, str] = {
    "flickr8k": (
        "Numbers learned from photographs and captions of Flickr8k, which are for research use; it "
        "holds none of them."
    ),
    "sentiment": (
        "Numbers learned from sentences of Yelp reviews, which are for research use; it holds none "
        "of them."
    ),
}


def _validation_cider(result: Result) -> float:
    records = result.details["val"]
    scores = measure([each["beam"] for each in records], [each["truth"] for each in records])
    return scores.cider


@dataclasses.dataclass
class _Page:
    """The part of a page that its record keeps."""

    tables: list[Table]
    plots: list[LinePlot]
    paintings: list[Painted] = dataclasses.field(default_factory=list)
    weights: str = ""
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)


def _captioning() -> _Page:
    study = captioning.study("full")
    together = captioning.together(study)
    tables = [
        captioning_figures.literature_table(study, together),
        captioning_figures.results_table(study, together),
        captioning_figures.differences_table(study),
        captioning_figures.measures_table(study),
        captioning_figures.stock_words_table(study),
        captioning_figures.by_heart_table(captioning.by_heart("full")),
        _captions(study),
    ]
    return _Page(tables, [captioning_figures.learning_curves(study)])


def _captions(study: captioning.Study) -> Table:
    """Lay out captions without their images, which may not travel with the pages."""
    order = study.order("attention", "beam")
    middle = len(order) // 2
    rows = [*order[:2], *order[middle - 1 : middle + 1], *order[-2:]]
    written = {cell: study.captions(cell, "beam")[0] for cell in study.results}
    return table(
        ["Image", *(captioning.NAMES[cell] for cell in written)],
        [
            (study.names("test")[row], [" ".join(captions[row]) for captions in written.values()])
            for row in rows
        ],
        "What the networks say of six test images: two of the best, two around the median, "
        "two of the worst by the CIDEr of attention",
    )


def _text() -> _Page:
    study = text.study("full")
    vectors = text_figures.neighbours_table(text.own_vectors("full"))
    sizes = text.size_study("full")
    tables = [text_figures.results_table(study), text_figures.sizes_table(sizes), vectors]
    weights = LiveLSTM.of(text.small_lstm("full")).to_json().encode()
    plots = [text_figures.learning_curves(study), text_figures.sizes_figure(sizes)]
    return _Page(tables, plots, weights=_WEIGHTS, files={_WEIGHTS: weights})


def _transfer() -> _Page:
    studies = transfer.studies("full")
    tables = [transfer_figures.results_table(studies), transfer_figures.settings_table(studies)]
    return _Page(tables, [transfer_figures.learning_curves(studies)])


def _style() -> _Page:
    study = style.study("full")
    paintings, files = [], {}
    painted = [(name, result, "") for name, (result,) in study.results.items()]
    # One picture says how the two networks differ.
    painted += [(name, each, "squeezenet") for name, each in list(study.squeezenet.items())[-1:]]
    for name, result, network in painted:
        painting = study.data.paintings[name]
        left = f"{share_text(result.metrics['style_left'])} of the style loss left"
        if network:
            left = f"painted with SqueezeNet, {share_text(study.judged(result))} left by VGG-19"
        file = f"{'-'.join(filter(None, ('style', name.replace('_', '-'), network)))}.jpg"
        buffer = io.BytesIO()
        picture = Image.fromarray(load_tensors(result)["image"].numpy())
        picture.save(buffer, "JPEG", quality=85, optimize=True)
        files[file] = buffer.getvalue()
        paintings.append(
            Painted(
                file,
                f"After {painting.title} ({painting.origin}): {left}",
                f"{study.data.content_title} painted after {painting.title} by {painting.origin}.",
                front=not network,
            )
        )
    tables = [style_figures.results_table(study)]
    if study.squeezenet:
        tables.append(style_figures.networks_table(study))
    return _Page(tables, [style_figures.loss_figure(study)], paintings, files=files)


_PAGES: Mapping[PartName, Callable[[], _Page]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}


def _rounded(curves: Curves, digits: int = 5) -> Curves:
    """Return curves with fewer digits, which nobody sees and a file need not hold."""

    def line(numbers: Line) -> Line:
        return [[float(f"{value:.{digits}g}") for value in row] for row in numbers]

    panels = [
        dataclasses.replace(
            panel,
            lines={name: line(each) for name, each in panel.lines.items()},
            bars={name: line(each) for name, each in panel.bars.items()},
            rings={name: line(each) for name, each in panel.rings.items()},
        )
        for panel in curves.panels
    ]
    return dataclasses.replace(curves, panels=panels)


def _plain(value: Any) -> Any:
    """Return a value as it comes back from JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return json.loads(json.dumps(value))


def _machine() -> str:
    """Describe this machine in words."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        info = ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line]
    cores = os.cpu_count() or 1
    return f"{names[0] if names else platform.machine()}, {cores} core{'s' if cores > 1 else ''}"
