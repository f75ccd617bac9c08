"""The command line: what it prints, its exit status, and no traceback for what can be expected."""

from __future__ import annotations

import functools
import io
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from fresh_python import output_of
from PIL import Image
from stored import store_result

from rnnreport.asked import TEXT_ACCURACY
from rnnreport.cli import apply
from rnnreport.cli.main import main
from rnnreport.data.assets import ASSETS, DataFormatError
from rnnreport.data.photographs import load_photograph
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.captioning import by_heart
from rnnreport.experiments.captioning import study as captioning_study
from rnnreport.experiments.captioning import training as captioning_training
from rnnreport.experiments.captioning.by_heart import ByHeartConfig
from rnnreport.experiments.captioning.settings import CaptionConfig
from rnnreport.experiments.distillation import training as distillation
from rnnreport.experiments.distillation.training import Distillation
from rnnreport.experiments.style import study as style_study
from rnnreport.experiments.text import study as text_study
from rnnreport.experiments.text import training as text_training
from rnnreport.experiments.text.settings import TextConfig
from rnnreport.experiments.text.study import NAMES, Row
from rnnreport.experiments.transfer import study as transfer_study
from rnnreport.experiments.transfer import training as transfer_training
from rnnreport.experiments.transfer.training import TransferConfig
from rnnreport.models import style as models_style
from rnnreport.models.embedded import EmbeddedNetwork
from rnnreport.names import MODELS, MODES, PARTS, CellType, Mode, PartName, Profile, ResolvedProfile
from rnnreport.report import parts
from rnnreport.report.parts import Plan, Runs
from rnnreport.runs.store import Outcome, Result
from rnnreport.samples.insects import generate_insects

_ALL_CELLS = ["rnn", "lstm", "attention"]
PLAN = parts.plan

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty data folder, and no other."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("RNNREPORT_DATA", str(folder))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    return folder


@pytest.fixture(autouse=True)
def plans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int | None]]:
    """Return the parts that are run, on which data and by how many processes; none is run."""
    calls: list[tuple[str, str, int | None]] = []

    def plan(part: PartName, profile: Profile) -> Plan:
        resolved: ResolvedProfile = "full" if profile == "full" else "sample"
        return Plan(part, resolved, (), (Runs("a run", captioning_training, (None,)),))

    def complete(planned: Sequence[Plan], *, workers: int | None) -> Iterator[str]:
        calls.extend((each.part, each.profile, workers) for each in planned)
        yield "  about a minute"

    monkeypatch.setattr(parts, "plan", plan)
    monkeypatch.setattr("rnnreport.report.prepare.complete", complete)
    return calls


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[ByHeartConfig]:
    """Return the configurations that are run, and run none of them."""
    ran: list[ByHeartConfig] = []

    def pretend(config: ByHeartConfig) -> Result:
        ran.append(config)
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
            details={},
            tensors="",
            wall_time=1.5,
            date="2030-01-01T00:00:00+00:00",
        )

    monkeypatch.setattr(by_heart, "run", pretend)
    return ran


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> list[Profile]:
    """Return the profiles of the studies of text that are asked for, and do none of them."""
    asked: list[Profile] = []
    rows = [
        Row(
            model=model,
            name=NAMES[model],
            accuracies=(0.9, 0.92),
            mean=0.91 + place / 1000,
            deviation=0.0141,
            interval=(0.8765, 0.9432),
            p_bag=None if model == "bag" else 0.03,
            source=TEXT_ACCURACY.get(model),
            source_interval=None,
            p_source=None,
        )
        for place, model in enumerate(MODELS)
    ]

    def pretend(profile: Profile) -> object:
        asked.append(profile)
        return SimpleNamespace(
            data=SimpleNamespace(
                name="pretended sentences", profile="full", about={"amount": "7 sentences"}
            ),
            results={
                model: [SimpleNamespace(wall_time=20.0), SimpleNamespace(wall_time=22.0)]
                for model in MODELS
            },
            rows=rows,
        )

    monkeypatch.setattr(text_study, "study", pretend)
    return asked


@pytest.fixture
def captions(monkeypatch: pytest.MonkeyPatch) -> list[Profile]:
    """Return the profiles of the studies of captioning, and do none of them."""
    asked: list[Profile] = []
    rows = [
        SimpleNamespace(
            cell="attention",
            way="beam",
            scores=SimpleNamespace(cider=0.3456, bleu_4=0.1234, rouge_l=0.4),
            intervals={"cider": (0.2901, 0.4012)},
        )
    ]

    def pretend(profile: Profile) -> object:
        asked.append(profile)
        result = SimpleNamespace(
            data={"name": "pretended photographs", "profile": "full"}, wall_time=21.0
        )
        data = SimpleNamespace(left_out=("gone.jpg", "notes.txt"))
        return SimpleNamespace(results={"attention": [result, result]}, rows=rows, data=data)

    monkeypatch.setattr(captioning_study, "study", pretend)
    return asked


