"""Tables, figures and pictures of the captioning page."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rnnreport.data.photographs import PHOTOGRAPHS, load_photograph
from rnnreport.experiments.captioning.by_heart import images
from rnnreport.experiments.captioning.gradients import WHEN
from rnnreport.experiments.captioning.literature import PUBLISHED
from rnnreport.experiments.captioning.measures import measure, unsupported
from rnnreport.experiments.captioning.settings import WAYS
from rnnreport.experiments.captioning.study import NAMES, WAY_NAMES, Row, Study
from rnnreport.experiments.captioning.trained import TrainedCaptioner, shipped
from rnnreport.models.captioning import Trace
from rnnreport.names import CellType
from rnnreport.runs.store import Result
from rnnreport.show.figures import Figure, Gallery, gallery, overlay
from rnnreport.show.html import Html, joined, tag
from rnnreport.show.plots import (
    Curves,
    Interval,
    IntervalPlot,
    Intervals,
    LinePlot,
    Panel,
    loss_curves,
)
from rnnreport.show.tables import Table, framed, interval_text, span_text, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure

__all__ = [
    "attention_maps",
    "by_heart_curves",
    "by_heart_facts",
    "by_heart_table",
    "captions_gallery",
    "captions_table",
    "cider_figure",
    "differences_table",
    "facts",
    "free_attention_maps",
    "free_photographs",
    "gates_figure",
    "gradient_facts",
    "gradients_figure",
    "learned_gallery",
    "learning_curves",
    "literature_table",
    "measures_table",
    "results_table",
    "settings_table",
    "stock_words_table",
    "verdict",
]

_GATES = ("forget", "input", "candidate", "output")  # as the layers pack them
_TILE = 150  # side of a picture with attention over it, in pixels
_SPLITS = {"train": "Training", "val": "Validation", "test": "Test"}
_SHORT: Mapping[CellType, str] = {**NAMES, "attention": "Attention"}  # where a phone has no room


def literature_table(study: Study, together: Row | None = None) -> Table:
    """Lay out BLEU of published networks and of each network, all on the official test images."""
    lines = [
        (each.name, ["–" if value is None else f"{value:.3f}" for value in each.bleu])
        for each in PUBLISHED
    ]
    lines += [
        (
            f"{_SHORT[row.cell]}, {WAY_NAMES[row.way].lower()}",
            [f"{value:.3f}" for value in row.scores.bleu],
        )
        for row in _rows(study, together)
    ]
    return table(
        ["", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"],
        lines,
        "BLEU on Flickr8k's test images: above, networks of 2014 and 2015 as Xu et al. report "
        "them; below, those of this report",
    )


def _rows(study: Study, together: Row | None) -> list[Row]:
    return [*study.rows, *([together] if together else [])]


def results_table(study: Study, together: Row | None = None) -> Table:
    """Lay out the CIDEr and the BLEU-4 of each network and way of writing."""
    lines = [
        (
            f"{_SHORT[row.cell]}, {WAY_NAMES[row.way].lower()}",
            [
                f"{row.scores.cider:.3f}",
                interval_text(row.intervals["cider"], 3),
                f"{row.scores.bleu_4:.3f}",
                interval_text(row.intervals["bleu_4"], 3),
                "–" if row is together else ", ".join(f"{value:.3f}" for value in row.ciders),
            ],
        )
        for row in _rows(study, together)
    ]
    head = ["", "CIDEr", "95 % interval", "BLEU-4", "95 % interval", "CIDEr of each seed"]
    return table(head, lines, "CIDEr and BLEU-4 on the test images")


def measures_table(study: Study) -> Table:
    """Lay out the other measures, and how many captions are not new."""
    lines = [
        (
            f"{_SHORT[row.cell]}, {WAY_NAMES[row.way].lower()}",
            [
                f"{row.scores.rouge_l:.3f}",
                _percent(row.in_training),
                f"{row.exact:.1f}",
                _percent(row.unsupported),
                "–" if row.unchanged is None else _percent(row.unchanged),
            ],
        )
        for row in study.rows
    ]
    references = study.references("test")
    first, others = [each[0] for each in references], [each[1:] for each in references]
    if all(others):  # what one person writes, held against what the others do
        people = unsupported(first, others).share
        rouge = measure(first, others).rouge_l
        lines.append(("People", [f"{rouge:.3f}", "–", "–", _percent(people), "–"]))
    head = ["", "ROUGE-L", "In training", "Exact", "Unsupported", "Unchanged"]
    return table(head, lines, "The other measures on the test images")


def stock_words_table(study: Study, cell: CellType = "attention", count: int = 8) -> Table:
    """Lay out the words that a network's first run says most often where no person does."""
    captions = study.captions(cell, "beam")[0]
    rows = unsupported(captions, study.references("test")).words[:count]
    return table(
        ["", "Captions", "Supported"],
        [(word, [f"{said:,}", f"{supported:,}"]) for word, said, supported in rows],
        f"Words that the {NAMES[cell]} says too often: in how many captions, and in how many of "
        "them a person says it too",
    )


