"""Photographs: made-up ones, and the small set of real ones."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_data import small_flickr8k


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder with a few noise images in Flickr8k's layout."""
    root = tmp_path / "data"
    folder = root / "flickr8k" / "Images"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = []
    for number in range(18):
        name = f"{number}.jpg"
        # Smooth noise: JPEG and the network's resizing would wash out finer noise.
        coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        coarse.resize((50, 40)).save(folder / name)
        rows += [(name, f"Caption {number} , number {k} .") for k in range(5)]
    with (root / "flickr8k" / "captions.txt").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    monkeypatch.setenv("RNNREPORT_DATA", str(root))
    return root


@pytest.fixture
def small_set(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the data folder hold the small set of real photographs, and nothing else."""
    root = tmp_path_factory.getbasetemp() / "small"
    root.mkdir(exist_ok=True)
    folder = root / "flickr8k"
    if not folder.is_symlink():  # one path for all tests: what was read of it is kept
        folder.symlink_to(small_flickr8k())
    monkeypatch.setenv("RNNREPORT_DATA", str(root))
