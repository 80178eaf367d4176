"""The only place that reads the machine's clocks, so that tests can turn them."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one to stamp with, one to measure with."""

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch; may step."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    # the functions themselves: a method of Python's around them would cost more than they do
    wall_ns: staticmethod[[], int] = staticmethod(time.time_ns)
    monotonic: staticmethod[[], float] = staticmethod(time.monotonic)
