"""Numbers of equations: one label for one, and one formula that stands for several."""

from __future__ import annotations

import json
import re
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from browser import browser as browser
from browser import context as context
from browser import page as page

pytest.importorskip("sphinx", reason="no Sphinx: it comes with the group `docs`")

from sphinx.application import Sphinx

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

from equation_code import members  # noqa: E402

PAGE = r"""# A page

$$ w = \delta x $$ (eq-17-19)

By {eq}`eq-18`, {eq}`eq-17-19`, {eq}`eq-A2` and {eq}`eq-A1-2`.

```{dropdown} Written out
$$ w_f = f x $$ (eq-17)

$$ w_i = i x $$ (eq-18)

$$ w_c = c x $$ (eq-19)
```

$$
\begin{aligned}
a &= 1 \\
b &= 2
\end{aligned}
$$ (eq-A1-2)
"""
FUNCTIONS = """The layers
==========

.. py:function:: step(x)

   Equations :eq:`eq-17`-:eq:`eq-19`.

.. py:function:: start(x)

   Equation :eq:`eq-A1`.
"""


def build(folder: Path, text: str) -> str:
    """Build a page beside a reference of two functions; return the warnings."""
    source = folder / "source"
    (source / "api").mkdir(parents=True)
    toctree = "\n```{toctree}\npage\napi/index\n```\n"
    (source / "index.md").write_text(f"# Pages\n{toctree}", "utf-8")
    (source / "page.md").write_text(text, "utf-8")
    (source / "api" / "index.rst").write_text("API\n===\n\n.. toctree::\n\n   layers\n", "utf-8")
    (source / "api" / "layers.rst").write_text(FUNCTIONS, "utf-8")
    warnings = StringIO()
    settings = {
        "extensions": ["myst_parser", "sphinx.ext.mathjax", "sphinx_design", "equations"],
        "html_css_files": ["print.css"],
        "html_static_path": [str(DOCS / "_static")],
        "myst_enable_extensions": ["dollarmath"],
    }
    html = str(folder / "html")
    app = Sphinx(source, None, html, str(folder / "trees"), "html", settings, StringIO(), warnings)
    app.build()
    return re.sub(r"\x1b\[[\d;]*m", "", warnings.getvalue())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("equations")
    assert build(folder, PAGE) == ""
    return folder / "html"


@pytest.fixture(scope="module")
def html(built: Path) -> Any:
    soup = pytest.importorskip("bs4", reason="no Beautiful Soup: it comes with the group `docs`")
    return soup.BeautifulSoup((built / "page.html").read_text("utf-8"), "html.parser")


@pytest.fixture(scope="module")
def cards(built: Path) -> Any:
    script = (built / "_static" / "equations.js").read_text("utf-8")
    return json.loads(script.partition("=")[2].rstrip(";\n"))


def test_label_of_several_equations_names_all_of_them() -> None:
    assert members("eq-17-19") == ["eq-17", "eq-18", "eq-19"]
    assert members("eq-A9-11") == ["eq-A9", "eq-A10", "eq-A11"]
    assert [members(label) for label in ("eq-17", "eq-17b", "eq-19-17")] == [[], [], []]


def test_formula_shows_its_numbers_and_so_do_references(html: Any) -> None:
    numbers = [span.get_text().rstrip("#¶\uf0c1") for span in html.select("span.eqno")]
    assert numbers == ["(17)–(19)", "(17)", "(18)", "(19)", "(A1)–(A2)"]
    links = {a.get_text(): a["href"] for a in html.find(string="By ").parent.select("a")}
    assert links == {
        "(18)": "#equation-eq-18",
        "(17)–(19)": "#equation-eq-17-19",
        "(A2)": "#equation-eq-a2",
        "(A1)–(A2)": "#equation-eq-a1-2",
    }


def test_each_number_has_one_place(html: Any) -> None:
    ids = [element["id"] for element in html.select("[id^=equation-]")]
    numbers = ["17", "17-19", "18", "19", "a1", "a1-2", "a2"]
    assert sorted(ids) == [f"equation-eq-{number}" for number in numbers]
    assert html.find(id="equation-eq-18").find_parent("details") is not None
    assert html.find(id="equation-eq-a2").parent["id"] == "equation-eq-a1-2"


def test_formula_links_to_what_is_written_out(html: Any) -> None:
    lines = {
        line.find_previous_sibling("div")["id"]: line
        for line in html.select("p.equation-code")
        if line.get_text().startswith("One by one")
    }
    assert list(lines) == ["equation-eq-17-19"]
    [line] = lines.values()
    assert line.get_text() == "One by one: (17), (18), (19)"
    assert [a["href"] for a in line.select("a")] == [f"#equation-eq-{n}" for n in (17, 18, 19)]


def test_functions_stand_once_under_the_formula(html: Any) -> None:
    code = [line for line in html.select("p.equation-code") if "In code" in line.get_text()]
    assert [line.get_text() for line in code] == ["In code: step", "In code: start"]
    places = [line.find_previous_sibling("div")["id"] for line in code]
    assert places == ["equation-eq-17-19", "equation-eq-a1-2"]


def test_cards_show_what_is_written_out_or_else_the_formula(cards: Any) -> None:
    assert cards["equation-eq-18"] == {"tex": "w_i = i x", "code": ["step"]}
    assert cards["equation-eq-17-19"] == {"tex": r"w = \delta x", "code": ["step"]}
    assert cards["equation-eq-a2"]["tex"] == cards["equation-eq-a1-2"]["tex"]
    assert [cards[f"equation-eq-{n}"]["code"] for n in ("a1", "a2")] == [["start"], []]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("$$ a $$ (eq-19-17)", "must read eq-17, eq-T1, eq-17b or eq-17-28, got 'eq-19-17'"),
        ("$$ a $$ (energy)", "got 'energy'"),
        ("$$ a $$ (eq-1-3)\n\n$$ b $$ (eq-3-4)", "duplicate label of equation eq-3"),
    ],
)
def test_label_that_fits_nothing_is_a_warning(tmp_path: Path, text: str, fault: str) -> None:
    assert fault in build(tmp_path, f"# A page\n\n{text}\n\n" + PAGE.partition("\n")[2])


def unfolded(page: Any) -> bool:
    shown: bool = page.evaluate("document.querySelector('details').open")
    return shown


def test_link_into_a_fold_opens_it(built: Path, page: Any) -> None:
    page.goto((built / "page.html").as_uri())
    assert not unfolded(page)
    page.locator("p.equation-code a", has_text="(18)").click()
    page.wait_for_function("document.querySelector('details').open")
    page.locator("summary").click()
    assert not unfolded(page)
    # Not every browser does it by itself, so that the script must, without its help.
    page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
    assert unfolded(page)
    page.goto((built / "page.html").as_uri() + "?again#equation-eq-19")
    assert unfolded(page)


def test_fold_is_printed(built: Path, page: Any) -> None:
    page.goto((built / "page.html").as_uri())
    place = page.locator("#equation-eq-18")
    assert not place.is_visible()
    page.emulate_media(media="print")
    assert place.is_visible()
