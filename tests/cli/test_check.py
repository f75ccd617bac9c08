"""`rnnreport check`: exit statuses, JSON, pages, and a sentence for whatever cannot be read."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from fresh_python import output_of
from implementations import UNFINISHED, implementation

from rnnreport.cli.main import main

MISTAKE = ("slope-twice", "c")
CHANGE = "The slope is"

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that holds a file of each kind."""
    monkeypatch.chdir(tmp_path)
    Path("right.py").write_text(implementation("functions", "rnn").text, "utf-8")
    wrong = implementation("functions", "lstm", (MISTAKE,))
    Path("wrong.py").write_text(wrong.text, "utf-8")
    Path("begun.py").write_text(UNFINISHED, "utf-8")
    Path("other.py").write_text("def add(a, b):\n    return a + b\n", "utf-8")
    Path("empty.py").touch()
    Path("bytes.py").write_bytes(b"\x00\x01")


@pytest.mark.parametrize(
    ("file", "status", "headline"),
    [
        ("right.py", 0, "right.py: all 9 functions are right (largest error "),
        ("wrong.py", 1, "wrong.py: 7 of 9 functions right, 2 wrong\n"),
        ("begun.py", 2, "begun.py: "),
        ("other.py", 2, "other.py: not checked\n"),
    ],
)
def test_the_status_is_the_result(capsys: Captured, file: str, status: int, headline: str) -> None:
    assert main(["check", file]) == status
    out, err = capsys.readouterr()
    assert out.startswith(headline)
    assert err == ""


def test_of_a_right_file_little_is_said(capsys: Captured) -> None:
    main(["check", "right.py"])
    assert len(capsys.readouterr().out.splitlines()) < 12


def test_of_a_wrong_file_line_and_change_are_said(capsys: Captured) -> None:
    main(["check", "wrong.py"])
    out = " ".join(capsys.readouterr().out.split())
    assert "line 28: dzg = dc * i * (1 - np.tanh(g) ** 2)" in out
    assert CHANGE in out
    main(["check", "wrong.py", "--explain", "less"])
    less = " ".join(capsys.readouterr().out.split())
    assert CHANGE not in less
    assert "line 28:" in less


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("gone.py", "there is no file gone.py"),
        ("empty.py", "empty.py is empty"),
        ("bytes.py", "bytes.py is no text"),
        (".", "a folder"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--json"], ["--html", "out.html"]])
def test_what_cannot_be_read_is_said_in_a_sentence(
    capsys: Captured, file: str, words: str, options: list[str]
) -> None:
    assert main(["check", file, *options]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("rnnreport: ")
    assert words in err
    assert err.count("\n") == 1
    if "--json" in options:
        assert words in json.loads(out)["problem"]
    if "--html" in options:
        assert words in Path("out.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--function", "forward"], "wrong.py: function must be one that is recognised (lstm_"),
        (["--hook", "gone.py"], "wrong.py: there is no file gone.py"),
    ],
)
def test_options_that_lead_nowhere(capsys: Captured, options: list[str], words: str) -> None:
    assert main(["check", "wrong.py", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"rnnreport: {words}")


def test_whatever_fails_a_reader_sees_no_traceback(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyError("Wx")

    monkeypatch.setattr("rnnreport.check.check", fails)
    assert main(["check", "right.py"]) == 2
    assert (
        capsys.readouterr().err == "rnnreport: right.py: the check itself failed (KeyError: 'Wx')\n"
    )


def test_one_function_alone(capsys: Captured) -> None:
    assert main(["check", "wrong.py", "--function", "lstm_step_forward"]) == 0
    assert "lstm_step_backward" not in capsys.readouterr().out


def test_json_has_all_and_nothing_else_is_printed(capsys: Captured) -> None:
    arguments = ["check", "wrong.py", "--json", "--html", "out.html", "--explain", "less"]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert Path("out.html").is_file()
    assert {name: type(value) for name, value in report.items()} == {
        "ok": bool,
        "exit_status": int,
        "name": str,
        "findings": list,
        "conventions": list,
        "repairs": list,
        "problem": str,
    }
    step = next(each for each in report["findings"] if each["status"] == "wrong")
    assert step["function"] == "lstm_step_backward"
    [cause] = step["causes"]
    assert (cause["key"], cause["line"], cause["equations"]) == ("slope-twice", 28, ["27"])
    assert CHANGE in cause["change"]
    db = next(each for each in step["outputs"] if each["name"] == "db")
    assert [gate for gate, error in db["gates"].items() if error > 1e-7] == ["candidate"]


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["right.py", "right.py"], 0),
        (["right.py", "begun.py"], 2),
        (["gone.py", "right.py"], 2),
        (["right.py", "wrong.py", "gone.py"], 1),
    ],
)
def test_of_several_files_the_worst_counts(capsys: Captured, names: list[str], status: int) -> None:
    assert main(["check", "--json", *names]) == status
    reports = json.loads(capsys.readouterr().out)
    assert [report["name"] for report in reports] == names


def test_files_of_one_name_in_several_folders_are_told_apart(capsys: Captured) -> None:
    names = ["ada/layers.py", "bob/layers.py"]
    for name in names:
        Path(name).parent.mkdir()
        Path(name).write_text(Path("right.py").read_text("utf-8"), "utf-8")
    assert main(["check", *names, "--html", "out.html"]) == 0
    out = capsys.readouterr().out
    for name in names:
        assert f"{name}: all 9 functions are right" in out
        assert f"{name}: all 9 functions are right" in Path("out.html").read_text("utf-8")
    assert "\n\nbob/" in out
    assert out.endswith(f"Open {Path('out.html').absolute().as_uri()}\n")


@pytest.mark.parametrize("explain", ["full", "less"])
def test_the_page_explains_as_much_as_the_text(explain: str) -> None:
    main(["check", "wrong.py", "--explain", explain, "--html", "out.html"])
    assert (CHANGE in Path("out.html").read_text("utf-8")) == (explain == "full")


def test_a_page_that_cannot_be_written(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path, _: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("rnnreport.cli.check.write_whole", fails)
    assert main(["check", "right.py", "--html", "out.html"]) == 2
    out, err = capsys.readouterr()
    assert "Open" not in out
    assert err == "rnnreport: out.html: No space left on device\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["right.py", "--seconds", "0"],
        ["right.py", "--seconds", "inf"],
        ["right.py", "--seconds", "soon"],
        ["right.py", "--seed", "-1"],
        ["right.py", "--explain", "more"],
        ["right.py", "--html", "right.py"],
        ["right.py", "--html", "gone/out.html"],
    ],
    ids=" ".join,
)
def test_wrong_arguments(capsys: Captured, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["check", *arguments])
    assert raised.value.code == 2
    assert "rnnreport check: error: " in capsys.readouterr().err


def test_a_file_whose_name_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "\udcff<title>.py"
    Path("right.py").rename(name)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    assert main(["check", name, "--html", "out.html"]) == 0
    assert "\\udcff&lt;title&gt;.py: all 9" in Path("out.html").read_text("utf-8")


def test_the_parser_needs_no_torch() -> None:
    program = "import sys, rnnreport.cli.check; print('torch' in sys.modules)"
    assert output_of(program) == "False\n"
