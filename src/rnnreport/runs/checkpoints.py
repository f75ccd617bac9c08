"""Checkpoints: what a training run needs to go on where it was killed, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Generator, Tensor

from rnnreport._files import write_whole

__all__ = ["pack_adam", "read_checkpoint", "unpack_adam", "write_checkpoint"]

_ADAM = ("step", "exp_avg", "exp_avg_sq")
_GENERATOR = "generator"


def write_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], generator: Generator, state: Mapping[str, Any]
) -> None:
    """Write a checkpoint, so that whoever reads the file finds all of it or the one before.

    Parameters
    ----------
    path
        The file; its folder exists.
    tensors
        What changes in training, by name.
    generator
        The source of all that is drawn.
    state
        Anything else that JSON can hold; a number comes back with the same bits.
    """
    held = {name: tensor.contiguous() for name, tensor in tensors.items()}
    held[_GENERATOR] = generator.get_state()
    write_whole(path, safetensors.torch.save(held, {"state": json.dumps(state)}))


def read_checkpoint(path: Path, generator: Generator) -> tuple[dict[str, Tensor], Any] | None:
    """Read a checkpoint.

    Parameters
    ----------
    path
        The file, which may be missing.
    generator
        Is set to where it was.

    Returns
    -------
    (dict of str to Tensor, object) or None
        The tensors, on the CPU, and the state; None where there is no file that can be read.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            state = json.loads(file.metadata()["state"])
    except (OSError, safetensors.SafetensorError, TypeError, KeyError, ValueError):
        return None
    generator.set_state(tensors.pop(_GENERATOR))
    return tensors, state


def pack_adam(adam: torch.optim.Adam, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what Adam remembers of parameters, by their names."""
    return {
        f"adam.{name}.{part}": adam.state[param][part]
        for name, param in params.items()
        for part in _ADAM
    }


def unpack_adam(
    adam: torch.optim.Adam, params: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Give Adam back what :func:`pack_adam` returned."""
    for name, param in params.items():
        step, *moments = (tensors[f"adam.{name}.{part}"] for part in _ADAM)
        moved = (moment.to(param.device) for moment in moments)
        adam.state[param] = dict(zip(_ADAM, (step, *moved), strict=True))
