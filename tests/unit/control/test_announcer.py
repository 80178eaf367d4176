from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from gateway.bus.memory import MemoryBus
from gateway.control.announcer import Announcer
from gateway.control.events import (
    ControlEvent,
    GapClosed,
    GapMeasured,
    GapOpened,
    LineSpeaks,
    LineStateChanged,
    LineSuspect,
    Unplaced,
)
from gateway.errors import BusError
from gateway.flow.gaps import Gap, GapEvent, Seen
from gateway.hookspecs import Observer
from gateway.observing import Observers
from gateway.testing.clock import ManualClock


class Wire(MemoryBus):
    """A memory bus whose connection a test takes away."""

    def __init__(self) -> None:
        super().__init__()
        self.up = asyncio.Event()
        self.up.set()
        self.refuses = 0
        self.breaks: Exception | None = None
        self.limit = 1 << 20
        self.hangs = False

    @property
    def connected(self) -> bool:
        return self.up.is_set()

    @property
    def max_payload(self) -> int:
        return self.limit

    async def wait_connected(self) -> None:
        await self.up.wait()

    async def publish(self, subject: str, payload: bytes) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses:
            self.refuses -= 1
            raise BusError("not connected after all")
        if self.breaks is not None:
            error, self.breaks = self.breaks, None
            raise error
        await super().publish(subject, payload)


class Stage:
    """An announcer that runs, with a reader of everything and an observer."""

    def __init__(self, bus: Wire, **options: Any) -> None:
        self.clock = ManualClock()
        self.bus = bus
        self.warned: list[tuple[str, dict[str, Any]]] = []
        observer = Observer(name="desk", warned=lambda kind, fields: self.warned.append((kind, dict(fields))))
        self.announcer = Announcer(bus, Observers([observer]), self.clock, sleep=self.clock.sleep, **options)
        self._messages = bus.subscribe("md.event.>")

    async def read(self) -> list[tuple[str, ControlEvent]]:
        """What was published since the last reading."""
        await self.settle()
        return [
            ((message := await anext(self._messages)).subject, msgspec.json.decode(message.data, type=ControlEvent))
            for _ in range(len(self._messages))
        ]

    async def events(self) -> list[ControlEvent]:
        return [event for _, event in await self.read()]

    async def settle(self) -> None:
        for _ in range(10):
            await self.clock.settle()

    def gap(self, kind: str = "opened", code: str = "rb2510", **fields: Any) -> None:
        self.announcer.gap(GapEvent(kind, self.clock.wall_ns(), gap(code, **fields)))


def gap(code: str = "rb2510", **fields: Any) -> Gap:
    usual = {
        "id": f"1-{code}", "feed": "ctp", "instrument": f"SHFE.{code}", "trading_day": 20250829, "session": "day",
        "outage_ns": 100, "start_ns": 110, "reason": "front lost", "lines": {"ctp:primary": "front lost"},
    }  # fmt: skip
    return Gap(**{**usual, **fields})


@asynccontextmanager
async def stage(*, running: bool = True, **options: Any) -> AsyncIterator[Stage]:
    bus = Wire()
    await bus.start()
    made = Stage(bus, **options)
    task = asyncio.create_task(made.announcer.run()) if running else None
    try:
        yield made
    finally:
        if task is not None:
            assert not task.done()
            task.cancel()
            await asyncio.wait({task})
        await bus.aclose()


def speaks(number: int) -> LineSpeaks:
    return LineSpeaks(feed="ctp", at_ns=number, line="ctp:primary", silent_s=1.0)


def numbers(events: Sequence[ControlEvent]) -> list[int]:
    return [event.at_ns for event in events]


# -- telling -----------------------------------------------------------------------------------------------------------


async def test_an_event_goes_to_the_bus_on_its_subject_and_to_observers_by_its_kind():
    async with stage() as play:
        event = LineSuspect(feed="ctp", at_ns=7, line="ctp:primary", reason="limits", contract="SHFE.rb2510")
        play.announcer.tell(event)
        assert play.warned == []  # telling returns at once
        assert await play.read() == [("md.event.line_suspect.ctp", event)]
        fields = {"feed": "ctp", "at_ns": 7, "line": "ctp:primary", "reason": "limits", "contract": "SHFE.rb2510"}
        assert play.warned == [("line_suspect", fields)]
        assert (play.announcer.published, play.announcer.dropped, play.announcer.waiting) == (1, 0, 0)


