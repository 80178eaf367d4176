"""The machine's zone changes nothing: the same dry month and the same timer in zones with and without summer time.

Run as a program, this file prints a month and what the real timer plans: ``python test_schedule_zones.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ZONES = ("Asia/Shanghai", "UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "XXX+11:30")


async def _planned() -> list[str]:
    from gateway.calendar import load_calendar
    from gateway.clock import SystemClock
    from runbook.schedule.desk import JobDesk
    from runbook.schedule.scheduler import JobScheduler
    from runbook.schedule.windows import MarketWindows
    from runbook.settings.jobs import JobSettings

    class NoRunner:
        async def submit(self, _request: object) -> None:
            raise AssertionError("nothing is due")

    with tempfile.TemporaryDirectory() as directory:
        windows = MarketWindows(load_calendar())
        clock = SystemClock()
        desk = JobDesk(windows, JobSettings(), NoRunner(), state_dir=Path(directory), clock=clock)
        async with JobScheduler(desk, clock=clock) as scheduler:
            timer = {job.id: job.next_run_time for job in scheduler._timer.get_jobs()}
            rows = [row.as_json() for row in await desk.rows()]
            planned = {row["name"]: row["next"] for row in rows if row["next"]}
            assert {name: moment.isoformat() for name, moment in timer.items()} == planned
            return [f"{moment.astimezone():%z}" for moment in timer.values()]


def _print() -> None:
    from gateway.calendar import load_calendar
    from runbook.schedule.jobs import build_jobs
    from runbook.schedule.simulate import show_simulation, simulate
    from runbook.schedule.windows import MarketWindows
    from runbook.settings.jobs import JobSettings

    windows = MarketWindows(load_calendar())
    jobs = build_jobs(windows, JobSettings())
    for month in ("2026-03", "2026-10", "2026-11"):  # summer time begins and ends
        show_simulation(simulate(month, jobs, windows), sys.stdout, as_json=True)
    offsets = asyncio.run(_planned())
    json.dump({"zone": time.tzname, "offsets": sorted(set(offsets))}, sys.stderr)


@pytest.fixture(scope="module")
def shanghai() -> str:
    return _run("Asia/Shanghai")[0]


def _run(zone: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "TZ": zone, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("zone", ZONES[1:])
def test_a_month_and_the_timers_plan_are_the_same_in_every_zone(zone: str, shanghai: str) -> None:
    month, said = _run(zone)
    assert month == shanghai
    assert '"2026-10-09T20:55:00+08:00"' in month
    assert "+0800" not in said  # the zone was really taken


if __name__ == "__main__":
    _print()
