"""What is to be said of a gateway as it was last seen: whether it is well, and in words what is not."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.control import StatusReply
from gateway.control.figures import Figures
from gateway.model import LineId
from runbook.web.observed import Observed
from runbook.web.verdicts import Verdict


def is_trading(seen: Observed) -> bool:
    """Whether any feed's market is in a session, by the feeds' own rules; the calendar's, while they are not known."""
    if seen.status is not None and seen.status.feeds:
        return any(feed.session != "closed" for feed in seen.status.feeds)
    return seen.market.session != "closed"


def _dark(status: StatusReply) -> list[str]:
    """Feeds without a line that is up."""
    up = {LineId.parse(line.line).feed for line in status.lines if line.state.is_up}
    feeds = [feed.feed for feed in status.feeds] or ["any feed"]
    return [feed for feed in feeds if feed not in up]


def troubles(seen: Observed) -> Iterator[str]:
    """Worst first."""
    status = seen.status
    if status is None or seen.is_stale(seen.status_at_ns):
        yield seen.problems[0] if seen.problems else "the gateway does not answer; run `runbook start`"
        return
    for feed in _dark(status):
        yield f"no line of {feed} is up, so none of its ticks comes in; look at /api/lines"
    if status.ledger.open_gaps:
        yield f"{status.ledger.open_gaps} contracts have no line in their session: a gap is open"
    yield from _uncovered(seen)
    for line in status.lines:
        if not line.state.is_up and line.role != "cold":
            yield f"{line.line} is {line.state.value}" + (f": {line.reason}" if line.reason else "")
    if seen.figures is not None:
        yield from _doubtful(seen.figures)
    if status.ledger.degraded:
        yield f"the gap ledger cannot write: {status.ledger.reason}"


def _uncovered(seen: Observed) -> Iterator[str]:
    for part in seen.coverage:
        if part.missing_count:
            yield f"{part.feed}: {part.missing_count} wanted contracts are on no line"
        if part.stalled_count:
            yield f"{part.feed}: {part.stalled_count} contracts stopped while their market is open"


def _doubtful(figures: Figures) -> Iterator[str]:
    for one in figures.lines:
        if one.silent:
            yield f"{one.line} is logged in and silent in session"
        if one.suspect:
            yield f"{one.line} contradicts the others and is not believed"
    if not figures.bus_connected:
        yield f"the gateway has lost NATS; {figures.held} messages wait for it"


def warnings(seen: Observed) -> Iterator[str]:
    """The gateway's own, then what could not be asked."""
    yield from seen.status.warnings if seen.status else ()
    yield from seen.problems


def verdict_of(seen: Observed, *, ready: bool, degraded: bool) -> Verdict:
    """The colour of the whole."""
    if seen.status is None or seen.is_stale(seen.status_at_ns):
        return "stale"
    if seen.status.ledger.open_gaps or (not ready and is_trading(seen)):
        return "critical"
    if degraded:
        return "warning"
    return "good" if is_trading(seen) else "neutral"
