"""Trading days and the evenings without a night session: plain dates, pure functions, no library.

Rules and their sources:

* A trading day is a weekday that is no statutory holiday. Weekends never trade, not even those that the State Council
  turns into working days (exchanges' yearly notices on closing days, "休市安排").
* There is no night session on the last trading day before a statutory holiday; a plain weekend does not count
  (SHFE, DCE and CZCE rules on continuous or night trading: "法定节假日(不包含双休日)前第一个工作日的连续交易不再交易").
  As dates: no night on day D when a weekday lies between D and the next trading day.
* All night sessions were suspended from the evening of 2020-02-03 (CSRC, 2020-02-02) and came back on the evening of
  2020-05-06 (exchanges' notices of 2020-04-24).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from gateway.calendar.errors import CalendarError

SATURDAY: Final = 5
EXTEND: Final = (
    "Upgrade it (pip install -U exchange_calendars; the exchanges announce a year's holidays in November or "
    "December), or name an override file with start_date, end_date and holiday_dates of the missing year "
    "(docs/sessions.md)"
)
"""What to do about a calendar that ends."""

NIGHTS_SUSPENDED: Final = (date(2020, 2, 3), date(2020, 5, 5))
"""First and last evening of the suspension."""


def as_date(day: date | int) -> date:
    """A day given as ``date`` or as ``YYYYMMDD``. Raises CalendarError for a moment or for what is no date."""
    if isinstance(day, datetime):
        raise CalendarError(f"{day!r} is a moment, not a day; pass trading_day_of(moment) or moment.date()")
    if isinstance(day, date):
        return day
    try:
        return date(day // 10000, day // 100 % 100, day % 100)
    except ValueError:
        raise CalendarError(f"{day} is not a day; write it as YYYYMMDD, for example 20261123") from None


def as_number(day: date) -> int:
    """``YYYYMMDD``, as ticks carry it."""
    return day.year * 10000 + day.month * 100 + day.day


def weekdays(first: date, last: date) -> list[date]:
    """Mondays to Fridays from ``first`` to ``last``, both included."""
    every = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in every if day.weekday() < SATURDAY]


@dataclass(frozen=True)
class TradingDays:
    """What is known of the days from ``first`` to ``last``, both included; outside, every question is an error.

    ``open_days`` are the trading days of that range in order, ``no_night`` the extra evenings without a night
    session (beside those that follow from the holidays).
    """

    first: date
    last: date
    open_days: tuple[date, ...]
    no_night: frozenset[date] = frozenset()
    source: str = "the calendar"
    """Named in errors."""
    _set: frozenset[date] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", frozenset(self.open_days))

    @classmethod
    def from_holidays(
        cls, first: date, last: date, holidays: Iterable[date], *, no_night: Iterable[date] = (), source: str
    ) -> TradingDays:
        """Every weekday that is no holiday trades."""
        closed = frozenset(holidays)
        open_days = tuple(day for day in weekdays(first, last) if day not in closed)
        return cls(first, last, open_days, frozenset(no_night), source)

    def is_trading_day(self, day: date) -> bool:
        self.require(day)
        return day in self._set

    def next(self, day: date) -> date:
        """The first trading day after ``day``."""
        self.require(day)
        place = bisect_right(self.open_days, day)
        if place == len(self.open_days):
            raise self._ended(day, f"knows no trading day after {day}")
        return self.open_days[place]

    def previous(self, day: date) -> date:
        """The last trading day before ``day``."""
        self.require(day)
        place = bisect_left(self.open_days, day)
        if place == 0:
            raise CalendarError(f"{self.source} knows no trading day before {day}; it begins on {self.first}", day=day)
        return self.open_days[place - 1]

    def has_night(self, day: date) -> bool:
        """Whether night sessions open on the evening of ``day``. False for a day that does not trade."""
        if not self.is_trading_day(day) or day in self.no_night:
            return False
        if NIGHTS_SUSPENDED[0] <= day <= NIGHTS_SUSPENDED[1]:
            return False
        following = self.next(day)
        return not weekdays(day + timedelta(days=1), following - timedelta(days=1))

    def require(self, day: date) -> None:
        """Raise CalendarError unless the day is inside the range."""
        if day > self.last:
            raise self._ended(day, f"ends on {self.last}, before {day}")
        if day < self.first:
            raise CalendarError(f"{self.source} begins on {self.first}, after {day}", day=day, first=self.first)

    def _ended(self, day: date, what: str) -> CalendarError:
        return CalendarError(f"{self.source} {what}. {EXTEND}", day=day, last=self.last)
