"""Asking for actions: what is answered, refused, replayed, and who is told what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.runbook.web.api.desk import Desk, desk_in


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as found:
        yield found


async def test_an_action_is_answered_with_its_run_which_goes_on_by_itself(desk: Desk) -> None:
    answer = await desk.operator.post("/api/runbook/wait", json={"reason": "to see it"})
    run = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/runbook/runs/{run['id']}")
    assert (run["state"], run["exit_code"], run["operator"], run["trigger"]) == ("running", None, "wang", "api")
    assert run["links"]["cancel"] == f"/api/runbook/runs/{run['id']}/cancel"
    await desk.began.wait()
    desk.go_on.set()
    done = await desk.over(run["id"])
    assert (done["state"], done["exit_code"], done["message"], done["details"]) == ("done", 0, "waited", {"figure": 1})
    assert [stage["stage"] for stage in done["stages"]] == ["start", "waiting", "end"]
    assert done["links"]["cancel"] is None


async def test_a_body_may_be_left_out(desk: Desk) -> None:
    answer = await desk.operator.post("/api/runbook/echo")
    assert (answer.status_code, answer.json()["reason"]) == (202, "")


async def test_an_unknown_field_is_refused_by_its_name(desk: Desk) -> None:
    answer = await desk.operator.post("/api/runbook/echo", json={"reason": "x", "dryrun": True})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert problem["errors"] == [{"field": "dryrun", "message": "there is no such field", "source": "body"}]
    assert (await desk.viewer.get("/api/runbook/runs")).json()["runs"] == []


async def test_a_wrong_parameter_is_refused_by_its_name_and_without_its_value(desk: Desk) -> None:
    body = {"parameters": {"count": 77, "wrod": "hidden-value"}}
    answer = await desk.operator.post("/api/runbook/echo", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["exit_code"]) == (400, "usage", 64)
    assert "wrod" in problem["detail"]
    assert "count" in problem["detail"]
    assert "hidden-value" not in answer.text
    run = (await desk.viewer.get(f"/api/runbook/runs/{problem['run']}")).json()
    assert run["refused"] is True


async def test_an_action_that_is_not_there_is_not_found(desk: Desk) -> None:
    answer = await desk.operator.post("/api/runbook/fialover", json={})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_action")


async def test_while_one_runs_another_is_refused_with_its_name_run_and_operator(desk: Desk) -> None:
    first = (await desk.operator.post("/api/runbook/wait", json={"reason": "first"})).json()
    await desk.began.wait()
    answer = await desk.admin.post("/api/runbook/wait", json={"reason": "second"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["exit_code"]) == (409, "busy", 75)
    running = problem["running"]
    assert (running["action"], running["run"], running["operator"]) == ("wait", first["id"], "wang")
    assert int(answer.headers["retry-after"]) > 0
    # what only looks goes beside it
    assert (await desk.operator.post("/api/runbook/echo", json={})).status_code == 202


async def test_who_may_not_is_refused_by_the_actions_own_role(desk: Desk) -> None:
    for client in (desk.viewer, desk.operator):
        answer = await client.post("/api/runbook/admins-only", json={"reason": "x"})
        assert (answer.status_code, answer.json()["code"], answer.json()["exit_code"]) == (403, "not_allowed", 77)
    answer = await desk.viewer.post("/api/runbook/wait", json={"reason": "x"})
    assert answer.status_code == 403
    assert not desk.began.is_set()
    refused = (await desk.viewer.get("/api/audit?event=refused")).json()["records"]
    assert [one["operator"] for one in refused] == ["vera", "wang", "vera"]


@pytest.mark.parametrize("way", ["header", "body"])
async def test_a_second_request_with_the_same_key_is_answered_with_the_first_ones_run(desk: Desk, way: str) -> None:
    headers = {"Idempotency-Key": "k1"} if way == "header" else {}
    body = {"reason": "x"} | ({} if way == "header" else {"idempotency_key": "k1"})
    first = await desk.operator.post("/api/runbook/echo", json=body, headers=headers)
    second = await desk.operator.post("/api/runbook/echo", json=body, headers=headers)
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["replayed"] is True
    assert len((await desk.viewer.get("/api/runbook/runs")).json()["runs"]) == 1


async def test_two_different_keys_in_one_request_are_refused(desk: Desk) -> None:
    answer = await desk.operator.post(
        "/api/runbook/echo", json={"idempotency_key": "a"}, headers={"Idempotency-Key": "b"}
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "idempotency_key")


async def test_a_live_change_without_a_reason_is_refused_and_told_where_to_say_it(tmp_path: Path) -> None:
    async with desk_in(tmp_path, profile="live") as desk:
        answer = await desk.operator.post("/api/runbook/wait", json={"reason": "  "})
        assert (answer.status_code, answer.json()["exit_code"]) == (400, 64)
        assert answer.json()["fix"] == "send it as `reason` in the body"
        assert (await desk.operator.post("/api/runbook/echo", json={})).status_code == 202  # it changes nothing
        assert (await desk.operator.post("/api/runbook/wait", json={"reason": "drill"})).status_code == 202


async def test_nobody_talks_a_live_environment_into_being_another(tmp_path: Path) -> None:
    async with desk_in(tmp_path, profile="live") as desk:
        answer = await desk.operator.post("/api/runbook/wait", json={"profile": "dev"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "profile")
        assert (await desk.operator.post("/api/runbook/echo", json={"profile": "live"})).status_code == 202


@pytest.mark.parametrize(
    "body",
    [b"{", b"null", b"[]", b'"x"', b"[" * 100_000, b'{"parameters":' * 3000, b'{"reason":"\xff"}', b'{"reason":5}'],
)
async def test_a_body_that_is_none_is_the_senders_fault(desk: Desk, body: bytes) -> None:
    answer = await desk.operator.post("/api/runbook/echo", content=body)
    if body == b"null":  # as if it were left out
        assert answer.status_code == 202
        return
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_texts_and_numbers_that_json_can_hardly_hold_come_back_as_something_readable(desk: Desk) -> None:
    content = (
        b'{"reason":"\\ud83d\\ude00 <script>", "parameters":{"x":99999999999999999999999999999, "\\u0000":"\\u0000"}}'
    )
    answer = await desk.operator.post("/api/runbook/echo", content=content)
    assert answer.status_code == 400
    run = await desk.viewer.get(f"/api/runbook/runs/{answer.json()['run']}")
    assert run.status_code == 200
    assert run.headers["content-type"] == "application/json"
    assert run.headers["x-content-type-options"] == "nosniff"
    assert run.json()["reason"] == "😀 <script>"


async def test_the_list_of_actions_says_what_each_takes_and_whether_i_may(desk: Desk) -> None:
    listed = {one["name"]: one for one in (await desk.operator.get("/api/runbook/actions")).json()["actions"]}
    assert {"failover", "failback", "drill", "echo"} <= set(listed)
    echo = listed["echo"]
    assert (echo["changes"], echo["exclusive"], echo["role"], echo["allowed"]) == (False, False, "operator", True)
    assert echo["parameters"]["properties"]["count"]["maximum"] == 9
    assert listed["admins-only"]["allowed"] is False
    for_viewer = (await desk.viewer.get("/api/runbook/actions")).json()["actions"]
    assert not any(one["allowed"] for one in for_viewer if one["role"] != "viewer")
