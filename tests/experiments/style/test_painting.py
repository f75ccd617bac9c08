"""Style transfer from end to end: on small drawn pictures, on made-up files, on real data."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from modules import modules_of
from PIL import Image
from real_data import needs
from tags import Tags

from rnnreport.bench import style as bench
from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.experiments import paintings
from rnnreport.experiments.style import figures as style_figures
from rnnreport.experiments.style import painting
from rnnreport.experiments.style import study as style_study
from rnnreport.experiments.style.painting import (
    TRADE_OFFS,
    StyleConfig,
    default_config,
    run,
    trade_off_configs,
)
from rnnreport.models.style import SETTINGS, Level, StyleSettings
from rnnreport.report.provenance import provenance
from rnnreport.runs.definitions import definitions
from rnnreport.runs.store import all_results, load_tensors
from rnnreport.samples.paintings import PAINTINGS
from rnnreport.show.tables import share_text

DRAWN = ("colliding_forms", "waving_sky", "swirling_night")
REAL = ("composition_vii", "the_scream", "starry_night")
TINY = (Level(32, 3), Level(40, 2))


def patches(generator: torch.Generator, size: Any) -> Image.Image:
    """Return a picture that takes no time to draw."""
    drawn = torch.randint(256, (6, 8, 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(drawn.numpy()).resize((4 * size // 3, size))


def clear_caches() -> None:
    paintings.style_data.cache_clear()
    paintings.feature_network.cache_clear()


pytestmark = pytest.mark.usefixtures("one_thread", "store")


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw small pictures."""
    monkeypatch.setattr(paintings, "_DRAWN_SIDE", 48)
    monkeypatch.setattr(paintings, "landscape", patches)
    cheap = {name: painting._replace(draw=patches) for name, painting in PAINTINGS.items()}
    monkeypatch.setattr(paintings, "PAINTINGS", cheap)
    monkeypatch.setattr(painting, "LEVELS", {"full": TINY, "sample": TINY})
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder with pictures in place of the source's."""
    folder = tmp_path / "data" / "styles"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for name in ("tubingen", *REAL):
        patches(generator, 48).save(folder / f"{name}.jpg")
    monkeypatch.setenv("RNNREPORT_DATA", str(folder.parent))
    return folder


def tiny(painting: str = "waving_sky", **changes: Any) -> StyleConfig:
    usual = default_config(painting, profile="sample")
    return replace(usual, snapshots=(1, 4), **changes)


def test_a_run_and_what_it_keeps() -> None:
    config = tiny()
    result = run(config)
    assert result.experiment == "style"
    assert result.config["painting"] == "waving_sky"
    assert result.config["network"] == "embedded"
    assert result.config["settings"] == {
        **asdict(SETTINGS["waving_sky"]), "style": [1.0, 1.0, 1.0],
    }  # fmt: skip
    assert result.data["name"] == "a drawn landscape and three drawn paintings"
    assert result.seeds == {"data": 0}
    assert result.history["short_side"] == [32] * 3 + [40] * 3
    assert all(len(series) == 6 for series in result.history.values())
    assert 0 < result.metrics["style_left"] < 1
    assert result.metrics["peak_memory"] > 2**20
    tensors = load_tensors(result)
    assert set(tensors) == {"image", "after_1", "after_4"}
    assert tensors["image"].dtype == torch.uint8
    assert tensors["image"].shape[0] == tensors["after_4"].shape[0] == 40
    assert tensors["after_1"].shape[0] == 32
    assert tensors["image"].shape[2] == 3
    assert run(config) == result
    assert len(all_results("style")) == 1


def test_everything_that_matters_makes_another_result() -> None:
    config = tiny()
    first = run(config)
    for changes in (
        {"settings": StyleSettings(content=0.5, variation=0.05)},
        {"levels": TINY[:1]},
        {"data_seed": 1},
    ):
        other = run(replace(config, **changes))
        assert other.key != first.key
        assert other.history["style"] != first.history["style"]


