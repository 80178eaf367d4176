"""``runbook jobs``: a row for each job, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from gateway.calendar import CalendarError
from runbook.model import Exit
from runbook.schedule.jobs import Job, Occurrence
from runbook.schedule.state import JobState
from runbook.schedule.timetable import next_occurrence


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as it stands."""

    job: Job
    next: Occurrence | None
    problem: str
    """Why there is no next moment; names the fix when it is the calendar's end."""
    state: JobState | None
    """None: no scheduler has run yet."""

    @property
    def paused(self) -> bool:
        return self.state is not None and self.state.pause is not None

    def as_json(self) -> dict[str, Any]:
        """JSON values; times are RFC 3339 with +08:00."""
        state, ahead = self.state, self.next
        pause = state.pause if state else None
        return {
            "name": self.job.name,
            "title": self.job.title,
            "action": self.job.action,
            "next": _iso(ahead.moment if ahead else None),
            "window": ahead.window if ahead else None,
            "trading_day": ahead.trading_day if ahead else None,
            "problem": self.problem,
            "if_missed": self.job.rule,
            "last": {
                "moment": _iso(state.moment),
                "at": _iso(state.at),
                "outcome": state.outcome,
                "run": state.run,
                "note": state.note,
            }
            if state and state.outcome
            else None,
            "paused": {"at": _iso(pause.at), "by": pause.by, "reason": pause.reason} if pause else None,
        }


def job_row(job: Job, state: JobState | None, now: datetime) -> JobRow:
    """How a job stands at a moment. Never raises for a calendar that ends: the row says it."""
    try:
        ahead = next_occurrence(job, now)
    except CalendarError as error:
        return JobRow(job=job, next=None, problem=str(error), state=state)
    return JobRow(job=job, next=ahead, problem="" if ahead else "no moment in the next 120 days", state=state)


def show_jobs(rows: Sequence[JobRow], out: TextIO, *, as_json: bool, warning: str = "") -> int:
    """Print them, the next to run first; ``warning`` is about the calendar.

    Returns 0, or 1 when there is a warning or a job without a next moment.
    """
    if as_json:
        json.dump({"jobs": [row.as_json() for row in rows], "warning": warning}, out, indent=2, ensure_ascii=False)
        out.write("\n")
    else:
        table = Table("job", "next (Shanghai)", "window", "trading day", "last", "state", box=None, pad_edge=False)
        for row in sorted(rows, key=lambda row: (row.next is None, row.next.moment.isoformat() if row.next else "")):
            table.add_row(*_cells(row))
        console = Console(file=out, width=None if out.isatty() else 160, markup=False, highlight=False)
        console.print(table)
        for text in _texts(rows, warning):
            console.print(text, soft_wrap=True)
    return Exit.WARNING if warning or any(row.problem for row in rows) else Exit.OK


def _cells(row: JobRow) -> tuple[str, ...]:
    ahead, state = row.next, row.state
    last = f"{state.outcome} {state.moment:%m-%d %H:%M}" if state and state.moment else "-"
    return (
        row.job.name,
        f"{ahead.moment:%a %Y-%m-%d %H:%M}" if ahead else "none",
        ahead.window if ahead else "-",
        str(ahead.trading_day) if ahead else "-",
        last,
        "paused" if row.paused else "on",
    )


def _texts(rows: Iterable[JobRow], warning: str) -> list[str]:
    texts = [f"{row.job.name}: {row.problem}" for row in rows if row.problem and row.problem not in warning]
    for row in rows:
        if row.state and (pause := row.state.pause):
            why = f": {pause.reason}" if pause.reason else ""
            texts.append(f"{row.job.name}: paused by {pause.by} at {pause.at:%Y-%m-%d %H:%M}{why}")
    return [*texts, f"warning: {warning}"] if warning else texts


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
