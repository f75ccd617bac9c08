"""Tables, figures and pictures of the page on transfer learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL import Image

from rnnreport.data.views import centre_square
from rnnreport.experiments.transfer.data import CLASSES, backbone
from rnnreport.experiments.transfer.study import NAMES, NETWORKS, Row, Study
from rnnreport.names import BackboneName, Mode
from rnnreport.show.figures import Gallery, gallery, overlay
from rnnreport.show.html import Html, tag
from rnnreport.show.plots import Interval, IntervalPlot, Intervals, LinePlot, line_plot
from rnnreport.show.tables import Table, interval_text, p_text, table

__all__ = [
    "accuracy_figure",
    "choice_table",
    "confusion_table",
    "facts",
    "grad_cam_gallery",
    "learning_curves",
    "mistakes",
    "predictions",
    "rate_table",
    "results_table",
    "settings_table",
]

_SIDE = 192  # of a picture on the page, in pixels
_ONE = tuple(name.removesuffix("s") for name in CLASSES)  # "ant", "bee"
_A = ("an ant", "a bee")


def results_table(studies: Sequence[Study]) -> Table:
    """Lay out each way's accuracy by both rules, and the source's numbers where they compare."""
    compared = studies[0].profile == "full"
    lines = []
    for row in _rows(studies):
        for rule, mean, interval, seeds in (
            ("last epoch", row.last_mean, row.last_interval, row.last),
            ("best epoch", row.best_mean, row.best_interval, row.best),
        ):
            spread = torch.tensor(seeds).double().std().item() if len(seeds) > 1 else 0.0
            cells = [f"{mean:.4f}", f"{spread:.4f}", interval_text(interval)]
            if compared:
                comparable = rule == "best epoch" and row.p_source is not None
                cells.append(p_text(row.p_source or 0.0) if comparable else "–")
            lines.append((f"{_title(row.backbone, row.mode)}, {rule}", cells))
    for row in studies[0].rows:
        if row.source is not None and row.source_interval is not None:
            cells = [f"{row.source:.4f}", "–", interval_text(row.source_interval), "–"]
            lines.append((f"ResNet-18 of the source, {NAMES[row.mode].lower()}, best epoch", cells))
    head = ["", "Accuracy", "± of seeds", "95 % interval"]
    head += ["p against the source"] if compared else []
    return table(head, lines, "Accuracy on the validation images")


def accuracy_figure(studies: Sequence[Study]) -> IntervalPlot:
    """Plot both accuracies of both ways with their intervals, and the source's."""
    lines: list[Interval] = []
    for row in _rows(studies):
        name = _title(row.backbone, row.mode)
        for rule, mean, interval, seeds, colour, marker in (
            ("last epoch", row.last_mean, row.last_interval, row.last, "C0", "o"),
            ("best epoch", row.best_mean, row.best_interval, row.best, "C2", "s"),
        ):
            low, high = (100 * end for end in interval)
            points = [100 * seed for seed in seeds]
            title = f"{name}, {rule}"
            lines.append(
                Interval(title, 100 * mean, (low, high), points, colour=colour, marker=marker)
            )
    for row in studies[0].rows:
        if row.source is not None and row.source_interval is not None:
            low, high = (100 * end for end in row.source_interval)
            title = f"The source, {NAMES[row.mode].lower()}"
            lines.append(
                Interval(title, 100 * row.source, (low, high), (), colour="C1", marker="D")
            )
    numbers = "; ".join(
        f"{line.name} {line.value:.1f} ({line.interval[0]:.1f} to {line.interval[1]:.1f})"
        for line in lines
    )
    return Intervals(
        lines,
        xlabel="validation accuracy, %",
        alt=f"Validation accuracy in per cent with 95 % intervals: {numbers}.",
    ).plot()


def learning_curves(studies: Sequence[Study]) -> LinePlot:
    """Plot the accuracy on the validation images after each epoch, the mean of the seeds."""
    curves = {
        _title(study.backbone, mode): study.mean_curve(mode, "val_accuracy", factor=100)
        for study in studies
        for mode in study.results
    }
    numbers = "; ".join(
        f"{name} from {values[0]:.1f} to {values[-1]:.1f} in {len(values)} epochs"
        for name, (_, values) in curves.items()
    )
    return line_plot(
        curves,
        xlabel="epoch",
        ylabel="validation accuracy, %",
        alt=f"Validation accuracy by epoch, in per cent: {numbers}.",
    )


