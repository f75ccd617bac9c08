"""The directive that puts drawings into pages: what it writes, and how it answers in a browser."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from browser import browser as browser
from browser import context as context
from browser import page as page
from page_checks import Watch, axe_faults, drawing_faults, keyboard_faults

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

import drawings  # noqa: E402

CONF = f"""
import sys
sys.path.insert(0, {str(DOCS / "_ext")!r})
extensions = ["myst_parser", "drawings", "equations", "local_mathjax"]
myst_enable_extensions = ["dollarmath"]
html_theme = "basic"
html_static_path = [{str(DOCS / "_static")!r}]
html_css_files = ["custom.css"]
"""

FIRST = """# First

```{drawing} cell
:alt: A cell and an arrow that leads back from it.
:name: the-cell

What $x$ to see in *it*.
```

$$
y = x
$$ (eq-5)

$$
y = 2x
$$ (eq-6)

See {eq}`eq-5`, and {ref}`the cell <the-cell>`.

```{drawing} plain
:alt: A box.

Nothing leads anywhere here.
```

```{toctree}
second
```
"""

SECOND = """# Second

```{drawing} cell
:alt: The same cell, on another page.

The same.
```

```{drawing} cell
:alt: And once more.

The same.
```
"""

CELL = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 340 120">
  <defs><clipPath id="part"><rect width="340" height="120"/></clipPath></defs>
  <g clip-path="url(#part)">
    <rect class="box" x="10" y="40" width="60" height="40"/>
    <text x="40" y="60">$h_{t-1}$</text>
  </g>
  <g data-equation="5"><path class="arrow backward" d="M250 60L80 60"/></g>
  <g data-equation="6 5"><line class="arrow" x1="80" y1="100" x2="250" y2="100"/></g>
  <a href="#equation-eq-5"><text x="160" y="40">(5)</text></a>
</svg>"""

PLAIN = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 40">
  <rect class="box" x="10" y="5" width="60" height="30"/>
  <text x="40" y="20">$z$</text>
</svg>"""


def build(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", *options, ".", "built"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def write(folder: Path, pages: dict[str, str]) -> Path:
    (folder / "drawings").mkdir(parents=True)
    (folder / "conf.py").write_text(CONF, encoding="utf-8")
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "drawings" / "cell.svg").write_text(CELL, encoding="utf-8")
    (folder / "drawings" / "plain.svg").write_text(PLAIN, encoding="utf-8")
    narrow = PLAIN.replace("900", "300").replace("$z$", "narrow")
    (folder / "drawings" / "plain.narrow.svg").write_text(narrow, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two built pages with drawings."""
    folder = write(tmp_path_factory.mktemp("project"), {"index.md": FIRST, "second.md": SECOND})
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def html(project: Path, name: str) -> str:
    return (project / "built" / f"{name}.html").read_text(encoding="utf-8")


def test_figure_has_its_text_caption_and_name(project: Path) -> None:
    text = html(project, "index")
    assert '<figure class="drawing align-default" id="the-cell">' in text
    assert 'role="group" aria-label="A cell and an arrow that leads back from it."' in text
    assert 'role="img" aria-label="A box."' in text  # it has no links
    assert re.search(r"<figcaption>.*What .*to see in <em>it</em>\.", text, re.DOTALL)
    assert '<a class="reference internal" href="#the-cell">' in text


def test_links_lead_to_the_page_of_their_equation(project: Path) -> None:
    for name, address in (("index", "#equation-eq-5"), ("second", "index.html#equation-eq-5")):
        assert f'<a href="{address}" aria-label="equation (5)" data-equation="5">' in html(
            project, name
        )


def test_no_id_stands_twice_and_parts_are_found(project: Path) -> None:
    text = html(project, "second")
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]+)\)", text)
    assert len(set(used)) == 2
    assert set(used) <= set(ids)


def test_other_builders_have_the_text(project: Path, tmp_path: Path) -> None:
    for builder, file in (("text", "index.txt"), ("latex", "projectnamenotset.tex")):
        done = build(project, "-b", builder, "-d", str(tmp_path), "-D", "html_theme=basic")
        assert done.returncode == 0, done.stderr
        assert "A cell and an arrow that leads back from it." in (
            project / "built" / file
        ).read_text(encoding="utf-8")


