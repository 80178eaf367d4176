"""``runbook jobs --simulate 2026-10``: a month as a dry calendar. Nothing waits, nothing runs, no clock is read."""

from __future__ import annotations

import json
import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, TextIO

from gateway.calendar import CalendarError
from runbook.model import Exit
from runbook.schedule.jobs import Job, Occurrence
from runbook.schedule.timetable import known_on_date
from runbook.schedule.windows import MarketWindows

_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


class MonthError(CalendarError):
    """What was given is no month."""

    code = "month"
    exit_code = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DryDay:
    """One date of the calendar."""

    day: date
    marks: tuple[str, ...]
    """Why there is no day session, or no night; what the calendar does not know, with the fix."""
    known: bool
    """False: the calendar ends before the day or its evening is over, so that jobs may be missing here."""
    runs: tuple[Occurrence, ...]
    """By moment."""


def simulate(month: str, jobs: Sequence[Job], windows: MarketWindows) -> list[DryDay]:
    """Every day of a month, ``YYYY-MM``.

    Raises MonthError for other text, CalendarError (naming the fix) for a month that the calendar does not reach
    at all. One that it reaches in part is given, with its unknown days marked.
    """
    found = _MONTH.fullmatch(month)
    if found is None or int(found[1]) == 0:
        raise MonthError(f"{month!r} is not a month; write it as YYYY-MM, for example 2026-10", month=month)
    first = date(int(found[1]), int(found[2]), 1)
    windows.calendar.is_trading_day(first)  # raises for a month beyond the calendar
    every = (first + timedelta(days=number) for number in range(monthrange(first.year, first.month)[1]))
    return [_day(day, jobs, windows) for day in every]


def show_simulation(days: Sequence[DryDay], out: TextIO, *, as_json: bool) -> int:
    """Print them. Returns 0, or 1 when the calendar does not know all of them."""
    if as_json:
        json.dump({"days": [_as_json(day) for day in days]}, out, indent=2, ensure_ascii=False)
        out.write("\n")
    else:
        for day in days:
            mark = f"  [{'; '.join(day.marks)}]" if day.marks else ""
            out.write(f"{day.day:%a %Y-%m-%d}{mark}\n")
            out.writelines(_line(run) for run in day.runs)
        total = sum(len(day.runs) for day in days)
        out.write(f"{total} runs on {sum(bool(day.runs) for day in days)} of {len(days)} days; times are Shanghai\n")
    return Exit.OK if all(day.known for day in days) else Exit.WARNING


def _day(day: date, jobs: Sequence[Job], windows: MarketWindows) -> DryDay:
    runs = sorted((run for job in jobs for run in known_on_date(job, day)), key=lambda run: run.moment)
    known, marks = True, []
    for ask in (windows.why_closed, windows.why_no_night):
        try:
            mark = ask(day)
        except CalendarError as error:
            mark, known = str(error), False
        if mark and mark not in marks:
            marks.append(mark)
    return DryDay(day=day, marks=tuple(marks), known=known, runs=tuple(runs))


def _line(run: Occurrence) -> str:
    return f"    {run.moment:%H:%M}  {run.job:<18} {run.window:<5}  for {run.trading_day}\n"


def _as_json(day: DryDay) -> dict[str, Any]:
    return {
        "date": day.day.isoformat(),
        "marks": list(day.marks),
        "known": day.known,
        "runs": [
            {"at": run.moment.isoformat(), "job": run.job, "window": run.window, "trading_day": run.trading_day}
            for run in day.runs
        ],
    }
