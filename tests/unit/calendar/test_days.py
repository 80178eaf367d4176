from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta

import pytest

from gateway.calendar import Calendar, CalendarError, TradingDays
from gateway.calendar.days import as_date
from tests.unit.calendar.moments import at


def week(last: date = date(2026, 11, 29), holidays: tuple[date, ...] = ()) -> TradingDays:
    return TradingDays.from_holidays(date(2026, 11, 16), last, holidays, source="a test list")


def test_weekends_and_holidays_do_not_trade(calendar: Calendar) -> None:
    assert calendar.is_trading_day(20261120)
    assert not calendar.is_trading_day(20261121)
    assert not calendar.is_trading_day(20261001)
    assert not calendar.is_trading_day(20251008)


def test_a_working_sunday_does_not_trade(calendar: Calendar) -> None:
    assert not calendar.is_trading_day(20250928)  # made up for the National Day holiday of 2025


def test_the_next_trading_day_skips_the_holiday(calendar: Calendar) -> None:
    assert calendar.next_trading_day(20260930) == date(2026, 10, 8)
    assert calendar.previous_trading_day(20261008) == date(2026, 9, 30)
    assert calendar.next_trading_day(20261003) == date(2026, 10, 8)


def test_there_is_no_night_on_the_eve_of_a_holiday_but_on_a_plain_friday(calendar: Calendar) -> None:
    assert not calendar.has_night(20260930)
    assert calendar.has_night(20261120)
    assert not calendar.has_night(20261121)
    assert not calendar.has_night(20261001)


def test_nights_were_suspended_in_the_spring_of_2020(calendar: Calendar) -> None:
    assert not calendar.has_night(20200203)
    assert not calendar.has_night(20200415)
    assert calendar.has_night(20200506)


def test_a_day_after_the_end_is_an_error_that_names_the_end_and_the_fix(calendar: Calendar) -> None:
    after = calendar.last + timedelta(days=1)
    with pytest.raises(CalendarError, match=rf"ends on {calendar.last}, before {after}.*pip install -U.*override file"):
        calendar.is_trading_day(after)
    with pytest.raises(CalendarError, match=r"exchange_calendars .*XSHG"):
        calendar.has_night(after)


def test_the_evening_of_the_last_day_is_not_guessed(calendar: Calendar) -> None:
    with pytest.raises(CalendarError, match="knows no trading day after"):
        calendar.trading_day_of(calendar.ends_at)
    assert calendar.trading_day_of(calendar.ends_at - timedelta(seconds=1)) == 20261231 or calendar.last.year > 2026


def test_a_day_before_the_beginning_is_an_error() -> None:
    with pytest.raises(CalendarError, match="a test list begins on 2026-11-16, after 2026-11-13"):
        week().is_trading_day(date(2026, 11, 13))
    with pytest.raises(CalendarError, match="no trading day before 2026-11-16"):
        week().previous(date(2026, 11, 16))


def test_extra_nights_off_are_kept() -> None:
    days = TradingDays.from_holidays(
        date(2026, 11, 16), date(2026, 11, 29), (), no_night=[date(2026, 11, 18)], source="a test list"
    )
    assert not days.has_night(date(2026, 11, 18))
    assert days.has_night(date(2026, 11, 17))


def test_a_moment_is_no_day() -> None:
    with pytest.raises(CalendarError, match="is a moment, not a day"):
        as_date(datetime(2026, 11, 20, 9, 0))  # noqa: DTZ001 - the type is what is wrong
    with pytest.raises(CalendarError, match="write it as YYYYMMDD"):
        as_date(20261399)


@pytest.mark.parametrize(
    ("moment", "trading_day"),
    [
        ("2026-11-19 09:00", 20261119),
        ("2026-11-19 15:30", 20261119),
        ("2026-11-19 18:35", 20261120),
        ("2026-11-19 21:00", 20261120),
        ("2026-11-20 01:00", 20261120),
        ("2026-11-20 21:00", 20261123),
        ("2026-11-21 00:30", 20261123),
        ("2026-11-21 02:30", 20261123),
        ("2026-11-22 12:00", 20261123),
        ("2026-09-30 21:00", 20261008),
        ("2026-10-02 10:00", 20261008),
    ],
)
def test_a_moment_belongs_to_its_trading_day(calendar: Calendar, moment: str, trading_day: int) -> None:
    assert calendar.trading_day_of(at(moment)) == trading_day


def test_a_moment_without_a_zone_is_refused(calendar: Calendar) -> None:
    with pytest.raises(CalendarError, match="has no zone"):
        calendar.trading_day_of(datetime(2026, 11, 20, 9, 0))  # noqa: DTZ001 - the missing zone is the point


def test_importing_the_calendar_does_not_load_the_library() -> None:
    code = (
        "import sys, gateway.calendar, gateway.terminal.sessions;"
        "print([name for name in ('pandas', 'numpy', 'exchange_calendars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.calendar.library import xshg_days

    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(CalendarError, match="pip install exchange_calendars"):
        xshg_days()