def differences_table(study: Study) -> Table:
    """Lay out how much better one network is than another, on the same images."""
    lines = [
        (
            f"{_SHORT[each.better]} − {_SHORT[each.other]}, {WAY_NAMES[each.way].lower()}",
            [
                _signed(each.difference),
                " – ".join(map(_signed, each.interval)),
                "–" if math.isnan(each.ratio) else f"{each.ratio:.2f}",
            ],
        )
        for each in study.differences
    ]
    return table(
        ["", "Difference of CIDEr", "95 % interval", "Ratio"],
        lines,
        "Differences of CIDEr on the same images",
    )


def verdict(study: Study) -> Html:
    """Say in words which differences are more than chance in the choice of the images."""
    ways: dict[str, list[str]] = {}  # the ways of each finding
    for way in WAYS:
        parts = []
        for each in (each for each in study.differences if each.way == way):
            low, high = each.interval
            if low <= 0 <= high:
                pair = f"the {NAMES[each.better]} and the {NAMES[each.other]}"
                parts.append(f"{pair} cannot be told apart")
            else:
                above, below = (each.better, each.other) if low > 0 else (each.other, each.better)
                parts.append(f"the {NAMES[above]} is better than the {NAMES[below]}")
        if parts:
            ways.setdefault("; ".join(parts), []).append(WAY_NAMES[way].lower())
    text = " ".join(
        f"{', '.join(names).capitalize()}: {finding}." for finding, names in ways.items()
    )
    return Html(tag("p", text), text or "Nothing to compare")


def settings_table(study: Study) -> Html:
    """Lay out how large each network is and how it was trained."""
    lines = []
    for cell, results in study.results.items():
        best = sorted(int(result.metrics["best_epoch"]) for result in results)
        cells = [
            f"{results[0].metrics['num_parameters']:,}",
            f"{results[0].config['hidden_dim']}",
            ", ".join(map(str, best)),
            f"{statistics.fmean(result.metrics['val_loss'] for result in results):.2f}",
            f"{statistics.fmean(result.wall_time for result in results):,.0f} s",
        ]
        lines.append((NAMES[cell], cells))
    head = ["", "Parameters", "Hidden units", "Best epochs", "Validation loss", "Time of a run"]
    return table(head, lines, "Size and training of each network")


def cider_figure(study: Study) -> IntervalPlot:
    """Plot the CIDEr of each network and way: its seeds, and the interval of their mean."""
    cells = list(study.results)
    numbers = "; ".join(
        f"{NAMES[cell]}: "
        + ", ".join(
            f"{WAY_NAMES[row.way].lower()} {row.scores.cider:.2f} "
            f"({row.intervals['cider'][0]:.2f} to {row.intervals['cider'][1]:.2f})"
            for row in study.rows
            if row.cell == cell
        )
        for cell in cells
    )
    return Intervals(
        [
            Interval(
                WAY_NAMES[row.way].lower(),
                row.scores.cider,
                row.intervals["cider"],
                row.ciders,
                colour=f"C{cells.index(row.cell)}",
                group=row.name,
            )
            for row in study.rows
        ],
        xlabel="CIDEr on the test images",
        alt=f"CIDEr with 95 % intervals over images, means of the seeds. {numbers}.",
    ).plot()


