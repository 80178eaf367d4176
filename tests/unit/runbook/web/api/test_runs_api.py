"""Runs: list, log, cancel."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.runbook.web.api.desk import Desk, desk_in


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as found:
        yield found


async def echo(desk: Desk, word: str = "") -> str:
    run = (await desk.operator.post("/api/runbook/echo", json={"parameters": {"word": word}})).json()["id"]
    await desk.over(run)
    return str(run)


async def test_runs_come_newest_first_in_pages_without_their_details(desk: Desk) -> None:
    ids = sorted([await echo(desk) for _ in range(5)], reverse=True)
    seen: list[str] = []
    path: str | None = "/api/runbook/runs?limit=2"
    while path:
        page = (await desk.viewer.get(path)).json()
        assert len(page["runs"]) <= 2
        assert all(run["stages"] == [] and run["details"] == {} for run in page["runs"])
        seen += [run["id"] for run in page["runs"]]
        path = f"/api/runbook/runs?limit=2&cursor={page['next']}" if page["next"] else None
    assert seen == ids


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x"])
async def test_no_page_is_larger_than_it_may_be(desk: Desk, limit: str) -> None:
    answer = await desk.viewer.get(f"/api/runbook/runs?limit={limit}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "limit")


@pytest.mark.parametrize(
    "run", ["20260101T000000-00000000", "%2e%2e", "..%2f..%2fetc%2fpasswd", "runs", "%00", "a" * 300]
)
@pytest.mark.parametrize("rest", ["", "/log"])
async def test_what_is_no_run_is_not_found_and_no_file_is_opened(desk: Desk, run: str, rest: str) -> None:
    outside = desk.runbook.runbook.log_dir / "secret.log"
    outside.parent.mkdir(parents=True, exist_ok=True)
    outside.write_text("secret")
    answer = await desk.viewer.get(f"/api/runbook/runs/{run}{rest}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


async def test_a_log_that_is_a_link_to_another_file_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    run = await echo(desk)
    log = desk.runbook.runner.log_of(run)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("secret\n")
    log.unlink()
    log.symlink_to(elsewhere)
    answer = await desk.viewer.get(f"/api/runbook/runs/{run}/log")
    assert (answer.status_code, answer.text) == (200, "")


async def test_a_log_is_read_piece_by_piece_in_whole_lines(desk: Desk) -> None:
    run = await echo(desk, "盘前" * 900)
    whole = desk.runbook.runner.log_of(run).read_bytes()
    got, offset, pieces = b"", 0, 0
    while offset < len(whole):
        answer = await desk.viewer.get(f"/api/runbook/runs/{run}/log?offset={offset}&limit=1024")
        assert answer.headers["content-type"].startswith("text/plain")
        assert int(answer.headers["x-log-size"]) == len(whole)
        moved = int(answer.headers["x-log-next"])
        assert moved > offset
        got += whole[offset:moved]
        offset, pieces = moved, pieces + 1
    assert pieces > 2
    assert got == whole
    answer = await desk.viewer.get(f"/api/runbook/runs/{run}/log?offset={offset}")
    assert (answer.text, answer.headers["x-log-next"]) == ("", str(offset))
    lines = (await desk.viewer.get(f"/api/runbook/runs/{run}/log")).text.splitlines()
    assert [json.loads(line)["stage"] for line in lines] == ["start", "echo", "end"]


async def test_a_run_is_cancelled_and_the_audit_says_by_whom(desk: Desk) -> None:
    run = (await desk.operator.post("/api/runbook/wait", json={"reason": "x"})).json()["id"]
    await desk.began.wait()
    answer = await desk.admin.post(f"/api/runbook/runs/{run}/cancel", json={"reason": "wrong line"})
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/runbook/runs/{run}")
    done = await desk.over(run)
    assert (done["state"], done["exit_code"]) == ("done", 2)
    record = (await desk.viewer.get(f"/api/audit?run={run}&event=exception")).json()["records"][0]
    assert "cancelled by ada: wrong line" in record["message"]
    again = await desk.operator.post(f"/api/runbook/runs/{run}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "run_over")


async def test_nobody_cancels_what_they_may_not_begin(desk: Desk) -> None:
    run = (await desk.operator.post("/api/runbook/wait", json={"reason": "x"})).json()["id"]
    await desk.began.wait()
    assert (await desk.viewer.post(f"/api/runbook/runs/{run}/cancel")).status_code == 403
    assert (await desk.viewer.get(f"/api/runbook/runs/{run}")).json()["state"] == "running"


async def test_an_operator_does_not_cancel_what_only_an_admin_may_begin(desk: Desk) -> None:
    run = (await desk.admin.post("/api/runbook/admins-only", json={"reason": "x"})).json()["id"]
    await desk.began.wait()
    answer = await desk.operator.post(f"/api/runbook/runs/{run}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert (await desk.admin.post(f"/api/runbook/runs/{run}/cancel")).status_code == 202


async def test_a_run_of_another_process_is_not_cancelled_from_here(desk: Desk, tmp_path: Path) -> None:
    async with desk_in(tmp_path) as other:
        run = (await other.operator.post("/api/runbook/wait", json={"reason": "x"})).json()["id"]
        await other.began.wait()
        answer = await desk.operator.post(f"/api/runbook/runs/{run}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "elsewhere")
