"""Archives: what is wanted arrives, and nothing leaves the folder or fills the disk."""

from __future__ import annotations

import io
import shutil
import stat
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from rnnreport.data.assets import DataFormatError
from rnnreport.data.unpack import unpack


def archive(path: Path, files: dict[str, bytes], kinds: dict[str, int] | None = None) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as content:
        for name, data in files.items():
            entry = ZipInfo("x")
            entry.filename = name  # as it is: the constructor would change it on some systems
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = (kinds or {}).get(name, stat.S_IFREG | 0o644) << 16
            content.writestr(entry, data)
    return path


def everything(name: str) -> str:
    return name


def refused(path: Path, folder: Path, match: str, **limits: float) -> None:
    """Check that an archive is refused before any of it is written."""
    with pytest.raises(DataFormatError, match=match) as raised:
        unpack(path, folder, everything, **limits)  # type: ignore[arg-type]
    assert str(path) in str(raised.value)
    assert not list(folder.rglob("*"))


def test_only_what_is_wanted(tmp_path: Path) -> None:
    files = {"a/b.txt": b"b" * 2_000_000, "a/": b"", "a/c.txt": b"c", "__MACOSX/a/._b": b"x"}
    path = archive(tmp_path / "a.zip", files)
    wanted = {"a/b.txt": "deep/er/b.txt", "a/c.txt": "c.txt", "a/": "no/folder"}
    made = unpack(path, tmp_path / "out", wanted.get)
    assert made == [tmp_path / "out/deep/er/b.txt", tmp_path / "out/c.txt"]
    assert [file.read_bytes() for file in made] == [b"b" * 2_000_000, b"c"]
    files_there = {file for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert files_there == set(made)
    assert unpack(path, tmp_path / "none", lambda _: None) == []


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "a/../../out.txt",
        "/out.txt",
        "a/..",
        "./a",
        "a//b",
        "..\\out.txt",
        "C:/out.txt",
        "C:out.txt",
        "\\\\host\\out.txt",
    ],
)
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.zip", {"a.txt": b"a", name: b"out"})
    folder = tmp_path / "in" / "deep"
    refused(path, folder, "leads out of the folder")
    with pytest.raises(DataFormatError):  # also where it is not wanted
        unpack(path, folder, {"a.txt": "a.txt"}.get)
    with pytest.raises(DataFormatError):  # and where the caller asks for such a place
        unpack(archive(tmp_path / "b.zip", {"a.txt": b"a"}), folder, {"a.txt": name}.get)
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["a.zip", "b.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_the_like(tmp_path: Path, kind: int) -> None:
    path = archive(tmp_path / "a.zip", {"a": b"/etc/hostname"}, {"a": kind | 0o777})
    refused(path, tmp_path / "out", "'a' is no ordinary file")
    assert unpack(path, tmp_path / "out", lambda _: None) == []


def test_an_archive_made_where_files_have_no_kind(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a": b"a"}, {"a": 0})
    assert unpack(path, tmp_path / "out", everything)[0].read_bytes() == b"a"


def test_two_files_for_one_place(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a": b"a", "b": b"b"})
    with pytest.raises(DataFormatError, match="two files for 'same'"):
        unpack(path, tmp_path / "out", lambda _: "same")


def test_bombs(tmp_path: Path) -> None:
    zeros = archive(tmp_path / "zeros.zip", {"a": bytes(20 * 2**20)})
    folder = tmp_path / "out"
    refused(zeros, folder, "20,971,520, more than 200 times as many")
    refused(zeros, folder, "unpacks to 20,971,520 bytes, at most 1,000", max_bytes=1000)
    many = archive(tmp_path / "many.zip", {str(number): b"" for number in range(30)})
    refused(many, folder, "30 entries, at most 29 are taken", max_files=29)
    small = archive(tmp_path / "small.zip", {"a": bytes(2**20)})  # zeros, and no harm
    assert unpack(small, folder, everything)[0].stat().st_size == 2**20


def test_an_entry_that_lies_about_its_size(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a": bytes(2**20)})
    content = path.read_bytes().replace((2**20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(DataFormatError, match="not a zip file that can be read"):
        unpack(path, tmp_path / "out", everything)
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*")) <= 10


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>", b"PK\x03\x04"])
def test_files_that_are_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    refused(path, tmp_path / "out", "not a zip file that can be read")


def test_archives_that_are_broken(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a": bytes(range(256)) * 99})
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at])
        refused(path, tmp_path / "out", "not a zip file that can be read")
    for at in range(40, len(whole) // 2, 5):  # inside the data
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        with pytest.raises(DataFormatError, match="not a zip file that can be read"):
            unpack(path, tmp_path / str(at), everything)


@pytest.mark.parametrize(("offset", "value"), [(8, 99), (6, 1)])
def test_archives_of_unknown_kinds(tmp_path: Path, offset: int, value: int) -> None:
    stream = io.BytesIO()
    with ZipFile(stream, "w") as content:
        content.writestr("a", b"a" * 100)
    data = bytearray(stream.getvalue())  # method or password, where the entry and the list tell it
    for place in (data.find(b"PK\x03\x04"), data.find(b"PK\x01\x02") + 2):
        data[place + offset] = value
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataFormatError, match="not a zip file that can be read"):
        unpack(tmp_path / "a.zip", tmp_path / "out", everything)


def test_a_full_disk_is_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.zip", {"a": b"a" * 100})
    usage = shutil.disk_usage(tmp_path)._replace(free=99)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="100 bytes are needed to unpack it, 99 are free"):
        unpack(path, tmp_path / "out", everything)
    assert not list((tmp_path / "out").iterdir())
