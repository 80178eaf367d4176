"""When a line is no longer believed, and when it is again. Counts, never clocks: a calm market accuses nobody.

Two kinds of evidence. *Strikes* are facts that an honest line cannot produce, whoever else is up: a price outside the
contract's daily limits, the day's volume going back, a book that stands still while another line's moves, bytes that
are no tick. *Loneliness* needs at least three lines: this one is contradicted time and again, while the others go on
bringing the same snapshots.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from gateway.codec import MsgpackCodec
from gateway.errors import WireError
from gateway.flow.window import Contract, Face
from gateway.model import LineId, Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbiterRules:
    """Tolerances. Each default says what it was chosen against."""

    window: int = 8
    """Snapshots kept per contract, at least (at most twice as many): 4 seconds of a line's lag at CTP's two a second,
    and about 200 MB at 30,000 busy contracts. The copies of a line that lags more are called *late*, no more; snapshots
    that share the newest key are kept longer (8 times as many)."""
    check_every: int = 16
    """One of so many published ticks of a line is decoded and held against the daily limits: decoding costs as much
    as ten copies, and a line that lies does so on more than one tick."""
    strikes: int = 5
    """So many strikes make a suspect: one broken record is dropped, not the line."""
    strike_span: int = 2_000
    """Ticks of the line in which these strikes must fall."""
    frozen_ticks: int = 20
    """A line is frozen in a contract when it brought the same book so many times in a row (10 s at CTP's pace)…"""
    frozen_moves: int = 5
    """… while another line's book of this contract changed so often."""
    lonely_ticks: int = 100
    """Contradictions without one agreement, and agreements of other lines in the same time. Honest lines that lose
    one tick in a hundred are never contradicted more than a few times in a row."""
    trust_after: int = 200
    """Agreements that a suspect needs to be believed again, with at most a tenth as many ticks that nobody confirms."""
    order_probation: int = 10_000
    """For so many ticks after a line went back behind itself, its returns to an earlier book are not believed: they
    look like a tick that was overtaken."""
    withdraw_after: int = 8
    """A newest snapshot is taken back when the line that brought it goes on behind it for so many ticks and nobody
    else confirms it: one tick with a day or a time far ahead must not silence a contract."""
    stale_night_s: int = 3_600
    """A volume that falls under a stamp so much later is one of CZCE's night snapshots, dated a day late; with a
    smaller step it is a volume going back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbiterEvent:
    """Something that operators should see."""

    kind: str
    """``suspect``, ``trusted`` or ``withdrawn`` (one published snapshot was refuted)."""
    line: LineId
    reason: str
    """``limits``, ``volume_back``, ``frozen``, ``malformed``, ``lonely``; for ``trusted`` the former one."""
    contract: str = ""
    """Where it showed, the last time."""


class LineRecord:
    """What the arbiter knows of one line."""

    __slots__ = (
        "agreed", "countdown", "dropped", "first", "id", "index", "lonely", "mark", "ordered_from", "published",
        "reason", "strikes", "suspect", "ticks", "unconfirmed", "up",
    )  # fmt: skip

    def __init__(self, line: LineId, index: int, rules: ArbiterRules, dropped: Counter[str]) -> None:
        self.id = line
        self.index = index
        self.dropped = dropped
        self.ticks = self.published = self.first = 0
        self.up = True
        self.suspect = False
        self.reason = ""
        self.strikes: deque[int] = deque(maxlen=rules.strikes)
        """``ticks`` at the last strikes."""
        self.countdown = 1
        """Published ticks until the next one is decoded."""
        self.lonely = 0
        self.mark = 0
        """All agreements of the feed when this line last agreed with anybody."""
        self.ordered_from = 0
        """The line counts as being in order once ``ticks`` has reached this."""
        self.agreed = self.unconfirmed = 0
        """Of a suspect, since its last offence."""

    def clear(self) -> None:
        """Nothing is held against it any more."""
        self.suspect = False
        self.strikes.clear()
        self.lonely = self.agreed = self.unconfirmed = 0
        self.countdown = 1


_codec: Final = MsgpackCodec()
_payload = _codec.origin(0, "", "").payload
_EXACT: Final = 1e-9
"""Limits are prices themselves, so only the rounding of floats is forgiven (relative)."""


def decode(market: bytes) -> Tick | None:
    """The tick of market bytes, or None when they are none."""
    try:
        return _codec.decode(_payload(0, 0, market))
    except WireError:
        return None


def limits_of(tick: Tick) -> tuple[int, float, float] | None:
    """``(trading_day, lower, upper)`` that a tick claims; None when it claims none that mean anything."""
    lower, upper = tick.lower_limit, tick.upper_limit
    if lower is None or upper is None or not lower < upper:
        return None
    return tick.trading_day, lower, upper


def within(tick: Tick, limits: tuple[int, float, float] | None) -> bool:
    """Whether the tick's last price and best quotes are inside these limits of its own trading day.

    Before the first trade ``last`` may be yesterday's close, which today's limits do not bind.
    """
    if limits is None or limits[0] != tick.trading_day:
        return True
    lower = limits[1] - _EXACT * abs(limits[1])
    upper = limits[2] + _EXACT * abs(limits[2])
    last = tick.last if tick.volume else None
    bid, ask = tick.bid, tick.ask
    return (
        (last is None or lower <= last <= upper)
        and (bid is None or lower <= bid <= upper)
        and (ask is None or lower <= ask <= upper)
    )


def fault_of(contract: Contract, tick: Tick | None, *, alone: bool) -> str | None:
    """What is wrong with a decoded tick by itself: ``malformed``, ``limits``, or nothing.

    The limits that a line claimed first on a trading day hold for all lines, so that one that scales prices and
    limits alike is caught, too. ``alone``: no line is left that could contradict, so its claim is taken.
    """
    if tick is None:
        return "malformed"
    claimed = limits_of(tick)
    known = contract.limits
    if not within(tick, claimed):
        return "limits"
    if claimed == known:
        return None
    if claimed and tick.volume and (alone or known is None or known[0] < claimed[0]):
        # before the first trade a counter may still show yesterday's limits
        contract.limits = claimed
    return None if within(tick, contract.limits) else "limits"


def stands_still(contract: Contract, line: int, tick: Tick, rules: ArbiterRules) -> bool:
    """Whether the line showed this very book too often in a row, at moments when another line contradicted it.

    Called with both sides of every contradiction.
    """
    book = (tick.last, tick.bid_prices, tick.bid_volumes, tick.ask_prices, tick.ask_volumes)
    face = contract.faces.get(line)
    if face is None or contract.total - face.position > 2 * rules.frozen_ticks:
        # contradictions that lie so far apart are what two lines with losses have now and then
        contract.faces[line] = Face(book, contract.total)
        return False
    face.position = contract.total
    if face.book != book:
        face.book = book
        face.same = 0
        face.changes += 1
        return False
    face.same += 1
    if face.same == 1:
        for other, its in contract.faces.items():
            if other != line:
                its.changes = 0
    return face.same >= rules.frozen_ticks and any(
        its.changes >= rules.frozen_moves for other, its in contract.faces.items() if other != line
    )
