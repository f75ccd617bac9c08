"""What a reader calls."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import Any

from rnnreport.check._program import Program, described, parse, read
from rnnreport.check._report import Report
from rnnreport.check._session import Local, Session

__all__ = ["check"]

_HOOK = ("forward", "backward")
_NOTHING = (
    "Nothing in it is recognised. What is looked for: functions such as lstm_step_forward and "
    "lstm_step_backward, rnn_forward, gru_backward, word_embedding_forward, "
    "temporal_affine_backward or temporal_softmax_loss; lstm_cell_forward with a dictionary of "
    "parameters; classes RNN, LSTM, GRU, TimeRNN, TimeLSTM, TimeGRU with forward, backward and "
    "grads; or one lossFun(inputs, targets, hprev). For any other form write two functions: "
    "forward(x, h0, Wx, Wh, b), of an LSTM forward(x, h0, c0, Wx, Wh, b), which returns all states "
    "and a cache, and backward(dh, cache), which returns dx, dh0, dWx, dWh, db. They may call what "
    "you have."
)


def check(
    code: str | PathLike[str] | ModuleType | Mapping[str, Any] | Iterable[Any],
    *,
    function: str | None = None,
    hook: str | PathLike[str] | None = None,
    seed: int = 0,
    seconds: float = 10.0,
) -> Report:
    """Check hand-written passes of an RNN, an LSTM or a GRU, and name what is wrong with them.

    Parameters
    ----------
    code
        A file, ``.py`` or ``.ipynb``; or a module, a namespace of names and functions, or some
        functions and classes. A file is not imported: its definitions run in a process of their
        own, without network and without writing. What is given as objects runs here.
    function
        The name of the only function to report.
    hook
        A file whose functions ``forward`` and ``backward`` bring code of any other form into the
        one that is known; it sees all names of `code`.
    seed
        Of the random problems.
    seconds
        How long one call may take.

    Returns
    -------
    Report
        What was found. It prints as text, and shows itself in a notebook.

    Raises
    ------
    ValueError
        If a file cannot be read, or holds no such function.
    OSError
        If a file cannot be opened.
    """
    if isinstance(code, str | PathLike):
        path = Path(fspath(code))
        program = read(path)
        if hook is not None:
            program = _with_hook(program, Path(fspath(hook)))
        session: Session | Local = Session(program, seconds=seconds, seed=seed)
    else:
        if hook is not None:
            raise ValueError("hook is for a file; objects can be given their own form directly")
        namespace, name = _namespace(code)
        program = described(namespace, name)
        session = Local(namespace, seconds=seconds, program=program)
    with session:
        from rnnreport.check._check import check_program  # torch, while the process starts

        return check_program(session, program, only=function, seed=seed, nothing=_NOTHING)


def _with_hook(program: Program, path: Path) -> Program:
    """Return a program that has the functions of a hook besides, and is known by them alone."""
    known = {name: f for name, f in read(path).functions.items() if name in _HOOK}
    if set(known) != set(_HOOK):
        raise ValueError(f"hook must define {_HOOK[0]} and {_HOOK[1]}, got {path.name}")
    both = parse(f"{program.text}\n\n{path.read_text('utf-8')}", program.name)
    functions = {name: both.functions[name] for name in _HOOK}
    repairs = tuple(dict.fromkeys((*program.repairs, *both.repairs)))
    return replace(both, functions=functions, classes={}, repairs=repairs, cells=program.cells)


def _namespace(code: Any) -> tuple[dict[str, Any], str]:
    """Return the names of what is given, and what it is called."""
    if isinstance(code, ModuleType):
        return dict(vars(code)), code.__name__
    if isinstance(code, Mapping):
        return dict(code), "the functions given"
    items = [code] if callable(code) else list(code)
    for item in items:
        if not (inspect.isfunction(item) or inspect.isclass(item) or callable(item)):
            raise TypeError(
                f"code must be a file, a module, a mapping or functions, got {type(item).__name__}"
            )
    return {item.__name__: item for item in items}, "the functions given"
