"""``GET /api/subscriptions`` and ``/api/coverage``: contract by contract, and by feed, exchange and product."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import QueryParameter
from msgspec import Meta

from gateway.control import SubscriptionsReply, SubscriptionsRequest, SubscriptionState
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
from runbook.web.api.times import MaybeMoment, age_s, moment
from runbook.web.console import Console
from runbook.web.errors import ApiError, documented

_COLUMNS: Final = ("line", "instrument", "state", "reason")
_CSV_PAGE: Final = 5_000
_PATTERNS: Final = 20


class LineTotals(msgspec.Struct, frozen=True, kw_only=True):
    """One whole line in contracts, whatever was filtered."""

    line: Annotated[str, Meta(description="`ctp:primary`")]
    wanted: Annotated[int, Meta(description="All of them")]
    pending: Annotated[int, Meta(description="Asked for, not answered yet")]
    confirmed: Annotated[int, Meta(description="Carried")]
    failed: Annotated[int, Meta(description="Refused by the vendor, or given up")]


class SubscriptionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One contract on one line."""

    line: Annotated[str, Meta(description="`ctp:primary`")]
    instrument: Annotated[str, Meta(description="`SHFE.rb2510`")]
    state: Annotated[SubscriptionState, Meta(description="`wanted pending confirmed failed`")]
    reason: Annotated[str, Meta(description="The vendor's words when failed")]


