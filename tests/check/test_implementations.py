"""The texts of `implementations` do what they are said to do: right ones agree with autograd."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from implementations import (
    CELLS,
    GATES,
    UNFINISHED,
    Implementation,
    Mistake,
    conventions,
    implementation,
    kinds,
    quirks,
)
from torch import Tensor

N, T, D, H = 2, 3, 4, 5
Array = Any
Named = dict[str, Array]
FAMILIES = [(family, cell) for family, cells in CELLS.items() for cell in cells]
RIGHT = [
    (family, cell, convention)
    for family, cell in FAMILIES
    for convention in [{}, *conventions(family, cell)]
]
WRONG = [(*each, kind) for each in FAMILIES for kind in kinds(*each)]


class Problem:
    """Random weights by gate, inputs, states and upstream gradients, samples first."""

    def __init__(self, cell: str, samples: int = N) -> None:
        random = np.random.default_rng(7)
        self.cell, self.gates = cell, GATES[cell]
        self.arrays: Named = {}
        for gate in self.gates:
            self.arrays[f"Wx {gate}"] = random.normal(size=(D, H))
            self.arrays[f"Wh {gate}"] = random.normal(size=(H, H))
            self.arrays[f"b {gate}"] = random.normal(size=H)
        self.arrays["x"] = random.normal(size=(samples, T, D))
        self.arrays["h0"] = random.uniform(0.2, 0.9, size=(samples, H))
        self.arrays["c0"] = random.normal(size=(samples, H))
        self.arrays["Wy"] = random.normal(size=(H, D))
        self.arrays["by"] = random.normal(size=D)
        self.dh = random.normal(size=(samples, T, H))
        self.dc = random.normal(size=(samples, H))

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def gradients(self, loss: Callable[[dict[str, Tensor]], Tensor]) -> Named:
        """Return autograd's gradients of a loss with respect to all arrays."""
        leaves = {k: torch.tensor(v, requires_grad=True) for k, v in self.arrays.items()}
        loss(leaves).backward()  # type: ignore[no-untyped-call]
        return {
            k: np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
            for k, leaf in leaves.items()
        }

    def step(self, convention: Named, w: Named, x: Tensor, h: Tensor, c: Tensor) -> Any:
        """Return the next states of a step, (h, c)."""

        def z(gate: str, state: Tensor = h) -> Tensor:
            return as_tensor(x @ w[f"Wx {gate}"] + state @ w[f"Wh {gate}"] + w[f"b {gate}"])

        if self.cell == "rnn":
            relu = convention.get("nonlinearity") == "relu"
            return (torch.relu if relu else torch.tanh)(z("h")), c
        if self.cell == "lstm":
            c = torch.sigmoid(z("f")) * c + torch.sigmoid(z("i")) * torch.tanh(z("c"))
            return torch.sigmoid(z("o")) * torch.tanh(c), c
        r, update = torch.sigmoid(z("r")), torch.sigmoid(z("z"))
        if convention["reset"] == "before":
            new = torch.tanh(z("n", r * h))
        else:
            new = torch.tanh(x @ w["Wx n"] + w["b n"] + r * (h @ w["Wh n"]))
        kept = update if convention["update"] == "state" else 1 - update
        return kept * h + (1 - kept) * new, c

    def states(self, convention: Named, w: Named, c0: Tensor) -> Tensor:
        h, c, all_h = w["h0"], c0, []
        for t in range(T):
            h, c = self.step(convention, w, w["x"][:, t], h, c)
            all_h.append(h)
        return torch.stack(all_h, 1)


