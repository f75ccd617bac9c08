"""What the captioning page shows of a study: tables, figures, pictures with captions."""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rnnreport.experiments.captioning.by_heart import images
from rnnreport.experiments.captioning.gradients import WHEN
from rnnreport.experiments.captioning.measures import MEASURES
from rnnreport.experiments.captioning.settings import WAYS
from rnnreport.experiments.captioning.study import NAMES, WAY_NAMES, Study
from rnnreport.experiments.captioning.trained import TrainedCaptioner
from rnnreport.models.captioning import CellType, Trace
from rnnreport.runs.store import Result, mean_history
from rnnreport.show.figures import Figure, Gallery, Html, gallery
from rnnreport.show.tables import Table, interval_text, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MplFigure

__all__ = [
    "attention_maps",
    "captions_gallery",
    "cider_figure",
    "differences_table",
    "gates_figure",
    "gradients_figure",
    "learned_gallery",
    "learning_curves",
    "measures_table",
    "results_table",
    "settings_table",
    "verdict",
]

_GATES = ("forget", "input", "candidate", "output")  # as the layers pack them
_LIGHT = (255.0, 176.0, 40.0)  # what is laid over places that attention reads
_TILE = 150  # side of a picture with attention over it, in pixels
_SHORT: Mapping[CellType, str] = {**NAMES, "attention": "Attention"}  # where a phone has no room
_TITLES: Mapping[str, str] = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
}


def results_table(study: Study) -> Table:
    """Lay out the CIDEr and the BLEU-4 of each network and way of writing.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Table
        A table, one line a network and way.
    """
    lines = [
        (
            f"{_SHORT[row.cell]}, {WAY_NAMES[row.way].lower()}",
            [
                f"{row.scores.cider:.3f}",
                interval_text(row.intervals["cider"], 3),
                f"{row.scores.bleu_4:.3f}",
                interval_text(row.intervals["bleu_4"], 3),
                ", ".join(f"{value:.3f}" for value in row.ciders),
            ],
        )
        for row in study.rows
    ]
    head = ["", "CIDEr", "95 % interval", "BLEU-4", "95 % interval", "CIDEr of each seed"]
    return table(head, lines, "CIDEr and BLEU-4 on the validation images")


def measures_table(study: Study) -> Table:
    """Lay out the other measures, and how many captions are not new.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Table
        A table, one line a network and way.
    """
    shown = [name for name in MEASURES if name not in ("cider", "bleu_4")]
    lines = [
        (
            f"{_SHORT[row.cell]}, {WAY_NAMES[row.way].lower()}",
            [f"{getattr(row.scores, name):.3f}" for name in shown]
            + [f"{100 * row.in_training:.0f} %", f"{row.exact:.1f}"],
        )
        for row in study.rows
    ]
    head = ["", *(_TITLES[name] for name in shown), "In training", "Exact"]
    return table(head, lines, "The other measures on the validation images")


def differences_table(study: Study) -> Table:
    """Lay out how much better one network is than another, on the same images.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Table
        A table, one line a pair of networks and a way.
    """
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
    """Say in words which differences are more than chance in the choice of the images.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        One paragraph; empty where there is no pair of networks to compare.
    """
    ways: dict[str, list[str]] = {}  # those that tell the same stand together
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
    text = " ".join(f"{', '.join(names).capitalize()}: {told}." for told, names in ways.items())
    return Html(f"<p>{html.escape(text)}</p>", text or "Nothing to compare")


def settings_table(study: Study) -> Html:
    """Lay out how large each network is and how it was trained.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        A table, one line a network.
    """
    lines = []
    for cell, results in study.results.items():
        best = sorted(int(result.metrics["best_epoch"]) for result in results)
        cells = [
            f"{results[0].metrics['num_parameters']:,}",
            f"{results[0].config['hidden_dim']}",
            ", ".join(map(str, best)),
            f"{statistics.fmean(result.metrics['val_loss'] for result in results):.2f}",
            f"{statistics.fmean(result.wall_time for result in results):.0f} s",
        ]
        lines.append((NAMES[cell], cells))
    head = ["", "Parameters", "Hidden units", "Best epochs", "Validation loss", "Time of a run"]
    return table(head, lines, "Size and training of each network")


