"""When the synthetic market trades: pure functions from a wall time to the trading day around it.

Two timetables. *Always open* (the default): one session a day from midnight to midnight, Shanghai, whose trading
day is that date; the market's counters start anew at midnight. *Sessions*: 21:00-23:00 of the evening before, then
09:00-10:15, 10:30-11:30, 13:30-15:00, on weekdays; Friday's evening belongs to Monday; no holidays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Protocol

from gateway.model import SHANGHAI

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
_SHANGHAI_NS: Final = 8 * 3600 * SECOND_NS
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()
_FRIDAY: Final = 4

ANCHOR_NS: Final = int(datetime(2025, 1, 1, tzinfo=SHANGHAI).timestamp()) * SECOND_NS
"""Step 0 of every synthetic market: a fixed moment, so that processes agree without talking to each other."""

AUCTION_BEFORE_NS: Final = 60 * SECOND_NS
"""The opening auction is matched one minute before continuous trading."""


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of continuous trading, ``[opens_ns, closes_ns)``, and the trading day that it belongs to."""

    opens_ns: int
    closes_ns: int
    trading_day: int
    traded_before_ns: int
    """Open time of the same trading day before this period."""
    auction_ns: int
    """When the trading day's opening auction is matched."""


class Timetable(Protocol):
    """Pure: the same moment always gives the same period."""

    def period(self, at_ns: int) -> Period:
        """The period that is open at the moment, else the next one to open."""


def _number(day: date) -> int:
    return day.year * 10000 + day.month * 100 + day.day


def _midnight_ns(day: date) -> int:
    return (day.toordinal() - _UNIX_DAY) * DAY_NS - _SHANGHAI_NS


def _date(at_ns: int) -> date:
    return date.fromordinal(_UNIX_DAY + (at_ns + _SHANGHAI_NS) // DAY_NS)


class AlwaysOpen:
    """Never closes. ``trading_day`` pins the day's number; the counters then run on from :data:`ANCHOR_NS`."""

    def __init__(self, trading_day: int | None = None) -> None:
        self._pinned = trading_day

    def period(self, at_ns: int) -> Period:
        if self._pinned is not None:
            start, end, day = ANCHOR_NS, 1 << 62, self._pinned
        else:
            today = _date(at_ns)
            start, day = _midnight_ns(today), _number(today)
            end = start + DAY_NS
        return Period(start, end, day, 0, start - AUCTION_BEFORE_NS)


class WeekdaySessions:
    """The hours of most commodity futures, without holidays."""

    _DAY: Final = ((9 * 3600, 36900), (37800, 41400), (48600, 54000))
    _NIGHT: Final = (75600, 82800)

    def period(self, at_ns: int) -> Period:
        today = _date(at_ns)
        for ahead in range(8):
            day = today + timedelta(days=ahead)
            if day.weekday() > _FRIDAY:
                continue
            for period in self._of_trading_day(day):
                if at_ns < period.closes_ns:
                    return period
        raise AssertionError("a week without a weekday")  # pragma: no cover - the calendar has none

    def _of_trading_day(self, day: date) -> list[Period]:
        eve = day - timedelta(days=3 if day.weekday() == 0 else 1)
        night, morning = _midnight_ns(eve), _midnight_ns(day)
        auction = night + self._NIGHT[0] * SECOND_NS - AUCTION_BEFORE_NS
        spans = [
            (base + opens * SECOND_NS, base + closes * SECOND_NS)
            for base, (opens, closes) in ((night, self._NIGHT), *((morning, part) for part in self._DAY))
        ]
        periods, traded = [], 0
        for opens_ns, closes_ns in spans:
            periods.append(Period(opens_ns, closes_ns, _number(day), traded, auction))
            traded += closes_ns - opens_ns
        return periods
