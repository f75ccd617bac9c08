"""``rnnreport run``: run experiments, or show their stored results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rnnreport.cli.arguments import Commands, add_profile, add_workers, print_left_out, workers_of
from rnnreport.data.assets import NEEDS, resolve
from rnnreport.names import CELLS, PARTS, PartName, Profile, ResolvedProfile

if TYPE_CHECKING:
    from rnnreport.runs.engine import Workers

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Add the command ``run``."""
    parser = commands.add_parser(
        "run",
        help="run experiments, or show their stored results",
        description="Run the experiments of a part, or show their results where they are stored.",
    )
    parser.add_argument("part", nargs="?", choices=PARTS, help="which part; all of them without it")
    add_profile(parser, "real data, the generated sample, or (default) real data where it is there")
    parser.add_argument(
        "--cell",
        choices=(*CELLS, "all"),
        default="all",
        help="captioning: only learning by heart, by one network (default: all of it)",
    )
    parser.add_argument(
        "--dataset",
        choices=("flickr8k", "coco"),
        default="flickr8k",
        help="captioning: coco trains RNN and LSTM on the source's COCO features instead",
    )
    add_workers(parser)
    parser.set_defaults(command=_run, parser=parser)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.part != "captioning":
        for option, usual in (("cell", "all"), ("dataset", "flickr8k")):
            if getattr(arguments, option) != usual:
                arguments.parser.error(f"--{option} is for `rnnreport run captioning` alone")
    if arguments.dataset == "coco" and arguments.cell != "all":
        arguments.parser.error("--cell is for learning by heart, which takes no --dataset coco")
    if arguments.dataset == "coco" and arguments.profile == "sample":
        arguments.parser.error("--dataset coco is real data, which --profile sample rules out")
    with workers_of(arguments) as workers:
        for part in PARTS:
            if arguments.part not in (None, part):
                continue
            if part == "captioning" and arguments.dataset == "coco":
                _coco(workers)
            elif part == "captioning" and arguments.cell != "all":
                _by_heart(resolve(arguments.profile, *NEEDS[part]), arguments.cell, workers=workers)
            else:
                _part(part, arguments.profile, workers)


def _part(part: PartName, profile: Profile, workers: Workers) -> None:
    # Imported here: torch takes seconds, and the other commands do not need it.
    from rnnreport.report.parts import plan
    from rnnreport.report.prepare import complete

    planned = plan(part, profile)
    if planned.n_missing:
        for line in complete([planned], workers=workers):
            print(line, file=sys.stderr, flush=True)
    _SUMMARIES[part](planned.profile)


def _by_heart(profile: ResolvedProfile, *cells: str, workers: Workers = None) -> None:
    from rnnreport.experiments.captioning import by_heart

    for cell, config in by_heart.configs(profile).items():
        if cell not in cells:
            continue
        if not isinstance(workers, int | None):
            from rnnreport.runs.engine import results

            results(by_heart, [config], label=f"by heart, {cell}", workers=workers)
        result = by_heart.run(config)
        data, metrics = result.data, result.metrics
        print(f"learning captions by heart, {cell}, on {data['name']} (profile {data['profile']})")
        print(f"  features    {data['features']}")
        print(
            f"  training    {metrics['iterations']} iterations in {result.wall_time:.1f} s on "
            f"{result.device}, {result.date}"
        )
        print(
            f"  exact       {metrics['exact']} of {metrics['n_train']} training captions, "
            f"last loss {metrics['last_loss']:.3f}"
        )
    print()


