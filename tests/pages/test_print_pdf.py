"""The program that prints the report, on two small pages, and on the real ones where they are."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from browser import find_chromium

pypdf = pytest.importorskip("pypdf", reason="no pypdf: it comes with the group `docs`")
pytest.importorskip("playwright", reason="no Playwright: `pip install playwright` to run it")
pytest.importorskip("bs4", reason="no Beautiful Soup: it comes with the group `docs`")

DOCS = Path(__file__).resolve().parents[2] / "docs"
needs_browser = pytest.mark.skipif(
    find_chromium() is None, reason="no browser: install Chromium to run it"
)

PAGE = """<!doctype html><html><head><title>x</title>
<link rel="stylesheet" href="_static/print.css"></head><body>
<article class="bd-article"><section id="top">
<h1>{title}<a class="headerlink" href="#top">#</a></h1>
<section id="part"><h2>Part of {title}</h2>{body}</section></section></article>
</body></html>"""
NEXT = '<a class="right-next" href="{}">Next</a></body>'


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("print_pdf", DOCS / "print_pdf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pages(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a front page and a chapter with a given body."""

    def write(body: str) -> Path:
        static = tmp_path / "_static"
        static.mkdir(exist_ok=True)
        (static / "print.css").write_text((DOCS / "_static" / "print.css").read_text())
        front = PAGE.format(title="Report", body="Words.")
        front = front.replace("</body>", NEXT.format("next.html"))
        (tmp_path / "index.html").write_text(front, encoding="utf-8")
        chapter = PAGE.format(title="Chapter", body=body)
        (tmp_path / "next.html").write_text(chapter, encoding="utf-8")
        return tmp_path

    return write


@needs_browser
def test_book_has_contents_with_pages_and_keeps_numbers(
    program: ModuleType, pages: Callable[[str], Path], tmp_path: Path
) -> None:
    equation = '<div class="math" id="equation-eq-7"><span class="eqno">(7)</span>x</div>'
    details = "<details><summary>Show</summary><p>Folded words.</p></details>"
    leaf = '<p style="break-before: page">Later.</p>'
    folder = pages(equation + details + leaf + '<h2 id="end">End</h2><a href="#part">up</a>')
    pdf = tmp_path / "report.pdf"
    count = program.print_pdf(folder, pdf)
    texts = [page.extract_text() for page in pypdf.PdfReader(pdf).pages]
    assert len(texts) == count == 5  # title, contents, front page, chapter in two
    numbers = program.page_numbers(pdf)
    assert (numbers["chapter-index"], numbers["chapter-next"]) == (3, 4)
    assert [line.split()[-1] for line in texts[1].splitlines() if "Chapter" in line] == ["4", "4"]
    assert "(7)" in texts[3]
    assert "Folded words." in texts[3]
    assert "Later." in texts[4]
    assert pypdf.PdfReader(pdf).outline


@needs_browser
@pytest.mark.parametrize(
    "body",
    [
        '<div style="width: 900px; height: 9px" class="wide">x</div>',
        '<div style="overflow: hidden; width: 9px" class="wide"><p style="width: 99px">x</p></div>',
    ],
)
def test_what_would_be_cut_is_an_error(
    program: ModuleType, pages: Callable[[str], Path], tmp_path: Path, body: str
) -> None:
    pdf = tmp_path / "report.pdf"
    with pytest.raises(program.PrintError, match=r"would be cut:\n.*div\.wide in next--part"):
        program.print_pdf(pages(body), pdf)
    assert not pdf.exists()


def test_links_lead_to_their_place_in_the_book_or_nowhere(
    program: ModuleType, pages: Callable[[str], Path]
) -> None:
    book = program.join(
        pages(
            '<a href="index.html#part">a</a><a href="#part">b</a><a href="index.html">c</a>'
            '<a href="_sources/next.ipynb">d</a><a href="https://example.org/">e</a>'
        )
    )
    chapter = book.select_one("#chapter-next")
    assert [link["href"] for link in chapter.select("a")] == [
        "#index--part",
        "#next--part",
        "#chapter-index",
        "https://example.org/",
    ]
    ids = [element["id"] for element in book.select("[id]")]
    assert len(ids) == len(set(ids))


def test_parts_of_a_drawing_find_each_other_in_the_book(
    program: ModuleType, pages: Callable[[str], Path]
) -> None:
    drawn = '<svg><clipPath id="cut"></clipPath><g clip-path="url(#cut)"></g></svg>'
    book = program.join(pages(drawn))
    [group] = book.select("#chapter-next g")
    assert group["clip-path"] == "url(#next--cut)"
    assert book.find(id="next--cut") is not None


def test_a_page_in_a_folder_is_a_chapter_too(
    program: ModuleType, pages: Callable[[str], Path]
) -> None:
    folder = pages('<a href="api/deep.layers.html#part">in</a>')
    before = (folder / "next.html").read_text(encoding="utf-8")
    before = before.replace("</body>", NEXT.format("api/deep.layers.html"))
    (folder / "next.html").write_text(before, encoding="utf-8")
    (folder / "api").mkdir()
    body = '<a href="../next.html">out</a><img src="../a.png"><a href="../_modules/x.html">off</a>'
    deep = PAGE.format(title="Deep", body=body)
    (folder / "api" / "deep.layers.html").write_text(deep, encoding="utf-8")
    book = program.join(folder)
    assert book.select_one("#chapter-next a")["href"] == "#api-deep-layers--part"
    assert book.select_one("#api-deep-layers--part") is not None
    [link] = book.select("#chapter-api-deep-layers a")
    assert link["href"] == "#chapter-next"
    assert book.select_one("img")["src"] == (folder / "api" / ".." / "a.png").as_uri()


def test_no_pages_is_said(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program.main([str(tmp_path), str(tmp_path / "report.pdf")])
    assert "build them first" in capsys.readouterr().err