class Functions:
    """Calls functions under a course's names, and says what they should return."""

    def __init__(self, made: Implementation) -> None:
        self.made, self.convention = made, made.convention
        self.problem = Problem(made.cell)
        self.namespace = run(made.text)
        self.columns = self.convention["layout"] == "DNT"
        self.states = ["h", "c"] if made.cell == "lstm" else ["h"]

    def packed(self, arrays: Named, name: str) -> Array:
        order = self.convention.get("order", "h")
        whole = np.concatenate([arrays[f"{name} {gate}"] for gate in order], -1)
        if name == "b":
            return whole[:, None] if self.columns else whole
        return whole.T if self.convention["weights"] == "out-in" else whole

    def state(self, array: Array) -> Array:
        return array.T if self.columns else array

    def sequence(self, array: Array) -> Array:
        axes = {"NTD": (0, 1, 2), "TND": (1, 0, 2), "DNT": (2, 0, 1)}
        return array.transpose(axes[self.convention["layout"]])

    def call(self, name: str, *arguments: Array) -> Any:
        if self.convention["array"] == "torch":
            arguments = tuple(
                torch.from_numpy(each.copy()) if isinstance(each, np.ndarray) else each
                for each in arguments
            )
        else:
            arguments = tuple(
                each.copy() if isinstance(each, np.ndarray) else each for each in arguments
            )
        return self.namespace[f"{self.made.cell}_{name}"](*arguments)

    def named(self, names: list[str], returned: Any, prefix: str) -> Named:
        if isinstance(returned, dict):
            returned = [returned[name] for name in names]
        assert len(names) == len(returned)
        return {f"{prefix} {k}": np.asarray(v) for k, v in zip(names, returned, strict=True)}

    def returned(self) -> Named:
        p = self.problem
        weights = [self.packed(p.arrays, name) for name in ("Wx", "Wh", "b")]
        before = [self.state(p[f"{name}0"]) for name in self.states]
        *after, cache = self.call("step_forward", self.state(p["x"][:, 0]), *before, *weights)
        upstream = [self.state(each) for each in (p.dh[:, 0], p.dc)][: len(after)]
        grads = self.call("step_backward", *upstream, cache)
        names = ["dx", *[f"dprev_{each}" for each in self.states], "dWx", "dWh", "db"]
        found = self.named(names, grads, "step")
        c0 = [self.state(p["c0"])] * bool(self.convention.get("c0"))
        h, cache = self.call("forward", self.sequence(p["x"]), self.state(p["h0"]), *weights, *c0)
        grads = self.call("backward", self.sequence(p.dh), cache)
        names = ["dx", "dh0", *["dc0"] * len(c0), "dWx", "dWh", "db"]
        return found | self.named(names, grads, "sequence") | {"sequence h": np.asarray(h)}

    def first(self, w: Named) -> Tensor:
        """Return the first state of the cell."""
        c0 = as_tensor(w["c0"])
        return c0 if self.convention.get("c0") else torch.zeros_like(c0)

    def expected(self) -> Named:
        p, convention = self.problem, self.convention
        dh, dc = torch.tensor(p.dh), torch.tensor(p.dc)

        def step_loss(w: Named) -> Tensor:
            h, c = p.step(convention, w, w["x"][:, 0], w["h0"], w["c0"])
            return as_tensor((h * dh[:, 0]).sum() + ((c * dc).sum() if p.cell == "lstm" else 0))

        def sequence_loss(w: Named) -> Tensor:
            return (p.states(convention, w, self.first(w)) * dh).sum()

        step, whole = p.gradients(step_loss), p.gradients(sequence_loss)
        found = {"step dx": self.state(step["x"][:, 0])}
        found |= {f"step dprev_{each}": self.state(step[f"{each}0"]) for each in self.states}
        found |= {"sequence dx": self.sequence(whole["x"]), "sequence dh0": self.state(whole["h0"])}
        if convention.get("c0"):
            found["sequence dc0"] = self.state(whole["c0"])
        for name in ("Wx", "Wh", "b"):
            found[f"step d{name}"] = self.packed(step, name)
            found[f"sequence d{name}"] = self.packed(whole, name)
        w = {k: torch.tensor(v) for k, v in p.arrays.items()}
        found["sequence h"] = self.sequence(p.states(convention, w, self.first(w)).numpy())
        return found


