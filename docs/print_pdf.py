"""Print the built pages to one PDF, in their order, with a table of contents.

``python docs/print_pdf.py docs/_build/html docs/_build/rnnreport.pdf``

The pages are joined as they were built, so an equation keeps its number and a result its value. A
browser, taken from the system, sets and prints them: once to learn on which page each heading
stands, and again with these numbers in the table of contents.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from playwright.sync_api import sync_playwright
from pypdf import PdfReader

SCALE = 0.78  # what is 10.5 points in print.css is 8.2 on paper
WIDTH = round((210 - 2 * 15) / 25.4 * 96 / SCALE)  # px between the margins of print.css on A4
HEIGHT = round((297 - 18 - 15) / 25.4 * 96 / SCALE)
LEFT_OUT = (  # in a book, what to read next is the next chapter
    "script, .headerlink, img.only-dark, button, form, .viewcode-link, p.page-info a,"
    " .toctree-wrapper, link, details.ran-here, .tag_hide-input details.hide, #read-next"
)
API = "api"  # the folder of the pages that become an appendix of signatures
IDS = ("id", "for", "name", "aria-describedby", "aria-labelledby", "aria-controls")

# Shrink what is wider than the page, and name what still is, or is taller than a page and may not
# be broken.
FIT = """([width, height]) => {
  const name = (element) => `${element.tagName.toLowerCase()}.${[...element.classList].join(".")}`
    + ` in ${element.closest("[id]")?.id}`;
  for (const element of document.querySelectorAll("table, .sd-container-fluid, .gallery")) {
    const wide = Math.max(element.scrollWidth, element.getBoundingClientRect().width);
    const room = element.parentElement.getBoundingClientRect().width;
    if (wide > room + 0.5) element.style.zoom = Math.floor(98 * room / wide) / 100;
  }
  for (const code of document.querySelectorAll(".cell_input, div.highlight, .output"))
    if (code.getBoundingClientRect().height < height / 3) code.classList.add("whole");
  const faults = [];
  for (const element of document.querySelectorAll("article *")) {
    if (element.closest("mjx-container") && element.tagName !== "MJX-CONTAINER") continue;
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const style = getComputedStyle(element);
    if (style.position === "absolute" || style.clip !== "auto") continue; // for readers who listen
    if (box.right > width + 1) faults.push(`${Math.round(box.right - width)} px too wide: `
      + name(element));
    else if (style.overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1)
      faults.push(`cut: ${name(element)}`);
    if (style.breakInside === "avoid" && box.height > height)
      element.style.breakInside = "auto";
  }
  return faults;
}"""


def main(arguments: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description="Print the built pages to one PDF.")
    parser.add_argument("html", type=Path, help="folder of the built pages")
    parser.add_argument("pdf", type=Path, help="file to write")
    options = parser.parse_args(arguments)
    if not (options.html / "index.html").is_file():
        parser.error(f"{options.html} holds no built pages: build them first (nox -s docs)")
    try:
        count = print_pdf(options.html, options.pdf)
    except PrintError as error:
        sys.exit(f"{error}")
    sys.stdout.write(f"{options.pdf}: {count} pages\n")


class PrintError(Exception):
    """The report cannot be printed, or not whole."""


def print_pdf(html: Path, pdf: Path) -> int:
    """Print the pages of a folder to one file.

    Parameters
    ----------
    html : pathlib.Path
        Folder of the built pages.
    pdf : pathlib.Path
        File to write; one that is there is replaced once all is printed.

    Returns
    -------
    int
        Number of pages.

    Raises
    ------
    PrintError
        Where no browser is installed, or something would be cut at a page's edge.
    """
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if browser is None:
        raise PrintError("no browser: install Chromium to print the report")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        joined, draft = Path(temporary, "report.html"), Path(temporary, "report.pdf")
        joined.write_text(str(join(html)), encoding="utf-8")
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(color_scheme="light", viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(300_000)
        page.goto(joined.as_uri())
        page.evaluate("async () => { await window.MathJax?.startup?.promise; }")
        page.emulate_media(media="print")
        faults: list[str] = page.evaluate(FIT, [WIDTH, HEIGHT])
        if faults:
            raise PrintError("would be cut:\n  " + "\n  ".join(faults))
        numbers: dict[str, int] = {}
        for _ in range(3):  # numbers that are filled in could move a heading, though they hardly do
            _print(page, draft)
            printed = page_numbers(draft)
            if printed == numbers:
                break
            numbers = printed
            page.evaluate(
                "(numbers) => { for (const spot of document.querySelectorAll('.contents .page'))"
                " spot.textContent = numbers[spot.dataset.of] ?? ''; }",
                numbers,
            )
        chromium.close()
        pdf.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(draft, pdf)
        return len(PdfReader(pdf).pages)


def _print(page: Any, pdf: Path) -> None:
    page.pdf(
        path=str(pdf),
        prefer_css_page_size=True,
        print_background=True,
        outline=True,
        tagged=True,
        scale=SCALE,
    )


def page_numbers(pdf: Path) -> dict[str, int]:
    """Return the page, from 1, of everything in a PDF that is linked to, by its id."""
    reader = PdfReader(pdf)
    places = {}
    for name, target in reader.named_destinations.items():
        at = reader.get_destination_page_number(target)
        if at is not None:
            places[unquote(name.lstrip("/"))] = at + 1
    return places


def join(html: Path) -> BeautifulSoup:
    """Join the pages of a folder to one document, a chapter each, with a table of contents."""
    html = Path(os.path.normpath(html))
    in_order = dict(_pages(html / "index.html"))
    # The reference comes last, as an appendix.
    pages = dict(sorted(in_order.items(), key=lambda item: item[0].parent.name == API))
    names = {path: _name(path.relative_to(html).as_posix()) for path in pages}
    chapters = [_chapter(page, path, names) for path, page in pages.items()]
    title = _heading(chapters[0])
    _only(chapters[0], "h1").string = "In short"  # its title is the book's

    book = BeautifulSoup(
        '<!doctype html><html lang="en" data-theme="light" data-mode="light"><head>'
        '<meta charset="utf-8"><title></title></head><body class="book">'
        '<main class="bd-main"><div class="bd-content"><div class="bd-article-container">'
        '<article class="bd-article"></article></div></div></main></body></html>',
        "html.parser",
    )
    _only(book, "title").string = title
    _fill_head(_only(book, "head"), html, [_text(c, "id") for c in chapters], chapters)
    article = _only(book, "article")
    article.append(_fragment(f'<section class="title"><h1>{title}</h1></section>'))
    article.append(_contents(chapters))
    for chapter in chapters:
        article.append(chapter)
    return book


def _pages(path: Path) -> Iterator[tuple[Path, BeautifulSoup]]:
    """Go through the pages in their order: each links to the next."""
    while True:
        page = _parse(path)
        yield path, page
        following = page.select_one("a.right-next")
        if following is None:
            return
        path = Path(os.path.normpath(path.parent / unquote(_text(following, "href"))))


def _name(address: str) -> str:
    """Return what stands for a page in ids of the book."""
    return re.sub(r"[^\w-]", "-", address.removesuffix(".html"))


def _chapter(page: BeautifulSoup, path: Path, names: dict[Path, str]) -> Tag:
    """Return a page's text as a chapter, every id and link made to fit the whole."""
    name = names[path]
    article = _only(page, "article.bd-article")
    for element in article.select(LEFT_OUT):
        element.decompose()
    if path.parent.name == API:
        _keep_signatures(article)
    for element in article.find_all(True):
        for attribute in IDS:
            if attribute in element.attrs:
                values = _text(element, attribute).split()
                element[attribute] = " ".join(f"{name}--{value}" for value in values)
        for attribute, value in element.attrs.items():
            if isinstance(value, str) and "url(#" in value:  # a drawing refers to a part of itself
                element[attribute] = value.replace("url(#", f"url(#{name}--")
        if element.name == "a" and "href" in element.attrs:
            _aim(element, path, names)
        if element.name == "img":
            source = _text(element, "src")
            if not urlsplit(source).scheme:
                element["src"] = (path.parent / unquote(source)).absolute().as_uri()
            element["loading"] = "eager"
        if element.name == "details":
            element["open"] = ""
    article.name = "section"
    article.attrs = {"class": "chapter", "id": f"chapter-{name}"}
    return article