def learning_curves(study: Study) -> LinePlot:
    """Plot the loss of each network by epoch, in training and on the validation images."""
    curves = {
        cell: {
            "training": study.mean_curve(cell, "train_loss"),
            "validation": study.mean_curve(cell, "val_loss"),
        }
        for cell in study.results
    }
    best = {
        cell: (
            [int(result.metrics["best_epoch"]) for result in results],
            [float(result.metrics["val_loss"]) for result in results],
        )
        for cell, results in study.results.items()
    }
    # The first epoch is far above the rest, which is where the curves part.
    late = [
        value
        for lines in curves.values()
        for _, line in lines.values()
        for value in line[1:] or line
    ]
    low, high = min(late), max(late)
    limits = (low - 0.05 * (high - low) - 0.1, high + 0.15 * (high - low) + 0.1)
    panels = [
        Panel(lines, NAMES[cell], rings={"best epoch of a seed": best[cell]}, limits=limits)
        for cell, lines in curves.items()
    ]
    numbers = "; ".join(
        f"{NAMES[cell]}: "
        + ", ".join(f"{name} {line[0]:.1f} to {line[-1]:.1f}" for name, (_, line) in lines.items())
        + f", smallest {statistics.fmean(best[cell][1]):.2f} after "
        f"{span_text(best[cell][0], ' to ')} epochs"
        for cell, lines in curves.items()
    )
    return Curves(
        "epoch",
        "loss per caption",
        f"Loss per caption by epoch, means of the seeds. {numbers}.",
        panels,
    ).plot()


def by_heart_table(results: Mapping[CellType, Result]) -> Table:
    """Lay out how networks learned captions by heart, from the study of this subject."""
    runs = results.values()
    lines = [
        ("Parameters", [f"{r.metrics['num_parameters']:,}" for r in runs]),
        ("Epochs", [f"{r.metrics['epochs']}" for r in runs]),
        ("Steps of Adam", [f"{r.metrics['iterations']}" for r in runs]),
        ("First loss per caption", [f"{r.history['loss'][0]:.2f}" for r in runs]),
        ("Last loss per caption", [f"{r.metrics['last_loss']:.2g}" for r in runs]),
        (
            "Captions repeated exactly",
            [f"{r.metrics['exact']} of {r.metrics['n_train']}" for r in runs],
        ),
    ]
    return table(["", *map(NAMES.__getitem__, results)], lines, "Captions learned by heart")


def by_heart_curves(results: Mapping[CellType, Result]) -> LinePlot:
    """Plot the loss of networks that learned captions by heart, step by step."""
    numbers = " ".join(
        f"{NAMES[cell]}: from {r.history['loss'][0]:.0f} to {r.metrics['last_loss']:.1g} in "
        f"{r.metrics['iterations']} steps."
        for cell, r in results.items()
    )
    return loss_curves(
        {NAMES[cell].replace("LSTM with ", ""): r.history["loss"] for cell, r in results.items()},
        xlabel="step of Adam",
        ylabel="loss per caption",
        alt=f"Training loss of the networks on a logarithmic axis. {numbers}",
    )


def learned_gallery(results: Mapping[CellType, Result], split: str, count: int) -> Gallery:
    """Show the first images of a split with the captions of networks that learned by heart."""
    first = next(iter(results.values()))
    records = first.details[split][:count]
    real = first.data["profile"] == "full"
    names = {cell: _SHORT[cell] for cell in results}
    return gallery(
        images(first, [record["image"] for record in records], size=240),
        [
            {"Reference": record["truth"][0]}
            | {
                names[cell]: result.details[split][k]["caption"] or "(nothing)"
                for cell, result in results.items()
            }
            for k, record in enumerate(records)
        ],
        [("A photograph: " if real else "A drawn scene: ") + r["truth"][0] for r in records],
        label=f"{_SPLITS[split]} images with a reference caption and those of the networks",
        encoding="jpeg" if real else "png",
    )


