"""The layers around a recurrence: word embedding, affine map of each step, masked softmax loss."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnreport import layers
from rnnreport.check._program import Function, Program
from rnnreport.check._report import Cause, Finding, Output, percent
from rnnreport.check._session import Caller, Outcome
from rnnreport.check._words import Words
from rnnreport.equations import LEDGER, WordSizes
from rnnreport.equations._mistakes import CATALOGUE
from rnnreport.equations._temporal import TemporalProblem

__all__ = ["check_words", "is_of_words"]

_TOLERANCE = 1e-8
_SINGLE = 1e-4  # of float32
_FUNCTIONS = {
    "embedding": r"(?:time_)?(?:word_)?embedding_(forward|backward)",
    "affine": r"(?:temporal|time)_(?:affine|fc|linear|dense)_(forward|backward)",
    "loss": r"(?:temporal|time)_softmax_(?:cross_?entropy_)?(?:with_)?(loss)",
}
_CLASSES = {
    "TimeEmbedding": "embedding",
    "TimeAffine": "affine",
    "TimeSoftmaxWithLoss": "loss",
}


def is_of_words(name: str) -> bool:
    """Whether a function or a class of this name would be checked."""
    patterns = _FUNCTIONS.values()
    return name in _CLASSES or any(re.fullmatch(each, name, re.I) for each in patterns)


def check_words(
    session: Caller, program: Program, generator: torch.Generator, time_first: bool
) -> list[Finding]:
    """Check the layers of words that a program has; its sequences begin with time or batch."""
    drawn = TemporalProblem.draw(generator, WordSizes(T=3, N=2, D=4, V=5))
    linear = {name: torch.zeros_like(getattr(drawn, name)) for name in ("s", "s_x")}
    check = _Check(session, program, replace(drawn, **linear), time_first)
    found: dict[tuple[str, str], Function] = {}
    for name, function in program.functions.items():
        for kind, pattern in _FUNCTIONS.items():
            match = re.fullmatch(pattern, name, re.I)
            if match:
                found.setdefault((kind, match[1].lower()), function)
    findings: list[Finding] = []
    for kind, run in (("embedding", check.embedding), ("affine", check.affine)):
        forward, backward = found.get((kind, "forward")), found.get((kind, "backward"))
        if forward is not None:
            findings += run(forward, backward)
    if ("loss", "loss") in found:
        findings += check.loss(found["loss", "loss"])
    for name, kind in _CLASSES.items():
        if name in program.classes and "backward" in program.classes[name].methods:
            findings += check.layer(name, kind)
    return findings


@dataclass
class _Check:
    session: Caller
    program: Program
    problem: TemporalProblem
    time_first: bool

    @property
    def words(self) -> Any:
        return self._written(self.problem.w)

    def _written(self, values: Tensor) -> Any:
        ordered = values if self.time_first else values.transpose(0, 1)
        return np.ascontiguousarray(ordered.numpy())

    def embedding(self, forward: Function, backward: Function | None) -> list[Finding]:
        """Check a table of word vectors."""
        p = self.problem
        outcome = self.session.call(forward.name, self.words, p.E.numpy())
        expected = {"out": self._written(layers.word_embedding_forward(p.w, p.E)[0])}
        finding, values = self._forward(forward, outcome, expected["out"])
        if backward is None or finding.status != "right":
            return [finding]
        cache = outcome.ref[len(values) - 1] if len(values) > 1 else None
        back = self.session.call(backward.name, self._written(p.u_x), cache)
        _, kept = layers.word_embedding_forward(p.w, p.E)
        right = {"E": layers.word_embedding_backward(p.u_x, kept).numpy()}
        return [finding, self._backward(backward, back, right, {"E": "T2"})]

    def affine(self, forward: Function, backward: Function | None) -> list[Finding]:
        """Check an affine map of each step."""
        p = self.problem
        x = self._written(p.x)
        expected = self._written(layers.temporal_fc_forward(p.x, p.A, p.a)[0])
        turned = False
        outcome = self.session.call(forward.name, x, p.A.numpy(), p.a.numpy())
        if outcome.failure and outcome.failure.kind == "error":
            other = self.session.call(forward.name, x, p.A.T.contiguous().numpy(), p.a.numpy())
            if not other.failure:
                outcome, turned = other, True
        finding, values = self._forward(forward, outcome, expected)
        if backward is None or finding.status != "right":
            return [finding]
        cache = outcome.ref[len(values) - 1] if len(values) > 1 else None
        back = self.session.call(backward.name, self._written(p.u), cache)
        _, kept = layers.temporal_fc_forward(p.x, p.A, p.a)
        dx, dA, da = layers.temporal_fc_backward(p.u, kept)
        right = {
            "x": self._written(dx),
            "A": (dA.T if turned else dA).numpy(),
            "a": da.numpy(),
        }
        numbers = {"x": "T4", "A": "T5", "a": "T6"}
        return [finding, self._backward(backward, back, right, numbers)]

    def loss(self, function: Function) -> list[Finding]:
        """Check a masked softmax loss and its gradient."""
        p = self.problem
        given = [self._written(p.scores), self._written(p.y)]
        masked = function.required > 2
        if masked:
            given.append(self._written(p.mask))
        outcome = self.session.call(function.name, *given)
        if outcome.failure:
            return [self._finding(function, "failed", f"It {outcome.failure.sentence}.")]
        mask = p.mask if masked else torch.ones_like(p.mask)
        return [self._judged_loss(function, outcome.value, mask)]

    def _judged_loss(self, function: Function, value: Any, mask: Tensor) -> Finding:
        values = list(value) if isinstance(value, tuple | list) else [value]
        if values[0] is None:
            return self._finding(function, "unfinished", "It is not written yet: it returns None.")
        p = replace(self.problem, mask=mask)
        loss, scores = layers.temporal_softmax_loss(p.scores, p.y, p.mask)
        total, gradient = float(loss) * p.N, self._written(scores) * p.N
        try:
            factor = float(np.asarray(values[0], dtype=float)) / total
        except (TypeError, ValueError):
            return self._finding(function, "failed", "Its loss is not a number.")
        said = _factor(factor, p, mask)
        notes = [said] if said and abs(factor - 1 / p.N) > 1e-9 else []
        if not said:
            return self._finding(
                function,
                "wrong",
                "The loss is not −log of the softmax at the right words, summed where the mask is "
                "true: with other data it would not be the true one times one factor.",
                explained=False,
            )
        if len(values) < 2 or values[1] is None:
            if len(function.returned) > 1:
                return self._finding(
                    function, "unfinished", "The loss is right; its gradient is None."
                )
            return self._finding(function, "right", "The loss is right.", notes=tuple(notes))
        returned = {"s": values[1]}
        return self._judged(
            function, returned, {"s": gradient * factor}, {"s": "T8"}, tuple(notes), factor * p.N
        )

    def layer(self, name: str, kind: str) -> list[Finding]:
        """Check a class of the manner ``TimeAffine(W, b)``."""
        p = self.problem
        methods = self.program.classes[name].methods
        forward, backward = methods["forward"], methods["backward"]
        forward = replace(forward, name=f"{name}.forward")
        backward = replace(backward, name=f"{name}.backward")
        given: dict[str, list[Any]] = {
            "embedding": [p.E.numpy()],
            "affine": [p.A.numpy(), p.a.numpy()],
            "loss": [],
        }
        made = self.session.call(name, *given[kind])
        if made.failure:
            return [self._finding(forward, "failed", f"It {made.failure.sentence}.")]

        def call(method: str, *values: Any) -> Outcome:
            return self.session.call(made.ref, *values, method=method)

        if kind == "loss":
            outcome = call("forward", self._written(p.scores), self._written(p.y))
            if outcome.failure:
                return [self._finding(forward, "failed", f"It {outcome.failure.sentence}.")]
            back = call("backward")
            if back.failure:
                return [self._finding(backward, "failed", f"It {back.failure.sentence}.")]
            value = (outcome.value, back.value)
            return [self._judged_loss(backward, value, torch.ones_like(p.mask))]
        right: dict[str, Any]
        if kind == "embedding":
            outcome = call("forward", self.words)
            out, words = layers.word_embedding_forward(p.w, p.E)
            right = {"E": layers.word_embedding_backward(p.u_x, words).numpy()}
        else:
            outcome = call("forward", self._written(p.x))
            out, features = layers.temporal_fc_forward(p.x, p.A, p.a)
            dx, dA, da = layers.temporal_fc_backward(p.u, features)
            right = {"x": self._written(dx), "A": dA.numpy(), "a": da.numpy()}
        finding, _ = self._forward(forward, outcome, self._written(out))
        if finding.status != "right":
            return [finding]
        back = call("backward", self._written(p.u_x if kind == "embedding" else p.u))
        if back.failure:
            return [finding, self._finding(backward, "failed", f"It {back.failure.sentence}.")]
        grads = self.session.get(made.ref, "grads").value
        grads = grads if isinstance(grads, list | tuple) else []
        values = {} if kind == "embedding" else {"x": back.value}
        values |= dict(zip((n for n in right if n != "x"), grads, strict=False))
        numbers = {"E": "T2", "x": "T4", "A": "T5", "a": "T6"}
        return [finding, self._judged(backward, values, right, numbers)]

    # What is returned, and what it is held against.

    def _forward(
        self, function: Function, outcome: Outcome, expected: Any
    ) -> tuple[Finding, list[Any]]:
        if outcome.failure:
            failed = self._finding(function, "failed", f"It {outcome.failure.sentence}.")
            return failed, []
        value = outcome.value
        values = list(value) if isinstance(value, tuple | list) else [value]
        if values[0] is None:
            return self._finding(
                function, "unfinished", "It is not written yet: it returns None."
            ), []
        if not _error(values[0], expected) <= _tolerance(values[0]):
            return self._finding(function, "wrong", "What it returns is wrong."), values
        return self._finding(function, "right", "The forward pass is right."), values

    def _backward(
        self,
        function: Function,
        outcome: Outcome,
        right: Mapping[str, Any],
        numbers: Mapping[str, str],
    ) -> Finding:
        if outcome.failure:
            return self._finding(function, "failed", f"It {outcome.failure.sentence}.")
        value = outcome.value
        values = list(value) if isinstance(value, tuple | list) else [value]
        if all(each is None for each in values):
            return self._finding(function, "unfinished", "It is not written yet: it returns None.")
        if isinstance(value, dict):
            values = list(value.values())
        return self._judged(function, dict(zip(right, values, strict=False)), right, numbers)

    def _judged(
        self,
        function: Function,
        values: Mapping[str, Any],
        right: Mapping[str, Any],
        numbers: Mapping[str, str],
        notes: tuple[str, ...] = (),
        scale: float = 1.0,
    ) -> Finding:
        returned = function.returned
        if len(returned) > len(values):  # a loss stands before its gradient
            returned = returned[len(returned) - len(values) :]
        outputs, causes, explained = [], [], True
        for place, (name, expected) in enumerate(right.items()):
            if name not in values:
                continue
            error = _error(values[name], expected)
            said = returned[place] if place < len(returned) else f"d{name}"
            of = {"E": "the table", "A": "the weights", "a": "the bias", "s": "the scores"}
            outputs.append(
                Output(
                    name=said,
                    of=of.get(name, name),
                    error=error,
                    right=error <= _tolerance(values[name]),
                    problem="" if error == error else _kind(values[name], expected),
                )
            )
            if not error <= _tolerance(values[name]):
                cause = self._cause(function, numbers[name], values[name], scale)
                explained = explained and cause is not None
                if cause is not None:
                    causes.append(cause)
        wrong = [each for each in outputs if not each.right]
        if not wrong:
            text = "All that it returns is right."
            return self._finding(function, "right", text, outputs=tuple(outputs), notes=notes)
        names = ", ".join(each.name for each in wrong)
        worst = max(
            (each.error for each in wrong if each.error == each.error), default=float("nan")
        )
        amount = f", by up to {percent(worst)}" if worst == worst else ""
        tail = ". One mistake explains it:" if causes and explained else "."
        return self._finding(
            function,
            "wrong",
            f"{names} {'is' if len(wrong) == 1 else 'are'} wrong{amount}{tail}",
            causes=tuple(causes),
            explained=explained,
            outputs=tuple(outputs),
            notes=notes,
        )

    def _cause(self, function: Function, number: str, value: Any, scale: float) -> Cause | None:
        """Look for one of the ledger's mistakes in what was returned."""
        p = self.problem
        array = np.asarray(value, dtype=float) if _is_numbers(value) else None
        if array is None:
            return None
        if number == "T2":
            rows = np.zeros_like(p.E.numpy())
            rows[self.words] = self._written(p.u_x)
            if _error(array, rows) <= _TOLERANCE:
                words = Words(self.program, function, "rnn")
                return words.general(CATALOGUE["repeated-words"], line=self._assignment(function))
        for name, mistake in LEDGER[number].wrong.items():
            model = mistake(p)
            own = self._written(model) if number in ("T4", "T8") else model.numpy()
            if _error(array, own * scale) <= _TOLERANCE:
                return Cause(
                    key=re.sub(r"\W+", "-", name),
                    name=name,
                    place="",
                    symptom=f"The numbers are those of equation ({number}) with this mistake.",
                    change=f"Compare the line with equation ({number}).",
                    case="A batch of two sequences of two steps shows it.",
                    equations=(number,),
                )
        return None

    def _assignment(self, function: Function) -> int | None:
        lines = self.program.text.split("\n")
        for number in range(function.line + 1, function.end_line + 1):
            if re.search(r"\w\[[^\]]+\]\s*\+?=(?!=)", lines[number - 1]):
                return number
        return None

    def _finding(self, function: Function, status: Any, summary: str, **more: Any) -> Finding:
        where = self.program.line_name(function.line)
        return Finding(function.name, where, status, summary, **more)


