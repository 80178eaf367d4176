"""What is known of a gateway at one moment: its answers as they came, each with its own moment. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.control.events import Switch
from gateway.control.figures import Figures
from gateway.control.messages.reports import FeedCoverage, GapsReply, StatusReply

PARTS: Final = ("status", "figures", "coverage", "switches", "gaps")
"""Asked for each in its own time, and kept each for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The last good answer of each part (None or empty: there was none), and why one is missing or old."""

    at_ns: int
    """Of this look, Unix nanoseconds."""
    name: str
    """The gateway's."""
    had_at_ns: Mapping[str, int] = field(default_factory=dict)
    """Part → when its answer came, Unix nanoseconds. A part that is not here never answered."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Part → why its last question failed; ``gateway``: why there is no connection."""
    status: StatusReply | None = None
    figures: Figures | None = None
    coverage: tuple[FeedCoverage, ...] = ()
    """With products."""
    switches: tuple[Switch, ...] = ()
    """Newest first."""
    gaps: GapsReply | None = None
    """Of the latest trading day that the ledger knows; the totals are whole, the list is not."""
    rates: tuple[float, ...] = ()
    """Ticks published a second, as each answer of ``figures`` said, oldest first: a minute at most."""
    before: Figures | None = None
    """The oldest answer of the same gateway within the last minute, to tell shares by. None: there is only one."""

    def age_s(self, part: str) -> float | None:
        """Seconds since its answer; None: it never came."""
        had = self.had_at_ns.get(part)
        return None if had is None else max(0.0, (self.at_ns - had) / 1e9)
