"""Tables, figures and coloured sentences of the text page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import torch

from rnnreport.asked import VECTORS_DIM
from rnnreport.experiments.text.data import text_data
from rnnreport.experiments.text.study import (
    NAMES,
    SOURCE_CORPUS,
    Row,
    SizeRow,
    Sizes,
    Study,
    source_fixed,
)
from rnnreport.experiments.text.trained import TrainedClassifier
from rnnreport.names import ModelName
from rnnreport.runs.store import Result, load_tensors
from rnnreport.show.figures import Figure
from rnnreport.show.html import Html, joined, tag
from rnnreport.show.plots import (
    Curves,
    Interval,
    IntervalPlot,
    Intervals,
    Line,
    LinePlot,
    Panel,
    line_plot,
)
from rnnreport.show.tables import Table, framed, interval_text, p_text, span_text, table

if TYPE_CHECKING:
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
    "sizes_figure",
    "sizes_table",
    "sizes_verdict",
    "strips",
    "verdict",
    "word_weights",
    "words_figure",
]

_SHORT_LIST: tuple[ModelName, ...] = ("bag", "average", "rnn", "lstm")  # no more lines in a plot
_BY_LENGTH: tuple[ModelName, ...] = ("bag", "rnn", "lstm", "bilstm")
_NEIGHBOURS_OF = ("terrible", "delicious", "pizza", "waiter", "monday", "not")
_CERTAIN = 0.01  # below this p-value the page calls a difference more than chance


def results_table(study: Study) -> Table:
    """Lay out each model's accuracy, with the source's numbers where the data is the source's.

    The last line is the average of the LSTMs of all seeds.
    """
    compared = study.profile == "full"
    head = ["", "Test accuracy", "± of seeds", "95 % interval", "p against bag of words"]
    head += ["The source", "p against it"] if compared else []
    lines = []
    for row in study.rows:
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
    """Lay out how large each model is and how it was trained."""
    head = ["", "Parameters trained", "Learning rate", "Best epoch", "Time of a run"]
    lines = []
    for model, results in study.results.items():
        first = results[0]
        epochs = [int(result.metrics["best_epoch"]) for result in results]
        seconds = sum(result.wall_time for result in results) / len(results)
        cells = [
            f"{first.metrics['num_parameters']:,}",
            f"{first.config['learning_rate']:g}",
            f"{span_text(epochs)} of {first.config['epochs']}",
            f"{seconds:.0f} s",
        ]
        lines.append((NAMES[model], cells))
    return table(head, lines, "Size and training of each model")


def kinds_table(study: Study, models: Sequence[ModelName]) -> Html:
    """Lay out the test accuracy for each construction of the generated sentences."""
    kinds = accuracy_by_kind(study, models)
    names = [NAMES[model] for model in models]
    lines = [
        (kind, [f"{row['sentences']:.0f}", *(f"{row[name]:.2f}" for name in names)])
        for kind, row in kinds.items()
    ]
    return table(["Construction", "Sentences", *names], lines, "Test accuracy by construction")


def verdict(study: Study) -> Html:
    """Say in words which differences are more than chance."""
    rows = study.rows
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
        f"{_in_words(groups)}."
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
        paragraphs.append(f"Against the source, with p < {_CERTAIN}: {_in_words(groups)}.")
    return Html(joined(*(tag("p", text) for text in paragraphs)), " ".join(paragraphs))


def _beyond(p: float | None) -> bool:
    return p is not None and p < _CERTAIN


def _in_words(groups: Mapping[str, Sequence[Row]]) -> str:
    """Name the rows of each group, without empty groups."""
    return "; ".join(
        f"{' and '.join(f'“{row.name}”' for row in rows)} "
        + (words if len(rows) > 1 else words.replace("are ", "is ", 1))
        for words, rows in groups.items()
        if rows
    )


def accuracy_figure(rows: Sequence[Row]) -> IntervalPlot:
    """Plot the test accuracy of each model: its seeds, the interval of their mean, the source's."""
    ordered = sorted(rows, key=lambda row: row.mean)[::-1]
    numbers = "; ".join(
        f"{row.name} {100 * row.mean:.1f}"
        + (f" (the source: {100 * row.source:.1f})" if row.source is not None else "")
        for row in ordered
    )
    compared = any(row.source is not None for row in rows)
    return Intervals(
        [
            Interval(
                row.name,
                row.mean,
                row.interval,
                row.accuracies,
                reference=(row.source, row.source_interval)
                if row.source is not None and row.source_interval is not None
                else None,
            )
            for row in ordered
        ],
        xlabel="test accuracy, % (logit scale)",
        alt=f"Test accuracy in per cent with 95 % intervals, best first: {numbers}."
        + (
            " The source's numbers are drawn below each line with their own intervals."
            if compared
            else ""
        ),
        row_height=0.52,
        logit=True,
    ).plot()