def cider_figure(study: Study) -> Figure:
    """Plot the CIDEr of each network and way: its seeds, and the interval of their mean.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Figure
        A group of lines a network, a line a way.
    """
    cells = list(study.results)
    places = {
        (cell, way): (len(WAYS) + 1) * (len(cells) - 1 - k) + len(WAYS) - 1 - j
        for k, cell in enumerate(cells)
        for j, way in enumerate(WAYS)
    }

    def draw(_: MplFigure, ax: Axes) -> None:
        for row in study.rows:
            y, colour = places[row.cell, row.way], f"C{cells.index(row.cell)}"
            ax.plot(row.intervals["cider"], [y, y], color=colour, linestyle="-", lw=2)
            ax.plot(row.ciders, [y] * len(row.ciders), "|", color=colour, ms=10)
            ax.plot([row.scores.cider], [y], "o", color=colour, ms=6)
        for cell in cells:
            top = places[cell, WAYS[0]]
            ax.text(
                0.0,
                top + 0.45,
                NAMES[cell],
                color=f"C{cells.index(cell)}",
                fontweight="bold",
                transform=ax.get_yaxis_transform(),
                va="bottom",
            )
        ax.set_yticks(
            list(places.values()), [WAY_NAMES[way].lower() for _, way in places], fontsize="medium"
        )
        ax.set_ylim(-0.6, max(places.values()) + 1.2)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("CIDEr on the validation images")

    told = "; ".join(
        f"{NAMES[cell]}: "
        + ", ".join(
            f"{WAY_NAMES[row.way].lower()} {row.scores.cider:.2f} "
            f"({row.intervals['cider'][0]:.2f} to {row.intervals['cider'][1]:.2f})"
            for row in study.rows
            if row.cell == cell
        )
        for cell in cells
    )
    return Figure(
        draw,
        f"CIDEr with 95 % intervals over images, means of the seeds. {told}.",
        figsize=(5.4, 1.35 * len(cells) + 0.8),
    )


def learning_curves(study: Study) -> Figure:
    """Plot the loss of each network by epoch, in training and on the validation images.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Figure
        A panel a network; means of the seeds, as long as all of them are being trained.
    """
    curves = {
        (cell, part): mean_history(results, f"{part}_loss")
        for cell, results in study.results.items()
        for part in ("train", "val")
    }
    best = {
        cell: [(int(r.metrics["best_epoch"]), float(r.metrics["val_loss"])) for r in results]
        for cell, results in study.results.items()
    }
    # The first epoch is far above the rest, which is where the curves part.
    late = [value for values in curves.values() for value in values[1:] or values]
    low, high = min(late), max(late)

    def draw(fig: MplFigure, axes: Any) -> None:
        panels = np.atleast_1d(axes)
        for ax, cell in zip(panels, study.results, strict=True):
            for k, (part, name) in enumerate((("train", "training"), ("val", "validation"))):
                values = curves[cell, part]
                ax.plot(range(1, len(values) + 1), values, color=f"C{k}", label=name)
            epochs, losses = zip(*best[cell], strict=True)
            ax.plot(epochs, losses, "o", color="C1", ms=6, mfc="none", label="best epoch of a seed")
            ax.set_title(NAMES[cell], loc="left")
            ax.set_ylabel("loss of a caption")
        panels[0].set_ylim(low - 0.05 * (high - low) - 0.1, high + 0.15 * (high - low) + 0.1)
        panels[-1].set_xlabel("passes over the training captions")
        handles, names = panels[0].get_legend_handles_labels()
        fig.legend(handles, names, loc="outside upper center", ncols=2)

    told = "; ".join(
        f"{NAMES[cell]}: training {curves[cell, 'train'][0]:.1f} to "
        f"{curves[cell, 'train'][-1]:.1f}, validation {curves[cell, 'val'][0]:.1f} to "
        f"{curves[cell, 'val'][-1]:.1f}, smallest "
        f"{statistics.fmean(loss for _, loss in best[cell]):.2f} after "
        f"{_span([epoch for epoch, _ in best[cell]])} epochs"
        for cell in study.results
    )
    count = len(study.results)
    return Figure(
        draw,
        f"Loss of a caption by epoch, means of the seeds. {told}.",
        figsize=(5.4, 2.0 * count + 0.9),
        subplots={"nrows": count, "sharex": True, "sharey": True},
    )


