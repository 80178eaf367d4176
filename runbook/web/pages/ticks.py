"""Live ticks: find a contract, watch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response, get
from litestar.di import NamedDependency

from gateway.errors import FeedgateError
from gateway.model import Tick
from gateway.subjects import matcher
from runbook.model import Role
from runbook.web.console import Console
from runbook.web.pages.rendering import Painter

WATCHED: Final = 20
"""Contracts at once."""
_FOUND: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TickRow:
    """A contract with its last tick, if it had one."""

    instrument: str
    name: str
    tick: Tick | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicksPage:
    """What a pattern found."""

    pattern: str
    rows: Sequence[TickRow]
    others: Sequence[str]
    """Names beyond those that are watched."""
    events: str
    """Path of the live values."""
    problem: str = ""


@get("/ticks", opt={"role": Role.VIEWER}, include_in_schema=False)
async def ticks(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """The page; ``pattern`` is a contract, a part of its name, or a glob over EXCHANGE.CODE."""
    asked = request.query_params.get("pattern", "").strip()[:100]
    rows: list[TickRow] = []
    others: list[str] = []
    problem = ""
    pattern = asked if any(one in asked for one in "*?[.") else f"*{asked}*"
    if asked:
        try:
            matcher(pattern)
            async with console.observatory.client() as client:
                known = {str(one.instrument): one.name or "" for one in await client.contracts(pattern)}
                names = list(known)  # in the order of the catalogue, as the live values come
                watched = names[:WATCHED]
                last = {str(tick.instrument): tick for tick in await client.last(*watched)} if watched else {}
            rows = [TickRow(instrument=name, name=known[name], tick=last.get(name)) for name in watched]
            others = names[WATCHED : WATCHED + _FOUND]
        except (FeedgateError, ValueError) as error:
            problem = str(error)
    events = f"/api/ticks/events?pattern={quote(pattern, safe='')}"
    model = TicksPage(pattern=asked, rows=rows, others=others, events=events, problem=problem)
    return await painter.page(request, console, "ticks", model)
