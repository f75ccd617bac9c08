"""Recurrent passes as students write them: source texts, right ones and ones with mistakes in them.

A text is a template with slots, ``<name>``, that stand for expressions or lines; what fills them
may have slots itself. A convention is one set of fillings, and a mistake changes a few of them:
mistakes go together unless they fill the same slot.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from dataclasses import dataclass
from typing import Any

Mistake = tuple[str, str]
Slots = dict[str, str]

CELLS = {
    "functions": ("rnn", "lstm", "gru"),
    "dictionaries": ("rnn", "lstm"),
}
"""The cells of each family."""
CONVENTIONS = ("truncated", "mean")
"""Kinds of mistakes that are none: conventions that change values."""
GATES = {"rnn": "h", "lstm": "fico", "gru": "rzn"}
SQUASHED = "hcn"
"""Gates whose value is a tanh; that of the others is a σ."""


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
    writing = WRITINGS[family, cell](cell, usual | convention)
    slots, possible = writing.slots(), writing.mistakes()
    taken: dict[str, Mistake] = {}
    for mistake in mistakes:
        if mistake not in possible:
            raise ValueError(f"{family}, {cell}: no mistake {mistake}")
        for slot, filling in possible[mistake].items():
            if slot in taken:
                raise ValueError(f"{mistake} and {taken[slot]} are in the same place, {slot}")
            if slots[slot] == filling:
                raise ValueError(f"{mistake} changes nothing")
            taken[slot], slots[slot] = mistake, filling
    text = re.sub(r"\n+(?=def |class )", "\n\n\n", filled(writing.template, slots))
    if usual.get("array") and (usual | convention)["array"] == "torch":
        for numpy, torch in TORCH.items():
            text = re.sub(numpy, torch, text)
    return Implementation(family, cell, text + "\n", tuple(mistakes), usual | convention)


def kinds(family: str, cell: str) -> list[Mistake]:
    """Return all mistakes, with their places, that can be put into a family's cell."""
    usual = {name: values[0] for name, values in choices(family, cell).items()}
    possible = list(WRITINGS[family, cell](cell, usual).mistakes())
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
        chosen["order"] = [usual] + [order for order in orders if order != usual][::4]
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


def filled(template: str, slots: Slots) -> str:
    """Return a template with its slots filled; a line of one empty slot goes."""
    lines: list[str] = []
    for line in template.strip("\n").splitlines():
        if alone := re.fullmatch(r"( *)<(\w+)>", line):
            lines += textwrap.indent(filled(slots[alone[2]], slots), alone[1]).splitlines()
        elif found := re.search(r"<(\w+)>", line):
            line = line[: found.start()] + slots[found[1]] + line[found.end() :]
            lines += filled(line, slots).splitlines()
        else:
            lines.append(line)
    return "\n".join(lines)


TORCH = {
    r"import numpy as np": "import torch",
    r"\.dot\(": ".mm(",
    r"np\.zeros\((\(.*?\))\)": r"torch.zeros(\1, dtype=torch.float64)",
    r"np\.maximum\(0, a\)": "torch.clamp(a, min=0)",
    r"np\.add\.at\(dW, x, dout\)": "dW.index_put_((x,), dout, accumulate=True)",
    r"\bnp\.": "torch.",
}


@dataclass(frozen=True)
class Matrices:
    """How products are written: samples as rows or columns, weights (in, out) or (out, in)."""

    columns: bool = False
    out_in: bool = False
    method: bool = True

    def dot(self, a: str, b: str) -> str:
        return f"{a}.dot({b})" if self.method else f"np.dot({a}, {b})"

    def forward(self, x: str, weights: str) -> str:
        right = weights + ".T" * (self.out_in != self.columns)
        return self.dot(right, x) if self.columns else self.dot(x, right)

    def back(self, delta: str, weights: str, *, transposed: bool = True) -> str:
        right = weights + ".T" * ((self.out_in == self.columns) == transposed)
        return self.dot(right, delta) if self.columns else self.dot(delta, right)

    def weight(self, x: str, delta: str) -> str:
        first, second = (delta, x) if self.out_in else (x, delta)
        return self.dot(first, f"{second}.T") if self.columns else self.dot(f"{first}.T", second)

    def bias(self, delta: str, reduction: str = "sum") -> str:
        over = "axis=1, keepdims=True" if self.columns else "axis=0"
        return f"np.{reduction}({delta}, {over})"

    def stack(self, blocks: list[str], *, weights: bool = False) -> str:
        down = self.out_in if weights else self.columns
        return f"np.{'v' if down else 'h'}stack(({', '.join(blocks)}))"

    def block(self, array: str, k: int, *, weights: bool = False) -> str:
        ends = [f"{n} * H" if n > 1 else "H" if n else "" for n in (k, k + 1)]
        down = self.out_in if weights else self.columns
        return f"{array}[{ends[0]}:{ends[1]}]" if down else f"{array}[:, {ends[0]}:{ends[1]}]"

    def size(self, array: str, what: str) -> str:
        return f"{array}.shape[{int((what == 'N') == self.columns)}]"


