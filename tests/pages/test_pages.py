"""The built pages, as a reader's browser shows them: `nox -s docs` first, then these.

They are looked for in docs/_build/html, or where RNNREPORT_HTML says.
"""

import importlib
import inspect
import os
import pkgutil
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import browser as browser
from browser import context as context
from browser import page as page
from page_checks import (
    Site,
    Watch,
    alt_faults,
    axe_faults,
    break_faults,
    broken_links,
    colour_faults,
    copy_faults,
    drawing_faults,
    fetched_elsewhere,
    heading_faults,
    keyboard_faults,
    maths_faults,
    overflow_faults,
    pages,
    settle,
    thin,
)

import rnnreport

DOCS = Path(__file__).resolve().parents[2] / "docs"
HTML = Path(os.environ.get("RNNREPORT_HTML") or DOCS / "_build" / "html").absolute()
MADE = {"genindex", "py-modindex", "search"}  # by Sphinx, and not written by anybody
NAMES = sorted(path.stem for path in HTML.glob("*.html") if path.stem not in MADE)
API = sorted(path.relative_to(HTML).with_suffix("").as_posix() for path in HTML.glob("api/*.html"))
WIDTHS = (1440, 390)

built = pytest.mark.skipif(
    not NAMES, reason=f"no pages in {HTML}: build the pages first (nox -s docs)"
)
every_page = pytest.mark.parametrize("name", [*NAMES, *API] or ["index"])
# The pages of the API reference are made by one template, so that one of them stands for all where
# a look takes long.
UNLIKE = [*NAMES, *(name for name in API if name in ("api/index", "api/rnnreport.layers"))]


@cache
def site() -> Site:
    return Site(HTML)


@pytest.fixture
def window(page: Any, request: pytest.FixtureRequest) -> Any:
    """Return a browser's window, a wide one where a test does not say otherwise."""
    page.set_viewport_size({"width": getattr(request, "param", WIDTHS[0]), "height": 900})
    page.set_default_timeout(120_000)
    return page


def show(page: Any, name: str, query: str = "") -> Watch:
    watch = Watch(page)
    page.goto((HTML / f"{name}.html").as_uri() + query)
    settle(page)
    return watch


def choose(page: Any, scheme: str) -> None:
    """Show a page in a colour scheme, ``"light"`` or ``"dark"``."""
    page.emulate_media(color_scheme=scheme)
    page.locator(f"html[data-theme={scheme}]").wait_for()


def faults_in(scheme: str, page: Any, *checks: Callable[[Any], list[str]]) -> list[str]:
    """Check a page in a colour scheme."""
    choose(page, scheme)
    return [f"in {scheme}: {fault}" for check in checks for fault in check(page)]


# -- Every page ----------------------------------------------------------------------------------


@built
@pytest.mark.parametrize("name", UNLIKE or ["index"])
@pytest.mark.parametrize("window", WIDTHS, indirect=True)
def test_page_is_whole_in_the_browser(window: Any, name: str) -> None:
    watch = show(window, name)
    # The keyboard is tried in one scheme: in light where it is wide, in dark on a phone.
    last, first = ("dark", "light") if window.viewport_size["width"] < 600 else ("light", "dark")
    layout = (maths_faults, break_faults, overflow_faults, copy_faults, drawing_faults)
    faults = faults_in(last, window, *layout) + faults_in(first, window, *layout)
    thin(window)
    faults += axe_faults(window) + faults_in(first, window, colour_faults)
    faults += faults_in(last, window, colour_faults) + keyboard_faults(window)
    assert faults + watch.faults() == []


@built
@pytest.mark.parametrize("window", WIDTHS, indirect=True)
def test_other_pages_are_whole_in_the_browser(window: Any) -> None:
    faults = {}
    for name in sorted({*API} - {*UNLIKE}):
        watch = show(window, name)
        checks = (maths_faults, overflow_faults, copy_faults)
        faults[name] = [
            *faults_in("light", window, *checks),
            *faults_in("dark", window, *checks),
            *watch.faults(),
        ]
    assert {name: each for name, each in faults.items() if each} == {}


@built
@every_page
def test_headings_equations_and_images(name: str) -> None:
    path = HTML / f"{name}.html"
    assert heading_faults(site(), path) + alt_faults(site(), path) == []


@built
def test_links_and_images_lead_somewhere() -> None:
    faults = {
        str(path.relative_to(HTML)): faults_of_page
        for path in pages(HTML)
        if (faults_of_page := broken_links(site(), path) + fetched_elsewhere(site(), path))
    }
    assert faults == {}


def contents() -> list[str]:
    """Return the pages in the order of the front page's tables of contents."""
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    parts = re.findall(
        r"```\{toctree\}\n:hidden:\n:caption: [A-Z][a-z]+\n\n(.*?)```", text, re.DOTALL
    )
    return " ".join(parts).split()


