"""The backlog from a file, from an address with Prometheus text, or from the monitoring port of a nats-server."""

from __future__ import annotations

import asyncio
import math
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from gateway.clock import Clock
from runbook.drill.backlog import Backlog, BacklogSource, UnmeasuredError, Waiting
from runbook.drill.connz import Connection, Connections, Pending, carries_ticks, consumers, pending, waiting
from runbook.drill.sockets import queued

METRIC: Final = "consumer_backlog_messages"
_LARGEST: Final = 16 * 1024 * 1024
_TIMEOUT_S: Final = 5.0
_PAGE: Final = 1024
_NS: Final = 1_000_000_000
_FRESH_S: Final = 60.0
"""A sample with a stamp of its own may be so much older than the question, as a scrape lags its exporter."""

Value = TypeVar("Value")


def metrics_source(text: str, clock: Clock) -> BacklogSource:
    """What ``DRILL_METRICS_SOURCE`` names: ``…/connz`` is a nats-server, another address or a path is metrics."""
    if not text.startswith(("http:", "https:")):
        return FileBacklog(Path(text.removeprefix("file://")), clock)
    if urlsplit(text).path.rstrip("/").endswith("/connz"):
        return MonitoringBacklog(text.rstrip("/").removesuffix("/connz"))
    return UrlBacklog(text, clock)


class FileBacklog:
    """Prometheus text in a file that somebody writes again and again."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock

    async def measure(self, feed: str, accounts: tuple[str, ...], since_ns: int) -> Backlog:
        """A file that was last written before ``since_ns`` says nothing."""

        def read() -> tuple[str, int]:
            with self._path.open("rb") as file:
                data = file.read(_LARGEST + 1)
                return _text(str(self._path), data), self._path.stat().st_mtime_ns

        try:
            text, written_ns = await asyncio.to_thread(read)
        except OSError as error:
            raise UnmeasuredError(
                f"{self._path} cannot be read: {error.strerror or error}; correct DRILL_METRICS_SOURCE"
            ) from None
        if written_ns < since_ns:
            age = (self._clock.wall_ns() - written_ns) / _NS
            raise UnmeasuredError(
                f"{self._path} was written {age:.0f} s ago, before this stage began; let its writer write more often"
            )
        return parse(text, f"file {self._path}", feed, accounts, since_ns)


class UrlBacklog:
    """Prometheus text that a consumer, or whoever watches it, serves."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url, self._clock = url, clock

    async def measure(self, feed: str, accounts: tuple[str, ...], since_ns: int) -> Backlog:
        """As served now; samples with old stamps of their own are refused."""
        text = _text(self._url, await asyncio.to_thread(_fetch, self._url))
        return parse(text, self._url, feed, accounts, since_ns)


class _Detail(msgspec.Struct, frozen=True):
    name: str
    config: dict[str, msgspec.Raw] = {}
    consumer_detail: list[Pending] = []


class _JetStreamAccount(msgspec.Struct, frozen=True):
    stream_detail: list[_Detail] = []


class _JetStream(msgspec.Struct, frozen=True):
    account_details: list[_JetStreamAccount] = []


class _Variables(msgspec.Struct, frozen=True):
    slow_consumers: int
    cluster: dict[str, msgspec.Raw] = {}