class Writing:
    """A cell as a family writes it in a convention: its slots, and how mistakes change them."""

    names: Slots
    template: str
    whole = "da"
    """The name of ∂L/∂z of all gates."""

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        self.cell, self.convention = cell, convention
        self.gates = convention.get("order", GATES[cell])
        self.lstm = cell == "lstm"
        self.states = ["h", "c"] if self.lstm else ["h"]
        self.m = Matrices()
        if sorted(self.gates) != sorted(GATES[cell]):
            raise ValueError(f"{cell}: no order of gates {self.gates}")

    def value(self, gate: str) -> str:
        """Return the slot of a gate's value."""
        return {"h": "<hn>", "c": "<g>"}.get(gate, f"<{gate}>")

    def deltas(self) -> Slots:
        """Return the names of all ∂L/∂z."""
        return {gate: self.delta(gate) for gate in self.gates}

    def delta(self, gate: str) -> str:
        """Return the name of ∂L/∂z of a gate."""
        return self.whole if gate == "h" else f"dz{'g' if gate == 'c' else gate}"

    def way(self, part: str, deltas: Slots, *, transposed: bool = True) -> str:
        """Return what the gates send back to x or to h."""
        weights = "<Wx>" if part == "x" else "<Wh>"
        if self.cell == "gru" and part == "h":
            block = {k: self.m.block(weights, self.gates.index(k), weights=True) for k in "rzn"}
            sent = [k for k in "rz" if k in deltas]
            terms = [self.m.back(deltas[k], block[k], transposed=transposed) for k in sent]
            return " + ".join(["<direct>", *terms, *["<through_reset>"] * ("n" in deltas)])
        if deltas == self.deltas():
            return self.m.back(self.whole, weights, transposed=transposed)
        blocks = [deltas.get(k, f"np.zeros_like({self.delta(k)})") for k in self.gates]
        return self.m.back(self.m.stack(blocks) if len(blocks) > 1 else blocks[0], weights)

    def deltas(self) -> Slots:
        return {gate: self.delta(gate) for gate in self.gates}

    def slots(self) -> Slots:
        """Return what fills the slots where nothing is wrong."""
        relu = self.convention.get("nonlinearity") == "relu"
        slots = {**self.names, "cell": self.cell, "sigmoid": "" if self.cell == "rnn" else SIGMOID}
        for gate in self.gates:
            v = self.value(gate)
            slope = f"(1 - {v} ** 2)" if gate in SQUASHED else f"{v} * (1 - {v})"
            slots[f"slope_{gate}"] = f"({v} > 0)" if relu else slope
            slots[f"delta_{gate}"] = f"<grad_{gate}> * <slope_{gate}>"
        m = self.m
        slots |= {
            "a": f"{m.forward('<x>', '<Wx>')} + {m.forward('<h>', '<Wh>')} + <b>",
            "dx": self.way("x", self.deltas()),
            "dh_back": self.way("h", self.deltas()),
            "stack": m.stack([self.delta(gate) for gate in self.gates]),
            "again": "",
            "h_in_weights": "<h>",
            "dWx": m.weight("<x>", self.whole) + "<per_sample>",
            "dWh": m.weight("<h_in_weights>", self.whole) + "<per_sample>",
            "db": m.bias(self.whole),
            "per_sample": "",
        }
        return slots | getattr(self, f"_{self.cell}")()

    def _rnn(self) -> Slots:
        squash = (
            "np.maximum(0, a)" if self.convention.get("nonlinearity") == "relu" else "np.tanh(a)"
        )
        return {
            "forward": f"a = <a>\n<hn> = {squash}",
            "grad_h": "<dhn>",
            "backward": f"<again>\nda = <delta_h>\n{SENT_BACK}",
        }

    def _lstm(self) -> Slots:
        blocks = [(gate, self.m.block("a", k)) for k, gate in enumerate(self.gates)]
        values = [f"{self.value(gate)} = {SQUASH[gate]}({block})" for gate, block in blocks]
        deltas = [f"{self.delta(gate)} = <delta_{gate}>" for gate in self.gates]
        back = ["<q> = np.tanh(<cn>)", "<total_line>", *deltas, "da = <stack>", SENT_BACK]
        return {
            "forward": "\n".join([self._units(), "a = <a>", *values, *STATES]),
            "backward": "\n".join([*back, "<dc> = <dc_back>"]),
            "total_line": "<total> = <total_c>",
            "total": "dc",
            **CELL_STATE,
        }

    def _units(self) -> str:
        return f"H = {self.m.size('<h>', 'H')}"

    def _gru(self) -> Slots:
        m, gates = self.m, self.gates
        a = {gate: m.block("a", gates.index(gate)) for gate in gates}
        block = {gate: m.block("<Wh>", gates.index(gate), weights=True) for gate in gates}
        before = self.convention["reset"] == "before"
        from_h = (
            m.forward("(<r> * <h>)", block["n"])
            if before
            else f"<r> * {m.forward('<h>', block['n'])}"
        )
        new, old, change = "<z>", "(1 - <z>)", "<n> - <h>"
        if self.convention["update"] == "state":
            new, old, change = old, new, "<h> - <n>"
        weights = {gate: m.weight("<h_in_weights>", self.delta(gate)) for gate in "rz"}
        weights["n"] = (
            m.weight("(<r> * <h_in_weights>)", "dzn")
            if before
            else m.weight("<h_in_weights>", "drh")
        )
        values = [f"<{k}> = sigmoid({a[k]} + {m.forward('<h>', block[k])})" for k in "rz"]
        values += [f"<n> = np.tanh({a['n']} + {from_h})", f"<hn> = {old} * <h> + {new} * <n>"]
        deltas = ["dzn = <delta_n>", "drh = <drh>", "dzr = <delta_r>", "dzz = <delta_z>"]
        return {
            "forward": "\n".join([self._units(), f"a = {m.forward('<x>', '<Wx>')} + <b>", *values]),
            "backward": "\n".join([self._units(), *deltas, "da = <stack>", SENT_BACK]),
            "grad_n": f"<dhn> * {new}",
            "grad_z": f"<dhn> * ({change})",
            "grad_r": "drh * <h>" if before else f"dzn * {m.forward('<h>', block['n'])}",
            "drh": m.back("dzn", block["n"]) if before else "dzn * <r>",
            "direct": f"<dhn> * {old}",
            "through_reset": "drh * <r>" if before else m.back("drh", block["n"]),
            "dWh": m.stack([weights[gate] for gate in gates], weights=True) + "<per_sample>",
        }

    def mistakes(self) -> dict[Mistake, Slots]:
        """Return what each mistake changes."""
        changes = {
            **self._slopes(),
            **self._ways(),
            ("next-state", "weights"): {"h_in_weights": "<hn>"},
            ("batch-not-summed", ""): {"db": self.whole},
            ("batch-mean", ""): {
                "per_sample": f" / {self.m.size('<x>', 'N')}",
                "db": self.m.bias(self.whole, "mean"),
            },
        }
        slots = self.slots()
        if self.cell == "rnn":
            again = filled("<forward>", {**slots, "h": "<hn>"})
            changes["next-state", ""] = {"again": again, "h_in_weights": "<hn>"}
        if self.lstm:
            changes |= CELL_MISTAKES
        if self.cell == "gru":
            before = self.convention["reset"] == "before"
            changes |= {
                ("state-path-dropped", ""): {"dh_back": slots["dh_back"].partition(" + ")[2]},
                ("factor-dropped", "r"): {"through_reset": "drh"} if before else {"drh": "dzn"},
            }
        return changes

    def _slopes(self) -> dict[Mistake, Slots]:
        """Return the mistakes in the slopes and signs of the gates."""
        changes: dict[Mistake, Slots] = {}
        for k in self.gates:
            v, slope, delta = self.value(k), f"slope_{k}", f"delta_{k}"
            changes["wrong-sign", k] = {delta: f"-<grad_{k}> * <{slope}>"}
            changes["slope-dropped", k] = {delta: f"<grad_{k}>"}
            if self.convention.get("nonlinearity") == "relu":
                continue
            changes["value-for-slope", k] = {slope: v}
            if k in SQUASHED:
                changes |= {
                    ("wrong-sign", f"{k}:plus"): {slope: f"(1 + {v} ** 2)"},
                    ("slope-twice", k): {slope: f"(1 - np.tanh({v}) ** 2)"},
                    ("value-for-slope", f"{k}:tanh"): {slope: f"np.tanh({v})"},
                    ("square-missing", k): {slope: f"(1 - {v})"},
                    ("other-slope", k): {slope: f"{v} * (1 - {v})"},
                    ("slope-of-gradient", k): {delta: f"1 - (<grad_{k}>) ** 2"},
                }
                if k != "h":
                    changes["candidate-factor", k] = {slope: f"{v} * (1 - {v} ** 2)"}
            else:
                changes |= {
                    ("slope-twice", k): {slope: f"sigmoid({v}) * (1 - sigmoid({v}))"},
                    ("value-for-slope", f"{k}:sigma"): {slope: f"sigmoid({v})"},
                    ("other-slope", k): {slope: f"(1 - {v} ** 2)"},
                    ("slope-of-gradient", k): {delta: f"(<grad_{k}>) * (1 - <grad_{k}>)"},
                }
        return changes

    def _ways(self) -> dict[Mistake, Slots]:
        """Return the mistakes in what the gates send back to x and h, and in their order."""
        deltas = self.deltas()
        sloped = {gate: f"<grad_{gate}>" for gate in deltas}
        changes = {("slope-missing-on-way-back", ""): {"dh_back": self.way("h", sloped)}}
        if self.square:
            untransposed = {"dh_back": self.way("h", deltas, transposed=False)}
            changes["not-transposed", ""] = untransposed
        if len(deltas) > 1:
            for gate in deltas:
                rest = {k: name for k, name in deltas.items() if k != gate}
                changes["term-dropped", gate] = self._sent(rest)
            for a, b in itertools.combinations(GATES[self.cell], 2):
                other = {**deltas, a: deltas[b], b: deltas[a]}
                changes["gates-exchanged", f"{a}-{b}"] = self._exchanged(a, b, other)
        if self.lstm:
            other = {**deltas, "f": deltas["i"], "i": deltas["f"]}
            changes["weights-exchanged", ""] = self._sent(other)
        return changes

    def _sent(self, deltas: Slots) -> Slots:
        return {"dx": self.way("x", deltas), "dh_back": self.way("h", deltas)}

    def _exchanged(self, _a: str, _b: str, other: Slots) -> Slots:
        return {"stack": self.m.stack([other[gate] for gate in self.gates])}

    @property
    def square(self) -> bool:
        """Whether the weights on h are square, so that they run without being transposed."""
        return not self.lstm


