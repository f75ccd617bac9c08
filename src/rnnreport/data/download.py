"""Downloads: a file comes from the network as a whole and as expected, or not at all.

The bytes that have arrived lie beside the file's place, under the same name with ``.part``. A
download that broke goes on from there if the host can do that and the file there is still the same,
and starts anew if not. This is the only module of the package that touches the network.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import string
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from tqdm import tqdm

from rnnreport._files import write_whole
from rnnreport.data.origins import checksum_of
from rnnreport.progress import say

__all__ = ["TIMEOUT", "DownloadError", "download"]

TIMEOUT = 30.0
"""Seconds without a sign of the host after which a download is given up."""

_BLOCK = 2**16
_LARGEST = 8 * 2**30
_REDIRECTS = 5
_REDIRECTING = (301, 302, 303, 307, 308)
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class DownloadError(OSError):
    """A file could not be downloaded; the message names the address and says what went wrong."""


@dataclass(frozen=True)
class _Note:
    """The note beside a part: the address, the mark of this very file there, and its length."""

    url: str
    validator: str
    size: int | None


class _Reply(NamedTuple):
    """The head of an answer: where its bytes begin, and the note on the file."""

    start: int
    note: _Note


def download(
    url: str,
    path: Path,
    *,
    checksum: str = "",
    size: int | None = None,
    timeout: float = TIMEOUT,
) -> None:
    """Download a file.

    Parameters
    ----------
    url
        Its address, http or https.
    path
        Where it goes; its folder exists. A file that is there already is checked and kept.
    checksum
        ``sha256:`` or ``md5:`` and hexadecimal digits; not compared if it is empty.
    size
        The length in bytes that the file must have; not compared if it is None.
    timeout
        The seconds that the host may be silent: while it is called, and at any time after that.

    Raises
    ------
    DownloadError
        If the host does not answer, falls silent, breaks off, leads elsewhere than to a file, or
        sends another file than the expected one. What has arrived is kept and used by the next
        call, unless it is wrong.
    OSError
        If the file cannot be written, or the disk has no room for it.
    """
    part, note = (path.with_name(path.name + end) for end in (".part", ".part.json"))
    if path.exists():
        difference = _difference(path, checksum, size)
        if difference:
            raise DownloadError(f"{path} is not the file at {url}: {difference}. Delete it")
        return
    _receive(url, part, note, checksum, size, timeout)
    difference = _difference(part, checksum, size)
    if difference:
        part.unlink()
        note.unlink(missing_ok=True)
        raise DownloadError(f"{url}: {difference}. What came is deleted")
    part.replace(path)
    note.unlink(missing_ok=True)


def _receive(
    url: str, part: Path, note: Path, checksum: str, size: int | None, timeout: float
) -> None:
    """Fill the part until the file is complete."""
    earlier = _restore(note, url)
    offset = part.stat().st_size if earlier and part.exists() else 0
    # Without a mark, only the checksum can tell that the two halves are of one file.
    if earlier is None or not (earlier.validator or checksum):
        offset = 0
    elif offset and offset == earlier.size:
        return
    with closing(_open(url, offset, earlier.validator if earlier else "", timeout)) as response:
        reply = _reply(response, url, offset, earlier)
        if reply is not None:
            _check_length(url, reply.note.size, size)
            if offset and not reply.start:
                say(f"{url}: the host sends the file anew; the {offset:,} bytes here are deleted")
            if not reply.start:  # before the note: old bytes must never be taken for the new file's
                part.unlink(missing_ok=True)
            write_whole(note, json.dumps(asdict(reply.note)).encode())
            outlook = _outlook(response, reply, checksum)
            _write(response, url, part, reply, size, timeout, outlook)
            return
    say(f"{url}: the {offset:,} bytes here do not fit the host's file: it begins anew")
    part.unlink()
    _receive(url, part, note, checksum, size, timeout)


def _open(url: str, offset: int, validator: str, timeout: float) -> HTTPResponse:
    """Ask for a file, or for what follows after its first bytes, wherever its address leads."""
    headers = {
        "User-Agent": f"rnnreport/{metadata.version('rnnreport')}",
        "Accept-Encoding": "identity",
    }
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    # Without the usual handlers of errors and redirects: every answer is looked at here.
    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
        opener.add_handler(handler)
    address = _next("", url)
    for _ in range(_REDIRECTS + 1):
        try:
            request = Request(address, headers=headers)  # noqa: S310 (_next checks the scheme)
            response: HTTPResponse = opener.open(request, timeout=timeout)
        except (OSError, HTTPException) as error:
            raise DownloadError(f"{address}: {_cause(error, timeout)}") from error
        if response.status not in _REDIRECTING:
            return response
        with closing(response):
            address = _next(address, response.headers.get("Location", ""))
    raise DownloadError(f"{url}: the host redirects more than {_REDIRECTS} times")


def _next(address: str, location: str) -> str:
    """Return where a redirection leads, if one may go there."""
    try:
        target = quote(urljoin(address, location), safe=string.punctuation)
        scheme, host = urlsplit(target).scheme, urlsplit(target).hostname
    except ValueError:
        target, scheme, host = "", "", None
    if not location or scheme not in ("http", "https") or not host:
        via = f"{address}: the host redirects to" if address else "cannot download from"
        raise DownloadError(f"{via} {location!r}, which is no address of the web")
    if urlsplit(address).scheme == "https" and scheme != "https":
        raise DownloadError(
            f"{address}: the host redirects to {target}, where nothing protects the file on its way"
        )
    return target


def _reply(response: HTTPResponse, url: str, offset: int, earlier: _Note | None) -> _Reply | None:
    """Read the head of an answer; None if the host cannot go on from the bytes that are here.

    A host that sends the file from its beginning when asked for the rest is right to do so: either
    it cannot send a part, or the file has changed.
    """
    status, headers = response.status, response.headers
    mark = headers.get("ETag", "")
    if not mark.startswith('"'):  # a weak one marks files that are only alike
        mark = headers.get("Last-Modified", "")
    length = headers.get("Content-Length", "")
    start, total = 0, int(length) if length.isdecimal() else None
    if offset and status == 416:
        return None
    if offset and status == 206:
        span = _RANGE.fullmatch(headers.get("Content-Range", ""))
        if span is None or int(span[1]) != offset:
            return None
        start, total = offset, None if span[2] == "*" else int(span[2])
        sizes = {total, earlier.size if earlier else None} - {None}
        if len(sizes) > 1 or (earlier and mark and earlier.validator not in ("", mark)):
            return None  # it is another file
        if earlier:
            mark, total = mark or earlier.validator, total or earlier.size
    elif status != 200:
        raise DownloadError(f"{url}: the host answers {status} {response.reason}".rstrip())
    kind = headers.get_content_type()
    if "Content-Type" in headers and kind in ("text/html", "application/xhtml+xml"):
        raise DownloadError(
            f"{url}: the host sends a web page in place of the file; it may ask for a login"
        )
    if headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{url}: the host sends the file in an encoding that was not asked for")
    return _Reply(start, _Note(url, mark, total))


def _write(
    response: HTTPResponse,
    url: str,
    part: Path,
    reply: _Reply,
    size: int | None,
    timeout: float,
    outlook: str,
) -> None:
    """Write the arriving bytes to the part."""
    total = size if reply.note.size is None else reply.note.size
    _check_space(part, (total or 0) - reply.start)
    received = reply.start
    try:
        with (
            part.open("ab" if received else "wb") as file,
            tqdm(
                desc=part.stem, total=total, initial=received, unit="B", unit_scale=True,
                ncols=80, mininterval=0.5, disable=None,
            ) as bar,
        ):  # fmt: skip
            for block in _blocks(response, url, timeout, outlook):
                file.write(block)
                received += len(block)
                bar.update(len(block))
                if received > (_LARGEST if total is None else total):
                    break
            file.flush()
            os.fsync(file.fileno())
    except DownloadError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cause = "the disk is full" if full else error.strerror
        raise OSError(f"{part}: {cause} after {received:,} bytes") from error
    if total is not None and received < total:
        raise DownloadError(
            f"{url}: the connection ended after {received:,} of {total:,} bytes. {outlook}"
        )
    if total is None and received > _LARGEST:
        part.unlink()
        raise DownloadError(f"{url}: the host sends more than {_LARGEST:,} bytes")


def _outlook(response: HTTPResponse, reply: _Reply, checksum: str) -> str:
    """Say what the next call does if this answer breaks off; as :func:`_receive` does it."""
    ranges = response.headers.get("Accept-Ranges", "").lower()
    if ranges == "none":
        return "The same command begins anew: the host cannot go on from there"
    if not (reply.note.validator or checksum):
        return "The same command begins anew: nothing would tell that the file is still the same"
    if response.status == 206 or ranges == "bytes":
        return "The same command goes on from there, unless the file at the host has changed"
    return "The same command goes on from there if the host can do that, and begins anew if not"


def _blocks(response: HTTPResponse, url: str, timeout: float, outlook: str) -> Iterator[bytes]:
    """Yield blocks of bytes as they arrive."""
    while True:
        try:
            block = response.read1(_BLOCK)
        except (OSError, HTTPException) as error:
            raise DownloadError(f"{url}: {_cause(error, timeout)}. {outlook}") from error
        if not block:
            return
        yield block


def _check_length(url: str, announced: int | None, expected: int | None) -> None:
    if None not in (announced, expected) and announced != expected:
        raise DownloadError(
            f"{url}: the host announces {announced:,} bytes, expected {expected:,}: it is another "
            "file"
        )


def _check_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise OSError(f"{part.parent}: {needed:,} bytes are needed, {free:,} are free on the disk")


def _difference(path: Path, checksum: str, size: int | None) -> str:
    """Say how a file differs from the expected one; empty if it does not."""
    length = path.stat().st_size
    if size is not None and length != size:
        return f"it has {length:,} bytes, expected {size:,}"
    if checksum:
        algorithm, _, expected = checksum.partition(":")
        actual = checksum_of(path, algorithm)
        if actual != expected:
            name = {"sha256": "SHA-256", "md5": "MD5"}[algorithm]
            return f"its {name} is {actual}, expected {expected}"
    return ""


def _cause(error: Exception, timeout: float) -> str:
    """Say why a host could not be read."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return f"the host was silent for {timeout:g} s"
    return f"the host cannot be read ({str(reason) or type(reason).__name__})"


def _restore(note: Path, url: str) -> _Note | None:
    """Read the note beside a part; None if it is not to be used."""
    try:
        earlier = _Note(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return earlier if earlier.url == url else None
