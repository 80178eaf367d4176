"""The real APScheduler on a calendar whose moments are fractions of a second away, and with a clock that is turned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.calendar import Calendar, CalendarError, load_calendar
from gateway.clock import SystemClock
from gateway.model import SHANGHAI
from gateway.testing.clock import ManualClock
from runbook.model import ActionRequest, ActionResult, Exit
from runbook.runner.run import Run, RunState
from runbook.schedule.desk import JobDesk
from runbook.schedule.jobs import Job, Occurrence
from runbook.schedule.scheduler import JobScheduler
from runbook.schedule.windows import MarketWindows
from runbook.settings.jobs import JobSettings

DEADLINE_S = 60.0


class KeyedRunner:
    def __init__(self) -> None:
        self.began: list[str] = []
        self.busy = 0
        self.changed = asyncio.Event()

    async def submit(self, request: ActionRequest) -> Run:
        self.changed.set()
        if self.busy:
            self.busy -= 1
            result = ActionResult(exit_code=Exit.BUSY, message="busy")
            return Run(id="none", request=request, state=RunState.DONE, result=result, refused=True)
        replayed = request.idempotency_key in self.began
        if not replayed:
            self.began.append(request.idempotency_key)
        return Run(id="run", request=request, state=RunState.RUNNING, replayed=replayed)

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not enough():
                self.changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self.changed.wait()


class StepClock(ManualClock):
    def __init__(self, at: str) -> None:
        super().__init__(wall_ns=self._ns(at))

    def set(self, at: str) -> None:
        self._wall_start_ns += self._ns(at) - self.wall_ns()

    @staticmethod
    def _ns(at: str) -> int:
        return round(datetime.fromisoformat(at).replace(tzinfo=SHANGHAI).timestamp()) * 1_000_000_000


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return load_calendar()


@pytest.fixture
def windows(calendar: Calendar) -> MarketWindows:
    return MarketWindows(calendar)


def job_at(moments: list[datetime], name: str = "tick", ends: datetime | None = None) -> Job:
    def when(on: date) -> Iterator[Occurrence]:
        for moment in moments:
            if moment.date() == on:
                yield Occurrence(job=name, moment=moment, window="day", trading_day=20261012, deadline=None)
        if ends is not None and on >= ends.date():
            raise CalendarError("the fast calendar ends; make a longer one")

    return Job(name=name, title=name, action=name, when=when, rule="runs once")


def soon(count: int, first_s: float = 0.4, every_s: float = 0.3) -> list[datetime]:
    now = datetime.now(SHANGHAI)
    return [now + timedelta(seconds=first_s + number * every_s) for number in range(count)]


def desk_of(windows: MarketWindows, runner: KeyedRunner, tmp_path: Path, jobs: list[Job], **settings: float) -> JobDesk:
    return JobDesk(
        windows,
        JobSettings(**settings),
        runner,
        state_dir=tmp_path,
        clock=SystemClock(),
        jobs=jobs,
    )


async def test_each_moment_is_run_once_in_order_and_none_before_its_time(
    windows: MarketWindows, tmp_path: Path
) -> None:
    runner, moments = KeyedRunner(), soon(4)
    desk = desk_of(windows, runner, tmp_path, [job_at(moments)])
    seen: list[tuple[str, datetime]] = []
    submit = runner.submit

    async def stamped(request: ActionRequest) -> Run:
        seen.append((request.idempotency_key, datetime.now(SHANGHAI)))
        return await submit(request)

    runner.submit = stamped  # type: ignore[method-assign]  # looks on
    async with JobScheduler(desk, clock=SystemClock()):
        last = f"tick@{moments[-1].isoformat()}"
        await runner.until(lambda: last in runner.began)
    keys = [f"tick@{moment.isoformat()}" for moment in moments]
    assert [key for key in keys if key in runner.began] == runner.began  # a slow machine may coalesce, never reorder
    assert all(at >= datetime.fromisoformat(key.partition("@")[2]) for key, at in seen)


async def test_a_restart_in_the_middle_loses_no_moment_and_doubles_none(windows: MarketWindows, tmp_path: Path) -> None:
    runner, moments = KeyedRunner(), soon(2, every_s=1.5)
    jobs = [job_at(moments)]
    async with JobScheduler(desk_of(windows, runner, tmp_path, jobs), clock=SystemClock()):
        await runner.until(lambda: len(runner.began) == 1)
    while datetime.now(SHANGHAI) < moments[1]:  # nobody runs while the second moment passes
        await asyncio.sleep(0.05)
    async with JobScheduler(desk_of(windows, runner, tmp_path, jobs), clock=SystemClock()):
        await runner.until(lambda: len(runner.began) == 2)
    assert runner.began == [f"tick@{moment.isoformat()}" for moment in moments]


async def test_a_busy_runner_is_asked_again_by_the_timer(windows: MarketWindows, tmp_path: Path) -> None:
    runner = KeyedRunner()
    runner.busy = 2
    desk = desk_of(windows, runner, tmp_path, [job_at(soon(1))], retry_s=0.1)
    async with JobScheduler(desk, clock=SystemClock()):
        await runner.until(lambda: len(runner.began) == 1)
    assert runner.busy == 0


async def test_a_job_at_the_calendars_end_is_told_once_and_the_others_go_on(
    windows: MarketWindows, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner, moments = KeyedRunner(), soon(2)
    ended = job_at([], "ended", ends=datetime.now(SHANGHAI) - timedelta(days=3))
    desk = desk_of(windows, runner, tmp_path, [ended, job_at(moments)])
    async with JobScheduler(desk, clock=SystemClock()):
        await runner.until(lambda: f"tick@{moments[-1].isoformat()}" in runner.began)
        rows = {row.job.name: row for row in await desk.rows()}
    assert rows["ended"].next is None
    assert rows["ended"].problem == "the fast calendar ends; make a longer one"
    assert sum("job ended has no further moment" in record.getMessage() for record in caplog.records) == 1


async def test_a_suspended_machine_catches_up_by_the_rules_when_it_wakes(
    windows: MarketWindows, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner, clock = KeyedRunner(), StepClock("2026-10-12 08:00:00")
    desk = JobDesk(windows, JobSettings(heartbeat_s=0.05), runner, state_dir=tmp_path, clock=clock)
    async with JobScheduler(desk, clock=clock):
        await runner.until(lambda: "day-start" in desk.store.states())
        clock.set("2026-10-12 11:40:00")
        await runner.until(lambda: desk.store.states()["hourly-health"].outcome != "")
    assert runner.began == [
        "refresh-contracts@2026-10-12T08:30:00+08:00",
        "day-start@2026-10-12T08:45:00+08:00",
        "day-t5@2026-10-12T08:55:00+08:00",
        "hourly-health@2026-10-12T11:00:00+08:00",
    ]
    assert desk.store.states()["day-t5"].outcome == "missed"
    assert desk.store.states()["day-start"].outcome == "late"
    assert "13200 s forward, or the machine was suspended" in caplog.text


async def test_switched_off_jobs_start_nothing(windows: MarketWindows, tmp_path: Path) -> None:
    runner = KeyedRunner()
    desk = desk_of(windows, runner, tmp_path, [job_at(soon(1))], enabled=False)
    async with JobScheduler(desk, clock=SystemClock()):
        pass
    assert runner.began == []
    assert not desk.store.path.exists()


async def test_closing_twice_is_fine_and_leaves_no_task(windows: MarketWindows, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    scheduler = JobScheduler(desk_of(windows, KeyedRunner(), tmp_path, [job_at(soon(1))]), clock=SystemClock())
    await scheduler.start()
    await scheduler.aclose()
    await scheduler.aclose()
    assert asyncio.all_tasks() == before
    with pytest.raises(RuntimeError, match="started once"):
        await scheduler.start()
