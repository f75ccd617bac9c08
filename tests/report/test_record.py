"""Records of the full run: they fit the code, they can be read, and pages show them as recorded."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rnnreport.asked import ASKED
from rnnreport.cli.main import main
from rnnreport.data.assets import ASSETS, NEEDS, DataFormatError, MissingDataError
from rnnreport.experiments.text import settings as text_settings
from rnnreport.names import PARTS, PartName
from rnnreport.report import overview, recording
from rnnreport.report import page as page_module
from rnnreport.report import recorded as recorded_figures
from rnnreport.report.findings import Findings
from rnnreport.report.page import Page
from rnnreport.report.parts import code_of, runs_of
from rnnreport.report.record import (
    Exhibit,
    Finding,
    Pictures,
    Record,
    Run,
    check_record_folder,
    load_record,
    record_folder,
    write_record,
)
from rnnreport.report.recorded import description
from rnnreport.runs.store import Result
from rnnreport.show.figures import StoredFigure
from rnnreport.show.html import Html
from rnnreport.show.plots import Curves, Interval, Intervals, Panel
from rnnreport.show.tables import Table, table


@pytest.fixture
def real_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all real data seem to be there: to list the configurations, nothing of it is read."""
    more = ("mobilenet_v2", "squeezenet1_1")
    for name in {*more, *(name for needs in NEEDS.values() for name in needs)}:
        path = tmp_path / "data" / ASSETS[name].candidates[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    files = {run.config.get("file") for run in load_record("text").runs} - {None, ""}
    for path in (tmp_path / "data" / "glove" / str(file) for file in files):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.setenv("RNNREPORT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("RNNREPORT_PROFILE", raising=False)


# What is in docs/recorded


def configs_of(part: PartName) -> list[dict[str, Any]]:
    """Return the configurations that a record of a part must have, as JSON has them."""
    configs = [config for runs in runs_of(part, "full") for config in runs.configs]
    values: list[dict[str, Any]] = json.loads(
        json.dumps([dataclasses.asdict(config) for config in configs])
    )
    return values


@pytest.mark.usefixtures("real_data")
@pytest.mark.parametrize("part", PARTS)
def test_a_record_fits_the_code(part: PartName) -> None:
    recorded = [run.config for run in load_record(part).runs]
    assert recorded == configs_of(part), f"settings have changed: run `nox -s record -- {part}`"


@pytest.mark.usefixtures("real_data")
def test_a_changed_setting_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {**text_settings.SETTINGS, "lstm": {"wordvec_dim": 100, "epochs": 7}}
    monkeypatch.setattr(text_settings, "SETTINGS", changed)
    assert [run.config for run in load_record("text").runs] != configs_of("text")


@pytest.mark.parametrize("part", PARTS)
def test_a_record_answers_what_was_asked(part: PartName) -> None:
    record = load_record(part)
    assert record.findings.keys() == {asked.finding for asked in ASKED if asked.part == part}
    assert record.command == f"nox -s record -- {part}"
    assert record.versions.keys() >= {"python", "torch", "torchvision", "numpy"}
    assert record.machine
    assert record.seconds > 0
    kinds = {type(exhibit) for exhibit in record.exhibits.values()}
    assert kinds >= {Table, Curves}


def test_files_are_there_and_no_others() -> None:
    records = [load_record(part) for part in PARTS]
    there = {path.name for path in record_folder().iterdir()}
    benchmarks = {"speed-layers.json", "speed-scaling.json"}
    parts = {f"{part}.json" for part in PARTS}
    assert there == benchmarks.union(parts, *(record.files for record in records))
    pictures = {name for record in records for name in record.files if name.endswith(".jpg")}
    assert len(pictures) >= 10
    for name in pictures:
        with Image.open(record_folder() / name) as picture:
            assert picture.format == "JPEG"
            assert min(picture.size) >= 128


def test_records_hold_what_our_networks_made_alone() -> None:
    for part in PARTS:
        text_of = (record_folder() / f"{part}.json").read_text(encoding="utf-8")
        assert '"truth"' not in text_of
        assert len(text_of) < 400_000  # some figures are kept as they were drawn


# Reading and writing


def made(**changes: Any) -> Record:
    record = Record(
        part="style",
        command="nox -s record -- style",
        date="2026-01-02T03:04:05+00:00",
        machine="A machine, 2 cores",
        versions={"python": "3.11", "torch": "2", "torchvision": "1", "numpy": "2"},
        data={"name": "paintings <1>", "amount": "Three.", "fingerprint": "f"},
        code="old",
        runs=[Run("paintings", {"side": 3}, {"left": 0.1}, 61.0), Run("more", {}, {}, 60.0)],
        findings={"painting-1": Finding("3 %", "", 1)},
        exhibits={
            "left_table": table(["", "Left"], [("A < B", ["3 %"])], "What is left"),
            "curves": Curves(
                "steps", "loss", "It falls.", [Panel({"A": [[0.0, 1.0], [2.0, 1.0]]})]
            ),
            "intervals": Intervals([Interval("A", 0.5, [0.4, 0.6], [0.5])], "loss", "It is A."),
            "words": Html("<p>It <b>is</b> so.</p>", "It is so."),
            "drawn": StoredFigure("<svg>light</svg>", "<svg>dark</svg>", "A line."),
            "pictures": Pictures("Pictures", "wide", ["style-a.jpg"], ["After A"], ["A town."]),
            "facts": {"kind": "facts", "left": "3 %"},
        },
        weights="style-w.json",
    )
    return dataclasses.replace(record, **changes)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 10, 10)).save(buffer, "JPEG")
    return buffer.getvalue()


