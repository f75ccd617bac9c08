"""Functions under a course's names."""

from __future__ import annotations

from typing import Any

from implementations._cells import (
    GATES,
    REPEATED_WORDS,
    Matrices,
    Mistake,
    Slots,
    Writing,
    named,
    sequence_mistakes,
    sums_mistakes,
)

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
            "zeros_b": f"np.zeros(({count} * H{', 1' if self.m.columns else ','}))",
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
