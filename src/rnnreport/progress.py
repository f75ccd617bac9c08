"""Progress, told where a person can see it.

A bar inside an executed page would end up as dozens of lines in the page. So what is told goes to
the file or terminal that the environment variable ``RNNREPORT_PROGRESS`` names; where it is not
set, to the terminal if there is one, and else nowhere.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO, TypeVar

from tqdm import tqdm

__all__ = ["say", "track"]

_T = TypeVar("_T")


def track(items: Iterable[_T], label: str = "", *, total: int | None = None) -> Iterator[_T]:
    """Yield the items of a loop and draw a progress bar meanwhile.

    Parameters
    ----------
    items
        What to loop over.
    label
        What stands before the bar.
    total
        How many items there are, where `items` has no length.

    Yields
    ------
    object
        The items.

    Raises
    ------
    OSError
        If the file that ``RNNREPORT_PROGRESS`` names cannot be written.
    """
    with _audience() as file:
        if file is None:
            yield from items
        else:
            yield from tqdm(items, desc=label, total=total, file=file, ncols=80, mininterval=0.5)


def say(text: str) -> None:
    """Write a line where a progress bar would be drawn.

    Parameters
    ----------
    text
        The line.

    Raises
    ------
    OSError
        If the file that ``RNNREPORT_PROGRESS`` names cannot be written.
    """
    with _audience() as file:
        if file is not None:
            print(text, file=file)


@contextlib.contextmanager
def _audience() -> Iterator[TextIO | None]:
    """Open what progress is told to; None where nobody reads it."""
    target = os.environ.get("RNNREPORT_PROGRESS", "")
    if target:
        with Path(target).open("a", buffering=1, encoding="utf-8") as file:
            yield file
    else:
        yield sys.stderr if sys.stderr.isatty() else None
