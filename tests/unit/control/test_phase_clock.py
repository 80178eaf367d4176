from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta

import pytest

from gateway.calendar import Calendar, TradingDays, load_calendar
from gateway.control.events import PhaseChanged
from gateway.control.phase_clock import PhaseClock
from gateway.model import SHANGHAI, Instrument
from gateway.testing.clock import ManualClock

RB, HC, AU, IF = (
    Instrument("SHFE", "rb2701"),
    Instrument("SHFE", "hc2701"),
    Instrument("SHFE", "au2612"),
    Instrument("CFFEX", "IF2612"),
)
NS = 10**9


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return load_calendar()


def at_ns(text: str) -> int:
    """``"20 09:00:00"`` in November 2026, Shanghai; the 20th is a Friday."""
    return int(datetime.fromisoformat(f"2026-11-{text}").replace(tzinfo=SHANGHAI).timestamp()) * NS


class Turned(ManualClock):
    """A clock whose wall face can be set."""

    stepped_ns = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.stepped_ns


class Desk:
    """A phase clock and what it told."""

    def __init__(self, calendar: Calendar, now: str) -> None:
        self.clock = Turned(wall_ns=at_ns(now))
        self.events: list[PhaseChanged] = []
        self.heard_ns: list[int] = []
        self.naps: list[float] = []
        self.phases = PhaseClock(calendar, self.clock, self._hear, sleep=self._sleep)

    def _hear(self, event: PhaseChanged) -> None:
        self.events.append(event)
        self.heard_ns.append(self.clock.wall_ns())

    async def _sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        await self.clock.sleep(seconds)

    async def until(self, moment: str) -> None:
        await self.clock.advance((at_ns(moment) - self.clock.wall_ns()) / NS)

    def told(self) -> list[str]:
        """And forgets it."""
        events, self.events = self.events, []
        return [
            f"{datetime.fromtimestamp(event.at_ns / NS, SHANGHAI):%d %H:%M:%S} "
            f"{'+'.join(event.products)} {event.was}>{event.now}"
            for event in events
        ]


@asynccontextmanager
async def desk(calendar: Calendar, now: str) -> AsyncIterator[Desk]:
    made = Desk(calendar, now)
    running = asyncio.create_task(made.phases.run())
    await made.clock.settle()
    try:
        yield made
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_a_late_starter_is_told_where_each_product_stands(calendar):
    async with desk(calendar, "20 10:20:00") as play:
        play.phases.wanted("ctp", [RB, HC, IF, Instrument("SHFE", "rb2705")])
        assert play.told() == ["20 10:20:00 IF None>open", "20 10:20:00 hc+rb None>break"]


