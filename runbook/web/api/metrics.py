"""``GET /api/metrics/summary``: the cards of the overview."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from msgspec import Meta

from gateway.calendar import CalendarError, InstrumentPhases
from gateway.calendar.instruments import moment_of
from runbook.model import Role
from runbook.web.api.condition import is_trading
from runbook.web.api.times import NS, MaybeMoment, Moment, age_s, moment
from runbook.web.console import Console
from runbook.web.errors import documented
from runbook.web.observed import Observed
from runbook.web.verdicts import (
    BACKLOG,
    COVERAGE,
    FAILOVER_MS,
    LATENCY_MS,
    Thresholds,
    Verdict,
    gaps,
    judged,
    throughput,
    throughput_thresholds,
    usual,
)

_USUAL_S: Final = 900
_NOW_S: Final = 30
"""The latest seconds are judged, so they do not say what is usual."""
_CONSUMERS: Final = 20


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Where a figure changes its verdict, in the unit of the figure."""

    good: Annotated[float | None, Meta(description="Good on the better side of it; null: nothing to compare with yet")]
    warning: Annotated[float | None, Meta(description="A warning on the better side of it; beyond it is critical")]
    better: Annotated[str, Meta(description="`higher` or `lower`")]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One card."""

    name: Annotated[str, Meta(description="`throughput p50 p99 coverage backlog failover_latency gap_today`")]
    value: Annotated[float | None, Meta(description="null: nothing to measure with")]
    unit: Annotated[str, Meta(description="`1/s` (ticks a second), `ms`, `ratio` (0 to 1), `messages`, `contracts`")]
    verdict: Annotated[
        Verdict,
        Meta(
            description="`neutral`: the market is closed, or there is no value; `stale`: older than 10 s, or never had"
        ),
    ]
    at: MaybeMoment
    age_s: Annotated[float | None, Meta(description="Seconds since it was measured; null: never")]
    thresholds: Bounds
    usual: Annotated[
        float | None, Meta(description="Of throughput: the usual rate, the median of the last 15 minutes")
    ] = None
    detail: Annotated[dict[str, Any], Meta(description="By feed, by line or by consumer")] = {}


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/metrics/summary``."""

    at: Moment
    trading: Annotated[bool, Meta(description="Whether any feed's market is in a session; closed: figures are neutral")]
    metrics: Annotated[list[Metric], Meta(description="One a card")]


@get("/api/metrics/summary", opt={"role": Role.VIEWER}, tags=["metrics"], responses=documented())
async def get_summary(console: NamedDependency[Console]) -> Summary:
    """Each figure with its unit, how it stands, and the thresholds by which it was judged."""
    now_ns = console.runbook.clock.wall_ns()
    return Summary(
        at=moment(now_ns) or "",
        trading=is_trading(console.observatory.latest),
        metrics=list(metrics_of(console, now_ns)),
    )


def metrics_of(console: Console, now_ns: int) -> Iterator[Metric]:
    """The cards as of now, for API and pages."""
    seen = console.observatory.latest
    figures = seen.figures
    trading = is_trading(seen)
    age = age_s(now_ns, seen.figures_at_ns)
    rate = figures.published_rate if figures else None
    typical = usual_rate(console, now_ns)
    yield _metric(
        "throughput",
        rate,
        "1/s",
        seen.figures_at_ns,
        age,
        throughput_thresholds(typical),
        verdict=throughput(rate, typical, age_s=age, trading=trading, pause=not rate and in_break(console, now_ns)),
        usual=typical,
        detail={line.line: line.rate for line in figures.lines} if figures else {},
    )
    for name, value in (("p50", figures.p50_ms if figures else None), ("p99", figures.p99_ms if figures else None)):
        yield _judged(name, value, "ms", seen.figures_at_ns, now_ns, LATENCY_MS, trading=trading)
    yield _coverage(seen, now_ns, trading=trading)
    yield _backlog(seen, now_ns, trading=trading)
    yield _judged(
        "failover_latency",
        _last_failover(seen),
        "ms",
        seen.switches_at_ns,
        now_ns,
        FAILOVER_MS,
        trading=trading,
        detail={feed.feed: feed.failover_ms for feed in figures.feeds} if figures else {},
    )
    yield _gap(seen, now_ns, trading=trading)


