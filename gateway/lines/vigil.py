"""What a line is waiting for, and when it has waited enough. Pure: it is told the time (monotonic seconds).

The vendor library may never call back (a refused front is silent for ever), so connect and login have timers of our
own; a process that is silent is hung; one that calls back without end is in a storm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

A_SOURCE: Final = "running source"
A_CONNECTION: Final = "connection"
A_LOGIN: Final = "login answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTimers:
    """Seconds, unless named otherwise."""

    start_s: float = 20.0
    """From the process's start to a running source (imports, locale)."""
    connect_s: float = 5.0
    login_s: float = 5.0
    hung_after_s: float = 0.8
    """Nothing heard, not even a heartbeat: the line counts as lost."""
    kill_after_s: float = 3.0
    """Still nothing: the process is killed and started again."""
    stop_s: float = 5.0
    storm_per_second: int = 100
    """State callbacks a second that no healthy library makes."""

    def limit(self, what: str) -> float:
        """How long to wait for one of the three."""
        return {A_SOURCE: self.start_s, A_CONNECTION: self.connect_s, A_LOGIN: self.login_s}[what]


class Vigil:
    """Watches over one incarnation of a line."""

    def __init__(self, timers: LineTimers, now: float) -> None:
        self._timers = timers
        self._heard = now
        self._what = A_SOURCE
        self._deadline: float | None = now + timers.start_s
        self._calls = 0
        self._calls_from = now

    @property
    def starting(self) -> bool:
        """The process is still importing; a vendor library blocks the loop meanwhile, so silence means nothing."""
        return self._what == A_SOURCE

    def heard(self, now: float) -> None:
        """Something came from the line."""
        self._heard = now

    def excuse(self, seconds: float, now: float) -> None:
        """Nobody listened for so long: that much silence is not the line's, nor is the time for what is due."""
        self._heard = min(now, self._heard + seconds)
        if self._deadline is not None:
            self._deadline += seconds

    def wait_for(self, what: str, now: float) -> None:
        """From now on this is due. Being told so again does not move the deadline."""
        if self._deadline is None or what != self._what:
            self._what = what
            self._deadline = now + self._timers.limit(what)

    def rest(self) -> None:
        """Nothing is due: the line is logged in."""
        self._deadline = None

    def called(self, count: int) -> None:
        """So many state callbacks."""
        self._calls += count

    @property
    def storms(self) -> bool:
        """More state callbacks within a second than any healthy library makes."""
        return self._calls > self._timers.storm_per_second

    def storm(self) -> str:
        """In words."""
        return f"callback storm: {self._calls} state callbacks within a second"

    def quiet_s(self, now: float) -> float:
        """Since the last sign of life."""
        return now - self._heard

    def is_silent(self, now: float) -> bool:
        """Whether the line counts as hung."""
        return not self.starting and now - self._heard >= self._timers.hung_after_s

    def silence(self, now: float) -> str:
        """How long, in words."""
        return f"hung: nothing heard for {now - self._heard:.1f} s"

    def verdict(self, now: float) -> str:
        """Why the incarnation must end now, or nothing."""
        if not self.starting and now - self._heard >= self._timers.kill_after_s:
            return self.silence(now)
        if self._deadline is not None and now >= self._deadline:
            return f"no {self._what} in time"
        if now - self._calls_from >= 1.0:
            self._calls_from, self._calls = now, 0
        return ""
