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

import implementation_templates as templates

Mistake = tuple[str, str]
Slots = dict[str, str]

CELLS = {
    "functions": ("rnn", "lstm", "gru"),
    "classes": ("rnn", "lstm", "gru"),
    "dictionaries": ("rnn", "lstm"),
    "lossfun": ("rnn", "lstm"),
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
    author = writing(family, cell, usual | convention)
    slots, possible = author.slots(), author.mistakes()
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
    text = re.sub(r"\n+(?=def |class )", "\n\n\n", filled(author.template, slots))
    if usual.get("array") and (usual | convention)["array"] == "torch":
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


def named(names: str) -> Slots:
    """Return slots and the names in them, from ``slot=name`` in one string."""
    return {slot: name for slot, _, name in (each.partition("=") for each in names.split())}


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

    def slots(self) -> Slots:
        """Return what fills the slots where nothing is wrong."""
        relu = self.convention.get("nonlinearity") == "relu"
        slots = {
            **self.names,
            "cell": self.cell,
            "sigmoid": "" if self.cell == "rnn" else templates.SIGMOID,
        }
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

    names = named(
        "x=x h=prev_h c=prev_c hn=next_h cn=next_c q=tanh_c dhn=dnext_h dcn=dnext_c dh=dprev_h "
        "dc=dprev_c out_x=dx f=f i=i g=g o=o r=r z=z n=n Wx=Wx Wh=Wh b=b sent_h=dprev_h"
    )

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.layout = convention["layout"]
        self.m = Matrices(self.layout == "DNT", convention["weights"] == "out-in")
        self.inlined = convention["sequence"] == "inlined"
        self.template = templates.FUNCTIONS + (
            templates.INLINED if self.inlined else templates.STEPS
        )
        self.template += "" if self.layout == "DNT" else templates.HELPERS

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
            "loop": templates.LOOP,
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
            "h_line": "prev_h = <h_before> if t > 0 else h0",
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
            ("truncated", "1"): {"loop": templates.TRUNCATED, "carry_h": "dprev_h", "late": ""},
        }
        if self.lstm:
            c0 = "\nif c0 is not None:\n    prev_c[:] = c0" * bool(self.convention["c0"])
            changes["view-overwritten", "c"] = {
                "c_buffer": "c = <zeros_h>",
                "first_c": f"prev_c = {self.at('c', '0')}{c0}",
                "keep_c": f"{self.at('c')} = next_c",
            }
        return changes


class Joined(Writing):
    """An LSTM whose weights act on h and x joined: columns, weights (out, in)."""

    h_size, x_size = "n_a", "n_x"

    def part(self, weights: str, part: str) -> str:
        """Return the columns of weights that belong to x or h."""
        end = self.h_size if self.convention["concat"] == "hx" else self.x_size
        return (
            f"{weights}[:, :{end}]"
            if self.convention["concat"][0] == part
            else f"{weights}[:, {end}:]"
        )

    def joined(self, h: str) -> str:
        both = [h, "<x>"] if self.convention["concat"] == "hx" else ["<x>", h]
        return f"np.concatenate(({', '.join(both)}))"


class Separate(Joined):
    """The same with one matrix for each gate."""

    letters: Slots = {"f": "f", "i": "i", "c": "c", "o": "o"}

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


class Dictionaries:
    """Cells of a course whose weights and gradients are dictionaries."""

    names = named(
        "x=xt h=a_prev c=c_prev hn=a_next cn=c_next dhn=da_next dcn=dc_next dh=da_prev dc=dc_prev "
        "f=ft i=it g=cct o=ot q=np.tanh(c_next) Wx=Wax Wh=Waa b=ba total=(<total_c>) "
        "inputs=concat sent_h=da_prevt"
    )
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
            "softmax": templates.SOFTMAX,
            "loop": templates.DICTIONARY_LOOP,
            "dh_t": "da[:, :, t]",
            "first_a": "a_next = a0",
            "times": "reversed(range(T_x))",
            "carry_h": "<dh_t> + da_prevt",
            "carry_c": "dc_prevt",
            "early": "",
            "late": "da0 = da_prevt",
            "scale": "",
            "input_line": 'dx[:, :, t] = gradients["dxt"]',
            "c_line": "c = np.zeros((n_a, m, T_x))",
            "first_c": "c_next = np.zeros((n_a, m))",
            "keep_c": 'dc_prevt = gradients["dc_prev"]',
            "returned_forward": "a, y, (caches, x)",
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
            ("truncated", "1"): {
                "loop": templates.DICTIONARY_TRUNCATED,
                "carry_h": "da_prevt",
                "late": "",
            },
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
        self.template = templates.DICTIONARY_RNN + templates.DICTIONARY_SEQUENCE

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
        self.template = templates.DICTIONARY_LSTM + templates.DICTIONARY_SEQUENCE

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
                "sigmoid": templates.SIGMOID,
                "c_t": "c[:, :, t] = c_next",
                "joined_before": self.joined("<h>"),
                "weight_gradients": "\n".join(grads),
                "first_cache": "(a1, c1, a_0, c_0, f1, i1, cc1, o1, x1, parameters)",
            }
        )

    def mistakes(self) -> dict[Mistake, Slots]:
        return super().mistakes() | self.sequence_mistakes()


