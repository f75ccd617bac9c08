"""Progress, shown where a person can see it.

A bar inside an executed page would end up as dozens of lines in the page. So progress goes to the
file or terminal that the environment variable ``RNNREPORT_PROGRESS`` names; if it is not set, to
the terminal, and if there is none, nowhere. A file that cannot be written is an ``OSError``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO, TypeVar

from rnnreport._files import path_setting

__all__ = ["say", "track"]

_T = TypeVar("_T")


_BY_WEIGHT = (
    "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"  # a sum of weights has no unit
)


def track(
    items: Iterable[_T],
    label: str = "",
    *,
    total: int | None = None,
    weights: Sequence[float] | None = None,
) -> Iterator[_T]:
    """Yield the items of a loop and draw a progress bar meanwhile.

    `total` is the number of items, if `items` has no length. `weights` say how much work each item
    is: the bar then counts work, and the time that it promises is right where items differ.
    """
    with _audience() as file:
        if file is None:
            yield from items
            return
        from tqdm import tqdm  # here: not every command takes long

        if weights is None:
            yield from tqdm(items, desc=label, total=total, file=file, ncols=80, mininterval=0.5)
        else:
            with tqdm(
                desc=label,
                total=sum(weights),
                file=file,
                ncols=80,
                mininterval=0.5,
                miniters=0,  # else one light item too many is waited for before the bar moves
                smoothing=0,  # the mean speed: of work, unlike of items, it hardly changes
                bar_format=_BY_WEIGHT,
            ) as bar:
                for item, weight in zip(items, weights, strict=True):
                    yield item
                    bar.update(weight)


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
        try:
            opened = target.open("a", buffering=1, encoding="utf-8")
        except OSError as error:
            raise OSError(
                f"RNNREPORT_PROGRESS is set to {str(target)!r}, which cannot be written to "
                f"({error.strerror}): set it to a file or a terminal, or unset it"
            ) from error
        with opened as file:
            yield file
    else:
        yield sys.stderr if sys.stderr.isatty() else None
