"""Which losses of a line count as failures, how many there were lately, and which are planned.

Source of the planned closes: recorded logs of 2024-06-11 and -12 (fronts hang up with 4097 at 15:44 and 19:49 and come
back at 19:47), and the operators' contract (15:40-16:00 and 19:45-20:20 are no failure).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

from gateway.clock import Clock
from gateway.control.switching import Phases
from gateway.model import SHANGHAI, LineState

_NS: Final = 1_000_000_000
_KEPT: Final = 64
_FAILED: Final = frozenset({LineState.LOST, LineState.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRules:
    """When a line has failed too often, and what is no failure."""

    most: int = 3
    """More failures within the window ask for a failover even while the line is up."""
    window_s: float = 600.0
    planned: tuple[tuple[time, time], ...] = ((time(15, 40), time(16, 0)), (time(19, 45), time(20, 20)))
    """Shanghai. A line lost in one of these while no market is open may stay away until the last of them ends."""
    closed_grace_s: float = 15.0
    """Lost at another moment while no market is open: a failure only when it is not back within."""


class Failures:
    """The record of one feed's lines."""

    def __init__(self, rules: FailureRules, phases: Phases, clock: Clock) -> None:
        self._rules, self._phases, self._clock = rules, phases, clock
        self._lines: dict[str, _Record] = {}

    def line_changed(self, line: str, state: LineState, reason: str) -> bool:
        """Whether this change is a failure now."""
        record = self._lines.setdefault(line, _Record())
        was, record.state = record.state, state
        if state.is_up:
            record.excused_until_ns = None
        if state not in _FAILED or was in _FAILED:
            return False
        record.reason = reason
        record.kind = "login_refused" if state is LineState.REFUSED else _kind(was, reason)
        if record.excused_until_ns is None:
            record.excused_until_ns = self._excused_until(self._clock.wall_ns())
        if record.excused_until_ns is not None:
            return False
        record.add(self._clock.monotonic())
        return True

    def blame(self, line: str, why: str) -> None:
        """A failure that is no change of state: a verdict of the watchdog, a failed switch to it."""
        record = self._lines.setdefault(line, _Record())
        record.kind, record.reason = "watchdog" if why == "watchdog" else record.kind, why
        record.add(self._clock.monotonic())

    def pass_time(self) -> None:
        """An excuse ends when its time is over or a market opens; a line that is still away has failed then."""
        now_ns = self._clock.wall_ns()
        excused = [record for record in self._lines.values() if record.excused_until_ns is not None]
        if not excused:
            return
        opened = self._phases.any_open(now_ns)
        for record in excused:
            until = record.excused_until_ns
            if until is not None and (opened or now_ns >= until):
                record.excused_until_ns = None
                if not record.state.is_up:
                    record.add(self._clock.monotonic())

    def excused(self, line: str | None) -> bool:
        """Whether the line is away on a planned close, or within its grace."""
        record = self._lines.get(line or "")
        return record is not None and record.excused_until_ns is not None

    def of(self, line: str) -> int:
        """Failures within the window."""
        record = self._lines.get(line)
        if record is None:
            return 0
        since = self._clock.monotonic() - self._rules.window_s
        return sum(moment > since for moment in record.moments)

    def ever(self, line: str) -> int:
        """Failures since the gateway started."""
        record = self._lines.get(line)
        return record.total if record else 0

    def why(self, line: str) -> str:
        """The last failure's sort: ``line_lost``, ``login_refused``, ``timer`` or ``watchdog``."""
        record = self._lines.get(line)
        return record.kind if record else "line_lost"

    def words(self, line: str) -> str:
        """The last failure in the line's own words."""
        record = self._lines.get(line)
        return record.reason if record else ""

    def _excused_until(self, now_ns: int) -> int | None:
        if self._phases.any_open(now_ns):
            return None
        now = datetime.fromtimestamp(now_ns / _NS, SHANGHAI)
        if any(begins <= now.time() < ends for begins, ends in self._rules.planned):
            last = max(ends for _, ends in self._rules.planned)
            return int(datetime.combine(now.date(), last, SHANGHAI).timestamp()) * _NS
        return now_ns + round(self._rules.closed_grace_s * _NS)


class _Record:
    """One line."""

    def __init__(self) -> None:
        self.state = LineState.IDLE
        self.moments: deque[float] = deque(maxlen=_KEPT)
        self.total = 0
        self.kind = "line_lost"
        self.reason = ""
        self.excused_until_ns: int | None = None

    def add(self, now: float) -> None:
        self.moments.append(now)
        self.total += 1


def _kind(was: LineState, reason: str) -> str:
    if reason.startswith(("no ", "hung")):
        return "timer"  # the words of lines.line for its own timers
    return "login_refused" if was is LineState.CONNECTED else "line_lost"
