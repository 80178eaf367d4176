"""Turns the session tables into events: a product goes from closed to auction to open to break, by the clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Final, Literal

from gateway.calendar import Calendar, CalendarError, Phase, PhaseEvent, PhaseMachine, product_of
from gateway.calendar.instruments import moment_of
from gateway.clock import Clock
from gateway.control.events import PhaseChanged
from gateway.model import Instrument

_log = logging.getLogger(__name__)

_LONGEST_S: Final = 30.0
"""The wall clock may be set while we sleep."""
_SHORTEST_S: Final = 0.001
"""A sleep measured by the monotonic clock may end a little before the wall clock is there."""

_PhaseName = Literal["closed", "auction", "open", "break"]
_NAMES: Final[dict[Phase, _PhaseName]] = {
    Phase.CLOSED: "closed",
    Phase.AUCTION: "auction",
    Phase.OPEN: "open",
    Phase.BREAK: "break",
}


class PhaseClock:
    """Tells the phases of every feed that follows the calendar. All methods on the loop; :meth:`run` has an owner.

    A feed is known from its first :meth:`wanted` on. The first event of a product tells where it stands.
    """

    def __init__(
        self,
        calendar: Calendar,
        clock: Clock,
        tell: Callable[[PhaseChanged], None],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``tell`` gets every event; it must return at once and not raise. ``sleep`` is for tests."""
        self._calendar, self._clock, self._tell, self._sleep = calendar, clock, tell, sleep
        self._feeds: dict[str, _Feed] = {}
        self._nap: asyncio.Future[object] | None = None

    def wanted(self, feed: str, instruments: Iterable[Instrument]) -> None:
        """The contracts that a feed is to carry from now on, in place of those before; none ends its events.

        Their products are told at once where they are new; a set with the same products changes nothing. Products
        without a session table are left out. About 1 µs a contract. Does not raise.
        """
        products = {product_of(instrument) for instrument in instruments}
        known = tuple(sorted(product for product in products if self._calendar.knows(product)))
        one = self._feeds.get(feed)
        if known == (one.products if one is not None else ()):
            return
        if one is None:
            one = self._feeds[feed] = _Feed(feed)
        else:
            self._look(one)  # what happened until now, at its own times
        if known:
            one.follow(self._calendar, known)
            self._look(one)
        else:
            del self._feeds[feed]
        if self._nap is not None:
            self._nap.cancel()  # the next change may be earlier now

    async def run(self) -> None:
        """Tell each change when it is due, until cancelled. A calendar without an answer is logged once and retried."""
        while True:
            wait_s = min((self._look(feed) for feed in self._feeds.values()), default=_LONGEST_S)
            nap = self._nap = asyncio.ensure_future(self._sleep(wait_s))
            try:
                await asyncio.wait({nap})
            finally:
                self._nap = None
                nap.cancel()
                await asyncio.wait({nap})

    def _look(self, feed: _Feed) -> float:
        """Tell what changed in a feed; seconds until it is worth while again."""
        moment = moment_of(self._clock.wall_ns())
        try:
            for event in feed.advance(moment):
                self._tell(event)
        except CalendarError as error:
            if str(error) != feed.told_blind:
                feed.told_blind = str(error)
                _log.error("feed %s: no events about phases: %s", feed.name, error)
            return _LONGEST_S
        feed.told_blind = ""
        due = feed.due
        wait_s = _LONGEST_S if due is None else (due - moment).total_seconds()
        return min(max(wait_s, _SHORTEST_S), _LONGEST_S)


class _Feed:
    """The products of a feed and where they were told to stand."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.products: tuple[str, ...] = ()
        self.told_blind = ""
        self._machine: PhaseMachine | None = None
        self._stands: dict[str, Phase] = {}

    @property
    def due(self) -> datetime | None:
        return self._machine.due if self._machine is not None else None

    def follow(self, calendar: Calendar, products: tuple[str, ...]) -> None:
        """These from now on; what was told of those that stay is remembered."""
        self.products = products
        self._machine = PhaseMachine(calendar, products)
        self._stands = {product: self._stands[product] for product in products if product in self._stands}

    def advance(self, moment: datetime) -> list[PhaseChanged]:
        """Raises CalendarError, and then nothing has changed."""
        if self._machine is None:
            return []
        return [told for event in self._machine.advance(moment) for told in self._news(event)]

    def _news(self, event: PhaseEvent) -> list[PhaseChanged]:
        """A new machine tells again where everything stands: only what is not known yet is news."""
        parts: dict[Phase | None, list[str]] = {}
        for product in event.products:
            was = self._stands.get(product) if event.was is None else event.was
            if was is not event.now:
                parts.setdefault(was, []).append(product)
            self._stands[product] = event.now
        return [
            PhaseChanged(
                feed=self.name,
                at_ns=round(event.at.timestamp() * 1_000_000) * 1_000,
                trading_day=event.trading_day,
                products=tuple(products),
                was=None if was is None else _NAMES[was],
                now=_NAMES[event.now],
            )
            for was, products in parts.items()
        ]
