"""A consumer inside the gateway's own process: ``async for tick in gw.ticks("SHFE.*")``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from gateway.codec import Codec
from gateway.model import Tick


class Tap:
    """An async iterator of ticks. Bounded: a reader that is too slow loses the oldest, counted in ``dropped``.

    Close it with ``aclose`` (or use it as an async context manager); it also ends when the gateway closes.
    """

    def __init__(self, codec: Codec, limit: int) -> None:
        self._codec = codec
        self._limit = limit
        self._queue: deque[bytes] = deque()
        self._some = asyncio.Event()
        self._undo: Callable[[], None] | None = None
        self._closed = False
        self.dropped: int = 0
        """The oldest ticks that a reader was too slow for."""

    def attach(self, undo: Callable[[], None]) -> None:
        """What to call when the reader has had enough."""
        self._undo = undo

    def take(self, payload: bytes) -> None:
        """From the publisher, for every matching tick. Decoding waits for the reader."""
        if len(self._queue) >= self._limit:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(payload)
        self._some.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Tick:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._some.clear()
            await self._some.wait()
        return self._codec.decode(self._queue.popleft())

    def close(self) -> None:
        """The iterator ends after what is queued. Idempotent."""
        self._closed = True
        self._some.set()
        if self._undo is not None:
            self._undo()
            self._undo = None

    async def aclose(self) -> None:
        """As :meth:`close`, for whoever awaits it."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()
