"""The command line: ``rnnreport run``, ``rnnreport classify`` and ``rnnreport data``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, get_args

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

    classify = commands.add_parser(
        "classify",
        help="say how positive sentences are",
        description=(
            "Read sentences from standard input, one a line, and print for each the probability "
            "that it is positive, as a model of `rnnreport run text` has learned it."
        ),
    )
    classify.add_argument(
        "--model", choices=_TEXT_MODELS, default="lstm", help="which model (default: lstm)"
    )
    classify.add_argument(
        "--profile",
        choices=get_args(Profile),
        default="auto",
        help="trained on which data; by default on real data where such a model is stored",
    )
    classify.set_defaults(command=_classify)

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


def _text(arguments: argparse.Namespace) -> None:
    from rnnreport.experiments import word_vectors
    from rnnreport.experiments.text_summary import order_study, study

    # What the pages show besides: vectors, also where a file of them serves the classifiers, and
    # the generated sentences, also where there are real ones.
    word_vectors.run(word_vectors.WordVectorsConfig(profile=arguments.profile))
    order_study()
    done = study(profile=arguments.profile)
    print(f"text, on {done.data.name} (profile {done.data.profile}): {done.data.about['amount']}")
    print(f"  {'':<26}{'test':>7}{'±':>8}{'95 % interval':>18}{'p, bag':>10}{'source':>9}{'s':>7}")
    for row in done.rows():
        interval = f"{row.interval[0]:.4f} {row.interval[1]:.4f}"
        p_bag = "" if row.p_bag is None else f"{row.p_bag:.1g}"
        source = "" if row.source is None else f"{row.source:.3f}"
        seconds = sum(result.wall_time for result in done.results[row.model])
        print(
            f"  {row.name:<26}{row.mean:7.4f}{row.deviation:8.4f}{interval:>18}{p_bag:>10}"
            f"{source:>9}{seconds:7.0f}"
        )
    print()


def _classify(arguments: argparse.Namespace) -> None:
    from rnnreport.data.sentiment import tokenise_review
    from rnnreport.experiments.text import TrainedClassifier, latest

    result = latest(arguments.model, arguments.profile)
    try:
        classifier = TrainedClassifier(result)
    except ValueError as error:  # of another version
        raise DataFormatError(str(error)) from error
    print(
        f"rnnreport: {arguments.model}, trained on {result.data['name']} ({result.date[:10]})",
        file=sys.stderr,
    )
    for number, line in enumerate(_lines_of(sys.stdin.buffer), 1):
        tokens = tokenise_review(line)
        if not tokens:
            print(f"rnnreport: line {number} is empty and left out", file=sys.stderr)
            continue
        unknown = classifier.unknown(tokens)
        if unknown:
            which = "no word" if len(unknown) == len(tokens) else f"not {' '.join(unknown)}"
            print(f"rnnreport: line {number}: the model knows {which}", file=sys.stderr)
        p = float(classifier.probabilities([tokens])[0])
        print(f"{p:.3f} {'positive' if p > 0.5 else 'negative'}  {' '.join(tokens)}", flush=True)


def _lines_of(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a stream as they come."""
    for number, line in enumerate(stream, 1):
        try:
            yield line.decode().removeprefix("\ufeff")  # a byte order mark
        except UnicodeDecodeError as error:
            raise DataFormatError(
                f"standard input, line {number}: not UTF-8 ({error.reason})"
            ) from error


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


_EXPERIMENTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "captioning": _captioning,
    "text": _text,
}
# Those of rnnreport.experiments.text, which would load torch.
_TEXT_MODELS = ("bag", "average", "glove-fixed", "glove", "rnn", "lstm", "bilstm")


if __name__ == "__main__":
    sys.exit(main())
