"""``GET /api/plugins`` and ``/api/lines``: what is installed, and the lines in numbers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from msgspec import Meta

from runbook.model import Role
from runbook.web.api.times import MaybeMoment, age_s, moment
from runbook.web.console import Console
from runbook.web.errors import documented


class PluginView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one plugin."""

    name: Annotated[str, Meta(description="Of its entry point")]
    version: Annotated[str, Meta(description="Of its distribution; `?`: it has none")]
    distribution: Annotated[str, Meta(description="Empty: it was handed over as an object")]
    status: Annotated[str, Meta(description="`loaded`, `failed` or `blocked`")]
    reason: Annotated[str, Meta(description="Why it is not loaded")]
    provides: Annotated[list[str], Meta(description="`feed sim`, `router priority` …")]


class PluginList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/plugins``. Of this process: the gateway may have others where it runs."""

    plugins: Annotated[list[PluginView], Meta(description="In the order of loading")]
    findings: Annotated[list[str], Meta(description="What cannot be used here, each with the fix")]


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """One line. Totals begin with the gateway."""

    line: Annotated[str, Meta(description="`ctp:primary`")]
    feed: Annotated[str, Meta(description="Name of the feed")]
    account: Annotated[str, Meta(description="Masked")]
    role: Annotated[str, Meta(description="`active`: preferred; `hot`: delivers as well; `cold`: parked")]
    state: Annotated[str, Meta(description="`idle connecting connected logged_in streaming refused lost stopped`")]
    up: Annotated[bool, Meta(description="Whether it is logged in")]
    reason: Annotated[str, Meta(description="Why it is in this state")]
    since: MaybeMoment
    ticks: Annotated[int, Meta(description="Ticks that it delivered")]
    published: Annotated[int, Meta(description="Of these, the first of their kind, and so published")]
    wanted: Annotated[int, Meta(description="Contracts it is to carry")]
    pending: Annotated[int, Meta(description="Contracts asked for, not answered yet")]
    confirmed: Annotated[int, Meta(description="Contracts it carries")]
    failed: Annotated[int, Meta(description="Contracts refused")]
    restarts: Annotated[int, Meta(description="Times its process was started anew")]
    rate: Annotated[float | None, Meta(description="Ticks a second, over the last 5 s; null: not known")]
    first: Annotated[int | None, Meta(description="Ticks it brought before the other lines, while two were up")]
    dropped: Annotated[int | None, Meta(description="Ticks lost between callback and core")]
    disconnects: Annotated[int | None, Meta(description="Times it was disconnected")]
    rate_limit_waits: Annotated[int | None, Meta(description="Times a rate limit held it back")]
    stalled: Annotated[int | None, Meta(description="Contracts silent for too long, in session")]
    silent: Annotated[bool | None, Meta(description="Logged in, in session, and nothing comes")]
    suspect: Annotated[bool | None, Meta(description="It contradicts the others and is not believed")]


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """One feed."""

    feed: Annotated[str, Meta(description="Its name")]
    active: Annotated[str | None, Meta(description="The line that is preferred")]
    session: Annotated[str, Meta(description="`day`, `night` or `closed`")]
    router: Annotated[str, Meta(description="How its accounts share the work")]
    switching: Annotated[str, Meta(description="The switch that goes on, in words; empty: none")]
    failover_required: Annotated[bool, Meta(description="A failover was asked for and is not done yet")]


class SwitchView(msgspec.Struct, frozen=True, kw_only=True):
    """A failover or failback, done or failed."""

    feed: Annotated[str, Meta(description="Name of the feed")]
    kind: Annotated[str, Meta(description="`failover` or `failback`")]
    source: Annotated[str | None, Meta(description="The line that was preferred before")]
    target: Annotated[str | None, Meta(description="The line that was to be preferred")]
    ok: Annotated[bool, Meta(description="false: `source` is still preferred")]
    error: Annotated[str, Meta(description="Why it failed")]
    reason: Annotated[str, Meta(description="Why it was asked for")]
    trigger: Annotated[
        str, Meta(description="`command line_lost login_refused timer watchdog required failures router`")
    ]
    started: MaybeMoment
    finished: MaybeMoment
    latency_ms: Annotated[
        float | None,
        Meta(description="Milliseconds from the old line's last tick to the new one's first, by tick times"),
    ]


class LineList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/lines``."""

    age_s: Annotated[float | None, Meta(description="Seconds since the gateway told it; null: never, so no lines")]
    lines: Annotated[list[LineView], Meta(description="In the order of the settings")]
    feeds: Annotated[list[FeedView], Meta(description="In the order of the settings")]
    switches: Annotated[list[SwitchView], Meta(description="The last ones, newest first; 100 at most")]


@get("/api/plugins", opt={"role": Role.VIEWER}, tags=["plugins"], responses=documented())
async def list_plugins(console: NamedDependency[Console]) -> PluginList:
    """What is loaded here, what it brings, and why something is not."""
    return PluginList(
        plugins=[
            PluginView(
                name=one.name,
                version=one.version,
                distribution=one.distribution,
                status=one.status,
                reason=console.runbook.masker.text(one.reason),
                provides=list(one.provides),
            )
            for one in console.runbook.plugins.records()
        ],
        findings=[console.runbook.masker.text(text) for text in console.runbook.findings],
    )


@get("/api/lines", opt={"role": Role.VIEWER}, tags=["lines"], responses=documented())
async def list_lines(console: NamedDependency[Console]) -> LineList:
    """Lines and feeds as the gateway told them last (each second), and the last switches."""
    seen = console.observatory.latest
    figures = {one.line: one for one in seen.figures.lines} if seen.figures else {}
    status = seen.status
    rows = []
    for one in status.lines if status else ():
        more = figures.get(one.line)
        rows.append(
            LineView(
                line=one.line,
                feed=one.line.partition(":")[0],
                account=one.account,
                role=one.role,
                state=one.state.value,
                up=one.state.is_up,
                reason=one.reason,
                since=moment(one.since_ns),
                ticks=one.ticks,
                published=one.published,
                wanted=one.wanted,
                pending=one.pending,
                confirmed=one.confirmed,
                failed=one.failed,
                restarts=one.restarts,
                rate=more.rate if more else None,
                first=more.first if more else None,
                dropped=more.dropped if more else None,
                disconnects=more.disconnects if more else None,
                rate_limit_waits=more.rate_limit_waits if more else None,
                stalled=more.stalled if more else None,
                silent=more.silent if more else None,
                suspect=more.suspect if more else None,
            )
        )
    return LineList(
        age_s=age_s(console.runbook.clock.wall_ns(), seen.status_at_ns),
        lines=rows,
        feeds=[
            FeedView(
                feed=feed.feed,
                active=feed.active,
                session=feed.session,
                router=feed.router,
                switching=feed.switching,
                failover_required=feed.failover_required,
            )
            for feed in (status.feeds if status else ())
        ],
        switches=[
            SwitchView(
                feed=one.feed,
                kind=one.kind,
                source=one.source,
                target=one.target,
                ok=one.ok,
                error=one.error,
                reason=one.reason,
                trigger=one.trigger,
                started=moment(one.started_ns),
                finished=moment(one.finished_ns),
                latency_ms=one.latency_ms,
            )
            for one in seen.switches
        ],
    )
