"""Calendars for processes that read the machine's clock: one that covers now, and one whose market is closed now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

from gateway.calendar import load_calendar
from gateway.model import SHANGHAI

_DAY = timedelta(days=1)


@cache
def _last() -> date:
    return load_calendar().last


def coming_days(directory: Path) -> dict[str, str]:
    """Variables for a process that needs to know today; empty while the installed package does."""
    return _written(directory, []) if _today() + 30 * _DAY >= _last() else {}


def closed_days(directory: Path) -> dict[str, str]:
    """Variables for a process that shall find no trading day around now, at whatever hour it runs: no T-5 is due."""
    return _written(directory, [_today() + days * _DAY for days in range(-2, 4)])


def _today() -> date:
    return datetime.now(SHANGHAI).date()


def _written(directory: Path, holidays: Iterable[date]) -> dict[str, str]:
    lines = [f"holiday_dates = [{', '.join(day.isoformat() for day in holidays)}]"]
    if _today() + 30 * _DAY >= _last():
        lines += [f"start_date = {_last() + _DAY}", f"end_date = {_today() + 366 * _DAY}"]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "days.toml"
    path.write_text("".join(f"{line}\n" for line in lines))
    return {"FEEDGATE_CALENDAR__OVERRIDES": str(path)}
