"""The benchmark of several processes measures them."""

from __future__ import annotations

import pytest

from rnnreport.bench import parallel
from rnnreport.bench.__main__ import main


def test_the_benchmark_prints_a_row_for_each_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, int]] = []

    def measure(cell: str, _sizes: object, processes: int, _seconds: float) -> float:
        seen.append((cell, processes))
        return 1 / processes

    monkeypatch.setattr(parallel, "measure", measure)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    main(["parallel", "--seconds", "0"])
    assert sorted(seen) == [("attention", 1), ("attention", 2), ("lstm", 1), ("lstm", 2)]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("lstm")] == ["1.00", "2.00"]


def test_two_processes_are_measured() -> None:
    sizes = parallel.Sizes(N=4, T=3, P=2, F=3, D=4, H=5, V=9)
    assert parallel.measure("attention", sizes, 2, 0.0) > 0
