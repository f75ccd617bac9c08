"""The report as HTML: whole, offline, escaped, and legible in a browser."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
from browser import browser as browser
from browser import context as context
from browser import page as page
from implementations import implementation
from page_checks import Watch, axe_faults, colour_faults, overflow_faults

from rnnreport.check import Cause, Finding, Output, Report, check
from rnnreport.check._html import _equation, fragment
from rnnreport.check._html import page as written
from rnnreport.check._report import Status
from rnnreport.equations import LEDGER

HOSTILE = "</code></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;`<b>`"
CAUSE = Cause(
    key="slope-twice",
    name="slope of a value that is already squashed",
    place="candidate",
    symptom="The candidate is wrong: `g` is already a tanh.",
    change="The slope is `1 - g**2`.",
    case="One step shows it.",
    equations=("27", "R1", "32", "36", "37"),
    line=28,
    where="line 28",
    code="dzg = dc * i * (1 - np.tanh(g) ** 2)",
)
OUTPUTS = (
    Output("dx", "x", 0.06, False, follows=True),
    Output("dWx", "Wx", 0.1, False, {"input": 3e-16, "candidate": 0.1}),
    Output("db", "b", float("nan"), False, problem="it has the shape (2, 20), not (20,)"),
    Output("dprev_c", "c", 1e-16, True),
)
WRONG = Finding("lstm_step_backward", "line 21", "wrong", "dx is wrong.", (CAUSE,), True, OUTPUTS)
RIGHT = Finding("lstm_forward", "line 40", "right", "The forward pass is right.")
REPORT = Report("mine.py", (RIGHT, WRONG), ("Sequences: batch first.",), ("xrange is range.",))
MATHML = "http://www.w3.org/1998/Math/MathML"


class Seen(HTMLParser):
    """The elements of a page, their attributes and the text outside of styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "mspace"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def hostile() -> Report:
    """Return a report in which every text is an attack."""

    def spoiled(thing: Any, **others: Any) -> Any:
        texts = {f.name: HOSTILE for f in fields(thing) if type(getattr(thing, f.name)) is str}
        return replace(thing, **texts | others)

    cause = spoiled(CAUSE, equations=("27", HOSTILE))
    outputs = (spoiled(OUTPUTS[2]), replace(OUTPUTS[1], name=HOSTILE, gates={HOSTILE: 1.0}))
    finding = spoiled(
        WRONG, status="wrong", causes=(cause,), outputs=outputs, notes=(HOSTILE,), follows=""
    )
    report: Report = spoiled(REPORT, findings=(finding,), conventions=(HOSTILE,), problem="")
    return report


@pytest.mark.parametrize("write", [fragment, written])
@pytest.mark.parametrize("problem", ["", HOSTILE])
def test_what_a_file_says_is_text_and_nothing_else(write: Any, problem: str) -> None:
    seen, usual = Seen(write(replace(hostile(), problem=problem))), Seen(write(REPORT))
    assert not seen.open
    assert set(seen.elements) <= set(usual.elements)
    assert {name for name, _ in seen.attributes} <= {name for name, _ in usual.attributes}
    assert " ".join(HOSTILE.split("`")[0].split()) in seen.text


@pytest.mark.parametrize("write", [fragment, written])
def test_nothing_is_fetched_and_nothing_runs(write: Any) -> None:
    text = write(REPORT)
    assert set(re.findall(r"\w+://[^\"' ]*", text)) == {MATHML}
    assert not re.search(r"url\(|@import|<script|<link|<img|\son\w+=", text)
    assert not {name for name, _ in Seen(text).attributes} & {"src", "href", "srcset", "action"}


