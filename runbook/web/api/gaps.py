"""``GET /api/gaps``: every interval in which no line covered a contract, of one trading day."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Meta

from gateway.control import GapsReply, GapsRequest
from gateway.flow.gapjson import parse_day
from runbook.model import Role
from runbook.web.api.tables import (
    Cursor,
    Format,
    Limit,
    TableOperation,
    begun,
    csv_chunks,
    csv_response,
    number_cursor,
    wants_csv,
)
from runbook.web.console import Console
from runbook.web.errors import ApiError, WrongField, documented

_CSV_PAGE: Final = 2_000


class GapView(msgspec.Struct, frozen=True, kw_only=True):
    """One gap of one contract. null: not known (yet)."""

    id: Annotated[str, Meta(description="The same in the ledger, in events and in `gateway gaps`")]
    feed: Annotated[str, Meta(description="Name of the feed")]
    instrument: Annotated[str, Meta(description="`SHFE.rb2510`")]
    trading_day: Annotated[int, Meta(description="YYYYMMDD")]
    session: Annotated[str, Meta(description="`day` or `night`")]
    start: Annotated[str, Meta(description="RFC 3339, +08:00")]
    end: Annotated[str | None, Meta(description="RFC 3339, +08:00; null: open")]
    duration_s: Annotated[float | None, Meta(description="Seconds from start to end")]
    open_s: Annotated[float | None, Meta(description="Of these, seconds without the breaks")]
    lost_volume: Annotated[int | None, Meta(description="Lots traded meanwhile; 0 proves that nothing is missing")]
    exact: Annotated[bool | None, Meta(description="false: lost_volume is an upper bound")]
    ending: Annotated[str, Meta(description="`covered`, `session over`, `no longer wanted`, `feed removed`; or empty")]
    reason: Annotated[str, Meta(description="Why the last line that carried it stopped")]
    lines: Annotated[dict[str, str], Meta(description="Each line of the feed → why it did not carry the contract")]
    last_tick_before: Annotated[str | None, Meta(description="RFC 3339, +08:00")]
    first_tick_after: Annotated[str | None, Meta(description="RFC 3339, +08:00")]


class GapTotalsView(msgspec.Struct, frozen=True, kw_only=True):
    """The whole day."""

    gaps: Annotated[int, Meta(description="Gaps, a contract each")]
    contracts: Annotated[int, Meta(description="Contracts that have one")]
    open: Annotated[int, Meta(description="Gaps without an end")]
    longest_s: Annotated[float | None, Meta(description="Seconds, of those that have ended")]
    lost_volume: Annotated[int, Meta(description="Lots, of the gaps of which it is known")]
    lost_volume_unknown: Annotated[int, Meta(description="Gaps of which it is not known")]


class WatchView(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """Gaps of this feed and session would have been noticed from here to there."""

    feed: Annotated[str, Meta(description="Name of the feed")]
    session: Annotated[str, Meta(description="`day` or `night`")]
    since: Annotated[str, Meta(description="RFC 3339, +08:00")]
    until: Annotated[str, Meta(description="RFC 3339, +08:00")]
    contracts: Annotated[int, Meta(description="So many were watched")]


class NoteView(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says about itself."""

    at: Annotated[str, Meta(description="RFC 3339, +08:00")]
    text: Annotated[str, Meta(description="In words")]


class GapPage(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/gaps``. Everything but ``gaps`` is whole on every page."""

    trading_day: Annotated[int | None, Meta(description="YYYYMMDD; null: no date was given and the ledger knows none")]
    known: Annotated[bool, Meta(description="Whether the ledger can say anything about the day")]
    totals: GapTotalsView
    gaps: Annotated[list[GapView], Meta(description="By start, then feed and contract")]
    watched: Annotated[list[WatchView], Meta(description="When a gap would have been noticed")]
    notes: Annotated[list[NoteView], Meta(description="Rows that are missing, steps of the clock")]
    truncated: Annotated[bool, Meta(description="Whether watched or notes was cut")]
    next: Annotated[str | None, Meta(description="`cursor` of the next page; null: this was the last one")]


_COLUMNS: Final = tuple(field.name for field in msgspec.structs.fields(GapView))


@get(
    "/api/gaps",
    opt={"role": Role.VIEWER},
    tags=["gaps"],
    operation_class=TableOperation,
    responses=documented(503, 504),
)
async def list_gaps(
    request: Request[Any, Any, Any],
    console: NamedDependency[Console],
    date: Annotated[
        str | None,
        QueryParameter(description="Trading day, 20261123 or 2026-11-23; absent: the latest that the ledger knows"),
    ] = None,
    feed: Annotated[str | None, QueryParameter(max_length=100, description="Of one feed; absent: of all")] = None,
    limit: Limit = 200,
    cursor: Cursor = "",
    form: Format = None,
) -> Response[GapPage]:
    """The gaps of a trading day, from the gateway's ledger. Send `date` with further pages."""
    day = _day(date) if date else None
    asked = GapsRequest(date=day, feed=feed or None, cursor=number_cursor(cursor), limit=limit)
    if wants_csv(request, form):
        whole = msgspec.structs.replace(asked, cursor=0, limit=_CSV_PAGE)
        return csv_response(await begun(csv_chunks(_COLUMNS, _rows(console, whole))), f"gaps-{day or 'latest'}")
    found = await _page(console, asked)
    return Response(
        GapPage(
            trading_day=found.trading_day or None,
            known=found.known,
            totals=GapTotalsView(**msgspec.structs.asdict(found.totals)),
            gaps=[GapView(**{name: getattr(one, name) for name in _COLUMNS}) for one in found.gaps],
            watched=[
                WatchView(feed=one.feed, session=one.session, since=one.since, until=one.until, contracts=one.contracts)
                for one in found.watched
            ],
            notes=[NoteView(at=one.at, text=one.text) for one in found.notes],
            truncated=found.truncated,
            next=None if found.cursor is None else str(found.cursor),
        )
    )


async def _rows(console: Console, asked: GapsRequest) -> AsyncIterator[Iterable[Mapping[str, Any]]]:
    while True:
        found = await _page(console, asked)
        yield [msgspec.structs.asdict(one) for one in found.gaps]
        if found.cursor is None:
            return
        asked = msgspec.structs.replace(asked, date=f"{found.trading_day:08}", cursor=found.cursor)


async def _page(console: Console, asked: GapsRequest) -> GapsReply:
    async with console.observatory.client() as client:
        return await client.gaps_page(asked)


def _day(text: str) -> str:
    try:
        return f"{parse_day(text):08}"
    except ValueError:
        message = "is no day; write 20261123 or 2026-11-23"
        wrong = WrongField(field="date", message=message, source="query")
        raise ApiError(400, "usage", f"date {message}", errors=[wrong]) from None
