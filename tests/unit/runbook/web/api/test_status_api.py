"""Status, cards and series from what the observatory saw."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.control import LedgerStatus
from gateway.control.events import Switch
from gateway.model import LineState
from runbook.drill.backlog import Backlog, Waiting
from runbook.web.api.metrics import metrics_of
from runbook.web.api.status import status_of
from runbook.web.api.times import parse_moment
from runbook.web.errors import ApiError
from runbook.web.history import History
from runbook.web.observed import Observed
from tests.unit.runbook.web.api.desk import Desk, desk_in
from tests.unit.runbook.web.api.seen import (
    NOW,
    NS,
    console_of,
    coverage,
    figures,
    figures_line,
    gaps,
    line,
    seen,
    status,
)
from tests.unit.runbook.web.consoles import the_calendar


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as found:
        yield found


DOWN = line("ctp:primary", LineState.LOST, reason="front disconnected")


async def test_when_all_is_well_the_status_is_good_and_names_the_active_line() -> None:
    found = await status_of(console_of(seen()))
    assert (found.ready, found.verdict, found.degraded, found.warnings) == (True, "good", [], [])
    assert (found.active, found.versions.gateway) == ({"ctp": "ctp:primary"}, "9.9")
    assert (found.coverage.ratio, found.coverage.age_s) == (1.0, 3.0)
    assert [one.rate for one in found.lines] == [50.0, 50.0]
    assert found.at == "2026-11-23T10:13:20.000+08:00"


@pytest.mark.parametrize(
    ("what", "ready", "verdict", "said"),
    [
        (seen(status=status([DOWN, line("ctp:backup")])), True, "warning", "ctp:primary is lost: front disconnected"),
        (seen(status=status([DOWN])), False, "critical", "no line of ctp is up"),
        (seen(status=status([DOWN], session="closed")), False, "warning", "no line of ctp is up"),
        (seen(status=status(ledger=LedgerStatus(open_gaps=2))), True, "critical", "2 contracts have no line"),
        (seen(coverage=(coverage(ratio=0.999, missing_count=1),)), True, "warning", "1 wanted contracts are on no"),
        (seen(coverage=(coverage(ratio=0.5, missing_count=2),)), False, "critical", "2 wanted contracts are on no"),
        (seen(coverage=(coverage(stalled_count=1),)), True, "warning", "1 contracts stopped"),
        (seen(figures=figures(lines=[figures_line("ctp:primary", silent=True)])), True, "warning", "silent in session"),
        (seen(figures=figures(lines=[figures_line("ctp:primary", suspect=True)])), True, "warning", "not believed"),
        (seen(figures=figures(bus_connected=False, held=7)), True, "warning", "7 messages wait"),
        (seen(status=status(ledger=LedgerStatus(degraded=True, reason="disk full"))), True, "warning", "disk full"),
    ],
)
async def test_what_is_wrong_is_said_in_words(what: Observed, ready: bool, verdict: str, said: str) -> None:
    found = await status_of(console_of(what))
    assert (found.ready, found.verdict) == (ready, verdict)
    assert any(said in text for text in found.degraded), found.degraded


async def test_a_parked_line_is_nothing_wrong() -> None:
    cold = line("ctp:spare", LineState.IDLE, role="cold")
    found = await status_of(console_of(seen(status=status([line("ctp:primary"), cold]))))
    assert (found.verdict, found.degraded) == ("good", [])


async def test_a_closed_market_is_neutral_and_not_red() -> None:
    found = await status_of(console_of(seen(status=status(session="closed"))))
    assert (found.ready, found.verdict) == (True, "neutral")


async def test_what_is_older_than_ten_seconds_is_stale_and_not_ready() -> None:
    old = seen(status_at_ns=NOW - 11 * NS, reachable=False, problems=("status: nobody answers; start it",))
    found = await status_of(console_of(old))
    assert (found.ready, found.verdict, found.reachable, found.age_s) == (False, "stale", False, 11.0)
    assert found.degraded == ["status: nobody answers; start it"]
    assert found.warnings == []  # not said twice


async def test_before_the_gateway_ever_answered_there_is_a_status_all_the_same() -> None:
    found = await status_of(console_of(Observed(at_ns=NOW, reachable=False, problems=("nobody has looked yet",))))
    assert (found.ready, found.verdict, found.gateway, found.lines, found.coverage.ratio) == (
        False,
        "stale",
        None,
        [],
        None,
    )


def card(name: str, what: Observed, **more: Any) -> Any:
    return next(one for one in metrics_of(console_of(what, **more), NOW) if one.name == name)


def switch(kind: str, latency_ms: float | None, *, ok: bool = True) -> Switch:
    more: dict[str, Any] = {"source": "a", "target": "b", "reason": "r", "trigger": "command"}
    times = {"at_ns": NOW, "started_ns": NOW, "finished_ns": NOW}
    return Switch(feed="ctp", kind=kind, ok=ok, latency_ms=latency_ms, **more, **times)  # type: ignore[arg-type]  # Any


def test_every_card_has_its_unit_its_thresholds_and_its_verdict() -> None:
    waiting = (Waiting(consumer="a", messages=600), Waiting(consumer="b", messages=3))
    what = seen(
        switches=(
            switch("failback", 1.0),
            switch("failover", None),
            switch("failover", 272.0),
            switch("failover", 9e9),
        ),
        backlog=Backlog(source="nats", consumers=waiting),
        backlog_at_ns=NOW,
        gaps=gaps(2),
    )
    cards = {one.name: (one.value, one.unit, one.verdict) for one in metrics_of(console_of(what), NOW)}
    assert cards == {
        "throughput": (100.0, "1/s", "good"),
        "p50": (0.5, "ms", "good"),
        "p99": (2.0, "ms", "good"),
        "coverage": (1.0, "ratio", "good"),
        "backlog": (600, "messages", "warning"),
        "failover_latency": (272.0, "ms", "good"),
        "gap_today": (2, "contracts", "warning"),
    }


def test_a_failover_that_failed_is_not_the_last_one_that_was_measured() -> None:
    what = seen(switches=(switch("failover", 1.0, ok=False), switch("failover", 1200.0)))
    assert (card("failover_latency", what).value, card("failover_latency", what).verdict) == (1200.0, "warning")


def test_without_consumers_the_backlog_is_neutral() -> None:
    assert (card("backlog", seen()).value, card("backlog", seen()).verdict) == (None, "neutral")


def test_cards_of_a_closed_market_are_neutral_and_old_ones_stale() -> None:
    closed = seen(status=status(session="closed"))
    assert {one.verdict for one in metrics_of(console_of(closed), NOW)} == {"neutral"}
    later = {one.verdict for one in metrics_of(console_of(seen()), NOW + 60 * NS)}
    assert later == {"stale"}


def test_throughput_is_compared_with_what_was_usual_before_the_latest_seconds() -> None:
    history = History()
    for second in range(300):
        history.add("published_rate", NOW - (300 - second) * NS, 1000.0 if second < 270 else 100.0)
    found = card("throughput", seen(), history=history)
    assert (found.usual, found.thresholds.good, found.verdict) == (1000.0, 500.0, "warning")


@pytest.mark.parametrize(("clock", "verdict"), [("10:00", "critical"), ("10:20", "critical"), ("12:00", "neutral")])
def test_no_tick_in_a_break_of_all_products_is_as_it_should_be(clock: str, verdict: str) -> None:
    """Stock index futures trade on until 11:30, so the 10:15 break is none of all products."""
    now = parse_moment(f"2026-11-23T{clock}:00+08:00", "now")
    dead = replace(seen(figures=figures(published_rate=0.0)), at_ns=now, figures_at_ns=now)
    console = console_of(dead, calendar=the_calendar())
    found = next(one for one in metrics_of(console, now) if one.name == "throughput")
    assert found.verdict == verdict


async def test_series_and_bands_are_bounded_named_and_have_units(desk: Desk) -> None:
    history, now = desk.console.observatory.history, desk.runbook.clock.wall_ns()
    for second in range(2000):
        history.add("published_rate", now - (2000 - second) * NS, float(second))
    history.see("ctp:primary", "streaming", now - 20 * NS)
    history.see("ctp:primary", "lost", now - 15 * NS)
    path = "/api/metrics/timeseries?series=published_rate&series=line.ctp:primary.state"
    fine = (await desk.viewer.get(path)).json()
    rate, state = fine["series"]
    assert (fine["step"], rate["unit"], state["unit"]) == (1, "1/s", "state")
    assert 0 < len(rate["points"]) <= 900
    assert [band["state"] for band in state["bands"]] == ["streaming", "lost"]
    assert set(state["bands"][0]) == {"state", "from", "to"}
    since = "2020-01-01"
    coarse = (await desk.viewer.get(f"/api/metrics/timeseries?series=published_rate&since={since}&step=1")).json()
    assert coarse["step"] == 60  # nobody keeps seconds for so long
    assert 0 < len(coarse["series"][0]["points"]) <= 720
    ten = (await desk.viewer.get("/api/metrics/timeseries?series=published_rate&step=10")).json()
    assert len(ten["series"][0]["points"]) <= 92


@pytest.mark.parametrize(
    ("query", "field"),
    [("series=nosuch", "series"), ("series=held&since=x", "since"), ("series=held&step=0", "step"), ("", "")],
)
async def test_a_series_that_is_none_is_refused(desk: Desk, query: str, field: str) -> None:
    answer = await desk.viewer.get(f"/api/metrics/timeseries?{query}")
    assert answer.status_code == 400
    assert not field or answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-23T10:00:00+08:00", 1_795_399_200),
        ("2026-11-23T10:00:00 08:00", 1_795_399_200),  # a plus sign that was not quoted in a query
        ("2026-11-23T02:00:00Z", 1_795_399_200),
        ("2026-11-23T10:00:00", 1_795_399_200),
        ("2026-11-23", 1_795_363_200),
    ],
)
def test_times_without_an_offset_are_shanghais(text: str, seconds: int) -> None:
    assert parse_moment(text, "since") == seconds * NS


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "12:00", ""])
def test_a_time_that_is_none_is_refused_by_the_name_of_its_field(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_moment(text, "since")
    assert refused.value.more["errors"][0].field == "since"


async def test_the_gateway_that_cannot_be_asked_is_said_everywhere(desk: Desk) -> None:
    for path in ("/api/subscriptions", "/api/subscriptions?format=csv", "/api/gaps", "/api/gaps?format=csv"):
        answer = await desk.viewer.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), path
        assert answer.json()["fix"]
    health = (await desk.viewer.get("/api/health")).json()
    assert (health["exit_code"], health["coverage_ratio"], health["remediation"]["outcome"]) == (
        2,
        None,
        "not_asked_for",
    )
    assert health["errors"]
    for path in ("/api/status", "/api/metrics/summary", "/api/lines", "/api/coverage", "/api/plugins", "/api/jobs"):
        assert (await desk.viewer.get(path)).status_code == 200, path


async def test_coverage_can_be_narrowed_to_a_feed_an_exchange_and_a_product(desk: Desk) -> None:
    await desk.viewer.get("/api/status")
    await desk.app.runtime.aclose()  # what follows was seen last
    desk.console.observatory.latest = seen()
    products = {
        query: [one["product"] for one in (await desk.viewer.get(f"/api/coverage?{query}")).json()["products"]]
        for query in ("", "exchange=SHFE", "product=m", "exchange=SHFE&product=m", "feed=nosuch")
    }
    assert list(products.values()) == [["rb", "m"], ["rb"], ["m"], [], []]


async def test_a_paused_job_says_who_paused_it_and_the_run_is_in_the_audit(desk: Desk) -> None:
    paused = await desk.operator.post("/api/jobs/log-scan/pause", json={"reason": "disk"})
    assert (paused.status_code, paused.json()["action"], paused.json()["state"]) == (202, "job-pause", "done")
    jobs = {one["name"]: one for one in (await desk.viewer.get("/api/jobs")).json()["jobs"]}
    assert (jobs["log-scan"]["paused"]["by"], jobs["log-scan"]["paused"]["reason"]) == ("wang", "disk")
    assert (await desk.operator.post("/api/jobs/log-scan/resume")).status_code == 202
    jobs = {one["name"]: one for one in (await desk.viewer.get("/api/jobs")).json()["jobs"]}
    assert jobs["log-scan"]["paused"] is None
    assert (await desk.operator.post("/api/jobs/nosuch/pause")).json()["code"] == "unknown_job"
    assert (await desk.viewer.post("/api/jobs/log-scan/pause")).status_code == 403
    events = [one["action"] for one in (await desk.viewer.get("/api/audit?event=stop")).json()["records"]]
    assert events == ["job-resume", "job-pause"]