async def test_a_day_is_told_at_its_own_moments_for_the_feed_and_trading_day(calendar):
    async with desk(calendar, "20 20:00:00") as play:
        play.phases.wanted("ctp", [RB, IF])
        assert play.told() == ["20 20:00:00 IF None>closed", "20 20:00:00 rb None>closed"]
        await play.until("23 09:31:00")
        events = list(play.events)
        assert play.told() == [
            "20 20:55:00 rb closed>auction",
            "20 21:00:00 rb auction>open",
            "20 23:00:00 rb open>closed",
            "23 08:55:00 rb closed>auction",
            "23 09:00:00 rb auction>open",
            "23 09:25:00 IF closed>auction",
            "23 09:30:00 IF auction>open",
        ]
        assert {(event.feed, event.trading_day) for event in events} == {("ctp", 20261123)}
        assert all(0 <= heard - event.at_ns < NS // 100 for heard, event in zip(play.heard_ns[2:], events, strict=True))


async def test_it_sleeps_until_the_next_change_and_never_longer_than_half_a_minute(calendar):
    async with desk(calendar, "20 08:54:15") as play:
        play.phases.wanted("ctp", [RB])
        await play.clock.settle()
        play.naps.clear()
        await play.until("20 08:55:01")
        assert play.naps == pytest.approx([15.0, 30.0])


async def test_a_product_that_is_wanted_while_it_sleeps_wakes_it_in_time(calendar):
    async with desk(calendar, "20 08:54:50") as play:
        play.phases.wanted("ctp", [IF])
        await play.clock.advance(2)
        play.phases.wanted("ctp", [IF, RB])
        play.told()
        await play.until("20 08:55:00")
        assert play.told() == ["20 08:55:00 rb closed>auction"]


async def test_wanting_more_tells_only_what_is_new_and_misses_nothing_of_the_rest(calendar):
    async with desk(calendar, "20 08:59:50") as play:
        play.phases.wanted("ctp", [RB])
        play.told()
        # the loop was busy over the opening
        play.clock.stepped_ns = 15 * NS
        play.phases.wanted("ctp", [RB, HC, AU])
        assert play.told() == ["20 09:00:00 rb auction>open", "20 09:00:05 au None>open", "20 09:00:05 hc None>open"]
        await play.until("20 10:15:30")
        assert play.told() == ["20 10:15:00 au open>break", "20 10:15:00 hc+rb open>break"]


async def test_other_contracts_of_the_same_products_change_nothing(calendar):
    async with desk(calendar, "20 09:10:00") as play:
        play.phases.wanted("ctp", [RB])
        play.told()
        await play.clock.settle()
        play.naps.clear()
        play.phases.wanted("ctp", [Instrument("SHFE", "rb2705"), Instrument("SHFE", "rb2705C3000")])
        await play.clock.settle()
        assert (play.told(), play.naps) == ([], [])


async def test_a_product_that_is_wanted_no_longer_is_told_no_longer_and_afresh_when_it_is_back(calendar):
    async with desk(calendar, "20 10:00:00") as play:
        play.phases.wanted("ctp", [RB, IF])
        play.phases.wanted("ctp", [IF])
        play.told()
        await play.until("20 10:20:00")
        assert play.told() == []
        play.phases.wanted("ctp", [RB, IF])
        assert play.told() == ["20 10:20:00 rb None>break"]
        play.phases.wanted("ctp", [])
        await play.until("20 15:30:00")
        assert play.told() == []


async def test_products_without_a_table_are_left_out(calendar):
    async with desk(calendar, "20 10:00:00") as play:
        play.phases.wanted("sim", [Instrument("SIM", "zzq1"), Instrument("SSE", "600000")])
        assert play.told() == []
        play.phases.wanted("ctp", [Instrument("SIM", "zzq1"), RB])
        assert play.told() == ["20 10:00:00 rb None>open"]


async def test_each_feed_is_told_for_itself(calendar):
    async with desk(calendar, "20 10:14:00") as play:
        play.phases.wanted("ctp", [RB])
        play.phases.wanted("sopt", [HC])
        play.events.clear()
        await play.until("20 10:15:10")
        assert [(event.feed, event.products) for event in play.events] == [("ctp", ("rb",)), ("sopt", ("hc",))]


async def test_a_clock_that_is_set_is_noticed_within_half_a_minute(calendar):
    async with desk(calendar, "20 09:10:00") as play:
        play.phases.wanted("ctp", [RB])
        play.told()
        await play.clock.advance(1)
        play.clock.stepped_ns = 70 * 60 * NS
        await play.clock.advance(30)
        assert play.told() == ["20 10:15:00 rb open>break"]
        play.clock.stepped_ns = 0
        await play.clock.advance(30)
        assert [line.split()[-1] for line in play.told()] == ["break>open"]


async def test_where_the_calendar_ends_it_says_so_once_and_goes_on_when_it_can_answer(caplog):
    friday = date(2026, 11, 20)
    days = tuple(friday - timedelta(days=number) for number in range(4, -1, -1))
    async with desk(Calendar(TradingDays(days[0], friday, days, source="a short list")), "20 14:59:00") as play:
        play.phases.wanted("ctp", [RB])
        await play.until("20 18:30:00")
        assert play.told() == ["20 14:59:00 rb None>open", "20 15:00:00 rb open>closed"]
        assert caplog.text.count("no events about phases") == 1
        play.naps.clear()
        await play.clock.advance(60)
        assert play.naps == [30.0, 30.0]
        play.phases.wanted("ctp", [RB, HC])  # nor does wanting raise
        play.clock.stepped_ns = -4 * 3600 * NS
        await play.clock.advance(60)
        assert {line.split(" ", 2)[2] for line in play.told()} == {"rb closed>open", "hc None>open"}
        play.clock.stepped_ns = 0
        await play.clock.advance(60)
        assert caplog.text.count("no events about phases") == 2
