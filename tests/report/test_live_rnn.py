"""The network to take apart: its numbers, its text, and its script in a browser."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import STATIC, browser, context, opened, page_of
from tags import Tags

from rnnreport import layers
from rnnreport.equations import CATALOGUE
from rnnreport.report.live_rnn import CASES, MISTAKES, SETTINGS, live_rnn, texts, values

__all__ = ["browser", "context"]

Settings = Mapping[str, float]


def drawn(seed: int) -> Settings:
    """Draw what the sliders can be set to."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randint(-40, 41, (len(SETTINGS),), generator=generator).tolist()
    return {name: step / 20 for name, step in zip(SETTINGS, steps, strict=True)}


MANY: list[Settings] = [SETTINGS, *CASES.values(), *map(drawn, range(6))]


def of_layers(s: Settings, reads: str) -> dict[str, float]:
    """Compute values and gradients by the layers: rows, and transposed weights."""

    def row(*names: str) -> torch.Tensor:
        return torch.tensor([s[name] for name in names], dtype=torch.float64)

    x = row("x1", "x2", "x3")[:, None, None]
    Wx, Wh = row("Wx1", "Wx2")[None], row("Wh11", "Wh12", "Wh21", "Wh22").reshape(2, 2).T
    h, cache = layers.rnn_forward(x, row("h1", "h2")[None], Wx, Wh, row("b1", "b2"))
    targets = torch.tensor([[[0.5, -0.5]], [[-0.5, 0.5]], [[0.5, 0.5]]], dtype=torch.float64)
    apart = h - targets
    if reads == "last":
        apart[:-1] = 0
    dx, dh0, dWx, dWh, db = layers.rnn_backward(apart, cache)
    found = {"loss": float(apart.square().sum()) / 2}
    for t, k in itertools.product((1, 2, 3), (1, 2)):
        found[f"h.{t}.{k}"] = float(h[t - 1, 0, k - 1])
        found[f"direct.{t}.{k}"] = float(apart[t - 1, 0, k - 1])
    for name, gradient in {"Wx": dWx[0], "b": db, "h": dh0[0], "x": dx[:, 0, 0]}.items():
        found |= {f"sum.{name}{k}": number for k, number in enumerate(gradient.tolist(), 1)}
    for i, j in itertools.product((1, 2), (1, 2)):
        found[f"sum.Wh{i}{j}"] = float(dWh[j - 1, i - 1])
    return found


@pytest.mark.parametrize("reads", ["all", "last"])
@pytest.mark.parametrize("settings", MANY)
def test_numbers_are_those_of_the_layers(settings: Settings, reads: Any) -> None:
    found, expected = values(settings, reads), of_layers(settings, reads)
    assert len(expected) == 1 + 12 + len(SETTINGS)
    for name, number in expected.items():
        assert found[name] == pytest.approx(number, rel=1e-12, abs=1e-13), name
    for name in SETTINGS:  # and the numerical gradient is one
        assert found[f"numerical.{name}"] == pytest.approx(found[f"sum.{name}"], abs=1e-8)
        if f"share.{name}.1" in found:
            shares = [found[f"share.{name}.{t}"] for t in (1, 2, 3)]
            assert sum(shares) == pytest.approx(found[f"sum.{name}"], abs=1e-12)


def test_the_long_gradient_is_that_of_the_layers() -> None:
    x = torch.tensor([SETTINGS[f"x{t}"] for t in (1, 2, 3)], dtype=torch.float64).repeat(10)
    for T in (30, 13):  # the gradient at step t is that of the first state of the steps after it
        weights = [SETTINGS[f"Wh{ij}"] for ij in ("11", "21", "12", "22")]
        Wh = torch.tensor(weights, dtype=torch.float64).reshape(2, 2)
        Wx = torch.tensor([[SETTINGS["Wx1"], SETTINGS["Wx2"]]], dtype=torch.float64)
        b = torch.tensor([SETTINGS["b1"], SETTINGS["b2"]], dtype=torch.float64)
        h = torch.tensor([[SETTINGS["h1"], SETTINGS["h2"]]], dtype=torch.float64)
        for x_t in x[: 30 - T]:
            h, _ = layers.rnn_step_forward(x_t[None, None], h, Wx, Wh, b)
        out, cache = layers.rnn_forward(x[30 - T :, None, None], h, Wx, Wh, b)
        dh = torch.zeros_like(out)
        dh[-1] = 1
        _, dh0, *_ = layers.rnn_backward(dh, cache)
        norm = float(dh0.norm()) / math.sqrt(2)
        assert values(SETTINGS)[f"long.{30 - T}"] == pytest.approx(norm, rel=1e-12)
    steady = values(CASES["Steady"])
    assert [steady[f"{kind}.0"] for kind in ("long", "bare")] == pytest.approx([1, 1])
    assert values(CASES["Exploding"])["long.0"] > 1e5
    assert values(CASES["Vanishing"])["long.0"] < 1e-3


