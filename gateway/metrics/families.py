"""Samples as Prometheus families: read at the scrape, so that a tick pays nothing for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.metrics.samples import FeedSample, GatewaySample, LineSample, MetricsView
from gateway.model import LineState


class GatewayCollector(Collector):
    """Turns samples into metric families. The names are in ``docs/metrics.md``; labels never hold an instrument."""

    def __init__(self, view: MetricsView) -> None:
        self._view = view

    def describe(self) -> Iterable[Metric]:
        """Names alone, so that registering takes no sample and a second one in the registry is refused."""
        return self._families(GatewaySample(epoch=0))

    def collect(self) -> Iterator[Metric]:
        return self._families(self._view.sample())

    def _families(self, sample: GatewaySample) -> Iterator[Metric]:
        yield from _line_families(sample.lines)
        yield from _subscription_families(sample.lines)
        yield from _tick_families(sample)
        yield from _feed_families(sample.feeds)
        yield from _ledger_families(sample)
        backlog = GaugeMetricFamily("md_queue_backlog", "Messages waiting in a queue.", labels=["queue"])
        backlog.add_metric(["publish"], sample.held)
        yield backlog
        yield GaugeMetricFamily("md_nats_connected", "1 while the bus is connected.", int(sample.bus_connected))
        yield CounterMetricFamily("md_nats_reconnects", "Reconnects of the bus.", sample.bus_reconnects)
        yield GaugeMetricFamily("md_gateway_epoch_seconds", "Start of this gateway, Unix time.", sample.epoch / 1000)
        yield HistogramMetricFamily(
            "md_tick_latency_seconds",
            "From the line's callback to publishing.",
            buckets=sample.latency.prometheus_buckets(),
            sum_value=sample.latency.sum_ns / 1e9,
        )


_LINE: Final = ("feed", "account")


def _line_families(lines: Sequence[LineSample]) -> Iterator[Metric]:
    throughput = GaugeMetricFamily("md_throughput_mps", "Ticks a second from a line.", labels=_LINE)
    state = GaugeMetricFamily("md_line_state", "1 for the state a line is in.", labels=(*_LINE, "state"))
    active = GaugeMetricFamily("md_line_active", "1 for the line that its feed stands on.", labels=_LINE)
    received = CounterMetricFamily("md_line_ticks", "Ticks that reached the core from a line.", labels=_LINE)
    restarts = CounterMetricFamily("md_line_restarts", "Restarts of a line.", labels=_LINE)
    disconnects = CounterMetricFamily("md_disconnects", "Disconnects of a line.", labels=_LINE)
    silent = GaugeMetricFamily("md_line_silent", "1 while a line is silent although its market trades.", labels=_LINE)
    suspect = GaugeMetricFamily("md_line_suspect", "1 while the arbiter does not believe a line.", labels=_LINE)
    first = CounterMetricFamily("md_line_first", "Ticks that a line brought before the others.", labels=_LINE)
    for line in lines:
        labels = (line.feed, line.account)
        silent.add_metric(labels, int(line.silent))
        suspect.add_metric(labels, int(line.suspect))
        active.add_metric(labels, int(line.active))
        first.add_metric(labels, line.first)
        throughput.add_metric(labels, line.throughput)
        for one in LineState:
            state.add_metric((*labels, one.value), int(line.state is one))
        received.add_metric(labels, line.received)
        restarts.add_metric(labels, line.restarts)
        disconnects.add_metric(labels, line.disconnects)
    yield from (throughput, state, active, received, restarts, disconnects, silent, suspect, first)


def _subscription_families(lines: Sequence[LineSample]) -> Iterator[Metric]:
    coverage = GaugeMetricFamily(
        "md_subscription_coverage_ratio", "Confirmed of wanted contracts.", labels=(*_LINE, "session")
    )
    missing = GaugeMetricFamily(
        "md_subscription_missing_total", "Wanted contracts that are not confirmed.", labels=_LINE
    )
    stalled = GaugeMetricFamily(
        "md_subscription_stalled_total", "Contracts that stopped while their market is open.", labels=_LINE
    )
    counts = GaugeMetricFamily(
        "md_subscriptions", "Contracts by status of their subscription.", labels=(*_LINE, "status")
    )
    waits = CounterMetricFamily("md_rate_limit_waits", "Batches held back by the rate limit.", labels=_LINE)
    retries = CounterMetricFamily("md_subscription_retries", "Contracts asked for again.", labels=_LINE)
    for line in lines:
        labels = (line.feed, line.account)
        if line.wanted:
            coverage.add_metric((*labels, line.session), line.confirmed / line.wanted)
        missing.add_metric(labels, line.wanted - line.confirmed)
        stalled.add_metric(labels, line.stalled)
        for status in ("wanted", "pending", "confirmed", "failed"):
            counts.add_metric((*labels, status), getattr(line, status))
        waits.add_metric(labels, line.rate_limit_waits)
        retries.add_metric(labels, line.retries)
    yield from (coverage, missing, stalled, counts, waits, retries)


def _feed_families(feeds: Sequence[FeedSample]) -> Iterator[Metric]:
    session = GaugeMetricFamily("md_session", "1 for the session a feed's market is in.", labels=("feed", "session"))
    opened = GaugeMetricFamily(
        "md_market_open_ratio", "Wanted contracts in continuous trading, of all wanted ones.", labels=("feed",)
    )
    switches = CounterMetricFamily("md_switches", "Failovers and failbacks.", labels=("feed", "kind", "result"))
    required = GaugeMetricFamily(
        "feed_failover_required", "1 while a failover is asked for and not done.", labels=("feed",)
    )
    unplaced = GaugeMetricFamily(
        "md_subscription_unplaced", "Wanted contracts that no line has room for.", labels=("feed",)
    )
    latencies = {
        kind: GaugeMetricFamily(
            f"md_{kind}_latency_ms", "Last tick of the old line to first tick of the new one.", labels=("feed",)
        )
        for kind in ("failover", "failback")
    }
    for feed in feeds:
        for one in ("day", "night", "closed"):
            session.add_metric((feed.feed, one), int(feed.session == one))
        opened.add_metric((feed.feed,), feed.open_share)
        for kind, family in latencies.items():
            for result in ("ok", "failed"):
                switches.add_metric((feed.feed, kind, result), feed.switches.get((kind, result), 0))
            if kind in feed.latency_ms:
                family.add_metric((feed.feed,), feed.latency_ms[kind])
        required.add_metric((feed.feed,), int(feed.required))
        unplaced.add_metric((feed.feed,), feed.unplaced)
    yield from (session, opened, switches, *latencies.values(), required, unplaced)


def _ledger_families(sample: GatewaySample) -> Iterator[Metric]:
    ledger = sample.ledger
    yield GaugeMetricFamily("md_gaps_open", "Wanted contracts in session that no line carries.", ledger.open_gaps)
    yield GaugeMetricFamily("md_gap_ledger_degraded", "1 while the gap ledger cannot write.", int(ledger.degraded))
    yield GaugeMetricFamily("md_gap_ledger_waiting", "Rows of the gap ledger not on the disk yet.", ledger.waiting)
    yield CounterMetricFamily("md_gap_ledger_lost", "Rows that the gap ledger had no room for.", ledger.lost)
    yield CounterMetricFamily("md_events_published", "Events that the bus has taken.", sample.events_published)
    yield CounterMetricFamily("md_events_dropped", "Events that did not reach the bus.", sample.events_dropped)


def _tick_families(sample: GatewaySample) -> Iterator[Metric]:
    entered = CounterMetricFamily("md_ticks_in", "Ticks that came to a stop.", labels=("stop", "line"))
    left = CounterMetricFamily("md_ticks_out", "Ticks that a stop passed on.", labels=("stop", "line"))
    dropped = CounterMetricFamily(
        "md_ticks_dropped", "Ticks and records dropped at a stop.", labels=("stop", "reason", "line")
    )
    for stop in sample.stops:
        entered.add_metric((stop.stop, stop.line), stop.entered)
        left.add_metric((stop.stop, stop.line), stop.left)
        for reason, count in stop.dropped.items():
            dropped.add_metric((stop.stop, reason, stop.line), count)
    for line in sample.lines:
        name = f"{line.feed}:{line.account}"
        for where, counts in (("parse", line.rejected), ("ship", line.dropped)):
            for reason, count in counts.items():
                dropped.add_metric((where, reason, name), count)
    yield from (entered, left, dropped)


def registry_for(view: MetricsView) -> CollectorRegistry:
    """A registry of its own for one gateway, so that two in one process do not collide."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(view))
    return registry
