"""A clock that only moves when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools

_ROUNDS = 20
"""Loop turns granted to the tasks after each step; a chain of longer hand-overs than this needs ``settle``."""


class ManualClock:
    """A :class:`gateway.clock.Clock` plus an awaitable ``sleep``; both stand still between ``advance`` calls.

    ``wall_ns`` and ``monotonic`` move together. Not thread-safe: one loop, one clock.
    """

    def __init__(self, wall_ns: int = 1_700_000_000_000_000_000, monotonic: float = 1000.0) -> None:
        self._wall_start_ns = wall_ns
        self._start = self._now = monotonic
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def wall_ns(self) -> int:
        return self._wall_start_ns + round((self._now - self._start) * 1e9)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return once ``advance`` has passed that moment; at once (one loop turn) for 0 or less."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking the sleepers in order, each at its own moment, and let the tasks run in between."""
        until = self._now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            moment, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._now = max(self._now, moment)
            future.set_result(None)
            await self.settle()
        self._now = until
        await self.settle()

    async def settle(self) -> None:
        """Let the tasks run until they (very probably) all wait."""
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