FILES = {"style-a.jpg": jpeg(), "style-w.json": b"{}"}


def test_a_record_comes_back(tmp_path: Path) -> None:
    record = made()
    path = write_record(record, FILES, tmp_path / "new")
    assert load_record("style", path.parent) == record
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "style-a.jpg",
        "style-w.json",
        "style.json",
    ]
    assert record.seconds == 121


def test_a_plot_comes_back_as_the_page_shows_it(tmp_path: Path) -> None:
    lines = {"style": ([0.0, 1.0], [3.0, 0.5]), "content": ([0.0, 1.0], [1.0, 2.0])}
    panel = Panel(lines, "A", rings={"best": ([1.0], [0.5])}, marks=(1.0,), limits=(0.1, None))
    below = Panel({"A": ([1.0, 4.0], [0.5, 0.9])}, bars={"A": ([0.4, 0.8], [0.6, 0.95])})
    curves = [
        Curves("step", "loss", "It falls.", (panel, panel), log=True),
        Curves("size", "share", "It rises.", (below,), doublings=True),
    ]
    exhibits: dict[str, Exhibit] = {each.alt: each for each in curves}
    write_record(made(exhibits=exhibits), {"style-w.json": b"{}"}, tmp_path)
    recorded = load_record("style", tmp_path).exhibits
    for each in curves:
        again = recorded[each.alt]
        assert isinstance(again, Curves)
        assert again.plot()._repr_html_() == each.plot()._repr_html_()


def test_old_files_go_and_others_stay(tmp_path: Path) -> None:
    for name in ("style-old.jpg", "text-old.jpg", "notes.txt"):
        (tmp_path / name).touch()
    write_record(made(), FILES, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "notes.txt",
        "style-a.jpg",
        "style-w.json",
        "style.json",
        "text-old.jpg",
    }