def choice_table(studies: Sequence[Study]) -> Html:
    """Lay out the loss in cross-validation for each size of the views and each weight decay."""
    lines = []
    for study in studies:
        chosen = study.choice.metrics
        for row in study.choice.details["table"]:
            best = (row["size"], row["decay"]) == (chosen["size"], chosen["decay"])
            name = f"{NETWORKS[study.backbone]}, {row['size']} px, {row['decay']:g}"
            cells = [f"{row['loss']:.4f}", f"{row['accuracy']:.4f}"]
            lines.append((name + best * " – chosen", cells))
    head = ["Network, size, weight decay", "Loss", "Accuracy"]
    return table(head, lines, "Cross-validation of the new layer")


def rate_table(studies: Sequence[Study]) -> Html:
    """Lay out the loss in cross-validation for each learning rate; a sentence without a choice."""
    lines = []
    for study in studies:
        chosen = study.rate.metrics["rate"]
        for row in study.rate.details["table"]:
            name = f"{NETWORKS[study.backbone]}, {row['rate']:g}"
            cells = [f"{row['loss']:.4f}", f"{row['accuracy']:.4f}"]
            lines.append((name + (row["rate"] == chosen) * " – chosen", cells))
    if not lines:
        text = (
            f"The learning rate of fine-tuning is {chosen:g} here, without a choice: on the sample "
            "that would take longer than all the rest."
        )
        return Html(tag("p", text), text)
    head = ["Network, learning rate", "Loss", "Accuracy"]
    return table(head, lines, "Cross-validation of fine-tuning")


def settings_table(studies: Sequence[Study]) -> Table:
    """Lay out how much is trained in each way, for how long, and how long that takes."""
    lines = []
    runs = [(study, *item) for study in studies for item in study.results.items()]
    for study, mode, results in runs:
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
        lines.append((_title(study.backbone, mode), cells))
    head = ["", "Parameters trained", "Epochs", "Best epochs", "Seeds", "Time of all seeds"]
    return table(head, lines, "Size and training of both ways")


def confusion_table(study: Study) -> Html:
    """Lay out the confusion matrix of each way, the mean of the seeds."""
    lines = []
    for mode in study.results:
        counts = study.confusion(mode)
        lines += [
            (f"{NAMES[mode]}: {truth}", [f"{counts[k, j]:.1f}" for j in range(len(CLASSES))])
            for k, truth in enumerate(CLASSES)
        ]
    return table(["", *(f"Called {name}" for name in CLASSES)], lines, "Confusion of the classes")


def facts(study: Study) -> dict[str, str]:
    """Return the numbers of the page's sentences, by name."""
    config = study.results["finetuned"][0].config
    ps = study.p_of_ways()
    texts = sorted({p_text(p) for p in ps})
    differing = f"p from {p_text(min(ps))} to {p_text(max(ps))} for {len(ps)} seeds"
    alike = f"p = {texts[0]} for each of {len(ps)} seeds"
    last = {row.mode: row.last_mean for row in study.rows}
    left = study.data.left_out
    return {
        "transfer-p": alike if len(texts) == 1 else differing,
        "transfer-frozen": f"{last['frozen']:.4f}",
        "transfer-finetuned": f"{last['finetuned']:.4f}",
        "transfer-cut": str(config["cut"]),
        "transfer-blocks": str(len(backbone(study.backbone).blocks)),
        "transfer-views": str(config["views"]),
        "transfer-epochs": str(config["epochs"]),
        "transfer-finetune-epochs": str(config["finetune_epochs"]),
        "transfer-train": str(len(study.data.train)),
        "transfer-val": str(len(study.data.val)),
        "transfer-pictures": "photographs" if study.profile == "full" else "drawings",
        "transfer-left-out": (
            f"Beside them lies {' and '.join(left)}, a placeholder for a photograph that is gone. "
            "It is no image by the rule of torchvision's loader, and is left out here too."
            if left
            else ""
        ),
    }


