"""The network to take apart: an RNN of two units and three steps, with all its gradients.

The page carries its numbers as HTML. The script ``live-rnn.js`` computes from the sliders what
:func:`values` computes here, and writes it into the same places. Until it takes over, and where
there are no scripts, the figure shows the settings that it starts with.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from rnnreport.equations import Planted, planted
from rnnreport.equations._backward import RIGHT, Backward, backward
from rnnreport.equations._recurrences import RNNProblem
from rnnreport.show.html import Html, Markup, joined, tag

__all__ = ["CASES", "MISTAKES", "SETTINGS", "live_rnn", "texts", "values"]

Reads = Literal["all", "last"]
Values = Mapping[str, float]

T, H, LONG = 3, 2, 30
SETTINGS: Mapping[str, float] = {
    "Wx1": 1.2, "Wx2": -0.7,
    "Wh11": 0.9, "Wh12": -0.5, "Wh21": 0.6, "Wh22": 0.4,
    "b1": 0.1, "b2": -0.2,
    "h1": 0.3, "h2": -0.4,
    "x1": 0.8, "x2": -0.6, "x3": 0.5,
}  # fmt: skip
"""The sliders and where they start: by parameter, h_0 and x_t, with their indices."""

_AT_REST = {**SETTINGS, **dict.fromkeys(("b1", "b2", "h1", "h2", "x1", "x2", "x3"), 0.0)}
CASES: Mapping[str, Mapping[str, float]] = {
    "Start again": SETTINGS,
    "Vanishing": {**_AT_REST, "Wh11": 0.5},
    "Steady": {**_AT_REST, "Wh11": 0.8, "Wh12": -0.6, "Wh21": 0.6, "Wh22": 0.8},
    "Exploding": {**_AT_REST, "Wh11": 2.0},
}
"""Settings to go to at once."""

TARGETS = ((0.5, -0.5), (-0.5, 0.5), (0.5, 0.5))
"""What the loss wants h_1, h_2 and h_3 to be: it is half the squared distance."""

_CHOSEN = (
    ("slope-dropped", "h"),
    ("square-missing", "h"),
    ("slope-twice", "h"),
    ("not-transposed", ""),
    ("slope-missing-on-way-back", ""),
    ("next-state", ""),
    ("first-state-zero", "h"),
    ("not-carried", "h"),
    ("own-gradient-unused", ""),
    ("loop-forward", ""),
    ("one-step-alone", "last"),
    ("input-from-own-loss", ""),
    ("first-gradient-early", ""),
)


def _first_number(mistake: Planted) -> int:
    return int(_numbers(mistake)[0])


def _numbers(mistake: Planted) -> tuple[str, ...]:
    return mistake.mistake.equations("rnn", mistake.place)


MISTAKES: Mapping[str, Planted] = {
    each.mistake.key: each
    for each in sorted(planted("rnn"), key=_first_number)
    if (each.mistake.key, each.place) in _CHOSEN and each.form == 1
}
"""The equations that can be broken: mistakes of the ledger's catalogue, by their key."""

_EPSILON = 1e-5  # half the step of the numerical gradient
_AGREES = 1e-7
_RANGE = (-2, 2)
_DECADES = 10  # of the chart, above 1 and below

_GROUPS = (
    ("W_x", ("Wx1", "Wx2")),
    ("W_h", ("Wh11", "Wh12", "Wh21", "Wh22")),
    ("b", ("b1", "b2")),
    ("h_0", ("h1", "h2")),
    ("x_t", ("x1", "x2", "x3")),
)
_GRADIENTS = (  # with the equations of a step's share and of the whole
    ("W_x", ("1", "8")),
    ("W_h", ("2", "9")),
    ("b", ("3", "10")),
    ("x_t", ("11",)),
    ("h_0", ("12",)),
)
_VARIABLES = dict(_GROUPS)


# -- Arithmetic ------------------------------------------------------------------------------------