def test_run_captioning_prints_a_row_for_each_way(
    runs: list[ByHeartConfig], captions: list[Profile], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "captioning", "--profile", "full"]) == 0
    assert [config.cell_type for config in runs] == _ALL_CELLS
    assert captions == ["full"]
    captured = capsys.readouterr()
    assert captured.err == "  about a minute\n"
    *_, first, left_out, head, row, last = captured.out.splitlines()
    assert first == "captions, on pretended photographs (profile full)"
    assert left_out.split(maxsplit=2) == ["left", "out", "gone.jpg, notes.txt"]
    assert row.split() == [
        "LSTM", "with", "attention", "Beam", "0.346", "0.290", "0.401", "0.123", "0.400", "42",
    ]  # fmt: skip
    assert len(head) == len(row)
    assert last == ""


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> list[Profile]:
    """Return the profiles of the studies of transfer learning, and do none of them."""
    asked: list[Profile] = []
    modes: tuple[Mode, ...] = ("frozen", "finetuned")
    rows = [
        transfer_study.Row(
            backbone="efficientnet_lite1",
            mode=mode,
            last=(0.95, 0.97),
            best=(0.97, 0.98),
            last_mean=0.96,
            best_mean=0.975,
            last_interval=(0.9123, 0.9876),
            best_interval=(0.92, 0.99),
            source=None if mode == "frozen" else 0.9346,
            source_interval=None,
            p_source=None,
        )
        for mode in modes
    ]

    def pretend(profile: Profile) -> list[object]:
        asked.append(profile)
        run = SimpleNamespace(wall_time=20.0, data={"amount": "7 pictures"})
        study = SimpleNamespace(
            data=SimpleNamespace(name="pretended ants", profile="full", left_out=("x.gif",)),
            first=run,
            results={mode: [run, run] for mode in modes},
            rows=rows,
        )
        return [study]

    monkeypatch.setattr(transfer_study, "studies", pretend)
    return asked


def test_run_transfer_prints_a_row_for_each_way(
    transfers: list[Profile], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "transfer", "--profile", "full"]) == 0
    assert transfers == ["full"]
    first, left_out, head, frozen, finetuned, last = capsys.readouterr().out.splitlines()
    assert first == "transfer, on pretended ants (profile full): 7 pictures"
    assert left_out.split() == ["left", "out", "x.gif"]
    assert frozen.split() == ["Frozen", "0.9600", "0.9123", "0.9876", "0.9750", "40"]
    assert finetuned.split()[-3:] == ["0.9750", "0.9346", "40"]
    assert len(head) == len(frozen) == len(finetuned)
    assert last == ""


@pytest.fixture
def styles(monkeypatch: pytest.MonkeyPatch) -> list[Profile]:
    """Return the profiles of the studies of style transfer, and do none of them."""
    asked: list[Profile] = []

    def pretend(profile: Profile) -> object:
        asked.append(profile)
        run = SimpleNamespace(
            config={"network": "vgg19"},
            history={"content": [0.0, 0.5], "style": [1.0, 0.25], "variation": [0.1, 0.125]},
            metrics={"style_left": 0.0123, "peak_memory": 700 * 2**20},
            wall_time=50.4,
        )
        return SimpleNamespace(
            data=SimpleNamespace(
                name="pretended paintings",
                profile=profile,
                paintings={"the_scream": SimpleNamespace(title="The Scream")},
            ),
            results={"the_scream": (run,)},
            first=run,
        )

    monkeypatch.setattr(style_study, "study", pretend)
    return asked


def test_run_style_prints_a_row_for_each_painting(
    styles: list[Profile], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "style", "--profile", "full"]) == 0
    assert styles == ["full"]
    first, head, row, last = capsys.readouterr().out.splitlines()
    assert first == "style, on pretended paintings (profile full), vgg19"
    assert row.split() == [
        "The", "Scream", "0.0123", "0.5000", "0.2500", "0.1250", "700", "50",
    ]  # fmt: skip
    assert len(head) == len(row)
    assert last == ""


def test_run_prints_a_summary(
    runs: list[ByHeartConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "captioning", "--profile", "sample", "--cell", "lstm"]) == 0
    assert [(config.cell_type, config.profile) for config in runs] == [("lstm", "sample")]
    out = capsys.readouterr().out
    for part in ("by heart, lstm, on pretended data", "49 of 50", "7 iterations in 1.5 s"):
        assert part in out


