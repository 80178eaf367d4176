"""The feed kind ``sim``: a seeded synthetic market, and the catalogue of what it lists."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

from gateway.clock import Clock, SystemClock
from gateway.hookspecs import CatalogueKind, FeedKind, hookimpl
from gateway.model import Account, Contract, Instrument, LineId
from gateway.sources.market import Grid, Listed, Market
from gateway.sources.played import PlayedSource
from gateway.sources.sim_options import OPTIONS, SimOptions
from gateway.sources.timetable import SECOND_NS, Period

SLICE: Final = 256
"""Ticks between two looks at the event loop."""

BURST_NS: Final = 60 * SECOND_NS
"""With bursts, everything subscribed snaps at once on every full minute, so also at every open."""

_BEHIND_NS: Final = SECOND_NS
_WAKE_S: Final = 0.001
_IDLE_S: Final = 0.05


class SimSource(PlayedSource):
    """Streams a :class:`Market` to its sink.

    Paced, step ``n`` of the grid is one tick: of the ``n mod N``-th of the market's N contracts that trade; it is sent
    when that one is subscribed. The wall clock alone says which steps are due, so the rate never drifts, and two lines
    send equal ticks of what both have subscribed.
    Who was kept from running for more than a second joins at the current step (``skipped`` counts). At saturation
    the steps follow the clock as fast as ticks can be made, and only while the sink is not ``congested``.
    """

    def __init__(self, options: SimOptions, line: LineId, clock: Clock) -> None:
        super().__init__(
            line,
            clock,
            connect_ms=options.connect_ms,
            login_ms=options.login_ms,
            faults=options.faults,
            seed=options.seed,
        )
        self._options = options
        self._grid = Grid.of(options.rate)
        self._timetable = options.timetable
        self._market: Market | None = None
        self._subscribed: dict[Instrument, Listed] = {}
        self._ring: list[Listed] = []
        self._active = 0
        self._partial = False
        """Some contracts of the market are not subscribed."""
        self._stale = False
        self._next: int | None = None
        self._cursor = 0
        self._period = Period(0, 0, 0, 0, 0)
        self._auction_day: int | None = None
        self._auctions: deque[tuple[Listed, bool]] = deque()
        self._burst: deque[Listed] = deque()
        self._burst_step = 0
        self.skipped = 0

    async def _prepare(self) -> None:
        if self._market is None:
            self._market = await asyncio.to_thread(self._options.market)

    def _subscribe(self, instruments: Sequence[Instrument]) -> None:
        listed = self._market.listed if self._market else {}
        accepted = []
        for instrument in instruments:
            item = listed.get(instrument)
            if item is None:
                self.sink.refused(
                    instrument, f"sim lists no {instrument}; its catalogue names the {len(listed)} it has"
                )
                continue
            accepted.append(instrument)
            if instrument not in self._subscribed:
                self._subscribed[instrument] = item
                self._stale = True
                if self._options.auction:
                    self._auctions.append((item, False))
        if accepted:
            self.sink.confirmed(accepted)

    def _unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        for instrument in instruments:
            self._stale |= self._subscribed.pop(instrument, None) is not None
        self.sink.unsubscribed(instruments)

    def _forget(self) -> None:
        self._subscribed.clear()
        self._auctions.clear()
        self._stale = True

    async def _play(self) -> None:
        clock, unlimited = self._clock, not self._options.rate
        while True:
            if unlimited and getattr(self.sink, "congested", False):
                await asyncio.sleep(_WAKE_S)
                continue
            more = self.pump(clock.wall_ns())
            await asyncio.sleep(0 if more else self._pause_s(clock.wall_ns()))

    def _pause_s(self, now_ns: int) -> float:
        if self._next is None or not self._active:
            return _IDLE_S if not self._auctions else _WAKE_S
        wait = (self._grid.time_of(self._next) - now_ns) / SECOND_NS
        return min(max(wait, _WAKE_S), _IDLE_S)

    def pump(self, now_ns: int) -> bool:
        """Deliver at most :data:`SLICE` due ticks. True when more are due already."""
        market = self._market
        if market is None:
            return False
        if self._stale:
            self._arrange()
        self._note_auction(now_ns)
        if self._auctions:
            self._send_auctions(market, now_ns)
            return True
        if self._burst:
            self._send_burst(market)
            return True
        return bool(self._active) and self._send_due(market, self._grid.step_at(now_ns))

    def _send_due(self, market: Market, due: int) -> bool:
        step = self._join(due)
        period = self._period_of(step)
        if self._grid.time_of(step) < period.opens_ns:
            # Closed: the next step is the first of the next period.
            self._next = step = self._grid.first_at(period.opens_ns)
        if step > due:
            return False
        last = self._grid.first_at(period.closes_ns)
        if self._options.bursts:
            mark = -(-self._grid.time_of(step) // BURST_NS) * BURST_NS
            burst = self._grid.first_at(mark)
            if burst == step and self._burst_step != step:
                self._burst_step = step
                start = step % self._active
                self._burst.extend((self._ring * 2)[start : start + self._active])
                self._send_burst(market)
                return True
            last = min(last, burst if burst > step else self._grid.first_at(mark + BURST_NS))
        unlimited = not self._options.rate
        end = min(step + SLICE, last, last if unlimited else due + 1)
        start = self._cursor if unlimited else step % self._active
        items = self._ring[start : start + end - step]
        ticks = market.snapshots(items, step, period)
        deliver = self.sink.tick
        if self._partial:
            subscribed = self._subscribed
            ticks = [tick for tick, item in zip(ticks, items, strict=True) if item.contract.instrument in subscribed]
        for tick in ticks:
            deliver(tick)
        self._next = end
        self._cursor = (start + end - step) % self._active
        return unlimited or end <= due

    def _join(self, due: int) -> int:
        """The step to go on with: where we were, or the clock's when that is far away."""
        step = self._next
        if step is None:
            # A late starter begins with what is due from now on, as a subscriber of a real front does.
            step = due + 1
        elif not self._options.rate:
            step = max(step, due)
        else:
            slack = max(2, _BEHIND_NS * self._grid.rate_milli // (1000 * SECOND_NS))
            if due - step > slack:
                self.skipped += due - step
                step = due
            elif step - due > 2 * slack:
                step = due + 1  # the wall clock was set back
        self._next = step
        return step

    def _period_of(self, step: int) -> Period:
        at = self._grid.time_of(step)
        if not self._period.opens_ns <= at < self._period.closes_ns:
            self._period = self._timetable.period(at)
        return self._period

    def _arrange(self) -> None:
        self._stale = False
        # at a given rate every contract of the market has its steps, whoever is subscribed: so a line that has
        # subscribed half of them sends the same ticks of these as a line that has them all
        listed = self._market.listed if self._market and self._options.rate else self._subscribed
        trading = sorted((item for item in listed.values() if not item.quiet), key=lambda item: item.position)
        self._partial = len(listed) > len(self._subscribed)
        if not self._subscribed:
            trading = []
        self._active = len(trading)
        # Long enough that a slice from any place in it needs no wrap-around.
        self._ring = trading * (1 + ceil(SLICE / self._active)) if trading else []
        self._cursor = self._cursor % self._active if trading else 0
        self._burst = deque(item for item in self._burst if item.contract.instrument in self._subscribed)
        self._auctions = deque(entry for entry in self._auctions if entry[0].contract.instrument in self._subscribed)

    def _note_auction(self, now_ns: int) -> None:
        """When a new trading day's auction is matched, every subscribed contract says so."""
        if now_ns < self._period.closes_ns and self._auction_day == self._period.trading_day:
            return
        period = self._timetable.period(now_ns)
        matched = now_ns >= period.auction_ns
        if self._auction_day is None and not matched:
            self._auction_day = 0
        if period.trading_day == self._auction_day or not matched:
            return
        if self._auction_day is not None and self._options.auction:
            waiting = {id(item) for item, _ in self._auctions}
            self._auctions.extend((item, True) for item in self._subscribed.values() if id(item) not in waiting)
        self._auction_day = period.trading_day

    def _send_auctions(self, market: Market, now_ns: int) -> None:
        period = self._timetable.period(now_ns)
        deliver = self.sink.tick
        for _ in range(min(SLICE, len(self._auctions))):
            item, matched = self._auctions.popleft()
            if now_ns >= period.auction_ns:
                deliver(market.auction(item, period, matched=matched))

    def _send_burst(self, market: Market) -> None:
        step = self._burst_step
        items = [self._burst.popleft() for _ in range(min(SLICE, len(self._burst)))]
        deliver = self.sink.tick
        for tick in market.snapshots(items, step, self._period_of(step), advance=0):
            deliver(tick)
        if not self._burst:
            self._next = step + 1


class SimCatalogue:
    """The contracts that a sim feed with the same options streams."""

    def __init__(self, options: SimOptions) -> None:
        self._options = options

    async def contracts(self) -> Sequence[Contract]:
        """In the order of the market."""
        return (await asyncio.to_thread(self._options.market)).contracts


def build_source(_account: Account, line: LineId, options: Mapping[str, Any]) -> SimSource:
    """The feed factory. Raises SettingsError when the options are wrong."""
    return SimSource(SimOptions.read(options), line, SystemClock())


def build_catalogue(_account: Account | None, options: Mapping[str, Any]) -> SimCatalogue:
    """The catalogue factory. Raises SettingsError when the options are wrong."""
    return SimCatalogue(SimOptions.read(options))


def check(_account: Account, options: Mapping[str, Any]) -> Sequence[str]:
    """Findings about the options."""
    return SimOptions.scan(options)[1]


@hookimpl
def gateway_feeds() -> Sequence[FeedKind]:
    """The feed kind ``sim``."""
    return [
        FeedKind(name="sim", factory=build_source, options=OPTIONS, needs_account=False, sessions="always", check=check)
    ]


@hookimpl
def gateway_catalogues() -> Sequence[CatalogueKind]:
    """The catalogue kind ``sim``."""
    return [CatalogueKind(name="sim", build=build_catalogue, options=OPTIONS)]