@pytest.mark.usefixtures("files")
def test_the_default_is_the_profiles() -> None:
    sample = default_config("waving_sky", profile="sample")
    assert (sample.profile, sample.network) == ("sample", "embedded")
    with pytest.raises(MissingDataError, match="the asset 'vgg19' is missing"):
        run(default_config("the_scream", profile="full"))
    full = default_config("the_scream", profile="full")
    assert (full.profile, full.network) == ("full", "vgg19")
    with pytest.raises(ValueError, match="painting must be one of composition_vii, the_scream"):
        default_config("waving_sky", profile="full")
    with pytest.raises(ValueError, match="painting must be one of colliding_forms"):
        default_config("the_kiss", profile="sample")
    with pytest.raises(ValueError, match="painting must be one of colliding_forms"):
        run(replace(sample, painting="the_scream"))


def test_trade_offs_differ_in_the_content_alone() -> None:
    configs = trade_off_configs("waving_sky", profile="sample")
    assert [config.settings.content for config in configs] == list(TRADE_OFFS)
    usual = default_config("waving_sky", profile="sample")
    for config in configs:
        same = replace(config.settings, content=usual.settings.content)
        assert same == usual.settings
        assert config.levels == TINY[:-1]


def test_drawn_pictures_are_those_of_the_seed() -> None:
    data = paintings.style_data("sample", 3)
    generator = torch.Generator().manual_seed(3)
    assert data.content.tobytes() == patches(generator, 48).tobytes()
    assert tuple(data.paintings) == DRAWN == paintings.painting_names("sample")
    for name in DRAWN:
        assert data.paintings[name].picture.tobytes() == patches(generator, 48).tobytes()
    assert data.fingerprint != paintings.style_data("sample", 4).fingerprint
    assert set(SETTINGS) == {*DRAWN, *REAL}


def test_pictures_from_files(files: Path) -> None:
    data = paintings.style_data("full")
    assert tuple(data.paintings) == REAL
    assert data.content.size == (64, 48)
    first = run(replace(default_config("the_scream", profile="full"), network="embedded"))
    assert first.data["profile"] == "full"
    Image.new("RGB", (64, 48)).save(files / "starry_night.jpg")
    clear_caches()
    assert paintings.style_data("full").fingerprint != data.fingerprint


def test_a_missing_or_broken_painting_is_named(files: Path) -> None:
    (files / "the_scream.jpg").write_text("no image")
    with pytest.raises(DataFormatError, match=r"the_scream\.jpg: not a readable image"):
        paintings.style_data("full")
    (files / "the_scream.jpg").unlink()
    with pytest.raises(MissingDataError, match=r"the_scream\.jpg is missing"):
        paintings.style_data("full")


def test_a_result_rests_on_pictures_and_networks() -> None:
    data = paintings.style_data("sample")
    alone = paintings.about(data, "embedded")
    assert "the small network that the package brings along" in alone["amount"]
    network = paintings.feature_network("embedded")
    next(network.parameters())[0, 0, 0, 0] += 1e-3
    paintings._hash_of_network.cache_clear()
    assert paintings.about(data, "embedded")["fingerprint"] != alone["fingerprint"]


def test_wording_reruns_nothing() -> None:
    modules = modules_of(definitions("rnnreport.experiments.style.painting", "run"))
    assert "rnnreport.models.style" in modules
    assert "rnnreport.layers._style" in modules
    assert not [name for name in modules if name.endswith((".study", ".figures"))]
    assert not [name for name in modules if name.startswith("rnnreport.show")]


# The study and what a page shows of it


@pytest.fixture
def study() -> style_study.Study:
    return style_study.study(profile="sample")


