"""The action ``secrets-clear``: the runtime file is overwritten and removed, after the stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind, NoParameters
from runbook.model import ActionResult
from runbook.secrets import clear


async def secrets_clear(context: ActionContext, _parameters: NoParameters, /) -> ActionResult:
    """0, also when there is no file; 11 when it cannot be touched safely."""
    return await asyncio.to_thread(clear, context.runbook.vault.runtime_file, dry_run=context.request.dry_run)


def _build() -> Action:
    return secrets_clear


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``secrets-clear``."""
    return [ActionKind(name="secrets-clear", title="Remove pulled secrets", build=_build)]
