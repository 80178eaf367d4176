"""A sink that remembers, a clock that is moved by hand, and a way to wait for something."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from gateway.model import Instrument, LineState, Tick


class Recorder:
    """A TickSink that remembers."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.states: list[tuple[LineState, str]] = []
        self.up: set[Instrument] = set()
        self.refusals: dict[Instrument, str] = {}
        self.off: list[Instrument] = []
        self.rejects: Counter[str] = Counter()
        self.congested = False

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def raw(self, record: bytes) -> None:
        raise AssertionError("the built-in sources deliver finished ticks")

    def state(self, state: LineState, reason: str = "") -> None:
        self.states.append((state, reason))

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        self.up |= set(instruments)

    def refused(self, instrument: Instrument, reason: str) -> None:
        self.refusals[instrument] = reason

    def unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        self.off += instruments

    def reject(self, reason: str) -> None:
        self.rejects[reason] += 1

    @property
    def state_names(self) -> list[str]:
        return [state.value for state, _ in self.states]


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Let the loop run until the condition holds; fails after the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


class HandClock:
    """Both clocks stand still until they are moved."""

    def __init__(self, wall_ns: int) -> None:
        self.wall = wall_ns
        self.mono = 0.0

    def wall_ns(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.mono

    def advance(self, seconds: float) -> None:
        self.wall += round(seconds * 1e9)
        self.mono += seconds
