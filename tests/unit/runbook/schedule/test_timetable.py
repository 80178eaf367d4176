"""The moments of the jobs, straight from the functions: no scheduler, no clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calendar import Calendar, CalendarError
from gateway.model import SHANGHAI
from runbook.schedule.jobs import Job, build_jobs
from runbook.schedule.timetable import due, known_on_date, next_moment, next_occurrence, on_date
from runbook.schedule.windows import MarketWindows
from runbook.settings.jobs import JobSettings

YEAR = [date(2026, 1, 2) + timedelta(days=number) for number in range(363)]
NIGHT_ONLY = ("night-validate", "night-health", "night-t5")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("job", "after", "expected"),
    [
        ("day-start", "2026-10-12 08:44:59", "2026-10-12 08:45"),
        ("day-start", "2026-10-12 08:45:00", "2026-10-13 08:45"),
        ("day-start", "2026-10-09 09:00", "2026-10-12 08:45"),
        ("day-start", "2026-09-30 09:00", "2026-10-08 08:45"),
        ("day-t5", "2026-10-08 08:50", "2026-10-08 08:55"),
        ("night-validate", "2026-10-08 12:00", "2026-10-08 20:45"),
        ("night-health", "2026-10-08 12:00", "2026-10-08 20:50"),
        ("night-t5", "2026-10-08 12:00", "2026-10-08 20:55"),
        ("night-t5", "2026-09-29 20:55", "2026-10-08 20:55"),
        ("night-t5", "2026-10-09 20:55", "2026-10-12 20:55"),
        ("session-open", "2026-10-09 02:30", "2026-10-09 09:01"),
        ("session-open", "2026-10-09 09:01", "2026-10-09 21:01"),
        ("hourly-health", "2026-10-09 22:30", "2026-10-09 23:00"),
        ("hourly-health", "2026-10-09 23:00", "2026-10-10 00:00"),
        ("hourly-health", "2026-10-10 02:00", "2026-10-12 10:00"),
        ("session-close", "2026-10-10 00:00", "2026-10-10 02:29"),
        ("refresh-contracts", "2026-10-01 00:00", "2026-10-08 08:30"),
        ("drill", "2026-10-08 14:15", "2026-10-14 14:15"),
        ("retention", "2026-10-08 17:00", "2026-10-09 17:00"),
    ],
)
def test_the_next_moment_follows_the_calendar(jobs: dict[str, Job], job: str, after: str, expected: str) -> None:
    assert next_moment(jobs[job], at(after)) == at(expected)


def test_a_moment_may_be_asked_for_in_any_zone(jobs: dict[str, Job]) -> None:
    after = datetime(2026, 10, 12, 0, 44, tzinfo=UTC)
    found = next_moment(jobs["day-start"], after)
    assert found == at("2026-10-12 08:45")
    assert found is not None
    assert found.utcoffset() == timedelta(hours=8)


def test_in_a_year_no_moment_lies_on_a_day_off_unless_it_ends_the_night_before(
    jobs: dict[str, Job], calendar: Calendar
) -> None:
    for day in YEAR:
        if calendar.is_trading_day(day):
            continue
        for job in jobs.values():
            for found in known_on_date(job, day):
                assert found.window == "night", found
                assert found.moment.hour < 3, found
                assert calendar.has_night(day - timedelta(days=1)), found


def test_in_a_year_each_trading_day_has_its_start_its_t5_and_its_daily_jobs_once(
    jobs: dict[str, Job], calendar: Calendar
) -> None:
    daily = ("refresh-contracts", "day-start", "day-t5", "log-scan", "archive", "retention")
    for day in YEAR:
        for name in daily:
            assert len(known_on_date(jobs[name], day)) == calendar.is_trading_day(day), (name, day)


def test_in_a_year_night_jobs_are_exactly_on_evenings_with_a_night_session(
    jobs: dict[str, Job], calendar: Calendar
) -> None:
    assert sum(calendar.has_night(day) for day in YEAR) > 200
    for day in YEAR:
        for name in NIGHT_ONLY:
            found = known_on_date(jobs[name], day)
            assert len(found) == calendar.has_night(day), (name, day)
            for each in found:
                following = calendar.next_trading_day(day)
                assert each.trading_day == int(f"{following:%Y%m%d}")


def test_in_a_year_there_is_one_drill_in_each_week_that_trades(jobs: dict[str, Job], calendar: Calendar) -> None:
    weeks: dict[tuple[int, int], int] = {}
    for day in YEAR:
        week = day.isocalendar()[:2]
        weeks.setdefault(week, 0)
        weeks[week] += len(known_on_date(jobs["drill"], day))
    trading = {day.isocalendar()[:2] for day in YEAR if calendar.is_trading_day(day)}
    # 2025-12-31 was a Wednesday: the drill of the year's first week lies before this list
    assert {week for week, count in weeks.items() if count == 1} == trading - {(2026, 1)}
    assert max(weeks.values()) == 1


def test_a_drill_whose_weekday_is_a_holiday_moves_within_its_week(jobs: dict[str, Job], windows: MarketWindows) -> None:
    assert next_moment(jobs["drill"], at("2026-10-05 00:00")) == at("2026-10-08 14:15")  # Wednesday is a holiday
    friday = {job.name: job for job in build_jobs(windows, JobSettings(drill_weekday="fri"))}["drill"]
    assert next_moment(friday, at("2026-09-28 00:00")) == at("2026-09-30 14:15")  # Thursday and Friday are


def test_in_a_year_health_checks_lie_strictly_inside_a_window_an_hour_apart(
    jobs: dict[str, Job], windows: MarketWindows
) -> None:
    for day in YEAR[:-1]:
        for window in (windows.day(day), windows.night(day)):
            if window is None:
                continue
            inside = due(jobs["hourly-health"], window.opens - timedelta(hours=1), window.closes + timedelta(hours=1))
            moments = [found.moment for found in inside]
            assert len(moments) == (6 if window.window == "day" else 5)
            assert all(window.opens < moment < window.closes for moment in moments)
            assert {later - moment for moment, later in pairwise(moments)} == {timedelta(hours=1)}
            assert {found.trading_day for found in inside} == {window.trading_day}


@settings(max_examples=150, deadline=None)
@given(minutes=st.integers(0, 360 * 1440), job=st.sampled_from(["day-t5", "hourly-health", "session-close", "drill"]))
def test_the_next_moment_is_the_first_one_that_is_due_after_a_moment(minutes: int, job: str) -> None:
    jobs_now = _JOBS()
    after = at("2026-01-02 00:00") + timedelta(minutes=minutes)
    if after > at("2026-12-15 00:00"):
        return
    found = next_moment(jobs_now[job], after)
    assert found is not None
    assert found > after
    assert due(jobs_now[job], after, found - timedelta(microseconds=1)) == []
    assert [each.moment for each in due(jobs_now[job], after, found)] == [found]


def test_what_is_due_in_pieces_is_what_is_due_at_once(jobs: dict[str, Job]) -> None:
    start, end = at("2026-09-28 00:00"), at("2026-10-13 00:00")
    for job in jobs.values():
        pieces = []
        moment = start
        while moment < end:
            pieces += due(job, moment, moment + timedelta(hours=1, minutes=20))
            moment += timedelta(hours=1, minutes=20)
        assert pieces == due(job, start, moment)
        assert len(pieces) == len({each.key for each in pieces})


def test_deadlines_never_go_back_from_one_moment_to_the_next(jobs: dict[str, Job]) -> None:
    for job in jobs.values():
        found = due(job, at("2026-01-05 00:00"), at("2026-12-20 00:00"))
        limits = [each.deadline for each in found if each.deadline is not None]
        assert limits == sorted(limits)
        assert len(limits) in {0, len(found)}
        assert all(each.deadline is None or each.deadline > each.moment for each in found)


def test_beyond_the_calendars_end_no_moment_is_invented(jobs: dict[str, Job]) -> None:
    assert next_moment(jobs["day-start"], at("2026-12-30 12:00")) == at("2026-12-31 08:45")
    for name, after in (
        ("day-start", "2026-12-31 08:45"),
        ("night-t5", "2026-12-30 20:55"),
        ("drill", "2026-12-31 0:00"),
    ):
        with pytest.raises(CalendarError, match=r"pip install -U exchange_calendars.*override file"):
            next_moment(jobs[name], at(after.replace(" 0:", " 00:")))


def test_the_last_day_keeps_its_day_jobs_although_its_evening_is_not_known(jobs: dict[str, Job]) -> None:
    last = date(2026, 12, 31)
    assert [each.moment for each in known_on_date(jobs["session-open"], last)] == [at("2026-12-31 09:01")]
    with pytest.raises(CalendarError):
        on_date(jobs["session-open"], last)
    found = due(jobs["hourly-health"], at("2026-12-31 06:00"), at("2027-01-05 00:00"))
    assert [each.moment.hour for each in found] == [10, 11, 12, 13, 14, 15]


def test_products_without_a_night_have_no_night_jobs(calendar: Calendar) -> None:
    built = build_jobs(MarketWindows(calendar, ["IF", "IC"]), JobSettings())
    jobs = {job.name: job for job in built}
    assert next_occurrence(jobs["night-t5"], at("2026-06-01 00:00")) is None
    assert next_moment(jobs["session-open"], at("2026-06-01 00:00")) == at("2026-06-01 09:31")
    assert next_moment(jobs["session-close"], at("2026-06-01 00:00")) == at("2026-06-01 14:59")


def test_a_disabled_job_is_left_out(windows: MarketWindows) -> None:
    names = [job.name for job in build_jobs(windows, JobSettings(disabled=["drill", "archive"]))]
    assert "drill" not in names
    assert "archive" not in names
    assert len(names) == 11


def test_times_come_from_the_settings(windows: MarketWindows) -> None:
    changed = JobSettings(day_start_at="08:20", after_open_min=5, drill_weekday="mon", drill_at="10:40")
    jobs = {job.name: job for job in build_jobs(windows, changed)}
    assert next_moment(jobs["day-start"], at("2026-10-12 00:00")) == at("2026-10-12 08:20")
    assert next_moment(jobs["session-open"], at("2026-10-12 03:00")) == at("2026-10-12 09:05")
    assert next_moment(jobs["drill"], at("2026-10-10 00:00")) == at("2026-10-12 10:40")


class _Lazy:
    """Hypothesis wants no function-scoped fixtures; this is built once."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def __call__(self) -> dict[str, Job]:
        if not self._jobs:
            from gateway.calendar import load_calendar

            self._jobs = {job.name: job for job in build_jobs(MarketWindows(load_calendar()), JobSettings())}
        return self._jobs


_JOBS = _Lazy()


def test_no_health_check_at_the_very_close(calendar: Calendar) -> None:
    jobs = {job.name: job for job in build_jobs(MarketWindows(calendar, ["rb"]), JobSettings())}
    found = due(jobs["hourly-health"], at("2026-10-12 06:00"), at("2026-10-13 06:00"))
    assert [each.moment.hour for each in found] == [10, 11, 12, 13, 14, 22]  # rb closes at 15:00 and 23:00
    assert next_moment(jobs["session-close"], at("2026-10-12 10:00")) == at("2026-10-12 14:59")
