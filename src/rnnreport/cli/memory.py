"""The memory that a painting takes, and how much of it is free."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["check_memory", "free_memory"]

# Measured with VGG-19 and the embedded network at 128 to 512 pixels a side: what is there when the
# networks are loaded does not count.
_FIXED, _PER_PIXEL = 64 << 20, 3500
_SMALLEST_SIDE = 32


def check_memory(sizes: Sequence[tuple[int, int]], side: int, margin: int) -> None:
    """Raise a ``MemoryError`` if pictures of such shapes do not fit at a short side.

    Around the picture a margin is painted too. The error says the largest side that fits.
    """
    free = free_memory()
    width, height = max(sizes, key=lambda size: max(size) / min(size))
    ratio = max(width, height) / min(width, height)

    def needed(side: int) -> int:
        pixels = (side + 2 * margin) * (ratio * side + 2 * margin)
        return math.ceil(_FIXED + _PER_PIXEL * pixels)

    if free is None or needed(side) <= free:
        return
    largest = bisect_right(range(side), free, key=needed) - 1
    remedy = (
        f"--side {largest} fits"
        if largest >= _SMALLEST_SIDE
        else f"a picture of {width} × {height} is too long for any side"
    )
    raise MemoryError(
        f"--side {side} takes about {needed(side) / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB "
        f"are free: {remedy}"
    )


def free_memory() -> int | None:
    """Return how many bytes this process may still take; None where the system does not say."""
    return min(_limits(), default=None)


def _limits() -> Iterator[int]:
    """Yield what the machine, the container and the shell leave to this process."""
    with contextlib.suppress(OSError):
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        for kilobytes in re.findall(r"^MemAvailable: *(\d+) kB", text, re.MULTILINE):
            yield 1024 * int(kilobytes)
    with contextlib.suppress(OSError, ValueError):  # no number: no limit
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        stat = (group / "memory.stat").read_text(encoding="ascii")
        cached = sum(map(int, re.findall(r"^inactive_file (\d+)", stat, re.MULTILINE)))
        used = int((group / "memory.current").read_text(encoding="ascii")) - cached
        yield max(0, limit - used)
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        with contextlib.suppress(OSError):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            if limit != resource.RLIM_INFINITY:
                yield max(0, limit - pages * os.sysconf("SC_PAGE_SIZE"))
