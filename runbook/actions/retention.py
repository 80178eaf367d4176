"""The action ``retention``: old files and old records of the audit go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from runbook.actions.archive import swept_code, swept_details, swept_said
from runbook.audit import AuditError, ViewWriter, open_audit
from runbook.audit.retention import KEEP_DAYS, LEAST_DAYS, Pruned, prunable
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.maintenance.placing import shanghai_time
from runbook.maintenance.retention import sweep
from runbook.model import ActionResult, AuditRecord, Exit
from runbook.runner.masking import Masker
from runbook.runner.run import shanghai
from runbook.settings import secrets_of

_TIMEOUT_S = 1800.0


class RetentionParameters(BaseModel, extra="forbid", frozen=True):
    """The days of files are settings (``RUNBOOK_RETENTION__…``)."""

    audit_days: int = Field(
        KEEP_DAYS, ge=LEAST_DAYS, le=36_500, description="Days that records of the audit are kept; 90 at least"
    )


async def retain(context: ActionContext, parameters: RetentionParameters) -> ActionResult:
    """Exit code 0; 1 when something due had to stay; 2 when the audit does not verify where records are due."""
    dry = context.request.dry_run
    swept = await asyncio.to_thread(sweep, context.runbook, context.clock.wall_ns(), dry_run=dry)
    details: dict[str, Any] = swept_details(swept)
    said = swept_said(swept, dry_run=dry)
    code = swept_code(swept)
    try:
        pruned = await asyncio.to_thread(_prune, context, parameters.audit_days)
    except AuditError as error:
        return ActionResult(exit_code=Exit.ERROR, message=f"{said}; audit: {error}", details=details)
    if pruned is not None:
        details["audit"] = [asdict(file) for file in pruned.files]
        said += f"; audit: {pruned.message}"
    return ActionResult(
        exit_code=code, message=f"dry run, nothing was removed: {said}" if dry else said, details=details
    )


def _prune(context: ActionContext, days: int) -> Pruned | None:
    """None: there is no audit. Raises AuditError."""
    directory = context.runbook.audit_directory
    if not directory.is_dir():
        return None
    key = context.runbook.audit_key
    secret = key.get_secret_value().encode() if key is not None else None
    if context.request.dry_run:
        return prunable(directory, context.clock, days, secret)
    log = open_audit(directory, context.clock, key=secret, log_dir=context.log_dir)
    pruned = log.prune(days, _note(context))
    now = shanghai_time(context.clock.wall_ns())
    ViewWriter(directory, context.log_dir).rebuild_days(now, context.runbook.retention.logs_days)
    return pruned


def _note(context: ActionContext) -> AuditRecord:
    """Who removes, when and why."""
    request = context.request
    masker = Masker(secrets_of(context.settings) | secrets_of(context.runbook))
    return AuditRecord(
        run=context.run,
        event="note",
        at=shanghai(context.clock.wall_ns()),
        action=request.action,
        operator=masker.text(request.operator),
        trigger=request.trigger.value,
        session="",
        window=request.window or "",
        profile=request.profile,
        config=request.config,
        mode=request.mode,
        reason=masker.text(request.reason),
        parameters=masker.mapping(request.parameters),
    )


def _build() -> Any:
    return retain


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``retention``."""
    return [
        ActionKind(
            name="retention",
            title="Remove old files",
            build=_build,
            parameters=RetentionParameters,
            # the daily job has nobody to give a reason; what goes is archived, and the audit notes what it loses
            changes=False,
            timeout_s=_TIMEOUT_S,
        )
    ]
