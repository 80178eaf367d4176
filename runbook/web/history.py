"""What the figures were: rings of points, and each line's states as bands."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

_NS: Final = 1_000_000_000
SECONDS_KEPT: Final = 900
"""Points of one second: 15 minutes."""
MINUTES_KEPT: Final = 720
"""Points of one minute: 12 hours."""
_MINUTE_S: Final = 60
_SERIES: Final = 200
"""Of so many at most; about 26 kB each, so 5 MB in all."""
_BANDS: Final = 1000
"""For each line, about 0.2 MB."""
_LINES: Final = 64
_HOLE_S: Final = 10
"""Longer than that without a look, and nobody knows what the state was."""

Fold = Callable[[Sequence[float]], float]


class Point(NamedTuple):
    """A figure and its moment, Unix nanoseconds; of an interval: its end."""

    at_ns: int
    value: float


@dataclass(frozen=True, slots=True)
class Band:
    """A state, from when to when it was seen. Unix nanoseconds."""

    state: str
    from_ns: int
    to_ns: int


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_FOLDS: Final[dict[str, Fold]] = {
    "p50_ms": max,
    "p99_ms": max,
    "backlog": max,
    "held": max,
    "coverage_ratio": min,
}
"""What a minute shows of its seconds: the worst where that matters, the mean of everything else."""


class _Ring:
    """The latest so many points; 16 bytes each, allocated at once."""

    def __init__(self, size: int) -> None:
        self._at = array("q", bytes(8 * size))
        self._values = array("d", bytes(8 * size))
        self._next = self._count = 0

    def add(self, at_ns: int, value: float) -> None:
        self._at[self._next] = at_ns
        self._values[self._next] = value
        self._next = (self._next + 1) % len(self._at)
        self._count = min(self._count + 1, len(self._at))

    def since(self, at_ns: int) -> Iterator[Point]:
        """Oldest first."""
        size = len(self._at)
        for number in range(self._next - self._count, self._next):
            if self._at[number % size] >= at_ns:
                yield Point(self._at[number % size], self._values[number % size])


class _Series:
    def __init__(self, fold: Fold) -> None:
        self.fold = fold
        self.seconds = _Ring(SECONDS_KEPT)
        self.minutes = _Ring(MINUTES_KEPT)
        self._minute = 0
        self._inside: list[float] = []

    def add(self, at_ns: int, value: float) -> None:
        minute = at_ns // (_MINUTE_S * _NS)
        if minute != self._minute:
            if self._inside:
                self.minutes.add((self._minute + 1) * _MINUTE_S * _NS, self.fold(self._inside))
            self._minute, self._inside = minute, []
        if len(self._inside) < 10 * _MINUTE_S:  # a clock that was set back may stay in one minute for long
            self._inside.append(value)
        self.seconds.add(at_ns, value)

    def points(self, since_ns: int, step_s: int) -> Iterator[Point]:
        if step_s < _MINUTE_S:
            yield from self.seconds.since(since_ns)
            return
        yield from self.minutes.since(since_ns)
        if self._inside:
            yield Point((self._minute + 1) * _MINUTE_S * _NS, self.fold(self._inside))


class History:
    """One second apart for 15 minutes, one minute apart for 12 hours. Below 20 MB, whatever it is fed.

    Names: ``published_rate``, ``received_rate`` (ticks a second), ``p50_ms``, ``p99_ms``, ``coverage_ratio``,
    ``backlog``, ``held`` (messages), ``line.LINE.rate``, ``line.LINE.first_share``.
    """

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}
        self._bands: dict[str, deque[Band]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the series that have points."""
        return tuple(self._series)

    def add(self, name: str, at_ns: int, value: float | None) -> None:
        """One point; None is a moment without a figure, which leaves a hole."""
        if value is None:
            return
        if name not in self._series:
            if len(self._series) >= _SERIES:
                return
            self._series[name] = _Series(_FOLDS.get(name, _mean))
        self._series[name].add(at_ns, value)

    def see(self, line: str, state: str, at_ns: int) -> None:
        """A line's state, as seen now."""
        if line not in self._bands and len(self._bands) >= _LINES:
            return
        bands = self._bands.setdefault(line, deque(maxlen=_BANDS))
        last = bands[-1] if bands else None
        if last is None or not 0 <= at_ns - last.to_ns <= _HOLE_S * _NS:
            bands.append(Band(state, at_ns, at_ns))
            return
        bands[-1] = Band(last.state, last.from_ns, at_ns)
        if last.state != state:
            bands.append(Band(state, at_ns, at_ns))

    def series(self, name: str, since_ns: int, step_s: int = 1) -> list[Point]:
        """Points from a moment on, oldest first, at most one in ``step_s`` seconds; empty for an unknown name.

        Steps of a minute and more reach back 12 hours, finer ones 15 minutes.
        """
        found = self._series.get(name)
        if found is None:
            return []
        points = list(found.points(since_ns, step_s))
        return points if step_s in (1, _MINUTE_S) else list(_folded(points, step_s * _NS, found.fold))

    def bands(self, line: str, since_ns: int) -> list[Band]:
        """The states of a line that reach beyond a moment, oldest first."""
        return [band for band in self._bands.get(line, ()) if band.to_ns >= since_ns]

    @property
    def lines(self) -> tuple[str, ...]:
        """Those with bands."""
        return tuple(self._bands)


def _folded(points: Sequence[Point], step_ns: int, fold: Fold) -> Iterator[Point]:
    inside: list[float] = []
    end = 0
    for at_ns, value in points:
        upto = -(-at_ns // step_ns) * step_ns
        if inside and upto != end:
            yield Point(end, fold(inside))
            inside = []
        end = upto
        inside.append(value)
    if inside:
        yield Point(end, fold(inside))
