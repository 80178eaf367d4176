"""The truth about a line: when it was able to deliver. Kept by whoever injects the faults, never by the gateway."""

from __future__ import annotations

import time
from bisect import bisect_right

_NS = 1_000_000_000
IN_FLIGHT_NS = _NS * 3 // 10
"""A tick that was on its way when its line died, died with it: so much before the end counts as not delivered."""


class Ability:
    """Up while a session with all contracts stands and no fault that stops delivery is at work. Unix nanoseconds."""

    def __init__(self) -> None:
        self._served = False
        self._impaired = False
        self._until_session = False
        self._moments: list[int] = []
        """Turns: able from the first, unable from the second, and so on."""

    @property
    def able(self) -> bool:
        """Now."""
        return len(self._moments) % 2 == 1

    def impair(self, *, until_session: bool = False) -> None:
        """A fault takes the line's deliveries away, until :meth:`repair` or until another session begins."""
        self._impaired, self._until_session = True, until_session
        self._turn()

    def repair(self) -> None:
        """The fault is gone; a session that stands is good again."""
        self._impaired = False
        self._turn()

    def session(self, *, stands: bool, fresh: bool = False) -> None:
        """What the front sees. ``fresh``: another session than the last one."""
        self._served = stands
        if stands and fresh and self._until_session:
            self._impaired = self._until_session = False
        self._turn()

    def could_deliver(self, moment_ns: int) -> bool:
        """Whether the line was able then, and stayed so until the tick was through."""
        at = bisect_right(self._moments, moment_ns)
        return at % 2 == 1 and (at == len(self._moments) or self._moments[at] - moment_ns > IN_FLIGHT_NS)

    def _turn(self) -> None:
        if (self._served and not self._impaired) != self.able:
            self._moments.append(time.time_ns())
