"""What the ledger writes down: values only.

A gap has two intervals that are not the same. *Coverage*, ``start_ns`` to ``end_ns``: no line was up with the contract
confirmed, cut to the open and auction phases of one session. *Evidence*, ``before`` to ``after``: the last tick that
was published before it and the first one after it. Whatever the market did between those two ticks, nobody saw it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from gateway.errors import FeedgateError
from gateway.model import Instrument

OPENED, CLOSED, MEASURED = "opened", "closed", "measured"


class LedgerError(FeedgateError):
    """The gap ledger cannot be opened or read."""

    code = "ledger"
    exit_code = 11


class Seen(msgspec.Struct, frozen=True):
    """A tick as evidence."""

    recv_ns: int
    trading_day: int
    volume: int
    """Cumulative in its trading day."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """One contract without any line, in one session of one trading day. ``None``: not known (yet)."""

    id: str
    """Unique in a ledger: start of the gateway in Unix milliseconds, a dash, a number."""
    feed: str
    instrument: str
    trading_day: int
    session: str
    """``day`` or ``night``"""
    outage_ns: int
    """When the last line was lost; the same for all contracts that one event took. May lie before ``start_ns``."""
    start_ns: int
    end_ns: int | None = None
    open_ns: int | None = None
    """Time between start and end without the breaks."""
    reason: str = ""
    """Why the last line that carried it stopped."""
    lines: dict[str, str] = {}
    """Every line of the feed → why it does not carry the contract, as of the start."""
    ending: str = ""
    """``covered``, ``session over``, ``no longer wanted`` or ``feed removed``; empty while open."""
    before: Seen | None = None
    after: Seen | None = None
    skipped: int = 0
    """Ticks published between the first one after the gap and ``after``. Not 0: ``lost_volume`` is an upper bound."""
    lost_volume: int | None = None

    @property
    def closed(self) -> bool:
        return self.end_ns is not None


class GapEvent(NamedTuple):
    """One appended row, and what is told to the world."""

    kind: str
    """``opened``, then ``closed``; ``measured`` when the first tick came only after the closing."""
    at_ns: int
    gap: Gap


def lost_volume(before: Seen | None, after: Seen | None, trading_day: int) -> int | None:
    """Contracts traded between two ticks, for a gap of ``trading_day``; None when the ticks cannot say.

    The cumulative volume begins anew with the trading day, so a ``before`` of an earlier one counts as 0. A volume
    that goes back is no evidence.
    """
    if after is None:
        return None
    if before is not None and before.trading_day == after.trading_day:
        lost = after.volume - before.volume
        return lost if lost >= 0 else None
    if after.trading_day != trading_day or (before is not None and before.trading_day > trading_day):
        return None
    if before is None:
        return 0 if after.volume == 0 else None
    return after.volume


class Watched(NamedTuple):
    """The ledger kept watch over a feed in a session; not that every contract was covered."""

    feed: str
    trading_day: int
    session: str
    from_ns: int
    to_ns: int
    contracts: int


class Mark(NamedTuple):
    """Sign of life of a gateway, written about every second."""

    alive_ns: int
    wanted: Mapping[str, frozenset[Instrument]]
    """By feed. A set that did not change must be the same object."""
    watched: tuple[Watched, ...] = ()
    clean: bool = False
    """The last one of an orderly stop."""


class Past(NamedTuple):
    """What the ledger's file says about the gateway that wrote it last."""

    alive_ns: int
    clean: bool
    wanted: Mapping[str, frozenset[Instrument]]
    open_gaps: tuple[Gap, ...]
    told: Mapping[tuple[str, Instrument], int]
    """(feed, instrument) → end of what was closed after the last sign of life; nothing before it is told again."""


class StoreHealth(NamedTuple):
    """Whether what is put is on the disk."""

    degraded: bool = False
    reason: str = ""
    failures: int = 0
    """Writes that failed and are tried again."""
    waiting: int = 0
    """Rows in memory."""
    written: int = 0
    lost: int = 0
    """Rows that the bounded queue had to refuse; the ledger says so itself once it can write again."""
