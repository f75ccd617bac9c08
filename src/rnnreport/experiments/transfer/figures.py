"""What the page on transfer learning shows of a study: tables, figures and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rnnreport.data.views import centre_square
from rnnreport.experiments.transfer.data import CLASSES
from rnnreport.experiments.transfer.study import NAMES, Row, Study
from rnnreport.experiments.transfer.training import Mode
from rnnreport.show.figures import Figure, Gallery, Html, gallery, line_plot
from rnnreport.show.tables import Table, interval_text, p_text, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MplFigure

__all__ = [
    "accuracy_figure",
    "attention_gallery",
    "choice_table",
    "confusion_table",
    "learning_curves",
    "mistakes",
    "predictions",
    "rate_table",
    "results_table",
    "settings_table",
]

_SHOWN = 192  # side of a picture on the page, in pixels
_ONE = tuple(name.removesuffix("s") for name in CLASSES)  # "ant", "bee"


def results_table(study: Study) -> Table:
    """Lay out what each way reached by both rules, and the source's numbers where they compare.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Table
        A table, one line an accuracy.
    """
    compared = study.data.profile == "full"
    lines = []
    for row in study.rows():
        for rule, mean, interval, seeds in (
            ("last epoch", row.last_mean, row.last_interval, row.last),
            ("best epoch", row.best_mean, row.best_interval, row.best),
        ):
            spread = torch.tensor(seeds).double().std().item() if len(seeds) > 1 else 0.0
            cells = [f"{mean:.4f}", f"{spread:.4f}", interval_text(interval)]
            if compared:
                comparable = rule == "best epoch" and row.p_source is not None
                cells.append(p_text(row.p_source or 0.0) if comparable else "–")
            lines.append((f"{NAMES[row.mode]}, {rule}", cells))
        if row.source is not None and row.source_interval is not None:
            cells = [f"{row.source:.4f}", "–", interval_text(row.source_interval), "–"]
            lines.append((f"{NAMES[row.mode]}, the source (best epoch)", cells))
    head = ["", "Accuracy", "± of seeds", "95 % interval"]
    head += ["p against the source"] if compared else []
    return table(head, lines, "Accuracy on the validation images")


def accuracy_figure(rows: Sequence[Row]) -> Figure:
    """Plot both accuracies of both ways with their intervals, and the source's.

    Parameters
    ----------
    rows
        From :meth:`~rnnreport.experiments.transfer.study.Study.rows`.

    Returns
    -------
    Figure
        One line an accuracy.
    """
    lines: list[tuple[str, float, tuple[float, float], tuple[float, ...], str, str]] = []
    for row in rows:
        name = NAMES[row.mode]
        lines.append((f"{name}, last epoch", row.last_mean, row.last_interval, row.last, "C0", "o"))
        lines.append((f"{name}, best epoch", row.best_mean, row.best_interval, row.best, "C2", "s"))
        if row.source is not None and row.source_interval is not None:
            lines.append((f"{name}, the source", row.source, row.source_interval, (), "C1", "D"))
    lines.reverse()  # the first at the top

    def draw(_: MplFigure, ax: Axes) -> None:
        for y, (_name, value, interval, seeds, colour, marker) in enumerate(lines):
            ends = [100 * end for end in interval]
            ax.plot(ends, [y, y], color=colour, linestyle="-", lw=2)
            ax.plot([100 * s for s in seeds], [y] * len(seeds), "|", color=colour, ms=9)
            ax.plot([100 * value], [y], marker, color=colour, ms=6)
        ax.set_yticks(range(len(lines)), [line[0] for line in lines])
        ax.set_ylim(-0.6, len(lines) - 0.4)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("validation accuracy, %")

    told = "; ".join(
        f"{name} {100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        for name, value, (low, high), *_ in reversed(lines)
    )
    return Figure(
        draw,
        f"Validation accuracy in per cent with 95 % intervals: {told}.",
        figsize=(5.4, 0.45 * len(lines) + 0.9),
    )


def learning_curves(study: Study) -> Figure:
    """Plot the accuracy on the validation images after each epoch, the mean of the seeds.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Figure
        One line a way.
    """
    curves = {}
    for mode, results in study.results.items():
        every = torch.tensor([result.history["val_accuracy"] for result in results])
        values = (100 * every.mean(0)).tolist()
        curves[NAMES[mode]] = (list(range(1, len(values) + 1)), values)
    told = "; ".join(
        f"{name} from {values[0]:.1f} to {values[-1]:.1f} in {len(values)} epochs"
        for name, (_, values) in curves.items()
    )
    return line_plot(
        curves,
        xlabel="epoch",
        ylabel="validation accuracy, %",
        alt=f"Validation accuracy by epoch, in per cent: {told}.",
    )


def choice_table(study: Study) -> Html:
    """Lay out the loss in cross-validation for each size of the views and each weight decay.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        A table, the chosen line marked.
    """
    chosen = study.choice.metrics
    lines = [
        (
            f"{row['size']} px, {row['decay']:g}"
            + (
                " – chosen"
                if (row["size"], row["decay"]) == (chosen["size"], chosen["decay"])
                else ""
            ),
            [f"{row['loss']:.4f}", f"{row['accuracy']:.4f}"],
        )
        for row in study.choice.details["table"]
    ]
    return table(
        ["Size, weight decay", "Loss", "Accuracy"], lines, "Cross-validation of the new layer"
    )


def rate_table(study: Study) -> Html:
    """Lay out the loss in cross-validation for each learning rate of fine-tuning.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        A table, the chosen line marked; a sentence where there was nothing to choose from.
    """
    rows, chosen = study.rate.details["table"], study.rate.metrics["rate"]
    if not rows:
        text = (
            f"The learning rate of fine-tuning is {chosen:g} here, without a choice: on the sample "
            "that would take longer than all the rest."
        )
        return Html(f"<p>{text}</p>", text)
    lines = [
        (
            f"{row['rate']:g}" + (" – chosen" if row["rate"] == chosen else ""),
            [f"{row['loss']:.4f}", f"{row['accuracy']:.4f}"],
        )
        for row in rows
    ]
    return table(["Learning rate", "Loss", "Accuracy"], lines, "Cross-validation of fine-tuning")


def settings_table(study: Study) -> Html:
    """Lay out how much is trained in each way, for how long, and how long that takes.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        A table, one line a way.
    """
    lines = []
    for mode, results in study.results.items():
        epochs = len(results[0].history["val_accuracy"])
        best = sorted(int(result.metrics["best_epoch"]) for result in results)
        seconds = sum(result.wall_time for result in results)
        cells = [
            f"{results[0].metrics['num_parameters']:,}",
            f"{epochs}",
            ", ".join(map(str, best)),
            f"{len(results)}",
            f"{seconds:.0f} s",
        ]
        lines.append((NAMES[mode], cells))
    head = ["", "Parameters trained", "Epochs", "Best epochs", "Seeds", "Time of all seeds"]
    return table(head, lines, "Size and training of both ways")


def confusion_table(study: Study) -> Html:
    """Lay out how often each class is taken for each, the mean of the seeds.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        A table, a line for each way and class.
    """
    lines = []
    for mode in study.results:
        counts = study.confusion(mode)
        lines += [
            (f"{NAMES[mode]}: {truth}", [f"{counts[k, j]:.1f}" for j in range(len(CLASSES))])
            for k, truth in enumerate(CLASSES)
        ]
    return table(["", *(f"Called {name}" for name in CLASSES)], lines, "Confusion of the classes")


def predictions(study: Study, count: int = 8) -> Gallery:
    """Show validation images with what both ways say of them, their first seeds.

    Parameters
    ----------
    study
        All runs.
    count
        How many images, half of them ants; drawn by lot, the same every time.

    Returns
    -------
    Gallery
        Pictures with captions.
    """
    generator = torch.Generator().manual_seed(0)
    shown = []
    for label in range(len(CLASSES)):
        rows = (study.labels == label).nonzero()[:, 0]
        shown += rows[torch.randperm(len(rows), generator=generator)[: count // 2]].tolist()
    return _gallery(
        study, shown, "Validation images, drawn by lot, with what both ways say of them"
    )


def mistakes(study: Study, count: int) -> Html:
    """Show the validation images that runs get wrong.

    Parameters
    ----------
    study
        All runs.
    count
        At most how many; the ones that most runs get wrong come first.

    Returns
    -------
    Html
        Pictures with captions, which say how many seeds are wrong.
    """
    wrong = torch.stack([study.wrong_counts(mode) for mode in study.results]).sum(0)
    order = wrong.argsort(descending=True, stable=True)[:count]
    shown = [k for k in order.tolist() if wrong[k] > 0]
    if not shown:
        text = "No run gets any validation image wrong."
        return Html(f"<p>{text}</p>", text)
    return _gallery(study, shown, "Validation images that runs get wrong", seeds=True)


def attention_gallery(study: Study) -> Html:
    """Show what both ways look at: (W2), laid over validation images.

    Of each class, as the frozen network's first seed sees it: the hit that it is most certain of,
    the hit that it is least certain of, and the mistake that it is most certain of.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        For each image the view itself, then with the map of the frozen network, then with that of
        the fine-tuned one.
    """
    probability = study.probabilities("frozen")[0]
    right = study.right("frozen")[0]
    shown: list[tuple[str, int]] = []
    for label in range(len(CLASSES)):
        mine = study.labels == label
        certainty = probability.amax(1)
        for kind, group, sign in (
            ("most certain hit", mine & right, 1),
            ("least certain hit", mine & right, -1),
            ("most certain mistake", mine & ~right, 1),
        ):
            rows = group.nonzero()[:, 0]
            if len(rows):
                shown.append((kind, int(rows[(sign * certainty[rows]).argmax()])))
    images, captions, alts = [], [], []
    for kind, k in shown:
        square = centre_square(study.data.val[k], _SHOWN)
        strip = Image.new("RGB", (3 * _SHOWN + 8, _SHOWN), (128, 128, 128))
        strip.paste(square, (0, 0))
        for place, mode in enumerate(study.results, 1):
            overlaid = _overlay(square, study.attention(mode)[0, k])
            strip.paste(overlaid, (place * (_SHOWN + 4), 0))
        images.append(strip)
        truth = _ONE[int(study.labels[k])]
        captions.append({"truth": f"{truth} ({kind})", **_said(study, k)})
        told = "; ".join(f"{name}: {said}" for name, said in _said(study, k).items())
        alts.append(
            f"{_kind(study)} of {_article(truth)}, alone and with what speaks for the answer laid "
            f"over it: {kind}. {told}."
        )
    strips = gallery(
        images,
        captions,
        alts,
        label="What the networks look at, in images chosen by rule",
        encoding="jpeg",
        max_side=None,
    )
    return Html(f'<div class="gallery-wide">{strips.html}</div>', strips.label)


def _gallery(study: Study, rows: Sequence[int], label: str, *, seeds: bool = False) -> Gallery:
    captions, alts = [], []
    for k in rows:
        truth = _ONE[int(study.labels[k])]
        said = _said(study, k)
        if seeds:
            for mode in study.results:
                runs = len(study.results[mode])
                said[NAMES[mode]] += f"; wrong {int(study.wrong_counts(mode)[k])} of {runs}"
        captions.append({"truth": truth, **said})
        told = "; ".join(f"{name}: {text}" for name, text in said.items())
        alts.append(f"{_kind(study)} of {_article(truth)}. {told}.")
    real = study.data.profile == "full"
    pictures = [study.data.val[k] for k in rows]
    return gallery(pictures, captions, alts, label=label, encoding="jpeg" if real else "png")


def _kind(study: Study) -> str:
    return "A photograph" if study.data.profile == "full" else "A drawing"


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _said(study: Study, row: int) -> dict[str, str]:
    """Return what the first seed of each way says of an image, and how certainly."""
    answers: dict[str, str] = {}
    modes: Sequence[Mode] = tuple(study.results)
    for mode in modes:
        value, label = study.probabilities(mode)[0, row].max(0)
        answers[NAMES[mode]] = f"{_ONE[int(label)]}, {float(value):.2f}"
    return answers


def _overlay(square: Image.Image, attention: Tensor) -> Image.Image:
    """Lay a map over a picture: dim and grey where nothing speaks, bright where much does."""
    side = square.width
    share = torch.nn.functional.interpolate(
        (attention / attention.max().clamp_min(1e-12))[None, None], (side, side), mode="bilinear"
    )[0, 0].numpy()[:, :, None]
    pixels = np.asarray(square, dtype=np.float64)
    dim = 0.45 * pixels.mean(2, keepdims=True) + 12
    lit = 0.72 * pixels + 0.28 * np.array([255.0, 176.0, 40.0])
    return Image.fromarray(((1 - share) * dim + share * lit).clip(0, 255).astype(np.uint8))
