"""Asks the running gateway how its subscriptions stand. Measures only; :mod:`runbook.health.judge` judges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.client import Client
from gateway.control import FeedCoverage, FeedStatus, StatusReply, Subscription, SubscriptionState
from gateway.model import LineId, LineStatus
from gateway.settings import Settings
from runbook.health.expected import configured

_BY_NAME = 200
"""Last ticks are asked for by name up to so many; of more, the gateway sends all it has in less time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedMeasure:
    """One feed. ``coverage`` is the gateway's own account; names add what it had no room to list."""

    status: FeedStatus
    coverage: FeedCoverage
    lines: tuple[LineStatus, ...]
    expected: frozenset[str]
    missing: dict[str, str]
    """Expected and on no line that is up, with the reason."""
    last_ns: dict[str, int]
    """Last tick of the stalled ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """All feeds of one gateway."""

    gateway: StatusReply
    feeds: tuple[FeedMeasure, ...]
    unmeasured: tuple[str, ...]
    """Feeds that run, and whose coverage the gateway did not tell."""
    absent: tuple[str, ...]
    """Feeds of the settings that the gateway does not run."""
    unknown: tuple[str, ...]
    """Feeds that run and are not in the settings: what they should carry is taken from the gateway itself."""


async def measure(client: Client, settings: Settings) -> Measure:
    """Ask everything once. Raises ControlError."""
    status = await client.status()
    coverage = {one.feed: one for one in await client.coverage()}
    rows = _by_feed((await client.subscriptions()).subscriptions)
    running = {feed.feed: feed for feed in status.feeds}
    wanted = {
        feed: {row.instrument for row in rows[feed]} | set(coverage[feed].missing)
        for feed in running
        if feed in coverage
    }
    contracts = {feed: await client.contracts(feed=feed) for feed in wanted}
    asked = configured(settings.feeds, contracts, wanted)
    last_ns = await _last(client, [name for one in coverage.values() for name in one.stalled])
    return Measure(
        gateway=status,
        feeds=tuple(
            _feed(
                running[feed],
                coverage[feed],
                [line for line in status.lines if LineId.parse(line.line).feed == feed],
                rows[feed],
                wanted[feed],
                asked[feed],
                last_ns,
            )
            for feed in wanted
        ),
        unmeasured=tuple(feed for feed in running if feed not in coverage),
        absent=tuple(feed for feed in settings.feeds if feed not in running),
        unknown=tuple(feed for feed in running if feed not in settings.feeds),
    )


def _by_feed(rows: Sequence[Subscription]) -> dict[str, list[Subscription]]:
    found: dict[str, list[Subscription]] = defaultdict(list)
    for row in rows:
        found[LineId.parse(row.line).feed].append(row)
    return found


async def _last(client: Client, names: Sequence[str]) -> dict[str, int]:
    if not names:
        return {}
    ticks = await client.last(*names) if len(names) <= _BY_NAME else await client.last()
    wanted = set(names)
    return {name: tick.recv_ns for tick in ticks if (name := f"{tick.exchange}.{tick.code}") in wanted}


def _feed(
    status: FeedStatus,
    coverage: FeedCoverage,
    lines: Sequence[LineStatus],
    rows: Sequence[Subscription],
    wanted: set[str],
    asked: set[str],
    last_ns: dict[str, int],
) -> FeedMeasure:
    confirmed = {row.instrument for row in rows if row.state is SubscriptionState.CONFIRMED}
    # a line that is silent in session still has its subscriptions, and carries nothing: the gateway's word counts
    active = confirmed - set(coverage.missing)
    expected = wanted | asked
    any_up = any(line.state.is_up for line in lines)
    refused = {row.instrument: row for row in rows if row.state is SubscriptionState.FAILED}
    underway = {row.instrument: row for row in rows if row.state is SubscriptionState.PENDING}

    def why(name: str) -> str:
        if name not in wanted:
            return "the settings want it, and the gateway is not asked for it"
        if not any_up:
            return "no line of the feed is up"
        if name in refused:
            return f"{refused[name].line}: {refused[name].reason}"
        if name in underway:
            return f"{underway[name].line}: asked for, not answered yet"
        return "its line is silent in session" if name in confirmed else "not asked for yet, or no line has room for it"

    return FeedMeasure(
        status=status,
        coverage=coverage,
        lines=tuple(lines),
        expected=frozenset(expected),
        missing={name: why(name) for name in sorted(expected - active)},
        last_ns={name: last_ns[name] for name in coverage.stalled if name in last_ns},
    )
