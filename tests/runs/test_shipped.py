"""The networks that the package brings along are whole, small, and hold no data of others."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stored import store_result

from rnnreport.data.assets import DataFormatError
from rnnreport.data.photographs import PHOTOGRAPHS, load_photograph
from rnnreport.experiments.captioning import trained as captioning
from rnnreport.experiments.captioning.settings import CaptionConfig, default_config
from rnnreport.experiments.text import trained as text
from rnnreport.runs import shipped
from rnnreport.runs.shipped import NAMES, load_shipped, write_shipped
from rnnreport.runs.store import Outcome

FOLDER = shipped._folder()


def test_the_folder_holds_the_networks_and_what_is_to_be_said_of_them() -> None:
    files = {f"{name}.{suffix}" for name in NAMES for suffix in ("json", "safetensors")}
    assert {path.name for path in FOLDER.iterdir()} == files | {"README.md"}
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"`{name}`" in readme
        assert sum(path.stat().st_size for path in FOLDER.glob(f"{name}.*")) <= 8_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_network_says_where_it_comes_from(name: str) -> None:
    result, tensors = load_shipped(name)
    packed = (FOLDER / f"{name}.safetensors").read_bytes()
    assert result.tensors == hashlib.sha256(packed).hexdigest()
    assert result.config["profile"] == "full"
    assert "research use" in result.data["terms"]
    assert set(result.details) <= {"words"}
    assert not result.history
    assert all(t.dtype in (torch.float32, torch.uint8) for t in tensors.values())


def test_the_captioner_is_the_one_of_the_page() -> None:
    config = captioning.shipped().config
    official = replace(
        default_config("attention", profile="full", seed=config.seed),
        n_train=5927,
        n_val=992,
        n_test=1000,
    )
    assert config == official  # says on how many photographs it was trained


def test_the_captioner_captions_photographs() -> None:
    captioner = captioning.shipped()
    captions = captioner.captions(captioner.features(map(load_photograph, PHOTOGRAPHS)))
    assert all(4 <= len(words) <= 20 for words in captions)
    assert len(set(captions)) > len(captions) / 2  # it looks at them
    again = captioner.captions(captioner.features([load_photograph("cat")]))
    assert again == [captions[list(PHOTOGRAPHS).index("cat")]]


def test_the_classifier_classifies() -> None:
    classifier = text.shipped()
    good, bad = classifier.probabilities(
        [["the", "food", "was", "great", "!"], ["terrible", "service", "."]]
    )
    assert good > 0.9
    assert bad < 0.1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the package's networks lie in a folder of the test's own."""
    monkeypatch.setattr(shipped, "_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.usefixtures("store")
def test_what_is_written_is_read(folder: Path) -> None:
    tensors = {"model.W": torch.tensor([1.0, 1 / 3]), "words": torch.tensor([1, 2]).byte()}
    details = {"words": ["a"], "val": ["what people wrote"]}
    result = store_result(
        "rnnreport.experiments.captioning.training",
        CaptionConfig(profile="sample"),
        data={"profile": "sample", "fingerprint": "f"},
        seeds={},
        device="CPU",
        compute=lambda: Outcome({"loss": [1.0]}, {"val_loss": 1.0}, details),
    )
    path = write_shipped("captioner", result, tensors, terms="none", details=("words",))
    assert path == folder / "captioner.json"
    read, again = load_shipped("captioner")
    assert read == replace(
        result,
        data=result.data | {"terms": "none"},
        history={},
        details={"words": ["a"]},
        tensors=read.tensors,
    )
    torch.testing.assert_close(again["model.W"], tensors["model.W"], rtol=1e-3, atol=0)
    assert again["model.W"].dtype == torch.float32
    assert torch.equal(again["words"], tensors["words"])
    assert "what people wrote" not in json.dumps(path.read_text())

    (folder / "captioner.safetensors").write_bytes(b"other")
    with pytest.raises(DataFormatError, match=r"not the file that belongs to captioner\.json"):
        load_shipped("captioner")
    path.write_text("{}")
    with pytest.raises(DataFormatError, match="not a network of this package"):
        load_shipped("captioner")
    path.unlink()
    with pytest.raises(DataFormatError, match="not a network of this package"):
        load_shipped("captioner")
