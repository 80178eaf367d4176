"""The course of a drill against a gateway that does what the test says."""

from __future__ import annotations

import asyncio
import logging

import pytest

from runbook.drill.faults import FAULTS
from runbook.drill.report import MARKER, markdown
from tests.unit.runbook.drill.conftest import AWAY, HOME, Rig


async def test_a_sound_pair_passes_in_order_and_only_then_says_so(rig: Rig, caplog) -> None:
    with caplog.at_level(logging.INFO):
        report = await rig.run()
    assert (report.exit_code, report.stands_on, report.restored) == (0, HOME, "not needed")
    assert rig.gateway.asked == [
        *("health", "backlog primary", "backlog primary"),
        *("failover", "backlog backup", "health"),
        *("heal", "failback", "backlog primary", "health", "heal"),
    ]
    assert [record.message for record in caplog.records].count(MARKER) == 1
    assert f"drill: {MARKER}" in rig.told
    assert report.message.startswith(f"{MARKER}: {HOME} → {AWAY} → {HOME}")


@pytest.mark.parametrize(
    ("code", "line"),
    [(41, HOME), (44, AWAY)],
)
async def test_a_sick_line_fails_its_stage(rig: Rig, code: int, line: str, caplog) -> None:
    rig.health[line] = 2
    with caplog.at_level(logging.INFO):
        report = await rig.run()
    assert (report.exit_code, report.stands_on) == (code, HOME)
    assert MARKER not in caplog.text
    assert "exit code 2: said" in report.message


async def test_a_primary_that_is_sick_after_the_failback_fails_with_46(rig: Rig) -> None:
    async def sick_at_the_end() -> None:
        if "failback" in rig.gateway.asked:
            rig.health[HOME] = 2

    rig.on_health = sick_at_the_end
    report = await rig.run()
    assert (report.exit_code, [stage.name for stage in report.stages]) == (
        46,
        ["primary", "failover", "failback", "end"],
    )


async def test_a_health_warning_passes_and_is_reported(rig: Rig) -> None:
    rig.health = {HOME: 1, AWAY: 1}
    report = await rig.run()
    assert report.exit_code == 0
    assert any("exit code 1" in text for text in report.warnings)


@pytest.mark.parametrize(("code", "line"), [(42, HOME), (43, AWAY)])
async def test_a_backlog_above_the_threshold_fails_its_stage(rig: Rig, code: int, line: str) -> None:
    rig.backlog.by_line[line] = 2001
    report = await rig.run()
    assert (report.exit_code, report.stands_on) == (code, HOME)
    assert "2001 messages wait for c, more than 2000" in report.message


async def test_a_backlog_at_the_threshold_passes(rig: Rig) -> None:
    rig.backlog.by_line = {HOME: 2000, AWAY: 2000}
    assert (await rig.run()).exit_code == 0


async def test_a_backlog_after_the_failback_fails_with_45(rig: Rig) -> None:
    async def behind_at_the_end() -> None:
        if "failover" in rig.gateway.asked:
            rig.backlog.by_line[HOME] = 2001

    rig.on_health = behind_at_the_end
    assert (await rig.run()).exit_code == 45


@pytest.mark.parametrize(("code", "line"), [(42, HOME), (43, AWAY)])
async def test_a_backlog_that_nobody_can_tell_fails_and_is_not_taken_for_none(rig: Rig, code: int, line: str) -> None:
    rig.backlog.unmeasured_on = line
    report = await rig.run()
    assert report.exit_code == code
    assert "could not be measured: nobody tells" in report.message
    assert any(not one.measured for stage in report.stages for one in stage.findings)
    assert "FAILED, not measured" in markdown(report)


async def test_a_consumer_that_nats_cut_off_meanwhile_fails_although_nothing_waits_for_it(rig: Rig) -> None:
    async def cut() -> None:
        if "failover" in rig.gateway.asked:
            rig.backlog.cut_off = 1

    rig.on_health = cut
    report = await rig.run()
    assert report.exit_code == 45
    assert "cut off 1 consumers" in report.message


async def test_no_tick_in_a_stage_means_that_loss_could_not_be_measured(rig: Rig) -> None:
    rig.witness.silent_on = AWAY
    report = await rig.run()
    assert (report.exit_code, "could not be measured" in report.message) == (43, True)


async def test_lost_ticks_fail_the_stage_in_which_they_show(rig: Rig) -> None:
    rig.witness.wrong_on[AWAY] = "3 ticks were lost"
    report = await rig.run()
    assert (report.exit_code, report.stands_on, report.restored) == (43, HOME, "done")
    assert "3 ticks were lost" in report.message


async def test_a_ledger_that_does_not_watch_fails_the_first_stage_and_nothing_is_switched(rig: Rig) -> None:
    rig.gateway.known = False
    report = await rig.run()
    assert report.exit_code == 42
    assert "failover" not in rig.gateway.asked


async def test_a_closed_market_is_refused_before_anything_is_switched(rig: Rig) -> None:
    rig.gateway.session = "closed"
    report = await rig.run()
    assert (report.exit_code, rig.gateway.asked) == (42, ["health"])
    assert "--mock" in report.message


