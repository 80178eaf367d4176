"""Moments at which something is to be done for an instrument."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator

from gateway.clock import Clock
from gateway.model import Instrument


class Deadlines:
    """In monotonic seconds. A moment is not taken back: whoever set it looks whether it still counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Instrument]] = []
        self._order = itertools.count()

    def set(self, seconds: float, instrument: Instrument) -> float:
        """That many seconds from now; the moment."""
        due = self._clock.monotonic() + seconds
        heapq.heappush(self._heap, (due, next(self._order), instrument))
        return due

    def passed(self, now: float) -> Iterator[tuple[float, Instrument]]:
        """Take out those that have come, in order."""
        while self._heap and self._heap[0][0] <= now:
            due, _, instrument = heapq.heappop(self._heap)
            yield due, instrument

    def next(self) -> float:
        """Infinite when there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
