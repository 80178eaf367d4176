"""From what was measured to the report: what is an error, what a warning, what neither. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import BusError, ControlError, FeedgateError
from gateway.model import LineStatus
from runbook.health.measure import FeedMeasure, Measure
from runbook.health.report import FeedPart, HealthReport, Severity, StalledContract
from runbook.model import Exit
from runbook.runner.run import shanghai

_NS: Final = 1e9
_SHOWN: Final = 5
"""Names in a sentence; the lists have all of them."""
_ABSENT: Final = frozenset({"no_responder", "timeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a figure is a finding."""

    coverage_threshold: float
    lag_warning_s: float
    lag_critical_s: float

    def severity(self, lag_s: float | None) -> Severity:
        """Of a stalled contract. An unknown lag counts as the worst one."""
        if lag_s is None or lag_s >= self.lag_critical_s:
            return "critical"
        return "warning" if lag_s >= self.lag_warning_s else "notice"


def judge(measure: Measure, limits: Limits) -> HealthReport:
    """The report, without remediation. Each feed has to pass, so a large one does not hide a small one."""
    feeds = tuple(_part(feed, limits) for feed in measure.feeds)
    errors = [text for feed in feeds for text in _errors(feed, limits)]
    errors += [
        f"feed {feed}: the gateway tells no coverage of it; look at its log, then restart it"
        for feed in measure.unmeasured
    ]
    errors += [
        f"feed {feed} is in the settings and the gateway does not run it; restart the gateway, or remove the feed"
        for feed in measure.absent
    ]
    errors += [text for one in measure.feeds for text in _unlisted(one)]
    if not feeds and not errors:
        errors.append("the gateway runs no feed, so there is nothing to measure; add one to its settings")
    findings = [text for feed in feeds for text in _findings(feed, limits)]
    remarks = [
        f"feed {feed} is not in the settings; what it should carry is taken from the gateway itself"
        for feed in measure.unknown
    ]
    remarks += [
        f"feed {one.status.feed}: {one.status.switching} is going on" for one in measure.feeds if one.status.switching
    ]
    remarks += [
        f"feed {feed.feed}: {len(feed.unexpected)} contracts are on a line and nobody wants them"
        for feed in feeds
        if feed.unexpected
    ]
    remarks += [
        f"feed {feed.feed}: {more} more contracts are missing than could be listed"
        for feed in feeds
        if (more := feed.expected_total - feed.matched_total - len(feed.missing)) > 0
    ]
    remarks += [f"gateway: {text}" for text in measure.gateway.warnings]
    return HealthReport(
        feeds=feeds,
        warnings=(*findings, *remarks),
        errors=tuple(errors),
        exit_code=Exit.ERROR if errors else Exit.WARNING if findings else Exit.OK,
    )


def unmeasured(error: FeedgateError) -> HealthReport:
    """The report of a check that could not measure: it fails, and says who does not answer and what to do next."""
    code = error.fields.get("reply_code")
    if isinstance(error, BusError) or code == "disconnected":
        text = f"NATS cannot be reached: {error}; start it (runbook start) or correct NATS_URL, then check again"
    elif isinstance(error, ControlError) and code in _ABSENT:
        text = (
            f"NATS answers and the gateway does not: {error}; "
            "look at its log, start it (runbook start), then check again"
        )
    else:
        text = f"health could not be measured: {error}; look at the gateway's log, then check again"
    return HealthReport(errors=(text,), exit_code=Exit.ERROR)


def some(names: list[str]) -> str:
    """A few names for a sentence."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _part(feed: FeedMeasure, limits: Limits) -> FeedPart:
    coverage = feed.coverage
    expected = max(len(feed.expected), coverage.wanted)
    # asked one after the other: what both replies agree on counts
    matched = min(len(feed.expected) - len(feed.missing), coverage.confirmed)
    return FeedPart(
        feed=coverage.feed,
        session=coverage.session,
        at=shanghai(coverage.at_ns),
        active_line=feed.status.active,
        expected_total=expected,
        active_total=matched + coverage.unexpected_count,
        matched_total=matched,
        ticking_total=coverage.ticking,
        quiet_total=coverage.quiet,
        missing=feed.missing,
        unexpected=tuple(coverage.unexpected),
        stalled=tuple(_stalled(feed, limits)),
        lines=tuple(_line(line) for line in feed.lines),
    )


def _stalled(feed: FeedMeasure, limits: Limits) -> Iterator[StalledContract]:
    at_ns = feed.coverage.at_ns
    for name in feed.coverage.stalled:
        last_ns = feed.last_ns.get(name)
        if last_ns is not None and last_ns > at_ns:
            continue  # it came back while we asked
        lag_s = None if last_ns is None else (at_ns - last_ns) / _NS
        yield StalledContract(
            symbol=name,
            last_tick_at=None if last_ns is None else shanghai(last_ns),
            lag_seconds=None if lag_s is None else round(lag_s, 3),
            severity=limits.severity(lag_s),
        )


def _unlisted(feed: FeedMeasure) -> Iterator[str]:
    """What cannot be judged because its name is not known."""
    unlisted = feed.coverage.stalled_count - len(feed.coverage.stalled)
    if unlisted > 0:
        yield f"feed {feed.coverage.feed}: {unlisted} more contracts stalled than could be listed; restart the line"


def _line(line: LineStatus) -> dict[str, Any]:
    return {
        "line": line.line,
        "account": line.account,
        "role": line.role,
        "state": line.state.value,
        "reason": line.reason,
        "wanted": line.wanted,
        "pending": line.pending,
        "confirmed": line.confirmed,
        "failed": line.failed,
        "ticks": line.ticks,
    }


def _errors(feed: FeedPart, limits: Limits) -> Iterator[str]:
    ratio = feed.coverage_ratio
    if ratio is None:
        yield f"feed {feed.feed}: no contract is expected, so there is nothing to measure; check its instruments"
    elif ratio < limits.coverage_threshold:
        yield (
            f"feed {feed.feed}: coverage {ratio:.4f} is below {limits.coverage_threshold:g} "
            f"({feed.matched_total} of {feed.expected_total}); missing {some(list(feed.missing))}; {_next_step(feed)}"
        )
    critical = [one.symbol for one in feed.stalled if one.severity == "critical"]
    if critical:
        yield (
            f"feed {feed.feed}: {len(critical)} contracts silent for {limits.lag_critical_s:g} s or more in session: "
            f"{some(critical)}; compare with the other line, then fail over (runbook failover)"
        )


def _findings(feed: FeedPart, limits: Limits) -> Iterator[str]:
    ratio = feed.coverage_ratio
    if ratio is not None and limits.coverage_threshold <= ratio < 1:
        yield (
            f"feed {feed.feed}: coverage {ratio:.6f} is below 1 ({feed.matched_total} of {feed.expected_total}); "
            f"missing {some(list(feed.missing))}; {_next_step(feed)}"
        )
    late = [one.symbol for one in feed.stalled if one.severity == "warning"]
    if late:
        yield (
            f"feed {feed.feed}: {len(late)} contracts silent for {limits.lag_warning_s:g} s or more in session: "
            f"{some(late)}; watch them"
        )


def _next_step(feed: FeedPart) -> str:
    if not any(line["state"] in ("logged_in", "streaming") for line in feed.lines):
        return "no line of it is up: look at the lines' reasons, then runbook failover or runbook restart"
    return "run check-feed-health --mode enforce"
