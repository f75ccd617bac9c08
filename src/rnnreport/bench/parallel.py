"""A training iteration of captioning by several processes against one.

Timed are loss, gradients and one step of Adam for the same mini-batch, of the LSTM and of the LSTM
with attention, at the sizes with which the report trains. Each process computes in one thread and
takes an equal share of the captions; the gradients meet through gloo. One process is measured right
after the others, on the same machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Generator
from torch.multiprocessing.spawn import spawn

from rnnreport.data.vocabulary import CaptionVocabulary
from rnnreport.experiments.captioning.parallel import Shared
from rnnreport.models.captioning import CaptioningRNN
from rnnreport.names import CellType

_CELLS: tuple[CellType, ...] = ("lstm", "attention")


class Sizes(NamedTuple):
    """How large the network and a mini-batch are."""

    N: int = 100  # captions
    T: int = 12  # steps
    P: int = 64  # places
    F: int = 384  # features of a place
    D: int = 256  # numbers of a word vector
    H: int = 384  # numbers of the hidden state
    V: int = 2523  # words


def measure(cell: CellType, sizes: Sizes, processes: int, seconds: float) -> float:
    """Return the median seconds of an iteration."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(_iterate, (processes, folder, cell, sizes, seconds), nprocs=processes)  # type: ignore[no-untyped-call]
        times = (Path(folder) / "times").read_text().split()
    return statistics.median(map(float, times))


def _iterate(
    rank: int, processes: int, folder: str, cell: CellType, sizes: Sizes, seconds: float
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=processes
    )
    generator = Generator().manual_seed(0)
    special = (*CaptionVocabulary.SPECIAL,)
    words = [*special, *(f"w{k}" for k in range(sizes.V - len(special)))]
    model = CaptioningRNN(
        {word: index for index, word in enumerate(words)},
        input_dim=sizes.F,
        wordvec_dim=sizes.D,
        hidden_dim=sizes.H,
        cell_type=cell,
        dropout=0.4,
        generator=generator,
    )
    shape = (sizes.N, sizes.P, sizes.F) if cell == "attention" else (sizes.N, sizes.F)
    features = torch.randn(shape, generator=generator)
    captions = torch.randint(len(special), sizes.V, (sizes.N, sizes.T + 1), generator=generator)
    learner = Shared(model)
    adam = torch.optim.Adam(model.params.values(), fused=True)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while True:
        begun = time.perf_counter()
        _, grads = learner.loss(features, captions, generator)
        for name, param in model.params.items():
            param.grad = grads[name]
        adam.step()
        times.append(time.perf_counter() - begun)
        more = torch.tensor(float(time.perf_counter() < end or len(times) < 5))
        dist.broadcast(more, 0)  # all stop together
        if not more:
            break
    if rank == 0:
        text = " ".join(map(str, times[1:]))  # the first one is slow
        (Path(folder) / "times").write_text(text)
    dist.destroy_process_group()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`run` to a parser."""
    parser.add_argument("--seconds", type=float, default=10.0, help="for each row (default: 10)")


def run(options: argparse.Namespace) -> None:
    """Measure and print the table."""
    sizes = Sizes()
    numbers = ", ".join(f"{name} = {size}" for name, size in sizes._asdict().items())
    print(f"A training iteration of captioning by several processes; medians; {numbers}")
    print(f"{'cell':<12}{'processes':>10}{'seconds':>12}{'one/this':>11}")
    counts = [count for count in (2, 4) if count <= (os.cpu_count() or 1)]
    for cell in _CELLS:
        several = {count: measure(cell, sizes, count, options.seconds) for count in counts}
        alone = measure(cell, sizes, 1, options.seconds)
        for count, seconds in {1: alone, **several}.items():
            print(f"{cell:<12}{count:10d}{1e3 * seconds:9.1f} ms{alone / seconds:11.2f}")
    print()
