"""Whether a synthetic market came out whole: every snapshot of it once.

A sequence number proves only what happened behind the point where it was given. The synthetic market proves more: it
is a grid (:class:`gateway.sources.market.Grid`), one snapshot a step, the contracts in turn, whoever is connected. So
from a tick alone one can tell its step, and from the steps of a contract what never came and what came twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.model import Tick
from gateway.sources.market import Grid, Listed, Market
from gateway.sources.sim_options import SimOptions
from gateway.sources.timetable import SECOND_NS, Period, Timetable

SETTLE_NS: Final = SECOND_NS
"""A snapshot is missed this long after it was due: lines end, and ticks arrive, not all at the same moment."""

_HOLES: Final = 1_000
"""Holes that are remembered of a contract. What fills an older one is counted neither as come nor as doubled."""

_MILLISECOND: Final = 1_000_000


class _Track:
    """One contract: which of its rounds came. Round r is step ``place + r * contracts``."""

    __slots__ = ("first", "forgotten", "holes", "item", "last", "place", "width_ns")

    def __init__(self, item: Listed, place: int) -> None:
        self.item = item
        self.place = place
        self.width_ns = SECOND_NS if item.contract.instrument.exchange == "CZCE" else _MILLISECOND
        """What its time stamps are cut to."""
        self.first, self.last = -1, -2
        self.holes: deque[tuple[int, int]] = deque()
        """Rounds [start, end) between first and last that are due and did not come, oldest first."""
        self.forgotten = -1
        """Rounds below this one are not judged any more."""


class MarketCheck:
    """Counts, over the ticks that a consumer got, what of the market is missing and what is doubled.

    Per contract from its first tick on: before that it was not subscribed, and began late. Ticks may come in any order;
    a late one fills its hole. Pauses of the market and its opening auctions are no holes (auctions are not judged at
    all: a line that comes back sends them again). Where stamps do not tell the step, because they are cut to the
    second (CZCE) or because a contract snaps more often than its stamps tell apart, the sizes in the book do.

    Not thread-safe. Remembers a bounded number of holes per contract.
    """

    def __init__(self, market: Market, grid: Grid, timetable: Timetable) -> None:
        """The market as its lines have it: same seed, contracts and rate."""
        self.doubled = 0
        """Snapshots that came again."""
        self.foreign = 0
        """Ticks that are no snapshot of this market. What they stand for is missing."""
        self._market, self._grid, self._timetable = market, grid, timetable
        trading = [item for item in market.listed.values() if not item.quiet]
        self._contracts = len(trading)
        self._tracks = {
            (item.contract.instrument.exchange, item.contract.instrument.code): _Track(item, place)
            for place, item in enumerate(trading)
        }
        self._missing = 0
        self._newest = -1
        self._period = Period(0, 0, 0, 0, 0)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> MarketCheck | None:
        """For a feed ``sim`` with these options; blocks on building the market, some 15 ms per 1,000 contracts.

        None when there is no grid to judge by: ``rate`` 0, where each line makes its own ticks, and ``bursts``, which
        come beside the grid. Raises SettingsError.
        """
        read = SimOptions.read(options)
        if not read.rate or read.bursts:
            return None
        return cls(read.market(), Grid.of(read.rate), read.timetable)

    def add(self, ticks: Iterable[Tick]) -> None:
        """Ticks as the consumer got them. About 1 µs each; those that only their book tells apart, 5 µs."""
        tracks, contracts = self._tracks, self._contracts
        for tick in ticks:
            if not tick.bid_volumes and not tick.ask_volumes:
                continue  # an auction: continuous trading always has a book
            track = tracks.get((tick.exchange, tick.code))
            step = None if track is None else self._step(track, tick)
            if track is None or step is None:
                self.foreign += 1
                continue
            self._newest = max(self._newest, step)
            number = step // contracts
            if number == track.last + 1:
                track.last = number
            else:
                self._out_of_turn(track, number)

    def missing(self, until_ns: int | None = None) -> int:
        """Snapshots that did not come (yet).

        Also those at the end of a contract that were due before ``until_ns``; without it, a second before the newest
        snapshot that came of any contract, so that what is on its way does not count.
        """
        if until_ns is None:
            until_ns = self._grid.time_of(self._newest) - SETTLE_NS if self._newest >= 0 else 0
        end = self._grid.first_at(until_ns)
        missing = self._missing
        for track in self._tracks.values():
            if track.first >= 0:
                rounds = -((track.place - end) // self._contracts)  # those whose step is before the end
                missing += sum(till - start for start, till in self._due(track, track.last + 1, rounds))
        return missing

    def _step(self, track: _Track, tick: Tick) -> int | None:
        """The step of a tick; None when the market has no such snapshot."""
        grid, contracts = self._grid, self._contracts
        step = grid.first_at(tick.exchange_ns)
        step += (track.place - step) % contracts
        end = grid.first_at(tick.exchange_ns + track.width_ns)
        if step >= end:
            return None
        if step + contracts >= end:
            return step
        usual = track.place + (track.last + 1) * contracts
        if step < usual < end and self._shows(track, usual, tick):
            return usual
        return next((each for each in range(step, end, contracts) if self._shows(track, each, tick)), None)

    def _shows(self, track: _Track, step: int, tick: Tick) -> bool:
        """Whether the book at this step is the tick's. Books of one contract differ for 400,000 steps."""
        period = self._period_at(self._grid.time_of(step))
        (made,) = self._market.snapshots((track.item,), step, period)
        return made.bid_volumes == tick.bid_volumes and made.ask_volumes == tick.ask_volumes

    def _period_at(self, at_ns: int) -> Period:
        if not self._period.opens_ns <= at_ns < self._period.closes_ns:
            self._period = self._timetable.period(at_ns)
        return self._period

    def _out_of_turn(self, track: _Track, number: int) -> None:
        if track.first < 0:
            track.first = track.last = number
        elif number > track.last:
            self._note_holes(track, track.last + 1, number)
            track.last = number
        elif number < track.forgotten:
            return
        elif number < track.first:
            later = list(track.holes)
            track.holes.clear()
            self._note_holes(track, number + 1, track.first)
            track.holes.extend(later)
            track.first = number
        else:
            self._fill(track, number)

    def _note_holes(self, track: _Track, start: int, end: int) -> None:
        for hole in self._due(track, start, end):
            self._missing += hole[1] - hole[0]
            track.holes.append(hole)
            if len(track.holes) > _HOLES:
                track.forgotten = track.holes.popleft()[1]

    def _fill(self, track: _Track, number: int) -> None:
        for index, (start, end) in enumerate(track.holes):
            if start <= number < end:
                self._missing -= 1
                del track.holes[index]
                if number + 1 < end:
                    track.holes.insert(index, (number + 1, end))
                if start < number:
                    track.holes.insert(index, (start, number))
                return
        self.doubled += 1

    def _due(self, track: _Track, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The rounds [start, end) without those whose steps fall into a pause of the market, as ranges."""
        contracts, place = self._contracts, track.place
        while start < end:
            at_ns = self._grid.time_of(place + start * contracts)
            period = self._period_at(at_ns)
            if at_ns < period.opens_ns:
                start = -((place - self._grid.first_at(period.opens_ns)) // contracts)
                continue
            closed = -((place - self._grid.first_at(period.closes_ns)) // contracts)
            yield start, min(end, closed)
            start = closed
