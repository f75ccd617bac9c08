"""The command line: ``rnnreport run`` and ``rnnreport data``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import get_args

from rnnreport.data.assets import (
    ASSETS,
    NEEDS,
    DataFormatError,
    Profile,
    SettingError,
    find,
    resolve,
    search_folders,
)

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
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = arguments.command
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
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run experiments, or show their stored results",
        description="Run an experiment, or show its result where it is already stored.",
    )
    run.add_argument(
        "experiment",
        nargs="?",
        choices=tuple(_EXPERIMENTS),
        help="which one; all without it",
    )
    run.add_argument(
        "--profile",
        choices=get_args(Profile),
        default="auto",
        help="real data, the generated sample, or (default) real data where it is there",
    )
    run.add_argument(
        "--cell",
        choices=("rnn", "lstm", "both"),
        default="both",
        help="captioning: which recurrent cell (default: both)",
    )
    run.set_defaults(command=_run)

    data = commands.add_parser(
        "data",
        help="list the data sets and whether they are there",
        description="List the assets: whether each is there, where, its origin and its terms.",
    )
    data.set_defaults(command=_data)
    return parser


def _run(arguments: argparse.Namespace) -> None:
    for name, experiment in _EXPERIMENTS.items():
        if arguments.experiment in (None, name):
            experiment(arguments)


def _captioning(arguments: argparse.Namespace) -> None:
    # Imported here: torch takes seconds, and the other commands do not need it.
    from rnnreport.experiments.captioning import CaptioningConfig, run

    for cell in ("rnn", "lstm") if arguments.cell == "both" else (arguments.cell,):
        result = run(CaptioningConfig(cell_type=cell, profile=arguments.profile))
        data, metrics = result.data, result.metrics
        print(f"captioning, {cell.upper()}, on {data['name']} (profile {data['profile']})")
        print(f"  features    {data['features']}")
        print(
            f"  training    {metrics['iterations']} iterations in {result.wall_time:.1f} s on "
            f"{result.device}, {result.date}"
        )
        print(
            f"  exact       {metrics['exact']} of {metrics['n_train']} training captions, "
            f"last loss {metrics['last_loss']:.3f}"
        )
        for part, label in (("train", "training"), ("val", "validation")):
            for record in result.details[part][:3]:
                print(f"  {label:<11} {record['image']}")
                print(f"    network   {record['caption']}")
                print(f"    truth     {record['truth'][0]}")
        print()


def _data(_arguments: argparse.Namespace) -> None:
    folders = search_folders()
    print("Searched, in this order:")
    for folder in folders:
        print(f"  {folder}")
    for asset in ASSETS.values():
        path = find(asset.name)
        print(f"\n{asset.name}: {'present' if path else 'absent'}")
        print(f"  what    {asset.description}")
        print(f"  where   {path or 'as ' + ' or '.join(asset.candidates)}")
        print(f"  origin  {asset.origin}")
        print(f"  terms   {asset.terms}")
    print()
    for experiment, needs in NEEDS.items():
        print(f"The profile 'auto' now means {resolve('auto', *needs)!r} for {experiment}.")


_EXPERIMENTS: dict[str, Callable[[argparse.Namespace], None]] = {"captioning": _captioning}


if __name__ == "__main__":
    sys.exit(main())
