"""Sessions of one trading day as moments: pure functions from a product's hours and two dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Literal

from gateway.calendar.days import as_number
from gateway.calendar.errors import CalendarError
from gateway.calendar.hours import NIGHT_OPENING, NIGHT_OPENS, PHASE_OF, Hours, Phase, Span, WindowKind
from gateway.model import SHANGHAI

READY_BEFORE: Final = timedelta(minutes=5)
"""T-5 of the operators' contract."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one kind, ``[opens, closes)``; aware datetimes, Shanghai."""

    kind: WindowKind
    opens: datetime
    closes: datetime

    @property
    def phase(self) -> Phase:
        return PHASE_OF[self.kind]


@dataclass(frozen=True, slots=True)
class Session:
    """The night or the day session of a product. All moments are aware, Shanghai."""

    trading_day: int
    """``YYYYMMDD``; a night session carries the next trading day."""
    kind: Literal["day", "night"]
    opens: datetime
    """Continuous trading begins: 21:00, 9:00, 9:30."""
    closes: datetime
    ready_by: datetime
    """All checks are done (T-5): five minutes before ``opens``, or when the opening auction begins if that is earlier
    (stock options: 9:15)."""
    windows: tuple[Window, ...]
    """From the opening auction, if there is one, to ``closes``: in order, without holes or overlaps."""

    @property
    def begins(self) -> datetime:
        """The first moment that is not closed: the auction's, else ``opens``."""
        return self.windows[0].opens

    def phase(self, moment: datetime) -> Phase:
        """The phase at a moment; CLOSED outside. A window's ``closes`` belongs to what follows."""
        if not self.begins <= moment < self.closes:
            return Phase.CLOSED
        return next(window.phase for window in reversed(self.windows) if window.opens <= moment)


def aware(moment: datetime) -> datetime:
    """The moment in Shanghai. Raises CalendarError for one without a zone."""
    if moment.tzinfo is None:
        raise CalendarError(f"{moment!r} has no zone; build it with tzinfo=gateway.model.SHANGHAI")
    return moment.astimezone(SHANGHAI)


def build(hours: Hours, trading_day: date, evening: date | None) -> tuple[Session, ...]:
    """The sessions of a trading day in order; ``evening`` is when its night opens, None when there is none."""
    sessions: list[Session] = []
    if evening is not None and hours.night_ends is not None:
        night = (*NIGHT_OPENING, Span(WindowKind.CONTINUOUS, NIGHT_OPENS, hours.night_ends))
        sessions.append(_session("night", trading_day, evening, night))
    opening = hours.opening if hours.morning_auction or not sessions else ()
    sessions.append(_session("day", trading_day, trading_day, (*opening, *hours.day)))
    return tuple(sessions)


def _session(kind: Literal["day", "night"], trading_day: date, on: date, spans: tuple[Span, ...]) -> Session:
    midnight = datetime.combine(on, time(), SHANGHAI)
    windows = tuple(
        Window(span.kind, midnight + timedelta(minutes=span.opens), midnight + timedelta(minutes=span.closes))
        for span in spans
    )
    opens = next(window.opens for window in windows if window.kind is WindowKind.CONTINUOUS)
    return Session(
        trading_day=as_number(trading_day),
        kind=kind,
        opens=opens,
        closes=windows[-1].closes,
        ready_by=min(opens - READY_BEFORE, windows[0].opens),
        windows=windows,
    )