def captions_gallery(study: Study, split: str, rows: Sequence[int], way: str = "beam") -> Gallery:
    """Show images with a reference caption and that of each network's first run."""
    names, references = study.names(split), study.references(split)
    written = {cell: study.captions(cell, way, split)[0] for cell in study.results}
    scores = {cell: study.ciders(cell, way, split) for cell in study.results}
    real = study.profile == "full"
    captions, alts = [], []
    for k in rows:
        reference = " ".join(references[k][0])
        captions.append(
            {"Reference": reference}
            | {
                _SHORT[cell]: (" ".join(written[cell][k]) or "(nothing)")
                + (f" ({scores[cell][k]:.2f})" if split != "train" else "")
                for cell in written
            }
        )
        alts.append(("A photograph: " if real else "A drawn scene: ") + reference)
    return gallery(
        [study.data.image(names[k], 240) for k in rows],
        captions,
        alts,
        label=f"{_SPLITS[split]} images with a reference caption and those of the networks",
        encoding="jpeg" if real else "png",
    )


def captions_table(study: Study) -> Html:
    """Lay out captions of six test images without the images, each with a link to its photograph.

    They are two of the best, two around the median and two of the worst by the CIDEr of attention.
    """
    order = study.order("attention", "beam")
    middle = len(order) // 2
    chosen = {
        "Among the best": order[:2],
        "Around the median": order[middle - 1 : middle + 1],
        "Among the worst": order[-2:],
    }
    captions = {cell: study.captions(cell, "beam")[0] for cell in study.results}
    scores = {cell: study.ciders(cell, "beam") for cell in study.results}
    rows = []
    for place, of_place in chosen.items():
        for k in of_place:
            title = (f"{place}: ", _photograph(study.names("test")[k]))
            rows.append(tag("th", *title, colspan=3, scope="colgroup", class_="sentence"))
            rows += [
                joined(
                    tag("th", _SHORT[cell], scope="row"),
                    tag("td", " ".join(captions[cell][k]), class_="sentence"),
                    tag("td", f"{scores[cell][k]:.2f}"),
                )
                for cell in captions
            ]
    label = "Captions of six test images by the first seed of each network"
    return framed(["", "Caption", "CIDEr"], rows, label)


def _photograph(name: str) -> str:
    """Return a link to the page of a Flickr photograph, whose file begins with its number."""
    match = re.match(r"(\d+)_[0-9a-f]+\.jpg", name)
    if match is None:
        return name
    return tag(
        "a", f"photograph {match[1]}", href=f"https://www.flickr.com/photo.gne?id={match[1]}"
    )


def free_photographs(names: Sequence[str] = tuple(PHOTOGRAPHS)) -> Gallery:
    """Let the network that the package brings along caption photographs that may be shown."""
    captioner = shipped()
    pictures = [load_photograph(name) for name in names]
    captions = captioner.captions(captioner.features(pictures))
    about = [PHOTOGRAPHS[name] for name in names]
    for picture in pictures:
        picture.thumbnail((240, 240))
    return gallery(
        pictures,
        [
            {
                "Caption": " ".join(words),
                "Photo": f"{each.title}; {each.author}, {each.licence}",
            }
            for each, words in zip(about, captions, strict=True)
        ],
        [f"A photograph: {each.title}" for each in about],
        label="Photographs that no network here has learned from, with captions",
        encoding="jpeg",
    )


def free_attention_maps(names: Sequence[str]) -> Html:
    """Show where the network of the package looks in photographs that may be shown."""
    captioner = shipped()
    pictures = [load_photograph(name) for name in names]
    captions = captioner.captions(captioner.features(pictures))
    return _maps(captioner, pictures, captions)


def attention_maps(study: Study, rows: Sequence[int]) -> Html:
    """Show where the first network with attention looks as it chooses each word."""
    captioner = TrainedCaptioner(study.results["attention"][0])
    written = study.captions("attention", "beam")[0]
    pictures = [study.data.image(study.names("test")[k]) for k in rows]
    return _maps(captioner, pictures, [written[k] for k in rows])