def predictions(study: Study, count: int = 8) -> Gallery:
    """Show validation images, half of them ants, drawn by lot, with the answers of both ways."""
    generator = torch.Generator().manual_seed(0)
    chosen = []
    for label in range(len(CLASSES)):
        rows = (study.labels == label).nonzero()[:, 0]
        chosen += rows[torch.randperm(len(rows), generator=generator)[: count // 2]].tolist()
    return _gallery(
        study, chosen, "Validation images, drawn by lot, with what both ways say of them"
    )


def mistakes(study: Study, count: int) -> Html:
    """Show the validation images that runs get wrong, those that most runs get wrong first."""
    wrong = torch.stack([study.wrong_counts(mode) for mode in study.results]).sum(0)
    order = wrong.argsort(descending=True, stable=True)[:count]
    chosen = [k for k in order.tolist() if wrong[k] > 0]
    if not chosen:
        text = "No run gets any validation image wrong."
        return Html(tag("p", text), text)
    return _gallery(study, chosen, "Validation images that runs get wrong", seeds=True)


def grad_cam_gallery(study: Study) -> Gallery:
    """Show the map (W2) of both ways over validation images.

    Of each class, as the frozen network's first seed sees it: the hit that it is most certain of,
    the hit that it is least certain of, and the mistake that it is most certain of. For each image
    the view itself, then with the map of the frozen network, then with that of the fine-tuned one.
    """
    probability = study.probabilities["frozen"][0]
    right = study.right("frozen")[0]
    certainty = probability.amax(1)
    chosen: list[tuple[str, int]] = []
    for label in range(len(CLASSES)):
        of_class = study.labels == label
        for kind, group, sign in (
            ("most certain hit", of_class & right, 1),
            ("least certain hit", of_class & right, -1),
            ("most certain mistake", of_class & ~right, 1),
        ):
            rows = group.nonzero()[:, 0]
            if len(rows):
                chosen.append((kind, int(rows[(sign * certainty[rows]).argmax()])))
    images, captions, alts = [], [], []
    for kind, k in chosen:
        square = centre_square(study.data.val[k], _SIDE)
        strip = Image.new("RGB", (3 * _SIDE + 8, _SIDE), (128, 128, 128))
        strip.paste(square, (0, 0))
        for place, mode in enumerate(study.results, 1):
            overlaid = overlay(square, study.grad_cam[mode][0, k], grey=0.45, tint=0.28)
            strip.paste(overlaid, (place * (_SIDE + 4), 0))
        images.append(strip)
        label, answers = int(study.labels[k]), _answers(study, k)
        captions.append({"truth": f"{_ONE[label]} ({kind})", **answers})
        alts.append(
            f"{_kind(study)} of {_A[label]}, alone and with what speaks for the answer laid "
            f"over it: {kind}. {_in_words(answers)}."
        )
    return gallery(
        images,
        captions,
        alts,
        label="What the networks look at, in images chosen by rule",
        encoding="jpeg",
        max_side=None,
        layout="wide",
    )


def _gallery(study: Study, rows: Sequence[int], label: str, *, seeds: bool = False) -> Gallery:
    captions, alts = [], []
    for k in rows:
        truth, answers = int(study.labels[k]), _answers(study, k)
        if seeds:
            for mode, results in study.results.items():
                wrong = int(study.wrong_counts(mode)[k])
                answers[NAMES[mode]] += f"; wrong {wrong} of {len(results)}"
        captions.append({"truth": _ONE[truth], **answers})
        alts.append(f"{_kind(study)} of {_A[truth]}. {_in_words(answers)}.")
    real = study.profile == "full"
    pictures = [study.data.val[k] for k in rows]
    return gallery(pictures, captions, alts, label=label, encoding="jpeg" if real else "png")


def _rows(studies: Sequence[Study]) -> list[Row]:
    return [row for study in studies for row in study.rows]


def _title(backbone: BackboneName, mode: Mode) -> str:
    return f"{NETWORKS[backbone]}, {NAMES[mode].lower()}"


def _kind(study: Study) -> str:
    return "A photograph" if study.profile == "full" else "A drawing"


def _answers(study: Study, row: int) -> dict[str, str]:
    """Return the answer of each way's first seed for an image, and how certain it is."""
    answers: dict[str, str] = {}
    for mode in study.results:
        value, label = study.probabilities[mode][0, row].max(0)
        answers[NAMES[mode]] = f"{_ONE[int(label)]}, {float(value):.2f}"
    return answers


def _in_words(answers: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {answer}" for name, answer in answers.items())
