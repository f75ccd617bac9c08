"""A script with one function for the loss and its gradients."""

from __future__ import annotations

from typing import Any, ClassVar

from implementations._cells import (
    SQUASH,
    STATES,
    Matrices,
    Mistake,
    Slots,
    Writing,
    named,
    sequence_mistakes,
    sums_mistakes,
)
from implementations._joined import Joined, Separate

LOSSFUN = """
import numpy as np
<sigmoid>

data = open("input.txt", "r").read()
chars = list(set(data))
data_size, vocab_size = len(data), len(chars)
print("data has %d characters, %d unique." % (data_size, vocab_size))
char_to_ix = {ch: i for i, ch in enumerate(chars)}

hidden_size = 100
seq_length = 25
learning_rate = 1e-1

<parameters>


def lossFun(inputs, targets, <states_before>):
    xs, ps = {}, {}
    <lists>
    hs[-1] = <first_h>
    <first_c>
    <units>
    T = len(inputs)
    loss = 0
    for t in range(T):
        xs[t] = np.zeros((vocab_size, 1))
        xs[t][inputs[t]] = 1
        <forward>
        y = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(y) / np.sum(np.exp(y))
        loss += -np.log(ps[t][targets[t], 0])
    <zeros>
    dhnext = np.zeros_like(hs[0])
    <zero_c>
    for t in <times>:
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        <scale>
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = <carry_h>
        <backward>
        <adds>
        dhnext = <dh_back>
        <next_c>
    <clip>
    return loss, <gradients>, <states_after>


n, p = 0, 0
while n < 1000:
    if p + seq_length + 1 >= len(data) or n == 0:
        <reset>
        p = 0
    inputs = [char_to_ix[ch] for ch in data[p:p + seq_length]]
    targets = [char_to_ix[ch] for ch in data[p + 1:p + seq_length + 1]]
    loss, <gradients>, <states_before> = lossFun(inputs, targets, <states_before>)
    if n % 100 == 0:
        print("iter %d, loss: %f" % (n, loss))
    for param, dparam in zip([<all_parameters>], [<gradients>]):
        param -= learning_rate * dparam
    p += seq_length
    n += 1
"""


class LossFun:
    """One function for the loss and its gradients, the weights global, one sample, its script."""

    names = named(
        "x=xs[t] h=hs[t-1] c=cs[t-1] hn=hs[t] cn=cs[t] q=tanh_c dhn=dh dcn=dcnext dh=dhnext "
        "dc=dcnext f=fs[t] i=ins[t] g=gs[t] o=outs[t] Wx=Wxh Wh=Whh b=bh sent_h=dhnext total=dc "
        "inputs=zs[t]"
    )
    cell: str
    convention: dict[str, Any]
    sums: ClassVar[dict[str, tuple[str, str]]]
    shapes: ClassVar[Slots]
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
    sums: ClassVar = {
        "add_x": ("dWxh", "<dWx>"),
        "add_h": ("dWhh", "<dWh>"),
        "add_b": ("dbh", "dhraw"),
    }
    shapes: ClassVar = {
        "Wxh": "hidden_size, vocab_size",
        "Whh": "hidden_size, hidden_size",
        "bh": "hidden_size, 1",
    }

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.m = Matrices(columns=True, out_in=True, method=False)
        self.template = LOSSFUN

    def slots(self) -> Slots:
        lines = {"forward": "hs[t] = np.tanh(<a>)", "backward": "<again>\ndhraw = <delta_h>"}
        return super().slots() | lines | self.script()

    def mistakes(self) -> dict[Mistake, Slots]:
        return self.script_mistakes(super().mistakes())


class LossFunLSTM(LossFun, Separate):
    h_size, x_size = "hidden_size", "vocab_size"
    sums: ClassVar = {f"add_{w}{k}": (f"d{w}{k}", f"<d{w}_{k}>") for w in "Wb" for k in "fico"}
    shapes: ClassVar = {f"W{k}": "hidden_size, hidden_size + vocab_size" for k in "fico"} | {
        f"b{k}": "hidden_size, 1" for k in "fico"
    }

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.m = Matrices(columns=True, out_in=True, method=False)
        self.template = LOSSFUN

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
    sums: ClassVar = {"add_W": ("dW", "np.dot(da, <inputs>.T)"), "add_b": ("db", "da")}
    shapes: ClassVar = {"W": "4 * hidden_size, hidden_size + vocab_size", "b": "4 * hidden_size, 1"}

    def __init__(self, cell: str, convention: dict[str, Any]) -> None:
        super().__init__(cell, convention)
        self.m = Matrices(columns=True, out_in=True, method=False)
        self.template = LOSSFUN

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