def _maps(
    captioner: TrainedCaptioner, pictures: Sequence[Image.Image], captions: Sequence[Sequence[str]]
) -> Html:
    """Lay the attention of each word over a picture, picture by picture."""
    blocks = []
    for picture, words in zip(pictures, captions, strict=True):
        trace = _read(captioner, picture, words)
        if trace.weights is None:
            raise ValueError("study must hold a network with attention, got one without")
        tile = picture.copy()
        tile.thumbnail((_TILE, _TILE))
        sentence = " ".join(words)
        images, under, alts = [tile], ["the image"], [f"What the network captions: {sentence}"]
        for word, weights in zip(words, trace.weights[:, 0], strict=False):
            images.append(overlay(tile, _on_grid(weights), grey=0.4, tint=0.4))
            under.append(f"{word} {float(weights.max()):.2f}")
            alts.append(f"“{word}”: {_where(weights)}")
        blocks.append(
            gallery(
                images,
                under,
                alts,
                label=f"Where the network looks as it says: {sentence}",
                encoding="jpeg",
            )
        )
    return Html(
        tag("div", *blocks, class_="gallery-words"),
        f"Attention word by word over {len(blocks)} images",
    )


def gates_figure(study: Study, row: int) -> Figure:
    """Plot the gates of the LSTM's first run as it reads its own caption of an image."""
    captioner = TrainedCaptioner(study.results["lstm"][0])
    words = study.captions("lstm", "beam")[0][row]
    trace = _read(captioner, study.data.image(study.names("test")[row]), words)
    if trace.gates is None:
        raise ValueError("study must hold an LSTM, got a network without gates")
    gates = trace.gates[:, 0].abs()  # (T, 4, H); only the candidate has a sign
    means = gates.mean(2).T
    forget = torch.quantile(gates[:, 0], torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]), dim=1)
    read = ["‹start›", *words]

    def draw(fig: MplFigure, axes: Any) -> None:
        top, bottom = axes
        image = top.imshow(means.numpy(), vmin=0, vmax=1, aspect="auto")
        top.set_yticks(range(4), [name.replace("candidate", "|cand.|") for name in _GATES])
        top.grid(visible=False)
        top.set_title("mean over the units", loc="left")
        fig.colorbar(image, ax=top, pad=0.02)
        places = np.arange(len(read))
        for low, high, share in ((0, 4, 0.25), (1, 3, 0.45)):
            bottom.bar(
                places,
                (forget[high] - forget[low]).numpy(),
                0.62,
                forget[low].numpy(),
                color="C2",
                alpha=share,
                lw=0,
            )
        bottom.plot(places, forget[2].numpy(), "o", color="C1", ms=6)
        bottom.set_ylim(0, 1)
        bottom.set_title("forget gate: spread over the units", loc="left")
        bottom.set_ylabel("value")
        bottom.set_xlabel("word that is read")
        bottom.set_xticks(places, read, rotation=60, ha="right", rotation_mode="anchor")

    spans = ", ".join(
        f"{name} {float(means[g].min()):.2f} to {float(means[g].max()):.2f}"
        for g, name in enumerate(_GATES)
    )
    return Figure(
        draw,
        f"Gates of the LSTM as it reads “{' '.join(words)}”. Means over the units along the "
        f"caption: {spans}. The middle half of the forget gates lies between "
        f"{float(forget[1].mean()):.2f} and {float(forget[3].mean()):.2f} on average.",
        figsize=(5.4, 5.2),
        subplots={"nrows": 2, "sharex": True, "height_ratios": (1, 1.2)},
    )


