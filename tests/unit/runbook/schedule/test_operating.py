"""What operators do: list, run now, pause, resume; on the desk and on the command line."""

from __future__ import annotations

import argparse
import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from runbook.model import Role, Trigger
from runbook.schedule import commands
from runbook.schedule.asking import UnknownJobError
from runbook.settings.jobs import JobSettings

Open = Callable[[str], Any]


def command(desk: Any, *words: str) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    commands.configure(parser)
    place = commands.Place(windows=desk.windows, settings=desk.settings, state_dir=desk.state_dir, clock=desk.clock)
    out = io.StringIO()
    return commands.run(parser.parse_args(words), place, out), out.getvalue()


async def test_the_rows_say_what_comes_next_and_what_happens_when_it_is_missed(open_desk: Open) -> None:
    desk = open_desk("2026-10-09 16:00:00")
    rows = {row.job.name: row.as_json() for row in await desk.desk.rows()}
    assert len(rows) == 13
    assert rows["night-t5"]["next"] == "2026-10-09T20:55:00+08:00"
    assert rows["night-t5"]["trading_day"] == 20261012
    assert "exit 16" in rows["night-t5"]["if_missed"]
    assert rows["day-start"]["next"] == "2026-10-12T08:45:00+08:00"
    assert rows["day-start"]["last"] is None


async def test_the_list_is_the_same_on_the_command_line(open_desk: Open) -> None:
    desk = open_desk("2026-10-12 08:40:00")
    await desk.desk.prepare()
    await desk.at("2026-10-12 08:45:00")
    desk.pause("drill", "wang", "audit week")
    code, text = command(desk, "--json")
    assert code == 0
    shown = json.loads(text)
    assert shown["jobs"] == [row.as_json() for row in await desk.desk.rows()]
    by_name = {row["name"]: row for row in shown["jobs"]}
    assert by_name["day-start"]["last"]["outcome"] == "run"
    assert by_name["drill"]["paused"]["by"] == "wang"
    code, text = command(desk)
    lines = text.splitlines()
    assert lines[1].startswith("day-t5")  # the next to run comes first
    assert "Mon 2026-10-12 08:55" in lines[1]
    assert lines[-1] == "drill: paused by wang at 2026-10-12 08:45: audit week"


async def test_pausing_and_resuming_are_requests_to_the_runner_so_that_they_are_in_the_audit(open_desk: Open) -> None:
    desk = open_desk("2026-10-12 08:00:00")
    await desk.desk.pause("drill", operator="li", trigger=Trigger.PAGE, reason="holiday", role=Role.ADMIN)
    await desk.desk.resume("drill", operator="li", trigger=Trigger.PAGE)
    pause, resume = desk.runner.requests
    assert (pause.action, pause.parameters, pause.reason) == ("job-pause", {"job": "drill"}, "holiday")
    assert (resume.action, resume.parameters, resume.trigger) == ("job-resume", {"job": "drill"}, Trigger.PAGE)
    assert desk.runner.roles == [Role.ADMIN, Role.OPERATOR]
    assert not any(row.paused for row in await desk.desk.rows())  # that is the action's to do


async def test_running_now_is_the_operators_own_request_and_changes_no_plan(open_desk: Open) -> None:
    desk = open_desk("2026-10-12 08:40:00")
    await desk.desk.prepare()
    desk.pause("day-start")
    run = await desk.desk.run_now("day-start", operator="li", trigger=Trigger.API, reason="front came back")
    assert not run.refused
    (request,) = desk.runner.requests
    assert (request.action, request.operator, request.trigger) == ("start", "li", Trigger.API)
    assert request.reason == "front came back"
    assert request.window == "day"
    desk.resume("day-start")
    desk.runner.took()
    assert await desk.at("2026-10-12 08:45:00") == ["day-start@2026-10-12T08:45:00+08:00"]


async def test_running_twice_now_with_one_key_is_one_run(open_desk: Open) -> None:
    desk = open_desk("2026-10-10 01:00:00")
    for _ in range(2):
        await desk.desk.run_now("archive", operator="li", trigger=Trigger.CLI, idempotency_key="k")
    (request,) = desk.runner.requests
    assert request.window == "night"
    for _ in range(2):
        await desk.desk.run_now("archive", operator="li", trigger=Trigger.CLI)
    assert len(desk.runner.requests) == 3


async def test_an_unknown_or_disabled_job_is_named_with_the_fix(open_desk: Open) -> None:
    desk = open_desk("2026-10-12 08:00:00")
    with pytest.raises(UnknownJobError, match="did you mean archive") as caught:
        await desk.desk.pause("archives", operator="li", trigger=Trigger.CLI)
    assert caught.value.exit_code == 64
    desk.settings = JobSettings(disabled=["drill"])
    with pytest.raises(UnknownJobError, match=r"take it out of schedule\.disabled"):
        await desk.reopen().run_now("drill", operator="li", trigger=Trigger.CLI)


async def test_near_the_calendars_end_the_list_and_the_log_name_the_fix(
    open_desk: Open, caplog: pytest.LogCaptureFixture
) -> None:
    desk = open_desk("2026-12-10 08:00:00")
    with caplog.at_level(logging.WARNING):
        await desk.desk.prepare()
    assert "no jobs are planned from 2026-12-31 18:00 on" in caplog.text
    code, text = command(desk)
    assert code == 1
    assert "pip install -U exchange_calendars" in text
    assert "override file" in text


async def test_beyond_the_calendars_end_jobs_have_no_next_moment_and_say_why(open_desk: Open) -> None:
    desk = open_desk("2027-03-01 08:00:00")
    await desk.desk.prepare()
    assert await desk.at("2027-03-02 12:00:00") == []
    rows = await desk.desk.rows()
    assert all(row.next is None and "pip install -U exchange_calendars" in row.problem for row in rows)
    code, text = command(desk)
    assert code == 1
    assert "none" in text


async def test_far_from_the_end_there_is_no_warning(open_desk: Open) -> None:
    desk = open_desk("2026-10-12 08:00:00")
    assert desk.windows.end_warning(desk.desk.now()) == ""
    assert command(desk)[0] == 0


async def test_the_simulated_month_needs_no_state(open_desk: Open) -> None:
    desk = open_desk("2026-10-12 08:00:00")
    code, text = command(desk, "--simulate", "2026-10")
    assert code == 0
    assert "Thu 2026-10-01  [statutory holiday]" in text
    assert not desk.state_dir.exists()
