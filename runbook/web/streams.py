"""What event streams share: how many there may be, how they are counted, how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from litestar.exceptions import ServiceUnavailableException
from litestar.response import Stream

from runbook.web.meters import Meters

HEARTBEAT_S: Final = 10.0
"""A comment after so long a silence, so that proxies keep the connection and clients notice a dead one."""
RETRY: Final = b"retry: 2000\n\n"
"""Milliseconds after which a browser comes back."""

T = TypeVar("T")


class Streams:
    """The open ones of a console."""

    def __init__(self, limit: int, meters: Meters) -> None:
        self._limit = limit
        self._meters = meters
        self._open = 0
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        return self._open

    def check(self) -> None:
        """Raises the HTTP error 503 when there are as many as there may be."""
        if self._open >= self._limit or self._closing.is_set():
            raise ServiceUnavailableException(
                f"{self._open} event streams are open, as many as may be (runbook.api.streams); close some",
                headers={"Retry-After": "10"},
            )

    @contextmanager
    def one(self, kind: str) -> Iterator[None]:
        """While it is open."""
        self._open += 1
        self._meters.streams.labels(kind).inc()
        try:
            yield
        finally:
            self._open -= 1
            self._meters.streams.labels(kind).dec()

    def dropped(self, kind: str) -> None:
        """One was too slow."""
        self._meters.stream_drops.labels(kind).inc()

    def close(self) -> None:
        """All end as soon as they look. Idempotent."""
        self._closing.set()

    async def ended(self) -> None:
        """Wait for :meth:`close`."""
        await self._closing.wait()

    async def until_closed(
        self, source: AsyncIterator[T], every_s: float = HEARTBEAT_S
    ) -> AsyncGenerator[T | None, None]:
        """What a source yields, None after each silence of ``every_s``; ends with it or with the console."""
        ended: asyncio.Future[Any] = asyncio.ensure_future(self.ended())
        coming: asyncio.Future[T] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(source))
                waiting: set[asyncio.Future[Any]] = {coming, ended}
                await asyncio.wait(waiting, timeout=every_s, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    return
                if not coming.done():
                    yield None
                    continue
                try:
                    value = coming.result()
                except StopAsyncIteration:
                    return
                finally:
                    coming = None
                yield value
        finally:
            left: set[asyncio.Future[Any]] = {ended} | ({coming} if coming is not None else set())
            for future in left:
                future.cancel()
            await asyncio.wait(left)
            if (close := getattr(source, "aclose", None)) is not None:
                await close()


def event_stream(frames: AsyncIterator[bytes]) -> Stream:
    """The answer. Proxies are told not to hold it back."""
    return Stream(
        frames,
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


def event_id(text: str | None) -> int | None:
    """``Last-Event-ID``; None for something that we never sent."""
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else None  # noqa: PLR2004 - 64 bits
