"""What a start looks at: subscriptions, the metrics endpoint, health."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import urllib.request
from typing import Final, Protocol

from gateway.client import Client
from gateway.control import FeedCoverage
from gateway.errors import ControlError, FeedgateError
from gateway.settings import MetricsSettings, Settings
from runbook.model import Exit
from runbook.settings import MetricsSettings as MonitoringSettings
from runbook.settings import RunbookSettings
from runbook.supervisor.timers import Timers, pass_on_cancellation

_LOOK_S: Final = 0.2
_NAMED: Final = 5
_SETTLED: Final = 10
"""Looks in a row at which no answer was outstanding: two seconds, because some fronts take an answer back."""
_ANSWER_S: Final = 3.0


class HealthCheck(Protocol):
    """Judges a running gateway."""

    async def check(self, client: Client, settings: Settings, runbook: RunbookSettings, /) -> tuple[int, str]:
        """Exit code as of the operators' contract (0, 1 warning, 2 error) and one line. May raise FeedgateError."""
        ...


class MeasuredHealth:
    """The health package's judgement: the same as ``runbook check-feed-health`` without enforcing anything."""

    async def check(self, client: Client, settings: Settings, runbook: RunbookSettings, /) -> tuple[int, str]:
        # not at the top: the two packages are neighbours, and a supervisor that only stops needs no health
        from runbook.health.judge import Limits, judge  # noqa: PLC0415 - see above
        from runbook.health.measure import measure  # noqa: PLC0415 - see above

        rules = runbook.health
        limits = Limits(
            coverage_threshold=rules.coverage_threshold,
            lag_warning_s=rules.lag_warning_s,
            lag_critical_s=rules.lag_critical_s,
        )
        report = judge(await measure(client, settings), limits)
        text = f"{report.matched_total} of {report.expected_total} contracts are carried"
        findings = [*report.errors, *report.warnings]
        if report.exit_code and findings:
            text += f"; {findings[0]}"
        return int(report.exit_code), text


class IncompleteError(FeedgateError):
    """Contracts are missing, and no answer is outstanding."""

    code = "incomplete"
    exit_code = Exit.SUBSCRIPTIONS


class SubscriptionProbe:
    """Waits until everything wanted is confirmed on a line of its feed."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self.last = "not asked yet"
        self.ratio = 0.0
        """Least share of wanted contracts that a feed has confirmed."""
        self.missing: tuple[str, ...] = ()

    async def complete(self, client: Client) -> str:
        """Return how it stands, once it is complete; nothing wanted at all is not complete.

        Raises IncompleteError once every answer is in and some contracts were refused: waiting changes nothing.
        """
        settled = 0
        while True:
            try:
                feeds = await client.coverage()
                self.ratio = min(map(_ratio, feeds), default=0.0)
                self.missing = tuple(name for feed in feeds for name in feed.missing)
                if feeds and all(feed.wanted and not feed.missing_count for feed in feeds):
                    return await self._summary(client, feeds)
                self.last = "; ".join(map(_lacking, feeds)) or "the gateway has no feed"
                settled = settled + 1 if await _all_answered(client) else 0
                if settled > _SETTLED:
                    raise IncompleteError(f"every answer is in: {self.last}")
            except ControlError as error:
                pass_on_cancellation()
                self.last = str(error)
                settled = 0
            await self._timers.sleep(_LOOK_S)

    async def again(self, client: Client) -> None:
        """Ask anew for what is missing."""
        for feed in await client.coverage():
            if feed.missing:
                await client.subscribe(*feed.missing)

    async def none_left(self, client: Client) -> None:
        """Unsubscribe everything, and return when nothing is wanted any more."""
        await client.unsubscribe("*")
        while True:
            reply = await client.subscriptions(states=())
            left = {line.line: line.wanted for line in reply.lines if line.wanted}
            if not left:
                return
            self.last = ", ".join(f"{wanted} left on {line}" for line, wanted in left.items())
            await self._timers.sleep(_LOOK_S)

    async def _summary(self, client: Client, feeds: list[FeedCoverage]) -> str:
        text = "; ".join(f"{feed.feed}: all {feed.wanted} confirmed" for feed in feeds)
        behind = [
            f"{line.line} {line.confirmed}/{line.wanted}"
            for line in (await client.status()).lines
            if line.confirmed < line.wanted
        ]
        return f"{text} (a line is still behind: {', '.join(behind)})" if behind else text


async def _all_answered(client: Client) -> bool:
    up = [line for line in (await client.status()).lines if line.state.is_up and line.wanted]
    return bool(up) and all(line.confirmed + line.failed == line.wanted for line in up)


def _ratio(feed: FeedCoverage) -> float:
    return 1.0 - feed.missing_count / feed.wanted if feed.wanted else 0.0


def _lacking(feed: FeedCoverage) -> str:
    if not feed.wanted:
        return f"{feed.feed}: nothing is wanted; check its instruments and its contract list"
    if not feed.missing_count:
        return f"{feed.feed}: all {feed.wanted} confirmed"
    named = ", ".join(feed.missing[:_NAMED]) + (" …" if feed.missing_count > _NAMED else "")
    return f"{feed.feed}: {feed.missing_count} of {feed.wanted} missing ({named})"


class MetricsError(FeedgateError):
    """Figures cannot be read."""

    code = "metrics"
    exit_code = Exit.METRICS


async def metrics_answer(rules: MetricsSettings) -> str:
    """Whether the gateway's metrics can be read, in words. Raises MetricsError when they should be and cannot."""
    if not rules.enabled or not rules.port:
        return "metrics not checked (off, or on a port chosen by the gateway)"
    where = f"{rules.host}:{rules.port}"
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(rules.host, rules.port)
            try:
                writer.write(f"GET /metrics HTTP/1.1\r\nHost: {where}\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
                status = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, ValueError, TimeoutError) as error:
        raise MetricsError(f"metrics on {where} do not answer ({error or 'timed out'}); restart the exporter") from None
    if b" 200 " not in status:
        raise MetricsError(f"metrics on {where} answer {status.decode('latin-1').strip()!r}; see gateway.log")
    return f"metrics on {where} answer"


async def monitoring_answers(rules: MonitoringSettings) -> str:
    """Whether Pushgateway and Prometheus are ready, in words. Raises MetricsError when one should be and is not."""
    said = []
    for what, url, variable in (
        ("Prometheus", rules.prometheus_url, "OPS_PROMETHEUS_URL"),
        ("the Pushgateway", rules.pushgateway_url, "PUSHGATEWAY_URL"),
    ):
        if url is None:
            said.append(f"{what} not checked ({variable} is not set)")
            continue
        try:
            status = await asyncio.to_thread(_get, f"{url}/-/ready")
        except (OSError, http.client.HTTPException) as error:
            raise MetricsError(f"{what} on {url} is not ready ({error}); start it, or correct {variable}") from None
        said.append(f"{what} on {url} is ready ({status})")
    return "; ".join(said)


def _get(url: str) -> int:
    # monitoring is near: a proxy for the way out has no business here
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=_ANSWER_S) as answer:  # the settings take http and https alone
        return int(answer.status)
