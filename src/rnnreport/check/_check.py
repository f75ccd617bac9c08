"""The check itself: what is recognised, how it is arranged, whether it is right, and why not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnreport.check._convention import Convention, Mismatch, hypotheses, one_sequence, states
from rnnreport.check._diagnosis import Diagnosis, diagnose_sequence, diagnose_step, errors
from rnnreport.check._numerical import numerical_gradients
from rnnreport.check._problems import (
    LSTM,
    Problem,
    Sizes,
    draw,
    steps,
    truncated,
    truth,
)
from rnnreport.check._program import Program
from rnnreport.check._report import Cause, Finding, Output, Report, Status, percent
from rnnreport.check._session import Caller, Failure
from rnnreport.check._subjects import (
    CourseFunctions,
    LossFunction,
    Recurrence,
    Run,
    is_recognised,
    subjects,
)
from rnnreport.check._temporal import check_words, is_of_words
from rnnreport.check._words import Words
from rnnreport.equations._backward import RIGHT, backward
from rnnreport.equations._mistakes import CATALOGUE, GATES_OF, Planted

__all__ = ["Check", "Checked", "check_program"]

_TOLERANCE = 1e-8  # of what is returned as float64
_SINGLE = 1e-4  # of float32
_FORWARD = 1e-6  # float32 in between is no other forward pass
_DIFFERENCES = 1e-6  # of central differences
_LONG = 9  # steps of the sequence that shows whether gradients are cut off
_NAMES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
_GATE_WORDS = {
    "f": "forget",
    "i": "input",
    "c": "candidate",
    "o": "output",
    "r": "reset",
    "z": "update",
    "n": "candidate",
}
_OF = {
    "x": "x_t",
    "h_0": "h_{t−1}",
    "c_0": "c_{t−1}",
    "W_x": "W_x",
    "W_h": "W_h",
    "W": "W",
    "b": "b",
    "b_h": "b_h",
}


@dataclass
class Checked:
    """What is known of one step or sequence after its check."""

    subject: Recurrence
    form: Convention | None = None
    findings: list[Finding] = field(default_factory=list)
    mistakes: tuple[Planted, ...] = ()
    right: bool = False
    explained: bool = False
    returns: bool = False
    is_single: bool = False
    """Whether float32 stands somewhere in its forward pass."""


@dataclass
class Judged:
    """What a backward pass returned, held against the truth."""

    subject: Recurrence
    run: Run
    found: dict[str, Tensor]
    wrong: list[str]
    missing: dict[str, str]
    causes: list[Cause]
    notes: list[str]
    outputs: tuple[Output, ...]
    tolerance: float

    @property
    def is_right(self) -> bool:
        """Whether all of it is there and right."""
        return bool(self.found) and not (self.wrong or self.missing or self.causes)


@dataclass
class Check:
    """One run of the check on one program."""

    session: Caller
    program: Program
    generator: torch.Generator
    conventions: list[str] = field(default_factory=list)
    time_first: bool = False

    def findings(self) -> list[Finding]:
        """Check all that is recognised."""
        found: list[Finding] = []
        for step, sequence in _by_cell(subjects(self.session, self.program)):
            checked = None
            if step is not None:
                checked = self.recurrence(step, None)
                found += checked.findings
            if sequence is not None:
                inner = checked if step is not None and sequence.calls(step) else None
                found += self.recurrence(sequence, inner).findings
        found += check_words(self.session, self.program, self.generator, self.time_first)
        found += self._unread()
        lines = {each.function: self._line_of(each.function) for each in found}
        return sorted(found, key=lambda each: lines[each.function])

    def _unread(self) -> list[Finding]:
        """Name what would be checked and cannot be read."""
        return [
            self._finding(name, "failed", f"It cannot be read: {wrong}.")
            for name, (_, wrong) in self.program.unread.items()
            if is_recognised(name) or is_of_words(name)
        ]

    def _line_of(self, name: str) -> int:
        owner, _, method = name.partition(".")
        if method and owner in self.program.classes:
            return self.program.classes[owner].methods[method].line
        function = self.program.functions.get(owner)
        return function.line if function else self.program.unread.get(name, (0, ""))[0]

    # One step or one sequence.

    def recurrence(self, subject: Recurrence, step: Checked | None) -> Checked:
        """Check a forward pass, then its backward pass."""
        checked = Checked(subject)
        function = subject.forward_function
        if function is not None and function.is_empty:
            checked.findings += [self._unfinished(name) for name in _functions(subject)]
            return checked
        if subject.unlike:
            checked.findings += self._unlike(subject)
            return checked
        problem = draw(subject.cell, self.generator, Sizes())
        if not subject.whole:
            problem = steps(problem, 2, 2)
        if isinstance(subject, LossFunction):
            problem = subject.problem(problem)
        form, attempt = self.detect(subject, problem, step)
        if form is None and subject.forward_name == "forward" and subject.cell == "rnn":
            gru = CourseFunctions(
                self.session, self.program, "gru", True, "forward", subject.backward_name
            )
            own = draw("gru", self.generator, Sizes())
            found, _ = self.detect(gru, own, None)
            if found is not None:
                checked.subject = subject = gru
                form, problem = found, own
        if form is None:
            checked.findings += self._other_forward(subject, attempt, problem)
            return checked
        checked.form, checked.is_single = form, attempt.is_single
        if subject.whole:
            self.time_first = form.time.startswith("T")
        forward = self._forward(subject, form, attempt)
        separate = subject.backward_name != subject.forward_name
        if separate or forward.status != "right":
            checked.findings.append(forward)
        if subject.backward_name and (separate or forward.status == "right"):
            finding = self._backward(checked, form.problem(problem), step)
            if finding.status in ("wrong", "failed") and form.columns and form.batched:
                finding = self._of_one(checked, problem, step) or finding
            checked.findings.append(finding)
        return checked

    def _of_one(self, checked: Checked, problem: Problem, step: Checked | None) -> Finding | None:
        """Check a backward pass without a batch, which a forward pass of columns need not show."""
        form, attempt = self.detect(checked.subject, problem, step, batched=False)
        if form is None:
            return None
        alone = Checked(checked.subject, form, is_single=attempt.is_single)
        finding = self._backward(alone, form.problem(problem), step)
        if finding.status != "right" and not (finding.causes and finding.explained):
            return None
        names = ("form", "mistakes", "right", "explained", "returns")
        for name in names:
            setattr(checked, name, getattr(alone, name))
        return finding

    def detect(
        self,
        subject: Recurrence,
        problem: Problem,
        step: Checked | None,
        *,
        batched: bool = True,
    ) -> tuple[Convention | None, Attempt]:
        """Find the arrangement and the forward pass that the code has, with a batch if it can."""
        best = Attempt()
        tried = hypotheses(subject.cell)
        if step is not None and step.form is not None:
            known = step.form
            like = {
                name: getattr(known, name)
                for name in ("nonlinearity", "candidate", "outward", "inside", "keeps")
            }
            first = [replace(h, order=known.order, **like) for h in tried[:1]]
            tried = first + tried
        for form in subject.forms():
            if form.batched and not batched:
                continue
            written = problem if form.batched else one_sequence(problem)
            forward = subject.run_forward(form, written)
            if forward.outcome.failure:
                best = best.better(Attempt(failure=forward.outcome.failure, rank=1))
                if forward.outcome.failure.kind != "error":
                    break
                continue
            if not forward.states:
                value = forward.outcome.value
                empty = value is None or (isinstance(value, tuple) and value[:1] == (None,))
                best = best.better(Attempt(returned_none=empty, rank=3 if empty else 2))
                continue
            best = best.better(Attempt(ran=True, rank=4, form=form))
            for hypothesis in tried:
                for c0 in self._starts(subject):
                    found = form.computing(hypothesis, c0)
                    h, c = states(found, written, GATES_OF[subject.cell])
                    expected = [h] if c is None else [h, c]
                    if isinstance(subject, LossFunction):
                        expected = [each[-1:] for each in expected]
                    off = min(_distance(state, expected[0]) for state in forward.states)
                    if off <= _FORWARD:
                        self.session.forget()
                        shown = c is None or any(
                            _distance(state, expected[1]) <= _FORWARD for state in forward.states
                        )
                        return found, replace(
                            best, cell_is_right=subject.whole or shown, is_single=off > _TOLERANCE
                        )
        self.session.forget()
        return None, best

    def _starts(self, subject: Recurrence) -> tuple[Any, ...]:
        if subject.cell != "lstm" or subject.takes_c0:
            return ("argument",)
        return ("zero", "h0", "argument")

    # The backward pass.

    def _backward(self, checked: Checked, problem: Problem, step: Checked | None) -> Finding:
        """Run the backward pass and judge what it returns."""
        subject, form = checked.subject, checked.form
        assert form is not None  # noqa: S101
        name, function = subject.backward_name, subject.backward_function
        if function is not None and function.is_empty:
            return self._unfinished(name)
        if isinstance(subject, LossFunction):
            problem = subject.with_loss(problem)
        run = subject.run(form, problem)
        if run.failure:
            return self._failed(run.failed or name, run.failure)
        value = run.backward.value if run.backward else None
        values = value if isinstance(value, tuple | list) else [value]
        if all(each is None for each in values) and not run.gradients:
            return self._unfinished(name)
        problem = subject.taken(problem)
        judged = self._judged(checked, run, problem)
        checked.returns = True
        checked.right = judged.is_right
        if not judged.found and not judged.missing:
            return self._finding(name, "failed", "It returns no gradient that can be recognised.")
        if judged.is_right:
            judged.notes += self._more(checked, problem, judged.tolerance)
            return self._verdict(judged, "right", "All gradients are right.")
        if not judged.wrong and not judged.causes:
            return self._incomplete(judged)
        if step is not None and step.returns and not step.right:
            around = self._around(step, problem)
            if around and _equal(judged.found, around, judged.tolerance):
                other = step.subject.backward_name
                text = f"It is wrong only because of {other}: the loop around it is right."
                return self._verdict(judged, "wrong", text, follows=other)
        limit = self._cut_off(checked, problem, judged.tolerance) if judged.wrong else ""
        if limit:
            judged.notes.append(limit)
            judged.outputs = ()
            checked.right = True
            text = "All gradients are right up to where they are cut off."
            return self._verdict(judged, "right", text)
        return self._explained(checked, judged, problem, step)

    def _judged(self, checked: Checked, run: Run, problem: Problem) -> Judged:
        """Hold what came back against the truth."""
        subject, form = checked.subject, checked.form
        assert form is not None  # noqa: S101
        notes = self._notes(checked, run)
        tolerance = _SINGLE if checked.is_single or _is_single(run) else _TOLERANCE
        right = truth(problem)
        found, note = _unscaled(run.gradients, right, problem, tolerance)
        if isinstance(subject, LossFunction) and not note:
            found, note = _clipped(found, right, tolerance)
        summed, causes = self._unsummed(run, form, problem, subject)
        found = {**found, **summed}
        off = errors(found, right)
        missing = {key: text for key, text in run.mismatch.items() if key not in summed}
        absent = _absent(subject, form, right, {*found, *missing})
        if found and absent:
            notes.append(f"It returns no gradient of {absent} that is recognised: not checked.")
        return Judged(
            subject=subject,
            run=run,
            found=found,
            wrong=[key for key, error in off.items() if error > tolerance],
            missing=missing,
            causes=causes,
            notes=[*notes, note] if note else notes,
            outputs=self._outputs(run, form, off, missing, tolerance, causes),
            tolerance=tolerance,
        )

    def _verdict(self, judged: Judged, status: Status, summary: str, **more: Any) -> Finding:
        name = judged.subject.backward_name
        how = {"outputs": judged.outputs, "notes": judged.notes, **more}
        return self._finding(name, status, summary, **how)

    def _incomplete(self, judged: Judged) -> Finding:
        """Say what has no value that can be compared, where the rest is right."""
        if all("is None" in text for text in judged.missing.values()):
            absent = ", ".join(judged.run.names.get(key, key) for key in judged.missing)
            verb = "is" if len(judged.missing) == 1 else "are"
            text = f"{absent} {verb} None; the rest is right."
            return self._verdict(judged, "unfinished", text, outputs=())
        text = "What has a value is right; the rest cannot be compared."
        return self._verdict(judged, "wrong", text, explained=False)

    def _explained(
        self, checked: Checked, judged: Judged, problem: Problem, step: Checked | None
    ) -> Finding:
        """Name the mistakes that explain what is wrong."""
        subject, form = checked.subject, checked.form
        assert form is not None  # noqa: S101
        diagnosis = Diagnosis((), True)
        if judged.wrong:
            diagnosis = self._diagnose(checked, problem, judged, step)
        checked.mistakes, checked.explained = diagnosis.mistakes, diagnosis.explained
        real = tuple(each for each in diagnosis.mistakes if each.mistake.key != "batch-mean")
        if len(real) < len(diagnosis.mistakes):
            judged.notes.append(_MEAN_OF_WEIGHTS)
        if diagnosis.explained and not real and not judged.causes:
            judged.outputs = ()
            checked.right = True
            return self._verdict(judged, "right", "All gradients are right.")
        words = self._words(subject, form, problem, diagnosis.mistakes)
        known = step.mistakes if step is not None and diagnosis.explained else ()
        new = [each for each in real if each not in known] or real
        causes = [*judged.causes, *(words.cause(each) for each in new)]
        other = step.subject.backward_name if step is not None and len(new) < len(real) else ""
        if not self._is_linear(subject, form, problem, judged.tolerance):
            judged.notes.append(_NOT_LINEAR)
        if diagnosis.explained:
            judged.outputs = _followed(judged.outputs)
        return self._verdict(
            judged,
            "wrong",
            _summary(causes, diagnosis, judged.outputs, besides=other),
            causes=causes,
            explained=diagnosis.explained,
        )

    def _diagnose(
        self, checked: Checked, problem: Problem, judged: Judged, step: Checked | None
    ) -> Diagnosis:
        cell: Any = checked.subject.cell
        if not checked.subject.whole:
            return diagnose_step(cell, problem, judged.found, judged.tolerance)[0]
        base = step.mistakes if step is not None and step.explained else ()
        returned = {problem.T: judged.found}
        for T in range(1, problem.T):
            own = self._shorter(checked, problem, T)
            if own is not None:
                returned[T] = own
        return diagnose_sequence(cell, problem, returned, judged.tolerance, base)

    def _shorter(self, checked: Checked, problem: Problem, T: int) -> dict[str, Tensor] | None:
        """Return what the code gives for the first steps alone."""
        assert checked.form is not None  # noqa: S101
        short = checked.subject.taken(steps(problem, 1, T))
        run = checked.subject.run(checked.form, short)
        if run.failure or not run.gradients:
            return None
        return _unscaled(run.gradients, truth(short), short, _TOLERANCE)[0]

    def _around(self, step: Checked, problem: Problem) -> dict[str, Tensor]:
        """Go back through a sequence with the code's own step, in a loop of ours."""
        assert step.form is not None  # noqa: S101
        own = replace(step.form, c0="argument")
        total: dict[str, Tensor] = {}
        back: dict[str, Tensor] = {}
        inputs = []
        for t in range(problem.T, 0, -1):
            one: Any = steps(problem, t, t)
            one = replace(one, u=problem.u[t - 1 : t] + back.get("h_0", 0))
            if isinstance(problem, LSTM):
                read = problem.u_c[t - 1 : t] + back.get("c_0", 0)
                one = replace(one, u_c=read)
            run = step.subject.run(own, one)
            if run.failure or "h_0" not in run.gradients:
                return {}
            back = {name: run.gradients[name] for name in ("h_0", "c_0") if name in run.gradients}
            inputs.append(run.gradients.get("x"))
            for name, value in run.gradients.items():
                if name not in ("x", "h_0", "c_0"):
                    total[name] = total[name] + value if name in total else value
        if all(each is not None for each in inputs):
            total["x"] = torch.cat([each for each in reversed(inputs) if each is not None])
        return {**total, **back}

    def _is_linear(
        self, subject: Recurrence, form: Convention, problem: Problem, tolerance: float
    ) -> bool:
        """Tell whether gradients that arrive add up in what is returned."""
        if isinstance(subject, LossFunction):
            return True
        other: Any = replace(problem, u=problem.u.flip(0, 1) * 0.7)
        both: Any = replace(problem, u=problem.u + other.u)
        if isinstance(problem, LSTM):
            other = replace(other, u_c=problem.u_c.flip(1) * 0.4)
            both = replace(both, u_c=problem.u_c + other.u_c)
        parts = [subject.run(form, each).gradients for each in (problem, other, both)]
        names = set(parts[0]) & set(parts[1]) & set(parts[2])
        total = {name: parts[0][name] + parts[1][name] for name in names}
        return max(errors(parts[2], total).values(), default=0.0) <= max(tolerance, 1e-7)

    def _unsummed(
        self,
        run: Run,
        form: Convention,
        problem: Problem,
        subject: Recurrence,
    ) -> tuple[dict[str, Tensor], list[Cause]]:
        """Recognise a bias gradient that has a row for each sample."""
        summed: dict[str, Tensor] = {}
        for key in [key for key in run.mismatch if key.partition("^")[0] == "b"]:
            value = run.raw.get(key)
            gate = key.partition("^")[2]
            if not isinstance(value, np.ndarray) or value.ndim < 2:
                continue
            flat = value.sum(1 if form.columns else 0)
            D, H = problem.x.shape[1], problem.h_0.shape[0]
            with contextlib.suppress(Mismatch):
                summed |= form.read_parameter("b", gate, flat, D, H, key)
        if not summed:
            return {}, []
        words = Words(self.program, subject.backward_function, subject.cell, run.names)  # type: ignore[arg-type]
        return summed, [words.general(CATALOGUE["batch-not-summed"])]

    def _words(
        self,
        subject: Recurrence,
        form: Convention,
        problem: Problem,
        mistakes: tuple[Planted, ...],
    ) -> Words:
        """Run once more, looking at what is assigned, to know the code's names and lines."""
        one = problem if not subject.whole else steps(problem, 1, 1)
        if isinstance(subject, LossFunction):
            one = problem
        run = subject.run(form, one, trace=True)
        function = subject.backward_function
        variables: dict[str, tuple[tuple[int, Any], ...]] = {}
        if run.backward is not None and function is not None:
            variables = dict(run.backward.variables)
        slip = RIGHT
        for each in mistakes:
            slip = slip | each.slip
        model = backward(one, slip).steps[0]
        cell: Any = subject.cell
        return Words(self.program, function, cell, run.names, variables, model)

    # What is worth knowing of right code.

    def _notes(self, checked: Checked, run: Run) -> list[str]:
        notes = []
        subject = checked.subject
        extras = subject.extras() if isinstance(subject, LossFunction) else ()
        if extras:
            names = ", ".join(f"`{each}`" for each in extras)
            notes.append(
                f"{names}: more weights than the cell has, such as peepholes. They were set to 0, "
                "and their own gradients were not checked."
            )
        function = subject.backward_function
        for outcome, known in ((run.backward, function), (run.forward, subject.forward_function)):
            if outcome is None or known is None or outcome is run.forward is run.backward:
                continue
            notes += [
                f"{known.name} changes its argument `{known.arguments[place]}` in place. A second "
                "call with the same array then fails for no fault of the formula."
                for place in outcome.changed
                if place < len(known.arguments)
            ]
        if _is_single(run):
            notes.append(
                "Gradients are returned as float32, though all that goes in is float64: they are "
                "exact to 7 digits."
            )
        elif checked.is_single:
            notes.append(
                "Somewhere in the forward pass float32 comes in, though all that goes in is "
                "float64: gradients are exact to 7 digits."
            )
        return notes

    def _more(self, checked: Checked, problem: Problem, tolerance: float) -> list[str]:
        """Try sizes of 1, whole numbers and a long sequence on code that is right."""
        notes = []
        subject, form = checked.subject, checked.form
        assert form is not None  # noqa: S101
        if isinstance(subject, LossFunction):
            return []
        for said, sizes in (
            ("N = 1", Sizes(N=1)),
            ("D = 1", Sizes(D=1)),
            ("H = 1", Sizes(H=1)),
            ("T = 1", Sizes(T=1)),
        ):
            if (said == "T = 1" and not subject.whole) or (said == "N = 1" and not form.batched):
                continue
            small = form.problem(draw(subject.cell, self.generator, sizes))
            if not subject.whole:
                small = steps(small, small.T, small.T)
            small = subject.taken(small)
            run = subject.run(form, small)
            if run.failure:
                notes.append(f"With {said} it {run.failure.sentence}.")
                continue
            right = truth(small)
            found = _unscaled(run.gradients, right, small, tolerance)[0]
            if run.mismatch or max(errors(found, right).values(), default=0) > tolerance:
                notes.append(f"With {said} it breaks: a shape or a value is wrong there.")
        notes += self._again(subject, form, problem, tolerance)
        if subject.whole:
            cut = self._cut_off(checked, problem, tolerance, long=True)
            if cut:
                notes.append(cut)
        return notes

    def _again(
        self, subject: Recurrence, form: Convention, problem: Problem, tolerance: float
    ) -> list[str]:
        """Go back twice after one forward pass, and once from whole numbers."""
        notes = []
        forward = subject.run_forward(form, problem)
        runs = [subject.run_backward(form, problem, forward) for _ in range(2)]
        self.session.forget()
        failure = runs[1].failure
        if failure is not None:
            notes.append(f"A second backward pass after one forward pass {failure.sentence}.")
        elif not _equal(runs[1].gradients, runs[0].gradients, tolerance):
            notes.append(
                "A second backward pass after one forward pass gives other numbers: gradients add "
                "up over calls, or the cache is changed."
            )
        whole = replace(problem, x=(2 * problem.x).round())
        subject.integers = True
        run = subject.run(form, whole)
        subject.integers = False
        kind = getattr(run.raw.get("x"), "dtype", None)
        if kind is not None and kind.kind in "iu":
            notes.append(
                f"With whole numbers for x, `{run.names['x']}` is rounded to whole numbers: "
                "`zeros_like(x)` has the type of x."
            )
        return notes

    def _cut_off(
        self, checked: Checked, problem: Problem, tolerance: float, *, long: bool = False
    ) -> str:
        """Recognise gradients that go back some steps only."""
        subject, form = checked.subject, checked.form
        if not subject.whole or form is None or isinstance(subject, LossFunction):
            return ""
        if long:
            problem = form.problem(draw(subject.cell, self.generator, Sizes(T=_LONG)))
        problem = subject.taken(problem)
        run = subject.run(form, problem)
        if run.failure or _equal(run.gradients, truth(problem), tolerance):
            return ""
        for reach in range(1, problem.T - 1):
            model = truncated(problem, reach)
            model = {name: model[name] for name in run.gradients if name in model}
            weights = {n: v for n, v in run.gradients.items() if n not in ("x", "h_0", "c_0")}
            if weights and _equal(weights, {n: model[n] for n in weights if n in model}, tolerance):
                return (
                    f"Gradients are cut off after {reach} step{'s' if reach > 1 else ''}: "
                    f"truncated backpropagation. It is exact for T ≤ {reach + 1}; a check with "
                    "longer sequences will differ."
                )
        return ""

    # Findings.

    def _finding(self, name: str, status: Status, summary: str, **more: Any) -> Finding:
        more = {
            key: tuple(value) if isinstance(value, list) else value for key, value in more.items()
        }
        return Finding(name, self.program.line_name(self._line_of(name)), status, summary, **more)

    def _unfinished(self, name: str) -> Finding:
        return self._finding(name, "unfinished", "It is not written yet: it returns None.")

    def _failed(self, name: str, failure: Failure) -> Finding:
        if failure.kind == "error" and "NotImplemented" in failure.sentence:
            return self._finding(name, "unfinished", "It is not written yet.")
        return self._finding(name, "failed", f"It {failure.sentence}.")

    def _other_forward(
        self, subject: Recurrence, attempt: Attempt, problem: Problem
    ) -> list[Finding]:
        """Say why a forward pass is not understood; judge gradients by differences of it."""
        name = subject.forward_name
        others = [each for each in _functions(subject) if each != name]
        not_judged = "It was not checked: its forward pass does not run."
        rest = [self._finding(each, "unknown", not_judged) for each in others]
        if attempt.failure is not None and attempt.rank == 1:
            if isinstance(subject, LossFunction) and attempt.failure.kind == "error":
                text = f"With sizes other than its own it {attempt.failure.sentence}. {_HOOK}"
                return [self._finding(name, "unknown", text)]
            return [self._failed(name, attempt.failure), *rest]
        if attempt.returned_none:
            return [self._unfinished(name), *rest]
        if not attempt.ran or attempt.form is None:
            summary = "It returns nothing that has the shape of a state, in any layout."
            return [self._finding(name, "failed", summary), *rest]
        what = _NAMES[subject.cell]
        article = "a" if what == "GRU" else "an"
        orders = " in any order of its gates" if subject.cell != "rnn" else ""
        summary = f"The forward pass is not that of {article} {what}{orders}."
        forward = self._finding(name, "unknown", summary)
        if isinstance(subject, LossFunction) or not others:
            return [forward]
        return [forward, *self._by_differences(subject, attempt.form, problem)]

    def _unlike(self, subject: Recurrence) -> list[Finding]:
        """Say why a form is none of those that are known."""
        name, *others = _functions(subject)
        first = self._finding(name, "unknown", f"{subject.unlike} {_HOOK}")
        not_judged = "It was not checked: the form of its forward pass is not known."
        return [first, *(self._finding(each, "unknown", not_judged) for each in others)]

    def _by_differences(
        self, subject: Recurrence, form: Convention, problem: Problem
    ) -> list[Finding]:
        name = subject.backward_name
        if not form.batched:
            problem = one_sequence(problem)
        run = subject.run(form, problem)
        if run.failure:
            return [self._failed(name, run.failure)]
        if not run.gradients:
            return [self._unfinished(name)]
        right = numerical_gradients(subject, form, problem)
        if not right:
            return [self._finding(name, "unknown", "It cannot be compared with anything.")]
        off = errors(run.gradients, right)
        outputs = tuple(
            replace(each, gates={})
            for each in self._outputs(run, form, off, run.mismatch, _DIFFERENCES, [])
        )
        wrong = [each for each in outputs if not each.right]
        said = "Compared with central differences of its own forward pass."
        if not wrong:
            return [self._finding(name, "right", said, outputs=outputs, notes=(said,))]
        summary = f"{_summary([], Diagnosis(), outputs)} {said}"
        return [self._finding(name, "wrong", summary, outputs=outputs, explained=False)]

    def _forward(self, subject: Recurrence, form: Convention, attempt: Attempt) -> Finding:
        name = subject.forward_name
        self._say(subject, form)
        if not form.uses_h0:
            cell: Any = subject.cell
            words = Words(self.program, subject.forward_function, cell)
            cause = words.general(CATALOGUE["first-state-lost"])
            return self._finding(name, "wrong", "The forward pass starts from 0.", causes=(cause,))
        if not form.carries:
            return self._finding(
                name, "wrong", "The forward pass does not hand a state to the next step."
            )
        if not form.uses_bias:
            return self._finding(name, "wrong", "The forward pass leaves the bias out.")
        if not attempt.cell_is_right:
            return self._finding(name, "wrong", "The cell state that it returns is wrong.")
        return self._finding(
            name, "right", "The forward pass is right.", notes=_forward_notes(subject, form)
        )

    def _say(self, subject: Recurrence, form: Convention) -> None:
        """Say how the code is arranged."""
        for sentence in _arrangement(subject, form):
            if sentence not in self.conventions:
                self.conventions.append(sentence)

    def _outputs(
        self,
        run: Run,
        form: Convention,
        off: dict[str, float],
        missing: dict[str, str],
        tolerance: float,
        causes: list[Cause],
    ) -> tuple[Output, ...]:
        outputs = []
        for name, said in run.names.items():
            kind, _, own = name.partition("^")
            if kind == "W" or (form.joined and kind in ("W_x", "W_h")):
                keys = [k for k in off if k.startswith(("W_x^", "W_h^"))]
            else:
                keys = [k for k in off if k == name or (k.startswith(f"{kind}^"))]
            if own:
                keys = [k for k in keys if k.partition("^")[2] == own]
            text = missing.get(name, "")
            if not keys and not text:
                continue
            gates: dict[str, float] = {}
            for key in keys:
                gate = key.partition("^")[2]
                if gate in _GATE_WORDS and not own:
                    word = _GATE_WORDS[gate]
                    gates[word] = max(gates.get(word, 0.0), off[key])
            error = max((off[key] for key in keys), default=float("nan"))
            unsummed = kind == "b" and any(c.key == "batch-not-summed" for c in causes)
            if unsummed:
                text, error = "one row for each sample, not summed", float("nan")
            outputs.append(
                Output(
                    name=said,
                    of=_OF.get(kind, kind),
                    error=error,
                    right=not text and error <= tolerance,
                    gates=gates,
                    problem=text,
                )
            )
        return tuple(outputs)