class Dictionaries:
    """Calls cells whose weights and gradients are dictionaries: columns, [h; x]."""

    def __init__(self, made: Implementation) -> None:
        self.made, self.convention = made, made.convention
        self.problem = Problem(made.cell)
        self.namespace = run(made.text)

    def weights(self, arrays: Named) -> Named:
        if self.made.cell == "rnn":
            return {
                "Wax": arrays["Wx h"].T,
                "Waa": arrays["Wh h"].T,
                "ba": arrays["b h"][:, None],
            }
        letters = {"f": "f", "i": self.convention["input"], "c": "c", "o": "o"}
        return joined(arrays, self.convention["concat"], letters)

    def returned(self) -> Named:
        p, cell = self.problem, self.made.cell
        lstm = cell == "lstm"
        parameters = self.weights(p.arrays)
        parameters |= {"Wy" if lstm else "Wya": p["Wy"].T, "by": p["by"][:, None]}
        before = [p["h0"].T.copy(), p["c0"].T.copy()][: 1 + lstm]
        forward = self.namespace[f"{cell}_cell_forward"]
        *_, cache = forward(p["x"][:, 0].T, *before, parameters)
        upstream = [p.dh[:, 0].T.copy(), p.dc.T.copy()][: 1 + lstm]
        step = self.namespace[f"{cell}_cell_backward"](*upstream, cache)
        x, dh = (each.transpose(2, 0, 1).copy() for each in (p["x"], p.dh))
        a, *_, caches = self.namespace[f"{cell}_forward"](x, p["h0"].T.copy(), parameters)
        whole = self.namespace[f"{cell}_backward"](dh, caches)
        found = {f"step {k}": v for k, v in step.items()}
        return found | {f"sequence {k}": v for k, v in whole.items()} | {"sequence a": a}

    def expected(self) -> Named:
        p = self.problem
        dh, dc = torch.tensor(p.dh), torch.tensor(p.dc)

        def step_loss(w: Named) -> Tensor:
            h, c = p.step({}, w, w["x"][:, 0], w["h0"], w["c0"])
            return as_tensor((h * dh[:, 0]).sum() + ((c * dc).sum() if p.cell == "lstm" else 0))

        def sequence_loss(w: Named) -> Tensor:
            return (p.states({}, w, torch.zeros_like(w["c0"])) * dh).sum()

        step, whole = p.gradients(step_loss), p.gradients(sequence_loss)
        found = {"step dxt": step["x"][:, 0].T, "step da_prev": step["h0"].T}
        if p.cell == "lstm":
            found["step dc_prev"] = step["c0"].T
        found |= {"sequence dx": whole["x"].transpose(2, 0, 1), "sequence da0": whole["h0"].T}
        found |= {f"step d{k}": v for k, v in self.weights(step).items()}
        found |= {f"sequence d{k}": v for k, v in self.weights(whole).items()}
        w = {k: torch.tensor(v) for k, v in p.arrays.items()}
        a = p.states({}, w, torch.zeros_like(w["c0"])).numpy().transpose(2, 0, 1)
        return found | {"sequence a": a}


class Classes(Functions):
    """Calls classes of a step and of a sequence."""

    def __init__(self, made: Implementation) -> None:
        convention = {"layout": "NTD", "weights": "in-out", "array": "numpy"}
        super().__init__(dataclasses.replace(made, convention=convention | made.convention))
        self.name = made.cell.upper()

    def returned(self) -> Named:
        p = self.problem
        weights = [self.packed(p.arrays, name) for name in ("Wx", "Wh", "b")]
        states = [p[f"{name}0"].copy() for name in self.states]
        step = self.namespace[self.name](*weights)
        step.forward(p["x"][:, 0], *states)
        upstream = [p.dh[:, 0].copy(), p.dc.copy()][: len(states)]
        grads = step.backward(*upstream)
        names = ["dx", *[f"dprev_{each}" for each in self.states], "dWx", "dWh", "db"]
        found = self.named(names, [*grads, *step.grads], "step")
        layer = self.namespace[f"Time{self.name}"](*weights, stateful=True)
        layer.set_state(*states)
        h = layer.forward(p["x"])
        dx = layer.backward(p.dh.copy())
        names = ["dx", "dh0", "dWx", "dWh", "db"]
        found |= self.named(names, [dx, layer.dh, *layer.grads], "sequence")
        return found | {"sequence h": h}

    def first(self, w: Named) -> Tensor:
        return as_tensor(w["c0"])


