"""The market's day and night windows, from the trading calendar. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from gateway.calendar import Calendar, CalendarError, Session
from gateway.calendar.days import SATURDAY
from gateway.model import SHANGHAI
from runbook.model import Window
from runbook.settings.sessions import SessionConfig


@dataclass(frozen=True, slots=True)
class MarketWindow:
    """From the first product that opens to the last that closes; breaks are inside. Moments are aware, Shanghai."""

    window: Window
    trading_day: int
    """``YYYYMMDD``; a night carries the next trading day."""
    opens: datetime
    closes: datetime


class MarketWindows:
    """Windows by the date on which they begin. One object belongs to one thread, as its calendar does.

    Every method raises CalendarError for a date that the calendar does not reach. What is asked for is kept: about
    two small objects for each trading day.
    """

    def __init__(
        self, calendar: Calendar, products: Iterable[str] | None = None, *, hours: SessionConfig | None = None
    ) -> None:
        """Without ``products`` all that have a table count. ``hours`` of SESSION_CONFIG win over the calendar's."""
        self.calendar = calendar
        self.hours = hours or SessionConfig()
        self._products = [group[0] for group in calendar.same_hours(products or calendar.products)]
        self._known: dict[tuple[Window, date], MarketWindow | None] = {}

    def day(self, on: date) -> MarketWindow | None:
        """The day window of a date; None when it does not trade."""
        if not self.calendar.is_trading_day(on):
            return None
        return self._find("day", on, on)

    def night(self, on: date) -> MarketWindow | None:
        """The night window that opens on the evening of a date; None on eves of holidays, and on days off."""
        if not self.calendar.has_night(on):
            return None
        return self._find("night", on, self.calendar.next_trading_day(on))

    def why_closed(self, on: date) -> str:
        """Why a date has no day window: ``weekend`` or ``statutory holiday``; empty for a trading day."""
        if self.calendar.is_trading_day(on):
            return ""
        return "weekend" if on.weekday() >= SATURDAY else "statutory holiday"

    def why_no_night(self, on: date) -> str:
        """Why a trading day has no night window on its evening; empty when it has one, or does not trade."""
        if not self.calendar.is_trading_day(on) or self.night(on) is not None:
            return ""
        if self.calendar.has_night(on):
            return "no night session: none of the products trades at night"
        following = self.calendar.next_trading_day(on)
        between = (following - on).days - 1
        if any((on + timedelta(days=1 + number)).weekday() < SATURDAY for number in range(between)):
            return f"no night session: eve of a statutory holiday, trading goes on on {following}"
        return "no night session: suspended by the exchanges"

    def end_warning(self, now: datetime, notice: timedelta = timedelta(days=30)) -> str:
        """What to tell operators when the calendar ends within ``notice``; empty when it does not. Names the fix."""
        if now.astimezone(SHANGHAI) + notice < self.calendar.ends_at:
            return ""
        try:
            self.calendar.next_trading_day(self.calendar.days.open_days[-1])
        except CalendarError as error:
            return f"no jobs are planned from {self.calendar.ends_at:%Y-%m-%d %H:%M} on: {error}"
        return ""

    def _find(self, window: Window, on: date, trading_day: date) -> MarketWindow | None:
        key = (window, on)
        if key not in self._known:
            sessions = [
                session
                for product in self._products
                for session in self.calendar.sessions(product, trading_day)
                if session.kind == window
            ]
            self._known[key] = self._window(window, sessions) if sessions else None
        return self._known[key]

    def _window(self, window: Window, sessions: Sequence[Session]) -> MarketWindow:
        opens, closes = min(one.opens for one in sessions), max(one.closes for one in sessions)
        return MarketWindow(window, sessions[0].trading_day, *self.hours.bounds(window, opens, closes))
