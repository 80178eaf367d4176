"""October 2026, dry: the National Day holiday, its eve, Fridays, the end of the calendar."""

from __future__ import annotations

import io
import json
from datetime import date, timedelta

import pytest

from gateway.calendar import Calendar, CalendarError
from runbook.schedule.jobs import Job
from runbook.schedule.simulate import DryDay, MonthError, show_simulation, simulate
from runbook.schedule.windows import MarketWindows


@pytest.fixture(scope="module")
def october(jobs: dict[str, Job], windows: MarketWindows) -> dict[date, DryDay]:
    return {day.day: day for day in simulate("2026-10", list(jobs.values()), windows)}


def test_every_day_of_the_month_is_there(october: dict[date, DryDay]) -> None:
    assert list(october) == [date(2026, 10, 1) + timedelta(days=number) for number in range(31)]
    assert all(day.known for day in october.values())


def test_the_holiday_week_is_empty_and_says_why(october: dict[date, DryDay]) -> None:
    for number in range(1, 8):
        assert october[date(2026, 10, number)].runs == ()
    assert october[date(2026, 10, 1)].marks == ("statutory holiday",)
    assert october[date(2026, 10, 3)].marks == ("weekend",)
    assert october[date(2026, 10, 7)].marks == ("statutory holiday",)


def test_the_eve_of_the_holiday_has_its_day_but_no_night(jobs: dict[str, Job], windows: MarketWindows) -> None:
    eve = simulate("2026-09", list(jobs.values()), windows)[-1]
    assert eve.day == date(2026, 9, 30)
    assert eve.marks == ("no night session: eve of a statutory holiday, trading goes on on 2026-10-08",)
    assert {"day-start", "day-t5", "archive"} <= {run.job for run in eve.runs}
    assert all(run.window == "day" for run in eve.runs if run.moment.hour > 3)
    assert max(run.moment.hour for run in eve.runs) == 17


def test_a_fridays_night_belongs_to_monday_also_on_saturday_morning(october: dict[date, DryDay]) -> None:
    friday, saturday, sunday = (october[date(2026, 10, number)] for number in (9, 10, 11))
    evening = [run for run in friday.runs if run.window == "night" and run.moment.hour > 12]
    assert [run.job for run in evening][:3] == ["night-validate", "night-health", "night-t5"]
    assert {run.trading_day for run in (*evening, *saturday.runs)} == {20261012}
    assert {run.job for run in saturday.runs} == {"hourly-health", "session-close"}
    assert saturday.marks == ("weekend",)
    assert sunday.runs == ()


def test_a_monday_has_no_small_hours(october: dict[date, DryDay]) -> None:
    assert min(run.moment.hour for run in october[date(2026, 10, 12)].runs) == 8


def test_every_trading_day_has_the_times_of_the_operators_contract(
    october: dict[date, DryDay], calendar: Calendar
) -> None:
    for day in october.values():
        if not calendar.is_trading_day(day.day):
            continue
        times = {run.job: f"{run.moment:%H:%M}" for run in day.runs if run.job != "hourly-health"}
        assert times["day-start"] == "08:45"
        assert times["day-t5"] == "08:55"
        assert (times["night-validate"], times["night-health"], times["night-t5"]) == ("20:45", "20:50", "20:55")


def test_no_key_comes_twice(october: dict[date, DryDay]) -> None:
    keys = [run.key for day in october.values() for run in day.runs]
    assert len(keys) > 350
    assert len(set(keys)) == len(keys)


def test_the_text_and_the_json_show_the_same_runs(october: dict[date, DryDay]) -> None:
    text, machine = io.StringIO(), io.StringIO()
    assert show_simulation(list(october.values()), text, as_json=False) == 0
    assert show_simulation(list(october.values()), machine, as_json=True) == 0
    days = json.loads(machine.getvalue())["days"]
    lines = text.getvalue().splitlines()
    assert "Thu 2026-10-01  [statutory holiday]" in lines
    assert "    08:45  day-start          day    for 20261008" in lines
    total = sum(len(day["runs"]) for day in days)
    assert lines[-1].startswith(f"{total} runs on ")
    assert sum(line.startswith("    ") for line in lines) == total
    assert days[7]["runs"][0] == {
        "at": "2026-10-08T08:30:00+08:00",
        "job": "refresh-contracts",
        "window": "day",
        "trading_day": 20261008,
    }


def test_a_month_that_the_calendar_knows_in_part_says_so_with_the_fix(
    jobs: dict[str, Job], windows: MarketWindows
) -> None:
    days = simulate("2026-12", list(jobs.values()), windows)
    assert [day.day.day for day in days if not day.known] == [31]
    assert "override file" in days[-1].marks[0]
    assert "day-t5" in {run.job for run in days[-1].runs}
    assert show_simulation(days, io.StringIO(), as_json=False) == 1


def test_a_month_beyond_the_calendar_is_refused_with_the_fix(jobs: dict[str, Job], windows: MarketWindows) -> None:
    with pytest.raises(CalendarError, match=r"ends on 2026-12-31.*pip install -U exchange_calendars") as caught:
        simulate("2027-01", list(jobs.values()), windows)
    assert caught.value.exit_code == 11


@pytest.mark.parametrize("text", ["2026-13", "october", "2026-1", "2026-10-01", "0000-01", ""])
def test_what_is_no_month_is_wrong_usage(text: str, jobs: dict[str, Job], windows: MarketWindows) -> None:
    with pytest.raises(MonthError, match="write it as YYYY-MM") as caught:
        simulate(text, list(jobs.values()), windows)
    assert caught.value.exit_code == 64