def test_mistakes_are_the_ledgers_and_each_is_seen() -> None:
    assert len(MISTAKES) >= 10
    for key, mistake in MISTAKES.items():
        assert mistake.mistake is CATALOGUE[key]
        found = values(SETTINGS, mistake=key)
        off = [found[f"off.{name}"] for name in ("W_x", "W_h", "b", "x_t", "h_0")]
        assert max(off) > 0.05
    assert max(values(SETTINGS)[f"off.{name}"] for name in ("W_x", "W_h", "b")) < 1e-7


@pytest.mark.parametrize(
    ("off", "text"),
    [
        (0.0, "✓ agrees"),
        (9e-8, "✓ agrees"),
        (2e-7, "✗ off by less than 0.1 %"),
        (0.0421, "✗ off by 4.2 %"),
        (0.434, "✗ off by 43 %"),
        (1.5, "✗ off by 150 %"),
    ],
)
def test_verdict(off: float, text: str) -> None:
    found = values(SETTINGS)
    assert texts({**found, "off.b": off})["off.b"] == text


def test_answer_counts_what_is_wrong() -> None:
    answers = {key: texts(values(SETTINGS, mistake=key))["answer"] for key in ("", *MISTAKES)}
    assert answers[""] == "All five gradients agree with the numerical ones."
    assert answers["first-gradient-early"] == "One of five gradients is wrong."
    assert answers["own-gradient-unused"] == "All five gradients are wrong."
    assert answers["one-step-alone"] == "Three of five gradients are wrong."


@pytest.mark.parametrize(
    ("factor", "words"),
    [(0.0, "vanishes altogether"), (1.2, "keeps its size"), (3e-9, "shrinks to about 10⁻⁹ times"),
     (4e6, "grows to about 10⁷ times")],
)  # fmt: skip
def test_how_a_gradient_grows(factor: float, words: str) -> None:
    assert words in texts({**values(SETTINGS), "long.0": factor})["long"]


def test_the_figure_is_whole_without_a_script() -> None:
    figure = live_rnn()
    tags = Tags(figure.html)
    written = texts(values(SETTINGS))
    named = {attrs["data-value"] for _, attrs in tags.tags if "data-value" in attrs}
    assert named == written.keys()
    assert {attrs["data-mistake"] for attrs in tags.classed("live-about")} == MISTAKES.keys()
    links = {attrs["href"] for attrs in tags.named("a")}
    page = (STATIC.parent / "rnn.md").read_text(encoding="utf-8")
    assert {f"#equation-eq-{n}" for n in range(1, 13)} - links <= {
        f"#equation-eq-{n}" for n in (4, 5)
    }
    for link in links:
        label = re.fullmatch(r"#equation-(eq-\w+)", link or "")
        assert label is not None
        assert f"({label[1].replace('eq-r', 'eq-R')})" in page
    fields = {attrs["for"] for attrs in tags.named("label") if "for" in attrs}
    ids = {attrs["id"] for _, attrs in tags.tags if "id" in attrs}
    assert fields <= ids
    assert len(fields) == len(SETTINGS) + 2
    assert "hₜ in place of hₜ₋₁" in tags.text
    assert not re.search(r"[{}]|[a-zA-Z]_", tags.text)


# -- The script ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(live_rnn().html, "live-rnn", tmp_path_factory.mktemp("page"))


@pytest.fixture
def page(context: Any, page_file: Path) -> Iterator[Any]:
    """The figure in a page that was opened from a file."""
    with opened(context, page_file, "live-rnn") as page:
        yield page


def alike(written: Mapping[str, str], expected: Mapping[str, str]) -> bool:
    """Whether texts agree; a number that lies between two roundings may be either."""

    def same(a: str, b: str) -> bool:
        numbers = [text.replace("−", "-") for text in (a, b)]
        if not all(re.fullmatch(r"-?\d+\.\d{3}", text) for text in numbers):
            return a == b
        return abs(float(numbers[0]) - float(numbers[1])) < 0.0015

    return written.keys() == expected.keys() and all(
        same(written[name], text) for name, text in expected.items()
    )


SHOWN = """() => Object.fromEntries([...document.querySelectorAll("[data-value]")]
  .map((place) => [place.dataset.value, place.textContent]))"""
COMPUTED = """([settings, reads, mistake]) => {
  const { compute, write } = document.getElementById("live-rnn").liveRNN;
  const found = compute(settings, reads, mistake);
  return [found, write(found)];
}"""


