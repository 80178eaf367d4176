"""Many rows of the ledger, one event: an outage takes thousands of contracts at once, and is told as one thing."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from gateway.clock import Clock
from gateway.control.events import GapClosed, GapMeasured, GapOpened, GapsEvent, gap_part
from gateway.flow.gaps import CLOSED, OPENED, Gap, GapEvent

GAPS_PER_EVENT: Final = 200
"""About 30 kB of JSON, and under a millisecond to make it between two turns of the loop."""
_LINGER_S: Final = 0.05
_LONGEST_S: Final = 1.0
"""The ledger opens 30,000 gaps within about a second; a group waits for more rows no longer than that."""

_Key = tuple[str, str, int, int, str, str, str, tuple[tuple[str, str], ...]]


class GapGroups:
    """Rows that wait for others of their outage. On the loop only; nothing waits or raises.

    The rows of one contract come out in the order in which they were added.
    """

    def __init__(self, clock: Clock) -> None:
        self.rows = 0
        """In memory."""
        self._monotonic = clock.monotonic
        self._ripe: deque[_Group] = deque()
        self._open: deque[_Group] = deque()
        self._by_key: dict[_Key, _Group] = {}
        self._latest: dict[tuple[str, str], int] = {}
        """(feed, instrument) → number of the group of its last row: its next row must not go before that."""
        self._numbers = 0
        self._first = self._last = 0.0

    def add(self, event: GapEvent) -> None:
        """A row. About 2 µs."""
        gap = event.gap
        key = (
            event.kind, gap.feed, gap.outage_ns, gap.trading_day, gap.session, gap.reason, gap.ending,
            tuple(gap.lines.items()),
        )  # fmt: skip
        self._last = self._monotonic()
        if not self._open:
            self._first = self._last
        contract = (gap.feed, gap.instrument)
        group = self._by_key.get(key)
        if group is None or group.number < self._latest.get(contract, 0):
            self._numbers += 1
            group = self._by_key[key] = _Group(key, self._numbers, event.at_ns)
            self._open.append(group)
        group.gaps.append(gap)
        self._latest[contract] = group.number
        self.rows += 1

    def due_s(self) -> float:
        """Seconds until :meth:`ripen` is worth while: no row came for 50 ms, or the first one is a second old."""
        return min(self._last + _LINGER_S, self._first + _LONGEST_S) - self._monotonic()

    def ripen(self) -> None:
        """What was added until now waits no longer; what comes later begins groups of its own."""
        self._ripe += self._open
        self._open.clear()
        self._by_key.clear()
        self._latest.clear()

    def next(self) -> GapsEvent | None:
        """Up to 200 contracts of the oldest ripe group; None when there is none."""
        if not self._ripe:
            return None
        group = self._ripe[0]
        event = group.part()
        self.rows -= len(event.gaps)
        if event.part == event.parts:
            self._ripe.popleft()
        return event

    def drop_oldest(self) -> int:
        """Forget a whole group; the number of events that it would have been."""
        group = (self._ripe or self._open).popleft()
        if self._by_key.get(group.key) is group:
            del self._by_key[group.key]
        self.rows -= len(group.gaps) - group.out * GAPS_PER_EVENT
        return group.parts - group.out


class _Group:
    """Rows of one outage."""

    __slots__ = ("at_ns", "gaps", "key", "number", "out")

    def __init__(self, key: _Key, number: int, at_ns: int) -> None:
        self.key, self.number, self.at_ns = key, number, at_ns
        self.gaps: list[Gap] = []
        self.out = 0
        """Parts that are out."""

    @property
    def parts(self) -> int:
        return -(-len(self.gaps) // GAPS_PER_EVENT)

    def part(self) -> GapsEvent:
        """The next one."""
        begin = self.out * GAPS_PER_EVENT
        self.out += 1
        one, kind = self.gaps[0], self.key[0]
        fields: dict[str, Any] = {
            "feed": one.feed,
            "at_ns": self.at_ns,
            "outage_ns": one.outage_ns,
            "session": one.session,
            "trading_day": one.trading_day,
            "reason": one.reason,
            "lines": one.lines,
            "count": len(self.gaps),
            "part": self.out,
            "parts": self.parts,
            "gaps": tuple(map(gap_part, self.gaps[begin : begin + GAPS_PER_EVENT])),
        }
        if kind == OPENED:
            return GapOpened(**fields)
        return (GapClosed if kind == CLOSED else GapMeasured)(ending=one.ending, **fields)
