"""How long a start took, for the Pushgateway."""

from __future__ import annotations

import asyncio
from http.client import HTTPException
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import push_to_gateway

from runbook.runner.pushing import NO_WINDOW
from runbook.settings import MetricsSettings

STARTUP: Final = "md_session_startup_duration_s"
JOB: Final = "session_startup"


async def push_startup(rules: MetricsSettings, *, window: str | None, profile: str, seconds: float) -> str:
    """``md_session_startup_duration_s{window,profile}``: start → ready, in seconds; why that failed, or nothing."""
    url = rules.pushgateway_url
    if url is None:
        return ""
    registry = CollectorRegistry()
    Gauge(STARTUP, "Seconds from the start to everything being ready", registry=registry).set(seconds)
    group = {"window": window or NO_WINDOW, "profile": profile}
    try:
        await asyncio.to_thread(push_to_gateway, url, JOB, registry, grouping_key=group, timeout=rules.push_timeout_s)
    except (OSError, HTTPException, ValueError) as error:
        return f"{STARTUP} could not be pushed to {url}: {error}; is the Pushgateway running?"
    return ""