def problem(settings: Mapping[str, float], reads: Reads = "all") -> RNNProblem:
    """Return the network, with a loss that reads all states or the last one."""

    def tensor(name: str, *shape: int) -> Tensor:
        numbers = [settings[each] for each in _VARIABLES[name]]
        return torch.tensor(numbers, dtype=torch.float64).reshape(shape)

    weigh = torch.ones(T, H, dtype=torch.float64)
    if reads == "last":
        weigh[:-1] = 0
    return RNNProblem(
        x=tensor("x_t", T, 1),
        h_0=tensor("h_0", H),
        u=-weigh * torch.tensor(TARGETS, dtype=torch.float64),
        s=weigh,
        W_x=tensor("W_x", H, 1),
        W_h=tensor("W_h", H, H),
        b=tensor("b", H),
    )


def values(
    settings: Mapping[str, float], reads: Reads = "all", mistake: str = ""
) -> dict[str, float]:
    """Compute every number of the figure.

    Parameters
    ----------
    settings
        As :data:`SETTINGS`.
    reads : {"all", "last"}
        The states that the loss reads.
    mistake
        A key of :data:`MISTAKES`, or an empty string.

    Returns
    -------
    dict of str to float
        By what they are, the step and the unit, as in ``"delta.2.1"``; gradients by their variable:
        ``"share.Wx1.2"`` of step 2, ``"sum.Wx1"``, ``"numerical.Wx1"``, and ``"off.W_x"`` of all of
        its elements. ``"long.0"`` to ``"long.30"`` and ``"bare.0"`` to ``"bare.30"`` are the norms
        of the chart.
    """
    p = problem(settings, reads)
    slip = MISTAKES[mistake].slip if mistake else RIGHT
    result = backward(p, slip)
    found: dict[str, float] = {"loss": 0.0}
    targets = torch.tensor(TARGETS, dtype=torch.float64)
    for t in range(T + 1):
        found |= _vector(f"h.{t}", p.h[t])
    for t, step in enumerate(result.steps, 1):
        found |= _vector(f"z.{t}", p.W_x @ p.x[t - 1] + p.W_h @ p.h[t - 1] + p.b)
        apart = p.s[t - 1] * (p.h[t] - targets[t - 1]) ** 2
        found[f"loss.{t}"] = float(apart.sum()) / 2
        found["loss"] += found[f"loss.{t}"]
        found |= _vector(f"direct.{t}", p.dh[t])
        found |= _vector(f"whole.{t}", step.dh)
        found |= _vector(f"delta.{t}", step.delta("h"))
    found |= _vector("whole.0", result.h_0)
    found |= _gradients(result)
    found |= _numerical(settings, reads)
    for name, elements in _GROUPS:
        by_hand, measured = (
            [found[f"{kind}.{each}"] for each in elements] for kind in ("sum", "numerical")
        )
        found[f"off.{name}"] = _off(by_hand, measured)
    return found | _long(settings)


def _vector(name: str, value: Tensor) -> dict[str, float]:
    return {f"{name}.{k}": number for k, number in enumerate(value.tolist(), 1)}


def _gradients(result: Backward) -> dict[str, float]:
    """Return the gradients of a backward pass, and the share of each step."""
    found: dict[str, float] = {}
    for t, step in enumerate(result.steps, 1):
        shares = {
            "W_x": step.input_weights("h"),
            "W_h": step.recurrent_weights("h"),
            "b": step.bias("h"),
        }
        for name, share in shares.items():
            for element, number in zip(_VARIABLES[name], share.flatten().tolist(), strict=True):
                found[f"share.{element}.{t}"] = number
    for name, _ in _GRADIENTS:
        key = {"x_t": "x", "h_0": "h_0"}.get(name, f"{name}^h")
        gradient = result.gradient(key).flatten().tolist()
        for element, number in zip(_VARIABLES[name], gradient, strict=True):
            found[f"sum.{element}"] = number
    return found


