"""The action ``job-pause``: a job's moments pass without a run until it is resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from gateway.model import SHANGHAI
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit
from runbook.schedule.state import FILE, JobStateStore, Pause
from runbook.settings.jobs import JobName

_TIMEOUT_S: Final = 30.0


class JobParameters(BaseModel, extra="forbid", frozen=True):
    """Which job."""

    job: JobName = Field(description="Name of the job")


async def pause(context: ActionContext, parameters: JobParameters, /) -> ActionResult:
    """0; a second pause replaces the first. 11 when the state cannot be written, 64 for a job that is disabled."""
    job = parameters.job
    if job in context.runbook.schedule.disabled:
        text = f"job {job} is disabled, so nothing of it runs; take it out of schedule.disabled to pause it"
        return ActionResult(exit_code=Exit.USAGE, message=text)
    if context.request.dry_run:
        return ActionResult(exit_code=Exit.OK, message=f"dry run: {job} would be paused")
    made = Pause(at=now_of(context), by=context.request.operator, reason=context.request.reason)
    await asyncio.to_thread(store_of(context).pause, job, made)
    details = {"job": job, "paused": {"at": made.at.isoformat(), "by": made.by, "reason": made.reason}}
    text = f"{job} is paused: its moments pass without a run until it is resumed (runbook jobs resume {job})"
    return ActionResult(exit_code=Exit.OK, message=text, details=details)


def store_of(context: ActionContext) -> JobStateStore:
    """What the scheduler of any process reads."""
    return JobStateStore(context.runbook.state_dir / FILE)


def now_of(context: ActionContext) -> datetime:
    """To the second, in Shanghai."""
    return datetime.fromtimestamp(context.clock.wall_ns() // 1_000_000_000, SHANGHAI)


def _build() -> Any:
    return pause


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``job-pause``."""
    return [
        ActionKind(
            name="job-pause",
            title="Pause a job",
            build=_build,
            parameters=JobParameters,
            exclusive=False,  # a drill that runs must not keep somebody from pausing the job that comes next
            timeout_s=_TIMEOUT_S,
        )
    ]
