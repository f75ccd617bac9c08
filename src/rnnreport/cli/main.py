"""The command line ``rnnreport``: ``run``, ``train``, ``check``, ``stylise`` and others."""

from __future__ import annotations

import argparse
import codecs
import os
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from importlib import metadata

from rnnreport import __version__
from rnnreport.cli import apply, check, data, report, run, train
from rnnreport.cli.arguments import in_words
from rnnreport.data.assets import DataFormatError, SettingError

__all__ = ["main"]

_OF_A_CLUSTER = ("dask", "distributed")
_UNREAD = 128 + 13  # as a shell counts what writes into a pipe that nobody reads


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        The arguments; those of the process where not given.

    Returns
    -------
    int
        The exit status: 0, or 1 where something that can be expected went wrong, such as data
        that is missing. That of ``check`` is the result. Wrong arguments end the process with 2.
    """
    _write_any_text()
    parser = _parser()
    arguments = parser.parse_args(argv)
    command: Callable[[argparse.Namespace], int | None] | None = arguments.command
    if command is None:
        parser.print_help()
        return 0
    try:
        status = command(arguments)
        print(end="", flush=True)  # standard output may be closed
    except BrokenPipeError:
        # Python would complain when it empties the buffer at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD
    except OSError as error:
        print(f"rnnreport: {in_words(error)}", file=sys.stderr)
        return 1
    except (DataFormatError, SettingError, FloatingPointError) as error:
        print(f"rnnreport: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        extra, missing = "report", _missing_packages()
        if not missing and error.name in _OF_A_CLUSTER:
            extra, missing = "cluster", [error.name]
        if not missing or str(error.name).startswith("rnnreport"):
            raise
        print(
            "rnnreport: this command needs packages that are not installed "
            f"({', '.join(missing)}): pip install 'rnnreport[{extra}]'",
            file=sys.stderr,
        )
        return 1
    except BrokenExecutor:
        print(
            "rnnreport: a process that did runs was ended from outside, most often for lack of "
            "memory: --workers 1 takes the least. What was done is kept",
            file=sys.stderr,
        )
        return 1
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        reason = isinstance(error, MemoryError) and str(error)
        print(f"rnnreport: {reason or 'there is not enough memory for this'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rnnreport: interrupted", file=sys.stderr)
        return 128 + 2  # as a shell counts what Ctrl-C ends
    return status or 0


def _missing_packages() -> list[str]:
    """Name the packages of the extra ``report`` that are not installed."""
    missing = []
    for requirement in metadata.requires("rnnreport") or ():
        if of_extra := re.match(r"([\w.-]+).*\bextra == ['\"]report['\"]", requirement):
            try:
                metadata.version(of_extra[1])
            except metadata.PackageNotFoundError:
                missing.append(of_extra[1])
    return missing


def _is_out_of_memory(error: Exception) -> bool:
    texts = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in texts)


def _write_any_text() -> None:
    """Let output hold names and words that its encoding has no letters for."""
    codecs.register_error("rnnreport", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="rnnreport")


def _spelled(error: UnicodeError) -> tuple[bytes, int]:
    """Give back the bytes of a file name as they were, and escape other letters."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101
    letters = error.object[error.start : error.end]
    return b"".join(
        bytes([ord(letter) - 0xDC00])
        if "\udc80" <= letter <= "\udcff"
        else letter.encode("ascii", "backslashreplace")
        for letter in letters
    ), error.end


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rnnreport",
        description=(
            "The experiments of the report, the data that they use, and a check of backward passes "
            "of your own."
        ),
    )
    parser.add_argument("--version", action="version", version=f"rnnreport {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for module in (check, run, train, apply, report, data):
        module.add_commands(commands)
    return parser
