"""The command line ``rnnreport``: ``run``, ``caption``, ``classify``, ``stylise`` and others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from rnnreport import __version__
from rnnreport.cli import apply, data, report, run
from rnnreport.data.assets import DataFormatError, SettingError

__all__ = ["main"]


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
        that is missing. Wrong arguments end the process with 2.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    command: Callable[[argparse.Namespace], None] | None = arguments.command
    if command is None:
        parser.print_help()
        return 0
    try:
        command(arguments)
    except (OSError, DataFormatError, SettingError, FloatingPointError) as error:
        print(f"rnnreport: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rnnreport: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rnnreport", description="The experiments of the report, and the data that they use."
    )
    parser.add_argument("--version", action="version", version=f"rnnreport {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for module in (run, report, apply, data):
        module.add_commands(commands)
    return parser
