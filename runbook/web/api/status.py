"""``GET /api/status``: how things are, at a glance. The stream of status events says the same."""

from __future__ import annotations

import asyncio
import platform
from dataclasses import replace
from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from msgspec import Meta

import gateway
from gateway.errors import FeedgateError
from runbook.model import Role
from runbook.runner import Run, RunState
from runbook.web.api.condition import troubles, verdict_of, warnings
from runbook.web.api.times import MaybeMoment, Moment, age_s, moment, parse_moment
from runbook.web.console import Console
from runbook.web.errors import documented
from runbook.web.observed import Observed
from runbook.web.probes import unready
from runbook.web.verdicts import Verdict

_RECENT: Final = 5
_ANEW_S: Final = 2.0
_LOOK_NS: Final = 1_000_000_000


class LineGlance(msgspec.Struct, frozen=True, kw_only=True):
    """One line."""

    line: Annotated[str, Meta(description="Feed and account name", examples=["ctp:primary"])]
    account: Annotated[str, Meta(description="Its account, masked")]
    role: Annotated[str, Meta(description="`active`: preferred; `hot`: delivers as well; `cold`: parked")]
    state: Annotated[str, Meta(description="`idle connecting connected logged_in streaming refused lost stopped`")]
    up: Annotated[bool, Meta(description="Whether it is logged in")]
    reason: Annotated[
        str, Meta(description="Why it is in this state, in the vendor's words where they are the vendor's")
    ]
    since: MaybeMoment
    rate: Annotated[float | None, Meta(description="Ticks a second, over the last 5 s; null: not known")]


class CoverageGlance(msgspec.Struct, frozen=True, kw_only=True):
    """All feeds together, in contracts."""

    ratio: Annotated[float | None, Meta(description="confirmed / wanted, 0 to 1; null while nothing is wanted")]
    wanted: Annotated[int, Meta(description="Contracts that somebody wants")]
    confirmed: Annotated[int, Meta(description="Of these, on a line that is up")]
    missing: Annotated[int, Meta(description="Wanted, and on no line")]
    stalled: Annotated[int, Meta(description="Silent for too long, in session")]
    age_s: Annotated[float | None, Meta(description="Seconds since it was measured; null: never")]


class MarketGlance(msgspec.Struct, frozen=True, kw_only=True):
    """Where the trading day stands, by the calendar."""

    session: Annotated[str, Meta(description="`day`, `night`, `closed`, or `unknown` without a calendar")]
    trading_day: Annotated[int | None, Meta(description="YYYYMMDD, of the session that is open or opens next")]
    changes_at: MaybeMoment
    next_session: Annotated[str, Meta(description="What begins then: `day`, `night` or `closed`")]


class LastAction(msgspec.Struct, frozen=True, kw_only=True):
    """The latest run of any action, whoever asked for it."""

    run: Annotated[str, Meta(description="Its id: GET /api/runbook/runs/{id}")]
    action: Annotated[str, Meta(description="Name of the action")]
    operator: Annotated[str, Meta(description="Who asked")]
    state: Annotated[str, Meta(description="`queued`, `running` or `done`")]
    exit_code: Annotated[int | None, Meta(description="Of a run that is done; 0: it did what it should")]
    message: Annotated[str, Meta(description="Its result in one line; empty while it runs")]
    started: Annotated[str, Meta(description="RFC 3339, +08:00; empty: never begun")]
    finished: Annotated[str, Meta(description="RFC 3339, +08:00; empty: not yet")]


class GapGlance(msgspec.Struct, frozen=True, kw_only=True):
    """Gaps of the latest trading day that the ledger knows."""

    trading_day: Annotated[int | None, Meta(description="YYYYMMDD; null: the ledger knows none")]
    gaps: Annotated[int, Meta(description="Gaps, a contract each")]
    open: Annotated[int, Meta(description="Contracts without a line at this moment, in their session")]
    lost_volume: Annotated[int, Meta(description="Contracts (lots) traded in the gaps of which it is known")]
    lost_volume_unknown: Annotated[int, Meta(description="Gaps of which it is not known")]
    age_s: Annotated[float | None, Meta(description="Seconds since the ledger was asked; null: never")]


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What runs."""

    feedgate: Annotated[str, Meta(description="Of this API")]
    gateway: Annotated[str | None, Meta(description="Of the gateway; null: it has not answered yet")]
    python: Annotated[str, Meta(description="Of this API's Python")]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/status``."""

    at: Moment
    ready: Annotated[
        bool,
        Meta(description="As /readyz: the gateway answers, each feed has a line that is up, coverage is sufficient"),
    ]
    verdict: Annotated[
        Verdict, Meta(description="`good`; `warning`: degraded, ticks flow; `critical`: not ready, or a gap is open; "
                      "`neutral`: nothing is wrong and the market is closed; `stale`: nothing is known")
    ]  # fmt: skip
    degraded: Annotated[list[str], Meta(description="What is not as it should be, the worst first, in words")]
    warnings: Annotated[list[str], Meta(description="What somebody should look at, in words")]
    reachable: Annotated[bool, Meta(description="Whether the gateway answered the last time it was asked")]
    gateway: Annotated[str | None, Meta(description="Name of the gateway; null: it has not answered yet")]
    started: MaybeMoment
    age_s: Annotated[float | None, Meta(description="Seconds since the gateway told its status; null: never")]
    market: MarketGlance
    active: Annotated[dict[str, str], Meta(description="Feed → the line that it prefers")]
    switching: Annotated[dict[str, str], Meta(description="Feed → the switch that goes on, in words")]
    lines: Annotated[list[LineGlance], Meta(description="All lines of the gateway")]
    coverage: CoverageGlance
    gap_today: GapGlance
    last_action: Annotated[LastAction | None, Meta(description="null: none yet")]
    versions: Versions


