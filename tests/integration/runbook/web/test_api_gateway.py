"""The API on a gateway in another connection: lists page by page and as CSV, health, and acting."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.runbook.web.served import CONTRACTS, Ground, served_in


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with served_in(tmp_path_factory.mktemp("served"), actions_per_minute=1000) as found:
        yield found


@pytest.fixture
def client(ground: Ground) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ground.url, headers=ground.headers, timeout=60) as found:
        yield found


def pages(client: httpx.Client, path: str, rows: str) -> list[Any]:
    found: list[Any] = []
    cursor = ""
    while True:
        page = client.get(f"{path}&cursor={cursor}").json()
        found.append(page[rows])
        cursor = page["next"]
        if cursor is None:
            return found


def test_all_pages_together_are_the_csv(client: httpx.Client) -> None:
    parts = pages(client, "/api/subscriptions?limit=7", "subscriptions")
    assert max(map(len, parts)) == 7
    rows = [row for part in parts for row in part]
    assert len(rows) == len({(row["line"], row["instrument"]) for row in rows}) == 2 * CONTRACTS
    answer = client.get("/api/subscriptions", headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    table = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(row["line"], row["instrument"], row["state"]) for row in table] == [
        (row["line"], row["instrument"], row["state"]) for row in rows
    ]


def test_a_csv_is_streamed_over_several_requests_to_the_gateway(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbook.web.api.subscriptions._CSV_PAGE", 9)
    lines = client.get("/api/subscriptions?format=csv").text.splitlines()
    assert len(lines) == 1 + 2 * CONTRACTS
    assert lines.count("line,instrument,state,reason") == 1


def test_filters_narrow_the_list_and_not_the_line_in_numbers(client: httpx.Client) -> None:
    page = client.get("/api/subscriptions?line=sim:backup&state=confirmed&pattern=SHFE.*&pattern=DCE.*").json()
    assert {row["line"] for row in page["subscriptions"]} == {"sim:backup"}
    assert {row["instrument"].partition(".")[0] for row in page["subscriptions"]} == {"SHFE", "DCE"}
    assert [(one["line"], one["wanted"]) for one in page["lines"]] == [("sim:backup", CONTRACTS)]
    assert client.get("/api/subscriptions?state=failed").json()["subscriptions"] == []


@pytest.mark.parametrize(
    "query", ["line=nosuch", "state=nosuch", "pattern=[", f"pattern={'x' * 200}", "limit=0", "cursor=x"]
)
def test_a_filter_that_is_none_is_the_askers_fault(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/api/subscriptions?{query}")
    assert answer.status_code in (200, 400), answer.text
    assert answer.status_code == 400 or answer.json()["subscriptions"] == []


def test_health_is_measured_now_and_nothing_is_remedied(client: httpx.Client) -> None:
    before = client.get("/api/audit").json()["records"]
    health = client.get("/api/health").json()
    assert (health["exit_code"], health["coverage_ratio"], health["missing_contracts"]) == (0, 1.0, [])
    assert health["expected_total"] == health["matched_total"] == CONTRACTS
    assert health["remediation"] == {"mode": "dry-run", "outcome": "not_asked_for", "attempts": []}
    assert client.get("/api/audit").json()["records"] == before


def test_coverage_is_told_by_feed_and_product(client: httpx.Client) -> None:
    coverage = client.get("/api/coverage").json()
    (feed,) = coverage["feeds"]
    assert (feed["feed"], feed["wanted"], feed["confirmed"], feed["ratio"]) == ("sim", CONTRACTS, CONTRACTS, 1.0)
    assert sum(one["wanted"] for one in coverage["products"]) == CONTRACTS


def test_the_status_after_an_action_is_the_one_after_it(client: httpx.Client) -> None:
    for action, active in (("failover", "sim:backup"), ("failback", "sim:primary")):
        run = client.post(f"/api/runbook/{action}", json={"reason": "to see it"}).json()
        with client.stream("GET", run["links"]["events"]) as stages:
            assert "event: done" in "".join(stages.iter_text())
        status = client.get("/api/status").json()
        assert status["active"] == {"sim": active}
        last = status["last_action"]
        assert (last["run"], last["action"], last["exit_code"]) == (run["id"], action, 0)
        result = client.get(run["links"]["run"]).json()
        assert result["details"]["latency_ms"] is not None


def test_gaps_of_a_day_without_trading_are_none(client: httpx.Client) -> None:
    page = client.get("/api/gaps?date=2020-01-01").json()
    assert (page["known"], page["gaps"], page["next"]) == (False, [], None)
    assert client.get("/api/gaps?date=20201301").status_code == 400
