"""What the text page shows of a study: figures, coloured sentences and tables."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from rnnreport.experiments.text.data import text_data
from rnnreport.experiments.text.settings import ModelName
from rnnreport.experiments.text.study import NAMES, Row, Study
from rnnreport.experiments.text.trained import TrainedClassifier
from rnnreport.runs.store import Result, load_tensors
from rnnreport.show.figures import Figure, Html, line_plot
from rnnreport.show.tables import Table, framed, interval_text, p_text, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MplFigure

__all__ = [
    "accuracy_by_kind",
    "accuracy_by_length",
    "accuracy_figure",
    "disagreements",
    "kinds_table",
    "learning_curves",
    "mistakes",
    "neighbours_table",
    "results_table",
    "settings_table",
    "strips",
    "verdict",
    "word_weights",
    "words_figure",
]

# Where two stand too close together, the earlier one is kept.
_TICKS = (0.5, 0.9, 0.99, 0.95, 0.98, 0.8, 0.97, 0.7, 0.96, 0.6, 0.93, 0.85, 0.995, 0.999)
_CERTAIN = 0.01  # below this p-value the page calls a difference more than chance


def results_table(study: Study) -> Table:
    """Lay out what each model reached, with the source's numbers where the data is the source's.

    Parameters
    ----------
    study
        Runs of all models.

    Returns
    -------
    Table
        A table, one line a model, and one for the average of the LSTMs of all seeds.
    """
    compared = study.data.profile == "full"
    head = ["", "Test accuracy", "± of seeds", "95 % interval", "p against bag of words"]
    head += ["The source", "p against it"] if compared else []
    lines = []
    for row in study.rows():
        cells = [
            f"{row.mean:.4f}",
            f"{row.deviation:.4f}",
            interval_text(row.interval),
            "–" if row.p_bag is None else p_text(row.p_bag),
        ]
        if compared:
            cells.append("–" if row.source is None else f"{row.source:.3f}")
            cells.append("–" if row.p_source is None else p_text(row.p_source))
        lines.append((row.name, cells))
    runs = len(study.results["lstm"]) + len(study.results["bilstm"])
    accuracy, interval, p_bag = study.committee_row("lstm", "bilstm")
    cells = [f"{accuracy:.4f}", "–", interval_text(interval), p_text(p_bag)]
    cells += ["–", "–"] if compared else []
    lines.append((f"All {runs} LSTM models, averaged", cells))
    return table(head, lines, "Test accuracy of each model")


def settings_table(study: Study) -> Html:
    """Lay out how large each model is and how it was trained.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        A table, one line a model.
    """
    head = ["", "Parameters trained", "Learning rate", "Best epoch", "Time of a run"]
    lines = []
    for model, results in study.results.items():
        first = results[0]
        epochs = [int(result.metrics["best_epoch"]) for result in results]
        seconds = sum(result.wall_time for result in results) / len(results)
        cells = [
            f"{first.metrics['num_parameters']:,}",
            f"{first.config['learning_rate']:g}",
            f"{_span(epochs)} of {first.config['epochs']}",
            f"{seconds:.0f} s",
        ]
        lines.append((NAMES[model], cells))
    return table(head, lines, "Size and training of each model")


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low}–{high}"


def kinds_table(study: Study, models: Sequence[ModelName]) -> Html:
    """Lay out the test accuracy for each construction of the generated sentences.

    Parameters
    ----------
    study
        Of the sample.
    models
        Some of its models.

    Returns
    -------
    Html
        A table, one line a construction.
    """
    kinds = accuracy_by_kind(study, models)
    names = [NAMES[model] for model in models]
    lines = [
        (kind, [f"{row['sentences']:.0f}", *(f"{row[name]:.2f}" for name in names)])
        for kind, row in kinds.items()
    ]
    return table(["Construction", "Sentences", *names], lines, "Test accuracy by construction")


def verdict(study: Study) -> Html:
    """Say in words which differences are more than chance.

    Parameters
    ----------
    study
        All runs.

    Returns
    -------
    Html
        One paragraph or two.
    """
    rows = study.rows()
    (bag,) = (row for row in rows if row.model == "bag")
    others = [row for row in rows if row.p_bag is not None]
    groups = {
        "are better than bag of words": [
            row for row in others if _beyond(row.p_bag) and row.mean > bag.mean
        ],
        "are worse": [row for row in others if _beyond(row.p_bag) and row.mean < bag.mean],
        "cannot be told apart from it": [row for row in others if not _beyond(row.p_bag)],
    }
    text = (
        f"On the same {len(study.labels):,} test sentences, with p < {_CERTAIN} for every seed: "
        f"{_told(groups)}."
    )
    paragraphs = [text]
    sourced = [row for row in rows if row.source is not None]
    if sourced:
        groups = {
            "are above the source's number": [
                row for row in sourced if _beyond(row.p_source) and row.mean > (row.source or 0)
            ],
            "are below it": [
                row for row in sourced if _beyond(row.p_source) and row.mean < (row.source or 0)
            ],
            "cannot be told apart from it": [row for row in sourced if not _beyond(row.p_source)],
        }
        paragraphs.append(f"Against the source, with p < {_CERTAIN}: {_told(groups)}.")
    return Html("".join(f"<p>{html.escape(p)}</p>" for p in paragraphs), " ".join(paragraphs))


def _beyond(p: float | None) -> bool:
    return p is not None and p < _CERTAIN


def _told(groups: Mapping[str, Sequence[Row]]) -> str:
    """Say which rows stand in which group, leaving out groups without rows."""
    return "; ".join(
        f"{' and '.join(f'“{row.name}”' for row in rows)} "
        + (words if len(rows) > 1 else words.replace("are ", "is ", 1))
        for words, rows in groups.items()
        if rows
    )


def accuracy_figure(rows: Sequence[Row]) -> Figure:
    """Plot the test accuracy of each model: its seeds, the interval of their mean, the source's.

    Parameters
    ----------
    rows
        From :meth:`~rnnreport.experiments.text.study.Study.rows`.

    Returns
    -------
    Figure
        One line a model, the best at the top.
    """
    ordered = sorted(rows, key=lambda row: row.mean)

    def draw(_: MplFigure, ax: Axes) -> None:
        ends = []
        for y, row in enumerate(ordered):
            ax.plot(row.interval, [y, y], color="C0", linestyle="-", lw=2)
            ax.plot(row.accuracies, [y] * len(row.accuracies), "|", color="C0", ms=9)
            ax.plot([row.mean], [y], "o", color="C0", ms=6)
            ends += [*row.interval, *row.accuracies]
            if row.source is not None and row.source_interval is not None:
                ax.plot(row.source_interval, [y - 0.28] * 2, color="C1", linestyle="-", lw=1.2)
                ax.plot([row.source], [y - 0.28], "D", color="C1", ms=5, mfc="none")
                ends += row.source_interval
        # On a logit axis the step from 95 to 97 % is as wide as that from 5 to 3 % of errors.
        ax.set_xscale("logit")
        low, high = max(min(ends), 0.0001), min(max(ends), 0.9999)
        ticks = _ticks(low, high)
        ax.set_xticks(ticks, [f"{100 * t:.3g}" for t in ticks])
        ax.set_xticks([], minor=True)
        ax.set_xlim(1 / (1 + (1 / low - 1) * 1.15), 1 / (1 + (1 / high - 1) / 1.15))
        ax.set_yticks(range(len(ordered)), [row.name for row in ordered])
        ax.set_ylim(-0.7, len(ordered) - 0.4)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("test accuracy, % (logit scale)")

    told = "; ".join(
        f"{row.name} {100 * row.mean:.1f}"
        + (f" (the source: {100 * row.source:.1f})" if row.source is not None else "")
        for row in reversed(ordered)
    )
    compared = any(row.source is not None for row in rows)
    return Figure(
        draw,
        f"Test accuracy in per cent with 95 % intervals, best first: {told}."
        + (
            " The source's numbers are drawn below each line with their own intervals."
            if compared
            else ""
        ),
        figsize=(5.4, 0.52 * len(ordered) + 0.9),
    )


def _ticks(low: float, high: float) -> list[float]:
    """Choose ticks of a logit axis whose labels do not touch."""
    start, span = _logit(low), _logit(high) - _logit(low) or 1.0
    places: dict[float, float] = {}
    for tick in _TICKS:
        place = (_logit(tick) - start) / span
        if 0 <= place <= 1 and all(abs(place - other) > 0.08 for other in places.values()):
            places[tick] = place
    return sorted(places) or [low, high]


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def learning_curves(study: Study, models: Sequence[ModelName]) -> Figure:
    """Plot the accuracy on dev after each epoch, the mean of the seeds.

    Parameters
    ----------
    study
        What to plot of.
    models
        One to four of its models.

    Returns
    -------
    Figure
        One line a model.
    """
    curves = {}
    for model in models:
        series = [result.history["dev_accuracy"] for result in study.results[model]]
        curves[NAMES[model]] = [
            100 * sum(column) / len(column) for column in zip(*series, strict=True)
        ]
    ends = ", ".join(
        f"{name} from {values[0]:.1f} to {values[-1]:.1f}" for name, values in curves.items()
    )
    return line_plot(
        {name: (list(range(1, len(values) + 1)), values) for name, values in curves.items()},
        xlabel="passes over the training sentences",
        ylabel="accuracy on dev, %",
        alt=f"Accuracy on dev by epoch, in per cent: {ends}.",
    )


def accuracy_by_length(study: Study, models: Sequence[ModelName]) -> Figure:
    """Plot the test accuracy by the number of words in a sentence.

    Parameters
    ----------
    study
        What to plot of.
    models
        One to four of its models.

    Returns
    -------
    Figure
        One line a model, the mean of the seeds.
    """
    lengths = study.data.test.lengths
    groups = [  # pairs of lengths, so that each point rests on enough sentences
        (low, (lengths == low) | (lengths == low + 1))
        for low in range(int(lengths.min()), int(lengths.max()) + 1, 2)
    ]
    groups = [(low, group) for low, group in groups if int(group.sum()) >= 30]
    curves = {}
    for model in models:
        right = study.right(model).double()
        curves[NAMES[model]] = (
            [(low + min(low + 1, int(lengths.max()))) / 2 for low, _ in groups],
            [100 * right[:, group].mean().item() for _, group in groups],
        )
    told = "; ".join(
        f"{name} {values[0]:.1f} for the shortest and {values[-1]:.1f} for the longest"
        for name, (_, values) in curves.items()
    )
    return line_plot(
        curves,
        xlabel="words in the sentence",
        ylabel="test accuracy, %",
        alt=f"Test accuracy by length of the sentence, in per cent: {told}.",
        markers=True,
    )


def accuracy_by_kind(study: Study, models: Sequence[ModelName]) -> dict[str, dict[str, float]]:
    """Return the test accuracy of models for each construction of the generated sentences.

    Parameters
    ----------
    study
        Of the sample.
    models
        Some of its models.

    Returns
    -------
    dict of str to dict of str to float
        For each construction how many sentences it has, under ``"sentences"``, and the accuracy
        of each model, by its name; the mean of the seeds.
    """
    kinds = study.data.splits.test.kinds
    right = {model: study.right(model).double() for model in models}
    by_kind: dict[str, dict[str, float]] = {}
    for kind in sorted(set(kinds), key=kinds.count, reverse=True):
        group = torch.tensor([k == kind for k in kinds])
        by_kind[kind] = {"sentences": int(group.sum())} | {
            NAMES[model]: right[model][:, group].mean().item() for model in models
        }
    return by_kind


def word_weights(study: Study) -> list[tuple[str, float]]:
    """Return the words that bag of words knows and their weights, the mean of the seeds.

    Parameters
    ----------
    study
        With the model ``"bag"``.

    Returns
    -------
    list of pairs
        From the most negative word to the most positive. Words that are rare in training stay out:
        their weights rest on a handful of sentences.
    """
    least = max(5, len(study.data.train) // 2000)
    columns = [load_tensors(result)["model.weight"] for result in study.results["bag"]]
    weights = torch.cat(columns, dim=1).mean(1)
    counts = torch.bincount(study.data.train.words, minlength=len(weights))
    words = study.data.vocabulary.words
    pairs = [(words[k], float(weights[k])) for k in (counts >= least).nonzero()[:, 0].tolist()]
    return sorted(pairs, key=lambda pair: pair[1])


def words_figure(weights: Sequence[tuple[str, float]], count: int = 12) -> Figure:
    """Plot the most negative and the most positive words of bag of words.

    Parameters
    ----------
    weights
        From :func:`word_weights`.
    count
        How many of each.

    Returns
    -------
    Figure
        Bars, the strongest at the top.
    """
    negative, positive = weights[:count][::-1], weights[-count:]

    def draw(_: MplFigure, axes: Any) -> None:
        for ax, part, colour in ((axes[0], negative, "C1"), (axes[1], positive, "C0")):
            ax.barh(range(len(part)), [abs(v) for _, v in part], color=colour, height=0.7)
            ax.set_yticks(range(len(part)), [word for word, _ in part])
            ax.grid(visible=False, axis="y")
            ax.set_axisbelow(True)
            ax.set_xlabel("weight")
        axes[0].set_title("negative")
        axes[1].set_title("positive")

    return Figure(
        draw,
        f"The words with the largest weights. Negative: {', '.join(w for w, _ in negative[::-1])}. "
        f"Positive: {', '.join(w for w, _ in positive[::-1])}.",
        figsize=(5.4, 0.3 * count + 0.9),
        subplots={"ncols": 2},
    )


def neighbours_table(result: Result, words: Sequence[str], count: int = 6) -> Table:
    """Lay out the nearest words of some words by the cosine of their vectors.

    Parameters
    ----------
    result
        From :func:`rnnreport.experiments.text.word_vectors.run`.
    words
        Whose neighbours; words that the vocabulary does not have are left out.
    count
        How many neighbours of each, among words that stand at least twenty times in training.

    Returns
    -------
    Table
        A table, one line a word.
    """
    data = text_data(result.data["profile"], result.config["data_seed"])
    index = data.vocabulary.word_to_idx
    counts = torch.bincount(data.train.words, minlength=len(index))
    vectors = torch.nn.functional.normalize(load_tensors(result)["vectors"], dim=1)
    vectors[counts < 20] = 0
    lines = []
    for word in words:
        if word in index:
            cosines = vectors @ vectors[index[word]]
            cosines[index[word]] = -1
            nearest = cosines.topk(count)
            pairs = zip(nearest.indices.tolist(), nearest.values.tolist(), strict=True)
            told = ", ".join(f"{data.vocabulary.words[k]} {cosine:.2f}" for k, cosine in pairs)
            lines.append((word, [told]))
    return table(["Word", "Nearest words and their cosines"], lines, "Nearest words")


def strips(
    classifiers: Mapping[str, TrainedClassifier], sentences: Sequence[Sequence[str]]
) -> Html:
    """Show the probability after each word of some sentences, as coloured words.

    Parameters
    ----------
    classifiers
        By their names; each reads word by word.
    sentences
        Lists of tokens.

    Returns
    -------
    Html
        For each sentence one line a classifier.
    """
    blocks = []
    for sentence in sentences:
        lines = []
        for name, classifier in classifiers.items():
            steps = classifier.probabilities_by_word(sentence)
            words = "".join(
                f'<span class="step {"for" if p > 0.5 else "against"}" '
                f'style="--strength:{abs(2 * p - 1):.2f}">'
                f"{html.escape(word)}<small>{p:.2f}</small></span>"
                for word, p in zip(sentence, steps, strict=True)
            )
            lines.append(
                f'<div class="strip-line"><span class="strip-name">{html.escape(name)}</span>'
                f'<span class="strip-words">{words}</span></div>'
            )
        blocks.append(
            f'<div class="strip" role="group" aria-label="{html.escape(" ".join(sentence))}">'
            f"{''.join(lines)}</div>"
        )
    return Html(
        f'<div class="strips">{"".join(blocks)}</div>',
        f"Probability after each word of {len(sentences)} sentences",
    )


def disagreements(study: Study, first: ModelName, second: ModelName, count: int) -> list[list[str]]:
    """Return the test sentences on which two models differ most, the mean of the seeds.

    Parameters
    ----------
    study
        With both models.
    first, second
        The models.
    count
        How many sentences.

    Returns
    -------
    list of lists of str
        Sentences as tokens, the strongest disagreement first.
    """
    gap = (study.committee(first) - study.committee(second)).abs()
    top = gap.argsort(descending=True, stable=True)[:count].tolist()
    return [list(study.data.splits.test.sentences[k]) for k in top]


def mistakes(study: Study, model: ModelName, count: int) -> Html:
    """Show the mistakes of which a model is most certain, and what bag of words said of them.

    Parameters
    ----------
    study
        With the model and bag of words.
    model
        Whose mistakes; its first seed.
    count
        How many of them.

    Returns
    -------
    Html
        A table, the most certain mistake first.
    """
    p, bag = study.probabilities(model)[0], study.probabilities("bag")[0]
    wrong = ((p > 0.5) != study.labels).nonzero()[:, 0]
    certain = wrong[(p[wrong] - 0.5).abs().argsort(descending=True, stable=True)][:count]
    rows = (
        f'<td class="sentence">{html.escape(" ".join(study.data.splits.test.sentences[k]))}</td>'
        f"<td>{'positive' if study.labels[k] else 'negative'}</td>"
        f"<td>{p[k]:.3f}</td><td>{bag[k]:.3f}</td>"
        for k in certain.tolist()
    )
    return framed(
        ("Sentence", "Label", NAMES[model], "Bag of words"),
        rows,
        f"The {len(certain)} most certain mistakes of {NAMES[model]}",
    )
