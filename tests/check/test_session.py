from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from rnnreport.check import _child
from rnnreport.check._program import Program, parse
from rnnreport.check._session import Failure, Local, Outcome, Ref, Session


def program(text: str) -> Program:
    return parse(textwrap.dedent(text).lstrip("\n"), "a.py")


def returned(outcome: Outcome) -> Any:
    assert outcome.failure is None
    return outcome.value


def children() -> set[str]:
    found: set[str] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        found |= set(path.read_text(encoding="ascii").split())
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let no test leave a process or a file."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = children()
    yield tmp_path
    assert children() == before
    assert list(tmp_path.iterdir()) == []


STEPS = """
    import numpy as np

    class Cache:
        pass

    def rnn_step_forward(x, prev_h, Wx, Wh, b=0):
        print("a line")
        next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
        return next_h, [(x, Wx), {"h": next_h, 0: Cache()}]

    def rnn_step_backward(dnext_h, cache):
        (x, Wx), rest = cache
        dnext_h *= 1 - rest["h"]**2
        dx = np.zeros_like(x)
        for n in range(len(x)):
            dx[n] = (dnext_h[n] @
                     Wx.T)
        db = summed(dnext_h)
        return dx, dnext_h, db

    def summed(d):
        total = 0.0
        total = total + d.sum(0)
        return total

    class RNN:
        def __init__(self, Wx):
            self.Wx, self.h = Wx, None

        def forward(self, x):
            self.h = {}
            for t in range(len(x)):
                self.h[t] = x[t] @ self.Wx
            self.last = self.h[t]
            return self.last

        def __call__(self, x):
            return x * SCALE
"""

Opens = Callable[[str], Session | Local]


@pytest.fixture(params=["session", "local"])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opens]:
    """Open a program both ways."""
    callers: list[Session | Local] = []

    def opens(text: str) -> Session | Local:
        caller: Session | Local
        if request.param == "session":
            caller = Session(program(text), seconds=5)
        else:
            path = tmp_path_factory.mktemp("local") / "a.py"
            path.write_text(program(text).code, encoding="utf-8")
            namespace: dict[str, Any] = {}
            exec(compile(path.read_text("utf-8"), str(path), "exec"), namespace)  # noqa: S102
            caller = Local(namespace, seconds=5)
        callers.append(caller)
        return caller

    yield opens
    for caller in callers:
        caller.close()


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def test_a_forward_and_a_backward_pass_are_called(opened: Opens) -> None:
    caller = opened(STEPS)
    assert caller.failure is None
    x, h, Wx, Wh = numbers(2, 3), numbers(2, 5), numbers(3, 5), numbers(5, 5)
    forward = caller.call("rnn_step_forward", x, h, Wx, Wh, b=1.0)
    assert forward.failure is None
    assert forward.printed
    next_h, (pair, rest) = returned(forward)
    np.testing.assert_array_equal(next_h, np.tanh(x @ Wx + h @ Wh + 1))
    assert type(pair) is tuple
    np.testing.assert_array_equal(pair[0], x)
    assert list(rest) == ["h", 0]
    assert rest[0] == forward.ref[1][1][0]
    assert forward.shared == frozenset()
    assert forward.changed == {}

    d = numbers(2, 5)
    given = d.copy()
    backward = caller.call("rnn_step_backward", d, forward.ref[1])
    np.testing.assert_array_equal(d, given)
    dz = d * (1 - next_h**2)
    dx, _, db = returned(backward)
    np.testing.assert_allclose(dx, dz @ Wx.T)
    np.testing.assert_array_equal(db, dz.sum(0))
    assert backward.changed.keys() == {0}
    np.testing.assert_array_equal(cast("np.ndarray", backward.changed[0]), dz)
    assert backward.shared == {(1, 0)}
    assert not backward.printed