def test_run_text_prints_a_row_for_each_model(
    runs: list[ByHeartConfig],
    studies: list[Profile],
    plans: list[tuple[str, str, int | None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "text", "--profile", "full", "--workers", "3"]) == 0
    assert studies == ["full"]
    assert plans == [("text", "full", 3)]
    assert not runs
    first, head, *rows, last = capsys.readouterr().out.splitlines()
    assert first == "text, on pretended sentences (profile full): 7 sentences"
    assert last == ""
    assert [line[2:33].strip() for line in rows] == [NAMES[model] for model in MODELS]
    assert [line.split()[-1] for line in rows] == ["42"] * len(MODELS)
    assert "0.9110  0.0141     0.8765 0.9432" in rows[1]
    for name, cells in {
        "bag": ["0.9100", "0.0141", "0.8765", "0.9432", "0.953", "42"],
        "lstm": ["0.9150", "0.0141", "0.8765", "0.9432", "0.03", "0.937", "42"],
        "bilstm": ["0.9160", "0.0141", "0.8765", "0.9432", "0.03", "42"],
    }.items():
        line = rows[MODELS.index(name)]
        assert line[33:].split() == cells
        assert len(line) == len(head)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run"], (_ALL_CELLS, *(4 * [["sample"]]))),
        (["run", "--profile", "full"], (_ALL_CELLS, *(4 * [["full"]]))),
        (["run", "captioning"], (_ALL_CELLS, ["sample"], [], [], [])),
        (["run", "captioning", "--cell", "rnn"], (["rnn"], [], [], [], [])),
        (["run", "text"], ([], [], ["sample"], [], [])),
        (["run", "transfer"], ([], [], [], ["sample"], [])),
        (["run", "style"], ([], [], [], [], ["sample"])),
    ],
)
def test_run_runs_everything(
    runs: list[ByHeartConfig],
    captions: list[Profile],
    studies: list[Profile],
    transfers: list[Profile],
    styles: list[Profile],
    plans: list[tuple[str, str, int | None]],
    arguments: list[str],
    expected: tuple[list[str], ...],
) -> None:
    assert main(arguments) == 0
    profile = "full" if "full" in arguments else "sample"
    assert {config.profile for config in runs} <= {profile}
    asked = zip(PARTS, expected[1:], strict=True)
    assert plans == [(part, profile, None) for part, studied in asked if studied]
    cells = [config.cell_type for config in runs]
    assert (cells, captions, studies, transfers, styles) == expected


def test_data_lists_assets(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data_folder / "flickr8k").mkdir()
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    assert "flickr8k: present" in out
    assert str(data_folder / "flickr8k") in out
    assert "mobilenet_v2: absent" in out
    assert "'sample'" in out
    words = " ".join(out.split())  # lines are broken
    for asset in ASSETS.values():
        for text in (asset.description, asset.origin, asset.terms):
            assert text in words


