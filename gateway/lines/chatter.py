"""How much of what a vendor's library prints goes to the log: so many lines a second, then only their number.

SOPT's library prints a line for each connection that a front closes, hundreds a second.
"""

from __future__ import annotations

from typing import Final

PER_SECOND: Final = 50
"""More than a traceback has, less than a flood."""


class Chatter:
    """For one process's output. Times are seconds of one clock that never goes back."""

    def __init__(self, per_second: int = PER_SECOND) -> None:
        self._per_second = per_second
        self._began = 0.0
        self._taken = 0
        self._left_out = 0

    def takes(self, now: float) -> bool:
        """Whether a line that came now is shown."""
        if now - self._began >= 1.0:
            self._began, self._taken = now, 0
        self._taken += 1
        if self._taken <= self._per_second:
            return True
        self._left_out += 1
        return False

    def left_out(self, now: float | None = None) -> int:
        """Lines that were not shown, told once: when the second of the last ones is over; None: at the end."""
        if not self._left_out or (now is not None and now - self._began < 1.0):
            return 0
        count, self._left_out = self._left_out, 0
        return count