@built
def test_next_and_previous_follow_the_table_of_contents() -> None:
    [packages] = re.findall(
        r":toctree:\n\n(.*?)```", (DOCS / "api/index.md").read_text(), re.DOTALL
    )
    order = ["index", *contents()]
    place = order.index("api/index") + 1
    order[place:place] = [f"api/{package}" for package in packages.split()]
    assert sorted(order) == sorted(NAMES + API)
    for before, after in pairwise(order):
        assert f'class="right-next"\n       href="{_link(before, after)}"' in _text(before)
        assert f'class="left-prev"\n       href="{_link(after, before)}"' in _text(after)


def _link(page: str, target: str) -> str:
    return os.path.relpath(f"{target}.html", Path(page).parent)


def _text(name: str) -> str:
    return (HTML / f"{name}.html").read_text(encoding="utf-8")


@built
@every_page
def test_executed_notebook_can_be_taken(name: str) -> None:
    page = DOCS / f"{name}.md"  # those of the API reference but its first are made by the build
    executed = page.is_file() and "kernelspec" in page.read_text(encoding="utf-8")
    assert (f'_sources/{name}.ipynb" download' in _text(name)) == executed


# -- What answers to a reader --------------------------------------------------------------------


@built
@pytest.mark.parametrize("way", ["hover", "focus"])
def test_reference_shows_its_equation_until_escape(window: Any, way: str) -> None:
    watch = show(window, "lstm")
    link = window.locator("article p a[href*='#equation-eq-13']").first
    card = window.locator("#equation-preview")
    assert not card.is_visible()
    if way == "hover":
        link.hover()
    else:
        window.keyboard.press("Tab")  # so that the focus counts as one by keyboard
        link.focus()
    card.locator("mjx-container svg").wait_for()
    assert "lstm_step_backward" in card.inner_text()
    assert link.get_attribute("aria-describedby") == "equation-preview"
    window.keyboard.press("Escape")
    assert not card.is_visible()
    assert watch.faults() == []


@built
@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("lstm", "lstm.html"),
        ("dropout", "attention.html"),
        ("(33)", "lstm.html#equation-eq-33"),
        ("lstm_backward", "api/rnnreport.layers.html#rnnreport.layers.lstm_backward"),
    ],
)
def test_search_works_from_a_file(window: Any, word: str, result: str) -> None:
    watch = show(window, "search", f"?q={word}")
    window.locator(f"#search-results li a[href^='{result}']").first.wait_for()
    assert watch.faults() == []


@built
@pytest.mark.parametrize("window", [WIDTHS[1]], indirect=True)
def test_what_scrolls_sideways_fades_where_it_goes_on(window: Any) -> None:
    show(window, "transfer")
    wide = window.locator(".table-scroll.goes-on").first
    wide.wait_for()
    assert "linear-gradient" in wide.evaluate("(box) => getComputedStyle(box).maskImage")
    count = window.locator(".table-scroll.goes-on").count()
    wide.evaluate("(box) => { box.scrollLeft = box.scrollWidth; }")
    window.wait_for_function(
        f"() => document.querySelectorAll('.table-scroll.goes-on').length === {count - 1}"
    )


@built
@pytest.mark.parametrize("window", [WIDTHS[0], 1100, WIDTHS[1]], indirect=True)
def test_galleries_reach_into_the_margin_where_there_is_one(window: Any) -> None:
    show(window, "captioning")
    text, pictures = (
        window.locator(selector).first.bounding_box()
        for selector in (".bd-article section > p", ".bd-article .full-width")
    )
    beyond = pictures["x"] + pictures["width"] - text["x"] - text["width"]
    assert beyond > 200 if window.viewport_size["width"] == WIDTHS[0] else abs(beyond) < 20
    assert overflow_faults(window) == []


@built
def test_copy_button_copies_the_code(window: Any) -> None:
    show(window, "rnn")
    window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    block = window.locator("article div.highlight:has(button.copybtn):visible").first
    code = block.locator("pre").inner_text()
    block.hover()
    block.locator("button.copybtn").click()
    window.wait_for_function("async () => (await navigator.clipboard.readText()).length > 0")
    assert window.evaluate("() => navigator.clipboard.readText()").strip() == code.strip()


@built
def test_folded_cell_opens_with_a_key(window: Any) -> None:
    show(window, "lstm")
    cell = window.locator("article details.hide").first
    assert cell.get_attribute("open") is None
    cell.locator("summary").focus()
    window.keyboard.press("Enter")
    assert cell.get_attribute("open") is not None


