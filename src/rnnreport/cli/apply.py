"""``rnnreport caption``, ``predict``, ``classify``, ``stylise``: networks on one's own data."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rnnreport._files import write_whole
from rnnreport.cli.arguments import (
    LARGEST_SIDE,
    Commands,
    add_profile,
    file_ending_with,
    side,
    weight,
)
from rnnreport.cli.memory import check_memory
from rnnreport.data.assets import (
    DataFormatError,
    MissingDataError,
    check_file,
    chosen_profile,
    find,
    what_is,
)
from rnnreport.names import CELLS, MODELS, MODES, NETWORKS, PROFILES, Profile

if TYPE_CHECKING:
    from PIL import Image

    from rnnreport.runs.store import Result

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "caption",
        help="say what is in pictures",
        description=(
            "Print a caption for each picture, as the network that the package brings along writes "
            "it, or one of your own, from `rnnreport train captioning`."
        ),
    )
    _add_pictures(parser)
    parser.add_argument(
        "--network",
        choices=CELLS,
        help="a network of your own: the one trained last (default: attention, of the package)",
    )
    _add_own_profile(parser)
    parser.set_defaults(command=_caption)

    parser = commands.add_parser(
        "predict",
        help="say which class pictures are of",
        description=(
            "Print for each picture its class and the probability of it, as a network of "
            "`rnnreport train transfer` has learned them."
        ),
    )
    parser.add_argument("what", choices=("ants-and-bees",), help="between which classes")
    _add_pictures(parser)
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="frozen",
        help="a network of which only a new last layer has learned (default), or one fine-tuned",
    )
    add_profile(
        parser, "trained on which data; by default on photographs where such a network is stored"
    )
    parser.set_defaults(command=_predict)

    parser = commands.add_parser(
        "classify",
        help="say how positive sentences are",
        description=(
            "Read sentences from standard input, one a line, and print for each the probability "
            "that it is positive, as the LSTM that the package brings along has learned it, or a "
            "model of your own, from `rnnreport train text`."
        ),
    )
    parser.add_argument(
        "--model",
        choices=MODELS,
        help="a model of your own: the one trained last (default: lstm, of the package)",
    )
    _add_own_profile(parser)
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
        default=_SIDE,
        metavar="PIXELS",
        help=(
            f"the result's short side (default: {_SIDE}, whatever the picture's own); twice the "
            "side takes four times as long and as much memory"
        ),
    )
    parser.add_argument(
        "--content-weight",
        type=weight,
        default=0.05,
        help="the larger, the closer to the content (default: 0.05)",
    )
    parser.set_defaults(command=_stylise)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+", type=Path, metavar="PICTURE", help="a picture")


def _add_own_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        help="one of your own, trained on real data, on the generated sample, or on either",
    )


def _own_profile(arguments: argparse.Namespace, name: str | None) -> Profile | None:
    """Return on which data a network of one's own was trained; None for that of the package."""
    profile = chosen_profile(arguments.profile or "auto")
    asked = name is not None or arguments.profile is not None or profile != "auto"
    return profile if asked else None


def _caption(arguments: argparse.Namespace) -> int:
    _check_any_file(arguments.image)
    from rnnreport.experiments.captioning.trained import latest, shipped

    profile = _own_profile(arguments, arguments.network)
    captioner = shipped() if profile is None else latest(arguments.network or "attention", profile)
    _introduce(
        captioner.config.cell_type, captioner.result, "drawn scenes only, and sees them everywhere"
    )

    def caption(picture: Image.Image) -> str:
        [words] = captioner.captions(captioner.features([picture]))
        return " ".join(words)

    return _answer(arguments.image, caption)


def _predict(arguments: argparse.Namespace) -> int:
    _check_any_file(arguments.image)
    from rnnreport.experiments.transfer.trained import latest

    network = latest(arguments.mode, chosen_profile(arguments.profile))
    _introduce(
        f"{arguments.what}, {arguments.mode}",
        network.result,
        "drawn insects only: what it says of photographs means little",
    )
    print(
        f"rnnreport: it knows {' and '.join(network.classes)} alone, and takes any picture for one "
        "of them",
        file=sys.stderr,
    )

    def predict(picture: Image.Image) -> str:
        probability, best = network.probabilities([picture])[0].max(0)
        return f"{network.classes[int(best)]} {probability:.3f}"

    return _answer(arguments.image, predict)


