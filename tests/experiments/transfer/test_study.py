"""The tables and pictures of the page on transfer learning, of made-up answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from stored import store_result
from torch import Tensor

from rnnreport.experiments.significance import fisher, mcnemar, wilson
from rnnreport.experiments.transfer import choice as transfer_choice
from rnnreport.experiments.transfer import rate as transfer_rate
from rnnreport.experiments.transfer import study as transfer_study
from rnnreport.experiments.transfer.data import TransferData
from rnnreport.experiments.transfer.figures import (
    accuracy_figure,
    choice_table,
    confusion_table,
    grad_cam_gallery,
    learning_curves,
    mistakes,
    predictions,
    rate_table,
    results_table,
    settings_table,
)
from rnnreport.experiments.transfer.study import Study, least_difference
from rnnreport.experiments.transfer.training import TransferConfig, backbones_of
from rnnreport.names import BackboneName, Mode, ResolvedProfile
from rnnreport.runs.store import Outcome, Result
from rnnreport.show.figures import overlay
from rnnreport.show.html import Html

LABELS = (0,) * 5 + (1,) * 5


pytestmark = pytest.mark.usefixtures("store")


def make_result(
    mode: Mode,
    seed: int,
    wrong: Sequence[int],
    best: float,
    labels: Sequence[int],
    profile: ResolvedProfile = "sample",
    backbone: BackboneName = "efficientnet_lite1",
) -> Result:
    """Store a run that gets some images wrong; its certainty grows from 0.6 with their place."""
    count = len(labels)
    certainty = 0.6 + 0.03 * (torch.arange(count) % 10)
    truth = torch.tensor(labels)
    guesses = truth.clone()
    guesses[list(wrong)] = 1 - truth[list(wrong)]
    p = torch.where(guesses == 1, certainty, 1 - certainty)
    last = 1 - len(wrong) / count
    heat = torch.zeros(count, 3, 3)
    heat[:, 0, 2] = 1.0
    return store_result(
        "rnnreport.experiments.transfer.training",
        TransferConfig(mode=mode, seed=seed, profile="sample", backbone=backbone),
        data={
            "profile": profile,
            "fingerprint": "x",
            "wrong": list(wrong),
            "best": best,
            "labels": len(labels),
        },
        seeds={"model": seed},
        device="CPU",
        compute=lambda: Outcome(
            history={"val_accuracy": [best, last], "val_loss": [1, 1], "train_loss": [1, 1]},
            metrics={
                "last_accuracy": last,
                "best_accuracy": best,
                "best_epoch": 1,
                "num_parameters": 1234,
            },
            details={},
            tensors={"val_probability": torch.stack([1 - p, p], 1), "grad_cam": heat},
        ),
    )


def make_study(
    frozen: Sequence[Sequence[int]] = ((0, 1, 7), (0, 2)),
    finetuned: Sequence[Sequence[int]] = ((0,), (), (9,)),
    *,
    labels: Sequence[int] = LABELS,
    profile: ResolvedProfile = "sample",
    rates: bool = True,
    backbone: BackboneName = "efficientnet_lite1",
) -> Study:
    def runs(mode: Mode, wrong: Sequence[Sequence[int]]) -> tuple[Result, ...]:
        return tuple(
            make_result(mode, k, w, 1 - len(w) / 2 / len(labels), labels, profile, backbone)
            for k, w in enumerate(wrong)
        )

    pictures = tuple(
        Image.new("RGB", (30 + k % 7, 24), (20 * (k % 12), 90, 120)) for k in range(len(labels))
    )
    data = TransferData(
        profile, "pictures", pictures, pictures, torch.tensor(labels), torch.tensor(labels), ()
    )
    results: dict[Mode, tuple[Result, ...]] = {
        "frozen": runs("frozen", frozen),
        "finetuned": runs("finetuned", finetuned),
    }
    first = results["frozen"][0]
    table = [
        {"size": 32, "decay": 0.1, "loss": 0.5, "accuracy": 0.8},
        {"size": 32, "decay": 0.01, "loss": 0.4, "accuracy": 0.9},
    ]
    choice = replace(first, metrics={"size": 32, "decay": 0.01}, details={"table": table})
    tried = [{"rate": r, "loss": loss, "accuracy": 0.5} for r, loss in ((1e-2, 0.3), (1e-3, 0.7))]
    rate = replace(first, metrics={"rate": 1e-2}, details={"table": tried if rates else []})
    return Study(lambda: data, results, choice, rate)


def cells(element: Html) -> list[list[str]]:
    """Return the text of the cells of a table's body."""
    body = element.html.split("<tbody>")[1]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in body.split("<tr>")[1:]]
    return [list(row) for row in rows]


def test_rows_by_hand() -> None:
    frozen, finetuned = make_study().rows
    assert (frozen.mode, finetuned.mode) == ("frozen", "finetuned")
    assert frozen.last == pytest.approx((0.7, 0.8))
    assert frozen.best == pytest.approx((0.85, 0.9))
    assert frozen.last_mean == pytest.approx(0.75)
    assert frozen.best_mean == pytest.approx(0.875)
    assert frozen.last_interval == wilson(8, 10)
    assert frozen.best_interval == wilson(9, 10)
    assert finetuned.last == pytest.approx((0.9, 1.0, 0.9))
    assert (frozen.source, frozen.source_interval, frozen.p_source) == (None, None, None)