def _captioning(profile: ResolvedProfile) -> None:
    _by_heart(profile, *CELLS)
    from rnnreport.experiments.captioning.study import NAMES, WAY_NAMES, study

    summary = study(profile)
    first = next(iter(summary.results.values()))[0]
    print(f"captions, on {first.data['name']} (profile {first.data['profile']})")
    print_left_out(summary.data.left_out)
    print(f"  {'':<22}{'':<11}{'CIDEr':>7}{'95 % interval':>15}{'BLEU-4':>9}{'ROUGE-L':>9}{'s':>7}")
    for row in summary.rows:
        low, high = row.intervals["cider"]
        seconds = sum(result.wall_time for result in summary.results[row.cell])
        print(
            f"  {NAMES[row.cell]:<22}{WAY_NAMES[row.way]:<11}{row.scores.cider:7.3f}"
            f"{f'{low:.3f} {high:.3f}':>15}{row.scores.bleu_4:9.3f}{row.scores.rouge_l:9.3f}"
            f"{seconds:7.0f}"
        )
    print()


def _text(profile: ResolvedProfile) -> None:
    from rnnreport.experiments.text.study import study

    summary = study(profile)
    data = summary.data
    print(f"text, on {data.name} (profile {data.profile}): {data.about['amount']}")
    print(f"  {'':<31}{'test':>7}{'±':>8}{'95 % interval':>18}{'p, bag':>10}{'source':>9}{'s':>7}")
    for row in summary.rows:
        interval = f"{row.interval[0]:.4f} {row.interval[1]:.4f}"
        p_bag = "" if row.p_bag is None else f"{row.p_bag:.1g}"
        source = "" if row.source is None else f"{row.source:.3f}"
        seconds = sum(result.wall_time for result in summary.results[row.model])
        print(
            f"  {row.name:<31}{row.mean:7.4f}{row.deviation:8.4f}{interval:>18}{p_bag:>10}"
            f"{source:>9}{seconds:7.0f}"
        )
    print()


def _transfer(profile: ResolvedProfile) -> None:
    from rnnreport.experiments.transfer.study import NAMES, studies

    for summary in studies(profile):
        data = summary.data
        amount = summary.first.data["amount"]
        print(f"transfer, on {data.name} (profile {data.profile}): {amount}")
        print_left_out(data.left_out)
        print(f"  {'':<12}{'last':>8}{'95 % interval':>16}{'best':>8}{'source':>8}{'s':>7}")
        for row in summary.rows:
            low, high = row.last_interval
            source = "" if row.source is None else f"{row.source:.4f}"
            seconds = sum(result.wall_time for result in summary.results[row.mode])
            print(
                f"  {NAMES[row.mode]:<12}{row.last_mean:8.4f}{f'{low:.4f} {high:.4f}':>16}"
                f"{row.best_mean:8.4f}{source:>8}{seconds:7.0f}"
            )
        print()


def _style(profile: ResolvedProfile) -> None:
    from rnnreport.experiments.style.study import study

    summary = study(profile)
    network = summary.first.config["network"]
    print(f"style, on {summary.data.name} (profile {summary.data.profile}), {network}")
    print(f"  {'':<18}{'left':>8}{'content':>10}{'style':>10}{'variation':>11}{'MiB':>7}{'s':>7}")
    for name, (result,) in summary.results.items():
        last = [result.history[part][-1] for part in ("content", "style", "variation")]
        memory = f"{result.metrics.get('peak_memory', 0) / 2**20:.0f}"
        print(
            f"  {summary.data.paintings[name].title:<18}{result.metrics['style_left']:8.4f}"
            f"{last[0]:10.4f}{last[1]:10.4f}{last[2]:11.4f}{memory:>7}{result.wall_time:7.0f}"
        )
    print()


_SUMMARIES: Mapping[PartName, Callable[[ResolvedProfile], None]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}


def _coco(workers: Workers) -> None:
    from rnnreport.experiments.captioning.study import WAY_NAMES, coco

    for result, scores in coco(workers):
        cell = result.config["cell_type"]
        print(f"captions, {cell}, on {result.data['name']}: {result.data['amount']}")
        for way, score in scores.items():
            print(f"  {WAY_NAMES[way]:<11} CIDEr {score.cider:.3f}  BLEU-4 {score.bleu_4:.3f}")
    print()