def _check_any_file(paths: Sequence[Path]) -> None:
    """See that there is a picture before torch is loaded and a network read."""
    if any(os.path.isfile(path) for path in paths):  # noqa: PTH113  # a closed folder is no error
        return
    if len(paths) == 1:
        check_file(paths[0], "a picture")
    raise MissingDataError(
        f"{paths[0]} {what_is(paths[0])}, and no other of the pictures is a file either"
    )


def _answer(paths: Sequence[Path], answer: Callable[[Image.Image], str]) -> int:
    """Print an answer to each picture; one that cannot be read does not keep the others waiting."""
    from rnnreport.data.pictures import read_picture
    from rnnreport.runs.store import one_thread

    status = 0
    for path in paths:
        try:
            picture = read_picture(path)
        except (OSError, DataFormatError) as error:
            print(f"rnnreport: {error}", file=sys.stderr)
            status = 1
            continue
        with one_thread():  # networks are small: where cores are busy, several threads take longer
            words = answer(picture)
        print(f"{path}: {words}", flush=True)
    return status


def _introduce(name: str, result: Result, drawn: str) -> None:
    """Say what network answers, and what to make of it where it has seen a sample only."""
    print(
        f"rnnreport: {name}, trained on {result.data['name']} ({result.date[:10]})",
        file=sys.stderr,
    )
    if result.config["profile"] == "sample":
        print(f"rnnreport: this network has seen {drawn}", file=sys.stderr)


def _classify(arguments: argparse.Namespace) -> None:
    if sys.stdin is None:
        raise MissingDataError("standard input is closed: sentences are read from there")
    from rnnreport.data.sentiment import tokenise_review
    from rnnreport.experiments.text.trained import latest, shipped
    from rnnreport.runs.store import one_thread

    profile = _own_profile(arguments, arguments.model)
    classifier = shipped() if profile is None else latest(arguments.model or "lstm", profile)
    _introduce(
        classifier.result.config["model"],
        classifier.result,
        "generated sentences only: what it says of others means little",
    )
    unknown: Counter[str] = Counter()
    for batch in _batches_of_lines(sys.stdin.buffer):
        sentences = []
        for number, line in batch:
            tokens = tokenise_review(line)
            if tokens:
                sentences.append(tokens)
            else:
                print(f"rnnreport: line {number} is empty and left out", file=sys.stderr)
        words = [classifier.unknown(tokens) for tokens in sentences]
        unknown.update(word for each in words for word in each)
        judged = [
            tokens for tokens, each in zip(sentences, words, strict=True) if len(each) < len(tokens)
        ]
        with one_thread():  # where cores are busy, several threads take many times as long
            answers = iter(classifier.probabilities(judged).tolist() if judged else ())
        for tokens, each in zip(sentences, words, strict=True):
            if len(each) == len(tokens):
                verdict = "  –   no known word"
            else:
                p = next(answers)
                verdict = f"{p:.3f} {'positive' if p > 0.5 else 'negative'}"
            print(f"{verdict}  {_printable(' '.join(tokens))}")
        print(end="", flush=True)  # standard output may be closed
    if unknown:
        first = ", ".join(f"{word} ({count})" for word, count in unknown.most_common(_MOST_WORDS))
        more = f" and {len(unknown) - _MOST_WORDS} more" if len(unknown) > _MOST_WORDS else ""
        print(
            f"rnnreport: the model does not know {_printable(first)}{more}: it reads each as any "
            "other unknown word",
            file=sys.stderr,
        )