class SubscriptionPage(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/subscriptions``."""

    lines: Annotated[list[LineTotals], Meta(description="Whole lines in numbers; only the one that was asked for")]
    subscriptions: Annotated[list[SubscriptionRow], Meta(description="By line, then in the order of subscription")]
    next: Annotated[str | None, Meta(description="`cursor` of the next page; null: this was the last one")]


class ProductRow(msgspec.Struct, frozen=True, kw_only=True):
    """One product, in contracts: ``wanted = ticking + quiet + stalled + missing``."""

    feed: Annotated[str, Meta(description="Name of the feed")]
    exchange: Annotated[str, Meta(description="`SHFE`")]
    product: Annotated[str, Meta(description="`rb`; contracts with numbers for codes count under their exchange")]
    wanted: Annotated[int, Meta(description="Contracts that somebody wants")]
    ticking: Annotated[int, Meta(description="They tick")]
    quiet: Annotated[int, Meta(description="Silent, and that is as it should be")]
    stalled: Annotated[int, Meta(description="Silent for too long, in session")]
    missing: Annotated[int, Meta(description="On no line")]


class FeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One feed, in contracts: ``wanted = confirmed + missing``, ``confirmed = ticking + quiet + stalled``."""

    feed: Annotated[str, Meta(description="Name of the feed")]
    session: Annotated[str, Meta(description="`day`, `night` or `closed`")]
    at: MaybeMoment
    ratio: Annotated[float | None, Meta(description="confirmed / wanted, 0 to 1; null while nothing is wanted")]
    wanted: Annotated[int, Meta(description="Contracts that somebody wants")]
    confirmed: Annotated[int, Meta(description="On a line that is up")]
    ticking: Annotated[int, Meta(description="They tick")]
    quiet: Annotated[int, Meta(description="Silent, and that is as it should be")]
    stalled: Annotated[int, Meta(description="Silent for too long, in session")]
    missing: Annotated[int, Meta(description="Wanted, and on no line")]
    unexpected: Annotated[int, Meta(description="On a line, and not wanted")]
    stalled_contracts: Annotated[list[str], Meta(description="Their names; may be cut, see truncated")]
    missing_contracts: Annotated[list[str], Meta(description="Their names; may be cut, see truncated")]
    unexpected_contracts: Annotated[list[str], Meta(description="Their names; may be cut, see truncated")]
    truncated: Annotated[bool, Meta(description="Whether a list of names was cut; the counts are whole")]


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/coverage``."""

    age_s: Annotated[float | None, Meta(description="Seconds since the gateway was asked; null: never, so no rows")]
    feeds: Annotated[list[FeedRow], Meta(description="One row a feed")]
    products: Annotated[list[ProductRow], Meta(description="One row a product that matches")]


Line = Annotated[
    str | None, QueryParameter(name="line", max_length=100, description="Of one line, `ctp:primary`; absent: of all")
]
States = Annotated[
    list[SubscriptionState] | None,
    QueryParameter(name="state", max_items=4, description="Only these; may be given several times"),
]
Patterns = Annotated[
    list[str] | None,
    QueryParameter(
        name="pattern",
        max_items=_PATTERNS,
        description="Shell globs over EXCHANGE.CODE; may be given several times",
        examples=[Example(summary="rebar", value=["SHFE.rb*"])],
    ),
]


@get(
    "/api/subscriptions",
    opt={"role": Role.VIEWER},
    tags=["subscriptions"],
    operation_class=TableOperation,
    responses=documented(503, 504),
)
async def list_subscriptions(
    request: Request[Any, Any, Any],
    console: NamedDependency[Console],
    line: Line = None,
    states: States = None,
    pattern: Patterns = None,
    limit: Limit = 200,
    cursor: Cursor = "",
    form: Format = None,
) -> Response[SubscriptionPage]:
    """Where the subscription of each contract on each line stands, asked of the gateway now."""
    asked = SubscriptionsRequest(
        line=line or None,
        patterns=tuple(_bounded(pattern)) or ("*",),
        states=tuple(states or ()),
        cursor=number_cursor(cursor),
        limit=limit,
    )
    if wants_csv(request, form):
        whole = msgspec.structs.replace(asked, cursor=0, limit=_CSV_PAGE)
        return csv_response(await begun(csv_chunks(_COLUMNS, _rows(console, whole))), "subscriptions")
    found = await _page(console, asked)
    return Response(
        SubscriptionPage(
            lines=[LineTotals(**msgspec.structs.asdict(one)) for one in found.lines],
            subscriptions=[SubscriptionRow(**msgspec.structs.asdict(one)) for one in found.subscriptions],
            next=None if found.cursor is None else str(found.cursor),
        )
    )


async def _rows(console: Console, asked: SubscriptionsRequest) -> AsyncIterator[Iterable[Mapping[str, Any]]]:
    """All pages; nothing is held open between two of them, so a slow reader costs nothing."""
    while True:
        found = await _page(console, asked)
        yield [msgspec.structs.asdict(one) for one in found.subscriptions]
        if found.cursor is None:
            return
        asked = msgspec.structs.replace(asked, cursor=found.cursor)


async def _page(console: Console, asked: SubscriptionsRequest) -> SubscriptionsReply:
    async with console.observatory.client() as client:
        return await client.subscriptions_page(asked)


@get("/api/coverage", opt={"role": Role.VIEWER}, tags=["subscriptions"], responses=documented())
async def get_coverage(
    console: NamedDependency[Console],
    feed: Annotated[str | None, QueryParameter(max_length=100, description="Of one feed; absent: of all")] = None,
    exchange: Annotated[str | None, QueryParameter(max_length=20, description="Products of one exchange")] = None,
    product: Annotated[str | None, QueryParameter(max_length=20, description="One product, `rb`")] = None,
) -> Coverage:
    """Coverage by feed, and by exchange and product, as the gateway told it last (each 5 s)."""
    seen = console.observatory.latest
    parts = [part for part in seen.coverage if feed in (None, part.feed)]
    rows = [
        ProductRow(feed=part.feed, **msgspec.structs.asdict(one))
        for part in parts
        for one in part.products
        if exchange in (None, one.exchange) and product in (None, one.product)
    ]
    return Coverage(
        age_s=age_s(console.runbook.clock.wall_ns(), seen.coverage_at_ns),
        feeds=[
            FeedRow(
                feed=part.feed,
                session=part.session,
                at=moment(part.at_ns),
                ratio=part.ratio,
                wanted=part.wanted,
                confirmed=part.confirmed,
                ticking=part.ticking,
                quiet=part.quiet,
                stalled=part.stalled_count,
                missing=part.missing_count,
                unexpected=part.unexpected_count,
                stalled_contracts=part.stalled,
                missing_contracts=part.missing,
                unexpected_contracts=part.unexpected,
                truncated=part.truncated,
            )
            for part in parts
        ],
        products=rows,
    )


def _bounded(patterns: list[str] | None) -> list[str]:
    if any(len(one) > 100 for one in patterns or ()):  # noqa: PLR2004 - no name of a contract comes near it
        raise ApiError(400, "usage", "pattern: is longer than 100 characters; no contract's name is")
    return patterns or []
