"""Overview: the figures against their thresholds, the lines, the session in pictures, and the way to act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from markupsafe import Markup

from runbook.model import Role
from runbook.runner.run import Run
from runbook.web.charts.trend import trend
from runbook.web.console import Console
from runbook.web.pages.actions import title_of
from runbook.web.pages.cards import Card, cards
from runbook.web.pages.language import Words
from runbook.web.pages.lines import LineRow, first_shares, line_rows, state_bands
from runbook.web.pages.rendering import Painter
from runbook.web.pages.runs import verdict_of
from runbook.web.pages.sentence import Verdict
from runbook.web.pages.subscriptions import coverage_picture

_RECENT_NS: Final = 900_000_000_000
"""Seconds are kept for so long; older figures are minutes."""
_LONGEST_NS: Final = 12 * 3_600_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewPage:
    """Everything at a glance."""

    cards: Sequence[Card]
    rows: Sequence[LineRow]
    throughput: Markup
    states: Markup
    first: Markup
    coverage: Markup
    last: Run | None
    """The latest action, whoever asked for it."""
    last_title: str
    last_verdict: Verdict


@get("/", opt={"role": Role.VIEWER}, include_in_schema=False)
async def overview(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """The page."""
    t = painter.words(request)
    last = next(iter(await console.runbook.runner.runs(limit=1)), None)
    kind = console.runbook.kinds.by_name.get(last.request.action) if last else None
    model = OverviewPage(
        cards=cards(console, t),
        rows=line_rows(console),
        throughput=_throughput(console, t),
        states=state_bands(console, t),
        first=first_shares(console, t),
        coverage=coverage_picture(console, t),
        last=last,
        last_title=title_of(kind, t) if kind else (last.request.action if last else ""),
        last_verdict=verdict_of(last) if last else "neutral",
    )
    return await painter.page(request, console, "overview", model)


def _throughput(console: Console, t: Words) -> Markup:
    """Of the session so far: seconds while it is young, then minutes."""
    now = console.runbook.clock.wall_ns()
    history = console.observatory.history
    minutes = history.series("published_rate", now - _LONGEST_NS, 60)
    begin = minutes[0].at_ns if minutes else now
    young = now - begin < _RECENT_NS
    points = history.series("published_rate", now - _RECENT_NS, 1) if young else minutes
    begin = min(points[0].at_ns, now - 60_000_000_000) if points else now - 60_000_000_000
    words = t("overview.throughput_words")
    return trend(points, words, t("overview.ticks_s"), from_ns=begin, to_ns=now, step_s=1 if young else 60)
