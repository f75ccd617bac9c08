"""Word vectors in GloVe's text format.

The format is that of the files at https://nlp.stanford.edu/projects/glove/: one line for each word,
the word and D numbers with single spaces between them, in UTF-8, without a header. Any file in this
format will do, of any D.
"""

import codecs
import functools
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from rnnreport._files import write_whole
from rnnreport.data.assets import DataFormatError
from rnnreport.data.foreign import check_content
from rnnreport.progress import track

__all__ = ["WordVectors", "fill_gaps", "load_glove", "side_by_side"]

_LARGE = 50_000_000
"""Bytes from which reading takes long enough for a progress bar."""


@dataclass(frozen=True)
class WordVectors:
    """The vectors of V words.

    Attributes
    ----------
    vectors : Tensor, float32, (V, D)
        One row for each word; zeros if the file does not hold the word.
    has_vector : Tensor, bool, (V,)
        Whether the file holds the word.
    """

    vectors: Tensor
    has_vector: Tensor


def load_glove(path: Path, words: Sequence[str], *, cache: Path | None = None) -> WordVectors:
    """Read the vectors of some words from a file in GloVe's format.

    The file is read line by line, so that its size does not matter. The first line says how many
    numbers D a line has: all of its fields but one. A later line with more fields holds a word with
    spaces in it, as some of the official files do; its last D fields are the numbers. Where a word
    stands twice, the first line counts. Numbers are read only where they are needed: on the first
    line, on the lines of `words` and on lines with too many fields. A word that is not UTF-8 is
    passed over, unless it reads as one of `words` in Latin-1. So is a byte order mark.

    Parameters
    ----------
    path
        The file.
    words
        V distinct words, in the order of the rows.
    cache
        A folder, made if it is missing, that keeps the result for the next time. The result is used
        again as long as the file has the same place, size and time of change and `words` are the
        same. A result that cannot be read is made anew.

    Returns
    -------
    WordVectors
        The vectors of `words`.

    Raises
    ------
    MissingDataError
        If the file is not there.
    DataFormatError
        If it is no text file, is empty, starts with a header, or does not end with a newline; if a
        line has too few fields or, where numbers are read, something that is not a finite number in
        float32; if a word of `words` is not UTF-8, or the file holds none of them. The message
        names the file and the line.
    ValueError
        If `words` is empty or holds a word twice.
    """
    if not words:
        raise ValueError("words must hold at least one word, got none")
    if len(set(words)) < len(words):
        raise ValueError("words must hold every word once")
    check_content(path, "word vectors in GloVe's text format")
    if cache is None:
        return _read(path, words)
    copy = cache / f"glove-{_key(path, words)}.safetensors"
    result = _restore(copy, len(words))
    if result is None:
        result = _read(path, words)
        copy.parent.mkdir(parents=True, exist_ok=True)
        tensors = {"vectors": result.vectors, "has_vector": result.has_vector}
        write_whole(copy, safetensors.torch.save(tensors))
    return result


def fill_gaps(vectors: WordVectors, other: WordVectors) -> WordVectors:
    r"""Give words that have no vector one that another file's vector foretells.

    The map from the other file's vectors v to these is affine, :math:`v W + b`, and fits the words
    that both files hold in least squares, in float64; where they are few, W is the smallest such.

    Parameters
    ----------
    vectors : WordVectors, (V, D)
        Kept as they are where there are any.
    other : WordVectors, (V, E)
        Of the same V words.

    Returns
    -------
    WordVectors, (V, D)
        Still zero are words that neither file holds; all that had none where no word is in both.

    Raises
    ------
    ValueError
        If the numbers of words differ.
    """
    if len(vectors.vectors) != len(other.vectors):
        raise ValueError(
            f"other must have vectors of {len(vectors.vectors)} words, got {len(other.vectors)}"
        )
    both = vectors.has_vector & other.has_vector
    gaps = other.has_vector & ~vectors.has_vector
    if not both.any() or not gaps.any():
        return vectors
    x = torch.nn.functional.pad(other.vectors.double(), (0, 1), value=1.0)  # the last one times b
    y = vectors.vectors[both].double()
    affine = torch.linalg.lstsq(x[both], y, driver="gelsd").solution
    filled = vectors.vectors.clone()
    filled[gaps] = (x[gaps] @ affine).to(filled.dtype)
    return WordVectors(filled, vectors.has_vector | gaps)


def side_by_side(files: Sequence[WordVectors], others: Sequence[WordVectors] = ()) -> WordVectors:
    """Join the vectors of several files, each with its gaps filled from all others.

    Parameters
    ----------
    files : sequence of WordVectors, (V, D) each
        Of the same V words, the best first; at least one. They may differ in D.
    others : sequence of WordVectors
        Such as fill gaps that all of these leave.

    Returns
    -------
    WordVectors, (V, sum of D)
        The numbers of each file, divided by their standard deviation.

    Raises
    ------
    ValueError
        If there is no file, or the numbers of words differ.
    """
    if not files:
        raise ValueError("files must hold at least one, got none")
    everything = (*files, *others)
    filled = [
        functools.reduce(fill_gaps, (other for other in everything if other is not file), file)
        for file in files
    ]
    scaled = [
        part.vectors / file.vectors[file.has_vector].std()
        for part, file in zip(filled, files, strict=True)
    ]
    has_vector = torch.stack([part.has_vector for part in filled]).any(0)
    return WordVectors(torch.cat(scaled, dim=1), has_vector)


