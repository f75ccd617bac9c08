"""The mistakes that are looked for, as a list for a reader."""

from __future__ import annotations

from rnnreport.check._program import described
from rnnreport.check._report import capital
from rnnreport.show.tables import Table, table

__all__ = ["FAULTY", "SURVEYED", "mistakes"]

SURVEYED = 68
"""Public hand-written passes that were looked at for mistakes."""
FAULTY = 28
"""Those of them that are wrong or unfinished."""


def mistakes(*, seen: bool | None = None) -> Table:
    """List the mistakes that `check` knows, those first that are made most often.

    Parameters
    ----------
    seen : bool, optional
        Whether they stand in one of the public files that were looked at; all if None.

    Returns
    -------
    Table
        Of each its name, the number of those files, what it does and the smallest case that shows
        it, in the words of an LSTM's candidate where it has a place.
    """
    from rnnreport.check._words import Words  # here: it takes torch along
    from rnnreport.equations._mistakes import CATALOGUE, planted

    places = {each.mistake.key: each for cell in ("gru", "lstm") for each in planted(cell)}
    candidates = {each.mistake.key: each for each in planted("lstm") if each.place == "c"}
    words = Words(described({}, ""), None, "lstm")
    lines = []
    for key, entry in sorted(CATALOGUE.items(), key=lambda item: -item[1].seen):
        if seen is None or seen == bool(entry.seen):
            place = candidates.get(key) or places.get(key)
            cause = words.cause(place) if place else words.general(entry)
            said = (text.replace("`", "") for text in (cause.symptom, cause.case))
            lines.append((capital(entry.name), (str(entry.seen), *said)))
    head = ("mistake", "files", "what it does", "shown by")
    return table(head, lines, f"mistakes, and in how many of {FAULTY} files they were seen")
