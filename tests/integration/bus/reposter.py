"""The publisher's half of "at least once", and a way to cut a connection without touching the server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from gateway.bus.nats import NatsBus
from gateway.errors import BusError

Batch = list[tuple[bytes, bytes]]


class RePoster:
    """Keeps what is not settled, and posts it again on the next connection."""

    def __init__(self, bus: NatsBus, before_again: Callable[[], Awaitable[object]] | None = None) -> None:
        self.bus = bus
        self.posted_again = 0
        self._unsettled: deque[tuple[bytes, bytes]] = deque()
        self._before_again = before_again

    async def publish(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self._unsettled.extend(batch)
            if self.bus.connected:
                self.bus.post(batch)
            else:
                await self._again()
            if len(self._unsettled) >= 500:
                await self._settle()
            await asyncio.sleep(0)
        while self._unsettled:
            await self._settle()

    async def _settle(self) -> None:
        count = len(self._unsettled)
        try:
            await self.bus.settle()
        except BusError:
            await self._again()
        else:
            for _ in range(count):
                self._unsettled.popleft()

    async def _again(self) -> None:
        await self.bus.wait_connected()
        if self._before_again is not None:
            await self._before_again()
        if self.bus.connected:
            self.bus.post(list(self._unsettled))
            self.posted_again += len(self._unsettled)


class Relay:
    """Hands bytes to a server and back until it is told to cut or to swallow."""

    def __init__(self) -> None:
        self.url = ""
        self.passed = 0
        self.swallowed = 0
        self.swallow = False
        self.ticks_may_pass = asyncio.Event()
        self.ticks_may_pass.set()
        self._writers: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        """Reset every connection; what is on its way is lost."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers += [writer, up_writer]
        await asyncio.gather(
            self._pump(reader, up_writer, towards_server=True),
            self._pump(up_reader, writer, towards_server=False),
        )

    async def _pump(self, reader, writer, *, towards_server: bool) -> None:
        ticks = False
        try:
            while data := await reader.read(16_384):
                ticks |= b'"feedgate ticks"' in data
                if ticks:
                    await self.ticks_may_pass.wait()
                if towards_server and self.swallow:
                    self.swallowed += len(data)
                    continue
                self.passed += len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[Relay]:
    relay = Relay()
    tasks: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(relay._serve(port, reader, writer))
        tasks.add(task)

    listener = await asyncio.start_server(accepted, "127.0.0.1", 0)
    relay.url = f"nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        listener.close()
        relay.cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()
