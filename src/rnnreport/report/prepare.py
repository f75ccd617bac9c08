"""Do the missing runs of the pages, and say what there is to do and how long it takes."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from rnnreport._files import store_folder, write_whole
from rnnreport.data.assets import ASSETS, NEEDS, stamp
from rnnreport.names import Profile
from rnnreport.runs.definitions import definitions_of_code, hash_of

if TYPE_CHECKING:
    from rnnreport.names import PartName
    from rnnreport.report.parts import Plan
    from rnnreport.runs.engine import Workers

__all__ = ["complete", "prepare"]

_WORDS = {"full": "real data", "sample": "generated sample"}


def prepare(
    parts: Sequence[PartName], profile: Profile = "auto", *, workers: Workers = None
) -> Iterator[str]:
    """Say what there is to run, run it, and say how long it took.

    Whether all is there can be known without preparing the data, which takes longer: a note in the
    store says so for the present files, settings and code.

    Parameters
    ----------
    parts
        Some of :data:`~rnnreport.names.PARTS`.
    profile
        On which data.
    workers
        Who does the runs.

    Yields
    ------
    str
        A line to print.

    Raises
    ------
    Exception
        What a run raises. All that was stored before is kept.
    """
    note = store_folder() / "ready" / f"{_state(parts, profile)}.json"
    lines = _still_ready(note)
    if lines is not None:
        yield from lines
        return
    from rnnreport.report.parts import plan  # here: torch takes seconds

    plans = []

    def planned() -> Iterator[Plan]:
        for part in parts:
            plans.append(plan(part, profile))
            yield plans[-1]

    yield "What the pages rest on:"
    yield from complete(planned(), workers=workers)
    requests = [request for each in plans for runs in each.runs for request in runs.requests]
    lines = ["What the pages rest on is all there:"]
    lines += [_line(each._replace(missing=())) for each in plans]
    state = {"lines": lines, "results": [request.path.name for request in requests]}
    with contextlib.suppress(OSError):  # all is there; without the note it takes longer to see
        note.parent.mkdir(parents=True, exist_ok=True)
        write_whole(note, json.dumps(state).encode())


def complete(planned: Iterable[Plan], *, workers: Workers = None) -> Iterator[str]:
    """Say what is missing and about how long it takes, run it, and say how long it took.

    Parameters
    ----------
    planned
        From :func:`rnnreport.report.parts.plan`.
    workers
        Who does the runs.

    Yields
    ------
    str
        A line to print.

    Raises
    ------
    Exception
        What a run raises. All that was stored before is kept.
    """
    # Imported here: torch takes seconds.
    from rnnreport.report.estimates import Outlook
    from rnnreport.report.parts import do

    start = time.perf_counter()
    plans = []
    outlook = Outlook(workers)
    for each in planned:
        plans.append(each)
        outlook.add(each)
        yield _line(each, outlook.seconds([each]))
    n_missing = sum(each.n_missing for each in plans)
    whole = outlook.seconds(plans)
    if n_missing and whole is not None:
        yield f"  By an estimate, all of it takes {_about(whole)}."
    begin = first = time.perf_counter()
    stages = sorted({runs.stage for each in plans for runs in each.missing})
    for stage, label in zip(stages, do(plans, workers=workers), strict=True):
        now = time.perf_counter()
        left = outlook.seconds(plans, after=stage)
        more = ""
        if whole and left:
            # By now it is known how far the estimate was off.
            more = f"; {_about(left * (now - first) / (whole - left))} left"
        yield f"  done in {_duration(now - begin)}: {label}{more}"
        begin = now
    if n_missing:
        yield f"Ran {n_missing} in {_duration(time.perf_counter() - start)}."


def _line(plan: Plan, seconds: float | None = None) -> str:
    data = _WORDS[plan.profile]
    if plan.profile == "full":
        data += f" ({', '.join(NEEDS[plan.part])})"
    todo = f"{plan.n_missing} to run" if plan.n_missing else "nothing to run"
    if plan.n_missing and seconds is not None:
        todo += f", {_about(seconds)} by themselves"
    return f"  {plan.part:<11} {data}: {plan.n_stored} runs stored, {todo}"


def _about(seconds: float) -> str:
    """Say an estimate in words, as roughly as it is known."""
    minutes = seconds / 60
    if minutes < 0.75:
        return "under a minute"
    if minutes < 9.5:
        return f"about {round(minutes)} min"
    if minutes < 57.5:
        return f"about {5 * round(minutes / 5)} min"
    hours, quarters = divmod(round(minutes / 15), 4)
    return f"about {hours} h {15 * quarters:02} min"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _state(parts: Sequence[PartName], profile: Profile) -> str:
    """Hash all that decides which results are wanted."""
    code = "from rnnreport.report.parts import plan\nplan\n"
    return hash_of(
        {
            "code": definitions_of_code(code),
            "data": {name: stamp(name) for name in ASSETS},
            "parts": list(parts),
            "profile": [profile, os.environ.get("RNNREPORT_PROFILE", "")],
            "torch": metadata.version("torch"),
        }
    )[:20]


def _still_ready(note: Path) -> list[str] | None:
    """Return the content of a note, if all results that it names are there."""
    try:
        state = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    all_there = all((note.parents[1] / name).is_file() for name in state["results"])
    return list(state["lines"]) if all_there else None
