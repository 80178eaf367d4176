"""Figures for Prometheus: read at the scrape from plain numbers, so that a tick pays nothing for them."""

from gateway.latency import LatencyHistogram
from gateway.metrics.families import GatewayCollector, registry_for
from gateway.metrics.samples import FeedSample, GatewaySample, LedgerSample, LineSample, MetricsView, StopSample
from gateway.metrics.server import MetricsServer

__all__ = [
    "FeedSample",
    "GatewayCollector",
    "GatewaySample",
    "LatencyHistogram",
    "LedgerSample",
    "LineSample",
    "MetricsServer",
    "MetricsView",
    "StopSample",
    "registry_for",
]