def test_a_study_and_its_figures(study: style_study.Study) -> None:
    assert tuple(study.results) == DRAWN
    assert [run.config["settings"]["content"] for run in study.trade_off] == list(TRADE_OFFS)
    assert len(study.all_results) == 3 + len(TRADE_OFFS)
    assert provenance(*study.all_results).lines[0] == "Generated sample, not real data"

    left = {
        name: share_text(result.metrics["style_left"]) for name, (result,) in study.results.items()
    }
    table = style_figures.results_table(study).html
    assert table.count("<tr>") == 4
    for name, share in left.items():
        assert study.data.paintings[name].title in table
        assert any(share in row for row in Tags(table).rows)
    settings = style_figures.settings_table(study).html
    assert "<td>0.02</td><td>0.05</td><td>1, 1, 1</td>" in settings

    pictures = style_figures.paintings_gallery(study).html
    assert pictures.count("<figure>") == 7
    assert "drawn after The Scream, Edvard Munch, 1893" in pictures
    assert left["waving_sky"] in Tags(pictures).text
    steps = style_figures.steps_gallery(study).html
    assert steps.count("<figure>") == 2
    assert "after 1 step, 32 px" in steps
    assert "after 5 steps, 40 px" in steps
    trade_off = style_figures.trade_off_gallery(study).html
    assert trade_off.count("<figure>") == len(TRADE_OFFS)

    figure = style_figures.loss_figure(study)
    assert "Colliding forms: style" in figure.alt
    assert figure.svg("light").startswith("<?xml")


def test_a_share_is_that_of_the_image_shown(
    study: style_study.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, (result,) = list(study.results.items())[-1]
    sides, losses = result.history["short_side"], result.history["style"]
    grown = next(k for k, side in enumerate(sides) if side != sides[0])  # losses leap there
    shown = replace(result, config=result.config | {"snapshots": (grown,)})
    monkeypatch.setattr(style_figures, "_picture", lambda *_: Image.new("RGB", (40, 30)))
    steps = style_figures.steps_gallery(replace(study, results={name: (shown,)})).html
    assert f"{share_text(losses[grown - 1] / losses[0])} of the first style loss" in steps


@pytest.mark.usefixtures("files")
def test_a_second_network_paints_where_its_weights_are(
    study: style_study.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert style_study.squeezenet_configs("full") == ()
    monkeypatch.setattr(style_study, "find", lambda _: Path("weights.pth"))
    assert style_study.squeezenet_configs("sample") == ()
    configs = style_study.squeezenet_configs("full")
    assert [(config.painting, config.network) for config in configs] == [
        (name, "squeezenet1_1") for name in REAL
    ]

    # One network judges both, whichever it is.
    monkeypatch.setattr(
        style_study, "feature_network", lambda _: paintings.feature_network("embedded")
    )
    both = replace(study, squeezenet={name: study.results[name][0] for name in DRAWN})
    assert len(both.all_results) == len(study.all_results) + 3
    left = [both.judged(result) for (result,) in study.results.values()]
    assert all(0 < share < 1 for share in left)
    table = style_figures.networks_table(both).html
    assert table.count("<tr>") == 7
    assert "Swirling night, SqueezeNet" in table
    assert style_figures.networks_gallery(both).html.count("<figure>") == 2


def test_the_image_grows_where_the_figure_says_so(study: style_study.Study) -> None:
    assert style_figures._growth(study.results["waving_sky"][0]) == [3]


# The benchmark


def test_the_benchmark_finds_when_it_is_as_good() -> None:
    data = paintings.style_data("sample")
    measure = functools.partial(
        bench.measure,
        data.content,
        data.paintings["waving_sky"].picture,
        paintings.feature_network("embedded"),
        SETTINGS["waving_sky"],
    )
    row = measure(levels=TINY, steps=1, learning_rate=1e-6)
    assert row.plain_left == pytest.approx(1.0, rel=0.01)
    assert row.reached is not None
    assert 0 < row.reached <= row.fine
    never = measure(levels=(Level(40, 1),), steps=30, learning_rate=0.05)
    assert never.reached is None
    assert never.plain_left < never.fine_left


@needs("styles", "vgg19")
def test_the_real_painting_is_painted() -> None:
    config = replace(
        default_config("the_scream", profile="full"),
        levels=(Level(48, 30),),
    )
    assert run(config).metrics["style_left"] < 0.05


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (3.8e-8, "below 0.001 %"),
        (0.00456, "0.46 %"),
        (0.0456, "4.6 %"),
        (0.456, "46 %"),
        (1.0, "100 %"),
    ],
)
def test_shares_in_words(share: float, text: str) -> None:
    assert share_text(share) == text
