"""``rnnreport train``: train one network, where ``rnnreport run`` trains all of a part."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from rnnreport.cli.arguments import Commands, add_profile, print_left_out, seed
from rnnreport.data.assets import NEEDS, resolve
from rnnreport.names import CELLS, MODELS, MODES, ResolvedProfile

if TYPE_CHECKING:
    from rnnreport.experiments.captioning.settings import CaptionConfig
    from rnnreport.runs.store import Result

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Add the command ``train`` with a command for each part whose networks can be asked."""
    parser = commands.add_parser(
        "train",
        help="train one network",
        description=(
            "Train one network, or show its stored result. `rnnreport caption`, `classify` and "
            "`predict` ask the network that was trained last."
        ),
    )
    parts = parser.add_subparsers(metavar="PART", required=True)
    for part, about, option, names, usual in (
        ("captioning", "a network that says what is in pictures", "cell", CELLS, "attention"),
        ("text", "a model that says how positive sentences are", "model", MODELS, "lstm"),
        ("transfer", "a network that tells ants from bees", "mode", MODES, "frozen"),
    ):
        command = parts.add_parser(part, help=about, description=f"Train {about}.")
        command.add_argument(
            f"--{option}",
            dest="name",
            choices=names,
            default=usual,
            help=f"which (default: {usual})",
        )
        command.add_argument(
            "--seed",
            type=seed,
            default=0,
            metavar="N",
            help="of the first weights and the order of training (default: 0)",
        )
        add_profile(
            command, "real data, the generated sample, or (default) real data where it is there"
        )
        command.set_defaults(command=_train, part=part)


def _train(arguments: argparse.Namespace) -> None:
    profile = resolve(arguments.profile, *NEEDS[arguments.part])
    {"captioning": _captioning, "text": _text, "transfer": _transfer}[arguments.part](
        arguments.name, profile, arguments.seed
    )


# The experiments are imported where they run: torch takes seconds, and a wrong option none.


def _captioning(cell: str, profile: ResolvedProfile, seed: int) -> None:
    from rnnreport.experiments.captioning import training
    from rnnreport.experiments.captioning.measures import measure
    from rnnreport.experiments.captioning.settings import WAYS, default_config
    from rnnreport.experiments.captioning.study import WAY_NAMES

    config = default_config(cell, profile=profile, seed=seed)  # type: ignore[arg-type]
    result = _alone_or_together(config)
    if result is None:
        return
    metrics, records = result.metrics, result.details["test"]
    print(f"captions, {cell}, seed {seed}, on {result.data['name']}: {result.data['amount']}")
    print_left_out(training.images_of(config).left_out)
    print(
        f"  trained     {metrics['epochs']:.0f} epochs in {result.wall_time:.1f} s, "
        f"{result.date[:10]}; the weights of epoch {metrics['best_epoch']:.0f}"
    )
    for way in WAYS:
        scores = measure([each[way] for each in records], [each["truth"] for each in records])
        print(f"  {WAY_NAMES[way]:<11} CIDEr {scores.cider:.3f}, BLEU-4 {scores.bleu_4:.3f}")
    print(f"Ask it: rnnreport caption PICTURE … --network {cell}")


def _alone_or_together(config: CaptionConfig) -> Result | None:
    """Train in this process, or in all that torchrun has started, of which the first answers."""
    from rnnreport.experiments.captioning import parallel, training

    if parallel.processes() == 1:
        return training.run(config)
    if os.environ["RANK"] != "0":
        os.environ["RNNREPORT_PROGRESS"] = os.devnull  # the first process alone draws a bar
    return parallel.run(config)


def _text(model: str, profile: ResolvedProfile, seed: int) -> None:
    from rnnreport.experiments.text import training
    from rnnreport.experiments.text.settings import default_config

    result = training.run(default_config(model, profile=profile, seed=seed))  # type: ignore[arg-type]
    print(f"text, {model}, seed {seed}, on {result.data['name']}: {result.data['amount']}")
    print(
        f"  trained     in {result.wall_time:.1f} s, {result.date[:10]}; the weights of epoch "
        f"{result.metrics['best_epoch']:.0f}"
    )
    print(f"  accuracy    {result.metrics['test_accuracy']:.4f} on the test sentences")
    print(f"Ask it: echo 'the soup was great .' | rnnreport classify --model {model}")


def _transfer(mode: str, profile: ResolvedProfile, seed: int) -> None:
    from rnnreport.experiments.transfer import training
    from rnnreport.experiments.transfer.data import transfer_data

    config = training.default_config(mode, profile=profile, seed=seed)  # type: ignore[arg-type]
    result = training.run(config)
    print(f"transfer, {mode}, seed {seed}, on {result.data['name']}: {result.data['amount']}")
    print_left_out(transfer_data(profile, config.data_seed).left_out)
    print(
        f"  trained     {len(result.history['train_loss'])} epochs in {result.wall_time:.1f} s, "
        f"{result.date[:10]}"
    )
    print(f"  accuracy    {result.metrics['last_accuracy']:.4f} on the validation pictures")
    print(f"Ask it: rnnreport predict ants-and-bees PICTURE … --mode {mode}")
