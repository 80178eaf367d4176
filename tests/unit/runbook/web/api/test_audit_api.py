"""The audit over HTTP: filters, pages, CSV, verification."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.runbook.web.api.desk import SECRET, Desk, desk_in


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as found:
        yield found


async def echo(desk: Desk, reason: str = "") -> str:
    run = (await desk.operator.post("/api/runbook/echo", json={"reason": reason})).json()["id"]
    await desk.over(run)
    return str(run)


async def test_before_the_first_action_the_audit_is_empty_and_not_broken(desk: Desk) -> None:
    assert (await desk.viewer.get("/api/audit")).json() == {"records": [], "next": None}
    table = await desk.viewer.get("/api/audit?format=csv")
    assert table.text.startswith("seq,written,run,event")
    assert (await desk.operator.get("/api/audit/verify")).status_code == 404


async def test_pages_hold_every_record_once_newest_first(desk: Desk) -> None:
    for _ in range(4):
        await echo(desk)
    seen, cursor = [], ""
    while True:
        page = (await desk.viewer.get(f"/api/audit?limit=3&cursor={cursor}")).json()
        seen += [one["seq"] for one in page["records"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == [8, 7, 6, 5, 4, 3, 2, 1]


async def test_conditions_are_all_held(desk: Desk) -> None:
    run = await echo(desk, "the primary front is silent")
    await echo(desk, "another")
    await desk.admin.post("/api/runbook/nosuch", json={})
    found = {
        condition: [one["event"] for one in (await desk.viewer.get(f"/api/audit?{condition}")).json()["records"]]
        for condition in (
            f"run={run}",
            "event=stop&operator=wang",
            "operator=ada",
            "text=front%20is",
            "exit_code=0",
            "since=2000-01-01&until=2000-01-02",
            "action=echo&event=start&trigger=api&profile=dev&session=nosuch",
        )
    }
    assert list(found.values()) == [
        ["stop", "start"], ["stop", "stop"], ["refused"], ["stop", "start"], ["stop", "stop"], [], [],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        ("since=yesterday", "since"),
        ("until=0", "until"),
        ("event=nothing", "event"),
        ("cursor=abc", "cursor"),
        ("limit=5000", "limit"),
        ("exit_code=x", "exit_code"),
    ],
)
async def test_a_condition_that_is_none_is_refused_by_its_name(desk: Desk, condition: str, field: str) -> None:
    await echo(desk)
    answer = await desk.viewer.get(f"/api/audit?{condition}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


@pytest.mark.parametrize("by", ["query", "header"])
async def test_the_csv_has_every_record_and_no_formula(desk: Desk, by: str) -> None:
    hostile = '=HYPERLINK("http://x","y")'
    await echo(desk, hostile)
    path, headers = ("/api/audit?format=csv", {}) if by == "query" else ("/api/audit", {"accept": "text/csv"})
    answer = await desk.viewer.get(path, headers=headers)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["event"] for row in rows] == ["stop", "start"]
    assert {row["reason"] for row in rows} == {f"'{hostile}"}


async def test_a_csv_longer_than_one_read_is_whole_and_has_one_heading(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbook.web.api.audit._CSV_PAGE", 3)
    for _ in range(4):
        await echo(desk)
    lines = (await desk.viewer.get("/api/audit?format=csv")).text.splitlines()
    assert len(lines) == 9
    assert sum(line.startswith("seq,") for line in lines) == 1


async def test_the_verification_is_for_operators_and_notices_a_changed_record(desk: Desk) -> None:
    await echo(desk, "before")
    assert (await desk.viewer.get("/api/audit/verify")).status_code == 403
    intact = await desk.operator.get("/api/audit/verify")
    assert (intact.json()["ok"], intact.json()["records"], intact.json()["sealed"]) == (True, 2, 2)
    assert SECRET not in intact.text
    (file,) = desk.runbook.audit.directory.glob("audit*.jsonl")
    file.write_text(file.read_text().replace("before", "beyond"))
    changed = (await desk.operator.get("/api/audit/verify")).json()
    assert (changed["ok"], changed["exit_code"]) == (False, 2)
    assert changed["findings"][0]["severity"] == "tampered"
    json.dumps(changed)