@built
def test_equations_and_their_functions_link_to_each_other(window: Any) -> None:
    targets: dict[int, list[str]] = {}
    for name, labels in (("rnn", ("1",)), ("lstm", ("17-28", "48-49"))):
        show(window, name)
        for label in labels:
            number = int(label.partition("-")[0])
            equation = window.locator(f"#equation-eq-{label}")
            code = equation.locator("xpath=following-sibling::p[contains(., 'In code')][1]")
            links = code.locator("a")
            targets[number] = links.evaluate_all("links => links.map((link) => link.hash)")
            paths = set(links.evaluate_all("links => links.map((link) => link.pathname)"))
            assert {Path(path).name for path in paths} == {"rnnreport.layers.html"}
    show(window, "api/rnnreport.layers")
    for number, hashes in targets.items():
        name = "rnn" if number <= 12 else "lstm"
        for target in hashes:
            assert re.search(rf"\.(packed_)?{name}_\w*backward$", target)
            entry = window.locator(f'[id="{target[1:]}"]').locator("xpath=..")
            back = entry.locator(f"a[href^='../{name}.html#equation-eq-']")
            linked = [int(n) for n in re.findall(r"\d+", " ".join(back.all_inner_texts()))]
            assert min(linked) <= number <= max(linked)


@built
def test_each_public_name_has_one_entry_in_the_api_reference() -> None:
    entries = Counter(
        entry
        for name in API
        for entry in re.findall(r'<dt class="sig sig-object py" id="([\w.]+)">', _text(name))
    )
    assert [entry for entry, count in entries.items() if count > 1] == []
    names: dict[object, list[str]] = defaultdict(list)
    for package in pkgutil.walk_packages(rnnreport.__path__, "rnnreport."):
        if "._" in package.name:
            continue
        module = importlib.import_module(package.name)
        for name, value in vars(module).items():
            own = not name.startswith("_") and getattr(value, "__module__", "") == package.name
            public = name in getattr(module, "__all__", [name] if own else [])
            if public and (inspect.isroutine(value) or inspect.isclass(value)):
                names[value].append(f"{package.name}.{name}")
    assert len(names) > 300
    assert {n[0]: n for n in names.values() if sum(name in entries for name in n) != 1} == {}


@built
def test_live_figure_answers(window: Any) -> None:
    watch = show(window, "text")
    assert window.locator("#live-lstm").count() == 1, "text.html has no live figure (#live-lstm)"
    window.locator("#live-lstm[data-ready=true]").wait_for()
    field = window.locator("#live-lstm-text")
    number = window.locator("#live-lstm-probability")
    field.fill("The soup was not good.")
    bad = number.inner_text()
    field.fill("The soup was good.")
    window.wait_for_function(
        "(bad) => document.querySelector('#live-lstm-probability').innerText !== bad", arg=bad
    )
    assert watch.faults() == []


@built
def test_network_to_take_apart_answers(window: Any) -> None:
    watch = show(window, "rnn")
    window.locator("#live-rnn[data-ready=true]").wait_for()
    answer = window.locator("#live-rnn .live-answer")
    before = answer.inner_text()
    window.get_by_label("Break an equation").select_option("not-transposed")
    assert "All five gradients are wrong" in answer.inner_text()
    window.locator("#live-rnn-Wh11").press("ArrowRight")
    assert answer.inner_text() != before
    link = window.locator("#live-rnn .live-about:visible a[href='#equation-eq-5']")
    link.hover()
    assert "lit" in (window.locator("#equation-eq-5").get_attribute("class") or "")
    assert watch.faults() == []


# -- The checks find what they are for -----------------------------------------------------------

GOOD = """<!doctype html><html lang="en"><head><title>A page</title><style>{style}</style></head>
<body><main><article><h1>A page<a class="headerlink" href="#" title="Link">#</a></h1>{body}
</article></main></body></html>"""


def write(folder: Path, body: str = "", style: str = "") -> Path:
    path = folder / "page.html"
    path.write_text(GOOD.format(body=body, style=style), encoding="utf-8")
    return path


STATIC_FAULTS = [
    (broken_links, '<a href="gone.html">x</a>', "gone.html: no such file"),
    (broken_links, '<a href="#gone">x</a>', "#gone: no #gone in page.html"),
    (broken_links, '<img src="gone.png" alt="">', "gone.png: no such file"),
    (fetched_elsewhere, '<img src="https://example.org/a.png">', "img https://example.org/a.png"),
    (heading_faults, '<h1>Two<a class="headerlink" href="#">#</a></h1>', "2 h1 and not one"),
    (heading_faults, "<h2>Bare</h2>", "h2 without a permalink"),
    (
        heading_faults,
        '<div class="math" id="equation-eq-1"><span class="eqno">(1)</span></div>',
        "equation-eq-1 without a permalink",
    ),
    (alt_faults, '<img src="data:," alt="A plot">', "data:,: alt 'A plot'"),
    (alt_faults, '<img src="data:,">', "data:,: alt None"),
]