def test_what_does_not_fit_is_not_written(tmp_path: Path) -> None:
    wanted = r"files must be \['style-a\.jpg', 'style-w\.json'\], got \[\]"
    with pytest.raises(ValueError, match=wanted):
        write_record(made(), {}, tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        write_record(made(runs=[Run("a", {}, {}, float("nan"))]), FILES, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text_of", ["", "[]", "{}", '{"part": "style"}', "null"])
def test_what_is_no_record(tmp_path: Path, text_of: str) -> None:
    (tmp_path / "style.json").write_text(text_of, encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"style\.json: "):
        load_record("style", tmp_path)


def test_a_field_too_many(tmp_path: Path) -> None:
    fields = json.loads(made().to_json()) | {"more": 1}
    (tmp_path / "style.json").write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"not a record: .*more"):
        load_record("style", tmp_path)


def test_a_missing_record_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"text\.json is missing: `nox -s record -- text`"):
        load_record("text", tmp_path)
    with pytest.raises(ValueError, match=r"part must be one of captioning, .* got 'songs'"):
        load_record("songs", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(MissingDataError, match=r"no records in .*: they come with the repository"):
        load_record("text", tmp_path / "site-packages")


def test_where_records_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnreport.report.record.record_folder", lambda: tmp_path / "a/recorded")
    with pytest.raises(OSError, match="a: records are kept in a checkout of the repository"):
        check_record_folder()
    (tmp_path / "a").mkdir()
    check_record_folder()
    (tmp_path / "a/recorded").rmdir()
    (tmp_path / "a/recorded").touch()
    with pytest.raises(OSError, match=r"recorded cannot be written to .*: records are kept there"):
        check_record_folder()


def test_an_unwritable_record_is_found_out_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recorded").touch()
    monkeypatch.setattr("rnnreport.report.record.record_folder", lambda: tmp_path / "recorded")
    assert main(["record", "text"]) == 1
    out, err = capsys.readouterr()
    assert (out, err[:11]) == ("", "rnnreport: ")
    assert "recorded cannot be written to" in err


def test_recording_needs_the_real_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNREPORT_DATA", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    with pytest.raises(MissingDataError, match="the asset 'flickr8k' is missing"):
        recording.record("captioning")


# What pages show


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    record = made()
    write_record(record, FILES, tmp_path)
    monkeypatch.setattr("rnnreport.report.record.record_folder", lambda: tmp_path)
    monkeypatch.setattr(recorded_figures, "record_folder", lambda: tmp_path)
    return record


def result(profile: str) -> Result:
    """Return a result of this build, on real data or on a sample."""
    data = {"profile": profile, "name": "drawn paintings", "amount": "two", "fingerprint": "s"}
    return Result(
        experiment="paintings",
        key="k",
        config={},
        data=data,
        seeds={},
        device="CPU",
        versions={"torch": "2"},
        date="2026-02-03T04:05:06+00:00",
        wall_time=12.3,
        history={},
        metrics={},
        details={},
        tensors="",
    )


def left_table(value: str) -> Table:
    return table(["", "Left"], [("Here", [value])], "What is left here")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Findings("sample", "drawn paintings", {}, 12.0, "two pictures are painted")
    monkeypatch.setattr(page_module, "findings", lambda _: found)


@pytest.mark.usefixtures("recorded", "here")
def test_a_page_without_real_data_leads_with_the_recorded_run() -> None:
    page = Page("style", result("sample"))
    source = page.source()
    assert "Real data: the recorded run of 2026-01-02" in source.html
    assert (
        "Three. 2 runs, 2 minutes of computing on A machine, 2 cores; last run 2026-" in source.html
    )
    assert "python 3.11, torch 2" in source.html
    assert "Command: <code>nox -s record -- style</code>." in source.html
    assert "The code that computes it has changed since then" in source.html
    ran = "This build ran the same code on drawn paintings in 12 s: two pictures are painted."
    assert f"<summary>{ran}</summary>" in source.html
    html = page.show(left_table, "5 %").html
    recorded, _, folded = html.partition('<details class="ran-here">')
    assert "A &lt; B" in recorded
    assert "5\N{NO-BREAK SPACE}%" not in recorded
    assert "5\N{NO-BREAK SPACE}%" in folded
    assert page.show(left_table, "5 %", here=False).html == recorded
    alone = page.show_here(left_table, "5 %").html
    assert alone.startswith('<details class="ran-here"><summary>From this build, on a generated')
    assert "What is left here" in alone.partition("</summary>")[0]


@pytest.mark.usefixtures("recorded")
def test_a_page_with_real_data_shows_this_build() -> None:
    other = result("full")
    other.data["fingerprint"] = "of another network"
    page = Page("style", result("full"), other)
    assert "12 s" in page.source().html
    html = page.show(left_table, "5 %").html
    assert html == page.show_here(left_table, "5 %").html == left_table("5 %").html


@pytest.mark.usefixtures("recorded", "here")
def test_each_kind_of_exhibit_is_shown() -> None:
    page = Page("style", result("sample"))

    def shown(name: str) -> str:
        def function() -> Html:
            return Html("<p>here</p>", "here")

        function.__name__ = name
        return page.show(function).html

    assert shown("curves").count('alt="It falls."') == 2
    assert shown("intervals").count('alt="It is A."') == 2
    assert shown("drawn").count('alt="A line."') == 2
    assert shown("pictures").count("<figure>") == 1
    assert 'alt="A town."' in shown("pictures")
    assert shown("words").startswith("<p>It <b>is</b> so.</p><details")
    with pytest.raises(TypeError, match=r"facts are for sentences, got \['kind', 'left'\]"):
        shown("facts")
    with pytest.raises(DataFormatError, match="the record of 'style' has no 'songs': run `nox -s"):
        shown("songs")


@pytest.mark.usefixtures("recorded", "here")
def test_numbers_in_sentences_are_of_the_run_that_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    glued: dict[str, str] = {}
    monkeypatch.setattr("myst_nb.glue", lambda name, text, **_: glued.update({name: text}))

    def facts() -> dict[str, str]:
        return {"left": "5 %"}

    Page("style", result("sample")).glue(facts)
    assert glued["left"] == "3 %"
    Page("style", result("full")).glue(facts)
    assert glued["left"] == "5 %"


def test_the_recorded_text_classifiers_say_which_word_vectors_they_had() -> None:
    record = load_record("text")
    size = f"{record.data['vectors_dim']} numbers"
    assert f"{size} each, {record.data['vectors']}." in description(record)
    runs = [run for run in record.runs if run.config.get("model") == "glove-fixed"]
    sizes = {run.metrics["num_parameters"] - 1 for run in runs}
    assert any(f", {n} numbers per word" in record.findings["glove-fixed"].note for n in sizes)


def test_the_text_page_says_what_was_recorded() -> None:
    """The sentences of the page that draw conclusions are of these numbers."""
    said = load_record("text").exhibits["facts"]
    assert isinstance(said, dict)
    numbers = {
        name.removeprefix("text-"): float(
            value.removesuffix(" %").removesuffix(" s").replace(",", "")
        )
        for name, value in said.items()
        if name not in ("text-vectors", "text-fixed")
    }
    order = ("glove-fixed", "bag", "average", "glove", "rnn", "lstm", "bilstm", "pretrained", "all")
    accuracies = [numbers[f"accuracy-{model}"] for model in order]
    assert accuracies == sorted(accuracies)
    assert numbers["longest-bilstm"] - numbers["longest-bag"] > 2
    assert numbers["shortest-bilstm"] - numbers["shortest-bag"] < 0.5
    assert numbers["negated-praise"] < 10
    assert numbers["wrong-always-bag"] > numbers["wrong-always"] / 2
    assert numbers["best-alone"] > 2 * numbers["bag-alone"]
    words = load_record("text").exhibits["words_figure"]
    assert isinstance(words, StoredFigure)
    assert " not," in words.alt
    negations = load_record("text").exhibits["negations_table"]
    assert isinstance(negations, Table)
    cells = [line for _, line in negations.lines]
    gains = [float(best) - float(bag) for _, _, bag, best, _ in cells]
    assert gains[2] < min(gains[:2])
    assert gains[2] > 0
    assert [p.startswith("<") for *_, p in cells] == [True, False, True]


def test_the_same_code_is_not_called_changed(recorded: Record) -> None:
    assert "has changed" in description(recorded)
    assert "has changed" not in description(dataclasses.replace(recorded, code=code_of("style")))


def test_the_front_page_tells_samples_from_real_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def made_up(part: PartName) -> Findings:
        names = {asked.finding for asked in ASKED if asked.part == part}
        profile = "full" if part == "text" else "sample"
        answers = {name: Finding(f"our {part} {name}", "", 2) for name in names}
        return Findings(profile, f"the {profile} data", answers, 20.0, f"{part} ran")

    monkeypatch.setattr(overview, "findings", made_up)
    from rnnreport import equations

    html = overview.overview(equations.table()).html
    rows = {row.partition("</th>")[0].rpartition(">")[2]: row for row in html.split("<tr")}
    for asked in ASKED:
        row = rows[asked.name]
        assert (asked.source or "–") in row
        real = asked.part == "text"
        mine, recorded = f"our {asked.part} {asked.finding}", load_record(asked.part).findings
        assert (mine in row) == real
        theirs = recorded[asked.finding].value.replace(" %", "\N{NO-BREAK SPACE}%")
        assert (theirs in row) != real
    assert html.count("This build ran the same code on the sample data in 20 s: ") == 3
    assert html.count("This build, on the full data") == 1
    assert "<b>49 proven</b>" in html