def learned_gallery(results: Mapping[str, Result], split: str, count: int) -> Gallery:
    """Show the first images of a split with what networks say that learned captions by heart.

    Parameters
    ----------
    results
        From :func:`rnnreport.experiments.captioning.by_heart.run`, by the name of the network;
        at least one, all on the same images.
    split
        ``"train"`` or ``"val"``.
    count
        How many images, from the first one on.

    Returns
    -------
    Gallery
        Pictures with a true caption, for a training image the learned one, and the networks'.
    """
    first = next(iter(results.values()))
    shown = first.details[split][:count]
    real = first.data["profile"] == "full"
    return gallery(
        images(first, [record["image"] for record in shown], size=240),
        [
            {"truth": record["truth"][0]}
            | {
                name: result.details[split][k]["caption"] or "(nothing)"
                for name, result in results.items()
            }
            for k, record in enumerate(shown)
        ],
        [("A photograph: " if real else "A drawn scene: ") + r["truth"][0] for r in shown],
        label=f"Images ({split}) with a true caption and those of {', '.join(results)}",
        encoding="jpeg" if real else "png",
    )


def captions_gallery(study: Study, split: str, rows: Sequence[int], way: str = "beam") -> Gallery:
    """Show images with a true caption and what the first run of each network says.

    Parameters
    ----------
    study
        All runs.
    split
        ``"val"`` or ``"train"``.
    rows
        Which images, by their places in :meth:`Study.names`.
    way
        How the networks write.

    Returns
    -------
    Gallery
        Pictures with captions. On validation images, the CIDEr of each caption stands behind it.
    """
    names, references = study.names(split), study.references(split)
    said = {cell: study.captions(cell, way, split)[0] for cell in study.results}
    scores = {cell: study.ciders(cell, way, split) for cell in study.results}
    real = study.profile == "full"
    captions, alts = [], []
    for k in rows:
        truth = " ".join(references[k][0])
        captions.append(
            {"truth": truth}
            | {
                _SHORT[cell]: (" ".join(said[cell][k]) or "(nothing)")
                + (f" ({scores[cell][k]:.2f})" if split == "val" else "")
                for cell in said
            }
        )
        alts.append(("A photograph: " if real else "A drawn scene: ") + truth)
    return gallery(
        [study.source.image(names[k], 240) for k in rows],
        captions,
        alts,
        label=f"Images ({split}) with a true caption and those of the networks",
        encoding="jpeg" if real else "png",
    )


def attention_maps(study: Study, rows: Sequence[int]) -> Html:
    """Show where the network with attention looks as it chooses each word.

    Parameters
    ----------
    study
        With that network; its first run and its beam captions are shown.
    rows
        Which validation images, by their places in :meth:`Study.names`.

    Returns
    -------
    Html
        For each image a grid: the image, then for each word the same with the weights laid over
        it, and how large the largest of them is.
    """
    captioner = TrainedCaptioner(study.results["attention"][0])
    said = study.captions("attention", "beam")[0]
    blocks = []
    for k in rows:
        picture = study.source.image(study.names("val")[k])
        trace = _read(captioner, picture, said[k])
        if trace.weights is None:
            raise ValueError("study must hold a network with attention, got one without")
        seen = picture.copy()
        seen.thumbnail((_TILE, _TILE))
        sentence = " ".join(said[k])
        images, captions, alts = [seen], ["the image"], [f"What the network captions: {sentence}"]
        for word, weights in zip(said[k], trace.weights[:, 0], strict=False):
            images.append(_lit(seen, weights))
            captions.append(f"{word} {float(weights.max()):.2f}")
            alts.append(f"“{word}”: {_where(weights)}")
        blocks.append(
            gallery(
                images,
                captions,
                alts,
                label=f"Where the network looks as it says: {sentence}",
                encoding="jpeg",
            ).html
        )
    return Html(
        f'<div class="gallery-words">{"".join(blocks)}</div>',
        f"Attention word by word over {len(blocks)} images",
    )


