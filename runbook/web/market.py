"""Where the trading day stands at a moment, by the calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from gateway.calendar import CalendarError
from gateway.model import SHANGHAI
from runbook.schedule.windows import MarketWindow, MarketWindows
from runbook.web.observed import Market

_AHEAD_DAYS: Final = 20
"""Longer than any holiday."""


def market_at(windows: MarketWindows | None, wall_ns: int) -> Market:
    """The window that is open at a moment (Unix nanoseconds), or the next one. Never raises."""
    if windows is None:
        return Market(session="unknown")
    now = datetime.fromtimestamp(wall_ns // 1_000_000_000, SHANGHAI)
    try:
        for window in _windows(windows, now.date() - timedelta(days=1)):
            if window.closes <= now:
                continue
            is_open = window.opens <= now
            return Market(
                session=window.window if is_open else "closed",
                trading_day=window.trading_day,
                changes_at_ns=_ns(window.closes if is_open else window.opens),
                next_session="closed" if is_open else window.window,
            )
    except CalendarError:
        pass
    return Market(session="unknown")


def _windows(windows: MarketWindows, first: date) -> Iterator[MarketWindow]:
    for number in range(_AHEAD_DAYS):
        on = first + timedelta(days=number)
        yield from filter(None, (windows.day(on), windows.night(on)))


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