def _keep_signatures(article: Tag) -> None:
    """Leave of a page of the reference what is called how; the HTML has the rest."""
    for table in article.select("table.autosummary, .table-wrapper"):
        table.decompose()
    for description in article.select("dl.py > dd"):
        for child in description.find_all(True, recursive=False):
            if child.name != "dl" or "py" not in child.get_attribute_list("class"):
                child.decompose()


def _aim(link: Tag, path: Path, names: dict[Path, str]) -> None:
    """Lead a link to its place in the book; one to a file that is not in it leads nowhere."""
    parts = urlsplit(_text(link, "href"))
    if parts.scheme or parts.netloc:
        return
    file = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
    if file not in names:
        link.unwrap()
    else:
        fragment = unquote(parts.fragment)
        link["href"] = f"#{names[file]}--{fragment}" if fragment else f"#chapter-{names[file]}"


def _contents(chapters: list[Tag]) -> Tag:
    items = []
    for chapter in chapters:
        inner = ""
        headings = [] if _is_signatures(chapter) else chapter.find_all("h2")
        for heading in headings:
            section = heading.find_parent("section")
            if isinstance(section, Tag) and section.get("id"):
                inner += f"<li>{_entry(_text(section, 'id'), heading.decode_contents())}</li>"
        entry = _entry(_text(chapter, "id"), _heading(chapter))
        items.append(f"<li>{entry}{f'<ol>{inner}</ol>' if inner else ''}</li>")
    return _fragment(
        f'<section class="contents"><h1>Contents</h1><ol>{"".join(items)}</ol></section>'
    )


