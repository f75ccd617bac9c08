"""Code as people write it: in forms that the corpus of implementations does not have."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import report_on_text

from rnnreport.check import Finding, Report, check

HEAD = "import numpy as np\n\ndef sigmoid(z):\n    return 1 / (1 + np.exp(-z))\n\n"

RNN_STEP = """
def rnn_step_forward(x, prev_h, Wx, Wh, b):
    h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return h, (x, prev_h, Wx, Wh, h)

def rnn_step_backward(dh, cache):
    x, prev_h, Wx, Wh, h = cache
    dz = dh * (1 - h**2)
    return dz @ Wx.T, dz @ Wh.T, x.T @ dz, prev_h.T @ dz, dz.sum(0)
"""

RNN = """
def rnn_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    h = np.zeros((N, T, len(Wh)))
    for t in range(T):
        prev = h0 if t == 0 else h[:, t - 1]
        h[:, t] = np.tanh(x[:, t] @ Wx + prev @ Wh + b)
    return h, (x, h0, h, Wx, Wh)

def rnn_backward(dh, cache):
    x, h0, h, Wx, Wh = cache
    dx, back, dWx, dWh, db = np.zeros(x.shape), 0, 0, 0, 0
    for t in reversed(range(x.shape[1])):
        prev = h0 if t == 0 else h[:, t - 1]
        dz = (dh[:, t] + back) * (1 - h[:, t]**2)
        dWx += x[:, t].T @ dz
        dWh += prev.T @ dz
        db += dz.sum(0)
        dx[:, t] = dz @ Wx.T
        back = dz @ Wh.T
    return dx, back, dWx, dWh, db
"""

LSTM_STEP = """
def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    i, f, o, g = np.hsplit(x @ Wx + prev_h @ Wh + b, 4)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    c = f * prev_c + i * g
    q = np.tanh(c)
    return o * q, c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, q)

def lstm_step_backward(dh, dc, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, q = cache
    dc = dc + dh * o * (1 - q**2)
    di, df, do, dg = dc * g, dc * prev_c, dh * q, dc * i
    dz = np.hstack((di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)))
    return dz @ Wx.T, dz @ Wh.T, dc * f, x.T @ dz, prev_h.T @ dz, dz.sum(0)
"""

CELL = """
def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    Wf, Wu, Wc, Wo, bf, bu, bc, bo = (
        parameters[key] for key in ("Wf", "Wu", "Wc", "Wo", "bf", "bu", "bc", "bo")
    )
    z = np.concatenate((a_prev, xt))
    f, u, o = sigmoid(Wf @ z + bf), sigmoid(Wu @ z + bu), sigmoid(Wo @ z + bo)
    g = np.tanh(Wc @ z + bc)
    c = f * c_prev + u * g
    return o * np.tanh(c), c, None, (z, f, u, o, g, c, c_prev, parameters)

def lstm_cell_backward(da, dc, cache):
    z, f, u, o, g, c, c_prev, parameters = cache
    q = np.tanh(c)
    dc = dc + da * o * (1 - q**2)
    deltas = {
        "f": dc * c_prev * f * (1 - f),
        "u": dc * g * u * (1 - u),
        "c": dc * u * (1 - g**2),
        "o": da * q * o * (1 - o),
    }
    dz = sum(parameters["W" + key].T @ delta for key, delta in deltas.items())
    grads = {"dW" + key: delta @ z.T for key, delta in deltas.items()}
    grads |= {"db" + key: delta.sum(1, keepdims=True) for key, delta in deltas.items()}
    return grads | {"da_prev": dz[:len(f)], "dxt": dz[len(f):], "dc_prev": dc * f}
"""

CHARACTERS = """
vocab_size, hidden_size = 9, 30
Wxh = np.random.randn(hidden_size, vocab_size)
Whh = np.random.randn(hidden_size, hidden_size)
Why = np.random.randn(vocab_size, hidden_size)
bh, by = np.zeros((hidden_size, 1)), np.zeros((vocab_size, 1))

