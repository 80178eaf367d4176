"""The action ``rollback``: the settings of the last successful start again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.maintenance.restore import IMAGE, Restored, restore
from runbook.maintenance.snapshots import SettingsHistory, Snapshot, SnapshotError
from runbook.model import ActionResult, Exit, Role

_LISTED = 10


class RollbackParameters(BaseModel, extra="forbid", frozen=True):
    """Which settings."""

    to: str = Field("", max_length=100, description="Id of a snapshot; empty: that of the last successful start")


async def rollback(context: ActionContext, parameters: RollbackParameters) -> ActionResult:
    """Exit code 0; 1: in place already, or secrets differ or lack; 2: none is known, or they cannot be put back."""
    runbook = context.runbook
    history = SettingsHistory(runbook.state_dir, context.clock)
    dry = context.request.dry_run
    known = await asyncio.to_thread(lambda: [*history.snapshots("good"), *history.snapshots("replaced")])
    chosen = _chosen(known, parameters.to)
    if isinstance(chosen, str):
        return ActionResult(exit_code=Exit.ERROR, message=chosen, details={"snapshots": _listed(known)})
    context.tell("rollback", f"settings of {chosen.at}", {"snapshot": chosen.id, "dry_run": dry})
    try:
        done = await asyncio.to_thread(
            restore, history, chosen, dry_run=dry, image=runbook.image_tag or "", image_file=runbook.image_file
        )
    except SnapshotError as error:
        return ActionResult(exit_code=Exit.ERROR, message=f"nothing was rolled back: {error}")
    except OSError as error:
        said = f"nothing was rolled back: {error.strerror or error} ({error.filename}); make room or correct the rights"
        return ActionResult(exit_code=Exit.ERROR, message=said)
    details = {
        "snapshot": chosen.id,
        "changed": done.changed,
        "secrets_changed": done.secrets_changed,
        "secrets_missing": done.secrets_missing,
        "restart": done.restart,
        "image": done.image,
        "replaced": done.replaced.id if done.replaced else "",
        "snapshots": _listed(known),
    }
    lacking = done.secrets_changed or done.secrets_missing
    code = Exit.WARNING if lacking or not (done.changed or done.image) else Exit.OK
    said = _said(done, dry_run=dry, image_file=runbook.image_file, profile=context.request.profile)
    return ActionResult(exit_code=code, message=said, details=details)


def _chosen(known: Sequence[Snapshot], wanted: str) -> Snapshot | str:
    """The snapshot, or why there is none."""
    if not wanted:
        good = next((one for one in known if one.sort == "good"), None)
        return good or "there are no settings to go back to: none has been kept since no start has succeeded yet"
    found = [one for one in known if one.id == wanted or one.id.endswith(wanted)]
    if len(found) == 1:
        return found[0]
    return f"{len(found) or 'no'} snapshots have the id {wanted}; the details list them"


def _said(done: Restored, *, dry_run: bool, image_file: Path | None, profile: str) -> str:
    parts = []
    if done.interrupted:
        parts.append("an earlier rollback was interrupted and is finished with this one")
    if done.changed:
        verb = "would be brought back" if dry_run else "were brought back"
        parts.append(f"{len(done.changed)} files of {done.snapshot.at} {verb}: {', '.join(done.changed)}")
        if done.replaced:
            parts.append(f"what they replaced is kept: --to {done.replaced.id}")
        if not done.image:
            parts.append(f"now restart: {', '.join(done.restart)}" if done.restart else "no restart is needed")
    elif not done.image:
        parts.append(f"the settings of {done.snapshot.at} are in place already; --to ID chooses older ones")
    if done.image:
        parts.append(_image(done.image, image_file, profile, dry_run=dry_run))
    if done.secrets_changed:
        changed = ", ".join(done.secrets_changed)
        parts.append(f"secrets are never kept, and these differ from then: {changed}; run `runbook secrets pull`")
    for path, missing in done.secrets_missing.items():
        parts.append(f"secrets are never kept, and {path} has not these any more: {', '.join(missing)}; enter them")
    return "; ".join(parts)


def _image(tag: str, file: Path | None, profile: str, *, dry_run: bool) -> str:
    if file is None:
        return f"the image then was {tag}; run it with: {IMAGE}={tag} docker compose --profile {profile} up -d"
    written = "would be written to" if dry_run else "is in"
    up = f"docker compose --env-file …/{file.name} --profile {profile} up -d"
    return f"the image then was {tag}, which {written} {file}; run it with: {up}"


def _listed(known: Sequence[Snapshot]) -> list[dict[str, str]]:
    return [{"id": one.id, "at": one.at, "sort": one.sort, "image": one.image} for one in known[:_LISTED]]


def _build() -> Any:
    return rollback


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``rollback``."""
    return [
        ActionKind(
            name="rollback",
            title="Roll settings back",
            build=_build,
            parameters=RollbackParameters,
            role=Role.ADMIN,
        )
    ]
