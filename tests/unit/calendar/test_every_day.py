"""Every day and every night of the futures calendar in ../shared/data, 2020-12-31 to 2026-12-31.

Twice: without an override file the calendar differs from the list on exactly one day, where the list is wrong; with
the list as override file it agrees on all of them.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from gateway.calendar import Calendar, CalendarError, Phase, TradingDays, load_calendar
from gateway.calendar.days import as_number
from gateway.model import SHANGHAI
from tests.unit.calendar.futures_list import NAME, FuturesList

pytestmark = pytest.mark.recorded

WRONG = date(2025, 10, 8)
"""The list trades on it and opens a night. The holiday was 1 to 8 October 2025 (National Day and Mid-Autumn Festival;
State Council, notice 国办发明电〔2024〕12号 of 2024-11-12), so nothing traded: the list has the seven days of a year
without the Mid-Autumn Festival in it."""
BEFORE, AFTER = date(2025, 9, 30), date(2025, 10, 9)

NIGHT_ENDS = {"rb": 23, "m": 23, "SR": 23, "cu": 25, "au": 26.5, "sc": 26.5}
"""Hours after the midnight before the night."""
DAY_ONLY = ("si", "AP", "jd", "wr", "IF", "T", "IO", "SSE_O", "SZSE_O")
AROUND_THE_CLOCK = ("00:00", "00:30", "02:29", "02:30", "08:54", "09:30", "12:00", "15:00", "17:59", "18:00", "20:55",
                    "21:00", "22:59", "23:59")  # fmt: skip


@pytest.fixture(scope="module")
def listed(data: Path) -> FuturesList:
    return FuturesList.read(data)


@pytest.fixture(scope="module")
def overridden(data: Path) -> Calendar:
    return load_calendar(data / NAME)


def moment(day: date, clock: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), SHANGHAI)


def differing_days(calendar: Calendar, listed: FuturesList) -> list[date]:
    return [day for day in listed.days() if calendar.is_trading_day(day) != listed.trades(day)]


def differing_nights(calendar: Calendar, listed: FuturesList) -> list[date]:
    """By evening, without the last one."""
    return [day for day in listed.days() if day < listed.last and calendar.has_night(day) != listed.night(day)]


def differing_sessions(calendar: Calendar, listed: FuturesList) -> set[tuple[str, date]]:
    """Products and trading days whose sessions are not what the list implies; 2020-12-31 has its night before it."""
    return {
        (product, day)
        for day in listed.days()
        if day > listed.first
        for product in (*NIGHT_ENDS, *DAY_ONLY)
        if [(session.kind, session.opens.date(), session.trading_day) for session in calendar.sessions(product, day)]
        != expected_sessions(product, day, listed)
    }


def expected_sessions(product: str, day: date, listed: FuturesList) -> list[tuple[str, date, int]]:
    if not listed.trades(day):
        return []
    evening = listed.preceding(day)
    night = [("night", evening, as_number(day))] if product in NIGHT_ENDS and listed.night(evening) else []
    return [*night, ("day", day, as_number(day))]


def differing_phases(calendar: Calendar, listed: FuturesList) -> set[date]:
    """Days on which a product is open when the list says no, or the other way round, at half past the hour."""
    return {
        day
        for day in listed.days()
        if listed.first < day < listed.last
        for product in (*NIGHT_ENDS, *DAY_ONLY)
        for clock in ("00:30", "01:30", "09:45", "14:30", "21:30", "23:30")
        if (calendar.phase(product, moment(day, clock)) is Phase.OPEN) != trading(product, day, clock, listed)
    }


def trading(product: str, day: date, clock: str, listed: FuturesList) -> bool:
    hour = int(clock[:2]) + 0.5
    if 9 < hour < 15:
        return listed.trades(day)
    evening, hour = (day, hour) if hour > 20 else (day - timedelta(days=1), hour + 24)
    return listed.night(evening) and hour < NIGHT_ENDS.get(product, 0)


def misattributed(calendar: Calendar, listed: FuturesList) -> list[datetime]:
    """Moments whose trading day is not the list's; the last evening belongs to a day that nobody knows."""
    return [
        at
        for day in listed.days()
        for at in (moment(day, clock) for clock in AROUND_THE_CLOCK)
        if at < calendar.ends_at and calendar.trading_day_of(at) != as_number(attributed(at, listed))
    ]


def attributed(at: datetime, listed: FuturesList) -> date:
    day = at.date()
    return day if listed.trades(day) and at.hour < 18 else listed.following(day)


