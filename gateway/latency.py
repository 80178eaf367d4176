"""How long ticks take, counted cheaply enough to count every batch."""

from __future__ import annotations

from typing import Final

_SUB_BITS: Final = 3
_EXACT: Final = 2 << _SUB_BITS
_INDEXES: Final = (64 - _SUB_BITS) << _SUB_BITS
_LONGEST_NS: Final = (1 << 63) - 1

LATENCY_BUCKETS_S: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds of the published histogram, seconds."""


class LatencyHistogram:
    """Durations in nanoseconds, in eight buckets per doubling: any percentile is at most 12.5 % too high.

    Less than 0.2 µs per ``add``, 4 KiB, no locks: one thread writes.
    """

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * _INDEXES
        self._sum = 0

    def add(self, ns: int, weight: int = 1) -> None:
        """Count a duration ``weight`` times. A negative one (a clock that stepped) counts as 0."""
        if ns <= 0:
            self._counts[0] += weight
            return
        shift = ns.bit_length() - 4
        if shift > 0:
            if ns > _LONGEST_NS:
                ns, shift = _LONGEST_NS, _LONGEST_NS.bit_length() - 4
            self._counts[(shift << 3) + (ns >> shift)] += weight
        else:
            self._counts[ns] += weight
        self._sum += ns * weight

    @property
    def count(self) -> int:
        """How many were added, weights included."""
        return sum(self._counts)

    @property
    def sum_ns(self) -> int:
        return self._sum

    def percentile(self, percent: float) -> int:
        """Nanoseconds that ``percent`` (0 to 100) of all durations did not exceed; 0 when there are none."""
        if not 0 <= percent <= 100:  # noqa: PLR2004 - per cent
            raise ValueError(f"a percentile is between 0 and 100, not {percent}")
        rank = self.count * percent / 100
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= rank:
                return _upper_bound(index)
        return 0

    def merge(self, other: LatencyHistogram) -> None:
        """Add everything the other one counted."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self._sum += other._sum

    def since(self, earlier: LatencyHistogram) -> LatencyHistogram:
        """What was added after ``earlier``, a copy of this one."""
        rest = LatencyHistogram()
        rest._counts = [now - then for now, then in zip(self._counts, earlier._counts, strict=True)]
        rest._sum = self._sum - earlier._sum
        return rest

    def copy(self) -> LatencyHistogram:
        """A snapshot."""
        twin = LatencyHistogram()
        twin.merge(self)
        return twin

    def prometheus_buckets(self) -> list[tuple[str, float]]:
        """``(le, cumulative count)`` up to ``+Inf``. A duration is in the first bucket that surely holds it."""
        buckets: list[tuple[str, float]] = []
        index = seen = 0
        for bound in LATENCY_BUCKETS_S:
            limit = round(bound * 1e9)
            while index < _INDEXES and _upper_bound(index) <= limit:
                seen += self._counts[index]
                index += 1
            buckets.append((repr(bound), float(seen)))
        return [*buckets, ("+Inf", float(self.count))]


def _upper_bound(index: int) -> int:
    """The longest duration in a bucket."""
    if index < _EXACT:
        return index
    shift = (index >> _SUB_BITS) - 1
    return ((index - (shift << _SUB_BITS) + 1) << shift) - 1