def lossFun(inputs, targets, hprev):
    xs, hs, ps, loss = {}, {-1: hprev}, {}, 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((vocab_size, 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        e = np.exp(Why @ hs[t] + by)
        ps[t] = e / e.sum()
        loss -= np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy, dbh, dby = map(np.zeros_like, (Wxh, Whh, Why, bh, by))
    back = np.zeros_like(hprev)
    for t in reversed(range(len(inputs))):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        dWhy += dy @ hs[t].T
        dby += dy
        dz = (Why.T @ dy + back) * (1 - hs[t]**2)
        dWxh += dz @ xs[t].T
        dWhh += dz @ hs[t - 1].T
        dbh += dz
        back = Whh.T @ dz
    return loss, dWxh, dWhh, dWhy, dbh, dby, hs[len(inputs) - 1]
"""

MEMORY = """
V, H = 9, 30
Wf, Wi, Wc, Wo = [np.random.randn(H, H + V) for _ in range(4)]
bf, bi, bc, bo = [np.zeros((H, 1)) for _ in range(4)]
Wy, by = np.random.randn(V, H), np.zeros((V, 1))

def lossFun(inputs, targets, hprev, cprev):
    h, c, kept, loss = hprev, cprev, [], 0
    for word, target in zip(inputs, targets):
        z = np.vstack((h, np.eye(V)[:, word:word + 1]))
        f, i, o = sigmoid(Wf @ z + bf), sigmoid(Wi @ z + bi), sigmoid(Wo @ z + bo)
        g = np.tanh(Wc @ z + bc)
        before, c = c, f * c + i * g
        h = o * np.tanh(c)
        e = np.exp(Wy @ h + by)
        p = e / e.sum()
        loss -= np.log(p[target, 0])
        kept.append((z, f, i, g, o, before, c, h, p, target))
    dWf, dWi, dWc, dWo, dWy = map(np.zeros_like, (Wf, Wi, Wc, Wo, Wy))
    dbf, dbi, dbc, dbo, dby = map(np.zeros_like, (bf, bi, bc, bo, by))
    dh, dc = np.zeros_like(hprev), np.zeros_like(cprev)
    for z, f, i, g, o, before, c_, h_, p, target in reversed(kept):
        dy = p.copy()
        dy[target] -= 1
        dWy += dy @ h_.T
        dby += dy
        dh = dh + Wy.T @ dy
        q = np.tanh(c_)
        dc = dc + dh * o * (1 - q**2)
        df = dc * before * f * (1 - f)
        di = dc * g * i * (1 - i)
        dg = dc * i * (1 - g**2)
        do = dh * q * o * (1 - o)
        dWf += df @ z.T
        dWi += di @ z.T
        dWc += dg @ z.T
        dWo += do @ z.T
        dbf += df
        dbi += di
        dbc += dg
        dbo += do
        dh = (Wf.T @ df + Wi.T @ di + Wc.T @ dg + Wo.T @ do)[:H]
        dc = dc * f
    return loss, dWf, dWi, dWc, dWo, dWy, dbf, dbi, dbc, dbo, dby, h, c
"""

VECTORS = """
def rnn_step_forward(x, h_prev, Wx, Wh, b):
    h = np.tanh(np.dot(Wx, x) + np.dot(Wh, h_prev) + b)
    return h, (x, h_prev, Wx, Wh, h)

def rnn_step_backward(dh, cache):
    x, h_prev, Wx, Wh, h = cache
    dz = dh * (1 - h**2)
    return np.dot(Wx.T, dz), np.dot(Wh.T, dz), np.outer(dz, x), np.outer(dz, h_prev), dz

def rnn_forward(xs, h0, Wx, Wh, b):
    hs, caches = [h0], []
    for x in xs:
        h, cache = rnn_step_forward(x, hs[-1], Wx, Wh, b)
        hs.append(h)
        caches.append(cache)
    return hs[1:], caches

def rnn_backward(dhs, caches):
    dxs, back, dWx, dWh, db = [], 0, 0, 0, 0
    for dh, cache in zip(dhs[::-1], caches[::-1]):
        dx, back, *own = rnn_step_backward(dh + back, cache)
        dxs.insert(0, dx)
        dWx, dWh, db = dWx + own[0], dWh + own[1], db + own[2]
    return dxs, back, dWx, dWh, db
"""

JOINED = """
def rnn_step_forward(x, prev_h, W, b):
    z = np.concatenate((x, prev_h), axis=1)
    h = np.tanh(z @ W + b)
    return h, (z, W, h, x.shape[1])

def rnn_step_backward(dh, cache):
    z, W, h, D = cache
    delta = dh * (1 - h**2)
    dz = delta @ W.T
    dx, dprev_h, dW, db = dz[:, :D], dz[:, D:], z.T @ delta, delta.sum(0)
    return dx, dprev_h, dW, db
"""

GRU_CELL = """
def gru_cell_forward(xt, a_prev, parameters):
    Wu, Wr, Wc = parameters["Wu"], parameters["Wr"], parameters["Wc"]
    bu, br, bc = parameters["bu"], parameters["br"], parameters["bc"]
    z = np.concatenate((a_prev, xt))
    u, r = sigmoid(Wu @ z + bu), sigmoid(Wr @ z + br)
    inner = np.concatenate((r * a_prev, xt))
    n = np.tanh(Wc @ inner + bc)
    return u * n + (1 - u) * a_prev, (z, u, r, inner, n, a_prev, parameters)

def gru_cell_backward(da, cache):
    z, u, r, inner, n, a_prev, parameters = cache
    H = len(u)
    dn = da * u * (1 - n**2)
    du = da * (n - a_prev) * u * (1 - u)
    dinner = parameters["Wc"].T @ dn
    dr = dinner[:H] * a_prev * r * (1 - r)
    dz = parameters["Wu"].T @ du + parameters["Wr"].T @ dr
    grads = {"dWu": du @ z.T, "dWr": dr @ z.T, "dWc": dn @ inner.T}
    grads |= {"dbu": du.sum(1), "dbr": dr.sum(1), "dbc": dn.sum(1)}
    da_prev = da * (1 - u) + r * dinner[:H] + dz[:H]
    return grads | {"da_prev": da_prev, "dxt": dinner[H:] + dz[H:]}
"""


OWN_CLASS = """
class LSTM:
    def __init__(self, inputs, hidden, rate=0.1):
        self.W = np.zeros((hidden, inputs))

    def forward(self, xs):
        return self.W @ xs

    def backward(self, dh):
        return dh
"""

ELEVEN = """
def gru_step_forward(x, h, Wz, Uz, bz, Wr, Ur, br, Wn, Un, bn):
    return h, x

def gru_step_backward(dh, cache):
    return dh
"""


def report(text: str, *changes: tuple[str, str]) -> Report:
    """Check a text in which some lines read otherwise."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return report_on_text(HEAD + text)


def wrong(given: Report) -> Finding:
    """Return the only finding that is wrong."""
    [finding] = [each for each in given.findings if each.status == "wrong"]
    return finding


def keys(finding: Finding) -> list[str]:
    return [cause.key for cause in finding.causes]


@pytest.mark.parametrize(
    "text",
    [RNN_STEP, RNN, LSTM_STEP, CELL, CHARACTERS, MEMORY, VECTORS, JOINED, GRU_CELL],
    ids=["step", "sequence", "lstm", "cell", "characters", "memory", "vectors", "joined", "gru"],
)
def test_right_code_is_right_in_every_form(text: str) -> None:
    given = report(text)
    assert given.ok, str(given)


def test_what_cannot_be_read_does_not_count_as_right() -> None:
    given = report(RNN_STEP + RNN, ("    for t in reversed(", "      for t in reversed("))
    assert given.exit_status == 1
    [finding] = [each for each in given.findings if each.status != "right"]
    assert (finding.function, finding.status) == ("rnn_backward", "failed")
    assert "cannot be read" in finding.summary
    assert finding.where == "line 24"


def test_float32_within_is_no_mistake() -> None:
    given = report(RNN, ("h = np.zeros((N, T, len(Wh)))", "h = np.zeros((N, T, len(Wh)), 'f')"))
    assert given.ok
    assert any("float32" in note for each in given.findings for note in each.notes)
    slip = ("(1 - h[:, t]**2)", "(1 - np.tanh(h[:, t])**2)")
    assert keys(wrong(report(RNN, slip, ("len(Wh)))", "len(Wh)), 'f')")))) == ["slope-twice"]


@pytest.mark.parametrize("key", ["f", "u", "c", "o"])
def test_a_mistake_is_found_behind_a_generated_dictionary(key: str) -> None:
    slope = {"f": "f * (1 - f)", "u": "u * (1 - u)", "c": "(1 - g**2)", "o": "o * (1 - o)"}[key]
    finding = wrong(report(CELL, (slope, "1")))
    assert keys(finding) == ["slope-dropped"]
    off = {each.name for each in finding.outputs if not each.right and not each.follows}
    assert off == {f"dW{key}", f"db{key}"}


def test_gradients_of_a_character_model_keep_their_gates() -> None:
    finding = wrong(report(MEMORY, ("di = dc * g * i * (1 - i)", "di = dc * g * i")))
    off = {each.name for each in finding.outputs if not each.right}
    assert {"dWi", "dbi"} <= off
    assert "dWi" in finding.summary


@pytest.mark.parametrize(
    "returned",
    [
        "loss, {'Wxh': dWxh, 'Whh': dWhh, 'Why': dWhy, 'bh': dbh, 'by': dby}, hs[t]",
        "loss, (dWxh, dWhh, dWhy, dbh, dby), hs[t]",
        "loss, dWxh, dWhh, dWhy, dbh, dby, hs[t]",
    ],
)
def test_gradients_of_a_character_model_may_stand_together(returned: str) -> None:
    last = ("hs[len(inputs) - 1]", "hs[t]")
    line = "return loss, dWxh, dWhh, dWhy, dbh, dby, hs[t]"
    end = f"t = len(inputs) - 1\n    return {returned}"
    assert report(CHARACTERS, last, (line, end)).ok
    finding = wrong(report(CHARACTERS, last, (line, end), ("(1 - hs[t]**2)", "(1 - hs[t])")))
    assert keys(finding) == ["square-missing"]


def test_states_of_a_character_model_are_known_by_their_names() -> None:
    swapped = ("inputs, targets, hprev, cprev", "inputs, targets, cprev, hprev")
    assert report(MEMORY, swapped).ok


def test_a_clipped_norm_is_a_convention() -> None:
    clipped = """
    size = np.sqrt(sum((d**2).sum() for d in (dWxh, dWhh, dWhy, dbh, dby)))
    for d in (dWxh, dWhh, dWhy, dbh, dby):
        d *= min(1, 0.1 / size)
    return"""
    given = report(CHARACTERS, ("\n    return loss", clipped + " loss"))
    assert given.ok
    assert any("norm is clipped" in note for note in given.findings[0].notes)


@pytest.mark.parametrize(
    "text",
    [
        OWN_CLASS,
        ELEVEN,
        CHARACTERS.replace("vocab_size, 1", "9, 1"),
        CELL.replace('"Wf", "Wu", "Wc", "Wo", "bf"', '*["W" + gate for gate in "fuco"], "bf"'),
    ],
    ids=["own class", "arguments", "sizes", "keys"],
)
def test_a_form_that_is_not_known_is_not_called_wrong(text: str) -> None:
    given = report(text)
    assert given.exit_status == 2
    assert {each.status for each in given.findings} <= {"unknown"}


def test_a_sum_that_stays_at_0_is_explained() -> None:
    finding = wrong(report(RNN, ("dWh += prev.T @ dz", "dWh += dWh")))
    assert keys(finding) == ["added-to-itself"]
    assert finding.causes[0].code == "dWh += dWh"


@pytest.mark.parametrize(
    ("value", "problem"),
    [("(dz @ Wx.T).round().astype(int)", "rounded"), ("dz @ Wx.T + 0j", "complex")],
)
def test_gradients_that_are_no_real_numbers_are_not_right(value: str, problem: str) -> None:
    finding = wrong(report(RNN_STEP, ("return dz @ Wx.T", f"return {value}")))
    assert problem in next(each.problem for each in finding.outputs if not each.right)


def test_a_sequence_that_calls_no_step_is_not_excused_by_it() -> None:
    slips = [("(1 - h**2)", "(1 - np.tanh(h)**2)"), ("h[:, t]**2)", "np.tanh(h[:, t])**2)")]
    given = report(RNN_STEP + RNN, *slips)
    found = [each for each in given.findings if each.status == "wrong"]
    assert [(each.function, keys(each)) for each in found] == [
        ("rnn_step_backward", ["slope-twice"]),
        ("rnn_backward", ["slope-twice"]),
    ]


LOOP = """
def rnn_forward(x, h0, Wx, Wh, b):
    h, hs, caches = h0, [], []
    for t in range(x.shape[1]):
        h, cache = rnn_step_forward(x[:, t], h, Wx, Wh, b)
        hs.append(h)
        caches.append(cache)
    return np.stack(hs, 1), caches

def rnn_backward(dh, caches):
    dx, dprev, dWx, dWh, db = [], 0, 0, 0, 0
    for t in reversed(range(len(caches))):
        dxt, dprev, a, c, d = rnn_step_backward(dh[:, t], caches[t])
        dx.insert(0, dxt)
        dWx, dWh, db = dWx + a, dWh + c, db + d
    return np.stack(dx, 1), dprev, dWx, dWh, db
"""


def test_a_sequence_names_what_its_step_does_not_have() -> None:
    step, loop = (
        each
        for each in report(RNN_STEP + LOOP, ("(1 - h**2)", "(1 - h)")).findings
        if each.status == "wrong"
    )
    assert keys(step) == ["square-missing"]
    assert keys(loop) == ["not-carried"]
    assert "What is wrong in rnn_step_backward and one mistake here together" in loop.summary


STACKED = "di * i * (1 - i), df * f * (1 - f)"


@pytest.mark.parametrize(
    ("text", "changes", "lines"),
    [
        (LSTM_STEP, {"f * (1 - f)": "sigmoid(f)"}, ["dz = np.hs"]),
        (LSTM_STEP, {STACKED: "df * f * (1 - f), di * i * (1 - i)"}, ["dz = np.hs"]),
        (LSTM_STEP, {"f * (1 - f)": "sigmoid(f)", "o * (1 - q**2)": "o * (1 - q)"},
         ["dc = dc + ", "dz = np.hs"]),
        (RNN, {"dWx +=": "dWx =", "dWh +=": "dWh =", "db +=": "db ="}, ["dWx = x[:,"]),
        (MEMORY, {"df = dc * before *": "df = dc * c_ *"}, ["df = dc * "]),
    ],
    ids=["slope", "stacked", "two", "alone", "partner"],
)  # fmt: skip
def test_the_lines_are_those_of_the_mistakes(
    tmp_path: Path, text: str, changes: dict[str, str], lines: list[str]
) -> None:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "layers.py"
    path.write_text(HEAD + text)
    assert sorted(cause.code[:10] for cause in wrong(check(path)).causes) == lines


def test_many_equations_in_a_row_are_a_range() -> None:
    slips = [(f"dW{gate} +=", f"dW{gate} =") for gate in "fico"]
    slips += [(f"db{gate} +=", f"db{gate} =") for gate in "fico"]
    assert "See (36)–(47)." in str(report(MEMORY, *slips))


@pytest.mark.parametrize("wrong_line", ["dbo += df", "dWo += df @ z.T"])
def test_a_copied_line_is_named(wrong_line: str) -> None:
    right = wrong_line.replace("df", "do")
    finding = wrong(report(MEMORY, (f"        {right}\n", f"        {wrong_line}\n")))
    assert keys(finding) == ["gate-copied"]
    assert finding.causes[0].place == "output gate and forget gate"


def test_what_is_not_returned_is_said_to_be_unchecked() -> None:
    given = report(JOINED + RNN, ("dx, dprev_h, dW, db\n", "dx, dprev_h, db\n"))
    notes = [note for each in given.findings for note in each.notes]
    assert [note for note in notes if "no gradient of" in note] == [
        "It returns no gradient of W_x, W_h that is recognised: not checked."
    ]


def test_long_expressions_have_the_usual_names() -> None:
    finding = wrong(report(LSTM_STEP, ("dg * (1 - g**2)", "dg")))
    assert [each.name for each in finding.outputs] == [
        "dz @ Wx.T", "dz @ Wh.T", "dc * f", "x.T @ dz", "prev_h.T @ dz", "dz.sum(0)"
    ]  # fmt: skip
    longer = ("dz @ Wh.T, dc * f", "np.matmul(dz, np.transpose(Wh)), dc * f")
    finding = wrong(report(LSTM_STEP, ("dg * (1 - g**2)", "dg"), longer))
    assert finding.outputs[1].name == "dprev_h"


def test_of_a_cell_state_nothing_of_the_step_is_added() -> None:
    sequence = """
def lstm_forward(x, h0, Wx, Wh, b):
    h, c, hs, caches = h0, 0 * h0, [], []
    for t in range(x.shape[1]):
        h, c, cache = lstm_step_forward(x[:, t], h, c, Wx, Wh, b)
        hs.append(h)
        caches.append(cache)
    return np.stack(hs, 1), caches

def lstm_backward(dh, caches):
    dx, dprev_h, dprev_c, dWx, dWh, db = [], 0, 0, 0, 0, 0
    for t in reversed(range(len(caches))):
        step = lstm_step_backward(dh[:, t] + dprev_h, 0, caches[t])
        dxt, dprev_h, dprev_c, a, c, d = step
        dx.insert(0, dxt)
        dWx, dWh, db = dWx + a, dWh + c, db + d
    return np.stack(dx, 1), dprev_h, dWx, dWh, db
"""
    [cause] = wrong(report(LSTM_STEP + sequence)).causes
    assert (cause.key, cause.place) == ("not-carried", "cell state")
    assert "back to the cell state before it" in cause.symptom
    assert "plus" not in cause.change
