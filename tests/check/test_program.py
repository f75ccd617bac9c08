from __future__ import annotations

import functools
import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnreport.check._program import Program, parse, read


def program(text: str) -> Program:
    return parse(textwrap.dedent(text), "a.py")


def executed(text: str) -> dict[str, Any]:
    """Return the globals after a program's code was executed here."""
    found = program(text)
    assert found.code.count("\n") == found.text.count("\n")
    namespace: dict[str, Any] = {}
    exec(found.code, namespace)  # noqa: S102
    return namespace


def test_a_function_is_described() -> None:
    found = program('''
        import numpy as np
        SIZE = 4

        def helper(v):
            return v

        @staticmethod
        def step(x, h=None, *rest, key=1, **more):
            """Step."""
            def inner(q):
                return q + OTHER
            if x is None:
                return None
            return x @ W, [helper(v) for v in h], len(np.tanh(SIZE))
    ''')
    step = found.functions["step"]
    assert (step.name, step.line, step.end_line) == ("step", 9, 15)
    assert step.arguments == ("x", "h")
    assert step.required == 1
    assert step.returned == ("x @ W", "[helper(v) for v in h]", "len(np.tanh(SIZE))")
    assert step.reads == {"W", "OTHER", "helper", "np", "SIZE"}
    assert not step.is_empty
    assert found.functions["helper"].returned == ("v",)
    assert not found.uses_torch


def test_a_class_is_described() -> None:
    found = program("""
        class Base:
            pass

        class LSTM(Base, object):
            def __init__(self, Wx, b=0):
                self.Wx = Wx

            def forward(self, x): return x, self.Wx

            @staticmethod
            def act(x): return x

            @classmethod
            def make(cls, n): return cls(n)
    """)
    lstm = found.classes["LSTM"]
    assert lstm.bases == ("Base", "object")
    assert {name: method.arguments for name, method in lstm.methods.items()} == {
        "__init__": ("Wx", "b"),
        "forward": ("x",),
        "act": ("x",),
        "make": ("n",),
    }
    assert lstm.methods["__init__"].required == 1
    assert lstm.methods["__init__"].returned == ()
    assert set(found.classes) == {"Base", "LSTM"}


@pytest.mark.parametrize(
    ("body", "empty"),
    [
        ("pass", True),
        ("'''Text.'''", True),
        ("...", True),
        ("return None", True),
        ("raise NotImplementedError('write me')", True),
        ("dx, dh = None, None\n    # TODO\n    pass\n    return dx, dh", True),
        ("a, b = None, None\n    return a, b, x", True),
        ("n, d = x.shape\n    dx = None\n    return dx", True),
        ("dx = None\n    return {'dx': dx, 'x': x}", True),
        ("return x", False),
        ("dx = None\n    dx = x * 2\n    return dx", False),
        ("for t in x: pass", False),
        ("x.cache = None", False),
        ("raise ValueError('no')", False),
        ("y = x\n    return y", False),
    ],
)
def test_a_template_is_empty(body: str, empty: bool) -> None:
    assert program(f"def f(x):\n    {body}\n").functions["f"].is_empty is empty


def test_definitions_and_constants_are_kept_and_all_else_is_dropped() -> None:
    names = executed("""
        undefined()
        from __future__ import division
        import numpy as np, math
        assert 0
        raise SystemExit
        SIZE, RATE = 4, 1e-3; undefined()
        undefined('é'); HALF = SIZE // 2; undefined()
        dtype = np.float32
        square = lambda v: v * v
        sigmoid = lambda v: 1 / (1 + np.exp(-v))
        names = {'a': [SIZE, -1.5], 'b': math.pi}
        names['c'] = 3
        W = undefined(SIZE)
        for i in undefined: pass
        while undefined: pass
        with undefined: pass
        del undefined
        print(undefined)
        def f(): return SIZE
        if __name__ == '__main__':
            def g(): return 1
            undefined()
    """)
    kept = set(names) - {"__builtins__", "__annotations__"}
    assert kept == {
        *("np", "math", "SIZE", "RATE", "HALF", "dtype", "square", "sigmoid"),
        *("names", "f"),
    }
    assert names["names"] == {"a": [4, -1.5], "b": names["math"].pi, "c": 3}
    assert names["HALF"] == 2


def test_other_assignments_are_deferred() -> None:
    found = program("""
        import numpy as np
        data = open('input.txt').read()
        vocab_size = len(data)
        hidden_size = 100
        bh = np.zeros((hidden_size, 1))
        Wxh = np.random.randn(hidden_size,
                              vocab_size)*0.01
        hidden_size += len(data)
        rate = hidden_size
        def f(): pass
        if rate:
            inner = undefined()
        if __name__ == '__main__':
            def g(): pass
    """)
    assert set(found.functions) == {"f"}
    assert found.deferred == (
        "data = open('input.txt').read()",
        "vocab_size = len(data)",
        "bh = np.zeros((hidden_size, 1))",
        "Wxh = np.random.randn(hidden_size,\n                      vocab_size)*0.01",
        "hidden_size += len(data)",
    )


