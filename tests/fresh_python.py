"""A fresh interpreter, for tests of imports."""

from __future__ import annotations

import subprocess
import sys


def output_of(code: str) -> str:
    """Return what code prints in a fresh interpreter: nothing imported, warnings are errors."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
