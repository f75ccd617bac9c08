"""Records: the results of a full run on real data, in files that travel with the pages.

A record is plain data: numbers, curves, captions that our networks wrote, pictures that they
painted, the weights of a small one, and the configurations that led there. It holds no photograph,
and no sentence that somebody else wrote.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rnnreport._checks import check_choice
from rnnreport._files import check_writable, write_whole
from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.names import PARTS, PartName
from rnnreport.show.figures import Caption, Gallery, Layout, Picture, StoredFigure
from rnnreport.show.html import Html
from rnnreport.show.plots import Curves, Interval, Intervals, Panel
from rnnreport.show.tables import Table, table

__all__ = [
    "Exhibit",
    "Finding",
    "Pictures",
    "Record",
    "Run",
    "check_record_folder",
    "load_record",
    "record_folder",
    "write_record",
]

Json = Any  # what json.loads returns


@dataclass(frozen=True)
class Finding:
    """One number that answers one of the source's.

    Attributes
    ----------
    value : str
        As a reader sees it.
    note : str
        Its 95 % interval, or another remark.
    runs : int
        From how many seeds.
    """

    value: str
    note: str
    runs: int


@dataclass(frozen=True)
class Pictures:
    """A gallery whose pictures lie beside the record.

    Attributes
    ----------
    label, layout : str
        As :class:`~rnnreport.show.figures.Gallery` has them.
    files : sequence of str
        Their names in the folder of records.
    captions, alts : sequence of str
        The words below each, and its content in words.
    """

    label: str
    layout: Layout
    files: Sequence[str]
    captions: Sequence[Caption]
    alts: Sequence[str]

    def gallery(self) -> Gallery:
        """Read the pictures.

        Raises
        ------
        DataFormatError
            If one is missing.
        """
        pictures = []
        for file, caption, alt in zip(self.files, self.captions, self.alts, strict=True):
            try:
                data = (record_folder() / file).read_bytes()
            except OSError as error:
                raise DataFormatError(f"{record_folder() / file}: {error.strerror}") from error
            pictures.append(Picture(data, caption, alt))
        return Gallery.of(pictures, self.label, self.layout)


Exhibit: TypeAlias = Table | Curves | Intervals | StoredFigure | Pictures | Html | dict[str, str]
"""What a page shows of a run: a table, a plot as data or as drawn, pictures, words, or facts.

Facts are texts by name, for sentences.
"""


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes
    ----------
    label : str
        Its kind.
    config : dict
        Its configuration.
    metrics : dict of str to float
        Its numbers.
    seconds : float
        How long it took.
    """

    label: str
    config: dict[str, Json]
    metrics: dict[str, Json]
    seconds: float


