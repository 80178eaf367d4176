"""Each product's state, closed → auction → open → break → open → closed, as events. Somebody else turns the clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.calendar.calendar import Calendar, Change
from gateway.calendar.errors import CalendarError
from gateway.calendar.hours import Phase
from gateway.calendar.sessions import aware

CATCH_UP: Final = timedelta(days=1)
"""Changes missed for longer than this are not told one by one."""


@dataclass(frozen=True, slots=True)
class PhaseEvent:
    """Products with equal hours enter a phase."""

    at: datetime
    """When it happened by the tables, Shanghai; not when it was noticed."""
    trading_day: int
    products: tuple[str, ...]
    was: Phase | None
    """None: the first event of these products, which tells where they stand."""
    now: Phase


class PhaseMachine:
    """Feed it moments; it yields the changes since the last one.

    Not thread-safe; no clock, no timers: ``due`` says when the next call is worth while.
    """

    def __init__(self, calendar: Calendar, products: Iterable[str]) -> None:
        self._calendar = calendar
        self._groups = tuple(_Group(calendar, products) for products in calendar.same_hours(products))

    @property
    def due(self) -> datetime | None:
        """The moment of the next change; None before the first ``advance`` or without products."""
        times = [group.due for group in self._groups if group.due is not None]
        return min(times, default=None)

    def phase(self, product: str) -> Phase | None:
        """Where the product stood at the last ``advance``; None before the first, or when it is not watched."""
        return next((group.phase for group in self._groups if product in group.products), None)

    def advance(self, moment: datetime) -> tuple[PhaseEvent, ...]:
        """The changes up to and including ``moment``, in order of time. Cheap when nothing changed.

        The first call yields one event for each group of equal hours, with ``was=None``. After a gap of more than a
        day, and after a step back of the clock, only the change to where the group stands now is told. Raises
        CalendarError when the calendar does not reach so far; the machine then stays where it was.
        """
        moment = aware(moment)
        events = [event for group in self._groups for event in group.advance(moment)]
        for group in self._groups:
            group.commit()
        return tuple(sorted(events, key=lambda event: event.at))


class _Group:
    """Products with equal hours: one of them answers for all."""

    def __init__(self, calendar: Calendar, products: tuple[str, ...]) -> None:
        self.products = products
        self.phase: Phase | None = None
        self.due: datetime | None = None
        self._calendar = calendar
        self._at: datetime | None = None
        self._next: tuple[datetime, Phase | None, datetime | None] | None = None

    def advance(self, moment: datetime) -> list[PhaseEvent]:
        """Compute; nothing changes until ``commit``, so that an error leaves every group where it was."""
        if self._at is not None and self.due is not None and self._at <= moment < self.due:
            self._next = (moment, self.phase, self.due)
            return []
        if self._at is None or not timedelta() <= moment - self._at <= CATCH_UP:
            events = self._jump(moment)
        else:
            events = self._walk(self._at, moment)
        now = events[-1].now if events else self.phase
        upcoming = self._upcoming(moment)
        # at the calendar's end the next call raises the error that names it
        self._next = (moment, now, self._calendar.ends_at if upcoming is None else upcoming.at)
        return events

    def commit(self) -> None:
        if self._next is not None:
            self._at, self.phase, self.due = self._next
            self._next = None

    def _jump(self, moment: datetime) -> list[PhaseEvent]:
        now = self._calendar.phase(self.products[0], moment)
        return [] if now is self.phase else [self._event(moment, self.phase, now)]

    def _walk(self, at: datetime, moment: datetime) -> list[PhaseEvent]:
        self._calendar.phase(self.products[0], moment)  # raises past the calendar's end
        events, was = [], self.phase
        while (change := self._upcoming(at)) is not None and change.at <= moment:
            events.append(self._event(change.at, was, change.phase))
            at, was = change.at, change.phase
        return events

    def _event(self, at: datetime, was: Phase | None, now: Phase) -> PhaseEvent:
        return PhaseEvent(at, self._calendar.trading_day_of(at), self.products, was, now)

    def _upcoming(self, moment: datetime) -> Change | None:
        """The next change; None when the calendar ends before it."""
        try:
            return self._calendar.next_change(self.products[0], moment)
        except CalendarError:
            return None
