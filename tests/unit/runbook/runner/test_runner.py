"""What becomes of a request: refused, done, failed, timed out, cancelled; and what is written down each time."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from pydantic import BaseModel, Field

from gateway.errors import BusError
from gateway.settings import Settings
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionRequest, ActionResult, Role
from runbook.runner import RunState

SECRET = "hunter2-Zq/+ä"


class Speed(BaseModel, extra="forbid"):
    rate: int = Field(gt=0)


async def fine(_context: ActionContext, _parameters: Any) -> ActionResult:
    return ActionResult(exit_code=0, message="done", details={"lines": 2}, output="report.json")


async def test_an_action_is_recorded_before_and_after_and_answered(bench, ask) -> None:
    async def look(context: ActionContext, parameters: Speed) -> ActionResult:
        assert bench.audit.events == ["start"]
        assert parameters.rate == 7
        context.tell("look", "looking", {"at": "it"})
        return ActionResult(exit_code=1, message="a warning")

    bench.action("look", look, Speed)
    run = await bench.runner().run(ask("look", parameters={"rate": "7"}, window="day", reason="drill", config="backup"))
    assert (run.state, run.exit_code, run.refused) == (RunState.DONE, 1, False)
    assert [stage.text for stage in run.stages] == ["look begins", "looking", "a warning"]
    start, stop = bench.audit.records
    assert (start.event, start.exit_code, start.finished_at) == ("start", None, "")
    assert (stop.event, stop.exit_code, stop.message) == ("stop", 1, "a warning")
    assert start.run == stop.run == run.id
    assert stop.started_at == start.started_at == run.started
    assert stop.finished_at == run.finished
    assert run.finished.endswith("+08:00")
    assert (start.operator, start.window, start.config, start.reason, start.session) == (
        ("wang", "day", "backup", "drill", "day")
    )
    assert start.parameters == {"rate": "7"}


async def test_a_dry_run_reaches_the_action_and_is_marked_in_the_audit(bench, ask) -> None:
    async def check(context: ActionContext, _parameters: Any) -> ActionResult:
        return ActionResult(exit_code=0, message=f"dry_run={context.request.dry_run}")

    bench.action("check", check)
    run = await bench.runner().run(ask("check", dry_run=True))
    assert run.result.message == "dry_run=True"
    assert [record.dry_run for record in bench.audit.records] == [True, True]


# refusals


async def refused(bench, request: ActionRequest, code: int, role: Role = Role.OPERATOR) -> str:
    run = await bench.runner().run(request, role=role)
    assert (run.state, run.exit_code, run.refused, run.started) == (RunState.DONE, code, True, "")
    assert bench.calls == 0
    (record,) = bench.audit.records
    assert (record.event, record.exit_code, record.run, record.message) == ("refused", code, run.id, run.result.message)
    assert not list((bench.root / "state" / "open").glob("*"))
    return run.result.message


async def test_an_unknown_action_is_refused_and_the_known_ones_are_named(bench, ask) -> None:
    bench.action("failover", fine)
    message = await refused(bench, ask("failovr"), 64)
    assert message == "there is no action 'failovr'; there are: failover"


@pytest.mark.parametrize("given", [{"rate": 0}, {"rate": "fast"}, {}, {"rate": 1, "speed": 2}])
async def test_wrong_parameters_are_refused_by_name(bench, ask, given: dict[str, Any]) -> None:
    bench.action("replay", fine, Speed)
    message = await refused(bench, ask("replay", parameters=given), 64)
    assert ("speed" if "speed" in given else "rate") in message
    assert "fast" not in message


async def test_a_live_change_without_a_reason_is_refused(bench, ask) -> None:
    bench.action("failover", fine)
    assert "--reason" in await refused(bench, ask("failover", profile="live", reason="  "), 64)


async def test_what_changes_nothing_live_needs_no_reason(bench, ask) -> None:
    bench.action("failover", fine)
    bench.action("look", fine, changes=False)
    runner = bench.runner()
    for request in (
        ask("look", profile="live"),
        ask("failover", profile="live", dry_run=True),
        ask("failover", profile="live", mode="mock"),
        ask("failover", profile="live", reason="front is down"),
    ):
        assert (await runner.run(request)).exit_code == 0


@pytest.mark.parametrize(
    ("needed", "have", "allowed"),
    [(Role.VIEWER, Role.VIEWER, True), (Role.OPERATOR, Role.VIEWER, False), (Role.ADMIN, Role.OPERATOR, False)],
)
async def test_each_role_may_do_what_those_before_it_may(bench, ask, needed, have, allowed) -> None:
    bench.action("rotate", fine, role=needed)
    if allowed:
        assert (await bench.runner().run(ask("rotate"), role=have)).exit_code == 0
    else:
        assert f"needs the role {needed}" in await refused(bench, ask("rotate"), 77, role=have)


async def test_who_does_not_say_his_role_is_an_operator(bench, ask) -> None:
    bench.action("rotate", fine, role=Role.ADMIN)
    bench.action("failover", fine, role=Role.OPERATOR)
    runner = bench.runner()
    assert (await runner.run(ask("rotate"))).exit_code == (await runner.submit(ask("rotate"))).exit_code == 77
    assert (await runner.run(ask("failover"))).exit_code == 0


async def test_an_access_rule_of_ones_own_can_refuse(bench, ask) -> None:
    def no_wang(_kind: ActionKind, request: ActionRequest, _role: Role) -> str:
        return "wang is on holiday" if request.operator == "wang" else ""

    bench.action("failover", fine)
    runner = bench.runner(access=no_wang)
    assert (await runner.run(ask("failover"), role=Role.ADMIN)).exit_code == 77
    assert (await runner.run(ask("failover", operator="li"))).exit_code == 0


async def test_an_access_rule_that_fails_refuses_nobody_quietly(bench, ask, caplog) -> None:
    def broken(_kind: ActionKind, _request: ActionRequest, _role: Role) -> str:
        raise ZeroDivisionError

    bench.action("failover", fine)
    run = await bench.runner(access=broken).run(ask("failover"))
    assert (run.exit_code, bench.calls, run.state) == (2, 0, RunState.DONE)
    assert "ZeroDivisionError" in run.result.message


async def test_a_second_exclusive_action_is_refused_and_told_who_is_at_work(bench, ask) -> None:
    bench.waiting_action("failover")
    bench.action("restart", fine)
    first, second = bench.runner(), bench.runner()
    going = await first.submit(ask("failover"))
    await bench.began.wait()
    for runner in (first, second):
        run = await runner.run(ask("restart", operator="li"))
        assert (run.exit_code, run.refused) == (75, True)
        assert "failover of wang" in run.result.message
        assert going.id in run.result.message
    assert bench.audit.events == ["start", "refused", "refused"]
    bench.go_on.set()
    [_ async for _ in first.watch(going.id)]
    assert (await second.run(ask("restart"))).exit_code == 0


async def test_a_reading_action_may_run_beside_an_exclusive_one(bench, ask) -> None:
    bench.waiting_action("failover")
    bench.action("look", fine, exclusive=False)
    runner = bench.runner()
    await runner.submit(ask("failover"))
    await bench.began.wait()
    assert (await runner.run(ask("look"))).exit_code == 0


# the audit must be possible


async def test_nothing_is_done_when_the_start_cannot_be_recorded(bench, ask, caplog) -> None:
    bench.action("failover", fine)
    bench.audit.full = {"start", "refused"}
    runner = bench.runner()
    run = await runner.run(ask("failover", idempotency_key="k"))
    assert (run.exit_code, run.refused, bench.calls, bench.audit.records) == (11, True, 0, [])
    assert "No space left on device" in run.result.message
    assert "nothing was done" in run.result.message
    bench.audit.full = set()
    again = await runner.run(ask("failover", idempotency_key="k"))  # neither the lock nor the key is kept
    assert (again.exit_code, again.replayed) == (0, False)


async def test_a_disk_that_is_really_full_is_named(bench, ask, caplog) -> None:
    class FullDisk:
        def append(self, _record: Any) -> None:
            with open("/dev/full", "w") as file:
                file.write("record")

    bench.action("failover", fine)
    run = await bench.runner(audit=FullDisk()).run(ask("failover"))
    assert (run.exit_code, bench.calls) == (11, 0)
    assert "No space left on device" in run.result.message


async def test_an_end_that_cannot_be_recorded_is_no_success_and_is_recorded_by_the_next_run(bench, ask, caplog) -> None:
    bench.action("failover", fine)
    bench.audit.full = {"stop"}
    runner = bench.runner()
    run = await runner.run(ask("failover"))
    assert run.exit_code == 2
    assert "done; its end cannot be written into the audit" in run.result.message
    bench.audit.full = set()
    await runner.run(ask("failover"))
    assert bench.audit.events == ["start", "note", "start", "stop"]
    note = bench.audit.records[1]
    assert (note.run, note.exit_code) == (run.id, 2)


async def test_nothing_is_done_when_the_state_directory_cannot_be_written(bench, ask, caplog) -> None:
    bench.action("failover", fine)
    (bench.root / "state").write_text("not a directory")
    run = await bench.runner().run(ask("failover"))
    assert (run.exit_code, run.refused, bench.calls) == (11, True, 0)
    assert bench.audit.events == ["refused"]


async def test_a_log_that_cannot_be_written_stops_nothing(bench, ask, caplog) -> None:
    bench.action("failover", fine)
    (bench.root / "logs").write_text("not a directory")
    assert (await bench.runner().run(ask("failover"))).exit_code == 0
    assert sum("cannot be written" in record.message for record in caplog.records) == 1


# failures


async def test_an_error_of_ours_decides_the_exit_code(bench, ask) -> None:
    async def fail(_context: ActionContext, _parameters: Any) -> ActionResult:
        raise BusError("no server at nats://127.0.0.1:4222; start it", server="nats://127.0.0.1:4222")

    bench.action("failover", fail)
    run = await bench.runner().run(ask("failover"))
    assert run.exit_code == 12
    assert run.result.message == "no server at nats://127.0.0.1:4222; start it"
    assert run.result.details == {"server": "nats://127.0.0.1:4222"}
    assert bench.audit.events == ["start", "exception"]
    assert bench.audit.records[1].exit_code == 12


async def test_any_other_error_is_two_with_its_type_and_its_traceback_only_in_the_log(bench, ask) -> None:
    async def fail(_context: ActionContext, _parameters: Any) -> ActionResult:
        return {}["nothing"]

    bench.action("failover", fail)
    runner = bench.runner()
    run = await runner.run(ask("failover"))
    assert run.exit_code == 2
    assert "KeyError: 'nothing'" in run.result.message
    assert "Traceback" not in json.dumps([record.message for record in bench.audit.records])
    assert "Traceback" in runner.log_of(run.id).read_text()
    assert (await runner.run(ask("failover"))).exit_code == 2  # the lock is free again


@pytest.mark.parametrize("exit_code", [0, 256, -1, None])
async def test_an_error_never_ends_with_success_or_an_impossible_code(bench, ask, exit_code) -> None:
    class OddError(BusError):
        pass

    OddError.exit_code = exit_code if exit_code is not None else 0

    async def fail(_context: ActionContext, _parameters: Any) -> ActionResult:
        raise OddError("odd")

    bench.action("odd", fail)
    assert (await bench.runner().run(ask("odd"))).exit_code == 2


@pytest.mark.parametrize(
    "answer", [None, 0, ActionResult(exit_code=300, message=""), ActionResult(exit_code=True, message="")]
)
async def test_an_answer_that_is_no_result_is_an_error(bench, ask, answer) -> None:
    async def answering(_context: ActionContext, _parameters: Any) -> ActionResult:
        return answer

    bench.action("odd", answering)
    run = await bench.runner().run(ask("odd"))
    assert run.exit_code == 2
    assert "correct the action" in run.result.message


async def test_an_action_that_cannot_be_built_is_a_failed_run(bench, ask) -> None:
    def build() -> Any:
        raise ImportError("no module named lost")

    bench.kinds["lost"] = ActionKind(name="lost", title="", build=build)
    run = await bench.runner().run(ask("lost"))
    assert run.exit_code == 2
    assert bench.audit.events == ["start", "exception"]


async def test_an_action_that_exits_does_not_take_the_process_with_it(bench, ask) -> None:
    async def leave(_context: ActionContext, _parameters: Any) -> ActionResult:
        raise SystemExit(0)

    bench.action("leave", leave)
    run = await bench.runner().run(ask("leave"))
    assert run.exit_code == 2
    assert "exit" in run.result.message


async def test_a_cancelled_error_of_the_actions_own_is_a_failure(bench, ask) -> None:
    async def give_up(_context: ActionContext, _parameters: Any) -> ActionResult:
        raise asyncio.CancelledError

    bench.action("odd", give_up)
    run = await bench.runner().run(ask("odd"))
    assert (run.exit_code, bench.audit.events) == (2, ["start", "exception"])


# time and cancellation


async def test_an_action_that_takes_too_long_is_stopped_and_recorded(bench, ask) -> None:
    bench.waiting_action("failover", timeout_s=0.05)
    runner = bench.runner()
    run = await runner.run(ask("failover"))
    assert run.exit_code == 124
    assert bench.audit.events == ["start", "exception"]
    assert bench.audit.records[1].exit_code == 124
    bench.action("restart", fine)
    assert (await runner.run(ask("restart"))).exit_code == 0


async def test_an_action_that_does_not_stop_keeps_the_lock_until_it_does(bench, ask) -> None:
    async def stubborn(_context: ActionContext, _parameters: Any) -> ActionResult:
        while not bench.go_on.is_set():
            try:
                await bench.go_on.wait()
            except asyncio.CancelledError:
                continue
        bench.began.set()
        return ActionResult(exit_code=0, message="late")

    bench.action("failover", stubborn, timeout_s=0.05)
    bench.action("restart", fine)
    runner = bench.runner(runbook={"cancel_grace_s": 0.05})
    run = await runner.run(ask("failover"))
    assert run.exit_code == 124
    assert "may still be at work" in run.result.message
    assert (await runner.run(ask("restart"))).exit_code == 75
    bench.go_on.set()
    await bench.began.wait()
    await asyncio.sleep(0)
    assert (await runner.run(ask("restart"))).exit_code == 0


async def test_cancelling_the_caller_cancels_the_action_and_records_it(bench, ask) -> None:
    bench.waiting_action("failover")
    runner = bench.runner()
    task = asyncio.create_task(runner.run(ask("failover")))
    await bench.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.audit.events == ["start", "exception"]
    (run,) = await runner.runs()
    assert (run.state, run.exit_code) == (RunState.DONE, 2)
    assert "cancelled" in run.result.message


async def test_cancelling_twice_still_records_the_end(bench, ask) -> None:
    released = threading.Event()

    class SlowAudit(type(bench.audit)):
        def append(self, record: Any) -> None:
            if record.event == "exception":
                assert released.wait(60)
            super().append(record)

    audit = SlowAudit()
    bench.waiting_action("failover")
    task = asyncio.create_task(bench.runner(audit=audit).run(ask("failover")))
    await bench.began.wait()
    for _ in range(3):
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
    assert not task.done()
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert audit.events == ["start", "exception"]


async def test_cancelled_while_its_start_is_recorded_it_never_begins_and_has_an_end(bench, ask) -> None:
    writing, released = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class SlowAudit(type(bench.audit)):
        def append(self, record: Any) -> None:
            if record.event == "start":
                loop.call_soon_threadsafe(writing.set)
                assert released.wait(60)
            super().append(record)

    audit = SlowAudit()
    bench.action("failover", fine)
    task = asyncio.create_task(bench.runner(audit=audit).run(ask("failover")))
    await writing.wait()
    task.cancel()
    await asyncio.sleep(0)
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (audit.events, bench.calls) == (["start", "exception"], 0)


async def test_closing_cancels_what_is_under_way_and_records_it(bench, ask) -> None:
    bench.waiting_action("failover")
    runner = bench.runner()
    await runner.submit(ask("failover"))
    await bench.began.wait()
    await runner.aclose()
    await runner.aclose()
    assert bench.audit.events == ["start", "exception"]
    with pytest.raises(RuntimeError, match="closed"):
        await runner.run(ask("failover"))


async def test_who_waits_for_a_run_of_a_closed_runner_is_answered(bench, ask) -> None:
    bench.waiting_action("failover")
    runner = bench.runner()
    task = asyncio.create_task(runner.run(ask("failover")))
    await bench.began.wait()
    await runner.aclose()
    assert (await task).exit_code == 2


# looking


async def test_a_submitted_run_is_answered_at_once_and_can_be_watched(bench, ask) -> None:
    async def two_stages(context: ActionContext, _parameters: Any) -> ActionResult:
        context.tell("one", "first", {})
        bench.began.set()
        await bench.go_on.wait()
        await asyncio.to_thread(context.tell, "two", "from a thread", {"n": 2})
        return ActionResult(exit_code=0, message="both")

    bench.action("drill", two_stages)
    runner = bench.runner()
    run = await runner.submit(ask("drill"))
    assert run.state is RunState.RUNNING
    assert run.result is None
    await bench.began.wait()
    assert [stage.stage for stage in (await runner.get(run.id)).stages] == ["start", "one"]
    seen = []
    async for stage in runner.watch(run.id):
        seen.append(stage.stage)
        if stage.stage == "one":
            bench.go_on.set()
    assert seen == ["start", "one", "two", "end"]
    assert (await runner.get(run.id)).exit_code == 0
    lines = [json.loads(line) for line in runner.log_of(run.id).read_text("utf-8").splitlines()]
    assert [line["stage"] for line in lines] == seen
    assert lines[2]["fields"] == {"n": 2}
    assert {"at", "stage", "text", "fields", "run", "action", "session", "config", "active_feed", "account"} == set(
        lines[0]
    )


async def test_runs_are_known_after_a_restart_newest_first(bench, ask) -> None:
    bench.action("failover", fine)
    before = bench.runner()
    first = await before.run(ask("failover"))
    await before.aclose()
    runner = bench.runner()
    second = await runner.run(ask("failover"))
    assert {run.id for run in await runner.runs()} == {first.id, second.id}
    assert len(await runner.runs(1)) == 1
    found = await runner.get(first.id)
    assert (found.exit_code, found.result.details) == (0, {"lines": 2})
    assert [stage.stage for stage in found.stages] == ["start", "end"]
    assert [stage.stage async for stage in runner.watch(first.id)] == ["start", "end"]
    assert await runner.get("../../etc/passwd") is None
    assert await runner.get("20990101T000000-00000000") is None
    assert [stage async for stage in runner.watch("20990101T000000-00000000")] == []


async def test_finished_runs_are_dropped_beyond_the_limit(bench, ask) -> None:
    bench.action("look", fine, exclusive=False)
    runner = bench.runner(runbook={"retention": {"runs": 3}})
    for number in range(60):
        await runner.run(ask("look", idempotency_key=f"k{number}"))
    assert len(list((bench.root / "state" / "runs").glob("*.json"))) <= 54
    assert len(list((bench.root / "state" / "keys").iterdir())) <= 54


# idempotency


async def test_a_second_request_with_the_same_key_gets_the_first_answer_and_does_nothing(bench, ask) -> None:
    bench.action("failover", fine)
    runner = bench.runner()
    first = await runner.run(ask("failover", idempotency_key="key-1"))
    for other in (runner, bench.runner()):
        again = await other.run(ask("failover", idempotency_key="key-1"))
        assert (again.id, again.result, again.replayed) == (first.id, first.result, True)
    assert (bench.calls, bench.audit.events) == (1, ["start", "stop"])
    assert (await runner.run(ask("failover", idempotency_key="key-2"))).id != first.id
    assert bench.calls == 2


async def test_the_same_key_for_another_action_is_another_request(bench, ask) -> None:
    bench.action("failover", fine)
    bench.action("failback", fine)
    runner = bench.runner()
    assert (await runner.run(ask("failover", idempotency_key="k"))).exit_code == 0
    assert not (await runner.run(ask("failback", idempotency_key="k"))).replayed
    assert bench.calls == 2


async def test_a_second_request_during_the_first_waits_for_its_answer(bench, ask) -> None:
    bench.waiting_action("failover")
    runner, other = bench.runner(), bench.runner()
    first = await runner.submit(ask("failover", idempotency_key="k"))
    await bench.began.wait()
    again = await runner.submit(ask("failover", idempotency_key="k"))
    assert (again.id, again.state, again.replayed) == (first.id, RunState.RUNNING, True)
    waiting = [asyncio.create_task(one.run(ask("failover", idempotency_key="k"))) for one in (runner, other)]
    while not (bench.root / "state" / "keys").exists():
        await asyncio.sleep(0)
    bench.go_on.set()
    for answer in await asyncio.gather(*waiting):
        assert (answer.id, answer.exit_code, answer.replayed) == (first.id, 0, True)
    assert bench.calls == 1


async def test_a_refused_request_does_not_use_up_its_key(bench, ask) -> None:
    bench.waiting_action("failover")
    bench.action("restart", fine)
    runner = bench.runner()
    going = await runner.submit(ask("failover"))
    await bench.began.wait()
    assert (await runner.run(ask("restart", idempotency_key="k"))).exit_code == 75
    bench.go_on.set()
    [_ async for _ in runner.watch(going.id)]
    again = await runner.run(ask("restart", idempotency_key="k"))
    assert (again.exit_code, again.replayed) == (0, False)


# secrets


async def test_a_secret_never_gets_into_audit_log_answer_or_repr(bench, ask, caplog) -> None:
    settings = Settings.model_validate(
        {"feeds": {"sim": {"accounts": {"primary": {"user_id": "160219", "password": SECRET}}}}}
    )

    async def leak(context: ActionContext, _parameters: Any) -> ActionResult:
        context.tell(
            f"stage {SECRET}", f"text {SECRET}", {SECRET: [SECRET, {"deep": SECRET.encode()}], "token": "zzz9"}
        )
        if context.request.dry_run:
            return ActionResult(exit_code=2, message=SECRET, details={"url": f"x://{SECRET}@h"}, output=SECRET)
        raise BusError(f"login {SECRET!r} refused", server=SECRET) from ValueError(SECRET)

    class Anything(BaseModel, extra="allow"):
        pass

    bench.action("leak", leak, Anything)
    runner = bench.runner(settings=settings, runbook={"api": {"token": "api-tok-77"}})
    shown = [repr(runner), repr(runner.masker)]
    for dry_run in (False, True):
        request = ask(
            "leak",
            parameters={"note": f"pw={SECRET}", "list": [SECRET, "api-tok-77"], "password": "unknown-one"},
            reason=f"because {SECRET}",
            operator=f"wang {SECRET}",
            dry_run=dry_run,
            idempotency_key=SECRET,
        )
        run = await runner.run(request)
        shown += [repr(run), json.dumps(run.as_json())]
    shown += [repr(bench.audit.records), caplog.text]
    shown += [path.read_text("utf-8") + path.name for path in bench.files()]
    for text in shown:
        for planted in (SECRET, json.dumps(SECRET)[1:-1], "api-tok-77", "unknown-one", "zzz9", "hunter2"):
            assert planted not in text
    assert "160219" not in "".join(shown)
    assert bench.audit.records[0].parameters == {"note": "pw=***", "list": ["***", "***"], "password": "***"}
    assert bench.audit.records[1].message == "login '***' refused"


async def test_a_calendar_that_cannot_say_the_session_stops_nothing(bench, ask) -> None:
    def ended(_ns: int) -> str:
        raise LookupError

    bench.action("failover", fine)
    assert (await bench.runner(session=ended).run(ask("failover"))).exit_code == 0
    assert bench.audit.records[0].session == "unknown"


async def test_parameters_beyond_measure_are_left_out_of_the_audit(bench, ask) -> None:
    class Text(BaseModel):
        text: str

    bench.action("note", fine, Text)
    await bench.runner().run(ask("note", parameters={"text": "x" * 20_000}))
    assert bench.audit.records[0].parameters == {"left_out": "20012 characters"}
