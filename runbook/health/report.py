"""The health report. Source of its fields and exit codes: the operators' contract, §2 and §5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from runbook.model import Exit

Severity = Literal["notice", "warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StalledContract:
    """A contract that the gateway says should have ticked by now. Only in session; a quiet one is none."""

    symbol: str
    last_tick_at: str | None
    """RFC 3339 with +08:00; None: the gateway has no last tick of it although it says that it stalled."""
    lag_seconds: float | None
    severity: Severity
    """By the limits; ``notice`` is below both of them."""

    def as_json(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "last_tick_at": self.last_tick_at,
            "lag_seconds": self.lag_seconds,
            "severity": self.severity,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPart:
    """One feed. The totals are whole, also where the gateway could not list every name."""

    feed: str
    session: str
    at: str
    """RFC 3339 with +08:00: the gateway's own clock."""
    active_line: str | None
    expected_total: int
    """Wanted by the settings or by a consumer."""
    active_total: int
    """On a line that is up, wanted or not."""
    matched_total: int
    """Both."""
    ticking_total: int
    quiet_total: int
    """Silent, and that is as it should be: never traded today, a break, its own history."""
    missing: Mapping[str, str]
    """Symbol → why it is not carried, as far as that is known."""
    unexpected: tuple[str, ...]
    stalled: tuple[StalledContract, ...]
    lines: tuple[Mapping[str, Any], ...]

    @property
    def coverage_ratio(self) -> float | None:
        """``matched / expected``; None while nothing is expected."""
        return self.matched_total / self.expected_total if self.expected_total else None

    def as_json(self) -> dict[str, Any]:
        return {
            "feed": self.feed,
            "session": self.session,
            "at": self.at,
            "active_line": self.active_line,
            "coverage_ratio": self.coverage_ratio,
            "expected_total": self.expected_total,
            "active_total": self.active_total,
            "matched_total": self.matched_total,
            "ticking_total": self.ticking_total,
            "quiet_total": self.quiet_total,
            "missing": [{"symbol": name, "why": why} for name, why in self.missing.items()],
            "unexpected_contracts": list(self.unexpected),
            "stalled_contracts": [one.as_json() for one in self.stalled],
            "lines": [dict(line) for line in self.lines],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """What was measured and judged. ``exit_code`` follows coverage, stalls and errors; other warnings are remarks."""

    feeds: tuple[FeedPart, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    exit_code: int = Exit.ERROR
    remediation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether a gateway was asked and answered."""
        return bool(self.feeds)

    @property
    def session(self) -> str:
        """The one that a feed is in, ``closed`` when none is, ``unknown`` when nobody answered."""
        sessions = [feed.session for feed in self.feeds] or ["unknown"]
        return next((one for one in sessions if one != "closed"), "closed")

    @property
    def expected_total(self) -> int:
        return sum(feed.expected_total for feed in self.feeds)

    @property
    def active_total(self) -> int:
        return sum(feed.active_total for feed in self.feeds)

    @property
    def matched_total(self) -> int:
        return sum(feed.matched_total for feed in self.feeds)

    @property
    def coverage_ratio(self) -> float | None:
        """Over all feeds; None when it could not be measured or nothing is expected."""
        return self.matched_total / self.expected_total if self.expected_total else None

    @property
    def missing_contracts(self) -> list[str]:
        return [name for feed in self.feeds for name in feed.missing]

    @property
    def unexpected_contracts(self) -> list[str]:
        return [name for feed in self.feeds for name in feed.unexpected]

    @property
    def stalled_contracts(self) -> list[StalledContract]:
        return [one for feed in self.feeds for one in feed.stalled]

    def with_warning(self, text: str, *, at_least: int = Exit.OK) -> HealthReport:
        """The same with one more warning, and an exit code that is not below ``at_least``."""
        if at_least > self.exit_code:  # the reason of the code comes first
            return replace(self, warnings=(text, *self.warnings), exit_code=at_least)
        return replace(self, warnings=(*self.warnings, text))

    def as_json(self) -> dict[str, Any]:
        """The fields of the contract, in its order, then the feeds."""
        return {
            "coverage_ratio": self.coverage_ratio,
            "expected_total": self.expected_total,
            "active_total": self.active_total,
            "matched_total": self.matched_total,
            "missing_contracts": self.missing_contracts,
            "unexpected_contracts": self.unexpected_contracts,
            "stalled_contracts": [one.as_json() for one in self.stalled_contracts],
            "warnings": list(self.warnings),
            "errors": list(self.errors),
            "exit_code": int(self.exit_code),
            "remediation": dict(self.remediation),
            "feeds": [feed.as_json() for feed in self.feeds],
        }