def _entry(target: str, text: str) -> str:
    return (
        f'<a href="#{target}"><span>{text}</span><span class="page" data-of="{target}"></span></a>'
    )


def _fill_head(head: Tag, html: Path, ids: list[str], chapters: list[Tag]) -> None:
    """Take over style sheets and MathJax from a page, and give each chapter its running header."""
    sheets: dict[str, None] = {}
    for path in sorted(html.glob("*.html")):
        for link in _parse(path).select("link[rel=stylesheet]"):
            sheets[urlsplit(_text(link, "href")).path] = None
        mathjax = [s for s in _parse(path).select("head script") if "athjax" in str(s).lower()]
        if mathjax and not head.find("script"):
            for script in mathjax:
                if "src" in script.attrs:
                    source = urlsplit(_text(script, "src")).path
                    script["src"] = (html / source).absolute().as_uri()
                head.append(script)
    for sheet in sheets:
        address = (html / unquote(sheet)).absolute().as_uri()
        head.append(_fragment(f'<link rel="stylesheet" href="{address}">'))
    rules = ""
    for identity, chapter in zip(ids, chapters, strict=True):
        if _is_signatures(chapter):
            continue  # a header of its own would begin a new page
        text = re.sub(r'["\\\n]', " ", _heading(chapter))
        rules += (
            f"#{identity} {{ page: {identity}; }}\n"
            f'@page {identity} {{ @top-left {{ content: "{text}"; }} }}\n'
        )
    head.append(
        _fragment(
            "<style>@page { @bottom-right { content: counter(page); }"
            " @top-left, @bottom-right { color: #48566b; font: 8.5pt sans-serif; } }\n"
            "@page :first { @bottom-right { content: none; } }\n"
            f"{rules}</style>"
        )
    )


def _is_signatures(chapter: Tag) -> bool:
    return _text(chapter, "id").startswith("chapter-api-rnnreport")


def _heading(chapter: Tag) -> str:
    heading = chapter.find("h1")
    return heading.get_text(" ", strip=True) if isinstance(heading, Tag) else ""


def _parse(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def _fragment(html: str) -> Tag:
    element = next(iter(BeautifulSoup(html, "html.parser").find_all(True)))
    return element.extract()


def _only(tag: Tag, selector: str) -> Tag:
    element = tag.select_one(selector)
    if element is None:
        raise PrintError(f"a page has no {selector}")
    return element


def _text(tag: Tag, attribute: str) -> str:
    value = tag[attribute]
    return value if isinstance(value, str) else " ".join(value)


if __name__ == "__main__":
    main()
