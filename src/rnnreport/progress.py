"""Progress, shown where a person can see it.

A bar inside an executed page would end up as dozens of lines in the page. So progress goes to the
file or terminal that the environment variable ``RNNREPORT_PROGRESS`` names; if it is not set, to
the terminal, and if there is none, nowhere. A file that cannot be written is an ``OSError``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

from rnnreport._files import path_setting

__all__ = ["say", "track"]

_T = TypeVar("_T")


def track(items: Iterable[_T], label: str = "", *, total: int | None = None) -> Iterator[_T]:
    """Yield the items of a loop and draw a progress bar meanwhile.

    `total` is the number of items, if `items` has no length.
    """
    with _audience() as file:
        if file is None:
            yield from items
        else:
            yield from tqdm(items, desc=label, total=total, file=file, ncols=80, mininterval=0.5)


def say(text: str) -> None:
    """Write a line where a progress bar would be drawn."""
    with _audience() as file:
        if file is not None:
            print(text, file=file)


@contextlib.contextmanager
def _audience() -> Iterator[TextIO | None]:
    """Open the file that progress is written to; None if nobody would read it."""
    target = path_setting("RNNREPORT_PROGRESS")
    if target is not None:
        with target.open("a", buffering=1, encoding="utf-8") as file:
            yield file
    else:
        yield sys.stderr if sys.stderr.isatty() else None
