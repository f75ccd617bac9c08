"""Paintings that do not fit into memory are refused before anything is computed."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from rnnreport.cli import memory
from rnnreport.cli.main import main
from rnnreport.cli.memory import check_memory, free_memory
from rnnreport.models.style import MARGIN


def test_what_fits_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2_600_000_000)
    check_memory([(640, 480), (300, 400)], 512, MARGIN)
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    check_memory([(20_000, 120)], 2048, MARGIN)


@pytest.mark.parametrize("margin", [0, MARGIN])
@pytest.mark.parametrize(
    ("size", "side", "remedy"),
    [
        ((800, 600), 1024, r"--side (\d+) fits"),
        ((20_000, 120), 256, r"--side (\d+) fits"),
        ((5000, 1), 256, "a picture of 5000 × 1 is too long for any side"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], side: int, remedy: str, margin: int
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2_600_000_000)
    with pytest.raises(
        MemoryError, match=rf"--side {side} takes about .* GB .*: {remedy}"
    ) as error:
        check_memory([(100, 100), size], side, margin)
    if "fits" in remedy:
        largest = int(str(error.value).split("--side ")[2].split()[0])
        check_memory([(100, 100), size], largest, margin)
        with pytest.raises(MemoryError):
            check_memory([(100, 100), size], largest + 1, margin)


def test_the_command_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 500_000_000)
    path = str(tmp_path / "a.png")
    Image.effect_noise((80, 60), 60).convert("RGB").save(path)
    out = str(tmp_path / "b.png")
    how = ("--network", "embedded", "--side", "1024")
    assert main(["stylise", path, path, "--out", out, *how]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "rnnreport: --side 1024 takes about 5.1 GB of memory and 0.5 GB are free"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a shell, as Linux has it")
def test_free_memory_knows_the_limit_of_the_shell() -> None:
    assert free_memory() is not None
    code = (
        "import resource; from rnnreport.cli.memory import free_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); print(free_memory())"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 0 < int(process.stdout) < 2**31


_PAINT = """
import sys
from PIL import Image
from rnnreport.models.style import Level, StyleSettings, load_network, stylise

def peak():  # of this program alone: getrusage begins with what its parent held
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))

side, margin = map(int, sys.argv[1:])
picture = Image.effect_noise((2 * side, side), 60).convert("RGB")
network = load_network("embedded", None)
before = peak()
settings = StyleSettings(content=0.05, variation=0.05)
stylise(picture, picture, network, settings, levels=[Level(side, 12)], margin=margin)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux")
def test_the_estimate_is_above_what_a_painting_takes() -> None:
    side = 160
    how = [sys.executable, "-c", _PAINT, str(side), str(MARGIN)]
    taken = int(subprocess.run(how, capture_output=True, check=True).stdout)
    pixels = (2 * side + 2 * MARGIN) * (side + 2 * MARGIN)
    estimate = memory._FIXED + memory._PER_PIXEL * pixels
    assert 0.3 * estimate < taken < estimate


def test_the_margin_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = memory._FIXED + memory._PER_PIXEL * 200 * 100
    canvas = memory._FIXED + memory._PER_PIXEL * 240 * 140
    for free, margin, fits in (
        (picture, 0, True), (picture - 1, 0, False), (canvas, 20, True), (canvas - 1, 20, False),
    ):  # fmt: skip
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        if fits:
            check_memory([(400, 200)], 100, margin)
        else:
            with pytest.raises(MemoryError, match="--side 99 fits"):
                check_memory([(400, 200)], 100, margin)
