"""Trading days of the Shanghai Stock Exchange from the package ``exchange_calendars``.

The futures exchanges close on the same days: the holidays of XSHG equal those of the futures calendars on every day
from 2008 to 2022, and on all but one day until 2026. On that day, 2025-10-08, the futures list that we compared with is
wrong: it trades there, but the holiday was 1 to 8 October (State Council, notice 国办发明电〔2024〕12号 of 2024-11-12:
"国庆节、中秋节:10月1日(周三)至8日(周三)放假调休,共8天"), and exchanges do not trade on statutory holidays.

The package brings pandas and numpy: importing it takes 0.6 s of CPU and 65 MB. So it is imported when the days are
asked for, never by importing this module, and not at all when they are kept in a file (decision 0012).
"""

from __future__ import annotations

import importlib
import warnings
from datetime import date
from pathlib import Path
from typing import Any, Final

from gateway.calendar.days import TradingDays
from gateway.calendar.errors import CalendarError
from gateway.calendar.kept import keep, kept_file, read_kept

FIRST: Final = date(2006, 1, 1)


def xshg_days(first: date = FIRST, *, cache: Path | None = None) -> TradingDays:
    """All trading days that the installed package knows, from ``first`` to the end of its last year.

    ``cache`` is a directory where they are kept for the next process; one that cannot be used is passed over. Blocks
    for about 0.3 s at the first call in a process, with a cache for a few milliseconds. Raises CalendarError when
    the package is missing.
    """
    kept = None if cache is None else kept_file(cache, first)
    if kept is not None and (days := read_kept(kept)) is not None:
        return days
    days = _computed(first)
    if kept is not None:
        keep(kept, days)
    return days


def _computed(first: date) -> TradingDays:
    try:
        package: Any = importlib.import_module("exchange_calendars")
    except ImportError as missing:
        raise CalendarError(
            f"trading days need the package exchange_calendars ({missing}); pip install exchange_calendars"
        ) from missing
    last = package.exchange_calendar_xshg.XSHGExchangeCalendar.bound_max()
    with warnings.catch_warnings():
        # the package (4.13.2) uses what pandas 3.1 has deprecated; that is between the two of them
        warnings.simplefilter("ignore", DeprecationWarning)
        sessions = package.get_calendar("XSHG", start=first.isoformat(), end=last).sessions
    return TradingDays(
        first,
        last.date(),
        tuple(session.date() for session in sessions),
        source=f"exchange_calendars {package.__version__} (XSHG)",
    )