def gradients_figure(results: Sequence[Result]) -> Figure:
    """Plot how much of an earlier state is left in the last one, by their distance."""
    names = {"h": "∂h_T/∂h_t", "c": "∂h_T/∂c_t"}
    curves: dict[tuple[str, str], dict[str, Tensor]] = {}
    for result in results:
        cell: CellType = result.config["training"]["cell_type"]
        for state in result.details["norms"]["after"]:
            curves[NAMES[cell], state] = {
                when: torch.tensor(result.details["norms"][when][state]).log10() for when in WHEN
            }

    def draw(fig: MplFigure, axes: Any) -> None:
        for ax, when in zip(axes, WHEN, strict=True):
            for k, ((name, state), norms) in enumerate(curves.items()):
                logs = norms[when]  # (distance, captions)
                places = range(1, len(logs) + 1)
                low, high = torch.quantile(logs, torch.tensor([0.1, 0.9]), dim=1)
                label = f"{name} {_MATHS[state]}"
                ax.plot(places, (10 ** logs.mean(1)).tolist(), color=f"C{k}", label=label)
                ax.fill_between(
                    places,
                    (10**low).tolist(),
                    (10**high).tolist(),
                    color=f"C{k}",
                    alpha=0.2,
                    lw=0,
                )
            ax.set_yscale("log")
            ax.set_title(f"{when} training", loc="left")
            ax.set_ylabel("largest singular value")
            ax.margins(x=0.02)
        axes[-1].set_xlabel("distance T − t, words")
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside upper center", ncols=2)

    numbers = ". ".join(
        f"{when.capitalize()} training: "
        + "; ".join(
            f"{name} {names[state]} from {_geometric(norms[when][0]):.2g} to "
            f"{_geometric(norms[when][-1]):.2g}"
            for (name, state), norms in curves.items()
        )
        for when in WHEN
    )
    steps = results[0].metrics["distance"]
    return Figure(
        draw,
        f"Largest singular value of the Jacobian of the last state with respect to an earlier one, "
        f"1 to {steps:.0f} words before it. {numbers}.",
        figsize=(5.4, 6.2),
        subplots={"nrows": 2, "sharex": True, "sharey": True},
    )


def facts(study: Study, together: Row) -> dict[str, str]:
    """Return the numbers of the page's sentences about data, training and captions, by name."""
    settings, counts = study.first.config, study.first.metrics
    written = study.captions("attention", "beam")
    by_people = [words for references in study.references("test") for words in references]
    best = study.row("attention", "beam")
    captioner = TrainedCaptioner(study.results["attention"][0])
    places = captioner.features([study.data.image(study.names("test")[0])]).shape[1]
    thinned = settings["feature_dropout"]
    often = settings["min_count"]
    least = f"each word that occurs at least {often} times in" if often > 1 else "every word of"
    numbers = ("n_train", "n_train_captions", "n_val", "n_test", "n_test_captions")
    chosen = ("dropout", "clip_norm", "epochs", "patience", "batch_size", "beam", "length_penalty")
    return (
        {name.replace("_", "-"): f"{counts[name]:,}" for name in numbers}
        | {name.replace("_", "-"): f"{settings[name]:g}" for name in chosen}
        | {f"cider-{cell}": f"{study.row(cell, 'beam').scores.cider:.3f}" for cell in study.results}
        | {
            f"seconds-{cell}": f"{statistics.fmean(result.wall_time for result in results):,.0f} s"
            for cell, results in study.results.items()
        }
        | {
            "split": _split(study),
            "features": _features(study),
            "vocabulary": f"{counts['vocabulary_size'] - 4:,} words: {least} the training captions",
            "seeds": str(len(study.results["rnn"])),
            "feature-dropout": f", and {thinned:g} of the features" if thinned else "",
            "uniform": f"{1 / places:.2f}",
            "cider-together": f"{together.scores.cider:.3f}",
            "different": f"{statistics.fmean(len(set(of_seed)) for of_seed in written):.0f}",
            "used": f"{statistics.fmean(len(_words(of_seed)) for of_seed in written):.0f}",
            "used-by-people": f"{len(_words(by_people)):,}",
            "exact": f"{best.exact:.1f}",
            "in-training": _percent(best.in_training),
        }
    )


def _split(study: Study) -> str:
    """Say how images were divided into parts."""
    if study.profile == "sample":
        return "Each scene is drawn for one part and stands in no other."
    if study.first.data["parts"] == "the official ones":
        return "The parts are Flickr8k's official ones, which others use too."
    return "A hash of its file name decides in which part a photograph is."


