"""Downloads: whole and as expected, or an error that says why; broken ones go on."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Answer, Handler, Server, cut, file, serving

from rnnreport.data import download as module
from rnnreport.data.download import DownloadError, download

CONTENT = bytes(range(256)) * 1200  # more than one block
SHA = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MARK = f'"{SHA[7:15]}"'  # the ETag that the server makes
HALF = len(CONTENT) // 2


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def get(server: Server, path: Path, answer: Answer | None = None, **settings: Any) -> None:
    if answer is not None:
        server.answers["/file"] = answer
    download(server.url("/file"), path, **{"timeout": 5.0, **settings})


def fails(server: Server, path: Path, answer: Answer | None = None, **settings: Any) -> str:
    """Return the error of a download that must fail; it must name the address."""
    with pytest.raises(DownloadError) as raised:
        get(server, path, answer, **settings)
    assert not path.exists()
    assert server.url("") in str(raised.value)
    return str(raised.value)


def part(path: Path) -> bytes:
    return path.with_name(f"{path.name}.part").read_bytes()


def alone(path: Path) -> bool:
    return list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("checksum", ["", SHA, f"md5:{hashlib.md5(CONTENT).hexdigest()}"])  # noqa: S324
def test_a_file_arrives(server: Server, tmp_path: Path, checksum: str) -> None:
    path = tmp_path / "data.bin"
    get(server, path, file(CONTENT), checksum=checksum, size=len(CONTENT))
    assert path.read_bytes() == CONTENT
    assert alone(path)
    ((_, headers),) = server.requests
    assert headers["User-Agent"].startswith("rnnreport/")
    assert "Range" not in headers
    get(server, path, checksum=checksum, size=len(CONTENT))  # it is there
    assert len(server.requests) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_host_that_does_not_tell_the_length(
    server: Server, tmp_path: Path, chunked: bool
) -> None:
    def answer(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = True
        headers = {"Transfer-Encoding": "chunked"} if chunked else {}
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT) if chunked else CONTENT
        handler.reply(200, headers, body)

    get(server, tmp_path / "a", answer)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_an_empty_file(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path / "a", file(b""))
    assert (tmp_path / "a").read_bytes() == b""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("whole", [False, True])
def test_redirects_are_followed(server: Server, tmp_path: Path, status: int, whole: bool) -> None:
    server.answers["/there"] = file(CONTENT)
    to = server.url("/there") if whole else "there"
    get(server, tmp_path / "a", lambda handler: handler.reply(status, {"Location": to}))
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/file", "/there"]


def test_a_redirect_that_is_not_quoted(server: Server, tmp_path: Path) -> None:
    server.answers["/a%20%C3%AF"] = file(CONTENT)
    server.answers["/b%20c"] = lambda handler: handler.reply(302, {"Location": "/a %C3%AF"})
    get(server, tmp_path / "a", lambda handler: handler.reply(302, {"Location": "/b c"}))
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_redirects_that_never_end(server: Server, tmp_path: Path) -> None:
    message = fails(
        server, tmp_path / "a", lambda handler: handler.reply(302, {"Location": "/file"})
    )
    assert "redirects more than 5 times" in message
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "location",
    ["file:///etc/hostname", "ftp://127.0.0.1/file", "data:,abc", "http://[", ""],
)
def test_redirects_that_leave_the_web(server: Server, tmp_path: Path, location: str) -> None:
    message = fails(
        server, tmp_path / "a", lambda handler: handler.reply(302, {"Location": location})
    )
    assert f"redirects to {location!r}, which is no address of the web" in message
    assert len(server.requests) == 1


def test_redirects_never_give_up_encryption() -> None:
    assert module._next("http://a/b", "https://c/d") == "https://c/d"
    assert module._next("https://a/b", "/d") == "https://a/d"
    with pytest.raises(DownloadError, match="redirects to http://c/d, where nothing protects"):
        module._next("https://a/b", "http://c/d")


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://a/b", "a/b", ""])
def test_addresses_that_are_not_of_the_web(tmp_path: Path, address: str) -> None:
    with pytest.raises(DownloadError, match="no address of the web"):
        download(address, tmp_path / "a")


def test_a_silent_host(server: Server, tmp_path: Path) -> None:
    message = fails(server, tmp_path / "a", Handler.stall, timeout=0.1)
    assert "the host was silent for 0.1 s" in message


def test_a_host_that_falls_silent(server: Server, tmp_path: Path) -> None:
    def answer(handler: Handler) -> None:
        handler.reply(200, {"Content-Length": len(CONTENT), "ETag": MARK}, CONTENT[:HALF])
        handler.stall()

    path = tmp_path / "a"
    message = fails(server, path, answer, timeout=1)
    assert "silent for 1 s. The same command goes on from there if the host can do that" in message
    assert part(path) == CONTENT[:HALF]
    get(server, path, file(CONTENT))
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={HALF}-"]


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(DownloadError, match=f"{url}: the host cannot be read .*refused"):
            download(url, tmp_path / "a")


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ({"ETag": MARK}, MARK),
        ({"Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "Mon, 01 Jan 2024 00:00:00 GMT"),
        # A weak mark does not tell one file from another.
        (
            {"ETag": f"W/{MARK}", "Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
            "Mon, 01 Jan 2024 00:00:00 GMT",
        ),
    ],
)
def test_a_broken_download_goes_on(
    server: Server, tmp_path: Path, headers: dict[str, Any], mark: str
) -> None:
    path = tmp_path / "a"
    again = file(CONTENT, etag=mark if "ETag" in headers and mark == MARK else "", **headers)
    message = fails(server, path, cut(CONTENT, HALF, again, **headers))
    assert f"ended after {HALF:,} of {len(CONTENT):,} bytes" in message
    assert part(path) == CONTENT[:HALF]
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert alone(path)
    assert server.requests[1][1]["Range"] == f"bytes={HALF}-"
    assert server.requests[1][1]["If-Range"] == mark


@given(at=st.lists(st.integers(0, len(CONTENT) - 1), max_size=3))
def test_wherever_it_breaks(tmp_path_factory: pytest.TempPathFactory, at: list[int]) -> None:
    path = tmp_path_factory.mktemp("cut") / "a"
    with serving() as server:
        answer = file(CONTENT)
        for place in sorted(at, reverse=True):
            answer = broken(place, answer)
        for _ in at:
            fails(server, path, answer)
        get(server, path, answer, checksum=SHA)
    assert path.read_bytes() == CONTENT
    assert alone(path)


def broken(at: int, then: Answer) -> Answer:
    """Break off at a place of the file the first time, wherever the request begins."""
    tries = iter((True,))

    def answer(handler: Handler) -> None:
        if not next(tries, False):
            then(handler)
            return
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        headers = {"Content-Length": len(CONTENT) - start, "ETag": MARK}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        handler.reply(206 if start else 200, headers, CONTENT[start:at])

    return answer


def test_a_host_that_cannot_send_a_part(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a"
    fails(server, path, cut(CONTENT, HALF, file(CONTENT, ranges=False), ETag=MARK))
    get(server, path, checksum=SHA)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={HALF}-"]


OTHER = CONTENT[::-1]


def part_of(content: bytes, **headers: str) -> Answer:
    """Send the end of a file, whatever is asked for, unless it is the whole."""

    def answer(handler: Handler) -> None:
        if "Range" not in handler.headers:
            file(content)(handler)
            return
        usual = {
            "Content-Length": len(content) - HALF,
            "Content-Range": f"bytes {HALF}-{len(content) - 1}/{len(content)}",
        }
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.reply(206, usual | named, content[HALF:])

    return answer


@pytest.mark.parametrize(
    ("again", "asked"),
    [
        (file(OTHER), 1),  # it knows If-Range
        (part_of(OTHER, ETag='"other"'), 2),  # it does not, but the mark tells
        (part_of(OTHER[:-1]), 2),  # the length tells
        (part_of(OTHER, Content_Range="bytes 7-9/10"), 2),
        (part_of(OTHER, Content_Range="bytes 0-9/*"), 2),
        (part_of(OTHER, Content_Range="nonsense"), 2),
        (file(OTHER[:HALF], etag=MARK), 2),  # there is nothing after what is here
    ],
)
def test_a_file_that_has_changed(server: Server, tmp_path: Path, again: Answer, asked: int) -> None:
    path = tmp_path / "a"
    fails(server, path, cut(CONTENT, HALF, again, ETag=MARK))
    get(server, path)
    expected = path.read_bytes()
    assert expected in (OTHER, OTHER[:-1], OTHER[:HALF])
    assert server.ranges[1:] == [f"bytes={HALF}-", None][:asked]
    assert alone(path)


def test_a_file_that_has_changed_and_a_second_break(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "a"
    fails(server, path, cut(CONTENT, HALF, file(OTHER), ETag=MARK))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            get(server, path)
    get(server, path)  # what is left of the old file is not taken for the new one's
    assert path.read_bytes() == OTHER


def test_a_part_of_unknown_length_goes_on(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a"
    rest = f"bytes {HALF}-{len(CONTENT) - 1}/*"
    fails(server, path, cut(CONTENT, HALF, part_of(CONTENT, Content_Range=rest), ETag=MARK))
    get(server, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("headers", "checksum", "outlook"),
    [
        ({"ETag": MARK}, "", "goes on from there if the host can do that, and begins anew if not"),
        ({"ETag": MARK, "Accept-Ranges": "bytes"}, "", "goes on from there, unless the file at"),
        ({"ETag": MARK, "Accept-Ranges": "none"}, "", "begins anew: the host cannot go on"),
        ({"Accept-Ranges": "bytes"}, SHA, "goes on from there, unless"),
        ({"Accept-Ranges": "bytes"}, "", "begins anew: nothing would tell"),
    ],
)
def test_a_break_says_what_comes_next(
    server: Server, tmp_path: Path, headers: dict[str, Any], checksum: str, outlook: str
) -> None:
    def answer(handler: Handler) -> None:
        handler.reply(200, {"Content-Length": len(CONTENT)} | headers, CONTENT[:HALF])

    message = fails(server, tmp_path / "a", answer, checksum=checksum)
    assert f"bytes. The same command {outlook}" in message


def test_a_download_that_begins_anew_says_so(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path / "said"))
    path = tmp_path / "a"
    fails(server, path, cut(CONTENT, HALF, file(CONTENT, ranges=False), ETag=MARK))
    get(server, path)
    assert f"anew; the {HALF:,} bytes here are deleted" in (tmp_path / "said").read_text()
    fails(server, tmp_path / "b", cut(CONTENT, HALF, part_of(OTHER, ETag='"other"'), ETag=MARK))
    get(server, tmp_path / "b")
    assert "do not fit the host's file: it begins anew" in (tmp_path / "said").read_text()


@pytest.mark.parametrize(("checksum", "asked"), [("", None), (SHA, f"bytes={HALF}-")])
def test_without_a_mark_only_a_checksum_lets_it_go_on(
    server: Server, tmp_path: Path, checksum: str, asked: str | None
) -> None:
    path = tmp_path / "a"
    fails(server, path, cut(CONTENT, HALF, file(CONTENT, etag="")), checksum=checksum)
    get(server, path, checksum=checksum)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, asked]


def test_a_part_of_another_address_is_not_used(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a"
    fails(server, path, cut(CONTENT, HALF, file(CONTENT), ETag=MARK))
    server.answers["/other"] = file(OTHER)
    download(server.url("/other"), path)
    assert path.read_bytes() == OTHER
    assert server.ranges == [None, None]


def test_a_complete_part_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a"
    fails(server, path, cut(CONTENT, HALF, file(CONTENT), ETag=MARK))
    path.with_name("a.part").write_bytes(CONTENT)
    get(server, path, checksum=SHA)
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_note_that_cannot_be_read(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a"
    fails(server, path, cut(CONTENT, HALF, file(CONTENT), ETag=MARK))
    path.with_name("a.part.json").write_text("{")
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_length_that_is_too_short(server: Server, tmp_path: Path) -> None:
    def short(handler: Handler) -> None:
        handler.reply(200, {"Content-Length": HALF}, CONTENT)

    path = tmp_path / "a"
    message = fails(server, path, short, size=len(CONTENT))
    assert f"announces {HALF:,} bytes, expected {len(CONTENT):,}" in message
    message = fails(server, path, short, checksum=SHA)
    assert f"its SHA-256 is {hashlib.sha256(CONTENT[:HALF]).hexdigest()}" in message


def test_a_length_that_is_too_long(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a"

    def answer(handler: Handler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        if start:
            handler.reply(416, {"Content-Length": 0})
        else:
            handler.reply(200, {"Content-Length": 2 * len(CONTENT), "ETag": MARK}, CONTENT)

    for _ in range(2):  # it stays an error
        message = fails(server, path, answer)
        assert f"ended after {len(CONTENT):,} of {2 * len(CONTENT):,} bytes" in message


def test_a_broken_chunk(server: Server, tmp_path: Path) -> None:
    def answer(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = True
        body = b"%x\r\n%s" % (len(CONTENT), CONTENT[:HALF])
        handler.reply(200, {"Transfer-Encoding": "chunked"}, body)

    assert "the host cannot be read (IncompleteRead" in fails(server, tmp_path / "a", answer)


@pytest.mark.parametrize("size", [None, HALF])
def test_a_stream_without_end(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    def answer(handler: Handler) -> None:
        handler.reply(200, {})
        while not handler.server.over.is_set():
            handler.wfile.write(CONTENT)

    monkeypatch.setattr(module, "_LARGEST", len(CONTENT))
    message = fails(server, tmp_path / "a", answer, size=size)
    assert "bytes, expected" in message if size else "more than" in message
    assert not part_exists(tmp_path / "a")


def part_exists(path: Path) -> bool:
    return path.with_name(f"{path.name}.part").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checksum": SHA}, f"SHA-256 is {hashlib.sha256(OTHER).hexdigest()}, expected {SHA[7:]}"),
        ({"checksum": "md5:00"}, "its MD5 is "),
    ],
)
def test_a_wrong_file_is_deleted(
    server: Server, tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    path = tmp_path / "a"
    error = fails(server, path, file(OTHER), **settings)
    assert message in error
    assert "What came is deleted" in error
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_half_is_found_out(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a"
    fails(server, path, cut(OTHER, HALF, file(CONTENT, etag=MARK), ETag=MARK), checksum=SHA)
    assert "its SHA-256 is" in fails(server, path, checksum=SHA)
    get(server, path, checksum=SHA)  # from the beginning
    assert path.read_bytes() == CONTENT


def test_a_file_put_there_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(OTHER)
    for settings in ({"checksum": SHA}, {"size": 7}):
        with pytest.raises(DownloadError, match=r"is not the file at http://a/b: .*Delete it"):
            download("http://a/b", path, **settings)
    assert path.read_bytes() == OTHER
    path.write_bytes(CONTENT)
    download("http://a/b", path, checksum=SHA, size=len(CONTENT))


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (404, {}, "the host answers 404 Not Found"),
        (500, {}, "the host answers 500 Internal Server Error"),
        (204, {}, "the host answers 204"),
        (206, {}, "the host answers 206"),
        (416, {}, "the host answers 416"),
        (
            200,
            {"Content-Type": "text/html; charset=utf-8"},
            "sends a web page in place of the file",
        ),
        (200, {"Content-Encoding": "gzip"}, "in an encoding that was not asked for"),
    ],
)
def test_answers_that_are_no_file(
    server: Server, tmp_path: Path, status: int, headers: dict[str, str], message: str
) -> None:
    error = fails(
        server, tmp_path / "a", lambda handler: handler.reply(status, headers, b"<html>log in")
    )
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_no_http(server: Server, tmp_path: Path) -> None:
    def answer(handler: Handler) -> None:
        handler.wfile.write(b"220 welcome\r\n")

    assert "the host cannot be read (220 welcome" in fails(server, tmp_path / "a", answer)


def test_a_full_disk_is_seen_before(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=HALF)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=f"{len(CONTENT):,} bytes are needed, {HALF:,} are free"):
        get(server, tmp_path / "a", file(CONTENT))
    assert not part_exists(tmp_path / "a")


def test_a_disk_that_fills(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a"
    server.answers["/file"] = file(CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", lambda path, content: path.write_bytes(content))
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"a\.part: the disk is full"):
            get(server, path)
    get(server, path)
    assert path.read_bytes() == CONTENT


def test_an_interrupted_download_goes_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"

    def interrupted(*_: object) -> Iterator[bytes]:
        yield CONTENT[:HALF]
        raise KeyboardInterrupt

    server.answers["/file"] = file(CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_blocks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            get(server, path)
    assert part(path) == CONTENT[:HALF]
    get(server, path)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={HALF}-"]
