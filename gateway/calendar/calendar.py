"""When a product trades: pure answers from the tables and the trading days. No clock, no I/O, no library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from gateway.calendar.days import TradingDays, as_date, as_number
from gateway.calendar.errors import CalendarError, UnknownProductError
from gateway.calendar.hours import TABLES_BEGIN, Hours, Phase, Product, WindowKind
from gateway.calendar.products import PRODUCTS, find_product
from gateway.calendar.sessions import Session, Window, aware, build
from gateway.model import SHANGHAI

DAY_TURNS: Final = time(18)
"""From here on a moment belongs to the next trading day. Exchanges settle after 15:00 and fronts send the last rows of
the day until about 16:00; the first rows that carry the next trading day come at 18:35 (recorded, 2017-04-13)."""

EDGE: Final = timedelta(seconds=1)
"""Ticks stamped within the closing second (10:15:00.500) belong to what closes (recorded, 2018-10-12)."""

_REMEMBERED: Final = 4096
_TRADED: Final = frozenset({WindowKind.AUCTION, WindowKind.MATCH, WindowKind.CONTINUOUS})


@dataclass(frozen=True, slots=True)
class Change:
    """A product enters a phase."""

    at: datetime
    phase: Phase


class Calendar:
    """Trading days and product sessions of the Chinese exchanges.

    Days are ``date`` or ``YYYYMMDD``; moments are aware datetimes of any zone, answers are in Shanghai. Every method
    raises CalendarError for a day outside the calendar (``first`` to ``last``): no answer is ever guessed. Methods
    that take a product raise UnknownProductError for one without a table; options go by their future's name or by
    CTP's (``m_o``, ``SRC``). One calendar belongs to one thread.
    """

    def __init__(self, days: TradingDays, products: Mapping[str, Product] = PRODUCTS) -> None:
        self.days = days
        self.products = products
        groups: dict[tuple[Hours, ...], int] = {}
        self._group = {code: groups.setdefault(product.history, len(groups)) for code, product in products.items()}
        self._built: dict[tuple[int, date], tuple[Session, ...]] = {}
        self._named: dict[str, Product] = {}
        self._unknown: dict[str, str] = {}

    @property
    def last(self) -> date:
        """The last day that can be asked for."""
        return self.days.last

    @property
    def ends_at(self) -> datetime:
        """From here on a moment cannot be asked for: it belongs to a trading day that the calendar does not know."""
        return datetime.combine(self.days.open_days[-1], DAY_TURNS, SHANGHAI)

    def is_trading_day(self, day: date | int) -> bool:
        return self.days.is_trading_day(as_date(day))

    def next_trading_day(self, day: date | int) -> date:
        """The first trading day after ``day``."""
        return self.days.next(as_date(day))

    def previous_trading_day(self, day: date | int) -> date:
        """The last trading day before ``day``."""
        return self.days.previous(as_date(day))

    def has_night(self, day: date | int) -> bool:
        """Whether night sessions open on the evening of ``day`` (for products that have them)."""
        return self.days.has_night(as_date(day))

    def trading_day_of(self, moment: datetime) -> int:
        """The trading day, ``YYYYMMDD``, that a moment belongs to; the same for every product.

        Until 18:00 of a trading day it is that day; from then on, and on days that do not trade, the next one. So
        Friday night, its small hours on Saturday and all of Sunday belong to Monday, and an evening without a night
        session to the first trading day after the holiday. Never decreases with time.
        """
        return as_number(self._trading_day(aware(moment)))

    def product(self, name: str) -> Product:
        """The product with its table. Asking again for one without a table is as cheap as for one with it."""
        found = self._named.get(name)
        if found is None:
            if name in self._unknown:
                raise UnknownProductError(self._unknown[name], product=name)
            try:
                found = find_product(name, self.products)
            except UnknownProductError as error:
                if len(self._unknown) < _REMEMBERED:
                    self._unknown[name] = str(error)
                raise
            if len(self._named) < _REMEMBERED:
                self._named[name] = found
        return found

    def knows(self, product: str) -> bool:
        """Whether there is a session table for it."""
        try:
            self.product(product)
        except UnknownProductError:
            return False
        return True

    def same_hours(self, products: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """The products, grouped by equal hours over their whole history; groups and members in order of mention."""
        groups: dict[int, list[str]] = {}
        for name in dict.fromkeys(products):
            groups.setdefault(self._group[self.product(name).code], []).append(name)
        return tuple(tuple(group) for group in groups.values())

    def sessions(self, product: str, trading_day: date | int) -> tuple[Session, ...]:
        """The sessions of a trading day: the night on the evening before, if there is one, and the day.

        Empty for a day that does not trade. Raises CalendarError before 2017-01-03, where the tables begin.
        """
        return self._sessions(self.product(product), as_date(trading_day))

    def session_at(self, product: str, moment: datetime) -> Session | None:
        """The session that runs at a moment, its opening auction and its breaks included; None between sessions."""
        moment = aware(moment)
        sessions = self._sessions(self.product(product), self._trading_day(moment))
        return next((session for session in sessions if session.begins <= moment < session.closes), None)

    def phase(self, product: str, moment: datetime) -> Phase:
        """Where the product stands. Every moment has exactly one phase; a boundary belongs to what follows."""
        moment = aware(moment)
        session = self.session_at(product, moment)
        return Phase.CLOSED if session is None else session.phase(moment)

    def window_of(self, product: str, stamped: datetime, edge: timedelta = EDGE) -> Window | None:
        """The auction, match or continuous window that a tick with this exchange time belongs to.

        Unlike ``phase`` it includes the window's end and ``edge`` after it, because the last ticks of a window carry
        its closing second (15:00:00.500). None for a tick outside: pre-open and settlement snapshots, junk.
        """
        stamped = aware(stamped)
        found = None
        for session in self._sessions(self.product(product), self._trading_day(stamped)):
            for window in session.windows:
                if window.kind in _TRADED and window.opens <= stamped < window.closes + edge:
                    found = window
        return found

    def next_change(self, product: str, moment: datetime) -> Change:
        """The next moment, after this one, at which the product's phase differs from the phase before it."""
        moment = aware(moment)
        subject, day = self.product(product), self._trading_day(moment)
        before = self.phase(product, moment)
        while True:
            for session in self._sessions(subject, day):
                for window in session.windows:
                    if window.opens > moment and window.phase is not before:
                        return Change(window.opens, window.phase)
                if session.closes > moment:
                    return Change(session.closes, Phase.CLOSED)
            day = self.days.next(day)

    def any_open(self, moment: datetime, products: Iterable[str]) -> bool:
        """Whether one of the products is in continuous trading (not in an auction, a break or closed)."""
        return any(self.phase(product, moment) is Phase.OPEN for product in products)

    def _trading_day(self, moment: datetime) -> date:
        day = moment.date()
        return day if self.days.is_trading_day(day) and moment.time() < DAY_TURNS else self.days.next(day)

    def _sessions(self, product: Product, trading_day: date) -> tuple[Session, ...]:
        key = (self._group[product.code], trading_day)
        found = self._built.get(key)
        if found is None:
            found = self._build(product, trading_day)
            if len(self._built) >= _REMEMBERED:
                self._built.clear()
            self._built[key] = found
        return found

    def _build(self, product: Product, trading_day: date) -> tuple[Session, ...]:
        if not self.days.is_trading_day(trading_day):
            return ()
        hours = product.hours(trading_day)
        if hours is None:
            begin = product.history[0].since
            raise CalendarError(
                f"the session table of {product.code} begins on {begin}, after {trading_day}; ask for a later day"
                + (" (earlier rules are not in the tables)" if begin == TABLES_BEGIN else ""),
                product=product.code,
                day=trading_day,
            )
        evening = self.days.previous(trading_day)
        return build(hours, trading_day, evening if self.days.has_night(evening) else None)
