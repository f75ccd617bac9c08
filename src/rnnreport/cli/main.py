"""The command line ``rnnreport``: ``run``, ``caption``, ``classify``, ``stylise`` and others."""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, get_args

from rnnreport._files import write_whole
from rnnreport.cli.data import fetching, listing, verification
from rnnreport.data.assets import ASSETS, DataFormatError, Profile, SettingError, find
from rnnreport.data.origins import USUAL
from rnnreport.names import PARTS, PartName, parts_of
from rnnreport.report.prepare import prepare

if TYPE_CHECKING:
    from rnnreport.models.captioning import CellType

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
        choices=(*_CELLS, "all"),
        default="all",
        help="captioning: only learning by heart, by one network (default: all of it)",
    )
    run.add_argument(
        "--dataset",
        choices=("flickr8k", "coco"),
        default="flickr8k",
        help="captioning: coco trains RNN and LSTM on the source's COCO features instead",
    )
    run.set_defaults(command=_run)

    prepare = commands.add_parser(
        "prepare",
        help="run what the pages rest on",
        description="Run what the pages rest on and what is not stored yet; first say what it is.",
    )
    prepare.add_argument(
        "--pages",
        nargs="+",
        metavar="PAGE",
        help="what these pages rest on, such as `text`; without it, what all of them do",
    )
    prepare.add_argument(
        "--profile",
        choices=get_args(Profile),
        default="auto",
        help="real data, the generated sample, or (default) real data where it is there",
    )
    prepare.set_defaults(command=_prepare)

    record = commands.add_parser(
        "record",
        help="run parts on real data and keep what they give beside the pages",
        description=(
            "Run parts on real data, or take what is stored, and write docs/recorded: what pages "
            "show where the real data is not there."
        ),
    )
    record.add_argument(
        "part", nargs="*", type=_part, metavar="PART", help=f"some of {', '.join(PARTS)}; else all"
    )
    record.set_defaults(command=_record)

    caption = commands.add_parser(
        "caption",
        help="say what is in pictures",
        description=(
            "Print a caption for each picture, as a network of `rnnreport run captioning` has "
            "learned to write them."
        ),
    )
    caption.add_argument("image", nargs="+", type=Path, metavar="IMAGE", help="a picture")
    caption.add_argument(
        "--network",
        choices=_CELLS,
        default="attention",
        help="which network (default: attention)",
    )
    caption.add_argument(
        "--profile",
        choices=get_args(Profile),
        default="auto",
        help="trained on which data; by default on photographs where such a network is stored",
    )
    caption.set_defaults(command=_caption)

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

    stylise = commands.add_parser(
        "stylise",
        help="paint a picture in the style of another",
        description="Paint the content of one picture in the style of another.",
    )
    stylise.add_argument("content", type=Path, metavar="CONTENT", help="the picture to be painted")
    stylise.add_argument("style", type=Path, metavar="STYLE", help="the painting")
    stylise.add_argument(
        "--out", type=_output, required=True, metavar="FILE", help="the result, .png or .jpg"
    )
    stylise.add_argument(
        "--network",
        choices=_STYLE_NETWORKS,
        help="which network looks (default: vgg19 where it is there, else embedded)",
    )
    stylise.add_argument(
        "--side",
        type=_side,
        default=256,
        help="the result's short side in pixels (default: 256)",
    )
    stylise.add_argument(
        "--content-weight",
        type=_weight,
        default=0.05,
        help="the larger, the closer to the content (default: 0.05)",
    )
    stylise.set_defaults(command=_stylise)

    distil = commands.add_parser(
        "distil",
        help="train the small network that the package brings along",
        description=(
            "Train the embedded network on photographs, with VGG-19 and MobileNetV2 as teachers. "
            "It takes about an hour on two cores."
        ),
    )
    distil.add_argument(
        "--out", type=_weights, required=True, metavar="FILE", help="the weights, .safetensors"
    )
    distil.set_defaults(command=_distil)

    data = commands.add_parser(
        "data",
        help="list the data sets and whether they are there, or fetch them",
        description=(
            "List the assets: whether each is there, where, its size, its checksum, its origin and "
            "its terms."
        ),
    )
    data.add_argument(
        "--verify",
        action="store_true",
        help="read the files that are there and compare them with the known checksums",
    )
    data.set_defaults(command=_data)
    fetch = data.add_subparsers(metavar="fetch").add_parser(
        "fetch",
        help="download assets",
        description=(
            "Download assets that are not there into the user's cache folder. A download that was "
            f"broken off goes on where it stopped. Assets: {', '.join(ASSETS)}."
        ),
    )
    fetch.add_argument(
        "name",
        nargs="*",
        type=_asset,
        metavar="NAME",
        help=f"which ones; without it all that the full profile uses: {', '.join(USUAL)}",
    )
    fetch.set_defaults(command=_fetch)
    return parser


def _run(arguments: argparse.Namespace) -> None:
    for name, experiment in _EXPERIMENTS.items():
        if arguments.experiment in (None, name):
            experiment(arguments)


