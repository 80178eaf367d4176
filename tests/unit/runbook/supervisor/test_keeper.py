from __future__ import annotations

import asyncio
import signal

import pytest

from runbook.supervisor.keeper import ProcessFailed, ProcessState
from runbook.supervisor.restarts import NON_CRITICAL, STABLE_S
from tests.unit.runbook.supervisor.fakes import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_start_returns_when_the_program_is_ready(stage: Stage) -> None:
    keeper = stage.keeper()
    await keeper.start(60)
    assert keeper.state is ProcessState.RUNNING
    assert keeper.status()["pid"] == 101
    await keeper.start(60)
    assert len(stage.programs["gateway"].children) == 1
    assert (await keeper.stop()).graceful
    assert keeper.status() | {"since": ""} == {
        "name": "gateway", "class": "critical", "state": "off", "pid": None, "since": "", "restarts": 0,
        "failures": 0, "reason": "",
    }  # fmt: skip


async def test_a_dead_process_is_told_and_started_again_after_its_pause(stage: Stage) -> None:
    keeper = stage.keeper()
    await keeper.start(60)
    program = stage.programs["gateway"]
    program.children[0].dies(-9)
    await stage.clock.settle()
    assert keeper.state is ProcessState.WAITING
    assert "SIGKILL" in keeper.reason
    assert keeper.status()["pid"] is None
    assert [(event, level) for event, _, _, level in stage.said if event == "process_died"] == [
        ("process_died", "critical")
    ]
    await stage.clock.advance(0.4)
    assert len(program.children) == 1
    await stage.clock.advance(0.2)
    assert keeper.state is ProcessState.RUNNING
    assert (len(program.children), keeper.restarts, keeper.failures) == (2, 1, 1)
    await keeper.stop()


async def test_failed_restarts_wait_longer_each_time_and_ten_stable_minutes_forget_them(stage: Stage) -> None:
    keeper = stage.keeper()
    await keeper.start(60)
    program = stage.programs["gateway"]
    program.plan.extend(["exit 7", "exit 7", "exit 7"])
    program.children[0].dies(1)
    await stage.passes(0.5 + 1 + 2 + 4 + 0.25)
    assert keeper.state is ProcessState.RUNNING
    assert [fields["wait_s"] for event, _, fields, _ in stage.said if event == "process_waits"] == [0.5, 1, 2, 4]
    assert keeper.failures == 4
    await stage.passes(STABLE_S + 70, 10)
    assert keeper.failures == 0
    program.children[-1].dies(1)
    await stage.clock.settle()
    assert [fields["wait_s"] for event, _, fields, _ in stage.said if event == "process_waits"][-1] == 0.5
    await keeper.stop()


async def test_refused_settings_are_not_tried_again_but_degraded_with_the_gateways_words(stage: Stage) -> None:
    keeper = stage.keeper()
    await keeper.start(60)
    program = stage.programs["gateway"]
    program.children[0].dies(11)
    await stage.passes(600, 2)
    assert keeper.state is ProcessState.DEGRADED
    assert "last words of 101" in keeper.reason
    assert len(program.children) == 1
    loud = [text for event, text, _, level in stage.said if event == "process_degraded" and level == "critical"]
    assert loud[0].startswith("DEGRADED: gateway")
    assert stage.troubled[-1][2] == "degraded"
    await keeper.start(60)
    assert keeper.state is ProcessState.RUNNING
    await keeper.stop()


async def test_settings_refused_at_a_restart_end_the_loop_too(stage: Stage) -> None:
    keeper = stage.keeper()
    await keeper.start(60)
    program = stage.programs["gateway"]
    program.plan.extend(["exit 7", "exit 11"])
    program.children[0].dies(1)
    await stage.passes(600, 2)
    assert keeper.state is ProcessState.DEGRADED
    assert len(program.children) == 3


