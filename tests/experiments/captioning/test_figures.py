"""The captioning page's tables, figures and pictures, of small networks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawing import axes_of
from PIL import Image
from tags import Tags

from rnnreport.experiments.captioning import figures as captioning_figures
from rnnreport.experiments.captioning import study as captioning_study
from rnnreport.experiments.captioning.figures import (
    attention_maps,
    captions_gallery,
    captions_table,
    cider_figure,
    differences_table,
    facts,
    gates_figure,
    gradient_facts,
    gradients_figure,
    learning_curves,
    literature_table,
    measures_table,
    results_table,
    settings_table,
    stock_words_table,
    verdict,
)
from rnnreport.experiments.captioning.gradients import GradientsConfig
from rnnreport.experiments.captioning.gradients import run as measure_gradients
from rnnreport.experiments.captioning.settings import WAYS, CaptionConfig
from rnnreport.experiments.captioning.study import NAMES, WAY_NAMES, Difference, Study
from rnnreport.experiments.captioning.trained import TrainedCaptioner
from rnnreport.names import CELLS
from rnnreport.show.figures import overlay


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """Two seeds of each network on a few scenes, hardly trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNREPORT_STORE", str(tmp_path_factory.mktemp("store")))
        patch.delenv("RNNREPORT_PROFILE", raising=False)
        patch.setattr("joblib.cpu_count", lambda: 1)
        base = CaptionConfig(
            profile="sample",
            n_train=40,
            n_val=4,
            n_test=8,
            wordvec_dim=16,
            hidden_dim=24,
            dropout=0.0,
            min_count=1,
            epochs=3,
            batch_size=20,
            learning_rate=0.02,
        )
        yield captioning_study.study(
            chosen=[replace(base, cell_type=cell, seed=seed) for cell in CELLS for seed in (0, 1)]
        )


def test_results_tables(study: Study) -> None:
    head, *lines = Tags(results_table(study).html).rows
    assert head == ["", "CIDEr", "95 % interval", "BLEU-4", "95 % interval", "CIDEr of each seed"]
    assert len(lines) == len(CELLS) * len(WAYS)
    row = study.row("lstm", "beam")
    low, high = row.intervals["cider"]
    line = next(line for line in lines if line[0] == "LSTM, beam")
    assert line[1:4] == [
        f"{row.scores.cider:.3f}",
        f"{low:.3f} – {high:.3f}",
        f"{row.scores.bleu_4:.3f}",
    ]
    assert line[5] == ", ".join(f"{value:.3f}" for value in row.ciders)
    head, *lines = Tags(measures_table(study).html).rows
    assert head[1:] == ["ROUGE-L", "In training", "Exact", "Unsupported", "Unchanged"]
    line = next(line for line in lines if line[0] == "LSTM, beam")
    assert line[1:] == [
        f"{row.scores.rouge_l:.3f}",
        f"{100 * row.in_training:.0f} %",
        f"{row.exact:.1f}",
        f"{100 * row.unsupported:.0f} %",
        "–",  # drawn scenes are not stored smaller
    ]
    head, *lines = Tags(literature_table(study).html).rows
    assert head == ["", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]
    assert lines[0] == ["Google NIC", "0.630", "0.410", "0.270", "–"]
    assert next(line for line in lines if line[0] == "LSTM, beam")[1:] == [
        f"{value:.3f}" for value in row.scores.bleu
    ]
    _, *lines = Tags(stock_words_table(study, "lstm", 3).html).rows
    captions, references = study.captions("lstm", "beam")[0], study.references("test")
    for word, said, supported in lines:
        holding = [k for k, caption in enumerate(captions) if word in caption]
        assert int(said) == len(holding)
        assert int(supported) == sum(
            any(word in reference for reference in references[k]) for k in holding
        )
    head, *lines = Tags(settings_table(study).html).rows
    assert [line[0] for line in lines] == list(NAMES.values())
    assert lines[0][1] == f"{study.first.metrics['num_parameters']:,}"


