"""Assets are found in order, missing ones are named, profiles resolve."""

import hashlib
import os
import socket
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from rnnreport.data import assets
from rnnreport.data.assets import (
    Asset,
    DataFormatError,
    MissingDataError,
    Packaged,
    SettingError,
    check_file,
    check_folder,
    find,
    find_all,
    fingerprint,
    require,
    resolve,
    stamp,
    what_is,
)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return an empty data folder and an empty cache folder, and look nowhere else."""
    named, cache = tmp_path / "named", tmp_path / "cache"
    named.mkdir()
    monkeypatch.setenv("RNNREPORT_DATA", str(named))
    monkeypatch.delenv("RNNREPORT_PROFILE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: cache)
    return named, cache / "data"


def test_named_folder_comes_before_cache(folders: tuple[Path, Path]) -> None:
    named, cache = folders
    assert find("flickr8k") is None
    (cache / "flickr8k_900").mkdir(parents=True)
    assert find("flickr8k") == cache / "flickr8k_900"
    (named / "flickr8k_900").mkdir()
    assert find("flickr8k") == named / "flickr8k_900"
    (named / "flickr8k").mkdir()  # the earlier candidate
    assert find("flickr8k") == require("flickr8k") == named / "flickr8k"


def test_word_vectors_may_be_several_files(folders: tuple[Path, Path]) -> None:
    assert find_all("glove") == []
    assert find("glove") is None
    named, cache = (folder / "glove" for folder in folders)
    for folder, names in (
        (named, ["glove.twitter.27B.25d.common.txt", "glove.6B.50d.txt", "glove.840B.300d.txt"]),
        (cache, ["glove.6B.300d.part.txt", "glove.6B.300d.txt", "glove.6B.50d.txt"]),
    ):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()
    (cache / "glove.6B.200d.txt").symlink_to("nowhere.txt")
    best_first = [  # most numbers a word, whole before a part; of one name the named folder's
        cache / "glove.6B.300d.txt",
        cache / "glove.6B.300d.part.txt",
        named / "glove.6B.50d.txt",
        named / "glove.twitter.27B.25d.common.txt",
    ]
    assert find_all("glove") == best_first
    assert find("glove") == require("glove") == best_first[0]
    assert [place for place, _, _ in stamp("glove")] == list(map(str, best_first))
    (named / "glove.6B.100d.txt").mkdir()
    with pytest.raises(DataFormatError, match=r"100d\.txt is a folder: expected the asset 'glove'"):
        find_all("glove")


def test_one_place_counts_where_an_asset_is_not_several(folders: tuple[Path, Path]) -> None:
    paths = [folders[0] / one for one in assets.ASSETS["mobilenet_v2"].candidates]
    paths[0].parent.mkdir()
    for path in paths:
        path.touch()
    assert find_all("mobilenet_v2") == [find("mobilenet_v2")] == [paths[0]]
    assert [place for place, _, _ in stamp("mobilenet_v2")] == [str(paths[0])]


@pytest.mark.parametrize("value", [None, ""])
def test_without_named_folder_only_the_cache(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("RNNREPORT_DATA")
    else:
        monkeypatch.setenv("RNNREPORT_DATA", value)
    assert assets.search_folders() == [folders[1]]


@pytest.mark.skipif(os.name != "posix", reason="where there are pipes and links")
def test_what_is_there_in_place_of_a_file(tmp_path: Path) -> None:
    file, pipe, link, round_ = (tmp_path / name for name in ("file", "pipe", "link", "round"))
    file.touch()
    os.mkfifo(pipe)
    link.symlink_to("nowhere")
    round_.symlink_to(round_)
    check_file(file, "numbers")
    check_folder(tmp_path, "numbers")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(f"{tmp_path}/s")
    for path, words in (
        (tmp_path, "is a folder"),
        (pipe, "is a named pipe"),
        (tmp_path / "s", "is a socket"),
        (Path(os.devnull), "is a device"),
    ):
        with pytest.raises(DataFormatError, match=f"^{path} {words}: expected numbers$"):
            check_file(path, "numbers")
    for path, words in (
        (tmp_path / "a", "is missing"),
        (file / "a", "is missing"),
        (tmp_path / "a\0", "is missing"),
        (link, "is a link to nowhere, which is not there"),
        (round_, f"is a link to {round_}, which is not there"),
    ):
        assert what_is(path) == words
        with pytest.raises(MissingDataError, match=f" {words}: expected numbers$"):
            check_file(path, "numbers")
    with pytest.raises(DataFormatError, match="file is a file: expected a folder"):
        check_folder(file, "a folder")


@pytest.mark.skipif(os.name != "posix", reason="where there are pipes and links")
def test_an_asset_of_another_kind(folders: tuple[Path, Path]) -> None:
    named, _ = folders
    weights = named / assets.ASSETS["resnet18"].candidates[0]
    weights.parent.mkdir()
    weights.symlink_to("nowhere.pth")
    with pytest.raises(MissingDataError, match=r"f37072fd.safetensors is a link to nowhere\.pth, "):
        require("resnet18")
    weights.unlink()
    weights.mkdir()
    with pytest.raises(DataFormatError, match="is a folder: expected the asset 'resnet18'"):
        find("resnet18")
    weights.rmdir()
    os.mkfifo(weights)
    with pytest.raises(DataFormatError, match="is a named pipe"):
        resolve("auto", "resnet18")
    with pytest.raises(DataFormatError, match="is a named pipe"):
        fingerprint([weights])  # nobody would ever write into it
    assert [place for place, _, _ in stamp("resnet18")] == [str(weights)]
    (named / "sentiment").touch()
    with pytest.raises(DataFormatError, match="sentiment is a file: expected the asset"):
        require("sentiment")
    for asset in assets.ASSETS.values():
        assert len({not Path(candidate).suffix for candidate in asset.candidates}) == 1


def test_missing_asset_says_where_and_how(folders: tuple[Path, Path]) -> None:
    with pytest.raises(MissingDataError) as raised:
        require("mobilenet_v2")
    message = str(raised.value)
    for part in (
        "'mobilenet_v2'",
        str(folders[0] / "weights"),
        str(folders[1] / "weights"),
        assets.ASSETS["mobilenet_v2"].origin,
        "`rnnreport data`",
    ):
        assert part in message
    assert isinstance(raised.value, FileNotFoundError)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a package that fails when it is run; it holds the asset `packed`."""
    folder = tmp_path / "packages" / "a_package_that_holds_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('was run')")
    (folder / "a.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(folder.parent)
    packaged = Packaged(
        "a-package==1", folder.name, "a.pth", hashlib.sha256(b"weights").hexdigest()
    )
    asset = Asset("packed", ("weights/a.pth",), "weights", "https://x", "free", packaged)
    monkeypatch.setitem(assets.ASSETS, "packed", asset)
    return folder


def test_a_package_comes_last(folders: tuple[Path, Path], package: Path) -> None:
    assert find("packed") == require("packed") == package / "a.pth"
    assert [path for path, *_ in stamp("packed")] == [str(package / "a.pth")]
    (folders[1] / "weights").mkdir(parents=True)
    (folders[1] / "weights/a.pth").write_bytes(b"weights")
    assert find("packed") == folders[1] / "weights/a.pth"


@pytest.mark.usefixtures("folders")
def test_another_file_than_the_package_should_hold(package: Path) -> None:
    (package / "a.pth").write_bytes(b"others")
    with pytest.raises(
        DataFormatError, match=r"a\.pth: not the file .* its SHA-256 is \w{64}, exp"
    ):
        require("packed")
    (package / "a.pth").unlink()
    assert find("packed") is None
    with pytest.raises(MissingDataError, match=r"`python -m pip install a-package==1` brings it"):
        require("packed")


@pytest.mark.usefixtures("folders")
def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = Packaged("a-package==1", "a_package_that_nobody_has", "a.pth", "")
    asset = Asset("packed", ("weights/a.pth",), "weights", "https://x", "free", packaged)
    monkeypatch.setitem(assets.ASSETS, "packed", asset)
    with pytest.raises(MissingDataError, match="the package a_package_that_nobody_has"):
        require("packed")


def test_named_folder_that_is_none(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNREPORT_DATA", str(folders[0] / "nowhere"))
    for call in (
        assets.search_folders,
        lambda: find("flickr8k"),
        lambda: resolve("auto", "flickr8k"),
    ):
        with pytest.raises(MissingDataError, match=r"RNNREPORT_DATA is set to .*nowhere"):
            call()


def test_unknown_asset() -> None:
    with pytest.raises(ValueError, match=f"one of {', '.join(assets.ASSETS)}, got 'imagenet'"):
        require("imagenet")


@pytest.mark.usefixtures("folders")
def test_profiles_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("auto", "flickr8k") == "sample"
    assert resolve("auto") == "full"  # nothing is needed, nothing is missing
    assert resolve("sample", "flickr8k") == "sample"
    with pytest.raises(MissingDataError):
        resolve("full", "flickr8k")
    monkeypatch.setenv("RNNREPORT_PROFILE", "full")
    with pytest.raises(MissingDataError):
        resolve("auto", "flickr8k")
    assert resolve("sample", "flickr8k") == "sample"  # what is said in code wins


def test_profiles_with_data(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (folders[0] / "flickr8k").mkdir()
    assert resolve("auto", "flickr8k") == "full"
    assert resolve("full", "flickr8k") == "full"
    assert resolve("auto", "flickr8k", "mobilenet_v2") == "sample"  # one is missing
    monkeypatch.setenv("RNNREPORT_PROFILE", "sample")
    assert resolve("auto", "flickr8k") == "sample"
    assert resolve("full", "flickr8k") == "full"


def test_unknown_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="profile must be one of full, sample, auto, got 'half'"):
        resolve("half")
    monkeypatch.setenv("RNNREPORT_PROFILE", "half")
    with pytest.raises(SettingError, match=r"RNNREPORT_PROFILE must be .* got 'half'"):
        resolve("auto")


def test_every_asset_says_what_it_is() -> None:
    for name, asset in assets.ASSETS.items():
        assert asset.name == name
        assert asset.candidates
        assert "://" in asset.origin
        assert all([asset.description, asset.terms])
        assert not any(Path(candidate).is_absolute() for candidate in asset.candidates)


def test_a_stamp_follows_links(folders: tuple[Path, Path], tmp_path: Path) -> None:
    asset, disk = folders[0] / "hymenoptera_data", tmp_path / "other disk"
    for folder in (asset, disk / "ants"):
        folder.mkdir(parents=True)
    (asset / "train").symlink_to(disk)
    (disk / "circle").symlink_to(asset)
    (asset / "nowhere").symlink_to("gone")
    before = stamp("hymenoptera")
    assert (str(asset / "nowhere"), -1, 0) in before
    (disk / "ants" / "new.jpg").write_bytes(b"picture")
    after = stamp("hymenoptera")
    assert str(asset / "train" / "ants" / "new.jpg") in {path for path, *_ in after}
    assert after != before
    (disk / ".DS_Store").write_bytes(b"of a file manager")
    (disk / ".cache").mkdir()
    (disk / ".cache" / "a.jpg").write_bytes(b"thumbnail")
    assert stamp("hymenoptera") == after


def test_a_stamp_follows_every_file(folders: tuple[Path, Path]) -> None:
    assert stamp("hymenoptera") == []
    inner = folders[0] / "hymenoptera_data" / "train" / "ants"
    inner.mkdir(parents=True)
    (inner / "a.jpg").write_bytes(b"ant")
    stamps = [stamp("hymenoptera")]
    assert stamps[0] == stamp("hymenoptera")
    (inner / "a.jpg").write_bytes(b"an ant")
    stamps.append(stamp("hymenoptera"))
    os.utime(inner / "a.jpg", ns=(0, 0))
    stamps.append(stamp("hymenoptera"))
    (inner / "a.jpg").rename(inner / "b.jpg")
    stamps.append(stamp("hymenoptera"))
    for k, each in enumerate(stamps):
        assert each not in stamps[:k]
    with pytest.raises(ValueError, match="got 'songs'"):
        stamp("songs")


def test_fingerprint_follows_content(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    a.write_bytes(b"one")
    b.write_bytes(b"two")
    c.write_bytes(b"one")
    assert fingerprint([a, b]) == fingerprint([c, b])
    assert fingerprint([a, b]) != fingerprint([b, a])
    assert fingerprint([a]) != fingerprint([a, a])


def test_fingerprint_reads_a_file_again_once_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_bytes(path.name.encode())
    reads: list[str] = []
    digest = hashlib.file_digest

    def noted(file: FileIO, name: str) -> Any:
        reads.append(Path(file.name).name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    first = fingerprint(paths)
    digests = [hashlib.sha256(content).digest() for content in (b"a", b"b")]
    assert first == hashlib.sha256(b"".join(digests)).hexdigest()
    monkeypatch.chdir(tmp_path)
    assert fingerprint([Path("a"), Path("b")]) == first  # the same files
    assert reads == ["a", "b"]

    status = paths[1].stat()
    paths[1].write_bytes(b"c")
    os.utime(paths[1], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert fingerprint(paths) != first
    assert reads == ["a", "b", "b"]
