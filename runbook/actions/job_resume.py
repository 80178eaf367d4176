"""The action ``job-resume``: a paused job goes on with its next moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from gateway.hookspecs import hookimpl
from runbook.actions.job_pause import JobParameters, now_of, store_of
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit

_TIMEOUT_S: Final = 30.0


async def resume(context: ActionContext, parameters: JobParameters, /) -> ActionResult:
    """0, also for a job that was not paused. 11 when the state cannot be written."""
    job = parameters.job
    if context.request.dry_run:
        return ActionResult(exit_code=Exit.OK, message=f"dry run: {job} would be resumed")
    was_paused = await asyncio.to_thread(store_of(context).resume, job, now_of(context))
    text = f"{job} is resumed; what fell into the pause is not made up for" if was_paused else f"{job} was not paused"
    return ActionResult(exit_code=Exit.OK, message=text, details={"job": job, "paused": None})


def _build() -> Any:
    return resume


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``job-resume``."""
    return [
        ActionKind(
            name="job-resume",
            title="Resume a job",
            build=_build,
            parameters=JobParameters,
            exclusive=False,
            timeout_s=_TIMEOUT_S,
        )
    ]
