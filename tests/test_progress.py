"""A progress bar is drawn where a person can see it, and nowhere else."""

import re
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

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


class Eager(tqdm):  # type: ignore[type-arg]
    """A bar that is drawn at each item, however soon it comes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"mininterval": 0.0})


def test_weights_are_the_work_that_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "progress"
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(target))
    monkeypatch.setattr("tqdm.tqdm", Eager)
    seen = []
    for item in track("abcd", "work", weights=[1, 3, 16, 60]):
        seen.append(item)
        text = target.read_text(encoding="utf-8")
        assert text.count("%") == len(seen), "what is yielded is not done yet"
    assert seen == list("abcd")
    text = target.read_text(encoding="utf-8")
    shares = [int(share) for share in re.findall(r"(\d+)%", text)]
    assert shares == [0, 1, 5, 25, 100, 100]  # once more when it is closed
    assert all(line.startswith("work:") for line in re.split(r"[\r\n]+", text.strip()))


def test_weights_are_as_many_as_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path / "progress"))
    with pytest.raises(ValueError, match="shorter"):
        list(track("abc", weights=[1, 1]))


def test_weights_are_silent_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RNNREPORT_PROGRESS", raising=False)
    assert list(track("abc", weights=[1, 2, 3])) == list("abc")
    assert capfd.readouterr() == ("", "")


def test_named_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path / "nowhere" / "progress"))
    with pytest.raises(OSError, match="nowhere"):
        list(track(range(3)))


def test_a_folder_in_place_of_a_file_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path))
    with pytest.raises(OSError, match=r"RNNREPORT_PROGRESS is set to .* cannot be written to"):
        list(track([1], "some work"))
