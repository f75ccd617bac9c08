"""Several mistakes at once, in the combinations that finished files hold."""

from __future__ import annotations

import pytest
from checking import causes, report_on_text
from implementations import implementation

THROUGH = "da_next * ot * (1 - np.tanh(c_next) ** 2)"
RIGHT = {
    "c": f"dcct = (dc_next + {THROUGH}) * it * (1 - cct ** 2)",
    "i": f"dit = (dc_next + {THROUGH}) * cct * it * (1 - it)",
    "f": f"dft = (dc_next + {THROUGH}) * c_prev * ft * (1 - ft)",
    "o": "dot = da_next * np.tanh(c_next) * ot * (1 - ot)",
    "carried": f"dc_prev = (dc_next + {THROUGH}) * ft",
}
ONE_TERM = {
    "c": f"dcct = dc_next * it + {THROUGH} * it * cct * (1 - np.tanh(cct) ** 2)",
    "i": f"dit = dc_next * cct + {THROUGH} * cct * it * (1 - it)",
    "f": f"dft = dc_next * c_prev + {THROUGH} * c_prev * ft * (1 - ft)",
}


def of_step(changed: dict[str, str]) -> str:
    """Return the text of an LSTM with other lines in its backward step."""
    text = implementation("dictionaries", "lstm").text
    for place, line in changed.items():
        assert text.count(RIGHT[place]) == 1
        text = text.replace(RIGHT[place], line)
    return text


STEPS: dict[str, tuple[dict[str, str], set[tuple[str, str]]]] = {
    "published formula": (
        ONE_TERM,
        {
            ("slope-on-one-term", ""),
            ("candidate-factor", "candidate"),
            ("slope-twice", "candidate"),
        },
    ),
    "published formula, right slope": (
        {**ONE_TERM, "c": ONE_TERM["c"].replace("np.tanh(cct)", "cct")},
        {("slope-on-one-term", ""), ("candidate-factor", "candidate")},
    ),
    "square and slope of the candidate": (
        {
            place: line.replace("np.tanh(c_next) ** 2", "np.tanh(c_next)").replace(
                "(1 - cct ** 2)", "(1 - np.tanh(cct) ** 2)"
            )
            for place, line in RIGHT.items()
        },
        {("square-missing", "way from h_t to c_t"), ("slope-twice", "candidate")},
    ),
    "cell for tanh, and a value for a slope": (
        {
            place: line.replace("np.tanh(c_next) ** 2", "c_next ** 2").replace(
                "ft * (1 - ft)", "sigmoid(ft)"
            )
            for place, line in RIGHT.items()
            if place != "o"
        },
        {("cell-for-tanh", "way from h_t to c_t"), ("value-for-slope", "forget gate")},
    ),
    "a dropped way and a slope": (
        {
            place: line.replace(f"(dc_next + {THROUGH})", "dc_next").replace(
                "(1 - cct ** 2)", "(1 - np.tanh(cct) ** 2)"
            )
            for place, line in RIGHT.items()
        },
        {("state-path-dropped", ""), ("slope-twice", "candidate")},
    ),
    "four gates, four slopes": (
        {
            "c": RIGHT["c"].replace("(1 - cct ** 2)", "(1 - np.tanh(cct) ** 2)"),
            "i": RIGHT["i"].replace("it * (1 - it)", "sigmoid(it) * (1 - sigmoid(it))"),
            "f": RIGHT["f"].replace("ft * (1 - ft)", "(1 - ft ** 2)"),
            "o": RIGHT["o"].replace("np.tanh(c_next) * ot", "c_next * ot"),
        },
        {
            ("slope-twice", "candidate"),
            ("slope-twice", "input gate"),
            ("other-slope", "forget gate"),
            ("cell-for-tanh", "output gate"),
        },
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_mistakes_of_a_step_are_told_apart(name: str) -> None:
    changed, expected = STEPS[name]
    report = report_on_text(of_step(changed))
    (wrong, loop) = [each for each in report.findings if each.status == "wrong"]
    assert wrong.explained, str(report)
    assert set(causes(report)) == expected, str(report)
    assert loop.follows == wrong.function


@pytest.mark.parametrize("name", STEPS)
def test_mistakes_of_a_step_and_of_the_loop_are_told_apart(name: str) -> None:
    changed, expected = STEPS[name]
    text = implementation("dictionaries", "lstm", (("not-carried", "both"),)).text
    for place, line in changed.items():
        assert text.count(RIGHT[place]) == 1
        text = text.replace(RIGHT[place], line)
    report = report_on_text(text)
    found = {key for key, _ in causes(report)}
    assert found == {key for key, _ in expected} | {"not-carried"}, str(report)
    assert all(each.explained for each in report.findings)
