"""Hypothesis profiles, and what the tests of several folders compute with.

The profiles: `dev` by default, `ci` where CI is set, `thorough` for a long search.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute in one thread: several wait for each other where other programs run beside them."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store results in a folder of the test's own."""
    folder = tmp_path / "store"
    monkeypatch.setenv("RNNREPORT_STORE", str(folder))
    monkeypatch.delenv("RNNREPORT_PROFILE", raising=False)
    return folder


@pytest.fixture(scope="session")
def mobilenet() -> torch.nn.Module:
    """Return MobileNetV2 with random weights, which no test may change."""
    from rnnreport._torchvision import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)  # torchvision's constructor takes no generator
        network: torch.nn.Module = torchvision.models.mobilenet_v2()
    return network.eval()
