"""The package without its extras: what works, and what says that it needs more."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from implementations import implementation
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rnnreport.cli.main import main

_HIDE = """
import sys
from importlib import metadata

class Hidden:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

def there(name, found=metadata.Distribution.from_name):
    if name in {packages!r}:
        raise metadata.PackageNotFoundError(name)
    return found(name)

sys.meta_path.insert(0, Hidden)
metadata.Distribution.from_name = there
"""


def needed(name: str, extra: str = "") -> set[str]:
    """Return what comes along when a package is installed, itself included."""
    packages: set[str] = set()
    pending = {(name, extra)}
    while pending:
        name, extra = pending.pop()
        packages.add(canonicalize_name(name))
        for line in metadata.requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                pending |= {
                    (wanted.name, each)
                    for each in wanted.extras or {""}
                    if canonicalize_name(wanted.name) not in packages
                }
    return packages


@functools.cache
def hidden() -> str:
    """Return code that hides all that the package without extras does not bring."""
    kept = needed("rnnreport")
    modules = {
        module
        for module, packages in metadata.packages_distributions().items()
        if kept.isdisjoint(map(canonicalize_name, packages))
    }
    packages = {canonicalize_name(each.name) for each in metadata.distributions()} - kept
    assert {"PIL", "h5py", "numba", "torchvision"} <= modules
    return _HIDE.format(modules=modules, packages=packages)


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that has the package without extras."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("RNNREPORT_")
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", hidden() + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
    )


def command(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line where the package has no extras."""
    return run(
        "from rnnreport.__main__ import entry\n"
        f"sys.argv = {['rnnreport', *arguments]!r}\n"
        "sys.exit(entry())\n",
        folder,
    )


ROOMS = {
    "layers": """
shapes = (3, 2, 4), (2, 5), (4, 20), (5, 20), (20,)
out, cache = room.lstm_forward(*(torch.ones(shape) for shape in shapes))
assert len(room.lstm_backward(out, cache)) == 5
""",
    "nn": """
out, _ = room.GRU(4, 5)(torch.ones(3, 2, 4))
out.sum().backward()
""",
    "proof": """
x = torch.ones(3, dtype=torch.float64)
assert room.prove(lambda x: (x * x, x), lambda dy, x: 2 * x * dy, [x])
""",
    "equations": """
ledger = room.table(33, draws=1, with_mistakes=True)
assert ledger.ok and "<table" in ledger._repr_html_()
""",
    "check": """
report = room.check("mine.py")
assert report.exit_status == 1 and "<math" in report.to_html()
""",
}


@pytest.fixture
def wrong_file(tmp_path: Path) -> None:
    """Put a file with a mistake in it into the folder."""
    text = implementation("functions", "rnn", (("not-carried", "h"),)).text
    (tmp_path / "mine.py").write_text(text, "utf-8")


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.usefixtures("wrong_file")
def test_the_arithmetic_needs_no_extra(room: str, tmp_path: Path) -> None:
    code = (
        "import numpy.random, torch\n"
        "before = set(sys.modules)\n"
        f"import rnnreport.{room} as room\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(loaded - sys.stdlib_module_names)\n"
    )
    process = run(code + ROOMS[room], tmp_path)
    assert process.stderr == ""
    assert process.stdout == "{'rnnreport'}\n"  # beside numpy and torch


@pytest.mark.usefixtures("wrong_file")
def test_the_check_needs_no_extra(tmp_path: Path) -> None:
    process = command(["check", "mine.py", "--html", "out.html"], tmp_path)
    assert process.stderr == ""
    assert process.returncode == 1
    assert process.stdout.startswith("mine.py: 8 of 9 functions right, 1 wrong\n")
    assert "<math" in (tmp_path / "out.html").read_text("utf-8")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["run", "--help"]])
def test_the_command_line_helps_without_an_extra(arguments: list[str], tmp_path: Path) -> None:
    process = command(arguments, tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith(("usage: rnnreport", "rnnreport "))


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "text"],
        ["train", "transfer"],
        ["caption", "a.png"],
        ["predict", "ants-and-bees", "a.png"],
        ["classify"],
        ["stylise", "a.png", "a.png", "--out", "painted.png"],
        ["prepare"],
        ["record", "text"],
        ["distil", "--out", "weights.safetensors"],
        ["data"],
        ["data", "fetch"],
    ],
    ids=" ".join,
)
def test_a_command_names_the_extra_that_it_needs(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    process = command(arguments, tmp_path)
    assert process.returncode == 1
    found = re.fullmatch(
        r"rnnreport: this command needs packages that are not installed \((.*)\): "
        r"pip install 'rnnreport\[report\]'\n",
        process.stderr,
    )
    assert found, process.stderr
    named = set(found[1].split(", "))
    assert named == needed("rnnreport", "report") & named
    assert {"h5py", "pillow", "torchvision"} <= named
    assert not {"numba", "numpy", "torch"} & named
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["rnnreport.models.misspelt", "misspelt"])
def test_another_missing_module_is_a_mistake(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def part(*_: object) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("rnnreport.cli.run._part", part)
    if name.startswith("rnnreport"):  # whatever is missing beside it
        monkeypatch.setattr("rnnreport.cli.main._missing_packages", lambda: ["pillow"])
    with pytest.raises(ModuleNotFoundError, match="misspelt"):
        main(["run", "text"])
