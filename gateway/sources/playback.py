"""How a recording is laid over time: pacing one pass, and dating the next."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import msgspec

from gateway.clock import Clock
from gateway.model import Tick

_SECOND_NS: Final = 1_000_000_000
_WEEK: Final = 7
_WEEK_NS: Final = _WEEK * 86_400 * _SECOND_NS


class Pace:
    """Says how long to wait before a tick. Time that went back in the file costs nothing; pauses are shortened."""

    def __init__(self, speed: float, max_pause_s: float, clock: Clock) -> None:
        self._speed = speed
        self._longest = max_pause_s
        self._clock = clock
        self._began = clock.monotonic()
        self._latest: int | None = None
        self._offset_s = 0.0

    def wait_s(self, stamp: int) -> float:
        """Seconds until the moment for a row with this stamp; not above 0 when it is due."""
        if stamp <= 0:
            return 0.0
        if self._latest is None:
            self._latest = stamp
        elif stamp > self._latest:
            gap = (stamp - self._latest) / _SECOND_NS / self._speed
            self._offset_s += min(gap, self._longest)
            self._latest = stamp
        return self._began + self._offset_s - self._clock.monotonic()

    def next_pass(self) -> None:
        """The recording begins again: its first stamp follows at once on the last one."""
        self._latest = None


class Passes:
    """Dates the ticks of every further pass whole weeks later: week days stay, and nothing is older than before."""

    def __init__(self, *, loop: bool) -> None:
        self._loop = loop
        self._first = 1 << 62
        self._last = 0
        self._shift_weeks = 0
        self._days: dict[int, int] = {}

    def dated(self, tick: Tick) -> Tick:
        """The tick with the dates of this pass."""
        if not self._loop:
            return tick
        if not self._shift_weeks:
            self._first = min(self._first, tick.exchange_ns)
            self._last = max(self._last, tick.exchange_ns)
            return tick
        day = self._days.get(tick.trading_day)
        if day is None:
            number = tick.trading_day
            moved = date(number // 10000, number // 100 % 100, number % 100) + timedelta(weeks=self._shift_weeks)
            day = self._days[tick.trading_day] = moved.year * 10000 + moved.month * 100 + moved.day
        return msgspec.structs.replace(
            tick, trading_day=day, exchange_ns=tick.exchange_ns + self._shift_weeks * _WEEK_NS
        )

    def next(self) -> bool:
        """Whether there is anything to play again."""
        if not self._last:
            return False
        self._shift_weeks += (self._last - self._first) // _WEEK_NS + 1
        self._days.clear()
        return True