def gates_figure(study: Study, row: int) -> Figure:
    """Plot the gates of the LSTM's first run as it reads its own caption of an image.

    Parameters
    ----------
    study
        With that network.
    row
        Which validation image, by its place in :meth:`Study.names`.

    Returns
    -------
    Figure
        Above the mean of each gate over the units, word by word; below how the forget gates of
        the units are spread.
    """
    captioner = TrainedCaptioner(study.results["lstm"][0])
    words = study.captions("lstm", "beam")[0][row]
    trace = _read(captioner, study.source.image(study.names("val")[row]), words)
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

    said = ", ".join(
        f"{name} {float(means[g].min()):.2f} to {float(means[g].max()):.2f}"
        for g, name in enumerate(_GATES)
    )
    return Figure(
        draw,
        f"Gates of the LSTM as it reads “{' '.join(words)}”. Means over the units along the "
        f"caption: {said}. The middle half of the forget gates lies between "
        f"{float(forget[1].mean()):.2f} and {float(forget[3].mean()):.2f} on average.",
        figsize=(5.4, 5.2),
        subplots={"nrows": 2, "sharex": True, "height_ratios": (1, 1.2)},
    )


def gradients_figure(results: Sequence[Result]) -> Figure:
    """Plot how much of an earlier state is left in the last one, by their distance.

    Parameters
    ----------
    results
        From :func:`rnnreport.experiments.captioning.gradients.run`, of networks of different kinds.

    Returns
    -------
    Figure
        A panel before training and one after; geometric means over captions, and bands from the
        10th to the 90th percentile.
    """
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

    told = ". ".join(
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
        f"Largest singular value of the Jacobian of the last state by an earlier one, at a "
        f"distance from 1 to {steps:.0f} words. {told}.",
        figsize=(5.4, 6.2),
        subplots={"nrows": 2, "sharex": True, "sharey": True},
    )


_MATHS = {"h": r"$\partial h_T/\partial h_t$", "c": r"$\partial h_T/\partial c_t$"}


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def _geometric(logs: Tensor) -> float:
    return float(10 ** logs.mean())


def _read(captioner: TrainedCaptioner, picture: Image.Image, words: Sequence[str]) -> Trace:
    """Let a network read a caption that it has written."""
    captions = captioner.vocabulary.encode([words], len(words) + 2)
    return captioner.model.trace(captioner.features([picture]), captions)


def _lit(picture: Image.Image, weights: Tensor) -> Image.Image:
    """Lay weights of places over a picture: dim and grey where small, tinted where large."""
    side = math.isqrt(len(weights))
    share = torch.nn.functional.interpolate(
        (weights / weights.max()).view(1, 1, side, side), picture.size[::-1], mode="bilinear"
    )[0, 0].numpy()[:, :, None]
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float64)
    dim = 0.4 * pixels.mean(2, keepdims=True) + 12
    lit = 0.6 * pixels + 0.4 * np.array(_LIGHT)
    return Image.fromarray(((1 - share) * dim + share * lit).clip(0, 255).astype(np.uint8))


def _where(weights: Tensor) -> str:
    """Say in words where the largest weight is, and how large."""
    side = math.isqrt(len(weights))
    down, across = divmod(int(weights.argmax()), side)
    rows, columns = ("top", "middle", "bottom"), ("left", "centre", "right")
    return (
        f"the largest weight, {float(weights.max()):.2f}, is at the {rows[3 * down // side]} "
        f"{columns[3 * across // side]}"
    )
