"""When a recorded tick happened: from TradingDay, ActionDay, UpdateTime and UpdateMillisec.

The evening belongs to the next trading day, so a tick stamped 18:00 or later whose ActionDay equals its TradingDay
carries the wrong date: DCE sends the trading day as ActionDay at night, and CZCE re-sends evening snapshots dated a
day late. Its true date is the weekday before the trading day (no night session precedes a day after a holiday, so a
weekday rule is enough). In the same way, no Monday begins with a session: a tick before 04:00 that is dated with a
Monday's trading day happened on the Saturday.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import Final

_UNIX_DAY: Final = date(1970, 1, 1).toordinal()
_SHANGHAI_MS: Final = 8 * 3_600_000
_DAY_MS: Final = 86_400_000
_EVENING_MS: Final = 18 * 3_600_000
_MORNING_MS: Final = 4 * 3_600_000
_MONDAY, _SATURDAY = 0, 5


def _day(text: str) -> date:
    if len(text) != 8 or not text.isdecimal():  # noqa: PLR2004 - YYYYMMDD
        raise ValueError(f"{text!r} is not a date YYYYMMDD")
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


def weekday_before(day: date) -> date:
    """Friday for a Monday, the day before otherwise."""
    return day - timedelta(days={0: 3, 6: 2}.get(day.weekday(), 1))


@lru_cache(maxsize=256)
def _midnights(trading_day: str, action_day: str) -> tuple[int, int, int]:
    """Epoch milliseconds of midnight, Shanghai, for a tick of the night, the day, the evening."""
    trading = _day(trading_day)
    action = _day(action_day) if action_day else trading
    night = evening = action
    if action == trading:
        evening = weekday_before(action)
        if action.weekday() == _MONDAY:
            night = action - timedelta(days=2)
    night_ms, day_ms, evening_ms = (
        (each.toordinal() - _UNIX_DAY) * _DAY_MS - _SHANGHAI_MS for each in (night, action, evening)
    )
    return night_ms, day_ms, evening_ms


@lru_cache(maxsize=4096)
def _of_day_ms(update_time: str) -> int:
    parts = update_time.split(":")
    if len(parts) != 3:  # noqa: PLR2004 - HH:MM:SS
        raise ValueError(f"{update_time!r} is not a time HH:MM:SS")
    hour, minute, second = (int(part) for part in parts)
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):  # noqa: PLR2004 - clock faces
        raise ValueError(f"{update_time!r} is not a time HH:MM:SS")
    return (hour * 3600 + minute * 60 + second) * 1000


def exchange_ns(trading_day: str, action_day: str, update_time: str, millisecond: int) -> int:
    """Nanoseconds since the Unix epoch. Raises ValueError for what is no date or time.

    An empty ActionDay is told from the trading day by the same rule.
    """
    of_day = _of_day_ms(update_time)
    night, day, evening = _midnights(trading_day, action_day)
    base = evening if of_day >= _EVENING_MS else (night if of_day < _MORNING_MS else day)
    return (base + of_day + millisecond) * 1_000_000


def trading_day_of(action_day: str, update_time: str) -> str:
    """The trading day of a tick whose record does not say: by weekdays, without holidays."""
    day = _day(action_day)
    if _of_day_ms(update_time) >= _EVENING_MS:
        day += timedelta(days=1)
    while day.weekday() >= _SATURDAY:
        day += timedelta(days=1)
    return day.strftime("%Y%m%d")
