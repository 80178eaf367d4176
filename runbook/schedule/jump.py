"""Notices that the machine slept or that somebody set its clock."""

from __future__ import annotations

from typing import Final

from gateway.clock import Clock

_TOLERANCE_S: Final = 2.0
"""Clocks are slewed by less than this between two looks; a step or a suspend that matters is longer."""


class JumpWatch:
    """Compares the wall clock with the monotonic one, which stands still while the machine is suspended (Linux)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall_ns, self._monotonic = clock.wall_ns(), clock.monotonic()

    def look(self) -> float:
        """Seconds by which the wall clock moved more than time passed since the last look; 0.0 within 2 s.

        Positive after a suspend or a step forward, negative after a step back.
        """
        wall_ns, monotonic = self._clock.wall_ns(), self._clock.monotonic()
        jump = (wall_ns - self._wall_ns) / 1e9 - (monotonic - self._monotonic)
        self._wall_ns, self._monotonic = wall_ns, monotonic
        return jump if abs(jump) > _TOLERANCE_S else 0.0