def _prepare(arguments: argparse.Namespace) -> None:
    parts = PARTS if arguments.pages is None else parts_of(arguments.pages)
    for line in prepare(parts, arguments.profile):
        print(line, flush=True)


def _record(arguments: argparse.Namespace) -> None:
    parts: Sequence[PartName] = arguments.part or PARTS
    for line in prepare(parts, "full"):
        print(line, flush=True)
    from rnnreport.report.record import write_record
    from rnnreport.report.recording import record

    for part in parts:
        print(f"recorded {write_record(*record(part))}", flush=True)


def _captioning(arguments: argparse.Namespace) -> None:
    if arguments.dataset == "coco":
        _coco()
        return
    # Imported here: torch takes seconds, and the other commands do not need it.
    from rnnreport.experiments.captioning.by_heart import configs, run

    for cell, config in configs(arguments.profile).items():
        if arguments.cell not in ("all", cell):
            continue
        result = run(config)
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
    if arguments.cell == "all":
        _captions(arguments)


def _captions(arguments: argparse.Namespace) -> None:
    from rnnreport.experiments.captioning import gradients as caption_gradients
    from rnnreport.experiments.captioning.study import NAMES, WAY_NAMES, study
    from rnnreport.experiments.captioning.training import default_config

    done = study(profile=arguments.profile)
    first = next(iter(done.results.values()))[0]
    print(f"captions, on {first.data['name']} (profile {first.data['profile']})")
    print(f"  {'':<22}{'':<11}{'CIDEr':>7}{'95 % interval':>15}{'BLEU-4':>9}{'ROUGE-L':>9}{'s':>7}")
    for row in done.rows:
        low, high = row.intervals["cider"]
        seconds = sum(result.wall_time for result in done.results[row.cell])
        print(
            f"  {NAMES[row.cell]:<22}{WAY_NAMES[row.way]:<11}{row.scores.cider:7.3f}"
            f"{f'{low:.3f} {high:.3f}':>15}{row.scores.bleu_4:9.3f}{row.scores.rouge_l:9.3f}"
            f"{seconds:7.0f}"
        )
    print()
    for cell in ("rnn", "lstm"):  # the page shows how far the gradient of these reaches
        training = default_config(cell, profile=arguments.profile)
        caption_gradients.run(caption_gradients.GradientsConfig(training))


def _coco() -> None:
    from rnnreport.experiments.captioning.measures import measure
    from rnnreport.experiments.captioning.training import WAYS, CaptionConfig, run

    for cell in ("rnn", "lstm"):
        # Ten thousand images: an hour or so on two cores.
        result = run(
            CaptionConfig(
                cell_type=cell,
                profile="full",
                dataset="coco",
                n_train=10_000,
                n_val=1_000,
                evidence_dim=0,
                hidden_dim=512,
            )
        )
        print(f"captions, {cell}, on {result.data['name']}: {result.data['amount']}")
        records = result.details["val"]
        for way in WAYS:
            scores = measure([r[way] for r in records], [r["truth"] for r in records])
            print(f"  {way:<11} CIDEr {scores.cider:.3f}  BLEU-4 {scores.bleu_4:.3f}")
    print()


def _text(arguments: argparse.Namespace) -> None:
    from rnnreport.experiments.text import live as live_lstm
    from rnnreport.experiments.text import word_vectors
    from rnnreport.experiments.text.study import order_study, study

    # What the pages show besides: vectors, also where a file of them serves the classifiers, the
    # generated sentences, also where there are real ones, and a small LSTM to play with.
    word_vectors.run(word_vectors.WordVectorsConfig(profile=arguments.profile))
    live_lstm.run(live_lstm.default_config(arguments.profile))
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


def _transfer(arguments: argparse.Namespace) -> None:
    from rnnreport.experiments.transfer.study import NAMES, study

    done = study(profile=arguments.profile)
    first = done.results["frozen"][0]
    print(f"transfer, on {done.data.name} (profile {done.data.profile}): {first.data['amount']}")
    if done.data.left_out:
        print(f"  left out    {', '.join(done.data.left_out)}")
    print(f"  {'':<12}{'last':>8}{'95 % interval':>16}{'best':>8}{'source':>8}{'s':>7}")
    for row in done.rows():
        low, high = row.last_interval
        source = "" if row.source is None else f"{row.source:.4f}"
        seconds = sum(result.wall_time for result in done.results[row.mode])
        print(
            f"  {NAMES[row.mode]:<12}{row.last_mean:8.4f}{f'{low:.4f} {high:.4f}':>16}"
            f"{row.best_mean:8.4f}{source:>8}{seconds:7.0f}"
        )
    print()


