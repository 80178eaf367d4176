"""Who covers what, and since when nobody does: coverage as of now, and gaps as rows that are only ever appended.

Nothing here runs per tick. What lines tell is taken with its time and worked off in slices; the first tick after a gap
is found by looking at the streams of contracts that came back, a few times a second.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Iterator, Mapping

from gateway.calendar.products import product_of
from gateway.clock import Clock
from gateway.codec import decode_any
from gateway.flow.booking import Books
from gateway.flow.carried import Feed, Stream
from gateway.flow.coverage import Coverage, StallRules, count_coverage
from gateway.flow.gaps import GapEvent, Mark, StoreHealth
from gateway.flow.outage import Outages
from gateway.flow.phases import Phases
from gateway.gaps import LedgerStore
from gateway.model import Instrument, LineId, Tick

_log = logging.getLogger(__name__)

_SLICE = 100
"""Contracts between two turns of the event loop: about 2 ms when all of them open a gap."""
_INBOX = 1000
"""Messages of lines that may wait; beyond it they are worked off at once."""
_POLL_S = 0.1
_BEAT_S = 1.0
_STEP_NS = 500_000_000
"""A wall clock that runs away from the monotonic one by more than this was set."""
_LOOKBACK_NS = 14 * 86_400_000_000_000
"""Longer than any holiday. Of a gateway that was down for longer, only this much is written contract by contract."""


def _kin(instrument: Instrument) -> Hashable:
    return instrument.exchange, product_of(instrument)


class Ledger:
    """The books of coverage. All methods on the loop; :meth:`run` is owned by the gateway.

    A contract is covered while a line that is up has it confirmed. Wanted and not covered, in an open or auction
    phase, is a gap. Call :meth:`recover` first, then :meth:`wanted`; lines may tell in any order.
    """

    def __init__(
        self,
        store: LedgerStore,
        phases: Phases,
        clock: Clock,
        events: Callable[[GapEvent], None],
        *,
        stream_of: Callable[[Instrument], Stream | None],
        phases_of: Mapping[str, Phases] | None = None,
        kin: Callable[[Instrument], Hashable] = _kin,
        health: Callable[[StoreHealth], None] | None = None,
        settle_s: float = 10.0,
        grace_s: float = 5.0,
        decode: Callable[[bytes], Tick] = decode_any,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``events`` and ``health`` (called when it gets degraded or well) must return at once and not raise.

        ``stream_of``: the published stream of a contract, None before its first tick. ``phases_of``: rules of feeds
        that do not follow ``phases`` (``{"sim": AlwaysOpen()}``). ``kin``: contracts with equal answers share their
        session rules. ``settle_s``: a gap that was covered again is closed without a first tick after so long.
        ``grace_s``: a newly wanted contract that is confirmed within that time has no gap, else one from the beginning.
        ``decode`` reads published payloads.
        """
        self._store = store
        self._phases, self._phases_of = phases, dict(phases_of or {})
        self._clock = clock
        self._stream_of = stream_of
        self._kin = kin
        self._sleep = sleep
        self._on_health = health
        self._well = True
        self._feeds: dict[str, Feed] = {}
        self._inbox: deque[Iterator[None]] = deque()
        self._outages = Outages(store, events, clock, stream_of, settle_s, decode)
        self._books = Books(self._outages, clock, kin, grace_s)
        self._recovered = False
        self._next_beat = clock.monotonic()
        self._offset_ns = self._wall_offset()
        self._closed = False

    # -- what the gateway and its lines tell -----------------------------------------------------------

    def wanted(self, feed: str, instruments: Iterable[Instrument]) -> None:
        """Everything that a feed is asked to carry from now on; what is not among it is wanted no longer."""
        self._take(self._books.want(self._feed(feed), dict.fromkeys(instruments), self._now(), "no longer wanted"))

    def covered(self, line: LineId, instruments: Iterable[Instrument]) -> None:
        """The line is up and has these confirmed."""
        self._take(self._books.cover(self._feed(line.feed), line, list(instruments), self._now()))

    def uncovered(self, line: LineId, instruments: Iterable[Instrument], reason: str) -> None:
        """The line carries these no longer, or refused them."""
        self._take(self._books.uncover(self._feed(line.feed), line, list(instruments), reason, self._now()))

    def line_lost(self, line: LineId, reason: str, *, since_ns: int | None = None) -> None:
        """The line carries nothing any more. ``since_ns``: it was silent before that was noticed (watchdog)."""
        now = self._now()
        self._take(self._books.lose(self._feed(line.feed), line, reason, min(now, since_ns or now)))

    def _take(self, work: Iterator[None]) -> None:
        """At once when it is little, so that the streams are seen as they were at that moment; else in slices."""
        self._inbox.append(work)
        if len(self._inbox) == 1:
            self._work_off(_SLICE)
        elif len(self._inbox) > _INBOX:
            self._work_off(None)

    # -- what others see -------------------------------------------------------------------------------

    @property
    def health(self) -> StoreHealth:
        """Whether what is recorded is on the disk."""
        return self._store.health

    @property
    def open_gaps(self) -> int:
        """Contracts that nobody covers now, in session."""
        return self._outages.open

    def coverage(self, rules: StallRules) -> list[Coverage]:
        """All feeds as of now, in one pass over the wanted contracts."""
        self._work_off(None)
        now = self._now()
        return [
            count_coverage(feed, str(self._rules(feed.name).session(now)), rules, self._stream_of, now)
            for feed in self._feeds.values()
        ]

    # -- running ---------------------------------------------------------------------------------------

    async def recover(self, feeds: Collection[str] | None = None) -> int:
        """Write what was missed since the last sign of life of the gateway before. Once, before anything else.

        What was wanted then counts as wanted, and uncovered, until :meth:`wanted` and :meth:`covered` say otherwise.
        ``feeds``: those that are configured now; gaps of others end here. Returns the contracts concerned.
        """
        past, now = self._store.past, self._now()
        self._recovered = True
        if past is None:
            return 0
        alive = min(past.alive_ns, now)
        if alive < now - _LOOKBACK_NS:
            text = "the gateway was down for more than 14 days; only the last 14 of them are written as gaps"
            _log.warning(text)
            self._store.note(text)
            alive = now - _LOOKBACK_NS
        reason = f"the gateway {'was stopped' if past.clean else 'died without an orderly stop'}"
        open_gaps = {(gap.feed, Instrument.parse(gap.instrument)): gap for gap in past.open_gaps}
        keys = dict.fromkeys((feed, one) for feed in past.wanted for one in past.wanted[feed]) | open_gaps
        for number, (name, instrument) in enumerate(keys):
            feed = self._feed(name)
            contract = feed.add(instrument, self._kin(instrument))
            gap = open_gaps.get((name, instrument))
            since = max(alive, past.told.get((name, instrument), 0))
            self._outages.resume(contract, gap, since, reason, now)
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
                if number % (20_000) == 0 and not self._store.health.degraded:
                    await self._store.flushed()  # the queue is bounded
        for name in past.wanted.keys() | {feed for feed, _ in open_gaps}:
            feed = self._feed(name)
            feed.wanted = frozenset(feed.contracts)
            if feeds is not None and name not in feeds:
                self._inbox.append(self._books.want(feed, {}, now, "feed removed"))
        return len(keys)

    async def run(self) -> None:
        """Work off, look for first ticks, write signs of life; until cancelled."""
        while True:
            for work in (self._sessions(), self._outages.look()):
                self._inbox.append(work)
            more = True
            while more:
                more = self._work_off(_SLICE)
                await self._sleep(0 if more else _POLL_S)
                self._beat()

    def tick(self) -> None:
        """One round of :meth:`run` without a pause. For tests and for programs with a loop of their own."""
        self._inbox.append(self._sessions())
        self._inbox.append(self._outages.look())
        self._work_off(None)
        self._beat()

    async def aclose(self) -> None:
        """Write the last sign of life and close the store. Open gaps stay open: nobody covers them meanwhile.

        Idempotent. End :meth:`run` before.
        """
        if self._closed:
            return
        self._closed = True
        if self._recovered:
            self._work_off(None)
            self._outages.settle()
            self._store.mark(self._sign(clean=True))
        await self._store.aclose()

    def _work_off(self, limit: int | None) -> bool:
        """Up to ``limit`` contracts; whether more are left."""
        inbox = self._inbox
        steps = itertools.count() if limit is None else range(limit)
        for _ in steps:
            while inbox:
                try:
                    next(inbox[0])
                except StopIteration:
                    inbox.popleft()
                else:
                    break
            if not inbox:
                return False
        return True

    def _sessions(self) -> Iterator[None]:
        """Where a phase changed, gaps open, pause or are cut; new contracts get one when their grace is over."""
        yield from self._books.past_grace()
        now = self._now()
        for feed in list(self._feeds.values()):
            for group in list(feed.groups.values()):
                stretch = group.hours.at(now)
                if stretch[2:] == group.stretch[2:]:
                    continue
                group.stretch = stretch
                for contract in list(group.uncovered):
                    if contract.outage is not None:
                        self._outages.advance(contract, now)
                    yield

    def _beat(self) -> None:
        self._watch_clock()
        health = self._store.health
        if health.degraded is self._well:
            self._well = not health.degraded
            if self._on_health is not None:
                self._on_health(health)
        now = self._clock.monotonic()
        if self._recovered and now >= self._next_beat and not self._inbox:
            self._next_beat = now + _BEAT_S
            self._store.mark(self._sign(clean=False))

    def _sign(self, *, clean: bool) -> Mark:
        now = self._now()
        watched = tuple(one for feed in self._feeds.values() for one in feed.watched(now))
        return Mark(now, {feed.name: feed.wanted for feed in self._feeds.values()}, watched, clean)

    def _watch_clock(self) -> None:
        offset = self._wall_offset()
        moved, self._offset_ns = offset - self._offset_ns, offset
        if abs(moved) > _STEP_NS:
            text = f"the machine's clock was set by {moved / 1e9:+.1f} s; durations across this moment are off by that"
            _log.warning(text)
            self._store.note(text)

    # -- small things ----------------------------------------------------------------------------------

    def _feed(self, name: str) -> Feed:
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = Feed(name, self._rules(name), self._clock)
        return feed

    def _rules(self, feed: str) -> Phases:
        return self._phases_of.get(feed, self._phases)

    def _now(self) -> int:
        return self._clock.wall_ns()

    def _wall_offset(self) -> int:
        return self._clock.wall_ns() - round(self._clock.monotonic() * 1e9)
