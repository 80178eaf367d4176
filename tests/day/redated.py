"""A reverse proxy that gives the answers of a real server the day's date: servers in Go take no notice of a preload."""

from __future__ import annotations

import http.client
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from tests.day.wall import Wall

_HOP: Final = frozenset({"connection", "transfer-encoding", "date", "server", "content-length", "keep-alive"})
_TIMEOUT_S: Final = 30.0


class Redated(ThreadingHTTPServer):
    """``url`` in place of the server's own; while ``down`` is set every connection is closed at once."""

    daemon_threads = True

    def __init__(self, server_url: str, wall: Wall) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(server_url).netloc
        self.wall = wall
        self.down = False
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, name=f"proxy of {server_url}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Redated

    def _pass(self) -> None:
        if self.server.down:
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        behind = http.client.HTTPConnection(self.server.behind, timeout=_TIMEOUT_S)
        try:
            behind.request(self.command, self.path, body, kept)
            answer = behind.getresponse()
            content = answer.read()
        finally:
            behind.close()
        self.send_response_only(answer.status, answer.reason)
        self.send_header("Date", formatdate(self.server.wall.ns() / 1e9, usegmt=True))
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_LIST = _pass  # noqa: N815 - the names that http.server asks for

    def log_message(self, *_args: object) -> None:
        pass
