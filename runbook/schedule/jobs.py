"""The jobs: what each asks the runner for, and when. Pure functions over the calendar's windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from gateway.model import SHANGHAI
from runbook.model import Exit, Mode, Window
from runbook.schedule.windows import MarketWindow, MarketWindows
from runbook.settings.jobs import JOBS, JobSettings
from runbook.settings.sessions import fitted

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri")
_OPEN_CHECK: Final = timedelta(minutes=30)
"""So late the health check of the opening still makes sense; then the hourly ones do its work."""
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One moment at which a job is due."""

    job: str
    moment: datetime
    """Aware, Shanghai."""
    window: Window
    trading_day: int
    deadline: datetime | None
    """Until when it may still begin, inclusive; None: whenever it becomes possible."""

    @property
    def key(self) -> str:
        """The same for every attempt at this moment, by whatever process: ``day-t5@2026-10-09T08:55:00+08:00``."""
        return f"{self.job}@{self.moment.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that is done by the calendar."""

    name: str
    title: str
    action: str
    """Name of the action kind that the runner is asked for."""
    when: Callable[[date], Iterator[Occurrence]]
    """Its moments in the windows that begin on a date, in order; night ones may lie on the date after."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "live"
    missed_exit: Exit | None = None
    """Exit code of a missed moment, which the runner is told; None: it goes into the log and the job's row only."""
    rule: str
    """What happens when its moment was missed; for people."""


def build_jobs(windows: MarketWindows, settings: JobSettings) -> tuple[Job, ...]:
    """All jobs of the settings, the disabled ones left out; in the order of :data:`settings.JOBS`.

    Times that nobody set follow the windows' hours. Raises SettingsError for those that do not fit them.
    """
    settings = fitted(settings, windows.hours)
    times = _Times(windows, settings)
    health = {"mode": "dry-run"}
    late_start = "runs at once while the day session goes on; then it is missed (exit 2)"
    late_t5 = f"missed after {settings.t5_grace_s:g} s (exit 16)"
    before_night = "runs until the night opens; then it is left out"
    once = "runs once, as soon as possible"
    hourly = "the last one of a session runs, once; none after the session's end"
    jobs = (
        Job(
            name="refresh-contracts",
            title="Contracts refresh before the market",
            action="refresh-contracts",
            when=times.refresh,
            rule="runs once while the day session goes on; then the next day's does",
        ),
        Job(
            name="day-start",
            title="Start for the day session",
            action="start",
            when=times.start,
            missed_exit=Exit.ERROR,
            rule=late_start,
        ),
        _t5("day-t5", "T-5 of the day session", times.day_t5, late_t5),
        Job(
            name="night-validate",
            title="Validation before the night session",
            action="validate-env",
            when=times.night_validate,
            rule=before_night,
        ),
        Job(
            name="night-health",
            title="Health check before the night session",
            action="check-feed-health",
            parameters=health,
            when=times.night_health,
            rule=before_night,
        ),
        _t5("night-t5", "T-5 of the night session", times.night_t5, late_t5),
        Job(
            name="session-open",
            title="Health check of the opening",
            action="check-feed-health",
            parameters={"mode": "enforce"},
            when=times.opening,
            rule="runs within 30 minutes; then the hourly check does its work",
        ),
        Job(
            name="hourly-health",
            title="Hourly health check",
            action="check-feed-health",
            parameters=health,
            when=times.hourly,
            rule=hourly,
        ),
        Job(
            name="session-close",
            title="Last health check of the session",
            action="check-feed-health",
            parameters=health,
            when=times.closing,
            rule="runs until the session's end; then it is left out",
        ),
        Job(
            name="drill",
            title="Weekly drill",
            action="drill",
            when=times.drill,
            mode=settings.drill_mode,
            missed_exit=Exit.WARNING,
            rule=f"runs in its window of {settings.drill_window_s / 60:g} minutes; then it is missed (exit 1)",
        ),
        Job(
            name="log-scan",
            title="Log scan",
            action="log-scan",
            when=times.log_scan,
            parameters={"trading_day": True},
            rule=once,
        ),
        Job(name="archive", title="Archive of the logs", action="archive", when=times.archive, rule=once),
        Job(name="retention", title="Removal of old files", action="retention", when=times.retention, rule=once),
    )
    assert tuple(job.name for job in jobs) == JOBS  # noqa: S101 - two tables of one module family
    return tuple(job for job in jobs if job.name not in settings.disabled)


def _t5(name: str, title: str, when: Callable[[date], Iterator[Occurrence]], rule: str) -> Job:
    return Job(name=name, title=title, action="t5-checkpoint", when=when, missed_exit=Exit.T5_MISSED, rule=rule)


def _at(text: str) -> time:
    return time.fromisoformat(text)


