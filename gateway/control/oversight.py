"""Who watches over the lines of a gateway: failover, watchdog, sessions, ledger and events, joined together.

It decides nothing itself; it hands on what one of them says to those who must know.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway.assembly import Feed
from gateway.clock import Clock
from gateway.codec import decode_any
from gateway.control.announcer import Announcer
from gateway.control.events import (
    ControlEvent,
    LineSilent,
    LineSpeaks,
    LineStateChanged,
    Switch,
    judged,
    ledger_health,
)
from gateway.control.failover import Failover
from gateway.control.hours import FeedHours, MarketHours
from gateway.control.phase_clock import PhaseClock
from gateway.control.rules import failover_rules, watch_rules
from gateway.control.steering import Steering
from gateway.control.watchdog import Watchdog
from gateway.errors import ControlError
from gateway.flow.arbiter import ArbiterEvent
from gateway.flow.carrying import Carrying
from gateway.flow.coverage import Coverage
from gateway.flow.gaps import StoreHealth
from gateway.flow.gapstore import GapStore
from gateway.flow.ledger import Ledger
from gateway.flow.pipeline import Pipeline
from gateway.gaps import LedgerStore
from gateway.lines.line import Line
from gateway.model import Instrument, LineId, LineState, Tick
from gateway.settings import Settings
from gateway.tasks import TaskOwner

_log = logging.getLogger(__name__)

_WRITTEN_S = 2.0
_STILL_SILENT_S = 1.0


class FeedWatch:
    """What watches over one feed."""

    def __init__(self, steering: Steering, failover: Failover, watchdog: Watchdog, hours: FeedHours) -> None:
        self.steering, self.failover, self.watchdog, self.hours = steering, failover, watchdog, hours


class Oversight:
    """Built with the parts of a gateway, before its lines start. All methods on the loop.

    Order: :meth:`recover`, then ``want`` and :meth:`start`; at the end :meth:`halt` before the lines are stopped, and
    :meth:`aclose` after.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        settings: Settings,
        pipeline: Pipeline,
        *,
        hours: MarketHours,
        store: LedgerStore,
        announcer: Announcer,
        clock: Clock,
        decode: Callable[[bytes], Tick] = decode_any,
    ) -> None:
        self.temporary = settings.ledger.path is None and isinstance(store, GapStore)
        """The ledger ends with this gateway."""
        self.hours, self.announcer = hours, announcer
        self.store = store
        self._clock = clock
        self._restart_s = settings.watch.restart_s
        self._restarted: dict[LineId, float] = {}
        self._states: dict[LineId, LineState] = {}
        self._topics = pipeline.topics
        self._tasks = TaskOwner()
        self.ledger = Ledger(
            store,
            hours.ledger_phases(feeds[0].name),
            clock,
            announcer.gap,
            stream_of=self._topics.get,
            phases_of={feed.name: hours.ledger_phases(feed.name) for feed in feeds},
            health=self._ledger_health,
            decode=decode,
        )
        self._phase_clock = None if hours.calendar is None else PhaseClock(hours.calendar, clock, announcer.tell)
        self._follows = {feed.name for feed in feeds if feed.sessions == "calendar"}
        self._carrying: dict[LineId, Carrying] = {}
        self.feeds: dict[str, FeedWatch] = {}
        for feed in feeds:
            self._join(feed, settings, pipeline)

    def _join(self, feed: Feed, settings: Settings, pipeline: Pipeline) -> None:
        for line in feed.lines:
            subscriptions = feed.subscriptions[line.id]
            carrying = Carrying(subscriptions, self.ledger, pipeline.topics, line.heard_ns)
            self._carrying[line.id] = line.subscriptions = carrying
            self._states[line.id] = line.state
        steering = Steering(
            feed,
            pipeline.feeds[feed.name],
            pipeline.topics,
            {line.id: self._carrying[line.id] for line in feed.lines},
            self._clock,
            capacity=settings.subscriptions.per_login_limit,
            probe_s=settings.watch.probe_s,
        )
        phases = self.hours.of(feed.name, steering.wanted)
        failover = Failover(
            feed.name, steering, feed.router, phases, self._clock, self.announcer.tell, rules=failover_rules(settings)
        )
        watchdog = Watchdog(feed.name, steering, phases, self._clock, self._watched, rules=watch_rules(settings))
        self.feeds[feed.name] = FeedWatch(steering, failover, watchdog, phases)

    # -- starting and stopping -------------------------------------------------------------------------

    async def recover(self) -> None:
        """Write down what was missed since the gateway before gave its last sign of life."""
        contracts = await self.ledger.recover(feeds=self.feeds)
        if contracts:
            _log.warning(
                "the gateway was away: %d contracts have a gap since, as far as they were in session", contracts
            )

    async def start(self, owner: TaskOwner) -> None:
        """Give out the first plans, then watch. ``owner`` hears of failures."""
        for feed, watch in self.feeds.items():
            await watch.failover.look()
            for work, name in (
                (watch.failover.run(), f"failover {feed}"),
                (watch.watchdog.run(), f"watchdog {feed}"),
            ):
                self._tasks.adopt(owner.start(work, name))
        owner.start(self.ledger.run(), "ledger")
        self._tasks.adopt(owner.start(self._keep_logging_in(), "silent lines"))
        if self._phase_clock is not None:
            self._tasks.adopt(owner.start(self._phase_clock.run(), "phases"))

    async def halt(self) -> None:
        """Act no more: the lines are about to be stopped. Idempotent."""
        for carrying in self._carrying.values():
            carrying.close()
        await self._tasks.aclose()

    # -- what lines and the arbiter tell ---------------------------------------------------------------

    def line_changed(self, line: Line) -> None:
        """A line entered a state or has another reason."""
        was, self._states[line.id] = self._states[line.id], line.state
        if was is not line.state:
            self.announcer.tell(
                LineStateChanged(
                    feed=line.id.feed, at_ns=line.since_ns, line=str(line.id),
                    state=line.state, was=was, reason=line.reason,
                )
            )  # fmt: skip
        self.feeds[line.id.feed].failover.line_changed(str(line.id), line.state, line.reason)

    def arbiter_said(self, event: ArbiterEvent) -> None:
        """The arbiter stopped or began to believe a line."""
        self.announcer.tell(judged(event, self.now_ns()))

    def _watched(self, event: ControlEvent) -> None:
        """What a watchdog says."""
        if isinstance(event, LineSilent | LineSpeaks):
            line = self._line(event.line)
            carrying, failover = self._carrying[line.id], self.feeds[event.feed].failover
            if isinstance(event, LineSpeaks):
                carrying.speaks()
                failover.line_speaks(event.line)
            else:
                reason = f"silent for {event.silent_s:.1f} s in session"
                carrying.silent(reason, event.last_tick_ns)
                failover.line_silent(event.line)
                self._log_in_again(line, reason)
        self.announcer.tell(event)

    async def _keep_logging_in(self) -> None:
        while True:
            await asyncio.sleep(_STILL_SILENT_S)
            self.log_in_again()

    def log_in_again(self) -> None:
        """Lines that are still silent, as often as it is allowed. The watchdog tells of a silence only once."""
        for watch in self.feeds.values():
            for name in watch.watchdog.silent:
                line = self._line(name)
                if line.state.is_up and not line.parked:
                    self._log_in_again(line, "still silent in session")

    def _log_in_again(self, line: Line, reason: str) -> None:
        """A front that went silent may serve a new login; more often than this it would look like an attack."""
        now = self._clock.monotonic()
        if now - self._restarted.get(line.id, -self._restart_s) >= self._restart_s:
            self._restarted[line.id] = now
            line.restart(reason)

    def _ledger_health(self, health: StoreHealth) -> None:
        self.announcer.tell(ledger_health(health, self.now_ns()))

    # -- what the gateway is asked ---------------------------------------------------------------------

    async def want(self, feed: str, instruments: Iterable[Instrument]) -> None:
        """A feed is to carry these too."""
        await self._rewish(feed, lambda steering: steering.want(instruments))

    async def release(self, feed: str, instruments: Iterable[Instrument]) -> None:
        """A feed is to carry these no longer."""
        await self._rewish(feed, lambda steering: steering.release(instruments))

    async def _rewish(self, feed: str, change: Callable[[Steering], None]) -> None:
        watch = self.feeds[feed]
        change(watch.steering)
        wanted = watch.steering.wanted()
        self.ledger.wanted(feed, wanted)
        if self._phase_clock is not None and feed in self._follows:
            self._phase_clock.wanted(feed, wanted)
        await watch.failover.wishes_changed()

    async def failover(self, feed: str, reason: str, to: str | None = None) -> Switch:
        """Leave the preferred line. Raises ControlError for an unknown feed or line, and while a switch runs."""
        return await self._watch(feed).failover.failover(reason, to)

    async def failback(self, feed: str, reason: str) -> Switch:
        """Back to the first line. As :meth:`failover`."""
        return await self._watch(feed).failover.failback(reason)

    def require(self, feed: str, reason: str, value: float = 1) -> None:
        """``feed_failover_required``: above 0 asks for a failover when the rules allow, 0 takes it back."""
        failover = self._watch(feed).failover
        if value > 0:
            failover.require(reason)
        else:
            failover.withdraw()

    def restart_line(self, line: str, reason: str) -> None:
        """End a line in order and start it again. Raises ControlError for an unknown or parked one."""
        one = self._line(line)
        if one.parked:
            raise ControlError(f"line {line} is parked; it starts when it is needed (failover --to {line})", line=line)
        one.restart(reason)

    def now_ns(self) -> int:
        """Unix nanoseconds by the gateway's clock."""
        return self._clock.wall_ns()

    async def written(self) -> None:
        """Return when what the ledger noticed until now is on the disk, or the disk refuses it."""
        self.ledger.tick()
        flushed = asyncio.ensure_future(self.store.flushed())
        await asyncio.wait({flushed}, timeout=_WRITTEN_S)
        flushed.cancel()

    def coverage(self) -> list[Coverage]:
        """All feeds as of now, from one pass over the wanted contracts: 30,000 take some 30 ms."""
        found = {one.feed: one for one in self.ledger.coverage(_Stalled(self.feeds))}
        return [found[feed] for feed in self.feeds if feed in found]

    def _watch(self, feed: str) -> FeedWatch:
        if feed not in self.feeds:
            raise ControlError(f"no feed {feed!r} here; the feeds are: {', '.join(self.feeds)}", feed=feed)
        return self.feeds[feed]

    def _line(self, name: str) -> Line:
        lines = [line for watch in self.feeds.values() for line in watch.steering.feed.lines]
        for line in lines:
            if str(line.id) == name:
                return line
        raise ControlError(f"no line {name!r} here; the lines are: {', '.join(str(line.id) for line in lines)}")


class _Stalled:
    """The watchdogs' verdicts as the rules of coverage."""

    fresh_ns = 3_000_000_000

    def __init__(self, feeds: Mapping[str, FeedWatch]) -> None:
        self._stalled = frozenset[Instrument]().union(*(watch.watchdog.stalled_contracts for watch in feeds.values()))

    def is_stalled(self, instrument: Instrument, silent_ns: int) -> bool:  # noqa: ARG002 - the protocol's parameters
        return instrument in self._stalled