def test_a_trace_tells_what_each_statement_assigns(opened: Opens) -> None:
    caller = opened(STEPS)
    x, h, Wx, Wh = numbers(2, 3), numbers(2, 5), numbers(3, 5), numbers(5, 5)
    forward = caller.call("rnn_step_forward", x, h, Wx, Wh)
    assert forward.variables == {}
    outcome = caller.call("rnn_step_backward", numbers(2, 5), forward.ref[1], trace=True)
    lines = {name: [line for line, _ in pairs] for name, pairs in outcome.variables.items()}
    assert lines == {
        "x": [12],
        "Wx": [12],
        "dnext_h": [13],
        "dx": [14, 16, 16],
        "n": [15, 15],
        "total": [22, 23],
        "db": [18],
    }
    dx = [array for _, array in outcome.variables["dx"]]
    assert [np.count_nonzero(array.any(axis=1)) for array in dx] == [0, 1, 2]
    assert [int(array) for _, array in outcome.variables["n"]] == [0, 1]
    assert outcome.variables["total"][0][1].shape == ()


def test_objects_are_made_called_and_looked_at(opened: Opens) -> None:
    caller = opened(STEPS)
    made = caller.call("RNN", numbers(3, 5))
    assert made.value == made.ref
    x = numbers(2, 4, 3)
    outcome = caller.call(made.ref, x, method="forward", trace=True)
    np.testing.assert_array_equal(returned(outcome), x[1] @ numbers(3, 5))
    assert [line for line, _ in outcome.variables["self.h[t]"]] == [33, 33]
    assert [line for line, _ in outcome.variables["self.last"]] == [34]
    states = returned(caller.get(made.ref, "h"))
    assert isinstance(states, dict)
    assert list(states) == [0, 1]
    assert caller.set(made.ref, "Wx", np.zeros((3, 5))) is None
    assert not np.any(returned(caller.call(made.ref, x, method="forward")))
    failed = caller.call(made.ref, 2.0).failure
    assert failed == Failure(
        "error", "raises NameError in line 38: name 'SCALE' is not defined", 38
    )
    assert caller.set(None, "SCALE", 3) is None
    assert returned(caller.call(made.ref, 2.0)) == 6.0
    assert caller.run("SCALE = SCALE + 1") is None
    assert returned(caller.get(None, "SCALE")) == 4
    assert caller.run("undefined()") == Failure(
        "error", "raises NameError: name 'undefined' is not defined"
    )
    caller.forget()
    assert caller.call(made.ref, 2.0).failure == Failure("missing", "the object is gone")


def test_what_is_not_there_is_missing(opened: Opens) -> None:
    caller = opened(STEPS)
    made = caller.call("RNN", 1)
    for outcome, says in (
        (caller.call("nothing"), "there is no nothing"),
        (caller.call(made.ref, method="nothing"), "there is no method nothing"),
        (caller.get(made.ref, "nothing"), "there is no attribute nothing"),
        (caller.get(None, "nothing"), "there is no nothing"),
        (caller.call(Ref(77)), "the object is gone"),
    ):
        assert outcome.failure is not None
        assert outcome.failure.kind == "missing"
        assert outcome.failure.sentence.startswith(says)


