"""Which moment a tick's fields mean. Pure functions; no calendar table and no clock is read.

Sources of the rules, all observed in recordings:

* SHFE, INE and CFFEX send the calendar day as ``ActionDay`` and the trading day as ``TradingDay``.
* DCE (and others) send the trading day in both, also at night. CZCE does so in stale night snapshots, and through
  some counters sends the calendar day in both.
* A night session exists only when no weekday holiday lies before the next trading day. So the night of trading day D
  always is the evening of the last weekday before D and the early morning after it: Monday's night is Friday's.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, NamedTuple

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
EVENING_NS: Final = 18 * 3600 * SECOND_NS
"""From here on a time of day belongs to the evening before the trading day."""
MORNING_NS: Final = 4 * 3600 * SECOND_NS
"""Before this it belongs to a night that began the day before (the longest night ends at 02:30)."""
NEAR_NS: Final = 300 * SECOND_NS
"""A tick that was received this close to a moment is taken to be of that moment."""

_EPOCH = dt.date(1970, 1, 1).toordinal()
_SHANGHAI_NS = 8 * 3600 * SECOND_NS
_OLDEST, _NEWEST = 1990, 2100
SATURDAY: Final = 5


class Days(NamedTuple):
    """What a pair (ActionDay, TradingDay) means. The ``*_ns`` are midnights, Unix nanoseconds."""

    trading_day: int
    """``YYYYMMDD``; 0 when the vendor sent none"""
    plain: bool
    """Both days are the same weekday: daytime ticks need no further thought"""
    day_ns: int
    evening_ns: int
    """The midnight before an evening tick by the rules, whatever ActionDay says"""
    early_ns: int
    """The midnight before a tick of the small hours, by the rules"""
    action_ns: int
    """The midnight of ActionDay as sent; 0 when the vendor sent none"""


def parse_day(text: bytes) -> dt.date | None:
    """``b"20251121"`` as a date; None for anything that is no date of these decades."""
    if len(text) != 8 or not text.isdigit():  # noqa: PLR2004 - YYYYMMDD
        return None
    year = int(text[:4])
    if not _OLDEST <= year < _NEWEST:
        return None
    try:
        return dt.date(year, int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def parse_time(text: bytes) -> int | None:
    """``b"21:00:00"`` as nanoseconds since midnight; None for anything else."""
    if len(text) != 8 or text[2:3] != b":" or text[5:6] != b":":  # noqa: PLR2004 - HH:MM:SS
        return None
    hours, minutes, seconds = text[:2], text[3:5], text[6:]
    if not (hours.isdigit() and minutes.isdigit() and seconds.isdigit()):
        return None
    h, m, s = int(hours), int(minutes), int(seconds)
    if h > 23 or m > 59 or s > 59:  # noqa: PLR2004 - a time of day
        return None
    return (h * 3600 + m * 60 + s) * SECOND_NS


def midnight_ns(day: dt.date) -> int:
    """The beginning of a day in Shanghai, in Unix nanoseconds."""
    return (day.toordinal() - _EPOCH) * DAY_NS - _SHANGHAI_NS


def weekday_before(day: dt.date) -> dt.date:
    """The last Monday-to-Friday before ``day``."""
    day -= dt.timedelta(days=1)
    while day.weekday() >= SATURDAY:
        day -= dt.timedelta(days=1)
    return day


def weekday_after(day: dt.date) -> dt.date:
    """The first Monday-to-Friday after ``day``."""
    day += dt.timedelta(days=1)
    while day.weekday() >= SATURDAY:
        day += dt.timedelta(days=1)
    return day


def as_number(day: dt.date) -> int:
    """The day as ``YYYYMMDD``."""
    return day.year * 10_000 + day.month * 100 + day.day


def day_of(moment_ns: int) -> dt.date:
    """The Shanghai day of a Unix time."""
    return dt.date.fromordinal((moment_ns + _SHANGHAI_NS) // DAY_NS + _EPOCH)


def read_days(action_text: bytes, trading_text: bytes, *, nights: bool = True) -> Days | None:
    """What the two day fields mean together; None when neither is a date.

    Without ``nights`` every tick of a trading day is of one calendar day, whatever its time.
    """
    action, trading = parse_day(action_text), parse_day(trading_text)
    if trading is None and action is None:
        return None
    if trading is not None and trading.weekday() >= SATURDAY:
        trading = weekday_after(trading)  # nothing trades on a weekend: a calendar day was sent in its place
    sent_ns = midnight_ns(action) if action else 0
    if not nights:
        day = min(day for day in (action, trading) if day is not None)  # none later than the trading day it counts for
        whole = midnight_ns(day)
        return Days(as_number(trading or day), action == trading, whole, whole, whole, whole)
    if trading is None:
        return Days(0, False, sent_ns, sent_ns, sent_ns, sent_ns)
    evening = weekday_before(trading)
    early = evening + dt.timedelta(days=1)
    if action is None or action > trading:
        day = trading  # a tick cannot be later than the trading day that it counts for
    else:
        day = action
        if action < trading:  # the calendar day, as it should be: it is right on the eve of a holiday, too
            evening = early = action
    return Days(
        as_number(trading),
        action == trading,
        midnight_ns(day),
        midnight_ns(evening),
        midnight_ns(early),
        sent_ns,
    )


def exchange_ns(days: Days, time_ns: int, recv_ns: int) -> int:
    """The moment of a tick, Unix nanoseconds.

    ``time_ns`` is the time of day with its milliseconds. At night ``recv_ns`` decides between the rules and other
    readings of the day fields: the one that lies within :data:`NEAR_NS` of it is right, and the rules when none does.
    """
    if MORNING_NS <= time_ns < EVENING_NS:
        return days.day_ns + time_ns
    moment = (days.evening_ns if time_ns >= EVENING_NS else days.early_ns) + time_ns
    if -NEAR_NS < recv_ns - moment < NEAR_NS or not days.action_ns:
        return moment
    as_sent = days.action_ns + time_ns
    for other in (as_sent, as_sent - DAY_NS, as_sent + DAY_NS):
        if -NEAR_NS < recv_ns - other < NEAR_NS:
            return other
    return moment


def trading_day_at(moment_ns: int) -> int:
    """The trading day of a moment by weekdays alone, for a vendor record that names none."""
    day = day_of(moment_ns)
    since_midnight = (moment_ns + _SHANGHAI_NS) % DAY_NS
    if since_midnight >= EVENING_NS or day.weekday() >= SATURDAY:
        day = weekday_after(day)
    return as_number(day)
