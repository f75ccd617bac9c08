"""torchvision imports beside any build of torch, and through one module only."""

import ast
import re
from pathlib import Path

import pytest
from fresh_python import output_of

ROOT = Path(__file__).parents[1]
THE_ONE = ROOT / "src" / "rnnreport" / "_torchvision.py"
IMPORT_LINE = re.compile(r"^\s*(?:import|from)\s+torchvision\b", re.MULTILINE)


def test_imports_in_a_fresh_interpreter_and_builds_a_model() -> None:
    output = output_of(
        "import torch\n"
        "from rnnreport._torchvision import torchvision\n"
        "model = torchvision.models.mobilenet_v2().eval()\n"
        "with torch.no_grad():\n"
        "    print(tuple(model(torch.zeros(1, 3, 64, 64)).shape))\n"
    )
    assert output.strip() == "(1, 1000)"


@pytest.mark.parametrize("loads", [False, True])
def test_declares_the_operators_only_where_the_extension_does_not_load(
    tmp_path: Path, loads: bool
) -> None:
    # A stand-in torchvision; its extension, when it loads, declares the operators, as the real one.
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_C.so").touch()
    output = output_of(
        "import sys, torch\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "schema = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'\n"
        "library = torch.library.Library('torchvision', 'FRAGMENT')\n"
        "def load(path):\n"
        f"    if not {loads}: raise OSError('no such symbol')\n"
        "    for name in ('nms', 'qnms'): library.define(name + schema)\n"
        "torch.ops.load_library = load\n"
        "import rnnreport._torchvision as module\n"
        "print(module.torchvision.__file__)\n"
        "print(module._library is None, hasattr(torch.ops.torchvision, 'nms'))\n"
    )
    where, answers = output.splitlines()
    assert Path(where).parent == package
    assert answers == f"{loads} True"


def _imports_torchvision(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return bool(IMPORT_LINE.search(text))
    return any(
        (isinstance(node, ast.Import) and any(_is_it(alias.name) for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.level == 0 and _is_it(node.module or ""))
        for node in ast.walk(ast.parse(text))
    )


def _is_it(module: str) -> bool:
    return module.partition(".")[0] == "torchvision"


def test_nothing_else_imports_torchvision() -> None:
    files = [
        path
        for folder in ("src", "docs", "tests")
        for suffix in ("*.py", "*.md", "*.ipynb")
        for path in (ROOT / folder).rglob(suffix)
        if "_build" not in path.parts
    ]
    assert THE_ONE in files
    assert [path for path in files if _imports_torchvision(path)] == [THE_ONE]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.py", "def f():\n    from torchvision import models\n", True),
        ("b.py", "import torch, torchvision.transforms as T\n", True),
        ("c.py", "from rnnreport._torchvision import torchvision\n", False),
        ("d.md", "```{code-cell}\nimport torchvision\n```\n", True),
        ("e.md", "We import torchvision in one place.\n", False),
    ],
)
def test_the_scan_itself(tmp_path: Path, name: str, text: str, expected: bool) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert _imports_torchvision(tmp_path / name) is expected
