"""Orders and questions about lines and gaps, as a consumer's methods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.bus.memory import MemoryBus
from gateway.client import Client
from gateway.control.service import ControlService
from gateway.errors import ControlError
from gateway.flow.coverage import Coverage
from gateway.flow.gaphistory import GapDay
from gateway.flow.gaps import Gap
from tests.unit.control.market import Market, switch_of


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.aclose()


@pytest.fixture
async def market(bus: MemoryBus) -> Market:
    market = Market(bus)
    market.rows = {"ctp:primary": [], "ctp:backup": []}
    await ControlService(bus, market, "feedgate", figures=market.figures, page_bytes=4_000).start()
    return market


async def test_each_order_reaches_the_gateway_as_it_was_given(bus, market) -> None:
    async with Client(bus) as client:
        done = await client.failover("planned", feed="ctp", to="ctp:backup", operator="wang")
        over = await client.failback("over", operator="wang")
        await client.require_failover("coverage is low")
        await client.require_failover(value=0)
        await client.restart_line("ctp:primary", "new front", operator="wang")
    assert market.orders == [
        ("failover", "ctp", "ctp:backup", "planned", "wang"),
        ("failback", "ctp", None, "over", "wang"),
        ("require_failover", "ctp", "coverage is low", 1.0),
        ("require_failover", "ctp", "", 0.0),
        ("restart_line", "ctp:primary", "new front"),
    ]
    assert [done, over] == market.switched


async def test_a_switch_has_its_own_longer_timeout(bus, market, monkeypatch) -> None:
    asked: dict[str, float] = {}
    request = bus.request

    async def note(subject: str, payload: bytes, *, timeout: float = 2.0) -> bytes:  # noqa: ASYNC109 - the bus's signature
        asked[subject.rpartition(".")[2]] = timeout
        return await request(subject, payload, timeout=timeout)

    monkeypatch.setattr(bus, "request", note)
    async with Client(bus, timeout=7) as client:
        await client.failover("planned")
        await client.failback("over")
        await client.coverage()
        await client.require_failover("x")
    assert asked == {"failover": 30.0, "failback": 30.0, "coverage": 7, "failover_required": 7}


async def test_a_switch_goes_on_when_its_asker_does_not_wait(bus, market, monkeypatch) -> None:
    may_end, ended, switch = asyncio.Event(), asyncio.Event(), market.failover

    async def slow(*order: str) -> object:
        await may_end.wait()
        ended.set()
        return await switch(*order)

    monkeypatch.setattr(market, "failover", slow)
    async with Client(bus, switch_timeout=0.01) as client:
        with pytest.raises(ControlError, match=r"did not answer within 0\.01 s") as caught:
            await client.failover("planned")
        assert caught.value.fields["reply_code"] == "timeout"
        may_end.set()
        await ended.wait()
        assert await client.switches() == market.switched
    assert len(market.switched) == 1


async def test_all_pages_of_gaps_come_as_one_and_of_one_day(bus, market) -> None:
    gaps = tuple(
        Gap(
            id=f"1-{number}",
            feed="ctp",
            instrument=f"SHFE.rb{number}",
            trading_day=20251009,
            session="day",
            outage_ns=number,
            start_ns=number,
        )
        for number in range(50)
    )
    market.day = GapDay(trading_day=20251009, gaps=gaps, watched=(), notes=())
    async with Client(bus) as client:
        reply = await client.gaps()
        assert [row.id for row in reply.gaps] == [gap.id for gap in gaps]
        assert (reply.totals.gaps, reply.cursor, reply.gaps[3].end) == (50, None, None)
        assert market.orders[0] == ("gaps", None, None)
        assert set(market.orders[1:]) == {("gaps", 20251009, None)}
        market.orders.clear()
        await client.gaps(20250829, feed="ctp")
        await client.gaps("2025-08-29")
    assert {order[1] for order in market.orders} == {20250829, 20251009}


async def test_coverage_and_switches_come_as_rows(bus, market) -> None:
    market.covered = [
        Coverage(
            feed="ctp",
            session="night",
            at_ns=1,
            wanted=0,
            confirmed=0,
            ticking=0,
            quiet=(),
            stalled=(),
            missing=(),
            unexpected=(),
        )
    ]
    market.switched = [switch_of("ctp", 1), switch_of("ctp", 2)]
    async with Client(bus) as client:
        (row,) = await client.coverage("ctp")
        assert (row.session, row.ratio, row.missing) == ("night", None, [])
        assert await client.switches("ctp", limit=1) == [switch_of("ctp", 2)]
