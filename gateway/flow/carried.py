"""What each feed should carry and which line does: the state behind the ledger. No decisions, no I/O."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from gateway.calendar import product_of
from gateway.clock import Clock
from gateway.flow.gaps import Gap, Seen, Watched
from gateway.flow.phases import Hours, Phases
from gateway.model import Instrument, LineId


class Stream(Protocol):
    """What the ledger reads of a published stream (flow.topics.Topic)."""

    instrument: Instrument
    seq: int
    recv_ns: int
    payload: bytes


class Contract:
    """A wanted contract."""

    __slots__ = ("after", "feed", "group", "instrument", "left_ns", "lines", "outage", "product", "sole", "stream")

    def __init__(self, feed: Feed, group: Group, instrument: Instrument, lines: int) -> None:
        self.feed = feed
        self.group = group
        self.instrument = instrument
        self.product = (instrument.exchange, product_of(instrument) or instrument.exchange)
        self.lines = lines
        """The lines that cover it, a bit each."""
        self.left_ns = 0
        """No loss of coverage can be older than this."""
        self.sole: tuple[int, int, int | None] = (0, 0, None)
        """The line that covered it last all alone (its bit), since when, and until when (None: still)."""
        self.outage: Outage | None = None
        self.after: Aftermath | None = None
        self.stream: Stream | None = None


class Outage:
    """No line covers the contract. In a break or out of session there is no gap (yet)."""

    __slots__ = ("before", "cursor_ns", "cut", "gap", "payload", "reached_ns", "reason", "seq", "since_ns")

    def __init__(self, since_ns: int, reason: str, gap: Gap | None = None) -> None:
        self.since_ns = since_ns
        self.reason = reason
        self.gap = gap
        """The open one."""
        self.cut: Gap | None = None
        """The last one that the end of a session closed."""
        self.cursor_ns = self.reached_ns = since_ns
        """Looked at the rules up to here; last open or auction moment so far."""
        self.before: Seen | None = None
        self.payload = b""
        self.seq = 0


class Aftermath:
    """Covered again, and no tick seen since."""

    __slots__ = ("closed", "deadline", "gap", "seq")

    def __init__(self, gap: Gap, seq: int, deadline: float, *, closed: bool) -> None:
        self.gap = gap
        self.seq = seq
        self.deadline = deadline
        self.closed = closed
        """Its closing is written; a tick only adds the evidence."""


class Group:
    """Contracts of one feed with the same session rules."""

    def __init__(self, hours: Hours, now: int) -> None:
        self.hours = hours
        self.stretch = hours.at(now)
        self.contracts: dict[Contract, None] = {}
        self.uncovered: dict[Contract, None] = {}


class Feed:
    """What a feed should carry, and what its lines do carry."""

    def __init__(self, name: str, phases: Phases, clock: Clock) -> None:
        self.name = name
        self.wanted: frozenset[Instrument] = frozenset()
        self.contracts: dict[Instrument, Contract] = {}
        self.groups: dict[Hashable, Group] = {}
        self.carried: dict[LineId, dict[Instrument, None]] = {}
        """Confirmed, by line, wanted or not."""
        self.reasons: dict[LineId, str] = {}
        """Why a line is down."""
        self.refusals: dict[LineId, dict[Instrument, str]] = {}
        """Why a line that is up does not carry a contract."""
        self._phases = phases
        self._clock = clock
        self._bits: dict[LineId, int] = {}
        self._watched_from: dict[tuple[int, str], int] = {}

    def bit(self, line: LineId) -> int:
        return self._bits.setdefault(line, 1 << len(self._bits))

    def add(self, instrument: Instrument, kin: Hashable) -> Contract:
        """The contract, made when it is new."""
        contract = self.contracts.get(instrument)
        if contract is None:
            group = self.groups.get(kin)
            if group is None:
                group = self.groups[kin] = Group(Hours(self._phases, instrument), self._clock.wall_ns())
            lines = sum(self.bit(line) for line, carried in self.carried.items() if instrument in carried)
            contract = self.contracts[instrument] = Contract(self, group, instrument, lines)
            group.contracts[contract] = None
        return contract

    def drop(self, instrument: Instrument) -> Contract | None:
        """Forget a contract; the caller ends its outage."""
        contract = self.contracts.pop(instrument, None)
        if contract is not None:
            contract.group.contracts.pop(contract, None)
        return contract

    def lines_down(self, instrument: Instrument) -> dict[str, str]:
        """Every line of the feed that was heard of → why it does not carry the contract."""
        unknown = "not yet confirmed"
        return {
            str(line): self.refusals.get(line, {}).get(instrument) or self.reasons.get(line) or unknown
            for line in self._bits
        }

    def watched(self, now: int) -> list[Watched]:
        """The sessions that run now, and since when this gateway keeps watch in them."""
        counts: dict[tuple[int, str], int] = {}
        for group in self.groups.values():
            stretch = group.hours.at(now)
            if stretch.phase != "closed" and group.contracts:
                key = (stretch.trading_day, stretch.session)
                counts[key] = counts.get(key, 0) + len(group.contracts)
        self._watched_from = {key: self._watched_from.get(key, now) for key in counts}
        return [Watched(self.name, *key, self._watched_from[key], now, count) for key, count in counts.items()]
