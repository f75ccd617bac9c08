"""``python -m rnnreport`` is the command line, and so is the program ``rnnreport``."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

__all__ = ["entry"]


def entry() -> int:
    """Run the command line as a program of its own, which Ctrl-C ends quietly at any moment."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        from rnnreport.cli.main import main

        return main()
    except KeyboardInterrupt:  # before the command line itself looks out for it
        os.write(2, _INTERRUPTED)
        return 128 + signal.SIGINT


_INTERRUPTED = b"rnnreport: interrupted\n"


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End at once while modules are imported: C code among them turns Ctrl-C into other errors."""
    outer = frame
    while outer is not None:
        if outer.f_code.co_filename.startswith("<frozen importlib"):
            os.write(2, _INTERRUPTED)
            os._exit(128 + signal.SIGINT)
        outer = outer.f_back
    signal.default_int_handler(number, frame)


if __name__ == "__main__":
    sys.exit(entry())
