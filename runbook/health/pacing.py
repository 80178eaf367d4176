"""How many contracts may be asked for within a stretch of time, and what went above. Sliding, not in fixed slots."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from gateway.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class SentBatch:
    """One request as it went out."""

    number: int
    contracts: int
    sent_s: float
    """Seconds since an arbitrary moment."""


class RateWindow:
    """At most ``most`` contracts within any ``window_s`` seconds. One user."""

    def __init__(
        self,
        most: int,
        window_s: float,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.waits = 0
        """How often a batch had to wait."""
        self._most, self._window_s = most, window_s
        self._clock, self._sleep = clock, sleep
        self._sent: deque[tuple[float, int]] = deque()

    async def take(self, count: int) -> float:
        """Wait until so many may go, and note them; the seconds waited. Raises ValueError for more than ``most``."""
        if count > self._most:
            raise ValueError(f"{count} contracts never fit into a window of {self._most}; make the batch smaller")
        began = self._clock.monotonic()
        waited = False
        while (until := self._free_at(count)) is not None:
            waited = True
            await self._sleep(max(until - self._clock.monotonic(), 0.0))
        self.waits += waited
        now = self._clock.monotonic()
        self._sent.append((now, count))
        return now - began

    def _free_at(self, count: int) -> float | None:
        """When the next of them leaves the window; None: there is room now."""
        now = self._clock.monotonic()
        while self._sent and self._sent[0][0] + self._window_s <= now:
            self._sent.popleft()
        if sum(sent for _, sent in self._sent) + count <= self._most:
            return None
        return self._sent[0][0] + self._window_s


def over_rate(batches: Iterable[SentBatch], most: int, window_s: float) -> Iterator[tuple[SentBatch, int]]:
    """Batches with which more than ``most`` had gone out within ``window_s``, and how many that were."""
    recent: deque[SentBatch] = deque()
    for batch in sorted(batches, key=lambda one: one.sent_s):
        recent.append(batch)
        while recent[0].sent_s + window_s <= batch.sent_s:
            recent.popleft()
        together = sum(one.contracts for one in recent)
        if together > most:
            yield batch, together
