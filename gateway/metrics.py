"""Figures for Prometheus: read at the scrape from plain numbers, so that a tick pays nothing for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.errors import FeedgateError
from gateway.latency import LatencyHistogram
from gateway.model import LineState

__all__ = [
    "GatewayCollector",
    "GatewaySample",
    "LatencyHistogram",
    "LineSample",
    "MetricsServer",
    "MetricsView",
    "StopSample",
    "registry_for",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSample:
    """One line as of now. Counters begin with the gateway and never go back, also when the line restarts."""

    feed: str
    account: str
    """The account's name (``primary``), never its user id."""
    state: LineState
    session: Literal["day", "night", "closed"]
    throughput: float
    """Ticks a second, over the last seconds."""
    received: int
    """Ticks that reached the core from this line."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Records that could not be ticks, by reason."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Records and ticks lost between callback and core, by reason."""
    restarts: int = 0
    disconnects: int = 0
    wanted: int = 0
    pending: int = 0
    confirmed: int = 0
    failed: int = 0
    rate_limit_waits: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSample:
    """One stop of the core, for one line or (``line`` empty) for all. ``entered == left + dropped + held`` in it."""

    stop: str
    """``arbitrate``, ``publish`` …; ``parse`` and ``ship`` come from the lines."""
    line: str = ""
    entered: int
    left: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySample:
    """Everything that is published at one scrape."""

    epoch: int
    """Start of the gateway, Unix milliseconds."""
    lines: Sequence[LineSample] = ()
    stops: Sequence[StopSample] = ()
    held: int = 0
    """Messages that wait for the bus."""
    bus_connected: bool = True
    bus_reconnects: int = 0
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    """Callback to publish; read at once, so a live one may be given."""


class MetricsView(Protocol):
    """What the gateway shows to its metrics."""

    def sample(self) -> GatewaySample:
        """Called on the event loop, once per scrape; must be quick."""


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
    received = CounterMetricFamily("md_line_ticks", "Ticks that reached the core from a line.", labels=_LINE)
    restarts = CounterMetricFamily("md_line_restarts", "Restarts of a line.", labels=_LINE)
    disconnects = CounterMetricFamily("md_disconnects", "Disconnects of a line.", labels=_LINE)
    for line in lines:
        labels = (line.feed, line.account)
        throughput.add_metric(labels, line.throughput)
        for one in LineState:
            state.add_metric((*labels, one.value), int(line.state is one))
        received.add_metric(labels, line.received)
        restarts.add_metric(labels, line.restarts)
        disconnects.add_metric(labels, line.disconnects)
    yield from (throughput, state, received, restarts, disconnects)


def _subscription_families(lines: Sequence[LineSample]) -> Iterator[Metric]:
    coverage = GaugeMetricFamily(
        "md_subscription_coverage_ratio", "Confirmed of wanted contracts.", labels=(*_LINE, "session")
    )
    missing = GaugeMetricFamily(
        "md_subscription_missing_total", "Wanted contracts that are not confirmed.", labels=_LINE
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
        for status in ("wanted", "pending", "confirmed", "failed"):
            counts.add_metric((*labels, status), getattr(line, status))
        waits.add_metric(labels, line.rate_limit_waits)
        retries.add_metric(labels, line.retries)
    yield from (coverage, missing, counts, waits, retries)


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


_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_MAX_CONNECTIONS: Final = 32
_REQUEST_TIMEOUT_S: Final = 10.0
_MAX_REQUEST: Final = 16 << 10


class MetricsServer:
    """Serves ``/metrics`` from the event loop: no thread beside the tick path, and the view is read where it lives.

    ``async with MetricsServer(view, host="127.0.0.1", port=9100):``. ``aclose`` (idempotent) ends open requests.
    A stuck or greedy client is cut off: 10 s and 16 KiB a request, 32 connections.
    """

    def __init__(self, view: MetricsView, *, host: str = "127.0.0.1", port: int = 9100) -> None:
        self._registry = registry_for(view)
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._requests: set[asyncio.Task[None]] = set()

    @property
    def registry(self) -> CollectorRegistry:
        """The registry of the gateway alone; others may register collectors of their own in it."""
        return self._registry

    @property
    def port(self) -> int:
        """The port in use: the real one when 0 was asked for."""
        return self._port

    async def start(self) -> None:
        """Begin to listen. Raises FeedgateError when the port cannot be had."""
        try:
            self._server = await asyncio.start_server(self._connected, self._host, self._port, limit=_MAX_REQUEST)
        except (OSError, OverflowError) as error:
            raise FeedgateError(
                f"metrics cannot listen on {self._host}:{self._port}: {error}; set FEEDGATE_METRICS__PORT "
                "(in a program: MetricsSettings(port=...)) to a free port, 0 picks one, or stop what uses it",
                host=self._host,
                port=self._port,
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening, end what is open."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._requests:
            task.cancel()
        if self._requests:
            await asyncio.wait(self._requests)
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._requests) >= _MAX_CONNECTIONS or self._server is None:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="metrics request")
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            log.debug("a metrics request was not finished", exc_info=True)
        finally:
            writer.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"only GET and HEAD\n", "Allow: GET, HEAD\r\n")
        if path != b"/metrics":
            return _response("404 Not Found", b"only /metrics is here\n")
        try:
            body = generate_latest(self._registry)
        except Exception:
            log.exception("the metrics could not be collected")
            return _response("500 Internal Server Error", b"the metrics could not be collected; see the log\n")
        answer = _response("200 OK", body)
        return answer if method == b"GET" else answer[: answer.index(b"\r\n\r\n") + 4]


def _response(status: str, body: bytes, header: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {_TEXT}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{header}Connection: close\r\n\r\n".encode() + body
