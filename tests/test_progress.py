"""A progress bar is drawn where a person can see it, and nowhere else."""

from pathlib import Path

import pytest

from rnnreport.progress import track


def test_silent_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RNNREPORT_PROGRESS", raising=False)
    assert list(track(range(3), "work")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_draws_in_the_named_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "progress"
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(target))
    assert list(track((item for item in "abc"), "work", total=3)) == ["a", "b", "c"]
    text = target.read_text(encoding="utf-8")
    assert "work" in text
    assert "3/3" in text
    assert capfd.readouterr() == ("", "")


def test_draws_in_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RNNREPORT_PROGRESS", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(track(range(4), "work")) == [0, 1, 2, 3]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "work" in captured.err
    assert "4/4" in captured.err


def test_named_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path / "nowhere" / "progress"))
    with pytest.raises(OSError, match="nowhere"):
        list(track(range(3)))
