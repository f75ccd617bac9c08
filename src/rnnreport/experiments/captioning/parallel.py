"""Captioning in data-parallel: one training by several processes, on one machine or on many.

Each process has the whole network and a share of every mini-batch. It computes loss and gradients
of its share by the hand-written backward passes; the processes add them up, and all of them take
the same step. ``torchrun`` starts the processes and tells them where they meet::

    torchrun --nproc-per-node 2 -m rnnreport train captioning
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from rnnreport.experiments.captioning import training
from rnnreport.experiments.captioning.settings import CaptionConfig
from rnnreport.experiments.captioning.training import learn_and_write
from rnnreport.models.captioning import CaptioningRNN
from rnnreport.runs import store
from rnnreport.runs.store import Request, Result, get_or_compute, one_thread

__all__ = ["Shared", "processes", "request", "run"]


class Shared:
    """A network whose loss and gradients several processes compute together.

    Parameters
    ----------
    model
        The network: with the same parameters in every process.
    """

    def __init__(self, model: CaptioningRNN) -> None:
        self._model = model
        self._rank, self._count = dist.get_rank(), dist.get_world_size()

    @property
    def params(self) -> Mapping[str, Tensor]:
        """The parameters by name."""
        return self._model.params

    def loss(
        self, features: Tensor, captions: Tensor, generator: Generator | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        r"""Compute the loss of captions and its gradients, each process those of its share.

        The loss is a mean over captions. With shares of :math:`n_k` of the N captions, loss and
        gradients of all are the sums of :math:`n_k / N` times those of the shares.

        Parameters
        ----------
        features, captions, generator
            As :meth:`CaptioningRNN.loss` takes them, the same in every process. Each process drops
            other numbers.

        Returns
        -------
        loss : Tensor, shape ()
            Of all captions, the same in every process.
        grads : dict of str to Tensor
            Likewise.
        """
        model = self._model
        rows = slice(self._rank, None, self._count)  # captions lie by length: each has short ones
        share = len(captions[rows]) / len(captions)
        own = None
        if generator is not None and model.dropout:
            seed = int(torch.randint(2**62, (), generator=generator))
            own = Generator().manual_seed(seed + self._rank)
        if share:
            loss, grads = model.loss(features[rows], captions[rows], own)
            parts = [loss, *(grads[name] for name in model.params)]
        else:  # a last mini-batch may have fewer captions than there are processes
            parts = [torch.zeros(()), *map(torch.zeros_like, model.params.values())]
        together = torch.cat([part.flatten() for part in parts]) * share
        dist.all_reduce(together)  # one message: each has a price of its own
        pieces = torch.split(together, [part.numel() for part in parts])
        loss, *summed = (piece.view_as(part) for piece, part in zip(pieces, parts, strict=True))
        return loss, dict(zip(model.params, summed, strict=True))


def processes() -> int:
    """Return how many processes ``torchrun`` has started; 1 where it has started none."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def request(config: CaptionConfig, count: int) -> Request:
    """Return the request for the result of several processes: sums in another order.

    Raises
    ------
    Exception
        What :func:`rnnreport.experiments.captioning.training.request` raises.
    """
    alone = training.request(config)
    return dataclasses.replace(alone, module=__name__, data={**alone.data, "processes": count})


def run(config: CaptionConfig) -> Result | None:
    """Train a network in all processes that ``torchrun`` has started, or return the stored result.

    Parameters
    ----------
    config
        What to do, the same in every process.

    Returns
    -------
    Result or None
        As :func:`rnnreport.experiments.captioning.training.run` returns it, in the first process;
        None in the others.

    Raises
    ------
    ValueError
        If the network is to be trained on another device than the CPU.
    Exception
        What :func:`rnnreport.experiments.captioning.training.run` raises.
    """
    if config.device != "cpu":
        raise ValueError(f"device must be 'cpu' with several processes, got {config.device!r}")
    if not dist.is_initialized():  # once in a process: a second meeting would wait forever
        dist.init_process_group("gloo")
        atexit.register(dist.destroy_process_group)
    wanted = request(config, dist.get_world_size())
    stored = [store.get(wanted) is not None]
    dist.broadcast_object_list(stored)  # the first process decides
    with _checkpoint(wanted.path.with_suffix(".part")) as checkpoint:
        if dist.get_rank() == 0:
            result = get_or_compute(wanted, lambda: learn_and_write(config, checkpoint, Shared))
            checkpoint.unlink(missing_ok=True)
            return result
        if not stored[0]:
            with one_thread():
                learn_and_write(config, checkpoint, Shared)
        return None


@contextlib.contextmanager
def _checkpoint(path: Path) -> Iterator[Path]:
    """Yield where a process keeps the state of training: all begin with that of the first one."""
    if dist.get_rank() == 0:
        dist.barrier()
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="rnnreport-") as folder:
        own = Path(folder) / path.name
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(path, own)
        dist.barrier()
        yield own