def test_values_keep_their_types(opened: Opens) -> None:
    caller = opened("""
        import numpy as np
        import collections
        class Sub(np.ndarray): pass
        def same(x): return x
        def kinds():
            a = np.arange(12.0).reshape(3, 4)
            return [a.T, a[::2, ::3], a.view(Sub), np.array(3.0), np.float32(2), a.astype('>f8'),
                    np.ma.array(a), np.matrix(a), a.astype(np.longdouble), np.zeros((0, 3)), 1j]
        def scalars(): return np.float64(1), np.int64(2), np.bool_(True), float('nan')
        def opaque():
            return (object(), (i for i in 'ab'), {1, 2}, np.array([None]), 10**30, 'x' * 20000,
                    np.array(['a']), {(1, 2): 3}, len)
        def deep():
            l = []
            for _ in range(100): l = [l, l]
            return l
        def cyclic():
            l = []
            l.append(l)
            return l
        def long(): return list(range(100000)), np.zeros(1 << 26)
        def ordered():
            return collections.OrderedDict(a=1), collections.namedtuple('P', 'x y')(1, [2])
    """)
    value: Any
    for value in (
        *(None, True, 3, -2.5, "text\ud800", (), [], {}),
        *((1, [2.0, {"a": None, 3: "b"}]), ["r", 5, []]),
    ):
        came = returned(caller.call("same", value))
        assert came == value
        assert type(came) is type(value)
    for dtype in ("bool", "int8", "uint64", "float16", "float32", "float64", "complex128"):
        array = np.ones((2, 3), dtype)
        came = returned(caller.call("same", array))
        assert isinstance(came, np.ndarray)
        assert (came.dtype, came.shape) == (array.dtype, array.shape)
        came[0] = 0  # it is nobody else's
    a = np.arange(12.0).reshape(3, 4)
    kinds = returned(caller.call("kinds"))
    assert isinstance(kinds, list)
    assert {type(kind) for kind in kinds} == {np.ndarray}
    expected = [a.T, a[::2, ::3], a, 3.0, 2.0, a, a, a, a, np.zeros((0, 3)), 1j]
    for got, right in zip(kinds, expected, strict=True):
        np.testing.assert_array_equal(got, right)
    assert [kind.dtype.name for kind in kinds[4:6]] == ["float32", "float64"]
    scalars = returned(caller.call("scalars"))
    assert isinstance(scalars, tuple)
    assert [type(scalar) for scalar in scalars] == [float, int, bool, float]
    opaque = caller.call("opaque")
    assert opaque.value == tuple(opaque.ref[place] for place in range(9))
    assert str(returned(caller.call("deep"))).count("Ref") > 100
    assert "Ref" in str(returned(caller.call("cyclic")))
    long = caller.call("long")
    assert long.value == (long.ref[0], long.ref[1])
    assert returned(caller.call("ordered")) == ({"a": 1}, (1, [2]))


def test_changes_inside_of_arguments_are_seen(opened: Opens) -> None:
    caller = opened("""
        import numpy as np
        def make(): return [np.zeros(2), np.ones(2)]
        def eat(cache, d, rest): cache.pop(); d['a'][0] = 1
    """)
    cache = caller.call("make")
    outcome = caller.call("eat", cache.ref, {"a": np.zeros(2), "b": 2}, np.zeros(2))
    assert outcome.changed.keys() == {0, 1}
    assert len(cast("list[object]", outcome.changed[0])) == 1
    np.testing.assert_array_equal(cast("dict[str, np.ndarray]", outcome.changed[1])["a"], [1, 0])


HOSTILE = """
    import numpy as np
    import os, sys, threading, socket, subprocess, builtins
    def loop():
        while True: pass
    def catch():
        while True:
            try:
                while True: pass
            except BaseException: pass
    def native(): return 9 ** 9 ** 9 ** 9
    def memory(): return np.ones(1 << 40)
    def grow():
        l = []
        while True: l.append(bytearray(1 << 24))
    def leave(): sys.exit(3)
    def quits(): quit()
    def kill_self(): os._exit(0)
    def aborts(): os.abort()
    def deep(): return deep()
    def deeper():
        sys.setrecursionlimit(10 ** 9)
        f = lambda x: [f(y) for y in x]
        x = []
        x.append(x)
        return f(x)
    def interrupt(): raise KeyboardInterrupt
    def writes(): open('x', 'w')
    def writes_quietly():
        try: open('/elsewhere/x', 'ab')
        except: pass
        return 1
    def opens_low(): os.open('x', os.O_CREAT | os.O_WRONLY)
    def saves(): np.save('x', np.zeros(3))
    def makes(): os.makedirs('x')
    def removes(): os.remove(__file__ if '__file__' in globals() else 'x')
    def connects(): socket.create_connection(('127.0.0.1', 9))
    def starts(): subprocess.run(['true'])
    def shells(): os.system('true')
    def forks(): os.fork()
    def forks_low():
        import _posixsubprocess
        return 1
    def kills(): os.kill(os.getppid(), 9)
    def codes():
        import ctypes
        ctypes.CDLL(None).getpid()
    def raises_oddly():
        class E(Exception):
            def __str__(self): raise SystemExit
        raise E
    def raises_long(): raise ValueError('x\\n' * 10 ** 6)
    def prints():
        for _ in range(1500): print('x' * 10 ** 6)
        os.write(1, b'x' * 10 ** 6)
        sys.stderr.write('x')
        return 1
    def reads(): return sys.stdin.read(), os.read(0, 10)
    def exhausts(): raise MemoryError
    def fine(x=1): return np.tanh(x)
"""