def test_definitions_inside_a_block_stay() -> None:
    names = executed("""
        try:
            import numpy as np
            undefined()
        except undefined:
            pass
        if True:
            def f(): return 1
        else:
            def g(): return 1
        if undefined():
            def h(): return 1
        try:
            undefined()
        finally:
            undefined()
    """)
    assert {"np", "f", "h"} <= names.keys()
    found = program("if True:\n    def f(): return 1\nelse:\n    def f(x): return 1\n")
    assert found.functions["f"].arguments == ()


def test_what_a_definition_would_execute_is_left_out() -> None:
    text = """
        import functools
        from numba import jit
        from layers import Layer
        import numpy as np

        @jit(nopython=True)
        @functools.lru_cache(maxsize=None)
        def f(x, h=undefined(), n=np.zeros(3), k=-1): return x, h, n, k

        class A(Layer, undefined, metaclass=undefined):
            undefined()
            size = 3
            W = undefined(size)
            def g(self, n=size): return n
            @undefined
            def h(self): return 2
    """
    found = program(text)
    namespace: dict[str, Any] = {"functools": functools, "np": np}
    exec("\n".join(found.code.split("\n")[5:]), namespace)  # noqa: S102
    assert namespace["f"](1)[1] is None
    assert namespace["f"](1)[3] == -1
    instance = namespace["A"]()
    assert instance.g() == 3
    assert instance.h() == 2
    assert found.classes["A"].bases == ()
    assert "Line 7: the decorator `@jit` of `f` is left out." in found.repairs
    assert "Line 9: a default value of `f`, `undefined()`, is left out." in found.repairs
    assert "Line 11: class `A` stands without `Layer`, which is not here." in found.repairs
    assert "Line 16: the decorator `@undefined` of `h` is left out." in found.repairs


def test_python_2_is_read() -> None:
    found = program("""
        import sys
        def f(n):
            print "loss: %f" % n, n  # a comment
            print
            print >>sys.stderr, n,
            if n: print 'short'; n = 2
            print ("%d") % n
            print(n)
            try:
                raise ValueError, "no"
            except ValueError, e:
                print e
            total = 0
            for i in xrange(n): total += i
            return unicode(total)
    """)
    assert found.text.split("\n")[3] == '    print("loss: %f" % n, n)  # a comment'
    assert found.text.split("\n")[5:8] == [
        "    print(n)",
        "    if n: print('short'); n = 2",
        '    print(("%d") % n)',
    ]
    namespace: dict[str, Any] = {"xrange": range, "unicode": str}
    exec(found.code, namespace)  # noqa: S102
    assert namespace["f"](3) == "1"
    assert "Line 13: `print e` of Python 2 reads `print(e)`." in found.repairs
    assert "Line 3: `xrange` of Python 2 reads `range`." in found.repairs
    assert set(found.supplied) == {"xrange", "unicode"}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("def f(x):\n        y = x\n\treturn y\n", 8),
        ("class A:\n\tdef f(self):\n        return 1\n    def g(self):\n        return 2\n", 4),
        ("def f(x):\n        print x\n\treturn x\n", 8),
    ],
)
def test_tabs_and_spaces_are_mixed(text: str, size: int) -> None:
    found = parse(text, "a.py")
    assert found.text == text.expandtabs(size).replace("print x", "print(x)")
    assert found.repairs[0] == f"Tabs and spaces are mixed: a tab is taken for {size} spaces."
    assert parse("def f(x):\n\treturn x\n", "a.py").repairs == ()


def test_what_does_not_parse_is_left_out_alone() -> None:
    found = program("""
        import numpy as np
        A = 1
        def first(x):
            return x
        def broken(x):
            return x +
        print "between"
        B = 2
        @staticmethod
        def second(x):
            return x
        class Kept:
            def one(self): return 1
            def two(self): return (1
            def three(self): return 3
        def unfinished(
    """)
    assert set(found.functions) == {"first", "second"}
    assert set(found.classes["Kept"].methods) == {"one", "three"}
    assert found.text.split("\n")[6] == "    return x +"
    lost = [sentence for sentence in found.repairs if "left out" in sentence]
    assert [sentence.split(" cannot")[0] for sentence in lost] == [
        "Line 6: `broken`",
        "Line 15: `two`",
        "Line 17: `unfinished`",
    ]
    namespace: dict[str, Any] = {}
    exec(found.code, namespace)  # noqa: S102
    assert {"A", "B", "np"} <= namespace.keys()


def test_what_parses_and_does_not_compile_is_left_out() -> None:
    found = program("""
        def f(x):
            return x
        def g(x, x):
            return x
        def h():
            break
        return 3
    """)
    assert set(found.functions) == {"f"}
    assert [sentence[:10] for sentence in found.repairs] == ["Line 4: `g", "Line 6: `h"]


