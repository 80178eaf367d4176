"""Jobs through the real ActionRunner into the real audit: keys that hold over a restart, and what was missed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.calendar import load_calendar
from gateway.client import Client
from gateway.model import SHANGHAI
from gateway.settings import Settings
from gateway.testing.clock import ManualClock
from runbook.audit import AuditLog, verify
from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind
from runbook.model import ActionRequest, ActionResult, Trigger
from runbook.runner import ActionRunner, Kinds, session_namer
from runbook.schedule.desk import JobDesk
from runbook.schedule.jobs import build_jobs
from runbook.schedule.missed import accept_missed
from runbook.schedule.windows import MarketWindows
from runbook.settings import RunbookSettings
from runbook.settings.jobs import JOBS, JobSettings


class StepClock(ManualClock):
    def set(self, at: str) -> None:
        moment = datetime.fromisoformat(at).replace(tzinfo=SHANGHAI)
        self._wall_start_ns += round(moment.timestamp()) * 1_000_000_000 - self.wall_ns()


@pytest.fixture(scope="module")
def windows() -> MarketWindows:
    return MarketWindows(load_calendar())


class Station:
    """A runner and a desk on one directory; ``open`` may be used again, as after a restart."""

    def __init__(self, windows: MarketWindows, root: Path) -> None:
        self.windows, self.root = windows, root
        self.clock = StepClock()
        self.done: list[tuple[str, Any]] = []

    def kinds(self) -> dict[str, ActionKind]:
        def kind(name: str, **options: Any) -> ActionKind:
            async def act(_context: ActionContext, parameters: Any) -> ActionResult:
                self.done.append((name, parameters))
                return ActionResult(exit_code=0, message="done")

            def build() -> Action:
                return act

            return ActionKind(name=name, title=name, build=build, **options)

        plain = [kind("start"), kind("t5-checkpoint", changes=False, exclusive=False), kind("drill")]
        jobs = build_jobs(self.windows, JobSettings())
        return {each.name: each for each in accept_missed(plain, jobs)}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[JobDesk, ActionRunner]]:
        def connect() -> AbstractAsyncContextManager[Client]:
            raise AssertionError("no gateway here")

        runner = ActionRunner(
            Kinds(self.kinds()),
            AuditLog(self.root / "audit", self.clock),
            settings=Settings(),
            runbook=RunbookSettings(log_dir=self.root / "logs", state_dir=self.root / "state"),
            connect=connect,
            session=session_namer(self.windows.calendar),
            clock=self.clock,
        )
        async with runner:
            used = {"day-start", "day-t5", "night-t5", "drill"}
            kept = JobSettings(disabled=[name for name in JOBS if name not in used])
            desk = JobDesk(self.windows, kept, runner, state_dir=self.root / "state", clock=self.clock)
            await desk.prepare()
            yield desk, runner

    async def at(self, desk: JobDesk, runner: ActionRunner, when: str) -> None:
        self.clock.set(when)
        await desk.attend()
        for run in await runner.runs():
            async for _ in runner.watch(run.id):
                pass

    def records(self) -> Iterator[dict[str, Any]]:
        for path in sorted((self.root / "audit").rglob("*.jsonl")):
            for line in path.read_text().splitlines():
                value = json.loads(line)
                yield value.get("record", value)


async def test_a_start_is_audited_as_the_schedules(windows: MarketWindows, tmp_path: Path) -> None:
    station = Station(windows, tmp_path)
    station.clock.set("2026-10-12 08:40:00")
    async with station.open() as (desk, runner):
        await station.at(desk, runner, "2026-10-12 08:45:00")
    assert [name for name, _ in station.done] == ["start"]
    records = list(station.records())
    assert [record["event"] for record in records] == ["start", "stop"]
    assert {record["trigger"] for record in records} == {"schedule"}
    assert {record["operator"] for record in records} == {"schedule"}
    assert {record["window"] for record in records} == {"day"}
    assert records[1]["exit_code"] == 0
    assert verify(tmp_path / "audit").ok


async def test_a_moment_runs_once_although_the_jobs_state_was_lost_with_the_crash(
    windows: MarketWindows, tmp_path: Path
) -> None:
    station = Station(windows, tmp_path)
    station.clock.set("2026-10-12 08:40:00")
    async with station.open():
        pass
    state = (tmp_path / "state" / "jobs.sqlite").read_bytes()
    async with station.open() as (desk, runner):
        await station.at(desk, runner, "2026-10-12 08:45:00")
    (tmp_path / "state" / "jobs.sqlite").write_bytes(state)  # as if it had died right after the runner took it
    async with station.open() as (desk, runner):
        await station.at(desk, runner, "2026-10-12 08:46:00")
        assert "it had its run before" in desk.store.states()["day-start"].note
    assert [name for name, _ in station.done] == ["start"]


async def test_a_missed_t5_is_in_the_audit_with_16_and_the_action_was_not_run(
    windows: MarketWindows, tmp_path: Path
) -> None:
    station = Station(windows, tmp_path)
    station.clock.set("2026-10-12 08:50:00")
    async with station.open() as (desk, runner):
        await station.at(desk, runner, "2026-10-12 10:30:00")
        await station.at(desk, runner, "2026-10-13 08:55:05")
    assert [name for name, _ in station.done] == ["start", "t5-checkpoint"]  # Tuesday's
    ends = [record for record in station.records() if record["event"] == "stop" and record["action"] == "t5-checkpoint"]
    assert [(record["window"], record["exit_code"]) for record in ends] == [("day", 16), ("night", 16), ("day", 0)]
    assert ends[0]["parameters"] == {"missed": "2026-10-12T08:55:00+08:00"}
    assert "was missed" in ends[0]["message"]


async def test_a_missed_start_and_a_missed_drill_have_their_own_codes(windows: MarketWindows, tmp_path: Path) -> None:
    station = Station(windows, tmp_path)
    station.clock.set("2026-10-14 08:40:00")
    async with station.open() as (desk, runner):
        await station.at(desk, runner, "2026-10-14 19:00:00")
        await station.at(desk, runner, "2026-10-14 19:00:30")  # the drill may have met the lock of the start
    codes = {record["action"]: record["exit_code"] for record in station.records() if record["event"] == "stop"}
    assert codes == {"start": 2, "t5-checkpoint": 16, "drill": 1}
    assert station.done == []


async def test_a_person_runs_the_same_action_without_knowing_of_missed_moments(
    windows: MarketWindows, tmp_path: Path
) -> None:
    station = Station(windows, tmp_path)
    station.clock.set("2026-10-12 08:50:00")
    async with station.open() as (_, runner):
        run = await runner.run(ActionRequest(action="t5-checkpoint", operator="li", trigger=Trigger.CLI))
    assert run.exit_code == 0
    ((name, parameters),) = station.done
    assert name == "t5-checkpoint"
    assert not hasattr(parameters, "missed")
