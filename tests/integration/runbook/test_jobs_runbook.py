"""Jobs through the composition root: missed moments on record, and one state for ``serve`` and the command line."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.calendar import Calendar, load_calendar
from gateway.hookspecs import hookimpl
from gateway.loader import Plugins
from gateway.model import SHANGHAI
from gateway.testing.clock import ManualClock
from runbook.app import Files, Runbook, load
from runbook.audit import verify
from runbook.hookspecs import ActionKind
from runbook.model import ActionRequest, ActionResult, Role, Trigger
from runbook.runner import Run
from runbook.schedule.desk import JobDesk
from tests.integration.runbook.test_cli import Pushgateway, Shell

WORKDAY = "2026-10-12"


class StepClock(ManualClock):
    def set(self, at: str) -> None:
        moment = datetime.fromisoformat(f"{WORKDAY} {at}").replace(tzinfo=SHANGHAI)
        self._wall_start_ns += round(moment.timestamp()) * 1_000_000_000 - self.wall_ns()


class Held:
    """An exclusive action that lasts until it is told to end."""

    def __init__(self) -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()

    @hookimpl(optionalhook=True)
    def runbook_actions(self) -> list[ActionKind]:
        async def hold(_context: Any, _parameters: Any) -> ActionResult:
            self.begun.set()
            await self.end.wait()
            return ActionResult(exit_code=0, message="held")

        return [ActionKind(name="hold", title="hold", build=lambda: hold)]


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return load_calendar()


class Station:
    def __init__(self, shell: Shell, calendar: Calendar, pushgateway: str) -> None:
        self.shell, self.calendar, self.clock, self.held = shell, calendar, StepClock(), Held()
        state, logs = shell.root / "state" / "runbook", shell.root / "logs" / "runbooks"
        self.environ = {
            "RUNBOOK_STATE_DIR": str(state),
            "RUNBOOK_LOG_DIR": str(logs),
            "PUSHGATEWAY_URL": pushgateway,
            "FEEDGATE_PROFILE": "live",
        }

    @asynccontextmanager
    async def open(self, at: str) -> AsyncIterator[tuple[Runbook, JobDesk]]:
        self.clock.set(at)
        plugins = Plugins.load(entry_points=False, extra=[self.held])
        loaded = load(Files(), self.environ)
        async with Runbook(loaded, clock=self.clock, plugins=plugins, calendar=self.calendar) as runbook:
            desk = runbook.desk()
            await desk.prepare()
            yield runbook, desk

    async def attend(self, runbook: Runbook, desk: JobDesk, at: str) -> None:
        self.clock.set(at)
        await desk.attend()
        for run in await runbook.runner.runs():
            async for _ in runbook.runner.watch(run.id):
                pass


@pytest.fixture
def pushgateway() -> Iterator[Pushgateway]:
    with Pushgateway() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def station(tmp_path: Path, calendar: Calendar, pushgateway: Pushgateway) -> Station:
    return Station(Shell(tmp_path), calendar, f"http://127.0.0.1:{pushgateway.server_port}")


async def test_a_missed_start_and_a_missed_t5_end_with_their_codes_in_the_audit_and_on_the_figures(
    station: Station, pushgateway: Pushgateway
) -> None:
    async with station.open("08:40:00") as (runbook, desk):
        await station.attend(runbook, desk, "15:30:00")
    (_, start), (_, t5) = station.shell.records("start"), station.shell.records("t5-checkpoint")
    assert (start["exit_code"], start["operator"], start["trigger"], start["window"]) == (
        2,
        "schedule",
        "schedule",
        "day",
    )
    assert (t5["exit_code"], t5["parameters"]["missed"]) == (16, f"{WORKDAY}T08:55:00+08:00")
    assert not (station.shell.root / "state" / "runbook" / "supervisor").exists()  # nothing was started
    assert verify(station.shell.root / "state" / "runbook" / "audit").ok
    pushed = dict(pushgateway.put)
    status = next(body for path, body in pushed.items() if "/job/t5_checkpoint" in path)
    assert "md_t5_checkpoint_status 0.0" in status
    assert any("md_runbook_exit_code" in body and " 16" in body for body in pushed.values())


async def test_a_person_cannot_ask_for_a_missed_moment_without_naming_one(station: Station) -> None:
    async with station.open("08:40:00") as (runbook, _desk):
        kinds = runbook.runner.kinds.by_name
        assert all("missed" in kinds[name].parameters.model_fields for name in ("start", "t5-checkpoint", "drill"))
        assert all("missed" not in kind.parameters.model_fields for kind in runbook.kinds.by_name.values())


async def test_a_job_run_by_hand_is_refused_while_another_action_runs(station: Station) -> None:
    async with station.open("10:00:00") as (runbook, desk):
        wish = ActionRequest(action="hold", operator="wang", trigger=Trigger.API, reason="x", profile="live")
        await runbook.submit(wish)
        await station.held.begun.wait()
        run = await desk.run_now("drill", operator="li", trigger=Trigger.API, reason="now")
        assert (run.refused, code(run)) == (True, 75)
        paused = await desk.pause("drill", operator="li", trigger=Trigger.API, reason="busy week")
        assert code(paused) == 0  # pausing need not wait
        station.held.end.set()
    assert [record["event"] for record in station.shell.records("drill")] == ["refused"]


def code(run: Run) -> int:
    assert run.result is not None
    return run.result.exit_code


async def test_pause_and_resume_are_on_record_with_who_and_why_and_need_a_reason_in_live(station: Station) -> None:
    async with station.open("10:00:00") as (_runbook, desk):
        assert code(await desk.pause("drill", operator="li", trigger=Trigger.PAGE)) == 64
        assert code(await desk.pause("drill", operator="v", trigger=Trigger.API, reason="x", role=Role.VIEWER)) == 77
        assert not any(row.paused for row in await desk.rows())
        assert code(await desk.pause("drill", operator="li", trigger=Trigger.PAGE, reason="holiday")) == 0
        (row,) = [row for row in await desk.rows() if row.paused]
        assert row.as_json()["paused"] == {"at": f"{WORKDAY}T10:00:00+08:00", "by": "li", "reason": "holiday"}
        assert code(await desk.resume("drill", operator="wang", trigger=Trigger.API, reason="over")) == 0
        assert not any(row.paused for row in await desk.rows())
    last = station.shell.records("job-pause")[-1]
    assert (last["event"], last["operator"], last["reason"], last["parameters"]) == (
        *("stop", "li", "holiday"),
        {"job": "drill"},
    )
    assert [record["event"] for record in station.shell.records("job-pause")] == ["refused", "refused", "start", "stop"]
    assert [record["operator"] for record in station.shell.records("job-resume")] == ["wang", "wang"]


async def test_the_command_line_sees_what_the_running_desk_did_and_the_desk_what_was_typed(station: Station) -> None:
    shell = station.shell
    async with station.open("08:40:00") as (runbook, desk):
        await station.attend(runbook, desk, "10:30:00")
        listed = await asyncio.to_thread(shell.do, "jobs", "--json")
        rows = {row["name"]: row for row in json.loads(listed.stdout)["jobs"]}
        last = rows["day-t5"]["last"]
        assert (last["outcome"], last["moment"]) == ("missed", f"{WORKDAY}T08:55:00+08:00")
        assert last["run"] in {record["run"] for record in shell.records("t5-checkpoint")}
        typed = await asyncio.to_thread(shell.do, "jobs", "pause", "log-scan", "--reason", "disk", "--operator", "li")
        assert typed.returncode == 0, typed.stdout + typed.stderr
        await station.attend(runbook, desk, "15:46:00")
        row = next(row for row in await desk.rows() if row.job.name == "log-scan")
        assert row.state is not None
        assert (row.state.outcome, row.state.note) == ("paused", "paused by li: disk")
        typed = await asyncio.to_thread(shell.do, "jobs", "resume", "log-scan", "--operator", "li", "--json")
        assert json.loads(typed.stdout)["exit_code"] == 0
        assert not any(row.paused for row in await desk.rows())
    assert shell.records("log-scan") == []
    assert [record["trigger"] for record in shell.records("job-pause")] == ["cli", "cli"]
    wrong = await asyncio.to_thread(shell.do, "jobs", "pause", "nonsense")
    assert wrong.returncode == 64
