from __future__ import annotations

from datetime import date, timedelta

import pytest

from gateway.calendar import Calendar, CalendarError, Phase, PhaseEvent, PhaseMachine, TradingDays
from tests.unit.calendar.moments import at


def told(events: tuple[PhaseEvent, ...]) -> list[str]:
    return [f"{event.at:%d %H:%M} {'+'.join(event.products)} {event.was}>{event.now}" for event in events]


def test_the_first_moment_tells_where_everything_stands(calendar: Calendar) -> None:
    machine = PhaseMachine(calendar, ["rb", "IF", "hc"])
    assert machine.due is None
    assert machine.phase("rb") is None
    assert told(machine.advance(at("2026-11-20 09:10"))) == ["20 09:10 rb+hc None>open", "20 09:10 IF None>closed"]
    assert machine.due == at("2026-11-20 09:25")
    assert machine.phase("hc") is Phase.OPEN
    assert machine.phase("zn") is None


def test_a_whole_trading_day_in_events(calendar: Calendar) -> None:
    machine = PhaseMachine(calendar, ["au"])
    machine.advance(at("2026-11-20 20:00"))
    events: list[PhaseEvent] = []
    while machine.due is not None and machine.due <= at("2026-11-23 15:00"):
        events += machine.advance(machine.due)
    assert told(tuple(events)) == [
        "20 20:55 au closed>auction",
        "20 21:00 au auction>open",
        "21 02:30 au open>closed",
        "23 08:55 au closed>auction",
        "23 09:00 au auction>open",
        "23 10:15 au open>break",
        "23 10:30 au break>open",
        "23 11:30 au open>break",
        "23 13:30 au break>open",
        "23 15:00 au open>closed",
    ]
    assert {event.trading_day for event in events} == {20261123}


def test_changes_that_were_slept_through_are_told_at_their_own_times(calendar: Calendar) -> None:
    machine = PhaseMachine(calendar, ["rb", "IF"])
    machine.advance(at("2026-11-20 09:26"))
    assert told(machine.advance(at("2026-11-20 10:20"))) == ["20 09:30 IF auction>open", "20 10:15 rb open>break"]
    assert machine.advance(at("2026-11-20 10:21")) == ()


def test_after_more_than_a_day_only_the_present_is_told(calendar: Calendar) -> None:
    machine = PhaseMachine(calendar, ["rb"])
    machine.advance(at("2026-11-18 09:00"))
    assert told(machine.advance(at("2026-11-20 12:00"))) == ["20 12:00 rb open>break"]
    assert machine.advance(at("2026-11-24 12:00")) == ()


def test_a_clock_that_steps_back_is_followed(calendar: Calendar) -> None:
    machine = PhaseMachine(calendar, ["rb"])
    machine.advance(at("2026-11-20 10:20"))
    assert told(machine.advance(at("2026-11-20 10:10"))) == ["20 10:10 rb break>open"]
    assert machine.due == at("2026-11-20 10:15")
    assert told(machine.advance(at("2026-11-20 10:15"))) == ["20 10:15 rb open>break"]


def test_the_end_of_the_calendar_is_an_error_and_leaves_the_machine_where_it_was() -> None:
    days = TradingDays.from_holidays(date(2026, 11, 16), date(2026, 11, 22), (), source="a short list")
    machine = PhaseMachine(Calendar(days), ["rb", "IF"])
    machine.advance(at("2026-11-20 14:30"))
    assert len(machine.advance(at("2026-11-20 15:01"))) == 2
    assert machine.due == at("2026-11-20 18:00")
    for _ in range(2):
        with pytest.raises(CalendarError, match="a short list knows no trading day after 2026-11-20"):
            machine.advance(at("2026-11-20 18:00"))
        assert machine.phase("rb") is Phase.CLOSED
    assert machine.advance(at("2026-11-20 17:59:59")) == ()


def test_an_error_of_one_group_takes_no_event_from_the_others() -> None:
    days = TradingDays.from_holidays(date(2026, 11, 16), date(2026, 11, 22), (), source="a short list")
    machine = PhaseMachine(Calendar(days), ["IF", "rb"])
    machine.advance(at("2026-11-20 14:59"))
    with pytest.raises(CalendarError):
        machine.advance(at("2026-11-20 19:00"))
    assert [event.now for event in machine.advance(at("2026-11-20 15:00"))] == [Phase.CLOSED, Phase.CLOSED]


def test_without_products_nothing_happens(calendar: Calendar) -> None:
    machine = PhaseMachine(calendar, [])
    assert machine.advance(at("2026-11-20 09:00") + timedelta(hours=1)) == ()
    assert machine.due is None
