"""Files that are something else than their name says are recognised by how they begin."""

import bz2
import gzip
import io
import lzma
from pathlib import Path
from zipfile import ZipFile

import pytest

from rnnreport.data.assets import DataFormatError, MissingDataError
from rnnreport.data.coco import load_coco
from rnnreport.data.flickr8k import load_flickr8k
from rnnreport.data.foreign import check_content, content_of
from rnnreport.data.sentiment import read_labelled
from rnnreport.data.unpack import unpack


def zipped() -> bytes:
    stream = io.BytesIO()
    with ZipFile(stream, "w") as archive:
        archive.writestr("a", "b")
    return stream.getvalue()


KINDS = [
    (gzip.compress(b"1 a\n", mtime=0), "a gzip archive: unpack it first"),
    (zipped(), "a zip archive: unpack it first"),
    (lzma.compress(b"1 a\n"), "an xz archive: unpack it first"),
    (bz2.compress(b"1 a\n"), "a bzip2 archive: unpack it first"),
    ("1 a".encode("utf-16"), "text in UTF-16: write it as UTF-8"),
    (b"\xef\xbb\xbf\n<!doctype HTML>", "a web page"),
    (b'<html lang="en">', "a web page"),
    (b"<html>\n<head>", "a web page"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
]


@pytest.mark.parametrize(("content", "words"), KINDS)
def test_kinds(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert content_of(path).startswith(f"it is {words}")
    with pytest.raises(DataFormatError, match=f"a: it is {words}.*expected numbers"):
        check_content(path, "numbers")


@pytest.mark.parametrize(
    "content", [b"", b"1 a\n", b"\xef\xbb\xbf1 a", b"BZh 1", b"<html> 1", b"PK"]
)
def test_other_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    check_content(tmp_path / "a", "numbers")
    with pytest.raises(MissingDataError):
        check_content(tmp_path / "b", "numbers")


@pytest.mark.parametrize(("content", "words"), KINDS[:2])
def test_the_loaders_look(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "Images").mkdir()
    for name in ("captions.txt", "train.txt", "coco2014_captions.h5"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataFormatError, match=f"captions.txt: it is {words}"):
        load_flickr8k(tmp_path)
    with pytest.raises(DataFormatError, match=f"train.txt: it is {words}"):
        read_labelled(tmp_path / "train.txt")
    with pytest.raises(DataFormatError, match=f"captions.h5: it is {words}"):
        load_coco(tmp_path)


def test_a_web_page_in_place_of_an_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("<!doctype html>")
    with pytest.raises(DataFormatError, match=r"not a zip file .*it is a web page"):
        unpack(tmp_path / "a.zip", tmp_path, lambda name: name)