def test_the_list_is_whole(listed: FuturesList) -> None:
    assert (listed.first, listed.last) == (date(2020, 12, 31), date(2026, 12, 31))
    assert len(list(listed.days())) == 2192
    traded = Counter(day.year for day in listed.days() if listed.trades(day))
    # 2025 had 243 trading days: the wrong one is counted
    assert traded == {2020: 1, 2021: 243, 2022: 242, 2023: 242, 2024: 242, 2025: 244, 2026: 242}
    assert len(listed.no_night) == 40


def test_the_nights_off_in_the_list_follow_from_its_holidays(listed: FuturesList) -> None:
    days = TradingDays.from_holidays(listed.first, listed.last, listed.holidays, source="the list")
    assert {day for day in days.open_days if day < listed.last and not days.has_night(day)} == listed.no_night


def test_days_and_nights_agree_but_for_the_lists_one_wrong_day(calendar: Calendar, listed: FuturesList) -> None:
    assert differing_days(calendar, listed) == [WRONG]
    assert differing_nights(calendar, listed) == [WRONG]


def test_sessions_of_every_product_agree_but_for_the_wrong_day_and_the_night_after_it(
    calendar: Calendar, listed: FuturesList
) -> None:
    wrong_day = {(product, WRONG) for product in (*NIGHT_ENDS, *DAY_ONLY)}
    wrong_night = {(product, AFTER) for product in NIGHT_ENDS}
    assert differing_sessions(calendar, listed) == wrong_day | wrong_night
    assert differing_phases(calendar, listed) == {WRONG, AFTER}


def test_moments_are_attributed_alike_but_for_those_before_the_wrong_day_ends(
    calendar: Calendar, listed: FuturesList
) -> None:
    found = misattributed(calendar, listed)
    holiday = [BEFORE + timedelta(days=number) for number in range(9)]
    every = [moment(day, clock) for day in holiday for clock in AROUND_THE_CLOCK]
    assert found == [at for at in every if moment(BEFORE, "18:00") <= at < moment(WRONG, "18:00")]
    assert {calendar.trading_day_of(at) for at in found} == {20251009}
    assert {attributed(at, listed) for at in found} == {WRONG}


def test_the_wrong_day_was_a_holiday(calendar: Calendar) -> None:
    assert calendar.next_trading_day(BEFORE) == AFTER
    assert not calendar.has_night(BEFORE)
    assert calendar.phase("au", moment(WRONG, "10:00")) is Phase.CLOSED
    assert calendar.phase("au", moment(WRONG, "21:30")) is Phase.CLOSED
    assert [session.kind for session in calendar.sessions("au", AFTER)] == ["day"]


def test_with_the_list_as_override_file_all_agrees_on_every_day_and_night(
    overridden: Calendar, listed: FuturesList
) -> None:
    assert differing_days(overridden, listed) == []
    assert differing_nights(overridden, listed) == []
    assert differing_sessions(overridden, listed) == set()
    assert differing_phases(overridden, listed) == set()
    assert misattributed(overridden, listed) == []


def test_an_override_file_with_the_wrong_day_is_followed_but_not_in_silence(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load_calendar(data / NAME)
    assert "differ, the file is followed: 2025-10-08 trades by the file" in caplog.text


def test_the_list_with_its_day_mended_says_what_the_calendar_says(
    calendar: Calendar, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / NAME
    text = (data / NAME).read_text("utf-8")
    file.write_text(text.replace("    2025-10-07,\n", "    2025-10-07,\n    2025-10-08,\n"), "utf-8")
    mended = load_calendar(file)
    assert mended.days.open_days == calendar.days.open_days
    assert [day for day in mended.days.open_days[:-1] if mended.has_night(day) != calendar.has_night(day)] == []
    assert "differ" not in caplog.text


@pytest.mark.parametrize("which", ["calendar", "overridden"])
def test_the_last_evening_is_not_guessed(which: str, request: pytest.FixtureRequest, listed: FuturesList) -> None:
    calendar: Calendar = request.getfixturevalue(which)
    ends = f"knows no trading day after {calendar.last}"
    with pytest.raises(CalendarError, match=ends):
        calendar.has_night(calendar.last)
    with pytest.raises(CalendarError, match=ends):
        calendar.phase("rb", moment(calendar.last, "21:30"))
    with pytest.raises(LookupError):
        listed.following(listed.last)
