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
from tiny import CAPTIONS

from rnnreport.cli.main import main
from rnnreport.experiments.captioning import parallel
from rnnreport.experiments.captioning.parallel import request
from rnnreport.experiments.captioning.settings import CaptionConfig, default_config
from rnnreport.experiments.captioning.training import run
from rnnreport.names import CELLS
from rnnreport.runs import store as results
from rnnreport.runs.store import load_tensors

pytestmark = pytest.mark.usefixtures("one_thread", "store")

# Dropout differs between processes. Of 60 captions the last mini-batch has one: a process has none.
TINY = replace(CAPTIONS, dropout=0.0, batch_size=59)

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


def test_the_command_line_trains_in_all_processes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[CaptionConfig] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("RNNREPORT_PROGRESS", "")
    monkeypatch.setattr(parallel, "run", ran.append)
    assert main(["train", "captioning", "--cell", "lstm", "--profile", "sample"]) == 0
    assert ran == [default_config("lstm", profile="sample")]
    assert capsys.readouterr().out == ""  # the first process answers
    assert os.environ["RNNREPORT_PROGRESS"] == os.devnull  # and draws the bar


def test_other_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="device must be 'cpu' with several processes"):
        parallel.run(replace(TINY, device="cuda"))
