"""SESSION_CONFIG: what the file says reaches the windows of the jobs, their times, and T-5."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

from gateway.calendar import Calendar
from gateway.errors import SettingsError
from gateway.model import SHANGHAI
from runbook.actions.t5_checkpoint import next_checkpoint
from runbook.schedule.jobs import Job, build_jobs
from runbook.schedule.timetable import on_date
from runbook.schedule.windows import MarketWindows
from runbook.settings.jobs import JobSettings
from runbook.settings.sessions import SessionConfig, fitted, read_sessions
from runbook.supervisor.t5 import checkpoint_of

ROOT = Path(__file__).resolve().parents[4]
EXAMPLE = ROOT / "examples" / "sessions.toml"
MONDAY, FRIDAY = date(2026, 10, 12), date(2026, 10, 9)
LATE = '[day]\nopens = "09:15"\ncloses = "15:15"\n[night]\nopens = "21:30"\ncloses = "23:00"\nready_by = "21:20"\n'

Read = Callable[[str], SessionConfig]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def from_text(text: str) -> SessionConfig:
        path = tmp_path / "sessions.toml"
        path.write_text(text)
        return read_sessions(path)

    return from_text


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def jobs_of(calendar: Calendar, hours: SessionConfig, settings: JobSettings | None = None) -> dict[str, Job]:
    windows = MarketWindows(calendar, hours=hours)
    return {job.name: job for job in build_jobs(windows, settings or JobSettings())}


def moments(job: Job, on: date) -> list[str]:
    return [f"{found.moment:%m-%d %H:%M}" for found in on_date(job, on)]


def test_the_example_is_what_the_contract_says_and_the_document_shows_it(calendar: Calendar) -> None:
    hours = read_sessions(EXAMPLE)
    plain, by_file = MarketWindows(calendar), MarketWindows(calendar, hours=hours)
    assert by_file.night(MONDAY) == plain.night(MONDAY)
    day = by_file.day(MONDAY)
    assert day is not None
    assert (day.opens, day.closes) == (at("2026-10-12 09:00"), at("2026-10-12 15:00"))
    assert fitted(JobSettings(), hours) == JobSettings()
    assert EXAMPLE.read_text() in (ROOT / "docs" / "jobs.md").read_text()


def test_without_a_file_everything_is_the_calendars(calendar: Calendar) -> None:
    assert read_sessions(None) == SessionConfig()
    assert jobs_of(calendar, SessionConfig()).keys() == jobs_of(calendar, read_sessions(EXAMPLE)).keys()


def test_the_windows_of_the_jobs_follow_the_file(calendar: Calendar, read: Read) -> None:
    jobs = jobs_of(calendar, read(LATE))
    assert moments(jobs["session-open"], MONDAY) == ["10-12 09:16", "10-12 21:31"]
    assert moments(jobs["session-close"], MONDAY) == ["10-12 15:14", "10-12 22:59"]
    assert moments(jobs["hourly-health"], MONDAY)[-2:] == ["10-12 15:00", "10-12 22:00"]


def test_job_times_that_nobody_set_move_with_the_opening_and_t5_is_when_all_has_to_be_ready(
    calendar: Calendar, read: Read
) -> None:
    jobs = jobs_of(calendar, read(LATE))
    names = ("refresh-contracts", "day-start", "day-t5", "night-validate", "night-health", "night-t5")
    times = [moments(jobs[name], MONDAY)[0][-5:] for name in names]
    assert times == ["08:45", "09:00", "09:10", "21:10", "21:15", "21:20"]


@pytest.mark.parametrize("text", [LATE.replace("21:20", "21:25"), '[day]\nopens = "09:15"\ncloses = "15:15"\n'])
def test_a_set_time_stays_and_a_window_that_the_file_leaves_out_is_the_calendars(
    calendar: Calendar, read: Read, text: str
) -> None:
    jobs = jobs_of(calendar, read(text), JobSettings(day_start_at="08:30"))
    assert moments(jobs["day-start"], MONDAY) == ["10-12 08:30"]
    assert moments(jobs["day-t5"], MONDAY) == ["10-12 09:10"]
    assert moments(jobs["night-t5"], MONDAY) == ["10-12 21:25" if "night" in text else "10-12 20:55"]


def test_the_calendar_still_says_which_days_trade(calendar: Calendar, read: Read) -> None:
    windows = MarketWindows(calendar, hours=read(LATE))
    assert windows.day(date(2026, 10, 1)) is None
    assert windows.night(date(2026, 9, 30)) is None
    friday = windows.night(FRIDAY)
    assert friday is not None
    assert (friday.trading_day, friday.closes) == (20261012, at("2026-10-09 23:00"))


@pytest.mark.parametrize(
    ("window", "moment", "due", "opens", "closes"),
    [
        ("day", "2026-10-12 08:00", "2026-10-12 09:10", "2026-10-12 09:15", "2026-10-12 15:15"),
        ("night", "2026-10-12 22:00", "2026-10-12 21:20", "2026-10-12 21:30", "2026-10-12 23:00"),
    ],
)
def test_t5_follows_the_file(
    calendar: Calendar, read: Read, window: str, moment: str, due: str, opens: str, closes: str
) -> None:
    found = checkpoint_of(calendar, window, at(moment), 300, read(LATE))
    assert found is not None
    assert (found.due, found.opens, found.closes) == (at(due), at(opens), at(closes))


def test_a_session_is_over_when_the_file_says_so(calendar: Calendar, read: Read) -> None:
    small_hours = at("2026-10-13 00:30")
    assert checkpoint_of(calendar, "night", small_hours, 300) is not None
    assert checkpoint_of(calendar, "night", small_hours, 300, read(LATE)) is None
    found = next_checkpoint(calendar, None, at("2026-10-12 23:30"), 300, read(LATE))
    assert found is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[day", "is not TOML"),
        ("", r"neither \[day\] nor \[night\]"),
        ('[days]\nopens = "09:00"\n', r"days: no such table; did you mean \[day\]\?"),
        ('day = "09:00"\n', r"day: is no table; write \[day\]"),
        ('[day]\nopen = "09:00"\n', r"day\.open: no such key; did you mean opens\?"),
        ('[day]\nopens = "09:00"\n', r'day\.closes: is missing; write closes = "HH:MM"'),
        ('[day]\nopens = "9"\ncloses = "15:00"\n', r'day\.opens: is not a time of day; write "HH:MM"'),
        ("[day]\nopens = 09:00:30\ncloses = 15:00:00\n", r"day\.opens: is not a time of day"),
        ('[day]\nopens = "05:00"\ncloses = "15:00"\n', r"day\.opens: is before 06:00"),
        ('[day]\nopens = "09:00"\ncloses = "08:00"\n', r"day\.closes: is not between the opening and 20:00"),
        ('[night]\nopens = "09:00"\ncloses = "15:00"\n', r"night\.opens: is before 16:00"),
        ('[night]\nopens = "21:00"\ncloses = "08:00"\n', r"night\.closes: is neither after the opening nor by 06:00"),
        ('[day]\nopens = "09:00"\ncloses = "15:00"\nready_by = "09:00"\n', r"day\.ready_by: is not before the opening"),
    ],
)
def test_what_cannot_be_used_is_named_with_file_key_and_fix(read: Read, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        read(text)
    assert all(finding.startswith("SESSION_CONFIG (") for finding in caught.value.findings)
    assert all("sessions.toml" in finding for finding in caught.value.findings)


def test_all_that_is_wrong_is_said_at_once(read: Read) -> None:
    with pytest.raises(SettingsError) as caught:
        read('[day]\nopen = "09:00"\n[nigth]\n')
    assert len(caught.value.findings) == 4


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"SESSION_CONFIG ({tmp_path / 'none.toml'}): cannot be read")):
        read_sessions(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("settings", "text", "words"),
    [
        ({"day_t5_at": "08:58"}, 'opens = "09:15"\nready_by = "08:50"', "day_t5_at: 08:58 is after day.ready_by"),
        ({"day_t5_at": "08:58"}, 'opens = "08:55"', "day_t5_at: 08:58 is not before day.opens"),
        ({"day_start_at": "08:45"}, 'opens = "08:45"', r"day_start_at: 08:45 is not before T-5 \(08:40\)"),
        ({"drill_at": "14:15"}, 'opens = "09:00"', "drill_at: 14:15 puts a live drill outside .*09:00-14:30"),
    ],
)
def test_job_times_that_do_not_fit_the_file_are_named(
    calendar: Calendar, read: Read, settings: dict[str, str], text: str, words: str
) -> None:
    closes = "14:30" if "drill" in words else "15:00"
    with pytest.raises(SettingsError, match=words):
        jobs_of(calendar, read(f'[day]\ncloses = "{closes}"\n{text}\n'), JobSettings(**settings))