def sizes_figure(sizes: Sizes) -> LinePlot:
    """Plot the test accuracy of fixed word vectors, averaged, over their size."""
    rows = [(row.corpus, row.size, row.mean, row.interval) for row in sizes.rows]
    if sizes.profile == "full":
        rows.append(("The source", VECTORS_DIM, *source_fixed(len(sizes.data.test))))
    lines: dict[str, Line] = {}
    bars: dict[str, Line] = {}
    for corpus in dict.fromkeys(corpus for corpus, *_ in rows):
        of_corpus = [row[1:] for row in rows if row[0] == corpus]
        places, values, intervals = zip(*of_corpus, strict=True)
        lines[corpus] = places, [100 * value for value in values]
        bars[corpus] = tuple([100 * end for end in ends] for ends in zip(*intervals, strict=True))
    told = "; ".join(
        f"{corpus}: "
        + ", ".join(f"{value:.1f} with {place}" for place, value in zip(*line, strict=True))
        for corpus, line in lines.items()
    )
    return Curves(
        xlabel="numbers a word (each doubling as wide)",
        ylabel="test accuracy, %",
        alt="Test accuracy of fixed word vectors, averaged, in per cent by how many numbers a word "
        f"has, with 95 % intervals. {told}.",
        panels=[Panel(lines, bars=bars)],
        markers=True,
        doublings=True,
    ).plot()


def sizes_table(sizes: Sizes) -> Table:
    """Lay out the test accuracy of fixed word vectors, and how many words have one."""
    head = [
        "Numbers a word",
        "Test accuracy",
        "95 % interval",
        "Words with a vector",
        "as they occur",
    ]
    lines = [
        (
            row.corpus,
            [
                str(row.size),
                f"{row.mean:.4f}",
                interval_text(row.interval),
                f"{100 * row.words:.1f} %",
                f"{100 * row.tokens:.1f} %",
            ],
        )
        for row in sizes.rows
    ]
    if sizes.profile == "full":
        accuracy, interval = source_fixed(len(sizes.data.test))
        cells = [str(VECTORS_DIM), f"{accuracy:.3f}", interval_text(interval), "–", "–"]
        lines.append(("The source", cells))
    return table(["", *head], lines, "Fixed word vectors, averaged")


def sizes_verdict(sizes: Sizes) -> Html:
    """Say in words what more numbers a word bring."""
    by_corpus = {corpus: list(rows) for corpus, rows in groupby(sizes.rows, lambda row: row.corpus)}
    sentences = []
    for corpus, rows in by_corpus.items():
        gains = [_gain(*pair) for pair in pairwise(rows)]
        if gains:
            points = " and ".join(f"{100 * gain:+.1f}".replace("-", "−") for gain in gains)
            steps = ", ".join(str(row.size) for row in rows)
            sentences.append(
                f"{corpus}, {steps} numbers: each doubling brings {points} points of accuracy."
            )
    official = by_corpus.get(SOURCE_CORPUS, [])
    if sizes.profile == "full" and len(official) > 1 and official[-1].size < VECTORS_DIM:
        last, (found, _) = official[-1], source_fixed(len(sizes.data.test))
        doublings = math.log2(VECTORS_DIM / last.size)
        ahead = last.mean + doublings * _gain(*official[-2:])
        sentences.append(
            f"Were the next doublings to bring as much as the last one, {VECTORS_DIM} numbers of "
            f"the same corpus would reach {ahead:.3f}. The source has {found:.3f} with them."
        )
    text = " ".join(sentences)
    return Html(tag("p", text), text)


def _gain(smaller: SizeRow, larger: SizeRow) -> float:
    """Return what a doubling of the size brings from one row to the next."""
    return (larger.mean - smaller.mean) / math.log2(larger.size / smaller.size)


def learning_curves(study: Study, models: Sequence[ModelName] = _SHORT_LIST) -> LinePlot:
    """Plot the accuracy on dev after each epoch, the mean of the seeds."""
    curves = {NAMES[model]: study.mean_curve(model, "dev_accuracy", factor=100) for model in models}
    ends = ", ".join(
        f"{name} from {values[0]:.1f} to {values[-1]:.1f}" for name, (_, values) in curves.items()
    )
    return line_plot(
        curves,
        xlabel="passes over the training sentences",
        ylabel="accuracy on dev, %",
        alt=f"Accuracy on dev by epoch, in per cent: {ends}.",
    )


