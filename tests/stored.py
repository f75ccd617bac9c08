"""Results for tests that look at results and not at how they are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rnnreport.runs.store import Outcome, Request, Result, get_or_compute

_EXPERIMENTS = {
    "rnnreport.experiments.captioning.training": "captions",
    "rnnreport.experiments.text.training": "text",
    "rnnreport.experiments.text.word_vectors": "word-vectors",
    "rnnreport.experiments.transfer.training": "transfer",
}


def store_result(
    module: str,
    config: object,
    *,
    data: Mapping[str, Any],
    seeds: Mapping[str, int],
    device: str,
    compute: Callable[[], Outcome],
) -> Result:
    """Store an outcome as if an experiment had computed it."""
    request = Request(_EXPERIMENTS[module], module, config, data, seeds, device)
    return get_or_compute(request, compute)