class MonitoringBacklog:
    """A nats-server's own HTTP endpoints: ``/connz``, ``/varz``, ``/jsz``. Sees all accounts of that one server."""

    def __init__(self, url: str) -> None:
        """``url`` without ``/connz``."""
        self._url = url

    async def measure(self, _feed: str, _accounts: tuple[str, ...], _since_ns: int) -> Backlog:
        """As of now."""
        variables = await self._get("varz", _Variables)
        if "name" in variables.cluster:
            raise UnmeasuredError(
                f"{self._url} is one server of a cluster and knows only its own connections; "
                "set DRILL_METRICS_SOURCE to the consumers' metrics"
            )
        connections: list[Connection] = []
        offset, more = 0, True
        while more:
            page = await self._get(f"connz?subs=1&limit={_PAGE}&offset={offset}", Connections)
            connections += consumers(page.connections)
            offset += page.num_connections
            more = bool(page.num_connections) and offset < page.total
        ends = [(one.ip, one.port) for one in connections]
        found = waiting(connections, await asyncio.to_thread(queued, ends))
        for account in (await self._get("jsz?consumers=1&config=1&streams=1", _JetStream)).account_details:
            for stream in account.stream_detail:
                if any(map(carries_ticks, _subjects(stream))):
                    found += pending(stream.name, stream.consumer_detail)
        if not found:
            raise UnmeasuredError(f"{self._url} has no consumer of ticks, so no backlog; connect one, then try again")
        return Backlog(source=f"NATS, {self._url}", consumers=tuple(found), cut_off=variables.slow_consumers)

    async def _get(self, what: str, kind: type[Value]) -> Value:
        data = await asyncio.to_thread(_fetch, f"{self._url}/{what}")
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnmeasuredError(
                f"{self._url}/{what} is not what a nats-server says ({error}); correct DRILL_METRICS_SOURCE"
            ) from None


def parse(text: str, source: str, feed: str, accounts: Sequence[str], since_ns: int) -> Backlog:
    """``consumer_backlog_messages{feed,account}`` of this feed and account. Raises UnmeasuredError."""
    others: set[str] = set()
    found: list[Waiting] = []
    try:
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    except (ValueError, KeyError, IndexError) as error:
        raise UnmeasuredError(f"{source} is not Prometheus text ({error}); correct DRILL_METRICS_SOURCE") from None
    for sample in samples:
        if sample.name != METRIC:
            continue
        labels = sample.labels
        if labels.get("feed") != feed or labels.get("account") not in accounts:
            others.add(f"feed={labels.get('feed', '')} account={labels.get('account', '')}")
            continue
        value = float(sample.value)
        if not (math.isfinite(value) and value >= 0):
            raise UnmeasuredError(
                f"{source}: {METRIC} is {value}, which is no number of messages; look at its exporter"
            )
        if sample.timestamp is not None and float(sample.timestamp) < since_ns / _NS - _FRESH_S:
            raise UnmeasuredError(f"{source}: {METRIC} is older than this stage; look whether its exporter lives")
        name = ", ".join(f"{key}={text}" for key, text in sorted(labels.items()) if key not in ("feed", "account"))
        found.append(Waiting(consumer=name or "all", messages=math.ceil(value)))
    if not found:
        there = f"; it has: {'; '.join(sorted(others)[:5])}" if others else ""
        raise UnmeasuredError(
            f"{source} has no {METRIC} of feed={feed} account={'|'.join(accounts)}{there}; "
            "let the consumers export it, or correct DRILL_METRICS_SOURCE"
        )
    return Backlog(source=source, consumers=tuple(found))


def _subjects(stream: _Detail) -> list[str]:
    return msgspec.json.decode(stream.config.get("subjects", msgspec.Raw(b"[]")), type=list[str])


def _text(source: str, data: bytes) -> str:
    if len(data) > _LARGEST:
        raise UnmeasuredError(f"{source} is larger than {_LARGEST >> 20} MiB; correct DRILL_METRICS_SOURCE")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UnmeasuredError(f"{source} is not text; correct DRILL_METRICS_SOURCE") from None


def _fetch(url: str) -> bytes:
    """Blocking; no proxy. Raises UnmeasuredError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT_S) as reply:
            data: bytes = reply.read(_LARGEST + 1)
            return data
    except urllib.error.HTTPError as error:
        error.close()
        raise UnmeasuredError(f"{url} answers {error.code}; correct DRILL_METRICS_SOURCE") from None
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UnmeasuredError(f"{url} cannot be read: {reason}; start it, or correct DRILL_METRICS_SOURCE") from None
