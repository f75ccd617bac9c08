"""An experiment that computes next to nothing, for tests of a cluster, whose workers import it."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from rnnreport.data.assets import require
from rnnreport.runs.store import Outcome, Request, Result, get_or_compute

MODULE = "rnnreport.nn._autograd"
"""It has a `run` that rests on little; changed code there is other code."""


@dataclass(frozen=True)
class Inner:
    """A part of a configuration."""

    sizes: tuple[tuple[float, int], ...] = ((0.1, 2), (1 / 3, 4))


@dataclass(frozen=True)
class Toy:
    """What to do: ``add``, ``fail``, ``stumble``, ``exit``, or ``wait`` for the file ``go``."""

    number: int
    does: str = "add"
    folder: str = ""
    with_data: bool = False
    inner: Inner = Inner()
    device: str = "cpu"


def request(config: Toy) -> Request:
    fingerprint = "f"
    if config.with_data:
        content = (require("sentiment") / "train.txt").read_bytes()
        fingerprint = hashlib.sha256(content).hexdigest()
    data = {"name": "toys", "profile": "sample", "fingerprint": fingerprint}
    return Request("toys", MODULE, config, data, {}, "CPU")


def run(config: Toy) -> Result:
    return get_or_compute(request(config), lambda: _compute(config))


def mark_of(config: Toy) -> Path:
    """Return the file that a run appends its process and its parent's to when it begins."""
    return Path(config.folder) / f"{config.number}.txt"


def _compute(config: Toy) -> Outcome:
    if config.folder:
        with mark_of(config).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {os.getppid()} {torch.get_num_threads()}\n")
    if config.does == "fail":
        raise FloatingPointError(f"the loss of toy {config.number} is not finite")
    if config.does == "stumble":
        raise KeyError("a mistake in the code")
    if config.does == "exit":
        os._exit(9)
    while config.does == "wait" and not (Path(config.folder) / "go").exists():
        time.sleep(0.05)
    total = sum(float(value) * count for value, count in config.inner.sizes)
    return Outcome({}, {"total": total + config.number}, {}, {"tensor": torch.full((3,), total)})