class LossFun:
    """Calls the one function of a script, its weights global, for one sample."""

    def __init__(self, made: Implementation) -> None:
        self.made, self.convention = made, made.convention
        self.problem = Problem(made.cell, samples=1)
        self.words, self.targets = [1, 3, 1], [0, 2, 2]
        self.problem.arrays["x"] = np.eye(D)[self.words][None]
        self.namespace = run(made.text)

    def weights(self, arrays: Named) -> Named:
        last = {"Why": arrays["Wy"].T, "by": arrays["by"][:, None]}
        if self.made.cell == "rnn":
            whole = {"Wxh": arrays["Wx h"].T, "Whh": arrays["Wh h"].T, "bh": arrays["b h"][:, None]}
            return whole | last
        each = joined(arrays, self.convention["concat"], dict(zip("fico", "fico", strict=True)))
        if not self.convention["packed"]:
            return each | last
        order = self.convention["order"]
        return {w: np.concatenate([each[w + gate] for gate in order]) for w in ("W", "b")} | {
            "Why": last["Why"],
            "by": last["by"],
        }

    def returned(self) -> Named:
        weights = self.weights(self.problem.arrays)
        self.namespace |= weights | {"hidden_size": H, "vocab_size": D}
        states = [self.problem[f"{each}0"].T for each in "hc"[: 1 + (self.made.cell == "lstm")]]
        loss, *values = self.namespace["lossFun"](self.words, self.targets, *states)
        names = sorted(weights, key=lambda name: name[0] == "b")
        return dict(zip(names, values, strict=False)) | {
            "loss": np.asarray(loss),
            "h": values[len(names)],
        }

    def expected(self) -> Named:
        p = self.problem

        def loss(w: Named) -> Tensor:
            scores = p.states(self.convention, w, w["c0"])[0] @ w["Wy"] + w["by"]
            return torch.nn.functional.cross_entropy(
                scores, torch.tensor(self.targets), reduction="sum"
            )

        grads = self.weights(p.gradients(loss))
        if self.convention["clip"]:
            grads = {name: each.clip(-5, 5) for name, each in grads.items()}
        w = {k: torch.tensor(v) for k, v in p.arrays.items()}
        h = p.states(self.convention, w, w["c0"])[0, -1][:, None].numpy()
        return grads | {"loss": loss(w).numpy(), "h": h}


def as_tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value


def joined(arrays: Named, order: str, letters: dict[str, str]) -> Named:
    """Return one matrix a gate on h and x joined, and its bias, as columns."""
    found = {}
    for gate, letter in letters.items():
        parts = [arrays[f"W{each} {gate}"].T for each in order]
        found[f"W{letter}"] = np.concatenate(parts, 1)
        found[f"b{letter}"] = arrays[f"b {gate}"][:, None]
    return found


def run(text: str) -> Named:
    """Return the namespace of a text's imports and definitions."""
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree = ast.parse(text)
    tree.body = [each for each in tree.body if isinstance(each, kept)]
    namespace: Named = {}
    exec(compile(tree, "text", "exec"), namespace)  # noqa: S102
    return namespace


CALLERS: dict[str, Any] = {
    "functions": Functions,
    "classes": Classes,
    "dictionaries": Dictionaries,
    "lossfun": LossFun,
}


def difference(made: Implementation) -> dict[str, float]:
    """Return the largest difference of each returned array from the truth."""
    caller = CALLERS[made.family](made)
    with np.errstate(invalid="ignore"):
        returned, expected = caller.returned(), caller.expected()
    assert returned.keys() == expected.keys()
    return {
        name: float(np.abs(returned[name] - right).max())
        if np.shape(returned[name]) == right.shape
        else np.inf
        for name, right in expected.items()
    }


@pytest.mark.parametrize(("family", "cell", "convention"), RIGHT, ids=str)
def test_right_texts_agree_with_autograd(family: str, cell: str, convention: Named) -> None:
    made = implementation(family, cell, **convention)

    tolerance = 1e-5 if made.convention.get("buffers") == "float32" else 1e-10
    assert max(difference(made).values()) < tolerance


