"""Measured rows as a file, with what they were measured on."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

__all__ = ["write"]


def write(path: Path, name: str, rows: Sequence[Any]) -> None:
    """Write rows, which are dataclasses, under a name as JSON, with the date and the machine."""
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "torch": torch.__version__,
            "numba": _version("numba"),
            "threads": torch.get_num_threads(),
            "processor": platform.machine(),
        },
        name: [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