SQUASH = {"f": "sigmoid", "i": "sigmoid", "c": "np.tanh", "o": "sigmoid"}
STATES = ("<cn> = <f> * <c> + <i> * <g>", "<hn> = <o> * np.tanh(<cn>)")
SENT_BACK = "<out_x> = <dx>\n<dh> = <dh_back>\ndWx = <dWx>\ndWh = <dWh>\ndb = <db>"
SIGMOID = """
def sigmoid(x):
    return 1 / (1 + np.exp(-x))

"""
CELL_STATE = {
    "total_c": "<dcn> + <from_h>",
    "from_h": "<dhn> * <o> * <slope_q>",
    "slope_q": "(1 - <q> ** 2)",
    "partner_f": "<c>",
    "partner_i": "<g>",
    "partner_c": "<i>",
    "partner_o": "<q>",
    "grad_f": "<total> * <partner_f>",
    "grad_i": "<total> * <partner_i>",
    "grad_c": "<total> * <partner_c>",
    "grad_o": "<dhn> * <partner_o>",
    "dc_back": "<total> * <partner_dc>",
    "partner_dc": "<f>",
}
CELL_MISTAKES: dict[Mistake, Slots] = {
    ("wrong-sign", "tanh_c"): {"total_c": "<dcn> - <from_h>"},
    ("wrong-sign", "tanh_c:plus"): {"slope_q": "(1 + <q> ** 2)"},
    ("slope-dropped", "tanh_c"): {"from_h": "<dhn> * <o>"},
    ("slope-twice", "tanh_c"): {"slope_q": "(1 - np.tanh(<q>) ** 2)"},
    ("square-missing", "tanh_c"): {"slope_q": "(1 - <q>)"},
    ("other-slope", "tanh_c"): {"slope_q": "<q> * (1 - <q>)"},
    ("cell-for-tanh", "tanh_c"): {"slope_q": "(1 - <cn> ** 2)"},
    ("cell-for-tanh", "o"): {"partner_o": "<cn>"},
    ("cell-path-dropped", ""): {"total_c": "<from_h>"},
    ("state-path-dropped", ""): {"total_c": "<dcn>"},
    ("cell-in-bracket", ""): {"total_c": "<dhn> * <o> * (1 - <q> ** 2 + <dcn>)"},
    ("slope-on-one-term", ""): {
        f"delta_{k}": f"<dcn> * <partner_{k}> + <from_h> * <partner_{k}> * <slope_{k}>"
        for k in "fic"
    },
    ("factor-dropped", "o"): {"from_h": "<dhn> * <slope_q>"},
    ("wrong-partner", "f"): {"partner_f": "<cn>"},
    ("wrong-partner", "i"): {"partner_i": "<cn>"},
    ("wrong-partner", "c"): {"partner_c": "<f>"},
    ("wrong-partner", "c_prev"): {"partner_dc": "<i>"},
}
SEQUENCE_MISTAKES: dict[Mistake, Slots] = {
    ("not-carried", "h"): {"carry_h": "<dh_t>"},
    ("own-gradient-unused", ""): {"carry_h": "<sent_h>"},
    ("loop-forward", ""): {"times": "range(T)"},
}


