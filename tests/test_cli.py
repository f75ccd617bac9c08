"""The command line: what it prints, its exit status, and no traceback for what can be expected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rnnreport.__main__ import main
from rnnreport.data.assets import ASSETS, DataFormatError
from rnnreport.experiments import captioning
from rnnreport.experiments.captioning import CaptioningConfig
from rnnreport.experiments.store import Result


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty data folder and no profile."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("RNNREPORT_DATA", str(folder))
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("RNNREPORT_PROFILE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    return folder


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[CaptioningConfig]:
    """Return the configurations that are run, and run none of them."""
    ran: list[CaptioningConfig] = []

    def pretend(config: CaptioningConfig) -> Result:
        ran.append(config)
        record = {"image": "x.jpg", "caption": "a dog", "truth": ["a cat", "cats"], "exact": False}
        return Result(
            experiment="captioning",
            key="",
            config={},
            data={"name": "pretended data", "profile": "sample", "features": "pixels"},
            versions={},
            device="CPU",
            seeds={},
            history={},
            metrics={"iterations": 7, "exact": 49, "n_train": 50, "last_loss": 0.25},
            details={"train": [record], "val": [record]},
            tensors="",
            wall_time=1.5,
            date="2030-01-01T00:00:00+00:00",
        )

    monkeypatch.setattr(captioning, "run", pretend)
    return ran


def test_run_prints_a_summary(
    runs: list[CaptioningConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "captioning", "--profile", "sample", "--cell", "lstm"]) == 0
    assert [(config.cell_type, config.profile) for config in runs] == [("lstm", "sample")]
    out = capsys.readouterr().out
    for part in ("LSTM, on pretended data", "49 of 50", "7 iterations in 1.5 s", "a dog", "a cat"):
        assert part in out


@pytest.mark.parametrize("arguments", [["run"], ["run", "captioning"]])
def test_run_runs_everything(runs: list[CaptioningConfig], arguments: list[str]) -> None:
    assert main(arguments) == 0
    assert [(config.cell_type, config.profile) for config in runs] == [
        ("rnn", "auto"),
        ("lstm", "auto"),
    ]


def test_data_lists_assets(surroundings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (surroundings / "flickr8k").mkdir()
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    assert "flickr8k: present" in out
    assert str(surroundings / "flickr8k") in out
    assert "mobilenet_v2: absent" in out
    assert "'sample'" in out
    for asset in ASSETS.values():
        assert asset.origin in out
        assert asset.terms in out


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({}, ["run", "--profile", "full"], "the asset 'flickr8k' is missing"),
        ({"RNNREPORT_DATA": "/nowhere"}, ["data"], "RNNREPORT_DATA is set to '/nowhere'"),
        ({"RNNREPORT_PROFILE": "half"}, ["data"], "RNNREPORT_PROFILE must be one of"),
        ({"RNNREPORT_PROFILE": "half"}, ["run"], "RNNREPORT_PROFILE must be one of"),
    ],
)
def test_expected_errors(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    arguments: list[str],
    message: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("rnnreport: ")
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("error", "status"), [(DataFormatError("line 3"), 1), (KeyboardInterrupt(), 130)]
)
def test_errors_of_an_experiment(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
) -> None:
    def fail(_config: CaptioningConfig) -> Result:
        raise error

    monkeypatch.setattr(captioning, "run", fail)
    assert main(["run"]) == status
    assert capsys.readouterr().err.startswith("rnnreport: ")


@pytest.mark.parametrize(
    "arguments", [[], ["walk"], ["run", "painting"], ["run", "--profile", "half"]]
)
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: rnnreport" in capsys.readouterr().err


def test_data_as_a_program_needs_no_torch() -> None:
    code = (
        "import sys, runpy\n"
        "sys.argv = ['rnnreport', 'data']\n"
        "try: runpy.run_module('rnnreport', run_name='__main__')\n"
        "except SystemExit as ended: print('status', ended.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "status 0 False"
