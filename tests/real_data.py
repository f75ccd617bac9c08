"""The marks of tests that need real data: they run where RNNREPORT_DATA holds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from rnnreport.data.assets import find

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
