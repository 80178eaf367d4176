"""What a subscriber holds: a bounded queue that counts what it had to drop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from gateway.ports import Message

Pair = tuple[str, bytes]
"""Subject and payload."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message as a subscriber gets it."""

    subject: str
    data: bytes


class Mailbox(AsyncIterator[Message]):
    """The messages of one subscription, in order, for one reader.

    At most ``limit`` messages wait. A message more pushes out the oldest one and ``dropped`` counts it, so a slow
    reader loses the past, not the present, and never the memory. ``interruptions`` counts how often the way to the
    server broke meanwhile: messages published during an interruption are not delivered later.

    Iteration ends after ``aclose`` or when the bus closes; what had arrived before is still handed out when the
    bus closes, and is discarded by ``aclose``. Who takes many messages takes them with :meth:`listen` instead; then
    nothing waits here.
    """

    def __init__(self, subject: str, limit: int, on_close: Callable[[Mailbox], None]) -> None:
        self.subject = subject
        self.dropped: int = 0
        self.interruptions: int = 0
        self._limit = limit
        self._on_close = on_close
        self._waiting: deque[Pair] = deque(maxlen=limit)
        self._reader: asyncio.Future[None] | None = None
        self._take: Callable[[Sequence[Pair]], None] | None = None
        self._changed: Callable[[], None] | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether no more messages will arrive."""
        return self._closed

    def push(self, subject: str, data: bytes) -> None:
        """Bus side: deliver one message. Never waits and never raises."""
        self.push_run(((subject, data),))

    def push_run(self, run: Sequence[Pair]) -> None:
        """Bus side: deliver messages in order; the run stays the caller's. Never waits and never raises."""
        if self._closed:
            return
        if self._take is not None:
            self._take(run)
            return
        waiting = self._waiting
        excess = len(waiting) + len(run) - self._limit
        if excess > 0:
            self.dropped += excess
        waiting.extend(run)  # bounded: pushes the oldest out
        self._wake()

    def listen(self, take: Callable[[Sequence[Pair]], None], changed: Callable[[], None]) -> None:
        """Give every run to ``take`` when it comes, on the loop, instead of keeping it for a reader.

        The run stays the bus's. ``changed`` is called after each interruption and at the end. Neither may raise.
        """
        if self._reader is not None or self._take is not None:
            raise RuntimeError(f"two readers on one subscription of {self.subject}; subscribe once for each")
        self._take, self._changed = take, changed
        if self._waiting:
            take(tuple(self._waiting))
            self._waiting.clear()

    def interrupt(self) -> None:
        """Bus side: the way to the server broke; a listener is told."""
        self.interruptions += 1
        self._wake()

    def end(self) -> None:
        """Bus side: nothing more will come. The reader still gets what waits."""
        self._closed = True
        self._wake()

    async def __anext__(self) -> Message:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            await self._arrival()
        return Delivery(*self._waiting.popleft())

    async def aclose(self) -> None:
        """Unsubscribe and discard what waits. Idempotent."""
        self._waiting.clear()
        if not self._closed:
            self.end()
            self._on_close(self)

    async def _arrival(self) -> None:
        if self._reader is not None:
            raise RuntimeError(f"two readers on one subscription of {self.subject}; subscribe once for each")
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed()
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
