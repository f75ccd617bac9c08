"""Files of weights are read without executing anything; errors name the file."""

import gzip
import math
import os
from pathlib import Path
from zipfile import ZipFile

import pytest
import safetensors.torch
import torch
from torch import nn

from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.data.weights import check_finite, load_into, load_torchvision, read_weights

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2], dtype=torch.int64)}


def write(path: Path, state: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt"])
def test_reads_what_was_written(tmp_path: Path, suffix: str) -> None:
    state = read_weights(write(tmp_path / f"w.{suffix}", STATE))
    assert state.keys() == STATE.keys()
    for name, value in STATE.items():
        assert state[name].dtype == value.dtype
        assert torch.equal(state[name], value)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02}no pickle", b"PK\x03\x04 zip"])
def test_other_files_are_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataFormatError, match=rf"w\.{suffix}: not a file of weights"):
        read_weights(path)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"w.{suffix}", STATE)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataFormatError, match="not a file of weights"):
        read_weights(path)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1.0}, {1: torch.zeros(1)}, torch.zeros(2)])
def test_something_else_than_tensors_by_name(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(DataFormatError, match="expected tensors by name"):
        read_weights(tmp_path / "w.pth")


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(os.environ["RNNREPORT_TEST_BOMB"]),)  # type: ignore[return-value]


def test_executes_nothing_that_a_file_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNREPORT_TEST_BOMB", str(tmp_path / "went off"))
    torch.save({"a": _Bomb()}, tmp_path / "w.pth")
    with pytest.raises(DataFormatError, match="not a file of weights"):
        read_weights(tmp_path / "w.pth")
    assert not (tmp_path / "went off").exists()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"a" * 99, mtime=0), "it is a gzip archive: unpack it first"),
        (b"\n<!DOCTYPE html>\n<html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, suffix: str, content: bytes, words: str) -> None:
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataFormatError, match=f"not a file of weights .*{words}"):
        read_weights(path)


def test_a_zip_archive_in_place_of_weights(tmp_path: Path) -> None:
    for suffix, words in (("safetensors", "unpack it first"), ("pth", "not as torch.save writes")):
        path = tmp_path / f"w.{suffix}"
        with ZipFile(path, "w") as archive:
            archive.writestr("a", "b")
        with pytest.raises(DataFormatError, match=f"a zip archive.*{words}"):
            read_weights(path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite(tmp_path: Path, dtype: torch.dtype, number: float) -> None:
    state = STATE | {"c": torch.tensor([[0, number]], dtype=dtype)}
    for suffix in ("safetensors", "pth"):
        path = write(tmp_path / f"w.{suffix}", state)
        with pytest.raises(DataFormatError, match=r"w\..*: c holds NaN or infinity in 1 of 2 num"):
            read_weights(path)
    with pytest.raises(DataFormatError, match="a store: c"):
        check_finite(state, "a store")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_missing_files(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(MissingDataError, match=rf"w\.{suffix} is missing: expected a file of wei"):
        read_weights(tmp_path / f"w.{suffix}")


def test_loads_into_a_network(tmp_path: Path) -> None:
    given, network = nn.Linear(3, 2), nn.Linear(3, 2)
    path = write(tmp_path / "w.pth", given.state_dict())
    load_into(network, path, "a line")
    assert torch.equal(network.weight, given.weight)
    for other in (nn.Linear(3, 3), nn.Linear(3, 2, bias=False)):
        with pytest.raises(DataFormatError, match=r"(?s)w\.pth: not the weights of a line"):
            load_into(other, path, "a line")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_loads_a_network_of_torchvision(tmp_path: Path, mobilenet: nn.Module, suffix: str) -> None:
    path = write(tmp_path / f"w.{suffix}", mobilenet.state_dict())
    state = torch.random.get_rng_state()
    loaded = load_torchvision("mobilenet_v2", path)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not loaded.training
    assert not any(param.requires_grad for param in loaded.parameters())
    for name, value in mobilenet.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_refuses_weights_of_another_network(tmp_path: Path, mobilenet: nn.Module) -> None:
    state = mobilenet.state_dict()
    state.pop("classifier.1.bias")
    path = write(tmp_path / "w.safetensors", state)
    with pytest.raises(DataFormatError, match=r"(?s)not the weights of mobilenet_v2.*classifier"):
        load_torchvision("mobilenet_v2", path)
