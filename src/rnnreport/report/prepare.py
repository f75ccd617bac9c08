"""The command ``rnnreport prepare``: run what the pages rest on and what has not run yet."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from rnnreport._files import store_folder, write_whole
from rnnreport.data.assets import ASSETS, Profile, stamp
from rnnreport.runs.definitions import definitions_of_code, hash_of

if TYPE_CHECKING:
    from rnnreport.names import PartName
    from rnnreport.report.parts import Planned

__all__ = ["prepare"]

_WORDS = {"full": "real data", "sample": "generated sample"}


def prepare(parts: Sequence[PartName], profile: Profile = "auto") -> Iterator[str]:
    """Say what there is to run, run it, and say how long it took.

    Whether all is there can be known without preparing the data, which takes longer: a note in the
    store says so for the present files, settings and code.

    Parameters
    ----------
    parts
        Some of :data:`~rnnreport.names.PARTS`.
    profile
        On which data.

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
    # Imported here: torch takes seconds.
    from rnnreport.report.parts import do, plan, runs_of

    start = time.perf_counter()
    planned = []
    yield "What the pages rest on:"
    for part in parts:
        planned += plan([part], profile)
        yield _line(planned[-1])
    missing = sum(each.missing for each in planned)
    begun = time.perf_counter()
    for done in do(planned):
        yield f"  done in {_duration(time.perf_counter() - begun)}: {done}"
        begun = time.perf_counter()
    if missing:
        yield f"Ran {missing} in {_duration(time.perf_counter() - start)}."
    names = [
        f"{result.experiment}-{result.key[:20]}.json"
        for part in parts
        for runs in runs_of(part, profile)
        for result in runs.results()
    ]
    lines = ["What the pages rest on is all there:"]
    lines += [_line(each._replace(stored=each.stored + each.missing, todo=())) for each in planned]
    note.parent.mkdir(parents=True, exist_ok=True)
    write_whole(note, json.dumps({"lines": lines, "results": names}).encode())


def _line(planned: Planned) -> str:
    data = _WORDS[planned.profile]
    if planned.profile == "full":
        data += f" ({', '.join(planned.needs)})"
    todo = f"{planned.missing} to run" if planned.missing else "nothing to run"
    return f"  {planned.part:<11} {data}: {planned.stored} runs stored, {todo}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _state(parts: Sequence[PartName], profile: Profile) -> str:
    """Hash all that decides which results are wanted."""
    code = "from rnnreport.report.parts import plan\nplan()\n"
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
    """Return what a note says, if the results that it names are all there."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    there = all((note.parents[1] / name).is_file() for name in noted["results"])
    return list(noted["lines"]) if there else None
