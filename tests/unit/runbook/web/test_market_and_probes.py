"""Where the trading day stands, and whether the gateway is ready."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from gateway.control import FeedCoverage, FeedStatus, StatusReply
from gateway.model import SHANGHAI, LineState, LineStatus
from runbook.schedule.windows import MarketWindows
from runbook.web.market import market_at
from runbook.web.observed import Observed
from runbook.web.probes import unready
from tests.unit.runbook.web.consoles import the_calendar

NOW = 1_795_000_000_000_000_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("moment", "session", "trading_day", "changes", "following"),
    [
        ("2026-09-07T10:20:00", "day", 20260907, "2026-09-07T15:15:00", "closed"),
        ("2026-09-07T12:00:00", "day", 20260907, "2026-09-07T15:15:00", "closed"),
        ("2026-09-07T18:00:00", "closed", 20260908, "2026-09-07T21:00:00", "night"),
        ("2026-09-08T01:00:00", "night", 20260908, "2026-09-08T02:30:00", "closed"),
        ("2026-09-12T12:00:00", "closed", 20260914, "2026-09-14T09:00:00", "day"),
        ("2026-10-03T12:00:00", "closed", 20261008, "2026-10-08T09:00:00", "day"),
    ],
)
def test_the_trading_day_stands_where_the_calendar_says(
    moment: str, session: str, trading_day: int, changes: str, following: str
) -> None:
    market = market_at(MarketWindows(the_calendar()), at(moment))
    assert (market.session, market.trading_day, market.next_session) == (session, trading_day, following)
    assert market.changes_at_ns == at(changes)


def test_where_the_calendar_ends_or_is_not_there_nothing_is_known() -> None:
    assert market_at(MarketWindows(the_calendar()), at("2060-01-05T10:00:00")).session == "unknown"
    assert market_at(None, at("2026-09-07T10:20:00")).session == "unknown"


def line(name: str, state: LineState, role: str = "hot") -> LineStatus:
    return LineStatus(
        line=name,
        account="1***2",
        role=role,
        state=state,
        reason="",
        since_ns=0,
        restarts=0,
        ticks=0,
        wanted=10,
        pending=0,
        confirmed=10,
        failed=0,
    )


def seen(*lines: LineStatus, confirmed: int = 10, **more: Any) -> Observed:
    feeds = [FeedStatus(feed=name) for name in dict.fromkeys(one.line.partition(":")[0] for one in lines)]
    status = StatusReply(name="g", version="1", epoch=1, codec="msgpack", lines=list(lines), counters={}, feeds=feeds)
    coverage = FeedCoverage(
        feed="ctp",
        session="day",
        at_ns=NOW,
        wanted=10,
        confirmed=confirmed,
        ticking=confirmed,
        quiet=0,
        stalled_count=0,
        missing_count=10 - confirmed,
        unexpected_count=0,
        ratio=confirmed / 10,
        stalled=[],
        missing=[],
        unexpected=[],
    )
    given: dict[str, Any] = {
        "status": status,
        "status_at_ns": NOW,
        "coverage": (coverage,),
        "coverage_at_ns": NOW,
    }
    return Observed(at_ns=NOW, reachable=True, **given | more)


UP, DOWN = LineState.STREAMING, LineState.LOST


def test_a_gateway_with_a_line_of_each_feed_up_and_full_coverage_is_ready() -> None:
    assert list(unready(seen(line("ctp:primary", UP), line("ctp:backup", DOWN)), 0.995)) == []


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Observed(at_ns=NOW, reachable=False, problems=("no server; start it",)), "no server; start it"),
        (seen(line("ctp:primary", UP), status_at_ns=NOW - 11_000_000_000), "older than 10 s"),
        (seen(line("ctp:primary", DOWN), line("ctp:backup", LineState.LOGGED_IN, "cold"), line("x:a", DOWN)), "x:a is"),
        (seen(line("ctp:primary", DOWN), line("ctp:backup", LineState.LOGGED_IN)), ""),
        (seen(line("ctp:primary", LineState.REFUSED)), "feed ctp: no line is up: ctp:primary is refused"),
        (seen(), "no line; configure"),
        (seen(line("ctp:primary", UP), confirmed=9), "1 of 10 contracts are not subscribed"),
        (seen(line("ctp:primary", UP), coverage=(), coverage_at_ns=0), "not known yet"),
    ],
)
def test_what_is_missing_is_said_in_words(what: Observed, words: str) -> None:
    reasons = list(unready(what, 0.995))
    assert any(words in reason for reason in reasons) if words else reasons == []