def accuracy_by_length(study: Study, models: Sequence[ModelName] = _BY_LENGTH) -> LinePlot:
    """Plot the test accuracy by the number of words in a sentence, the mean of the seeds."""
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
    numbers = "; ".join(
        f"{name} {values[0]:.1f} for the shortest and {values[-1]:.1f} for the longest"
        for name, (_, values) in curves.items()
    )
    return line_plot(
        curves,
        xlabel="words in the sentence",
        ylabel="test accuracy, %",
        alt=f"Test accuracy by length of the sentence, in per cent: {numbers}.",
        markers=True,
    )


def accuracy_by_kind(study: Study, models: Sequence[ModelName]) -> dict[str, dict[str, float]]:
    """Return the number of ``"sentences"`` of each construction, and each model's test accuracy."""
    kinds = study.data.splits.test.kinds
    right = {model: study.right(model).double() for model in models}
    by_kind: dict[str, dict[str, float]] = {}
    for kind in sorted(dict.fromkeys(kinds), key=kinds.count, reverse=True):
        group = torch.tensor([k == kind for k in kinds])
        by_kind[kind] = {"sentences": int(group.sum())} | {
            NAMES[model]: right[model][:, group].mean().item() for model in models
        }
    return by_kind


def word_weights(study: Study) -> list[tuple[str, float]]:
    """Return the words that bag of words knows and their weights, from the most negative one.

    Words that are rare in training stay out: their weights rest on a handful of sentences.
    """
    least = max(5, len(study.data.train) // 2000)
    columns = [load_tensors(result)["model.weight"] for result in study.results["bag"]]
    weights = torch.cat(columns, dim=1).mean(1)
    counts = torch.bincount(study.data.train.words, minlength=len(weights))
    words = study.data.vocabulary.words
    pairs = [(words[k], float(weights[k])) for k in (counts >= least).nonzero()[:, 0].tolist()]
    return sorted(pairs, key=lambda pair: pair[1])


def words_figure(weights: Sequence[tuple[str, float]], count: int = 12) -> Figure:
    """Plot the most negative and the most positive words of :func:`word_weights`."""
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


def neighbours_table(
    result: Result, words: Sequence[str] = _NEIGHBOURS_OF, count: int = 6
) -> Table:
    """Lay out the nearest neighbours of some words by the cosine of their vectors.

    Words that the vocabulary does not have are left out; neighbours are words that stand at least
    twenty times in training.
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
            neighbours = ", ".join(
                f"{data.vocabulary.words[k]} {cosine:.2f}" for k, cosine in pairs
            )
            lines.append((word, [neighbours]))
    return table(["Word", "Nearest words and their cosines"], lines, "Nearest words")


def strips(
    classifiers: Mapping[str, TrainedClassifier], sentences: Sequence[Sequence[str]]
) -> Html:
    """Show the probability after each word of some sentences, as coloured words."""
    blocks = []
    for sentence in sentences:
        lines = []
        for name, classifier in classifiers.items():
            steps = zip(sentence, classifier.probabilities_by_word(sentence), strict=True)
            words = (
                tag(
                    "span",
                    word,
                    tag("small", f"{p:.2f}"),
                    class_=f"step {'for' if p > 0.5 else 'against'}",
                    style=f"--strength:{abs(2 * p - 1):.2f}",
                )
                for word, p in steps
            )
            lines.append(
                tag(
                    "div",
                    tag("span", name, class_="strip-name"),
                    tag("span", *words, class_="strip-words"),
                    class_="strip-line",
                )
            )
        label = " ".join(sentence)
        blocks.append(tag("div", *lines, class_="strip", role="group", aria_label=label))
    return Html(
        tag("div", *blocks, class_="strips"),
        f"Probability after each word of {len(sentences)} sentences",
    )


def disagreements(study: Study, first: ModelName, second: ModelName, count: int) -> list[list[str]]:
    """Return the test sentences on which two models differ most, the mean of the seeds."""
    gap = (study.committee(first) - study.committee(second)).abs()
    top = gap.argsort(descending=True, stable=True)[:count].tolist()
    return [list(study.data.splits.test.sentences[k]) for k in top]


def mistakes(study: Study, model: ModelName, count: int) -> Html:
    """Show the mistakes of which a model's first seed is most certain, beside bag of words."""
    p, bag = study.probabilities[model][0], study.probabilities["bag"][0]
    wrong = ((p > 0.5) != study.labels).nonzero()[:, 0]
    certain = wrong[(p[wrong] - 0.5).abs().argsort(descending=True, stable=True)][:count]
    rows = (
        joined(
            tag("td", " ".join(study.data.splits.test.sentences[k]), class_="sentence"),
            tag("td", "positive" if study.labels[k] else "negative"),
            tag("td", f"{p[k]:.3f}"),
            tag("td", f"{bag[k]:.3f}"),
        )
        for k in certain.tolist()
    )
    return framed(
        ("Sentence", "Label", NAMES[model], "Bag of words"),
        rows,
        f"The {len(certain)} most certain mistakes of {NAMES[model]}",
    )