@dataclass(frozen=True)
class Attempt:
    """How far a forward pass came."""

    failure: Failure | None = None
    returned_none: bool = False
    ran: bool = False
    cell_is_right: bool = True
    is_single: bool = False
    form: Convention | None = None
    rank: int = 0

    def better(self, other: Attempt) -> Attempt:
        """Return the one that came further."""
        return other if other.rank > self.rank else self


_HOOK = "A hook brings it into a known form: see Check your own."
_NOT_LINEAR = (
    "Not linear: with two upstream gradients added, what it returns is not the sum of what it "
    "returns for each. A gradient has gone through a nonlinear function, or two gradients were "
    "multiplied."
)
_MEAN_OF_WEIGHTS = (
    "The gradients of the weights are divided by the size of the batch, that of the input is not. "
    "That is a convention only if the loss is divided by it as well, and then all gradients are."
)


def _forward_notes(subject: Recurrence, form: Convention) -> list[str]:
    """Say in what a forward pass differs from the usual one."""
    notes = []
    said = {"sigmoid": "σ", "relu": "ReLU", "identity": "no nonlinearity", "tanh": "tanh"}
    if subject.cell == "lstm" and (form.candidate, form.outward) != ("tanh", "tanh"):
        notes.append(
            f"The candidate has {said[form.candidate]}, and the cell on its way to h_t "
            f"{said[form.outward]}; an LSTM has tanh at both. Gradients are held against this "
            "forward pass."
        )
        if form.candidate == "sigmoid":
            notes.append("With σ for the candidate, input gate and candidate cannot be told apart.")
    if subject.cell == "rnn" and form.nonlinearity in ("sigmoid", "identity"):
        notes.append(f"The state has {said[form.nonlinearity]}, where an RNN has tanh or ReLU.")
    return notes