class _Times:
    """The moments of each job in the windows that begin on a date. CalendarError where the calendar ends."""

    def __init__(self, windows: MarketWindows, settings: JobSettings) -> None:
        self._windows = windows
        self._settings = settings

    def refresh(self, on: date) -> Iterator[Occurrence]:
        return self._in_day("refresh-contracts", on, self._settings.refresh_contracts_at, lambda day: day.closes)

    def start(self, on: date) -> Iterator[Occurrence]:
        return self._in_day("day-start", on, self._settings.day_start_at, lambda day: day.closes)

    def day_t5(self, on: date) -> Iterator[Occurrence]:
        return self._t5("day-t5", self._windows.day(on), self._settings.day_t5_at)

    def night_t5(self, on: date) -> Iterator[Occurrence]:
        return self._t5("night-t5", self._windows.night(on), self._settings.night_t5_at)

    def night_validate(self, on: date) -> Iterator[Occurrence]:
        return self._before_night("night-validate", on, self._settings.night_validate_at)

    def night_health(self, on: date) -> Iterator[Occurrence]:
        return self._before_night("night-health", on, self._settings.night_health_at)

    def log_scan(self, on: date) -> Iterator[Occurrence]:
        return self._in_day("log-scan", on, self._settings.log_scan_at, lambda _day: None)

    def archive(self, on: date) -> Iterator[Occurrence]:
        return self._in_day("archive", on, self._settings.archive_at, lambda _day: None)

    def retention(self, on: date) -> Iterator[Occurrence]:
        return self._in_day("retention", on, self._settings.retention_at, lambda _day: None)

    def opening(self, on: date) -> Iterator[Occurrence]:
        later = timedelta(minutes=self._settings.after_open_min)
        for window in self._both(on):
            yield _of("session-open", window, window.opens + later, window.opens + later + _OPEN_CHECK)

    def closing(self, on: date) -> Iterator[Occurrence]:
        earlier = timedelta(minutes=self._settings.before_close_min)
        for window in self._both(on):
            yield _of("session-close", window, window.closes - earlier, window.closes)

    def hourly(self, on: date) -> Iterator[Occurrence]:
        """At every full hour strictly inside a window, breaks included: a line that dies at lunch is seen at lunch."""
        for window in self._both(on):
            moment = window.opens.replace(minute=0, second=0, microsecond=0) + _HOUR
            while moment < window.closes:
                yield _of("hourly-health", window, moment, window.closes)
                moment += _HOUR

    def drill(self, on: date) -> Iterator[Occurrence]:
        """Once a week: on its weekday, else on the next trading day of that week, else on the last one before."""
        day = self._windows.day(on)
        if day is not None and self._drill_day(on) == on:
            moment = datetime.combine(on, _at(self._settings.drill_at), SHANGHAI)
            yield _of("drill", day, moment, moment + timedelta(seconds=self._settings.drill_window_s))

    def _drill_day(self, on: date) -> date | None:
        monday = on - timedelta(days=on.weekday())
        wanted = WEEKDAYS.index(self._settings.drill_weekday)
        order = (*range(wanted, len(WEEKDAYS)), *reversed(range(wanted)))
        week = (monday + timedelta(days=number) for number in order)
        return next((day for day in week if self._trades(day)), None)

    def _trades(self, day: date) -> bool:
        # a week may reach beyond the calendar at either end; what is not known is no day for a drill
        days = self._windows.calendar.days
        return days.first <= day <= days.last and days.is_trading_day(day)

    def _both(self, on: date) -> Iterator[MarketWindow]:
        for find in (self._windows.day, self._windows.night):
            if (window := find(on)) is not None:
                yield window

    def _in_day(
        self, job: str, on: date, at: str, deadline: Callable[[MarketWindow], datetime | None]
    ) -> Iterator[Occurrence]:
        if (day := self._windows.day(on)) is not None:
            yield _of(job, day, datetime.combine(on, _at(at), SHANGHAI), deadline(day))

    def _before_night(self, job: str, on: date, at: str) -> Iterator[Occurrence]:
        if (night := self._windows.night(on)) is not None:
            yield _of(job, night, datetime.combine(on, _at(at), SHANGHAI), night.opens)

    def _t5(self, job: str, window: MarketWindow | None, at: str) -> Iterator[Occurrence]:
        if window is not None:
            moment = datetime.combine(window.opens.date(), _at(at), SHANGHAI)
            yield _of(job, window, moment, moment + timedelta(seconds=self._settings.t5_grace_s))


def _of(job: str, window: MarketWindow, moment: datetime, deadline: datetime | None) -> Occurrence:
    return Occurrence(job=job, moment=moment, window=window.window, trading_day=window.trading_day, deadline=deadline)