@pytest.mark.parametrize(("kind", "code"), [("failover", 44), ("failback", 46)])
async def test_a_switch_that_fails_fails_the_health_of_its_stage_with_its_reason(
    rig: Rig, kind: str, code: int
) -> None:
    rig.gateway.failing[kind] = "did not log in"
    report = await rig.run()
    assert report.exit_code == code
    assert "did not log in" in report.message


@pytest.mark.parametrize(("kind", "code"), [("failover", 43), ("failback", 45)])
@pytest.mark.parametrize("latency", [5000.0, None])
async def test_a_switch_that_is_slow_or_not_measured_fails_the_metrics_of_its_stage(
    rig: Rig, kind: str, code: int, latency: float | None
) -> None:
    rig.gateway.latency[kind] = latency
    report = await rig.run()
    assert report.exit_code == code
    assert report.stands_on == HOME


async def test_a_drill_that_starts_on_the_backup_is_refused(rig: Rig) -> None:
    rig.gateway.active = AWAY
    report = await rig.run()
    assert (report.exit_code, rig.gateway.asked) == (41, [])
    assert "runbook failback" in report.message


@pytest.mark.parametrize(("account", "code"), [("primary", 0), ("1***y", 0), ("backup", 41)])
async def test_the_expected_account_is_checked_by_name_or_masked(rig: Rig, account: str, code: int) -> None:
    assert (await rig.run(expect_account=account)).exit_code == code


async def test_the_expected_feed_is_checked(rig: Rig) -> None:
    assert (await rig.run(expect_feed="ctp")).exit_code == 0
    assert (await rig.run(expect_feed="sopt")).exit_code == 41
    report = await rig.run(feed="ctp", expect_feed="sopt")
    assert (report.exit_code, "not sopt as expected" in report.message) == (42, True)


async def test_without_a_gateway_the_drill_ends_with_13(rig: Rig) -> None:
    rig.gateway.absent = True
    report = await rig.run()
    assert (report.exit_code, report.restored) == (13, "unknown")


async def test_a_gateway_that_vanishes_in_the_middle_is_told_loudly(rig: Rig, caplog) -> None:
    async def vanish() -> None:
        rig.gateway.absent = rig.gateway.active == AWAY

    rig.on_health = vanish
    report = await rig.run()
    assert (report.exit_code, report.restored, report.stands_on) == (44, "failed", None)
    assert "STANDS ON an unknown line" in report.message
    assert "runbook failback" in caplog.text


async def test_a_failback_that_does_not_work_in_the_end_says_where_the_feed_stands(rig: Rig) -> None:
    rig.gateway.failing["failback"] = "front closed"
    report = await rig.run()
    assert (report.exit_code, report.restored, report.stands_on) == (46, "failed", AWAY)
    assert f"STANDS ON {AWAY}, NOT ON {HOME}" in report.message
    assert rig.gateway.asked.count("failback") == 2


async def test_going_home_waits_for_another_switch_to_end(rig: Rig, monkeypatch) -> None:
    monkeypatch.setattr("runbook.drill.course._RESTORE_AGAIN_S", 0)
    rig.health[AWAY] = 2
    rig.gateway.busy = 1
    report = await rig.run(patience_s=0.05)
    assert (report.exit_code, report.restored, report.stands_on) == (44, "done", HOME)


async def test_a_drill_that_is_cancelled_in_the_middle_goes_home_first(rig: Rig) -> None:
    away = asyncio.Event()

    async def wait() -> None:
        if rig.gateway.active == AWAY:
            away.set()
            await asyncio.Event().wait()

    rig.on_health = wait
    course = rig.course()
    task = asyncio.create_task(course.run())
    await away.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (rig.gateway.active, course.report.restored, course.report.exit_code) == (HOME, "done", 2)


async def test_a_dry_run_looks_and_switches_nothing(rig: Rig, caplog) -> None:
    with caplog.at_level(logging.INFO):
        report = await rig.run(dry_run=True)
    assert report.exit_code == 0
    assert not {"failover", "failback"} & set(rig.gateway.asked)
    assert MARKER not in caplog.text


async def test_a_fault_takes_the_place_of_the_command(rig: Rig) -> None:
    report = await rig.run(fault=FAULTS["kill-line"], fault_wait_s=5.0)
    assert report.exit_code == 0
    assert f"inject kill-line {HOME}" in rig.gateway.asked
    assert "failover" not in rig.gateway.asked
    assert report.switches[0]["trigger"] == "line_lost"


async def test_a_gateway_that_does_not_leave_a_killed_line_fails(rig: Rig) -> None:
    rig.injector.leaves = False
    report = await rig.run(fault=FAULTS["kill-line"])
    assert (report.exit_code, report.stands_on) == (44, HOME)
    assert "did not leave" in report.message


async def test_a_switch_that_is_only_said_fails_because_the_status_counts(rig: Rig) -> None:
    rig.gateway.says_only = True
    report = await rig.run()
    assert (report.exit_code, report.stands_on) == (44, HOME)
    assert f"{HOME} is active, and not {AWAY}" in report.message
