"""Orders and events between a gateway's service and a consumer, over a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway import FeedSettings, Gateway, Settings
from gateway.bus.nats import NatsBus
from gateway.client import connect
from gateway.control.events import LineStateChanged, Switch, event_subject
from gateway.control.failover import SwitchRefusedError
from gateway.control.service import ControlService
from gateway.errors import ControlError
from gateway.flow.gaphistory import GapDay
from gateway.flow.gaps import Gap
from gateway.settings import AccountSettings, BusSettings, MetricsSettings, SubscriptionSettings
from tests.unit.control.market import Market


class Telling(Market):
    """Publishes each switch, as a gateway does."""

    async def failover(self, feed: str, to: str | None, reason: str, operator: str) -> Switch:
        switch = await super().failover(feed, to, reason, operator)
        await self.bus.publish(event_subject(switch), msgspec.json.encode(switch))
        return switch


@pytest.fixture
async def market(server) -> AsyncIterator[Telling]:
    bus = NatsBus(server.url)
    await bus.start()
    market = Telling(bus)
    market.rows = {"ctp:primary": [], "ctp:backup": []}
    await ControlService(bus, market, "feedgate", figures=market.figures).start()
    yield market
    await bus.aclose()


async def test_a_failover_is_asked_for_answered_told_and_remembered(server, market) -> None:
    async with connect(server.url) as client, client.events("switch", feed="ctp") as events:
        switch = await client.failover("机房断电", to="ctp:backup", operator="王五")
        assert (switch.ok, switch.target, switch.reason) == (True, "ctp:backup", "机房断电")
        assert await anext(events) == switch
        market.switch_error = "ctp:backup 没有登录"
        failed = await client.failover("again")
        assert (failed.ok, failed.error) == (False, "ctp:backup 没有登录")
        assert await anext(events) == failed
        assert await client.switches() == [failed, switch]


async def test_a_refusal_crosses_the_wire_with_its_code_and_its_words(server, market) -> None:
    market.raises = SwitchRefusedError("feed ctp: failover runs (command: 机房断电); try again when it is over")
    async with connect(server.url) as client:
        with pytest.raises(ControlError, match=r"机房断电.*try again when it is over") as caught:
            await client.failback("over")
        assert caught.value.fields["reply_code"] == "busy"
        with pytest.raises(ControlError, match="no line 'ctp:x' here; the lines are: ctp:primary, ctp:backup"):
            await client.restart_line("ctp:x", "y")


async def test_a_day_of_thirty_thousand_gaps_arrives_in_pages(server, market) -> None:
    gaps = tuple(
        Gap(
            id=f"1756400000000-{number}",
            feed="ctp",
            instrument=f"SHFE.option{number}",
            trading_day=20251009,
            session="day",
            outage_ns=1,
            start_ns=1_760_000_000_000_000_000 + number,
            reason="ctp:primary: hung: nothing heard for 0.8 s",
            lines={"ctp:primary": "hung: nothing heard for 0.8 s", "ctp:backup": "login refused"},
        )
        for number in range(30_000)
    )
    market.day = GapDay(trading_day=20251009, gaps=gaps, watched=(), notes=())
    async with connect(server.url) as client:
        reply = await client.gaps("2025-10-09")
    assert [row.id for row in reply.gaps] == [gap.id for gap in gaps]
    assert reply.totals.gaps == 30_000


async def test_a_running_gateway_is_switched_restarted_and_asked_from_outside(server) -> None:
    feed = FeedSettings(
        kind="sim",
        host="inline",
        accounts={"primary": AccountSettings(), "backup": AccountSettings()},
        options={"contracts": 20, "rate": 500},
    )
    settings = Settings(feeds={"sim": feed}, bus=BusSettings(urls=[server.url]), metrics=MetricsSettings(enabled=False))
    async with Gateway(settings), connect(server.url) as client, asyncio.timeout(40):
        async with client.ticks("*") as ticks:
            lines = set()
            async for tick in ticks:
                lines.add(tick.line)
                if len(lines) == 2:
                    break
        async with client.events("switch", "line_state") as events:
            done = await client.failover("front A is maintained", operator="wang")
            assert (done.ok, done.source, done.target) == (True, "sim:primary", "sim:backup")
            assert "front A is maintained" in done.reason
            assert "wang" in done.reason
            assert [feed.active for feed in (await client.status()).feeds] == ["sim:backup"]
            over = await client.failback("front A is back")
            assert await client.switches() == [over, done]
            await client.restart_line("sim:backup", "new front address")
            told = set()
            async for event in events:
                if isinstance(event, Switch):
                    assert event == (done if event.kind == "failover" else over)
                    told.add(event.kind)
                elif isinstance(event, LineStateChanged) and (event.line, event.state) == ("sim:backup", "streaming"):
                    told.add("restarted")
                if len(told) == 3:
                    break
        (coverage,) = await client.coverage()
        assert (coverage.feed, coverage.wanted, coverage.missing) == ("sim", 20, [])
        day = await client.gaps()
        assert (day.known, day.gaps, day.watched[0].feed) == (True, [], "sim")


async def test_what_no_line_has_room_for_is_wanted_no_longer_either(server) -> None:
    settings = Settings(
        feeds={"sim": FeedSettings(kind="sim", host="inline", options={"contracts": 20, "rate": 500})},
        subscriptions=SubscriptionSettings(per_login_limit=5),
        bus=BusSettings(urls=[server.url]),
        metrics=MetricsSettings(enabled=False),
    )
    async with Gateway(settings) as gateway, connect(server.url) as client:
        await gateway.settled()
        reply = await client.unsubscribe("*")
        assert reply.accepted == 20
        (coverage,) = await client.coverage()
        assert coverage.wanted == 0
