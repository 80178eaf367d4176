"""A nats-server of its own for each test, and buses that are closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.bus.nats import NatsBus
from gateway.testing.nats import NatsServer

OpenBus = Callable[..., Awaitable[NatsBus]]


@pytest.fixture
async def server() -> AsyncIterator[NatsServer]:
    async with NatsServer() as running:
        yield running


@pytest.fixture
async def open_bus() -> AsyncIterator[OpenBus]:
    """``await open_bus(url, …)``: a started NatsBus with timers short enough for tests."""
    async with AsyncExitStack() as stack:

        async def opened(*urls: str, **more: Any) -> NatsBus:
            fast = {"backoff_first": 0.02, "backoff_limit": 0.1, "ping_interval": 0.2, "connect_timeout": 3.0}
            bus = NatsBus(urls, **{**fast, **more})
            stack.push_async_callback(bus.aclose)
            await bus.start()
            return bus

        yield opened
