"""``runbook jobs``: list, simulate, pause, resume. Needs no running scheduler: it shares the state file with one.

``runbook jobs run NAME`` goes through the runner and is :meth:`runbook.schedule.desk.JobDesk.run_now`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

from gateway.clock import Clock
from gateway.model import SHANGHAI
from runbook.model import Exit
from runbook.schedule.jobs import build_jobs
from runbook.schedule.rows import job_row, show_jobs
from runbook.schedule.simulate import show_simulation, simulate
from runbook.schedule.state import FILE, JobStateStore, Pause
from runbook.schedule.windows import MarketWindows
from runbook.settings.jobs import JOBS, JobSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the command works on; from the settings."""

    windows: MarketWindows
    settings: JobSettings
    state_dir: Path
    clock: Clock
    operator: str = "cli"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for :func:`run`."""
    parser.add_argument("--simulate", metavar="YYYY-MM", help="print every run of a month; nothing is run")
    parser.add_argument("--json", action="store_true", help="as JSON")
    commands = parser.add_subparsers(dest="jobs_command", metavar="COMMAND")
    pause = commands.add_parser("pause", help="let a job's moments pass without a run, until it is resumed")
    pause.add_argument("job", choices=JOBS, metavar="JOB", help="name of the job")
    pause.add_argument("--reason", default="", help="for those who read the list")
    resume = commands.add_parser("resume", help="go on with the job's next moment; nothing is made up for")
    resume.add_argument("job", choices=JOBS, metavar="JOB", help="name of the job")


def run(args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """The chosen one; gives the exit code. Raises CalendarError, MonthError and JobStateError, which name the fix."""
    jobs = build_jobs(place.windows, place.settings)
    if args.simulate:
        return show_simulation(simulate(args.simulate, jobs, place.windows), out, as_json=args.json)
    store = JobStateStore(place.state_dir / FILE)
    now = datetime.fromtimestamp(place.clock.wall_ns() // 1_000_000_000, SHANGHAI)
    if args.jobs_command == "pause":
        store.pause(args.job, Pause(at=now, by=place.operator, reason=args.reason))
        out.write(f"{args.job} is paused; runbook jobs resume {args.job}\n")
        return Exit.OK
    if args.jobs_command == "resume":
        paused = store.resume(args.job, now)
        out.write(f"{args.job} is resumed\n" if paused else f"{args.job} was not paused\n")
        return Exit.OK
    states = store.states()
    rows = [job_row(job, states.get(job.name), now) for job in jobs]
    return show_jobs(rows, out, as_json=args.json, warning=place.windows.end_warning(now))
