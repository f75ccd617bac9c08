"""What the names in a reader's code stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["gate_names", "role", "roles"]

_ROLES = {
    "x": r"x|xs|xt|x_?in|inputs?|inp|input_?data",
    "h": r"h|h0|prev_?h|h_?prev|h_?previous|h_?init|hidden|h_?in|hs|a0|a_?prev|prev_?a|s0|s_?prev"
    r"|h_?next_?prev|init_?h|hidden_?prev|prev_?hidden|h_?t_?1",
    "c": r"c|c0|prev_?c|c_?prev|c_?init|init_?c|cell|prev_?cell|cell_?prev|c_?previous|c_?t_?1",
    "W_x": r"w_?x|w_?xh|w_?ax|w_?ih|weight_?ih|w_?in|u_?x",
    "W_h": r"w_?h|w_?hh|w_?aa|w_?rec|weight_?hh|u_?h",
    "b": r"b|b_?a|bias|b_?x|b_?ih",
    "b_h": r"b_?h|b_?hh",
    "W_y": r"w_?hy|w_?ya|w_?y|w_?ho|w_?out",
    "b_y": r"b_?y|b_?o?ut",
}
_PATTERNS = {name: re.compile(rf"(?:{pattern})") for name, pattern in _ROLES.items()}


def role(name: str) -> str:
    """Return the problem's name of a parameter, a state or its gradient; empty if unknown."""
    plain = name.strip().rpartition(".")[2].lower().strip("_")
    for form in (plain, re.sub(r"^(?:grad_?|d_?)", "", plain), re.sub(r"_?grad$", "", plain)):
        for known, pattern in _PATTERNS.items():
            if pattern.fullmatch(form):
                return known
    return ""


def roles(names: Sequence[str], expected: Sequence[str]) -> list[str]:
    """Return the roles of some values: by their names if all are known, else by place.

    With one bias it is ``"b"``, however it is called.
    """
    found = [role(name) for name in names]
    if "b" not in found and found.count("b_h") == 1:
        found[found.index("b_h")] = "b"
    needed = set(expected)
    if len(set(found)) == len(found) and all(found) and set(found) <= needed | {"c", "b_h"}:
        return found
    return list(expected[: len(names)])


def gate_names(keys: Sequence[str]) -> tuple[str, ...]:
    """Return the letters of the gates among keys as ``"Wf"``, in the order f, i, c, o."""
    letters = []
    for key in keys:
        match = re.fullmatch(r"W_?([a-zA-Z]\w{0,3})", key)
        if match and role(key) not in ("W_y", "W_x", "W_h"):
            letters.append(match[1])
    order = {"f": 0, "i": 1, "u": 1, "c": 2, "g": 2, "a": 2, "o": 3}
    unique = list(dict.fromkeys(letters))
    return tuple(sorted(unique, key=lambda letter: order.get(letter[0].lower(), 9)))