def sequence_mistakes(states: list[str], zero: str) -> dict[Mistake, Slots]:
    """Return the mistakes in what a sequence carries from step to step."""
    if states == ["h"]:
        return dict(SEQUENCE_MISTAKES)
    cell = {"carry_c": zero}
    both = SEQUENCE_MISTAKES["not-carried", "h"] | cell
    return SEQUENCE_MISTAKES | {("not-carried", "c"): cell, ("not-carried", "both"): both}


def sums_mistakes(sums: dict[str, tuple[str, str]], on_h: str | None) -> dict[Mistake, Slots]:
    """Return the mistakes in the sums over the steps: by slot, a sum and the term of a step."""
    plus = {slot: f"{total} += {term}" for slot, (total, term) in sums.items()}
    changes = {
        ("one-step-alone", "first"): {
            slot: f"{total} = {term}" for slot, (total, term) in sums.items()
        },
        ("one-step-alone", "last"): {
            slot: f"if t == T - 1:\n    {each}" for slot, each in plus.items()
        },
        ("added-to-itself", ""): {slot: f"{total} += {total}" for slot, (total, _) in sums.items()},
    }
    if on_h:
        changes["first-state-zero", "h"] = {on_h: f"if t > 0:\n    {plus[on_h]}"}
        changes["added-to-itself", "Wh"] = {on_h: f"{sums[on_h][0]} += {sums[on_h][0]}"}
    return changes