@pytest.fixture(scope="module")
def hostile_program() -> Program:
    return program(HOSTILE)


SENTENCES = [
    ("memory", "memory", "asks for more than 0.5 GB of memory (line 11)"),
    ("grow", "memory", "asks for more than 0.5 GB of memory (line 14)"),
    ("exhausts", "memory", "asks for more than 0.5 GB of memory (line 58)"),
    ("leave", "ended", "ends the process (exit) (line 15)"),
    ("quits", "ended", "ends the process (exit) (line 16)"),
    ("kill_self", "ended", "ends the process (exit)"),
    ("aborts", "ended", "crashes the process (SIGABRT)"),
    ("deep", "error", "raises RecursionError in line 19: maximum recursion depth exceeded"),
    ("interrupt", "error", "raises KeyboardInterrupt in line 26"),
    ("writes", "refused", "tries to write the file x (line 27)"),
    ("writes_quietly", "refused", "tries to write the file /elsewhere/x (line 29)"),
    ("opens_low", "refused", "tries to write the file x (line 32)"),
    ("saves", "refused", "tries to write the file x.npy (line 33)"),
    ("makes", "refused", "tries to make a folder or a link (line 34)"),
    ("removes", "refused", "tries to make, change or remove a file (line 35)"),
    ("connects", "refused", "tries to open a connection (line 36)"),
    ("starts", "refused", "tries to start a process (line 37)"),
    ("shells", "refused", "tries to start a process (line 38)"),
    ("forks", "refused", "tries to start a process (line 39)"),
    ("kills", "refused", "tries to end a process (line 43)"),
    ("codes", "refused", "tries to run native code (line 46)"),
    ("raises_oddly", "error", "raises an exception in line 50"),
    ("raises_long", "error", f"raises ValueError in line 51: {'x ' * 100}".rstrip()),
]


def test_hostile_calls_become_sentences(hostile_program: Program) -> None:
    with Session(hostile_program, seconds=5, memory=1 << 29) as session:
        for name, kind, sentence in SENTENCES:
            failure = session.call(name).failure
            assert failure is not None, name
            assert (name, failure.kind, failure.sentence) == (name, kind, sentence)
            assert session.call("fine", 0.5).value == np.tanh(0.5), name


@pytest.mark.parametrize("name", ["loop", "catch", "native"])
def test_a_call_without_end_is_stopped(hostile_program: Program, name: str) -> None:
    with Session(hostile_program, seconds=0.5) as session:
        session.call("fine")
        start = time.monotonic()
        assert session.call(name).failure == Failure("time", "did not return within 0.5 s")
        assert time.monotonic() - start < 2
        assert returned(session.call("fine", 0.5)) == np.tanh(0.5)


def test_a_recursion_without_limit_is_a_sentence(hostile_program: Program) -> None:
    with Session(hostile_program, seconds=1, memory=1 << 28) as session:
        failure = session.call("deeper").failure
        assert failure is not None
        assert failure.kind in ("ended", "memory", "time")
        assert returned(session.call("fine", 0.5)) == np.tanh(0.5)


def test_gigabytes_of_prints_go_nowhere(
    hostile_program: Program, capfd: pytest.CaptureFixture[str]
) -> None:
    with Session(hostile_program, seconds=10, memory=1 << 28) as session:
        outcome = session.call("prints")
        assert outcome.failure is None
        assert (returned(outcome), outcome.printed) == (1, True)
        assert returned(session.call("reads")) is not None or True
    assert capfd.readouterr() == ("", "")


HOUSE = """
    import atexit, builtins, faulthandler, gc, json, os, signal, struct, sys, threading, warnings
    import __main__
    import numpy as np
    class Dying:
        def __del__(self): raise SystemExit
    def thread():
        def spin():
            while True: pass
        for _ in range(3):
            try: threading.Thread(target=spin).start()
            except RuntimeError: pass
    def g(x): return np.exp(x)
    def f():
"""


