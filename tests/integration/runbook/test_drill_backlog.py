"""What a real nats-server tells about its consumers: over NATS, on its monitoring port, and with JetStream."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.bus.nats import NatsBus
from gateway.client import Client
from gateway.clock import SystemClock
from gateway.testing.nats import NatsServer, ServerOptions
from runbook.drill.backlog import Backlog, UnmeasuredError
from runbook.drill.nats_backlog import NatsBacklog, asking
from runbook.drill.web_backlog import metrics_source

MESSAGES = 400


@pytest.fixture
async def server() -> AsyncIterator[NatsServer]:
    async with NatsServer(ServerOptions(jetstream=True, extra="http: 127.0.0.1:-1")) as running:
        yield running


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[NatsBus]:
    bus = NatsBus(server.url)
    await bus.start()
    yield bus
    await bus.aclose()


def monitoring(server: NatsServer) -> str:
    (file,) = server.directory.glob("*.ports")
    return str(json.loads(file.read_text())["monitoring"][0])


async def until(measure: Callable[[], object], enough: Callable[[Backlog], bool]) -> Backlog:
    deadline = time.monotonic() + 10
    while True:
        found: Backlog = await measure()  # type: ignore[misc]  # an awaitable
        if enough(found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.02)


async def post(bus: NatsBus) -> None:
    head = bus.head("md.tick.SHFE.rb2510")
    bus.post([(head, b"x" * 250)] * MESSAGES)
    await bus.settle()


async def test_a_consumer_that_does_not_read_shows_from_both_sides_and_one_that_reads_has_none(server, bus) -> None:
    over_nats = NatsBacklog(asking(Client(bus)))
    over_http = metrics_source(monitoring(server) + "/connz", SystemClock())
    for source in (over_nats, over_http):
        with pytest.raises(UnmeasuredError, match="no consumer of ticks"):
            await source.measure("ctp", ("primary",), 0)
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", server.port)) as lazy:
        lazy.setblocking(False)
        await loop.sock_sendall(lazy, b'CONNECT {"verbose":false,"name":"lazy"}\r\nSUB md.tick.> 1\r\nPING\r\n')
        said = b""
        while not said.endswith(b"PONG\r\n"):
            said += await loop.sock_recv(lazy, 4096)
        await post(bus)
        for source in (over_nats, over_http):
            # what the kernel moves from one socket to the other counts in both for a moment
            found = await until(
                lambda source=source: source.measure("ctp", ("primary",), 0),
                lambda found: MESSAGES <= found.messages <= 1.25 * MESSAGES,
            )
            (one,) = found.consumers
            assert (one.consumer.startswith("lazy"), found.cut_off) == (True, 0)
            assert MESSAGES <= one.messages <= 1.25 * MESSAGES

        async def read() -> None:
            while await loop.sock_recv(lazy, 65_536):
                pass

        reading = asyncio.create_task(read())
        found = await until(lambda: over_nats.measure("ctp", ("primary",), 0), lambda found: not found.messages)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert found.messages == 0


async def test_what_jetstream_holds_for_a_consumer_is_counted_in_messages(server, bus) -> None:
    async def js(subject: str, request: dict[str, object]) -> None:
        reply = json.loads(await bus.request(f"$JS.API.{subject}", json.dumps(request).encode()))
        assert "error" not in reply, reply

    await js("STREAM.CREATE.TICKS", {"name": "TICKS", "subjects": ["md.tick.>"], "storage": "memory"})
    await js(
        "CONSUMER.CREATE.TICKS.slow",
        {"stream_name": "TICKS", "config": {"name": "slow", "durable_name": "slow", "ack_policy": "explicit"}},
    )
    await post(bus)
    over_http = metrics_source(monitoring(server) + "/connz", SystemClock())
    for source in (NatsBacklog(asking(Client(bus))), over_http):
        found = await until(
            lambda source=source: source.measure("ctp", ("primary",), 0), lambda found: found.messages >= MESSAGES
        )
        assert [(one.consumer, one.messages) for one in found.consumers] == [("TICKS/slow", MESSAGES)]
