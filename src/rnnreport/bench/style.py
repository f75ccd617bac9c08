"""From coarse to fine with L-BFGS, against plain Adam at full size.

Both begin with the content picture and make the same objective small. Measured is the time until
the coarse-to-fine run has reached the style loss that plain Adam ends with, at the same size.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from rnnreport.data.assets import resolve
from rnnreport.experiments.paintings import feature_network, style_data
from rnnreport.experiments.style.painting import default_config
from rnnreport.models.style import FeatureNetwork, Level, StyleSettings, peak_memory, stylise
from rnnreport.names import NETWORKS, NetworkName


@dataclass(frozen=True)
class Row:
    """The seconds and the style losses of both ways."""

    plain: float
    fine: float
    plain_left: float
    fine_left: float
    reached: float | None


def measure(
    content: Image.Image,
    painting: Image.Image,
    network: FeatureNetwork,
    settings: StyleSettings,
    *,
    levels: Sequence[Level],
    steps: int,
    learning_rate: float,
) -> Row:
    """Run both ways, one after the other."""
    side = levels[-1].short_side
    plain = stylise(
        content,
        painting,
        network,
        settings,
        levels=[Level(side, steps)],
        optimiser="adam",
        learning_rate=learning_rate,
        label="plain Adam",
    )
    fine = stylise(content, painting, network, settings, levels=levels, label="coarse to fine")
    goal = plain.history["style"][-1]
    reached = (
        seconds
        for seconds, loss, size in zip(
            fine.seconds, fine.history["style"], fine.history["short_side"], strict=True
        )
        if size == side and loss <= goal
    )
    return Row(
        plain.seconds[-1], fine.seconds[-1], plain.style_left, fine.style_left, next(reached, None)
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`run` to a parser."""
    parser.add_argument("--painting", help="which one (default: the first)")
    parser.add_argument("--network", choices=NETWORKS, help="which one (default: the report's)")
    parser.add_argument("--steps", type=int, default=150, help="of plain Adam (default: 150)")
    parser.add_argument(
        "--learning-rate", type=float, default=0.05, help="of plain Adam (default: 0.05)"
    )


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    if options.steps < 1:
        raise SystemExit("--steps must be at least 1")
    name: NetworkName | None = options.network
    profile = resolve("auto", "styles", *(() if name == "embedded" else (name or "vgg19",)))
    data = style_data(profile)
    painting = options.painting or next(iter(data.paintings))
    if painting not in data.paintings:
        raise SystemExit(f"--painting must be one of {', '.join(data.paintings)}")
    config = default_config(painting, profile=profile)
    config = replace(config, network=name or config.network)
    network = feature_network(config.network)
    sizes = ", ".join(f"{level.steps} steps at {level.short_side} px" for level in config.levels)
    print(
        f"Style transfer of {painting} ({profile}), {config.network}; from coarse to fine: {sizes}"
    )
    row = measure(
        data.content,
        data.paintings[painting].picture,
        network,
        config.settings,
        levels=config.levels,
        steps=options.steps,
        learning_rate=options.learning_rate,
    )
    print(f"{'':<34}{'seconds':>10}{'style left':>12}")
    print(f"{f'plain Adam, {options.steps} steps':<34}{row.plain:10.1f}{row.plain_left:12.4f}")
    print(f"{'coarse to fine, all steps':<34}{row.fine:10.1f}{row.fine_left:12.4f}")
    if row.reached is None:
        print("coarse to fine does not reach plain Adam's style loss")
    else:
        print(f"{'coarse to fine, until as good':<34}{row.reached:10.1f}{row.plain_left:12.4f}")
        print(f"{'ratio':<34}{row.reached / row.plain:10.2f}")
    peak = peak_memory()
    if peak is not None:
        print(f"peak memory of the process, all of it: {peak / 2**20:.0f} MiB")
    print()
