"""The format of labelled sentences is read and checked; errors name the file and the line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from real_data import needs

from rnnreport.data.assets import DataFormatError, MissingDataError, require
from rnnreport.data.sentiment import (
    LabelledSentences,
    load_sentiment,
    read_labelled,
    tokenise_review,
)
from rnnreport.samples.reviews import generate

GOOD = "0 the soup was cold .\n1 i paid $ _num_ !\n"


def _file(root: Path, content: str | bytes, name: str = "part.txt") -> Path:
    content = content.encode() if isinstance(content, str) else content
    (root / name).write_bytes(content)
    return root / name


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\n \n") + "\n\n",
        GOOD.rstrip("\n"),
        GOOD.replace(" ", "\t"),
        GOOD.replace(" ", "  \t").replace("0", " 0").replace("\n", " \n"),
    ],
    ids=["unix", "dos", "byte order mark", "blank lines", "no last newline", "tabs", "wide"],
)
def test_reads_sentences_and_labels(tmp_path: Path, content: str) -> None:
    data = read_labelled(_file(tmp_path, content))
    assert data.sentences == (
        ("the", "soup", "was", "cold", "."),
        ("i", "paid", "$", "_num_", "!"),
    )
    assert data.labels == (0, 1)
    assert data.kinds == ()
    assert len(data) == 2


@pytest.mark.parametrize("space", ["\u00a0", "\u0085", "\u2028", "\u3000", "\x1c"])
def test_only_ascii_white_space_parts(tmp_path: Path, space: str) -> None:
    path = _file(tmp_path, f"1 a{space}b c\n1 {space}\nx y\n")
    with pytest.raises(DataFormatError, match=r"line 3: .* got 'x'"):
        read_labelled(path)
    data = read_labelled(_file(tmp_path, f"1 a{space}b c\n1 {space}\n"))
    assert data.sentences == ((f"a{space}b", "c"), (space,))


@pytest.mark.parametrize("space", ["\x0b", "\x0c"])
def test_vertical_space_is_no_line_end(tmp_path: Path, space: str) -> None:
    assert read_labelled(_file(tmp_path, f"1 a{space}0 b\n")).sentences == (("a", "0", "b"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 good\n2 bad\n", r"line 2: expected the label 0 or 1, got '2'"),
        ("1 good\n\ngood 1\n", r"line 3: expected the label 0 or 1, got 'good'"),
        ("1 good\n01 bad\n", r"line 2: expected the label 0 or 1, got '01'"),
        ("1,good\n", r"line 1: expected the label 0 or 1, got '1,good'"),
        ("1 good\n٠ bad\n", r"line 2: expected the label 0 or 1, got '٠'"),
        ("1\u00a0good\n", r"line 1: expected the label 0 or 1"),
        ("1 good\n0\n1 fine\n", r"line 2: no token after the label"),
        ("1 good\r\n0 \t\r\n", r"line 2: no token after the label"),
        (b"1 good\n0 caf\xe9\n", r"line 2: not UTF-8"),
        (b"1 good\n\xff 0\n", r"line 2: not UTF-8"),
        ("1 good\r0 bad\r", r"line 1: a carriage return in the line"),
        ("", r"no sentence in the file"),
        ("\ufeff\n \n", r"no sentence in the file"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = _file(tmp_path, content)
    with pytest.raises(DataFormatError, match=message) as raised:
        read_labelled(path)
    assert str(raised.value).startswith(str(path))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"part\.txt is missing"):
        read_labelled(tmp_path / "part.txt")
    with pytest.raises(DataFormatError, match="is a folder: expected lines of a label"):
        read_labelled(tmp_path)


def test_loads_the_three_files(tmp_path: Path) -> None:
    for name, word in (("train", "a"), ("dev", "b"), ("test", "c")):
        _file(tmp_path, f"1 {word}\n", f"{name}.txt")
    splits = load_sentiment(tmp_path)
    assert [part.sentences for part in splits] == [(("a",),), (("b",),), (("c",),)]
    assert splits.dev.sentences == (("b",),)
    (tmp_path / "dev.txt").unlink()
    with pytest.raises(MissingDataError, match=r"dev\.txt is missing"):
        load_sentiment(tmp_path)


TOKENS = st.text(st.characters(exclude_characters=" \t\n\r\x0b\x0c", codec="utf-8"), min_size=1)
LINES = st.lists(
    st.tuples(st.integers(0, 1), st.lists(TOKENS, min_size=1, max_size=6)), min_size=1, max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, end=st.sampled_from(["\n", "\r\n", "\n\n"]), space=st.sampled_from(" \t"))
def test_round_trip(
    tmp_path: Path, lines: list[tuple[int, list[str]]], end: str, space: str
) -> None:
    written = end.join(space.join([str(label), *tokens]) for label, tokens in lines)
    data = read_labelled(_file(tmp_path, written))
    assert list(zip(data.labels, map(list, data.sentences), strict=True)) == lines


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": (1,)}, "labels must be as many as the 2 sentences, got 1"),
        ({"labels": ()}, "labels must be as many as the 2 sentences, got 0"),
        ({"kinds": ("plain",)}, "kinds must be as many as the 2 sentences, got 1"),
        ({"labels": (1, 2)}, "labels must be 0 or 1, got 2 for sentence 1"),
        ({"labels": (-1, 0)}, "labels must be 0 or 1, got -1 for sentence 0"),
        ({"sentences": (("a",), ())}, "sentence 1 has no token"),
    ],
)
def test_parts_must_fit(changed: dict[str, Any], message: str) -> None:
    parts: dict[str, Any] = {"sentences": (("a",), ("b", "c")), "labels": (0, 1)}
    LabelledSentences(**parts, kinds=("plain", "plain"))
    with pytest.raises(ValueError, match=message):
        LabelledSentences(**(parts | changed))


@pytest.mark.parametrize(
    ("sentence", "tokens"),
    [
        ("", ""),
        (" \t\n", ""),
        ("Good", "good"),
        ("The soup, the BREAD & wine!\r\n", "the soup , the bread & wine !"),
        ("Why (oh why)? So-so: meh; bad...", "why ( oh why ) ? so-so : meh ; bad ..."),
        # Contractions
        ("The soup wasn't good!", "the soup was n't good !"),
        ("I can't, won't and don't", "i ca n't , wo n't and do n't"),
        ("I’ve said: isn’t it?", "i 've said : is n't it ?"),
        ("it's they're we'll he'd i'm", "it 's they 're we 'll he 'd i 'm"),
        ("They cannot cook", "they can not cook"),
        ("The dogs' food", "the dogs ' food"),
        # Quotes
        ('He said "great" twice.', "he said `` great '' twice ."),
        ('"Great" food', "`` great '' food"),
        ("`` great '' food", "`` great '' food"),
        ("a '' b '' c", "a '' b '' c"),
        ("''", "''"),
        # Numbers
        ("I paid $5.99 for 2 and 1,000.50 more", "i paid $ _num_ for _num_ and _num_ more"),
        ("10% off, 3.", "_num_ % off , _num_ ."),
        ("At 5:30 the 2nd of 1/2", "at 5:30 the 2nd of 1/2"),
        ("$ _num_", "$ _num_"),
    ],
)
def test_tokens_of_a_users_sentence(sentence: str, tokens: str) -> None:
    assert tokenise_review(sentence) == tokens.split()
    assert tokenise_review(tokens) == tokens.split()


def test_typographic_quotes() -> None:
    assert tokenise_review("A “great” place") == ["a", "``", "great", "''", "place"]


def test_generated_sentences_stay_as_they_are() -> None:
    reviews = generate(300, generator=torch.Generator().manual_seed(0))
    for sentence in reviews.sentences:
        assert tokenise_review(" ".join(sentence)) == list(sentence)
        raw = " ".join(sentence).replace(" n't", "n't").replace(" ,", ",").removesuffix(" .")
        assert tokenise_review(raw.capitalize()) == list(sentence)[: -(sentence[-1] == ".") or None]


@needs("sentiment")
def test_real_sentences_stay_as_they_are() -> None:
    dev = load_sentiment(require("sentiment")).dev
    changed = [s for s in dev.sentences if tokenise_review(" ".join(s)) != list(s)]
    assert len(changed) <= len(dev) / 1000


@needs("sentiment")
def test_the_real_sentences() -> None:
    splits = load_sentiment(require("sentiment"))
    assert [len(part) for part in splits] == [40_000, 10_000, 10_000]
    for part in splits:
        assert sum(part.labels) == len(part) / 2
        assert {len(sentence) for sentence in part.sentences} == set(range(5, 16))
        assert all(word == word.lower() for sentence in part.sentences for word in sentence)
    words = {word for sentence in splits.train.sentences for word in sentence}
    assert len(words) == 7639
    assert {"_num_", ".", "n't", "food"} < words
