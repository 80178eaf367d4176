"""What an observatory saw, made up, and a console that has nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gateway.calendar import Calendar
from gateway.control import FeedCoverage, FeedStatus, GapsReply, LedgerStatus, ProductCoverage, StatusReply
from gateway.control.figures import Figures, LineFigures
from gateway.flow.gapjson import GapTotals
from gateway.model import LineState, LineStatus
from gateway.testing.clock import ManualClock
from runbook.settings import RunbookSettings
from runbook.web.history import History
from runbook.web.observed import Market, Observed

NS = 1_000_000_000
NOW = 1_795_400_000 * NS
"""2026-11-23 10:13 +08:00, a Monday in session."""


def line(name: str, state: LineState = LineState.STREAMING, **more: Any) -> LineStatus:
    given = {"account": "****01", "role": "hot", "reason": "", "since_ns": NOW - 60 * NS, "restarts": 0}
    counts = {"ticks": 10, "wanted": 4, "pending": 0, "confirmed": 4, "failed": 0}
    return LineStatus(**{"line": name, "state": state} | given | counts | more)


def figures_line(name: str, **more: Any) -> LineFigures:
    zero = dict.fromkeys(
        ("received", "first", "dropped", "restarts", "disconnects", "rate_limit_waits", "failed", "stalled"), 0
    )
    given = {"rate": 50.0, "wanted": 4, "confirmed": 4, "silent": False, "suspect": False, "state": LineState.STREAMING}
    return LineFigures(**{"line": name, "feed": name.partition(":")[0]} | zero | given | more)


def figures(**more: Any) -> Figures:
    given: dict[str, Any] = {
        "at_ns": NOW, "epoch": 1, "published": 1, "published_rate": 100.0, "received_rate": 200.0, "p50_ms": 0.5,
        "p99_ms": 2.0, "held": 0, "bus_connected": True, "bus_reconnects": 0, "feeds": [],
        "lines": [figures_line("ctp:primary"), figures_line("ctp:backup")],
    }  # fmt: skip
    return Figures(**given | more)


def coverage(**more: Any) -> FeedCoverage:
    given: dict[str, Any] = {
        "feed": "ctp", "session": "day", "at_ns": NOW, "wanted": 4, "confirmed": 4, "ticking": 4, "quiet": 0,
        "stalled_count": 0, "missing_count": 0, "unexpected_count": 0, "ratio": 1.0, "stalled": [], "missing": [],
        "unexpected": [],
        "products": [
            ProductCoverage(exchange="SHFE", product="rb", wanted=3, ticking=3, quiet=0, stalled=0, missing=0),
            ProductCoverage(exchange="DCE", product="m", wanted=1, ticking=1, quiet=0, stalled=0, missing=0),
        ],
    }  # fmt: skip
    return FeedCoverage(**given | more)


def gaps(count: int = 0) -> GapsReply:
    totals = GapTotals(gaps=count, contracts=count, open=0, longest_s=None, lost_volume=0, lost_volume_unknown=0)
    return GapsReply(trading_day=20261123, known=True, totals=totals, gaps=[], watched=[], notes=[], cursor=None)


def status(
    lines: list[LineStatus] | None = None, *, session: str = "day", ledger: LedgerStatus | None = None, **more: Any
) -> StatusReply:
    feed = FeedStatus(feed="ctp", active="ctp:primary", session=session)
    return StatusReply(
        name="feedgate",
        version="9.9",
        epoch=NOW // 1_000_000 - 1000,
        codec="msgpack",
        lines=lines if lines is not None else [line("ctp:primary"), line("ctp:backup")],
        counters={},
        feeds=[feed],
        ledger=ledger or LedgerStatus(),
        **more,
    )


def seen(**more: Any) -> Observed:
    given: dict[str, Any] = {
        "at_ns": NOW, "reachable": True, "market": Market(session="day", trading_day=20261123),
        "status": status(), "status_at_ns": NOW - NS, "figures": figures(), "figures_at_ns": NOW - NS,
        "coverage": (coverage(),), "coverage_at_ns": NOW - 3 * NS, "gaps": gaps(), "gaps_at_ns": NOW - 3 * NS,
        "switches_at_ns": NOW - 3 * NS,
    }  # fmt: skip
    return Observed(**given | more)


class NoRuns:
    async def runs(self, limit: int) -> list[Any]:
        return []


def console_of(what: Observed, *, history: History | None = None, calendar: Calendar | None = None) -> Any:
    runbook = SimpleNamespace(
        clock=ManualClock(wall_ns=NOW), runner=NoRuns(), runbook=RunbookSettings(), calendar=calendar
    )
    return SimpleNamespace(runbook=runbook, observatory=SimpleNamespace(latest=what, history=history or History()))