def _factor(factor: float, p: TemporalProblem, mask: Tensor) -> str:
    """Say which mean a loss is; empty if it is none."""
    T, N = p.w.shape
    known = {
        1 / N: "the loss is the sum over all words, divided by N",
        1.0: "the loss is the sum over all words, not divided by N",
        1 / T: "the loss is divided by T",
        1 / (N * T): "the loss is the mean over N and T",
        1 / float(mask.sum()): "the loss is the mean over the words that count",
    }
    for value, said in known.items():
        if abs(factor - value) <= 1e-9:
            return f"{said[0].upper()}{said[1:]}: a convention."
    return ""


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray | float | int) and not isinstance(value, bool)


def _error(value: Any, expected: Any) -> float:
    if not _is_numbers(value):
        return float("nan")
    array = np.asarray(value, dtype=float)
    if array.shape != expected.shape:
        if array.size != expected.size or array.reshape(-1).shape != expected.reshape(-1).shape:
            return float("nan")
        if sorted(n for n in array.shape if n > 1) != sorted(n for n in expected.shape if n > 1):
            return float("nan")
        array = array.reshape(expected.shape)
    scale = float(np.abs(expected).max()) or 1.0
    error = float(np.abs(array - expected).max()) / scale
    return error if error == error else float("inf")


def _tolerance(value: Any) -> float:
    kind = getattr(value, "dtype", np.dtype(float))
    return _SINGLE if kind.kind == "f" and kind.itemsize < 8 else _TOLERANCE


def _kind(value: Any, expected: Any) -> str:
    if not _is_numbers(value):
        return "it is None" if value is None else f"it is {type(value).__name__}"
    shapes = (" × ".join(map(str, np.asarray(each).shape)) for each in (value, expected))
    return "it has shape {}, expected {}".format(*shapes)