def _style(arguments: argparse.Namespace) -> None:
    from rnnreport.experiments.style.study import study

    done = study(profile=arguments.profile)
    network = next(iter(done.results.values())).config["network"]
    print(f"style, on {done.data.name} (profile {done.data.profile}), {network}")
    print(f"  {'':<18}{'left':>8}{'content':>10}{'style':>10}{'variation':>11}{'MiB':>7}{'s':>7}")
    for name, result in done.results.items():
        last = [result.history[part][-1] for part in ("content", "style", "variation")]
        memory = f"{result.metrics.get('peak_memory', 0) / 2**20:.0f}"
        print(
            f"  {done.data.paintings[name].title:<18}{result.metrics['style_left']:8.4f}"
            f"{last[0]:10.4f}{last[1]:10.4f}{last[2]:11.4f}{memory:>7}{result.wall_time:7.0f}"
        )
    print()


def _caption(arguments: argparse.Namespace) -> None:
    from rnnreport.data.pictures import read_picture

    pictures = [read_picture(path) for path in arguments.image]  # before anything is computed
    from rnnreport.experiments.captioning.training import TrainedCaptioner, latest

    result = latest(arguments.network, arguments.profile)
    try:
        captioner = TrainedCaptioner(result)
    except ValueError as error:  # of another version
        raise DataFormatError(str(error)) from error
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
    from rnnreport.experiments.text.training import TrainedClassifier, latest

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


def _stylise(arguments: argparse.Namespace) -> None:
    from PIL import Image

    from rnnreport.data.pictures import read_picture
    from rnnreport.experiments.style.data import feature_network
    from rnnreport.models.style import StyleSettings, coarse_to_fine, stylise, to_pixels

    content, painting = map(read_picture, (arguments.content, arguments.style))
    name = arguments.network or ("vgg19" if find("vgg19") else "embedded")
    done = stylise(
        content,
        painting,
        feature_network(name),
        StyleSettings(content=arguments.content_weight, variation=0.05),
        levels=coarse_to_fine(arguments.side, (40, 60, 60)),
        label=f"stylising, {name}",
    )
    picture = Image.fromarray(to_pixels(done.image).numpy())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG" if arguments.out.suffix.lower() == ".png" else "JPEG", quality=95)
    write_whole(arguments.out, buffer.getvalue())
    memory = "" if done.peak_memory is None else f", peak memory {done.peak_memory / 2**20:.0f} MiB"
    print(
        f"{arguments.out}: {picture.width} × {picture.height} pixels by {name} in "
        f"{done.seconds[-1]:.0f} s{memory}; {100 * done.style_left:.2g} % of the style loss left"
    )


def _distil(arguments: argparse.Namespace) -> None:
    from rnnreport.experiments.distillation.training import DistillationConfig, distil

    done = distil(DistillationConfig())
    done.save(arguments.out)
    record = done.record
    print(f"{arguments.out}: trained in {record['wall_time'] / 60:.0f} minutes; errors left")
    for name, errors in record["maps"].items():
        print(f"  {name:<10} features {errors['features']:.1e}, Gram matrix {errors['gram']:.1e}")
    print("Style left as VGG-19 sees it")
    for row in record["judged"]:
        name = f"{row['painting']}, {row['content']}"
        print(f"  {name:<50} {row['embedded']:.4f}, untrained {row['untrained']:.4f}")


def _part(text: str) -> PartName:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(PARTS)}, got {text!r}")
    return text


def _output(text: str) -> Path:
    return _file(text, ".png", ".jpg", ".jpeg")


def _weights(text: str) -> Path:
    return _file(text, ".safetensors")


def _file(text: str, *suffixes: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in suffixes:
        raise argparse.ArgumentTypeError(f"must end with {' or '.join(suffixes)}, got {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    return path


def _side(text: str) -> int:
    if not text.isdecimal() or not 32 <= int(text) <= 2048:
        raise argparse.ArgumentTypeError(f"must be a whole number from 32 to 2048, got {text!r}")
    return int(text)


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number from 0, got {text!r}")
    return weight


def _lines_of(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a stream as they come."""
    for number, line in enumerate(stream, 1):
        try:
            yield line.decode().removeprefix("\ufeff")  # a byte order mark
        except UnicodeDecodeError as error:
            raise DataFormatError(
                f"standard input, line {number}: not UTF-8 ({error.reason})"
            ) from error


def _data(arguments: argparse.Namespace) -> None:
    for line in verification() if arguments.verify else listing():
        print(line, flush=True)


def _fetch(arguments: argparse.Namespace) -> None:
    for line in fetching(arguments.name):
        print(line, flush=True)


def _asset(text: str) -> str:
    if text not in ASSETS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(ASSETS)}, got {text!r}")
    return text


_EXPERIMENTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "captioning": _captioning,
    "text": _text,
    "transfer": _transfer,
    "style": _style,
}
# Those of rnnreport.models.captioning, which would load torch.
_CELLS: tuple[CellType, ...] = ("rnn", "lstm", "attention")
# Those of rnnreport.experiments.text.training, which would load torch.
_TEXT_MODELS = ("bag", "average", "glove-fixed", "glove", "rnn", "lstm", "bilstm")
_STYLE_NETWORKS = ("vgg19", "squeezenet1_1", "embedded")  # of rnnreport.models.style, likewise
