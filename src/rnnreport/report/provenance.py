"""The note that says what a page's results rest on."""

from __future__ import annotations

from dataclasses import dataclass

from rnnreport.runs.store import Result
from rnnreport.show.html import tag

__all__ = ["Provenance", "provenance"]


@dataclass(frozen=True)
class Provenance:
    """A note that says which data results come from, how much of it, when and where.

    Real data and generated samples look different, in words and by the class ``provenance-full`` or
    ``provenance-sample``.

    Attributes
    ----------
    results : tuple of Result
        Of one experiment on one set of data.
    """

    results: tuple[Result, ...]

    @property
    def lines(self) -> tuple[str, str]:
        """Heading and text of the note."""
        first = self.results[0]
        real = first.data["profile"] == "full"
        heading = "Real data" if real else "Generated sample, not real data"
        last = max(result.date for result in self.results)[:16].replace("T", " ")
        seconds = sum(result.wall_time for result in self.results)
        text = (
            f"These results rest on {first.data['name']}: {first.data['amount']}. "
            f"Computing took {seconds:.0f} s on {first.device}, torch {first.versions['torch']}; "
            f"last run {last} UTC."
        )
        return heading, text

    def __str__(self) -> str:
        return ". ".join(self.lines)

    def _repr_html_(self) -> str:
        heading, text = self.lines
        return tag(
            "div",
            tag("p", heading, class_="admonition-title"),
            tag("p", text),
            class_=f"admonition note provenance provenance-{self.results[0].data['profile']}",
        )


def provenance(*results: Result) -> Provenance:
    """Describe the data of some results of one experiment.

    Raises
    ------
    ValueError
        If there is no result, or the results rest on different data.
    """
    if len({str(result.data["fingerprint"]) for result in results}) != 1:
        raise ValueError("results must be at least one, and all rest on the same data")
    return Provenance(results)
