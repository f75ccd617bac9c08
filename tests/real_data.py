"""Tests that need real data: their marks, and the small set of photographs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rnnreport.data.assets import find, require

Test = TypeVar("Test", bound=Callable[..., Any])


def needs(*assets: str) -> Callable[[Test], Test]:
    """Mark a test as one that needs assets."""
    named = os.environ.get("RNNREPORT_DATA")
    missing = [name for name in assets if not named or find(name) is None]
    reason = f"RNNREPORT_DATA does not hold {' and '.join(missing)}"

    def mark(test: Test) -> Test:
        marked: Test = pytest.mark.real_data(test)
        pytest.mark.skipif(bool(missing), reason=reason)(marked)
        return marked

    return mark


def small_flickr8k() -> Path:
    """Return the folder of the 900 photographs where it lies beside all, else what is there.

    Features of 8,000 photographs take minutes.
    """
    small = Path(os.environ["RNNREPORT_DATA"]) / "flickr8k_900"
    return small if small.is_dir() else require("flickr8k")
