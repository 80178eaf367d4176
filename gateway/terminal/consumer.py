"""A consumer of the gateway's own stream, on the same bus as everybody else's: what it gets, and what it misses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from gateway.app import Gateway
from gateway.bus.nats import NatsBus
from gateway.bus.opening import nats_options
from gateway.client import Client, EventStream, TickStream
from gateway.clock import Clock
from gateway.latency import LatencyHistogram
from gateway.settings import Settings
from gateway.terminal.event_log import EventLog
from gateway.terminal.market_check import MarketCheck


@dataclass(slots=True)
class Consumer:
    """What a consumer of the stream sees: latency to the decoded tick, loss, and the gateway's events."""

    stream: TickStream
    events: EventStream
    clock: Clock
    log: EventLog
    check: MarketCheck | None
    """None when the market is not one that can be checked."""
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    ticks: int = 0

    async def run(self) -> None:
        """Read ticks until the stream ends."""
        check = self.check
        async for chunk in self.stream.chunks():
            now = self.clock.wall_ns()
            self.ticks += len(chunk)
            for tick in chunk:
                self.latency.add(now - tick.recv_ns)
            if check is not None:
                check.add(chunk)

    def missing(self, until_ns: int | None = None) -> int | None:
        """See :meth:`MarketCheck.missing`; None when there is no check."""
        return None if self.check is None else self.check.missing(until_ns)

    @property
    def doubled(self) -> int | None:
        """Snapshots that came twice: under two numbers, or under one number twice. None when there is no check."""
        return None if self.check is None else self.check.doubled + self.stream.repeats

    async def catch_up(self, gw: Gateway) -> None:
        """Read what is still on its way, so that loss is a loss and not a haste. Ends when nothing more comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                while self.ticks + self.stream.lost < gw.balance().published:
                    before = self.ticks
                    await asyncio.sleep(0.05)
                    if self.ticks == before:
                        return


@asynccontextmanager
async def consuming(
    gw: Gateway, settings: Settings, clock: Clock, check: MarketCheck | None
) -> AsyncIterator[Consumer]:
    """A consumer of everything, on a connection of its own, with the events of the gateway."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(gw, settings))
        events = await stack.enter_async_context(client.events())
        stream = await stack.enter_async_context(client.ticks("*", snapshot=False))
        consumer = Consumer(stream, events, clock, EventLog(), check)
        tasks = [
            asyncio.create_task(consumer.run(), name="consumer"),
            asyncio.create_task(consumer.log.run(events), name="event log"),
        ]
        try:
            yield consumer
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task


@asynccontextmanager
async def _client(gw: Gateway, settings: Settings) -> AsyncIterator[Client]:
    if gw.url is None:
        yield Client(gw.bus, name=settings.name)
        return
    bus = NatsBus(nats_options(settings.bus, tuple(settings.bus.urls) or (gw.url,), settings.name))
    await bus.start()
    try:
        yield Client(bus, name=settings.name)
    finally:
        await bus.aclose()
