"""One line that says how things are, or what is wrong and where to act. Source: the console's design, Layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.model import LineState
from runbook.web.observed import Observed

Verdict = Literal["good", "warning", "critical", "neutral"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A key of ``sentence.toml`` with its values, how bad it is, and the page to act on."""

    verdict: Verdict
    key: str
    values: Mapping[str, object] = field(default_factory=dict)
    link: str = ""


def sentence(seen: Observed) -> Sentence:
    """The worst thing that is to be said."""
    return next(_said(seen))


def _said(seen: Observed) -> Iterator[Sentence]:
    """Worst first; the last one is always there."""
    status = seen.status
    if status is None or seen.is_stale(seen.status_at_ns):
        why = seen.problems[0] if seen.problems else ""
        yield Sentence(verdict="critical", key="sentence.unreachable", values={"why": why}, link="/lines")
        return
    down = [line for line in status.lines if not line.state.is_up and line.role != "cold"]
    up = [line for line in status.lines if line.state.is_up]
    trading = seen.trading
    names = ", ".join(line.line for line in down)
    bad: Verdict = "critical" if trading else "warning"
    if status.lines and not up:
        starting = all(line.state in (LineState.IDLE, LineState.CONNECTING, LineState.CONNECTED) for line in down)
        yield Sentence(verdict=bad, key=f"sentence.{'starting' if starting else 'dark'}", link="/lines")
    missing = sum(feed.missing_count for feed in seen.coverage)
    if missing:
        yield Sentence(verdict=bad, key="sentence.missing", values={"count": missing}, link="/subscriptions")
    if status.ledger.open_gaps:
        yield Sentence(verdict="critical", key="sentence.gap", values={"count": status.ledger.open_gaps}, link="/gaps")
    if down:
        yield Sentence(verdict="warning", key="sentence.down", values={"lines": names}, link="/lines")
    stalled = sum(feed.stalled_count for feed in seen.coverage)
    if stalled:
        yield Sentence(verdict="warning", key="sentence.stalled", values={"count": stalled}, link="/subscriptions")
    if status.warnings:
        yield Sentence(verdict="warning", key="sentence.warning", values={"text": status.warnings[0]}, link="/lines")
    lost = seen.gaps.totals.gaps if seen.gaps else 0
    if lost:
        yield Sentence(verdict="good", key="sentence.recovered", values={"count": lost}, link="/gaps")
    if not trading:
        yield Sentence(verdict="neutral", key="sentence.closed")
    yield Sentence(verdict="good", key="sentence.good")
