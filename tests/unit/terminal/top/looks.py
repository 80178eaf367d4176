"""Looks at a gateway with two lines, as all is well; a test says what is different."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gateway.control import FeedCoverage, FeedStatus, GapsReply, LedgerStatus, ProductCoverage, StatusReply
from gateway.control.figures import FeedFigures, Figures, LineFigures
from gateway.flow.gapjson import GapTotals
from gateway.model import LineState, LineStatus
from gateway.terminal.top.look import PARTS, Look

NOW = 1_760_000_000_000_000_000
"""2025-10-09 16:53:20 in Shanghai."""
SECOND = 1_000_000_000


def line_of(account: str, **fields: Any) -> LineStatus:
    whole = {
        "line": f"ctp:{account}", "account": "16***9", "role": "hot", "state": LineState.STREAMING, "reason": "",
        "since_ns": NOW - 3600 * SECOND, "restarts": 0, "ticks": 9, "wanted": 400, "pending": 0, "confirmed": 400,
        "failed": 0,
    }  # fmt: skip
    return LineStatus(**(whole | fields))


def line_figures(account: str, **fields: Any) -> LineFigures:
    whole = {
        "line": f"ctp:{account}", "feed": "ctp", "state": LineState.STREAMING, "rate": 2500.0, "received": 100,
        "first": 50, "dropped": 0, "restarts": 0, "disconnects": 0, "rate_limit_waits": 0, "wanted": 400,
        "confirmed": 400, "failed": 0, "stalled": 0, "silent": False, "suspect": False,
    }  # fmt: skip
    return LineFigures(**(whole | fields))


def figures_of(**fields: Any) -> Figures:
    whole = {
        "at_ns": NOW, "epoch": 1_759_990_000_000, "published": 100, "published_rate": 2500.0, "received_rate": 5000.0,
        "p50_ms": 0.31, "p99_ms": 0.87, "held": 0, "bus_connected": True, "bus_reconnects": 0,
        "lines": [line_figures("primary"), line_figures("backup", first=150)],
        "feeds": [FeedFigures(feed="ctp", session="day")],
    }  # fmt: skip
    return Figures(**(whole | fields))


def status_of(**fields: Any) -> StatusReply:
    whole = {
        "name": "feedgate", "version": "0.1.0", "epoch": 1_759_990_000_000, "codec": "msgpack",
        "lines": [line_of("primary", role="active"), line_of("backup")], "counters": {},
        "feeds": [FeedStatus(feed="ctp", active="ctp:primary", session="day")], "ledger": LedgerStatus(),
    }  # fmt: skip
    return StatusReply(**(whole | fields))


def coverage_of(*, missing: int = 0, stalled: int = 0, session: str = "day") -> FeedCoverage:
    products = [
        ProductCoverage(exchange="SHFE", product="rb", wanted=300, ticking=290 - stalled - missing, quiet=10,
                        stalled=stalled, missing=missing),
        ProductCoverage(exchange="DCE", product="m", wanted=60, ticking=60, quiet=0, stalled=0, missing=0),
        ProductCoverage(exchange="SHFE", product="ag", wanted=40, ticking=40, quiet=0, stalled=0, missing=0),
    ]  # fmt: skip
    return FeedCoverage(
        feed="ctp", session=session, at_ns=NOW, wanted=400, confirmed=400 - missing, ticking=390 - stalled - missing,
        quiet=10, stalled_count=stalled, missing_count=missing, unexpected_count=0, ratio=(400 - missing) / 400,
        stalled=[], missing=[], unexpected=[], products=products,
    )  # fmt: skip


def gaps_of(gaps: int = 0) -> GapsReply:
    totals = GapTotals(gaps=gaps, contracts=gaps, open=0, longest_s=None, lost_volume=0, lost_volume_unknown=0)
    return GapsReply(trading_day=20251009, known=True, totals=totals, gaps=[], watched=[], notes=[], cursor=None)


def look_of(*, ages: dict[str, float | None] | None = None, **fields: Any) -> Look:
    """``ages``: part → seconds (None: it never answered); the others are fresh."""
    old = dict.fromkeys(PARTS, 0.5) | (ages or {})
    whole: dict[str, Any] = {
        "at_ns": NOW,
        "name": "feedgate",
        "had_at_ns": {part: NOW - round(age * SECOND) for part, age in old.items() if age is not None},
        "status": status_of(),
        "figures": figures_of(),
        "coverage": (coverage_of(),),
        "gaps": gaps_of(),
        "rates": (2500.0,),
    }
    return Look(**(whole | fields))


def closed(status: StatusReply) -> StatusReply:
    return replace(status, feeds=[replace(feed, session="closed") for feed in status.feeds])