def _by_cell(
    found: list[Recurrence],
) -> Iterator[tuple[Recurrence | None, Recurrence | None]]:
    """Yield step and sequence of each recurrence."""
    for cell in ("rnn", "lstm", "gru"):
        own = [each for each in found if each.cell == cell]
        step = next((each for each in own if not each.whole), None)
        sequence = next((each for each in own if each.whole), None)
        if step is not None or sequence is not None:
            yield step, sequence


def _functions(subject: Recurrence) -> list[str]:
    return list(dict.fromkeys(n for n in (subject.forward_name, subject.backward_name) if n))


def _distance(state: Tensor, expected: Tensor) -> float:
    if state.shape != expected.shape:
        return float("inf")
    return float((state - expected).abs().max())


def _equal(found: dict[str, Tensor], right: Any, tolerance: float) -> bool:
    off = errors(found, right)
    return bool(off) and max(off.values()) <= tolerance


def _is_single(run: Run) -> bool:
    kinds = [getattr(value, "dtype", None) for value in run.raw.values()]
    return any(kind is not None and kind.kind == "f" and kind.itemsize < 8 for kind in kinds)


def _unscaled(
    found: dict[str, Tensor], right: dict[str, Tensor], problem: Problem, tolerance: float
) -> tuple[dict[str, Tensor], str]:
    """Take out a factor that all gradients have: a mean in place of a sum."""
    T, _, N = problem.x.shape
    ratio = _ratio(found, right, tolerance)
    for factor, said in ((1 / N, "1/N"), (1 / T, "1/T"), (1 / (N * T), "1/(N T)")):
        if factor != 1 and abs(ratio - factor) <= 1e-7:
            note = (
                f"All gradients are the true ones times {said}: a mean in place of a sum. That is "
                "a convention, as long as the loss is divided in the same way."
            )
            return {name: value / factor for name, value in found.items()}, note
    return found, ""


