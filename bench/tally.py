"""What a consumer counts: ticks, losses, latency. Used by every consumer, so that all are judged alike."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TypedDict

import msgspec

from bench.control import CONSUMED, FIRST_NS, SETTLED_NS, Control


class Quantiles(TypedDict):
    """Milliseconds."""

    p50_ms: float
    p99_ms: float
    p999_ms: float


def quantiles(latencies_ns: array[int]) -> Quantiles:
    """p50, p99 and p99.9 in milliseconds (nearest rank); 0 when there is nothing."""
    ordered = sorted(latencies_ns)
    last = len(ordered) - 1

    def at(share: float) -> float:
        return round(ordered[min(last, int(share * len(ordered)))] / 1e6, 4) if ordered else 0.0

    return {"p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999)}


class Outcome(msgspec.Struct, kw_only=True):
    """What one consumer saw of one measurement."""

    received: int
    lost: int
    """Holes by the feeder's per-instrument counter, and what never came at the end."""
    duplicates: int
    rate: float
    """Ticks a second, from the first offered tick to the last decoded one; of a pair, to the last dropped copy."""
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    wrong: int = 0
    """Of a pair: ticks whose number, order, content or line is not what it must be."""
    first_wrong: str = ""
    by_line: dict[str, int] = msgspec.field(default_factory=dict)
    """Of a pair: ticks by the line that brought them first."""
    cpu_us: dict[str, float] = msgspec.field(default_factory=dict)
    """Of a process that measures itself."""


class Tally:
    """Counts decoded ticks. The first ``warm`` ones are counted for losses only.

    ``every`` thins the latencies: one of so many is kept (a soak must not grow the consumer).
    """

    def __init__(self, control: Control, wall_ns: Callable[[], int], *, warm: int, every: int = 1) -> None:
        self._words = control.words
        self._wall_ns = wall_ns
        self._warm = warm
        self._every = every
        self._latest: dict[str, int] = {}
        self._latencies = array("q")
        self._last_ns = 0
        self.received = 0
        self.duplicates = 0
        self.longest_ns = 0

    def tick(self, code: str, number: int, seconds: float | None, ns: float | None) -> None:
        """One tick: its instrument, the feeder's count for it, and the intended send time in two parts."""
        latest = self._latest
        if number <= latest.get(code, 0):
            self.duplicates += 1
            return
        latest[code] = number
        received = self.received = self.received + 1
        if received > self._warm:
            now = self._last_ns = self._wall_ns()
            latency = now - int(seconds or 0) * 1_000_000_000 - int(ns or 0)
            if latency > self.longest_ns:  # noqa: PLR1730 - max() costs a call a tick
                self.longest_ns = latency
            if not received % self._every:
                self._latencies.append(latency)
        self._words[CONSUMED] = received

    def outcome(self, goal: int) -> Outcome:
        """``goal`` is how many ticks had to come, warm-up included."""
        measured = self.received - self._warm
        elapsed = (max(self._last_ns, self._words[SETTLED_NS]) - self._words[FIRST_NS]) / 1e9
        return Outcome(
            received=self.received,
            lost=goal - self.received,
            duplicates=self.duplicates,
            rate=round(measured / elapsed, 1) if measured > 0 and elapsed > 0 else 0.0,
            max_ms=round(self.longest_ns / 1e6, 4),
            **quantiles(self._latencies),
        )
