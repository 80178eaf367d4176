"""When a line may start again: exponential back-off with jitter, and never more logins a minute than allowed."""

from __future__ import annotations

import random
from collections import deque

_MINUTE_S = 60.0
_REFUSED_INITIAL_S = 10.0
_REFUSED_MAX_S = 300.0
"""Counters lock an account after a few wrong passwords; before the market they refuse for "not initialised yet". So
the wait after a refusal is 10 s at first, doubles, and stays at 5 minutes."""


class RestartPolicy:
    """Answers "how long to wait now". Times are monotonic seconds."""

    def __init__(
        self, *, initial_s: float, max_s: float, reset_s: float, per_minute: int, dice: random.Random | None = None
    ) -> None:
        """``reset_s``: a line that ran so long starts again without back-off, as if it had never failed."""
        self._initial_s = initial_s
        self._max_s = max_s
        self._reset_s = reset_s
        self._per_minute = per_minute
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not secrets
        self._failures = 0
        self._refusals = 0
        self._starts: deque[float] = deque(maxlen=per_minute)

    @property
    def failures(self) -> int:
        """In a row."""
        return self._failures

    def started(self, now: float) -> None:
        self._starts.append(now)

    def ended(self, now: float) -> None:
        """An incarnation ended that was not asked to."""
        if self._starts and now - self._starts[-1] >= self._reset_s:
            self._failures = 0
        self._failures += 1

    def refused(self) -> None:
        """The counter refused the login: the next try must not look like guessing."""
        self._refusals += 1

    def forgive(self) -> None:
        """The next login is another one than those that failed: no pause but the limit of logins a minute."""
        self._refusals = self._failures = 0

    def logged_in(self) -> None:
        """The login was accepted."""
        self._refusals = 0

    def wait_s(self, now: float) -> float:
        """Seconds until the next start is allowed."""
        wait = 0.0
        if self._failures:
            # half fixed, half dice: lines that died together do not come back together
            full = min(self._max_s, self._initial_s * 2.0 ** min(self._failures - 1, 32))
            wait = full / 2 + self._dice.random() * full / 2
        if self._refusals:
            wait = max(wait, min(_REFUSED_MAX_S, _REFUSED_INITIAL_S * 2.0 ** min(self._refusals - 1, 16)))
        if len(self._starts) == self._per_minute:
            wait = max(wait, self._starts[0] + _MINUTE_S - now)
        return wait
