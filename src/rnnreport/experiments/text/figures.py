"""Tables, figures and coloured sentences of the text page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rnnreport.asked import VECTORS_DIM
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.experiments.significance import mcnemar
from rnnreport.experiments.text.data import text_data
from rnnreport.experiments.text.live_figure import LiveLSTM
from rnnreport.experiments.text.study import (
    NAMES,
    OWN,
    SOURCE_CORPUS,
    Row,
    SizeRow,
    Sizes,
    Study,
    origin,
    source_fixed,
)
from rnnreport.experiments.text.trained import TrainedClassifier
from rnnreport.layers import cooccurrences
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
from rnnreport.show.tables import (
    Table,
    duration_text,
    framed,
    interval_text,
    p_text,
    share_text,
    span_text,
    table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure

__all__ = [
    "accuracy_by_kind",
    "accuracy_by_length",
    "accuracy_figure",
    "disagreements",
    "facts",
    "kinds_table",
    "language_facts",
    "learning_curves",
    "live_facts",
    "mistakes",
    "negations_table",
    "neighbour_facts",
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
_BEST: ModelName = "pretrained"  # whose average is best on the dev sentences
_NEGATIONS = frozenset({"not", "n't"})
_FOR, _AGAINST = "#3b8fc9", "#d9772b"  # as the coloured words, on light pages and on dark ones
_CERTAIN = 0.01  # below this p-value the page calls a difference more than chance


def results_table(study: Study) -> Table:
    """Lay out each model's accuracy, with the source's numbers where the data is the source's.

    The last line is the average of the pretrained models of all seeds.
    """
    compared = study.profile == "full"
    head = ["", "Test accuracy", "± over seeds", "95 % interval", "p against bag of words"]
    head += ["The source", "p against the source"] if compared else []
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
    runs = len(study.results[_BEST])
    accuracy, interval, p_bag = study.committee_row(_BEST)
    cells = [f"{accuracy:.4f}", "–", interval_text(interval), p_text(p_bag)]
    cells += ["–", "–"] if compared else []
    lines.append((f"All {runs} pretrained models, averaged", cells))
    return table(head, lines, "Test accuracy of each model")


def settings_table(study: Study) -> Html:
    """Lay out how large each model is and how it was trained."""
    head = ["", "Trained parameters", "Learning rate", "Best epoch", "Time per run"]
    lines = []
    for model, results in study.results.items():
        first = results[0]
        epochs = [int(result.metrics["best_epoch"]) for result in results]
        cells = [
            f"{first.metrics['num_parameters']:,}",
            f"{first.config['learning_rate']:g}",
            f"{span_text(epochs)} of {first.config['epochs']}",
            f"{_seconds(results):.0f} s",
        ]
        lines.append((NAMES[model], cells))
    return table(head, lines, "Size and training of each model")


def _seconds(results: Sequence[Result]) -> float:
    """Return how long a run took, the mean of some."""
    return statistics.fmean(result.wall_time for result in results)


def kinds_table(study: Study, models: Sequence[ModelName]) -> Html:
    """Lay out the accuracy of each model by the construction of sentences, with an example each."""
    test = study.data.splits.test
    names = [NAMES[model] for model in models]
    lines = []
    for kind, row in accuracy_by_kind(study, models).items():
        pairs = zip(test.sentences, test.kinds, strict=True)
        example = min((" ".join(words) for words, of in pairs if of == kind), key=len)
        accuracies = (f"{row[name]:.2f}" for name in names)
        lines.append((kind, [f"{row['sentences']:,.0f}", *accuracies, example]))
    head = ["Construction", "Sentences", *names, "Example"]
    return table(head, lines, "Test accuracy by construction")


def verdict(study: Study) -> Html:
    """Say in words which differences are more than chance."""
    rows = study.rows
    (bag,) = (row for row in rows if row.model == "bag")
    compared = [(row, row.p_bag, bag.mean) for row in rows if row.p_bag is not None]
    first = f"Compared with bag of words on the same {len(study.labels):,} test sentences, "
    first += f"{_in_words(compared)}. A difference counts where p < {_CERTAIN} with every seed."
    paragraphs = [first]
    sourced = [
        (row, row.p_source, row.source)
        for row in rows
        if row.p_source is not None and row.source is not None
    ]
    if sourced:
        paragraphs.append(
            f"Compared with the source's accuracies, {_in_words(sourced)}. A difference counts "
            f"where p < {_CERTAIN}."
        )
    return Html(joined(*(tag("p", text) for text in paragraphs)), " ".join(paragraphs))


def _in_words(compared: Sequence[tuple[Row, float, float]]) -> str:
    """Say which of some rows differ from a number, each with its p-value and that number."""
    better, worse, alike = "{} better", "{} worse", "cannot be told apart"
    groups: dict[str, list[str]] = {better: [], worse: [], alike: []}
    for row, p, other in compared:
        group = alike if p >= _CERTAIN else better if row.mean > other else worse
        groups[group].append(f"“{row.name}”")
    return "; ".join(
        f"{_listed(names)} {words.format('are' if len(names) > 1 else 'is')}"
        for words, names in groups.items()
        if names
    )


def _listed(words: Sequence[str]) -> str:
    """Write words in a row, the last one after “and”."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


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
            " Below a line stands the source's accuracy, with an interval of its own."
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
        xlabel="numbers per word (log scale)",
        ylabel="test accuracy, %",
        alt="Test accuracy in per cent of fixed word vectors, averaged, by the numbers per word, "
        f"with 95 % intervals. {told}.",
        panels=[Panel(lines, bars=bars)],
        markers=True,
        doublings=True,
    ).plot()


