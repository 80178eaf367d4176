"""A market behind a control service on a real nats-server, for tests of the consumer's side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.bus.nats import NatsBus
from gateway.client import Client
from gateway.control.service import ControlService
from gateway.errors import ControlError
from tests.unit.control.market import Market

FAST = {"backoff_first": 0.02, "backoff_limit": 0.1}


@asynccontextmanager
async def served(url: str, *unheard: str) -> AsyncIterator[Market]:
    """``unheard``: instruments that had a tick before, which nobody heard."""
    bus = NatsBus(url, **FAST)
    await bus.start()
    try:
        market = Market(bus)
        send, market.send = market.send, lambda _subject, _payload: None
        market.publish(*unheard)
        market.send = send
        await ControlService(bus, market, "feedgate", figures=market.figures).start()
        yield market
    finally:
        await bus.aclose()


async def answered(client: Client) -> None:
    """Return when a connection that broke is back, on both sides."""
    async with asyncio.timeout(60):
        while True:
            try:
                await client.status()
            except ControlError:
                await asyncio.sleep(0.02)
            else:
                return
