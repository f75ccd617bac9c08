"""Recurrent passes as students write them: source texts, right ones and ones with mistakes in them.

A text is a template with slots, ``<name>``, that stand for expressions or lines; what fills them
may have slots itself. A convention is one set of fillings, and a mistake changes a few of them:
mistakes go together unless they fill the same slot.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import Any

from implementations._cells import GATES, Mistake, Writing, filled
from implementations._classes import Classes
from implementations._dictionaries import DictionaryLSTM, DictionaryRNN
from implementations._functions import Functions
from implementations._lossfun import LossFunLSTM, LossFunPacked, LossFunRNN

__all__ = [
    "CELLS",
    "CONVENTIONS",
    "GATES",
    "UNFINISHED",
    "Implementation",
    "Mistake",
    "conventions",
    "implementation",
    "kinds",
    "quirks",
]

CELLS = {
    "functions": ("rnn", "lstm", "gru"),
    "classes": ("rnn", "lstm", "gru"),
    "dictionaries": ("rnn", "lstm"),
    "lossfun": ("rnn", "lstm"),
}
"""The cells of each family."""
CONVENTIONS = ("truncated", "mean")
"""Kinds of mistakes that are none: conventions that change values."""


@dataclass(frozen=True)
class Implementation:
    """One file as a student writes it, and what a checker should find in it."""

    family: str
    cell: str
    text: str
    mistakes: tuple[Mistake, ...]
    convention: dict[str, Any]


def implementation(
    family: str, cell: str, mistakes: tuple[Mistake, ...] = (), **convention: Any
) -> Implementation:
    """Return one file; ValueError where a mistake or a convention has no meaning there."""
    chosen = choices(family, cell)
    if unknown := convention.keys() - chosen.keys():
        raise ValueError(f"{family}, {cell}: no convention {sorted(unknown)}")
    usual = {name: values[0] for name, values in chosen.items()}
    if family == "functions" and ("first-state-zero", "c") in mistakes:
        usual |= {"sequence": "inlined", "c0": True}
    author = writing(family, cell, usual | convention)
    right, possible = author.slots(), author.mistakes()
    taken: dict[str, Mistake] = {}
    for mistake in mistakes:
        if mistake not in possible:
            raise ValueError(f"{family}, {cell}: no mistake {mistake}")
        for slot in possible[mistake]:
            if slot in taken:
                raise ValueError(f"{mistake} and {taken[slot]} are in the same place, {slot}")
            taken[slot] = mistake
    slots = right | {slot: possible[mistake][slot] for slot, mistake in taken.items()}
    text = filled(author.template, slots)
    for mistake in mistakes:
        without = slots | {slot: right[slot] for slot in possible[mistake]}
        if filled(author.template, without) == text:
            raise ValueError(f"{mistake} cannot be seen beside the others of {mistakes}")
    text = re.sub(r"\n+(?=def |class )", "\n\n\n", text)
    if (usual | convention).get("array") == "torch":
        for numpy, torch in TORCH.items():
            text = re.sub(numpy, torch, text)
    return Implementation(family, cell, text + "\n", tuple(mistakes), usual | convention)


def writing(family: str, cell: str, convention: dict[str, Any]) -> Writing:
    """Return how a family writes a cell in a whole convention."""
    made = LossFunPacked if convention.get("packed") else WRITINGS[family, cell]
    return made(cell, convention)


def kinds(family: str, cell: str) -> list[Mistake]:
    """Return all mistakes, with their places, that can be put into a family's cell."""
    usual = {name: values[0] for name, values in choices(family, cell).items()}
    possible = list(writing(family, cell, usual).mistakes())
    return possible + [("first-state-zero", "c")] * ((family, cell) == ("functions", "lstm"))


def conventions(family: str, cell: str) -> list[dict[str, Any]]:
    """Return the conventions to try: each choice by itself, and those that meet in a line."""
    chosen = choices(family, cell)
    kept = [{name: value} for name, values in chosen.items() for value in values]
    for first, second in MEETING:
        if first in chosen and second in chosen:
            some = itertools.product(chosen[first][-3:], chosen[second][1:3])
            kept += [{first: a, second: b} for a, b in some]
    return kept


MEETING = (
    ("array", "layout"),
    ("array", "sequence"),
    ("layout", "weights"),
    ("layout", "sequence"),
    ("weights", "order"),
    ("weights", "reset"),
    ("sequence", "c0"),
    ("sequence", "nonlinearity"),
    ("cache", "returned"),
    ("cache", "sequence"),
    ("reset", "update"),
    ("packed", "concat"),
    ("packed", "order"),
    ("concat", "input"),
)


