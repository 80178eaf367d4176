"""The figures of a health check to the Pushgateway. A failed push is told, and changes nothing else."""

from __future__ import annotations

import asyncio
import logging
from http.client import HTTPException
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import delete_from_gateway, push_to_gateway

from runbook.health.report import HealthReport

log = logging.getLogger(__name__)

JOB: Final = "feed_health"


async def push(report: HealthReport, url: str, *, profile: str, timeout_s: float) -> str:
    """Replace the figures of the last check by these; why that failed, or nothing.

    A check that could not measure takes them away: old figures must not look like news.
    """
    try:
        await asyncio.to_thread(_push, report, url, profile, timeout_s)
    except (OSError, HTTPException, ValueError) as error:
        log.warning("the figures of the health check could not be pushed: %s", error)
        return f"figures could not be pushed to {url}: {error}; is the Pushgateway running?"
    return ""


def _push(report: HealthReport, url: str, profile: str, timeout_s: float) -> None:
    group = {"profile": profile}
    if not report.measured:
        delete_from_gateway(url, JOB, grouping_key=group, timeout=timeout_s)
        return
    push_to_gateway(url, JOB, registry(report), grouping_key=group, timeout=timeout_s)


def registry(report: HealthReport) -> CollectorRegistry:
    """The figures, a sample for each feed."""
    made = CollectorRegistry()
    missing = Gauge("md_subscription_missing_total", "Expected contracts on no line", ["feed"], registry=made)
    stalled = Gauge("md_subscription_stalled_total", "Contracts silent for too long", ["feed"], registry=made)
    coverage = Gauge(
        "md_subscription_coverage_ratio", "Carried of expected contracts", ["feed", "session"], registry=made
    )
    for feed in report.feeds:
        missing.labels(feed.feed).set(feed.expected_total - feed.matched_total)
        stalled.labels(feed.feed).set(len(feed.stalled))
        if feed.coverage_ratio is not None:
            coverage.labels(feed.feed, feed.session).set(feed.coverage_ratio)
    return made