def test_differences(study: Study) -> None:
    _, *lines = Tags(differences_table(study).html).rows
    assert [line[0] for line in lines] == [
        f"{pair}, {WAY_NAMES[way].lower()}"
        for pair in ("LSTM − RNN", "Attention − LSTM")
        for way in WAYS
    ]
    first = study.differences[0]
    assert lines[0][1] == f"{first.difference:+.3f}".replace("-", "−")
    made_up = (
        Difference("lstm", "rnn", "beam", 0.1, (0.05, 0.2), float("nan")),
        Difference("attention", "lstm", "beam", -0.1, (-0.2, -0.01), 0.5),
        Difference("lstm", "rnn", "greedy", 0.1, (-0.05, 0.2), 1.2),
    )
    other = Study(study.load, study.results)
    vars(other)["differences"] = made_up  # where the property keeps them
    assert verdict(other).label == (
        "Greedy: the LSTM and the RNN cannot be told apart. "
        "Beam: the LSTM is better than the RNN; the LSTM is better than the LSTM with attention."
    )
    vars(other)["differences"] = (made_up[2], replace(made_up[2], way="beam"))
    assert verdict(other).label == "Greedy, beam: the LSTM and the RNN cannot be told apart."
    vars(other)["differences"] = made_up
    _, *lines = Tags(differences_table(other).html).rows
    assert [line[3] for line in lines] == ["–", "0.50", "1.20"]
    assert [line[2] for line in lines][1] == "−0.200 – −0.010"


def test_cider_figure(study: Study) -> None:
    figure = cider_figure(study)
    for row in study.rows:
        assert f"{WAY_NAMES[row.way].lower()} {row.scores.cider:.2f}" in figure.alt
    ax = axes_of(figure)
    means = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert means == [row.scores.cider for row in study.rows]
    heights = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert heights == [7, 6, 4, 3, 1, 0]  # read from the top
    assert [text.get_text() for text in ax.texts] == list(NAMES.values())


def test_learning_curves(study: Study) -> None:
    figure = learning_curves(study)
    axes = axes_of(figure)
    for ax, results in zip(axes, study.results.values(), strict=True):
        train, val, best = ax.lines
        for line, part in ((train, "train_loss"), (val, "val_loss")):
            mean = np.mean([result.history[part] for result in results], axis=0)
            assert line.get_ydata() == pytest.approx(mean)
            assert list(line.get_xdata()) == [1, 2, 3]
        assert list(best.get_ydata()) == [result.metrics["val_loss"] for result in results]
    assert figure.alt.count("validation") == len(CELLS)


def test_seeds_that_end_earlier_end_the_curve(study: Study) -> None:
    shorter = []
    for k, result in enumerate(study.results["rnn"]):
        history = {name: values[: 2 + k] for name, values in result.history.items()}
        shorter.append(replace(result, history=history))
    axes = axes_of(learning_curves(Study(study.load, {"rnn": tuple(shorter)})))
    assert len(axes.lines[0].get_xdata()) == 2


def test_captions_gallery(study: Study) -> None:
    gallery = captions_gallery(study, "test", [2, 0])
    truths = [" ".join(study.references("test")[k][0]) for k in (2, 0)]
    images = Tags(gallery.html).named("img")
    assert [image["alt"] for image in images] == [f"A drawn scene: {truth}" for truth in truths]
    for cell in CELLS:
        score = study.ciders(cell, "beam")[2]
        caption = " ".join(study.captions(cell, "beam")[0][2])
        name = "Attention" if cell == "attention" else NAMES[cell]
        assert f"<dt>{name}</dt><dd>{caption} ({score:.2f})</dd>" in gallery.html
    assert "(0." not in captions_gallery(study, "train", range(2)).html


def test_captions_table(study: Study) -> None:
    _, *lines = Tags(captions_table(study).html).rows
    order = study.order("attention", "beam")
    chosen = [*order[:2], *order[3:5], *order[-2:]]
    assert [len(line) for line in lines] == [1, 3, 3, 3] * 6
    for place, k in enumerate(chosen):
        assert study.names("test")[k] in lines[4 * place][0]
        for cell, line in zip(CELLS, lines[4 * place + 1 : 4 * place + 4], strict=True):
            caption = " ".join(study.captions(cell, "beam")[0][k])
            assert line[1:] == [caption, f"{study.ciders(cell, 'beam')[k]:.2f}"]


def test_link_to_a_photograph() -> None:
    link = captioning_figures._photograph("3363750526_efcedc47a9.jpg")
    assert Tags(link).named("a")[0]["href"] == "https://www.flickr.com/photo.gne?id=3363750526"
    assert captioning_figures._photograph("scene-1.png") == "scene-1.png"


def test_facts(study: Study) -> None:
    together = study.row("attention", "beam")
    told = facts(study, together)
    assert told["n-train"] == "40"
    assert told["uniform"] == f"{1 / 36:.2f}"
    assert told["cider-lstm"] == f"{study.row('lstm', 'beam').scores.cider:.3f}"
    assert told["seeds"] == "2"
    assert told["feature-dropout"] == ", and 0.3 of the features"
    assert told["vocabulary"].endswith("words: every word of the training captions")
    by_people = {word for one in study.references("test") for words in one for word in words}
    assert told["used-by-people"] == str(len(by_people))
    of_seeds = [
        len({word for words in each for word in words})
        for each in study.captions("attention", "beam")
    ]
    assert told["used"] == f"{sum(of_seeds) / 2:.0f}"


