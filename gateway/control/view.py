"""Figures of a running gateway: for metrics, terminals and pages. Reads plain numbers; a tick pays nothing."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime, time
from typing import Literal

from gateway.assembly import Feed
from gateway.clock import Clock
from gateway.control.desk import GatewayDesk
from gateway.flow.pipeline import FeedFlow, Pipeline
from gateway.flow.publisher import Publisher
from gateway.latency import LatencyHistogram
from gateway.lines.line import Line
from gateway.metrics import GatewaySample, LineSample, StopSample
from gateway.model import SHANGHAI, LineId
from gateway.ports import Bus

_EVERY_S = 1.0
_WINDOW = 5
"""Throughput is told over so many samples: long enough to be calm, short enough to see a stop."""


class GatewayView:
    """Implements metrics.MetricsView. :meth:`run` (owned by the gateway) samples the throughput."""

    def __init__(
        self,
        desk: GatewayDesk,
        pipeline: Pipeline,
        publisher: Publisher,
        bus: Bus,
        feeds: Sequence[Feed],
        clock: Clock,
    ) -> None:
        self.desk = desk
        self._pipeline = pipeline
        self._publisher = publisher
        self._bus = bus
        self._feeds = feeds
        self._clock = clock
        self._marks: deque[tuple[float, Counter[LineId], int]] = deque(maxlen=_WINDOW + 1)

    @property
    def latency(self) -> LatencyHistogram:
        """From the line's callback to the post."""
        return self._pipeline.latency

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.mark()
            await asyncio.sleep(_EVERY_S)

    def mark(self) -> None:
        """Note the counts as of now."""
        ticks = Counter({line.id: line.counts.delivered for feed in self._feeds for line in feed.lines})
        self._marks.append((self._clock.monotonic(), ticks, self._publisher.taken))

    def throughput(self, line: LineId) -> float:
        """Ticks a second that a line delivered, over the last seconds."""
        elapsed = self._elapsed()
        return (self._marks[-1][1][line] - self._marks[0][1][line]) / elapsed if elapsed else 0.0

    def published_rate(self) -> float:
        """Ticks a second that were published, over the last seconds."""
        elapsed = self._elapsed()
        return (self._marks[-1][2] - self._marks[0][2]) / elapsed if elapsed else 0.0

    def received_rate(self) -> float:
        """Ticks a second that all lines delivered, over the last seconds."""
        return sum(self.throughput(line.id) for feed in self._feeds for line in feed.lines)

    def _elapsed(self) -> float:
        return self._marks[-1][0] - self._marks[0][0] if len(self._marks) > 1 else 0.0

    def top(self, count: int) -> list[tuple[str, int, bytes]]:
        """The busiest instruments: name, ticks published, last payload."""
        busiest = sorted(self._pipeline.topics, key=lambda topic: topic.seq, reverse=True)[:count]
        return [(topic.name, topic.seq, topic.payload) for topic in busiest if topic.payload]

    def sample(self) -> GatewaySample:
        connection = self._bus.connection
        return GatewaySample(
            epoch=self.desk.epoch,
            lines=[self._line(feed, line) for feed in self._feeds for line in feed.lines],
            stops=[*self._arbitration(), self._publishing()],
            held=self._publisher.held,
            bus_connected=self._bus.connected,
            bus_reconnects=max(connection - 1, 0),
            latency=self._pipeline.latency,
        )

    def _line(self, feed: Feed, line: Line) -> LineSample:
        counts = line.live_counts()
        subscriptions = feed.subscriptions[line.id]
        return LineSample(
            feed=line.id.feed,
            account=line.id.account,
            state=line.state,
            session=_window(self._clock.wall_ns()),
            throughput=self.throughput(line.id),
            received=counts.delivered,
            rejected=dict(counts.rejects),
            dropped={reason: ticks for reason, ticks in counts.dropped.items() if reason != "rejected"},
            restarts=counts.restarts,
            disconnects=counts.disconnects,
            wanted=len(subscriptions.wanted),
            pending=len(subscriptions.pending),
            confirmed=len(subscriptions.confirmed),
            failed=len(subscriptions.failed),
            rate_limit_waits=subscriptions.rate_limit_waits,
            retries=subscriptions.retries,
        )

    def _arbitration(self) -> list[StopSample]:
        return [
            StopSample(
                stop="arbitrate",
                line=str(line.id),
                entered=flow.delivered[line.id],
                left=flow.published[line.id],
                dropped=dict(flow.dropped[line.id]),
            )
            for flow, line in self._flows()
        ]

    def _flows(self) -> list[tuple[FeedFlow, Line]]:
        return [(self._pipeline.feeds[feed.name], line) for feed in self._feeds for line in feed.lines]

    def _publishing(self) -> StopSample:
        publisher = self._publisher
        return StopSample(
            stop="publish", entered=publisher.taken, left=publisher.settled, dropped=dict(publisher.dropped)
        )


def _window(wall_ns: int) -> Literal["day", "night", "closed"]:
    """Which window of the operators' day it is, by the clock alone: day 09:00-15:00, night 21:00-02:30 (contract, §8).

    It knows no calendar: a Sunday at noon is "day" too.
    """
    now = datetime.fromtimestamp(wall_ns / 1e9, SHANGHAI).time()
    if time(9) <= now < time(15):
        return "day"
    return "night" if now >= time(21) or now < time(2, 30) else "closed"