def test_missing_names_are_put_in() -> None:
    found = program("""
        def f(x): return sigmoid(np.dot(x, x))
        class A:
            def g(self, x): return softmax(x)
        act = lambda x: tanh(x)
    """)
    assert found.supplied == ("np", "sigmoid", "softmax", "tanh")
    assert "Line 2: `sigmoid` is not defined: the usual one is put in." in found.repairs
    defined = program("""
        import numpy as np
        from rnn_utils import *
        def softmax(x): return x
        def f(x): return sigmoid(np.dot(x, x)), softmax(x)
    """)
    assert defined.supplied == ()


def test_modules_that_are_not_here_have_a_stand_in() -> None:
    found = program("""
        import numpy as np, os.path
        import matplotlib.pyplot as plt
        import cupy
        from torch.nn import functional as F
        from . import layers
        from ..common.np import *
        def f():
            from rnn_utils import sigmoid
            from scipy.special import expit
    """)
    assert found.uses_torch
    assert set(found.modules) == {"numpy", "torch.nn", "scipy.special"}
    kinds = {name.rpartition("here.")[2]: kind for name, kind in found.stand_ins.items()}
    assert kinds["matplotlib.pyplot"] == "absent"
    assert kinds["cupy"] == "numpy"
    assert kinds["layers"] == kinds["and.common.np"] == "helpers"
    assert kinds["rnn_utils"] == "columns"
    assert "Line 3: `matplotlib.pyplot` is not here: what uses it fails." in found.repairs


def notebook(path: Path, *sources: str | list[str]) -> Path:
    cells: list[dict[str, Any]] = [{"cell_type": "markdown", "source": "# def no(): pass"}]
    cells += [{"cell_type": "code", "source": source} for source in sources]
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}), encoding="utf-8")
    return path


def test_a_notebook_is_read_cell_by_cell(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "a.ipynb",
        ["%matplotlib inline\n", "!pip install x\n", "import numpy as np\n", "np?"],
        "%%bash\ndef no(): pass",
        "%%time\nx = 1\ndef f(x):\n    return (x\n        % 3)\n",
        "def broken(:",
        "files = !ls\ndef g(x):\n    return x\n",
    )
    found = read(path)
    assert found.name == "a.ipynb"
    assert found.cells == (1, 5, 7, 13, 14)
    assert set(found.functions) == {"f", "g"}
    assert found.line_name(found.functions["f"].line) == "cell 3, line 3"
    assert found.line_name(found.functions["g"].line) == "cell 5, line 2"
    assert any(sentence.startswith("Cell 4, line 1: `broken`") for sentence in found.repairs)
    assert parse("def f(): pass", "a.py").line_name(1) == "line 1"


def test_an_old_notebook_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    cells = [{"cell_type": "code", "input": ["def f():\n", "    return 1"]}]
    path.write_text(json.dumps({"worksheets": [{"cells": cells}]}), encoding="utf-8")
    assert set(read(path).functions) == {"f"}


def test_code_in_a_page_is_read_at_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    text = "# Title\n\n```python\ndef f():\n    return 1\n```\nprose\n"
    text += "```\nno\n```\n~~~py\ndef g(): pass\n~~~\n"
    path.write_text(text, encoding="utf-8")
    found = read(path)
    assert {name: function.line for name, function in found.functions.items()} == {"f": 4, "g": 12}
    (tmp_path / "a.txt").write_text("def f(): pass", encoding="utf-8")
    assert set(read(tmp_path / "a.txt").functions) == {"f"}


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfdef f():\r\n    return '\xc3\xa9'\r\n",
        b"# -*- coding: latin-1 -*-\ndef f():\n    return '\xe9'\n",
        b"def f():\r    return '\xe9'\r",
        "def f():\n    return 'é'\n".encode("utf-16"),
    ],
)
def test_other_encodings_and_ends_of_lines_are_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(content)
    namespace: dict[str, Any] = {}
    exec(read(path).code, namespace)  # noqa: S102
    assert namespace["f"]() == "é"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "a.py is empty"),
        (b" \n\n", "a.py is empty"),
        (b"\x7fELF\0\0\1", "a.py is no text"),
        (bytes(range(1, 256)), "a.py is no text"),
        (b"x = 1\nprint(x)", "defines no function and no class"),
        (b"def f(:\n", "a.py cannot be read: invalid syntax, in line 1"),
        (b"#" * 5_000_001, "too large: 5.0 MB"),
        (
            b"x = " + b"(" * 150 + b")" * 150 + b"\ndef f(:",
            "cannot be read: invalid syntax, in line 2",
        ),
        (b"x = " + b"-" * 500_000 + b"1", "nested too deeply"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no notebook: it is not in JSON"),
        ("[" * 100_000, "is no notebook: it is not in JSON"),
        ("[]", "is no notebook: it has no cells"),
        ('{"cells": 3}', "is no notebook: it has no cells"),
        ('{"cells": []}', "has no code"),
    ],
)
def test_a_broken_notebook_says_why(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        read(path)


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        read(tmp_path / "a.py")
    with pytest.raises(ValueError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(ValueError, match="not a regular file"):
        read(Path("/dev/null"))
    with pytest.raises(ValueError, match="null character"):
        read(Path("a\0b.py"))