async def status_of(console: Console, seen: Observed | None = None) -> Status:
    """As of now, from what the observatory saw last (or ``seen``). Asks nobody; looks up the last run on the disk."""
    seen = seen or console.observatory.latest
    now_ns = console.runbook.clock.wall_ns()
    status = seen.status
    ready = not any(unready(seen, console.runbook.runbook.health.coverage_threshold))
    degraded = list(troubles(seen))
    runs = await console.runbook.runner.runs(limit=_RECENT)
    return Status(
        at=moment(now_ns) or "",
        ready=ready,
        verdict=verdict_of(seen, ready=ready, degraded=bool(degraded)),
        degraded=degraded,
        warnings=[text for text in warnings(seen) if text not in degraded],
        reachable=seen.reachable,
        gateway=status.name if status else None,
        started=moment(status.epoch * 1_000_000) if status else None,
        age_s=age_s(now_ns, seen.status_at_ns),
        market=MarketGlance(
            session=seen.market.session,
            trading_day=seen.market.trading_day,
            changes_at=moment(seen.market.changes_at_ns),
            next_session=seen.market.next_session,
        ),
        active={feed.feed: feed.active for feed in status.feeds if feed.active} if status else {},
        switching={feed.feed: feed.switching for feed in status.feeds if feed.switching} if status else {},
        lines=_lines(seen),
        coverage=_coverage(seen, now_ns),
        gap_today=_gaps(seen, now_ns),
        last_action=_last_action(runs),
        versions=Versions(
            feedgate=gateway.__version__,
            gateway=status.version if status else None,
            python=platform.python_version(),
        ),
    )


def _lines(seen: Observed) -> list[LineGlance]:
    rates = {line.line: line.rate for line in seen.figures.lines} if seen.figures else {}
    return [
        LineGlance(
            line=line.line,
            account=line.account,
            role=line.role,
            state=line.state.value,
            up=line.state.is_up,
            reason=line.reason,
            since=moment(line.since_ns),
            rate=rates.get(line.line),
        )
        for line in (seen.status.lines if seen.status else ())
    ]


def _coverage(seen: Observed, now_ns: int) -> CoverageGlance:
    wanted = sum(part.wanted for part in seen.coverage)
    confirmed = sum(part.confirmed for part in seen.coverage)
    return CoverageGlance(
        ratio=confirmed / wanted if wanted else None,
        wanted=wanted,
        confirmed=confirmed,
        missing=sum(part.missing_count for part in seen.coverage),
        stalled=sum(part.stalled_count for part in seen.coverage),
        age_s=age_s(now_ns, seen.coverage_at_ns),
    )


def _gaps(seen: Observed, now_ns: int) -> GapGlance:
    totals = seen.gaps.totals if seen.gaps else None
    return GapGlance(
        trading_day=seen.gaps.trading_day or None if seen.gaps else None,
        gaps=totals.gaps if totals else 0,
        open=seen.status.ledger.open_gaps if seen.status else 0,
        lost_volume=totals.lost_volume if totals else 0,
        lost_volume_unknown=totals.lost_volume_unknown if totals else 0,
        age_s=age_s(now_ns, seen.gaps_at_ns),
    )


def _last_action(runs: list[Run]) -> LastAction | None:
    for run in runs:
        if run.refused and run.state is RunState.DONE:
            continue
        return LastAction(
            run=run.id,
            action=run.request.action,
            operator=run.request.operator,
            state=run.state.value,
            exit_code=run.exit_code,
            message=run.result.message if run.result else "",
            started=run.started,
            finished=run.finished,
        )
    return None


@get("/api/status", opt={"role": Role.VIEWER}, tags=["status"], responses=documented())
async def get_status(console: NamedDependency[Console]) -> Status:
    """How things are at a glance: ready or not, what is degraded, lines, coverage, session, last action, gap today."""
    return await status_of(console, await _after_the_last_run(console))


async def _after_the_last_run(console: Console) -> Observed:
    """The last look, and the gateway's status anew when an action ended since: who waited for it wants to see it."""
    seen = console.observatory.latest
    runs = await console.runbook.runner.runs(limit=_RECENT)
    ended = [parse_moment(run.finished, "finished") for run in runs if run.finished]
    # to the millisecond, and a look that was under way does not count
    if not seen.reachable or max(ended, default=0) + _LOOK_NS < seen.status_at_ns:
        return seen
    try:
        async with asyncio.timeout(_ANEW_S), console.observatory.client() as client:
            told = await client.status()
    except (FeedgateError, TimeoutError):
        return seen
    now_ns = console.runbook.clock.wall_ns()
    return replace(seen, at_ns=now_ns, status=told, status_at_ns=now_ns)