def test_data_lists_an_asset_of_another_kind(
    data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_folder / "sentiment").touch()
    assert main(["data"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"sentiment: unusable why {data_folder}/sentiment is a file: expected" in words
    assert "now means an error, since an asset is unusable, for text." in words
    assert main(["data", "--verify"]) == 1
    out, err = capsys.readouterr()
    assert "sentiment: unusable: " in out
    assert "not as expected: sentiment" in err


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({}, ["run", "--profile", "full"], "the asset 'flickr8k' is missing"),
        ({}, ["run", "captioning", "--dataset", "coco"], "the asset 'coco' is missing"),
        ({"RNNREPORT_DATA": "/nowhere"}, ["data"], "RNNREPORT_DATA is set to '/nowhere'"),
        ({"RNNREPORT_DATA": "/nowhere"}, ["data", "fetch"], "RNNREPORT_DATA is set to '/nowhere'"),
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
    monkeypatch.setattr(parts, "plan", PLAN)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("rnnreport: ")
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [(DataFormatError("line 3"), 1, "line 3"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_errors_of_an_experiment(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    message: str,
) -> None:
    def fail(_config: ByHeartConfig) -> Result:
        raise error

    monkeypatch.setattr(by_heart, "run", fail)
    assert main(["run"]) == status
    assert capsys.readouterr().err == f"  about a minute\nrnnreport: {message}\n"


def test_without_a_command_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: rnnreport")
    for command in ("run", "prepare", "record", "distil", "caption", "classify", "stylise", "data"):
        assert re.search(rf"^ +{command} ", out, re.MULTILINE)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"rnnreport {version('rnnreport')}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["walk"],
        ["run", "painting"],
        ["run", "--workers", "0"],
        ["prepare", "--workers", "many"],
        ["run", "--profile", "half"],
        ["run", "captioning", "--cell", "gru"],
        ["run", "captioning", "--dataset", "mnist"],
        ["run", "text", "--cell", "lstm"],
        ["run", "--dataset", "coco"],
        ["run", "captioning", "--cell", "lstm", "--dataset", "coco"],
        ["run", "captioning", "--profile", "sample", "--dataset", "coco"],
        ["prepare", "--pages", "text", "nosuch"],
        ["data", "walk"],
        ["data", "fetch", "imagenet"],
        ["caption"],
        ["caption", "a.png", "--network", "gru"],
        ["classify", "--model", "perceptron"],
        ["classify", "file.txt"],
        ["stylise", "a.png", "b.png"],
        ["stylise", "a.png", "b.png", "--out", "c.gif"],
        ["stylise", "a.png", "b.png", "--out", "/nowhere/c.png"],
        ["stylise", "a.png", "b.png", "--out", "c.png", "--side", "31"],
        ["stylise", "a.png", "b.png", "--out", "c.png", "--side", "many"],
        ["stylise", "a.png", "b.png", "--out", "c.png", "--content-weight", "-1"],
        ["stylise", "a.png", "b.png", "--out", "c.png", "--content-weight", "nan"],
        ["stylise", "a.png", "b.png", "--out", "c.png", "--network", "alexnet"],
    ],
)
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    usage, _, error = capsys.readouterr().err.partition("error: ")
    assert usage.startswith("usage: rnnreport")
    reasons = (*(f"{word} is for" for word in arguments), "are required", "no folder '/nowhere'")
    assert any(reason in error for reason in (arguments[-1], *reasons))


@pytest.mark.parametrize("network", ["lstm", "attention"])
def test_caption(tmp_path: Path, capsys: pytest.CaptureFixture[str], network: CellType) -> None:
    paths = []
    for name, mode, size in (("a.png", "RGBA", (60, 40)), ("b.jpg", "L", (50, 70))):
        paths.append(str(tmp_path / name))
        Image.effect_noise(size, 60).convert(mode).save(paths[-1])
    assert main(["caption", *paths, "--network", network]) == 1
    error = capsys.readouterr().err
    assert f"no trained model '{network}' is stored" in error
    assert f"`rnnreport train captioning --cell {network}` trains it" in error
    assert "in about half a minute, on generated samples" in error
    assert "`rnnreport data fetch flickr8k`" in error
    captioning_training.run(
        CaptionConfig(
            cell_type=network,
            profile="sample",
            n_train=8,
            n_val=2,
            n_test=2,
            hidden_dim=8,
            epochs=1,
        )
    )
    assert main(["caption", *paths, "--network", network]) == 0
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == paths
    assert f"rnnreport: {network}, trained on generated scenes" in err
    assert "has seen drawn scenes only" in err
    (tmp_path / "d.jpg").write_text("no image")
    some = [str(tmp_path / "c.png"), paths[0], str(tmp_path / "d.jpg"), paths[1]]
    assert main(["caption", *some, "--network", network]) == 1
    again = capsys.readouterr()
    assert again.out == out  # those that can be read have the captions that they had
    assert "c.png is missing" in again.err
    assert "d.jpg: not a readable image" in again.err
    assert main(["caption", some[0], "--network", network]) == 1
    assert "c.png is missing: expected a picture" in capsys.readouterr().err
    assert main(["caption", paths[0], "--network", network, "--profile", "full"]) == 1
    assert "--profile full` trains it" in capsys.readouterr().err


def test_the_network_of_the_package_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cat.png"
    load_photograph("cat").save(path)
    assert main(["caption", str(path)]) == 0
    out, err = capsys.readouterr()
    name, _, caption = out.partition(": ")
    assert name == str(path)
    assert len(caption.split()) > 3
    assert err.startswith("rnnreport: attention, trained on photographs of Flickr8k")
    # What is asked for is never the package's.
    for arguments in (["--network", "attention"], ["--profile", "auto"]):
        assert main(["caption", str(path), *arguments]) == 1
        assert "no trained model 'attention' is stored" in capsys.readouterr().err
    monkeypatch.setenv("RNNREPORT_PROFILE", "sample")
    assert main(["caption", str(path)]) == 1
    assert "--profile sample` trains it" in capsys.readouterr().err


def test_the_model_of_the_package_classifies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, b"the food was delicious and i loved it !\nthe worst service ever .\n")
    assert main(["classify"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[1] for line in out.splitlines()] == ["positive", "negative"]
    assert err.startswith("rnnreport: lstm, trained on ")
    say(monkeypatch, b"good")
    assert main(["classify", "--model", "lstm"]) == 1
    assert "no trained model 'lstm' is stored" in capsys.readouterr().err


@pytest.mark.parametrize("mode", MODES)
def test_predict(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mode: Mode,
) -> None:
    few = functools.partial(generate_insects, size=48, train=(6, 6), val=(2, 2))
    monkeypatch.setattr("rnnreport.experiments.transfer.data.generate_insects", few)
    picture = str(tmp_path / "a.png")
    Image.effect_noise((60, 40), 60).save(picture)
    asked = ["predict", "ants-and-bees", picture, str(tmp_path / "b.png"), "--mode", mode]
    assert main(asked) == 1
    error = capsys.readouterr().err
    assert f"no trained model '{mode}' is stored" in error
    assert f"`rnnreport train transfer --mode {mode}` trains it" in error
    transfer_training.run(
        TransferConfig(
            mode=mode,
            profile="sample",
            backbone="embedded",
            sizes=(32,),
            decays=(1e-2,),
            epochs=2,
            view_size=32,
            views=2,
            finetune_epochs=1,
            cut=5,
            rates=(1e-3,),
        )
    )
    assert main(asked) == 1  # the second picture is missing
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"{re.escape(picture)}: (ants|bees) (0\.[5-9]\d\d|1\.000)\n", out)
    assert "it knows ants and bees alone" in err
    assert "has seen drawn insects only" in err
    assert "b.png is missing" in err


@pytest.mark.parametrize(
    ("arguments", "config"),
    [
        (["captioning"], ("attention", 0)),
        (["captioning", "--cell", "lstm", "--seed", "4"], ("lstm", 4)),
        (["text", "--model", "bag"], ("bag", 0)),
        (["transfer", "--mode", "finetuned", "--seed", "2"], ("finetuned", 2)),
    ],
)
def test_train_trains_one_network(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    config: tuple[str, int],
) -> None:
    metrics = {"epochs": 2.0, "best_epoch": 1.0, "test_accuracy": 0.75, "last_accuracy": 0.75}
    details = {"test": [{"truth": [["a", "dog"]], "greedy": ["a", "dog"], "beam": ["a"]}]}
    asked: list[Any] = []

    def run(config: Any) -> Any:
        asked.append(config)
        return SimpleNamespace(
            metrics=metrics,
            details=details,
            data={"name": "drawings", "amount": "7 of them"},
            history={"train_loss": [1.0, 0.5]},
            wall_time=12.34,
            date="2026-01-02T03:04:05+00:00",
        )

    for training in (captioning_training, text_training, transfer_training):
        monkeypatch.setattr(training, "run", run)
    assert main(["train", *arguments]) == 0
    [only] = asked
    name = next(
        getattr(only, field) for field in ("cell_type", "model", "mode") if hasattr(only, field)
    )
    assert (name, only.seed) == config
    assert only.profile == "sample"
    out = capsys.readouterr().out
    assert f"{config[0]}, seed {config[1]}, on drawings: 7 of them" in out
    assert "in 12.3 s, 2026-01-02" in out
    assert "Ask it: " in out


def test_train_names_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = SimpleNamespace(
        metrics={"last_accuracy": 0.75},
        data={"name": "drawings", "amount": "7 of them"},
        history={"train_loss": [1.0]},
        wall_time=1.0,
        date="2026-01-02T03:04:05+00:00",
    )
    monkeypatch.setattr(transfer_training, "run", lambda _config: result)
    monkeypatch.setattr(
        "rnnreport.experiments.transfer.data.transfer_data",
        lambda *_: SimpleNamespace(left_out=("gone.jpg", "notes.txt")),
    )
    assert main(["train", "transfer"]) == 0
    assert "  left out    gone.jpg, notes.txt" in capsys.readouterr().out


def test_the_profile_of_the_environment_holds_for_what_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train()
    monkeypatch.setenv("RNNREPORT_PROFILE", "full")
    say(monkeypatch, b"good\n")
    assert main(["classify", "--model", "bag"]) == 1  # one on the sample is there
    assert "--profile full" in capsys.readouterr().err
    monkeypatch.setenv("RNNREPORT_PROFILE", "foo")
    assert main(["classify", "--model", "bag"]) == 1
    assert (
        "RNNREPORT_PROFILE must be one of full, sample, auto, got 'foo'" in capsys.readouterr().err
    )


def test_an_error_of_the_system_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", "some/file.txt")

    monkeypatch.setattr(parts, "plan", refuse)
    assert main(["run", "text"]) == 1
    assert capsys.readouterr().err == "rnnreport: some/file.txt: Permission denied\n"


def test_the_version_is_looked_up_when_it_is_asked_for() -> None:
    code = (
        "import rnnreport, sys; print('importlib.metadata' in sys.modules, rnnreport.__version__)"
    )
    assert output_of(code).split() == ["False", version("rnnreport")]


@pytest.mark.parametrize("seed", ["-1", "x", str(2**64)])
def test_train_refuses_what_is_no_seed(capsys: pytest.CaptureFixture[str], seed: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "text", "--seed", seed])
    assert caught.value.code == 2
    assert "argument --seed: " in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".png", ".JPG"])