def test_a_page_says_what_is_wrong_and_shows_the_equations() -> None:
    text = written(REPORT)
    seen = Seen(text)
    for said in (
        *("mine.py: 1 of 2 functions right, 1 wrong", "lstm_forward", "lstm_step_backward wrong"),
        *("line 21", "Slope of a value that is already squashed (candidate)", CAUSE.code),
        *("line 28", "The slope is 1 - g**2.", "One step shows it.", "(27)", "See (R1)."),
        *("2 more: (36), (37)", "it has the shape (2, 20), not (20,)", "Right: dprev_c"),
        *("dx is wrong only because of the others.", "Sequences: batch first.", "xrange is range."),
    ):
        assert said in seen.text
    assert seen.elements.count("math") == 4
    assert "<code>g</code> is already a tanh" in text
    row = re.search(r"<tr>(?:(?!</tr>).)*<code>dWx</code>.*?</tr>", text)
    assert row is not None
    assert re.findall(r"<td[^>]*>(.*?)</td>", row[0]) == [
        "10\N{NO-BREAK SPACE}%",
        "right",
        "10\N{NO-BREAK SPACE}%",
    ]


def test_less_keeps_the_change_and_the_case_to_itself() -> None:
    seen = Seen(REPORT.to_html(explain="less"))
    assert "The candidate is wrong" in seen.text
    assert "math" in seen.elements
    assert "The slope is" not in seen.text
    assert "One step shows it" not in seen.text


def test_what_only_follows_has_no_table() -> None:
    follows = replace(WRONG, causes=(), follows="lstm_step_backward")
    assert "table" not in Seen(written(replace(REPORT, findings=(follows,)))).elements


@pytest.mark.parametrize("status", get_args(Status))
def test_every_status_has_a_word(status: Status) -> None:
    found = replace(RIGHT, status=status, notes=("It returns a list.",))
    seen = Seen(written(replace(REPORT, findings=(found,))))
    word = {"failed": "not running", "unknown": "not recognised"}.get(status, status)
    assert f"lstm_forward {word} line 40" in seen.text


def test_several_reports_are_one_page() -> None:
    text = written(REPORT, replace(REPORT, name="yours.py", findings=(RIGHT,)))
    assert Seen(text).elements.count("html") == Seen(text).elements.count("style") == 1
    assert "yours.py: the function is right" in text
    assert "<title>mine.py, yours.py" in text


@pytest.mark.parametrize("number", LEDGER)
def test_every_equation_of_the_ledger_is_set(number: str) -> None:
    line = ElementTree.fromstring(_equation(number))  # noqa: S314
    math = line.find(f".//{{{MATHML}}}math")
    assert math is not None
    text = "".join(math.itertext())
    assert "=" in text
    assert not re.search(r"[\\&{}]", text)  # what the converter does not know it leaves as it is
    rows = math.findall(f".//{{{MATHML}}}mtr")
    assert len(rows) == {"32": 5, "30": 4, "33": 2, "27": 0}.get(number, len(rows))


def test_a_notebook_shows_a_report() -> None:
    shown = check([_nothing])._repr_html_()
    assert shown.startswith('<div class="rnnreport-check"><style>')
    assert "not checked" in Seen(shown).text


def _nothing() -> None:
    """Be a function that is not recognised."""


@pytest.fixture(scope="module")
def wrong_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page about a file with two mistakes."""
    folder = tmp_path_factory.mktemp("page")
    code, out = folder / "rnn_layers.py", folder / "report.html"
    mistakes = (("slope-twice", "c"), ("batch-not-summed", ""))
    code.write_text(implementation("functions", "lstm", mistakes).text, "utf-8")
    out.write_text(check(code).to_html(), "utf-8")
    return out


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_a_page_is_whole_in_the_browser(
    page: Any, wrong_file: Path, scheme: str, width: int
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    watch = Watch(page)
    page.goto(wrong_file.as_uri())
    ground = page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}[scheme]
    assert page.evaluate("document.querySelector('math').getBoundingClientRect().width") > 100
    assert overflow_faults(page) + axe_faults(page) + colour_faults(page) + watch.faults() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_around_it_chooses_the_scheme(page: Any, theme: str) -> None:
    page.emulate_media(color_scheme={"light": "dark", "dark": "light"}[theme])
    page.set_content(f"<!doctype html><html data-theme={theme}>{fragment(REPORT)}</html>")
    ground = page.evaluate("getComputedStyle(document.querySelector('.rnnreport-check')).color")
    assert ground == {"light": "rgb(34, 40, 50)", "dark": "rgb(213, 219, 226)"}[theme]
