"""The action ``incident``: a report of what happened, with the evidence. ``runbook incident new`` asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dotenv import dotenv_values
from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.maintenance.incident import Told, report
from runbook.maintenance.placing import shown
from runbook.maintenance.tarball import ArchiveError
from runbook.model import ActionResult, Exit
from runbook.runner.masking import Masker
from runbook.settings import secrets_of

_TIMEOUT_S = 300.0
_WEEK = 7 * 24 * 60


class IncidentParameters(BaseModel, extra="forbid", frozen=True):
    """What the operator says about it."""

    trigger: str = Field("", max_length=2000, description="What was noticed; empty: the reason")
    actions: list[str] = Field(default_factory=list, max_length=100, description="What was done about it by hand")
    outcome: str = Field("open", max_length=2000, description="How it ended")
    follow_ups: list[str] = Field(default_factory=list, max_length=100, description="What is left to do")
    minutes: int = Field(120, ge=1, le=_WEEK, description="Logs and audit of so many minutes go into the report")


async def incident(context: ActionContext, parameters: IncidentParameters) -> ActionResult:
    """Exit code 0; 1 when something could not be had (the report names it); 2 when no report could be written."""
    told = Told(
        trigger=parameters.trigger,
        actions=parameters.actions,
        outcome=parameters.outcome,
        follow_ups=parameters.follow_ups,
        minutes=parameters.minutes,
    )
    if context.request.dry_run:
        where = context.runbook.incident_dir
        return ActionResult(exit_code=Exit.OK, message=f"dry run: would write a report into {where}")
    masker = await asyncio.to_thread(_masker, context)
    try:
        made = await report(context, told, masker)
    except (OSError, ArchiveError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        where = context.runbook.incident_dir
        return ActionResult(
            exit_code=Exit.ERROR, message=f"no report was written into {where}: {why}; make room or correct the rights"
        )
    said = f"{made.path.name} was written, {len(made.files)} files"
    if made.missing:
        said += f"; not to be had: {'; '.join(made.missing)[:500]}"
    return ActionResult(
        exit_code=Exit.WARNING if made.missing else Exit.OK,
        message=said,
        details={"record": made.record, "files": made.files, "missing": made.missing},
        output=shown(made.path, context.log_dir),
    )


def _masker(context: ActionContext) -> Masker:
    """Knows the secrets of the settings, and those that were pulled into the runtime file."""
    masker = Masker(secrets_of(context.settings) | secrets_of(context.runbook))
    try:
        pulled = dotenv_values(context.runbook.vault.runtime_file, interpolate=False)
    except (OSError, ValueError):
        pulled = {}
    masker.add(*(value for value in pulled.values() if value))
    return masker


def _build() -> Any:
    return incident


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``incident``."""
    return [
        ActionKind(
            name="incident",
            title="Report an incident",
            build=_build,
            parameters=IncidentParameters,
            # written in the middle of the trouble, beside whatever else runs
            changes=False,
            exclusive=False,
            timeout_s=_TIMEOUT_S,
        )
    ]
