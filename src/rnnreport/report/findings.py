"""The findings of this build: the few numbers that answer the source's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rnnreport.experiments.captioning import study as captioning
from rnnreport.experiments.paintings import painting_title
from rnnreport.experiments.study import Study
from rnnreport.experiments.style import study as style
from rnnreport.experiments.text import study as text
from rnnreport.experiments.transfer import study as transfer
from rnnreport.names import PartName, Profile
from rnnreport.report.record import Finding
from rnnreport.runs.store import Result
from rnnreport.show.tables import interval_text, share_text

__all__ = ["Findings", "findings", "ran_here"]


@dataclass(frozen=True)
class Findings:
    """The findings of one part.

    Attributes
    ----------
    profile : str
        ``"full"`` or ``"sample"``.
    data : str
        What the runs rest on, in words.
    by_name : mapping of str to Finding
        The findings.
    seconds : float
        How long its runs took.
    headline : str
        The one that says most, in words.
    """

    profile: str
    data: str
    by_name: Mapping[str, Finding]
    seconds: float
    headline: str


def findings(part: PartName, profile: Profile = "auto") -> Findings:
    """Return the findings of one part; missing results are computed."""
    return _FINDINGS[part](profile)


def ran_here(data: str, seconds: float, headline: str) -> str:
    """Say what this build ran on a generated sample, beside the recorded run."""
    return f"This build ran the same code on {data} in {seconds:.0f} s: {headline}."


def _captioning(profile: Profile) -> Findings:
    by_name = {}
    by_heart = captioning.by_heart(profile)
    for cell, result in by_heart.items():
        value = f"{result.metrics['exact']:.0f} of {result.metrics['n_train']:.0f} exact"
        by_name[f"heart-{cell}"] = Finding(value, "", 1)
    study = captioning.study(profile)
    for cell, results in study.results.items():
        row = study.row(cell, "beam")
        value = f"CIDEr {row.scores.cider:.3f}"
        by_name[f"unseen-{cell}"] = Finding(value, _95(row.intervals["cider"], 3), len(results))
    exact = by_name["heart-attention"].value.removesuffix(" exact")
    headline = f"attention learns {exact} captions word for word"
    return _found(study, by_name, headline, *by_heart.values())


def _text(profile: Profile) -> Findings:
    study = text.study(profile)
    by_name: dict[str, Finding] = {}
    for row in study.rows:
        note = _95(row.interval)
        if row.model == "glove-fixed":  # their size decides what vectors that stay fixed can say
            note += f", {study.results[row.model][0].data['vectors_dim']} numbers per word"
        by_name[row.model] = Finding(f"{row.mean:.4f}", note, len(row.accuracies))
    (accuracy,) = (row.mean for row in study.rows if row.model == "lstm")
    return _found(study, by_name, f"the LSTM judges {100 * accuracy:.1f} % of sentences correctly")


def _transfer(profile: Profile) -> Findings:
    study = transfer.study(profile)
    by_name: dict[str, Finding] = {
        row.mode: Finding(
            f"{row.best_mean:.4f}",
            f"{_95(row.best_interval)}, {transfer.NETWORKS[row.backbone]}",
            len(row.best),
        )
        for row in study.rows
    }
    accuracy = max(row.last_mean for row in study.rows)
    return _found(
        study, by_name, f"{100 * accuracy:.1f} % of the validation images are named right"
    )


def _style(profile: Profile) -> Findings:
    study = style.study(profile)
    by_name = {}
    for k, (name, (result,)) in enumerate(study.results.items(), 1):
        left = share_text(result.metrics["style_left"])
        drawn = f"drawn: {painting_title(study.profile, name)}"
        note = drawn if study.profile == "sample" else ""
        by_name[f"painting-{k}"] = Finding(f"{left} of its loss left", note, 1)
    most = share_text(max(result.metrics["style_left"] for (result,) in study.results.values()))
    return _found(
        study, by_name, f"{len(by_name)} pictures are painted, at most {most} of a style loss left"
    )


def _found(
    study: Study[Any, Any], by_name: Mapping[str, Finding], headline: str, *more: Result
) -> Findings:
    seconds = sum(result.wall_time for result in (*study.all_results, *more))
    return Findings(study.profile, study.data_name, by_name, seconds, headline)


_FINDINGS: Mapping[PartName, Callable[[Profile], Findings]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}


def _95(interval: tuple[float, float], digits: int = 4) -> str:
    return f"95 %: {interval_text(interval, digits)}"