def _read(path: Path, words: Sequence[str]) -> WordVectors:
    row_of = {word.encode(): row for row, word in enumerate(words)}
    rows: dict[int, Tensor] = {}
    with path.open("rb") as file:
        first = file.readline().removeprefix(codecs.BOM_UTF8)
        width = _width(path, first)
        file.seek(0)
        lines: Iterable[bytes] = file
        size = path.stat().st_size
        if size > _LARGE:
            lines = track(file, path.name, total=size // len(first))  # about as many
        for line, content in _contents(path, lines):
            spaces = content.count(b" ")
            if spaces < width:
                raise DataFormatError(
                    f"{path}, line {line}: expected a word and {width} numbers, got "
                    f"{spaces + 1 if content else 0} fields"
                )
            if spaces > width:
                word, *numbers = content.rsplit(b" ", width)
                _numbers(path, line, numbers)  # two spaces in a row make a field without one
            else:
                word = content[: content.index(b" ")]
            row = row_of.get(word)
            if row is None:
                if not word.isascii():
                    _check_encoding(path, line, word, row_of)
            elif row not in rows:
                rows[row] = torch.tensor(_numbers(path, line, content.rsplit(b" ", width)[1:]))
    if not rows:
        raise DataFormatError(
            f"{path}: none of the {len(words)} words is in the file; the first is {words[0]!r}"
        )
    vectors = torch.zeros(len(words), width)
    has_vector = torch.zeros(len(words), dtype=torch.bool)
    for row, vector in rows.items():
        vectors[row], has_vector[row] = vector, True
    return WordVectors(vectors, has_vector)


def _width(path: Path, first: bytes) -> int:
    """Return how many numbers a line has, from the first line."""
    if not first:
        raise DataFormatError(f"{path}: the file is empty")
    word, *numbers = first.rstrip().split(b" ")
    if not numbers:
        raise DataFormatError(
            f"{path}, line 1: expected a word and its numbers with single spaces between them, got "
            "no space"
        )
    if len(numbers) == 1 and word.isdigit() and numbers[0].isdigit():
        raise DataFormatError(
            f"{path}, line 1: {first.decode().strip()!r} is a header as word2vec's files have it; "
            "GloVe's format has none: delete the line"
        )
    _numbers(path, 1, numbers)
    return len(numbers)


def _contents(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of each line, without what marks its end."""
    for line, content in enumerate(lines, start=1):
        # A cut inside the last number would leave the right number of fields.
        if not content.endswith(b"\n"):
            raise DataFormatError(
                f"{path}, line {line}: the file is cut short, its last line has no newline"
            )
        if line == 1:
            content = content.removeprefix(codecs.BOM_UTF8)
        yield line, content.rstrip()


def _numbers(path: Path, line: int, fields: Sequence[bytes]) -> list[float]:
    """Read the numbers of a line."""
    values = []
    for field in fields:
        try:
            value = float(field)
        except ValueError:
            value = math.nan
        if not abs(value) <= torch.finfo(torch.float32).max:  # nan compares as false
            text = field.decode(errors="replace")
            raise DataFormatError(f"{path}, line {line}: {text!r} is not a finite number")
        values.append(value)
    return values


def _check_encoding(path: Path, line: int, word: bytes, row_of: dict[bytes, int]) -> None:
    """Refuse a word in Latin-1 that would be one of the wanted words in UTF-8."""
    try:
        word.decode()
    except UnicodeDecodeError as error:
        text = word.decode("latin-1")
        if text.encode() in row_of:
            raise DataFormatError(
                f"{path}, line {line}: the word {text!r} is not UTF-8 ({error.reason})"
            ) from error


def _key(path: Path, words: Sequence[str]) -> str:
    """Return a hash over everything that the result depends on."""
    stat = path.stat()
    content = [str(path.resolve()), stat.st_size, stat.st_mtime_ns, *words]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _restore(path: Path, n_words: int) -> WordVectors | None:
    """Read a cached result; None if there is none or it is not as it should be."""
    try:
        tensors = safetensors.torch.load_file(path)
        result = WordVectors(tensors["vectors"], tensors["has_vector"])
    except (OSError, KeyError, safetensors.SafetensorError):
        return None
    fits = (
        result.vectors.ndim == 2
        and result.has_vector.shape == (n_words,) == result.vectors.shape[:1]
        and (result.vectors.dtype, result.has_vector.dtype) == (torch.float32, torch.bool)
        and bool(result.vectors.isfinite().all())
    )
    return result if fits else None
