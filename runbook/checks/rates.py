"""Whether all contracts can be subscribed in time, at a rate that a counter bears."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.settings import FeedSettings, Settings
from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding

WHOLE_MARKET: Final = 20_000
"""Contracts assumed for a feed that says no number: all futures and options of the Chinese exchanges, rounded up."""
BEFORE_MARKET_S: Final = 600.0
"""From the latest start (08:45) to the checks (08:55). Source: the operators' contract, §8."""
_MINUTE_S: Final = 60.0
_MOST_PER_SECOND: Final = 10_000.0
_FEW_LOGINS: Final = 3
_MANY_LOGINS: Final = 30


def check(inspection: Inspection) -> Sequence[Finding]:
    """Arithmetic only: nothing is asked of a counter."""
    return tuple(_findings(inspection))


def contracts_of(feed: FeedSettings) -> tuple[int, str]:
    """How many contracts a line of the feed asks for, and where the number is from."""
    exact = [pattern for pattern in feed.instruments if not any(mark in pattern for mark in "*?[")]
    if exact and len(exact) == len(feed.instruments):
        return len(exact), "named in the settings"
    options: Any = feed.catalogue.options if feed.catalogue is not None else feed.options
    number = options.get("contracts")
    if isinstance(number, int) and number > 0:
        return number, "by its options"
    return WHOLE_MARKET, "assumed, the whole market"


def _findings(inspection: Inspection) -> Iterator[Finding]:
    settings = inspection.settings
    rules = settings.subscriptions
    for name, feed in settings.feeds.items():
        yield from _feed(inspection, settings, name, feed)
    if rules.per_second > _MOST_PER_SECOND:
        yield Finding.warning(
            f"RATE_LIMIT_SUBSCRIBE_PER_SECOND is {rules.per_second:g}, more than a counter is known to bear",
            "set RATE_LIMIT_SUBSCRIBE_PER_SECOND=2000",
        )
    if rules.login_per_minute < _FEW_LOGINS:
        yield Finding.warning(
            f"RATE_LIMIT_LOGIN_PER_MINUTE is {rules.login_per_minute}: after a failed login a line waits up to "
            f"{_MINUTE_S / rules.login_per_minute:.0f} s for the next",
            "set RATE_LIMIT_LOGIN_PER_MINUTE=6",
        )
    elif rules.login_per_minute > _MANY_LOGINS:
        yield Finding.warning(
            f"RATE_LIMIT_LOGIN_PER_MINUTE is {rules.login_per_minute}: a counter may lock the account for it",
            "set RATE_LIMIT_LOGIN_PER_MINUTE=6",
        )
    bound_s = settings.watch.bound_s
    if bound_s > _MINUTE_S:
        yield Finding.warning(
            f"MD_FAILOVER_THRESHOLD_SECONDS is {bound_s:g}: a dead line is borne longer than the operators' 60 s",
            "set MD_FAILOVER_THRESHOLD_SECONDS=60",
        )


def _feed(inspection: Inspection, settings: Settings, name: str, feed: FeedSettings) -> Iterator[Finding]:
    rules = settings.subscriptions
    contracts, source = contracts_of(feed)
    needs_s = max(0.0, contracts - rules.burst) / rules.per_second
    rate = f"{contracts} contracts of feed {name} ({source}) at {rules.per_second:g} a second take {needs_s:.0f} s"
    stage_s = inspection.runbook.start.stage_timeout_s
    enough = contracts / min(stage_s / 2, BEFORE_MARKET_S / 2)
    fix = f"set RATE_LIMIT_SUBSCRIBE_PER_SECOND={enough:.0f} or more"
    if needs_s > BEFORE_MARKET_S:
        yield Finding(inspection.serious, f"{rate}; between start and T-5 there are {BEFORE_MARKET_S:.0f} s", fix)
    elif needs_s > stage_s:
        yield Finding(
            inspection.serious,
            f"{rate}; each stage of the start has {stage_s:g} s",
            f"{fix}, or a longer RUNBOOK_START__STAGE_TIMEOUT_S",
        )
    else:
        yield Finding.ok(rate)
    limit = rules.per_login_limit
    if limit is not None and limit < contracts:
        yield Finding.warning(
            f"FEEDGATE_SUBSCRIPTIONS__PER_LOGIN_LIMIT is {limit}, and feed {name} has {contracts} contracts "
            f"({source}): {contracts - limit} of a line stay unsubscribed",
            "raise it, narrow [feeds] instruments, or split the feed over more accounts",
        )


CHECK = Check(name="rates", title="Rate limits", run=check, needs_accounts=True)
