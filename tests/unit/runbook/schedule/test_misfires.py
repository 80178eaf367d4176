"""What becomes of moments that passed: on time, late, coalesced, missed, paused, after restarts and stepped clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runbook.model import Exit, Trigger
from runbook.settings.jobs import JobSettings

pytestmark = pytest.mark.usefixtures("windows")

Open = Callable[[str], Any]


async def opened(open_desk: Open, at: str, **settings: Any) -> Any:
    desk = open_desk(at)
    desk.settings = JobSettings(**settings)
    desk.reopen()
    await desk.desk.prepare()
    return desk


async def test_a_job_is_asked_for_as_the_schedule_with_its_window_and_its_key(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:44:00")
    await desk.desk.attend()
    assert desk.runner.requests == []
    desk.clock.set("2026-10-12 08:45:00")
    await desk.desk.attend()
    (request,) = desk.runner.requests
    assert request.action == "start"
    assert request.operator == "schedule"
    assert request.trigger is Trigger.SCHEDULE
    assert request.window == "day"
    assert request.profile == "live"
    assert request.idempotency_key == "day-start@2026-10-12T08:45:00+08:00"
    assert request.reason == "job day-start of 2026-10-12 08:45:00"


async def test_a_night_job_after_midnight_is_of_the_night_window(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-10 00:30:00")
    desk.clock.set("2026-10-10 01:00:01")
    await desk.desk.attend()
    (request,) = desk.runner.requests
    assert request.window == "night"
    assert request.idempotency_key == "hourly-health@2026-10-10T01:00:00+08:00"


async def test_attending_again_does_not_run_a_moment_again(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:44:00")
    assert await desk.at("2026-10-12 08:45:01") == ["day-start@2026-10-12T08:45:00+08:00"]
    asked = desk.runner.asked
    assert await desk.at("2026-10-12 08:45:02") == []
    assert desk.runner.asked == asked


async def test_a_missed_start_runs_late_while_the_session_goes_on_and_says_so(
    open_desk: Open, caplog: pytest.LogCaptureFixture
) -> None:
    desk = await opened(open_desk, "2026-10-12 08:00:00")
    desk.clock.set("2026-10-12 10:20:00")
    await desk.desk.attend()
    start = next(request for request in desk.runner.requests if request.action == "start")
    assert start.reason == "job day-start of 2026-10-12 08:45:00, 1 h 35 min late"
    assert "missed" not in start.parameters
    assert start.reason in caplog.text
    rows = {row.job.name: row for row in await desk.desk.rows()}
    assert rows["day-start"].state.outcome == "late"


async def test_a_missed_start_is_told_as_missed_once_the_session_is_over(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:00:00")
    desk.clock.set("2026-10-12 15:30:00")
    await desk.desk.attend()
    start = next(request for request in desk.runner.requests if request.action == "start")
    assert start.parameters == {"missed": "2026-10-12T08:45:00+08:00"}
    assert "was missed, 6 h 45 min ago" in start.reason


@pytest.mark.parametrize(("when", "missed"), [("08:55:30", False), ("08:57:00", False), ("08:57:01", True)])
async def test_a_t5_checkpoint_is_missed_after_its_grace_and_never_run_later(
    open_desk: Open, when: str, missed: bool
) -> None:
    desk = await opened(open_desk, "2026-10-12 08:50:00")
    desk.clock.set(f"2026-10-12 {when}")
    await desk.desk.attend()
    (request,) = desk.runner.requests
    assert request.action == "t5-checkpoint"
    assert ("missed" in request.parameters) is missed
    asked = desk.runner.asked
    await desk.at("2026-10-12 08:59:00")
    assert desk.runner.asked == asked


async def test_hourly_checks_of_a_suspended_session_become_one(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 09:30:00")
    keys = await desk.at("2026-10-12 13:20:00")
    assert keys == ["hourly-health@2026-10-12T13:00:00+08:00"]
    state = desk.desk.store.states()["hourly-health"]
    assert state.outcome == "late"
    assert "it stands for 3 earlier ones as well" in state.note


async def test_health_checks_are_not_made_up_for_when_the_market_is_closed(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 09:30:00")
    keys = await desk.at("2026-10-12 18:00:00")
    assert not any("health" in key or "session" in key for key in keys)
    states = desk.desk.store.states()
    assert states["hourly-health"].outcome == "missed"
    assert states["session-close"].outcome == "missed"


async def test_archive_retention_and_log_scan_run_once_after_a_week_off(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-09 15:00:00")
    keys = await desk.at("2026-10-17 11:00:00")  # a Saturday
    run = [key for key in keys if key.partition("@")[0] in {"archive", "retention", "log-scan"}]
    assert run == [
        "log-scan@2026-10-16T15:45:00+08:00",
        "archive@2026-10-16T16:30:00+08:00",
        "retention@2026-10-16T17:00:00+08:00",
    ]
    assert "it stands for 5 earlier ones as well" in desk.desk.store.states()["archive"].note
    assert await desk.at("2026-10-17 11:01:00") == []


@pytest.mark.parametrize(("when", "missed"), [("14:44:00", False), ("14:45:01", True), ("20:00:00", True)])
async def test_a_drill_never_begins_outside_its_window(open_desk: Open, when: str, missed: bool) -> None:
    desk = await opened(open_desk, "2026-10-14 14:00:00")
    desk.clock.set(f"2026-10-14 {when}")
    await desk.desk.attend()
    drill = next(request for request in desk.runner.requests if request.action == "drill")
    assert ("missed" in drill.parameters) is missed


async def test_checks_before_the_night_run_until_it_opens_and_not_later(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 20:00:00")
    keys = await desk.at("2026-10-12 20:52:00")
    assert [key.partition("@")[0] for key in keys] == ["night-validate", "night-health"]
    other = await opened(open_desk, "2026-10-13 20:00:00")
    await other.desk.attend()
    other.runner.took()
    other.clock.set("2026-10-13 21:00:30")
    await other.desk.attend()
    assert [request.action for request in other.runner.requests] == ["t5-checkpoint"]
    assert "missed" in other.runner.requests[0].parameters
    states = other.desk.store.states()
    assert states["night-validate"].outcome == states["night-health"].outcome == "missed"


async def test_a_desk_that_never_ran_before_has_nothing_to_catch_up_with(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 10:30:00")
    await desk.desk.attend()
    assert desk.runner.requests == []


async def test_after_a_restart_it_goes_on_where_it_was(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:40:00")
    assert len(await desk.at("2026-10-12 08:45:00")) == 1
    desk.reopen()
    await desk.desk.prepare()
    assert await desk.at("2026-10-12 08:45:30") == []
    desk.clock.set("2026-10-12 08:50:00")
    desk.reopen()
    await desk.desk.prepare()
    assert await desk.at("2026-10-12 10:10:00") == [
        "day-t5@2026-10-12T08:55:00+08:00",
        "hourly-health@2026-10-12T10:00:00+08:00",
    ]


async def test_a_crash_between_the_runner_and_the_state_does_not_run_a_moment_twice(
    open_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await opened(open_desk, "2026-10-12 08:40:00")

    def full(*_args: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(desk.desk.store, "record", full)
        desk.clock.set("2026-10-12 08:45:00")
        answers = await desk.desk.attend()
    assert answers["day-start"] == "again"
    assert desk.runner.took() == ["day-start@2026-10-12T08:45:00+08:00"]
    desk.reopen()
    await desk.desk.prepare()
    assert await desk.at("2026-10-12 08:45:40") == []
    state = desk.desk.store.states()["day-start"]
    assert (state.outcome, state.run) == ("run", "run-1")


@pytest.mark.parametrize("code", [Exit.BUSY, Exit.ENVIRONMENT])
async def test_a_busy_runner_is_asked_again_until_the_deadline(open_desk: Open, code: Exit) -> None:
    desk = await opened(open_desk, "2026-10-12 08:54:00")
    desk.runner.refuses = code
    desk.clock.set("2026-10-12 08:55:00")
    assert (await desk.desk.attend())["day-t5"] == "again"
    desk.runner.refuses = None
    desk.clock.set("2026-10-12 08:55:30")
    assert (await desk.desk.attend())["day-t5"] == "done"
    assert desk.runner.requests[-1].parameters == {}


async def test_a_refusal_that_does_not_pass_is_recorded_and_not_repeated(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:40:00")
    desk.runner.refuses = Exit.USAGE
    await desk.at("2026-10-12 08:45:00")
    asked = desk.runner.asked
    await desk.at("2026-10-12 08:46:00")
    assert desk.runner.asked == asked
    assert desk.desk.store.states()["day-start"].outcome == "refused"


async def test_a_runner_that_raises_keeps_no_other_job_from_its_turn(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 14:59:00")
    desk.runner.raises = RuntimeError("broken")
    desk.clock.set("2026-10-12 15:00:00")
    answers = await desk.desk.attend()
    assert answers["hourly-health"] == "again"
    assert set(answers) == set(desk.desk.jobs)
    desk.runner.raises = None
    assert await desk.at("2026-10-12 15:00:40") == ["hourly-health@2026-10-12T15:00:00+08:00"]


async def test_paused_moments_pass_also_after_a_restart_and_are_not_made_up_for(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:00:00")
    desk.pause("day-start", "li", "front maintenance")
    desk.reopen()
    await desk.desk.prepare()
    assert await desk.at("2026-10-12 08:45:00") == ["refresh-contracts@2026-10-12T08:30:00+08:00"]
    state = desk.desk.store.states()["day-start"]
    assert (state.outcome, state.note) == ("paused", "paused by li: front maintenance")
    desk.resume("day-start")
    assert "day-start" not in str(await desk.at("2026-10-12 09:00:00"))
    assert "day-start@2026-10-13T08:45:00+08:00" in await desk.at("2026-10-13 08:45:00")


async def test_what_fell_into_a_pause_is_not_made_up_for_even_when_nobody_was_running(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:00:00")
    desk.pause("day-start")
    desk.clock.set("2026-10-12 10:00:00")
    desk.resume("day-start")
    assert not any("day-start" in key for key in await desk.at("2026-10-12 10:01:00"))


async def test_a_job_that_was_disabled_for_a_while_does_not_catch_up(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:00:00")
    desk.settings = JobSettings(disabled=["archive"])
    desk.reopen()
    await desk.desk.prepare()
    desk.clock.set("2026-10-12 18:00:00")
    desk.settings = JobSettings()
    desk.reopen()
    await desk.desk.prepare()
    assert not any("archive" in key for key in await desk.at("2026-10-12 18:01:00"))


async def test_a_clock_that_was_a_year_ahead_does_not_silence_the_jobs(
    open_desk: Open, caplog: pytest.LogCaptureFixture
) -> None:
    desk = await opened(open_desk, "2025-10-13 08:00:00")
    await desk.at("2026-10-12 18:00:00")
    assert desk.desk.store.states()["day-start"].handled_until.year == 2026
    await desk.at("2025-10-13 08:01:00")
    assert "the clock was set back" in caplog.text
    assert "day-start@2025-10-13T08:45:00+08:00" in await desk.at("2025-10-13 08:45:00")


async def test_a_moment_that_comes_twice_by_a_clock_set_back_has_one_run(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:40:00")
    assert len(await desk.at("2026-10-12 08:45:10")) == 1
    await desk.at("2026-10-12 08:30:00")
    assert await desk.at("2026-10-12 08:46:00") == []
    state = desk.desk.store.states()["day-start"]
    assert state.run == "run-1"
    assert "it had its run before" in state.note


async def test_a_second_back_is_left_to_pass(open_desk: Open) -> None:
    desk = await opened(open_desk, "2026-10-12 08:40:00")
    assert len(await desk.at("2026-10-12 08:45:00")) == 1
    asked = desk.runner.asked
    await desk.at("2026-10-12 08:44:59")
    await desk.at("2026-10-12 08:45:00")
    assert desk.runner.asked == asked