def test_attention_maps(study: Study) -> None:
    written = study.captions("attention", "beam")[0]
    rows = [k for k, words in enumerate(written) if words][:2]
    maps = attention_maps(study, rows)
    images = Tags(maps.html).named("img")
    assert len(images) == sum(len(written[k]) + 1 for k in rows)
    captioner = TrainedCaptioner(study.results["attention"][0])
    picture = study.data.image(study.names("test")[rows[0]])
    captions = captioner.vocabulary.encode([written[rows[0]]], 43)
    weights = captioner.model.trace(captioner.features([picture]), captions).weights
    assert weights is not None
    captioned = re.findall("<figcaption>(.*?)</figcaption>", maps.html)
    assert captioned[0] == "the image"
    # The weights of the first word are those at <START>.
    for place, word in enumerate(written[rows[0]]):
        assert captioned[place + 1] == f"{word} {float(weights[place].max()):.2f}"


@pytest.mark.parametrize(
    ("place", "words"),
    [(0, "top left"), (5, "top right"), (21, "middle centre"), (35, "bottom right")],
)
def test_where_attention_is(place: int, words: str) -> None:
    weights = torch.full((36,), 0.01)
    weights[place] = 0.65
    assert captioning_figures._where(weights) == f"the largest weight, 0.65, is at the {words}"
    picture = Image.new("RGB", (150, 150), "blue")
    lit = np.asarray(
        overlay(picture, captioning_figures._on_grid(weights), grey=0.4, tint=0.4), float
    )
    colour = lit[..., 2] - lit[..., 1]  # what is dimmed is grey
    down, across = np.unravel_index(colour.argmax(), colour.shape)
    assert (down // 25, across // 25) == divmod(place, 6)


def test_gates_figure(study: Study) -> None:
    row = next(k for k, words in enumerate(study.captions("lstm", "beam")[0]) if words)
    words = study.captions("lstm", "beam")[0][row]
    figure = gates_figure(study, row)
    assert f"“{' '.join(words)}”" in figure.alt
    top, bottom = axes_of(figure)
    captioner = TrainedCaptioner(study.results["lstm"][0])
    features = captioner.features([study.data.image(study.names("test")[row])])
    gates = captioner.model.trace(
        features, captioner.vocabulary.encode([words], len(words) + 2)
    ).gates
    assert gates is not None
    means = gates[:, 0].abs().mean(2).T.numpy()
    assert np.asarray(top.images[0].get_array()) == pytest.approx(means)
    assert [tick.get_text() for tick in bottom.get_xticklabels()] == ["‹start›", *words]
    medians = bottom.lines[0].get_ydata()
    assert medians == pytest.approx(gates[:, 0, 0].quantile(0.5, dim=1).numpy())


def test_gradients_figure(study: Study) -> None:
    results = [
        measure_gradients(GradientsConfig(CaptionConfig(**run.config), n_captions=3, distance=4))
        for run in (study.results[cell][0] for cell in ("rnn", "lstm"))
    ]
    told = gradient_facts(dict(zip(("rnn", "lstm"), results, strict=True)))
    assert (told["distance"], told["half-distance"], told["gradient-captions"]) == ("4", "2", "3")
    means = np.exp(np.log(results[1].details["norms"]["after"]["c"]).mean(1))
    assert told["left-lstm-after-c"] == f"{means[3]:.2g}"
    assert told["rate-lstm-c"] == f"{(means[3] / means[1]) ** 0.5:.2f}"
    figure = gradients_figure(results)
    before, after = axes_of(figure)
    assert [len(ax.lines) for ax in (before, after)] == [3, 3]
    for ax, when in ((before, "before"), (after, "after")):
        curves = [results[0].details["norms"][when]["h"]]
        curves += [results[1].details["norms"][when][state] for state in ("h", "c")]
        for line, norms in zip(ax.lines, curves, strict=True):
            assert line.get_ydata() == pytest.approx(np.exp(np.log(norms).mean(1)), rel=1e-5)
            assert list(line.get_xdata()) == [1, 2, 3, 4]
        assert ax.get_yscale() == "log"
    assert "Before training: RNN ∂h_T/∂h_t" in figure.alt
    assert "LSTM ∂h_T/∂c_t" in figure.alt


def test_every_figure_is_drawn_in_both_styles(study: Study) -> None:
    row = next(k for k, words in enumerate(study.captions("lstm", "beam")[0]) if words)
    for figure in (cider_figure(study), learning_curves(study), gates_figure(study, row)):
        assert figure.svg("light") != figure.svg("dark")
