"""When a contract can tick: what the ledger asks of the session rules, and stretches of time from its answers."""

from __future__ import annotations

import logging
from bisect import bisect_right
from datetime import datetime
from typing import NamedTuple, Protocol

from gateway.errors import FeedgateError
from gateway.model import SHANGHAI, Instrument

_log = logging.getLogger(__name__)

_MINUTE_NS = 60_000_000_000
_MORNING, _EVENING = 6, 18
_FAR = 40 * 1440
"""Minutes. Beyond that the answers in between are not worth asking for."""
_OPEN = frozenset({"open", "auction"})


class Phases(Protocol):
    """Session rules as answers about one moment (``moment_ns``: Unix nanoseconds).

    Phases change on whole minutes only: every exchange's table is written in minutes, and the ledger finds the
    changes by asking once a minute. Calls come from the event loop and return at once.
    """

    def phase(self, instrument: Instrument, moment_ns: int) -> str:
        """``closed``, ``auction``, ``open`` or ``break``."""

    def trading_day(self, instrument: Instrument, moment_ns: int) -> int:
        """``YYYYMMDD``: the next one at night."""

    def session(self, moment_ns: int) -> str:
        """``day``, ``night`` or ``closed``."""


class AlwaysOpen:
    """For feeds without sessions, such as ``sim``: open at every moment, a trading day is a day in Shanghai."""

    def phase(self, instrument: Instrument, moment_ns: int) -> str:  # noqa: ARG002 - the protocol's parameters
        return "open"

    def trading_day(self, instrument: Instrument, moment_ns: int) -> int:  # noqa: ARG002 - the protocol's parameters
        return shanghai_date(moment_ns)

    def session(self, moment_ns: int) -> str:  # noqa: ARG002 - the protocol's parameters
        return "day"


def shanghai(moment_ns: int) -> datetime:
    """Wall clock in Shanghai, to the microsecond."""
    seconds, ns = divmod(moment_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, SHANGHAI).replace(microsecond=ns // 1000)


def shanghai_date(moment_ns: int) -> int:
    """``YYYYMMDD`` of the wall clock in Shanghai."""
    return int(f"{shanghai(moment_ns):%Y%m%d}")


class Stretch(NamedTuple):
    """``[start_ns, end_ns)`` with one answer of the rules. ``session`` is empty while closed."""

    start_ns: int
    end_ns: int
    phase: str
    trading_day: int
    session: str


class Hours:
    """The rules for contracts that share them, as stretches of time. Asks once per minute and remembers."""

    def __init__(self, phases: Phases, instrument: Instrument) -> None:
        """``instrument`` stands for all that keep the same hours."""
        self._phases = phases
        self._instrument = instrument
        self._first = self._next = 0
        """Minutes since the epoch: ``_first <= asked < _next``."""
        self._starts: list[int] = []
        self._stretches: list[Stretch] = []
        self._warned = False

    def at(self, moment_ns: int) -> Stretch:
        """The stretch that holds a moment; its end is known only as far as the rules were asked."""
        self._ask(moment_ns, moment_ns)
        return self._stretches[bisect_right(self._starts, moment_ns) - 1]

    def trading(self, start_ns: int, end_ns: int) -> list[Stretch]:
        """Open and auction stretches inside ``[start_ns, end_ns]``, cut to it, in order.

        A stretch that holds ``end_ns`` itself is included even when nothing of it has passed yet.
        """
        if end_ns < start_ns:
            return []
        self._ask(start_ns, end_ns)
        found = []
        for position in range(bisect_right(self._starts, start_ns) - 1, len(self._stretches)):
            one = self._stretches[position]
            if one.start_ns > end_ns:
                break
            if one.phase in _OPEN:
                found.append(one._replace(start_ns=max(one.start_ns, start_ns), end_ns=min(one.end_ns, end_ns)))
        return found

    def open_ns(self, start_ns: int, end_ns: int) -> int:
        """Time of an interval in open and auction phases."""
        return sum(one.end_ns - one.start_ns for one in self.trading(start_ns, end_ns))

    def _ask(self, start_ns: int, end_ns: int) -> None:
        first, last = start_ns // _MINUTE_NS, end_ns // _MINUTE_NS
        if not self._stretches or first < self._first or first > self._next + _FAR:
            # what was known stays known: contracts whose gaps began at different times take turns here
            if self._stretches and first < self._first and self._first - first < _FAR:
                last = max(last, self._next - 1)
            self._first = self._next = first
            self._starts.clear()
            self._stretches.clear()
        while self._next <= last:
            self._add(self._answer(self._next * _MINUTE_NS))
            self._next += 1

    def _add(self, one: Stretch) -> None:
        before = self._stretches[-1] if self._stretches else None
        if before is not None and before[2:] == one[2:]:
            self._stretches[-1] = before._replace(end_ns=one.end_ns)
        else:
            self._starts.append(one.start_ns)
            self._stretches.append(one)

    def _answer(self, minute_ns: int) -> Stretch:
        end = minute_ns + _MINUTE_NS
        try:
            phase = str(self._phases.phase(self._instrument, minute_ns))
            if phase == "closed":
                return Stretch(minute_ns, end, phase, 0, "")
            day = self._phases.trading_day(self._instrument, minute_ns)
            session = str(self._phases.session(minute_ns))
        except FeedgateError as error:
            # no rule, no excuse for missing ticks: it counts as open, and a gap says what was not carried
            if not self._warned:
                self._warned = True
                _log.warning("no session rule for %s, it counts as open: %s", self._instrument, error)
            phase, day, session = "open", shanghai_date(minute_ns), "closed"
        if session == "closed":  # an auction minutes before the session belongs to it
            session = "day" if _MORNING <= shanghai(minute_ns).hour < _EVENING else "night"
        return Stretch(minute_ns, end, phase, day, session)
