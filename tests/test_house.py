"""The arrows of the house: what each room imports is what the map in docs/contributing.md says."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from fresh_python import output_of

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

from execution import code_of  # noqa: E402

PACKAGE = ROOT / "src" / "rnnreport"
MAP = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8").split("\n## ")[1]

Arrows = dict[tuple[str, str], list[str]]
"""For two rooms, the modules of the first that import from the second."""


def entries() -> list[tuple[list[str], str]]:
    """Return the entries of the map, from top to bottom: the rooms that it names, and its text."""
    matches = re.findall(r"^(`.*`)\n: (.*)$", MAP, re.MULTILINE)
    return [(re.findall(r"`(\w+)(?:/|\.py)`", rooms), text) for rooms, text in matches]


ORDER = [room for rooms, _ in entries() for room in rooms]
LEAVES = {room for rooms, text in entries() if "Anybody may import" in text for room in rooms}
RESTS_ON = {
    room: set(re.findall(r"`(\w+)`", text.partition("Rests on ")[2]))
    for rooms, text in entries()
    for room in rooms
}


def imported(code: str) -> set[str]:
    """Return the names of the package that code imports or reaches through what it imports.

    Imports inside functions count, and names in strings that a module is imported by.
    """
    tree = ast.parse(code)
    names: set[str] = set()
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
            for alias in node.names:
                first = alias.name.partition(".")[0]
                bound[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports of the package are absolute"
            full = {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
            names |= set(full.values())
            bound |= full
        elif isinstance(node, ast.Call) and re.search(
            r"\b(import_module|__import__)$", ast.unparse(node.func)
        ):
            names |= {str(each.value) for each in node.args if isinstance(each, ast.Constant)}
    for node in ast.walk(tree):
        chain = attributes(node)
        if chain and chain[0] in bound:
            names.add(".".join([bound[chain[0]], *chain[1:]]))
    return {name for name in names if name.startswith("rnnreport.")}


def attributes(node: ast.AST) -> list[str]:
    """Return the names of ``a.b.c``; none where it does not begin with a name."""
    chain: list[str] = []
    while isinstance(node, ast.Attribute):
        chain.insert(0, node.attr)
        node = node.value
    return [node.id, *chain] if isinstance(node, ast.Name) and chain else []


def code() -> dict[str, str]:
    """Return the code of all modules; that of the pages' cells and of their build is ``docs``."""
    modules = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
    }
    docs = ROOT / "docs"
    pages = [path.read_text(encoding="utf-8") for path in docs.glob("*.md")]
    build = [*docs.glob("*.py"), *(docs / "_ext").glob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in build]
    texts = [text.replace("from __future__ import annotations\n", "") for text in texts]
    texts += map(code_of, pages)
    return modules | {"docs": "\n".join(texts)}


def room_of(module: str) -> str:
    """Return the room of a module; the package's entrance leads to the command line."""
    first = module.partition(".")[0]
    return "cli" if first in ("__main__", "__init__", "__version__") else first


def arrows(modules: dict[str, str]) -> Arrows:
    """Return which room imports which."""
    pairs: Arrows = defaultdict(list)
    for module, text in modules.items():
        for name in imported(text):
            pair = (room_of(module), room_of(name.removeprefix("rnnreport.")))
            if pair[0] != pair[1]:
                pairs[pair].append(f"{module} imports {name}")
    return pairs


def upward(house: Arrows) -> list[str]:
    """Return the imports that lead up, or from a leaf to what is none."""
    height = {room: -place for place, room in enumerate(ORDER)}
    return [
        line
        for (room, target), lines in house.items()
        for line in lines
        if (room in LEAVES and target not in LEAVES)
        or (target not in LEAVES and height[target] > height[room])
    ]


def between_slices(modules: dict[str, str]) -> list[str]:
    """Return the imports of one subject of the experiments by another, or by what they share."""

    def subject(module: str) -> str:
        name = module.removeprefix("experiments.").partition(".")[0]
        return name if (PACKAGE / "experiments" / name).is_dir() else ""

    return [
        f"{module} imports {name}"
        for module, text in modules.items()
        if module.startswith("experiments.")
        for name in imported(text)
        if name.startswith("rnnreport.experiments.")
        and subject(name.removeprefix("rnnreport.")) not in ("", subject(module))
    ]


def test_the_map_names_each_room_once() -> None:
    rooms = {room_of(module) for module in code()} | {"tests"}
    assert sorted(ORDER) == sorted(rooms)


def test_no_arrow_runs_up() -> None:
    assert upward(arrows(code())) == []


def test_no_subject_of_the_experiments_imports_another() -> None:
    assert between_slices(code()) == []


def test_packages_of_experiments_re_export_nothing() -> None:
    modules = {name: text for name, text in code().items() if name.startswith("experiments.")}
    assert len(modules) > 20
    assert not any(imported(text) for name, text in modules.items() if name.endswith("__init__"))


def test_the_map_says_what_each_room_rests_on() -> None:
    real: dict[str, set[str]] = {room: set() for room in ORDER}
    for room, target in arrows(code()):
        if target not in LEAVES:
            real[room].add(target)
    assert {room: sorted(rooms) for room, rooms in real.items()} == {
        room: sorted(rooms) for room, rooms in RESTS_ON.items()
    }


def test_the_arithmetic_rests_on_nothing_of_ours() -> None:
    assert not [pair for pair in arrows(code()) if pair[0] in ("layers", "proof")]


@pytest.mark.parametrize("leaf", ["names", "asked", "progress", "_files", "_checks"])
def test_what_the_command_line_needs_at_once_is_free_of_torch(leaf: str) -> None:
    assert leaf in LEAVES
    program = f"import sys, rnnreport.{leaf}; print('torch' in sys.modules)"
    assert output_of(program) == "False\n"


def test_a_wrong_import_is_found() -> None:
    def faults(module: str, line: str) -> list[str]:
        modules = {module: f"def function():\n    {line}\n"}
        return upward(arrows(modules)) + between_slices(modules)

    text, style = "experiments.text.training", "from rnnreport.experiments.style import painting"
    assert faults("layers._rnn", "import rnnreport.models.text")
    assert faults("layers._rnn", "import rnnreport; rnnreport.models.text.RNN")
    assert faults("layers._rnn", "import importlib; importlib.import_module('rnnreport.nn')")
    assert faults("layers._rnn", "__import__('rnnreport.nn')")
    assert faults("layers._rnn", "from rnnreport.nn import *")
    assert faults("models.text", "from rnnreport import experiments")
    assert faults("names", "from rnnreport.data.assets import find")
    assert faults("experiments.study", style)
    assert faults(text, style)
    assert faults(text, "from rnnreport import experiments as e; e.style.painting.run")
    assert not faults(text, "from rnnreport.experiments import study")
    assert not faults("experiments.style.figures", style)
    assert not faults("models.text", "from rnnreport import layers, names")
