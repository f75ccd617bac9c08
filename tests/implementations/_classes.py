"""Classes of a step and of a sequence, in the manner of a book."""

from __future__ import annotations

import textwrap
from typing import Any

from implementations._cells import (
    REPEATED_WORDS,
    Matrices,
    Mistake,
    Slots,
    Writing,
    named,
    sequence_mistakes,
)

CLASSES = """
import numpy as np
<sigmoid>

class <Cell>:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.cache = None

    def forward(self, x, <prev>):
        Wx, Wh, b = self.params
        <forward>
        self.cache = (<kept>)
        return <next>

    def backward(self, <dnext>):
        Wx, Wh, b = self.params
        <kept> = self.cache
        <backward>
        self.grads[0][...] = dWx
        self.grads[1][...] = dWh
        <store_b>
        return dx, <dprev>


class Time<Cell>:
    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.layers = None
        <none> = None
        self.dh = None
        self.stateful = stateful

    def forward(self, xs):
        Wx, Wh, b = self.params
        N, T, D = xs.shape
        H = Wh.shape[0]
        self.layers = []
        hs = np.empty((N, T, H)<dtype>)
        <first_h>
        <first_c>
        for t in range(T):
            layer = <Cell>(*self.params)
            <state> = layer.forward(xs[:, t, :], <state>)
            hs[:, t, :] = self.h
            self.layers.append(layer)
        return hs

    def backward(self, dhs):
        Wx, Wh, b = self.params
        N, T, H = dhs.shape
        D = Wx.shape[0]
        <scale>
        dxs = np.empty((N, T, D)<dtype>)
        <carried> = <zeros>
        grads = [0, 0, 0]
        for t in <times>:
            layer = self.layers[t]
            <early>
            dx, <carried> = layer.backward(<carry>)
            <adds>
            <input_line>
        for i, grad in enumerate(grads):
            <store>
        <late>
        return dxs

    def set_state(self, <state_names>):
        <state> = <state_names>

    def reset_state(self):
        <none> = None


class TimeEmbedding:
    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]
        self.x = None

    def forward(self, xs):
        (W,) = self.params
        self.x = xs
        return W[xs]

    def backward(self, dout):
        x = self.x
        (dW,) = self.grads
        dW[...] = 0
        <add_rows>


class TimeAffine:
    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]
        self.x = None

    def forward(self, x):
        W, b = self.params
        N, T, D = x.shape
        self.x = x
        return (np.dot(x.reshape(N * T, D), W) + b).reshape(N, T, -1)

    def backward(self, dout):
        W, b = self.params
        N, T, D = self.x.shape
        dout = dout.reshape(N * T, -1)
        self.grads[0][...] = np.dot(self.x.reshape(N * T, D).T, dout)
        self.grads[1][...] = np.sum(dout, axis=0)
        return np.dot(dout, W.T).reshape(N, T, D)


class TimeSoftmaxWithLoss:
    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None
        self.ignore_label = -1

    def forward(self, xs, ts):
        N, T, V = xs.shape
        mask = (ts != self.ignore_label).reshape(N * T)
        e = np.exp(xs - xs.max(axis=-1, keepdims=True))
        ys = (e / e.sum(axis=-1, keepdims=True)).reshape(N * T, V)
        ts = ts.reshape(N * T)
        loss = -np.sum(np.log(ys[np.arange(N * T), ts]) * mask) / <words>
        self.cache = (ts, ys, mask, (N, T, V))
        return loss

    def backward(self, dout=1):
        ts, ys, mask, (N, T, V) = self.cache
        dx = ys * 1.0
        dx[np.arange(N * T), ts] -= 1
        dx *= dout / <words>
        dx *= mask[:, np.newaxis]
        return dx.reshape((N, T, V))
"""


class Classes(Writing):
    """Classes of a step and of a sequence, in the manner of a book."""

    names = named(
        "x=x h=h_prev c=c_prev hn=h_next cn=c_next q=tanh_c_next dhn=dh_next dcn=dc_next "
        "dh=dh_prev dc=dc_prev out_x=dx f=f i=i g=g o=o r=r z=z n=h_hat Wx=Wx Wh=Wh b=b sent_h=dh"
    )

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.m = Matrices(method=False)
        self.template = CLASSES

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
