"""The console's own figures for Prometheus, in a registry of their own. Names: ``docs/metrics.md``."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.model import LineId
from runbook.web.observed import Observed

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SERVER_ERROR: Final = 500


class Meters:
    """Of one console."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "md_api_requests",
            "Requests by method, route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._errors = Counter(
            "md_api_errors", "Answers with a status of 500 and above, by route.", ("route",), registry=self.registry
        )
        self._seconds = Histogram(
            "md_api_request_seconds",
            "From a request to the end of its answer; streams are not in it.",
            ("method",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.refused = Counter(
            "md_api_refused",
            "Requests turned away, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.streams = Gauge("md_api_streams", "Open event streams, by kind.", ("kind",), registry=self.registry)
        self.stream_drops = Counter(
            "md_api_stream_drops",
            "Event streams closed because their client was too slow, by kind.",
            ("kind",),
            registry=self.registry,
        )
        self.stalled = Counter(
            "md_api_stalled_connections",
            "Connections cut because the client did not send its request, or take its answer, in time.",
            ("what",),
            registry=self.registry,
        )
        self.runs = Counter(
            "md_runbook_runs",
            "Runs that ended while this console was looking, by action and exit code.",
            ("action", "exit_code"),
            registry=self.registry,
        )
        self.running = Gauge("md_runbook_running", "Runs that go on now.", registry=self.registry)
        self.reachable = Gauge(
            "md_console_gateway_reachable", "1 while the gateway answers the console.", registry=self.registry
        )
        self._backlog = Gauge(
            "consumer_backlog_messages",
            "Messages that wait for the consumer most wait for, by NATS itself; none while that is not known.",
            ("feed", "account"),
            registry=self.registry,
        )

    def look(self, seen: Observed) -> None:
        """Take what the console knows now. What is old or was not measured has no sample."""
        self.reachable.set(int(seen.reachable))
        self._backlog.clear()
        if seen.backlog is None or seen.is_stale(seen.backlog_at_ns) or seen.status is None:
            return
        for line in seen.status.lines:
            if line.role == "active":
                name = LineId.parse(line.line)
                self._backlog.labels(name.feed, name.account).set(seen.backlog.messages)

    def request(self, *, method: str, route: str, status: int, seconds: float, stream: bool) -> None:
        """One that is over. ``route`` is the pattern with its parameters' names, never what somebody typed."""
        self._requests.labels(method, route, str(status)).inc()
        if status >= _SERVER_ERROR:
            self._errors.labels(route).inc()
        if not stream:
            self._seconds.labels(method).observe(seconds)

    def text(self) -> bytes:
        """In Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)