@pytest.mark.parametrize(("family", "cell", "kind"), WRONG, ids=str)
def test_a_mistake_changes_a_gradient(family: str, cell: str, kind: Mistake) -> None:
    errors = difference(implementation(family, cell, (kind,)))

    is_value = kind[0] not in ("argument-changed", "repeated-words")
    assert (max(errors.values()) > 1e-3) == is_value


@pytest.mark.parametrize(("family", "cell"), FAMILIES)
def test_each_mistake_has_a_text_of_its_own(family: str, cell: str) -> None:
    texts = [implementation(family, cell, (kind,)).text for kind in kinds(family, cell)]

    assert len({implementation(family, cell).text, *texts}) == 1 + len(texts)


@pytest.mark.parametrize(("family", "cell", "convention"), RIGHT, ids=str)
def test_a_mistake_can_be_put_into_every_convention(
    family: str, cell: str, convention: Named
) -> None:
    kind = ("slope-dropped", GATES[cell][-1])
    made = implementation(family, cell, (kind, ("loop-forward", "")), **convention)

    assert made.mistakes == (kind, ("loop-forward", ""))
    assert max(difference(made).values()) > 1e-3


@pytest.mark.parametrize(("family", "cell"), FAMILIES)
def test_several_mistakes_at_once_are_all_in_the_text(family: str, cell: str) -> None:
    texts = {implementation(family, cell, (kind,)).text for kind in kinds(family, cell)}
    texts.add(implementation(family, cell).text)
    possible = 0
    for pair in itertools.combinations(kinds(family, cell)[::3], 2):
        if {key for key, _ in pair} == {"not-carried"}:  # the two make "both"
            continue
        try:
            both = implementation(family, cell, pair)
        except ValueError:
            continue
        possible += 1
        assert both.text not in texts
        assert both.text == implementation(family, cell, pair[::-1]).text

    assert possible > 20


