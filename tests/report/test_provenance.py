"""A page must say what its results rest on, and a sample must not look like real data."""

from __future__ import annotations

import dataclasses

import pytest

from rnnreport.report.provenance import provenance
from rnnreport.runs.store import Result


def result(profile: str = "sample", fingerprint: str = "a") -> Result:
    return Result(
        experiment="captioning",
        key="",
        config={},
        data={
            "profile": profile,
            "name": "generated <scenes>",
            "amount": "50 images for training",
            "fingerprint": fingerprint,
        },
        versions={"torch": "2.13.0"},
        device="CPU",
        seeds={},
        history={},
        metrics={},
        details={},
        tensors="",
        wall_time=12.4,
        date="2026-02-03T04:05:06+00:00",
    )


def test_it_says_which_data_how_much_and_when() -> None:
    later = dataclasses.replace(result(), date="2026-02-03T05:06:07+00:00")
    text = str(provenance(later, result()))
    for words in ("50 images for training", "25 s", "2.13.0"):
        assert words in text
    assert "last run 2026-02-03 05:06 UTC" in text
    assert "generated &lt;scenes&gt;" in provenance(result())._repr_html_()


def test_a_sample_never_looks_like_real_data() -> None:
    sample, full = provenance(result()), provenance(result("full"))
    assert sample.lines[0] == "Generated sample, not real data"
    assert full.lines[0] == "Real data"
    assert 'provenance-sample"' in sample._repr_html_()
    assert 'provenance-full"' in full._repr_html_()


def test_results_on_different_data_are_refused() -> None:
    with pytest.raises(ValueError, match="all rest on the same data"):
        provenance(result(), result(fingerprint="b"))
    with pytest.raises(ValueError, match="at least one"):
        provenance()
