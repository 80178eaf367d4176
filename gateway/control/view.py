"""Figures of a running gateway: for metrics, terminals and pages. Reads plain numbers; a tick pays nothing."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

from gateway.assembly import Feed
from gateway.clock import Clock
from gateway.control.desk import GatewayDesk
from gateway.control.figures import FeedFigures, Figures, LineFigures
from gateway.control.oversight import Oversight
from gateway.flow.pipeline import FeedFlow, Pipeline
from gateway.flow.publisher import Publisher
from gateway.latency import LatencyHistogram
from gateway.lines.line import Line
from gateway.metrics import FeedSample, GatewaySample, LedgerSample, LineSample, StopSample
from gateway.model import LineId
from gateway.ports import Bus

_EVERY_S = 1.0
_MS = 1_000_000
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
        oversight: Oversight,
    ) -> None:
        self.desk = desk
        self._pipeline = pipeline
        self._publisher = publisher
        self._bus = bus
        self._feeds = feeds
        self._clock = clock
        self._oversight = oversight
        self._marks: deque[tuple[float, Counter[LineId], int]] = deque(maxlen=_WINDOW + 1)
        self._latencies: deque[LatencyHistogram] = deque(maxlen=_WINDOW + 1)

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
        self._latencies.append(self._pipeline.latency.copy())

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
            feeds=[self._feed(feed) for feed in self._feeds],
            ledger=self._ledger(),
            events_published=self._oversight.announcer.published,
            events_dropped=self._oversight.announcer.dropped,
        )

    def figures(self) -> Figures:
        """What the control service's endpoint ``figures`` says."""
        recent = self._latencies[-1].since(self._latencies[0]) if self._latencies else LatencyHistogram()
        counted = recent.count > 0
        connection = self._bus.connection
        return Figures(
            at_ns=self._clock.wall_ns(),
            epoch=self.desk.epoch,
            published=self._publisher.settled,
            published_rate=self.published_rate(),
            received_rate=self.received_rate(),
            p50_ms=recent.percentile(50) / _MS if counted else None,
            p99_ms=recent.percentile(99) / _MS if counted else None,
            held=self._publisher.held,
            bus_connected=self._bus.connected,
            bus_reconnects=max(connection - 1, 0),
            lines=[_line_figures(self._line(feed, line)) for feed in self._feeds for line in feed.lines],
            feeds=[_feed_figures(self._feed(feed)) for feed in self._feeds],
        )

    def _feed(self, feed: Feed) -> FeedSample:
        watch, now_ns = self._oversight.feeds[feed.name], self._clock.wall_ns()
        failover = watch.failover
        measured = [one for one in failover.history if one.latency_ms is not None]
        return FeedSample(
            feed=feed.name,
            session=self._oversight.hours.session(feed.name, now_ns),
            open_share=watch.hours.open_share(now_ns),
            switches={
                (kind, result): failover.counts[f"{kind}.{result}"]
                for kind in ("failover", "failback")
                for result in ("ok", "failed")
            },
            latency_ms={one.kind: one.latency_ms for one in measured if one.latency_ms is not None},
            required=bool(failover.required),
            unplaced=len(failover.plan.unplaced),
        )

    def _ledger(self) -> LedgerSample:
        ledger = self._oversight.ledger
        health = ledger.health
        return LedgerSample(
            open_gaps=ledger.open_gaps, degraded=health.degraded, waiting=health.waiting, lost=health.lost
        )

    def _line(self, feed: Feed, line: Line) -> LineSample:
        counts = line.live_counts()
        subscriptions = feed.subscriptions[line.id]
        watchdog = self._oversight.feeds[feed.name].watchdog
        arbiter = self._pipeline.feeds[feed.name].arbiter
        return LineSample(
            feed=line.id.feed,
            account=line.id.account,
            state=line.state,
            session=self._oversight.hours.session(line.id.feed, self._clock.wall_ns()),
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
            first=arbiter.first[line.id],
            silent=str(line.id) in watchdog.silent,
            suspect=line.id in arbiter.suspects,
            active=self._pipeline.feeds[feed.name].active == line.id,
            stalled=watchdog.stalled.get(str(line.id), 0),
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


def _line_figures(line: LineSample) -> LineFigures:
    return LineFigures(
        line=f"{line.feed}:{line.account}",
        feed=line.feed,
        state=line.state,
        rate=line.throughput,
        received=line.received,
        first=line.first,
        dropped=sum(line.dropped.values()) + sum(line.rejected.values()),
        restarts=line.restarts,
        disconnects=line.disconnects,
        rate_limit_waits=line.rate_limit_waits,
        wanted=line.wanted,
        confirmed=line.confirmed,
        failed=line.failed,
        stalled=line.stalled,
        silent=line.silent,
        suspect=line.suspect,
    )


def _feed_figures(feed: FeedSample) -> FeedFigures:
    return FeedFigures(
        feed=feed.feed,
        session=feed.session,
        failover_ms=feed.latency_ms.get("failover"),
        failback_ms=feed.latency_ms.get("failback"),
        unplaced=feed.unplaced,
    )
