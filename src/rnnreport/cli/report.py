"""``rnnreport prepare``, ``record`` and ``distil``: results for the pages and the package."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rnnreport.cli.arguments import (
    Commands,
    add_profile,
    add_workers,
    file_ending_with,
    one_of,
    workers_of,
)
from rnnreport.names import ALL_PAGES, PARTS, PartName, parts_of
from rnnreport.report.prepare import prepare

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "prepare",
        help="run what the pages rest on",
        description="Run what the pages rest on and what is not stored yet; first say what it is.",
    )
    parser.add_argument(
        "--pages",
        nargs="+",
        type=one_of(ALL_PAGES),
        metavar="PAGE",
        help="what these pages rest on, such as `text`; without it, what all of them do",
    )
    add_profile(parser, "real data, the generated sample, or (default) real data where it is there")
    add_workers(parser)
    parser.set_defaults(command=_prepare)

    parser = commands.add_parser(
        "record",
        help="run parts on real data and keep what they give beside the pages",
        description=(
            "Run parts on real data, or take what is stored, and write docs/recorded: what pages "
            "show where the real data is not there."
        ),
    )
    parser.add_argument(
        "part",
        nargs="*",
        type=one_of(PARTS),
        metavar="PART",
        help=f"some of {', '.join(PARTS)}; else all",
    )
    add_workers(parser)
    parser.set_defaults(command=_record)

    parser = commands.add_parser(
        "distil",
        help="train the small network that the package brings along",
        description=(
            "Train the embedded network on photographs, with VGG-19 and MobileNetV2 as teachers. "
            "It takes about an hour on two cores."
        ),
    )
    parser.add_argument(
        "--out",
        type=file_ending_with(".safetensors"),
        required=True,
        metavar="FILE",
        help="the weights, .safetensors",
    )
    parser.set_defaults(command=_distil)


def _prepare(arguments: argparse.Namespace) -> None:
    parts = PARTS if arguments.pages is None else parts_of(arguments.pages)
    with workers_of(arguments) as workers:
        for line in prepare(parts, arguments.profile, workers=workers):
            print(line, flush=True)


def _record(arguments: argparse.Namespace) -> None:
    # Imported here: torch takes seconds, and the other commands do not need it.
    from rnnreport.report.record import check_record_folder, write_record

    check_record_folder()
    parts: Sequence[PartName] = arguments.part or PARTS
    with workers_of(arguments) as workers:
        for line in prepare(parts, "full", workers=workers):
            print(line, flush=True)
    from rnnreport.report.recording import record, ship

    for part in parts:
        print(f"recorded {write_record(*record(part))}", flush=True)
        for path in ship(part):
            print(f"put into the package: {path}", flush=True)


def _distil(arguments: argparse.Namespace) -> None:
    from rnnreport.experiments.distillation.training import DistillationConfig, distil

    distillation = distil(DistillationConfig())
    distillation.save(arguments.out)
    record = distillation.record
    print(f"{arguments.out}: trained in {record['wall_time'] / 60:.0f} minutes; errors left")
    for name, errors in record["maps"].items():
        print(f"  {name:<10} features {errors['features']:.1e}, Gram matrix {errors['gram']:.1e}")
    print("Style left as VGG-19 sees it")
    for row in record["judged"]:
        name = f"{row['painting']}, {row['content']}"
        print(f"  {name:<50} {row['embedded']:.4f}, untrained {row['untrained']:.4f}")
