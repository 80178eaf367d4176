"""What is said over the control subjects ``md.ctl.<name>.<endpoint>``: requests and replies.

Requests are JSON objects; an empty payload is the request with all defaults. A field that a request does not
have is refused: a typing error is not taken for a default. Replies are JSON objects, except that ``last``
answers in the gateway's codec. Readers of replies must ignore fields that they do not know: replies may grow.

Long answers come in pages: a reply carries ``cursor``, to be sent with the next request, or null at the end.

Orders (``failover``, ``failback``, ``failover_required``, ``restart_line``) want a ``reason`` in words, which goes into
logs, events and records: runs of white space become one blank, other control characters are refused.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from gateway.control.events import Switch
from gateway.flow.gapjson import GapRow, GapTotals, NoteRow, WatchedRow
from gateway.model import Contract, LineStatus

ENDPOINTS = (
    *("last", "contracts", "subscriptions", "subscribe", "unsubscribe", "status", "figures"),
    *("failover", "failback", "failover_required", "restart_line", "rotate"),
    *("coverage", "gaps", "switches"),
)

MAX_LIMIT = 100_000

Cursor = Annotated[int, msgspec.Meta(ge=0)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)]
Patterns = tuple[str, ...]
"""Shell globs over ``EXCHANGE.CODE``: ``SHFE.rb*``; a bare ``*`` is everything."""
Words = Annotated[str, msgspec.Meta(max_length=1000)]
Operator = Annotated[str, msgspec.Meta(max_length=200)]
"""Who asks, for the gateway's log; may be empty."""


class SubscriptionState(enum.StrEnum):
    """How far the subscription of one instrument on one line has come."""

    WANTED = "wanted"
    """Not asked for yet: the line is down, or the rate limit holds it back."""
    PENDING = "pending"
    """Asked for, not answered yet."""
    CONFIRMED = "confirmed"
    FAILED = "failed"
    """Refused by the vendor, or given up; the reason says which."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument on one line."""

    line: str
    instrument: str
    """``SHFE.rb2510``"""
    state: SubscriptionState
    reason: str = ""
    """The vendor's words when ``failed``."""


class LastRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last tick of each instrument that matches."""

    patterns: Patterns = ("*",)
    cursor: Cursor = 0
    limit: Limit = MAX_LIMIT
    """At most so many a page; the size of a reply bounds it too."""


class LastReply(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks exactly as they were published: msgpack arrays in a msgpack map, or JSON objects in JSON."""

    epoch: int
    """When it changes between two pages, the gateway was restarted: begin again without a cursor."""
    codec: str
    cursor: int | None
    ticks: list[msgspec.Raw]


class ContractsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The catalogue, as far as it matches."""

    patterns: Patterns = ("*",)
    cursor: Cursor = 0
    limit: Limit = MAX_LIMIT


class ContractsReply(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the catalogue, in its own order."""

    contracts: list[Contract]
    cursor: int | None


class SubscriptionsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the subscriptions stand. No line means all lines, no states means all states."""

    line: str | None = None
    patterns: Patterns = ("*",)
    states: tuple[SubscriptionState, ...] = ()
    cursor: Cursor = 0
    limit: Limit = MAX_LIMIT


class LineCounts(msgspec.Struct, frozen=True, kw_only=True):
    """One line in numbers; ``wanted`` is all of them, the others are parts of it."""

    line: str
    wanted: int
    pending: int
    confirmed: int
    failed: int


class SubscriptionsReply(msgspec.Struct, frozen=True, kw_only=True):
    """Lines in numbers, and a page of their subscriptions."""

    lines: list[LineCounts]
    """Whole lines, whatever was filtered; on every page."""
    subscriptions: list[Subscription]
    cursor: int | None


class SubscribeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For ``subscribe`` and ``unsubscribe``. One of the two fields must say something."""

    instruments: tuple[str, ...] = ()
    """Exact names, ``SHFE.rb2510``. Without a catalogue they are taken as they are."""
    patterns: Patterns = ()
    """Looked up in the catalogue (``unsubscribe``: among what is subscribed)."""


class SubscribeReply(msgspec.Struct, frozen=True, kw_only=True):
    """``accepted`` means taken over, not yet confirmed by a vendor: ``subscriptions`` tells how it went."""

    accepted: int
    unknown: int
    accepted_names: list[str]
    unknown_names: list[str]
    """Names that no contract has, and patterns that match none."""
    truncated: bool = False
    """Whether a list of names was cut for the size of the reply; the counts are always whole."""


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


class FailoverRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leave the preferred line. Answered by the Switch event when done or failed, which may take 20 s."""

    reason: Words
    feed: str | None = None
    """None: the only feed."""
    to: str | None = None
    """Name of a line, ``ctp:backup``. None: the one that the router would take next."""
    operator: Operator = ""


class FailbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Back to the first line of the feed's settings. Answered as :class:`FailoverRequest`."""

    reason: Words
    feed: str | None = None
    operator: Operator = ""


class RequireRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``failover_required``: the gateway is to leave the preferred line as soon as its rules allow."""

    reason: Words = ""
    """Must say something when ``value`` is above 0."""
    feed: str | None = None
    value: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Above 0 asks; 0 takes it back if it has not been done. The operators' contract, §4."""


class RestartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``restart_line``: end one line in an orderly way and start it anew."""

    line: str
    reason: Words
    operator: Operator = ""


class RotateRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``rotate``: one line logs in anew with credentials that the gateway looks up. No secret travels in it."""

    line: str
    references: dict[str, str]
    """``password`` and ``auth_code``, one or both, each as ``secret:STORE:PATH#KEY``."""
    reason: Words
    operator: Operator = ""


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rotation."""

    line: str
    ok: bool
    """False: the new credentials were refused, and the line has the old ones again."""
    verified: bool = False
    """Whether the counter accepted them. A parked line takes them unverified, until it is woken."""
    error: str = ""
    """In the vendor's words."""
    back: bool = False
    """After a refusal: whether the line is logged in with the old ones."""
    took_ms: float = 0.0
    wanted: int = 0
    confirmed: int = 0


class Done(msgspec.Struct, frozen=True):
    """An order was taken over; nothing else is to be said."""


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