def _numerical(settings: Mapping[str, float], reads: Reads) -> dict[str, float]:
    """Return the central differences of the loss, whatever is broken."""

    def loss(name: str, moved: float) -> float:
        return float(problem({**settings, name: settings[name] + moved}, reads).loss())

    return {
        f"numerical.{name}": (loss(name, _EPSILON) - loss(name, -_EPSILON)) / (2 * _EPSILON)
        for name in settings
    }


def _off(by_hand: Sequence[float], measured: Sequence[float]) -> float:
    """Return how far two gradients are apart, relative to the larger."""
    size = max(map(abs, (*by_hand, *measured)))
    apart = max(abs(a - b) for a, b in zip(by_hand, measured, strict=True))
    return apart / size if size > _AGREES else 0.0


def _long(settings: Mapping[str, float]) -> dict[str, float]:
    """Return the norms of ∂L/∂h_t over many steps, with the slopes of tanh and without.

    The inputs come again and again, and the loss is the sum of the last state.
    """
    p = problem(settings)
    x = p.x.repeat(LONG // T, 1)
    u = torch.zeros(LONG, H, dtype=torch.float64)
    u[-1] = 1
    result = backward(replace(p, x=x, u=u, s=torch.zeros_like(u)))
    first = math.sqrt(H)
    norms = {f"long.{t}": _norm(step.dh) / first for t, step in enumerate(result.steps, 1)}
    norms["long.0"] = _norm(result.h_0) / first
    gradient = u[-1]
    for t in range(LONG, -1, -1):
        norms[f"bare.{t}"] = _norm(gradient) / first
        gradient = p.W_h.T @ gradient
    return norms


def _norm(value: Tensor) -> float:
    return math.sqrt(float((value * value).sum()))


# -- Text ------------------------------------------------------------------------------------------


def texts(found: Values) -> dict[str, str]:
    """Write the numbers of :func:`values` as the figure shows them."""
    written = {
        name: _signed(number)
        for name, number in found.items()
        if name.partition(".")[0] not in ("off", "long", "bare")
    }
    for name in _VARIABLES:
        written[f"off.{name}"] = _verdict(found[f"off.{name}"])
    wrong = sum(found[f"off.{name}"] > _AGREES for name in _VARIABLES)
    written["answer"] = f"{_ANSWERS[wrong]}."
    written["long"] = _grows(found["long.0"])
    return written


_ANSWERS = (
    "All five gradients agree with the numerical ones",
    "One of five gradients is wrong",
    "Two of five gradients are wrong",
    "Three of five gradients are wrong",
    "Four of five gradients are wrong",
    "All five gradients are wrong",
)


def _signed(number: float) -> str:
    text = f"{abs(number):.3f}"
    return f"−{text}" if number < 0 and float(text) else text


def _verdict(off: float) -> str:
    if off <= _AGREES:
        return "✓ agrees"
    percent = 100 * off
    if percent < 0.1:
        return "✗ off by less than 0.1 %"
    return f"✗ off by {percent:.1f} %" if percent < 10 else f"✗ off by {percent:.0f} %"


def _grows(factor: float) -> str:
    """Say how a gradient changes on its way to h_0, in words and a power of ten."""
    if factor == 0:
        return f"Over {LONG} steps the gradient vanishes altogether."
    exponent = math.floor(math.log10(factor) + 0.5)
    if exponent == 0:
        return f"Over {LONG} steps the gradient keeps its size, roughly."
    change = "shrinks to" if exponent < 0 else "grows to"
    power = str(exponent).translate(_SUPERSCRIPTS)
    return f"Over {LONG} steps the gradient {change} about 10{power} times its size."


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_BELOW = str.maketrans("01thx−", "₀₁ₜₕₓ₋")


# -- The figure ------------------------------------------------------------------------------------


def live_rnn() -> Html:
    """Show a small RNN, every value and every gradient of it, and what breaks when one is wrong.

    The style sheet ``live-rnn.css`` and the script ``live-rnn.js`` are expected in the folder
    ``_static`` beside the page.

    Returns
    -------
    Html
        The figure: sliders, a choice of mistakes, two tables and a chart.
    """
    found = values(SETTINGS)
    written = texts(found)
    content = joined(
        _controls(),
        tag(
            "p",
            "Scripts are switched off, so the sliders do not answer: the numbers are those of the "
            "settings that the figure starts with.",
            class_="live-fixed",
        ),
        _answer(written),
        tag("div", _steps(written), _sums(written), class_="live-tables"),
        _chart(found, written),
        tag("p", class_="live-status", role="status"),
    )
    figure = tag(
        "div",
        tag("link", rel="stylesheet", href="_static/live-rnn.css"),
        content,
        tag("script", src="_static/live-rnn.js", defer=True),
        id="live-rnn",
        class_="live-rnn",
        data_cases=json.dumps(CASES),
    )
    return Html(
        figure,
        f"An RNN of two units and three steps. Loss {written['loss']}. {written['answer']}",
    )


def _symbol(name: str) -> Markup:
    """Set a name such as W_x, h_0 or Wh12."""
    if "_" in name:
        letter, _, index = name.partition("_")
        return joined(tag("i", letter), tag("sub", index if index == "0" else tag("i", index)))
    if name[0] == "W":
        inner = joined(tag("i", "W"), tag("sub", tag("i", name[1])))
        return joined("(", inner, ")", tag("sub", name[2:]))
    if name[0] == "h":
        return joined("(", _symbol("h_0"), ")", tag("sub", name[1:]))
    return joined(tag("i", name[0]), tag("sub", name[1:]))


def _equations(numbers: Sequence[str]) -> Markup:
    links = [tag("a", f"({n})", href=f"#equation-eq-{n.lower()}") for n in numbers]
    return joined(*(piece for link in links for piece in (" ", link)))


def _number(name: str, written: Mapping[str, str]) -> Markup:
    return tag("span", written[name], class_="live-value", data_value=name)


def _controls() -> Markup:
    return tag(
        "div",
        *(_sliders(name, elements) for name, elements in _GROUPS),
        tag(
            "fieldset",
            tag("legend", "The loss reads"),
            _radio("all", "every state"),
            _radio("last", "the last state alone"),
            class_="live-reads",
        ),
        tag(
            "div",
            tag("label", "Break an equation", for_="live-rnn-mistake"),
            tag(
                "select",
                tag("option", "None: all equations are right", value=""),
                *(
                    tag("option", f"{_plain(_numbers(each))} {_name(each)}", value=key)
                    for key, each in MISTAKES.items()
                ),
                id="live-rnn-mistake",
                disabled=True,
            ),
            *(_about(key, each) for key, each in MISTAKES.items()),
            class_="live-break",
        ),
        tag(
            "div",
            *(tag("button", name, type="button", disabled=True) for name in CASES),
            class_="live-cases",
            role="group",
            aria_label="Settings to begin with",
        ),
        class_="live-controls",
    )


def _sliders(name: str, elements: Sequence[str]) -> Markup:
    sliders = (_slider(each, f"live-rnn-{each}") for each in elements)
    return tag("fieldset", tag("legend", _symbol(name)), *sliders, class_="live-sliders")


def _slider(name: str, identity: str) -> Markup:
    value = SETTINGS[name]
    return tag(
        "div",
        tag("label", _symbol(name), for_=identity),
        tag(
            "input",
            id=identity,
            type="range",
            min=_RANGE[0],
            max=_RANGE[1],
            step=0.05,
            value=value,
            disabled=True,
            data_setting=name,
        ),
        tag("output", f"{value:.2f}".replace("-", "−"), for_=identity, data_of=name),
        class_="live-slider",
    )


def _radio(value: str, text: str) -> Markup:
    radio = tag(
        "input",
        type="radio",
        name="live-rnn-reads",
        value=value,
        checked=value == "all",
        disabled=True,
    )
    return tag("label", radio, f" {text}")


def _plain(numbers: Sequence[str]) -> str:
    if len(numbers) > 2:
        return f"({numbers[0]})–({numbers[-1]})"
    return ", ".join(f"({n})" for n in numbers)


def _name(mistake: Planted) -> str:
    """Name a mistake; there is one state, so that the catalogue's "state" says nothing."""
    name = mistake.mistake.name if mistake.place == "h" else mistake.name
    return _lowered(name if name[1] == "_" else name[0].upper() + name[1:])


def _lowered(text: str) -> str:
    """Write the indices of W_h and h_{t−1} below the line, where there is no place for tags."""
    return re.sub(r"_(?:\{([^}]+)\}|(\w))", lambda m: (m[1] or m[2]).translate(_BELOW), text)


def _about(key: str, mistake: Planted) -> Markup:
    return tag(
        "p",
        tag("b", "Broken:"),
        _equations(_numbers(mistake)),
        f". {_lowered(mistake.mistake.shown_by)}",
        class_="live-about",
        data_mistake=key,
        hidden=True,
    )


def _answer(written: Mapping[str, str]) -> Markup:
    return tag(
        "p",
        "Loss ",
        tag("b", written["loss"], data_value="loss"),
        ". ",
        tag("span", written["answer"], data_value="answer"),
        class_="live-answer",
    )


def _steps(written: Mapping[str, str]) -> Markup:
    """Lay out what has a value at every step."""

    def derivative(of: str) -> Markup:
        return joined("∂", tag("i", "L"), "/∂", _symbol(of))

    new = joined("[", derivative("h_t"), "]", tag("sub", "new"))
    rows = (
        ("z", _symbol("z_t"), "pre-activation", ("R1",), H),
        ("h", _symbol("h_t"), "state", ("R1",), H),
        ("target", _symbol("y_t"), "target", (), H),
        ("loss", joined("½|", _symbol("h_t"), " − ", _symbol("y_t"), "|²"), "loss", (), 1),
        ("direct", derivative("h_t"), "direct part", (), H),
        ("whole", new, "whole gradient", ("6", "7", "12"), H),
        (
            "delta",
            joined(tag("i", "δ"), tag("sub", tag("i", "t"))),
            "pre-activation gradient",
            ("R3",),
            H,
        ),
    )
    head = tag(
        "tr",
        tag("th", tag("i", "t"), scope="col"),
        *(tag("th", t, scope="col") for t in map(str, range(T + 1))),
    )
    body = (
        tag(
            "tr",
            tag(
                "th",
                tag("span", symbol, class_="live-symbol"),
                _equations(numbers),
                tag("small", words),
                scope="row",
            ),
            *(tag("td", *_cell(name, t, count, written)) for t in range(T + 1)),
            class_="live-backward" if name in ("direct", "whole", "delta") else None,
        )
        for name, symbol, words, numbers, count in rows
    )
    return _scroll(
        tag(
            "table",
            tag("caption", "Every step: the two numbers of a cell are those of the two units"),
            tag("thead", head),
            tag("tbody", *body),
            class_="live-steps",
        ),
        "Values and gradients of every step",
    )


def _cell(name: str, t: int, count: int, written: Mapping[str, str]) -> Iterator[Markup]:
    if name == "target":
        yield from (tag("span", _signed(y)) for y in (TARGETS[t - 1] if t else ()))
        return
    for k in range(1, count + 1):
        key = f"{name}.{t}" if count == 1 else f"{name}.{t}.{k}"
        if key in written:
            yield _number(key, written)


def _sums(written: Mapping[str, str]) -> Markup:
    """Lay out the gradients: the shares of the steps, their sum, and the numerical gradient."""
    steps = [tag("th", tag("i", "t"), f" = {t}", scope="col") for t in range(1, T + 1)]
    head = tag(
        "tr",
        tag("th", "gradient", scope="col"),
        *steps,
        tag("th", "in all", scope="col"),
        tag("th", "numerical", scope="col"),
    )
    bodies = (
        tag(
            "tbody",
            tag(
                "tr",
                tag(
                    "th",
                    joined("∂", tag("i", "L"), "/∂", _symbol(name)),
                    _equations(numbers),
                    " ",
                    tag(
                        "span", written[f"off.{name}"], class_="live-off", data_value=f"off.{name}"
                    ),
                    scope="rowgroup",
                    colspan=T + 3,
                ),
            ),
            *(_gradient(element, written) for element in _VARIABLES[name]),
        )
        for name, numbers in _GRADIENTS
    )
    return _scroll(
        tag(
            "table",
            tag("caption", "Every gradient, beside the numerical one"),
            tag("thead", head),
            *bodies,
            class_="live-sums",
        ),
        "Gradients by the equations and numerical ones",
    )


def _gradient(element: str, written: Mapping[str, str]) -> Markup:
    shares = (
        tag("td", _number(key, written))
        if (key := f"share.{element}.{t}") in written
        else tag("td")
        for t in range(1, T + 1)
    )
    return tag(
        "tr",
        tag("th", _symbol(element), scope="row"),
        *shares,
        tag("td", _number(f"sum.{element}", written)),
        tag("td", _number(f"numerical.{element}", written)),
    )


def _scroll(table: Markup, label: str) -> Markup:
    return tag("div", table, class_="live-scroll", tabindex=0, role="region", aria_label=label)


# -- The chart -------------------------------------------------------------------------------------

_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 664, 16, 208


def _chart(found: Values, written: Mapping[str, str]) -> Markup:
    lines = []
    for decade in range(-_DECADES, _DECADES + 1, 5):
        y = f"{_height(decade):.1f}"
        power = "1" if decade == 0 else f"10{str(decade).translate(_SUPERSCRIPTS)}"
        lines.append(tag("path", class_="live-grid", d=f"M{_LEFT} {y}H{_RIGHT}"))
        lines.append(tag("text", power, class_="live-power", x=_LEFT - 10, y=y, dy="0.35em"))
    lines += [
        tag("text", f"t = {t}", class_="live-step", x=f"{_across(t):.1f}", y=_BOTTOM + 24)
        for t in range(10, LONG + 1, 10)
    ]
    svg = tag(
        "svg",
        *lines,
        tag("path", class_="live-bare", d=_way(found, "bare")),
        tag("path", class_="live-long", d=_way(found, "long")),
        viewBox=f"0 0 {_RIGHT + 46} {_BOTTOM + 30}",
        role="img",
        aria_label=f"Norm of the gradient at each of {LONG} steps. {written['long']}",
    )
    return tag(
        "div",
        tag("p", tag("b", f"The same network over {LONG} steps"), class_="live-title"),
        tag(
            "div",
            _slider("Wh11", "live-rnn-again"),
            tag("p", written["long"], data_value="long"),
            class_="live-turn",
        ),
        svg,
        tag(
            "p",
            tag("span", class_="live-key-long"),
            " size of the gradient that reaches ",
            _symbol("h_t"),
            " from the last state. ",
            tag("span", class_="live-key-bare"),
            " the same without the slopes of tanh: the products of ",
            _symbol("W_h"),
            " alone.",
            class_="live-legend",
        ),
        class_="live-chart",
    )


def _height(decade: float) -> float:
    bounded = min(max(decade, -_DECADES), _DECADES)
    return _TOP + (_BOTTOM - _TOP) * (_DECADES - bounded) / (2 * _DECADES)


def _across(t: int) -> float:
    return _LEFT + (_RIGHT - _LEFT) * t / LONG


def _way(found: Values, name: str) -> str:
    """Draw norms over the steps, on a logarithmic scale; 0 is at the bottom."""
    norms = [found[f"{name}.{t}"] for t in range(LONG + 1)]
    decades = [math.log10(norm) if norm else -math.inf for norm in norms]
    points = [f"{_across(t):.1f} {_height(decade):.1f}" for t, decade in enumerate(decades)]
    return f"M{'L'.join(points)}"