REPEATED_WORDS: dict[Mistake, Slots] = {
    ("repeated-words", "assigned"): {"add_rows": "dW[x] = dout"},
    ("repeated-words", "added"): {"add_rows": "dW[x] += dout"},
}


class Classes(Writing):
    """Classes of a step and of a sequence, in the manner of a book."""

    names = named(
        "x=x h=h_prev c=c_prev hn=h_next cn=c_next q=tanh_c_next dhn=dh_next dcn=dc_next "
        "dh=dh_prev dc=dc_prev out_x=dx f=f i=i g=g o=o r=r z=z n=h_hat Wx=Wx Wh=Wh b=b sent_h=dh"
    )

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.m = Matrices(method=False)
        self.template = templates.CLASSES

    def slots(self) -> Slots:
        slots = super().slots()
        values = {"rnn": [], "lstm": ["f", "g", "i", "o", "c_next"], "gru": ["z", "r", "h_hat"]}
        each = self.states
        dtype = ', dtype="f"' if self.convention["buffers"] == "float32" else ""
        zero = "if not self.stateful or self.{0} is None:\n    self.{0} = np.zeros((N, H)<dtype>)"
        rest = {
            "Cell": {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[self.cell],
            "prev": ", ".join(f"{s}_prev" for s in each),
            "next": ", ".join(f"{s}_next" for s in each),
            "dnext": ", ".join(f"d{s}_next" for s in each),
            "dprev": ", ".join(f"d{s}_prev" for s in each),
            "kept": ", ".join(["x", *[f"{s}_prev" for s in each], *values[self.cell], "h_next"]),
            "store_b": "self.grads[2][...] = db",
            "none": " = ".join(f"self.{s}" for s in each),
            "dtype": dtype,
            "first_h": zero.format("h"),
            "first_c": zero.format("c") * self.lstm,
            "state": ", ".join(f"self.{s}" for s in each),
            "state_names": ", ".join(each),
            "scale": "",
            "carried": ", ".join(f"d{s}" for s in each),
            "zeros": ", ".join("0" for _ in each),
            "times": "reversed(range(T))",
            "early": "",
            "carry": ", ".join(f"<carry_{s}>" for s in each),
            "carry_h": "<dh_t> + dh",
            "carry_c": "dc",
            "dh_t": "dhs[:, t, :]",
            "adds": "for i, grad in enumerate(layer.grads):\n    grads[i] += grad",
            "input_line": "dxs[:, t, :] = dx",
            "store": "self.grads[i][...] = grad",
            "late": "self.dh = dh",
            "add_rows": "np.add.at(dW, x, dout)",
            "words": {"words": "mask.sum()", "N": "N", "sum": "1"}[self.convention["loss"]],
        }
        return slots | rest

    def mistakes(self) -> dict[Mistake, Slots]:
        adds = self.slots()["adds"]
        changes = super().mistakes() | sequence_mistakes(self.states, "0") | REPEATED_WORDS
        changes["batch-not-summed", ""] |= {"store_b": "self.grads[2] = db"}
        changes["batch-not-summed", ""] |= {"store": "self.grads[i] = grad"}
        own = f"layer.backward(<dh_t>{', 0' * self.lstm})[0]"
        changes |= {
            ("one-step-alone", "first"): {"adds": adds.replace("+=", "=")},
            ("one-step-alone", "last"): {
                "adds": "if t == T - 1:\n" + textwrap.indent(adds, "    ")
            },
            ("added-to-itself", ""): {"adds": adds.replace("layer.grads", "grads")},
            ("first-gradient-early", ""): {"early": "self.dh = <carry_h>", "late": ""},
            ("mean", "N"): {"scale": "dhs = dhs / N"},
            ("mean", "T"): {"scale": "dhs = dhs / T"},
            ("argument-changed", "h"): {"early": "dhs[:, t, :] += dh", "carry_h": "<dh_t>"},
            ("input-from-own-loss", ""): {"input_line": f"dxs[:, t, :] = {own}"},
            ("first-state-lost", "h"): {"first_h": "self.h = np.zeros((N, H)<dtype>)"},
        }
        if self.lstm:
            changes["argument-changed", "c"] = {"total_line": "<dcn> += <from_h>", "total": "<dcn>"}
        return changes


class LossFun:
    """One function for the loss and its gradients, the weights global, one sample, its script."""

    names = named(
        "x=xs[t] h=hs[t-1] c=cs[t-1] hn=hs[t] cn=cs[t] q=tanh_c dhn=dh dcn=dcnext dh=dhnext "
        "dc=dcnext f=fs[t] i=ins[t] g=gs[t] o=outs[t] Wx=Wxh Wh=Whh b=bh sent_h=dhnext total=dc "
        "inputs=zs[t]"
    )
    cell: str
    convention: dict[str, Any]
    sums: dict[str, tuple[str, str]]
    shapes: Slots
    """The parameters, in the order of what is returned, and their shapes."""

    def script(self) -> Slots:
        """Return the slots around the cell's own lines."""
        lstm = self.cell == "lstm"
        shapes = {**self.shapes, "Why": "vocab_size, hidden_size", "by": "vocab_size, 1"}
        shapes = dict(sorted(shapes.items(), key=lambda each: each[0][0] == "b"))
        grads = [f"d{name}" for name in shapes]
        start = {"W": "np.random.randn({}) * 0.01", "b": "np.zeros(({}))"}
        clip = f"for dparam in [{', '.join(grads)}]:\n    np.clip(dparam, -5, 5, out=dparam)"
        return {
            "parameters": "\n".join(f"{k} = {start[k[0]].format(v)}" for k, v in shapes.items()),
            "all_parameters": ", ".join(shapes),
            "gradients": ", ".join(grads),
            "zeros": "\n".join(f"d{name} = np.zeros_like({name})" for name in shapes),
            "states_before": "hprev, cprev" if lstm else "hprev",
            "states_after": "hs[T - 1], cs[T - 1]" if lstm else "hs[T - 1]",
            "reset": "\n".join(
                f"{s}prev = np.zeros((hidden_size, 1))" for s in ("h", "c")[: 1 + lstm]
            ),
            "lists": "hs, cs, zs, fs, ins, gs, outs = {}, {}, {}, {}, {}, {}, {}"
            if lstm
            else "hs = {}",
            "first_h": "np.copy(hprev)",
            "first_c": "cs[-1] = np.copy(cprev)" * lstm,
            "zero_c": "dcnext = np.zeros_like(cs[0])" * lstm,
            "units": "H = hidden_size" * bool(self.convention.get("packed")),
            "times": "reversed(range(T))",
            "scale": "",
            "dh_t": "np.dot(Why.T, dy)",
            "carry_h": "<dh_t> + dhnext",
            "next_c": "dcnext = <dc_back>" * lstm,
            "clip": clip if self.convention["clip"] else "",
            "adds": "\n".join(f"<{slot}>" for slot in self.sums),
            **{slot: f"{total} += {term}" for slot, (total, term) in self.sums.items()},
        }

    def script_mistakes(self, changes: dict[Mistake, Slots]) -> dict[Mistake, Slots]:
        """Return the mistakes that one sample, and gradients of the weights alone, can show."""
        kept = {each: change for each, change in changes.items() if not each[0].startswith("batch")}
        lstm = self.cell == "lstm"
        kept |= sequence_mistakes(["h"], "") | sums_mistakes(self.sums, None if lstm else "add_h")
        kept["first-state-lost", "h"] = {"first_h": "np.zeros_like(hprev)"}
        kept["mean", "T"] = {"scale": "dy = dy / T"}
        if lstm:
            both = {"carry_h": "<dh_t>", "next_c": ""}
            kept |= {("not-carried", "c"): {"next_c": ""}, ("not-carried", "both"): both}
            kept["first-state-zero", "c"] = {"partner_f": "(cs[t - 1] if t > 0 else 0)"}
            kept["next-state", "weights"] = {"inputs": "<joined_after>"}
        return kept


class LossFunRNN(LossFun, Writing):
    whole = "dhraw"
    sums = {"add_x": ("dWxh", "<dWx>"), "add_h": ("dWhh", "<dWh>"), "add_b": ("dbh", "dhraw")}
    shapes = {
        "Wxh": "hidden_size, vocab_size",
        "Whh": "hidden_size, hidden_size",
        "bh": "hidden_size, 1",
    }

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.m = Matrices(columns=True, out_in=True, method=False)
        self.template = templates.LOSSFUN

    def slots(self) -> Slots:
        lines = {"forward": "hs[t] = np.tanh(<a>)", "backward": "<again>\ndhraw = <delta_h>"}
        return super().slots() | lines | self.script()

    def mistakes(self) -> dict[Mistake, Slots]:
        changes = self.script_mistakes(super().mistakes())
        # The recomputed state has a name of its own: hs[t] is what the step after it needs.
        again = filled("again = np.tanh(<a>)", {**self.slots(), "h": "<hn>"})
        slope = {"slope_h": "(1 - again ** 2)", "h_in_weights": "<hn>"}
        changes["next-state", ""] = {"again": again} | slope
        return changes


class LossFunLSTM(LossFun, Separate):
    h_size, x_size = "hidden_size", "vocab_size"
    sums = {f"add_{w}{k}": (f"d{w}{k}", f"<d{w}_{k}>") for w in "Wb" for k in "fico"}
    shapes = {f"W{k}": "hidden_size, hidden_size + vocab_size" for k in "fico"} | {
        f"b{k}": "hidden_size, 1" for k in "fico"
    }

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.m = Matrices(columns=True, out_in=True, method=False)
        self.template = templates.LOSSFUN

    def delta(self, gate: str) -> str:
        return f"dz{gate}"

    def slots(self) -> Slots:
        deltas = [f"{self.delta(gate)} = <delta_{gate}>" for gate in self.gates]
        values = [f"{self.value(k)} = {SQUASH[k]}(np.dot(W{k}, zs[t]) + b{k})" for k in self.gates]
        forward = [f"zs[t] = {self.joined('<h>')}", *values, *STATES]
        biases = {f"db_{gate}": self.delta(gate) for gate in self.gates}
        return (
            super().slots()
            | biases
            | self.script()
            | {
                "forward": "\n".join(forward),
                "backward": "\n".join(["<q> = np.tanh(<cn>)", "<total_line>", *deltas]),
                "total_line": "<total> = <total_c>",
                "joined_after": self.joined("<hn>"),
            }
        )

    def mistakes(self) -> dict[Mistake, Slots]:
        return self.script_mistakes(super().mistakes())


class LossFunPacked(LossFun, Joined):
    h_size, x_size = "hidden_size", "vocab_size"
    sums = {"add_W": ("dW", "np.dot(da, <inputs>.T)"), "add_b": ("db", "da")}
    shapes = {"W": "4 * hidden_size, hidden_size + vocab_size", "b": "4 * hidden_size, 1"}

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.m = Matrices(columns=True, out_in=True, method=False)
        self.template = templates.LOSSFUN

    def slots(self) -> Slots:
        slots = super().slots()
        joined, a = f"zs[t] = {self.joined('<h>')}", "a = np.dot(W, zs[t]) + b"
        forward = slots["forward"].splitlines()[2:]
        backward = slots["backward"].splitlines()
        own = {
            "Wx": self.part("W", "x"),
            "Wh": self.part("W", "h"),
            "forward": "\n".join([joined, a, *forward]),
            "backward": "\n".join(backward[: backward.index("da = <stack>") + 1]),
            "joined_after": self.joined("<hn>"),
        }
        return slots | own | self.script()

    def mistakes(self) -> dict[Mistake, Slots]:
        return self.script_mistakes(super().mistakes())


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
