"""Asking a gateway: each part for itself, through silence and a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.bus.memory import MemoryBus
from gateway.client import Client
from gateway.control.service import ControlService
from gateway.errors import BusError, ControlError
from gateway.terminal.top.asking import Asking
from gateway.testing.clock import ManualClock
from tests.unit.control.market import Market, switch_of


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.aclose()


async def served(bus: MemoryBus) -> Market:
    market = Market(bus)
    await ControlService(bus, market, "feedgate", figures=market.figures).start()
    return market


def asking(bus: MemoryBus, clock: ManualClock | None = None, **options) -> Asking:
    @asynccontextmanager
    async def connecting() -> AsyncIterator[Client]:
        async with Client(bus) as client:
            yield client

    return Asking(connecting, clock or ManualClock(), "feedgate", **options)


@asynccontextmanager
async def running(one: Asking) -> AsyncIterator[None]:
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.005)


async def test_once_brings_every_part_with_its_moment(bus: MemoryBus) -> None:
    market = await served(bus)
    market.switched.append(switch_of("sim", 1))
    clock = ManualClock()
    look = await asking(bus, clock).once()
    assert look.problems == {}
    assert set(look.had_at_ns.values()) == {clock.wall_ns()}
    assert look.status is not None
    assert look.figures is not None
    assert look.gaps is not None
    assert (look.status.name, look.figures.published, look.gaps.trading_day) == ("feedgate", 12, 20251009)
    assert (len(look.switches), look.rates, look.before) == (1, (3.0,), None)


async def test_once_without_a_gateway_says_who_did_not_answer(bus: MemoryBus) -> None:
    look = await asking(bus).once()
    assert look.status is None
    assert "is the gateway running" in look.problems["status"]
    assert look.had_at_ns == {}


async def test_once_without_a_bus_says_why_there_is_no_connection() -> None:
    @asynccontextmanager
    async def nobody() -> AsyncIterator[Client]:
        raise BusError("nats://127.0.0.1:1 refuses; start it")
        yield  # a generator

    look = await Asking(nobody, ManualClock(), "feedgate").once()
    assert look.problems == {"gateway": "nats://127.0.0.1:1 refuses; start it"}


async def test_a_part_that_fails_delays_no_other_and_keeps_its_last_answer(bus: MemoryBus) -> None:
    market = await served(bus)
    clock = ManualClock()
    one = asking(bus, clock, pace=0.01)
    async with running(one):
        await until(lambda: len(one.look().had_at_ns) == 5)
        first = one.look().had_at_ns["coverage"]

        def refuse() -> None:
            raise ControlError("the books are closed")

        market.coverage = refuse  # type: ignore[method-assign]  # a part that fails from now on
        await clock.advance(20)
        await until(lambda: "coverage" in one.look().problems)
        await until(lambda: one.look().age_s("status") == 0)
        look = one.look()
    assert "the books are closed" in look.problems["coverage"]
    assert (look.had_at_ns["coverage"], look.age_s("coverage")) == (first, 20)


async def test_rates_are_kept_for_a_minute_and_begin_anew_with_another_gateway(bus: MemoryBus) -> None:
    market = await served(bus)
    one = asking(bus, pace=0.002)
    async with running(one):
        await until(lambda: len(one.look().rates) == 60)
        assert one.look().before is not None
        market.restart()
        await until(lambda: len(one.look().rates) < 60)
        await until(lambda: (before := one.look().before) is not None and before.epoch == market.epoch)


async def test_a_connection_that_cannot_be_made_is_tried_again(bus: MemoryBus) -> None:
    await served(bus)
    tries = 0

    @asynccontextmanager
    async def second_time() -> AsyncIterator[Client]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise BusError("refused; start it")
        async with Client(bus) as client:
            yield client

    one = Asking(second_time, ManualClock(), "feedgate", pace=0.01)
    async with running(one):
        await until(lambda: one.look().status is not None)
    assert one.look().problems.get("gateway") is None
