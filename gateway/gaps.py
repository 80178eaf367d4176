"""The values of the gap ledger, and what the gateway asks of whoever keeps it.

A gap has two intervals that are not the same. *Coverage*, ``start_ns`` to ``end_ns``: no line was up with the contract
confirmed, cut to the open and auction phases of one session. *Evidence*, ``before`` to ``after``: the last tick that
was published before it and the first one after it. Whatever the market did between those two ticks, nobody saw it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from gateway.model import Instrument


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GapDay:
    """What a ledger knows about a trading day."""

    trading_day: int
    gaps: tuple[Gap, ...]
    """By start, then contract; each as its latest row says. ``end_ns`` is None for one that is open, or that was open
    when its gateway went away."""
    watched: tuple[Watched, ...]
    """Where gaps would have been noticed. Outside of it nothing is known."""
    notes: tuple[tuple[int, str], ...]
    """``(at_ns, text)``: rows that are missing, clock steps. Between the first and the last watched moment."""

    @property
    def known(self) -> bool:
        """Whether the ledger can say anything about the day."""
        return bool(self.gaps or self.watched)


class LedgerStore(Protocol):
    """Keeps the gap ledger. The gateway's own is a file (``gateway.flow.gapstore.GapStore``).

    ``put``, ``note`` and ``mark`` are called on the loop, return at once and never raise: a store that cannot write
    keeps what it can, counts what it loses and says so in ``health``. Rows are kept in the order of putting, a mark
    never before the rows that were put before it.
    """

    @property
    def past(self) -> Past | None:
        """What the run before left; None when there was none or it cannot be told. Asked for after :meth:`start`."""

    @property
    def health(self) -> StoreHealth:
        """As of now. Asked for every second."""

    async def start(self) -> None:
        """Open. Raises LedgerError, and the gateway does not start."""

    def put(self, event: GapEvent) -> None:
        """Append a row. The rows of one gap have one ``id``; the last one counts."""

    def note(self, text: str) -> None:
        """Append a sentence that readers of the ledger must know, with the time."""

    def mark(self, mark: Mark) -> None:
        """Sign of life, about every second; the latest one is the next run's ``past``, together with the open gaps."""

    async def flushed(self) -> None:
        """Return when everything put before is kept for good. The gateway waits for it with a limit, and cancels."""

    async def day(self, trading_day: int | None, feed: str | None) -> GapDay:
        """The gaps of a trading day, of the latest one known when None. Raises LedgerError."""

    async def aclose(self) -> None:
        """Keep what waits, give everything back. Idempotent."""
