"""``rnnreport check``: hold a reader's own backward passes against the truth."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rnnreport._files import write_whole
from rnnreport.cli.arguments import Commands, file_ending_with, in_words, seed

if TYPE_CHECKING:
    from rnnreport.check import Report

__all__ = ["add_commands"]

_WORST_FIRST = (1, 2, 0)


def add_commands(commands: Commands) -> None:
    """Add the command ``check``."""
    parser = commands.add_parser(
        "check",
        help="check your own backward passes, and name what is wrong",
        description=(
            "Check hand-written forward and backward passes of an RNN, an LSTM or a GRU: run them "
            "in a process of their own, compare each gradient with the right one, and name the "
            "mistake."
        ),
        epilog=(
            "Exit status: 0 where all is right, 1 where something is wrong, 2 where something is "
            "unfinished, not recognised or cannot be read. Of several files 1 counts before 2."
        ),
    )
    parser.add_argument("file", nargs="+", metavar="FILE", help="a .py file or a notebook")
    parser.add_argument("--function", metavar="NAME", help="report this function alone")
    parser.add_argument(
        "--hook",
        metavar="FILE",
        help="functions `forward` and `backward` that bring other code into the form that is known",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="of the random problems (default: 0)"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=10.0,
        metavar="S",
        help="how long one call may take (default: 10)",
    )
    parser.add_argument(
        "--explain",
        choices=("full", "less"),
        default="full",
        help="less: symptoms and equations, and not what to change; --json has all of it always",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON; of several files, a list with one for each"
    )
    parser.add_argument(
        "--html",
        type=file_ending_with(".html", ".htm"),
        metavar="OUT.html",
        help="write a page too, which needs no other file and no network",
    )
    parser.set_defaults(command=_check)


def _check(arguments: argparse.Namespace) -> int:
    # Imported here: torch takes seconds, and the other commands do not need it.
    from rnnreport.check import Report, check

    reports: list[Report] = []
    for file in arguments.file:
        try:
            report = check(
                file,
                function=arguments.function,
                hook=arguments.hook,
                seed=arguments.seed,
                seconds=arguments.seconds,
            )
        except Exception as error:  # whatever a stranger's file brings about: never a traceback
            report = Report(file, problem=_in_words(file, error))
            print(f"rnnreport: {report.problem}", file=sys.stderr)
        else:
            report = replace(report, name=file)
            if not arguments.json:
                print("\n" * bool(reports) + report.text(explain=arguments.explain), flush=True)
        reports.append(report)
    if arguments.json:
        texts = [report.to_json() for report in reports]
        print(texts[0] if len(texts) == 1 else "[\n" + ",\n".join(texts) + "\n]")
    statuses = {report.exit_status for report in reports}
    if arguments.html and not _written(arguments, reports):
        statuses.add(2)
    return next(status for status in _WORST_FIRST if status in statuses)


def _in_words(file: str, error: Exception) -> str:
    if isinstance(error, OSError):
        text = in_words(error)
    elif isinstance(error, ValueError):
        text = str(error)
    else:
        text = f"the check itself failed ({type(error).__name__}: {error})"
    return text if Path(file).name in text else f"{file}: {text}"


def _written(arguments: argparse.Namespace, reports: Sequence[Report]) -> bool:
    from rnnreport.check._html import page

    path: Path = arguments.html
    text = page(*reports, explain=arguments.explain)
    try:
        write_whole(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        print(f"rnnreport: {in_words(error)}", file=sys.stderr)
        return False
    if not arguments.json:
        print(f"\nOpen {path.absolute().as_uri()}")
    return True


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return number