def _absent(
    subject: Recurrence, form: Convention, right: dict[str, Tensor], known: set[str]
) -> str:
    """Name what has no gradient among those known, as far as one is to be expected."""
    wanted = [
        "W_x",
        "W_h",
        *(("b",) if form.biases else ()),
        *(("b_h",) if form.biases > 1 else ()),
    ]
    if not isinstance(subject, LossFunction):
        wanted += ["x", "h_0", *(() if subject.whole else ("c_0",))]
    joined = (
        {"W_x", "W_h"} if any(name.startswith("W^") or name == "W" for name in known) else set()
    )
    kinds = {name.partition("^")[0] for name in known} | joined
    return ", ".join(_OF[kind] for kind in wanted if kind not in kinds and _has(right, kind))


def _has(gradients: dict[str, Tensor], kind: str) -> bool:
    return any(name.partition("^")[0] == kind for name in gradients)


def _ratio(found: dict[str, Tensor], right: dict[str, Tensor], tolerance: float) -> float:
    """Return the factor that all gradients have; NaN if there is none."""
    ratios = []
    for name, value in found.items():
        if name in right and value.shape == right[name].shape:
            scale = float((value * right[name]).sum() / (right[name] ** 2).sum().clamp_min(1e-300))
            if float((value - scale * right[name]).abs().max()) > tolerance * float(
                right[name].abs().max()
            ):
                return float("nan")
            ratios.append(scale)
    if not ratios or max(ratios) - min(ratios) > 1e-7 * abs(ratios[0]):
        return float("nan")
    return ratios[0]


