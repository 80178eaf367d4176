"""How the gateway is and how it was: status, coverage, gaps, switches."""

from __future__ import annotations

import msgspec

from gateway.control.events import Switch
from gateway.control.messages.fields import MAX_LIMIT, Cursor, Limit
from gateway.flow.gapjson import GapRow, GapTotals, NoteRow, WatchedRow
from gateway.model import LineStatus


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One feed as of now."""

    feed: str
    active: str | None = None
    """The line that the router prefers, ``ctp:primary``; None before the first plan."""
    switching: str = ""
    """The switch that runs now, in words; empty when none does."""
    failover_required: bool = False
    """Asked to leave the preferred line (endpoint ``failover_required``), and not done yet."""
    session: str = "closed"
    """``day``, ``night`` or ``closed``"""
    router: str = ""
    """Name of the account router: ``all_hot``, ``primary_backup`` …"""


class LedgerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether gaps reach the disk."""

    degraded: bool = False
    """Writes fail; they are tried again and rows wait in memory meanwhile."""
    reason: str = ""
    """Why, in words."""
    waiting: int = 0
    """Rows in memory."""
    lost: int = 0
    """Rows that found no room in memory since the gateway started."""
    open_gaps: int = 0
    """Contracts without a line at this moment, in their session."""


class StatusReply(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway as of now. Its request has no fields."""

    name: str
    version: str
    epoch: int
    """Start of the gateway, Unix milliseconds."""
    codec: str
    lines: list[LineStatus]
    counters: dict[str, int | float]
    feeds: list[FeedStatus] = []
    ledger: LedgerStatus = LedgerStatus()
    events_dropped: int = 0
    """Events that did not reach the bus since the gateway started."""
    warnings: list[str] = []
    """What somebody should look at, in words; empty when all is well."""


class CoverageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Coverage as of now."""

    feed: str | None = None
    """None: every feed."""
    products: bool = False
    """Also by exchange and product."""


class ProductCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One product of a feed: ``wanted = ticking + quiet + stalled + missing``, in contracts."""

    exchange: str
    product: str
    """``rb``, ``MA``, ``IO``; contracts with numbers for codes count under their exchange's name."""
    wanted: int
    ticking: int
    quiet: int
    stalled: int
    missing: int


class FeedCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """``wanted = confirmed + missing`` and ``confirmed = ticking + quiet + stalled``, in contracts.

    The lists hold names, ``SHFE.rb2510``, and may be cut (``truncated``); the counts are always whole.
    """

    feed: str
    session: str
    """``day``, ``night`` or ``closed``"""
    at_ns: int
    wanted: int
    confirmed: int
    """On a line that is up."""
    ticking: int
    quiet: int
    """Silent, and that is as it should be."""
    stalled_count: int
    missing_count: int
    unexpected_count: int
    ratio: float | None
    """``confirmed / wanted``; null while nothing is wanted."""
    stalled: list[str]
    """Silent for too long, in session."""
    missing: list[str]
    """Wanted, and on no line."""
    unexpected: list[str]
    """On a line, and not wanted."""
    truncated: bool = False
    products: list[ProductCoverage] = []
    """When asked for."""


class CoverageReply(msgspec.Struct, frozen=True, kw_only=True):
    """One row a feed."""

    feeds: list[FeedCoverage]


class GapsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gaps of a trading day."""

    date: str | None = None
    """``20250829`` or ``2025-08-29``. None: the latest day that the ledger knows; send ``trading_day`` of the first
    reply for the further pages, or a new day may begin in between."""
    feed: str | None = None
    """None: every feed. One that the ledger has not met has no gaps."""
    cursor: Cursor = 0
    limit: Limit = MAX_LIMIT


class GapsReply(msgspec.Struct, frozen=True, kw_only=True):
    """What ``gateway gaps --json`` prints, ``gaps`` in pages; everything else is whole on every page."""

    trading_day: int
    """``YYYYMMDD``; 0 when no date was asked for and the ledger knows none."""
    known: bool
    """Whether the ledger can say anything about the day."""
    totals: GapTotals
    gaps: list[GapRow]
    """By start, then feed and contract."""
    watched: list[WatchedRow]
    notes: list[NoteRow]
    cursor: int | None
    truncated: bool = False
    """Whether ``watched`` or ``notes`` was cut for the size of the reply."""


class SwitchesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last failovers and failbacks, done and failed, since the gateway started."""

    feed: str | None = None
    limit: Limit = 100


class SwitchesReply(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    switches: list[Switch]
    truncated: bool = False
    """Whether older ones were left out, for ``limit`` or the size of the reply."""
