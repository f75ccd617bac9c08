"""What the text page shows of a study: figures, coloured sentences and tables."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from rnnreport.experiments.store import load_tensors
from rnnreport.experiments.text import ModelName, TrainedClassifier
from rnnreport.experiments.text_summary import NAMES, Row, Study
from rnnreport.figures import Figure, line_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MplFigure

__all__ = [
    "Html",
    "accuracy_by_kind",
    "accuracy_by_length",
    "accuracy_figure",
    "disagreements",
    "learning_curves",
    "mistakes",
    "strips",
    "word_weights",
    "words_figure",
]


@dataclass(frozen=True)
class Html:
    """A piece of a page that shows itself; `label` is what it says in plain text."""

    html: str
    label: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"Html({self.label!r})"


def accuracy_figure(rows: Sequence[Row]) -> Figure:
    """Plot the test accuracy of each model: its seeds, the interval of their mean, the source's.

    Parameters
    ----------
    rows
        From :meth:`~rnnreport.experiments.text_summary.Study.rows`.

    Returns
    -------
    Figure
        One line a model, the best at the top.
    """
    ordered = sorted(rows, key=lambda row: row.mean)

    def draw(_: MplFigure, ax: Axes) -> None:
        for y, row in enumerate(ordered):
            ax.plot([100 * v for v in row.interval], [y, y], color="C0", linestyle="-", lw=2)
            ax.plot(
                [100 * a for a in row.accuracies], [y] * len(row.accuracies), "|", color="C0", ms=9
            )
            ax.plot([100 * row.mean], [y], "o", color="C0", ms=6)
            if row.source is not None and row.source_interval is not None:
                low, high = (100 * v for v in row.source_interval)
                ax.plot([low, high], [y - 0.28] * 2, color="C1", linestyle="-", lw=1.2)
                ax.plot([100 * row.source], [y - 0.28], "D", color="C1", ms=5, mfc="none")
        ax.set_yticks(range(len(ordered)), [row.name for row in ordered])
        ax.set_ylim(-0.7, len(ordered) - 0.4)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("test accuracy, %")

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
            [low + 0.5 for low, _ in groups],
            [100 * right[:, group].mean().item() for _, group in groups],
        )
    told = "; ".join(
        f"{name} {values[0]:.1f} for the shortest and {values[-1]:.1f} for the longest"
        for name, (_, values) in curves.items()
    )
    return line_plot(
        curves,
        xlabel="words in the sentence (two lengths together)",
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
    table: dict[str, dict[str, float]] = {}
    for kind in sorted(set(kinds), key=kinds.count, reverse=True):
        group = torch.tensor([k == kind for k in kinds])
        table[kind] = {"sentences": int(group.sum())} | {
            NAMES[model]: right[model][:, group].mean().item() for model in models
        }
    return table


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
                f'<span class="step" style="--p:{p:.3f}"><b>{html.escape(word)}</b>'
                f"<i>{p:.2f}</i></span>"
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
    body = "".join(
        f'<tr><td class="sentence">{html.escape(" ".join(study.data.splits.test.sentences[k]))}'
        f"</td><td>{'positive' if study.labels[k] else 'negative'}</td>"
        f"<td>{p[k]:.3f}</td><td>{bag[k]:.3f}</td></tr>"
        for k in certain.tolist()
    )
    head = "".join(
        f'<th scope="col">{title}</th>'
        for title in ("Sentence", "Label", html.escape(NAMES[model]), "Bag of words")
    )
    return Html(
        '<div class="table-scroll" tabindex="0"><table class="table numbers">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>",
        f"The {len(certain)} most certain mistakes of {NAMES[model]}",
    )
