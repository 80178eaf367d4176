"""Serves the figures over HTTP, from the event loop."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Final, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from gateway.errors import FeedgateError
from gateway.metrics.families import registry_for
from gateway.metrics.samples import MetricsView

log = logging.getLogger(__name__)

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_MAX_CONNECTIONS: Final = 32
_REQUEST_TIMEOUT_S: Final = 10.0
_MAX_REQUEST: Final = 16 << 10


class MetricsServer:
    """Serves ``/metrics`` from the event loop: no thread beside the tick path, and the view is read where it lives.

    ``async with MetricsServer(view, host="127.0.0.1", port=9100):``. ``aclose`` (idempotent) ends open requests.
    A stuck or greedy client is cut off: 10 s and 16 KiB a request, 32 connections.
    """

    def __init__(self, view: MetricsView, *, host: str = "127.0.0.1", port: int = 9100) -> None:
        self._registry = registry_for(view)
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._requests: set[asyncio.Task[None]] = set()

    @property
    def registry(self) -> CollectorRegistry:
        """The registry of the gateway alone; others may register collectors of their own in it."""
        return self._registry

    @property
    def port(self) -> int:
        """The port in use: the real one when 0 was asked for."""
        return self._port

    async def start(self) -> None:
        """Begin to listen. Raises FeedgateError when the port cannot be had."""
        try:
            self._server = await asyncio.start_server(self._connected, self._host, self._port, limit=_MAX_REQUEST)
        except (OSError, OverflowError) as error:
            raise FeedgateError(
                f"metrics cannot listen on {self._host}:{self._port}: {error}; set FEEDGATE_METRICS__PORT "
                "(in a program: MetricsSettings(port=...)) to a free port, 0 picks one, or stop what uses it",
                host=self._host,
                port=self._port,
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening, end what is open."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._requests:
            task.cancel()
        if self._requests:
            await asyncio.wait(self._requests)
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._requests) >= _MAX_CONNECTIONS or self._server is None:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="metrics request")
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            log.debug("a metrics request was not finished", exc_info=True)
        finally:
            writer.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"only GET and HEAD\n", "Allow: GET, HEAD\r\n")
        if path != b"/metrics":
            return _response("404 Not Found", b"only /metrics is here\n")
        try:
            body = generate_latest(self._registry)
        except Exception:
            log.exception("the metrics could not be collected")
            return _response("500 Internal Server Error", b"the metrics could not be collected; see the log\n")
        answer = _response("200 OK", body)
        return answer if method == b"GET" else answer[: answer.index(b"\r\n\r\n") + 4]


def _response(status: str, body: bytes, header: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {_TEXT}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{header}Connection: close\r\n\r\n".encode() + body
