"""Lines and accounts: where each stands, what it carries, how often it was first, and the last switches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from markupsafe import Markup

from gateway.control import FeedStatus
from gateway.control.events import Switch
from gateway.control.figures import LineFigures
from gateway.model import LineState, LineStatus
from runbook.model import Role
from runbook.web.charts.bands import bands
from runbook.web.charts.shares import shares
from runbook.web.console import Console
from runbook.web.pages.language import Words
from runbook.web.pages.rendering import Painter
from runbook.web.pages.sentence import Verdict

_HOUR_NS = 3_600_000_000_000
_COMING = (LineState.IDLE, LineState.CONNECTING, LineState.CONNECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """One line."""

    status: LineStatus
    figures: LineFigures | None
    """None right after it was added, or while the gateway does not answer."""
    verdict: Verdict

    @property
    def waits_for_its_turn(self) -> bool:
        """Parked by its router: no trouble."""
        return self.status.role == "cold" and not self.status.state.is_up


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesPage:
    """All feeds."""

    feeds: Sequence[FeedStatus]
    rows: Sequence[LineRow]
    switches: Sequence[Switch]
    warnings: Sequence[str]
    states: Markup
    first: Markup
    stale_s: float | None
    """How old the figures are, when they are too old."""


def line_rows(console: Console) -> list[LineRow]:
    """Of the last look."""
    seen = console.observatory.latest
    figures = {one.line: one for one in seen.figures.lines} if seen.figures else {}
    lines = seen.status.lines if seen.status else []
    return [
        LineRow(status=one, figures=figures.get(one.line), verdict=verdict_of(one, figures.get(one.line)))
        for one in lines
    ]


def verdict_of(line: LineStatus, figures: LineFigures | None) -> Verdict:
    """How a line stands: up is good, unless nobody believes it or it is silent; a parked one is neutral."""
    if line.state.is_up:
        return "warning" if figures and (figures.silent or figures.suspect) else "good"
    if line.role == "cold" or line.state is LineState.STOPPED:
        return "neutral"
    return "warning" if line.state in _COMING else "critical"


def state_bands(console: Console, t: Words, hours: float = 1.0) -> Markup:
    """The states of all lines over the last hours."""
    now = console.runbook.clock.wall_ns()
    since = now - round(hours * _HOUR_NS)
    history = console.observatory.history
    found = {row.status.line: history.bands(row.status.line, since) for row in line_rows(console)}
    return bands(found, t("lines.states_words"), from_ns=since, to_ns=now)


def first_shares(console: Console, t: Words) -> Markup:
    """Of the ticks that two lines or more brought, since the gateway started."""
    figures = console.observatory.latest.figures
    return shares({one.line: one.first for one in figures.lines} if figures else {}, t("lines.first_words"))


@get("/lines", opt={"role": Role.VIEWER}, include_in_schema=False)
async def lines(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """The page."""
    seen = console.observatory.latest
    t = painter.words(request)
    model = LinesPage(
        feeds=seen.status.feeds if seen.status else (),
        rows=line_rows(console),
        switches=seen.switches[:20],
        warnings=seen.status.warnings if seen.status else (),
        states=state_bands(console, t),
        first=first_shares(console, t),
        stale_s=(seen.at_ns - seen.status_at_ns) / 1e9 if seen.is_stale(seen.status_at_ns) else None,
    )
    return await painter.page(request, console, "lines", model)
