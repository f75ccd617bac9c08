"""Checkpoints: what a training run needs to go on where it was killed, bit for bit."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from rnnreport._files import write_whole

__all__ = ["read_checkpoint", "write_checkpoint"]

_GENERATOR = "generator"


def write_checkpoint(path: Path, state: Mapping[str, Any], generator: Generator) -> None:
    """Write a checkpoint, so that whoever reads the file finds all of it or the one before.

    Parameters
    ----------
    path
        The file; its folder exists.
    state
        What changes in training: tensors, numbers, lists and dictionaries of them, such as a
        ``state_dict``.
    generator
        Draws all that is random in the training.
    """
    buffer = io.BytesIO()
    torch.save({**state, _GENERATOR: generator.get_state()}, buffer)
    write_whole(path, buffer.getvalue())


def read_checkpoint(path: Path, generator: Generator) -> dict[str, Any] | None:
    """Read a checkpoint.

    Parameters
    ----------
    path
        The file, which may be missing.
    generator
        Is set to where it was.

    Returns
    -------
    dict of str to object or None
        The state, tensors on the CPU; None where there is no file that can be read.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        generator.set_state(state.pop(_GENERATOR))
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError):
        return None
    return state
