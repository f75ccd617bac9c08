"""The sequence layers against two peers, and against what the machine can do.

Timed are one forward and one backward pass of

- the layers of this package,
- the step formula in a Python loop, differentiated by ``torch.autograd``,
- ``torch.nn.RNN``, ``torch.nn.GRU`` or ``torch.nn.LSTM``, differentiated by ``torch.autograd``,

in turn, so that all three see the same machine, and prints medians and their ratios. A large
product of matrices in the same turns says how fast the machine multiplies: beside the ratio stands
which share of that speed the layers and ``torch.nn`` reach, counting the products alone.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from rnnreport.bench.recording import write
from rnnreport.layers import (
    gru_backward,
    gru_forward,
    lstm_backward,
    lstm_forward,
    rnn_backward,
    rnn_forward,
)

Cell = Literal["rnn", "gru", "lstm"]
Shape = tuple[int, int, int, int]

SHAPES: tuple[Shape, ...] = (
    (16, 200, 256, 512),
    (16, 50, 256, 512),
    (12, 100, 300, 15),
    (40, 100, 300, 128),
    (200, 16, 128, 256),
    (100, 1, 128, 128),
)
"""The measured sizes (T, N, D, H)."""

GATES: dict[Cell, int] = {"rnn": 1, "gru": 3, "lstm": 4}
MODULES = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
LARGE = 1536
"""Rows and columns of the product that says how fast the machine multiplies."""


@dataclass(frozen=True)
class Row:
    """Median seconds of one forward and backward pass at one shape."""

    cell: Cell
    shape: Shape
    layers: float
    loop: float
    torch_nn: float
    product: float
    rounds: int

    @property
    def arithmetic(self) -> float:
        """Seconds that the products of a pass would take at the speed of the large product."""
        return arithmetic(self.shape, GATES[self.cell], self.product)


def arithmetic(shape: Shape, gates: int, product: float) -> float:
    """Return the seconds that all products of a pass would take, if the large one takes so many."""
    T, N, D, H = shape
    forward = T * N * (D + H) * gates * H
    return 3 * forward / LARGE**3 * product  # backward has two products for each


def measure(cell: Cell, shape: Shape, *, seconds: float, dtype: torch.dtype, seed: int = 0) -> Row:
    """Time the layers and both peers at one shape, in turn."""
    large = torch.ones(LARGE, LARGE, dtype=dtype)
    contenders = contenders_of(cell, shape, dtype, seed)
    contenders["product"] = partial(torch.mm, large, large)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():  # warm up: threads, allocator, code paths
        run()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["layers"]) < 5:
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return Row(cell, shape, **medians, rounds=len(times["layers"]))


def contenders_of(
    cell: Cell, shape: Shape, dtype: torch.dtype, seed: int
) -> dict[str, Callable[[], object]]:
    """Return what is timed: the layers and both peers on the same arguments."""
    T, N, D, H = shape
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int, fan_in: int = 1) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=dtype) / math.sqrt(fan_in)

    width = GATES[cell] * H
    x, h0, c0, dh = draw(T, N, D), draw(N, H), torch.zeros(N, H, dtype=dtype), draw(T, N, H)
    Wx, Wh, b, bh = draw(D, width, fan_in=D), draw(H, width, fan_in=H), draw(width), draw(H)
    leaves = [tensor.clone().requires_grad_() for tensor in (x, h0, Wx, Wh, b)]
    module = MODULES[cell](D, H, dtype=dtype)

    def layers() -> object:
        if cell == "lstm":
            return lstm_backward(dh, lstm_forward(x, h0, Wx, Wh, b)[1])
        if cell == "gru":
            return gru_backward(dh, gru_forward(x, h0, Wx, Wh, b, bh)[1])
        return rnn_backward(dh, rnn_forward(x, h0, Wx, Wh, b)[1])

    def loop() -> object:
        return torch.autograd.grad(_loop(cell, c0, bh, *leaves), leaves, dh)

    def torch_nn() -> object:
        h0_, c0_ = leaves[1].unsqueeze(0), c0.unsqueeze(0)
        h, _ = module(leaves[0], (h0_, c0_) if cell == "lstm" else h0_)
        return torch.autograd.grad(h, [*leaves[:2], *module.parameters()], dh)

    return {"layers": layers, "loop": loop, "torch_nn": torch_nn}


def _loop(
    cell: Cell, c: Tensor, bh: Tensor, x: Tensor, h: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor
) -> Tensor:
    """Write the recurrence as its definition does, one step after the other."""
    states = []
    for x_t in x:
        entering, recurrent = x_t @ Wx + b, h @ Wh
        z = entering + recurrent
        if cell == "rnn":
            h = torch.tanh(z)
        elif cell == "gru":
            r, update, _ = z.sigmoid().chunk(3, dim=1)
            inside = recurrent[:, -h.shape[1] :] + bh
            candidate = torch.tanh(entering[:, -h.shape[1] :] + r * inside)
            h = (1 - update) * candidate + update * h
        else:
            f, i, c_tilde, o = z.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * c_tilde.tanh()
            h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states)


def table(rows: Sequence[Row]) -> str:
    """Lay rows of one cell out as text, with geometric means of the ratios."""
    lines = [
        (
            f"{'T, N, D, H':<20}{'layers':>11}{'loop':>11}{'torch.nn':>11}"
            f"{'loop/layers':>14}{'nn/layers':>12}{'of peak':>10}{'nn of peak':>12}{'rounds':>9}"
        )
    ]
    for row in rows:
        milliseconds = (f"{1e3 * s:8.2f} ms" for s in (row.layers, row.loop, row.torch_nn))
        lines.append(
            f"{', '.join(map(str, row.shape)):<20}{''.join(milliseconds)}"
            f"{row.loop / row.layers:14.2f}{row.torch_nn / row.layers:12.2f}"
            f"{row.arithmetic / row.layers:10.0%}{row.arithmetic / row.torch_nn:12.0%}"
            f"{row.rounds:9d}"
        )
    loop = statistics.geometric_mean(row.loop / row.layers for row in rows)
    torch_nn = statistics.geometric_mean(row.torch_nn / row.layers for row in rows)
    lines.append(f"{'geometric mean':<53}{loop:14.2f}{torch_nn:12.2f}")
    peak = statistics.median(2 * LARGE**3 / row.product for row in rows) / 1e9
    lines.append(f"peak: {peak:.0f} GFLOP/s, a product of {LARGE} x {LARGE} matrices")
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`run` to a parser."""
    parser.add_argument("--cell", choices=[*GATES], action="append", help="default: all")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each shape (default: 6)")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--out", type=Path, help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    """Measure and print the tables of the cells."""
    print(f"Layers, {options.dtype}; forward and backward, medians")
    cells: list[Cell] = options.cell or ["lstm", "gru", "rnn"]
    every = []
    for cell in cells:
        rows = []
        for shape in SHAPES:
            print(f"{cell}: measuring {shape} ...", end="\r", flush=True)
            rows.append(
                measure(cell, shape, seconds=options.seconds, dtype=getattr(torch, options.dtype))
            )
        print(f"{cell.upper():<50}\n{table(rows)}\n")
        every += rows
    if options.out:
        write(options.out, "rows", every)
