"""The action ``archive``: the archive of the day, then retention."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.maintenance.archive import Archived, archive
from runbook.maintenance.collect import Skipped
from runbook.maintenance.placing import shanghai_time, shown
from runbook.maintenance.retention import Swept, sweep
from runbook.model import ActionResult, Exit

_SHOWN = 200
_TIMEOUT_S = 1800.0


class ArchiveParameters(BaseModel, extra="forbid", frozen=True):
    """What is done beside archiving."""

    retention: bool = Field(True, description="Remove what is older than its retention, once it is archived")


async def make_archive(context: ActionContext, parameters: ArchiveParameters) -> ActionResult:
    """Exit code 0; 1: files could not be archived, or are due and in no archive; 2: no good archive was written."""
    day = f"{shanghai_time(context.clock.wall_ns()):%Y%m%d}"
    dry = context.request.dry_run
    context.tell("archive", "collecting files", {"day": day, "dry_run": dry})
    try:
        made = await asyncio.to_thread(archive, context.runbook, day, dry_run=dry)
    except OSError as error:
        where = error.filename or context.runbook.archive_dir
        said = f"no archive was written: {error.strerror or error} ({where}); make room or correct the rights"
        return ActionResult(exit_code=Exit.ERROR, message=said)
    details = archived_details(made)
    code: int = Exit.WARNING if made.failed else Exit.OK
    said = _said(made, day, dry_run=dry)
    if parameters.retention:
        swept = await asyncio.to_thread(sweep, context.runbook, context.clock.wall_ns(), dry_run=dry)
        details["retention"] = swept_details(swept)
        said += f"; {swept_said(swept, dry_run=dry)}"
        code = max(code, swept_code(swept))
    for problem in made.failed:
        context.tell("archive", f"{problem.name} is not in the archive: {problem.why}", {})
    output = shown(made.path, context.log_dir) if made.path else ""
    return ActionResult(exit_code=code, message=said, details=details, output=output)


def archived_details(made: Archived) -> dict[str, Any]:
    """For pages and ``--json``."""
    return {
        "archive": made.path.name if made.path else "",
        "written": made.written,
        "files": len(made.members),
        "bytes": sum(member.size for member in made.members),
        "names": [member.name for member in made.members[:_SHOWN]],
        "skipped": _listed(made.skipped),
        "failed": _listed(made.failed),
    }


def _said(made: Archived, day: str, *, dry_run: bool) -> str:
    count = f"{len(made.members)} files"
    if dry_run:
        return f"dry run: would archive {count} of {day}"
    if made.path is None:
        said = "nothing to archive"
    elif made.written:
        said = f"{made.path.name} holds {count} and was read back"
    else:
        said = f"{made.path.name} holds these {count} already"
    return said + (f"; {len(made.failed)} could not be archived, see the details" if made.failed else "")


def swept_code(swept: Swept) -> int:
    """0; 1 when something due had to stay."""
    return Exit.WARNING if swept.unarchived or swept.failed else Exit.OK


def swept_said(swept: Swept, *, dry_run: bool) -> str:
    """For people."""
    said = f"{len(swept.removed)} old files {'would go' if dry_run else 'were removed'}"
    if swept.unarchived:
        said += f", {len(swept.unarchived)} stay because no archive has them: run `runbook archive`"
    if swept.failed:
        said += f", {len(swept.failed)} problems, the first: {swept.failed[0].name} {swept.failed[0].why}"
    return said


def swept_details(swept: Swept) -> dict[str, Any]:
    """For pages and ``--json``."""
    return {
        "removed": [_due(due) for due in swept.removed[:_SHOWN]],
        "removed_total": len(swept.removed),
        "unarchived": [_due(due) for due in swept.unarchived[:_SHOWN]],
        "failed": _listed(swept.failed),
    }


def _due(due: Any) -> dict[str, Any]:
    return {"name": due.name, "age_days": due.age_days, "kept_days": due.kept_days, "bytes": due.size}


def _listed(skipped: Sequence[Skipped]) -> list[dict[str, str]]:
    return [{"name": one.name, "why": one.why} for one in skipped[:_SHOWN]]


def _build() -> Any:
    return make_archive


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``archive``."""
    return [
        ActionKind(
            name="archive",
            title="Archive the logs",
            build=_build,
            parameters=ArchiveParameters,
            # the daily job has nobody to give a reason, and nothing is lost by it
            changes=False,
            timeout_s=_TIMEOUT_S,
        )
    ]
