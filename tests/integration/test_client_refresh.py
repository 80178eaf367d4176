"""After an interruption of the consumer's own connection nothing is left guessing, not even a quiet instrument."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.client import Client, connect
from gateway.stream import snapshot
from tests.integration.bus.reposter import Relay, relay_to
from tests.integration.bus.waiting import until
from tests.integration.served import FAST, answered, served

QUIET, BUSY = "SHFE.ag2512", "SHFE.rb2510"


@pytest.fixture
async def relay(server) -> AsyncIterator[Relay]:
    async with relay_to(server.port) as relay:
        yield relay


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "SETTLE_SECONDS", 0.5)
    monkeypatch.setattr(snapshot, "RETRY_SECONDS", 0.02)


async def interrupt(relay: Relay, stream, client: Client, meanwhile) -> None:
    """Cut the consumer off, let things happen, and return when it is back."""
    before = stream.interruptions
    relay.cut()
    await until(lambda: stream.interruptions > before)
    meanwhile()
    await answered(client)


async def next_of(stream):
    async with asyncio.timeout(60):
        return await anext(stream)


async def test_a_quiet_instrument_shows_its_loss_and_its_last_tick_without_a_further_one(market, relay, soon) -> None:
    market.publish(QUIET, BUSY)
    async with connect(relay.url, **FAST) as client, client.ticks("SHFE.*") as stream:
        await next_of(stream)
        await next_of(stream)
        await interrupt(relay, stream, client, lambda: market.publish(QUIET, QUIET, QUIET))
        tick = await next_of(stream)
        assert (str(tick.instrument), tick.seq) == (QUIET, 4)
        assert (stream.lost, stream.refreshes, stream.interruptions) == (2, 1, 1)
        assert (str(stream.losses[-1].instrument), stream.losses[-1].first_seq) == (QUIET, 2)
        market.publish(QUIET)
        assert (await next_of(stream)).seq == 5
        assert stream.lost == 2


async def test_ticks_that_come_behind_the_reply_are_neither_lost_nor_repeats(market, relay, soon) -> None:
    market.publish(BUSY)
    async with connect(relay.url, **FAST) as client, client.ticks("SHFE.*") as stream:
        await next_of(stream)
        held: list[tuple[str, bytes]] = []
        send, market.send = market.send, lambda subject, payload: held.append((subject, payload))
        asked = asyncio.Event()
        market.before_page = lambda _start: asked.set()
        await interrupt(relay, stream, client, lambda: market.publish(BUSY, BUSY))
        reading = asyncio.create_task(next_of(stream))
        await asked.wait()
        for subject, payload in held:
            send(subject, payload)
        assert (await reading).seq == 2
        assert (await next_of(stream)).seq == 3
        await until(lambda: stream.refreshes)
        market.send = send
        market.publish(BUSY)
        assert (await next_of(stream)).seq == 4
        assert (stream.lost, stream.repeats) == (0, 0)


async def test_a_gateway_that_is_away_is_asked_again_until_it_is_back(server, relay, soon) -> None:
    async with connect(relay.url, **FAST) as client, client.ticks("SHFE.*", snapshot="optional") as stream:
        reading = asyncio.create_task(next_of(stream))
        await until(lambda: stream._queue._sources and stream._snapshot is None)
        relay.cut()
        await until(lambda: stream.interruptions)
        async with served(server.url, QUIET):
            assert (await reading).seq == 1
            assert (stream.refreshes, stream.lost) == (1, 0)


async def test_a_stream_without_snapshot_asks_only_when_told_to(market, relay, soon) -> None:
    asked = []
    market.before_page = asked.append
    async with connect(relay.url, **FAST) as client:
        async with client.ticks("SHFE.*", snapshot=False) as silent:
            await interrupt(relay, silent, client, lambda: None)
            assert asked == []
            async with client.ticks("SHFE.*", snapshot=False, refresh=True) as curious:
                await interrupt(relay, curious, client, lambda: market.publish(QUIET))
                assert (await next_of(curious)).seq == 1
        assert (silent.refreshes, curious.refreshes) == (0, 1)
