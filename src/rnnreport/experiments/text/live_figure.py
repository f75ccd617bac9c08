"""The live figure: the answer of the small LSTM after every word of a sentence.

The page carries the weights, and its script ``live-lstm.js`` computes from them what
:meth:`LiveLSTM.read` computes here. Until the script takes over, and where there is none, the
figure shows one sentence that was read here.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnnreport.data.sentiment import tokenise_review
from rnnreport.data.vocabulary import Vocabulary
from rnnreport.layers import lstm_forward
from rnnreport.runs.store import Result, load_tensors
from rnnreport.show.html import Html, Markup, joined, tag

__all__ = ["EXAMPLES", "LiveLSTM", "Reading", "live_figure"]

EXAMPLES = (
    "The soup was not good.",
    "The soup was good.",
    "The soup was not bad at all.",
    "The service was slow but the soup was good.",
    "The soup was good but the service was slow.",
)
"""Sentences to begin with. The first is the one that stands there before the reader types."""

_MOST_WORDS = 200  # the script draws no more of them
_ROWS = (
    ("f", "f", "forget gate"),
    ("i", "i", "input gate"),
    ("c_tilde", "c̃", "candidate"),
    ("o", "o", "output gate"),
    ("c", "c", "cell"),
)
_PITCH, _BAR = 6, 5  # height of a unit's row and of what is drawn in it


class Reading(NamedTuple):
    """What an LSTM computes at each of the T words of a sentence, all float64.

    Attributes
    ----------
    probability : Tensor, shape (T,)
        That the sentence is praise, if it ended with this word.
    f, i, c_tilde, o : Tensor, shape (T, H)
        The gates and the candidate; equation (S1).
    c : Tensor, shape (T, H)
        The cell state after the word.
    """

    probability: Tensor
    f: Tensor
    i: Tensor
    c_tilde: Tensor
    o: Tensor
    c: Tensor


@dataclass(frozen=True, eq=False)
class LiveLSTM:
    """The small LSTM, ready to read and to be put into a page.

    Attributes
    ----------
    vocabulary : Vocabulary
        The V words that have a vector.
    tensors : mapping of str to Tensor
        ``vectors`` (V, D), ``Wx`` (D, 4H), ``Wh`` (H, 4H), ``b`` (4H,), ``w`` (H,), ``bias`` (1,),
        all float32; gates in the order f, i, c̃, o.

    Raises
    ------
    ValueError
        If a tensor is missing, or its shape or dtype is another.
    """

    vocabulary: Vocabulary
    tensors: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        D, H = (self.tensors[name].shape[0] if name in self.tensors else 0 for name in ("Wx", "Wh"))
        shapes = {
            "vectors": (len(self.vocabulary), D),
            "Wx": (D, 4 * H),
            "Wh": (H, 4 * H),
            "b": (4 * H,),
            "w": (H,),
            "bias": (1,),
        }
        if self.tensors.keys() != shapes.keys():
            raise ValueError(f"tensors must be {', '.join(shapes)}, got {', '.join(self.tensors)}")
        for name, shape in shapes.items():
            tensor = self.tensors[name]
            if tensor.shape != shape or tensor.dtype != torch.float32:
                raise ValueError(
                    f"{name} must be torch.float32 of shape {shape}, got {tensor.dtype} of shape "
                    f"{tuple(tensor.shape)}"
                )

    @classmethod
    def of(cls, result: Result) -> LiveLSTM:
        """Take the LSTM of a result of :func:`rnnreport.experiments.text.live.run`."""
        return cls(Vocabulary(tuple(result.details["words"])), load_tensors(result))

    def knows(self, sentence: Sequence[str]) -> bool:
        """Return whether every token of a sentence has a vector of its own."""
        return all(token in self.vocabulary.word_to_idx for token in sentence)

    def read(self, sentence: Sequence[str]) -> Reading:
        """Read a sentence word by word.

        Parameters
        ----------
        sentence
            T tokens, at least one. An unknown token counts as ``<UNK>``.

        Returns
        -------
        Reading
            What it computes.

        Raises
        ------
        ValueError
            If there is no token, or the sentence is a string.
        """
        if not sentence:
            raise ValueError("sentence must have at least one token, got none")
        t = {name: tensor.double() for name, tensor in self.tensors.items()}
        x = t["vectors"][self.vocabulary.indices(sentence), None]  # (T, 1, D)
        h, cache = lstm_forward(x, x.new_zeros(1, len(t["w"])), t["Wx"], t["Wh"], t["b"])
        f, i, c_tilde, o = cache.gates[:, 0].unbind(1)
        return Reading((h[:, 0] @ t["w"] + t["bias"]).sigmoid(), f, i, c_tilde, o, cache.c[1:, 0])

    @classmethod
    def from_json(cls, text: str) -> LiveLSTM:
        """Take words and weights from what :meth:`to_json` gave.

        Raises
        ------
        ValueError
            If it gave something else.
        """
        try:
            content = json.loads(text)
            tensors = {
                name: torch.from_numpy(
                    np.frombuffer(base64.b64decode(part["data"], validate=True), "<f4")
                    .astype(np.float32)
                    .reshape(part["shape"])
                )
                for name, part in content["tensors"].items()
            }
            return cls(Vocabulary(tuple(content["words"].split("\n"))), tensors)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"text must be words and weights, got {error!r}") from error

    def to_json(self) -> str:
        """Return words and weights as JSON text that may stand in a ``script`` element.

        ``words`` are the words in one string, parted by line feeds. Each tensor is there under its
        name, in alphabetical order, as its ``shape`` and ``data``: the very bytes of its float32
        numbers, row by row, little-endian, in Base64.
        """
        packed = {
            name: {
                "shape": list(tensor.shape),
                "data": base64.b64encode(tensor.contiguous().numpy().astype("<f4").tobytes()),
            }
            for name, tensor in sorted(self.tensors.items())
        }
        text = json.dumps(
            {"words": "\n".join(self.vocabulary.words), "tensors": packed},
            default=bytes.decode,
            ensure_ascii=False,
            separators=(",", ":"),
        )
        return text.replace("<", "\\u003c")  # no word can end the element


def live_figure(models: Mapping[str, LiveLSTM]) -> Html:
    """Show the probability and the gates after every word of a sentence that the reader types.

    The style sheet ``live-lstm.css`` and the script ``live-lstm.js`` are expected in the folder
    ``_static`` beside the page.

    Parameters
    ----------
    models
        What reads, by what it was trained on; the reader chooses among them, the first comes first.
        All have as many units, and know all words of at least one of :data:`EXAMPLES`; the others
        are not offered.

    Returns
    -------
    Html
        The figure: a text field, and a table with one column a word.

    Raises
    ------
    ValueError
        If there is no model, they have different numbers of units, or do not know the words of any
        example.
    """
    if len({len(model.tensors["w"]) for model in models.values()}) != 1:
        raise ValueError("models must be at least one, and all of as many units")
    model = next(iter(models.values()))
    offered = [
        sentence
        for sentence in EXAMPLES
        if all(each.knows(tokenise_review(sentence)) for each in models.values())
    ]
    if not offered:
        raise ValueError("models must know the words of one of EXAMPLES, they know those of none")
    first = offered[0]
    tokens = tokenise_review(first)
    reading = model.read(tokens)
    buttons = joined(*(tag("button", each, type="button", disabled=True) for each in offered))
    n_words = len(model.vocabulary) - len(Vocabulary.SPECIAL)
    last = f"{reading.probability[-1]:.2f}"
    weights = joined(
        *(
            tag("script", Markup(each.to_json()), type="application/json", class_="live-model")
            for each in models.values()
        )
    )
    return Html(
        f"""<div id="live-lstm" class="live-lstm" data-most-words="{_MOST_WORDS}">