@pytest.mark.parametrize(
    "statement",
    [
        "sys.stdout = sys.stderr = sys.__stdout__ = None",
        "sys.stdout.close()",
        "sys.settrace(lambda *a: 1 / 0)",
        "sys.setprofile(lambda *a: None)",
        "np.tanh = np.array = np.frombuffer = np.ndarray = None",
        "builtins.len = builtins.isinstance = None",
        "[delattr(builtins, name) for name in list(vars(builtins))]",
        "json.dumps = json.loads = struct.pack = None",
        "sys.modules.clear()",
        "globals().clear()",
        "vars(__main__).clear()",
        "thread()",
        "Dying()",
        "gc.set_threshold(1)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "warnings.simplefilter('error')",
        "os.chdir('/'); os.environ.clear()",
        "atexit.register(f)",
        "sys.meta_path.clear(); sys.path.clear()",
        "faulthandler.enable()",
        "sys.setrecursionlimit(50)",
        "np.seterr(all='raise')",
    ],
)
def test_a_program_that_breaks_its_house_is_still_answered_for(statement: str) -> None:
    text = f"{textwrap.dedent(HOUSE)}    {statement}\n    return 1\n"
    with Session(parse(text, "a.py"), seconds=5) as session:
        assert session.call("f") == Outcome(value=1, ref=Ref(1 << 32))
        again = session.call("g", np.zeros(2))
        if again.failure is None:
            np.testing.assert_array_equal(returned(again), [1, 1])
        else:
            assert "clear()" in statement
            assert again.failure.kind in ("missing", "error")


def test_objects_with_tricks_stay_where_they_are() -> None:
    text = """
        import numpy as np
        class Meta(type):
            def __instancecheck__(self, x): raise SystemExit
            def __getattribute__(self, name): raise SystemExit
        class Trick(metaclass=Meta):
            def __eq__(self, other): raise SystemExit
            __hash__ = __len__ = __iter__ = __bool__ = __array__ = __reduce__ = __repr__ = __eq__
            def __getattribute__(self, name): raise ValueError(name)
        class TrickList(list):
            def __iter__(self): raise SystemExit
            def __len__(self): raise SystemExit
        class TrickDict(dict):
            def items(self): raise SystemExit
        class TrickArray(np.ndarray):
            def __array_finalize__(self, other): pass
            def __getattribute__(self, name): raise SystemExit
            def __array__(self, *args): raise SystemExit
        class TrickFloat(float):
            def __float__(self): raise SystemExit
        def trick(): return Trick()
        def more(): return TrickList([1]), TrickDict(a=1), TrickFloat(1)
        def array(): return np.zeros(2).view(TrickArray)
        def slow():
            class Slow:
                def __del__(self):
                    while True: pass
            return Slow()
        def fine(): return 1
    """
    with Session(program(text), seconds=0.5) as session:
        trick = session.call("trick")
        assert trick.value == trick.ref
        failed = session.get(trick.ref, "x").failure
        assert failed == Failure("error", "raises ValueError in line 8: x", 8)
        assert session.call(trick.ref).failure is not None
        more = session.call("more")
        assert more.value == ([1], {"a": 1}, more.ref[2])
        np.testing.assert_array_equal(returned(session.call("array")), [0, 0])
        assert session.call("slow").failure is None
        session.forget()
        assert returned(session.call("fine")) == 1


FORGED = """
import os
def forge(content):
    for n in range(3, 50):
        try: os.write(n, content)
        except OSError: pass
def framed(text): forge(len(text).to_bytes(8, 'little') + text)
def fine(): return 1
"""
BROKEN = "breaks the connection to its process"


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        ("forge(b'x' * 100)", BROKEN),
        ("forge(b'\\xff' * 8)", BROKEN),
        ("framed(b'[]')", BROKEN),
        ("framed(b'[' * 100000)", BROKEN),
        ('framed(b\'{"arrays": [["object", [1]]]}\')', BROKEN),
        ('framed(b\'{"arrays": [["int8", [-1]]]}\')', BROKEN),
        ('framed(b\'{"arrays": [["int8", [9999999999]]]}\')', BROKEN),
        ('framed(b\'{"arrays": [], "number": 9, "failure": null, "value": 5}\')', BROKEN),
        ('framed(b\'{"arrays": [], "number": 2}\')', BROKEN),
        ('framed(b\'{"arrays": [], "number": 2, "failure": null, "value": ["a", 7]}\')', BROKEN),
        ('framed(b\'{"arrays": [], "number": 2, "failure": {"kind": "x"}}\')', BROKEN),
        ("os.closerange(3, 1000)", "ends the process (exit)"),
    ],
)
def test_a_forged_message_breaks_the_connection(attack: str, sentence: str) -> None:
    with Session(parse(f"{FORGED}def f(): {attack}\n", "a.py"), seconds=5) as session:
        assert session.call("fine").value == 1
        assert session.call("f").failure == Failure("ended", sentence)
        for _ in range(3):
            outcome = session.call("fine")
        assert outcome.value == 1


