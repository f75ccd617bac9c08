"""The project's commands: what stands in their way is said first, in one sentence."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any, NoReturn

import pytest


class Session:
    """Stands in for nox's."""

    def error(self, text: str) -> NoReturn:
        raise RuntimeError(text)


@pytest.fixture
def noxfile() -> Any:
    return _noxfile()


@functools.cache  # nox refuses to register its sessions twice
def _noxfile() -> Any:
    spec = importlib.util.spec_from_file_location(
        "noxfile", Path(__file__).parents[1] / "noxfile.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["_build", "api"])
def test_pages_that_cannot_be_written(
    noxfile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(noxfile, "DOCS", tmp_path)
    monkeypatch.setattr(noxfile, "BUILD", tmp_path / "_build")
    with noxfile.alone(Session(), "builds"):
        assert (tmp_path / "_build/lock").exists()
    for path in sorted((tmp_path / name).iterdir()):
        path.unlink()
    (tmp_path / name).rmdir()
    (tmp_path / name).touch()  # as good as a folder that is read-only, and for root too
    with (
        pytest.raises(RuntimeError, match=f"{name} cannot be written to .*: pages are built there"),
        noxfile.alone(Session(), "builds"),
    ):
        pass
