"""What is carried: the last ticks, the catalogue, and the subscriptions."""

from __future__ import annotations

import enum

import msgspec

from gateway.control.messages.fields import MAX_LIMIT, Cursor, Limit, Patterns
from gateway.model import Contract


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
    """Ticks exactly as they were published: msgpack arrays in a msgpack map, or JSON objects in JSON.

    A codec of the gateway's program, with a name of its own, travels as binary strings in a msgpack map.
    """

    epoch: int
    """When it changes between two pages, the gateway was restarted: begin again without a cursor."""
    codec: str
    cursor: int | None
    ticks: list[msgspec.Raw]


class ContractsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The catalogue, as far as it matches; of one feed, or of all (None)."""

    feed: str | None = None
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
    """Looked up in the catalogue (``unsubscribe``: among what is wanted)."""


class SubscribeReply(msgspec.Struct, frozen=True, kw_only=True):
    """``accepted`` means taken over, not yet confirmed by a vendor: ``subscriptions`` tells how it went."""

    accepted: int
    unknown: int
    accepted_names: list[str]
    unknown_names: list[str]
    """Names that no contract has, and patterns that match none."""
    truncated: bool = False
    """Whether a list of names was cut for the size of the reply; the counts are always whole."""
