"""Trained networks that the package brings along: they answer without training and without data.

Each is a result of the record, without its history, and its tensors in half precision, in two files
of the folder ``trained``: ``<name>.json`` says how it was trained, on what and under which terms,
and holds the checksum of ``<name>.safetensors``.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import safetensors.torch
from torch import Tensor

from rnnreport._files import write_whole
from rnnreport.data.assets import DataFormatError
from rnnreport.data.weights import check_finite
from rnnreport.runs.store import Result

__all__ = ["NAMES", "load_shipped", "write_shipped"]

NAMES = ("captioner", "classifier")
"""The networks."""


def load_shipped(name: str) -> tuple[Result, dict[str, Tensor]]:
    """Read a network.

    Parameters
    ----------
    name
        One of :data:`NAMES`.

    Returns
    -------
    result : Result
        How it was trained.
    tensors : dict of str to Tensor
        What it consists of, in float32.

    Raises
    ------
    DataFormatError
        If a file is gone or damaged.
    """
    text, packed = (_folder() / f"{name}.{suffix}" for suffix in ("json", "safetensors"))
    try:
        result = Result.from_json(text.read_text(encoding="utf-8"))
        content = packed.read_bytes()
    except (OSError, ValueError) as error:
        raise DataFormatError(f"{text}: not a network of this package ({error})") from error
    if hashlib.sha256(content).hexdigest() != result.tensors:
        raise DataFormatError(
            f"{packed}: not the file that belongs to {text.name}: install the package again"
        )
    tensors = safetensors.torch.load(content)
    check_finite(tensors, str(packed))
    return result, {
        part: tensor.float() if tensor.is_floating_point() else tensor
        for part, tensor in tensors.items()
    }


def write_shipped(
    name: str,
    result: Result,
    tensors: Mapping[str, Tensor],
    *,
    terms: str,
    details: Sequence[str] = (),
) -> Path:
    """Write a network into the package.

    Parameters
    ----------
    name
        One of :data:`NAMES`.
    result
        Of the run that trained it.
    tensors
        What it consists of.
    terms
        Those of the data that it was trained on.
    details
        The names of the details that it needs to answer.

    Returns
    -------
    Path
        The file that describes it.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    half = {
        part: tensor.half() if tensor.is_floating_point() else tensor
        for part, tensor in tensors.items()
    }
    packed = safetensors.torch.save(half)
    described = dataclasses.replace(
        result,
        data=result.data | {"terms": terms},
        history={},
        details={detail: result.details[detail] for detail in details},
        tensors=hashlib.sha256(packed).hexdigest(),
    )
    path = _folder() / f"{name}.json"
    write_whole(path.with_suffix(".safetensors"), packed)
    write_whole(path, (described.to_json() + "\n").encode())
    return path


def _folder() -> Path:
    return Path(str(resources.files("rnnreport") / "trained"))