@pytest.mark.parametrize("mistake", ["", *MISTAKES])
def test_the_script_computes_what_python_computes(page: Any, mistake: str) -> None:
    for settings, reads in itertools.product(MANY, ("all", "last")):
        found, _ = page.evaluate(COMPUTED, [settings, reads, mistake])
        expected = values(settings, reads, mistake)  # type: ignore[arg-type]
        assert found.keys() == expected.keys()
        for name, number in expected.items():
            kind = name.partition(".")[0]
            # A difference of losses loses digits.
            bound = {"numerical": 1e-9, "off": 1e-7}.get(kind, 1e-12)
            assert found[name] == pytest.approx(number, rel=bound, abs=bound), (name, settings)


def test_the_script_computes_what_the_layers_compute(page: Any) -> None:
    for settings, reads in itertools.product(MANY, ("all", "last")):
        found, _ = page.evaluate(COMPUTED, [settings, reads, ""])
        for name, number in of_layers(settings, reads).items():
            assert found[name] == pytest.approx(number, rel=1e-12, abs=1e-12), (name, settings)


def test_the_script_writes_what_python_writes(page: Any, page_file: Path, browser: Any) -> None:
    shown = page.evaluate(SHOWN)
    assert shown == texts(values(SETTINGS))
    for mistake, settings in itertools.product(("", *MISTAKES), MANY):
        _, written = page.evaluate(COMPUTED, [settings, "all", mistake])
        assert alike(written, texts(values(settings, "all", mistake)))
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(page_file.as_uri())
    assert plain.evaluate(SHOWN) == shown
    ways = "() => [...document.querySelectorAll('.live-chart path')].map((p) => p.outerHTML)"
    assert plain.evaluate(ways) == page.evaluate(ways)
    assert not plain.locator("select").is_visible()
    assert plain.get_by_text("Scripts are switched off").is_visible()
    assert not page.get_by_text("Scripts are switched off").is_visible()
    plain.context.close()


def test_sliders_answer_to_the_keyboard(page: Any) -> None:
    slider = page.locator("#live-rnn-Wh11")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    settings = {**SETTINGS, "Wh11": 1.0}
    assert page.evaluate(SHOWN) == texts(values(settings))
    outputs = page.locator("output[data-of=Wh11]")
    assert outputs.all_text_contents() == ["1.00", "1.00"]
    assert page.locator("#live-rnn-again").input_value() == "1"  # the same weight at the chart
    page.locator("#live-rnn-again").press("Home")
    assert page.evaluate(SHOWN) == texts(values({**SETTINGS, "Wh11": -2.0}))
    assert slider.input_value() == "-2"
    page.keyboard.press("Tab")
    page.wait_for_function(
        "text => document.querySelector('.live-status').textContent.startsWith(text)",
        arg=f"Loss {texts(values({**SETTINGS, 'Wh11': -2.0}))['loss']}. All five",
    )


def test_a_broken_equation_is_shown(page: Any) -> None:
    assert page.locator(".spoilt").count() == 0
    assert page.locator(".live-about:visible").count() == 0
    choice = page.get_by_label("Break an equation")
    for key in MISTAKES:
        choice.select_option(key)
        expected = values(SETTINGS, mistake=key)
        assert page.evaluate(SHOWN) == texts(expected)
        right = values(SETTINGS)
        spoilt = page.locator(".spoilt").evaluate_all("s => s.map((e) => e.dataset.value)")
        assert set(spoilt) == {
            name
            for name, number in expected.items()
            if not name.startswith(("long", "bare"))
            and (number if name.startswith("off") else abs(number - right[name])) > 1e-7
        }
        [about] = page.locator(".live-about:visible").all_text_contents()
        assert CATALOGUE[key].shown_by[:20].partition("_")[0] in about
    choice.select_option("")
    assert page.locator(".spoilt").count() == 0
    choice.focus()
    page.keyboard.press("ArrowDown")
    assert choice.input_value() == next(iter(MISTAKES))


def test_what_the_loss_reads_and_the_cases(page: Any) -> None:
    page.get_by_label("the last state alone").check()
    assert page.evaluate(SHOWN) == texts(values(SETTINGS, "last"))
    for name, settings in CASES.items():
        page.get_by_role("button", name=name).click()
        assert page.evaluate(SHOWN) == texts(values(settings, "last"))
    page.get_by_label("every state").check()
    assert page.evaluate(SHOWN) == texts(values(CASES["Exploding"]))


def test_it_fits_a_phone_and_small_text_is_legible(page: Any) -> None:
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 390, "height": 800})
    sizes = page.evaluate(
        """() => [...document.querySelectorAll("#live-rnn :is(sub, small, td, label)")].map((e) =>
          parseFloat(getComputedStyle(e).fontSize))"""
    )
    assert min(sizes) >= 9.5
    assert json.loads(page.locator("#live-rnn").get_attribute("data-cases")) == CASES