def _clipped(
    found: dict[str, Tensor], right: dict[str, Tensor], tolerance: float
) -> tuple[dict[str, Tensor], str]:
    """Take out a factor below 1 that all gradients of a loss have: their norm is clipped."""
    ratio = _ratio(found, right, tolerance)
    if not 1e-3 < ratio < 1 - 1e-7:
        return found, ""
    note = f"All gradients are the true ones times {ratio:.3g}, as where their norm is clipped."
    return {name: value / ratio for name, value in found.items()}, note


def _summary(
    causes: list[Cause], diagnosis: Diagnosis, outputs: tuple[Output, ...], *, besides: str = ""
) -> str:
    """Say what is wrong and how much of it is explained, besides by another function."""
    wrong = [each for each in outputs if not each.right]
    worst = max((each.error for each in wrong if each.error == each.error), default=float("nan"))
    names = ", ".join(each.name for each in wrong)
    verb = "is" if len(wrong) == 1 else "are"
    amount = f", by up to {percent(worst)}" if worst == worst else ""
    if worst == float("inf"):
        amount = ": not all elements are numbers"
    what = f"{names} {verb} wrong{amount}. " if names else ""
    if causes and diagnosis.explained:
        count = "one mistake" if len(causes) == 1 else f"{len(causes)} mistakes"
        if besides:
            said = f"What is wrong in {besides} and {count} here together explain"
        else:
            said = "One mistake explains" if len(causes) == 1 else f"{count} together explain"
        return f"{what}{said} all of it, to the last digit:"
    if causes:
        return what + "This explains a part of it:"
    return what + "No known mistake explains it."


