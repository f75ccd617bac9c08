"""Several processes that train one network take the steps of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from rnnreport.experiments.captioning.parallel import request
from rnnreport.experiments.captioning.settings import CaptionConfig
from rnnreport.experiments.captioning.trained import latest
from rnnreport.experiments.captioning.training import run
from rnnreport.names import CELLS, CellType
from rnnreport.runs import store as results
from rnnreport.runs.store import load_tensors

pytestmark = pytest.mark.usefixtures("one_thread", "store")

TINY = CaptionConfig(
    profile="sample",
    n_train=12,
    n_val=4,
    n_test=5,
    wordvec_dim=8,
    hidden_dim=16,
    feature_dropout=0.1,
    dropout=0.0,
    min_count=1,
    epochs=3,
    batch_size=17,
    learning_rate=1e-2,
)

_PROGRAM = """
import json, sys
from rnnreport.experiments.captioning.parallel import run
from rnnreport.experiments.captioning.settings import CaptionConfig
for config in json.loads(sys.argv[1]):
    run(CaptionConfig(**config))
"""


def together(folder: Path, *arguments: str, count: int = 2) -> subprocess.CompletedProcess[str]:
    """Run something in several processes, as a person does."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    return subprocess.run(
        [*command, "--standalone", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_losses_are_those_of_one_process(store: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    configs = [replace(TINY, cell_type=cell) for cell in CELLS]
    ended = together(tmp_path, str(program), json.dumps([asdict(config) for config in configs]))
    assert ended.returncode == 0, ended.stderr
    for config in configs:
        alone, shared = run(config), results.get(request(config, 2))
        assert shared is not None
        assert alone.key != shared.key
        for series, values in alone.history.items():
            torch.testing.assert_close(
                torch.tensor(shared.history[series], dtype=torch.float64),
                torch.tensor(values, dtype=torch.float64),
                rtol=1e-6,
                atol=1e-6,
            )
        assert shared.details == alone.details  # the same captions
        weights = load_tensors(alone)
        for name, weight in load_tensors(shared).items():
            torch.testing.assert_close(weight, weights[name], rtol=1e-4, atol=1e-4)
    assert not list(store.glob("*.part"))


@pytest.mark.parametrize("cell", ["lstm"])
def test_the_command_line_trains_in_all_processes(cell: CellType, tmp_path: Path) -> None:
    arguments = ("-m", "rnnreport", "train", "captioning", "--cell", cell, "--profile", "sample")
    ended = together(tmp_path, *arguments)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Ask it: rnnreport caption") == 1  # one process answers
    result = latest(cell, "sample").result
    assert result.data["processes"] == 2
    assert together(tmp_path, *arguments).stdout == ended.stdout  # stored: not trained again
