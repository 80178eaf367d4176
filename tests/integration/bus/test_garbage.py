"""A server, or something on the way to it, that talks nonsense: a loss that is told and repaired, never a silence."""

from __future__ import annotations

import asyncio

import pytest

from gateway.testing.nats import NatsServer

from .reposter import relay_to
from .waiting import until


@pytest.mark.parametrize(
    "nonsense",
    [
        b"nonsense\r\n",
        b"-ERR \r\n",
        b"INFO {no json\r\n",
        b"INFO []\r\n",
        b"MSG x one 3\r\nabc\r\n",
        b"MSG x 1 99999999999\r\n",
        b"HMSG x 1 99999999999 99999999999\r\n",
    ],
)
async def test_what_is_no_protocol_costs_the_connection_and_nothing_else(server: NatsServer, open_bus, nonsense):
    async with relay_to(server.port) as relay, asyncio.timeout(60):
        bus = await open_bus(relay.url, ping_interval=60)
        messages = bus.subscribe("x")
        for to_client in relay._writers[::2]:
            to_client.write(nonsense)
        await until(lambda: bus.counters.ticks.reconnects and bus.counters.control.reconnects)
        assert "connection lost: " in bus.last_error
        await bus.publish("x", b"after")
        assert (await anext(messages)).data == b"after"
        assert messages.interruptions == 1
        await bus.aclose()
