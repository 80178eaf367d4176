"""Subscription health: what is wanted, carried, quiet, stalled and missing; and the contracts one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.di import NamedDependency
from markupsafe import Markup

from gateway.control import FeedCoverage, Subscription, SubscriptionState
from gateway.errors import FeedgateError
from runbook.model import Role
from runbook.web.charts.heat import heat
from runbook.web.console import Console
from runbook.web.pages.language import Words
from runbook.web.pages.rendering import Painter

_ROWS: Final = 200
_NAMES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionsPage:
    """All feeds, and a list that was asked for."""

    coverage: Sequence[FeedCoverage]
    picture: Markup
    states: Sequence[str]
    state: str
    pattern: str
    rows: Sequence[Subscription] | None
    """None: not asked for."""
    more: bool
    csv: str
    names: int
    problem: str = ""
    stale_s: float | None = None


def coverage_picture(console: Console, t: Words) -> Markup:
    """The heat map of all feeds."""
    seen = console.observatory.latest
    return heat([one for feed in seen.coverage for one in feed.products], t("subscriptions.heat_words"))


@get("/subscriptions", opt={"role": Role.VIEWER}, include_in_schema=False)
async def subscriptions(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """The page; ``state`` and ``pattern`` ask for contracts one by one."""
    seen = console.observatory.latest
    state, pattern = request.query_params.get("state", ""), request.query_params.get("pattern", "").strip()[:100]
    states = [str(one) for one in SubscriptionState]
    rows: Sequence[Subscription] | None = None
    more, problem = False, ""
    if state in states or pattern:
        try:
            async with console.observatory.client() as client:
                found = await client.subscriptions(
                    pattern or "*", states=[SubscriptionState(state)] if state in states else []
                )
            rows, more = found.subscriptions[:_ROWS], len(found.subscriptions) > _ROWS
        except (FeedgateError, ValueError) as error:
            problem = str(error)
    asked = {key: value for key, value in (("state", state), ("pattern", pattern)) if value}
    model = SubscriptionsPage(
        coverage=seen.coverage,
        picture=coverage_picture(console, painter.words(request)),
        states=states,
        state=state,
        pattern=pattern,
        rows=rows,
        more=more,
        csv=f"/api/subscriptions?{urlencode(asked | {'format': 'csv'})}",
        names=_NAMES,
        problem=problem,
        stale_s=(seen.at_ns - seen.coverage_at_ns) / 1e9 if seen.is_stale(seen.coverage_at_ns) else None,
    )
    return await painter.page(request, console, "subscriptions", model)
