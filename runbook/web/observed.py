"""What the console knows of the gateway at one moment. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.control import FeedCoverage, GapsReply, StatusReply
from gateway.control.events import Switch
from gateway.control.figures import Figures
from runbook.drill.backlog import Backlog

STALE_S = 10.0
"""What is older says so, and never keeps showing green. Source: the console's design, States."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Where the trading day stands, by the calendar."""

    session: Literal["day", "night", "closed", "unknown"]
    """``unknown``: there is no calendar, or it ended."""
    trading_day: int | None = None
    """``YYYYMMDD``, of the session that is open or opens next."""
    changes_at_ns: int | None = None
    """When the session ends, or the next one begins. Unix nanoseconds."""
    next_session: str = ""
    """``day``, ``night`` or ``closed``: what begins then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One look. A part that could not be had is None (or empty), and ``problems`` says why in words.

    Each part has the moment it was had (``…_at_ns``, Unix nanoseconds, 0: never): parts are asked for at their own
    pace, and the last good one is kept, so that a page can say how old it is.
    """

    at_ns: int
    """Of this look."""
    reachable: bool
    """Whether the gateway answered this time."""
    problems: tuple[str, ...] = ()
    """Why a part is missing or old, one sentence each, the fix named."""
    market: Market = field(default_factory=lambda: Market(session="unknown"))
    status: StatusReply | None = None
    status_at_ns: int = 0
    figures: Figures | None = None
    figures_at_ns: int = 0
    coverage: tuple[FeedCoverage, ...] = ()
    """With products."""
    coverage_at_ns: int = 0
    switches: tuple[Switch, ...] = ()
    """Newest first."""
    switches_at_ns: int = 0
    gaps: GapsReply | None = None
    """Of the latest trading day that the ledger knows; the first page."""
    gaps_at_ns: int = 0
    backlog: Backlog | None = None
    """Messages that wait for consumers, by NATS itself."""
    backlog_at_ns: int = 0

    @property
    def trading(self) -> bool:
        """Whether any feed's market is in a session, by the feeds' own rules; by the calendar while unknown."""
        if self.status is not None and self.status.feeds:
            return any(feed.session != "closed" for feed in self.status.feeds)
        return self.market.session != "closed"

    def is_stale(self, had_at_ns: int) -> bool:
        """Whether what was had then is too old to be shown as good."""
        return self.at_ns - had_at_ns > STALE_S * 1e9