def test_stylise(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
) -> None:
    asked: list[Any] = []
    usual = models_style.stylise

    def quick(*arguments: Any, levels: Any, label: str, margin: int) -> models_style.Stylised:
        asked.extend([arguments[2].name, arguments[3].content, levels, label, margin > 0])
        return usual(*arguments, levels=[levels[-1]._replace(steps=2)], margin=margin)

    monkeypatch.setattr(models_style, "stylise", quick)
    for name, mode, size in (("content.png", "RGBA", (60, 40)), ("painting.png", "L", (50, 70))):
        Image.effect_noise(size, 60).convert(mode).save(tmp_path / name)
    content, painting, out = (
        str(tmp_path / name) for name in ("content.png", "painting.png", f"out{suffix}")
    )
    status = main(
        ["stylise", content, painting, "--out", out, "--side", "64", "--content-weight", "0.5"]
    )
    assert status == 0
    assert asked == ["embedded", 0.5, ((32, 60), (64, 60)), "stylising, embedded", True]
    message, error = capsys.readouterr()
    assert message.startswith(f"{out}: 96 × 64 pixels by embedded in ")
    assert message.count("\n") == 1
    assert "the style" in message.split("; ")[1]
    assert error == ""  # the result is larger than the picture
    with Image.open(out) as made:
        assert made.size == (96, 64)
        assert made.format == ("PNG" if suffix == ".png" else "JPEG")


@pytest.mark.parametrize("lost", ["content.png", "painting.png"])
def test_stylise_does_not_take_the_place_of_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    paths = [tmp_path / name for name in ("content.png", "painting.png")]
    for path in paths:
        Image.new("RGB", (50, 40)).save(path)
    kept = (tmp_path / lost).read_bytes()
    out = tmp_path / "." / lost
    assert main(["stylise", *map(str, paths), "--out", str(out), "--side", "32"]) == 1
    assert f"--out must be another file than {tmp_path / lost}" in capsys.readouterr().err
    assert (tmp_path / lost).read_bytes() == kept