def _followed(outputs: tuple[Output, ...]) -> tuple[Output, ...]:
    """Mark what is wrong because δ is: what goes back, where gradients of parameters are wrong."""
    back = {_OF[name] for name in ("x", "h_0", "c_0")}
    if all(each.right for each in outputs if each.of not in back):
        return outputs
    return tuple(
        replace(each, follows=not each.right and each.of in back and not each.problem)
        for each in outputs
    )


def _arrangement(subject: Recurrence, form: Convention) -> Iterator[str]:
    """Say how a recurrence is arranged, a sentence each."""
    cell = _NAMES[subject.cell]
    if subject.whole and not isinstance(subject, LossFunction):
        axes = {
            "NTD": "batch first, (N, T, D)",
            "TND": "time first, (T, N, D)",
            "DNT": "features first, (D, N, T)",
            "TDN": "time, features, batch, (T, D, N)",
            "DTN": "features, time, batch, (D, T, N)",
            "TD": "a single sequence, (T, D)",
        }
        yield f"Sequences: {axes.get(form.time, form.time)}."
    shape = "(out, in)" if form.turned else "(in, out)"
    yield f"Weights: {shape}; a state is a {'column' if form.columns else 'row'}."
    if subject.cell != "rnn":
        names = {"c": "c̃"}
        order = ", ".join(names.get(gate, gate) for gate in form.gates)
        if form.separate:
            joined = {"hx": ", on [h; x]", "xh": ", on [x; h]"}.get(form.joined, "")
            letters = getattr(subject, "letters", ())
            if letters:
                order = ", ".join(f"W{letter}" for letter in letters)
            yield f"{cell}: a matrix for each gate, {order}{joined}."
        else:
            yield f"{cell}: packed gates in the order {order}."
    if subject.cell == "gru":
        inside = "inside the product, W_h (r ⊙ h)" if form.inside else "outside, r ⊙ (W_h h + b_h)"
        kept = "z ⊙ h_{t−1} stays" if form.keeps else "z ⊙ n comes in"
        yield f"GRU: the reset gate stands {inside}; {kept}."
    if subject.cell == "rnn" and form.nonlinearity == "relu":
        yield "RNN: ReLU."
    if subject.cell == "lstm" and subject.whole and form.c0 != "argument":
        yield f"LSTM: the first cell state is {'0' if form.c0 == 'zero' else 'h_0'}."


def check_program(
    session: Caller, program: Program, *, only: str | None, seed: int, nothing: str
) -> Report:
    """Check a program; `nothing` is what to say where nothing is recognised."""
    repairs = program.repairs
    if session.failure is not None:
        text = f"It {session.failure.sentence}."
        return Report(program.name, repairs=repairs, problem=f"The file cannot be run. {text}")
    check = Check(session, program, torch.Generator().manual_seed(seed))
    findings = check.findings()
    if only is not None:
        known = [finding.function for finding in findings]
        if only not in known:
            names = ", ".join(known) or "none"
            raise ValueError(f"function must be one that is recognised ({names}), got {only!r}")
        findings = [finding for finding in findings if finding.function == only]
    problem = "" if findings else nothing
    conventions = tuple(check.conventions)
    return Report(program.name, tuple(findings), conventions, repairs, problem)
