"""What somebody should look at now, in words. States, not history: a warning goes away with its cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.model import LineState

if TYPE_CHECKING:
    from gateway.control.oversight import FeedWatch, Oversight


def warnings_of(oversight: Oversight) -> list[str]:
    """Worst first, one sentence each; empty when all is well. O(lines)."""
    return [
        *_uncovered(oversight),
        *(text for feed, watch in oversight.feeds.items() for text in _lines(feed, watch)),
        *_ledger(oversight),
        *(text for feed, watch in oversight.feeds.items() for text in _contracts(feed, watch)),
    ]


def _uncovered(oversight: Oversight) -> Iterator[str]:
    open_gaps = oversight.ledger.open_gaps
    if open_gaps:
        yield f"{open_gaps} wanted contracts are in session and no line carries them"


def _lines(feed: str, watch: FeedWatch) -> Iterator[str]:
    facts = watch.failover.facts()
    wanted_up = [line for line in facts if line.role == "hot"]
    usable = [line for line in wanted_up if line.usable and not line.suspect]
    if not usable:
        yield f"feed {feed}: no line is usable"
    elif len(wanted_up) > 1 and len(usable) == 1:
        yield f"feed {feed}: {usable[0].name} is alone; if it is lost, ticks are lost"
    for line in wanted_up:
        if line.silent:
            yield f"line {line.name} is logged in and silent in session"
        elif not line.state.is_up and line.state is not LineState.STOPPED:
            yield f"line {line.name} is {line.state.value}"
        if line.suspect:
            yield f"line {line.name} contradicts the others and is not believed"
    history = watch.failover.history
    if history and not history[-1].ok:
        yield f"feed {feed}: the last {history[-1].kind} to {history[-1].target} failed: {history[-1].error}"


def _ledger(oversight: Oversight) -> Iterator[str]:
    health = oversight.ledger.health
    if health.degraded:
        yield f"the gap ledger cannot write ({health.reason}); {health.waiting} rows wait in memory"
    if health.lost:
        yield f"the gap ledger had no room for {health.lost} rows"
    if oversight.temporary:
        yield "the gap ledger is temporary and ends with this gateway; set FEEDGATE_LEDGER__PATH (ledger.path)"


def _contracts(feed: str, watch: FeedWatch) -> Iterator[str]:
    unplaced = len(watch.failover.plan.unplaced)
    if unplaced:
        yield f"feed {feed}: {unplaced} wanted contracts have no line with room for them"
    stalled = len(watch.watchdog.stalled_contracts)
    if stalled:
        yield f"feed {feed}: {stalled} contracts ticked today and have stopped while their market is open"
    for line, subscriptions in watch.steering.feed.subscriptions.items():
        if subscriptions.failed:
            yield f"line {line}: the counter refused {len(subscriptions.failed)} contracts"