class Functions(Writing):
    """Functions under a course's names, the cache of a step opaque."""

    names = {
        **{"x": "x", "h": "prev_h", "c": "prev_c", "hn": "next_h", "cn": "next_c", "q": "tanh_c"},
        **{"dhn": "dnext_h", "dcn": "dnext_c", "dh": "dprev_h", "dc": "dprev_c", "out_x": "dx"},
        **{"f": "f", "i": "i", "g": "g", "o": "o", "r": "r", "z": "z", "n": "n"},
        **{"Wx": "Wx", "Wh": "Wh", "b": "b", "sent_h": "dprev_h"},
    }

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.layout = convention["layout"]
        self.m = Matrices(self.layout == "DNT", convention["weights"] == "out-in")
        self.inlined = convention["sequence"] == "inlined"
        self.template = FUNCTIONS + (INLINED if self.inlined else STEPS)
        self.template += "" if self.layout == "DNT" else HELPERS

    def at(self, array: str, t: str = "t") -> str:
        """Return one step of a sequence."""
        where = {"NTD": f":, {t}", "TND": t, "DNT": f":, :, {t}"}[self.layout]
        return f"{array}[{where}]"

    def zeros(self, what: str) -> str:
        sizes = {"NTD": f"N, T, {what}", "TND": f"T, N, {what}", "DNT": f"{what}, N, T"}
        dtype = ", dtype=np.float32" if self.convention["buffers"] == "float32" else ""
        return f"np.zeros(({sizes[self.layout]}){dtype})"

    def sizes(self, array: str, what: str) -> str:
        names = {"NTD": f"N, T, {what}", "TND": f"T, N, {what}", "DNT": f"{what}, N, T"}
        return f"{names[self.layout]} = {array}.shape"

    def pack(self, kept: list[str], name: str = "cache") -> Slots:
        """Return how a cache is packed, unpacked and one element of it is read."""
        form = self.convention["cache"]
        joined = ", ".join(kept)
        if form == "dict":
            packed = "{" + ", ".join(f'"{each}": {each}' for each in kept) + "}"
            lines = [f'{each} = {name}["{each}"]' for each in kept]
            return {"pack": packed, "unpack": "\n".join(lines)}
        packed = f"[{joined}]" if form == "list" else f"({joined})"
        return {"pack": packed, "unpack": f"{joined} = {name}"}

    def element(self, kept: list[str], name: str) -> str:
        key = f'"{name}"' if self.convention["cache"] == "dict" else str(kept.index(name))
        return f"cache[0][{key}]"

    def kept(self) -> list[str]:
        """Return what a step's backward pass needs."""
        values = {"rnn": [], "lstm": ["i", "f", "o", "g", "next_c"], "gru": ["r", "z", "n"]}
        states = ["prev_h", "prev_c"][: len(self.states)]
        return ["x", *states, "Wx", "Wh", "b", *values[self.cell], "next_h"]

    def slots(self) -> Slots:
        slots = super().slots()
        kept, lstm = self.kept(), self.lstm
        count, c0 = len(GATES[self.cell]), self.convention.get("c0")
        grads = ["dx", *["dprev_h", "dprev_c"][: len(self.states)], "dWx", "dWh", "db"]
        whole = ["dx", "dh0", *["dc0"] * bool(c0), "dWx", "dWh", "db"]
        of_step = [each if each.startswith("dprev") else f"{each}_t" for each in grads]
        as_dict = self.convention["returned"] == "dict"
        call = f"{self.cell}_step_backward(<carry_h>, {'<carry_c>, ' * lstm}cache[t])"
        own = f"{self.cell}_step_backward(<dh_t>, {'0 * <dh_t>, ' * lstm}cache[t])"
        received = [f'{a} = step["{b}"]' for a, b in zip(of_step, grads, strict=True)]
        h_first = "1" if self.m.columns else ""
        slots |= {
            "pack": self.pack(kept)["pack"],
            "unpack": self.pack(kept)["unpack"],
            "prev": ", ".join(["prev_h", "prev_c"][: len(self.states)]),
            "next": ", ".join(["next_h", "next_c"][: len(self.states)]),
            "dnext": ", ".join(["dnext_h", "dnext_c"][: len(self.states)]),
            "returned": self._returned(grads, grads),
            "returned_whole": self._returned(whole, whole),
            "c0_argument": ", c0=None" if c0 else "",
            "sizes_x": self.sizes("xs" if self.inlined else "x", "D"),
            "sizes_dh": self.sizes("dh", "H"),
            "units": f"H = {self.m.size('h0', 'H')}",
            "weights": "Wx, Wh = " + ", ".join(self.element(kept, each) for each in ("Wx", "Wh")),
            "inputs": f"D = Wx.shape[{int(self.m.out_in)}]",
            "zeros_h": self.zeros("H"),
            "zeros_x": self.zeros("D"),
            "zeros_b": f"np.zeros(({count} * H{', 1' if h_first else ','}))",
            "first_h": "prev_h = h0",
            "first_c": ("prev_c = np.zeros_like(h0)" + " if c0 is None else c0" * bool(c0)) * lstm,
            "c_buffer": "",
            "x_t": self.at("x"),
            "h_t": self.at("h"),
            "keep_c": "",
            "dh_t": self.at("dh"),
            "dx_t": self.at("dx"),
            "first_dh": f"dprev_h = np.zeros_like({self.at('dh', '0')})",
            "first_dc": "dprev_c = np.zeros_like(dprev_h)" * lstm,
            "scale": "",
            "loop": LOOP,
            "times": "reversed(range(T))",
            "carry_h": "<dh_t> + dprev_h",
            "carry_c": "dprev_c",
            "call": "\n".join([f"step = {call}", *received])
            if as_dict
            else f"{', '.join(of_step)} = {call}",
            "dh_last": self.at("dh", "last"),
            "early": "",
            "input_line": "<dx_t> = dx_t",
            "own_input": own + ('["dx"]' if as_dict else "[0]"),
            "late": "dh0 = dprev_h",
            "late_c": "dc0 = dprev_c" * bool(c0),
            "add_x": "dWx += dWx_t",
            "add_h": "dWh += dWh_t",
            "add_b": "db = db + db_t",
            "add_rows": "np.add.at(dW, x, dout)",
            "sizes_scores": ("N, T" if self.layout == "NTD" else "T, N") + ", V = x.shape",
            "words": {"N": "N", "words": "mask.sum()", "sum": "1"}[self.convention["loss"]],
        }
        if self.inlined:
            slots |= self._inlined()
        return slots

    def _inlined(self) -> Slots:
        gates = ", ".join({"lstm": ["i", "f", "o", "g"], "gru": ["r", "z", "n"]}.get(self.cell, []))
        c0 = "c0" if self.convention.get("c0") else "np.zeros_like(h0)"
        c_lines = [f"prev_c = {self.at('c', 't - 1')} if t > 0 else c0", f"next_c = {self.at('c')}"]
        kept = ["xs", "h0", *["c0"] * self.lstm, "Wx", "Wh", "b", "h", *["c"] * self.lstm]
        pack = self.pack([*kept, *["gates"] * bool(gates)])
        first_c = "if c0 is None:\n    c0 = np.zeros_like(h0)" if c0 == "c0" else f"c0 = {c0}"
        return {
            "pack_whole": pack["pack"],
            "unpack_whole": pack["unpack"],
            "x_line": f"x = {self.at('xs')}",
            "h_line": f"prev_h = <h_before> if t > 0 else h0",
            "h_before": self.at("h", "t - 1"),
            "c_line": c_lines[0] * self.lstm,
            "c_first": first_c * self.lstm,
            "c_all": "c = <zeros_h>" * self.lstm,
            "c_t": f"{self.at('c')} = next_c" * self.lstm,
            "cell_lines": "<c_back>\n" + c_lines[1] if self.lstm else "",
            "c_back": c_lines[0],
            "gates": "gates = []" * bool(gates),
            "keep_gates": f"gates.append(({gates}))" * bool(gates),
            "gates_t": f"{gates} = gates[t]" * bool(gates),
            "next_line": f"next_h = {self.at('h')}",
            "dnext_c_line": "dnext_c = <carry_c>" * self.lstm,
            "dx_t": self.at("dxs"),
            "input_line": "<dx_t> = dx",
            "add_x": "sum_Wx += dWx",
            "add_h": "sum_Wh += dWh",
            "add_b": "sum_b = sum_b + db",
            "returned_whole": self._returned(
                ["dx", "dh0", *["dc0"] * (c0 == "c0"), "dWx", "dWh", "db"],
                ["dxs", "dh0", *["dc0"] * (c0 == "c0"), "sum_Wx", "sum_Wh", "sum_b"],
            ),
        }

    def _returned(self, keys: list[str], values: list[str]) -> str:
        if self.convention["returned"] == "tuple":
            return ", ".join(values)
        return "{" + ", ".join(f'"{k}": {v}' for k, v in zip(keys, values, strict=True)) + "}"

    def mistakes(self) -> dict[Mistake, Slots]:
        changes = super().mistakes() | sequence_mistakes(self.states, "np.zeros_like(dprev_c)")
        terms = ("sum_W{0}", "dW{0}") if self.inlined else ("dW{0}", "dW{0}_t")
        sums = {f"add_{k}": (terms[0].format(k), terms[1].format(k)) for k in "xh"}
        sums["add_b"] = ("sum_b", "db") if self.inlined else ("db", "db_t")
        changes |= sums_mistakes(sums, "add_h")
        changes |= {
            ("first-gradient-early", ""): {"early": "dh0 = <carry_h>", "late": ""},
            ("mean", "N"): {"scale": "dh = dh / N"},
            ("mean", "T"): {"scale": "dh = dh / T"},
            ("argument-changed", "h"): {"early": "<dh_t> += dprev_h", "carry_h": "<dh_t>"},
        }
        if self.layout == "TND":
            changes["argument-changed", "h"] = {"early": "dh[t] += dprev_h", "carry_h": "<dh_t>"}
        if self.lstm:
            changes["argument-changed", "c"] = {"total_line": "<dcn> += <from_h>", "total": "<dcn>"}
        if self.inlined:
            changes["first-state-lost", "h"] = {"h_line": "prev_h = <h_before>"}
            if self.lstm:
                c = f"prev_c = {self.at('c', 't - 1')} if t > 0 else np.zeros_like(h0)"
                changes["first-state-zero", "c"] = {"c_back": c}
        else:
            changes |= self._steps_mistakes()
        if self.layout != "DNT":
            changes |= REPEATED_WORDS
        return changes

    def _steps_mistakes(self) -> dict[Mistake, Slots]:
        first = self.at("h", "0")
        changes: dict[Mistake, Slots] = {
            ("input-from-own-loss", ""): {"input_line": "<dx_t> = <own_input>"},
            ("first-state-lost", "h"): {"first_h": "prev_h = np.zeros_like(h0)"},
            ("view-overwritten", "h"): {"first_h": f"prev_h = {first}\nprev_h[:] = h0"},
            ("truncated", "1"): {"loop": TRUNCATED, "carry_h": "dprev_h", "late": ""},
        }
        if self.lstm:
            c0 = "\nif c0 is not None:\n    prev_c[:] = c0" * bool(self.convention["c0"])
            changes["view-overwritten", "c"] = {
                "c_buffer": "c = <zeros_h>",
                "first_c": f"prev_c = {self.at('c', '0')}{c0}",
                "keep_c": f"{self.at('c')} = next_c",
            }
        return changes