<link rel="stylesheet" href="_static/live-lstm.css">
<div class="live-form">
<label for="live-lstm-text">Type a sentence of a review</label>
<textarea id="live-lstm-text" rows="2" maxlength="4000" spellcheck="false" autocapitalize="off"
 autocomplete="off" aria-describedby="live-lstm-hint" disabled>{html.escape(first)}</textarea>
{_choice(list(models)) if len(models) > 1 else ""}
<p id="live-lstm-hint"><span class="live-size">The network knows
<span class="live-known">{n_words:,}</span> words.</span> English, on a restaurant, a hotel or a
shop. Point at a word below for its numbers. Some sentences to begin with:</p>
<div class="live-examples" role="group" aria-label="Example sentences">{buttons}</div>
</div>
<p class="live-fixed">Scripts are switched off: here is a fixed example.</p>
<p class="live-answer">Probability of praise <b id="live-lstm-probability">{last}</b>
<span id="live-lstm-note">{len(tokens)} words, all of them known</span></p>
{_table(tokens, reading)}
<dl class="live-numbers" hidden></dl>
<p class="live-legend">A strip has a line for each of the {len(model.tensors["w"])} units; those
that weigh most in the answer are on top. Gates: full colour is open, 1, and pale is closed, 0.
Candidate and cell: right of the line speaks for praise, left of it against; the cell is drawn as
tanh <i>c</i>.</p>
<p class="live-status" role="status"></p>
{weights}
<script src="_static/live-lstm.js" defer></script>
</div>""",
        f"Probability and gates of a small LSTM after every word: {first} {last}",
    )


def _choice(names: Sequence[str]) -> Markup:
    radios = (
        tag(
            "label",
            tag(
                "input",
                type="radio",
                name="live-model",
                value=k,
                checked=k == 0,
                disabled=True,
            ),
            f" {name}",
        )
        for k, name in enumerate(names)
    )
    return tag("fieldset", tag("legend", "Trained on"), *radios, class_="live-models")


def _table(tokens: Sequence[str], reading: Reading) -> Markup:
    """Lay out a reading; the script writes the same cells."""
    words = (tag("th", tag("span", token, class_="live-word"), scope="col") for token in tokens)
    lines = [_line("p", "probability", [_bar(p) for p in reading.probability.tolist()])]
    for field, symbol, name in _ROWS:
        rows: Tensor = getattr(reading, field)
        if field in ("c_tilde", "c"):
            lengths = rows.tanh() if field == "c" else rows
            pairs = zip(rows.tolist(), lengths.tolist(), strict=True)
            cells = [_signed(name, row, bars) for row, bars in pairs]
        else:
            cells = [_heat(name, row) for row in rows.tolist()]
        lines.append(_line(symbol, name, cells))
    corner = tag("th", tag("small", "word"), scope="row", class_="live-name")
    head = tag("thead", tag("tr", corner, *words))
    return tag(
        "div",
        tag("table", head, tag("tbody", *lines), class_="live-table"),
        class_="live-scroll",
        tabindex=0,
        role="region",
        aria_label="Probability and gates after every word",
    )


def _line(symbol: str, name: str, cells: Sequence[Markup]) -> Markup:
    head = joined(tag("i", symbol), " ", tag("small", name))
    return tag(
        "tr",
        tag("th", head, scope="row", class_="live-name"),
        *(tag("td", cell) for cell in cells),
    )


def _bar(p: float) -> Markup:
    """Draw a probability as a bar that rises from one half, or hangs from it."""
    bar = tag(
        "rect",
        class_="for" if p > 0.5 else "against",
        x=20,
        y=f"{40 * (1 - max(p, 0.5)):.2f}",
        width=60,
        height=f"{40 * abs(p - 0.5):.2f}",
    )
    half = tag("path", class_="line", d="M0 20H100")
    return joined(
        f"{p:.2f}",
        tag(
            "svg",
            bar,
            half,
            viewBox="0 0 100 40",
            preserveAspectRatio="none",
            aria_hidden="true",
        ),
    )


def _heat(name: str, values: Sequence[float]) -> Markup:
    """Draw values between 0 and 1 as a strip: the larger, the fuller its colour."""
    rects = (
        tag("rect", y=_PITCH * unit, width=100, height=_BAR, fill_opacity=f"{value:.2f}")
        for unit, value in enumerate(values)
    )
    return _svg(name, values, *rects)


def _signed(name: str, values: Sequence[float], lengths: Sequence[float]) -> Markup:
    """Draw lengths between -1 and 1 as bars from the middle, to the right where positive."""
    paths = []
    for kind, sign in (("for", 1), ("against", -1)):
        bars = (
            f"M50 {_PITCH * unit}h{50 * length:.1f}v{_BAR}H50z"
            for unit, length in enumerate(lengths)
            if length * sign > 0
        )
        paths.append(tag("path", class_=kind, d="".join(bars)))
    return _svg(name, values, *paths, tag("path", class_="line", d=f"M50 0V{_PITCH * len(values)}"))


def _svg(name: str, values: Sequence[float], *shapes: Markup) -> Markup:
    mean = sum(values) / len(values)
    return tag(
        "svg",
        *shapes,
        role="img",
        aria_label=f"{name}: mean {mean:.2f}, from {min(values):.2f} to {max(values):.2f}",
        viewBox=f"0 0 100 {_PITCH * len(values)}",
        preserveAspectRatio="none",
    )
