"""One feed's lines as failover and watchdog see them, and the orders that failover gives them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from gateway.assembly import Feed
from gateway.clock import Clock
from gateway.control.watched import LineSight
from gateway.errors import LineError
from gateway.flow.carrying import Carrying
from gateway.flow.pipeline import FeedFlow
from gateway.flow.topics import Topic, Topics
from gateway.lines.line import Line
from gateway.model import Instrument, LineId, LineState
from gateway.plan import LineFacts, Plan

_STRETCH_S: Final = 30.0
"""Who was first is told over so long."""


class Steering:
    """Implements ``switching.FeedControl`` and ``watched.Sight`` over a running feed. All methods on the loop."""

    def __init__(
        self,
        feed: Feed,
        flow: FeedFlow,
        topics: Topics,
        carrying: dict[LineId, Carrying],
        clock: Clock,
        *,
        capacity: int | None,
        probe_s: float,
    ) -> None:
        """``capacity``: contracts of one login at most. ``probe_s``: how long a probe waits for a tick."""
        self.feed = feed
        self._flow, self._topics, self._carrying, self._clock = flow, topics, carrying, clock
        self._capacity, self._probe_s = capacity, probe_s
        self._lines = {str(line.id): line for line in feed.lines}
        self._sights = [_Sight(line, carrying[line.id], self) for line in feed.lines]
        self._wanted: frozenset[Instrument] = frozenset()
        self._plan = Plan()
        self._first_since = clock.monotonic()
        self._first_then: Counter[LineId] = Counter()
        self._shares: dict[LineId, float] = {}

    # -- what is wanted --------------------------------------------------------------------------------

    def want(self, instruments: Iterable[Instrument]) -> None:
        """Want these too. The plan decides on which lines; those that carry everything are asked at once.

        A line that was refused one of them asks for it again.
        """
        more = dict.fromkeys(instruments)
        if more.keys() - self._wanted:
            # not |=, which makes a set of a frozenset and keys: others compare with the one that they were given
            self._wanted = self._wanted.union(more)
        for name, line in self._lines.items():
            carried = self._plan.carries(name, more.keys())
            self.feed.subscriptions[line.id].want([one for one in more if one in carried])

    def release(self, instruments: Iterable[Instrument]) -> None:
        """Want these no longer, on any line."""
        less = list(instruments)
        if not self._wanted.isdisjoint(less):
            self._wanted -= frozenset(less)
        for subscriptions in self.feed.subscriptions.values():
            subscriptions.release(less)

    # -- switching.FeedControl -------------------------------------------------------------------------

    def facts(self) -> Sequence[LineFacts]:
        shares = self._first_shares()
        suspects = self._flow.arbiter.suspects
        return [
            LineFacts(
                name=name,
                # one that is on its way out still ticks; a switch to it must wait for its next login
                state=LineState.IDLE if line.leaving and line.state.is_up else line.state,
                restarts=line.counts.restarts,
                capacity=self._capacity,
                first_share=shares.get(line.id, 0.0),
                suspect=line.id in suspects,
                role="cold" if line.parked else "hot",
                since_ns=line.since_ns,
            )
            for name, line in self._lines.items()
        ]

    def _first_shares(self) -> dict[LineId, float]:
        now = self._clock.monotonic()
        if now - self._first_since >= _STRETCH_S or not self._shares:
            first = self._flow.arbiter.first
            during = first - self._first_then
            total = during.total()
            if total:
                self._shares = {line.id: during[line.id] / total for line in self.feed.lines}
            self._first_since, self._first_then = now, first
        return self._shares

    def wanted(self) -> frozenset[Instrument]:
        return self._wanted

    async def apply(self, plan: Plan) -> None:
        self._plan = plan
        for name, line in self._lines.items():
            if name in plan.login:
                subscriptions = self.feed.subscriptions[line.id]
                # a new plan is no reason to ask again for what was refused, or took a line down
                subscriptions.want(sorted(plan.carries(name, self._wanted) - subscriptions.wanted))
                line.wake()
        for name, line in self._lines.items():
            subscriptions = self.feed.subscriptions[line.id]
            carried = plan.carries(name, self._wanted) if name in plan.login else frozenset()
            subscriptions.release([one for one in subscriptions.wanted if one not in carried])
            if name not in plan.login:
                line.park()
        self._flow.active = next((line.id for name, line in self._lines.items() if name == plan.prefer), None)

    def confirmed(self, line: str) -> int:
        return len(self.feed.subscriptions[self._lines[line].id].confirmed)

    def ticking(self, line: str) -> Iterable[Instrument]:
        return [slot.instrument for slot in list(self._lines[line].last_ticks) if isinstance(slot, Topic)]

    def last_tick_ns(self, line: str, instrument: Instrument | None = None) -> int | None:
        one = self._lines[line]
        if instrument is None:
            return one.last_tick_ns or None
        return one.last_ticks.get(self._topics.get(instrument))

    def first_tick_after(self, line: str, instrument: Instrument | None, after_ns: int) -> int | None:
        if instrument is None:
            batches = self._lines[line].recent
            batch = next(((first, last) for first, last in batches if last > after_ns), None)
            return None if batch is None else batch[0] if batch[0] > after_ns else batch[1]
        moment = self.last_tick_ns(line, instrument)
        return moment if moment is not None and moment > after_ns else None

    async def probe(self, line: str) -> bool:
        """A counter answers a subscription with a snapshot, also when the contract is subscribed already."""
        one = self._lines[line]
        canary = self._canary(one)
        if canary is None or not one.state.is_up:
            return False
        before = one.last_tick_ns
        try:
            async with asyncio.timeout(self._probe_s):
                await one.subscribe([canary])
                while one.last_tick_ns == before:  # noqa: ASYNC110 - an event would cost every tick, a probe is rare
                    await asyncio.sleep(0.02)
        except (TimeoutError, LineError):
            return False
        return True

    def _canary(self, line: Line) -> Instrument | None:
        """The contract that ticked most; any confirmed one when none did."""
        marks = self._carrying[line.id].marks
        return max(marks, key=lambda mark: mark.seq).instrument if marks else None

    # -- watched.Sight ---------------------------------------------------------------------------------

    def lines(self) -> Sequence[LineSight]:
        return self._sights

    def peers(self, line: LineId) -> Collection[str]:
        """Lines that carry the same contracts as this one."""
        carried = self._plan.carry.get(str(line))
        if carried is None:
            return ()
        return [name for name in self._lines if name != str(line) and self._plan.carry.get(name) == carried]

    def leads(self, line: LineId) -> bool:
        """Whether no line before it in the settings' order is up with the same contracts."""
        peers = set(self.peers(line))
        for name, one in self._lines.items():
            if name == str(line):
                return True
            if name in peers and one.state.is_up:
                return False
        return True


class _Sight:
    """Implements ``watched.LineSight``."""

    def __init__(self, line: Line, carrying: Carrying, steering: Steering) -> None:
        self.name = str(line.id)
        self._line, self._carrying, self._steering = line, carrying, steering

    @property
    def up(self) -> bool:
        return self._line.state.is_up and not self._line.parked

    @property
    def up_since_ns(self) -> int:
        return self._line.up_since_ns

    @property
    def ticks(self) -> int:
        return self._line.counts.delivered

    @property
    def last_tick_ns(self) -> int:
        return self._line.last_tick_ns

    @property
    def peers(self) -> Collection[str]:
        return self._steering.peers(self._line.id)

    @property
    def leads(self) -> bool:
        return self._steering.leads(self._line.id)

    @property
    def marks(self) -> Sequence[Topic]:
        return self._carrying.marks