class Separate(Writing):
    """An LSTM with one matrix for each gate, on h and x joined: columns, weights (out, in)."""

    h_size, x_size = "n_a", "n_x"
    letters: Slots = {"f": "f", "i": "i", "c": "c", "o": "o"}

    def part(self, weights: str, part: str) -> str:
        """Return the columns of weights that belong to x or h."""
        first = self.h_size if self.convention["concat"] == "hx" else self.x_size
        return f"{weights}[:, {':' * (part == self.convention['concat'][0])}{first}{':' * (part != self.convention['concat'][0])}]"

    def joined(self, h: str) -> str:
        both = [h, "<x>"] if self.convention["concat"] == "hx" else ["<x>", h]
        return f"np.concatenate(({', '.join(both)}))"

    def way(self, part: str, deltas: Slots, *, transposed: bool = True) -> str:
        blocks = {gate: self.part(f"W{self.letters[gate]}", part) for gate in deltas}
        return " + ".join(
            self.m.back(deltas[gate], blocks[gate], transposed=transposed or part == "x")
            for gate in deltas
        )

    def _lstm(self) -> Slots:
        slots = {"joined": self.joined("<h_in_weights>"), **CELL_STATE}
        for gate, letter in self.letters.items():
            slots[f"W_{gate}"], slots[f"b_{gate}"] = f"W{letter}", f"b{letter}"
            slots[f"dW_{gate}"] = f"np.dot({self.delta(gate)}, <inputs>.T)<per_sample>"
            slots[f"db_{gate}"] = self.m.bias(self.delta(gate))
        return slots

    def mistakes(self) -> dict[Mistake, Slots]:
        changes = super().mistakes()
        names = self.deltas()
        changes["batch-not-summed", ""] = {f"db_{k}": name for k, name in names.items()}
        changes["batch-mean", ""] = {"per_sample": f" / {self.m.size('<x>', 'N')}"} | {
            f"db_{k}": self.m.bias(name, "mean") for k, name in names.items()
        }
        return changes

    def _exchanged(self, a: str, b: str, _other: Slots) -> Slots:
        return {f"delta_{x}": f"<grad_{y}> * <slope_{y}>" for x, y in ((a, b), (b, a))}

    @property
    def square(self) -> bool:
        return True


SOFTMAX = """
def softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum(axis=0)

"""
DICTIONARY_LOOP = """
for t in <times>:
    <early>
    gradients = <call>
    <input_line>
    da_prevt = gradients["da_prev"]
    <keep_c>
    <adds>
"""
DICTIONARY_TRUNCATED = """
da0 = np.zeros((n_a, m))
for last in range(T_x):
    da_prevt = da[:, :, last]
    <first_dc>
    for t in range(last, max(-1, last - 2), -1):
        gradients = <call>
        dx[:, :, t] += gradients["dxt"]
        da_prevt = gradients["da_prev"]
        <keep_c>
        <adds>
    if t == 0:
        da0 += da_prevt
"""


