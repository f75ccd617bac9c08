"""Word vectors in GloVe's text format: reading, caching, and what is refused."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from real_data import needs
from torch import Tensor

from rnnreport.data import glove
from rnnreport.data.assets import DataFormatError, MissingDataError, require
from rnnreport.data.glove import WordVectors, fill_gaps, load_glove, side_by_side

SMALL = "the 0.1 0.2\ncat -1 2e-3\n. . 5 6\ncafé 7 8\n"

printable = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"])
words = st.text(printable.filter(lambda character: character != "\ufeff"), min_size=1)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "glove.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def assert_same(actual: WordVectors, expected: WordVectors) -> None:
    assert torch.equal(actual.vectors, expected.vectors)
    assert torch.equal(actual.has_vector, expected.has_vector)


# What is read


def test_rows_follow_the_words(tmp_path: Path) -> None:
    loaded = load_glove(written(tmp_path, SMALL), ["café", "dog", "the", ". .", "cat"])
    expected = torch.tensor([[7, 8], [0, 0], [0.1, 0.2], [5, 6], [-1, 2e-3]])
    assert loaded.vectors.dtype == torch.float32
    assert torch.equal(loaded.vectors, expected)
    assert loaded.has_vector.tolist() == [True, False, True, True, True]


@given(st.dictionaries(words, st.lists(floats, min_size=3, max_size=3), min_size=1), st.data())
def test_round_trip(table: dict[str, list[float]], data: st.DataObject) -> None:
    some = data.draw(st.lists(st.sampled_from(list(table)), min_size=1, unique=True))
    lines = (f"{word} {' '.join(map(str, numbers))}\n" for word, numbers in table.items())
    with TemporaryDirectory() as folder:
        loaded = load_glove(written(Path(folder), "".join(lines)), some)
    assert torch.equal(loaded.vectors, torch.tensor([table[word] for word in some]))
    assert loaded.has_vector.all()


@pytest.mark.parametrize(
    ("content", "vector"),
    [
        ("a 1 2\nb 3 4\n", [3, 4]),
        ("a 1 2\nb 3 4\nb 5 6\n", [3, 4]),  # the first of two counts
        ("a 1 2 \nb 3 4 \n", [3, 4]),
        ("a 1 2\r\nb 3 4\r\n", [3, 4]),
        ("\ufeffb 3 4\na 1 2\n", [3, 4]),
        ("a 1 2\nb b 9 9\nb 3 4\n", [3, 4]),
        (b"\xff 1 2\nb 3 4\n", [3, 4]),  # a word that nobody asks for
        ("a 1 2\nc x y\nb 3 4\n", [3, 4]),  # numbers that nobody asks for
    ],
)
def test_what_the_format_allows(tmp_path: Path, content: str | bytes, vector: list[float]) -> None:
    assert load_glove(written(tmp_path, content), ["b"]).vectors.tolist() == [vector]


def test_one_number_a_line_is_no_header(tmp_path: Path) -> None:
    assert load_glove(written(tmp_path, "12 0.5\nb 3\n"), ["b"]).vectors.tolist() == [[3]]


@pytest.mark.parametrize("large", [False, True])
def test_a_bar_for_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    bar = tmp_path / "bar"
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(bar))
    path = written(tmp_path, SMALL)
    monkeypatch.setattr(glove, "_LARGE", path.stat().st_size - large)
    assert load_glove(path, ["cat"]).vectors.tolist() == torch.tensor([[-1, 2e-3]]).tolist()
    assert bar.exists() == large


# Gaps


def test_gaps_are_filled_by_an_affine_map_of_another_file() -> None:
    generator = torch.Generator().manual_seed(0)
    other = torch.randn(40, 3, generator=generator)
    full = other @ torch.randn(3, 5, generator=generator) + torch.randn(5, generator=generator)
    in_first, in_other = torch.arange(40) % 4 != 0, torch.arange(40) % 8 != 4
    first = WordVectors(torch.where(in_first[:, None], full, 0), in_first)
    filled = fill_gaps(first, WordVectors(torch.where(in_other[:, None], other, 0), in_other))
    assert torch.equal(filled.has_vector, in_first | in_other)
    assert torch.equal(filled.vectors[in_first], first.vectors[in_first])
    gaps = in_other & ~in_first
    torch.testing.assert_close(filled.vectors[gaps], full[gaps], rtol=1e-4, atol=1e-5)
    assert not filled.vectors[~(in_first | in_other)].any()
    assert filled.vectors.dtype == torch.float32


def test_the_map_is_that_of_least_squares() -> None:
    x, y = torch.tensor([0.0, 1, 2, 5]), torch.tensor([0.0, 2, 1, 0])
    known = torch.tensor([True, True, True, False])
    filled = fill_gaps(WordVectors(y[:, None], known), WordVectors(x[:, None], ~known | known))
    assert float(filled.vectors[3]) == pytest.approx(0.5 + 0.5 * 5)  # the line through three points


@pytest.mark.parametrize("held", [[False, False], [True, True]])
def test_there_may_be_nothing_to_fill_or_nothing_to_fill_from(held: list[bool]) -> None:
    vectors = WordVectors(torch.tensor([[1.0], [0.0]]), torch.tensor([True, False]))
    if all(held):
        vectors = WordVectors(torch.tensor([[1.0], [2.0]]), torch.tensor(held))
    assert fill_gaps(vectors, WordVectors(torch.zeros(2, 3), torch.tensor(held))) is vectors


def test_side_by_side_each_file_is_scaled_and_filled() -> None:
    first = WordVectors(torch.tensor([[1.0], [3.0], [0.0]]), torch.tensor([True, True, False]))
    second = WordVectors(torch.tensor([[2.0], [0.0], [6.0]]), torch.tensor([True, False, True]))
    third = WordVectors(torch.tensor([[1.0], [2.0], [3.0]]), torch.ones(3).bool())
    joined = side_by_side([first, second], [third])
    assert joined.has_vector.all()
    assert joined.vectors.shape == (3, 2)
    for column, file in enumerate((first, second)):
        known = file.has_vector
        expected = file.vectors[known, 0] / file.vectors[known].std()
        torch.testing.assert_close(joined.vectors[known, column], expected)
        others = [other for other in (first, second, third) if other is not file]
        filled = fill_gaps(fill_gaps(file, others[0]), others[1]).vectors
        torch.testing.assert_close(
            joined.vectors[:, column], filled[:, 0] / file.vectors[known].std()
        )
    alone = side_by_side([first])
    assert alone.has_vector.tolist() == [True, True, False]
    assert not alone.vectors[2].any()
    with pytest.raises(ValueError, match="files must hold at least one, got none"):
        side_by_side([])


def test_files_of_other_words_do_not_fill_gaps() -> None:
    one, two = (WordVectors(torch.ones(n, 1), torch.ones(n).bool()) for n in (1, 2))
    with pytest.raises(ValueError, match="other must have vectors of 1 words, got 2"):
        fill_gaps(one, two)


# What is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": the file is empty"),
        ("a 1 2\nb 3\n", ", line 2: expected a word and 2 numbers, got 2 fields"),
        ("a 1 2\nx\nb 3 4\n", ", line 2: expected a word and 2 numbers, got 1 fields"),
        ("a 1 2\n\nb 3 4\n", ", line 2: expected a word and 2 numbers, got 0 fields"),
        ("a 1 2\nb 3 4\n\n", ", line 3: expected a word and 2 numbers, got 0 fields"),
        ("a 1 2\nb 3 4x\n", ", line 2: '4x' is not a finite number"),
        ("a 1 2\nb nan 4\n", ", line 2: 'nan' is not a finite number"),
        ("a 1 2\nb 3 -inf\n", ", line 2: '-inf' is not a finite number"),
        ("a 1 2\nb 3 4e38\n", ", line 2: '4e38' is not a finite number"),
        ("a 1 2\nb  3 4\n", ": none of the 1 words is in the file; the first is 'b'"),
        ("a 1 2\nb 3  4\n", ", line 2: '' is not a finite number"),
        (b"a 1 2\nb \xff 4\n", ", line 2: '\ufffd' is not a finite number"),
        ("a 1 x\nb 3 4\n", ", line 1: 'x' is not a finite number"),
        ("a\t1\t2\nb\t3\t4\n", ", line 1: expected a word and its numbers with single spaces"),
        ("\n", ", line 1: expected a word and its numbers with single spaces"),
        ("2 2\na 1 2\nb 3 4\n", ", line 1: '2 2' is a header as word2vec's files have it"),
        ("a 1 2\nb 3 4", ", line 2: the file is cut short, its last line has no newline"),
        ("a 1 2\nb 3", ", line 2: the file is cut short"),
        ("b 1 2", ", line 1: the file is cut short"),
        ("a 1 2\nc 3 4\n", ": none of the 1 words is in the file; the first is 'b'"),
    ],
)
def test_names_the_file_and_the_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataFormatError, match=f"^{re.escape(f'{path}{message}')}"):
        load_glove(path, ["b"])


def test_names_a_word_in_latin_1(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.encode("latin-1"))
    with pytest.raises(DataFormatError, match=r"txt, line 4: the word 'café' is not UTF-8"):
        load_glove(path, ["the", "café"])
    assert load_glove(path, ["the", "cat"]).has_vector.all()


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    plain = load_glove(written(tmp_path, SMALL), ["the", "cat"])
    marked = written(tmp_path, b"\xef\xbb\xbf" + SMALL.encode())
    assert_same(load_glove(marked, ["the", "cat"]), plain)
    header = written(tmp_path, b"\xef\xbb\xbf2 2\na 1 2\nb 3 4\n")
    with pytest.raises(DataFormatError, match=", line 1: '2 2' is a header"):
        load_glove(header, ["a"])


def test_an_archive_must_be_unpacked(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(SMALL.encode()))
    with pytest.raises(DataFormatError, match=r"txt: it is a gzip archive: unpack it first"):
        load_glove(path, ["the"])
    assert load_glove(written(tmp_path, "<html> 1 2\n"), ["<html>"]).has_vector.all()


def test_a_cache_with_nan_is_made_anew(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL)
    expected = load_glove(path, ["the"], cache=tmp_path)
    (copy,) = tmp_path.glob("glove-*.safetensors")
    tensors = safetensors.torch.load_file(copy)
    tensors["vectors"] = tensors["vectors"] * torch.nan
    safetensors.torch.save_file(tensors, copy)
    assert_same(load_glove(path, ["the"], cache=tmp_path), expected)


def test_a_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"glove\.txt is missing"):
        load_glove(tmp_path / "glove.txt", ["the"])


@pytest.mark.parametrize(
    ("asked", "message"), [([], "at least one word"), (["a", "b", "a"], "every word once")]
)
def test_words_must_be_distinct(tmp_path: Path, asked: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_glove(written(tmp_path, SMALL), asked)


# The cache


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by one entry each time that the text file is read."""
    read, entries = glove._read, []

    def noted(path: Path, *rest: object) -> WordVectors:
        entries.append(path.name)
        return read(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(glove, "_read", noted)
    return entries


def test_cache_spares_reading(tmp_path: Path, reads: list[str]) -> None:
    path, cache = written(tmp_path, SMALL), tmp_path / "a" / "b"
    first = load_glove(path, ["the", "dog"], cache=cache)
    assert_same(load_glove(path, ["the", "dog"], cache=cache), first)
    assert len(reads) == 1
    (entry,) = cache.iterdir()
    assert entry.suffix == ".safetensors"
    load_glove(path, ["the", "dog"])
    assert len(reads) == 2


def test_cache_knows_what_it_holds(tmp_path: Path, reads: list[str]) -> None:
    path, cache = written(tmp_path, SMALL), tmp_path / "cache"
    load_glove(path, ["the", "dog"], cache=cache)
    turned = load_glove(path, ["dog", "the"], cache=cache)
    assert turned.has_vector.tolist() == [False, True]
    (tmp_path / "other").mkdir()
    other = written(tmp_path / "other", SMALL.replace("0.1", "0.3"))
    time = path.stat().st_mtime_ns
    os.utime(other, ns=(time, time))
    loaded = load_glove(other, ["the", "dog"], cache=cache)
    assert loaded.vectors[0, 0].item() == pytest.approx(0.3)
    assert len(reads) == 3


@pytest.mark.parametrize("change", ["size", "time"])
def test_cache_is_not_used_once_the_file_has_changed(
    tmp_path: Path, reads: list[str], change: str
) -> None:
    path, cache = written(tmp_path, SMALL), tmp_path / "cache"
    load_glove(path, ["the"], cache=cache)
    before = path.stat().st_mtime_ns
    path = written(tmp_path, SMALL.replace("0.1", "0.3") if change != "size" else SMALL + SMALL)
    os.utime(path, ns=(before, before if change == "size" else before + 1))
    loaded = load_glove(path, ["the"], cache=cache)
    assert len(reads) == 2
    assert loaded.vectors[0, 0].item() == pytest.approx(0.1 if change == "size" else 0.3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no tensors",
        {"vectors": torch.zeros(2, 2)},
        {"vectors": torch.zeros(3, 2), "known": torch.ones(2).bool()},
        {"vectors": torch.zeros(2), "known": torch.ones(2).bool()},
        {"vectors": torch.zeros(2, 2).double(), "known": torch.ones(2).bool()},
        {"vectors": torch.zeros(2, 2), "known": torch.ones(2)},
    ],
)
def test_cache_that_cannot_be_used_is_made_anew(
    tmp_path: Path, reads: list[str], content: bytes | dict[str, Tensor]
) -> None:
    path, cache = written(tmp_path, SMALL), tmp_path / "cache"
    first = load_glove(path, ["the", "dog"], cache=cache)
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(content if isinstance(content, bytes) else safetensors.torch.save(content))
    assert_same(load_glove(path, ["the", "dog"], cache=cache), first)
    assert len(reads) == 2
    assert list(cache.iterdir()) == [entry]
    assert entry.read_bytes() == whole


def test_cache_does_not_hide_a_missing_file(tmp_path: Path) -> None:
    path, cache = written(tmp_path, SMALL), tmp_path / "cache"
    load_glove(path, ["the"], cache=cache)
    path.unlink()
    with pytest.raises(MissingDataError):
        load_glove(path, ["the"], cache=cache)


# The real file


@needs("glove")
def test_real_vectors_of_like_words_are_alike() -> None:
    asked = ["good", "great", "monday", "tuesday", "qqqxqqq"]
    loaded = load_glove(require("glove"), asked)
    assert loaded.has_vector.tolist() == [True, True, True, True, False]
    assert loaded.vectors.shape[1] >= 25
    good, great, monday, tuesday = torch.nn.functional.normalize(loaded.vectors[:4], dim=1)
    assert good @ great > good @ monday
    assert monday @ tuesday > monday @ great
