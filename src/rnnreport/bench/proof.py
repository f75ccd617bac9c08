"""The exact proof against measurements of the same gradients.

Timed are, for a layer and a size,

- the proof: the backward pass is the transposed Jacobian of the forward pass, exactly,
- the complex step: every gradient by the forward pass at complex arguments, to rounding,
- ``torch.autograd.gradcheck``: the same by differences, to six digits,

in turn, so that all three see the same machine, and prints medians and their ratios. At the end
stands how long the proofs of all layers and losses take, one after the other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnnreport import equations, layers
from rnnreport.proof import gradient_residuals, prove

SIZES: tuple[int, ...] = (1, 2, 4)
"""The measured sizes: of T, N, D and H alike."""


@dataclass(frozen=True)
class Layer:
    """A layer with its arguments at one size."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: dict[str, Tensor]


@dataclass(frozen=True)
class Row:
    """Median seconds of the checks of one layer at one size."""

    layer: str
    size: int
    proof: float
    complex_step: float
    gradcheck: float
    rounds: int


def layers_at(size: int, seed: int = 0) -> dict[str, Layer]:
    """Return the layers with random arguments, in which every axis has the same size."""
    generator = torch.Generator().manual_seed(seed)
    n, wide = size, 4 * size

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def weights(width: int) -> dict[str, Tensor]:
        return {"Wx": draw(n, width), "Wh": draw(n, width), "b": draw(width)}

    rnn = {"x": draw(n, n, n), "h0": draw(n, n)}
    gates = weights(wide)
    looking = {"Wx": gates["Wx"], "Wh": gates["Wh"], "Wa": draw(n, wide), "b": gates["b"]}
    states = {"A": draw(n, n, n), "h0": draw(n, n), "c0": draw(n, n)}
    labels = torch.randint(n, (n, n), generator=generator)
    counted = torch.ones(n, n, dtype=torch.bool)
    affine = {"x": draw(n, n, n), "w": draw(n, n), "b": draw(n)}
    return {
        "rnn": Layer(layers.rnn_forward, layers.rnn_backward, rnn | weights(n)),
        "lstm": Layer(layers.lstm_forward, layers.lstm_backward, rnn | gates),
        "attention": Layer(
            layers.attention_forward,
            layers.attention_backward,
            {"h": draw(n, n), "A": draw(n, n, n)},
        ),
        "attention lstm": Layer(
            layers.attention_lstm_forward,
            layers.attention_lstm_backward,
            {"x": draw(n, n, n)} | states | looking,
        ),
        "temporal fc": Layer(layers.temporal_fc_forward, layers.temporal_fc_backward, affine),
        "word embedding": Layer(
            lambda W: layers.word_embedding_forward(labels, W),
            layers.word_embedding_backward,
            {"W": draw(n, n)},
        ),
        "softmax loss": _of_loss(
            lambda x: layers.temporal_softmax_loss(x, labels, counted), {"x": draw(n, n, n)}
        ),
        "style loss": _of_loss(
            lambda F: layers.style_loss(F, torch.eye(n, dtype=F.dtype), 0.5), {"F": draw(n, n)}
        ),
    }


def _of_loss(loss: Callable[..., tuple[Tensor, Tensor]], inputs: dict[str, Tensor]) -> Layer:
    return Layer(loss, lambda dloss, gradient: dloss * gradient, inputs)


def checks(layer: Layer) -> dict[str, Callable[[], None]]:
    """Return the three checks; each fails if the layer is wrong."""
    (name, *_) = layer.inputs
    out, _ = layer.forward(*layer.inputs.values())
    dout = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(0))

    def proof() -> None:
        _confirm(bool(prove(layer.forward, layer.backward, layer.inputs)), name)

    def complex_step() -> None:
        cache = layer.forward(*layer.inputs.values())[-1]
        gradients = layer.backward(dout, cache)
        every = gradients if isinstance(gradients, tuple) else (gradients,)

        def scalar(**inputs: Tensor) -> Tensor:
            out: Tensor = layer.forward(*inputs.values())[0]
            return (dout * out).sum()

        named = dict(zip(layer.inputs, every, strict=True))
        residuals = gradient_residuals(scalar, layer.inputs, named)
        _confirm(max(residuals.values()) < 1e-10, name)

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *arguments: Tensor) -> Any:
            out, ctx.cache = layer.forward(*arguments)
            return out

        @staticmethod
        def backward(ctx: Any, dout: Tensor) -> Any:
            return layer.backward(dout, ctx.cache)

    def gradcheck() -> None:
        leaves = [value.clone().requires_grad_() for value in layer.inputs.values()]
        apply: Any = Function.apply
        _confirm(torch.autograd.gradcheck(apply, leaves), name)

    return {"proof": proof, "complex_step": complex_step, "gradcheck": gradcheck}


def _confirm(right: bool, name: str) -> None:
    if not right:
        raise RuntimeError(f"a check found the gradients of {name} and what follows it wrong")


def measure(name: str, size: int, *, seconds: float) -> Row:
    """Time the three checks of a layer, in turn."""
    contenders = checks(layers_at(size)[name])
    times: dict[str, list[float]] = {each: [] for each in contenders}
    for run in contenders.values():  # warm up
        run()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["proof"]) < 3:
        for each, run in contenders.items():
            start = time.perf_counter()
            run()
            times[each].append(time.perf_counter() - start)
    medians = {each: statistics.median(values) for each, values in times.items()}
    return Row(name, size, **medians, rounds=len(times["proof"]))


def table(rows: Sequence[Row]) -> str:
    """Lay rows out as text, with the sum of seconds and geometric means of the ratios."""
    lines = [
        (
            f"{'layer':<16}{'size':>5}{'proof':>12}{'complex step':>14}{'gradcheck':>14}"
            f"{'step/proof':>12}{'gradcheck/proof':>17}{'rounds':>8}"
        )
    ]
    for row in rows:
        times = (f"{1e3 * s:9.1f} ms" for s in (row.proof, row.complex_step, row.gradcheck))
        ratios = f"{row.complex_step / row.proof:12.2f}{row.gradcheck / row.proof:17.2f}"
        lines += [f"{row.layer:<16}{row.size:>5}{'  '.join(times)}{ratios}{row.rounds:8d}"]
    sums = [sum(getattr(row, each) for row in rows) for each in ("proof", "complex_step")]
    sums.append(sum(row.gradcheck for row in rows))
    step = statistics.geometric_mean(row.complex_step / row.proof for row in rows)
    check = statistics.geometric_mean(row.gradcheck / row.proof for row in rows)
    lines.append(f"{'sum':<21}{sums[0]:10.2f} s{sums[1]:12.2f} s{sums[2]:12.2f} s")
    lines.append(f"{'geometric mean':<61}{step:12.2f}{check:17.2f}")
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`run` to a parser."""
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="for each layer and size (default: 0.5)"
    )


def run(options: argparse.Namespace) -> None:
    """Measure and print the table."""
    print("Gradients proven and measured, float64; medians")
    rows = []
    for name in layers_at(1):
        for size in SIZES:
            print(f"{name}: measuring {size} ...", end="\r", flush=True)
            rows.append(measure(name, size, seconds=options.seconds))
    print(f"{'T = N = D = H = size':<50}\n{table(rows)}\n")
    rounds = [equations.pairs() for _ in range(3)]
    seconds = statistics.median(each.seconds for each in rounds)
    print(f"Every layer and loss, {len(equations.PAIRS)} proofs: {seconds:.2f} s")
