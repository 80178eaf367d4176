"""Which moments a job has: after a moment, between two, in a month. Pure, and the whole of what a trigger knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from gateway.calendar import CalendarError
from gateway.model import SHANGHAI
from runbook.schedule.jobs import Job, Occurrence

_ONE_DAY: Final = timedelta(days=1)
_FARTHEST_DAYS: Final = 120
"""No job that has moments at all is silent for longer (the longest so far: nights from 2020-02-03 to 2020-05-05)."""


def next_occurrence(job: Job, after: datetime) -> Occurrence | None:
    """The first moment strictly after ``after`` (aware, any zone); None when there is none within 120 days.

    Raises CalendarError, which names the fix, when the calendar ends before one is found: none is ever guessed.
    """
    day = _first_day(after)
    for number in range(_FARTHEST_DAYS):
        for found in job.when(day + timedelta(days=number)):
            if found.moment > after:
                return found
    return None


def next_moment(job: Job, after: datetime) -> datetime | None:
    """The moment of :func:`next_occurrence`."""
    found = next_occurrence(job, after)
    return None if found is None else found.moment


def due(job: Job, after: datetime, until: datetime) -> list[Occurrence]:
    """The moments in ``(after, until]``, in order.

    A calendar that ends (or begins) in between only cuts the answer short: what it knows still counts.
    """
    day, last = _first_day(after), until.astimezone(SHANGHAI).date()
    found: list[Occurrence] = []
    while day <= last:
        found += [moment for moment in _known(job, day) if after < moment.moment <= until]
        day += _ONE_DAY
    return sorted(found, key=lambda occurrence: occurrence.moment)


def on_date(job: Job, day: date) -> list[Occurrence]:
    """The moments whose own date is ``day``: those of its windows, and the small hours of the night before.

    Raises CalendarError when the calendar does not know the day or its evening.
    """
    spilled = [found for found in _known(job, day - _ONE_DAY) if found.moment.date() == day]
    return spilled + [found for found in job.when(day) if found.moment.date() == day]


def known_on_date(job: Job, day: date) -> list[Occurrence]:
    """Like :func:`on_date`, but on the calendar's last evening it gives what is known instead of raising."""
    return [found for before in (day - _ONE_DAY, day) for found in _known(job, before) if found.moment.date() == day]


def _known(job: Job, day: date) -> Iterator[Occurrence]:
    """The moments before the calendar gives up: on its last day the day's are known, the evening's are not."""
    try:
        yield from job.when(day)
    except CalendarError:
        return


def _first_day(after: datetime) -> date:
    """A night's small hours belong to the date before."""
    return after.astimezone(SHANGHAI).date() - _ONE_DAY
