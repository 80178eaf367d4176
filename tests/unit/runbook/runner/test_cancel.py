"""Cancelling a run that somebody submitted, and reading runs page by page."""

from __future__ import annotations

import asyncio
from typing import Any

from runbook.context import ActionContext
from runbook.model import ActionResult
from runbook.runner import RunState


async def over(runner: Any, run: str) -> Any:
    async for _ in runner.watch(run):
        pass
    return await runner.get(run)


async def test_a_cancelled_run_ends_and_the_audit_says_by_whom_and_why(bench, ask) -> None:
    bench.waiting_action("drill")
    runner = bench.runner()
    run = await runner.submit(ask("drill"))
    await bench.began.wait()
    assert runner.cancel(run.id, "zhang", "wrong window")
    done = await over(runner, run.id)
    assert (done.state, done.exit_code) == (RunState.DONE, 2)
    assert "drill was cancelled by zhang: wrong window" in done.result.message
    assert bench.audit.events == ["start", "exception"]
    assert "cancelled by zhang: wrong window" in bench.audit.records[-1].message
    assert [stage.stage for stage in done.stages] == ["start", "cancel", "end"]
    bench.go_on.set()
    assert (await runner.run(ask("drill"))).exit_code == 0  # the lock is free again


async def test_a_secret_in_the_reason_of_a_cancel_is_masked(bench, ask) -> None:
    bench.waiting_action("drill")
    runner = bench.runner()
    runner.masker.add("hunter2hunter2")
    run = await runner.submit(ask("drill"))
    await bench.began.wait()
    runner.cancel(run.id, "zhang", "hunter2hunter2")
    done = await over(runner, run.id)
    assert "hunter2hunter2" not in done.result.message
    assert "hunter2hunter2" not in runner.log_of(run.id).read_text()


async def test_cancelling_again_changes_nothing(bench, ask) -> None:
    stopping = asyncio.Event()

    async def slow_to_stop(_context: ActionContext, _parameters: Any) -> ActionResult:
        bench.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await bench.go_on.wait()
        raise AssertionError("it never ends by itself")

    bench.action("drill", slow_to_stop)
    runner = bench.runner(runbook={"cancel_grace_s": 30})
    run = await runner.submit(ask("drill"))
    await bench.began.wait()
    assert runner.cancel(run.id, "first")
    await stopping.wait()
    assert runner.cancel(run.id, "second")
    bench.go_on.set()
    done = await over(runner, run.id)
    assert "by first" in done.result.message
    assert "second" not in done.result.message


async def test_a_run_that_is_over_or_unknown_cannot_be_cancelled(bench, ask) -> None:
    bench.waiting_action("drill")
    bench.go_on.set()
    runner = bench.runner()
    run = await runner.run(ask("drill"))
    assert not runner.cancel(run.id, "zhang")
    assert not runner.cancel("20260101T000000-00000000", "zhang")
    assert bench.audit.events == ["start", "stop"]


async def test_a_run_of_another_runner_is_not_cancelled(bench, ask) -> None:
    bench.waiting_action("drill")
    first, second = bench.runner(), bench.runner()
    run = await first.submit(ask("drill"))
    await bench.began.wait()
    assert (await second.get(run.id)).state is not RunState.DONE
    assert not second.cancel(run.id, "zhang")
    bench.go_on.set()
    assert (await over(first, run.id)).exit_code == 0


async def test_runs_come_in_pages_newest_first_whoever_remembers_them(bench, ask) -> None:
    bench.waiting_action("look", exclusive=False)
    bench.go_on.set()
    elsewhere, here = bench.runner(), bench.runner()
    ids = [(await runner.run(ask("look"))).id for runner in (elsewhere, here, elsewhere, here, elsewhere)]
    expected = sorted(ids, reverse=True)
    pages, before = [], ""
    while page := await here.runs(2, before=before):
        pages.append([run.id for run in page])
        before = page[-1].id
    assert pages == [expected[:2], expected[2:4], expected[4:]]