@pytest.mark.parametrize(
    ("mistakes", "match"),
    [
        ((("slope-dropped", "c"), ("slope-on-one-term", "")), "same place, delta_c"),
        ((("state-path-dropped", ""), ("cell-path-dropped", "")), "same place, total_c"),
        ((("slope-dropped", "tanh_c"), ("square-missing", "tanh_c")), "cannot be seen"),
        ((("square-missing", "f"),), "no mistake"),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_refused(mistakes: tuple[Mistake, ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        implementation("functions", "lstm", mistakes)


@pytest.mark.parametrize(
    ("cell", "convention", "match"),
    [
        ("lstm", {"nonlinearity": "relu"}, "no convention"),
        ("lstm", {"order": "ifo"}, "no order"),
        ("peephole", {}, "functions: no peephole"),
    ],
    ids=str,
)
def test_a_convention_without_meaning_is_refused(cell: str, convention: Named, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        implementation("functions", cell, **convention)


@pytest.mark.parametrize(
    ("mistakes", "wrong"),
    [
        ((), set()),
        ((("not-carried", "h"),), {"sequence"}),
        ((("input-from-own-loss", ""),), {"sequence dx"}),
        ((("first-gradient-early", ""),), {"sequence dh0"}),
        ((("slope-missing-on-way-back", ""),), {"step dprev_h", "sequence"}),
        ((("next-state", "weights"),), {"step dWh", "sequence dWh"}),
        ((("batch-not-summed", ""),), {"step db", "sequence db"}),
        ((("one-step-alone", "first"),), {"sequence dWx", "sequence dWh", "sequence db"}),
    ],
    ids=lambda given: str(sorted(given)),
)
def test_what_is_wrong_is_where_the_mistake_says(
    mistakes: tuple[Mistake, ...], wrong: set[str]
) -> None:
    errors = difference(implementation("functions", "lstm", mistakes))
    found = {name for name, error in errors.items() if error > 1e-10}

    assert all(any(name.startswith(each) for each in wrong) for name in found)
    assert all(any(name.startswith(each) for name in found) for each in wrong)


@pytest.mark.parametrize("array", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("mistakes", "changed"),
    [
        ((), []),
        ((("argument-changed", "c"),), ["dnext_c"]),
        ((("argument-changed", "h"),), ["dh"]),
    ],
    ids=str,
)
def test_an_argument_is_changed(
    array: str, mistakes: tuple[Mistake, ...], changed: list[str]
) -> None:
    caller = Functions(implementation("functions", "lstm", mistakes, array=array))
    p, given = caller.problem, torch.from_numpy if array == "torch" else np.asarray
    weights = [caller.packed(p.arrays, name) for name in ("Wx", "Wh", "b")]
    upstream = {"dnext_h": p.dh[:, 0].copy(), "dnext_c": p.dc.copy(), "dh": p.dh.copy()}
    before = {name: each.copy() for name, each in upstream.items()}
    dnext_h, dnext_c, dh = (given(each) for each in upstream.values())
    *_, cache = caller.call("step_forward", p["x"][:, 0], p["h0"], p["c0"], *weights)
    caller.namespace["lstm_step_backward"](dnext_h, dnext_c, cache)
    *_, cache = caller.call("forward", p["x"], p["h0"], *weights)
    caller.namespace["lstm_backward"](dh, cache)

    found = [name for name in upstream if not np.array_equal(upstream[name], before[name])]
    assert found == changed


@pytest.mark.parametrize("array", ["numpy", "torch"])
@pytest.mark.parametrize("words", ["N", "words", "sum"])
@pytest.mark.parametrize("layout", ["NTD", "TND"])
def test_the_layers_around_the_functions(array: str, words: str, layout: str) -> None:
    made = implementation("functions", "rnn", array=array, loss=words, layout=layout)
    check_layers(made, functions_around(made), samples_first=layout == "NTD")


@pytest.mark.parametrize("words", ["N", "words", "sum"])
def test_the_layers_around_the_classes(words: str) -> None:
    made = implementation("classes", "rnn", loss=words)
    check_layers(made, classes_around(made), samples_first=True)


@pytest.mark.parametrize("family", ["functions", "classes"])
@pytest.mark.parametrize("place", ["assigned", "added"])
def test_repeated_words_overwrite_each_other(family: str, place: str) -> None:
    made = implementation(family, "lstm", (("repeated-words", place),))
    around = {"functions": functions_around, "classes": classes_around}[family](made)
    words = np.array([[1, 3, 0], [1, 2, 3]])
    W, dout = np.ones((5, D)), np.ones((2, 3, D))
    dW = around["embedding"](words, W, dout)[1]

    np.testing.assert_array_equal(dW[:, 0], [1, 1, 1, 1, 0])


def functions_around(made: Implementation) -> dict[str, Any]:
    """Return embedding, affine and loss, each with its gradients, of functions."""
    names = run(made.text)
    given = torch.from_numpy if made.convention["array"] == "torch" else np.asarray

    def embedding(x: Array, W: Array, dout: Array) -> Any:
        out, cache = names["word_embedding_forward"](given(x), given(W))
        return out, names["word_embedding_backward"](given(dout), cache)

    def affine(x: Array, w: Array, b: Array, dout: Array) -> Any:
        out, cache = names["temporal_affine_forward"](given(x), given(w), given(b))
        return out, *names["temporal_affine_backward"](given(dout), cache)

    def loss(x: Array, y: Array, mask: Array) -> Any:
        return names["temporal_softmax_loss"](given(x), given(y), given(mask))

    return {"embedding": embedding, "affine": affine, "loss": loss}


def classes_around(made: Implementation) -> dict[str, Any]:
    """Return embedding, affine and loss, each with its gradients, of classes."""
    names = run(made.text)

    def embedding(x: Array, W: Array, dout: Array) -> Any:
        layer = names["TimeEmbedding"](W)
        out = layer.forward(x)
        layer.backward(dout)
        return out, *layer.grads

    def affine(x: Array, w: Array, b: Array, dout: Array) -> Any:
        layer = names["TimeAffine"](w, b)
        return layer.forward(x), layer.backward(dout), *layer.grads

    def loss(x: Array, y: Array, mask: Array) -> Any:
        layer = names["TimeSoftmaxWithLoss"]()
        return layer.forward(x, np.where(mask, y, -1)), layer.backward()

    return {"embedding": embedding, "affine": affine, "loss": loss}


def check_layers(made: Implementation, around: dict[str, Any], *, samples_first: bool) -> None:
    random = np.random.default_rng(3)
    words = np.array([[1, 3, 1], [1, 0, 3]])
    mask = np.array([[True, True, False], [True, False, False]])
    if not samples_first:
        words, mask = words.T.copy(), mask.T.copy()
    W = random.normal(size=(5, D))
    x, w, b = (random.normal(size=size) for size in ((*words.shape, D), (D, 6), 6))
    dout, dscores = (random.normal(size=(*words.shape, size)) for size in (D, 6))
    scores = random.normal(size=(*words.shape, 5))
    leaves = [torch.tensor(each, requires_grad=True) for each in (W, x, w, b, scores)]
    embedded, out = leaves[0][torch.from_numpy(words)], leaves[1] @ leaves[2] + leaves[3]
    losses = torch.nn.functional.cross_entropy(
        leaves[4].reshape(-1, 5), torch.from_numpy(words.ravel()), reduction="none"
    )
    divisor = {"N": N, "words": mask.sum(), "sum": 1}[made.convention["loss"]]
    loss = (losses * torch.from_numpy(mask.ravel())).sum() / divisor
    total = loss + (embedded * torch.tensor(dout)).sum() + (out * torch.tensor(dscores)).sum()
    total.backward()
    dW, dx, dw, db, de = (as_tensor(each.grad).numpy() for each in leaves)
    expected = [embedded, dW, out, dx, dw, db, loss, de]
    found = [*around["embedding"](words, W, dout), *around["affine"](x, w, b, dscores)]
    found += around["loss"](scores, words, mask)

    for a, right in zip(found, expected, strict=True):
        right = right.detach().numpy() if isinstance(right, Tensor) else right
        np.testing.assert_allclose(np.asarray(a), right, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("print of Python 2", SyntaxError),
        ("xrange", NameError),
        ("tabs", TabError),
        ("no sigmoid", NameError),
        ("no numpy", NameError),
        ("unknown import", ModuleNotFoundError),
        ("helper module", ModuleNotFoundError),
        ("training", FileNotFoundError),
    ],
)
def test_a_right_file_does_not_run_as_it_is(
    name: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    made = quirks()[name]

    with pytest.raises(error):
        run_as_it_is(made)


def run_as_it_is(made: Implementation) -> None:
    exec(made.text, {"__name__": "__main__"})  # noqa: S102
    CALLERS[made.family](made).returned()


@pytest.mark.parametrize("name", quirks())
def test_a_right_file_is_right_once_it_is_repaired(name: str) -> None:
    made = quirks()[name]
    text = re.sub(r'print "states", (.*)', r"print(\1)", made.text).expandtabs(8)
    text = re.sub("from (cs_course|rnn_utils).*", "", text)
    if "sigmoid(" in text and "def sigmoid" not in text:
        text += "\n\ndef sigmoid(x):\n    return 1 / (1 + np.exp(-x))\n"
        text += "\n\ndef softmax(x):\n    return np.exp(x)\n"
    text = text.replace("xrange", "range")
    text = text if "import numpy" in text else "import numpy as np\n" + text

    assert max(difference(dataclasses.replace(made, text=text)).values()) < 1e-10


def test_the_unfinished_file_runs_and_has_one_function_written() -> None:
    names = run(UNFINISHED)

    assert names["rnn_step_forward"](*[None] * 5) == (None, None)
    assert names["rnn_backward"](None, None) is None
    out, cache = names["word_embedding_forward"](np.array([1, 0]), np.eye(2))
    np.testing.assert_array_equal(out, [[0, 1], [1, 0]])
    assert names["word_embedding_backward"](out, cache) is None
    assert sorted(names.keys() & {"lstm_step_backward", "rnn_forward"}) == [
        "lstm_step_backward",
        "rnn_forward",
    ]