@pytest.mark.parametrize(("check", "body", "fault"), STATIC_FAULTS)
def test_check_of_the_file_finds_its_fault(
    tmp_path: Path, check: Any, body: str, fault: str
) -> None:
    good = write(tmp_path)
    assert check(Site(tmp_path), good) == []
    assert check(Site(tmp_path), write(tmp_path, body)) == [fault]


LIVE_FAULTS = [
    (maths_faults, r"<p>Raw \(x\) here</p>", "", r"raw TeX: Raw \(x\) here"),
    (maths_faults, r"<p>Raw \frac12</p>", "", r"raw TeX: Raw \frac12"),
    (maths_faults, '<span class="math">x</span>', "", "not drawn: x"),
    (
        maths_faults,
        '<span class="math"><mjx-container data-mjx-error="Missing }">x</mjx-container></span>',
        "",
        "MathJax: Missing }",
    ),
    (
        break_faults,
        '<p><span class="math"><i></i></span>, and</p>',
        "p { width: 9px } i { display: inline-block; width: 9px }",
        "a line begins with ,",
    ),
    (overflow_faults, '<p class="wide">x</p>', ".wide { width: 3000px }", "p.wide"),
    (copy_faults, '<div class="highlight"><pre>x = 1</pre></div>', "", "no copy button: x = 1"),
    (colour_faults, "<p>Pale</p>", "p { color: #ccc; background: #fff }", "axe color-contrast"),
    (
        colour_faults,
        '<p>Text with <a href="#">a link</a> in it</p>',
        "p { color: #000 } a { color: #222; text-decoration: none }",
        "axe link-in-text-block",
    ),
    (axe_faults, '<button id="empty"></button>', "", "axe button-name"),
    (keyboard_faults, '<a href="#" tabindex="-1">x</a>', "", "never reached: <a"),
    (keyboard_faults, '<a href="#">x</a>', "a:focus { outline: none }", "focus not seen: <a"),
    (
        keyboard_faults,
        '<input type="radio" name="a" tabindex="-1"><input type="radio" name="a" tabindex="-1">',
        "",
        "never reached: <input",
    ),
    (
        keyboard_faults,
        '<button onkeydown="event.preventDefault()">Trap</button><button>After</button>',
        "",
        "never reached: <button>After",
    ),
]


@pytest.mark.parametrize(("check", "body", "style", "fault"), LIVE_FAULTS)
def test_check_in_the_browser_finds_its_fault(
    window: Any, tmp_path: Path, check: Any, body: str, style: str, fault: str
) -> None:
    window.goto(write(tmp_path).as_uri())
    assert check(window) == []
    window.goto(write(tmp_path, body, style).as_uri())
    faults = check(window)
    assert faults
    assert all(fault in each for each in faults)


def test_of_text_that_looks_alike_one_is_enough(window: Any, tmp_path: Path) -> None:
    words = '<span class="n">one</span> <span class="n">two</span> <span class="c1">six</span> '
    code = f'<p>{words * 9}</p><p class="n">one</p>'
    both = ".n, .c1 { color: #ccc }"  # words that look alike, and a paragraph
    ground = ".n { color: #ccc } p { background: #333; color: #fff } p.n { background: #fff }"
    for style, count in ((".c1 { color: #ccc }", 1), (both, 2), (ground, 1), ("", 0)):
        window.goto(write(tmp_path, code, f"p {{ background: #fff }} {style}").as_uri())
        faults = colour_faults(window)
        assert len(faults) == (count > 0)
        assert [f for f in faults if f"color-contrast, {count} times" not in f] == [], style


def test_one_of_several_radio_buttons_is_enough(window: Any, tmp_path: Path) -> None:
    group = '<input type="radio" name="a"{}> <input type="radio" name="a">'
    for first in ("", " checked"):
        window.goto(write(tmp_path, group.format(first)).as_uri())
        assert keyboard_faults(window) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<img src="http://192.0.2.1/a.png" alt="">', "request to http://192.0.2.1/a.png"),
        ("<script>console.error('so so')</script>", "console: so so"),
        ("<script>throw new Error('no no')</script>", "console: no no"),
        ('<script src="gone.js"></script>', "console: not loaded: "),
    ],
)
def test_watch_notes_requests_and_errors(
    window: Any, tmp_path: Path, body: str, fault: str
) -> None:
    watch = Watch(window)
    window.goto(write(tmp_path).as_uri())
    assert watch.faults() == []
    window.goto(write(tmp_path, body).as_uri())
    assert any(note.startswith(fault) for note in watch.faults())
