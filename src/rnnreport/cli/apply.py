"""``rnnreport caption``, ``classify`` and ``stylise``: trained networks on one's own data."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rnnreport._files import write_whole
from rnnreport.cli.arguments import Commands, add_profile, file_ending_with, side, weight
from rnnreport.data.assets import DataFormatError, find
from rnnreport.names import CELLS, MODELS, NETWORKS

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "caption",
        help="say what is in pictures",
        description=(
            "Print a caption for each picture, as a network of `rnnreport run captioning` has "
            "learned to write them."
        ),
    )
    parser.add_argument("image", nargs="+", type=Path, metavar="IMAGE", help="a picture")
    parser.add_argument(
        "--network",
        choices=CELLS,
        default="attention",
        help="which network (default: attention)",
    )
    add_profile(
        parser, "trained on which data; by default on photographs where such a network is stored"
    )
    parser.set_defaults(command=_caption)

    parser = commands.add_parser(
        "classify",
        help="say how positive sentences are",
        description=(
            "Read sentences from standard input, one a line, and print for each the probability "
            "that it is positive, as a model of `rnnreport run text` has learned it."
        ),
    )
    parser.add_argument(
        "--model", choices=MODELS, default="lstm", help="which model (default: lstm)"
    )
    add_profile(
        parser, "trained on which data; by default on real data where such a model is stored"
    )
    parser.set_defaults(command=_classify)

    parser = commands.add_parser(
        "stylise",
        help="paint a picture in the style of another",
        description="Paint the content of one picture in the style of another.",
    )
    parser.add_argument("content", type=Path, metavar="CONTENT", help="the picture to be painted")
    parser.add_argument("style", type=Path, metavar="STYLE", help="the painting")
    parser.add_argument(
        "--out",
        type=file_ending_with(".png", ".jpg", ".jpeg"),
        required=True,
        metavar="FILE",
        help="the result, .png or .jpg",
    )
    parser.add_argument(
        "--network",
        choices=NETWORKS,
        help="which network looks (default: vgg19 where it is there, else embedded)",
    )
    parser.add_argument(
        "--side",
        type=side,
        default=256,
        help="the result's short side in pixels (default: 256)",
    )
    parser.add_argument(
        "--content-weight",
        type=weight,
        default=0.05,
        help="the larger, the closer to the content (default: 0.05)",
    )
    parser.set_defaults(command=_stylise)


def _caption(arguments: argparse.Namespace) -> None:
    from rnnreport.data.pictures import read_picture

    pictures = [read_picture(path) for path in arguments.image]  # before anything is computed
    from rnnreport.experiments.captioning.trained import latest

    captioner = latest(arguments.network, arguments.profile)
    result = captioner.result
    print(
        f"rnnreport: {arguments.network}, trained on {result.data['name']} ({result.date[:10]})",
        file=sys.stderr,
    )
    if result.data["profile"] == "sample":
        print(
            "rnnreport: this network has seen drawn scenes only, and will see them everywhere",
            file=sys.stderr,
        )
    captions = captioner.captions(captioner.features(pictures))
    for path, words in zip(arguments.image, captions, strict=True):
        print(f"{path}: {' '.join(words)}")


def _classify(arguments: argparse.Namespace) -> None:
    from rnnreport.data.sentiment import tokenise_review
    from rnnreport.experiments.text.trained import latest

    classifier = latest(arguments.model, arguments.profile)
    result = classifier.result
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


def _stylise(arguments: argparse.Namespace) -> None:
    from PIL import Image

    from rnnreport.data.pictures import read_picture
    from rnnreport.experiments.paintings import feature_network
    from rnnreport.models.style import StyleSettings, coarse_to_fine, stylise, to_pixels

    content, painting = map(read_picture, (arguments.content, arguments.style))
    name = arguments.network or ("vgg19" if find("vgg19") else "embedded")
    stylised = stylise(
        content,
        painting,
        feature_network(name),
        StyleSettings(content=arguments.content_weight, variation=0.05),
        levels=coarse_to_fine(arguments.side, (40, 60, 60)),
        label=f"stylising, {name}",
    )
    picture = Image.fromarray(to_pixels(stylised.image).numpy())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG" if arguments.out.suffix.lower() == ".png" else "JPEG", quality=95)
    write_whole(arguments.out, buffer.getvalue())
    memory = (
        ""
        if stylised.peak_memory is None
        else f", peak memory {stylised.peak_memory / 2**20:.0f} MiB"
    )
    print(
        f"{arguments.out}: {picture.width} × {picture.height} pixels by {name} in "
        f"{stylised.seconds[-1]:.0f} s{memory}; "
        f"{100 * stylised.style_left:.2g} % of the style loss left"
    )
