"""Bus, codec, ledger store and router of a program's own, in place of what the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway import AccountSettings, Client, FeedSettings, Gateway, MetricsSettings, Settings
from gateway.codec import JsonCodec
from gateway.errors import BusError, SettingsError
from gateway.gaps import Past
from gateway.settings import PublishSettings
from gateway.subjects import tick_subject
from tests.integration.embedding.own_parts import LastLine, LastLinePlugin, ListStore, OwnBus, Squeezed

TWO = {"primary": AccountSettings(), "backup": AccountSettings()}


def settings(*, publish: dict[str, Any] | None = None, **feed: Any) -> Settings:
    return Settings.model_validate(
        {
            "feeds": {"sim": FeedSettings(options={"contracts": 3, "rate": 500}, **feed)},
            "bus": {"kind": "memory"},
            "metrics": MetricsSettings(enabled=False),
            "publish": PublishSettings(**publish or {}),
        }
    )


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_bus_of_ones_own_carries_ticks_events_requests_and_streams() -> None:
    bus = OwnBus()
    async with asyncio.timeout(30), Gateway(settings(), bus=bus) as gw:
        assert gw.bus is bus
        assert gw.url is None
        async with Client(gw.bus) as client, client.ticks("*") as stream, client.events() as events:
            first = await anext(stream)
            status = await client.status()
            asyncio.get_running_loop().call_soon(gw.restart_line, "sim:primary", "for the event")
            event = await anext(events)
        assert status.lines[0].line == "sim:primary"
        assert event.feed == "sim"
        assert (tick_subject(first.instrument)) in {subject for subject, _ in bus.messages}
    assert (bus.starts, bus.connected) == (1, False)
    assert bus.ends >= 1
    books = gw.balance()
    assert books.received == books.published + books.total_dropped


async def test_a_bus_of_ones_own_that_does_not_start_is_closed_and_its_error_is_the_gateways() -> None:
    bus = OwnBus(refuses=True)
    with pytest.raises(BusError, match="come back tomorrow"):
        await Gateway(settings(), bus=bus).start()
    assert bus.ends == 1


async def test_a_codec_of_ones_own_is_what_the_bus_carries_and_clients_with_it_read_everything() -> None:
    bus = OwnBus()
    async with asyncio.timeout(30), Gateway(settings(publish={"form": "both"}), bus=bus, codec=Squeezed()) as gw:
        async with gw.ticks() as ticks:
            inside = await anext(ticks)
        async with Client(bus, codec=Squeezed()) as client:
            await until(lambda: len(gw.view.top(10)) == 3)
            assert len(await client.last()) == 3
            async with client.ticks("*") as stream, client.batches("sim") as batches:
                outside = [await anext(stream) for _ in range(20)]
                batch = await anext(batches)
            assert stream.rejected == 0
            assert (await client.status()).codec == "squeezed"
        async with Client(bus) as stranger, stranger.ticks("*", snapshot=False) as unread:
            waiting = asyncio.ensure_future(anext(unread))
            await until(lambda: unread.rejected > 0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    assert {tick.line for tick in (inside, *outside, *batch)} == {"sim:primary"}
    assert inside.last is not None


async def test_a_codec_that_takes_a_built_in_name_is_refused_because_readers_would_take_it_for_that_one() -> None:
    class Mine(Squeezed):
        name = JsonCodec.name

    with pytest.raises(SettingsError, match="'json' is taken"):
        await Gateway(settings(), codec=Mine()).start()


async def test_a_store_of_ones_own_gets_the_gaps_with_their_evidence_whatever_the_codec() -> None:
    store = ListStore()
    async with asyncio.timeout(60), Gateway(settings(), store=store, codec=Squeezed()) as gw:
        await until(lambda: len(gw.view.top(10)) == 3)
        gw.restart_line("sim:primary", "to have a gap")
        await until(lambda: [row for row in store.rows if row.kind == "closed"])
        day = await gw.gaps()
        closed = next(row.gap for row in store.rows if row.kind == "closed")
        assert closed.id in {gap.id for gap in day.gaps}
        status = await Client(gw.bus).status()
        assert not [text for text in status.warnings if "temporary" in text]
    assert "to have a gap" in closed.reason
    assert closed.before is not None
    assert closed.after is not None
    assert closed.before.volume <= closed.after.volume
    assert (store.starts, store.marks[-1].clean) == (1, True)
    assert store.ends >= 1


async def test_what_a_store_of_ones_own_knows_of_the_last_run_becomes_the_gap_in_between() -> None:
    first = ListStore()
    async with asyncio.timeout(30), Gateway(settings(), store=first) as gw:
        await until(lambda: gw.balance().published)
    last = first.marks[-1]
    past = Past(alive_ns=last.alive_ns, clean=last.clean, wanted=last.wanted, open_gaps=(), told={})
    second = ListStore(past=past)
    async with asyncio.timeout(30), Gateway(settings(), store=second) as gw:
        await until(lambda: second.rows)
    assert second.rows[0].gap.reason == "the gateway was stopped"
    assert second.rows[0].gap.outage_ns == last.alive_ns


@pytest.mark.parametrize("how", ["argument", "plugin"])
async def test_a_router_of_ones_own_decides_which_line_is_active(how: str) -> None:
    if how == "argument":
        gateway = Gateway(settings(accounts=TWO), routers={"sim": LastLine()})
    else:
        gateway = Gateway(settings(accounts=TWO, router="last_line"), plugins=[LastLinePlugin()])
    async with asyncio.timeout(30), gateway as gw, gw.ticks() as ticks:
        tick = await anext(ticks)
        roles = {line.line: line.role for line in gw.lines()}
    assert tick.line == "sim:backup"
    assert roles == {"sim:primary": "cold", "sim:backup": "active"}


async def test_a_router_for_a_feed_that_is_not_there_is_refused_with_the_feeds() -> None:
    with pytest.raises(SettingsError, match="no feed 'simm'; the feeds are: sim"):
        await Gateway(settings(), routers={"simm": LastLine()}).start()
