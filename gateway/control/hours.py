"""The session rules of a gateway's feeds: by the trading calendar, or always open.

Failover and watchdog, the ledger and the metrics ask different questions; one object holds the calendar for all of
them, so that it is loaded once, and not at all when no feed follows it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol

from gateway.calendar import Calendar, CalendarError, InstrumentPhases, UnknownProductError, product_of
from gateway.calendar.days import EXTEND
from gateway.clock import Clock
from gateway.control.switching import Phase, Phases
from gateway.errors import FeedgateError
from gateway.flow.phases import AlwaysOpen
from gateway.flow.phases import Phases as LedgerPhases
from gateway.model import Instrument

_log = logging.getLogger(__name__)

Rule = Literal["calendar", "always"]
Session = Literal["day", "night", "closed"]

WARN_DAYS: Final = 30
"""A calendar that ends within so many days is warned of: the next year's is out by then (announced in November or
December)."""

_DAY_NS: Final = 86_400_000_000_000
_MINUTE_NS: Final = 60_000_000_000


class FeedHours(Phases, Protocol):
    """When the wanted contracts of a feed trade."""

    def open_share(self, moment_ns: int) -> float:
        """How many of them are in continuous trading, 0 to 1."""


class MarketHours:
    """When the markets of each feed trade.

    Asked on the event loop, answers from tables at once; moments are Unix nanoseconds. The calendar is the loop's from
    here on (one calendar belongs to one thread). Every method raises FeedgateError for a feed that it was not given.

    Past the calendar's end, which a gateway can reach while it runs, no market is open: failover and watchdog are told
    "closed", the session is "closed", and an error says so once. The ledger's rules raise instead, and the ledger
    counts what it cannot excuse.
    """

    def __init__(self, rules: Mapping[str, Rule], calendar: Calendar | None, clock: Clock) -> None:
        """``rules`` by feed; ``calendar`` may be None when no feed follows it.

        Raises CalendarError for a calendar that ended before now; one that ends within 30 days is warned of, now and
        once a day while ``session`` is asked.
        """
        self._rules = dict(rules)
        following = self._following()
        self._calendar = calendar = calendar if following else None
        self._without_table: set[str] = set()
        self._outside = False
        self._minute = -1
        self._session: Session = "closed"
        self._warn_ns = 0
        if calendar is None:
            if following:
                raise CalendarError(f"feeds that follow the calendar have none ({following}); use MarketHours.open")
            return
        self._ends_ns = round(calendar.ends_at.timestamp()) * 1_000_000_000
        self._warn_ns = self._ends_ns - WARN_DAYS * _DAY_NS
        self._tables = InstrumentPhases(calendar)
        now_ns = clock.wall_ns()
        if now_ns >= self._ends_ns:
            raise CalendarError(
                f"{calendar.days.source} ended on {calendar.last}: it cannot say whether a market is open now, and "
                f"feeds follow it ({following}). {EXTEND}",
                last=calendar.last,
            )
        self._warn(now_ns)

    @classmethod
    async def open(cls, rules: Mapping[str, Rule], load: Callable[[], Calendar], clock: Clock) -> MarketHours:
        """With the calendar of ``load``, ``lambda: load_calendar(overrides)``.

        Called in a thread, and only when a feed follows it, because it takes 0.3 s and 65 MB. Raises what ``load``
        raises, and CalendarError as the constructor does.
        """
        follows = "calendar" in rules.values()
        return cls(rules, await asyncio.to_thread(load) if follows else None, clock)

    @property
    def calendar(self) -> Calendar | None:
        """None when no feed follows it."""
        return self._calendar

    def of(self, feed: str, wanted: Callable[[], frozenset[Instrument]]) -> FeedHours:
        """For the failover and the watchdog of a feed. Never raises.

        ``wanted`` gives the contracts that ``any_open`` is about: the same object while nothing changed. A product
        without a session table counts as closed, so its contracts are never watched: a warning says so, once for each
        product, and names the fix.
        """
        calendar = self._of(feed)
        if calendar is None:
            return _Always()
        tables = InstrumentPhases(calendar, unknown="closed", wanted=wanted, on_unknown=self._no_table)
        return _Known(tables, self._no_answer)

    def ledger_phases(self, feed: str) -> LedgerPhases:
        """For the ledger.

        They raise CalendarError where the calendar cannot answer and UnknownProductError for a product without a
        table; the ledger counts both as open and logs them.
        """
        return AlwaysOpen() if self._of(feed) is None else self._tables

    def session(self, feed: str, moment_ns: int) -> Session:
        """The session that the feed's market is in, auctions and breaks included; ``day`` for one that is always open.

        Worked out once a minute (sessions change on whole minutes), so it may be asked at every scrape.
        """
        if self._of(feed) is None:
            return "day"
        minute = moment_ns // _MINUTE_NS
        if minute != self._minute:
            self._warn(moment_ns)
            self._session = self._at(moment_ns)
            self._minute = minute
        return self._session

    def _at(self, moment_ns: int) -> Session:
        try:
            return self._tables.session(moment_ns)
        except CalendarError as error:
            self._no_answer(error)
            return "closed"

    def _of(self, feed: str) -> Calendar | None:
        rule = self._rules.get(feed)
        if rule is None:
            raise FeedgateError(f"no feed {feed!r} has session rules; there are {', '.join(sorted(self._rules))}")
        return self._calendar if rule == "calendar" else None

    def _following(self) -> str:
        return ", ".join(sorted(feed for feed, rule in self._rules.items() if rule == "calendar"))

    def _warn(self, now_ns: int) -> None:
        """Once a day, when the end is near."""
        if not self._warn_ns <= now_ns < self._ends_ns or self._calendar is None:
            return
        self._warn_ns = now_ns + _DAY_NS
        _log.warning(
            "%s ends on %s, in %d days; from then on no market is known to be open, and a gateway does not start. %s; "
            "then restart the gateway",
            self._calendar.days.source,
            self._calendar.last,
            (self._ends_ns - now_ns) // _DAY_NS,
            EXTEND,
        )

    def _no_table(self, instrument: Instrument, error: UnknownProductError) -> None:
        # numbers for codes stand for their exchange
        product = product_of(instrument) or instrument.exchange
        if product not in self._without_table:
            self._without_table.add(product)
            _log.warning("%s is never watched, nor is any contract of its product: %s", instrument, error)

    def _no_answer(self, error: CalendarError) -> None:
        if not self._outside:
            self._outside = True
            _log.error("the calendar cannot answer, all markets that follow it count as closed: %s", error)


class _Known:
    """The tables' answers; closed where they have none."""

    def __init__(self, tables: InstrumentPhases, no_answer: Callable[[CalendarError], None]) -> None:
        self._tables, self._no_answer = tables, no_answer

    def phase(self, instrument: Instrument, moment_ns: int) -> Phase:
        try:
            return self._tables.phase(instrument, moment_ns)
        except CalendarError as error:
            self._no_answer(error)
            return "closed"

    def any_open(self, moment_ns: int) -> bool:
        try:
            return self._tables.any_open(moment_ns)
        except CalendarError as error:
            self._no_answer(error)
            return False

    def open_share(self, moment_ns: int) -> float:
        try:
            return self._tables.open_share(moment_ns)
        except CalendarError as error:
            self._no_answer(error)
            return 0.0


class _Always:
    """A market without sessions."""

    def phase(self, instrument: Instrument, moment_ns: int) -> Phase:  # noqa: ARG002 - the protocol's parameters
        return "open"

    def any_open(self, moment_ns: int) -> bool:  # noqa: ARG002 - the protocol's parameters
        return True

    def open_share(self, moment_ns: int) -> float:  # noqa: ARG002 - the protocol's parameters
        return 1.0
