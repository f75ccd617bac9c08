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
from rnnreport.show.tables import interval_text, share_text

__all__ = ["Findings", "findings"]


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
    """

    profile: str
    data: str
    by_name: Mapping[str, Finding]


def findings(part: PartName, profile: Profile = "auto") -> Findings:
    """Return the findings of one part; missing results are computed."""
    study, by_name = _FINDINGS[part](profile)
    return Findings(study.profile, study.data_name, by_name)


_Answer = tuple[Study[Any, Any], dict[str, Finding]]


def _captioning(profile: Profile) -> _Answer:
    by_name = {}
    for cell, result in captioning.by_heart(profile).items():
        value = f"{result.metrics['exact']:.0f} of {result.metrics['n_train']:.0f} exact"
        by_name[f"heart-{cell}"] = Finding(value, "", 1)
    study = captioning.study(profile)
    for cell, results in study.results.items():
        row = study.row(cell, "beam")
        value = f"CIDEr {row.scores.cider:.3f}"
        by_name[f"unseen-{cell}"] = Finding(value, _95(row.intervals["cider"], 3), len(results))
    return study, by_name


def _text(profile: Profile) -> _Answer:
    study = text.study(profile)
    by_name: dict[str, Finding] = {}
    for row in study.rows:
        note = _95(row.interval)
        if row.model == "glove-fixed":  # their size decides what vectors that stay fixed can say
            note += f", {study.results[row.model][0].data['vectors_dim']} numbers a word"
        by_name[row.model] = Finding(f"{row.mean:.4f}", note, len(row.accuracies))
    return study, by_name


def _transfer(profile: Profile) -> _Answer:
    study = transfer.study(profile)
    return study, {
        row.mode: Finding(
            f"{row.best_mean:.4f}",
            f"{_95(row.best_interval)}, {transfer.NETWORKS[row.backbone]}",
            len(row.best),
        )
        for row in study.rows
    }


def _style(profile: Profile) -> _Answer:
    study = style.study(profile)
    by_name = {}
    for k, (name, (result,)) in enumerate(study.results.items(), 1):
        left = share_text(result.metrics["style_left"])
        drawn = f"drawn: {painting_title(study.profile, name)}"
        note = drawn if study.profile == "sample" else ""
        by_name[f"painting-{k}"] = Finding(f"{left} of its loss left", note, 1)
    return study, by_name


_FINDINGS: Mapping[PartName, Callable[[Profile], _Answer]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}


def _95(interval: tuple[float, float], digits: int = 4) -> str:
    return f"95 %: {interval_text(interval, digits)}"
