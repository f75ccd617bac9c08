"""How the cost of an LSTM grows with steps, sequences and hidden units.

T, N and H are doubled five times, one of them at a time. Timed are the forward and the backward
pass of the layers of this package and of ``torch.nn.LSTM``, in turn; the memory of a pass is the
most that a fresh process needs beyond what it held before. A large product of matrices in the same
turns says how fast the machine multiplies. ``--out`` writes all of it as JSON.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rnnreport.bench.layers import GATES, LARGE, arithmetic
from rnnreport.bench.recording import write
from rnnreport.layers import lstm_backward, lstm_forward

SIZES: dict[str, tuple[int, int, int, int]] = {
    "T": (32, 16, 128, 128),
    "N": (32, 8, 128, 128),
    "H": (32, 32, 128, 32),
}
"""For each axis that grows, the sizes (T, N, D, H) that it grows from."""

DOUBLINGS = 5
CONTENDERS = ("layers", "states", "torch_nn")
"""The layers with all that they keep, with the states alone, and the module."""

Passes = tuple[Callable[[], Any], Callable[[Any], object]]


@dataclass(frozen=True)
class Point:
    """What one pass costs one contender at one size: median seconds, and bytes."""

    axis: str
    T: int
    N: int
    D: int
    H: int
    contender: str
    forward: float
    backward: float
    memory: int | None
    arithmetic: float
    rounds: int

    @property
    def seconds(self) -> float:
        """Forward and backward pass together."""
        return self.forward + self.backward


def sizes_of(axis: str) -> list[tuple[int, int, int, int]]:
    """Return the sizes (T, N, D, H) at which an axis is measured."""
    T, N, D, H = SIZES[axis]
    factors = [2**k for k in range(DOUBLINGS + 1)]
    return [
        (T * k if axis == "T" else T, N * k if axis == "N" else N, D, H * k if axis == "H" else H)
        for k in factors
    ]


def passes_of(contender: str, T: int, N: int, D: int, H: int) -> Passes:
    """Return the forward pass, and the backward pass of what it returns."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator)
    x, h0, dh = draw(T, N, D), draw(N, H), draw(T, N, H)
    if contender == "torch_nn":
        module = torch.nn.LSTM(D, H)
        leaves = [x.requires_grad_(), h0.requires_grad_(), *module.parameters()]
        c0 = torch.zeros(1, N, H)
        return (
            lambda: module(x, (h0[None], c0))[0],
            lambda h: torch.autograd.grad(h, leaves, dh),
        )
    Wx, Wh, b = draw(D, 4 * H) / math.sqrt(D), draw(H, 4 * H) / math.sqrt(H), draw(4 * H)
    if contender == "states":
        return (
            lambda: lstm_forward(x, h0, Wx, Wh, b, keep="states")[1],
            lambda cache: lstm_backward(dh, cache),
        )
    return (
        lambda: lstm_forward(x, h0, Wx, Wh, b)[1],
        lambda cache: lstm_backward(dh, cache),
    )


def measure(axis: str, sizes: tuple[int, int, int, int], *, seconds: float) -> list[Point]:
    """Time all contenders at one size, in turn, and take their memory."""
    passes = {contender: passes_of(contender, *sizes) for contender in CONTENDERS}
    large = torch.ones(LARGE, LARGE)
    times: dict[str, list[tuple[float, float]]] = {contender: [] for contender in passes}
    products: list[float] = []
    for run_forward, run_backward in passes.values():  # threads, allocator, compiled code
        run_backward(run_forward())
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(products) < 5:
        for contender, (run_forward, run_backward) in passes.items():
            start = time.perf_counter()
            between = run_forward()
            middle = time.perf_counter()
            run_backward(between)
            times[contender].append((middle - start, time.perf_counter() - middle))
        start = time.perf_counter()
        torch.mm(large, large)
        products.append(time.perf_counter() - start)
    limit = arithmetic(sizes, GATES["lstm"], statistics.median(products))
    return [
        Point(
            axis,
            *sizes,
            contender,
            statistics.median(forward for forward, _ in rounds),
            statistics.median(backward for _, backward in rounds),
            memory_of(contender, sizes),
            limit,
            len(rounds),
        )
        for contender, rounds in times.items()
    ]


def memory_of(contender: str, sizes: tuple[int, int, int, int]) -> int | None:
    """Return the bytes of one pass in a fresh process; None where the system does not say."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = (sys.executable, "-m", __name__, contender, *map(str, sizes))
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def own_memory(contender: str, sizes: tuple[int, int, int, int]) -> int:
    """Run one pass, and return how far it raised the memory of this process."""
    small, (forward, backward) = passes_of(contender, 2, 4, 8, 16), passes_of(contender, *sizes)
    small[1](small[0]())  # imports, threads, compiled code
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # forget the highest value so far
    before = _status("VmRSS")
    backward(forward())
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def table(points: list[Point]) -> str:
    """Lay out the points of one axis as text."""
    lines = [
        f"{'T, N, D, H':<20}{'':<10}{'forward':>12}{'backward':>12}{'memory':>12}{'of peak':>10}"
    ]
    for point in points:
        sizes = f"{point.T}, {point.N}, {point.D}, {point.H}"
        memory = "" if point.memory is None else f"{point.memory / 2**20:9.1f} MB"
        share = point.arithmetic / point.seconds
        lines.append(
            f"{sizes:<20}{point.contender:<10}{1e3 * point.forward:9.2f} ms"
            f"{1e3 * point.backward:9.2f} ms{memory:>12}{share:10.0%}"
        )
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`run` to a parser."""
    parser.add_argument("--seconds", type=float, default=2.0, help="for each size (default: 2)")
    parser.add_argument("--out", type=Path, help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    """Measure, print a table for each axis, and write all points."""
    points: list[Point] = []
    for axis in SIZES:
        own: list[Point] = []
        for sizes in sizes_of(axis):
            print(f"{axis}: measuring {sizes} ...", end="\r", flush=True)
            own += measure(axis, sizes, seconds=options.seconds)
        print(f"LSTM, growing {axis}, float32, medians{'':<30}\n{table(own)}\n")
        points += own
    if options.out:
        write(options.out, "points", points)


if __name__ == "__main__":  # one pass in a process of its own, for memory_of
    name, *numbers = sys.argv[1:]
    T, N, D, H = map(int, numbers)
    print(own_memory(name, (T, N, D, H)))