def test_loading_is_limited_in_time() -> None:
    text = "X = 9 ** 9 ** 9 ** 9\ndef f(): return 1"
    with Session(parse(text, "a.py"), seconds=0.5) as session:
        late = Failure("time", "when it is loaded, did not return within 0.5 s")
        assert session.failure == late
        assert session.call("f").failure == late


def test_a_constant_that_is_too_large_is_lost_alone() -> None:
    text = "X = [0] * 10**12\ndef f(): return 1"
    with Session(parse(text, "a.py")) as session:
        assert session.failure is None
        assert session.call("f").value == 1
        assert session.get(None, "X").failure == Failure(
            "memory", "asks for more than 2 GB of memory (line 1)", 1
        )


def test_a_definition_that_fails_is_lost_alone() -> None:
    text = """
        import math
        def f(x=math.sqrt(-1)): return x
        def g(): return 1
        class A:
            B = math.sqrt(-1)
    """
    with Session(program(text)) as session:
        assert returned(session.call("g")) == 1
        assert session.call("f").failure == Failure(
            "error", "raises ValueError in line 2: math domain error", 2
        )
        assert session.call("A").failure == Failure(
            "error", "raises ValueError in line 5: math domain error", 5
        )


def test_a_new_process_knows_the_globals_and_not_the_objects() -> None:
    text = """
        W = 1
        def make(): return object()
        def f(): return W, V
        def end(): import os; os._exit(1)
    """
    with Session(program(text), seconds=5) as session:
        made = session.call("make").ref
        assert session.set(None, "W", np.ones(2)) is None
        assert session.set(None, "W", 5) is None
        assert session.run("V = W + 1") is None
        assert session.run("undefined") is not None
        assert returned(session.call("f")) == (5, 6)
        for _ in range(5):
            assert session.call("end").failure == Failure("ended", "ends the process (exit)")
            assert returned(session.call("f")) == (5, 6)
        assert session.call("f", made).failure == Failure(
            "missing", "the object is gone with its process"
        )
        session.call("end")
        failure = session.call("f").failure
        assert failure is not None
        assert failure.kind == "ended"
        assert "6 times" in failure.sentence


def test_an_old_object_inside_an_argument_is_missing() -> None:
    text = "def make(): return object()\ndef f(x): return 1\ndef end(): import os; os._exit(1)"
    with Session(parse(text, "a.py")) as session:
        made = session.call("make").ref
        assert returned(session.call("f", [made])) == 1
        session.call("end")
        gone = Failure("missing", "the object is gone with its process")
        assert session.call("f", {"a": [made]}).failure == gone


def test_lines_of_a_notebook_have_its_names() -> None:
    found = parse("def f():\n    return 1 / 0\n", "a.ipynb")
    named = Program(**{**vars(found), "cells": (1, 2)})
    with Session(named) as session:
        assert session.call("f").failure == Failure(
            "error", "raises ZeroDivisionError in cell 2, line 1: division by zero", 2
        )


