"""A headless browser for tests of pages: taken from the system, never downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

STATIC = Path(__file__).resolve().parents[1] / "docs" / "_static"


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")  # Playwright cannot run twice at a time
def browser() -> Iterator[Any]:
    """Yield a browser of Playwright for Python; skip the test where there is none."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright: `pip install playwright` to run it"
    )
    path = find_chromium()
    if path is None:
        pytest.skip("no browser: install Chromium to run it")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def context(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a context of the browser, from which nothing leaves the machine even if a page asks.

    One page stays open: the others live in its process, where scripts are compiled once. That
    halves their time.
    """
    opened = browser.new_context(reduced_motion="reduce", offline=True)
    first = tmp_path_factory.mktemp("browser") / "first.html"
    first.write_text("<!doctype html><title>First</title>", encoding="utf-8")
    opened.new_page().goto(first.as_uri())
    return opened


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    """Yield an empty page."""
    opened = context.new_page()
    yield opened
    opened.close()


def page_of(figure: str, name: str, folder: Path) -> Path:
    """Write a page that holds a live figure, with its script and its style sheet beside it."""
    (folder / "_static").mkdir()
    for suffix in ("js", "css"):
        shutil.copy(STATIC / f"{name}.{suffix}", folder / "_static")
    page = folder / "page.html"
    page.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>A figure</title>'
        f'<body class="bd-article">{figure}</body></html>',
        encoding="utf-8",
    )
    return page


@contextmanager
def opened(context: Any, page_file: Path, name: str) -> Iterator[Any]:
    """Open a page of :func:`page_of`, without an error on its console or a request elsewhere."""
    page = context.new_page()
    page.set_viewport_size({"width": 390, "height": 800})
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    page.wait_for_selector(f"#{name}[data-ready=true]")
    yield page
    page.close()
    assert not complaints
    assert all(url.startswith(page_file.parent.as_uri()) for url in requests)
