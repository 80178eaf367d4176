"""The action ``log-scan``: how many errors the logs of a day have."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator

from gateway.calendar import CalendarError, load_calendar
from gateway.calendar.days import SATURDAY
from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.maintenance.log_scan import Scan, scan_logs
from runbook.maintenance.placing import place, shanghai_time, shown
from runbook.model import ActionResult, Exit
from runbook.runner.masking import Masker
from runbook.settings import secrets_of

_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_TIMEOUT_S = 900.0


class ScanParameters(BaseModel, extra="forbid", frozen=True):
    """What is counted, and how much is too much."""

    date: str = Field(
        "today",
        description="today, yesterday, or a day such as 2026-11-21, in Shanghai",
    )
    trading_day: bool = Field(
        False, description="The trading day of that date: from 18:00 of the one before, so with its night, to 18:00"
    )
    keywords: list[str] = Field(
        default_factory=lambda: ["ERROR", "CRITICAL"],
        min_length=1,
        max_length=50,
        description="Levels or words, comma separated",
    )
    write_summary: bool = Field(False, description="Write log_scan_YYYYMMDD.json and .txt into the log directory")
    max_total: int = Field(
        0, ge=0, description="So many lines are fine; more: exit 1, and of CRITICAL or FATAL: exit 2"
    )

    @field_validator("keywords", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        if isinstance(given, str):
            given = given.split(",")
        if isinstance(given, list):
            given = [word.strip() if isinstance(word, str) else word for word in given]
            return [word for word in given if word]
        return given

    @field_validator("date")
    @classmethod
    def _readable(cls, given: str) -> str:
        day_of(given, date(2000, 1, 1))
        return given


def day_of(text: str, today: date) -> date:
    """The day that is meant. Raises ValueError."""
    if text in ("today", "yesterday"):
        return today - timedelta(days=text == "yesterday")
    match = _DAY.fullmatch(text)
    if match is None:
        raise ValueError("is no day; write today, yesterday, or for example 2026-11-21")
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        raise ValueError("is no day of the calendar") from None


async def log_scan(context: ActionContext, parameters: ScanParameters) -> ActionResult:
    """Exit code 0: at most ``max_total``; 1: more; 2: more of CRITICAL or FATAL alone, or a log cannot be read."""
    day = day_of(parameters.date, shanghai_time(context.clock.wall_ns()).date())
    since = await asyncio.to_thread(_before, context, day) if parameters.trading_day else None
    scan = await asyncio.to_thread(scan_logs, context.log_dir, day, parameters.keywords, since)
    masker = Masker(secrets_of(context.settings) | secrets_of(context.runbook))
    summary = masker.mapping(scan.as_json())
    code = exit_code_of(scan, parameters.max_total)
    summary |= {"max_total": parameters.max_total, "exit_code": int(code)}
    output = ""
    if parameters.write_summary and not context.request.dry_run:
        path = context.log_dir / f"log_scan_{day:%Y%m%d}.json"
        try:
            await asyncio.to_thread(_write, path, summary, masker.text(scan.as_text()))
        except OSError as error:
            said = f"the summary cannot be written: {error.strerror} ({path}); make room or correct the rights"
            return ActionResult(exit_code=Exit.ERROR, message=said, details=summary)
        output = shown(path, context.log_dir)
    # without the keywords: this text gets into a log, too
    said = f"{scan.total} of {scan.lines} lines of {day.isoformat()} count (at most {parameters.max_total} may)"
    if scan.failed_checks:
        said += f"; beside them {scan.failed_checks} failed checks, which have exit codes of their own"
    if scan.unreadable:
        said += f"; {len(scan.unreadable)} logs could not be read, the first: {scan.unreadable[0].name}"
    return ActionResult(exit_code=code, message=said, details=summary, output=output)


def _before(context: ActionContext, day: date) -> date:
    """The trading day before; beyond the calendar the weekday before: a log that nobody reads would be worse."""
    known = context.settings.calendar
    try:
        return load_calendar(known.overrides, cache=known.cache_directory).previous_trading_day(day)
    except CalendarError as error:
        context.tell("calendar", f"{error}; the weekday before counts as the trading day before", {})
        return next(one for one in (day - timedelta(days=days) for days in range(1, 8)) if one.weekday() < SATURDAY)


def exit_code_of(scan: Scan, max_total: int) -> Exit:
    """What could not be read may hold anything, so it never passes."""
    if scan.unreadable or scan.grave > max_total:
        return Exit.ERROR
    return Exit.WARNING if scan.total > max_total else Exit.OK


def _write(path: Path, summary: dict[str, Any], text: str) -> None:
    place(path, (json.dumps(summary, ensure_ascii=False, indent=2) + "\n").encode())
    place(path.with_suffix(".txt"), text.encode())


def _build() -> Any:
    return log_scan


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``log-scan``."""
    return [
        ActionKind(
            name="log-scan",
            title="Scan the logs",
            build=_build,
            parameters=ScanParameters,
            changes=False,
            exclusive=False,
            timeout_s=_TIMEOUT_S,
        )
    ]
