"""How patiently a process is restarted: classes, exponential back-off, and a counter that forgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

STABLE_S: Final = 600.0
"""A process that ran so long begins with a clean record. Source: the runbook's rule of ten stable minutes."""
_MOST_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartClass:
    """What a process means to the environment."""

    name: Literal["critical", "essential", "non-critical"]
    first_s: float
    """Pause before the first restart; it doubles each time."""
    most_s: float
    attempts: int | None
    """Restarts in a row before it is left alone; None: never left alone."""
    degrades: bool
    """Whether the environment is degraded without it."""


CRITICAL: Final = RestartClass(name="critical", first_s=0.5, most_s=30.0, attempts=None, degrades=True)
"""Without it nothing works: NATS, the gateway. Tried again for as long as it takes."""
ESSENTIAL: Final = RestartClass(name="essential", first_s=1.0, most_s=120.0, attempts=10, degrades=True)
"""Missed at once, but data flows without it."""
NON_CRITICAL: Final = RestartClass(name="non-critical", first_s=5.0, most_s=600.0, attempts=3, degrades=False)
"""Nice to have; what fails three times stays off, and is said to be."""


class BackOff:
    """The record of one process. Times are monotonic seconds."""

    def __init__(self, rule: RestartClass) -> None:
        self.rule = rule
        self.failures = 0
        """In a row; ten stable minutes make it 0."""
        self._started: float | None = None

    def started(self, now: float) -> None:
        """It was started."""
        self._started = now

    def ended(self, now: float) -> float | None:
        """It ended although nobody asked: seconds until the next start, or None when there is to be none."""
        if self._started is not None and now - self._started >= STABLE_S:
            self.failures = 0
        self._started = None
        self.failures += 1
        if self.rule.attempts is not None and self.failures > self.rule.attempts:
            return None
        doubled = self.rule.first_s * 2.0 ** min(self.failures - 1, _MOST_DOUBLINGS)
        return min(self.rule.most_s, doubled)

    def settled(self, now: float) -> bool:
        """Forget the failures of a process that has run long enough; whether there was something to forget."""
        if not self.failures or self._started is None or now - self._started < STABLE_S:
            return False
        self.failures = 0
        return True

    def forget(self) -> None:
        """A clean record: somebody starts it by hand."""
        self.failures = 0
        self._started = None