def _features(study: Study) -> str:
    """Say how images are described to the networks."""
    if study.profile == "sample":
        return (
            "A scene is described by mean colours on a grid of 12 × 12 cells, and for attention by "
            "a small grid at each of 6 × 6 places, standardised."
        )
    return (
        "EfficientNet-Lite1, trained on ImageNet, describes a photograph by 1,280 numbers at each "
        f"of 8 × 8 places. The networks get {study.first.metrics['input_dim']} principal "
        "components of them; those without attention get their mean over the places. Each training "
        "photograph has a second view: a random part of it, at least half of its area, mirrored "
        "every second time and stored as a smaller JPEG file. At every step each caption comes "
        "with one of the two views."
    )


def _words(captions: Sequence[Sequence[str]]) -> set[str]:
    return {word for caption in captions for word in caption}


def by_heart_facts(results: Mapping[CellType, Result]) -> dict[str, str]:
    """Return the numbers of the sentences about captions learned by heart, by name."""
    first = next(iter(results.values()))
    right = [
        f"{NAMES[cell]} {sum(record['exact'] for record in result.details['val'])}"
        for cell, result in results.items()
    ]
    return {
        "heart-n": str(first.metrics["n_train"]),
        "heart-val": str(len(first.details["val"])),
        "heart-right": ", ".join(right),
    }


def gradient_facts(results: Mapping[CellType, Result]) -> dict[str, str]:
    """Return the numbers of the sentences about the gradient over time, by name."""
    distance = int(results["lstm"].metrics["distance"])
    half = distance // 2

    def left(cell: CellType, when: str, state: str, steps: int = distance) -> float:
        norms = results[cell].details["norms"][when][state][steps - 1]
        return _geometric(torch.tensor(norms).log10())

    def rate(cell: CellType, state: str) -> str:
        ratio = left(cell, "after", state) / left(cell, "after", state, distance - half)
        return f"{ratio ** (1 / half):.2f}"

    ways: tuple[tuple[CellType, str], ...] = (("rnn", "h"), ("lstm", "h"), ("lstm", "c"))
    rnn, lstm = rate("rnn", "h"), rate("lstm", "h")
    slower, faster = ("LSTM", "RNN") if float(lstm) > float(rnn) else ("RNN", "LSTM")
    alike = "both forget equally fast"
    return {
        "distance": str(distance),
        "half-distance": str(half),
        "gradient-captions": str(int(results["lstm"].metrics["captions"])),
        "slower": alike if rnn == lstm else f"the {slower} forgets more slowly than the {faster}",
        **{f"rate-{cell}-{state}": rate(cell, state) for cell, state in ways},
        **{
            f"left-{cell}-{when}-{state}": f"{left(cell, when, state):.2g}"
            for cell, state in ways
            for when in WHEN
        },
    }


_MATHS = {"h": r"$\partial h_T/\partial h_t$", "c": r"$\partial h_T/\partial c_t$"}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _geometric(logs: Tensor) -> float:
    return float(10 ** logs.mean())


def _read(captioner: TrainedCaptioner, picture: Image.Image, words: Sequence[str]) -> Trace:
    """Let a network read a caption that it has written."""
    captions = captioner.vocabulary.encode([words], len(words) + 2)
    return captioner.model.trace(captioner.features([picture]), captions)


def _on_grid(weights: Tensor) -> Tensor:
    """Give the weights of an image's places the form of the image."""
    side = math.isqrt(len(weights))
    return weights.view(side, side)


def _where(weights: Tensor) -> str:
    """Say in words where the largest weight is, and how large."""
    side = math.isqrt(len(weights))
    down, across = divmod(int(weights.argmax()), side)
    rows, columns = ("top", "middle", "bottom"), ("left", "centre", "right")
    return (
        f"the largest weight, {float(weights.max()):.2f}, is at the {rows[3 * down // side]} "
        f"{columns[3 * across // side]}"
    )
