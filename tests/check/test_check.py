"""Reports on right and wrong implementations of every family, convention and mistake."""

from __future__ import annotations

import itertools
import json
import tempfile
import types
from pathlib import Path

import pytest
import torch
from checking import causes, report_on, report_on_text
from fresh_python import output_of
from hypothesis import given, settings
from hypothesis import strategies as st
from implementations import (
    CELLS,
    CONVENTIONS,
    UNFINISHED,
    Implementation,
    Mistake,
    conventions,
    implementation,
    kinds,
    quirks,
)

from rnnreport.check import Report, check
from rnnreport.check._subjects import _recognised
from rnnreport.equations._mistakes import GATE_NAMES

FAMILIES = [(family, cell) for family, cells in CELLS.items() for cell in cells]
SINGLES = [(family, cell, kind) for family, cell in FAMILIES for kind in kinds(family, cell)]
ARRANGED = [(family, cell, how) for family, cell in FAMILIES for how in conventions(family, cell)]
NOTED = {*CONVENTIONS, "batch-mean", "argument-changed"}  # right, with a note

JOINED = {"not-carried", "first-state-zero", "view-overwritten"}  # places are states, not gates

# What numbers cannot tell apart: one function that returns no gradient of its input or its states.
ALIASES = {
    ("lossfun", "own-gradient-unused"): "added-to-itself",
    ("lossfun", "cell-path-dropped"): "not-carried",
    ("functions", "state-path-dropped"): "past-the-gates-dropped",
    ("classes", "state-path-dropped"): "past-the-gates-dropped",
}


def named(case: object) -> str:
    """Return a test's name."""
    return "-".join(str(part) for part in case) if isinstance(case, tuple) else str(case)


def is_named(report: Report, family: str, mistake: Mistake) -> bool:
    """Whether a report names one mistake and nothing else."""
    key, place = mistake
    found = causes(report)
    alias = ALIASES.get((family, key), key)
    if key in NOTED:
        return report.ok and any(finding.notes for finding in report.findings)
    if report.ok or {each for each, _ in found} - {key, alias} or not found:
        return False
    gate = place.partition(":")[0]
    if len(gate) == 1 and gate in GATE_NAMES and key not in JOINED:
        words = {GATE_NAMES[gate], "way from h_t to c_t", "what the reset gate multiplies", ""}
        return all(each in words for _, each in found)
    return True


@pytest.mark.parametrize(("family", "cell", "how"), ARRANGED, ids=named)
def test_right_code_is_right_in_every_convention(family: str, cell: str, how: dict) -> None:  # type: ignore[type-arg]
    report = report_on(implementation(family, cell, **how))
    assert report.ok, str(report)
    assert report.exit_status == 0
    assert not causes(report)


@pytest.mark.parametrize(("family", "cell", "mistake"), SINGLES, ids=named)
def test_a_planted_mistake_is_named(family: str, cell: str, mistake: Mistake) -> None:
    report = report_on(implementation(family, cell, (mistake,)))
    assert is_named(report, family, mistake), str(report)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_planted_mistake_is_named_in_any_convention(data: st.DataObject) -> None:
    family, cell = data.draw(st.sampled_from(FAMILIES))
    mistake = data.draw(st.sampled_from(kinds(family, cell)))
    how = data.draw(st.sampled_from(conventions(family, cell) or [{}]))
    try:
        code = implementation(family, cell, (mistake,), **how)
    except ValueError:  # the convention has no room for it
        return
    if how.get("buffers") == "float32" or how.get("nonlinearity") == "relu":
        return  # seven digits, or a slope of 0 and 1, leave mistakes that are alike
    report = report_on_text(code.text, seed=data.draw(st.integers(0, 3)))
    assert is_named(report, family, mistake), f"{family} {cell} {mistake} {how}\n{report}"


def pairs(family: str, cell: str) -> list[Implementation]:
    """Return some texts with two mistakes."""
    found = []
    for pair in list(itertools.combinations(kinds(family, cell), 2))[
        :: 97 if cell == "lstm" else 31
    ]:
        if {key for key, _ in pair} & {*NOTED, "first-state-lost", "batch-not-summed"}:
            continue
        try:
            found.append(implementation(family, cell, pair))
        except ValueError:  # one hides the other, or both stand in one place
            continue
    return found


