"""The glossary of symbols: each stands in the equation named beside it, and in none before."""

import re
from functools import cache
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROW = re.compile(r"^\| \$(?P<symbol>[^$]+)\$ \|.*\{eq\}`(?P<label>eq-[\w-]+)` \|$", re.MULTILINE)
EQUATION = re.compile(r"^\$\$\n((?:(?!^\$\$).)*?)^\$\$ \((eq-[\w-]+)\)$", re.MULTILINE | re.DOTALL)
TOKEN = re.compile(r"\\(?:begin|end)\{\w+\}|\\text\{[^}]*\}|\\[a-zA-Z]+|\\.|[^\s]")
SPACING = frozenset({r"\,", r"\;", r"\!"})  # does not change what is meant


def tokens(tex: str) -> list[str]:
    return [token for token in TOKEN.findall(tex) if token not in SPACING]


def holds(tex: str, symbol: str) -> bool:
    """Whether a symbol stands in a formula: as its parts in a row, and as no index of another."""
    whole, part = tokens(tex), tokens(symbol)
    return any(
        whole[at : at + len(part)] == part and (at == 0 or whole[at - 1] not in "_^")
        for at in range(len(whole) - len(part) + 1)
    )


@cache
def equations() -> dict[str, list[tuple[str, str]]]:
    """Return the numbered equations of each page: label and TeX, in the order of the page."""
    return {
        path.stem: [(label, tex) for tex, label in EQUATION.findall(path.read_text("utf-8"))]
        for path in DOCS.glob("*.md")
    }


def rows() -> list[tuple[str, str]]:
    return ROW.findall((DOCS / "symbols.md").read_text("utf-8"))


def place(label: str) -> tuple[str, int]:
    """Return the page of an equation, and how many stand before it."""
    for page, those in equations().items():
        labels = [name for name, _ in those]
        if label in labels:
            return page, labels.index(label)
    raise AssertionError(f"no equation has the label {label}")


def test_each_row_names_an_equation_and_each_page_is_there() -> None:
    linked = (DOCS / "symbols.md").read_text("utf-8").count("{eq}`")
    assert len(rows()) == linked > 80
    assert {place(label)[0] for _, label in rows()} == {
        p for p, those in equations().items() if those
    }


@pytest.mark.parametrize(("symbol", "label"), rows())
def test_symbol_stands_in_its_equation_and_in_none_before(symbol: str, label: str) -> None:
    page, at = place(label)
    labels = [name for name, tex in equations()[page][: at + 1] if holds(tex, symbol)]
    assert labels == [label]


def test_rows_follow_the_pages() -> None:
    toctrees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    order = " ".join(toctrees).split()
    places = [(order.index(page), at) for page, at in (place(label) for _, label in rows())]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("tex", "symbol", "there"),
    [
        (r"h_t = \tanh(z_t)", "h_t", True),
        (r"h_{t-1}", "h_t", False),
        (r"\new{\pd{L}{h_t}} = 1", r"\new{\pd{L}{h_t}}", True),
        (r"\tilde c_t", r"\tilde w", False),
        (r"E_{w_{tn}}", "w_{tn}", True),
    ],
)
def test_symbols_are_found_whole(tex: str, symbol: str, there: bool) -> None:
    assert holds(tex, symbol) == there