class Dictionaries:
    """Cells of a course whose weights and gradients are dictionaries."""

    names = {
        **{"x": "xt", "h": "a_prev", "c": "c_prev", "hn": "a_next", "cn": "c_next"},
        **{"dhn": "da_next", "dcn": "dc_next", "dh": "da_prev", "dc": "dc_prev", "out_x": "dxt"},
        **{"f": "ft", "i": "it", "g": "cct", "o": "ot", "q": "np.tanh(c_next)"},
        **{"Wx": "Wax", "Wh": "Waa", "b": "ba", "total": "(<total_c>)", "inputs": "concat"},
        **{
            "dh_t": "da[:, :, t]",
            "sent_h": "da_prevt",
            "first_a": "a_next = a0",
            "late": "da0 = da_prevt",
        },
        **{"times": "reversed(range(T_x))", "carry_h": "<dh_t> + da_prevt", "carry_c": "dc_prevt"},
        **{"early": "", "scale": "", "c_line": "c = np.zeros((n_a, m, T_x))", "softmax": SOFTMAX},
        "returned_forward": "a, y, (caches, x)",
        **{"input_line": 'dx[:, :, t] = gradients["dxt"]', "loop": DICTIONARY_LOOP},
        "first_c": "c_next = np.zeros((n_a, m))",
        "keep_c": 'dc_prevt = gradients["dc_prev"]',
    }
    weights: tuple[str, ...]
    cell: str

    def sequence_slots(self) -> Slots:
        lstm = self.cell == "lstm"
        read = [f'{each} = parameters["{each}"]' for each in (*self.weights, "W{0}", "b{1}")]
        grads = [f"d{each}" for each in self.weights]
        call = f"{self.cell}_cell_backward(<carry_h>, {'<carry_c>, ' * lstm}caches[t])"
        own = f"{self.cell}_cell_backward(<dh_t>, {'0 * <dh_t>, ' * lstm}caches[t])"
        out = ["dxt", "da_prev", *["dc_prev"] * lstm, *grads]
        whole = ["dx", "da0", *grads]
        return {
            "parameters": "\n".join(read).format(*("y", "y") if lstm else ("ya", "y")),
            "gradients": "{" + ", ".join(f'"{each}": {each}' for each in out) + "}",
            "all_gradients": "{" + ", ".join(f'"{each}": {each}' for each in whole) + "}",
            "zeros": "\n".join(f'd{w} = np.zeros_like(parameters["{w}"])' for w in self.weights),
            "adds": "\n".join(f"<add_{w}>" for w in self.weights),
            "call": call,
            "own_input": own,
        } | {f"add_{w}": self._add(w) for w in self.weights}

    def _add(self, w: str) -> str:
        return f'd{w} = d{w} + gradients["d{w}"]'

    def sequence_mistakes(self) -> dict[Mistake, Slots]:
        lstm = self.cell == "lstm"
        changes = sequence_mistakes(["h", "c"] if lstm else ["h"], "")
        if lstm:
            changes["not-carried", "c"] = {"keep_c": ""}
            changes["not-carried", "both"] = {"carry_h": "<dh_t>", "keep_c": ""}
        changes["loop-forward", ""] = {"times": "range(T_x)"}
        sums = {f"add_{w}": (f"d{w}", f'gradients["d{w}"]') for w in self.weights}
        changes |= sums_mistakes(sums, None if lstm else "add_Waa")
        changes["one-step-alone", "last"] = {
            slot: each.replace("T - 1", "T_x - 1")
            for slot, each in changes["one-step-alone", "last"].items()
        }
        changes |= {
            ("first-gradient-early", ""): {"early": "da0 = <carry_h>", "late": ""},
            ("mean", "N"): {"scale": "da = da / m"},
            ("mean", "T"): {"scale": "da = da / T_x"},
            ("argument-changed", "h"): {"early": "da[:, :, t] += da_prevt", "carry_h": "<dh_t>"},
            ("input-from-own-loss", ""): {"input_line": 'dx[:, :, t] = <own_input>["dxt"]'},
            ("first-state-lost", "h"): {"first_a": "a_next = np.zeros_like(a0)"},
            ("view-overwritten", "h"): {"first_a": "a_next = a[:, :, 0]\na_next[:] = a0"},
            ("truncated", "1"): {"loop": DICTIONARY_TRUNCATED, "carry_h": "da_prevt", "late": ""},
        }
        if lstm:
            changes["view-overwritten", "c"] = {"first_c": "c_next = c[:, :, 0]"}
        return changes


class DictionaryRNN(Dictionaries, Writing):
    whole = "dtanh"
    weights = ("Wax", "Waa", "ba")

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.m = Matrices(columns=True, out_in=True, method=False)
        self.template = DICTIONARY_RNN + DICTIONARY_SEQUENCE

    def slots(self) -> Slots:
        cleared = dict.fromkeys(("c_line", "first_c", "keep_c", "c_t", "first_dc"), "")
        slots = super().slots() | self.sequence_slots() | cleared
        states = {"states": "a_next", "first_cache": "(a1, a_0, x1, parameters)"}
        return slots | states

    def mistakes(self) -> dict[Mistake, Slots]:
        return super().mistakes() | self.sequence_mistakes()


class DictionaryLSTM(Dictionaries, Separate):
    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        self.letters = {**Separate.letters, "i": convention["input"]}
        self.weights = tuple(f"{w}{letter}" for w in "Wb" for letter in self.letters.values())
        super().__init__(cell, convention)
        self.m = Matrices(columns=True, out_in=True, method=False)
        self.template = DICTIONARY_LSTM + DICTIONARY_SEQUENCE

    def delta(self, gate: str) -> str:
        return "dcct" if gate == "c" else f"d{gate}t"

    def slots(self) -> Slots:
        slots = super().slots() | self.sequence_slots()
        states = {
            "states": "a_next, c_next",
            "returned_forward": "a, y, c, (caches, x)",
            "first_dc": "dc_prevt = np.zeros((n_a, m))",
        }
        grads = [f"d{w}{self.letters[k]} = <d{w}_{k}>" for w in "Wb" for k in self.letters]
        return (
            slots
            | states
            | {
                "sigmoid": SIGMOID,
                "c_t": "c[:, :, t] = c_next",
                "joined_before": self.joined("<h>"),
                "weight_gradients": "\n".join(grads),
                "first_cache": "(a1, c1, a_0, c_0, f1, i1, cc1, o1, x1, parameters)",
            }
        )

    def mistakes(self) -> dict[Mistake, Slots]:
        return super().mistakes() | self.sequence_mistakes()


