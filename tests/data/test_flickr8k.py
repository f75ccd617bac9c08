"""Flickr8k's layout is read and checked; errors name the file and the line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from real_data import needs

from rnnreport.data.assets import DataFormatError, MissingDataError, require
from rnnreport.data.flickr8k import (
    Flickr8k,
    Parts,
    load_flickr8k,
    official_parts,
    split_by_name,
)


def _folder(root: Path, content: str | bytes, names: tuple[str, ...] = ("a.jpg", "b.jpg")) -> Path:
    (root / "Images").mkdir()
    for shade, name in enumerate(names):
        Image.new("RGB", (8, 6), (40 * shade, 80, 120)).save(root / "Images" / name)
    content = content.encode() if isinstance(content, str) else content
    (root / "captions.txt").write_bytes(content)
    return root


GOOD = (
    'image,caption\na.jpg,"A dog , running ."\nb.jpg,Two cats .\na.jpg,A tri-colored dog \'s ball\n'
)


@pytest.mark.parametrize(
    "content",
    [GOOD, GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD, GOOD + "\n\n", GOOD.rstrip("\n")],
    ids=["unix", "dos", "byte order mark", "blank lines", "no last newline"],
)
def test_reads_captions_by_image(tmp_path: Path, content: str) -> None:
    data = load_flickr8k(_folder(tmp_path, content))
    assert data.captions == {
        "a.jpg": (("a", "dog", "running"), ("a", "tri-colored", "dog", "'s", "ball")),
        "b.jpg": (("two", "cats"),),
    }
    image = data.image("b.jpg")
    assert (image.mode, image.size) == ("RGB", (8, 6))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,caption\na.jpg,A dog\nc.jpg,A cat\n", r"line 3: .* no image 'c\.jpg'"),
        ("image,caption\n../a.jpg,A dog\n", r"line 2: .* no image '\.\./a\.jpg'"),
        ("image,caption\na.jpg,A dog\nb.jpg,\n", r"line 3: the caption '' has no word"),
        ("image,caption\na.jpg,. ; !\nb.jpg,Cat\n", r"line 2: the caption '\. ; !' has no word"),
        (
            "image,caption\na.jpg,A dog\nB.jpg,A cat\n",
            r"line 3: .* no image 'B\.jpg'; its name there is 'b\.jpg'",
        ),
        (b"image,caption\na.jpg,A dog\nb.jpg,A caf\xe9\n", r"line 3: not UTF-8"),
        ("a.jpg,A dog\nb.jpg,A cat\n", r"line 1: expected the header .* got 'a\.jpg,A dog'"),
        ("", r"line 1: expected the header 'image,caption', got ''"),
        ("image,caption\na.jpg,A dog, running\n", r"line 2: expected 2 fields.* got 3"),
        ("image,caption\na.jpg\n", r"line 2: expected 2 fields.* got 1"),
        ('image,caption\nb.jpg,Cat\na.jpg,"A dog\n', r"line 3: not CSV"),
        ("image,caption\na.jpg,A dog\n", r"no caption for 1 of 2 images .* first is b\.jpg"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    _folder(tmp_path, content)
    with pytest.raises(DataFormatError, match=message) as raised:
        load_flickr8k(tmp_path)
    assert str(tmp_path / "captions.txt") in str(raised.value)


def test_long_captions_are_refused_where_asked(tmp_path: Path) -> None:
    _folder(tmp_path, GOOD)
    assert load_flickr8k(tmp_path, max_words=5) == load_flickr8k(tmp_path)
    with pytest.raises(
        DataFormatError,
        match=r"captions\.txt, line 4: the caption has 5 words, at most 4 are taken: .A tri-",
    ):
        load_flickr8k(tmp_path, max_words=4)
    with pytest.raises(ValueError, match="max_words must be at least 1, got 0"):
        load_flickr8k(tmp_path, max_words=0)


def test_what_a_file_manager_leaves_is_passed_over(tmp_path: Path) -> None:
    root = _folder(tmp_path, GOOD)
    (root / "Images" / "._a.jpg").write_bytes(b"not a picture")
    (root / "Images" / ".DS_Store").touch()
    data = load_flickr8k(root)
    assert list(data.captions) == ["a.jpg", "b.jpg"]
    assert data.left_out == ()


def test_a_dangling_link_is_left_out_with_its_captions_and_named(tmp_path: Path) -> None:
    root = _folder(tmp_path, GOOD + "c.jpg,A link .\n")
    (root / "Images" / "c.jpg").symlink_to(root / "nowhere.jpg")
    (root / "Images" / "notes.txt").touch()
    data = load_flickr8k(root)
    assert list(data.captions) == ["a.jpg", "b.jpg"]
    assert [path.name for path in data.left_out] == ["c.jpg", "notes.txt"]


def test_an_equal_caption_is_kept(tmp_path: Path) -> None:
    twice = "image,caption\na.jpg,A dog .\nb.JPG,A cat\na.jpg,a dog\n"
    data = load_flickr8k(_folder(tmp_path, twice, names=("a.jpg", "b.JPG")))
    assert data.captions == {"a.jpg": (("a", "dog"), ("a", "dog")), "b.JPG": (("a", "cat"),)}


def test_no_images_and_no_captions(tmp_path: Path) -> None:
    _folder(tmp_path, "image,caption\n", names=())
    with pytest.raises(DataFormatError, match="no caption after the header"):
        load_flickr8k(tmp_path)


@pytest.mark.parametrize("missing", ["captions.txt", "Images"])
def test_missing_parts(tmp_path: Path, missing: str) -> None:
    _folder(tmp_path, GOOD, names=())
    path = tmp_path / missing
    path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(MissingDataError, match=f"{missing} is missing"):
        load_flickr8k(tmp_path)


@pytest.mark.parametrize("content", [b"no image", b""])
def test_unreadable_image(tmp_path: Path, content: bytes) -> None:
    data = load_flickr8k(_folder(tmp_path, GOOD))
    data.path("a.jpg").write_bytes(content)
    with pytest.raises(DataFormatError, match=r"a\.jpg: not a readable image"):
        data.image("a.jpg")


def test_truncated_image(tmp_path: Path) -> None:
    data = load_flickr8k(_folder(tmp_path, GOOD))
    content = data.path("a.jpg").read_bytes()
    data.path("a.jpg").write_bytes(content[: len(content) // 2 + 150])
    with pytest.raises(DataFormatError, match=r"a\.jpg: not a readable image"):
        data.image("a.jpg")


LISTS = {"train": "a.jpg\nb.jpg\n", "dev": "c.jpg\n", "test": "gone.jpg\nd.jpg\n"}


def _with_lists(root: Path, **lists: str) -> Flickr8k:
    names = tuple(f"{letter}.jpg" for letter in "abcde")
    folder = _folder(root, "image,caption\n" + "".join(f"{name},A dog\n" for name in names), names)
    for part, content in lists.items():
        (folder / f"Flickr_8k.{part}Images.txt").write_text(content, encoding="utf-8")
    return load_flickr8k(folder)


def test_official_parts(tmp_path: Path) -> None:
    assert official_parts(_with_lists(tmp_path, **LISTS)) == Parts(
        ("a.jpg", "b.jpg"), ("c.jpg",), ("d.jpg",)
    )


def test_a_folder_without_lists_has_no_official_parts(tmp_path: Path) -> None:
    assert official_parts(_with_lists(tmp_path)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dev": None}, r"lists of Flickr8k's parts and lacks Flickr_8k\.devImages\.txt"),
        ({"dev": "x.jpg"}, r"devImages\.txt: names no image of .*Images"),
        ({"dev": ""}, r"devImages\.txt: names no image of"),
        ({"test": "d.jpg a.jpg"}, r"testImages\.txt: a\.jpg stands in Flickr_8k\.trainImages\.txt"),
        ({"test": "PK\x03\x04"}, r"testImages\.txt: .*zip archive"),
    ],
)
def test_bad_lists_are_named(tmp_path: Path, change: dict[str, str | None], message: str) -> None:
    lists = {name: text for name, text in (LISTS | change).items() if text is not None}
    with pytest.raises(DataFormatError, match=message):
        official_parts(_with_lists(tmp_path, **lists))


NAMES = st.lists(st.text("abcdefgh0123", min_size=1, max_size=8), unique=True, max_size=40)


@given(names=NAMES, shares=st.lists(st.floats(0, 0.33), max_size=3), data=st.data())
def test_split_is_a_partition_of_the_asked_sizes(
    names: list[str], shares: list[float], data: st.DataObject
) -> None:
    parts = split_by_name(names, shares)
    assert sorted(name for part in parts for name in part) == sorted(names)
    rest = len(names)
    for part, share in zip(parts[1:], shares, strict=True):
        assert len(part) == min(round(share * len(names)), rest)
        rest -= len(part)
    shuffled = data.draw(st.permutations(names))
    assert split_by_name(shuffled, shares) == parts


def test_split_is_the_same_on_every_machine() -> None:
    _, val, test = split_by_name([f"{number}.jpg" for number in range(90)], (1 / 9, 1 / 9))
    assert val == (
        "19.jpg", "26.jpg", "34.jpg", "36.jpg", "38.jpg",
        "75.jpg", "78.jpg", "79.jpg", "80.jpg", "89.jpg",
    )  # fmt: skip
    assert len(test) == 10
    assert split_by_name(f"{number}.jpg" for number in range(90))[1] == val


def test_split_refuses_bad_input() -> None:
    with pytest.raises(ValueError, match="every name once"):
        split_by_name(["a", "a"])
    for shares in ((1.5,), (-0.1,), (0.6, 0.6)):
        with pytest.raises(ValueError, match="shares must be at least 0 and at most 1 together"):
            split_by_name(["a"], shares)


@needs("flickr8k")
def test_the_real_photographs() -> None:
    data = load_flickr8k(require("flickr8k"))
    count = len(data.captions)
    assert count >= 900
    assert sum(map(len, data.captions.values())) == 5 * count
    words = [word for captions in data.captions.values() for one in captions for word in one]
    assert {"dog", "water", "a"} < set(words)
    assert all(word == word.lower() and any(map(str.isalnum, word)) for word in words)
    parts = official_parts(data) or Parts(*split_by_name(data.captions, (1 / 9, 1 / 9)))
    assert len(set(parts.train) | set(parts.val) | set(parts.test)) == sum(map(len, parts))
    assert len(parts.train) > 5 * len(parts.val) > 4 * len(parts.test) > 300
    assert all(data.image(name).size > (50, 50) for name in parts.test[:20])
