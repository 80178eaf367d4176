"""Good, warning or critical: the console's table of cards as pure functions. Pages and API judge by these alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from runbook.web.observed import STALE_S

Verdict = Literal["good", "warning", "critical", "neutral", "stale"]
"""``neutral``: the market is closed, or there is nothing to judge. ``stale``: too old to be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where a figure changes its verdict. None: this verdict has no figure of its own."""

    good: float | None
    """``better`` says on which side of it a figure is good."""
    warning: float | None
    """Beyond ``good`` and up to here it is a warning; beyond it is critical."""
    better: Literal["higher", "lower"]
    included: bool
    """Whether a figure that is exactly the threshold is on the better side."""


COVERAGE: Final = Thresholds(good=1.0, warning=0.995, better="higher", included=True)
"""Ratio. Source: the operators' contract, §4: pass at 0.995, green at 1.0 only."""
LATENCY_MS: Final = Thresholds(good=10.0, warning=100.0, better="lower", included=False)
FAILOVER_MS: Final = Thresholds(good=1_000.0, warning=5_000.0, better="lower", included=False)
BACKLOG: Final = Thresholds(good=500.0, warning=2_000.0, better="lower", included=False)
"""Messages that wait for the slowest consumer."""

_BAND: Final = 0.5
"""Below this share of the usual rate the throughput is a warning."""
_LEAST: Final = 30
"""Points without which nothing is usual yet."""


def throughput_thresholds(usual: float | None) -> Thresholds:
    """Good from half of the usual rate on; above 0 a warning, 0 is critical."""
    good = None if usual is None else usual * _BAND
    return Thresholds(good=good, warning=0.0, better="higher", included=True)


def graded(value: float, thresholds: Thresholds) -> Verdict:
    """A figure against its thresholds, whatever the market does."""
    if _within(value, thresholds.good, thresholds):
        return "good"
    return "warning" if _within(value, thresholds.warning, thresholds) else "critical"


def judged(value: float | None, thresholds: Thresholds, *, age_s: float | None, trading: bool) -> Verdict:
    """A card's verdict. ``age_s`` is None for what was never measured; ``trading``: whether a market is open.

    What is too old is stale, open or closed; what is there and cannot be judged (closed, no value) is neutral.
    """
    if (special := _special(age_s, trading=trading)) is not None:
        return special
    return "neutral" if value is None else graded(value, thresholds)


def throughput(
    rate: float | None, usual: float | None, *, age_s: float | None, trading: bool, pause: bool = False
) -> Verdict:
    """Ticks a second. ``usual`` is None while nothing is known to compare with; ``pause``: a break of the session."""
    if (special := _special(age_s, trading=trading)) is not None:
        return special
    if rate is None or pause:
        return "neutral"
    if rate <= 0:
        return "critical"
    return "warning" if usual is not None and rate < usual * _BAND else "good"


def gaps(count: int | None, still_open: int, *, age_s: float | None, trading: bool) -> Verdict:
    """Gaps of the trading day: none, all with an end, or one that is open now."""
    if (special := _special(age_s, trading=trading)) is not None:
        return special
    if count is None:
        return "neutral"
    if still_open:
        return "critical"
    return "warning" if count else "good"


def usual(rates: Sequence[float]) -> float | None:
    """The usual rate: the median of what was seen in this part of the session; None with too few points."""
    return median(rates) if len(rates) >= _LEAST else None


def _special(age_s: float | None, *, trading: bool) -> Verdict | None:
    if age_s is None or age_s > STALE_S:
        return "stale"
    return None if trading else "neutral"


def _within(value: float, limit: float | None, thresholds: Thresholds) -> bool:
    if limit is None:
        return True
    if value == limit:
        return thresholds.included
    return value > limit if thresholds.better == "higher" else value < limit
