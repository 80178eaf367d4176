from __future__ import annotations

from datetime import datetime, timedelta

from gateway.model import SHANGHAI
from runbook.schedule.jobs import Job
from runbook.schedule.timetable import next_moment
from runbook.schedule.trigger import CalendarTrigger

NOW = datetime(2026, 10, 9, 12, 30, tzinfo=SHANGHAI)


def test_the_first_fire_time_is_the_first_moment_after_now(jobs: dict[str, Job]) -> None:
    trigger = CalendarTrigger(lambda after: next_moment(jobs["hourly-health"], after))
    assert trigger.get_next_fire_time(None, NOW) == NOW.replace(hour=13, minute=0)


def test_a_moment_is_not_fired_again_when_the_timer_was_a_little_early(jobs: dict[str, Job]) -> None:
    trigger = CalendarTrigger(lambda after: next_moment(jobs["hourly-health"], after))
    fired = NOW.replace(hour=13, minute=0)
    assert trigger.get_next_fire_time(fired, fired - timedelta(milliseconds=3)) == NOW.replace(hour=14, minute=0)


def test_moments_that_passed_are_skipped_because_the_misfire_rules_know_them(jobs: dict[str, Job]) -> None:
    trigger = CalendarTrigger(lambda after: next_moment(jobs["hourly-health"], after))
    assert trigger.get_next_fire_time(NOW - timedelta(days=2), NOW) == NOW.replace(hour=13, minute=0)


def test_a_function_without_moments_ends_the_job() -> None:
    assert CalendarTrigger(lambda _after: None).get_next_fire_time(None, NOW) is None
