"""A calendar, a clock that stands where a test puts it, and a runner that keeps to the runner's promises."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from gateway.calendar import Calendar, load_calendar
from gateway.model import SHANGHAI
from gateway.testing.clock import ManualClock
from runbook.model import ActionRequest, ActionResult, Exit, Role
from runbook.runner.run import Run, RunState
from runbook.schedule.desk import JobDesk
from runbook.schedule.jobs import Job, build_jobs
from runbook.schedule.state import Pause
from runbook.schedule.windows import MarketWindows
from runbook.settings.jobs import JobSettings


class StepClock(ManualClock):
    """Its wall clock can be set while no time passes."""

    def __init__(self, at: str) -> None:
        super().__init__(wall_ns=self._ns(at))

    def set(self, at: str) -> None:
        self._wall_start_ns += self._ns(at) - self.wall_ns()

    @staticmethod
    def _ns(at: str) -> int:
        return round(datetime.fromisoformat(at).replace(tzinfo=SHANGHAI).timestamp()) * 1_000_000_000


class ListRunner:
    """Answers a known key with its first run, and keeps no key of what it refuses: what the real one promises."""

    def __init__(self) -> None:
        self.requests: list[ActionRequest] = []
        """Those that were really begun."""
        self.asked = 0
        self.roles: list[Role] = []
        self.refuses: Exit | None = None
        self.raises: Exception | None = None
        self._runs: dict[tuple[str, str], Run] = {}

    async def run(self, request: ActionRequest, *, role: Role = Role.OPERATOR) -> Run:
        return await self.submit(request, role=role)

    async def submit(self, request: ActionRequest, *, role: Role = Role.OPERATOR) -> Run:
        self.roles.append(role)
        self.asked += 1
        if self.raises is not None:
            raise self.raises
        if self.refuses is not None:
            result = ActionResult(exit_code=self.refuses, message="refused on purpose")
            return Run(id="none", request=request, state=RunState.DONE, result=result, refused=True)
        key = (request.action, request.idempotency_key)
        if key in self._runs:
            first = self._runs[key]
            return Run(id=first.id, request=first.request, state=first.state, replayed=True)
        self.requests.append(request)
        self._runs[key] = Run(id=f"run-{len(self.requests)}", request=request, state=RunState.RUNNING)
        return self._runs[key]

    def took(self) -> list[str]:
        """Keys of what was begun since the last call."""
        keys = [request.idempotency_key for request in self.requests]
        self.requests.clear()
        return keys


class Desk:
    """A desk that can be closed and opened anew on the same directory, as after a restart."""

    def __init__(self, windows: MarketWindows, state_dir: Path, at: str) -> None:
        self.windows = windows
        self.state_dir = state_dir
        self.clock = StepClock(at)
        self.runner = ListRunner()
        self.settings = JobSettings()
        self.desk = self.reopen()

    def reopen(self) -> JobDesk:
        self.desk = JobDesk(self.windows, self.settings, self.runner, state_dir=self.state_dir, clock=self.clock)
        return self.desk

    def pause(self, name: str, by: str = "li", reason: str = "") -> None:
        """As the action ``job-pause`` does."""
        self.desk.store.pause(name, Pause(at=self.desk.now(), by=by, reason=reason))

    def resume(self, name: str) -> None:
        """As the action ``job-resume`` does."""
        self.desk.store.resume(name, self.desk.now())

    async def at(self, when: str) -> list[str]:
        """Turn the clock there and attend; the keys of what began."""
        self.clock.set(when)
        await self.desk.attend()
        return self.runner.took()


@pytest.fixture(scope="session")
def calendar() -> Calendar:
    return load_calendar()


@pytest.fixture(scope="session")
def windows(calendar: Calendar) -> MarketWindows:
    return MarketWindows(calendar)


@pytest.fixture(scope="session")
def jobs(windows: MarketWindows) -> dict[str, Job]:
    return {job.name: job for job in build_jobs(windows, JobSettings())}


@pytest.fixture
def open_desk(windows: MarketWindows, tmp_path: Path) -> Callable[[str], Desk]:
    def make(at: str) -> Desk:
        return Desk(windows, tmp_path / "state", at)

    return make