@pytest.mark.parametrize(("family", "cell"), FAMILIES, ids=named)
def test_two_mistakes_are_named(family: str, cell: str) -> None:
    codes = pairs(family, cell)
    reports = [report_on(code) for code in codes]
    assert not any(report.ok for report in reports)
    explained = [
        {key for key, _ in code.mistakes} >= {key for key, _ in causes(report)} != set()
        or (len(causes(report)) <= 2 and all(f.explained for f in report.findings))
        for code, report in zip(codes, reports, strict=True)
    ]
    assert sum(explained) >= 0.8 * len(codes), [
        (code.mistakes, causes(report))
        for code, report, fits in zip(codes, reports, explained, strict=True)
        if not fits
    ]


def test_a_cause_speaks_the_reader_s_language(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(implementation("dictionaries", "lstm", (("slope-twice", "c"),)).text)
    report = check(path)
    (cause,) = [each for finding in report.findings for each in finding.causes]
    assert cause.key == "slope-twice"
    assert cause.place == "candidate"
    assert cause.equations == ("27",)
    assert "`cct`" in cause.symptom
    assert "1 - cct**2" in cause.change
    assert "np.tanh(cct)" in cause.code
    assert cause.code == path.read_text().split("\n")[(cause.line or 1) - 1].strip()
    wrong = {each.function: each for each in report.findings if each.status == "wrong"}
    assert wrong["lstm_backward"].follows == "lstm_cell_backward"
    right = {each.name for each in wrong["lstm_cell_backward"].outputs if each.right}
    assert right == {"dc_prev", "dWf", "dWi", "dWo", "dbf", "dbi", "dbo"}
    follow = {each.name for each in wrong["lstm_cell_backward"].outputs if each.follows}
    assert follow == {"dxt", "da_prev"}


def test_errors_are_given_by_gate() -> None:
    report = report_on(implementation("functions", "lstm", (("value-for-slope", "f"),)))
    (finding,) = [each for each in report.findings if each.function == "lstm_step_backward"]
    weights = next(each for each in finding.outputs if each.name == "dWx")
    assert weights.gates["forget"] > 0.01
    assert max(weights.gates[gate] for gate in ("input", "candidate", "output")) < 1e-12


def test_a_template_is_unfinished() -> None:
    report = report_on_text(UNFINISHED)
    assert report.exit_status == 2
    assert {each.status for each in report.findings} == {"right", "unfinished"}


@pytest.mark.parametrize("name", sorted(quirks()))
def test_code_that_does_not_run_as_it_is_is_repaired(name: str, tmp_path: Path) -> None:
    path = tmp_path / "old.py"
    path.write_text(quirks()[name].text)
    report = check(path)
    assert report.ok, str(report)
    assert report.repairs or name == "training"


def test_peepholes_are_named_and_not_failed() -> None:
    text = implementation("lossfun", "lstm").text
    text = text.replace("bf = np.z", "Pf = np.random.randn(hidden_size, 1)\nbf = np.z", 1)
    text = text.replace("np.dot(Wf, zs[t]) + bf", "np.dot(Wf, zs[t]) + Pf * cs[t-1] + bf")
    report = report_on_text(text)
    assert report.ok
    assert "`Pf`" in report.findings[0].notes[0]


UNKNOWN = """
import numpy as np

def rnn_step_forward(x, prev_h, Wx, Wh, b):
    z = x.dot(Wx) + prev_h.dot(Wh) + b
    return np.sin(z), (x, prev_h, Wx, Wh, z)

def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, z = cache
    dz = dnext_h * SLOPE
    return dz.dot(Wx.T), dz.dot(Wh.T), x.T.dot(dz), prev_h.T.dot(dz), dz.sum(0)
"""


def test_another_forward_pass_is_judged_by_its_own_differences() -> None:
    right = report_on_text(UNKNOWN.replace("SLOPE", "np.cos(z)"))
    assert [each.status for each in right.findings] == ["unknown", "right"]
    assert right.exit_status == 2
    wrong = report_on_text(UNKNOWN.replace("SLOPE", "np.sin(z)"))
    assert [each.status for each in wrong.findings] == ["unknown", "wrong"]
    assert wrong.exit_status == 1


HOOK = """
def forward(x, h0, Wx, Wh, b):
    net = Network(Wx, Wh, b)
    return net.run(x, h0), net

def backward(dh, net):
    net.back(dh)
    return net.dx, net.dh0, net.dWx, net.dWh, net.db
"""
OTHER = """
import numpy as np

class Network:
    def __init__(self, U, W, bias):
        self.U, self.W, self.bias = U, W, bias

    def run(self, xs, h):
        self.xs, self.hs = xs, [h]
        for x in xs:
            self.hs.append(np.tanh(x @ self.U + self.hs[-1] @ self.W + self.bias))
        return np.array(self.hs[1:])

    def back(self, grads):
        self.dx = np.zeros_like(self.xs)
        self.dWx, self.dWh = np.zeros_like(self.U), np.zeros_like(self.W)
        self.db, later = 0, 0
        for t in reversed(range(len(grads))):
            delta = (grads[t] + later) * (1 - self.hs[t + 1] ** 2)
            self.dWx += self.xs[t].T @ delta
            self.dWh += self.hs[t].T @ delta
            self.db = self.db + delta.sum(0)
            self.dx[t] = delta @ self.U.T
            later = delta @ self.W.T
        self.dh0 = later
"""


def test_a_hook_brings_any_form(tmp_path: Path) -> None:
    code, hook = tmp_path / "network.py", tmp_path / "hook.py"
    code.write_text(OTHER)
    hook.write_text(HOOK)
    assert not check(code).findings
    report = check(code, hook=hook)
    assert report.ok, str(report)
    code.write_text(OTHER.replace("later = delta @ self.W.T", "later = delta @ self.W"))
    assert causes(check(code, hook=hook)) == [("not-transposed", "")]
    # A file that holds what is known is judged by its hook too, where there is one.
    code.write_text(OTHER + implementation("functions", "rnn").text)
    report = check(code, hook=hook)
    assert [each.function for each in report.findings] == ["forward", "backward"]
    hook.write_text("def forward(x, h0, Wx, Wh, b):\n    return x\n")
    with pytest.raises(ValueError, match="hook must define forward and backward"):
        check(code, hook=hook)


def test_a_hook_may_hold_a_gru() -> None:
    text = implementation("functions", "gru").text
    for old, new in (("gru_step_forward", "one"), ("gru_step_backward", "one_back")):
        text = text.replace(old, new)
    text = text.replace("gru_forward", "forward").replace("gru_backward", "backward")
    report = report_on_text(text)
    statuses = [each.status for each in report.findings if each.function in ("forward", "backward")]
    assert statuses == ["right", "right"], str(report)
    assert any(sentence.startswith("GRU:") for sentence in report.conventions)


def test_a_module_and_functions_are_checked_in_this_process() -> None:
    module = types.ModuleType("my_layers")
    exec(implementation("functions", "rnn").text, vars(module))  # noqa: S102
    assert check(module).ok
    functions = [module.rnn_step_forward, module.rnn_step_backward]
    report = check(functions)
    assert [each.function for each in report.findings] == [each.__name__ for each in functions]
    report.assert_ok()
    exec(implementation("functions", "rnn", (("not-transposed", ""),)).text, vars(module))  # noqa: S102
    with pytest.raises(AssertionError, match="W_h not transposed on the way back"):
        check(module).assert_ok()


def test_one_function_can_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "layers.py"
    path.write_text(implementation("functions", "lstm", (("slope-twice", "c"),)).text)
    assert check(path, function="lstm_step_forward").ok
    assert not check(path, function="lstm_step_backward").ok
    with pytest.raises(ValueError, match=r"function must be one .*lstm_step_forward.*got 'f'"):
        check(path, function="f")


def test_what_is_given_must_be_code() -> None:
    with pytest.raises(TypeError, match="code must be a file, a module, a mapping or functions"):
        check([1])
    with pytest.raises(ValueError, match="hook is for a file"):
        check([len], hook="hook.py")


def test_the_report_as_json() -> None:
    report = report_on(implementation("functions", "rnn", (("slope-dropped", "h"),)))
    values = json.loads(report.to_json())
    assert values["exit_status"] == 1
    assert values["ok"] is False
    found = [cause["key"] for each in values["findings"] for cause in each["causes"]]
    assert found == ["slope-dropped"]


def test_less_explanation_leaves_the_change_out() -> None:
    report = report_on(implementation("functions", "rnn", (("slope-dropped", "h"),)))
    assert "Change:" in report.text()
    less = report.text(explain="less")
    assert "Change:" not in less
    assert "(3)" in less


def test_the_same_seed_gives_the_same_report() -> None:
    code = implementation("functions", "gru", (("not-carried", "h"),))
    assert report_on(code).to_json() == report_on(code).to_json()


def test_the_room_is_light_until_something_is_checked() -> None:
    assert output_of("import sys, rnnreport.check; print('torch' in sys.modules)") == "False\n"


def test_torch_is_left_as_it_was() -> None:
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.random.get_rng_state()
    report_on(implementation("functions", "rnn", array="torch"))
    after = torch.get_num_threads(), torch.get_default_dtype(), torch.random.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lstm_step_forward", ("lstm", False, "forward")),
        ("LSTM_step_backward", ("lstm", False, "backward")),
        ("lstmCellBackward", ("lstm", False, "backward")),
        ("lstm_cell", ("lstm", False, "forward")),
        ("rnn_backward", ("rnn", True, "backward")),
        ("GRU_forward_pass", ("gru", True, "forward")),
        ("rnn_relu", None),
        ("rnn_forward_backward", None),
        ("train_lstm", None),
        ("forward", None),
    ],
)
def test_functions_are_recognised_by_their_names(name: str, expected: object) -> None:
    assert _recognised(name) == expected


