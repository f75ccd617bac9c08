"""What a page of experiments shows: real data first.

Where the real data is, that is the run of this build. Elsewhere it is the recorded run, and what
ran in this build on a generated sample follows it, folded, as the proof that the code runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnreport.data.assets import DataFormatError
from rnnreport.names import PartName
from rnnreport.report.findings import findings, ran_here
from rnnreport.report.provenance import provenance
from rnnreport.report.record import Exhibit, Pictures, Record, load_record
from rnnreport.report.recorded import description
from rnnreport.runs.store import Result
from rnnreport.show.figures import Figure
from rnnreport.show.html import Html, Markup, joined, tag
from rnnreport.show.plots import Curves, Intervals

__all__ = ["Page", "recorded"]


class Page:
    """A page of experiments.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`.
    *results
        All results of this build that the page rests on. Those on the same data as the first are
        what :meth:`source` describes: another network beside it is compared, and not the page's.
    """

    def __init__(self, part: PartName, *results: Result) -> None:
        on = results[0].data["fingerprint"]
        self.part = part
        self.results = [result for result in results if result.data["fingerprint"] == on]
        real = results[0].data["profile"] == "full"
        self.record: Record | None = None if real else load_record(part)

    @property
    def is_real(self) -> bool:
        """Whether the page shows this build, which has the real data."""
        return self.record is None

    def source(self, headline: str = "") -> Html:
        """Say which data the page's numbers rest on.

        Parameters
        ----------
        headline
            What this build found on a sample; that of the part if not given.
        """
        here = provenance(*self.results)
        if self.record is None:
            return Html(here._repr_html_(), str(here))
        title = f"Real data: the recorded run of {self.record.date[:10]}"
        seconds = sum(result.wall_time for result in self.results)
        headline = headline or findings(self.part).headline
        line = ran_here(self.results[0].data["name"], seconds, headline)
        text = description(self.record)
        box = tag(
            "div",
            tag("p", title, class_="admonition-title"),
            tag("p", _breakable(text), " Command: ", tag("code", self.record.command), "."),
            tag("details", tag("summary", line), tag("p", here.lines[1])),
            class_="admonition note provenance provenance-full",
        )
        return Html(box, f"{title}. {line}")

    def show(self, function: Callable[..., Any], *arguments: Any, here: bool = True) -> Html:
        """Show what a function lays out: of the recorded run, where there is no real data here.

        Parameters
        ----------
        function
            Of a module of figures; its name is that of the exhibit in the record.
        *arguments
            What it takes of this build.
        here
            Whether this build has something to show beside the recorded run.

        Raises
        ------
        DataFormatError
            If the record has no such exhibit.
        """
        if self.record is None:
            return _html(function(*arguments))
        recorded = _html(_exhibit(self.record, function.__name__))
        if not here:
            return recorded
        fold = _fold("The same from this build, on a generated sample", function(*arguments))
        return Html(joined(recorded, fold), recorded.label)

    def show_here(self, function: Callable[..., Any], *arguments: Any) -> Html:
        """Show what no record may hold: photographs and sentences of somebody else.

        Where the real data is not there, what this build has of a sample is shown in a fold.

        Parameters
        ----------
        function, *arguments
            As :meth:`show` takes them.
        """
        shown = _html(function(*arguments))
        if self.is_real:
            return shown
        return Html(
            _fold(f"From this build, on a generated sample: {shown.label}", shown), shown.label
        )

    def glue(self, function: Callable[..., dict[str, str]], *arguments: Any) -> None:
        """Glue numbers for the page's sentences: those of the run that the page shows.

        Parameters
        ----------
        function, *arguments
            As :meth:`show` takes them; gives texts by name.
        """
        from myst_nb import glue  # here: only a page needs it

        facts = (
            function(*arguments)
            if self.record is None
            else _exhibit(self.record, function.__name__)
        )
        if not isinstance(facts, dict):
            raise TypeError(f"{function.__name__} must give texts by name, got {facts!r}")
        for name, text in facts.items():
            glue(name, text, display=False)


def _fold(summary: str, shown: Exhibit | Figure) -> Markup:
    return tag("details", tag("summary", summary), _html(shown), class_="ran-here")


def _breakable(text: str) -> Markup:
    """Let a narrow screen break the name of a file behind a line, and not within a word."""
    return Markup(joined(text).replace("_", "_<wbr>"))


def _exhibit(record: Record, name: str) -> Exhibit:
    if name not in record.exhibits:
        raise DataFormatError(
            f"the record of {record.part!r} has no {name!r}: run `{record.command}` where the real "
            "data is"
        )
    return record.exhibits[name]


def recorded(part: PartName, name: str) -> Html:
    """Show one exhibit of a record, on any page."""
    return _html(_exhibit(load_record(part), name))


def _html(exhibit: Exhibit | Figure) -> Html:
    """Return what a page shows of an exhibit."""
    if isinstance(exhibit, Html):
        return exhibit
    if isinstance(exhibit, dict):
        raise TypeError(f"facts are for sentences, got {sorted(exhibit)}")
    if isinstance(exhibit, Pictures):
        return exhibit.gallery()
    drawn = exhibit.plot() if isinstance(exhibit, Curves | Intervals) else exhibit
    return Html(Markup(drawn._repr_html_()), drawn.alt)
