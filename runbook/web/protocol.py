"""HTTP/1.1 for clients that may be slow or hostile: uvicorn's own protocol with time limits."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from runbook.web.meters import Meters


def impatient(seconds: float, meters: Meters) -> type[H11Protocol]:
    """The protocol of one server, whose clients have so many seconds for each step."""
    return type("Impatient", (_Impatient,), {"seconds": seconds, "meters": meters})


class _Impatient(H11Protocol):
    """A client has ``seconds``, each time, for two things.

    To send the head of a request, from the connection or the last answer on: uvicorn's own timer waits for ever for
    the first one, and begins anew with every byte. And to take what waits for it, once 64 kB do: whoever stops reading
    an event stream is cut off.
    """

    seconds: ClassVar[float]
    meters: ClassVar[Meters]
    _head: asyncio.TimerHandle | None = None
    _full: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None and self.cycle is not None and not self.cycle.response_complete:
            self._cancel_head()

    def on_response_complete(self) -> None:
        before: Any = self.cycle
        super().on_response_complete()
        if self.cycle is before or self.cycle.response_complete:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head()
        self._cancel_full()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._full is None:
            self._full = self.loop.call_later(self.seconds, self._cut, "answer")

    def resume_writing(self) -> None:
        self._cancel_full()
        super().resume_writing()

    def _expect_head(self) -> None:
        self._cancel_head()
        if not self.transport.is_closing():
            self._head = self.loop.call_later(self.seconds, self._cut, "request")

    def _cut(self, what: str) -> None:
        # a connection that was kept open and is idle is nobody's fault
        if what == "answer" or self.cycle is None or self.conn.trailing_data[0]:
            self.meters.stalled.labels(what).inc()
        self.transport.abort()

    def _cancel_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _cancel_full(self) -> None:
        if self._full is not None:
            self._full.cancel()
            self._full = None
