"""Pages run again when a definition that their cells reach changes, and only then."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rnnreport.runs import definitions

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

import execution  # noqa: E402

PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
---

# A page

from rnnreport.shapes import edge

```{code-cell} ipython3
:tags: [remove-input]
:name: first
from rnnreport.shapes import area
```

```python
from rnnreport.shapes import edge
```

```{code-cell} ipython3

print(area())
```

```{code-cell} ipython3
---
tags: [hide-cell]
mystnb:
  code_prompt_show: "Show it"
---
print(area() + 1)
```
"""


class Pages:
    """Stands for Sphinx and its environment, with pages in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env: Any = SimpleNamespace(doc2path=lambda name: str(folder / f"{name}.md"))

    def read(self, name: str) -> str:
        content = [(self.folder / f"{name}.md").read_text(encoding="utf-8")]
        execution._note(SimpleNamespace(env=self.env), name, content)  # type: ignore[arg-type]
        return content[0]

    def outdated(self) -> list[str]:
        names = execution._outdated(None, self.env, set(), set(), set())  # type: ignore[arg-type]
        return sorted(names)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "rnnreport"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "shapes.py").write_text(
        "def area():\n    return 1\n\n\ndef edge():\n    return 2\n", encoding="utf-8"
    )
    monkeypatch.setattr(definitions, "_ROOT", folder)
    return folder


@pytest.fixture
def pages(tmp_path: Path, package: Path) -> Pages:  # noqa: ARG001
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "one.md").write_text(PAGE, encoding="utf-8")
    (tmp_path / "docs" / "two.md").write_text(PAGE.replace("area", "edge"), encoding="utf-8")
    (tmp_path / "docs" / "three.md").write_text("# No code\n", encoding="utf-8")
    return Pages(tmp_path / "docs")


def test_cells_and_nothing_else_are_code() -> None:
    assert execution.code_of(PAGE) == (
        "from rnnreport.shapes import area\n\n\nprint(area())\n\nprint(area() + 1)\n"
    )


def test_what_the_cells_reach_stands_in_the_metadata(pages: Pages, package: Path) -> None:
    first = pages.read("one")
    assert first.startswith(
        "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n  definitions: "
    )
    assert pages.read("one") == first
    assert pages.read("three") == "# No code\n"
    text = (package / "shapes.py").read_text(encoding="utf-8")
    (package / "shapes.py").write_text(text.replace("return 1", "return 3"), encoding="utf-8")
    assert pages.read("one") != first


def test_a_change_makes_its_pages_outdated_and_no_others(pages: Pages, package: Path) -> None:
    for name in ("one", "two", "three"):
        pages.read(name)
    assert pages.outdated() == []
    text = (package / "shapes.py").read_text(encoding="utf-8")
    (package / "shapes.py").write_text(text.replace("return 1", "return 3"), encoding="utf-8")
    assert pages.outdated() == ["one"]
    pages.read("one")
    assert pages.outdated() == []


def test_pages_come_together_and_go(pages: Pages) -> None:
    other = Pages(pages.folder)
    other.read("one")
    other.read("two")
    notes = execution.Definitions()
    notes.merge_other(None, pages.env, {"two"}, other.env)  # type: ignore[arg-type]
    assert notes.of(pages.env).keys() == {"two"}
    notes.clear_doc(None, pages.env, "two")  # type: ignore[arg-type]
    assert notes.of(pages.env) == {}


def test_every_cell_of_the_real_pages_is_read() -> None:
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        cells = execution._CELL.findall(text)
        assert len(cells) == text.count("```{code-cell}")
        definitions.definitions_of_code(
            execution.code_of(text)
        )  # it is Python, and can be followed
        if cells:
            assert execution._KERNEL in text
