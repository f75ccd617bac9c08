"""The definitions that decide a result: all that are reached, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
from modules import modules_of

from rnnreport.runs import definitions as definitions_module
from rnnreport.runs.definitions import code_fingerprint, definitions, definitions_of_code

FILES = {
    "__init__.py": "",
    "experiments/__init__.py": "",
    "experiments/toy.py": """
from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rnnreport import shapes
from rnnreport.data import load, other
from rnnreport.runs import store

if TYPE_CHECKING:
    from rnnreport.data.types import Type

SIZE = 3
SIZE += 1
UNUSED = 4


def run(x: Type) -> int:
    from ..data.lazy import late as later

    return store.give(_help(x) + later() + shapes.round.circle.area())


def _help(x):
    return math.sqrt(load(x) * SIZE)


def helper_of_pages():
    return other()
""",
    "runs/__init__.py": "",
    "runs/store.py": "def give(x):\n    return x\n",
    "data/__init__.py": "from rnnreport.data._files import load, other\n",
    "data/_files.py": """
_CACHE = {}
print("read")


def load(x):
    return _CACHE.get(x)


def other():
    return 2
""",
    "data/lazy.py": "def late():\n    return 1\n\n\ndef later():\n    return 2\n",
    "data/types.py": "Type = int\nOther = float\n",
    "data/unused.py": "x = 1\n",
    "shapes/__init__.py": "",
    "shapes/round/__init__.py": "",
    "shapes/round/circle.py": "def area():\n    return area.factor\n\ndef edge():\n    return 3\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    monkeypatch.setattr(definitions_module, "_ROOT", tmp_path)
    return tmp_path


def test_names_are_followed(package: Path) -> None:  # noqa: ARG001
    assert list(definitions("rnnreport.experiments.toy", "run")) == [
        "rnnreport.data._files:",
        "rnnreport.data._files:_CACHE",
        "rnnreport.data._files:load",
        "rnnreport.data.lazy:",
        "rnnreport.data.lazy:late",
        "rnnreport.data.types:",
        "rnnreport.data.types:Type",
        "rnnreport.data:",
        "rnnreport.experiments.toy:",
        "rnnreport.experiments.toy:SIZE",
        "rnnreport.experiments.toy:_help",
        "rnnreport.experiments.toy:run",
        "rnnreport.shapes.round.circle:",
        "rnnreport.shapes.round.circle:area",
    ]


@pytest.mark.parametrize(
    ("path", "old", "new", "counts"),
    [
        ("experiments/toy.py", "SIZE += 1", "SIZE += 2", True),
        ("experiments/toy.py", "math.sqrt(", "math.exp(", True),
        ("experiments/toy.py", "UNUSED = 4", "UNUSED = 5", False),
        ("experiments/toy.py", "return other()", "return None", False),
        ("runs/store.py", "return x", "return [x]", False),  # moves results about
        ("data/__init__.py", "_files import load, other", "lazy import late as load, other", True),
        ("data/_files.py", "_CACHE = {}", "_CACHE = {1: 2}", True),
        ("data/_files.py", 'print("read")', 'print("done")', True),  # executed all the same
        ("data/_files.py", "return 2", "return 3", False),
        ("data/_files.py", "def load(x):\n", 'def load(x):\n    """Load."""  # why\n', False),
        ("data/lazy.py", "return 1", "return 3", True),
        ("data/lazy.py", "return 2", "return 3", False),
        ("data/types.py", "Type = int", "Type = str", True),
        ("data/types.py", "Other = float", "Other = str", False),
        ("data/unused.py", "x = 1", "x = 2", False),
        ("shapes/round/circle.py", "area.factor", "area.other", True),
        ("shapes/round/circle.py", "return 3", "return 4", False),
    ],
)
def test_what_counts(package: Path, path: str, old: str, new: str, counts: bool) -> None:
    before = code_fingerprint("rnnreport.experiments.toy", "run")
    text = (package / path).read_text(encoding="utf-8")
    assert old in text
    (package / path).write_text(text.replace(old, new), encoding="utf-8")
    assert (code_fingerprint("rnnreport.experiments.toy", "run") != before) == counts


def test_all_of_a_module(package: Path) -> None:  # noqa: ARG001
    digests = definitions("rnnreport.data.types")
    assert list(digests) == [
        "rnnreport.data.types:",
        "rnnreport.data.types:Other",
        "rnnreport.data.types:Type",
    ]
    # A module that is handed on as a whole counts as a whole.
    whole = definitions_of_code("from rnnreport.data import types\nuse(types)")
    assert whole == digests


def test_code_of_a_page(package: Path) -> None:  # noqa: ARG001
    code = "import rnnreport.data.lazy\nimport os\nrnnreport.data.lazy.late()\nos.getcwd()"
    assert list(definitions_of_code(code)) == ["rnnreport.data.lazy:", "rnnreport.data.lazy:late"]
    assert definitions_of_code("from rnnreport.data import load as other\n") == {}
    with pytest.raises(SyntaxError):
        definitions_of_code("def")


def test_what_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"module must be .* got 'rnnreport\.nowhere'"):
        definitions("rnnreport.nowhere")
    with pytest.raises(ValueError, match=r"module must be .* got 'os\.path'"):
        definitions("os.path")
    with pytest.raises(ValueError, match=r"name must be defined in .* got 'ran'"):
        definitions("rnnreport.experiments.captioning.by_heart", "ran")


def test_the_real_package() -> None:
    digests = definitions("rnnreport.experiments.captioning.by_heart", "run")
    assert modules_of(digests) >= {
        "rnnreport.models.efficientnet",
        "rnnreport.samples.scenes",
        "rnnreport.layers._lstm",
        "rnnreport.layers._rnn",
        "rnnreport.models.captioning",
    }
    assert "rnnreport.models.captioning:CaptioningRNN" in digests
    assert not any("_figures" in name or ".equations" in name for name in digests)
    assert not any(name.startswith("rnnreport.nn") for name in digests)
    assert not modules_of(digests) & {"rnnreport.show.figures", "rnnreport.__main__"}
    assert "rnnreport.layers._style" not in modules_of(digests)