def test_a_gradient_that_is_none_is_unfinished() -> None:
    text = implementation("functions", "rnn").text
    report = report_on_text(text.replace("return dx, dh0,", "return dx, None,"))
    (finding,) = [each for each in report.findings if each.function == "rnn_backward"]
    assert finding.status == "unfinished"
    assert report.exit_status == 2


LEFT = str(Path(tempfile.gettempdir()) / "rnnreport-left")
HOSTILE = {
    "loop": ("while True: pass", "did not return within 0.5 s"),
    "exit": ("import os; os._exit(0)", "ends the process"),
    "memory": ("np.zeros(1 << 34)", "memory"),
    "recursion": ("return rnn_step_forward(x, prev_h, Wx, Wh, b)", "recursion"),
    "file": (f"open({LEFT!r}, 'w')", "write"),
    "process": ("import subprocess; subprocess.run(['true'])", "process"),
    "network": ("import socket; socket.create_connection(('127.0.0.1', 1))", "connection"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_code_that_misbehaves_is_a_sentence(kind: str, tmp_path: Path) -> None:
    line, words = HOSTILE[kind]
    path = tmp_path / "hostile.py"
    body = implementation("functions", "rnn").text
    head = "def rnn_step_forward(x, prev_h, Wx, Wh, b):\n"
    assert head in body
    path.write_text(body.replace(head, f"{head}    {line}\n"))
    report = check(path, seconds=0.5)
    (finding,) = [each for each in report.findings if each.function == "rnn_step_forward"]
    assert finding.status == "failed"
    assert words in finding.summary
    assert report.exit_status == 1
    assert [each for each in report.findings if each.function == "temporal_softmax_loss"]
    assert sorted(tmp_path.iterdir()) == [path]
    assert not Path(LEFT).exists()


def test_patches_of_numpy_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "patching.py"
    body = implementation("functions", "rnn", (("slope-dropped", "h"),)).text
    head = "def rnn_step_forward(x, prev_h, Wx, Wh, b):\n"
    patch = "    np.abs = np.array_equal = np.frombuffer = lambda *a, **k: True\n"
    path.write_text(body.replace(head, head + patch))
    assert causes(check(path)) == [("slope-dropped", "")]