def usual_rate(console: Console, now_ns: int) -> float | None:
    """What the throughput usually is in this part of the session; None while too little was seen."""
    points = console.observatory.history.series("published_rate", now_ns - _USUAL_S * NS, 1)
    return usual([point.value for point in points if point.at_ns <= now_ns - _NOW_S * NS])


def in_break(console: Console, now_ns: int) -> bool:
    """Whether the calendar's session is in a break: nothing trades, and nothing is to be expected."""
    calendar = console.runbook.calendar
    if calendar is None:
        return False
    try:
        if InstrumentPhases(calendar).session(now_ns) == "closed":
            return False
        groups = [group[0] for group in calendar.same_hours(calendar.products)]
        return not calendar.any_open(moment_of(now_ns), groups)
    except CalendarError:
        return False


def _last_failover(seen: Observed) -> float | None:
    """Of the last failover that was measured."""
    return next(
        (one.latency_ms for one in seen.switches if one.kind == "failover" and one.ok and one.latency_ms is not None),
        None,
    )


def _backlog(seen: Observed, now_ns: int, *, trading: bool) -> Metric:
    """Nobody consumes: NATS then has no figure for it, which is no trouble of the gateway's."""
    backlog = seen.backlog
    had_at_ns = seen.backlog_at_ns if backlog else seen.figures_at_ns
    return _judged(
        "backlog",
        backlog.messages if backlog else None,
        "messages",
        had_at_ns,
        now_ns,
        BACKLOG,
        trading=trading,
        detail={one.consumer: one.messages for one in backlog.consumers[:_CONSUMERS]} if backlog else {},
    )


def _coverage(seen: Observed, now_ns: int, *, trading: bool) -> Metric:
    wanted = sum(part.wanted for part in seen.coverage)
    confirmed = sum(part.confirmed for part in seen.coverage)
    return _judged(
        "coverage",
        confirmed / wanted if wanted else None,
        "ratio",
        seen.coverage_at_ns,
        now_ns,
        COVERAGE,
        trading=trading,
        detail={part.feed: part.ratio for part in seen.coverage},
    )


def _gap(seen: Observed, now_ns: int, *, trading: bool) -> Metric:
    count = seen.gaps.totals.gaps if seen.gaps else None
    still_open = seen.status.ledger.open_gaps if seen.status else 0
    age = age_s(now_ns, seen.gaps_at_ns)
    return _metric(
        "gap_today",
        count,
        "contracts",
        seen.gaps_at_ns,
        age,
        Thresholds(good=0.0, warning=None, better="lower", included=True),
        verdict=gaps(count, still_open, age_s=age, trading=trading),
        detail={"open": still_open, "trading_day": seen.gaps.trading_day if seen.gaps else None},
    )


def _judged(
    name: str,
    value: float | None,
    unit: str,
    had_at_ns: int,
    now_ns: int,
    thresholds: Thresholds,
    *,
    trading: bool,
    detail: dict[str, Any] | None = None,
) -> Metric:
    age = age_s(now_ns, had_at_ns)
    verdict = judged(value, thresholds, age_s=age, trading=trading)
    return _metric(name, value, unit, had_at_ns, age, thresholds, verdict=verdict, detail=detail or {})


def _metric(
    name: str,
    value: float | None,
    unit: str,
    had_at_ns: int,
    age: float | None,
    thresholds: Thresholds,
    *,
    verdict: Verdict,
    usual: float | None = None,
    detail: dict[str, Any],
) -> Metric:
    bounds = Bounds(good=thresholds.good, warning=thresholds.warning, better=thresholds.better)
    return Metric(
        name=name, value=value, unit=unit, verdict=verdict, at=moment(had_at_ns), age_s=age, thresholds=bounds,
        usual=usual, detail=detail,
    )  # fmt: skip