async def test_a_change_of_state_goes_to_the_bus_and_not_twice_to_observers():
    async with stage() as play:
        event = LineStateChanged(
            feed="ctp", at_ns=7, line="ctp:primary", state="lost", was="streaming", reason="0x1001"
        )
        play.announcer.tell(event)
        assert await play.read() == [("md.event.line_state.ctp", event)]
        assert play.warned == []


async def test_events_are_published_in_the_order_of_telling():
    async with stage() as play:
        for number in range(300):
            play.announcer.tell(speaks(number))
        await play.settle()
        for number in range(300, 600):
            play.announcer.tell(speaks(number))
        while play.announcer.waiting:
            await play.settle()
        assert numbers(await play.events()) == list(range(600))


async def test_an_event_that_cannot_be_written_is_counted_and_costs_no_other(caplog):
    async with stage() as play:
        play.announcer.tell(Unplaced(feed="", at_ns=1, count=0, instruments=()))
        play.announcer.tell(speaks(2))
        assert numbers(await play.events()) == [2]
        assert (play.announcer.published, play.announcer.dropped) == (1, 1)
        assert "cannot be published" in caplog.text


# -- a bus that is away ------------------------------------------------------------------------------------------------


async def test_events_wait_for_the_bus_in_order_while_observers_hear_them_at_once():
    async with stage() as play:
        play.bus.up.clear()
        for number in range(5):
            play.announcer.tell(speaks(number))
        assert await play.events() == []
        assert [fields["at_ns"] for _, fields in play.warned] == [0, 1, 2, 3, 4]
        assert play.announcer.waiting == 5
        play.bus.up.set()
        assert numbers(await play.events()) == [0, 1, 2, 3, 4]
        assert len(play.warned) == 5


async def test_an_event_that_the_bus_refused_is_offered_again_before_the_next_one(caplog):
    async with stage() as play:
        play.bus.refuses = 3
        play.announcer.tell(speaks(1))
        play.announcer.tell(speaks(2))
        assert await play.events() == []
        await play.clock.advance(0.5)
        assert await play.events() == []
        await play.clock.advance(0.5)
        assert numbers(await play.events()) == [1, 2]
        assert (play.announcer.published, play.announcer.dropped) == (2, 0)
        assert caplog.text.count("not connected after all") == 1


async def test_while_the_bus_is_away_the_oldest_events_are_dropped_and_counted(caplog):
    async with stage(limit=10) as play:
        play.bus.up.clear()
        for number in range(30):
            play.announcer.tell(speaks(number))
            await play.settle()
        assert play.announcer.waiting == 11  # the first one is on its way
        assert play.announcer.dropped == 19
        play.bus.up.set()
        assert numbers(await play.events()) == [0, *range(20, 30)]
        assert play.announcer.published + play.announcer.dropped == 30
        assert caplog.text.count("oldest are dropped") == 1


async def test_what_waits_is_bounded_by_its_size_too(monkeypatch):
    monkeypatch.setattr("gateway.control.announcer._BYTES", 5_000)
    async with stage() as play:
        play.bus.up.clear()
        for number in range(10):
            play.announcer.tell(Unplaced(feed="ctp", at_ns=number, count=1, instruments=("x" * 1_000,)))
        await play.settle()
        play.bus.up.set()
        assert numbers(await play.events()) == [0, 6, 7, 8, 9]
        assert play.announcer.dropped == 5
        play.bus.up.clear()
        for number in range(5):
            play.announcer.tell(Unplaced(feed="ctp", at_ns=number, count=1, instruments=("x" * 1_000,)))
        await play.settle()
        assert (play.announcer.waiting, play.announcer.dropped) == (5, 5)


async def test_an_announcer_that_nobody_runs_does_not_grow():
    async with stage(running=False, limit=10) as play:
        for number in range(30):
            play.announcer.tell(speaks(number))
        assert (play.announcer.waiting, play.announcer.dropped) == (10, 20)
        await play.announcer.aclose()
        assert numbers(await play.events()) == list(range(20, 30))


async def test_a_message_larger_than_the_bus_takes_is_dropped_with_the_fix_and_the_next_one_passes(caplog):
    async with stage() as play:
        play.bus.limit = 500
        play.announcer.tell(Unplaced(feed="ctp", at_ns=1, count=1, instruments=("x" * 500,)))
        play.announcer.tell(speaks(2))
        assert numbers(await play.events()) == [2]
        assert play.announcer.dropped == 1
        assert "raise max_payload" in caplog.text


