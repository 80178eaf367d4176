"""A market whose every tick is known, and the consumer that is held against it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from gateway.client import Client, TickStream
from gateway.model import Instrument, Tick

Key = Hashable
"""The content of a snapshot: equal for the copies of two lines, different for any two snapshots."""


@dataclass(frozen=True, slots=True)
class Made:
    """A snapshot that the market made."""

    instrument: str
    at_ns: int
    """Unix nanoseconds by the real clock."""


class Consumer:
    """Reads the stream over NATS as a strategy does, through ``gateway.client``, and remembers all."""

    def __init__(self, client: Client, key: Callable[[Tick], Key]) -> None:
        self.seen: dict[Key, int] = {}
        """Arrival, Unix nanoseconds."""
        self.doubled: Counter[Key] = Counter()
        self.lines: dict[Key, str] = {}
        self.epochs: set[int] = set()
        self.arrivals: list[tuple[int, str, Key]] = []
        """``(arrival, line, key)`` in order."""
        self._key = key
        self.stream: TickStream = client.ticks("*", snapshot="optional")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribe and read on."""
        await self.stream.open()
        self._task = asyncio.create_task(self._run(), name="consumer")

    async def _run(self) -> None:
        async for chunk in self.stream.chunks():
            now = time.time_ns()
            for tick in chunk:
                key = self._key(tick)
                self.epochs.add(tick.epoch)
                if key in self.seen:
                    self.doubled[key] += 1
                    continue
                self.seen[key] = now
                self.lines[key] = tick.line
                self.arrivals.append((now, tick.line, key))

    @property
    def lost(self) -> int:
        """Ticks that the consumer was told it has missed."""
        return self.stream.lost

    async def aclose(self) -> None:
        """Stop reading."""
        await self.stream.aclose()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


@dataclass(slots=True)
class Tally:
    """The consumer against the market."""

    made: int = 0
    lost: dict[Key, Made] = field(default_factory=dict)
    """A line was able to deliver it, and nobody got it."""
    missed: dict[Key, Made] = field(default_factory=dict)
    """No line was able to deliver it."""
    duplicated: int = 0
    foreign: int = 0
    """Snapshots that came out and that the market never made."""


def tally(
    made: Mapping[Key, Made],
    consumer: Consumer,
    could_deliver: Callable[[int], bool],
    known: Callable[[Key], bool],
) -> Tally:
    """``known``: whether the market ever made a snapshot (also outside of the span of ``made``)."""
    result = Tally(made=len(made), duplicated=sum(consumer.doubled.values()))
    for key, one in made.items():
        if key not in consumer.seen:
            (result.lost if could_deliver(one.at_ns) else result.missed)[key] = one
    result.foreign = sum(not known(key) for key in consumer.seen)
    return result


def code_of(instrument: str) -> str:
    """``rb2601`` of ``SHFE.rb2601``."""
    return Instrument.parse(instrument).code
