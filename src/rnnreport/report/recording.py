"""Recording: from the results of a full run to a record that travels with the pages."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
from rnnreport.report.record import Exhibit, Pictures, Record, Run
from rnnreport.runs import engine
from rnnreport.runs.shipped import write_shipped
from rnnreport.runs.store import Result, load_tensors
from rnnreport.show.figures import Figure, Gallery, StoredFigure
from rnnreport.show.plots import Curves, IntervalPlot, Line, LinePlot

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
    exhibits, files = {}, dict(page.files)
    for name, shown in page.shown.items():
        exhibits[name] = _as_data(shown, f"{part}-{name}", files)
    return (
        Record(
            part=part,
            command=f"nox -s record -- {part}",
            date=max(result.date for result in real),
            machine=_machine(),
            versions=page.result.versions,
            data={name: str(page.result.data[name]) for name in _DATA if name in page.result.data},
            code=code_of(part),
            runs=[
                Run(label, _plain(config), _plain(result.metrics), round(result.wall_time, 1))
                for label, config, result in results
            ],
            findings=dict(findings(part, "full").by_name),
            exhibits=exhibits,
            weights=page.weights,
        ),
        files,
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
        # The official split decides how many images there are, whatever was asked for.
        counts = {name: int(best.metrics[name]) for name in ("n_train", "n_val", "n_test")}
        best = dataclasses.replace(best, config=best.config | counts)
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

    shown: dict[str, Exhibit | Figure]
    result: Result
    """The run whose data the record names."""
    weights: str = ""
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)


def _captioning() -> _Page:
    study = captioning.study("full")
    together = captioning.together(study)
    by_heart = captioning.by_heart("full")
    gradients = captioning.gradients(study)
    return _Page(
        _shown(
            (captioning_figures.facts, study, together),
            (captioning_figures.literature_table, study, together),
            (captioning_figures.results_table, study, together),
            (captioning_figures.cider_figure, study),
            (captioning_figures.differences_table, study),
            (captioning_figures.verdict, study),
            (captioning_figures.measures_table, study),
            (captioning_figures.stock_words_table, study),
            (captioning_figures.settings_table, study),
            (captioning_figures.learning_curves, study),
            (captioning_figures.captions_table, study),
            (captioning_figures.gates_figure, study, study.order("attention", "beam")[0]),
            (captioning_figures.gradients_figure, list(gradients.values())),
            (captioning_figures.by_heart_table, by_heart),
            (captioning_figures.by_heart_curves, by_heart),
            (captioning_figures.by_heart_facts, by_heart),
            (captioning_figures.gradient_facts, gradients),
        ),
        study.results["attention"][0],
    )


def _text() -> _Page:
    study, sizes = text.study("full"), text.size_study("full")
    small, vectors = text.small_lstm("full"), text.own_vectors("full")
    weights = LiveLSTM.of(small).to_json().encode()
    return _Page(
        _shown(
            (text_figures.facts, study),
            (text_figures.results_table, study),
            (text_figures.accuracy_figure, study.rows),
            (text_figures.verdict, study),
            (text_figures.learning_curves, study),
            (text_figures.settings_table, study),
            (text_figures.sizes_figure, sizes),
            (text_figures.sizes_verdict, sizes),
            (text_figures.sizes_table, sizes),
            (text_figures.accuracy_by_length, study),
            (text_figures.words_figure, text_figures.word_weights(study)),
            (text_figures.negations_table, study),
            (text_figures.language_facts, study, text.language_model("full")),
            (text_figures.live_facts, small),
            (text_figures.neighbours_table, vectors),
            (text_figures.neighbour_facts, vectors),
        ),
        study.results["lstm"][0],
        weights=_WEIGHTS,
        files={_WEIGHTS: weights},
    )


def _transfer() -> _Page:
    studies = transfer.studies("full")
    return _Page(
        _shown(
            (transfer_figures.results_table, studies),
            (transfer_figures.accuracy_figure, studies),
            (transfer_figures.settings_table, studies),
            (transfer_figures.choice_table, studies),
            (transfer_figures.rate_table, studies),
            (transfer_figures.learning_curves, studies),
            (transfer_figures.confusion_table, studies[0]),
            (transfer_figures.facts, studies[0]),
        ),
        studies[0].first,
    )


def _style() -> _Page:
    study = style.study("full")
    calls: list[tuple[Any, ...]] = [
        (style_figures.facts, study),
        (style_figures.results_gallery, study),
        (style_figures.results_table, study),
        (style_figures.settings_table, study),
        (style_figures.loss_figure, study),
        (style_figures.steps_gallery, study),
        (style_figures.trade_off_gallery, study),
    ]
    if study.squeezenet:
        calls.append((style_figures.networks_table, study))
        calls.append((style_figures.networks_gallery, study))
    return _Page(_shown(*calls), study.first)


_PAGES: Mapping[PartName, Callable[[], _Page]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}


def _shown(*calls: tuple[Any, ...]) -> dict[str, Exhibit | Figure]:
    """Call functions of figures, each with what it takes; return what they lay out, by name."""
    return {function.__name__: function(*arguments) for function, *arguments in calls}


def _as_data(shown: Exhibit | Figure, stem: str, files: dict[str, bytes]) -> Exhibit:
    """Return what a page shows as data; files of pictures are added, their names from a stem."""
    if isinstance(shown, LinePlot):
        return _rounded(shown.curves)
    if isinstance(shown, IntervalPlot):
        return shown.intervals
    if isinstance(shown, Gallery):
        names = [f"{stem.replace('_', '-')}-{k}.jpg" for k in range(1, len(shown.pictures) + 1)]
        files.update(zip(names, (each.data for each in shown.pictures), strict=True))
        captions = [each.caption for each in shown.pictures]
        alts = [each.alt for each in shown.pictures]
        return Pictures(shown.label, shown.layout, names, captions, alts)
    return StoredFigure.of(shown) if isinstance(shown, Figure) else shown


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
