"""Gaps: every interval in which no line covered a contract, of one trading day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from gateway.control import GapsReply
from gateway.errors import FeedgateError
from gateway.flow.gapjson import parse_day
from runbook.model import Role
from runbook.web.console import Console
from runbook.web.pages.rendering import Painter

_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class GapsPage:
    """One day."""

    date: str
    """As asked for; empty: the latest day that the ledger knows."""
    feed: str
    feeds: tuple[str, ...]
    day: GapsReply | None
    problem: str = ""
    """Why there is no day."""
    shown: int = 0
    csv: str = ""
    """Path of the whole day as CSV."""


@get("/gaps", opt={"role": Role.VIEWER}, include_in_schema=False)
async def gaps(
    request: Request[Any, Any, Any],
    console: NamedDependency[Console],
    painter: NamedDependency[Painter],
    date: Annotated[str, QueryParameter(name="date")] = "",
    feed: Annotated[str, QueryParameter(name="feed")] = "",
) -> Response[str]:
    """The page."""
    seen = console.observatory.latest
    day, problem = None, ""
    try:
        if date:
            parse_day(date)
        async with console.observatory.client() as client:
            day = await client.gaps(date or None, feed=feed or None)
    except (FeedgateError, ValueError) as error:
        problem = str(error)
    asked = urlencode({key: value for key, value in (("date", date), ("feed", feed)) if value} | {"format": "csv"})
    model = GapsPage(
        date=date,
        feed=feed,
        feeds=tuple(one.feed for one in seen.status.feeds) if seen.status else (),
        day=day,
        problem=problem,
        shown=_ROWS,
        csv=f"/api/gaps?{asked}",
    )
    return await painter.page(request, console, "gaps", model)