@dataclass(frozen=True)
class Record:
    """The results of a full run of one part of the report.

    Attributes
    ----------
    part : str
        One of :data:`~rnnreport.names.PARTS`.
    command : str
        The command that records it.
    date : str
        When its last run ended, in UTC, as ISO 8601.
    machine : str
        Of the runs, in words.
    versions : dict of str to str
        Of Python and the libraries.
    data : dict of str to str
        ``name``, ``amount`` and ``fingerprint`` of the data; of text also ``vectors``, the file
        of word vectors, and ``vectors_dim``, how many numbers each has.
    code : str
        Hash of the definitions that computed it.
    runs : list of Run
        All runs.
    findings : dict of str to Finding
        The answers on the front page, by name.
    exhibits : dict of str to Exhibit
        What the part's page shows, by the name of the function that lays it out.
    weights : str
        The name of a file with weights for a page to carry; empty where there is none.
    """

    part: PartName
    command: str
    date: str
    machine: str
    versions: dict[str, str]
    data: dict[str, str]
    code: str
    runs: list[Run]
    findings: dict[str, Finding]
    exhibits: dict[str, Exhibit]
    weights: str = ""

    @property
    def files(self) -> set[str]:
        """The names of the files that belong to it."""
        galleries = (each for each in self.exhibits.values() if isinstance(each, Pictures))
        return {file for each in galleries for file in each.files} | ({self.weights} - {""})

    @property
    def seconds(self) -> float:
        """How long all runs took together."""
        return sum(run.seconds for run in self.runs)

    def to_json(self) -> str:
        """Return the record as JSON text.

        Raises
        ------
        ValueError
            If a number is not finite.
        """
        values = dataclasses.asdict(dataclasses.replace(self, exhibits={}))
        values["exhibits"] = {name: _encoded(each) for name, each in self.exhibits.items()}
        return json.dumps(values, allow_nan=False, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read a record back.

        Parameters
        ----------
        text
            From :meth:`to_json`.

        Raises
        ------
        ValueError
            If the text is not JSON or does not hold a record.
        """
        try:
            fields = json.loads(text)
            parts = {
                "runs": [Run(**run) for run in fields["runs"]],
                "findings": {name: Finding(**each) for name, each in fields["findings"].items()},
                "exhibits": {name: _exhibit(**each) for name, each in fields["exhibits"].items()},
            }
            return cls(**fields | parts)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a record: {error}") from error


def record_folder() -> Path:
    """Return the folder of records: ``docs/recorded`` of a checkout; a wheel has none."""
    return Path(__file__).parents[3] / "docs" / "recorded"


def check_record_folder() -> None:
    """Find out before hours of computing whether records can be written.

    Raises
    ------
    OSError
        If this package is not installed from a checkout, or the folder cannot be written to.
    """
    folder = record_folder()
    if not folder.parent.is_dir():
        raise OSError(
            f"there is no folder {folder.parent}: records are kept in a checkout of the "
            "repository, and this package is not installed from one"
        )
    check_writable(folder, "records are kept there")


def load_record(part: PartName, folder: Path | None = None) -> Record:
    """Read the record of a part.

    Parameters
    ----------
    part
        One of :data:`~rnnreport.names.PARTS`.
    folder
        Where records are; :func:`record_folder` if not given.

    Raises
    ------
    ValueError
        If there is no such part.
    MissingDataError
        If there is no record of it.
    DataFormatError
        If the file does not hold one.
    """
    check_choice("part", part, PARTS)
    folder = folder or record_folder()
    path = folder / f"{part}.json"
    if not folder.is_dir():
        raise MissingDataError(
            f"there are no records in {folder}: they come with the repository, and this package is "
            "not installed from a checkout of it"
        )
    try:
        return Record.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingDataError(
            f"{path} is missing: `nox -s record -- {part}` writes it where the real data is"
        ) from error
    except ValueError as error:
        raise DataFormatError(f"{path}: {error}") from error


def write_record(record: Record, files: Mapping[str, bytes], folder: Path | None = None) -> Path:
    """Write the record of a part, and delete files of an earlier one.

    Parameters
    ----------
    record
        What to write.
    files
        The content of its files, by name.
    folder
        Where records are; :func:`record_folder` if not given.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If other files are given than the record names, or a number is not finite.
    OSError
        If a file cannot be written.
    """
    if record.files != files.keys():
        raise ValueError(f"files must be {sorted(record.files)}, got {sorted(files)}")
    folder = folder or record_folder()
    folder.mkdir(parents=True, exist_ok=True)
    text = record.to_json() + "\n"
    for name, content in files.items():
        write_whole(folder / name, content)
    path = folder / f"{record.part}.json"
    write_whole(path, text.encode())
    for old in set(folder.glob(f"{record.part}-*")) - {folder / name for name in files}:
        old.unlink()
    return path


def _encoded(exhibit: Exhibit) -> dict[str, Json]:
    """Return an exhibit as JSON has it, with its kind."""
    if isinstance(exhibit, dict):
        return {"kind": "facts", "facts": exhibit}
    fields = dataclasses.asdict(exhibit)
    if isinstance(exhibit, Table):
        del fields["html"]  # follows from the rest
    kind = next(kind for kind, cls in _KINDS.items() if type(exhibit) is cls)
    return {"kind": kind, **fields}


_KINDS: Mapping[str, type] = {
    "table": Table,
    "curves": Curves,
    "intervals": Intervals,
    "figure": StoredFigure,
    "pictures": Pictures,
    "words": Html,
}


def _exhibit(kind: str, **fields: Json) -> Exhibit:
    """Read an exhibit back."""
    if kind == "facts":
        return dict(fields["facts"])
    if kind == "table":
        return table(**fields)
    if kind == "curves":
        panels = [
            Panel(**panel | {name: tuple(panel[name]) for name in ("marks", "limits")})
            for panel in fields["panels"]
        ]
        return Curves(**{**fields, "panels": panels})
    if kind == "intervals":
        return Intervals(**{**fields, "rows": [Interval(**row) for row in fields["rows"]]})
    exhibit: Exhibit = _KINDS[kind](**fields)
    return exhibit
