"""Flickr8k's layout is read and checked; errors name the file and the line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from real_data import needs

from rnnreport.data.assets import DataFormatError, MissingDataError, require
from rnnreport.data.flickr8k import load_flickr8k, split_by_name


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


NAMES = st.lists(st.text("abcdefgh0123", min_size=1, max_size=8), unique=True, max_size=40)


@given(names=NAMES, fraction=st.floats(0, 1), data=st.data())
def test_split_is_a_partition_of_the_asked_size(
    names: list[str], fraction: float, data: st.DataObject
) -> None:
    train, val = split_by_name(names, fraction)
    assert sorted(train + val) == sorted(names)
    assert not set(train) & set(val)
    assert len(val) == round(fraction * len(names))
    shuffled = data.draw(st.permutations(names))
    assert split_by_name(shuffled, fraction) == (train, val)


def test_split_is_the_same_on_every_machine() -> None:
    _, val = split_by_name([f"{number}.jpg" for number in range(90)])
    assert val == (
        "19.jpg", "26.jpg", "34.jpg", "36.jpg", "38.jpg",
        "75.jpg", "78.jpg", "79.jpg", "80.jpg", "89.jpg",
    )  # fmt: skip


def test_split_refuses_bad_input() -> None:
    with pytest.raises(ValueError, match="every name once"):
        split_by_name(["a", "a"])
    with pytest.raises(ValueError, match="val_fraction must be between 0 and 1"):
        split_by_name(["a"], 1.5)


@needs("flickr8k")
def test_the_real_photographs() -> None:
    data = load_flickr8k(require("flickr8k"))
    count = len(data.captions)
    assert count >= 900
    assert sum(map(len, data.captions.values())) == 5 * count
    train, val = split_by_name(data.captions)
    assert (len(train), len(val)) == (count - round(count / 9), round(count / 9))
    words = [word for captions in data.captions.values() for one in captions for word in one]
    assert {"dog", "water", "a"} < set(words)
    assert all(word == word.lower() and any(map(str.isalnum, word)) for word in words)
    assert all(data.image(name).size > (50, 50) for name in val[:20])