async def test_an_unknown_trouble_of_the_bus_costs_one_event_and_not_the_announcer(caplog):
    async with stage() as play:
        play.bus.breaks = RuntimeError("a bug")
        play.announcer.tell(speaks(1))
        play.announcer.tell(speaks(2))
        assert numbers(await play.events()) == [2]
        assert (play.announcer.published, play.announcer.dropped) == (1, 1)
        assert "a bug" in caplog.text


# -- gaps --------------------------------------------------------------------------------------------------------------


async def test_the_contracts_of_one_outage_are_one_event():
    async with stage() as play:
        for code in ("rb2510", "au2512", "zn2511"):
            play.gap(code=code)
        assert await play.events() == []
        await play.clock.advance(0.05)
        ((subject, event),) = await play.read()
        assert subject == "md.event.gap_opened.ctp"
        assert isinstance(event, GapOpened)
        assert [one.instrument for one in event.gaps] == ["SHFE.rb2510", "SHFE.au2512", "SHFE.zn2511"]
        assert (event.count, event.part, event.parts) == (3, 1, 1)
        assert (event.outage_ns, event.session, event.trading_day) == (100, "day", 20250829)
        assert (event.reason, event.lines) == ("front lost", {"ctp:primary": "front lost"})
        assert [(kind, fields["count"]) for kind, fields in play.warned] == [("gap_opened", 3)]


