"""Reads a socket without a stream: each chunk is dealt with where it arrives, without waking a task.

nats-py reads through an asyncio stream: a chunk wakes the reading task, which parses it and wakes the next one. At ten
thousand ticks a second a chunk is five ticks, and the way there costs more than the ticks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

_ROOM = 128 * 1024
"""Bytes read and parsed at a time."""
_AHEAD = 4
"""Chunks that may wait for the slow way; then the socket is not read."""


class Intake(asyncio.BufferedProtocol):
    """Takes the place of the protocol of an asyncio stream; writers that wait on that one go on doing so.

    ``feed`` gets each chunk and returns what it could not deal with at once. That, and everything after it, goes in
    order to the owner, who reads with :meth:`rest` and calls :meth:`done` when a chunk is dealt with; from then on
    ``feed`` is asked again. ``lost`` is called when the connection ended, or with what ``feed`` raised.
    """

    def __init__(
        self, transport: asyncio.Transport, feed: Callable[[bytes], bytes], lost: Callable[[Exception | None], None]
    ) -> None:
        """Reads from now on. Nothing may be left in the stream."""
        self._transport = transport
        self._feed = feed
        self._lost = lost
        self._buffer = memoryview(bytearray(_ROOM))
        self._waiting: deque[bytes] = deque()
        self._some = asyncio.Event()
        self._before = transport.get_protocol()
        transport.pause_reading()
        transport.set_protocol(self)
        transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the protocol's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.take(bytes(self._buffer[:nbytes]))

    def take(self, data: bytes) -> None:
        """A chunk, as if it had just been read."""
        if not self._waiting:
            try:
                data = self._feed(data)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with what comes, it is a loss, and said
                self._lost(error)
                return
            if not data:
                return
        self._waiting.append(data)
        self._some.set()
        if len(self._waiting) >= _AHEAD:
            self._transport.pause_reading()

    async def rest(self) -> bytes:
        """The next chunk for the slow way; the same one until :meth:`done`."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        return self._waiting[0]

    def done(self) -> None:
        """The chunk is dealt with."""
        self._waiting.popleft()
        if len(self._waiting) < _AHEAD:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)
        self._lost(exc)

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()
