"""Requests that change nothing: ticks, contracts, subscriptions, state, coverage, gaps, switches."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from gateway.codec import CODECS
from gateway.control.messages.market import ContractsRequest, LastReply, LastRequest, LineCounts, SubscriptionsRequest
from gateway.control.messages.reports import (
    CoverageReply,
    CoverageRequest,
    FeedCoverage,
    GapsRequest,
    ProductCoverage,
    StatusReply,
    SwitchesRequest,
)
from gateway.control.orders import chosen_feed, require_line
from gateway.control.paging import NoFields, any_of, page, read, within
from gateway.errors import ControlError
from gateway.flow.gapjson import gap_row, gap_totals, note_rows, parse_day, watched_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.control.figures import Figures
    from gateway.control.service import Desk
    from gateway.flow.coverage import Coverage
    from gateway.flow.gaphistory import GapDay
    from gateway.ports import Handler


_ANY_NUMBER = 1 << 62


class Answers:
    """Handlers that look. All raise ControlError for what is refused, and let through what the Desk raises."""

    def __init__(self, desk: Desk, name: str, figures: Callable[[], Figures], page_bytes: int) -> None:
        self._desk = desk
        self._figures = figures
        self._name = name
        self._page_bytes = page_bytes

    def handlers(self) -> dict[str, Handler]:
        """Endpoint → handler."""
        return {
            "last": self.last,
            "contracts": self.contracts,
            "subscriptions": self.subscriptions,
            "status": self.status,
            "figures": self.figures,
            "coverage": self.coverage,
            "gaps": self.gaps,
            "switches": self.switches,
        }

    async def last(self, payload: bytes) -> bytes:
        request = read(payload, LastRequest)
        found = self._desk.last(any_of(request.patterns), request.cursor)
        ticks, cursor = page(found, request.limit, self._page_bytes)
        codec = self._desk.codec
        encode = msgspec.json.encode if codec == "json" else msgspec.msgpack.encode
        if codec not in CODECS:  # a program's own: bytes that are no element of a map, so they are wrapped
            ticks = [msgspec.Raw(msgspec.msgpack.encode(bytes(tick))) for tick in ticks]
        return encode(LastReply(epoch=self._desk.epoch, codec=codec, cursor=cursor, ticks=ticks))

    async def contracts(self, payload: bytes) -> bytes:
        request = read(payload, ContractsRequest)
        feed = None if request.feed is None else chosen_feed(self._desk, request.feed)
        wanted, contracts = any_of(request.patterns), self._desk.contracts(feed)
        rows = (
            (at, msgspec.json.encode(contracts[at]))
            for at in range(request.cursor, len(contracts))
            if wanted(str(contracts[at].instrument))
        )
        found, cursor = page(rows, request.limit, self._page_bytes)
        return msgspec.json.encode({"contracts": found, "cursor": cursor})

    async def subscriptions(self, payload: bytes) -> bytes:
        request = read(payload, SubscriptionsRequest)
        lines = self._desk.lines()
        if request.line is not None:
            require_line(self._desk, request.line)
            lines = [line for line in lines if line.line == request.line]
        wanted, states = any_of(request.patterns), request.states
        rows = (
            (at, msgspec.json.encode(row))
            for at, row in enumerate(row for line in lines for row in self._desk.subscriptions(line.line))
            if at >= request.cursor and (not states or row.state in states) and wanted(row.instrument)
        )
        found, cursor = page(rows, request.limit, self._page_bytes)
        counts = [
            LineCounts(
                line=line.line,
                wanted=line.wanted,
                pending=line.pending,
                confirmed=line.confirmed,
                failed=line.failed,
            )
            for line in lines
        ]
        return msgspec.json.encode({"lines": counts, "subscriptions": found, "cursor": cursor})

    async def status(self, payload: bytes) -> bytes:
        read(payload, NoFields)
        desk = self._desk
        return msgspec.json.encode(
            StatusReply(
                name=self._name,
                version=desk.version,
                epoch=desk.epoch,
                codec=desk.codec,
                lines=list(desk.lines()),
                counters=dict(desk.counters()),
                feeds=list(desk.feeds()),
                ledger=desk.ledger(),
                events_dropped=desk.events_dropped,
                warnings=list(within(desk.warnings(), self._page_bytes // 4)),
            )
        )

    async def figures(self, payload: bytes) -> bytes:
        read(payload, NoFields)
        return msgspec.json.encode(self._figures())

    async def coverage(self, payload: bytes) -> bytes:
        request = read(payload, CoverageRequest)
        feeds = self._desk.coverage()
        if request.feed is not None:
            feed = chosen_feed(self._desk, request.feed)
            feeds = [one for one in feeds if one.feed == feed]
        budget = self._page_bytes // (3 * max(len(feeds), 1))
        rows = [_coverage(one, budget, products=request.products) for one in feeds]
        return msgspec.json.encode(CoverageReply(feeds=rows))

    async def gaps(self, payload: bytes) -> bytes:
        request = read(payload, GapsRequest)
        try:
            date = None if request.date is None else parse_day(request.date)
        except ValueError as error:
            raise ControlError(f"date {error}") from None
        day = await self._desk.gaps(date, request.feed)
        # a day may hold a gap for each of 30,000 contracts, many times over: not while ticks wait
        return await asyncio.to_thread(_gaps_reply, day, request, self._page_bytes)

    async def switches(self, payload: bytes) -> bytes:
        request = read(payload, SwitchesRequest)
        feeds = [one.feed for one in self._desk.feeds()] if request.feed is None else [request.feed]
        found = [switch for feed in feeds for switch in self._desk.switches(chosen_feed(self._desk, feed))]
        found.sort(key=lambda switch: switch.finished_ns, reverse=True)
        rows = enumerate(map(msgspec.json.encode, found))
        newest, more = page(rows, request.limit, self._page_bytes)
        return msgspec.json.encode({"switches": newest, "truncated": more is not None})


def _coverage(coverage: Coverage, budget: int, *, products: bool) -> FeedCoverage:
    lists = {
        "stalled": coverage.stalled,
        "missing": coverage.missing,
        "unexpected": coverage.unexpected,
    }
    names = {what: list(within(map(str, instruments), budget)) for what, instruments in lists.items()}
    return FeedCoverage(
        feed=coverage.feed,
        session=coverage.session,
        at_ns=coverage.at_ns,
        wanted=coverage.wanted,
        confirmed=coverage.confirmed,
        ticking=coverage.ticking,
        quiet=len(coverage.quiet),
        stalled_count=len(coverage.stalled),
        missing_count=len(coverage.missing),
        unexpected_count=len(coverage.unexpected),
        ratio=coverage.ratio,
        truncated=any(len(names[what]) < len(instruments) for what, instruments in lists.items()),
        **names,
        products=[ProductCoverage(**asdict(one)) for one in coverage.products] if products else [],
    )


def _gaps_reply(day: GapDay, request: GapsRequest, budget: int) -> bytes:
    rows = ((at, msgspec.json.encode(gap_row(day.gaps[at]))) for at in range(request.cursor, len(day.gaps)))
    gaps, cursor = page(rows, request.limit, budget * 3 // 4)
    watched, watched_all = _fitting(map(watched_row, day.watched), budget // 8)
    notes, notes_all = _fitting(note_rows(day), budget // 8)
    return msgspec.json.encode(
        {
            "trading_day": day.trading_day,
            "known": day.known,
            "totals": gap_totals(day.gaps),
            "gaps": gaps,
            "watched": watched,
            "notes": notes,
            "cursor": cursor,
            "truncated": not (watched_all and notes_all),
        }
    )


def _fitting(rows: Iterable[msgspec.Struct], budget: int) -> tuple[Sequence[msgspec.Raw], bool]:
    """The first rows that fit, at least one, and whether that was all."""
    fitting, more = page(enumerate(map(msgspec.json.encode, rows)), _ANY_NUMBER, budget)
    return fitting, more is None
