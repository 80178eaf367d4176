"""The way of a tick through the core: line → arbiter → publisher. Wires, and counts; decides nothing itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.clock import Clock
from gateway.codec import Codec, Origin
from gateway.flow.arbiter import Arbiter, ArbiterEvent, ArbiterRules
from gateway.flow.publisher import Arrival, Publisher, sample
from gateway.flow.topics import Topics
from gateway.latency import LatencyHistogram
from gateway.lines.line import Line
from gateway.model import LineId, LineState
from gateway.ports import Bus
from gateway.subjects import batch_subject

_ALONE = ArbiterRules(window=1)
"""A line without a second one needs its last snapshot only: 30,000 contracts then stay in the processor's cache."""


class FeedFlow:
    """One feed's share of the pipeline: its lines, its arbiter, and which line is called active."""

    def __init__(self, feed: str, batch_head: bytes, arbiter: Arbiter) -> None:
        self.feed = feed
        self.batch_head = batch_head
        self.arbiter = arbiter
        self.active: LineId | None = None
        """The line that the router prefers. All lines deliver; the arbiter publishes whoever is first."""
        self.origins: dict[LineId, Origin] = {}
        self.delivered: Counter[LineId] = Counter()
        self.timer: asyncio.TimerHandle | None = None
        """Set while ticks wait in the reorder window."""

    @property
    def published(self) -> Counter[LineId]:
        """Ticks that went to the publisher, by the line that brought them first."""
        return self.arbiter.published

    @property
    def dropped(self) -> Mapping[LineId, Counter[str]]:
        """Ticks that the arbiter dropped, by line and reason."""
        return self.arbiter.dropped


class Pipeline:
    """Takes what lines deliver. All methods on the loop."""

    def __init__(
        self,
        bus: Bus,
        codec: Codec,
        publisher: Publisher,
        *,
        epoch: int,
        clock: Clock,
        events: Callable[[ArbiterEvent], None],
    ) -> None:
        """``events`` hears of lines that the arbiter stops or begins to believe."""
        self._bus = bus
        self._codec = codec
        self._publisher = publisher
        self._epoch = epoch
        self._clock = clock
        self._wall_ns: Callable[[], int] = clock.wall_ns
        self._events = events
        self.topics = Topics(bus.head)
        self.feeds: dict[str, FeedFlow] = {}
        self.latency = LatencyHistogram()
        """From the line's callback to the post, sampled: up to 8 ticks of a batch stand for all."""

    def add_feed(self, feed: str, accounts: Mapping[LineId, str], *, reorder_s: float = 0.0) -> None:
        """Make a feed's lines (and their masked accounts) known before they deliver."""
        rules = ArbiterRules() if len(accounts) > 1 else _ALONE
        arbiter = Arbiter((), clock=self._clock, events=self._events, reorder_s=reorder_s, rules=rules)
        flow = self.feeds[feed] = FeedFlow(feed, self._bus.head(batch_subject(feed)), arbiter)
        for line, account in accounts.items():
            flow.origins[line] = self._codec.origin(self._epoch, str(line), account)
            arbiter.add(line)
            arbiter.lost(line)

    def line_changed(self, line: LineId, state: LineState) -> None:
        """A login begins a line's order anew; a line that is not up is not waited for."""
        arbiter = self.feeds[line.feed].arbiter
        if state is LineState.LOGGED_IN:
            arbiter.reset(line)
        elif not state.is_up:
            arbiter.lost(line)

    def deliver(self, line: Line, arrivals: Sequence[Any]) -> None:
        """Stop 4 to 8 for a batch of one line."""
        flow = self.feeds[line.id.feed]
        flow.delivered[line.id] += len(arrivals)
        fresh = flow.arbiter.admit(line.id, arrivals)
        if fresh:
            self._publish(flow, line.id, fresh)
        if flow.arbiter.reorder_s:
            self._release(flow)

    def flush(self) -> None:
        """Let go of what waits in the reorder windows, whatever its time."""
        for flow in self.feeds.values():
            self._let_go(flow, self._clock.monotonic() + flow.arbiter.reorder_s)

    def _release(self, flow: FeedFlow) -> None:
        """Publish what the reorder window lets go now, and come back when the next is due."""
        if flow.timer is not None:
            flow.timer.cancel()
            flow.timer = None
        now = self._clock.monotonic()
        self._let_go(flow, now)
        due = flow.arbiter.next_due()
        if due is not None:
            flow.timer = asyncio.get_running_loop().call_later(max(due - now, 0.0), self._release, flow)

    def _let_go(self, flow: FeedFlow, now: float) -> None:
        run: list[Arrival] = []
        of: LineId | None = None
        for line, arrival in flow.arbiter.release(now):
            if line != of and run and of is not None:
                self._publish(flow, of, run)
                run = []
            of = line
            run.append(arrival)
        if run and of is not None:
            self._publish(flow, of, run)

    def _publish(self, flow: FeedFlow, line: LineId, arrivals: Sequence[Arrival]) -> None:
        self._publisher.publish(flow.origins[line], flow.batch_head, arrivals)
        now = self._wall_ns()
        some, weight = sample(arrivals)
        for arrival in some:
            self.latency.add(now - arrival[4], weight)