def test_what_would_steer_a_terminal_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = b"the food was good \x1b[31m\x07 .\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert main(["classify"]) == 0
    out, err = capsys.readouterr()
    assert "the food was good" in out
    assert not {"\x1b", "\x07"} & set(out + err)


@pytest.mark.parametrize("colour", [(0, 0, 0), (9, 200, 30)])
def test_stylise_says_that_a_picture_is_in_the_style_already(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], colour: tuple[int, int, int]
) -> None:
    path = str(tmp_path / "flat.png")
    Image.new("RGB", (50, 40), colour).save(path)
    assert main(["stylise", path, path, "--out", str(tmp_path / "out.png"), "--side", "32"]) == 0
    message, error = capsys.readouterr()
    assert message.endswith("; the picture was in this style from the beginning\n")
    assert (
        error
        == f"""rnnreport: {path} has 50 × 40 pixels and is painted with 40 × 32: \
--side 40 keeps its size and takes about 1.6 times as long
"""
    )


@pytest.mark.parametrize(
    ("before", "left", "words"),
    [
        (0.0, math.nan, "the picture was in this style from the beginning"),
        (1e-13, 4.1e9, "the picture was in this style from the beginning"),
        (1.5, 0.0, "close to the style (less than 0.1 % of the difference in style is left)"),
        (1.5, 0.0028, "close to the style (0.3 % of the difference in style is left)"),
        (1.5, 0.0101, "near the style (1.0 % of the difference in style is left)"),
        (1.5, 0.2, "part of the way to the style (20.0 % of the difference in style is left)"),
        (1.5, 0.8, "far from the style: a smaller --content-weight may bring it nearer"),
        (1.5, 3.0, "far from the style: a smaller --content-weight may bring it nearer"),
        (math.nan, math.nan, "far from the style: a smaller --content-weight may bring it nearer"),
    ],
)
def test_how_near_a_style_is(before: float, left: float, words: str) -> None:
    assert apply._nearness(before, left) == words


@pytest.mark.parametrize(
    ("size", "painted", "remedy"),
    [
        ((600, 400), (384, 256), "--side 400 keeps its size and takes about 2.4 times as long"),
        ((6000, 4000), (384, 256), "--side 2048 is the most and takes about 64 times as long"),
        ((3000, 2048), (47, 32), "--side 2048 keeps its size and takes about 4096 times as long"),
        ((6000, 4000), (3072, 2048), None),
        ((384, 256), (384, 256), None),
        ((96, 64), (384, 256), None),
        ((20, 10), (64, 32), None),
    ],
)
def test_a_result_that_is_smaller_than_the_picture(
    capsys: pytest.CaptureFixture[str],
    size: tuple[int, int],
    painted: tuple[int, int],
    remedy: str | None,
) -> None:
    apply._compare_sizes(Path("dog.jpg"), size, painted)
    start = f"rnnreport: dog.jpg has {size[0]} × {size[1]} pixels and is painted with "
    expected = f"{start}{painted[0]} × {painted[1]}: {remedy}\n" if remedy else ""
    assert capsys.readouterr() == ("", expected)


@pytest.mark.parametrize(
    ("content", "network", "message"),
    [
        ("no image", None, "content.jpg: not a readable image"),
        (None, None, "content.jpg is missing"),
        (b"", "vgg19", "content.jpg: not a readable image"),
    ],
)
def test_stylise_names_what_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | bytes | None,
    network: str | None,
    message: str,
) -> None:
    path = tmp_path / "content.jpg"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    extra = [] if network is None else ["--network", network]
    out = tmp_path / "out.png"
    assert main(["stylise", str(path), str(path), "--out", str(out), *extra]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_stylise_without_the_network_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "content.png"
    Image.new("RGB", (40, 40)).save(path)
    arguments = [str(path), str(path), "--out", str(tmp_path / "out.png"), "--network", "vgg19"]
    assert main(["stylise", *arguments]) == 1
    assert "the asset 'vgg19' is missing" in capsys.readouterr().err


WEIGHTS = {"good": 2.0, "n't": -3.0, "soup": 0.25, "the": 0.0, "was": 0.0, ".": 0.0}


def train(weights: Mapping[str, float] = WEIGHTS, profile: ResolvedProfile = "sample") -> Result:
    """Store a bag of words as if it had been trained."""
    words = "\n".join([*Vocabulary.SPECIAL, *weights])
    tensors = {
        "words": torch.frombuffer(bytearray(words.encode()), dtype=torch.uint8),
        "model.weight": torch.tensor([0.0, 0.0, *weights.values()])[:, None],
        "model.bias": torch.tensor([0.5]),
    }
    return store_result(
        "rnnreport.experiments.text.training",
        TextConfig(model="bag", profile=profile, vectors="none", wordvec_dim=1),
        data={"name": f"pretended {profile} sentences", "fingerprint": ""},
        seeds={},
        device="CPU",
        compute=lambda: Outcome({}, {}, {}, tensors),
    )


def say(monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    """Put something into the standard input: bytes, or pieces that come one after the other."""
    if isinstance(content, bytes):
        stream: Any = io.BytesIO(content)
    else:
        pieces = iter(content)
        stream = SimpleNamespace(read1=lambda _size: next(pieces, b""))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))