def _printable(text: str) -> str:
    """Replace what would steer a terminal."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


_MOST_WORDS = 10  # that are named as unknown
_CHUNK = 1 << 16  # bytes that are read at once: hundreds of sentences
_LINE_END = re.compile(rb"\r\n|\n|\r")


def _batches_of_lines(stream: BinaryIO) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines of a stream with their numbers, together as many as have come by now.

    Who types gets an answer to each line, and a file is read by hundreds.
    """
    number, rest = 0, b""
    while True:
        chunk = stream.read1(_CHUNK)  # type: ignore[attr-defined]  # waits for the first byte alone
        rest += chunk
        # A carriage return at the end may be the first half of a line's end.
        whole = rest[:-1] if chunk and rest.endswith(b"\r") else rest
        *lines, last = _LINE_END.split(whole)
        rest = last + rest[len(whole) :]
        if not chunk and last:
            lines.append(last)
        batch: list[tuple[int, str]] = []
        for line in lines:
            number += 1
            try:
                batch.append((number, line.decode().removeprefix("\ufeff")))  # a byte order mark
            except UnicodeDecodeError as error:
                yield batch  # an answer to what came before
                raise DataFormatError(
                    f"standard input, line {number}: not UTF-8 ({error.reason})"
                ) from error
        if batch:
            yield batch
        if not chunk:
            return


def _stylise(arguments: argparse.Namespace) -> None:
    from PIL import Image

    from rnnreport.data.pictures import read_picture
    from rnnreport.experiments.paintings import feature_network
    from rnnreport.models.style import (
        MARGIN,
        StyleSettings,
        coarse_to_fine,
        size_at,
        stylise,
        to_pixels,
    )

    _check_kept(arguments.out, arguments.content, arguments.style)
    content, painting = map(read_picture, (arguments.content, arguments.style))
    name = arguments.network or ("vgg19" if find("vgg19") else "embedded")
    network = feature_network(name)
    check_memory([content.size, painting.size], arguments.side, MARGIN)
    _compare_sizes(arguments.content, content.size, size_at(content.size, arguments.side))
    stylised = stylise(
        content,
        painting,
        network,
        StyleSettings(content=arguments.content_weight, variation=0.05),
        levels=coarse_to_fine(arguments.side, (40, 60, 60)),
        margin=MARGIN,
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
        f"{_nearness(stylised.style_before, stylised.style_left)}"
    )


def _check_kept(out: Path, *pictures: Path) -> None:
    """See that no picture would be lost: the result may not take its place."""
    for picture in pictures:
        if out.exists() and picture.exists() and out.samefile(picture):
            raise FileExistsError(
                f"--out must be another file than {picture}, which would be overwritten"
            )


def _compare_sizes(path: Path, size: tuple[int, int], painted: tuple[int, int]) -> None:
    """Say it where the result will be smaller than the picture, and how to have it larger."""
    side = min(painted)
    largest = min(*size, LARGEST_SIDE)
    if side >= largest:
        return
    how_large = "keeps its size" if largest == min(size) else "is the most"
    longer = (largest / side) ** 2
    print(
        f"rnnreport: {path} has {size[0]} × {size[1]} pixels and is painted with "
        f"{painted[0]} × {painted[1]}: --side {largest} {how_large} and takes about "
        f"{longer:.{1 if longer < 10 else 0}f} times as long",
        file=sys.stderr,
    )


def _nearness(before: float, left: float) -> str:
    """Say how near to the painting's style a picture has come; NaN is far.

    `before` is the style loss of the picture, in shares of the painting's own Gram matrices, and
    `left` the share of it at the end.
    """
    if before < _IN_THE_STYLE:
        return "the picture was in this style from the beginning"
    figure = f"{100 * left:.1f} %" if left >= 0.001 else "less than 0.1 %"
    for most, words in _NEARNESS:
        if left <= most:
            return f"{words} ({figure} of the difference in style is left)"
    return "far from the style: a smaller --content-weight may bring it nearer"


_SIDE = 256  # a minute or two on one core
_IN_THE_STYLE = 0.01  # parts of one picture differ by more
_NEARNESS = (
    (0.01, "close to the style"),
    (0.1, "near the style"),
    (0.5, "part of the way to the style"),
)