def test_the_source_stands_only_beside_its_own_images() -> None:
    labels = (0,) * 70 + (1,) * 83
    assert make_study(profile="full").rows[0].source is None  # ten images are not the source's
    assert make_study(labels=labels).rows[0].source is None
    frozen, finetuned = make_study(
        [range(8), range(4)], [range(30)], labels=labels, profile="full"
    ).rows
    assert frozen.source == 146 / 153
    assert finetuned.source == 143 / 153
    assert finetuned.source_interval == wilson(143, 153)
    assert frozen.p_source == fisher(150, 146, 153)


def test_right_and_wrong() -> None:
    study = make_study()
    assert study.probabilities["frozen"].shape == (2, 10, 2)
    assert study.grad_cam["finetuned"].shape == (3, 10, 3, 3)
    assert study.right("frozen").sum(1).tolist() == [7, 8]
    assert study.wrong_counts("frozen").tolist() == [2, 1, 1, 0, 0, 0, 0, 1, 0, 0]
    assert study.confusion("frozen").tolist() == [[3.0, 2.0], [0.5, 4.5]]
    assert study.confusion("finetuned").sum().item() == pytest.approx(10)
    first, second = study.p_of_ways()  # as many as both have seeds
    assert first == mcnemar(study.right("frozen")[0], study.right("finetuned")[0]) == 0.5
    assert second == 0.5
    assert len(study.all_results) == 7


def test_the_least_difference() -> None:
    fewer = least_difference(146, 153)
    assert fisher(146, 146 - fewer, 153) < 0.05 <= fisher(146, 147 - fewer, 153)
    assert 8 <= fewer <= 13
    assert least_difference(150, 153, p=1e-6) > least_difference(150, 153)
    with pytest.raises(ValueError, match="1 of 5 is too few"):
        least_difference(1, 5)


def test_the_two_numbers_of_the_source_cannot_be_told_apart() -> None:
    # The probabilities of all tables with these margins, added up where not above this one's.
    ways = [
        torch.lgamma(torch.tensor(154.0, dtype=torch.float64)) * 2
        - sum(
            torch.lgamma(torch.tensor(float(v + 1), dtype=torch.float64))
            for v in (a, 153 - a, 289 - a, 153 - 289 + a)
        )
        for a in range(136, 154)
    ]
    weights = torch.stack([torch.as_tensor(way) for way in ways]).softmax(0)
    here = weights[146 - 136]
    by_hand = float(weights[weights <= here * (1 + 1e-9)].sum())
    assert fisher(146, 143, 153) == pytest.approx(by_hand, rel=1e-6)
    assert by_hand > 0.5


# Tables and figures


def test_results_table() -> None:
    rows = cells(results_table([make_study(), make_study(backbone="mobilenet_v2")]))
    assert [row[0] for row in rows] == [
        f"{network}, {way}, {rule} epoch"
        for network in ("EfficientNet-Lite1", "MobileNetV2")
        for way in ("frozen", "fine-tuned")
        for rule in ("last", "best")
    ]
    assert rows[0][1:] == ["0.7500", "0.0707", "0.4902 – 0.9433"]
    labels = (0,) * 70 + (1,) * 83
    study = make_study([range(8)], [range(9)], labels=labels, profile="full")
    element = results_table([study, study])
    assert "p against the source" in element.html
    frozen, best, *_, source, _ = cells(element)
    assert len(cells(element)) == 10  # the source's two rows stand there once
    assert source[0] == "ResNet-18 of the source, frozen, best epoch"
    assert (frozen[4], source[1], source[4]) == ("–", "0.9542", "–")
    assert best[4].startswith("&lt; 10") or float(best[4]) < 1
    assert "of the source" not in results_table([make_study()]).html


def test_tables_mark_what_was_chosen() -> None:
    study = make_study()
    assert cells(choice_table([study])) == [
        ["EfficientNet-Lite1, 32 px, 0.1", "0.5000", "0.8000"],
        ["EfficientNet-Lite1, 32 px, 0.01 – chosen", "0.4000", "0.9000"],
    ]
    names = [f"EfficientNet-Lite1, {rate}" for rate in ("0.01 – chosen", "0.001")]
    assert [row[0] for row in cells(rate_table([study]))] == names
    assert "0.01 here, without a choice" in rate_table([make_study(rates=False)]).html
    assert cells(settings_table([study]))[1][:5] == [
        "EfficientNet-Lite1, fine-tuned", "1,234", "2", "1, 1, 1", "3",
    ]  # fmt: skip
    both = [study, make_study(backbone="mobilenet_v2")]
    for make, count in ((choice_table, 4), (rate_table, 4), (settings_table, 4)):
        assert len(cells(make(both))) == count
    assert cells(confusion_table(study))[0] == ["Frozen: ants", "3.0", "2.0"]
    assert cells(confusion_table(study))[3] == ["Fine-tuned: bees", "0.3", "4.7"]


