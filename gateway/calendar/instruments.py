"""The calendar for code that has contracts and Unix nanoseconds: ledger, failover, watchdog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal

from gateway.calendar.calendar import Calendar
from gateway.calendar.errors import UnknownProductError
from gateway.calendar.hours import Phase
from gateway.calendar.products import product_of
from gateway.model import SHANGHAI, Instrument

PhaseName = Literal["closed", "auction", "open", "break"]

_NAMES: Final[dict[Phase, PhaseName]] = {
    Phase.CLOSED: "closed",
    Phase.AUCTION: "auction",
    Phase.OPEN: "open",
    Phase.BREAK: "break",
}
_NS: Final = 1_000_000_000


def moment_of(moment_ns: int) -> datetime:
    """Unix nanoseconds as a moment in Shanghai, cut to the microsecond."""
    seconds, ns = divmod(moment_ns, _NS)
    return datetime.fromtimestamp(seconds, SHANGHAI).replace(microsecond=ns // 1000)


class InstrumentPhases:
    """Phases of contracts. A few microseconds a question; raises CalendarError past the calendar's end.

    ``unknown`` is what ``phase`` answers for a product without a table; None raises UnknownProductError instead.
    ``on_unknown`` is told of such a contract whenever ``unknown`` is answered for it, and when ``any_open`` finds it
    among the wanted; the error names the fix.
    ``wanted`` gives the contracts that ``any_open`` and ``open_share`` are about; their products are looked up again
    only when it returns another object, and those without a table do not count.
    """

    def __init__(
        self,
        calendar: Calendar,
        *,
        unknown: PhaseName | None = None,
        wanted: Callable[[], frozenset[Instrument]] = frozenset,
        on_unknown: Callable[[Instrument, UnknownProductError], None] | None = None,
    ) -> None:
        self._calendar = calendar
        self._unknown = unknown
        self._wanted = wanted
        self._on_unknown = on_unknown
        self._seen: frozenset[Instrument] | None = None
        self._wanted_hours: dict[str, int] = {}
        """A product of each group with the same hours → wanted contracts of the group."""
        self._every = tuple(group[0] for group in calendar.same_hours(calendar.products))

    def phase(self, instrument: Instrument, moment_ns: int) -> PhaseName:
        try:
            return _NAMES[self._calendar.phase(product_of(instrument), moment_of(moment_ns))]
        except UnknownProductError as error:
            if self._unknown is None:
                raise
            self._tell(instrument, error)
            return self._unknown

    def trading_day(self, instrument: Instrument, moment_ns: int) -> int:  # noqa: ARG002 - the same for every contract
        """``YYYYMMDD``; the next trading day from 18:00 on."""
        return self._calendar.trading_day_of(moment_of(moment_ns))

    def session(self, moment_ns: int) -> Literal["day", "night", "closed"]:
        """The session that any product of the tables is in, opening auction and breaks included."""
        moment = moment_of(moment_ns)
        for product in self._every:
            session = self._calendar.session_at(product, moment)
            if session is not None:
                return session.kind
        return "closed"

    def any_open(self, moment_ns: int) -> bool:
        """Whether one of the wanted contracts is in continuous trading."""
        return self._calendar.any_open(moment_of(moment_ns), self._by_hours())

    def open_share(self, moment_ns: int) -> float:
        """How many of the wanted contracts are in continuous trading, 0 to 1; 0 when none is wanted."""
        hours, moment = self._by_hours(), moment_of(moment_ns)
        trading = sum(count for product, count in hours.items() if self._calendar.phase(product, moment) is Phase.OPEN)
        return trading / sum(hours.values()) if hours else 0.0

    def _by_hours(self) -> dict[str, int]:
        wanted = self._wanted()
        if wanted is not self._seen:
            products = {product_of(instrument): instrument for instrument in wanted}
            counts = Counter(map(product_of, wanted))
            known = sorted(product for product, instrument in products.items() if self._knows(product, instrument))
            groups = self._calendar.same_hours(known)
            self._wanted_hours = {group[0]: sum(counts[product] for product in group) for group in groups}
            self._seen = wanted
        return self._wanted_hours

    def _knows(self, product: str, instrument: Instrument) -> bool:
        try:
            self._calendar.product(product)
        except UnknownProductError as error:
            self._tell(instrument, error)
            return False
        return True

    def _tell(self, instrument: Instrument, error: UnknownProductError) -> None:
        if self._on_unknown is not None:
            self._on_unknown(instrument, error)
