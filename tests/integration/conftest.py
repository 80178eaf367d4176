"""A nats-server of its own for each test, and a market on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.testing.nats import NatsServer
from tests.integration.served import served
from tests.unit.control.market import Market


@pytest.fixture
async def server() -> AsyncIterator[NatsServer]:
    async with NatsServer() as running:
        yield running


@pytest.fixture
async def market(server: NatsServer) -> AsyncIterator[Market]:
    async with served(server.url) as market:
        yield market
