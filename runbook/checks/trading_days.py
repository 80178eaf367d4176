"""The trading calendar: it can be read, and does not end soon."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from gateway.calendar import CalendarError, load_calendar
from gateway.calendar.days import EXTEND
from gateway.model import SHANGHAI
from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity

SOON_DAYS: Final = 30
LEAST_DAYS: Final = 7
"""A week ahead must be known: a night belongs to the next trading day, and holidays last a week."""


def check(inspection: Inspection) -> Sequence[Finding]:
    """Loads the calendar with the override file of the settings. Blocks for about 0.3 s."""
    overrides = inspection.settings.calendar.overrides
    try:
        calendar = load_calendar(overrides, cache=inspection.settings.calendar.cache_directory)
        days = (calendar.last - _today(inspection)).days
        kind = "trades" if days >= 0 and calendar.is_trading_day(_today(inspection)) else "does not trade"
    except CalendarError as error:
        return (Finding.of_text(inspection.serious, str(error), EXTEND),)
    what = f"the trading calendar ends on {calendar.last}"
    if days < LEAST_DAYS:
        return (Finding(inspection.serious, f"{what}, {days} days from today", EXTEND),)
    if days < SOON_DAYS:
        return (Finding(Severity.WARNING, f"{what}, in {days} days", EXTEND),)
    corrected = f", corrected by {overrides}" if overrides else ""
    return (Finding.ok(f"{what}{corrected}; today {kind}"),)


def _today(inspection: Inspection) -> date:
    return datetime.fromtimestamp(inspection.clock.wall_ns() / 1e9, UTC).astimezone(SHANGHAI).date()


CHECK = Check(name="calendar", title="Trading calendar", run=check)
