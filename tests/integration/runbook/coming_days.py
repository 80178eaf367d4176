"""A calendar that covers now, also when the installed package's has ended: commands that look for T-5 need one."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

from gateway.calendar import load_calendar
from gateway.model import SHANGHAI


@cache
def _last() -> date:
    return load_calendar().last


def coming_days(directory: Path) -> dict[str, str]:
    """Variables for a process; empty while the package knows the days, else they name a file of ``directory``."""
    today = datetime.now(SHANGHAI).date()
    if today + timedelta(days=30) < _last():
        return {}
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "coming-days.toml"
    path.write_text(
        f"start_date = {_last() + timedelta(days=1)}\nend_date = {today + timedelta(days=366)}\nholiday_dates = []\n"
    )
    return {"FEEDGATE_CALENDAR__OVERRIDES": str(path)}
