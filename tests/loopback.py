"""A web server on the loopback that behaves as badly as a test wants it to."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Writes down each request and lets the answer of its path do the rest."""

    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        self.server.answers[self.path](self)

    def reply(self, status: int, headers: dict[str, Any], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def stall(self) -> None:
        """Send nothing until the test is over."""
        self.wfile.flush()
        self.server.over.wait(10)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Answers by path; `requests` holds the path and the headers of each request."""

    daemon_threads = False  # so that closing waits for them

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    @property
    def ranges(self) -> list[str | None]:
        """What part of a file each request asked for."""
        return [headers.get("Range") for _, headers in self.requests]

    def handle_error(self, *_: Any) -> None:
        pass  # a client that hangs up is what some tests are about


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server for a while."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def file(content: bytes, *, etag: str | None = None, ranges: bool = True, **headers: Any) -> Answer:
    """Serve a file as it should be; with ranges also from a place on, where it is still the same.

    Without `etag` the mark is made from the content; an empty one sends none.
    """
    mark = f'"{hashlib.sha256(content).hexdigest()[:8]}"' if etag is None else etag
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(handler: Handler) -> None:
        all_of_it = {"Content-Length": len(content), **({"ETag": mark} if mark else {}), **named}
        match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if not ranges or not match or handler.headers.get("If-Range", mark) != mark:
            handler.reply(200, all_of_it, content)
            return
        start = int(match[1])
        if start >= len(content):
            handler.reply(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": 0})
            return
        rest = content[start:]
        handler.reply(
            206,
            all_of_it
            | {
                "Content-Length": len(rest),
                "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}",
            },
            rest,
        )

    return answer


def cut(content: bytes, at: int, then: Answer, **headers: Any) -> Answer:
    """Break off after some bytes the first time, and answer otherwise after that."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    interrupted = threading.Event()

    def answer(handler: Handler) -> None:
        if interrupted.is_set():
            then(handler)
            return
        interrupted.set()
        handler.reply(200, {"Content-Length": len(content), **named}, content[:at])

    return answer