def test_page_is_written_again_when_its_drawing_changes(tmp_path: Path) -> None:
    folder = write(tmp_path / "project", {"index.md": FIRST, "second.md": SECOND})
    assert build(folder).returncode == 0
    file = folder / "drawings" / "cell.svg"
    file.write_text(CELL.replace("h_{t-1}", "q"), encoding="utf-8")
    assert build(folder).returncode == 0
    for name in ("index", "second"):
        assert '<tspan class="italic">q</tspan>' in html(folder, name)


FAULTS = {
    "alt": ("```{drawing} plain\n\nA caption.\n```", "the drawing plain needs :alt:"),
    "caption": ("```{drawing} plain\n:alt: A box.\n```", "the drawing plain needs a caption"),
    "file": ("```{drawing} gone\n:alt: A box.\n\nA.\n```", "there is no drawing drawings/gone.svg"),
    "equation": ("```{drawing} cell\n:alt: A.\n\nA.\n```", "the equation (6), which is not there"),
    "arrow": ("```{drawing} odd\n:alt: A.\n\nA.\n```", "drawings/odd.svg: an arrow must be a line"),
}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a build says of pages that each have a fault."""
    pages = {f"{name}.md": f"# Page\n\n{text}\n" for name, (text, _) in FAULTS.items()}
    folder = write(
        tmp_path_factory.mktemp("faults"),
        {
            **pages,
            "index.md": "# Index\n\n$$x$$ (eq-5)\n\n```{toctree}\n:glob:\n*\n```",
        },
    )
    odd = CELL.replace("M250 60L80 60", "M250 60h-20")
    (folder / "drawings" / "odd.svg").write_text(odd, encoding="utf-8")
    done = build(folder)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_said(complaints: str, name: str) -> None:
    lines = [line for line in complaints.splitlines() if f"{name}.md" in line]
    assert any(FAULTS[name][1] in line for line in lines), lines


# -- What the directive makes of a file ------------------------------------------------------------


def finished(content: str) -> ET.Element:
    return drawings.finished(f'<svg viewBox="0 0 10 10">{content}</svg>')


def spans(text: str) -> list[tuple[str | None, str | None, str | None]]:
    [element] = finished(f"<text>{text}</text>")
    assert element.text is None
    return [(span.text, span.get("class"), span.get("dy")) for span in element]


def test_mathematics_is_set() -> None:
    assert spans("state $h_{t-1} + b$!") == [
        ("state ", "", None),
        ("h", "italic", None),
        ("t", "italic script", "0.324em"),
        ("−1", "upright script", None),
        (" + ", "upright", "-0.240em"),
        ("b", "italic", None),
        ("!", "", None),
    ]
    assert spans(r"$\tanh \delta^f_t \tilde cW^\new$") == [
        ("tanh", "upright", None),
        ("δ", "italic", None),
        ("f", "italic script", "-0.541em"),
        ("t", "italic script", "0.865em"),
        (" ", "upright", "-0.240em"),
        ("c\u0303W", "italic", None),
        ("new", "upright script", "-0.541em"),
    ]
    [element] = finished("<text>$h_{t-1}^f + c$</text>")
    assert [span.get("dx") for span in element] == [None, None, None, "-1.52em", "0.86em", None]
    [element] = finished("<text>a $b$<tspan x='1'>$c$</tspan>d</text>")
    assert "".join(element.itertext()) == "a bcd"
    assert [span.get("class") for span in element.iter("tspan")] == [
        "",
        "italic",
        None,
        "italic",
        "",
    ]


@pytest.mark.parametrize("text", ["a $b", "$a_$", "$a_{b$"])
def test_broken_mathematics_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"missing in"):
        finished(f"<text>{text}</text>")


def test_arrow_gets_a_head_at_its_end() -> None:
    [group] = finished('<g><path class="arrow backward" d="M0 5C10 5 20 25 20 45"/></g>')
    line, head, reach = group
    assert line.get("d") == "M0 5C10 5 20 25 20.00 39.00"
    assert (head.tag, head.get("class")) == ("polygon", "head backward")
    assert head.get("points") == "20.00,45.00 16.00,35.00 24.00,35.00"
    assert (reach.get("class"), reach.get("d")) == ("reach", "M0 5C10 5 20 25 20 45")
    [line, head, _] = finished('<line class="arrow" x1="0" y1="0" x2="-30" y2="0"/>')
    assert (line.tag, line.get("d")) == ("path", "M0 0L-24.00 0.00")
    assert head.get("points") == "-30.00,0.00 -20.00,-4.00 -20.00,4.00"


def test_text_that_is_no_link_is_hidden_from_listeners() -> None:
    plain, link = finished('<text>a</text><a href="#equation-eq-r1"><text>(R1)</text></a>')
    assert plain.get("aria-hidden") == "true"
    assert link[0].get("aria-hidden") is None
    assert link.get("aria-label") == "equation (R1)"


# -- In a browser --------------------------------------------------------------------------------


@pytest.fixture
def shown(page: Any, project: Path) -> Any:
    watch = Watch(page)
    page.set_viewport_size({"width": 1000, "height": 900})
    page.goto((project / "built" / "index.html").as_uri())
    yield page
    assert watch.faults() == []


LIT = """() => [...document.querySelectorAll(".lit")].map((part) =>
  part.dataset.equation || part.id).sort()"""


def point_at(page: Any, part: str) -> None:
    box = page.locator(part).first.bounding_box()  # a level line is 0 high: it has no inside
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


ALL_OF_5 = ["5", "5", "6 5", "equation-eq-5"]


@pytest.mark.parametrize(
    "part",
    [
        "#equation-eq-5",
        "p a[href='#equation-eq-5']",
        "svg a[href='#equation-eq-5']",
        "[data-equation='5'] .reach",
    ],
)
def test_equation_and_its_parts_light_up_together(shown: Any, part: str) -> None:
    assert shown.evaluate(LIT) == []
    point_at(shown, part)
    assert shown.evaluate(LIT) == ALL_OF_5
    shown.locator("h1").hover()
    assert shown.evaluate(LIT) == []


def test_part_of_two_equations_lights_both(shown: Any) -> None:
    point_at(shown, "[data-equation='6 5'] .reach")
    assert shown.evaluate(LIT) == [*ALL_OF_5, "equation-eq-6"]
    shown.locator("#equation-eq-6").hover()
    assert shown.evaluate(LIT) == ["6 5", "equation-eq-6"]


def test_focus_lights_too(shown: Any) -> None:
    shown.locator("svg a").first.focus()
    assert shown.evaluate(LIT) == ALL_OF_5
    point_at(shown, "h1")  # pointing elsewhere leaves it lit
    assert shown.evaluate(LIT) == ALL_OF_5
    shown.locator("svg a").first.blur()
    assert shown.evaluate(LIT) == []


def test_drawing_is_for_all_readers(shown: Any) -> None:
    assert axe_faults(shown) == []
    assert keyboard_faults(shown) == []


def test_phone_has_the_narrow_drawing_and_paper_the_wide_one(shown: Any) -> None:
    wide, narrow = (shown.locator(f".drawing svg.{kind}") for kind in ("wide", "narrow"))
    assert (wide.is_visible(), narrow.is_visible()) == (True, False)
    shown.set_viewport_size({"width": 390, "height": 800})
    assert (wide.is_visible(), narrow.is_visible()) == (False, True)
    shown.emulate_media(media="print")
    assert (wide.is_visible(), narrow.is_visible()) == (True, False)
    shown.emulate_media(media="screen")


def test_small_text_is_found(shown: Any) -> None:
    shown.set_viewport_size({"width": 390, "height": 800})
    assert drawing_faults(shown) == []
    shown.add_style_tag(content=".drawing svg.wide { display: inline } .narrow { display: none }")
    [fault] = drawing_faults(shown)
    assert re.fullmatch(r"text of \d\.\d px in a drawing: z", fault)
