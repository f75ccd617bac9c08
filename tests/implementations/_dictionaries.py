"""Cells of a course whose weights and gradients are dictionaries."""

from __future__ import annotations

from typing import Any

from implementations._cells import (
    SIGMOID,
    Matrices,
    Mistake,
    Slots,
    Writing,
    named,
    sequence_mistakes,
    sums_mistakes,
)
from implementations._joined import Separate

SOFTMAX = """
def softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum(axis=0)

"""
RNN = """
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
LSTM = """
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
SEQUENCE = """
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
LOOP = """
for t in <times>:
    <early>
    gradients = <call>
    <input_line>
    da_prevt = gradients["da_prev"]
    <keep_c>
    <adds>
"""
TRUNCATED = """
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
            "softmax": SOFTMAX,
            "loop": LOOP,
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
                "loop": TRUNCATED,
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
        self.template = RNN + SEQUENCE

    def slots(self) -> Slots:
        cleared = dict.fromkeys(("c_line", "first_c", "keep_c", "c_t", "first_dc"), "")
        slots = super().slots() | self.sequence_slots() | cleared
        states = {"states": "a_next", "first_cache": "(a1, a_0, x1, parameters)"}
        return slots | states

    def mistakes(self) -> dict[Mistake, Slots]:
        return super().mistakes() | self.sequence_mistakes()


class DictionaryLSTM(Dictionaries, Separate):
    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.weights = tuple(f"{w}{letter}" for w in "Wb" for letter in self.letters.values())
        self.m = Matrices(columns=True, out_in=True, method=False)
        self.template = LSTM + SEQUENCE

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