DICTIONARY_RNN = """
import numpy as np
<softmax>

def rnn_cell_forward(xt, a_prev, parameters):
    <parameters>
    a = <a>
    a_next = np.tanh(a)
    yt_pred = softmax(np.dot(Wya, a_next) + by)
    cache = (a_next, a_prev, xt, parameters)
    return a_next, yt_pred, cache


def rnn_cell_backward(da_next, cache):
    (a_next, a_prev, xt, parameters) = cache
    <parameters>
    <again>
    dtanh = <delta_h>
    dxt = <dx>
    da_prev = <dh_back>
    dWax = <dWx>
    dWaa = <dWh>
    dba = <db>
    gradients = <gradients>
    return gradients


"""
DICTIONARY_LSTM = """
import numpy as np
<sigmoid>
<softmax>

def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    <parameters>
    concat = <joined_before>
    ft = sigmoid(np.dot(<W_f>, concat) + <b_f>)
    it = sigmoid(np.dot(<W_i>, concat) + <b_i>)
    cct = np.tanh(np.dot(<W_c>, concat) + <b_c>)
    c_next = ft * c_prev + it * cct
    ot = sigmoid(np.dot(<W_o>, concat) + <b_o>)
    a_next = ot * np.tanh(c_next)
    yt_pred = softmax(np.dot(Wy, a_next) + by)
    cache = (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)
    return a_next, c_next, yt_pred, cache


def lstm_cell_backward(da_next, dc_next, cache):
    (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters) = cache
    <parameters>
    n_x, m = xt.shape
    n_a, m = a_next.shape
    dot = <delta_o>
    dcct = <delta_c>
    dit = <delta_i>
    dft = <delta_f>
    concat = <joined>
    <weight_gradients>
    da_prev = <dh_back>
    dc_prev = <dc_back>
    dxt = <dx>
    gradients = <gradients>
    return gradients


"""
DICTIONARY_SEQUENCE = """
def <cell>_forward(x, a0, parameters):
    caches = []
    n_x, m, T_x = x.shape
    n_a = a0.shape[0]
    n_y = parameters["by"].shape[0]
    a = np.zeros((n_a, m, T_x))
    <c_line>
    y = np.zeros((n_y, m, T_x))
    <first_a>
    <first_c>
    for t in range(T_x):
        <states>, yt, cache = <cell>_cell_forward(x[:, :, t], <states>, parameters)
        a[:, :, t] = a_next
        <c_t>
        y[:, :, t] = yt
        caches.append(cache)
    return <returned_forward>


def <cell>_backward(da, caches):
    (caches, x) = caches
    <first_cache> = caches[0]
    n_a, m, T_x = da.shape
    n_x, m = x1.shape
    <scale>
    dx = np.zeros((n_x, m, T_x))
    <zeros>
    da_prevt = np.zeros((n_a, m))
    <first_dc>
    <loop>
    <late>
    return <all_gradients>
"""


FUNCTIONS = """
import numpy as np
<sigmoid>

def <cell>_step_forward(x, <prev>, Wx, Wh, b):
    <forward>
    cache = <pack>
    return <next>, cache


def <cell>_step_backward(<dnext>, cache):
    <unpack>
    <backward>
    return <returned>


"""
STEPS = """
def <cell>_forward(x, h0, Wx, Wh, b<c0_argument>):
    <sizes_x>
    <units>
    h = <zeros_h>
    <c_buffer>
    cache = []
    <first_h>
    <first_c>
    for t in range(T):
        <next>, step = <cell>_step_forward(<x_t>, <prev>, Wx, Wh, b)
        <h_t> = next_h
        <keep_c>
        <prev> = <next>
        cache.append(step)
    return h, cache


def <cell>_backward(dh, cache):
    <sizes_dh>
    <weights>
    <inputs>
    <scale>
    dx = <zeros_x>
    dWx = np.zeros_like(Wx)
    dWh = np.zeros_like(Wh)
    db = <zeros_b>
    <first_dh>
    <first_dc>
    <loop>
    <late>
    <late_c>
    return <returned_whole>
"""
LOOP = """
for t in <times>:
    <early>
    <call>
    <input_line>
    <add_x>
    <add_h>
    <add_b>
"""
TRUNCATED = """
dh0 = np.zeros_like(dprev_h)
for last in range(T):
    dprev_h = <dh_last>
    <first_dc>
    for t in range(last, max(-1, last - 2), -1):
        <call>
        <dx_t> += dx_t
        <add_x>
        <add_h>
        <add_b>
    if t == 0:
        dh0 += dprev_h
"""
INLINED = """
def <cell>_forward(xs, h0, Wx, Wh, b<c0_argument>):
    <sizes_x>
    <units>
    h = <zeros_h>
    <c_all>
    <c_first>
    <gates>
    for t in range(T):
        <x_line>
        <h_line>
        <c_line>
        <forward>
        <h_t> = next_h
        <c_t>
        <keep_gates>
    cache = <pack_whole>
    return h, cache


def <cell>_backward(dh, cache):
    <sizes_dh>
    <unpack_whole>
    <inputs>
    <scale>
    dxs = <zeros_x>
    sum_Wx = np.zeros_like(Wx)
    sum_Wh = np.zeros_like(Wh)
    sum_b = <zeros_b>
    <first_dh>
    <first_dc>
    for t in <times>:
        <x_line>
        prev_h = <h_before> if t > 0 else h0
        <next_line>
        <cell_lines>
        <gates_t>
        <early>
        dnext_h = <carry_h>
        <dnext_c_line>
        <backward>
        <input_line>
        <add_x>
        <add_h>
        <add_b>
    <late>
    <late_c>
    return <returned_whole>
"""
HELPERS = """


def word_embedding_forward(x, W):
    return W[x], (x, W)


def word_embedding_backward(dout, cache):
    x, W = cache
    dW = np.zeros_like(W)
    <add_rows>
    return dW


def temporal_affine_forward(x, w, b):
    out = x.reshape(-1, x.shape[-1]).dot(w) + b
    return out.reshape(*x.shape[:2], -1), (x, w, b)


def temporal_affine_backward(dout, cache):
    x, w, b = cache
    rows = dout.reshape(-1, dout.shape[-1])
    dx = rows.dot(w.T).reshape(x.shape)
    dw = x.reshape(-1, x.shape[-1]).T.dot(rows)
    db = np.sum(rows, axis=0)
    return dx, dw, db


def temporal_softmax_loss(x, y, mask):
    <sizes_scores>
    rows, right, counted = x.reshape(N * T, V), y.reshape(N * T), mask.reshape(N * T)
    e = np.exp(rows - rows.max())
    p = e / e.sum(-1)[:, None]
    chosen = p[range(N * T), right]
    loss = -np.sum(counted * np.log(chosen)) / <words>
    dx = p * 1.0
    dx[range(N * T), right] -= 1
    dx = dx * counted[:, None] / <words>
    return loss, dx.reshape(x.shape)
"""
REPEATED_WORDS: dict[Mistake, Slots] = {
    ("repeated-words", "assigned"): {"add_rows": "dW[x] = dout"},
    ("repeated-words", "added"): {"add_rows": "dW[x] += dout"},
}
WRITINGS: dict[tuple[str, str], type[Writing]] = {
    ("functions", "rnn"): Functions,
    ("functions", "lstm"): Functions,
    ("functions", "gru"): Functions,
    ("dictionaries", "rnn"): DictionaryRNN,
    ("dictionaries", "lstm"): DictionaryLSTM,
}
