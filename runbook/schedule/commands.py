"""``runbook jobs``: the list and the simulated month. Needs no running scheduler: it shares the state file with one.

``run``, ``pause`` and ``resume`` go through the runner, as methods of :class:`runbook.schedule.desk.JobDesk`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO

from gateway.clock import Clock
from gateway.model import SHANGHAI
from runbook.schedule.jobs import build_jobs
from runbook.schedule.rows import job_row, show_jobs
from runbook.schedule.simulate import show_simulation, simulate
from runbook.schedule.state import FILE, JobStateStore
from runbook.schedule.windows import MarketWindows
from runbook.settings.jobs import JOBS, JobSettings

ACTIONS: Final = {
    "run": "run a job's action now; its planned moments stay as they are",
    "pause": "let a job's moments pass without a run, until it is resumed",
    "resume": "go on with the job's next moment; nothing is made up for",
}
"""Subcommands that act, with their help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the command works on; from the settings."""

    windows: MarketWindows
    settings: JobSettings
    state_dir: Path
    clock: Clock


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for :func:`run`."""
    parser.add_argument("--simulate", metavar="YYYY-MM", help="print every run of a month; nothing is run")
    parser.add_argument("--json", action="store_true", help="as JSON")
    commands = parser.add_subparsers(dest="jobs_command", metavar="COMMAND")
    for name, text in ACTIONS.items():
        one = commands.add_parser(name, help=text)
        one.add_argument("job", choices=JOBS, metavar="JOB", help="name of the job")
        one.add_argument("--reason", metavar="TEXT", help="why, for the audit and for those who read the list")
        one.add_argument("--operator", metavar="NAME", help="who, for the audit; unset: the login name")
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="the result as JSON")
        if name == "run":
            one.add_argument(
                "--idempotency-key", metavar="KEY", help="a second run with the same key is not done again"
            )


def run(args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """List or simulate; gives the exit code. Raises CalendarError, MonthError and JobStateError, which name the fix."""
    jobs = build_jobs(place.windows, place.settings)
    if args.simulate:
        return show_simulation(simulate(args.simulate, jobs, place.windows), out, as_json=args.json)
    store = JobStateStore(place.state_dir / FILE)
    now = datetime.fromtimestamp(place.clock.wall_ns() // 1_000_000_000, SHANGHAI)
    states = store.states()
    rows = [job_row(job, states.get(job.name), now) for job in jobs]
    return show_jobs(rows, out, as_json=args.json, warning=place.windows.end_warning(now))
