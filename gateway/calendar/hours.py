"""The vocabulary of the session tables: spans of a day in minutes, and what held for a product since when.

Minutes count from midnight, Shanghai, of the day on which a span begins: 1260 is 21:00, 1590 is 02:30 of the next
morning. The tables themselves are in ``commodity`` and ``financial``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final


class WindowKind(enum.StrEnum):
    """What the exchange does in a stretch of time."""

    AUCTION = "auction"
    """Call auction, orders come in. No trades; CTP sends at most a snapshot."""
    MATCH = "match"
    """The auction is matched: one snapshot with the price that it found."""
    CONTINUOUS = "continuous"
    BREAK = "break"
    """Inside a session, without trading: 10:15, lunch, the pause after the stock options' auction."""


class Phase(enum.StrEnum):
    """Where a product stands at a moment: closed → auction → open → break → open → closed."""

    CLOSED = "closed"
    AUCTION = "auction"
    OPEN = "open"
    BREAK = "break"


PHASE_OF: Final = {
    WindowKind.AUCTION: Phase.AUCTION,
    WindowKind.MATCH: Phase.AUCTION,
    WindowKind.CONTINUOUS: Phase.OPEN,
    WindowKind.BREAK: Phase.BREAK,
}


def minutes(clock: str) -> int:
    """``"21:00"`` → 1260; hours from 24 on are the next morning (``"26:30"``)."""
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


@dataclass(frozen=True, slots=True)
class Span:
    """``[opens, closes)`` in minutes."""

    kind: WindowKind
    opens: int
    closes: int


def spans(text: str) -> tuple[Span, ...]:
    """Read ``"auction 8:55 match 8:59 continuous 9:00 end 10:15"``: each span lasts until the next begins."""
    words = text.split()
    marks = [(words[i], minutes(words[i + 1])) for i in range(0, len(words), 2)]
    return tuple(Span(WindowKind(kind), opens, closes) for (kind, opens), (_, closes) in pairwise(marks))


@dataclass(frozen=True, slots=True)
class Hours:
    """A product's hours from the trading day ``since`` until the next entry of its history."""

    since: date
    opening: tuple[Span, ...]
    """The call auction before the day session: held when no night session came before."""
    day: tuple[Span, ...]
    """From the first trade of the day session to its end, breaks included, without holes."""
    night_ends: int | None = None
    """Minutes after the midnight before the evening; None: no night session."""
    morning_auction: bool = False
    """``opening`` is held after a night session, too."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product and its hours, oldest first. Its options trade in the same hours unless they are a product."""

    exchange: str
    code: str
    history: tuple[Hours, ...]

    def hours(self, trading_day: date) -> Hours | None:
        """What holds on a trading day; None before the history begins."""
        return next((hours for hours in reversed(self.history) if hours.since <= trading_day), None)


NIGHT_OPENING: Final = spans("auction 20:55 match 20:59 end 21:00")
NIGHT_OPENS: Final = minutes("21:00")
"""The same for every product with a night session: orders 20:55-20:59, matching until 21:00, then trading (rules on
continuous trading of SHFE and INE, night trading of DCE and CZCE; recorded 2017-04-13: matched at 20:59:00, trades from
21:00:00)."""

TABLES_BEGIN: Final = date(2017, 1, 3)
"""Hours of earlier trading days are not in the tables."""