def test_stand_ins_work() -> None:
    text = """
        from rnn_utils import softmax as columns, sigmoid
        from common.np import *
        from common.layers import *
        from .functions import softmax as rows, unknown
        from . import activation
        import matplotlib.pyplot as plt
        import cupy as cp
        def normal(x): return columns(x), rows(x), sigmoid(x), tanh(x), relu(x)
        def layers(W, b, x, d):
            layer, words = Affine(W, b), Embedding(W)
            out = layer.forward(x)
            words.forward(np.array([1, 1]))
            words.backward(d)
            return out, layer.backward(d), layer.grads, words.grads[0]
        def act(x):
            s, t = activation.Sigmoid(), Tanh()
            return s(x), s.derivative(), t.forward(x), t.backward(2 * x)
        def plots(): plt.plot([1])
        def calls(): return unknown(1)
        def like(): return cp.tanh(0.5)
    """
    with Session(program(text)) as session:
        x, W, b, d = numbers(2, 3), numbers(3, 4), numbers(4), numbers(2, 4)
        e = np.exp(x)
        columns, rows, s, t, r = returned(session.call("normal", x))
        np.testing.assert_allclose(columns, e / e.sum(0))
        np.testing.assert_allclose(rows, e / e.sum(1, keepdims=True))
        np.testing.assert_allclose(s, 1 / (1 + np.exp(-x)))
        np.testing.assert_array_equal(t, np.tanh(x))
        np.testing.assert_array_equal(r, x * (x > 0))
        out, dx, (dW, db), dE = returned(session.call("layers", W, b, x, d))
        np.testing.assert_allclose(out, x @ W + b)
        np.testing.assert_allclose(dx, d @ W.T)
        np.testing.assert_allclose(dW, x.T @ d)
        np.testing.assert_allclose(db, d.sum(0))
        np.testing.assert_allclose(dE, [0 * d[0], d.sum(0), 0 * d[0]])
        a, slope, u, du = returned(session.call("act", x))
        np.testing.assert_allclose(slope, a * (1 - a))
        np.testing.assert_allclose(du, 2 * x * (1 - u**2))
        for name, says in (
            ("plots", "line 18: plot comes from matplotlib.pyplot, which is not here"),
            ("calls", "line 19: unknown comes from functions, which is not here"),
        ):
            failure = session.call(name).failure
            assert failure is not None
            assert failure.sentence == f"raises ImportError in {says}"
        assert returned(session.call("like")) == np.tanh(0.5)


def test_missing_names_are_there() -> None:
    text = """
        def f(x): return sigmoid(np.dot(x, x)), softmax(x), [i for i in xrange(2)]
        def g(x): return softmax(x)
    """
    with Session(program(text)) as session:
        s, p, r = returned(session.call("f", np.eye(2)))
        np.testing.assert_allclose(p.sum(1), 1)
        np.testing.assert_allclose(s, 1 / (1 + np.exp(-np.eye(2))))
        assert r == [0, 1]
        np.testing.assert_allclose(returned(session.call("g", np.ones((4, 1)))), 0.25)


def test_random_numbers_are_the_same_each_time() -> None:
    text = "import random\nimport numpy as np\ndef f(): return random.random(), np.random.randn()"
    values = []
    for seed in (0, 0, 1):
        with Session(parse(text, "a.py"), seed=seed) as session:
            values.append(returned(session.call("f")))
    assert values[0] == values[1] != values[2]


TENSORS = """
    import torch
    def f(x, n, k):
        x *= 2
        return x, torch.zeros(2, dtype=torch.bfloat16), x.dtype == torch.float64, n[k], x.sum()
    def g(x): return x.requires_grad_().sum(), torch.ones(3, requires_grad=True)
    def big(): return torch.ones(1 << 36)
"""


@pytest.mark.parametrize("local", [False, True])
def test_tensors_arrive_and_come_back_as_arrays(local: bool) -> None:
    found = program(TENSORS)
    namespace: dict[str, Any] = {}
    exec(found.code, namespace)  # noqa: S102
    caller = Local(namespace, tensors=True) if local else Session(found)
    with caller:
        x = np.ones((2, 3), np.float32)
        outcome = caller.call("f", x, np.arange(3), 1)
        assert outcome.failure is None
        got, zeros, same, n, total = returned(outcome)
        np.testing.assert_array_equal(got, 2 * x)
        assert (zeros.dtype, same, n, total) == (np.float32, True, 1, 12)
        assert x[0, 0] == 1
        assert outcome.changed.keys() == {0}
        assert outcome.shared == {(0, 0), (3, 1)}
        assert caller.call("g", x).failure is None
        if not local:
            assert caller.call("big").failure == Failure(
                "memory", "asks for more than 2 GB of memory (line 6)", 6
            )


