"""For tests of the definitions that decide a result."""

from __future__ import annotations

from collections.abc import Iterable


def modules_of(definitions: Iterable[str]) -> set[str]:
    """Return the modules of definitions that are named ``module:name``."""
    return {name.partition(":")[0] for name in definitions}