def sizes_table(sizes: Sizes) -> Table:
    """Lay out the test accuracy of fixed word vectors, and how many words have one."""
    head = [
        "Numbers per word",
        "Test accuracy",
        "95 % interval",
        "Words with a vector",
        "Text with a vector",
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
    """Say in words what larger vectors bring."""
    by_corpus = {corpus: list(rows) for corpus, rows in groupby(sizes.rows, lambda row: row.corpus)}
    sentences = []
    for corpus, rows in by_corpus.items():
        steps: list[str] = []
        for smaller, larger in pairwise(rows):
            numbers, points = ("", "") if steps else (" numbers per word", " points of accuracy")
            gain = f"{100 * (larger.mean - smaller.mean):.1f}{points}".replace("-", "−")
            steps.append(f"from {smaller.size} to {larger.size}{numbers} adds {gain}")
        if steps:
            sentences.append(f"{corpus}: going {_listed(steps)}.")
    official, own = by_corpus.get(SOURCE_CORPUS, []), by_corpus.get(OWN, [])
    if sizes.profile == "full" and len(official) > 1 and official[-1].size < VECTORS_DIM:
        last, (found, _) = official[-1], source_fixed(len(sizes.data.test))
        ahead = last.mean + math.log2(VECTORS_DIM / last.size) * _gain(*official[-2:])
        guess = f"{ahead:.3f} with {VECTORS_DIM} numbers if every doubling brought as much as the "
        guess += "last one"
        by_size = {row.size: row.mean for row in own}
        if {last.size, VECTORS_DIM} <= by_size.keys():
            like_own = last.mean + by_size[VECTORS_DIM] - by_size[last.size]
            guess += f", and {like_own:.3f} if they gained as much as the vectors trained here"
        sentences.append(
            f"{SOURCE_CORPUS} vectors would reach {guess}. The source reports {found:.3f}."
        )
    text = " ".join(sentences)
    return Html(tag("p", text), text)


def _gain(smaller: SizeRow, larger: SizeRow) -> float:
    """Return what a doubling of the size brings from one row to the next."""
    return (larger.mean - smaller.mean) / math.log2(larger.size / smaller.size)


def learning_curves(study: Study, models: Sequence[ModelName] = _SHORT_LIST) -> LinePlot:
    """Plot the validation accuracy after each epoch, the mean of the seeds."""
    curves = {NAMES[model]: study.mean_curve(model, "dev_accuracy", factor=100) for model in models}
    ends = ", ".join(
        f"{name} from {values[0]:.1f} to {values[-1]:.1f}" for name, (_, values) in curves.items()
    )
    return line_plot(
        curves,
        xlabel="epoch",
        ylabel="validation accuracy, %",
        alt=f"Validation accuracy by epoch, in per cent: {ends}.",
    )


def accuracy_by_length(study: Study, models: Sequence[ModelName] = _BY_LENGTH) -> LinePlot:
    """Plot the test accuracy by the number of words in a sentence, the mean of the seeds."""
    groups = _lengths(study)
    longest = int(study.data.test.lengths.max())
    curves = {}
    for model in models:
        right = study.right(model).double()
        curves[NAMES[model]] = (
            [(low + min(low + 1, longest)) / 2 for low in groups],
            [100 * right[:, group].mean().item() for group in groups.values()],
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


def _lengths(study: Study) -> dict[int, Tensor]:
    """Group the test sentences by pairs of lengths, so that each group is large enough.

    Returns masks of the sentences, (N,), by the smaller length.
    """
    lengths = study.data.test.lengths
    lows = range(int(lengths.min()), int(lengths.max()) + 1, 2)
    groups = {low: (lengths == low) | (lengths == low + 1) for low in lows}
    return {low: group for low, group in groups.items() if int(group.sum()) >= 30}


def negations_table(study: Study) -> Table:
    """Lay out the accuracy on sentences with a negation, with a “but” and with neither.

    Bag of words and the pretrained models answer by the averages of their runs.
    """
    bag, ours = ((study.committee(model) > 0.5) == study.labels for model in ("bag", _BEST))
    kinds = {"With “not” or “n't”": _NEGATIONS, "With “but”": frozenset({"but"})}
    groups = {
        name: torch.tensor([not words.isdisjoint(s) for s in study.data.splits.test.sentences])
        for name, words in kinds.items()
    }
    groups["With none of them"] = ~torch.stack(list(groups.values())).any(0)
    lines = []
    for name, group in groups.items():
        accuracies = (right[group].double().mean().item() for right in (bag, ours))
        cells = [
            f"{int(group.sum()):,}",
            f"{100 * study.labels[group].double().mean().item():.0f} %",
            *(f"{accuracy:.4f}" for accuracy in accuracies),
            p_text(mcnemar(ours[group], bag[group])),
        ]
        lines.append((name, cells))
    runs = len(study.results[_BEST])
    head = ["Test sentences", "Number", "Praise", NAMES["bag"], f"{runs} pretrained", "p"]
    return table(head, lines, "Test accuracy with a negation, with a turn and with neither")


def facts(study: Study) -> dict[str, str]:
    """Return the numbers of the page's sentences, by name."""
    found = {f"accuracy-{row.model}": f"{row.mean:.4f}" for row in study.rows}
    for model, results in study.results.items():
        found[f"parameters-{model}"] = f"{results[0].metrics['num_parameters']:,}"
        found[f"seconds-{model}"] = f"{_seconds(results):.0f} s"
    for model in ("bag", "rnn"):
        _, values = study.mean_curve(model, "dev_accuracy", factor=100)
        found[f"first-{model}"] = f"{values[0]:.1f} %"
        found[f"last-{model}"] = f"{max(values):.1f} %"
    for model in ("bag", "bilstm"):
        shares = [
            study.right(model)[:, group].double().mean() for group in _lengths(study).values()
        ]
        found[f"shortest-{model}"] = f"{100 * shares[0].item():.1f} %"
        found[f"longest-{model}"] = f"{100 * shares[-1].item():.1f} %"
    return {
        f"text-{name}": value
        for name, value in (found | _data_facts(study) | _mistake_facts(study)).items()
    }


def _data_facts(study: Study) -> dict[str, str]:
    """Return the numbers that describe sentences and word vectors."""
    train, test = study.data.splits.train, study.data.splits.test
    begun, fixed = study.results["lstm"][0], study.results["glove-fixed"][0]
    seen = set(train.sentences)
    again = torch.tensor([sentence in seen for sentence in test.sentences])
    negated = [
        label
        for sentence, label in zip(train.sentences, train.labels, strict=True)
        if not _NEGATIONS.isdisjoint(sentence)
    ]
    not_bad = [
        label
        for sentence, label in zip(train.sentences, train.labels, strict=True)
        if any(first in _NEGATIONS and then == "bad" for first, then in pairwise(sentence))
    ]
    return {
        "n-train": f"{len(train):,}",
        "n-test": f"{len(test):,}",
        "n-words": f"{len(study.data.vocabulary) - len(Vocabulary.SPECIAL):,}",
        "vectors": _origins(begun),
        "vectors-dim": str(begun.data["vectors_dim"]),
        "vectors-known": f"{begun.metrics['words_with_vector']:,}",
        "fixed": _origins(fixed),
        "again": f"{int(again.sum()):,}",
        "again-length": f"{study.data.test.lengths[again].double().mean().item():.1f}",
        "fresh-lstm": f"{study.right('lstm')[:, ~again].double().mean().item():.4f}",
        "negated": f"{len(negated):,}",
        "negated-praise": f"{100 * statistics.fmean(negated):.0f} %",
        "not-bad": f"{len(not_bad):,}",
        "not-bad-praise": f"{sum(not_bad):,}",
    }


def _origins(result: Result) -> str:
    """Say in words where the vectors of a run come from."""
    origins = [origin(file) for file in str(result.data["vectors"]).split(" beside ")]
    if None in origins:
        return str(result.data["vectors"])
    return _listed([f"{size} numbers of {corpus}" for corpus, size in filter(None, origins)])


def language_facts(study: Study, language: Result) -> dict[str, str]:
    """Return the numbers of the sentences about the language model, by name."""
    pairs = zip(study.right("pretrained"), study.right("bilstm"), strict=True)
    before, after = (
        statistics.fmean(result.metrics["dev_accuracy"] for result in study.results[model])
        for model in ("bilstm", "pretrained")
    )
    p = max(mcnemar(*pair) for pair in pairs)
    return {
        "text-language-verdict": (
            "So the test sentences tell the two apart."
            if p < _CERTAIN
            else "So the test sentences cannot tell the two apart."
        ),
        "text-language-dev-before": f"{before:.4f}",
        "text-language-dev-after": f"{after:.4f}",
        "text-language-epochs": str(language.config["epochs"]),
        "text-language-perplexity": f"{math.exp(language.metrics['dev_loss']):.0f}",
        "text-language-time": duration_text(language.wall_time),
        "text-language-p": p_text(p),
    }


def _mistake_facts(study: Study) -> dict[str, str]:
    """Return the numbers on the mistakes of the pretrained models, averaged and one by one."""
    p = study.committee(_BEST)
    wrong = (p > 0.5) != study.labels
    bag_wrong = (study.committee("bag") > 0.5) != study.labels
    always = ~study.right(_BEST).any(0)
    return {
        "accuracy-all": f"{study.committee_row(_BEST)[0]:.4f}",
        "n-all": str(len(study.results[_BEST])),
        "wrong": f"{int(wrong.sum()):,}",
        "wrong-certain": f"{int((wrong & ((p - 0.5).abs() > 0.45)).sum()):,}",
        "wrong-always": f"{int(always.sum()):,}",
        "wrong-always-bag": f"{int((always & bag_wrong).sum()):,}",
        "bag-alone": f"{int((wrong & ~bag_wrong).sum()):,}",
        "best-alone": f"{int((bag_wrong & ~wrong).sum()):,}",
    }


def live_facts(small: Result) -> dict[str, str]:
    """Return the numbers of the sentences about the LSTM inside the page, by name."""
    reader = LiveLSTM.of(small)
    good, not_good = (
        reader.read(f"the soup was {words}".split()) for words in ("good", "not good")
    )
    found = {
        "units": str(len(reader.tensors["w"])),
        "parameters": f"{small.metrics['num_parameters']:,}",
        "test": f"{small.metrics['test_accuracy']:.4f}",
    }
    for name, reading in (("good", good), ("not-good", not_good)):
        found[name] = f"{float(reading.probability[-1]):.2f}"
        found[f"cell-{name}"] = f"{float(reading.c[-1].mean()):+.2f}".replace("-", "−")
    return {f"text-live-{name}": value for name, value in found.items()}


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
        for ax, part, colour in ((axes[0], negative, _AGAINST), (axes[1], positive, _FOR)):
            ax.barh(range(len(part)), [abs(v) for _, v in part], color=colour, height=0.7)
            ax.set_yticks(range(len(part)), [word for word, _ in part])
            ax.grid(visible=False, axis="y")
            ax.set_axisbelow(True)
            ax.set_xlabel("size of the weight")
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
    lines = [
        (word, [", ".join(f"{neighbour} {cosine:.2f}" for neighbour, cosine in nearest[:count])])
        for word, nearest in _neighbours(result, words).items()
    ]
    return table(["Word", "Nearest words and their cosines"], lines, "Nearest words")


def neighbour_facts(result: Result) -> dict[str, str]:
    """Return the numbers of the sentences about word vectors trained here, by name."""
    data = text_data(result.data["profile"], result.config["data_seed"])
    nearest = dict(_neighbours(result, ["terrible"])["terrible"])
    n_words, window = len(data.vocabulary), result.config["window"]
    pairs = len(cooccurrences(data.train.words, data.train.lengths, n_words, window=window).rows)
    return {
        "own-sentences": f"{len(data.train):,}",
        "own-words": f"{n_words - len(Vocabulary.SPECIAL):,}",
        "own-tokens": f"{len(data.train.words):,}",
        "own-dim": str(result.config["dim"]),
        "own-window": str(window),
        "own-pairs": f"{pairs:,}",
        "own-pairs-share": share_text(pairs / (n_words - len(Vocabulary.SPECIAL)) ** 2),
        "own-x-max": f"{result.config['x_max']:g}",
        "own-epochs": str(result.config["epochs"]),
        "own-seconds": f"{result.wall_time:.0f} s",
    } | {f"own-terrible-{word}": f"{nearest[word]:.2f}" for word in ("horrible", "fantastic")}


def _neighbours(result: Result, words: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """Return for each known word all frequent ones and their cosines, the nearest first."""
    data = text_data(result.data["profile"], result.config["data_seed"])
    index = data.vocabulary.word_to_idx
    counts = torch.bincount(data.train.words, minlength=len(index))
    vectors = torch.nn.functional.normalize(load_tensors(result)["vectors"], dim=1)
    frequent = (counts >= 20).nonzero()[:, 0]
    nearest = {}
    for word in words:
        if word in index:
            others = frequent[frequent != index[word]]
            cosines = vectors[others] @ vectors[index[word]]
            order = cosines.argsort(descending=True, stable=True)
            nearest[word] = [
                (data.vocabulary.words[k], cosine)
                for k, cosine in zip(others[order].tolist(), cosines[order].tolist(), strict=True)
            ]
    return nearest


def strips(
    classifiers: Mapping[str, TrainedClassifier], sentences: Sequence[Sequence[str]]
) -> Html:
    """Show the probability after each word of some sentences, as coloured words.

    A single classifier is not named.
    """
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
            named = [tag("span", name, class_="strip-name")] if len(classifiers) > 1 else []
            lines.append(
                tag("div", *named, tag("span", *words, class_="strip-words"), class_="strip-line")
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
