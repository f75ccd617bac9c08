"""What this build found, in the few numbers that answer the source's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rnnreport.data.assets import NEEDS, Profile, resolve
from rnnreport.experiments.captioning import by_heart as captioning
from rnnreport.experiments.captioning import study as caption_summary
from rnnreport.experiments.style import study as style_summary
from rnnreport.experiments.text import study as text_summary
from rnnreport.experiments.transfer import study as transfer_summary
from rnnreport.names import PartName
from rnnreport.report.record import Finding
from rnnreport.show.tables import interval_text, share_text

__all__ = ["Found", "findings"]


@dataclass(frozen=True)
class Found:
    """What the runs of one part found.

    Attributes
    ----------
    profile : str
        ``"full"`` or ``"sample"``.
    data : str
        What they ran on, in words.
    findings : mapping of str to Finding
        By name.
    """

    profile: str
    data: str
    findings: Mapping[str, Finding]


def findings(part: PartName, profile: Profile = "auto") -> Found:
    """Return what the runs of one part found; what is not stored yet is run.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`.
    profile
        On which data.
    """
    return _FINDINGS[part](profile)


def _captioning(profile: Profile) -> Found:
    found = {}
    for cell, config in captioning.configs(resolve(profile, *NEEDS["captioning"])).items():
        exact = captioning.run(config).metrics
        told = f"{exact['exact']:.0f} of {exact['n_train']:.0f} exact"
        found[f"heart-{cell}"] = Finding(told, "", 1)
    study = caption_summary.study(profile)
    for cell, results in study.results.items():
        row = study.row(cell, "beam")
        value = f"CIDEr {row.scores.cider:.3f}"
        found[f"unseen-{cell}"] = Finding(value, _95(row.intervals["cider"], 3), len(results))
    return Found(study.profile, str(study.first.data["name"]), found)


def _text(profile: Profile) -> Found:
    study = text_summary.study(profile=profile)
    found: dict[str, Finding] = {}
    for row in study.rows():
        note = _95(row.interval)
        if row.model == "glove-fixed":  # their size decides what vectors that stay fixed can say
            note += f", {study.results[row.model][0].data['vectors_dim']} numbers a word"
        found[row.model] = Finding(f"{row.mean:.4f}", note, len(row.accuracies))
    return Found(study.data.profile, study.data.name, found)


def _transfer(profile: Profile) -> Found:
    study = transfer_summary.study(profile=profile)
    found: dict[str, Finding] = {
        row.mode: Finding(f"{row.best_mean:.4f}", _95(row.best_interval), len(row.best))
        for row in study.rows()
    }
    return Found(study.data.profile, study.data.name, found)


def _style(profile: Profile) -> Found:
    study = style_summary.study(profile=profile)
    found = {}
    for k, (name, result) in enumerate(study.results.items(), 1):
        left = share_text(result.metrics["style_left"])
        drawn = f"drawn: {study.data.paintings[name].title}"
        note = drawn if study.data.profile == "sample" else ""
        found[f"painting-{k}"] = Finding(f"{left} of its loss left", note, 1)
    return Found(study.data.profile, study.data.name, found)


_FINDINGS: Mapping[PartName, Callable[[Profile], Found]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}


def _95(interval: tuple[float, float], digits: int = 4) -> str:
    return f"95 %: {interval_text(interval, digits)}"
