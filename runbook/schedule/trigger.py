"""APScheduler's view of a job: a trigger that asks the timetable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from apscheduler.triggers.base import BaseTrigger  # type: ignore[import-untyped]  # the package has no types


class CalendarTrigger(BaseTrigger):  # type: ignore[misc]  # its base has no types
    """Fires at the moments of a pure function.

    Moments that have passed are skipped, not handed out one by one: what becomes of them is decided by the misfire
    rules, which know them all. ``next_moment`` must not raise; None ends the job in APScheduler.
    """

    def __init__(self, next_moment: Callable[[datetime], datetime | None]) -> None:
        self._next_moment = next_moment

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first moment after both."""
        return self._next_moment(now if previous_fire_time is None else max(previous_fire_time, now))