def test_distil_writes_the_weights_and_says_how_well_they_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {
        "wall_time": 120.0,
        "maps": {"relu1_1": {"features": 0.25, "gram": 0.125}},
        "judged": [{"painting": "Night", "content": "Town", "embedded": 0.02, "untrained": 0.3}],
    }
    network = EmbeddedNetwork(torch.Generator().manual_seed(0))
    monkeypatch.setattr(distillation, "distil", lambda _config: Distillation(network, record))
    path = tmp_path / "small.safetensors"
    assert main(["distil", "--out", str(path)]) == 0
    assert path.stat().st_size < 1_000_000
    out = capsys.readouterr().out
    assert "trained in 2 minutes" in out
    assert "relu1_1    features 2.5e-01, Gram matrix 1.2e-01" in out
    assert "0.0200, untrained 0.3000" in out


def test_distil_without_photographs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distil", "--out", str(tmp_path / "small.safetensors")]) == 1
    assert "the asset 'flickr8k' is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["distil", "--out", "small.pth"])
    assert "must end with .safetensors, got 'small.pth'" in capsys.readouterr().err


DRAWN = (
    "rnnreport: this network has seen generated sentences only: what it says of others means little"
)
UNKNOWN = (
    "rnnreport: the model does not know ! (1), xyzzy (1), plügh (1): it reads each as any other "
    "unknown word"
)


def test_classify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    result = train()
    say(monkeypatch, "The soup wasn't good!\n\ngood good\r\n \t\nXyzzy Plügh\nthe".encode())
    assert main(["classify", "--model", "bag"]) == 0
    captured = capsys.readouterr()
    # The bias is 0.5; a word counts once, and one that is not known nothing.
    assert captured.out.splitlines() == [
        "0.438 negative  the soup was n't good !",
        "0.924 positive  good good",
        "  –   no known word  xyzzy plügh",
        "0.622 positive  the",
    ]
    assert captured.err.splitlines() == [
        f"rnnreport: bag, trained on pretended sample sentences ({result.date[:10]})",
        DRAWN,
        "rnnreport: line 2 is empty and left out",
        "rnnreport: line 4 is empty and left out",
        UNKNOWN,
    ]


def test_classify_answers_line_by_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train()

    def talk() -> Iterator[bytes]:
        assert capsys.readouterr().out == ""
        yield b"the soup .\n"
        assert capsys.readouterr().out == "0.679 positive  the soup .\n"
        yield b"was n't\n"
        assert capsys.readouterr().out == "0.076 negative  was n't\n"

    say(monkeypatch, talk())
    assert main(["classify", "--model", "bag"]) == 0
    say(monkeypatch, b"")
    assert main(["classify", "--model", "bag"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_classify_reads_lines_however_they_end_and_come(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], end: bytes
) -> None:
    train()
    content = end.join([b"good", b"good good", b"good"])
    for size in (1, 3, 1000):
        say(monkeypatch, [content[k : k + size] for k in range(0, len(content), size)])
        assert main(["classify", "--model", "bag"]) == 0
        words = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()]
        assert words == ["good", "good good", "good"]


@pytest.mark.parametrize(
    ("model", "method", "answer", "arguments"),
    [
        ("captioning", "features", torch.zeros(1, 2), ["caption", "--network", "attention"]),
        ("captioning", "captions", [["a", "dog"]], ["caption", "--profile", "auto"]),
        ("transfer", "probabilities", torch.tensor([[0.25, 0.75]]), ["predict", "ants-and-bees"]),
        ("text", "probabilities", torch.tensor([0.75]), ["classify", "--model", "lstm"]),
    ],
)
def test_a_network_answers_in_one_thread(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    method: str,
    answer: Any,
    arguments: list[str],
) -> None:
    threads: list[int] = []

    def answered(_asked: object) -> Any:
        threads.append(torch.get_num_threads())
        return answer

    network = MagicMock(**{f"{method}.side_effect": answered})
    network.captions.return_value = [["a", "dog"]]
    network.unknown.return_value = []
    network.classes = ("ants", "bees")
    monkeypatch.setattr(f"rnnreport.experiments.{model}.trained.latest", lambda *_: network)
    say(monkeypatch, b"good")
    if model != "text":
        Image.effect_noise((60, 40), 60).save(tmp_path / "a.png")
        arguments = [*arguments, str(tmp_path / "a.png")]
        arguments.insert(-1, str(tmp_path / ("a" * 300)))  # keeps no other picture from its answer
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert main(arguments) == int(model != "text")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert threads == [1]


def test_classify_names_few_of_many_unknown_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train()
    say(monkeypatch, " ".join(["good", "zork", *(f"w{k}" for k in range(14)), "zork"]).encode())
    assert main(["classify", "--model", "bag"]) == 0
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("rnnreport: the model does not know zork (2), w0 (1), ")
    assert " and 5 more: " in last


def test_classify_with_standard_input_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["classify"]) == 1
    assert "standard input is closed" in capsys.readouterr().err


