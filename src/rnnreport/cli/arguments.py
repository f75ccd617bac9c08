"""Options that several commands share, and the types of arguments."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rnnreport._files import check_writable
from rnnreport.names import PROFILES

if TYPE_CHECKING:
    from rnnreport.runs.engine import Workers

__all__ = [
    "LARGEST_SIDE",
    "Commands",
    "add_profile",
    "add_workers",
    "count",
    "file_ending_with",
    "in_words",
    "one_of",
    "print_left_out",
    "seed",
    "side",
    "weight",
    "workers_of",
]

LARGEST_SIDE = 2048
"""Of a picture that is painted, in pixels."""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_profile(parser: argparse.ArgumentParser, description: str) -> None:
    """Add the option ``--profile``."""
    parser.add_argument("--profile", choices=PROFILES, default="auto", help=description)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the options ``--workers`` and ``--cluster``, of which one may be given."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="how many runs go side by side (default: as many as there are cores)",
    )
    group.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="of the scheduler of a Dask cluster that does the runs, such as tcp://10.0.0.1:8786",
    )


@contextlib.contextmanager
def workers_of(arguments: argparse.Namespace) -> Iterator[Workers]:
    """Open what the options of :func:`add_workers` ask for."""
    if arguments.cluster is None:
        yield arguments.workers
        return
    # Imported here: torch takes seconds, and Dask need not be there.
    from rnnreport.runs.cluster import Cluster

    with Cluster(arguments.cluster) as cluster:
        yield cluster


def in_words(error: OSError) -> str:
    """Say what the system refuses, and of which file, without the number of the error."""
    if error.filename is None or error.strerror is None:
        return error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def print_left_out(names: Sequence[str]) -> None:
    """Name what stands among the pictures of a folder and is none."""
    if names:
        print(f"  left out    {', '.join(names)}")


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return the type of an argument that is one of some names."""

    def name(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(names)}, got {text!r}")
        return text

    return name


def file_ending_with(*suffixes: str) -> Callable[[str], Path]:
    """Return the type of a file that is to be written."""

    def path(text: str) -> Path:
        file = Path(text)
        if file.suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"must end with {' or '.join(suffixes)}, got {text!r}")
        if file.is_dir():
            raise argparse.ArgumentTypeError(f"{text!r} is a folder")
        if not file.parent.is_dir():
            raise argparse.ArgumentTypeError(f"there is no folder {str(file.parent)!r}")
        try:  # now, and not after hours of computing
            check_writable(file.parent, "choose another folder")
        except OSError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return file

    return path


def count(text: str) -> int:
    """Read a number of things."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def seed(text: str) -> int:
    """Read the seed of a random generator."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, got {text!r}")
    return int(text)


def side(text: str) -> int:
    """Read the side of a picture in pixels."""
    if not text.isdecimal() or not 32 <= int(text) <= LARGEST_SIDE:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 32 to {LARGEST_SIDE}, got {text!r}"
        )
    return int(text)


def weight(text: str) -> float:
    """Read the weight of a loss."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number from 0, got {text!r}")
    return number