@pytest.mark.parametrize(
    "other",
    [
        {"feed": "sopt"},
        {"outage_ns": 101},
        {"session": "night"},
        {"trading_day": 20250901},
        {"reason": "kicked off"},
        {"lines": {"ctp:primary": "refused this one"}},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_rows_that_differ_in_what_an_event_says_once_are_told_apart(other):
    async with stage() as play:
        play.gap(code="rb2510")
        play.gap(code="au2512", **other)
        play.gap(code="zn2511")
        await play.clock.advance(0.1)
        first, second = await play.events()
        assert [one.instrument for one in first.gaps] == ["SHFE.rb2510", "SHFE.zn2511"]
        assert [one.instrument for one in second.gaps] == ["SHFE.au2512"]
        name, value = next(iter(other.items()))
        assert getattr(second, name) == value


async def test_closed_and_measured_gaps_say_how_they_ended_and_what_was_lost():
    async with stage() as play:
        after = Seen(200, 20250829, 30)
        play.gap("closed", "rb2510", end_ns=150, open_ns=40, ending="covered", lost_volume=7, after=after)
        play.gap("closed", "zn2511", end_ns=150, open_ns=40, ending="session over")
        play.gap("measured", "au2512", end_ns=150, open_ns=40, ending="covered", lost_volume=9, skipped=1)
        await play.clock.advance(0.1)
        covered, over, measured = await play.events()
        assert isinstance(covered, GapClosed)
        assert isinstance(over, GapClosed)
        assert isinstance(measured, GapMeasured)
        assert [event.ending for event in (covered, over, measured)] == ["covered", "session over", "covered"]
        assert [(one.lost_volume, one.exact) for one in covered.gaps + over.gaps + measured.gaps] == [
            (7, True), (None, None), (9, False),
        ]  # fmt: skip


async def test_a_great_outage_comes_in_parts_that_can_each_be_used_alone():
    async with stage() as play:
        for number in range(1, 452):
            play.gap(code=f"rb{number:04}")
        await play.clock.advance(0.1)
        parts = await play.events()
        assert [len(part.gaps) for part in parts] == [200, 200, 51]
        assert [(part.part, part.parts, part.count) for part in parts] == [(1, 3, 451), (2, 3, 451), (3, 3, 451)]
        assert {part.reason for part in parts} == {"front lost"}
        assert len({one.instrument for part in parts for one in part.gaps}) == 451


async def test_a_burst_that_goes_on_is_held_together_and_no_longer_than_a_second():
    async with stage() as play:
        for step in range(60):
            play.gap(code=f"rb{step}")
            await play.clock.advance(0.04)
        events = await play.events()
        assert [event.count for event in events] == [26, 26]
        await play.clock.advance(0.1)
        assert [event.count for event in await play.events()] == [8]


async def test_no_row_of_a_contract_overtakes_an_earlier_one():
    async with stage() as play:
        play.gap("closed", "zn2511", ending="covered", end_ns=150)
        play.gap("opened", "rb2510")
        play.gap("closed", "rb2510", ending="covered", end_ns=160)
        play.gap("closed", "au2512", ending="covered", end_ns=160)
        await play.clock.advance(0.1)
        told = [(type(event).__name__, one.instrument) for event in await play.events() for one in event.gaps]
        assert told.index(("GapOpened", "SHFE.rb2510")) < told.index(("GapClosed", "SHFE.rb2510"))
        assert len(told) == 4


async def test_rows_that_come_while_a_group_goes_out_begin_a_group_of_their_own():
    async with stage() as play:
        for number in range(450):
            play.gap(code=f"rb{number:04}")
        advancing = asyncio.create_task(play.clock.advance(0.05))
        while not play.warned:
            await asyncio.sleep(0)
        play.gap(code="au2512")
        await advancing
        assert [event.count for event in await play.events()] == [450, 450, 450]
        await play.clock.advance(0.05)
        assert [event.count for event in await play.events()] == [1]


async def test_gap_rows_that_nobody_takes_are_bounded_and_counted_in_messages(monkeypatch):
    monkeypatch.setattr("gateway.control.announcer._ROWS", 500)
    async with stage(running=False) as play:
        for number in range(450):
            play.gap(code=f"rb{number:04}")
        for number in range(51):
            play.gap(code=f"au{number:04}", outage_ns=101)
        assert play.announcer.dropped == 3
        await play.announcer.aclose()
        assert [(event.outage_ns, event.count) for event in await play.events()] == [(101, 51)]


async def test_rows_that_went_out_make_room_for_others(monkeypatch):
    monkeypatch.setattr("gateway.control.announcer._ROWS", 500)
    async with stage() as play:
        for _ in range(3):
            for number in range(450):
                play.gap(code=f"rb{number:04}")
            await play.clock.advance(0.1)
        assert len(await play.events()) == 9
        assert play.announcer.dropped == 0


async def test_a_whole_market_that_is_lost_and_comes_back_while_the_bus_is_away_is_all_told_later():
    async with stage() as play:
        play.bus.up.clear()
        for kind, fields in (("opened", {}), ("closed", {"ending": "covered", "end_ns": 150})):
            for number in range(30_000):
                play.gap(kind, f"rb{number:05}", **fields)
            await play.clock.advance(0.1)
            while len(play.warned) < (150 if kind == "opened" else 300):
                await play.settle()
        play.bus.up.set()
        while play.announcer.waiting:
            await play.settle()
        events = await play.events()
        assert [event.count for event in events] == [30_000] * 300
        assert sum(len(event.gaps) for event in events if isinstance(event, GapOpened)) == 30_000
        assert play.announcer.dropped == 0


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_closing_publishes_what_waits_gaps_too_and_takes_nothing_more():
    async with stage(running=False) as play:
        play.announcer.tell(speaks(1))
        play.gap(code="rb2510")
        await play.announcer.aclose()
        first, second = await play.events()
        assert (first.at_ns, second.count) == (1, 1)
        play.announcer.tell(speaks(2))
        play.gap(code="rb2510")
        await play.announcer.aclose()
        assert await play.events() == []
        assert (play.announcer.published, play.announcer.dropped) == (2, 2)


@pytest.mark.parametrize("running", [True, False])
async def test_closing_without_a_bus_ends_in_time_and_counts_what_was_lost(running, caplog):
    async with stage(running=running) as play:
        play.bus.up.clear()
        for number in range(3):
            play.announcer.tell(speaks(number))
        await play.announcer.aclose(timeout_s=0.01)
        assert (play.announcer.published, play.announcer.dropped, play.announcer.waiting) == (0, 3, 0)
        assert "3 events were not published" in caplog.text
        play.bus.up.set()
        assert await play.events() == []


async def test_an_event_whose_sending_was_cancelled_is_published_when_closing():
    async with stage(running=False) as play:
        run = asyncio.create_task(play.announcer.run())
        play.bus.hangs = True
        play.announcer.tell(speaks(1))
        play.announcer.tell(speaks(2))
        await play.settle()
        run.cancel()
        await asyncio.wait({run})
        play.bus.hangs = False
        await play.announcer.aclose()
        assert numbers(await play.events()) == [1, 2]
        assert play.announcer.published == 2
