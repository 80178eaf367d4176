"""One stream of events for many readers: encoded once, numbered, resumable, bounded.

Litestar's channels are not used. Their queues between publisher and subscribers are unbounded, what a slow subscriber
loses is not counted, their history has no ids to resume from, and they need the ASGI lifespan, which an application
mounted into another one (FastAPI, Starlette) never gets.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Self

RING: Final = 256
"""Events kept for those who come back."""
QUEUE: Final = 64
"""Events that may wait for one reader: about a minute."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    id: int
    """Rises by one; begins at the milliseconds of the Unix time at the start, so that it rises over restarts too."""
    frame: bytes
    """As it goes over the wire."""


def frame(event: str, data: bytes, number: int | None = None) -> bytes:
    """``data`` is JSON on one line."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%bevent: %b\ndata: %b\n\n" % (head, event.encode("ascii"), data)


class Reader:
    """One client's place in the stream. Iterates until the stream is closed, or the reader is dropped."""

    def __init__(self, missed: tuple[Event, ...] | None) -> None:
        self.missed = missed
        """What came since the id that the client named; None: unknown, it needs the whole picture."""
        self.dropped = False
        """It was too slow."""
        self.after = 0
        """What it knows already; set it to leave out events up to this one that wait."""
        self._queue: deque[Event] = deque()
        self._news = asyncio.Event()
        self._closed = False

    async def next(self, timeout_s: float) -> Event | None:
        """The next event; None when there is none for so long. Raises StopAsyncIteration at the end."""
        while not self._skip():
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
            except TimeoutError:
                return None
        return self._queue.popleft()

    def _skip(self) -> bool:
        """Whether something new waits."""
        while self._queue and self._queue[0].id <= self.after:
            self._queue.popleft()
        return bool(self._queue)

    def put(self, event: Event) -> bool:
        """Whether there was room."""
        if len(self._queue) >= QUEUE:
            self.dropped = True
            self._queue.clear()
            self.close()
            return False
        self._queue.append(event)
        self._news.set()
        return True

    def close(self) -> None:
        """It ends after what is queued."""
        self._closed = True
        self._news.set()


class Fanout:
    """For one event loop. Memory: the ring, and 64 references for each reader."""

    def __init__(self, first_id: int) -> None:
        self._last = first_id
        self._ring: deque[Event] = deque(maxlen=RING)
        self._readers: set[Reader] = set()
        self._some = asyncio.Event()
        self._closed = False
        self.drops = 0

    @property
    def last_id(self) -> int:
        """Of the latest event."""
        return self._last

    def __len__(self) -> int:
        return len(self._readers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def publish(self, event: str, data: bytes) -> Event:
        """To every reader. One that has not taken the last 64 is dropped, and counted."""
        self._last += 1
        made = Event(self._last, frame(event, data, self._last))
        self._ring.append(made)
        for reader in tuple(self._readers):
            if not reader.put(made):
                self._readers.discard(reader)
                self.drops += 1
        return made

    def join(self, last_id: int | None) -> Reader:
        """A reader from now on; with ``last_id`` it gets what it missed, as far as that is still here."""
        reader = Reader(self._since(last_id))
        if self._closed:
            reader.close()
        else:
            self._readers.add(reader)
            self._some.set()
        return reader

    def leave(self, reader: Reader) -> None:
        """Idempotent."""
        self._readers.discard(reader)
        if not self._readers:
            self._some.clear()

    async def somebody(self) -> None:
        """Wait until there is a reader."""
        await self._some.wait()

    def forget(self) -> None:
        """Nothing was published for a while, so nobody can be told what was missed."""
        self._ring.clear()
        self._last += 1

    def close(self) -> None:
        """All readers end. Idempotent."""
        self._closed = True
        for reader in tuple(self._readers):
            reader.close()
        self._readers.clear()

    def _since(self, last_id: int | None) -> tuple[Event, ...] | None:
        if last_id is None or last_id > self._last:
            return None
        if last_id == self._last:
            return ()
        if not self._ring or last_id < self._ring[0].id - 1:
            return None
        return tuple(event for event in self._ring if event.id > last_id)


async def heard(reader: Reader, heartbeat_s: float) -> AsyncIterator[bytes]:
    """A reader's frames as they come, and a comment when there is nothing for so long."""
    while True:
        try:
            event = await reader.next(heartbeat_s)
        except StopAsyncIteration:
            return
        yield b": \n\n" if event is None else event.frame