async def test_a_non_critical_process_stays_off_after_three_restarts(stage: Stage) -> None:
    keeper = stage.keeper("exporter", NON_CRITICAL)
    await keeper.start(60)
    program = stage.programs["exporter"]
    program.plan.extend(["exit 7"] * 9)
    program.children[0].dies(1)
    await stage.passes(600, 2)
    assert keeper.state is ProcessState.DEGRADED
    assert len(program.children) == 4
    assert "4 failures in a row" in stage.said[-1][1]


async def test_a_restarted_process_that_does_not_get_ready_is_killed_and_tried_again(stage: Stage) -> None:
    keeper = stage.keeper()
    await keeper.start(60)
    program = stage.programs["gateway"]
    program.plan.append("never")
    program.children[0].dies(1)
    await stage.passes(0.5 + 60 + 2)
    assert keeper.state is ProcessState.RUNNING
    assert program.children[1].signals == [signal.SIGTERM]
    assert "it sleeps" in next(text for event, text, _, _ in stage.said if event == "process_failed")
    await keeper.stop()


async def test_a_start_that_takes_too_long_says_why_and_leaves_nothing(stage: Stage) -> None:
    keeper = stage.keeper()
    stage.programs["gateway"].plan.append("never")
    stage.programs["gateway"].stubborn = True
    task = asyncio.create_task(keeper.start(20))
    with pytest.raises(ProcessFailed, match="not ready within 20 s: it sleeps") as failed:
        await stage.drive(task)
    assert not failed.value.hopeless
    assert stage.programs["gateway"].children[0].signals == [signal.SIGTERM, signal.SIGKILL]
    assert keeper.state is ProcessState.OFF
    assert keeper.status()["pid"] is None


@pytest.mark.parametrize(
    ("does", "hopeless", "words"),
    [
        ("exit 7", False, "exit code 7"),
        ("exit 11", True, "exit code 11"),
        ("spawn", True, "no such program"),
        ("refuse", True, "it will never be"),
    ],
)
async def test_a_start_that_fails_says_how(stage: Stage, does: str, hopeless: bool, words: str) -> None:
    keeper = stage.keeper()
    stage.programs["gateway"].plan.append(does)
    with pytest.raises(ProcessFailed, match=words) as failed:
        await keeper.start(20)
    assert failed.value.hopeless == hopeless
    assert keeper.state is ProcessState.OFF
    assert all(child.ended.done() for child in stage.programs["gateway"].children)


@pytest.mark.parametrize("does", ["never", "deaf"])
async def test_a_cancelled_start_leaves_nothing(stage: Stage, does: str) -> None:
    keeper = stage.keeper()
    stage.programs["gateway"].plan.append(does)
    task = asyncio.create_task(keeper.start(20))
    await stage.clock.settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stage.programs["gateway"].children[0].ended.done()
    assert keeper.state is ProcessState.OFF


async def test_a_process_that_ignores_sigterm_is_killed_and_that_is_not_graceful(stage: Stage) -> None:
    keeper = stage.keeper()
    stage.programs["gateway"].stubborn = True
    await keeper.start(60)
    ending = await stage.drive(asyncio.create_task(keeper.stop()))
    assert (ending.forced, ending.exit_code, ending.graceful) == (True, -9, False)
    assert "process_killed" in stage.events()


async def test_a_stop_during_the_pause_ends_the_waiting(stage: Stage) -> None:
    keeper = stage.keeper()
    await keeper.start(60)
    stage.programs["gateway"].children[0].dies(1)
    await stage.clock.settle()
    assert (await keeper.stop()).exit_code is None
    await stage.passes(600, 2)
    assert len(stage.programs["gateway"].children) == 1
    assert keeper.state is ProcessState.OFF


async def test_whoever_looks_after_it_is_told_of_each_failure(stage: Stage) -> None:
    keeper = stage.keeper()
    await keeper.start(60)
    stage.programs["gateway"].plan.extend(["exit 7", "exit 7"])
    stage.programs["gateway"].children[0].dies(1)
    await stage.passes(10)
    assert stage.troubled == [("gateway", 1, "waiting"), ("gateway", 2, "waiting"), ("gateway", 3, "waiting")]
    await keeper.stop()