@pytest.mark.parametrize("profile", ["sample", "full"])
def test_figures_are_drawn_and_told(profile: ResolvedProfile) -> None:
    labels = (0,) * 70 + (1,) * 83 if profile == "full" else LABELS
    study = make_study(labels=labels, profile=profile)
    accuracy = accuracy_figure([study])
    assert ("The source, frozen 95.4 (90.9 to 97.8)" in accuracy.alt) == (profile == "full")
    assert "Lite1, frozen, last epoch 7" in accuracy.alt or profile == "full"
    curves = learning_curves([study, make_study(backbone="mobilenet_v2")])
    assert curves.alt.count("in 2 epochs") == 4
    for figure in (accuracy, curves):
        for style in ("light", "dark"):
            assert figure.svg(style).startswith("<?xml")


def captions(element: Html) -> list[list[str]]:
    return [re.findall(r"<dd>(.*?)</dd>", part) for part in element.html.split("<figure>")[1:]]


def test_predictions_show_both_classes() -> None:
    texts = captions(predictions(make_study(), 6))
    assert [caption[0] for caption in texts] == ["ant"] * 3 + ["bee"] * 3
    assert predictions(make_study(), 6).html == predictions(make_study(), 6).html
    assert all(re.fullmatch(r"(ant|bee), 0\.\d\d", text) for _, *rest in texts for text in rest)


def test_mistakes_come_by_how_many_runs_make_them() -> None:
    texts = captions(mistakes(make_study(), 9))
    assert len(texts) == 5  # 0, 1, 2, 7 and 9
    assert texts[0] == ["ant", "bee, 0.60; wrong 2 of 2", "bee, 0.60; wrong 1 of 3"]
    assert [caption[0] for caption in texts] == ["ant", "ant", "ant", "bee", "bee"]
    assert len(captions(mistakes(make_study(), 2))) == 2
    assert "No run gets" in mistakes(make_study([()], [()]), 9).html


def test_maps_are_shown_by_rule() -> None:
    study = make_study()
    texts = captions(grad_cam_gallery(study))
    assert [caption[0] for caption in texts] == [
        "ant (most certain hit)",
        "ant (least certain hit)",
        "ant (most certain mistake)",
        "bee (most certain hit)",
        "bee (least certain hit)",
        "bee (most certain mistake)",
    ]
    # Certainty grows with the place: of the ants 2, 3 and 4 are hits, 0 and 1 mistakes.
    assert [caption[1] for caption in texts] == [
        "ant, 0.72", "ant, 0.66", "bee, 0.63", "bee, 0.87", "bee, 0.75", "ant, 0.81",
    ]  # fmt: skip
    without = captions(grad_cam_gallery(make_study([()], [()])))
    assert not any("mistake" in caption[0] for caption in without)


def test_what_speaks_is_brighter() -> None:
    heat: Tensor = torch.zeros(3, 3)
    heat[0, 2] = 5.0
    picture = overlay(Image.new("RGB", (30, 30), (120, 120, 120)), heat, grey=0.45, tint=0.28)
    assert sum(picture.getpixel((27, 2))) > 1.8 * sum(picture.getpixel((2, 27)))  # type: ignore[arg-type]
    nothing = overlay(Image.new("RGB", (30, 30)), torch.zeros(3, 3), grey=0.45, tint=0.28)
    assert nothing.size == (30, 30)


def test_a_study_runs_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def pretend(_: object, configs: Sequence[TransferConfig], *, label: str) -> list[Result]:
        assert label == "ants and bees"
        asked.extend((config.mode, config.seed) for config in configs)
        return [make_result(config.mode, config.seed, (), 1.0, LABELS) for config in configs]

    monkeypatch.setattr("rnnreport.experiments.study.results", pretend)
    for module in (transfer_choice, transfer_rate):
        monkeypatch.setattr(module, "run", lambda _: make_result("frozen", 9, (), 1.0, LABELS))
    monkeypatch.setattr(transfer_study, "transfer_data", lambda *_: make_study().data)
    study = transfer_study.study(profile="sample")
    assert asked == [("frozen", k) for k in range(5)] + [("finetuned", k) for k in range(3)]
    assert [len(results) for results in study.results.values()] == [5, 3]


@pytest.mark.parametrize("weights", [None, Path("weights.pth")])
def test_a_second_network_is_studied_where_it_is_there(
    monkeypatch: pytest.MonkeyPatch, weights: Path | None
) -> None:
    monkeypatch.setattr("rnnreport.experiments.transfer.training.find", lambda _: weights)
    assert backbones_of("sample") == ("efficientnet_lite1",)
    more = () if weights is None else ("mobilenet_v2",)
    assert backbones_of("full") == ("efficientnet_lite1", *more)
    monkeypatch.setattr(transfer_study, "resolve", lambda *_: "full")
    monkeypatch.setattr(transfer_study, "study", lambda _, backbone: make_study(backbone=backbone))
    assert tuple(each.backbone for each in transfer_study.studies("full")) == backbones_of("full")