def test_a_local_call_without_end_is_stopped() -> None:
    namespace: dict[str, Any] = {}
    exec(program(HOSTILE).code, namespace)  # noqa: S102
    before = signal.getsignal(signal.SIGALRM)
    with Local(namespace, seconds=0.3) as local:
        assert local.call("loop").failure == Failure("time", "did not return within 0.3 s", 4)
        assert local.call("leave").failure is not None
        assert local.call("deep").failure is not None
        assert local.call("fine", 0.5).value == np.tanh(0.5)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_ctrl_c_ends_a_local_call() -> None:
    namespace: dict[str, Any] = {}
    exec(program(HOSTILE).code, namespace)  # noqa: S102
    with Local(namespace) as local, pytest.raises(KeyboardInterrupt):
        local.call("interrupt")


def test_a_local_trace_leaves_another_one_alone() -> None:
    def watch(*_: object) -> None: ...

    old = sys.gettrace()
    sys.settrace(watch)
    try:
        with Local({"f": numbers}) as local:
            assert local.call("f", 2, trace=True).failure is None
        assert sys.gettrace() is watch
    finally:
        sys.settrace(old)


def test_opening_a_session_waits_for_nothing(hostile_program: Program) -> None:
    start = time.monotonic()
    with Session(hostile_program):
        assert time.monotonic() - start < 0.1


def test_a_session_that_nobody_closes_ends_with_its_last_reference(
    hostile_program: Program,
) -> None:
    session = Session(hostile_program)
    assert session.call("fine").failure is None
    del session


@pytest.mark.parametrize("way", ["os._exit(0)", "os.kill(os.getpid(), 9)", "pass"])
def test_the_process_ends_with_its_parent(way: str, folder: Path) -> None:
    code = f"""
import os, threading, time
from rnnreport.check._program import parse
from rnnreport.check._session import Session
text = "import os\\ndef f(): return os.getpid()\\ndef g():\\n    while True: pass"
session = Session(parse(text, "a.py"))
print(session.call("f").value, flush=True)
threading.Thread(target=session.call, args=["g"], daemon=True).start()
time.sleep(0.2)
{way}
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    number = int(done.stdout)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{number}").exists()
    if way == "pass":
        assert list(folder.iterdir()) == []
        assert done.stderr == ""
    for left in folder.iterdir():
        left.rmdir()


def test_the_child_is_alone_and_knows_little() -> None:
    text = """
        import os, sys
        def f():
            apart = os.getsid(0) == os.getpid()
            return os.getcwd(), os.listdir('.'), dict(os.environ), apart, sys.flags.isolated
    """
    with Session(program(text)) as session:
        place, files, environment, apart, isolated = returned(session.call("f"))
        assert "rnnreport-check-" in place
        assert files == []
        assert environment["OMP_NUM_THREADS"] == "1"
        assert environment["HOME"] == place
        assert apart
        assert isolated


def test_a_closed_session_is_not_asked(hostile_program: Program) -> None:
    session = Session(hostile_program)
    session.close()
    session.close()
    with pytest.raises(ValueError, match="closed"):
        session.call("fine")


def test_what_cannot_be_handed_over_is_the_callers_mistake(hostile_program: Program) -> None:
    with Session(hostile_program) as session, pytest.raises(TypeError, match="object"):
        session.call("fine", cast("Any", object()))


@pytest.mark.parametrize(
    "node",
    [["a", 1], ["a", -1], ["a", "0"], ["x"], [], {}, ["d", [[[], 1]]], ["r", 1], ["r", 1, [[]]]],
)
def test_a_malformed_value_is_refused(node: Any) -> None:
    with pytest.raises(_child.Malformed):
        _child.read_node(node, [np.zeros(1)], Ref)
    deep: Any = 1
    for _ in range(40):
        deep = ["l", [deep]]
    with pytest.raises(_child.Malformed):
        _child.read_node(deep, [], Ref)
