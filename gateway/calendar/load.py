"""The calendar that a gateway uses: the package's trading days, the built-in tables, the override file on top."""

from __future__ import annotations

from pathlib import Path

from gateway.calendar.calendar import Calendar
from gateway.calendar.library import xshg_days
from gateway.calendar.overrides import Overrides
from gateway.calendar.products import PRODUCTS


def load_calendar(overrides: Path | None = None, *, cache: Path | None = None) -> Calendar:
    """Build it. Blocks for about 0.3 s (the package brings pandas); call it once and hand the calendar on.

    ``cache`` is a directory where the package's days are kept for later processes, which then start without pandas; the
    settings know it as ``calendar.cache_directory``. Without one nothing is read or written.

    Raises CalendarError for a missing package and for an override file that cannot be used.
    """
    if overrides is None:
        return Calendar(xshg_days(cache=cache))
    file = Overrides.read(overrides)
    return Calendar(file.days(xshg_days(cache=cache)), file.table(PRODUCTS))
