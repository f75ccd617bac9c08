"""Paths that the environment names."""

from pathlib import Path

import pytest

from rnnreport._files import path_setting, store_folder


def test_a_path_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for value, path in (
        ("~/x", tmp_path / "x"),
        ("~", tmp_path),
        ("y/z", tmp_path / "y" / "z"),
        ("/w", Path("/w")),
    ):
        monkeypatch.setenv("RNNREPORT_STORE", value)
        assert path_setting("RNNREPORT_STORE") == store_folder() == path
    monkeypatch.setenv("RNNREPORT_STORE", "")
    assert path_setting("RNNREPORT_STORE") is None
    assert store_folder().is_absolute()


def test_a_home_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_DATA", "~nobody-is-called-so/x")
    with pytest.raises(OSError, match="RNNREPORT_DATA is set to '~nobody-is-called-so/x'"):
        path_setting("RNNREPORT_DATA")