def choices(family: str, cell: str) -> dict[str, list[Any]]:
    """Return what an author may choose, the usual first."""
    if cell not in CELLS.get(family, ()):
        raise ValueError(f"{family}: no {cell}")
    chosen: dict[str, list[Any]] = {}
    orders = ["".join(order) for order in itertools.permutations(GATES[cell])]
    if cell == "gru":
        usual = "zrn" if family == "classes" else "rzn"
        chosen["order"] = [usual] + [order for order in orders if order != usual]
        chosen |= {"reset": ["before", "after"], "update": ["candidate", "state"]}
    if cell == "lstm" and family != "dictionaries":
        usual = {"functions": "ifoc", "classes": "fcio", "lossfun": "fico"}[family]
        chosen["order"] = [usual, *[order for order in orders if order != usual][::4]]
    if family in ("functions", "classes"):
        chosen |= {"nonlinearity": ["tanh", "relu"]} if cell == "rnn" else {}
        chosen["buffers"] = ["float64", "float32"]
    if family == "classes":
        chosen["loss"] = ["words", "N", "sum"]
    if family == "functions":
        chosen |= {
            "array": ["numpy", "torch"],
            "layout": ["NTD", "TND", "DNT"],
            "weights": ["in-out", "out-in"],
            "cache": ["tuple", "list", "dict"],
            "sequence": ["steps", "inlined"],
            "returned": ["tuple", "dict"],
            "loss": ["N", "words", "sum"],
        }
        chosen |= {"c0": [False, True]} if cell == "lstm" else {}
    if family in ("dictionaries", "lossfun") and cell == "lstm":
        chosen["concat"] = ["hx", "xh"]
        if family == "dictionaries":
            chosen["input"] = ["i", "u"]
        else:
            chosen["packed"] = [False, True]
    if family == "lossfun":
        chosen["clip"] = [True, False]
    return chosen


TORCH = {
    r"import numpy as np": "import torch",
    r"\.dot\(": ".mm(",
    r"np\.zeros\((\(.*?\))\)": r"torch.zeros(\1, dtype=torch.float64)",
    r"np\.maximum\(0, a\)": "torch.clamp(a, min=0)",
    r"np\.add\.at\(dW, x, dout\)": "dW.index_put_((x,), dout, accumulate=True)",
    r"\bnp\.": "torch.",
}

WRITINGS: dict[tuple[str, str], type[Writing]] = {
    ("functions", "rnn"): Functions,
    ("functions", "lstm"): Functions,
    ("functions", "gru"): Functions,
    ("classes", "rnn"): Classes,
    ("classes", "lstm"): Classes,
    ("classes", "gru"): Classes,
    ("dictionaries", "rnn"): DictionaryRNN,
    ("dictionaries", "lstm"): DictionaryLSTM,
    ("lossfun", "rnn"): LossFunRNN,
    ("lossfun", "lstm"): LossFunLSTM,
}


UNFINISHED = '''
import numpy as np


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    """
    Run one step of a vanilla RNN.

    Returns the next state and what the backward pass needs.
    """
    next_h, cache = None, None
    # TODO: implement a single forward step.
    pass
    return next_h, cache


def rnn_step_backward(dnext_h, cache):
    dx, dprev_h, dWx, dWh, db = None, None, None, None, None
    # TODO: implement the backward pass of a single step.
    pass
    return dx, dprev_h, dWx, dWh, db


def rnn_forward(x, h0, Wx, Wh, b):
    h, cache = None, None
    # YOUR CODE HERE
    return h, cache


def rnn_backward(dh, cache):
    pass


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    raise NotImplementedError


def lstm_step_backward(dnext_h, dnext_c, cache):
    ...


def word_embedding_forward(x, W):
    out, cache = None, None
    out = W[x]
    cache = (x, W)
    return out, cache


def word_embedding_backward(dout, cache):
    dW = None
    # TODO: np.add.at may help.
    return dW
'''.lstrip()
"""A template that is handed out, with one function written."""

TRAINING = """
data = open("input.txt").read()
h0 = np.zeros((1, 100))
Wx, Wh, b = np.random.randn(len(data), 100), np.random.randn(100, 100), np.zeros(100)
for epoch in range(100):
    h, cache = rnn_forward(data, h0, Wx, Wh, b)
    dx, dh0, dWx, dWh, db = rnn_backward(h - 1, cache)
    Wx -= 0.1 * dWx
    print("epoch %d" % epoch)
assert np.abs(h).max() < 1
"""


def quirks() -> dict[str, Implementation]:
    """Return right files that do not run as they are, by what is the matter with them."""
    rnn, lstm = implementation("functions", "rnn"), implementation("functions", "lstm")
    course = implementation("dictionaries", "lstm")
    printed = 'def rnn_forward(x, h0, Wx, Wh, b):\n    print "states", h0.shape'
    own = re.compile(r"def (sigmoid|softmax)\(x\):\n(    .*\n)+\n\n")
    texts = {
        "print of Python 2": (rnn, rnn.text.replace(printed.splitlines()[0], printed)),
        "xrange": (rnn, rnn.text.replace(" range(", " xrange(").replace("(range(", "(xrange(")),
        "tabs": (rnn, _tabs(rnn.text)),
        "no sigmoid": (lstm, own.sub("", lstm.text)),
        "no numpy": (rnn, rnn.text.replace("import numpy as np\n", "")),
        "unknown import": (
            rnn,
            "from cs_course.gradient_check import eval_numerical_gradient\n" + rnn.text,
        ),
        "helper module": (
            course,
            own.sub("", course.text).replace(
                "import numpy as np\n", "import numpy as np\nfrom rnn_utils import *\n"
            ),
        ),
        "training": (rnn, f"{rnn.text}\n{TRAINING}"),
    }
    return {name: replace(right, text=text) for name, (right, text) in texts.items()}


def _tabs(text: str) -> str:
    """Return a text indented by eight, in every other line by a tab for them."""
    lines = []
    for number, line in enumerate(text.splitlines()):
        code = line.lstrip(" ")
        deep = (len(line) - len(code)) // 4
        lines.append(("\t" if number % 2 else " " * 8) * deep + code)
    return "\n".join(lines) + "\n"
