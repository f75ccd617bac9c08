"""The cells: their lines, with slots, and what each mistake changes."""

from __future__ import annotations

import itertools
import re
import textwrap
from dataclasses import dataclass
from typing import Any

Mistake = tuple[str, str]
Slots = dict[str, str]

GATES = {"rnn": "h", "lstm": "fico", "gru": "rzn"}
SQUASHED = "hcn"
"""Gates whose value is a tanh; that of the others is a σ."""


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


TANH_AGAIN = ("np.tanh(<a>)", "(1 - again ** 2)")


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
            "sigmoid": "" if self.cell == "rnn" else SIGMOID,
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
        own = {"rnn": self._rnn, "lstm": self._lstm, "gru": self._gru}[self.cell]
        return slots | own()

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
            # The recomputed state has a name of its own: W_h's gradient takes h_t.
            relu = self.convention.get("nonlinearity") == "relu"
            squash, slope = ("np.maximum(0, <a>)", "(again > 0)") if relu else TANH_AGAIN
            again = filled(f"again = {squash}", {**slots, "h": "<hn>"})
            changes["next-state", ""] = {
                "again": again,
                "slope_h": slope,
                "h_in_weights": "<hn>",
            }
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
        sloped = {gate: f"(<grad_{gate}>)" for gate in deltas}
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


REPEATED_WORDS: dict[Mistake, Slots] = {
    ("repeated-words", "assigned"): {"add_rows": "dW[x] = dout"},
    ("repeated-words", "added"): {"add_rows": "dW[x] += dout"},
}
"""For an embedding."""
SIGMOID = """
def sigmoid(x):
    return 1 / (1 + np.exp(-x))

"""