def test_classify_takes_the_model_of_a_profile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train()
    train({"good": -9.0}, "full")
    for arguments, label in (([], "0.000 negative"), (["--profile", "sample"], "0.924 positive")):
        say(monkeypatch, b"good")
        assert main(["classify", "--model", "bag", *arguments]) == 0
        assert capsys.readouterr().out == f"{label}  good\n"


def test_classify_refuses_other_encodings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train()
    say(monkeypatch, b"good\n\ncaf\xe9\ngood\n")
    assert main(["classify", "--model", "bag"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "0.924 positive  good\n"
    assert "rnnreport: standard input, line 3: not UTF-8" in captured.err.splitlines()[-1]
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "model", "hint"),
    [
        (["--profile", "auto"], "lstm", "`rnnreport train text --model lstm`"),
        (["--model", "rnn"], "rnn", "`rnnreport train text --model rnn`"),
        (
            ["--model", "bag", "--profile", "full"],
            "bag",
            "`rnnreport train text --model bag --profile full`",
        ),
    ],
)
def test_classify_without_a_model(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    model: str,
    hint: str,
) -> None:
    train()
    say(monkeypatch, b"good\n")
    assert main(["classify", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"rnnreport: no trained model {model!r} is stored")
    assert hint in captured.err


@pytest.mark.parametrize("change", [{"momentum": 0.9}, {"model": "rnn"}])
def test_classify_with_a_result_of_another_version(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
) -> None:
    result = train()
    changed = replace(result, config=result.config | change)
    (path,) = (tmp_path / "store").glob("text-*.json")
    path.write_text(changed.to_json(), encoding="utf-8")
    say(monkeypatch, b"good\n")
    assert main(["classify", "--model", changed.config["model"]]) == 1
    assert capsys.readouterr().err.startswith("rnnreport: ")


def test_data_as_a_program_needs_no_torch() -> None:
    code = (
        "import sys, runpy\n"
        "sys.argv = ['rnnreport', 'data']\n"
        "try: runpy.run_module('rnnreport', run_name='__main__')\n"
        "except SystemExit as ended: print('status', ended.code, 'torch' in sys.modules)\n"
    )
    assert output_of(code).splitlines()[-1] == "status 0 False"


# What surrounds the program


@pytest.mark.parametrize("kind", ["folder", "read-only"])
def test_an_output_that_cannot_be_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    monkeypatch.setattr(distillation, "distil", lambda _config: pytest.fail("computed"))
    path = tmp_path / "out.safetensors"
    if kind == "folder":
        path.mkdir()
    else:

        def refuse(**_options: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(SystemExit) as ended:
        main(["distil", "--out", str(path)])
    assert ended.value.code == 2
    message = {"folder": "is a folder", "read-only": "cannot be written to (Permission denied)"}
    assert message[kind] in capsys.readouterr().err


def test_a_store_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("RNNREPORT_STORE", str(tmp_path / "file" / "store"))
    assert main(["run", "captioning", "--profile", "sample", "--cell", "rnn"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"rnnreport: {tmp_path / 'file' / 'store'} cannot be written to (Not a")
    assert "RNNREPORT_STORE names another folder" in error


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (MemoryError(), "there is not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "not enough memory"),
        (FloatingPointError("the loss is nan"), "the loss is nan"),
        (BrokenProcessPool("a worker was terminated"), "most often for lack of memory"),
    ],
)
def test_what_may_happen_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: Exception,
    message: str,
) -> None:
    def fail(_config: object) -> Distillation:
        raise problem

    monkeypatch.setattr(distillation, "distil", fail)
    assert main(["distil", "--out", str(tmp_path / "a.safetensors")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_another_error_is_not_taken_for_a_lack_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_config: object) -> Distillation:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(distillation, "distil", fail)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        main(["distil", "--out", str(tmp_path / "a.safetensors")])


_PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run where it is ignored
from rnnreport.__main__ import entry
sys.exit(entry())
"""


def start(*arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    """Start the program; what it writes goes into pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        env=os.environ | settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_reader_that_goes_away_is_no_error() -> None:
    with start("data") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # as `head` does
        assert process.stderr.read() == b""
    assert process.returncode == 128 + 13


@pytest.mark.parametrize("module", ["rnnreport.cli.data", "torch", "torch.nn", "joblib"])
def test_an_interruption_is_quiet_while_modules_are_imported(module: str) -> None:
    hook = f"""
import os, signal, sys

class Interruption:
    def find_spec(self, name, *_others):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interruption())
"""
    arguments = ["run", "captioning", "--profile", "sample", "--workers", "1"]
    process = subprocess.run(
        [sys.executable, "-c", hook + _PROGRAM, *arguments], capture_output=True, check=False
    )
    assert (process.returncode, process.stdout) == (130, b"")
    assert process.stderr == b"rnnreport: interrupted\n"


@pytest.mark.skipif(os.name != "posix", reason="a shell closes it so")
def test_standard_output_that_is_closed_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} -m rnnreport data >&-"
    process = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (0, b"")


def test_names_that_the_encoding_does_not_have(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + "/ü\u4e00".encode() + b"\xff.jpg"
    process = start("caption", os.fsdecode(name), PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith(b"rnnreport: ")
    assert b"/\\xfc\\u4e00\xff.jpg is missing: expected a picture" in err
